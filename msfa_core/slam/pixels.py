"""The pixels of SLAM: spectra at rest in broad bins of log λ, over a smooth continuum (§V.3.1).

Bins of some native pixels make the labels insensitive to rotation below about 200 km/s and to
the resolution of a fibre, since equivalent widths are kept; neighbouring bins share hardly any
noise. The continuum is a polynomial in ln λ, fitted with equal weights to every bin, lines and all:
the same linear operation on models and on observations, whatever their noise. What a response or
reddening leaves is fitted together with the labels, as a polynomial of the same degree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import SpectrumError
from msfa_core.typing import FloatArray

LEAST_COVERAGE: Final = 0.5  # of a bin, by good pixels; less counts as missing


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins in log10 λ, in the rest frame.

    Attributes
    ----------
    start, stop : float
        First edge, and where the last bin ends at the latest [Å, vacuum].
    width : int
        Of a bin, in steps of ``LAMOST_GRID`` (Δlog10 λ = 1e-4).
    """

    start: float = 3900.0
    stop: float = 5450.0
    width: int = 5

    def __post_init__(self) -> None:
        """Check that there is at least one bin."""
        if not (0 < self.start < self.stop and self.width > 0 and len(self) > 0):
            raise SpectrumError(
                f"{self} holds no bin: give a start below the stop [Å] and a width of at least 1."
            )

    def __len__(self) -> int:
        """Return the number of bins."""
        return int(np.log10(self.stop / self.start) / LAMOST_GRID.step + 1e-9) // self.width

    @property
    def edges(self) -> FloatArray:
        """(pixel + 1,) edges [log10 Å]."""
        return np.log10(self.start) + LAMOST_GRID.step * self.width * np.arange(len(self) + 1.0)

    @property
    def wavelength(self) -> FloatArray:
        """(pixel,) middles of the bins [Å, vacuum]."""
        middle: FloatArray = np.power(10.0, (self.edges[1:] + self.edges[:-1]) / 2)
        return middle


def rebin(
    bins: Bins,
    wavelength: FloatArray,
    flux: NDArray[np.floating],
    ivar: NDArray[np.floating] | None = None,
    z: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Average spectra over bins of the rest frame.

    Bad pixels (ivar 0, or no finite flux) are bridged by a straight line and carry no weight.

    Parameters
    ----------
    bins : Bins
    wavelength : (m,) array [Å, vacuum]
        Increasing; as observed.
    flux, ivar : (n, m) arrays
        ``ivar`` 1 when not given.
    z : (n,) array, optional
        Doppler shift; 0 when not given.

    Returns
    -------
    flux, ivar : (n, pixel) arrays
        Mean flux, NaN in a row without a good pixel; inverse variance, 0 where good pixels cover
        less than half of a bin, and in a row without ``z``.
    """
    n = len(flux)
    shift = np.zeros(n) if z is None else np.log10(1 + np.where(z > -1, z, np.nan))
    known = np.isfinite(shift)
    shift = np.where(known, shift, 0.0)
    target = bins.edges[None, :] + shift[:, None]
    middle = np.log10(wavelength)
    near = _window(middle, float(target.min()), float(target.max())) if n else slice(None)
    middle, flux = middle[near], np.asarray(flux[:, near], dtype=np.float64)
    ivar = np.ones_like(flux) if ivar is None else np.asarray(ivar[:, near], dtype=np.float64)
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    half = np.diff(middle) / 2
    edges = np.concatenate([[middle[0] - half[0]], middle[:-1] + half, [middle[-1] + half[-1]]])
    step = np.diff(edges)
    place = np.clip(np.searchsorted(edges, target, side="right") - 1, 0, len(step) - 1)
    share = np.clip((target - edges[place]) / step[place], 0.0, 1.0)

    def integral(values: FloatArray) -> FloatArray:
        """(n, pixel) integral over each bin [log10 Å]."""
        whole = np.zeros((n, len(step) + 1))
        np.cumsum(values * step, axis=1, out=whole[:, 1:])
        low = np.take_along_axis(whole, place, axis=1)
        high = np.take_along_axis(whole, place + 1, axis=1)
        result: FloatArray = np.diff(low + share * (high - low), axis=1)
        return result

    width = bins.width * LAMOST_GRID.step
    coverage = integral(good.astype(np.float64)) / width
    mean = integral(_bridged(flux, good)) / width
    variance = np.where(good, 1 / np.where(good, ivar, 1.0), 0.0)
    # a pixel of variance v and width s adds v s² to the variance of the integral
    total = integral(variance * step) / width**2
    usable = (coverage >= LEAST_COVERAGE) & known[:, None] & np.isfinite(mean)
    weight = np.where(usable, coverage**2 / np.where(usable, total, 1.0), 0.0)
    return mean, weight


def _window(middle: FloatArray, low: float, high: float) -> slice:
    """Pixels that bins between two edges need, and one on either side."""
    first, last = np.searchsorted(middle, [low, high])
    first, last = max(int(first) - 2, 0), min(int(last) + 2, len(middle))
    if last - first <= 1:
        first, last = 0, len(middle)
    return slice(first, last)


def _bridged(flux: NDArray[np.floating], good: NDArray[np.bool_]) -> FloatArray:
    """(n, m) flux with bad pixels on the straight line between their good neighbours."""
    n, m = flux.shape
    pixel = np.arange(m)
    left = np.maximum.accumulate(np.where(good, pixel, -1), axis=1)
    right = np.minimum.accumulate(np.where(good, pixel, m)[:, ::-1], axis=1)[:, ::-1]
    left = np.where(left < 0, np.minimum(right, m - 1), left)
    right = np.where(right >= m, left, right)
    row = np.arange(n)[:, None]
    safe = np.where(good, flux, 0.0)
    share = (pixel - left) / np.maximum(right - left, 1)
    line = safe[row, left] * (1 - share) + safe[row, right] * share
    has_good = np.asarray(good.any(axis=1))
    return np.where(has_good[:, None], line, np.nan)


def polynomials(wavelength: FloatArray, degree: int) -> FloatArray:
    """(pixel, degree + 1) Legendre polynomials of ln λ."""
    position = np.log(wavelength)
    middle, half = (position[0] + position[-1]) / 2, (position[-1] - position[0]) / 2
    basis: FloatArray = legendre.legvander((position - middle) / max(half, 1e-12), degree)
    return basis


def normalise(
    flux: FloatArray, ivar: FloatArray, basis: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Divide spectra by their smooth continuum, with equal weight for every bin that counts.

    Parameters
    ----------
    flux, ivar : (n, pixel) arrays
    basis : (pixel, k) array
        As from `polynomials`.

    Returns
    -------
    flux, ivar : (n, pixel) arrays
        In units of the continuum; rows without a positive continuum have ivar 0, and flux 1.
    """
    used = (ivar > 0) & np.isfinite(flux)
    safe = np.where(used, flux, 0.0)
    scale = np.abs(safe).mean(axis=1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    k = basis.shape[1]
    matrix = (used.astype(np.float64) @ products).reshape(-1, k, k)
    matrix += 1e-9 * len(basis) * np.eye(k)
    coefficients = np.linalg.solve(matrix, ((safe / scale) @ basis)[..., None])[..., 0]
    continuum = coefficients @ basis.T * scale
    bright = np.all(continuum > 0, axis=1) & used.any(axis=1)
    continuum = np.where(bright[:, None], continuum, 1.0)
    used &= bright[:, None]
    level = np.where(used, flux / continuum, 1.0)
    return level, np.where(used, ivar * continuum**2, 0.0)
