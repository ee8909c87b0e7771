"""The records check themselves; putting spectra on one grid keeps their pixels."""

import numpy as np
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.errors import SpectrumError
from msfa_core.spectra.spectrum import (
    Spectra,
    Spectrum,
    as_spectra,
    log_offset,
    log_pixels,
    on_grid,
)

WAVELENGTH = LAMOST_GRID.wavelength


def spectrum(wavelength, obsid=1, dtype=np.float32, **changed):
    n = len(wavelength)
    values = {
        "flux": np.random.default_rng(obsid).normal(100, 5, n).astype(dtype),
        "ivar": np.full(n, 0.04, dtype=dtype),
        "mask": np.zeros(n, dtype=bool),
    }
    return Spectrum(obsid, wavelength, **(values | changed), z=0.001 * obsid)


def test_lamost_grid_runs_from_3700_to_9099_angstrom():
    assert WAVELENGTH[[0, -1]] == approx([3699.99, 9099.13], abs=0.01)
    assert np.diff(np.log10(WAVELENGTH)) == approx(1e-4)


@pytest.mark.parametrize("scatter", [0, 1e-7])
@pytest.mark.parametrize("first", [0, 13, 150])
def test_pixels_already_on_the_grid_are_shifted_and_never_changed(first, scatter):
    rng = np.random.default_rng(2)
    own = WAVELENGTH[first : first + 3700] * (1 + scatter * rng.normal(size=3700))
    star = spectrum(own)
    star.mask[10] = True
    batch = on_grid([star])
    inside = slice(first, first + 3700)
    assert batch.flux[0, inside].tobytes() == star.flux.tobytes()
    assert batch.ivar[0, inside].tobytes() == star.ivar.tobytes()
    assert np.array_equal(batch.mask[0, inside], star.mask)


def test_float32_wavelengths_lie_on_the_grid():
    star = spectrum(WAVELENGTH.astype(np.float32))
    assert on_grid([star]).flux[0].tobytes() == star.flux.tobytes()


def test_pixels_without_a_value_are_nan_without_weight_and_masked():
    batch = on_grid([spectrum(WAVELENGTH[100:3000])])
    outside = np.r_[0:100, 3000:3909]
    assert np.isnan(batch.flux[0, outside]).all()
    assert (batch.ivar[0, outside] == 0).all()
    assert batch.mask[0, outside].all()
    assert not batch.mask[0, 100:3000].any()


def test_sdss_pixels_beyond_the_grid_are_left_out():
    longer = LogGrid(35400, 4600).wavelength
    star = spectrum(longer)
    assert on_grid([star]).flux[0].tobytes() == star.flux[282 : 282 + 3909].tobytes()


def test_other_samplings_are_interpolated_linearly():
    linear = np.arange(3600.0, 9200.0, 0.9)
    star = spectrum(linear, flux=linear.copy(), mask=(linear > 5000) & (linear < 5001))
    batch = on_grid([star])
    np.testing.assert_allclose(batch.flux[0], WAVELENGTH, rtol=1e-6)
    assert 1 <= batch.mask[0].sum() <= 4
    bad = linear[star.mask]
    np.testing.assert_allclose(WAVELENGTH[batch.mask[0]], bad.mean(), atol=1.8)


def test_gap_between_the_arms_is_not_bridged():
    arms = np.concatenate([np.arange(4950, 5350, 0.2), np.arange(6300, 6800, 0.2)])
    batch = on_grid([spectrum(arms)])
    gap = (WAVELENGTH > 5352) & (WAVELENGTH < 6298)
    assert np.isnan(batch.flux[0, gap]).all()
    assert batch.mask[0, gap].all()
    inside = (WAVELENGTH > 4960) & (WAVELENGTH < 5340)
    assert np.isfinite(batch.flux[0, inside]).all()


def test_half_a_pixel_off_the_grid_is_off():
    assert log_pixels(WAVELENGTH, 1e-4)[0] == 35682
    assert log_pixels(WAVELENGTH * 10**0.5e-4, 1e-4) is None
    assert log_pixels(np.delete(WAVELENGTH, 7), 1e-4) is None
    assert log_pixels(np.array([-1.0, 5000.0]), 1e-4) is None


def test_the_pixels_of_wavelengths_met_before_cannot_be_spoiled():
    first = log_pixels(WAVELENGTH, 1e-4)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    assert log_pixels(WAVELENGTH.copy(), 1e-4)[0] == 35682
    assert log_pixels(WAVELENGTH.astype(np.float32), 1e-4)[0] == 35682
    shifted = WAVELENGTH * 10**0.05e-4
    assert log_offset(shifted, 1e-4) == pytest.approx(0.05, abs=1e-6)
    assert log_offset(WAVELENGTH, 1e-4) == pytest.approx(0.0, abs=1e-6)


def test_weights_that_are_no_weights_become_zero_and_masked():
    star = spectrum(WAVELENGTH)
    star.ivar[[3, 4, 5]] = [-1, np.nan, np.inf]
    batch = on_grid([star])
    assert batch.ivar[0, 3:6].tolist() == [0, 0, 0]
    assert batch.mask[0, 3:6].all()


def test_batch_keeps_numbers_shifts_and_order():
    batch = as_spectra([spectrum(WAVELENGTH, obsid) for obsid in (5, 2, 9)])
    assert batch.obsid.tolist() == [5, 2, 9]
    assert batch.obsid.dtype == np.int64
    assert batch.z == approx([0.005, 0.002, 0.009])
    assert len(batch) == 3


def test_rows_are_chosen_by_slice_index_or_boolean():
    batch = as_spectra([spectrum(WAVELENGTH, obsid) for obsid in (5, 2, 9)])
    assert batch[1:].obsid.tolist() == [2, 9]
    assert batch[[2, 0]].obsid.tolist() == [9, 5]
    assert batch[batch.obsid > 4].flux.shape == (2, 3909)


def test_batch_passes_through_and_one_spectrum_becomes_a_batch():
    batch = as_spectra(spectrum(WAVELENGTH))
    assert len(batch) == 1
    assert as_spectra(batch) is batch


@pytest.mark.parametrize(
    ("wavelength", "changed", "message"),
    [
        (WAVELENGTH[::-1], {}, "must increase"),
        (WAVELENGTH[:1], {}, "must increase"),
        (np.r_[4000.0, np.nan, 4002.0], {}, "must increase"),
        (WAVELENGTH, {"flux": np.zeros(5)}, "equal length"),
        (WAVELENGTH, {"mask": np.zeros((1, 3909), dtype=bool)}, "equal length"),
    ],
)
def test_arrays_that_form_no_spectrum_are_refused(wavelength, changed, message):
    with pytest.raises(SpectrumError, match=message):
        spectrum(wavelength, **changed)


def test_batch_of_uneven_arrays_is_refused():
    good = as_spectra(spectrum(WAVELENGTH))
    four = (good.flux, good.ivar, good.mask)
    with pytest.raises(SpectrumError, match="one row per obsid"):
        Spectra(np.array([1, 2]), WAVELENGTH, *four, good.z)
    with pytest.raises(SpectrumError, match="z has shape"):
        Spectra(good.obsid, WAVELENGTH, *four, np.zeros(2))
