"""What headers say of the scales: wavelengths in air, in a moving frame, at rest; flux of a kind.

What can be brought to vacuum wavelengths in the frame of the Sun is; the rest is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import ReadError
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.fits_bytes import Hdu
from msfa_core.spectra.fits_cards import UnusualFits
from msfa_core.spectra.header_numbers import as_number
from msfa_core.spectra.layouts import Content
from msfa_core.spectra.unpacking import problem
from msfa_core.tables.units import unit_of

_EARTH: Final = 35.0  # km/s, beyond its speed with that of its turning
_FRAMES_OF_EARTH: Final = ("TOPO", "GEO")  # SPECSYS; FITS standard 4.0, table 27
_FRAMES_OF_SUN: Final = ("HELIO", "BARY")
_MEDIUM: Final = (  # cards that name it
    *("AIRORVAC", "WAVEREF", "AIRVAC", "AIR_VAC", "AIR-VAC", "VACAIR", "VACORAIR", "WAVETYPE"),
    *("WAVEMED", "MEDIUM", "WAVSCALE", "LAMTYPE", "WAVESYS", "WAVE_SYS", "WAVE-SYS", "WAVELTYP"),
)
_VACUUM: Final = ("VACUUM", "INVACUUM", "VACWAVE", "WAVEVAC", "VAC")  # cards of yes and no
_AIR: Final = ("AIR", "INAIR", "AIRWAVE", "WAVEAIR", "AIR_WAVE", "WAVE_AIR")
_TELLING: Final = (*_MEDIUM, *_VACUUM, *_AIR)
_SAYS_AIR: Final = re.compile(
    r"\bair[\s_-]*(wave\w*|lambda)"
    r"|\b(wave\w*|lambda)[^.\n]{0,40}(\b(in|are|is)|[:=])[\s:=]*(\w+\s+)?air\b"
    r"|\bvac(uum)?[\s_-]*(to|2|->)[\s_-]*air",
    re.IGNORECASE,
)
_SAYS_VACUUM: Final = re.compile(r"\bvac(?!(uum)?[\s_-]*(to|2|->)[\s_-]*air)", re.IGNORECASE)
_AIR_OF_COLUMN: Final = re.compile(r"\bair\b|\bobs\.atmos\b|\bawav\b", re.IGNORECASE)
_AT_REST: Final = ("RESTFRAM", "RESTFRM", "RESTFRA", "REST_FR", "ATREST", "DEREDSHI", "ZCORR")
_TAKEN_OFF: Final = ("DOPCOR", "DOPCOR01")  # what IRAF writes when it takes a shift off
_SAYS_REST: Final = re.compile(
    r"\b(wave\w*|spectr\w*|lambda)[^.\n]{0,40}\b(in|at|to)\s+(the\s+)?rest([\s-]*frame)?\b"
    r"|\b(rest[\s-]*frame)\s+(wave\w*|spectr\w*)",
    re.IGNORECASE,
)
_SPELLINGS: Final = {"f": ("f", "false", "0", "n", "no"), "t": ("t", "true", "1", "y", "yes")}
_SAYS_NOTHING: Final = re.compile(r"(?!)")
_NEGATED: Final = re.compile(r"\b(not|never|without)\b", re.IGNORECASE)

_SAYS_ERROR: Final = re.compile(
    r"\b(sigma|error|err|uncertainty|std\w*|stdev|standard|rms|noise|variance|var)\b|stat\.error",
    re.IGNORECASE,
)
_SAYS_INVERSE: Final = re.compile(
    r"inv|ivar|1\s*/|\^\s*-|\*\*\s*-|weight|reciprocal", re.IGNORECASE
)
_SQUARED: Final = re.compile(r"\((.*)\)\s*(?:\^|\*\*)?\s*\(?\+?2\)?")
_LARGEST_LOGARITHM: Final = 5.0  # COEFF0; of linear scales it is a wavelength
_LARGEST_STEP: Final = 0.01  # COEFF1
_TRIPLES: Final = 64  # of pixels: near either end and in the middle
_LEAST_BEND: Final = 1e-6  # of even steps; 6e-6 from 3700 to 9100 Å in air
_LARGEST_BEND: Final = 3e-5
_EVEN: Final = 0.2  # of that
_STEP: Final = 1e-4  # of log10 λ, of LAMOST and SDSS; other spectra are even in air, too …
_SAME_STEP: Final = 1e-3  # … and are rightly brought to vacuum once
_EVENLY: Final = 0.01  # of a pixel, over the whole spectrum
_TELLING_OFF: Final = 0.02  # of a pixel: shifts that tell, 1.4 km/s …
_ON: Final = 0.004  # … and how near to a pixel they lead; 0.001 in single precision
_SAME_PIXEL: Final = 0.03  # 0.02 among real spectra, which round in single precision
_PER_WAVELENGTH: Final = "convert it to flux per wavelength, as LAMOST's"

_LOGARITHM: Final = re.compile(
    r"\b(log(10)?|ln)\s*(\(|of\b|flux|lambda|wave|scale)|logarithm", re.I
)

# What the unit of a flux must not say: the colours of the spectrum would be others
_OTHER_FLUX: Final = {
    "per frequency": re.compile(r"(?<![a-z])([munkµμ]?jy|jansky)(?![a-z])|hz|maggy|maggies", re.I),
    "per wave number": re.compile(r"(?<![a-z])(cm\s*(\^|\*\*)?\s*\(?-1(?!\d)|1/cm(?![\w^]))", re.I),
    "in magnitudes": re.compile(r"(?<![a-z])(ab|st)?mag(?![a-z])", re.I),
    "in photons": re.compile(r"photon|(?<![a-z])ph(?![a-z])", re.I),
    "a logarithm": re.compile(r"(?<![a-z])(log(10)?|dex|ln)(?![a-z])", re.I),
}


def says_nothing(unit: Hdu) -> bool:
    """Tell whether a header leaves flux and wavelengths as they are, and denies nothing of itself.

    What `check_names`, `check_flux` and `to_house` would find, but for the cards of a logarithmic
    scale, of which the pixels know more.
    """
    try:
        for check in (check_names, check_flux, _check_frame):
            check(Path(), (unit,))
        return not (_air(unit) or _moves_with_earth(unit) or _rest(unit))
    except (ReadError, UnusualFits):
        return False


def check_names(path: Path, units: Iterable[Hdu]) -> None:
    """Refuse a table with two columns of one name: readers take either."""
    for unit in units:
        if not unit.columns:
            continue
        names = [unit.card(f"TTYPE{i}") for i in range(1, (unit.card("TFIELDS") or 0) + 1)]
        upper = [str(name).strip().upper() for name in names if name]
        if len(upper) > len(set(upper)):
            name = next(one for one in upper if upper.count(one) > 1)
            raise problem(path, f"has two columns {name}", "take out the one that is wrong")


def to_house(
    path: Path, primary: Hdu, content: Content, is_plain: bool = False
) -> tuple[NDArray[Any], str]:
    """Bring the wavelengths of a file to vacuum, as seen from the Sun.

    Parameters
    ----------
    path : Path
        For messages.
    primary : Hdu
    content : Content
    is_plain : bool
        Its headers say nothing (`says_nothing`).

    Returns
    -------
    (pixel,) array [Å, vacuum]
    str
        What was done, in words; empty for nothing.

    Raises
    ------
    ReadError
        When the file says of its wavelengths what cannot be undone, or contradicts itself.
    """
    if is_plain:
        _check_cards(path, primary, content)
        _check_steps(path, content.wavelength)
        return content.wavelength, ""
    units = (primary, *content.units)
    _check_frame(path, units)
    _check_rest(path, primary, units)
    _check_cards(path, primary, content)
    wavelength, scale = content.wavelength, []
    air = next(filter(None, (_air(unit) for unit in units)), "")
    if air:
        sure = next((key for unit in units for key in _VACUUM if _is(unit.card(key), "t")), "")
        if sure:
            reason = f"says that its wavelengths are in vacuum ({sure}) and in air ({air})"
            raise problem(path, reason, "take out of its header what is wrong")
        scale.append("converted from air")
        wavelength = air_to_vacuum(wavelength.astype(np.float64))
    else:
        _check_steps(path, wavelength)
    if any(_moves_with_earth(unit) for unit in units):
        scale.append("corrected for the motion of the Earth")
        wavelength = _seen_from_the_sun(path, primary, wavelength)
    return wavelength, ", ".join(scale)


def _check_steps(path: Path, wavelength: NDArray[Any]) -> None:
    """Refuse wavelengths whose logarithm has even steps once they are brought to vacuum, or to air.

    Spectra of LAMOST and SDSS have even steps in vacuum: those are in air, or were brought to
    vacuum twice, and no card of the file says so. Other steps than theirs may be even in air.
    """
    half = (len(wavelength) - _TRIPLES) // 2
    if half < _TRIPLES:
        return
    three = np.array([wavelength[at : at + _TRIPLES] for at in (0, half, 2 * half)], np.float64)
    bend, noise = _bend(three)
    if not (_LEAST_BEND < abs(bend) < _LARGEST_BEND and noise < _EVEN * abs(bend)):
        return
    vacuum = air_to_vacuum(three)
    step = np.log10(three[1] / three[0]).mean() / half
    is_theirs = abs(step / _STEP - 1.0) < _SAME_STEP
    for other, words, remedy in (
        (vacuum, "in air", "bring them to vacuum, or write VACUUM = F into the header"),
        (three**2 / vacuum, "brought to vacuum twice", "undo it once"),
    )[: 1 + is_theirs]:
        if abs(_bend(other)[0]) < _EVEN * abs(bend):
            reason = f"its wavelengths have even steps of log λ only if they are {words}"
            raise problem(path, reason, remedy)


def _bend(three: NDArray[np.float64]) -> tuple[float, float]:
    """Return how far steps of log λ are from even along a spectrum, and the error of that."""
    bends = three[0] * three[2] / np.square(three[1]) - 1.0
    mean = float(bends.sum()) / len(bends)
    bends -= mean
    return mean, math.sqrt(bends.dot(bends)) / len(bends)


def _air(unit: Hdu) -> str:
    """Return where a header says that its wavelengths are those in air; nothing if it does not."""
    for key in unit.which(_TELLING):
        word = str(unit.card(key)).strip().lower()
        if key in _MEDIUM and re.search(r"\bair\b", word) and "vac" not in word:
            return key
        if (key in _VACUUM and _is(word, "f")) or (key in _AIR and _is(word, "t")):
            return key
    if str(unit.card("CTYPE1") or "").strip().upper().startswith("AWAV"):
        return "CTYPE1"
    return _air_of_column(unit) or _in_words(unit, "air", _SAYS_AIR, _SAYS_VACUUM)


def _air_of_column(unit: Hdu) -> str:
    """Return which card about a column of wavelengths says air."""
    for i, name in enumerate(unit.columns, start=1):
        if name not in ("WAVELENGTH", "LOGLAM"):
            continue
        keys = tuple(f"{key}{i}" for key in ("TUCD", "TUNIT", "TCOMM", "TUTYP", "TCTYP"))
        said = {key: str(unit.card(key)) for key in unit.which(keys)}
        said[f"TTYPE{i}"] = unit.comment(f"TTYPE{i}")
        for key, words in said.items():
            if _AIR_OF_COLUMN.search(words) and not _SAYS_VACUUM.search(words):
                return key
    return ""


def _in_words(unit: Hdu, word: str, says: re.Pattern[str], unless: re.Pattern[str]) -> str:
    """Return the line of a header (COMMENT, HISTORY) that says something; else nothing."""
    for line in unit.remarks(word):
        if says.search(line) and not unless.search(line) and not _NEGATED.search(line):
            return repr(" ".join(line.split()))
    return ""


def _check_rest(path: Path, primary: Hdu, units: Iterable[Hdu]) -> None:
    """Refuse wavelengths from which the star's own shift was taken, beside that shift."""
    if not as_number(primary.card("Z")):  # 0: nothing would be taken twice
        return
    for unit in units:
        said = _rest(unit)
        if said:
            reason = f"says that its wavelengths are at rest ({said}), and has a shift Z beside it"
            raise problem(path, reason, "give the wavelengths as observed, or Z = 0")


def _rest(unit: Hdu) -> str:
    """Return where a header says that its wavelengths are at rest; nothing if it does not."""
    said = next((key for key in unit.which(_AT_REST) if _is(unit.card(key), "t")), "")
    said = said or next(iter(unit.which(_TAKEN_OFF)), "")
    return said or _in_words(unit, "rest", _SAYS_REST, _SAYS_NOTHING)


def _moves_with_earth(unit: Hdu) -> bool:
    """Tell whether a header says that the motion of the Earth is still in the wavelengths."""
    if unit.card("HELIO") is not None:
        return _is(unit.card("HELIO"), "f")
    return str(unit.card("SPECSYS") or "").strip().upper().startswith(_FRAMES_OF_EARTH)


def _is(card: Any, answer: str) -> bool:
    """Tell whether a card of yes or no gives an answer, in any spelling; absent, it gives none."""
    return card is not None and str(card).strip().lower() in _SPELLINGS[answer]


def _seen_from_the_sun(path: Path, primary: Hdu, wavelength: NDArray[Any]) -> NDArray[np.float64]:
    """(pixel,) wavelengths of a file that left the motion of the Earth in (HELIO = F).

    ``HELIO_RV`` [km/s] is what to take off a velocity: its sign is that of LAMOST's own headers
    (the observer's velocity away from the star), checked against an ephemeris.
    """
    velocity = as_number(primary.card("HELIO_RV"))
    if not abs(velocity) < _EARTH:
        reason = "says that the motion of the Earth is still in it (HELIO, SPECSYS), not how much"
        raise problem(path, reason, "correct its wavelengths, or give HELIO_RV in km/s")
    return wavelength.astype(np.float64) * (1 - velocity / SPEED_OF_LIGHT)


def check_flux(path: Path, units: Iterable[Hdu]) -> None:
    """Refuse a flux whose unit says that it is none per wavelength; most files say no unit.

    What is said of the inverse variance must say that it is one.
    """
    for unit in units:
        _check_ivar(path, unit)
        for i, name in enumerate(unit.columns, start=1):
            words = unit.comment(f"TTYPE{i}") if name in ("FLUX", "WAVELENGTH") else ""
            if words and _LOGARITHM.search(words):
                reason = f"{name} is a logarithm, as its header says ({words.strip()!r})"
                raise problem(path, reason, "give it as it is, wavelengths in vacuum Å")
        said = [unit.card("BUNIT")]
        said += [
            unit.card(f"TUNIT{i}") for i, name in enumerate(unit.columns, start=1) if name == "FLUX"
        ]
        for text in (str(one) for one in said if one is not None):
            for what, pattern in _OTHER_FLUX.items():
                if pattern.search(text):
                    reason = f"its flux is {what} (unit {text.strip()!r})"
                    raise problem(path, reason, _PER_WAVELENGTH)
            if _is_irradiance(text):
                reason = f"its flux is per no wavelength (unit {text.strip()!r})"
                raise problem(path, reason, _PER_WAVELENGTH)


def _check_ivar(path: Path, unit: Hdu) -> None:
    """Refuse σ or σ² under the name of the inverse variance, where words or a unit say so."""
    said = {"EXTEN0": _second_row(str(unit.card("EXTEN0") or ""))}
    columns = list(unit.columns)
    if {"IVAR", "FLUX"} <= set(columns):
        ivar, flux = (columns.index(name) + 1 for name in ("IVAR", "FLUX"))
        said |= {key: str(unit.card(key)) for key in unit.which((f"TUCD{ivar}", f"TCOMM{ivar}"))}
        said["comment of IVAR"] = unit.comment(f"TTYPE{ivar}")
        units = [str(unit.card(f"TUNIT{i}") or "").strip() for i in (ivar, flux)]
        if all(units) and (power := _power(*units)):
            reason = f"its IVAR is {power} by its unit ({units[0]!r}, of a flux in {units[1]!r})"
            raise problem(path, reason, "give 1/σ² of the flux, in 1/unit²")
    for where, words in said.items():
        if words and _SAYS_ERROR.search(words) and not _SAYS_INVERSE.search(words):
            reason = f"says that its inverse variance is none ({where}: {words.strip()!r})"
            raise problem(path, reason, "give 1/σ² of the flux that is in the file")


def _second_row(order: str) -> str:
    """Return what LAMOST's card of rows calls the second one: ``Flux, Inverse, Wavelength, …``."""
    words = order.replace(",", " ").split()
    return " ".join(words[1:3]) if len(words) > 1 else ""


@lru_cache(maxsize=64)
def _power(ivar: str, flux: str) -> str:
    """Return what the unit of an inverse variance makes of it: σ or σ²; nothing for 1/σ²."""
    if ivar == flux:
        return "σ"
    squared = _SQUARED.fullmatch(ivar)
    if squared and squared[1].strip() == flux:
        return "σ²"
    one, other = unit_of(ivar), unit_of(flux)
    if one is None or other is None or other.physical_type == "dimensionless":
        return ""
    return next((word for word, n in (("σ", 1), ("σ²", 2)) if one.is_equivalent(other**n)), "")


def _check_cards(path: Path, primary: Hdu, content: Content) -> None:
    """Refuse wavelengths that differ from those of the cards of LAMOST's logarithmic scale."""
    if content.layout not in ("lamost-image", "lamost-table"):
        return
    first, step = as_number(primary.card("COEFF0")), as_number(primary.card("COEFF1"))
    if not (1.0 < first < _LARGEST_LOGARITHM and 0.0 < step < _LARGEST_STEP):
        _check_grid(path, primary, content)
        return
    wavelength = content.wavelength
    last = len(wavelength) - 1
    shift = [(math.log10(wavelength.item(at)) - first) / step - at for at in (0, last)]
    cut = max(round(shift[0]), 0)  # pixels cut off at the blue end
    if max(abs(one - cut) for one in shift) > _SAME_PIXEL:
        reason = (
            f"its wavelengths differ from those of COEFF0 and COEFF1 by {shift[0]:.2f} to "
            f"{shift[-1]:.2f} pixels: they were shifted or binned"
        )
        remedy = "give the file as it was downloaded, or take COEFF0 and COEFF1 out of its header"
        raise problem(path, reason, remedy)


def _check_grid(path: Path, primary: Hdu, content: Content) -> None:
    """Refuse wavelengths that lie on LAMOST's pixels only where a shift of the header is undone.

    Log10 λ of its pixels are whole numbers of steps, whatever cards were lost on the way.
    """
    wavelength, last = content.wavelength, len(content.wavelength) - 1
    log = np.log10(wavelength[[0, last // 2, last]].astype(np.float64)) / _STEP
    bends = log - log[0] - np.array([0, last // 2, last])
    if np.abs(bends).max() > _EVENLY:  # another step, pixels left out, or air
        return
    off = float(log.mean() - (last // 2 + last) / 3)
    speed = as_number(primary.card("HELIO_RV")) / SPEED_OF_LIGHT
    in_motion = any(_moves_with_earth(unit) for unit in (primary, *content.units))
    for shift, words in (
        (as_number(primary.card("Z")), "at rest, with Z beside them"),
        (0.0 if in_motion else speed, "those from which HELIO_RV was taken off twice"),
        (0.0 if in_motion else -speed, "those to which HELIO_RV was added again"),
    ):
        pixels = math.log10(1.0 + shift) / _STEP if abs(shift) < 1.0 else 0.0
        if abs(_off_pixels(pixels)) > _TELLING_OFF and abs(_off_pixels(off + pixels)) < _ON:
            reason = f"its wavelengths lie on the pixels of LAMOST only if they are {words}"
            raise problem(path, reason, "give the wavelengths as they were downloaded")


def _off_pixels(steps: float) -> float:
    """Return how far a number of steps is from a whole one, −0.5 to 0.5."""
    return steps - round(steps)


@lru_cache(maxsize=64)
def _is_irradiance(unit: str) -> bool:
    """Tell whether a unit is one of power per area (λF, νF), which flux per wavelength is not."""
    if not re.search(r"erg|(?<![a-z])[wj](?![a-z])", unit, re.IGNORECASE):
        return False
    found = unit_of(re.sub(r"^\s*(1e[+-]?\d+|10\S*)\s*", "", unit, flags=re.IGNORECASE))
    return found is not None and bool(found.is_equivalent("erg / (s cm2)"))


def _check_frame(path: Path, units: Sequence[Hdu]) -> None:
    """Refuse wavelengths in a frame that moves through the Galaxy: stars would move with it."""
    for unit in units:
        frame = str(unit.card("SPECSYS") or "").strip().upper()
        if frame and not frame.startswith((*_FRAMES_OF_EARTH, *_FRAMES_OF_SUN)):
            reason = f"its wavelengths are in another frame than the Sun's (SPECSYS = {frame!r})"
            raise problem(path, reason, "convert them to the frame of the Sun (HELIOCEN)")
