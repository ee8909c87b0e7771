"""Where the star of a spectrum is: what its header says of the place, and what contradicts it.

RA and DEC of a header are degrees of ICRS, in whatever spelling, unit or older equinox the header
says. What else it says of a place must agree: the name of the star, a second position, galactic
coordinates, the centre of the spectrograph's field or that of the plate in the name of the plan.
Right ascensions in hours, in radians, or exchanged with the declination are told by them, and by
the time: LAMOST takes stars as they cross the meridian.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from msfa_core.spectra.fits_bytes import Hdu, unit_in
from msfa_core.spectra.header_numbers import as_degrees, as_number
from msfa_core.spectra.unpacking import problem
from msfa_core.tables.cells import place_in_name
from msfa_core.tables.said import FK4_EQUINOX, OLDEST_FK5, to_today

Place = tuple[float, float]

_SAME: Final = 1 / 60  # deg; 4.5 arcsec among real spectra
_NAMES: Final = ("DESIG", "OBJNAME", "OBJECT")
_SAME_STAR: Final = (  # cards that give the place of the star again
    *(("RA_OBS", "DEC_OBS"), ("OBS_RA", "OBS_DEC"), ("RA_OBJ", "DEC_OBJ"), ("OBJ_RA", "OBJ_DEC")),
    *(("RA_TARG", "DEC_TARG"), ("TARG_RA", "TARG_DEC"), ("OBJCTRA", "OBJCTDEC")),
    *(("PLUG_RA", "PLUG_DEC"), ("FIBER_RA", "FIBER_DEC"), ("RA_DEG", "DEC_DEG")),
)
_GALACTIC: Final = (("GL", "GB"), ("GLON", "GLAT"))
_SPECTROGRAPH: Final = ("SPRA", "SPDEC")
_BORESIGHT: Final = ("RADEG", "DECDEG")  # of SDSS; 1.4 deg among real spectra
_TELLING: Final = tuple(
    (*_NAMES, *(key for pair in (*_SAME_STAR, *_GALACTIC, _SPECTROGRAPH) for key in pair))
)
_FIELD: Final = 3.0  # deg from the centre of a spectrograph's; 0.92 among real spectra
_PLATE: Final = 6.0  # deg from the centre of a plate; 2.5 among real spectra
_FINE_PLAN: Final = re.compile(r"[A-Z]{1,4}_?(\d{6})([NS])(\d{6})(?!\d)", re.IGNORECASE)
_COARSE_PLAN: Final = re.compile(r"(?:GAC|VB)_?(\d{3})([NS])(\d{2})(?!\d)", re.IGNORECASE)
_OTHER_SYSTEMS: Final = re.compile(r"gal|ecl|gappt|super", re.IGNORECASE)
_UNIT_IN_WORDS: Final = {  # of a comment that says it otherwise than in brackets
    "deg": re.compile(r"\b(deg|degrees?|d)\b|°", re.IGNORECASE),
    "h": re.compile(r"\b(hours?|hrs?|hms|hourangle)\b", re.IGNORECASE),
    "rad": re.compile(r"\b(rad|radians?)\b", re.IGNORECASE),
}
_HOURS: Final = re.compile(r"^(hms|hour[\s_-]*angle|decimal hours?)$")
_LARGEST: Final = {"h": 24.0, "rad": 2 * math.pi}  # right ascension in these units
_EAST: Final = 117.58  # deg, of LAMOST at Xinglong
_TRANSIT: Final = 35.0  # deg from the meridian; 27.5 at most of 324 real spectra, 11 of nine in ten
_NO_TRANSIT: Final = 60.0  # deg
_OF_A_PLATE: Final = ("PLANID", "SPID", "LMJD")  # in each of LAMOST's files, in no other's
_NEAR_POLE: Final = 80.0  # deg; a field of 5 deg holds stars of any hour around the pole
_EPOCH_OF_TIME: Final = datetime(2000, 1, 1, 12)  # UTC, as DATE-OBS
_TURNING: Final = (280.46062, 360.98564737)  # deg, and deg a day: sidereal time at Greenwich
_TO_DEGREES: Final = {"hours": (24.0, 15.0), "radians": (2 * math.pi, 180.0 / math.pi)}
_LAST_EQUINOX: Final = 2100.0  # yr
_J2000: Final = 2000.0  # yr
_SAME_EQUINOX: Final = 0.01  # yr


def place(path: Path, primary: Hdu, layout: str, of_object: Place | None, planid: str) -> Place:
    """Return the place of the star [deg, ICRS]; NaN where the file gives none.

    Parameters
    ----------
    path : Path
        For messages.
    primary : Hdu
    layout : str
        In files of SDSS, RA and DEC are those of the telescope.
    of_object : (ra, dec), optional
        Of the row about the object, in files of SDSS.
    planid : str
        Name of the plan; empty when it is not known.

    Raises
    ------
    ReadError
        When two things that the header says of the place contradict each other.
    """
    prefix = ""
    if layout == "sdss" and primary.card("PLUG_RA") is not None:
        prefix = "PLUG_"
    elif layout == "sdss" and of_object is not None:  # no plug since SDSS-V
        return of_object
    elif layout == "sdss" and "SDSS" in str(primary.card("TELESCOP")).upper():
        return math.nan, math.nan
    ra, dec = _pair(primary, prefix + "RA", prefix + "DEC")
    if ra == dec == 0.0:  # cards that were never filled
        return math.nan, math.nan
    ra, dec = _of_today(path, ra, dec, primary)
    if math.isfinite(ra) and math.isfinite(dec):
        if prefix:
            _check_telescope(path, primary, (ra, dec))
        else:
            _check_witnesses(path, primary, (ra, dec), planid)
        if layout.startswith("lamost"):
            _check_meridian(path, primary, (ra, dec))
    return ra, dec


def _pair(primary: Hdu, across: str, up: str) -> Place:
    """Two cards of a position [deg], in whatever unit their comments say."""
    return (
        as_degrees(primary.card(across), "ra", _unit(primary, across)),
        as_degrees(primary.card(up), "dec", _unit(primary, up)),
    )


def _unit(primary: Hdu, key: str) -> str:
    """Return the unit of a position that its comment says, in brackets or else in words."""
    said, in_brackets = _said_unit(primary.comment(key))
    if in_brackets or not said:
        return said
    return said if abs(as_number(primary.card(key))) <= _LARGEST.get(said, math.inf) else ""


@lru_cache(maxsize=256)
def _said_unit(comment: str) -> tuple[str, bool]:
    """Return the unit in a comment, and whether it is in brackets."""
    said = unit_in(comment)
    if said:
        return _HOURS.sub("h", said), True
    words = (unit for unit, pattern in _UNIT_IN_WORDS.items() if pattern.search(comment))
    return next(words, ""), False


def _of_today(path: Path, ra: float, dec: float, primary: Hdu) -> Place:
    """Place [deg] in ICRS, of a header that says another equinox."""
    system = str(primary.card("RADESYS") or primary.card("RADECSYS") or "").strip().upper()
    if system and _OTHER_SYSTEMS.search(system):
        reason = f"its place is in another system than the equatorial one (RADESYS = {system!r})"
        raise problem(path, reason, "give RA and DEC in degrees of ICRS")
    said = primary.card("EQUINOX")
    if said is None:
        said = primary.card("EPOCH")  # before 1990
    equinox = as_number(said.strip().lstrip("BJ") if isinstance(said, str) else said)
    if not (math.isfinite(ra) and math.isfinite(dec)):
        return ra, dec
    is_finite = math.isfinite(equinox)
    if equinox < OLDEST_FK5 if is_finite else system.startswith("FK4"):
        old = to_today(np.array([ra]), np.array([dec]), equinox if is_finite else FK4_EQUINOX)
        return float(old[0][0]), float(old[1][0])
    is_equinox = primary.card("EQUINOX") is not None and not system.startswith("ICRS")
    if (
        is_equinox
        and OLDEST_FK5 <= equinox < _LAST_EQUINOX
        and abs(equinox - _J2000) > _SAME_EQUINOX
    ):
        from astropy.coordinates import FK5, SkyCoord  # noqa: PLC0415  slow, seldom used

        there = SkyCoord(ra, dec, unit="deg", frame=FK5(equinox=f"J{equinox}")).icrs
        return float(there.ra.deg), float(there.dec.deg)
    return ra, dec


def _check_witnesses(path: Path, primary: Hdu, here: Place, planid: str) -> None:
    """Hold against a place what its header says of it besides RA and DEC."""
    said = primary.which(_TELLING)
    for key in _NAMES:
        name = " ".join(str(primary.card(key)).split()) if key in said else ""
        named = place_in_name(name) if "+" in name or "-" in name else None
        if named is not None:
            where = f"that in its name ({name})"
            _check(path, here, named, _SAME, where, f"or {key}, in its header")
    for across, up in _SAME_STAR:
        if across in said and up in said:
            other = _pair(primary, across, up)
            where = f"{across}, {up}"
            _check(path, here, other, _SAME, where, f"or {across} and {up}, in its header")
    for across, up in _GALACTIC:
        if across in said and up in said:
            _check_galactic(path, primary, here, across, up)
    if _SPECTROGRAPH[0] in said and _SPECTROGRAPH[1] in said:
        where = "the centre of its spectrograph's field (SPRA, SPDEC)"
        _check(path, here, _pair(primary, *_SPECTROGRAPH), _FIELD, where, "in its header")
    centre = centre_of_plan(planid)
    if centre is not None:
        where = f"the centre of its plate ({planid})"
        _check(path, here, centre, _PLATE, where, "in its header")


def _check_meridian(path: Path, primary: Hdu, here: Place) -> None:
    """Refuse a right ascension that crosses the meridian of LAMOST only in another unit."""
    ra, dec = here
    largest = max(most for most, _ in _TO_DEGREES.values())
    if abs(dec) > _NEAR_POLE or not 0.0 <= ra <= largest:
        return
    date = str(primary.card("DATE-OBS") or "").strip()[: len("2000-01-01T12:00")]
    if "LAMOST" not in str(primary.card("TELESCOP")).upper() or "T" not in date:
        return
    if not primary.which(_OF_A_PLATE):  # written as LAMOST does, but taken elsewhere
        return
    try:
        days = (datetime.fromisoformat(date) - _EPOCH_OF_TIME).total_seconds() / 86_400
    except ValueError:
        return
    meridian = (_TURNING[0] + _TURNING[1] * days + _EAST) % 360.0
    if abs(_across(ra, meridian)) < _NO_TRANSIT:
        return
    for unit, (largest, degrees) in _TO_DEGREES.items():
        if ra <= largest and abs(_across(degrees * ra, meridian)) < _TRANSIT:
            reason = (
                f"its RA {ra:g} was far from the meridian of LAMOST ({meridian:.0f} deg at {date}) "
                f"and near it if it is in {unit}"
            )
            raise problem(path, reason, "give RA in degrees, or correct DATE-OBS (UTC)")


def _across(ra: float, other: float) -> float:
    """Return how far one right ascension is east of another [deg], −180 to 180."""
    return (ra - other + 180.0) % 360.0 - 180.0


def _check_telescope(path: Path, primary: Hdu, here: Place) -> None:
    """Hold against a place where the telescope of SDSS pointed: each fibre is near it."""
    if len(primary.which(_BORESIGHT)) == len(_BORESIGHT):
        where = "where the telescope pointed (RADEG, DECDEG)"
        _check(path, here, _pair(primary, *_BORESIGHT), _FIELD, where, "in its header")


def _check_galactic(path: Path, primary: Hdu, here: Place, across: str, up: str) -> None:
    """Hold against a place one in galactic coordinates, where the cards hold one."""
    from astropy.coordinates import SkyCoord  # noqa: PLC0415  slow, seldom used

    lon, lat = as_number(primary.card(across)), as_number(primary.card(up))
    if math.isfinite(lon) and abs(lat) <= 90.0:  # noqa: PLR2004  deg
        there = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
        other, where = (there.ra.deg, there.dec.deg), f"{across}, {up}"
        _check(path, here, other, _SAME, where, f"or {across} and {up}, in its header")


def _check(path: Path, here: Place, other: Place, limit: float, where: str, remedy: str) -> None:
    """Refuse a position that another contradicts: one of them is wrong.

    Parameters
    ----------
    here, other : (ra, dec) [deg]
    limit : float [deg]
        How far the star can be from the other one.
    where, remedy : str
        For the message.
    """
    (ra, dec), (far, up) = here, other
    if not (math.isfinite(far) and math.isfinite(up)) or far == up == 0.0:
        return
    apart = math.hypot(_across(ra, far) * math.cos(math.radians(up)), dec - up)
    if apart > limit:
        reason = (
            f"its position {ra:.4f} {dec:+.4f} deg is {apart:.3g} deg from {where}, "
            f"{far:.4f} {up:+.4f}"
        )
        raise problem(path, reason, f"correct RA and DEC (degrees), {remedy}")


@lru_cache(maxsize=256)
def centre_of_plan(planid: str) -> Place | None:
    """Return the centre of a plate [deg] that the name of its plan tells; None when it does not.

    ``HD083217N210132V01`` is at 8h 32m 17s, 21° 1′ 32″, ``GAC089N38V2`` at 89°, 38°.
    """
    if fine := _FINE_PLAN.match(planid):
        (h, m, s), (d, n, t) = (re.findall("..", fine[k]) for k in (1, 3))
        ra = 15.0 * (int(h) + int(m) / 60 + int(s) / 3600)
        dec = int(d) + int(n) / 60 + int(t) / 3600
        sign = fine[2]
    elif coarse := _COARSE_PLAN.match(planid):
        ra, dec, sign = float(coarse[1]), float(coarse[3]), coarse[2]
    else:
        return None
    if not (0.0 <= ra <= 360.0 and dec <= 90.0):  # noqa: PLR2004  deg
        return None
    return ra, -dec if sign.upper() == "S" else dec
