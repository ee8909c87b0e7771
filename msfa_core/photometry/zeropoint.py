"""The parallax zero point of Gaia DR3 (Lindegren et al. 2021, A&A 649, A4), an option."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.photometry.colours import column
from msfa_core.typing import FloatArray

logger = logging.getLogger(__name__)


NEEDED: Final = (
    "g_mag", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat", "astrometric_params_solved",
)  # fmt: skip
FIVE_PARAMETERS, SIX_PARAMETERS = 31, 95
_G_RANGE: Final = (6.0, 21.0)  # mag, where the correction was determined
_NU_EFF_RANGE: Final = (1.1, 1.9)  # 1/micron, five-parameter solutions
_PSEUDOCOLOUR_RANGE: Final = (1.24, 1.72)  # 1/micron, six-parameter solutions
_ANY: Final = 1.48  # of the colour that a solution does not use


def parallax_zero_point(gaia: pd.DataFrame) -> FloatArray:
    """Return the parallax zero point; subtract it from a parallax.

    Parameters
    ----------
    gaia : n rows
        ``NEEDED`` columns, as the Gaia archive names them (G by its house name).

    Returns
    -------
    (n,) array [mas]
        NaN where a value is missing or outside the range of the correction; all NaN, with a
        warning in the log that names it, where a column is missing altogether.
    """
    missing = [name for name in NEEDED if np.isnan(column(gaia, name)).all()]
    optional = {"pseudocolour", "nu_eff_used_in_astrometry"}  # one of them serves a solution
    if len(gaia) and (set(missing) - optional or optional <= set(missing)):
        logger.warning(
            "no parallax zero point: the Gaia table lacks %s; add them, or leave the setting "
            "parallax_zero_point off. Parallaxes are used as they are.",
            ", ".join(missing),
        )
        return np.full(len(gaia), np.nan)
    g_mag, nu_eff, pseudo, latitude, solved = (column(gaia, name) for name in NEEDED)
    five = (solved == FIVE_PARAMETERS) & _within(nu_eff, _NU_EFF_RANGE)
    six = (solved == SIX_PARAMETERS) & _within(pseudo, _PSEUDOCOLOUR_RANGE)
    rows = np.flatnonzero((five | six) & _within(g_mag, _G_RANGE) & np.isfinite(latitude))
    zero = np.full(len(gaia), np.nan)
    if len(rows):
        from zero_point import zpt  # noqa: PLC0415 (only where the option is on)

        zpt.load_tables()
        zero[rows] = zpt.get_zpt(
            g_mag[rows],
            np.where(five, nu_eff, _ANY)[rows],
            np.where(six, pseudo, _ANY)[rows],
            latitude[rows],
            solved[rows],
            _warnings=False,
        )
    return zero


def _within(values: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """(n,) True strictly between the limits."""
    inside: NDArray[np.bool_] = (values > limits[0]) & (values < limits[1])
    return inside
