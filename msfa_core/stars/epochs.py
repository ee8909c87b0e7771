"""From spectra to stars: unique identifiers, epochs, and the spectrum that stands for a star.

A star is named ``G`` + Gaia source_id, else ``P`` + PS1 id, else ``L`` + the HEALPix pixel of
its mean position. A spectrum that has none of these (no position) is a star of its own,
``O`` + obsid.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from astropy import units
from astropy_healpix import lonlat_to_healpix
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from msfa_core.columns import check_columns, numbers
from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.errors import CatalogueError
from msfa_core.flags import UidFlag
from msfa_core.rules import represents
from msfa_core.stars.sky import Pairs as Edges
from msfa_core.stars.sky import check_radius, pairs_among, unit_vectors
from msfa_core.tables.row_keys import as_ids
from msfa_core.typing import FloatArray, IntArray

UID_NSIDE: Final = 2**17  # HEALPix pixels of 1.6 arcsec, nested
_NONE: Final = -1  # no identifier, no star yet


def group_positions(ra: ArrayLike, dec: ArrayLike, radius_arcsec: float) -> IntArray:
    """Return the number of the group that each position belongs to.

    Friends of friends: a chain of positions, each within the radius of the next, is one group.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]
    radius_arcsec : float

    Returns
    -------
    (n,) array
        Numbers from 0 in the order of first appearance; a row without a position is a group
        of its own.

    Raises
    ------
    CatalogueError
        For a radius or declination that makes no sense.
    """
    node, first = _distinct(_places(ra, dec))
    vectors = unit_vectors(np.asarray(ra)[first], np.asarray(dec)[first])
    i, j, _ = _close_pairs(vectors, radius_arcsec)
    return _components(len(first), i, j)[node]


def assign_uids(
    candidates: pd.DataFrame, radius_arcsec: float = float(MATCH_RADIUS_ARCSEC)
) -> pd.DataFrame:
    """Return the star of every spectrum.

    Spectra that share a Gaia source_id are one star, and so are those without one that share
    a PS1 id with it or lie within the radius (of the nearest, where there are several). Two
    spectra with different Gaia ids are never one star. What is left is grouped by PS1 id and
    then by position, friends of friends.

    Parameters
    ----------
    candidates : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec`` [deg] and, where known, ``gaia_source_id``, ``ps_id``,
        ``snr_g``.
    radius_arcsec : float

    Returns
    -------
    (n,) DataFrame
        ``uid``, ``n_epochs`` (spectra of the star), ``is_representative`` (highest
        ``snr_g``, the lowest obsid among equals) and ``uid_flags`` (`UidFlag`), with the
        index of the candidates.

    Raises
    ------
    CatalogueError
        When a column is missing, an obsid is missing, or an identifier has lost digits.
    """
    check_columns(candidates, ("obsid", "ra", "dec"), "candidates")
    obsid = as_ids(candidates["obsid"], "obsid")
    if obsid.isna().any():
        raise CatalogueError(f"{int(obsid.isna().sum())} candidate(s) have no obsid.")
    ra, dec = candidates["ra"].to_numpy(np.float64), candidates["dec"].to_numpy(np.float64)
    gaia, ps1 = _identifier(candidates, "gaia_source_id"), _identifier(candidates, "ps_id")
    # epochs that agree in everything are one node: fewer pairs, however often a star was seen
    node, first = _distinct(_places(ra, dec), gaia, ps1)
    vectors = unit_vectors(ra[first], dec[first])
    edges = _close_pairs(vectors, radius_arcsec)
    kind, number = _stars(vectors, gaia[first], ps1[first], edges)
    flags = _doubts(vectors, gaia[first], ps1[first], edges, kind, number)[node]
    kind, number = kind[node], number[node]
    nameless = kind == "O"
    number[nameless] = obsid.to_numpy(np.int64)[nameless]
    result, star = _epochs(candidates, kind, number, obsid.to_numpy(np.int64))
    flags[_is_far(vectors[node], star, radius_arcsec)] |= int(UidFlag.FAR)
    result["uid_flags"] = pd.Series(flags, index=candidates.index, dtype="Int64")
    return result


# --- which star ----------------------------------------------------------------------------
def _stars(
    vectors: FloatArray, gaia: IntArray, ps1: IntArray, edges: Edges
) -> tuple[NDArray[np.str_], IntArray]:
    """Return the kind (G, P, L, O) and number that name the star of each node."""
    for identifier in (gaia, ps1):
        edges = _kept(edges, ~_conflict(identifier[edges[0]], identifier[edges[1]]))
    kind = np.full(len(gaia), "O")
    number = np.zeros(len(gaia), dtype=np.int64)

    gaia = _adopt(_through(gaia, ps1), edges)
    in_gaia = gaia != _NONE
    kind[in_gaia], number[in_gaia] = "G", gaia[in_gaia]

    edges = _kept(edges, ~in_gaia[edges[0]] & ~in_gaia[edges[1]])
    ps1 = _adopt(np.where(in_gaia, _NONE, ps1), edges)
    in_ps1 = ps1 != _NONE
    kind[in_ps1], number[in_ps1] = "P", ps1[in_ps1]

    edges = _kept(edges, ~in_ps1[edges[0]] & ~in_ps1[edges[1]])
    placed = (kind == "O") & np.isfinite(vectors).all(axis=1)
    if placed.any():
        group = _components(len(gaia), edges[0], edges[1])
        kind[placed], number[placed] = "L", _pixel_of_mean(vectors[placed], group[placed])
    return kind, number


def _doubts(
    vectors: FloatArray,
    gaia: IntArray,
    ps1: IntArray,
    edges: Edges,
    kind: NDArray[np.str_],
    number: IntArray,
) -> IntArray:
    """Return the flags of each node that its neighbours within the radius give it."""
    flags = np.zeros(len(gaia), dtype=np.int64)
    flags[~np.isfinite(vectors).all(axis=1)] = int(UidFlag.NO_POSITION)
    ends = np.concatenate([edges[0], edges[1]]), np.concatenate([edges[1], edges[0]])
    apart = (kind[ends[0]] != kind[ends[1]]) | (number[ends[0]] != number[ends[1]])
    flags[ends[0][apart]] |= int(UidFlag.NEIGHBOUR)
    for identifier, named in ((gaia, "G"), (ps1, "P")):
        adopts = (identifier == _NONE) & (kind == named)
        offered = adopts[ends[0]] & (identifier[ends[1]] != _NONE)
        pairs = pd.DataFrame({"node": ends[0][offered], "id": identifier[ends[1][offered]]})
        several = pairs.drop_duplicates()["node"]
        flags[several[several.duplicated()]] |= int(UidFlag.SEVERAL_IDS)
    return flags


def _is_far(vectors: FloatArray, star: IntArray, radius_arcsec: float) -> NDArray[np.bool_]:
    """Return which spectra lie farther than the radius from the mean position of their star."""
    placed = np.isfinite(vectors).all(axis=1)
    at, n_stars = star[placed], int(star.max(initial=-1)) + 1
    mean = np.column_stack([np.bincount(at, axis, n_stars) for axis in vectors[placed].T])
    size = np.linalg.norm(mean, axis=1)[at]
    mean = mean[at] / np.maximum(size, np.finfo(float).tiny)[:, None]
    off = np.linalg.norm(vectors[placed] - mean, axis=1)
    far = np.zeros(len(star), dtype=bool)
    far[placed] = off > check_radius(radius_arcsec)
    return far


def _identifier(candidates: pd.DataFrame, name: str) -> IntArray:
    """Return an identifier column as integers, `_NONE` where there is none."""
    if name not in candidates.columns:
        return np.full(len(candidates), _NONE, dtype=np.int64)
    return as_ids(candidates[name], name).to_numpy(np.int64, na_value=_NONE)


def _conflict(one: IntArray, other: IntArray) -> NDArray[np.bool_]:
    """Return which pairs are known to be two objects."""
    return (one != other) & (one != _NONE) & (other != _NONE)


def _kept(edges: Edges, keep: NDArray[np.bool_]) -> Edges:
    return edges[0][keep], edges[1][keep], edges[2][keep]


def _through(gaia: IntArray, ps1: IntArray) -> IntArray:
    """Give nodes without a Gaia id the one that goes with their PS1 id, where that is one."""
    has_both = (gaia != _NONE) & (ps1 != _NONE)
    pairs = pd.DataFrame({"gaia": gaia[has_both], "ps1": ps1[has_both]}).drop_duplicates()
    unique = pairs[~pairs["ps1"].duplicated(keep=False)]
    found = pd.Index(unique["ps1"]).get_indexer(pd.Index(ps1))
    wanting = (gaia == _NONE) & (ps1 != _NONE) & (found >= 0)
    result = gaia.copy()
    result[wanting] = unique["gaia"].to_numpy()[found[wanting]]
    return result


def _adopt(identifier: IntArray, edges: Edges) -> IntArray:
    """Give nodes without an identifier that of the nearest neighbour, hop by hop."""
    identifier = identifier.copy()
    ends = np.concatenate([edges[0], edges[1]]), np.concatenate([edges[1], edges[0]])
    distance = np.concatenate([edges[2], edges[2]])
    while True:
        wanting = identifier[ends[0]] == _NONE
        ends, distance = (ends[0][wanting], ends[1][wanting]), distance[wanting]
        offered = identifier[ends[1]]
        ready = np.flatnonzero(offered != _NONE)
        if len(ready) == 0:
            return identifier
        order = ready[np.lexsort((offered[ready], distance[ready], ends[0][ready]))]
        nodes, best = np.unique(ends[0][order], return_index=True)
        identifier[nodes] = offered[order][best]


def _pixel_of_mean(vectors: FloatArray, group: IntArray) -> IntArray:
    """Return the HEALPix pixel of the mean position of each node's group."""
    group, _ = pd.factorize(group)
    mean = np.stack([np.bincount(group, weights=axis) for axis in vectors.T])
    lon, lat = np.arctan2(mean[1], mean[0]), np.arctan2(mean[2], np.hypot(mean[0], mean[1]))
    pixel = lonlat_to_healpix(lon * units.rad, lat * units.rad, nside=UID_NSIDE, order="nested")
    return np.asarray(pixel, dtype=np.int64)[group]


# --- pairs and groups ----------------------------------------------------------------------
def _places(ra: ArrayLike, dec: ArrayLike) -> IntArray:
    """Return a number from 0 for each distinct position; every missing one is distinct."""
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    missing = ~(np.isfinite(ra) & np.isfinite(dec))
    place = np.full(len(ra), _NONE, dtype=np.int64)
    place[~missing], places = pd.factorize((ra % 360.0 + 1j * dec)[~missing])
    place[missing] = len(places) + np.arange(int(missing.sum()))
    return place


def _distinct(*codes: IntArray) -> tuple[IntArray, IntArray]:
    """Return the node of every row (equal in all codes) and the first row of every node.

    The first code counts from 0 without a gap.
    """
    node = codes[0]
    for code in codes[1:]:
        value, values = pd.factorize(code)
        node, _ = pd.factorize(node * len(values) + value)
    first = np.empty(node.max(initial=-1) + 1, dtype=np.int64)
    first[node[::-1]] = np.arange(len(node))[::-1]
    return node, first


def _close_pairs(vectors: FloatArray, radius_arcsec: float) -> Edges:
    """Return every pair of rows within the radius, and its chord."""
    chord = check_radius(radius_arcsec)
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    i, j, distance = pairs_among(vectors[rows], chord)
    return rows[i], rows[j], distance


def _components(n: int, i: IntArray, j: IntArray) -> IntArray:
    places = i.astype(np.int32), j.astype(np.int32)
    graph = coo_matrix((np.ones(len(i), dtype=np.int8), places), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


# --- epochs --------------------------------------------------------------------------------
def _epochs(
    candidates: pd.DataFrame, kind: NDArray[np.str_], number: IntArray, obsid: IntArray
) -> tuple[pd.DataFrame, IntArray]:
    """Return names, number of epochs and representative of stars, and the star of each row."""
    star, first = _distinct(pd.factorize(kind)[0].astype(np.int64), number)
    names = pd.Series(kind[first], dtype="str") + pd.Series(number[first]).astype("str")
    n_epochs = np.bincount(star, minlength=len(first))
    is_representative = represents(star, numbers(candidates, "snr_g"), obsid)
    index = candidates.index
    table = pd.DataFrame(
        {
            "uid": pd.Series(names.array.take(star), index=index),
            "n_epochs": pd.Series(n_epochs[star], index=index, dtype="Int64"),
            "is_representative": pd.Series(is_representative, index=index, dtype="boolean"),
        }
    )
    return table, star
