"""What a file says of its columns in words: descriptions, UCDs, coordinate systems.

A column can have the name of a quantity and be another one: a magnitude free of dust, a velocity
about the Galaxy, a place of the equinox 1950. Where the file says so, it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from msfa_core.typing import FloatArray

OLDEST_FK5: Final = 1980.0  # equinoxes before are those of FK4
FK4_EQUINOX: Final = 1950.0

_MAGNITUDES: Final = frozenset(
    (
        *("g_mag", "bp_mag", "rp_mag", "j_mag", "h_mag", "ks_mag"),
        *(f"ps_{band}_mag" for band in "grizy"),
    )
)
_OF_GAIA: Final = frozenset(("g_mag", "bp_mag", "rp_mag"))
_COLOURS: Final = frozenset(("bp_rp",))
_MOTIONS: Final = frozenset(("pmra", "pmdec"))
_GRAVITIES: Final = frozenset(("logg",))


@dataclass(frozen=True, slots=True)
class _Says:
    """Words that make a column another quantity than its name says.

    Attributes
    ----------
    houses : frozenset of str
        Quantities by house name; all errors where empty.
    words : pattern
    unless : pattern or None
        Words that take it back.
    what : str
        What the column is then.
    """

    houses: frozenset[str]
    words: re.Pattern[str]
    unless: re.Pattern[str] | None
    what: str


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_NEGATED: Final = _pattern(r"\b(not|no|never|without|before|prior to)\b[\s\w,-]{0,25}$")
_SAYS: Final = (
    _Says(
        _MAGNITUDES | _COLOURS,
        _pattern(
            r"\b(de-?redden\w*|unreddened|intrinsic)\b"
            r"|\b(extinction|reddening|dust|absorption)[\s-]*(corrected|free)\b"
            r"|\b(corrected|correction|correcting)\s+(for|from|of)\s+([\w()]+[\s-]+){0,3}"
            r"(extinction|reddening|absorption|dust)\b"
            r"|\b(extinction|reddening|absorption|dust|A_?G)\s+(is\s+|was\s+)?"
            r"(removed|subtracted|taken\s+(off|out))\b|\bG\s*[-−]\s*A_?\(?G\b"
        ),
        None,
        "free of dust already",
    ),
    _Says(
        _MAGNITUDES,
        _pattern(
            r"\babsolute\s+([\w()]+[\s-]+){0,4}(mag\w*|brightness)|\bphys\.magAbs|^\W*M_?\(?G\)?\W*$"
        ),
        None,
        "an absolute magnitude",
    ),
    _Says(
        _OF_GAIA,
        _pattern(r"\b(sdss|sloan|pan-?starrs|ps1)\b|\bAB\s+(system|mag)"),
        _pattern(r"\bgaia\b"),
        "of another system than Gaia's",
    ),
    _Says(
        frozenset(("rv",)),
        _pattern(
            r"\b(galactocentric|v?_?gsr|v?_?lsr|local\s+standard|galactic\s+standard"
            r"|galactic\s+rest|topocentric|geocentric)\b"
        ),
        _pattern(r"\b(helio|bary)"),
        "a velocity in another frame than the Sun's",
    ),
    _Says(
        frozenset(("z",)),
        _pattern(
            r"\bheight\b|\bvertical\b|\bplane\b|\bcartesian\b|\bgalactocentric\b"
            r"|\bmass\s+fraction|\bmetal\w*\s+(mass|content|abundance)|\bphotometric\s+redshift"
            r"|\bphot\.mag|\bmagnitude\b|\b1\s*\+\s*z\b|\bz[\s-]+coordinate\b|^\W*metallicity\b"
            r"|\bgalactic\s+(frame|rest|standard)|\b(geocentric|topocentric|lsr)\b"
            r"|\blocal\s+standard\b"
        ),
        None,
        "no Doppler shift",
    ),
    _Says(
        frozenset(("parallax_mas",)),
        _pattern(
            r"\b(photometric|spectro\w*|dynamical|orbital|predicted)\s+parallax"
            r"|\bparallax\s+(from|of)\s+(the\s+)?(distance|model|photometr)|\bpos\.distance"
            r"|^\W*(inverse\s+|heliocentric\s+)?distance\b|\bdistance\s+modulus\b"
            r"|\bparallax\s*(over|/|divided\s+by)\s*(its\s+)?(standard\s+)?(error|uncertainty)"
        ),
        None,
        "no measured parallax",
    ),
    _Says(
        _MOTIONS,
        _pattern(
            r"\b(no|without|not\s+\w+|excluding)\s+(\w+\s+){0,3}cos"
            r"|\b(galactic|ecliptic)\s+(longitude|latitude)|\bpos\.(galactic|ecliptic)"
            r"|\b(solar|sun'?s?)[\s-]+(reflex\s+)?motion|\breflex\b"
            r"|\btotal\s+proper\s+motion|\bs\s*/\s*yr\b|\bseconds\s+of\s+time\b"
            r"|\btangential\s+velocity|\btransverse\s+velocity"
        ),
        None,
        "another motion than that on the sky, cos δ included",
    ),
    _Says(
        frozenset(("ebv",)),
        _pattern(r"\bA_?[\[({]?\s*(V|G|BP|RP)\b|\bE[\[({_ ]*(G?_?BP|G\s*-)|\bextinction\s+in\b"),
        _pattern(r"\bE[\[({_ ]*B\s*[-−_]\s*V"),
        "no E(B−V)",
    ),
    _Says(
        frozenset(("feh",)),
        _pattern(
            r"\bA\(Fe\)|\blog\s*eps\w*|\b12\s*\+|\bmass\s+fraction|\[\s*(a|alpha|α)\s*/"
            r"|\bZ\s*/\s*Z_?\(?(sun|solar|☉|⊙)"
        ),
        _pattern(r"\[\s*(Fe|M)\s*/\s*H\s*\]"),
        "no [Fe/H]",
    ),
    _Says(
        frozenset(("feh",)),
        _pattern(r"\[\s*Fe\s*/\s*H\s*\]\s*\+\s*\d"),
        None,
        "no [Fe/H]",
    ),
    _Says(
        frozenset(("teff",)),
        _pattern(
            r"\b(celsius|centigrade|fahrenheit)\b|\b5040\s*/|\breciprocal\b|\binverse\b"
            r"|\b(colou?r|excitation|brightness|dust|companion'?s?)\s+temperature"
        ),
        None,
        "no effective temperature in K",
    ),
    _Says(
        _GRAVITIES,
        _pattern(
            r"\bln\b|\bnatural\s+log|\bg\s*/\s*g_?\(?sun\b|\b(relative\s+to|in\s+units\s+of)\s+(the\s+)?"
            r"(sun|solar)|^\W*(surface\s+)?gravity\b[^.;]*\blinear\b"
        ),
        None,
        "no log g of cm/s²",
    ),
    _Says(
        frozenset(("snr_g",)),
        _pattern(
            r"\bsquared?\b|\bnoise[\s-]*(to|/|over)[\s-]*signal\b"
            r"|\b(of|in|for)\s+(the\s+)?[uriz][\s-]*(band|filter)\b"
        ),
        None,
        "no S/N in g",
    ),
    _Says(
        _GRAVITIES,
        _pattern(r"(?<![ck])\bm\s*[./]?\s*s\s*(\^|\*\*)?\s*-?\s*2|\bSI\b"),
        _pattern(r"\bcm\b|\bcgs\b"),
        "log g in m/s², 2 dex less",
    ),
    _Says(
        frozenset(("ra", "dec")),
        _pattern(
            r"\bpos\.(galactic|ecliptic|supergalactic)|\b(galactic|ecliptic)\s+l(ong|at)itude"
        ),
        None,
        "a place in another system",
    ),
    _Says(_MAGNITUDES, _pattern(r"\bphot\.flux\b"), None, "a flux"),
    _Says(
        frozenset(),
        _pattern(
            r"\bvariances?\b|\bsquared?\b|\bfractional\b|\brelative\s+(error|uncertainty)"
            r"|\b(in|as)\s+(a\s+)?per\s?cent(age)?\b|\bper\s?cent(age)?\s+(error|uncertainty)"
            r"|\b9[0579](\.\d)?\s*(%|per\s?cent)|\b[2-5](\.\d)?[\s-]*(sigma|σ)(?![\s-]*clip)"
            r"|\bfull\s+(width|range)"
        ),
        None,
        "no standard deviation",
    ),
)


_OF_ERROR: Final = _pattern(r"(?<![\w.])stat\.(error|stdev|variance)\b")  # UCD


def otherwise(house: str, about: str) -> str:
    """Return why a column is not what it is called, by the words of its file; else nothing.

    Parameters
    ----------
    house : str
        House name of the quantity that its name stands for.
    about : str
        Description, UCD and comment of the column.
    """
    if not about:
        return ""
    is_error = "_err" in house and "_over_err" not in house
    if not is_error and _OF_ERROR.search(about) and "over_error" not in house:
        return f"it is an error, as the file says ({' '.join(about.split())[:70]!r})"
    for one in _SAYS:
        if house not in one.houses and not (is_error and not one.houses):
            continue
        if one.unless is not None and one.unless.search(about):
            continue
        for match in one.words.finditer(about):
            if not _NEGATED.search(about[: match.start()]):
                shown = " ".join(about.split())[:70]
                return f"it is {one.what}, as the file says ({shown!r})"
    return ""


# What a sentence above a table says of all its columns of a kind
_IS: Final = r"\b[^.;\n]{0,40}?\b(?:are|is|were|was|been|do|does)\b[^.;\n]{0,30}?"
_OF_TABLE: Final = (
    _Says(
        _MAGNITUDES | _COLOURS,
        _pattern(
            rf"\b(?:magnitudes?|mags|photometry|colou?rs?){_IS}"
            r"(?:\bde-?redden\w*|\b(?:extinction|reddening|dust|absorption)[\s-]*(?:corrected|free)"
            r"|\bcorrected\s+(?:for|from|of)\s+(?:[\w()]+[\s-]+){0,3}"
            r"(?:extinction|reddening|absorption|dust)\b)"
        ),
        None,
        "free of dust already",
    ),
    _Says(
        frozenset(("rv",)),
        _pattern(
            rf"\b(?:velocit(?:y|ies)|RVs?){_IS}\b(?:galactocentric|gsr|lsr|local\s+standard"
            r"|galactic\s+(?:standard|rest)|topocentric|geocentric)\b"
        ),
        _pattern(r"\b(helio|bary)"),
        "a velocity in another frame than the Sun's",
    ),
    _Says(
        frozenset(("parallax_mas",)),
        _pattern(rf"\bparallax(?:es)?{_IS}\b(?:photometric|spectro\w*|dynamical|predicted)\b"),
        None,
        "no measured parallax",
    ),
    _Says(
        frozenset(("pmra",)),
        _pattern(
            r"\bproper\s+motions?\b[^.;\n]{0,40}\b(?:without|omit\w*|not\b[^.;\n]{0,25})\s*cos"
        ),
        None,
        "another motion than that on the sky, cos δ included",
    ),
    _Says(
        _MOTIONS,
        _pattern(rf"\bproper\s+motions?{_IS}\bcorrected\b[^.;\n]{{0,30}}\b(?:solar|reflex)"),
        None,
        "another motion than that on the sky",
    ),
    _Says(
        _GRAVITIES,
        _pattern(
            rf"\b(?:log\s*\(?g\)?|gravit(?:y|ies)){_IS}(?:\bm\s*[./]?\s*s\s*(?:\^|\*\*)?\s*-?\s*2|\bSI\b)"
        ),
        _pattern(r"\bcm\b|\bcgs\b"),
        "log g in m/s², 2 dex less",
    ),
    _Says(
        frozenset(),
        _pattern(
            rf"\b(?:errors?|uncertaint(?:y|ies)){_IS}(?:\b9[0579](?:\.\d)?\s*(?:%|per\s?cent)"
            r"|\b[2-5](?:\.\d)?[\s-]*(?:sigma|σ)(?![\s-]*clip)"
            r"|\b(?:in|as)\s+(?:a\s+)?per\s?cent|\bvariances?\b|\bfractional\b|\brelative\b)"
        ),
        None,
        "no standard deviation",
    ),
)
_IN_WORDS: Final = (
    "ra",
    "dec",
    "de",
    "g",
    "a",
    "e",
    "in",
    "mag",
    "rv",
)  # names that are words, too
_NOT: Final = _pattern(r"\b(?:not|never)\b")
_OF_A_COLUMN: Final = _pattern(r"^\W*(?:column\b|T(?:TYPE|COMM|UNIT|UCD|DESC\w*)\d|.*\bname:)")


@lru_cache(maxsize=8)
def _sentences(text: str) -> tuple[str, ...]:
    """Return the sentences above a table that are about no single column."""
    every = re.split(r"[\n\"]|\\n|(?<=[a-z)])\.\s", text)
    return tuple(one for one in every if one.strip() and not _OF_A_COLUMN.search(one))


def of_all(house: str, name: str, names: Sequence[str], text: str) -> str:
    """Return why a column is not what it is called, by what a file says of all; else nothing.

    Parameters
    ----------
    house, name : str
        House name of the quantity, and what the file calls it.
    names : sequence of str
        Of all columns: a sentence that names some of them is about these.
    text : str
        Comments and descriptions of the table.
    """
    is_error = "_err" in house and "_over_err" not in house
    rules = [one for one in _OF_TABLE if house in one.houses or (is_error and not one.houses)]
    if not rules or not text:
        return ""
    for sentence in _sentences(text):
        for one in rules:
            match = one.words.search(sentence)
            if match is None or (one.unless is not None and one.unless.search(sentence)):
                continue
            if _NOT.search(match[0]) and "cos" not in match[0]:
                continue
            about = [
                n
                for n in names
                if n.lower() not in _IN_WORDS
                and re.search(rf"(?<!\w){re.escape(n)}(?!\w)", sentence)
            ]
            if not about or name in about:
                shown = " ".join(sentence.split()).strip("# ")[:70]
                return f"it is {one.what}, as the file says ({shown!r})"
    return ""


# --- places --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Frame:
    """In which system places are, as far as the file tells.

    Attributes
    ----------
    equinox : float
        Year of an older system (FK4) than that of today; NaN for that of today.
    epoch : float
        Year at which the stars were there; NaN where nothing is said.
    """

    equinox: float = float("nan")
    epoch: float = float("nan")

    @property
    def is_old(self) -> bool:
        """Whether places have to be brought to the system of today."""
        return bool(np.isfinite(self.equinox))


_OF_TODAY: Final = _pattern(
    r"\b(ICRS|ICRF|FK5|eq_FK5|J\s?20\d\d|J2000\w*)|(?<!\d)2000(\.0*)?(?!\d)"
)
_OLD: Final = _pattern(r"\b(?:eq_)?FK4\b|\bB\s?(?:18|19)\d\d(?:\.\d+)?\b")
_OLD_YEAR: Final = re.compile(r"(?<![\d.])(?:B\s?)?(18[57]5|1900|1925|1950|1975)(?:\.0*)?(?!\d)")
_OLD_EQUINOX: Final = _pattern(r"\bequinox\"?\s*[:=(]?\s*\"?B?\s?(1[89]\d\d(?:\.\d+)?)(?!\d)")
_OF_ALL: Final = _pattern(  # that a whole table is in an older system
    r"\b(?:equinox|radec?sys|positions?|coordinates?|places?|frame|system)\b"
    r"(?:(?!\bfrom\b)[^\n]){0,30}?(\b(?:eq_)?FK4\b|\bB\s?(?:18|19)\d\d(?:\.\d+)?\b)"
)
_ALL_AT_EPOCH: Final = _pattern(
    r"\b(?:positions?|coordinates?|places?)\b[^.;\n\"]{0,40}?\b(?:at|to|for)\s+(?:the\s+)?"
    r"ep(?:och)?[\s=.:]*J?\s?(\d{4}(?:\.\d+)?)"
)
_AT_EPOCH: Final = _pattern(r"\bat\s+ep(?:och)?[\s=.:]*J?\s?(\d{4}(?:\.\d+)?)")


def frame_of_place(about: str, text: str = "") -> Frame:
    """Return what a file says of the system of its places.

    Parameters
    ----------
    about : str
        Of the columns that hold them.
    text : str
        Comments and header cards of the table, which count where the columns say nothing.
    """
    at = _AT_EPOCH.search(about) or _ALL_AT_EPOCH.search(text)
    epoch = float(at[1]) if at else float("nan")
    if _OF_TODAY.search(about):
        return Frame(epoch=epoch)
    year = _OLD_YEAR.search(about)
    if year or _OLD.search(about):
        return Frame(float(year[1]) if year else FK4_EQUINOX, epoch)
    if _OF_TODAY.search(text):
        return Frame(epoch=epoch)
    said = _OLD_EQUINOX.search(text)
    if said and float(said[1]) < OLDEST_FK5:
        return Frame(float(said[1]), epoch)
    old = _OF_ALL.search(text)
    if old:
        year = _OLD_YEAR.search(old[1])
        return Frame(float(year[1]) if year else FK4_EQUINOX, epoch)
    return Frame(epoch=epoch)


def to_today(
    ra: FloatArray, dec: FloatArray, equinox: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bring places of an older equinox (FK4) to ICRS.

    Parameters
    ----------
    ra, dec : (n,) array [deg]
    equinox : float or (n,) array [yr]
        Years from `OLDEST_FK5` on, and NaN, leave a place as it is.

    Returns
    -------
    ra, dec : (n,) array [deg]
    """
    from astropy.coordinates import FK4, SkyCoord  # noqa: PLC0415  slow to import, seldom used

    ra, dec = ra.copy(), dec.copy()
    years = np.broadcast_to(np.asarray(equinox, np.float64), ra.shape)
    known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)  # noqa: PLR2004  deg
    for year in np.unique(years[known & (years < OLDEST_FK5)]):
        here = known & (years == year)
        old = SkyCoord(ra[here], dec[here], unit="deg", frame=FK4(equinox=f"B{year}")).icrs
        ra[here], dec[here] = old.ra.deg, old.dec.deg
    return ra, dec
