"""The zero-age horizontal branch in Teff and log g: where BHB stars begin to evolve from."""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.constants import SOLAR_LOGG
from msfa_core.typing import FloatArray

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
EVOLUTION_MOST: Final = 0.5  # dex in log g that a star is found above it at most, our choice


def zahb_logg(teff: FloatArray | float) -> FloatArray:
    """Return the gravity of the zero-age horizontal branch [dex cgs] at Teff [K]."""
    t = np.asarray(teff, dtype=np.float64)
    luminosity = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 1])
    mass = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 2])
    logg: FloatArray = SOLAR_LOGG + np.log10(mass) + 4 * np.log10(t / _SOLAR_TEFF) - luminosity
    return logg


def zahb_mass(teff: FloatArray) -> FloatArray:
    """Return the mass of zero-age horizontal-branch stars [Msun] at Teff [K]."""
    mass: FloatArray = np.interp(teff, _ZAHB[:, 0], _ZAHB[:, 2])
    return mass
