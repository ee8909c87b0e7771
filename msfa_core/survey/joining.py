"""Catalogues joined to a survey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msfa_core.durable import write_parquet
from msfa_core.errors import CatalogueError
from msfa_core.survey.completing import identities
from msfa_core.survey.folder import CATALOGUE_FOLDER, Survey


def read_catalogues(paths: Sequence[str | Path]) -> dict[str, pd.DataFrame]:
    """Return the tables of catalogues by the names of their files."""
    if not paths:
        return {}
    from msfa_core.tables.read import read_table  # noqa: PLC0415

    return {Path(path).name: read_table(path) for path in paths}


def join(survey: Survey, name: str, table: pd.DataFrame) -> int:
    """Keep the rows of a catalogue that belong to spectra of the survey; return how many."""
    from msfa_core.stars.crossmatch import join_catalogue  # noqa: PLC0415

    own = identities(survey.archive)
    if own.empty:
        raise CatalogueError(f"{name}: the survey holds no spectra to join it to; ingest some.")
    own = own[["obsid", "file"]]
    try:
        rows = join_catalogue(own, table)
    except CatalogueError as error:
        raise CatalogueError(f"{name}: {error}") from error
    rows = rows.drop(columns="file")
    matched = rows[rows.drop(columns="obsid").notna().any(axis=1)]
    write_parquet(survey.path / CATALOGUE_FOLDER / f"{name}.parquet", matched)
    return len(matched)
