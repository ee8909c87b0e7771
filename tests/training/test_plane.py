"""Straight cuts in the D0.2–fm plane, drawn on stars whose border is known."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.training.plane import best_plane_line, compare_with_plane_cut
from msfa_core.training.scores import binary_scores


def test_the_best_straight_line_finds_the_border_it_was_given():
    rng = np.random.default_rng(3)
    d02, fm = rng.uniform(5, 45, 3000), rng.uniform(0.1, 0.5, 3000)
    is_bhb = 0.1 * d02 - 8 * fm + 0.4 > 0
    d02[::50] = np.nan
    line = best_plane_line(d02, fm, is_bhb)
    found = line.are_bhb(d02, fm)
    known = np.isfinite(d02)
    assert binary_scores(is_bhb[known], found[known])["f1"] > 0.995
    assert not found[~known].any()


def test_the_offset_of_the_line_is_the_one_of_highest_f1():
    rng = np.random.default_rng(4)
    d02 = np.concatenate([rng.normal(22, 3, 200), rng.normal(32, 5, 2000)])
    fm = np.concatenate([rng.normal(0.22, 0.04, 200), rng.normal(0.26, 0.05, 2000)])
    is_bhb = np.arange(2200) < 200
    line = best_plane_line(d02, fm, is_bhb)
    best = binary_scores(is_bhb, line.are_bhb(d02, fm))["f1"]
    for offset in np.linspace(-20, 20, 401):
        moved = type(line)(line.d02_weight, line.fm_weight, line.offset + offset)
        assert binary_scores(is_bhb, moved.are_bhb(d02, fm))["f1"] <= best + 1e-12


def test_a_line_needs_stars_on_both_sides():
    with pytest.raises(TrainingError, match="both of its sides"):
        best_plane_line(np.array([20.0, np.nan]), np.array([0.2, 0.3]), np.array([True, False]))


def test_the_search_is_put_beside_the_cuts_on_the_same_spectra():
    is_bhb = np.array([True, True, True, False, False])
    candidate = np.array([True, True, False, True, False])
    box = np.array([True, False, True, False, False])
    table = compare_with_plane_cut(candidate, is_bhb, {"box": box})
    assert isinstance(table, pd.DataFrame)
    assert table["n_chosen"].tolist() == [3, 2, 1]
    assert table.loc["box", "precision"] == 1
    assert table.loc["MSFA-Net, then box", "recall"] == approx(1 / 3)
    assert (table["n_true"] == 3).all()
