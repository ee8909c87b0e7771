"""The commands of the decision store, as a user gives them."""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msfa_core.cli import run_cli
from msfa_core.columns import columns_of
from msfa_core.survey.folder import Survey
from msfa_core.vetting.decision import Decision

VET = [column.name for column in columns_of("vet")]
VET.insert(0, "obsid")
MADE = Path(__file__).parents[1] / "survey" / "made_before" / "0.1.0.tar.xz"


@pytest.fixture
def surveys(tmp_path):
    """Two copies of a survey with decisions of two reviewers; the second has one more."""
    for name in ("a", "b"):
        with tarfile.open(MADE) as made:
            made.extractall(tmp_path / name, filter="data")
    first, second = tmp_path / "a" / "survey", tmp_path / "b" / "survey"
    with Survey(second).store() as store:
        store.append_decision(Decision(4000000009, "", "accept", "Cid"))
    return first, second


def decisions(survey):
    with Survey(survey).store() as store:
        return store.decisions()


def test_a_team_merges_backs_up_and_looks_at_its_decisions(surveys, tmp_path, capsys):
    first, second = map(str, surveys)
    n = len(decisions(first))
    assert run_cli(["store", "merge", first, second, "--dry-run"]) == 0
    assert "1 decision would be taken over" in capsys.readouterr().out
    assert len(decisions(first)) == n
    assert run_cli(["store", "merge", first, second]) == 0
    assert run_cli(["store", "merge", first, second]) == 0
    assert f"0 decisions taken over, {n + 1} were there already" in capsys.readouterr().out
    assert run_cli(["store", "check", first]) == 0
    backup = str(tmp_path / "backup.sqlite")
    assert run_cli(["store", "backup", first, backup]) == 0
    (surveys[0] / "vetting.sqlite").unlink()
    for companion in surveys[0].glob("vetting.sqlite-*"):
        companion.unlink()
    assert run_cli(["store", "restore", first, backup]) == 0
    assert len(decisions(first)) == n + 1
    assert run_cli(["store", "history", first, "4000000009"]) == 0
    assert "Cid: accept" in capsys.readouterr().out


def test_what_cannot_be_done_is_said_in_one_line(surveys, capsys):
    first = str(surveys[0])
    assert run_cli(["store", "import", first, "nowhere.sqlite"]) == 1
    assert "nowhere.sqlite is not a file" in capsys.readouterr().err
    assert run_cli(["store", "history", first, "12"]) == 1
    assert "no obsid or uid" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["mrt", "fits", "vot", "csv", "parquet"])
def test_a_published_table_gives_its_verdicts_back(surveys, tmp_path, capsys, suffix):
    first, second = surveys
    with Survey(second).store() as store:
        for name, verdict in (("Dan", "accept"), ("Eve", "reject")):
            obsid = int(Survey(second).table()["obsid"].iloc[-1])
            seen = () if verdict == "accept" else ("cosmic ray", "sky lines")
            store.append_decision(
                Decision(obsid, "", verdict, name, comment="; mine", issue_flags=seen)
            )
    out = tmp_path / f"bhb.{suffix}"
    assert run_cli(["export", str(second), str(out), "--all", "--columns", "full"]) == 0
    for companion in first.glob("vetting.sqlite*"):
        companion.unlink()
    assert run_cli(["store", "import", str(first), str(out), "--dry-run"]) == 0
    assert decisions(first) == []
    capsys.readouterr()
    assert run_cli(["store", "import", str(first), str(out)]) == 0
    assert f"bhb.{suffix}: " in capsys.readouterr().out
    told, back = (Survey(one).table_with_verdicts()[VET] for one in (second, first))
    back = back.set_index("obsid").loc[told["obsid"]].reset_index()
    assert "disputed" in set(told["verdict"].dropna())
    for name in VET:
        assert back[name].isna().tolist() == told[name].isna().tolist()
        assert back[name].dropna().tolist() == told[name].dropna().tolist()
    n = len(decisions(first))
    assert run_cli(["store", "import", str(first), str(out)]) == 0
    assert len(decisions(first)) == n
    assert any(entry.get("use") == "decisions" for entry in Survey(first).provenance)


def test_a_table_of_decisions_that_cannot_be_taken_is_refused(surveys, tmp_path, capsys):
    first, before = surveys[0], decisions(surveys[0])
    obsid = Survey(first).table()["obsid"]
    for text, word in (
        ("obsid,class\n1,A\n", "needs obsid and verdict"),
        (f"obsid,verdict\n{obsid[0]},maybe\n", "'maybe' in row 1"),
        ("obsid,verdict\n5,accept\n", "none of the"),
    ):
        (tmp_path / "d.csv").write_text(text)
        assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 1
        assert word in capsys.readouterr().err
    assert decisions(first) == before


def test_each_row_of_another_tool_is_a_decision_with_who_said_it_and_when(
    surveys, tmp_path, capsys
):
    first = surveys[0]
    a, b = Survey(first).table()["obsid"].iloc[:2]
    for companion in first.glob("vetting.sqlite*"):
        companion.unlink()
    (tmp_path / "d.csv").write_text(
        "obsid,Decision,user,notes,timestamp,confidence,verdict_class,redshift quality\n"
        f"{a},accept,ann,weak K,2026-01-02T10:00:00+01:00,3.0,bhb,4\n"
        f"{a},Reject,bob,,2026-01-02T09:30:00Z,nan,A-type star,4\n"
        f"{b},unsure,ann,,2026-01-02T10:00:00Z,,,4\n"
    )
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 0
    said = capsys.readouterr().out
    assert "3 decisions" in said
    assert "columns not used: redshift_quality" in said
    with Survey(first).store() as store:
        found = [(d.obsid, d.reviewer, str(d.verdict), d.confidence, d.comment, d.decided_at[:19])
                 for d in store.decisions()]  # fmt: skip
        assert {d.verdict_class for d in store.decisions()} == {"BHB", "A", ""}
    assert sorted(found) == [
        (a, "ann", "accept", 3, "weak K", "2026-01-02T09:00:00"),
        (a, "bob", "reject", None, "", "2026-01-02T09:30:00"),
        (b, "ann", "unsure", None, "", "2026-01-02T10:00:00"),
    ]
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 0
    assert len(decisions(first)) == 3


@pytest.mark.parametrize(
    ("column", "text", "word"),
    [
        ("confidence", "high", "confidence 'high' is none of 1 a guess, 2"),
        ("confidence", "0.95", "confidence '0.95' is none of"),
        ("confidence", "3.7", "confidence '3.7' is none of"),
        ("decided_at", "02.01.2026", "is not an ISO 8601 time"),
        ("decided_at", "2026-01-02 10:00:00", "give it in UTC, ending with Z"),
        ("decided_at", "2199-01-02T10:00:00Z", "is in the future"),
        ("decided_at", "1970-01-01T00:00:00Z", "long before any vetting"),
        ("comment", "x" * 5000, "5000 characters, at most 4000"),
    ],
)
def test_a_decision_that_cannot_be_is_refused_with_file_and_row(
    surveys, tmp_path, capsys, column, text, word
):
    first = surveys[0]
    obsid = Survey(first).table()["obsid"]
    (tmp_path / "d.csv").write_text(
        f"obsid,verdict,{column}\n{obsid[0]},accept,\n{obsid[1]},accept,{text}\n"
    )
    before = decisions(first)
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 1
    said = capsys.readouterr().err
    assert word in said
    assert "d.csv, row 2: " in said
    assert decisions(first) == before


def test_our_table_given_to_ingest_brings_verdicts_of_each_reviewer_and_labels(
    surveys, tmp_path, capsys
):
    first, second = surveys
    table = Survey(second).table()
    Survey(second).write_table(table.assign(teff=8000.0 + np.arange(len(table))))
    Survey(first).write_table(table.assign(teff=np.nan))
    with Survey(second).store() as store:
        stars = table["obsid"].tolist()
        store.append_decision(Decision(stars[-1], "", "reject", "Ann", "HSD", comment='no; "odd"'))
        store.append_decision(
            Decision(stars[-1], "", "accept", "Bob", issue_flags=("final", "sky lines"))
        )
    out = tmp_path / "ours.mrt"
    assert run_cli(["export", str(second), str(out), "--all", "--columns", "full"]) == 0
    for companion in first.glob("vetting.sqlite*"):
        companion.unlink()
    assert run_cli(["ingest", str(first), "--catalogue", str(out), "--quiet"]) == 0
    assert "taken over" in capsys.readouterr().out
    told, back = (Survey(one).table_with_verdicts().set_index("obsid") for one in (second, first))
    pd.testing.assert_frame_equal(back.loc[told.index, VET[1:]], told[VET[1:]])
    assert back.loc[stars[-1], "verdict"] == "accept"  # the final one
    n = len(decisions(first))
    assert run_cli(["ingest", str(first), "--catalogue", str(out), "--quiet"]) == 0
    assert len(decisions(first)) == n


def test_words_of_a_comment_that_look_like_none_come_back(surveys, tmp_path, capsys):
    first, second = surveys
    stars = Survey(second).table()["obsid"].tolist()
    words = ["None", "nan", "--", "NULL"]
    with Survey(second).store() as store:
        for star, word in zip(stars, words, strict=False):
            store.append_decision(Decision(star, "", "accept", "Cleo", comment=word))
    out = tmp_path / "ours.csv"
    assert run_cli(["export", str(second), str(out), "--all", "--columns", "full"]) == 0
    for companion in first.glob("vetting.sqlite*"):
        companion.unlink()
    assert run_cli(["store", "import", str(first), str(out)]) == 0
    with Survey(first).store() as store:
        back = {d.obsid: d.comment for d in store.decisions() if d.reviewer == "Cleo"}
    assert [back[star] for star in stars[: len(words)]] == words[: len(stars)]


@pytest.mark.parametrize("other", ["Verdict", "verdict", "decision"])
def test_two_columns_of_verdicts_that_differ_are_refused(surveys, tmp_path, capsys, other):
    obsid = Survey(surveys[0]).table()["obsid"][0]
    (tmp_path / "d.csv").write_text(f"obsid,{other},verdict\n{obsid},accept,reject\n")
    assert run_cli(["store", "import", str(surveys[0]), str(tmp_path / "d.csv")]) == 1
    assert "could both be verdict, and differ" in capsys.readouterr().err


def test_verdicts_of_other_stars_and_two_of_one_reviewer_are_said_and_the_last_counts(
    surveys, tmp_path, capsys
):
    first = surveys[0]
    star = int(Survey(first).table()["obsid"].iloc[0])
    for companion in first.glob("vetting.sqlite*"):
        companion.unlink()
    rows = [f"{star},{verdict},Ann" for verdict in ("accept", "reject", "accept")]
    (tmp_path / "d.csv").write_text("\n".join(["obsid,verdict,reviewer", *rows, "77,reject,Ann"]))
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 0
    said = capsys.readouterr().out
    assert "1 verdict is of no spectrum in this survey" in said
    assert "1 star has several verdicts of one reviewer at one time" in said
    with Survey(first).store() as store:
        assert store.standing()["verdict"].tolist() == ["reject", "accept"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("obsid,verdict,reviewer,withdraws\n{a},accept,Ann,\n{a},accept,Ann,1.0", "taken back"),
        ("obsid,verdict,is_withdrawal\n{a},accept,false\n{a},accept,True", "in row 2"),
        ("obsid,verdict,reviewer\n{a},accept,Ann\u200b", "nobody sees (U+200B)"),
        ("obsid,verdict,reviewer\n{a},accept,\u202eAnn", "nobody sees (U+202E)"),
    ],
)
def test_verdicts_taken_back_and_names_that_look_like_others_are_refused(
    surveys, tmp_path, capsys, text, word
):
    first = surveys[0]
    before = decisions(first)
    obsid = Survey(first).table()["obsid"].iloc[0]
    (tmp_path / "d.csv").write_text(text.format(a=obsid), encoding="utf-8")
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 1
    assert word in capsys.readouterr().err
    assert decisions(first) == before


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            "obsid,verdict,reviewer\n{a},accept,Zoë\n{b},accept,ZOË",
            "reviewers ZOË, Zoë differ in case only and count as 2",
        ),
        (
            "obsid,verdict,reviewer,decided_at\n{a},reject,Zoë,2026-01-02T10:00:00Z\n"
            "{a},accept,Zoë,",
            "1 star has verdicts of one reviewer with a date and without, which differ",
        ),
        ("obsid,verdict,class,p_bhb\n{a},reject,WD,0.9", "columns not used: class, p_bhb"),
    ],
)
def test_what_a_table_of_decisions_leaves_open_is_said(surveys, tmp_path, capsys, text, word):
    first = surveys[0]
    a, b = Survey(first).table()["obsid"].iloc[:2]
    (tmp_path / "d.csv").write_text(text.format(a=a, b=b), encoding="utf-8")
    assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 0
    assert word in " ".join(capsys.readouterr().out.split())


def test_a_line_of_reviewers_that_nobody_wrote_is_refused_by_row(surveys, tmp_path, capsys):
    first = surveys[0]
    obsid = Survey(first).table()["obsid"][0]
    for line, word in (("Ann", "row 1"), ("Ann: maybe", "'maybe' of Ann in row 1")):
        (tmp_path / "d.csv").write_text(f"obsid,verdict,verdicts_by_reviewer\n{obsid},,{line}\n")
        assert run_cli(["store", "import", str(first), str(tmp_path / "d.csv")]) == 1
        assert word in capsys.readouterr().err


def test_a_reviewer_who_is_renamed_keeps_all_decisions_and_can_take_them_back(
    surveys, tmp_path, capsys
):
    first, second = surveys
    obsid = int(Survey(first).table()["obsid"].iloc[0])
    with Survey(first).store() as store:
        made = store.append_decision(Decision(obsid, "", "accept", "Dan"))
        n = len(store.decisions())
    for arguments, word in (
        (("Nobody", "Dana"), "Nobody called"),
        (("Dan", "Ann"), "somebody else's name"),
        (("Dan", "Da\nna"), "line end"),
    ):
        with Survey(first).store() as store:
            store.append_decision(Decision(obsid, "", "accept", "Ann"))
        assert run_cli(["store", "rename", str(first), *arguments]) == 1
        assert word in capsys.readouterr().err
    assert run_cli(["store", "rename", str(first), "Dan", "Dana"]) == 0
    assert run_cli(["store", "rename", str(first), "Dana", "Dana Doe"]) == 0
    with Survey(first).store() as store:
        assert [d.decision_id for d in store.decisions(reviewer="Dana Doe")] == [made.decision_id]
        assert "Dan" not in set(store.standing()["reviewer"])
        back = store.withdraw(made.decision_id, "Dana Doe")
        assert back.reviewer == "Dana Doe"
        assert len(store.decisions()) == n + 4
    assert run_cli(["store", "check", str(first)]) == 0
    with Survey(first).store(as_signed=True) as store:  # nothing of the history was touched
        assert store.decisions()[-1].reviewer != "Dana Doe"
        assert {d.reviewer for d in store.decisions()} >= {"Dan", "Dana Doe"}
    told = Survey(first).table_with_verdicts().set_index("obsid").loc[obsid]
    assert "Dan:" not in told["verdicts_by_reviewer"]
    assert run_cli(["store", "merge", str(second), str(first)]) == 0
    assert run_cli(["store", "merge", str(first), str(second)]) == 0
    assert run_cli(["store", "merge", str(second), str(first), "--dry-run"]) == 0
    assert "0 decisions would be taken over" in capsys.readouterr().out
    (first / "renamed.json").write_text("[")
    assert run_cli(["store", "check", str(first)]) == 1
    assert "renamed.json cannot be read" in capsys.readouterr().err
