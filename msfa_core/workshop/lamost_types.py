"""Spectral subtypes on the scale of the LAMOST pipeline, from atmospheric parameters.

The survey's own pipeline types by its templates, and its scale is not that of MK: metal-poor
stars come out early. A closed relation says by how much: five numbers, found on that half of the
labelled real LAMOST spectra that calibrates (``templates.calibrate_confidence``; 116 spectra of
S/N > 10).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.constants import Certainty, Sourced
from msfa_core.templates.spectral_types import LETTERS, SUBTYPES

GIANT_LOGG: Final = 3.5  # below: a giant, whose MK type is kept as the base
# Teff [K] and subtype (A0 = 20) of dwarfs: Pecaut & Mamajek 2013 (ApJS 208, 9), rounded
_TEFF: Final = (
    *(30_000, 20_600, 15_400, 10_700, 9700, 8840, 8270, 7800, 7220, 6930, 6550, 6280),
    *(6050, 5930, 5770, 5660, 5480, 5270, 5040, 4840, 4440, 4050, 3850),
)
_CODE: Final = (
    *(10, 12, 15, 19, 20, 22, 24, 26, 30, 32, 35, 37),
    *(39, 40, 42, 45, 48, 50, 52, 53, 55, 58, 60),
)
_RANGE: Final = (19.0, 51.5)  # codes that the relation holds for; elsewhere the type itself
_MIDDLE: Final = 38.0  # F8
_HOT: Final = (40.0, 1.5)  # [Fe/H] counts less from G0 on to the hot, down to A5
_FOUND: Final = "fit to the calibrating half of the labelled LAMOST spectra"
_C: Final = tuple(
    Sourced(value, "subtypes", _FOUND, Certainty.VERIFIED)
    for value in (0.24, -0.41, -0.17, 5.06, -1.74)
)


def lamost_code(teff: float, logg: float, feh: float, mk: float = float("nan")) -> float:
    """Return the subtype code that the LAMOST pipeline gives a star on average.

    code = b + c₀ + c₁u + c₂u² + [Fe/H](c₃ + c₄h), with b the dwarf type of Teff, u = (b − F8)/10
    and h = (G0 − b)/10 within 0–1.5.

    Parameters
    ----------
    teff, logg, feh : float [K, dex, dex]
        NaN where unknown: the MK type is the base then, and the abundance solar.
    mk : float
        Code of the MK type, the base of giants.

    Returns
    -------
    float
        The base itself outside B9–K1; NaN where neither Teff nor type is known.
    """
    is_dwarf = np.isfinite(teff) and not logg < GIANT_LOGG
    if is_dwarf or not np.isfinite(mk):
        base = float(np.interp(-teff, -np.array(_TEFF), _CODE)) if np.isfinite(teff) else np.nan
    else:
        base = mk
    if not _RANGE[0] <= base < _RANGE[1]:
        return base
    u = (base - _MIDDLE) / SUBTYPES
    hot = float(np.clip((_HOT[0] - base) / SUBTYPES, 0.0, _HOT[1]))
    metals = feh if np.isfinite(feh) else 0.0
    return base + _C[0] + _C[1] * u + _C[2] * u**2 + metals * (_C[3] + _C[4] * hot)


def type_name(code: float, luminosity: str = "") -> str:
    """Return the subclass of a code: 25 is ``A5``, with a luminosity class when given."""
    letter, digit = divmod(round(code), SUBTYPES)
    return f"{LETTERS[letter]}{digit}{luminosity}"
