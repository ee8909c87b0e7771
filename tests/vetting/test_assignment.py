"""Who sees which stars: balanced, reproducible, with known stars among them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msfa_core.errors import StoreError
from msfa_core.vetting.assignment import deal, progress, read_assignment, write_assignment
from msfa_core.vetting.decision import Decision, Verdict
from msfa_core.vetting.decision import decisions_table as as_table

STARS = np.arange(10_000, 10_400)
TEAM = ["Ann", "Bob", "Cid", "Dan", "Eve"]


def by_star(assignment):
    return assignment.table.groupby("obsid")["reviewer"].agg(sorted)


@given(
    st.integers(1, 60),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(0, 9),
)
def test_every_star_has_its_reviewers_and_nobody_has_over_one_star_more(n, m, per, overlap, seed):
    names = [f"r{k}" for k in range(m)]
    if per > m or (overlap < 1 and m < 2):
        return
    made = deal(STARS[:n], names, per_star=per, overlap=overlap, seed=seed)
    counts = by_star(made).map(len)
    assert sorted(counts.index) == STARS[:n].tolist()
    assert not made.table.duplicated(["obsid", "reviewer"]).any()
    many = per if overlap == 1 else max(per, 2)
    n_many = n if overlap == 1 else round(overlap * n)
    assert (counts == many).sum() == (n_many if many > 1 else n)
    assert set(counts) <= {1, many}
    load = made.table["reviewer"].value_counts().reindex(names, fill_value=0)
    assert load.max() - load.min() <= 1


def test_the_seed_decides_and_nothing_else():
    one = deal(STARS, TEAM, per_star=2, seed=4)
    again = deal(STARS[::-1], TEAM[::-1], per_star=2, seed=4)
    other = deal(STARS, TEAM, per_star=2, seed=5)
    pd.testing.assert_frame_equal(one.table, again.table)
    assert not one.table.equals(other.table)


def test_every_pair_of_reviewers_meets():
    pairs = by_star(deal(STARS, TEAM, per_star=2, seed=1)).map(tuple).value_counts()
    assert set(pairs.index) == set(itertools.combinations(TEAM, 2))
    assert pairs.min() > 20  # 40 each on average


def test_known_stars_are_mixed_in_up_to_their_share_of_both_answers():
    known = {obsid: ("accept", "reject")[obsid % 2] for obsid in range(500)}
    made = deal(STARS, TEAM, per_star=2, seed=1, known=known)
    for name in TEAM:
        own = made.table[made.table["reviewer"] == name]
        answers = own["answer"].value_counts()
        assert answers["accept"] + answers["reject"] == pytest.approx(0.05 * len(own), abs=1.01)
        assert abs(answers["accept"] - answers["reject"]) <= 1
        assert not own["obsid"].duplicated().any()
    assert not (deal(STARS, TEAM, training=0, known=known).table["answer"] != "").any()


def test_known_stars_that_are_there_anyway_count():
    known = dict.fromkeys(STARS.tolist(), "accept")
    made = deal(STARS, TEAM, known=known)
    assert len(made.table) == len(STARS)
    assert (made.table["answer"] == "accept").all()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((STARS, []), "Nobody"),
        ((STARS, ["Ann", " Ann "]), "named twice"),
        (([], TEAM), "No star"),
        ((STARS, ["a\nb"]), "line end"),
    ],
)
def test_what_cannot_be_dealt_is_refused(arguments, word):
    with pytest.raises(StoreError, match=word):
        deal(*arguments)


def test_more_reviewers_per_star_than_there_are_is_refused():
    with pytest.raises(StoreError, match="6 reviewers per star, and only 5"):
        deal(STARS, TEAM, per_star=6)
    with pytest.raises(StoreError, match="shares"):
        deal(STARS, TEAM, overlap=1.5)


def test_an_assignment_is_kept_in_its_survey(tmp_path):
    assert read_assignment(tmp_path) is None
    made = deal(STARS, TEAM, per_star=2, seed=9, stars="candidates", known={1: "reject"})
    write_assignment(tmp_path, made)
    read = read_assignment(tmp_path)
    pd.testing.assert_frame_equal(read.table, made.table)
    assert read.said == made.said
    assert read.reviewers == TEAM
    assert len(read.of("Ann")) == (read.table["reviewer"] == "Ann").sum()
    (tmp_path / "assignments.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match="msfa assign"):
        read_assignment(tmp_path)


def test_progress_and_the_known_stars_tell_how_a_reviewer_does():
    known = {k: "accept" if k <= 40 else "reject" for k in range(1, 61)}
    made = deal(range(1, 61), ["Ann", "Bob"], per_star=2, known=known)
    rows = []

    def say(obsid, verdict, **more):
        rows.append(Decision(obsid, "", Verdict(verdict), "Ann", decision_id=len(rows) + 1, **more))

    for obsid in range(1, 33):
        say(obsid, "accept")  # 32 of 40 BHB stars found
    for obsid in range(33, 37):
        say(obsid, "unsure")
    for obsid in range(37, 41):
        say(obsid, "reject")
    for obsid in range(41, 49):
        say(obsid, "accept")  # 8 of 40 accepted are none
    say(1, "reject")
    say(1, "accept")  # who changes their mind is heard once
    say(60, "accept", issue_flags=("final",))  # nobody's own
    candidates = pd.DataFrame({"obsid": np.arange(1, 61), "uid": [f"G{k}" for k in range(1, 61)]})
    told = progress(made, as_table(rows), candidates)
    ann, bob = told.loc["Ann"], told.loc["Bob"]
    assert (ann["assigned"], ann["done"], ann["unsure"], ann["n_known"]) == (60, 48, 4, 48)
    assert ann["completeness"] == pytest.approx(32 / 40)
    assert (ann["completeness_low"], ann["completeness_high"]) == pytest.approx(
        (0.6524, 0.8950), abs=2e-4
    )  # Wilson's interval of 32 in 40
    assert ann["contamination"] == pytest.approx(8 / 40)
    assert bob["done"] == 0
    assert np.isnan(bob["completeness"])


def test_a_verdict_on_another_spectrum_of_the_star_counts():
    made = deal([1, 3], ["Ann"], known={3: "reject"})
    candidates = pd.DataFrame({"obsid": [1, 2, 3], "uid": ["G1", "G1", "G3"]})
    rows = [Decision(2, "G1", Verdict.ACCEPT, "Ann", decision_id=1)]
    assert progress(made, as_table(rows), candidates).loc["Ann", "done"] == 1
    left = candidates[candidates["obsid"] != 3]  # whose spectrum has left the survey
    assert progress(made, as_table(rows), left).loc["Ann", "assigned"] == 1
