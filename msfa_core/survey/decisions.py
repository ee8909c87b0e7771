"""Decisions in a table, a published one of ours or another tool's, as the store takes them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from msfa_core.columns import BY_NAME, TRUE_CLASS
from msfa_core.counting import counted
from msfa_core.errors import CatalogueError, StoreError
from msfa_core.photometry.counterparts import FAR, match_key
from msfa_core.stars.crossmatch import FAR_AWAY
from msfa_core.survey.folder import Survey
from msfa_core.survey.provenance import now
from msfa_core.survey.unmatched import none_matched
from msfa_core.tables.cells import clean
from msfa_core.tables.cells import number as as_number
from msfa_core.tables.classes import stellar_class
from msfa_core.tables.door import Use, open_table
from msfa_core.tables.names import plain
from msfa_core.tables.report import Matched, as_record, check_slipped
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.vetting.by_reviewer import by_reviewer
from msfa_core.vetting.decision import (
    CONFIDENCE,
    FINAL_FLAG,
    REVIEWER_LENGTH,
    Decision,
    Verdict,
    reviewer_name,
)
from msfa_core.vetting.record import are_final
from msfa_core.vetting.transfer import keyed, take_over

if TYPE_CHECKING:
    from msfa_core.tables.large import LargeTable
    from msfa_core.tables.report import OutsideTable

_USE: Final = Use("a table of decisions", PLACE_USE.vocabulary, (("obsid",),), keep_others=True)
_UNDECIDED: Final = ("", "disputed", "none", "nan", "null", "--")
_UNDATED: Final = "undated"  # beginning of the key of a decision whose table gives no moment
_SAID: Final = {  # house name -> what other tools call it, the first present counts
    "verdict": ("verdict", "decision", "judgement", "judgment"),
    "reviewer": ("reviewer", "vetter", "inspector", "user", "decided_by"),
    "verdict_class": ("verdict_class",),
    "confidence": ("confidence",),
    "comment": ("comment", "comments", "note", "notes", "remark", "remarks"),
    "decided_at": ("decided_at", "timestamp", "vetted_at"),
}
_NOTHING: Final = ("", "nan", "none", "null", "<na>", "--")
_FIRST_YEAR: Final = 1990  # 1970 and 1 stand for no date
_CLOCKS_APART: Final = timedelta(days=1)  # of two machines, at most
_SHOWN: Final = 8  # names in a message
_WITHDRAWN: Final = ("withdraws", "is_withdrawal", "withdrawn", "is_withdrawn", "retracted")
_NOT_SO: Final = (*_NOTHING, "0", "0.0", "false", "f", "no", "n")
_BY_REVIEWER: Final = (
    "verdicts_by_reviewer", "comments_by_reviewer", "dates_by_reviewer", "issues_by_reviewer",
)  # fmt: skip
_VERDICT: Final = re.compile(r"(accept|reject|unsure)(?: as (.*?))?(, final)?")


def decisions_in(
    survey: Survey, path: str | Path, known: Iterable[Decision] = ()
) -> tuple[list[Decision], dict[str, Any]]:
    """Read the verdicts of a table: one decision per star, reviewer and moment.

    Where it says what each reviewer said (an export with every column), each is a decision; else
    the verdict of record is one.

    Parameters
    ----------
    survey : Survey
    path : str or Path
        With obsid and verdict and, where known, reviewer, verdict_class, confidence, comment and
        decided_at; an export with all columns has them.
    known : decisions
        What the store holds already: the same said again keeps its key.

    Returns
    -------
    list of Decision
        Oldest first, each with a key made of what it says: taken twice, it is stored once.
    dict
        What became of the table, for the provenance; its ``line`` in words.

    Raises
    ------
    CatalogueError
        When the table has no verdicts, one that nobody knows, or tells of no spectrum.
    """
    opened = open_table(path, _USE)
    columns = _by_name(opened)
    unused = _under_house_names(opened, columns)
    if not opened.has("obsid") or "verdict" not in columns:
        raise CatalogueError(
            f"{opened.path}: a table of decisions needs obsid and verdict; it has "
            f"{opened.has_words()}.{opened.reasons()}"
        )
    spectra = survey.table()
    match = match_key(spectra, opened.table, "obsid", FAR * survey.settings.match_radius_arcsec)
    here = np.flatnonzero(match.row >= 0)
    n_refused = int(np.isfinite(match.refused).sum())
    matched = Matched(len(spectra), {"obsid": len(here)}, (), n_refused, FAR_AWAY)
    if not matched.n:
        raise none_matched(opened, matched, spectra, ("obsid", "ra", "dec"))
    check_slipped(matched, opened.path)
    said = [name for name in (*_SAID, *_BY_REVIEWER) if name in columns]
    _check_none_withdrawn(opened, columns)
    rows = pd.DataFrame({name: columns[name].astype("str") for name in said})
    undecided = rows["verdict"].fillna("").str.strip().str.lower().isin(_UNDECIDED).to_numpy(bool)
    if _BY_REVIEWER[0] in rows:  # disputed stars have no verdict of record, but decisions
        undecided = undecided & rows[_BY_REVIEWER[0]].fillna("").str.strip().eq("").to_numpy(bool)
    counts = ~(undecided | match.contradicted)
    of_star = opened.table.groupby("obsid").indices  # a row per reviewer, where a tool writes so
    uids = spectra["uid"].fillna("") if "uid" in spectra else pd.Series("", spectra.index)
    star = dict(zip(spectra["obsid"].tolist(), uids.tolist(), strict=True))
    before = {_said(one, star): one.key for one in keyed(known)}
    made: dict[tuple[str, ...], Decision] = {}
    spoken: dict[tuple[str, ...], int] = {}
    for i in here:  # in the order of the survey: the first spectrum of a star speaks for it
        obsid = int(spectra["obsid"].iloc[i])
        for j in (j for j in sorted(of_star[obsid]) if counts[j]):
            for one in _decisions(rows.iloc[j], j + 1, spectra.iloc[i], opened.path):
                key = _said(one, star)
                if spoken.setdefault(key, obsid) == obsid:  # of one spectrum the last row counts
                    made.pop(key, None)  # and what it says comes last
                    made[key] = replace(one, key=before.get(key, one.key))
    ordered = sorted(made.values(), key=lambda one: one.decided_at)
    numbered = [replace(one, decision_id=number) for number, one in enumerate(ordered, start=1)]
    more = [
        f"{counted(len(made), 'decision', 'decisions')}, "
        f"{counted(int(undecided.sum()), 'row', 'rows')} without a verdict"
    ]
    elsewhere = counts & ~opened.table["obsid"].isin(spectra["obsid"]).fillna(False).to_numpy(bool)
    if n := int(elsewhere.sum()):
        more.append(f"{counted(n, 'verdict is', 'verdicts are')} of no spectrum in this survey")
    if n := _n_at_odds(made):
        more.append(
            f"{counted(n, 'star has', 'stars have')} several verdicts of one reviewer at one time, "
            "which differ: that of the last row counts"
        )
    if n := _n_half_dated(made):
        more.append(
            f"{counted(n, 'star has', 'stars have')} verdicts of one reviewer with a date and "
            "without, which differ: those without count as given now"
        )
    people = {one.reviewer for one in (*made.values(), *known)}
    more += _alike(people, {one.reviewer for one in made.values()})
    if unused:
        dots = ", …" if len(unused) > _SHOWN else ""
        more.append(f"columns not used: {', '.join(unused[:_SHOWN])}{dots}")
    return numbered, as_record(opened, "decisions", matched, more)


def _n_at_odds(made: Iterable[tuple[str, ...]]) -> int:
    """Count stars of which one reviewer says several things at one time, or at none."""
    said: dict[tuple[str, ...], set[str]] = {}
    for star, reviewer, verdict, when in made:
        said.setdefault((star, reviewer, when), set()).add(verdict)
    return len({star for (star, *_), verdicts in said.items() if len(verdicts) > 1})


def _n_half_dated(made: Iterable[tuple[str, ...]]) -> int:
    """Count stars of which one reviewer says one thing at a time, and another at none."""
    said: dict[tuple[str, str], dict[bool, set[str]]] = {}
    for star, reviewer, verdict, when in made:
        said.setdefault((star, reviewer), {True: set(), False: set()})[bool(when)].add(verdict)
    return len(
        {who[0] for who, told in said.items() if all(told.values()) and told[True] != told[False]}
    )


def _alike(people: Iterable[str], newcomers: set[str]) -> list[str]:
    """Name reviewers that differ in case only, where one of them comes with the table."""
    by_fold: dict[str, list[str]] = {}
    for name in sorted(people):
        by_fold.setdefault(name.casefold(), []).append(name)
    return [
        f"reviewers {', '.join(names)} differ in case only and count as {len(names)}: "
        "`msfa store rename` makes them one"
        for names in by_fold.values()
        if len(names) > 1 and newcomers.intersection(names)
    ]


def _check_none_withdrawn(opened: OutsideTable, columns: dict[str, pd.Series]) -> None:
    """Refuse a history in which verdicts were taken back: as a table they would all stand."""
    for name in (name for name in _WITHDRAWN if name in columns):
        text = columns[name].astype("str").fillna("").str.strip().str.lower()
        taken_back = np.flatnonzero(~text.isin(_NOT_SO).to_numpy(bool))
        if len(taken_back):
            raise CatalogueError(
                f"{opened.path}: column {name} says in row {taken_back[0] + 1} that a verdict was "
                "taken back; leave out such verdicts and the column, or import the store itself "
                "(its .sqlite file or URL)."
            )


def _by_name(opened: OutsideTable) -> dict[str, pd.Series]:
    """Return the columns of a table by plain name; two of one name that differ are refused."""
    columns: dict[str, pd.Series] = {}
    first: dict[str, str] = {}
    known = {alias for aliases in _SAID.values() for alias in aliases}
    for name in opened.others.columns:
        key = plain(name)
        again = key.removesuffix("_2")  # how a second column of one name is called
        key = again if again in columns and again in known else key
        if key not in columns:
            columns[key], first[key] = opened.others[name], str(name)
        elif key in known and not _same(columns[key], opened.others[name]):
            raise CatalogueError(
                f"{opened.path}: columns {first[key]} and {name} could both be {key}, and differ; "
                "rename the one that is not."
            )
    return columns


def _under_house_names(opened: OutsideTable, columns: dict[str, pd.Series]) -> list[str]:
    """Give columns of other tools our names, too; return those that tell nothing."""
    ours = _BY_REVIEWER[0] in columns  # the many columns of an export go without saying
    used = {name for name in _SAID} if not ours else BY_NAME
    unused = [name for name in columns if name not in used]
    for house, aliases in _SAID.items():
        present = [name for name in aliases if name in columns]
        if house == "verdict":
            _check_agree(opened, columns, present)
        if present:
            columns[house] = columns[present[0]]
            unused = [name for name in unused if name != present[0]]
    return unused


def _check_agree(opened: OutsideTable, columns: dict[str, pd.Series], names: list[str]) -> None:
    """Refuse columns of which each could hold the verdicts, and which differ."""
    for other in names[1:]:
        if not _same(columns[names[0]], columns[other]):
            raise CatalogueError(
                f"{opened.path}: columns {names[0]} and {other} could both be verdict, and "
                "differ; rename the one that is not."
            )


def _same(one: pd.Series, other: pd.Series) -> bool:
    first, second = (column.astype("str").fillna("").str.strip() for column in (one, other))
    return bool((first == second).all())


def restore(survey: Survey, tables: Iterable[OutsideTable | LargeTable]) -> list[str]:
    """Take over the decisions in tables of ours, where they say what each reviewer said.

    Parameters
    ----------
    survey : Survey
        Locked by the caller.
    tables : tables as `joining.read_catalogues` gives

    Returns
    -------
    list of str
        A line for each that had any; twice changes nothing.
    """
    lines = []
    for table in tables:
        others = getattr(table, "others", None)
        if others is None or _BY_REVIEWER[0] not in {plain(str(name)) for name in others.columns}:
            continue
        with survey.store() as store:
            found, record = decisions_in(survey, table.path, store.decisions())
            taken = take_over(store, found)
        survey.record("table", **record)
        lines.append(f"{record['line']}: {taken.n_new:,} taken over, {taken.n_known:,} known")
    return lines


def known_answers(survey: Survey, path: str | Path | None = None) -> dict[int, str]:
    """Return stars whose answer is known: what training stars are drawn from.

    Parameters
    ----------
    survey : Survey
    path : str or Path, optional
        A table with obsid and verdict; a star with several verdicts is left out. Without it:
        stars with a final verdict, and in a simulated survey the truth.

    Returns
    -------
    dict of obsid -> accept or reject

    Raises
    ------
    CatalogueError
        As `decisions_in`.
    """
    if path is not None:
        said: dict[int, set[str]] = {}
        for one in decisions_in(survey, path)[0]:
            said.setdefault(one.obsid, set()).add(str(one.verdict))
        return {obsid: min(all_) for obsid, all_ in said.items() if len(all_) == 1}
    table = survey.table()
    known: dict[int, str] = {}
    if TRUE_CLASS in table:
        is_bhb = (table[TRUE_CLASS] == "BHB").fillna(False).to_numpy(bool)
        known = dict(
            zip(table["obsid"].tolist(), np.where(is_bhb, "accept", "reject").tolist(), strict=True)
        )
    if survey.has_store:
        with survey.store() as store:
            stand = store.standing()
        settled = stand[are_final(stand)]
        known |= dict(zip(settled["obsid"].tolist(), settled["verdict"].tolist(), strict=True))
    return known


def _said(one: Decision, star: dict[int, str]) -> tuple[str, ...]:
    """Return what makes two decisions one: who said what of which star, and when."""
    when = one.decided_at if not one.key.startswith(_UNDATED) else ""
    return star.get(one.obsid) or str(one.obsid), one.reviewer, str(one.verdict), when


def _decisions(row: pd.Series, number: int, spectrum: pd.Series, path: str) -> Iterator[Decision]:
    """Make the decisions of a row: of each reviewer where it names them, else that of record."""
    lines = [row.get(name) for name in _BY_REVIEWER]
    if not isinstance(lines[0], str) or not lines[0].strip():
        yield _decision(row, number, spectrum, path)
        return
    try:
        verdicts, comments, dates, issues = (
            by_reviewer(line.strip()) if isinstance(line, str) else {} for line in lines
        )
    except (CatalogueError, ValueError) as error:
        raise CatalogueError(f"{path}, row {number}: {error}") from error
    of_record = {name: row.get(name) for name in ("reviewer", "confidence")}
    for name, text in verdicts.items():
        said = _VERDICT.fullmatch(text)
        if said is None:
            raise CatalogueError(
                f"{path}: column {_BY_REVIEWER[0]} says {text!r} of {name} in row {number}, which "
                f"is none of {', '.join(Verdict)}; correct it."
            )
        told = {
            "verdict": said[1],
            "reviewer": name,
            "verdict_class": said[2],
            "comment": comments.get(name),
            "decided_at": dates.get(name),
            "confidence": of_record["confidence"] if of_record["reviewer"] == name else None,
        }
        given = pd.Series({key: value for key, value in told.items() if value}, dtype=object)
        one = _decision(given, number, spectrum, path)
        flags = [flag for flag in issues.get(name, "").split(", ") if flag]
        yield replace(
            one,
            comment=comments.get(name) or "",  # "None" is what somebody wrote
            issue_flags=(*flags, FINAL_FLAG) if said[3] else tuple(flags),
        )


def _decision(row: pd.Series, number: int, spectrum: pd.Series, path: str) -> Decision:
    """Make a decision of a row, its key of what the row says."""
    say = {
        str(name): str(text).strip()
        for name, text in row.items()
        if pd.notna(text) and name not in _BY_REVIEWER and str(text).strip().lower() not in _NOTHING
    }
    verdict = say["verdict"].lower()
    if verdict not in list(Verdict):
        raise CatalogueError(
            f"{path}: column verdict has {say['verdict']!r} in row {number}, which is none of "
            f"{', '.join(Verdict)}; correct it."
        )
    uid = spectrum.get("uid")
    digest = hashlib.sha256(json.dumps([int(spectrum["obsid"]), say]).encode()).hexdigest()
    try:
        return Decision(
            obsid=int(spectrum["obsid"]),
            uid=uid if isinstance(uid, str) else "",
            verdict=Verdict(verdict),
            reviewer=reviewer_name(say.get("reviewer", ""))
            or f"table {Path(path).name}"[:REVIEWER_LENGTH],
            verdict_class=stellar_class(say.get("verdict_class", "")),
            confidence=_grade(say.get("confidence", "")),
            comment=say.get("comment", ""),
            decided_at=_moment(say["decided_at"]) if "decided_at" in say else now(),
            key=f"{'table' if 'decided_at' in say else _UNDATED}-{digest[:40]}",
        )
    except StoreError as error:
        raise CatalogueError(f"{path}, row {number}: {error}") from error


def _grade(text: str) -> int | None:
    """Return a confidence of 1 to 4, as programs write whole numbers; None for none."""
    grade = as_number(clean(text)) if text else float("nan")
    if grade is not None and math.isnan(grade):
        return None
    if grade not in CONFIDENCE:
        levels = ", ".join(f"{level} {word}" for level, word in CONFIDENCE.items())
        raise StoreError(f"confidence {text!r} is none of {levels}; correct the column.")
    return int(grade)


def _moment(text: str) -> str:
    """Return when a verdict was given, in UTC.

    Raises
    ------
    StoreError
        When it lies ahead: such a verdict would count before all that its reviewer gives from now
        on. Or before any survey of spectra: programs write such a date where they have none.
    """
    said = _in_utc(text)
    with contextlib.suppress(ValueError, TypeError):  # the check of a decision says what it lacks
        moment = datetime.fromisoformat(said)
        if moment > datetime.now(UTC) + _CLOCKS_APART:
            raise StoreError(f"decided_at {text!r} is in the future; correct it.")
        if moment.year < _FIRST_YEAR:
            raise StoreError(f"decided_at {text!r} is long before any vetting; leave it empty.")
    return said


def _in_utc(text: str) -> str:
    """Return a moment in UTC, where the text says its time zone; else the text, for the check."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat()
    return text
