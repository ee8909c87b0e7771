"""The small draws that groups of stars are made of."""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.typing import FloatArray

MAX_VSINI: Final = 350.0  # km/s
EVOLUTION_SCALE: Final = 0.12  # dex in log g above the zero-age branch, of an exponential


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
