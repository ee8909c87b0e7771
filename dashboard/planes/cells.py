"""Cells of a table row: which hold nothing, which hold a number, and how they are written."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from msfa_core.counting import counted

__all__ = ["counted", "digits_of", "is_missing", "number", "share_words", "star_name"]

MOST_DIGITS: Final = 5


def is_missing(value: Any) -> bool:
    """Return whether a cell of the table holds nothing."""
    return value is None or bool(pd.isna(value)) or value == ""


def number(row: pd.Series | None, name: str) -> float:
    """Return a number of a row; missing is NaN."""
    value = None if row is None else row.get(name)
    return float("nan") if value is None or pd.isna(value) else float(value)


def digits_of(error: float, digits: int) -> int:
    """Return the digits of a value and its error: more than usual where the error would be 0.00."""
    if not math.isfinite(error) or error <= 0:
        return digits
    return max(digits, min(MOST_DIGITS, math.ceil(-math.log10(2 * error))))


def share_words(share: float) -> str:
    """Return a share between 0 and 1 to three digits; neither nothing nor all unless it is."""
    if 0 < share < 0.0005:  # noqa: PLR2004
        return "<0.001"
    if 0.9995 <= share < 1:  # noqa: PLR2004
        return ">0.999"
    return f"{share:.3f}"


def star_name(row: pd.Series) -> str:
    """Return the name of the star of a spectrum: its Gaia number, else its identifier here."""
    gaia, uid = row["gaia_source_id"], row["uid"]
    if not is_missing(gaia) and int(gaia) > 0:
        return f"Gaia {int(gaia)}"
    return "" if is_missing(uid) else str(uid)
