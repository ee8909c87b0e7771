"""Spectra of hot stars by our own LTE synthesis: structure, lines, and radiation that leaves.

The temperature is the grey law with a non-grey correction measured on computed atmospheres; the
pressure follows from hydrostatic equilibrium on our own opacities. Hydrogen and helium lines are
Stark-broadened, and the principal metal lines of A, B and horizontal-branch stars are Voigt
profiles. About half a second a spectrum. Tables: ``data/reference``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.special import expn

from msfa_core.errors import ModelError
from msfa_core.shipped import table_rows
from msfa_core.typing import FloatArray
from msfa_core.workshop.line_opacity import HeliumLine, LineAbsorption, helium_lines
from msfa_core.workshop.opacity import (
    NO_HELIUM,
    THOMSON,
    Composition,
    Gas,
    continuous_absorption,
    gas_in_lte,
    photon_over_thermal,
    planck,
)

WHITE_DWARF_LOGG: Final = 7.0  # from here on the structure and Stark wings of white dwarfs
N_DEPTHS: Final = 64

_STARK_WING: Final = 3.0  # strength of the wings ∝ β^(−5/2)
_WHITE_DWARF_WING: Final = ((9000.0, 12_000.0, 18_000.0), (3.0, 3.5, 4.6))  # over Teff [K]
_FEWEST_METALS: Final = -5.0  # [Fe/H] below which no metal line is computed


@dataclass(frozen=True, slots=True)
class Sampling:
    """Where a spectrum is computed, and how sharp it is.

    Attributes
    ----------
    first, last : float
        Ends of the computed wavelengths [Å, vacuum].
    step : float
        In log10 wavelength.
    resolution : float
        λ/FWHM of the Gaussian it is smoothed with.
    """

    first: float
    last: float
    step: float
    resolution: float


LAMOST_SAMPLING: Final = Sampling(3660.0, 9150.0, 3e-5, 1800.0)
WIDE_SAMPLING: Final = Sampling(3150.0, 10_800.0, 1e-4, 600.0)  # for magnitudes


@dataclass(frozen=True, slots=True)
class SyntheticSpectrum:
    """A spectrum at rest, without rotation.

    Attributes
    ----------
    wavelength : (pixel,) array [Å, vacuum]
    flux, continuum : (pixel,) array
        Surface flux with and without lines [erg/s/cm²/Å].
    """

    wavelength: FloatArray
    flux: FloatArray
    continuum: FloatArray


# --- structure ---------------------------------------------------------------------------


@functools.cache
def _correction_table(structure: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (teff,), (log τ,) and (teff, log τ) temperature over the grey one."""
    rows = [
        row for row in table_rows("temperature_correction.csv") if row["structure"] == structure
    ]
    depths = [name for name in rows[0] if name not in ("structure", "teff")]
    teff = np.array([float(row["teff"]) for row in rows])
    return (
        teff,
        np.array(depths, float),
        np.array([[float(row[d]) for d in depths] for row in rows]),
    )


def temperature_law(teff: float, logg: float, optical_depth: FloatArray) -> FloatArray:
    """Temperature at Rosseland optical depths [K].

    The grey law with Hopf's function, times a correction interpolated in ln Teff. The source of
    this fit to Hopf's function is not on record; its limits are right (exactly 0.5774 and 0.7104).
    """
    nodes, depths, ratios = _correction_table(
        "white_dwarf" if logg >= WHITE_DWARF_LOGG else "normal"
    )
    at = np.log(np.clip(teff, nodes[0], nodes[-1]))
    ratio = [np.interp(at, np.log(nodes), column) for column in ratios.T]
    hopf = 0.7104 - 0.1331 * np.exp(-3.4488 * optical_depth)
    grey = teff * (0.75 * (optical_depth + hopf)) ** 0.25
    temperature: FloatArray = grey * np.interp(np.log10(optical_depth), depths, ratio)
    return temperature


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """Plane-parallel structure.

    Attributes
    ----------
    optical_depth : (depth,) array
        Rosseland.
    gas : Gas
    opacity : (depth,) array [1/cm]
        Rosseland mean.
    """

    optical_depth: FloatArray
    gas: Gas
    opacity: FloatArray


_OPTICAL_DEPTHS: Final = (-5.0, 2.0)  # log10 of the first and the last
_LOG_PRESSURES: Final = (-1.0, 10.0, 48)  # of the opacity table: first, last, number
_TEMPERATURES: Final = 60
_ROSSELAND: Final = (700.0, 40_000.0, 90)  # wavelengths of the mean [Å]: first, last, number
_LARGEST_RATIO: Final = 200.0
_TOP_STEPS, _DEPTH_STEPS = 8, 3  # iterations of the pressure at the top, and below


def _opacity_table(temperature: FloatArray, composition: Composition) -> RectBivariateSpline:
    """log10 of the Rosseland opacity [cm²/g] over temperature and log10 pressure."""
    cool, hot = np.log10(temperature.min() * 0.98), np.log10(temperature.max() * 1.02)
    temperatures = np.logspace(cool, hot, _TEMPERATURES)
    pressures = np.linspace(*_LOG_PRESSURES)
    grid = np.meshgrid(temperatures, 10**pressures, indexing="ij")
    gas = gas_in_lte(grid[0].ravel(), grid[1].ravel(), composition)
    blue, red, number = _ROSSELAND
    wavelength = np.logspace(np.log10(blue), np.log10(red), number)
    absorption = continuous_absorption(gas, wavelength) + (gas.electrons * THOMSON)[:, None]
    t = gas.temperature[:, None]
    u = np.minimum(photon_over_thermal(wavelength[None, :], t), _LARGEST_RATIO)
    # dB/dT, up to a factor
    weight = u**4 * np.exp(-u) / (-np.expm1(-u)) ** 2 / wavelength[None, :] ** 2 / t * 1e8
    mean = np.trapezoid(weight, wavelength, axis=1)
    mean = mean / np.trapezoid(weight / absorption, wavelength, axis=1) / gas.density
    shape = (len(temperatures), len(pressures))
    return RectBivariateSpline(temperatures, pressures, np.log10(mean).reshape(shape), kx=1, ky=1)


def atmosphere(
    teff: float, logg: float, composition: Composition, n_depths: int = N_DEPTHS
) -> Atmosphere:
    """Structure of an atmosphere.

    Parameters
    ----------
    teff, logg : float [K, dex]
    composition : Composition
    n_depths : int

    Returns
    -------
    Atmosphere
    """
    tau = np.logspace(*_OPTICAL_DEPTHS, n_depths)
    temperature = temperature_law(teff, logg, tau)
    table = _opacity_table(temperature, composition)

    def opacity(at: float, log_pressure: float) -> float:
        return float(10 ** table(at, log_pressure)[0, 0])

    gravity = 10**logg
    log_top = 1.0
    for _ in range(_TOP_STEPS):
        log_top = math.log10(gravity * tau[0] / opacity(temperature[0], log_top))
    pressure = np.empty(n_depths)
    pressure[0] = 10**log_top
    for i in range(1, n_depths):
        step = tau[i] - tau[i - 1]
        above = gravity / opacity(temperature[i - 1], np.log10(pressure[i - 1]))
        here = pressure[i - 1] + above * step
        for _ in range(_DEPTH_STEPS):
            below = gravity / opacity(temperature[i], np.log10(here))
            here = pressure[i - 1] + 0.5 * step * (above + below)
        pressure[i] = here
    gas = gas_in_lte(temperature, pressure, composition)
    mean = np.array([opacity(t, np.log10(p)) for t, p in zip(temperature, pressure, strict=True)])
    return Atmosphere(tau, gas, mean * gas.density)


# --- radiation ---------------------------------------------------------------------------


def emergent_flux(
    structure: Atmosphere, wavelength: FloatArray, absorption: FloatArray
) -> FloatArray:
    """Flux that leaves an atmosphere in LTE.

    Parameters
    ----------
    structure : Atmosphere
    wavelength : (pixel,) array [Å]
    absorption : (depth, pixel) array [1/cm]

    Returns
    -------
    (pixel,) array [erg/s/cm²/Å]
    """
    depth = structure.optical_depth
    growth = absorption / structure.opacity[:, None] * depth[:, None]  # dτ_λ / d ln τ
    tau = np.empty_like(growth)
    tau[0] = growth[0]
    steps = 0.5 * (growth[1:] + growth[:-1]) * np.diff(np.log(depth))[:, None]
    tau[1:] = tau[0] + np.cumsum(steps, axis=0)
    source = planck(wavelength[None, :], structure.gas.temperature[:, None])
    kernel = expn(3, np.minimum(tau, _LARGEST_RATIO))
    inner = np.sum(0.5 * (source[1:] + source[:-1]) * (kernel[:-1] - kernel[1:]), axis=0)
    flux: FloatArray = 2 * np.pi * (source[0] * (0.5 - kernel[0]) + inner + source[-1] * kernel[-1])
    return flux


_FWHM: Final = 2.35482  # of a Gaussian, over σ
_CONTINUUM_KNOTS: Final = 330
_CONTINUUM_MARGIN: Final = (60.0, 50.0)  # Å, beyond the ends
_BALMER_EDGE: Final = (3640.0, 3645.0, 3648.0, 3652.0, 3660.0)  # further knots [Å]


def _smooth(flux: FloatArray, sampling: Sampling) -> FloatArray:
    """Convolve with the Gaussian of a resolution."""
    sigma = 1 / np.log(10) / sampling.resolution / _FWHM / sampling.step
    half = int(5 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return np.convolve(np.pad(flux, half, mode="edge"), kernel, "valid")


def _wing_strength(teff: float, logg: float) -> float:
    if logg < WHITE_DWARF_LOGG:
        return _STARK_WING
    return float(np.interp(teff, *_WHITE_DWARF_WING))


def synthesise(
    teff: float,
    logg: float,
    composition: Composition,
    wavelength: FloatArray,
    *,
    sampling: Sampling = LAMOST_SAMPLING,
    metals: bool = True,
    helium: tuple[HeliumLine, ...] | None = None,
    n_depths: int = N_DEPTHS,
) -> SyntheticSpectrum:
    """Compute the spectrum of a star.

    Parameters
    ----------
    teff, logg : float [K, dex]
    composition : Composition
    wavelength : (pixel,) array [Å, vacuum]
        Where the spectrum is wanted, within the sampling.
    sampling : Sampling
    metals : bool
        Whether metal lines are computed.
    helium : tuple of HeliumLine, optional
        Lines of He I; all of ``helium_lines.csv`` unless given.
    n_depths : int
        Points of the atmosphere.

    Returns
    -------
    SyntheticSpectrum

    Raises
    ------
    ModelError
        When the wavelengths leave the sampling, or the gas has no solution.
    """
    if wavelength[0] < sampling.first or wavelength[-1] > sampling.last:
        raise ModelError(
            f"wavelengths {wavelength[0]:.0f}–{wavelength[-1]:.0f} Å leave the computed "
            f"{sampling.first:.0f}–{sampling.last:.0f} Å; choose another sampling."
        )
    structure = atmosphere(teff, logg, composition, n_depths)
    gas = structure.gas
    log = np.arange(np.log10(sampling.first), np.log10(sampling.last), sampling.step)
    fine = 10**log
    ends = (sampling.first - _CONTINUUM_MARGIN[0], sampling.last + _CONTINUUM_MARGIN[1])
    knots = np.sort(np.concatenate([np.linspace(*ends, _CONTINUUM_KNOTS), _BALMER_EDGE]))
    at_knots = np.log(continuous_absorption(gas, knots))
    continuous = np.exp(np.array([np.interp(fine, knots, row) for row in at_knots]))
    continuous = continuous + gas.electrons[:, None] * THOMSON
    lines = LineAbsorption(gas, fine)
    lines.add_hydrogen(_wing_strength(teff, logg))
    if metals and composition.feh > _FEWEST_METALS:
        lines.add_metals()
    if composition.helium_ratio > NO_HELIUM:
        lines.add_helium(helium_lines() if helium is None else helium)
    ratio = photon_over_thermal(fine[None, :], gas.temperature[:, None])
    total = continuous + lines.total * (1 - np.exp(-ratio))
    flux = _smooth(emergent_flux(structure, fine, total), sampling)
    continuum = emergent_flux(structure, fine, continuous)
    if not (np.isfinite(flux).all() and (flux > 0).all()):
        raise ModelError(
            f"no spectrum at Teff {teff:.0f} K, log g {logg:.2f}: outside the range of the "
            "synthesis (6000–60,000 K)."
        )
    return SyntheticSpectrum(
        wavelength, np.interp(wavelength, fine, flux), np.interp(wavelength, fine, continuum)
    )
