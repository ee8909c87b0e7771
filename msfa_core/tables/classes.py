"""Classes of stars in tables from outside: whichever word they use for one of the five."""

from __future__ import annotations

import re
from typing import Final

from msfa_core.constants import STELLAR_CLASSES, StellarClass

_HOUSE: Final = {str(one).lower(): str(one) for one in STELLAR_CLASSES}
_WORDS: Final = {
    StellarClass.BHB: (
        "blue horizontal branch",
        "field blue horizontal branch",
        "fbhb",
        "hbb",
        "hba",
    ),
    StellarClass.HSD: (
        *("hot subdwarf", "subdwarf b", "subdwarf o", "sd", "sdb", "sdo", "sdob", "sdbo"),
        *("he sdb", "he sdo", "he sdob", "hesdb", "hesdo", "hesdob"),
    ),
    StellarClass.WD: (
        *("white dwarf", "da", "db", "dc", "do", "dz", "dq", "dab", "dao", "daz", "dba"),
    ),
}
_BY_WORD: Final = _HOUSE | {word: str(one) for one, words in _WORDS.items() for word in words}
_TYPE: Final = re.compile(r"[\s_\-]+(star|type|class)s?$")
_MAYBE_BHB: Final = re.compile(r"bhb|horizontal|\bf?hb\b", re.IGNORECASE)


def may_be_bhb(word: str) -> bool:
    """Tell whether a word that names none of the five classes speaks of the horizontal branch."""
    return bool(_MAYBE_BHB.search(word))


def stellar_class(word: str) -> str:
    """Return the class that a word of a table means: ``bhb``, ``sdB``, ``A-type star``.

    Parameters
    ----------
    word : str

    Returns
    -------
    str
        One of the five; the word as it is where it means none of them.
    """
    bare = word.strip().lower()
    while (shorter := _TYPE.sub("", bare)) != bare:
        bare = shorter
    return _BY_WORD.get(re.sub(r"[\s_\-]+", " ", bare), word)
