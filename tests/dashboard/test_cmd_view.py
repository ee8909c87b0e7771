"""The colour–magnitude diagram: ring, parallax switch, trapezoid, and the message without Gaia."""

import numpy as np
import pytest
from bokeh.models import Legend
from pytest import approx

from dashboard.planes.axis import inside_polygon
from dashboard.state import Session
from dashboard.views.cmd import CmdView, star_sentence, trapezoid_sentence
from msfa_core.photometry.cmd import in_trapezoid, trapezoid_vertices
from msfa_core.rules import have_good_parallax

FIRST = 1_230_412_000


@pytest.fixture
def view(state):
    return CmdView(state=state)


def drawn(view):
    return view.planes["as observed"].vivid.n_points


def test_magnitudes_grow_downwards(view):
    shown = view.planes["as observed"].figure.y_range
    assert shown.start > shown.end


def test_the_parallax_switch_draws_what_passes_the_cut(state, view):
    good = have_good_parallax(state.verdicts.table)
    placed = state.verdicts.table["abs_mag_g"].notna().to_numpy()
    assert drawn(view) == (good & placed).sum() < placed.sum()
    view.good_parallax_only = False
    assert drawn(view) == placed.sum()


def test_the_trapezoid_is_that_of_the_paper(view):
    corners = trapezoid_vertices()
    outlines = [
        renderer.data_source.data
        for renderer in view.planes["as observed"].figure.renderers
        if "xs" in renderer.data_source.data
    ]
    assert list(outlines[0]["xs"][0]) == approx(list(corners[:, 0]))
    assert list(outlines[0]["ys"][0]) == approx(list(corners[:, 1]))


def test_the_count_is_that_of_the_table(state, view):
    good = have_good_parallax(state.verdicts.table)
    inside = state.verdicts.table["in_cmd_trapezoid"].fillna(False).to_numpy(dtype=bool)
    words = f"{(good & inside).sum()} of {good.sum()} spectra shown inside the trapezoid"
    assert words in view._caption.object
    everywhere = trapezoid_sentence(state.verdicts.table, ("bp_rp", "abs_mag_g"), None)
    assert everywhere.startswith(
        f"{inside.sum()} of {state.verdicts.table['abs_mag_g'].notna().sum()} "
    )


def test_the_ring_has_the_star_and_its_error_bar(state, view):
    state.screen.select(FIRST + 12)
    ring, row = view.planes["as observed"].star.data, state.screen.star.row
    assert ring["y"] == [approx(row["abs_mag_g"])]
    half = 5 / np.log(10) / row["parallax_over_error"]
    assert ring["top"][0] - ring["bottom"][0] == approx(2 * half)


def test_a_star_of_negative_parallax_has_no_place_and_the_caption_says_why(state, view):
    state.screen.select(FIRST + 5)
    assert not len(view.planes["as observed"].star.data["x"])
    assert "parallax missing, zero or negative" in view._caption.object
    assert "no place" in star_sentence(state.screen.star.row)


def test_without_gaia_the_panel_says_what_is_missing_and_how_to_add_it(bare_survey):
    view = CmdView(state=Session(bare_survey, "anna"))
    assert view._notice.visible
    assert not view._place.visible
    view.refresh()
    assert not view._caption.visible  # it would lie below the chooser
    assert "<code>msfa run SURVEY --gaia FILE</code>" in view._notice.object


def test_with_gaia_the_panel_says_nothing_is_missing(view):
    assert not view._notice.visible
    assert view._place.visible


def test_corners_moved_by_hand_count_and_mark_what_they_change(state, view):
    view._edit.value = True
    plane = view.planes["as observed"]
    handles = view._corners["as observed"].handles
    assert all(handle.visible for handle in handles)
    first = handles[0]
    shift = 0.25
    first.update(left=first.left + shift, right=first.right + shift)
    corners = trapezoid_vertices()
    corners[0, 0] += shift
    assert view.corners == approx(corners)
    x, y = (state.data.candidates[name].to_numpy(float) for name in plane.names)
    shown = np.isfinite(x) & np.isfinite(y) & view.keep()
    now = inside_polygon(x, y, corners[:, 0], corners[:, 1]) & shown
    before = in_trapezoid(x, y) & shown
    leaving = int((before & ~now).sum())
    assert leaving > 0
    assert f"{int(now.sum())} of {int(shown.sum())} spectra shown inside" in view._caption.object
    assert f"{leaving} would leave" in view._caption.object
    assert len(view._changes["as observed"].leaving.data["x"]) == leaving
    view.queue_inside()
    assert set(state.queue.obsids) <= set(state.data.obsid[now])
    assert "spectra inside (0.150, −1.00)" in state.queue.sentences[-1]


def test_the_published_trapezoid_comes_back_and_is_never_changed(state, view, survey):
    before = (survey.path / "msfa.toml").read_bytes()
    view._edit.value = True
    handle = view._corners["as observed"].handles[2]
    handle.update(top=handle.top + 1, bottom=handle.bottom + 1)
    assert view.own_corners is not None
    view.use()
    assert "nothing is changed" in view._use.object and view._use.visible
    view._edit.value = False
    assert view.own_corners is None
    outline = view._outlines["as observed"].data
    assert outline["ys"][0] == approx(trapezoid_vertices()[:, 1])
    assert "would leave" not in view._caption.object
    assert not any(handle.visible for handle in view._corners["as observed"].handles)
    assert (survey.path / "msfa.toml").read_bytes() == before


def test_corners_are_the_same_in_both_planes(view):
    view._edit.value = True
    handle = view._corners["as observed"].handles[1]
    handle.update(left=0.6, right=0.64)
    view.shown = "dereddened"
    assert view._outlines["dereddened"].data["xs"][0][1] == approx(0.62)
    assert all(one.visible for one in view._corners["dereddened"].handles)


def test_no_mark_of_the_legend_hangs_on_the_star_on_screen(view):
    # the browser empties all marks of a legend when the data of one change, and a star repaints
    # the overlay alone: they stayed away until the whole figure was painted
    plane = view.planes["as observed"]
    marks = {mark.data_source for item in plane._legend.items for mark in item.renderers}
    assert marks and not marks & {plane.star, plane.ellipse, plane.epochs}


def test_no_legend_lies_over_stars(view):
    """In the demo those beyond the bright end of the frame lay under the names of the classes."""
    figure = view.planes["as observed"].figure
    outside = [part for part in (*figure.above, *figure.below) if isinstance(part, Legend)]
    assert {*outside} == {*figure.select({"type": Legend})}
