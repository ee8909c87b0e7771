"""Tables of millions of rows: a piece at a time, and of each only the rows that are wanted.

What is read is judged by the same rules as any table from outside, on the rows that were kept.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from msfa_core.errors import CatalogueError
from msfa_core.tables.described import fits_words
from msfa_core.tables.door import Use, understand
from msfa_core.tables.formats import KNOWN_FORMATS, arrow_table
from msfa_core.tables.identifiers import read_identifiers
from msfa_core.tables.limits import QUALITY_OF_2MASS
from msfa_core.tables.names import plain, recognise
from msfa_core.tables.packing import split_path
from msfa_core.tables.pieces import Catalogue, open_catalogue
from msfa_core.tables.raw import RawColumn, RawTable
from msfa_core.tables.report import OutsideTable
from msfa_core.tables.row_keys import file_key
from msfa_core.tables.text import problem, text_tables
from msfa_core.typing import IntArray

LARGE: Final = 2**25  # bytes on the disk: from here on a table is read in pieces
_KEYS: Final = ("obsid", "file")
_BESIDE: Final = ("ref_epoch", "epoch", "equinox", *QUALITY_OF_2MASS)  # which tell of others
_HEAD: Final = 2**18  # bytes that say what the columns are
_TEXT: Final = 65536  # characters of a header
_MOST: Final = 0.5  # of a column's first rows
_CHUNK: Final = 2**22


@dataclass(frozen=True, slots=True)
class Said:
    """What the beginning of a file says of its columns.

    Attributes
    ----------
    units, about : dict of str to str
        Units, and what is said in words, by the name of the column.
    text : str
        Comments, or cards of the header.
    repeated : dict of str to str
        Columns that were given another name -> the name that an earlier one has, too.
    """

    units: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""
    repeated: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LargeTable:
    """A long table whose columns are known; its rows are read when it is known whose.

    Attributes
    ----------
    path : Path
    kind : str
    names : tuple of str
        Of all its columns.
    said : Said
    use : Use
    """

    path: Path
    kind: str
    names: tuple[str, ...]
    said: Said
    use: Use

    def rows_of(self, obsid: IntArray, files: pd.Series) -> OutsideTable:
        """Return the rows that have one of these obsids or file names.

        Parameters
        ----------
        obsid : (n,) array
        files : (n,) Series of str

        Raises
        ------
        CatalogueError
            When the file is damaged or cut short, or a column cannot be understood.
        """
        found = recognise(self.names, self.use.vocabulary, self.use.beside).found
        wanted = {one.name for one in found.values()}
        if self.use.keep_others:
            wanted |= {name for name in self.names if name.startswith("true_")}
        limits = {f"l_{plain(name)}" for name in wanted}
        wanted |= {name for name in self.names if plain(name) in {*limits, *_BESIDE}}
        wanted |= {new for new, old in self.said.repeated.items() if old in wanted}
        columns = [name for name in self.names if name in wanted]
        obsids = pa.array(np.unique(obsid))
        keys = set(file_key(files.dropna()))
        kept, n_rows = [], 0
        for piece in open_catalogue(self.path).pieces(columns):
            if "obsid" in found and not n_rows:
                self._check_rounded(piece.column(found["obsid"].name))
            n_rows += len(piece)
            mask = np.zeros(len(piece), bool)
            if "obsid" in found:
                mask |= _has_obsid(piece.column(found["obsid"].name), obsids)
            if "file" in found:
                names = piece.column(found["file"].name).to_pandas()
                mask |= file_key(names.astype("str")).isin(keys).to_numpy(bool)
            if mask.any():
                kept.append(piece.filter(pa.array(mask)))
        table = pa.concat_tables(kept) if kept else None
        raw = self._raw(table, columns)
        opened = understand(raw, self.use, str(self.path))
        return replace(
            opened,
            name=self.path.name,
            path=str(self.path.absolute()),
            kind=self.kind,
            checksum=_checksum(self.path),
            n_rows=n_rows,
            names=self.names,
            unused=(*opened.unused, *self._not_read(columns)),
        )

    def _check_rounded(self, obsids: pa.ChunkedArray) -> None:
        """Refuse obsids that were rounded: of the rows that are kept, each would seem true."""
        judged = read_identifiers(obsids.to_pandas().astype("str"))
        if judged.how and judged.rounded.mean() > _MOST:
            reason = f"its obsids went through {judged.how}, which rounds them"
            raise problem(self.path, reason, "give them as whole numbers")

    def _not_read(self, columns: list[str]) -> list[str]:
        """Return the columns of which nothing is wanted, where the use wants them named."""
        return [name for name in self.names if self.use.says_unused and name not in columns]

    def _raw(self, table: pa.Table | None, columns: list[str]) -> RawTable:
        if table is None:
            empty = [RawColumn(name, pd.Series([], dtype="str")) for name in columns]
            return RawTable("", empty)
        raw = arrow_table(table)
        said = self.said
        with_units = [
            replace(
                one,
                unit=said.units.get(one.name),
                about=said.about.get(one.name, ""),
                repeats=said.repeated.get(one.name, ""),
            )
            for one in raw.columns
        ]
        return RawTable("", with_units, raw.left_out, (), said.text)


def open_large(path: str | Path, use: Use) -> LargeTable | None:
    """Look at the beginning of a table; None when it is no long one, or has no key to go by.

    Parameters
    ----------
    path : str or Path
    use : Use

    Raises
    ------
    CatalogueError
        When the file is damaged.
    """
    path, wanted = split_path(path)
    if wanted or not path.is_file() or path.stat().st_size < LARGE:
        return None
    try:
        source = open_catalogue(path)
    except CatalogueError:
        return None  # another format: read as a whole, or refused there
    if source.kind == "FITS" and _n_tables(path) > 1:
        return None  # of which one is chosen, or none
    found = recognise(source.names, use.vocabulary, use.beside)
    if not set(_KEYS) & set(found.found):
        return None
    if found.rivals:
        names = {house: [one.name for one in rivals] for house, rivals in found.rivals.items()}
        reason = f"has columns of which either could be meant ({names})"
        raise problem(path, reason, "rename the one that is not")
    return LargeTable(path, source.kind, tuple(source.names), said_of(source, use), use)


def _n_tables(path: Path) -> int:
    """Count the tables of a FITS file."""
    from astropy.io import fits  # noqa: PLC0415  slow to import

    with fits.open(path, memmap=True, lazy_load_hdus=True) as units:
        return sum(hasattr(unit, "columns") for unit in units)


def _has_obsid(values: pa.ChunkedArray, obsids: pa.Array) -> np.ndarray[Any, Any]:
    """(n,) whether a row has one of the obsids, however they are written."""
    try:
        whole = values.cast(pa.int64())
    except pa.ArrowInvalid:
        ids = read_identifiers(values.to_pandas(), trusted=True).values
        whole = pa.array(ids, type=pa.int64(), from_pandas=True)
    inside = pc.is_in(whole, value_set=obsids)
    return np.asarray(pc.fill_null(inside, False).to_numpy(zero_copy_only=False), bool)


def said_of(source: Catalogue, use: Use | None = None) -> Said:
    """Return what a file says of its columns.

    Parameters
    ----------
    source : Catalogue
    use : Use, optional
        What the beginning of a text must be fit for.

    Raises
    ------
    CatalogueError
        When it is not.
    """
    if source.kind == "FITS":
        from astropy.io import fits  # noqa: PLC0415  slow to import

        with (
            warnings.catch_warnings(action="ignore"),  # of a file cut short its rows will tell
            fits.open(source.path, memmap=True, lazy_load_hdus=True) as units,
        ):
            table = next(unit for unit in units if hasattr(unit, "columns"))
            named = {one.name: str(one.unit) for one in table.columns if one.unit}
            cards = f"{units[0].header!r}\n{table.header!r}"
            return Said(named, fits_words(table.header, table.columns.names), cards[:_TEXT])
    if source.kind == "Parquet":
        empty = arrow_table(pa.parquet.read_schema(source.path).empty_table())
        named = {one.name: one.unit for one in empty.columns if one.unit}
        return Said(named, {one.name: one.about for one in empty.columns})
    head, *_ = text_tables(source.path, source.beginning(_HEAD), KNOWN_FORMATS)
    first = [
        RawColumn(name, values, head.units.get(name), about=head.about.get(name, ""))
        for name, values in head.columns.items()
    ]
    if use is not None:
        understand(RawTable("", first, {}, (), head.comments), use, str(source.path))
    names = dict(zip(head.columns, source.names, strict=False))
    units, about = (
        {names[name]: said for name, said in words.items() if name in names}
        for words in (head.units, head.about)
    )
    repeated = {names[new]: old for new, old in head.repeated.items() if new in names}
    return Said(units, about, head.comments, repeated)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()[:16]
