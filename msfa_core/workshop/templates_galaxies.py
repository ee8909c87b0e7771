"""Galaxy and QSO templates, composed: stellar mixtures with nebular lines, and a power law.

Stars are the templates made of STELIB; line ratios of H II regions and of active nuclei are
round numbers after Osterbrock & Ferland (2006); the QSO follows the composite of Vanden Berk
et al. (2001, AJ 122, 549), its continuum slopes and main lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import LAMOST_GRID, LAMOST_RESOLUTION, SPEED_OF_LIGHT, LogGrid
from msfa_core.typing import FloatArray
from msfa_core.workshop.templates_stelib import STELIB_GRID, mk_type

GALAXY_GRID: Final = LogGrid(33500, 6250)  # 2239–9441 Å: up to z = 0.68 as observed above 3760 Å
QSO_GRID: Final = LogGrid(28350, 11_300)  # 684–9226 Å: up to z = 4.5
_FWHM: Final = 2.0 * np.sqrt(2.0 * np.log(2.0))
_VELOCITY_PIXEL: Final = LAMOST_GRID.step * np.log(10) * SPEED_OF_LIGHT  # km/s
_INSTRUMENT: Final = SPEED_OF_LIGHT / float(LAMOST_RESOLUTION) / _FWHM  # km/s, σ

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
    return result


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
        stars = gaussian_filter1d(stars, galaxy.sigma / _VELOCITY_PIXEL, mode="nearest")
        level = float(np.interp(6564.6, GALAXY_GRID.wavelength, gaussian_filter1d(stars, 60)))
        scale = galaxy.halpha * level / galaxy.lines[6564.60]
        gas = np.hypot(min(galaxy.sigma, 120.0), _INSTRUMENT)
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


# --- QSO -----------------------------------------------------------------------------------------
# Vanden Berk et al. (2001): laboratory wavelength (vacuum) [Å], equivalent width [Å], σ [Å].
# Recalled, not re-read (0.7 for each width): good to a template, not a line list.
QSO_LINES: Final = (
    (1033.0, 9.8, 7.8), (1215.67, 92.9, 19.5), (1240.1, 16.0, 12.0), (1305.5, 1.7, 5.4),
    (1336.6, 0.7, 3.9), (1398.3, 8.1, 14.3), (1549.1, 23.8, 14.3), (1640.4, 2.5, 10.0),
    (1663.5, 1.5, 8.0), (1857.4, 1.5, 10.0), (1908.7, 21.2, 23.6), (2326.0, 2.0, 22.0),
    (2798.8, 32.3, 35.0), (3728.5, 1.6, 3.3), (3869.9, 1.4, 5.3), (3971.2, 1.0, 8.0),
    (4102.9, 5.1, 18.6), (4341.7, 12.6, 20.3), (4862.7, 46.2, 40.4), (4960.3, 3.5, 3.9),
    (5008.2, 13.2, 6.0), (5877.2, 4.9, 23.4), (6564.6, 194.5, 47.4), (6585.3, 2.0, 3.5),
    (6718.3, 1.65, 3.1), (6732.7, 1.5, 2.5),
)  # fmt: skip
_NARROW: Final = 7.0  # Å: lines with σ below are of the narrow-line region
# Blends of Fe II: centre, σ [Å], strength over the continuum (after the composite, roughly)
_IRON: Final = (
    (2080.0, 60.0, 0.06), (2250.0, 60.0, 0.10), (2420.0, 80.0, 0.15), (2550.0, 70.0, 0.12),
    (2950.0, 90.0, 0.08), (3200.0, 120.0, 0.06), (4570.0, 70.0, 0.10), (5190.0, 50.0, 0.06),
    (5300.0, 60.0, 0.07),
)  # fmt: skip
_BREAK: Final = 4600.0  # Å: the composite's continuum turns where host galaxies come in
_SLOPE: Final = -1.56  # of f_λ bluewards of it (α_ν = −0.44), Vanden Berk et al. 2001
_SLOPE_RED: Final = 0.45  # redwards (α_ν = −2.45)
_FOREST: Final = 0.70  # mean transmission of the Lyman-α forest at the redshifts of bright QSOs
_LIMIT: Final = 0.3  # of that, beyond the Lyman limit
_EDGE: Final = 12.0  # pixels, σ: the QSO clears its surroundings, and no two sight lines are alike


@dataclass(frozen=True, slots=True)
class Quasar:
    """How one QSO differs from the composite.

    Attributes
    ----------
    subclass : str
    broad, narrow, iron : float
        Factors on equivalent widths of broad lines, narrow lines and Fe II blends.
    width : float
        Factor on the widths of the broad lines.
    host : float
        Share of the light of an old and intermediate population at 5500 Å.
    """

    subclass: str
    broad: float
    narrow: float
    iron: float
    width: float
    host: float


QUASARS: Final = (
    Quasar("BROADLINE", 1.0, 1.0, 1.0, 1.0, 0.0),
    Quasar("BROADLINE", 0.5, 0.6, 1.5, 1.2, 0.0),
    Quasar("BROADLINE", 1.7, 1.5, 0.6, 0.8, 0.0),
    Quasar("BROADLINE", 1.0, 0.6, 2.5, 0.5, 0.0),
    Quasar("BROADLINE", 0.8, 2.5, 0.8, 0.7, 0.25),
    Quasar("BROADLINE", 0.5, 1.2, 0.6, 1.3, 0.5),
    Quasar("BROADLINE", 0.4, 4.0, 0.5, 0.6, 0.5),
    Quasar("BROADLINE", 0.7, 3.0, 1.5, 0.4, 0.0),
    Quasar("BROADLINE", 0.7, 6.0, 1.0, 0.4, 0.2),
)


def qso_templates(flux: FloatArray, types: list[str]) -> tuple[list[str], list[str], FloatArray]:
    """Compose the QSOs; stars as in ``galaxy_templates``, for the host galaxies.

    Returns
    -------
    name, subclass : (t,) lists of str
    flux : (t, pixel) array
        On ``QSO_GRID``.
    """
    grid = QSO_GRID.wavelength
    parts = [population(kind, flux, types) for kind in ("old", "intermediate")]
    host = np.interp(grid, GALAXY_GRID.wavelength, 0.7 * parts[0] + 0.3 * parts[1])
    host[grid < GALAXY_GRID.wavelength[0]] = 0.0
    host = gaussian_filter1d(host, 200.0 / _VELOCITY_PIXEL)
    absorbed = np.where(grid < 1210.0, _FOREST, 1.0) * np.where(grid < 912.0, _LIMIT, 1.0)  # noqa: PLR2004
    absorbed = gaussian_filter1d(absorbed, _EDGE, mode="nearest")
    names, kinds, result = [], [], []
    for k, quasar in enumerate(QUASARS):
        slope_red = _SLOPE_RED if quasar.host == 0 else _SLOPE  # the host is there in person
        power = np.where(grid < _BREAK, (grid / _BREAK) ** _SLOPE, (grid / _BREAK) ** slope_red)
        shape = np.ones(len(grid))
        for centre, width, sigma in QSO_LINES:
            is_narrow = sigma < _NARROW
            wide = sigma if is_narrow else sigma * quasar.width
            wide = np.hypot(wide, centre * _INSTRUMENT / SPEED_OF_LIGHT)
            strength = width * (quasar.narrow if is_narrow else quasar.broad)
            shape += (
                strength * np.exp(-0.5 * ((grid - centre) / wide) ** 2) / wide / np.sqrt(2 * np.pi)
            )
        for centre, sigma, height in _IRON:
            shape += quasar.iron * height * np.exp(-0.5 * ((grid - centre) / sigma) ** 2)
        light = power * shape
        light *= absorbed
        at = int(np.searchsorted(grid, 5500.0))
        total = (1 - quasar.host) * light / power[at] + quasar.host * host
        result.append(total)
        names.append(f"QSO {k + 1}: lines x{quasar.broad:g}, host {quasar.host:.0%}")
        kinds.append(quasar.subclass)
    return names, kinds, np.array(result)
