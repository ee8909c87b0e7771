"""What the simulated instrument does to a spectrum, measured back from its output."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.simulate.atmospheres import model_flux
from msfa_core.simulate.instrument import (
    PIXEL_VELOCITY,
    broaden,
    measured_snr,
    observe,
    rotation_transfer,
)
from msfa_core.simulate.sky import extinction

WAVELENGTH = LAMOST_GRID.wavelength


def rows_of(n, snr=50.0, **changes):
    return pd.DataFrame(
        {
            "obsid": np.arange(n) + 1,
            "z": np.zeros(n),
            "g_mag": 15.0,
            "true_vsini": 0.0,
            "true_rv": 0.0,
            "true_ebv": 0.05,
            "true_snr_g": snr,
            "true_problem": "",
        }
    ).assign(**changes)


def star(n, teff=9000.0, logg=3.4, feh=-1.5):
    return np.repeat(model_flux("ms", teff, logg, feh), n, axis=0)


def test_extinction_is_the_published_law_at_its_anchor_points():
    visual = extinction(np.array([1e4 / 1.82]))[0]
    assert visual == pytest.approx(3.1, abs=1e-9)  # a(1.82) = 1, b(1.82) = 0
    blue, red = extinction(np.array([1e4 / 2.27, 1e4 / 1.43]))
    assert blue - visual == pytest.approx(1.0, abs=0.01)  # what E(B−V) = 1 means
    assert red / visual == pytest.approx(0.751, abs=0.01)  # Cardelli et al. (1989), Table 3: R


def test_extinction_is_continuous_where_its_branches_meet():
    below, above = extinction(np.array([9090.0, 9092.0]))
    assert below == pytest.approx(above, rel=2e-3)


def test_rotation_in_fourier_space_is_the_rotation_profile():
    vsini = 200.0
    edge = vsini / PIXEL_VELOCITY
    fine = np.linspace(-edge, edge, 20_001)
    mu = np.sqrt(np.clip(1 - (fine / edge) ** 2, 0, 1))
    profile = 2 * (1 - 0.55) * mu + 0.5 * np.pi * 0.55 * mu**2
    profile /= np.trapezoid(profile, fine)
    frequency = np.array([0.0, 0.01, 0.05, 0.1, 0.2, 0.4])
    direct = [np.trapezoid(profile * np.cos(2 * np.pi * f * fine), fine) for f in frequency]
    np.testing.assert_allclose(
        rotation_transfer(frequency, np.array([vsini]))[0], direct, atol=1e-6
    )


def test_a_sharp_line_gets_the_width_that_the_resolution_asks_for():
    flux = np.ones((2, LAMOST_GRID.n_pixels), dtype=np.float32)
    own = 1 / (np.log(10) * 1e-4 * 2.35482 * 1800)  # σ in pixels of the models
    offset = np.arange(LAMOST_GRID.n_pixels) - 1500
    flux -= 0.5 * np.exp(-0.5 * (offset / own) ** 2).astype(np.float32)
    asked = np.array([[1500.0, 1500.0], [2000.0, 2000.0]])
    result = broaden(flux, np.zeros(2), np.zeros(2), asked)
    depth = 1 - result
    sigma = depth.sum(axis=1) / (depth.max(axis=1) * np.sqrt(2 * np.pi))
    resolution = 1 / (np.log(10) * 1e-4 * 2.35482 * sigma)
    np.testing.assert_allclose(resolution, asked[:, 0], rtol=0.01)


def test_the_shift_is_the_velocity_to_a_thousandth_of_a_pixel():
    flux = star(1)
    shifted = broaden(flux, np.zeros(1), np.array([3 * PIXEL_VELOCITY]), np.full((1, 2), 1800.0))
    still = broaden(flux, np.zeros(1), np.zeros(1), np.full((1, 2), 1800.0))
    np.testing.assert_allclose(shifted[0, 100:3800], still[0, 97:3797], rtol=2e-5)


def test_radial_velocity_comes_back_by_cross_correlation():
    velocity = np.linspace(-250, 250, 11)
    rows = rows_of(11, 80.0, true_rv=velocity)
    spectra = observe(star(11), rows, np.random.default_rng(1))
    template = broaden(star(1), np.zeros(1), np.zeros(1), np.full((1, 2), 1750.0))[0]
    window = (WAVELENGTH > 4000) & (WAVELENGTH < 5000)
    trial = np.arange(-400, 401, 5.0)
    found = []
    for flux in spectra.flux:
        agreement = []
        for v in trial:
            model = np.interp(WAVELENGTH[window], WAVELENGTH * (1 + v / SPEED_OF_LIGHT), template)
            ratio = flux[window] / model
            x = np.linspace(-1, 1, window.sum())
            smooth = np.polynomial.chebyshev.Chebyshev.fit(x, ratio, 5)(x)
            agreement.append(-np.std(ratio / smooth))
        best = int(np.argmax(agreement))
        fit = np.polyfit(trial[best - 2 : best + 3], agreement[best - 2 : best + 3], 2)
        found.append(-fit[1] / (2 * fit[0]))
    assert np.abs(np.array(found) - velocity).max() < 12.0


@pytest.mark.parametrize("snr", [5.0, 20.0, 200.0])
def test_signal_to_noise_is_as_asked(snr):
    spectra = observe(star(60), rows_of(60, snr), np.random.default_rng(2))
    assert np.median(measured_snr(spectra)) == pytest.approx(snr, rel=0.1)


def test_inverse_variance_is_honest():
    """Pixel noise of a line-free stretch, from second differences, is that of the ivar."""
    spectra = observe(star(80, 9500.0, 3.5, -3.0), rows_of(80, 30.0), np.random.default_rng(3))
    window = slice(*np.searchsorted(WAVELENGTH, (5000.0, 5400.0)))
    flux, ivar = spectra.flux[:, window], spectra.ivar[:, window]
    second = flux[:, 2:] - 2 * flux[:, 1:-1] + flux[:, :-2]
    pull = second * np.sqrt(ivar[:, 1:-1] / 6)
    scatter = 1.4826 * np.median(np.abs(pull), axis=1)
    assert np.median(scatter) == pytest.approx(1.0, abs=0.05)
    assert np.all((scatter > 0.7) & (scatter < 1.4))


def test_reddening_reddens_and_leaves_interstellar_sodium():
    rows = rows_of(200, 200.0, true_ebv=np.repeat([0.0, 0.4], 100))
    flux = observe(star(200, 9500.0, 3.5, -3.0), rows, np.random.default_rng(4)).flux
    blue, red = (slice(*np.searchsorted(WAVELENGTH, w)) for w in ((4500, 4700), (6800, 6860)))
    colour = np.median(flux[:, blue], axis=1) / np.median(flux[:, red], axis=1)
    assert np.median(colour[100:]) < 0.8 * np.median(colour[:100])
    near = np.abs(WAVELENGTH - 5891.58) < 2
    beside = (np.abs(WAVELENGTH - 5875) < 8) | (np.abs(WAVELENGTH - 5915) < 8)
    depth = 1 - flux[:, near].min(axis=1) / np.median(flux[:, beside], axis=1)
    assert np.median(depth[100:]) > 0.1
    assert np.median(depth[:100]) < 0.05


def test_the_continuum_slope_cannot_be_trusted():
    flux = observe(star(300), rows_of(300, 100.0), np.random.default_rng(5)).flux
    blue, red = (slice(*np.searchsorted(WAVELENGTH, w)) for w in ((4180, 4280), (6750, 6850)))
    slope = np.log(np.median(flux[:, blue], axis=1) / np.median(flux[:, red], axis=1))
    assert 0.15 < np.std(slope) < 0.5


def test_named_problems_show_in_the_spectrum():
    rows = rows_of(3, 60.0, true_problem=["", "cosmic ray", "missing blue arm"])
    spectra = observe(star(3), rows, np.random.default_rng(6))
    blue = WAVELENGTH < 5700
    assert spectra.mask[2, blue].all()
    assert not spectra.ivar[2, blue].any()
    assert not spectra.mask[2, WAVELENGTH > 6100].all()
    cores = [np.abs(WAVELENGTH - line) < 4 for line in (4102.892, 4341.692)]
    spike = [np.max([spectra.flux[k][core].max() for core in cores]) for k in (0, 1)]
    assert spike[1] > 1.5 * spike[0]
    assert np.isfinite(spectra.flux).all()


def test_noise_of_neighbouring_pixels_is_correlated_as_measured_on_lamost():
    n = 200
    spectra = observe(star(n), rows_of(n, snr=30.0), np.random.default_rng(4))
    again = observe(star(n), rows_of(n, snr=1e6), np.random.default_rng(4))  # the same, noiseless
    noise = (spectra.flux - again.flux) * np.sqrt(spectra.ivar)
    for span, least, most in (((4000, 5500), 0.03, 0.09), ((6700, 6860), 0.12, 0.28)):
        part = noise[:, np.searchsorted(WAVELENGTH, span[0]) : np.searchsorted(WAVELENGTH, span[1])]
        part = np.where(np.abs(part) < 4, part, 0.0)  # cosmic rays
        variance = np.mean(part**2)
        assert variance == pytest.approx(1.0, abs=0.1), span
        assert least < np.mean(part[:, 1:] * part[:, :-1]) / variance < most, span
        assert abs(np.mean(part[:, 3:] * part[:, :-3])) / variance < 0.03, span
