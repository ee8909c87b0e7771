"""The records that everything else takes: one spectrum, a batch, and network-ready spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import escape
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, NETWORK_GRID, LogGrid
from msfa_core.errors import SpectrumError

_ON_GRID = 0.1  # pixel: float32 wavelengths scatter by 0.01
_SKETCH = 300  # points of the drawing that notebooks show
GAP = 10.0  # median steps: wider holes between pixels are gaps, not sampling


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One observation as its file holds it.

    Attributes
    ----------
    obsid : int
        Identity of the observation (from the header, else made from the file name).
    wavelength : (pixel,) float array [Å, vacuum, observed frame]
    flux : (pixel,) float array
        Relative flux per Å, in the file's own precision.
    ivar : (pixel,) float array
        Inverse variance of ``flux``; 0 where unknown.
    mask : (pixel,) bool array
        True = bad: ANDMASK ≠ 0, ivar ≤ 0, or a number that stands for no flux (zeros in a row,
        −9999, 99999: `fill_values`).
    z : float
        Doppler shift from the header's ``Z``; NaN when the file has none.
    ra, dec : float [deg, ICRS]
    snr_g : float
        S/N in g from the header, else the median of flux·sqrt(ivar) over the g band.
    file : str
        Path of the file the spectrum was read from; empty when made in memory.
    meta : dict
        What else the file says, by house names: ``class, subclass, data_release, layout``
        (``lamost-image-subcontinuum``, ``lamost-image``, ``lamost-table``, ``lamost-medium``,
        ``sdss``), ``resolution`` (``low`` or ``medium``), ``lmjd, planid, spid, fiberid,
        designation, andmask, ormask`` where present.
    """

    obsid: int
    wavelength: NDArray[np.floating]
    flux: NDArray[np.floating]
    ivar: NDArray[np.floating]
    mask: NDArray[np.bool_]
    z: float = float("nan")
    ra: float = float("nan")
    dec: float = float("nan")
    snr_g: float = float("nan")
    file: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the four arrays are one-dimensional and equally long."""
        shape = self.wavelength.shape
        if len(shape) != 1 or not shape == self.flux.shape == self.ivar.shape == self.mask.shape:
            shapes = {
                name: getattr(self, name).shape for name in ("wavelength", "flux", "ivar", "mask")
            }
            raise SpectrumError(
                f"obsid {self.obsid}: wavelength, flux, ivar and mask have shapes {shapes}; "
                "give four one-dimensional arrays of equal length."
            )
        if shape[0] <= 1 or not (self.wavelength[1:] > self.wavelength[:-1]).all():
            raise SpectrumError(
                f"obsid {self.obsid}: wavelength must increase along the spectrum "
                f"({len(self.wavelength)} pixels given); reverse or sort the arrays first."
            )

    def _repr_html_(self) -> str:
        """Return the spectrum as notebooks show it: a sketch, and what is known of it."""
        known = {
            "obsid": str(self.obsid),
            "class": " ".join(str(self.meta.get(key) or "") for key in ("class", "subclass")),
            "S/N(g)": f"{self.snr_g:.1f}",
            "z": f"{self.z:.6f}",
            "RA, Dec [deg]": f"{self.ra:.6f}, {self.dec:+.6f}",
            "wavelengths [Å, vacuum]": f"{self.wavelength[0]:.1f}–{self.wavelength[-1]:.1f}",
            "pixels, masked": f"{len(self.flux):,}, {int(self.mask.sum()):,}",
            "file": self.file,
        }
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(words)}</td></tr>"
            for name, words in known.items()
        )
        return f"{self._sketch()}<table>{rows}</table>"

    def _sketch(self) -> str:
        """Return the good pixels as a small drawing, means of neighbours."""
        shown = ~self.mask & np.isfinite(self.flux)
        if shown.sum() < _SKETCH:
            return ""
        parts = np.array_split(np.flatnonzero(shown), _SKETCH)
        flux = np.array([self.flux[part].mean() for part in parts], dtype=np.float64)
        low, high = float(flux.min()), float(flux.max())
        y = 58 - 56 * (flux - low) / ((high - low) or 1.0)
        points = " ".join(f"{2 * k},{value:.1f}" for k, value in enumerate(y))
        return (
            f"<svg viewBox='0 0 {2 * _SKETCH} 60' width='{2 * _SKETCH}' height='60'><polyline "
            f"points='{points}' fill='none' stroke='currentColor' stroke-width='1'/></svg>"
        )


@dataclass(frozen=True, slots=True)
class Spectra:
    """A batch: ``n`` spectra on one wavelength grid, observed frame.

    Attributes
    ----------
    obsid : (n,) int64 array
    wavelength : (pixel,) float64 array [Å, vacuum, observed frame]
        Common to all rows.
    flux : (n, pixel) float32 or float64 array
        NaN where the spectrum has no pixel.
    ivar : (n, pixel) float array
        0 where bad or without a pixel.
    mask : (n, pixel) bool array
        True = bad.
    z : (n,) float64 array
        Doppler shift; NaN when unknown.
    """

    obsid: NDArray[np.int64]
    wavelength: NDArray[np.float64]
    flux: NDArray[np.floating]
    ivar: NDArray[np.floating]
    mask: NDArray[np.bool_]
    z: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that every array has one row per obsid and one column per wavelength."""
        expected = (len(self.obsid), len(self.wavelength))
        for name in ("flux", "ivar", "mask"):
            if getattr(self, name).shape != expected:
                raise SpectrumError(
                    f"{name} has shape {getattr(self, name).shape}, expected {expected}: "
                    "one row per obsid, one column per wavelength."
                )
        if self.z.shape != (len(self.obsid),):
            raise SpectrumError(f"z has shape {self.z.shape}, expected ({len(self.obsid)},).")

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def __getitem__(self, rows: NDArray[Any] | slice | Sequence[int]) -> Spectra:
        """Return the batch of these rows (a slice, indices or a boolean array)."""
        return replace(
            self,
            obsid=self.obsid[rows],
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            mask=self.mask[rows],
            z=self.z[rows],
        )


@dataclass(frozen=True, slots=True)
class PreparedSpectra:
    """Network-ready spectra, one row per observation.

    Attributes
    ----------
    obsid : (n,) int64 array
    flux : (n, 2430) float32 array
        Rest frame, on ``NETWORK_GRID``, each row scaled to [0, 1]; a row of NaN where the
        spectrum could not be prepared.
    """

    obsid: NDArray[np.int64]
    flux: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that each row lies on the network grid."""
        expected = (len(self.obsid), NETWORK_GRID.n_pixels)
        if self.flux.shape != expected:
            raise SpectrumError(
                f"flux has shape {self.flux.shape}, expected {expected}: "
                "one row per obsid on NETWORK_GRID. Run prepare() first."
            )

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)


def log_pixels(wavelength: NDArray[np.floating], step: float) -> NDArray[np.int64] | None:
    """Return the pixel numbers of wavelengths that lie on a grid of equal steps in log10 λ.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    step : float
        Step in log10 λ.

    Returns
    -------
    (pixel,) int64 array or None
        log10 λ in whole steps, not to be written to; None when a pixel is off the grid by a
        tenth of a pixel or more, or when pixels are left out in between.
    """
    return _log_grid(wavelength.tobytes(), wavelength.dtype.str, step)[0]


def log_offset(wavelength: NDArray[np.floating], step: float) -> float:
    """Return how far the pixels lie beside such a grid, in the median [pixel]; NaN for none."""
    return _log_grid(wavelength.tobytes(), wavelength.dtype.str, step)[1]


@lru_cache(maxsize=64)
def _log_grid(wavelength: bytes, dtype: str, step: float) -> tuple[NDArray[np.int64] | None, float]:
    """Pixel numbers and offset of wavelengths, which most spectra of a survey share."""
    values = np.frombuffer(wavelength, dtype).astype(np.float64)
    if not np.all(np.isfinite(values) & (values > 0)):
        return None, np.nan
    position = np.log10(values) / step
    pixel = np.rint(position).astype(np.int64)
    pixel.setflags(write=False)
    aligned = np.abs(position - pixel).max() < _ON_GRID and np.all(np.diff(pixel) == 1)
    return pixel if aligned else None, float(np.median(position - pixel))


def on_grid(spectra: Sequence[Spectrum], grid: LogGrid = LAMOST_GRID) -> Spectra:
    """Put single spectra on one logarithmic grid, without touching a pixel where possible.

    A spectrum whose pixels already lie on the grid (LAMOST, SDSS: log10 λ a multiple of 1e-4,
    to a tenth of a pixel) is shifted by whole pixels, so its values are kept exactly; any other is
    interpolated linearly, the inverse variance with it.

    Parameters
    ----------
    spectra : n Spectrum
    grid : LogGrid
        Grid of the batch.

    Returns
    -------
    Spectra
        Float32, NaN flux and zero ivar outside each spectrum's own coverage.
    """
    n, m = len(spectra), grid.n_pixels
    flux = np.full((n, m), np.nan, dtype=np.float32)
    ivar = np.zeros((n, m), dtype=np.float32)
    mask = np.ones((n, m), dtype=bool)
    wavelength = grid.wavelength
    for row, spectrum in enumerate(spectra):
        pixel = log_pixels(spectrum.wavelength, grid.step)
        if pixel is not None:
            pixel = pixel - grid.first
            own = (pixel >= 0) & (pixel < m)
            target = pixel[own]
            flux[row, target] = spectrum.flux[own]
            ivar[row, target] = spectrum.ivar[own]
            mask[row, target] = spectrum.mask[own]
        else:
            _interpolate_row(spectrum, wavelength, flux[row], ivar[row], mask[row])
    bad = ~np.isfinite(ivar) | (ivar < 0)
    ivar[bad] = 0
    mask |= bad
    return Spectra(
        obsid=np.array([s.obsid for s in spectra], dtype=np.int64),
        wavelength=wavelength,
        flux=flux,
        ivar=ivar,
        mask=mask,
        z=np.array([s.z for s in spectra], dtype=np.float64),
    )


def _interpolate_row(
    spectrum: Spectrum,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float32],
    ivar: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> None:
    """Fill one row of a batch by linear interpolation; a pixel beside a bad one is bad.

    Gaps (between the arms of a medium-resolution spectrum) are not bridged.
    """
    inside = (wavelength >= spectrum.wavelength[0]) & (wavelength <= spectrum.wavelength[-1])
    step = np.diff(spectrum.wavelength)
    right = np.clip(np.searchsorted(spectrum.wavelength, wavelength), 1, len(step))
    inside &= step[right - 1] < GAP * np.median(step)
    at = wavelength[inside]
    flux[inside] = np.interp(at, spectrum.wavelength, spectrum.flux)
    ivar[inside] = np.interp(at, spectrum.wavelength, spectrum.ivar)
    mask[inside] = np.interp(at, spectrum.wavelength, spectrum.mask.astype(float)) > 0


@overload
def as_spectra(spectra: Spectra) -> Spectra: ...
@overload
def as_spectra(spectra: Spectrum | Sequence[Spectrum]) -> Spectra: ...
def as_spectra(spectra: Spectra | Spectrum | Sequence[Spectrum]) -> Spectra:
    """Return a batch, whatever was given: a batch, one spectrum, or a sequence of them.

    Returns
    -------
    Spectra
        The batch itself, or the single spectra on ``LAMOST_GRID``.
    """
    if isinstance(spectra, Spectra):
        return spectra
    if isinstance(spectra, Spectrum):
        return on_grid([spectra])
    return on_grid(list(spectra))
