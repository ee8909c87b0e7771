"""Samples of Culpan et al. (2021): each limit from both sides."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.flags import CmdExclusion
from msfa_core.photometry.exclusions import exclusion_flags, exclusions

GOOD = {  # a far halo star that the parallax sample keeps
    "ra": 192.0, "dec": 27.0, "g_mag": 14.0, "bp_rp": 0.2, "parallax_mas": 0.5,
    "parallax_over_error": 10.0, "tangential_velocity": 200.0, "reduced_proper_motion": 9.0,
    "pm_over_error": 50.0, "excess_factor": 1.16, "bp_flux_over_error": 80.0,
    "rp_flux_over_error": 80.0,
}  # fmt: skip
DISTANT = {**GOOD, "parallax_over_error": 3.0}  # the proper-motion sample keeps it


def flags(star, **changes):
    return CmdExclusion(int(exclusion_flags(pd.DataFrame([{**star, **changes}]))[0]))


def test_each_good_star_is_left_out_of_the_other_sample_only():
    assert flags(GOOD) == CmdExclusion.PROPER_MOTION_SAMPLE
    assert flags(DISTANT) == CmdExclusion.PARALLAX_SAMPLE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ra": 266.4, "dec": -28.9}, CmdExclusion.LOW_LATITUDE),
        ({"ra": 81.28, "dec": -60.0}, CmdExclusion.LMC),
        ({"ra": 12.8, "dec": -69.0}, CmdExclusion.SMC),
        ({"tangential_velocity": 145.0}, CmdExclusion.SLOW | CmdExclusion.PARALLAX_SAMPLE),
        ({"tangential_velocity": np.nan}, CmdExclusion.SLOW | CmdExclusion.PARALLAX_SAMPLE),
        ({"excess_factor": 1.0}, CmdExclusion.PARALLAX_SAMPLE),
        ({"excess_factor": 1.31}, CmdExclusion.PARALLAX_SAMPLE),
        ({"bp_flux_over_error": 10.0}, CmdExclusion.PARALLAX_SAMPLE),
        ({"rp_flux_over_error": np.nan}, CmdExclusion.PARALLAX_SAMPLE),
        ({"parallax_over_error": 5.0}, CmdExclusion.PARALLAX_SAMPLE),
    ],
)
def test_the_parallax_sample_ends_at_its_limits(changes, expected):
    found = flags(GOOD, **changes) & ~CmdExclusion.PROPER_MOTION_SAMPLE
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"reduced_proper_motion": 6.8}, False),
        ({"reduced_proper_motion": 6.81}, True),
        ({"reduced_proper_motion": 11.88}, False),
        ({"pm_over_error": 5.0}, False),
        ({"parallax_over_error": 5.01}, False),
        ({"parallax_over_error": np.nan}, False),
        ({"ra": 192.86, "dec": 68.0}, False),  # b = 49
        ({"ra": 192.86, "dec": 66.0}, True),  # b = 51
    ],
)
def test_the_proper_motion_sample_ends_at_its_limits(changes, kept):
    assert (CmdExclusion.PROPER_MOTION_SAMPLE not in flags(DISTANT, **changes)) is kept


def test_the_latitude_is_a_limit_of_the_user():
    table = pd.DataFrame([{**GOOD, "ra": 192.86, "dec": 87.13}])  # b = 30
    assert not exclusions(table, 29.0)[CmdExclusion.LOW_LATITUDE][0]
    assert exclusions(table, 31.0)[CmdExclusion.LOW_LATITUDE][0]
