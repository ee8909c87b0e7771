"""The whole sky on a page: coordinates against astropy, the map against its definition."""

import numpy as np
import pytest
from pytest import approx

from msfa_core.stars.sky_map import (
    aitoff,
    circle,
    grid_lines,
    on_map,
    parallel,
    to_galactic,
    to_icrs,
)


@pytest.fixture
def places():
    rng = np.random.default_rng(8)
    return rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))


def test_galactic_coordinates_are_those_of_astropy(places):
    from astropy.coordinates import SkyCoord

    galactic = SkyCoord(*places, unit="deg").galactic
    longitude, latitude = to_galactic(*places)
    away = (longitude - galactic.l.deg + 180) % 360 - 180
    assert np.abs(away * np.cos(np.radians(latitude))).max() < 1e-4
    assert latitude == approx(galactic.b.deg, abs=1e-4)


def test_there_and_back_is_the_same_place(places):
    ra, dec = to_icrs(*to_galactic(*places))
    assert ra == approx(places[0], abs=1e-9)
    assert dec == approx(places[1], abs=1e-9)


def test_the_map_has_true_distances_along_its_two_axes_and_east_on_the_left():
    assert aitoff([90.0, 270.0, 0.0], [0.0, 0.0, 60.0], 0.0) == (
        approx([-90.0, 90.0, 0.0]),
        approx([0.0, 0.0, 60.0]),
    )


def test_the_map_is_a_full_ellipse_of_two_to_one(places):
    for frame in ("galactic", "icrs"):
        x, y = on_map(*places, frame)
        assert (np.square(x / 180) + np.square(y / 90)).max() <= 1 + 1e-9
    rim = grid_lines()[11]
    assert np.square(rim[0] / 180) + np.square(rim[1] / 90) == approx(1.0, abs=1e-6)


def test_a_circle_is_everywhere_as_far_from_its_centre():
    from astropy.coordinates import SkyCoord

    x, y = circle(81.28, -69.78, 10.0, "icrs")
    ra = 180.0 - np.degrees(2 * np.arctan2(_half_sine(x, y), _half_cosine(x, y)))
    dec = np.degrees(np.arcsin(_sine(x, y)))
    centre = SkyCoord(81.28, -69.78, unit="deg")
    assert centre.separation(SkyCoord(ra, dec, unit="deg")).deg == approx(10.0, abs=1e-6)


def test_a_line_that_crosses_the_rim_is_broken_there():
    for latitude, frame in ((0.0, "icrs"), (20.0, "icrs"), (-20.0, "icrs"), (20.0, "galactic")):
        x, y = parallel(latitude, frame)
        assert np.isnan(x).any()
        assert np.nanmax(np.hypot(np.diff(x), np.diff(y))) < 8  # degrees: none across the map


def test_a_star_without_a_place_has_none_on_the_map():
    x, y = on_map([np.nan, 10.0], [5.0, np.nan], "galactic")
    assert np.isnan(x).all() and np.isnan(y).all()


def _angle(x, y):
    return np.hypot(np.radians(x) / 2, np.radians(y))  # of Aitoff's azimuthal projection


def _half_sine(x, y):
    angle = _angle(x, y)
    return np.radians(x) / 2 * np.sin(angle) / angle


def _half_cosine(x, y):
    return np.cos(_angle(x, y))


def _sine(x, y):
    angle = _angle(x, y)
    return np.radians(y) * np.sin(angle) / angle
