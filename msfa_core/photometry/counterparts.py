"""Which Gaia sources lie at a spectrum's place, each moved to the time of the spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import GAIA_EPOCH
from msfa_core.photometry.colours import column
from msfa_core.photometry.motion import places, separation_arcsec, usable_motion, year_of
from msfa_core.typing import BoolArray, FloatArray, IntArray

Pairs = tuple[IntArray, IntArray, FloatArray]
# Positions [deg] of two lists and a radius [arcsec] -> pairs: catalogue.crossmatch.match_sky
Match = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, float], Pairs]
# Spectra, rows of another survey, and which of each -> (pair,) distances [arcsec]: `separations`
Apart = Callable[[pd.DataFrame, pd.DataFrame, IntArray, IntArray], FloatArray]

DATE_COLUMNS: Final = ("mjd", "lmjd")  # of a spectrum, the first that is known counts [d]
RIM: Final = 1e-9  # relative: a pair at exactly the radius counts in spite of rounding
FAR: Final = 10.0  # times the match radius: what an identifier names beyond it is another star
_SAME: Final = 6  # decimals to which two rows agree
_UNDATED_YEARS: Final = 16.0  # at most, between Gaia's epoch and a spectrum without a date
_SHIFT_STEP: Final = 4.0  # groups of stars by how far they move, each this much farther
_SLOW_ARCSEC: Final = 0.5  # of the first group


def year_observed(table: pd.DataFrame) -> FloatArray:
    """Return when each spectrum was taken.

    Parameters
    ----------
    table : n rows, with ``mjd`` or ``lmjd`` [d] where known

    Returns
    -------
    (n,) array [yr]
        NaN where unknown.
    """
    year = np.full(len(table), np.nan)
    for name in DATE_COLUMNS:
        year = np.where(np.isnan(year), year_of(column(table, name)), year)
    return year


def counterparts(
    table: pd.DataFrame, gaia: pd.DataFrame, radius_arcsec: float, match: Match
) -> Pairs:
    """Return every pair of a spectrum and a Gaia source within a radius at the spectrum's time.

    Sources without a proper motion, and spectra without a date, are compared as they stand.

    Parameters
    ----------
    table : n rows
        ``ra``, ``dec`` [deg] and, where known, ``mjd`` or ``lmjd`` [d].
    gaia : m rows
        As `house_gaia` gives them.
    radius_arcsec : float
    match : callable
        What finds pairs of positions, such as ``catalogue.crossmatch.match_sky``.

    Returns
    -------
    i, j : (pair,) arrays
        Rows of ``table`` and of ``gaia``, ordered by ``i`` and then by separation.
    separation : (pair,) array [arcsec]
    """
    here = column(table, "ra"), column(table, "dec")
    there = column(gaia, "ra"), column(gaia, "dec")
    shift = _farthest_shift(year_observed(table), gaia)
    found: list[tuple[IntArray, IntArray]] = []
    low, high = -np.inf, _SLOW_ARCSEC
    while True:
        rows = np.flatnonzero((shift > low) & (shift <= high))
        if len(rows):
            reach = radius_arcsec + float(shift[rows].max())
            i, j, _ = match(*here, there[0][rows], there[1][rows], reach)
            found.append((i, rows[j]))
        if not (shift > high).any():
            break
        low, high = high, high * _SHIFT_STEP
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    i, j = (np.concatenate([pair[k] for pair in found]) for k in (0, 1))
    separation = separations(table, gaia, i, j)
    inside = separation <= radius_arcsec * (1 + RIM)
    i, j, separation = i[inside], j[inside], separation[inside]
    order = np.lexsort((j, separation, i))
    return i[order], j[order], separation[order]


def separations(table: pd.DataFrame, gaia: pd.DataFrame, i: IntArray, j: IntArray) -> FloatArray:
    """Return how far Gaia sources are from spectra at the time of these.

    Parameters
    ----------
    table, gaia : n and m rows
        As for `counterparts`.
    i, j : (pair,) arrays
        Rows of ``table`` and ``gaia``.

    Returns
    -------
    (pair,) array [arcsec]
        NaN where a position is missing.
    """
    zero = np.zeros(len(i))
    spectra = places(column(table, "ra")[i], column(table, "dec")[i], zero, zero, zero)
    ra, dec, pmra, pmdec = (column(gaia, name)[j] for name in ("ra", "dec", "pmra", "pmdec"))
    years = year_observed(table)[i] - epochs(gaia)[j]
    return separation_arcsec(spectra, places(ra, dec, pmra, pmdec, years))


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """Rows of a table that an identifier names.

    Attributes
    ----------
    row : (n,) array
        Row of the table for each spectrum; −1 for none.
    several : (n,) bool array
        The identifier names several rows that differ in place or in values.
    refused : (n,) array [arcsec]
        How far the nearest row lies where all were too far; NaN where none was refused.
    contradicted : (m,) bool array
        Rows of the table that are so refused: their identifier names one star and their place is
        another's, so that nobody can tell whose their values are.
    """

    row: IntArray
    several: BoolArray
    refused: FloatArray
    contradicted: BoolArray


def match_key(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    key: str,
    far_arcsec: float,
    wanted: BoolArray | None = None,
    apart: Apart | None = None,
) -> KeyMatch:
    """Find the row that an identifier names, and check it against the sky.

    A key is not a place: of several rows the nearest counts, and one that lies far away at the
    time of the spectrum is another star's. Rows without a position are taken as they come.

    Parameters
    ----------
    table : n rows
        ``key`` and, where known, ``ra``, ``dec`` [deg] and ``mjd`` or ``lmjd`` [d].
    rows : m rows
        ``key`` and, where known, ``ra``, ``dec`` [deg], ``pmra``, ``pmdec`` [mas/yr] and
        ``ref_epoch`` [yr].
    key : str
    far_arcsec : float
        Farther than this is refused.
    wanted : (n,) bool array, optional
        Spectra that are looked for.
    apart : callable, optional
        How far rows lie from spectra at one time; `separations` when not given.
    """
    n = len(table)
    nearest = np.full(n, -1, np.int64)
    several, refused = np.zeros(n, bool), np.full(n, np.nan)
    contradicted = np.zeros(len(rows), bool)
    there = pd.DataFrame({"key": rows[key].array, "j": np.arange(len(rows))}).dropna(subset="key")
    open_rows = table[key].notna().to_numpy(bool)
    if wanted is not None:
        open_rows = open_rows & wanted
    i = np.flatnonzero(open_rows)
    here = pd.DataFrame({"key": table[key].array.take(i), "i": i})
    pairs = here.merge(there, on="key", how="inner")
    if not len(pairs):
        return KeyMatch(nearest, several, refused, contradicted)
    pairs["apart"] = (apart or separations)(
        table, rows, pairs["i"].to_numpy(np.int64), pairs["j"].to_numpy(np.int64)
    )
    pairs = pairs.sort_values(["i", "apart", "j"], kind="stable", na_position="last")
    undated = np.isnan(year_observed(table))[pairs["i"]]
    speed = np.nan_to_num(np.hypot(column(rows, "pmra"), column(rows, "pmdec")))[pairs["j"]]
    too_far = pairs["apart"] > far_arcsec + np.where(undated, speed * _UNDATED_YEARS / 1e3, 0.0)
    kept = pairs[~too_far]
    first = kept.drop_duplicates("i")
    nearest[first["i"].to_numpy()] = first["j"].to_numpy()
    none = pairs[too_far & ~pairs["i"].isin(first["i"])]
    contradicted[none["j"].to_numpy()] = True
    none = none.drop_duplicates("i")
    refused[none["i"].to_numpy()] = none["apart"].to_numpy()
    twice = kept[kept["i"].duplicated(keep=False)]
    if len(twice):
        rivals = rows.iloc[twice["j"].to_numpy()].round(_SAME)
        rivals = rivals.assign(_spectrum=twice["i"].to_numpy()).drop_duplicates()
        kinds = rivals.groupby("_spectrum").size()
        several[kinds.index[kinds > 1].to_numpy(np.int64)] = True
    contradicted[nearest[nearest >= 0]] = False  # the row of an identifier that is right
    return KeyMatch(nearest, several, refused, contradicted)


def epochs(gaia: pd.DataFrame) -> FloatArray:
    """(m,) epoch [yr] of the positions: the table's, else that of Gaia DR3."""
    listed = column(gaia, "ref_epoch")
    return np.where(np.isnan(listed), float(GAIA_EPOCH), listed)


def _farthest_shift(year: FloatArray, gaia: pd.DataFrame) -> FloatArray:
    """(m,) farthest that each source can have moved between its epoch and a spectrum [arcsec]."""
    motion = usable_motion(column(gaia, "pmra"), column(gaia, "pmdec"))
    speed = np.nan_to_num(np.hypot(motion[:, 0], motion[:, 1]), nan=0.0)
    known = year[np.isfinite(year)]
    if not len(known):
        return np.zeros(len(gaia))
    epoch = epochs(gaia)
    span = np.maximum(np.abs(known.max() - epoch), np.abs(known.min() - epoch))
    return speed * span / 1000.0
