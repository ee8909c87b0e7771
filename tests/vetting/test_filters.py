"""The conditions and orders of the queue."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.vetting.filters import (
    ORDERS,
    contradictions,
    preset_filters,
    verdict_filters,
)


def candidates_of(**columns):
    return conform(pd.DataFrame({"obsid": [2**60, 2**60 + 1], **columns}))


def test_each_pair_of_witnesses_that_disagrees_is_named():
    table = candidates_of(
        predicted_class=["BHB", "BHB"],
        p_bhb=[0.2, 0.9],
        subclass=["F5", "A1V"],
        is_candidate=[True, True],
        in_bhb_region=[False, True],
        in_cmd_trapezoid=[False, False],
        parallax_mas=[0.4, 0.4],
        parallax_over_error=[9.0, 1.0],
        logg=[4.5, 3.3],
        feh=[-0.2, -1.8],
    )
    found = contradictions(table, Settings())
    assert [name for name, holds in found.items() if holds[0]] == [
        "stage 1 and stage 2 disagree",
        "header subclass is neither A nor B",
        "outside the D0.2–fm box",
        "outside the CMD trapezoid",
        "log g above the limit",
        "[Fe/H] above the limit",
    ]
    assert not any(holds[1] for holds in found.values())


def test_a_missing_witness_contradicts_nobody():
    assert not any(h.any() for h in contradictions(candidates_of(), Settings()).values())


def test_presets_of_an_empty_table_hold_for_nothing_but_all():
    table = candidates_of()
    for name, preset in (preset_filters(Settings()) | verdict_filters()).items():
        holds = preset.predicate(table)
        assert holds.shape == (2,) and holds.dtype == bool
        assert holds.all() == (name in ("all", "without verdict"))
        assert preset.sentence


def test_every_order_sorts_missing_values_last_and_large_ids_exactly():
    table = candidates_of(p_bhb=[np.nan, 0.4])
    assert list(np.lexsort((ORDERS["p_bhb"].key(table),))) == [1, 0]
    assert list(ORDERS["obsid"].key(table)) == [0.0, 1.0]
    for order in ORDERS.values():
        assert order.key(table).shape == (2,)


def test_the_most_doubtful_are_those_that_either_stage_doubts():
    doubt = ORDERS["doubt"].key
    table = candidates_of(p_bhb=[0.97, 0.70], p_class_bhb=[0.52, 0.99])
    assert list(np.argsort(doubt(table))) == [0, 1]
    assert doubt(table) == pytest.approx([0.02, 0.2])
    assert doubt(candidates_of(p_bhb=[0.6, np.nan])) == pytest.approx([0.1, np.nan], nan_ok=True)
