"""Samples of the CMD as conditions: predicate and count agree."""

import pandas as pd

from msfa_core.flags import CmdExclusion
from msfa_core.vetting.exclusions import exclusion_counts, exclusion_filters

FLAGS = pd.DataFrame({"cmd_exclusions": pd.array([0, 1, 8 | 16, 63, None, 32], "Int64")})


def test_every_exclusion_is_a_condition_with_its_count():
    counts = exclusion_counts(FLAGS).set_index("name")
    assert len(counts) == len(CmdExclusion)
    assert counts.loc["fast", ["kept", "left_out"]].tolist() == [3, 2]
    assert counts.loc["outside the LMC", ["kept", "left_out"]].tolist() == [4, 1]
    assert ((counts["kept"] + counts["left_out"]) == 5).all()


def test_a_condition_keeps_what_carries_no_flag_of_it_and_nothing_without_gaia_data():
    kept = {name: condition.predicate(FLAGS) for name, condition in exclusion_filters().items()}
    assert kept["fast"].tolist() == [True, True, False, False, False, True]
    assert not any(rows[4] for rows in kept.values())
