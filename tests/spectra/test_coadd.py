"""Epochs of a star added up give back the star: its flux, its noise, without its cosmic rays."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.stats import kstest

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT, LogGrid
from msfa_core.errors import SpectrumError
from msfa_core.spectra import coadd
from msfa_core.spectra.coadd import NOTHING, REJECTED, SOME_BAD, coadd_epochs
from msfa_core.spectra.resample import at_rest
from msfa_core.spectra.spectrum import Spectrum, on_grid

LINES = ((3934.8, 0.3, 1.3), (4102.9, 0.6, 12), (4341.7, 0.6, 12), (4482.4, 0.2, 1.2),
         (4862.7, 0.6, 12), (5891.6, 0.2, 1.2), (6564.6, 0.5, 10))  # fmt: skip


def star(rest):
    """Flux of the star at rest wavelengths; the narrow lines are as narrow as LAMOST sees any."""
    flux = 1 + 0.3 * np.sin(rest / 900)
    for centre, depth, width in LINES:
        flux = flux * (1 - depth * np.exp(-(((rest - centre) / width) ** 2) / 2))
    return flux


def epoch(obsid, rng, snr=40.0, velocity=None, tilt=0.0, scale=1.0, joint=1.0, cosmics=0):
    """One observation: response, arm joint, noise, 20 dead pixels, cosmic rays."""
    wavelength = LAMOST_GRID.wavelength
    z = (rng.normal(0, 100) if velocity is None else velocity) / SPEED_OF_LIGHT
    x = np.linspace(-1, 1, len(wavelength))
    response = scale * (1 + tilt * x - 0.4 * tilt * x**2)
    response *= 1 + (joint - 1) * np.clip((wavelength - 5700) / 300, 0, 1)
    flux = star(wavelength / (1 + z)) * response
    sigma = flux / snr
    flux = flux + rng.normal(0, sigma)
    for pixel in rng.integers(50, 3850, cosmics):
        flux[pixel : pixel + 2] += sigma[pixel] * rng.uniform(40, 200)
    mask = np.zeros(len(flux), dtype=bool)
    dead = rng.integers(0, 3880)
    mask[dead : dead + 20] = True
    flux[mask] = -50.0
    ivar = np.where(mask, 0.0, sigma**-2)
    return Spectrum(
        obsid, wavelength, flux.astype("f4"), ivar.astype("f4"), mask, z,
        10.0, 20.0, snr, f"{obsid}.fits", {"class": "STAR", "subclass": "A1V", "resolution": "low"},
    )  # fmt: skip


def deviation(spectrum, degree=0):
    """Deviation from the star in units of the error, the response of the reference fitted out."""
    x = np.linspace(-1, 1, len(spectrum.flux))
    truth = star(spectrum.wavelength)
    weight = np.sqrt(spectrum.ivar) * ~spectrum.mask
    basis = legendre.legvander(x, degree) * truth[:, None]
    fitted = np.linalg.lstsq(basis * weight[:, None], spectrum.flux * weight, rcond=None)[0]
    return ((spectrum.flux - basis @ fitted) * weight)[~spectrum.mask]


# --- truth -----------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_mean_deviates_from_the_star_by_its_errors(n):
    rng = np.random.default_rng(n)
    epochs = [epoch(k + 1, rng, snr=rng.uniform(20, 60)) for k in range(n)]
    off = deviation(coadd(epochs))
    assert np.std(off) == pytest.approx(1.0, abs=0.05)
    assert kstest(off[::4], "norm").pvalue > 0.001  # neighbours share noise
    assert np.abs(off).max() < 5.0


@pytest.mark.parametrize("n", [2, 3, 6])
def test_scales_slopes_and_arm_joints_of_the_epochs_do_not_matter(n):
    rng = np.random.default_rng(40 + n)
    epochs = [epoch(1, rng, snr=80)]
    for k in range(n - 1):
        tilt, scale, joint = rng.uniform(-0.4, 0.4), rng.uniform(0.1, 30), rng.uniform(0.6, 1.7)
        epochs.append(epoch(k + 2, rng, 40, None, tilt, scale, joint))
    result = coadd_epochs(epochs)
    off = deviation(result.spectrum)
    assert np.std(off) == pytest.approx(1.0, abs=0.06)
    assert result.used.all()
    assert np.abs(off).max() < 6.0


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_cosmic_rays_are_left_out_and_their_pixels_marked(n):
    rng = np.random.default_rng(60 + n)
    epochs = [epoch(k + 1, rng, cosmics=10) for k in range(n)]
    result = coadd_epochs(epochs)
    off = deviation(result.spectrum)
    assert np.abs(off).max() < 6.0
    assert np.std(off) == pytest.approx(1.0, abs=0.05)
    assert (result.n_rejected >= 10).all()
    assert (np.asarray(result.spectrum.meta["ormask"]) & REJECTED != 0).sum() >= 20


def test_clean_epochs_lose_next_to_nothing():
    rng = np.random.default_rng(3)
    result = coadd_epochs([epoch(k + 1, rng, snr=30) for k in range(6)])
    assert result.n_rejected.max() <= 6  # of 3909
    assert result.chi2 == pytest.approx(np.full(6, 5 / 6), abs=0.08)  # each is part of the mean


def test_a_velocity_that_is_not_taken_out_shows_and_one_that_is_does_not():
    rng = np.random.default_rng(9)
    epochs = [epoch(k + 1, rng, 60, v) for k, v in enumerate((-180.0, 0.0, 200.0))]
    moved = coadd(epochs)
    still = coadd(epochs, np.zeros(3))
    narrow = np.abs(moved.wavelength - 4482.4) < 1.0
    left = np.abs(still.wavelength - 4482.4) < 1.0
    assert moved.z == 0.0
    assert 1 - moved.flux[narrow].min() / np.median(moved.flux[1500:1560]) > 0.12
    assert np.min(moved.flux[narrow]) < np.min(still.flux[left])


def test_signal_to_noise_adds_in_squares():
    rng = np.random.default_rng(5)
    epochs = [epoch(k + 1, rng, snr=30, velocity=0.0) for k in range(9)]
    assert coadd(epochs).snr_g == pytest.approx(90.0, rel=0.03)
    ivar = np.sum([s.ivar for s in epochs], axis=0)
    total = coadd(epochs)
    assert np.median(total.ivar / ivar) == pytest.approx(1.0, abs=0.02)


# --- the interpolation -------------------------------------------------------------------------
def test_a_shift_by_whole_pixels_keeps_every_value():
    rng = np.random.default_rng(2)
    one = epoch(1, rng, velocity=0.0)
    flux, ivar = at_rest(one, 0.0, LAMOST_GRID)
    np.testing.assert_array_equal(flux.astype("f4"), np.where(one.mask, 0, one.flux))
    np.testing.assert_allclose(ivar, one.ivar, rtol=1e-6)
    grid = LogGrid(LAMOST_GRID.first - 7, LAMOST_GRID.n_pixels)
    flux, ivar = at_rest(one, 10**7e-4 - 1, grid)
    np.testing.assert_array_equal(flux.astype("f4"), np.where(one.mask, 0, one.flux))


def test_interpolated_noise_has_the_variance_that_is_stated():
    rng = np.random.default_rng(4)
    sigma = rng.uniform(0.5, 2.0, LAMOST_GRID.n_pixels)
    z = 10 ** (0.5e-4) - 1  # half a pixel
    draws = []
    for _ in range(300):
        noise = Spectrum(
            1,
            LAMOST_GRID.wavelength,
            rng.normal(0, sigma),
            sigma**-2,
            np.zeros(len(sigma), bool),
            0.0,
        )
        flux, ivar = at_rest(noise, z, LAMOST_GRID)
        draws.append(flux)
    good = ivar > 0
    ratio = np.var(draws, axis=0)[good] * ivar[good]
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)


def test_a_bad_pixel_spoils_only_the_pixels_made_of_it():
    rng = np.random.default_rng(6)
    one = epoch(1, rng, velocity=0.0)
    mask = np.zeros(len(one.flux), dtype=bool)
    mask[1000] = True
    one = replace(one, mask=mask, ivar=np.ones(len(mask)), flux=np.where(mask, 1e9, one.flux))
    flux, ivar = at_rest(one, 10**0.5e-4 - 1, LAMOST_GRID)
    assert np.flatnonzero(ivar == 0)[:-1].tolist() == [999, 1000]
    assert np.abs(flux).max() < 100.0


# --- masks, and what is wrong with epochs --------------------------------------------------------
def test_masks_say_where_epochs_are_missing():
    rng = np.random.default_rng(8)
    epochs = [epoch(k + 1, rng, velocity=0.0) for k in range(3)]
    for number, one in enumerate(epochs):
        one.mask[:] = False
        one.flux[:] = np.where(one.flux < 0, 1, one.flux)
        one.ivar[:] = np.where(one.ivar == 0, 1e-3, one.ivar)
        one.mask[500:520] = True
        one.mask[900 + 10 * number : 905 + 10 * number] = True
    result = coadd(epochs)
    soft = np.asarray(result.meta["ormask"])
    assert result.mask[500:520].all()
    assert result.mask.sum() == 20
    assert (soft[500:520] & NOTHING != 0).all()
    assert (soft[900:905] & SOME_BAD != 0).all()
    assert result.ivar[910] == pytest.approx(result.ivar[907] * 2 / 3, rel=0.2)


def test_an_arm_that_is_missing_in_one_epoch_comes_from_the_others():
    rng = np.random.default_rng(11)
    epochs = [epoch(k + 1, rng, scale=1 + k) for k in range(3)]
    red = epochs[1].wavelength > 5800
    epochs[1] = replace(epochs[1], mask=epochs[1].mask | red, ivar=np.where(red, 0, epochs[1].ivar))
    off = deviation(coadd(epochs))
    assert np.std(off) == pytest.approx(1.0, abs=0.06)


def test_one_spectrum_and_a_batch_are_taken_as_well():
    rng = np.random.default_rng(1)
    epochs = [epoch(k + 1, rng) for k in range(2)]
    alone = coadd(epochs[0])
    assert alone.meta["n_epochs"] == 1
    batch = coadd(on_grid(epochs))
    np.testing.assert_allclose(batch.flux, coadd(epochs).flux, rtol=2e-5)


def test_an_epoch_without_velocity_or_sense_is_left_out_and_named():
    rng = np.random.default_rng(7)
    epochs = [epoch(k + 1, rng) for k in range(4)]
    epochs[1] = replace(epochs[1], z=float("nan"))
    epochs[2] = replace(epochs[2], flux=-epochs[2].flux)
    result = coadd_epochs(epochs)
    assert result.used.tolist() == [True, False, False, True]
    assert np.isnan(result.scale).tolist() == [False, True, True, False]
    assert result.spectrum.meta["epochs"] == "1-4"
    assert np.std(deviation(result.spectrum)) == pytest.approx(1.0, abs=0.06)


@pytest.mark.slow
def test_a_thousand_epochs_of_low_signal_make_one_good_spectrum():
    rng = np.random.default_rng(13)
    wavelength = LogGrid(36200, 400).wavelength
    sigma = star(wavelength) / 3.0
    epochs = [
        Spectrum(
            k, wavelength, star(wavelength) + rng.normal(0, sigma), sigma**-2,
            np.zeros(400, bool), 0.0, snr_g=3.0,
        )
        for k in range(1000)
    ]  # fmt: skip
    result = coadd(epochs)
    assert np.std(deviation(result)) == pytest.approx(1.0, abs=0.15)
    assert np.median(result.flux * np.sqrt(result.ivar)) == pytest.approx(3 * 1000**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: [], "no spectrum to add up"),
        (lambda s: [replace(one, z=float("nan")) for one in s], "has a Doppler shift"),
        (lambda s: [replace(one, mask=np.ones(3909, bool)) for one in s], "no good pixel"),
        (lambda s: [s[0], replace(s[1], meta={"resolution": "medium"})], "add up each resolution"),
    ],
)
def test_what_cannot_be_added_up_is_refused_with_the_remedy(change, said):
    rng = np.random.default_rng(0)
    with pytest.raises(SpectrumError, match=said):
        coadd(change([epoch(1, rng), epoch(2, rng)]))


def test_as_many_shifts_as_spectra_are_needed():
    rng = np.random.default_rng(0)
    with pytest.raises(SpectrumError, match="one shift per spectrum"):
        coadd([epoch(1, rng)], [0.0, 0.1])
