"""The D0.2–fm planes: ring, selections, counts, brushing and the own box."""

import html
from dataclasses import replace

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.events import SelectionGeometry, Tap
from pytest import approx

from dashboard.state import Session
from dashboard.views.cmd import CmdView
from dashboard.views.d02_fm import (
    OWN,
    SHAPE_PLANE,
    PlaneView,
    count_sentence,
    region_outline,
    shape_outline,
    star_sentence,
)
from msfa_core.balmer.region import inside_all
from msfa_core.balmer.selection import SELECTIONS, get_selection
from msfa_core.survey.folder import Survey

FIRST = 1_230_412_000


@pytest.fixture
def view(state):
    return PlaneView(state=state)


def models(view):
    return {m.id for plane in view.planes.values() for m in plane.figure.references()}


def draw_box(plane, x0, x1, y0, y1):
    geometry = {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1}
    plane.figure._trigger_event(SelectionGeometry(plane.figure, geometry=geometry, final=True))


def test_a_selection_in_the_users_own_words_is_drawn_and_offered(state, monkeypatch):
    own = "mine: hdelta d02 17..28, fm 0.1..0.3; hgamma d02 15..27, fm 0.1..0.32"
    settings = replace(state.data.settings, selection=own)
    monkeypatch.setattr(state.data, "settings", settings)
    view = PlaneView(state=state)
    assert view.selection_name == view.selection.name == "mine"
    assert view.selection.box("hdelta") == (17, 28, 0.1, 0.3)
    assert set(view.param.selection_name.objects) == {*SELECTIONS, "mine", OWN}
    view.selection_name = "ju2024"
    assert view.selection == SELECTIONS["ju2024"]


def test_the_ring_follows_the_star(state, view):
    for row in (0, 12, 4):
        state.screen.select(FIRST + row)
        for key, line in (("Hδ", "hdelta"), ("Hγ", "hgamma")):
            view.shown = key
            ring = view.planes[key].star.data
            assert ring["x"] == [approx(state.screen.star.row[f"d02_{line}"])]
            assert ring["top"][0] - ring["y"][0] == approx(state.screen.star.row[f"fm_{line}_err"])


def test_the_ellipse_leans_as_the_errors_of_the_fit_do(state, view):
    outline, fits = view.planes["Hδ"].ellipse.data, state.screen.star.fits
    found = np.corrcoef(outline["x"], outline["y"])[0, 1]
    assert found == approx(fits.d02_fm_correlation[0, 0], abs=0.02)


def test_a_star_without_a_measurement_has_no_ring_and_the_caption_says_so(state, view):
    state.screen.select(FIRST + 7)
    assert not len(view.planes["Hδ"].star.data["x"])
    assert "no D0.2 of Hδ" in view._caption.object


def test_switching_stars_makes_no_new_model(state, view):
    before = models(view)
    for row in (1, 7, 2, 0):
        state.screen.select(FIRST + row)
    assert models(view) == before


def test_other_epochs_of_the_star_are_marked(state, view):
    state.screen.select(FIRST + 58)
    assert len(view.planes["Hδ"].epochs.data["x"]) == 3
    state.screen.select(FIRST)
    assert len(view.planes["Hδ"].epochs.data["x"]) == 0


def test_the_count_is_that_of_the_table(state, view):
    view.selection_name = OWN
    view.own_boxes = {"hdelta": (18, 26, 0.15, 0.3), "hgamma": (17, 25, 0.12, 0.33)}
    table = state.verdicts.table
    inside = {
        line: table[f"d02_{line}"].between(*box[:2]) & table[f"fm_{line}"].between(*box[2:])
        for line, box in view.own_boxes.items()
    }
    n_delta, n_gamma = (int(rows.sum()) for rows in inside.values())
    both = int((inside["hdelta"] & inside["hgamma"]).sum())
    assert 0 < both < n_delta < 59
    words = f"Hδ {n_delta} of 59 inside, Hγ {n_gamma} of 59 inside; both lines {both}"
    assert words in view._caption.object


def test_the_count_of_a_named_selection_agrees_with_the_column_of_the_run(state, view):
    view.selection_name = "ju2024"
    both = int(state.verdicts.table["in_bhb_region"].fillna(False).sum())
    assert count_sentence(state.verdicts.table, view.selection).endswith(f"both lines {both}")


@pytest.mark.parametrize("name", list(SELECTIONS))
def test_the_outline_of_a_selection_separates_its_inside_from_its_outside(name):
    selection = SELECTIONS[name]
    for line in ("hdelta", "hgamma"):
        x, y = region_outline(selection, line)
        if not x:
            assert selection.box(line) is None
            continue
        middle = selection.contains(line, [np.mean(x)], [np.mean(y)], [8.0], [1.0])
        beyond = selection.contains(line, [max(x) + 0.01], [max(y) + 0.01], [8.0], [1.0])
        assert (middle[0], beyond[0]) == (True, False)


def test_the_b_c_outline_of_xue_2011_is_the_curve_of_its_upper_limit():
    c, b = (np.array(values) for values in shape_outline(SELECTIONS["xue2011"]))
    top = b > 7
    assert b[top] == approx(10.8 - 26.5 * (c[top] - 1.08) ** 2)
    assert (c.min(), c.max(), b.min()) == (approx(0.75), approx(1.25), approx(7))
    assert shape_outline(SELECTIONS["ju2024"]) == ([], [])


def test_choosing_a_selection_draws_it_and_hides_the_own_box(view):
    view.plane(SHAPE_PLANE)
    view.selection_name = "xue2011"
    assert view._regions[SHAPE_PLANE].data["xs"]
    assert not view._boxes["hdelta"].visible
    view.selection_name = OWN
    assert not view._regions[SHAPE_PLANE].data["xs"]
    assert view._boxes["hdelta"].visible


def test_dragging_the_own_box_counts_anew_and_moves_its_numbers(state, view):
    view.selection_name = OWN
    before = view._caption.object
    view._boxes["hdelta"].right = 21.0
    assert view.own_boxes["hdelta"][1] == 21.0
    assert view._limits[1].value == 21.0
    expected = int((state.verdicts.table["d02_hdelta"].between(17, 21)
                    & state.verdicts.table["fm_hdelta"].between(0.1, 0.3)).sum())  # fmt: skip
    assert f"Hδ {expected} of 59" in view._caption.object
    assert view._caption.object != before


def test_typing_a_limit_moves_the_own_box(view):
    view.selection_name = OWN
    view._limits[0].value = 19.5
    assert view._boxes["hdelta"].left == 19.5
    assert view.own_boxes["hgamma"][0] == 17.0


def test_an_own_box_turned_inside_out_is_put_right(view):
    view.set_own_box("hdelta", (30.0, 20.0, 0.3, 0.1))
    assert view.own_boxes["hdelta"] == (20.0, 30.0, 0.1, 0.3)


def test_brushing_a_plane_sets_the_queue_and_every_other_plane(state, view):
    other = CmdView(state=state)
    state.queue.set_filters([state.verdicts.presets["all"]])
    draw_box(view.planes["Hδ"], 18, 24, 0.1, 0.3)
    table = state.verdicts.table
    inside = table["d02_hdelta"].between(18, 24) & table["fm_hdelta"].between(0.1, 0.3)
    wanted = set(table["obsid"][inside])
    assert set(state.queue.obsids) == wanted
    drawn = {int(obsid) for obsid in other.planes["as observed"].vivid.points.data["obsid"]}
    assert drawn
    assert drawn <= wanted
    assert other.planes["as observed"].rest.n_points > 0
    assert "brushed in Hδ D0.2–fm" in " ".join(state.queue.sentences)


def test_a_box_around_nothing_lifts_the_brush(state, view):
    state.queue.set_filters([state.verdicts.presets["all"]])
    draw_box(view.planes["Hδ"], 18, 24, 0.1, 0.3)
    draw_box(view.planes["Hδ"], 100, 101, 0.1, 0.3)
    assert len(state.queue.obsids) == 60
    assert view.planes["Hδ"].rest.n_points == 0


def test_a_tap_on_a_star_brings_it_on_screen(state, view):
    row = state.verdicts.table.iloc[20]
    figure = view.planes["Hδ"].figure
    figure._trigger_event(Tap(figure, x=row["d02_hdelta"], y=row["fm_hdelta"]))
    assert state.screen.star.obsid == row["obsid"]


def test_queue_inside_is_the_selection(state, view):
    state.queue.set_filters([state.verdicts.presets["all"]])
    view.queue_inside()
    wanted = state.verdicts.table["obsid"][state.verdicts.table["in_bhb_region"].fillna(False)]
    assert set(state.queue.obsids) == set(wanted)


def test_colours_follow_the_verdicts(state, view):
    view.colour = "verdict"
    plane = view.planes["Hδ"]
    assert plane.legend == ["undecided"]
    star = state.screen.star
    state.decide("accept", painted_obsid=star.obsid)
    points = plane.vivid.points.data
    accepted = [
        o for o, word in zip(points["obsid"], points["group"], strict=True) if word == "accept"
    ]
    assert accepted == [str(star.obsid)]


def test_blind_review_shows_neither_classes_nor_verdicts(state, view):
    state.verdicts.blind = True
    shown = view.planes["Hδ"].legend
    assert shown == ["stars"]


def test_a_hidden_plane_is_drawn_when_it_is_shown(state, view):
    assert "Hγ" not in view.planes
    view.shown = "Hγ"
    assert view.planes["Hγ"].star.data["x"] == [approx(state.screen.star.row["d02_hgamma"])]
    assert view.planes["Hγ"].vivid.n_points == 59
    assert "D0.2" in view._caption.object


def test_the_axes_carry_the_names_and_units_of_the_paper(view):
    figure = view.planes["Hδ"].figure
    assert figure.xaxis[0].axis_label == "D0.2 (Hδ) [Å]"
    assert figure.yaxis[0].axis_label == "fm (Hδ)"


def test_the_provenance_of_the_selection_is_on_the_screen(view):
    view.selection_name = "ju2024"
    assert "our default where the source could not be read" in view._caption.object


def test_the_sentence_of_a_star_says_inside_or_outside(state):
    row = state.verdicts.table.iloc[0].copy()
    row["d02_hdelta"], row["fm_hdelta"] = 22.0, 0.2
    row["d02_hgamma"], row["fm_hgamma"] = 22.0, 0.2
    assert star_sentence(row, "hdelta", SELECTIONS["ju2024"]).endswith(", inside")
    row["fm_hdelta"] = 0.4
    assert star_sentence(row, "hdelta", SELECTIONS["ju2024"]).endswith("outside; Hγ inside")


def test_a_star_that_one_line_puts_inside_is_told_with_what_the_other_says(state):
    """The witness asks both lines: beside *outside* the caption had said *inside*."""
    row = state.verdicts.table.iloc[0].copy()
    row["d02_hdelta"], row["fm_hdelta"], row["d02_hgamma"], row["fm_hgamma"] = 26.0, 0.2, 30.1, 0.3
    assert star_sentence(row, "hdelta", SELECTIONS["ju2024"]).endswith("inside; Hγ outside")
    assert star_sentence(row, "hgamma", SELECTIONS["ju2024"]).endswith("outside; Hδ inside")
    for name in ("d02", "fm", "width", "shape"):
        row[f"{name}_hgamma"] = np.nan
    assert star_sentence(row, "hdelta", SELECTIONS["ju2024"]).endswith("inside; Hγ not measured")


def test_reloading_a_changed_survey_draws_the_new_stars(state, view, survey):
    table = survey.table()
    table["d02_hdelta"] += 1.0
    survey.write_table(table)
    state.reload()
    drawn = view.planes["Hδ"].vivid.points.data["x"]
    assert sorted(drawn) == approx(sorted(table["d02_hdelta"].dropna()))


def test_two_sessions_share_the_stars_but_not_the_brush(survey):
    one, two = (Session(Survey.open(survey.path), name) for name in ("anna", "ben"))
    views = [PlaneView(state=state) for state in (one, two)]
    draw_box(views[0].planes["Hδ"], 18, 24, 0.1, 0.3)
    assert views[1].planes["Hδ"].rest.n_points == 0


def test_a_plane_behind_another_tab_waits_until_its_tab_is_opened(state, monkeypatch):
    view = CmdView(state=state)
    view.good_parallax_only = False
    plane, document = view.planes["as observed"], Document()
    everything = plane.vivid.n_points
    is_seen = property(lambda view: view.planes["as observed"].figure.document is not None)
    monkeypatch.setattr(CmdView, "in_page", is_seen)
    state.queue.brush([FIRST, FIRST + 3], "two stars")
    state.screen.select(FIRST + 3)
    assert plane.vivid.n_points == everything
    assert plane.star.data["x"] != [approx(state.screen.star.row["bp_rp"])]
    document.add_root(view.__panel__().get_root(document))
    assert plane.vivid.n_points == 2
    assert plane.star.data["x"] == [approx(state.screen.star.row["bp_rp"])]
    state.queue.brush([FIRST], "one star")
    assert plane.vivid.n_points == 1


def test_what_an_own_box_changes_is_marked_and_counted_against_the_survey(state, view):
    table = state.verdicts.table
    before = table["in_bhb_region"].fillna(False).to_numpy(bool)
    view.selection_name = OWN
    assert "holds the same spectra as ju2024" in view._caption.object  # it begins there
    view._boxes["hdelta"].right = 21.0
    view._boxes["hdelta"].top = 0.6
    view.set_own_box("hgamma", (12.0, 40.0, 0.0, 0.6))
    now = inside_all(table, view.selection)
    assert (now & ~before).any() and (before & ~now).any()
    entering, leaving = int((now & ~before).sum()), int((before & ~now).sum())
    assert f"{entering} spectra would enter, {leaving} would leave" in view._caption.object
    marks = view._changes["Hδ"]
    assert sorted(marks.entering.data["x"]) == approx(sorted(table["d02_hdelta"][now & ~before]))
    assert sorted(marks.leaving.data["x"]) == approx(sorted(table["d02_hdelta"][before & ~now]))
    view.shown = "Hγ"  # both lines count, wherever one looks
    assert len(view._changes["Hγ"].entering.data["x"]) == entering


def test_back_to_the_published_leaves_nothing_behind(state, view):
    view.selection_name = OWN
    start = dict(view.own_boxes)
    view.plane(SHAPE_PLANE)
    view._boxes["hgamma" if "hgamma" in view._boxes else "hdelta"].left = 19.0
    view.set_own_shape((0.8, 1.2, 5.0, 9.0))
    view.back()
    assert view.selection == SELECTIONS["ju2024"]
    assert (view.own_boxes, view.own_shape) == (start, None)
    assert not len(view._changes["Hδ"].entering.data["x"])
    assert not view._more.visible
    view.selection_name = OWN
    assert view._boxes["hdelta"].left == start["hdelta"][0]


def test_the_box_of_b_and_c_counts_once_it_was_moved(state, view):
    view.selection_name = OWN
    view.shown = SHAPE_PLANE
    box = view._boxes["shape"]
    assert box.visible and view.own_shape is None
    assert [cut.quantity for cut in view.selection.cuts["hgamma"]] == ["d02", "fm"]
    box.right = 1.0
    assert view.own_shape == (0.75, 1.0, 7.0, 10.8)
    assert not inside_all(state.verdicts.table, view.selection)[
        (state.verdicts.table["shape_hgamma"] > 1.0).to_numpy(bool, na_value=False)
    ].any()


def test_use_these_says_the_settings_and_changes_none(state, view, survey):
    before = (survey.path / "msfa.toml").read_bytes()
    view.selection_name = OWN
    view._boxes["hdelta"].right = 21.5
    view.use()
    text = html.unescape(view._use.object).split('selection = "')[1].split('"')[0]
    assert get_selection(text).cuts == view.selection.cuts
    assert (survey.path / "msfa.toml").read_bytes() == before
    assert state.data.settings.selection == "ju2024"
    view.use()
    assert not view._use.visible
