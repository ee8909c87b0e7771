"""A simulated survey: the same from the same seed, in any order, and true to its truth table."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from msfa_core.balmer.fit import fit_lines
from msfa_core.errors import ConfigError
from msfa_core.simulate.survey import (
    DEMO_STARS,
    PROBLEMS,
    SurveyPlan,
    demo_plan,
    simulate_chunk,
    simulate_spectra,
)
from msfa_core.spectra.spectrum import on_grid

PLAN = SurveyPlan(n_stars=90, seed=5, epochs=0.2, problems=0.1, chunk=40)


def assert_same(first, second):
    for name in ("obsid", "flux", "ivar", "mask", "z"):
        np.testing.assert_array_equal(getattr(first[0], name), getattr(second[0], name))
    pd.testing.assert_frame_equal(first[1], second[1], check_exact=True)


def test_the_same_seed_gives_the_same_survey_bit_for_bit():
    assert_same(simulate_chunk(PLAN, 0), simulate_chunk(PLAN, 0))
    other = SurveyPlan(n_stars=90, seed=6, epochs=0.2, problems=0.1, chunk=40)
    assert not np.array_equal(simulate_chunk(PLAN, 2)[0].flux, simulate_chunk(other, 2)[0].flux)


@pytest.mark.slow
def test_chunks_made_in_other_processes_are_the_same_bit_for_bit():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = list(pool.map(simulate_chunk, [PLAN, PLAN], [2, 0]))
    for index, made in zip((2, 0), elsewhere, strict=True):
        assert_same(made, simulate_chunk(PLAN, index))


def test_chunks_add_up_to_the_counts_asked_for():
    plan = SurveyPlan(90, 5, counts={"BHB": 30, "A": 40, "WD": 20}, chunk=40)
    assert plan.n_chunks == 3
    truth = pd.concat([simulate_chunk(plan, k)[1] for k in range(3)])
    assert truth["true_class"].value_counts().to_dict() == {"A": 40, "BHB": 30, "WD": 20}
    assert truth["true_star"].tolist() == sorted(range(90))


def test_single_spectra_carry_the_batch_and_their_header():
    chunks = list(simulate_spectra(30, 5, epochs=0.3, chunk=20))
    assert len(chunks) == 2
    spectra, truth = chunks[1]
    batch, table = simulate_chunk(SurveyPlan(30, 5, epochs=0.3, chunk=20), 1)
    pd.testing.assert_frame_equal(truth, table)
    again = on_grid(spectra)
    np.testing.assert_array_equal(again.flux, batch.flux)
    np.testing.assert_array_equal(again.ivar, batch.ivar)
    row = truth.iloc[3]
    assert spectra[3].obsid == row["obsid"]
    assert spectra[3].meta["class"] == "STAR"
    assert spectra[3].meta["fiberid"] == row["fiberid"]
    assert spectra[3].snr_g == row["snr_g"]


def test_every_spectrum_has_its_own_number_and_fibre():
    truth = pd.concat([simulate_chunk(PLAN, k)[1] for k in range(PLAN.n_chunks)])
    assert truth["obsid"].is_unique
    assert truth["obsid"].max() < 2**53
    assert not truth.duplicated(["lmjd", "planid", "spid", "fiberid"]).any()
    assert truth["fiberid"].between(1, 250).all()
    assert truth["spid"].between(1, 16).all()
    assert not set(truth["obsid"]) & set(simulate_chunk(SurveyPlan(40, 6), 0)[1]["obsid"])


def test_epochs_share_the_star_but_not_the_noise():
    plan = SurveyPlan(40, 9, epochs=1.0)
    spectra, truth = simulate_chunk(plan, 0)
    assert truth.groupby("true_star").size().between(2, 4).all()
    for column in ("gaia_source_id", "true_teff", "ra", "g_mag"):
        assert truth[column].equals(truth.groupby("true_star")[column].transform("first"))
    first, second = np.flatnonzero(truth["true_star"] == truth["true_star"].iloc[0])[:2]
    assert truth["lmjd"].iloc[first] != truth["lmjd"].iloc[second]
    assert not np.array_equal(spectra.flux[first], spectra.flux[second])


def test_the_demo_has_every_kind_of_star_epochs_and_problems():
    plan = demo_plan()
    assert plan.n_stars == DEMO_STARS == 1500
    truth = pd.concat([simulate_chunk(plan, k)[1] for k in range(plan.n_chunks)])
    repeated = truth.groupby("true_star").size() > 1
    assert 0.07 < repeated.mean() < 0.13
    assert set(truth["true_problem"]) == {"", *PROBLEMS}
    assert 0.015 < (truth["true_problem"] != "").mean() < 0.05
    assert {"BHB", "A", "B", "WD", "HSD", "F", "RRL"} == set(truth["true_class"])


def test_the_measured_signal_to_noise_is_the_one_asked_for():
    truth = simulate_chunk(SurveyPlan(200, 3, snr_range=(5.0, 200.0)), 0)[1]
    ratio = truth["snr_g"] / truth["true_snr_g"]
    assert ratio.median() == pytest.approx(1.0, abs=0.03)
    assert (ratio.between(0.75, 1.3)).all()
    assert truth["true_snr_g"].min() < 8
    assert truth["true_snr_g"].max() > 130


def test_velocities_of_the_header_are_the_truth_within_their_errors():
    truth = simulate_chunk(SurveyPlan(400, 3, counts={"A": 1}, snr_range=(30, 100)), 0)[1]
    error = truth["z"] * 299_792.458 - truth["true_rv"]
    assert 4 < error.std() < 15
    assert (error / (truth["z_err"] * 299_792.458)).std() == pytest.approx(1, abs=0.12)


def test_bhb_stars_have_narrower_balmer_lines_than_dwarfs_of_their_temperature():
    plan = SurveyPlan(300, 4, counts={"BHB": 1, "A": 1}, snr_range=(60, 200), chunk=300)
    spectra, truth = simulate_chunk(plan, 0)
    alike = truth["true_teff"].between(8500, 9500)
    bhb = (alike & (truth["true_class"] == "BHB")).to_numpy()
    dwarf = (alike & truth["true_group"].isin(["dwarf", "blue straggler"])).to_numpy()
    assert bhb.sum() > 20
    assert dwarf.sum() > 10
    d02 = fit_lines(spectra).d02
    assert np.nanmedian(d02[bhb], axis=0) == pytest.approx([25.5, 25.0], abs=1.5)
    assert np.all(np.nanpercentile(d02[bhb], 90, axis=0) < np.nanpercentile(d02[dwarf], 10, axis=0))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_stars": -1}, "n_stars"),
        ({"snr_range": (0.0, 5.0)}, "snr_range"),
        ({"chunk": 0}, "chunk"),
        ({"seed": -3}, "seed"),
        ({"epochs": 1.5}, "epochs"),
        ({"counts": {"Q": 1}}, "counts"),
    ],
)
def test_impossible_plans_are_refused(change, word):
    with pytest.raises(ConfigError, match=word):
        SurveyPlan(**{"n_stars": 10, "seed": 1, **change})


def test_a_chunk_beyond_the_plan_is_refused():
    with pytest.raises(ConfigError, match="chunk 3"):
        simulate_chunk(PLAN, 3)


def test_labels_scatter_about_the_truth_by_their_errors_and_leave_out_dwarfs():
    plan = SurveyPlan(400, 21, {"BHB": 1, "A": 1, "WD": 1, "HSD": 1})
    _, truth = simulate_chunk(plan, 0)
    is_star = (truth["true_kind"] == "ms").to_numpy()
    assert truth.loc[~is_star, ["teff", "logg", "feh"]].isna().all(axis=None)
    for name in ("teff", "logg", "feh"):
        pull = (truth[name] - truth[f"true_{name}"]) / truth[f"{name}_err"]
        assert abs(pull[is_star].mean()) < 0.25
        assert pull[is_star].std() == pytest.approx(1.0, abs=0.15)


def test_spectra_of_which_noise_leaves_no_labels_have_none():
    plan = SurveyPlan(60, 22, {"BHB": 1, "A": 1}, snr_range=(2.0, 12.0))
    _, truth = simulate_chunk(plan, 0)
    assert (truth["snr_g"] < 5).sum() > 5
    assert truth.loc[truth["snr_g"] < 5, ["teff", "logg", "feh", "feh_err"]].isna().all(axis=None)
    assert truth.loc[truth["snr_g"] >= 5, ["teff", "feh_err"]].notna().all(axis=None)
