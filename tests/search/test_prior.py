"""Probabilities for other class shares: Bayes' rule, and what cannot be read is refused."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import ConfigError
from msfa_core.search.prior import Trained, shares_of, with_prior

NAMES = ("BHB", "A", "B", "HSD", "WD")
EVEN = Trained(dict.fromkeys(NAMES, 1000), ("A", "HSD"))


def said(*rows):
    columns = [f"p_class_{name.lower()}" for name in NAMES]
    table = pd.DataFrame([row[:5] for row in rows], columns=columns)
    best = [NAMES[int(np.argmax(row[:5]))] if np.isfinite(row[0]) else None for row in rows]
    return table.assign(predicted_class=pd.Series(best, dtype="str"), p_bhb=[r[5] for r in rows])


def test_shares_as_in_the_training_change_nothing():
    table = said((0.5, 0.3, 0.1, 0.06, 0.04, 0.8))
    found = with_prior(table, dict.fromkeys(NAMES, 0.2), EVEN)
    pd.testing.assert_frame_equal(found, table)


def test_rare_bhb_stars_need_more_evidence_by_bayes_rule():
    table = said((0.5, 0.3, 0.1, 0.06, 0.04, 0.8), (np.nan,) * 6)
    shares = {"BHB": 0.05, "A": 0.8, "B": 0.1, "HSD": 0.02, "WD": 0.03}
    found = with_prior(table, shares, EVEN)
    total = 0.5 * 0.05 + 0.3 * 0.8 + 0.1 * 0.1 + 0.06 * 0.02 + 0.04 * 0.03
    assert found["p_class_bhb"][0] == approx(0.5 * 0.05 / total)
    assert found.filter(like="p_class_").iloc[0].sum() == approx(1)
    assert found["predicted_class"][0] == "A"
    odds = 0.8 / 0.2 * (0.05 / 0.82) / (1 / 2)
    assert found["p_bhb"][0] == approx(odds / (1 + odds))
    assert found.iloc[1].isna().all()


def test_of_stars_drawn_with_the_shares_those_given_p_are_bhb_at_that_rate():
    rng = np.random.default_rng(1)
    shares = {"BHB": 0.05, "A": 0.95 - 3e-6, "B": 1e-6, "HSD": 1e-6, "WD": 1e-6}
    is_bhb = rng.uniform(size=200_000) < 0.05
    score = rng.normal(np.where(is_bhb, 1.5, -1.5), 1.0)
    trained = 1 / (1 + np.exp(-3 * score))  # of even shares
    table = said(*[(p, 1 - p, 0, 0, 0, p) for p in trained])
    found = with_prior(table, shares, Trained(dict.fromkeys(NAMES, 1000), ("A",)))
    for column in ("p_class_bhb", "p_bhb"):
        p = found[column].to_numpy()
        near = (p > 0.7) & (p < 0.9)
        assert is_bhb[near].mean() == approx(p[near].mean(), abs=0.03)


def test_the_shares_of_the_survey_sum_to_one_and_the_weights_know_theirs():
    assert sum(shares_of("lamost").values()) == approx(1)
    own = shares_of("BHB 0.05, A: 0.8, B 0.1, HSD 0.02, WD 0.03")
    assert own["A"] == 0.8
    trained = Trained.of()
    assert set(trained.counts) == set(NAMES)
    assert trained.negatives == ("A", "HSD")


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("sdss", "cannot be read"),
        ("BHB 0.5, A 0.5", "leaves out B, HSD, WD"),
        ("BHB 0.05, A 0.9, B 0.1, HSD 0.02, WD 0.03", "sum to 1.1"),
        ("BHB -0.1, A 0.8, B 0.2, HSD 0.05, WD 0.05", "cannot be read"),
        ("BHB 0.1, BHB 0.8, B 0.05, HSD 0.02, WD 0.03", "cannot be read"),
        ("BHB half, A 0.8, B 0.1, HSD 0.02, WD 0.03", "cannot be read"),
    ],
)
def test_shares_that_are_none_are_refused(prior, message):
    with pytest.raises(ConfigError, match=message):
        shares_of(prior)
