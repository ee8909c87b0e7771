"""The closed forms of the SWS profile and the named regions of the D0.2–fm plane."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from msfa_core.balmer.selection import SELECTIONS, box_selection, get_selection
from msfa_core.balmer.sws import (
    SWSParameters,
    core_flux_fm,
    d02_curvature,
    d02_gradient,
    fm_curvature,
    fm_gradient,
    line_width_d02,
    sws_profile,
)
from msfa_core.errors import ConfigError, SpectrumError


def one(depth, width, shape, centre=4102.892, continuum=1.0):
    return SWSParameters(*(np.array([v]) for v in (depth, width, shape, centre, continuum)))


profiles = st.builds(
    one,
    depth=st.floats(0.25, 0.95),
    width=st.floats(2, 20),
    shape=st.floats(0.5, 2.5),
    centre=st.floats(4098, 4108),
    continuum=st.floats(0.8, 1.2),
)


@given(profiles)
def test_d02_is_the_width_where_the_profile_is_20_percent_below_the_continuum(profile):
    half = line_width_d02(profile)[0] / 2
    edges = profile.centre[0] + np.array([-half, half])
    assert sws_profile(edges, profile)[0] == approx(0.8 * profile.continuum[0], abs=1e-9)


@given(profiles)
def test_fm_is_the_flux_at_the_centre_over_the_continuum(profile):
    core = sws_profile(profile.centre, profile)[0, 0]
    assert core / profile.continuum[0] == approx(core_flux_fm(profile)[0], abs=1e-12)


@given(profiles, st.floats(0.2, 5))
def test_neither_d02_nor_fm_depends_on_the_flux_scale(profile, scale):
    scaled = one(
        profile.depth[0] * scale,
        profile.width[0],
        profile.shape[0],
        profile.centre[0],
        profile.continuum[0] * scale,
    )
    assert line_width_d02(scaled) == approx(line_width_d02(profile), rel=1e-9)
    assert core_flux_fm(scaled) == approx(core_flux_fm(profile), abs=1e-12)


def test_d02_agrees_with_the_width_of_a_finely_sampled_profile():
    wavelength = np.linspace(4060, 4150, 90_001)
    profile = one(0.75, 8.7, 0.93)
    flux = sws_profile(wavelength, profile)[0]
    assert line_width_d02(profile)[0] == approx(np.ptp(wavelength[flux < 0.8]), abs=0.005)


@pytest.mark.parametrize("depth", [0.05, 0.2])
def test_a_line_less_than_20_percent_deep_has_no_d02_but_an_fm(depth):
    shallow = one(depth, 8.0, 1.0)
    assert np.isnan(line_width_d02(shallow)[0])
    assert core_flux_fm(shallow)[0] == approx(1 - depth)


@given(profiles)
def test_the_gradients_are_those_of_finite_differences(profile):
    names = ("continuum", "depth", "width", "shape", "centre")
    for function, gradient in ((line_width_d02, d02_gradient), (core_flux_fm, fm_gradient)):
        for k, name in enumerate(names):
            step = 1e-6
            values = {key: getattr(profile, key) for key in names}
            up = SWSParameters(**{**values, name: values[name] + step})
            down = SWSParameters(**{**values, name: values[name] - step})
            slope = (function(up) - function(down)) / (2 * step)
            assert gradient(profile)[0, k] == approx(slope[0], rel=2e-4, abs=2e-4)


@given(profiles)
def test_the_curvatures_are_those_of_the_gradients(profile):
    names = ("continuum", "depth", "width", "shape")
    values = {key: getattr(profile, key) for key in (*names, "centre")}
    for gradient, curvature in ((d02_gradient, d02_curvature), (fm_gradient, fm_curvature)):
        for k, name in enumerate(names):
            step = 1e-6 * values[name]
            up = gradient(SWSParameters(**{**values, name: values[name] + step}))
            down = gradient(SWSParameters(**{**values, name: values[name] - step}))
            slope = (up - down)[0, :4] / (2 * step)
            assert curvature(profile)[0, k] == approx(slope, rel=1e-3, abs=1e-3)


def test_parameters_of_unequal_length_are_refused():
    with pytest.raises(SpectrumError, match="equal length"):
        SWSParameters(np.ones(2), np.ones(2), np.ones(2), np.ones(2), np.ones(1))


def test_the_selections_hold_the_published_limits():
    inside = SELECTIONS["xue2011"]
    assert inside.contains("hdelta", [28.9, 29.1, 25], [0.34, 0.2, 0.36]).tolist() == [
        True,
        False,
        False,
    ]
    width, shape = np.array([8.0, 6.9, 10.79, 10.81, 9.0]), np.array([1.0, 1.0, 1.08, 1.08, 0.74])
    nothing = np.full(5, 0.2)
    assert inside.contains("hgamma", nothing, nothing, width, shape).tolist() == [
        True, False, True, False, False,
    ]  # fmt: skip
    box = SELECTIONS["xue2008"]
    assert box.contains("hdelta", [17, 28.5, 16.9, 28.6], [0.1, 0.3, 0.2, 0.2]).tolist() == [
        True, True, False, False,
    ]  # fmt: skip
    assert SELECTIONS["ju2024"].lines == ("hdelta", "hgamma")


def test_a_measurement_that_is_missing_is_outside():
    assert not SELECTIONS["ju2024"].contains("hdelta", [np.nan, 20.0], [0.2, np.nan]).any()


def test_every_selection_says_where_its_numbers_come_from_and_what_it_asks():
    for name, selection in SELECTIONS.items():
        assert selection.name == name
        assert "20" in selection.provenance
        assert selection.describe().startswith("Hδ: ")
        assert selection.describe().endswith(".")
    assert "default" in SELECTIONS["ju2024"].provenance
    assert "D0.2 ≤ 29 Å" in SELECTIONS["xue2011"].describe()
    assert SELECTIONS["xue2008"].box("hdelta") == (17, 28.5, 0.1, 0.3)
    assert SELECTIONS["xue2011"].box("hgamma") is None


def test_a_user_draws_a_box_of_their_own():
    mine = box_selection("mine", {"hgamma": (18, 26, 0.15, 0.28)})
    assert mine.contains("hgamma", [20, 27], [0.2, 0.2]).tolist() == [True, False]
    assert "user" in mine.provenance


def test_wrong_calls_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match="xue2008, xue2011, ju2024"):
        get_selection("sirko2004")
    with pytest.raises(ConfigError, match="unknown line"):
        box_selection("mine", {"hzeta": (0, 1, 0, 1)})
    with pytest.raises(ConfigError, match="no cuts for 'hgamma'"):
        SELECTIONS["xue2008"].contains("hgamma", [20.0], [0.2])
    with pytest.raises(ConfigError, match="needs shape, width"):
        SELECTIONS["xue2011"].contains("hgamma", [20.0], [0.2])
    assert get_selection(SELECTIONS["xue2008"]) is SELECTIONS["xue2008"]
