"""Read a table from any file an astronomer has: CSV, FITS, VOTable, ECSV, MRT, Parquet.

Identifiers have up to 19 digits, a float keeps 15: they never pass through one. What a
survey writes for "no value" (−999, −9999, dashes) is missing, not a number.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import logging
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from msfa_core.errors import CatalogueError
from msfa_core.tables.mrt import mrt_lines, read_mrt

logger = logging.getLogger(__name__)

SENTINELS: Final = (-999.0, -9999.0)  # LAMOST's "no value"
MISSING_TEXT: Final = (
    "", "nan", "NaN", "NAN", "null", "NULL", "None", "N/A", "n/a", "NA", "-", "--", "---", "...",
)  # fmt: skip
_SENTINEL_TEXT: Final = re.compile(r"-9{3,4}(\.0*)?")
_ID_NAME: Final = re.compile(  # the last word of the name, before a "_1" of a join
    r"(.*[_\W])?(id|(u|g|l|gp|obs|obj|specobj|source|gaia|star|thing|group|plate|sp|fiber)id)"
    r"(_\w{1,2})?",
    re.IGNORECASE,
)
_TEXT_NAMES: Final = ("planid", "designation", "obsdate")  # also where all look like numbers
_INT64: Final = range(-(2**63), 2**63)
_EXACT_FLOAT: Final = 2**53  # larger integers lose digits in a float
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORDS_OF_A_NAME: Final = 3
_DELIMITERS: Final = ",|;\t"
_SNIFFED: Final = 30  # lines
_FORMATS: Final = "CSV (comma, |, ; or tab), FITS, VOTable, ECSV, MRT or Parquet"


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table; its content, not its name, says how.

    Parameters
    ----------
    path : str or Path
        CSV (delimiter ``,``, ``|``, ``;`` or tab; ``#`` lines are comments), FITS, VOTable,
        ECSV, machine-readable table (MRT, or CDS data with its ReadMe beside it), Parquet;
        text and FITS may be gzipped.

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
    path = Path(path)
    content = _content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            columns = _reader(path, content)(content)
    except CatalogueError:
        raise
    except Exception as error:
        # What a malformed table makes astropy, pyarrow or a codec raise has no bounds.
        raise _problem(path, f"cannot be read as a table ({error})", "correct the file") from None
    names = _distinct([name for name, _ in columns])
    tidy = {
        name: _tidy(path, name, values) for name, (_, values) in zip(names, columns, strict=True)
    }
    return pd.DataFrame(tidy)


Columns = list[tuple[str, pd.Series]]


def _problem(path: Path, reason: str, remedy: str) -> CatalogueError:
    return CatalogueError(" ".join(f"{path}: {reason}; {remedy}.".split()))


def _content(path: Path) -> bytes:
    """Bytes of the file, inflated when it is a gzip stream."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _problem(path, "no such file", "check the path") from None
    except IsADirectoryError:
        raise _problem(path, "is a folder", "name a table in it") from None
    except OSError as error:
        raise _problem(path, f"cannot be opened ({error.strerror})", "check the disk") from None
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            reason = f"the gzip stream is damaged or cut short ({error})"
            raise _problem(path, reason, "download it again") from None
    if not content.strip():
        raise _problem(path, "is empty", "download or save it again")
    return content


def _reader(path: Path, content: bytes) -> Callable[[bytes], Columns]:
    """Choose how to read the content by its beginning."""
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = head[:200].lower()
    if content.startswith(b"SIMPLE  ="):
        return _from_fits
    if content.startswith(b"PAR1"):
        return _from_parquet
    if lower.startswith(b"# %ecsv"):
        return lambda raw: _from_astropy(raw, "ascii.ecsv")
    if b"<votable" in head.lower():
        return lambda raw: _from_astropy(raw, "votable")
    if lower.startswith((b"<!doctype html", b"<html", b"<head")):
        raise _problem(path, "holds a web page, not a table", "download it again")
    if content.startswith(b"PK\x03\x04"):
        raise _problem(path, "is a spreadsheet or zip archive", "save the table as CSV")
    lines = mrt_lines(path, content)
    if lines and path.name.lower().startswith("readme"):
        raise _problem(path, "describes tables and holds none", "name the data file beside it")
    if lines:
        return lambda _: _astropy_columns(read_mrt(lines))
    if b"\x00" in head:
        raise _problem(path, "is not a table", f"give {_FORMATS}")
    return lambda raw: _from_text(path, raw)


def _from_fits(content: bytes) -> Columns:
    """Columns of the first binary or ASCII table."""
    from astropy.io import fits  # noqa: PLC0415  slow to import
    from astropy.table import Table  # noqa: PLC0415

    with fits.open(io.BytesIO(content), memmap=False) as units:
        tables = [i for i, unit in enumerate(units) if hasattr(unit, "columns")]
        if not tables:
            raise ValueError("the FITS file holds no table")
        return _astropy_columns(Table.read(units, hdu=tables[0]))


def _from_astropy(content: bytes, kind: str) -> Columns:
    from astropy.table import Table  # noqa: PLC0415  slow to import

    return _astropy_columns(Table.read(io.BytesIO(content), format=kind))


def _astropy_columns(table: Any) -> Columns:
    """One-dimensional columns of an astropy table, masked values as missing."""
    columns: Columns = []
    for name in table.colnames:
        column = table[name]
        mask = np.asarray(getattr(column, "mask", np.zeros(len(table), dtype=bool)))
        values = np.asarray(getattr(column, "filled", lambda column=column: column)())
        if values.ndim != 1:
            logger.warning("column %s holds an array per row and is left out", name)
            continue
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        columns.append((name, _series(values, mask)))
    return columns


def _series(values: NDArray[Any], mask: NDArray[np.bool_]) -> pd.Series:
    """Return a pandas column in the machine's byte order, missing where masked."""
    if values.dtype.kind in "UO":
        text = pd.Series([str(value).strip() for value in values], dtype="str")
        return text.mask(pd.Series(mask))
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.uint64 and (values > np.uint64(2**63 - 1)).any():
        return pd.Series(values.astype(str), dtype="str").mask(pd.Series(mask))
    if values.dtype.kind in "iu":
        return pd.Series(pd.arrays.IntegerArray(values.astype(np.int64), mask.copy()))
    if values.dtype.kind == "b":
        return pd.Series(pd.arrays.BooleanArray(values, mask.copy()))
    return pd.Series(np.where(mask, np.nan, values.astype(np.float64)))


def _from_parquet(content: bytes) -> Columns:
    table = pyarrow.parquet.read_table(pa.BufferReader(content))
    return _arrow_columns(table, table.column_names)


def _arrow_columns(table: pa.Table, names: Sequence[str]) -> Columns:
    """Columns of an Arrow table; whole numbers with missing values stay whole."""
    columns: Columns = []
    for name, stored in zip(names, table.columns, strict=True):
        column = _signed(stored)
        if pa.types.is_integer(column.type):
            values = column.cast(pa.int64()).to_pandas(types_mapper=lambda _: pd.Int64Dtype())
        elif pa.types.is_boolean(column.type):
            values = column.to_pandas(types_mapper=lambda _: pd.BooleanDtype())
        elif pa.types.is_floating(column.type):
            values = column.cast(pa.float64()).to_pandas()
        else:
            text = pc.utf8_trim_whitespace(column.cast(pa.string()))
            values = text.to_pandas().astype("str")
        columns.append((name, values))
    return columns


def _signed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Unsigned 64-bit numbers as signed ones, or as text where they are too large."""
    if not pa.types.is_uint64(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _from_text(path: Path, content: bytes) -> Columns:
    """Columns of delimited text; whole columns decide on types, ids and dates stay text."""
    text = _decoded(content)
    header, body = _split_header(text)
    delimiter = _sniff(header, body)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    _check_header(path, header, names)
    names, body = _without_trailing_delimiter(names, body, delimiter)
    unique = _distinct(names)
    if not body.strip():
        return [(name, pd.Series([], dtype="str")) for name in unique]
    ids = [n for n in unique if _ID_NAME.fullmatch(n) or n.lower() in _TEXT_NAMES]
    as_text = dict.fromkeys(ids, pa.string())
    table = _parsed(path, body, unique, delimiter, as_text)
    dates = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
    if dates:
        as_text |= dict.fromkeys(dates, pa.string())
        table = _parsed(path, body, unique, delimiter, as_text)
    return _arrow_columns(table, unique)


def _check_header(path: Path, header: str, names: list[str]) -> None:
    """Refuse a first line that cannot be the names of columns."""
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if numbers and len(numbers) == len([name for name in names if name]):
        raise _problem(path, "has no header line", "put the names of the columns in the first line")
    if len(names) == 1 and len(header.split()) > _WORDS_OF_A_NAME:
        reason = f"its columns are not separated by comma, |, ; or tab ({header[:40].strip()!r})"
        raise _problem(path, reason, f"give {_FORMATS}")


def _parsed(
    path: Path, body: str, names: list[str], delimiter: str, types: dict[str, Any]
) -> pa.Table:
    convert = pyarrow.csv.ConvertOptions(
        column_types=types, null_values=list(MISSING_TEXT), strings_can_be_null=True
    )
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(body.encode()),
            pyarrow.csv.ReadOptions(column_names=names),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values='"' in body),
            convert,
        )
    except pa.ArrowInvalid as error:
        reason = f"its rows do not fit its {len(names)} columns ({error})"
        raise _problem(path, reason, "correct or remove the row") from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _split_header(text: str) -> tuple[str, str]:
    """Header line and rows; comments and blank lines go, a commented header comes back."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    comments = re.findall(r"^[ \t]*#(.*)$", text, flags=re.MULTILINE) if "#" in text else []
    if comments:
        text = re.sub(r"^[ \t]*#.*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\A\s*\n", "", text)
    first, _, rest = text.partition("\n")
    if comments and _looks_like_data(first) and not _looks_like_data(comments[-1]):
        return comments[-1].strip(), text
    return first, rest


def _looks_like_data(line: str) -> bool:
    """Whether a field of the line is a number."""
    fields = re.split(rf"[{_DELIMITERS}]", line)
    return any(_NUMBER.fullmatch(field.strip()) for field in fields)


def _sniff(header: str, body: str) -> str:
    """Delimiter that splits the header and the first rows into equally many fields."""
    lines = [line for line in body[: 2**18].split("\n")[:_SNIFFED] if line.strip()]

    def score(delimiter: str) -> tuple[int, int]:
        rows = list(csv.reader([header, *lines], delimiter=delimiter))
        widths = Counter(len(row) for row in rows[1:]) or Counter([len(rows[0])])
        agreement = sum(n for width, n in widths.items() if abs(width - len(rows[0])) <= 1)
        return (agreement if len(rows[0]) > 1 else 0, len(rows[0]))

    return max(_DELIMITERS, key=score)


def _without_trailing_delimiter(
    names: list[str], body: str, delimiter: str
) -> tuple[list[str], str]:
    """Drop the empty field that a delimiter at the end of each line makes."""
    first = body.lstrip("\n").partition("\n")[0]
    ends = re.escape(delimiter) + r"[ \t]*$" if delimiter != "\t" else r"\t$"
    width = len(next(csv.reader([first], delimiter=delimiter), []))
    if names and not names[-1] and re.search(ends, first) and width == len(names):
        return names[:-1], re.sub(ends, "", body, flags=re.MULTILINE)
    return names, body


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names without repetition: the second ``ra`` is ``ra_2``; a nameless is numbered."""
    seen: set[str] = set()
    distinct = []
    for i, name in enumerate(names, start=1):
        base = str(name).strip() or f"column_{i}"
        unique, k = base, 1
        while unique in seen:
            k += 1
            unique = f"{base}_{k}"
        seen.add(unique)
        distinct.append(unique)
    return distinct


def _tidy(path: Path, name: str, values: pd.Series) -> pd.Series:
    """Sentinels to missing, identifiers to whole numbers, plain types where nothing is missing."""
    if _ID_NAME.fullmatch(name):
        return _identifiers(path, name, values)
    if pd.api.types.is_bool_dtype(values.dtype):
        return values if values.isna().any() else values.astype(bool)
    if pd.api.types.is_numeric_dtype(values.dtype):
        values = values.mask(values.isin(SENTINELS))
        if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
            return values.astype("int64")
        return values
    return values.mask(_is_missing(values))


def _is_missing(text: pd.Series) -> pd.Series:
    """(n,) whether a text stands for no value."""
    words = text.dropna().unique()
    absent = [word for word in words if word in MISSING_TEXT or _SENTINEL_TEXT.fullmatch(word)]
    return text.isna() | text.isin(absent)


def _identifiers(path: Path, name: str, values: pd.Series) -> pd.Series:
    """Whole numbers as ``Int64``, digit by digit; other identifiers stay text."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("Int64").mask(values.isin(SENTINELS).fillna(False))
    if pd.api.types.is_float_dtype(values.dtype):
        whole = values.isna() | (values == values.round())
        if not whole.all():
            return values
        values = values.map(lambda x: "" if np.isnan(x) else repr(float(x))).astype("str")
    text = values.astype("str")
    with contextlib.suppress(pa.ArrowInvalid):  # digits only, the usual case
        numbers = pa.array(text, from_pandas=True).cast(pa.int64())
        whole = numbers.to_pandas(types_mapper=lambda _: pd.Int64Dtype()).set_axis(text.index)
        return whole.mask(whole.isin(SENTINELS).fillna(False))
    return _identifiers_by_word(path, name, text)


def _identifiers_by_word(path: Path, name: str, text: pd.Series) -> pd.Series:
    """Whole numbers however they are written, else the text; ones that lost digits go."""
    missing = _is_missing(text)
    text = text.mask(missing)
    distinct = text[~missing].unique()
    numbers = {word: _whole(word) for word in distinct}
    if any(number is None for number in numbers.values()):
        return text
    lost = {word for word, number in numbers.items() if _lost_digits(word, number)}
    if lost:
        logger.warning(
            "%s: %d identifiers of column %s lost digits in a float (%s) and are left out",
            path, len(lost), name, min(lost),
        )  # fmt: skip
    out = pd.array([None] * len(text), dtype="Int64")
    kept = (~missing & ~text.isin(lost)).to_numpy()
    out[kept] = [numbers[word] for word in text[kept]]
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
    return number if number in _INT64 else None


def _lost_digits(word: str, number: int | None) -> bool:
    """Whether the text is a float's way of writing a number too long for a float."""
    return number is not None and abs(number) > _EXACT_FLOAT and not word.lstrip("+-").isdigit()
