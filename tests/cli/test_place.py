"""`msfa place` and `msfa status --funnel` as a user gives them."""

import numpy as np
import pytest
from local_tap import recorded_rows, start_archive
from small_survey import star_spectrum

from msfa_core.cli import run_cli
from msfa_core.survey.folder import Survey


@pytest.fixture
def archive():
    known, url, stop = start_archive()
    yield known, url
    stop()


@pytest.fixture
def survey(tmp_path):
    rng = np.random.default_rng(8)
    made = [star_spectrum(700 + k, 9.0, 0.7, 0.0, 30.0, rng, f"{k}.fits") for k in range(6)]
    for spectrum, row in zip(made, recorded_rows(), strict=False):
        object.__setattr__(spectrum, "ra", float(row["ra"]))
        object.__setattr__(spectrum, "dec", float(row["dec"]))
    survey = Survey.create(tmp_path / "s", dust_map="none")
    survey.archive.append(made)
    return survey


def test_place_online_fetches_places_and_counts(survey, archive, capsys):
    known, url = archive
    assert run_cli(["place", str(survey.path), "--online", "--server", url, "-q"]) == 0
    printed = capsys.readouterr().out
    assert "6 stars wanted, 0 of them asked for before; 6 Gaia sources" in printed
    assert "6 stars wanted, 0 of them asked for before; 6 Pan-STARRS sources" in printed
    assert "6 spectra: 6 with Gaia photometry, 5 in the CMD" in printed
    assert survey.table()["uid"].str.startswith("G").all()
    assert [entry["step"] for entry in survey.provenance].count("fetch") == 2
    assert survey.table()["ps_id"].notna().all()
    assert survey.table()["ps_r_mag_err"].tolist() == [0.01] * 6
    assert run_cli(["place", str(survey.path), "--online", "--server", url, "-q"]) == 0
    assert "6 of them asked for before" in capsys.readouterr().out
    assert len(known.questions) == 2  # one for each


def test_one_archive_can_be_asked_alone(survey, archive, capsys):
    known, url = archive
    command = ["place", str(survey.path), "--online", "--server", url, "-q", "--archives"]
    assert run_cli([*command, "panstarrs"]) == 0
    assert "Gaia sources" not in capsys.readouterr().out
    assert ["panstarrs1" in query for query, _ in known.questions] == [True]
    assert survey.table()["uid"].str.startswith("P").all()
    assert run_cli([*command, "2mass"]) == 2


def test_without_a_network_one_line_says_so(survey, monkeypatch, capsys):
    monkeypatch.setattr("msfa_core.photometry.tap.time.sleep", lambda _: None)
    arguments = ["place", str(survey.path), "--online", "--server", "http://127.0.0.1:9/tap"]
    assert run_cli(arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("msfa: no answer from http://127.0.0.1:9/tap")
    assert "--gaia" in said


def test_a_table_is_placed_and_options_of_the_fetch_need_it(survey, tmp_path, capsys):
    path = tmp_path / "gaia.csv"
    rows = recorded_rows()[:6]
    rows[["source_id", "ra", "dec", "phot_g_mean_mag", "bp_rp", "parallax"]].write(path)
    assert run_cli(["place", str(survey.path), "--gaia", str(path), "-q"]) == 0
    assert "6 with Gaia photometry" in capsys.readouterr().out
    assert run_cli(["place", str(survey.path), "--candidates"]) == 2
    assert run_cli(["place", str(survey.path), "--gaia", str(tmp_path / "none.csv")]) == 1


def test_status_prints_the_funnel(survey, capsys):
    assert run_cli(["status", str(survey.path), "--funnel"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("both lines") and "3,583" in line for line in lines)
    assert any(line.startswith("- : not known yet") for line in lines)  # nothing was run
