"""The spectrum panel: drawn once, then fed; lines, frames and limits where they belong."""

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import param
import pytest

from dashboard.state import Explained
from dashboard.views.saliency import STRIPS
from dashboard.views.spectrum import MACHINE, PAINTED, SpectrumView
from dashboard.views.spectrum_data import (
    bad_pixels,
    clear_corner,
    line_markers,
    spectrum_data,
    title_of,
)
from msfa_core.constants import BALMER_LINES, NETWORK_GRID, SPEED_OF_LIGHT
from msfa_core.spectra.display import flux_unit


@pytest.fixture
def view(state):
    return SpectrumView(state=state)


def models(view):
    return {model.id for model in view.figure.references()}


def test_a_new_star_makes_no_new_model(view, state):
    before = models(view)
    for _ in range(4):
        state.screen.next()
    assert models(view) == before


def test_the_source_says_which_star_is_painted_after_its_data(view, state):
    source = next(m for m in view.figure.references() if m.name == PAINTED)
    seen = []
    source.on_change("data", lambda attr, old, new: seen.append((attr, state.screen.selected)))
    source.on_change("tags", lambda attr, old, new: seen.append((attr, new[0])))
    state.screen.next()
    assert [kind for kind, _ in seen] == ["data", "tags"]
    assert source.tags == [state.screen.selected]


def test_a_star_that_was_set_twice_at_once_is_drawn(view, state):
    """Of several changes at once a view is told of the last: here of that from the star to itself.

    The title was of the star on screen, the line of the one before.
    """
    other = state.screen.read(int(state.queue.obsids[1]))
    with param.parameterized.discard_events(state.screen):
        state.screen.star = other
    state.screen.star = replace(other)
    fresh = SpectrumView(state=state)
    for name in ("x", "y"):
        np.testing.assert_array_equal(
            view._sources["flux"].data[name], fresh._sources["flux"].data[name]
        )


@pytest.mark.parametrize("blind", [False, True])
def test_what_the_machine_says_cannot_be_asked_for_on_a_page_that_begins_blind(state, blind):
    state.verdicts.blind = blind
    view = SpectrumView(state=state)
    assert {view._toggles[name].disabled for name in MACHINE} == {blind}


def test_the_band_is_one_sigma(state):
    spectrum = state.screen.star.spectrum
    shown = spectrum_data(spectrum, rest=False)
    good = ~spectrum.mask
    sigma = (shown["high"] - shown["low"])[good] / 2 * flux_unit(spectrum)
    assert sigma == pytest.approx(1 / np.sqrt(spectrum.ivar[good]), rel=1e-3)


def test_rest_wavelengths_put_the_line_core_on_its_marker(state):
    spectrum = state.screen.star.spectrum
    shown = spectrum_data(spectrum, rest=True)
    near = np.abs(shown["x"] - BALMER_LINES["hdelta"]) < 10
    core = shown["x"][near][np.argmin(shown["y"][near])]
    assert core == pytest.approx(float(BALMER_LINES["hdelta"]), abs=2.0)


def test_lines_of_the_star_move_with_it_and_those_of_the_sky_do_not():
    z = 300 / SPEED_OF_LIGHT
    rest, observed = line_markers(z, rest=True), line_markers(z, rest=False)
    at = {name: i for i, name in enumerate(rest["name"])}
    delta, sky = at["Hδ"], at["[O I] sky 5577"]
    assert rest["x"][delta] == pytest.approx(4102.892)
    assert observed["x"][delta] == pytest.approx(4102.892 * (1 + z))
    assert observed["x"][sky] == pytest.approx(5578.89)
    assert rest["x"][sky] == pytest.approx(5578.89 / (1 + z))


def test_bad_pixels_are_marked(state):
    state.screen.select(1230412007)
    shown = bad_pixels(state.screen.star.spectrum, rest=False)
    assert len(shown["x"]) == np.isfinite(state.screen.star.spectrum.flux).sum()


def test_the_axis_says_frame_and_vacuum(view):
    assert view.figure.xaxis[0].axis_label == "rest wavelength [vacuum Å]"
    view.rest = False
    assert view.figure.xaxis[0].axis_label == "observed wavelength [vacuum Å]"


def test_one_wild_pixel_does_not_spoil_the_flux_axis(view, state):
    state.screen.star.spectrum.flux[1000] = 1e9
    view._fit_height()
    assert view.figure.y_range.end < 10


def test_a_preset_shows_its_range_and_fits_the_height(view):
    view._preset.value = "Balmer"
    assert (view.figure.x_range.start, view.figure.x_range.end) == (3850.0, 4600.0)


def test_the_range_stays_from_star_to_star(view, state):
    view._preset.value = "Balmer"
    state.screen.next()
    assert view.figure.x_range.end == 4600.0


def test_smoothing_steps_through_its_widths_and_back(view):
    widths = []
    for _ in range(4):
        view.step_smoothing()
        widths.append(view.smoothing)
    assert widths == [3, 7, 15, 1]
    assert len(view._sources["smooth"].data["x"]) == 0


def test_other_epochs_are_laid_over_when_asked_for(view, state):
    obsid = int(state.verdicts.table.loc[state.verdicts.table["uid"] == "G1056", "obsid"].iloc[0])
    state.screen.select(obsid)
    assert view._sources["epochs"].data["xs"] == []
    view._toggles["with_epochs"].value = True
    assert len(view._sources["epochs"].data["xs"]) == 3


def test_a_trial_velocity_does_not_leak_to_the_next_star(view, state):
    view.lines.velocity.value = 200
    state.screen.next()
    assert view.lines.velocity.value == 0


def test_the_title_names_the_star_and_its_file(state):
    title = title_of(state.screen.star)
    assert title.startswith(state.screen.selected)
    assert "S/N(g)" in title and "km/s" in title and "spec-" in title


@pytest.mark.parametrize(
    ("said", "blind", "told"),
    [
        (0.0005, False, "header RV +150 km/s"),
        (-0.0005, False, "template RV +150 km/s (header −150)"),
        (np.nan, False, "template RV +150 km/s (header none)"),
        (-0.0005, True, "RV +150 km/s"),
    ],
)
def test_the_title_says_where_the_velocity_is_from(state, said, blind, told):
    star = state.screen.star
    spectrum = replace(star.spectrum, z=0.0005)
    shown = replace(star, spectrum=spectrum, row=pd.Series({**star.row, "z": said}))
    assert f" · {told} · " in title_of(shown, blind)


@pytest.mark.parametrize(
    ("used", "said", "told"),
    [
        (0.1006, 0.1006, "header z +0.1006"),
        (2.3456, 0.0005, "template z +2.3456 (header z +0.0005)"),
        (0.0005, 0.1006, "template RV +150 km/s (header z +0.1006)"),
    ],
)
def test_a_redshift_is_not_told_as_a_velocity(state, used, said, told):
    star = state.screen.star
    spectrum = replace(star.spectrum, z=used)
    shown = replace(star, spectrum=spectrum, row=pd.Series({**star.row, "z": said}))
    assert f" · {told} · " in title_of(shown)


@pytest.mark.parametrize(
    ("flux", "corner"),
    [
        (lambda x: 2 - 1.5 * x, "top_right"),  # a hot star
        (lambda x: 0.2 + 1.6 * x, "bottom_right"),  # a cool one
        (lambda x: np.full_like(x, np.nan), "top_right"),
    ],
)
def test_the_legend_lies_in_the_corner_that_the_spectrum_leaves_free(flux, corner):
    x = np.linspace(3700.0, 9000.0, 500)
    pixels = {"x": x, "y": flux((x - 3700) / 5300)}
    assert clear_corner(pixels, (3700.0, 9100.0), (0.0, 2.0)) == corner


def test_the_legend_follows_the_star(view, state):
    star = state.screen.star
    slope = np.linspace(2.0, 0.2, len(star.spectrum.flux))
    for tilt, corner in ((slope, "top_right"), (slope[::-1], "bottom_right"), (slope, "top_right")):
        flux = (star.spectrum.flux * tilt).astype(np.float32)
        state.screen.star = replace(star, spectrum=replace(star.spectrum, flux=flux))
        assert view._legend.location == corner


def test_no_star_is_drawn_as_nothing(view, state):
    state.screen.star = None
    assert len(view._sources["flux"].data["x"]) == 0
    assert view._sources["flux"].tags == [""]
    assert title_of(None) == "no star on screen"


def explained(obsid):
    """Two stages that heard Hδ: the first for class A, the second against BHB."""
    amount = np.where(np.abs(NETWORK_GRID.wavelength - BALMER_LINES["hdelta"]) < 8, 0.2, 0.0)
    return Explained(
        obsid,
        tuple(
            SimpleNamespace(attribution=sign * amount[None], target=np.array([target]))
            for sign, target in ((1, 1), (-1, 0))
        ),
    )


def test_strips_show_at_the_line_which_way_it_spoke(view, state):
    state.answers.explained = explained(state.screen.star.obsid)
    shown = view._sources["strips"].data
    assert np.abs(shown["left"] - float(BALMER_LINES["hdelta"])).max() < 15
    assert set(shown["bottom"]) == {np.float32(bottom) for bottom, _ in STRIPS}
    assert len(set(shown["colour"])) == 2
    assert np.all((shown["amount"] > 0) == (shown["bottom"] > STRIPS[1][1]))
    names = view._sources["strip names"].data["text"]
    assert names == ["stage 1: why A?", "stage 2: why BHB?"]


def test_strips_move_with_the_frame_and_go_with_the_star(view, state):
    state.answers.explained = explained(state.screen.star.obsid)
    rest = view._sources["strips"].data["left"].copy()
    view.rest = False
    moved = view._sources["strips"].data["left"]
    assert moved == pytest.approx(rest * (1 + state.screen.star.spectrum.z), rel=1e-6)
    state.screen.next()
    assert state.answers.explained is None
    assert len(view._sources["strips"].data["left"]) == 0
    assert view._sources["strips"].data["colour"] == []  # no array: browsers refuse that
    state.answers.explained = explained(1)  # the answer to an earlier star
    assert len(view._sources["strips"].data["left"]) == 0


def test_nothing_is_asked_until_wanted_nor_told_to_a_blind_reviewer(view, state, monkeypatch):
    asked = []

    def answer(question, obsid, still_wanted):
        assert question == "why"
        asked.append(obsid)
        future = Future()
        future.set_result(explained(obsid) if still_wanted() else None)
        return future

    monkeypatch.setattr(state.data, "ask", answer)
    state.screen.next()
    assert asked == []
    view._toggles["why"].value = True
    assert asked == [state.screen.star.obsid]
    assert state.answers.explained.obsid == state.screen.star.obsid
    state.verdicts.blind = True
    assert state.answers.explained is None
    state.screen.next()
    assert len(asked) == 1
