"""What a file holds before anything is understood: its tables, their columns as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from msfa_core.tables.text import distinct_names


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column as the file has it.

    Attributes
    ----------
    name : str
    values : (n,) Series
        Text as it stands, or numbers; missing where the format says so.
    unit : str or None
        As the file gives it.
    single : bool
        Numbers in single precision.
    about : str
        What the file says of it in words: description, UCD, system of coordinates, comment.
    repeats : str
        Name in the file, where an earlier column has it too and this one was given another.
    """

    name: str
    values: pd.Series
    unit: str | None = None
    single: bool = False
    about: str = ""
    repeats: str = ""


@dataclass(frozen=True, slots=True)
class RawTable:
    """One table of a file, before anything is understood.

    Attributes
    ----------
    name : str
        Within the file; empty where it is the only one.
    columns : list of RawColumn
    left_out : dict of str to str
        Columns that cannot be used, and why.
    notes : tuple of str
        What the file says of itself, or the reader of the file.
    text : str
        Comments and descriptions, where they may name a data release.
    """

    name: str
    columns: list[RawColumn]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    text: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class RawFile:
    """All tables of a file.

    Attributes
    ----------
    path : Path
        Without the part after ``#``.
    wanted : str
        The part after ``#``: a table of the file, by name or number.
    kind : str
        Format in words.
    checksum : str
        SHA-256 of the file as it lies on the disk, first 16 digits.
    tables : list of RawTable
    """

    path: Path
    wanted: str
    kind: str
    checksum: str
    tables: list[RawTable]


def renamed(columns: Sequence[RawColumn]) -> list[RawColumn]:
    """Return columns of which no two have the same name."""
    names = distinct_names([column.name for column in columns])
    return [
        column if column.name == name else replace(column, name=name, repeats=column.name.strip())
        for name, column in zip(names, columns, strict=True)
    ]


def text_of(value: Any) -> str | None:
    """Return what a cell holds as text; None where it holds nothing."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip()


def is_text(values: pd.Series) -> bool:
    """Tell whether a column holds text."""
    return not (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)
    )
