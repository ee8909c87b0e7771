"""The synthesis against exact cases, physics, and the nodes of the shipped grid made with it."""

import functools

import numpy as np
import pytest

from msfa_core.balmer.fit import fit_lines
from msfa_core.constants import BALMER_LINES, HEPSILON
from msfa_core.errors import ModelError
from msfa_core.simulate.atmospheres import SOLAR_HELIUM, load_grid
from msfa_core.spectra.spectrum import Spectra
from msfa_core.workshop.grid_nodes import (
    GRID_WAVELENGTH,
    PATTERN_FEH,
    node_spectrum,
    peculiar_node,
    star_node,
)
from msfa_core.workshop.line_opacity import (
    LineAbsorption,
    air_to_vacuum,
    helium_lines,
    metal_lines,
    oscillator_strength,
)
from msfa_core.workshop.opacity import (
    ELEMENTS,
    Composition,
    continuous_absorption,
    gas_in_lte,
    occupation,
    planck,
)
from msfa_core.workshop.synthesis import (
    Atmosphere,
    atmosphere,
    emergent_flux,
    synthesise,
    temperature_law,
)

STEFAN_BOLTZMANN = 5.670374e-5  # erg/s/cm²/K⁴
CODING = 2.6e-4  # of ln flux: half a step of each of two coded spectra
POOR = Composition(SOLAR_HELIUM, -2.5, 0.3)

spectrum_of = functools.cache(node_spectrum)


def equivalent_width(spectrum, centre, half=5.0):
    near = np.abs(GRID_WAVELENGTH - centre) < half
    return np.trapezoid((1 - spectrum[0] / spectrum[1])[near], GRID_WAVELENGTH[near])


def stored(kind, table, **at):
    lattice = load_grid()[kind]
    points = {name: np.array([value]) for name, value in at.items()}
    return (lattice.weights(points) @ lattice.tables[table])[0]


def test_an_isothermal_atmosphere_shines_like_a_black_body():
    depth = np.logspace(-5, 2, 40)
    gas = gas_in_lte(np.full(40, 9000.0), np.logspace(1, 5, 40), POOR)
    structure = Atmosphere(depth, gas, np.ones(40))
    wavelength = np.array([3800.0, 5000.0, 9000.0])
    flux = emergent_flux(structure, wavelength, np.outer(np.ones(40), [0.5, 1.0, 40.0]))
    np.testing.assert_allclose(flux, np.pi * planck(wavelength, np.array(9000.0)), rtol=1e-12)


def test_a_black_body_radiates_the_fourth_power_of_its_temperature():
    wavelength = np.logspace(2.0, 6.5, 4000)
    for temperature in (6000.0, 30_000.0):
        total = np.pi * np.trapezoid(planck(wavelength, np.array(temperature)), wavelength)
        assert total == pytest.approx(STEFAN_BOLTZMANN * temperature**4, rel=1e-4)


def test_gas_is_neutral_and_hydrogen_follows_saha():
    temperature = np.array([6000.0, 9000.0, 12_000.0, 20_000.0, 40_000.0])
    gas = gas_in_lte(temperature, np.full(5, 1e4), Composition(-1.0, -0.5))
    protons = gas.hydrogen - gas.neutral_hydrogen
    free = protons + 0.1 * gas.hydrogen * (gas.helium_ions[1] + 2 * gas.helium_ions[2])
    for name, ions in gas.metal_ions.items():
        np.testing.assert_allclose(sum(ions), 1.0)
        metal = gas.hydrogen * gas.composition.abundance(name)
        free += metal * sum(charge * ion for charge, ion in enumerate(ions))
    np.testing.assert_allclose(free, gas.electrons, rtol=1e-9)
    saha = 2.4146e15 * temperature**1.5 * np.exp(-157_800 / temperature)
    expected = saha / gas.electrons
    np.testing.assert_allclose(protons / gas.neutral_hydrogen, expected, rtol=2e-3)
    assert np.all(np.diff(protons / gas.hydrogen) > 0)


def test_alpha_elements_and_patterns_change_their_own_abundances_only():
    plain = Composition(-1.0, -1.5)
    rich = Composition(-1.0, -1.5, alpha=0.3, pattern={"Sr": 1.0})
    change = {name: np.log10(rich.abundance(name) / plain.abundance(name)) for name in ELEMENTS}
    expected = dict.fromkeys(("O", "Mg", "Si", "Ca", "Ti"), 0.3) | {"Sr": 1.0}
    assert change == pytest.approx({name: expected.get(name, 0.0) for name in ELEMENTS})


def test_high_levels_dissolve_first_and_sooner_in_dense_gas():
    levels = np.arange(2.0, 30.0)
    thin, dense = (occupation(np.array(n), np.array(1e4), levels) for n in (1e13, 1e16))
    assert np.all(np.diff(thin) <= 0)
    assert np.all(dense <= thin)
    assert thin[0] > 0.999
    assert dense[-1] < 0.01


def test_hydrogen_absorbs_in_an_edge_at_3647_angstrom_that_fades_redward():
    gas = gas_in_lte(np.array([9000.0]), np.array([1e3]), POOR)
    blue, pseudo, red = continuous_absorption(gas, np.array([3600.0, 3700.0, 4000.0]))[0]
    assert blue > 8 * red
    assert blue > pseudo > red


def test_wavelengths_and_oscillator_strengths_are_those_of_the_lines():
    for air, vacuum in ((4861.35, BALMER_LINES["hbeta"]), (3970.08, HEPSILON)):
        assert air_to_vacuum(air) == pytest.approx(float(vacuum), abs=0.01)
    strengths = [oscillator_strength(2, upper) for upper in range(3, 31)]
    assert strengths[:2] == [0.6407, 0.1193]
    assert np.all(np.diff(strengths) < 0)
    assert oscillator_strength(3, 8) == pytest.approx(0.01604, rel=1e-3)  # Paschen
    assert oscillator_strength(3, 10) == pytest.approx(0.006983, rel=1e-3)


def test_line_tables_name_known_elements_within_the_grid():
    assert len(metal_lines()) == 94
    assert len(helium_lines()) == 18
    for line in metal_lines():
        assert line.ion < len(ELEMENTS[line.element].stages)
        assert 3700 < line.wavelength_air < 9100


def test_hydrogen_lines_keep_their_strength_whatever_their_width():
    """The profile is normalised, so wings of twice the strength only take from the core."""
    gas = gas_in_lte(np.array([9000.0]), np.array([3e2]), POOR)
    wavelength = np.arange(6000.0, 7130.0, 0.01)
    total = {}
    for wing in (3.0, 4.0):
        lines = LineAbsorption(gas, wavelength)
        lines.add_hydrogen(wing)
        total[wing] = np.trapezoid(lines.total[0], wavelength)
    assert total[4.0] == pytest.approx(total[3.0], rel=0.1)


def test_temperature_is_about_effective_at_optical_depth_two_thirds():
    for teff, logg in ((7000.0, 4.0), (9750.0, 3.0), (20_000.0, 8.0)):
        law = temperature_law(teff, logg, np.array([1e-3, 0.1, 2 / 3, 10.0]))
        assert law[2] == pytest.approx(teff, rel=0.09)
        assert np.all(np.diff(law) > 0)


def test_pressure_grows_with_depth_and_carries_the_weight_above():
    structure = atmosphere(9000.0, 3.5, POOR, n_depths=48)
    gas = structure.gas
    particles = gas.electrons + gas.hydrogen * (1 + POOR.helium_ratio)
    pressure = particles * 1.380649e-16 * gas.temperature
    gradient = np.diff(pressure) / np.diff(structure.optical_depth)
    weight = 10**3.5 * gas.density / structure.opacity
    np.testing.assert_allclose(gradient, 0.5 * (weight[1:] + weight[:-1]), rtol=1e-3)


def test_nodes_of_the_shipped_grid_are_synthesised_again():
    """At [Fe/H] −3 the grid is the node at −2.5 plus the difference of two synthetic spectra."""
    own = [np.log(spectrum_of(star_node(8500.0, 3.5, feh)).astype(float)) for feh in (-3.0, -2.5)]
    at = {"teff": 8500.0, "logg": 3.5}
    lines = stored("ms", "lines", feh=-3.0, **at) - stored("ms", "lines", feh=-2.5, **at)
    mine = (own[0][0] - own[0][1]) - (own[1][0] - own[1][1])
    assert np.abs(mine - lines).max() < CODING
    smooth = stored("ms", "continuum", feh=-3.0, **at) - stored("ms", "continuum", feh=-2.5, **at)
    assert np.abs((own[0][1] - own[1][1])[::16] - smooth).max() < CODING


def test_the_metallic_line_pattern_of_the_shipped_grid_is_synthesised_again():
    normal, am = (
        spectrum_of(node).astype(float)
        for node in (star_node(8000.0, 4.0, PATTERN_FEH), peculiar_node(8000.0, 4.0, "am"))
    )
    change = np.log(am[0] / am[1]) - np.log(normal[0] / normal[1])
    shipped = stored("am", "lines", teff=8000.0, logg=4.0)
    assert shipped.std() > 20 * CODING  # a pattern, not zeros
    assert np.abs(change - shipped).max() < CODING
    assert np.sqrt(np.mean((change - shipped) ** 2)) < 0.002


def test_balmer_lines_widen_with_gravity():
    flux = np.array(
        [synthesise(8500.0, logg, POOR, GRID_WAVELENGTH, n_depths=32).flux for logg in (3.0, 4.0)]
    )
    batch = Spectra(
        obsid=np.arange(2) + 1,
        wavelength=GRID_WAVELENGTH,
        flux=flux,
        ivar=np.full(flux.shape, 1e4) / np.median(flux, axis=1, keepdims=True) ** 2,
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.zeros(2),
    )
    assert np.all(np.diff(fit_lines(batch).d02, axis=0) > 2.0)


def test_metal_lines_deepen_with_metallicity():
    poor, rich = (spectrum_of(star_node(8500.0, 3.5, feh)) for feh in (-3.0, -2.5))
    for line in (4482.39, 5170.5):
        assert equivalent_width(rich, line, 3.0) > 1.5 * equivalent_width(poor, line, 3.0)
    assert equivalent_width(rich, 3934.777) > equivalent_width(poor, 3934.777) + 0.05


def test_hotter_stars_shine_more_at_every_wavelength_and_lines_only_absorb():
    wavelength = GRID_WAVELENGTH[::8]
    spectra = [
        synthesise(teff, 3.5, POOR, wavelength, metals=False, n_depths=32)
        for teff in (7500.0, 9500.0)
    ]
    cool, hot = spectra
    assert np.all(hot.flux > cool.flux)
    assert np.all(hot.continuum > cool.continuum)
    for teff, spectrum in zip((7500.0, 9500.0), spectra, strict=True):
        assert np.all(spectrum.flux < 1.0001 * spectrum.continuum)
        share = np.trapezoid(spectrum.flux, wavelength) / (STEFAN_BOLTZMANN * teff**4)
        assert 0.3 < share < 0.6  # of all light, between 3700 and 9100 Å


def test_half_the_depth_points_give_the_same_spectrum():
    spectrum = spectrum_of(star_node(8500.0, 3.5, -2.5))
    coarse = synthesise(8500.0, 3.5, POOR, GRID_WAVELENGTH, n_depths=32)
    assert np.sqrt(np.mean((coarse.flux / spectrum[0] - 1) ** 2)) < 0.01


def test_a_spectrum_without_helium_or_metals_has_hydrogen_lines_only():
    hydrogen = Composition(-np.inf, -9.0)
    spectrum = synthesise(14_000.0, 8.0, hydrogen, GRID_WAVELENGTH, metals=False, n_depths=32)
    lines = np.array([spectrum.flux, spectrum.continuum])
    assert abs(equivalent_width(lines, 5877.25)) < 0.1
    assert equivalent_width(lines, 4862.71) > 3.0


def test_wavelengths_outside_the_computed_range_are_refused():
    with pytest.raises(ModelError, match="another sampling"):
        synthesise(9000.0, 4.0, POOR, np.linspace(3000.0, 5000.0, 100))
