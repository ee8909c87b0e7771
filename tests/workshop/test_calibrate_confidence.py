"""The calibration of the confidence gives back what made the sample."""

from types import SimpleNamespace

import numpy as np
import pytest
from pytest import approx

from msfa_core.errors import ReadError
from msfa_core.spectra.spectrum import Spectra
from msfa_core.templates.confidence import Calibration, EndCalibration
from msfa_core.workshop.calibrate_confidence import (
    Sample,
    agreement,
    draw,
    fitted,
    is_for_calibration,
    predicted,
    reliability,
    sample,
    with_noise,
)

TRUTH = Calibration(EndCalibration(-0.6, 0.4), EndCalibration(-1.0, 0.4))


@pytest.fixture(scope="module")
def made():
    """6000 matches whose agreement is drawn from a known confidence."""
    rng = np.random.default_rng(12)
    n = 6000
    blue = 10 ** rng.uniform(-1.6, 0.8, n)
    red = blue * 10 ** rng.normal(-0.4, 0.05, n)
    bend = np.abs(rng.normal(0, 0.02, n))
    share = rng.choice([0.25, 0.5, 0.6, 0.8], n)
    half = rng.random(n) < 0.5
    noise = np.where(blue < 0.1, 1.0, 0.3)
    which = np.full(n, "A"), np.arange(n)
    empty = Sample(blue, red, bend, bend, share, np.zeros(n, bool), half, noise, *which)
    agrees = rng.random(n) < 0.95 * predicted(TRUTH, empty) / 100
    return Sample(blue, red, bend, bend, share, agrees, half, noise, *which)


def test_the_fit_gives_back_the_f_that_drew_the_sample(made):
    found = fitted(made.take(made.calibrates), "a test")
    assert found.blue.typical == approx(-0.6, abs=0.12)
    assert found.red.typical - found.blue.typical == approx(-0.4, abs=0.02)
    assert found.blue.width == approx(0.4, abs=0.08)
    assert found.provenance.startswith("a test; 9")


def test_what_is_said_of_the_other_half_comes_true(made):
    held = made.take(~made.calibrates)
    said = predicted(fitted(made.take(made.calibrates), ""), held)
    table = reliability(said, held.agrees)
    assert table["n"].sum() == len(said)
    assert (np.abs(table["agrees"] - 0.95 * table["confidence"]) < 8)[table["n"] > 100].all()


def test_half_of_the_stars_calibrate_and_every_spectrum_of_a_star_goes_with_it():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 4000).round(4), rng.uniform(-10, 60, 4000).round(4)
    chosen = is_for_calibration(ra, dec)
    assert chosen.mean() == approx(0.5, abs=0.03)
    assert (is_for_calibration(ra[::-1], dec[::-1])[::-1] == chosen).all()


def test_agreement_asks_for_the_class_and_about_the_subclass():
    templates = SimpleNamespace(
        cls=np.array(["STAR", "STAR", "GALAXY"]), subclass=np.array(["G5V", "WD", ""])
    )
    matches = SimpleNamespace(templates=templates, template=np.array([[0], [0], [1], [2], [-1]]))
    found = agreement(
        matches, ["STAR", "STAR", "STAR", "GALAXY", "STAR"], ["K0", "K1", "DA", "", "G5"]
    )
    assert found.tolist() == [True, False, True, True, False]


def test_noise_brings_the_snr_down_to_the_share_asked_for():
    n = 4000
    ones = np.ones((1, n), dtype=np.float32)
    spectra = Spectra(
        np.array([1]), np.linspace(4000, 9000, n), 50 * ones, ones, np.zeros((1, n), bool),
        np.zeros(1),
    )  # fmt: skip
    noisy = with_noise(spectra, 0.2)
    assert noisy.flux.std() == approx(np.sqrt(1 / 0.2**2 - 1), rel=0.05)
    assert noisy.ivar[0, 0] == approx(0.04)


def test_a_folder_without_labelled_spectra_says_so(tmp_path):
    with pytest.raises(ReadError, match="no spectrum with a class"):
        sample(tmp_path)


def test_the_figure_is_drawn(made, tmp_path):
    path = tmp_path / "confidence.png"
    draw(TRUTH, made, path)
    assert path.stat().st_size > 20_000
