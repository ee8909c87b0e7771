"""The parallax zero point: where it holds, and what is said where it does not."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.flags import CmdFlag
from msfa_core.photometry.cmd import cmd_position
from msfa_core.photometry.zeropoint import parallax_zero_point


def sources(**columns):
    base = {
        "gaia_source_id": pd.array([1], "Int64"), "g_mag": [15.0], "bp_rp": [0.1],
        "parallax_mas": [0.2], "parallax_error_mas": [0.02], "nu_eff_used_in_astrometry": [1.65],
        "pseudocolour": [np.nan], "ecl_lat": [40.0], "astrometric_params_solved": [31],
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def test_zero_points_are_negative_tens_of_microarcseconds_and_those_of_the_package():
    from zero_point import zpt

    found = parallax_zero_point(sources())
    assert -0.06 < found[0] < -0.01
    inputs = ([15.0], [1.65], [0.0], [40.0], [31])
    assert found == zpt.get_zpt(*map(np.array, inputs))


def test_six_parameter_solutions_go_by_their_pseudocolour():
    six = sources(
        astrometric_params_solved=[95], pseudocolour=[1.5], nu_eff_used_in_astrometry=[np.nan]
    )
    assert -0.08 < parallax_zero_point(six)[0] < 0.0
    assert np.isnan(parallax_zero_point(sources(astrometric_params_solved=[95]))[0])


@pytest.mark.parametrize(
    "columns",
    [
        {"g_mag": [4.0]},
        {"nu_eff_used_in_astrometry": [2.3]},
        {"astrometric_params_solved": [3]},
        {"g_mag": [22.0]},
    ],
)
def test_outside_its_range_there_is_no_zero_point(columns):
    assert np.isnan(parallax_zero_point(sources(**columns))[0])


def test_a_table_without_the_columns_is_named_and_flagged_and_its_parallax_used(caplog):
    bare = sources().drop(columns=["nu_eff_used_in_astrometry", "ecl_lat"])
    placed = cmd_position(bare, zero_point=True).iloc[0]
    assert "nu_eff_used_in_astrometry" in caplog.text and "ecl_lat" in caplog.text
    assert placed["cmd_flags"] == CmdFlag.NO_ZERO_POINT
    assert placed["abs_mag_g"] == cmd_position(bare)["abs_mag_g"].iloc[0]


def test_the_zero_point_makes_parallaxes_larger_and_stars_fainter_only_when_asked_for():
    plain = cmd_position(sources()).iloc[0]
    corrected = cmd_position(sources(), zero_point=True).iloc[0]
    assert np.isnan(plain["parallax_zero_point"])
    shift = 5 * np.log10((0.2 - corrected["parallax_zero_point"]) / 0.2)
    assert corrected["abs_mag_g"] - plain["abs_mag_g"] == pytest.approx(shift)
    assert shift > 0
    assert corrected["parallax_mas"] == 0.2


def test_a_slightly_negative_parallax_can_be_saved_by_the_zero_point():
    placed = cmd_position(sources(parallax_mas=[-0.01]), zero_point=True).iloc[0]
    assert np.isfinite(placed["abs_mag_g"])
    assert placed["cmd_flags"] == CmdFlag.POOR_PARALLAX
