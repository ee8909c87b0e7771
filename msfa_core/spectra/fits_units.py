"""Bytes of FITS units: cards, tables of one row, checksums.

The products of a survey are hundreds of thousands of small files; written by hand they
cost a tenth of what a general library takes, and the tests hold them to astropy's verification.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.durable import replacing
from msfa_core.errors import ExportError
from msfa_core.spectra.fits_cards import BLOCK, CARD
from msfa_core.tables.packing import WORD, folded, ones_complement_sum

TEXT: Final = 68  # characters of a string that one card holds
_VALUE_END: Final = 30  # column where a value of fixed format ends
_COMMENTARY: Final = 72  # characters of a HISTORY or COMMENT card
_SUM_DIGITS: Final = 10  # of a 32-bit number
_PUNCTUATION: Final = (*b":;<=>?@", *b"[\\]^_`")  # between digits, capitals and small letters
_NO_CHECKSUM: Final = "0" * 16  # while the sum is taken

Card = tuple[str, Any, str]


def header_bytes(cards: Iterable[Card]) -> bytes:
    """Cards in bytes, with END, filled to whole blocks."""
    text = b"".join(card_bytes(*card) for card in cards) + b"END".ljust(CARD)
    return padded(text, b" ")


def header_size(n_cards: int) -> int:
    """Return the bytes of a `Unit` without data and with so many cards."""
    size = (n_cards + len(("CHECKSUM", "DATASUM", "END"))) * CARD
    return size + -size % BLOCK


def card_bytes(key: str, value: Any, comment: str) -> bytes:
    """One card of 80 bytes; a number too long for the fixed columns runs on (free format)."""
    if key in ("HISTORY", "COMMENT"):
        return f"{key:<8}{_ascii(str(value))}"[:CARD].ljust(CARD).encode("ascii")
    if isinstance(value, bool | np.bool_):
        text = ("T" if value else "F").rjust(_VALUE_END - 10)
    elif isinstance(value, str):
        text = f"'{_quoted(_ascii(value)):<8}'"
    else:
        text = _number(value).rjust(_VALUE_END - 10)
    line = f"{key:<8}= {text}"
    if comment:
        line = f"{line:<{_VALUE_END}} / {comment}"
    return line[:CARD].ljust(CARD).encode("ascii")


def history(text: str) -> list[Card]:
    """Return HISTORY cards that hold a text of any length, broken at spaces where it has any."""
    lines = textwrap.wrap(_ascii(" ".join(text.split())), _COMMENTARY)
    return [("HISTORY", line, "") for line in lines]


def _ascii(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def _quoted(text: str) -> str:
    """Return a string with its quotes doubled, cut to what one card holds."""
    while len(text.replace("'", "''")) > TEXT:
        text = text[:-1]
    return text.replace("'", "''")


def _number(value: Any) -> str:
    """Return the shortest digits that give the number back, as FITS spells them."""
    if isinstance(value, int | np.integer):
        return str(int(value))
    text = repr(float(value)).upper()
    return text if "." in text else text.replace("E", ".0E")


def big_endian(array: NDArray[Any]) -> bytes:
    """Return the values in the byte order of FITS."""
    return array.astype(array.dtype.newbyteorder(">")).tobytes()


def padded(content: bytes, filler: bytes) -> bytes:
    """Return the content filled to whole blocks."""
    return content + filler * (-len(content) % BLOCK)


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a binary table.

    Attributes
    ----------
    name : str
    form : str
        TFORM: ``3908E``, ``K``, ``12A``.
    unit, ucd, text : str
        TUNIT, TUCD and TCOMM; left out where empty.
    null : int or None
        TNULL: the integer that stands for a missing value.
    """

    name: str
    form: str
    unit: str = ""
    ucd: str = ""
    text: str = ""
    null: int | None = None


def table_cards(name: str, fields: Sequence[Field], n_rows: int, row_bytes: int) -> list[Card]:
    """Return the cards of a binary table, without checksums."""
    cards: list[Card] = [
        ("XTENSION", "BINTABLE", ""),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", row_bytes, "bytes per row"),
        ("NAXIS2", n_rows, "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(fields), "columns"),
        ("EXTNAME", name, ""),
    ]
    for i, field in enumerate(fields, start=1):
        cards += [(f"TTYPE{i}", field.name, ""), (f"TFORM{i}", field.form, "")]
        cards += [(f"TNULL{i}", field.null, "")] if field.null is not None else []
        said = (("TUNIT", field.unit), ("TUCD", field.ucd), ("TCOMM", field.text))
        cards += [(f"{key}{i}", text, "") for key, text in said if text]
    return cards


class Unit:
    """A header that is written once and then given to many data, with its checksums.

    Parameters
    ----------
    cards : iterable of (key, value, comment)
        All but ``CHECKSUM`` and ``DATASUM``.
    """

    def __init__(self, cards: Iterable[Card]) -> None:
        sums = [
            ("CHECKSUM", _NO_CHECKSUM, "of the unit"),
            ("DATASUM", " " * _SUM_DIGITS, "of the data"),
        ]
        self._header = header_bytes([*cards, *sums])
        self._checksum_at = self._header.rindex(b"CHECKSUM= '") + len(b"CHECKSUM= '")
        self._datasum_at = self._header.rindex(b"DATASUM = '") + len(b"DATASUM = '")

    def content(self, data: bytes = b"") -> bytes:
        """Return the bytes of the unit: header and data, each filled to whole blocks."""
        body = padded(data, b"\0")
        header = bytearray(self._header)
        sum_of_data = ones_complement_sum(body)
        digits = f"{sum_of_data:<{_SUM_DIGITS}}".encode("ascii")
        header[self._datasum_at : self._datasum_at + _SUM_DIGITS] = digits
        total = folded(ones_complement_sum(bytes(header)) + sum_of_data)
        code = _as_text(WORD - total)
        header[self._checksum_at : self._checksum_at + len(code)] = code
        return bytes(header) + body


@lru_cache(maxsize=4096)
def _as_text(value: int) -> bytes:
    """Return 16 letters and digits whose words add up to a value (FITS standard, appendix J).

    Each byte of the value is shared among four characters; those that would be punctuation are
    moved in pairs, which keeps the sum. The text is turned by one, since it begins in the last
    byte of a word of its card.
    """
    columns = []
    for shift in (24, 16, 8, 0):
        byte = (value >> shift) & 0xFF
        share = [byte // 4 + ord("0")] * 4
        share[0] += byte % 4
        for one, other in ((0, 1), (2, 3)):
            while share[one] in _PUNCTUATION or share[other] in _PUNCTUATION:
                share[one] += 1
                share[other] -= 1
        columns.append(share)
    text = bytes(columns[k % 4][k // 4] for k in range(16))
    return text[-1:] + text[:-1]


def write_file(path: Path, content: bytes) -> None:
    """Write beside the target, then rename: no reader ever sees half a file.

    Parameters
    ----------
    path : Path
    content : bytes

    Raises
    ------
    ExportError
        When it cannot be written; an older file of the same name is then untouched.
    """
    try:
        with replacing(path, synced=False) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written ({error.strerror}); check folder, rights and free space."
        ) from error
