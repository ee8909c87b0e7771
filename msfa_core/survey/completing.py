"""There is one spectrum: what its file says, completed by what joined catalogues say of it.

What a file says stays; what it does not say comes from the catalogues, the one given last first.
The Doppler shift alone can come from the template match: where nobody gives one, or one that a
trusted match contradicts.
Whoever needs a spectrum of a survey takes a completed one: the archive, which keeps files as they
were, is for this folder alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from msfa_core.columns import BY_NAME, COLUMNS
from msfa_core.errors import SurveyError, typed
from msfa_core.rules import OF_REST, rest_redshifts, words_of
from msfa_core.spectra.archive import Archive
from msfa_core.spectra.shards import HOUSEKEEPING, Shard
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import BoolArray

COMPLETED_NUMBERS: Final = ("z", "ra", "dec", "snr_g")
COMPLETED_WORDS: Final = ("class", "subclass", "data_release")
_OF_SPECTRA: Final = ("classify", "measure", "match", "label", "check")  # steps
_OF_VELOCITY: Final = ("epoch_rv", "epoch_rv_err", "rv_range", "rv_chi2_probability")
_SAME_SHIFT: Final = 1e-5  # Doppler shift: what catalogues and headers round differ by less
_POLE: Final = 90.0  # deg
_CIRCLE: Final = 360.0  # deg
_NUMBERED: Final = re.compile(r"\d{4,} .*\.parquet")


@dataclass(frozen=True, slots=True)
class SurveyShard:
    """Completed spectra that are stored together: the unit of work, for any process.

    Attributes
    ----------
    name : str
        ``000017-lamost``.
    folder : str
        Where it lies; absolute.
    obsid : (n,) int64 array
    z : (n,) float64 array
        Doppler shift of each.
    """

    name: str
    folder: str
    obsid: NDArray[np.int64]
    z: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def spectra(self) -> Spectra:
        """Read them, on ``LAMOST_GRID``."""
        return replace(Shard(Path(self.folder)).spectra(), z=self.z)


class Catalogues:
    """The rows of the catalogues that were joined to a survey, read again when they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: tuple[object, pd.DataFrame | None] = ((), None)  # replaced as a whole

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables in the order in which they count."""
        for path in self._paths():
            yield _read(path)

    def are_newer_than(self, path: Path) -> bool:
        """Tell whether one was joined after a file was written."""
        written = path.stat().st_mtime_ns
        return any(own.stat().st_mtime_ns > written for own in self._paths())

    @property
    def names(self) -> list[str]:
        """Names of the files that hold them, in the order in which they count."""
        return [path.name for path in self._paths()]

    def rows(self, obsid: NDArray[np.int64]) -> pd.DataFrame | None:
        """Return what they say of spectra: (n,) rows of what completes one; None without any."""
        merged = self._current()
        return None if merged is None else merged.reindex(obsid)

    def completed_z(self, obsid: NDArray[np.int64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) Doppler shift of the file, else what they say."""
        merged = self._current()
        if merged is None:
            return z
        at = merged.index.get_indexer(pd.Index(obsid))
        said = np.append(merged["z"].to_numpy(np.float64, na_value=np.nan), np.nan)[at]
        return np.where(np.isnan(z), said, z)

    def _current(self) -> pd.DataFrame | None:
        """Return all their rows by obsid, read again when a catalogue was joined."""
        stamp = tuple((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in self._paths())
        held, merged = self._held
        if held != stamp:
            merged = self._merged() if stamp else None
            self._held = (stamp, merged)
        return merged

    def _paths(self) -> list[Path]:
        return in_counting_order(self.folder)

    def _merged(self) -> pd.DataFrame:
        wanted = ["obsid", *COMPLETED_NUMBERS, *COMPLETED_WORDS]
        parts = [table[[n for n in wanted if n in table.columns]] for table in self.tables()]
        merged = pd.DataFrame({"obsid": pd.concat([part["obsid"] for part in parts]).unique()})
        for part in parts:
            merged = filled(merged, part)
        return merged.set_index("obsid").reindex(columns=wanted[1:])


class Matches:
    """What the template match says of Doppler shifts: of the table, read again when it changes."""

    def __init__(self, table: Path) -> None:
        self.path = table
        self._held: tuple[object, pd.DataFrame | None] = ((), None)  # replaced as a whole

    def rest_z(self, obsid: NDArray[np.int64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) shift that brings each spectrum to rest, given that of file or catalogue."""
        matched = self._current()
        if matched is None:
            return z
        return rest_redshifts(matched.reindex(obsid).assign(z=z))

    def _current(self) -> pd.DataFrame | None:
        """Return the columns that the rule asks, by obsid; None before a table with them."""
        try:
            said = self.path.stat()
        except FileNotFoundError:
            return None
        stamp = (said.st_mtime_ns, said.st_size, said.st_ino)
        held, matched = self._held
        if held != stamp:
            matched = self._read()
            self._held = (stamp, matched)
        return matched

    def _read(self) -> pd.DataFrame | None:
        try:
            names = set(pq.read_schema(self.path).names)
            if not names.issuperset(OF_REST):
                return None
            table = pd.read_parquet(self.path, columns=["obsid", *OF_REST])
        except (OSError, ValueError) as error:
            raise table_unreadable(self.path, error) from error
        return table[table["template_z"].notna()].set_index("obsid")


def table_unreadable(path: Path, error: Exception) -> SurveyError:
    """Return what is said of a table of all spectra that cannot be read."""
    return SurveyError(
        f"{path} cannot be read ({error}): remove it and give `msfa run {typed(path.parent)}` to "
        "make it again from the archive."
    )


def in_counting_order(folder: Path) -> list[Path]:
    """Return the joined catalogues in the order in which they count: the one given last first.

    Surveys that did not number them keep the order of their names, behind all others.
    """
    paths = sorted(folder.glob("*.parquet"))
    counted = [path for path in paths if _NUMBERED.fullmatch(path.name)]
    return [*reversed(counted), *(path for path in paths if path not in counted)]


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SurveyError(
            f"{path} cannot be read ({error}): remove it and join its catalogue again with "
            f"`msfa ingest {typed(path.parents[1])} --catalogue FILE`."
        ) from error


def identities(archive: Archive) -> pd.DataFrame:
    """Return what the files said of each spectrum, as rows of the table.

    A position that is none (sentinels beyond a pole) counts as missing, and so does an empty
    word.
    """
    table = archive.metadata()
    table = table.drop(columns=[name for name in HOUSEKEEPING if name in table.columns])
    words = [name for name in COMPLETED_WORDS if name in table.columns]
    table = table.assign(**{name: table[name].where(table[name] != "") for name in words})
    if {"ra", "dec"} <= set(table.columns):
        is_place = _is_place(table["ra"], table["dec"])
        table = table.assign(ra=table["ra"].where(is_place), dec=table["dec"].where(is_place))
    return table


def _says_nothing(word: Any) -> bool:
    return not isinstance(word, str) or bool(words_of(pd.Series([word])).isna().iloc[0])


def _is_place(ra: Any, dec: Any) -> Any:
    return (abs(dec) <= _POLE) & (ra >= 0) & (ra <= _CIRCLE)


def filled(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill missing values, and add columns, from rows of another table with the same obsid."""
    rows = rows.set_index("obsid").reindex(table["obsid"].to_numpy(np.int64))
    rows = rows.set_axis(table.index)
    columns = {}
    for name in rows.columns:
        values = rows[name].astype(BY_NAME[name].dtype) if name in BY_NAME else rows[name]
        if name in table.columns:
            own = table[name].astype(values.dtype) if name in BY_NAME else table[name]
            said = words_of(own) if name in COMPLETED_WORDS else own
            values = own.where(said.notna() | values.isna(), values)
        columns[name] = values
    if {"z", "z_err"} <= columns.keys():  # the error of that shift, and of no other
        other = (columns["z"] - rows["z"]).abs() >= _SAME_SHIFT
        columns["z_err"] = columns["z_err"].where(~other, table.get("z_err", np.nan))
    return table.assign(**columns)


def refreshed(
    table: pd.DataFrame, base: pd.DataFrame, before: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the table of all spectra with what files and catalogues now say.

    Results of steps stay until the steps are run again.

    Parameters
    ----------
    table : (n,) DataFrame
    base : DataFrame
        What files and catalogues say now.
    before : DataFrame, optional
        What they said before: where the table says the same, it was no step that said it, and
        where they give another redshift, what was made with the old one is dropped.
    """
    obsid = table["obsid"].to_numpy(np.int64)
    base = base.set_index("obsid").reindex(obsid).set_axis(table.index)
    if before is not None:
        before = before.set_index("obsid").reindex(obsid).set_axis(table.index)
    columns = {}
    for name in base.columns:
        if name in BY_NAME and BY_NAME[name].step != "ingest":
            new = base[name].astype(BY_NAME[name].dtype)
            stays = table[name].notna()
            if before is not None and name in before:
                said = before[name].astype(BY_NAME[name].dtype)
                stays &= ~((table[name] == said) & new.notna()).fillna(False).astype(bool)
            columns[name] = table[name].where(stays, new)
        else:
            columns[name] = base[name]
    renewed = table.assign(**columns)
    if before is None:
        return renewed
    shift, earlier = (one["z"].to_numpy(np.float64, na_value=np.nan) for one in (base, before))
    other = ~((shift == earlier) | (np.isnan(shift) & np.isnan(earlier)))
    return without_results(renewed, other, said=set(base.columns)) if other.any() else renewed


def without_results(
    table: pd.DataFrame, rows: BoolArray, said: Collection[str] = ()
) -> pd.DataFrame:
    """Return a table whose rows have lost what was made of another spectrum, or another redshift.

    Who the star is and what its neighbours on the sky are stays: verdicts hang on it.

    Parameters
    ----------
    table : (n,) DataFrame
    rows : (n,) bool array
    said : collection of str
        Columns that catalogues give, which stay.
    """
    made = [
        column.name
        for column in COLUMNS
        if (column.step in _OF_SPECTRA or column.name in _OF_VELOCITY)
        and column.name in table
        and column.name not in (*said, "known_in")
    ]
    return table.assign(**{name: table[name].mask(rows) for name in made})


def completed(spectrum: Spectrum, rows: pd.DataFrame | None) -> Spectrum:
    """Return a spectrum with what its file and the catalogues say of it.

    Parameters
    ----------
    spectrum : Spectrum
        As the archive keeps it.
    rows : (1,) DataFrame, optional
        Of `Catalogues.rows`.
    """
    numbers = {name: getattr(spectrum, name) for name in COMPLETED_NUMBERS}
    if not _is_place(spectrum.ra, spectrum.dec):
        numbers |= {"ra": float("nan"), "dec": float("nan")}
    meta = dict(spectrum.meta)
    if rows is not None:
        said = rows.iloc[0]
        numbers |= {
            name: float(said[name])
            for name, own in numbers.items()
            if np.isnan(own) and not pd.isna(said[name])
        }
        meta |= {
            name: str(said[name])
            for name in COMPLETED_WORDS
            if _says_nothing(meta.get(name)) and not pd.isna(said[name])
        }
    return replace(spectrum, **numbers, meta=meta)
