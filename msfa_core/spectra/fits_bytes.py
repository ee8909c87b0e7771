"""A FITS file as bytes: its cards, images and table columns, read where they lie.

Spectra are small and plain, so most of the time a general FITS library needs for them goes
into generality. Here the cards of a header are looked up in its bytes and the arrays are views of
the data. What is not plain (scaled or compressed data, variable-length columns, odd cards) is
left to astropy, which gives the same records.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from msfa_core.errors import ReadError
from msfa_core.spectra.fits_cards import ALL, BLOCK, CARD, REMARKS, Cards, UnusualFits, same_cards
from msfa_core.spectra.unpacking import AGAIN, LARGEST, problem
from msfa_core.tables.packing import ones_complement_sum

_EXTENSION: Final = ("XTENSION",)
_WORD: Final = 4  # bytes that a checksum adds up
MOST_FIELDS: Final = 999  # axes or columns; FITS standard
_END_CARD: Final = b"END".ljust(CARD)
_IMAGE_TYPES: Final = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
# TFORM letter -> (NumPy type, bytes); None = its bytes are skipped, its values never read here
_COLUMN_TYPES: Final[dict[str, tuple[str | None, int]]] = {
    "L": (None, 1),
    "B": ("u1", 1),
    "I": (">i2", 2),
    "J": (">i4", 4),
    "K": (">i8", 8),
    "E": (">f4", 4),
    "D": (">f8", 8),
    "A": ("S", 1),
    "C": (None, 8),
    "M": (None, 16),
    "P": (None, 8),
    "Q": (None, 16),
}
_TFORM: Final = re.compile(r"(\d*)([A-Z])")
_UNIT: Final = re.compile(
    r"^\s*\[([^\]]+)\]|\[([^\]]+)\]\s*$"
    r"|(?:\bin\s+|\()(hours?|hrs?|h|radians?|rad|arcmin|arcsec|k?m/s|k?m s-1)(?![\w/])",
    re.IGNORECASE,
)


class Hdu(Protocol):
    """One header-data unit.

    Attributes
    ----------
    name : str
        EXTNAME, upper case; empty when it has none.
    image : array or None
        Data of an image, its axes in NumPy's order.
    columns : sequence of str
        Names of the columns of a binary table, upper case.
    """

    name: str

    def card(self, key: str) -> Any:
        """Return the value of a header card; None when absent or undefined."""

    def comment(self, key: str) -> str:
        """Return the comment of a card; empty when there is none."""

    def remarks(self, word: str) -> list[str]:
        """Return the lines of its own (COMMENT, HISTORY) in which a header has a word.

        The word is in lower case, the lines as they stand.
        """

    def which(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has."""

    def twice(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has more than once, with other values."""

    def answers(self, question: Callable[[Hdu], bool]) -> bool:
        """Return the answer to a question to the header, that of one that says the same.

        False where nothing is remembered of such a header.
        """

    @property
    def image(self) -> NDArray[Any] | None:
        """The image; None for a table or an empty unit."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the table columns, upper case; empty for an image."""

    def column(self, name: str) -> NDArray[Any]:
        """Return all values of a column as one flat array."""


def card_unit(unit: Hdu, key: str) -> str:
    """Return the unit that a card's comment says, lower case; else nothing.

    The FITS standard (4.0, section 4.3.2) has it in brackets at the head, SDSS at the end, others
    in words (``redshift in km/s``).
    """
    return unit_in(unit.comment(key))


@lru_cache(maxsize=1024)
def unit_in(comment: str) -> str:
    """Return the unit that a comment says, lower case; else nothing."""
    found = _UNIT.search(comment)
    return "" if found is None else str(found[1] or found[2] or found[3]).strip().lower()


class PlainHdu:
    """One unit of a plain file: cards looked up and arrays viewed in the bytes."""

    def __init__(self, path: Path, raw: bytes, start: int) -> None:
        end = _find_end(path, raw, start)
        text = raw[start:end]
        cards = same_cards(text) if start else Cards(text)
        self.card, self.comment = cards.__getitem__, cards.comment
        self.remarks, self.which, self.twice = cards.remarks, cards.which, cards.twice
        self._cards = cards
        self._raw = raw
        n_axes = self._count("NAXIS", MOST_FIELDS)
        self._axes = [self._count(f"NAXIS{i}", LARGEST) for i in range(1, n_axes + 1)]
        self._data = start + _whole_blocks(end + CARD - start)
        size = self._data_size()
        if self._data + size > len(raw):
            reason = f"data end after {len(raw):,} of {self._data + size:,} bytes (truncated)"
            raise problem(path, reason, AGAIN)
        self.next = self._data + _whole_blocks(size)
        if cards["DATASUM"] is not None:
            self._check_sum(path)
        self.name = str(self.card("EXTNAME") or "").strip().upper()
        self._columns: tuple[str, ...] | None = None if cards.which(_EXTENSION) else ()
        self._image: NDArray[Any] | None = None

    def answers(self, question: Callable[[Hdu], bool]) -> bool:
        """Return the answer to a question to the header alone, that of one that says the same."""
        answer = self._cards.answer(question)
        if answer is None:
            heard = _Heard(self)
            answer = question(heard)
            self._cards.remember(question, heard.keys, answer)
        return bool(answer)

    def _check_sum(self, path: Path) -> None:
        """Refuse data that are not those of which the header has the sum."""
        said = str(self.card("DATASUM")).strip()
        body = self._raw[self._data : self.next]
        if said.isdigit() and len(body) % _WORD == 0 and ones_complement_sum(body) != int(said):
            raise other_data(path)

    def _count(self, key: str, largest: int) -> int:
        """Value of a card that counts something; 0 when absent."""
        value = self.card(key) or 0
        if type(value) is not int or not 0 <= value <= largest:
            raise UnusualFits(key)
        return value

    def _data_size(self) -> int:
        """Bytes of data, as the mandatory cards promise them."""
        axes, bits = self._axes, self.card("BITPIX")
        if type(bits) is not int or bits not in _IMAGE_TYPES or (axes and axes[0] == 0):
            raise UnusualFits("data cards")
        n_values = math.prod(axes) if axes else 0
        return abs(bits) // 8 * (n_values + self._count("PCOUNT", LARGEST))

    @property
    def is_table(self) -> bool:
        """Whether the unit is a binary table."""
        return self.card("XTENSION") == "BINTABLE"

    @property
    def image(self) -> NDArray[Any] | None:
        """The image; None for a table or an empty unit."""
        if self._image is None:
            self._image = self._view()
        return self._image

    def _view(self) -> NDArray[Any] | None:
        axes = self._axes
        if not axes or self.is_table:
            return None
        if self.card("BSCALE") not in (None, 1) or self.card("BZERO") not in (None, 0):
            raise UnusualFits("scaled image")
        if self.card("BLANK") is not None:
            raise UnusualFits("numbers that stand for none")
        dtype = _IMAGE_TYPES[self.card("BITPIX")]
        return np.ndarray(tuple(axes[::-1]), dtype, buffer=self._raw, offset=self._data)

    @property
    def columns(self) -> Sequence[str]:
        """Names of the table columns, upper case; empty for an image."""
        if self._columns is None:
            self._columns = tuple(self._table_layout)
        return self._columns

    @cached_property
    def _table_layout(self) -> dict[str, tuple[int, int, str | None]]:
        """Name -> (offset in the row, repeat, NumPy type) of each column."""
        card = self.card
        layout: dict[str, tuple[int, int, str | None]] = {}
        offset = 0
        if card("XTENSION") == "TABLE":
            raise UnusualFits("a table of text")
        n_columns = self._count("TFIELDS", MOST_FIELDS) if self.is_table else 0
        if n_columns and len(self._axes) != len(("row bytes", "rows")):
            raise UnusualFits("table axes")
        for i in range(1, n_columns + 1):
            form = _TFORM.match(str(card(f"TFORM{i}")))
            if not form or form[2] not in _COLUMN_TYPES:
                raise UnusualFits("table column")
            repeat = int(form[1] or 1)
            dtype, width = _COLUMN_TYPES[form[2]]
            if any(card(f"{key}{i}") is not None for key in ("TSCAL", "TZERO", "TNULL")):
                dtype = None
            name = str(card(f"TTYPE{i}") or "").strip().upper()
            layout.setdefault(name, (offset, repeat, dtype))
            offset += repeat * width
        if layout and offset != self._axes[0]:
            raise UnusualFits("row length")
        return layout

    def column(self, name: str) -> NDArray[Any]:
        """Return all values of a column as one flat array."""
        offset, repeat, dtype = self._table_layout[name]
        if dtype is None:
            raise UnusualFits("column type")
        row_bytes, rows = self._axes
        if dtype == "S":
            dtype, repeat = f"S{max(repeat, 1)}", 1
        shape, item = (rows, repeat), np.dtype(dtype).itemsize
        view: NDArray[Any] = np.ndarray(
            shape, dtype, buffer=self._raw, offset=self._data + offset, strides=(row_bytes, item)
        )
        return view.ravel()


class _Heard:
    """A unit that remembers what of its header it was asked for."""

    image = None

    def __init__(self, unit: PlainHdu) -> None:
        self._unit, self.name, self.keys = unit, unit.name, {"EXTNAME"}
        self.which = unit.which  # the order of the cards tells

    def card(self, key: str) -> Any:
        """Return the value of a header card."""
        self.keys.add(key)
        return self._unit.card(key)

    def comment(self, key: str) -> str:
        """Return the comment of a card."""
        self.keys.add(key)
        return self._unit.comment(key)

    def remarks(self, word: str) -> list[str]:
        """Return the lines of its own in which a header has a word."""
        self.keys.add(REMARKS)
        return self._unit.remarks(word)

    def twice(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has twice, with other values."""
        self.keys.add(ALL)
        return self._unit.twice(keys)

    def answers(self, question: Callable[[Hdu], bool]) -> bool:
        """Return the answer to another question."""
        return question(self)

    @property
    def columns(self) -> Sequence[str]:
        """Names of the table columns."""
        if self._unit.which(_EXTENSION):
            self.keys.add(ALL)
        return self._unit.columns

    def column(self, name: str) -> NDArray[Any]:
        """Refuse: a header has no values."""
        raise KeyError(name)


def other_data(path: Path) -> ReadError:
    """Return the error of a file whose data are not those of which its header has the sum."""
    reason = "its data do not agree with the checksum in its header (DATASUM): they are damaged"
    remedy = f"{AGAIN}; if you changed them yourself, take DATASUM out of the header"
    return problem(path, reason, remedy)


def _find_end(path: Path, raw: bytes, start: int) -> int:
    """Position of the END card of the header that begins at ``start``."""
    end = raw.find(_END_CARD, start)
    while end >= 0 and (end - start) % CARD:
        end = raw.find(_END_CARD, end + 1)
    if end < 0:
        raise problem(path, "the header has no END card (truncated)", AGAIN)
    return end


def _whole_blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class PlainFits:
    """The units of a file, found one after the other and only as far as they are asked for."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self._path, self._raw = path, raw
        self._found: list[PlainHdu] = []

    def __iter__(self) -> Iterator[Hdu]:
        """Walk through the units, from the primary one."""
        index, start = 0, 0
        while start < len(self._raw) and (index == 0 or self._is_extension(start)):
            if index == len(self._found):
                self._found.append(PlainHdu(self._path, self._raw, start))
            yield self._found[index]
            start, index = self._found[index].next, index + 1

    def _is_extension(self, start: int) -> bool:
        """Whether another unit begins here (not the padding some writers leave)."""
        return self._raw.startswith(b"XTENSION=", start)


class BothCards:
    """A unit behind an empty primary one (fpack, and other repackers), with the cards of both.

    Parameters
    ----------
    primary, unit : Hdu
        The cards of the latter count first.
    """

    columns: Sequence[str] = ()

    def __init__(self, primary: Hdu, unit: Hdu) -> None:
        self._units = (unit, primary)
        self.name, self.image = unit.name, unit.image

    def card(self, key: str) -> Any:
        """Return the value of a card of the image, else of the primary unit."""
        values = (unit.card(key) for unit in self._units)
        return next((value for value in values if value is not None), None)

    def comment(self, key: str) -> str:
        """Return the comment of such a card."""
        return next((unit.comment(key) for unit in self._units if unit.card(key) is not None), "")

    def remarks(self, word: str) -> list[str]:
        """Return the lines of both headers in which there is a word."""
        return [line for unit in self._units for line in unit.remarks(word)]

    def which(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that either header has."""
        return [key for key in keys if self.card(key) is not None]

    def answers(self, question: Callable[[Hdu], bool]) -> bool:
        """Return False: of two headers nothing is remembered."""
        return False

    def twice(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that a header has twice, with other values."""
        return [key for unit in self._units for key in unit.twice(keys)]

    def column(self, name: str) -> NDArray[Any]:
        """Refuse: an image has no columns."""
        raise KeyError(name)
