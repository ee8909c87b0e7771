"""The probability of lying inside a selection, against counting random draws."""

from dataclasses import fields, replace

import numpy as np
import pytest
from pytest import approx
from simulated_lines import simulated_lines

from msfa_core.balmer import fit_lines, in_bhb_region, p_in_region
from msfa_core.balmer.line_values import LineValues
from msfa_core.balmer.membership import bivariate_probability, has_probability
from msfa_core.balmer.selection import SELECTIONS, Cut, get_selection
from msfa_core.errors import ConfigError

LINES = ("hdelta", "hgamma")
DRAWS = 200_000
NAMES = [field.name for field in fields(LineValues) if field.name != "lines"]
QUANTITIES = ("d02", "fm", "width", "shape")
SIZES = {"d02": (23.0, 2.0), "fm": (0.25, 0.04), "width": (8.5, 1.0), "shape": (1.0, 0.12)}


def stars(n, rng, correlation=None):
    """Values, errors and correlations of ``n`` stars about the edges of the selections."""
    fits = {"lines": LINES}
    for name, (middle, size) in SIZES.items():
        fits[name] = rng.normal(middle, 1.5 * size, (n, 2))
        fits[f"{name}_err"] = size * rng.uniform(0.2, 1.5, (n, 2))
    for name in ("d02_fm_correlation", "width_shape_correlation"):
        drawn = rng.uniform(-0.98, 0.98, (n, 2))
        fits[name] = drawn if correlation is None else np.full((n, 2), correlation)
    return LineValues(**fits)


def counted(fits, row, selection, rng):
    """Share of draws of one star inside the selection, both lines."""
    drawn = {name: np.empty((DRAWS, 2)) for name in QUANTITIES}
    for k in range(2):
        for one, two, name in (
            ("d02", "fm", "d02_fm_correlation"),
            ("width", "shape", "width_shape_correlation"),
        ):
            rho = getattr(fits, name)[row, k]
            u, v = rng.standard_normal((2, DRAWS))
            for quantity, unit in ((one, u), (two, rho * u + np.sqrt(1 - rho**2) * v)):
                value, error = (getattr(fits, end)[row, k] for end in (quantity, f"{quantity}_err"))
                drawn[quantity][:, k] = value + error * unit
    unused = {name: np.empty((DRAWS, 2)) for name in NAMES if name not in drawn}
    return in_bhb_region(LineValues(LINES, **drawn, **unused), selection).mean()


@pytest.mark.parametrize(
    "selection", [*SELECTIONS, "mine: hdelta fm ..0.3; hgamma b 7..10, c 0.8.."]
)
def test_the_probability_is_the_share_of_random_draws_inside(selection):
    rng = np.random.default_rng(1)
    fits = stars(12, rng)
    found = p_in_region(fits, selection)
    for row in range(12):
        share = counted(fits, row, selection, rng)
        sigma = np.sqrt(max(share * (1 - share), 1 / DRAWS) / DRAWS)
        assert found[row] == approx(share, abs=5 * sigma)
    assert ((found > 0.02) & (found < 0.98)).sum() >= 4  # some are near the edges


def test_without_correlation_a_box_is_the_product_of_two_intervals():
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    fits = stars(50, rng, correlation=0.0)
    box = get_selection("one: hdelta d02 17..28.5, fm 0.1..0.3")
    d02 = norm(fits.d02[:, 0], fits.d02_err[:, 0])
    fm = norm(fits.fm[:, 0], fits.fm_err[:, 0])
    product = (d02.cdf(28.5) - d02.cdf(17)) * (fm.cdf(0.3) - fm.cdf(0.1))
    assert p_in_region(fits, box) == approx(product, abs=1e-9)


@pytest.mark.parametrize("rho", [-0.99, -0.9, -0.5, 0.3, 0.95, 0.99])
def test_the_quadrature_agrees_with_scipy(rho):
    from scipy.stats import multivariate_normal

    distribution = multivariate_normal(cov=[[1, rho], [rho, 1]])
    for low, high in (((-1.0, -0.5), (0.7, 1.2)), ((-8.0, 0.3), (1.0, 9.0))):
        expected = distribution.cdf(high, lower_limit=low, rng=np.random.default_rng(3))
        zero, unit = np.zeros(1), np.ones(1)
        cuts = (Cut("fm", low[0], high[0]), Cut("d02", low[1], high[1]))
        found = bivariate_probability((zero, zero), (unit, unit), np.array([rho]), *cuts)
        assert found[0] == approx(expected, abs=2e-6)


def test_small_errors_make_the_probability_zero_or_one():
    fits = stars(200, np.random.default_rng(4))
    for name in QUANTITIES:
        fits = replace(fits, **{f"{name}_err": getattr(fits, f"{name}_err") * 1e-5})
    for selection in SELECTIONS:
        inside = in_bhb_region(fits, selection)
        assert p_in_region(fits, selection) == approx(inside.astype(float), abs=1e-6)


def test_real_fits_have_a_probability_that_counts_their_noise_draws():
    rng = np.random.default_rng(5)
    edge = {"depth": (0.7, 0.7), "width": (9.7, 9.7), "shape": (0.95, 0.95)}
    fits = fit_lines(simulated_lines(800, 40, rng, **edge)[0])
    found = p_in_region(fits)
    assert np.mean(found) == approx(in_bhb_region(fits).mean(), abs=0.06)
    assert 0.1 < np.mean(found) < 0.9


def test_a_line_that_was_not_measured_leaves_no_probability():
    fits = stars(3, np.random.default_rng(6))
    fits.d02[1, 1] = np.nan
    fits.width_err[2, 1] = np.nan
    assert np.isnan(p_in_region(fits, "xue2008")).tolist() == [False, True, False]
    assert np.isnan(p_in_region(fits, "xue2011")).tolist() == [False, True, True]
    assert p_in_region(stars(0, np.random.default_rng(7))).shape == (0,)


def test_limits_without_a_common_distribution_are_refused():
    mixed = "mixed: hdelta d02 17..28, c 0.8..1.2"
    assert not has_probability(mixed)
    assert all(has_probability(name) for name in SELECTIONS)
    with pytest.raises(ConfigError, match="Limit D0.2 and fm, or b and c"):
        p_in_region(stars(2, np.random.default_rng(8)), mixed)
    one = replace(stars(2, np.random.default_rng(9)), lines=("hdelta",))
    with pytest.raises(ConfigError, match="needs hgamma"):
        p_in_region(one, "ju2024")
