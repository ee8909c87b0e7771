"""Who is who: catalogues joined by obsid, by file name or by place on the sky (paper §V.1)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msfa_core.columns import BY_NAME, OBSERVATION, check_columns
from msfa_core.constants import MATCH_RADIUS_ARCSEC, SPEED_OF_LIGHT
from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import FAR, match_key
from msfa_core.stars.sky import check_radius, pairs_between, unit_vectors
from msfa_core.tables.door import Use, of_frame
from msfa_core.tables.identities import PLACE_IN_NUMBER_ARCSEC, place_in_number
from msfa_core.tables.report import Matched, OutsideTable
from msfa_core.tables.row_keys import FILE_NAMES, OBSID_NAMES, as_ids, observation_key
from msfa_core.tables.units import (
    are_small_numbers,
    could_be_hours,
    could_be_radians,
    says_nothing,
)
from msfa_core.typing import FloatArray, IntArray

logger = logging.getLogger(__name__)


_OTHER_SNR: Final = np.log(1.5)  # releases differ by less
_ENOUGH_SNR: Final = 10  # rows
_SOME: Final = 0.2  # of them: noise alone mixes the ranks of equal S/N
_UNLIKE: Final = 0.4  # correlation of ranks: 0.9 and more between releases
FEWEST_PLACES: Final = 5  # of which a rounding can be told
_SAME_STEP: Final = 1e-6
_ENOUGH_VELOCITIES: Final = 10  # rows
_OTHER_VELOCITY: Final = 20.0  # km/s in the middle; of one star two pipelines give less …
_SAME_VELOCITY: Final = 10.0  # … and as little as this seldom by chance
_VELOCITIES: Final = ("rv", "z")  # of a catalogue
_SLIPPED: Final = "slipped"
_TURNED: Final = "turned"

# House name -> names in LAMOST (and kindred) catalogues, the first one present is taken.
CATALOGUE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "ra": ("ra", "ra_obs", "raj2000", "radeg", "ra_icrs"),
    "dec": ("dec", "dec_obs", "dej2000", "decj2000", "dedeg", "de_icrs"),
    "snr_g": ("snr_g", "snrg", "sn_g", "snmedian_g"),
    "z": ("z", "redshift", "z_helio", "zhelio"),
    "class": ("class",),
    "subclass": ("subclass",),
    "data_release": ("data_release",),
    "gaia_source_id": ("gaia_source_id", "source_id", "gaia_id", "gaiadr3", "gaiaedr3"),
    "g_mag": ("gaia_g_mean_mag", "phot_g_mean_mag", "Gmag", "g_mag"),
    "bp_rp": ("bp_rp",),
    "parallax_mas": ("parallax_mas", "parallax", "plx"),
    "parallax_error_mas": ("parallax_error_mas", "parallax_error", "e_plx"),
    "parallax_over_error": ("parallax_over_error",),
    "pmra": ("pmra",),
    "pmdec": ("pmdec", "pmde"),
    "pmra_error": ("pmra_error", "e_pmra"),
    "pmdec_error": ("pmdec_error", "e_pmde"),
    "bp_mag": ("bp_mag", "phot_bp_mean_mag", "BPmag"),
    "rp_mag": ("rp_mag", "phot_rp_mean_mag", "RPmag"),
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
    "ps_id": ("ps_id",),
    **{f"ps_{band}_mag": (f"ps_{band}_mag", f"mag_ps_{band}") for band in "grizy"},
    **{f"ps_{band}_mag_err": (f"ps_{band}_mag_err",) for band in "grizy"},
    "ps_quality": ("ps_quality",),
    "teff": ("teff", "teff_lasp", "t_eff"),
    "teff_err": ("teff_err", "teff_lasp_err", "e_teff"),
    "logg": ("logg", "logg_lasp", "log_g", "log(g)"),
    "logg_err": ("logg_err", "logg_lasp_err", "e_logg", "e_log(g)"),
    "feh": ("feh", "feh_lasp", "[fe/h]", "fe_h", "fe/h"),
    "feh_err": ("feh_err", "feh_lasp_err", "e_[fe/h]", "e_feh", "e_fe_h", "fe_h_err"),
}
# Taken along under their own names: other identifiers, dates, velocities, LAMOST's own D0.2
ALSO_TAKEN: Final = (*("designation", "mjd", "lmjd", "rv", "rv_err", "hdelta_d02", "hgamma_d02"),)
CATALOGUE_USE: Final = Use(
    "a catalogue",
    {
        "obsid": OBSID_NAMES,
        "file": FILE_NAMES,
        **CATALOGUE_NAMES,
        **{name: (name,) for name in (*ALSO_TAKEN, *OBSERVATION)},
        "z_err": ("z_err", "zerr", "e_z"),
    },
    (("obsid",), ("file",), OBSERVATION),
    keep_others=True,
    beside=("obsid", "file"),
    says_unused=True,
)
FAR_AWAY: Final = "far from the star that their identifier names"
OF_ANOTHER: Final = (
    "of another observation than their identifier, by night, file, star, S/N or velocity"
)
TURNED: Final = "is left out: it agrees with the redshifts of the spectra with its sign turned only"
PLACED: Final = ("ra", "dec", "pmra", "pmdec", "ref_epoch", "mjd", "lmjd")


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


# --- positions without a unit ----------------------------------------------------------------
def settled(opened: OutsideTable, spectra: pd.DataFrame, radius_arcsec: float) -> OutsideTable:
    """Settle whether positions without a unit are degrees, hours or radians.

    The range alone cannot tell hours from a field at small right ascension: they are taken for
    hours (or radians) only where more stars meet the survey so than in degrees.

    Parameters
    ----------
    opened : OutsideTable
    spectra : (n,) DataFrame
        With ``ra``, ``dec`` [deg].
    radius_arcsec : float
    """
    if not opened.has("ra", "dec") or not {"ra", "dec"} <= set(spectra.columns):
        return opened
    said = opened.columns["ra"]
    ra, dec = (opened.table[name].to_numpy(np.float64) for name in ("ra", "dec"))
    if said.how or not says_nothing(said.unit):
        return opened
    ways = {}
    if could_be_hours(ra):
        ways["hourangle"] = (15.0 * ra, dec)
    if could_be_radians(ra, dec):
        ways["rad"] = (np.degrees(ra) % 360.0, np.degrees(dec))
    if not ways:
        return opened
    here = [spectra[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec")]

    def n_met(across: FloatArray, up: FloatArray) -> int:
        return len(np.unique(match_sky(here[0], here[1], across, up, radius_arcsec)[0]))

    in_degrees = most = n_met(ra, dec)
    meant = ""
    for unit, (across, up) in ways.items():
        if (n := n_met(across, up)) > most:
            most, meant = n, unit
    if not most and are_small_numbers(ra, dec):
        return _without_places(opened)
    if not meant:
        return opened
    across, up = ways[meant]
    how = (
        f"{meant} → deg, for {'so do more of them' if in_degrees else 'only so do they'} meet the "
    )
    how += "survey's"
    columns = dict(opened.columns)
    columns["ra"] = replace(said, how=how)
    if meant == "rad":
        columns["dec"] = replace(columns["dec"], how=how)
    return replace(opened, table=opened.table.assign(ra=across, dec=up), columns=columns)


def _without_places(opened: OutsideTable) -> OutsideTable:
    """Leave out places that can be hours as well as degrees, and meet no spectrum as either."""
    columns, why = dict(opened.columns), dict(opened.left_out)
    across, up = columns.pop("ra").name, columns.pop("dec").name
    ra = opened.table["ra"]
    why[across] = (
        f"all of it lies from {ra.min():.3g} to {ra.max():.3g}, and no spectrum is there, be it in "
        f"degrees or in hours: give its unit ({across}_deg or {across}_hours)"
    )
    why[up] = f"as {across} beside it"
    table = opened.table.drop(columns=["ra", "dec"])
    return replace(opened, table=table, columns=columns, left_out=why)


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
        fiberid), or ``auto``: each by its obsid, and what is not found so by its file.

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
    opened = of_frame(table, CATALOGUE_USE, "the catalogue")
    return joined_catalogue(candidates, opened, how)[0]


def joined_catalogue(
    candidates: pd.DataFrame,
    opened: OutsideTable,
    how: Literal["auto", "obsid", "file"] = "auto",
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
    placed: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, Matched]:
    """Join a catalogue that came through the door; say how each spectrum was found.

    Parameters
    ----------
    candidates : (n,) DataFrame
        With ``obsid`` and, where known, ``file``, ``ra``, ``dec`` [deg]: what a key says is
        checked against the place.
    opened : OutsideTable
        Opened for `CATALOGUE_USE`.
    how : str
        As for `join_catalogue`.
    radius_arcsec : float
    placed : (n,) DataFrame, optional
        The candidates with their places, where these are not among what is to be filled.
    """
    table = opened.table
    where = candidates if placed is None else placed
    row = np.full(len(candidates), -1, np.int64)
    contradicted = np.zeros(len(table), bool)
    by: dict[str, int] = {}
    n_refused, n_other, n_several = 0, 0, 0
    tried: list[str] = []
    for key in ("obsid", "file") if how == "auto" else (how,):
        here, there = _keys(candidates, key), _keys(table, key)
        if here is None or there is None:
            side = "the catalogue" if there is None else "the candidates"
            tried.append(f"no column for the {key} in {side}")
            continue
        wanted = (row < 0) & _tells(here, key)
        left = where[[n for n in PLACED if n in where]].assign(_key=here.array)
        right = table[_taken(table)].assign(_key=there.mask(contradicted).array)
        match = match_key(left, right, "_key", FAR * radius_arcsec, wanted)
        other = _of_another(where, table, match.row)
        contradicted[match.row[other]] = True
        new = (match.row >= 0) & ~other
        row[new] = match.row[new]
        n_other += int(other.sum())
        by[key] = int(new.sum())
        n_refused += int(np.isfinite(match.refused).sum())
        n_several += int(match.several.sum())
        if by[key]:
            logger.info("%d of %d candidates found by %s", by[key], len(row), key)
        tried.append(f"by {key}: {_examples(here)} here, {_examples(there)} in the catalogue")
    twice = _repeated(_keys(table, "obsid"))
    if twice:
        rows = counted(twice, "row of the catalogue repeats", "rows of the catalogue repeat")
        logger.warning("%s a key; the nearest or first counts", rows)
    notes = (
        f"{counted(n_several, 'key names', 'keys name')} several rows that differ: the nearest or "
        "first counts",
    )
    why = OF_ANOTHER if n_other > n_refused else FAR_AWAY
    n_refused += n_other
    matched = Matched(len(candidates), by, (), n_refused, why, notes if n_several else ())
    if not matched.n:
        far = f"; {n_refused} rows are {why}" if n_refused else ""
        raise CatalogueError(
            f"The catalogue has none of the {len(candidates)} candidates ({'; '.join(tried)}"
            f"{far}). Name the file of the same data release, with a column 'obsid' or "
            f"'filename'; it has {opened.has_words()}.{opened.reasons()}"
        )
    for name in _VELOCITIES:
        if _velocities(where, table, row, name) == _TURNED:
            opened = replace(opened, table=opened.table.drop(columns=name))
            matched = replace(matched, notes=(*matched.notes, f"{name} {TURNED}"))
    joined = _filled(candidates, opened, row)
    theirs = _keys(table, "obsid")
    if by.get("file") and theirs is not None:  # files that state no obsid: numbered by their name
        joined["catalogue_obsid"] = theirs.array.take(row, allow_fill=True)
    return joined, matched


def _taken(table: pd.DataFrame) -> list[str]:
    """Return the columns of a catalogue in which two rows of a spectrum can differ."""
    taken = dict.fromkeys((*PLACED, *CATALOGUE_NAMES, *ALSO_TAKEN))
    return [name for name in taken if name in table]


def _keys(table: pd.DataFrame, key: str) -> pd.Series | None:
    """Return the column that identifies rows, in comparable form."""
    if key == "obsid":
        return as_ids(table["obsid"], "obsid") if "obsid" in table else None
    return observation_key(table)


def _of_another(where: pd.DataFrame, table: pd.DataFrame, row: IntArray) -> NDArray[np.bool_]:
    """(n,) spectra whose row says that it is of another observation than its key.

    By the night, by a file or by a number of Gaia that are those of another spectrum here, or by
    S/N that have nothing to do with those of the spectra (of the whole table then).
    """
    other = np.zeros(len(where), bool)
    at = np.flatnonzero(row >= 0)
    ours, theirs = where.iloc[at], table.iloc[row[at]].set_axis(where.index[at])
    if "lmjd" in where and "lmjd" in table:
        nights = (ours["lmjd"].astype("float64") - theirs["lmjd"].astype("float64")).abs()
        other[at] |= (nights > 1).to_numpy(bool)
    here, there = observation_key(where), observation_key(theirs)
    if here is not None and there is not None:
        differ = there.notna() & (there != here.iloc[at])
        other[at] |= (differ & there.isin(here.dropna())).to_numpy(bool)
    if "snr_g" in where and "snr_g" in table:
        ratio = theirs["snr_g"].astype("float64") / ours["snr_g"].astype("float64")
        known = (ratio > 0) & (ratio < np.inf)
        far = np.abs(np.log(ratio[known])) > _OTHER_SNR
        if known.sum() >= _ENOUGH_SNR and far.sum() > _SOME * known.sum():
            pairs = [one["snr_g"][known].rank() for one in (ours, theirs)]
            if min(np.ptp(one) for one in pairs) and abs(np.corrcoef(*pairs)[0, 1]) < _UNLIKE:
                other[at] = True
    if any(_velocities(where, table, row, name) == _SLIPPED for name in _VELOCITIES):
        other[at] = True
    if {"ra", "dec"} <= set(where.columns) and "gaia_source_id" in table and "ra" not in table:
        other[at] |= _of_other_places(where, at, theirs["gaia_source_id"])
    return other


def _velocities(where: pd.DataFrame, table: pd.DataFrame, row: IntArray, name: str) -> str:
    """Return what the redshifts of the spectra say of one of the velocities of a catalogue.

    Returns
    -------
    str
        `_SLIPPED` where they are those of the rows beside, `_TURNED` where they agree with the
        other sign only; nothing else is said.
    """
    if "z" not in where or name not in table:
        return ""
    light = float(SPEED_OF_LIGHT)
    velocity = table[name].to_numpy(np.float64, na_value=np.nan) * (light if name == "z" else 1.0)
    at = np.flatnonzero(row >= 0)
    ours = light * where["z"].to_numpy(np.float64, na_value=np.nan)[at]

    def apart(others: FloatArray) -> float:
        known = np.isfinite(ours) & np.isfinite(others)
        enough = known.sum() >= _ENOUGH_VELOCITIES
        return float(np.median(np.abs(ours - others)[known])) if enough else np.nan

    if not apart(velocity[row[at]]) > _OTHER_VELOCITY:
        return ""
    beside = [np.roll(velocity, step)[row[at]] for step in (-2, -1, 1, 2)]
    if any(apart(one) < _SAME_VELOCITY for one in beside):
        return _SLIPPED
    return _TURNED if apart(-velocity[row[at]]) < _SAME_VELOCITY else ""


def _of_other_places(
    where: pd.DataFrame, at: NDArray[np.intp], source_id: pd.Series
) -> NDArray[np.bool_]:
    """(m,) rows whose number of Gaia names the place of another spectrum than their own."""
    known = np.flatnonzero(source_id.notna().to_numpy(bool))
    ra, dec = (where[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec"))
    across, up = place_in_number("gaia_source_id", source_id.iloc[known].to_numpy(np.int64))
    own, there = unit_vectors(ra[at[known]], dec[at[known]]), unit_vectors(across, up)
    away = np.linalg.norm(own - there, axis=1) > check_radius(PLACE_IN_NUMBER_ARCSEC)
    found = np.zeros(len(at), bool)
    i, _, _ = match_sky(across[away], up[away], ra, dec, PLACE_IN_NUMBER_ARCSEC)
    found[known[away][i]] = True
    return found


def _tells(here: pd.Series, key: str) -> NDArray[np.bool_]:
    """(n,) spectra whose key is their own: names of files in several folders tell nothing."""
    known = here.notna().to_numpy(bool)
    if key == "file":
        known = known & ~here.duplicated(keep=False).to_numpy(bool)
    return known


def _repeated(keys: pd.Series | None) -> int:
    return 0 if keys is None else int(keys.dropna().duplicated().sum())


def _filled(candidates: pd.DataFrame, opened: OutsideTable, row: IntArray) -> pd.DataFrame:
    """Return the candidates with the catalogue's columns written in."""
    sources = {house: opened.table[house] for house in CATALOGUE_NAMES if house in opened.table}
    sources |= {name: opened.table[name] for name in ALSO_TAKEN if name in opened.table}
    if opened.has("z", "z_err"):
        sources["z_err"] = opened.table["z_err"].where(opened.table["z"].notna())
    sources |= {
        name: opened.others[name] for name in opened.others if str(name).startswith("true_")
    }
    joined = candidates.copy()
    for house, column in sources.items():
        if house in BY_NAME:
            column = column.astype(BY_NAME[house].dtype)  # noqa: PLW2901
        new = pd.Series(column.array.take(row, allow_fill=True), index=candidates.index)
        if house not in joined.columns:
            joined[house] = new
        elif house in BY_NAME and BY_NAME[house].step == "ingest":
            joined[house] = joined[house].where(joined[house].notna(), new)
        else:
            joined[house] = new.where(new.notna(), joined[house])
    return joined


def _examples(keys: pd.Series) -> str:
    some = keys.dropna().iloc[:2].astype("str").tolist()
    return ", ".join(some) + (", …" if len(keys) > len(some) else "") if some else "none"


def step_of_places(ra: ArrayLike, dec: ArrayLike) -> float:
    """Return the step [arcsec] to which all places of a table were rounded.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]

    Returns
    -------
    float
        The larger of the two: of decimals of a degree, or of seconds of time and of arc with up
        to one decimal. 0 where no such step is seen, or there are fewer than `FEWEST_PLACES`.
    """
    places = np.array([ra, dec], dtype=np.float64)
    places = places[:, np.isfinite(places).all(axis=0)]
    if places.shape[1] < FEWEST_PLACES:
        return 0.0
    coarse = 0.0
    for values, per_degree in zip(places, (240.0, 3600.0), strict=True):
        steps = [10.0**-k for k in range(5)] + [10.0**-k / per_degree for k in range(2)]
        fit = [step for step in steps if _are_multiples(values, step)]
        coarse = max(coarse, 3600.0 * max(fit, default=0.0))
    return coarse


def _are_multiples(values: FloatArray, step: float) -> bool:
    """Tell whether all values are whole numbers of steps, but for the digits of a float."""
    return bool((np.abs(values / step - np.round(values / step)) < _SAME_STEP).all())
