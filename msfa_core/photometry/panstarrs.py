"""Pan-STARRS1 rows from a table: house names, and joined to the spectra.

Its positions are means of exposures around 2012 and it lists no proper motions: a star that Gaia
saw move is looked for where it was then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import (
    DAYS_PER_YEAR,
    MATCH_RADIUS_ARCSEC,
    MJD_J2000,
    PANSTARRS_DEC_MIN,
    PANSTARRS_EPOCH_MJD,
    PANSTARRS_SATURATION,
)
from msfa_core.flags import PanstarrsFlag, combined
from msfa_core.photometry.colours import column
from msfa_core.photometry.counterparts import Match, Pairs, counterparts, separations, year_observed
from msfa_core.photometry.joining import SkySurvey, house_rows, joined_rows
from msfa_core.photometry.motion import places, year_of
from msfa_core.tables.door import Use, of_frame
from msfa_core.tables.report import OutsideTable
from msfa_core.typing import FloatArray, IntArray

BANDS: Final = ("g", "r", "i", "z", "y")
_YEARS: Final = (1990.0, 2100.0)  # an epoch within these is a year and no modified Julian day
# Bits of the archive's qualityFlag (PS1 ObjectQualityFlags)
_EXTENDED: Final = 1 | 2
_GOOD: Final = 4 | 8 | 16
_BAD_STACK: Final = 64


def _band_names(band: str) -> tuple[str, ...]:
    return (
        *(f"ps_{band}_mag", f"{band}meanpsfmag", f"{band}_mean_psf_mag", f"mag_ps_{band}"),
        *(f"{band}psfmag", f"{band}_psf_mag", f"{band}fpsfmag", f"ps1_{band}", f"{band}_ps1"),
        *(f"ps_{band}", f"{band}_ps", f"{band}p1mag", f"{band}mag", f"{band}_mag"),
    )


def _error_names(band: str) -> tuple[str, ...]:
    return (
        *(f"ps_{band}_mag_err", f"{band}meanpsfmagerr", f"{band}_mean_psf_mag_error"),
        *(f"mag_ps_{band}_err", f"{band}psfmagerr", f"{band}_psf_mag_error", f"{band}fpsfmagerr"),
        *(f"ps1_{band}_err", f"ps1_{band}_error", f"{band}_ps1_err", f"ps_{band}_err"),
        *(f"e_{band}mag", f"e_{band}p1mag", f"{band}mag_err", f"{band}_mag_err"),
    )


# house name -> names of MAST, VizieR (II/349, II/389), the Gaia archive's copy, LAMOST and HATS
PANSTARRS_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "ps_id": (
        *("ps_id", "objid", "obj_id", "ps1_id", "ps1id", "ps_objid", "ps1_objid", "panstarrs_id"),
        *("panstarrs1_id", "ps1", "original_ext_source_id"),
    ),
    "obsid": ("obsid", "lamost_obsid", "obs_id"),
    "ra": (
        *("ramean", "ra_mean", "ps_ra", "ps1_ra", "ra_ps1", "raj2000", "ra_icrs", "ra"),
        *("_raj2000", "rastack", "ra_stack", "ra_deg", "_ra"),
    ),
    "dec": (
        *("decmean", "dec_mean", "ps_dec", "ps1_dec", "dec_ps1", "dej2000", "decj2000"),
        *("de_icrs", "dec_icrs", "dec", "_dej2000", "decstack", "dec_stack", "dec_deg", "_de"),
    ),
    "ps_epoch": ("ps_epoch", "epochmean", "epoch_mean", "epoch"),
    **{f"ps_{band}_mag": _band_names(band) for band in BANDS},
    **{f"ps_{band}_mag_err": _error_names(band) for band in BANDS},
    "ps_quality": ("ps_quality", "qualityflag", "quality_flag", "qual"),
}
MAGNITUDES: Final = tuple(f"ps_{band}_mag" for band in BANDS)
ERRORS: Final = tuple(f"ps_{band}_mag_err" for band in BANDS)
PANSTARRS_USE: Final = Use(
    "a Pan-STARRS table",
    PANSTARRS_ALIASES,
    tuple(
        (*where, magnitude)
        for where in (("ps_id",), ("obsid",), ("ra", "dec"))
        for magnitude in MAGNITUDES
    ),
    beside=("ps_id", "ps_g_mag", "ps_r_mag"),
    says_unused=True,
)
PANSTARRS_COLUMNS: Final = ("ps_id", *MAGNITUDES, *ERRORS, "ps_quality")  # what a join brings
PANSTARRS: Final = SkySurvey(
    name="Pan-STARRS",
    key="ps_id",
    prefix="ps",
    columns=PANSTARRS_COLUMNS,
    telling=MAGNITUDES,
    needed=MAGNITUDES,
    called=("objID, obsid or raMean/decMean column", "magnitude (gMeanPSFMag, gmag, …)"),
)


def house_panstarrs(table: pd.DataFrame) -> pd.DataFrame:
    """Give a Pan-STARRS table that is in memory the names of the house.

    Parameters
    ----------
    table : (n,) DataFrame
        As from an archive or a survey's own match, in the units of the archive.

    Returns
    -------
    (n,) DataFrame
        As from `panstarrs_rows`.

    Raises
    ------
    CatalogueError
        When the table has nothing to join on, or no photometry.
    """
    return panstarrs_rows(of_frame(table, PANSTARRS_USE, "the Pan-STARRS table", trusted=True))


def panstarrs_rows(opened: OutsideTable) -> pd.DataFrame:
    """Return the rows of a Pan-STARRS table that came through the door.

    Parameters
    ----------
    opened : OutsideTable
        Opened for `PANSTARRS_USE`.

    Returns
    -------
    (n,) DataFrame
        Identity, position, ``ps_epoch`` [MJD, d] and ``PANSTARRS_COLUMNS``, absent ones as
        missing. An error without its magnitude, and an error of zero, are missing.

    Raises
    ------
    CatalogueError
        When the table has nothing to join on, or no photometry.
    """
    house = house_rows(opened, PANSTARRS, PANSTARRS_ALIASES)
    epoch = column(house, "ps_epoch")
    is_year = (epoch > _YEARS[0]) & (epoch < _YEARS[1])
    house["ps_epoch"] = np.where(is_year, MJD_J2000 + (epoch - 2000.0) * DAYS_PER_YEAR, epoch)
    for magnitude, error in zip(MAGNITUDES, ERRORS, strict=True):
        house[error] = house[error].where(house[magnitude].notna() & (house[error] > 0))
    return house


def panstarrs_counterparts(
    table: pd.DataFrame, rows: pd.DataFrame, radius_arcsec: float, match: Match
) -> Pairs:
    """Return every pair of a spectrum and a Pan-STARRS source within a radius at one time.

    Parameters
    ----------
    table : (n,) DataFrame
        ``ra``, ``dec`` [deg] and, where known, ``pmra``, ``pmdec`` [mas/yr] and ``mjd`` or
        ``lmjd`` [d]: a star is moved from its spectrum to the epoch of the source. Without
        motion or date it is compared as it stands.
    rows : (m,) DataFrame
        As `house_panstarrs` gives them.
    radius_arcsec : float
    match : callable
        What finds pairs of positions, such as ``stars.crossmatch.match_sky``.

    Returns
    -------
    i, j : (pair,) arrays
        Rows of ``table`` and of ``rows``, ordered by ``i`` and then by separation.
    separation : (pair,) array [arcsec]
    """
    j, i, separation = counterparts(_dated(rows), _moving(table), radius_arcsec, match)
    order = np.lexsort((j, separation, i))
    return i[order], j[order], separation[order]


def panstarrs_separations(
    table: pd.DataFrame, rows: pd.DataFrame, i: IntArray, j: IntArray
) -> FloatArray:
    """Return how far Pan-STARRS sources are from spectra, at the epoch of the sources.

    Parameters
    ----------
    table, rows : (n,) and (m,) DataFrames
        As for `panstarrs_counterparts`.
    i, j : (pair,) arrays
        Rows of ``table`` and ``rows``.

    Returns
    -------
    (pair,) array [arcsec]
        NaN where a position is missing.
    """
    return separations(_dated(rows), _moving(table), j, i)


def at_panstarrs(table: pd.DataFrame) -> pd.DataFrame:
    """Return where stars were at the mean epoch of Pan-STARRS.

    Parameters
    ----------
    table : (n,) DataFrame
        As for `panstarrs_counterparts`.

    Returns
    -------
    (n,) DataFrame
        ``ra``, ``dec`` [deg]; those that are not known to move stay where they are.
    """
    stars = _moving(table)
    now, moves = column(stars, "ref_epoch"), [column(stars, name) for name in ("pmra", "pmdec")]
    here = column(stars, "ra"), column(stars, "dec")
    then = year_of(np.full(len(stars), float(PANSTARRS_EPOCH_MJD)))
    x, y, z = places(here[0], here[1], moves[0], moves[1], then - now).T
    moved = np.isfinite(now) & np.isfinite(moves).all(axis=0)
    ra, dec = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return pd.DataFrame(
        {"ra": np.where(moved, ra, here[0]), "dec": np.where(moved, dec, here[1])},
        index=table.index,
    )


def _dated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return places of sources and when they were there."""
    epoch = column(rows, "ps_epoch")
    epoch = np.where(np.isfinite(epoch), epoch, float(PANSTARRS_EPOCH_MJD))
    return pd.DataFrame({"ra": column(rows, "ra"), "dec": column(rows, "dec"), "mjd": epoch})


def _moving(table: pd.DataFrame) -> pd.DataFrame:
    """Return places of spectra, when they were taken, and how their stars move since."""
    year = year_observed(table)
    moves = {
        name: np.where(np.isfinite(year), column(table, name), np.nan) for name in ("pmra", "pmdec")
    }
    here = {name: column(table, name) for name in ("ra", "dec")}
    return pd.DataFrame({**here, **moves, "ref_epoch": year})


def join_panstarrs(
    candidates: pd.DataFrame,
    rows: pd.DataFrame,
    pairs: Pairs | None = None,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.DataFrame:
    """Find each candidate's Pan-STARRS row: by ps_id, else by obsid, else by position.

    Parameters
    ----------
    candidates : (n,) DataFrame
        ``obsid`` and, where known, ``ps_id``, and what `panstarrs_counterparts` needs.
    rows : (m,) DataFrame from :func:`house_panstarrs`
    pairs : (i, j, separation [arcsec]), optional
        From `panstarrs_counterparts`.
    radius_arcsec : float

    Returns
    -------
    (n,) DataFrame, index of ``candidates``
        ``PANSTARRS_COLUMNS``, missing where no row was found, and ``ps_separation``,
        ``ps_found_by``, ``ps_candidates``, ``ps_ambiguous``, ``ps_duplicated``, ``ps_refused`` as
        of `photometry.gaia.join_gaia`.
    """
    return joined_rows(candidates, rows, PANSTARRS, pairs, radius_arcsec, panstarrs_separations)


def panstarrs_flags(table: pd.DataFrame) -> IntArray:
    """Return what to know of the Pan-STARRS row of each spectrum.

    Parameters
    ----------
    table : (n,) DataFrame
        ``dec`` [deg], ``PANSTARRS_COLUMNS`` and what `join_panstarrs` says beside them.

    Returns
    -------
    (n,) int array
        Of `PanstarrsFlag`.
    """
    magnitudes = np.column_stack([column(table, name) for name in MAGNITUDES])
    errors = np.column_stack([column(table, name) for name in ERRORS])
    measured = np.isfinite(magnitudes)
    found = measured.any(axis=1) | table["ps_id"].notna().to_numpy(bool)
    quality = column(table, "ps_quality")
    known = found & np.isfinite(quality)
    bits = np.where(known, quality, 0.0).astype(np.int64)
    limits = np.array([float(PANSTARRS_SATURATION[band]) for band in BANDS])
    with np.errstate(invalid="ignore"):
        bright = (magnitudes < limits).sum(axis=1) > 0
        south = column(table, "dec") < float(PANSTARRS_DEC_MIN)
    said = {
        name: table[f"ps_{name}"].fillna(False).to_numpy(bool)
        for name in ("ambiguous", "duplicated")
    }
    return combined(
        {
            PanstarrsFlag.NO_COUNTERPART: ~found,
            PanstarrsFlag.AMBIGUOUS: said["ambiguous"],
            PanstarrsFlag.DUPLICATED: said["duplicated"],
            PanstarrsFlag.MISPLACED: np.isfinite(column(table, "ps_refused")),
            PanstarrsFlag.NO_ERRORS: (measured & ~np.isfinite(errors)).sum(axis=1) > 0,
            PanstarrsFlag.EXTENDED: (bits & _EXTENDED) != 0,
            PanstarrsFlag.POOR: known & (((bits & _GOOD) == 0) | ((bits & _BAD_STACK) != 0)),
            PanstarrsFlag.SATURATED: bright,
            PanstarrsFlag.NOT_SURVEYED: ~found & south,
        }
    )
