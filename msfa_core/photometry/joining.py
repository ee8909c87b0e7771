"""The row of a photometric survey that belongs to a spectrum: by identifier, else by place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import FAR, Apart, Pairs, match_key, separations
from msfa_core.tables.report import OutsideTable
from msfa_core.typing import BoolArray, IntArray

_SAME: Final = 6  # decimals to which rows of one source agree


@dataclass(frozen=True, slots=True)
class SkySurvey:
    """A survey of the sky whose rows are joined to spectra.

    Attributes
    ----------
    name : str
        In words.
    key : str
        House name of its identifier.
    prefix : str
        Of what a join says of itself: ``gaia_separation``.
    columns : tuple of str
        What a join brings, in this order, the identifier among them.
    telling : tuple of str
        Rows of one identifier that differ in these are not the same row twice.
    needed : tuple of str
        Magnitudes of which a table needs one.
    called : (str, str)
        What its own tables call identifier and position, and the magnitudes: for messages.
    """

    name: str
    key: str
    prefix: str
    columns: tuple[str, ...]
    telling: tuple[str, ...]
    needed: tuple[str, ...]
    called: tuple[str, str]


def house_rows(opened: OutsideTable, survey: SkySurvey, names: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a survey's table that came through the door, under house names.

    Parameters
    ----------
    opened : OutsideTable
    survey : SkySurvey
    names : iterable of str
        House names of what is wanted, absent ones as missing.

    Returns
    -------
    (n,) DataFrame

    Raises
    ------
    CatalogueError
        When the table has nothing to join on, or no photometry.
    """
    keys, magnitudes = survey.called
    lacking = ""
    if not (opened.has(survey.key) or opened.has("obsid") or opened.has("ra", "dec")):
        lacking = f"{keys} to join on"
    elif not any(opened.has(name) for name in survey.needed):
        lacking = magnitudes
    if lacking:
        raise CatalogueError(
            f"{opened.path}: the {survey.name} table has no {lacking}; it has "
            f"{opened.has_words()}.{opened.reasons()}"
        )
    house = pd.DataFrame(index=opened.table.index)
    for name in names:
        kind = "Int64" if name in (survey.key, "obsid") else "float64"
        empty = pd.Series(pd.NA if kind == "Int64" else np.nan, house.index, dtype=kind)
        house[name] = opened.table[name].astype(kind) if name in opened.table else empty
    return house


def joined_rows(
    candidates: pd.DataFrame,
    rows: pd.DataFrame,
    survey: SkySurvey,
    pairs: Pairs | None,
    radius_arcsec: float,
    apart: Apart = separations,
) -> pd.DataFrame:
    """Find each candidate's row: by the identifier of the survey, else by obsid, else by position.

    Parameters
    ----------
    candidates : (n,) DataFrame
        ``obsid`` and, where known, the identifier; what ``apart`` needs.
    rows : (m,) DataFrame
        The identifier, ``obsid``, and the columns of the survey.
    survey : SkySurvey
    pairs : (i, j, separation [arcsec]), optional
        Candidate and row numbers that lie within the match radius on the sky.
    radius_arcsec : float
        An identifier may name a row up to `FAR` times as far.
    apart : callable
        How far rows lie from candidates at one time.

    Returns
    -------
    (n,) DataFrame, index of ``candidates``
        The columns of the survey, missing where no row was found, and with its prefix
        ``separation`` [arcsec], ``found_by``, ``candidates`` (where several lie within the radius:
        all of them), ``ambiguous``, ``duplicated`` and ``refused`` [arcsec], see
        `photometry.gaia.join_gaia`.
    """
    if not len(rows):
        rows = rows.reindex([0])  # a row that says nothing and matches nothing
    n = len(candidates)
    row = np.full(n, -1, dtype=np.int64)
    found_by = np.full(n, None, dtype=object)
    refused = np.full(n, np.nan)
    several = np.zeros(n, bool)
    contradicted = np.zeros(len(rows), bool)
    for key in (survey.key, "obsid"):
        if key not in candidates.columns or rows[key].isna().all():
            continue
        match = match_key(candidates, rows, key, FAR * radius_arcsec, row < 0, apart)
        new = match.row >= 0
        row[new] = match.row[new]
        found_by[new] = key.removeprefix(f"{survey.prefix}_")
        several |= match.several
        contradicted |= match.contradicted
        refused = np.where(np.isnan(refused), match.refused, refused)
    named = np.full(n, None, dtype=object)
    if pairs is not None:
        contradicted[row[row >= 0]] = False
        pairs = _of_rows(pairs, ~contradicted)
        still = row < 0
        _match_on_sky(row, named, rows[survey.key], pairs)
        found_by[still & (row >= 0)] = "position"
    found = row >= 0
    joined = rows.loc[:, list(survey.columns)].iloc[np.where(found, row, 0)]
    joined = joined.set_axis(candidates.index).where(pd.Series(found, index=candidates.index))
    joined[survey.key] = joined[survey.key].astype("Int64")
    separation = np.full(n, np.nan)
    at = np.flatnonzero(found)
    separation[at] = apart(candidates, rows, at, row[at])
    names = pd.Series(named, index=candidates.index, dtype="str")
    said = {
        "separation": separation,
        "candidates": names,
        "ambiguous": names.notna(),
        "duplicated": (_differing(rows, survey)[np.where(found, row, 0)] | several) & found,
        "found_by": pd.Series(found_by, index=candidates.index, dtype="str"),
        "refused": refused,
    }
    return joined.assign(**{f"{survey.prefix}_{what}": values for what, values in said.items()})


def _of_rows(pairs: Pairs, rows: BoolArray) -> Pairs:
    """Return the pairs whose row is one of these."""
    kept = rows[pairs[1]]
    return pairs[0][kept], pairs[1][kept], pairs[2][kept]


def _differing(table: pd.DataFrame, survey: SkySurvey) -> BoolArray:
    """(m,) True where the rows of one identifier differ."""
    key, telling = survey.key, survey.telling
    twice = table[key].notna() & table[key].duplicated(keep=False)
    differs = np.zeros(len(table), dtype=bool)
    rows = table.loc[twice, [key, *telling]].round(dict.fromkeys(telling, _SAME))
    if len(rows):
        n_kinds = rows.drop_duplicates().groupby(key)[key].size()
        several = n_kinds.index[n_kinds > 1]
        differs[:] = (table[key].isin(several) & twice).to_numpy(dtype=bool)
    return differs


def _match_on_sky(row: IntArray, named: NDArray[np.object_], ids: pd.Series, pairs: Pairs) -> None:
    """Fill ``row`` with the nearest counterpart of the rows still open; name rivals."""
    i, j, separation = pairs
    still = row[i] < 0
    frame = pd.DataFrame({"i": i[still], "j": j[still], "separation": separation[still]})
    ids = ids.iloc[frame["j"]].reset_index(drop=True)
    frame["star"] = ids.fillna(-1 - frame["j"]).astype("int64")  # without an id: by its row
    frame = frame.sort_values(["i", "separation", "j"], kind="stable")
    frame = frame.drop_duplicates(["i", "star"])
    nearest = frame.drop_duplicates("i")
    row[nearest["i"].to_numpy()] = nearest["j"].to_numpy()
    rivals = frame[frame["i"].duplicated(keep=False)]
    names = [
        f"{star if star >= 0 else f'row {-star}'} at {apart:.2f} arcsec"
        for star, apart in zip(rivals["star"], rivals["separation"], strict=True)
    ]
    for star, texts in pd.Series(names, index=rivals["i"], dtype="str").groupby(level=0):
        named[star] = "; ".join(texts)
