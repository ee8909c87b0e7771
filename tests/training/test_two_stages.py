"""Both stages in one call: one split, honest temperature, models that the search loads."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.networks.msfa_net import MSFANetConfig
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.training import two_stages
from msfa_core.training.dataset import split_by_star
from msfa_core.training.evaluation_figures import PICTURES
from msfa_core.training.trainer import TrainConfig
from msfa_core.training.two_stages import fit_temperature, plane_comparison, train_two_stages

QUICK = TrainConfig(network=MSFANetConfig(width=4), epochs=2, batch=20, device="cpu")


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    result = train_two_stages(
        small_set,
        folder / "run",
        folder / "models",
        QUICK,
        epochs2=2,
    )
    return result, folder


def test_the_temperature_of_scaled_logits_is_their_scale():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (20_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (rng.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert fit_temperature(logits * 3, label) == approx(3, rel=0.03)
    assert fit_temperature(logits / 2, label) == approx(0.5, rel=0.03)


def test_a_temperature_needs_spectra():
    with pytest.raises(TrainingError, match="no validation spectra"):
        fit_temperature(np.empty((0, 2)), np.empty(0, int))


def test_both_stages_share_the_one_split(trained, small_set):
    result, _ = trained
    assert result.split.fingerprint() == split_by_star(small_set, 42).fingerprint()
    assert [stage.config.stage for stage in result.stages] == [1, 2]


def test_the_models_load_and_give_the_figures_of_the_card(trained, small_set):
    result, folder = trained
    search = TwoStageSearch.load(folder / "models")
    assert search.temperature == approx(result.temperature)
    test = small_set[result.split.test]
    candidates = search.classify(test.prepared)
    kept = candidates.are_bhb()
    assert int(kept.sum()) == result.evaluation.two_stage["n_chosen"]
    assert int((kept & (test.label == 0)).sum()) == result.evaluation.two_stage["n_right"]
    figures = json.loads((folder / "models" / "evaluation.json").read_text())
    assert figures["accuracy"] == approx(result.evaluation.accuracy)
    assert figures["two_stage"]["n_true"] == int((test.label == 0).sum())


def test_the_model_card_names_data_seed_figures_limits_and_checksums(trained, small_set):
    result, folder = trained
    card = (folder / "models" / "MODEL_CARD.md").read_text()
    assert small_set.fingerprint() in card
    assert "split seed 42" in card
    assert f"{result.evaluation.accuracy:.4f}" in card
    assert "## Limits" in card
    assert "SIMULATED spectra" in card
    for name in PICTURES:
        assert f"simulated_{name}.png" in card
        assert (folder / "models" / f"simulated_{name}.png").exists()
    for checksum in result.checksums.values():
        assert checksum in card
    assert set(result.checksums) == {"novelty.npz", "stage1.safetensors", "stage2.safetensors"}


def test_the_same_call_resumes_and_gives_the_same_weights(trained, small_set, tmp_path):
    result, folder = trained
    again = train_two_stages(
        small_set,
        folder / "run",
        tmp_path / "models",
        QUICK,
        epochs2=2,
        progress=lambda *at: pytest.fail(f"trained again: {at}"),
    )
    for one, other in zip(result.stages, again.stages, strict=True):
        for name, tensor in one.model.state_dict().items():
            assert tensor.equal(other.model.state_dict()[name])


def test_temperatures_are_fitted_without_any_test_star(trained, small_set, tmp_path, monkeypatch):
    result, folder = trained
    asked, fitted = [], []
    logits, fit = two_stages.predict_logits, two_stages.fit_temperature
    monkeypatch.setattr(
        two_stages,
        "predict_logits",
        lambda m, flux, **k: asked.append(flux) or logits(m, flux, **k),
    )
    monkeypatch.setattr(
        two_stages,
        "fit_temperature",
        lambda at, label: fitted.append((len(asked), label)) or fit(at, label),
    )
    train_two_stages(
        small_set,
        folder / "run",
        tmp_path / "models",
        QUICK,
        epochs2=2,
    )
    assert [number for number, _ in fitted] == [1, 2]  # each from the outputs just before it
    allowed = {row.tobytes() for row in small_set.flux[result.split.validation]}
    for flux, (_, label) in zip(asked[:2], fitted, strict=True):
        assert len(flux) == len(label) > 0
        assert {row.tobytes() for row in flux} <= allowed
    test = {row.tobytes() for row in small_set.flux[result.split.test]}
    assert not test & allowed
    assert {row.tobytes() for row in asked[2]} == test


def test_a_set_that_does_not_say_whether_it_is_simulated_is_refused_before_training(
    small_set, tmp_path
):
    unknown = replace(small_set, provenance={"seed": 1})
    with pytest.raises(TrainingError, match="simulated"):
        train_two_stages(unknown, tmp_path / "run", tmp_path / "models", QUICK)
    assert not (tmp_path / "run").exists()


def test_the_search_is_compared_with_the_plane_where_lines_were_measured(small_set):
    split = split_by_star(small_set)
    rng = np.random.default_rng(2)
    width = np.array([20.0, 35.0, 12.0, 8.0, 60.0])[small_set.label]
    truth = pd.DataFrame(
        {
            "d02_hdelta": width + rng.normal(0, 1, len(width)),
            "fm_hdelta": rng.uniform(0.2, 0.3, len(width)),
            "in_bhb_box": (width > 15) & (width < 30),
        }
    )
    data = type(small_set)(
        small_set.obsid,
        small_set.flux,
        small_set.label,
        small_set.star,
        small_set.snr_g,
        truth,
    )
    test = data[split.test]
    candidate = test.label == 0
    table = plane_comparison(data[split.train], test, candidate)
    assert list(table.index[:3]) == ["MSFA-Net, two stages", "best straight line, Hδ", "box box"]
    assert table["recall"].iloc[0] == 1
    assert table.loc["box box", "precision"] == 1
    assert plane_comparison(small_set, small_set[split.test], candidate).empty
