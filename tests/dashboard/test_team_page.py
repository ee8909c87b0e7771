"""The page of a team: shared work, who may share it, and the record of decisions."""

import io

import pandas as pd
import pytest

from dashboard.state import Session
from dashboard.views.audit import AuditView
from dashboard.views.compare import CompareView
from dashboard.views.team import SharedWorkView, TeamPage
from dashboard.views.verdict import VerdictBar
from msfa_core.vetting.assignment import read_assignment

# bokeh fills the list of disagreements in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
NASTY = "<img src=x onerror=alert(1)>"


def change(survey, obsid, **values):
    """Give a star other numbers, as a step of the pipeline does."""
    table = survey.table().set_index("obsid")
    for name, value in values.items():
        table.loc[int(obsid), name] = value
    survey.write_table(table.reset_index())


def test_an_admin_shares_the_queue_and_nobody_else(survey):
    (survey.path / "roles.toml").write_text('[roles]\nanna = "admin"\nbert = "adjudicator"\n')
    refused = SharedWorkView(Session(survey, login="bert"))
    refused.reviewers = "anna, bert"
    refused.share()
    assert "takes an admin" in refused.state.status.message
    assert read_assignment(survey.path) is None
    view = SharedWorkView(Session(survey, login="anna"))
    assert "No stars are shared yet" in view.words.object
    view.param.update(reviewers="anna, bert", per_star=2, seed=4)
    view.share()
    made = read_assignment(survey.path)
    assert made.reviewers == ["anna", "bert"]
    assert made.said["seed"] == 4
    assert len(made.of("anna")) == len(made.of("bert")) == 20
    assert "<td>anna</td><td>0</td><td>20</td>" in view.words.object
    state = view.state
    state.decide("accept", painted_obsid=state.screen.selected)
    assert "<td>anna</td><td>1</td><td>20</td>" in view.words.object
    assert any(entry["step"] == "assign" for entry in survey.provenance)


def test_a_deal_that_cannot_be_made_is_told(state):
    view = SharedWorkView(state)
    view.share()
    assert "Nobody to assign stars to" in state.status.message
    view.param.update(reviewers="anna", per_star=3)
    view.share()
    assert "3 reviewers per star, and only 1 named (anna)" in state.status.message


def test_the_record_tells_what_was_on_screen_then_and_now(state, survey, monkeypatch):
    first = state.screen.selected
    state.decide("accept", painted_obsid=first, comment=NASTY)
    state.decide("reject", painted_obsid=state.screen.selected)
    state.undo()
    p_then = float(state.data.candidates.set_index("obsid").loc[int(first), "p_bhb"])
    change(survey, first, p_bhb=0.125)
    later = Session(survey, "bert")
    view = AuditView(later)
    told = view.table().set_index("decision_id")
    assert told["decision"].tolist() == ["takes back 2", "reject", "accept"]
    assert told.loc[1, "other_numbers"] == (
        f"decided on other numbers: p_bhb {p_then:.4f} then, 0.1250 now"
    )
    assert (told["other_numbers"] != "").sum() == 1
    assert "1 was made on other numbers" in view._words.object
    assert NASTY not in view._list.object
    assert "<p>3 decisions" in view._words.object
    assert "&lt;img" in view._list.object
    saved = pd.read_csv(io.BytesIO(view._file().getvalue()))
    assert saved["decision_id"].tolist() == [3, 2, 1]
    assert saved["software_version"].notna().all()
    view.who = "anna"
    assert len(view.table()) == 3
    view.this_star = True
    later.screen.select(first)
    assert view.table()["obsid"].tolist() == [int(first)]
    monkeypatch.setattr("dashboard.views.audit.PAGE", 2)
    assert "<p>the last 2 decisions" in AuditView(later)._words.object


def test_the_star_on_screen_says_that_it_was_decided_on_other_numbers(state, survey):
    first = state.screen.selected
    state.decide("accept", painted_obsid=first)
    state.screen.select(first)
    bar = VerdictBar(state=state)
    assert "other numbers" not in bar.on_star[0]["detail"]
    change(survey, first, d02_hdelta=41.5)
    state.reload()
    assert "decided on other numbers: d02_hdelta" in bar.on_star[0]["detail"]
    assert "41.50 now" in bar.on_star[0]["detail"]


def test_each_side_is_made_when_it_is_looked_at_and_sleeps_else(state):
    page = TeamPage(state, go_to_star=lambda: None)
    sides = page.sides
    assert isinstance(sides["agreement"].page, CompareView)
    assert sides["shared work"].page is sides["record"].page is None
    page.chooser.value = "record"
    record = sides["record"].page
    assert isinstance(record, AuditView)
    assert not sides["agreement"].page.in_sight
    assert [side.column.visible for side in sides.values()] == [False, False, True]
    state.decide("accept", painted_obsid=state.screen.selected)
    assert "1 decision" in record._words.object
    page.in_sight = False
    assert not any(side.page and side.page.in_sight for side in sides.values())
    assert shown(sides["record"]) == ["page"]
    state.decide("accept", painted_obsid=state.screen.selected)
    assert "1 decision" in record._words.object
    assert shown(sides["record"]) == ["words"]  # a browser turns to it before it is true
    page.in_sight = True
    assert "2 decisions" in record._words.object
    assert shown(sides["record"]) == ["page"]


def shown(leaf):
    """Return what a leaf shows once it is turned to."""
    words, body = leaf.column
    return [name for name, one in (("words", words), ("page", body)) if one.visible]


@pytest.mark.parametrize("side", ["shared work", "record"])
def test_an_empty_survey_has_a_page_too(state, side):
    page = TeamPage(state, go_to_star=lambda: None)
    page.chooser.value = side
    assert state.status.tone != "error"
