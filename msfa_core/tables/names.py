"""Names: which column of a file is which quantity, whatever the file calls it.

Names are no identities: ``Gmag`` is Gaia's and ``gmag`` is Pan-STARRS's, ``z`` is a Doppler shift,
a magnitude or a height. Where two columns could be meant and differ, neither is taken.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from msfa_core.tables.cells import DASHES
from msfa_core.tables.quantities import ERRORS
from msfa_core.tables.units import is_sexagesimal, unit_of

Vocabulary = Mapping[str, tuple[str, ...]]

_BRACKETS: Final = re.compile(  # the unit may hold brackets of the other kind: dex(cm/s2)
    r"(?P<name>.+?)[\s_]*(?:\[(?P<square>[^\[\]]+)\]|\((?P<round>(?:[^()]|\([^()]*\))+)\))"
)
_SLASH: Final = re.compile(r"(?P<name>[^/]*[^/\s_])[\s_]*/[\s_]*(?P<unit>[^/].*)")  # Teff / K
_UNIT_SUFFIX: Final[dict[str, str | None]] = {
    "hms": None, "dms": None,
    "deg": "deg", "degrees": "deg", "rad": "rad", "radians": "rad", "hours": "hourangle",
    "hour": "hourangle", "hr": "hourangle", "hourangle": "hourangle", "arcsec": "arcsec",
    "mas": "mas", "uas": "uas", "muas": "uas", "arcsec_yr": "arcsec/yr",
    "arcsec_per_yr": "arcsec/yr", "masyr": "mas/yr", "mas_yr": "mas/yr",
    "mas_per_yr": "mas/yr", "uas_yr": "uas/yr", "kms": "km/s", "km_s": "km/s", "kmps": "km/s",
    "ms": "m/s", "m_s": "m/s", "mps": "m/s", "k": "K", "kk": "kK", "mag": "mag", "mjy": "mJy",
    "jy": "Jy",
}  # fmt: skip
_TYPED: Final = re.compile(  # as services write the type of a column into its name
    r"(?P<name>.+?)\s*:\s*(?:big|small)?(?:int(?:eger)?|float|real|double|string|text|long|short"
    r"|(?:var)?char(?:\(\d+\))?|bool(?:ean)?)(?:8|16|32|64)?"
)
_OF_TODAY: Final = re.compile(
    r"(?:J|eq\.?\s*)?2000(?:\.0)?|ICRS(?:,\s*J2000(?:/2000)?)?|FK5|hms|dms", re.IGNORECASE
)
_COMBINED: Final = "combined_"  # before the names in answers of LAMOST's forms
_LOGARITHM: Final = re.compile(r"(?:log_?10|log|lg)[\s_]*\(?(?P<name>[a-z_]+)\)?", re.IGNORECASE)
_SIDE: Final = re.compile(r"(?P<name>.+?)[_.]?(?P<side>[12ab]|gaia|lamost|x|y)", re.IGNORECASE)
_OF_PANDAS: Final = ("x", "y")  # sides of a merge whose tables both have a column
_MERGED: Final = re.compile(r"_[xy]$")
_PLACE: Final = ("ra", "dec")
_OTHER_BANDS: Final = {  # of Pan-STARRS, SDSS and their kin, beside a g that is theirs
    "gmag": {"rmag", "imag", "umag", "zmag", "ymag"},
    "g_mag": {"r_mag", "i_mag", "u_mag", "z_mag", "y_mag"},
    "g": {"r", "i", "u", "z", "y"},
}
_ONE_LETTER: Final = {"g"}  # of which a side says nothing: g_1 may be that of SDSS
_OF_ANY_BAND: Final = re.compile(r"(e_)?[griz](_?mag|psfmag|_psf_mag)(_?err)?")
_U_BANDS: Final = {"umag", "u_mag", "upsfmag", "u_psf_mag", "u_psf", "psfmag_u", "modelmag_u", "u"}
_OF_PANSTARRS: Final = {"ps_g_mag"}
_COLOURS_B_V: Final = {"bv", "b-v", "b_v", "bmv", "b-vmag", "(b-v)"}
_ERRORS_OF_COLOUR: Final = {"e_bv", "e_b_v"}  # where such a colour is beside them; E_BV is dust
_KINDRED: Final = {  # columns that are near a quantity and are not it, and why
    "feh": (
        ("[m/h]", "m_h", "mh", "m/h", "metallicity", "mh_gspphot", "mh_gspspec"),
        "it can count all metals, and [Fe/H] counts iron: call it feh if that is what it is",
    ),
    "ebv": (
        ("a_v", "av", "a(v)", "[a_v]", "azero_gspphot", "a0"),
        "it is an extinction and no E(B-V): divide it by R(V) and call it ebv",
    ),
}
_UPPER_AND_LOWER: Final = (
    "of errors above and below either could be meant: give one column of errors"
)
_GAIA_COLOURS: Final = {
    *("bpmag", "rpmag", "bp_mag", "rp_mag", "bp_rp", "bp-rp", "phot_bp_mean_mag"),
    *("phot_rp_mean_mag", "bp", "rp", "g_bp", "g_rp", "gbp", "grp", "bprp"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A column that was recognised.

    Attributes
    ----------
    name : str
        In the file.
    unit : str or None
        That its name says.
    is_logarithm : bool
        Whether its name says that it is one.
    """

    name: str
    unit: str | None = None
    is_logarithm: bool = False


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the columns of a table are.

    Attributes
    ----------
    found : dict of str to Found
        By house name.
    doubtful : dict of str to str
        Columns that may be something else, and why they are not taken.
    rivals : dict of str to tuple of Found
        Columns whose names differ in case only: the values must decide.
    """

    found: dict[str, Found]
    doubtful: dict[str, str]
    rivals: dict[str, tuple[Found, ...]]


def plain(name: object) -> str:
    """Return a name in comparable form: lower case, without quotes and blanks around it."""
    return re.sub(r"\s+", "_", _bare(name).lower())


@lru_cache(maxsize=4096)
def _bare(name: object) -> str:
    """Return a name without quotes and blanks around it."""
    text = unicodedata.normalize("NFKC", str(name).translate(DASHES))
    return text.strip().strip("\"'`“”„‘’").strip()


def recognise(
    names: Sequence[str],
    vocabulary: Vocabulary,
    beside: Sequence[str] = (),
    *,
    sides: bool = True,
) -> Recognised:
    """Find the quantities of a vocabulary among the columns of a table.

    Parameters
    ----------
    names : sequence of str
    vocabulary : mapping of house names to names in files
        The first one present counts. A name with capitals is found in that spelling first.
    beside : sequence of str
        House names; in a pair table the columns nearest to these are meant.
    sides : bool
        Whether columns of pair tables (``ra_1``) are looked for, too.

    Returns
    -------
    Recognised
    """
    readings = [_readings(str(name)) for name in names]
    by_key: list[dict[str, list[Found]]] = []
    for rank in range(3):  # as it is, without what a unit adds, without a prefix
        hits: dict[str, list[Found]] = {}
        for key, hit in filter(None, (one[rank] for one in readings)):
            hits.setdefault(key, []).append(hit)
        by_key.append(hits)
    lower = {plain(name) for name in names}
    lower |= {key for key, hits in by_key[1].items() if any(_has_unit(one.name) for one in hits)}
    found: dict[str, Found] = {}
    doubtful: dict[str, str] = {}
    rivals: dict[str, tuple[Found, ...]] = {}
    for house, aliases in vocabulary.items():
        for hits in by_key:
            for alias in aliases:
                same = hits.get(alias.lower())
                if not same:
                    continue
                if house in _OF_PANSTARRS:  # Gmag, as VizieR writes Gaia's
                    same = [one for one in same if one.name.strip() != "Gmag"]
                    if not same:
                        continue
                exact = [one for one in same if _is_spelled(one.name, alias)]
                if len(exact) == 1 and (len(same) == 1 or alias != alias.lower()):
                    same = exact
                why = _doubt(house, same[0].name, alias, lower)
                if doubts := {same[0].name: why} if why else _above_and_below(house, same):
                    doubtful |= doubts
                    continue
                if len(same) > 1:
                    rivals[house] = tuple(same)
                found[house] = same[0]
                break
            if house in found:
                break
    rivals |= _take_sides(names, vocabulary if sides else {}, found, beside, doubtful)
    doubtful |= {
        str(name): why
        for house, (kindred, why) in _KINDRED.items()
        for name in names
        if house in vocabulary and house not in found and plain(name) in kindred
    }
    return Recognised(found, doubtful, rivals)


@lru_cache(maxsize=4096)
def _readings(name: str) -> list[tuple[str, Found] | None]:
    """Return what a name could mean: as it is, less a unit or logarithm, less a prefix."""
    key = plain(name)
    out: list[tuple[str, Found] | None] = [(key, Found(name)), None, None]
    bracket = _BRACKETS.fullmatch(key)
    logarithm = _LOGARITHM.fullmatch(key)
    as_written = _BRACKETS.fullmatch(_bare(name))  # K is no k
    slash = _SLASH.fullmatch(_bare(name))
    unit_said = (as_written["square"] or as_written["round"]) if as_written else ""
    if typed := _TYPED.fullmatch(key):
        out[1] = typed["name"], Found(name)
    elif slash and unit_of(slash["unit"]) is not None:
        out[1] = plain(slash["name"]), Found(name, slash["unit"])
    elif bracket and _OF_TODAY.fullmatch(unit_said):
        out[1] = bracket["name"], Found(name)
    elif bracket and (unit_of(unit_said) is not None or is_sexagesimal(unit_said)):
        out[1] = bracket["name"], Found(name, unit_said)
    elif logarithm and logarithm["name"].startswith("teff") and "err" not in logarithm["name"]:
        out[1] = "teff", Found(name, None, True)
    else:
        for suffix, unit in _UNIT_SUFFIX.items():
            if key.endswith(f"_{suffix}") and len(key) > len(suffix) + 1:
                out[1] = key[: -len(suffix) - 1], Found(name, unit)
                break
    if "." in key:
        out[2] = key.rsplit(".", 1)[1], Found(name)
    elif key.startswith(_COMBINED):
        out[2] = key.removeprefix(_COMBINED), Found(name)
    return out


def _has_unit(name: str) -> bool:
    """Tell whether a name holds a unit in brackets or behind a slash: ``r [mag]``, no ``r_mag``."""
    return any(sign in name for sign in "[(/")


def _is_spelled(name: str, alias: str) -> bool:
    """Tell whether a name has an alias in its own spelling: ``Gmag [mag]`` is no ``gmag``."""
    bare = _bare(name)
    at = bare.find(alias)
    while at >= 0:
        around = bare[max(at - 1, 0) : at] + bare[at + len(alias) : at + len(alias) + 1]
        if not any(sign.isascii() and sign.isalpha() for sign in around):
            return True
        at = bare.find(alias, at + 1)
    return False


def _doubt(house: str, name: str, alias: str, lower: set[str]) -> str:
    """Return why a column is not what its name says; nothing where it is.

    Parameters
    ----------
    house, name : str
    alias : str
        What the name is, without unit, prefix and side.
    lower : set of str
        All names beside it.
    """
    key = alias.lower()
    if house == "g_mag" and key in _OTHER_BANDS and "gaia" not in plain(name):
        is_gaias = alias != key and _is_spelled(name, alias)
        return _doubt_of_g(key, is_gaias, lower)
    if house == "ebv" and key in _ERRORS_OF_COLOUR and _bare(name).startswith("e_"):
        colours = sorted(_COLOURS_B_V & lower)
        if colours:
            return f"with {colours[0]} beside it, it is the error of that colour"
    if house == "z" and key == "z":
        return _doubt_of_shift(lower)
    if _OF_ANY_BAND.fullmatch(key) and house.startswith("ps_") and (near := _U_BANDS & lower):
        return f"with {min(near)} beside it, it is of another survey: Pan-STARRS has no u"
    return ""


def _doubt_of_g(key: str, is_gaias: bool, lower: set[str]) -> str:
    """Doubt a magnitude g, unless it is written as Gaia's; G alone needs Gaia's colours beside."""
    others, coloured = sorted(_OTHER_BANDS[key] & lower), bool(lower & _GAIA_COLOURS)
    if is_gaias and (key != "g" or coloured):
        return ""
    if others:
        return f"with {', '.join(others)} beside it, it is g of another survey than Gaia"
    if key == "g" or (key == "gmag" and not coloured):
        return "it may be g of Pan-STARRS or SDSS: call Gaia's Gmag or phot_g_mean_mag"
    return ""


def _doubt_of_shift(lower: set[str]) -> str:
    bands = [band for band in ("u", "g", "r", "i") if band in lower]
    if bands:
        return f"with {', '.join(bands)} beside it, it is a magnitude and no Doppler shift"
    if {"x", "y"} <= lower:
        return "with x, y beside it, it is a place in space and no Doppler shift"
    return ""


def _take_sides(
    names: Sequence[str],
    vocabulary: Vocabulary,
    found: dict[str, Found],
    beside: Sequence[str],
    doubtful: dict[str, str],
) -> dict[str, tuple[Found, ...]]:
    """Fill in from pair tables (``ra_1``, ``ra_2``): the side of what is found already.

    Returns
    -------
    dict of str to tuple of Found
        Columns that pandas called ``_x`` and ``_y`` as both tables had one: nothing tells which
        is meant. Places of either table will do.
    """
    rivals: dict[str, tuple[Found, ...]] = {}
    order = {name: i for i, name in enumerate(names)}
    places = [order[found[name].name] for name in beside if name in found]
    places = places or [order[one.name] for one in found.values()]
    of_side: dict[str, set[str]] = {}  # names without their side, by side
    for one in filter(None, (_SIDE.fullmatch(plain(name)) for name in names)):
        of_side.setdefault(one["side"], set()).add(one["name"])
    for house, aliases in vocabulary.items():
        if house in found:
            continue
        options = []
        for name in names:
            match = _SIDE.fullmatch(plain(name))
            if match and match["name"] in {alias.lower() for alias in aliases} - _ONE_LETTER:
                alias = next((one for one in aliases if _is_spelled(name, one)), match["name"])
                if why := _doubt(house, name, alias, of_side[match["side"]]):
                    doubtful[name] = why
                    continue
                far = min((abs(order[name] - place) for place in places), default=0)
                options.append((far, -order[name], name))
        near = _no_limits(house, [name for *_, name in sorted(options)], found, doubtful)
        if near:
            found[house] = Found(near[0])
            if either := _either(house, near):
                rivals[house] = either
    ra, dec = (found.get(one) if one in vocabulary else None for one in ("ra", "dec"))
    if ra is not None and dec is not None:  # both of one side
        side = _SIDE.fullmatch(plain(ra.name))
        other = _SIDE.fullmatch(plain(dec.name))
        if side and other and side["side"] != other["side"]:
            names_of_dec = {alias.lower() for alias in vocabulary["dec"]}
            for name in names:
                match = _SIDE.fullmatch(plain(name))
                if match and match["name"] in names_of_dec and match["side"] == side["side"]:
                    found["dec"] = Found(name)
    return rivals


def _above_and_below(house: str, same: Sequence[Found]) -> dict[str, str]:
    """Return why neither of ``E_Teff`` and ``e_Teff`` is taken, errors above and below."""
    are_both = {one.name.strip()[:2] for one in same} == {"E_", "e_"}
    return {one.name: _UPPER_AND_LOWER for one in same} if house in ERRORS and are_both else {}


def _no_limits(
    house: str, names: list[str], found: Mapping[str, Found], doubtful: dict[str, str]
) -> list[str]:
    """Return columns of a side; none where they are errors above and below of one column."""
    value = found.get(ERRORS.get(house, ""))
    sides = {name.strip()[-1:] for name in names}
    if value is None or sides != {"1", "2"} or value.name.strip()[-1:] in sides:
        return names
    doubtful |= dict.fromkeys(names, _UPPER_AND_LOWER)
    return []


def _either(house: str, names: list[str]) -> tuple[Found, ...]:
    """Return columns of a pair table of which nothing tells which is meant; none where one does."""
    merged = [name for name in names if _MERGED.search(name)]
    if len(merged) == len(_OF_PANDAS) and house not in _PLACE:
        return tuple(map(Found, merged))
    is_pair = house == "obsid" and len(names) > 1  # labels may be of either spectrum
    return tuple(map(Found, names)) if is_pair else ()
