"""Catalogues joined to a survey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.survey.completing import identities
from msfa_core.survey.folder import CATALOGUE_FOLDER, Survey
from msfa_core.survey.given import Given, keep, name_of, next_place, numbered, same_source
from msfa_core.tables.names import plain
from msfa_core.tables.report import OutsideTable, as_record, check_slipped

if TYPE_CHECKING:
    from msfa_core.tables.large import LargeTable

_TOLD_APART: Final = ("obsid", "file", "ra", "dec", "mjd", "lmjd", "snr_g", "z")
_OLD: Final = " before"
_SHOWN: Final = 4


def read_catalogues(paths: Sequence[str | Path]) -> list[OutsideTable | LargeTable]:
    """Return the tables of catalogues, in the order given; of long ones only the beginning."""
    if not paths:
        return []
    from msfa_core.stars.crossmatch import CATALOGUE_USE  # noqa: PLC0415
    from msfa_core.tables.door import open_table  # noqa: PLC0415
    from msfa_core.tables.large import open_large  # noqa: PLC0415

    return [open_large(path, CATALOGUE_USE) or open_table(path, CATALOGUE_USE) for path in paths]


def join(survey: Survey, catalogues: Sequence[OutsideTable | LargeTable]) -> list[Given]:
    """Keep the rows of catalogues that belong to spectra of the survey: of all or of none.

    Parameters
    ----------
    survey : Survey
    catalogues : sequence of OutsideTable or LargeTable
        From `read_catalogues`.

    Returns
    -------
    list of Given
        What is kept of each, with a line about it.

    Raises
    ------
    CatalogueError
        When one of them knows no spectrum; nothing is kept then.
    """
    if not catalogues:
        return []
    own = identities(survey.archive)
    if own.empty:
        raise CatalogueError(
            f"{catalogues[0].path}: the survey holds no spectra to join it to; ingest some."
        )
    own = own[[name for name in _TOLD_APART if name in own.columns]]
    pending: list[Given] = []
    for one in catalogues:
        opened = one
        if not isinstance(opened, OutsideTable):
            opened = opened.rows_of(own["obsid"].to_numpy(np.int64), own["file"])
        pending.append(_joined(survey, opened, own, pending))
    keep(survey, pending)
    return pending


def _joined(survey: Survey, opened: OutsideTable, own: pd.DataFrame, pending: list[Given]) -> Given:
    from msfa_core.stars.crossmatch import joined_catalogue, settled  # noqa: PLC0415

    radius = survey.settings.match_radius_arcsec
    opened = settled(opened, own, radius)
    try:
        rows, matched = joined_catalogue(own[["obsid", "file"]], opened, placed=own)
    except CatalogueError as error:
        raise CatalogueError(f"{opened.path}: {error}") from error
    check_slipped(matched, opened.path)
    rows = rows.drop(columns="file")
    known = rows[rows.drop(columns="obsid").notna().any(axis=1)]
    folder = survey.path / CATALOGUE_FOLDER
    before = same_source(folder, opened.path, pending)
    before += [old for old in numbered(folder) if old.name == f"{opened.name}.parquet"]
    more = ["it replaces what was joined before from the same file"] if before else []
    more += _differences(survey, folder, known, before, pending)
    if "verdict" in {plain(name) for name in opened.names}:
        more.append(f"its verdicts are taken by `msfa store import {survey.path} {opened.path}`")
    record = as_record(opened, "catalogue", matched, more)
    return Given(next_place(folder, opened.name, pending), known, record, tuple(before))


def _differences(
    survey: Survey,
    folder: Path,
    rows: pd.DataFrame,
    before: Sequence[Path],
    pending: Sequence[Given],
) -> list[str]:
    """Say where a catalogue differs from those that were given earlier; it counts."""
    earlier = {
        name_of(path): pd.read_parquet(path) for path in numbered(folder) if path not in before
    }
    earlier |= {name_of(one.path): one.rows for one in pending if one.path not in before}
    said = []
    for name, old in earlier.items():
        both = rows.merge(old.drop_duplicates("obsid"), on="obsid", suffixes=("", _OLD))
        words = []
        for column in rows.columns:
            if f"{column}{_OLD}" not in both:
                continue
            new, was = both[column], both[f"{column}{_OLD}"]
            differ = int(((new != was) & new.notna() & was.notna()).fillna(False).sum())
            if differ:
                words.append(f"{column} {differ:,}")
        if words:
            more = f" and {len(words) - _SHOWN} more columns" if len(words) > _SHOWN else ""
            said.append(
                f"values differ from {name}: {', '.join(words[:_SHOWN])}{more}; the catalogue "
                "given last counts"
            )
    return said
