"""The paper's first sentence of work: A and B spectra above the S/N cut, of a general catalogue.

The cuts are those of the search domain (`msfa_core.rules`), each with its count. What is chosen
goes out as a table with ``obsid`` that ``msfa download`` and ``msfa ingest --catalogue`` take.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.columns import BY_NAME, Column
from msfa_core.config import Settings
from msfa_core.constants import SENTINELS
from msfa_core.errors import CatalogueError, ConfigError, ExportError
from msfa_core.lamost.placed import check_places
from msfa_core.rules import SEARCHED, STAR, domain_conditions, outside_domain
from msfa_core.stars.crossmatch import ALSO_TAKEN, CATALOGUE_NAMES
from msfa_core.tables.cells import clean, numbers
from msfa_core.tables.export import export
from msfa_core.tables.large import Said, said_of
from msfa_core.tables.pieces import Catalogue, open_catalogue
from msfa_core.tables.quantities import quantity
from msfa_core.tables.reading import UNREADABLE_SHARE
from msfa_core.tables.row_keys import as_ids
from msfa_core.tables.scales import differ, said_above, scaled, unit_in_words
from msfa_core.tables.units import UnitProblem, convert, is_sexagesimal, says_nothing
from msfa_core.typing import BoolArray, FloatArray, Progress, no_progress

FORMATS: Final = (".csv", ".fits", ".parquet")
NEEDED: Final[dict[str, tuple[str, ...]]] = {  # house name -> names in catalogues
    "obsid": ("obsid", "lamost_obsid", "obs_id"),
    **{name: CATALOGUE_NAMES[name] for name in ("class", "subclass", "snr_g")},
}
_OWN_NAMES: Final = ("designation", "obsdate", "lmjd", "mjd", "planid", "spid", "fiberid", "z_err")
_TEXT: Final = ("class", "subclass", "designation", "obsdate", "planid", "data_release", "ps_id")
_IN_DEGREES: Final = ("radeg", "dedeg")  # names that say so
_SAID: Final = {"obsid": "observation number", "snr_g": "S/N in g"}
_LOOKED_AT: Final = 2000  # rows of a piece whose places are looked at
_MIB: Final = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Cuts:
    """What is kept of a catalogue.

    Attributes
    ----------
    snr_min : float
        S/N in g must be greater.
    star : str
        Class.
    searched : tuple of str
        Beginnings of the subclass.
    """

    snr_min: float = Settings().snr_min
    star: str = STAR
    searched: tuple[str, ...] = SEARCHED

    def __post_init__(self) -> None:
        if not self.searched or not all(self.searched) or not self.star:
            raise ConfigError("a choice needs a class and at least one subclass: STAR and A,B.")
        if not np.isfinite(self.snr_min):
            raise ConfigError(f"S/N(g) > {self.snr_min} is no cut: give a number.")

    @property
    def settings(self) -> Settings:
        """Settings with this cut of the S/N."""
        return replace(Settings(), snr_min=self.snr_min)

    @property
    def conditions(self) -> dict[str, str]:
        """Each cut in words."""
        said = domain_conditions(self.settings, self.star, self.searched)
        return {name: said[name] for name in ("class", "subclass", "snr_g")}

    def fails(self, table: pd.DataFrame) -> dict[str, BoolArray]:
        """Tell which rows each cut takes away; (n,) arrays by the names of `conditions`."""
        failed = outside_domain(table, self.settings, self.star, self.searched)
        return {name: failed[name] for name in self.conditions}


@dataclass(frozen=True, slots=True)
class Selected:
    """What came of a selection.

    Attributes
    ----------
    path : Path
        The table.
    counts : dict of str to int
        Rows left by each cut, in words, one after the other; the first is the whole catalogue.
    n_rows : int
        Spectra in the table.
    n_twice : int
        Rows left out because their obsid came before.
    n_nameless : int
        Rows left out because they have no obsid.
    n_strange : int
        Rows whose S/N is no number, or one that no spectrum has (32767, 9999): they passed no cut.
    seconds : float
    """

    path: Path
    counts: dict[str, int]
    n_rows: int
    n_twice: int
    n_nameless: int
    n_strange: int
    seconds: float


def check_format(out: str | Path) -> Path:
    """Refuse a table of another format.

    Raises
    ------
    ExportError
    """
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise ExportError(f"{out}: the name of the table ends in {', '.join(FORMATS)}.")
    return out


def check_out(out: str | Path, overwrite: bool) -> Path:
    """Refuse, before any work is done, a table that could not be written.

    Raises
    ------
    ExportError
        For another suffix, a file that exists, or a folder that does not.
    """
    out = check_format(out)
    if out.exists() and not overwrite:
        raise ExportError(f"{out} exists: name another file, or replace it with --overwrite.")
    if not out.absolute().parent.is_dir():
        raise ExportError(f"{out.parent} is not a folder; make it first.")
    return out


def select(
    catalogue: str | Path,
    out: str | Path,
    cuts: Cuts | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Selected:
    """Write the spectra of a general catalogue that pass the cuts.

    Parameters
    ----------
    catalogue : str or Path
        CSV, FITS (both also gzipped) or Parquet with ``obsid``, ``class``, ``subclass`` and
        ``snrg``, of any length: a piece at a time is in memory, and what was chosen.
    out : str or Path
        Table ending in .csv, .fits or .parquet; written whole or not at all.
    cuts : Cuts, optional
    overwrite : bool
    progress : callable, optional
        Told the MiB of the catalogue that were read.

    Returns
    -------
    Selected

    Raises
    ------
    CatalogueError
        When the catalogue is damaged or cut short, lacks a column, or nothing passes.
    ExportError
        When the table cannot be written.
    """
    began = time.monotonic()
    out = check_out(out, overwrite)
    source = open_catalogue(catalogue)
    columns = columns_of(source.names, str(catalogue))
    _check_units(columns, source.units(), str(catalogue))
    _check_words(columns, source, str(catalogue))
    chosen = Choosing(cuts or Cuts())

    read = [0, 1]

    def told(done: int, total: int) -> None:  # by a thread that reads ahead
        read[:] = done, total

    for piece in source.pieces(list(columns.values()), told):
        chosen.take(piece.rename_columns(list(columns)))
        progress("MiB", read[0] // _MIB, max(read[1] // _MIB, 1))
    about = {
        "catalogue": f"{source.path.name} ({source.kind}), {source.path.stat().st_size} bytes",
        "sha256 of the catalogue": _sha256(source.path),
    }
    places = [columns[name] for name in ("ra", "dec") if name in columns]
    chosen.says_degrees = any(name.lower() in _IN_DEGREES for name in places) or all(
        not says_nothing(source.units().get(name)) for name in places
    )
    return chosen.write(out, about, overwrite, began, str(catalogue))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def columns_of(names: Sequence[str], what: str) -> dict[str, str]:
    """Return the columns to read, by house names.

    Raises
    ------
    CatalogueError
        When one that is needed is missing, naming what was looked for and what was found.
    """
    lower: dict[str, str] = {}
    again: dict[str, str] = {}
    for name in names:
        other = lower.setdefault(name.strip().lower(), name)
        if other != name:
            again[other] = name
    wanted = {**NEEDED, **CATALOGUE_NAMES, **{name: (name,) for name in (*_OWN_NAMES, *ALSO_TAKEN)}}
    found = {
        house: next(lower[alias] for alias in aliases if alias in lower)
        for house, aliases in wanted.items()
        if any(alias in lower for alias in aliases)
    }
    for k, name in enumerate(names, start=1):  # of equal names the first has kept its own
        first = name.removesuffix(f"_{k}")
        if first in found.values() and first in names[: k - 1]:
            raise CatalogueError(f"{what} has two columns {first}; take out the wrong one.")
    for name in (one for one in found.values() if one in again):
        raise CatalogueError(
            f"{what} has columns {name} and {again[name]}, which differ in case only; rename one."
        )
    missing = [name for name in NEEDED if name not in found]
    if missing:
        lacks = ", ".join(
            f"no {_SAID.get(name, name)} (looked for {', '.join(NEEDED[name])})" for name in missing
        )
        raise CatalogueError(
            f"{what} has {lacks}; its columns are {', '.join(name for name in names if name)}. "
            "Give a general catalogue of LAMOST's low-resolution survey."
        )
    return found


def _check_words(columns: Mapping[str, str], source: Catalogue, what: str) -> None:
    """Refuse columns of which the file says in words that they are on another scale.

    Raises
    ------
    CatalogueError
    """
    said = Said({})
    with contextlib.suppress(CatalogueError, OSError, EOFError):  # which its rows say better
        said = said_of(source)
    for house, name in columns.items():
        one = quantity(house)
        if one.kind in ("id", "text"):
            continue
        above = said_above(house, name, said.text)
        words = " . ".join(filter(None, (said.about.get(name, ""), above)))
        why, unit = scaled(one, words), unit_in_words(one, words)
        if unit and differ(unit, one.unit or "km/s"):
            why = f"it is in {unit}, as the file says ({words[:70]!r})"
        if why or (unit and not one.unit):
            raise CatalogueError(
                f"{what}: column {name}: {why or f'it is in {unit}'}, and not as in LAMOST's "
                "catalogues; convert it, or take it out."
            )


def _check_units(columns: Mapping[str, str], said: Mapping[str, str], what: str) -> None:
    """Refuse columns whose file says another unit than LAMOST's catalogues have.

    Raises
    ------
    CatalogueError
    """
    for house, name in columns.items():
        unit, one = said.get(name), quantity(house)
        if says_nothing(unit) or is_sexagesimal(unit) or one.kind in ("id", "text"):
            continue
        try:
            is_ours = bool(convert(np.ones(1), unit, one).values[0] == 1.0)
        except UnitProblem:
            is_ours = False
        if not is_ours:
            wanted = one.unit or "a pure number"
            raise CatalogueError(
                f"{what}: column {name} is in {str(unit).strip()!r}, as the file says, and not in "
                f"{wanted} as in LAMOST's catalogues; convert it, or take it out."
            )


class Choosing:
    """Rows on their way through the cuts."""

    def __init__(self, cuts: Cuts) -> None:
        self.cuts = cuts
        self.n_read = 0
        self.left = dict.fromkeys(cuts.conditions, 0)
        self.n_strange, self.strange = 0, ""
        self.says_degrees = False
        self.kept: list[pa.Table] = []
        self.seen: dict[str, list[FloatArray]] = {"ra": [], "dec": []}  # some places of all rows

    def take(self, piece: pa.Table) -> None:
        """Count and keep rows.

        Parameters
        ----------
        piece : (n,) table
            Columns by house names.
        """
        rows = pd.DataFrame(
            {
                "class": _words(piece["class"]),
                "subclass": _words(piece["subclass"]),
                "snr_g": self._numbers(piece["snr_g"]),
            }
        )
        self.n_read += len(rows)
        if {"ra", "dec"} <= set(piece.column_names):
            every = max(len(rows) // _LOOKED_AT, 1)
            for name, seen in self.seen.items():
                seen.append(_some(piece[name], every))
        inside = np.ones(len(rows), dtype=bool)
        for name, failed in self.cuts.fails(rows).items():
            inside &= ~failed
            self.left[name] += int(inside.sum())
        if inside.any():
            self.kept.append(piece.filter(pa.array(inside)))

    def _numbers(self, values: pa.ChunkedArray) -> FloatArray:
        """(n,) numbers, or what text says of them; NaN where there is none."""
        with contextlib.suppress(pa.ArrowInvalid):
            return self._possible(
                np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
            )
        words = values.to_pandas().astype("str")
        read = numbers(words)
        if read.unreadable.any():
            self.n_strange += int(read.unreadable.sum())
            self.strange = self.strange or str(words[read.unreadable].iloc[0])[:40]
        return self._possible(read.values)

    def _possible(self, snr: FloatArray) -> FloatArray:
        """(n,) S/N without what stands for none: it would pass every cut.

        999 is one: LAMOST gives its best spectra no more than that.
        """
        beyond = snr > quantity("snr_g").high
        if beyond.any():
            self.n_strange += int(beyond.sum())
            self.strange = self.strange or f"{snr[beyond][0]:g}"
        return np.where(beyond, np.nan, snr)

    def write(
        self, out: Path, about: Mapping[str, str], overwrite: bool, began: float, what: str
    ) -> Selected:
        """Write the rows that passed.

        Raises
        ------
        CatalogueError
            When there is none.
        """
        said = self.cuts.conditions
        if self.n_strange > UNREADABLE_SHARE * self.n_read:
            raise CatalogueError(
                f"{what}: its S/N in g is no number in {self.n_strange:,} of {self.n_read:,} rows "
                f"({self.strange!r}, …); correct the column."
            )
        counts = {"in the catalogue": self.n_read} | {said[n]: k for n, k in self.left.items()}
        if not self.kept:
            words = ", ".join(f"{n:,} {name}" for name, n in counts.items())
            raise CatalogueError(f"{what}: no spectrum passes the cuts ({words}); none written.")
        table = _typed(pa.concat_tables(self.kept, promote_options="permissive"), what)
        self.kept = []
        seen = {name: np.concatenate(one) for name, one in self.seen.items() if one}
        check_places(table, what, self.says_degrees, seen)
        nameless = table["obsid"].isna()
        twice = table["obsid"].duplicated() & ~nameless
        if nameless.all():
            raise CatalogueError(
                f"{what}: none of the {len(table):,} rows that pass the cuts has an obsid, by "
                "which spectra are downloaded; correct the column."
            )
        table = table[~(nameless | twice)].sort_values("obsid", ignore_index=True)
        header = {
            "title": "Spectra of the search domain",
            "table": f"Selection: {', '.join(said.values())}",
            **about,
            **{f"left: {name}": str(n) for name, n in counts.items()},
            "rows": f"{len(table)} ({twice.sum()} with an obsid that came before left out)",
        }
        columns = [_column(name, table[name]) for name in table.columns]
        export(table, out, columns=columns, header=header, overwrite=overwrite)
        left_out = int(twice.sum()), int(nameless.sum()), self.n_strange
        return Selected(out, counts, len(table), *left_out, time.monotonic() - began)


def _some(values: pa.ChunkedArray, every: int) -> FloatArray:
    """Return some of the numbers of a column; NaN where there is none."""
    some = values.take(pa.array(np.arange(0, len(values), every)))
    return pd.to_numeric(some.to_pandas(), errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _words(values: pa.ChunkedArray) -> pd.Series:
    """(n,) text without what programs wrap around it."""
    text = _text(values)
    wrapped = {word: clean(word) for word in pc.unique(text).drop_null().to_pylist()}
    words = text.to_pandas().astype("str")
    wrapped = {word: bare for word, bare in wrapped.items() if word != bare}
    return words.replace(wrapped) if wrapped else words


def _typed(table: pa.Table, what: str) -> pd.DataFrame:
    """Return rows with the types of their columns; what stands for "no value" is missing."""
    columns: dict[str, pd.Series] = {}
    for name in table.column_names:
        values = table[name]
        if name == "obsid" and pa.types.is_float32(values.type):
            raise CatalogueError(
                f"{what}: its obsids are in single precision, which rounds them: give integers."
            )
        if name == "obsid":
            columns[name] = as_ids(_as_series(values), f"{what}: obsid")
        elif name in _TEXT or (name in BY_NAME and BY_NAME[name].kind == "str"):
            text = _words(values)
            columns[name] = text.mask(text.isin([f"{s:g}" for s in SENTINELS]))
        else:
            columns[name] = _tidy(name, values)
    return pd.DataFrame(columns)


def _as_series(values: pa.ChunkedArray) -> pd.Series:
    """Return a pandas column; whole numbers stay whole."""
    if pa.types.is_uint64(values.type):
        with contextlib.suppress(pa.ArrowInvalid):  # beyond 2⁶³ no number is an obsid
            values = values.cast(pa.int64())
    if pa.types.is_integer(values.type):
        return values.to_pandas(types_mapper=lambda _: pd.Int64Dtype())
    if pa.types.is_string(values.type):
        try:
            return values.cast(pa.int64()).to_pandas(types_mapper=lambda _: pd.Int64Dtype())
        except pa.ArrowInvalid:
            return values.to_pandas().astype("str")
    return values.to_pandas()


def _tidy(name: str, values: pa.ChunkedArray) -> pd.Series:
    """Return numbers, or the text where it holds none; identifiers digit by digit."""
    house = BY_NAME.get(name)
    if name.endswith("_id") and not (house and house.kind == "float"):
        try:
            return as_ids(_as_series(values), name)
        except (CatalogueError, ValueError, TypeError):
            return _text(values).to_pandas().astype("str")
    if pa.types.is_string(values.type):
        for kind in (pa.int64(), pa.float64()):
            try:
                values = values.cast(kind)
                break
            except pa.ArrowInvalid:
                continue
        else:
            words = values.to_pandas().astype("str")
            read = numbers(words)
            if not house or house.kind != "float" or read.unreadable.any():
                return words
            values = pa.chunked_array([pa.array(read.values, from_pandas=True)])
    if house and house.kind == "float":
        values = values.cast(pa.float64())
    column = _as_series(values)
    return column.mask(column.isin(SENTINELS).fillna(False))


def _column(name: str, values: pd.Series) -> Column:
    """Describe a column of the table; numbers go out with all their digits."""
    if name in BY_NAME and BY_NAME[name].dtype == str(values.dtype):
        return replace(BY_NAME[name], format="")
    kind = "str"
    if pd.api.types.is_integer_dtype(values.dtype):
        kind = "int"
    elif pd.api.types.is_float_dtype(values.dtype):
        kind = "float"
    return Column(name, kind, "catalogue", f"{name} of the LAMOST catalogue")
