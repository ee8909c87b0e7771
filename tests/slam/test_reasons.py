"""Why stars are set aside by their labels, at limits that move."""

import numpy as np
import pandas as pd

from msfa_core.flags import LabelFlag
from msfa_core.slam.reasons import REASONS, first_reason, flags_at, has_reason


def table(**columns):
    base = {"label_flags": pd.array([0, 4, 16, None], dtype="Int64")}
    base |= {"logg": [3.2, 4.4, 3.8, np.nan], "feh": [-1.8, -1.2, -0.5, np.nan]}
    return pd.DataFrame(base | columns)


def test_only_the_two_bits_of_the_limits_follow_the_limits():
    flags = flags_at(table(), 4.0, -1.0)
    assert list(flags) == [0, 4, 16 | 8, int(LabelFlag.MISSING)]
    assert list(flags_at(table(), 4.5, 0.0)) == [0, 0, 16, int(LabelFlag.MISSING)]
    assert list(flags_at(table(), 3.0, -2.0)) == [12, 12, 28, int(LabelFlag.MISSING)]


def test_the_table_is_left_as_it_was():
    before = table()
    flags_at(before, 3.0, -2.0)
    pd.testing.assert_frame_equal(before, table())


def test_a_star_with_several_reasons_is_shown_by_the_first():
    flags = [0, 8 | 16, 4 | 8 | 128, 1, 2 | 1024]
    first = first_reason(flags)
    assert first[0] == first[3] == -1
    assert [REASONS[k] for k in first[[1, 2, 4]]] == [
        LabelFlag.HIGH_FEH,
        LabelFlag.HIGH_LOGG,
        LabelFlag.NOT_CONVERGED,
    ]


def test_where_labels_come_from_is_no_reason():
    notes = int(LabelFlag.FROM_CATALOGUE | LabelFlag.MISSING)
    assert not has_reason([notes]).any()
    assert list(has_reason([4, 8, notes], LabelFlag.HIGH_FEH)) == [False, True, False]


def test_every_flag_that_is_no_note_is_a_reason_with_its_sentence():
    notes = {LabelFlag.FROM_CATALOGUE, LabelFlag.MISSING}
    assert set(REASONS) == set(LabelFlag) - notes
