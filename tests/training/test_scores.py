"""Figures of merit on answers whose merit is known."""

import numpy as np
import pytest
from pytest import approx

from msfa_core.training.scores import (
    average_precision,
    binary_scores,
    calibration_scores,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    precision_recall_curve,
    precision_recall_f1,
    reliability,
    scores_with_intervals,
    share_interval,
    wilson_interval,
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


def test_nothing_chosen_has_precision_0_and_nothing_to_find_no_recall():
    none = np.zeros(3, bool)
    assert binary_scores(~none, none)["precision"] == 0
    assert np.isnan(binary_scores(none, ~none)["recall"])


def test_the_curve_and_its_mean_precision_agree_with_scikit_learn():
    from sklearn.metrics import average_precision_score
    from sklearn.metrics import precision_recall_curve as sk_curve

    rng = np.random.default_rng(6)
    truth = rng.random(500) < 0.3
    score = np.round(truth * 0.3 + rng.random(500), 2)  # with ties
    curve = precision_recall_curve(truth, score)
    assert average_precision(curve) == approx(average_precision_score(truth, score))
    precision, recall, threshold = sk_curve(truth, score)
    assert curve["threshold"].to_numpy() == approx(threshold[::-1])
    assert curve["precision"].to_numpy() == approx(precision[:-1][::-1])
    assert curve["recall"].to_numpy() == approx(recall[:-1][::-1])


def test_spectra_that_stage_1_gave_up_are_never_found_by_a_lower_threshold():
    truth = np.array([True, True, False])
    curve = precision_recall_curve(truth, np.array([0.9, -np.inf, 0.4]))
    assert curve["recall"].max() == 0.5
    assert average_precision(curve) == approx(0.5)
    assert precision_recall_curve(~truth & truth, np.zeros(3)).empty


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_intervals_are_those_of_the_literature(right, n, low, high):
    """Newcombe 1998 (Stat. Med. 17, 857), Table I: 81 of 263 gives 0.2553–0.3662."""
    assert wilson_interval(right, n) == approx((low, high), abs=2e-4)


def test_an_interval_of_independent_spectra_holds_the_truth_95_times_in_100():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        right = rng.random(60) < 0.2
        low, high = share_interval(right, np.ones(60, bool), np.arange(60))
        held += low <= 0.2 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_draws_of_one_star_are_not_taken_for_independent():
    star = np.repeat(np.arange(40), 20)
    right = np.isin(star, np.arange(0, 40, 4))  # ten stars always, thirty never
    everything = np.ones(800, bool)
    low, high = share_interval(right, everything, star)
    assert (low, high) == approx(wilson_interval(10, 40), abs=0.03)
    naive = share_interval(right, everything, np.arange(800))
    assert high - low > 3 * (naive[1] - naive[0])


def test_stars_that_all_agree_give_the_interval_of_so_many_stars():
    star = np.repeat(np.arange(6), 20)
    everything = np.ones(120, bool)
    assert share_interval(everything, everything, star) == approx(wilson_interval(6, 6))
    assert share_interval(~everything, everything, star) == approx(wilson_interval(0, 6))
    assert np.isnan(share_interval(everything, ~everything, star)).all()


def test_the_interval_of_f1_holds_f1():
    rng = np.random.default_rng(8)
    truth = rng.random(300) < 0.4
    scores = scores_with_intervals(truth, truth ^ (rng.random(300) < 0.1), np.arange(300))
    for name in ("precision", "recall", "f1"):
        assert scores[f"{name}_low"] < scores[name] < scores[f"{name}_high"]


def test_bins_of_equal_count_hold_equal_numbers():
    rng = np.random.default_rng(9)
    probability = rng.random(1500) ** 4
    table = reliability(probability, rng.random(1500) < probability, equal_count=True)
    assert table["n"].tolist() == [100] * 15
    assert (np.diff(table["confidence"]) > 0).all()
    inside = (table["low"] <= table["confidence"]) & (table["confidence"] <= table["high"])
    assert inside.mean() >= 0.8


def test_the_error_of_honest_probabilities_is_told_from_that_of_boasting_ones():
    rng = np.random.default_rng(10)
    probability = rng.uniform(0.5, 1, 2000)
    right = rng.random(2000) < probability
    honest = calibration_scores(probability, right, np.arange(2000))
    assert honest["ece"] < 2 * honest["ece_if_honest"]
    boasting = calibration_scores(np.minimum(probability + 0.15, 1), right, np.arange(2000))
    assert boasting["ece_low"] > 3 * boasting["ece_if_honest"]
    assert boasting["ece_low"] < boasting["ece"] < boasting["ece_high"]
    assert calibration_scores(np.empty(0), np.empty(0, bool), np.empty(0, int))["n"] == 0
