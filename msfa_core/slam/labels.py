"""Stellar labels Teff, log g and [Fe/H]: which do not suit a BHB star, and why (paper §V.3.1)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import numbers
from msfa_core.constants import (
    CLASS_LABELS,
    FEH_OUTLIER,
    FOLDED,
    FOLDED_CORNERS,
    HELIUM_WINDOWS,
    HOT_TEFF_SCALE,
    LABEL_CHI2_MAX,
    LABEL_EXTERNAL_ERROR,
    LABEL_EXTERNAL_ERROR_BEYOND,
    LABELS,
    LOGG_ERROR_AT_STRONGEST,
    LOGG_OUTLIER,
)
from msfa_core.flags import LabelFlag
from msfa_core.rules import in_kiel_band, kiel_band
from msfa_core.typing import FloatArray

HELIUM = tuple((float(low), float(high)) for low, high in HELIUM_WINDOWS)  # Å, vacuum
_CLASS_ROOM = 2.0  # errors beyond the limits of a class before labels disagree with it
_LEAST_ERROR = {name: float(error) for name, error in LABEL_EXTERNAL_ERROR.items()}
_MOST_ODD = 5.0  # of one reason
_ODD_FLAGS = {  # what a flag adds to the oddness
    LabelFlag.DISAGREES_WITH_PHOTOMETRY: 2.0,
    LabelFlag.DISAGREES_WITH_CLASS: 2.0,
    LabelFlag.OUTSIDE_HULL: 1.0,
    LabelFlag.AT_EDGE: 1.0,
    LabelFlag.NOT_CONVERGED: 1.0,
    LabelFlag.FOLDED: 1.0,
}


def label_flags(
    table: pd.DataFrame,
    *,
    logg_limit: float = float(LOGG_OUTLIER),
    feh_limit: float = float(FEH_OUTLIER),
) -> NDArray[np.int64]:
    """Tell what speaks against each star's labels, beyond what their fit knows.

    Parameters
    ----------
    table : (n,) DataFrame
        ``teff, logg, feh``; their errors and ``predicted_class`` where known.
    logg_limit, feh_limit : float
        [dex]

    Returns
    -------
    (n,) int64 array
        ``MISSING, HIGH_LOGG, HIGH_FEH, OUTSIDE_KIEL_BAND`` and ``DISAGREES_WITH_CLASS`` of
        `LabelFlag`.
    """
    teff, logg, feh = (numbers(table, name) for name in LABELS)
    known = np.isfinite(np.column_stack([teff, logg, feh]))
    raised = {
        LabelFlag.MISSING: ~known.all(axis=1),
        LabelFlag.HIGH_LOGG: logg > logg_limit,
        LabelFlag.HIGH_FEH: feh > feh_limit,
        LabelFlag.OUTSIDE_KIEL_BAND: known[:, :2].all(axis=1) & ~in_kiel_band(teff, logg),
        LabelFlag.DISAGREES_WITH_CLASS: disagrees_with_class(table),
    }
    flags = np.zeros(len(table), dtype=np.int64)
    for flag, rows in raised.items():
        flags[rows] |= int(flag)
    return flags


def on_hot_scale(teff: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Teff of real stars from that of models of our atmospheres, and its slope.

    Parameters
    ----------
    teff : (n,) array [K]
        On the scale of A stars, as `simulate.labelled_grid` has it; hotter than they are, stars of
        published Teff come out cool (``HOT_TEFF_SCALE``).

    Returns
    -------
    scaled : (n,) array [K]
    slope : (n,) array
        By how much it changes where the other changes by 1 K.
    """
    teff = np.asarray(teff, dtype=np.float64)
    begin, end, ratio = (float(HOT_TEFF_SCALE[name]) for name in ("from", "up_to", "ratio"))
    share = np.clip((teff - begin) / (end - begin), 0.0, 1.0)
    growth = 1.0 + (ratio - 1.0) * share
    bends = (teff > begin) & (teff < end)
    return teff * growth, growth + np.where(bends, teff * (ratio - 1.0) / (end - begin), 0.0)


def are_folded(
    labels: FloatArray,
    distance: FloatArray,
    behind: FloatArray,
    helium: FloatArray,
    has_corners: bool = True,
) -> NDArray[np.bool_]:
    """Tell whose Teff may lie elsewhere, most often across the strongest Balmer lines.

    Hot stars look like cool ones of low gravity, or without metals, and the other way round.

    Parameters
    ----------
    labels : (n, 3) array
    distance : (n,) array [K]
        Of the Teff of the next minimum of χ².
    behind : (n,) array
        By how much χ² is larger there.
    helium : (n,) array
        By how many σ the He I lines are stronger than the labels make them; NaN unseen.
    has_corners : bool
        Whether the model is of our atmospheres: in two corners of these only folded stars lie,
        where a survey's own labels have honest giants.
    """
    teff, logg, feh = labels.T
    far, close, sigmas, hot = (
        float(FOLDED[name]) for name in ("distance", "behind", "helium", "helium_from")
    )
    poor, thin = (FOLDED_CORNERS[name] for name in ("poor", "thin"))
    with np.errstate(invalid="ignore"):
        rival = (distance > far) & (behind < close)
        strong = helium > sigmas
        weak = (helium < -sigmas) & (teff > hot)
    corner = (teff < poor[0]) & (feh < poor[1])
    corner |= (teff < thin[0]) & (logg < thin[1])
    folded: NDArray[np.bool_] = rival | strong | weak | (corner & has_corners)
    return folded


def external_errors(teff: FloatArray) -> dict[str, FloatArray]:
    """Return by how much labels of real stars scatter beyond the errors of their fit.

    Parameters
    ----------
    teff : (n,) array [K]
        As found. Errors grow where stars like those that the scale was found on end: of Teff and
        [Fe/H] to the hot side, of log g to the cool one (``LABEL_EXTERNAL_ERROR_BEYOND``) and
        where Balmer lines are strongest (``LOGG_ERROR_AT_STRONGEST``).

    Returns
    -------
    dict of str to (n,) array [K, dex, dex]
    """
    out = {}
    for name, beyond in LABEL_EXTERNAL_ERROR_BEYOND.items():
        begin, end, most = (float(one) for one in beyond)
        share = np.clip((np.asarray(teff) - begin) / (end - begin), 0.0, 1.0)
        out[name] = _LEAST_ERROR[name] + share * (most - _LEAST_ERROR[name])
    *ends, most = (float(one) for one in LOGG_ERROR_AT_STRONGEST.values())
    least = _LEAST_ERROR["logg"]
    out["logg"] = np.maximum(out["logg"], np.interp(teff, ends, [least, most, most, least]))
    return out


def disagrees_with_class(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which stars have labels that stars of their ``predicted_class`` do not have.

    A label counts when it lies outside the limits of the class by two of its errors or more.
    """
    outside = np.zeros(len(table), dtype=bool)
    if "predicted_class" not in table.columns:
        return outside
    said = table["predicted_class"].fillna("").to_numpy(dtype=str)
    for name, limits in CLASS_LABELS.items():
        for label, (low, high) in limits.items():
            value, error = numbers(table, label), numbers(table, f"{label}_err")
            room = _CLASS_ROOM * np.fmax(error, _LEAST_ERROR[label])
            with np.errstate(invalid="ignore"):
                beyond = (value + room < float(low)) | (value - room > float(high))
            outside |= (said == name) & beyond
    return outside


def oddness(
    table: pd.DataFrame,
    *,
    logg_limit: float = float(LOGG_OUTLIER),
    feh_limit: float = float(FEH_OUTLIER),
) -> FloatArray:
    """Return how odd the labels of each star are for a BHB star.

    A sum over reasons: how far log g, [Fe/H] and the Kiel band are overstepped, in errors (of at
    least ``LABEL_EXTERNAL_ERROR``); the doublings of χ² beyond its limit; each at most 5; 2 for a
    disagreement with photometry or class, 1 for the edge of the training set, extrapolation, or
    a fit that did not converge.

    Parameters
    ----------
    table : (n,) DataFrame
        ``teff, logg, feh`` and where known their errors, ``label_chi2, label_flags``.
    logg_limit, feh_limit : float
        [dex]

    Returns
    -------
    (n,) float array
        0 for an ordinary star, and for one without labels.
    """
    teff, logg, feh = (numbers(table, name) for name in LABELS)
    lower, upper = kiel_band(teff)
    gravity_error = np.fmax(numbers(table, "logg_err"), _LEAST_ERROR["logg"])
    metal_error = np.fmax(numbers(table, "feh_err"), _LEAST_ERROR["feh"])
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = [
            (logg - logg_limit) / gravity_error,
            (feh - feh_limit) / metal_error,
            np.fmax(logg - upper, lower - logg) / gravity_error,
            np.log2(numbers(table, "label_chi2") / float(LABEL_CHI2_MAX)),
        ]
    odd = np.zeros(len(table))
    for term in terms:
        odd += np.clip(np.nan_to_num(term, nan=0.0), 0.0, _MOST_ODD)
    flags = np.nan_to_num(numbers(table, "label_flags")).astype(np.int64)
    for flag, weight in _ODD_FLAGS.items():
        odd += weight * ((flags & int(flag)) != 0)
    return odd
