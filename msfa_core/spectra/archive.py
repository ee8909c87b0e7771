"""The spectra of a survey on disk: sharded, append-safe, one row in microseconds.

What a shard is, and how values are kept exactly, is said in ``shards.py``. A shard is written
under a temporary name, synced and renamed, so a process that is killed leaves either the whole
shard or nothing that counts.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import SurveyError
from msfa_core.spectra.shards import (
    HOUSEKEEPING,
    TEMPORARY,
    Batch,
    Layout,
    Shard,
    layout_of,
    write_shard,
)
from msfa_core.spectra.spectrum import Spectra, Spectrum

_OPEN_SHARDS: Final = 96  # three maps each: stays below the usual limit of 1024 open files


@dataclass(frozen=True, slots=True)
class _Index:
    """Where each spectrum lies; replaced as a whole, so threads see the old or the new one."""

    shards: tuple[Shard, ...]
    obsid: NDArray[np.int64]  # (n,) in the order of storage
    _sorted: NDArray[np.int64]  # (n,)
    _place: NDArray[np.int64]  # (n, 2) shard number and row, in the order of _sorted

    @classmethod
    def of(cls, shards: Sequence[Shard]) -> _Index:
        """Return the index of these shards."""
        lengths = np.array([len(shard) for shard in shards], dtype=np.int64)
        obsid = np.concatenate([np.empty(0, np.int64), *(shard.obsid for shard in shards)])
        number = np.repeat(np.arange(len(shards)), lengths)
        row = np.arange(len(obsid)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        by_obsid = np.argsort(obsid, kind="stable")
        return cls(tuple(shards), obsid, obsid[by_obsid], np.column_stack([number, row])[by_obsid])

    def find(self, obsids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n, 2) shard numbers and rows; −1 where a spectrum is not stored."""
        place = np.full((len(obsids), 2), -1, dtype=np.int64)
        if len(self._sorted):
            at = np.minimum(np.searchsorted(self._sorted, obsids), len(self._sorted) - 1)
            found = self._sorted[at] == obsids
            place[found] = self._place[at[found]]
        return place


class Archive:
    """All spectra of a survey.

    Reading needs no lock and sees new shards as they are committed; only one process may
    append at a time (the lock of the survey sees to that).

    Parameters
    ----------
    path : Path
        Folder of the shards; made at the first append.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._guard = threading.RLock()
        self._seen = -1  # mtime of the folder when it was last listed
        self._index = _Index.of([])
        self._aside: set[str] = set()  # shards on disk that do not count
        self._open: OrderedDict[str, Shard] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def __contains__(self, obsid: object) -> bool:
        """Tell whether a spectrum is stored."""
        if not isinstance(obsid, (int, np.integer)):
            return False
        return bool(self._current().find(np.array([obsid], dtype=np.int64))[0, 0] >= 0)

    @property
    def obsid(self) -> NDArray[np.int64]:
        """(n,) obsid of every spectrum, in the order of storage."""
        return self._current().obsid

    @property
    def shards(self) -> list[Shard]:
        """The shards in the order they were written."""
        return list(self._current().shards)

    def metadata(self) -> pd.DataFrame:
        """Return what the files said of each spectrum: one row per obsid, stored order."""
        tables = []
        for shard in self.shards:
            tables.append(shard.metadata())
            self._used(shard)
        if not tables:
            return pd.DataFrame({"obsid": np.empty(0, np.int64)})
        return pd.concat(tables, ignore_index=True)

    def housekeeping(self) -> pd.DataFrame:
        """Return what is known of the files and of what read them: one row per obsid."""
        tables = [shard.housekeeping() for shard in self.shards]
        if not tables:
            return pd.DataFrame(columns=list(HOUSEKEEPING), dtype="Int64")
        return pd.concat(tables, ignore_index=True)

    def spectra(self, obsids: Iterable[int] | NDArray[np.integer]) -> Spectra:
        """Return spectra on ``LAMOST_GRID``, rows in the order asked for.

        Parameters
        ----------
        obsids : n integers

        Returns
        -------
        Spectra
            Float32; NaN flux, zero ivar and a set mask where a spectrum has no pixel.

        Raises
        ------
        SurveyError
            When a spectrum is not stored, naming it.
        """
        asked = np.fromiter((int(o) for o in obsids), dtype=np.int64)
        shards, place = self._find(asked)
        numbers, rows = place[:, 0], place[:, 1]
        if len(asked) and (numbers == numbers[0]).all():
            shard = shards[int(numbers[0])]
            self._used(shard)
            return shard.spectra(rows)
        batch = Batch.of(asked)
        for number in np.unique(numbers):
            own = np.flatnonzero(numbers == number)
            shard = shards[int(number)]
            shard.fill(batch, own, rows[own])
            self._used(shard)
        return batch.spectra()

    def original(self, obsid: int) -> Spectrum:
        """Return one spectrum as stored, on its own wavelengths.

        Raises
        ------
        SurveyError
            When it is not stored.
        """
        shards, place = self._find(np.array([obsid], dtype=np.int64))
        number, row = place[0]
        shard = shards[int(number)]
        spectrum = shard.original(int(row))
        self._used(shard)
        return spectrum

    def append(self, spectra: Sequence[Spectrum]) -> list[Shard]:
        """Store spectra: one shard for each grid among them, each complete or not there.

        Parameters
        ----------
        spectra : n Spectrum
            ``meta`` entries that are text or numbers are kept with them.

        Returns
        -------
        list of Shard
            What was written.

        Raises
        ------
        SurveyError
            When an obsid comes twice or is stored already, or the disk is full.
        """
        obsids = [spectrum.obsid for spectrum in spectra]
        stored = self._current().find(np.array(obsids, dtype=np.int64))[:, 0] >= 0
        once = pd.Index(obsids)
        twice = once[stored | once.duplicated()]
        if len(twice):
            raise SurveyError(
                f"obsid {twice[0]} is stored already or given twice ({len(twice)} such); "
                "an archive keeps one spectrum per obsid."
            )
        groups: dict[Layout, list[Spectrum]] = {}
        for spectrum in spectra:
            groups.setdefault(layout_of(spectrum), []).append(spectrum)
        self.sweep()
        written = {self._write(layout, group) for layout, group in groups.items()}
        return [shard for shard in self.shards if shard.name in written]

    def replace(self, spectra: Sequence[Spectrum]) -> list[Shard]:
        """Put spectra in the place of stored ones with the same obsid.

        Their shards are written anew, under new names: what was made of the old ones is not
        taken for theirs.

        Parameters
        ----------
        spectra : n Spectrum

        Returns
        -------
        list of Shard
            What was written.

        Raises
        ------
        SurveyError
            When an obsid is not stored, or the disk is full.
        """
        self.sweep()
        new = {spectrum.obsid: spectrum for spectrum in spectra}
        shards, place = self._find(np.array(list(new), dtype=np.int64))
        written: set[str] = set()
        for number in np.unique(place[:, 0]):
            old = shards[int(number)]
            groups: dict[Layout, list[Spectrum]] = {}
            for row, obsid in enumerate(old.obsid.tolist()):
                spectrum = new[obsid] if obsid in new else old.original(row)
                groups.setdefault(layout_of(spectrum), []).append(spectrum)
            for layout, group in groups.items():
                written.add(self._write(layout, group, old.name, len(groups)))
            old.close()
            self._open.pop(old.name, None)
            self._remove(old.name)
        return [shard for shard in self.shards if shard.name in written]

    def note(self, said: Mapping[int, Sequence[int]]) -> None:
        """Write anew what is known of the files of some spectra, which stay as they are.

        Parameters
        ----------
        said : dict of int to the values of `HOUSEKEEPING`
            By obsid.

        Raises
        ------
        SurveyError
            When an obsid is not stored, or the disk is full.
        """
        shards, place = self._find(np.array(list(said), dtype=np.int64))
        values = np.array(list(said.values()), dtype=np.int64).reshape(len(said), -1)
        for number in np.unique(place[:, 0]):
            own = place[:, 0] == number
            columns = dict(zip(HOUSEKEEPING, values[own].T, strict=True))
            shards[int(number)].note(place[own, 1], columns)

    def _remove(self, name: str) -> None:
        gone = self.path / f"{TEMPORARY}{name}"
        if (self.path / name).exists():
            (self.path / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._seen = -1

    def sweep(self) -> None:
        """Remove what a killed writer left behind; call with the survey locked."""
        for folder in self.path.glob(f"{TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)
        self._current()
        for name in self._aside:
            self._remove(name)

    def _write(
        self, layout: Layout, spectra: Sequence[Spectrum], stands_for: str = "", together: int = 1
    ) -> str:
        """Write a shard and return its name."""
        self.path.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(name.split("-")[0]) for name in _names(self.path)), default=0)
        name = f"{number:06d}-{layout.grid}"
        write_shard(self.path / name, layout, spectra, stands_for, together)
        self._seen = -1
        return name

    def _current(self) -> _Index:
        """Return the index, made anew when the folder has changed."""
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return self._index
        with self._guard:
            if changed != self._seen:
                names = _names(self.path)
                known = {shard.name: shard for shard in self._index.shards}
                if names != list(known):
                    shards = [known.get(name) or Shard(self.path / name) for name in names]
                    self._aside = _do_not_count(shards)
                    self._index = _Index.of([one for one in shards if one.name not in self._aside])
                self._seen = changed
            return self._index

    def _find(self, obsids: NDArray[np.int64]) -> tuple[tuple[Shard, ...], NDArray[np.int64]]:
        """Return the shards, and (n, 2) shard numbers and rows."""
        index = self._current()
        place = index.find(obsids)
        if (place < 0).any():
            self._seen = -1  # two changes within one tick of the file system's clock
            index = self._current()
            place = index.find(obsids)
        missing = obsids[place[:, 0] < 0]
        if len(missing):
            raise SurveyError(
                f"no spectrum with obsid {missing[0]} in {self.path} ({len(missing)} asked for "
                "and not stored): ingest its file first."
            )
        return index.shards, place

    def close(self) -> None:
        """Let go of the files; they open again when asked for."""
        with self._guard:
            while self._open:
                self._open.popitem()[1].close()

    def _used(self, shard: Shard) -> None:
        """Close the shards that were not used for longest, to spare file handles."""
        with self._guard:
            self._open[shard.name] = shard
            self._open.move_to_end(shard.name)
            while len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()


def _names(path: Path) -> list[str]:
    """Return the names of the shards in a folder, in the order they were written."""
    entries = (entry for entry in os.scandir(path) if entry.is_dir())
    return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def _do_not_count(shards: Sequence[Shard]) -> set[str]:
    """Return the names of shards that others stand for, or that are not yet all that will."""
    n_written = Counter(shard.stands_for for shard in shards)
    names = {shard.name for shard in shards}
    old = {shard.stands_for for shard in shards if n_written[shard.stands_for] >= shard.together}
    return old & names | {shard.name for shard in shards if shard.stands_for in names - old}
