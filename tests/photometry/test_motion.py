"""Motions on the sky against astropy and numbers worked by hand."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from pytest import approx

from msfa_core.photometry.motion import (
    galactic_latitude,
    places,
    reduced_proper_motion,
    separation_arcsec,
    tangential_velocity,
    total_motion,
    year_of,
)

STARS = [  # ra, dec [deg], pmra, pmdec [mas/yr]
    (10.0, 20.0, 300.0, -200.0),
    (0.0001, -5.0, -4000.0, 100.0),  # across RA 0
    (359.9999, 45.0, 5000.0, 0.0),
    (120.0, 89.9995, 3000.0, 3000.0),  # past the pole
    (200.0, -90.0, 1000.0, 500.0),
    (33.0, 61.0, 10_000.0, 3000.0),  # as Barnard's star
]


@pytest.mark.parametrize("star", STARS)
@pytest.mark.parametrize("years", [-14.5, 8.0])
def test_moved_places_are_those_of_astropy_at_poles_and_across_ra_zero(star, years):
    ra, dec, pmra, pmdec = star
    start = SkyCoord(
        ra * u.deg, dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
        distance=20 * u.pc, radial_velocity=0 * u.km / u.s, obstime=Time(2016.0, format="jyear"),
    )  # fmt: skip
    end = start.apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear"))
    ours = places([ra], [dec], [pmra], [pmdec], [years])
    there = places([end.ra.deg], [end.dec.deg], [0], [0], [0])
    assert separation_arcsec(ours, there) == approx([0.0], abs=2e-3)
    moved = separation_arcsec(ours, places([ra], [dec], [0], [0], [0]))
    assert moved == approx(np.hypot(pmra, pmdec) * abs(years) / 1000, rel=1e-6)


def test_without_a_proper_motion_or_a_date_nothing_moves():
    here = places([10.0], [20.0], [0], [0], [0])
    for motion, years in (((np.nan, 5), 8), ((1e8, 0), 8), ((100, 5), np.nan)):
        assert places([10.0], [20.0], [motion[0]], [motion[1]], [years]) == approx(here, abs=1e-15)


def test_days_become_years_and_nonsense_becomes_missing():
    assert year_of([51544.5, 57388.5]) == approx([2000.0, 2016.0], abs=0.01)
    assert np.isnan(year_of([0.0, -9999.0, np.nan, 2_457_388.5])).all()


def test_tangential_velocity_of_a_star_at_one_kiloparsec():
    velocity, error = tangential_velocity([50.0], [0.5], [1.0], [0.1])
    assert velocity == approx([237.0])
    assert error == approx([237.0 * np.hypot(0.01, 0.1)])
    assert np.isnan(tangential_velocity([50.0, 50.0], [0.5] * 2, [-0.2, 0.0], [0.1] * 2)[0]).all()


def test_reduced_proper_motion_adds_five_and_the_motion_in_arcsec():
    assert reduced_proper_motion([15.0, 15.0], [1000.0, 10.0]) == approx([20.0, 10.0])
    assert np.isnan(reduced_proper_motion([15.0], [0.0])).all()


def test_error_of_the_motion_is_that_along_it():
    motion, error = total_motion([3.0, 0.0, np.nan], [4.0, 0.0, 1.0], [0.1] * 3, [0.2] * 3)
    assert motion == approx([5.0, 0.0, np.nan], nan_ok=True)
    assert error[0] == approx(np.hypot(0.3, 0.8) / 5)
    assert error[1] == approx(np.hypot(0.1, 0.2) / np.sqrt(2))
    assert np.isnan(error[2])


def test_galactic_latitude_is_that_of_astropy():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50)
    expected = SkyCoord(ra, dec, unit="deg").galactic.b.deg
    assert galactic_latitude(ra, dec) == approx(expected, abs=1e-3)
