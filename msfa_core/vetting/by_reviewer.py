"""What each reviewer said, in one cell of a table: ``Ann: accept; Bob: reject as A``.

Columns and sentences that name reviewers are written and read here, and made anonymous.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final

import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.rules import star_numbers
from msfa_core.vetting.decision import FINAL_FLAG

_NEEDS_QUOTES: Final = re.compile(r'^["\s]|[;\n"]|\s$|: |:$')
_LISTED: Final = (
    "verdicts_by_reviewer", "comments_by_reviewer", "issues_by_reviewer", "dates_by_reviewer",
)  # fmt: skip
_PART: Final = re.compile(r'("(?:[^"\\]|\\.)*"|[^;]*?): ("(?:[^"\\]|\\.)*"|[^;]*)(?:; |$)')


def verdict_text(verdict: str, verdict_class: str, is_final: bool) -> str:
    """Return a verdict, with the class and whether it is final: ``reject as HSD, final``."""
    text = verdict + (f" as {verdict_class}" if verdict_class else "")
    return f"{text}, final" if is_final else text


def issues_text(issue_flags: str) -> str:
    """Return the issue flags that a reviewer set, of those with semicolons: ``cosmic ray, sky``."""
    return ", ".join(one for one in issue_flags.split(";") if one not in ("", FINAL_FLAG))


def listed(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and texts in one line: ``Ann: accept; Bob: reject``.

    Text that could be misread (a semicolon, a line end) stands in quotes, as JSON writes it;
    `by_reviewer` reads the line back.
    """
    return "; ".join(f"{_quoted(name)}: {_quoted(text)}" for name, text in pairs)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def by_reviewer(line: str) -> dict[str, str]:
    """Return what each reviewer said, from a line that `listed` wrote.

    Raises
    ------
    CatalogueError
        When it is no such line.
    """
    said, place = {}, 0
    while place < len(line):
        part = _PART.match(line, place)
        if part is None:
            raise CatalogueError(f"{line!r} is not of the form `name: text; name: text`.")
        name, text = (json.loads(one) if one.startswith('"') else one for one in part.groups())
        said[name] = text
        place = part.end()
    return said


def reviewers_in_words(table: pd.DataFrame) -> str:
    """Return who decided on the stars of a table and when, as headers of exports say it.

    Parameters
    ----------
    table : (n,) DataFrame
        With the ``vet`` columns and ``uid``.
    """
    rows = table[table["dates_by_reviewer"].notna()]
    again = pd.Series(star_numbers(rows)).duplicated().to_numpy()  # further spectra of a star
    dates: dict[str, list[str]] = {}
    for line in rows["dates_by_reviewer"][~again].tolist():
        for name, date in by_reviewer(line).items():
            dates.setdefault(name, []).append(date[:10])
    said = []
    for name, days in sorted(dates.items()):
        first, last = min(days), max(days)
        when = first if first == last else f"{first} to {last}"
        said.append(f"{name}: {len(days):,} star{'s' if len(days) > 1 else ''}, {when}")
    return "; ".join(said) or "nobody has decided on these stars"


def anonymous(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose reviewers are R1, R2 …, also where comments name them.

    The numbers follow no order that a reader could know; equal names give equal numbers.

    Parameters
    ----------
    table : (n,) DataFrame
        With the ``vet`` columns.
    """
    lines = {name: table[name] for name in _LISTED if name in table}
    read = {
        line: by_reviewer(line)
        for values in lines.values() for line in values.dropna().unique().tolist()
    }  # fmt: skip
    names = {name for said in read.values() for name in said}
    names |= set(table["reviewer"].dropna().tolist()) if "reviewer" in table else set()
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    number = {name: f"R{k}" for k, name in enumerate(ordered, start=1)}
    spoken = sorted(number, key=len, reverse=True)  # Anna-Lena before Anna
    named = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in spoken) or "(?!)")

    def without(text: str) -> str:
        return named.sub(lambda found: number[found[0]], text)

    hidden = {
        line: listed(sorted((number[name], without(text)) for name, text in said.items()))
        for line, said in read.items()
    }
    changed = {name: values.map(hidden, na_action="ignore") for name, values in lines.items()}
    if "reviewer" in table:
        changed["reviewer"] = table["reviewer"].map(number, na_action="ignore")
    if "comment" in table:
        changed["comment"] = table["comment"].map(without, na_action="ignore")
    return table.assign(**{name: values.astype("str") for name, values in changed.items()})
