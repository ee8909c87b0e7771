"""What exports do to text that a format or a spreadsheet would spoil, and how it is undone."""

from __future__ import annotations

from typing import Final

import pandas as pd

FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
GUARDED: Final = "in the CSV, a leading ' guards text from being run; take one off"
ESCAPES: Final = (
    "text: a backslash begins what ASCII cannot hold, as Python writes it (\\xfc and \\u0416 are "
    "characters of Unicode, \\n is a line end, two are one); headers are spelled without accents"
)


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
