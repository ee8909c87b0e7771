"""What the status of a survey says, beside a table that was counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from counted_table import BOX, counted_table
from small_survey import star_spectrum

from msfa_core.survey.folder import Survey
from msfa_core.survey.funnel import funnel
from msfa_core.survey.status import status
from msfa_core.vetting.decision import Decision, Verdict


@pytest.fixture
def survey(tmp_path):
    """The counted table as a survey, its spectra in the archive; the last has no z."""
    table = counted_table()
    made = Survey.create(tmp_path / "S", selection=BOX)
    rng = np.random.default_rng(1)
    spectra = [star_spectrum(int(obsid), 9, 0.7, 0, 30, rng) for obsid in table["obsid"]]
    made.archive.append([*spectra[:-1], replace(spectra[-1], z=float("nan"))])
    known = made.table().set_index("obsid")
    table = table.set_index("obsid")
    for name in ("class", "subclass", "z", "ra", "dec", "layout", "resolution", "file"):
        table[name] = known[name]
    made.write_table(table.reset_index())
    return made


def test_spectra_stars_and_candidates_are_counted_exactly(survey):
    said = status(survey)
    assert (said.n_spectra, said.n_stars) == (15, 14)
    assert said.counts == {
        "in the search domain": 14,
        "candidates": 12,
        "candidates within the cuts of Hδ": 10,
        "candidates within the cuts of Hγ": 10,
        "candidates in the D0.2–fm region": 9,
        "candidates inside the CMD trapezoid": 9,
        "candidates in known catalogues": 1,
    }
    assert said.outside == {}  # all fifteen are of class STAR and subclass A, of S/N 50 or 80
    assert "S/N(g) > 10" in said.meaning["in the search domain"]
    assert "mine" in said.meaning["candidates in the D0.2–fm region"]


def test_before_the_search_the_domain_is_known_and_nothing_else_is_zero(tmp_path):
    survey = Survey.create(tmp_path / "S")
    rng = np.random.default_rng(2)
    spectra = [star_spectrum(obsid, 9, 0.7, 0, 30, rng) for obsid in range(1, 5)]
    other = {**spectra[0].meta, "subclass": "F5"}
    survey.archive.append(
        [
            spectra[0],
            replace(spectra[1], snr_g=10.0),
            replace(spectra[2], meta=other),
            replace(spectra[3], meta={**other, "resolution": "medium"}),
        ]
    )
    said = status(survey)
    assert said.counts == {
        "in the search domain": 1,
        "of medium resolution, outside the search": 1,
    }
    assert said.outside == {"subclass": 2, "S/N(g)": 1, "resolution": 1}
    assert any("candidates: not known yet" in line for line in said.lines())
    steps = funnel(survey).set_index("step")["spectra"]
    assert steps["A/B spectra"] == 1
    assert steps.drop("A/B spectra").isna().all()


def test_flags_are_counted_of_all_spectra_and_of_candidates(survey):
    table = survey.table()
    table.loc[[2, 5, 6], "balmer_flags_hdelta"] = 16  # no candidate, and two candidates
    survey.write_table(table)
    carried = status(survey).flags["fit of Hδ"]
    assert list(carried.values()) == [(3, 2)]
    assert next(iter(carried)).startswith("The residuals exceed 3 %")


def test_stars_of_candidates_without_a_verdict_are_counted(survey):
    assert status(survey).n_undecided == 11
    store = survey.store()
    store.append_decision(Decision(1, "G1", Verdict.ACCEPT, "Ann"))
    store.close()
    said = status(survey)
    assert said.n_undecided == 10
    assert "  without a verdict: 10 stars of the candidates" in said.lines()


def test_status_and_funnel_count_by_one_rule(survey):
    said, steps = status(survey).counts, funnel(survey).set_index("step")["spectra"]
    assert said["in the search domain"] == steps["A/B spectra"]
    assert said["candidates"] == steps["stage 2"]
    new = survey.table()
    new = new["is_candidate"].fillna(False) & new["known_in"].isna()
    assert int(new.sum()) == steps["new"]


def test_a_star_counts_once_however_many_spectra_it_has(survey):
    store = survey.store()
    store.append_decision(Decision(1, "G1", Verdict.ACCEPT, "Ann"))
    store.append_decision(Decision(4, "G4", Verdict.REJECT, "Ann"))
    store.append_decision(Decision(15, "", Verdict.REJECT, "Ann"))  # of no star but its own
    store.close()
    assert status(survey).verdicts == {"reject": 2, "accept": 1}


def test_what_is_missing_is_said_with_its_remedy(survey):
    missing = status(survey).missing
    z = next(line for line in missing if line.startswith("Doppler shift z"))
    assert "1 of 15 spectra" in z
    assert f"msfa run {survey.path}" in z  # until it was asked, a template may give one
    table = survey.table()
    survey.write_table(table.assign(template_flags=pd.array([1] * len(table), dtype="Int64")))
    z = next(line for line in status(survey).missing if line.startswith("Doppler shift z"))
    assert f"msfa ingest {survey.path} --catalogue FILE" in z
    (survey.path / "catalogues").mkdir()
    rows = pd.DataFrame({"obsid": [15], "z": [1e-4]})
    rows.to_parquet(survey.path / "catalogues" / "dr11.csv.parquet")
    assert survey.table().set_index("obsid").loc[15, "z"] == survey.spectrum(15).z == 1e-4
    assert not any(line.startswith("Doppler shift z") for line in status(survey).missing)


def test_medium_resolution_alone_is_no_search_to_wait_for(tmp_path):
    """Steps that leave it out are not named again as the remedy."""
    made, rng = Survey.create(tmp_path / "S"), np.random.default_rng(2)
    spectrum = replace(star_spectrum(5, 9, 0.7, 0, 30, rng), z=float("nan"))
    meta = {**spectrum.meta, "resolution": "medium", "layout": "lamost-medium"}
    made.archive.append([replace(spectrum, meta=meta)])
    made.write_table(made.table().assign(in_search_domain=False, label_flags=2))
    said = status(made)
    assert said.counts["candidates"] == 0
    assert not any("not known yet" in line for line in said.lines())
    for lacking in ("Doppler shift z", "Teff, log g, [Fe/H]"):
        (line,) = (line for line in said.missing if line.startswith(lacking))
        assert "--catalogue FILE" in line
        assert "--steps" not in line


def test_an_empty_survey_says_what_to_do(tmp_path):
    survey = Survey.create(tmp_path / "empty")
    said = status(survey)
    assert (said.n_spectra, said.n_stars, said.verdicts) == (0, 0, {})
    assert said.missing == (f"spectra: none yet; `msfa ingest {survey.path} FILES`",)
    assert f"survey {survey.path}: 0 spectra" in said.lines()[0]
