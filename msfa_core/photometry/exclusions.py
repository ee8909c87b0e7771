"""Samples of the colour–magnitude diagram: which stars each one leaves out (Culpan et al. 2021)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import (
    BP_RP_FLUX_OVER_ERROR_MIN,
    CLOUD_CIRCLES,
    CMD_LATITUDE_MIN,
    CULPAN_EXCESS,
    CULPAN_PARALLAX_OVER_ERROR,
    PROPER_MOTION_LATITUDE_MIN,
    PROPER_MOTION_OVER_ERROR,
    REDUCED_PROPER_MOTION,
    TANGENTIAL_VELOCITY_MIN,
)
from msfa_core.flags import CmdExclusion, combined
from msfa_core.photometry.colours import column
from msfa_core.photometry.motion import galactic_latitude, places, separation_arcsec
from msfa_core.typing import BoolArray


def exclusions(
    table: pd.DataFrame, latitude_min: float = float(CMD_LATITUDE_MIN)
) -> dict[CmdExclusion, BoolArray]:
    """Tell which stars each sample leaves out.

    Parameters
    ----------
    table : n rows
        ``ra``, ``dec`` [deg], ``g_mag``, ``bp_rp`` [mag], ``parallax_mas`` [mas],
        ``parallax_over_error``, ``tangential_velocity`` [km/s], ``reduced_proper_motion`` [mag],
        ``pm_over_error``, ``excess_factor``, ``bp_flux_over_error``, ``rp_flux_over_error``.
        A value that is missing leaves the star out of the samples that need it.
    latitude_min : float
        Least distance from the galactic plane [deg].

    Returns
    -------
    dict of CmdExclusion to (n,) bool array
        True where the star is left out.
    """
    latitude = np.abs(galactic_latitude(column(table, "ra"), column(table, "dec")))
    with np.errstate(invalid="ignore"):
        fast = column(table, "tangential_velocity") > float(TANGENTIAL_VELOCITY_MIN)
        return {
            CmdExclusion.LOW_LATITUDE: ~(latitude > latitude_min),
            CmdExclusion.LMC: _in_circle(table, "LMC"),
            CmdExclusion.SMC: _in_circle(table, "SMC"),
            CmdExclusion.SLOW: ~fast,
            CmdExclusion.PARALLAX_SAMPLE: ~(_has_parallax(table) & fast & _clean_colour(table)),
            CmdExclusion.PROPER_MOTION_SAMPLE: ~_in_proper_motion_sample(table, latitude),
        }


def exclusion_flags(
    table: pd.DataFrame, latitude_min: float = float(CMD_LATITUDE_MIN)
) -> NDArray[np.int64]:
    """(n,) `CmdExclusion` bits of each star."""
    return combined(exclusions(table, latitude_min))


def _in_circle(table: pd.DataFrame, cloud: str) -> BoolArray:
    """(n,) True within the circle around a cloud."""
    ra, dec, radius = (np.array([float(value)]) for value in CLOUD_CIRCLES[cloud])
    zero = np.zeros(1)
    centre = places(ra, dec, zero, zero, zero)
    none = np.zeros(len(table))
    here = places(column(table, "ra"), column(table, "dec"), none, none, none)
    return separation_arcsec(here, centre) <= radius * 3600.0


def _has_parallax(table: pd.DataFrame) -> BoolArray:
    """(n,) True with a parallax of more than five times its error."""
    quality = column(table, "parallax_over_error")
    good: BoolArray = (column(table, "parallax_mas") > 0) & (
        quality > float(CULPAN_PARALLAX_OVER_ERROR)
    )
    return good


def _clean_colour(table: pd.DataFrame) -> BoolArray:
    """(n,) True with BP and RP of good signal that add up to G."""
    square = column(table, "bp_rp") ** 2
    excess = column(table, "excess_factor")
    low, high = (float(a) + float(b) * square for a, b in CULPAN_EXCESS.values())
    clean: BoolArray = (excess > low) & (excess < high)
    for name in ("bp_flux_over_error", "rp_flux_over_error"):
        clean &= column(table, name) > float(BP_RP_FLUX_OVER_ERROR_MIN)
    return clean


def _in_proper_motion_sample(table: pd.DataFrame, latitude: NDArray[np.float64]) -> BoolArray:
    """(n,) True for stars too far for their parallax that still move as halo stars do."""
    quality = column(table, "parallax_over_error")
    reduced = column(table, "reduced_proper_motion")
    low, high = (float(limit) for limit in REDUCED_PROPER_MOTION)
    inside: BoolArray = (
        (quality <= float(CULPAN_PARALLAX_OVER_ERROR))
        & (latitude >= float(PROPER_MOTION_LATITUDE_MIN))
        & (reduced > low)
        & (reduced < high)
        & (column(table, "pm_over_error") > float(PROPER_MOTION_OVER_ERROR))
    )
    return inside
