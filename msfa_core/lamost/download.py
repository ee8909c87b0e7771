"""Spectra by obsid from LAMOST's archive, or out of a nightly archive: resumable, none half.

What fails is listed with its reason, and the rest goes on; the same command given again asks only
for what is not there yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pandas as pd

from msfa_core.durable import write_whole
from msfa_core.errors import CatalogueError, DownloadError, SurveyError
from msfa_core.lamost.arrivals import FAILED, FAILED_NIGHT, Place, WrongSpectrum, fill_failed
from msfa_core.lamost.service import LARGEST, NotServed, Release, Service
from msfa_core.lamost.token import hide
from msfa_core.tables.door import Use, open_table
from msfa_core.tables.packing import decoded, stored, unpacked
from msfa_core.tables.row_keys import OBSID_NAMES
from msfa_core.typing import Progress, no_progress

CONNECTIONS: Final = 4
_GIVE_UP: Final = 5  # spectra in a row that fail for a reason that others share
_EVERY: Final = 100  # spectra between lines of progress
_HEAD: Final = 4096  # bytes that tell a list from a table
_MINUTE: Final = 60.0  # s
_SUFFIX: Final = re.compile(r"\.(fits?|fts)(\.gz)?$", re.IGNORECASE)
_LONGEST_OBSID: Final = 18  # digits
_NIGHT: Final = "night"
_NUMBER: Final = re.compile(r"([0-9]+)(?:\.0*)?")
_OBSIDS: Final = Use("a list of observations", {"obsid": OBSID_NAMES}, (("obsid",),))


@dataclass(slots=True)
class Downloaded:
    """What came of a download.

    Attributes
    ----------
    n_wanted : int
        Different spectra.
    n_before : int
        Of these, there already.
    n_new : int
    failed : dict of obsid to reason
    n_bytes : int
        Received.
    seconds : float
    """

    n_wanted: int
    n_before: int
    n_new: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    n_bytes: int = 0
    seconds: float = 0.0


def read_obsids(path: str | Path) -> list[int]:
    """Return the obsids of a file, each once, in its order.

    Parameters
    ----------
    path : str or Path
        A number a line (``#`` begins a comment), or a table with a column ``obsid``.

    Raises
    ------
    CatalogueError
        When it holds none, or one that is no obsid or lost digits.
    """
    path = Path(path)
    lines = _list_in(path)
    if lines is not None:
        return _listed(path, lines)
    opened = open_table(path, _OBSIDS)
    if not opened.has("obsid"):
        raise CatalogueError(
            f"{path} has no column obsid; its columns are {opened.has_words()}.{opened.reasons()}"
        )
    if opened.unreadable:
        raise CatalogueError(f"{path}: {opened.unreadable[0].words()}; correct them.")
    ids = opened.table["obsid"].dropna()
    return _some(path, list(dict.fromkeys(int(one) for one in ids)))


def _list_in(path: Path) -> list[str] | None:
    """Return the lines of a list of numbers, comments and commas taken off; None for a table."""
    content, _ = unpacked(path, stored(path), "")
    if b"\x00" in content[:_HEAD] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    text, _ = decoded(content)
    lines = [line.partition("#")[0].strip().strip(",;'\"") for line in text.splitlines()]
    full = [line for line in lines if line]
    if len(full) == 1:  # all in one line
        lines = full = [word for word in re.split(r"[\s,;\[\]()]+", full[0]) if word]
    return lines if full and _NUMBER.fullmatch(full[0]) else None


def _listed(path: Path, lines: Sequence[str]) -> list[int]:
    found: dict[int, None] = {}
    for number, word in enumerate(lines, start=1):
        read = _NUMBER.fullmatch(word)
        if word and not (read and len(read[1]) <= _LONGEST_OBSID):
            raise CatalogueError(f"{path}, line {number}: {word[:40]!r} is no obsid.")
        if read:
            found[int(read[1])] = None
    return _some(path, list(found))


def _some(path: Path, obsids: list[int]) -> list[int]:
    if not obsids:
        raise CatalogueError(f"{path} names no obsid.")
    return obsids


def download(
    place: Place,
    obsids: Sequence[int],
    service: Service,
    release: Release,
    progress: Progress = no_progress,
    connections: int = CONNECTIONS,
) -> Downloaded:
    """Fetch spectra that are not there yet.

    Parameters
    ----------
    place : Place
        Where they go.
    obsids : sequence of int
    service : Service
    release : Release
    progress : callable, optional
    connections : int
        Questions under way at a time.

    Returns
    -------
    Downloaded

    Raises
    ------
    DownloadError
        When the archive no longer answers, or wants a login; what arrived is kept.
    SurveyError
        When the disk is full.
    """
    began = time.monotonic()
    known = place.known()
    todo = [obsid for obsid in dict.fromkeys(obsids) if obsid not in known]
    total = len(dict.fromkeys(obsids))
    report = Downloaded(total, total - len(todo))
    progress("download", report.n_before, total)
    try:
        _fetch_all(place, todo, service, release, progress, connections, report)
    finally:
        there = place.known()  # also after Ctrl-C, or when the disk is full
        fill_failed(place.path / FAILED, report.failed, [one for one in obsids if one in there])
        report.seconds = time.monotonic() - began
    place.finish()
    place.record(
        server=hide(service.url),
        release=f"{release.dr} {release.version}",
        wanted=report.n_wanted,
        before=report.n_before,
        new=report.n_new,
        failed=len(report.failed),
        bytes=report.n_bytes,
        seconds=round(report.seconds, 1),
    )
    return report


def _fetch_all(
    place: Place,
    todo: Sequence[int],
    service: Service,
    release: Release,
    progress: Progress,
    connections: int,
    report: Downloaded,
) -> None:
    """Keep some questions under way, and take the answers as they come."""
    began, in_a_row = time.monotonic(), 0
    ahead = iter(todo)
    running: dict[Future[bytes], int] = {}
    pool = ThreadPoolExecutor(connections, thread_name_prefix="lamost")
    try:
        while True:
            for obsid in islice(ahead, 2 * connections - len(running)):
                running[pool.submit(service.spectrum, release, obsid)] = obsid
            if not running:
                break
            finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                obsid = running.pop(future)
                reason, is_general = _taken(place, future, obsid, report)
                in_a_row = in_a_row + 1 if is_general else 0
                if reason:
                    report.failed[obsid] = reason
                if in_a_row >= min(_GIVE_UP, len(todo)):
                    raise DownloadError(
                        f"{hide(service.url)} gives no spectra: {reason}. What arrived is kept "
                        f"({report.n_new:,} new ones): check the network and your token, and give "
                        "the same command again."
                    )
            done = report.n_new + len(report.failed)
            part = ""
            if finished and (done % _EVERY == 0 or done == len(todo)):
                left = (time.monotonic() - began) / done * (len(todo) - done) / _MINUTE
                part = f"({left:.0f} min left)"
            progress("download", report.n_before + done, report.n_wanted, part)
    finally:
        service.stop.set()  # what is under way is given up
        pool.shutdown(wait=True, cancel_futures=True)
        service.stop.clear()


def _taken(place: Place, future: Future[bytes], obsid: int, report: Downloaded) -> tuple[str, bool]:
    """Keep one answer; return why not, and whether others will fare alike."""
    try:
        content = future.result()
        report.n_bytes += len(content)
        place.take(content, obsid)
    except NotServed as error:
        return str(error), error.is_general
    except WrongSpectrum as error:
        return str(error), False
    report.n_new += 1
    return "", False


# --- nightly archives --------------------------------------------------------------------------
class _Digested:
    """A stream whose checksum is taken while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.n_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        content = self._stream.read(size)
        self.md5.update(content)
        self.n_bytes += len(content)
        return content


def take_night(place: Place, tar: str | Path, progress: Progress = no_progress) -> Downloaded:
    """Keep the spectra of a nightly archive, read as a stream.

    Parameters
    ----------
    place : Place
    tar : str or Path
        A tar file, plain or compressed; ``-`` for standard input. Its MD5 checksum is compared
        where a file ``TAR.md5`` lies beside it.
    progress : callable, optional

    Returns
    -------
    Downloaded

    Raises
    ------
    DownloadError
        When it is cut short, no tar, or not what its checksum says; what was whole is kept.
    """
    began = time.monotonic()
    report, known = Downloaded(0, 0), place.known()
    bad: list[tuple[str, str]] = []
    failure, digest = "", ""
    with _source(tar) as stream:
        try:
            for name, content in _members(stream):
                report.n_wanted += 1
                try:
                    obsid = place.take(content, None)
                except WrongSpectrum as error:
                    bad.append((name, str(error)))
                    report.failed[-len(bad)] = f"{name}: {error}"
                else:
                    report.n_before += obsid in known
                    report.n_new += obsid not in known
                    known.add(obsid)
                done = report.n_wanted
                progress(_NIGHT, done, done, f"{done:,}" if done % _EVERY == 0 else "")
            while stream.read(2**20):  # what pads the archive counts for its checksum
                pass
            digest = stream.md5.hexdigest()
        except (tarfile.TarError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise SurveyError(f"{tar} cannot be read: {error.strerror}.") from None
            failure = f"it is no tar or cut short ({error})"
        report.n_bytes = stream.n_bytes
    wanted = _md5_of(tar)
    if not failure and wanted and wanted != digest:
        failure = f"its MD5 checksum is {digest}, not {wanted}"
    _list_bad(place, bad)
    place.finish()
    report.seconds = time.monotonic() - began
    place.record(
        night=Path(tar).name,
        md5=digest,
        checked=bool(wanted and not failure),
        wanted=report.n_wanted,
        new=report.n_new,
        failed=len(bad),
        seconds=round(report.seconds, 1),
    )
    if failure:
        raise DownloadError(
            f"{tar}: {failure}; the {report.n_new:,} new spectra that were whole are kept. "
            "Download it again."
        )
    return report


@contextlib.contextmanager
def _source(tar: str | Path) -> Iterator[_Digested]:
    if str(tar) == "-":
        yield _Digested(sys.stdin.buffer)
        return
    try:
        file = Path(tar).open("rb")  # noqa: SIM115
    except OSError as error:
        raise DownloadError(f"{tar} cannot be read: {error.strerror}.") from None
    with file:
        yield _Digested(file)


def _members(stream: _Digested) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the spectra among the files of an archive, in its order."""
    source: Any = stream
    with tarfile.open(fileobj=source, mode="r|*") as archive:
        for member in archive:
            if not (member.isfile() and _SUFFIX.search(member.name)):
                continue
            if member.size > LARGEST:
                continue
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def _md5_of(tar: str | Path) -> str:
    """Return the checksum beside an archive; empty when there is none."""
    path = Path(f"{tar}.md5")
    if str(tar) == "-" or not path.is_file():
        return ""
    found = re.search(r"\b[0-9a-fA-F]{32}\b", path.read_text(errors="replace"))
    return found[0].lower() if found else ""


def _list_bad(place: Place, bad: Iterable[tuple[str, str]]) -> None:
    rows = pd.DataFrame(list(bad), columns=["file", "reason"])
    if len(rows):
        path = place.path / FAILED_NIGHT
        text = rows.to_csv(index=False, lineterminator="\n")
        write_whole(path, text.encode())
