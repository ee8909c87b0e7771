import os
from dataclasses import replace

import numpy as np
import pytest
from distant_spectra import simulated_qsos
from template_spectra import faulty, simulated_matches, without

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT, LogGrid
from msfa_core.errors import ConfigError, ModelError, SpectrumError
from msfa_core.flags import MatchFlag
from msfa_core.spectra.spectrum import Spectra
from msfa_core.templates import TemplateSet, match, model_of
from msfa_core.templates.cells import Matcher, default_searches, matcher_of
from msfa_core.templates.kernels import RIDGE
from msfa_core.templates.matching import _match_batch, prepare_fit, search_cells
from msfa_core.templates.results import BLUE
from msfa_core.templates.weights import fit_weights


@pytest.fixture(scope="module")
def stars():
    """Every fourth star of the shipped set, by themselves."""
    shipped = TemplateSet.load()
    return shipped.take(np.flatnonzero(shipped.cls == "STAR")[::4])


@pytest.fixture(scope="module")
def some(stars):
    """60 stars of S/N 20 to 100 with other continua."""
    return simulated_matches(60, seed=5, snr=(20.0, 100.0), templates=stars)


@pytest.fixture(scope="module")
def found(stars, some):
    return match(some, stars, k=4)


def test_a_star_is_matched_by_its_own_template(stars, some, found):
    assert np.mean(found.template[:, 0] == some.obsid) > 0.85
    same = stars.subclass[found.template[:, 0]] == stars.subclass[some.obsid]
    assert same.mean() > 0.85


def test_the_redshift_comes_back_between_the_steps_within_its_error(some, found):
    right = found.template[:, 0] == some.obsid
    pull = ((found.z[:, 0] - some.z) / found.z_err[:, 0])[right]
    assert np.median(np.abs(found.z[right, 0] - some.z[right])) * SPEED_OF_LIGHT < 5
    assert 0.75 < pull.std() < 1.15  # 60 stars tell it within a tenth
    assert np.abs(pull).max() < 4


def test_solutions_come_best_first_each_of_another_template(found):
    assert (np.diff(found.chi2, axis=1) >= 0).all()
    assert all(len(set(row)) == len(row) for row in found.template.tolist())


def test_the_best_cell_is_that_of_a_brute_force_in_float64(stars, some):
    matcher = matcher_of(stars)
    few = some[:12]
    fit = prepare_fit(matcher, few)
    ladder, columns = matcher.searches["STAR"].ladder, matcher.columns
    gain = np.empty((len(few), len(stars), len(ladder)))
    for t in range(len(stars)):
        for k, z in enumerate(ladder):
            design = matcher.shifted(t, float(z)) * columns
            for row in range(len(few)):
                normal = (design * fit.weight[row]) @ design.T
                normal += RIDGE * np.trace(normal) / len(columns) * np.eye(len(columns))
                right = design @ (fit.weight[row] * fit.flux[row])
                gain[row, t, k] = right @ np.linalg.solve(normal, right)
    refined = search_cells(matcher, fit)
    best = np.nanargmax(refined.gain_at_step, axis=1)
    rows = np.arange(len(few))
    cell = gain.reshape(len(few), -1).argmax(axis=1)
    ours = refined.template[rows, best] * len(ladder) + refined.step[rows, best]
    assert cell.tolist() == ours.astype(int).tolist()
    assert np.allclose(refined.gain_at_step[rows, best], gain.max(axis=(1, 2)), rtol=1e-9)


def test_chi2_is_that_of_the_model_on_the_pixels_of_the_fit(stars, some, found):
    weight = fit_weights(some[:3])
    for row in range(3):
        model = model_of(some, found, row)
        used = weight[row] > 0
        total = np.sum(weight[row, used] * (some.flux[row, used] - model[used]) ** 2)
        free = used.sum() - len(stars.continuum) - 2
        assert total / free == pytest.approx(found.chi2[row, 0], rel=1e-3)
        blue = used & (some.wavelength > BLUE[0]) & (some.wavelength < BLUE[1])
        total = np.sum(weight[row, blue] * (some.flux[row, blue] - model[blue]) ** 2)
        assert total / blue.sum() == pytest.approx(found.blue_chi2[row, 0], rel=1e-3)


def test_the_best_of_each_class_is_judged_on_the_same_pixels():
    spectra = simulated_matches(3, seed=8, snr=(40.0, 60.0))
    found = match(spectra)
    assert (found.class_template >= 0).all()
    assert np.allclose(found.class_chi2.min(axis=1), found.chi2[:, 0])
    assert found.cls().tolist() == ["STAR"] * 3


@pytest.mark.parametrize(
    ("cls", "z", "limit"),
    [("GALAXY", (0.02, 0.5), 5e-4), ("GALAXY", (0.65, 0.98), 7e-4), ("QSO", (0.3, 3.5), 5e-3)],
)
def test_galaxies_and_qsos_get_their_class_and_redshift(cls, z, limit):
    spectra = simulated_matches(16, seed=4, snr=(8.0, 30.0), cls=cls, z=z)
    found = match(spectra, k=2)
    right = found.cls() == cls
    assert right.mean() >= 0.9
    assert np.mean(np.abs(found.z[right, 0] - spectra.z[right]) < limit) >= 0.9


def test_qsos_are_found_as_far_as_lyman_alpha_is_seen():
    """Half of them lie beyond z = 5.15, where C IV has left the range and Lyα's edge is blurred."""
    spectra = simulated_qsos(32, seed=4, snr=(8.0, 30.0), z=(4.2, 6.1))
    found = match(spectra, k=1)
    right = found.cls() == "QSO"
    assert right.mean() >= 0.9
    off = np.abs(found.z[right, 0] - spectra.z[right]) / (1 + spectra.z[right]) * SPEED_OF_LIGHT
    assert np.median(off) < 1000 and np.mean(off < 3000) >= 0.85


def test_severe_faults_leave_the_subclass_nearly_alone(stars, some, found):
    before = found.template[:24, 0]
    for name, changed in faulty(some[:24]):
        again = match(changed, stars, k=1)
        arm = name.startswith("no ")
        assert np.mean(again.template[:, 0] == before) > (0.3 if arm else 0.75), name


def test_a_missing_arm_is_flagged_and_still_matched(stars, some, found):
    blind = match(without(some, 3000.0, 5850.0), stars)
    assert ((blind.flags & int(MatchFlag.NO_BLUE)) != 0).all()
    assert ((found.flags & int(MatchFlag.NO_BLUE | MatchFlag.NO_RED)) == 0).all()
    assert np.isfinite(blind.chi2[:, 0]).all()
    assert np.isnan(blind.blue_residual).all()
    assert np.isfinite(blind.red_residual[:, 0]).all()


def test_spectra_without_a_usable_pixel_come_back_flagged(stars, some):
    masked = replace(some[:4], mask=np.ones_like(some.mask[:4]))
    masked.mask[1, 2000:2100] = False
    dark = replace(masked, flux=np.where(np.arange(4)[:, None] == 2, np.nan, masked.flux))
    found = match(dark, stars)
    assert ((found.flags & int(MatchFlag.NO_SOLUTION)) != 0).all()
    assert (found.template == -1).all()
    assert np.isnan(found.z).all()
    assert np.isnan(model_of(dark, found, 0)).all()
    table = found.as_table()
    assert table["template_class"].isna().all()
    assert table["template_flags"].notna().all()


def test_noise_alone_is_matched_with_a_flag(stars):
    faint = simulated_matches(6, seed=3, snr=(1.0, 1.01), templates=stars)
    found = match(faint, stars)
    assert ((found.flags & int(MatchFlag.LOW_SIGNAL)) != 0).all()
    assert np.isfinite(found.chi2[:, 0]).all()
    assert (found.z_err[:, 0][np.isfinite(found.z_err[:, 0])] > 0).all()


def test_a_velocity_beyond_the_range_is_flagged(stars):
    own = stars.take(np.flatnonzero(np.char.startswith(stars.subclass, "G"))[:1])
    slow = simulated_matches(1, seed=9, snr=(50.0, 60.0), templates=own)
    fast = replace(slow, flux=np.roll(slow.flux, 40, axis=1), ivar=np.roll(slow.ivar, 40, axis=1))
    assert match(slow, own).flags[0] & int(MatchFlag.AT_EDGE) == 0
    assert match(fast, own).flags[0] & int(MatchFlag.AT_EDGE)


def test_an_empty_batch_and_one_spectrum_are_batches(stars, some):
    empty = match(some[:0], stars)
    assert empty.template.shape == (0, 10)
    assert len(empty.as_table()) == 0
    one = match(some[[3]], stars, k=2)
    among = match(some, stars, k=2)
    assert one.template[0].tolist() == among.template[3].tolist()
    assert one.chi2[0].tolist() == among.chi2[3].tolist()  # to the last bit


def test_the_order_of_spectra_changes_nothing(stars, some, found):
    backwards = match(some[::-1], stars, k=4)
    assert np.array_equal(backwards.template[::-1], found.template)
    assert np.allclose(backwards.z[::-1], found.z, rtol=0, atol=1e-9)


def test_scaling_a_spectrum_changes_nothing_but_its_model(stars, some, found):
    big = replace(
        some[:5], flux=some.flux[:5] * 1e-16, ivar=some.ivar[:5].astype(np.float64) * 1e32
    )
    again = match(big, stars, k=4)
    assert np.array_equal(again.template, found.template[:5])
    assert np.allclose(
        model_of(big, again, 2), model_of(some, found, 2) * 1e-16, rtol=1e-4, equal_nan=True
    )


def test_spectra_on_a_shorter_grid_are_shifted_onto_it(stars, some, found):
    first, last = 120, 3720
    part = LogGrid(LAMOST_GRID.first + first, last - first)
    own = {name: getattr(some, name)[:3, first:last] for name in ("flux", "ivar", "mask")}
    cut = Spectra(some.obsid[:3], part.wavelength, z=some.z[:3], **own)
    again = match(cut, stars, k=4)
    assert np.array_equal(again.template[:, 0], found.template[:3, 0])
    assert model_of(cut, again, 0).shape == (3600,)


def test_wrong_calls_say_what_to_do(stars, some):
    with pytest.raises(ConfigError, match="keep one solution"):
        match(some, stars, k=0)
    linear = Spectra(
        some.obsid[:1],
        np.linspace(3700, 9100, 3909),
        some.flux[:1],
        some.ivar[:1],
        some.mask[:1],
        some.z[:1],
    )
    with pytest.raises(SpectrumError, match="put them there with spectra.on_grid"):
        match(linear, stars)


def test_a_template_that_covers_too_little_is_named(stars):
    flux = stars.flux[:2].copy()
    flux[1, stars.extent[1, 0] + 2000 :] = np.nan
    with pytest.raises(ModelError, match="covers .* leave it out"):
        Matcher(replace(stars.take(slice(0, 2)), flux=flux))


def test_continuum_vectors_that_hold_a_line_are_refused(stars):
    sharp = stars.continuum.copy()
    sharp[1, 1200:1204] += 1.0
    with pytest.raises(ModelError, match="must be smooth"):
        Matcher(replace(stars.take(slice(0, 2)), continuum=sharp))


def test_progress_counts_every_spectrum(stars, some):
    seen = []
    match(some[:20], stars, progress=lambda *at: seen.append(at))
    assert seen[-1] == ("match", 20, 20)


def test_eigen_spectra_are_fitted_together(stars, some):
    """Two stars as a basis: a mixture of them is matched better than by either alone."""
    rows = [0, int(np.flatnonzero(np.char.startswith(stars.subclass, "K"))[-1])]
    pair = stars.take(np.array(rows))
    basis = replace(pair, basis=np.zeros(2, dtype=np.int64))
    matcher = matcher_of(basis)
    z = 0.00071
    flux = np.full((1, LAMOST_GRID.n_pixels), np.nan)
    flux[0, matcher.pixels] = 0.3 * matcher.shifted(0, z) + 0.7 * matcher.shifted(1, z)
    good = np.isfinite(flux)
    spectra = Spectra(
        np.array([1]), LAMOST_GRID.wavelength, flux, np.where(good, 1e4, 0.0), ~good, np.array([z])
    )
    found = match(spectra, basis)
    assert found.template[0].tolist() == [0] + [-1] * 9
    assert found.chi2[0, 0] < 0.01
    assert found.z[0, 0] == pytest.approx(z, abs=2e-5)
    assert found.coefficients[0, 0, :2] == pytest.approx([0.3, 0.7], rel=0.01)
    model = model_of(spectra, found, 0)
    assert np.allclose(model[matcher.pixels], flux[0, matcher.pixels], rtol=0.01)


def test_the_short_cuts_of_the_search_find_what_a_search_without_them_finds():
    """MSFA_EXPLORE=1 takes twenty times as many spectra."""
    templates = TemplateSet.load()
    fast = default_searches()
    whole = {  # nearly every template followed up from every step
        "STAR": replace(fast["STAR"], coarse=1, bin_pixels=3, n_templates=80, n_refined=60),
        "GALAXY": replace(fast["GALAXY"], coarse=2, bin_pixels=2, n_templates=15, n_refined=24),
        "QSO": replace(fast["QSO"], coarse=2, bin_pixels=4, n_templates=25, n_refined=24),
    }
    many = 20 if os.environ.get("MSFA_EXPLORE") else 1
    batches = [
        simulated_matches(24 * many, 31, snr=(5, 100)),
        simulated_matches(12 * many, 32, snr=(3, 40), cls="GALAXY", z=(0.01, 0.95)),
        simulated_matches(12 * many, 33, snr=(3, 40), cls="QSO", z=(0.1, 4.0)),
        simulated_qsos(12 * many, 34, snr=(3, 40), z=(4.0, 6.2)),
    ]
    quick, slow = Matcher(templates, fast), Matcher(templates, whole)
    n = n_other = 0
    for batch in batches:
        for start in range(0, len(batch), 16):
            some = batch[start : start + 16]
            ours, theirs = (_match_batch(one, some, 1) for one in (quick, slow))
            better = theirs["chi2"][:, 0] < ours["chi2"][:, 0] * (1 - 1e-6)
            n, n_other = n + len(some), n_other + int(better.sum())
    assert n_other <= n // 1000
