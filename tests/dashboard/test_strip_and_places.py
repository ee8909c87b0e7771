"""The strip of witnesses above all, and the places that planes are chosen for."""

import json

import pandas as pd
import pytest
from bokeh.models import Legend

from dashboard.app import VettingApp
from dashboard.state import Session
from dashboard.views.strip import StarStrip, calibration_words, strip_content
from msfa_core.flags import FluxFlag
from msfa_core.spine.witnesses import WITNESSES

# bokeh fills the queue table in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")


@pytest.fixture
def app(survey):
    return VettingApp(survey, reviewer="anna")


def test_the_strip_tells_who_the_star_is_and_what_six_witnesses_say(state):
    star, content = state.screen.star, strip_content(state)
    assert content["names"] == f"{star.obsid} = Gaia {int(star.row['gaia_source_id'])}"
    assert "G " in content["facts"] and "S/N" in content["facts"]
    assert content["verdict"] == ["no verdict yet", ""]
    assert [one["name"] for one in content["witnesses"]] == list(WITNESSES)
    assert content["witnesses"][0]["stance"] == 1  # the queue begins with a candidate
    json.dumps(content)  # whole ids as text: a browser would lose digits


def test_a_drag_may_begin_on_a_legend(app):
    """Bokeh's own legends take the mouse, and a box that is begun on one comes to nothing."""
    legends = list(app.page.get_root().select({"type": Legend}))
    assert len(legends) >= 3
    assert all(legend.styles == {"pointer-events": "none"} for legend in legends)


def test_the_strip_follows_the_star_and_its_verdicts(state):
    strip = StarStrip(state, on_open=lambda name: None)
    first = state.screen.star
    state.decide("accept", painted_obsid=first.obsid)
    assert strip.content["names"].startswith(f"{state.screen.star.obsid} =")
    state.screen.select(first.obsid)
    assert strip.content["verdict"] == ["accept", "accept"]


def test_a_blind_strip_tells_nothing(state, survey):
    bert = Session(survey, "bert")
    bert.decide("reject", painted_obsid=state.screen.star.obsid)
    state.follow()
    strip = StarStrip(state, on_open=lambda name: None)
    assert strip.content["verdict"] == ["reject", "reject"]
    seen = {str(strip.content["witnesses"])}
    state.verdicts.blind = True
    seen = set()
    for _ in range(4):
        content = strip.content
        seen.add(json.dumps([content["witnesses"], content["notes"], content["verdict"]]))
        state.screen.next()
    assert len(seen) == 1  # the same of every star
    assert "reject" not in seen.pop()


def test_the_strip_says_where_the_colours_contradict_the_spectrum(state):
    row = state.screen.star.row.copy()
    row["flux_calibration"], row["flux_calibration_err"] = -0.42, 0.03
    for flags, said in ((0, ""), (int(FluxFlag.NO_PHOTOMETRY), ""), (pd.NA, "")):
        row["flux_calibration_flags"] = flags
        assert calibration_words(row) == said
    row["flux_calibration_flags"] = int(FluxFlag.TILTED | FluxFlag.ARMS_DISAGREE)
    words = calibration_words(row)
    assert words.startswith("flux: −0.42 ± 0.03 mag from g to i: tilted against g − i")
    assert "blue and red arm disagree" in words


def test_an_empty_screen_has_a_strip(state):
    state.queue.set_filters([])
    state.screen.param.update(star=None, selected="")
    assert strip_content(state)["names"] == "no star on screen"


def test_a_witness_opens_its_plane_where_none_shows_it(app):
    app._open_witness("CMD")
    assert [place.chosen for place in app.places.values()][:2] == ["D0.2–fm", "CMD"]
    app._open_witness("labels")
    assert app.places["lower"].chosen == "Labels"
    app._open_witness("Ca K")
    assert app.places["upper"].chosen == "Ca K"
    assert app.verdict.address["upper"] == "Ca K"


def test_the_class_bars_fold_out_and_are_of_the_star_on_screen(app):
    app._open_witness("networks")
    assert app.strip.unfolded and app.classes.in_sight
    app._open_witness("classes")
    app.state.screen.next()
    asleep = app.classes._pane.object
    app._open_witness("classes")
    assert app.classes._pane.object != asleep
    app.state.verdicts.blind = True
    assert not app.strip.unfolded
    app._open_witness("networks")
    assert not app.strip.unfolded


def test_four_planes_are_shown_on_a_wide_screen_and_two_else(app):
    assert sum(place.is_open for place in app.places.values()) == 2
    app._open_witness("wide")
    assert [place.chosen for place in app.places.values() if place.is_open] == [
        "D0.2–fm", "CMD", "Labels", "Ca K",
    ]  # fmt: skip
    app._open_witness("narrow")
    assert sum(place.is_open for place in app.places.values()) == 2


def test_a_plane_that_is_chosen_again_shows_the_star_on_screen(app):
    place = app.places["lower"]
    cmd = place.view("CMD")
    place.choose("Sky")
    app.state.screen.next()
    place.choose("CMD")
    assert place.view("CMD") is cmd
    row = app.state.screen.star.row
    assert cmd.plane(cmd.shown).star.data["x"] == [float(row["bp_rp"])]
