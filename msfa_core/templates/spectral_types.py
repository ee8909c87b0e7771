"""Spectral types as numbers: O0 = 0 … M9 = 69, and what has no place on that sequence.

White dwarfs, carbon stars and cataclysmic variables have no number: two of a kind are alike, and
nothing else is near them. Hot subdwarfs and horizontal-branch stars do have one, that of the
ordinary stars that a pipeline without such templates calls them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import Certainty, Sourced
from msfa_core.rules import NOTHING_SAID, STAR
from msfa_core.typing import FloatArray

LETTERS: Final = "OBAFGKM"
SUBTYPES: Final = 10  # per letter
_MIDDLE: Final = 5.0  # subtype of a letter that comes alone
_OURS: Final = "temperature of the class, on the sequence of ordinary stars"
BHB_CODE: Final = Sourced(20.0, "", f"A0: {_OURS}", Certainty.DEFAULT)
SDB_CODE: Final = Sourced(15.0, "", f"B5: {_OURS}", Certainty.DEFAULT)
SDO_CODE: Final = Sourced(5.0, "", f"O5: {_OURS}", Certainty.DEFAULT)


class Family(enum.StrEnum):
    """Kinds of star that a subclass can name."""

    ORDINARY = "ordinary"  # on the sequence O–M: dwarfs, giants, cool subdwarfs
    WHITE_DWARF = "white dwarf"
    HOT_SUBDWARF = "hot subdwarf"
    BHB = "BHB"
    CARBON = "carbon star"
    OTHER = "other"  # a subclass that is none of these: CV, L, T, WR …
    UNKNOWN = "unknown"  # no subclass


class SpectralType(NamedTuple):
    """A subclass understood.

    Attributes
    ----------
    family : Family
    code : float
        Place on the sequence O0 = 0 … M9 = 69; NaN where there is none.
    letter : str
        Of the sequence; empty where there is none.
    """

    family: Family
    code: float
    letter: str


_NO_PLACE: Final = float("nan")
_SPECIAL: Final = (  # the first that fits counts
    (
        re.compile(r"(?i:WD|carbon\s*WD)|D[ABCOQZ](?![a-z])|d[abcoqz](?![A-Za-z])"),
        Family.WHITE_DWARF,
        "",
        0,
    ),
    (re.compile(r"(BHB|HBA?\b|FHB)", re.IGNORECASE), Family.BHB, "A", float(BHB_CODE)),
    (re.compile(r"(He-?)?sd-?O(?!B)", re.IGNORECASE), Family.HOT_SUBDWARF, "O", float(SDO_CODE)),
    (
        re.compile(r"((He-?)?sd-?O?B|HSD|hot\s*sub)", re.IGNORECASE),
        *(Family.HOT_SUBDWARF, "B", float(SDB_CODE)),
    ),
    (re.compile(r"((?i:carbon)|C(?![A-Z])|C-|CEMP|CH\b)"), Family.CARBON, "", 0),
    (re.compile(r"(CV|WR|L\d|T\d|Y\d|PN|em)"), Family.OTHER, "", 0),
)
_ON_SEQUENCE: Final = re.compile(
    r"(?:[eu]?sd|d|g|c)?\s*([OBAFGKM])(?:/?[OBAFGKM])?(\d(?:\.\d)?)?(?=$|[\sIVabpemnskh:+\-/(,])"
)


_SMALL: Final = re.compile(r"(d(?=[km]))?([obafgkm](?:\d(?:\.\d)?)?\s*[iv]*)")  # a5v, dm2


@lru_cache(maxsize=4096)
def spectral_type(subclass: str | None) -> SpectralType:
    """Read a subclass such as ``A1IV``, ``dM2``, ``sdB``, ``DA``, ``BHB`` or ``Carbon``.

    Parameters
    ----------
    subclass : str or None

    Returns
    -------
    SpectralType
        A letter without a digit counts as subtype 5.
    """
    text = subclass.strip() if isinstance(subclass, str) else ""
    if text.upper() in NOTHING_SAID or text.upper() == STAR:
        return SpectralType(Family.UNKNOWN, _NO_PLACE, "")
    for pattern, family, letter, code in _SPECIAL:
        if pattern.match(text):
            return SpectralType(family, float(code) if letter else _NO_PLACE, letter)
    if small := _SMALL.fullmatch(text):  # a table written in small letters
        text = (small[1] or "") + small[2].upper()
    found = _ON_SEQUENCE.match(text)
    if not found:
        return SpectralType(Family.OTHER, _NO_PLACE, "")
    letter, digit = found[1], found[2]
    subtype = _MIDDLE if digit is None else float(digit)
    return SpectralType(Family.ORDINARY, LETTERS.index(letter) * SUBTYPES + subtype, letter)


def spectral_code(subclasses: Iterable[str | None]) -> FloatArray:
    """(n,) place of each subclass on the sequence O0 = 0 … M9 = 69; NaN where it has none."""
    return np.array([spectral_type(_text(one)).code for one in subclasses], dtype=np.float64)


def subtypes_apart(
    one: Sequence[str | None] | NDArray[np.generic], other: Sequence[str | None]
) -> FloatArray:
    """Return how many subtypes lie between two lists of subclasses.

    Parameters
    ----------
    one, other : (n,) sequences of str

    Returns
    -------
    (n,) array
        0 for two of a family without numbers (two white dwarfs), infinite where only one of the
        two is on the sequence or the families differ, NaN where a subclass is unknown.
    """
    apart = np.empty(len(one), dtype=np.float64)
    for row, (a, b) in enumerate(zip(one, other, strict=True)):
        first, second = spectral_type(_text(a)), spectral_type(_text(b))
        if Family.UNKNOWN in (first.family, second.family):
            apart[row] = np.nan
        elif first.letter and second.letter:
            apart[row] = abs(first.code - second.code)
        else:
            apart[row] = 0.0 if first.family == second.family else np.inf
    return apart


def _text(value: object) -> str | None:
    """Return a cell as text, None where it is missing."""
    return value if isinstance(value, str) else None
