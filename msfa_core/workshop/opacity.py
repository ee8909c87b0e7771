"""Gas of a hot star in LTE: ionisation, and continuous absorption of hydrogen, helium and H⁻.

Everything is in cgs units, except wavelengths [Å, vacuum] and energies [eV]. Absorption of
hydrogen and H⁻ follows the fits of Gray (The Observation and Analysis of Stellar Photospheres,
3rd ed., eqs. 8.4–8.13); helium is hydrogenic; levels dissolve as in Hummer & Mihalas (1988). The
book and the papers were not read again: the coefficients were checked against two public codes
that quote them (``opacity.jl`` of StellarAtmospheres for Gray, ``hbop.f`` of P. Barklem for the
dissolution of levels). Partition functions are rounded values for 6000–20,000 K without a source
on record; solar abundances are those of Asplund et al. (2009), from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from msfa_core.typing import FloatArray

BOLTZMANN: Final = 1.380649e-16  # erg/K
PLANCK: Final = 6.62607015e-27  # erg s
LIGHT: Final = 2.99792458e10  # cm/s
ELECTRON_VOLT: Final = 1.602176634e-12  # erg
ELECTRON_MASS: Final = 9.1094e-28  # g
HYDROGEN_MASS: Final = 1.6735e-24  # g
THOMSON: Final = 6.6524e-25  # cm², scattering by an electron
ANGSTROM: Final = 1e-8  # cm
HYDROGEN_IONISATION: Final = 13.598  # eV
HELIUM_IONISATION: Final = (24.587, 54.418)  # eV
NO_HELIUM: Final = 1e-4  # He/H below which helium neither absorbs nor forms lines

_LARGEST_EXPONENT: Final = 600.0
_RYDBERG: Final = 1.0968e-3  # 1/Å
_THETA: Final = 5040.0  # K; θ = 5040 K / T
_LOG_E: Final = 0.4343
_ALPHA_ELEMENTS: Final = ("O", "Mg", "Si", "Ca", "Ti")
_ELECTRON_STEPS: Final = 60  # bisections of ln(electron density)
_ELECTRON_SHARE: Final = (1e-9, 0.999)  # of all particles


@dataclass(frozen=True, slots=True)
class Element:
    """A metal of the gas.

    Attributes
    ----------
    abundance : float
        Of the Sun, log10 by number with hydrogen 12.
    mass : float
        In hydrogen masses.
    stages : tuple of (float, float)
        Partition function and ionisation energy [eV] of each ion, neutral first.
    """

    abundance: float
    mass: float
    stages: tuple[tuple[float, float], ...]


ELEMENTS: Final[Mapping[str, Element]] = {
    "C": Element(8.43, 12, ((9.5, 11.26), (6.0, 24.38), (1.0, 47.9))),
    "O": Element(8.69, 16, ((9.0, 13.62), (4.0, 35.1), (9, 54.9))),
    "Na": Element(6.24, 23, ((2.2, 5.139), (1.0, 47.3))),
    "Mg": Element(7.60, 24.3, ((1.1, 7.646), (2.0, 15.035), (1.0, 80.1))),
    "Al": Element(6.45, 27, ((5.9, 5.986), (1.0, 18.83), (2.0, 28.4))),
    "Si": Element(7.51, 28.1, ((9.8, 8.152), (5.8, 16.346), (1.1, 33.49), (2.0, 45.1))),
    "Ca": Element(6.34, 40.1, ((1.4, 6.113), (2.3, 11.872), (1.0, 50.9))),
    "Ti": Element(4.95, 47.9, ((35.0, 6.828), (60.0, 13.58), (40.0, 27.5))),
    "Cr": Element(5.64, 52, ((11.0, 6.767), (8.0, 16.49), (20.0, 31.0))),
    "Fe": Element(7.50, 55.8, ((30.0, 7.902), (47.0, 16.19), (25.0, 30.65))),
    "Sr": Element(2.87, 87.6, ((1.3, 5.695), (2.2, 11.03), (1.0, 42.9))),
    "Ba": Element(2.18, 137, ((2.0, 5.21), (4.0, 10.0), (1.0, 35.0))),
}


@dataclass(frozen=True, slots=True)
class Composition:
    """What a star is made of.

    Attributes
    ----------
    helium : float
        log10 He/H by number; −inf for none.
    feh, alpha : float
        [Fe/H] and [α/Fe] of O, Mg, Si, Ca and Ti [dex].
    pattern : mapping of str to float
        Further change of single elements [dex].
    """

    helium: float
    feh: float
    alpha: float = 0.0
    pattern: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def helium_ratio(self) -> float:
        """He/H by number."""
        return float(10.0**self.helium)

    def abundance(self, element: str) -> float:
        """Atoms of a metal for each of hydrogen."""
        own = ELEMENTS[element].abundance + self.pattern.get(element, 0.0)
        alpha = self.alpha if element in _ALPHA_ELEMENTS else 0
        return float(10 ** (own - 12 + self.feh + alpha))


@dataclass(frozen=True, slots=True)
class Gas:
    """Gas in LTE at points of an atmosphere.

    Attributes
    ----------
    temperature : (depth,) array [K]
    electrons, hydrogen, neutral_hydrogen : (depth,) array [1/cm³]
        Electrons, hydrogen nuclei, and hydrogen atoms.
    helium_ions : tuple of three (depth,) arrays
        Shares of He, He⁺ and He⁺⁺ in all helium.
    metal_ions : dict of str to list of (depth,) arrays
        Shares of the ions of each metal, neutral first.
    density : (depth,) array [g/cm³]
    composition : Composition
    """

    temperature: FloatArray
    electrons: FloatArray
    hydrogen: FloatArray
    neutral_hydrogen: FloatArray
    helium_ions: tuple[FloatArray, FloatArray, FloatArray]
    metal_ions: Mapping[str, list[FloatArray]]
    density: FloatArray
    composition: Composition


def boltzmann(energy: float, temperature: FloatArray) -> FloatArray:
    """exp(−E/kT) of an energy [eV]."""
    factor: FloatArray = np.exp(-energy * ELECTRON_VOLT / (BOLTZMANN * temperature))
    return factor


def _next_ion(
    temperature: FloatArray, electrons: FloatArray, lower: float, upper: float, energy: float
) -> FloatArray:
    """Saha's ratio of an ion to the one below it; partition functions and energy [eV]."""
    wave = 2 * np.pi * ELECTRON_MASS * BOLTZMANN * temperature / PLANCK**2
    exponent = np.minimum(energy * ELECTRON_VOLT / (BOLTZMANN * temperature), _LARGEST_EXPONENT)
    ratio: FloatArray = 2 * upper / lower * wave**1.5 / electrons * np.exp(-exponent)
    return ratio


def _ionise(
    temperature: FloatArray, particles: FloatArray, electrons: FloatArray, mixture: Composition
) -> tuple[FloatArray, Gas]:
    """Return the electrons that the ions set free, and the gas, at an assumed electron density."""
    helium = mixture.helium_ratio
    hydrogen = (particles - electrons) / (1 + helium)
    ratio = _next_ion(temperature, electrons, 2, 1, HYDROGEN_IONISATION)
    ionised = ratio / (1 + ratio)
    first = _next_ion(temperature, electrons, 1, 2, HELIUM_IONISATION[0])
    second = _next_ion(temperature, electrons, 2, 1, HELIUM_IONISATION[1])
    whole = 1 + first + first * second
    helium_ions = (1 / whole, first / whole, first * second / whole)
    charge = ionised + helium * (helium_ions[1] + 2 * helium_ions[2])
    metals: dict[str, list[FloatArray]] = {}
    for name, element in ELEMENTS.items():
        ions = [np.ones_like(temperature)]
        for (lower, energy), (upper, _) in zip(element.stages, element.stages[1:], strict=False):
            ions.append(ions[-1] * _next_ion(temperature, electrons, lower, upper, energy))
        whole = sum(ions[1:], start=ions[0])
        metals[name] = [ion / whole for ion in ions]
        freed = sum((number * ion for number, ion in enumerate(ions)), start=0 * ions[0])
        charge = charge + mixture.abundance(name) * freed / whole
    gas = Gas(
        temperature=temperature,
        electrons=electrons,
        hydrogen=hydrogen,
        neutral_hydrogen=hydrogen * (1 - ionised),
        helium_ions=helium_ions,
        metal_ions=metals,
        density=hydrogen * HYDROGEN_MASS * (1 + 4 * helium),
        composition=mixture,
    )
    return charge * hydrogen, gas


def gas_in_lte(temperature: FloatArray, pressure: FloatArray, composition: Composition) -> Gas:
    """Ionisation of a gas by Saha's equation.

    Parameters
    ----------
    temperature : (depth,) array [K]
    pressure : (depth,) array [dyn/cm²]
    composition : Composition

    Returns
    -------
    Gas
    """
    particles = pressure / (BOLTZMANN * temperature)
    low, high = (np.log(particles * share) for share in _ELECTRON_SHARE)
    for _ in range(_ELECTRON_STEPS):
        middle = 0.5 * (low + high)
        freed, _gas = _ionise(temperature, particles, np.exp(middle), composition)
        more = freed > np.exp(middle)
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return _ionise(temperature, particles, np.exp(0.5 * (low + high)), composition)[1]


def occupation(
    electrons: FloatArray, temperature: FloatArray, level: float | FloatArray
) -> FloatArray:
    """Probability that a hydrogen level survives the fields of its neighbours.

    Parameters
    ----------
    electrons, temperature : array [1/cm³, K]
    level : float or array
        Principal quantum number, whole or not.

    Returns
    -------
    array
        Of charged neighbours: Hummer & Mihalas (1988), with
        the fit of Hubeny, Hummer & Lanz (1994, appendix A); both as ``hbop.f`` has them.
    """
    correlation = (1 + 0.09 * electrons ** (1 / 6) / np.sqrt(temperature)) ** 3.15
    quantum = np.where(np.less_equal(level, 3), 1.0, 16 / 3 * level / (level + 1) ** 2)
    field_limit = 8.3e14 * electrons ** (-2 / 3) * quantum * level**-4.0
    f = 0.1402 * correlation * field_limit**3 / (1 + 0.1285 * correlation * field_limit**1.5)
    survival: FloatArray = f / (1 + f)
    return survival


def photon_over_thermal(wavelength: FloatArray, temperature: FloatArray) -> FloatArray:
    """hν/kT [wavelength in Å]."""
    ratio: FloatArray = PLANCK * LIGHT / (wavelength * ANGSTROM * BOLTZMANN * temperature)
    return ratio


def planck(wavelength: FloatArray, temperature: FloatArray) -> FloatArray:
    """Planck's function B_λ [erg/s/cm²/Å/sr]."""
    ratio = np.minimum(photon_over_thermal(wavelength, temperature), _LARGEST_EXPONENT)
    radiance: FloatArray = (
        2 * PLANCK * LIGHT**2 / (wavelength * ANGSTROM) ** 5 / np.expm1(ratio) * ANGSTROM
    )
    return radiance


_HYDROGEN_SCALE: Final = 1.0443e-26  # cm² Å⁻³, α₀; Gray prints 1.0449e-26, hbop.f has 1.044e-26
_HYDROGEN_LEVELS: Final = 7  # absorbing one by one; those above as an integral
_DISSOLVING: Final = (2, 3)  # levels with a pseudo-continuum redward of their edge
_PSEUDO_CONTINUUM: Final = 1.35  # times the edge: where it ends
_GAUNT_RANGE: Final = (0.3, 1.4)


def _hydrogen(gas: Gas, wavelength: FloatArray) -> FloatArray:
    """(depth, pixel) bound-free and free-free absorption of an atom of hydrogen [cm²]."""
    theta = _THETA / gas.temperature[:, None]
    cube_root = (wavelength * _RYDBERG) ** (1 / 3)
    bound = np.zeros((len(theta), wavelength.shape[1]))
    for n in range(1, _HYDROGEN_LEVELS + 1):
        edge = n**2 / _RYDBERG
        gaunt = 1 - 0.3456 / cube_root * (wavelength * _RYDBERG / n**2 - 0.5)
        excited = 10 ** (-theta * HYDROGEN_IONISATION * (1 - 1 / n**2))
        if n in _DISSOLVING:
            beyond = 1 / n**2 - 1 / (wavelength * _RYDBERG)
            upper = 1 / np.sqrt(np.maximum(beyond, 1e-4))
            dissolved = 1 - occupation(gas.electrons[:, None], gas.temperature[:, None], upper)
            absorbing = np.where(wavelength > edge, dissolved, 1.0)
            absorbing = np.where(wavelength > edge * _PSEUDO_CONTINUUM, 0, absorbing)
        else:
            absorbing = (wavelength <= edge) * 1.0
        bound = bound + wavelength**3 / n**3 * np.clip(gaunt, *_GAUNT_RANGE) * excited * absorbing
    free = 10 ** (-theta * HYDROGEN_IONISATION)
    highest = 10 ** (-theta * HYDROGEN_IONISATION * (1 - 1 / (_HYDROGEN_LEVELS + 1) ** 2))
    per_theta = _LOG_E / (2 * theta * HYDROGEN_IONISATION)
    bound = bound + wavelength**3 * per_theta * (highest - free)
    energy = photon_over_thermal(wavelength, gas.temperature[:, None])
    gaunt = 1 + 0.3456 / cube_root * (1 / energy + 0.5)
    total: FloatArray = _HYDROGEN_SCALE * (bound + wavelength**3 * gaunt * per_theta * free)
    return total


_NEGATIVE_ION_RANGE: Final = (1000.0, 16_400.0)  # Å, where H⁻ is ionised by light
_BOUND_FREE: Final = (  # powers of the wavelength from 0 [1e-18 cm²]
    *(1.99654, -1.18267e-5, 2.64243e-6, -4.40524e-10),
    *(3.23992e-14, -1.39568e-18, 2.78701e-23),
)
_FREE_FREE: Final = (  # rows: powers of log10 θ; in a row: powers of log10 λ
    (-2.2763, -1.6850, 0.76661, -0.0533464),
    (15.2827, -9.2846, 1.99381, -0.142631),
    (-197.789, 190.266, -67.9775, 10.6913, -0.625151),
)


def _negative_hydrogen(gas: Gas, wavelength: FloatArray, emission: FloatArray) -> FloatArray:
    """(depth, pixel) absorption of H⁻ for each atom of hydrogen [cm²]."""
    theta = _THETA / gas.temperature[:, None]
    pressure = gas.electrons[:, None] * BOLTZMANN * gas.temperature[:, None]
    low, high = _NEGATIVE_ION_RANGE
    polynomial = np.polynomial.polynomial.polyval
    inside = (wavelength < high) & (wavelength > low)
    cross_section = np.where(inside, polynomial(wavelength, _BOUND_FREE), 0.0) * 1e-18
    bound = 4.158e-10 * np.maximum(cross_section, 0) * pressure * theta**2.5 * 10 ** (0.754 * theta)
    log = np.log10(wavelength)
    f0, f1, f2 = (polynomial(log, row) for row in _FREE_FREE)
    log_theta = np.log10(theta)
    free = 1e-26 * pressure * 10 ** (f0 + f1 * log_theta + f2 * log_theta**2)
    total: FloatArray = bound * emission + free
    return total


_HELIUM_LEVELS: Final = range(2, 7)
_HELIUM_ION_LEVELS: Final = range(2, 9)
_FREE_FREE_SCALE: Final = 3.7e8  # cgs, of a charge in the field of ions


def _helium(gas: Gas, wavelength: FloatArray, emission: FloatArray) -> FloatArray:
    """(depth, pixel) absorption of helium, taken as hydrogenic [1/cm]."""
    temperature, electrons = gas.temperature[:, None], gas.electrons[:, None]
    theta = _THETA / temperature
    helium = gas.hydrogen[:, None] * gas.composition.helium_ratio
    atom, ion, nucleus = gas.helium_ions
    excited: FloatArray = np.zeros((len(theta), wavelength.shape[1]))
    for n in _HELIUM_LEVELS:
        energy = HELIUM_IONISATION[0] - HYDROGEN_IONISATION / n**2
        edge = wavelength <= n**2 / _RYDBERG
        excited = excited + edge * wavelength**3 / n**3 * 10 ** (-theta * energy)
    total = helium * (atom[:, None] * 4 * _HYDROGEN_SCALE * excited) * emission
    charges = (ion + 4 * nucleus)[:, None]
    cubed = (wavelength * ANGSTROM / LIGHT) ** 3
    free = _FREE_FREE_SCALE * electrons * helium * charges / np.sqrt(temperature) * cubed
    total = total + free * emission
    excited = np.zeros_like(excited)
    for n in _HELIUM_ION_LEVELS:
        energy = HELIUM_IONISATION[1] * (1 - 1 / n**2)
        edge = wavelength <= n**2 / _RYDBERG / 4
        excited = excited + edge * wavelength**3 / n**3 * 10 ** (-theta * energy) * 16
    absorption: FloatArray = total + helium * ion[:, None] * _HYDROGEN_SCALE * excited * emission
    return absorption


def continuous_absorption(gas: Gas, wavelength: FloatArray) -> FloatArray:
    """Return the true absorption outside lines, less stimulated emission.

    Parameters
    ----------
    gas : Gas
    wavelength : (pixel,) array [Å, vacuum]

    Returns
    -------
    (depth, pixel) array [1/cm]
    """
    row = wavelength[None, :]
    ratio = np.minimum(photon_over_thermal(row, gas.temperature[:, None]), _LARGEST_EXPONENT)
    emission = 1 - np.exp(-ratio)
    atoms = gas.neutral_hydrogen[:, None]
    total = atoms * _hydrogen(gas, row) * emission
    total = total + atoms * _negative_hydrogen(gas, row, emission)
    if gas.composition.helium_ratio > NO_HELIUM:
        total = total + _helium(gas, row, emission)
    absorption: FloatArray = total
    return absorption
