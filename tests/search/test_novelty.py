"""Novelty: what is unlike the training set stands out, at every noise, and the number means it."""

import numpy as np
import pytest
from library_spectra import at_lamost, library_stars, manifest, read_miles
from pytest import approx

from msfa_core.constants import NETWORK_GRID
from msfa_core.errors import ModelError
from msfa_core.networks.weights import MODELS_FOLDER, NOVELTY_FILE, read_checksums, sha256_of
from msfa_core.search.novelty import NoveltyModel, fit_novelty, pixel_noise
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra import prepare, read_spectrum
from msfa_core.spectra.spectrum import PreparedSpectra

WAVELENGTH = NETWORK_GRID.wavelength
BALMER = (4102.9, 4341.7, 4862.7, 6564.6)


def spectra(n, rng, strange=0.0, snr=(10.0, 200.0)):
    """Slopes with Balmer lines of many widths; the strange ones have bands of molecules too."""
    slope = rng.uniform(-0.3, 0.6, (n, 1))
    flux = (WAVELENGTH / 5500.0) ** (-3 * slope)
    width, depth = rng.uniform(8, 40, (n, 1)), rng.uniform(0.3, 0.7, (n, 1))
    for line in BALMER:
        flux = flux * (1 - depth * np.exp(-(((WAVELENGTH - line) / width) ** 2)))
    for band in (4960.0, 5450.0, 6160.0):
        flux = flux * (1 - strange * np.exp(-(((WAVELENGTH - band) / 60.0) ** 2)))
    ratio = np.exp(rng.uniform(*np.log(snr), (n, 1)))
    flux = flux + rng.normal(0, 1, flux.shape) / ratio
    flux -= flux.min(axis=1, keepdims=True)
    flux /= flux.max(axis=1, keepdims=True)
    return flux.astype(np.float32)


def prepared(flux):
    return PreparedSpectra(np.arange(len(flux)), flux)


def auc(usual, strange):
    """Share of pairs of which the strange one has the higher novelty."""
    usual, strange = np.asarray(usual)[:, None], np.asarray(strange)[None]
    return np.mean((strange > usual) + 0.5 * (strange == usual))


@pytest.fixture(scope="module")
def model():
    return fit_novelty(spectra(3000, np.random.default_rng(1)))


def test_the_noise_of_pixels_is_found_beside_lines():
    rng = np.random.default_rng(2)
    clean = spectra(5, rng, snr=(1e6, 1e7)).astype(np.float64)
    noisy = clean + rng.normal(0, 0.03, clean.shape)
    assert pixel_noise(noisy) == approx(np.full(5, 0.03), rel=0.06)


@pytest.mark.parametrize("snr", [(10, 30), (30, 200)])
def test_novelty_two_is_one_in_a_hundred_of_new_spectra_at_any_noise(model, snr):
    novelty = model.score(prepared(spectra(1500, np.random.default_rng(3), snr=snr)))
    for level, tolerance in ((0.5, 0.09), (1.0, 0.04), (2.0, 0.011)):
        assert (novelty > level).mean() == approx(10**-level, abs=tolerance)


def test_strange_spectra_stand_out_at_low_and_high_noise(model):
    rng = np.random.default_rng(4)
    for snr in ((10, 12), (100, 200)):
        usual = model.score(prepared(spectra(150, rng, snr=snr)))
        strange = model.score(prepared(spectra(150, rng, strange=0.3, snr=snr)))
        assert auc(usual, strange) > 0.98
        assert np.median(strange) > 2


def test_more_of_the_strange_is_stranger_without_an_upper_limit(model):
    levels = [
        model.score(prepared(spectra(1, np.random.default_rng(5), strange=s, snr=(50, 51))))[0]
        for s in (0.01, 0.05, 0.2, 0.4)
    ]
    assert np.all(np.diff(levels) > 0)
    assert np.isfinite(levels).all() and levels[-1] > 4


def test_a_spectrum_that_could_not_be_prepared_has_no_novelty(model):
    flux = spectra(3, np.random.default_rng(6))
    flux[1, 5] = np.nan
    novelty = model.score(prepared(flux))
    assert np.isnan(novelty).tolist() == [False, True, False]
    assert model.score(prepared(flux[[2]]))[0] == approx(novelty[2])
    assert model.score(prepared(flux[:0])).shape == (0,)


def test_a_model_reads_back_to_the_same_numbers_and_the_same_file(model, tmp_path):
    path = model.save(tmp_path / NOVELTY_FILE)
    flux = prepared(spectra(50, np.random.default_rng(7)))
    again = NoveltyModel.load(path, sha256_of(path))
    assert again.score(flux) == approx(model.score(flux), abs=1e-3)
    assert again.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_an_altered_or_foreign_file_is_refused(model, tmp_path):
    path = model.save(tmp_path / NOVELTY_FILE)
    with pytest.raises(ModelError, match="was altered"):
        NoveltyModel.load(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match="no novelty model"):
        NoveltyModel.load(path)
    with pytest.raises(ModelError, match="no novelty model"):
        NoveltyModel.load(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "pickle.npz", mean=np.array([{}], dtype=object))
    with pytest.raises(ModelError, match="no novelty model"):
        NoveltyModel.load(tmp_path / "pickle.npz")


def test_too_few_or_equal_training_spectra_are_refused():
    flux = spectra(30, np.random.default_rng(8))
    with pytest.raises(ModelError, match="too few"):
        fit_novelty(flux[:5])
    with pytest.raises(ModelError, match="all alike"):
        fit_novelty(np.repeat(flux[:1], 30, axis=0))


def test_the_shipped_novelty_is_listed_loaded_and_knows_its_own_stars():
    assert NOVELTY_FILE in read_checksums(MODELS_FOLDER)
    search = TwoStageSearch.load()
    assert NOVELTY_FILE in search.weights_checksum
    stars, truth = simulate_chunk(SurveyPlan(240, seed=909, snr_range=(10, 200), chunk=240), 0)
    novelty = search.novelty.score(prepare(stars))
    assert (novelty > 1).mean() == approx(0.1, abs=0.08)
    assert (novelty > 2).mean() < 0.05
    assert truth["true_class"].nunique() == 5


@pytest.mark.real
def test_real_stars_of_other_kinds_are_stranger_than_real_hot_stars(real_data):
    novelty = TwoStageSearch.load().novelty
    rng = np.random.default_rng(9)
    hot = [
        at_lamost(read_miles(path), 10 ** rng.uniform(1, 1.9), rng)
        for path in library_stars(real_data, "miles")
    ]
    usual = novelty.score(prepare(hot))
    table = manifest(real_data)
    table = table[table.index.str.startswith("lamost/") & (table["snrg"] > 10)]
    for kind in ("F", "G", "K", "M"):
        paths = table.index[table["object_class"] == kind][:25]
        strange = novelty.score(prepare([read_spectrum(real_data / path) for path in paths]))
        assert auc(usual, strange[np.isfinite(strange)]) >= (0.92 if kind == "F" else 0.95), kind
    assert (usual > 2).mean() < 0.1
