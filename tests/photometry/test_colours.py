"""The four colours: which magnitudes they are of, dust, errors, and what stays missing."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.constants import COLOURS
from msfa_core.photometry.colours import colour_excess, colours


def star(**columns):
    base = {
        "g_mag": [15.0], "bp_mag": [15.10], "rp_mag": [14.85], "j_mag": [14.70], "h_mag": [14.66],
        "bp_flux_over_error": [200.0], "rp_flux_over_error": [150.0],
        "j_mag_err": [0.03], "h_mag_err": [0.04],
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def test_colours_are_differences_of_magnitudes():
    found = colours(star()).iloc[0]
    assert [found[name] for name in COLOURS] == approx([0.10, 0.15, 0.25, 0.04])


def test_dust_is_taken_off_by_the_published_coefficients():
    red, blue = colours(star(ebv=[0.1])).iloc[0], colours(star()).iloc[0]
    expected = [0.1 * (2.998 - 2.364), 0.1 * (2.364 - 1.737), 0.1 * (2.998 - 1.737), 0.0295]
    assert [blue[name] - red[name] for name in COLOURS] == approx(expected)
    assert colour_excess("bp_rp") == approx(1.261)


def test_errors_are_those_of_both_magnitudes():
    found = colours(star()).iloc[0]
    bp, rp = np.hypot(1.0857 / 200, 0.00279), np.hypot(1.0857 / 150, 0.00378)
    assert found["bp_rp_err"] == approx(np.hypot(bp, rp), rel=1e-4)
    assert found["bp_g_err"] == approx(np.hypot(bp, 0.00276), rel=1e-4)
    assert found["j_h_err"] == approx(0.05)


@pytest.mark.parametrize(
    ("lacking", "missing"),
    [
        ("bp_mag", {"bp_g", "bp_rp"}),
        ("rp_mag", {"g_rp", "bp_rp"}),
        ("g_mag", {"bp_g", "g_rp"}),
        ("j_mag", {"j_h"}),
    ],
)
def test_a_missing_magnitude_takes_its_colours_and_no_others(lacking, missing):
    for table in (star(**{lacking: [np.nan]}), star().drop(columns=lacking)):
        found = colours(table).iloc[0]
        assert {name for name in COLOURS if np.isnan(found[name])} == missing
        assert {name for name in COLOURS if np.isnan(found[f"{name}_err"])} == missing


def test_a_listed_colour_stands_in_for_missing_magnitudes():
    table = pd.DataFrame({"bp_rp": [0.3], "ebv": [0.05]}, index=[7])
    found = colours(table)
    assert found.index.tolist() == [7]
    assert found["bp_rp"].tolist() == approx([0.3 - 0.05 * 1.261])
    assert found[["bp_g", "g_rp", "j_h", "bp_rp_err"]].isna().all(axis=None)


@pytest.mark.parametrize("ebv", [5.0, -1.0])
def test_an_absurd_reddening_leaves_no_colour(ebv):
    assert colours(star(ebv=[ebv])).isna().all(axis=None)


def test_an_unknown_error_is_missing_and_not_invented():
    found = colours(star(bp_flux_over_error=[np.nan], h_mag_err=[np.nan])).iloc[0]
    assert np.isnan(found["bp_rp_err"]) and np.isnan(found["j_h_err"])
    assert found["bp_rp"] == approx(0.25)


def test_a_table_without_photometry_gives_no_colours():
    assert colours(pd.DataFrame({"obsid": [1, 2]})).isna().all(axis=None)
