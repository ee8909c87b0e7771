"""What the six witnesses say of a star."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.balmer.locus import dividing_line
from msfa_core.balmer.region import are_in_bhb_region
from msfa_core.columns import conform
from msfa_core.config import Settings
from msfa_core.flags import LabelFlag, MatchFlag
from msfa_core.spine.derived import without_indices_off_rest
from msfa_core.spine.witnesses import (
    WITNESSES,
    Stance,
    calcium_teff_max,
    probability_words,
    stances,
    witnesses,
)
from msfa_core.vetting.filters import contradictions


def table_of(**columns):
    n = max(len(values) for values in columns.values()) if columns else 1
    return conform(pd.DataFrame({"obsid": 2**60 + np.arange(n), **columns}))


def midway():
    x, kp = dividing_line("d02_hdelta")
    k = len(x) // 2
    return float(x[k]), float(kp[k])


def full_table():
    """A star that all speak for, one that all speak against."""
    x, kp = midway()
    return table_of(
        predicted_class=["BHB", "A"],
        p_bhb=[0.99999, 0.02],
        in_search_domain=[True, True],
        is_candidate=[True, False],
        template_class=["STAR", "STAR"],
        template_subclass=["BHB", "G2V"],
        template_confidence=[98.0, 98.0],
        in_bhb_region=[True, False],
        in_cmd_trapezoid=[True, False],
        bp_rp=[0.1, 0.4],
        abs_mag_g=[0.8, 3.1],
        parallax_mas=[0.4, 0.4],
        parallax_over_error=[12.0, 12.0],
        teff=[8000.0, 8000.0],
        logg=[3.3, 4.4],
        feh=[-1.8, -0.1],
        label_flags=[0, int(LabelFlag.HIGH_LOGG)],
        d02_hdelta=[x, x],
        kp=[kp - 0.5, kp + 0.5],
        kp_err=[0.1, 0.1],
    )


def test_each_witness_speaks_for_a_bhb_star_and_against_another():
    table = full_table()
    for name, said in stances(table, Settings()).items():
        assert list(said) == [Stance.FOR, Stance.AGAINST], name
    for row in range(2):
        found = witnesses(table.iloc[row], Settings())
        assert [one.name for one in found] == list(WITNESSES)
        assert len({one.stance for one in found}) == 1
        assert all(one.words and len(one.words) < 20 and one.sentence[-1] == "." for one in found)


def test_a_witness_that_was_not_asked_is_silent_and_says_why():
    table = table_of()
    assert not any(said.any() for said in stances(table, Settings()).values())
    for one in witnesses(table.iloc[0], Settings()):
        assert one.stance is Stance.SILENT
        assert one.words and "nan" not in one.sentence


def test_what_stage1_ruled_out_is_spoken_against_in_words():
    table = table_of(predicted_class=["A"], p_class_bhb=[0.001])
    assert stances(table, Settings())["networks"][0] == Stance.AGAINST
    said = witnesses(table.iloc[0], Settings())[0]
    assert (said.stance, said.words) == (Stance.AGAINST, "A · ruled out")
    assert "ruled out by stage 1" in said.sentence and "nan" not in said.sentence


def test_a_poor_parallax_a_poor_fit_and_a_hot_star_make_witnesses_silent():
    table = full_table().assign(
        parallax_over_error=1.0,
        label_flags=int(LabelFlag.POOR_CHI2),
        logg=3.3,
        feh=-1.8,
        teff=calcium_teff_max() + 500,
        template_confidence=5.0,
    )
    found = stances(table, Settings())
    for name in ("CMD", "labels", "template"):
        assert not found[name].any(), name
    assert list(found["Ca K"]) == [Stance.SILENT, Stance.AGAINST]  # hot: weak lines say nothing
    assert [one.words for one in witnesses(table.iloc[0], Settings())][3:5] == [
        "parallax poor",
        "poor fit",
    ]


def test_a_star_without_a_parallax_is_not_called_one_of_a_poor_parallax():
    row = full_table().assign(parallax_mas=np.nan, parallax_over_error=np.nan, abs_mag_g=np.nan)
    assert witnesses(row.iloc[0], Settings())[3].words == "no parallax"
    negative = full_table().assign(parallax_mas=-0.1, parallax_over_error=-1.0, abs_mag_g=np.nan)
    assert witnesses(negative.iloc[0], Settings())[3].words == "parallax poor"


def test_a_spectrum_without_lines_or_their_fits_has_witnesses_that_say_so():
    table = table_of(
        template_class=["STAR"],
        template_subclass=["DB"],
        template_confidence=[0.0],
        template_flags=[int(MatchFlag.FEATURELESS | MatchFlag.LOW_CONFIDENCE)],
        balmer_flags_hdelta=[1024],
        balmer_flags_hgamma=[1024],
    )
    table["in_bhb_region"] = are_in_bhb_region(table, "ju2024")
    said = {one.name: one for one in witnesses(table.iloc[0], Settings())}
    assert said["template"].words == "no lines"
    assert said["D0.2–fm"].words == "not measured"
    assert {said[name].stance for name in ("template", "D0.2–fm")} == {Stance.SILENT}


def test_a_template_of_an_ordinary_a_star_speaks_for_no_bhb_star():
    """With BHB stars among the templates: A9V at 100 % had a tick beside it."""
    table = full_table().assign(template_subclass=["A9V", "B5V"])
    assert not stances(table, Settings())["template"].any()
    said = witnesses(table.iloc[0], Settings())[1]
    assert said.words == "A9V 98 %"
    assert said.sentence == "The best template is A9V 98 %, which a BHB star can look like too."


def test_an_index_at_a_contradicted_redshift_is_none():
    far = 0.0006
    at = {"kp": [0.9] * 4, "kp_err": [0.1] * 4, "ew_hei4471": [0.2] * 4, "z": [far, 0.0, far, far]}
    table = table_of(
        template_class=["STAR"] * 4,
        template_z=[0.0] * 4,
        template_z_err=[1e-5] * 4,
        template_flags=[0, 0, 32, 0],
        rest_z=[far, 0.0, far, 0.0],
        **at,
    )
    found = without_indices_off_rest(table)
    for name in ("kp", "kp_err", "ew_hei4471"):
        assert found[name].isna().tolist() == [True, False, False, False]
    said = witnesses(found.iloc[0], Settings())[5]
    assert said.stance == Stance.SILENT and "another redshift" in said.sentence


def test_within_its_error_calcium_cannot_tell():
    x, kp = midway()
    table = table_of(d02_hdelta=[x, x], kp=[kp - 0.05, kp + 0.05], kp_err=[0.1, 0.1])
    assert not stances(table, Settings())["Ca K"].any()


def test_a_line_read_at_an_uncertain_width_of_hdelta_leaves_calcium_silent():
    """Between 20.6 and 28.2 Å of D0.2 the line falls by 1.7 Å of KP: 4 Å are 0.9 Å."""
    x, kp = midway()
    table = table_of(
        d02_hdelta=[x] * 4, d02_hdelta_err=[4.0, 4.0, 0.4, 0.4],
        kp=[kp - 0.5, kp + 0.5] * 2, kp_err=[0.1] * 4,
    )  # fmt: skip
    assert list(stances(table, Settings())["Ca K"]) == [
        Stance.SILENT, Stance.SILENT, Stance.FOR, Stance.AGAINST,
    ]  # fmt: skip


def test_within_its_errors_the_plane_does_not_speak_against():
    """D0.2 29.2 ± 2.3 Å beside a limit of 28.5 Å, as on real stars; 29.2 ± 0.2 Å is outside."""
    x, kp = midway()
    table = table_of(
        in_bhb_region=[False, False, False, True],
        p_in_bhb_region=[0.38, 0.0003, np.nan, 0.55],
        is_candidate=[True] * 4,
        predicted_class=["BHB"] * 4,
        p_bhb=[0.9] * 4,
        d02_hdelta=[29.2] * 4,
        kp=[kp] * 4,
    )
    said = stances(table, Settings())["D0.2–fm"]
    assert list(said) == [Stance.SILENT, Stance.AGAINST, Stance.AGAINST, Stance.FOR]
    box = contradictions(table, Settings())["outside the D0.2–fm box"]
    assert list(box) == [False, True, True, False]
    found = {one.name: one for one in witnesses(table.iloc[0], Settings())}["D0.2–fm"]
    assert found.words == "at the limit" and "38 %" in found.sentence
    assert {one.name: one for one in witnesses(table.iloc[1], Settings())}[
        "D0.2–fm"
    ].words == "outside"


def test_within_its_errors_the_cmd_does_not_speak_against():
    """M_G 2.5 ± 0.4 beside a limit of 2.2, as on real stars; M_G 2.5 ± 0.1 is outside."""
    table = table_of(
        is_candidate=[True] * 4,
        in_cmd_trapezoid=[False, False, False, True],
        p_in_cmd_trapezoid=[0.24, 0.002, np.nan, 0.6],
        bp_rp=[0.1] * 4,
        abs_mag_g=[2.5, 2.5, 2.5, 2.1],
        parallax_mas=[0.4] * 4,
        parallax_over_error=[6.0, 20.0, 20.0, 6.0],
    )
    said = stances(table, Settings())["CMD"]
    assert list(said) == [Stance.SILENT, Stance.AGAINST, Stance.AGAINST, Stance.FOR]
    reason = contradictions(table, Settings())["outside the CMD trapezoid"]
    assert list(reason) == [False, True, True, False]
    found = [{w.name: w for w in witnesses(table.iloc[k], Settings())}["CMD"] for k in range(2)]
    assert found[0].words == "at the limit" and "24 %" in found[0].sentence
    assert found[1].words == "outside"
    poor = table.assign(parallax_over_error=2.0)
    assert witnesses(poor.iloc[0], Settings())[3].words == "parallax poor"


@pytest.mark.parametrize(
    ("label", "value", "error", "flag", "reason"),
    [
        ("logg", 4.1, 0.25, LabelFlag.HIGH_LOGG, "log g above the limit"),
        ("feh", -0.9, 0.20, LabelFlag.HIGH_FEH, "[Fe/H] above the limit"),
        ("logg", 3.0, 0.25, LabelFlag.OUTSIDE_KIEL_BAND, None),  # the band begins at 3.10
    ],
)
def test_within_its_errors_a_label_does_not_speak_against(label, value, error, flag, reason):
    labels = {"teff": 8800.0, "logg": 3.4, "feh": -1.6} | {label: value}
    table = table_of(
        is_candidate=[True] * 3,
        **{name: [one] * 3 for name, one in labels.items()},
        **{f"{label}_err": [error, error / 10, np.nan]},
        label_flags=[int(flag)] * 3,
    )
    said = stances(table, Settings())["labels"]
    assert list(said) == [Stance.SILENT, Stance.AGAINST, Stance.AGAINST]
    if reason is not None:
        assert list(contradictions(table, Settings())[reason]) == [False, True, True]
    found = [witnesses(table.iloc[k], Settings())[4] for k in range(2)]
    assert found[0].words == "at the limit"
    assert flag.sentence in found[0].sentence and "less than its error" in found[0].sentence
    assert found[1].words != "at the limit" and flag.sentence in found[1].sentence


def test_a_sure_reason_speaks_though_another_is_within_its_error():
    table = table_of(
        teff=[8800.0], logg=[4.1], logg_err=[0.3], feh=[-0.2], feh_err=[0.1],
        label_flags=[int(LabelFlag.HIGH_LOGG | LabelFlag.HIGH_FEH)],
    )  # fmt: skip
    found = witnesses(table.iloc[0], Settings())[4]
    assert (found.stance, found.words) == (Stance.AGAINST, "high [Fe/H]")
    assert "log g above the limit, by less than its error" in found.sentence


def test_the_temperature_counts_where_the_kiel_band_is_steep():
    """In hot stars 1000 K move the band by 0.2 dex: log g alone would be sure of itself."""
    table = table_of(
        teff=[9000.0, 9000.0], teff_err=[1000.0, 10.0],
        logg=[3.0, 3.0], logg_err=[0.05, 0.05], feh=[-1.6, -1.6],
        label_flags=[int(LabelFlag.OUTSIDE_KIEL_BAND)] * 2,
    )  # fmt: skip
    assert list(stances(table, Settings())["labels"]) == [Stance.SILENT, Stance.AGAINST]


def test_a_core_without_a_width_is_told_with_its_line():
    row = table_of(fm_hgamma=[0.851], fm_hgamma_err=[0.182]).iloc[0]
    assert witnesses(row, Settings())[2].sentence.endswith(": fm Hγ 0.851 ± 0.182.")


def test_the_cmd_tells_the_place_that_was_judged():
    row = full_table().assign(bp_rp0=0.05, abs_mag_g0=0.6, abs_mag_g_err=0.2).iloc[0]
    told = [witnesses(row, Settings(deredden_cmd=on))[3].sentence for on in (False, True)]
    assert told[0].endswith("BP−RP 0.100, M_G 0.80 ± 0.20.")
    assert told[1].endswith("(BP−RP)₀ 0.050, M_G,₀ 0.60 ± 0.20.")


def test_what_contradicts_a_candidate_speaks_against_it():
    """The two homes of rules agree: a contradicted candidate has a witness that says so."""
    table = full_table().assign(is_candidate=True, predicted_class="BHB", p_bhb=0.9)
    said = stances(table, Settings())
    contra = contradictions(table, Settings())
    for sentence, name in (
        ("outside the D0.2–fm box", "D0.2–fm"),
        ("outside the CMD trapezoid", "CMD"),
        ("log g above the limit", "labels"),
        ("[Fe/H] above the limit", "labels"),
    ):
        assert list(contra[sentence]) == list(said[name] == Stance.AGAINST) == [False, True]


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (0.87, "0.870"), (0.4968, "0.497"), (3e-4, "<0.001"),
        (0.9958, "0.996"), (0.9988, "0.999"), (0.99938, "0.9994"),
        (0.9999, "0.9999"), (0.99997, "1−3e-5"), (1.0, "1"), (0.0, "0.000"), (np.nan, ""),
    ],
)  # fmt: skip
def test_near_one_a_probability_has_more_digits_and_then_tells_what_it_lacks(p, words):
    assert probability_words(p) == words
