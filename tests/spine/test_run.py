import contextlib
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import columns_of
from msfa_core.config import Settings
from msfa_core.constants import STEPS
from msfa_core.errors import CatalogueError, ConfigError, SurveyError
from msfa_core.flags import CmdFlag, LabelFlag
from msfa_core.rules import are_candidates, in_search_domain
from msfa_core.search.prior import Trained
from msfa_core.simulate.survey import SurveyPlan
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spine.demo import make_demo
from msfa_core.spine.derived import settle_labels
from msfa_core.spine.label import colours_for_labels
from msfa_core.spine.run import run
from msfa_core.spine.step import Part
from msfa_core.survey import demo as demo_of
from msfa_core.survey.completing import SurveyShard
from msfa_core.survey.demo import demo_left, demo_path
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest
from msfa_core.survey.status import status


@pytest.fixture(autouse=True)
def models(tiny_models, monkeypatch):
    monkeypatch.setenv("MSFA_MODELS", str(tiny_models))
    return tiny_models


@pytest.fixture(scope="module")
def ingested(lamost_files, tmp_path_factory):
    """A survey of 24 simulated spectra in shards of 10; the tests work on copies of it."""
    made = Survey.create(tmp_path_factory.mktemp("ingested") / "survey", shard_size=10)
    ingest(made, [lamost_files])
    return made.path


@pytest.fixture(scope="module")
def worked_through(ingested, tiny_models, tmp_path_factory):
    """The same survey after an undisturbed run of all steps; as above."""
    path = shutil.copytree(ingested, tmp_path_factory.mktemp("worked_through") / "survey")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MSFA_MODELS", str(tiny_models))
        run(path, workers=1)
    return path


@pytest.fixture
def survey(ingested, tmp_path):
    """A survey of which nothing is done yet."""
    return Survey(shutil.copytree(ingested, tmp_path / "survey"))


@pytest.fixture
def done(worked_through, tmp_path):
    """A survey of which every step is done."""
    return Survey(shutil.copytree(worked_through, tmp_path / "done"))


@pytest.fixture(scope="module")
def finished(worked_through):
    """The table of an undisturbed run."""
    return Survey(worked_through).table()


def result_files(survey):
    paths = [*survey.path.glob("steps/*/*.parquet"), survey.path / "candidates.parquet"]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_a_run_fills_the_columns_of_every_step(survey):
    from msfa_core.search.two_stages import load_search

    report = run(survey, workers=1)
    table = survey.table()
    assert [step.step for step in report.steps] == list(STEPS)
    p_class = table[[f"p_class_{c}" for c in ("bhb", "a", "b", "hsd", "wd")]]
    assert np.allclose(p_class.sum(axis=1), 1)
    assert table["p_bhb"].between(0, 1).all()
    assert table["predicted_class"].isin(["BHB", "A", "B", "HSD", "WD"]).all()
    assert table["balmer_flags_hdelta"].notna().all()
    assert table["d02_hdelta"].notna().sum() > 10
    assert table["kp"].notna().sum() > 10
    have_both = table[["d02_hdelta", "d02_hgamma"]].notna().all(axis=1)
    assert table.loc[have_both, "in_bhb_region"].notna().all()
    labelled = table["teff"].notna()
    assert labelled.sum() > 15
    assert ((table["label_flags"] & int(LabelFlag.MISSING)) != 0).eq(~labelled).all()
    values = ["logg", "feh", "label_chi2", "teff_fit_err", "logg_fit_err", "feh_fit_err"]
    assert table.loc[labelled, values].notna().all(axis=None)
    errors = ["teff_err", "logg_err", "feh_err"]  # a label on the edge of the model has none
    is_inside = labelled & ((table["label_flags"] & int(LabelFlag.AT_EDGE)) == 0)
    assert is_inside.sum() > 10
    assert table.loc[is_inside, errors].notna().all(axis=None)
    assert table["cmd_flags"].notna().all()
    assert table["uid"].str.startswith("L").all()
    assert table["is_representative"].sum() == table["uid"].nunique()
    assert report.n_spectra == 24
    assert report.n_candidates == table["is_candidate"].sum()
    done = {entry["step"]: entry for entry in survey.provenance}
    assert set(STEPS) <= set(done)
    matched = table["template_flags"].notna()
    assert matched.all()
    assert (table["template_class"] == "STAR").sum() > 20
    assert table["template_confidence"].between(0, 100).sum() > 20
    assert done["classify"]["weights"] == load_search(os.environ["MSFA_MODELS"]).weights_checksum


def test_probabilities_are_those_of_the_networks_on_the_prepared_spectra(survey):
    from msfa_core.search.two_stages import TwoStageSearch
    from msfa_core.spectra.prepare import prepare

    run(survey, ["classify"], workers=1)
    table = survey.table()
    spectra = survey.archive.spectra(table["obsid"])
    found = TwoStageSearch.load(os.environ["MSFA_MODELS"]).classify(prepare(spectra))
    assert np.allclose(table["p_bhb"], found.p_bhb, atol=1e-6)
    assert table["predicted_class"].tolist() == found.predicted_class.tolist()


def test_a_second_run_does_no_work(done, monkeypatch):
    before, said = result_files(done), done.provenance
    monkeypatch.setattr(Part, "do", lambda part: pytest.fail("worked again"))
    report = run(done, workers=1)
    assert not report.did_work
    assert result_files(done) == before
    assert done.provenance == said


def test_processes_give_the_same_table_as_this_process(survey, finished):
    run(survey, workers=2)
    pd.testing.assert_frame_equal(survey.table(), as_in(finished, survey))


def as_in(table, survey):
    """The table with the paths of another survey: ingest stored the same files."""
    assert table["file"].tolist() == survey.table()["file"].tolist()
    return table


@contextlib.contextmanager
def imported_once(*modules):
    """Workers of Dask, and those that replace them, are forks of a process with these modules."""
    import dask.config
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(["distributed", *modules])
        yield


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_table_whatever_dies(survey, finished, monkeypatch):
    """Workers killed in mid-shard (MSFA_KILLS of them, 2 when not set), then the scheduler."""
    from distributed import LocalCluster

    rng = np.random.default_rng(8)
    kills = int(os.environ.get("MSFA_KILLS", "2"))
    killed = []

    def kill_some(step, done, total, part=""):
        if part and len(killed) < kills and step in ("classify", "measure", "match"):
            nannies = [one for one in cluster.workers.values() if one.pid]
            victim = nannies[int(rng.integers(len(nannies)))]
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    def end_the_scheduler(step, done, total, part=""):
        if step == "match" and part:
            cluster.close()

    with (
        imported_once("msfa_core.spine.run", "msfa_core.search.two_stages", "msfa_core.templates"),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
    ):
        address = cluster.scheduler_address
        with monkeypatch.context() as patch:
            patch.setattr("msfa_core.spine.cluster.__version__", "9.9")
            with pytest.raises(SurveyError, match=r"do not have msfa-bhb 9\.9: tcp://.* \(0\.1"):
                run(survey, scheduler=address)
        while True:
            run(survey, scheduler=address, progress=kill_some, force=True)
            if len(killed) >= kills:
                break
        table = survey.table()
        pd.testing.assert_frame_equal(table, as_in(finished, survey), check_exact=True)
        with pytest.raises(SurveyError, match=r"scheduler at tcp://.* is gone"):
            run(survey, scheduler=address, progress=end_the_scheduler, force=True)
    assert len(Survey(survey.path).table()) == len(table)
    run(survey, workers=1)
    pd.testing.assert_frame_equal(survey.table(), table, check_exact=True)


def test_a_scheduler_that_does_not_answer_is_named(survey, monkeypatch):
    monkeypatch.setattr("msfa_core.spine.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(SurveyError, match=r"tcp://127.0.0.1:9 .*check the address"):
        run(survey, scheduler="tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_resumed_to_the_same_table(survey, finished):
    command = [sys.executable, "-m", "msfa_core.cli", "run", str(survey.path), "--workers", "1"]
    for line in ("classify 000001-lamost", "measure 000002-lamost"):
        process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.PIPE, text=True)
        while line not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(Survey(survey.path).table()) == 24
    kept = result_files(survey)
    report = run(survey, workers=1)
    assert {step.step: step.n_skipped for step in report.steps}["classify"] == 3
    for path, time in result_files(survey).items():
        assert path.endswith("candidates.parquet") or kept.get(path, time) == time
    pd.testing.assert_frame_equal(survey.table(), as_in(finished, survey))


@pytest.mark.parametrize("last", ["000001", "000003"])
def test_provenance_tells_what_a_stopped_step_did(survey, last):
    """Stopped by a closed pipe or Ctrl-C: what is kept would have no date and no weights."""

    def stop(step, done, total, part=""):
        if part.startswith(last):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(survey, ["measure"], workers=1, progress=stop)
    (said,) = [entry for entry in survey.provenance if entry["step"] == "measure"]
    assert said["done"] == int(last)
    run(survey, ["measure"], workers=1)
    said = [entry["done"] for entry in survey.provenance if entry["step"] == "measure"]
    assert sum(said) == 3


def test_a_worker_that_dies_is_one_clear_error_and_what_was_done_is_kept(survey, monkeypatch):
    monkeypatch.setattr("msfa_core.spine.cluster.Part.do", _die_on_the_second_shard)
    with pytest.raises(SurveyError, match="worker process died"):
        run(survey, ["classify"], workers=2)
    monkeypatch.undo()


def _die_on_the_second_shard(part):
    if part.name.startswith("000002"):
        os.kill(os.getpid(), signal.SIGKILL)
    return pd.DataFrame({"obsid": []})


def test_force_does_everything_again_and_gives_the_same(done):
    before = done.table()
    report = run(done, ["measure", "identify"], force=True, workers=1)
    assert [step.n_done for step in report.steps] == [3, 1]
    pd.testing.assert_frame_equal(done.table(), before)


def test_new_spectra_are_the_only_ones_worked_on(done, lamost_files, tmp_path):
    wavelength = done.archive.original(done.archive.obsid[0]).wavelength
    rng = np.random.default_rng(5)
    flux = rng.normal(100, 1, len(wavelength)).astype(np.float32)
    new = Spectrum(77, wavelength, flux, np.ones_like(flux), np.zeros(len(flux), bool), z=0.0)
    done.archive.append([new])
    report = run(done, workers=1)
    by_step = {step.step: (step.n_done, step.n_skipped) for step in report.steps}
    assert by_step["measure"] == (1, 3)
    assert by_step["classify"] == (1, 3)
    assert by_step["know"] == (1, 0)
    assert done.table().set_index("obsid").loc[77, "p_bhb"] >= 0


def test_other_weights_are_classified_again_and_nothing_else(done, tiny_models, tmp_path):
    from msfa_core.networks.weights import load_weights, save_weights, write_checksums

    before = done.table()
    other = shutil.copytree(tiny_models, tmp_path / "other")
    model, card = load_weights(other / "stage2.safetensors")
    state = model.state_dict()
    state["fc.bias"][1] += 0.5
    model.load_state_dict(state)
    save_weights(model, other / "stage2.safetensors", card)
    write_checksums(other)
    (done.path / "msfa.toml").write_text(f'shard_size = 10\nmodels = "{other}"\n')
    os.environ.pop("MSFA_MODELS")
    report = run(done, workers=1)
    assert {step.step for step in report.steps if step.n_done} == {"classify"}
    assert (done.table()["p_bhb"] != before["p_bhb"]).all()
    assert done.table()["d02_hdelta"].equals(before["d02_hdelta"])


def test_a_new_threshold_or_selection_changes_the_table_without_looking_at_spectra(
    done, monkeypatch
):
    monkeypatch.setattr(SurveyShard, "spectra", lambda shard: pytest.fail("looked at spectra"))
    monkeypatch.setenv("MSFA_BHB_THRESHOLD", "0")
    monkeypatch.setenv("MSFA_SELECTION", "xue2011")
    monkeypatch.setenv("MSFA_SNR_MIN", "0")
    run(done, workers=1)
    table = done.table()
    expected = table["in_search_domain"] & (table["predicted_class"] == "BHB")
    assert table["is_candidate"].tolist() == expected.tolist()
    monkeypatch.setenv("MSFA_SELECTION", "nobody1999")
    with pytest.raises(ConfigError, match="nobody1999"):
        run(done, workers=1)


def test_class_shares_of_the_sky_change_the_table_and_are_taken_back_with_the_setting(
    done, monkeypatch
):
    before = done.table()
    with pytest.raises(ConfigError, match="do not say how many stars"):
        run(done, workers=1, prior="lamost")
    monkeypatch.setattr(SurveyShard, "spectra", lambda shard: pytest.fail("looked at spectra"))
    trained = Trained({"BHB": 9, "A": 9, "B": 9, "HSD": 9, "WD": 9}, ("A", "HSD"))
    monkeypatch.setattr(Trained, "of", lambda models: trained)
    for _ in range(2):  # from what the networks said, however often
        run(done, workers=1, prior="lamost")
        table = done.table()
        assert (table["p_bhb"] < before["p_bhb"]).all()
        assert (table["p_class_bhb"] < before["p_class_bhb"]).all()
        odds = table["p_bhb"] / (1 - table["p_bhb"]) / (before["p_bhb"] / (1 - before["p_bhb"]))
        assert odds.to_numpy() == pytest.approx(0.047 / 0.843 * 2, rel=1e-3)
    with pytest.raises(ConfigError, match="sum to 1"):
        run(done, workers=1, prior="BHB 0.5, A 0.8, B 0.1, HSD 0.02, WD 0.03")
    run(done, workers=1)
    pd.testing.assert_frame_equal(done.table(), before)


def test_limits_of_ones_own_are_used_like_a_named_selection_and_counted_by_line(done, monkeypatch):
    from msfa_core.balmer.selection import parse_selection

    mine = "mine: hdelta d02 5..35, fm ..0.6; hgamma b 2..15, c 0.5..1.6"
    run(done, workers=1, selection=mine)
    table = done.table()
    chosen = parse_selection(mine)
    inside = table[["d02_hdelta", "fm_hdelta", "d02_hgamma", "fm_hgamma"]].notna().all(axis=1)
    for line in chosen.lines:
        names = [f"{what}_{line}" for what in ("d02", "fm", "width", "shape")]
        inside &= chosen.contains(line, *(table[name].to_numpy() for name in names))
    assert table["in_bhb_region"].fillna(False).tolist() == inside.tolist()
    assert 0 < inside.sum() < len(table)
    p = table["p_in_bhb_region"]
    assert p[inside].mean() > p[~inside].mean()
    assert p.dropna().between(0, 1).all()
    monkeypatch.setenv("MSFA_SELECTION", mine)
    counts = status(done).counts
    assert counts["candidates within the cuts of Hδ"] >= counts["candidates in the D0.2–fm region"]
    assert "candidates within the cuts of Hγ" in counts
    run(done, workers=1, selection="odd: hdelta d02 17..28, c 0.8..1.2")
    assert done.table()["p_in_bhb_region"].isna().all()  # no common distribution is known
    with pytest.raises(ConfigError, match="the lower limit comes first"):
        run(done, workers=1, selection="mine: hdelta d02 28..17")


def test_no_step_touches_a_decision(done):
    from msfa_core.vetting.decision import Decision, Verdict

    obsid = int(done.archive.obsid[3])
    store = done.store()
    store.append_decision(Decision(obsid, "", Verdict.ACCEPT, "Ann", comment="nice"))
    before = store.decisions()
    run(done, force=True, workers=1)
    assert store.decisions() == before
    store.close()
    row = done.table_with_verdicts().set_index("obsid").loc[obsid]
    assert (row["verdict"], row["comment"]) == ("accept", "nice")


def test_known_stars_are_named_by_obsid_and_by_place_and_stay_known(survey, tmp_path):
    table = survey.table()
    first, second = table.iloc[0], table.iloc[1]
    (tmp_path / "ju2025.csv").write_text(f"obsid\n{first['obsid']}\n")
    place = f"{second['ra']:.6f},{second['dec'] + 2 / 3600:.6f}"
    (tmp_path / "xue2011.csv").write_text(f"ra,dec\n{place}\n10.0,-89.0\n")
    files = [tmp_path / "ju2025.csv", tmp_path / "xue2011.csv"]
    run(survey, ["classify"], known=files, workers=1)
    known = survey.table()["known_in"]
    assert known[0] == "ju2025"
    assert known[1] == "xue2011"
    assert known[2:].isna().all()
    for file in files:
        file.unlink()
    run(survey, ["classify"], force=True, workers=1)
    assert survey.table()["known_in"].equals(known)


def test_gaia_rows_are_placed_by_position_and_kept(survey, tmp_path):
    table = survey.table().iloc[:5]
    gaia = pd.DataFrame(
        {
            "source_id": 4_000_000_000_000_000_001 + np.arange(5),
            "ra": table["ra"],
            "dec": table["dec"],
            "phot_g_mean_mag": 15.0,
            "bp_rp": 0.1,
            "parallax": [1.0, 0.5, -0.1, np.nan, 2.0],
            "parallax_error": 0.05,
        }
    )
    path = tmp_path / "gaia.csv"
    gaia.to_csv(path, index=False)
    run(survey, ["place", "identify"], gaia=path, workers=1)
    placed = survey.table()
    assert placed["gaia_source_id"][:5].tolist() == gaia["source_id"].tolist()
    assert placed["abs_mag_g"][0] == pytest.approx(5.0)
    assert placed["abs_mag_g"][2:4].isna().all()
    assert placed["parallax_over_error"][1] == pytest.approx(10)
    assert placed["uid"][0] == "G4000000000000000001"
    assert placed["g_mag"][5:].isna().all()
    path.unlink()
    run(survey, force=True, workers=1)
    assert survey.table()["abs_mag_g"].equals(placed["abs_mag_g"])


def test_gaia_columns_of_a_catalogue_are_used_where_no_gaia_table_is_given(survey, tmp_path):
    obsid = survey.archive.obsid[0]
    path = tmp_path / "dr12.csv"
    path.write_text(
        "obsid,gaia_source_id,gaia_g_mean_mag,bp_rp,parallax,parallax_over_error\n"
        f"{obsid},4000000000000000001,14.0,0.2,0.5,20\n"
    )
    ingest(survey, [], [path])
    run(survey, ["place"], workers=1)
    row = survey.table().iloc[0]
    assert row["abs_mag_g"] == pytest.approx(14 + 5 * np.log10(0.5) - 10)
    assert row["gaia_source_id"] == 4_000_000_000_000_000_001
    assert row["cmd_flags"] == CmdFlag.NO_PROPER_MOTION


def test_labels_of_a_catalogue_stand_in_where_there_are_none_and_stay_visible(survey, tmp_path):
    run(survey, ["label"], workers=1)
    alone = survey.table()
    found, none = alone[alone["teff"].notna()].index[0], survey.archive.obsid[3]
    obsid = survey.archive.obsid
    path = tmp_path / "lasp.csv"
    rows = [f"{k},8500,4.3,-0.2" for k in obsid[:3]] + [f"{none},8500,-9999,-1.0"]
    path.write_text("obsid,teff,logg,feh\n" + "\n".join(rows) + "\n")
    ingest(survey, [], [path])
    run(survey, ["label"], workers=1)
    table = survey.table()
    assert table["teff_catalogue"].notna().sum() == 4
    assert table.loc[found, "teff"] == alone.loc[found, "teff"]

    kept = alone.assign(label_flags=pd.array([int(LabelFlag.MISSING)] * 24, dtype="Int64"))
    kept[["teff", "logg", "feh", "teff_err", "logg_err", "feh_err", "label_chi2"]] = np.nan
    settled = settle_labels(kept, survey.base_table(), survey.settings).set_index("obsid")
    assert settled.loc[obsid[:3], "teff"].tolist() == [8500] * 3
    assert settled.loc[obsid[0], "label_flags"] == (
        LabelFlag.FROM_CATALOGUE
        | LabelFlag.HIGH_LOGG
        | LabelFlag.HIGH_FEH
        | LabelFlag.OUTSIDE_KIEL_BAND
    )
    assert settled.loc[none, "label_flags"] == LabelFlag.FROM_CATALOGUE | LabelFlag.MISSING
    with warnings.catch_warnings(action="ignore"):
        pieces = kept.assign(**{f"more_{i}": float(i) for i in range(120)})
    assert settle_labels(pieces, survey.base_table(), survey.settings)["teff"].notna().any()
    assert settled.loc[obsid[4], "label_flags"] == LabelFlag.MISSING
    assert np.isnan(settled.loc[obsid[4], "teff"])


def test_colours_join_the_spectra_of_stars_that_have_them(survey, tmp_path):
    obsid = survey.archive.obsid
    path = tmp_path / "photometry.csv"
    mags = "14.1,14.0,13.9,13.7,13.65,0.02"
    path.write_text(
        f"obsid,bp_mag,g_mag,rp_mag,j_mag,h_mag,ebv\n{obsid[0]},{mags}\n{obsid[1]},{mags}\n"
    )
    ingest(survey, [], [path])
    run(survey, ["label", "place"], workers=1)
    table = survey.table().set_index("obsid")
    first = table.loc[obsid[:2]]
    assert (first["label_colours"] == "bp_g,g_rp,bp_rp,j_h").eq(first["teff"].notna()).all()
    assert (table.loc[obsid[2:], "label_colours"].fillna("") == "").all()


def test_colours_without_a_reddening_stay_out_of_the_labels():
    rows = {"bp_mag": [14.1, 14.1], "rp_mag": [13.9, 13.9], "ebv": [0.02, np.nan]}
    found = colours_for_labels(pd.DataFrame(rows))
    assert found["bp_rp"].notna().tolist() == [True, False]


def test_moving_a_limit_of_the_labels_changes_their_flags_without_another_fit(survey):
    run(survey, ["label"], workers=1)
    before = survey.table()
    loose = replace(survey.settings, logg_outlier=-5.0)
    after = settle_labels(before, survey.base_table(), loose)
    labelled = before["logg"].notna()
    assert ((after["label_flags"] & int(LabelFlag.HIGH_LOGG)) != 0).eq(labelled).all()
    assert after["logg"].equals(before["logg"])


def test_the_search_domain_is_a_and_b_stars_above_the_cut_at_low_resolution():
    rows = [
        ("STAR", "A1V", 20, "low", True),
        ("star", " b6 ", 20, "low", True),
        ("STAR", "F0", 20, "low", False),
        ("GALAXY", "A1", 20, "low", False),
        ("STAR", "A1V", 10, "low", False),
        ("STAR", "A1V", np.nan, "low", False),
        (None, None, 20, "low", False),
        ("STAR", None, 20, "low", False),
        ("STAR", "A1V", 20, "medium", False),
        ("STAR", "A1V", 20, None, True),
    ]
    table = pd.DataFrame(rows, columns=["class", "subclass", "snr_g", "resolution", "expected"])
    for name in ("class", "subclass", "resolution"):
        table[name] = table[name].astype("str")
    inside = in_search_domain(table, Settings())
    assert inside.tolist() == table["expected"].tolist()


def test_a_candidate_needs_the_domain_and_both_stages():
    table = pd.DataFrame(
        {
            "in_search_domain": pd.array([True, False, True, True, True], dtype="boolean"),
            "predicted_class": pd.Series(["BHB", "BHB", "A", "BHB", None], dtype="str"),
            "p_bhb": [0.5, 0.9, 0.9, 0.49, np.nan],
        }
    )
    kept = are_candidates(table, Settings())
    assert kept[:4].tolist() == [True, False, False, False]
    assert kept.isna().tolist() == [False] * 4 + [True]


def test_medium_resolution_is_stored_and_left_out_of_the_search(done):
    wavelength = np.concatenate([np.arange(4950, 5350, 0.15), np.arange(6300, 6800, 0.15)])
    n = len(wavelength)
    said = {"resolution": "medium", "layout": "lamost-medium", "class": "STAR", "subclass": "A1"}
    new = Spectrum(
        5, wavelength, np.ones(n), np.ones(n), np.zeros(n, bool), z=0.0, snr_g=50, meta=said
    )
    done.archive.append([new])
    run(done, workers=1)
    row = done.table().set_index("obsid").loc[5]
    assert np.isnan(row["p_bhb"])
    assert pd.isna(row["predicted_class"])
    assert row["in_search_domain"] == False  # noqa: E712
    assert row["balmer_flags_hdelta"] > 0
    report = status(done)
    assert report.counts["of medium resolution, outside the search"] == 1


def test_the_z_of_a_catalogue_serves_where_the_file_has_none(survey, tmp_path):
    one = survey.archive.original(survey.archive.obsid[0])
    survey.archive.append(
        [Spectrum(9, one.wavelength, one.flux, one.ivar, one.mask, meta={"class": "STAR"})]
    )
    run(survey, ["classify"], workers=1)
    table = survey.table().set_index("obsid")
    assert np.isnan(table.loc[9, "p_bhb"])
    path = tmp_path / "z.csv"
    path.write_text(f"obsid,z\n9,{one.z!r}\n")
    ingest(survey, [], [path])
    run(survey, ["classify"], workers=1)
    table = survey.table().set_index("obsid")
    assert table.loc[9, "p_bhb"] == pytest.approx(table.loc[one.obsid, "p_bhb"], abs=1e-6)


def test_wrong_calls_are_refused_in_one_line(survey, tmp_path):
    with pytest.raises(ConfigError, match="unknown step 'clasify'; the steps are match, "):
        run(survey, ["clasify"])
    with pytest.raises(SurveyError, match="holds no spectra yet"):
        run(Survey.create(tmp_path / "empty"))
    (tmp_path / "gaia.csv").write_text("name,colour\nx,1\n")
    with pytest.raises(CatalogueError, match="no source_id, obsid or ra/dec"):
        run(survey, ["place"], gaia=tmp_path / "gaia.csv")
    assert not (survey.path / "gaia.parquet").exists()


def test_a_survey_in_use_is_not_run(survey):
    with survey.lock(), pytest.raises(SurveyError, match="in use by another msfa command"):
        run(survey)


def test_status_tells_what_is_there_what_was_done_and_what_is_missing(survey, done):
    before = status(survey)
    assert [step.time for step in before.steps] == [""] * len(STEPS)
    done.reject([("bad.fits", "empty")])
    report = status(done.path)
    assert report.n_spectra == sum(report.by_layout.values()) == sum(report.by_class.values()) == 24
    assert report.n_stars == done.table()["uid"].nunique()
    of_step = {step.step: step for step in report.steps}
    assert all(of_step[name].n_done == 24 for name in ("classify", "measure", "match", "label"))
    assert of_step["identify"].n_done == 24
    assert report.n_rejected == 1
    text = "\n".join(report.lines())
    for words in (
        "24 spectra",
        "Gaia photometry",
        "--gaia FILE",
        "--known",
        "rejected.csv",
    ):
        assert words in text
    assert "no Gaia row" in text


@pytest.fixture
def kernels_are_there(monkeypatch):
    """No process is started to compile kernels that an earlier test has compiled."""
    ready = contextlib.nullcontext(SimpleNamespace(join=lambda: None))
    monkeypatch.setattr("msfa_core.spine.demo.compiling_beside", lambda: ready)


@pytest.mark.usefixtures("kernels_are_there")
def test_the_demo_is_made_whole_or_not_at_all_and_only_once(tmp_path, monkeypatch):
    plan = SurveyPlan(1500, seed=3, chunk=10, epochs=0.5)
    monkeypatch.setattr("msfa_core.spine.demo.demo_plan", lambda: plan)

    def stop(step, done, total, shard=""):
        if step == "measure":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", stop, 10)
    assert list(tmp_path.iterdir()) == []
    demo = make_demo(tmp_path / "demo", n_stars=10)
    assert demo.is_simulated
    table = demo.table()
    assert table["true_class"].notna().all()
    assert table["uid"].nunique() == 10
    by_id = ("gaia_separation", "gaia_candidates", "parallax_zero_point")  # not asked for here
    for column in columns_of("place"):
        if column.name.startswith("ps_"):  # simulated stars are in Gaia alone
            continue
        if column.name not in ("in_cmd_trapezoid", "abs_mag_g", *by_id):
            assert table[column.name].notna().all(), column.name
    is_inside = (table["label_flags"] & int(LabelFlag.AT_EDGE)) == 0
    assert is_inside.any()
    for step in ("match", "label"):
        for column in columns_of(step):
            rows = is_inside if column.name in ("teff_err", "logg_err", "feh_err") else slice(None)
            assert table.loc[rows, column.name].notna().all(), column.name
    stamp = result_files(demo)
    assert result_files(make_demo(tmp_path / "demo")) == stamp
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(SurveyError, match="no survey"):
        make_demo(tmp_path / "other")


@pytest.mark.usefixtures("kernels_are_there")
def test_the_first_stars_of_the_demo_are_there_before_the_others(tmp_path, monkeypatch):
    plan = SurveyPlan(1500, seed=3)
    monkeypatch.setattr("msfa_core.spine.demo.demo_plan", lambda: plan)

    def stop(step, done, total, shard=""):
        if demo_path_is_there() and step == "classify":
            raise KeyboardInterrupt

    def demo_path_is_there():
        return (tmp_path / "demo").exists()

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", stop, 10, at_once=4)
    begun = Survey(tmp_path / "demo")
    assert demo_left(begun) == 10
    first = begun.table().iloc[:4]
    for name in ("p_class_bhb", "d02_hdelta", "template_class", "label_flags", "uid"):
        assert first[name].notna().all(), name
    results = {path: path.stat().st_mtime_ns for path in begun.path.glob("steps/*/000001*")}
    assert results
    whole = make_demo(tmp_path / "demo", n_stars=10, at_once=4)
    assert demo_left(whole) == 0
    table = whole.table()
    assert table["true_star"].nunique() == 10
    assert table["p_class_bhb"].notna().all()
    assert {path: path.stat().st_mtime_ns for path in results} == results  # none was done twice
    assert list(table["obsid"].iloc[:4]) == list(first["obsid"])
    words = " ".join(whole.export_header(""))
    assert "step demo" not in words


def test_the_demo_holds_the_same_stars_whether_a_page_or_a_notebook_makes_it(tmp_path, monkeypatch):
    plans = []

    def note(survey, plan, **_):
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr("msfa_core.spine.demo.simulate", note)
    for at_once in (None, demo_of.STARS_AT_ONCE):
        with pytest.raises(KeyboardInterrupt):
            make_demo(tmp_path / "demo", at_once=at_once)
    assert plans[0] == plans[1]


def test_the_demo_lies_in_the_clone_or_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MSFA_DEMO", str(tmp_path / "mine"))
    assert demo_path() == tmp_path / "mine"
    monkeypatch.delenv("MSFA_DEMO")
    assert demo_path().parts[-2:] == ("data", "demo")
    monkeypatch.setattr(demo_of, "in_clone", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert demo_path() == tmp_path / "cache" / "msfa-bhb" / "demo"
