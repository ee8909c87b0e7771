"""Absorption lines of hot stars: Stark-broadened hydrogen and helium, principal metal lines.

Metal lines are those that A, B and horizontal-branch stars show at LAMOST resolution; their data
are tables in ``data/reference``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import wofz

from msfa_core.shipped import table_rows
from msfa_core.typing import FloatArray
from msfa_core.workshop.opacity import (
    ANGSTROM,
    BOLTZMANN,
    ELEMENTS,
    HELIUM_IONISATION,
    HYDROGEN_IONISATION,
    HYDROGEN_MASS,
    LIGHT,
    Gas,
    boltzmann,
    occupation,
)

MICROTURBULENCE: Final = 2e5  # cm/s

_ATOMIC_MASS: Final = {"H": 1.0, "He": 4.0}
_OSCILLATOR: Final = 0.02654  # π e²/(m_e c) [cm² Hz]
_IONS: Final = ("I", "II", "III")


@dataclass(frozen=True, slots=True)
class MetalLine:
    """A line of a metal: air wavelength [Å], ion (0 neutral), lower level [eV], log gf."""

    wavelength_air: float
    element: str
    ion: int
    lower_ev: float
    log_gf: float


@dataclass(frozen=True, slots=True)
class HeliumLine:
    """A line of He I: air wavelength [Å], lower level [eV], log gf, and a rough Stark width.

    ``stark_hwhm`` is the half width [Å] at 1e16 electrons per cm³.
    """

    wavelength_air: float
    lower_ev: float
    log_gf: float
    stark_hwhm: float


def air_to_vacuum(wavelength: float) -> float:
    """Return the vacuum wavelength of one in air [Å] (Edlén's formula)."""
    s = 1e8 / wavelength**2
    return wavelength * (1 + 1e-6 * (64.328 + 29498.1 / (146 - s) + 255.4 / (41 - s)))


@functools.cache
def metal_lines() -> tuple[MetalLine, ...]:
    """Return the lines of ``metal_lines.csv``."""
    return tuple(
        MetalLine(
            float(row["wavelength_air"]),
            row["element"],
            _IONS.index(row["ion"]),
            float(row["lower_ev"]),
            float(row["log_gf"]),
        )
        for row in table_rows("metal_lines.csv")
    )


@functools.cache
def helium_lines() -> tuple[HeliumLine, ...]:
    """Return the lines of ``helium_lines.csv``."""
    return tuple(
        HeliumLine(**{name: float(value) for name, value in row.items()})
        for row in table_rows("helium_lines.csv")
    )


_SERIES: Final = ((2, range(3, 31)), (3, range(8, 26)))  # Balmer and Paschen: lower, upper levels
# Exact non-relativistic values, from Gordon's formula for the radial integrals
_BALMER_OSCILLATOR: Final = {
    **{3: 0.6407, 4: 0.1193, 5: 0.04467, 6: 0.02209, 7: 0.01270},
    **{8: 0.008036, 9: 0.005429, 10: 0.003851, 11: 0.002835, 12: 0.002151},
}
_PASCHEN_OSCILLATOR: Final = {
    **{8: 0.01604, 9: 0.01023, 10: 0.00698, 11: 0.004996, 12: 0.003711, 13: 0.002839},
    **{14: 0.002224, 15: 0.001776, 16: 0.001443, 17: 0.001189, 18: 0.0009916, 19: 0.0008361},
    **{20: 0.0007118, 21: 0.0006112, 22: 0.0005288, 23: 0.0004606, 24: 0.0004038, 25: 0.000356},
}
_LAST_TABULATED: Final = 12
# Å per unit of field: Hβ and the rule for high lines as hbop.f, the others tuned on the models
_BALMER_STARK: Final = {3: 0.0125, 4: 0.0177, 5: 0.0262, 6: 0.0366}
_STARK: Final = 5.5e-5  # times (nm)⁴/(m² − n²)
_HOLTSMARK: Final = 1.25e-9  # normal field over electrons^(2/3) [cgs]; as hbop.f of P. Barklem
_WING_AREA: Final = 2.6426  # ∫ dx / (1 + |x|^(5/2))
_HYDROGEN_RYDBERG: Final = 109_677.58  # 1/cm
_WIDE_SERIES: Final = 6  # upper levels below this have wings of 700 Å, else 350 Å
_WING_REACH: Final = (700.0, 350.0)  # Å
_FEWEST_PIXELS: Final = 5
_LINE_REACH: Final = 30.0  # Å, of metal and helium lines
_NATURAL_WIDTH: Final = 2.2e8  # 1/s
_METAL_STARK: Final = (3e-6, 2e-5)  # of low and high levels [cm³/s]
_HIGH_LEVEL: Final = 6.0  # eV
_HELIUM_NATURAL: Final = 1e8  # 1/s
_HELIUM_ION_LINES: Final = (  # air wavelength [Å], lower and upper level, oscillator strength
    (4685.7, 3, 4, 0.8421),
    (5411.5, 4, 7, 0.0655),
    (4541.6, 4, 9, 0.0208),
    (6560.1, 4, 6, 0.1793),
    (4859.3, 4, 8, 0.0331),
)
_HELIUM_ION_WIDTH: Final = 1.5  # of the Stark displacement


def _kramers(lower: int, upper: int) -> float:
    """Oscillator strength of a hydrogen line without its Gaunt factor."""
    energy = (1 / lower**2 - 1 / upper**2) ** -3
    return float(32 / (3 * np.pi * np.sqrt(3)) * energy / (lower**5 * upper**3))


def oscillator_strength(lower: int, upper: int) -> float:
    """Oscillator strength of a hydrogen line; high Balmer lines continue the table."""
    if lower == 2:  # noqa: PLR2004 - Balmer
        if upper in _BALMER_OSCILLATOR:
            return _BALMER_OSCILLATOR[upper]
        last = _BALMER_OSCILLATOR[_LAST_TABULATED] / _kramers(lower, _LAST_TABULATED)
        return _kramers(lower, upper) * last
    return _PASCHEN_OSCILLATOR[upper]


def _stark_displacement(lower: int, upper: int) -> float:
    return _STARK * (lower * upper) ** 4 / (upper * upper - lower * lower)


class LineAbsorption:
    """Absorption by lines, added up line by line.

    Parameters
    ----------
    gas : Gas
    wavelength : (pixel,) array [Å, vacuum]

    Attributes
    ----------
    total : (depth, pixel) array [1/cm]
        Without stimulated emission.
    """

    def __init__(self, gas: Gas, wavelength: FloatArray) -> None:
        self.gas, self.wavelength = gas, wavelength
        self.total: FloatArray = np.zeros((len(gas.temperature), len(wavelength)))
        self.field = _HOLTSMARK * gas.electrons ** (2 / 3)

    def _doppler(self, centre: float, mass: float) -> FloatArray:
        """(depth, 1) Doppler width [Å]."""
        thermal = 2 * BOLTZMANN * self.gas.temperature / (mass * HYDROGEN_MASS)
        width: FloatArray = (centre * np.sqrt(thermal + MICROTURBULENCE**2) / LIGHT)[:, None]
        return width

    def add_hydrogen(self, wing: float) -> None:
        """Add the Balmer and Paschen lines: Doppler cores within Stark wings."""
        gas = self.gas
        core = (_WING_AREA * wing) ** (2 / 3)
        for lower, uppers in _SERIES:
            energy = HYDROGEN_IONISATION * (1 - 1 / lower**2)
            atoms = gas.neutral_hydrogen * lower**2 * boltzmann(energy, gas.temperature)
            for upper in uppers:
                centre = 1e8 / (_HYDROGEN_RYDBERG * (1 / lower**2 - 1 / upper**2))
                reach = _WING_REACH[upper >= _WIDE_SERIES]
                first, last = np.searchsorted(self.wavelength, (centre - reach, centre + reach))
                if last - first < _FEWEST_PIXELS:
                    continue
                offset = (self.wavelength[first:last] - centre)[None, :]
                scale = _stark_displacement(lower, upper)
                if lower == 2:  # noqa: PLR2004 - Balmer
                    scale = _BALMER_STARK.get(upper, scale)
                shift = (scale * self.field)[:, None]
                stark = wing / (core**2.5 + (np.abs(offset) / shift) ** 2.5) / shift
                doppler = self._doppler(centre, _ATOMIC_MASS["H"])
                gauss = np.exp(-np.minimum((offset / doppler) ** 2, 80))
                gauss /= np.sqrt(np.pi) * doppler
                survival = occupation(gas.electrons, gas.temperature, upper)
                strength = _OSCILLATOR * oscillator_strength(lower, upper) * atoms * survival
                self.total[:, first:last] += (
                    strength[:, None] * np.maximum(stark, gauss) * (centre**2 * ANGSTROM / LIGHT)
                )

    def _add_voigt(
        self, centre: float, absorbers: FloatArray, mass: float, damping: FloatArray
    ) -> None:
        """Add a line: gf times absorbers (depth,) [1/cm³], damping (depth,) [1/s]."""
        doppler = self._doppler(centre, mass)
        per_hertz = centre**2 * ANGSTROM / LIGHT  # Å
        reach = (centre - _LINE_REACH, centre + _LINE_REACH)
        first, last = np.searchsorted(self.wavelength, reach)
        offset = (self.wavelength[first:last] - centre)[None, :]
        width = (damping / (4 * np.pi) * per_hertz)[:, None] / doppler
        voigt = wofz(offset / doppler + 1j * width).real / (np.sqrt(np.pi) * doppler)
        self.total[:, first:last] += (_OSCILLATOR * absorbers)[:, None] * voigt * per_hertz

    def add_metals(self) -> None:
        """Add the lines of ``metal_lines.csv``."""
        gas = self.gas
        for line in metal_lines():
            element = ELEMENTS[line.element]
            ions = gas.hydrogen * gas.composition.abundance(line.element)
            ions = ions * gas.metal_ions[line.element][line.ion]
            partition = element.stages[line.ion][0]
            lower = boltzmann(line.lower_ev, gas.temperature) / partition
            stark = _METAL_STARK[line.lower_ev >= _HIGH_LEVEL] * gas.electrons
            self._add_voigt(
                air_to_vacuum(line.wavelength_air),
                10**line.log_gf * ions * lower,
                element.mass,
                _NATURAL_WIDTH + stark,
            )

    def add_helium(self, lines: tuple[HeliumLine, ...]) -> None:
        """Add lines of He I, and the principal ones of He II."""
        gas = self.gas
        helium = gas.hydrogen * gas.composition.helium_ratio
        mass = _ATOMIC_MASS["He"]
        for line in lines:
            lower = boltzmann(line.lower_ev, gas.temperature)
            centre = air_to_vacuum(line.wavelength_air)
            stark = 4 * np.pi * LIGHT * line.stark_hwhm * gas.electrons / 1e16
            self._add_voigt(
                centre,
                10**line.log_gf * helium * gas.helium_ions[0] * lower,
                mass,
                _HELIUM_NATURAL + stark / (centre**2 * ANGSTROM),
            )
        for air, level, upper, strength in _HELIUM_ION_LINES:
            energy = HELIUM_IONISATION[1] * (1 - 1 / level**2)
            lower = level**2 * strength * boltzmann(energy, gas.temperature)
            centre = air_to_vacuum(air)
            shift = _stark_displacement(level, upper) / 16 * self.field  # fields of a charge of 2
            damping = 4 * np.pi * LIGHT * shift * _HELIUM_ION_WIDTH / (centre**2 * ANGSTROM)
            self._add_voigt(centre, lower * helium * gas.helium_ions[1], mass, damping)
