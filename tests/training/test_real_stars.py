"""The exam of real stars is what it says it is, and shipped weights do better than chance."""

import numpy as np
import pytest
from exam_of_real_stars import answers, drawn, lamost_a_stars, sources

from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.training.evaluate import evaluate

pytestmark = pytest.mark.real


def test_the_exam_leaves_out_what_is_doubtful_and_says_why(real_data):
    counted, left_out = sources(real_data)
    assert {one.object_class for one in counted} == {"BHB", "A", "B", "HSD", "WD"}
    bhb = {one.star for one in counted if one.object_class == "BHB"}
    assert bhb == {"HD2857", "HD14829", "HD60778", "HD86986", "HD109995", "HD161817"}
    reasons = {one.star: reason for one, reason in left_out}
    assert "horizontal-branch" in reasons["HD135485"]
    assert "model" in reasons["LTT7987"]
    assert all(reasons.values())
    assert not {one.star for one in counted} & {"HD135485", "HD338529", "HD269687", "LTT7987"}


def test_the_draws_are_the_same_each_time_and_know_their_stars(real_data):
    chosen = [one for one in sources(real_data)[0] if one.star == "HD2857"]
    one, other = drawn(chosen, draws=3), drawn(chosen, draws=3)
    assert one.fingerprint() == other.fingerprint()
    assert len(chosen) == 2  # MILES and STELIB
    assert np.unique(one.star).size == 1
    assert ((one.snr_g >= 10) & (one.snr_g <= 80)).all()
    assert one.truth["true_teff"].between(7500, 7700).all()
    assert one.provenance["simulated"] is False


def test_the_shipped_search_keeps_real_bhb_stars_and_few_others(real_data):
    counted, _ = sources(real_data)
    some = [one for one in counted if one.object_class == "BHB"] + counted[:60:6]
    result = evaluate(answers(TwoStageSearch.load(), drawn(some, draws=2)))
    assert result.title.startswith("REAL")
    assert result.let_through["BHB"] > 0.9
    assert result.shares.loc["all but BHB", "both stages"] < 0.05


def test_lamost_a_stars_come_with_what_a_human_needs(real_data):
    data, table = lamost_a_stars(real_data)
    assert (data.snr_g > 10).all()
    assert len(data) == len(table) > 30
    assert table["subclass"].str.startswith("A").all()
    assert {"d02_hdelta", "fm_hgamma", "kp", "ew_mgii4481"} <= set(data.truth.columns)
