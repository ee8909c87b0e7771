"""Figures of merit on answers whose merit is known."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.training.evaluate import (
    best_plane_line,
    binary_scores,
    compare_with_plane_cut,
    confusion_matrix,
    evaluate,
    expected_calibration_error,
    macro_f1,
    precision_recall_f1,
    reliability,
)


def test_precision_recall_and_f1_agree_with_scikit_learn():
    from sklearn.metrics import confusion_matrix as sk_confusion
    from sklearn.metrics import f1_score, precision_recall_fscore_support

    rng = np.random.default_rng(1)
    label = rng.integers(0, 5, 400)
    predicted = np.where(rng.random(400) < 0.7, label, rng.integers(0, 5, 400))
    confusion = confusion_matrix(label, predicted, 5)
    assert np.array_equal(confusion, sk_confusion(label, predicted))
    expected = np.column_stack(precision_recall_fscore_support(label, predicted)[:3])
    assert precision_recall_f1(confusion) == approx(expected)
    assert macro_f1(label, predicted, 5) == approx(f1_score(label, predicted, average="macro"))


def test_a_class_never_predicted_has_precision_0_and_an_absent_one_no_recall():
    scores = precision_recall_f1(confusion_matrix(np.array([0, 0, 1]), np.array([0, 0, 0]), 3))
    assert scores[1].tolist() == [0.0, 0.0, 0.0]
    assert scores[2, 0] == 0
    assert np.isnan(scores[2, 1:]).all()


def test_calibration_error_is_the_distance_between_confidence_and_truth():
    probability = np.repeat([0.55, 0.95], 100)
    right = np.concatenate([np.arange(100) < 75, np.arange(100) < 95])
    assert expected_calibration_error(probability, right) == approx(0.1)
    table = reliability(probability, right)
    assert table["n"].tolist() == [100, 100]
    assert table["confidence"].tolist() == approx([0.55, 0.95])
    assert table["share_right"].tolist() == approx([0.75, 0.95])


def test_honest_probabilities_have_next_to_no_calibration_error():
    rng = np.random.default_rng(2)
    probability = rng.random(50_000)
    right = rng.random(50_000) < probability
    assert expected_calibration_error(probability, right) < 0.01


def _answers():
    """Six spectra: two BHB found, one lost to stage 1, one to stage 2, an A let through, a WD."""
    label = np.array([0, 0, 0, 0, 1, 4])
    predicted = np.array([0, 0, 1, 0, 0, 4])
    class_probability = np.full((6, 5), 0.05)
    class_probability[np.arange(6), predicted] = 0.8
    p_bhb = np.array([0.9, 0.5, 0.9, 0.2, 0.7, 0.9])
    return class_probability, p_bhb, label


def test_the_two_stages_are_counted_together():
    result = evaluate(*_answers())
    assert result.accuracy == approx(4 / 6)
    assert result.two_stage == {
        "precision": approx(2 / 3),
        "recall": approx(2 / 4),
        "f1": approx(4 / 7),
        "n_true": 4,
        "n_chosen": 3,
        "n_right": 2,
    }
    assert result.let_through == {"BHB": 0.5, "A": 1.0, "WD": 0.0}
    assert result.per_class.loc["BHB"].tolist() == approx([3 / 4, 3 / 4, 3 / 4, 4])
    assert result.confusion.loc["A", "BHB"] == 1


def test_the_calibration_of_stage_2_leaves_out_the_classes_it_has_not_learnt():
    class_probability, p_bhb, label = _answers()
    p_bhb[5] = 0.99  # a white dwarf, sure and wrong
    without = evaluate(class_probability, p_bhb, label).ece_stage2
    everything = ("BHB", "A", "B", "HSD", "WD")
    assert evaluate(class_probability, p_bhb, label, stage2_classes=everything).ece_stage2 > without


def test_figures_come_in_bins_of_signal_to_noise_and_temperature():
    result = evaluate(
        *_answers(),
        snr_g=np.array([5.0, 15, 15, 30, 30, 90]),
        teff=np.array([8500.0, 8500, 8500, 8500, 9500, 30000]),
    )
    assert result.by_snr["from"].tolist() == [0, 10, 20, 80]
    assert result.by_snr["n"].sum() == 6
    assert result.by_snr["recall"].tolist() == approx([1.0, 0.5, 0.0, np.nan], nan_ok=True)
    assert result.by_teff["n_right"].tolist() == [2, 0, 0]


def test_an_evaluation_of_nothing_is_refused():
    with pytest.raises(TrainingError, match="at least one spectrum"):
        evaluate(np.empty((0, 5)), np.empty(0), np.empty(0, int))
    with pytest.raises(TrainingError, match="one row of each"):
        evaluate(np.full((2, 5), 0.2), np.zeros(3), np.zeros(2, int))


def test_nothing_chosen_has_precision_0_and_nothing_to_find_no_recall():
    none = np.zeros(3, bool)
    assert binary_scores(~none, none)["precision"] == 0
    assert np.isnan(binary_scores(none, ~none)["recall"])


def test_the_best_straight_line_finds_the_border_it_was_given():
    rng = np.random.default_rng(3)
    d02, fm = rng.uniform(5, 45, 3000), rng.uniform(0.1, 0.5, 3000)
    is_bhb = 0.1 * d02 - 8 * fm + 0.4 > 0
    d02[::50] = np.nan
    line = best_plane_line(d02, fm, is_bhb)
    found = line.are_bhb(d02, fm)
    known = np.isfinite(d02)
    assert binary_scores(is_bhb[known], found[known])["f1"] > 0.995
    assert not found[~known].any()


def test_the_offset_of_the_line_is_the_one_of_highest_f1():
    rng = np.random.default_rng(4)
    d02 = np.concatenate([rng.normal(22, 3, 200), rng.normal(32, 5, 2000)])
    fm = np.concatenate([rng.normal(0.22, 0.04, 200), rng.normal(0.26, 0.05, 2000)])
    is_bhb = np.arange(2200) < 200
    line = best_plane_line(d02, fm, is_bhb)
    best = binary_scores(is_bhb, line.are_bhb(d02, fm))["f1"]
    for offset in np.linspace(-20, 20, 401):
        moved = type(line)(line.d02_weight, line.fm_weight, line.offset + offset)
        assert binary_scores(is_bhb, moved.are_bhb(d02, fm))["f1"] <= best + 1e-12


def test_a_line_needs_stars_on_both_sides():
    with pytest.raises(TrainingError, match="both of its sides"):
        best_plane_line(np.array([20.0, np.nan]), np.array([0.2, 0.3]), np.array([True, False]))


def test_the_search_is_put_beside_the_cuts_on_the_same_spectra():
    is_bhb = np.array([True, True, True, False, False])
    candidate = np.array([True, True, False, True, False])
    box = np.array([True, False, True, False, False])
    table = compare_with_plane_cut(candidate, is_bhb, {"box": box})
    assert isinstance(table, pd.DataFrame)
    assert table["n_chosen"].tolist() == [3, 2, 1]
    assert table.loc["box", "precision"] == 1
    assert table.loc["MSFA-Net, then box", "recall"] == approx(1 / 3)
    assert (table["n_true"] == 3).all()
