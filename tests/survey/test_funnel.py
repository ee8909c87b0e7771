"""The bookkeeping of the paper, exact on a survey that was counted by hand."""

import re

import numpy as np
import pandas as pd
import pytest
from counted_table import BOX, counted_table
from small_survey import make_small_survey

from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.survey.folder import Survey
from msfa_core.survey.funnel import (
    exclusions,
    funnel,
    funnel_in_words,
    funnel_lines,
    funnel_of,
    rule_counts,
)


@pytest.fixture
def table():
    return counted_table()


def test_every_step_is_counted_exactly(table):
    found = funnel_of(table, Settings(selection=BOX)).set_index("step")
    spectra = {
        "A/B spectra": 14, "stage 1": 13, "stage 2": 12, "new": 11, "Hδ": 9, "Hγ": 9,
        "both lines": 8, "high log g": 1, "high [Fe/H]": 1, "good parallax": 5,
        "in trapezoid": 3, "after exclusions": 3, "in trapezoid after exclusions": 2,
    }  # fmt: skip
    assert found["spectra"].to_dict() == spectra
    assert found.loc["both lines", "stars"] == 7
    assert found.loc["A/B spectra", "stars"] == 13
    assert found.loc["both lines", "share"] == pytest.approx(8 / 11)
    assert found.loc["good parallax", "share"] == pytest.approx(5 / 7)


def test_the_paper_stands_beside(table):
    found = funnel_of(table, Settings(selection=BOX)).set_index("step")
    assert found.loc[["A/B spectra", "stage 1", "stage 2", "new"], "paper_spectra"].tolist() == [
        597_990, 37_441, 27_853, 16_721,
    ]  # fmt: skip
    assert found.loc[["new", "both lines", "high log g", "after exclusions"], "paper_stars"].tolist(
    ) == [15_015, 3_583, 667, 577]  # fmt: skip
    assert found.loc["in trapezoid", "paper_share"] == pytest.approx(0.54, abs=0.001)


def test_what_was_not_done_is_missing_and_not_zero(table):
    bare = conform(table[["obsid", "in_search_domain", "snr_g"]])
    found = funnel_of(bare, Settings(selection=BOX)).set_index("step")
    assert found.loc["A/B spectra", "spectra"] == 14
    assert found["spectra"].drop("A/B spectra").isna().all()
    no_gaia = table.assign(parallax_mas=np.nan, parallax_over_error=np.nan)
    found = funnel_of(no_gaia, Settings(selection=BOX)).set_index("step")
    assert found.loc["both lines", "spectra"] == 8
    assert found.loc["good parallax":, "spectra"].isna().all()


def test_a_selection_of_one_line_has_no_count_for_the_other(table):
    found = funnel_of(table, Settings(selection="mine: hdelta d02 20..30")).set_index("step")
    assert found.loc["Hδ", "spectra"] == 9
    assert pd.isna(found.loc["Hγ", "spectra"])


def test_a_survey_prints_its_funnel_and_what_is_not_known(tmp_path):
    survey = make_small_survey(tmp_path / "s")
    lines = funnel_lines(survey)
    assert lines[0].startswith("SIMULATED survey")
    assert any(line.startswith("A/B spectra") and "597,990" in line for line in lines)
    assert any(line.startswith("stage 2") and line.endswith("stage 1") for line in lines)
    assert any(line.startswith("A/B spectra: ") and "S/N(g) > 10" in line for line in lines)
    assert "good parallax: ϖ > 0 and σ/ϖ < 0.2" in lines
    assert any(line.startswith("new: no known catalogue was given") for line in lines)
    rows = funnel(survey.path).set_index("step")
    candidates = survey.table()["is_candidate"].fillna(False)
    assert rows.loc["stage 2", "spectra"] == candidates.sum()


def test_samples_of_the_cmd_are_printed_where_parallaxes_are_known(tmp_path):
    survey = make_small_survey(tmp_path / "s")
    assert funnel_lines(survey)[-1].endswith("proper-motion sample of Culpan et al. (2021)")
    assert (exclusions(survey)["kept"] == 0).all()  # not placed by the step: in no sample
    survey.write_table(survey.table().assign(parallax_mas=np.nan, parallax_over_error=np.nan))
    lines = funnel_lines(survey)
    assert not any(line.startswith("samples") for line in lines)
    assert any(line.startswith("- : not known yet") for line in lines)


def test_an_empty_survey_has_a_funnel(tmp_path):
    survey = Survey.create(tmp_path / "empty")
    spectra = funnel(survey).set_index("step")["spectra"]
    assert spectra["A/B spectra"] == 0
    assert spectra.drop("A/B spectra").isna().all()


def test_every_rule_is_counted_and_the_one_in_force_named(table):
    table.loc[table["obsid"] == 4, "p_class_bhb"] = 0.4  # class A, yet BHB is likely
    table.loc[table["obsid"] != 4, "p_class_bhb"] = 0.9
    found = rule_counts(table, Settings(rule="lenient")).set_index("rule")
    assert found["in_force"].to_dict() == {"paper": False, "lenient": True}
    assert found["spectra"].to_dict() == {"paper": 12, "lenient": 13}
    assert found["stars"].to_dict() == {"paper": 11, "lenient": 12}


def test_by_the_lenient_rule_each_step_still_keeps_a_part_of_the_one_above(table):
    table.loc[table["obsid"] == 4, ["p_class_bhb", "is_candidate"]] = [0.4, True]
    table.loc[table["obsid"] != 4, "p_class_bhb"] = 0.9
    found = funnel_of(table, Settings(selection=BOX, rule="lenient")).set_index("step")
    assert found.loc[["stage 1", "stage 2"], "spectra"].tolist() == [14, 13]
    assert (found["share"].dropna() <= 1).all()


def test_one_spectrum_of_one_star_is_said_so(table):
    one = table.head(1).assign(is_candidate=True, p_class_bhb=0.9)
    words = funnel_in_words(one, Settings(selection=BOX))
    assert "A/B spectra: 1 spectrum of 1 star" in words
    every = funnel_in_words(table, Settings(selection=BOX))
    assert "both lines: 8 spectra of 7 stars" in every
    assert "; good parallax: 5 stars;" in every  # of which one has a second spectrum
    assert "identified" not in words
    words = funnel_in_words(one.assign(uid=None), Settings(selection=BOX))
    assert words.endswith("; 1 spectrum not identified yet, each counted as a star")
    assert not re.search(r"\b1 (spectra|stars)", words)
