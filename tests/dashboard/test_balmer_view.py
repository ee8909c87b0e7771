"""The Balmer panel: what is drawn is what was fitted, and switching stars makes no new model."""

import numpy as np
import pytest
from pytest import approx

from dashboard.theme import DARK, LIGHT
from dashboard.views.balmer import (
    LINE_ROOM,
    BalmerView,
    flags_within,
    header_html,
    legend_html,
    levels,
    pixels,
    residual_limit,
)
from msfa_core.flags import FitFlag

FIRST = 1_230_412_000
DEAD = FIRST + 7


@pytest.fixture
def view(state):
    return BalmerView(state=state)


def test_every_pixel_is_drawn_once_as_used_or_left_out(state, view):
    for line, plot in view.plots.items():
        window = state.screen.star.windows[line]
        drawn = np.concatenate([plot.used.data["x"], plot.left_out.data["x"]])
        assert sorted(drawn) == approx(sorted(window.wavelength[np.isfinite(window.flux)]))
        assert len(plot.used.data["x"]) == window.used.sum()


def test_the_residual_is_the_data_less_the_model(state, view):
    window = state.screen.star.windows["hdelta"]
    used = view.plots["hdelta"].used.data
    model = np.interp(used["x"], window.wavelength, window.model)
    assert used["residual"] == approx(used["flux"] - model, abs=1e-9)
    assert used["high"] - used["low"] == approx(2 * window.error[window.used])


def test_the_arrow_is_as_long_as_d02_and_lies_20_percent_below_the_continuum(state, view):
    arrow = view.plots["hdelta"].levels["d02"].data
    k = state.screen.star.fits.lines.index("hdelta")
    fits = (
        state.screen.star.fits
    )  # the arrow lies on the profile, before its noise bias is taken off
    assert arrow["x1"][0] - arrow["x0"][0] == approx(fits.d02[0, k] + fits.d02_bias[0, k])
    assert arrow["y"][0] == approx(0.8 * state.screen.star.fits.continuum[0, k])
    assert arrow["text"] == [f"D0.2 {fits.d02[0, k]:.2f} Å"]  # as in the header
    assert f"<strong>{fits.d02[0, k]:.2f}±" in view.headers["hdelta"].object


def test_the_fm_level_is_where_the_model_is_deepest(state, view):
    window = state.screen.star.windows["hgamma"]
    level = view.plots["hgamma"].levels["fm"].data["y"][0]
    assert level == approx(np.nanmin(window.model), abs=0.03)
    assert level <= np.nanmin(window.model)


def test_the_words_hold_the_values_with_their_errors(state, view):
    fits = state.screen.star.fits
    words = view.headers["hdelta"].object
    assert f"{fits.d02[0, 0]:.2f}±{fits.d02_err[0, 0]:.2f}" in words
    assert f"{fits.fm[0, 0]:.3f}±{fits.fm_err[0, 0]:.3f}" in words


def test_flags_are_said_in_words(state, view):
    state.screen.select(DEAD)
    flags = int(state.screen.star.fits.flags[0, 0])
    assert flags
    words = view.headers["hdelta"].object
    assert all(sentence in words for sentence in FitFlag.sentences(flags))
    assert "no flags" not in words


def test_a_line_that_could_not_be_fitted_has_no_model_and_no_levels(state, view):
    state.screen.select(DEAD)
    plot = view.plots["hdelta"]
    assert not len(plot.model.data["x"])
    assert all(not source.data["x0"] for source in plot.levels.values())
    assert "—" in view.headers["hdelta"].object


def test_a_star_leaves_nothing_behind_on_the_screen(state, view):
    state.screen.select(FIRST)
    first = {name: list(column) for name, column in view.plots["hdelta"].used.data.items()}
    state.screen.select(DEAD)
    state.screen.select(FIRST)
    again = view.plots["hdelta"].used.data
    assert all(list(again[name]) == values for name, values in first.items())


def test_switching_stars_makes_no_new_model(state, view):
    def models():
        return {m.id for plot in view.plots.values() for m in plot.layout.references()}

    before = models()
    for row in (1, 7, 2, 0):
        state.screen.select(FIRST + row)
    assert models() == before


def test_no_star_on_screen_is_an_empty_panel(state, view):
    state.screen.star = None
    for plot in view.plots.values():
        assert not len(plot.used.data["x"])
    assert "no star" in view.headers["hgamma"].object


def test_the_residual_panel_opens_for_large_residuals_but_never_closes_on_noise(state):
    window = state.screen.star.windows["hdelta"]
    assert residual_limit(window) >= 0.06
    loud = type(window)(
        **{name: getattr(window, name) for name in window.__slots__}
        | {"residual": 10 * window.residual}
    )
    assert residual_limit(loud) > residual_limit(window)


def test_pixels_without_an_error_have_no_bar(state):
    window = state.screen.star.windows["hdelta"]
    rows = np.zeros(len(window.wavelength), dtype=bool)
    rows[:2] = True
    assert set(map(len, pixels(window, rows).values())) == {2}


def test_a_line_too_shallow_has_no_arrow_but_keeps_its_core_level(state):
    window = state.screen.star.windows["hdelta"]
    shallow = type(window)(
        **{name: getattr(window, name) for name in window.__slots__}
        | {"d02_edges": (np.nan, np.nan)}
    )
    found = levels(shallow, np.nan, 0.9, 4102.9)
    assert found["d02"]["x0"] == []
    assert found["fm"]["text"] == ["fm 0.900"]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_the_legend_names_every_mark_in_the_colours_of_the_theme(colours):
    words = legend_html(colours)
    for mark in ("SWS fit", "left out", "continuum"):  # D0.2 and fm are named in the figure
        assert mark in words
    assert colours.model in words


def test_the_header_of_a_good_fit_says_so(state):
    fits = state.screen.star.fits
    assert ("no flags" in header_html(fits, "hdelta")) == (fits.flags[0, 0] == 0)


def test_a_low_figure_has_words_for_its_axis_that_fit(view):
    """On a small screen with the card of a lesson, the whole of them does not."""
    for plot in view.plots.values():
        (told,) = plot.flux.js_property_callbacks["change:inner_height"]
        words = told.args["words"]
        assert words[0] == plot.flux.yaxis[0].axis_label == "flux / continuum"
        assert [len(text) for text in words] == sorted((len(text) for text in words), reverse=True)
        assert len(words[-1]) * told.args["wide"] < plot.flux.min_height
        assert "sync: false" in told.code  # else the server takes it for a change by hand


@pytest.mark.parametrize("room", LINE_ROOM.values())
def test_flags_of_a_fit_are_told_whole_within_their_line(room):
    flags = list(FitFlag)
    for n in range(1, len(flags) + 1):
        for raised in (sum(flags[:n]), sum(flags[-n:]), sum(flags[::2][:n])):
            words = flags_within(int(raised), room)
            assert len(words) <= room
    assert flags_within(int(FitFlag.NOT_CONVERGED), room) == FitFlag.NOT_CONVERGED.sentence
    assert flags_within(int(FitFlag.POOR_FIT | FitFlag.AT_BOUND), room) == "at bound · poor fit"
    assert flags_within(sum(map(int, flags)), room).endswith(" more")


def test_a_strip_of_residuals_names_a_value_on_either_side_of_zero(view):
    """By the rule of Bokeh's `BasicTicker`: the step whose count of ticks is nearest to wanted."""
    ticker = view.plots["hdelta"].residual.yaxis[0].ticker
    for limit in np.geomspace(0.05, 30.0, 200):
        power = 10.0 ** np.floor(np.log10(2 * limit / ticker.desired_num_ticks))
        steps = power * np.array([*ticker.mantissas, 10])
        step = steps[np.argmin(np.abs(ticker.desired_num_ticks - 2 * limit / steps))]
        assert step <= limit, (limit, step)
