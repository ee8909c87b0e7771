"""A session holds its parts: each can be made alone, draws on those before it, and lets go."""

import contextlib
import gc
import time
from pathlib import Path

import panel as pn
import pytest

from dashboard.app_hooks import read_survey
from dashboard.state import Labels, Queue, Screen, Session, Status, Verdicts, shared_data
from msfa_core.errors import SurveyError
from msfa_core.survey.folder import Survey


@pytest.fixture
def verdicts(survey):
    return Verdicts(survey, "anna")


def test_verdicts_alone_know_what_was_stored(survey, verdicts):
    session = Session(survey, "bert")
    stored = session.decide("accept", painted_obsid=session.screen.selected)
    row = verdicts.data.row(stored.obsid)
    assert verdicts.table["verdict"].iloc[row] != "accept"
    assert verdicts.take_over(verdicts.news())
    assert verdicts.table["verdict"].iloc[row] == "accept"
    assert verdicts.mine[row] == ""
    assert not verdicts.take_over(verdicts.news())


def test_a_queue_alone_follows_the_limits_of_labels_until_it_is_closed(verdicts):
    labels = Labels(verdicts)
    queue = Queue(verdicts, labels)
    queue.reason = "any"
    before = len(queue.obsids)
    labels.logg_limit = 3.0
    after = len(queue.obsids)
    assert after > before
    queue.close()
    labels.logg_limit = 5.0
    assert len(queue.obsids) == after


def test_a_screen_alone_goes_through_a_queue(verdicts):
    queue = Queue(verdicts, Labels(verdicts))
    screen = Screen(verdicts, queue, Status())
    screen.first()
    screen.next()
    assert screen.selected == str(queue.obsids[1])
    with pytest.raises(SurveyError, match="not in this survey"):
        screen.select(1)
    assert screen.selected == str(queue.obsids[1])


def test_a_closed_session_holds_no_survey_and_asks_nothing(survey, state):
    held = state.data.n_sessions
    state.answers.why = True
    state.close()
    assert not state.answers.why
    assert shared_data(survey).n_sessions == held  # one gone, one come


def open_files(folder):
    """Return the files of spectra below a folder that this process holds open."""
    names = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(handle.readlink()))
    return [name for name in names if name.startswith(str(folder)) and "archive" in name]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc, which Linux has")
def test_the_last_session_lets_go_of_the_files_of_a_table_that_was_replaced(survey):
    """They stayed open until memory was next cleared up, which an idle server does not do."""
    gc.disable()
    try:
        state = Session(survey, "anna")
        assert any(name.endswith("flux.npy") for name in open_files(survey.path))
        survey.write_table(survey.table())
        state.close()
        shared = shared_data(Survey.open(survey.path))  # of the next page: the old one is replaced
        for _ in range(100):
            if not open_files(survey.path):
                break
            time.sleep(0.1)
        assert not open_files(survey.path)
        assert shared.measured(int(shared.obsid[0]))[0].obsid == shared.obsid[0]
    finally:
        gc.enable()


def test_a_session_tells_of_a_verdict_when_all_of_it_is_true(state):
    told = []
    first = state.screen.selected

    def look(_):
        row = state.data.row(int(first))
        told.append((state.screen.selected, state.verdicts.mine[row], state.status.tone))

    state.watch(look, "screen.star", "verdicts.version", "status.message")
    state.decide("accept", painted_obsid=first)
    after = state.screen.selected
    assert after != first
    assert set(told) == {(after, "accept", "saved")}


def test_what_a_session_does_not_have_cannot_be_set(state):
    with pytest.raises(AttributeError):
        state.blind = True


def test_a_survey_is_read_before_the_first_page_is_asked_for(survey, tmp_path):
    pn.state.cache.clear()
    read_survey(survey.path)
    (held,) = pn.state.cache.values()
    assert held.n_sessions == 0
    session = Session(Survey(survey.path), "anna")
    assert session.data is held
    session.close()
    read_survey(tmp_path / "nowhere")  # its page says so
    assert list(pn.state.cache.values()) == [held]
