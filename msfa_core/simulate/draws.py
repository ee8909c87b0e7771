"""The zero-age horizontal branch, and the small draws that groups of stars are made of."""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.typing import FloatArray

MAX_VSINI: Final = 350.0  # km/s
_SOLAR_LOGG: Final = 4.438
_SOLAR_TEFF: Final = 5777.0
# Zero-age horizontal branch: Teff [K], log L/Lsun, mass [Msun]. Parabolas in log Teff through the
# first points of the horizontal-branch tracks of Bertelli et al. (2008), Z 0.0001–0.001, Y 0.23 and
# 0.26, 0.55–0.80 Msun (rms 0.02 dex in log g, 0.03 in log L); a mixture of metallicities.
_ZAHB: Final = np.array(
    [
        *([6000, 1.767, 0.792], [7000, 1.719, 0.730], [8000, 1.676, 0.685], [9000, 1.637, 0.652]),
        *([10000, 1.602, 0.626], [11000, 1.570, 0.606], [12000, 1.540, 0.590]),
        *([14000, 1.487, 0.568], [16000, 1.439, 0.553], [20000, 1.358, 0.538]),
    ]
)
# How far the stars of a population have evolved above it [dex in log g, our choice]
EVOLUTION_SCALE: Final = 0.12  # of the exponential that they are drawn from
EVOLUTION_MOST: Final = 0.5


def zahb_logg(teff: FloatArray | float) -> FloatArray:
    """Return the gravity of the zero-age horizontal branch [dex cgs] at Teff [K]."""
    t = np.asarray(teff, dtype=np.float64)
    luminosity = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 1])
    mass = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 2])
    logg: FloatArray = _SOLAR_LOGG + np.log10(mass) + 4 * np.log10(t / _SOLAR_TEFF) - luminosity
    return logg


def zahb_mass(teff: FloatArray) -> FloatArray:
    """Return the mass of zero-age horizontal-branch stars [Msun] at Teff [K]."""
    mass: FloatArray = np.interp(teff, _ZAHB[:, 0], _ZAHB[:, 2])
    return mass


def clipped(
    rng: np.random.Generator, n: int, mean: float, rms: float, low: float, high: float
) -> FloatArray:
    """Draw Gaussian numbers; those beyond the limits are moved to them."""
    return np.clip(rng.normal(mean, rms, n), low, high)


def mixed(
    rng: np.random.Generator, n: int, share: float, first: FloatArray, second: FloatArray
) -> FloatArray:
    """Take a share of the rows from the first, the others from the second."""
    mixed: FloatArray = np.where(rng.uniform(size=n) < share, first, second)
    return mixed


def skewed(rng: np.random.Generator, n: int, low: float, high: float, power: float) -> FloatArray:
    """Draw between two limits, crowded towards the low one for power > 1."""
    return low + (high - low) * rng.uniform(size=n) ** power


def rotation(rng: np.random.Generator, n: int, fast: float = 0.7) -> FloatArray:
    """Draw the two humps of A and B stars: slow, and about 150 km/s fast (seen at any angle)."""
    equatorial = np.abs(rng.normal(190.0, 70.0, n))
    sini = np.sqrt(1 - rng.uniform(size=n) ** 2)
    slow = np.abs(rng.normal(0.0, 35.0, n))
    return np.clip(np.where(rng.uniform(size=n) < fast, equatorial * sini, slow), 0, MAX_VSINI)


def slow(rng: np.random.Generator, n: int, rms: float, limit: float) -> FloatArray:
    """Draw rotation of slow stars [km/s]: half a Gaussian, up to a limit."""
    return np.clip(np.abs(rng.normal(0.0, rms, n)), 0, limit)
