"""A general catalogue of millions of rows, read a piece at a time: CSV, FITS or Parquet.

Only the columns that are asked for are read, and no more than a piece of them is in memory.
A compressed file is inflated on the way.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from msfa_core.errors import CatalogueError
from msfa_core.tables.cells import MISSING_WORDS
from msfa_core.tables.heads import OpenQuotes, piece_without_names
from msfa_core.tables.packing import UTF_16, Recoded, RunningSum
from msfa_core.tables.text import problem, text_tables

ROWS: Final = 200_000  # of a piece
_PIECE: Final = 2**24  # bytes
_PARSED: Final = 2**22  # bytes of text parsed at a time; several such are under way
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_BLOCK: Final = 2880  # bytes of a FITS block
_CARD: Final = 80
_UNSIGNED: Final = 2**63  # TZERO by which FITS holds unsigned integers of 64 bits
_MOST_BLOCKS: Final = 10_000  # of one FITS header
_END: Final = b"END".ljust(_CARD)
_DELIMITERS: Final = "|,;\t"
_MISSING: Final = sorted({form for w in MISSING_WORDS for form in (w, w.upper(), w.title())})
_HEAD: Final = 2**18  # bytes that say what the columns are
_LONGEST_LINE: Final = 2**20  # bytes
_WEB_PAGE: Final = re.compile(rb"\s*<(?:!doctype|html|head|body)", re.I)

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue file whose kind and columns are known.

    Attributes
    ----------
    path : Path
    kind : str
        ``CSV``, ``FITS`` or ``Parquet``.
    names : tuple of str
        Its columns, in order.
    """

    path: Path
    kind: str
    names: tuple[str, ...]

    def pieces(self, names: Sequence[str], told: Told | None = None) -> Iterator[pa.Table]:
        """Read columns, some rows at a time.

        Parameters
        ----------
        names : sequence of str
            Columns to read.
        told : callable, optional
            Called with the bytes of the file that were read, and their total.

        Yields
        ------
        pyarrow.Table
            Text is text as the file has it (all columns of a CSV are text); missing values are
            missing, and so are the words and numbers that stand for them in text.

        Raises
        ------
        CatalogueError
            When the file is damaged or cut short, or its rows do not fit its columns.
        """
        reader = {"CSV": _csv_pieces, "FITS": _fits_pieces, "Parquet": _parquet_pieces}[self.kind]
        with _damage(self.path):
            yield from reader(self, names, told or _untold)

    def units(self) -> dict[str, str]:
        """Return the units that the file gives its columns, by name."""
        if self.kind == "FITS":
            with _damage(self.path), _opened(self.path, _untold) as stream:
                columns = _table_columns(_table_header(self.path, stream)[0])
            return {one.name: str(one.unit) for one in columns if one.unit}
        if self.kind == "Parquet":
            schema = pyarrow.parquet.read_schema(self.path)
            said = {field.name: (field.metadata or {}).get(b"unit", b"") for field in schema}
            return {name: unit.decode() for name, unit in said.items() if unit}
        with contextlib.suppress(CatalogueError):  # which its rows will say better
            head, *_ = text_tables(self.path, self.beginning(_HEAD), "")
            names = dict(zip(head.columns, self.names, strict=False))
            return {names[name]: unit for name, unit in head.units.items() if name in names}
        return {}

    def beginning(self, size: int) -> str:
        """Return the first whole lines of a text."""
        with _damage(self.path), _opened(self.path, _untold) as stream:
            head = stream.read(size)
        head = head if len(head) < size else head[: head.rfind(b"\n") + 1]
        return head.removeprefix(_BOM).decode("utf-8", "replace")


def open_catalogue(path: str | Path) -> Catalogue:
    """Look at the beginning of a catalogue.

    Parameters
    ----------
    path : str or Path
        CSV (delimiter ``|``, ``,``, ``;`` or tab) or FITS, plain or gzipped, or Parquet; the
        content says which.

    Returns
    -------
    Catalogue

    Raises
    ------
    CatalogueError
        When it is none of these.
    """
    path = Path(path)
    if path.is_fifo():
        raise problem(path, "is a pipe, which can be read only once", "give a file")
    with _damage(path):
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                parquet = pyarrow.parquet.ParquetFile(path)
                return Catalogue(path, "Parquet", tuple(parquet.schema_arrow.names))
        with _opened(path, _untold) as stream:
            head = stream.peek(_BLOCK)
            if not head.strip():
                raise problem(path, "is empty", "download it again")
            if head.startswith(b"SIMPLE  ="):
                header, _ = _table_header(path, stream)
                names = _table_columns(header).names
                if len(set(names)) < len(names):
                    twice = next(name for name in names if names.count(name) > 1)
                    raise problem(path, f"has two columns {twice}", "take out the wrong one")
                return Catalogue(path, "FITS", tuple(names))
            if _WEB_PAGE.match(head.removeprefix(_BOM)):
                raise problem(path, "holds a web page, not a catalogue", "download it again")
            if b"\x00" in head[:_BLOCK]:
                raise problem(path, "is no catalogue", "give CSV, FITS or Parquet")
            return Catalogue(path, "CSV", _csv_layout(path, stream)[0])


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file, whoever noticed it."""
    try:
        yield
    except FileNotFoundError:
        raise problem(path, "no such file", "check the name") from None
    except IsADirectoryError:
        raise problem(path, "is a folder", "name the catalogue in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f"the gzip stream is half written or damaged ({error})"
        raise problem(path, reason, "download it again") from None
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        reason = f"its rows do not fit its columns ({error})"
        raise problem(path, reason, "download it again, or correct the row") from None
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise problem(path, reason, "download it again, or check the disk") from None


def _untold(_done: int, _total: int) -> None:
    """Take no note."""


class _Counted(io.RawIOBase):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, told: Told) -> None:
        self._file = path.open("rb", buffering=0)
        self._told, self._done, self._total = told, 0, path.stat().st_size

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        n = self._file.readinto(buffer) or 0
        self._done += n
        self._told(self._done, self._total)
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextmanager
def _opened(path: Path, told: Told) -> Iterator[io.BufferedReader[Any]]:
    """Open a file, inflated when it is gzip (whatever its name says), text as UTF-8."""
    with io.BufferedReader(_Counted(path, told), 2**20) as raw, ExitStack() as layers:
        stream: io.BufferedReader[Any] = raw
        if stream.peek(2).startswith(_GZIP):
            inflated = layers.enter_context(gzip.GzipFile(fileobj=stream))
            stream = layers.enter_context(io.BufferedReader(inflated, 2**20))
        if stream.peek(2).startswith(UTF_16):
            stream = layers.enter_context(io.BufferedReader(Recoded(stream), 2**20))
        yield stream


# --- text --------------------------------------------------------------------------------------
def _csv_layout(path: Path, stream: IO[bytes]) -> tuple[tuple[str, ...], str, bytes]:
    """Return the names of the columns, the delimiter, and the first row, which has been read."""
    line = _line(path, stream).removeprefix(_BOM)
    commented = b""
    while line and (not line.strip() or line.lstrip().startswith(b"#")):
        commented = line.strip().lstrip(b"#") or commented
        line = _line(path, stream)
    first = line
    header = line.decode("utf-8").strip("\r\n")
    if commented and _has_number(header) and not _has_number(commented.decode("utf-8", "replace")):
        header = commented.decode("utf-8").strip()
    else:
        first = _line(path, stream)
    while first and not first.strip():  # blank lines between the names and the rows
        first = _line(path, stream)
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if len(names) <= 1:
        reason = f"its first line names no columns ({header[:60]!r})"
        raise problem(path, reason, "give a catalogue with a header line, separated by | or ,")
    fields = next(csv.reader([first.decode("utf-8").strip("\r\n")], delimiter=delimiter), [])
    if len(fields) == len(names) + 1 and not fields[-1].strip():
        names.append("")  # a delimiter ends each row, and not the header
    return _distinct(names), delimiter, first


def _line(path: Path, stream: IO[bytes]) -> bytes:
    line = stream.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise problem(path, "is no table (a line without an end)", "give CSV, FITS or Parquet")
    return line


def _has_number(line: str) -> bool:
    fields = re.split(rf"[{_DELIMITERS}]", line)
    return any(re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", field) for field in fields)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without repetition: the first of equal names keeps its own."""
    seen: set[str] = set()
    out = []
    for number, name in enumerate(names, start=1):
        unique = name if name and name not in seen else f"{name or 'column'}_{number}"
        seen.add(unique)
        out.append(unique)
    return tuple(out)


class _Joined(io.RawIOBase):
    """Some bytes, and then the rest of a stream."""

    def __init__(self, first: bytes, rest: IO[bytes], seen: Callable[[bytes], None]) -> None:
        self._first, self._rest, self._seen = first, rest, seen

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        content = self._first or self._rest.read(len(buffer))
        part, self._first = content[: len(buffer)], content[len(buffer) :]
        buffer[: len(part)] = part
        self._seen(part)
        return len(part)


def _csv_pieces(catalogue: Catalogue, names: Sequence[str], told: Told) -> Iterator[pa.Table]:
    with _opened(catalogue.path, told) as stream:
        columns, delimiter, first = _csv_layout(catalogue.path, stream)
        if not first.strip():
            return
        quotes = OpenQuotes(delimiter)
        joined = io.BufferedReader(_Joined(first, stream, quotes.look), 2**20)
        reader = pyarrow.csv.open_csv(
            pa.PythonFile(joined, mode="r"),
            pyarrow.csv.ReadOptions(column_names=list(columns), block_size=_PARSED),
            pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=_remark),
            pyarrow.csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=_MISSING,
                strings_can_be_null=True,
            ),
        )
        for batch in reader:
            if quotes.found:
                break
            piece = pa.table([_trimmed(one) for one in batch.columns], names=list(names))
            yield piece_without_names(catalogue.path, piece)
        if quotes.found:
            raise problem(
                catalogue.path,
                f"a quotation mark is not closed in its line, which would take the rows behind it "
                f"into its cell ({quotes.found[:60]!r})",
                "close it, or take it out",
            )


def _remark(row: pyarrow.csv.InvalidRow) -> str:
    """Pass over a comment between the rows; a row of too few or too many cells is an error."""
    return "skip" if str(row.text).lstrip().startswith("#") else "error"


def _trimmed(text: pa.Array) -> pa.Array:
    """Text without white space around; what is only white space is missing."""
    bare = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), bare)


# --- FITS --------------------------------------------------------------------------------------
def _header(path: Path, stream: IO[bytes]) -> Any:
    """Read one header; None at the end of the file."""
    from astropy.io import fits  # noqa: PLC0415  slow to import

    content = b""
    for _ in range(_MOST_BLOCKS):
        block = stream.read(_BLOCK)
        if not block and not content:
            return None
        if len(block) < _BLOCK:
            raise problem(path, "ends within a header (cut short)", "download it again")
        content += block
        if any(block[at : at + _CARD] == _END for at in range(0, _BLOCK, _CARD)):
            return fits.Header.fromstring(content.decode("latin-1"))
    raise problem(path, "has a header without an end", "download it again")


def _data_size(header: Any) -> int:
    axes = [int(header[f"NAXIS{i}"]) for i in range(1, int(header["NAXIS"]) + 1)]
    values = math.prod(axes) if axes else 0
    return abs(int(header["BITPIX"])) // 8 * (values + int(header.get("PCOUNT", 0)))


def _table_header(path: Path, stream: IO[bytes]) -> tuple[Any, int]:
    """Read up to the data of the first binary table; return its header and size [bytes]."""
    while (header := _header(path, stream)) is not None:
        size = _data_size(header)
        if str(header.get("XTENSION", "")).strip() == "BINTABLE":
            return header, size
        left = -(-size // _BLOCK) * _BLOCK
        while left > 0:
            skipped = len(stream.read(min(left, _PIECE)))
            if not skipped:
                raise problem(path, "ends too early (cut short)", "download it again")
            left -= skipped
    raise problem(path, "holds no table", "give the catalogue as a FITS binary table")


def _table_columns(header: Any) -> Any:
    """Return the columns that a header describes."""
    from astropy.io import fits  # noqa: PLC0415

    empty = header.copy()
    empty["NAXIS2"] = 0
    empty["PCOUNT"] = 0
    return fits.BinTableHDU.fromstring(empty.tostring().encode("latin-1")).columns


def _fits_pieces(catalogue: Catalogue, names: Sequence[str], told: Told) -> Iterator[pa.Table]:
    with _opened(catalogue.path, told) as stream:
        header, size = _table_header(catalogue.path, stream)
        columns, running = _table_columns(header), RunningSum()
        dtype = columns.dtype.newbyteorder(">")
        left, width = int(header["NAXIS2"]), int(header["NAXIS1"])
        if dtype.itemsize != width:
            raise problem(catalogue.path, "has rows of another length than its columns", "mend it")
        by_name = {column.name: column for column in columns}
        while left:
            n = min(left, max(1, min(ROWS, _PIECE // max(width, 1))))
            content = stream.read(n * width)
            if len(content) < n * width:
                reason = f"ends {left - len(content) // width:,} rows too early (cut short)"
                raise problem(catalogue.path, reason, "download it again")
            running.add(content)
            rows = np.frombuffer(content, dtype)
            left -= n
            for name in (one for one in names if rows[one].ndim != 1):
                reason = f"column {name} holds an array per row, not one value"
                raise problem(catalogue.path, reason, "take it out of the file")
            yield pa.table({name: _fits_values(rows[name], by_name[name]) for name in names})
        said = str(header.get("DATASUM", "")).strip()
        running.add(stream.read(size - int(header["NAXIS2"]) * width))  # of columns of any length
        if said.isdigit() and running.value != int(said):
            reason = f"the data of {header.get('EXTNAME', 'its table')} do not agree with their "
            raise problem(catalogue.path, f"{reason}checksum, DATASUM", "download it again")


def _fits_values(values: Any, column: Any) -> pa.Array:
    """Values of one column of a FITS table."""
    if values.dtype.kind in "SU":
        text = pa.array(np.char.decode(values.astype("S"), "latin-1").tolist(), pa.string())
        return _trimmed(text)
    values = values.astype(values.dtype.newbyteorder("="))
    absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if column.null not in (None, "") and values.dtype.kind in "iu":
        absent |= values == int(column.null)
    scale, zero = column.bscale or 1, column.bzero or 0
    if (scale, zero) == (1, _UNSIGNED) and values.dtype == np.int64:
        values = values.view(np.uint64) ^ np.uint64(_UNSIGNED)
    elif (scale, zero) != (1, 0):
        whole = float(scale).is_integer() and float(zero).is_integer()
        kind = np.int64 if whole and values.dtype.kind in "iu" else np.float64
        values = values.astype(kind) * kind(scale) + kind(zero)
    return pa.array(values, mask=absent)


# --- Parquet -----------------------------------------------------------------------------------
def _parquet_pieces(catalogue: Catalogue, names: Sequence[str], told: Told) -> Iterator[pa.Table]:
    file = pyarrow.parquet.ParquetFile(catalogue.path, pre_buffer=False, buffer_size=2**20)
    total, done, size = file.metadata.num_rows, 0, catalogue.path.stat().st_size
    masks = {name: mask for name in names if (mask := f"{name}.mask") in catalogue.names}
    for batch in file.iter_batches(ROWS, columns=list(dict.fromkeys([*names, *masks.values()]))):
        whole = pa.Table.from_batches([batch])
        table = whole.select(list(names))
        for name, mask in masks.items():  # as astropy writes columns with missing values
            known = pc.if_else(whole[mask], None, whole[name])
            table = table.set_column(table.schema.get_field_index(name), name, known)
        done += len(table)
        told(size * done // max(total, 1), size)
        texts = [field.name for field in table.schema if _is_text(field.type)]
        for name in texts:
            text = pa.concat_tables([table.select([name])]).combine_chunks().column(0)
            text = text.cast(pa.string()).combine_chunks()
            table = table.set_column(table.schema.get_field_index(name), name, _trimmed(text))
        yield table


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
