"""The verdict of record: agreement of all who decided, or the latest; one star and many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from msfa_core.columns import columns_of
from msfa_core.config import load_settings
from msfa_core.constants import VERDICT_RULES
from msfa_core.errors import CatalogueError, ConfigError
from msfa_core.vetting.by_reviewer import by_reviewer, listed
from msfa_core.vetting.decision import FINAL_FLAG, Decision, Verdict
from msfa_core.vetting.record import (
    DISPUTED,
    orphaned_decisions,
    own_verdict,
    rule_in_words,
    standing,
    standing_decisions,
    vet_columns,
)
from msfa_core.vetting.record import verdict_of_record as record_by_rule

BIG = 2**53 + 1  # a float would lose its last digit


def verdict_of_record(history, candidates, rule="latest"):
    return record_by_rule(history, candidates, rule)


def decided(number, obsid, verdict, reviewer="Ann", **fields):
    """A decision as the store would give it back."""
    return Decision(
        obsid, "", Verdict(verdict), reviewer, decision_id=number,
        decided_at=f"2026-01-01T00:00:{number:02d}Z", **fields,
    )  # fmt: skip


def survey(**stars):
    """Candidates from star = [obsid, …]."""
    rows = [(obsid, star) for star, obsids in stars.items() for obsid in obsids]
    return pd.DataFrame(rows, columns=["obsid", "uid"])


# --- the rule of a team --------------------------------------------------------------------
def of_record(*history, rule="agreement"):
    """The record of one star, by the way of a whole survey; that of one star must be the same."""
    table = record_by_rule(list(history), survey(G1=[10]), rule)
    alone = pd.DataFrame([vet_columns(history, rule)], index=table.index)
    pd.testing.assert_frame_equal(alone[list(table.columns)].astype(table.dtypes), table)
    return table.loc[10]


def test_the_last_key_does_not_win_reviewers_who_differ_make_a_star_disputed():
    row = of_record(
        decided(1, 10, "accept", "Ann", comment="narrow lines", confidence=4),
        decided(2, 10, "reject", "Bob", verdict_class="A", comment="broad; see Hγ"),
    )
    assert (row["verdict"], row["n_reviews"], row["agreement"]) == (DISPUTED, 2, 0.5)
    for name in ("verdict_class", "confidence", "comment", "reviewer", "decided_at"):
        assert pd.isna(row[name])
    assert by_reviewer(row["verdicts_by_reviewer"]) == {"Ann": "accept", "Bob": "reject as A"}
    assert by_reviewer(row["comments_by_reviewer"]) == {
        "Ann": "narrow lines", "Bob": "broad; see Hγ"
    }  # fmt: skip
    assert by_reviewer(row["dates_by_reviewer"])["Bob"] == "2026-01-01T00:00:02.000Z"


def test_reviewers_who_agree_make_the_verdict_and_the_latest_of_them_speaks_for_it():
    row = of_record(
        decided(1, 10, "reject", "Ann", verdict_class="A", confidence=2, comment="first"),
        decided(2, 10, "reject", "Bob", confidence=4),
    )
    assert (row["verdict"], row["reviewer"], row["confidence"]) == ("reject", "Bob", 4)
    assert (row["verdict_class"], row["agreement"]) == ("A", 1.0)
    assert by_reviewer(row["comments_by_reviewer"]) == {"Ann": "first"}


def test_issue_flags_go_out_by_reviewer_and_the_one_of_a_final_verdict_is_no_issue():
    row = of_record(
        decided(1, 10, "accept", "Ann", issue_flags=("cosmic ray", "bad continuum")),
        decided(2, 10, "reject", "Bob"),
        decided(3, 10, "accept", "Cid", issue_flags=("final", "sky")),
    )
    assert by_reviewer(row["issues_by_reviewer"]) == {
        "Ann": "cosmic ray, bad continuum", "Cid": "sky"
    }  # fmt: skip
    alone = of_record(decided(1, 10, "unsure", "Ann", issue_flags=("emission",)))
    assert alone["issues_by_reviewer"] == "Ann: emission"
    assert pd.isna(of_record(decided(1, 10, "unsure", "Ann"))["issues_by_reviewer"])


def test_a_class_that_reviewers_do_not_share_is_nobodys():
    row = of_record(
        decided(1, 10, "reject", "Ann", verdict_class="A"),
        decided(2, 10, "reject", "Bob", verdict_class="HSD"),
    )
    assert row["verdict"] == "reject"
    assert pd.isna(row["verdict_class"])
    assert row["verdicts_by_reviewer"] == "Ann: reject as A; Bob: reject as HSD"


def test_who_changes_their_mind_is_heard_once():
    row = of_record(
        decided(1, 10, "accept", "Ann"),
        decided(2, 10, "reject", "Bob"),
        decided(3, 10, "accept", "Bob"),
    )
    assert (row["verdict"], row["n_reviews"]) == ("accept", 2)


def test_a_final_verdict_settles_it_until_it_is_taken_back():
    history = [
        decided(1, 10, "accept", "Ann"),
        decided(2, 10, "reject", "Bob"),
        decided(3, 10, "reject", "Cid", issue_flags=[FINAL_FLAG], comment="as Bob says"),
        decided(4, 10, "unsure", "Ann"),
    ]
    row = of_record(*history)
    assert (row["verdict"], row["reviewer"], row["comment"]) == ("reject", "Cid", "as Bob says")
    assert row["n_reviews"] == 3
    assert row["agreement"] == pytest.approx(2 / 3)
    assert "Cid: reject, final" in row["verdicts_by_reviewer"]
    taken_back = of_record(*history, decided(5, 10, "reject", "Cid", withdraws=3))
    assert taken_back["verdict"] == DISPUTED


def test_a_withdrawal_ends_a_dispute():
    history = [decided(1, 10, "accept", "Ann"), decided(2, 10, "reject", "Bob")]
    assert of_record(*history)["verdict"] == DISPUTED
    assert of_record(*history, decided(3, 10, "reject", "Bob", withdraws=2))["verdict"] == "accept"


def test_the_old_rule_can_be_chosen():
    history = [decided(1, 10, "accept", "Ann"), decided(2, 10, "reject", "Bob")]
    row = of_record(*history, rule="latest")
    assert (row["verdict"], row["reviewer"], row["agreement"]) == ("reject", "Bob", 0.5)


@pytest.mark.parametrize("rule", ["agreement", "latest"])
def test_between_reviewers_the_time_decides_which_is_the_latest(rule):
    """Decisions of a laptop that were taken over have the higher numbers and may be older."""

    def on(day, number, verdict, reviewer, **fields):
        moment = f"2026-01-{day:02d}T00:00:00Z"
        return replace(decided(number, 10, verdict, reviewer, **fields), decided_at=moment)

    taken_over = on(2, 2, "reject", "Bob", comment="on the train")
    row = of_record(on(5, 1, "accept", "Ann"), taken_over, rule="latest")
    assert (row["verdict"], row["reviewer"]) == ("accept", "Ann")
    row = of_record(on(5, 1, "reject", "Ann", comment="at home"), taken_over, rule=rule)
    assert (row["verdict"], row["reviewer"], row["comment"]) == ("reject", "Ann", "at home")
    finals = (
        on(5, 1, "accept", "Ann", issue_flags=("final",)),
        on(2, 2, "reject", "Bob", issue_flags=("final",)),
    )
    assert of_record(*finals, rule=rule)["verdict"] == "accept"
    # of one reviewer the number counts: the clock may have been set back
    row = of_record(*finals, on(4, 3, "unsure", "Ann", issue_flags=("final",)), rule=rule)
    assert row["verdict"] == "unsure"
    row = of_record(*finals, on(1, 3, "unsure", "Ann", issue_flags=("final",)), rule=rule)
    assert row["verdict"] == "reject"


def test_a_rule_that_does_not_exist_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="agreement or latest"):
        record_by_rule([], survey(G1=[10]), "majority")
    with pytest.raises(ConfigError, match="agreement or latest"):
        load_settings(verdict_rule="majority")
    (tmp_path / "msfa.toml").write_text('verdict_rule = "latest"\n')
    assert load_settings(tmp_path).verdict_rule == "latest"
    (tmp_path / "msfa.toml").write_text("snr_min = 10\n")  # of an earlier version
    assert load_settings(tmp_path).verdict_rule == "agreement"


def test_every_rule_has_a_sentence():
    assert [rule_in_words(rule).split(":")[0] for rule in VERDICT_RULES] == list(VERDICT_RULES)


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
@example({"Ann": "a; b", 'B"ob': "x: y", "C: d": " lead", "e\nf": ""})
@settings(deadline=None, max_examples=300)
def test_who_said_what_reads_back_from_its_line(said):
    assert by_reviewer(listed(said.items())) == said
    assert "\n" not in listed(said.items())


def test_a_line_that_nobody_wrote_is_refused():
    with pytest.raises(CatalogueError, match="name: text"):
        by_reviewer("accept")


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(list(Verdict)), st.sampled_from("ABC"), st.booleans(),
        st.booleans(), st.sampled_from(["", "A", "HSD"]), st.sampled_from(["", "seen", "a; b"]),
        st.sampled_from([None, 1, 4]),
    ),
    max_size=25,
)  # fmt: skip


@settings(deadline=None, max_examples=80, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    STEPS, st.lists(st.integers(0, 3), min_size=6, max_size=6), st.sampled_from([*VERDICT_RULES])
)
def test_one_star_and_a_whole_survey_follow_one_rule(steps, stars, rule):
    history = []
    for obsid, verdict, reviewer, undo, final, cls, comment, confidence in steps:
        mine = [d for d in standing(history) if d.reviewer == reviewer]
        number = len(history) + 1
        if undo and mine:
            history.append(decided(number, mine[0].obsid, mine[0].verdict, reviewer,
                                   withdraws=mine[0].decision_id))  # fmt: skip
        else:
            flags = [FINAL_FLAG] if final else []
            history.append(decided(number, obsid, verdict, reviewer, issue_flags=flags,
                                   verdict_class=cls, comment=comment,
                                   confidence=confidence))  # fmt: skip
    candidates = pd.DataFrame({"obsid": range(6), "uid": [f"G{star}" for star in stars]})
    table = record_by_rule(history, candidates, rule)
    for star in set(stars):
        obsids = [obsid for obsid in range(6) if stars[obsid] == star]
        on_star = [d for d in history if d.obsid in obsids]
        one = pd.DataFrame(
            [vet_columns(on_star, rule)] * len(obsids), index=table.loc[obsids].index
        )
        pd.testing.assert_frame_equal(
            one[list(table.columns)].astype(table.dtypes), table.loc[obsids]
        )


def test_the_own_verdict_is_the_latest_standing_one():
    history = [decided(1, 10, "accept"), decided(2, 10, "reject"), decided(3, 10, "unsure", "Bob")]
    assert own_verdict(history, "Ann") == "reject"
    assert own_verdict([*history, decided(4, 10, "reject", withdraws=2)], "Ann") == "accept"
    assert own_verdict(history, "nobody") == ""


# --- the latest decision of anybody ----------------------------------------------------------
def test_a_verdict_reaches_every_epoch_of_the_star_and_the_latest_counts():
    stars = survey(G1=[10, 11], G2=[20], G3=[30])
    history = [
        decided(1, 10, "accept", confidence=2, comment="first"),
        decided(2, 20, "reject", verdict_class="A"),
        decided(3, 11, "unsure", confidence=4),
    ]
    record = verdict_of_record(history, stars)
    assert record.index.tolist() == [10, 11, 20, 30]
    assert record["verdict"].tolist()[:3] == ["unsure", "unsure", "reject"]
    assert record.loc[20, "verdict_class"] == "A"
    assert record.loc[10, "confidence"] == 4
    assert record["comment"].isna().all()  # the latest said nothing
    assert record.loc[30].drop("n_reviews").isna().all()
    assert record["n_reviews"].tolist() == [1, 1, 1, 0]


def test_the_table_has_the_vet_columns_in_their_types():
    for history in ([], [decided(1, 10, "accept")]):
        record = verdict_of_record(history, survey(G1=[10]))
        assert record.columns.tolist() == [column.name for column in columns_of("vet")]
        assert [str(dtype) for dtype in record.dtypes] == [c.dtype for c in columns_of("vet")]


def test_order_is_that_of_the_store_not_of_the_clock_or_the_list():
    early = Decision(10, "", "accept", "Ann", decision_id=2, decided_at="2020-01-01T00:00:00Z")
    late = Decision(10, "", "reject", "Ann", decision_id=1, decided_at="2030-01-01T00:00:00Z")
    assert verdict_of_record([early, late], survey(G1=[10]))["verdict"].tolist() == ["accept"]


def test_a_withdrawn_decision_gives_way_to_the_one_before():
    history = [
        decided(1, 10, "accept"),
        decided(2, 10, "reject"),
        decided(3, 10, "reject", withdraws=2),
    ]
    record = verdict_of_record(history, survey(G1=[10]))
    assert record["verdict"].tolist() == ["accept"]
    assert record["n_reviews"].tolist() == [1]
    assert standing_decisions(history)["decision_id"].tolist() == [1]


def test_agreement_is_the_share_of_reviewers_whose_own_latest_verdict_is_the_record():
    history = [
        decided(1, 10, "accept", "Ann"),
        decided(2, 10, "reject", "Bob"),
        decided(3, 11, "accept", "Cid"),
        decided(4, 10, "unsure", "Ann"),  # Ann changed her mind
        decided(5, 11, "accept", "Dee"),
    ]
    record = verdict_of_record(history, survey(G1=[10, 11])).loc[10]
    assert record["verdict"] == "accept"
    assert record["reviewer"] == "Dee"
    assert record["n_reviews"] == 4
    assert record["agreement"] == 0.5


def test_decisions_follow_their_spectrum_when_stars_are_identified_anew():
    history = [decided(1, 10, "accept"), decided(2, 20, "reject")]
    apart = verdict_of_record(history, survey(G1=[10, 11], G2=[20]))
    assert apart["verdict"].tolist() == ["accept", "accept", "reject"]
    merged = verdict_of_record(history, survey(G1=[10], G9=[11, 20]))
    assert merged["verdict"].tolist() == ["accept", "reject", "reject"]


def test_spectra_without_a_star_stand_for_themselves():
    stars = pd.DataFrame({"obsid": [1, 2], "uid": pd.Series([None, None], dtype="str")})
    record = verdict_of_record([decided(1, 1, "accept")], stars)
    assert record["verdict"].isna().tolist() == [False, True]
    bare = verdict_of_record([decided(1, 1, "accept")], stars[["obsid"]])
    assert bare["verdict"].isna().tolist() == [False, True]


def test_decisions_on_spectra_that_left_are_reported_and_touch_nothing():
    history = [decided(1, 10, "accept"), decided(2, BIG, "reject")]
    stars = survey(G1=[10])
    assert orphaned_decisions(history, stars)["obsid"].tolist() == [BIG]
    assert verdict_of_record(history, stars)["verdict"].tolist() == ["accept"]


def test_neighbouring_obsids_beyond_the_float_limit_are_not_confused():
    record = verdict_of_record(
        [decided(1, BIG, "accept")], survey(a=[BIG - 1], b=[BIG], c=[BIG + 1])
    )
    assert record["verdict"].isna().tolist() == [True, False, True]


def test_candidates_that_cannot_be_told_apart_are_refused():
    with pytest.raises(CatalogueError, match="10 appears more than once"):
        verdict_of_record([], survey(G1=[10, 10]))
    with pytest.raises(CatalogueError, match="have no obsid"):
        verdict_of_record([], pd.DataFrame({"obsid": pd.array([1, None], dtype="Int64")}))
    with pytest.raises(CatalogueError, match="neither a column nor the index"):
        verdict_of_record([], pd.DataFrame({"uid": ["a"]}))
    with pytest.raises(CatalogueError, match="append it to the store"):
        verdict_of_record([Decision(1, "", "accept", "Ann")], survey(G1=[1]))


def test_the_index_may_hold_the_obsids():
    record = verdict_of_record([decided(1, 10, "accept")], survey(G1=[10, 11]).set_index("obsid"))
    assert record["verdict"].tolist() == ["accept", "accept"]


def test_an_empty_survey_gives_an_empty_table():
    assert len(verdict_of_record([decided(1, 10, "accept")], survey())) == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.sampled_from(list(Verdict)), st.sampled_from("ABC"), st.booleans()
        ),
        max_size=25,
    ),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_the_record_equals_a_plain_loop_over_the_history(steps, stars):
    history, standing = [], {}
    for obsid, verdict, reviewer, undo in steps:
        number = len(history) + 1
        mine = [n for n, row in standing.items() if row.reviewer == reviewer]
        if undo and mine:
            target = standing.pop(mine[-1])
            history.append(
                decided(number, target.obsid, target.verdict, reviewer, withdraws=mine[-1])
            )
        else:
            standing[number] = decided(number, obsid, verdict, reviewer)
            history.append(standing[number])
    candidates = pd.DataFrame({"obsid": range(6), "uid": [f"G{star}" for star in stars]})
    record = verdict_of_record(history[::-1], candidates)
    for obsid, star in enumerate(stars):
        rows = [row for row in standing.values() if row.obsid < 6 and stars[row.obsid] == star]
        own = {row.reviewer: row.verdict for row in rows}
        assert record.loc[obsid, "n_reviews"] == len(own)
        if rows:
            assert record.loc[obsid, "verdict"] == rows[-1].verdict
            share = np.mean([verdict == rows[-1].verdict for verdict in own.values()])
            assert record.loc[obsid, "agreement"] == pytest.approx(share)
        else:
            assert pd.isna(record.loc[obsid, "verdict"])
