"""Known stars: which spectra a list of them names, how many are new, and which list names them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import check_columns
from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import FAR, match_key
from msfa_core.rules import star_numbers
from msfa_core.stars.crossmatch import FAR_AWAY, match_sky, settled
from msfa_core.tables.door import of_frame
from msfa_core.tables.report import Matched, OutsideTable
from msfa_core.tables.row_keys import PLACE_USE

logger = logging.getLogger(__name__)

_KNOWN_SEPARATOR: Final = ";"


def mark_known(
    candidates: pd.DataFrame,
    known: Mapping[str, pd.DataFrame],
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.Series:
    """Return which known catalogues list each candidate.

    A row of a catalogue is matched by its ``obsid`` and by its position, as `known_match` says.

    Parameters
    ----------
    candidates : (n,) DataFrame
        With ``obsid`` and, for catalogues of positions, ``ra`` and ``dec`` [deg].
    known : mapping of names to tables
        The names are what is written.
    radius_arcsec : float

    Returns
    -------
    (n,) Series of str
        Names joined by ``;`` in the order given, missing where nobody lists the star; with
        the index of the candidates.

    Raises
    ------
    CatalogueError
        When a table has neither obsids nor positions.
    """
    check_columns(candidates, ("obsid",), "candidates")
    marks = np.full(len(candidates), "", dtype=object)
    for name, table in known.items():
        if not name or _KNOWN_SEPARATOR in name:
            raise CatalogueError(f"{name!r} cannot name a catalogue: no name, or it holds ';'.")
        opened = of_frame(table, PLACE_USE, name)
        listed, _ = known_match(
            candidates, settled(opened, candidates, radius_arcsec), radius_arcsec
        )
        logger.info("%s lists %d of %d candidates", name, listed.sum(), len(candidates))
        marks[listed] = [f"{old}{_KNOWN_SEPARATOR}{name}" if old else name for old in marks[listed]]
    marks[marks == ""] = None
    return pd.Series(marks, index=candidates.index, dtype="str", name="known_in")


def drop_known(
    candidates: pd.DataFrame,
    known: Mapping[str, pd.DataFrame] | None = None,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.DataFrame:
    """Return the candidates that no known catalogue lists.

    Parameters
    ----------
    candidates : (n,) DataFrame
    known : mapping of names to tables, optional
        Left out, the column ``known_in`` decides.
    radius_arcsec : float
    """
    if known is None:
        check_columns(candidates, ("known_in",), "candidates")
        marks = candidates["known_in"]
    else:
        marks = mark_known(candidates, known, radius_arcsec)
    return candidates[marks.isna()]


@dataclass(frozen=True, slots=True)
class KnownCounts:
    """How many candidates the known catalogues take away, as (spectra, stars).

    Attributes
    ----------
    listed : dict of str to (int, int)
        Candidates that each catalogue lists; one may be in several.
    known : (int, int)
        Candidates in any of them.
    new : (int, int)
        Candidates in none.
    """

    listed: dict[str, tuple[int, int]]
    known: tuple[int, int]
    new: tuple[int, int]

    def as_dict(self) -> dict[str, list[int]]:
        """Return the counts under their names, as the provenance keeps them."""
        every = {**self.listed, "in any known catalogue": self.known, "new": self.new}
        return {name: list(count) for name, count in every.items()}


def known_counts(candidates: pd.DataFrame) -> KnownCounts:
    """Count what the known catalogues list and what is left (paper §V.1).

    Parameters
    ----------
    candidates : (n,) DataFrame
        With ``known_in`` and ``uid``; a spectrum without a star counts as a star of its own.

    Raises
    ------
    CatalogueError
        When one of the columns is missing.
    """
    check_columns(candidates, ("obsid", "uid", "known_in"), "candidates")
    star = pd.Series(star_numbers(candidates), candidates.index)
    marks = candidates["known_in"]

    def count(rows: pd.Series) -> tuple[int, int]:
        return int(rows.sum()), int(star[rows].nunique())

    named = marks.dropna().unique()
    names = dict.fromkeys(name for mark in named for name in mark.split(_KNOWN_SEPARATOR))
    listed = {}
    for name in sorted(names):
        with_name = [mark for mark in named if name in mark.split(_KNOWN_SEPARATOR)]
        listed[name] = count(marks.isin(with_name))
    return KnownCounts(listed, count(marks.notna()), count(marks.isna()))


def known_match(
    spectra: pd.DataFrame,
    opened: OutsideTable,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> tuple[NDArray[np.bool_], Matched]:
    """Return which spectra a list of known stars lists, and how they were found.

    Each row goes by its obsid and by its place: a star is known whichever observation of it the
    list names. A row whose obsid is that of a star far from its place counts for neither.

    Raises
    ------
    CatalogueError
        When the table has neither obsids nor positions.
    """
    table = opened.table
    listed = np.zeros(len(spectra), dtype=bool)
    if not (opened.has("obsid") or opened.has("ra", "dec")):
        have = opened.has_words()
        raise CatalogueError(
            f"{opened.path} has neither obsids nor positions (it has {have}); "
            f"name a column 'obsid', or two 'ra' and 'dec' in degrees.{opened.reasons()}"
        )
    if len(table) == 0:
        return listed, Matched(len(spectra), {})
    by_obsid, refused = 0, np.empty(0)
    placed = np.ones(len(table), bool)
    if opened.has("obsid"):
        match = match_key(spectra, table, "obsid", FAR * radius_arcsec)
        listed |= match.row >= 0
        by_obsid = int(listed.sum())
        refused = match.refused[np.isfinite(match.refused)]
        placed = ~table["obsid"].isin(spectra["obsid"]).fillna(False).to_numpy(bool)
        placed[match.row[match.row >= 0]] = True
    by_place = 0
    rest = table[placed]
    if opened.has("ra", "dec") and len(rest):
        check_columns(spectra, ("ra", "dec"), "candidates")
        here = [spectra[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec")]
        there = [rest[name].to_numpy(np.float64) for name in ("ra", "dec")]
        listed[match_sky(here[0], here[1], there[0], there[1], radius_arcsec)[0]] = True
        by_place = int(listed.sum()) - by_obsid
    ways = {"obsid": by_obsid, "position": by_place}
    return listed, Matched(len(spectra), ways, n_refused=len(refused), why_refused=FAR_AWAY)
