"""The lens on Ca II K."""

import numpy as np
import pytest

from dashboard.views.calcium_lens import CalciumLens, header_html
from msfa_core.balmer.indices import CA_K_BANDS, calcium_k, calcium_window, kp_band


@pytest.fixture
def lens(state):
    return CalciumLens(state)


def test_the_lens_shows_the_star_on_screen(lens, state):
    before = np.asarray(lens.good.data["flux"]).copy()
    state.screen.next()
    shown = np.asarray(lens.good.data["flux"])
    assert len(shown) > 40 and not np.array_equal(before, shown)
    assert abs(np.median(shown) - 1) < 0.1  # over the pseudo-continuum


def test_an_equivalent_width_taken_from_the_lens_is_kp(state):
    spectrum = state.screen.star.spectrum
    window = calcium_window(spectrum, 3902.0, 4022.0)
    row = calcium_k([spectrum]).iloc[0]
    band = kp_band(float(row["kp"]))
    rows = (window.wavelength >= band.low) & (window.wavelength <= band.high)
    width = np.trapezoid(1 - window.flux[rows], window.wavelength[rows])
    assert width == pytest.approx(row["kp"], abs=0.25)  # pixels at the edges count whole


@pytest.mark.parametrize(("kp", "name"), [(0.3, "k6"), (2.5, "k12"), (6.0, "k18"), (np.nan, "k12")])
def test_the_band_that_kp_counts_is_shaded(kp, name):
    assert kp_band(kp) is CA_K_BANDS[name]


def test_an_empty_screen_and_a_star_without_kp_are_said(lens, state):
    assert "KP" in header_html(state.screen.star.row)
    state.screen.param.update(star=None, selected="")
    assert lens.good.data["x"] == []
