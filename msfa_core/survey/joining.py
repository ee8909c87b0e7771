"""Catalogues joined to a survey, and what is known of each spectrum before any step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from msfa_core.columns import BY_NAME
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


def base_table(survey: Survey) -> pd.DataFrame:
    """Return what is known of each spectrum before any step: its file, and joined catalogues."""
    return survey.base_table()


def refreshed(table: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Return the table of all spectra with what files and catalogues now say.

    Results of steps stay until the steps are run again.
    """
    base = base.set_index("obsid").reindex(table["obsid"].to_numpy(np.int64))
    base = base.set_axis(table.index)
    columns = {}
    for name in base.columns:
        if name in BY_NAME and BY_NAME[name].step != "ingest":
            new = base[name].astype(BY_NAME[name].dtype)
            columns[name] = table[name].where(table[name].notna(), new)
        else:
            columns[name] = base[name]
    return table.assign(**columns)
