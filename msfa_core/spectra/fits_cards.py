"""The cards of a FITS header, each read where it lies when it is first asked for.

Spectra of one release share the order of their cards, and most of what these say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np

BLOCK: Final = 2880  # bytes; FITS standard 4.0, section 3.1
CARD: Final = 80  # bytes; section 3.3
_KEY: Final = 8
REMARKS: Final = "lines of its own"  # no keyword has so many letters
ALL: Final = "all cards, but the sums"
_SUMS: Final = ("CHECKSUM", "DATASUM")  # another one in each file
_REMARKS: Final = (b"COMMENT ", b"HISTORY ")
_INTEGER: Final = re.compile(rb"[+-]\d+")
_REAL: Final = re.compile(rb"[+-]?(\d+\.\d*|\.\d+|\d+(?=[EeDd]))([EeDd][+-]?\d+)?")
_PLAIN: Final = re.compile(  # whole numbers, real ones, words
    rb"= +(?:(?:([+-]?\d+)|([+-]?(?:\d+\.\d*|\.\d+)(?:[Ee][+-]?\d+)?)) *(?:/|\Z)"
    rb"|'([^'&]*)' *(?:/|\Z))"
)
_WORDS: Final = {b"T": True, b"F": False, b"": None}


class UnusualFits(Exception):
    """The file is not plain; astropy has to read it. Never leaves the readers."""


@dataclass(frozen=True, slots=True)
class _Order:
    """Where the texts of a header are; spectra of one release share the order of cards.

    Attributes
    ----------
    places : dict
        Keyword -> byte, from the beginning of the header, at which the text behind it begins.
    remarks : list of int
        The same of the lines of their own (COMMENT, HISTORY).
    again : dict
        The same of cards that come again.
    which : dict
        Keywords that were asked for -> those of them that the header has.
    latest : dict
        Keyword -> text and value of the spectrum before, which most cards share.
    answers : dict
        Question -> places that it looked at, what stood there, and the answer, latest.
    """

    places: dict[str, int]
    remarks: list[int]
    again: dict[str, list[int]]
    which: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    latest: dict[str, tuple[bytes, Any]] = field(default_factory=dict)
    answers: dict[Any, tuple[list[int], bytes, Any]] = field(default_factory=dict)


class Cards(dict[str, Any]):
    """Values of the cards of a header; None for one that is absent or undefined.

    Parameters
    ----------
    text : bytes
        The header, without its END.
    """

    def __init__(self, text: bytes) -> None:
        super().__init__()
        keys = np.ndarray((len(text) // CARD, _KEY), "u1", text, 0, (CARD, 1))
        self._order = _order(keys.tobytes())
        self._text = text
        self._lines: list[tuple[str, str]] | None = None

    def __missing__(self, key: str) -> Any:
        """Read a card."""
        order = self._order
        at = order.places.get(key)
        if at is None:
            self[key] = None
            return None
        raw = self._text[at : at + CARD - _KEY]
        latest = order.latest.get(key)
        if latest is None or latest[0] != raw:
            latest = order.latest[key] = raw, _card_value(raw)
        value = self[key] = latest[1]
        return value

    def comment(self, key: str) -> str:
        """Return the comment of a card; empty when there is none."""
        at = self._order.places.get(key)
        return "" if at is None else _card_comment(self._text[at : at + CARD - _KEY])

    def remarks(self, word: str) -> list[str]:
        """Return the lines of its own (COMMENT, HISTORY) in which a header has a word."""
        if self._lines is None:
            texts = [self._text[at : at + CARD - _KEY] for at in self._order.remarks]
            self._lines = _lines(b"".join(texts))
        return [text for text, small in self._lines if word in small]

    def which(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has."""
        found = self._order.which.get(keys)
        if found is None:
            places = self._order.places
            found = self._order.which[keys] = [key for key in keys if key in places]
        return found

    def twice(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has more than once, with other values."""
        again = self._order.again
        if again.keys().isdisjoint(keys):
            return []
        return [key for key in keys if key in again and self._differs(key)]

    def answer(self, question: Any) -> Any:
        """Return the answer of a header that said the same where it was looked at; else None."""
        known = self._order.answers.get(question)
        return known[2] if known is not None and self._at(known[0]) == known[1] else None

    def remember(self, question: Any, keys: set[str], answer: Any) -> None:
        """Keep an answer, and the keywords (REMARKS, ALL) that it rests on."""
        order = self._order
        places = {order.places[key] for key in keys if key in order.places}
        if REMARKS in keys:
            places.update(order.remarks)
        if ALL in keys:
            own = {order.places.get(key) for key in _SUMS}
            everywhere = range(_KEY, len(self._text), CARD)
            places.update(place for place in everywhere if place not in own)
        where = sorted(places)
        order.answers[question] = where, self._at(where), answer

    def _at(self, places: list[int]) -> bytes:
        text = self._text
        return b"".join([text[at : at + CARD - _KEY] for at in places])

    def _differs(self, key: str) -> bool:
        """Tell whether a card that comes again says something else there."""
        others = (self._text[at : at + CARD - _KEY] for at in self._order.again[key])
        return any(_card_value(other) != self[key] for other in others)


@lru_cache(maxsize=16)
def same_cards(text: bytes) -> Cards:
    """Return the cards of a header that other files may have, too, as those of tables are."""
    return Cards(text)


@lru_cache(maxsize=64)
def _order(keys: bytes) -> _Order:
    """Find the texts of a header by the keywords of all its cards, eight bytes each."""
    words = [keys[i : i + _KEY] for i in range(0, len(keys), _KEY)]
    places: dict[str, int] = {}
    again: dict[str, list[int]] = {}
    for i, word in enumerate(words):  # the first of repeated cards is the one that counts
        key, at = word.decode("latin-1").rstrip(" "), i * CARD + _KEY
        if key in places and word not in _REMARKS:
            again.setdefault(key, []).append(at)
        places.setdefault(key, at)
    remarks = [i * CARD + _KEY for i, word in enumerate(words) if word in _REMARKS]
    return _Order(places, remarks, again)


def _card_value(raw: bytes) -> Any:
    """Value of the 72 bytes behind a keyword; None when there is none."""
    plain = _PLAIN.match(raw)
    if plain is None:
        return _odd_value(raw)
    number, real, word = plain.groups()
    if number is not None:
        return int(number)
    return float(real) if real is not None else word.decode("latin-1").rstrip()


def _odd_value(raw: bytes) -> Any:
    """Value of a card that is spelled as few are."""
    if not raw.startswith(b"= "):
        return None
    text = raw[2:].lstrip()
    if text.startswith(b"'"):
        return _string_value(text.decode("latin-1"))
    text = text.partition(b"/")[0].rstrip()
    if text.isdigit():
        return int(text)
    if _REAL.fullmatch(text):
        return float(text.replace(b"D", b"E").replace(b"d", b"e"))
    if _INTEGER.fullmatch(text):
        return int(text)
    if text not in _WORDS:
        raise UnusualFits("card value")
    return _WORDS[text]


@lru_cache(maxsize=64)
def _lines(raw: bytes) -> list[tuple[str, str]]:
    """Return lines of words, each as it is and in small letters."""
    words, width = raw.decode("latin-1"), CARD - _KEY
    texts = [words[at : at + width] for at in range(0, len(words), width)]
    return [(text, text.lower()) for text in texts]


def _card_comment(raw: bytes) -> str:
    """Comment of the 72 bytes behind a keyword."""
    if b"'" not in raw:
        at = raw.find(b"/", 2)
        return "" if at < 0 else raw[at + 1 :].decode("latin-1")
    text = raw.decode("latin-1")[2:].lstrip()
    if text.startswith("'"):
        text = text[1:].replace("''", "").partition("'")[2]
    return text.partition("/")[2]


def _string_value(text: str) -> str:
    """Text between the quotes; a doubled quote is a quote."""
    end = text.find("'", 1)
    while end >= 0 and text[end + 1 : end + 2] == "'":
        end = text.find("'", end + 2)
    is_closed = end >= 0 and text[end + 1 :].lstrip(" ")[:1] in ("", "/")
    if not is_closed or text[1:end].endswith("&"):
        raise UnusualFits("long or open string")
    return text[1:end].replace("''", "'").rstrip()
