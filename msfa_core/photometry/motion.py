"""Motions on the sky: positions at another epoch, reduced proper motion, tangential velocity."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from msfa_core.constants import DAYS_PER_YEAR, KM_S_PER_MAS_YR, MJD_J2000
from msfa_core.typing import FloatArray

MAS_PER_DEGREE: Final = 3_600_000.0
FASTEST_MAS_YR: Final = 15_000.0  # Barnard's star moves 10,400; anything faster is no measurement
_MJD_LIMITS: Final = (30_000.0, 90_000.0)  # 1941 to 2105: others are no date of a spectrum
_GALACTIC_POLE: Final = (192.85948, 27.12825)  # ICRS [deg], Hipparcos catalogue vol. 1 §1.5.3


def year_of(mjd: ArrayLike) -> FloatArray:
    """Return Julian years of modified Julian days.

    Parameters
    ----------
    mjd : (n,) array [d]

    Returns
    -------
    (n,) array [yr]
        NaN where the day is missing or no day that a spectrum can be of.
    """
    day = np.asarray(mjd, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        is_day = (day > _MJD_LIMITS[0]) & (day < _MJD_LIMITS[1])
    return 2000.0 + (np.where(is_day, day, np.nan) - MJD_J2000) / DAYS_PER_YEAR


def places(
    ra: ArrayLike, dec: ArrayLike, pmra: ArrayLike, pmdec: ArrayLike, years: ArrayLike
) -> FloatArray:
    """Return unit vectors of stars after some years of uniform motion on a straight line.

    Right at the poles and across RA 0: the motion is along local east and north. Parallax and
    radial motion are left out (below 1 mas over 20 years for a star beyond 50 pc).

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]
    pmra, pmdec : (n,) arrays [mas/yr]
        ``pmra`` includes cos Dec. Missing, or faster than any star: no motion.
    years : (n,) array [yr]
        Negative into the past; missing: no motion.

    Returns
    -------
    (n, 3) array
    """
    alpha, delta = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    sin_a, cos_a, sin_d, cos_d = np.sin(alpha), np.cos(alpha), np.sin(delta), np.cos(delta)
    here = np.stack([cos_d * cos_a, cos_d * sin_a, sin_d], axis=-1)
    east = np.stack([-sin_a, cos_a, np.zeros_like(alpha)], axis=-1)
    north = np.stack([-sin_d * cos_a, -sin_d * sin_a, cos_d], axis=-1)
    time = np.nan_to_num(np.asarray(years, float), nan=0.0)
    speed = usable_motion(pmra, pmdec)
    moved = np.radians(np.nan_to_num(speed, nan=0.0) / MAS_PER_DEGREE) * time[..., None]
    there = here + moved[..., :1] * east + moved[..., 1:] * north
    unit: FloatArray = there / np.linalg.norm(there, axis=-1, keepdims=True)
    return unit


def usable_motion(pmra: ArrayLike, pmdec: ArrayLike) -> FloatArray:
    """(n, 2) proper motion [mas/yr]; NaN where a component is missing or faster than any star."""
    motion = np.stack([np.asarray(pmra, float), np.asarray(pmdec, float)], axis=-1)
    with np.errstate(invalid="ignore"):
        usable = np.hypot(motion[..., 0], motion[..., 1]) <= FASTEST_MAS_YR
    return np.where(usable[..., None], motion, np.nan)


def separation_arcsec(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n,) angles [arcsec] between unit vectors (n, 3)."""
    chord = np.linalg.norm(first - second, axis=-1)
    angle: FloatArray = np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))) * 3600.0
    return angle


def total_motion(
    pmra: ArrayLike, pmdec: ArrayLike, pmra_error: ArrayLike, pmdec_error: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return the proper motion and its error, correlation left out.

    Parameters
    ----------
    pmra, pmdec, pmra_error, pmdec_error : (n,) arrays [mas/yr]

    Returns
    -------
    motion, error : (n,) arrays [mas/yr]
        NaN where a component is missing.
    """
    east, north = np.moveaxis(usable_motion(pmra, pmdec), -1, 0)
    motion = np.hypot(east, north)
    east_error, north_error = np.asarray(pmra_error, float), np.asarray(pmdec_error, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.hypot(east * east_error, north * north_error) / motion
    at_rest = np.hypot(east_error, north_error) / np.sqrt(2)
    return motion, np.where(motion > 0, along, at_rest + 0 * motion)


def reduced_proper_motion(g_mag: ArrayLike, motion: ArrayLike) -> FloatArray:
    """Return H_G = G + 5 + 5 log10(μ/(1000 mas/yr)) (Culpan et al. 2021).

    Parameters
    ----------
    g_mag : (n,) array [mag]
    motion : (n,) array [mas/yr]

    Returns
    -------
    (n,) array [mag]
        NaN where the star does not move.
    """
    mu = np.asarray(motion, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        moving = np.where(mu > 0, mu, np.nan)
    return np.asarray(g_mag, dtype=np.float64) + 5 + 5 * np.log10(moving / 1000)


def tangential_velocity(
    motion: ArrayLike, motion_error: ArrayLike, parallax_mas: ArrayLike, parallax_error: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return v_t = 4.74 μ/ϖ and its error, correlation left out.

    Parameters
    ----------
    motion, motion_error : (n,) arrays [mas/yr]
    parallax_mas, parallax_error : (n,) arrays [mas]

    Returns
    -------
    velocity, error : (n,) arrays [km/s]
        NaN where the parallax is missing, zero or negative.
    """
    mu, parallax = np.asarray(motion, float), np.asarray(parallax_mas, float)
    with np.errstate(invalid="ignore"):
        parallax = np.where(parallax > 0, parallax, np.nan)
    scale = float(KM_S_PER_MAS_YR) / parallax
    velocity = scale * mu
    of_parallax = velocity * np.asarray(parallax_error, float) / parallax
    return velocity, np.hypot(scale * np.asarray(motion_error, float), of_parallax)


def galactic_latitude(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Return galactic latitudes.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]

    Returns
    -------
    (n,) array [deg]
    """
    ra_pole, dec_pole = np.radians(_GALACTIC_POLE)
    alpha, delta = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    sine = np.sin(delta) * np.sin(dec_pole)
    sine = sine + np.cos(delta) * np.cos(dec_pole) * np.cos(alpha - ra_pole)
    latitude: FloatArray = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return latitude
