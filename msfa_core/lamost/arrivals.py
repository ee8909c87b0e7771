"""Where spectra go that arrive from the archive: a folder of files, or straight into a survey.

A spectrum counts as arrived when its file is whole (the gzip checksum says so), can be read, and
is the one that was asked for. Until then it lies in a folder of its own, ``.arriving``: a process
that is killed leaves whole files and nothing that counts as one.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from msfa_core.durable import held, write_error, write_whole
from msfa_core.errors import MsfaError, SurveyError
from msfa_core.spectra.readers import READER_VERSION, read_spectrum
from msfa_core.spectra.shards import READ_BY
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spectra.writers import lamost_name
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import store
from msfa_core.survey.provenance import now

MANIFEST: Final = "downloaded.csv"
FAILED: Final = "download_failed.csv"
FAILED_NIGHT: Final = "night_failed.csv"
PROVENANCE: Final = "download.json"
ARRIVING: Final = ".arriving"
_LOCK: Final = ".download.lock"
_COLUMNS: Final = ("obsid", "file", "bytes", "sha256")
_GZIP: Final = b"\x1f\x8b"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+.-]*")


class WrongSpectrum(Exception):  # says what is wrong with one file
    """What arrived is no spectrum, or another one."""


class Place(Protocol):
    """A place for spectra."""

    path: Path

    def known(self) -> set[int]:
        """Return the obsids that are there."""

    def take(self, content: bytes, obsid: int | None) -> int:
        """Check and keep the file of a spectrum; return its obsid."""

    def finish(self) -> None:
        """Keep what is still in hand."""

    def record(self, **details: Any) -> None:
        """Keep what was done."""


def _checked(folder: Path, content: bytes, obsid: int | None) -> tuple[Path, Spectrum]:
    """Write a file where it does not count yet, and read it back.

    Raises
    ------
    WrongSpectrum
        When it cannot be read, or is not the spectrum asked for.
    SurveyError
        When it cannot be written.
    """
    if not content.startswith(_GZIP):
        content = gzip.compress(content, mtime=0)
    part = folder / f"{'unknown' if obsid is None else obsid}.fits.gz.writing"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise write_error(folder.parent, error) from error
    try:
        spectrum = read_spectrum(part)
    except MsfaError as error:
        part.unlink(missing_ok=True)
        raise WrongSpectrum(str(error).replace(f"{part}: ", "")) from None
    except Exception as error:  # one strange file must not stop thousands of others
        part.unlink(missing_ok=True)
        raise WrongSpectrum(f"cannot be read ({type(error).__name__}: {error})") from None
    if obsid is not None and spectrum.obsid != obsid:
        part.unlink(missing_ok=True)
        raise WrongSpectrum(f"the service sent obsid {spectrum.obsid} instead")
    return part, spectrum


def _name(spectrum: Spectrum) -> str:
    """Return LAMOST's name of the file, in the folder of its plan; the obsid where it has none."""
    with suppress(MsfaError, ValueError, TypeError):
        name, plan = f"{lamost_name(spectrum.meta)}.gz", str(spectrum.meta["planid"])
        if _PLAIN.fullmatch(name) and _PLAIN.fullmatch(plan):
            return f"{plan}/{name}"
    return f"{spectrum.obsid}.fits.gz"


def fill_failed(path: Path, reasons: dict[int, str], others: Iterable[int] = ()) -> None:
    """Write ``download_failed.csv``: obsids that failed, and those of before that still lack.

    Parameters
    ----------
    path : Path
        Of the table.
    reasons : dict of obsid to reason
        Of this time.
    others : iterable of int
        Obsids that leave the list: they are there by now.
    """
    kept = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            kept = {row["obsid"]: row for row in csv.DictReader(file) if row.get("time")}
    time = now()
    kept |= {str(o): {"obsid": str(o), "reason": r, "time": time} for o, r in reasons.items()}
    for obsid in others:
        kept.pop(str(obsid), None)
    if not kept and not path.exists():
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, ("obsid", "reason", "time"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept.values())
    write_whole(path, text.getvalue().encode())


@contextmanager
def folder_of_files(path: Path) -> Iterator[Folder]:
    """Open a folder for spectra, for this process alone."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    with held(path / _LOCK, path):
        folder = Folder(path)
        try:
            yield folder
        finally:
            folder.close()


class Folder:
    """Files below a folder, by plan, and ``downloaded.csv`` with the checksum of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.rmtree(path / ARRIVING, ignore_errors=True)
        self._known = self._whole_files()
        self._manifest = (path / MANIFEST).open("a", encoding="utf-8", newline="")

    def _whole_files(self) -> set[int]:
        """Return the obsids of the manifest whose files are there, in their size."""
        manifest = self.path / MANIFEST
        if not manifest.exists():
            write_whole(manifest, (",".join(_COLUMNS) + "\n").encode())
        content = manifest.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a line that a killed process did not finish
            write_whole(manifest, whole)
        known = set()
        for row in csv.DictReader(io.StringIO(whole.decode("utf-8", "replace"))):
            with suppress(OSError, TypeError, ValueError):
                if (self.path / row["file"]).stat().st_size == int(row["bytes"]):
                    known.add(int(row["obsid"]))
        return known

    def known(self) -> set[int]:
        """Return the obsids that are there."""
        return set(self._known)

    def take(self, content: bytes, obsid: int | None) -> int:
        """Check and keep the file of a spectrum; return its obsid."""
        part, spectrum = _checked(self.path / ARRIVING, content, obsid)
        if spectrum.obsid in self._known:
            part.unlink(missing_ok=True)
            return spectrum.obsid
        name = _name(spectrum)
        try:
            kept = part.read_bytes()
            (self.path / name).parent.mkdir(exist_ok=True)
            part.replace(self.path / name)
            digest = hashlib.sha256(kept).hexdigest()
            self._manifest.write(f"{spectrum.obsid},{name},{len(kept)},{digest}\n")
            self._manifest.flush()
        except OSError as error:
            raise write_error(self.path, error) from error
        self._known.add(spectrum.obsid)
        return spectrum.obsid

    def finish(self) -> None:
        """Have the disk keep the list of files."""
        try:
            os.fsync(self._manifest.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error

    def close(self) -> None:
        """Close the list."""
        with suppress(OSError):  # a full disk has been said
            self._manifest.close()
        shutil.rmtree(self.path / ARRIVING, ignore_errors=True)

    def record(self, **details: Any) -> None:
        """Keep what was done in ``download.json``."""
        from msfa_core import __version__  # noqa: PLC0415

        path = self.path / PROVENANCE
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        entry = {"time": now(), "software": __version__, **details}
        text = json.dumps([*before, entry], indent=1, ensure_ascii=False) + "\n"
        write_whole(path, text.encode())


@contextmanager
def survey_for_spectra(path: Path, survey: Survey) -> Iterator[IntoSurvey]:
    """Open a survey for spectra that arrive; other commands may use it meanwhile."""
    if survey.is_simulated:
        raise SurveyError(
            f"the spectra of {path} are simulated: download real ones into a survey of their own."
        )
    with held(path / _LOCK, path):
        yield IntoSurvey(survey)


class IntoSurvey:
    """The archive of a survey: files wait in ``.arriving`` until a shard is full, then go."""

    def __init__(self, survey: Survey) -> None:
        self.survey, self.path = survey, survey.path
        self._size = max(survey.settings.shard_size, 1)
        self._spool = survey.path / ARRIVING
        self._stored = set(survey.obsid.tolist())
        self._waiting: dict[int, Path] = {}
        for file in self._spool.glob("*.fits.gz") if self._spool.is_dir() else ():
            with suppress(ValueError):
                self._waiting[int(file.name.partition(".")[0])] = file
        self._drop_stored()

    def _drop_stored(self) -> None:
        for obsid in [obsid for obsid in self._waiting if obsid in self._stored]:
            self._waiting.pop(obsid).unlink(missing_ok=True)

    def known(self) -> set[int]:
        """Return the obsids that are stored or wait to be."""
        return self._stored | set(self._waiting)

    def take(self, content: bytes, obsid: int | None) -> int:
        """Check a spectrum and have it wait; store all that wait when they fill a shard."""
        part, spectrum = _checked(self._spool, content, obsid)
        if spectrum.obsid in self._stored:
            part.unlink(missing_ok=True)
            return spectrum.obsid
        file = self._spool / f"{spectrum.obsid}.fits.gz"
        try:
            part.replace(file)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._waiting[spectrum.obsid] = file
        if len(self._waiting) % self._size == 0:
            with suppress(_InUse):  # they wait for the next occasion
                self._store()
        return spectrum.obsid

    def _store(self) -> None:
        """Store what waits, and remove its files."""
        batch = dict(list(self._waiting.items()))
        spectra = [_named(read_spectrum(file)) for file in batch.values()]
        try:
            store(self.survey, spectra)
        except SurveyError as error:
            if "in use" in str(error):
                raise _InUse(str(error)) from error
            raise
        self._stored = set(self.survey.obsid.tolist())
        self._drop_stored()

    def finish(self) -> None:
        """Store what waits.

        Raises
        ------
        SurveyError
            When another command holds the survey; what waits is kept.
        """
        if self._waiting:
            self._store()
        with suppress(OSError):
            self._spool.rmdir()
        with self.survey.lock():
            self.survey.refresh_table()

    def record(self, **details: Any) -> None:
        """Keep what was done in the provenance of the survey."""
        self.survey.record("download", **details)


class _InUse(SurveyError):
    """Another command writes to the survey just now."""


def _named(spectrum: Spectrum) -> Spectrum:
    """Return a spectrum under LAMOST's name of its file, without what only a file needs."""
    meta = {key: value for key, value in spectrum.meta.items() if key != "andmask"}
    return replace(
        spectrum, file=Path(_name(spectrum)).name, meta={**meta, READ_BY: READER_VERSION}
    )
