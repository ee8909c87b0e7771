"""The two-stage search: what it keeps, what it leaves missing, what it refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from pytest import approx

from msfa_core.config import Settings
from msfa_core.constants import SEARCH_RULES, STAGE2_FROM, STELLAR_CLASSES
from msfa_core.errors import ModelError
from msfa_core.networks.inference import class_probabilities
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.weights import STAGE_CLASSES, save_weights, sha256_of, write_checksums
from msfa_core.rules import are_candidates
from msfa_core.search.prior import Trained, shares_of, with_prior
from msfa_core.search.two_stages import Classified, TwoStageSearch, load_search
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra.prepare import prepare
from msfa_core.spectra.spectrum import PreparedSpectra


def spectra(n):
    """Spectra of many shapes, scaled to [0, 1]."""
    flux = np.random.default_rng(5).normal(size=(n, 2430)).cumsum(axis=1)
    flux -= flux.min(axis=1, keepdims=True)
    flux /= flux.max(axis=1, keepdims=True)
    return PreparedSpectra(np.arange(100, 100 + n), flux.astype(np.float32))


def network(n_classes, seed):
    torch.manual_seed(seed)
    model = MSFANet(MSFANetConfig(n_classes=n_classes, width=8))
    with torch.no_grad():  # a spread of answers, as trained weights would give
        model.fc.weight.normal_(0, 4.0)
        model.eval()
        model.fc.bias -= model(torch.from_numpy(spectra(37).flux)[:, None]).mean(dim=0)
    return model.eval()


@pytest.fixture(scope="module")
def stages():
    return network(5, 1), network(2, 2)


@pytest.fixture(scope="module")
def prepared():
    return spectra(37)


@pytest.fixture
def folder(stages, tmp_path):
    for stage, model in enumerate(stages, start=1):
        card = {"classes": list(STAGE_CLASSES[stage]), "temperature": 0.5 * stage + 0.25}
        save_weights(model, tmp_path / f"stage{stage}.safetensors", card)
    write_checksums(tmp_path)
    return tmp_path


def test_the_classes_come_in_the_order_of_the_paper():
    assert [str(c) for c in STELLAR_CLASSES] == ["BHB", "A", "B", "HSD", "WD"]
    assert STAGE_CLASSES[2] == ("BHB", "not BHB")


def test_probabilities_are_the_softmax_of_each_network(stages, prepared):
    found = TwoStageSearch(*stages).classify(prepared)
    with torch.no_grad():
        flux = torch.from_numpy(prepared.flux)[:, None]
        expected = [torch.softmax(model(flux), dim=1).numpy() for model in stages]
    assert found.obsid.tolist() == prepared.obsid.tolist()
    assert found.class_probability == approx(expected[0], abs=1e-3)
    assert found.p_bhb == approx(expected[1][:, 0], abs=1e-3)
    names = np.array([str(c) for c in STELLAR_CLASSES])
    assert found.predicted_class.tolist() == names[expected[0].argmax(axis=1)].tolist()
    assert len(set(found.predicted_class.tolist())) > 1


def test_a_spectrum_is_classified_the_same_alone_and_in_a_batch(stages, prepared):
    search = TwoStageSearch(*stages)
    batch = search.classify(prepared)
    alone = search.classify(PreparedSpectra(prepared.obsid[[20]], prepared.flux[[20]]))
    assert alone.class_probability[0] == approx(batch.class_probability[20], abs=1e-3)
    assert alone.p_bhb[0] == approx(batch.p_bhb[20], abs=1e-3)


def test_a_spectrum_that_could_not_be_prepared_gets_nan_and_no_class(stages, prepared):
    flux = prepared.flux.copy()
    flux[3] = np.nan
    flux[4, 7] = np.nan
    search = TwoStageSearch(*stages)
    found = search.classify(PreparedSpectra(prepared.obsid, flux))
    missing = np.isnan(found.p_bhb)
    assert np.flatnonzero(missing).tolist() == [3, 4]
    assert np.isnan(found.class_probability[missing]).all()
    assert found.predicted_class[missing].tolist() == ["", ""]
    assert not found.are_bhb(0.0)[missing].any()
    good = search.classify(prepared)
    assert found.p_bhb[~missing] == approx(good.p_bhb[~missing], abs=1e-3)


def test_no_spectra_give_no_rows(stages):
    empty = PreparedSpectra(np.empty(0, np.int64), np.empty((0, 2430), np.float32))
    found = TwoStageSearch(*stages).classify(empty)
    assert len(found) == 0
    assert found.class_probability.shape == (0, 5)
    assert found.predicted_class.tolist() == []


def test_only_rows_of_nan_are_classified_without_a_network(stages):
    flux = np.full((2, 2430), np.nan, np.float32)
    found = TwoStageSearch(*stages).classify(PreparedSpectra(np.arange(2), flux))
    assert np.isnan(found.p_bhb).all()


def test_progress_ends_at_the_number_of_spectra(stages):
    many = spectra(131)
    flux = many.flux.copy()
    flux[0] = np.nan
    seen = []
    TwoStageSearch(*stages).classify(
        PreparedSpectra(many.obsid, flux), progress=lambda *at: seen.append(at[1:])
    )
    assert seen == [(65, 131), (129, 131), (131, 131)]


def test_the_search_leaves_the_thread_count_of_torch_alone(stages, prepared):
    before = torch.get_num_threads()
    TwoStageSearch(*stages).classify(prepared)
    assert torch.get_num_threads() == before


def test_a_temperature_softens_probabilities_and_keeps_classes(stages, prepared):
    plain = TwoStageSearch(*stages).classify(prepared)
    soft = TwoStageSearch(*stages, temperature=(2.0, 4.0)).classify(prepared)
    assert soft.predicted_class.tolist() == plain.predicted_class.tolist()
    log_odds = np.log(plain.p_bhb / (1 - plain.p_bhb))
    assert soft.p_bhb == approx(1 / (1 + np.exp(-log_odds / 4)), abs=1e-9)
    assert (soft.p_bhb >= 0.5).tolist() == (plain.p_bhb >= 0.5).tolist()


def test_other_classes_may_be_less_sure_among_themselves_and_no_decision_changes(prepared):
    stages = network(5, 1), network(2, 2)
    plain = TwoStageSearch(*stages, temperature=(0.5, 1.0)).classify(prepared)
    soft = TwoStageSearch(
        *stages, temperature=(0.5, 1.0), temperature_among_others=3.0
    ).classify(prepared)  # fmt: skip
    assert soft.class_probability[:, 0] == approx(plain.class_probability[:, 0])
    assert soft.class_probability.sum(axis=1) == approx(1)
    assert soft.predicted_class.tolist() == plain.predicted_class.tolist()
    others = soft.predicted_class != "BHB"
    assert others.any() and not others.all()
    sure = plain.class_probability[others].max(axis=1)
    assert (soft.class_probability[others].max(axis=1) <= sure + 1e-9).all()
    assert soft.class_probability[others].max(axis=1).mean() < sure.mean() - 0.05
    assert (soft.p_bhb == plain.p_bhb).all()


def test_a_class_just_ahead_of_bhb_stays_ahead():
    logits = np.array([[1.0, 1.02, 0.9, -3, -3], [1.0, 0.99, 0.98, -3, -3], [0, 5, 4, 3, 2.0]])
    found = class_probabilities(logits, 0.5, 5.0)
    assert found.argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()
    assert found.sum(axis=1) == approx(1)
    assert found[:, 0] == approx(class_probabilities(logits, 0.5)[:, 0])
    assert class_probabilities(logits, 0.5, 0.1) == approx(class_probabilities(logits, 0.5))


def test_a_candidate_needs_both_stages():
    found = Classified(
        obsid=np.arange(4),
        class_probability=np.array(
            [[0.9, 0.1, 0, 0, 0], [0.9, 0.1, 0, 0, 0], [0.1, 0.9, 0, 0, 0], [np.nan] * 5]
        ),
        p_bhb=np.array([0.5, 0.49, 0.99, np.nan]),
    )
    assert found.are_bhb().tolist() == [True, False, False, False]
    assert found.are_bhb(0.4).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("class_probability", "p_bhb"),
    [
        (np.full((2, 5), 0.2), np.zeros(3)),
        (np.full((2, 4), 0.25), np.zeros(2)),
        (np.full((2, 5), 0.3), np.zeros(2)),
        (np.array([[3.0, -2, 0, 0, 0], [1, 0, 0, 0, 0]]), np.zeros(2)),
        (np.full((2, 5), 0.2), np.array([0.5, 1.5])),
        (np.array([[np.nan] * 5, [0.2] * 5]), np.array([0.5, 0.5])),
        (np.array([[np.nan] + [0.25] * 4, [0.2] * 5]), np.array([np.nan, 0.5])),
    ],
)
def test_what_is_not_a_distribution_is_refused(class_probability, p_bhb):
    with pytest.raises(ModelError):
        Classified(np.arange(2), class_probability, p_bhb)


def test_a_models_folder_is_loaded_with_its_temperatures(stages, folder, prepared):
    search = TwoStageSearch.load(folder)
    assert search.temperature == (0.75, 1.25)
    assert search.threshold == 0.5
    expected = TwoStageSearch(*stages, temperature=(0.75, 1.25)).classify(prepared)
    found = search.classify(prepared)
    assert np.array_equal(found.class_probability, expected.class_probability)
    assert np.array_equal(found.p_bhb, expected.p_bhb)


def test_the_checksum_of_a_search_names_both_files(folder):
    found = TwoStageSearch.load(folder).weights_checksum
    for stage in (1, 2):
        assert sha256_of(folder / f"stage{stage}.safetensors") in found


def test_the_checksum_of_weights_in_memory_follows_the_weights(stages):
    one = TwoStageSearch(*stages).weights_checksum
    assert one == TwoStageSearch(*stages).weights_checksum
    assert one != TwoStageSearch(network(5, 9), stages[1]).weights_checksum


def test_an_altered_weights_file_is_refused(folder):
    path = folder / "stage2.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="stage2.safetensors was altered"):
        TwoStageSearch.load(folder)


def test_swapped_stages_are_refused(stages, folder):
    one, two = folder / "stage1.safetensors", folder / "stage2.safetensors"
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    write_checksums(folder)
    with pytest.raises(ModelError, match="swapped"):
        TwoStageSearch.load(folder)
    with pytest.raises(ModelError, match="swapped"):
        TwoStageSearch(stages[1], stages[0])


def test_an_incomplete_folder_is_refused(folder):
    (folder / "stage2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"stage2.safetensors does not exist"):
        TwoStageSearch.load(folder)
    write_checksums(folder)
    with pytest.raises(ModelError, match="no checksum of stage2"):
        TwoStageSearch.load(folder)
    with pytest.raises(ModelError, match=r"checksums.json does not exist"):
        TwoStageSearch.load(folder / "nowhere")


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"temperature": (0.0, 1.0)}])
def test_absurd_settings_are_refused(stages, wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        TwoStageSearch(*stages, **wrong)


def test_bf16_gives_the_same_classes_where_the_answer_is_clear(stages, prepared):
    exact = TwoStageSearch(*stages).classify(prepared)
    short = TwoStageSearch(*stages, bf16=True).classify(prepared)
    ordered = np.sort(exact.class_probability, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 0.1
    assert clear.sum() > 5
    assert short.predicted_class[clear].tolist() == exact.predicted_class[clear].tolist()


def as_table(found, in_domain=True):
    columns = {
        f"p_class_{name.lower()}": found.class_probability[:, k]
        for k, name in enumerate(map(str, STELLAR_CLASSES))
    }
    predicted = pd.Series([str(name) or None for name in found.predicted_class], dtype="str")
    return pd.DataFrame(columns).assign(
        predicted_class=predicted, p_bhb=found.p_bhb, in_search_domain=in_domain
    )


def test_stage2_is_asked_only_where_stage1_leaves_a_chance_and_no_candidate_is_lost():
    """As simulated stars at the border of BHB and A have it: every rule keeps the same ones."""
    plan = SurveyPlan(160, seed=77, snr_range=(8.0, 120.0), shares="border")
    prepared = prepare(simulate_chunk(plan, 0)[0])
    search = load_search()
    whole = search.classify(prepared)
    asked = search.classify(prepared, stage2_from=float(STAGE2_FROM))
    left_out = np.isnan(asked.p_bhb)
    assert 0.1 < left_out.mean() < 0.9
    assert (asked.class_probability[left_out, 0] < float(STAGE2_FROM)).all()
    assert asked.predicted_class.tolist() == whole.predicted_class.tolist()
    assert asked.class_probability == approx(whole.class_probability, abs=1e-5)
    assert asked.p_bhb[~left_out] == approx(whole.p_bhb[~left_out], abs=1e-5)
    tables = {"whole": as_table(whole), "asked": as_table(asked)}
    found = 0
    for rule in SEARCH_RULES:
        for threshold in (0.01, 0.5, 0.9):
            settings = Settings(rule=rule, bhb_threshold=threshold)
            kept = {name: are_candidates(table, settings) for name, table in tables.items()}
            assert kept["asked"].tolist() == kept["whole"].tolist()
            assert kept["asked"].notna().all()
            found += int(kept["asked"].sum())
    assert found > 60
    lamost = {
        name: with_prior(table, shares_of("lamost"), Trained.of()) for name, table in tables.items()
    }
    kept = {name: are_candidates(table, Settings()) for name, table in lamost.items()}
    assert kept["asked"].tolist() == kept["whole"].tolist()


def test_what_shares_of_ones_own_would_keep_is_missing_and_never_lost():
    """Shares that make BHB stars of what stage 1 ruled out: the answer is missing, not no."""
    some = Classified(
        np.arange(3),
        np.array([[0.005, 0.9, 0.095, 0, 0], [0.9, 0.1, 0, 0, 0], [1e-9, 1 - 1e-9, 0, 0, 0]]),
        np.array([np.nan, 0.9, np.nan]),
    )
    shares = shares_of("BHB 0.996, A 0.001, B 0.001, HSD 0.001, WD 0.001")
    table = with_prior(as_table(some), shares, Trained.of())
    assert table["predicted_class"].tolist() == ["BHB", "BHB", "A"]
    assert are_candidates(table, Settings()).tolist() == [pd.NA, True, False]


def test_the_likelihood_is_asked_wherever_it_could_turn_stage1(stages):
    class Doubting:
        doubt = (-2.0, 2.0)

    search = TwoStageSearch(*stages, likelihood=Doubting())
    p = np.array([0.01, 0.1, 0.13, 0.5])
    assert search._leave_a_chance(p, 0.4).tolist() == [False, False, True, True]
    assert search._leave_a_chance(p, 0.05).tolist() == [False, True, True, True]
    assert search._leave_a_chance(p, 0.0).all()
