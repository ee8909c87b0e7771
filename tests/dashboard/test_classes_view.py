"""The class panel: what the machine says, and what contradicts it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboard.planes.cells import digits_of
from dashboard.views.classes import ClassView, class_html, domain_reasons


def with_row(star, **values):
    row = star.row.copy()
    for name, value in values.items():
        row[name] = value
    return replace(star, row=row)


def html_of(star, state, **more):
    return class_html(star, state.data.settings, **more)


def test_all_six_probabilities_are_shown_with_the_threshold(state):
    star = with_row(
        state.screen.star, p_bhb=0.914, p_class_bhb=0.811, p_class_a=0.1, p_class_b=0.05,
        p_class_hsd=0.03, p_class_wd=0.009,
    )  # fmt: skip
    html = html_of(star, state)
    for number in ("0.914", "0.811", "0.100", "0.050", "0.030", "0.009"):
        assert number in html
    assert 'class="msfa-mark" style="left:50.0%"' in html


def test_the_bars_write_a_probability_as_queue_and_strip_do(state):
    star = with_row(state.screen.star, p_bhb=0.99938, p_class_bhb=0.99997, p_class_a=3e-5)
    html = html_of(star, state)
    assert ">0.9994<" in html
    assert ">1−3e-5<" in html
    assert ">&lt;0.001<" in html


def test_contradictions_are_loud(state):
    html = html_of(state.screen.star, state, disagreements=["stage 1 and stage 2 disagree"])
    assert 'class="msfa-contra">✕ stage 1 and stage 2 disagree' in html
    assert "no witness contradicts" not in html
    assert "no witness contradicts" in html_of(state.screen.star, state)


def test_witnesses_that_disagree_are_found(state, survey):
    table = survey.table()
    row = table.index[table["obsid"] == state.screen.star.obsid][0]
    table.loc[row, ["p_bhb", "subclass", "logg"]] = [0.1, "F5", 4.6]
    survey.write_table(table)
    state.reload()
    found = state.data.disagreements_on(int(table.loc[row, "obsid"]))
    assert "stage 1 and stage 2 disagree" in found
    assert "header subclass is neither A nor B" in found
    assert "log g above the limit" in found


def test_a_star_that_stage1_ruled_out_says_so_in_place_of_a_bar(state):
    star = with_row(
        state.screen.star, p_bhb=float("nan"), predicted_class="A", p_class_bhb=0.002, p_class_a=0.9
    )
    html = html_of(star, state)
    assert "ruled out by stage 1" in html
    assert "0.900" in html
    assert "nan" not in html
    assert "not classified" not in html


def test_what_is_missing_is_said(state):
    star = with_row(state.screen.star, p_bhb=float("nan"), predicted_class=pd.NA)
    assert "not classified" in html_of(star, state)


def test_why_a_spectrum_is_outside_the_search_domain_is_said(state):
    star = with_row(state.screen.star, in_search_domain=False, subclass="K3", snr_g=4.0)
    reasons = domain_reasons(star.row, state.data.settings)
    assert reasons == ["subclass K3, neither A nor B", "S/N(g) 4 not above 10"]
    assert "outside the search domain" in html_of(star, state)


def test_known_stars_and_novelty_are_shown(state):
    html = html_of(with_row(state.screen.star, known_in="Xue 2011", novelty=4.2), state)
    assert "known: Xue 2011" in html
    assert 'class="msfa-fact msfa-warn"' in html and "⚠ 4.20" in html
    assert "one in 20,000 training spectra" in html


def test_a_usual_spectrum_has_a_novelty_without_a_warning(state):
    html = html_of(with_row(state.screen.star, novelty=0.30), state)
    assert "⚠" not in html and "0.30" in html
    assert "50 % of the training spectra" in html


@pytest.mark.parametrize("column", ["subclass", "known_in", "uid"])
def test_text_from_files_is_escaped(state, column):
    others = {"gaia_source_id": 0} if column == "uid" else {}  # a number of Gaia goes first
    row = {column: "<img src=x onerror=alert(1)>", **others}
    html = html_of(with_row(state.screen.star, **row), state)
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_blind_reviewer_does_not_see_the_machine(state):
    html = html_of(with_row(state.screen.star, p_bhb=0.9137), state, blind=True)
    assert "0.914" not in html
    assert "hidden" in html


def test_the_panel_follows_the_state(state):
    view = ClassView(state=state)
    first = view._pane.object
    state.screen.next()
    assert view._pane.object != first
    state.screen.star = None
    assert "queue is empty" in view._pane.object


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.000"), (3e-4, "&lt;0.001"), (0.25, "0.250"), (0.9997, "0.9997"), (1.0, "1")],
)
def test_a_probability_is_nothing_or_all_only_where_it_is(state, share, words):
    html = html_of(with_row(state.screen.star, p_class_wd=share, p_class_a=0.5), state)
    assert f'msfa-bar-number">{words}<' in html


@pytest.mark.parametrize(
    ("error", "digits"), [(0.02, 2), (0.005, 2), (0.004, 3), (0.0003, 4), (0.0, 2), (np.nan, 2)]
)
def test_a_small_error_has_the_digits_that_show_it(error, digits):
    assert digits_of(error, 2) == digits
    assert not error > 0 or float(f"{error:.{digits}f}") > 0
