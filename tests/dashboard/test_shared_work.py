"""Stars that are shared among reviewers: what each sees, and who has which in hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from dashboard.app import VettingApp
from dashboard.state import Session
from dashboard.state.claims import Claims
from dashboard.views.verdict import typed_before
from msfa_core.vetting.assignment import deal, write_assignment

# bokeh fills the queue table in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")


def share(survey, names=("anna", "bert"), **more):
    table = survey.table()
    stars = table.loc[table["is_candidate"].fillna(False), "obsid"].tolist()
    made = deal(stars, names, seed=1, **more)
    write_assignment(survey.path, made)
    return made


def test_a_page_begins_with_what_is_assigned_to_its_reviewer(survey):
    made = share(survey, known={1_230_412_001: "reject"})
    apps = {name: VettingApp(survey, name) for name in ("anna", "bert", "cleo")}
    for name in ("anna", "bert"):
        assert set(apps[name].state.queue.obsids) == set(made.of(name))
        assert apps[name].queue.scope.value == "assigned"
        assert apps[name].state.queue.sentences == ["assigned to me"]
    assert 1_230_412_001 in made.of("anna")  # no candidate, and nothing tells of it
    assert apps["cleo"].queue.scope.value == "candidates"


def test_blind_reviewers_see_what_is_assigned_to_them(survey):
    made = share(survey)
    app = VettingApp(survey, "anna")
    app._toggle_blind()
    assert set(app.state.queue.obsids) == set(made.of("anna"))
    assert app.state.queue.obsids.tolist() == sorted(made.of("anna"))  # an order that tells nothing
    assert app.queue.chosen["show"] == "assigned"  # and stays over a reload


def test_without_an_assignment_nothing_is_offered(survey):
    app = VettingApp(survey, "anna")
    assert "assigned" not in app.queue.scope.options.values()
    assert not app.state.verdicts.assigned_to_me(app.state.data.candidates).any()


def test_another_name_has_another_share(survey):
    made = share(survey)
    app = VettingApp(survey, "anna")
    app.state.verdicts.call("bert")
    assert set(app.state.queue.obsids) == set(made.of("bert"))


def test_a_name_that_is_typed_brings_its_share(survey):
    """Without a login a page begins under the account; the browser brings the name typed."""
    made = share(survey)
    app = VettingApp(survey, "root")
    assert app.queue.scope.value == "candidates"
    app.state.verdicts.call("bert")
    assert app.queue.scope.value == "assigned"
    assert set(app.state.queue.obsids) == set(made.of("bert"))
    app.state.verdicts.call("root")
    assert app.queue.scope.value == "candidates"


def asking(cookies, host="localhost:5006"):
    """A page as it is made for a browser that brings these cookies."""
    request = SimpleNamespace(headers={"Host": host}, cookies=cookies)
    return SimpleNamespace(session_context=SimpleNamespace(request=request))


def test_a_page_is_made_for_the_name_that_was_typed_in_its_browser():
    typed = {"msfa-reviewer-5006": "Cl%C3%A9mentine%20%D0%96", "msfa-reviewer-": "anna"}
    assert typed_before(asking(typed)) == "Clémentine Ж"
    assert typed_before(asking(typed, "localhost:5007")) == ""  # another server's
    assert typed_before(asking(typed, "vetting.example")) == "anna"
    assert typed_before(asking({"msfa-reviewer-5006": "two%0Alines"})) == ""
    assert typed_before(asking({})) == typed_before(None) == ""


def test_a_queue_without_a_share_says_whose_it_is(survey):
    share(survey)
    app = VettingApp(survey, "root")
    app.queue.choose({"show": "assigned"})
    assert not len(app.state.queue.obsids)
    assert "no stars are assigned to root" in app.queue.progress.object
    app._toggle_blind()
    assert "no stars are assigned to root" in app.queue.progress.object
    app.state.verdicts.call("bert")
    assert "stars vetted by me" in app.queue.progress.object


def test_a_name_that_is_typed_changes_no_queue_that_was_chosen(survey):
    share(survey)
    app = VettingApp(survey, "root")
    app.queue.scope.value = "doubtful"
    app.state.verdicts.call("bert")
    assert app.queue.scope.value == "doubtful"


def test_a_new_assignment_is_known_to_a_page_that_is_open(survey):
    share(survey)
    state = Session(survey, "anna")
    share(survey, names=("anna",))
    assert state.verdicts.assigned_to_me(state.data.candidates).sum() == 20


def test_two_who_share_stars_do_not_do_one_at_once(survey):
    share(survey, per_star=2)
    first = VettingApp(survey, "anna").state
    second = VettingApp(survey, "bert").state
    on_first = first.screen.selected
    assert on_first == str(first.queue.obsids[0])
    second.decide("accept", painted_obsid=second.screen.selected)
    assert second.screen.selected != first.screen.selected
    assert int(on_first) in second.queue.obsids  # it comes in its time
    first.decide("accept", painted_obsid=on_first)
    assert first.screen.selected != second.screen.selected
    left = second.screen.left_to_do()
    assert left[-1] == int(first.screen.selected)


def test_without_a_claim_two_may_do_one_star_at_once(survey):
    share(survey, per_star=2, claim_minutes=0.0)
    first, second = Session(survey, "anna"), Session(survey, "bert")
    assert first.screen.selected == second.screen.selected
    assert not second.verdicts.in_other_hands(second.queue.rows).any()


def test_a_claim_ends_by_itself_and_with_the_next_star():
    now = [0.0]
    claims = Claims(lambda: now[0])
    stars = np.arange(4)
    claims.take(1, "anna", 60)
    claims.take(1, "bert", 60)  # who came first keeps it
    assert claims.of_others(stars, "bert").tolist() == [False, True, False, False]
    assert not claims.of_others(stars, "anna").any()
    claims.take(2, "anna", 60)
    assert claims.of_others(stars, "bert").tolist() == [False, False, True, False]
    now[0] = 61
    assert not claims.of_others(stars, "bert").any()
    claims.take(3, "", 60)
    assert not claims.of_others(stars, "bert").any()
