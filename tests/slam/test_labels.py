"""Outliers among the labels (Culpan et al. 2024 band, log g and [Fe/H] limits)."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.constants import LABEL_EXTERNAL_ERROR
from msfa_core.flags import LabelFlag
from msfa_core.slam.labels import (
    disagrees_with_class,
    external_errors,
    in_kiel_band,
    kiel_band,
    label_flags,
    oddness,
)


def test_kiel_band_is_that_of_culpan_2024_at_ten_thousand_kelvin():
    lower, upper = kiel_band([10_000.0])
    assert lower[0] == approx(4.0150 * 4 - 12.742)
    assert upper[0] == approx(4.4157 * 4 - 13.720)


def test_the_first_stars_of_the_papers_table_6_lie_in_the_band_but_for_one_edge():
    teff = [8982.60, 8373.87, 8046.81, 9129.97, 8561.56]
    logg = [3.31, 3.46, 3.40, 3.56, 3.33]
    lower, upper = kiel_band(teff)
    assert in_kiel_band(teff, logg).tolist() == [
        low < g < high for low, g, high in zip(lower, logg, upper, strict=True)
    ]


def row(**values):
    ordinary = {"teff": 9000.0, "logg": 3.3, "feh": -1.8, "teff_err": 50.0, "logg_err": 0.05}
    return ordinary | {"feh_err": 0.1, "label_chi2": 1.0, "label_flags": 0} | values


def test_flags_name_each_reason():
    table = pd.DataFrame(
        [row(), row(logg=4.5), row(feh=-0.2), row(logg=2.0), row(feh=np.nan), row(teff=np.nan)]
    )
    assert label_flags(table).tolist() == [
        0,
        LabelFlag.HIGH_LOGG | LabelFlag.OUTSIDE_KIEL_BAND,
        LabelFlag.HIGH_FEH,
        LabelFlag.OUTSIDE_KIEL_BAND,
        LabelFlag.MISSING,
        LabelFlag.MISSING,
    ]
    strict = label_flags(table, logg_limit=3.0, feh_limit=-2.0)
    assert strict[0] == LabelFlag.HIGH_LOGG | LabelFlag.HIGH_FEH


def test_labels_disagree_with_a_class_only_beyond_two_errors():
    table = pd.DataFrame(
        [
            row(predicted_class="BHB"),
            row(predicted_class="BHB", feh=-0.4),
            row(predicted_class="BHB", feh=0.1),
            row(predicted_class="A"),
            row(predicted_class="B", teff=8900.0),
            row(predicted_class="B", teff=9400.0, teff_err=200.0),
            row(predicted_class="HSD"),
            row(predicted_class="WD"),
            row(predicted_class=None),
            row(predicted_class="A", teff=np.nan),
        ]
    )
    expected = [False, False, True, False, True, False, True, True, False, False]
    assert disagrees_with_class(table).tolist() == expected
    assert not disagrees_with_class(table.drop(columns="predicted_class")).any()


def test_errors_grow_where_the_stars_that_the_scale_was_found_on_end():
    found = external_errors(np.array([6500.0, 8500.0, 12_000.0]))
    assert found["teff"].tolist() == [180.0, 180.0, 550.0]
    assert found["logg"].tolist() == [0.6, 0.21, 0.21]
    assert found["feh"].tolist() == [0.23, 0.23, 0.45]
    found = external_errors(np.array([9000.0, 9150.0, 10_000.0, 11_500.0]))
    assert found["logg"] == pytest.approx([0.21, 0.33, 0.45, 0.33])


def test_oddness_is_zero_for_an_ordinary_star_and_grows_with_every_reason():
    table = pd.DataFrame(
        [
            row(),
            row(feh=-1.0 + float(LABEL_EXTERNAL_ERROR["feh"])),  # one error
            row(feh=-0.5),
            row(feh=-0.5, label_flags=int(LabelFlag.DISAGREES_WITH_CLASS)),
            row(feh=-0.5, label_chi2=12.0, label_flags=int(LabelFlag.DISAGREES_WITH_CLASS)),
            row(teff=np.nan, logg=np.nan, feh=np.nan, label_chi2=np.nan),
        ]
    )
    odd = oddness(table)
    assert odd[0] == odd[5] == 0
    assert np.all(np.diff(odd[:5]) > 0)
    assert odd[1] == approx(1.0)
    assert odd[4] - odd[3] == approx(2.0)  # χ² four times its limit
    assert oddness(table, feh_limit=-2.0)[0] > 0
