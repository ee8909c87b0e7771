"""Line fits: truth in and truth back, errors that hold, and a flag for whatever is wrong."""

from dataclasses import fields, replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty
from pytest import approx
from simulated_lines import simulated_lines

from msfa_core.balmer import (
    FitFlag,
    fit_lines,
    in_bhb_region,
    line_width_d02,
    line_window,
    sws_profile,
)
from msfa_core.balmer.flags import FATAL
from msfa_core.balmer.results import _trust
from msfa_core.balmer.selection import Selection
from msfa_core.balmer.sws import core_flux_fm
from msfa_core.columns import columns_of
from msfa_core.constants import BALMER_LINES, D02_REPEAT_ERROR, FIT_LINES, FM_REPEAT_ERROR
from msfa_core.errors import ConfigError, SpectrumError
from msfa_core.spectra.spectrum import Spectra, Spectrum

HDELTA = float(BALMER_LINES["hdelta"])


@pytest.fixture(scope="module")
def batch():
    return simulated_lines(6, 60, np.random.default_rng(5))[0]


def flags_of(fits, row=0, line=0):
    return FitFlag(int(fits.flags[row, line]))


def arrays_of(fits):
    return {f.name: getattr(fits, f.name) for f in fields(fits) if f.name != "lines"}


def noise_of(fits, name):
    """(n, line) errors of D0.2 or fm without what repeats of real stars add: draws have none."""
    share, part = (
        np.array([errors[line] for line in fits.lines], dtype=float)
        for errors in (D02_REPEAT_ERROR, FM_REPEAT_ERROR)
    )
    floor = {"d02": share * fits.d02, "fm": part}[name]
    return np.sqrt(getattr(fits, f"{name}_err") ** 2 - floor**2)


# --- truth ---------------------------------------------------------------------------------
def test_d02_and_fm_are_unbiased_and_their_errors_hold():
    rng = np.random.default_rng(1)
    snr = np.exp(rng.uniform(np.log(20), np.log(200), 2500))
    spectra, truth = simulated_lines(2500, snr, rng)
    fits = fit_lines(spectra)
    for k, line in enumerate(fits.lines):
        for name, true_value, tolerance in (
            ("d02", line_width_d02(truth[line]), 0.1),
            ("fm", core_flux_fm(truth[line]), 0.005),
        ):
            error = noise_of(fits, name)[:, k]
            difference = getattr(fits, name)[:, k] - true_value
            assert np.isfinite(difference).mean() > 0.99
            assert abs(np.nanmean(difference)) < tolerance
            pull = difference / error
            assert np.nanmean(pull) == approx(0, abs=0.1)
            assert np.nanstd(pull) == approx(1, abs=0.15)


def test_errors_hold_down_to_the_limit_of_the_search():
    spectra, truth = simulated_lines(4000, 12, np.random.default_rng(7))
    fits = fit_lines(spectra)
    for k, line in enumerate(fits.lines):
        pull = (fits.d02[:, k] - line_width_d02(truth[line])) / noise_of(fits, "d02")[:, k]
        assert np.nanmean(pull) == approx(0, abs=0.1)
        assert np.nanstd(pull) == approx(1, abs=0.15)


def test_noise_does_not_shift_d02_and_fm_at_snr_20():
    spectra, truth = simulated_lines(10_000, 20, np.random.default_rng(11))
    fits = fit_lines(spectra)
    for k, line in enumerate(fits.lines):
        d02 = fits.d02[:, k] - line_width_d02(truth[line])
        fm = fits.fm[:, k] - core_flux_fm(truth[line])
        assert abs(np.nanmean(d02)) < 0.1
        assert abs(np.nanmean(fm)) < 0.005
        assert np.nanmean(d02 + fits.d02_bias[:, k]) > np.nanmean(d02) + 0.03  # it did before
        assert np.nanmean(d02 / noise_of(fits, "d02")[:, k]) == approx(0, abs=0.1)
        assert np.nanmean(fm / noise_of(fits, "fm")[:, k]) == approx(0, abs=0.1)


def test_what_was_taken_off_is_known_and_leaves_the_closed_forms(batch):
    fits = fit_lines(batch)
    for k, line in enumerate(fits.lines):
        profile = fits.parameters(line)
        assert fits.d02[:, k] + fits.d02_bias[:, k] == approx(line_width_d02(profile))
        assert fits.fm[:, k] + fits.fm_bias[:, k] == approx(core_flux_fm(profile))
        assert (np.abs(fits.d02_bias) < 0.2 * noise_of(fits, "d02")).all()


def test_the_correlation_of_d02_and_fm_is_that_of_their_scatter():
    rng = np.random.default_rng(3)
    fixed = {"depth": (0.7, 0.7), "width": (9, 9), "shape": (1.0, 1.0)}
    fits = fit_lines(simulated_lines(1500, 50, rng, **fixed)[0])
    found = np.corrcoef(fits.d02[:, 0], fits.fm[:, 0])[0, 1]
    stated = fits.d02_err * fits.fm_err * fits.d02_fm_correlation
    of_noise = stated / (noise_of(fits, "d02") * noise_of(fits, "fm"))
    assert found == approx(np.median(of_noise[:, 0]), abs=0.12)
    found = np.corrcoef(fits.width[:, 1], fits.shape[:, 1])[0, 1]
    assert found == approx(np.median(fits.width_shape_correlation[:, 1]), abs=0.12)


def test_correlated_noise_raises_the_errors_as_it_raises_the_scatter():
    rng = np.random.default_rng(4)
    spectra, truth = simulated_lines(1500, 1e5, rng)
    white = rng.standard_normal((1500, len(spectra.wavelength) + 1))
    noise = (white[:, 1:] + white[:, :-1]) / np.sqrt(2)  # each pixel shares with the next
    level = np.median(spectra.flux, axis=1, keepdims=True)
    noisy = replace(
        spectra,
        flux=spectra.flux + noise * level / 50,
        ivar=np.broadcast_to((50 / level) ** 2, spectra.flux.shape),
    )
    fits = fit_lines(noisy)
    pull = (fits.d02[:, 0] - line_width_d02(truth["hdelta"])) / noise_of(fits, "d02")[:, 0]
    assert np.nanstd(pull) == approx(1, abs=0.2)


def test_what_repeats_differ_by_is_in_the_errors_and_has_no_correlation():
    alike = {"depth": (0.7, 0.7), "width": (9, 9), "shape": (0.7, 0.7)}
    faint, bright = (
        fit_lines(simulated_lines(100, snr, np.random.default_rng(8), **alike)[0])
        for snr in (20, 2000)
    )
    for k, line in enumerate(bright.lines):
        assert bright.d02_err[:, k] == approx(D02_REPEAT_ERROR[line] * bright.d02[:, k], rel=0.03)
        assert bright.fm_err[:, k] == approx(float(FM_REPEAT_ERROR[line]), rel=0.03)
    assert np.isfinite(faint.d02).mean() > 0.95
    assert np.nanmin(noise_of(faint, "d02")) > 0.2
    assert np.nanmin(noise_of(faint, "fm")) > 0.01
    assert np.nanmedian(np.abs(faint.d02_fm_correlation)) > 0.1
    assert np.nanmedian(np.abs(bright.d02_fm_correlation)) < 0.01


def test_weak_lines_that_the_profile_does_not_follow_are_no_noise():
    rng = np.random.default_rng(8)
    alike = {"depth": (0.4, 0.4), "width": (6, 6), "shape": (1.0, 1.0)}
    spectra, _ = simulated_lines(400, 60, rng, **alike)
    metals = np.ones(len(spectra.wavelength))
    for at in np.random.default_rng(1).uniform(4030, 4420, 40):
        metals -= 0.06 * np.exp(-0.5 * ((spectra.wavelength - at) / 1.3) ** 2)
    fits = fit_lines(replace(spectra, flux=spectra.flux * metals))
    for k in range(2):
        for name in ("d02", "fm"):
            scatter = np.nanstd(getattr(fits, name)[:, k])
            stated = np.nanmedian(noise_of(fits, name)[:, k])
            assert 0.7 < scatter / stated < 1.3, (name, k)


def test_underestimated_noise_is_found_in_the_residuals():
    spectra, truth = simulated_lines(800, 50, np.random.default_rng(6))
    fits = fit_lines(replace(spectra, ivar=spectra.ivar * 9))
    pull = (fits.d02[:, 0] - line_width_d02(truth["hdelta"])) / noise_of(fits, "d02")[:, 0]
    assert np.nanmedian(fits.chi2) == approx(9, rel=0.1)
    assert np.nanstd(pull) == approx(1, abs=0.15)


@pytest.mark.parametrize("z", [0.001, -0.0015, 0.08])
def test_the_rest_frame_is_that_of_the_redshift(z):
    spectra, truth = simulated_lines(50, 100, np.random.default_rng(7), z=z)
    fits = fit_lines(spectra)
    difference = fits.centre - np.stack([truth[line].centre for line in fits.lines], axis=1)
    assert np.nanmedian(np.abs(difference)) < 0.1
    assert np.nanmedian(fits.d02[:, 0] - line_width_d02(truth["hdelta"])) == approx(0, abs=0.15)


def test_hbeta_is_fitted_on_request():
    spectra, truth = simulated_lines(80, 100, np.random.default_rng(8))
    fits = fit_lines(spectra, lines=("hbeta",))
    assert fits.lines == ("hbeta",)
    assert np.nanmedian(fits.d02[:, 0] - line_width_d02(truth["hbeta"])) == approx(0, abs=0.15)


# --- batches -------------------------------------------------------------------------------
def test_a_row_has_the_same_fit_alone_and_in_any_order(batch):
    together = fit_lines(batch)
    backwards = fit_lines(batch[::-1])
    for name, values in arrays_of(together).items():
        np.testing.assert_array_equal(values, arrays_of(backwards)[name][::-1])
        np.testing.assert_array_equal(values[[2]], arrays_of(fit_lines(batch[[2]]))[name])
        np.testing.assert_array_equal(values[1:3], arrays_of(together[1:3])[name])


def test_the_flux_scale_does_not_matter(batch):
    scaled = replace(batch, flux=batch.flux * 1e-17, ivar=batch.ivar * 1e34)
    assert fit_lines(scaled).d02 == approx(fit_lines(batch).d02, rel=1e-6)


def test_float32_spectra_give_the_same_to_far_less_than_their_errors(batch):
    single = replace(batch, flux=batch.flux.astype(np.float32), ivar=batch.ivar.astype(np.float32))
    one, two = fit_lines(single), fit_lines(batch)
    assert (np.abs(one.d02 - two.d02) < 0.01 * noise_of(two, "d02")).all()


def test_single_spectra_keep_their_own_wavelengths(batch):
    def single(row, cut):
        return Spectrum(
            obsid=int(batch.obsid[row]),
            wavelength=batch.wavelength[cut:],
            flux=batch.flux[row, cut:],
            ivar=batch.ivar[row, cut:],
            mask=batch.mask[row, cut:],
            z=0.0,
        )

    mixed = fit_lines([single(0, 0), single(1, 5), single(2, 0)])
    whole = fit_lines(batch[:3])
    assert mixed.obsid.tolist() == [1, 2, 3]
    assert mixed.d02 == approx(whole.d02, rel=1e-6)
    assert fit_lines(single(1, 5)).d02[0] == approx(mixed.d02[1])


def test_specutils_spectra_are_taken_as_they_are(batch):
    from specutils import Spectrum as Foreign

    def foreign(row, **kw):
        return Foreign(
            flux=batch.flux[row] * u.Unit("erg / (s cm2 AA)"),
            spectral_axis=(batch.wavelength / 10) * u.nm,
            meta={"obsid": 77},
            **kw,
        )

    ours = fit_lines(batch[[0]])
    with_ivar = fit_lines(foreign(0, uncertainty=InverseVariance(batch.ivar[0])))
    with_error = fit_lines([foreign(0, uncertainty=StdDevUncertainty(batch.ivar[0] ** -0.5))])
    without = fit_lines(foreign(0))
    assert with_ivar.obsid.tolist() == [77]
    assert with_ivar.d02 == approx(ours.d02, rel=1e-6)
    assert with_error.d02_err == approx(ours.d02_err, rel=1e-6)
    assert without.d02 == approx(ours.d02, abs=3 * noise_of(ours, "d02").max())
    assert noise_of(without, "d02") == approx(noise_of(ours, "d02"), rel=0.3)


def test_no_spectra_give_no_fits(batch):
    fits = fit_lines(batch[:0])
    assert len(fits) == 0
    assert fits.d02.shape == (0, 2)
    assert in_bhb_region(fits).shape == (0,)
    assert len(fit_lines([])) == 0


# --- records -------------------------------------------------------------------------------
def test_the_table_has_the_columns_of_the_contract_in_their_order(batch):
    table = fit_lines(batch).as_table()
    contract = [column.name for column in columns_of("measure")]
    lines = [name for name in contract if any(line in name for line in FIT_LINES)]
    assert list(table.columns) == ["obsid", *lines]
    assert table["obsid"].tolist() == batch.obsid.tolist()


def test_both_lines_must_be_inside_the_selection(batch):
    fits = fit_lines(batch)
    wide = Selection("all", {"hdelta": (), "hgamma": ()}, "test")
    assert in_bhb_region(fits, wide).all()
    lost = fit_lines(replace(batch, mask=batch.mask | (np.abs(batch.wavelength - HDELTA) < 5)))
    assert not in_bhb_region(lost, wide).any()
    assert not in_bhb_region(lost, "xue2011").any()
    with pytest.raises(ConfigError, match="needs hdelta"):
        in_bhb_region(fit_lines(batch, lines=("hgamma",)), "xue2008")


def test_the_window_shows_the_pixels_and_the_model_of_the_fit(batch):
    fits = fit_lines(batch)
    for line in FIT_LINES:
        k = fits.lines.index(line)
        window = line_window(batch, fits, 3, line)
        assert window.obsid == batch.obsid[3]
        assert window.used.sum() == fits.n_pixels[3, k]
        rms = np.sqrt(np.mean(window.residual[window.used] ** 2))
        assert rms == approx(fits.rms[3, k], rel=1e-9)
        pull = window.residual[window.used] / window.error[window.used]
        assert np.sum(pull**2) / (window.used.sum() - 5) == approx(fits.chi2[3, k], rel=1e-6)
        low, high = window.d02_edges
        assert high - low == approx(fits.d02[3, k] + fits.d02_bias[3, k])
        edges = sws_profile(np.array([low, high]), fits.parameters(line))[3]
        assert edges == approx(window.d02_level)
        assert np.ptp(window.wavelength) == approx(140, abs=2)
        core = fits.continuum[3, k] - fits.depth[3, k]
        assert window.curve[1].min() == approx(core, abs=1e-9)  # pixels beside it miss it
        assert np.ptp(window.curve[0]) == np.ptp(window.wavelength)


def test_a_window_of_a_lost_line_shows_the_data_without_a_model(batch):
    masked = replace(batch, mask=batch.mask | (np.abs(batch.wavelength - HDELTA) < 5))
    window = line_window(masked, fit_lines(masked), 0, "hdelta")
    assert np.isfinite(window.flux).all()
    assert np.isnan(window.model).all()
    assert window.flags & FitFlag.MASKED_CORE


def test_wrong_calls_are_refused(batch):
    fits = fit_lines(batch)
    with pytest.raises(ConfigError, match="hdelta, hgamma, hbeta, halpha"):
        fit_lines(batch, lines=("hzeta",))
    with pytest.raises(SpectrumError, match="give the spectra that were fitted"):
        line_window(batch[::-1], fits, 0, "hdelta")
    with pytest.raises(SpectrumError, match="no row 99"):
        line_window(batch, fits, 99, "hdelta")
    with pytest.raises(ConfigError, match="was not fitted"):
        line_window(batch, fits, 0, "hbeta")
    with pytest.raises(SpectrumError, match="give Spectra"):
        fit_lines(42)
    with pytest.raises(SpectrumError, match="not a Spectrum"):
        fit_lines([1, 2])


# --- bad input -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def star():
    fixed = {"depth": (0.75, 0.75), "width": (9, 9), "shape": (1.0, 1.0)}
    return simulated_lines(1, 60, np.random.default_rng(5), **fixed)[0]


def bump(star, height, width, at=HDELTA):
    level = np.median(star.flux)
    shape = np.exp(-0.5 * ((star.wavelength - at) / width) ** 2)
    return replace(star, flux=star.flux + height * level * shape)


def masked(star, where):
    return replace(star, mask=star.mask | where)


def blended(star, velocity, share=0.5):
    shifted = np.interp(
        star.wavelength * (1 - velocity / 299_792.458), star.wavelength, star.flux[0]
    )
    return replace(star, flux=(1 - share) * star.flux + share * shifted)


def noisy(star, snr):
    level = np.median(star.flux)
    noise = np.random.default_rng(9).normal(0, level / snr, star.flux.shape)
    return replace(star, flux=star.flux + noise, ivar=np.full(star.ivar.shape, (snr / level) ** 2))


def offset(star):
    return star.wavelength - HDELTA


BAD = {
    "no redshift": (lambda s: replace(s, z=np.array([np.nan])), FitFlag.NO_REDSHIFT),
    "absurd redshift": (lambda s: replace(s, z=np.array([-2.0])), FitFlag.NO_REDSHIFT),
    "no coverage": (lambda s: replace(s, z=np.array([3.0])), FitFlag.NO_COVERAGE),
    "half a window": (lambda s: masked(s, offset(s) < -5), FitFlag.NO_COVERAGE),
    "saturated mask": (lambda s: masked(s, offset(s) < 1e9), FitFlag.NO_COVERAGE),
    "no inverse variance": (lambda s: replace(s, ivar=0 * s.ivar), FitFlag.NO_COVERAGE),
    "all NaN": (lambda s: replace(s, flux=np.nan * s.flux), FitFlag.NO_COVERAGE),
    "all infinite": (lambda s: replace(s, flux=np.inf * s.flux), FitFlag.NO_COVERAGE),
    "masked core": (lambda s: masked(s, np.abs(offset(s)) < 4), FitFlag.MASKED_CORE),
    "cosmic ray on the core": (lambda s: bump(s, 3.0, 0.5), FitFlag.CORE_SPIKE),
    "faint spike on the core": (lambda s: bump(s, 0.3, 0.3), FitFlag.CORE_SPIKE),
    "emission core": (lambda s: bump(s, 0.45, 2.0), FitFlag.EMISSION_CORE),
    "strong emission": (lambda s: bump(s, 1.5, 4.0), FitFlag.EMISSION_CORE),
    "filled-in core": (lambda s: bump(s, 0.33, 2.0), FitFlag.EMISSION_CORE),
    "negative flux": (lambda s: replace(s, flux=-s.flux), FitFlag.BAD_FLUX),
    "zero flux": (lambda s: replace(s, flux=0 * s.flux), FitFlag.BAD_FLUX),
    "constant flux": (lambda s: replace(s, flux=0 * s.flux + 7.0), FitFlag.BAD_FLUX),
    "S/N 2": (lambda s: noisy(s, 2), FitFlag.LOW_SIGNAL),
    "a step on the core": (
        lambda s: replace(s, flux=s.flux * np.where(offset(s) < 0, 1.35, 1.0)),
        FitFlag.LOPSIDED,
    ),
    "two stars, 700 km/s apart": (lambda s: blended(s, 700), FitFlag.OFF_CENTRE),
    "two stars, 1500 km/s apart": (lambda s: blended(s, 1500), FitFlag.OFF_CENTRE),
    "two stars, 700 km/s apart, of unequal light": (
        lambda s: blended(s, 700, share=0.3),
        FitFlag.BLENDED,
    ),
    "two stars, 1500 km/s apart, of unequal light": (
        lambda s: blended(s, 1500, share=0.3),
        FitFlag.BLENDED,
    ),
    "a featureless star": (
        lambda s: noisy(replace(s, flux=0 * s.flux + np.median(s.flux)), 50),
        FitFlag.TOO_SHALLOW,
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_line_that_cannot_be_measured_is_nan_and_says_why(star, what):
    spoil, flag = BAD[what]
    fits = fit_lines(spoil(star))
    assert flag in flags_of(fits)
    for name in ("d02", "d02_err", "fm", "fm_err", "depth", "width", "shape", "continuum", "rms"):
        assert np.isnan(getattr(fits, name)[0, 0]), name
    assert not in_bhb_region(fits, "xue2011").any()


def test_a_line_in_the_joint_of_the_arms_is_nan_and_says_so(star):
    """Velocities of stars bring no Balmer line there; a wrong redshift does."""
    shift = 5850 / HDELTA
    moved = replace(star, wavelength=star.wavelength * shift, z=np.array([shift - 1]))
    fits = fit_lines(moved)
    assert flags_of(fits) == FitFlag.IN_ARM_JOINT
    assert np.isnan(fits.d02[0, 0])
    assert np.isfinite(
        fit_lines(
            replace(
                moved, z=np.array([5600 / HDELTA - 1]), wavelength=star.wavelength * 5600 / HDELTA
            )
        ).d02[0, 0]
    )


@pytest.mark.parametrize(("wide", "is_measured"), [(2, True), (5, False), (10, False)])
def test_pixels_too_wide_for_a_core_measure_nothing(batch, wide, is_measured):
    """Binned by five (4.7 Å), fm of a BHB star is 0.30 in place of 0.23."""

    def mean(values):
        return values[..., : values.shape[-1] // wide * wide].reshape(-1, wide).mean(axis=1)

    row = batch[[0]]
    binned = Spectrum(
        obsid=1,
        wavelength=mean(row.wavelength),
        flux=mean(row.flux),
        ivar=mean(row.ivar) * wide,
        mask=np.zeros(row.flux.shape[-1] // wide, bool),
        z=float(row.z[0]),
    )
    fits = fit_lines(binned)
    assert bool(np.isfinite(fits.d02).all()) == is_measured
    assert bool(flags_of(fits) & FitFlag.NO_COVERAGE) != is_measured


def test_a_good_line_has_no_flag(star):
    fits = fit_lines(star)
    assert fits.flags.tolist() == [[0, 0]]
    assert np.isfinite(fits.d02).all()


def test_a_second_star_shows_in_the_residuals_and_a_single_one_seldom():
    rng = np.random.default_rng(12)
    fixed = {"depth": (0.7, 0.8), "width": (8, 10), "shape": (0.9, 1.1)}
    spectra, _ = simulated_lines(300, 30, rng, **fixed)
    beside = [
        np.interp(spectra.wavelength * (1 - 600 / 299_792.458), spectra.wavelength, row)
        for row in simulated_lines(300, 1e4, rng, **fixed)[0].flux
    ]
    both = replace(spectra, flux=0.7 * spectra.flux + 0.3 * np.array(beside), ivar=spectra.ivar * 2)
    found = fit_lines(both).flags & int(FitFlag.BLENDED) > 0
    false = fit_lines(spectra).flags & int(FitFlag.BLENDED) > 0
    assert (found[:, 0] == found[:, 1]).all()  # a star is two, or it is not
    assert found.mean() > 0.8
    assert false.mean() < 0.01


def test_what_spoils_one_line_leaves_the_other_and_the_other_rows_alone(batch):
    mask = batch.mask.copy()
    mask[1] |= np.abs(batch.wavelength - HDELTA) < 4
    fits, clean = fit_lines(replace(batch, mask=mask)), fit_lines(batch)
    assert np.isnan(fits.d02[1, 0])
    assert np.isfinite(fits.d02[1, 1])
    others = [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(fits.d02[others], clean.d02[others])


def test_a_cosmic_ray_in_the_wing_is_left_out(star):
    fits, clean = fit_lines(bump(star, 3.0, 0.5, HDELTA + 18)), fit_lines(star)
    assert flags_of(fits) == FitFlag.PIXELS_REJECTED
    assert fits.d02[0, 0] == approx(clean.d02[0, 0], abs=noise_of(clean, "d02")[0, 0])


def test_a_core_filled_in_one_line_only_is_told_from_the_other(star):
    fits = fit_lines(bump(star, 0.2, 5.0))
    assert FitFlag.LINES_DISAGREE in flags_of(fits)


def test_a_shallow_line_has_an_fm_but_no_d02():
    faint = {"depth": (0.15, 0.15), "width": (9, 9), "shape": (1.0, 1.0)}
    spectra, _ = simulated_lines(1, 200, np.random.default_rng(5), **faint)
    fits = fit_lines(spectra)
    assert flags_of(fits) == FitFlag.TOO_SHALLOW
    assert np.isnan(fits.d02[0, 0])
    assert fits.fm[0, 0] == approx(0.85, abs=0.01)


def test_random_masks_never_give_a_wrong_number():
    rng = np.random.default_rng(10)
    spectra, truth = simulated_lines(600, 60, rng)
    share = rng.uniform(0, 0.9, (600, 1))
    fits = fit_lines(replace(spectra, mask=rng.uniform(size=spectra.flux.shape) < share))
    pull = (fits.d02[:, 0] - line_width_d02(truth["hdelta"])) / noise_of(fits, "d02")[:, 0]
    assert np.nanmax(np.abs(pull)) < 5
    assert 0.1 < np.isfinite(pull).mean() < 0.9


def test_a_poor_fit_keeps_its_numbers():
    assert not FATAL & FitFlag.POOR_FIT


def test_a_batch_of_spoilt_spectra_comes_back_complete(star):
    spoilt = [spoil(star) for spoil, _ in BAD.values()]
    together = Spectra(
        obsid=np.arange(len(spoilt)),
        wavelength=star.wavelength,
        flux=np.concatenate([one.flux for one in spoilt]),
        ivar=np.concatenate([one.ivar for one in spoilt]),
        mask=np.concatenate([one.mask for one in spoilt]),
        z=np.concatenate([one.z for one in spoilt]),
    )
    fits = fit_lines(together)
    assert len(fits) == len(spoilt)
    for row, (_, flag) in enumerate(BAD.values()):
        assert flag in flags_of(fits, row)


def test_a_bias_of_errors_beyond_all_measure_is_not_taken_off():
    assert _trust(np.array([0.0, 1e60, np.inf]), 0.08).tolist() == approx([1.0, 0.0, 0.0])
