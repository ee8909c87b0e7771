"""The verdict of one star, and the conditions of the queue."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.vetting.decision import Decision, Verdict, verdict_of_record
from msfa_core.vetting.filters import (
    ORDERS,
    contradictions,
    preset_filters,
    verdict_filters,
)
from msfa_core.vetting.one_star import own_verdict, standing, vet_columns


def history_of(rng, n):
    """A random history on one star of two spectra: verdicts and withdrawals."""
    made = []
    for number in range(1, n + 1):
        reviewer = str(rng.choice(["anna", "bert", "cleo"]))
        own = [d for d in standing(made) if d.reviewer == reviewer]
        is_withdrawal = bool(own) and rng.random() < 0.4
        target = own[rng.integers(len(own))] if is_withdrawal else None
        made.append(
            Decision(
                obsid=int(rng.integers(1, 3)),
                uid="G1",
                verdict=target.verdict if target else Verdict(rng.choice(list(Verdict))),
                reviewer=reviewer,
                verdict_class=str(rng.choice(["", "A"])),
                confidence=None if rng.random() < 0.5 else int(rng.integers(1, 5)),
                comment=str(rng.choice(["", "seen"])),
                decided_at="2026-01-02T03:04:05.000Z",
                decision_id=number,
                withdraws=target.decision_id if target else None,
            )
        )
    return made


@pytest.mark.parametrize("seed", range(12))
def test_one_star_follows_the_rule_of_the_whole_survey(seed):
    history = history_of(np.random.default_rng(seed), seed)
    candidates = pd.DataFrame({"obsid": [1, 2], "uid": ["G1", "G1"]})
    expected = verdict_of_record(history, candidates)
    got = pd.DataFrame([vet_columns(history)] * 2, index=expected.index)
    pd.testing.assert_frame_equal(got.astype(expected.dtypes), expected[list(got.columns)])
    assert set(got.columns) == set(expected.columns)


def test_the_own_verdict_is_the_latest_standing_one():
    history = history_of(np.random.default_rng(5), 20)
    for reviewer in ("anna", "bert", "cleo", "nobody"):
        own = [d for d in standing(history) if d.reviewer == reviewer]
        assert own_verdict(history, reviewer) == (str(own[0].verdict) if own else "")


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
