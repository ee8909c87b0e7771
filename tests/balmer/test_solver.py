"""The solver against scipy from several starts: it must never end in a worse minimum."""

import math
import warnings

import numpy as np
import pytest
from pytest import approx
from scipy.optimize import OptimizeWarning, curve_fit

from msfa_core.balmer import solver
from msfa_core.machine.compiled import compiled

PIXELS = 106


@compiled
def fit_many(x, y, w, states, converged):
    work = np.zeros((solver.WORK_ROWS, solver.WORK_SIZE))
    for i in range(len(y)):
        converged[i] = solver.fit_profile(x, y[i], w[i], len(x), states[i], work)


def fitted(x, flux, ivar):
    states, converged = np.zeros((len(flux), solver.N_STATE)), np.zeros(len(flux), dtype=bool)
    fit_many(x, flux - 1, ivar, states, converged)
    n, a = states[:, solver.N] + 1, states[:, solver.A]
    b, c, x0 = np.exp(states[:, solver.LOG_B]), states[:, solver.C], states[:, solver.X0]
    return np.stack([n, a, b, c, x0], axis=1), states[:, solver.CHI2], converged


def profile(x, n, a, b, c, x0):
    return n - a * np.exp(-((np.abs(x - x0) / b) ** c))


def simulated(n, rng, snr=(10, 200)):
    x = (np.arange(PIXELS) - (PIXELS - 1) / 2) * 0.945 + rng.uniform(-0.5, 0.5)
    truth = np.stack(
        [
            rng.normal(1, 0.01, n),
            rng.uniform(0.3, 0.9, n),
            rng.uniform(3, 16, n),
            rng.uniform(0.6, 1.6, n),
            rng.normal(0, 0.8, n),
        ],
        axis=1,
    )
    level = np.exp(rng.uniform(*np.log(snr), n))[:, None]
    flux = np.stack([profile(x, *row) for row in truth])
    flux += rng.standard_normal(flux.shape) / level
    return x, flux, np.broadcast_to(level**2, flux.shape).copy(), truth


def inside_bounds(p):
    n, a, b, c, x0 = p
    return (
        solver.N_LOW <= n <= solver.N_HIGH
        and solver.A_LOW <= a <= solver.A_HIGH
        and solver.B_LOW <= b <= solver.B_HIGH
        and solver.C_LOW <= c <= solver.C_HIGH
        and abs(x0) <= solver.SHIFT_MAX
    )


def scipy_chi2(x, flux, ivar, starts=(-1.5, -0.75, 0.0, 0.75, 1.5)):
    """Least χ² within the bounds that curve_fit finds from several starts in λ0."""
    best = math.inf
    for start in starts:
        try:
            p, _ = curve_fit(
                profile, x, flux, p0=[1, 0.6, 8, 1, start], sigma=ivar**-0.5, maxfev=2000
            )
        except RuntimeError:
            continue
        if inside_bounds(p):
            best = min(best, float(np.sum(ivar * (flux - profile(x, *p)) ** 2)))
    return best


def worse_than_scipy(n, rng):
    x, flux, ivar, _ = simulated(n, rng)
    _, chi2, _ = fitted(x, flux, ivar)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        peer = np.array([scipy_chi2(x, *pair) for pair in zip(flux, ivar, strict=True)])
    return chi2 / peer - 1 > 1e-6


def test_chi2_is_never_worse_than_that_of_curve_fit_from_five_starts():
    worse = worse_than_scipy(100, np.random.default_rng(11))
    assert worse.sum() == 0


@pytest.mark.slow
def test_of_thousands_of_lines_at_most_one_in_a_thousand_is_worse():
    worse = worse_than_scipy(2000, np.random.default_rng(12))
    assert worse.mean() <= 0.001


def test_a_profile_without_noise_comes_back_exactly():
    x, flux, ivar, truth = simulated(300, np.random.default_rng(1), snr=(1e6, 1e6))
    found, _, converged = fitted(x, flux, ivar)
    assert converged.all()
    assert np.abs(found - truth).max() < 0.01
    assert np.median(np.abs(found - truth), axis=0) == approx(0, abs=1e-4)


def test_the_chi2_reported_is_that_of_the_parameters_reported():
    x, flux, ivar, _ = simulated(50, np.random.default_rng(2))
    found, chi2, _ = fitted(x, flux, ivar)
    for k in range(50):
        assert chi2[k] == approx(np.sum(ivar[k] * (flux[k] - profile(x, *found[k])) ** 2), rel=1e-8)


def test_parameters_stay_within_their_bounds_whatever_the_data():
    rng = np.random.default_rng(3)
    x = (np.arange(PIXELS) - 52.5) * 0.945
    flux = 1 + rng.normal(0, 3, (200, PIXELS))
    found, chi2, _ = fitted(x, flux, np.ones_like(flux))
    assert all(inside_bounds(p) for p in found)
    assert np.isfinite(chi2).all()


def test_a_cusp_is_found_on_the_pixel_it_lies_on_and_between_pixels():
    x = (np.arange(PIXELS) - 52.5) * 0.945
    for x0 in (x[52], x[53], 0.5 * (x[52] + x[53]), x[53] + 0.02):
        flux = profile(x, 1.0, 0.8, 6.0, 0.65, x0)[None]
        found, _, _ = fitted(x, flux, np.full(flux.shape, 1e6))
        assert found[0, 4] == approx(x0, abs=1e-3)
