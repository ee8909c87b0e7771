"""Known spectra come out in the rest frame, on 2430 pixels, between 0 and 1."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID, NETWORK_GRID
from msfa_core.errors import SpectrumError
from msfa_core.spectra import prepare
from msfa_core.spectra.spectrum import Spectra, Spectrum

GRID = NETWORK_GRID.wavelength
WAVELENGTH = LAMOST_GRID.wavelength


def star(z=0.0, obsid=1, flux=None, bad=(), ivar=1.0):
    """A spectrum on the LAMOST pixels; ``bad`` pixels are masked and hold rubbish."""
    rest = WAVELENGTH / (1 + z)
    flux = 2 + np.sin(rest / 50) if flux is None else flux
    mask = np.zeros(len(WAVELENGTH), dtype=bool)
    mask[list(bad)] = True
    return Spectrum(
        obsid=obsid,
        wavelength=WAVELENGTH,
        flux=np.where(mask, 1e6, flux).astype(np.float32),
        ivar=np.full(len(WAVELENGTH), ivar, dtype=np.float32),
        mask=mask,
        z=z,
    )


def interpolated(spectrum):
    """The paper's recipe spelt out by hand for one spectrum, brackets found by counting."""
    good = ~spectrum.mask
    rest = spectrum.wavelength[good] / (1 + spectrum.z)
    flux = spectrum.flux[good].astype(float)
    left = np.array([np.sum(rest <= point) - 1 for point in GRID])
    share = (GRID - rest[left]) / (rest[left + 1] - rest[left])
    value = flux[left] * (1 - share) + flux[left + 1] * share
    return (value - value.min()) / (value.max() - value.min())


def test_network_grid_has_2430_pixels_of_1_235_angstrom():
    assert len(GRID) == 2430
    assert np.diff(GRID) == approx(1.235076, abs=1e-6)
    assert (GRID[0], GRID[-1]) == (4000, 7000)


@pytest.mark.parametrize("z", [0.0, -0.0012, 0.0009])
def test_each_row_is_the_linear_interpolation_of_the_rest_frame_spectrum(z):
    rng = np.random.default_rng(5)
    spectrum = star(z, flux=rng.normal(100, 10, len(WAVELENGTH)))
    np.testing.assert_allclose(prepare(spectrum).flux[0], interpolated(spectrum), atol=2e-7)


def test_doppler_shift_of_the_header_is_taken_out():
    rows = prepare([star(z) for z in (-0.0015, 0.0, 0.0015)]).flux
    np.testing.assert_allclose(rows, np.broadcast_to(rows[1], rows.shape), atol=3e-4)


def test_rows_run_from_zero_to_one_and_keep_their_order():
    prepared = prepare([star(obsid=7), star(obsid=3, flux=WAVELENGTH), star(obsid=5)])
    assert prepared.obsid.tolist() == [7, 3, 5]
    assert prepared.flux.dtype == np.float32
    assert prepared.flux.min(axis=1).tolist() == [0, 0, 0]
    assert prepared.flux.max(axis=1).tolist() == [1, 1, 1]
    np.testing.assert_allclose(prepared.flux[1], (GRID - 4000) / 3000, atol=1e-6)


@pytest.mark.parametrize("kind", ["masked", "nan", "no ivar", "negative ivar"])
def test_bad_pixels_are_bridged_by_a_straight_line(kind):
    spectrum = star(flux=WAVELENGTH)  # a straight line, so that the bridge is the truth
    bad = np.r_[500:520, 1200, 2000:2003]
    if kind == "masked":
        spectrum = star(flux=WAVELENGTH, bad=bad)
    elif kind == "nan":
        spectrum.flux[bad] = np.nan
    else:
        spectrum.flux[bad] = -1e6
        spectrum.ivar[bad] = 0 if kind == "no ivar" else -1
    np.testing.assert_allclose(prepare(spectrum).flux[0], (GRID - 4000) / 3000, atol=1e-6)


def test_a_cosmic_ray_outside_the_mask_squeezes_the_row_as_the_paper_defines_it():
    spectrum = star()
    spectrum.flux[1500] = 1000
    row = prepare(spectrum).flux[0]
    assert row.max() == 1
    assert np.median(row) < 0.01


@pytest.mark.parametrize(("share", "usable"), [(0.79, False), (0.81, True)])
def test_row_needs_four_fifths_of_its_range(share, usable):
    first, last = np.searchsorted(WAVELENGTH, [7000 - (1 - share) * 3000, 7000])
    row = prepare(star(bad=range(first, last))).flux[0]
    assert np.isfinite(row).all() == usable
    assert np.isnan(row).all() != usable


@pytest.mark.parametrize(
    "broken",
    [
        {"z": np.nan},
        {"z": np.inf},
        {"z": -1.0},
        {"z": -2.0},
        {"z": 0.8},
        {"flux": np.ones(len(WAVELENGTH), dtype=np.float32)},
        {"flux": np.full(len(WAVELENGTH), np.nan, dtype=np.float32)},
        {"ivar": np.zeros(len(WAVELENGTH), dtype=np.float32)},
    ],
    ids=["z NaN", "z infinite", "z -1", "z -2", "z 0.8", "constant", "flux NaN", "no ivar"],
)
def test_unusable_star_gives_a_row_of_nan_and_leaves_the_others_alone(broken):
    batch = [star(obsid=1), replace(star(obsid=2), **broken), star(obsid=3)]
    prepared = prepare(batch)
    assert prepared.obsid.tolist() == [1, 2, 3]
    assert np.isnan(prepared.flux[1]).all()
    assert np.isfinite(prepared.flux[[0, 2]]).all()


def test_one_spectrum_is_a_batch_of_one():
    assert np.array_equal(prepare(star()).flux, prepare([star()]).flux)


def test_no_spectrum_is_an_empty_batch():
    empty = np.zeros((0, len(WAVELENGTH)))
    none = np.zeros(0)
    batch = Spectra(none.astype(int), WAVELENGTH, empty, empty, empty.astype(bool), none)
    assert prepare(batch).flux.shape == (0, 2430)
    assert prepare([]).flux.shape == (0, 2430)


def test_input_is_left_unchanged():
    spectrum = star(bad=[1000])
    before = spectrum.flux.copy()
    prepare(spectrum)
    assert np.array_equal(spectrum.flux, before)


def test_rows_off_the_network_grid_are_refused_with_the_remedy():
    from msfa_core.spectra import PreparedSpectra

    with pytest.raises(SpectrumError, match="Run prepare"):
        PreparedSpectra(np.array([1]), np.zeros((1, 2429), dtype=np.float32))
