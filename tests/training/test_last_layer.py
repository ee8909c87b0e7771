"""Logistic regression from where a layer was."""

import numpy as np
import pytest
import torch

from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.training.last_layer import (
    FOLDS,
    Axes,
    Sample,
    choose_ridge,
    fit_change,
    odds_of,
    with_change,
)


def sample(n, true_change, seed=3):
    """Spectra whose classes follow the offset and a change of it."""
    rng = np.random.default_rng(seed)
    scores = np.column_stack([rng.normal(size=(n, len(true_change) - 1)), np.ones(n)])
    offset = rng.normal(size=n)
    odds = offset + scores @ true_change
    is_bhb = rng.uniform(size=n) < 1 / (1 + np.exp(-odds))
    return Sample(offset, scores, is_bhb, np.full(n, 0.5 / n))


def test_a_fit_finds_the_change_that_made_the_classes():
    change = np.array([1.5, 0.0, -0.7, 0.4])
    assert fit_change(sample(20_000, change), 1e-6) == pytest.approx(change, abs=0.08)


def test_a_strong_ridge_leaves_the_scores_and_an_infinite_one_everything():
    change = np.array([1.5, -0.7, 0.4])
    strong = fit_change(sample(20_000, change), 1e3)
    assert np.abs(strong[:-1]).max() < 1e-3
    assert strong[-1] > 0.2  # the constant is free
    assert not fit_change(sample(100, change), np.inf).any()


def test_nothing_is_changed_where_nothing_holds_on_what_was_left_out():
    nothing = np.zeros(41)
    few, folds = sample(60, nothing), np.arange(60) % FOLDS
    assert choose_ridge(few, folds, sample(400, nothing, seed=4)) == np.inf
    much = np.append(np.full(40, 0.8), 0.0)
    ridge = choose_ridge(sample(400, much), np.arange(400) % FOLDS, sample(400, nothing, seed=4))
    assert np.isfinite(ridge)


def test_separable_classes_do_not_run_away():
    offset = np.zeros(40)
    scores = np.column_stack([np.linspace(-1, 1, 40), np.ones(40)])
    change = fit_change(Sample(offset, scores, scores[:, 0] > 0, np.full(40, 1 / 40)), 1e-3)
    assert np.isfinite(change).all()
    assert 0 < change[0] < 100


def test_a_changed_layer_gives_the_changed_odds():
    torch.manual_seed(2)
    model = MSFANet(MSFANetConfig(n_classes=2, width=4)).eval()
    rng = np.random.default_rng(1)
    features = rng.normal(size=(30, model.fc.in_features)).astype(np.float32)
    axes = Axes.of(features)
    change = rng.normal(size=axes.direction.shape[1] + 1)
    before, temperature = model.fc.weight.clone(), 0.4
    changed = with_change(model, axes, change, temperature)
    expected = odds_of(model, features, temperature) + axes.scores(features) @ change
    assert odds_of(changed, features, temperature) == pytest.approx(expected, abs=1e-3)
    assert torch.equal(model.fc.weight, before)
    total = changed.fc.weight.sum(0) - model.fc.weight.sum(0)
    assert total.abs().max() < 1e-5  # half in each output
