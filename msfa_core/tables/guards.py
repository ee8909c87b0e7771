"""What exports do to text that a format or a spreadsheet would spoil, and how it is undone."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
GUARDED: Final = "in the CSV, a leading ' guards text from being run; take one off"
ESCAPES: Final = (
    "text: a backslash begins what ASCII cannot hold, as Python writes it (\\xfc and \\u0416 are "
    "characters of Unicode, \\n is a line end, two are one); headers are spelled without accents"
)
_TIDY: Final = r"^[!-~]([ -~]*[!-~])?$"  # ASCII between signs that are seen
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tidied(values: pd.Series) -> pd.Series:
    """Return a column of text tidied: of millions of cells, few or none are not."""
    try:
        words = pa.array(values, type=pa.string(), from_pandas=True)
    except UnicodeEncodeError:  # halves of a character
        return values.map(tidy, na_action="ignore").astype("str")
    is_tidy = pc.fill_null(pc.match_substring_regex(words, _TIDY), True)
    odd = ~is_tidy.to_numpy(zero_copy_only=False).astype(bool)
    if odd.any():
        values = values.astype("object")
        values[odd] = values[odd].map(tidy)
    return values.astype("str")  # all missing: else floats


def tidy(text: str) -> str:
    """Return text without control characters (line ends and tabs stay)."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def escaped(text: str) -> str:
    """Return the text of a cell in printable ASCII, from which `unescaped` gives it back."""
    return text.encode("unicode_escape").decode("ascii")


def unescaped(text: str) -> str:
    """Return the text that `escaped` wrote.

    Raises
    ------
    UnicodeError
        When it wrote no such text.
    """
    return text.encode("ascii").decode("unicode_escape")


def harmless(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula; `as_written` undoes it."""
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def as_written(cell: str) -> str:
    """Return the text that a cell of our CSV was written from: without the guarding ``'``."""
    return cell.removeprefix("'")


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table for people as CSV, the words of others made `harmless`."""
    safe = table.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    return safe.to_csv(index=False, lineterminator="\n").encode()
