"""Stellar labels Teff, log g and [Fe/H]: which of them do not suit a BHB star (paper §V.3.1)."""

from __future__ import annotations

import enum

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msfa_core.constants import FEH_OUTLIER, KIEL_BAND, LOGG_OUTLIER

FloatArray = NDArray[np.float64]


class LabelOutlier(enum.StrEnum):
    """Why a star is set aside by its labels; the first that holds, both limits before one."""

    NONE = "within the limits"
    GRAVITY_AND_METALS = "high log g and [Fe/H]"
    GRAVITY = "high log g"
    METALS = "high [Fe/H]"
    OUTSIDE_BAND = "outside the Kiel band"
    UNLABELLED = "no labels"


def kiel_band(teff: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the gravities between which BHB stars lie (Culpan et al. 2024).

    Parameters
    ----------
    teff : (n,) array [K]

    Returns
    -------
    lower, upper : (n,) arrays [dex]
    """
    logarithm = np.log10(np.asarray(teff, dtype=np.float64))
    (slope_low, low), (slope_high, high) = KIEL_BAND
    return slope_low * logarithm + float(low), slope_high * logarithm + float(high)


def in_kiel_band(teff: ArrayLike, logg: ArrayLike) -> NDArray[np.bool_]:
    """Tell which stars lie inside the Kiel band; False where a label is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = kiel_band(teff)
        gravity = np.asarray(logg, dtype=np.float64)
        inside: NDArray[np.bool_] = (gravity > lower) & (gravity < upper)
    return inside


def label_outliers(
    teff: ArrayLike,
    logg: ArrayLike,
    feh: ArrayLike,
    *,
    logg_limit: float = float(LOGG_OUTLIER),
    feh_limit: float = float(FEH_OUTLIER),
) -> pd.Categorical:
    """Name the reason, if any, why each star is an outlier among BHB stars.

    Parameters
    ----------
    teff : (n,) array [K]
    logg, feh : (n,) arrays [dex]
        Missing labels are NaN. A star with some labels is judged by those it has.
    logg_limit, feh_limit : float
        Limits above which a label is an outlier [dex].

    Returns
    -------
    (n,) categorical of `LabelOutlier`
    """
    temperature, gravity, metals = (
        np.asarray(values, dtype=np.float64) for values in (teff, logg, feh)
    )
    known = np.isfinite(temperature) & np.isfinite(gravity)
    heavy, rich = gravity > logg_limit, metals > feh_limit
    reasons = {
        LabelOutlier.GRAVITY_AND_METALS: heavy & rich,
        LabelOutlier.GRAVITY: heavy,
        LabelOutlier.METALS: rich,
        LabelOutlier.OUTSIDE_BAND: known & ~in_kiel_band(temperature, gravity),
        LabelOutlier.UNLABELLED: ~(known | np.isfinite(metals)),
    }
    order = list(LabelOutlier)
    codes = np.select(
        list(reasons.values()), [order.index(reason) for reason in reasons], default=0
    )
    return pd.Categorical.from_codes(codes, categories=[str(reason) for reason in order])
