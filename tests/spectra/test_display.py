"""What a screen shows of a spectrum."""

import numpy as np
import pytest

from msfa_core.errors import SpectrumError
from msfa_core.spectra.display import (
    error_of,
    flux_limits,
    flux_unit,
    shown_wavelength,
    smoothed_flux,
)
from msfa_core.spectra.spectrum import Spectrum


def spectrum_of(flux, ivar=None, mask=None, z=0.001):
    n = len(flux)
    return Spectrum(
        obsid=1,
        wavelength=np.linspace(4000.0, 5000.0, n),
        flux=np.asarray(flux, dtype=float),
        ivar=np.full(n, 4.0) if ivar is None else np.asarray(ivar, dtype=float),
        mask=np.zeros(n, dtype=bool) if mask is None else np.asarray(mask),
        z=z,
    )


def test_the_rest_frame_divides_by_one_plus_z():
    spectrum = spectrum_of(np.ones(5))
    assert shown_wavelength(spectrum, rest=True) == pytest.approx(spectrum.wavelength / 1.001)
    assert shown_wavelength(spectrum, rest=False) == pytest.approx(spectrum.wavelength)


def test_without_z_the_observed_wavelengths_are_shown():
    spectrum = spectrum_of(np.ones(5), z=np.nan)
    assert shown_wavelength(spectrum, rest=True) == pytest.approx(spectrum.wavelength)


def test_the_error_is_unknown_where_the_inverse_variance_is():
    error = error_of(spectrum_of(np.ones(3), ivar=[4.0, 0.0, np.nan]))
    assert error[0] == 0.5
    assert np.isnan(error[1:]).all()


def test_smoothing_keeps_a_constant_and_leaves_bad_pixels_out():
    flux, mask = np.full(50, 3.0), np.zeros(50, dtype=bool)
    flux[20], mask[20] = 1e6, True
    assert smoothed_flux(spectrum_of(flux, mask=mask), 7) == pytest.approx(np.full(50, 3.0))


def test_smoothing_lowers_white_noise_by_the_root_of_the_width():
    noise = np.random.default_rng(3).normal(0, 1, 20_000)
    smooth = smoothed_flux(spectrum_of(noise), 9)
    assert smooth[10:-10].std() == pytest.approx(1 / 3, rel=0.05)


def test_a_box_without_a_good_pixel_gives_nan():
    mask = np.zeros(20, dtype=bool)
    mask[5:12] = True
    smooth = smoothed_flux(spectrum_of(np.ones(20), mask=mask), 3)
    assert np.isnan(smooth[6:11]).all()
    assert np.isfinite(smooth[:5]).all()


@pytest.mark.parametrize("width", [0, 2, -3])
def test_a_box_of_even_or_no_width_is_refused(width):
    with pytest.raises(SpectrumError, match="odd number"):
        smoothed_flux(spectrum_of(np.ones(9)), width)


def test_the_limits_hold_the_good_flux_of_the_range_and_no_wild_pixel():
    flux = np.linspace(1.0, 2.0, 1000)
    flux[500] = 1e9
    mask = flux > 1e6
    spectrum = spectrum_of(flux, mask=mask)
    low, high = flux_limits(spectrum.wavelength, spectrum, (4000.0, 5000.0), 100.0)
    assert low < 1.0 and 2.0 < high < 3.0
    assert flux_limits(spectrum.wavelength, spectrum, (9000.0, 9100.0)) == (0.0, 1.0)


def test_the_unit_of_flux_is_the_median_of_the_good_pixels():
    flux = np.array([1.0, 2.0, 3.0, 1e9])
    assert flux_unit(spectrum_of(flux, mask=flux > 10)) == 2.0
    assert flux_unit(spectrum_of(-flux, mask=flux > 10)) == 2.0
    assert flux_unit(spectrum_of(np.full(4, np.nan))) == 1.0
