"""The library that spectra are matched against: load, check and save a template set."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.durable import write_whole
from msfa_core.errors import ModelError
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.shipped import shipped
from msfa_core.typing import FloatArray

TEMPLATE_FILE: Final = shipped("templates", "templates.npz")
CALIBRATION_FILE: Final = shipped("templates", "confidence.json")
ADDED: Final = "+"  # before a path: what it has is added to the shipped set
ALONE: Final = -1  # basis number of a template that is fitted by itself
CODE_STEP: Final = 2.5e-4  # of ln flux in the file: a quarter of a thousandth
_PLAUSIBLE: Final = (300.0, 30_000.0)  # Å: rest wavelengths of optical spectra up to z = 6
_REACHES: Final = 3000.0  # Å: a template ends redwards of this; in nm or µm none does
_ON_GRID: Final = 0.1  # pixel
_NO_CODE: Final = -32768  # pixel without flux
_FLOOR: Final = 1e-3  # of the median: the least flux that a logarithm is taken of


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Template spectra at rest, on the log grid of LAMOST, and how continua may differ.

    Attributes
    ----------
    name : (t,) str array
        One of its own for each template: the star, or what it is composed of.
    cls : (t,) str array
        ``STAR``, ``GALAXY`` or ``QSO``.
    subclass : (t,) str array
        ``A1V``, ``DA``, ``early``; empty where there is none.
    flux : (t, pixel) float32 array
        Relative flux per Å; NaN before the first and after the last pixel of a template.
    wavelength : (pixel,) float64 array [Å, vacuum, rest frame]
        Whole steps of 1e-4 in log10.
    continuum : (vector, 3909) float64 array
        Characteristic vectors of ratios of continua, on ``LAMOST_GRID`` as observed. The
        first is positive.
    basis : (t,) int array
        Templates of the same number are eigen-spectra, fitted together; -1 for one by itself.
    provenance : str
        Whence the spectra are and how they were made.
    """

    name: NDArray[np.str_]
    cls: NDArray[np.str_]
    subclass: NDArray[np.str_]
    flux: NDArray[np.float32]
    wavelength: FloatArray
    continuum: FloatArray
    basis: NDArray[np.int64]
    provenance: str = ""

    def __post_init__(self) -> None:
        """Check shapes, grid and values; messages name the template and the remedy."""
        n = len(self.name)
        if n == 0:
            raise ModelError("a template set without a template: name a file that holds some.")
        shapes = {
            "cls": (n,), "subclass": (n,), "basis": (n,), "flux": (n, len(self.wavelength)),
            "continuum": (len(self.continuum), LAMOST_GRID.n_pixels),
        }  # fmt: skip
        for what, expected in shapes.items():
            if getattr(self, what).shape != expected:
                raise ModelError(
                    f"template set: {what} has shape {getattr(self, what).shape}, expected "
                    f"{expected}: one row per template, one column per wavelength."
                )
        unknown = sorted(set(self.cls.tolist()) - set(OBJECT_CLASSES))
        if unknown:
            raise ModelError(
                f"template set: class {unknown[0]!r} is none of {', '.join(OBJECT_CLASSES)}."
            )
        check_grid(self.wavelength, "template set")
        self._check_flux()
        if not (len(self.continuum) and np.isfinite(self.continuum).all()):
            raise ModelError("template set: no continuum vectors, or vectors that hold NaN.")

    def _check_flux(self) -> None:
        for k, (first, last) in enumerate(self.extent):
            inside = self.flux[k, first : last + 1]
            if last < first or not np.isfinite(inside).all():
                n_bad = len(inside) - int(np.isfinite(inside).sum()) if last >= first else "only"
                raise ModelError(
                    f"template {self.name[k]!r} holds {n_bad} NaN or infinite pixels: leave it "
                    "out, or fill them."
                )
            if not np.any(inside):
                raise ModelError(f"template {self.name[k]!r} is zero everywhere: leave it out.")

    def __len__(self) -> int:
        """Return the number of templates."""
        return len(self.name)

    @property
    def first_pixel(self) -> int:
        """Number of the first pixel: log10 λ in whole steps."""
        return round(float(np.log10(self.wavelength[0])) / LAMOST_GRID.step)

    @property
    def extent(self) -> NDArray[np.int64]:
        """(t, 2) first and last pixel with flux of each template; last < first without any."""
        known = ~np.isnan(self.flux)
        first = np.argmax(known, axis=1)
        last = known.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
        return np.stack([first, np.where(known.any(axis=1), last, -1)], axis=1)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> TemplateSet:
        """Return the set of these templates."""
        return replace(
            self,
            **{what: getattr(self, what)[rows] for what in ("name", "cls", "subclass", "flux")},
            basis=self.basis[rows],
        )

    def save(self, path: str | Path) -> None:
        """Write the set as a compressed file of a few MB.

        ln flux is kept in steps of 2.5e-4; a flux below a thousandth of a template's median,
        which has no logarithm worth keeping, is lifted to it. Eigen-spectra, which have no
        logarithm at all, cannot be saved.

        Raises
        ------
        ModelError
            For eigen-spectra.
        SurveyError
            When the file cannot be written.
        """
        if np.any(self.basis != ALONE):
            raise ModelError("eigen-spectra are negative in places: keep the file they came in.")
        middle = np.nanmedian(self.flux, axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            coded = np.log(np.maximum(self.flux / middle, _FLOOR)) / CODE_STEP
        coded = np.where(np.isnan(self.flux), _NO_CODE, np.clip(np.rint(coded), -32767, 32767))
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            name=self.name.astype(np.str_),
            cls=self.cls.astype(np.str_),
            subclass=self.subclass.astype(np.str_),
            ln_flux=coded.astype(np.int16),
            step=CODE_STEP,
            first_pixel=self.first_pixel,
            continuum=self.continuum.astype(np.float32),
            provenance=json.dumps(self.provenance),
        )
        write_whole(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path | None = None) -> TemplateSet:
        """Read a set that ``msfa templates build`` wrote; the shipped one when not named.

        Raises
        ------
        ModelError
            When the file is missing, or is no template set.
        """
        path = Path(path) if path else TEMPLATE_FILE
        if not path.is_file():
            raise ModelError(
                f"{path}: no template set there; name another, or give `msfa templates build OUT`."
            )
        return _load(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _load(path: Path, _changed: int) -> TemplateSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            coded = file["ln_flux"]
            first, n_pixels = int(file["first_pixel"]), coded.shape[1]
            flux = np.exp(coded.astype(np.float32) * np.float32(file["step"]))
            flux[coded == _NO_CODE] = np.nan
            return TemplateSet(
                name=file["name"],
                cls=file["cls"],
                subclass=file["subclass"],
                flux=flux,
                wavelength=LogGrid(first, n_pixels).wavelength,
                continuum=file["continuum"].astype(np.float64),
                basis=np.full(len(coded), ALONE, dtype=np.int64),
                provenance=json.loads(str(file["provenance"])),
            )
    except (KeyError, ValueError, OSError, IndexError) as error:
        raise ModelError(
            f"{path}: not a template set ({error}); make one with `msfa templates build OUT`, or "
            "name an spEigen or redrock file."
        ) from error


def set_checksum(path: str | Path | None = None) -> str:
    """Return the SHA-256 of a set's files and of the calibration of the confidence.

    Parameters
    ----------
    path : str or Path, optional
        A file or a folder; the shipped set when not given or empty.

    Raises
    ------
    ModelError
        When nothing is there.
    """
    if str(path or "").startswith(ADDED):
        more = set_checksum(str(path)[len(ADDED) :])
        return hashlib.sha256(f"{set_checksum()} {more}".encode()).hexdigest()
    path = Path(path) if path else TEMPLATE_FILE
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in (*files, CALIBRATION_FILE):
        if not file.is_file():
            raise ModelError(f"{file}: missing; restore it, or name another template set.")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def check_units(wavelength: NDArray[np.floating], what: str) -> None:
    """Raise where wavelengths cannot be in Å, or do not increase.

    Parameters
    ----------
    wavelength : (pixel,) array
    what : str
        Names the set in messages.

    Raises
    ------
    ModelError
        Naming the range found and the remedy.
    """
    if len(wavelength) <= 1 or not np.isfinite(wavelength).all():
        raise ModelError(f"{what}: wavelengths are missing or hold NaN; restore the file.")
    first, last = float(wavelength[0]), float(wavelength[-1])
    if not (_PLAUSIBLE[0] <= first < last <= _PLAUSIBLE[1] and last >= _REACHES):
        raise ModelError(
            f"{what}: wavelengths {first:.4g} to {last:.4g} are not optical ones in Å; convert "
            "from nm or µm, and sort them."
        )


def check_grid(wavelength: NDArray[np.floating], what: str) -> None:
    """Raise where wavelengths are not in Å, or not in equal steps of log10.

    Parameters
    ----------
    wavelength : (pixel,) array
    what : str
        Names the set in messages.

    Raises
    ------
    ModelError
        Naming the range found and the remedy.
    """
    check_units(wavelength, what)
    position = np.log10(wavelength.astype(np.float64)) / LAMOST_GRID.step
    if np.abs(position - np.rint(position)).max() >= _ON_GRID or np.any(
        np.diff(np.rint(position)) != 1
    ):
        raise ModelError(
            f"{what}: wavelengths are not whole steps of 1e-4 in log10 λ; resample the templates "
            "onto that grid (vacuum wavelengths), as `msfa templates build` does."
        )
