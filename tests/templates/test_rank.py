"""All rules together, on matches of spectra made from the templates themselves."""

from dataclasses import replace

import numpy as np
import pytest
from faulty_spectra import with_step, without_arm
from pytest import approx

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.errors import SpectrumError
from msfa_core.flags import MatchFlag
from msfa_core.simulate.atmospheres import model_flux
from msfa_core.spectra.spectrum import Spectra
from msfa_core.templates.confidence import (
    Calibration,
    EndCalibration,
    confidence,
    continuum_bend,
)
from msfa_core.templates.continuum import characteristic_vectors, extinction, simulated_ratios
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.matching import match, model_of
from msfa_core.templates.ranking import rank
from msfa_core.templates.residuals import end_residuals

CALIBRATION = Calibration(
    EndCalibration(-1.5, 0.2, 0.03, 0.05), EndCalibration(-1.5, 0.2, 0.03, 0.05)
)
GRID = LogGrid(35400, 4500)
Z = 2.5e-4
ALIKE = {"G2", "G4"}


@pytest.fixture(scope="module")
def templates():
    """G2 and G4 that are nearly the same, a K7 and an A0 of their own."""
    rng = np.random.default_rng(8)
    wavelength = GRID.wavelength

    def star(seed, n=120):
        own = np.random.default_rng(seed)
        flux = np.ones(len(wavelength))
        for centre in own.uniform(3750, 9000, n):
            flux *= 1 - own.uniform(0.1, 0.5) * np.exp(-0.5 * ((wavelength - centre) / 5.0) ** 2)
        return flux

    one = star(1)
    flux = np.stack([one, one * (1 + 0.002 * rng.normal(size=len(one))), star(2), star(3)])
    return TemplateSet(
        name=np.array(["a", "b", "c", "d"]),
        cls=np.array(["STAR"] * 4),
        subclass=np.array(["G2", "G4", "K7", "A0"]),
        flux=flux.astype(np.float32),
        wavelength=wavelength,
        continuum=characteristic_vectors(simulated_ratios(300), 6),
        basis=np.full(4, ALONE),
    )


@pytest.fixture(scope="module")
def spectra(templates):
    """Of S/N 60: the G2 star, the K7 star, and one that is masked everywhere."""
    wavelength = LAMOST_GRID.wavelength
    rng = np.random.default_rng(9)
    at = wavelength / (1 + Z)
    flux = np.stack([np.interp(at, GRID.wavelength, templates.flux[k]) for k in (0, 2, 0)])
    flux = 100.0 * flux * (wavelength / 5500.0) ** -0.5
    flux = flux + rng.normal(0, 100.0 / 60.0, flux.shape)
    mask = np.zeros(flux.shape, dtype=bool)
    mask[2] = True
    ivar = np.where(mask, 0.0, (60.0 / 100.0) ** 2)
    return Spectra(
        np.array([7, 8, 9]), wavelength, flux.astype(np.float32), ivar.astype(np.float32), mask,
        np.zeros(3),
    )  # fmt: skip


@pytest.fixture(scope="module")
def matches(spectra, templates):
    return match(spectra, templates, k=4)


def test_rank_fills_the_confidence_and_keeps_every_list_whole(matches, spectra):
    ranked = rank(matches, spectra, CALIBRATION)
    assert ranked.obsid.tolist() == matches.obsid.tolist()
    assert np.sort(ranked.template, axis=1) == approx(np.sort(matches.template, axis=1))
    assert (ranked.confidence[:2, 0] > 90).all()
    assert ranked.subclass()[0] in ALIKE
    assert ranked.subclass()[1] == "K7"
    table = ranked.as_table()
    assert table["template_confidence"].tolist()[:2] == approx(ranked.confidence[:2, 0])
    assert np.abs(table["template_z"][:2] - Z).max() < 3e-5


def test_alike_solutions_are_marked_and_all_but_the_first_go_to_the_end(matches, spectra):
    alike = np.flatnonzero(np.isin(matches.templates.subclass, sorted(ALIKE)))
    assert set(matches.template[0, :2]) == set(alike)
    ranked = rank(matches, spectra, CALIBRATION)
    assert ranked.template[0, 0] == matches.template[0, 0]
    assert ranked.template[0, -1] == matches.template[0, 1]
    assert ranked.flags[0] & MatchFlag.ALIKE
    assert not ranked.flags[1] & MatchFlag.ALIKE
    whole = rank(matches, spectra, CALIBRATION, keep_first=False)
    assert whole.template[0, -2:].tolist() == matches.template[0, :2].tolist()


def test_a_spectrum_without_pixels_has_no_class_no_confidence_and_a_flag(matches, spectra):
    table = rank(matches, spectra, CALIBRATION).as_table()
    assert table["template_class"].isna().tolist() == [False, False, True]
    assert np.isnan(table["template_confidence"][2])
    assert table["template_flags"][2] & MatchFlag.NO_SOLUTION


def test_a_missing_arm_is_flagged_and_takes_its_share(spectra, templates):
    given = without_arm(spectra, "red")
    ranked = rank(match(given, templates), given, CALIBRATION)
    assert ranked.flags[0] & MatchFlag.NO_RED
    assert ranked.flags[0] & MatchFlag.LOW_CONFIDENCE
    assert ranked.confidence[0, 0] == approx(60.0, abs=3)
    assert ranked.subclass()[0] in ALIKE


def test_noise_takes_the_confidence_without_a_crash(spectra, templates):
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 100.0, spectra.flux.shape).astype(np.float32)
    faint = replace(spectra, flux=spectra.flux + noise, ivar=np.where(spectra.mask, 0, 1e-4))
    ranked = rank(match(faint, templates), faint, CALIBRATION)
    assert (ranked.confidence[:2, 0] < 10).all()
    assert (ranked.flags[:2] & MatchFlag.LOW_CONFIDENCE).all()
    assert (ranked.flags[:2] & MatchFlag.LOW_SIGNAL).all()


def test_a_step_where_the_arms_meet_bends_the_continuum_and_takes_confidence(spectra, templates):
    seen = []
    for factor in (1.0, 1.2, 1.5, 2.0):
        given = with_step(spectra, factor)
        found = match(given, templates)
        blue, red = continuum_bend(found)
        seen.append((blue[0, 0] + red[0, 0], confidence(found, CALIBRATION)[0, 0]))
        assert found.subclass()[0] in ALIKE
    bend, trust = np.array(seen).T
    assert (np.diff(bend) > 0).all()
    assert trust[-1] < trust[0] - 5


def test_dust_does_not_count_as_a_bend(spectra, templates):
    from msfa_core.templates.continuum import extinction

    dimmed = spectra.flux * 10 ** (-0.4 * 0.5 * extinction(spectra.wavelength))
    red = replace(spectra, flux=dimmed.astype(np.float32))
    before, after = (continuum_bend(match(one, templates)) for one in (spectra, red))
    for end in range(2):
        assert after[end][0, 0] < before[end][0, 0] + 0.01


def test_a_low_confidence_match_is_fitted_again_and_marked_when_better(spectra, templates):
    """Half of the light is of another, featureless source: lines are diluted."""
    diluted = spectra.flux * 0.3 + 70.0 * (spectra.wavelength / 5500.0)
    given = replace(spectra, flux=diluted.astype(np.float32))
    found = match(given, templates)
    hard = Calibration(EndCalibration(-4.0, 0.1), EndCalibration(-4.0, 0.1))
    ranked = rank(found, given, hard)
    assert ranked.flags[0] & MatchFlag.REMATCHED
    assert ranked.chi2[0, 0] < found.chi2[0, 0]
    assert ranked.subclass()[0] in ALIKE
    assert abs(ranked.z[0, 0] - Z) < 5e-5


def test_no_spectra_give_no_matches(spectra, templates):
    none = spectra[np.empty(0, dtype=np.int64)]
    assert len(rank(match(none, templates), none, CALIBRATION).as_table()) == 0


def test_spectra_of_other_obsids_are_refused(matches, spectra):
    with pytest.raises(SpectrumError, match="not of the same obsids"):
        rank(matches, spectra[[1, 0, 2]], CALIBRATION)


def test_end_residuals_agree_with_those_of_the_match(matches, spectra):
    from msfa_core.templates.weights import fit_weights

    flux = spectra.flux[:2].astype(np.float64)
    model = np.stack([model_of(spectra, matches, row) for row in range(2)])
    ends = end_residuals(spectra.wavelength, flux, fit_weights(spectra[:2]), model)
    assert ends.blue_residual == approx(matches.blue_residual[:2, 0], rel=0.02)
    assert ends.red_residual == approx(matches.red_residual[:2, 0], rel=0.02)
    assert ends.blue_chi2 == approx(matches.blue_chi2[:2, 0], rel=0.02)


def test_an_end_that_is_hardly_observed_has_no_residual(spectra):
    weight = np.where(spectra.wavelength > 5600, 1.0, 0.0) * np.ones((3, 1))
    ends = end_residuals(spectra.wavelength, spectra.flux, weight, spectra.flux)
    assert np.isnan(ends.blue_residual).all()
    assert ends.red_residual == approx(np.zeros(3))


# --- with the shipped templates ---------------------------------------------------------------
def noisy(flux, snr, seed=0):
    """Spectra (n, pixel) of S/N (n,) on the LAMOST grid."""
    rng = np.random.default_rng(seed)
    flux = flux / np.median(flux, axis=1, keepdims=True)
    sigma = np.sqrt(flux) / np.asarray(snr, dtype=float)[:, None]
    return Spectra(
        obsid=np.arange(1, len(flux) + 1),
        wavelength=LAMOST_GRID.wavelength,
        flux=(flux + sigma * rng.normal(size=flux.shape)).astype(np.float32),
        ivar=(1 / sigma**2).astype(np.float32),
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.zeros(len(flux)),
    )


@pytest.fixture(scope="module")
def featureless():
    """Continua of black bodies through a bent response, without any line, S/N 2.5 to 80."""
    wavelength = LAMOST_GRID.wavelength
    teff = np.array([4000.0, 6000.0, 9000.0, 15_000.0, 30_000.0, 9000.0])[:, None]
    flux = wavelength**-5.0 / np.expm1(1.4388e8 / (wavelength * teff))
    flux *= np.exp(0.3 * (wavelength / 6000 - 1) ** 2)
    flux[-1] = 1.0  # constant
    return noisy(flux, [2.5, 5, 10, 20, 40, 80])


def test_a_spectrum_without_lines_has_no_class_that_can_be_trusted(featureless):
    found = rank(match(featureless), featureless)
    assert ((found.flags & MatchFlag.FEATURELESS) != 0).all()
    assert ((found.flags & MatchFlag.LOW_CONFIDENCE) != 0).all()
    assert (found.confidence[:, 0] == 0).all()


def test_stars_redder_than_their_continuum_can_be_made_say_so():
    """At E(B−V) = 2 the best template is a cooler one: believe the flag, not the class."""
    one = model_flux(["ms"] * 4, [8200, 9500, 12_000, 16_000], [3.2, 4, 4, 4],
                     [-1.6, 0, 0, 0], [-1.07] * 4)  # fmt: skip
    for ebv, reddened in ((0.0, False), (0.5, False), (1.0, False), (2.0, True)):
        flux = one * 10 ** (-0.4 * ebv * extinction(LAMOST_GRID.wavelength))
        some = noisy(flux / np.median(flux, axis=1, keepdims=True), [40, 40, 40, 40])
        found = rank(match(some), some)
        assert (((found.flags & MatchFlag.REDDENED) != 0) == reddened).all(), ebv


def test_lines_that_noise_leaves_are_no_lack_of_them():
    flux = model_flux(["ms", "ms", "wd", "sd"], [8200, 10_500, 14_000, 30_000], [3.2, 4, 8, 5.6],
                      [-1.6, 0, 0, 0], [-1.07, -1.07, -1.07, -2.0])  # fmt: skip
    some = noisy(flux, [4, 6, 6, 8])
    found = rank(match(some), some)
    assert ((found.flags & MatchFlag.FEATURELESS) == 0).all()


@pytest.mark.parametrize(
    ("teff", "logg", "feh", "least"),
    [
        ((6300, 7500), (3.8, 4.4), (-2.5, -1.2), 0.95),
        ((6200, 7300), (2.6, 3.0), (-2.4, -1.0), 0.85),
    ],
    ids=["turn-off", "RR Lyrae"],
)
def test_halo_stars_cooler_than_bhb_stars_become_ordinary_ones(teff, logg, feh, least):
    """They became BHB, B and subdwarf stars where the set had metal-rich ones only."""
    rng, n = np.random.default_rng(3), 50
    flux = model_flux("ms", *(rng.uniform(low, high, n) for low, high in (teff, logg, feh)))
    some = noisy(flux, 10 ** rng.uniform(1.1, 1.8, n))
    found = rank(match(some), some).subclass()
    assert np.mean([name[0] in "AF" for name in found]) >= least


def test_hot_subdwarfs_of_both_kinds_are_no_white_dwarfs():
    teff, logg = [44_000.0, 42_000, 39_000, 27_000], [6.1, 5.7, 5.7, 5.4]
    some = noisy(model_flux("sd", teff, logg, 0.0, [-1.7, 0.2, 0.25, -2.4]), np.full(4, 50))
    found = rank(match(some), some)
    assert {name[:2] for name in found.subclass()} == {"sd"}
