import numpy as np
import pytest

from msfa_core.templates.spectral_types import (
    BHB_CODE,
    Family,
    spectral_code,
    spectral_type,
    subtypes_apart,
)


def test_the_code_runs_from_o0_at_zero_to_m9_at_69():
    names = [f"{letter}{digit}" for letter in "OBAFGKM" for digit in range(10)]
    assert spectral_code(names).tolist() == list(range(70))


@pytest.mark.parametrize(
    ("subclass", "family", "code"),
    [
        ("A1IV", Family.ORDINARY, 21),
        ("dM2", Family.ORDINARY, 62),
        ("gM3", Family.ORDINARY, 63),
        ("sdM1", Family.ORDINARY, 61),
        ("sdG5", Family.ORDINARY, 45),
        ("F", Family.ORDINARY, 35),
        ("K0.5", Family.ORDINARY, 50.5),
        ("A", Family.ORDINARY, 25),
        ("a5v", Family.ORDINARY, 25),
        ("dm2", Family.ORDINARY, 62),
        ("g", Family.ORDINARY, 45),
        ("k0.5 iii", Family.ORDINARY, 50.5),
        ("sdB", Family.HOT_SUBDWARF, 15),
        ("sdO", Family.HOT_SUBDWARF, 5),
        ("He-sdO", Family.HOT_SUBDWARF, 5),
        ("sdOB", Family.HOT_SUBDWARF, 15),
        ("BHB", Family.BHB, float(BHB_CODE)),
        ("OB", Family.ORDINARY, 5),
    ],
)
def test_a_subclass_on_the_sequence_is_understood(subclass, family, code):
    found = spectral_type(subclass)
    assert (found.family, found.code) == (family, code)


@pytest.mark.parametrize(
    ("subclass", "family"),
    [
        ("WD", Family.WHITE_DWARF),
        ("WDhotter", Family.WHITE_DWARF),
        ("DA", Family.WHITE_DWARF),
        ("DB", Family.WHITE_DWARF),
        ("CarbonWD", Family.WHITE_DWARF),
        ("Carbon", Family.CARBON),
        ("CARBON", Family.CARBON),
        ("db", Family.WHITE_DWARF),
        ("da4", Family.WHITE_DWARF),
        ("C", Family.CARBON),
        ("CV", Family.OTHER),
        ("L5", Family.OTHER),
        ("STARFORMING", Family.OTHER),
        ("AGN BROADLINE", Family.OTHER),
        ("GALAXY", Family.OTHER),
        ("Non", Family.UNKNOWN),
        ("", Family.UNKNOWN),
        (None, Family.UNKNOWN),
    ],
)
def test_what_is_off_the_sequence_has_no_code(subclass, family):
    found = spectral_type(subclass)
    assert found.family == family
    assert np.isnan(found.code)
    assert found.letter == ""


def test_a_dwarf_m_star_is_no_white_dwarf():
    assert spectral_type("dM0").family == Family.ORDINARY
    assert spectral_type("dA5").family == Family.ORDINARY


def test_subtypes_apart_counts_across_letters_and_knows_families():
    one = ["F9", "A5V", "WD", "WD", "BHB", "Non", "Carbon"]
    other = ["G1", "A5IV", "DA", "A0", "A1V", "G2", "CV"]
    assert subtypes_apart(one, other)[:6].tolist()[:5] == [2, 0, 0, np.inf, 1]
    assert np.isnan(subtypes_apart(one, other)[5])
    assert subtypes_apart(one, other)[6] == np.inf
