"""Which spectra of a table lie in a D0.2–fm selection (paper Eq. 12)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from msfa_core.balmer.line_values import LineValues
from msfa_core.balmer.membership import has_probability, in_bhb_region, p_in_region
from msfa_core.balmer.selection import Selection, get_selection
from msfa_core.columns import numbers
from msfa_core.constants import FIT_LINES
from msfa_core.typing import BoolArray


def are_in_bhb_region(table: pd.DataFrame, selection: str) -> pd.Series:
    """Tell which spectra lie in a D0.2–fm selection.

    Outside are those of which a line that was measured is; missing where no such line tells.
    """
    inside = inside_all(table, selection)
    outside = np.zeros(len(table), dtype=bool)
    for line, within in inside_by_line(table, selection).items():
        outside |= have_line(table, line) & ~within
    known = _are_measured(table) & (inside | outside)
    return pd.Series(inside, index=table.index).astype("boolean").mask(~known, pd.NA)


def p_in_bhb_region(table: pd.DataFrame, selection: str) -> pd.Series:
    """Return the probability that each spectrum lies in a selection, given its errors.

    Missing where not measured, and for a selection whose limits have no common distribution.
    """
    if not has_probability(selection):
        return pd.Series(np.nan, index=table.index)
    return pd.Series(p_in_region(LineValues.from_table(table), selection), index=table.index)


def inside_by_line(table: pd.DataFrame, selection: str | Selection) -> dict[str, BoolArray]:
    """Tell which spectra lie within the cuts of each line that a selection has cuts for."""
    chosen = get_selection(selection)
    return {
        line: chosen.contains(
            line, *(numbers(table, f"{what}_{line}") for what in ("d02", "fm", "width", "shape"))
        )
        for line in chosen.lines
    }


def inside_all(table: pd.DataFrame, selection: str | Selection) -> BoolArray:
    """Tell which spectra lie in a selection; False where a line was not measured."""
    return in_bhb_region(LineValues.from_table(table), selection)


def have_line(table: pd.DataFrame, line: str) -> BoolArray:
    """Tell of which spectra D0.2 and fm of a line are known."""
    return np.isfinite(numbers(table, f"d02_{line}") + numbers(table, f"fm_{line}"))


def check_selection(selection: str) -> None:
    """Raise before any work where a selection cannot be read.

    Raises
    ------
    ConfigError
        Saying what is wrong with it, and what it should look like.
    """
    get_selection(selection)


def _are_measured(table: pd.DataFrame) -> pd.Series:
    return table[[f"balmer_flags_{line}" for line in FIT_LINES]].notna().all(axis=1)
