"""What a screen or a page shows of one spectrum: its frame, its smoothed flux, its limits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.errors import SpectrumError
from msfa_core.spectra.spectrum import Spectrum

_MARGIN: Final = 0.06  # of the height, above and below


def shown_wavelength(spectrum: Spectrum, rest: bool) -> NDArray[np.float64]:
    """Return the wavelengths of a spectrum in the rest or the observed frame.

    Parameters
    ----------
    spectrum : Spectrum
    rest : bool
        Divide by 1 + z; where z is unknown the observed wavelengths are returned.

    Returns
    -------
    (pixel,) array [Å, vacuum]
    """
    wavelength = spectrum.wavelength.astype(np.float64)
    return wavelength / (1.0 + spectrum.z) if rest and np.isfinite(spectrum.z) else wavelength


def error_of(spectrum: Spectrum) -> NDArray[np.float64]:
    """Return the 1σ error of every pixel; NaN where the inverse variance is unknown.

    Returns
    -------
    (pixel,) array
    """
    ivar = spectrum.ivar.astype(np.float64)
    known = np.isfinite(ivar) & (ivar > 0)
    error = np.full(len(ivar), np.nan)
    error[known] = 1.0 / np.sqrt(ivar[known])
    return error


def flux_unit(spectrum: Spectrum) -> float:
    """Return the flux that is drawn as 1: the median of the good pixels.

    Drawn in this unit, every spectrum has the same short numbers on its flux axis.
    """
    flux = spectrum.flux[~spectrum.mask & np.isfinite(spectrum.flux)]
    level = float(np.median(flux)) if len(flux) else 0.0
    return abs(level) if level != 0.0 else 1.0


def smoothed_flux(spectrum: Spectrum, n_pixels: int) -> NDArray[np.float64]:
    """Return the mean flux in a running box, weighted by inverse variance; bad pixels left out.

    Parameters
    ----------
    spectrum : Spectrum
    n_pixels : int
        Odd width of the box; 1 leaves good pixels as they are.

    Returns
    -------
    (pixel,) array
        NaN where the box holds no good pixel.

    Raises
    ------
    SpectrumError
        When the width is not a positive odd number.
    """
    if n_pixels < 1 or n_pixels % 2 == 0:
        raise SpectrumError(f"a smoothing box has an odd number of pixels, not {n_pixels}.")
    flux = spectrum.flux.astype(np.float64)
    good = ~spectrum.mask & np.isfinite(flux)
    weight = np.where(good & (spectrum.ivar > 0), spectrum.ivar, 0.0).astype(np.float64)
    if not weight.any():
        weight = good.astype(np.float64)
    box = np.ones(n_pixels)
    total = _running(np.where(good, flux, 0.0) * weight, box)
    share = _running(weight, box)
    mean = np.full(len(flux), np.nan)
    np.divide(total, share, out=mean, where=share > 0)
    return mean


def _running(values: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over a box around each pixel, as many values as were given."""
    half = len(box) // 2
    return np.convolve(np.pad(values, half), box, mode="valid")


def flux_limits(
    wavelength: NDArray[np.float64],
    spectrum: Spectrum,
    between: tuple[float, float],
    percentile: float = 99.5,
) -> tuple[float, float]:
    """Return limits of the flux axis that a cosmic ray or a bad edge cannot spoil.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
        Wavelengths as shown.
    spectrum : Spectrum
    between : (float, float)
        Shown range of wavelengths [Å].
    percentile : float
        Share of good pixels inside the limits, from above and from below [%].

    Returns
    -------
    (float, float)
        (0, 1) when no good pixel is in the range.
    """
    inside = (wavelength >= between[0]) & (wavelength <= between[1])
    flux = spectrum.flux[inside & ~spectrum.mask & np.isfinite(spectrum.flux)].astype(np.float64)
    if not len(flux):
        return 0.0, 1.0
    low, high = np.percentile(flux, [100.0 - percentile, percentile])
    margin = _MARGIN * (high - low) if high > low else max(abs(high), 1.0) * _MARGIN
    return float(low - margin), float(high + 3.0 * margin)  # room for the names of the lines
