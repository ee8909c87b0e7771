"""Lessons hold stars of both kinds by difficulty; the truth is told with what gave it away."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.constants import LINE_LIST, NETWORK_GRID
from msfa_core.errors import SurveyError
from msfa_core.spine.lessons import (
    LESSON_SIZE,
    gave_away,
    is_right,
    lessons,
    networks_in_words,
    score,
    verdict_in_words,
)


@pytest.fixture(scope="module")
def table():
    """300 stars; the networks are surer the higher the S/N is."""
    rng = np.random.default_rng(2)
    n = 300
    truth = rng.choice(["BHB", "A", "B", "F"], n, p=[0.4, 0.4, 0.15, 0.05])
    snr = 10 ** rng.uniform(1, 2, n)
    p = np.clip(1 - 3 / snr + rng.normal(0, 0.02, n), 0.3, 0.999)
    columns = {f"p_class_{k}": (1 - p) / 4 for k in ("bhb", "a", "b", "hsd", "wd")}
    for kind in ("BHB", "A", "B"):
        columns[f"p_class_{kind.lower()}"] = np.where(truth == kind, p, (1 - p) / 4)
    made = pd.DataFrame(
        {
            "obsid": np.arange(n) + 1,
            "uid": [f"L{k}" for k in range(n)],
            "snr_g": snr,
            "in_search_domain": True,
            "predicted_class": np.where(truth == "BHB", "BHB", "A"),
            "p_bhb": np.where(truth == "BHB", p, 1 - p),
            **columns,
            "in_bhb_region": truth == "BHB",
            "true_class": truth,
        }
    )
    return conform(made)


def test_lessons_go_from_clear_to_hard_and_hold_both_kinds(table):
    taught = lessons(table)
    assert [one.name for one in taught] == ["clear cases", "everyday stars", "hard cases"]
    by_obsid = table.set_index("obsid")
    snr = [by_obsid.loc[one.obsid, "snr_g"].median() for one in taught]
    assert snr == sorted(snr, reverse=True)
    for one in taught:
        assert len(set(one.obsid)) == len(one.obsid) == LESSON_SIZE
        n_bhb = (by_obsid.loc[one.obsid, "true_class"] == "BHB").sum()
        assert n_bhb == LESSON_SIZE // 2
    assert not set(taught[0].obsid) & set(taught[2].obsid)
    assert all(
        np.array_equal(a.obsid, b.obsid) for a, b in zip(taught, lessons(table), strict=True)
    )


def test_a_survey_without_truth_or_classes_teaches_nobody(table):
    with pytest.raises(SurveyError, match="truth"):
        lessons(table.drop(columns="true_class"))
    blank = {name: np.nan for name in table.columns if name.startswith("p_class_")}
    with pytest.raises(SurveyError, match="msfa run"):
        lessons(table.assign(**blank))


def test_the_score_counts_right_wrong_and_unsure(table):
    first = {kind: int(table.loc[table["true_class"] == kind, "obsid"].iloc[0]) for kind in "AB"}
    bhb = int(table.loc[table["true_class"] == "BHB", "obsid"].iloc[0])
    said = {bhb: "accept", first["A"]: "accept", first["B"]: "unsure"}
    done = score(table, said)
    assert (done.n_decided, done.n_right, done.n_unsure, done.missed) == (3, 1, 1, {"A": 1})
    assert done.sentence == "1 of 3 right, 1 unsure"
    assert is_right("reject", "WD") and not is_right("unsure", "BHB")
    assert verdict_in_words("accept", "A") == "Not so: it is an A star."


def test_witnesses_that_told_the_truth_come_first(table):
    row = table[table["true_class"] == "F"].iloc[0].copy()
    row["predicted_class"], row["p_bhb"] = "BHB", 0.9  # the networks err, the plane does not
    told = gave_away(row, Settings())
    assert [name for name, _, ok in told if ok] == ["D0.2–fm"]
    assert [name for name, _, ok in told if not ok] == ["networks"]
    assert "Outside" in told[0][1]


@pytest.mark.parametrize(
    ("spoke", "words"),
    [
        ({"Hγ": 3.0, "Hβ": 2.0, "Hα": 1.0, "He I 4471": -1.0},
         "The networks took it for an A star, most of all by Hγ and Hβ; "
         "He I 4471 spoke against it."),
        ({"He I 5876": 0.5}, "The networks took it for an A star, most of all by He I 5876."),
        ({}, "The networks took it for an A star, by no line above all."),
    ],
)  # fmt: skip
def test_the_lines_that_the_networks_went_by_are_named(spoke, words):
    from msfa_core.search.saliency import Saliency

    attribution = np.zeros((1, NETWORK_GRID.n_pixels))
    attribution[0, ::100] = 0.001  # noise between the lines
    for name, amount in spoke.items():
        pixel = np.abs(NETWORK_GRID.wavelength - LINE_LIST[name][0]).argmin()
        attribution[0, pixel] = amount
    one = np.zeros(1)
    said = Saliency(np.array([1]), np.array([1]), attribution, attribution, one, one)
    assert networks_in_words(said) == words
    nothing = Saliency(np.array([1]), np.array([-1]), attribution * np.nan, attribution, one, one)
    assert networks_in_words(nothing) == ""
