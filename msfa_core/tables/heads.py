"""Lines of a text that are neither names nor rows: a title above, names again, rules, comments."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.counting import counted
from msfa_core.errors import CatalogueError

DELIMITERS: Final = ",|;\t"
NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
UNIT_WORDS: Final = frozenset(  # what tells a row of units
    (
        *("deg", "degree", "degrees", "rad", "hourangle", "hour", "hours", "mas", "mas/yr"),
        *("mas yr-1", "mas.yr-1", "mas.yr**-1", "mas / yr", "arcsec", "arcsec/yr", "uas", "mag"),
        *(
            "km/s",
            "km.s**-1",
            "m/s",
            "k",
            "kk",
            "h:m:s",
            "d:m:s",
            "yr",
            "dex",
            "angle[deg]",
            "magnitude[mag]",
        ),
    )
)
_DRAWN: Final = re.compile(r"\s*\+(?:[-=]+\+)+\s*|=+(?:[ \t]+=+)+\s*")  # +-----+-----+, === ===
_NUMBER: Final = re.compile(r"\s*[+-]?\.?\d")
_DRAWN_BY_SIMBAD: Final = re.compile(r"[-|=\s]*")
_RULED: Final = re.compile(r"\s*(?:-+(?: +-+)+|=+(?: +=+)+)\s*")  # ----- ---, each over a column
_BELOW_ROWS: Final = re.compile(r"\n\s*(?:\(\d+ rows?(?: affected)?\)|\d+ rows? in set[^\n]*)\s*\Z")
_COMMENT_OF_OTHERS: Final = re.compile(r"[%!]|;(?=[^;\n]*$)", re.MULTILINE)
_TRUNCATED: Final = re.compile(r"\btruncated result\b|\bmaxtup\s*=", re.IGNORECASE)
_FEWEST_NAMES: Final = 3  # below a title
_LISTED: Final = re.compile(  # of SExtractor: number, name, words, [unit]
    r"#\s*(?P<at>\d+)\s+(?P<name>[^\W\d]\S*)(?:\s+(?P<words>[^\[\]]*))?(?:\[(?P<unit>[^\[\]]*)\])?"
)


def without_frame(text: str) -> str:
    """Return a text without what SIMBAD says before its list, and databases below their rows.

    Comments above the names that begin with ``%`` or ``!`` become such with ``#``.
    """
    if text.lstrip().startswith("C.D.S."):
        lines = text.split("\n")
        first = next((i for i, line in enumerate(lines) if line.count("|") > 1), 0)
        rows = [line for line in lines[first + 1 :] if not _DRAWN_BY_SIMBAD.fullmatch(line)]
        text = "\n".join([lines[first].lstrip("# "), *rows])
        text = text if lines[first].lstrip("# ")[:1] != "|" else f"row{text}"
    text = _BELOW_ROWS.sub("\n", text)
    at = 0
    while _COMMENT_OF_OTHERS.match(text, at):
        text = f"{text[:at]}#{text[at + 1 :]}"
        at = text.find("\n", at) + 1
        if not at:
            break
    return text


def undrawn(text: str) -> str:
    """Return a text without the lines that are drawn above, below and within a table."""
    first = text.lstrip("\n").partition("\n")[0]
    if not _DRAWN.fullmatch(first):
        return text
    return "\n".join(line for line in text.split("\n") if not _DRAWN.fullmatch(line))


def cut_at_rules(text: str) -> str:
    """Return a text whose columns stand below rules (``----- ---``), with tabs between them.

    The rules stand above or below the names (reStructuredText, astropy, databases); the cells of
    such a table may be empty. A text whose cells reach beyond the rules comes back as it is.
    """
    lines = text.split("\n")
    top = [i for i, one in enumerate(lines) if one.strip() and not one.lstrip().startswith("#")][:2]
    rule = next((lines[i] for i in top if _RULED.fullmatch(lines[i])), "")
    if not rule:
        return text
    spans = [match.span() for match in re.finditer(r"[-=]+", rule)]
    between = [*(slice(a, b) for (_, a), (b, _) in pairwise(spans)), slice(0, spans[0][0])]
    spans[-1] = (spans[-1][0], max(map(len, lines)))
    kept = lines[: top[0]]
    for line in lines[top[0] :]:
        if _RULED.fullmatch(line):
            continue
        if any(line[gap].strip() for gap in between):
            return text
        kept.append("\t".join(line[a:b].strip() for a, b in spans) if line.strip() else "")
    return "\n".join(kept)


def cut_short(comments: str) -> tuple[str, ...]:
    """Return a note where comments say that a service cut its answer short."""
    lines = [line for line in comments.split("\n") if _TRUNCATED.search(line)]
    if not lines:
        return ()
    said = " ".join(lines[0].strip("#+ \t").split())
    return (f"INCOMPLETE: the service cut its answer short ({said!r})",)


def last_words(comments: str) -> str:
    """Return the comment that says most of why there is nothing else: marked by stars, or last."""
    lines = [" ".join(line.split()) for line in comments.split("\n") if line.strip(" *#+-=\t")]
    marked = [line.strip("*# ") for line in lines if "***" in line or "ERROR" in line]
    return (marked or lines or [""])[-1][:80]


def is_title(first: str, second: str, delimiter: str) -> bool:
    """Tell whether a line is a title and the one below it names the columns."""
    title, names = (next(csv.reader([line], delimiter=delimiter), []) for line in (first, second))
    named = [name.strip() for name in names]
    return (
        sum(bool(word.strip()) for word in title) == 1
        and len(named) >= _FEWEST_NAMES
        and len(title) in (1, len(names))
        and all(re.search(r"[^\W\d]", name) for name in named if name)
        and sum(map(bool, named)) >= _FEWEST_NAMES
    )


def lacks_a_name(path: Path, names: Sequence[str], rows: Sequence[str], delimiter: str) -> bool:
    """Tell whether rows begin with a name of their own for which the header has none.

    R's ``write.table`` leaves it out; names are quoted, or count the rows. A decimal comma makes a
    field more, too.

    Parameters
    ----------
    path : Path
        For messages.
    names : sequence of str
    rows : sequence of str
        The first ones.
    delimiter : str
        A blank for fields between blanks.

    Raises
    ------
    CatalogueError
        When each row has a field more than the header, and it is no such name.
    """
    between = {"delimiter": delimiter, "skipinitialspace": delimiter == " "}
    fields = list(csv.reader((row.strip(" ") for row in rows), **between))  # type: ignore[arg-type]
    if not fields or any(len(one) != len(names) + 1 for one in fields):
        return False
    first = [one[0].strip() for one in fields]
    counted_from = first[0] if first[0] in ("0", "1") else ""
    counts = bool(counted_from) and first == [
        str(i) for i in range(int(counted_from), int(counted_from) + len(first))
    ]
    if all(row.lstrip().startswith('"') for row in rows) or (counts and delimiter != ","):
        return True
    raise CatalogueError(
        f"{path}: each row has {len(names) + 1} fields, and the header {len(names)} names; name "
        "the column that has none, or write decimal points."
    )


def check_quotes(path: Path, columns: Mapping[str, pd.Series], delimiter: str) -> None:
    """Refuse a cell that swallowed rows: a quotation mark that nobody closed.

    Raises
    ------
    CatalogueError
    """
    first = next(iter(columns.values()))
    if not len(first) or not _NUMBER.match(str(first.iloc[0])):
        return
    for place, values in enumerate(columns.values()):
        for i in values.index[values.str.contains("\n", regex=False)]:
            for line in str(values.iloc[i]).split("\n")[1:]:
                if _NUMBER.match(line) and line.count(delimiter) >= max(place, 1):
                    raise CatalogueError(
                        f"{path}: a quotation mark in row {i + 1} is not closed, and rows behind "
                        f"it ({line[:40]!r}) are within its cell; close it, or take it out."
                    )


class OpenQuotes:
    """Looks for a quotation mark that nobody closed in lines as they pass by.

    Such a mark swallows the rows behind it, and where only some columns are read its cell may not
    be among them.

    Parameters
    ----------
    delimiter : str
    """

    def __init__(self, delimiter: str) -> None:
        self.found = ""  # the first such line
        self._delimiter, self._rest = delimiter, b""

    def look(self, content: bytes) -> None:
        """Look at the next bytes of the file; none say that it has ended."""
        content, ended = self._rest + content, not content
        if self.found or b'"' not in content:
            self._rest = content[content.rfind(b"\n") + 1 :]
            return
        lines = np.frombuffer(content, np.uint8)
        ends = np.flatnonzero(lines == ord("\n"))
        if ended:
            ends = np.append(ends, len(content))
        marks = np.searchsorted(np.flatnonzero(lines == ord('"')), ends)
        starts = np.append(0, ends[:-1] + 1)
        for i in np.flatnonzero(np.diff(marks, prepend=0) % 2):
            line = content[starts[i] : ends[i]].decode("utf-8", "replace")
            if self._is_open(line):
                self.found = line
                return
        self._rest = content[ends[-1] + 1 :] if len(ends) else content

    def _is_open(self, line: str) -> bool:
        try:
            list(csv.reader([line.rstrip("\r")], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return "unexpected end" in str(error)
        return False


def without_names_again(
    path: Path, columns: dict[str, pd.Series], names: Sequence[str]
) -> tuple[dict[str, pd.Series], tuple[str, ...]]:
    """Leave out rows that name the columns again, as files put together have them.

    Raises
    ------
    CatalogueError
        When they name them in another order: the values below belong to other columns.
    """
    first = next(iter(columns.values()))
    words = {name.strip() for name in names if name.strip()}
    rows = [i for i in first.index[first.str.strip().isin(words)] if len(words) > 1]
    again = [i for i in rows if _names_in({n: str(v.iloc[i]) for n, v in columns.items()}, names)]
    for i in again:
        check_order(path, [str(v.iloc[i]) for v in columns.values()], names, f"row {i + 1}")
    if not again:
        return columns, ()
    kept = first.index.difference(again)
    said = counted(len(again), "row names", "rows name")
    return (
        {name: values.loc[kept].reset_index(drop=True) for name, values in columns.items()},
        (f"{said} the columns again and {'is' if len(again) == 1 else 'are'} left out",),
    )


def _names_in(row: Mapping[str, str], names: Sequence[str]) -> bool:
    """Tell whether most cells of a row are names of columns."""
    words = {name.strip() for name in names}
    return 2 * sum(cell.strip() in words for cell in row.values()) > len(row)


def check_order(path: Path, row: Sequence[str], names: Sequence[str], where: str) -> None:
    """Refuse a row that names the columns in another order.

    Raises
    ------
    CatalogueError
    """
    for cell, name in zip(row, names, strict=False):
        if cell.strip().lower() != name.strip().lower():
            raise CatalogueError(
                f"{path}: {where} names the columns anew, with {cell.strip()!r} where "
                f"{name.strip()!r} was; give the parts of the file one by one."
            )


def piece_without_names(path: Path, piece: pa.Table) -> pa.Table:
    """Leave out rows of a piece of text columns that name them again.

    Raises
    ------
    CatalogueError
        When they name them in another order.
    """
    names = list(piece.column_names)
    again = pc.fill_null(pc.is_in(piece.column(0), value_set=pa.array(names)), False)
    if len(names) < 2 or not pc.any(again).as_py():  # noqa: PLR2004  one word alone may be a value
        return piece
    keep = []
    for number, is_one in enumerate(again.to_pylist()):
        cells = {name: str(piece.column(name)[number].as_py()) for name in names} if is_one else {}
        is_one = bool(cells) and _names_in(cells, names)  # noqa: PLW2901
        if is_one:
            check_order(path, list(cells.values()), names, "a row")
        keep.append(not is_one)
    return piece.filter(pa.array(keep))


def commented_names(comments: Sequence[str], row: str) -> tuple[str, str]:
    """Return the comments that hold the names of the columns and, below, their units, if any.

    The last comment, unless another has as many fields as the first row and the last has not.
    """
    said = [one for one in comments if one.strip()]
    fit = [one for one in said if len(_fields(one)) == len(_fields(row)) > 1]
    fit = [one for one in fit if not looks_like_data(one)]
    are_units = len(fit) > 1 and sum(one.lower() in UNIT_WORDS for one in _fields(fit[-1])) > 1
    units = fit.pop() if are_units else ""
    return (fit[-1] if fit else said[-1] if said else ""), units


@dataclass(frozen=True, slots=True)
class ListedNames:
    """Names of columns, a line each, as SExtractor writes them: number, name, words, [unit].

    Attributes
    ----------
    columns : (name, unit, words) of each column; those of a vector are numbered
    rows : str
    """

    columns: tuple[tuple[str, str, str], ...]
    rows: str


def listed_names(text: str) -> ListedNames | None:
    """Return names that lines of comments above the rows list by number; None where none do."""
    listed: list[re.Match[str]] = []
    rest = text.lstrip("\n")
    while rest.startswith("#"):
        line, _, rest = rest.partition("\n")
        said = _LISTED.fullmatch(line.rstrip())
        if said and int(said["at"]) > (int(listed[-1]["at"]) if listed else 0):
            listed.append(said)
    width = len(rest.lstrip("\n").partition("\n")[0].split())
    first = [int(one["at"]) for one in listed]
    is_list = len(listed) > 1 and first[0] == 1 and first[-1] <= width
    if not is_list or not looks_like_data(rest.lstrip("\n").partition("\n")[0]):
        return None
    columns = []
    for one, at, end in zip(listed, first, [*first[1:], width + 1], strict=True):
        unit, words = one["unit"] or "", (one["words"] or "").strip()
        columns += [(f"{one['name']}_{k}" if k > 1 else one["name"], unit, words)
                    for k in range(1, end - at + 1)]  # fmt: skip
    return ListedNames(tuple(columns), rest)


def _fields(line: str) -> list[str]:
    """Return the fields of a line between delimiters, or between blanks where it has none."""
    fields = re.split(rf"[{DELIMITERS}]", line.strip())
    return line.split() if len(fields) == 1 else fields


def looks_like_data(line: str) -> bool:
    """Whether a field of the line is a number."""
    return any(
        NUMBER.fullmatch(one.strip().strip("\"'").replace(",", ".")) for one in _fields(line)
    )
