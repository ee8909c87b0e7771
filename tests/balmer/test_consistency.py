"""Two measurements of the same stars: offset and scatter, outliers notwithstanding."""

import numpy as np
from pytest import approx

from msfa_core.balmer.consistency import agreement


def test_offset_and_scatter_come_back_despite_outliers_and_gaps():
    rng = np.random.default_rng(3)
    first = rng.uniform(15, 35, 4000)
    second = first - 0.7 + rng.normal(0, 1.3, 4000)
    second[:200] += 30
    second[200:300] = np.nan
    found = agreement(first, second)
    assert found.n == 3900
    assert found.median == approx(-0.7, abs=0.15)
    assert found.scatter == approx(1.3, rel=0.12)


def test_without_common_stars_there_is_nothing_to_say():
    found = agreement([1.0, np.nan], [np.nan, 2.0])
    assert found.n == 0
    assert np.isnan(found.median)
    assert np.isnan(found.scatter)
