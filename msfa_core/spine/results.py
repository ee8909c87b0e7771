"""What steps gave, kept below ``steps/`` of a survey with the key of all that it depends on.

Equal keys mean equal results, so what was done is not done again, and a killed run resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.durable import parquet_notes, write_parquet
from msfa_core.errors import SurveyError, typed
from msfa_core.survey.folder import STEPS_FOLDER, Survey

KEY: Final = "msfa_key"
TABLE: Final = "table"  # the part that is the whole table


def make_key(name: str, version: int, **inputs: Any) -> str:
    """Return a digest of what is made, its version, and all it depends on, by content.

    Parameters
    ----------
    name : str
    version : int
        Raised by whoever changes what is made.
    **inputs
        Tables, arrays, mappings of these, and values that JSON can hold.
    """
    digest = hashlib.sha256(f"{name} {version}".encode())
    for part in _content(inputs):
        digest.update(part)
    return digest.hexdigest()


def _content(value: Any) -> Iterator[bytes]:
    if isinstance(value, pd.DataFrame):
        yield json.dumps([str(name) for name in value.columns]).encode()
        yield pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        for name in sorted(value):
            yield f"\n{name} ".encode()
            yield from _content(value[name])
    else:
        yield json.dumps(value).encode()


def result_path(survey: Survey, step: str, part: str = TABLE) -> Path:
    """Return where the result of a step is kept: of a shard, or of the whole table."""
    return survey.path / STEPS_FOLDER / step / f"{part}.parquet"


def key_of(path: Path) -> str:
    """Return the key of a kept result; empty when there is none that can be read."""
    return parquet_notes(path).get(KEY, "")


def keep(survey: Survey, step: str, part: str, key: str, table: pd.DataFrame) -> None:
    """Keep the result of a step with its key, whole or not at all."""
    write_parquet(result_path(survey, step, part), table, {KEY: key})


def kept_keys(survey: Survey, step: str, parts: Iterable[str]) -> dict[str, str]:
    """Return the keys of what a step gave, by the name of the part."""
    keys = {part: key_of(result_path(survey, step, part)) for part in parts}
    return {part: key for part, key in keys.items() if key}


def kept(survey: Survey, step: str, parts: Iterable[str]) -> pd.DataFrame | None:
    """Return what a step gave for its parts, (m,) rows by obsid; None before its first run.

    Raises
    ------
    SurveyError
        When a result cannot be read, saying how to make it again.
    """
    paths = [path for part in parts if (path := result_path(survey, step, part)).exists()]
    try:
        tables = [pd.read_parquet(path) for path in paths]
    except (OSError, ValueError) as error:
        raise SurveyError(
            f"a result below {survey.path / STEPS_FOLDER / step} cannot be read ({error}); remove "
            f"that folder and give `msfa run {typed(survey.path)} --steps {step}`."
        ) from error
    return pd.concat(tables, ignore_index=True) if tables else None


def written_into(table: pd.DataFrame, result: pd.DataFrame | None) -> pd.DataFrame:
    """Return a table of spectra with the columns of a result, joined by obsid."""
    if result is None:
        return table
    rows = result.drop_duplicates("obsid", keep="last").set_index("obsid")
    rows = rows.reindex(table["obsid"].to_numpy(np.int64)).set_axis(table.index)
    known = rows.columns.isin(table.columns)
    table = table.assign(**{name: rows[name] for name in rows.columns[known]})
    return table if known.all() else pd.concat([table, rows.loc[:, ~known]], axis=1)
