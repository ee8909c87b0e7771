"""The search compared with what is known, on answers whose merit is known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.networks.weights import STAGE_FILES, load_network, save_weights, write_checksums
from msfa_core.training.answers import Answers, one_origin, origin_of
from msfa_core.training.evaluate import evaluate
from msfa_core.training.evaluation_figures import PICTURES
from msfa_core.training.evaluation_report import evaluation_json, evaluation_text, write_evaluation
from msfa_core.training.unseen import require_unseen, training_seeds


def _answers():
    """Six spectra: two BHB found, one lost to stage 1, one to stage 2, an A let through, a WD."""
    label = np.array([0, 0, 0, 0, 1, 4])
    predicted = np.array([0, 0, 1, 0, 0, 4])
    class_probability = np.full((6, 5), 0.05)
    class_probability[np.arange(6), predicted] = 0.8
    p_bhb = np.array([0.9, 0.5, 0.9, 0.2, 0.7, 0.9])
    return class_probability, p_bhb, label


def _evaluated(**more):
    return evaluate(Answers(*_answers(), **({"simulated": True} | more)))


def test_the_two_stages_are_counted_together():
    result = _evaluated()
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
    assert result.per_class.loc["BHB", ["precision", "recall", "f1", "n"]].tolist() == approx(
        [3 / 4, 3 / 4, 3 / 4, 4]
    )
    assert result.confusion.loc["A", "BHB"] == 1


def test_the_calibration_of_stage_2_leaves_out_the_classes_it_has_not_learnt():
    class_probability, p_bhb, label = _answers()
    p_bhb[5] = 0.99  # a white dwarf, sure and wrong
    learnt, everything = (
        evaluate(Answers(class_probability, p_bhb, label, simulated=True, **more)).ece_stage2
        for more in ({}, {"stage2_classes": ("BHB", "A", "B", "HSD", "WD")})
    )
    assert everything > learnt


def test_figures_come_in_bins_of_signal_to_noise_and_temperature():
    result = _evaluated(
        snr_g=np.array([5.0, 15, 15, 30, 30, 90]),
        teff=np.array([8500.0, 8500, 8500, 8500, 9500, 30000]),
    )
    assert result.by_snr["from"].tolist() == [0, 10, 20, 80]
    assert result.by_snr["n"].sum() == 6
    assert result.by_snr["recall"].tolist() == approx([1.0, 0.5, 0.0, np.nan], nan_ok=True)
    assert result.by_teff["n_right"].tolist() == [2, 0, 0]


def test_an_evaluation_of_nothing_is_refused():
    with pytest.raises(TrainingError, match="at least one spectrum"):
        Answers(np.empty((0, 5)), np.empty(0), np.empty(0, int), simulated=True)
    with pytest.raises(TrainingError, match="one row of each"):
        Answers(np.full((2, 5), 0.2), np.zeros(3), np.zeros(2, int), simulated=True)
    with pytest.raises(TrainingError, match="no answer"):
        Answers(np.full((1, 5), np.nan), np.zeros(1), np.zeros(1, int), simulated=True)
    with pytest.raises(TrainingError, match="rows of star"):
        _evaluated(star=np.zeros(2, int))
    with pytest.raises(TrainingError, match="none of BHB"):
        _evaluated(stage2_classes=("BHB", "K"))


def test_simulated_and_real_spectra_are_never_mixed(small_set):
    assert one_origin(np.array([True, True]))
    assert not one_origin(np.array([False, False]))
    with pytest.raises(TrainingError, match="1 of 2 spectra are simulated"):
        one_origin(np.array([True, False]))
    assert origin_of(small_set)
    for said in ({}, {"simulated": "partly"}, {"simulated": None}):
        with pytest.raises(TrainingError, match="never mixed"):
            origin_of(replace(small_set, provenance=said))


@pytest.mark.parametrize(("simulated", "word"), [(True, "SIMULATED"), (False, "REAL")])
def test_every_title_says_whether_the_stars_exist(simulated, word):
    result = _evaluated(simulated=simulated, snr_g=np.linspace(10, 90, 6))
    assert result.title == f"{word} spectra: 6 of 6 stars"
    assert evaluation_text(result).startswith(word)
    assert json.loads(evaluation_json(result))["origin"] == word.lower()


def test_the_cut_after_the_search_has_figures_of_its_own():
    result = _evaluated(in_region=np.array([True, True, True, True, False, True]))
    row = result.search.loc["both stages, then ju2024"]
    assert (row["precision"], row["recall"]) == approx((1, 0.5))
    assert result.shares.loc["all but BHB", "both stages"] == approx(0.5)
    assert result.shares.loc["all but BHB", "both stages, then ju2024"] == 0
    assert _evaluated().search.index.tolist() == ["stage 1", "both stages"]


def test_mistaken_stars_come_with_what_is_known_of_them():
    truth = pd.DataFrame({"true_name": [f"star {k}" for k in (0, 0, 1, 1, 2, 3)]})
    result = _evaluated(star=np.array([0, 0, 1, 1, 2, 3]), truth=truth)
    assert result.stars["true_name"].tolist() == ["star 2", "star 1"]
    assert result.stars["wrong"].tolist() == [1, 1]
    assert result.stars["class"].tolist() == ["A", "BHB"]


def test_tables_and_pictures_are_written_and_read_back(tmp_path):
    rng = np.random.default_rng(12)
    label = rng.integers(0, 5, 400)
    probability = np.full((400, 5), 0.1) + 0.5 * np.eye(5)[label]
    probability = probability ** rng.uniform(0, 2, (400, 1)) * rng.uniform(0.2, 1, (400, 5))
    probability /= probability.sum(axis=1, keepdims=True)
    result = evaluate(
        Answers(
            probability,
            np.clip((label == 0) * 0.5 + rng.uniform(0, 0.5, 400), 0, 1),
            label,
            simulated=True,
            snr_g=rng.uniform(10, 100, 400),
            teff=rng.uniform(6500, 30000, 400),
            in_region=rng.random(400) < 0.5,
        )
    )
    written = {path.name: path for path in write_evaluation(result, tmp_path)}
    assert all(name.startswith("simulated_") for name in written)
    for name in PICTURES:
        head = written[f"simulated_{name}.png"].read_bytes()[:8]
        assert head == b"\x89PNG\r\n\x1a\n"
    again = pd.read_csv(written["simulated_search.csv"], index_col=0)
    assert again["f1"].tolist() == approx(result.search["f1"].tolist())
    figures = json.loads(written["simulated_evaluation.json"].read_text())
    assert figures["accuracy"] == approx(result.accuracy)
    assert figures["origin"] == "simulated"
    assert len(figures["by_snr"]) == len(result.by_snr)
    assert result.classes_by_teff["n"].sum() == 400


def test_weights_are_not_evaluated_on_the_stars_they_were_trained_on(tiny_models, tmp_path):
    assert training_seeds(tiny_models) == set()
    require_unseen(42, tiny_models)
    for stage, file in STAGE_FILES.items():
        model, card = load_network(tiny_models / file)
        card["data"] = {"provenance": {"simulated": True, "seed": 6 + stage}}
        save_weights(model, tmp_path / file, card)
    write_checksums(tmp_path)
    assert training_seeds(tmp_path) == {7, 8}
    require_unseen(9, tmp_path)
    with pytest.raises(TrainingError, match="--seed 9"):
        require_unseen(7, tmp_path)
