"""The Gaia colour–magnitude diagram: M_G, parallax quality and the BHB trapezoid (paper §V.3.2).

Formulae and limits are those of Culpan et al. (2021, A&A 654, A107) and, for the corrected
excess factor, Riello et al. (2021, A&A 649, A3). No extinction and no parallax zero point are
applied unless asked for, as in the paper's figure.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from msfa_core.columns import check_columns, is_true
from msfa_core.constants import (
    BP_RP_FLUX_OVER_ERROR_MIN,
    CMD_ABS_MAG_BRIGHT,
    CMD_BP_RP,
    CMD_FAINT_INTERCEPT,
    CMD_FAINT_SLOPE,
    CMD_LATITUDE_MIN,
    EXCESS_FACTOR_SIGMA_MAX,
    PARALLAX_ERROR_MAX,
)
from msfa_core.flags import CmdFlag, combined
from msfa_core.photometry.colours import MAG_PER_RELATIVE_ERROR, column, is_absurd
from msfa_core.photometry.exclusions import exclusion_flags
from msfa_core.photometry.extinction import dereddened
from msfa_core.photometry.motion import (
    reduced_proper_motion,
    tangential_velocity,
    total_motion,
    usable_motion,
)
from msfa_core.photometry.zeropoint import parallax_zero_point
from msfa_core.typing import FloatArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_REACH: Final = 7.0  # σ; the normal distribution holds 3e-12 beyond


def trapezoid_vertices() -> FloatArray:
    """Return the corners of the BHB trapezoid of Culpan et al. (2021).

    Returns
    -------
    (4, 2) array
        BP−RP and M_G [mag] of the corners, in drawing order.
    """
    blue, red = (float(limit) for limit in CMD_BP_RP)
    bright = float(CMD_ABS_MAG_BRIGHT)
    return np.array(
        [[blue, bright], [red, bright], [red, _faint_limit(red)], [blue, _faint_limit(blue)]]
    )


def _faint_limit(bp_rp: ArrayLike) -> FloatArray:
    """Return the faint edge M_G [mag] of the trapezoid at a colour."""
    return float(CMD_FAINT_INTERCEPT) + float(CMD_FAINT_SLOPE) * np.asarray(bp_rp, dtype=float)


def in_trapezoid(bp_rp: ArrayLike, abs_mag_g: ArrayLike) -> NDArray[np.bool_]:
    """Tell which stars lie inside the BHB trapezoid.

    Parameters
    ----------
    bp_rp, abs_mag_g : (n,) arrays [mag]

    Returns
    -------
    (n,) bool array
        False where either is missing.
    """
    colour = np.asarray(bp_rp, dtype=float)
    magnitude = np.asarray(abs_mag_g, dtype=float)
    blue, red = (float(limit) for limit in CMD_BP_RP)
    with np.errstate(invalid="ignore"):
        return (
            (colour > blue)
            & (colour < red)
            & (magnitude > float(CMD_ABS_MAG_BRIGHT))
            & (magnitude < _faint_limit(colour))
        )


def p_in_trapezoid(
    bp_rp: ArrayLike, abs_mag_g: ArrayLike, bp_rp_err: ArrayLike, parallax_over_error: ArrayLike
) -> FloatArray:
    """Return the probability that each star lies inside the BHB trapezoid, given its errors.

    The errors of colour and parallax are normal and independent.

    Parameters
    ----------
    bp_rp, abs_mag_g : (n,) arrays [mag]
    bp_rp_err : (n,) array [mag]
        A colour without an error (NaN) is taken as it is.
    parallax_over_error : (n,) array

    Returns
    -------
    (n,) array
        NaN where colour, absolute magnitude or the error of the parallax is missing.
    """
    colour, absolute = np.asarray(bp_rp, dtype=float), np.asarray(abs_mag_g, dtype=float)
    over_error = np.asarray(parallax_over_error, dtype=float)
    spread = np.nan_to_num(np.asarray(bp_rp_err, dtype=float))
    blue, red = (float(limit) for limit in CMD_BP_RP)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, last = ndtr((blue - colour) / spread), ndtr((red - colour) / spread)
    p = np.zeros(colour.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):  # even steps of what colours hold
        deviate = ndtri(first + (last - first) * (1 + node) / 2).clip(-_REACH, _REACH)
        faint = _faint_limit(colour + spread * deviate)
        ends = (
            ndtr(over_error * (10 ** ((limit - absolute) / 5) - 1))  # of the parallax there
            for limit in (faint, float(CMD_ABS_MAG_BRIGHT))
        )
        p += weight / 2 * np.subtract(*ends)
    return p * (last - first) + 0.0  # no -0.0


def absolute_magnitude(g_mag: ArrayLike, parallax_mas: ArrayLike) -> FloatArray:
    """Return M_G = G + 5 log10(ϖ/mas) − 10.

    Parameters
    ----------
    g_mag : (n,) array [mag]
    parallax_mas : (n,) array [mas]

    Returns
    -------
    (n,) array [mag]
        NaN where the parallax is missing, zero or negative.
    """
    parallax = np.asarray(parallax_mas, dtype=float)
    positive = np.where(parallax > 0, parallax, np.nan)
    return np.asarray(g_mag, dtype=float) + 5 * np.log10(positive) - 10


# Riello et al. (2021), Table 2: (upper BP−RP, polynomial coefficients from the constant up)
_EXCESS_PIECES: Final = (
    (0.5, (1.154360, 0.033772, 0.032277)),
    (4.0, (1.162004, 0.011464, 0.049255, -0.005879)),
    (np.inf, (1.057572, 0.140537)),
)


def corrected_excess_factor(bp_rp: ArrayLike, excess_factor: ArrayLike) -> FloatArray:
    """Return C* of Riello et al. (2021): the excess factor less its trend with colour.

    Parameters
    ----------
    bp_rp : (n,) array [mag]
    excess_factor : (n,) array
        ``phot_bp_rp_excess_factor`` of Gaia DR3.

    Returns
    -------
    (n,) array
    """
    colour = np.asarray(bp_rp, dtype=float)
    trend = np.full(colour.shape, np.nan)
    lower = -np.inf
    for upper, coefficients in _EXCESS_PIECES:
        piece = (colour >= lower) & (colour < upper)
        trend[piece] = np.polynomial.polynomial.polyval(colour[piece], coefficients)
        lower = upper
    return np.asarray(excess_factor, dtype=float) - trend


def excess_factor_sigma(g_mag: ArrayLike) -> FloatArray:
    """Return the 1σ scatter of C* at a G magnitude (Riello et al. 2021, Eq. 18)."""
    return 0.0059898 + 8.817481e-12 * np.asarray(g_mag, dtype=float) ** 7.618399


def absolute_magnitude_error(parallax_over_error: ArrayLike) -> FloatArray:
    """Return the error of M_G that the parallax makes: 5/ln 10 · σ/ϖ.

    Parameters
    ----------
    parallax_over_error : (n,) array

    Returns
    -------
    (n,) array [mag]
        NaN where the parallax is missing, zero or negative.
    """
    ratio = np.asarray(parallax_over_error, dtype=float)
    with np.errstate(invalid="ignore"):
        return 5 / np.log(10) / np.where(ratio > 0, ratio, np.nan)


def cmd_position(
    gaia: pd.DataFrame,
    zero_point: bool = False,
    deredden: bool = False,
    latitude_min: float = float(CMD_LATITUDE_MIN),
) -> pd.DataFrame:
    """Place stars in the Gaia colour–magnitude diagram.

    Parameters
    ----------
    gaia : n rows
        House names: ``gaia_source_id, g_mag, bp_rp, parallax_mas`` and ``parallax_error_mas`` or
        ``parallax_over_error``; used when present: ``ra, dec, pmra, pmdec`` and their errors,
        ``ebv, excess_factor, bp_flux_over_error, rp_flux_over_error, gaia_ambiguous,
        gaia_duplicated, gaia_refused`` and what the zero point needs. Missing values stay missing.
    zero_point : bool
        Take the zero point of Lindegren et al. (2021) off the parallax before it is used.
    deredden : bool
        Judge the trapezoid by colour and magnitude without dust.
    latitude_min : float
        Least distance from the galactic plane of ``cmd_exclusions`` [deg].

    Returns
    -------
    n rows, same index
        ``bp_rp`` [mag], ``abs_mag_g`` and ``abs_mag_g_err`` [mag], both without dust as ``bp_rp0``
        and ``abs_mag_g0`` [mag], ``parallax_mas`` as published and ``parallax_zero_point`` [mas],
        ``parallax_over_error``, ``in_cmd_trapezoid``, ``p_in_cmd_trapezoid``,
        ``reduced_proper_motion`` [mag], ``pm_over_error``, ``tangential_velocity`` and its error
        [km/s], ``cmd_exclusions`` (`CmdExclusion`, missing without Gaia), ``cmd_flags``
        (:class:`CmdFlag`).
        ``in_cmd_trapezoid`` is missing where colour or absolute magnitude is.

    Raises
    ------
    CatalogueError
        When a needed column is absent.
    """
    check_columns(gaia, ("gaia_source_id", "g_mag", "bp_rp", "parallax_mas"), "the Gaia table")
    colour, magnitude = column(gaia, "bp_rp"), column(gaia, "g_mag")
    published = column(gaia, "parallax_mas")
    over_error = _parallax_over_error(gaia, published)
    zero = parallax_zero_point(gaia) if zero_point else np.full(len(gaia), np.nan)
    parallax = published - np.nan_to_num(zero, nan=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parallax_error = np.abs(published / over_error)
        ratio = np.where(np.isfinite(zero), parallax / parallax_error, over_error)
    absolute = absolute_magnitude(magnitude, parallax)
    bp_rp0, absolute0 = dereddened(colour, absolute, column(gaia, "ebv"))
    judged = (bp_rp0, absolute0) if deredden else (colour, absolute)
    place = pd.DataFrame(
        {
            "bp_rp": colour,
            "bp_rp0": bp_rp0,
            "abs_mag_g": absolute,
            "abs_mag_g_err": np.where(
                np.isfinite(absolute), absolute_magnitude_error(ratio), np.nan
            ),
            "abs_mag_g0": absolute0,
            "parallax_mas": published,
            "parallax_zero_point": zero,
            "parallax_over_error": over_error,
            "in_cmd_trapezoid": _trapezoid_or_missing(*judged),
            "p_in_cmd_trapezoid": p_in_trapezoid(*judged, _colour_error(gaia), ratio),
            **_motions(gaia, magnitude, parallax, parallax_error),
        },
        index=gaia.index,
    )
    flags = _flags(gaia, colour, magnitude, parallax, ratio)
    if zero_point:
        flags[np.isfinite(published) & np.isnan(zero)] |= int(CmdFlag.NO_ZERO_POINT)
    excluded = exclusion_flags(gaia.assign(**{n: place[n] for n in place.columns}), latitude_min)
    has_gaia = (flags & int(CmdFlag.NO_GAIA)) == 0
    place["cmd_exclusions"] = pd.array(excluded, dtype="Int64")
    place["cmd_exclusions"] = place["cmd_exclusions"].where(has_gaia)
    place["cmd_flags"] = pd.array(flags, dtype="Int64")
    return place


def _parallax_over_error(gaia: pd.DataFrame, parallax: FloatArray) -> FloatArray:
    """(n,) parallax over its error: the column, else computed."""
    if "parallax_over_error" in gaia.columns:
        return column(gaia, "parallax_over_error")
    check_columns(gaia, ("parallax_error_mas",), "the Gaia table")
    with np.errstate(invalid="ignore", divide="ignore"):
        return parallax / column(gaia, "parallax_error_mas")


def _trapezoid_or_missing(colour: FloatArray, absolute: FloatArray) -> pd.arrays.BooleanArray:
    """(n,) whether stars lie in the trapezoid; missing where that cannot be told."""
    inside = pd.array(in_trapezoid(colour, absolute), dtype="boolean")
    inside[~(np.isfinite(colour) & np.isfinite(absolute))] = pd.NA
    return inside


def _colour_error(gaia: pd.DataFrame) -> FloatArray:
    """(n,) error of BP−RP [mag] by the noise of both fluxes; NaN where that is unknown."""
    with np.errstate(divide="ignore"):
        noise = [1 / np.abs(column(gaia, f"{band}_flux_over_error")) for band in ("bp", "rp")]
    error: FloatArray = MAG_PER_RELATIVE_ERROR * np.hypot(*noise)
    return np.where(np.isfinite(error), error, np.nan)


def _motions(
    gaia: pd.DataFrame, g_mag: FloatArray, parallax: FloatArray, parallax_error: FloatArray
) -> dict[str, FloatArray]:
    """Return what the proper motion says: columns of the contract."""
    names = ("pmra", "pmdec", "pmra_error", "pmdec_error")
    motion, error = total_motion(*(column(gaia, name) for name in names))
    velocity, velocity_error = tangential_velocity(motion, error, parallax, parallax_error)
    with np.errstate(invalid="ignore", divide="ignore"):
        over_error = motion / error
    return {
        "reduced_proper_motion": reduced_proper_motion(g_mag, motion),
        "pm_over_error": over_error,
        "tangential_velocity": velocity,
        "tangential_velocity_err": velocity_error,
    }


def _flags(
    gaia: pd.DataFrame,
    colour: FloatArray,
    magnitude: FloatArray,
    parallax: FloatArray,
    over_error: FloatArray,
) -> NDArray[np.int64]:
    """(n,) `CmdFlag` bits."""
    named = gaia["gaia_source_id"].notna().to_numpy(dtype=bool)
    has_gaia = np.isfinite(magnitude) | np.isfinite(parallax) | named
    no_motion = np.isnan(usable_motion(column(gaia, "pmra"), column(gaia, "pmdec"))[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        raised = {
            CmdFlag.NO_GAIA: ~has_gaia,
            CmdFlag.NO_COLOUR: ~np.isfinite(colour),
            CmdFlag.NO_PARALLAX: ~(parallax > 0),
            CmdFlag.POOR_PARALLAX: (parallax > 0) & ~(over_error > 1 / float(PARALLAX_ERROR_MAX)),
            CmdFlag.COLOUR_EXCESS: _excess_is_bad(gaia, colour, magnitude),
            CmdFlag.FAINT_COLOUR: _colour_is_faint(gaia),
            CmdFlag.AMBIGUOUS: is_true(gaia, "gaia_ambiguous"),
            CmdFlag.NO_PROPER_MOTION: has_gaia & no_motion & ("pmra" in gaia.columns),
            CmdFlag.ABSURD_REDDENING: is_absurd(column(gaia, "ebv")),
            CmdFlag.DUPLICATED: is_true(gaia, "gaia_duplicated"),
            CmdFlag.MISPLACED: np.isfinite(column(gaia, "gaia_refused")),
        }
    return combined(raised)


def _excess_is_bad(
    gaia: pd.DataFrame, colour: FloatArray, magnitude: FloatArray
) -> NDArray[np.bool_]:
    """Tell where |C*| exceeds its limit; False where the excess factor is unknown."""
    if "excess_factor" not in gaia.columns:
        return np.zeros(len(gaia), dtype=bool)
    corrected = corrected_excess_factor(colour, column(gaia, "excess_factor"))
    return np.abs(corrected) >= float(EXCESS_FACTOR_SIGMA_MAX) * excess_factor_sigma(magnitude)


def _colour_is_faint(gaia: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell where BP or RP is too faint for a colour; False where that is unknown."""
    faint = np.zeros(len(gaia), dtype=bool)
    for name in ("bp_flux_over_error", "rp_flux_over_error"):
        if name in gaia.columns:
            faint |= column(gaia, name) <= float(BP_RP_FLUX_OVER_ERROR_MIN)
    return faint
