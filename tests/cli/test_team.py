"""Shared work, references and exports of a team, as a user gives the commands."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from msfa_core.cli import run_cli
from msfa_core.survey.citing import _REFERENCES
from msfa_core.survey.folder import Survey
from msfa_core.vetting.assignment import read_assignment
from msfa_core.vetting.decision import Decision

MADE = Path(__file__).parents[1] / "survey" / "made_before" / "0.1.0.tar.xz"
TEAM = "Ann,Bob,Cid"
NO_DOI = ("Paszke2019", "Pedregosa2011")  # their proceedings and journal give none


@pytest.fixture
def survey(tmp_path):
    with tarfile.open(MADE) as made:
        made.extractall(tmp_path, filter="data")
    return tmp_path / "survey"


def msfa(*arguments):
    return run_cli([str(argument) for argument in arguments])


def test_stars_are_shared_and_progress_is_told(survey, capsys):
    given = ("assign", survey, "--reviewers", TEAM, "--filter", "all", "--per-star", "2")
    assert msfa(*given, "--dry-run") == 0
    assert read_assignment(survey) is None
    assert msfa(*given, "--seed", "3", "--training", "20%") == 0
    made = read_assignment(survey)
    assert made.reviewers == ["Ann", "Bob", "Cid"]
    assert (made.said["seed"], made.said["stars"]) == (3, "all spectra")
    assert "shared among 3 reviewers, seed 3" in capsys.readouterr().out
    known = made.table[(made.table["reviewer"] == "Ann") & (made.table["answer"] != "")]
    with Survey(survey).store() as store:
        for obsid, answer in zip(known["obsid"], known["answer"], strict=True):
            store.append_decision(Decision(obsid, "", answer, "Ann"))
    assert msfa("assign", survey) == 0
    told = capsys.readouterr().out
    assert re.search(rf"Ann: \d+ of {len(made.of('Ann'))} stars", told)
    assert "completeness 1.00 (" in told or "completeness unknown" in told
    assert msfa(*given) == 1  # one is in force
    assert "--overwrite" in capsys.readouterr().err
    assert msfa(*given, "--overwrite") == 0
    assert any(entry["step"] == "assign" for entry in Survey(survey).provenance)


def test_an_assignment_that_cannot_be_made_says_why(survey, capsys):
    for arguments, code, word in (
        (("assign", survey), 1, "no assignment"),
        (("assign", survey, "--reviewers", "Ann,Ann"), 2, "named twice"),
        (("assign", survey, "--reviewers", "Ann", "--per-star", "2"), 2, "2 reviewers per star"),
        (("assign", survey, "--reviewers", TEAM, "--filter", "nice"), 2, "no filter"),
        (("assign", survey, "--reviewers", TEAM, "--overlap", "110%"), 2, "not between"),
        (("assign", survey, "--reviewers", TEAM, "--training", "many"), 2, "no share"),
    ):
        assert msfa(*arguments) == code
        assert word in capsys.readouterr().err
    assert read_assignment(survey) is None


def entries(text):
    """Return key -> fields of a BibTeX text, read strictly: every brace closed."""
    found = {}
    for kind, key, body in re.findall(r"^@(\w+)\{([^,\n]+),\n(.*?)\n\}$", text, re.M | re.S):
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, re.M))
        assert len(fields) == len(body.splitlines()), body
        assert all(value.count("{") == value.count("}") for value in fields.values())
        found[key] = fields | {"kind": kind}
    assert text.count("@") == len(found)
    return found


def test_what_was_used_is_cited_and_nothing_else(survey, tmp_path, capsys):
    assert msfa("cite", survey) == 0
    told = entries(capsys.readouterr().out)
    assert told["msfa-bhb"]["version"]
    assert {"Harris2020", "Astropy2022"} <= set(told)
    assert not {"Lindegren2021", "Green2019", "Schlegel1998"} & set(told)
    Survey.create(tmp_path / "made up", simulated=True)
    assert msfa("cite", tmp_path / "made up") == 0
    assert "Cui2012" not in entries(capsys.readouterr().out)  # no telescope saw them
    opened = Survey(survey)
    steps = {entry["step"] for entry in opened.provenance}
    assert ("Zhang2020" in told) == ("label" in steps)
    table = opened.table()
    table.loc[:3, "ebv_source"] = "sfd"
    table.loc[:3, "parallax_zero_point"] = -0.02
    opened.write_table(table)
    out = tmp_path / "used.bib"
    assert msfa("cite", survey, out) == 0
    told = entries(out.read_text())
    assert {"Schlegel1998", "Lindegren2021"} <= set(told)
    assert "Green2019" not in told
    keys = [key for key in told if key != "msfa-bhb"]
    assert all({"title", "year"} <= set(told[key]) for key in keys)


@pytest.mark.parametrize("key", sorted(_REFERENCES))
def test_an_entry_says_who_what_when_and_where(key):
    said = dict(_REFERENCES[key].fields)
    assert {"author", "title", "year"} <= set(said)
    assert {"journal", "volume", "pages"} <= set(said) or "eprint" in said or "pages" in said
    assert re.fullmatch(r"10\.\d{4,5}/\S+", said.get("doi", "")) or key in NO_DOI


def test_real_spectra_and_photometry_are_cited(lamost_files, tmp_path):
    from msfa_core.survey.citing import used

    assert msfa("ingest", tmp_path / "S", lamost_files, "--quiet") == 0
    opened = Survey(tmp_path / "S")
    table = opened.table()
    table.loc[0, "gaia_source_id"] = 17
    table.loc[0, "j_mag"] = 12.0
    opened.write_table(table)
    told = used(opened)
    assert {"Cui2012", "Gaia2023", "Skrutskie2006"} <= set(told)
    assert "York2000" not in told
    assert told["Cui2012"].startswith("spectra: LAMOST")


@pytest.mark.parametrize("suffix", ["mrt", "fits", "vot", "csv", "parquet"])
def test_two_exports_of_one_state_are_equal_and_anonymous_ones_name_nobody(
    survey, tmp_path, suffix
):
    names = ("Ann Able", "Zoë")
    with Survey(survey).store() as store:
        obsid = Survey(survey).table()["obsid"].tolist()
        store.append_decision(Decision(obsid[0], "", "accept", names[0], comment="as Zoë says"))
        store.append_decision(Decision(obsid[0], "", "accept", names[1], comment="not annable"))
        store.append_decision(Decision(obsid[1], "", "reject", names[1]))
    made = []
    for k in range(2):
        out = tmp_path / f"{k}" / f"t.{suffix}"
        out.parent.mkdir()
        given = ("export", survey, out, "--all", "--columns", "full", "--anonymous")
        assert msfa(*given) == 0
        made.append({path.name: path.read_bytes() for path in out.parent.iterdir()})
    assert made[0] == made[1]
    whole = b"".join(made[0].values())
    assert b"R1" in whole
    if suffix != "parquet":  # compressed
        assert b"Able" not in whole
        assert "Zoë".encode() not in whole
        assert b"Zo\\xeb" not in whole


def test_anonymous_reviewers_keep_their_verdicts_apart(survey, tmp_path):
    from msfa_core.tables.own import read_export
    from msfa_core.vetting.by_reviewer import by_reviewer

    with Survey(survey).store() as store:
        obsid = Survey(survey).table()["obsid"].tolist()
        for name, verdict in (("Ann", "accept"), ("Bob", "reject"), ("Ann-Lena", "unsure")):
            store.append_decision(Decision(obsid[2], "", verdict, name, comment=f"I am {name}"))
    out = tmp_path / "t.csv"
    assert msfa("export", survey, out, "--all", "--columns", "vet, obsid", "--anonymous") == 0
    row = read_export(out).set_index("obsid").loc[obsid[2]]
    said = by_reviewer(row["verdicts_by_reviewer"])
    assert sorted(said.values()) == ["accept", "reject", "unsure"]
    assert all(re.fullmatch(r"R\d+", name) for name in said)
    comments = by_reviewer(row["comments_by_reviewer"])
    assert all(text == f"I am {name}" for name, text in comments.items())
    beside = json.loads((tmp_path / "t.csv.provenance.json").read_text())
    assert not re.search("Ann|Bob", json.dumps(beside["header"]))


def test_columns_go_out_by_set_and_by_name(survey, tmp_path, capsys):
    out = tmp_path / "t.csv"
    given = ("export", survey, out, "--all", "--overwrite")
    assert msfa(*given, "--columns", "paper,verdict, teff") == 0
    head = out.read_text().splitlines()[0].split(",")
    assert head[:2] == ["obsid", "ra"]
    assert head.count("teff") == 1
    assert "verdict" in head
    assert msfa(*given, "--columns", "paper,nosuch") == 2
    assert "nosuch is no set" in capsys.readouterr().err
