"""Machine-readable tables of the AAS journals, written so that every reader reads them back.

The text is ASCII; a missing value is blank; units are those of the CDS. Formats come from
`columns.py`, so Table 6 of the paper looks like Table 6 of the paper.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import Column
from msfa_core.durable import WRITING
from msfa_core.errors import ExportError
from msfa_core.tables.guards import ESCAPES, escaped

LINE_LENGTH: Final = 80
CHUNK_ROWS: Final = 20_000  # rows turned to text at a time: bounds the memory
_EXPONENT_WIDTH: Final = 16  # of -1.23456789e+100
_EXPONENT_DIGITS: Final = 8
_SPELLED: Final = {  # what NFKD cannot take apart
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "λ": "lambda"},
    **{"μ": "u", "µ": "u", "σ": "sigma", "χ": "chi", "ϖ": "parallax", "Δ": "Delta", "Σ": "Sigma"},
    **{"Å": "Angstrom", "°": " deg", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "…": "..."},
    **{"–": "-", "—": "-", "−": "-", "‐": "-", "‘": "'", "’": "'", "“": '"', "”": '"'},
    **{"″": '"', "′": "'", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae"},
    **{"Æ": "AE", "œ": "oe", "đ": "d", "ı": "i"},
}


def to_ascii(text: str) -> str:
    """Return text of a header in one line of ASCII: accents gone, Greek spelled, else escaped."""
    if not text.isascii():
        text = "".join(_SPELLED.get(character, character) for character in text)
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(character for character in apart if not unicodedata.combining(character))
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    printable = "".join(character if character >= " " else " " for character in text)
    return " ".join(printable.replace("\x7f", " ").split())


def write_mrt(
    path: Path, columns: Sequence[Column], table: pd.DataFrame, header: Mapping[str, str]
) -> None:
    """Write a machine-readable table.

    Parameters
    ----------
    path : Path
    columns : sequence of Column
        Of the table, in its order.
    table : (n,) DataFrame
        Typed as the columns say.
    header : mapping
        ``title``, ``authors`` and ``table`` fill the lines of that name; the rest become notes.

    Raises
    ------
    ExportError
        When a row would be a blank line, which readers leave out, or two columns would get
        the same label.
    """
    labels = [re.sub(r"\s+", "_", to_ascii(column.name)) or "_" for column in columns]
    if len(set(labels)) < len(labels):
        raise ExportError(f"Two columns would both be labelled {_repeated(labels)!r}; rename one.")
    is_escaped = False
    texts: dict[str, pd.Series] = {}
    for column in columns:
        if column.kind == "str":
            plain = table[column.name].map(escaped, na_action="ignore")
            is_escaped |= bool((table[column.name].dropna() != plain.dropna()).any())
            texts[column.name] = plain
    widths = [_width(column, texts.get(column.name, table[column.name])) for column in columns]
    notes = {key: text for key, text in header.items() if key not in ("title", "authors", "table")}
    if is_escaped or any(not text.isascii() for text in header.values()):
        notes["characters"] = ESCAPES
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(_head(header) + _byte_by_byte(path, columns, labels, widths, table))
        file.write(_notes(notes))
        for start in range(0, len(table), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            cells = [
                _cells(column, texts.get(column.name, table[column.name]).iloc[rows], width)
                for column, width in zip(columns, widths, strict=True)
            ]
            lines = [" ".join(row).rstrip() for row in zip(*cells, strict=True)]
            _check_lines(lines, start)
            file.write("\n".join(lines) + "\n")


# --- header --------------------------------------------------------------------------------
def _plain(text: str) -> str:
    """Return header text that no reader takes for a rule of dashes."""
    return re.sub(r"([-=])\1{3,}", r"\1\1\1", to_ascii(text))


def _head(header: Mapping[str, str]) -> str:
    lines: list[str] = []
    for key in ("title", "authors", "table"):
        label = key.capitalize() + ": "
        lines += textwrap.wrap(
            label + _plain(header.get(key, "")), LINE_LENGTH, subsequent_indent=" " * len(label)
        )
    return "\n".join(lines) + "\n" + "=" * LINE_LENGTH + "\n"


def _byte_by_byte(
    path: Path,
    columns: Sequence[Column],
    labels: Sequence[str],
    widths: Sequence[int],
    table: pd.DataFrame,
) -> str:
    name = to_ascii(re.sub(rf"^\.|\.[0-9a-f]+{re.escape(WRITING)}$", "", path.name))
    unit_names = [_cds_unit(column.unit) for column in columns]
    unit_width = max(5, *(len(unit) for unit in unit_names))
    label_width = max(5, *(len(label) for label in labels))
    rule = "-" * LINE_LENGTH
    lines = [
        f"Byte-by-byte Description of file: {name}",
        rule,
        f"   Bytes Format {'Units':{unit_width}s} {'Label':{label_width}s} Explanations",
        rule,
    ]
    first = 1
    for column, label, unit, width in zip(columns, labels, unit_names, widths, strict=True):
        last = first + width - 1
        place = f"{first:4d}-{last:4d}" if width > 1 else f"{last:9d}"
        form = _format(column, width)
        start = f"{place} {form:6s} {unit:{unit_width}s} {label:{label_width}s} "
        missing = "? " if table[column.name].isna().any() or _blank(table, column) else ""
        text = missing + _plain(column.description or "User's own column").lstrip("?[]= ")
        if column.kind == "bool":
            text += " (1 = yes, 0 = no)"
        lines += _wrapped(start, text)
        first = last + 2
    return "\n".join([*lines, rule]) + "\n"


def _blank(table: pd.DataFrame, column: Column) -> bool:
    """Return whether a number will be left blank because no digits can say it."""
    if column.kind != "float":
        return False
    return not bool(np.isfinite(table[column.name].to_numpy(np.float64)).all())


def _wrapped(start: str, text: str) -> list[str]:
    """Return a column's lines; no continuation begins with a number, which readers misread."""
    glued = re.sub(r" (?=\d)", "\0", text)
    room = max(LINE_LENGTH - len(start), LINE_LENGTH // 3)
    parts = textwrap.wrap(glued, room, break_long_words=False, break_on_hyphens=False) or [""]
    lines = [start + parts[0], *(" " * len(start) + part for part in parts[1:])]
    return [line.replace("\0", " ").rstrip() for line in lines]


def _notes(notes: Mapping[str, str]) -> str:
    if not notes:
        return ""
    lines: list[str] = []
    for number, (key, text) in enumerate(notes.items(), start=1):
        label = f"Note ({number}): "
        lines += textwrap.wrap(
            f"{label}{_plain(key)}: {_plain(text)}", LINE_LENGTH, subsequent_indent=" " * len(label)
        )
    return "\n".join([*lines, "-" * LINE_LENGTH]) + "\n"


def _cds_unit(unit: str) -> str:
    """Return a unit as the CDS writes it; ``dex(1)`` is ``[-]``."""
    from astropy import units  # noqa: PLC0415  slow to import

    return units.Unit(unit).to_string("cds").replace(" ", "") if unit else "---"


# --- cells ---------------------------------------------------------------------------------
def _python_format(column: Column) -> str:
    """Return the format of numbers: that of the column, else one that keeps nine digits."""
    if column.kind == "float" and not re.fullmatch(r"\.\d+f", column.format):
        return f"{_EXPONENT_WIDTH}.{_EXPONENT_DIGITS}e"
    return column.format or "d"


def _format(column: Column, width: int) -> str:
    """Return the Fortran format of the byte-by-byte description."""
    if column.kind == "str":
        return f"A{width}"
    if column.kind == "bool":
        return "I1"
    if column.kind == "int":
        return f"I{width}"
    form = _python_format(column)
    return f"F{width}{form[:-1]}" if form.endswith("f") else f"E{width}.{_EXPONENT_DIGITS}"


def _width(column: Column, values: pd.Series) -> int:
    """Return the characters that the widest value takes."""
    present = values.dropna()
    if column.kind == "bool" or (len(present) == 0 and column.kind != "float"):
        return 1
    if column.kind == "str":
        return max(1, int(present.str.len().max()))
    form = _python_format(column)
    if form.endswith("e"):
        return _EXPONENT_WIDTH
    if column.kind == "int":
        return max(len(format(int(value), form)) for value in (present.min(), present.max()))
    finite = present[np.isfinite(present)]
    ends = (finite.min(), finite.max()) if len(finite) else (0.0,)
    return max(len(format(float(value), form)) for value in (*ends, 0.0))


def _cells(column: Column, values: pd.Series, width: int) -> list[str]:
    """Return the text of each value, filled up to the width."""
    blank = " " * width
    if column.kind == "str":
        return [text.ljust(width) if isinstance(text, str) else blank for text in values]
    missing = values.isna().to_numpy()
    if column.kind == "bool":
        numbers = values.fillna(False).astype("int64").to_numpy()
        form = "d"
    elif column.kind == "int":
        numbers = values.fillna(0).to_numpy(np.int64)
        form = _python_format(column)
    else:
        numbers = values.to_numpy(np.float64) + 0.0  # no -0.0: its sign would need room
        missing = ~np.isfinite(numbers)
        form = _python_format(column)
    form = f"%{width}{form.lstrip('0123456789')}"
    pairs = zip(numbers.tolist(), missing.tolist(), strict=True)
    return [blank if skip else form % number for number, skip in pairs]


def _check_lines(lines: Sequence[str], start: int) -> None:
    """Raise when a line would be lost on reading."""
    for number, line in enumerate(lines, start=start + 1):
        if not line.strip(" -="):
            raise ExportError(
                f"Row {number} would be a blank line or a rule, which readers leave out: add a "
                "column that every row has, such as obsid."
            )


def _repeated(labels: Sequence[str]) -> str:
    return next(label for label in labels if labels.count(label) > 1)
