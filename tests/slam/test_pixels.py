"""Bins of the rest frame and the continuum: what they keep, and what they take out."""

import numpy as np
import pytest

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import SpectrumError
from msfa_core.slam.pixels import Bins, normalise, polynomials, rebin

WAVELENGTH = LAMOST_GRID.wavelength
BINS = Bins(4000.0, 5000.0, 5)


def gaussian(centre=4340.0, width=5.0, depth=0.5):
    return 1 - depth * np.exp(-0.5 * ((WAVELENGTH - centre) / width) ** 2)


def test_bins_cover_their_range_in_equal_steps_of_log_wavelength():
    assert np.allclose(np.diff(BINS.edges), 5e-4)
    last = BINS.edges[-1]
    assert BINS.wavelength[0] > 4000 and 10**last <= 5000 < 10 ** (last + 5e-4)
    with pytest.raises(SpectrumError, match="holds no bin"):
        Bins(5000.0, 5000.1, 50)


def test_a_bin_holds_the_mean_and_equivalent_widths_are_kept():
    flux, weight = rebin(BINS, WAVELENGTH, gaussian()[None])
    step = 10 ** BINS.edges[1:] - 10 ** BINS.edges[:-1]
    own = np.gradient(WAVELENGTH)
    inside = (WAVELENGTH > 4000) & (WAVELENGTH < 5000)
    expected = ((1 - gaussian()) * own)[inside].sum()
    assert ((1 - flux[0]) * step).sum() == pytest.approx(expected, rel=1e-3)
    assert np.all(weight > 0)


def test_a_shifted_star_gives_the_bins_of_the_star_at_rest():
    z = 0.0007
    moved = np.interp(WAVELENGTH / (1 + z), WAVELENGTH, gaussian())[None]
    there, _ = rebin(BINS, WAVELENGTH, moved, z=np.array([z]))
    at_rest, _ = rebin(BINS, WAVELENGTH, gaussian()[None])
    assert np.abs(there - at_rest).max() < 2e-3


def test_noise_of_a_bin_is_that_of_the_mean_of_its_pixels():
    rng = np.random.default_rng(4)
    noise = 0.1 * rng.standard_normal((400, len(WAVELENGTH)))
    flux, weight = rebin(BINS, WAVELENGTH, 1 + noise, np.full_like(noise, 100.0))
    assert np.median(1 / np.sqrt(weight)) == pytest.approx(0.1 / np.sqrt(5), rel=0.01)
    assert (flux.std(axis=0) * np.sqrt(weight[0])).mean() == pytest.approx(1, abs=0.12)


def test_bad_pixels_are_bridged_and_bins_without_good_ones_are_missing():
    flux, ivar = gaussian()[None].copy(), np.ones((1, len(WAVELENGTH)))
    lone = int(np.searchsorted(WAVELENGTH, 4700.0))
    flux[0, lone], ivar[0, lone] = 1e6, 0
    gap = (WAVELENGTH > 4200) & (WAVELENGTH < 4210)
    flux[0, gap], ivar[0, gap] = np.nan, 0
    binned, weight = rebin(BINS, WAVELENGTH, flux, ivar)
    clean, full = rebin(BINS, WAVELENGTH, gaussian()[None])
    missing = weight[0] == 0
    assert np.abs(BINS.wavelength[missing] - 4205).max() < 6 and missing.sum() == 2
    assert np.abs(binned - clean)[0, ~missing].max() < 1e-6
    assert (weight < full)[0].sum() > missing.sum()  # a bin with a bad pixel counts less


def test_a_star_without_doppler_shift_or_data_has_no_weight():
    flux = np.tile(gaussian(), (3, 1))
    flux[1] = np.nan
    _, weight = rebin(BINS, WAVELENGTH, flux, np.ones_like(flux), np.array([np.nan, 0.0, -2.0]))
    assert np.all(weight == 0)


def test_wavelengths_off_the_grid_of_lamost_are_taken_too():
    linear = np.arange(3900.0, 5200.0, 0.9)
    flux = 1 - 0.5 * np.exp(-0.5 * ((linear - 4340.0) / 5) ** 2)
    there, _ = rebin(BINS, linear, flux[None])
    assert np.abs(there - rebin(BINS, WAVELENGTH, gaussian()[None])[0]).max() < 0.01


def test_the_scale_of_a_spectrum_does_not_matter_and_a_slope_hardly():
    basis = polynomials(BINS.wavelength, 6)
    binned, weight = rebin(BINS, WAVELENGTH, gaussian()[None])
    level, _ = normalise(binned, weight, basis)
    scaled, ivar = normalise(binned * 1e-3, weight * 1e6, basis)
    assert np.allclose(level, scaled)
    assert np.allclose(ivar, weight * (binned / level) ** 2)
    slope = 1 + 0.3 * np.linspace(-1, 1, len(BINS))
    tilted, _ = normalise(binned * slope, weight, basis)
    assert np.abs(tilted - level).max() < 0.01


def test_a_spectrum_without_a_positive_continuum_has_no_weight():
    basis = polynomials(BINS.wavelength, 2)
    level, weight = normalise(-np.ones((1, len(BINS))), np.ones((1, len(BINS))), basis)
    assert np.all(weight == 0) and np.all(level == 1)
