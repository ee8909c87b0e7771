"""Two reviewers beside each other: what each said, and where they differ."""

import pandas as pd

from msfa_core.constants import VERDICT_RULES
from msfa_core.vetting.agreement import in_dispute, latest_by_reviewer, verdict_matrix
from msfa_core.vetting.decision import FINAL_FLAG, Decision, Verdict
from msfa_core.vetting.record import verdict_of_record, vet_columns


def decision(number, verdict, reviewer, flags=()):
    return Decision(1, "G1", Verdict(verdict), reviewer, decision_id=number, issue_flags=flags)


def test_the_matrix_counts_pairs_of_verdicts_and_leaves_out_what_one_did_not_judge():
    counts = verdict_matrix(
        ["accept", "accept", "reject", None, "unsure"],
        ["accept", "reject", "reject", "accept", None],
    )
    assert counts.loc["accept", "accept"] == 1
    assert counts.loc["accept", "reject"] == 1
    assert counts.loc["reject", "reject"] == 1
    assert counts.to_numpy().sum() == 3
    assert list(counts.index) == list(counts.columns) == ["accept", "reject", "unsure"]


def test_a_dispute_needs_two_different_verdicts():
    said = pd.DataFrame(
        {"a": ["accept", "accept", None, "unsure"], "b": ["accept", "reject", "reject", "accept"]}
    )
    assert list(in_dispute(said)) == [False, True, False, True]


def test_a_final_verdict_is_of_record_whatever_comes_later_by_both_rules():
    history = [
        decision(1, "accept", "anna"),
        decision(2, "reject", "bert"),
        decision(3, "accept", "carl", (FINAL_FLAG, "low S/N")),
        decision(4, "reject", "dora"),
    ]
    candidates = pd.DataFrame({"obsid": [1], "uid": ["G1"]})
    for rule in VERDICT_RULES:
        record = verdict_of_record(history, candidates, rule).iloc[0]
        assert (record["verdict"], record["reviewer"]) == ("accept", "carl")
        assert vet_columns(history, rule)["reviewer"] == "carl"
    own = latest_by_reviewer(history, candidates)
    assert list(own.columns) == ["anna", "bert", "dora"]  # a final verdict is nobody's own
