"""The queue as the reviewer sees it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dashboard.state import Session
from dashboard.views import queue, queue_words
from dashboard.views.queue import QueueView
from dashboard.views.queue_words import (
    COLUMNS,
    pace_words,
    probabilities,
    progress_html,
    progress_words,
    queue_page,
)
from msfa_core.flags import LabelFlag
from msfa_core.slam.labels import oddness

# Panel's table asks pandas 3 for something that pandas 4 will not have.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
    pytest.mark.filterwarnings("ignore:The .mode.chained_assignment. option is deprecated"),
]


@pytest.fixture
def view(state):
    return QueueView(state=state)


def test_ids_are_text_with_every_digit(view, state):
    shown = view.table.value["obsid"]
    assert all(isinstance(value, str) for value in shown)
    assert list(shown) == [str(obsid) for obsid in state.queue.obsids]


def test_no_cell_is_read_as_html(view):
    assert view.table.formatters == {}


def test_the_list_follows_the_star_on_screen(view, state):
    state.screen.next()
    state.screen.next()
    assert view.table.selection == [2]


def test_a_verdict_is_written_in_its_row_without_a_new_table(view, state):
    table = view.table.value
    state.decide("reject", painted_obsid=state.screen.selected)
    assert view.table.value is table
    assert list(table["mine"][:2]) == list(table["rec."][:2]) == ["✕", ""]


def test_progress_is_told_in_words(state):
    total = len(state.queue.obsids)
    assert progress_words(state) == f"0 of {total} stars vetted by me"
    state.decide("unsure", painted_obsid=state.screen.selected)
    state.decide("accept", painted_obsid=state.screen.selected)
    assert progress_words(state) == f"2 of {total} stars vetted by me, 1 unsure"


def test_a_long_queue_is_sent_page_by_page(monkeypatch, state):
    for module in (queue, queue_words):
        monkeypatch.setattr(module, "PAGE", 6)
    view = QueueView(state=state)
    assert len(view.table.value) == 6
    assert view.pager.object == f"1–6 of {len(state.queue.obsids)}"
    state.screen.select(int(state.queue.obsids[8]))
    assert list(view.table.value["obsid"]) == [str(obsid) for obsid in state.queue.obsids[6:12]]
    assert view.table.selection == [2]
    view.back.clicks += 1
    assert view.page == 0
    assert view.table.selection == []


def test_the_menus_put_filters_in_force(view, state):
    view.scope.value = "all"
    assert len(state.queue.obsids) == len(state.verdicts.table)
    state.decide("accept", painted_obsid=state.screen.selected)
    view.verdict.value = "mine"
    assert len(state.queue.obsids) == len(state.verdicts.table) - 1
    view.verdict.value = "accept"
    assert len(state.queue.obsids) == 1
    view.verdict.value = ""
    view.order.value = "obsid"
    rows = state.data.rows(state.queue.obsids)
    assert (np.diff(rows[:-1]) > 0).all()
    assert (
        state.verdicts.mine[rows[-1]] == "accept"
    )  # what was vetted comes last, whatever the order


def test_search_goes_to_a_star_and_says_when_there_is_none(view, state):
    view.search.value = "1230412033"
    assert state.screen.selected == "1230412033"
    assert view.search.value == ""
    view.search.value = "nowhere"
    assert state.status.tone == "error"


def sentences(view):
    """The filters that the reviewer can take away, as they are written."""
    return [button.label.removesuffix("  ✕") for button in view._sentences]


def test_another_brush_rewrites_its_sentence_and_leaves_the_page_as_it_is(view, state):
    state.queue.brush(state.data.obsid[:5], "5 stars brushed")
    before = list(view._sentences)
    state.queue.brush(state.data.obsid[:9], "9 stars brushed")
    assert list(view._sentences) == before  # the same buttons: no child is made anew
    assert sentences(view) == state.queue.sentences
    assert "9 stars brushed" in sentences(view)
    state.verdicts.blind = True
    assert sentences(view) == []


def test_every_filter_is_a_sentence_that_a_click_takes_away(view, state):
    view.verdict.value = "without verdict"
    state.queue.brush(state.queue.obsids[:3], "<b>brushed</b>")  # a button writes it as text
    assert sentences(view) == state.queue.sentences
    assert len(sentences(view)) == 3
    view._sentences[2].clicks += 1
    assert len(view.table.value) == len(state.queue.obsids) > 3
    view._sentences[1].clicks += 1
    assert view.verdict.value == ""
    view._sentences[0].clicks += 1
    assert sentences(view) == []
    assert len(state.queue.obsids) == len(state.verdicts.table)


def test_stars_are_counted_where_spectra_are_listed(view, state):
    view.scope.value = "all"
    assert len(state.queue.obsids) == 60
    assert progress_words(state) == "0 of 57 stars vetted by me"  # one star has four spectra


def test_the_pace_is_told_once_a_few_stars_are_judged(state, monkeypatch):
    assert pace_words(state) == ""
    for _ in range(5):
        state.decide("accept", painted_obsid=state.screen.selected)
    monkeypatch.setattr(type(state.verdicts), "seconds_per_star", property(lambda _: 30.0))
    left = (len(state.queue.obsids) - 5) / 2
    assert pace_words(state) == f"2.0 per minute · {round(left)} min left"
    assert pace_words(state) in progress_html(state)


def test_what_a_reviewer_was_unsure_of_comes_again_at_the_end(state):
    state.queue.brush(state.queue.obsids[:3], "three stars")
    first, second, third = (int(obsid) for obsid in state.queue.obsids)
    for verdict in ("unsure", "accept", "unsure"):
        state.decide(verdict, painted_obsid=state.screen.selected)
    assert state.screen.star.obsid == first
    assert "2 unsure, to be looked at again" in state.status.message
    state.decide("accept", painted_obsid=first)
    assert state.screen.star.obsid == third
    state.decide("reject", painted_obsid=third)
    assert state.screen.star.obsid == third  # nothing is left
    assert state.status.message.endswith("everything in this queue is vetted")
    state.queue.arrange()
    assert second in state.queue.obsids


def test_an_obsid_has_all_the_room_that_is_left(view):
    assert set(view.table.widths) == set(COLUMNS) - {"obsid"}


def test_blind_reviewers_see_neither_the_machine_nor_each_other(state, survey):
    bert = Session(survey, "bert")
    bert.decide("accept", painted_obsid=bert.screen.selected)
    state.follow()
    page = queue_page(state, 0)
    assert (page["mine"][0], page["rec."][0]) == ("", "✓")
    view = QueueView(state=state)
    state.verdicts.blind = True
    page = queue_page(state, 0)
    assert set(page["p_bhb"]) == set(page["class"]) == set(page["rec."]) == {"·"}
    assert set(page["mine"]) == {""}
    assert sentences(view) == []
    assert len(state.queue.obsids) == len(state.verdicts.table)  # not the candidates
    state.verdicts.blind = False
    assert view.scope.value == "candidates"


def test_an_empty_queue_is_drawn(view, state):
    state.queue.brush([1], "nothing")
    assert len(view.table.value) == 0
    assert view.pager.object == "none"


def test_the_label_menu_counts_each_reason_within_the_other_filters(state):
    view = QueueView(state=state)
    view.scope.value = "all"
    heavy = int((state.verdicts.table["logg"] > 4.0).sum())
    assert f"log g > 4.00 ({heavy})" in view.reason.options
    candidates = state.verdicts.table["is_candidate"].to_numpy(bool)
    view.scope.value = "candidates"
    inside = int((state.verdicts.table["feh"][candidates] > -1.0).sum())
    assert inside == 0 and not any("[Fe/H]" in words for words in view.reason.options)


def test_a_reason_limits_the_queue_and_follows_its_limit(state):
    view = QueueView(state=state)
    view.scope.value = "all"
    view.reason.value = str(int(LabelFlag.HIGH_LOGG))
    rows = state.data.rows(state.queue.obsids)
    assert (state.verdicts.table["logg"].iloc[rows] > 4.0).all()
    state.labels.logg_limit = 3.6
    assert len(state.queue.obsids) == int((state.verdicts.table["logg"] > 3.6).sum())
    assert "labels: log g > 3.60" in state.queue.sentences
    view.scope.value = "candidates"  # the reason stays in force beside the other menus
    assert any("log g > 3.60" in words for words in state.queue.sentences)
    view.reason.value = ""
    assert len(state.queue.obsids) == int(state.verdicts.table["is_candidate"].sum())


def test_the_oddest_labels_come_first_at_the_limits_in_force(state):
    state.queue.set_filters([state.verdicts.presets["all"]])
    state.queue.set_order("odd")
    limits = {"logg_limit": state.labels.logg_limit, "feh_limit": state.labels.feh_limit}
    odd = oddness(state.verdicts.table.iloc[state.data.rows(state.queue.obsids)], **limits)
    assert (np.diff(odd) <= 0).all() and odd[0] > odd[-1]
    before = list(state.queue.obsids)
    state.labels.logg_limit = 3.2
    assert list(state.queue.obsids) != before


def test_stars_whose_template_disagrees_can_be_queued_surest_first(survey):
    table = survey.table()
    disagrees = np.arange(len(table)) % 7 == 0
    table["template_disagrees"] = pd.array(disagrees, dtype="boolean")
    table["template_confidence"] = np.linspace(80, 99, len(table))
    survey.write_table(table)
    state = Session(survey, "anna")
    state.queue.set_filters([state.verdicts.presets["template disagrees"]])
    state.queue.set_order("template")
    rows = state.data.rows(state.queue.obsids)
    assert len(rows) == disagrees.sum()
    assert (np.diff(state.verdicts.table["template_confidence"].iloc[rows]) <= 0).all()
    assert "the template match says another class" in state.data.disagreements_on(
        state.queue.obsids[0]
    )


def test_an_empty_queue_says_why_and_offers_all_spectra(survey):
    table = survey.table()
    survey.write_table(table.assign(is_candidate=False, in_search_domain=False))
    state = Session(survey, "anna")
    view = QueueView(state=state)
    assert state.screen.star is None
    assert f"none of {len(table):,} spectra is in the search domain" in view.progress.object
    assert view.widen.visible
    view.widen.clicks += 1
    assert state.screen.star is not None
    assert len(state.queue.obsids) == len(table)
    assert not view.widen.visible
    survey.write_table(table.assign(is_candidate=False, in_search_domain=True))
    no_candidates = QueueView(state=Session(survey, "carl"))
    assert "0 of 60 spectra are candidates: 60 are in the search domain" in (
        no_candidates.progress.object
    )
    survey.write_table(table.assign(is_candidate=False, p_bhb=np.nan))
    ruled_out = QueueView(state=Session(survey, "dora"))
    assert "0 of 60 spectra are candidates" in ruled_out.progress.object
    survey.write_table(table.assign(is_candidate=False, p_bhb=np.nan, predicted_class=None))
    unclassified = QueueView(state=Session(survey, "bert"))
    assert "nothing was classified yet" in unclassified.progress.object
    medium = table.assign(
        is_candidate=None, p_bhb=np.nan, predicted_class=None, in_search_domain=False,
        resolution="medium",
    )  # fmt: skip
    survey.write_table(medium)
    unsearched = QueueView(state=Session(survey, "emma"))
    assert "0 of 60 spectra are candidates: all are of medium" in unsearched.progress.object


def test_a_star_that_was_searched_for_is_said_to_lie_outside_the_queue(state):
    view = QueueView(state=state)
    assert "not in this queue" not in view.progress.object
    away = np.setdiff1d(state.data.obsid, state.queue.obsids)
    state.screen.select(int(away[0]))
    view._follow()
    assert "the star on screen is not in this queue" in view.progress.object
    state.screen.select(int(state.queue.obsids[0]))
    view._follow()
    assert "not in this queue" not in view.progress.object


def test_probabilities_near_one_are_told_apart():
    p = pd.Series([0.31, 0.87, 0.994, 0.99963, 0.9999997, 1.0, np.nan])
    expected = ["0.310", "0.870", "0.994", "0.9996", "1−3e-7", "1", ""]
    assert list(probabilities(p)) == expected


def written(field, text):
    """What a browser sends when something is typed and Enter pressed: a value, then an event."""
    field.value = text
    field._process_event(SimpleNamespace(event_name="enter-pressed", value_input=text))


def test_a_brush_is_named_and_a_colleague_combines_it(view, state, survey):
    obsid = state.data.obsid
    assert not view.named.naming.visible
    state.queue.brush(obsid[:6], "6 spectra brushed in the CMD")
    assert view.named.naming.visible
    written(view.named.naming, "<i>left</i> ones")
    state.queue.brush(obsid[4:9], "5 spectra brushed in the sky")
    written(view.named.naming, "right")
    assert view.named.naming.value == ""
    assert (state.status.tone, state.status.message) == ("saved", "named: right · 5 spectra")
    state.queue.brush((), "")
    assert not view.named.naming.visible
    bert = Session(survey, "bert")
    other = QueueView(state=bert)
    other.scope.value = "all"
    other.add.value = True
    assert list(other.named.subsets.options) == [
        "add a subset …", "<i>left</i> ones · 6 · anna", "right · 5 · anna",
    ]  # fmt: skip
    other.named.subsets.value = "right"
    assert bert.queue.sentences == ["all spectra", "in subset right"]
    other.named.subset.value = '"<i>left</i> ones" and not right'
    assert sorted(bert.queue.obsids) == obsid[:4].tolist()
    assert sentences(other)[-1] == 'in subset "<i>left</i> ones" and not right'
    assert int(bert.screen.selected) in obsid[:4]
    view._take_away("subset")
    other._take_away("subset")
    assert other.named.subset.value == "" and len(bert.queue.obsids) == len(obsid)


def test_what_cannot_be_combined_is_said_and_changes_nothing(view, state):
    before = list(state.queue.obsids)
    view.named.subset.value = "nobody and"
    assert state.status.tone == "error"
    assert list(state.queue.obsids) == before
    assert view.named.subset.value == "nobody and"  # to be mended, not lost
    view.named.subset.value = ""
    assert state.status.message == ""  # it was about what is no longer written


def test_only_who_named_a_subset_is_offered_to_forget_it(view, state, survey):
    state.queue.brush(state.data.obsid[:6], "6 spectra")
    written(view.named.naming, "six")
    view.add.value = True
    view.named.subset.value = "six"
    assert view.named.forget.visible
    bert = QueueView(state=Session(survey, "bert"))
    bert.add.value = True
    bert.named.subset.value = "six"
    assert not bert.named.forget.visible
    view.named.forget.clicks += 1
    assert state.queue.combination == "" and view.named._held == {}


def test_blind_hides_subsets_and_what_they_choose(view, state):
    state.queue.brush(state.data.obsid[:6], "6 spectra")
    written(view.named.naming, "bhbs")
    view.named.subset.value = "bhbs"
    state.verdicts.blind = True
    assert state.queue.combination == "" and not view.named.naming.visible
    assert list(view._menus) == [] and not view.add.visible
    assert view.chosen["subset"] == ""


def test_what_a_page_echoes_of_the_list_is_not_written_over_a_newer_one(view, state):
    """Panel hands back what was patched 50 ms later; the queue may be another one by then."""
    old = {name: view.table.value[name].to_numpy(copy=True) for name in view.table.value}
    view.order.value = "faint"
    now = view.table.value.copy()
    assert now["obsid"].tolist() != old["obsid"].tolist()
    view.table._process_events({"data": old})
    assert view.table.value.equals(now)
