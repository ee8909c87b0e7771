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

CLASSES = ("A", "B", "BHB")


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
        ("logg", ("A", "B"), (9000.0, 11_500.0), 40.0),  # Balmer lines are strongest
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


@pytest.fixture(scope="module")
def faint(real_data):
    """B and late-A stars at S/N 10 to 80, found and published Teff.

    Without φ UMa (HD 85235), whose 11,200 K no other work has (about 8,900 K).
    """
    parts = []
    for snr in (10.0, 20.0, 40.0, 80.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bench_slam, "LIBRARY_SNR", snr)
            spectra, table = library_stars(real_data, ("miles", "stelib"), CLASSES, (7000.0, 3e4))
        known = ~table["path"].str.contains("085235|85235") & (table["logg"] > 2.4)
        found = predict_labels(spectra[known.to_numpy()])
        parts.append((found, table[known]["teff"].to_numpy(float)))
    found, truth = zip(*parts, strict=True)
    columns = (np.concatenate([getattr(one, name) for one in found])
               for name in ("teff", "teff_err", "flags"))  # fmt: skip
    return *columns, np.concatenate(truth)


def test_hot_stars_are_not_cool(faint):
    teff, _, flags, truth = faint
    rows = (truth > 10_000.0) & (truth < 14_500.0) & (flags == 0)
    assert rows.sum() > 30
    assert abs(np.median(teff[rows] / truth[rows]) - 1) < 0.04  # 0.07 cool without their scale


def test_no_hot_star_is_far_off_in_silence(faint):
    """Some stay: one of noise in thirty at S/N 10, and stars whose published Teff is in doubt."""
    teff, error, flags, truth = faint
    hot = (truth > 9700.0) & np.isfinite(teff)
    is_off = np.abs(teff - truth) > 1500.0
    silent = hot & is_off & (flags == 0)
    assert silent.sum() <= 0.04 * hot.sum()
    cool = (truth < 9500.0) & ~is_off & np.isfinite(teff)
    folded = (flags & int(LabelFlag.FOLDED)) != 0
    assert folded[cool].mean() < 0.02
