"""Labels come back from spectra of known labels; what goes wrong is a flag and a NaN."""

from dataclasses import replace

import numpy as np
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.flags import LabelFlag
from msfa_core.simulate.labelled_grid import as_models, as_stars, draw_labels, labelled_grid
from msfa_core.slam import predict_labels
from msfa_core.slam.inversion import observe
from msfa_core.slam.labels import HELIUM, are_folded, external_errors, on_hot_scale
from msfa_core.slam.model import COLOURS, LABELS, load_model
from msfa_core.slam.solver import Factored, assess, solve, starting_points
from msfa_core.slam.train import TrainingSet
from msfa_core.slam.validation import differences, observed, summary
from msfa_core.spectra.spectrum import Spectra

GOALS = {  # of the held-back grid models: K, dex, dex
    False: {"teff": 120.0, "logg": 0.12, "feh": 0.2},
    True: {"teff": 70.0, "logg": 0.08, "feh": 0.15},
}


def stars(n, seed=11, snr=30.0, lower=(7500, 2.8, -2.6), upper=(10_500, 4.4, 0.2)):
    """Models of these labels that no model was trained on: spectra, colours, labels of stars."""
    labels = as_stars(draw_labels(n, seed, lower, upper, corners=False))
    made = labelled_grid(labels)
    data = TrainingSet(made.wavelength, made.flux, labels, made.colours)
    labels = np.column_stack([on_hot_scale(labels[:, 0])[0], labels[:, 1:]])
    return *observed(data, snr, np.random.default_rng(seed)), labels


@pytest.fixture(scope="module")
def shipped():
    return load_model()


@pytest.fixture(scope="module")
def bright(shipped):
    spectra, colours, labels = stars(12, seed=5, snr=100.0)
    return spectra, colours, labels, predict_labels(spectra, model=shipped)


@pytest.mark.parametrize("with_colours", [False, True])
def test_labels_of_held_back_models_come_back_at_sn_30_with_honest_errors(shipped, with_colours):
    spectra, colours, labels = stars(500)
    found = predict_labels(spectra, colours if with_colours else None, shipped)
    assert found.used_colours.all() == with_colours == found.used_colours.any()
    table = differences(found, labels, "fit_err")
    for name, row in summary(table).items():
        assert row["scatter"] <= GOALS[with_colours][name], name
        assert row["pull_width"] == pytest.approx(1, abs=0.2), name
        assert abs(row["bias"]) < row["scatter"], name
    assert np.median(found.chi2) == pytest.approx(0.9, abs=0.2)


def test_stated_errors_are_those_of_the_fit_and_of_the_model_together(bright):
    _, _, _, found = bright
    table = found.as_table()
    for name in LABELS:
        fit, external = table[f"{name}_fit_err"], external_errors(found.teff)[name]
        assert np.allclose(table[f"{name}_err"], np.sqrt(fit**2 + external**2))


def test_stars_and_models_that_look_alike_are_found_from_each_other():
    stars_ = draw_labels(50, 3)
    models = as_models(stars_)
    assert np.allclose(as_stars(models), stars_)
    poor, rich = as_models(np.array([[8000.0, 3.0, -1.8], [8000.0, 4.0, 0.1]]))
    assert poor == pytest.approx([8216.0, 3.0, -1.8])
    assert rich == pytest.approx([8096.0, 3.72, 0.1])


def test_the_factored_model_is_the_model_and_its_slopes_are_its_slopes(small_model, small_set):
    factored = Factored(small_model)
    standard = small_model.standardise(small_set.labels[:20] * 0.999)
    values, slopes = factored.evaluate(standard)
    flux, colours = small_model.predict(small_set.labels[:20] * 0.999)
    assert np.abs(values - np.hstack([flux, colours])).max() < 3e-4
    step = 1e-4
    for k in range(len(LABELS)):
        there = standard + step * np.eye(len(LABELS))[k]
        other = factored.evaluate(there)[0]
        assert np.abs((other - values) / step - slopes[:, k]).max() < 1e-3


def test_the_gradient_is_that_of_chi2(small_model, small_set):
    factored = Factored(small_model)
    spectra, colours = observed(small_set[np.arange(6)], 30.0, np.random.default_rng(1))
    seen, _ = observe(factored, spectra, colours)
    standard, continuum = np.zeros((6, 3)), np.full((6, factored.basis.shape[1]), 0.01)
    state = assess(factored, seen, standard, continuum)
    step = 1e-5
    assert np.isfinite(state.chi2).all()
    for k in range(3):
        there = assess(factored, seen, standard + step * np.eye(3)[k], continuum)
        back = assess(factored, seen, standard - step * np.eye(3)[k], continuum)
        slope = (there.chi2 - back.chi2) / (2 * step)
        assert np.allclose(slope, -2 * state.gradient[:, k], rtol=1e-3, atol=1e-2)


def test_several_starts_find_minima_that_one_start_misses(shipped):
    spectra, _, labels = stars(120, seed=3)
    factored = Factored(shipped)
    seen, _ = observe(factored, spectra, None)
    starts = starting_points(factored, seen)
    assert starts.shape == (120, 4, 3)
    many, _, _ = solve(factored, seen, starts)
    far = np.tile(shipped.standardise([[12_500.0, 2.5, -2.5]]), (120, 1))[:, None, :]
    one, _, _ = solve(factored, seen, far)
    assert (many.chi2 > one.chi2 + 1).sum() <= 1
    assert (many.chi2 < one.chi2 - 10).sum() >= 10


@pytest.mark.parametrize("lost", [(0, 4100), (0, 4200), (0, 4300), (4300, 4400), (5100, 9999)])
def test_a_part_of_the_spectrum_gives_the_labels_of_the_whole_or_none(shipped, lost):
    spectra, _, _ = stars(80, seed=9)
    whole = predict_labels(spectra, model=shipped)
    is_lost = (spectra.wavelength > lost[0]) & (spectra.wavelength < lost[1])
    part = replace(spectra, ivar=np.where(is_lost, 0.0, spectra.ivar))
    found = predict_labels(part, model=shipped)
    if lost[0] == 0:  # the continuum of the model needs the blue end
        assert np.isnan(found.teff).all()
        assert (found.flags == int(LabelFlag.MISSING)).all()
        return
    for name in LABELS:
        apart = getattr(found, name) - getattr(whole, name)
        pulls = (apart / getattr(found, f"{name}_fit_err"))[np.isfinite(found.teff_err)]
        assert len(pulls) > 60
        assert np.sqrt(np.mean(pulls**2)) < 1.5, name


def test_errors_know_of_a_second_minimum_that_is_nearly_as_deep(shipped):
    spectra, _, labels = stars(400, seed=7, snr=12.0)
    found = predict_labels(spectra, model=shipped)
    for name, row in differences(found, labels, "fit_err").filter(like="pull").items():
        pulls = row[np.isfinite(row)]
        assert np.sqrt(np.mean(pulls**2)) < 1.25, name  # 1.9 for Teff by the curvature alone
        assert (np.abs(pulls) > 3).mean() < 0.03, name


def test_colours_narrow_the_errors_and_any_subset_will_do(bright, shipped):
    spectra, colours, _, alone = bright
    some = colours.copy()
    some.loc[0, "bp_rp"] = np.nan
    some.loc[1, ["bp_g", "g_rp", "bp_rp", "j_h"]] = np.nan
    some.loc[2, ["bp_g", "g_rp", "j_h"]] = np.nan
    found = predict_labels(spectra, some, shipped)
    assert found.used_colours[:4].tolist() == [
        [True, True, False, True],
        [False] * 4,
        [False, False, True, False],
        [True] * 4,
    ]
    assert np.all(found.teff_fit_err[[0, 3]] < alone.teff_fit_err[[0, 3]])
    assert found.teff[1] == pytest.approx(alone.teff[1], abs=1)
    one_column = predict_labels(spectra, colours[["bp_rp"]], shipped)
    assert one_column.used_colours.sum(axis=0).tolist() == [0, 0, 12, 0]
    table = found.as_table()
    assert table["label_colours"][:3].tolist() == ["bp_g,g_rp,j_h", "", "bp_rp"]


def test_colours_of_other_stars_or_names_are_refused(bright, shipped):
    spectra, colours, _, _ = bright
    with pytest.raises(CatalogueError, match="11 rows of colours"):
        predict_labels(spectra, colours[:11], shipped)
    with pytest.raises(CatalogueError, match="give one row per spectrum"):
        predict_labels(spectra, colours.rename(columns=str.upper), shipped)


def test_known_errors_of_colours_count_and_shared_magnitudes_are_known(bright, shipped):
    spectra, colours, _, _ = bright
    noisy = colours.assign(**{f"{name}_err": 0.3 for name in COLOURS})
    exact = colours.assign(**{f"{name}_err": 0.001 for name in COLOURS})
    vague, sharp = (predict_labels(spectra, table, shipped) for table in (noisy, exact))
    assert np.median(sharp.teff_fit_err / vague.teff_fit_err) < 0.97


def test_a_colour_far_from_that_of_the_labels_is_flagged(bright, shipped):
    spectra, colours, _, _ = bright
    red = colours[["bp_rp"]].copy()
    red.loc[0, "bp_rp"] += 0.6
    found = predict_labels(spectra, red, shipped)
    flagged = (found.flags & LabelFlag.DISAGREES_WITH_PHOTOMETRY) != 0
    assert flagged[0] and flagged.sum() == 1


def test_spectra_without_data_or_doppler_shift_are_missing_and_the_rest_is_untouched(
    bright, shipped
):
    spectra, _, _, before = bright
    flux, ivar, z = spectra.flux.copy(), spectra.ivar.copy(), spectra.z.copy()
    flux[0], ivar[1], z[2] = np.nan, 0, np.nan
    ivar[3, : flux.shape[1] // 2] = 0
    flux[4] *= -1
    broken = Spectra(spectra.obsid, spectra.wavelength, flux, ivar, ivar <= 0, z)
    found = predict_labels(broken, model=shipped)
    assert found.flags[:5].tolist() == [LabelFlag.MISSING] * 5
    for name in (*LABELS, "chi2", "teff_err", "logg_err", "feh_err", "feh_fit_err"):
        assert np.isnan(getattr(found, name)[:5]).all(), name
    assert np.allclose(found.teff[5:], before.teff[5:], rtol=1e-6)
    assert found.obsid.tolist() == spectra.obsid.tolist()


def test_a_batch_of_none_comes_back_empty(bright, shipped):
    spectra, _, _, _ = bright
    found = predict_labels(spectra[np.arange(0)], model=shipped)
    assert len(found) == 0 and found.correlation.shape == (0, 3, 3)
    assert list(found.as_table().columns)[0] == "obsid"


def test_a_cosmic_ray_does_not_move_the_labels(bright, shipped):
    spectra, _, _, before = bright
    flux = spectra.flux.copy()
    pixel = int(np.searchsorted(spectra.wavelength, 4345.0))
    flux[:, pixel : pixel + 2] *= 4
    hit = Spectra(spectra.obsid, spectra.wavelength, flux, spectra.ivar, spectra.mask, spectra.z)
    found = predict_labels(hit, model=shipped)
    assert np.all(np.abs(found.teff - before.teff) < 3 * before.teff_fit_err)
    assert np.median(np.abs(found.teff - before.teff) / before.teff_fit_err) < 0.7


def test_a_star_beyond_the_grid_ends_on_its_edge_and_says_so(shipped):
    spectra, _, _ = stars(20, seed=8, lower=(17_000, 3.5, -0.5), upper=(20_000, 4.5, 0.0))
    found = predict_labels(spectra, model=shipped)
    doubtful = LabelFlag.AT_EDGE | LabelFlag.POOR_CHI2 | LabelFlag.OUTSIDE_HULL
    assert ((found.flags & int(doubtful)) != 0).mean() > 0.9
    hottest = on_hot_scale(shipped.upper[:1])[0][0]
    assert np.all(found.teff <= hottest + 1e-6)
    at_edge = found.teff > hottest - 10
    assert at_edge.sum() > 5
    for name in LABELS:  # a limit is no measurement
        assert np.isnan(getattr(found, f"{name}_err")[at_edge]).all()
        assert np.isfinite(getattr(found, f"{name}_fit_err")[at_edge]).all()
    said = found._repr_html_()
    assert "nan" not in said
    assert "14175, a limit" in said


@pytest.mark.parametrize(("snr", "silent"), [(10.0, 0.01), (20.0, 0.001)])
def test_hot_stars_that_fold_across_the_strongest_balmer_lines_say_so(shipped, snr, silent):
    spectra, _, labels = stars(1000, 3, snr, lower=(9700, 3.0, -1.0), upper=(13_000, 4.4, 0.3))
    found = predict_labels(spectra, model=shipped)
    is_off = np.abs(found.teff - labels[:, 0]) > 1500
    flagged = found.flags != 0
    assert np.mean(is_off & ~flagged) <= silent
    folded = (found.flags & int(LabelFlag.FOLDED)) != 0
    assert folded[~is_off].mean() < 0.1


def test_helium_lines_that_are_not_those_of_the_labels_are_said(shipped):
    spectra, _, _ = stars(20, 4, 80.0, lower=(8000, 3.0, -1.0), upper=(9000, 4.0, -0.5))
    assert ((predict_labels(spectra, model=shipped).flags & int(LabelFlag.FOLDED)) == 0).all()
    flux = spectra.flux.copy()
    for low, high in HELIUM:
        flux[:, (spectra.wavelength > low) & (spectra.wavelength < high)] *= 0.93
    found = predict_labels(replace(spectra, flux=flux), model=shipped)
    assert ((found.flags & int(LabelFlag.FOLDED)) != 0).mean() > 0.9


def test_only_models_of_our_atmospheres_are_moved_to_the_scale_of_hot_stars(shipped):
    scaled, slope = on_hot_scale(np.array([9200.0, 9600.0, 12_000.0]))
    assert np.allclose(scaled, [9200.0, 9600.0 * 1.025, 12_600.0])
    step = (on_hot_scale(np.array([9601.0]))[0] - on_hot_scale(np.array([9599.0]))[0]) / 2
    assert np.allclose(slope, [1.0, step[0], 1.05], atol=1e-6)
    everywhere = on_hot_scale(np.linspace(8500.0, 11_000.0, 500))[1]
    assert everywhere.max() < 1.7  # a step, which doubled errors, is none any more
    spectra, _, _ = stars(10, 6, 60.0, lower=(11_000, 3.5, -0.5), upper=(12_000, 4.0, 0.0))
    other = replace(shipped, notes={**shipped.notes, "source": "labelled survey"})
    ours, theirs = (predict_labels(spectra, model=one) for one in (shipped, other))
    assert np.allclose(ours.teff, 1.05 * theirs.teff)
    assert np.allclose(ours.teff_fit_err, 1.05 * theirs.teff_fit_err, rtol=0.2)


def test_giants_of_a_surveys_own_labels_are_not_called_folded():
    labels = np.array([[5000.0, 2.3, -0.5], [7000.0, 3.5, -2.8]])
    none = np.zeros(2)
    assert are_folded(labels, none, none, none).all()
    assert not are_folded(labels, none, none, none, has_corners=False).any()


def test_a_model_of_a_survey_flags_no_corner_of_our_atmospheres(shipped):
    spectra, _, _ = stars(10, 6, 60.0, lower=(6800, 2.0, -1.0), upper=(7300, 2.4, -0.5))
    other = replace(shipped, notes={**shipped.notes, "source": "labelled survey"})
    ours, theirs = (
        (predict_labels(spectra, model=one).flags & int(LabelFlag.FOLDED)) != 0
        for one in (shipped, other)
    )
    assert ours.sum() > theirs.sum()


def test_a_spectrum_the_model_does_not_know_has_a_poor_chi2_and_errors_to_match(bright, shipped):
    spectra, _, _, before = bright
    wiggle = 1 + 0.15 * np.sin(np.arange(len(spectra.wavelength)) / 15)
    odd = Spectra(
        spectra.obsid,
        spectra.wavelength,
        spectra.flux * wiggle,
        spectra.ivar,
        spectra.mask,
        spectra.z,
    )
    found = predict_labels(odd, model=shipped)
    assert np.all((found.flags & LabelFlag.POOR_CHI2) != 0)
    assert np.median(found.teff_fit_err / before.teff_fit_err) > 1.7


def test_a_response_that_bends_the_spectrum_hardly_moves_the_labels(bright, shipped):
    spectra, _, _, before = bright
    x = np.linspace(-1, 1, len(spectra.wavelength))
    bent = (1 + 0.4 * x) * (1 + 0.1 * np.cos(4 * x))
    ivar = spectra.ivar / bent**2
    other = Spectra(
        spectra.obsid, spectra.wavelength, spectra.flux * bent, ivar, spectra.mask, spectra.z
    )
    found = predict_labels(other, model=shipped)
    assert np.all(np.abs(found.teff - before.teff) < 2 * before.teff_fit_err)
    assert np.all(np.abs(found.logg - before.logg) < 2 * before.logg_fit_err)


def test_labels_do_not_depend_on_the_company_of_a_star(bright, shipped):
    spectra, _, _, before = bright
    one = predict_labels(spectra[np.array([7])], model=shipped)
    assert one.teff[0] == pytest.approx(before.teff[7], rel=1e-6)
    assert np.allclose(one.correlation[0], before.correlation[7], atol=1e-5)
    assert np.allclose(np.diagonal(before.correlation, axis1=1, axis2=2), 1)
