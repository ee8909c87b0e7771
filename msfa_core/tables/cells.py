"""Cells: what a piece of text in a table stands for — a number, an angle, or no value.

One rule for tables and headers. A cell that stands for nothing known is reported, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.tables.heads import NUMBER
from msfa_core.typing import BoolArray, FloatArray

Style = Literal["", "point", "comma", "unclear"]

MISSING_WORDS: Final = frozenset(
    (
        *("", "nan", "-nan", "null", "(null)", "none", "n/a", "#n/a", "na", "<na>", "nat", r"\n"),
        *("-", "--", "---", "----", "-----", "...", "..", ".", "…", "—", "?", "*", "missing"),
        *("masked", "no value", "undef", "undefined", '""', "''", "nil", "*null*", "indef"),
        *("n.a.", "no data", "nodata", r"\nodata", "not available", r"\ldots", "unknown"),
        *("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#error!"),  # of spreadsheets
    )
)
_SENTINEL: Final = re.compile(r"-9{3,5}(\.[09]*)?")  # -999, -9999, -99999, -999.9, -9999.00
_INFINITE: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_FORTRAN: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)")
_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?([eE][+-]?\d+)?")
_COMMA: Final = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_POINT_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d*")
_BLANK_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}([ '’_]\d{3})+([.,]\d*)?")
_POINT_UNCLEAR: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_BYTES: Final = re.compile(r"[bB](['\"])(.*)\1", re.DOTALL)
_QUOTED: Final = re.compile(r"=?(['\"])(.*)\1", re.DOTALL)
DASHES: Final = str.maketrans(dict.fromkeys("−‐‑‒–﹣－", "-") | {"＋": "+"})
_SEXAGESIMAL: Final = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<first>\d{1,3})\s*(?P<mark>h(?:rs?|ours?)?|d(?:eg)?|°|º|:|\s)\s*"
    r"(?P<minutes>\d{1,2}(?P<fraction>[.,]\d*)?)\s*(?:m(?:in)?|'|′|’|:|\s|$)\s*"
    r"(?:(?P<seconds>\d{1,2}([.,]\d*)?)\s*(?:s(?:ec)?|\"|″|''|′′|”)?)?",
    re.IGNORECASE,
)
_MARKED: Final = re.compile(
    r"(?P<size>[+-]?(?:\d+\.?\d*|\.\d+))\s*(?P<mark>h(?:rs?|ours?)?|d(?:eg(?:rees?)?)?|°|º)",
    re.IGNORECASE,
)
_DIGITS_OF: Final = ("", "<wide>", "<font>")  # alphabets whose digits are digits
NAME_OF_PLACE: Final = re.compile(
    r"(?:[A-Za-z][\w+/-]*[\s_-]+){0,2}(?:[A-Za-z]*J)?"  # B is of the equinox 1950
    r"(?P<h>[01]\d|2[0-3])(?P<m>[0-5]\d)(?P<s>[0-5]\d\.\d+)"
    r"(?P<sign>[+-])(?P<d>[0-8]\d)(?P<n>[0-5]\d)(?P<t>[0-5]\d(?:\.\d*)?)"
)
_UNSEEN: Final = " \t\r\n\x00\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"  # around a cell
_LONG: Final = re.compile(r"[+-]?\d{4}")
_FEW: Final = 3  # cells of a column, of which one in groups is not odd
_SIXTY: Final = 60.0
_HOURS: Final = 24.0
_FEW_SLIPS: Final = 0.1  # of cells


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column as numbers.

    Attributes
    ----------
    values : (n,) array
        NaN where there is none.
    missing : (n,) bool array
        The cell says that there is no value.
    unreadable : (n,) bool array
        The cell says something that is no number.
    style : str
        What a comma means in this column: ``point`` (it groups thousands), ``comma`` (it is the
        decimal sign), ``unclear``, or nothing where there is none.
    """

    values: FloatArray
    missing: BoolArray
    unreadable: BoolArray
    style: Style = ""


def clean(word: str) -> str:
    """Return a cell without what programs wrap around it: blanks, quotes, ``b'…'``.

    Signs of other alphabets (Unicode minus, full-width digits) become the usual ones; a raised or
    encircled digit is a mark beside a number and no digit of it.
    """
    if not word.isascii():
        word = "".join(map(_usual, word.translate(DASHES)))
    word = word.strip(_UNSEEN)
    for pattern in (_BYTES, _QUOTED):
        match = pattern.fullmatch(word)
        if match:
            word = match[2].strip()
    return word


@lru_cache(maxsize=1024)
def _usual(sign: str) -> str:
    """Return the usual sign for one of another alphabet."""
    usual = unicodedata.normalize("NFKC", sign)
    kind = unicodedata.decomposition(sign).partition(" ")[0]
    has_digit = any(one.isdigit() for one in usual)
    return sign if has_digit and kind not in _DIGITS_OF else usual


def is_missing(word: str) -> bool:
    """Tell whether a cleaned cell says that there is no value."""
    return word.lower() in MISSING_WORDS or bool(_SENTINEL.fullmatch(word))


def number(word: str, style: Style = "") -> float | None:
    """Return the number that a cell stands for; NaN for no value, None when it is none.

    Parameters
    ----------
    word : str
    style : str
        What a comma means, where that is known.
    """
    word = clean(word)
    if is_missing(word):
        return float("nan")
    return _number(word, style)


def _number(word: str, style: Style) -> float | None:  # noqa: PLR0911  a line per way of writing
    if NUMBER.fullmatch(word):
        if style == "comma" and _POINT_UNCLEAR.fullmatch(word):
            return None  # 1.234 where 1,5 is one and a half: a thousand, or little more than one?
        return float(word)
    if _INFINITE.fullmatch(word):
        return float(word)
    fortran = _FORTRAN.fullmatch(word)
    if fortran:
        return float(f"{fortran[1]}e{fortran[2]}")
    if _BLANK_GROUPED.fullmatch(word):
        return float(re.sub(r"[ '’_]", "", word).replace(",", "."))
    if _POINT_GROUPED.fullmatch(word):
        return float(word.replace(".", "").replace(",", "."))
    kind = _comma_means(word)
    if kind == "unclear":
        kind = style
    if kind == "point":
        return float(word.replace(",", ""))
    if kind == "comma":
        return float(word.replace(",", "."))
    return None


def _comma_means(word: str) -> Style:
    groups, decimal = bool(_GROUPED.fullmatch(word)), bool(_COMMA.fullmatch(word))
    if groups and decimal:
        return "unclear"  # 1,234
    return "point" if groups else "comma" if decimal else ""


def numbers(text: pd.Series, style: Style = "") -> Numbers:
    """Read a column of text as numbers.

    Parameters
    ----------
    text : (n,) Series of str
        Missing where the file has no cell.
    style : str
        What a comma means elsewhere in the table, for columns that leave it open.
    """
    words = pc.utf8_trim_whitespace(
        pa.array(text.astype("str"), type=pa.string(), from_pandas=True)
    )
    absent = pc.fill_null(pc.is_in(pc.utf8_lower(words), pa.array(sorted(MISSING_WORDS))), True)
    try:
        values = pc.if_else(absent, None, words).cast(pa.float64())
        array = values.to_numpy(zero_copy_only=False).astype(np.float64)
        missing = absent.to_numpy(zero_copy_only=False).astype(bool)
        has_point = bool(pc.any(pc.match_substring(words, ".")).as_py())
        return Numbers(array, missing, np.zeros(len(array), bool), "point" if has_point else "")
    except pa.ArrowInvalid:
        return _numbers_by_word(text, style)


def _numbers_by_word(text: pd.Series, style: Style) -> Numbers:
    codes, distinct = pd.factorize(text.astype("str"))
    words = [clean(str(word)) for word in distinct]
    absent = np.array([is_missing(word) for word in words], bool)
    own = style_of(word for word, gone in zip(words, absent, strict=True) if not gone)
    used = style if own in ("", "unclear") else own
    strange = _odd_groups([w for w, gone in zip(words, absent, strict=True) if not gone])
    read = [
        float("nan") if gone else None if word in strange else _number(word, used)
        for word, gone in zip(words, absent, strict=True)
    ]
    bad = np.array([value is None for value in read], bool)
    values = np.array([np.nan if value is None else value for value in read])
    no_cell = codes < 0
    return Numbers(
        np.where(no_cell, np.nan, values[codes]) if len(values) else np.full(len(codes), np.nan),
        no_cell | (absent[codes] if len(absent) else False),
        ~no_cell & (bad[codes] if len(bad) else False),
        used if own == "unclear" and used else own,
    )


def _odd_groups(words: list[str]) -> set[str]:
    """Return cells with digits in groups (``8'273``) of a column that does not group digits."""
    grouped = {word for word in words if _BLANK_GROUPED.fullmatch(word)}
    ungrouped = any(_LONG.match(word) for word in words)
    lonely = len(grouped) == 1 and len(words) > _FEW
    return grouped if ungrouped or lonely else set()


def style_of(words: Iterable[str]) -> Style:
    """Return what a comma means among cleaned cells of one column."""
    kinds: set[Style] = set()
    for word in words:
        if NUMBER.fullmatch(word):
            kinds |= {"point"} if "." in word and not _POINT_UNCLEAR.fullmatch(word) else set()
        elif _POINT_GROUPED.fullmatch(word):
            kinds.add("comma")
        else:
            kinds.add(_comma_means(word))
    commas = kinds - {""}
    if "comma" in commas:
        return "comma"
    if "point" in commas:
        return "point"
    return "unclear" if commas else ""


# --- angles --------------------------------------------------------------------------------
def angles(text: pd.Series, *, hours: bool, style: Style = "") -> tuple[Numbers, str]:
    """Read a column of positions: decimal numbers, or sexagesimal text.

    Parameters
    ----------
    text : (n,) Series of str
    hours : bool
        Whether sexagesimal text counts hours (right ascension) unless it says otherwise.
    style : str
        As for `numbers`.

    Returns
    -------
    Numbers
        Sexagesimal cells in degrees, decimal ones as they are.
    str
        ``sexagesimal``, ``sexagesimal degrees``, ``hours``, ``degrees`` (decimal, with a mark
        in each cell), or nothing.
    """
    plain = numbers(text, style)
    rest = plain.unreadable
    if not rest.any():
        return plain, ""
    words = [clean(str(word)) for word in text[rest]]
    marks = [_MARKED.fullmatch(word.replace(",", ".")) for word in words]
    if all(marks):
        return _marked(plain, marks, hours=hours)
    matches = [_SEXAGESIMAL.fullmatch(word) for word in words]
    marked = {match["mark"].lower()[0] for match in matches if match}
    read = [None if match is None else _sexagesimal(match) for match in matches]
    how = "sexagesimal"
    if hours:
        in_degrees = [match is not None and match["mark"][0] in "dD°º" for match in matches]
        beyond = [value is not None and value > _HOURS for value in read]
        if 2 * sum(in_degrees) >= sum(map(bool, matches)) or (
            any(beyond) and not any(in_degrees) and not _are_slips(read, beyond)
        ):
            hours, how = False, "sexagesimal degrees"
        else:
            read = _in_degrees(read, beyond, in_degrees)
    if not hours and "h" in marked:
        read = [None] * len(read)
    values, unreadable = plain.values.copy(), rest.copy()
    values[rest] = [np.nan if value is None else value for value in read]
    unreadable[rest] = [value is None for value in read]
    if hours and 2 * rest.sum() > (~plain.missing).sum():  # decimals among hours may be either
        either = ~rest & ~plain.missing & (np.abs(plain.values) < _HOURS)
        values[either], unreadable[either] = np.nan, True
    found = any(value is not None for value in read)
    return Numbers(values, plain.missing, unreadable, plain.style), how if found else ""


def _in_degrees(
    read: list[float | None], beyond: list[bool], in_degrees: list[bool]
) -> list[float | None]:
    """Return hours in degrees; a cell marked as degrees is in them, and beyond the day is none."""
    return [
        one if mark or one is None else None if off else 15.0 * one
        for one, off, mark in zip(read, beyond, in_degrees, strict=True)
    ]


def _are_slips(read: list[float | None], beyond: list[bool]) -> bool:
    """Tell whether hours beyond the day are slips: few among many, all over the day.

    Where they are many, or lie at the end of a field before 24, the column counts degrees.
    """
    within = [one for one, off in zip(read, beyond, strict=True) if one is not None and not off]
    few = sum(beyond) <= _FEW_SLIPS * len(beyond)
    return few and bool(within) and min(within) < _HOURS / 2


def _marked(
    plain: Numbers, marks: list[re.Match[str] | None], *, hours: bool
) -> tuple[Numbers, str]:
    """Return decimal angles whose unit stands in each cell (``120.5°``, ``8.04h``), in degrees."""
    values, unreadable = plain.values.copy(), plain.unreadable.copy()
    in_hours = [mark is not None and mark["mark"].lower().startswith("h") for mark in marks]
    sizes = [float(mark["size"]) if mark else float("nan") for mark in marks]
    values[plain.unreadable] = [
        15.0 * size if is_one else size for size, is_one in zip(sizes, in_hours, strict=True)
    ]
    if len(set(in_hours)) > 1 or (any(in_hours) and not hours):
        return plain, ""
    unreadable[:] = False
    how = "hours" if any(in_hours) else "degrees"
    return Numbers(values, plain.missing, unreadable, plain.style), how


def angle(word: str, *, hours: bool) -> float:
    """Return one position in degrees; NaN when it is none."""
    read, _ = angles(pd.Series([word], dtype="str"), hours=hours)
    return float(read.values[0])


def place_in_name(name: str) -> tuple[float, float] | None:
    """Return RA and Dec [deg] that a name tells (``SDSS J123456.78-010203.4``); None for none."""
    said = NAME_OF_PLACE.fullmatch(name)
    if said is None:
        return None
    ra = int(said["h"]) + int(said["m"]) / _SIXTY + float(said["s"]) / _SIXTY**2
    size = int(said["d"]) + int(said["n"]) / _SIXTY + float(said["t"]) / _SIXTY**2
    return 15.0 * ra, -size if said["sign"] == "-" else size


def _sexagesimal(match: re.Match[str]) -> float | None:
    minutes = float(match["minutes"].replace(",", "."))
    seconds = float((match["seconds"] or "0").replace(",", "."))
    if minutes > _SIXTY or seconds > _SIXTY or (match["fraction"] and match["seconds"]):
        return None
    size = float(match["first"]) + minutes / _SIXTY + seconds / _SIXTY**2
    return -size if match["sign"] == "-" else size
