"""Every decision with what was on screen, and whether its star has other numbers now."""

import numpy as np
import pandas as pd

from msfa_core.columns import BY_NAME
from msfa_core.vetting.audit import AUDIT_COLUMNS, audit, changed_numbers, weights_at
from msfa_core.vetting.decision import Decision

PROVENANCE = [
    {"step": "classify", "time": "2026-01-01T00:00:00Z", "weights": "aaa"},
    {"step": "measure", "time": "2026-01-02T00:00:00Z"},
    {"step": "classify", "time": "2026-03-01T00:00:00Z", "weights": "bbb"},
]
SHOWN = {"row": {"p_bhb": 0.97, "predicted_class": "BHB", "in_bhb_region": True, "bp_rp": None}}


def decision(number=1, obsid=7, moment="2026-02-01T00:00:00Z", **more):
    given = {"shown": SHOWN, "decision_id": number, "decided_at": moment} | more
    return Decision(obsid, "G7", "accept", "Ann", **given)


def candidates(**values):
    row = {"obsid": 7, "p_bhb": 0.97, "predicted_class": "BHB", "in_bhb_region": True}
    return pd.DataFrame([row | {"bp_rp": np.nan} | values])


def test_numbers_that_changed_since_are_told_with_both():
    now = candidates(p_bhb=0.41, predicted_class="A")
    told = audit([decision()], now, PROVENANCE).iloc[0]
    assert told["other_numbers"] == (
        "decided on other numbers: p_bhb 0.9700 then, 0.4100 now; predicted_class BHB then, A now"
    )
    assert told["on_screen"].startswith("p_bhb 0.9700; predicted_class BHB")
    assert changed_numbers(decision(), candidates(bp_rp=0.2).iloc[0].to_dict()) == {
        "bp_rp": ("", format(0.2, BY_NAME["bp_rp"].format))
    }


def test_what_differs_in_no_printed_digit_has_not_changed():
    assert changed_numbers(decision(), candidates(p_bhb=0.97 + 1e-7).iloc[0].to_dict()) == {}
    assert audit([decision()], candidates()).iloc[0]["other_numbers"] == ""


def test_the_weights_of_the_time_are_named():
    assert weights_at(PROVENANCE, "2026-02-01T00:00:00Z") == "aaa"
    assert weights_at(PROVENANCE, "2026-03-02T00:00:00Z") == "bbb"
    assert weights_at(PROVENANCE, "2025-01-01T00:00:00Z") == ""


def test_withdrawals_and_spectra_that_left_are_told_too():
    gone = decision(2, obsid=99)
    back = decision(3, withdraws=1, shown={})
    told = audit([back, gone, decision()], candidates(), PROVENANCE)
    assert tuple(told.columns) == AUDIT_COLUMNS
    assert told["decision"].tolist() == ["takes back 1", "accept", "accept"]
    assert told["other_numbers"].tolist() == ["", "", ""]
    assert told["obsid"].tolist() == [7, 99, 7]
    assert audit([], candidates()).empty
