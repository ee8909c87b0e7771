"""Velocities of the epochs of a star, and whether they vary.

Errors are total: to that of the fit comes what repeat spectra of one star scatter by beyond it
(`constants.RV_FLOOR`; `RV_FLOOR_HOT` for hot stars with velocities of the headers). The velocities
of a star are compared with a constant one: χ² of the epochs about their weighted mean, and the
probability that a constant star gives as much. A small probability means a binary, a pulsating
star, or a velocity gone wrong.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from msfa_core.columns import check_columns, numbers
from msfa_core.constants import RV_FLOOR, RV_FLOOR_HOT, SPEED_OF_LIGHT
from msfa_core.rules import are_extragalactic, resolutions
from msfa_core.typing import FloatArray

HOT: Final = r"[OBAW]|D[ABCOQZ]|SD[BO]|E?HB|BHB"  # beginnings of hot subclasses, upper case
VARIABLE: Final = 0.001  # probability below which a star counts as variable, our default


def epoch_velocities(table: pd.DataFrame) -> pd.DataFrame:
    """Return the velocity of each spectrum, and per star how they vary.

    The Doppler shifts are those of the template match for all epochs of a star of which any
    has one, else those of the headers: the two may differ in zero point and are never mixed. A
    match without an error (no line tells its redshift) is none.
    Epochs of medium and low resolution are compared among themselves only, galaxies and QSOs
    not at all.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``uid``, ``z`` and, where known, ``z_err``, ``template_z``, ``template_z_err``,
        ``class``, ``template_class``, ``subclass``, ``template_subclass``, ``resolution``.

    Returns
    -------
    (n,) DataFrame
        ``epoch_rv``, ``epoch_rv_err`` (total) [km/s]; ``rv_range`` (largest minus smallest)
        [km/s] and ``rv_chi2_probability`` of its star: NaN with fewer than two epochs
        that have a velocity (and, for the probability, an error).

    Raises
    ------
    CatalogueError
        When ``uid`` or ``z`` is missing.
    """
    check_columns(table, ("uid", "z"), "the table of epochs")
    group = _groups(table)
    velocity, error, is_matched = _velocities(table, group)
    error = np.hypot(error, _floor(table, is_matched))
    with_error = np.where(np.isfinite(error), velocity, np.nan)
    probability, _ = constancy(group, with_error, error)
    spread = _range(group, velocity)
    return pd.DataFrame(
        {
            "epoch_rv": velocity,
            "epoch_rv_err": error,
            "rv_range": spread,
            "rv_chi2_probability": probability,
        },
        index=table.index,
    )


def constancy(
    group: NDArray[np.integer], velocity: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the probability that the velocities of each star are one, and its mean velocity.

    Parameters
    ----------
    group : (n,) int array
        Number of the star from 0; negative for none.
    velocity, error : (n,) arrays [km/s]
        Of each epoch; NaN, or an error that is not positive, takes it out.

    Returns
    -------
    probability : (n,) array
        P(χ² ≥ that found) for as many degrees of freedom as epochs less one; NaN with fewer
        than two epochs.
    mean : (n,) array [km/s]
        Weighted mean of the star.
    """
    good = (group >= 0) & np.isfinite(velocity) & np.isfinite(error) & (error > 0)
    star, n_stars = group[good], int(group.max(initial=-1)) + 1
    weight = 1.0 / np.square(error[good])
    total = np.bincount(star, weight, n_stars)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(star, weight * velocity[good], n_stars) / total
    off = np.square(velocity[good] - mean[star]) * weight
    freedom = np.bincount(star, minlength=n_stars) - 1
    found = chdtrc(np.maximum(freedom, 1), np.bincount(star, off, n_stars))
    found = np.where(freedom > 0, found, np.nan)
    return _to_rows(found, group), _to_rows(mean, group)


def _groups(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each star at one resolution; -1 where there is no star to compare."""
    kind = _text(table, "template_class").where(lambda text: text != "", _text(table, "class"))
    uid = table["uid"].astype("str")
    is_star = uid.notna().to_numpy(bool) & ~are_extragalactic(kind)
    number, _ = pd.factorize(uid.fillna("") + " " + resolutions(table))
    return np.where(is_star, number, -1).astype(np.int64)


def _velocities(
    table: pd.DataFrame, group: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Return velocity and error [km/s] of each epoch, and whether the template match gave it."""
    header, header_err = numbers(table, "z"), numbers(table, "z_err")
    match, match_err = numbers(table, "template_z"), numbers(table, "template_z_err")
    if "template_z_err" in table:  # none where no line tells the redshift
        match = np.where(np.isfinite(match_err), match, np.nan)
    n_groups = int(group.max(initial=-1)) + 1
    has_match = np.isfinite(match) & (group >= 0)
    matched = np.bincount(group[has_match], minlength=n_groups) > 0
    use_match = np.where(group >= 0, np.append(matched, False)[group], np.isfinite(match))
    z = np.where(use_match, match, header)
    z_err = np.where(use_match, match_err, header_err)
    z_err = np.where(np.isfinite(z) & (z_err >= 0), z_err, np.nan)
    return SPEED_OF_LIGHT * z, SPEED_OF_LIGHT * z_err, use_match


def _floor(table: pd.DataFrame, is_matched: NDArray[np.bool_]) -> FloatArray:
    """Return the systematic error [km/s] of each epoch: of hot stars, headers tell less."""
    kind = _text(table, "subclass")
    kind = kind.where(kind != "", _text(table, "template_subclass"))
    is_rough = kind.str.upper().str.match(HOT).to_numpy(bool) & ~is_matched
    return np.where(is_rough, float(RV_FLOOR_HOT), float(RV_FLOOR))


def _range(group: NDArray[np.int64], velocity: FloatArray) -> FloatArray:
    """Return the largest minus the smallest velocity of each star; NaN with fewer than two."""
    good = (group >= 0) & np.isfinite(velocity)
    n_stars = int(group.max(initial=-1)) + 1
    low, high = np.full(n_stars, np.inf), np.full(n_stars, -np.inf)
    np.minimum.at(low, group[good], velocity[good])
    np.maximum.at(high, group[good], velocity[good])
    several = np.bincount(group[good], minlength=n_stars) > 1
    spread = np.full(n_stars, np.nan)
    spread[several] = high[several] - low[several]
    return _to_rows(spread, group)


def _to_rows(values: FloatArray, group: NDArray[np.integer]) -> FloatArray:
    """Return the value of the star of each row; NaN where there is none."""
    return np.append(values, np.nan)[np.where(group >= 0, group, len(values))]


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        return pd.Series("", index=table.index, dtype="str")
    return table[name].astype("str").fillna("").str.strip()
