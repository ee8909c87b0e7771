"""G, BP and RP of tables that are Gaia's, and of those that are not."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.photometry.bands import check_bands, coarse_bands, step_of_bands
from msfa_core.photometry.cmd import corrected_excess_factor


def bands(n=40, seed=2):
    """G, BP and RP of stars of which BP and RP add up to G, as Gaia's do."""
    rng = np.random.default_rng(seed)
    g, colour = rng.uniform(12, 17, n), rng.uniform(-0.1, 1.2, n)
    rp = g.copy()
    for _ in range(60):  # by the excess factor of its colour
        flux = 10 ** (-0.4 * (rp + colour - 25.3385)) + 10 ** (-0.4 * (rp - 24.7479))
        off = corrected_excess_factor(colour, flux / 10 ** (-0.4 * (g - 25.6874)))
        rp = rp + 0.8 * off
    return pd.DataFrame({"g_mag": g, "bp_mag": rp + colour, "rp_mag": rp})


def test_bands_that_were_exchanged_do_not_add_up_and_are_refused():
    honest = bands()
    for fine in (honest, honest.round(2), honest.round(1), honest.head(3), honest + 4.0):
        check_bands(fine, "a.csv")
    check_bands(honest.drop(columns="bp_mag"), "a.csv")
    for wrong in (
        honest.rename(columns={"bp_mag": "rp_mag", "rp_mag": "bp_mag"}),
        honest.assign(g_mag=honest["bp_mag"]),
        honest.assign(g_mag=honest["rp_mag"]),
    ):
        with pytest.raises(CatalogueError, match="do not add up to G"):
            check_bands(wrong, "a.csv")
    few = honest.rename(columns={"bp_mag": "rp_mag", "rp_mag": "bp_mag"}).head(19)
    check_bands(few, "a.csv")


@pytest.mark.parametrize("step", [0.1, 0.2, 0.25, 0.5, 1.0])
def test_magnitudes_in_coarse_steps_are_taken_and_it_is_said(step):
    for seed in range(40):
        for n in (20, 40, 300):
            coarse = (bands(n, seed) / step).round() * step
            check_bands(coarse, "a.csv")
            assert step_of_bands(coarse) == step
            said = coarse_bands(coarse)
            assert bool(said) == (step >= 0.2)
    assert f"in steps of {step:g} mag" in said[0] if step >= 0.2 else not said
    assert coarse_bands(bands()) == coarse_bands(bands().round(2)) == []
    if step <= 0.2:
        wrong = coarse.assign(g_mag=coarse["rp_mag"])
        with pytest.raises(CatalogueError, match="do not add up to G"):
            check_bands(wrong, "a.csv")


def test_ab_magnitudes_under_gaias_names_are_told():
    for seed in range(20):
        honest = bands(60, seed)
        honest["rp_mag"] += np.random.default_rng(seed).normal(0, 0.01, 60)
        check_bands(honest, "a.csv")
        ab = honest + [0.1137, 0.0154, 0.3561]
        with pytest.raises(CatalogueError, match="add up to G if they are AB magnitudes"):
            check_bands(ab, "a.csv")


def test_crowded_stars_are_believed_where_their_excess_factor_says_the_same():
    crowded = bands()
    for band in ("bp_mag", "rp_mag"):
        crowded[band] -= 0.2  # light of neighbours
    flux = 10 ** (-0.4 * (crowded["bp_mag"] - 25.3385)) + 10 ** (
        -0.4 * (crowded["rp_mag"] - 24.7479)
    )
    crowded["excess_factor"] = (flux / 10 ** (-0.4 * (crowded["g_mag"] - 25.6874))).round(4)
    check_bands(crowded, "a.csv")
    with pytest.raises(CatalogueError, match="add phot_bp_rp_excess_factor"):
        check_bands(crowded.drop(columns="excess_factor"), "a.csv")
    wrong = crowded.rename(columns={"bp_mag": "rp_mag", "rp_mag": "bp_mag"})
    with pytest.raises(CatalogueError, match="do not add up to G"):
        check_bands(wrong, "a.csv")
