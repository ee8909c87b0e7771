"""A survey draws itself and tells of itself in notebooks; hostile words stay words."""

import numpy as np
import pytest
from IPython.utils.dir2 import get_real_method
from small_survey import make_small_survey, star_spectrum

from msfa_core.balmer import fit_lines
from msfa_core.balmer.region import inside_by_line
from msfa_core.config import Settings
from msfa_core.errors import SurveyError
from msfa_core.search.two_stages import Classified
from msfa_core.survey.figures.panel import about_one, beyond
from msfa_core.survey.figures.planes import line_plane, planes
from msfa_core.survey.figures.plots import accepted


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_small_survey(tmp_path_factory.mktemp("figures") / "S", n_stars=12)


def test_every_figure_is_drawn_and_says_that_its_stars_are_simulated(survey):
    obsid = int(survey.obsid[0])
    plot = survey.plot
    for figure in (
        plot.plane(), plot.plane(obsid), plot.cmd(), plot.kiel(), plot.labels(), plot.feh(),
        plot.sky(obsid), plot.spectrum(obsid), plot.fits(obsid),
    ):  # fmt: skip
        assert "SIMULATED" in figure._suptitle.get_text()
        assert len(figure.axes) >= 1
        assert get_real_method(figure, "_repr_png_"), "a notebook would print its name only"


def test_an_unknown_spectrum_is_named(survey):
    with pytest.raises(SurveyError, match="123"):
        survey.plot.plane(123)


@pytest.mark.parametrize("name", ["xue2008", "xue2011", "ju2024", "mine: hgamma c 0.8..1.2"])
def test_the_outline_of_a_plane_is_the_selection_itself(survey, name):
    """A star is drawn within the outline where the rule says it is inside, and only there."""
    from matplotlib.path import Path

    table = survey.table_with_verdicts()
    chosen = np.ones(len(table), bool)
    for line, inside in inside_by_line(table, name).items():
        panel = line_plane(table, Settings(selection=name), chosen, "stars", line)
        (outline,) = [guide for guide in panel.guides if guide.kind == "region"]
        drawn = Path(np.column_stack([outline.x, outline.y]))
        places = np.column_stack([panel.chosen.x, panel.chosen.y])
        rule = inside[np.isin(table["obsid"], panel.chosen.obsid)]
        np.testing.assert_array_equal(drawn.contains_points(places), rule)


def test_a_star_in_place_of_the_chosen_ones_leaves_nobody_out(survey):
    table = survey.table_with_verdicts()
    chosen, words = accepted(table)
    assert words == "candidates in the region"  # nobody has decided yet
    for panel in planes(table, Settings(), chosen, words).values():
        if len(panel.chosen):
            one = about_one(panel, int(panel.chosen.obsid[0]))
            assert len(one.chosen) == 1
            assert len(one.cloud) == len(panel.cloud) + len(panel.chosen)
            assert 0 <= beyond(panel) <= len(panel.chosen)


def test_records_show_themselves_in_notebooks_and_words_stay_words(survey):
    rng = np.random.default_rng(1)
    spectrum = star_spectrum(7, 10, 0.7, 30, 40, rng, file="<script>x</script>.fits")
    shown = spectrum._repr_html_()
    assert "<svg" in shown and "&lt;script&gt;" in shown and "<script" not in shown
    assert "D0.2" in fit_lines(spectrum)._repr_html_()
    found = Classified(np.array([7]), np.full((1, 5), 0.2), np.array([0.75]))
    assert "0.7500" in found._repr_html_()
    assert "SIMULATED" in survey._repr_html_() and "candidates" in survey._repr_html_()
