"""Units: what a file says is converted; what it does not say, the range of a column decides.

A column that can be what it is called in no unit is refused by name.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from msfa_core.constants import DAYS_PER_YEAR, MJD_J2000, SPEED_OF_LIGHT
from msfa_core.tables.quantities import Quantity, quantity
from msfa_core.typing import FloatArray

# What people write for a unit that astropy knows by another name
_SPELLINGS: Final = {
    "degree": "deg", "degrees": "deg", "decimal degrees": "deg", "d.deg": "deg", "°": "deg",
    "radian": "rad", "radians": "rad",
    "h": "hourangle", "hr": "hourangle", "hrs": "hourangle", "hour": "hourangle",
    "hours": "hourangle", "decimal hours": "hourangle",
    "arcseconds": "arcsec", "arcsecond": "arcsec", "arcsecs": "arcsec", '"': "arcsec",
    "arcseconds/yr": "arcsec/yr", "arcsec/year": "arcsec/yr", '"/yr': "arcsec/yr",
    "milliarcsec": "mas", "milliarcsecond": "mas", "milliarcseconds": "mas", "µas": "uas",
    "μas": "uas", "muas": "uas", "microarcsec": "uas", "mas/year": "mas/yr", "mas/a": "mas/yr",
    "milliarcsec/yr": "mas/yr", "mas*yr**-1": "mas/yr",
    "kms": "km/s", "kms-1": "km/s", "kmps": "km/s", "km/sec": "km/s", "km s^{-1}": "km/s",
    "km s**-1": "km/s", "m/sec": "m/s", "ms-1": "m/s",
    "kelvin": "K", "degrees kelvin": "K", "log(k)": "dex(K)", "log k": "dex(K)",
    "[k]": "dex(K)", "logk": "dex(K)", "dex(k)": "dex(K)", "log(teff)": "dex(K)",
    "magnitude": "mag", "magnitudes": "mag", "mags": "mag", "mag(vega)": "mag", "mag(ab)": "mag",
    "vegamag": "mag", "[cm/s2]": "dex(cm/s2)", "log(cm/s2)": "dex(cm/s2)",
    "log(cm.s**-2)": "dex(cm/s2)", "log(cgs)": "dex(cm/s2)", "cgs": "dex(cm/s2)",
    "log cgs": "dex(cm/s2)", "[m/s2]": "dex(m/s2)", "log(m/s2)": "dex(m/s2)",
    "[sun]": "dex", "dex(sun)": "dex", "[-]": "dex", "day": "d", "days": "d", "julian year": "yr",
    "year": "yr", "years": "yr", "julian years": "yr",
    "time[julian years]": "yr", "angle[deg]": "deg", "angle[mas]": "mas",
    "angular velocity[mas/year]": "mas/yr", "magnitude[mag]": "mag", "velocity[km/s]": "km/s",
    "temperature[k]": "K", "gravsurface[log cgs]": "dex(cm/s2)", "abundances[dex]": "dex",
    "angstroms": "Angstrom", "å": "Angstrom", "a": "Angstrom", "0.1nm": "Angstrom",
}  # fmt: skip
_SAYS_NOTHING: Final = {"", "-", "--", "---", "none", "null", "nan", "unitless", "dimensionless"}
_SEXAGESIMAL: Final = re.compile(
    r"['\"]?[hd]+ ?[:m]+ ?m*[:s]* ?s*\.?s*['\"]?|sexa.*", re.IGNORECASE
)
_LOGARITHM_OF: Final = re.compile(r"(?:log(?:10)?|dex)\s*[\[(](.+)[\])]", re.IGNORECASE)
_FULL_CIRCLE: Final = 2 * np.pi
_HEIGHT_OF_A_FIELD: Final = 10.0  # deg; a plate of LAMOST has 5
ASTROMETRIC_ERRORS: Final = ("parallax_error_mas", "pmra_error", "pmdec_error")
_GAIA_ERROR: Final = (0.004, 5.0)  # mas, mas/yr: from the brightest to the faintest of Gaia
_ENOUGH: Final = 3  # rows to judge by, where no error tells
_TINY_PARALLAX: Final = 0.02  # mas: all beyond 50 kpc and none scattered below zero
_TINY_MOTION: Final = 0.1  # mas/yr: slower than the halo at 100 kpc
_FASTEST_MEDIAN: Final = 1500.0  # km/s: no table of stars is faster in the middle
_SHIFT: Final = "Doppler shift"
_LARGEST_SHIFT: Final = 0.02  # a column of velocities, all slower than 20 m/s, is one of shifts
LARGEST_SHARE: Final = 0.06  # mass fraction of metals; [Fe/H] never has so small a range
_LOG_TEFF: Final = (3.2, 5.5)
_COOL_HUNDREDS: Final = 30.0  # of K: M dwarfs; in kK the hot end of O stars and subdwarfs
_LARGEST_KILO: Final = 300.0
_FIRST_MJD: Final = 10_000.0  # an epoch beyond is in days …
_LAST_MJD: Final = 100_000.0  # … and beyond this, a Julian date
_SMALLEST_GRAVITY: Final = 8.0  # cm/s² (or m/s²) of no star, log g of many
_JULIAN: Final = 2_400_000.5  # JD of MJD 0


# What the middle of a column of three rows or more can be: beyond it stands another unit
_MIDDLE: Final[dict[str, tuple[float, float, str]]] = {
    "parallax_mas": (0.003, 250.0, "no table of stars is so near or far"),
    **dict.fromkeys(("pmra", "pmdec"), (0.05, 5000.0, "no table of stars moves so")),
    **dict.fromkeys(("g_mag", "bp_mag", "rp_mag"), (2.0, 25.0, "LAMOST takes no such stars")),
    **dict.fromkeys(("j_mag", "h_mag", "ks_mag"), (1.0, 25.0, "LAMOST takes no such stars")),
    **dict.fromkeys(("ra", "dec"), (1e-3, 720.0, "no field is so small")),
    "teff": (1500.0, 200_000.0, "no stars have it"),
    "teff_err": (6.0, 50_000.0, "no temperature is so known: it can be per cent or dex"),
    "rv": (0.0, 1500.0, "no stars of the Galaxy have it"),
    "excess_factor": (0.9, 50.0, "BP and RP add up to more than G: is it the corrected one, C*?"),
    "parallax_error_mas": (0.001, 20.0, "no parallaxes are so measured"),
    **dict.fromkeys(("pmra_error", "pmdec_error"), (0.001, 50.0, "no motions are so measured")),
}

_SELDOM: Final = {"parallax_mas": 50.0, "pmra": 500.0, "pmdec": 500.0}  # in the middle of a table


class UnitProblem(Exception):
    """A column is in no unit of its quantity; never leaves the door."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a column was brought to its house unit.

    Attributes
    ----------
    values : (n,) array
    unit : str
        Unit in the file, as it was understood; the house unit where nothing was done.
    said : bool
        Whether the file says so; else the range of the column does.
    """

    values: FloatArray
    unit: str
    said: bool


def says_nothing(unit: str | None) -> bool:
    """Tell whether a column comes without a unit."""
    return unit is None or unit.strip().strip("'").lower() in _SAYS_NOTHING


def is_sexagesimal(unit: str | None) -> bool:
    """Tell whether a unit says that the text of a column is sexagesimal (``h:m:s``)."""
    return bool(unit and _SEXAGESIMAL.fullmatch(unit.strip()))


@lru_cache(maxsize=512)
def unit_of(text: str) -> Any:
    """Return the astropy unit that a text stands for; None for one that nobody knows."""
    from astropy import units as u  # noqa: PLC0415  slow to import

    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    text = re.sub(r"(?:dex|log)?[(\[]\s*-+\s*[)\]]", "dex", text)  # of a pure number
    known = _SPELLINGS.get(re.sub(r"\s+", " ", text.lower()))
    for spelling in (known, text, text.lower()):
        if spelling is None:
            continue
        for form in (None, "cds", "vounit", "fits"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return u.Unit(spelling, format=form)
            except (ValueError, TypeError):
                continue
    logarithm = _LOGARITHM_OF.fullmatch(text)
    inner = unit_of(logarithm[1]) if logarithm else None
    try:
        return None if inner is None else u.dex(inner)
    except (ValueError, TypeError):  # of a logarithm
        return None


def convert(values: FloatArray, said: str | None, one: Quantity) -> Conversion:
    """Bring a column to its house unit.

    Parameters
    ----------
    values : (n,) array
    said : str or None
        The unit that the file gives.
    one : Quantity

    Raises
    ------
    UnitProblem
        When the unit is none of the quantity.
    """
    if says_nothing(said):
        return judged(values, one)
    assert said is not None
    _check_system(said, one)
    unit = unit_of(said)
    if unit is None:
        raise UnitProblem(f"its unit {said!r} is unknown")
    if one.kind == "ra" and unit.physical_type == "time":
        unit = unit_of("hourangle")
    return Conversion(_converted(values, unit, said, one), said.strip(), True)


def _check_system(said: str, one: Quantity) -> None:
    """Refuse magnitudes of the other zero point: G is 0.11 mag apart, RP 0.36, Ks 1.8."""
    if one.unit != "mag" or one.name == "ebv" or one.follows:
        return
    house, other = ("AB", "Vega") if one.name.startswith("ps_") else ("Vega", "AB")
    if re.search(rf"(?<![a-z]){other}(?![a-z])|{other}mag", said, re.IGNORECASE):
        raise UnitProblem(f"its unit is {said!r}, and {one.name} is in the {house} system")


def _converted(  # noqa: PLR0911  a line per odd unit
    values: FloatArray, unit: Any, said: str, one: Quantity
) -> FloatArray:
    from astropy import units as u  # noqa: PLC0415

    house = unit_of(one.unit) if one.unit else u.dimensionless_unscaled
    if str(unit) == str(house):
        return values
    if one.name in ("z", "z_err") and unit.is_equivalent(u.km / u.s):
        return np.asarray(values * unit.to(u.km / u.s)) / float(SPEED_OF_LIGHT)
    if one.name in ("logg_err", "feh", "feh_err") and _is_plain(unit):
        return values
    if one.name == "logg_err" and _is_gravity(unit):
        return values  # [cm/s2], as CDS writes it: dex all the same
    if one.name in ("teff_err", "parallax_over_error") and isinstance(
        unit, u.function.FunctionUnitBase
    ):
        raise UnitProblem(f"its unit {said!r} is none of {one.unit or 'a ratio'}")
    if one.name == "logg" and _is_plain(unit):
        return values  # "dex", as most tables write it
    if one.unit == "d" and said.strip().upper() in ("JD", "MJD"):
        return values - (_JULIAN if said.strip().upper() == "JD" else 0.0)
    if one.unit == "yr" and unit == u.d:
        return np.where(
            values > _JULIAN, 2000.0 + (values - _JULIAN - MJD_J2000) / DAYS_PER_YEAR, np.nan
        )
    if one.unit == "mag" and (unit == u.dimensionless_unscaled or _is_magnitude(unit)):
        return values
    if one.unit == "mag" and _is_plain(unit):
        raise UnitProblem(f"its unit {said!r} is none of magnitudes: 1 dex is −2.5 mag")
    try:
        if isinstance(house, u.function.FunctionUnitBase) and not isinstance(
            unit, u.function.FunctionUnitBase
        ):
            return _logarithms(values, unit, house, one)
        with np.errstate(over="ignore", invalid="ignore"):
            converted = np.asarray((values * unit).to_value(house), dtype=np.float64)
    except (u.UnitsError, TypeError) as error:
        raise UnitProblem(f"its unit {said!r} is none of {one.unit or 'a pure number'}") from error
    return converted


def _is_plain(unit: Any) -> bool:
    from astropy import units as u  # noqa: PLC0415

    return bool(unit in (u.dimensionless_unscaled, u.dex) or str(unit) in ("dex", "dex(1)"))


def _logarithms(values: FloatArray, unit: Any, house: Any, one: Quantity) -> FloatArray:
    """Return the logarithms of a column in a unit that is none."""
    if one.name == "logg" and _are_logarithms(values):
        return values + np.log10(unit.to(house.physical_unit))  # as in log(g) [cm/s2]
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithm = np.log10(np.asarray((values * unit).to_value(house.physical_unit)))
    return np.where(np.isfinite(logarithm), logarithm, np.nan)


def _are_logarithms(gravities: FloatArray) -> bool:
    """Tell whether gravities with the unit of g are its logarithms: no star has 10 cm/s²."""
    finite = gravities[np.isfinite(gravities)]
    return bool(len(finite)) and float(np.median(np.abs(finite))) < _SMALLEST_GRAVITY


def _is_gravity(unit: Any) -> bool:
    from astropy import units as u  # noqa: PLC0415

    return isinstance(unit, u.DexUnit) and unit.physical_unit.is_equivalent(u.m / u.s**2)


def _is_magnitude(unit: Any) -> bool:
    from astropy import units as u  # noqa: PLC0415

    return isinstance(unit, u.MagUnit)


def check_middle(values: FloatArray, one: Quantity) -> None:
    """Refuse a column whose middle value no table of stars has, whatever its unit is said to be.

    Raises
    ------
    UnitProblem
    """
    finite = values[np.isfinite(values)]
    if one.name not in _MIDDLE or len(finite) < _ENOUGH or not finite.any():
        return
    low, high, why = _MIDDLE[one.name]
    middle = float(np.median(np.abs(finite[finite != 0.0])))
    if not low <= middle <= high:
        with_unit = f"{middle:.3g} {one.unit}".rstrip()
        raise UnitProblem(f"its middle value would be {with_unit}: {why}")


def check_shifts(values: FloatArray, conversion: Conversion) -> None:
    """Refuse Doppler shifts that a file calls velocities: no table has stars below 20 m/s alone.

    Raises
    ------
    UnitProblem
    """
    finite = np.abs(values[np.isfinite(values)])
    is_velocity = conversion.said and conversion.unit not in ("", quantity("z").unit)
    if is_velocity and len(finite) >= _ENOUGH and 0.0 < finite.max() < _LARGEST_SHIFT:
        raise UnitProblem(f"the file says {conversion.unit}, and its numbers are Doppler shifts")


# --- no unit said ----------------------------------------------------------------------------
def judged(values: FloatArray, one: Quantity) -> Conversion:  # noqa: PLR0911  a line per quantity
    """Let the range of a column decide on its unit, where the file does not say one.

    Raises
    ------
    UnitProblem
        When the column can be what it is called in no unit, or in several.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Conversion(values, one.unit, False)
    middle = float(np.median(np.abs(finite)))
    if one.name in ASTROMETRIC_ERRORS:
        return _by_error(values, middle, one)
    if len(finite) >= _ENOUGH and finite.any():
        if one.name == "parallax_mas" and ((finite > 0) & (finite < _TINY_PARALLAX)).all():
            return Conversion(values * 1e3, "arcsec", False)
        if one.name in ("pmra", "pmdec") and middle < _TINY_MOTION:
            return Conversion(values * 1e3, "arcsec / yr", False)
    if one.name == "rv" and middle > _FASTEST_MEDIAN:
        return Conversion(values / 1e3, "m / s", False)
    if one.name == "rv" and len(finite) >= _ENOUGH and 0.0 < np.abs(finite).max() < _LARGEST_SHIFT:
        return Conversion(values * float(SPEED_OF_LIGHT), _SHIFT, False)
    if one.name == "feh" and len(finite) >= _ENOUGH and _are_shares(finite):
        raise UnitProblem(
            f"all of it lies from {finite.min():.3g} to {finite.max():.3g}: it can be the mass "
            "fraction Z, and no [Fe/H]"
        )
    if one.name == "teff":
        return _teff(values, middle, one)
    if one.name == "ref_epoch" and middle > _FIRST_MJD:
        day = values - (_JULIAN if middle > _LAST_MJD else 0.0)
        return Conversion(2000.0 + (day - MJD_J2000) / DAYS_PER_YEAR, "MJD", False)
    if one.name == "mjd" and middle > 1e6 and middle < 3e6:  # noqa: PLR2004  a Julian date
        return Conversion(values - _JULIAN, "JD", False)
    return Conversion(values, one.unit, False)


def _by_error(values: FloatArray, middle: float, one: Quantity) -> Conversion:
    low, high = _GAIA_ERROR
    per_year = " / yr" if one.unit.endswith("yr") else ""
    if low <= middle * 1e3 <= high and middle < low:
        return Conversion(values * 1e3, f"arcsec{per_year}", False)
    if low <= middle / 1e3 <= high and middle > high:
        return Conversion(values / 1e3, f"uas{per_year}", False)
    return Conversion(values, one.unit, False)


def _teff(values: FloatArray, middle: float, one: Quantity) -> Conversion:
    if _LOG_TEFF[0] <= middle <= _LOG_TEFF[1]:
        raise UnitProblem(
            f"its middle value {middle:.4g} can be log Teff or thousands of K: name the unit"
        )
    if _COOL_HUNDREDS <= middle <= _LARGEST_KILO:
        raise UnitProblem(
            f"its middle value {middle:.4g} can be thousands of K or hundreds: name the unit"
        )
    if _LOG_TEFF[1] < middle <= _LARGEST_KILO:
        return Conversion(values * 1e3, "kK", False)
    return Conversion(values, one.unit, False)


def _are_shares(finite: FloatArray) -> bool:
    return bool((finite > 0).all() and (finite < LARGEST_SHARE).all() and np.ptp(finite) > 0)


def from_logarithm(values: FloatArray) -> FloatArray:
    """Return 10 to the power of a column; NaN where that is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.power(10.0, values)
    return np.where(np.isfinite(power), power, np.nan)


def follow(leader: Conversion, follower: FloatArray, one: Quantity) -> Conversion:
    """Give an error without a unit the unit that its quantity has in the same file.

    Raises
    ------
    UnitProblem
        When that unit makes it none that Gaia could have, and its own range is no better.
    """
    if leader.unit == quantity(one.follows).unit:
        return judged(follower, one)
    if leader.unit == "JD":
        return Conversion(follower, one.unit, False)
    if leader.unit == _SHIFT:
        return Conversion(follower * float(SPEED_OF_LIGHT), _SHIFT, False)
    converted = _converted(follower, unit_of(leader.unit), leader.unit, one)
    if one.name in ASTROMETRIC_ERRORS:
        as_it_is, as_leader = (_is_gaias(values) for values in (follower, converted))
        if as_it_is and not as_leader:
            return Conversion(follower, one.unit, False)
        if not as_leader:
            raise UnitProblem(f"it has no unit, and is none of Gaia's errors in {leader.unit}")
    return Conversion(converted, leader.unit, leader.said)


def led_by_error(values: FloatArray, error: Conversion, one: Quantity) -> Conversion:
    """Give a quantity without a unit the unit that the range of its error tells.

    The smallest and largest errors of Gaia are known; a parallax can be anything.

    Raises
    ------
    UnitProblem
        When it would be larger than tables of spectra have it, though not beyond all.
    """
    if error.unit == one.unit:
        return Conversion(values, one.unit, False)
    factor = {"arcsec": 1e3, "uas": 1e-3}[error.unit.partition(" ")[0]]
    led = Conversion(values * factor, error.unit, False)
    middle = float(np.nanmedian(np.abs(led.values))) if np.isfinite(led.values).any() else 0.0
    if factor > 1.0 and _SELDOM[one.name] < middle <= _MIDDLE[one.name][1]:
        raise UnitProblem(
            f"its error can be in {error.unit} ({one.name} is {middle:.3g} {one.unit} in the "
            "middle then) or a variance: name the units of both"
        )
    return led


def _is_gaias(errors: FloatArray) -> bool:
    finite = errors[np.isfinite(errors)]
    low, high = _GAIA_ERROR
    return bool(len(finite)) and bool(low <= float(np.median(finite)) <= high)


def could_be_hours(ra: FloatArray) -> bool:
    """Tell whether right ascensions in degrees could be hours."""
    finite = ra[np.isfinite(ra)]
    return bool(len(finite)) and bool((finite >= 0).all() and (finite <= 24.0).all())  # noqa: PLR2004


def are_small_numbers(ra: FloatArray, dec: FloatArray) -> bool:
    """Tell whether right ascensions are all such as hours are, of stars far apart in declination.

    A field at small right ascension is seldom higher than a plate of LAMOST.
    """
    known = np.isfinite(ra) & np.isfinite(dec)
    enough = int(known.sum()) >= _ENOUGH
    return enough and could_be_hours(ra[known]) and float(np.ptp(dec[known])) > _HEIGHT_OF_A_FIELD


def could_be_radians(ra: FloatArray, dec: FloatArray) -> bool:
    """Tell whether positions in degrees could be radians."""
    finite = np.isfinite(ra) & np.isfinite(dec)
    if not finite.any():
        return False
    low, high = float(ra[finite].min()), float(ra[finite].max())
    return bool(low >= -np.pi and high <= _FULL_CIRCLE and np.abs(dec[finite]).max() <= np.pi / 2)
