"""Spectra on their way into the archive: new ones, the same, and those that are read otherwise.

A spectrum is read again where its file has changed, or where another version of the reader has
stored it; what is equal stays, with all that was made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.durable import check_writable
from msfa_core.errors import ReadError, shown
from msfa_core.machine.parallel import in_order
from msfa_core.spectra.files import FileRead, read_file, read_files
from msfa_core.spectra.readers import READER_VERSION
from msfa_core.spectra.shards import FILE_SIZE, FILE_TIME, HOUSEKEEPING, READ_BY, layout_of
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.archives import is_archive, members
from msfa_core.survey.folder import Survey
from msfa_core.survey.sameness import (
    FIRST_MADE,
    are_apart,
    are_equal,
    difference,
    is_another,
    number_of_content,
    say_the_same,
)
from msfa_core.typing import Progress

SUFFIXES: Final = (
    *(".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fts.gz", ".fits.fz"),
    *(".fits.bz2", ".fits.xz"),
)
MANY_FILES: Final = 1000  # from here on, worker processes are worth their start (0.8 s each)
CHUNK: Final = 32  # files that a worker reads at a time
AT_ONCE: Final = 4096  # spectra read anew that wait for their place: 200 MB
_NO_FILE: Final = (-1, -1)  # size and time of none
_NOT_KNOWN: Final = -2  # size and time of what was fetched and stored without a file
_EMPTIED: Final = "What an earlier version read of it is kept with all its pixels bad."


class Storing:
    """Spectra on their way into the archive: gathered by layout, committed by the shard."""

    def __init__(self, survey: Survey, progress: Progress, total: int) -> None:
        self.survey, self.progress, self.total = survey, progress, total
        self.shard_size = max(survey.settings.shard_size, 1)
        self.pending: dict[object, list[Spectrum]] = {}
        self.n_done = self.n_stored = self.n_unchanged = 0
        self.n_within = 0  # files of archives, less the archives
        self.duplicates: list[tuple[str, int, str]] = []
        self.differing: dict[str, str] = {}
        self.rejected: list[tuple[str, str]] = []
        self.changed: list[tuple[str, int]] = []
        self.noted: list[tuple[str, str]] = []
        self.replacing: dict[int, Spectrum] = {}
        self.noting: dict[int, tuple[int, ...]] = {}  # what is known anew of files, by obsid
        self.read: list[str] = []
        stored = survey.archive.metadata()
        names = stored["file"] if "file" in stored else pd.Series([""] * len(stored))
        self.kept: dict[int, str] = dict(zip(stored["obsid"].tolist(), names.tolist(), strict=True))
        self.obsid_of = {file: obsid for obsid, file in self.kept.items() if file}
        self.unchanged: dict[str, tuple[int, int]] = {}  # files as this version has read them
        self.outdated: dict[str, tuple[int, int]] = {}  # as another one has
        known = stored.reindex(columns=["file", *HOUSEKEEPING]).dropna(
            how="all", subset=HOUSEKEEPING
        )
        stamps = known[[FILE_SIZE, FILE_TIME]].astype("Int64").fillna(_NOT_KNOWN).astype("int64")
        is_ours = known[READ_BY].astype("Int64").eq(READER_VERSION).fillna(False)
        for file, *stamp, ours in zip(known["file"], *stamps.T.to_numpy(), is_ours, strict=True):
            (self.unchanged if ours else self.outdated)[file] = (int(stamp[0]), int(stamp[1]))
        self.outdated_by_name = {(_name(file), said): file for file, said in self.outdated.items()}

    def take(self, files: Sequence[Path], workers: int) -> None:
        """Read and store files; what was committed stays, whatever happens after."""
        archives = [file for file in files if is_archive(file)]
        new = [file for file in files if not (is_archive(file) or self._is_stored(file))]
        files = [file for file in files if not is_archive(file)]
        self.n_done = self.n_unchanged = len(files) - len(new)
        if listed := set(self.survey.rejected["file"]):  # of a call killed before it forgave them
            self.read += listed & {shown(file) for file in files} - {shown(file) for file in new}
        self.progress("ingest", self.n_done, self.total)
        chunks = [new[at : at + CHUNK] for at in range(0, len(new), CHUNK)]
        many = len(new) > MANY_FILES
        try:
            for results in in_order(read_files, chunks, workers if many else 1):
                for result in results:
                    self._sort(result)
                self.progress("ingest", self.n_done, self.total)
            for archive in archives:
                self._take_archive(archive)
            self.finish()
        finally:
            self.survey.reject(self.rejected, forgive=self.read)

    def _take_archive(self, archive: Path) -> None:
        """Read the spectra of an archive one after another."""
        said = archive.stat()
        stamp = said.st_size, said.st_mtime_ns
        n = 0
        try:
            for name, content in members(archive, SUFFIXES):
                n += 1
                file = archive / name
                if self.unchanged.get(shown(file)) == stamp:
                    self.read.append(shown(file))
                    self.n_done += 1
                    self.n_unchanged += 1
                else:
                    self._sort(read_file(file, content, archive))
                self.total = max(self.total, self.n_done)
                self.progress("ingest", self.n_done, self.total)
            if not n:
                raise ReadError(
                    f"{archive}: holds no spectra (files ending in {', '.join(SUFFIXES)}); give "
                    "the archive that does."
                )
            self.read.append(shown(archive))
        except ReadError as error:
            self.rejected.append((shown(archive), shown(error)))
            n += 1
        self.n_within += n - 1

    def add(self, spectra: Iterable[Spectrum]) -> None:
        """Store spectra that were made in memory, unless they are there."""
        for spectrum in spectra:
            if spectrum.obsid not in self.kept:
                self._keep(spectrum)
        self.progress("ingest", self.n_done, self.total)

    def finish(self) -> None:
        """Commit what is still in hand."""
        for layout in list(self.pending):
            self._commit(layout)
        self._renew()

    def _renew(self) -> None:
        """Put spectra that were read anew in their places, and note which are as they were."""
        if self.replacing or self.noting:
            check_writable(self.survey.archive.path)
        if self.replacing:
            self.survey.forget_results(self.replacing)  # first: nobody sees old beside new
            self.survey.archive.replace(list(self.replacing.values()))
            self.replacing = {}
        if self.noting:
            self.survey.archive.note(self.noting)
            self.noting = {}

    def _is_stored(self, file: Path) -> bool:
        known = self.unchanged.get(shown(file))
        if known is None:
            return False
        said = file.stat()
        return known == (said.st_size, said.st_mtime_ns)

    def _sort(self, result: FileRead) -> None:
        self.n_done += 1
        if max(len(self.replacing), len(self.noting)) >= AT_ONCE:
            self._renew()
        if result.spectrum is None:
            if stored_from := self._stored_from(result):
                self._empty(stored_from, result.file)
            is_empty = self.unchanged.get(result.file) == _NO_FILE
            words = f" {_EMPTIED}" if is_empty else ""
            self.rejected.append((result.file, result.reason + words))
            return
        self.read.append(result.file)
        if result.noted:
            self.noted.append((result.file, result.noted))
        spectrum = self._numbered(result.spectrum)
        obsid, kept = spectrum.obsid, self.kept.get(spectrum.obsid)
        if kept is None:
            self._keep(spectrum)
        elif kept != result.file and not self._is_gone(kept):
            self.duplicates.append((result.file, obsid, kept))
            if words := difference(self._stored(obsid), spectrum):
                self.differing[result.file] = words
        elif are_equal(stored := self._stored(obsid), spectrum) and (
            kept not in self.outdated or say_the_same(stored, spectrum)
        ):
            self.n_unchanged += 1
            if obsid not in self.replacing and all(name in spectrum.meta for name in HOUSEKEEPING):
                self.noting[obsid] = tuple(int(spectrum.meta[name]) for name in HOUSEKEEPING)
        else:
            self.noting.pop(obsid, None)
            self.replacing[obsid] = spectrum
            self.kept[obsid], self.obsid_of[result.file] = result.file, obsid
            self.changed.append((result.file, obsid))

    def _is_gone(self, file: str) -> bool:
        """Tell whether a file that another version has read is not where it was, nor its archive.

        It was moved, and what holds its observation now is read in its place.
        """
        path = Path(file)
        return file in self.outdated and not any(one.is_file() for one in (path, *path.parents))

    def _stored_from(self, refused: FileRead) -> str:
        """Return where another version read a file that this one refuses; empty for nowhere.

        It may have been moved since: its name, size and time are the same then.
        """
        if self.outdated.get(refused.file) in (refused.stamp, _NO_FILE):
            return refused.file
        file = self.outdated_by_name.get((_name(refused.file), refused.stamp), "")
        return file if file and self._is_gone(file) else ""

    def _empty(self, stored_from: str, file: str) -> None:
        """Have no pixel count of what an earlier version read of a file that this one refuses."""
        stored = self._stored(obsid := self.obsid_of.pop(stored_from))
        nothing = np.zeros_like(stored.ivar), np.ones_like(stored.mask)
        said = dict(zip(HOUSEKEEPING, (*_NO_FILE, READER_VERSION), strict=True))  # read it again
        self.replacing[obsid] = replace(
            stored, file=file, ivar=nothing[0], mask=nothing[1], meta={**stored.meta, **said}
        )
        self.outdated.pop(stored_from)
        self.kept[obsid], self.obsid_of[file] = file, obsid
        self.unchanged[file] = _NO_FILE

    def _numbered(self, spectrum: Spectrum) -> Spectrum:
        """Tell files of one name apart, where only the name gave the number."""
        if spectrum.obsid < FIRST_MADE:
            return spectrum
        earlier = self.obsid_of.get(spectrum.file)  # of this very file
        if earlier is not None and not are_apart(self._stored(earlier), spectrum):
            return replace(spectrum, obsid=earlier)
        kept = self.kept.get(spectrum.obsid)
        if kept is None or (
            kept != spectrum.file and not is_another(self._stored(spectrum.obsid), spectrum)
        ):
            return spectrum
        return replace(spectrum, obsid=number_of_content(spectrum))

    def _stored(self, obsid: int) -> Spectrum:
        """Return a spectrum that is in hand or in the archive."""
        if obsid in self.replacing:
            return self.replacing[obsid]
        for spectra in self.pending.values():
            for spectrum in spectra:
                if spectrum.obsid == obsid:
                    return spectrum
        return self.survey.archive.original(obsid)

    def _keep(self, spectrum: Spectrum) -> None:
        self.kept[spectrum.obsid] = spectrum.file
        self.obsid_of[spectrum.file] = spectrum.obsid
        layout = layout_of(spectrum)
        self.pending.setdefault(layout, []).append(spectrum)
        if len(self.pending[layout]) >= self.shard_size:
            self._commit(layout)

    def _commit(self, layout: object) -> None:
        spectra = self.pending.pop(layout)
        for shard in self.survey.archive.append(spectra):
            self.n_stored += len(shard)
            self.progress("ingest", self.n_done, self.total, shard.name)


def _name(file: str) -> str:
    """Return the name of a file without its folder."""
    return file.rpartition("/")[2]
