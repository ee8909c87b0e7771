"""Samples of the CMD as conditions: sentence, predicate, SQL and count agree."""

import sqlite3

import pandas as pd
import pytest

from msfa_core.flags import CmdExclusion
from msfa_core.vetting.exclusions import exclusion_counts, exclusion_filters

FLAGS = pd.DataFrame({"cmd_exclusions": pd.array([0, 1, 8 | 16, 63, None, 32], "Int64")})


def test_every_exclusion_is_a_condition_with_its_count():
    counts = exclusion_counts(FLAGS).set_index("name")
    assert len(counts) == len(CmdExclusion)
    assert counts.loc["fast", ["kept", "left_out"]].tolist() == [3, 2]
    assert counts.loc["outside the LMC", ["kept", "left_out"]].tolist() == [4, 1]
    assert ((counts["kept"] + counts["left_out"]) == 5).all()


@pytest.mark.parametrize("name", list(exclusion_filters()))
def test_predicate_and_sql_choose_the_same_rows(name):
    condition = exclusion_filters()[name]
    base = sqlite3.connect(":memory:")
    FLAGS.astype(object).where(FLAGS.notna(), None).to_sql("candidates", base)
    rows = base.execute(f'SELECT "index" FROM candidates WHERE {condition.sql}').fetchall()
    base.close()
    assert [row for (row,) in rows] == list(FLAGS.index[condition.predicate(FLAGS)])
