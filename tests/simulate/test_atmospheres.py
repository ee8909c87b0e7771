"""Interpolated models against nodes left out, physics, and spectra of real stars."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.balmer.fit import fit_lines
from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.errors import ConfigError, ModelError
from msfa_core.simulate.atmospheres import (
    GRID_FILE,
    SOLAR_HELIUM,
    Lattice,
    grid_checksum,
    load_grid,
    model_flux,
    model_spectra,
    surface_magnitudes,
)
from msfa_core.spectra.spectrum import Spectra

WAVELENGTH = LAMOST_GRID.wavelength


def as_batch(flux):
    n = len(flux)
    return Spectra(
        obsid=np.arange(n) + 1,
        wavelength=WAVELENGTH,
        flux=np.asarray(flux, dtype=np.float64),
        ivar=np.full(flux.shape, 1e4) / np.median(flux, axis=1, keepdims=True) ** 2,
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.zeros(n),
    )


def equivalent_width(lines, centre, half=6.0):
    """Absorption of flux over continuum within ± half of a line [Å]."""
    near = np.abs(WAVELENGTH - centre) < half
    return np.trapezoid(1 - lines[:, near], WAVELENGTH[near], axis=1)


def error_of_left_out_nodes(kind, axis, interior):
    """rms difference of ln flux at nodes interpolated between their next neighbours."""
    lattice = load_grid()[kind]
    nodes = lattice.axes[axis]
    axes = {
        name: (np.delete(v, interior) if name == axis else v) for name, v in lattice.axes.items()
    }
    shape = [len(v) for v in lattice.axes.values()]
    which = list(lattice.axes).index(axis)
    table = lattice.tables["lines"].reshape(*shape, -1)
    thinned = np.delete(table, interior, axis=which).reshape(-1, table.shape[-1])
    points = np.meshgrid(*[nodes[[interior]] if k == axis else v for k, v in lattice.axes.items()])
    at = {name: p.ravel() for name, p in zip(lattice.axes, points, strict=True)}
    truth = lattice.weights(at) @ lattice.tables["lines"]
    guess = Lattice(axes, {}).weights(at) @ thinned
    inside = (WAVELENGTH > 4000) & (WAVELENGTH < 7000)
    return np.sqrt(np.mean((guess - truth)[:, inside] ** 2, axis=1))


def test_the_grid_is_small_and_its_checksum_is_in_the_data_readme():
    assert GRID_FILE.stat().st_size < 5e6
    assert grid_checksum() in (GRID_FILE.parents[1] / "README.md").read_text(encoding="utf-8")


def test_a_missing_or_foreign_grid_is_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        load_grid(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", wave=np.arange(3))
    with pytest.raises(ModelError, match="not a grid"):
        load_grid(tmp_path / "other.npz")


def test_unknown_kinds_are_refused_and_stars_outside_the_grid_are_nan():
    with pytest.raises(ConfigError, match="planet"):
        model_flux("planet", 8000.0, 4.0)
    flux = model_flux("ms", [8000.0, 80_000.0, 8000.0], [4.0, 4.0, 9.0])
    assert np.isfinite(flux).all(axis=1).tolist() == [True, False, False]
    assert np.isnan(surface_magnitudes("wd", 8000.0, 4.0)).all()


def test_every_node_of_the_lattices_is_returned_as_it_is():
    lattice = load_grid()["wd"]
    teff, logg = np.meshgrid(lattice.axes["teff"], lattice.axes["logg"], indexing="ij")
    models = model_spectra("wd", teff.ravel(), logg.ravel(), core_departure=0.0)
    np.testing.assert_allclose(np.log(models.lines), lattice.tables["lines"], atol=2e-6)
    np.testing.assert_allclose(
        np.log(models.continuum[:, ::16]), lattice.tables["continuum"], atol=2e-5
    )


@pytest.mark.parametrize(
    ("kind", "axis", "limit"),
    [("ms", "teff", 0.020), ("ms", "logg", 0.025), ("ms", "feh", 0.006), ("wd", "teff", 0.012)],
)
def test_nodes_left_out_are_interpolated_from_the_nodes_around_them(kind, axis, limit):
    """Over twice the node spacing, so the true error is about a quarter of this."""
    nodes = load_grid()[kind].axes[axis]
    errors = [error_of_left_out_nodes(kind, axis, k) for k in range(1, len(nodes) - 1)]
    assert np.median(np.concatenate(errors)) < limit


def test_lines_lie_at_their_vacuum_wavelengths():
    """Balmer cores of metal-poor stars, on the mean: a thousandth of a pixel is 0.07 km/s."""
    models = model_spectra("ms", [8500.0, 9000.0, 15_000.0], [4.0, 3.5, 4.0], -2.5)
    for lines in np.log(models.lines):
        offsets = []
        for line in (4102.892, 4341.692, 4862.71, 6564.60):
            velocity = SPEED_OF_LIGHT * np.log(WAVELENGTH / line)
            near = np.abs(velocity) < 180
            slope = np.polyder(np.polyfit(velocity[near], lines[near], 4))
            turns = np.roots(slope)
            offsets.append(turns[np.argmin(np.abs(turns))].real)
        assert abs(np.mean(offsets)) < 0.6


def test_the_last_continuum_goes_on_to_the_end_of_the_spectrum():
    models = model_spectra("wd", [9000.0, 20_000.0], 8.0)  # no line near 9100 Å but Paschen wings
    steps = np.diff(models.lines[:, -12:], axis=1)
    assert np.abs(np.diff(steps, axis=1)).max() < 2.6 * 2.5e-4  # the coding of the grid


def test_balmer_lines_widen_with_gravity_at_8500_to_9500_kelvin():
    logg = np.arange(2.5, 4.51, 0.25)
    for teff in (8500.0, 8800.0, 9200.0, 9500.0):
        for feh in (-1.5, 0.0):
            fits = fit_lines(as_batch(model_flux("ms", np.full(len(logg), teff), logg, feh)))
            assert np.all(np.diff(fits.d02, axis=0) > 0.3)


def test_metal_lines_deepen_with_iron_and_helium_lines_fade_with_helium():
    feh = np.arange(-3.0, 0.51, 0.25)
    models = model_spectra("ms", 8500.0, 3.5, feh)
    for line in (3934.777, 4482.39, 5170.5):
        assert np.all(np.diff(equivalent_width(models.lines, line)) > 0)
    helium = np.array([-3.0, -2.5, -2.0, -1.5, SOLAR_HELIUM])
    hot = model_spectra("ms", 15_000.0, 4.2, 0.0, helium)
    assert np.all(np.diff(equivalent_width(hot.lines, 4472.76, 4.0)) > 0.005)
    subdwarfs = model_spectra("sd", 33_000.0, 5.6, helium=helium)
    assert np.all(np.diff(equivalent_width(subdwarfs.lines, 4472.76, 4.0)) > 0.005)


def test_metallic_line_stars_have_weak_calcium_beside_strong_iron_and_strontium():
    normal = model_spectra("ms", 7800.0, 4.0, 0.1).lines
    am = model_spectra("ms", 7800.0, 4.0, 0.1, peculiarity="am", strength=1.0).lines
    change = {
        line: (equivalent_width(am, line, 3.0) - equivalent_width(normal, line, 3.0))[0]
        for line in (3934.777, 4078.86, 4923.9)
    }
    assert change[3934.777] < -0.5
    assert change[4078.86] > 0.1
    assert change[4923.9] > 0.03


def test_departures_from_lte_deepen_the_cores_only():
    lte = model_spectra("ms", 9000.0, 3.5, -1.0, core_departure=0.0).lines[0]
    star = model_spectra("ms", 9000.0, 3.5, -1.0).lines[0]
    ratio = star / lte
    core = np.argmin(np.abs(WAVELENGTH - 6564.6))
    assert 0.8 < ratio[core] < 0.9
    assert np.abs(ratio[np.abs(WAVELENGTH - 6564.6) > 10][2000:] - 1).max() < 0.02


def test_hotter_stars_are_bluer_and_brighter_per_surface():
    teff = np.array([6000, 7000, 8000, 9000, 10_000, 12_000, 15_000, 20_000, 25_000.0])
    g, bp, rp = surface_magnitudes("ms", teff, 4.0).T
    assert np.all(np.diff(bp - rp) < 0)
    assert np.all(np.diff(g) < 0)
    assert abs(np.interp(9550.0, teff, bp - rp)) < 0.03


@pytest.mark.real
def test_models_look_like_real_stars_of_their_parameters(real_data):
    from scipy.ndimage import gaussian_filter1d

    table = pd.read_csv(real_data / "MANIFEST.csv")
    stars = table[
        table["path"].str.startswith("miles")
        & table["teff"].between(7000, 16_000)
        & table["logg"].between(2.5, 4.5)
        & table["feh"].between(-3, 0.3)
        & table["object_class"].isin(["A", "BHB"])
        & ~table["subclass"].str.contains("m|p", regex=True)
    ]
    window = (WAVELENGTH > 4000) & (WAVELENGTH < 4600)
    rms = {}
    for star in stars.itertuples():
        own, flux = read_library_star(real_data / star.path)
        observed = np.interp(WAVELENGTH, own, flux)[window]
        model = gaussian_filter1d(model_flux("ms", star.teff, star.logg, star.feh)[0], 0.6)[window]
        x = np.linspace(-1, 1, window.sum())
        ratio = observed / model
        smooth = np.polynomial.chebyshev.Chebyshev.fit(x, ratio, 5)(x)
        rms[f"{star.object_class} {star.notes}"] = float(np.std(ratio / smooth - 1))
    bhb = [value for name, value in rms.items() if name.startswith("BHB")]
    assert len(bhb) == 5
    assert max(bhb) < 0.025
    assert len(rms) > 20
    assert np.median(list(rms.values())) < 0.02
    assert np.mean(np.array(list(rms.values())) < 0.04) == 1.0


def read_library_star(path):
    from astropy.io import fits

    with fits.open(path) as units:
        flux = units[0].data.astype(np.float64).ravel()
        header = units[0].header
        air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux))
    s = (1e4 / air) ** 2
    return air * (1 + 1e-6 * (64.328 + 29498.1 / (146 - s) + 255.4 / (41 - s))), flux


@pytest.mark.real
def test_white_dwarfs_have_the_line_profiles_of_an_independent_grid(real_data):
    with np.load(real_data / "koester" / "koester_da_R1800_vac.npz") as file:
        wave, flux = file["wave"], file["flux"]
        teff, logg = file["params"].T
    chosen = np.flatnonzero((logg == 8.0) & np.isin(teff, [8000, 10_000, 12_000, 16_000, 20_000]))
    assert len(chosen) == 5
    theirs = np.array([np.interp(WAVELENGTH, wave, flux[k]) for k in chosen])
    ours = model_flux("wd", teff[chosen], logg[chosen])
    window = (WAVELENGTH > 4000) & (WAVELENGTH < 4700)
    x = np.linspace(-1, 1, window.sum())
    for mine, other in zip(ours[:, window], theirs[:, window], strict=True):
        ratio = mine / other
        smooth = np.polynomial.chebyshev.Chebyshev.fit(x, ratio, 2)(x)
        assert np.std(ratio / smooth) < 0.025
