"""Places on the sky that lie close together: every pair within a radius, and no other.

Positions are unit vectors, so that neither RA 0 nor a pole is special. Two places closer
than a chord are also closer than it along each axis; over a wide sky, a thin slice along one
axis holds few places, and comparing within slices is quicker than a search tree. Where the
slices are crowded (a small field, a large radius) the tree takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from msfa_core.errors import CatalogueError
from msfa_core.typing import FloatArray, IntArray

Pairs = tuple[IntArray, IntArray, FloatArray]  # row, row, chord between them

MAX_RADIUS_ARCSEC: Final = 18_000.0  # 5 deg; a larger one pairs everything with everything
RIM: Final = 1e-9  # relative: a pair at exactly the radius counts in spite of rounding
POLE: Final = 90.0  # deg
_LEAF_SIZE: Final = 16  # points per leaf of the tree; measured best for 600,000 stars
_CROWDED: Final = 60  # comparisons per place from which the tree is quicker
_CHUNK: Final = 50_000  # comparisons at a time: they stay in the processor's cache


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Return places on the sky as unit vectors.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]
        Any multiple of 360° may be added to ``ra``.

    Returns
    -------
    (n, 3) array

    Raises
    ------
    CatalogueError
        When a declination is beyond a pole or the arrays differ in length.
    """
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    if ra.shape != dec.shape or ra.ndim != 1:
        raise CatalogueError(f"ra has shape {ra.shape} and dec {dec.shape}; give two equal rows.")
    if np.any(np.abs(dec) > POLE):
        worst = dec[np.nanargmax(np.abs(dec))]
        raise CatalogueError(f"dec = {worst} lies beyond a pole; give degrees (ICRS).")
    ra, dec = np.radians(ra), np.radians(dec)
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=1)


def nearest(ra: ArrayLike, dec: ArrayLike, place: tuple[float, float]) -> tuple[int, float]:
    """Return which of n places lies nearest to one, and how far [arcsec]; −1 when none has any.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]
        NaN where there is no place.
    place : (float, float)
        RA and Dec [deg].
    """
    right, up = (np.asarray(values, dtype=np.float64) for values in (ra, dec))
    known = np.flatnonzero(np.isfinite(right) & np.isfinite(up))
    if not known.size:
        return -1, float("inf")
    difference = unit_vectors(right[known], up[known]) - unit_vectors([place[0]], [place[1]])
    chord = np.sqrt((difference**2).sum(axis=1))
    first = int(np.argmin(chord))
    angle = 2.0 * np.arcsin(min(float(chord[first]) / 2.0, 1.0))
    return int(known[first]), float(np.degrees(angle)) * 3600.0


def check_radius(radius_arcsec: float) -> float:
    """Return the chord on the unit sphere of an angle [arcsec], once it makes sense.

    Raises
    ------
    CatalogueError
        When the radius is not above 0 and at most `MAX_RADIUS_ARCSEC`.
    """
    if not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise CatalogueError(
            f"The match radius is {radius_arcsec} arcsec; give one above 0 and at most "
            f"{MAX_RADIUS_ARCSEC:.0f}."
        )
    return float(2.0 * np.sin(np.radians(radius_arcsec / 3600.0) / 2.0))


def pairs_between(first: FloatArray, second: FloatArray, chord: float) -> Pairs:
    """Return every pair of a row of one list and a row of the other within a chord.

    Parameters
    ----------
    first : (n, 3) array
    second : (m, 3) array
        Finite unit vectors.
    chord : float

    Returns
    -------
    i, j : (pair,) arrays
        Rows of ``first`` and ``second``, in no particular order.
    distance : (pair,) array
    """
    if len(second) > len(first):  # sort the longer list, look up the shorter one
        j, i, distance = pairs_between(second, first, chord)
        return i, j, distance
    reach = chord * (1.0 + RIM)
    for axis in (2, 0, 1):
        order = np.argsort(first[:, axis])
        along = first[order, axis]
        low = np.searchsorted(along, second[:, axis] - reach)
        count = np.searchsorted(along, second[:, axis] + reach, side="right") - low
        if count.sum() <= _CROWDED * (len(first) + len(second)):
            j, i, distance = _compared(second, first[order], low, count, reach)
            return order[i], j, distance
    found = _tree(first).sparse_distance_matrix(_tree(second), reach, output_type="ndarray")
    return found["i"].astype(np.int64), found["j"].astype(np.int64), found["v"]


def pairs_among(vectors: FloatArray, chord: float) -> Pairs:
    """Return every pair of rows of one list within a chord, each once.

    Parameters
    ----------
    vectors : (n, 3) array
        Finite unit vectors.
    chord : float

    Returns
    -------
    i, j : (pair,) arrays
        Rows, in no particular order.
    distance : (pair,) array
    """
    reach = chord * (1.0 + RIM)
    for axis in (2, 0, 1):
        order = np.argsort(vectors[:, axis])
        ordered = vectors[order]
        along = np.ascontiguousarray(ordered[:, axis])
        low = np.arange(1, len(along) + 1)  # a row is compared with those behind it
        count = np.searchsorted(along, along + reach, side="right") - low
        if count.sum() <= _CROWDED * len(vectors):
            i, j, distance = _compared(ordered, ordered, low, count, reach)
            return order[i], order[j], distance
    found = _tree(vectors).query_pairs(reach, output_type="ndarray").astype(np.int64)
    return found[:, 0], found[:, 1], _distance(vectors, vectors, found[:, 0], found[:, 1])


def _tree(vectors: FloatArray) -> cKDTree:
    return cKDTree(vectors, leafsize=_LEAF_SIZE, balanced_tree=False)


def _distance(first: FloatArray, second: FloatArray, i: IntArray, j: IntArray) -> FloatArray:
    distance: FloatArray = np.sqrt(np.square(first[i] - second[j]).sum(axis=1))
    return distance


def _compared(
    first: FloatArray, second: FloatArray, low: IntArray, count: IntArray, reach: float
) -> Pairs:
    """Compare row ``i`` of the first list with ``count[i]`` rows of the second from ``low[i]``."""
    axes = [(np.ascontiguousarray(first[:, k]), np.ascontiguousarray(second[:, k])) for k in (0, 1)]
    parts = []
    for rows in _chunks(count):
        times = count[rows]
        start = low[rows] - (np.cumsum(times) - times)
        i = np.repeat(np.arange(rows.start, rows.stop), times)
        j = np.repeat(start, times) + np.arange(len(i))
        for here, there in axes:  # most are far away along one of these
            near = np.flatnonzero(np.abs(here[i] - there[j]) <= reach)
            i, j = i[near], j[near]
        distance = _distance(first, second, i, j)
        inside = distance <= reach
        parts.append((i[inside], j[inside], distance[inside]))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return (
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )


def _chunks(count: IntArray) -> Iterator[slice]:
    """Yield runs of rows of about `_CHUNK` comparisons each."""
    total = np.cumsum(count)
    edges = np.searchsorted(total, np.arange(_CHUNK, total[-1:].sum() + _CHUNK, _CHUNK)) + 1
    begin = 0
    for end in np.unique(np.minimum(edges, len(count))):
        yield slice(begin, int(end))
        begin = int(end)
    if begin < len(count):
        yield slice(begin, len(count))
