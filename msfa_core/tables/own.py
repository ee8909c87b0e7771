"""Tables that we exported, on their way back: the text of their cells, and the types of columns.

Exports guard text (a backslash where ASCII ends, ``'`` before what a spreadsheet would run) and
say so in the file or beside it; here that is undone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pandas as pd

from msfa_core.columns import BY_NAME
from msfa_core.tables.formats import read_file
from msfa_core.tables.raw import RawColumn, is_text
from msfa_core.tables.text import problem

_DTYPES: Final = {"int": "Int64", "float": "float64", "bool": "boolean", "str": "str"}
_YES_NO: Final = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}


def read_export(path: str | Path) -> pd.DataFrame:
    """Read a table that `export` wrote, as it was before: text, missing values, types.

    Parameters
    ----------
    path : str or Path
        MRT, FITS, VOTable, CSV (with its ``.provenance.json`` beside it) or Parquet.

    Returns
    -------
    (n,) DataFrame
        Numbers to the decimals of the format.

    Raises
    ------
    CatalogueError
        When it cannot be read.
    """
    file = read_file(path)
    kinds = _kinds(file.path)
    try:
        return pd.DataFrame(
            {one.name: _typed(one, kinds.get(one.name, "")) for one in file.tables[0].columns}
        )
    except (TypeError, ValueError) as error:
        raise problem(file.path, f"is no table of ours ({error})", "export it anew") from None


def _kinds(path: Path) -> dict[str, str]:
    """Return the kinds of columns by name, as the contract or the file beside it says."""
    kinds = {name: column.kind for name, column in BY_NAME.items()}
    beside = path.with_name(f"{path.name}.provenance.json")
    if beside.is_file():
        said = json.loads(beside.read_text(encoding="utf-8")).get("columns", {})
        kinds |= {name: one["kind"] for name, one in said.items() if "kind" in one}
    return kinds


def _typed(column: RawColumn, kind: str) -> pd.Series:
    values = column.values
    has_words = is_text(values)
    if has_words:
        values = values.mask((values == "").fillna(True))
    if not kind:
        return values
    if kind == "bool" and has_words:
        values = values.str.lower().map(_YES_NO)
    elif kind == "int" and has_words:
        values = pd.Series([None if pd.isna(one) else int(one) for one in values], dtype="Int64")
    return values.astype(_DTYPES[kind])
