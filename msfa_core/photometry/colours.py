"""The four colours that join the spectrum when stars are labelled: BP−G, G−RP, BP−RP and J−H.

The colours are those of Ju et al. (2025), dereddened where E(B−V) is known.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import numbers as column
from msfa_core.constants import COLOURS, EBV_LIMITS, EXTINCTION_PER_EBV, GAIA_ZERO_POINT_ERROR
from msfa_core.typing import FloatArray

BANDS: Final = {  # colour -> (bluer, redder) band
    "bp_g": ("bp", "g"),
    "g_rp": ("g", "rp"),
    "bp_rp": ("bp", "rp"),
    "j_h": ("j", "h"),
}
COLOUR_COLUMNS: Final = (  # what `colours` looks at
    *(f"{band}_mag" for band in ("g", "bp", "rp", "j", "h")),
    *(f"{band}_mag_err" for band in ("g", "bp", "rp", "j", "h")),
    *("g_flux_over_error", "bp_flux_over_error", "rp_flux_over_error"),
    *COLOURS,
    *(f"{name}_err" for name in COLOURS),
    "ebv",
)
MAG_PER_RELATIVE_ERROR: Final = 2.5 / np.log(10)  # dm = 2.5/ln 10 · dF/F


def colours(table: pd.DataFrame) -> pd.DataFrame:
    """Return the four colours of each star with their errors.

    Parameters
    ----------
    table : n rows
        House names, any of them may be absent: ``g_mag, bp_mag, rp_mag, j_mag, h_mag`` [mag],
        ``bp_flux_over_error, rp_flux_over_error``, ``j_mag_err, h_mag_err`` [mag], ``ebv``
        [mag]. A colour whose magnitudes are missing is taken from a column of its own name.

    Returns
    -------
    n rows, index of ``table``
        ``bp_g, g_rp, bp_rp, j_h`` [mag] and each one's ``_err`` [mag]. Dereddened where ``ebv``
        is known, as observed where it is not. NaN where a magnitude is missing or ``ebv`` is
        absurd (outside ``EBV_LIMITS``); an error is NaN where it is unknown.
    """
    ebv = reddening(table)
    result = {}
    for name, (blue, red) in BANDS.items():
        value = column(table, f"{blue}_mag") - column(table, f"{red}_mag")
        error = np.hypot(magnitude_error(table, blue), magnitude_error(table, red))
        listed = np.isnan(value)
        value = np.where(listed, column(table, name), value)
        error = np.where(listed, column(table, f"{name}_err"), error)
        value = value - ebv * colour_excess(name)
        result[name] = value
        result[f"{name}_err"] = np.where(np.isfinite(value), error, np.nan)
    return pd.DataFrame(result, index=table.index)


def colour_excess(name: str) -> float:
    """Return how much redder a colour is per magnitude of E(B−V).

    Parameters
    ----------
    name : str
        Of ``COLOURS``.
    """
    blue, red = BANDS[name]
    return float(EXTINCTION_PER_EBV[blue]) - float(EXTINCTION_PER_EBV[red])


def is_absurd(ebv: FloatArray) -> NDArray[np.bool_]:
    """Tell where a reddening is beyond what a star can have; False where it is missing.

    Parameters
    ----------
    ebv : (n,) array [mag]

    Returns
    -------
    (n,) bool array
    """
    low, high = (float(limit) for limit in EBV_LIMITS)
    with np.errstate(invalid="ignore"):
        absurd: NDArray[np.bool_] = (ebv < low) | (ebv > high)
    return absurd


def reddening(table: pd.DataFrame) -> FloatArray:
    """Return E(B−V) to correct colours with: 0 where unknown, NaN where absurd.

    Parameters
    ----------
    table : n rows, with ``ebv`` [mag] where that is known

    Returns
    -------
    (n,) array [mag]
    """
    ebv = column(table, "ebv")
    return np.where(is_absurd(ebv), np.nan, np.where(np.isnan(ebv), 0.0, ebv))


def magnitude_error(table: pd.DataFrame, band: str) -> FloatArray:
    """Return the error of a magnitude: listed, or that of its flux with the zero point's.

    Parameters
    ----------
    table : n rows
    band : str
        ``g``, ``bp``, ``rp``, ``j``, ``h`` or ``ks``.

    Returns
    -------
    (n,) array [mag]
        NaN where unknown. G is so well measured that its zero point alone counts.
    """
    listed = column(table, f"{band}_mag_err")
    if band not in GAIA_ZERO_POINT_ERROR:
        return listed
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = column(table, f"{band}_flux_over_error")
        of_flux = MAG_PER_RELATIVE_ERROR / np.where(snr > 0, snr, np.nan)
    if band == "g":
        of_flux = np.where(np.isnan(of_flux), 0.0, of_flux)
    computed = np.hypot(of_flux, float(GAIA_ZERO_POINT_ERROR[band]))
    return np.where(np.isnan(listed), computed, listed)
