"""Galaxy templates, composed: mixtures of stars with nebular lines.

Stars are the templates made of STELIB; line ratios of H II regions and of active nuclei are
round numbers after Osterbrock & Ferland (2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import (
    FWHM_OF_SIGMA,
    LAMOST_GRID,
    LAMOST_RESOLUTION,
    SPEED_OF_LIGHT,
    LogGrid,
)
from msfa_core.typing import FloatArray
from msfa_core.workshop.templates_stelib import STELIB_GRID, mk_type

GALAXY_GRID: Final = LogGrid(32760, 6990)  # 1888–9441 Å: up to z = 1 as observed above 3800 Å
VELOCITY_PIXEL: Final = LAMOST_GRID.step * np.log(10) * SPEED_OF_LIGHT  # km/s
INSTRUMENT: Final = SPEED_OF_LIGHT / float(LAMOST_RESOLUTION) / FWHM_OF_SIGMA  # km/s, σ

# Share of the light at 5500 Å by code of spectral type; type ranges and luminosity classes.
POPULATIONS: Final[Mapping[str, Mapping[tuple[float, float, str], float]]] = {
    "old": {
        (36, 40, "V"): 0.10, (40, 45, "V"): 0.12, (47, 52, "V"): 0.13, (48, 51, "III"): 0.25,
        (51, 54, "III"): 0.25, (54, 57, "III"): 0.10, (60, 63, "III"): 0.05,
    },
    "intermediate": {
        (24, 28, "V"): 0.15, (29, 34, ""): 0.30, (35, 39, "V"): 0.15, (48, 51, "III"): 0.20,
        (51, 54, "III"): 0.15, (60, 63, "III"): 0.05,
    },
    "young": {
        (8, 12, ""): 0.10, (15, 19, ""): 0.35, (20, 23, "V"): 0.30, (24, 28, "V"): 0.10,
        (51, 54, "III"): 0.10, (60, 63, "III"): 0.05,
    },
}  # fmt: skip
# ln f per Å bluewards of what STELIB has, so that f(2500 Å)/f(3500 Å) is 0.2, 0.55 and 1.4
_BLUE_SLOPE: Final = {"old": 1.6e-3, "intermediate": 6e-4, "young": -3.4e-4}
# There, breaks and lines: vacuum wavelength [Å], σ [Å], share of the light taken. Of old stars the
# bands of Fanelli et al. (1990, ApJ 364, 272), of young ones the lines of the gas between them;
# round numbers, good to a template.
_BREAKS: Final[Mapping[str, tuple[tuple[float, float], ...]]] = {
    "old": ((2640.0, 0.35), (2900.0, 0.25)),
    "intermediate": ((2640.0, 0.15),),
    "young": (),
}
_OLD_BANDS: Final = (
    (2402.0, 14.0, 0.30), (2538.0, 14.0, 0.20), (2609.0, 12.0, 0.30), (2799.5, 9.0, 0.50),
    (2852.97, 5.0, 0.35), (3000.0, 14.0, 0.20),
)  # fmt: skip
_GAS_LINES: Final = (
    (2344.21, 1.2, 0.30), (2374.46, 1.2, 0.20), (2382.76, 1.2, 0.35), (2586.65, 1.2, 0.30),
    (2600.17, 1.2, 0.35), (2796.35, 1.4, 0.45), (2803.53, 1.4, 0.40), (2852.97, 1.2, 0.15),
)  # fmt: skip
_BANDS: Final = {
    "old": _OLD_BANDS,
    "intermediate": tuple((centre, sigma, 0.5 * share) for centre, sigma, share in _OLD_BANDS),
    "young": _GAS_LINES,
}
_BREAK_WIDTH: Final = 15.0  # Å

# Vacuum wavelengths [Å] and strengths relative to Hβ = 1
_HII: Final = {
    3727.09: 1.3, 3729.88: 1.7, 3869.86: 0.20, 3971.20: 0.16, 4102.89: 0.26, 4341.69: 0.47,
    4862.71: 1.0, 4960.30: 0.50, 5008.24: 1.50, 5877.25: 0.12, 6302.05: 0.06, 6549.86: 0.30,
    6564.60: 2.86, 6585.27: 0.90, 6718.29: 0.50, 6732.67: 0.36,
}  # fmt: skip
_METAL_POOR_HII: Final = {
    **_HII, 3727.09: 0.8, 3729.88: 1.1, 3869.86: 0.45, 4364.44: 0.08, 4960.30: 1.7,
    5008.24: 5.1, 6549.86: 0.07, 6585.27: 0.2, 6718.29: 0.22, 6732.67: 0.16,
}  # fmt: skip
_ACTIVE: Final = {
    **_HII, 3727.09: 1.5, 3729.88: 1.7, 3869.86: 1.0, 4364.44: 0.2, 4687.02: 0.25, 4960.30: 3.4,
    5008.24: 10.0, 6302.05: 0.55, 6549.86: 1.0, 6564.60: 3.1, 6585.27: 3.0, 6718.29: 0.8,
    6732.67: 0.8,
}  # fmt: skip
_WEAK_ACTIVE: Final = {
    **_HII, 3727.09: 2.2, 3729.88: 2.6, 4960.30: 0.6, 5008.24: 1.8, 6302.05: 0.5, 6549.86: 1.3,
    6585.27: 4.0, 6718.29: 1.4, 6732.67: 1.2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Galaxy:
    """How one galaxy is composed.

    Attributes
    ----------
    subclass : str
    old, intermediate, young : float
        Shares of the light at 5500 Å.
    lines : mapping of float to float
        Vacuum wavelength [Å] to strength.
    halpha : float
        Equivalent width of Hα in emission [Å].
    sigma : float
        Velocity dispersion of the stars [km/s].
    """

    subclass: str
    old: float
    intermediate: float
    young: float
    lines: Mapping[float, float]
    halpha: float
    sigma: float


GALAXIES: Final = (
    Galaxy("E", 1.0, 0.0, 0.0, _WEAK_ACTIVE, 0.0, 220.0),
    Galaxy("E", 1.0, 0.0, 0.0, _WEAK_ACTIVE, 0.0, 150.0),
    Galaxy("S0", 0.85, 0.15, 0.0, _WEAK_ACTIVE, 2.0, 180.0),
    Galaxy("Sa", 0.70, 0.25, 0.05, _HII, 8.0, 140.0),
    Galaxy("Sb", 0.50, 0.35, 0.15, _HII, 22.0, 120.0),
    Galaxy("Sc", 0.30, 0.40, 0.30, _HII, 45.0, 100.0),
    Galaxy("Sd", 0.15, 0.40, 0.45, _METAL_POOR_HII, 70.0, 90.0),
    Galaxy("E+A", 0.25, 0.70, 0.05, _HII, 0.0, 150.0),
    Galaxy("E+A", 0.05, 0.80, 0.15, _HII, 0.0, 130.0),
    Galaxy("STARBURST", 0.15, 0.25, 0.60, _HII, 110.0, 90.0),
    Galaxy("STARBURST", 0.10, 0.20, 0.70, _METAL_POOR_HII, 250.0, 80.0),
    Galaxy("HII", 0.0, 0.15, 0.85, _METAL_POOR_HII, 700.0, 70.0),
    Galaxy("AGN", 0.70, 0.25, 0.05, _ACTIVE, 45.0, 160.0),
    Galaxy("AGN", 0.40, 0.40, 0.20, _ACTIVE, 120.0, 140.0),
    Galaxy("LINER", 0.90, 0.10, 0.0, _WEAK_ACTIVE, 7.0, 180.0),
)


def population(kind: str, flux: FloatArray, types: list[str]) -> FloatArray:
    """Return the light of a stellar population on ``GALAXY_GRID``.

    Parameters
    ----------
    kind : str
        ``old``, ``intermediate`` or ``young``.
    flux : (star, pixel) array
        On ``STELIB_GRID``.
    types : (star,) list of str
        MK types.

    Returns
    -------
    (pixel,) array
        1 at 5500 Å.
    """
    read = [mk_type(one) for one in types]
    code = np.array([one[0] for one in read])
    own = np.array(["V" if one[1] in ("V", "IV", "") else one[1] for one in read])
    at = int(np.searchsorted(STELIB_GRID.wavelength, 5500.0))
    total = np.zeros(STELIB_GRID.n_pixels)
    for (low, high, luminosity), share in POPULATIONS[kind].items():
        fits = (code >= low) & (code < high) & ((own == luminosity) | (luminosity == ""))
        level = flux[fits] / np.median(flux[fits, at - 20 : at + 20], axis=1, keepdims=True)
        total += share * np.median(level, axis=0)
    first = STELIB_GRID.first - GALAXY_GRID.first
    grid = GALAXY_GRID.wavelength
    result = np.empty(GALAXY_GRID.n_pixels)
    result[first:] = total[: GALAXY_GRID.n_pixels - first]
    start = float(np.median(total[:60]))
    result[:first] = start * np.exp(_BLUE_SLOPE[kind] * (grid[:first] - grid[first]))
    return result * _near_uv(kind, grid)


def _near_uv(kind: str, wavelength: FloatArray) -> FloatArray:
    """(pixel,) what breaks and lines bluewards of STELIB leave of the light of a population."""
    left = np.ones(len(wavelength))
    for where, share in _BREAKS[kind]:
        left *= 1.0 - share / (1.0 + np.exp((wavelength - where) / _BREAK_WIDTH))
    for centre, sigma, share in _BANDS[kind]:
        left *= 1.0 - share * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)
    return left


def galaxy_templates(flux: FloatArray, types: list[str]) -> tuple[list[str], list[str], FloatArray]:
    """Compose the galaxies of stars.

    Parameters
    ----------
    flux : (star, pixel) array
        On ``STELIB_GRID``, at rest.
    types : (star,) list of str
        MK types.

    Returns
    -------
    name, subclass : (t,) lists of str
    flux : (t, pixel) array
        On ``GALAXY_GRID``.
    """
    parts = {kind: population(kind, flux, types) for kind in POPULATIONS}
    names, kinds, result = [], [], []
    for k, galaxy in enumerate(GALAXIES):
        stars = sum(getattr(galaxy, kind) * light for kind, light in parts.items())
        stars = gaussian_filter1d(stars, galaxy.sigma / VELOCITY_PIXEL, mode="nearest")
        level = float(np.interp(6564.6, GALAXY_GRID.wavelength, gaussian_filter1d(stars, 60)))
        scale = galaxy.halpha * level / galaxy.lines[6564.60]
        gas = np.hypot(min(galaxy.sigma, 120.0), INSTRUMENT)
        result.append(stars + scale * emission_lines(GALAXY_GRID, galaxy.lines, gas))
        names.append(f"galaxy {k + 1}: {galaxy.subclass}, EW Hα {galaxy.halpha:.0f} Å")
        kinds.append(galaxy.subclass)
    return names, kinds, np.array(result)


def emission_lines(grid: LogGrid, lines: Mapping[float, float], sigma: float) -> FloatArray:
    """Gaussian lines of unit-area strengths on a log grid; σ [km/s]."""
    wavelength = grid.wavelength
    total = np.zeros(grid.n_pixels)
    for centre, strength in lines.items():
        width = centre * sigma / SPEED_OF_LIGHT
        total += (
            strength
            * np.exp(-0.5 * ((wavelength - centre) / width) ** 2)
            / width
            / np.sqrt(2 * np.pi)
        )
    return total
