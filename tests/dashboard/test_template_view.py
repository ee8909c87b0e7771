"""The template over the spectrum: continuum-adjusted, with residuals, and a loud second opinion."""

import numpy as np
import param
import pytest
from pytest import approx

from dashboard.state import Matched, Solution
from dashboard.views.classes import ClassView, class_html
from dashboard.views.spectrum import SpectrumView
from dashboard.views.template import kind_words, overlay_data, shift_words, solution_words
from msfa_core.flags import MatchFlag
from msfa_core.spectra.display import flux_unit


def matched_to(star, flags=0):
    """Two solutions whose models are known: the flux less 3 %, and a flat one."""
    flux = star.spectrum.flux.astype(float)
    models = (0.97 * flux, np.full(flux.shape, np.median(flux)))
    solutions = tuple(
        Solution("STAR", subclass, subclass, 1e-5, 2e-5, chi2, sure, model)
        for subclass, chi2, sure, model in zip(
            ("A1V", "F5V"), (1.1, 3.0), (97.0, 12.0), models, strict=True
        )
    )
    error = np.full(flux.shape, 0.01 * np.median(flux))
    return Matched(star.obsid, star.spectrum.wavelength, flux, error, solutions, flags)


@pytest.fixture
def view(state):
    view = SpectrumView(state=state)
    state.data.ask = lambda *_: pytest.fail("no template was asked for")
    return view


def test_model_and_residuals_are_those_of_the_solution(state):
    matched = matched_to(state.screen.star)
    unit, z = flux_unit(state.screen.star.spectrum), state.screen.star.spectrum.z
    over, below = overlay_data(matched, 0, unit, z)
    assert over["x"] == approx(matched.wavelength / (1 + z), rel=1e-6)
    assert below["y"] == approx(0.03 * matched.flux / unit, abs=1e-5)
    assert below["high"] == approx(matched.error / unit, rel=1e-5)


def test_a_solution_is_drawn_when_it_comes_and_goes_with_its_star(state, view):
    state.answers.matched = matched_to(state.screen.star)
    assert len(view.template.model.data["x"]) == len(state.screen.star.spectrum.wavelength)
    state.answers.matched = matched_to(state.screen.star)
    other = matched_to(state.screen.star)
    state.screen.next()
    assert len(view.template.model.data["x"]) == 0
    state.answers.matched = other  # the answer to an earlier star
    assert len(view.template.model.data["x"]) == 0


def test_the_second_best_solution_can_be_looked_at(state, view):
    view.template.strip.visible = True
    state.answers.matched = matched_to(state.screen.star)
    view.template._choose(1)
    drawn = view.template.model.data["y"]
    assert drawn == approx(np.full(drawn.shape, 1.0), abs=1e-3)


def test_nothing_is_matched_until_it_is_asked_for(state, view):
    state.screen.next()
    assert state.answers.matched is None
    assert not view.template.strip.visible


def test_words_of_solutions_have_units_and_errors():
    one = Solution("STAR", "A1V", "x", 1e-4, 1e-5, 1.234, 97.0, np.zeros(1))
    assert solution_words(one) == "A1V 97 % · RV +30 ± 6 km/s · reduced χ² 1.23"
    assert shift_words(0.12345, 0.0002) == "z +0.1235 ± 0.0002"
    assert kind_words("QSO", "") == "QSO"
    assert kind_words("GALAXY", "early") == "GALAXY early"


def test_disagreement_is_loud_and_names_both_sides(state):
    star = state.screen.star
    for name, value in {
        "template_class": "STAR",
        "template_subclass": "F5V<img>",
        "template_confidence": 93.0,
        "template_z": 1e-4,
        "template_z_err": 1e-5,
        "template_flags": int(MatchFlag.ALIKE),
        "template_disagrees": True,
    }.items():
        star.row[name] = value
    html = class_html(star, state.data.settings, ["the template match says another class"])
    assert "templates say F5V&lt;img&gt; (93 %), networks say BHB" in html
    assert "msfa-loud" in html and "msfa-quarrel" in html
    assert "the template match says another class" not in html  # said once, in full
    assert "93 %" in html and "RV +30 ± 6 km/s" in html
    assert "nearly the same subclass" in html  # the flag, as a tooltip
    star.row["template_disagrees"] = False
    assert "msfa-quarrel" not in class_html(star, state.data.settings)


def test_the_class_panel_lists_the_second_best_solutions_once_there_are_some(state):
    view = ClassView(state=state)
    assert "2. F5V" not in view._pane.object
    state.answers.matched = matched_to(state.screen.star)
    assert "2. F5V 12 %" in view._pane.object
    state.screen.next()
    assert "2. F5V" not in view._pane.object


def test_without_a_star_no_template_is_said_to_be_on_its_way(state, view):
    with param.parameterized.discard_events(state.answers):
        state.answers.with_template = True
        view.template.draw(None, True)
    assert list(view.template.choice.options) == ["no star on screen"]
