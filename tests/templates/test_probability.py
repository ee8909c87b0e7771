"""What a confidence means: a rising curve from labelled spectra."""

import json

import numpy as np
import pytest
from pytest import approx

from msfa_core.errors import ModelError
from msfa_core.templates.probability import corners, probability_right
from msfa_core.workshop.calibrate_confidence import miscalibration


def labelled(n, seed):
    """Matches whose confidence says too much: labels agree in nine tenths of it at most."""
    rng = np.random.default_rng(seed)
    confidence = 100 * rng.beta(1.2, 0.4, n)
    return confidence, rng.random(n) < 0.9 * (confidence / 100) ** 1.5


def test_the_shipped_curve_rises_and_never_promises_more_than_labels_keep():
    probability = probability_right(np.linspace(0, 100, 400))
    assert (np.diff(probability) >= 0).all()
    assert probability[0] == 0 and 0.9 < probability[-1] < 0.95
    assert np.isnan(probability_right([np.nan, 50.0])).tolist() == [True, False]


def test_on_spectra_held_back_the_curve_is_right_within_three_points(tmp_path):
    at, share = corners(*labelled(3000, 1))
    path = tmp_path / "probability.json"
    path.write_text(json.dumps({"confidence": at.tolist(), "right": share.tolist()}))
    confidence, agrees = labelled(3000, 2)
    probability = 100 * probability_right(confidence, path)
    assert miscalibration(probability, agrees) < 3.0 < miscalibration(confidence, agrees)
    sure = probability >= 80
    assert 100 * agrees[sure].mean() == approx(probability[sure].mean(), abs=3)


@pytest.mark.parametrize(
    "said",
    ["", "[]", '{"confidence": [0, 100]}', '{"confidence": [0, 100], "right": [1, 0]}',
     '{"confidence": [0, 100], "right": [0, 2]}', '{"confidence": [0], "right": [0]}'],
)  # fmt: skip
def test_a_damaged_curve_is_refused(tmp_path, said):
    (tmp_path / "bad.json").write_text(said)
    with pytest.raises(ModelError, match="restore the file"):
        probability_right([50.0], tmp_path / "bad.json")
