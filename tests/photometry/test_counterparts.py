"""Gaia sources at the place and time of a spectrum."""

import numpy as np
import pandas as pd
from pytest import approx

from msfa_core.photometry.counterparts import counterparts, epochs, year_observed
from msfa_core.photometry.gaia import house_gaia
from msfa_core.photometry.motion import places
from msfa_core.stars.crossmatch import match_sky

MJD_2011 = 51544.5 + 11.0 * 365.25


def gaia(ra, dec, pmra=np.nan, pmdec=np.nan, **more):
    return house_gaia(
        pd.DataFrame(
            {"ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec, "phot_g_mean_mag": 14.0, **more}
        )
    )


def spectra(ra, dec, **more):
    return pd.DataFrame({"ra": ra, "dec": dec, **more})


def as_degrees(vector):
    ra = np.degrees(np.arctan2(vector[:, 1], vector[:, 0])) % 360
    return ra, np.degrees(np.arcsin(vector[:, 2]))


def test_a_star_is_found_where_it_was_when_its_spectrum_was_taken():
    rng = np.random.default_rng(1)
    n = 400
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:4] = [90.0, -90.0, 89.9999, -89.9999]
    ra[4:8] = [0.0, 359.99999, 1e-6, 360.0]
    pm = 10 ** rng.uniform(0, 4, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    pmra, pmdec = pm * np.cos(angle), pm * np.sin(angle)
    here = as_degrees(places(ra, dec, pmra, pmdec, np.full(n, -5.0)))
    table = spectra(*here, lmjd=MJD_2011)
    i, j, separation = counterparts(table, gaia(ra, dec, pmra, pmdec), 3.0, match_sky)
    own = i == j
    assert sorted(i[own]) == list(range(n))
    assert separation[own].max() < 0.01
    still = counterparts(table.drop(columns="lmjd"), gaia(ra, dec, pmra, pmdec), 3.0, match_sky)
    moved = 5 * pm / 1000 > 3.0
    assert not set(still[0][still[0] == still[1]]) & set(np.flatnonzero(moved))


def test_without_a_proper_motion_the_place_is_taken_as_it_is():
    table = spectra([10.0], [5.0], mjd=[MJD_2011])
    i, _, separation = counterparts(table, gaia([10.0], [5.0 + 2 / 3600]), 3.0, match_sky)
    assert (i.tolist(), separation) == ([0], approx([2.0]))


def test_a_source_that_moved_away_since_does_not_count():
    table = spectra([10.0], [5.0], mjd=[MJD_2011])
    fast = gaia([10.0], [5.0], [0.0], [900.0])  # 4.5 arcsec in 5 years
    assert len(counterparts(table, fast, 3.0, match_sky)[0]) == 0


def test_several_sources_come_nearest_first():
    table = spectra([10.0, 50.0], [5.0, 5.0])
    sources = gaia([10.0, 10.0, 50.0], [5.0 + 2 / 3600, 5.0 - 1 / 3600, 5.0])
    i, j, separation = counterparts(table, sources, 3.0, match_sky)
    assert (i.tolist(), j.tolist()) == ([0, 0, 1], [1, 0, 2])
    assert separation == approx([1.0, 2.0, 0.0], abs=1e-6)


def test_positions_of_2000_are_moved_from_there():
    table = pd.DataFrame({"RAJ2000": [10.0], "DEJ2000": [5.0], "Gmag": [14.0]})
    assert epochs(house_gaia(table)).tolist() == [2000.0]
    assert epochs(gaia([10.0], [5.0])).tolist() == [2016.0]
    assert epochs(gaia([10.0], [5.0], ref_epoch=[2015.5])).tolist() == [2015.5]


def test_a_date_is_mjd_before_lmjd_and_sentinels_are_no_date():
    table = pd.DataFrame({"mjd": [57388.5, -9999.0, np.nan], "lmjd": [57000, 57389, 0]})
    assert year_observed(table) == approx([2016.0, 2016.0, np.nan], abs=0.01, nan_ok=True)


def test_spectra_without_a_position_have_no_counterpart():
    table = spectra([np.nan, 10.0], [5.0, np.nan])
    assert len(counterparts(table, gaia([10.0], [5.0]), 3.0, match_sky)[0]) == 0
