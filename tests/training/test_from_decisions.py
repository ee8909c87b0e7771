"""Stage 2 learns from the verdicts of a survey."""

import json

import numpy as np
import pytest

from msfa_core.cli import run_cli
from msfa_core.errors import TrainingError
from msfa_core.networks.inference import predict_features, predict_logits, softmax
from msfa_core.networks.weights import (
    MODELS_FOLDER,
    STAGE_FILES,
    read_checksums,
    write_checksums,
)
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.simulate.filling import simulate
from msfa_core.simulate.survey import SurveyPlan
from msfa_core.spectra.prepare import prepare
from msfa_core.survey.folder import Survey
from msfa_core.training import from_decisions
from msfa_core.training.from_decisions import decided_spectra, train_from_decisions
from msfa_core.training.on_simulations import simulated_set
from msfa_core.vetting.decision import Decision, Verdict

FAINT = (10.0, 40.0)


def make_survey(path, counts, seed, scale="models"):
    survey = Survey.create(path, simulated=True)
    simulate(survey, SurveyPlan(sum(counts.values()), seed, counts, FAINT, scale=scale), workers=1)
    return survey


def decide(survey, verdicts, reviewer="Ann"):
    """Store a verdict for each obsid."""
    store = survey.store()
    for obsid, verdict in verdicts.items():
        store.append_decision(Decision(int(obsid), "", Verdict(verdict), reviewer))
    store.close()


def truth(survey):
    table = survey.table()
    words = np.where(table["true_class"] == "BHB", "accept", "reject")
    return dict(zip(table["obsid"].tolist(), words.tolist(), strict=True))


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A survey of some stars, each decided on; what one is never changes it for the others."""
    survey = make_survey(tmp_path_factory.mktemp("few") / "S", {"BHB": 12, "A": 12}, 301)
    decide(survey, truth(survey))
    return survey


@pytest.fixture
def least_of_ten(monkeypatch):
    monkeypatch.setattr(from_decisions, "LEAST_DECISIONS", 10)
    monkeypatch.setattr(from_decisions, "_SIMULATED_SHARE", 0.004)


def test_too_few_decisions_of_a_kind_are_refused(few):
    with pytest.raises(TrainingError, match="12 accepted and 12 rejected .* at least 100 of each"):
        train_from_decisions(few)
    assert not few.own_models.exists()


def test_one_kind_alone_is_refused(tmp_path, least_of_ten):
    survey = make_survey(tmp_path / "S", {"A": 30}, 302)
    with pytest.raises(TrainingError, match="0 accepted and 0 rejected"):
        train_from_decisions(survey)  # nobody has decided
    decide(survey, truth(survey))
    with pytest.raises(TrainingError, match="0 accepted and 30 rejected"):
        train_from_decisions(survey)


def test_contradictions_and_doubts_are_left_out_and_counted(tmp_path, least_of_ten):
    survey = make_survey(tmp_path / "S", {"BHB": 12, "A": 14}, 303)
    said = truth(survey)
    decide(survey, said)
    rejected = [obsid for obsid, verdict in said.items() if verdict == "reject"]
    decide(survey, dict.fromkeys(rejected[:2], "accept"), "Bob")
    decide(survey, {rejected[2]: "unsure"})
    decided = decided_spectra(survey)
    assert decided.left_out == {"disputed": 2, "unsure": 1}
    assert decided.n_stars_of(np.ones(len(decided.star), bool)) == {"accept": 12, "reject": 11}
    decide(survey, dict.fromkeys(rejected[3:6], "accept"), "Bob")
    with pytest.raises(TrainingError, match=r"8 rejected.*left out: 5 disputed, 1 unsure"):
        decided_spectra(survey)


def test_the_stars_held_back_stay_so_when_others_join_them(few, least_of_ten):
    decided = decided_spectra(few)
    held = dict(zip(decided.star, decided.are_held_back(42), strict=True))
    assert 0 < sum(held.values()) < len(held)
    half = from_decisions.Decided(
        decided.flux[::2], decided.is_bhb[::2], decided.star[::2], decided.left_out
    )
    assert [held[name] for name in half.star] == half.are_held_back(42).tolist()
    assert (decided.are_held_back(7) != decided.are_held_back(42)).any()


@pytest.mark.slow
def test_a_survey_uses_weights_of_its_own_where_the_setting_says_so(few, least_of_ten, capsys):
    command = ["train", "--from-decisions", str(few.path), "--quiet"]
    assert run_cli(command) == 0
    assert "held-back verdicts, before" in capsys.readouterr().out
    shipped, own = read_checksums(MODELS_FOLDER), read_checksums(few.own_models)
    assert own[STAGE_FILES[1]] == shipped[STAGE_FILES[1]]
    assert TwoStageSearch.load(few.own_models).novelty is not None
    entry = few.provenance[-1]
    assert entry["step"] == "train"
    assert entry["weights"] == own[STAGE_FILES[2]]
    assert entry["started_from"] == shipped[STAGE_FILES[2]]
    assert "held-back verdicts, after" in entry["figures"]
    card = (few.own_models / "MODEL_CARD.md").read_text()
    assert "SIMULATED" in card
    assert own[STAGE_FILES[2]] in card
    assert run_cli(command) == 0  # again: from the same weights, the same result
    assert read_checksums(few.own_models) == own
    text = (few.path / "msfa.toml").read_text()
    (few.path / "msfa.toml").write_text(text + 'models = "survey"\n')
    few.record("test")  # the survey is read anew from here on
    survey = Survey(few.path)
    assert run_cli(["run", str(few.path), "--steps", "classify", "--quiet"]) == 0
    done = [entry for entry in survey.provenance if entry["step"] == "classify"][-1]
    assert own[STAGE_FILES[2]] in done["weights"]
    moved = few.path.with_name("moved")
    few.path.rename(moved)
    assert Survey(moved).settings_used.models_folder == str(moved / "models")
    assert run_cli(["train", "--from-decisions", str(moved), "--start", str(moved / "models")]) == 1
    moved.rename(few.path)


def test_weights_of_another_architecture_are_refused(few, least_of_ten, tmp_path, capsys):
    for path in MODELS_FOLDER.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:5000])
    (tmp_path / "checksums.json").write_text(json.dumps({}))
    command = ["train", "--from-decisions", str(few.path), "--start", str(tmp_path)]
    assert run_cli(command) == 1
    assert "safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra", [["1"], ["--new-stars"], ["--data", "x.npz"], ["--counts", "1", "1", "1", "1", "1"]]
)
def test_two_sources_of_spectra_are_refused(few, extra):
    assert run_cli(["train", *extra, "--from-decisions", str(few.path)]) == 2


def test_a_training_needs_a_stage_or_decisions():
    assert run_cli(["train"]) == 2


@pytest.mark.slow
def test_three_hundred_decisions_help_on_another_survey(tmp_path, has_16_bit_products):
    """A reviewer who errs once in twenty, shown what the search is in doubt about.

    Of the networks alone: with model stars beside them there is hardly anything left to learn.
    """
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in STAGE_FILES.values():
        (alone / name).write_bytes((MODELS_FOLDER / name).read_bytes())
    write_checksums(alone)
    counts = {"BHB": 300, "A": 320, "B": 260}
    survey = make_survey(tmp_path / "S", counts, 901, scale="stars")
    said = truth(survey)
    search = TwoStageSearch.load(alone)
    obsid = np.array(list(said))
    rng = np.random.default_rng(1)
    flux = prepare(survey.spectra(obsid)).flux
    shown = rng.permutation(obsid[_may_be_bhb(search, flux, has_16_bit_products)])[:300]
    wrong = rng.uniform(size=len(shown)) < 0.05
    other = {"accept": "reject", "reject": "accept"}
    decide(
        survey,
        {k: other[said[k]] if err else said[k] for k, err in zip(shown, wrong, strict=True)},
    )
    learnt = train_from_decisions(survey, start=alone)
    assert learnt.is_changed
    elsewhere = simulated_set(
        {"BHB": 200, "A": 200, "B": 200}, 902, snr_range=FAINT, scale="stars", measure=False
    )
    rows = _may_be_bhb(search, elsewhere.flux, has_16_bit_products)
    is_bhb = elsewhere.label[rows] == 0
    doubtful = elsewhere.flux[rows]
    right = {}
    for name, models in (("before", search), ("after", TwoStageSearch.load(learnt.models))):
        logits = predict_logits(models.stage2, doubtful)  # stage 1 is the same: p_bhb of classify
        said = softmax(logits, models.temperature[1])[:, 0] >= models.threshold
        right[name] = float((said == is_bhb).mean())
    print(f"\n{len(shown)} decisions; right of {len(is_bhb)} spectra of another survey: {right}")
    assert right["after"] > right["before"] + 0.015


def _may_be_bhb(search, flux, in_16_bits):
    """(n,) True for spectra that a reviewer is shown: stage 1 gives BHB a tenth at least."""
    logits = predict_logits(search.stage1, flux, bf16=in_16_bits)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p[:, 0] / p.sum(axis=1) > 0.1


def test_features_are_what_the_last_layer_sees(few):
    model = TwoStageSearch.load().stage2
    flux = prepare(few.spectra(few.obsid[:3])).flux
    seen = predict_features(model, flux)
    fc = model.fc
    logits = seen @ fc.weight.detach().numpy().T + fc.bias.detach().numpy()
    assert logits == pytest.approx(predict_logits(model, flux), abs=1e-4)
    assert model.fc is fc
