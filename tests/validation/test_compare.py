"""A survey whose mistakes are known is compared with the truth, and the mistakes come out."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.columns import conform
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import CatalogueError
from msfa_core.training.scores import wilson_interval
from msfa_core.validation.compare import robust_scatter, validate
from msfa_core.validation.radius import uid_sensitivity
from msfa_core.validation.reference import house_reference, join_reference
from msfa_core.validation.report import summary_lines

N = 200


@pytest.fixture
def survey():
    """200 stars; the first 20 are called galaxies, the next 40 are 4 subtypes off."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame(
        {
            "obsid": np.arange(1, N + 1),
            "ra": rng.uniform(0, 360, N),
            "dec": rng.uniform(-10, 60, N),
            "snr_g": np.geomspace(3, 150, N),
            "class": "STAR",
            "subclass": "G5",
            "z": 0.0,
            "template_class": ["GALAXY"] * 20 + ["STAR"] * 180,
            "template_subclass": [""] * 20 + ["G1"] * 40 + ["G4"] * 140,
            "template_z": 30.0 / SPEED_OF_LIGHT,
            "predicted_class": ["BHB"] * 50 + ["A"] * 150,
            "is_candidate": [True] * 50 + [False] * 150,
            "p_bhb": 0.5,
            "teff": 5700.0 + rng.normal(100, 50, N),
            "logg": 4.0,
        }
    )
    return conform(table)


@pytest.fixture
def reference(survey):
    return pd.DataFrame(
        {
            "obsid": survey["obsid"],
            "class": "STAR",
            "subclass": "G5",
            "rv": 20.0,
            "teff": 5700.0,
            "is_bhb": [1] * 40 + [0] * 160,
        }
    )


def test_shares_come_back_with_wilson_intervals(survey, reference):
    tables = validate(survey, reference).tables
    row = tables["class_templates"].loc["all"]
    assert row["recall"] == approx(180 / N)
    assert (row["recall_low"], row["recall_high"]) == approx(wilson_interval(180, N))
    assert tables["class_confusion_templates"].loc["STAR", "GALAXY"] == 20
    assert tables["class_header"].loc["STAR", "precision"] == 1.0


def test_subtypes_off_are_counted_per_letter(survey, reference):
    shares = validate(survey, reference).tables["subclass_templates"]
    assert shares.loc["G", "within_3"] == approx(140 / N)
    assert shares.loc["F–M", "within_5"] == approx(180 / N)
    assert shares.loc["all", "n"] == N


def test_velocity_error_is_the_difference_of_the_shifts(survey, reference):
    table = validate(survey, reference).tables["velocity_templates"]
    assert table.iloc[0]["median"] == approx(10.0, abs=0.01)
    assert table.iloc[0]["scatter"] == approx(0.0, abs=1e-6)
    assert set(table[table["of"] == "S/N"]["bin"]) == {
        "0–5", "5–10", "10–20", "20–40", "40–80", "80–inf",
    }  # fmt: skip


def test_label_differences_and_candidates_come_back(survey, reference):
    tables = validate(survey, reference).tables
    labels = tables["labels"]
    row = labels[(labels["label"] == "teff") & (labels["of"] == "all")].iloc[0]
    assert row["median"] == approx(100, abs=15)
    assert row["scatter"] == approx(50, rel=0.2)
    assert set(labels["label"]) == {"teff"}
    row = tables["candidates"].loc["BHB"]
    assert (row["precision"], row["recall"]) == approx((40 / 50, 1.0))


def test_where_nothing_is_chosen_no_precision_is_known(survey, reference, tmp_path):
    survey["is_candidate"] = False
    validation = validate(survey, reference.assign(label="WD"))
    row = validation.tables["candidates"].loc["BHB"]
    assert (np.isnan(row["precision"]), row["recall"]) == (True, 0.0)
    assert np.isnan(validation.tables["search"].loc["WD", "precision"])
    assert summary_lines(validation)[-1] == (
        "BHB candidates: precision – (0 of 0), recall 0.000 (0 of 40)"
    )


def test_robust_scatter_of_a_normal_distribution_is_its_width():
    values = np.random.default_rng(1).normal(3.0, 2.0, 20_000)
    values[:200] = 1e6
    assert robust_scatter(values) == approx(2.0, rel=0.03)
    assert np.isnan(robust_scatter(np.empty(0)))


def test_a_reference_without_obsids_is_joined_by_position_the_nearest_first(survey, reference):
    moved = reference.drop(columns="obsid")
    moved["RAJ2000"], moved["DEJ2000"] = survey["ra"], survey["dec"] + 1.0 / 3600
    second = moved.iloc[:5].assign(subclass="M0")
    second["DEJ2000"] = survey["dec"].iloc[:5] + 2.5 / 3600
    joined = join_reference(survey, pd.concat([second, moved], ignore_index=True))
    assert (len(joined), joined.by_obsid, joined.by_position, joined.ambiguous) == (N, 0, N, 5)
    assert (joined.reference["subclass"] == "G5").all()


def test_a_star_of_another_observation_is_found_by_its_position(survey, reference):
    table = reference.assign(ra=survey["ra"], dec=survey["dec"])
    table.loc[:9, "obsid"] += 10_000
    joined = join_reference(survey, table)
    assert (joined.by_obsid, joined.by_position) == (N - 10, 10)
    assert (joined.survey["obsid"] == survey["obsid"]).all()


def test_a_reference_of_other_stars_says_so(survey, reference):
    with pytest.raises(CatalogueError, match="no spectrum of the survey"):
        validate(survey, reference.assign(obsid=reference["obsid"] + 10_000))


def test_a_reference_without_a_key_or_a_quantity_says_what_it_needs(survey, reference):
    with pytest.raises(CatalogueError, match="neither obsids nor positions"):
        validate(survey, reference.drop(columns="obsid"))
    with pytest.raises(CatalogueError, match="no column to compare"):
        validate(survey, reference[["obsid"]])
    with pytest.raises(CatalogueError, match="neither yes nor no"):
        validate(survey, reference.assign(is_bhb="perhaps"))


def test_an_empty_reference_says_so(survey, reference):
    with pytest.raises(CatalogueError, match="has no rows"):
        validate(survey, reference.iloc[:0])


def test_sentinels_and_words_for_nothing_are_missing():
    house = house_reference(
        pd.DataFrame({"z": [-9999, 0.1], "subclass": ["Non", " A1V "], "class": ["STAR", ""]})
    )
    assert house["z"].isna().tolist() == [True, False]
    assert house["subclass"].tolist()[1] == "A1V"
    assert house["subclass"].isna().tolist() == [True, False]
    assert house["class"].isna().tolist() == [False, True]


def test_a_column_called_class_with_stellar_classes_is_a_label():
    house = house_reference(pd.DataFrame({"class": ["BHB", "A", None]}))
    assert list(house.columns) == ["label", "is_bhb"]
    assert house["is_bhb"].tolist()[:2] == [True, False]
    assert house["is_bhb"].isna().tolist() == [False, False, True]


def test_classes_are_known_in_the_words_of_other_tables(survey):
    words = ["bhb", "Blue Horizontal-Branch star", "sdB", "He-sdO", "DA", "white dwarf", "a",
             "B-type star", "BHB?", "RHB", "HB", "blue straggler", ""]  # fmt: skip
    house = house_reference(pd.DataFrame({"obsid": range(1, 14), "label": words}))
    known = ["BHB", "BHB", "HSD", "HSD", "WD", "WD", "A", "B"]
    assert house["label"].tolist()[:8] == known
    said = [True, True, *[False] * 6, None, False, None, False, None]
    assert [None if pd.isna(one) else bool(one) for one in house["is_bhb"]] == said

    table = survey[["obsid"]].assign(label=["bhb"] * 40 + ["a-type"] * 150 + ["BS"] * 10)
    found = validate(survey, table)
    assert found.tables["candidates"]["n_true"].item() == 40
    assert any("none of BHB, A, B, HSD, WD: BS (10)" in note for note in found.notes)
    with pytest.raises(CatalogueError, match=r"the words are others.*type 1 \(200\)"):
        validate(survey, table.assign(label="type 1"))


def test_a_survey_that_is_not_matched_is_told_in_the_notes(survey, reference):
    bare = survey.assign(template_class=None, template_z=np.nan)
    found = validate(conform(bare), reference)
    assert "class_templates" not in found.tables
    assert any("template_class" in note for note in found.notes)


def test_stars_merge_with_a_wider_and_split_with_a_narrower_radius():
    """Two stars 4 arcsec apart; two spectra of a third 2.5 arcsec apart."""
    dec = np.array([10.0, 10.0 + 4 / 3600, 20.0, 20.0 + 2.5 / 3600])
    table = pd.DataFrame({"obsid": [1, 2, 3, 4], "ra": 50.0, "dec": dec})
    found = uid_sensitivity(table).set_index("radius_arcsec")
    assert found["n_stars"].tolist() == [4, 4, 3, 2, 2]
    assert found["merges"].tolist() == [0, 0, 0, 1, 1]
    assert found["splits"].tolist() == [1, 1, 0, 0, 0]
    assert found["n_multiple"].tolist() == [0, 0, 1, 2, 2]
    assert found["spectra_moved"].tolist() == [2, 2, 0, 2, 2]
