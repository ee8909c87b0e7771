"""Line indices: known equivalent widths, the switch of KP, and NaN where nothing was seen."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx
from simulated_lines import simulated_lines

from msfa_core.balmer.fit import fit_lines
from msfa_core.balmer.indices import (
    CA_K_BANDS,
    EW_BANDS,
    Band,
    calcium_k,
    equivalent_widths,
    line_indices,
    without_wrong_frames,
)
from msfa_core.columns import columns_of
from msfa_core.constants import (
    EW_REPEAT_ERROR,
    KP_REPEAT_ERROR,
    LAMOST_GRID,
    LINE_LIST,
    SPEED_OF_LIGHT,
)
from msfa_core.errors import ConfigError
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.spectrum import Spectra

CENTRES = {
    "ew_mgii4481": LINE_LIST["Mg II 4481"][0],
    "ew_hei4471": LINE_LIST["He I 4471"][0],
    "ew_siii4130": 0.5 * (LINE_LIST["Si II 4128"][0] + LINE_LIST["Si II 4131"][0]),
    "ew_feii4233": LINE_LIST["Fe II 4233"][0],
}


def gaussian_lines(widths, n=1, snr=1e5, z=0.0, sigma=1.0, seed=0):
    """Flat spectra with Gaussian absorption lines: centre -> equivalent width [Å]."""
    wavelength = LAMOST_GRID.wavelength[200:1200]
    rest = wavelength / (1 + z)
    flux = 3.0 - 2e-4 * (rest - 4200)
    depth = np.zeros_like(rest)
    for centre, width in widths.items():
        depth += (
            width / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((rest - centre) / sigma) ** 2)
        )
    error = 3.0 / snr
    noise = np.random.default_rng(seed).normal(0, error, (n, len(rest)))
    shape = (n, len(rest))
    return Spectra(
        obsid=np.arange(n),
        wavelength=wavelength,
        flux=flux * (1 - depth) + noise,
        ivar=np.full(shape, error**-2),
        mask=np.zeros(shape, dtype=bool),
        z=np.full(n, z),
    )


@pytest.mark.parametrize("z", [0.0, 0.0012])
@pytest.mark.parametrize("name", CENTRES)
def test_the_equivalent_width_put_in_comes_back(name, z):
    row = line_indices(gaussian_lines({CENTRES[name]: 0.4}, z=z)).iloc[0]
    assert row[name] == approx(0.4, abs=0.01)
    for other in set(CENTRES) - {name, "ew_hei4471", "ew_mgii4481"}:
        assert row[other] == approx(0, abs=0.01)


@pytest.mark.parametrize(("width", "chosen"), [(1.2, "k6"), (3.5, "k12"), (8.0, "k18")])
def test_kp_widens_its_band_before_it_saturates(width, chosen):
    sigma = {1.2: 1.0, 3.5: 2.0, 8.0: 4.0}[width]
    table = calcium_k(gaussian_lines({LINE_LIST["Ca II K"][0]: width}, sigma=sigma))
    assert table["kp"][0] == table[chosen][0]
    noise, repeats = table[f"{chosen}_err"][0], float(KP_REPEAT_ERROR) * table["kp"][0]
    assert table["kp_err"][0] == approx(np.hypot(noise, repeats))
    assert table["k6"][0] < table["k12"][0] < table["k18"][0] or chosen == "k6"


def test_the_bands_of_beers_are_moved_from_air_to_vacuum():
    assert air_to_vacuum(3933.66) == approx(3934.777, abs=0.01)
    band = CA_K_BANDS["k6"]
    assert (band.low, band.high) == (approx(3931.81, abs=0.01), approx(3937.81, abs=0.01))
    assert 0.5 * (band.low + band.high) == approx(LINE_LIST["Ca II K"][0], abs=0.1)


def test_the_errors_are_those_of_the_scatter():
    noisy = gaussian_lines({CENTRES["ew_mgii4481"]: 0.3, 3934.8: 1.0}, n=1500, snr=40)
    table = line_indices(noisy)
    for name in ("kp", *EW_BANDS):
        scatter = table[name].std()
        if name == "kp":
            beyond = float(KP_REPEAT_ERROR) * table[name].median()
        else:
            beyond = float(EW_REPEAT_ERROR) * (EW_BANDS[name].high - EW_BANDS[name].low)
        assert np.hypot(scatter, beyond) == approx(table[f"{name}_err"].median(), rel=0.1)


def test_a_pure_balmer_wing_is_no_silicon():
    spectra, _ = simulated_lines(200, 1e5, np.random.default_rng(1), shape=(0.9, 1.2))
    table = line_indices(spectra)
    assert table["ew_siii4130"].abs().median() < 0.06


def test_a_band_that_is_not_covered_is_nan():
    spectra = gaussian_lines({4482.4: 0.3}, n=4)
    mask = spectra.mask.copy()
    mask[1] |= np.abs(spectra.wavelength - 4482.4) < 2
    mask[2] |= (spectra.wavelength > 4487) & (spectra.wavelength < 4499)
    z = np.array([0.0, 0.0, 0.0, np.nan])
    table = line_indices(replace(spectra, mask=mask, z=z))
    assert np.isfinite(table.loc[0, "ew_mgii4481"])
    assert table.loc[1:, "ew_mgii4481"].isna().all()
    assert table.loc[1:, "ew_mgii4481_err"].isna().all()
    assert np.isfinite(table.loc[1, "ew_feii4233"])
    assert table.loc[3].drop("obsid").isna().all()
    red = replace(spectra, z=np.full(4, 0.3))
    assert line_indices(red)["kp"].isna().all()


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan])
def test_flux_without_a_continuum_gives_nan(factor):
    spectra = gaussian_lines({4482.4: 0.3})
    table = line_indices(replace(spectra, flux=spectra.flux * factor))
    assert table.drop(columns="obsid").isna().all(axis=None)


def test_the_columns_are_those_of_the_contract():
    table = line_indices(gaussian_lines({}))
    contract = [column.name for column in columns_of("measure")]
    assert list(table.columns[1:]) == contract[contract.index("kp") :]
    assert table.columns[0] == "obsid"


def test_bands_do_not_depend_on_the_batch_they_are_in():
    spectra = gaussian_lines({4482.4: 0.3}, n=5, snr=50)
    together = equivalent_widths(spectra, EW_BANDS)
    alone = equivalent_widths(spectra[[3]], EW_BANDS)
    assert together.iloc[3].drop("obsid").tolist() == alone.iloc[0].drop("obsid").tolist()


@pytest.mark.parametrize("shift", [300.0, -300.0])
def test_indices_of_a_wrong_redshift_are_none(shift):
    """Ca II K would be counted 4 Å beside the line."""
    right, _ = simulated_lines(20, 40.0, np.random.default_rng(5))
    kept = without_wrong_frames(line_indices(right), fit_lines(right))
    assert kept["kp"].notna().all()
    wrong = replace(right, z=right.z + shift / SPEED_OF_LIGHT)
    found = without_wrong_frames(line_indices(wrong), fit_lines(wrong))
    assert line_indices(wrong)["kp"].notna().all()
    assert found.drop(columns="obsid").isna().all(axis=None)
    assert found["obsid"].tolist() == right.obsid.tolist()


def test_a_pseudo_continuum_that_would_not_be_fitted_is_refused():
    with pytest.raises(ConfigError, match="degree 3 is not fitted: give 0 to 2"):
        Band(4126.0, 4135.2, ((4114.0, 4120.0), (4135.7, 4143.2)), degree=3)
