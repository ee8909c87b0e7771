"""The label planes: limits that move, outliers by reason, and the message without labels."""

import numpy as np
import pytest
from pytest import approx

from dashboard.state import VettingState
from dashboard.views.parameters import ParametersView, counts_sentence, star_sentence
from msfa_core.slam.labels import in_kiel_band, label_outliers

FIRST = 1_230_412_000


@pytest.fixture
def view(state):
    return ParametersView(state=state)


def shown_counts(view):
    words = view.planes["Teff–log g"].vivid.points.data["group"]
    return {word: int((words == word).sum()) for word in set(words)}


def test_both_axes_run_as_astronomers_draw_them(view):
    figure = view.planes["Teff–log g"].figure
    assert figure.x_range.start > figure.x_range.end
    assert figure.y_range.start > figure.y_range.end
    metals = view.plane("Teff–[Fe/H]").figure
    assert metals.x_range.start > metals.x_range.end
    assert metals.y_range.start < metals.y_range.end


def test_outliers_are_coloured_by_their_reason(state, view):
    t = state.table
    heavy, rich = t["logg"] > 4.0, t["feh"] > -1.0
    counts = shown_counts(view)
    assert counts["both"] == (heavy & rich).sum()
    assert counts.get("log g", 0) == (heavy & ~rich).sum()
    assert counts["[Fe/H]"] == (rich & ~heavy).sum()
    band = in_kiel_band(t["teff"], t["logg"])
    assert counts.get("off band", 0) == (~heavy & ~rich & ~band).sum()


def test_moving_a_limit_moves_its_line_its_colours_and_its_count(state, view):
    view.logg_limit = 3.7
    assert view._limits["logg_limit"].location == 3.7
    heavy = state.table["logg"] > 3.7
    assert f"{heavy.sum()} high log g" in view._caption.object
    counts = shown_counts(view)
    assert counts["log g"] + counts["both"] == heavy.sum()


def test_the_limits_begin_where_the_settings_put_them(survey):
    (survey.path / "msfa.toml").write_text("logg_outlier = 3.8\nfeh_outlier = -1.2\n")
    view = ParametersView(state=VettingState(survey, "anna"))
    assert (view.logg_limit, view.feh_limit) == (approx(3.8), approx(-1.2))


def test_queue_outliers_is_every_star_beyond_the_limits(state, view):
    state.set_filters([state.presets["all"]])
    view.queue_outliers()
    t = state.table
    beyond = (t["logg"] > 4.0) | (t["feh"] > -1.0) | ~in_kiel_band(t["teff"], t["logg"])
    assert set(state.queue) == set(t["obsid"][beyond])
    assert "label outliers" in " ".join(state.sentences)


def test_the_ring_carries_the_errors_of_the_labels(state, view):
    state.select(FIRST + 9)
    ring = view.planes["Teff–log g"].star.data
    assert ring["x"] == [approx(state.star.row["teff"])]
    assert ring["right"][0] - ring["left"][0] == approx(160)
    assert ring["top"][0] - ring["bottom"][0] == approx(0.2)


def test_the_caption_judges_the_star_at_the_limits_of_the_sliders(state):
    row = state.table.iloc[0].copy()
    row["teff"], row["logg"], row["feh"] = 9000.0, 3.4, -1.8
    assert "within the limits" in star_sentence(row, 4.0, -1.0)
    assert "high log g" in star_sentence(row, 3.2, -1.0)
    row[["teff", "logg", "feh"]] = np.nan
    assert star_sentence(row, 4.0, -1.0) == "this star has no labels"


def test_the_counts_add_up():
    reasons = label_outliers([9000.0] * 3 + [np.nan], [4.5, 4.5, 3.4, np.nan], [0, -2, -2, np.nan])
    assert counts_sentence(reasons) == (
        "2 high log g, 1 high [Fe/H] (1 both), 0 off the band, of 3 with labels"
    )


def test_without_labels_the_panel_says_what_is_missing_and_how_to_add_it(bare_survey):
    view = ParametersView(state=VettingState(bare_survey, "anna"))
    assert view._notice.visible
    assert not view._place.visible
    assert "msfa ingest SURVEY PATH --catalogue FILE" in view._notice.object


def test_switching_stars_makes_no_new_model(state, view):
    def models():
        return {m.id for plane in view.planes.values() for m in plane.figure.references()}

    before = models()
    for row in (1, 7, 2):
        state.select(FIRST + row)
    view.logg_limit = 3.6
    assert models() == before
