"""Labels of real A and BHB stars: on the scale of published ones, with errors that mean it."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import bench_slam
from bench_slam import TEFF_OF_THE_SCALE, library_stars

from msfa_core.flags import LabelFlag
from msfa_core.slam import predict_labels
from msfa_core.slam.validation import differences, summary

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def compared(real_data):
    spectra, table = library_stars(real_data, ("miles", "stelib"))
    inside = table["teff"].between(*TEFF_OF_THE_SCALE) & (table["logg"] >= 2.4)
    found = differences(predict_labels(spectra), table[["teff", "logg", "feh"]].to_numpy(float))
    return found[inside.to_numpy()], (table["object_class"] == "BHB")[inside].to_numpy()


@pytest.mark.parametrize("is_bhb", [True, False])
def test_labels_are_on_the_scale_of_published_ones(compared, is_bhb):
    table, are_bhb = compared
    said = summary(table[are_bhb == is_bhb])
    for name, offset, scatter in (("teff", 100, 200), ("logg", 0.1, 0.3), ("feh", 0.2, 0.3)):
        assert abs(said[name]["bias"]) < offset, name
        assert said[name]["scatter"] < scatter, name


def test_pulls_of_real_stars_are_about_one_wide(compared):
    table, _ = compared
    for name, row in summary(table).items():
        assert 0.7 < row["pull_width"] < 1.3, name
    labelled = table[table["teff"].notna()]  # six files of STELIB lack the blue or red half
    assert len(table) - len(labelled) <= 6
    assert np.isfinite(labelled["teff_pull"]).mean() > 0.9


def test_stars_outside_the_model_get_limits_without_errors(real_data):
    spectra, table = library_stars(
        real_data, ("miles", "stelib"), ("A", "B", "F", "G", "K", "M", "O"), (2500.0, 60_000.0)
    )
    outside = (table["teff"] < 6200) | (table["teff"] > 13_500) | (table["logg"] < 2)
    found = predict_labels(spectra[outside.to_numpy()])
    assert len(found) > 150
    assert np.isfinite(found.teff_err).mean() < 0.07
    assert (found.flags[np.isnan(found.teff_err)] != 0).all()


def test_errors_of_temperatures_cover_stars_hotter_than_their_scale(real_data):
    spectra, table = library_stars(
        real_data, ("miles", "stelib"), ("A", "B", "BHB"), (9500.0, 14_000.0)
    )
    found = predict_labels(spectra)
    doubtful = LabelFlag.POOR_CHI2 | LabelFlag.AT_EDGE | LabelFlag.OUTSIDE_HULL
    pulls = differences(found, table[["teff", "logg", "feh"]].to_numpy(float))["teff_pull"]
    pulls = pulls[(found.flags & int(doubtful) == 0) & np.isfinite(pulls) & (found.teff > 9500.0)]
    assert len(pulls) >= 8
    assert np.sqrt(np.mean(pulls**2)) < 1.3


@pytest.mark.parametrize(
    ("label", "classes", "found_between", "snr"),
    [
        ("logg", ("A", "F"), (6450.0, 7150.0), 20.0),  # Balmer lines no longer tell gravity
        ("feh", ("A", "B"), (9700.0, 13_400.0), 60.0),  # metal lines are weak
    ],
)
def test_errors_cover_stars_beyond_those_of_the_scale(
    real_data, monkeypatch, label, classes, found_between, snr
):
    """Cool ones at S/N 20, where noise hides from χ² that the model does not fit."""
    monkeypatch.setattr(bench_slam, "LIBRARY_SNR", snr)
    spectra, table = library_stars(real_data, ("miles", "stelib"), classes, (6000.0, 14_500.0))
    found = predict_labels(spectra)
    doubtful = LabelFlag.POOR_CHI2 | LabelFlag.AT_EDGE | LabelFlag.OUTSIDE_HULL
    low, high = found_between
    rows = (found.flags & int(doubtful) == 0) & (found.teff > low) & (found.teff < high)
    truth = table[["teff", "logg", "feh"]].to_numpy(float)
    pulls = differences(found, truth)[f"{label}_pull"][rows & (truth[:, 1] > 2.4)].dropna()
    assert len(pulls) >= 12
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.3
