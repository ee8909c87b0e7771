"""Conf = C·f(B) + (1 − C)·f(R), term by term."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ModelError
from msfa_core.templates.confidence import (
    Calibration,
    EndCalibration,
    blue_weight,
    confidence,
    weighed_residual,
)
from msfa_core.templates.library import ALONE

CALIBRATION = Calibration(EndCalibration(-1.5, 0.2), EndCalibration(-1.3, 0.3))


def matches_of(subclass, blue, red, cls="STAR"):
    """What the confidence needs to know of one match."""
    templates = SimpleNamespace(
        cls=np.array([cls]),
        subclass=np.array([subclass]),
        continuum=np.ones((1, LAMOST_GRID.n_pixels)),
        basis=np.array([ALONE]),
    )
    return SimpleNamespace(
        templates=templates,
        coefficients=np.ones((1, 1, 1)),
        template=np.array([[0]]),
        blue_residual=np.array([[blue]]),
        red_residual=np.array([[red]]),
        blue_chi2=np.ones((1, 1)),
        red_chi2=np.ones((1, 1)),
    )


@pytest.mark.parametrize(
    ("cls", "subclass", "weight"),
    [
        ("STAR", "O5", 0.8),
        ("STAR", "A1V", 0.8),
        ("STAR", "BHB", 0.8),
        ("STAR", "sdB", 0.8),
        ("STAR", "DA", 0.8),
        ("STAR", "F5", 0.7),
        ("STAR", "G2", 0.6),
        ("STAR", "K3", 0.5),
        ("STAR", "dM4", 0.25),
        ("STAR", "Carbon", 0.5),
        ("GALAXY", "", 0.5),
        ("QSO", "", 0.5),
    ],
)
def test_the_blue_end_weighs_as_the_type_says(cls, subclass, weight):
    assert blue_weight(np.array([cls]), np.array([subclass]))[0] == weight


def test_f_is_one_up_to_the_typical_residual_and_a_gaussian_beyond():
    end = EndCalibration(-1.5, 0.2)
    assert end.f(np.array([10**-2.0, 10**-1.5])).tolist() == [1.0, 1.0]
    assert end.f(np.array([10**-1.3]))[0] == approx(np.exp(-0.5))
    assert end.f(np.array([10**-1.1]))[0] == approx(np.exp(-2.0))
    assert end.f(np.array([np.nan]))[0] == 0.0


def test_a_bent_continuum_lowers_f_and_an_unknown_one_does_not():
    end = EndCalibration(-1.5, 0.2, 0.03, 0.1)
    residual = np.full(4, 0.01)
    found = end.f(residual, np.array([0.02, 0.13, np.inf, np.nan]))
    assert found.tolist() == approx([1.0, np.exp(-0.5), 0.0, 1.0])


def test_a_residual_beyond_the_noise_counts_more():
    residual, chi2 = np.array([0.1, 0.1, np.nan]), np.array([0.5, 4.0, np.nan])
    assert weighed_residual(residual, chi2)[:2].tolist() == approx([0.1, 0.2])
    assert np.isnan(weighed_residual(residual, chi2)[2])


def test_confidence_weighs_both_ends_in_percent():
    found = confidence(matches_of("G2", 10**-1.3, 10**-2.0), CALIBRATION)
    assert found[0, 0] == approx(100 * (0.6 * np.exp(-0.5) + 0.4))


def test_a_missing_end_takes_its_share_of_the_confidence():
    assert confidence(matches_of("A0", 0.01, np.nan), CALIBRATION)[0, 0] == approx(80.0)
    assert confidence(matches_of("dM2", np.nan, 0.01), CALIBRATION)[0, 0] == approx(75.0)


def test_no_solution_has_no_confidence():
    nothing = matches_of("A0", 0.01, 0.01)
    nothing.template[0, 0] = -1
    assert np.isnan(confidence(nothing, CALIBRATION)[0, 0])


def test_confidence_never_rises_with_a_residual():
    residual = np.geomspace(0.001, 1.0, 40)
    values = [confidence(matches_of("F5", one, 0.02), CALIBRATION)[0, 0] for one in residual]
    assert (np.diff(values) <= 1e-12).all()
    assert values[0] > values[-1] + 50


def test_a_calibration_reads_back_and_a_wrong_one_says_so(tmp_path):
    path = tmp_path / "confidence.json"
    path.write_text(json.dumps(CALIBRATION.as_dict()))
    assert Calibration.load(path) == CALIBRATION
    path.write_text('{"blue": {"typical": 1}}')
    with pytest.raises(ModelError, match="not a calibration"):
        Calibration.load(path)
    with pytest.raises(ModelError, match="no calibration"):
        Calibration.load(tmp_path / "none.json")
