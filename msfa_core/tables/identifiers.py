"""Identifiers: whole numbers of up to 19 digits, exact or not at all.

A float keeps 15 digits and a spreadsheet shows 15; what went through either is some other star's
number. One number alone seldom shows it, the column does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from msfa_core.tables.cells import clean, is_missing
from msfa_core.typing import BoolArray

EXACT_FLOAT: Final = 2**53  # larger whole numbers lose digits in a float64
_EXACT_SINGLE: Final = 2**24  # and these in a float32
INT64: Final = range(-(2**63), 2**63)
_PREFIX: Final = re.compile(
    r"(?:(?:gaia|source_?id|obsid|lamost|specobj|id)[\s_:=#-]*)*"
    r"(?:(?P<release>[eg]?dr\s*\d)[\s_:=#-]*)?(?P<digits>\d{1,19})",
    re.IGNORECASE,
)
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:([,.' ’_])\d{3})(?:\1\d{3})+")
_EXPONENT: Final = re.compile(r"[+-]?(\d*)\.?(\d*)[eEdD][+-]?\d+")
_NO_IDENTIFIER: Final = r"-(1|9+|9223372036854775808)"  # whole numbers that say "none"
_SHEET_DIGITS: Final = 15  # that a spreadsheet keeps
_SHEET_SHARE: Final = 0.05  # of a column; one true number of 16 digits in 10 ends in zero
_SHORTEST_DIGITS: Final = (16, 17)  # that tell a float from all others
_NEARLY_ALL: Final = 0.9  # of a column
_SPARE: Final = 128  # true Gaia numbers are mostly multiples of it
_UNLIKELY: Final = 10.0  # bits: a true column would look so once in a thousand
_VERY_UNLIKELY: Final = 20.0  # of numbers that people also choose: 100,000,000
_DOUBTFUL: Final = 3.0
_OLDER: Final = ("DR1", "DR2")  # whose numbers name other sources than those of (E)DR3


@dataclass(frozen=True, slots=True)
class Identifiers:
    """A column of identifiers.

    Attributes
    ----------
    values : (n,) Series of Int64
        Missing where there is none, or where it lost digits.
    unreadable : (n,) bool array
        The cell says something that is no whole number.
    rounded : (n,) bool array
        Numbers that lost digits, which are left out.
    how : str
        What they went through: ``a spreadsheet``, ``floating point``, ``single precision``.
    doubtful : bool
        The column may have gone through floating point; too few rows to tell.
    release : str
        Data release that the texts name (``DR2``, ``DR3``); empty when they name none.
    """

    values: pd.Series
    unreadable: BoolArray
    rounded: BoolArray
    how: str = ""
    doubtful: bool = False
    release: str = ""

    @property
    def is_older(self) -> bool:
        """Whether these are numbers of a Gaia release before EDR3."""
        return self.release in _OLDER


def read_identifiers(values: pd.Series, single: bool = False, trusted: bool = False) -> Identifiers:
    """Read a column of identifiers, every digit of them.

    Parameters
    ----------
    values : (n,) Series
        Whole numbers, floats, or text: digits, also within a designation (``Gaia DR3 123``).
    single : bool
        Whether floats were stored in single precision.
    trusted : bool
        Whether whole numbers are exact for certain.

    Returns
    -------
    Identifiers
        Zero, −1 and −9999 and the like count as missing, other negative numbers are unreadable.
    """
    n = len(values)
    none = np.zeros(n, bool)
    if pd.api.types.is_bool_dtype(values.dtype):
        return Identifiers(_empty(values.index), values.notna().to_numpy(bool), none)
    if pd.api.types.is_integer_dtype(values.dtype):
        ids = values.astype("Int64")
        return Identifiers(ids.where(ids > 0), none, none) if trusted else _judged(ids, none, none)
    if pd.api.types.is_float_dtype(values.dtype):
        return _of_floats(values, single, trusted)
    text = values.astype("str")
    words = pc.utf8_trim_whitespace(pa.array(text, type=pa.string(), from_pandas=True))
    try:
        whole = pc.if_else(pc.equal(words, ""), None, words).cast(pa.int64())
        ids = whole.to_pandas(types_mapper=lambda _: pd.Int64Dtype()).set_axis(values.index)
        return _judged(ids, none, none, trusted=trusted)
    except pa.ArrowInvalid:
        return _of_words(text, trusted)


def _empty(index: Any) -> pd.Series:
    return pd.Series(pd.array([None] * len(index), dtype="Int64"), index=index)


def _of_floats(values: pd.Series, single: bool, trusted: bool) -> Identifiers:
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(numbers)
    whole = known & (numbers == np.round(np.where(known, numbers, 0.0)))
    rounded = whole & (np.abs(numbers) >= (_EXACT_SINGLE if single else EXACT_FLOAT))
    ids = _empty(values.index)
    kept = whole & ~rounded
    ids.iloc[np.flatnonzero(kept)] = numbers[kept].astype(np.int64)
    how = "floating point" if rounded.any() else ""
    return _judged(ids, known & ~whole, rounded, how, trusted=trusted)


def _of_words(text: pd.Series, trusted: bool) -> Identifiers:
    codes, distinct = pd.factorize(text)
    words = [clean(str(word)) for word in distinct]
    marked = sum(word.startswith("'") for word in words)  # of spreadsheets, before text
    if marked > len(words) / 2:  # one alone is a digit that was lost
        words = [word.removeprefix("'") for word in words]
    read = [_word(word) for word in words]
    numbers = pd.array([one.number for one in read] + [None], dtype="Int64")
    ids = pd.Series(numbers[codes], index=text.index)  # code −1, no cell, is the last one
    bad = np.array([one.unreadable for one in read] + [False], bool)[codes]
    rounded = _are_floats([one.number for one in read if one.is_decimal and one.number])
    lost = np.array([one.lost or (one.is_decimal and rounded) for one in read] + [False], bool)
    lost = lost[codes]
    releases = [one.release for one in read if one.release]
    release = max(set(releases), key=releases.count) if releases else ""
    older = [one for one in releases if one in _OLDER]
    if older and len(set(releases)) > 1:  # a mixed column: the older ones name other sources
        old = np.array([one.release in _OLDER for one in read] + [False], bool)[codes]
        ids = ids.mask(old)
        bad = bad | old
        release = next(one for one in releases if one not in _OLDER)
    return _judged(ids, bad, lost, "floating point" if lost.any() else "", release, trusted)


@dataclass(frozen=True, slots=True)
class _Word:
    number: int | None = None
    unreadable: bool = False
    lost: bool = False
    is_decimal: bool = False
    release: str = ""


def identifier(value: Any) -> int | None:
    """Return the identifier that one value of a header stands for; None when it is none.

    Parameters
    ----------
    value : number or text
    """
    if isinstance(value, str):
        read = _word(clean(value).removeprefix("'"))
        known = read.number is not None and read.number > 0 and not read.is_decimal
        return read.number if known else None
    if isinstance(value, bool | np.bool_):
        return None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    is_float = isinstance(value, float | np.floating)
    most = EXACT_FLOAT if is_float else INT64[-1]
    return whole if whole == value and 0 < whole <= most else None


def _are_floats(numbers: Sequence[int]) -> bool:
    """Tell whether all numbers are such as a float can hold: then their digits tell nothing."""
    return all(number == int(float(number)) for number in numbers)


def _word(word: str) -> _Word:  # noqa: PLR0911  a line per way of writing
    """Read one cleaned cell; ``is_decimal`` where all its digits are written, as ``….0``."""
    if is_missing(word):
        return _Word()
    match = _PREFIX.fullmatch(word)
    if match:
        number = int(match["digits"])
        release = re.sub(r"\s|^[eg](?=dr)", "", match["release"] or "", flags=re.I).upper()
        return _Word(number, release=release) if number in INT64 else _Word(unreadable=True)
    if _THOUSANDS.fullmatch(word):
        return _Word(int(re.sub(r"\D", "", word)))
    try:
        exact = Decimal(word.replace("_", "?"))  # 1_01 are two numbers, whatever Python says
    except InvalidOperation:
        return _Word(unreadable=True)
    if not exact.is_finite():
        return _Word(unreadable=not exact.is_nan())
    if abs(exact) > INT64[-1] or exact != exact.to_integral_value():
        return _Word(unreadable=True)
    number = int(exact)
    exponent = _EXPONENT.fullmatch(word)
    if exponent:  # 6.05E8 has three of nine digits
        written = len((exponent[1] + exponent[2]).lstrip("0"))
        lost = written < len(str(abs(number))) or abs(number) >= EXACT_FLOAT
        return _Word(None if lost else number, lost=lost)
    return _Word(number, is_decimal=abs(number) >= EXACT_FLOAT and not word.lstrip("+-").isdigit())


def _judged(
    ids: pd.Series,
    unreadable: BoolArray,
    lost: BoolArray,
    how: str = "",
    release: str = "",
    trusted: bool = False,
) -> Identifiers:
    """Leave out what a spreadsheet or a float has rounded, judged by the whole column."""
    ids = ids.mask(lost)
    negative = (ids < 0).fillna(False).to_numpy(bool)
    if negative.any() and not trusted:
        none = ids[negative].astype("str").str.fullmatch(_NO_IDENTIFIER)
        negative[negative] = ~none.to_numpy(bool)
        unreadable = unreadable | negative
    ids = ids.where(ids > 0).astype("Int64")
    by_sheet = _rounded_by_sheet(ids)
    doubtful = False
    if by_sheet.any():
        how = how or "a spreadsheet"
        lost = lost | by_sheet
    else:
        by_float, doubtful = _rounded_by_float(ids)
        if by_float.any():
            how = how or "floating point"
            lost = lost | by_float
        by_single = _rounded_by_single(ids)
        if by_single.any() and not trusted:
            how = how or "single precision"
            lost = lost | by_single
    return Identifiers(ids.mask(lost), unreadable, lost, how, doubtful, release)


def _long(ids: pd.Series, least: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    known = np.flatnonzero(ids.notna().to_numpy(bool))
    numbers = ids.iloc[known].to_numpy(np.int64)
    long = numbers >= least
    return known[long], numbers[long]


def _rounded_by_sheet(ids: pd.Series) -> BoolArray:
    """(n,) numbers with zeros from the 16th digit on, where too many are so by chance."""
    rounded = np.zeros(len(ids), bool)
    rows, numbers = _long(ids, 10**_SHEET_DIGITS)
    if not len(rows):
        return rounded
    digits = np.char.str_len(numbers.astype(str)).astype(np.int64)
    spare = 10 ** (digits - _SHEET_DIGITS)
    zeros = numbers % spare == 0
    share = np.mean(1.0 / spare)  # of true numbers that end so
    enough = zeros.mean() > max(_SHEET_SHARE, 3.0 * share)
    if enough and _bits(numbers, zeros, digits - _SHEET_DIGITS) >= _UNLIKELY:
        rounded[rows[zeros]] = True
        return rounded
    for kept in _SHORTEST_DIGITS:  # and zeros behind them, as JavaScript writes long numbers
        spare = 10 ** np.maximum(digits - kept, 0)
        zeros = (numbers % spare == 0) & (spare > 1)
        distinct = np.unique(numbers[zeros], return_index=True)[1]
        bits = np.log2(spare[zeros][distinct]).sum()
        if zeros.sum() > _NEARLY_ALL * (spare > 1).sum() and bits >= _VERY_UNLIKELY:
            rounded[rows[zeros]] = True
            break
    return rounded


def _bits(numbers: NDArray[np.int64], zeros: BoolArray, n_zeros: NDArray[np.int64]) -> float:
    """Return how unlikely it is that so many different numbers end in so many zeros, in bits.

    Gaia's numbers are multiples of 128: each zero at their end is one of 5 digits, not of 10.
    """
    some, first = np.unique(numbers[zeros], return_index=True)
    by_chance = np.where(some % _SPARE == 0, 5, 10) ** n_zeros[zeros][first]
    n, k = len(np.unique(numbers)), len(some)
    choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return float(np.log2(by_chance).sum()) - choices / math.log(2)


def _rounded_by_float(ids: pd.Series) -> tuple[BoolArray, bool]:
    """(n,) numbers of a column all of whose numbers are floats, and whether one may be so."""
    rounded = np.zeros(len(ids), bool)
    rows, numbers = _long(ids, EXACT_FLOAT)
    if not len(rows):
        return rounded, False
    spacing = np.exp2(np.floor(np.log2(numbers.astype(np.float64))) - 52).astype(np.int64)
    if (numbers % spacing != 0).any():
        return rounded, False
    distinct = np.unique(numbers, return_index=True)[1]
    bits = float(np.log2(np.maximum(spacing[distinct] / _SPARE, 1.0)).sum())
    if bits >= _UNLIKELY:
        rounded[rows] = True
    return rounded, _DOUBTFUL <= bits < _UNLIKELY


def _rounded_by_single(ids: pd.Series) -> BoolArray:
    """(n,) numbers of a column all of whose long numbers are such as single precision holds."""
    rounded = np.zeros(len(ids), bool)
    rows, numbers = _long(ids, _EXACT_SINGLE)
    if not len(rows) or (numbers >= EXACT_FLOAT).any():
        return rounded
    spacing = np.exp2(np.floor(np.log2(numbers.astype(np.float64))) - 23).astype(np.int64)
    if (numbers % spacing != 0).any():
        return rounded
    distinct = np.unique(numbers, return_index=True)[1]
    if float(np.log2(spacing[distinct]).sum()) >= _VERY_UNLIKELY:
        rounded[rows] = True
    return rounded
