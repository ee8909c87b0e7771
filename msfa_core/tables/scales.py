"""Units and scales that a file says of its columns in words, not in a field for units.

``parallax in uas`` and ``Teff [kK]`` are units as good as any; ``in units of 0.01 dex``,
``multiplied by 100`` and ``log scale`` make a column another quantity than its name says.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from msfa_core.tables.quantities import Quantity
from msfa_core.tables.units import is_sexagesimal, unit_of

_LOGARITHMS: Final = frozenset(("logg", "logg_err", "feh", "feh_err"))  # which they are anyway
_NUMBER: Final = (
    r"(?:10\s*(?:\^|\*\*)\s*[{(]?\s*[-+−]?\s*\d+[})]?|10[-−+]\d+|1/10+"
    r"|[-−]?\d+(?:\.\d*)?(?:e[-+]?\d+)?)"
)
_ROUND: Final = (
    r"(?:10\s*(?:\^|\*\*)\s*[{(]?\s*[-+−]?\s*\d+[})]?|10[-−+]\d+|1/10+|0?\.0*1|10+|1e[-+]?\d+)"
)
_SCALES: Final = (  # each with the number, where it counts, in a group
    re.compile(rf"\bunits?\b\s*(?:of|are|is|:|=)?\s*\(?({_NUMBER})", re.IGNORECASE),
    re.compile(rf"(?:\b(?:multiplied|scaled|times|multiply)\b(?:\s+by)?(?:\s+a)?(?:\s+factor)?"
               rf"(?:\s+of)?|(?<=[\s\w)\]])[×*]|(?<=[\s)\]])x)\s*({_NUMBER})(?![\w.]*\s*(?:pc|kpc)\b)",
               re.IGNORECASE),
    re.compile(rf"(?:\bdivided\s+by|(?<=\s)/)\s*({_NUMBER})", re.IGNORECASE),
    re.compile(rf"\bin\s+({_ROUND})\s*[a-zµμ\"%]", re.IGNORECASE),
    re.compile(rf"[\[(]\s*({_ROUND})\s*[a-zµμ][\w/.^*-]*(?:\s(?:s|yr)[\^*]*-?\d)?[\])]",
               re.IGNORECASE),
    re.compile(r"[\[(]\s*(10\s*(?:\^|\*\*)\s*[{(]?\s*[-+−]?\s*\d+[})]?|10[-−+]\d+|1e[-+]?\d+|0?\.0*1)"
               r"\s*[\])]", re.IGNORECASE),
)  # fmt: skip
_PARTS: Final = re.compile(r"\b(?:hundredths?|thousandths?|tenths?)\s+of\b", re.IGNORECASE)
_LOGARITHM: Final = re.compile(
    r"\blogarithm\w*|\blog(?:10|e)?[\s-]*scale|\blog_?10\b|\blog(?:10|e)?\s*[(\[](?!\d\))|^\W*log(?:10|e)?\b"
    r"|\b(?:in|of)\s+log\b|\bln\b|\bdex\b|\bdB\b|\bdecibels?\b",
    re.IGNORECASE,
)
_NATURAL: Final = re.compile(r"\bnatural\s+log|\bln\b", re.IGNORECASE)
_SHARE: Final = re.compile(r"\b(?:in|as)\s+(?:a\s+)?per\s?cent(?:age)?\b|[\[(]\s*%\s*[\])]", re.I)
_NEGATED: Final = re.compile(r"\b(?:not|no|never|without)\b[\s\w,-]{0,25}$", re.IGNORECASE)
_BEFORE: Final = re.compile(  # format, limits and "no value" of CDS
    r"^\s*(?:\([A-Z]\d+(?:\.\d+)?\)\s*)?(?:[\[\]][-+\d.]*/[-+\d.]*[\[\]])?\s*\??(?:=\S+)?\s*"
)
_NEAR_ONE: Final = (0.5, 2.0)  # errors are inflated by such factors, and stay errors
_OF_A_SCALE: Final = (0.4, 2.5)  # and quantities corrected (E(B-V) of SFD times 0.86)
_DERIVED: Final = re.compile(r"\b(?:from|using|by|with)\b[^.;]*$", re.IGNORECASE)

_IN_BRACKETS: Final = re.compile(r"[\[(]([^\[\]()]*(?:\([^()]*\))?[^\[\]()]*)[\])]")
_BEHIND_IN: Final = re.compile(
    r"\b(?:in|units?)\b(?:\s+of)?[\s:=]+([^\W\d][\wµμ]*(?:\s*(?:/|\bper\b|\*)\s*[a-z]\w*"
    r"(?:\^?-?\d)?)?)",
    re.IGNORECASE,
)
_AT_THE_END: Final = re.compile(r",\s*([^\W\d][\wµμ]*(?:\s*/\s*\w+)?)\s*$")
_SPELLED: Final = {
    "hours": "hourangle", "hour": "hourangle", "hrs": "hourangle", "h": "hourangle",
    "hours of time": "hourangle", "radians": "rad", "radian": "rad", "millimag": "mmag",
    "millimags": "mmag", "millimagnitudes": "mmag", "kilokelvin": "kK", "microarcsec": "uas",
    "microarcseconds": "uas", "arcseconds": "arcsec", "arcminutes": "arcmin", "degrees": "deg",
    "kelvins": "K", "magnitudes": "mag", "metres": "m",
}  # fmt: skip
_NAME_OF_MAGNITUDE: Final = re.compile(r"(?!m?mag$)\w+mag")  # (Gmag) is a name, no giga-mag
_NO_UNITS: Final = re.compile(  # words that the parser of units takes for some
    r"(?!k$)[a-z]|as|at|au|bin|pa|cd|min|an|the|sun|gal|ct|ph|pix|arc", re.IGNORECASE
)
_PER: Final = re.compile(r"\s+per\s+|\s*/\s*", re.IGNORECASE)
_OF_FLUX: Final = re.compile(r"(?:[munµμ]?jy|jansky|nano-?magg\w+|magg\w+|erg)\b.*", re.IGNORECASE)
_OTHER_TIMES: Final = re.compile(r"\w+\s*(?:/|\bper\b)\s*(?:century|cy|cty|day|d|h|hour|min)", re.I)
_KINDS: Final = (  # words for all columns of a kind, and how a house name begins
    (re.compile(r"\b(?:magnitudes|mags|photometry)\b", re.I), ("g_mag", "bp_mag", "rp_mag", "j_mag",
     "h_mag", "ks_mag", "ps_")),
    (re.compile(r"\b(?:velocities|RVs)\b", re.I), ("rv",)),
    (re.compile(r"\b(?:coordinates|positions|angles)\b", re.I), ("ra", "dec")),
    (re.compile(r"\bparallaxes\b", re.I), ("parallax_mas", "parallax_error")),
    (re.compile(r"\bproper\s+motions\b", re.I), ("pmra", "pmdec")),
    (re.compile(r"\btemperatures\b", re.I), ("teff",)),
    (re.compile(r"\b(?:abundances|metallicities)\b", re.I), ("feh",)),
    (re.compile(r"\bgravities\b", re.I), ("logg",)),
    (re.compile(r"\b(?:redshifts|shifts)\b", re.I), ("z",)),
)  # fmt: skip
_FEWEST_LETTERS: Final = 2  # of a name that is sought in sentences


def scaled(one: Quantity, about: str) -> str:
    """Return why a column is its quantity on another scale, by the words of its file; or nothing.

    Parameters
    ----------
    one : Quantity
        That its name stands for.
    about : str
        Description and comment of the column.
    """
    about = _BEFORE.sub("", about)
    if not about:
        return ""
    found = [match for rule in _SCALES for match in rule.finditer(about) if _counts(match[1], one)]
    found += _PARTS.finditer(about)
    if one.name not in _LOGARITHMS and (one.unit != "mag" or one.name == "ebv"):
        logs = _LOGARITHM.finditer(about)
        found += [match for match in logs if not _DERIVED.search(about[: match.start()])]
        found += [] if "_err" in one.name else _SHARE.finditer(about)
    found += _NATURAL.finditer(about)
    for match in found:
        if not _NEGATED.search(about[: match.start()]):
            return (
                f"it is on another scale, as the file says ({' '.join(about.split())[:70]!r}): "
                f"give it in {one.unit or 'its own numbers'}"
            )
    return ""


def _counts(number: str, one: Quantity) -> bool:
    """Tell whether a column times a number is another: errors are inflated by small ones."""
    word = re.sub(r"[\s{}()]|\*\*", "", number.replace("−", "-").replace("**", "^"))
    power = re.fullmatch(r"10\^?([-+]?\d+)", word) if ("^" in word or "-" in word[1:]) else None
    try:
        size = (
            10.0 ** int(power[1]) if power else 1 / float(word[2:]) if "1/" in word else float(word)
        )
    except (ValueError, ZeroDivisionError, OverflowError):
        return False
    low, high = _NEAR_ONE if "_err" in one.name else _OF_A_SCALE
    return size != 0.0 and not low < size < high


@lru_cache(maxsize=4096)
def unit_in_words(one: Quantity, about: str) -> str:
    """Return the unit that a file says of a column in words; empty for none.

    Parameters
    ----------
    one : Quantity
        Units of other things than it are no units of the column (an aperture in arcsec).
    about : str
    """
    said = [match[1].strip() for match in _IN_BRACKETS.finditer(about)]
    behind = [match[1].strip() for match in _BEHIND_IN.finditer(about)]
    last = _AT_THE_END.search(about)
    words = [*said, *behind, *([last[1].strip()] if last else [])]
    for word in words:
        if _NO_UNITS.fullmatch(word) and not (word in said and word == "h" and one.kind == "ra"):
            continue
        if one.unit == "mag" and _NAME_OF_MAGNITUDE.fullmatch(word):
            continue
        spelled = _SPELLED.get(word.lower(), _PER.sub("/", word))
        if one.unit == "mag" and _OF_FLUX.fullmatch(word):
            return word
        if one.unit.endswith("yr") and _OTHER_TIMES.fullmatch(word):
            return word
        if is_sexagesimal(spelled):
            continue
        unit = unit_of(spelled)
        if unit is not None and _is_of(unit, one):
            return str(spelled)
    return ""


def _is_of(unit: Any, one: Quantity) -> bool:
    """Tell whether a unit is one of a quantity, and not that of nothing."""
    from astropy import units as u  # noqa: PLC0415  slow to import

    if not one.unit:
        return bool(one.name == "z" and unit.is_equivalent(u.km / u.s))
    house = unit_of(one.unit)
    plain = u.dimensionless_unscaled
    if plain in (unit, house):
        return False
    if isinstance(house, u.function.FunctionUnitBase):
        gravity = getattr(unit, "physical_unit", unit)
        return one.name == "logg" and bool(gravity.is_equivalent(u.m / u.s**2))
    if isinstance(unit, u.function.FunctionUnitBase):
        return bool(one.unit == "mag" and isinstance(unit, u.MagUnit))
    return bool(unit.is_equivalent(house))


def differ(said: str, worded: str) -> bool:
    """Tell whether two units of a column, one in its field and one in words, are not the same."""
    from astropy import units as u  # noqa: PLC0415

    one, other = unit_of(said), unit_of(worded)
    if one is None or other is None:
        return False
    try:
        return bool(abs(one.to(other) - 1.0) > 1e-6)  # noqa: PLR2004
    except (u.UnitsError, TypeError, AttributeError):
        return False


@lru_cache(maxsize=8)
def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in re.split(r"[\n\"]|\\n", text) if line.strip())


@lru_cache(maxsize=1024)
def said_above(house: str, name: str, text: str) -> str:
    """Return what the comments above a table say of one column, or of all of its kind.

    Parameters
    ----------
    house, name : str
        House name of the quantity, and what the file calls it.
    text : str
        Comments of the table.
    """
    if not text:
        return ""
    told = []
    named = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.]*\w)")
    heading = _heading(name)
    for line in _lines(text):
        if heading.search(line):
            told.append(_less_heading(heading, line))
            continue
        for part in re.split(r";|(?<=[a-z)\]])\.\s|,\s", line):
            is_named = len(name) > _FEWEST_LETTERS and named.search(part)
            kinds = [words for words, houses in _KINDS if house.startswith(houses)]
            if (is_named and not re.search(r"[{}]", part)) or any(k.search(part) for k in kinds):
                told.append(part)
    return " . ".join(told)


def said_of_one(name: str, text: str) -> str:
    """Return the lines above a table that begin with the name of a column, less the name."""
    if name not in text:
        return ""
    heading = _heading(name)
    lines = (line for line in _lines(text) if heading.search(line))
    return " . ".join(_less_heading(heading, line) for line in lines)


@lru_cache(maxsize=1024)
def _heading(name: str) -> re.Pattern[str]:
    """Beginning of a line that is about one column."""
    return re.compile(
        rf"^\W*(?:col(?:umn)?\.?\s*\d*\W+)?{re.escape(name)}\s*(?:[:=\t—–-]|\s\s|[\[(])"
    )


def _less_heading(heading: re.Pattern[str], line: str) -> str:
    return heading.sub(lambda m: m[0][-1] if m[0][-1] in "[(" else "", line, count=1)
