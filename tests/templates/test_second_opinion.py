"""A template that cannot be the networks' class is a disagreement; doubt is none."""

import pandas as pd
import pytest

from msfa_core.constants import StellarClass
from msfa_core.templates.second_opinion import agree, template_disagrees
from msfa_core.templates.spectral_types import spectral_type


@pytest.mark.parametrize(
    ("subclass", "network", "agrees"),
    [
        ("A1V", "BHB", True),
        ("BHB", "BHB", True),
        ("B8III", "BHB", True),
        ("F5", "BHB", False),
        ("G2", "BHB", False),
        ("WD", "BHB", False),
        ("sdB", "BHB", False),
        ("BHB", "A", False),
        ("A5V", "A", True),
        ("F0", "A", True),
        ("K3", "A", False),
        ("B2", "B", True),
        ("A0", "B", True),
        ("A7", "B", False),
        ("sdB", "HSD", True),
        ("B1", "HSD", True),
        ("A3", "HSD", False),
        ("DA", "WD", True),
        ("A0", "WD", False),
        ("Carbon", "A", False),
    ],
)
def test_what_a_class_can_be_called_agrees(subclass, network, agrees):
    assert agree(spectral_type(subclass), StellarClass(network)) is agrees


def test_disagreement_is_missing_where_one_says_nothing_or_the_match_is_doubtful():
    table = pd.DataFrame(
        {
            "template_class": ["STAR", "QSO", "STAR", "STAR", None, "STAR", "STAR"],
            "template_subclass": ["G5", None, "A2", "G5", None, "G5", None],
            "template_confidence": [95.0, 90.0, 90.0, 40.0, float("nan"), 95.0, 95.0],
            "predicted_class": ["BHB", "BHB", "BHB", "BHB", "BHB", None, "A"],
        },
        index=range(10, 17),
    )
    found = template_disagrees(table)
    assert found.index.tolist() == list(range(10, 17))
    assert found[:3].tolist() == [True, True, False]
    assert found[3:].isna().all()


def test_an_empty_table_has_no_disagreements():
    names = ["template_class", "template_subclass", "predicted_class"]
    table = pd.DataFrame({name: pd.Series(dtype="str") for name in names})
    table["template_confidence"] = pd.Series(dtype="float64")
    assert len(template_disagrees(table)) == 0
