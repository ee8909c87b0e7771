"""QSO templates, composed: a power law with lines, and what the gas on the way leaves of them.

The QSO follows the composite of Vanden Berk et al. (2001, AJ 122, 549), its continuum slopes and
main lines. Up to z = 4.4 one mean forest serves all; beyond, templates are of a redshift each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import SPEED_OF_LIGHT, LogGrid
from msfa_core.templates.weights import FIT_RANGE
from msfa_core.typing import FloatArray
from msfa_core.workshop.templates_galaxies import (
    GALAXY_GRID,
    INSTRUMENT,
    VELOCITY_PIXEL,
    population,
)

QSO_GRID: Final = LogGrid(28350, 11_300)  # 684–9226 Å: up to z = 4.5
DISTANT_GRID: Final = LogGrid(27150, 5550)  # 519–1862 Å: z from 3.9 to 6.3
LYMAN_ALPHA: Final = 1215.67  # Å
LYMAN_BETA: Final = 1025.72  # Å
LIMIT: Final = 911.75  # Å

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
    host = gaussian_filter1d(host, 200.0 / VELOCITY_PIXEL)
    absorbed = np.where(grid < LYMAN_ALPHA, _FOREST, 1.0) * np.where(grid < LIMIT, _LIMIT, 1.0)
    absorbed = gaussian_filter1d(absorbed, _EDGE, mode="nearest")
    at = int(np.searchsorted(grid, 5500.0))
    names, kinds, result = [], [], []
    for k, quasar in enumerate(QUASARS):
        power, light = emitted(quasar, grid)
        result.append((1 - quasar.host) * light * absorbed / power[at] + quasar.host * host)
        names.append(f"QSO {k + 1}: lines x{quasar.broad:g}, host {quasar.host:.0%}")
        kinds.append(quasar.subclass)
    return names, kinds, np.array(result)


def emitted(quasar: Quasar, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the continuum of a QSO and its light with lines, before anything absorbs it.

    Parameters
    ----------
    quasar : Quasar
    grid : (pixel,) array [Å, rest]

    Returns
    -------
    power, light : (pixel,) arrays
    """
    slope_red = _SLOPE_RED if quasar.host == 0 else _SLOPE  # the host is there in person
    power = np.where(grid < _BREAK, (grid / _BREAK) ** _SLOPE, (grid / _BREAK) ** slope_red)
    shape = np.ones(len(grid))
    for centre, width, sigma in QSO_LINES:
        is_narrow = sigma < _NARROW
        wide = sigma if is_narrow else sigma * quasar.width
        wide = np.hypot(wide, centre * INSTRUMENT / SPEED_OF_LIGHT)
        strength = width * (quasar.narrow if is_narrow else quasar.broad)
        shape += strength * np.exp(-0.5 * ((grid - centre) / wide) ** 2) / wide / np.sqrt(2 * np.pi)
    for centre, sigma, height in _IRON:
        shape += quasar.iron * height * np.exp(-0.5 * ((grid - centre) / sigma) ** 2)
    return power, power * shape


# --- distant QSOs: what the gas on the way leaves of their light depends on where they are -------
# (redshift the forest is of, least and largest redshift that the template serves)
DISTANT: Final = ((4.2, 3.9, 4.7), (4.9, 4.4, 5.4), (5.5, 5.1, 5.85), (6.0, 5.6, 6.32))
# Lines, and how far from a QSO its own light halves the depth of the forest [km/s]
DISTANT_QUASARS: Final = (
    (Quasar("BROADLINE", 1.0, 1.0, 1.0, 0.9, 0.0), 2500.0),
    (Quasar("BROADLINE", 0.5, 1.0, 1.0, 1.3, 0.0), 1500.0),
    (Quasar("BROADLINE", 1.0, 1.0, 1.0, 0.5, 0.0), 500.0),
    (Quasar("BROADLINE", 1.6, 1.0, 1.0, 0.5, 0.0), 3500.0),
)
_DISTANT_EDGE: Final = 3.0  # pixels, σ
_H0: Final = 70.0  # km/s/Mpc, and the share of matter: of a distance as a redshift
_OMEGA_M: Final = 0.3


def optical_depth(z: FloatArray) -> FloatArray:
    """(n,) effective optical depth of Lyman α of the gas at redshifts (n,).

    0.85 ((1 + z) / 5)^4.3 to z = 5.5 and (1 + z)^10.9 beyond (Fan et al. 2006, AJ 132, 117).
    """
    depth = 0.85 * ((1.0 + z) / 5.0) ** 4.3
    beyond = 0.85 * (6.5 / 5.0) ** 4.3 * ((1.0 + z) / 6.5) ** 10.9
    found: FloatArray = np.where(z < 5.5, depth, beyond)  # noqa: PLR2004
    return found


def transmission(grid: FloatArray, z: float, reach: float) -> FloatArray:
    """Return what reaches us, on average, of the light of a QSO at a redshift.

    Lyman α and β of the gas between (β has α's depth over 2.25, Fan et al. 2006), and below
    the limit the mean free path of Worseck et al. (2014, MNRAS 445, 1745), 37 Mpc at z = 4.

    Parameters
    ----------
    grid : (pixel,) array [Å, rest]
    z : float
    reach : float
        How far from the QSO its own light halves the depth [km/s].

    Returns
    -------
    (pixel,) array
    """
    depth = np.zeros(len(grid))
    for line, share in ((LYMAN_ALPHA, 1.0), (LYMAN_BETA, 1.0 / 2.25)):
        gas = np.maximum(grid * (1.0 + z) / line - 1.0, 0.0)
        away = (1.0 - grid / line) * SPEED_OF_LIGHT
        thinned = share * away**2 / (away**2 + reach**2)
        depth += np.where(grid < line, thinned * optical_depth(gas), 0.0)
    path = 37.0 * ((1.0 + z) / 5.0) ** -5.4  # Mpc
    hubble = _H0 * np.sqrt(_OMEGA_M * (1.0 + z) ** 3 + 1.0 - _OMEGA_M)
    length = LIMIT * path * hubble / SPEED_OF_LIGHT  # Å, rest
    depth += np.maximum(LIMIT - grid, 0.0) / length
    return np.exp(-depth)


def distant_templates() -> tuple[list[str], list[str], FloatArray]:
    """Compose QSOs at redshifts where the forest takes most of the blue light.

    Returns
    -------
    name, subclass : (t,) lists of str
    flux : (t, pixel) array
        On ``DISTANT_GRID``; NaN where the template serves no redshift.
    """
    grid = DISTANT_GRID.wavelength
    names, kinds, result = [], [], []
    for z, least, most in DISTANT:
        low, high = (float(edge) for edge in FIT_RANGE)
        serves = (grid > low / (1.0 + most) - 1.0) & (grid < high / (1.0 + least) + 1.0)
        for quasar, reach in DISTANT_QUASARS:
            absorbed = transmission(grid, z, reach)
            absorbed = gaussian_filter1d(absorbed, _DISTANT_EDGE, mode="nearest")
            light = emitted(quasar, grid)[1] * absorbed
            result.append(np.where(serves, light, np.nan))
            what = f"lines x{quasar.broad:g}, {reach:.0f} km/s thinned"
            names.append(f"QSO at z {least:g}–{most:g}: {what}")
            kinds.append(quasar.subclass)
    return names, kinds, np.array(result)
