"""Spectra moved to the rest frame on a logarithmic grid, with the variance of what is moved.

Four neighbouring pixels make one (cubic Lagrange interpolation in pixels): the lines of a
LAMOST spectrum are 2.4 pixels wide, and a linear interpolation half-way between two pixels would
make them 12 % wider. Where one of the outer two is bad, the inner two are interpolated linearly;
where an inner one is bad, so is the result.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LogGrid
from msfa_core.spectra.spectrum import GAP, Spectrum
from msfa_core.typing import FloatArray

_NEAR: Final = 0.01  # pixel: the float32 wavelengths of files scatter that much
_NO_WEIGHT: Final = 1e-3  # a pixel that counts less may be bad


def at_rest(spectrum: Spectrum, z: float, grid: LogGrid) -> tuple[FloatArray, FloatArray]:
    """Return the flux and inverse variance of a spectrum at rest, on a grid.

    Parameters
    ----------
    spectrum : Spectrum
        Observed frame.
    z : float
        Doppler shift that is taken out.
    grid : LogGrid
        Of rest wavelengths.

    Returns
    -------
    flux, ivar : (pixel,) arrays
        Both 0 where the spectrum has no good pixel. The inverse variance is that of the
        interpolated flux, for independent pixels; interpolated pixels are correlated with
        their neighbours.
    """
    good = ~spectrum.mask & (spectrum.ivar > 0) & np.isfinite(spectrum.flux)
    flux = np.where(good, spectrum.flux, 0.0).astype(np.float64)
    variance = np.zeros(len(flux))
    variance[good] = 1.0 / spectrum.ivar[good].astype(np.float64)
    place, inside = _places(spectrum.wavelength, (1.0 + z) * grid.wavelength)
    cubic, linear = _interpolated(flux, variance, good, place)
    usable = np.where(cubic[2], 1, np.where(linear[2], 2, 0)) * inside
    moved = np.select([usable == 1, usable == 2], [cubic[0], linear[0]], 0.0)  # noqa: PLR2004
    spread = np.select([usable == 1, usable == 2], [cubic[1], linear[1]], 0.0)  # noqa: PLR2004
    ivar = np.divide(1.0, spread, out=np.zeros(len(moved)), where=spread > 0)
    return np.where(ivar > 0, moved, 0.0), ivar


def _places(
    wavelength: NDArray[np.floating], wanted: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return where wavelengths fall among pixels [pixel], and which fall on the spectrum."""
    own = np.log10(wavelength.astype(np.float64))
    asked = np.log10(wanted)
    place = np.interp(asked, own, np.arange(len(own)))
    near = np.rint(place)
    place = np.where(np.abs(place - near) < _NEAR, near, place)
    step = np.diff(own)
    half = 0.5 * np.median(step)
    inside = (asked >= own[0] - half * _NEAR) & (asked <= own[-1] + half * _NEAR)
    left = np.clip(np.floor(place).astype(np.int64), 0, len(step) - 1)
    return place, inside & ((step[left] < GAP * np.median(step)) | (place == near))


def _interpolated(
    flux: FloatArray, variance: FloatArray, good: NDArray[np.bool_], place: FloatArray
) -> list[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    """Return value, variance and goodness of the cubic and the linear interpolation."""
    left = np.floor(place).astype(np.int64)
    f = place - left
    last = len(flux) - 1
    cubic = {  # Lagrange polynomials through the pixels −1, 0, 1, 2
        -1: -f * (f - 1) * (f - 2) / 6,
        0: (f + 1) * (f - 1) * (f - 2) / 2,
        1: -(f + 1) * f * (f - 2) / 2,
        2: (f + 1) * f * (f - 1) / 6,
    }
    results = []
    for weights in (cubic, {0: 1 - f, 1: f}):
        value, spread = np.zeros(len(place)), np.zeros(len(place))
        is_good = np.ones(len(place), dtype=bool)
        for shift, weight in weights.items():
            at = left + shift
            pixel = np.clip(at, 0, last)
            counts = np.abs(weight) > _NO_WEIGHT
            is_good &= ~counts | (good[pixel] & (at == pixel))
            value += weight * flux[pixel]
            spread += weight**2 * variance[pixel]
        results.append((value, spread, is_good))
    return results
