"""All spectra of one star: velocities, overlays that are chosen, and their sum."""

import time

import numpy as np
import pytest
from bokeh.models import Segment
from pytest import approx

from dashboard.state import Session, answers
from dashboard.views.epochs import EpochsView, epochs_html, variability_sentence
from dashboard.views.spectrum import SpectrumView
from msfa_core.constants import SPEED_OF_LIGHT

FOUR = 1_230_412_056  # the first of the four spectra of one star
ALONE = 1_230_412_002


@pytest.fixture
def view(state):
    state.screen.select(FOUR)
    return EpochsView(state=state)


def wait_for(found, seconds=20):
    until = time.monotonic() + seconds
    while not found() and time.monotonic() < until:
        time.sleep(0.02)
    assert found()


def test_every_epoch_has_its_velocity(state, view):
    z = state.screen.star.epochs["z"].to_numpy()
    assert view.source.data["rv"] == approx(list(z * SPEED_OF_LIGHT))
    assert view.source.data["obsid"] == [str(obsid) for obsid in state.screen.star.epochs["obsid"]]
    assert epochs_html(state.screen.star).count("km/s") == 4


def test_error_bars_are_drawn_by_what_counts_for_the_range_of_the_figure(view):
    """A bar of 80 km/s ended outside a frame of 25 km/s."""
    (bars,) = (one for one in view.figure.renderers if isinstance(one.glyph, Segment))
    assert (bars.glyph.y0, bars.glyph.y1) == ("low", "high")


def test_a_velocity_that_varies_is_called_so(state):
    row = state.verdicts.table.iloc[0].copy()
    row["rv_range"], row["rv_chi2_probability"] = 81.0, 1e-9
    assert "VARIABLE" in variability_sentence(row)
    row["rv_chi2_probability"] = 0.4
    assert "as constant as the errors allow" in variability_sentence(row)
    row["rv_range"] = np.nan
    assert "nothing to compare" in variability_sentence(row)


def test_an_epoch_is_laid_over_or_left_out_by_its_button(state, view):
    spectrum = SpectrumView(state=state)
    view._overlay_all()
    assert len(spectrum._sources["epochs"].data["xs"]) == 3
    others = [str(obsid) for obsid in state.screen.other_epochs]
    view._chips.value = others[1:]
    assert spectrum._sources["epochs"].data["name"] == others[1:]
    view._overlay_none()
    assert spectrum._sources["epochs"].data["xs"] == []
    assert view._chips.value == []


def test_a_choice_of_epochs_does_not_leak_to_the_next_star(state, view):
    view._overlay_all()
    view._chips.value = view._chips.value[1:]
    state.screen.select(ALONE)
    assert state.screen.left_out == []
    assert state.screen.other_epochs == []
    assert not any(part.visible for part in view._bar)
    assert view._bar.visible  # the choice of the plane stands in it: else over the velocities
    assert "one spectrum of this star" in view._caption.object


def test_a_tap_on_a_velocity_brings_that_spectrum_on_screen(state, view):
    class Event:
        x, y = 3.0, view.source.data["rv"][2]

    view._tapped(Event)
    assert state.screen.selected == view.source.data["obsid"][2]


def test_the_sum_of_the_epochs_is_better_than_each(state, view):
    spectrum = SpectrumView(state=state)
    state.answers.with_coadd = True
    wait_for(lambda: "co-added" in view._caption.object)
    wait_for(lambda: len(spectrum._sources["coadd"].data["x"]) > 3000)
    added = state.answers.coadded.coadd
    assert added.used.all() and len(added.used) == 4
    assert added.spectrum.snr_g > 1.7 * state.screen.star.spectrum.snr_g
    assert "co-added: 4 of 4" in view._caption.object
    state.screen.select(ALONE)
    wait_for(lambda: state.answers.coadded is not None)
    assert state.answers.coadded.coadd is None
    assert len(spectrum._sources["coadd"].data["x"]) == 0


def test_the_next_stars_come_on_screen_with_their_answers_not_with_those_of_the_last(
    state, monkeypatch
):
    monkeypatch.setattr(answers, "is_live", lambda document: True)  # as with a browser
    monkeypatch.setattr(answers, "in_turn", lambda document, action: action())
    state.queue.set_filters([state.verdicts.presets["all"]])
    state.screen.select(ALONE)
    state.answers.with_coadd = True
    for obsid in state.screen.ahead(answers.N_AHEAD):
        wait_for(lambda obsid=obsid: state.data.answered("coadd", obsid) is not None)
    unasked = state.screen.ahead(20)[-1]
    assert state.data.answered("coadd", unasked) is None
    for obsid in state.screen.ahead(answers.N_AHEAD):
        state.screen.next()
        assert state.answers.coadded.obsid == state.screen.star.obsid == obsid  # at once
    state.screen.select(unasked)
    assert state.answers.coadded is None or state.answers.coadded.obsid == unasked
    state.answers.with_coadd = False
    assert state.answers.coadded is None


def test_without_velocities_the_panel_says_how_to_get_them(survey):
    table = survey.table()
    survey.write_table(table.assign(epoch_rv=np.nan, epoch_rv_err=np.nan))
    view = EpochsView(state=Session(survey, "anna"))
    assert view._notice.visible
    assert "--steps identify" in view._notice.object
