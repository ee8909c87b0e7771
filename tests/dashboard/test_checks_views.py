"""Line-to-line checks, the Ca II K planes and reference stars behind the survey's own."""

import re

import numpy as np
import pytest
from bokeh.events import SelectionGeometry
from pytest import approx

from dashboard.app import VettingApp
from dashboard.state import Session
from dashboard.views.calcium import ABSCISSAE, CalciumView
from dashboard.views.calcium import star_sentence as calcium_sentence
from dashboard.views.cmd import CmdView
from dashboard.views.d02_fm import SHAPE_PLANE, PlaneView
from dashboard.views.lines import CHECKS, LineChecksView, star_sentence
from msfa_core.balmer.locus import above_dividing_line
from msfa_core.stars.reference import ReferenceStars

FIRST = 1_230_412_000


def with_columns(survey, **columns):
    """The survey once these columns have been filled, as a session sees it."""
    survey.write_table(survey.table().assign(**columns))
    return Session(survey, "anna")


@pytest.fixture
def joined(survey):
    """A session on a survey with LAMOST's D0.2 and Ca II K: 40 weak, 20 strong lines."""
    table = survey.table()
    n = len(table)
    theirs = {f"{line}_d02": table[f"d02_{line}"] + 0.5 for line in ("hdelta", "hgamma")}
    kp = np.where(np.arange(n) < 40, 0.3, 5.0)
    return with_columns(survey, **theirs, kp=kp, kp_err=0.1)


def guide_words(plane):
    legend = plane.figure.select_one({"name": "guides"})
    return [] if legend is None else [item.label.value for item in legend.items if item.visible]


def draw_box(plane, x0, x1, y0, y1):
    geometry = {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1}
    plane.figure._trigger_event(SelectionGeometry(plane.figure, geometry=geometry, final=True))


@pytest.mark.parametrize("key", CHECKS)
def test_both_axes_of_a_check_open_alike_and_carry_the_one_to_one_line(joined, key):
    view = LineChecksView(state=joined)
    view.shown = key
    figure = view.planes[key].figure
    assert figure.x_range.start == figure.y_range.start
    assert figure.x_range.end == figure.y_range.end
    assert guide_words(view.planes[key]) == ["1:1"]
    assert figure.xaxis[0].axis_label == CHECKS[key].x.label
    assert not view._notice.visible


def test_the_ring_of_a_check_carries_the_errors_of_both_lines(joined):
    view = LineChecksView(state=joined)
    joined.screen.select(FIRST + 4)
    ring, row = view.planes["D0.2"].star.data, joined.screen.star.row
    assert (ring["x"], ring["y"]) == ([row["d02_hdelta"]], [row["d02_hgamma"]])
    assert ring["right"][0] - ring["x"][0] == approx(row["d02_hdelta_err"])
    assert ring["top"][0] - ring["y"][0] == approx(row["d02_hgamma_err"])


def test_the_caption_gives_offset_and_scatter_of_all_stars_and_of_this_one(joined):
    view = LineChecksView(state=joined)
    view.shown = "LAMOST Hδ"
    assert "LAMOST − ours: median +0.50 Å, scatter 0.00 Å" in view._caption.object
    assert "59 spectra" in view._caption.object
    assert "+0.50 Å (" in view._caption.object


def test_the_difference_of_a_star_is_in_units_of_its_combined_error(joined):
    row = joined.verdicts.table.iloc[0].copy()
    row["d02_hdelta"], row["d02_hgamma"] = 24.0, 22.0
    row["d02_hdelta_err"], row["d02_hgamma_err"] = 0.3, 0.4
    assert star_sentence(row, CHECKS["D0.2"]).endswith("−2.00 Å (4.0σ)")
    row["d02_hgamma"] = 17.0
    assert star_sentence(row, CHECKS["D0.2"]).endswith("−7.00 Å (14σ)")
    row["d02_hgamma_err"] = np.nan  # the other error alone would make the difference too sure
    assert star_sentence(row, CHECKS["D0.2"]).endswith("−7.00 Å")
    row["d02_hgamma"] = np.nan
    assert star_sentence(row, CHECKS["D0.2"]) == "this star has no D0.2 of Hγ"


def test_without_the_columns_of_lamost_the_check_says_how_to_add_them(state):
    view = LineChecksView(state=state)
    assert not view._notice.visible
    view.shown = "LAMOST Hγ"
    assert view._notice.visible
    assert not view._place.visible
    assert "hgamma_d02" in view._notice.object
    assert "msfa ingest SURVEY --catalogue FILE" in view._notice.object
    state.screen.select(FIRST + 3)
    view.shown = "fm"
    assert not view._notice.visible
    assert view._place.visible
    assert view.planes["fm"].star.data["x"] == [approx(state.screen.star.row["fm_hdelta"])]


def test_a_catalogue_column_of_text_is_no_number_and_breaks_nothing(survey):
    state = with_columns(survey, hdelta_d02="wide")
    view = LineChecksView(state=state)
    view.shown = "LAMOST Hδ"
    assert view._notice.visible
    state.screen.select(FIRST + 5)
    assert state.screen.star.obsid == FIRST + 5


def test_a_check_is_brushed_as_every_plane_is(joined):
    view, cmd = LineChecksView(state=joined), CmdView(state=joined)
    joined.queue.set_filters([joined.verdicts.presets["all"]])
    draw_box(view.planes["D0.2"], 18, 24, 10, 40)
    table = joined.verdicts.table
    inside = table["d02_hdelta"].between(18, 24) & table["d02_hgamma"].between(10, 40)
    assert set(joined.queue.obsids) == set(table["obsid"][inside])
    assert cmd.planes["as observed"].rest.n_points > 0
    assert "brushed in D0.2 check" in " ".join(joined.queue.sentences)


@pytest.mark.parametrize("key", ABSCISSAE)
def test_a_calcium_plane_has_its_loci_and_names_them(joined, key):
    view = CalciumView(state=joined)
    view.shown = key
    words = guide_words(view.planes[key])
    assert words[0] == "Pop. I: log g 3.0, 3.5, 4.3"
    assert words[1:] == ["midway", "BHB: [Fe/H] −0.8, −1.5, −3"]
    assert view.planes[key].figure.yaxis[0].axis_label == "KP (Ca II K) [Å]"


def test_stars_are_counted_on_either_side_and_the_bhb_side_can_be_queued(joined):
    view = CalciumView(state=joined)
    joined.queue.set_filters([joined.verdicts.presets["all"]])
    table = joined.verdicts.table
    above = above_dividing_line(table["kp"], table["d02_hdelta"], "d02_hdelta")
    n_poor, n_rich = int((above <= 0).sum()), int((above > 0).sum())
    assert n_poor > 0
    assert n_rich > 0
    assert f"BHB side {n_poor}, Population I side {n_rich}" in view._caption.object
    view.queue_bhb_side()
    assert set(joined.queue.obsids) == set(table["obsid"][above <= 0])


def test_the_caption_says_on_which_side_of_the_line_a_star_lies(joined):
    row = joined.verdicts.table.iloc[0].copy()
    axis = ABSCISSAE["Teff"].axis
    row["kp"], row["kp_err"], row["teff"], row["teff_err"] = 0.5, 0.1, 8000.0, 0.0
    assert calcium_sentence(row, axis).endswith("below the line: BHB side")
    assert "KP 0.50 ± 0.10 Å" in calcium_sentence(row, axis)
    below = abs(float(above_dividing_line([0.5], [8000.0], "teff")[0]))
    assert f"{below:.2f} Å ({below / 0.1:.0f}σ) below" in calcium_sentence(row, axis)
    row["teff_err"] = 100.0  # the line falls with Teff
    on_either_side = above_dividing_line([0.5] * 2, [7900.0, 8100.0], "teff")
    error = np.hypot(0.1, np.ptp(on_either_side) / 2)
    assert error > 0.14
    told = float(re.search(r"\((.*)σ\)", calcium_sentence(row, axis))[1])
    assert told == approx(below / error, rel=0.1)
    row["kp"] = 4.0
    assert calcium_sentence(row, axis).endswith("above the line: Population I side")
    row["teff"] = 12_000.0
    assert calcium_sentence(row, axis).endswith("beyond the ends of the line")
    row["teff"] = np.nan
    assert calcium_sentence(row, axis).endswith("no Teff")
    row["kp"] = np.nan
    assert "no KP" in calcium_sentence(row, axis)


def test_without_calcium_colours_or_labels_the_plane_says_what_is_missing(bare_survey):
    view = CalciumView(state=Session(bare_survey, "anna"))
    assert "msfa run SURVEY --steps measure" in view._notice.object
    before = list(view.state.queue.obsids)
    view.queue_bhb_side()
    assert list(view.state.queue.obsids) == before
    filled = CalciumView(state=with_columns(bare_survey, kp=1.0, kp_err=0.1))
    assert not filled._notice.visible
    filled.shown = "BP−RP"
    assert "--gaia FILE" in filled._notice.object
    filled.shown = "Teff"
    assert "--catalogue FILE" in filled._notice.object


@pytest.mark.parametrize("make", [LineChecksView, CalciumView])
def test_switching_stars_makes_no_new_model(joined, make):
    view = make(state=joined)

    def models():
        return {m.id for plane in view.planes.values() for m in plane.figure.references()}

    before = models()
    for row in (1, 7, 2, 0):
        joined.screen.select(FIRST + row)
    assert models() == before


# --- reference stars --------------------------------------------------------------------------
STARS = ReferenceStars(
    "Xue2011",
    {
        "d02_hdelta": np.array([22.0, 25.0, np.nan]),
        "fm_hdelta": np.array([0.2, 0.25, 0.3]),
        "width_hgamma": np.array([9.0, 9.5, 8.0]),
        "shape_hgamma": np.array([0.9, 1.0, 1.1]),
    },
)


def cloud(plane):
    found = [r for r in plane.figure.renderers if "reference" in (r.tags or [])]
    return found[0] if found else None


def test_reference_stars_lie_behind_and_are_named_with_their_number(state):
    view = PlaneView(state=state, reference=STARS)
    drawn = cloud(view.planes["Hδ"])
    assert (list(drawn.data_source.data["x"]), drawn.level) == ([22.0, 25.0], "underlay")
    assert guide_words(view.planes["Hδ"]) == ["Xue2011 (2)"]
    view.shown = SHAPE_PLANE
    assert len(cloud(view.planes[SHAPE_PLANE]).data_source.data["x"]) == 3
    assert guide_words(view.planes[SHAPE_PLANE]) == ["Xue2011 (3)", "limits of xue2011 (Hγ)"]
    view.shown = "Hγ"
    assert cloud(view.planes["Hγ"]) is None
    assert guide_words(view.planes["Hγ"]) == []


def test_reference_stars_can_neither_be_tapped_nor_brushed_nor_counted(state):
    alone, view = PlaneView(state=state), PlaneView(state=state, reference=STARS)
    assert view._caption.object == alone._caption.object
    assert view.planes["Hδ"].legend == alone.planes["Hδ"].legend
    hover = [tool for tool in view.planes["Hδ"].figure.tools if hasattr(tool, "tooltips")]
    assert all(cloud(view.planes["Hδ"]) not in tool.renderers for tool in hover)
    state.queue.set_filters([state.verdicts.presets["all"]])
    draw_box(view.planes["Hδ"], 0, 100, -1, 1)
    assert len(state.queue.obsids) == 59


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of the queue table
def test_the_page_takes_a_table_of_reference_stars_and_says_when_it_cannot(survey, tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("D0.2,fm\n22.0,0.2\n")
    app = VettingApp(survey, "anna", reference=path)
    assert guide_words(app.places["upper"].view("D0.2–fm").planes["Hδ"]) == ["stars (1)"]
    path.unlink()
    app = VettingApp(survey, "anna", reference=path)
    assert guide_words(app.places["upper"].view("D0.2–fm").planes["Hδ"]) == []
    assert "no such file" in app.state.status.message
    assert app.state.status.tone == "error"


@pytest.mark.parametrize("view_of", [LineChecksView, CmdView, CalciumView])
def test_no_star_lies_under_the_legend_as_a_plane_opens(joined, view_of):
    view = view_of(state=joined)
    plane = view.plane(view.shown)
    assert plane.legend
    y, up = plane.vivid.points.data["y"], plane.figure.y_range
    assert plane.vivid.n_points
    share = (np.asarray(y) - up.start) / (up.end - up.start)  # of the height
    assert np.nanmax(share[share <= 1]) < 1 - 0.05
    assert {one.name for one in plane.figure.below} >= {"guides"} or not guide_words(plane)
