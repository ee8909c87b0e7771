"""The whole sky on a page: Galactic coordinates, Aitoff's projection, circles and grid lines."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from msfa_core.typing import FloatArray

# ICRS place of the north Galactic pole, and the Galactic longitude of the north celestial pole
# [deg]: Hipparcos catalogue vol. 1, §1.5.3
POLE_RA: Final = 192.85948
POLE_DEC: Final = 27.12825
POLE_LONGITUDE: Final = 122.93192
HALF_TURN: Final = 180.0  # deg
TURN: Final = 360.0  # deg
SKY_FRAMES: Final = ("galactic", "icrs")
CENTRE: Final = {"galactic": 0.0, "icrs": 180.0}  # longitude in the middle of the map [deg]
STEP: Final = 30.0  # deg, between grid lines
_POINTS: Final = 181  # of a curve


def to_galactic(ra: ArrayLike, dec: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return Galactic coordinates.

    Parameters
    ----------
    ra, dec : (n,) arrays [deg]
        ICRS; NaN where missing.

    Returns
    -------
    l, b : (n,) arrays [deg]
        Longitude from 0 to 360.
    """
    return _turned(ra, dec, POLE_RA, POLE_DEC, POLE_LONGITUDE)


def to_icrs(longitude: ArrayLike, latitude: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return ICRS coordinates of Galactic ones, all in degrees."""
    return _turned(longitude, latitude, POLE_LONGITUDE, POLE_DEC, POLE_RA)


def _turned(
    longitude: ArrayLike, latitude: ArrayLike, pole: float, height: float, zero: float
) -> tuple[FloatArray, FloatArray]:
    """Return coordinates about another pole, whose place in the old ones is given [deg]."""
    angle = np.radians(np.asarray(longitude, dtype=np.float64) - pole)
    up, tilt = np.radians(np.asarray(latitude, dtype=np.float64)), np.radians(height)
    sine = np.sin(up) * np.sin(tilt) + np.cos(up) * np.cos(tilt) * np.cos(angle)
    across = np.cos(up) * np.sin(angle)
    along = np.sin(up) * np.cos(tilt) - np.cos(up) * np.sin(tilt) * np.cos(angle)
    turned = zero - np.degrees(np.arctan2(across, along))
    return turned % TURN, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def aitoff(
    longitude: ArrayLike, latitude: ArrayLike, centre: float
) -> tuple[FloatArray, FloatArray]:
    """Return places on Aitoff's map of the whole sky, east to the left.

    Parameters
    ----------
    longitude, latitude : (n,) arrays [deg]
    centre : float
        Longitude in the middle of the map [deg].

    Returns
    -------
    x, y : (n,) arrays
        From −180 to 180 and from −90 to 90: degrees along the equator and the middle meridian.
    """
    east = (np.asarray(longitude, dtype=np.float64) - centre + HALF_TURN) % TURN - HALF_TURN
    half, up = np.radians(east) / 2, np.radians(np.asarray(latitude, dtype=np.float64))
    angle = np.arccos(np.clip(np.cos(up) * np.cos(half), -1.0, 1.0))
    stretch = 1.0 / np.sinc(angle / np.pi)
    x, y = -2.0 * np.cos(up) * np.sin(half) * stretch, np.sin(up) * stretch
    return np.degrees(x), np.degrees(y)


def on_map(ra: ArrayLike, dec: ArrayLike, frame: str) -> tuple[FloatArray, FloatArray]:
    """Return where ICRS places [deg] lie on the map of a frame (`SKY_FRAMES`)."""
    return aitoff(*_in_frame(ra, dec, frame), CENTRE[frame])


def _in_frame(ra: ArrayLike, dec: ArrayLike, frame: str) -> tuple[FloatArray, FloatArray]:
    if frame == "galactic":
        return to_galactic(ra, dec)
    return np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)


def grid_lines() -> list[tuple[FloatArray, FloatArray]]:
    """Return meridians and parallels of a map, as x and y of each line."""
    along = np.linspace(-HALF_TURN, HALF_TURN, _POINTS)
    along[[0, -1]] *= 1 - 1e-9  # the rim is one meridian, and has two sides
    up = np.linspace(-90.0, 90.0, _POINTS)
    lines = [
        aitoff(np.full(_POINTS, east), up, 0.0)
        for east in [*np.arange(-150.0, 180.0, STEP), along[0], along[-1]]
    ]
    lines += [
        aitoff(along, np.full(_POINTS, height), 0.0) for height in np.arange(-60.0, 90.0, STEP)
    ]
    return lines


def circle(ra: float, dec: float, radius: float, frame: str) -> tuple[FloatArray, FloatArray]:
    """Return a small circle on the map of a frame; NaN breaks it where it crosses the rim.

    Parameters
    ----------
    ra, dec, radius : float [deg]
    frame : str
        Of `SKY_FRAMES`.
    """
    turn = np.linspace(0.0, TURN, _POINTS)
    longitude, latitude = _turned(turn, np.full(_POINTS, 90.0 - radius), 0.0, dec, ra)
    return _curve(longitude, latitude, frame)


def parallel(latitude: float, frame: str) -> tuple[FloatArray, FloatArray]:
    """Return a line of equal Galactic latitude [deg] on the map of a frame."""
    longitude = np.linspace(0.0, TURN, 2 * _POINTS) + CENTRE["galactic"] - HALF_TURN
    ra, dec = to_icrs(longitude, np.full(longitude.shape, latitude))
    return _curve(ra, dec, frame)


def _curve(ra: FloatArray, dec: FloatArray, frame: str) -> tuple[FloatArray, FloatArray]:
    """Return a curve; NaN where it leaves the map on one side and comes back on the other."""
    longitude, latitude = _in_frame(ra, dec, frame)
    east = (longitude - CENTRE[frame] + HALF_TURN) % TURN
    jumps = np.flatnonzero(np.abs(np.diff(east)) > HALF_TURN) + 1
    x, y = aitoff(longitude, latitude, CENTRE[frame])
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)
