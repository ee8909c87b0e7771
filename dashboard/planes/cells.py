"""Cells of a table row: which hold nothing, which hold a number, and how they are written."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from msfa_core.counting import counted

__all__ = ["counted", "digits_of", "is_missing", "number", "sigma_words", "star_name"]

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


def sigma_words(difference: float, error: float) -> str:
    """Return a difference in units of its error, `` (2.8σ)`` or `` (42σ)``; nothing without one."""
    if not error > 0 or not math.isfinite(difference):
        return ""
    ratio = abs(difference) / error
    return f" ({ratio:.1f}σ)" if ratio < 9.95 else f" ({ratio:.0f}σ)"  # noqa: PLR2004


def star_name(row: pd.Series) -> str:
    """Return the name of the star of a spectrum: its Gaia number, else its identifier here."""
    gaia, uid = row["gaia_source_id"], row["uid"]
    if not is_missing(gaia) and int(gaia) > 0:
        return f"Gaia {int(gaia)}"
    return "" if is_missing(uid) else str(uid)
