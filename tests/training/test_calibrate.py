"""Calibration on real stars: what is fitted, what the weights keep, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.weights import STAGE_CLASSES, save_weights, write_checksums
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.training.calibrate import calibrate_on_real_stars, fit_temperature_among_others


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(4)
    for stage in (1, 2):
        model = MSFANet(MSFANetConfig(n_classes=len(STAGE_CLASSES[stage]), width=4))
        card = {"classes": list(STAGE_CLASSES[stage]), "temperature": 0.01, "stage": stage}
        save_weights(model, tmp_path / f"stage{stage}.safetensors", card)
    write_checksums(tmp_path)
    return tmp_path


@pytest.fixture
def real_set(small_set):
    return replace(small_set, provenance={"simulated": False})


def test_the_temperature_is_that_of_the_other_classes_alone():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 5)) * 2
    p = np.exp(logits[:, 1:])
    p /= p.sum(axis=1, keepdims=True)
    label = 1 + (p.cumsum(axis=1) < rng.uniform(size=(len(p), 1))).sum(axis=1)
    label[::4] = 0  # BHB stars have no say
    found = fit_temperature_among_others(logits * 3, label, np.arange(len(label)))
    assert found == approx(3, rel=0.05)


def test_weights_keep_it_and_the_search_uses_it(folder, real_set):
    before = TwoStageSearch.load(folder)
    found = calibrate_on_real_stars(folder, real_set)
    after = TwoStageSearch.load(folder)
    assert before.temperature_among_others is None
    assert after.temperature_among_others == approx(found)
    assert after.temperature == before.temperature
    assert after.weights_checksum != before.weights_checksum
    one, two = (each.classify(real_set.prepared) for each in (before, after))
    assert one.predicted_class.tolist() == two.predicted_class.tolist()
    assert one.class_probability[:, 0] == approx(two.class_probability[:, 0])


def test_simulated_or_too_few_stars_are_refused(folder, small_set, real_set):
    with pytest.raises(TrainingError, match="simulated"):
        calibrate_on_real_stars(folder, small_set)
    alone = real_set[np.flatnonzero(real_set.label <= 1)]
    with pytest.raises(TrainingError, match="two classes"):
        calibrate_on_real_stars(folder, alone)
