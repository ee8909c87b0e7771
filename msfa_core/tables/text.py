"""Delimited text: where the header is, what separates the fields, and whether a row was cut."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.tables.heads import (
    DELIMITERS,
    NUMBER,
    UNIT_WORDS,
    ListedNames,
    check_quotes,
    commented_names,
    cut_at_rules,
    cut_short,
    is_title,
    lacks_a_name,
    last_words,
    listed_names,
    looks_like_data,
    undrawn,
    without_frame,
    without_names_again,
)

_RULE: Final = re.compile(r"\s*\|?\s*:?-{2,}[\s\-|;,+:]*")
_SNIFFED: Final = 30  # lines
_WORDS_OF_A_NAME: Final = 3
_FEW_ODD: Final = 0.1  # of the rows: the others are fields between blanks
_ENOUGH_DECIMALS: Final = 7  # what is cut behind them matters no more
_TYPE: Final = re.compile(  # what tells a row of types (RDB: 10N, S)
    r"|\d*[NSMD]|(?:big|small)?int(?:eger)?(?:8|16|32|64)?|long|short|real|double(?: precision)?"
    r"|float(?:16|32|64)?|str(?:ing)?|(?:var)?char(?:\(\d+\))?|text|bool(?:ean)?|object|date",
    re.IGNORECASE,
)
_BRACKETED: Final = re.compile(r"\[[^\[\]]*\]|\([^()]*\)")
_WORTH_THREADS: Final = 2**22  # characters
_COMMENTS_KEPT: Final = 65536  # characters


@dataclass(frozen=True, slots=True)
class TextTable:
    """One table of a text file, every cell as text.

    Attributes
    ----------
    name : str
    columns : dict of str to (n,) Series of str
    units : dict of str to str
    notes : tuple of str
    comments : str
    about : dict of str to str
        What the file says of columns in words.
    repeated : dict of str to str
        Columns that were given another name -> the name that an earlier one has, too.
    """

    name: str
    columns: dict[str, pd.Series]
    units: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    comments: str = ""
    about: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)


def problem(path: Path | str, reason: str, remedy: str) -> CatalogueError:
    """Return the one-line error of a file: its name, what is wrong, what to do."""
    return CatalogueError(" ".join(f"{path}: {reason}; {remedy}.".split()))


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names without repetition: the second ``ra`` is ``ra_2``; a nameless is numbered."""
    seen: set[str] = set()
    distinct = []
    for i, name in enumerate(names, start=1):
        base = str(name).strip().strip("\ufeff") or f"column_{i}"
        unique, k = base, 1
        while unique in seen:
            k += 1
            unique = f"{base}_{k}"
        seen.add(unique)
        distinct.append(unique)
    return distinct


def text_tables(path: Path, text: str, formats: str) -> list[TextTable]:
    """Read the tables of a text: CSV and its kin, ECSV, or VizieR's TSV with its dashes.

    Parameters
    ----------
    path : Path
        For messages.
    text : str
    formats : str
        What else could be given, for messages.
    """
    ended = text.endswith(("\n", "\r"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"\A\s*sep=(.)\n", "", text)  # of Excel; the header says it too
    if re.match(r"\s*#\s*%ECSV", text):
        return [_ecsv(path, text, formats, ended)]
    listed = listed_names(text)
    if listed is not None:
        return [_listed_table(path, listed, formats, ended)]
    text = undrawn(cut_at_rules(without_frame(text)))
    parts = _vizier(text)
    if parts is not None:
        return [_vizier_table(path, part, formats, ended) for part in parts]
    comments, header, body, notes = _split_header(text)
    return [_table(path, header, body, comments, formats, ended, notes)]


def _table(
    path: Path, header: str, body: str, comments: str, formats: str, ended: bool,
    notes: tuple[str, ...] = (), delimiter: str = "",
) -> TextTable:  # fmt: skip
    if not header.strip():
        reason = f"holds no rows, comments only ({last_words(comments)!r})"
        raise problem(path, reason, "ask the service again, or save the table anew")
    delimiter = delimiter or sniff(header, body)
    if delimiter not in header and (blanks := _separated_by_blanks(path, header, body)) is not None:
        header, body, delimiter = *blanks, "\t"
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    _check_header(path, header, names, formats)
    names, body = _without_trailing_delimiter(names, body, delimiter)
    if lacks_a_name(path, names, _first_rows(body), delimiter):
        names, notes = ["", *names], (*notes, "its first column has no name, those of rows")
    unique = distinct_names(names)
    again = {new: old for new, old in zip(unique, names, strict=True) if old and new != old}
    if not body.strip():
        empty = {name: pd.Series([], dtype="str") for name in unique}
        return TextTable("", empty, {}, notes, comments)
    body, remarks = _without_remarks(body, delimiter, len(unique))
    columns = _parsed(path, body, unique, delimiter)
    if '"' in body:
        check_quotes(path, columns, delimiter)
    columns, again_named = without_names_again(path, columns, names)
    notes = (*notes, *cut_short(comments), *remarks, *again_named)
    if not ended:
        columns, cut = _without_cut_row(columns)
        notes = (*notes, *cut)
    columns, units = _without_unit_row(columns)
    return TextTable("", columns, units, notes, comments[:_COMMENTS_KEPT], repeated=again)


def _listed_table(path: Path, listed: ListedNames, formats: str, ended: bool) -> TextTable:
    """Return a table whose names are listed above it: rows of fields between blanks."""
    names = distinct_names([name for name, _, _ in listed.columns])
    body = _as_tabs(listed.rows.strip("\n"))
    table = _table(path, "\t".join(names), body, "", formats, ended, delimiter="\t")
    said = {name: one for name, one in zip(names, listed.columns, strict=True)}
    units = {name: unit for name, (_, unit, _) in said.items() if unit}
    about = {name: words for name, (_, _, words) in said.items() if words}
    return replace(table, units=table.units | units, about=about)


def _split_header(text: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Comments above the header, header line, rows, notes; a commented header comes back."""
    comments: list[str] = []
    rest = text
    while True:
        first, _, after = rest.partition("\n")
        bare = first.strip()
        if bare.startswith("#"):
            comments.append(bare[1:])
        elif bare:
            break
        rest = after
        if not rest:
            break
    first, _, after = rest.partition("\n")
    header, units = commented_names(comments, first)
    is_row = looks_like_data(first) or _are_units(first)
    if header and is_row and not looks_like_data(header):
        above = "\n".join(one for one in comments if one not in (header, units))
        return above, header.strip(), f"{units.strip()}\n{rest}" if units else rest, ()
    below = after.lstrip("\n")
    second, _, rows = below.partition("\n")
    if second and is_title(first, second, sniff(second, rows)):
        said = first.strip(f'{DELIMITERS} "')
        return "\n".join([*comments, said]), second, rows, (f"title {said[:60]!r}",)
    return "\n".join(comments), first, after, ()


def _are_units(line: str) -> bool:
    """Tell whether a line holds units and nothing else (``deg,deg,mag``)."""
    words = [word.strip("\"' ()[]").lower() for word in re.split(rf"[{DELIMITERS}]", line)]
    return sum(map(bool, words)) > 1 and {word for word in words if word} <= UNIT_WORDS


def sniff(header: str, body: str) -> str:
    """Return the delimiter that splits header and first rows into equally many fields."""
    lines = _first_rows(body)

    def score(delimiter: str) -> tuple[int, int]:
        rows = list(csv.reader([header, *lines], delimiter=delimiter))
        widths = Counter(len(row) for row in rows[1:]) or Counter([len(rows[0])])
        agreement = sum(n for width, n in widths.items() if abs(width - len(rows[0])) <= 1)
        return (agreement if len(rows[0]) > 1 else 0, len(rows[0]))

    return max(DELIMITERS, key=score)


def _first_rows(body: str) -> list[str]:
    """Return the first rows of a table, without comments."""
    lines = body[: 2**18].split("\n")[:_SNIFFED]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _separated_by_blanks(path: Path, header: str, body: str) -> tuple[str, str] | None:
    """Return header and rows with tabs for blanks, where each row has a field for each name."""
    rows = [line for line in body.split("\n") if line.strip() and set(line) - set("-= ")]
    names = next(csv.reader([_as_tabs(header)], delimiter="\t"), [])
    if len(names) > 1 and lacks_a_name(path, names, rows[:_SNIFFED], " "):
        header = f"row {header}"
    fields = [next(csv.reader([_as_tabs(line)], delimiter="\t"), []) for line in [header, *rows]]
    if len(fields[0]) <= 1 or len(fields) == 1:
        return None
    odd = [i for i, one in enumerate(fields) if len(one) != len(fields[0])]
    if odd and len(odd) <= _FEW_ODD * (len(fields) - 1) and len(fields[0]) > _WORDS_OF_A_NAME:
        row, n = odd[0], len(fields[0])
        reason = (
            f"has {len(fields[row])} fields between blanks in row {row} ({rows[row - 1][:40]!r}), "
            f"and {n} names of columns"
        )
        raise problem(path, reason, "part the cells that have run together, or remove the row")
    if odd:
        return None
    return _as_tabs(header), "\n".join(_as_tabs(line) for line in rows)


def _check_header(path: Path, header: str, names: list[str], formats: str) -> None:
    """Refuse a first line that cannot be the names of columns."""
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    if numbers and len(numbers) == len([name for name in names if name]):
        raise problem(path, "has no header line", "put the names of the columns in the first line")
    if len(names) == 1 and len(header.split()) > _WORDS_OF_A_NAME:
        reason = f"its columns are not separated by comma, |, ; or tab ({header[:40].strip()!r})"
        raise problem(path, reason, f"give {formats}")


def _without_trailing_delimiter(
    names: list[str], body: str, delimiter: str
) -> tuple[list[str], str]:
    """Drop the empty field that a delimiter at the end of each line, or each row, makes."""
    first = body.lstrip("\n").partition("\n")[0]
    ends = re.escape(delimiter) + r"[ \t]*$" if delimiter != "\t" else r"\t$"
    width = len(next(csv.reader([first], delimiter=delimiter), []))
    if names and not names[-1] and re.search(ends, first) and width == len(names):
        return names[:-1], re.sub(ends, "", body, flags=re.MULTILINE)
    if width == len(names) + 1:  # a column of row names has no name either: its rows end in values
        rows = [line for line in body.split("\n") if line.strip()]
        if all(re.search(ends, row) for row in rows):
            return names, re.sub(ends, "", body, flags=re.MULTILINE)
    return names, body


def _without_remarks(body: str, delimiter: str, width: int) -> tuple[str, tuple[str, ...]]:
    """Leave out lines below the header that begin with # and are no rows; say how many."""
    if "#" not in body:
        return body, ()
    kept, n_left, is_within = [], 0, False
    for line in body.split("\n"):
        remark = not is_within and line.lstrip().startswith("#")
        is_within ^= bool(line.count('"') % 2) and not remark  # a cell of several lines
        if remark and len(next(csv.reader([line], delimiter=delimiter), [])) != width:
            n_left += 1
        else:
            kept.append(line)
    if not n_left:
        return body, ()
    return "\n".join(kept), (
        counted(
            n_left, "line below the header is a comment", "lines below the header are comments"
        ),
    )


def _parsed(path: Path, body: str, names: list[str], delimiter: str) -> dict[str, pd.Series]:
    """Every cell as text; a row that does not fit is an error."""
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(body.encode("utf-8", "surrogatepass")),
            pyarrow.csv.ReadOptions(
                column_names=names,
                block_size=_block_size(body),
                use_threads=len(body) > _WORTH_THREADS,
            ),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values='"' in body),
            convert,
        )
    except pa.ArrowInvalid as error:
        reason = f"its rows do not fit its {len(names)} columns ({error})"
        raise problem(path, reason, "correct or remove the row") from None
    return {
        name: column.to_pandas().astype("str")
        for name, column in zip(names, table.columns, strict=True)
    }


def _block_size(body: str) -> int:
    """Return a block that holds the longest row."""
    longest = max((len(line) for line in body.split("\n")), default=0)
    return max(2**20, 4 * longest)


def _without_cut_row(columns: dict[str, pd.Series]) -> tuple[dict[str, pd.Series], tuple[str, ...]]:
    """Leave out a last row whose last number is shorter than others: the file may be cut."""
    *_, last = columns.values()
    if len(last) <= 1:
        return columns, ()
    digits = last.str.strip().str.extract(r"^[+-]?(\d*)(?:[.,](\d*))?$").fillna("")
    whole, decimals = (digits[k].str.len() for k in (0, 1))
    has_point = (decimals.iloc[:-1] > 0).any()
    length = decimals if has_point else whole
    others = length.iloc[:-1]
    known = others[others > 0]
    usual = int(known.mode().iloc[0] if has_point else known.min()) if len(known) else 0
    is_number = bool(digits.iloc[-1].str.len().sum())
    enough = has_point and int(decimals.iloc[-1]) >= _ENOUGH_DECIMALS
    if not is_number or enough or int(length.iloc[-1]) >= usual:
        return columns, ()
    note = f"the file ends within a row: row {len(last)} may be cut short and is left out"
    return {name: values.iloc[:-1] for name, values in columns.items()}, (note,)


def _without_unit_row(
    columns: dict[str, pd.Series],
) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Take a first row of units (``deg,deg,mag``) for what it is."""
    if not all(len(values) > 1 for values in columns.values()):
        return columns, {}
    first = {name: str(values.iloc[0]).strip() for name, values in columns.items()}
    if all(_BRACKETED.fullmatch(word) for word in first.values() if word):
        first = {name: word[1:-1].strip() for name, word in first.items()}
    rest = {name: values.iloc[1:].reset_index(drop=True) for name, values in columns.items()}
    if sum(map(bool, first.values())) > 1 and all(map(_TYPE.fullmatch, first.values())):
        return rest, {}
    if not sum(word.strip("'\"").lower() in UNIT_WORDS for word in first.values()) > 1:
        return columns, {}
    if any(NUMBER.fullmatch(word) for word in first.values()):
        return columns, {}
    units = {name: word for name, word in first.items() if word}
    return rest, units


# --- ECSV ------------------------------------------------------------------------------------
def _ecsv(path: Path, text: str, formats: str, ended: bool) -> TextTable:
    """Read ECSV, Gaia's bulk files (``null`` for no value) included: units from its header."""
    from astropy.table import meta  # noqa: PLC0415  slow to import

    lines = text.split("\n")
    n = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), -1)
    if n < 0:
        raise problem(
            path, "cannot be read as a table (ECSV without a line of names)", "correct it"
        )
    said = [re.sub(r"^# ?", "", line) for line in lines[:n] if line.strip()]
    header = meta.get_header_from_yaml([line for line in said if not line.startswith("%")])
    delimiter = header.get("delimiter", " ")
    units = {
        str(one["name"]): str(one["unit"]) for one in header.get("datatype", ()) if one.get("unit")
    }
    body, names = "\n".join(lines[n + 1 :]), lines[n]
    if delimiter == " ":
        names, body, delimiter = _as_tabs(names), _as_tabs(body), "\t"
    comments = "\n".join(said)
    made = _table(path, names, body, comments, formats, ended, (), delimiter)
    about = {
        str(one["name"]): str(one["description"])
        for one in header.get("datatype", ())
        if one.get("description")
    }
    return replace(made, units=made.units | units, about=about)


def _as_tabs(text: str) -> str:
    """Return fields separated by blanks with tabs between them, quotes kept."""
    lines = []
    rows = (line.rstrip(" ") for line in text.split("\n"))
    for cells in csv.reader(rows, delimiter=" ", skipinitialspace=True):
        lines.append(
            "\t".join(
                '"' + one.replace('"', '""') + '"' if re.search(r'[\t"\n]', one) else one
                for one in cells
            )
        )
    return "\n".join(lines)


# --- VizieR ----------------------------------------------------------------------------------
def _vizier(text: str) -> list[list[str]] | None:
    """Return the tables of VizieR's TSV as lines; None when the text is none.

    Comments, names, units, a line of dashes, rows; and the same again for the next table.
    """
    lines = text.split("\n")
    rules = [i for i, line in enumerate(lines) if _RULE.fullmatch(line) and line.count("-") > 1]
    if not rules:
        return None
    first = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    if not first or rules[0] - first[0] not in (1, 2):
        return None
    starts = []
    for rule in rules:
        above = rule
        while above > 0 and lines[above - 1].strip(" ") and not lines[above - 1].startswith("#"):
            above -= 1  # a line of tabs is one of units, of which there are none
        if rule - above in (1, 2):
            starts.append(above)
    while starts[0] > 0 and (
        lines[starts[0] - 1].startswith("#") or not lines[starts[0] - 1].strip()
    ):
        starts[0] -= 1
    begins = [0]
    for start in starts[1:]:
        above = start
        while above > 0 and (lines[above - 1].startswith("#") or not lines[above - 1].strip()):
            above -= 1
        begins.append(above)
    return [lines[a:b] for a, b in zip(begins, [*begins[1:], len(lines)], strict=True)]


def _vizier_table(path: Path, lines: list[str], formats: str, ended: bool) -> TextTable:
    comments = [line[1:] for line in lines if line.startswith("#")]
    rest = [line for line in lines if line.strip() and not line.startswith("#")]
    rule = next(i for i, line in enumerate(rest) if _RULE.fullmatch(line))
    header, body = rest[0], "\n".join(rest[rule + 1 :])
    delimiter = max("\t;|,", key=lambda one: (header.count(one), one == "\t"))
    named = [re.match(r"\s*(?:Table|Name|RESOURCE=)[:\s]*([\w/+.\-]+)", line) for line in comments]
    name = next((match[1].rstrip(":") for match in named if match), "")
    names = next(csv.reader([header], delimiter=delimiter))
    said: list[str] = []
    if rule > 1:
        said = [one.strip() for one in next(csv.reader([rest[1]], delimiter=delimiter), [])]
    units = {label: unit for label, unit in zip(distinct_names(names), said, strict=False) if unit}
    made = _table(path, header, body, "\n".join(comments), formats, ended, (), delimiter)
    about = {}
    for line in comments:  # #Column <tab> name <tab> (format) <tab> description <tab> [ucd=…]
        if line.startswith("Column"):
            _, label, *words = [one.strip() for one in line.split("\t")] + [""]
            about[label] = " ".join(words)
    return replace(made, name=name, units=made.units | units, about=about)
