"""Decisions check themselves; how well reviewers agree is what the textbooks say."""

import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from msfa_core.errors import StoreError
from msfa_core.vetting.agreement import cohen_kappa, fleiss_kappa, latest_by_reviewer
from msfa_core.vetting.decision import (
    COMMENT_LENGTH,
    CONFIDENCE,
    Decision,
    Verdict,
    decisions_table,
)

BIG = 2**53 + 1  # a float would lose its last digit


def decided(number, obsid, verdict, reviewer="Ann", **fields):
    """A decision as the store would give it back."""
    return Decision(
        obsid, "", Verdict(verdict), reviewer, decision_id=number,
        decided_at="2026-01-01T00:00:00Z", **fields,
    )  # fmt: skip


def survey(**stars):
    """Candidates from star = [obsid, …]."""
    rows = [(obsid, star) for star, obsids in stars.items() for obsid in obsids]
    return pd.DataFrame(rows, columns=["obsid", "uid"])


# --- one decision --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("verdict", "maybe", "accept, reject, unsure"),
        ("verdict", "", "accept, reject, unsure"),
        ("reviewer", "", "needs a reviewer"),
        ("reviewer", " \t\x00 ", "needs a reviewer"),
        ("reviewer", "x" * 65, "at most 64"),
        ("reviewer", 7, "expected text"),
        ("verdict_class", "x" * 33, "at most 32"),
        ("comment", "x" * (COMMENT_LENGTH + 1), "shorten"),
        ("comment", 3.5, "expected text"),
        ("confidence", 0, "1 to 4"),
        ("confidence", 5, "1 to 4"),
        ("confidence", 2.5, "1 to 4"),
        ("confidence", True, "1 to 4"),
        ("obsid", 2**63, "64 bits"),
        ("obsid", 1.5, "whole number"),
        ("obsid", "12x", "whole number"),
        ("obsid", True, "whole number"),
        ("issue_flags", "sky", "list of words"),
        ("issue_flags", ["x" * 33], "at most 32"),
        ("issue_flags", [str(n) for n in range(21)], "at most 20"),
        ("shown", [1], "map of names"),
        ("shown", {"a": object()}, "numbers, text"),
        ("shown", {"a": "x" * 70_000}, "at most"),
        ("decided_at", "yesterday", "ISO 8601"),
        ("decided_at", "2026-01-01T00:00:00+02:00", "UTC"),
        ("decided_at", "2026-01-01T00:00:00", "UTC"),
    ],
)
def test_a_wrong_field_is_refused_with_what_it_may_be(field, value, says):
    right = {"obsid": 1, "uid": "G1", "verdict": "accept", "reviewer": "Ann"}
    with pytest.raises(StoreError, match=says):
        Decision(**{**right, field: value})


def test_a_decision_takes_numbers_and_text_as_the_browser_and_numpy_give_them():
    decision = Decision(str(BIG), "G1", "reject", "  Ann \n Lee ", confidence=np.int64(3))
    assert (decision.obsid, decision.reviewer, decision.confidence) == (BIG, "Ann Lee", 3)
    assert decision.verdict is Verdict.REJECT
    assert Decision(np.int64(BIG), "", "unsure", "Ann").obsid == BIG


def test_control_characters_and_lone_surrogates_go_but_line_ends_and_markup_stay():
    comment = "<script>alert('x')</script>\r\nzweite\tZeile\x00\x1b[31m \ud800 ☃"
    kept = Decision(1, "", "accept", "Ann", comment=comment).comment
    assert kept == "<script>alert('x')</script>\nzweite\tZeile[31m  ☃"


def test_what_was_shown_becomes_plain_json():
    shown = {"p": np.float32(0.5), "d02": math.nan, "big": BIG, "ids": np.array([1, 2]), 3: (True,)}
    plain = Decision(1, "", "accept", "Ann", shown=shown).shown
    assert plain == {"p": 0.5, "d02": None, "big": BIG, "ids": [1, 2], "3": [True]}


def test_times_get_one_layout_so_that_text_order_is_time_order():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
    assert Decision(1, "", "accept", "Ann", decided_at=moment).decided_at == (
        "2026-01-02T03:04:05.000Z"
    )


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300))
def test_any_text_can_be_a_comment_and_tidying_it_twice_changes_nothing(text):
    once = Decision(1, "", "accept", "Ann", comment=text).comment
    assert Decision(1, "", "accept", "Ann", comment=once).comment == once
    once.encode("utf-8")
    assert "\x00" not in once


def test_confidence_levels_have_written_meanings():
    assert sorted(CONFIDENCE) == [1, 2, 3, 4]
    assert all(CONFIDENCE.values())


# --- many decisions ----------------------------------------------------------------------
def test_decisions_become_a_table_in_the_order_of_the_store():
    table = decisions_table(
        [decided(2, BIG, "accept", issue_flags=["sky", "join"]), decided(1, 3, "reject")]
    )
    assert table["decision_id"].tolist() == [1, 2]
    assert table["obsid"].tolist() == [3, BIG]
    assert table["issue_flags"].tolist() == ["", "sky;join"]


# --- agreement -----------------------------------------------------------------------------
def test_each_reviewer_has_one_latest_verdict_per_star():
    history = [
        decided(1, 10, "accept", "Ann"),
        decided(2, 11, "reject", "Ann"),
        decided(3, 20, "accept", "Bob"),
        decided(4, 99, "accept", "Bob"),  # left the survey
    ]
    table = latest_by_reviewer(history, survey(G1=[10, 11], G2=[20], G3=[30]))
    assert table.index.tolist() == [10, 20]
    assert table["Ann"].tolist()[0] == "reject"
    assert table["Bob"].isna().tolist() == [True, False]


def test_cohen_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    first = rng.choice(list(Verdict), 200)
    second = np.where(rng.random(200) < 0.7, first, rng.choice(list(Verdict), 200))
    assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def test_fleiss_kappa_of_a_case_worked_by_hand():
    # agreement per star 1, 1/3, 1, 1/3; accept and reject both half of the verdicts
    rows = ["aaa", "aar", "rrr", "arr"]
    words = {"a": "accept", "r": "reject"}
    table = pd.DataFrame([[words[letter] for letter in row] for row in rows], columns=list("XYZ"))
    assert fleiss_kappa(table) == pytest.approx(1 / 3)
    table.loc[4] = ["accept", None, None]  # seen by one reviewer: says nothing of agreement
    assert fleiss_kappa(table) == pytest.approx(1 / 3)


def test_kappa_without_a_common_star_is_undefined():
    assert math.isnan(cohen_kappa(["accept", None], [None, "reject"]))
    assert math.isnan(cohen_kappa(["accept"], ["accept"]))
    assert math.isnan(fleiss_kappa(pd.DataFrame({"Ann": ["accept"], "Bob": [None]})))
