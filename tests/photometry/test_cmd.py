"""The colour–magnitude diagram against values worked by hand and real clusters."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.photometry.cmd import (
    CmdFlag,
    absolute_magnitude,
    cmd_position,
    corrected_excess_factor,
    describe_cmd_flags,
    excess_factor_sigma,
    has_good_parallax,
    in_trapezoid,
    trapezoid_vertices,
)


def gaia_rows(**columns):
    n = len(next(iter(columns.values())))
    base = {
        "gaia_source_id": pd.array([4_611_686_018_427_387_904 + i for i in range(n)], "Int64"),
        "g_mag": np.full(n, 14.0),
        "bp_rp": np.full(n, 0.1),
        "parallax_mas": np.full(n, 0.2),
        "parallax_error_mas": np.full(n, 0.02),
    }
    return pd.DataFrame({**base, **columns})


def test_a_star_at_100_parsec_has_its_distance_modulus_of_five_taken_off():
    assert absolute_magnitude(12.0, 10.0) == pytest.approx(7.0)
    assert absolute_magnitude(15.0, 1.0) == pytest.approx(5.0)


def test_zero_negative_and_missing_parallaxes_give_no_absolute_magnitude():
    assert np.isnan(absolute_magnitude([12, 12, 12], [0.0, -0.3, np.nan])).all()


def test_trapezoid_corners_are_those_published():
    expected = [[-0.1, -1], [0.53, -1], [0.53, 1.0319], [-0.1, 2.777]]
    assert trapezoid_vertices() == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("colour", "magnitude", "inside"),
    [
        (0.0, 0.5, True),
        (0.0, 2.49, True),
        (0.0, 2.51, False),
        (0.5, 1.2, False),
        (0.5, 1.0, True),
        (-0.11, 0.5, False),
        (0.54, 0.5, False),
        (0.2, -1.1, False),
        (np.nan, 0.5, False),
        (0.2, np.nan, False),
    ],
)
def test_trapezoid_membership(colour, magnitude, inside):
    assert bool(in_trapezoid([colour], [magnitude])[0]) is inside


def test_corrected_excess_factor_is_zero_on_the_published_trend_and_pieces_nearly_join():
    trend = 1.154360 + 0.033772 * 0.2 + 0.032277 * 0.04
    assert corrected_excess_factor([0.2], [trend]) == pytest.approx([0.0], abs=1e-12)
    for edge in (0.5, 4.0):
        left, right = corrected_excess_factor([edge - 1e-9, edge], [1.2, 1.2])
        assert left == pytest.approx(right, abs=0.02)
    assert excess_factor_sigma(15.0) == pytest.approx(0.0059898 + 8.817481e-12 * 15**7.618399)


def test_flags_name_what_is_missing_and_values_stay_missing():
    gaia = gaia_rows(
        g_mag=[14.0, 14.0, 14.0, np.nan],
        bp_rp=[0.1, np.nan, 0.1, np.nan],
        parallax_mas=[0.2, 0.2, -0.1, np.nan],
        gaia_source_id=pd.array([1, 2, 3, None], "Int64"),
    )
    placed = cmd_position(gaia)
    assert placed["cmd_flags"].tolist() == [
        0,
        CmdFlag.NO_COLOUR,
        CmdFlag.NO_PARALLAX,
        CmdFlag.NO_GAIA | CmdFlag.NO_COLOUR | CmdFlag.NO_PARALLAX,
    ]
    assert placed["in_cmd_trapezoid"].isna().tolist() == [False, True, True, True]
    assert describe_cmd_flags(placed["cmd_flags"].iloc[2])[0].startswith("parallax missing")


def test_poor_parallax_is_flagged_at_one_fifth():
    gaia = gaia_rows(parallax_mas=[0.2, 0.2], parallax_error_mas=[0.0399, 0.0401])
    placed = cmd_position(gaia)
    assert placed["cmd_flags"].tolist() == [0, CmdFlag.POOR_PARALLAX]
    assert has_good_parallax(placed).tolist() == [True, False]


def test_blended_and_faint_colours_are_flagged():
    gaia = gaia_rows(
        excess_factor=[1.16, 1.6, 1.16], bp_flux_over_error=[80.0, 80.0, 5.0],
        rp_flux_over_error=[80.0, 80.0, 80.0],
    )  # fmt: skip
    flags = cmd_position(gaia)["cmd_flags"].tolist()
    assert flags == [0, CmdFlag.COLOUR_EXCESS, CmdFlag.FAINT_COLOUR]


def test_a_table_without_parallaxes_is_refused_by_name():
    with pytest.raises(CatalogueError, match="parallax_mas"):
        cmd_position(gaia_rows(g_mag=[14.0]).drop(columns="parallax_mas"))


@pytest.mark.real
def test_705_globular_cluster_members_lie_in_the_trapezoid(real_data):
    members = pd.read_csv(real_data / "catalogues" / "derived" / "gc_members_gaia_cmd.csv")
    assert len(members) == 4907
    assert int(in_trapezoid(members["bp_rp0"], members["M_G0"]).sum()) == 705
