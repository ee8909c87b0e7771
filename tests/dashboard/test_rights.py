"""Who may do what is decided on the server, at the store's door, whatever a page sends."""

import ast
import json
from pathlib import Path

import pytest

from dashboard.app import VettingApp
from dashboard.state import Session
from dashboard.views.verdict import VerdictBar
from msfa_core.errors import RightsError, StoreError
from msfa_core.vetting.decision import Decision

# bokeh fills the queue table in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")

ROOT = Path(__file__).resolve().parents[2]
TEAM = """
blind = true
[roles]
anna = "adjudicator"
bert = "reviewer"
rita = "reader"
"""


@pytest.fixture
def team(survey):
    (survey.path / "roles.toml").write_text(TEAM)
    return survey


def say(bar, action, **more):
    """Send what a page sends, or somebody who forges it; return the answer."""
    answers = []
    bar._send_msg = answers.append
    state = bar._state
    message = {"action": action, "painted": state.screen.selected, **more}
    bar.handle(json.loads(json.dumps(message)))
    return answers[-1] if answers else None


FORGED = [
    {"action": action, "reviewer": name, "is_kept": kept, "key": key, "issue_flags": flags}
    for action in ("accept", "reject", "unsure", "suggestion", "undo", "settle", "withdraw")
    for name in ("rita", "bert", "anna", "*", "")
    for kept, key in ((False, ""), (True, "0123"))
    for flags in ([], ["final"])
]


def test_a_reader_writes_nothing_whatever_is_sent(team):
    for login in ("rita", ""):
        state = Session(team, "rita", login=login)
        state.verdicts.blind = False  # as far as the server is concerned it may be anything
        bar = VerdictBar(state=state)
        for forged in FORGED:
            bar.reviewer_locked = False  # a page can set what is shown of it
            bar.reviewer = "anna"
            answer = say(bar, **forged)
            assert not answer["is_done"]
            assert not answer["saved"]
            assert state.status.tone == "error"
        with pytest.raises(StoreError):
            state.settle("accept", painted_obsid=state.screen.selected)
        assert state.data.store.decisions() == []
        assert state.screen.star is not None  # and goes on looking
        assert say(bar, "next")["is_done"]


def test_a_reviewer_decides_and_takes_back_but_settles_nothing(team):
    bar = VerdictBar(state=Session(team, login="bert"))
    state = bar._state
    assert say(bar, "accept")["is_done"]
    assert not say(bar, "accept", issue_flags=["final"])["is_done"]
    assert "takes an adjudicator" in state.status.message
    with pytest.raises(RightsError):
        state.settle("accept", painted_obsid=state.screen.selected)
    assert say(bar, "undo")["is_done"]
    assert [(d.reviewer, d.is_final) for d in state.data.store.decisions()] == [("bert", False)] * 2


def test_an_adjudicator_settles_under_no_other_name(team):
    state = Session(team, login="anna")
    stored = state.settle("accept", painted_obsid=state.screen.selected)
    assert (stored.reviewer, stored.is_final) == ("anna", True)
    with pytest.raises(RightsError, match="logged in as anna"):
        state.verdicts.door.keep(Decision(stored.obsid, "", "accept", "bert"))
    assert len(state.data.store.decisions()) == 1


def test_a_right_that_is_taken_away_ends_at_once(team):
    state = Session(team, login="bert")
    state.decide("accept", painted_obsid=state.screen.selected)
    (team.path / "roles.toml").write_text('[roles]\nbert = "reader"')
    with pytest.raises(RightsError, match="bert is a reader"):
        state.decide("accept", painted_obsid=state.screen.selected)
    (team.path / "roles.toml").write_text("[roles")
    bar = VerdictBar(state=state)
    assert not say(bar, "accept")["is_done"]
    assert "not valid TOML" in state.status.message
    assert len(state.data.store.decisions()) == 1


def test_who_works_blind_cannot_look(team, monkeypatch):
    import panel as pn

    monkeypatch.setattr(type(pn.state), "user", "bert")
    app = VettingApp(team)
    assert app.state.verdicts.reviewer == "bert"
    assert app.state.verdicts.blind
    app._toggle_blind()
    assert app.state.verdicts.blind
    assert "takes an adjudicator" in app.state.status.message
    monkeypatch.setattr(type(pn.state), "user", "anna")
    app = VettingApp(team)
    assert not app.state.verdicts.blind
    app._toggle_blind()
    app._toggle_blind()
    assert not app.state.verdicts.blind


def test_another_name_is_blind_from_then_on(survey):
    (survey.path / "roles.toml").write_text("typed_names = true\n" + TEAM)
    state = Session(survey, "anna")
    assert not state.verdicts.blind
    state.verdicts.call("bert")
    assert state.verdicts.blind


@pytest.mark.parametrize(("name", "word"), [("bert\nanna", "line end"), ("b" * 300, "300")])
def test_what_is_no_name_is_refused_and_the_one_before_stays(survey, name, word):
    state = Session(survey, "bert")
    bar = VerdictBar(state=state)
    assert not say(bar, "reviewer", value=name)["is_done"]
    assert word in state.status.message
    assert not say(bar, "accept", reviewer=name)["is_done"]
    assert state.verdicts.reviewer == "bert"
    assert state.data.store.decisions() == []
    with pytest.raises(StoreError, match=word):
        Session(survey, login=name)


def test_nothing_of_the_page_reaches_the_store_but_by_its_door():
    for path in (ROOT / "dashboard").rglob("*.py"):
        called = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        wrote = called & {"append_decision", "_append", "_database"}
        assert path.name == "door.py" or not wrote, f"{path} writes past the door: {wrote}"
