"""Learn mode through its state: blind lessons, the truth after each verdict, a summary."""

from dataclasses import replace

import numpy as np
import pytest
from small_survey import make_small_survey

from dashboard.state import Session
from dashboard.views.learn import TOUR, LearnView
from msfa_core.errors import SurveyError
from msfa_core.survey.folder import Survey

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")


@pytest.fixture
def view(tmp_path):
    survey = make_small_survey(tmp_path / "S")
    table = survey.table()
    truth = np.where(table["p_class_bhb"] > 0.5, "BHB", "A")
    survey.write_table(table.assign(true_class=truth))
    state = Session(survey=Survey(survey.path), reviewer="Student")
    yield LearnView(state)
    state.close()


def truth_of(view, obsid):
    table = view.state.verdicts.table
    return table.loc[table["obsid"] == obsid, "true_class"].iloc[0]


def decide(view, right=True):
    obsid = view.state.screen.star.obsid
    is_bhb = truth_of(view, obsid) == "BHB"
    view.state.decide("accept" if is_bhb == right else "reject", painted_obsid=obsid)
    return obsid


def test_the_tour_has_five_steps_and_can_be_skipped(view):
    assert len(TOUR) == 5 and TOUR[0][0] in view.words.object
    view.forward.clicks += 1
    assert TOUR[1][0] in view.words.object
    view.skip.clicks += 1
    assert "Lesson 1" in view.words.object and not view.forward.visible


def test_a_lesson_of_one_star_is_of_one_star(view):
    lesson = view.lessons[0]
    view.lessons = (replace(lesson, obsid=lesson.obsid[:1]), *view.lessons[1:])
    view.number = 0
    view.turn(len(TOUR))
    assert "1 star, " in view.words.object


def test_a_student_judges_blind_the_stars_of_the_lesson(view):
    assert view.state.verdicts.blind
    lesson = view.lessons[view.number]
    assert set(view.state.queue.obsids) == set(lesson.obsid)
    assert view.state.screen.star.obsid in lesson.obsid
    assert "lesson 1" in view.state.queue.sentences[0]


def test_the_truth_and_the_score_follow_each_verdict_and_go_with_an_undo(view):
    obsid = decide(view)
    kind = "a BHB star" if truth_of(view, obsid) == "BHB" else "an A star"
    assert f"Right: it is {kind}" in view.words.object and str(obsid) in view.words.object
    assert "1 of 1 right" in view.words.object
    decide(view, right=False)
    assert "Not so" in view.words.object and "1 of 2 right" in view.words.object
    view.state.undo()
    decide(view)
    assert "2 of 2 right" in view.words.object


def test_the_card_says_which_lines_the_networks_went_by(view):
    obsid = decide(view)
    view.state.data.ask("why", obsid, lambda: True).result(timeout=60)
    assert "The networks took it for a" in view.words.object
    assert "1 of 1 right" in view.words.object


def test_lessons_follow_each_other_and_a_summary_ends_them(view):
    n = sum(len(lesson.obsid) for lesson in view.lessons)
    numbers = []
    for k in range(n):
        numbers.append(view.number)
        decide(view, right=k > 0)
    assert numbers == sorted(numbers) and set(numbers) == set(range(len(view.lessons)))
    assert "All lessons done" in view.words.object and "Look again" in view.words.object
    assert f"{n - 1} of {n} right" in view.words.object


def test_without_a_truth_nobody_learns(tmp_path):
    state = Session(survey=make_small_survey(tmp_path / "S", n_stars=6), reviewer="Student")
    with pytest.raises(SurveyError, match="truth"):
        LearnView(state)
    state.close()


def test_a_score_counts_what_was_decided_in_lessons_and_no_other_work(view):
    lesson = view.lessons[0]
    first, second, third = (int(obsid) for obsid in lesson.obsid[:3])
    survey, name = view.state.survey, view.state.verdicts.reviewer
    other = Session(survey=survey, reviewer=name)  # an evening of vetting, all of it wrong
    other.screen.select(first)
    other.decide("reject" if truth_of(view, first) == "BHB" else "accept", painted_obsid=first)
    other.close()
    again = LearnView(Session(survey=survey, reviewer=name))
    again.state.screen.select(second)
    decide(again)
    assert "1 of 1 right" in again.words.object
    assert f"{len(lesson.obsid) - 2} left in lesson 1" in again.words.object
    again.state.close()
    later = LearnView(Session(survey=survey, reviewer=name))  # goes on with the same lessons
    later.state.screen.select(third)
    decide(later, right=False)
    assert "1 of 2 right" in later.words.object
    later.state.close()
