"""Which pixels of a spectrum count in a match, and how much."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from msfa_core.constants import LAMOST_GRID, Certainty, Sourced
from msfa_core.errors import SpectrumError
from msfa_core.spectra.spectrum import Spectra, log_pixels
from msfa_core.typing import FloatArray

_RANGE: Final = "where LAMOST spectra have light and calibration"
FIT_RANGE: Final = (  # Å, observed frame
    Sourced(3800.0, "Å", _RANGE, Certainty.DEFAULT),
    Sourced(8900.0, "Å", _RANGE, Certainty.DEFAULT),
)
MODEL_ERROR: Final = Sourced(
    0.04, "", "what templates lack, as a share of the flux, added to the noise", Certainty.DEFAULT
)
DOUBTFUL_ERROR: Final = Sourced(
    0.15, "", "the same where the arms meet and in bands of water vapour", Certainty.DEFAULT
)
# Å: the joint of the arms (the Na D lines stay outside), and water vapour
DOUBTFUL: Final = ((5700.0, 5870.0), (7160.0, 7340.0), (8100.0, 8380.0))
# Oxygen bands of the atmosphere and the brightest line of the night sky [Å]: not used
LEFT_OUT: Final = ((5570.0, 5590.0), (6862.0, 6960.0), (7585.0, 7720.0))
_LEVEL_PIXELS: Final = 151  # of the running mean that the model error is a share of


def fit_pixels() -> slice:
    """Return the pixels of ``LAMOST_GRID`` that a match looks at."""
    first, last = np.searchsorted(LAMOST_GRID.wavelength, [float(one) for one in FIT_RANGE])
    return slice(int(first), int(last))


def as_lamost_grid(spectra: Spectra) -> Spectra:
    """Return the same spectra on ``LAMOST_GRID``, shifted by whole pixels.

    Raises
    ------
    SpectrumError
        When their grid is no log grid of step 1e-4.
    """
    grid = LAMOST_GRID
    if len(spectra.wavelength) == grid.n_pixels and np.allclose(
        spectra.wavelength, grid.wavelength, rtol=1e-7
    ):
        return spectra
    pixel = log_pixels(spectra.wavelength, grid.step)
    if pixel is None:
        raise SpectrumError(
            f"spectra of {len(spectra.wavelength)} pixels, {spectra.wavelength[0]:.1f} to "
            f"{spectra.wavelength[-1]:.1f} Å, are not on a log grid of step 1e-4: put them there "
            "with spectra.on_grid()."
        )
    n = len(spectra)
    arrays = {
        "flux": np.full((n, grid.n_pixels), np.nan, dtype=spectra.flux.dtype),
        "ivar": np.zeros((n, grid.n_pixels), dtype=spectra.ivar.dtype),
        "mask": np.ones((n, grid.n_pixels), dtype=bool),
    }
    inside = (pixel >= grid.first) & (pixel < grid.first + grid.n_pixels)
    for name, array in arrays.items():
        array[:, pixel[inside] - grid.first] = getattr(spectra, name)[:, inside]
    return Spectra(spectra.obsid, grid.wavelength, z=spectra.z, **arrays)


def model_error() -> FloatArray:
    """(pixel,) share of the flux that templates lack; infinite where a pixel is left out."""
    wavelength = LAMOST_GRID.wavelength
    share = np.full(len(wavelength), float(MODEL_ERROR))
    for ranges, error in ((DOUBTFUL, float(DOUBTFUL_ERROR)), (LEFT_OUT, np.inf)):
        for low, high in ranges:
            share[(wavelength > low) & (wavelength < high)] = error
    share[: fit_pixels().start] = np.inf
    share[fit_pixels().stop :] = np.inf
    return share


def good_pixels(spectra: Spectra) -> NDArray[np.bool_]:
    """(n, pixel) True where a spectrum on ``LAMOST_GRID`` has flux and inverse variance."""
    return ~spectra.mask & (spectra.ivar > 0) & np.isfinite(spectra.flux)


def fit_weights(spectra: Spectra) -> FloatArray:
    """Return the weight of every pixel: inverse variance, with what templates lack added.

    Parameters
    ----------
    spectra : n Spectra
        On ``LAMOST_GRID``.

    Returns
    -------
    (n, 3909) array
        1/(1/ivar + (share · level)²), with the level a running mean of the flux; 0 where the
        spectrum is bad or the range is left out.
    """
    good = good_pixels(spectra)
    flux = np.where(good, spectra.flux, 0.0).astype(np.float64)
    covered = uniform_filter1d(good.astype(np.float64), _LEVEL_PIXELS, axis=1, mode="nearest")
    level = uniform_filter1d(np.abs(flux), _LEVEL_PIXELS, axis=1, mode="nearest")
    level /= np.maximum(covered, 1.0 / _LEVEL_PIXELS)
    share = model_error()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variance = 1.0 / spectra.ivar.astype(np.float64) + (share * level) ** 2
        weight = np.where(good & np.isfinite(share), 1.0 / variance, 0.0)
    return np.where(np.isfinite(weight), weight, 0.0)
