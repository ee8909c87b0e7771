"""Cells of a table row: which hold nothing, which hold a number."""

from __future__ import annotations

from typing import Any

import pandas as pd

from msfa_core.counting import counted

__all__ = ["counted", "is_missing", "number"]


def is_missing(value: Any) -> bool:
    """Return whether a cell of the table holds nothing."""
    return value is None or bool(pd.isna(value)) or value == ""


def number(row: pd.Series | None, name: str) -> float:
    """Return a number of a row; missing is NaN."""
    value = None if row is None else row.get(name)
    return float("nan") if value is None or pd.isna(value) else float(value)
