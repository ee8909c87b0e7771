"""G, BP and RP of tables that are Gaia's, and of those that are not."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.photometry.bands import (
    check_bands,
    check_panstarrs,
    coarse_bands,
    step_of_bands,
)
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


@pytest.mark.parametrize("reddest", [0.2, 1.6])
@pytest.mark.parametrize("ebv", [0.0, 0.5])
def test_colours_of_pan_starrs_are_those_of_their_bp_rp(reddest, ebv):
    rng = np.random.default_rng(7)
    n = 80
    blue, dust = rng.uniform(-0.2, reddest, n), rng.uniform(0.0, 1.0, n) * ebv
    bp_rp = blue + 1.26 * dust + rng.normal(0, 0.02, n)
    g = rng.uniform(16.0, 19.0, n)
    r = g - (-0.24 + 0.75 * blue + 0.9 * dust) + rng.normal(0, 0.02, n)
    i = r - (-0.23 + 0.43 * blue + 0.59 * dust) + rng.normal(0, 0.02, n)
    honest = pd.DataFrame({"ps_g_mag": g, "ps_r_mag": r, "ps_i_mag": i})
    bright = honest - 3.0 + rng.normal(0, 0.5, (n, 3))  # where the camera saturates
    for fine in (honest, honest.drop(columns="ps_i_mag"), honest.head(19), bright):
        check_panstarrs(fine, bp_rp[: len(fine)], "ps.csv")
    vega = honest + [0.09, -0.15, -0.38]
    with pytest.raises(CatalogueError, match="as those of Vega magnitudes"):
        check_panstarrs(vega, bp_rp, "ps.csv")
    if reddest < 1.0 and not ebv:
        two = honest.rename(columns={"ps_g_mag": "ps_r_mag", "ps_r_mag": "ps_g_mag"})
        with pytest.raises(CatalogueError, match="two bands are exchanged"):
            check_panstarrs(two[["ps_g_mag", "ps_r_mag"]], bp_rp, "ps.csv")
    elif reddest > 1.0 and not ebv:
        with pytest.raises(CatalogueError, match="nothing to do with BP−RP"):
            check_panstarrs(honest.sample(frac=1.0, random_state=2), bp_rp, "ps.csv")
