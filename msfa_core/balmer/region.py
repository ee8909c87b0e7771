"""Which spectra of a table lie in a D0.2–fm selection (paper Eq. 12)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer.membership import has_probability, p_in_region
from msfa_core.balmer.selection import get_selection, in_bhb_region
from msfa_core.constants import FIT_LINES

if TYPE_CHECKING:
    from msfa_core.balmer.fit import LineFits

_LINE_VALUES: Final = ("d02", "fm", "width", "shape")
_LINE_CORRELATIONS: Final = ("d02_fm_correlation", "width_shape_correlation")


def are_in_bhb_region(table: pd.DataFrame, selection: str) -> pd.Series:
    """Tell which spectra lie in a D0.2–fm selection; missing where not measured."""
    inside = pd.Series(in_bhb_region(_line_fits(table), selection), index=table.index)
    return inside.astype("boolean").mask(~_are_measured(table), pd.NA)


def p_in_bhb_region(table: pd.DataFrame, selection: str) -> pd.Series:
    """Return the probability that each spectrum lies in a selection, given its errors.

    Missing where not measured, and for a selection whose limits have no common distribution.
    """
    if not has_probability(selection):
        return pd.Series(np.nan, index=table.index)
    return pd.Series(p_in_region(_line_fits(table), selection), index=table.index)


def inside_by_line(table: pd.DataFrame, selection: str) -> dict[str, pd.Series]:
    """Tell which spectra lie within the cuts of each line that a selection has cuts for."""
    chosen, fits = get_selection(selection), _line_fits(table)
    return {
        line: pd.Series(
            chosen.contains(
                line,
                *(getattr(fits, what)[:, FIT_LINES.index(line)] for what in _LINE_VALUES),
            ),
            index=table.index,
        )
        for line in chosen.lines
    }


def check_selection(selection: str) -> None:
    """Raise before any work where a selection cannot be read.

    Raises
    ------
    ConfigError
        Saying what is wrong with it, and what it should look like.
    """
    get_selection(selection)


def _line_fits(table: pd.DataFrame) -> LineFits:
    """Return what selections need of the fits, out of the columns; NaN where one is not there."""

    def line_columns(what: str, end: str = "") -> NDArray[np.float64]:
        names = [f"{what}_{line}{end}" for line in FIT_LINES]
        return table.reindex(columns=names).to_numpy(np.float64, na_value=np.nan)

    values = {what: line_columns(what) for what in (*_LINE_VALUES, *_LINE_CORRELATIONS)}
    errors = {f"{what}_err": line_columns(what, "_err") for what in _LINE_VALUES}
    return cast("LineFits", SimpleNamespace(lines=FIT_LINES, **values, **errors))


def _are_measured(table: pd.DataFrame) -> pd.Series:
    return table[[f"balmer_flags_{line}" for line in FIT_LINES]].notna().all(axis=1)
