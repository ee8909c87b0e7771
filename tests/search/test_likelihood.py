"""What model stars say of spectra, and how it is joined to what the networks say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from msfa_core.constants import STELLAR_CLASSES
from msfa_core.errors import ModelError
from msfa_core.networks.weights import LIKELIHOOD_FILE, MODELS_FOLDER, read_checksums
from msfa_core.search.likelihood import StarModels
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.training.on_simulations import simulated_set
from msfa_core.training.star_models import star_models

FAINT = (10.0, 20.0)


@pytest.fixture(scope="module")
def shipped():
    return TwoStageSearch.load().likelihood


@pytest.fixture(scope="module")
def faint():
    """Simulated stars at S/N 10–20, of a seed that nothing else uses."""
    return simulated_set({"BHB": 25, "A": 25, "B": 25}, 606, snr_range=FAINT, measure=False)


def test_the_shipped_stars_are_checked_and_named_in_the_provenance():
    checksums = read_checksums(MODELS_FOLDER)
    assert (
        f"{LIKELIHOOD_FILE}:{checksums[LIKELIHOOD_FILE]}" in TwoStageSearch.load().weights_checksum
    )


def test_faint_stars_are_told_apart(shipped, faint):
    share = shipped.class_shares(faint.flux)
    assert share.shape == (len(faint), len(STELLAR_CLASSES))
    assert share.sum(axis=1) == pytest.approx(1)
    kept, is_bhb = share[:, 0] > 0.5, faint.label == 0
    f1 = 2 * (kept & is_bhb).sum() / (kept.sum() + is_bhb.sum())
    assert f1 > 0.85  # the networks alone reach 0.79 there


def test_level_and_zero_of_a_spectrum_say_nothing(shipped, faint):
    flux = faint.flux[:6]
    scaled = (0.3 * flux + 0.5).astype(np.float32)
    assert shipped.class_shares(scaled) == pytest.approx(shipped.class_shares(flux), abs=0.02)


def test_a_cosmic_ray_says_nothing(shipped, faint):
    flux = faint.flux[:6].copy()
    struck = flux.copy()
    struck[:, 1500] += 3.0
    assert shipped.class_shares(struck) == pytest.approx(shipped.class_shares(flux), abs=0.1)


def test_where_no_network_is_in_doubt_nothing_changes(shipped, faint):
    p_class = np.full((3, 5), 0.001)
    p_class[:, 1] = 0.996
    p_bhb = np.array([0.01, 0.02, 0.99])
    classes, second = shipped.join(faint.flux[:3], p_class, p_bhb)
    assert np.array_equal(classes, p_class)
    assert np.array_equal(second, p_bhb)


def test_where_stage_1_is_in_doubt_the_likelihood_counts_as_it_is_written(shipped, faint):
    p_class = np.tile([0.4, 0.3, 0.2, 0.06, 0.04], (len(faint), 1))
    p_bhb = np.full(len(faint), 0.6)
    classes, second = shipped.join(faint.flux, p_class, p_bhb)
    assert classes.sum(axis=1) == pytest.approx(1)
    assert classes[:, 1] / classes[:, 2] == pytest.approx(1.5)  # the others share as before
    odds = shipped.odds(faint.flux)
    stages = ((classes[:, 0], 0.4, shipped.joining[0]), (second, 0.6, shipped.joining[1]))
    for after, before, (network, counts, constant) in stages:
        expected = network * logit(before) + counts * odds + constant
        assert logit(after) == pytest.approx(expected)
    assert p_class[0, 0] == 0.4  # what was given stays


def test_a_stage_1_that_is_sure_beyond_all_digits_gives_no_nan(shipped, faint):
    sure = np.zeros((1, 5))
    sure[0, 0] = 1.0
    with np.errstate(divide="ignore"):  # the log-odds of 1
        classes, p_bhb = shipped.join(faint.flux[:1], sure, np.array([0.5]))
    assert classes.tolist() == sure.tolist()
    assert 0 < p_bhb[0] < 1


def test_stage_2_alone_in_doubt_is_joined_and_the_classes_stay(shipped, faint):
    p_class = np.tile([0.001, 0.6, 0.3, 0.059, 0.04], (len(faint), 1))
    classes, second = shipped.join(faint.flux, p_class, np.full(len(faint), 0.5))
    assert np.array_equal(classes, p_class)
    assert len(np.unique(second)) > 1


@pytest.mark.parametrize("kind", ["spike", "step", "noise", "upside down", "emission", "comb"])
def test_whatever_a_spectrum_is_something_is_said_of_it(shipped, faint, kind):
    n = faint.flux.shape[1]
    flux = {
        "spike": np.eye(1, n, 800)[0],
        "step": np.arange(n) > n / 2,
        "noise": np.random.default_rng(5).uniform(size=n),
        "upside down": 1 - faint.flux[0],
        "emission": np.exp(-0.5 * ((np.arange(n) - 900) / 3) ** 2),
        "comb": np.arange(n) % 2,
    }[kind].astype(np.float32)[None]
    share = shipped.class_shares(flux)
    assert share.sum() == pytest.approx(1)
    assert (share >= 0).all()


def test_below_the_doubt_no_likelihood_could_make_a_bhb_star(shipped):
    network, counts, constant = shipped.joining[0]
    most = network * shipped.doubt[0] + counts * logit(0.9) + constant
    assert most < 0


def test_the_search_is_better_with_the_likelihood_and_the_same_in_16_bits(
    faint, has_16_bit_products
):
    search = TwoStageSearch.load()
    alone = TwoStageSearch(
        search.stage1, search.stage2, temperature=search.temperature,
        temperature_among_others=search.temperature_among_others,
    )  # fmt: skip
    is_bhb = faint.label == 0
    joined = search.classify(faint.prepared)
    right, right_alone = (
        float((said.are_bhb() == is_bhb).mean())
        for said in (joined, alone.classify(faint.prepared))
    )
    assert right > right_alone
    every = 1 if has_16_bit_products else 5
    some = PreparedSpectra(faint.prepared.obsid[::every], faint.flux[::every])
    quick = TwoStageSearch.load(bf16=True).classify(some)
    assert np.array_equal(quick.predicted_class, joined.predicted_class[::every])
    assert np.array_equal(quick.are_bhb(), joined.are_bhb()[::every])


def test_stars_come_back_from_their_file_and_an_altered_one_is_refused(shipped, faint, tmp_path):
    few = replace(
        shipped, scores=shipped.scores[::20], label=shipped.label[::20], prior=shipped.prior[::20]
    )
    path = few.save(tmp_path / LIKELIHOOD_FILE)
    again = StarModels.load(path)
    assert again.class_shares(faint.flux[:3]) == pytest.approx(few.class_shares(faint.flux[:3]))
    with pytest.raises(ModelError, match="was altered"):
        StarModels.load(path, "0" * 64)
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="holds no star models"):
        StarModels.load(path)
    with pytest.raises(ModelError, match="does not exist"):
        StarModels.load(tmp_path / "nothing.npz")
    with pytest.raises(ModelError, match="shapes"):
        replace(few, label=few.label[1:])


@pytest.mark.slow
def test_stars_are_made_as_the_shipped_ones_were(shipped):
    few = star_models(2000)
    assert few.joining == pytest.approx(shipped.joining)
    assert few.doubt == pytest.approx(shipped.doubt)
    assert few.prior.sum() == pytest.approx(shipped.prior.sum(), rel=1e-3)
    own = np.abs(few.components[-1] @ shipped.components[-1])
    assert own > 0.95  # the first component is the same
