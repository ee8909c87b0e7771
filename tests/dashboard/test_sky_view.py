"""The sky: every star at its place, linked selection, charts that are opened by a click only."""

import numpy as np
import pytest
from pytest import approx

from dashboard.planes.axis import SKY_COLUMNS, sky_places
from dashboard.state import Session
from dashboard.views.sky import SkyView, finder_html, finder_links, place_sentence
from msfa_core.stars.sky_map import on_map

FIRST = 1_230_412_000


@pytest.fixture
def view(state):
    return SkyView(state=state)


def test_every_star_lies_where_the_map_puts_it(state, view):
    drawn = view.planes["Galactic"].vivid.points.data
    rows = state.data.rows(np.array(drawn["obsid"], dtype=np.int64))
    table = state.verdicts.table.iloc[rows]
    x, y = on_map(table["ra"], table["dec"], "galactic")
    assert drawn["x"] == approx(x)
    assert drawn["y"] == approx(y)
    assert len(rows) == len(state.verdicts.table)


def test_the_ring_moves_with_the_star_and_with_the_frame(state, view):
    state.screen.select(FIRST + 4)
    view.shown = "ICRS"
    row = state.screen.star.row
    x, y = on_map([row["ra"]], [row["dec"]], "icrs")
    assert view.planes["ICRS"].star.data["x"] == approx(list(x))
    assert view.planes["ICRS"].star.data["y"] == approx(list(y))


def test_stars_brushed_on_the_sky_are_the_queue(state, view):
    state.queue.set_filters([state.verdicts.presets["all"]])
    chosen = state.data.obsid[:5]
    view._brusher("the sky, Galactic")(chosen)
    assert set(state.queue.obsids) == set(chosen)
    assert "brushed in the sky" in " ".join(state.queue.sentences)


def test_charts_carry_the_position_and_wait_for_a_click(state):
    state.screen.select(FIRST + 2)
    row = state.screen.star.row
    links = finder_links(float(row["ra"]), float(row["dec"]))
    assert all(f"{row['ra']:.6f}" in link for link in links.values())
    html = finder_html(state.screen.star)
    assert html.count('target="_blank"') == len(links)
    assert "noopener" in html
    assert "<img" not in html and "src=" not in html  # nothing is fetched by itself


def test_a_star_without_a_position_says_so(state):
    row = state.verdicts.table.iloc[3].copy()
    row["ra"] = np.nan
    assert place_sentence(row) == "this star has no position"
    assert "no charts" in finder_html(None)
    lost = state.verdicts.table.iloc[:2].assign(ra=np.nan)
    assert all(np.isnan(values).all() for values in sky_places(lost).values())
    assert set(sky_places(lost)) == {name for names in SKY_COLUMNS.values() for name in names}


def test_a_survey_without_positions_says_what_is_missing(survey):
    survey.write_table(survey.table().assign(ra=np.nan, dec=np.nan))
    view = SkyView(state=Session(survey, "anna"))
    assert view._notice.visible
    assert not view._figures.visible


def test_switching_stars_makes_no_new_model(state, view):
    def models():
        return {m.id for plane in view.planes.values() for m in plane.figure.references()}

    before = models()
    for row in (1, 7, 2):
        state.screen.select(FIRST + row)
    assert models() == before
