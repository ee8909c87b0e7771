"""Constant stars vary by chance as often as they should; binaries are found."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest

from msfa_core.constants import RV_FLOOR, RV_FLOOR_HOT, SPEED_OF_LIGHT
from msfa_core.errors import CatalogueError
from msfa_core.stars.velocity import VARIABLE, constancy, epoch_velocities


def survey(rng, n_stars, amplitude=0.0, subclass="A1V", floor=float(RV_FLOOR_HOT)):
    """Stars of two to six epochs, formal errors of 2 to 12 km/s, and the floor beside them."""
    n_epochs = rng.integers(2, 7, n_stars)
    star = np.repeat(np.arange(n_stars), n_epochs)
    error = rng.uniform(2, 12, len(star))
    phase = rng.uniform(0, 2 * np.pi, len(star))
    velocity = rng.normal(0, 150, n_stars)[star] + amplitude * np.sin(phase)
    velocity += rng.normal(0, np.hypot(error, floor))
    order = rng.permutation(len(star))  # epochs of a star need not follow each other
    return pd.DataFrame(
        {
            "uid": [f"G{k}" for k in star[order]],
            "z": velocity[order] / SPEED_OF_LIGHT,
            "z_err": error[order] / SPEED_OF_LIGHT,
            "class": "STAR",
            "subclass": subclass,
        }
    )


@pytest.mark.parametrize(
    ("subclass", "floor"), [("A1V", RV_FLOOR_HOT), ("sdB", RV_FLOOR_HOT), ("G5", RV_FLOOR),
                            ("dM2", RV_FLOOR), ("DA", RV_FLOOR_HOT)]
)  # fmt: skip
def test_probabilities_of_constant_stars_are_uniform(subclass, floor):
    table = survey(np.random.default_rng(21), 3000, subclass=subclass, floor=float(floor))
    per_star = table.assign(p=epoch_velocities(table)["rv_chi2_probability"]).groupby("uid")["p"]
    assert (per_star.max() == per_star.min()).all()
    assert kstest(per_star.first(), "uniform").pvalue > 0.01
    assert (per_star.first() < VARIABLE).mean() < 4 * VARIABLE


def test_template_velocities_of_hot_stars_have_the_smaller_floor():
    table = survey(np.random.default_rng(23), 2000, floor=float(RV_FLOOR))
    table = table.rename(columns={"z": "template_z", "z_err": "template_z_err"}).assign(z=0.0)
    per_star = table.assign(p=epoch_velocities(table)["rv_chi2_probability"]).groupby("uid")["p"]
    assert kstest(per_star.first(), "uniform").pvalue > 0.01


def test_a_match_in_which_no_line_tells_the_redshift_is_no_velocity():
    table = pd.DataFrame(
        {
            "uid": ["G1", "G1", "G1", "G2", "G2"],
            "z": 1e-4,
            "z_err": 1e-5,
            "template_z": [2e-4, 2.1e-4, 4e-3, 3e-3, -2e-3],
            "template_z_err": [1e-5, 1e-5, np.nan, np.nan, np.nan],
        }
    )
    found = epoch_velocities(table)
    assert np.isfinite(found["epoch_rv"]).tolist() == [True, True, False, True, True]
    assert found["rv_range"][:3].to_numpy() == pytest.approx(1e-5 * SPEED_OF_LIGHT)
    assert found["epoch_rv"][3:].to_numpy() == pytest.approx(1e-4 * SPEED_OF_LIGHT)  # header's
    assert np.isfinite(found["epoch_rv_err"][3:]).all()


def test_binaries_are_found():
    table = survey(np.random.default_rng(22), 400, amplitude=120.0)
    table["p"] = epoch_velocities(table)["rv_chi2_probability"]
    stars = table.groupby("uid").agg(p=("p", "first"), n=("p", "size"))
    assert (stars["p"] < VARIABLE).mean() > 0.75
    assert (stars["p"][stars["n"] >= 4] < VARIABLE).mean() > 0.9


def test_range_and_probability_are_those_of_the_epochs():
    v, e = np.array([10.0, 30.0, -5.0]), np.array([3.0, 4.0, 5.0])
    table = pd.DataFrame(
        {"uid": "G1", "z": v / SPEED_OF_LIGHT, "z_err": e / SPEED_OF_LIGHT, "subclass": "F5"}
    )
    result = epoch_velocities(table)
    variance = e**2 + float(RV_FLOOR) ** 2
    mean = np.average(v, weights=1 / variance)
    expected = chi2.sf(np.sum((v - mean) ** 2 / variance), 2)
    assert result["rv_chi2_probability"].to_numpy() == pytest.approx(expected)
    assert result["rv_range"].to_numpy() == pytest.approx(35.0)
    assert result["epoch_rv"].to_numpy() == pytest.approx(v)
    assert result["epoch_rv_err"].to_numpy() == pytest.approx(np.sqrt(variance))


def test_a_star_takes_all_its_velocities_from_one_source():
    table = pd.DataFrame(
        {
            "uid": ["G1", "G1", "G2", "G2", None],
            "z": [1e-4, 2e-4, 3e-4, 4e-4, 5e-4],
            "z_err": 1e-5,
            "template_z": [9e-4, np.nan, np.nan, np.nan, 7e-4],
            "template_z_err": [1e-5, np.nan, np.nan, np.nan, 1e-5],
        }
    )
    result = epoch_velocities(table)
    expected = SPEED_OF_LIGHT * np.array([9e-4, np.nan, 3e-4, 4e-4, 7e-4])
    np.testing.assert_allclose(result["epoch_rv"], expected)
    assert result["rv_range"].notna().tolist() == [False, False, True, True, False]


def test_resolutions_are_not_compared_and_galaxies_not_at_all():
    rows = {
        "uid": ["G1", "G1", "G2", "G2", "G3"],
        "z": [0.0, 1e-3, 0.1, 0.1, 0.0],
        "z_err": 1e-5,
        "class": ["STAR", "STAR", "GALAXY", "GALAXY", "STAR"],
        "resolution": ["low", "medium", "low", "low", "low"],
    }
    result = epoch_velocities(pd.DataFrame(rows))
    assert result[["rv_range", "rv_chi2_probability"]].isna().all(axis=None)
    assert result["epoch_rv"].notna().all()


def test_epochs_without_velocity_or_error_are_flagged_by_nan_only():
    rows = {"uid": ["G1"] * 3, "z": [0.0, np.nan, 1e-4], "z_err": [1e-5, 1e-5, np.nan]}
    result = epoch_velocities(pd.DataFrame(rows))
    assert result["rv_range"].to_numpy() == pytest.approx(1e-4 * SPEED_OF_LIGHT)
    assert result["rv_chi2_probability"].isna().all()  # one error only
    assert epoch_velocities(pd.DataFrame(rows).iloc[:0]).empty
    with pytest.raises(CatalogueError, match="uid"):
        epoch_velocities(pd.DataFrame({"z": [0.0]}))


def test_a_group_of_a_thousand_epochs_is_no_trouble():
    rng = np.random.default_rng(5)
    group = np.zeros(1000, dtype=np.int64)
    probability, mean = constancy(group, 50 + rng.normal(0, 3, 1000), np.full(1000, 3.0))
    assert mean[0] == pytest.approx(50.0, abs=0.5)
    assert 0.001 < probability[0] < 0.999
