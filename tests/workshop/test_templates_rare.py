"""Rare stars: bands and lines where they belong, as strong as they were asked for."""

import numpy as np
import pytest

from msfa_core.constants import LAMOST_GRID
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.templates import TemplateSet
from msfa_core.templates.kinds import COMPOSED
from msfa_core.workshop import templates_rare as rare

WAVELENGTH = LAMOST_GRID.wavelength


@pytest.fixture(scope="module")
def composed():
    """The composed templates of the shipped set, on the grid of LAMOST, by subclass."""
    shipped = TemplateSet.load()
    rows = np.char.startswith(shipped.name, COMPOSED)
    first = LAMOST_GRID.first - shipped.first_pixel
    flux = shipped.flux[rows, first : first + LAMOST_GRID.n_pixels].astype(np.float64)
    return {
        word: flux[shipped.subclass[rows] == word] for word in dict.fromkeys(shipped.subclass[rows])
    }


def mean(flux, low, high):
    return flux[..., (low < WAVELENGTH) & (high > WAVELENGTH)].mean(axis=-1)


@pytest.mark.parametrize("head", [4737.1, 5165.2, 5635.5])
def test_bands_of_carbon_end_at_their_heads(composed, head):
    vacuum = float(air_to_vacuum(np.array([head]))[0])
    depth = rare.band_depth(rare.C2)
    assert mean(depth, vacuum - 20, vacuum - 5) > 4 * mean(depth, vacuum + 10, vacuum + 25)
    drop = mean(composed["Carbon"], vacuum - 25, vacuum - 5) / mean(
        composed["Carbon"], vacuum + 10, vacuum + 30
    )
    assert drop[-2] < 0.55  # the giant of strongest bands
    assert (drop < 1.0).all()


def test_bands_of_cyanogen_are_redwards_of_their_heads():
    vacuum = float(air_to_vacuum(np.array([7873.0]))[0])
    depth = rare.band_depth(rare.CN)
    assert mean(depth, vacuum + 10, vacuum + 60) > 3 * mean(depth, vacuum - 60, vacuum - 15)


@pytest.mark.parametrize("apart", [0.0, 1200.0])
def test_emission_has_the_strength_that_it_was_given(apart):
    lines = rare.emission({6564.60: 40.0, 4862.71: 25.0}, 300.0, apart)
    step = np.gradient(WAVELENGTH)
    near = np.abs(WAVELENGTH - 6564.60) < 120
    assert np.sum((lines * step)[near]) == pytest.approx(40.0, rel=0.01)
    assert np.sum((lines * step)[~near]) == pytest.approx(25.0, rel=0.01)
    middle = np.argmin(np.abs(WAVELENGTH - 6564.60))
    assert (lines[middle] < lines[near].max() * 0.9) == (apart > 0)


def test_variables_show_their_lines_and_their_companions(composed):
    flux = composed["CV"]
    assert (mean(flux, 4855, 4870) > 1.15 * mean(flux, 4780, 4800)).all()
    magnetic = [one.helium_ii > 0.5 for one in rare.VARIABLES]
    stands_out = mean(flux, 4682, 4692) / mean(flux, 4600, 4630) > 1.5
    assert stands_out.tolist() == magnetic
    reddest = mean(flux, 8700, 8900) / mean(flux, 5400, 5600)
    assert np.argmax(reddest) == [one.companion > 0 for one in rare.VARIABLES].index(True)


def test_pairs_are_white_in_the_blue_and_red_in_the_red(composed):
    pairs = np.concatenate([flux for word, flux in composed.items() if word.startswith("DA+M")])
    assert len(pairs) == len(rare.PAIRS)
    assert (mean(pairs, 4095, 4110) < 0.85 * mean(pairs, 4200, 4230)).all()  # broad Hδ
    assert (mean(pairs, 7055, 7130) < 0.97 * mean(pairs, 7000, 7045)).all()  # TiO of the dwarf


def test_emission_line_stars_have_more_light_in_halpha_than_beside_it(composed):
    for word in ("B2Ve", "B7Ve", "K5Ve", "M1Ve"):
        flux = composed[word]
        assert (mean(flux, 6560, 6570) > 1.3 * mean(flux, 6500, 6530)).all()
    for nebula in composed["PN"]:
        assert nebula.max() > 50 * np.median(nebula)
        assert abs(WAVELENGTH[np.argmax(nebula)] - 5008.24) < 2
