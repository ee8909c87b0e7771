"""Two reviewers side by side: their agreement, where they differ, and who has the last word."""

import pytest

from dashboard.state import Session
from dashboard.views.compare import CompareView, decision_html, kappa_words
from msfa_core.vetting.agreement import cohen_kappa, in_dispute, latest_by_reviewer
from msfa_core.vetting.decision import FINAL_FLAG, Verdict

SAID = {"anna": "aaaarr", "bert": "aaarra"}  # a: accept, r: reject; stars 3, 5 are in dispute
# Panel's table asks pandas 3 for something that pandas 4 will not have.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def reviewed(survey):
    sessions = [Session(survey, name) for name in SAID]
    table = sessions[0].verdicts.table
    alone = table["obsid"][(table["n_epochs"] == 1) & table["is_candidate"]]
    obsids = [int(obsid) for obsid in alone.iloc[:6]]
    for session in sessions:
        for obsid, letter in zip(obsids, SAID[session.verdicts.reviewer], strict=True):
            session.screen.select(obsid)
            verdict = {"a": "accept", "r": "reject"}[letter]
            session.decide(verdict, painted_obsid=obsid, comment=NASTY)
    carl = Session(survey, "carl")
    return carl, obsids


@pytest.fixture
def view(reviewed):
    turned = []
    view = CompareView(reviewed[0], go_to_star=lambda: turned.append(True))
    view.turned = turned
    return view


def test_the_agreement_is_that_of_the_core(view):
    kappa = cohen_kappa(list(SAID["anna"]), list(SAID["bert"]))
    assert f"Cohen&#x27;s κ = {kappa:.2f}" in view._numbers.object
    assert "6 stars were judged by both; the same was said of 4 (67 %)" in view._numbers.object


def test_the_list_holds_the_stars_in_dispute_with_both_verdicts(view, reviewed):
    _, obsids = reviewed
    listed = view._list.value.set_index("obsid")
    assert set(listed.index) == {str(obsids[3]), str(obsids[5])}
    assert tuple(listed.loc[str(obsids[3]), ["one", "other"]]) == ("accept", "reject")


def test_the_columns_carry_the_reviewers_names_as_text(view, reviewed, survey):
    assert view._list.titles == {"one": "anna", "other": "bert"}
    assert view._list.header_tooltips == view._list.titles
    nasty = Session(survey, NASTY)
    nasty.screen.select(reviewed[1][3])
    nasty.decide("reject", painted_obsid=reviewed[1][3])
    view = CompareView(Session(survey, "dora"), go_to_star=lambda: None)
    view.first, view.second = "anna", NASTY
    assert view._list.titles["other"] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert view._list.header_tooltips["other"] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    sent = {column.field: column.title for column in view._list.get_root().columns}
    assert (sent["one"], sent["other"]) == ("anna", "&lt;script&gt;alert(1)&lt;/script&gt;")


def test_what_is_typed_belongs_to_the_star_that_was_shown(view, reviewed):
    state, obsids = reviewed
    state.screen.select(obsids[3])
    view._comment.value_input = "metals are strong"
    state.screen.select(obsids[5])
    assert view._typed == ""
    view.settle(Verdict.ACCEPT)
    assert state.data.store.decisions(obsid=obsids[5])[0].comment == ""
    state.screen.select(obsids[3])
    assert view._typed == "metals are strong"
    view.settle(Verdict.REJECT)
    assert view._typed == ""
    state.screen.select(obsids[5])
    state.undo()  # takes the last one back, and its comment can be used again
    assert (state.screen.star.obsid, view._typed) == (obsids[3], "metals are strong")


def test_a_star_that_nobody_judged_is_not_offered_as_if_it_were_of_the_list(view, reviewed):
    state, obsids = reviewed
    state.screen.select(max(state.data.obsid.tolist()))
    assert not state.screen.star.decisions
    assert "nobody has decided on the star on screen" in view._record.object
    assert all(button.disabled for button in view._settlers)
    state.screen.select(obsids[3])
    assert "no final verdict yet" in view._record.object
    assert not any(button.disabled for button in view._settlers)


def test_the_disputed_stars_become_the_queue(view, reviewed):
    state, obsids = reviewed
    view.queue_disputed()
    assert set(state.queue.obsids) == {obsids[3], obsids[5]}
    assert "anna and bert disagree" in " ".join(state.queue.sentences)
    assert view.turned == [True]


def test_a_final_verdict_counts_before_all_others_and_later_ones_too(view, reviewed, survey):
    state, obsids = reviewed
    state.screen.select(obsids[3])
    view.settle(Verdict.ACCEPT)
    stored = state.data.store.decisions(obsid=obsids[3])[0]
    assert (stored.reviewer, stored.issue_flags) == ("carl", (FINAL_FLAG,))
    later = Session(survey, "bert")
    later.screen.select(obsids[3])
    later.decide("reject", painted_obsid=obsids[3])
    again = Session(survey, "dora")
    for session in (later, again):
        row = session.verdicts.table[session.verdicts.table["obsid"] == obsids[3]].iloc[0]
        assert (row["verdict"], row["reviewer"]) == ("accept", "carl")
    assert str(obsids[3]) not in set(view._list.value["obsid"])
    view.unsettled = False
    assert str(obsids[3]) in set(view._list.value["obsid"])


def test_the_list_marks_the_star_that_is_shown_and_no_other(view, reviewed):
    session = reviewed[0]
    listed = view._list.value["obsid"].tolist()
    for row in (1, 0):
        session.screen.select(int(listed[row]))
        assert view._list.selection == [row]
    view.settle(Verdict.ACCEPT)  # it leaves the list; the next star stands in its row
    assert view._list.value["obsid"].tolist() == listed[1:]
    assert view._list.selection == []
    view.unsettled = False
    assert view._list.selection == [0]


def test_a_final_verdict_is_nobody_s_own_and_can_be_taken_back(view, reviewed):
    state, obsids = reviewed
    before = latest_by_reviewer(state.data.store.standing(), state.data.candidates)
    state.screen.select(obsids[5])
    view.settle(Verdict.UNSURE)
    after = latest_by_reviewer(state.data.store.standing(), state.data.candidates)
    assert list(after.columns) == list(before.columns) == ["anna", "bert"]
    assert in_dispute(after).sum() == 2
    state.undo()
    row = state.verdicts.table[state.verdicts.table["obsid"] == obsids[5]].iloc[0]
    assert (row["verdict"], row["n_reviews"]) == ("disputed", 2)


def test_what_was_typed_since_stays_where_a_final_verdict_is_taken_back(view, reviewed):
    state, obsids = reviewed
    state.screen.select(obsids[5])
    view._comment.value_input = "settled"
    view.settle(Verdict.UNSURE)
    view._comment.value_input = "typed since"
    state.undo()
    assert view._comment.value_input == "typed since"


def test_without_a_name_nothing_is_settled_and_the_page_says_so(view, reviewed):
    state, obsids = reviewed
    state.verdicts.reviewer = ""
    state.screen.select(obsids[3])
    n = state.data.store.last_decision_id()
    view.settle(Verdict.ACCEPT)
    assert state.data.store.last_decision_id() == n
    assert "write your name" in view._said.object


def test_comments_and_names_are_text(view, reviewed):
    state, obsids = reviewed
    state.screen.select(obsids[0])
    assert "<script>" not in "".join(pane.object for pane in view._sides)
    assert "&lt;script&gt;" in view._sides[0].object
    assert "<b>" not in decision_html(None, "<b>eve</b>")


def test_a_blind_reviewer_sees_nobody(view, reviewed):
    reviewed[0].verdicts.blind = True
    assert not view._page.visible
    assert "blind" in view._notice.object


def test_a_lone_reviewer_is_told_what_to_do(state):
    alone = CompareView(state, go_to_star=lambda: None)
    assert not alone._page.visible
    assert "Nobody to compare with" in alone._notice.object


def test_kappas_are_called_by_their_names():
    assert kappa_words(0.85, 40) == "0.85 (almost perfect)"
    assert kappa_words(-0.2, 40) == "−0.20 (worse than chance)"
    assert kappa_words(0.0, 40) == "0.00 (no better than chance)"  # as a report says it
    assert "undefined" in kappa_words(float("nan"), 0)
    assert kappa_words(0.0, 1) == "0.00 (of 1 star, too few to tell)"


# --- from nobody to two reviewers ----------------------------------------------------------
@pytest.fixture
def fresh(survey):
    """A state and a page opened before anybody has decided."""
    state = Session(survey, "anna")
    state.queue.set_filters([state.verdicts.presets["all"]])
    return state, CompareView(state, go_to_star=lambda: None)


def decide(state, obsid, verdict):
    state.screen.select(obsid)
    return state.decide(verdict, painted_obsid=obsid)


def test_a_page_opened_before_a_second_reviewer_exists_compares_two_once_there_are_two(
    fresh, survey
):
    state, view = fresh
    obsid = int(state.queue.obsids[0])
    assert "Nobody has decided anything" in view._notice.object
    decide(state, obsid, "accept")  # the page follows: it must not raise
    assert view._notice.visible
    assert "So far only anna has decided, on 1 star." in view._notice.object
    assert "A second reviewer opens the same address" in view._notice.object
    decide(Session(survey, "bert"), obsid, "reject")
    state.follow()
    assert view._page.visible
    assert (view.first, view.second) == ("anna", "bert")
    assert [widget.value for widget in view._who] == ["anna", "bert"]
    assert "1 star was judged by both; the same was said of 0" in view._numbers.object
    stored = decide(state, int(state.queue.obsids[1]), "unsure")
    assert state.status.message.startswith("saved")
    assert stored.decision_id


def test_one_reviewer_is_never_compared_with_themselves(view):
    assert (view.first, view.second) == ("anna", "bert")
    view._who[0].value = "bert"  # as a reviewer chooses
    assert (view.first, view.second) == ("bert", "anna")
    view._who[1].value = "bert"
    assert (view.first, view.second) == ("anna", "bert")
    assert "6 stars were judged by both" in view._numbers.object


def test_a_hidden_page_does_no_work_and_is_true_when_it_is_shown(fresh, survey, monkeypatch):
    state, view = fresh
    calls = []
    real = state.verdicts.by_reviewer
    monkeypatch.setattr(state.verdicts, "by_reviewer", lambda: calls.append(1) or real())
    view.in_sight = False
    for obsid in state.queue.obsids[:3]:
        decide(state, int(obsid), "accept")
    assert not calls
    view.in_sight = True
    assert len(calls) == 1
    assert "only anna has decided, on 3 stars" in view._notice.object
