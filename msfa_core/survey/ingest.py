"""Files in: spectra of any layout, and the catalogues that go with them, into a survey.

The only place that reads foreign spectra: the spine sees only what the survey holds.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msfa_core.errors import CatalogueError, ReadError, SurveyError, shown
from msfa_core.machine.parallel import n_cores
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.archives import ARCHIVES, CLOSED
from msfa_core.survey.decisions import restore
from msfa_core.survey.folder import CATALOGUE_FOLDER, Survey
from msfa_core.survey.given import Given, name_of, numbered
from msfa_core.survey.joining import join, read_catalogues
from msfa_core.survey.storing import SUFFIXES, Storing
from msfa_core.typing import Progress, no_progress


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the files given to :func:`ingest`.

    Attributes
    ----------
    n_files : int
        Files looked at, those in archives one by one.
    n_stored : int
        Spectra that are new in the survey.
    n_unchanged : int
        Files whose spectrum was stored before (same path, size and time, read by this version,
        or the same spectrum at the same path).
    duplicates : tuple of (file, obsid, kept)
        Files whose obsid is stored from another file, ``kept``.
    rejected : tuple of (file, reason)
    joined : dict of str to int
        Spectra that each catalogue knew.
    seconds : float
    tables : tuple of str
        What became of each catalogue, in one line.
    changed : tuple of (file, obsid)
        Files that hold another spectrum than was stored, or are read otherwise by this version
        than by the one that stored it.
    differing : dict of str to str
        Of the duplicates, files that hold something else than the one that is kept, and what.
    passed_over : dict of str to int
        Files in folders that are no spectra by their names, by ending.
    noted : tuple of (file, words)
        What was taken otherwise than a header says it, or brought to our scale.
    came_before : tuple of str
        Catalogues that were joined before the new spectra came, of which they know nothing.
    """

    n_files: int
    n_stored: int
    n_unchanged: int
    duplicates: tuple[tuple[str, int, str], ...]
    rejected: tuple[tuple[str, str], ...]
    joined: dict[str, int]
    seconds: float
    tables: tuple[str, ...] = ()
    changed: tuple[tuple[str, int], ...] = ()
    differing: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)
    noted: tuple[tuple[str, str], ...] = ()
    came_before: tuple[str, ...] = ()


def find_files(paths: Iterable[str | Path], passed_over: Counter[str] | None = None) -> list[Path]:
    """Return the spectra and archives among files and folders, searched to any depth.

    Parameters
    ----------
    paths : files or folders
    passed_over : Counter, optional
        Counts the files of folders that are none by their names, by ending.

    Raises
    ------
    ReadError
        When a path does not exist, or none leads to a spectrum.
    """
    given = [Path(path) for path in paths]
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found.update(dict.fromkeys(_spectra_below(path, passed_over)))
        elif path.exists():
            found[path.absolute()] = None
        else:
            raise ReadError(f"{path}: no such file or folder; check the name.")
    if not found:
        where = ", ".join(map(str, given)) or "nothing"
        raise ReadError(
            f"{where}: no spectra found (files ending in {', '.join(SUFFIXES)}); name the files, "
            "or the folder that holds them."
        )
    return list(found)


def _spectra_below(folder: Path, passed_over: Counter[str] | None) -> list[Path]:
    """Return the spectra below a folder in the order of their paths; links are followed once."""
    found, seen = [], set()
    for here, below, names in os.walk(folder.absolute(), followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        shown = [name for name in names if not name.startswith(".")]
        some = [name for name in shown if name.lower().endswith((*SUFFIXES, *ARCHIVES, *CLOSED))]
        found += [Path(here, name) for name in some]
        if passed_over is not None and len(some) < len(shown):
            others = set(shown) - set(some)
            passed_over.update(Path(name).suffix.lower() or "no ending" for name in others)
    return sorted(found)


def ingest(
    survey: Survey,
    paths: Iterable[str | Path],
    catalogues: Sequence[str | Path] = (),
    progress: Progress = no_progress,
    workers: int = 0,
) -> IngestReport:
    """Store the spectra of files and folders, and join catalogues to them.

    Spectra are stored shard by shard; given again after an interruption, it goes on where it
    stopped. Of several files with one obsid the first is kept.

    Parameters
    ----------
    survey : Survey
    paths : files and folders
        May be empty when there are catalogues to join.
    catalogues : files
        Tables joined on obsid or file name; they fill what the spectra's files do not say, and
        add their other columns.
    progress : callable, optional
    workers : int
        Processes that read many files; 0 for one per core.

    Returns
    -------
    IngestReport

    Raises
    ------
    ReadError
        When a path does not exist or holds no spectra.
    CatalogueError
        When a catalogue cannot be read, or knows none of the spectra.
    SurveyError
        When the survey is simulated or in use, or the disk is full.
    """
    began = time.monotonic()
    paths = list(paths)
    passed_over: Counter[str] = Counter()
    files = find_files(paths, passed_over) if paths or not catalogues else []
    tables = read_catalogues(catalogues)
    if survey.is_simulated and paths:
        raise SurveyError(
            f"the spectra of {survey.path} are simulated: ingest real files into a survey of "
            "their own."
        )
    with survey.lock():
        store = Storing(survey, progress, len(files))
        store.take(files, workers or survey.settings.workers or n_cores())
        before = survey.base_table() if tables else None
        joined: list[Given] = []
        failure: CatalogueError | None = None
        try:
            joined = join(survey, tables)
        except CatalogueError as error:
            if not files:
                raise  # refused means unchanged
            failure = error  # the spectra are stored all the same
        survey.refresh_table(before)
        restored = restore(survey, tables) if failure is None else []
        report = IngestReport(
            n_files=len(files) + store.n_within,
            n_stored=store.n_stored,
            n_unchanged=store.n_unchanged,
            duplicates=tuple(store.duplicates),
            rejected=tuple(store.rejected),
            joined=_by_name(joined),
            tables=(*(one.line for one in joined), *restored),
            changed=tuple(store.changed),
            differing=store.differing,
            passed_over=dict(passed_over.most_common()),
            noted=tuple(store.noted),
            came_before=_came_before(survey, joined) if store.n_stored else (),
            seconds=time.monotonic() - began,
        )
        _record(survey, report, paths)
    if failure is not None:
        raise failure
    return report


def store(survey: Survey, spectra: Sequence[Spectrum]) -> int:
    """Store spectra that were read elsewhere, unless they are there; return how many are new.

    Raises
    ------
    SurveyError
        When the survey is in use, or the disk is full.
    """
    with survey.lock():
        storing = Storing(survey, no_progress, len(spectra))
        storing.add(spectra)
        storing.finish()
        return storing.n_stored


def _by_name(joined: Sequence[Given]) -> dict[str, int]:
    """Return how many spectra each catalogue knew, catalogues of one name told apart."""
    names = [str(one.record["name"]) for one in joined]
    return {
        name if names.count(name) == 1 else f"{Path(one.record['path']).parent.name}/{name}": len(
            one.rows
        )
        for name, one in zip(names, joined, strict=True)
    }


def _came_before(survey: Survey, joined: Sequence[Given]) -> tuple[str, ...]:
    """Return the catalogues of a survey but those that were joined just now."""
    now = {one.path for one in joined}
    return tuple(
        name_of(path) for path in numbered(survey.path / CATALOGUE_FOLDER) if path not in now
    )


def _record(survey: Survey, report: IngestReport, paths: Sequence[str | Path]) -> None:
    survey.record(
        "ingest",
        paths=[shown(Path(path).absolute()) for path in paths],
        files=report.n_files,
        stored=report.n_stored,
        unchanged=report.n_unchanged,
        changed=len(report.changed),
        duplicates=len(report.duplicates),
        differing=len(report.differing),
        passed_over=report.passed_over,
        noted=len(report.noted),
        rejected=len(report.rejected),
        catalogues=report.joined,
        seconds=round(report.seconds, 1),
    )
