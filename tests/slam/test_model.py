"""A SLAM model is scikit-learn's regressions as one matrix product, kept without pickles."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import SVR

from msfa_core.errors import ModelError, TrainingError
from msfa_core.simulate.labelled_grid import draw_labels
from msfa_core.slam.model import COLOURS, SlamModel, load_model, model_path
from msfa_core.slam.pixels import Bins
from msfa_core.slam.train import (
    BASE_ERROR,
    GAMMA_GRID,
    TrainingSet,
    cross_validated_error,
    search_setting,
    train_slam,
)

from .conftest import SMALL_BINS


def test_predictions_are_those_of_scikit_learn_to_1e_minus_10(small_model, small_set):
    chosen = small_model.notes["setting"]
    labels = draw_labels(50, seed=7)
    standard = small_model.standardise(small_set.labels)
    target = small_set.targets(small_model.bins, small_model.degree)
    flux, colours = small_model.predict(labels)
    both = np.hstack([flux, colours])
    centre, spread = target.mean(axis=0), target.std(axis=0)
    for k in (0, 5, target.shape[1] - 1):
        svr = SVR(C=chosen["c"], epsilon=chosen["epsilon"], gamma=chosen["gamma"], tol=0.01)
        svr.fit(standard, (target[:, k] - centre[k]) / spread[k])
        peer = svr.predict(small_model.standardise(labels)) * spread[k] + centre[k]
        assert np.abs(both[:, k] - peer).max() < 1e-10


def test_a_model_that_was_saved_is_the_same(small_model, tmp_path):
    path = tmp_path / "slam.npz"
    checksum = small_model.save(path)
    again = SlamModel.load(path)
    labels = draw_labels(20, seed=3)
    assert np.array_equal(again.predict(labels)[0], small_model.predict(labels)[0])
    assert np.array_equal(again.predict(labels)[1], small_model.predict(labels)[1])
    assert again.notes["source"] == "a test" and again.colour_names == COLOURS
    assert json.loads((tmp_path / "slam.json").read_text())["sha256"] == checksum
    assert load_model(tmp_path).gamma == small_model.gamma


def test_a_model_file_that_is_missing_altered_or_something_else_is_refused(small_model, tmp_path):
    path = tmp_path / "slam.npz"
    with pytest.raises(ModelError, match="msfa slam train"):
        SlamModel.load(path)
    checksum = small_model.save(path)
    (tmp_path / "slam.json").unlink()
    with pytest.raises(ModelError, match=r"slam\.json gives no SHA-256"):
        SlamModel.load(path)
    assert SlamModel.load(path, checksum).degree == small_model.degree
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match="was altered"):
        SlamModel.load(path, checksum)
    np.savez(path, a=np.arange(3))
    import hashlib

    with pytest.raises(ModelError, match="holds no SLAM model"):
        SlamModel.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_models_folder_without_labels_means_the_shipped_model(tmp_path):
    assert model_path(tmp_path) == model_path(None)


def test_labels_of_another_shape_are_refused(small_model):
    with pytest.raises(ModelError, match="give \\(n, 3\\)"):
        small_model.predict([[8000.0, 3.5]])


def test_the_hull_holds_the_training_stars_and_not_what_lies_beyond(small_model, small_set):
    assert small_model.inside_hull(small_set.labels).all()
    beyond = [[20_000.0, 3.5, -1.0], [8000.0, 6.0, -1.0], [8000.0, 3.5, 2.0]]
    assert not small_model.inside_hull(beyond).any()


def test_what_the_physics_is_unsure_of_becomes_model_error(small_set):
    line = np.exp(-0.5 * ((small_set.wavelength - 4341.7) / 8) ** 2)
    alternatives = {"a deeper line": (small_set.flux * (1 - 0.2 * line), 0.5)}
    data = replace(small_set, alternatives=alternatives)
    error = data.model_error(SMALL_BINS, 2, data.targets(SMALL_BINS, 2))
    wavelength = SMALL_BINS.wavelength
    assert 0.03 < error[np.argmin(np.abs(wavelength - 4341.7))] < 0.1
    assert error[np.argmin(np.abs(wavelength - 4480.0))] < 0.015
    assert error[: len(SMALL_BINS)].min() >= BASE_ERROR
    assert np.all(error[-len(COLOURS) :] == 0.02)


def test_the_search_takes_the_setting_of_least_error(small_set):
    standard = (small_set.labels - small_set.labels.mean(0)) / small_set.labels.std(0)
    target = small_set.targets(Bins(4300.0, 4400.0, 10), 2)[:, 3:5]
    chosen, found = search_setting(standard, target, seed=1)
    errors = [row["error"] for row in found["settings"]]
    best = found["settings"][int(np.argmin(errors))]
    assert (chosen.c, chosen.epsilon, chosen.gamma) == (best["c"], best["epsilon"], best["gamma"])
    assert len(found["settings"]) == 11 + 4 * len(GAMMA_GRID) - 1
    assert min(errors) < 0.1  # of the variance of a pixel
    with pytest.raises(TrainingError, match="no pixel"):
        search_setting(standard, np.ones((len(standard), 2)))
    assert cross_validated_error(standard, target[:, :1] * 0 + standard[:, :1], chosen) < 0.1


def test_a_training_set_that_cannot_teach_is_refused(small_set):
    with pytest.raises(TrainingError, match="too few"):
        train_slam(small_set[np.arange(5)])
    with pytest.raises(TrainingError, match="flux has shape"):
        TrainingSet(small_set.wavelength[:-1], small_set.flux, small_set.labels)
    bad = small_set.labels.copy()
    bad[3, 1] = np.nan
    with pytest.raises(TrainingError, match="1 spectrum lacks"):
        TrainingSet(small_set.wavelength, small_set.flux, bad)
    same = small_set.labels.copy()
    same[:, 2] = -1.0
    flat = TrainingSet(small_set.wavelength, small_set.flux, same)
    with pytest.raises(TrainingError, match="do not spread"):
        train_slam(flat, bins=Bins(4300.0, 4400.0, 10))
    with pytest.raises(TrainingError, match="do not fill"):
        train_slam(small_set, bins=Bins(3600.0, 4400.0, 10))
