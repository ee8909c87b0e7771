"""A reviewer's session: queue, star on screen, verdicts, others at work on the same survey."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dashboard.state import Session, shared_data
from dashboard.state.data import in_one_piece
from msfa_core.errors import ConflictError, StoreError, SurveyError
from msfa_core.vetting import store as store_module
from msfa_core.vetting.filters import Filter, preset_filters
from msfa_core.vetting.record import verdict_of_record

EPOCHS_OF = "G1056"  # the star with four spectra


def decide(state, verdict="accept", **more):
    return state.decide(verdict, painted_obsid=state.screen.selected, **more)


def test_the_queue_holds_the_candidates_most_probable_first(state):
    rows = state.data.rows(state.queue.obsids)
    table = state.verdicts.table.iloc[rows]
    assert table["is_candidate"].all()
    assert len(state.queue.obsids) == int(state.verdicts.table["is_candidate"].sum())
    assert (np.diff(table["p_bhb"]) <= 0).all()
    assert state.screen.selected == str(state.queue.obsids[0])
    assert state.screen.star.obsid == state.queue.obsids[0]


def test_the_star_on_screen_is_complete(state):
    star = state.screen.star
    assert star.spectrum.obsid == star.obsid == int(star.row["obsid"])
    assert list(star.fits.obsid) == [star.obsid]
    assert set(star.windows) == set(star.fits.lines)
    assert star.fits.d02[0, 0] == pytest.approx(star.row["d02_hdelta"], abs=1e-3)
    assert list(star.epochs["uid"].unique()) == [star.row["uid"]]


def test_text_lies_in_one_piece_and_says_what_it_said(survey):
    table = survey.table()
    pieces = pd.concat([table.iloc[:20], table.iloc[20:]])
    whole = in_one_piece(pieces.copy())
    pd.testing.assert_frame_equal(whole, pieces)
    text = [whole[name].array for name in whole if whole[name].dtype == "str"]
    assert pieces["uid"].array.__arrow_array__().num_chunks == 2
    assert text and all(column.__arrow_array__().num_chunks == 1 for column in text)


def test_a_verdict_writes_its_cells_and_no_other(state):
    before = state.verdicts.table.copy()
    row = state.data.row(state.screen.star.obsid)
    decide(state)
    table = state.verdicts.table
    assert table["verdict"].iloc[row] == "accept"
    assert (table.dtypes == before.dtypes).all()
    others = table.index != row
    pd.testing.assert_frame_equal(table[others], before[others])


def test_next_and_previous_stop_at_the_ends_and_say_so(state):
    state.screen.previous()
    assert "beginning" in state.status.message
    for _ in range(len(state.queue.obsids) + 2):
        state.screen.next()
    assert state.screen.selected == str(state.queue.obsids[-1])
    assert "end" in state.status.message


def test_a_verdict_is_in_the_store_when_the_screen_says_saved(state, survey):
    obsid = int(state.screen.selected)
    decide(state, "accept", comment="deep lines", confidence=3, issue_flags=("low S/N",))
    assert state.status.tone == "saved"
    assert state.status.message.startswith("saved: accept")
    with survey.store() as another:
        stored = another.decisions(obsid=obsid)
    assert [(d.verdict, d.reviewer, d.comment, d.confidence) for d in stored] == [
        ("accept", "anna", "deep lines", 3)
    ]
    assert stored[0].shown["row"]["p_bhb"] == pytest.approx(
        float(state.verdicts.table.set_index("obsid").loc[obsid, "p_bhb"])
    )


def test_a_verdict_moves_on_and_marks_its_row_only(state):
    obsid, following = int(state.queue.obsids[0]), str(state.queue.obsids[1])
    before = state.verdicts.table["verdict"].notna().sum()
    decide(state, "reject", verdict_class="A")
    assert state.screen.selected == following
    row = state.verdicts.table[state.verdicts.table["obsid"] == obsid].iloc[0]
    assert (row["verdict"], row["verdict_class"], row["reviewer"]) == ("reject", "A", "anna")
    assert state.verdicts.table["verdict"].notna().sum() == before + len(
        state.data.same_star(state.data.row(obsid))
    )
    assert state.queue.progress[0] == 1


def test_a_verdict_for_another_star_than_the_painted_one_is_refused(state, survey):
    with pytest.raises(ConflictError, match="Look again"):
        state.decide("accept", painted_obsid=state.queue.obsids[5])
    with survey.store() as store:
        assert store.decisions() == []


def test_a_verdict_without_a_name_is_refused_and_says_what_to_do(survey):
    nameless = Session(survey, "  ")
    with pytest.raises(StoreError, match="write your name"):
        decide(nameless)
    with survey.store() as store:
        assert store.decisions() == []


def test_a_verdict_reaches_every_spectrum_of_the_star(state):
    state.queue.set_filters([state.verdicts.presets["all"]])
    obsid = int(state.verdicts.table.loc[state.verdicts.table["uid"] == EPOCHS_OF, "obsid"].iloc[0])
    state.screen.select(obsid)
    assert len(state.screen.star.epochs) == 4
    decide(state, "unsure")
    of_star = state.verdicts.table[state.verdicts.table["uid"] == EPOCHS_OF]
    assert list(of_star["verdict"]) == ["unsure"] * 4


def test_undo_takes_the_verdict_back_and_returns_to_the_star(state, survey):
    obsid = state.screen.selected
    decide(state)
    state.undo()
    assert state.screen.selected == obsid
    assert state.queue.progress[0] == 0
    assert state.verdicts.table["verdict"].isna().all()
    with survey.store() as store:
        assert len(store.standing()) == 0
        assert len(store.decisions()) == 2  # nothing is removed from the history


def test_undo_reaches_back_into_an_earlier_session(state, survey):
    obsid = state.screen.selected
    decide(state)
    later = Session(survey, "anna")
    later.undo()
    assert later.screen.selected == obsid


def test_undo_of_nothing_says_so(state):
    with pytest.raises(StoreError, match="Nothing to undo"):
        state.undo()


def test_undo_never_takes_back_what_another_reviewer_decided(state, survey):
    decide(Session(survey, "bert"))
    with pytest.raises(StoreError, match="Nothing to undo"):
        state.undo()


def test_what_was_vetted_comes_last_when_the_survey_is_opened_again(state, survey):
    first, second = str(state.queue.obsids[0]), str(state.queue.obsids[1])
    decide(state)
    again = Session(survey, "anna")
    assert again.screen.selected == second
    assert str(again.queue.obsids[-1]) == first
    assert again.queue.progress[0] == 1


def test_the_next_undecided_star_follows_and_the_last_one_says_so(state):
    total = len(state.queue.obsids)
    for _ in range(total):
        decide(state)
    assert state.queue.progress[0] == total
    assert "everything in this queue is vetted" in state.status.message


def test_two_reviewers_see_each_other_and_keep_their_own_progress(survey):
    anna, bert = Session(survey, "anna"), Session(survey, "bert")
    obsid = anna.queue.obsids[0]
    decide(anna, "accept")
    assert bert.verdicts.table["verdict"].isna().all()
    bert.follow()
    row = bert.verdicts.table[bert.verdicts.table["obsid"] == obsid].iloc[0]
    assert (row["verdict"], row["reviewer"]) == ("accept", "anna")
    assert bert.queue.progress[0] == 0
    assert [d.reviewer for d in bert.screen.star.decisions] == ["anna"]
    decide(bert, "reject")
    anna.follow()
    row = anna.verdicts.table[anna.verdicts.table["obsid"] == obsid].iloc[0]
    assert (row["verdict"], row["n_reviews"], row["agreement"]) == ("disputed", 2, 0.5)
    assert anna.queue.progress[0] == 1


def test_the_table_says_what_the_rule_for_the_whole_survey_says(survey):
    rng = np.random.default_rng(4)
    sessions = [Session(survey, name) for name in ("anna", "bert", "cleo")]
    for session in sessions:
        session.queue.set_filters([session.verdicts.presets["all"]])
    for _ in range(30):
        session = sessions[rng.integers(3)]
        session.screen.select(int(rng.choice(session.data.obsid[-12:])))
        if rng.random() < 0.25:
            session.status.attempt(session.undo)
        else:
            decide(
                session, rng.choice(["accept", "reject", "unsure"]), comment="x" * rng.integers(2)
            )
    for session in sessions:
        session.follow()
        standing = session.data.store.standing()
        rule = session.data.settings.verdict_rule
        expected = verdict_of_record(standing, session.data.candidates, rule)
        expected = expected.reset_index(drop=True)
        shown = session.verdicts.table[list(expected.columns)]
        pd.testing.assert_frame_equal(shown, expected, check_dtype=False)


def test_another_name_has_its_own_progress(state):
    decide(state)
    state.verdicts.reviewer = "bert"
    assert state.queue.progress[0] == 0
    state.verdicts.reviewer = "anna"
    assert state.queue.progress[0] == 1


def test_filters_are_put_in_force_by_name(state):
    state.queue.set_filters([state.verdicts.presets["all"]])
    assert len(state.queue.obsids) == len(state.verdicts.table)
    bright = Filter("bright", "S/N(g) ≥ 60", lambda t: t["snr_g"].to_numpy() >= 60)
    state.queue.set_filters([state.verdicts.presets["candidates"], bright])
    assert state.queue.sentences[-1] == "S/N(g) ≥ 60"
    assert (state.verdicts.table["snr_g"].iloc[state.data.rows(state.queue.obsids)] >= 60).all()


def test_every_preset_can_be_asked_of_an_unclassified_survey(survey):
    table = survey.table()
    for name in ("predicted_class", "p_bhb", "is_candidate", "in_search_domain", "in_bhb_region"):
        table[name] = pd.NA if name != "p_bhb" else np.nan
    survey.write_table(table)
    state = Session(survey, "anna")
    assert len(state.queue.obsids) == 0
    assert state.screen.star is None
    for preset in preset_filters(survey.settings).values():
        state.queue.set_filters([preset])
    state.queue.set_filters([state.verdicts.presets["all"]])
    state.screen.first()
    assert state.screen.star is not None


def test_the_order_can_be_changed(state):
    state.queue.set_order("faint")
    assert (
        np.diff(state.verdicts.table["snr_g"].iloc[state.data.rows(state.queue.obsids)]) >= 0
    ).all()


def test_a_brush_keeps_the_chosen_stars_until_it_is_lifted(state):
    whole = list(state.queue.obsids)
    chosen = state.queue.obsids[3:7]
    state.queue.brush(chosen, "brushed in Hδ")
    assert set(state.queue.obsids) == set(chosen)
    assert "brushed in Hδ" in state.queue.sentences
    state.queue.brush([], "")
    assert list(state.queue.obsids) == whole


def test_a_star_is_found_by_obsid_uid_or_file(state):
    for text, column in (("1230412021", "obsid"), ("G1021", "uid"), ("spec-021", "file")):
        state.screen.find(text)
        assert text in str(state.screen.star.row[column])
    with pytest.raises(SurveyError, match="nothing in this survey"):
        state.screen.find("no such star")


def test_an_obsid_that_is_none_is_refused_in_one_line(state):
    for wrong in ("abc", "", "99", "1e9", str(2**70)):
        with pytest.raises(SurveyError):
            state.screen.select(wrong)


def test_a_link_to_a_star_that_is_not_there_leaves_the_screen_as_it_was(state):
    on_screen = state.screen.selected
    state.screen.selected = "123"
    assert state.screen.selected == on_screen
    assert state.status.tone == "error"


def test_a_spectrum_without_a_usable_pixel_can_be_looked_at(state):
    state.screen.select(1230412007)
    assert state.screen.star.spectrum.mask.all()
    assert np.isnan(state.screen.star.fits.d02).all()


def test_large_ids_keep_every_digit(state):
    assert state.verdicts.table["obsid"].dtype == "Int64"
    assert state.data.obsid.dtype == np.int64


def test_sessions_share_what_was_read(survey):
    first, second = Session(survey, "anna"), Session(survey, "bert")
    assert first.data is second.data
    assert first.verdicts.table is not second.verdicts.table


def test_a_survey_that_was_run_again_is_read_anew(state, survey):
    table = survey.table()
    table["p_bhb"] = table["p_bhb"] * 0.5
    survey.write_table(table)
    state.reload()
    assert state.data is shared_data(survey)
    assert state.verdicts.table["p_bhb"].max() <= 0.5


def test_a_damaged_archive_is_told_once_and_does_not_hang(survey):
    for file in (survey.path / "archive").rglob("flux.npy"):
        file.write_bytes(b"")
    state = Session(survey, "anna")
    assert state.screen.star is None
    assert state.status.tone == "error"


def test_undo_and_verdicts_survive_a_star_that_left_the_survey(state, survey):
    decide(state)
    gone = int(state.verdicts._own[-1].obsid)
    table = survey.table()
    survey.write_table(table)
    assert gone in set(table["obsid"])
    state.reload()
    state.undo()
    assert state.queue.progress[0] == 0


def test_a_star_is_found_by_its_gaia_number_and_by_its_position(state):
    table = state.verdicts.table
    row = table.iloc[17]
    state.screen.find(f"Gaia DR3 {int(row['gaia_source_id'])}")
    assert state.screen.star.obsid == row["obsid"]
    other = table.iloc[23]
    state.screen.find(f"{other['ra']:.5f} {other['dec']:+.5f}")
    assert state.screen.star.obsid == other["obsid"]
    with pytest.raises(SurveyError, match="no spectrum within 60 arcsec"):
        state.screen.find("0.0 -89.5")
    with pytest.raises(SurveyError, match="nothing in this survey"):
        state.screen.find("123456789012345678901234")


def test_a_clock_that_is_set_back_loses_and_exchanges_nothing(survey, monkeypatch):
    """Numbers give the order, not dates; what was judged last is taken back first."""
    moment = [datetime(2026, 3, 29, 3, 0, tzinfo=UTC)]
    clock = SimpleNamespace(now=lambda _zone: moment[0])
    monkeypatch.setattr(store_module, "datetime", clock)
    anna, bert = Session(survey, "anna"), Session(survey, "bert")
    given = []
    for k in range(4):
        given.append(int(anna.screen.selected))
        decide(anna)
        moment[0] += timedelta(hours=-1) if k == 1 else timedelta(seconds=10)
    assert [one.obsid for one in anna.verdicts.recent()] == given[::-1]
    bert.verdicts.take_over(bert.verdicts.news())
    assert [one.obsid for one in bert.verdicts.recent()] == given[::-1]
    assert np.isnan(anna.verdicts.seconds_per_star)  # two times of work are too few
    anna.screen.select(str(given[0]))
    decide(anna, "reject")  # dated before the verdict that it replaces
    row = anna.data.row(given[0])
    for page in (anna, bert, Session(survey, "cleo")):
        page.verdicts.take_over(page.verdicts.news())
        assert page.verdicts.table["verdict"].iloc[row] == "reject"
    assert anna.verdicts.mine[row] == "reject"
    assert anna.verdicts.seconds_per_star == 10.0
    undone = []
    for _ in range(5):
        undone.append(anna.verdicts.take_back()[0])
        anna.verdicts.appended(anna.verdicts.recent()[0])
    assert [one.obsid for one in undone] == [given[0], *given[::-1]]
    assert anna.verdicts.data.store.standing().empty
