"""Model stars of known labels for SLAM: spectra of LAMOST's resolution and colours of Gaia, 2MASS.

Labels are those of real stars, on whose scale the model atmospheres are not quite: their structures
know no blanketing by metals. ``as_models`` says which model a star of given labels looks like.

Labels are drawn quasi-randomly (Sobol), even in log Teff, log g and [Fe/H], with the corners of
the range; every star rotates at the same moderate speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from msfa_core.constants import LAMOST_GRID
from msfa_core.simulate.atmospheres import model_spectra, surface_magnitudes
from msfa_core.simulate.instrument import RESOLUTION_ENDS, broaden
from msfa_core.simulate.photometry import j_h_of_teff
from msfa_core.typing import FloatArray

# What a star looks like among the models: Teff of the model over that of the star, log g of the
# model less that of the star, for stars below the first and above the second [Fe/H], even between.
# Medians of 34 A and BHB stars of the validation half of MILES and of STELIB (7000–9700 K, log g
# above 2.4), fitted with the models as they are: 14 stars below −0.6 have 1.027 ± 0.005 and
# 0.00 ± 0.05, 10 above 0.1 have 1.010 ± 0.008 and −0.28 ± 0.07, whatever Balmer lines or cores
# take part. BHB stars by Kinman et al. (2000) [numbers recalled], the others by MILES and STELIB.
# Hotter stars are moved after the fit (`slam.labels.on_hot_scale`).
_METALS: Final = (-0.6, 0.0)
_TEFF_RATIO: Final = (1.027, 1.012)
_LOGG_DIFFERENCE: Final = (0.0, -0.28)
LOWER: Final = (6400.0, 2.2, -3.0)  # Teff [K], log g, [Fe/H]
UPPER: Final = (13_500.0, 4.9, 0.5)
VSINI: Final = 60.0  # km/s
# How much of the difference between two sets of physics counts as model error
CORE_SHARE: Final = 0.2  # of Balmer cores in LTE: departures scatter from star to star
METALLIC_SHARE: Final = 0.2  # of a full metallic-line pattern (weak calcium, strong iron)


@dataclass(frozen=True, slots=True)
class LabelledGrid:
    """Model stars.

    Attributes
    ----------
    wavelength : (pixel,) array [Å, vacuum]
    flux : (n, pixel) array
        Relative flux.
    labels : (n, 3) array
        Teff [K], log g [dex], [Fe/H] [dex].
    colours : (n, 4) array [mag]
        BP−G, G−RP, BP−RP, J−H, unreddened.
    alternatives : mapping of str to ((n, pixel) array, float)
        The same stars with other physics, and the share of the difference that is uncertain.
    """

    wavelength: FloatArray
    flux: NDArray[np.float32]
    labels: FloatArray
    colours: FloatArray
    alternatives: Mapping[str, tuple[NDArray[np.float32], float]]


def draw_labels(
    n: int,
    seed: int = 42,
    lower: tuple[float, ...] = LOWER,
    upper: tuple[float, ...] = UPPER,
    *,
    corners: bool = True,
) -> FloatArray:
    """(n, 3) labels, evenly spread between two corners; the first 8 are the corners themselves."""
    power = int(np.ceil(np.log2(max(n, 2))))
    unit = qmc.Sobol(len(lower), rng=np.random.default_rng(seed)).random_base2(power)[:n]
    if corners:
        edge = np.indices((2,) * len(lower)).reshape(len(lower), -1).T
        unit[: len(edge)] = edge[:n]
    low, high = np.array(lower), np.array(upper)
    low[0], high[0] = np.log10(low[0]), np.log10(high[0])
    labels: FloatArray = low + unit * (high - low)
    labels[:, 0] = 10 ** labels[:, 0]
    return np.clip(labels, lower, upper)


def as_models(labels: FloatArray) -> FloatArray:
    """(n, 3) labels of the models that look like real stars of these labels.

    Parameters
    ----------
    labels : (n, 3) array
        Teff [K], log g [dex], [Fe/H] [dex] of real stars.

    Returns
    -------
    (n, 3) array
        Of the model atmospheres.
    """
    teff, logg, feh = np.asarray(labels, dtype=np.float64).T
    ratio = np.interp(feh, _METALS, _TEFF_RATIO)
    return np.stack([teff * ratio, logg + np.interp(feh, _METALS, _LOGG_DIFFERENCE), feh], axis=1)


def as_stars(labels: FloatArray) -> FloatArray:
    """(n, 3) labels of the real stars that models of these labels look like: of `as_models`."""
    teff, logg, feh = np.asarray(labels, dtype=np.float64).T
    ratio = np.interp(feh, _METALS, _TEFF_RATIO)
    return np.stack([teff / ratio, logg - np.interp(feh, _METALS, _LOGG_DIFFERENCE), feh], axis=1)


def labelled_grid(labels: FloatArray, vsini: float = VSINI) -> LabelledGrid:
    """Return the spectra and colours of model stars.

    Parameters
    ----------
    labels : (n, 3) array
        Of real stars; their models (`as_models`) lie inside the grid of model atmospheres:
        6000–25,000 K, log g 1.5–5, [Fe/H] −3 … +0.5.
    vsini : float
        [km/s].

    Returns
    -------
    LabelledGrid
    """
    models = as_models(labels)
    metallic = np.clip(models[:, 0], None, 10_000.0)  # the pattern's own range
    strength = np.where(models[:, 0] == metallic, 1.0, 0.0)
    alternatives = {
        "Balmer cores in LTE": (_flux(models, vsini, core=0.0), CORE_SHARE),
        "metallic-line pattern": (_flux(models, vsini, strength=strength), METALLIC_SHARE),
    }
    magnitudes = surface_magnitudes("ms", models[:, 0], models[:, 1])
    g, bp, rp = magnitudes.T
    colours = np.stack([bp - g, g - rp, bp - rp, j_h_of_teff(models[:, 0])], axis=1)
    flux = _flux(models, vsini)
    return LabelledGrid(LAMOST_GRID.wavelength, flux, labels, colours, alternatives)


def _flux(
    labels: FloatArray, vsini: float, core: float = 1.0, strength: FloatArray | float = 0.0
) -> NDArray[np.float32]:
    n = len(labels)
    models = model_spectra(
        "ms", *labels.T, peculiarity="am", strength=strength, core_departure=core
    ).flux
    models = models / models.mean(axis=1, keepdims=True)
    resolution = np.tile(RESOLUTION_ENDS, (n, 1))
    return broaden(models, np.full(n, vsini), np.zeros(n), resolution)
