"""Magnitudes of a spectrum, and what they say of its flux calibration."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID
from msfa_core.flags import FluxFlag
from msfa_core.photometry.synthetic import flux_calibration, responses, synthetic_magnitudes

WAVELENGTH = LAMOST_GRID.wavelength


def black_body(teff):
    return WAVELENGTH**-5.0 / np.expm1(1.43877e8 / (WAVELENGTH * teff))


def magnitudes(flux, good=None):
    flux = np.atleast_2d(flux)
    return synthetic_magnitudes(WAVELENGTH, flux, np.isfinite(flux) if good is None else good)


def checked(flux, of, **columns):
    """Check a spectrum against the magnitudes of another one: its star."""
    stars = magnitudes(of)[0]
    table = pd.DataFrame(
        {f"ps_{band}_mag": 15.0 + stars[:, k] for k, band in enumerate("gri")}
        | {f"ps_{band}_mag_err": 0.01 for band in "gri"}
        | columns,
        index=range(len(stars)),
    )
    return flux_calibration(table, *magnitudes(flux))


def test_effective_wavelengths_are_those_of_pan_starrs():
    middle = (responses(WAVELENGTH) * WAVELENGTH).sum(1) / responses(WAVELENGTH).sum(1)
    assert middle == approx([4810, 6170, 7520], rel=0.01)  # Tonry et al. 2012, Table 4


def test_a_flat_spectrum_per_hertz_has_no_colour_and_colours_follow_temperature():
    flat, _ = magnitudes(WAVELENGTH**-2.0)
    assert np.ptp(flat) == approx(0.0, abs=1e-6)
    hot, cool = magnitudes(black_body(12_000))[0][0], magnitudes(black_body(5_000))[0][0]
    # g−i of black bodies at the effective wavelengths
    for colour, teff in ((hot[0] - hot[2], 12_000), (cool[0] - cool[2], 5_000)):
        x = 1.43877e8 / (np.array([4810.0, 7520.0]) * teff)
        per_hz = np.array([4810.0, 7520.0]) ** -3.0 / np.expm1(x)
        assert colour == approx(-2.5 * np.log10(per_hz[0] / per_hz[1]), abs=0.03)


@pytest.mark.parametrize("teff", [4_500, 9_000, 25_000])
@pytest.mark.parametrize("tilt", [-0.6, -0.2, 0.0, 0.2, 0.6])
def test_a_tilt_comes_back(teff, tilt):
    star = black_body(teff)
    middle = np.log(np.array([np.sqrt(4140 * 5510), np.sqrt(6900 * 8190)]))
    faint = tilt * (np.log(WAVELENGTH) - middle[0]) / (middle[1] - middle[0])
    found = checked(star * 10 ** (-0.4 * faint), star).iloc[0]
    assert found["flux_calibration"] == approx(tilt, abs=0.03, rel=0.07)
    flag = FluxFlag.TILTED if abs(tilt) > 0.3 else 0
    assert found["flux_calibration_flags"] == flag


@pytest.mark.parametrize("step", [-0.8, 0.8])
def test_a_step_between_the_arms_is_named(step):
    star = black_body(9_000)
    red = np.where(WAVELENGTH > 5850, 10 ** (-0.4 * step), 1.0)
    flags = int(checked(star * red, star)["flux_calibration_flags"].iloc[0])
    assert flags & FluxFlag.ARMS_DISAGREE
    assert np.sign(checked(star * red, star)["flux_calibration"].iloc[0]) == np.sign(step)


def test_pulls_of_tilts_are_what_the_errors_say():
    rng = np.random.default_rng(5)
    star = np.repeat(black_body(8_000)[None], 800, axis=0)
    true = magnitudes(star)[0]
    errors = rng.uniform(0.005, 0.1, true.shape)
    scatter = rng.normal(0, np.hypot(errors, 0.02))
    table = pd.DataFrame(
        {f"ps_{b}_mag": true[:, k] + scatter[:, k] for k, b in enumerate("gri")}
        | {f"ps_{b}_mag_err": errors[:, k] for k, b in enumerate("gri")}
    )
    found = flux_calibration(table, *magnitudes(star))
    pulls = found["flux_calibration"] / found["flux_calibration_err"]
    assert pulls.std() == approx(1.0, abs=0.08)
    assert (found["flux_calibration_flags"] != 0).mean() < 0.005


def test_what_cannot_be_compared_is_said():
    star = black_body(9_000)
    no_red = np.where(WAVELENGTH > 5700, np.nan, star)
    cases = {
        "none": checked(star, star, ps_g_mag=np.nan, ps_r_mag=np.nan, ps_i_mag=np.nan),
        "one": checked(star, star, ps_g_mag=np.nan, ps_r_mag=np.nan),
        "arm": checked(no_red, star),
        "negative": checked(-star, star),
    }
    flags = {name: int(one["flux_calibration_flags"].iloc[0]) for name, one in cases.items()}
    assert flags == {
        "none": FluxFlag.NO_PHOTOMETRY, "one": FluxFlag.NO_PHOTOMETRY,
        "arm": FluxFlag.NO_COVERAGE, "negative": FluxFlag.NO_COVERAGE,
    }  # fmt: skip
    assert all(one["flux_calibration"].isna().all() for one in cases.values())
    two = checked(star, star, ps_r_mag=np.nan).iloc[0]  # two bands: a tilt, no joint
    assert two["flux_calibration"] == approx(0.0, abs=1e-3)


def test_a_few_bad_pixels_change_nothing_and_many_leave_the_band_out():
    star = black_body(9_000)
    rng = np.random.default_rng(1)
    few = np.where(rng.random(len(star)) < 0.05, np.nan, star)
    assert checked(few, star)["flux_calibration"].iloc[0] == approx(0.0, abs=0.01)
    many = np.where((WAVELENGTH > 4400) & (WAVELENGTH < 4800), np.nan, star)
    assert np.isnan(magnitudes(many)[0][0]).tolist() == [True, False, False]
