"""Reddening: a column wins, then a 3-D map, then the 2-D map; each says where it is from."""

import importlib.util
import sys
import types

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import ConfigError
from msfa_core.photometry import extinction
from msfa_core.photometry.extinction import dereddened, ebv_with_source, reddening_vector

POLE, PLANE = (192.85948, 27.12825), (266.4, -28.94)  # of the Galaxy; towards its centre


def stars(**columns):
    base = {"ra": [POLE[0], PLANE[0], np.nan], "dec": [POLE[1], PLANE[1], 5.0]}
    return pd.DataFrame({**base, **columns}, index=[4, 5, 6])


@pytest.fixture
def bayestar(monkeypatch):
    """A stand-in for dustmaps: a tenth of a magnitude per kpc, nothing in the south."""
    asked = []

    class BayestarQuery:
        def __init__(self, version):
            assert version == "bayestar2019"

        def __call__(self, places, mode):
            assert mode == "median"
            asked.append(places.distance.kpc)
            return np.where(places.dec.deg < -20, np.nan, 0.1 * places.distance.kpc)

    module = types.ModuleType("dustmaps.bayestar")
    module.BayestarQuery = BayestarQuery
    monkeypatch.setitem(sys.modules, "dustmaps", types.ModuleType("dustmaps"))
    monkeypatch.setitem(sys.modules, "dustmaps.bayestar", module)
    monkeypatch.setattr(extinction, "_installed", lambda _: True)
    return module, asked


@pytest.fixture
def no_bayestar(monkeypatch):
    monkeypatch.setattr(extinction, "_installed", lambda name: name == "sfd")


def test_a_column_wins_and_the_map_fills_what_it_leaves(no_bayestar):
    ebv, source = ebv_with_source(stars(ebv=[0.3, np.nan, np.nan]))
    assert (ebv[0], source.iloc[0]) == (0.3, "column")
    assert source.iloc[1] == "sfd" and ebv[1] > 5
    assert np.isnan(ebv[2]) and pd.isna(source.iloc[2])
    assert source.index.tolist() == [4, 5, 6]


def test_the_map_of_sfd_is_clear_at_the_pole_of_the_galaxy(no_bayestar):
    ebv, source = ebv_with_source(stars(), "sfd")
    assert ebv[0] == approx(0.015, abs=0.01)  # Schlegel et al. (1998)
    assert source.iloc[0] == "sfd"


def test_none_means_that_only_the_column_counts():
    ebv, source = ebv_with_source(stars(ebv=[0.1, np.nan, np.nan]), "none")
    assert ebv[0] == 0.1 and np.isnan(ebv[1:]).all()
    assert source.isna().tolist() == [False, True, True]


def test_the_3d_map_counts_before_the_2d_map_and_knows_the_distance(bayestar):
    _, asked = bayestar
    table = stars(parallax_mas=[0.5, 0.5, 1.0], parallax_over_error=[20.0, 2.0, 9.0])
    ebv, source = ebv_with_source(table)
    assert (ebv[0], source.iloc[0]) == (approx(0.2), "bayestar")
    assert source.iloc[1] == "sfd"  # the 3-D map has no southern sky
    assert asked[0] == approx([2.0, 63.0])  # a poor parallax: behind all dust


def test_a_3d_map_without_its_file_is_passed_over_or_named(bayestar, caplog, monkeypatch):
    module, _ = bayestar

    def missing(version):
        raise FileNotFoundError("bayestar2019.h5")

    monkeypatch.setattr(module, "BayestarQuery", missing)
    assert ebv_with_source(stars())[1].iloc[0] == "sfd"
    assert "without its Bayestar map" in caplog.text
    with pytest.raises(ConfigError, match="3-D dust map cannot be read"):
        ebv_with_source(stars(), "bayestar")


def test_unknown_and_uninstalled_maps_are_named():
    with pytest.raises(ConfigError, match="known are auto, bayestar, sfd, none"):
        ebv_with_source(stars(), "planck")
    if importlib.util.find_spec("dustmaps") is None:
        with pytest.raises(ConfigError, match="pip install dustmaps"):
            ebv_with_source(stars(), "bayestar")


def test_reddening_moves_stars_along_its_vector_and_unknown_dust_gives_no_place():
    redder, fainter = reddening_vector()
    assert (redder, fainter) == (approx(1.261), approx(2.364))
    colour, magnitude = np.full(4, 0.2), np.full(4, 1.0)
    blue, bright = dereddened(colour, magnitude, np.array([0.0, 0.1, np.nan, 5.0]))
    assert blue == approx([0.2, 0.2 - 0.1261, np.nan, np.nan], nan_ok=True)
    assert bright == approx([1.0, 1.0 - 0.2364, np.nan, np.nan], nan_ok=True)
