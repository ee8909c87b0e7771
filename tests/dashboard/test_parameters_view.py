"""The label planes: limits that move, outliers by reason, and the message without labels."""

import numpy as np
import pytest
from pytest import approx

from dashboard.state import Session
from dashboard.theme import CLASS_COLOURS, DARK, EPOCH_COLOURS, LIGHT, VERDICT_COLOURS
from dashboard.views.parameters import (
    ParametersView,
    counts_sentence,
    reason_colours,
    star_sentence,
)
from msfa_core.photometry.zahb import EVOLUTION_MOST, zahb_logg
from msfa_core.rules import in_kiel_band

FIRST = 1_230_412_000
LEAST_CONTRAST = 2.0  # of a point against its panel; Okabe & Ito's orange on white has 2.25


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


def test_outliers_are_coloured_by_their_first_reason(state, view):
    t = state.verdicts.table
    heavy, rich = t["logg"] > 4.0, t["feh"] > -1.0
    counts = shown_counts(view)
    assert counts["log g"] == heavy.sum()
    assert counts["[Fe/H]"] == (rich & ~heavy).sum() > 0
    band = in_kiel_band(t["teff"], t["logg"])
    assert counts.get("off band", 0) == (~heavy & ~rich & ~band).sum()
    assert counts["within"] == (~heavy & ~rich & band).sum()


def test_the_legend_counts_every_star_of_a_reason_not_only_those_shown_by_it(state, view):
    t = state.verdicts.table
    assert f"[Fe/H]&nbsp;{(t['feh'] > -1.0).sum()}<" in view._legend.object
    band = in_kiel_band(t["teff"], t["logg"])
    assert f"off band&nbsp;{(~band).sum()}<" in view._legend.object
    assert "χ²" not in view._legend.object  # nobody has it


def test_moving_a_limit_moves_its_line_its_colours_and_its_counts(state, view):
    state.labels.logg_limit = 3.7
    assert view._limits["logg_limit"].location == 3.7
    heavy = state.verdicts.table["logg"] > 3.7
    assert f"log g&nbsp;{heavy.sum()}<" in view._legend.object
    assert shown_counts(view)["log g"] == heavy.sum()
    assert "log g &gt; 3.70" in view._legend.object


def test_the_limits_begin_where_the_settings_put_them(survey):
    (survey.path / "msfa.toml").write_text("logg_outlier = 3.8\nfeh_outlier = -1.2\n")
    state = Session(survey, "anna")
    assert (state.labels.logg_limit, state.labels.feh_limit) == (approx(3.8), approx(-1.2))


def test_queue_outliers_is_every_star_that_a_reason_sets_aside(state, view):
    state.queue.set_filters([state.verdicts.presets["all"]])
    view.queue_outliers()
    t = state.verdicts.table
    beyond = (t["logg"] > 4.0) | (t["feh"] > -1.0) | ~in_kiel_band(t["teff"], t["logg"])
    assert set(state.queue.obsids) == set(t["obsid"][beyond])
    assert "labels are outliers" in " ".join(state.queue.sentences)


def test_the_horizontal_branch_of_the_population_model_lies_behind_the_stars(view):
    drawn = [
        renderer.data_source.data
        for renderer in view.planes["Teff–log g"].figure.renderers
        if type(renderer.glyph).__name__ == "MultiLine"
    ]
    curves = [(x, y) for data in drawn for x, y in zip(data["xs"], data["ys"], strict=True)]
    assert any(y == approx(zahb_logg(x)) for x, y in curves)
    assert any(y == approx(zahb_logg(x) - EVOLUTION_MOST) for x, y in curves)


def test_the_ring_carries_the_errors_of_the_labels(state, view):
    state.screen.select(FIRST + 9)
    ring = view.planes["Teff–log g"].star.data
    assert ring["x"] == [approx(state.screen.star.row["teff"])]
    assert ring["right"][0] - ring["left"][0] == approx(160)
    assert ring["top"][0] - ring["bottom"][0] == approx(0.2)


def test_a_star_with_several_reasons_lists_all_of_them(state, view):
    t = state.verdicts.table
    both = t.index[(t["logg"] > 4.0) & (t["feh"] > -1.0)][0]
    state.screen.select(int(t["obsid"][both]))
    assert "log g &gt; 4.00; [Fe/H] &gt; −1.00" in view._caption.object
    state.labels.param.update(logg_limit=5.0, feh_limit=0.5)
    assert "[Fe/H] &gt;" not in view._caption.object


def test_a_limit_passed_by_less_than_the_error_is_said_to_be_so_as_the_witness_does(survey):
    table = survey.table().assign(
        teff=9000.0, teff_err=150.0, logg=[4.05, 4.5] * 30, logg_err=0.1, feh=-0.9, feh_err=0.2,
        label_flags=0,
    )  # fmt: skip
    survey.write_table(table)
    state = Session(survey, "anna")
    near, far = (int(table["obsid"].iloc[k]) for k in (0, 1))
    told = state.labels.reasons_of(near)
    assert told[:2] == [
        "log g > 4.00, by less than its error", "[Fe/H] > −1.00, by less than its error"
    ]  # fmt: skip
    assert state.labels.reasons_of(far)[0] == "log g > 4.00"


def test_a_star_is_told_with_its_errors_and_reasons(state):
    row = state.verdicts.table.iloc[0].copy()
    row["teff"], row["logg"], row["feh"] = 9000.0, 3.4, -1.8
    assert star_sentence(row, []).endswith(
        "log g 3.40 ± 0.10, [Fe/H] −1.80 ± 0.12 · within the limits"
    )
    assert star_sentence(row, ["log g > 3.00"]).endswith("· log g > 3.00")
    row[["teff", "logg", "feh"]] = np.nan
    assert star_sentence(row, []) == "this star has no labels"


def test_the_counts_add_up():
    flags = np.array([4 | 8, 4, 0, 2])
    unlabelled = np.array([False, False, False, True])
    assert counts_sentence(flags, unlabelled).startswith("2 of 3 with labels are set aside, 1 for")


def test_without_labels_the_panel_says_what_is_missing_and_how_to_add_it(bare_survey):
    view = ParametersView(state=Session(bare_survey, "anna"))
    assert view._notice.visible
    assert not view._place.visible
    assert "msfa ingest SURVEY PATH --catalogue FILE" in view._notice.object


def test_switching_stars_makes_no_new_model(state, view):
    def models():
        return {m.id for plane in view.planes.values() for m in plane.figure.references()}

    before = models()
    for row in (1, 7, 2):
        state.screen.select(FIRST + row)
    state.labels.logg_limit = 3.6
    assert models() == before


def test_blind_labels_tell_values_and_no_reasons(state, view):
    assert view._legend.visible
    assert "within the limits" in view._caption.object or "log g >" in view._caption.object
    view._moving.value = True
    assert view._sliders.visible
    state.verdicts.blind = True
    assert not view._legend.visible and not view._legend.object
    assert not view._sliders.visible
    words = view._caption.object
    assert "Teff" in words
    for told in ("limits", "set aside", "log g >", "class", "band"):
        assert told not in words.split("\n")[0].split("title=")[0], told
    assert set(view.groups().colour) == {"stars"}


def luminance(colour):
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda one: one.name)
def test_points_of_every_colour_stand_out_from_their_panel(colours):
    marks = [*CLASS_COLOURS.values(), *VERDICT_COLOURS.values(), *EPOCH_COLOURS, colours.cloud]
    reasons = list(reason_colours(colours).values())
    assert len(set(reasons)) == len(reasons)
    panel = luminance(colours.surface)
    for mark in marks + reasons:
        dark, light = sorted((luminance(mark), panel))
        assert (light + 0.05) / (dark + 0.05) >= LEAST_CONTRAST, mark
