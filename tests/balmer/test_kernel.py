"""What the compiled measurement does with few pixels and with outlying ones."""

import numpy as np

from msfa_core.balmer import fit_lines, kernel, sws_profile
from msfa_core.balmer.sws import SWSParameters
from msfa_core.constants import BALMER_LINES
from msfa_core.flags import FitFlag
from msfa_core.spectra.spectrum import Spectra

HDELTA = float(BALMER_LINES["hdelta"])
CORE = np.arange(-6.0, 7.0, 2.0)  # Å, the sparsest that still counts as a core that is seen


def sparse_line(wings):
    """A spectrum whose Hδ has pixels in its core and at a few places of its wings only."""
    continuum = [np.arange(3900.0, HDELTA - 70.5, 3.0), np.arange(HDELTA + 70.5, 4700.0, 3.0)]
    wavelength = np.sort(np.concatenate([*continuum, HDELTA + CORE, HDELTA + wings]))
    line = (np.array([value]) for value in (0.7, 9.0, 1.1, HDELTA, 1.0))
    flux = sws_profile(wavelength, SWSParameters(*line)).astype(np.float32)
    good = np.zeros(flux.shape, bool)
    return Spectra(np.array([1]), wavelength, flux, np.full_like(flux, 2500.0), good, np.zeros(1))


def test_a_line_of_too_few_pixels_says_so_although_they_span_its_window():
    for wings in ([-60.0, 62.0], [-60.0, -48.0, 48.0, 62.0]):
        fits = fit_lines(sparse_line(np.array(wings)), ("hdelta",))
        assert np.isnan(fits.d02[0, 0])
        assert FitFlag(int(fits.flags[0, 0])) & FitFlag.NO_COVERAGE


def rejected_from(sizes):
    """Pixels that remain of residuals that call for a closer look, and whether they do."""
    m = len(sizes)
    x = 20.0 + np.arange(float(m))  # all in the wing: a pixel of the core is never dropped
    y, w, scaled, residual = sizes.copy(), np.ones(m), x.copy(), sizes
    calls = sizes.max() > kernel._REJECT_TRIGGER * np.sqrt((sizes**2).mean())
    remaining = kernel._reject(x, y, w, m, scaled, residual, 0.0, np.zeros(2))
    return remaining, calls, x[:remaining]


def test_rejection_leaves_enough_pixels_whatever_the_residuals():
    """A look is called for by one residual above the rest, and each round drops few."""
    rng = np.random.default_rng(10)
    fewest, n_called, n_dropped = np.inf, 0, 0
    for _ in range(10_000):
        m = int(rng.integers(kernel.LEAST_PIXELS, 60))
        spread = rng.uniform(0, 3)  # decades between large and small
        sizes = 10 ** (1 + spread * rng.standard_normal(m).clip(-3, 3))
        n_large = rng.integers(1, m)
        sizes[:n_large] *= 10 ** rng.uniform(0, 3, n_large)
        remaining, calls, _ = rejected_from(sizes)
        if calls:
            n_called += 1
            n_dropped += remaining < m
            fewest = min(fewest, remaining)
    assert n_called > 1000
    assert n_dropped > 1000
    assert fewest >= kernel.LEAST_PIXELS


def test_a_short_line_cannot_call_for_a_rejection():
    """No residual of m exceeds √m times their rms: with so few pixels none is dropped."""
    m = int(kernel._REJECT_TRIGGER**2)
    sizes = np.full(m, 1e-9)
    sizes[0] = 1e3
    assert not rejected_from(sizes)[1]
    assert m > kernel.LEAST_PIXELS


def test_what_remains_is_compacted_in_order():
    sizes = np.ones(40)
    sizes[[3, 17, 30]] = 100.0
    remaining, calls, x = rejected_from(sizes)
    assert calls or remaining == 37
    assert x.tolist() == [20.0 + k for k in range(40) if k not in (3, 17, 30)]
