"""Templates of rare stars, composed: bands and lines on spectra of the library and of the models.

Carbon stars are giants and dwarfs of STELIB behind bands of C₂, CN and CH; cataclysmic variables
are discs, white dwarfs and late dwarfs with emission; pairs of a white dwarf and an M dwarf are
sums; white dwarfs DZ, DQ, cool DB and the hottest subdwarfs are black bodies behind broad lines or
bands; Be and T Tauri stars are ordinary ones with emission; planetary nebulae are lines. Band heads
are those of Pearse & Gaydon (1976), lines those of Osterbrock & Ferland (2006); their strengths are
round numbers, recalled, not measured (0.7): good to a template, not to an analysis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.simulate.atmospheres import model_flux
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.templates.continuum import black_body
from msfa_core.templates.kinds import COMPOSED
from msfa_core.typing import FloatArray
from msfa_core.workshop.templates_galaxies import INSTRUMENT, VELOCITY_PIXEL, emission_lines
from msfa_core.workshop.templates_stelib import STELIB_GRID, mk_type

_GRID: Final = LAMOST_GRID.wavelength
_LEVEL_AT: Final = 6500.0  # Å: where shares of light are shares


class Band(NamedTuple):
    """Heads of a sequence of molecular bands [Å, air], with optical depths, and how it fades."""

    heads: Mapping[float, float]
    fades: float  # Å, by 1/e; bluewards of the head when negative


C2: Final = (  # Swan system
    Band({4382.5: 0.6, 4371.4: 0.4, 4365.2: 0.3}, -50.0),
    Band({4737.1: 0.8, 4715.2: 0.5, 4697.6: 0.3, 4684.8: 0.2}, -45.0),
    Band({5165.2: 1.0, 5129.3: 0.4, 5097.7: 0.2}, -60.0),
    Band({5635.5: 0.6, 5585.5: 0.4, 5540.7: 0.3, 5501.9: 0.2}, -60.0),
    Band({6191.2: 0.15, 6122.1: 0.15, 6059.7: 0.12, 6004.9: 0.1}, -50.0),
)
CN: Final = (
    Band({3883.4: 0.9, 3871.4: 0.4}, -40.0),
    Band({4216.0: 0.5, 4197.2: 0.2}, -40.0),
    Band({6206.0: 0.06, 6355.0: 0.06, 6502.0: 0.06}, 60.0),
    Band({6926.0: 0.10, 7090.0: 0.10, 7259.0: 0.08}, 90.0),
    Band({7873.0: 0.25, 8067.0: 0.18, 8270.0: 0.12}, 110.0),
)
CH: Final = (Band({4314.2: 0.35, 4323.0: 0.25}, -25.0), Band({3889.0: 0.2}, -20.0))


def band_depth(bands: Sequence[Band]) -> FloatArray:
    """(3909,) optical depth of molecular bands, seen at the resolution of LAMOST."""
    depth = np.zeros(len(_GRID))
    for band in bands:
        for head, height in band.heads.items():
            away = (_GRID - air_to_vacuum(np.array([head]))[0]) / band.fades
            depth += np.where(away >= 0, height * np.exp(-np.maximum(away, 0.0)), 0.0)
    return gaussian_filter1d(depth, INSTRUMENT / VELOCITY_PIXEL)


@dataclass(frozen=True, slots=True)
class CarbonStar:
    """Codes of type and luminosity of the star behind the bands, and factors on their depths."""

    codes: tuple[float, float]
    luminosity: str
    c2: float
    cn: float
    ch: float


CARBON_STARS: Final = (
    CarbonStar((38, 43), "V", 0.25, 0.2, 1.0),
    CarbonStar((38, 43), "V", 0.5, 0.3, 1.2),
    CarbonStar((48, 52), "III", 0.3, 0.6, 1.5),
    CarbonStar((48, 52), "III", 0.8, 1.0, 1.0),
    CarbonStar((53, 57), "III", 1.2, 1.2, 0.6),
    CarbonStar((53, 57), "III", 2.0, 1.8, 0.5),
    CarbonStar((56, 59), "V", 1.0, 0.6, 0.5),
)

# --- emission ------------------------------------------------------------------------------------
# Vacuum wavelengths [Å]; strengths relative to Hβ = 1
_BALMER: Final = {
    6564.60: 1.6, 4862.71: 1.0, 4341.69: 0.8, 4102.89: 0.6, 3971.20: 0.45, 3890.17: 0.35,
    3836.49: 0.25, 3798.99: 0.2,
}  # fmt: skip
_HELIUM: Final = {
    4472.76: 0.2, 4923.31: 0.1, 5017.08: 0.12, 5877.25: 0.3, 6680.00: 0.15, 7067.20: 0.12,
    4027.33: 0.1,
}  # fmt: skip
_HELIUM_II: Final = {4687.02: 1.0, 5413.03: 0.12}
_IRON_II: Final = {4925.3: 0.3, 5019.8: 0.4, 5170.5: 0.5, 5318.1: 0.4, 4585.1: 0.3}
_CALCIUM: Final = {8500.36: 0.3, 8544.44: 0.35, 8664.52: 0.3, 8448.57: 0.3}  # and O I 8446
_PASCHEN: Final = {9017.39: 0.1, 8865.22: 0.1, 8752.88: 0.1, 8600.75: 0.08}
_PLANETARY: Final = {
    3727.09: 0.2, 3729.88: 0.2, 3869.86: 1.0, 3890.17: 0.2, 3968.59: 0.32, 3971.20: 0.16,
    4102.89: 0.26, 4341.69: 0.47, 4364.44: 0.12, 4472.76: 0.05, 4862.71: 1.0, 4960.30: 4.0,
    5008.24: 12.0, 5756.24: 0.02, 5877.25: 0.15, 6302.05: 0.1, 6549.86: 0.4, 6564.60: 2.86,
    6585.27: 1.2, 6680.00: 0.04, 6718.29: 0.08, 6732.67: 0.12, 7067.20: 0.06, 7137.77: 0.2,
    7321.9: 0.06, 7332.2: 0.06, 9071.1: 0.4,
}  # fmt: skip


def emission(lines: Mapping[float, float], sigma: float, apart: float = 0.0) -> FloatArray:
    """(3909,) lines of these strengths [Å], of σ [km/s]; two peaks so far apart [km/s] if not 0."""
    wide = float(np.hypot(sigma, INSTRUMENT))
    sides = (1.0 + side * apart / SPEED_OF_LIGHT for side in (-0.5, 0.5))
    peaks = [{centre * side: strength for centre, strength in lines.items()} for side in sides]
    return np.mean([emission_lines(LAMOST_GRID, one, wide) for one in peaks], axis=0)


def _joined(*parts: tuple[Mapping[float, float], float]) -> dict[float, float]:
    """Lines of several lists, each times a factor."""
    result: dict[float, float] = {}
    for lines, factor in parts:
        for centre, strength in lines.items():
            result[centre] = result.get(centre, 0.0) + factor * strength
    return result


@dataclass(frozen=True, slots=True)
class Variable:
    """A cataclysmic variable.

    Attributes
    ----------
    slope : float
        Of the disc, f_λ ∝ λ^slope; −7/3 where it is steady (Lynden-Bell 1969).
    hbeta : float
        Equivalent width of Hβ in emission [Å] beside the disc.
    sigma, apart : float
        Of the lines, and of their two peaks [km/s].
    helium_ii : float
        He II 4686 over Hβ: 0.1 in dwarf novae, near 1 where the field is magnetic.
    white_dwarf, companion : float
        Shares of the light at 6500 Å.
    """

    slope: float
    hbeta: float
    sigma: float
    apart: float = 0.0
    helium_ii: float = 0.1
    white_dwarf: float = 0.0
    companion: float = 0.0


VARIABLES: Final = (
    Variable(-7 / 3, 15.0, 450.0),
    Variable(-2.0, 40.0, 500.0),
    Variable(-1.3, 70.0, 350.0, apart=1000.0),
    Variable(-2.0, 60.0, 300.0, helium_ii=0.8),
    Variable(-2.0, 60.0, 350.0, apart=1000.0, white_dwarf=0.5),
    Variable(-1.5, 60.0, 400.0, companion=0.5),
)


class Pair(NamedTuple):
    """A white dwarf DA [K], the type of the M dwarf beside it, and its share of the light."""

    teff: float
    companion: str
    share: float  # at 6500 Å


PAIRS: Final = (
    Pair(10_000.0, "M2V", 0.35), Pair(12_000.0, "M4V", 0.6), Pair(17_000.0, "M3V", 0.35),
    Pair(17_000.0, "M4V", 0.65), Pair(30_000.0, "M2V", 0.5), Pair(30_000.0, "M4V", 0.3),
)  # fmt: skip


class Absorber(NamedTuple):
    """A black body [K] behind broad lines, and a factor on their depths."""

    subclass: str
    teff: float
    factor: float


# What the grid of models lacks: metals in white dwarfs, helium alone, and beyond 45,000 K
ABSORBERS: Final = (
    Absorber("DZ", 7500.0, 1.6), Absorber("DZ", 9000.0, 0.8), Absorber("DB", 12_000.0, 0.35),
    Absorber("DB", 12_500.0, 0.6),
    Absorber("DB", 14_000.0, 1.2), Absorber("sdO", 60_000.0, 0.7), Absorber("sdO", 75_000.0, 1.2),
    Absorber("He-sdO", 45_000.0, 1.0), Absorber("He-sdOB", 38_000.0, 1.0),
)  # fmt: skip
# DQ: temperature [K], factor on the bands
CARBON_DWARFS: Final = ((8000.0, 0.15), (8000.0, 0.25), (8500.0, 0.5))
_BROAD_LINES: Final = {  # vacuum wavelength [Å], optical depth at the core, half width [Å]
    "DZ": (
        (3830.4, 0.35, 8.0), (3833.4, 0.45, 8.0), (3839.4, 0.5, 8.0), (3934.78, 1.3, 14.0),
        (3969.59, 1.1, 14.0), (4227.92, 0.25, 6.0), (5174.0, 0.06, 12.0), (5892.9, 0.04, 8.0),
    ),
    "DB": (
        (3889.75, 0.14, 8.0), (4027.33, 0.2, 12.0), (4144.9, 0.05, 8.0), (4389.2, 0.07, 10.0),
        (4472.76, 0.28, 14.0), (4714.5, 0.09, 10.0), (4923.3, 0.11, 18.0), (5017.1, 0.08, 12.0),
        (5877.25, 0.28, 15.0), (6680.0, 0.16, 18.0), (7067.2, 0.14, 14.0),
    ),
    "sdO": (
        (3971.2, 0.08, 9.0), (4102.89, 0.1, 10.0), (4341.69, 0.12, 11.0), (4862.71, 0.1, 14.0),
        (6564.6, 0.11, 20.0), (4687.02, 0.14, 5.0), (5413.03, 0.06, 9.0), (4542.86, 0.05, 8.0),
        (4201.0, 0.03, 8.0),
    ),
    "He-sdO": (
        (3889.75, 0.1, 7.0), (4027.33, 0.22, 10.0), (4102.2, 0.14, 10.0), (4201.0, 0.12, 9.0),
        (4340.2, 0.15, 10.0), (4389.2, 0.1, 7.0), (4472.76, 0.22, 8.0), (4542.86, 0.17, 9.0),
        (4687.02, 0.32, 7.0), (4861.2, 0.17, 12.0), (4923.3, 0.12, 7.0), (5017.1, 0.08, 6.0),
        (5413.03, 0.18, 10.0), (5877.25, 0.18, 6.0), (6562.0, 0.17, 14.0), (6680.0, 0.12, 8.0),
    ),
    "He-sdOB": (
        (3889.75, 0.1, 6.0), (4027.33, 0.2, 8.0), (4102.2, 0.09, 10.0), (4144.9, 0.08, 6.0),
        (4340.2, 0.06, 8.0), (4389.2, 0.13, 6.0), (4472.76, 0.22, 7.0), (4542.86, 0.05, 8.0),
        (4687.02, 0.05, 6.0), (4714.5, 0.06, 4.0), (4861.2, 0.05, 10.0), (4923.3, 0.12, 7.0),
        (5017.1, 0.09, 6.0), (5413.03, 0.05, 9.0), (5877.25, 0.14, 6.0), (6562.0, 0.09, 12.0),
        (6680.0, 0.09, 8.0), (7067.2, 0.07, 6.0),
    ),
}  # fmt: skip


class Emitter(NamedTuple):
    """A star of the models, or a late dwarf, with emission."""

    subclass: str
    teff: float  # 0 for the late dwarf of this subclass
    halpha: float  # equivalent width in emission [Å], beside the absorption
    sigma: float  # km/s


EMITTERS: Final = (
    Emitter("B2Ve", 20_500.0, 12.0, 110.0), Emitter("B2Ve", 20_500.0, 45.0, 110.0),
    Emitter("B7Ve", 13_000.0, 12.0, 110.0), Emitter("B7Ve", 13_000.0, 40.0, 110.0),
    Emitter("K5Ve", 0.0, 20.0, 100.0), Emitter("M1Ve", 0.0, 70.0, 120.0),
)  # fmt: skip
_BE_HBETA: Final = 0.12  # equivalent widths of Be stars over that of Hα
_YOUNG: Final = {  # T Tauri stars: equivalent widths over that of Hα
    6564.60: 1.0, 4862.71: 0.35, 4341.69: 0.25, 4102.89: 0.2, 3934.78: 0.4, 3969.59: 0.3,
    5877.25: 0.03, 6302.05: 0.02, 8500.36: 0.08, 8544.44: 0.08, 8664.52: 0.07,
}  # fmt: skip


@dataclass(slots=True)
class _Stars:
    """Stars of the library, and late dwarfs by their subclass, on the grid of LAMOST."""

    flux: FloatArray
    types: list[str]
    dwarfs: Mapping[str, FloatArray]
    read: list[tuple[float, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.read = [mk_type(one) for one in self.types]

    def middle(self, codes: tuple[float, float], luminosity: str) -> FloatArray:
        """(3909,) median of the stars of these types, 1 at 6500 Å."""
        fits = [
            k
            for k, (code, own) in enumerate(self.read)
            if codes[0] <= code < codes[1] and (own if own != "IV" else "V") == luminosity
        ]
        return np.asarray(np.median([_level(_on_grid(self.flux[k])) for k in fits], axis=0))

    def dwarf(self, subclass: str) -> FloatArray:
        """(3909,) a late dwarf, 1 at 6500 Å."""
        return _level(_on_grid(self.dwarfs[subclass]))


def _on_grid(flux: FloatArray) -> FloatArray:
    """Cut ``STELIB_GRID`` to ``LAMOST_GRID``."""
    first = LAMOST_GRID.first - STELIB_GRID.first
    return flux[first : first + LAMOST_GRID.n_pixels]


def _level(flux: FloatArray) -> FloatArray:
    at = int(np.searchsorted(_GRID, _LEVEL_AT))
    return flux / np.median(flux[at - 20 : at + 20])


def _white_dwarf(teff: float) -> FloatArray:
    return _level(model_flux(["wd"], [teff], [8.0], [0.0], [0.0])[0].astype(np.float64))


def rare_templates(
    flux: FloatArray, types: list[str], dwarfs: Mapping[str, FloatArray]
) -> tuple[list[str], list[str], FloatArray]:
    """Compose the rare stars.

    Parameters
    ----------
    flux : (star, pixel) array
        On ``STELIB_GRID``, at rest.
    types : (star,) list of str
        MK types.
    dwarfs : mapping of str to (pixel,) array
        Late dwarfs by their subclass, on ``STELIB_GRID``.

    Returns
    -------
    name, subclass : (t,) lists of str
    flux : (t, 3909) array
        On ``LAMOST_GRID``.
    """
    stars = _Stars(flux, types, dwarfs)
    made: list[tuple[str, str, FloatArray]] = []
    for one in CARBON_STARS:
        depth = one.c2 * band_depth(C2) + one.cn * band_depth(CN) + one.ch * band_depth(CH)
        light = stars.middle(one.codes, one.luminosity) * np.exp(-depth)
        made.append((f"C₂ {one.c2:g}, CN {one.cn:g}, CH {one.ch:g}", "Carbon", light))
    for variable in VARIABLES:
        said = f"Hβ {variable.hbeta:g} Å, He II {variable.helium_ii:g}"
        made.append((said, "CV", _variable(variable, stars)))
    for pair in PAIRS:
        light = (1 - pair.share) * _white_dwarf(pair.teff)
        light = light + pair.share * stars.dwarf(pair.companion)
        said = f"DA {pair.teff:,.0f} K, {pair.companion} {pair.share:.0%}"
        made.append((said, f"DA+{pair.companion[:2]}", light))
    for absorber in ABSORBERS:
        said = f"black body {absorber.teff:,.0f} K, lines ×{absorber.factor:g}"
        made.append((said, absorber.subclass, _absorbed(absorber)))
    for teff, strength in CARBON_DWARFS:
        light = _level(black_body(_GRID, teff) * np.exp(-strength * band_depth(C2)))
        made.append((f"black body {teff:,.0f} K, C₂ {strength:g}", "DQ", light))
    for emitter in EMITTERS:
        said = f"Hα {emitter.halpha:g} Å"
        made.append((said, emitter.subclass, _emitter(emitter, stars)))
    for helium_ii in (0.0, 0.6):
        lines = _joined((_PLANETARY, 200.0), (_HELIUM_II, 200.0 * helium_ii))
        light = _level((_GRID / _LEVEL_AT) ** -1.0) + emission(lines, 15.0)
        made.append((f"He II {helium_ii:g}", "PN", light))
    names = [f"{COMPOSED} {k + 1}: {said}" for k, (said, _, _) in enumerate(made)]
    return names, [kind for _, kind, _ in made], np.array([light for *_, light in made])


def _absorbed(one: Absorber) -> FloatArray:
    depth = np.zeros(len(_GRID))
    for centre, core, half in _BROAD_LINES[one.subclass]:
        depth += one.factor * core / (1.0 + ((_GRID - centre) / half) ** 2)
    seen = gaussian_filter1d(depth, INSTRUMENT / VELOCITY_PIXEL)
    return _level(black_body(_GRID, one.teff) * np.exp(-seen))


def _variable(one: Variable, stars: _Stars) -> FloatArray:
    lines = _joined(
        (_BALMER, 1.0), (_HELIUM, 1.0), (_HELIUM_II, one.helium_ii), (_IRON_II, 0.1),
        (_CALCIUM, 0.3), (_PASCHEN, 1.0),
    )  # fmt: skip
    disc = _level(_GRID**one.slope)
    hbeta = float(np.interp(4862.71, _GRID, disc))
    gas = one.hbeta * hbeta * emission(lines, one.sigma, one.apart)
    light = (1 - one.white_dwarf - one.companion) * (disc + gas)
    if one.white_dwarf:
        light = light + one.white_dwarf * _white_dwarf(15_000.0)
    if one.companion:
        light = light + one.companion * stars.dwarf("M3V")
    return light


def _emitter(one: Emitter, stars: _Stars) -> FloatArray:
    if one.teff:
        star = _level(model_flux(["ms"], [one.teff], [3.9], [0.0], [0.0])[0].astype(np.float64))
        near = {6564.60: 1.0, 4862.71: _BE_HBETA, 4341.69: 0.04, 4102.89: 0.02}
        lines = _joined((near, 1.0), (_IRON_II, 0.03), (_CALCIUM, 0.15), (_PASCHEN, 0.3))
    else:
        star, lines = stars.dwarf(one.subclass[:3]), dict(_YOUNG)
    level = gaussian_filter1d(star, 60)
    wide = {centre: one.halpha * strength for centre, strength in lines.items()}
    return star + level * emission(wide, one.sigma)
