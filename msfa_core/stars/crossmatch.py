"""Who is who: catalogues joined by obsid, by file name or by place on the sky (paper §V.1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msfa_core.columns import BY_NAME, check_columns
from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.errors import CatalogueError
from msfa_core.rules import star_numbers
from msfa_core.stars.sky import check_radius, pairs_between, unit_vectors
from msfa_core.tables.row_keys import as_ids, keys, obsids, positions
from msfa_core.typing import FloatArray, IntArray

logger = logging.getLogger(__name__)


_KNOWN_SEPARATOR: Final = ";"

# House name -> names in LAMOST (and kindred) catalogues, the first one present is taken.
CATALOGUE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "ra": ("ra", "ra_obs", "raj2000", "radeg"),
    "dec": ("dec", "dec_obs", "dej2000", "decj2000", "dedeg"),
    "snr_g": ("snr_g", "snrg", "sn_g", "snmedian_g"),
    "z": ("z",),
    "class": ("class",),
    "subclass": ("subclass",),
    "data_release": ("data_release",),
    "gaia_source_id": ("gaia_source_id", "source_id", "gaia_id"),
    "g_mag": ("g_mag", "gaia_g_mean_mag", "phot_g_mean_mag"),
    "bp_rp": ("bp_rp",),
    "parallax_mas": ("parallax_mas", "parallax"),
    "parallax_error_mas": ("parallax_error_mas", "parallax_error"),
    "parallax_over_error": ("parallax_over_error",),
    "pmra": ("pmra",),
    "pmdec": ("pmdec",),
    "pmra_error": ("pmra_error",),
    "pmdec_error": ("pmdec_error",),
    "bp_mag": ("bp_mag", "phot_bp_mean_mag"),
    "rp_mag": ("rp_mag", "phot_rp_mean_mag"),
    "j_mag": ("j_mag", "j_m"),
    "h_mag": ("h_mag", "h_m"),
    "ks_mag": ("ks_mag", "ks_m"),
    "j_mag_err": ("j_mag_err", "j_msigcom"),
    "h_mag_err": ("h_mag_err", "h_msigcom"),
    "ks_mag_err": ("ks_mag_err", "ks_msigcom"),
    "nu_eff_used_in_astrometry": ("nu_eff_used_in_astrometry",),
    "pseudocolour": ("pseudocolour",),
    "ecl_lat": ("ecl_lat",),
    "astrometric_params_solved": ("astrometric_params_solved",),
    "ebv": ("ebv",),
    "excess_factor": ("excess_factor", "phot_bp_rp_excess_factor"),
    "bp_flux_over_error": ("bp_flux_over_error", "phot_bp_mean_flux_over_error"),
    "rp_flux_over_error": ("rp_flux_over_error", "phot_rp_mean_flux_over_error"),
    "teff": ("teff", "teff_lasp"),
    "teff_err": ("teff_err", "teff_lasp_err"),
    "logg": ("logg", "logg_lasp"),
    "logg_err": ("logg_err", "logg_lasp_err"),
    "feh": ("feh", "feh_lasp"),
    "feh_err": ("feh_err", "feh_lasp_err"),
}
# Taken along under their own names: other identifiers, dates, velocities, LAMOST's own D0.2
ALSO_TAKEN: Final = (
    *("ps_id", "designation", "mjd", "lmjd", "rv", "rv_err", "hdelta_d02", "hgamma_d02"),
)


# --- by place ------------------------------------------------------------------------------
def match_sky(
    ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius_arcsec: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return every pair of rows of two lists within a radius, one-to-many included.

    Right across RA 0 and at the poles. Rows without a position match nothing.

    Parameters
    ----------
    ra1, dec1 : (n,) arrays [deg]
    ra2, dec2 : (m,) arrays [deg]
    radius_arcsec : float
        A pair at exactly this distance counts.

    Returns
    -------
    i, j : (pair,) arrays
        Rows in the first and second list, ordered by ``i`` and then by separation.
    separation : (pair,) array [arcsec]

    Raises
    ------
    CatalogueError
        For a radius or declination that makes no sense.
    """
    chord = check_radius(radius_arcsec)
    first, second = unit_vectors(ra1, dec1), unit_vectors(ra2, dec2)
    rows1 = np.flatnonzero(np.isfinite(first).all(axis=1))
    rows2 = np.flatnonzero(np.isfinite(second).all(axis=1))
    if len(rows1) == 0 or len(rows2) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    near, far, distance = pairs_between(first[rows1], second[rows2], chord)
    separation = np.degrees(2.0 * np.arcsin(distance / 2.0)) * 3600.0
    order = np.lexsort((far, separation, near))
    return rows1[near[order]], rows2[far[order]], separation[order]


# --- known stars ---------------------------------------------------------------------------
def mark_known(
    candidates: pd.DataFrame,
    known: Mapping[str, pd.DataFrame],
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.Series:
    """Return which known catalogues list each candidate.

    A row of a catalogue is matched by ``obsid`` where it has one, else by its position.

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
        listed = _is_listed(candidates, table, name, radius_arcsec)
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


def _is_listed(
    candidates: pd.DataFrame, table: pd.DataFrame, name: str, radius_arcsec: float
) -> NDArray[np.bool_]:
    """Return which candidates a catalogue lists."""
    listed = np.zeros(len(candidates), dtype=bool)
    if len(table) == 0:
        return listed
    obsid = obsids(table, name)
    rest = table
    if obsid is not None:
        listed |= as_ids(candidates["obsid"], "obsid").isin(obsid.dropna()).to_numpy()
        rest = table[obsid.isna().to_numpy()]
    if len(rest) == 0:
        return listed
    position = positions(rest, name)
    if position is None:
        if obsid is not None:
            return listed
        have = ", ".join(map(str, table.columns))
        raise CatalogueError(
            f"{name} has neither obsids nor positions (it has {have}); "
            "name a column 'obsid', or two 'ra' and 'dec' in degrees."
        )
    check_columns(candidates, ("ra", "dec"), "candidates")
    here = candidates["ra"].to_numpy(np.float64), candidates["dec"].to_numpy(np.float64)
    listed[match_sky(*here, *position, radius_arcsec)[0]] = True
    return listed


# --- catalogues joined ---------------------------------------------------------------------
def join_catalogue(
    candidates: pd.DataFrame,
    table: pd.DataFrame,
    how: Literal["auto", "obsid", "file"] = "auto",
) -> pd.DataFrame:
    """Return the candidates with what a LAMOST catalogue knows of them.

    Columns take their house names (`CATALOGUE_NAMES`). What the header of the spectrum said
    (position, S/N, class, z) is only completed; labels and photometry are those of the
    catalogue wherever it has a value. A join by file adds ``catalogue_obsid``, where the
    catalogue has obsids.

    Parameters
    ----------
    candidates : (n,) DataFrame
        With ``obsid``, and ``file`` when joined by file name.
    table : DataFrame
        As `read_table` gives it: any order, any further columns.
    how : str
        ``obsid``, ``file`` (base name, with or without ``.fits.gz``; or lmjd, planid, spid,
        fiberid), or ``auto``: by obsid when that matches anything, else by file.

    Returns
    -------
    (n,) DataFrame

    Raises
    ------
    CatalogueError
        When nothing matches (with identifiers of both sides), or a column cannot be read.
    """
    if how not in ("auto", "obsid", "file"):
        raise CatalogueError(f"how = {how!r}; a catalogue is joined by 'obsid', 'file' or 'auto'.")
    check_columns(candidates, ("obsid",), "candidates")
    lower = {str(name).lower(): name for name in table.columns}
    tried: list[str] = []
    for key in ("obsid", "file") if how == "auto" else (how,):
        here, there = keys(candidates, key), keys(table, key)
        if here is None or there is None:
            side = "the catalogue" if there is None else "the candidates"
            tried.append(f"no column for the {key} in {side}")
            continue
        row = _row_of(here, there)
        if (row >= 0).any():
            logger.info("%d of %d candidates found by %s", (row >= 0).sum(), len(row), key)
            joined = _filled(candidates, table, row, lower)
            theirs = obsids(table, "the catalogue") if key == "file" else None
            if theirs is not None:  # files that state no obsid were numbered by their name
                joined["catalogue_obsid"] = theirs.array.take(row, allow_fill=True)
            return joined
        tried.append(f"by {key}: {_examples(here)} here, {_examples(there)} in the catalogue")
    raise CatalogueError(
        f"The catalogue has none of the {len(candidates)} candidates ({'; '.join(tried)}). "
        "Name the file of the same data release, with a column 'obsid' or 'filename'."
    )


def _row_of(here: pd.Series, there: pd.Series) -> IntArray:
    """Return the row of the catalogue for each candidate, -1 for none."""
    rows = pd.Series(np.arange(len(there)), index=there.array)
    rows = rows[rows.index.notna()]
    twice = rows.index.duplicated()
    if twice.any():
        logger.warning("%d rows of the catalogue repeat a key; the first counts", twice.sum())
        rows = rows[~twice]
    found = rows.index.get_indexer(pd.Index(here.array))
    return np.where(found >= 0, rows.to_numpy()[found], -1)


def _filled(
    candidates: pd.DataFrame, table: pd.DataFrame, row: IntArray, lower: Mapping[str, object]
) -> pd.DataFrame:
    """Return the candidates with the catalogue's columns written in."""
    sources: dict[str, object] = {}
    for house, names in CATALOGUE_NAMES.items():
        found = next((lower[name] for name in names if name in lower), None)
        if found is not None:
            sources[house] = found
    sources |= {name: lower[name] for name in ALSO_TAKEN if name in lower}
    sources |= {name: name for name in table.columns if str(name).startswith("true_")}
    joined = candidates.copy()
    for house, name in sources.items():
        values = _typed(table[name], house).array.take(row, allow_fill=True)
        new = pd.Series(values, index=candidates.index)
        if house not in joined.columns:
            joined[house] = new
        elif house in BY_NAME and BY_NAME[house].step == "ingest":
            joined[house] = joined[house].where(joined[house].notna(), new)
        else:
            joined[house] = new.where(new.notna(), joined[house])
    return joined


def _typed(values: pd.Series, house: str) -> pd.Series:
    """Return a column in the type of the contract, or say which value stops it."""
    column = BY_NAME.get(house)
    kind = column.kind if column else {"ps_id": "int"}.get(house, "")
    if not kind and house not in CATALOGUE_NAMES:
        return values  # taken along as it is
    if kind == "int":
        return as_ids(values, house)
    if kind == "str":
        return values.astype("str")
    numbers = pd.to_numeric(values, errors="coerce")
    bad = values.notna() & numbers.isna()
    if values.dtype != "float64" and bad.any():
        text = values[bad].astype("str").str.strip()
        wrong = text[~text.str.lower().isin(("", "nan", "null", "none", "--"))]
        if len(wrong):
            raise CatalogueError(f"{house} has {wrong.iloc[0]!r} where a number belongs.")
    return numbers.astype("float64")


def _examples(keys: pd.Series) -> str:
    some = keys.dropna().iloc[:2].astype("str").tolist()
    return ", ".join(some) + (", …" if len(keys) > len(some) else "") if some else "none"
