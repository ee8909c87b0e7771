"""The spectra of a survey on disk: sharded memory maps, append-safe, one row in microseconds.

A shard is a folder of plain ``.npy`` files (``obsid, z, flux, ivar, mask``, and ``offset`` on a
logarithmic grid or ``wavelength`` off it), the identity of its spectra (``meta.parquet``) and
``shard.json``. It is written under a temporary name, synced and renamed, so a process that
is killed leaves either the whole shard or nothing that counts.

Spectra that share a grid share a shard: ``lamost`` (pixels inside ``LAMOST_GRID``), ``log``
(the same steps of log10 λ, wider: SDSS) or ``explicit`` (each row with its own wavelengths:
medium resolution). Flux and inverse variance are stored as float32 where float32 holds every
value exactly (all LAMOST and SDSS releases) and as float64 where it does not, so nothing that
a file said is rounded. Wavelengths on a logarithmic grid are those of the grid, plus one offset
per spectrum (``offset``) where all its pixels lie beside the grid; the float32 wavelengths of
files scatter about these by 0.01 pixel.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.errors import SurveyError
from msfa_core.spectra.spectrum import Spectra, Spectrum, log_pixels, on_grid

BAD: Final = 1  # ANDMASK ≠ 0 or ivar ≤ 0
SOFT: Final = 2  # ORMASK ≠ 0: a warning
NO_PIXEL: Final = 4  # the spectrum does not reach here

FORMAT: Final = 1
SHARD_FILE: Final = "shard.json"
META_FILE: Final = "meta.parquet"
_TEMPORARY: Final = ".writing-"
_OPEN_SHARDS: Final = 96  # three maps each: stays below the usual limit of 1024 open files
_WIDEST_LOG_GRID: Final = 8000  # pixels; a wider "logarithmic" spectrum keeps its own wavelengths
_ROUNDING: Final = 0.005  # pixel; less is the float32 of the files
_FIELDS: Final = ("obsid", "file", "ra", "dec", "snr_g", "z")  # of a Spectrum
_SCALAR: Final = (str, int, float, bool, np.integer, np.floating, np.bool_)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the rows of a shard are laid out."""

    grid: str  # lamost, log or explicit
    dtype: str  # float32 or float64


@dataclass(frozen=True, slots=True)
class _Batch:
    """The arrays of a batch on ``LAMOST_GRID`` while they are filled."""

    obsid: NDArray[np.int64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.bool_]
    z: NDArray[np.float64]

    @classmethod
    def of(cls, obsid: NDArray[np.int64]) -> _Batch:
        """Return a batch whose values are still to be written."""
        shape = (len(obsid), LAMOST_GRID.n_pixels)
        flux, ivar = np.empty(shape, np.float32), np.empty(shape, np.float32)
        return cls(obsid, flux, ivar, np.empty(shape, bool), np.empty(len(obsid)))

    def spectra(self) -> Spectra:
        """Return the filled batch."""
        return Spectra(self.obsid, _WAVELENGTH, self.flux, self.ivar, self.mask, self.z)


Rows = NDArray[np.integer] | slice
_WAVELENGTH: Final = LAMOST_GRID.wavelength  # shared by all batches
_WAVELENGTH.setflags(write=False)


class Shard:
    """Some hundred spectra that were stored together: the unit of work and of restart.

    Attributes
    ----------
    name : str
        Name of the folder: ``000017-lamost``.
    folder : Path
    obsid : (n,) int64 array
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        try:
            self._card: dict[str, Any] = json.loads(
                (folder / SHARD_FILE).read_text(encoding="utf-8")
            )
            self.obsid: NDArray[np.int64] = np.load(folder / "obsid.npy")
        except (OSError, ValueError) as error:
            raise _damaged(folder, error) from error
        if self._card.get("format") != FORMAT:
            raise SurveyError(
                f"shard {folder} has format {self._card.get('format')}, this version reads "
                f"{FORMAT}: update the software."
            )
        self._arrays: dict[str, NDArray[Any]] | None = None
        self._metadata: pd.DataFrame | None = None

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    @property
    def grid(self) -> LogGrid | None:
        """Grid of the stored pixels; None when each spectrum has its own wavelengths."""
        if self._card["grid"] == "explicit":
            return None
        return LogGrid(self._card["first"], self._card["n_pixels"], self._card["step"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the memory maps ``flux, ivar, mask`` …, and ``z``; opened once."""
        if self._arrays is None:
            large = ["flux", "ivar", "mask", *(["wavelength"] if self.grid is None else [])]
            small = ["z", *(["offset"] if self.grid is not None else [])]
            try:
                arrays = {n: np.load(self.folder / f"{n}.npy", mmap_mode="r") for n in large}
                arrays |= {n: np.load(self.folder / f"{n}.npy") for n in small}
            except (OSError, ValueError) as error:
                raise _damaged(self.folder, error) from error
            if any(len(array) != len(self) for array in arrays.values()):
                raise _damaged(self.folder, "its arrays differ in length")
            self._arrays = arrays
        return self._arrays

    def close(self) -> None:
        """Let go of the memory maps; they open again when asked for."""
        self._arrays = None
        self._metadata = None

    def metadata(self) -> pd.DataFrame:
        """Return what the files said of each spectrum, one row per obsid (stored order)."""
        if self._metadata is None:
            try:
                self._metadata = pd.read_parquet(self.folder / META_FILE)
            except (OSError, ValueError) as error:
                raise _damaged(self.folder, error) from error
        return self._metadata

    def spectra(self, rows: NDArray[np.integer] | None = None) -> Spectra:
        """Return spectra on ``LAMOST_GRID`` (all of them, or these rows), float32."""
        at = np.arange(len(self)) if rows is None else rows
        batch = _Batch.of(self.obsid[at])
        self.fill(batch, slice(None), slice(None) if rows is None else rows)
        return batch.spectra()

    def fill(self, batch: _Batch, into: Rows, rows: Rows) -> None:
        """Copy rows of this shard into rows of a batch."""
        grid, arrays = self.grid, self.arrays()
        batch.z[into] = arrays["z"][rows]
        if grid is None:
            part = on_grid([self.original(int(row)) for row in np.arange(len(self))[rows]])
            batch.flux[into], batch.ivar[into], batch.mask[into] = part.flux, part.ivar, part.mask
            return
        shift = grid.first - LAMOST_GRID.first
        target = slice(max(shift, 0), min(shift + grid.n_pixels, LAMOST_GRID.n_pixels))
        source = slice(target.start - shift, target.stop - shift)
        if target != slice(0, LAMOST_GRID.n_pixels):
            batch.flux[into], batch.ivar[into], batch.mask[into] = np.nan, 0, True
        batch.flux[into, target] = arrays["flux"][rows][:, source]
        batch.ivar[into, target] = arrays["ivar"][rows][:, source]
        batch.mask[into, target] = (arrays["mask"][rows][:, source] & (BAD | NO_PIXEL)) != 0
        if not self._card["has_clean_ivar"]:
            bad = ~(np.isfinite(batch.ivar[into]) & (batch.ivar[into] >= 0))
            batch.mask[into] |= bad
            batch.ivar[into] = np.where(bad, 0, batch.ivar[into])

    def original(self, row: int) -> Spectrum:
        """Return one spectrum with the pixels and values that were stored."""
        grid, arrays = self.grid, self.arrays()
        mask = arrays["mask"][row]
        own = (mask & NO_PIXEL) == 0
        if grid is None:
            wavelength = arrays["wavelength"][row]
        else:
            pixel = grid.first + np.arange(grid.n_pixels) + arrays["offset"][row]
            wavelength = np.power(10.0, pixel * grid.step)
        said = {
            str(name): value.item() if isinstance(value, np.generic) else value
            for name, column in self.metadata().items()
            if name not in ("obsid", "z") and not pd.isna(value := column.iloc[row])
        }
        numbers = {name: float(said.pop(name, np.nan)) for name in ("ra", "dec", "snr_g")}
        return Spectrum(
            obsid=int(self.obsid[row]),
            wavelength=np.array(wavelength[own]),
            flux=np.array(arrays["flux"][row][own]),
            ivar=np.array(arrays["ivar"][row][own]),
            mask=(mask[own] & BAD) != 0,
            z=float(arrays["z"][row]),
            file=str(said.pop("file", "")),
            **numbers,
            meta={**said, "soft_mask": (mask[own] & SOFT) != 0},
        )


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
        batch = _Batch.of(asked)
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
        groups: dict[_Layout, list[Spectrum]] = {}
        for spectrum in spectra:
            groups.setdefault(layout_of(spectrum), []).append(spectrum)
        written = []
        for layout, group in groups.items():
            written.append(self._write(layout, group))
        return written

    def sweep(self) -> None:
        """Remove what a killed writer left behind; call with the survey locked."""
        for folder in self.path.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, layout: _Layout, spectra: Sequence[Spectrum]) -> Shard:
        self.path.mkdir(parents=True, exist_ok=True)
        self.sweep()
        number = 1 + max((int(shard.name.split("-")[0]) for shard in self.shards), default=0)
        name = f"{number:06d}-{layout.grid}"
        temporary = self.path / f"{_TEMPORARY}{name}"
        try:
            temporary.mkdir()
            card, arrays = _stack(layout, spectra)
            for key, array in arrays.items():
                _write_array(temporary / f"{key}.npy", array)
            _metadata_of(spectra).to_parquet(temporary / META_FILE, index=False)
            (temporary / SHARD_FILE).write_text(json.dumps(card, indent=1), encoding="utf-8")
            for file in (META_FILE, SHARD_FILE, "."):
                sync(temporary / file)
            temporary.rename(self.path / name)
            sync(self.path)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise write_error(self.path, error) from error
        self._seen = -1
        return self._current().shards[-1]

    def _current(self) -> _Index:
        """Return the index, made anew when the folder has changed."""
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return self._index
        with self._guard:
            if changed != self._seen:
                names = sorted(
                    entry.name
                    for entry in os.scandir(self.path)
                    if entry.is_dir() and not entry.name.startswith(".")
                )
                known = {shard.name: shard for shard in self._index.shards}
                if names != list(known):
                    self._index = _Index.of([known.get(n) or Shard(self.path / n) for n in names])
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

    def _used(self, shard: Shard) -> None:
        """Close the shards that were not used for longest, to spare file handles."""
        with self._guard:
            self._open[shard.name] = shard
            self._open.move_to_end(shard.name)
            while len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()


def layout_of(spectrum: Spectrum) -> _Layout:
    """Return the kind of shard that keeps every pixel and value of a spectrum."""
    pixel = log_pixels(spectrum.wavelength, LAMOST_GRID.step)
    last = LAMOST_GRID.first + LAMOST_GRID.n_pixels - 1
    if pixel is None or len(pixel) > _WIDEST_LOG_GRID:
        grid = "explicit"
    elif pixel[0] >= LAMOST_GRID.first and pixel[-1] <= last:
        grid = "lamost"
    else:
        grid = "log"
    exact = all(_fits_float32(values) for values in (spectrum.flux, spectrum.ivar))
    return _Layout(grid, "float32" if exact else "float64")


def _fits_float32(values: NDArray[np.floating]) -> bool:
    if values.dtype == np.float32:
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float32), values, equal_nan=True))


def _stack(
    layout: _Layout, spectra: Sequence[Spectrum]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the card and the arrays of a shard."""
    n = len(spectra)
    card: dict[str, Any] = {"format": FORMAT, "grid": layout.grid, "n_spectra": n}
    card["has_clean_ivar"] = all(bool(np.all(np.isfinite(s.ivar) & (s.ivar >= 0))) for s in spectra)
    starts = np.zeros(n, dtype=np.int64)
    if layout.grid == "explicit":
        width = max(len(spectrum.wavelength) for spectrum in spectra)
    else:
        pixels = [log_pixels(s.wavelength, LAMOST_GRID.step) for s in spectra]
        first = np.array([p[0] for p in pixels if p is not None])
        origin, width = LAMOST_GRID.first, LAMOST_GRID.n_pixels
        if layout.grid == "log":
            origin = int(first.min())
            width = int(max(p[-1] for p in pixels if p is not None)) - origin + 1
        starts = first - origin
        card |= {"first": origin, "n_pixels": width, "step": LAMOST_GRID.step}
    arrays: dict[str, NDArray[Any]] = {
        "obsid": np.array([s.obsid for s in spectra], dtype=np.int64),
        "z": np.array([s.z for s in spectra], dtype=np.float64),
        "flux": np.full((n, width), np.nan, dtype=layout.dtype),
        "ivar": np.zeros((n, width), dtype=layout.dtype),
        "mask": np.full((n, width), BAD | NO_PIXEL, dtype=np.uint8),
    }
    if layout.grid == "explicit":
        arrays["wavelength"] = np.full((n, width), np.nan)
    else:
        arrays["offset"] = np.array([_offset(s.wavelength) for s in spectra])
    for row, (start, spectrum) in enumerate(zip(starts, spectra, strict=True)):
        own = slice(start, start + len(spectrum.flux))
        arrays["flux"][row, own] = spectrum.flux
        arrays["ivar"][row, own] = spectrum.ivar
        soft = spectrum.meta.get("soft_mask", spectrum.meta.get("ormask"))
        arrays["mask"][row, own] = np.where(spectrum.mask, BAD, 0)
        if soft is not None:
            arrays["mask"][row, own] |= np.where(np.asarray(soft) != 0, SOFT, 0).astype(np.uint8)
        if "wavelength" in arrays:
            arrays["wavelength"][row, own] = spectrum.wavelength
    return card, arrays


def _offset(wavelength: NDArray[np.floating]) -> float:
    """Return how far all pixels lie beside the grid [pixel]; 0 when that is rounding."""
    position = np.log10(wavelength.astype(np.float64)) / LAMOST_GRID.step
    offset = float(np.median(position - np.rint(position)))
    return offset if abs(offset) > _ROUNDING else 0.0


def _metadata_of(spectra: Sequence[Spectrum]) -> pd.DataFrame:
    """Return the identity of spectra and every scalar that their files gave."""
    rows: list[Mapping[str, Any]] = [
        {
            "obsid": s.obsid,
            "file": s.file,
            "ra": s.ra,
            "dec": s.dec,
            "snr_g": s.snr_g,
            "z": s.z,
            **{key: value for key, value in s.meta.items() if isinstance(value, _SCALAR)},
        }
        for s in spectra
    ]
    table = pd.DataFrame(rows)
    for name in table.columns.difference(list(_FIELDS)):
        present = [row[name] for row in rows if name in row]
        if all(isinstance(value, (bool, np.bool_)) for value in present):
            table[name] = table[name].astype("boolean")
        elif all(isinstance(value, (int, np.integer)) for value in present):
            table[name] = table[name].astype("Int64")  # stays whole beside missing values
    return table


def _write_array(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have the disk keep what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_error(path: Path, error: OSError) -> SurveyError:
    """Say in one line why a survey could not be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SurveyError(
            f"the disk is full: nothing more could be written to {path}. What was stored before "
            "is complete; free some space and give the same command again."
        )
    reason = error.strerror or str(error)
    return SurveyError(f"cannot write to {path}: {reason}. Check its permissions.")


def _damaged(folder: Path, reason: object) -> SurveyError:
    return SurveyError(
        f"shard {folder} is damaged ({reason}): restore it from a copy, or remove the folder and "
        "ingest its files again."
    )
