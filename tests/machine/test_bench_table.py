"""The table of ``make bench`` says what was missed."""

import pytest
from beside import Row, table


@pytest.mark.parametrize(
    ("theirs", "ours", "unit", "said"),
    [
        (2.0, 10.0, "files/s", "6×, missed"),
        (2.0, 12.0, "files/s", "6×"),
        (12.0, 2.0, "s", "6×"),
        (10.0, 2.0, "s", "6×, missed"),
        (None, 2.0, "s", "6×"),  # no peer, no ratio
    ],
)
def test_a_goal_that_is_missed_is_said_to_be(theirs, ours, unit, said):
    row = Row("reading", "astropy", theirs, ours, unit, goal=6)
    assert row.is_missed == said.endswith("missed")
    assert said in [cell.strip() for cell in table([row]).splitlines()[-1].split("|")]
