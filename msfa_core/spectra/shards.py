"""Shards of the archive: spectra that were stored together, as memory maps (paper §II.1).

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

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.durable import sync, write_error, write_whole
from msfa_core.errors import SurveyError
from msfa_core.spectra.spectrum import Spectra, Spectrum, log_offset, log_pixels, on_grid

BAD: Final = 1  # as `Spectrum.mask` has it
SOFT: Final = 2  # ORMASK ≠ 0: a warning
NO_PIXEL: Final = 4  # the spectrum does not reach here

FORMAT: Final = 1
SHARD_FILE: Final = "shard.json"
META_FILE: Final = "meta.parquet"
TEMPORARY: Final = ".writing-"
FILE_SIZE: Final = "file_size"  # what is known of the file of a spectrum, and what read it
FILE_TIME: Final = "file_mtime_ns"
READ_BY: Final = "reader_version"
HOUSEKEEPING: Final = (FILE_SIZE, FILE_TIME, READ_BY)  # no columns of the table
_WIDEST_LOG_GRID: Final = 8000  # pixels; a wider "logarithmic" spectrum keeps its own wavelengths
_ROUNDING: Final = 0.005  # pixel; less is the float32 of the files
_FIELDS: Final = ("obsid", "file", "ra", "dec", "snr_g", "z")  # of a Spectrum
_SCALAR: Final = (str, int, float, bool, np.integer, np.floating, np.bool_)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a shard are laid out."""

    grid: str  # lamost, log or explicit
    dtype: str  # float32 or float64


@dataclass(frozen=True, slots=True)
class Batch:
    """The arrays of a batch on ``LAMOST_GRID`` while they are filled."""

    obsid: NDArray[np.int64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.bool_]
    z: NDArray[np.float64]

    @classmethod
    def of(cls, obsid: NDArray[np.int64]) -> Batch:
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
        except (OSError, EOFError, ValueError) as error:
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
    def stands_for(self) -> str:
        """Name of the shard that this one was written in the place of; empty for none."""
        return str(self._card.get("stands_for", ""))

    @property
    def together(self) -> int:
        """Number of shards that stand for that one together, and count when all are there."""
        return int(self._card.get("together", 1))

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
            except (OSError, EOFError, ValueError) as error:
                raise _damaged(self.folder, error) from error
            if any(len(array) != len(self) for array in arrays.values()):
                raise _damaged(self.folder, "its arrays differ in length")
            self._arrays = arrays
        return self._arrays

    def z(self) -> NDArray[np.float64]:
        """(n,) Doppler shift that each file gave; opens nothing that stays open."""
        if self._arrays is not None:
            return self._arrays["z"]
        try:
            z: NDArray[np.float64] = np.load(self.folder / "z.npy")
        except (OSError, EOFError, ValueError) as error:
            raise _damaged(self.folder, error) from error
        return z

    def close(self) -> None:
        """Let go of the memory maps; they open again when asked for."""
        self._arrays = None
        self._metadata = None

    def metadata(self) -> pd.DataFrame:
        """Return what the files said of each spectrum, one row per obsid (stored order)."""
        if self._metadata is None:
            try:
                self._metadata = pd.read_parquet(self.folder / META_FILE)
            except (OSError, EOFError, ValueError) as error:
                raise _damaged(self.folder, error) from error
        return self._metadata

    def housekeeping(self) -> pd.DataFrame:
        """Return what is known of the files and of what read them, missing where it is not."""
        import pyarrow.parquet as pq  # noqa: PLC0415 (a third of a second)

        try:
            file = pq.ParquetFile(self.folder / META_FILE)
            known = [name for name in HOUSEKEEPING if name in file.schema_arrow.names]
            table = file.read(columns=known).to_pandas() if known else pd.DataFrame()
        except (OSError, EOFError, ValueError) as error:
            raise _damaged(self.folder, error) from error
        return table.reindex(index=range(len(self)), columns=list(HOUSEKEEPING)).astype("Int64")

    def note(self, rows: NDArray[np.integer], said: Mapping[str, NDArray[np.int64]]) -> None:
        """Write anew what is known of the files of some rows; their spectra stay.

        Raises
        ------
        SurveyError
            When the disk is full or refuses; what was known before is untouched.
        """
        table = self.metadata().copy()
        for name, values in said.items():
            column = table.get(name, pd.Series(pd.NA, index=table.index)).astype("Int64")
            column.iloc[rows] = values
            table[name] = column
        write_whole(self.folder / META_FILE, table.to_parquet(index=False))
        self._metadata = None

    def spectra(self, rows: NDArray[np.integer] | None = None) -> Spectra:
        """Return spectra on ``LAMOST_GRID`` (all of them, or these rows), float32."""
        at = np.arange(len(self)) if rows is None else rows
        batch = Batch.of(self.obsid[at])
        self.fill(batch, slice(None), slice(None) if rows is None else rows)
        return batch.spectra()

    def fill(self, batch: Batch, into: Rows, rows: Rows) -> None:
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


def layout_of(spectrum: Spectrum) -> Layout:
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
    return Layout(grid, "float32" if exact else "float64")


def _fits_float32(values: NDArray[np.floating]) -> bool:
    if values.dtype == np.float32:
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float32), values, equal_nan=True))


def _stack(
    layout: Layout, spectra: Sequence[Spectrum]
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
    offset = log_offset(wavelength, LAMOST_GRID.step)
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


def write_shard(
    folder: Path,
    layout: Layout,
    spectra: Sequence[Spectrum],
    stands_for: str = "",
    together: int = 1,
) -> None:
    """Write a shard: the whole folder or nothing.

    Parameters
    ----------
    folder : Path
    layout : Layout
    spectra : sequence of Spectrum
    stands_for : str
        Name of an older shard, which is not to be read any more.
    together : int
        Number of shards that stand for it.

    Raises
    ------
    SurveyError
        When the disk is full or refuses.
    """
    temporary = folder.with_name(f"{TEMPORARY}{folder.name}")
    try:
        temporary.mkdir()
        card, arrays = _stack(layout, spectra)
        if stands_for:
            card |= {"stands_for": stands_for, "together": together}
        for key, array in arrays.items():
            _write_array(temporary / f"{key}.npy", array)
        (temporary / META_FILE).write_bytes(_metadata_of(spectra).to_parquet(index=False))
        (temporary / SHARD_FILE).write_text(json.dumps(card, indent=1), encoding="utf-8")
        for file in (META_FILE, SHARD_FILE, "."):
            sync(temporary / file)
        temporary.rename(folder)
        sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(folder.parent, error) from error


def _write_array(path: Path, array: NDArray[Any]) -> None:
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:  # not np.save: it hides why a write failed
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)
        file.flush()
        os.fsync(file.fileno())


def _damaged(folder: Path, reason: object) -> SurveyError:
    return SurveyError(
        f"shard {folder} is damaged ({reason}): restore it from a copy, or remove the folder and "
        "ingest its files again."
    )
