"""A spectrum whose file gives no redshift, or a wrong one, is measured as with the right one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboard.state.data import SurveyData
from msfa_core import rules
from msfa_core.config import Settings
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.flags import MatchFlag
from msfa_core.simulate.filling import simulate
from msfa_core.simulate.survey import demo_plan
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest
from msfa_core.vetting.filters import contradictions

N_STARS = 24
FAR = 400.0 / SPEED_OF_LIGHT
FIRST = ("match", "classify", "measure", "place", "label")
MEASURED = ("d02_hdelta", "d02_hgamma", "fm_hdelta", "fm_hgamma", "kp", "teff", "logg", "feh")


def copied(folder, spectra, models):
    """A survey of these spectra."""
    survey = Survey.create(folder, models=str(models))
    survey.archive.append(spectra)
    return survey


@pytest.fixture(scope="module")
def surveys(tmp_path_factory, tiny_models):
    """One star in three without a redshift, one with a wrong one; and the same with the right."""
    folder = tmp_path_factory.mktemp("frames")
    source = Survey.create(folder / "source", simulated=True)
    plan = replace(demo_plan(), n_stars=N_STARS, snr_range=(40.0, 100.0), epochs=0.0, problems=0.0)
    simulate(source, plan, workers=1)
    right, wrong = [], []
    for k, obsid in enumerate(source.obsid.tolist()):
        one = source.archive.original(obsid)
        right.append(one)
        wrong.append(replace(one, z=(one.z, float("nan"), one.z + FAR)[k % 3]))
    made = [copied(folder / name, s, tiny_models) for name, s in (("R", right), ("W", wrong))]
    for survey in made:
        run(survey, FIRST, workers=1)
    return made


def test_the_shift_used_is_that_of_the_template_and_the_table_says_so(surveys):
    right, wrong = (survey.table() for survey in surveys)
    kind = np.arange(len(wrong)) % 3
    assert np.array_equal(wrong["rest_z"][kind == 0], wrong["z"][kind == 0])
    takes = (kind > 0) & (wrong["template_flags"] & int(MatchFlag.LOW_CONFIDENCE) == 0)
    assert takes.sum() >= 12
    assert np.array_equal(wrong["rest_z"][takes], wrong["template_z"][takes])
    off = SPEED_OF_LIGHT * (wrong["rest_z"] - right["z"])
    assert off[takes].abs().max() < rules.SHIFTS_APART
    assert wrong["z"].isna().sum() == (kind == 1).sum()  # what the files say stays


def test_what_is_measured_is_what_the_right_redshift_gives(surveys):
    right, wrong = (survey.table() for survey in surveys)
    shifted = wrong["rest_z"].ne(wrong["z"]).to_numpy()
    assert shifted.sum() >= 12
    for name in MEASURED:
        one, other = right.loc[shifted, name], wrong.loc[shifted, name]
        both = one.notna() & other.notna()
        assert both.sum() >= 0.8 * one.notna().sum(), name
        apart = (other - one).abs() / np.hypot(right.loc[shifted, f"{name}_err"], 1e-9)
        assert apart[both].median() < 0.5, name
    bhb = (right["p_bhb"] - wrong["p_bhb"]).abs()[shifted]
    assert bhb.median() < 0.05


def test_the_screen_and_the_library_use_the_same_shift(surveys):
    _, survey = surveys
    table = survey.table()
    assert np.array_equal(survey.spectra(table["obsid"]).z, table["rest_z"], equal_nan=True)
    data = SurveyData(survey)
    for obsid, row in table.set_index("obsid").iterrows():
        spectrum, fits, _ = data.measured(obsid)
        assert spectrum.z == pytest.approx(row["rest_z"], nan_ok=True)
        assert fits.d02[0, 0] == pytest.approx(row["d02_hdelta"], nan_ok=True)
    sentences = contradictions(table, Settings())
    used, not_used = (sentences[text] for text in rules.redshift_sentences())
    assert used.sum() >= 4
    assert not not_used.any()


def test_a_redshift_that_a_catalogue_gives_later_counts_again(surveys, tmp_path):
    right, wrong = surveys
    bare = right.archive.original(int(right.obsid[0]))
    survey = copied(tmp_path / "S", [replace(bare, z=float("nan"))], wrong.settings.models)
    run(survey, FIRST, workers=1)
    obsid = int(bare.obsid)
    assert survey.spectrum(obsid).z == survey.table()["template_z"][0]
    path = tmp_path / "late.csv"
    pd.DataFrame({"obsid": [obsid], "z": [bare.z]}).to_csv(path, index=False, float_format="%.17g")
    ingest(survey, [], [path])
    assert survey.spectrum(obsid).z == bare.z
    run(survey, FIRST, workers=1)
    assert survey.table()["rest_z"].tolist() == [bare.z]
    assert survey.table()["d02_hdelta"][0] == right.table()["d02_hdelta"][0]
    assert not run(survey, FIRST, workers=1).did_work
