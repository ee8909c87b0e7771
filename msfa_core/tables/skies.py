"""Places that are given otherwise than as RA and Dec: in one column, or in another system.

Galactic and ecliptic coordinates are brought to ICRS where their names, or what the file says of
them, leave no doubt; names such as J123456.78−010203.4 give a place where nothing else does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.tables.cells import NAME_OF_PLACE, angle, angles, clean, is_missing
from msfa_core.tables.names import Found, Vocabulary, recognise
from msfa_core.tables.quantities import Quantity
from msfa_core.tables.raw import RawColumn, is_text
from msfa_core.tables.reading import Reading
from msfa_core.tables.report import Understood
from msfa_core.tables.units import convert, says_nothing, unit_of
from msfa_core.typing import FloatArray

_SYSTEMS: Final[dict[str, tuple[str, Vocabulary]]] = {  # in words -> frame of astropy, names
    "galactic": (
        "galactic",
        {
            "lon": (
                *("glon", "_glon", "gal_lon", "gallon", "gal_l", "l_gal", "galactic_longitude"),
                *("galactic_lon", "galactic_l", "glong", "gal_long", "lii", "l"),
            ),
            "lat": (
                *("glat", "_glat", "gal_lat", "gallat", "gal_b", "b_gal", "galactic_latitude"),
                *("galactic_lat", "galactic_b", "bii", "b"),
            ),
        },
    ),
    "ecliptic": (
        "barycentricmeanecliptic",
        {
            "lon": ("ecl_lon", "elon", "_elon", "ecliptic_longitude", "ecl_long", "ecliptic_lon"),
            "lat": ("ecl_lat", "elat", "_elat", "ecliptic_latitude", "ecliptic_lat"),
        },
    ),
    "B1950": (
        "fk4",  # of that equinox, unless it is told otherwise
        {
            "lon": (
                *("rab1950", "_rab1950", "ra_b1950", "ra1950", "ra_1950", "radeg1950"),
                *("ra_fk4", "alpha1950", "alpha_1950"),
            ),
            "lat": (
                *("deb1950", "_deb1950", "decb1950", "de_b1950", "dec_b1950", "dedeg1950"),
                *("de1950", "de_1950", "dec1950", "dec_1950"),
                *("dec_fk4", "delta1950", "delta_1950"),
            ),
        },
    ),
}
_SHORT: Final = ("l", "b")  # may be anything: the file must say that they are angles
_GALACTIC: Final = re.compile(r"\bgalactic\b", re.IGNORECASE)
_LONGITUDE: Final = Quantity("longitude", "dec", "deg", -360.0, 720.0, "the circle has 360 degrees")
_RIGHT_ASCENSION: Final = replace(_LONGITUDE, kind="ra")  # sexagesimal ones are hours
_LATITUDE: Final = Quantity("latitude", "dec", "deg", -90.0, 90.0, "the poles are at ±90 degrees")
_TOGETHER: Final = (  # names of a column that holds both
    *("coord", "coords", "coordinate", "coordinates", "skycoord", "sky_coord", "radec", "ra_dec"),
    *("ra,dec", "ra/dec", "ra_de", "rade", "position", "positions", "pos", "place", "radec_j2000"),
    *("coord_j2000", "coordinates_j2000", "coord_icrs", "raj2000_dej2000"),
    *("pos_eq", "coo", "coord1", "ra-dec", "ra-de", "ra_and_dec"),
)
_NAMED: Final = (  # names of a column of names that may give places
    *("designation", "desig", "lamost", "sdss", "iau_name", "iauname", "name", "starname", "star"),
    *("star_name", "object", "obj", "objname", "object_name", "objid", "id", "target", "source"),
    *("sdss_name", "lamost_name", "main_id", "simbad_name", "star_id", "source_name", "sdssname"),
)
_CIRCLE: Final = 360.0  # deg
_ENOUGH: Final = 0.9  # of the cells of a column
_WORDS_OF_DEGREES: Final = 2
_WORDS_OF_SEXAGESIMAL: Final = 6
_TWO: Final = re.compile(r"(?P<ra>[^+-]*[^\s+-])\s*(?P<dec>[+-].*)")


def other_places(reading: Reading) -> None:
    """Take places from another system, or from one column, where RA and Dec are not there."""
    if "ra" not in reading.use.vocabulary or {"ra", "dec"} <= reading.values.keys():
        return
    for system, (frame, vocabulary) in _SYSTEMS.items():
        found = recognise(reading.raw.names, vocabulary, sides=False).found
        if {"lon", "lat"} <= found.keys() and _is_sure(reading, found["lon"], system):
            _from_system(reading, system, frame, found["lon"], found["lat"])
            return
    for names, split in ((_TOGETHER, _halves), (_NAMED, _of_name)):
        known = recognise(reading.raw.names, {"both": names}, sides=False).found
        one = known.get("both")
        if one is not None and _from_one(reading, reading.by_name[one.name], split):
            return


def _is_sure(reading: Reading, found: Found, system: str) -> bool:
    """Tell whether a longitude is one: l alone may be anything, unless the file says its unit."""
    column = reading.by_name[found.name]
    if column.name.strip().lower().partition(" ")[0] not in _SHORT:
        return True
    if _GALACTIC.search(column.about) or found.unit or not says_nothing(column.unit):
        return True
    reading.left_out[column.name] = f"it may be a {system} longitude: call it glon, and b glat"
    return False


def _from_system(reading: Reading, system: str, frame: str, lon: Found, lat: Found) -> None:
    from astropy.coordinates import SkyCoord  # noqa: PLC0415  slow to import, seldom used

    longitude = _RIGHT_ASCENSION if frame == "fk4" else _LONGITUDE
    across, up = (_angle(reading, one, what) for one, what in ((lon, longitude), (lat, _LATITUDE)))
    known = np.isfinite(across) & np.isfinite(up)
    there = SkyCoord(across[known], up[known], unit="deg", frame=frame).icrs
    ra, dec = np.full(len(across), np.nan), np.full(len(across), np.nan)
    ra[known], dec[known] = there.ra.deg, there.dec.deg
    _take(reading, ra, dec, (lon.name, lat.name), f"{system} → ICRS")


def _angle(reading: Reading, found: Found, what: Quantity) -> FloatArray:
    """Read a column of angles [deg]; what is none is named and missing."""
    column = reading.by_name[found.name]
    said = found.unit if says_nothing(column.unit) else column.unit
    values, bad, missing, how = reading.read(what, column, said)
    if bad.any():
        reading.check_cells(column, bad, int(missing.sum()), what)
    degrees: Any = values if how else convert(values, said, what).values
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(degrees) & ~((degrees >= what.low) & (degrees <= what.high))
    if beyond.any():
        reading.implausible.append(reading.cells(column, beyond, "is no place on the sky"))
    return np.where(beyond, np.nan, degrees)


def _from_one(reading: Reading, column: RawColumn, split: Any) -> bool:
    """Take places from the cells of one column; tell whether they hold some."""
    if not is_text(column.values):
        return False
    words = column.values.fillna("").map(lambda word: clean(str(word)))
    none = words.map(is_missing).to_numpy(bool)
    halves = [None if gone else split(word) for word, gone in zip(words, none, strict=True)]
    read = np.array([one is not None for one in halves], bool)
    if not read.any() or read.sum() < _ENOUGH * (~none).sum():
        return False
    parts = [pd.Series([one[k] if one else None for one in halves], dtype="str") for k in (0, 1)]
    ra, dec = (angles(part, hours=k == 0)[0].values for k, part in enumerate(parts))
    wrong = ~none & ~(np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= _LATITUDE.high))
    if wrong.sum() > (1.0 - _ENOUGH) * (~none).sum():
        return False
    if wrong.any():
        reading.unreadable.append(reading.cells(column, wrong, "is no place on the sky"))
    _take(
        reading, np.where(wrong, np.nan, ra), np.where(wrong, np.nan, dec),
        (column.name, column.name), "read as places",
    )  # fmt: skip
    return True


def place_of(text: str) -> tuple[float, float] | None:
    """Return the place that a text names: RA and Dec [deg, ICRS]; None when it names none.

    As in a cell: degrees (``179.06369 +19.61900``), hours and degrees (``11:56:15.3 +19:37:08``,
    ``11h56m15.3s +19d37m08s``), or a name (``J115615.30+193708.0``).
    """
    word = clean(text)
    halves = _halves(word)
    if halves is None or is_missing(word):
        return None
    ra, dec = (angle(half, hours=k == 0) for k, half in enumerate(halves))
    return (ra, dec) if 0.0 <= ra <= _CIRCLE and abs(dec) <= _LATITUDE.high else None


def _halves(word: str) -> tuple[str, str] | None:
    """Return RA and Dec of a cell that holds both, as text."""
    if (named := _of_name(word)) is not None:
        return named
    word = word.strip("()[]{}<> ")
    for mark in (",", ";", "/", "|"):
        if word.count(mark) == 1:
            first, _, second = word.partition(mark)
            return first.strip(), second.strip()
    words = word.split()
    if len(words) == _WORDS_OF_DEGREES:
        return words[0], words[1]
    if len(words) == _WORDS_OF_SEXAGESIMAL:
        return " ".join(words[:3]), " ".join(words[3:])
    two = _TWO.fullmatch(word)
    return (two["ra"], two["dec"]) if two else None


def _of_name(word: str) -> tuple[str, str] | None:
    """Return RA and Dec of a name such as ``SDSS J123456.78-010203.4``, as text."""
    said = NAME_OF_PLACE.fullmatch(word)
    if said is None:
        return None
    return (
        f"{said['h']}:{said['m']}:{said['s']}",
        f"{said['sign']}{said['d']}:{said['n']}:{said['t']}",
    )


def _take(
    reading: Reading, ra: FloatArray, dec: FloatArray, names: tuple[str, str], how: str
) -> None:
    """Give the table its places, and say of which columns."""
    for house, values, name in (("ra", ra, names[0]), ("dec", dec, names[1])):
        if house in reading.columns and name != reading.columns[house].name:
            reading.left_out.setdefault(
                reading.columns[house].name, "the other half of the position is missing"
            )
        reading.values[house] = pd.Series(values)
        reading.columns[house] = Understood(name, unit_words(reading, name), "deg", how)


def unit_words(reading: Reading, name: str) -> str:
    """Return the unit that the file gives a column; empty where it gives none, or one unknown."""
    unit = reading.by_name[name].unit or ""
    return unit if unit and unit_of(unit) is not None else ""
