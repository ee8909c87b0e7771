"""Read a template set of another project: SDSS spEigen files and redrock templates.

Both hold either stars one by one, which become templates of their own, or eigen-spectra, which are
fitted together. A folder of such files is one set.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.errors import ModelError
from msfa_core.templates.kinds import kinds_of, welcome_kinds
from msfa_core.templates.library import ADDED, ALONE, TemplateSet, check_grid, check_units

_SUFFIXES: Final = (".fits", ".fits.gz", ".fit", ".fit.gz")
_CLASSES: Final = {"STAR": "STAR", "GALAXY": "GALAXY", "GAL": "GALAXY", "QSO": "QSO"}
_STEPS: Final = 0.02  # of a step: how well equal steps must be equal
_NAME: Final = re.compile(r"^(?P<type>.*?)\s*(?:\((?P<star>[^)]*)\))?$")
_SDSS_WORDS: Final = {"WDcooler": "DA", "WDhotter": "DA", "CalciumWD": "DZ", "WDmagnetic": "DAH"}


def read_templates(path: str | Path | None = None) -> TemplateSet:
    """Read a template set, whatever project it is of.

    Parameters
    ----------
    path : str or Path, optional
        A set of ``msfa templates build`` (.npz), an ``spEigen`` or redrock file (.fits, plain or
        gzipped), or a folder of the latter; the shipped set when not given or empty. With a ``+``
        before it, what the file or folder has of kinds that the shipped set lacks, or has composed
        ones of only (carbon stars, cataclysmic variables …), is added to the shipped set.

    Returns
    -------
    TemplateSet
        Eigen-spectra share a basis number. Continuum vectors are those of the shipped set.

    Raises
    ------
    ModelError
        For a file that is none of these, wavelengths that are not Å on a log grid of 1e-4, or
        templates with NaN; naming the file and the remedy.
    """
    if not path or not str(path):
        return TemplateSet.load()
    if str(path).startswith(ADDED):
        return _added(TemplateSet.load(), read_templates(str(path)[len(ADDED) :]))
    path = Path(path)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.name.lower().endswith(_SUFFIXES))
        if not files:
            raise ModelError(f"{path}: no template file (.fits, .fits.gz) there; name another.")
        return _together([_read_file(one) for one in files], str(path))
    if path.suffix == ".npz" or not path.exists():
        return TemplateSet.load(path)
    return _together([_read_file(path)], str(path))


def _added(shipped: TemplateSet, more: TemplateSet) -> TemplateSet:
    """Return the shipped set with templates of the kinds that it lacks or composed.

    Raises
    ------
    ModelError
        When there are none.
    """
    lacking = set(welcome_kinds(shipped))
    rows = np.array([kind in lacking for kind in kinds_of(more)])
    if not rows.any():
        raise ModelError(
            f"{more.provenance}: no template of a kind that the shipped set lacks or has "
            f"composed ({', '.join(sorted(lacking))}); name it without + to use it alone."
        )
    more = more.take(rows)
    parts = (shipped, more)
    first = min(one.first_pixel for one in parts)
    last = max(one.first_pixel + one.flux.shape[1] for one in parts)
    flux = np.full((len(shipped) + len(more), last - first), np.nan, dtype=np.float32)
    at = 0
    for one in parts:
        start = one.first_pixel - first
        flux[at : at + len(one), start : start + one.flux.shape[1]] = one.flux
        at += len(one)
    both = {
        what: np.concatenate([getattr(one, what) for one in parts])
        for what in ("name", "cls", "subclass", "basis")
    }
    return replace(
        shipped,
        flux=flux,
        wavelength=LogGrid(first, last - first).wavelength,
        provenance=f"{shipped.provenance} Added: {more.provenance}.",
        **both,
    )


class _Part:
    """What one file holds: spectra on a grid of its own."""

    def __init__(
        self, path: Path, first: int, flux: NDArray[np.float64], names: list[str],
        cls: str, subclasses: list[str], is_basis: bool,
    ) -> None:  # fmt: skip
        self.path, self.first, self.flux, self.names = path, first, flux, names
        self.cls, self.subclasses, self.is_basis = cls, subclasses, is_basis


def _read_file(path: Path) -> _Part:
    from astropy.io import fits  # noqa: PLC0415

    try:
        with fits.open(path, memmap=False) as units:
            names = [unit.name for unit in units]
            if "BASIS_VECTORS" in names:
                unit = units["BASIS_VECTORS"]
                return _redrock(path, dict(unit.header), np.asarray(unit.data, dtype=np.float64))
            header, data = dict(units[0].header), units[0].data
            if data is None or "COEFF0" not in header:
                raise ModelError(
                    f"{path}: neither an spEigen file (COEFF0, image) nor a redrock one "
                    "(BASIS_VECTORS); name another."
                )
            return _sp_eigen(path, header, np.atleast_2d(np.asarray(data, dtype=np.float64)))
    except (OSError, gzip.BadGzipFile, EOFError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: cannot be read as templates ({error}); restore it.") from error


def _class_of(path: Path, word: str) -> str:
    """Return the house class of a file's word for it (``STAR_CV`` counts as a star)."""
    for key, cls in _CLASSES.items():
        if word.strip().upper().startswith(key):
            return cls
    raise ModelError(f"{path}: templates of class {word!r}, which is none of STAR, GALAXY, QSO.")


def _first_pixel(path: Path, start: float, step: float, n: int) -> int:
    """Return the number of the first pixel of a grid log10 λ = start + i · step."""
    if abs(step - LAMOST_GRID.step) * n > _STEPS * LAMOST_GRID.step * n:
        raise ModelError(
            f"{path}: steps of {step:g} in log10 λ instead of 1e-4; resample the templates."
        )
    check_grid(10.0 ** (start + step * np.arange(n)), str(path))
    return round(start / LAMOST_GRID.step)


def _sp_eigen(path: Path, header: dict[str, Any], flux: NDArray[np.float64]) -> _Part:
    """SDSS: rows of one star each (NAME0 …), else eigen-spectra."""
    cls = _class_of(path, str(header.get("OBJECT", "")))
    first = _first_pixel(path, float(header["COEFF0"]), float(header["COEFF1"]), flux.shape[1])
    if "NAME0" not in header:
        names = [f"{path.name} {k}" for k in range(len(flux))]
        word = str(header["OBJECT"]).strip().partition("_")[2]
        return _Part(path, first, flux, names, cls, [word] * len(flux), True)
    names = [str(header.get(f"NAME{k}", k)).strip() for k in range(len(flux))]
    return _Part(path, first, flux, names, cls, [_subclass(name) for name in names], False)


def _subclass(name: str) -> str:
    """``A0IVn (25642)`` is of subclass ``A0IVn``; words for white dwarfs get their letters."""
    found = _NAME.match(name)
    word = found["type"] if found else name
    return _SDSS_WORDS.get(word, word).replace("sd:", "sd")


def _redrock(path: Path, header: dict[str, Any], flux: NDArray[np.float64]) -> _Part:
    """Redrock: eigen-spectra on a linear or logarithmic grid."""
    n = flux.shape[1]
    pixel = np.arange(n, dtype=np.float64)
    axis = np.asarray(float(header["CRVAL1"]) + float(header["CDELT1"]) * pixel, np.float64)
    cls = _class_of(path, str(header.get("RRTYPE", "")))
    subclass = str(header.get("RRSUBTYP", "")).strip()
    if header.get("LOGLAM"):
        step = float(header["CDELT1"])
        same = abs(step - LAMOST_GRID.step) <= _STEPS * LAMOST_GRID.step / n
        first = _first_pixel(path, float(header["CRVAL1"]), step, n) if same else None
        axis = 10.0**axis
    else:
        first = None
    if not np.isfinite(flux).all():
        raise ModelError(f"{path}: templates hold NaN or infinite pixels; restore the file.")
    if first is None:
        first, flux = _resampled(path, axis, flux)
    names = [f"{path.name} {k}" for k in range(len(flux))]
    return _Part(path, first, flux, names, cls, [subclass] * len(flux), len(flux) > 1)


def _resampled(
    path: Path, wavelength: NDArray[np.float64], flux: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]]:
    """Bring spectra on any even grid of Å to whole steps of 1e-4 (pixel means by integration)."""
    check_units(wavelength, str(path))
    position = np.log10(wavelength) / LAMOST_GRID.step
    first, last = int(np.ceil(position[0] + 1)), int(np.floor(position[-1] - 1))
    edges = 10.0 ** ((np.arange(first, last + 2) - 0.5) * LAMOST_GRID.step)
    total = np.concatenate(
        [
            np.zeros((len(flux), 1)),
            np.cumsum((flux[:, 1:] + flux[:, :-1]) / 2 * np.diff(wavelength), axis=1),
        ],
        axis=1,
    )
    at = np.array([np.interp(edges, wavelength, one) for one in total])
    return first, np.diff(at, axis=1) / np.diff(edges)


def _together(parts: list[_Part], source: str) -> TemplateSet:
    """Put files on one grid; each file of eigen-spectra is a basis of its own."""
    first = min(part.first for part in parts)
    last = max(part.first + part.flux.shape[1] for part in parts)
    rows, basis = [], []
    for number, part in enumerate(parts):
        whole = np.full((len(part.flux), last - first), np.nan, dtype=np.float32)
        start = part.first - first
        flux = part.flux
        if not np.isfinite(flux).all():
            bad = part.names[int(np.flatnonzero(~np.isfinite(flux).all(axis=1))[0])]
            raise ModelError(f"{part.path}: template {bad!r} holds NaN; leave it out, or fill it.")
        size = np.sqrt(np.mean(flux**2, axis=1, keepdims=True))
        whole[:, start : start + flux.shape[1]] = flux / np.where(size > 0, size, 1.0)
        rows.append(whole)
        basis += [number if part.is_basis else ALONE] * len(flux)
    return replace(
        TemplateSet.load(),
        name=np.array([name for part in parts for name in part.names]),
        cls=np.array([part.cls for part in parts for _ in part.names]),
        subclass=np.array([word for part in parts for word in part.subclasses]),
        flux=np.concatenate(rows),
        wavelength=LogGrid(first, last - first).wavelength,
        basis=np.array(basis, dtype=np.int64),
        provenance=f"read from {source}",
    )
