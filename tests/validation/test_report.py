"""The report of a validation: every table as a file, every picture in the page."""

import re

import pandas as pd
import pytest
from small_survey import make_small_survey

from msfa_core.cli import run_cli
from msfa_core.survey.folder import Survey
from msfa_core.tables.guards import csv_bytes
from msfa_core.validation.report import markdown_table


@pytest.fixture
def survey(tmp_path):
    return make_small_survey(tmp_path / "S", n_stars=12)


def reference_of(survey, path):
    table = Survey(survey).table()
    truth = pd.DataFrame(
        {
            "obsid": table["obsid"].astype("str"),
            "class": "STAR",
            "subclass": "A2V",
            "z": table["z"],
            "is_bhb": table["is_candidate"].fillna(False).astype(int),
        }
    )
    truth.to_csv(path, index=False)
    return path


def test_validate_writes_tables_pictures_and_a_page_that_names_them(survey, tmp_path, capsys):
    folder = survey.path if hasattr(survey, "path") else tmp_path / "S"
    reference = reference_of(folder, tmp_path / "truth.csv")
    out = tmp_path / "out"
    assert run_cli(["validate", str(folder), "--reference", str(reference), "--out", str(out)]) == 0
    page = (out / "validation.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((\w+\.png)\)", page)
    assert pictures
    assert set(pictures) == {path.name for path in out.glob("*.png")}
    assert all((out / name).stat().st_size > 5000 for name in pictures)
    assert pd.read_csv(out / "uid_radius.csv")["radius_arcsec"].tolist() == [1, 2, 3, 4, 5]
    assert "sha256" in page
    assert "within 1" in page
    assert "header: class right 100.0%" in capsys.readouterr().out


def test_a_reference_that_cannot_be_used_ends_with_one_clear_line(survey, tmp_path, capsys):
    folder = survey.path if hasattr(survey, "path") else tmp_path / "S"
    table = tmp_path / "other.csv"
    table.write_text("obsid,class\n1,STAR\n2,STAR\n")
    arguments = ["validate", str(folder), "--out", str(tmp_path / "o"), "--reference"]
    assert run_cli([*arguments, str(table)]) == 1
    assert "no spectrum of the survey" in capsys.readouterr().err
    assert run_cli([*arguments, str(tmp_path / "missing.csv")]) == 1
    assert not (tmp_path / "o").exists()


def test_words_of_a_reference_break_no_row_and_run_in_no_spreadsheet():
    told = pd.DataFrame({"of": ["=cmd()", "A|B\nC"], "n": [1, 2]}).set_index("of")
    lines = markdown_table(told).splitlines()
    assert len(lines) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)
    assert csv_bytes(told.reset_index()).decode().splitlines()[1] == "'=cmd(),1"
