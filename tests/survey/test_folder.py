import errno
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from msfa_core import durable
from msfa_core.columns import COLUMNS, columns_of, conform
from msfa_core.config import OF_RESULTS, Settings, settings_help
from msfa_core.constants import LAMOST_GRID
from msfa_core.durable import COLUMNS_AT_ONCE, read_parquet, write_parquet
from msfa_core.errors import ConfigError, SurveyError
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.folder import Survey, is_survey


def spectrum(obsid, **changes):
    wavelength = LAMOST_GRID.wavelength[:50]
    made = Spectrum(
        obsid=obsid,
        wavelength=wavelength,
        flux=np.ones(50, np.float32),
        ivar=np.ones(50, np.float32),
        mask=np.zeros(50, bool),
        z=0.0,
        ra=10.0,
        dec=20.0,
        snr_g=30.0,
        file=f"/data/{obsid}.fits",
        meta={"class": "STAR", "subclass": "A1", "layout": "lamost-table", "file_size": 7},
    )
    return replace(made, **changes)


@pytest.fixture
def survey(tmp_path):
    return Survey.create(tmp_path / "survey")


def test_a_new_survey_is_empty_and_says_so(survey):
    assert len(survey.table()) == 0
    assert list(survey.table().columns) == [column.name for column in COLUMNS]
    assert len(survey.table_with_verdicts()) == 0
    assert not survey.is_simulated
    assert not survey.has_store
    assert [entry["step"] for entry in survey.provenance] == ["create"]
    assert survey.rejected.empty
    assert survey.settings == Settings()


def test_every_setting_is_explained_in_msfa_toml(survey):
    text = (survey.path / "msfa.toml").read_text()
    assert tomllib.loads(text) == {}
    switched_on = tomllib.loads(
        "\n".join(line[2:] for line in text.splitlines() if line.startswith("# ") and " = " in line)
    )
    assert Settings(**switched_on) == Settings()
    meaning = settings_help()
    for field in fields(Settings):
        assert meaning[field.name], f"{field.name} is not explained in the docstring of Settings"
        assert meaning[field.name][0] in text


def test_a_survey_can_start_with_settings(tmp_path):
    made = Survey.create(tmp_path / "S", shard_size=5, selection="xue2011", snr_min=7.5)
    assert made.settings == Settings(shard_size=5, selection="xue2011", snr_min=7.5)
    with pytest.raises(ConfigError, match="unknown setting 'shards'"):
        Survey.create(tmp_path / "T", shards=5)
    assert not (tmp_path / "T").exists()


def test_a_survey_is_made_once_and_only_in_an_empty_place(tmp_path, survey):
    with pytest.raises(SurveyError, match="is a survey already"):
        Survey.create(survey.path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(SurveyError, match="not an empty folder"):
        Survey.create(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    assert is_survey(Survey.create(tmp_path / "empty").path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "full", "survey"]


def test_a_survey_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise SurveyError("the disk is full")

    monkeypatch.setattr("msfa_core.survey.folder.write_whole", full)
    with pytest.raises(SurveyError, match="disk is full"):
        Survey.create(tmp_path / "survey")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_survey_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(SurveyError, match="msfa ingest"):
        Survey(tmp_path / "nowhere")
    with pytest.raises(SurveyError, match="is not a survey"):
        Survey(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SurveyError, match="is not a survey"):
        Survey.open(tmp_path / "file")


def test_the_table_comes_back_as_it_was_written(survey):
    survey.archive.append([spectrum(2**53 + 1), spectrum(5)])
    table = survey.table().assign(p_bhb=[0.25, np.nan], my_note=["x", "y"])
    table["gaia_source_id"] = pd.array([2**62 + 3, None], dtype="Int64")
    survey.write_table(table)
    back = survey.table()
    pd.testing.assert_frame_equal(back, table)
    assert back["obsid"].tolist() == [2**53 + 1, 5]
    assert back["gaia_source_id"][0] == 2**62 + 3
    assert "file_size" not in back.columns


def test_before_a_table_is_written_it_comes_from_the_archive(survey):
    survey.archive.append([spectrum(1), spectrum(2)])
    table = survey.table()
    assert table["obsid"].tolist() == [1, 2]
    assert table["subclass"].tolist() == ["A1", "A1"]
    assert table["p_bhb"].isna().all()


def test_spectra_stored_after_the_table_was_written_are_added(survey):
    survey.archive.append([spectrum(1)])
    survey.write_table(survey.table().assign(p_bhb=0.5))
    survey.archive.append([spectrum(2)])
    table = survey.table()
    assert table["obsid"].tolist() == [1, 2]
    assert table["p_bhb"][0] == 0.5
    assert np.isnan(table["p_bhb"][1])
    assert table["file"][1] == "/data/2.fits"


def test_positions_that_are_none_count_as_missing(survey):
    survey.archive.append([spectrum(1, dec=-9999.0), spectrum(2, ra=400.0), spectrum(3)])
    table = survey.table()
    assert table["dec"].isna().tolist() == [True, True, False]
    assert table["ra"].isna().tolist() == [True, True, False]


def test_an_obsid_cannot_come_twice_in_the_table(survey):
    table = pd.DataFrame({"obsid": [1, 1]})
    with pytest.raises(SurveyError, match="one row per obsid"):
        survey.write_table(table)
    with pytest.raises(SurveyError, match="one row per obsid"):
        survey.write_table(pd.DataFrame({"obsid": pd.array([1, None], dtype="Int64")}))


def test_verdicts_live_in_the_store_and_not_in_the_table(survey):
    from msfa_core.vetting.decision import Decision, Verdict

    survey.archive.append([spectrum(1), spectrum(2)])
    survey.write_table(survey.table().assign(verdict="accept", uid=["G1", "G1"]))
    assert survey.table_with_verdicts()["verdict"].isna().all()
    store = survey.store()
    store.append_decision(Decision(2, "G1", Verdict.REJECT, "Ann"))
    store.close()
    table = survey.table_with_verdicts()
    assert table["verdict"].tolist() == ["reject", "reject"]
    assert table["reviewer"].tolist() == ["Ann", "Ann"]
    vet = {column.name for column in columns_of("vet")}
    assert not vet & set(pd.read_parquet(survey.path / "candidates.parquet").columns)


def test_a_table_that_cannot_be_read_is_named_with_the_remedy(survey):
    (survey.path / "candidates.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(SurveyError, match="candidates.parquet cannot be read"):
        survey.table()


def test_a_full_disk_leaves_the_old_table(survey, monkeypatch):
    survey.archive.append([spectrum(1)])
    survey.write_table(survey.table().assign(p_bhb=0.5))

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(SurveyError, match="the disk is full"):
        survey.write_table(survey.table().assign(p_bhb=0.75))
    monkeypatch.undo()
    assert survey.table()["p_bhb"].tolist() == [0.5]
    assert not list(survey.path.glob("*.writing"))


def test_every_step_is_recorded_with_version_settings_and_time(survey, monkeypatch):
    monkeypatch.setenv("MSFA_SNR_MIN", "15")
    survey.record("classify", weights="abc", n=np.int64(3))
    last = survey.provenance[-1]
    assert last["step"] == "classify"
    assert last["weights"] == "abc"
    assert last["n"] == 3
    assert last["software"]
    assert last["time"].endswith("Z")
    assert last["settings"]["snr_min"] == 15
    assert len(survey.provenance) == 2


@pytest.mark.parametrize("url", ["ann:secret@db.example/survey", "db.example/s?password=secret"])
def test_a_password_never_reaches_provenance_or_exports(survey, url):
    (survey.path / "msfa.toml").write_text(f'database = "postgresql://{url}"\n')
    survey.record("measure")
    said = (survey.path / "provenance.json").read_text()
    assert "secret" not in said
    assert "postgresql://db.example/s" in said
    assert "secret" not in json.dumps(survey.export_header("all"))


def test_a_damaged_provenance_is_named(survey):
    (survey.path / "provenance.json").write_text("[")
    with pytest.raises(SurveyError, match="provenance.json cannot be read"):
        survey.record("run")


def test_exports_of_a_simulated_survey_say_so(tmp_path):
    survey = Survey.create(tmp_path / "demo", simulated=True)
    assert survey.is_simulated
    survey.record("classify", weights="stage1:abc")
    header = survey.export_header("stars with verdict accept")
    assert "SIMULATED" in header["title"]
    assert "stars with verdict accept" in header["table"]
    assert "stage1:abc" in header["step classify"]
    assert "SIMULATED" in (survey.path / "msfa.toml").read_text()


@pytest.mark.parametrize(
    ("releases", "verdicts", "chosen", "title"),
    [
        (["LAMOST DR5", "LAMOST DR8"], ["accept", "accept"], [True, False],
         "Blue horizontal-branch stars from LAMOST spectra"),
        (["LAMOST DR5", None], ["accept", "accept"], [True, True], "Blue horizontal-branch stars"),
        (["LAMOST DR5", "LAMOST DR5"], ["unsure", None], [True, True],
         "Candidate blue horizontal-branch stars from LAMOST spectra"),
        ([None, None], ["accept", None], [True, True], "Candidate blue horizontal-branch stars"),
        (["LAMOST DR5", "LAMOST DR5"], ["accept", "reject"], [True, True],
         "LAMOST spectra searched for blue horizontal-branch stars"),
        (["LAMOST DR5", None], [None, None], [True, None],
         "Spectra searched for blue horizontal-branch stars"),
        ([], [], [], "Spectra searched for blue horizontal-branch stars"),
    ],
)  # fmt: skip
def test_the_title_of_an_export_holds_of_each_of_its_rows(
    tmp_path, releases, verdicts, chosen, title
):
    survey = Survey.create(tmp_path / "S")
    rows = conform(
        pd.DataFrame({"data_release": releases, "verdict": verdicts, "is_candidate": chosen})
    )
    assert survey.export_header("these", rows)["title"] == title


def test_where_no_survey_is_the_whole_path_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SurveyError, match=re.escape(f"no survey at {tmp_path / 'mrs'}: make")):
        Survey("mrs")


def test_exports_say_by_which_rules_rows_were_judged(tmp_path):
    survey = Survey.create(tmp_path / "S", snr_min=12.5, bhb_threshold=0.6, selection="xue2008")
    header = survey.export_header("all spectra")
    assert header["search domain"].endswith("S/N(g) > 12.5")
    assert header["candidates"].endswith("p_bhb ≥ 0.6")
    assert header["D0.2-fm region"].endswith("selection xue2008")
    survey.write_table(survey.table(), used=Settings(snr_min=7, selection="ju2024"))
    header = survey.export_header("all spectra")  # the rows were judged by these
    assert header["search domain"].endswith("S/N(g) > 7")
    assert header["D0.2-fm region"].endswith("selection ju2024")


def test_a_wrong_setting_is_an_error_that_names_the_file(survey):
    (survey.path / "msfa.toml").write_text("snr_mim = 10\n")
    with pytest.raises(ConfigError, match=r"msfa.toml: unknown setting 'snr_mim'"):
        _ = survey.settings


def test_rejected_files_are_listed_once_with_the_latest_reason(survey):
    survey.reject([("a.fits", "empty"), ("b.fits", "truncated, badly")])
    survey.reject([("a.fits", 'still "empty"')])
    table = survey.rejected
    assert table["file"].tolist() == ["b.fits", "a.fits"]
    assert table["reason"].tolist() == ["truncated, badly", 'still "empty"']
    survey.reject([], forgive=["b.fits"])
    assert survey.rejected["file"].tolist() == ["a.fits"]
    assert survey.rejected["time"].str.endswith("Z").all()


_HOLDER = """
import sys, time
from msfa_core.survey.folder import Survey
with Survey({path!r}).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_writers_do_not_collide_and_a_killed_one_lets_go(survey):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER.format(path=str(survey.path))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(SurveyError, match=f"in use .*process {holder.pid}"), survey.lock():
        pass
    assert len(survey.table()) == 0  # reading needs no lock
    holder.kill()
    holder.wait()
    holder.stdout.close()
    half = survey.path / "candidates.parquet.writing"
    half.write_bytes(b"half")
    with survey.lock():
        assert not half.exists()


def test_a_folder_being_made_is_invisible_until_it_is_whole(tmp_path):
    with (
        pytest.raises(RuntimeError, match="stop"),
        durable.making(tmp_path / "demo") as folder,
    ):
        (folder / "half").write_text("x")
        assert not (tmp_path / "demo").exists()
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    ended = subprocess.Popen(["true"])
    ended.wait()
    leftover = tmp_path / f".demo.making-{ended.pid}"
    leftover.mkdir()
    at_work = tmp_path / f".demo.making-{os.getppid()}"
    at_work.mkdir()
    with durable.making(tmp_path / "demo") as folder:
        (folder / "whole").write_text("x")
    assert sorted(p.name for p in tmp_path.iterdir()) == [at_work.name, "demo"]


def test_the_header_of_an_export_says_every_setting_that_its_columns_follow_from(tmp_path):
    chosen = {"deredden_cmd": True, "parallax_zero_point": True, "logg_outlier": 3.7}
    survey = Survey.create(tmp_path / "S", **chosen, templates="/home/me/my_templates")
    said = survey.export_header("all")["settings"]
    for name, value in chosen.items():
        assert f"{name} = {value}" in said
    assert "templates = my_templates" in said
    assert "/home" not in said
    assert set(OF_RESULTS) <= {one.split(" = ")[0] for one in said.split(", ")}


@pytest.mark.parametrize("many", [-1, durable.MANY_ROWS])
def test_a_table_is_read_back_as_it_was_written_group_by_group(tmp_path, monkeypatch, many):
    monkeypatch.setattr(durable, "MANY_ROWS", many)
    n, rng = 50, np.random.default_rng(8)
    columns = {"obsid": pd.array(10**17 + np.arange(n), dtype="Int64")}
    for i in range(2 * COLUMNS_AT_ONCE):
        columns |= {
            f"x{i}": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            f"n{i}": pd.array(rng.integers(9, size=n), dtype="Int64"),
            f"is{i}": pd.array([True, None] * (n // 2), dtype="boolean"),
            f"word{i}": pd.Series(["Ж", None] * (n // 2), dtype="str"),
        }
    table = pd.DataFrame(columns)
    table.loc[3, ["n0", "is1"]] = pd.NA
    for name, rows in (("all", table), ("none", table[:0]), ("few", table[["obsid"]])):
        path = tmp_path / f"{name}.parquet"
        write_parquet(path, rows, {"note": "kept"})
        pd.testing.assert_frame_equal(read_parquet(path), pd.read_parquet(path))
        pd.testing.assert_frame_equal(read_parquet(path), rows)


def test_a_table_of_others_is_read_whatever_its_index(tmp_path):
    table = pd.DataFrame({"obsid": [5, 6]}, index=pd.Index(["a", "b"], name="who"))
    table.to_parquet(tmp_path / "theirs.parquet")
    read = read_parquet(tmp_path / "theirs.parquet")
    assert read["obsid"].tolist() == [5, 6]
