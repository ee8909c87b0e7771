"""What a model leaves over at the blue and red ends of a spectrum."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from msfa_core.templates.results import BLUE, RED
from msfa_core.typing import FloatArray

CONTINUUM_PIXELS: Final = 151  # of the running mean of the model that residuals are a share of
LEAST_END: Final = 0.3  # share of an end that must be observed
_LEAST_LEVEL: Final = 1e-3  # of the median: a continuum that residuals can be a share of


class EndResiduals(NamedTuple):
    """Residuals of ``n`` models; NaN where too little of an end was observed.

    Attributes
    ----------
    blue_residual, red_residual : (n,) arrays
        rms of (data − model)/continuum.
    blue_chi2, red_chi2 : (n,) arrays
        χ² per pixel.
    """

    blue_residual: FloatArray
    red_residual: FloatArray
    blue_chi2: FloatArray
    red_chi2: FloatArray


def end_residuals(
    wavelength: FloatArray, flux: FloatArray, weight: FloatArray, model: FloatArray
) -> EndResiduals:
    """Return the residuals at both ends.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    flux, model : (n, pixel) arrays
    weight : (n, pixel) array
        As from `fit_weights`; 0 where a pixel does not count.
    """
    known = np.where(np.isfinite(model), model, 0.0)
    level = np.abs(uniform_filter1d(known, CONTINUUM_PIXELS, axis=1, mode="nearest"))
    level = np.maximum(level, _LEAST_LEVEL * np.median(level, axis=1, keepdims=True))
    counts = (weight > 0) & np.isfinite(model)
    residual = np.where(counts, flux - known, 0.0)
    share = residual / np.where(level > 0, level, np.inf)
    results = {}
    for name, (low, high) in (("blue", BLUE), ("red", RED)):
        end = (wavelength > low) & (wavelength < high)
        n_used = counts[:, end].sum(axis=1)
        enough = n_used >= LEAST_END * end.sum()
        n_used = np.maximum(n_used, 1)
        rms = np.sqrt((share[:, end] ** 2).sum(axis=1) / n_used)
        chi2 = (np.where(counts, weight, 0.0) * residual**2)[:, end].sum(axis=1) / n_used
        results[f"{name}_residual"] = np.where(enough, rms, np.nan)
        results[f"{name}_chi2"] = np.where(enough, chi2, np.nan)
    return EndResiduals(**results)
