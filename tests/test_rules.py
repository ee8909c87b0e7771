"""Each rule once: what it holds of, and that its sentence says the same."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msfa_core import rules
from msfa_core.columns import conform
from msfa_core.config import Settings, settings_help
from msfa_core.errors import ConfigError
from msfa_core.flags import MatchFlag
from msfa_core.vetting.filters import contradictions, preset_filters

ROOT = Path(__file__).resolve().parents[1]


def rows(**columns):
    """Return spectra of stars of subclass A1 at S/N 30, less what is given."""
    n = max((len(values) for values in columns.values()), default=1)
    table = {
        "obsid": range(1, n + 1), "class": ["STAR"] * n, "subclass": ["A1V"] * n,
        "snr_g": [30.0] * n, "predicted_class": ["BHB"] * n, "p_bhb": [0.9] * n,
    }  # fmt: skip
    return conform(pd.DataFrame({**table, **columns}))


@pytest.mark.parametrize("subclass", ["A1V", "b6", " b6 ", "  A", "B", "bHB"])
def test_a_subclass_is_read_without_regard_to_blanks_and_case(subclass):
    table = rows(subclass=[subclass])
    assert rules.in_search_domain(table, Settings()).tolist() == [True]
    assert not contradictions(table, Settings())["header subclass is neither A nor B"].any()


@pytest.mark.parametrize("subclass", ["F0", " f0", "sdB", "DA", "K3"])
def test_another_subclass_is_outside_and_contradicts_the_networks(subclass):
    table = rows(subclass=[subclass])
    assert rules.in_search_domain(table, Settings()).tolist() == [False]
    assert contradictions(table, Settings())["header subclass is neither A nor B"].all()


@pytest.mark.parametrize("subclass", [None, "", "  ", "Non", "none"])
def test_no_subclass_is_outside_and_contradicts_nobody(subclass):
    table = rows(subclass=[subclass])
    assert not rules.in_search_domain(table, Settings()).any()
    assert not contradictions(table, Settings())["header subclass is neither A nor B"].any()
    assert rules.outside_domain_sentences(table.iloc[0], Settings()) == ["no subclass"]


def test_the_signal_must_lie_above_the_cut_and_every_sentence_says_so():
    table = rows(snr_g=[9.99, 10.0, 10.01, np.nan])
    assert rules.in_search_domain(table, Settings()).tolist() == [False, False, True, False]
    assert "S/N(g) > 10" in rules.domain_sentence(Settings())
    assert "S/N(g) > 7.5" in rules.domain_sentence(Settings(snr_min=7.5))
    assert "S/N(g) > 10" in preset_filters(Settings())["in domain"].sentence
    assert "above" in " ".join(settings_help()["snr_min"])
    said = rules.outside_domain_sentences(table.iloc[1], Settings())
    assert said == ["S/N(g) 10 not above 10"]
    for path in (*ROOT.glob("msfa_core/**/*.py"), ROOT / "README.md"):
        assert not re.search(r"least S/N", path.read_text(encoding="utf-8"), re.IGNORECASE), path


WORDS = st.one_of(
    st.none(), st.sampled_from(["", " ", "STAR", "star ", "GALAXY", "A1", " b6 ", "F"])
)


@given(
    WORDS,
    WORDS,
    st.one_of(st.just(float("nan")), st.floats(-5, 50)),
    st.sampled_from([None, "low", "medium", ""]),
)
def test_reasons_are_given_exactly_for_what_is_outside(cls, subclass, snr_g, resolution):
    table = rows(**{"class": [cls], "subclass": [subclass], "snr_g": [snr_g]}).assign(
        resolution=pd.Series([resolution], dtype="str")
    )
    inside = bool(rules.in_search_domain(table, Settings())[0])
    assert inside == (not rules.outside_domain_sentences(table.iloc[0], Settings()))


def test_a_candidate_needs_domain_and_both_stages():
    table = rows(
        subclass=["A", "A", "A", "F", "A", "A"],
        predicted_class=["BHB", "A", "BHB", "BHB", None, "BHB"],
        p_bhb=[0.5, 0.9, 0.49, 0.9, np.nan, np.nan],
    )
    table["in_search_domain"] = rules.in_search_domain(table, Settings())
    kept = rules.are_candidates(table, Settings())
    assert kept[:4].tolist() == [True, False, False, False]
    assert kept[4:].isna().all()
    said = rules.candidate_sentence(Settings(bhb_threshold=0.4))
    assert "p_bhb ≥ 0.4" in said
    assert rules.are_candidates(table, Settings(bhb_threshold=0.4))[2]


def test_the_lenient_rule_asks_how_likely_bhb_is_and_not_whether_it_is_first():
    table = rows(
        subclass=["A"] * 4,
        predicted_class=["B", "B", "BHB", None],
        p_class_bhb=[0.35, 0.25, 0.6, np.nan],
        p_bhb=[0.9, 0.9, 0.2, np.nan],
    )
    table["in_search_domain"] = rules.in_search_domain(table, Settings())
    assert not rules.are_candidates(table, Settings())[:3].any()
    kept = rules.are_candidates(table, Settings(rule="lenient"))
    assert kept[:3].tolist() == [True, False, False]
    assert pd.isna(kept[3])
    assert "P(BHB) of stage 1 ≥ 0.3" in rules.candidate_sentence(Settings(rule="lenient"))
    with pytest.raises(ConfigError, match="choose paper or lenient"):
        rules.keep_by_rule(table, "mine", 0.5)


def test_what_stage1_ruled_out_is_no_candidate_and_not_unknown():
    table = rows(
        subclass=["A"] * 3,
        predicted_class=["A", None, "BHB"],
        p_class_bhb=[1e-3, np.nan, 0.9],
        p_bhb=[np.nan] * 3,
    )
    table["in_search_domain"] = rules.in_search_domain(table, Settings())
    for rule in ("paper", "lenient"):
        kept = rules.are_candidates(table, Settings(rule=rule))
        assert kept.tolist() == [False, pd.NA, pd.NA]
    assert rules.ruled_out_by_stage1(table).tolist() == [True, False, True]
    assert "P(BHB) < 0.01" in rules.ruled_out_sentence(Settings())


def test_a_spectrum_without_a_uid_is_a_star_of_its_own():
    uid = ["G7", None, "G5", "", "G7", None]
    table = rows(uid=uid, snr_g=[5.0, 1, 2, 3, 9, np.nan])
    assert rules.star_numbers(table).tolist() == [0, 1, 2, 3, 0, 4]
    assert rules.n_stars(table) == 5
    assert rules.representatives(table).tolist() == [False, True, True, True, True, True]
    assert rules.n_stars(table.iloc[:0]) == 0
    assert rules.star_numbers(table.drop(columns="uid")).tolist() == [0, 1, 2, 3, 4, 5]
    assert rules.star_numbers(table.set_index("obsid")).tolist() == [0, 1, 2, 3, 0, 4]


def test_of_equal_signals_the_lowest_obsid_represents_its_star():
    table = rows(obsid=[9, 4, 6], uid=["G1"] * 3, snr_g=[20.0, 20.0, np.nan])
    assert rules.representatives(table).tolist() == [False, True, False]


def test_resolution_is_low_where_nobody_says_otherwise():
    table = rows(obsid=[1, 2, 3, 4]).assign(
        resolution=pd.Series(["medium", "low", None, ""], dtype="str")
    )
    assert rules.resolutions(table).tolist() == ["medium", "low", "low", "low"]
    assert rules.are_low_resolution(table.drop(columns="resolution")).all()


def test_an_epoch_is_shifted_by_its_measured_velocity_else_by_z():
    table = rows(z=[1e-3, 1e-3, np.nan], epoch_rv=[299.792458, np.nan, np.nan])
    assert rules.epoch_shifts(table)[:2] == pytest.approx([1e-3, 1e-3])
    assert np.isnan(rules.epoch_shifts(table)[2])


def test_kinds_of_headers_are_counted_without_regard_to_blanks():
    table = rows(
        **{
            "class": ["STAR", " star", "GALAXY", None, "STAR", "STAR"],
            "subclass": [" b6 ", "A1", "AGN", "A", "dM2", None],
        }
    )
    said = rules.kinds(table)
    assert said.dropna().tolist() == ["STAR B", "STAR A", "GALAXY", "STAR dM", "STAR"]
    assert said.isna().tolist() == [False, False, False, True, False, False]


def test_the_cut_in_parallax_is_the_papers():
    table = rows(parallax_mas=[1.0, 1.0, -1.0, np.nan], parallax_over_error=[5.01, 5.0, 9.0, 9.0])
    assert rules.have_good_parallax(table).tolist() == [True, False, False, False]
    assert rules.PARALLAX_SENTENCE == "ϖ > 0 and σ/ϖ < 0.2"


def test_a_redshift_is_contradicted_by_a_trusted_star_far_off_alone():
    speed = rules.SPEED_OF_LIGHT
    rows = [  # z [km/s], match [km/s], its error [km/s], its class, its flags, contradicted
        (-117, 80, 10, "STAR", 0, True),
        (-117, -60, 10, "STAR", 0, False),  # 57 km/s
        (-117, -17, 25, "STAR", 0, False),  # four of its errors
        (-117, 80, 10, "STAR", int(MatchFlag.LOW_CONFIDENCE), False),
        (-117, 80, 10, "STAR", int(MatchFlag.REDDENED), False),
        (-117, 80, 10, "STAR", int(MatchFlag.ALIKE), True),
        (-117, 80, 10, "GALAXY", 0, False),
        (np.nan, 80, 10, "STAR", 0, False),
        (-117, 80, 10, "STAR", None, False),
        (-117, 80, 10, None, 0, False),
    ]
    z, match, error, kind, flags, expected = map(list, zip(*rows, strict=True))
    table = pd.DataFrame(
        {
            "z": np.array(z) / speed,
            "template_z": np.array(match) / speed,
            "template_z_err": np.array(error) / speed,
            "template_class": pd.Series(kind, dtype="str"),
            "template_flags": pd.array(flags, dtype="Int64"),
        }
    )
    assert rules.redshift_is_contradicted(table).tolist() == expected
    assert not rules.redshift_is_contradicted(table[["z"]]).any()
    rest = np.where(expected, table["template_z"], table["z"])
    rest[7] = table.loc[7, "template_z"]  # nobody else gives one
    assert np.array_equal(rules.rest_redshifts(table), rest, equal_nan=True)
    assert np.array_equal(rules.rest_redshifts(table[["z"]]), table["z"], equal_nan=True)
    used, not_used = rules.redshift_sentences()
    assert "60 km/s" in used
    whole = conform(table.assign(obsid=range(len(rows))))
    said = contradictions(whole, Settings())  # measured before they were matched
    assert said[not_used].tolist() == expected
    assert not said[used].any()
    said = contradictions(whole.assign(rest_z=rest), Settings())
    assert said[used].tolist() == expected
    assert not said[not_used].any()


@pytest.mark.parametrize(
    ("flags", "takes"),
    [
        (MatchFlag(0), True),
        (MatchFlag.LOW_CONFIDENCE, True),  # of the class, not of the shift
        (MatchFlag.LOW_CONFIDENCE | MatchFlag.FEATURELESS, False),
        (MatchFlag.AT_EDGE, False),
        (MatchFlag.NO_SOLUTION, False),
    ],
)
def test_a_spectrum_without_a_redshift_takes_that_of_any_star_whose_lines_fit(flags, takes):
    table = pd.DataFrame(
        {
            "z": [np.nan], "template_z": [3e-4], "template_z_err": [1e-5],
            "template_class": ["STAR"], "template_flags": [int(flags)],
        }
    )  # fmt: skip
    assert np.isfinite(rules.rest_redshifts(table)).tolist() == [takes]
    assert np.isnan(rules.rest_redshifts(table.assign(template_class="QSO"))).all()
