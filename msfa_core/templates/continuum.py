"""How the continuum of a spectrum may differ from its template's: characteristic vectors.

Ratios of continua (reddening, response of the two arms, their joint, what one star of a type has
over another) are decomposed by SVD; the first few vectors say nearly all of it, and a template
times a mixture of them is what a spectrum is compared with, so that lines decide.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import ARM_JOINT, LAMOST_GRID
from msfa_core.typing import FloatArray

N_VECTORS: Final = 7
_RATIOS: Final = 800  # simulated ratios
_SEED: Final = 6
_REDDENING: Final = (-0.25, 0.8)  # E(B−V) of a spectrum over that of its template
_STEP: Final = np.log(2.0)  # ln of the largest step at the joint
_TILT: Final = 0.35  # ln response across an arm, σ
_BEND: Final = 0.12  # quadratic, σ
_WAVE: Final = 0.03  # σ of slow waves of the response
_WAVE_PIXELS: Final = 250.0  # their length
_SLOPE: Final = 0.3  # σ of ln ratio over the whole range between stars of one type
_SECOND_RADIATION: Final = 1.4388e8  # Å K, hc/k


def black_body(wavelength: FloatArray, teff: float) -> FloatArray:
    """(pixel,) flux per wavelength of a black body [K] at wavelengths [Å], mean 1 (Planck)."""
    exponential = np.expm1(_SECOND_RADIATION / (wavelength * teff))
    flux = (wavelength / wavelength[0]) ** -5.0 / exponential
    return np.asarray(flux / flux.mean())


def extinction(wavelength: FloatArray) -> FloatArray:
    """Return A(λ)/E(B−V) of Cardelli, Clayton & Mathis (1989) in the optical, R = 3.1.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    """
    y = 1e4 / wavelength - 1.82
    a = np.polynomial.polynomial.polyval(
        y, (1, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
    )
    b = np.polynomial.polynomial.polyval(
        y, (0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)
    )
    result: FloatArray = 3.1 * a + b
    return result


def simulated_ratios(n: int = _RATIOS, seed: int = _SEED) -> FloatArray:
    """Draw ratios of continua as a survey has them.

    Returns
    -------
    (n, 3909) array
        On ``LAMOST_GRID``, each of mean 1.
    """
    random = np.random.default_rng(seed)
    wavelength = LAMOST_GRID.wavelength
    x = np.linspace(-1.0, 1.0, len(wavelength))
    curve = extinction(wavelength)
    joint = random.uniform(*ARM_JOINT, size=n)
    half = random.uniform(20.0, 60.0, size=n)
    side = np.tanh((wavelength - joint[:, None]) / half[:, None])
    ln_ratio = -0.4 * np.log(10) * random.uniform(*_REDDENING, size=(n, 1)) * curve
    ln_ratio = ln_ratio + random.uniform(-_STEP, _STEP, size=(n, 1)) * side / 2
    for arm in (-1.0, 1.0):
        within = (1 + arm * side) / 2
        centre = x[np.searchsorted(wavelength, (4700.0 if arm < 0 else 7400.0))]
        along = 2 * (x - centre)
        ln_ratio += within * random.normal(0, _TILT / 2, size=(n, 1)) * along
        ln_ratio += within * random.normal(0, _BEND, size=(n, 1)) * (along**2 - 1 / 3)
    ln_ratio += random.normal(0, _SLOPE, size=(n, 1)) * x
    wave = gaussian_filter1d(random.normal(size=(n, len(x))), _WAVE_PIXELS, axis=1, mode="reflect")
    ln_ratio += _WAVE * wave / wave.std()
    ratio = np.exp(ln_ratio - ln_ratio.mean(axis=1, keepdims=True))
    return ratio / ratio.mean(axis=1, keepdims=True)


def characteristic_vectors(ratios: FloatArray, n: int = N_VECTORS) -> FloatArray:
    """Return the first vectors of an SVD of ratios of continua.

    Parameters
    ----------
    ratios : (m, pixel) array
    n : int

    Returns
    -------
    (n, pixel) array
        Orthogonal, of rms 1; the first is positive, the strongest comes first.
    """
    _, _, vectors = np.linalg.svd(ratios, full_matrices=False)
    chosen = vectors[:n] * np.sqrt(ratios.shape[1])
    chosen[0] *= np.sign(chosen[0].mean())
    return chosen
