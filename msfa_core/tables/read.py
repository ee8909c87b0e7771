"""Read a table as it stands: its own names, its own units, types that keep every digit.

For tables of the house and for scripts; what a table from outside *means* is settled by `door`.
What a survey writes for "no value" (−999, −9999, dashes) is missing, not a number.
"""

from __future__ import annotations

import contextlib
import logging
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.constants import SENTINELS
from msfa_core.tables.cells import MISSING_WORDS, numbers
from msfa_core.tables.formats import read_file
from msfa_core.tables.identifiers import EXACT_FLOAT, INT64
from msfa_core.tables.raw import RawColumn, RawTable
from msfa_core.tables.text import problem

logger = logging.getLogger(__name__)

_SENTINEL_TEXT: Final = re.compile(r"-9{3,4}(\.0*)?")
_ID_NAME: Final = re.compile(  # the last word of the name, before a "_1" of a join
    r"(.*[_\W])?(id|(u|g|l|gp|obs|obj|specobj|source|gaia|star|thing|group|plate|sp|fiber)id)"
    r"(_\w{1,2})?",
    re.IGNORECASE,
)
_TEXT_NAMES: Final = ("planid", "designation", "obsdate")  # also where all look like numbers
_WORDS: Final = {"true": True, "false": False}


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table; its content, not its name, says how.

    Parameters
    ----------
    path : str or Path
        CSV (delimiter ``,``, ``|``, ``;`` or tab; comments above the header), FITS, VOTable,
        ECSV, machine-readable table (MRT, or CDS data with its ReadMe beside it), VizieR TSV,
        JSON, Parquet, Feather, Arrow, ORC; packed or not. Of several tables the first, or
        ``FILE#TABLE``.

    Returns
    -------
    DataFrame
        Column names as in the file (stripped; a repeated one gets ``_2``, ``_3`` …). Columns
        whose name ends in ``id`` and hold whole numbers are ``Int64``, other whole numbers
        ``int64``, or ``Int64`` where values are missing; −999 and −9999 are missing.

    Raises
    ------
    CatalogueError
        When the file cannot be read; one line with its name, the reason and the remedy.
    """
    file = read_file(path)
    raw = file.tables[0]
    if file.wanted:
        named = {one.name: one for one in file.tables}
        if file.wanted not in named:
            listed = ", ".join(named)
            raise problem(file.path, f"has no table {file.wanted!r} ({listed})", "name another")
        raw = named[file.wanted]
    return as_it_stands(raw, file.path)


def as_it_stands(raw: RawTable, path: Path) -> pd.DataFrame:
    """Return a raw table with plain types."""
    for name, why in raw.left_out.items():
        logger.warning("%s: column %s is left out: %s", path, name, why)
    return pd.DataFrame({column.name: _tidy(path, column) for column in raw.columns})


def _tidy(path: Path, column: RawColumn) -> pd.Series:  # noqa: PLR0911  a line per kind
    """Sentinels to missing, identifiers to whole numbers, plain types where nothing is missing."""
    name, values = column.name, column.values
    if _ID_NAME.fullmatch(name):
        return _identifiers(path, name, values)
    if pd.api.types.is_bool_dtype(values.dtype):
        return values if values.isna().any() else values.astype(bool)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if name.lower() in _TEXT_NAMES or not len(values):
            return values.str.strip().mask(_is_missing(values))
        values = _inferred(values)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            return values
        if pd.api.types.is_bool_dtype(values.dtype):
            return values if values.isna().any() else values.astype(bool)
    values = values.mask(values.isin(SENTINELS))
    if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
        return values.astype("int64")
    return values


def _inferred(text: pd.Series) -> pd.Series:
    """Return a column of text as whole numbers, numbers, yes and no, or text."""
    text = text.str.strip()
    missing = _is_missing(text)
    known = text.mask(missing)
    if missing.all():
        return known
    with contextlib.suppress(pa.ArrowInvalid):
        whole = pa.array(known, type=pa.string(), from_pandas=True).cast(pa.int64())
        return whole.to_pandas(types_mapper=lambda _: pd.Int64Dtype()).set_axis(text.index)
    read = numbers(known)
    if not read.unreadable.any():
        return pd.Series(read.values, index=text.index)
    words = known.str.lower()
    if words.dropna().isin(_WORDS).all():
        return words.map(_WORDS).astype("boolean")
    return known


def _is_missing(text: pd.Series) -> pd.Series:
    """(n,) whether a text stands for no value."""
    words = text.dropna().unique()
    absent = [
        word
        for word in words
        if word.strip().lower() in MISSING_WORDS or _SENTINEL_TEXT.fullmatch(word.strip())
    ]
    return text.isna() | text.isin(absent)


def _identifiers(path: Path, name: str, values: pd.Series) -> pd.Series:
    """Whole numbers as ``Int64``, digit by digit; other identifiers stay text."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("Int64").mask(values.isin(SENTINELS).fillna(False))
    if pd.api.types.is_float_dtype(values.dtype):
        whole = values.isna() | (values == values.round())
        if not whole.all():
            return values
        values = values.map(lambda x: "" if pd.isna(x) else repr(float(x))).astype("str")
    text = values.astype("str").str.strip()
    with contextlib.suppress(pa.ArrowInvalid):  # digits only, the usual case
        words = pa.array(text, from_pandas=True)
        number = pc.if_else(pc.equal(words, ""), None, words).cast(pa.int64())
        whole = number.to_pandas(types_mapper=lambda _: pd.Int64Dtype()).set_axis(text.index)
        return whole.mask(whole.isin(SENTINELS).fillna(False))
    return _identifiers_by_word(path, name, text)


def _identifiers_by_word(path: Path, name: str, text: pd.Series) -> pd.Series:
    """Whole numbers however they are written, else the text; ones that lost digits go."""
    missing = _is_missing(text)
    text = text.mask(missing)
    distinct = text[~missing].unique()
    numbers_of = {word: _whole(word) for word in distinct}
    if any(number is None for number in numbers_of.values()):
        return text
    lost = {word for word, number in numbers_of.items() if _lost_digits(word, number)}
    if lost:
        logger.warning(
            "%s: %d identifiers of column %s lost digits in a float (%s) and are left out",
            path, len(lost), name, min(lost),
        )  # fmt: skip
    out = pd.array([None] * len(text), dtype="Int64")
    kept = (~missing & ~text.isin(lost)).to_numpy()
    out[kept] = [numbers_of[word] for word in text[kept]]
    return pd.Series(out, index=text.index)


def _whole(word: str) -> int | None:
    """Whole number a text stands for, exactly (``605006``, ``605006.0``, ``6.05006E5``)."""
    if word.isdigit() and word.isascii():
        number = int(word)
    else:
        try:
            exact = Decimal(word)
        except InvalidOperation:
            return None
        if not exact.is_finite() or exact != exact.to_integral_value():
            return None
        number = int(exact)
    return number if number in INT64 else None


def _lost_digits(word: str, number: int | None) -> bool:
    """Whether the text is a float's way of writing a number too long for a float."""
    return number is not None and abs(number) > EXACT_FLOAT and not word.lstrip("+-").isdigit()
