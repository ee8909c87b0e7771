"""The rules of ranking, one by one, on lists whose right order is known."""

import numpy as np
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.ranking import end_of_list, unreliable_runs
from msfa_core.templates.rematch import is_accepted, polynomial_rematch

NAN = float("nan")


def runs(chi2, code):
    return unreliable_runs(np.array(chi2), np.array(code, dtype=float)).tolist()


def test_neighbours_within_one_percent_and_five_subclasses_are_a_run():
    assert runs([1.0, 1.005, 1.012, 1.5], [42, 44, 47, 50]) == [1, 1, 1, 0]


def test_one_percent_is_of_the_one_before_and_chains():
    assert runs([2.0, 2.019, 2.038, 2.06], [41, 42, 43, 44]) == [1, 1, 1, 0]
    assert runs([2.0, 2.0201, 2.04], [41, 42, 43]) == [0, 1, 1]


def test_a_run_that_spans_more_than_five_subclasses_is_left_alone():
    assert runs([1.0, 1.001, 1.002], [40, 42, 46]) == [0, 0, 0]
    assert runs([1.0, 1.001, 1.002], [40, 42, 45]) == [1, 1, 1]


def test_a_run_with_a_member_off_the_sequence_is_left_alone():
    assert runs([1.0, 1.001, 1.002], [40, NAN, 41]) == [0, 0, 0]


def test_two_runs_are_numbered_and_missing_solutions_are_in_none():
    assert runs([1.0, 1.001, 1.2, 1.201, NAN, NAN], [40, 41, 60, 61, NAN, NAN]) == [
        1, 1, 2, 2, 0, 0,
    ]  # fmt: skip
    assert runs([], []) == []
    assert runs([1.0], [40]) == [0]


def test_unreliable_runs_go_to_the_end_whole_or_but_for_what_they_stand_for():
    run = np.array([1, 1, 0, 2, 2, 2, 0])
    assert end_of_list(run, keep_first=False).tolist() == [2, 6, 0, 1, 3, 4, 5]
    assert end_of_list(run).tolist() == [0, 2, 3, 6, 1, 4, 5]
    assert end_of_list(np.zeros(3, dtype=np.int64)).tolist() == [0, 1, 2]


def test_a_rematch_counts_only_the_right_way_up_and_better():
    leading = np.array([1.0, -1.0, 1.0, NAN])
    chi2 = np.array([0.9, 0.5, 1.1, NAN])
    assert is_accepted(leading, chi2, 1.0).tolist() == [True, False, False, False]


# --- the fit with a polynomial ----------------------------------------------------------------
GRID = LogGrid(35500, 4300)


@pytest.fixture(scope="module")
def templates():
    """Two stars with lines at other places, and a galaxy like the first."""
    wavelength = GRID.wavelength
    rng = np.random.default_rng(3)
    flux = np.ones((3, GRID.n_pixels))
    for row in range(2):
        for centre in rng.uniform(3800, 8800, 40):
            depth = rng.uniform(0.1, 0.6)
            flux[row] -= depth * np.exp(-0.5 * ((wavelength - centre) / 6.0) ** 2)
    flux = np.maximum(flux, 0.05)
    flux[2] = flux[0]
    return TemplateSet(
        name=np.array(["one", "two", "three"]),
        cls=np.array(["STAR", "STAR", "GALAXY"]),
        subclass=np.array(["G2", "K5", ""]),
        flux=flux.astype(np.float32),
        wavelength=wavelength,
        continuum=np.ones((1, LAMOST_GRID.n_pixels)),
        basis=np.full(3, ALONE),
    )


def observed(templates, row, z, sign=1.0, snr=50.0, seed=5):
    """A template at a shift, diluted, on a cubic continuum; (flux, ivar)."""
    wavelength = LAMOST_GRID.wavelength
    x = np.linspace(-1, 1, len(wavelength))
    shifted = np.interp(wavelength / (1 + z), templates.wavelength, templates.flux[row])
    truth = (
        sign * 2.0 * shifted + 1.0 + 0.5 * x - 0.4 * x**2 + 0.2 * x**3 + (4.0 if sign < 0 else 0)
    )
    noise = np.random.default_rng(seed).normal(0, 2 / snr, len(wavelength))
    return truth + noise, np.full(len(wavelength), (snr / 2) ** 2)


def test_rematch_gives_back_the_template_its_strength_and_its_shift(templates):
    z = 3.3e-4
    flux, ivar = observed(templates, 0, z)
    rows, start = np.array([0, 1]), np.full(2, 4e-4)
    found = polynomial_rematch(flux, ivar, LAMOST_GRID.wavelength, templates, rows, start)
    assert found.chi2[0] == approx(1.0, abs=0.08)
    assert found.chi2[1] > 5
    size = np.median(templates.flux[0])
    assert found.leading[0] * size > 0
    assert abs(found.z[0] - z) < 4 * found.z_err[0]
    assert 0 < found.z_err[0] < 1e-5
    assert np.std(found.model[0] - flux) == approx(2 / 50, rel=0.05)


def test_an_inverted_template_has_a_negative_leading_coefficient(templates):
    flux, ivar = observed(templates, 0, 0.0, sign=-1.0)
    found = polynomial_rematch(
        flux, ivar, LAMOST_GRID.wavelength, templates, np.array([0]), np.zeros(1)
    )
    assert found.leading[0] < 0
    assert found.chi2[0] == approx(1.0, abs=0.08)
    assert not is_accepted(found.leading, found.chi2, 99.0)[0]


def test_a_galaxy_gets_fewer_terms_than_a_star(templates):
    flux, ivar = observed(templates, 0, 0.0)
    found = polynomial_rematch(
        flux, ivar, LAMOST_GRID.wavelength, templates, np.array([0, 2]), np.zeros(2)
    )
    assert found.chi2[1] > 1.5 * found.chi2[0]


def test_a_spectrum_without_good_pixels_is_not_fitted_again(templates):
    flux, ivar = observed(templates, 0, 0.0)
    found = polynomial_rematch(
        flux, np.zeros_like(ivar), LAMOST_GRID.wavelength, templates, np.array([0]), np.zeros(1)
    )
    assert np.isnan(found.chi2).all()
    assert not is_accepted(found.leading, found.chi2, 99.0).any()
