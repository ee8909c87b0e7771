"""The colour–magnitude diagram against values worked by hand and real clusters."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.flags import CmdExclusion, CmdFlag
from msfa_core.photometry.cmd import (
    absolute_magnitude,
    cmd_position,
    corrected_excess_factor,
    excess_factor_sigma,
    in_trapezoid,
    p_in_trapezoid,
    trapezoid_vertices,
)
from msfa_core.rules import have_good_parallax


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
    assert CmdFlag.sentences(placed["cmd_flags"].iloc[2])[0].startswith("parallax missing")


def test_poor_parallax_is_flagged_at_one_fifth():
    gaia = gaia_rows(parallax_mas=[0.2, 0.2], parallax_error_mas=[0.0399, 0.0401])
    placed = cmd_position(gaia)
    assert placed["cmd_flags"].tolist() == [0, CmdFlag.POOR_PARALLAX]
    assert have_good_parallax(placed).tolist() == [True, False]


def test_blended_and_faint_colours_are_flagged():
    gaia = gaia_rows(
        excess_factor=[1.16, 1.6, 1.16], bp_flux_over_error=[80.0, 80.0, 5.0],
        rp_flux_over_error=[80.0, 80.0, 80.0],
    )  # fmt: skip
    flags = cmd_position(gaia)["cmd_flags"].tolist()
    assert flags == [0, CmdFlag.COLOUR_EXCESS, CmdFlag.FAINT_COLOUR]


def test_error_of_the_magnitude_is_that_of_the_parallax():
    placed = cmd_position(gaia_rows(parallax_mas=[0.2, -0.2], parallax_error_mas=[0.02, 0.02]))
    assert placed["abs_mag_g_err"].tolist() == pytest.approx(
        [0.2171, np.nan], abs=1e-4, nan_ok=True
    )
    draws = absolute_magnitude(14.0, 0.2 + 0.002 * np.random.default_rng(4).standard_normal(4000))
    tenth = cmd_position(gaia_rows(parallax_mas=[0.2], parallax_error_mas=[0.002]))
    assert np.std(draws) == pytest.approx(tenth["abs_mag_g_err"].iloc[0], rel=0.05)


def test_dust_moves_a_star_into_the_trapezoid_only_when_asked_for():
    red = gaia_rows(bp_rp=[0.6, 0.6], ebv=[0.2, np.nan])
    plain, clean = cmd_position(red), cmd_position(red, deredden=True)
    assert plain["in_cmd_trapezoid"].tolist() == [False, False]
    assert clean["in_cmd_trapezoid"].iloc[0] and pd.isna(clean["in_cmd_trapezoid"].iloc[1])
    for placed in (plain, clean):
        assert placed["bp_rp"].tolist() == [0.6, 0.6]
        assert placed["bp_rp0"].iloc[0] == pytest.approx(0.6 - 0.2 * 1.261)
        assert placed["abs_mag_g0"].iloc[0] == pytest.approx(placed["abs_mag_g"].iloc[0] - 0.4728)


def test_an_absurd_reddening_is_flagged_and_not_used():
    placed = cmd_position(gaia_rows(ebv=[5.0])).iloc[0]
    assert placed["cmd_flags"] == CmdFlag.ABSURD_REDDENING
    assert np.isnan(placed["bp_rp0"]) and np.isnan(placed["abs_mag_g0"])
    assert placed["bp_rp"] == 0.1


def test_motions_and_samples_follow_from_proper_motion_and_parallax():
    moving = gaia_rows(
        ra=[192.0], dec=[27.0], pmra=[12.0], pmdec=[-16.0], pmra_error=[0.02],
        pmdec_error=[0.02], excess_factor=[1.16], bp_flux_over_error=[80.0],
        rp_flux_over_error=[80.0],
    )  # fmt: skip
    star = cmd_position(moving).iloc[0]
    assert star["tangential_velocity"] == pytest.approx(4.74 * 20 / 0.2)
    assert star["tangential_velocity_err"] == pytest.approx(474 * np.hypot(0.1, 0.001))
    assert star["reduced_proper_motion"] == pytest.approx(14 + 5 + 5 * np.log10(0.02))
    assert star["pm_over_error"] == pytest.approx(1000.0)
    assert star["cmd_exclusions"] == CmdExclusion.PROPER_MOTION_SAMPLE
    assert star["cmd_flags"] == 0


def test_without_a_proper_motion_there_is_no_velocity_and_a_flag():
    star = cmd_position(gaia_rows(pmra=[np.nan], pmdec=[1.0])).iloc[0]
    assert star["cmd_flags"] == CmdFlag.NO_PROPER_MOTION
    assert np.isnan(star["tangential_velocity"])
    assert star["cmd_exclusions"] & CmdExclusion.SLOW


def test_a_star_without_gaia_is_in_no_sample_and_out_of_none():
    nothing = gaia_rows(
        gaia_source_id=pd.array([None], "Int64"), g_mag=[np.nan], bp_rp=[np.nan],
        parallax_mas=[np.nan], parallax_error_mas=[np.nan],
    )  # fmt: skip
    assert cmd_position(nothing)["cmd_exclusions"].isna().all()


def test_a_table_without_parallaxes_is_refused_by_name():
    with pytest.raises(CatalogueError, match="parallax_mas"):
        cmd_position(gaia_rows(g_mag=[14.0]).drop(columns="parallax_mas"))


@pytest.mark.real
def test_705_globular_cluster_members_lie_in_the_trapezoid(real_data):
    members = pd.read_csv(real_data / "catalogues" / "derived" / "gc_members_gaia_cmd.csv")
    assert len(members) == 4907
    assert int(in_trapezoid(members["bp_rp0"], members["M_G0"]).sum()) == 705


def test_the_chance_to_be_inside_is_that_of_stars_drawn_from_parallax_and_colour():
    rng = np.random.default_rng(3)
    colour = np.array([0.10, 0.52, 0.545, 0.20, -0.095, 0.10])
    parallax = np.array([0.10, 0.13, 0.079, 0.18, 0.10, 0.047])
    over_error = np.array([20.0, 6.0, 9.0, 8.0, 8.0, 5.0])
    colour_error = np.array([0.01, 0.02, 0.02, 0.05, 0.01, 0.01])
    g_mag = 15.5
    absolute = absolute_magnitude(g_mag, parallax)
    found = p_in_trapezoid(colour, absolute, colour_error, over_error)
    shape = (200_000, len(colour))
    drawn = parallax * (1 + rng.standard_normal(shape) / over_error)
    tint = colour + colour_error * rng.standard_normal(shape)
    truth = in_trapezoid(tint, absolute_magnitude(g_mag, drawn)).mean(axis=0)
    assert found == pytest.approx(truth, abs=0.005)
    assert 0.05 < truth[1:].min() < 0.5 < truth[0]  # the cases differ


def test_without_an_error_the_colour_decides_and_without_a_place_there_is_no_chance():
    none, error = np.full(4, np.nan), np.array([20.0, 20.0, 20.0, np.nan])
    found = p_in_trapezoid([0.10, 0.54, np.nan, 0.10], [0.5] * 4, none, error)
    assert found[:2] == pytest.approx([1.0, 0.0], abs=1e-6)
    assert np.isnan(found[2:]).all()


def test_a_star_beyond_the_faint_limit_by_its_error_has_the_chance_of_one_sigma():
    rows = gaia_rows(
        g_mag=[15.0], bp_rp=[0.1], parallax_mas=[0.3], parallax_error_mas=[0.0375],
        bp_flux_over_error=[1e6], rp_flux_over_error=[1e6],
    )  # fmt: skip
    limit = 10 ** ((2.5 - 2.77 * 0.1 - 15.0 + 10) / 5)  # mas where M_G is that of the limit
    rows["parallax_mas"] = limit + 0.0375
    placed = cmd_position(rows)
    assert not placed["in_cmd_trapezoid"].iloc[0]
    assert placed["p_in_cmd_trapezoid"].iloc[0] == pytest.approx(0.1587, abs=0.001)


def test_dereddened_stars_have_the_chance_of_where_they_are_without_dust():
    rows = gaia_rows(g_mag=[15.0], bp_rp=[0.8], parallax_mas=[0.14], ebv=[0.4])
    assert cmd_position(rows)["p_in_cmd_trapezoid"].iloc[0] < 0.01
    assert cmd_position(rows, deredden=True)["p_in_cmd_trapezoid"].iloc[0] > 0.5
