"""The bookkeeping of the paper, exact on a survey that was counted by hand."""

import numpy as np
import pandas as pd
import pytest
from small_survey import make_small_survey

from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.survey.folder import Survey
from msfa_core.survey.funnel import exclusions, funnel, funnel_lines, funnel_of

BOX = "mine: hdelta d02 20..30, fm 0.1..0.3; hgamma d02 20..30, fm 0.1..0.3"
IN, OUT = 25.0, 40.0  # D0.2 inside and outside of the cuts


def spectrum(obsid, star, **changes):
    """Return a spectrum that passes every step; ``changes`` take it out."""
    base = {
        "obsid": obsid, "uid": f"G{star}", "snr_g": 50.0, "in_search_domain": True,
        "predicted_class": "BHB", "p_bhb": 0.9, "is_candidate": True, "known_in": None,
        "d02_hdelta": IN, "fm_hdelta": 0.2, "d02_hgamma": IN, "fm_hgamma": 0.2,
        "balmer_flags_hdelta": 0, "balmer_flags_hgamma": 0, "in_bhb_region": True,
        "teff": 8500.0, "logg": 3.3, "feh": -1.8, "parallax_mas": 0.3,
        "parallax_over_error": 10.0, "in_cmd_trapezoid": True, "cmd_exclusions": 32,
    }  # fmt: skip
    return {**base, **changes}


@pytest.fixture
def table():
    """Return fifteen spectra; each line of the list leaves the chain at another place."""
    rows = [
        spectrum(1, 1),
        spectrum(2, 1, snr_g=80.0, logg=4.5),  # of the same star, better: it speaks for it
        spectrum(3, 3, in_search_domain=False, is_candidate=False),
        spectrum(4, 4, predicted_class="A", is_candidate=False),
        spectrum(5, 5, p_bhb=0.2, is_candidate=False),
        spectrum(6, 6, known_in="xue2011"),
        spectrum(7, 7, d02_hdelta=OUT, in_bhb_region=False),
        spectrum(8, 8, d02_hgamma=OUT, in_bhb_region=False),
        spectrum(9, 9, d02_hgamma=OUT, d02_hdelta=OUT, in_bhb_region=False),
        spectrum(10, 10, feh=-0.3),
        spectrum(11, 11, parallax_mas=-0.1, parallax_over_error=-3.0, in_cmd_trapezoid=None),
        spectrum(12, 12, parallax_over_error=4.0),
        spectrum(13, 13, in_cmd_trapezoid=False),
        spectrum(14, 14, cmd_exclusions=1 | 32),
        spectrum(15, None, cmd_exclusions=8 | 16 | 32, uid=None, in_cmd_trapezoid=False),
    ]
    return conform(pd.DataFrame(rows))


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


def test_a_survey_prints_its_funnel_and_its_samples(tmp_path):
    survey = make_small_survey(tmp_path / "s")
    lines = funnel_lines(survey)
    assert lines[0].startswith("SIMULATED survey")
    assert any(line.startswith("A/B spectra") and "597,990" in line for line in lines)
    assert lines[-1].endswith("proper-motion sample of Culpan et al. (2021)")
    rows = funnel(survey.path).set_index("step")
    candidates = survey.table()["is_candidate"].fillna(False)
    assert rows.loc["stage 2", "spectra"] == candidates.sum()
    assert (exclusions(survey)["kept"] == 0).all()  # not placed by the step: no samples known


def test_an_empty_survey_has_a_funnel(tmp_path):
    survey = Survey.create(tmp_path / "empty")
    spectra = funnel(survey).set_index("step")["spectra"]
    assert spectra["A/B spectra"] == 0
    assert spectra.drop("A/B spectra").isna().all()
