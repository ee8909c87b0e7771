"""Verdict bar and keys: what the browser may ask for, what it is answered."""

import json
import os
import threading
from dataclasses import replace

import panel as pn
import pytest

from dashboard.state import Session
from dashboard.views.keyboard import GROUPS, KEYS, REJECT_CLASSES, Keyboard
from dashboard.views.verdict import VerdictBar, decision_line, suggestion, when
from msfa_core.constants import STORE_DEADLINE, STORE_SETTLING
from msfa_core.errors import AwayError, StoreError, UnansweredError


class Browser:
    """Talks to a verdict bar as the page does, and keeps the answers."""

    def __init__(self, bar):
        self.bar, self.answers = bar, []
        bar._send_msg = self.answers.append

    def say(self, action, value="", painted=None, **more):
        state = self.bar._state
        message = {"action": action, "value": value, "reviewer": state.verdicts.reviewer, **more}
        message["painted"] = state.screen.selected if painted is None else painted
        self.bar.handle(json.loads(json.dumps(message)))
        return self.answers[-1] if self.answers else None


@pytest.fixture
def browser(state):
    return Browser(VerdictBar(state=state))


def test_a_verdict_is_answered_with_what_is_saved_and_what_is_on_screen(browser, state):
    obsid = state.screen.selected
    answer = browser.say("accept", comment="fine", confidence=4, issue_flags=["blend"])
    assert answer == {
        "obsid": state.screen.selected,
        "is_done": True,
        "saved": obsid,
        "again": False,
        "key": "",
        "needs_name": False,
        "restore": None,
    }
    assert state.screen.selected != obsid
    stored = state.verdicts.recent(1)[0]
    assert (stored.comment, stored.confidence, stored.issue_flags) == ("fine", 4, ("blend",))
    assert browser.bar.message.startswith("saved: accept")
    assert browser.bar.tone == "saved"


def test_a_survey_that_may_only_be_read_says_so_before_anybody_decides(survey, monkeypatch):
    survey.store().close()
    pn.state.cache.clear()
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    session = Session(survey, "anna")
    browser = Browser(VerdictBar(state=session))
    assert "may only be read" in browser.bar.refused  # which turns the buttons off
    assert browser.bar.message == browser.bar.refused
    assert not browser.say("accept")["is_done"]
    assert "Not saved: " in browser.bar.message
    assert not session.verdicts.recent()
    session.close()
    pn.state.cache.clear()


def test_a_verdict_on_another_star_is_refused_and_told(browser, state):
    answer = browser.say("accept", painted=str(state.queue.obsids[3]))
    assert not answer["is_done"]
    assert answer["saved"] == ""
    assert browser.bar.tone == "error"
    assert "Look again" in browser.bar.message
    assert state.verdicts.recent() == []


def test_a_verdict_without_a_name_asks_for_it(survey):
    browser = Browser(VerdictBar(state=Session(survey, "")))
    answer = browser.say("reject", "A")
    assert answer["needs_name"]
    assert "write your name" in browser.bar.message


def test_a_name_of_a_login_cannot_be_changed_by_the_page(state):
    browser = Browser(VerdictBar(state=state, reviewer_locked=True))
    browser.say("reviewer", "mallory")
    browser.say("accept", reviewer="mallory")
    assert state.verdicts.reviewer == "anna"
    assert state.verdicts.recent(1)[0].reviewer == "anna"


def test_a_name_typed_on_the_page_counts_from_then_on(browser, state):
    browser.say("reviewer", "cleo")
    assert state.verdicts.reviewer == "cleo"


def test_a_rejection_carries_its_class(browser, state):
    browser.say("reject", "WD")
    assert state.verdicts.recent(1)[0].verdict_class == "WD"
    assert browser.bar.recent[0]["verdict_class"] == "WD"


def test_moves_and_undo_are_answered_too(browser, state):
    first = state.screen.selected
    assert browser.say("next")["obsid"] == str(state.queue.obsids[1])
    assert browser.say("previous")["obsid"] == first
    browser.say("accept")
    assert browser.say("undo")["obsid"] == first
    assert browser.say("select", str(state.queue.obsids[6]))["obsid"] == str(state.queue.obsids[6])


def test_undo_gives_comment_and_flags_back_to_the_form(browser):
    browser.say("unsure", comment="see K line", confidence=2, issue_flags=["blend"])
    answer = browser.say("undo")
    assert answer["restore"] == {
        "comment": "see K line",
        "confidence": 2,
        "issue_flags": ["blend"],
    }


def test_nonsense_is_refused_in_the_status_line(browser):
    assert not browser.say("explode")["is_done"]
    assert not browser.say("select", "<script>")["is_done"]
    assert not browser.say("accept", confidence=9)["is_done"]
    assert browser.bar.tone == "error"


def test_an_error_of_the_program_is_answered_and_logged(browser, state, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(Session, "judge", fail)
    answer = browser.say("accept")
    assert not answer["is_done"]
    assert "see the last decisions" in browser.bar.message
    assert "disk on fire" in caplog.text


def test_the_machine_suggests_acceptance_of_what_it_calls_a_bhb_star(browser, state):
    assert suggestion(state)[0] == "accept"
    browser.say("suggestion")
    assert state.verdicts.recent(1)[0].verdict == "accept"


def test_the_machine_suggests_rejection_as_the_class_it_sees(state):
    state.queue.set_filters([state.verdicts.presets["all"]])
    other = state.verdicts.table.loc[state.verdicts.table["predicted_class"] == "WD", "obsid"].iloc[
        0
    ]
    state.screen.select(int(other))
    assert suggestion(state) == ("reject", "WD")


def test_the_machine_suggests_acceptance_of_what_the_rule_in_force_keeps(state):
    state.queue.set_filters([state.verdicts.presets["all"]])
    other = int(
        state.verdicts.table.loc[state.verdicts.table["predicted_class"] == "A", "obsid"].iloc[0]
    )
    state.screen.select(other)
    row = state.screen.star.row.copy()
    row[["p_class_bhb", "p_bhb"]] = [0.4, 0.9]
    state.screen.star = replace(state.screen.star, row=row)
    assert suggestion(state) == ("reject", "A")
    state.data.settings = replace(state.data.settings, rule="lenient")
    assert suggestion(state)[0] == "accept"


def test_a_blind_reviewer_gets_no_suggestion(browser, state):
    state.verdicts.blind = True
    with pytest.raises(StoreError, match="hidden"):
        suggestion(state)
    assert not browser.say("suggestion")["is_done"]


def test_a_blind_reviewer_sees_only_own_decisions(browser, state, survey):
    bert = Session(survey, "bert")
    bert.decide("accept", painted_obsid=bert.screen.selected)
    state.follow()
    assert [line["reviewer"] for line in browser.bar.on_star] == ["bert"]
    state.verdicts.blind = True
    assert browser.bar.on_star == browser.bar.recent == []


def test_a_withdrawn_decision_is_shown_as_such(browser, state):
    browser.say("accept")
    browser.say("undo")
    withdrawal, decision = browser.bar.recent[:2]
    assert withdrawal["is_withdrawal"] and decision["is_withdrawn"]
    assert browser.bar.on_star == []


def test_a_line_of_history_is_plain_text(browser, state):
    browser.say("accept", comment="<b>bold</b>")
    line = decision_line(state.verdicts.recent(1)[0], set())
    assert line["detail"] == "<b>bold</b>"  # the page sets it as text, never as HTML
    assert isinstance(line["obsid"], str)
    assert "innerHTML" not in VerdictBar._esm.replace("never innerHTML", "")


def test_the_time_of_today_and_the_date_of_other_days_are_shown():
    assert when("2026-03-04T12:03:04.000Z", "2026-03-04") == "12:03:04"
    assert when("2026-03-03T12:03:04.000Z", "2026-03-04") == "2026-03-03"


def test_every_key_is_listed_once_and_explained():
    keys = [key.key for key in KEYS]
    assert len(keys) == len(set(keys))
    assert all(key.words for key in KEYS)
    assert {"a", "r", "u", "Enter", "Backspace", "z", "e", "/", "f", "s", "b", "?"} <= set(keys)
    assert [k.value for k in KEYS if k.key in "12345"] == list(REJECT_CLASSES)
    grouped = [action for actions in GROUPS.values() for action in actions]
    assert len(grouped) == len(set(grouped)) and set(grouped) == {key.action for key in KEYS}


def test_keys_of_the_server_do_what_they_say(state):
    done = []
    keyboard = Keyboard({"smooth": lambda: done.append("smooth")})
    keyboard._handle_msg({"action": "smooth"})
    keyboard._handle_msg({"action": "unknown"})
    keyboard._handle_msg("nonsense")
    assert done == ["smooth"]


def test_a_browser_waits_longer_than_the_server_for_any_store(browser, state, monkeypatch):
    asked = []

    def unanswered(decision):
        asked.append(decision.key)
        raise UnansweredError("not known")

    monkeypatch.setattr(state.data.store, "append_decision", unanswered)
    assert not browser.say("accept")["is_done"]
    assert asked[0] and len(set(asked)) == 1  # one key, however often
    assert browser.bar.patience > len(asked) * (STORE_DEADLINE + STORE_SETTLING)


def test_a_verdict_for_a_database_server_that_is_away_is_to_be_given_again(
    browser, state, monkeypatch
):
    obsid = state.screen.selected

    def away(decision):
        raise AwayError("Cannot write there: connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(state.data.store, "append_decision", away)
        answer = browser.say("accept", key="0a")
        assert (answer["is_done"], answer["again"], answer["key"]) == (False, True, "0a")
        assert "given again until the server is back" in browser.bar.message
        assert state.screen.selected == obsid
        assert not browser.say("undo")["again"]
    browser.say("next")  # looked elsewhere meanwhile
    answer = browser.say("accept", key="0a", painted=obsid, is_kept=True)
    assert (answer["is_done"], answer["again"], answer["saved"]) == (True, False, obsid)
    assert not browser.say("accept", key="0b", painted="7")["again"]  # a refusal for good
    assert [one.key for one in state.data.store.decisions()] == ["0a"]


def test_pages_that_wait_for_a_locked_store_do_not_wait_for_each_other(survey):
    data = Session(survey, "anna").data
    together = threading.Barrier(13)
    waiting = [data.writers.submit(together.wait, 10) for _ in range(12)]
    together.wait(10)
    assert sorted(done.result() for done in waiting)
