"""Formats: the content of a file, not its name, says how it is read.

The libraries read the formats: astropy (FITS, VOTable, ECSV, MRT, CDS, IPAC), pyarrow (Parquet,
Feather, delimited text). Here is what surrounds them: packing, encodings, several tables in a
file, and a message where a format cannot be read.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import re
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from msfa_core.errors import CatalogueError
from msfa_core.tables.guards import ESCAPES, GUARDED, unescaped
from msfa_core.tables.mrt import mrt_lines, read_mrt
from msfa_core.tables.text import distinct_names, text_tables

KNOWN_FORMATS: Final = (
    "CSV (comma, |, ; or tab), VizieR TSV, FITS, VOTable, ECSV, MRT, JSON, Parquet or Feather"
)
_SHOWN: Final = 8  # tables named in a message
_LARGEST: Final = 2**34  # bytes, unpacked: beyond it a small archive is a bomb
_NO_TABLES: Final = (  # beginning of the content, what it is, what to do
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "save the table as FITS, VOTable, Parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet of the old Excel format", "save the table as CSV"),
    (b"SQLite format 3\x00", "is an SQLite database", "save the table as CSV or Parquet"),
    (b"%PDF", "is a PDF document", "give the table that belongs to it"),
    (b"\x93NUMPY", "is a NumPy array without names", "save the table as CSV or FITS"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", "unpack it"),
    (b"Rar!", "is a RAR archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", "unpack it"),
    (b"\x80\x04\x95", "is a Python pickle, which is never opened", "save the table as CSV"),
)
_PACKED: Final[tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", "gzip", gzip.decompress),
    (b"BZh", "bzip2", bz2.decompress),
    (b"\xfd7zXZ\x00", "xz", lzma.decompress),
)
_NO_MEMBERS: Final = ("__macosx/", ".ds_store", "readme", "license", "._")


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column as the file has it.

    Attributes
    ----------
    name : str
    values : (n,) Series
        Text as it stands, or numbers; missing where the format says so.
    unit : str or None
        As the file gives it.
    single : bool
        Numbers in single precision.
    about : str
        What the file says of it in words: description, UCD, system of coordinates, comment.
    repeats : str
        Name in the file, where an earlier column has it too and this one was given another.
    """

    name: str
    values: pd.Series
    unit: str | None = None
    single: bool = False
    about: str = ""
    repeats: str = ""


@dataclass(frozen=True, slots=True)
class RawTable:
    """One table of a file, before anything is understood.

    Attributes
    ----------
    name : str
        Within the file; empty where it is the only one.
    columns : list of RawColumn
    left_out : dict of str to str
        Columns that cannot be used, and why.
    notes : tuple of str
        What the file says of itself, or the reader of the file.
    text : str
        Comments and descriptions, where they may name a data release.
    """

    name: str
    columns: list[RawColumn]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    text: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class RawFile:
    """All tables of a file.

    Attributes
    ----------
    path : Path
        Without the part after ``#``.
    wanted : str
        The part after ``#``: a table of the file, by name or number.
    kind : str
        Format in words.
    checksum : str
        SHA-256 of the file as it lies on the disk, first 16 digits.
    tables : list of RawTable
    """

    path: Path
    wanted: str
    kind: str
    checksum: str
    tables: list[RawTable]


def problem(path: Path | str, reason: str, remedy: str) -> CatalogueError:
    """Return the one-line error of a file: its name, what is wrong, what to do."""
    return CatalogueError(" ".join(f"{path}: {reason}; {remedy}.".split()))


def split_path(path: str | Path) -> tuple[Path, str]:
    """Return a path and the table wanted of it (``FILE#TABLE``)."""
    path = Path(path)
    if path.exists() or "#" not in path.name:
        return path, ""
    name, _, wanted = path.name.partition("#")
    return path.with_name(name), wanted


def read_file(path: str | Path) -> RawFile:
    """Read every table of a file.

    Parameters
    ----------
    path : str or Path
        ``FILE`` or ``FILE#TABLE``.

    Raises
    ------
    CatalogueError
        When the file cannot be read; one line with its name, the reason and the remedy.
    """
    path, wanted = split_path(path)
    stored = _stored(path)
    checksum = hashlib.sha256(stored).hexdigest()[:16]
    content, wanted = _unpacked(path, stored, wanted)
    kind, reader = _reader(path, content)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            tables = reader(content)
    except CatalogueError:
        raise
    except Exception as error:
        # What a malformed table makes astropy, pyarrow or a codec raise has no bounds.
        raise problem(path, f"cannot be read as a table ({error})", "correct the file") from None
    cut = [str(one.message) for one in said if "truncated" in str(one.message).lower()]
    if cut and kind == "FITS":
        raise problem(path, f"is cut short ({cut[0]})", "download it again")
    if not tables:
        raise problem(path, f"holds no table ({kind})", f"give {KNOWN_FORMATS}")
    undo = _guards(path, kind, content)
    if undo is not None:
        tables = [_unguarded(table, undo) for table in tables]
    return RawFile(path, wanted, kind, checksum, tables)


def _guards(path: Path, kind: str, content: bytes) -> Callable[[str], str] | None:
    """Return what undoes the guards that our own exports put around text; None without any."""
    if kind == "text":
        beside = path.with_name(f"{path.name}.provenance.json")
        said = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
        return (lambda text: text.removeprefix("'")) if json.dumps(GUARDED)[1:-1] in said else None
    if kind in ("MRT", "FITS"):
        head = b"".join(content[: 2**18].split())
        return _unescaped if b"".join(ESCAPES[:60].encode().split()) in head else None
    return None


def _unescaped(text: str) -> str:
    try:
        return unescaped(text)
    except UnicodeError:
        return text


def _unguarded(table: RawTable, undo: Callable[[str], str]) -> RawTable:
    columns = [
        replace(
            one,
            name=undo(one.name),
            values=one.values
            if pd.api.types.is_numeric_dtype(one.values.dtype)
            else one.values.map(undo, na_action="ignore").astype("str"),
        )
        for one in table.columns
    ]
    return replace(table, columns=columns)


def _stored(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise problem(path, "no such file", "check the path") from None
    except IsADirectoryError:
        raise problem(path, "is a folder", "name a table in it") from None
    except OSError as error:
        raise problem(path, f"cannot be opened ({error.strerror})", "check the disk") from None
    if not content.strip():
        raise problem(path, "is empty", "download or save it again")
    return content


def _unpacked(path: Path, content: bytes, wanted: str) -> tuple[bytes, str]:
    """Return the content without gzip, bzip2, xz, zip or tar around it."""
    for _ in range(3):
        for magic, name, unpack in _PACKED:
            if content.startswith(magic):
                try:
                    content = unpack(content)
                except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                    reason = f"the {name} stream is damaged or cut short ({error})"
                    raise problem(path, reason, "download it again") from None
                break
        else:
            archive = _archive(path, content)
            if archive is None:
                break
            content, wanted = _member(path, archive, wanted)
    if not content.strip():
        raise problem(path, "is empty", "download or save it again")
    return content, wanted


def _archive(path: Path, content: bytes) -> dict[str, Callable[[], bytes]] | None:
    """Return the files of an archive by name; None when the content is none."""
    if content.startswith(b"PK\x03\x04"):
        try:
            packed = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError):
            reason = "is a spreadsheet or zip archive that cannot be opened"
            raise problem(path, reason, "save the table as CSV") from None
        names = [one.filename for one in packed.infolist() if not one.is_dir()]
        if "[Content_Types].xml" in names or "mimetype" in names:
            raise problem(path, "is a spreadsheet", "save the table as CSV")
        return {name: partial(packed.read, name) for name in names}
    if content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found: dict[str, Callable[[], bytes]] = {}
            for one in tar.getmembers():
                stream = tar.extractfile(one) if one.isfile() else None
                if stream is not None:
                    found[one.name] = partial(bytes, stream.read())
        return found
    return None


def _member(path: Path, archive: dict[str, Callable[[], bytes]], wanted: str) -> tuple[bytes, str]:
    """Return the one table of an archive, or the one that is wanted."""
    tables = [
        name
        for name in archive
        if not any(part in name.lower() for part in _NO_MEMBERS[:2])
        and not PurePosixPath(name).name.lower().startswith(_NO_MEMBERS[2:])
    ]
    first, _, rest = wanted.partition("#")
    chosen = [name for name in tables if first in (name, PurePosixPath(name).name)]
    if not chosen and len(tables) == 1:
        chosen, rest = tables, wanted
    if len(chosen) != 1:
        listed = ", ".join(tables[:_SHOWN]) or "none"
        reason = f"is an archive of {len(tables)} tables ({listed})"
        raise problem(path, reason, f"unpack it, or name one as {path.name}#NAME")
    try:
        return archive[chosen[0]](), rest
    except (OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        reason = f"its file {chosen[0]} cannot be unpacked ({error})"
        raise problem(path, reason, "unpack it by hand") from None


Reader = Callable[[bytes], list[RawTable]]


def _reader(path: Path, content: bytes) -> tuple[str, Reader]:  # noqa: PLR0911  a line per format
    """Choose how to read the content by its beginning."""
    for magic, what, remedy in _NO_TABLES:
        if content.startswith(magic):
            raise problem(path, what, remedy)
    if content.startswith(b"SIMPLE  ="):
        return "FITS", _from_fits
    if content.startswith(b"PAR1"):
        return "Parquet", _from_parquet
    if content.startswith((b"ARROW1", b"FEA1")):
        return "Feather", _from_feather
    head = content[:65536].lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = head[:200].lower()
    if b"<votable" in head.lower():
        return "VOTable", lambda raw: _from_votable(path, raw)
    if lower.startswith((b"<!doctype html", b"<html", b"<head")):
        raise problem(path, "holds a web page, not a table", "download it again")
    if lower.startswith((b"<?xml", b"<")):
        raise problem(path, "is XML, but no VOTable", f"give {KNOWN_FORMATS}")
    if lower.startswith((b"[", b"{")):
        return "JSON", lambda raw: _from_json(path, raw)
    lines = mrt_lines(path, content)
    if lines and path.name.lower().startswith("readme"):
        raise problem(path, "describes tables and holds none", "name the data file beside it")
    if lines:
        ours = any("software: msfa-bhb" in line for line in lines[:2000])
        return "MRT", lambda _: [_astropy_table("", read_mrt(lines, not ours))]
    if _is_ipac(head):
        return "IPAC", lambda raw: [_with_astropy(raw, "ascii.ipac")]
    return "text", lambda raw: _from_text(path, raw)


def _is_ipac(head: bytes) -> bool:
    lines = [line for line in head.splitlines() if not line.startswith(b"\\")][:3]
    return (
        len(lines) == 3  # noqa: PLR2004
        and all(line.startswith(b"|") and line.rstrip().endswith(b"|") for line in lines[:2])
        and not lines[2].startswith(b"|---")
        and re.fullmatch(
            rb"\|(\s*(char|int|long|double|float|real|date|c|i|l|d|f|r)\s*\|)+\s*", lines[1]
        )
        is not None
    )


# --- FITS, VOTable and what else astropy reads -------------------------------------------------
def _from_fits(content: bytes) -> list[RawTable]:
    from astropy.io import fits  # noqa: PLC0415  slow to import
    from astropy.table import Table  # noqa: PLC0415

    tables = []
    with fits.open(io.BytesIO(content), memmap=False) as units:
        numbered = [(i, unit) for i, unit in enumerate(units) if hasattr(unit, "columns")]
        if not numbered:
            raise ValueError("the FITS file holds no table")
        for i, unit in numbered:
            name = unit.name or str(i)
            said = {column.name: column.unit for column in unit.columns}
            absent = _without_value(unit)  # before astropy scales the numbers
            table = _astropy_table(name, Table.read(units, hdu=i), said, absent)
            words = fits_words(unit.header, unit.columns.names)
            tables.append(_with_words(table, words))
    return tables


def _without_value(unit: Any) -> dict[str, NDArray[np.bool_]]:
    """(n,) for columns with TNULL, whether a row has none: by its stored number, not the scaled."""
    stored = unit.data.view(np.ndarray)
    return {
        one.name: np.asarray(stored[one.name] == int(one.null))
        for one in unit.columns
        if one.null not in (None, "")
        and stored[one.name].dtype.kind in "iu"
        and stored[one.name].ndim == 1
    }


def fits_words(header: Any, names: Sequence[str]) -> dict[str, str]:
    """Return what the header of a table says of each column: TTYPE's comment, TCOMM, TUCD."""
    words = {}
    for i, name in enumerate(names, start=1):
        said = [str(header.get(f"{key}{i}", "")) for key in ("TCOMM", "TDESC", "TDESCR", "TUCD")]
        words[name] = " ".join([header.comments[f"TTYPE{i}"], *said]).strip()
    return words


def _with_words(table: RawTable, words: Mapping[str, str]) -> RawTable:
    """Add what a file says of its columns to what is known of them."""
    columns = [
        replace(one, about=" ".join(f"{one.about} {words.get(one.name, '')}".split()))
        for one in table.columns
    ]
    return replace(table, columns=columns)


def _with_astropy(content: bytes, kind: str) -> RawTable:
    from astropy.table import Table  # noqa: PLC0415  slow to import

    source: Any = io.BytesIO(content) if kind == "votable" else decoded(content)[0]
    return _astropy_table("", Table.read(source, format=kind))


def _from_votable(path: Path, content: bytes) -> list[RawTable]:
    """Every table; what the service says of its answer is passed on."""
    from astropy.io import votable  # noqa: PLC0415  slow to import

    document = votable.parse(io.BytesIO(_whole_texts(content)), verify="ignore")
    notes = []
    resources, found = list(document.resources), []
    while resources:
        resource = resources.pop(0)
        resources = [*resource.resources, *resources]
        for info in resource.infos:
            if (info.name or "").upper() != "QUERY_STATUS":
                continue
            words = " ".join(str(info.content or "").split())
            if (info.value or "").upper() == "ERROR":
                reason = f"holds no answer: the service says {words or 'ERROR'!r}"
                raise problem(path, reason, "ask again, for less at a time")
            if (info.value or "").upper() == "OVERFLOW":
                notes.append(
                    "INCOMPLETE: the service cut its answer short (OVERFLOW)"
                    + (f": {words}" if words else "")
                )
        found += [(one, resource) for one in resource.tables]
    tables = []
    for number, (table, resource) in enumerate(found):
        name = table.name or table.ID or str(number)
        words = (
            f"{resource.description or ''} {table.description or ''} {resource.name or ''} {name}"
        )
        units = {one.name or one.ID: str(one.unit) for one in table.fields if one.unit is not None}
        made = table.to_table(use_names_over_ids=True)
        raw = _with_words(_astropy_table(str(name), made, units), _field_words(document, table))
        raw = replace(raw, columns=_repeated(raw.columns, made.colnames, table.fields))
        tables.append(RawTable(raw.name, raw.columns, raw.left_out, tuple(notes), words))
    if not tables:
        raise problem(path, "holds no table (VOTable)", "correct the file, or ask again")
    return tables


def _field_words(document: Any, table: Any) -> dict[str, str]:
    """Return what a VOTable says of each field: description, UCD, and its system of coordinates."""
    systems = {one.ID: one for one in document.iter_coosys() if one.ID}
    places = list(document.iter_coosys())
    words = {}
    for one in table.fields:
        said = [str(one.description or ""), str(one.ucd or "")]
        is_place = str(one.ucd or "").lower().startswith(("pos.eq", "pos_eq")) or one.ref in systems
        system = systems.get(one.ref, places[0] if is_place and len(places) == 1 else None)
        if system is not None:
            said += [str(system.system or ""), str(system.equinox or "")]
            said += [f"at epoch {system.epoch}"] if system.epoch else []
        words[one.name or one.ID] = " ".join(said)
    return words


def _repeated(
    columns: Sequence[RawColumn], made: Sequence[str], fields: Sequence[Any]
) -> list[RawColumn]:
    """Note of columns to which astropy gave another name since an earlier one has theirs."""
    names = {label: str(one.name or one.ID) for label, one in zip(made, fields, strict=True)}
    return [
        replace(one, repeats=names[one.name])
        if one.name in names and one.name != names[one.name] and names[one.name] in made
        else one
        for one in columns
    ]


def _whole_texts(content: bytes) -> bytes:
    """Let texts be as long as they are: services declare one character and send more."""
    if b"<TABLEDATA" not in content.upper():
        return content

    def widen(match: re.Match[bytes]) -> bytes:
        tag = match[0]
        if not re.search(rb"datatype\s*=\s*['\"](char|unicodeChar)['\"]", tag):
            return tag
        tag = re.sub(rb"\sarraysize\s*=\s*(['\"])[^'\"]*\1", b"", tag)
        return re.sub(rb"^(<(?:\w+:)?FIELD)\b", rb'\1 arraysize="*"', tag)

    return re.sub(rb"<(?:\w+:)?FIELD\b[^>]*>", widen, content)


def _astropy_table(
    name: str,
    table: Any,
    said: Mapping[str, str] | None = None,
    absent: Mapping[str, NDArray[np.bool_]] | None = None,
) -> RawTable:
    """One-dimensional columns of an astropy table; positions in an object become two columns.

    ``said`` are units by name, ``absent`` which rows of a column have no value.
    """
    columns: list[RawColumn] = []
    left_out: dict[str, str] = {}
    for label in table.colnames:
        column = table[label]
        sky = _sky(column)
        if sky is not None:
            for part, degrees in zip(("ra", "dec"), sky, strict=True):
                unique = part if part not in table.colnames else f"{label}.{part}"
                columns.append(RawColumn(unique, pd.Series(degrees), "deg"))
            continue
        if not hasattr(column, "dtype") or np.ndim(column) != 1:
            left_out[label] = "it holds an array or an object per row"
            continue
        mask = np.asarray(getattr(column, "mask", np.zeros(len(table), dtype=bool)))
        mask = (absent or {}).get(label, mask)
        values = column.unmasked if hasattr(column, "unmasked") else column
        values = np.asarray(getattr(values, "filled", lambda values=values: values)())
        if values.dtype.kind not in "SUOiufb":
            left_out[label] = "it holds an array or an object per row"
            continue
        if values.dtype.kind == "O" and any(isinstance(one, list | np.ndarray) for one in values):
            left_out[label] = "it holds an array or an object per row"
            continue
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        unit = (said or {}).get(label) or getattr(column, "unit", None)
        single = values.dtype.kind == "f" and values.dtype.itemsize <= 4  # noqa: PLR2004
        words = None if unit is None else str(unit)
        about = str(getattr(column, "description", None) or "")
        columns.append(RawColumn(str(label), _series(values, mask), words, single, about))
    return RawTable(name, _renamed(columns), left_out, (), _words(table))


def _words(table: Any) -> str:
    try:
        return json.dumps(dict(table.meta), default=str)[:65536]
    except (TypeError, ValueError):
        return ""


def _sky(column: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the positions of a column of sky coordinates [deg, ICRS]."""
    if not hasattr(column, "icrs"):
        return None
    icrs = column.icrs
    parts = [np.ma.filled(np.ma.asarray(one.deg), np.nan) for one in (icrs.ra, icrs.dec)]
    return np.asarray(parts[0], np.float64), np.asarray(parts[1], np.float64)


def _series(values: NDArray[Any], mask: NDArray[np.bool_]) -> pd.Series:
    """Return a pandas column in the machine's byte order, missing where masked."""
    if values.dtype.kind in "UO":
        text = pd.Series([_text(value) for value in values], dtype="str")
        return text.mask(pd.Series(mask))
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.uint64 and (values > np.uint64(2**63 - 1)).any():
        return pd.Series(values.astype(str), dtype="str").mask(pd.Series(mask))
    if values.dtype.kind in "iu":
        return pd.Series(pd.arrays.IntegerArray(values.astype(np.int64), mask.copy()))
    if values.dtype.kind == "b":
        return pd.Series(pd.arrays.BooleanArray(values, mask.copy()))
    return pd.Series(np.where(mask, np.nan, values.astype(np.float64)))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip()


def _renamed(columns: Sequence[RawColumn]) -> list[RawColumn]:
    names = distinct_names([column.name for column in columns])
    return [
        column if column.name == name else replace(column, name=name, repeats=column.name.strip())
        for name, column in zip(names, columns, strict=True)
    ]


# --- Parquet, Feather ------------------------------------------------------------------------
def _from_parquet(content: bytes) -> list[RawTable]:
    return [arrow_table(pyarrow.parquet.read_table(pa.BufferReader(content)))]


def _from_feather(content: bytes) -> list[RawTable]:
    return [arrow_table(pyarrow.feather.read_table(pa.BufferReader(content)))]


def arrow_table(table: pa.Table) -> RawTable:
    """Columns of an Arrow table; whole numbers with missing values stay whole."""
    columns: list[RawColumn] = []
    left_out: dict[str, str] = {}
    for label, stored in zip(table.schema, table.columns, strict=True):
        column = stored
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        if pa.types.is_nested(kind):
            left_out[label.name] = "it holds an array or an object per row"
            continue
        if pa.types.is_uint64(kind):
            try:
                column = column.cast(pa.int64())
            except pa.ArrowInvalid:
                column = column.cast(pa.string())
            kind = column.type
        if pa.types.is_integer(kind):
            values = column.cast(pa.int64()).to_pandas(types_mapper=lambda _: pd.Int64Dtype())
        elif pa.types.is_boolean(kind):
            values = column.to_pandas(types_mapper=lambda _: pd.BooleanDtype())
        elif pa.types.is_floating(kind):
            values = column.cast(pa.float64()).to_pandas()
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            values = pd.Series([_text(one) for one in column.to_pylist()], dtype="str")
        else:
            text = pc.utf8_trim_whitespace(column.cast(pa.string()))
            values = text.to_pandas().astype("str")
        said = {key.decode().lower(): word.decode() for key, word in (label.metadata or {}).items()}
        single = pa.types.is_floating(kind) and not pa.types.is_float64(kind)
        about = " ".join(said[key] for key in ("description", "ucd") if key in said)
        columns.append(RawColumn(label.name, values, said.get("unit"), single, about))
    return RawTable("", _renamed(columns), left_out)


# --- JSON ------------------------------------------------------------------------------------
def _from_json(path: Path, content: bytes) -> list[RawTable]:
    """Tables in JSON: a list of rows, named columns, or metadata and data as of a TAP service."""
    text, notes = decoded(content)
    try:
        said = json.loads(text)
    except ValueError:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        said = lines
    if isinstance(said, dict) and "error" in said and "data" not in said:
        words = said.get("description") or said.get("message") or said["error"]
        raise problem(path, f"holds no answer: the service says {str(words)!r}", "ask again")
    table = _json_table(said)
    if table is None:
        raise problem(path, "is JSON, but no table", "give a list of rows with named columns")
    return [RawTable("", table.columns, table.left_out, notes)]


def _json_table(said: Any) -> RawTable | None:
    units: dict[str, str] = {}
    words: dict[str, str] = {}
    if isinstance(said, dict):
        about = said.get("metadata") or said.get("columns") or said.get("fields")
        rows = next((said[key] for key in ("data", "rows", "results") if key in said), None)
        if (
            isinstance(about, list)
            and isinstance(rows, list)
            and rows
            and isinstance(rows[0], list)
        ):
            names = [str(one.get("name", one) if isinstance(one, dict) else one) for one in about]
            if any(len(row) != len(names) for row in rows):
                return None
            units, words = (
                {
                    str(one["name"]): " ".join(str(one[key]) for key in keys if one.get(key))
                    for one in about
                    if isinstance(one, dict) and "name" in one
                }
                for keys in (("unit",), ("description", "ucd"))
            )
            columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        elif isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            return _json_table(rows)
        elif said and all(isinstance(value, list) for value in said.values()):
            columns = {str(name): value for name, value in said.items()}
        elif said and all(isinstance(value, dict) for value in said.values()):
            index = list(dict.fromkeys(key for value in said.values() for key in value))
            columns = {name: [value.get(key) for key in index] for name, value in said.items()}
        else:
            return None
    elif isinstance(said, list) and said and all(isinstance(row, dict) for row in said):
        names = list(dict.fromkeys(name for row in said for name in row))
        columns = {name: [row.get(name) for row in said] for name in names}
    else:
        return None
    if len({len(values) for values in columns.values()}) != 1:
        return None
    found, left_out = [], {}
    for name, values in columns.items():
        if any(isinstance(value, list | dict) for value in values):
            left_out[name] = "it holds an array or an object per row"
            continue
        text = [None if value is None else _json_text(value) for value in values]
        unit, word = units.get(str(name)) or None, words.get(str(name), "")
        found.append(RawColumn(str(name), pd.Series(text, dtype="str"), unit, about=word))
    return RawTable("", _renamed(found), left_out)


def _json_text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


# --- text ------------------------------------------------------------------------------------
def decoded(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return text in whatever encoding, and a note where it was guessed."""
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode("utf-8-sig" if name == "utf-8" else name), ()
    even, odd = content[:4096:2].count(0), content[1:4096:2].count(0)
    if max(even, odd) > len(content[:4096]) / 5 and min(even, odd) == 0:
        name = "utf-16-be" if even else "utf-16-le"
        return content.decode(name), (f"read as {name.upper()}",)
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if re.search(rb"[\x80-\x9f]", content):  # controls in Latin-1, signs in Windows-1252
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode("cp1252"), ("read as Windows-1252, for it is not UTF-8",)
    return content.decode("latin-1"), ("read as Latin-1, for it is not UTF-8",)


def _from_text(path: Path, content: bytes) -> list[RawTable]:
    text, notes = decoded(content)
    if "\x00" in text[:4096]:
        raise problem(path, "is not a table", f"give {KNOWN_FORMATS}")
    if re.match(r"\s*#\s*%ECSV", text) and "__serialized_columns__" in text.partition("\n\n")[0]:
        header = "\n".join(line for line in text.splitlines()[:20000] if line.startswith("#"))
        kinds = set(re.findall(r"__class__:\s*([\w.]+)", header))
        if any(not kind.endswith(("Quantity", "Column", "MaskedColumn")) for kind in kinds):
            table = _with_astropy(content, "ascii.ecsv")
            return [RawTable("", table.columns, table.left_out, notes, table.text)]
    return [
        RawTable(
            one.name,
            [
                RawColumn(
                    name,
                    values,
                    one.units.get(name),
                    about=one.about.get(name, ""),
                    repeats=one.repeated.get(name, ""),
                )
                for name, values in one.columns.items()
            ],
            {},
            (*notes, *one.notes),
            one.comments,
        )
        for one in text_tables(path, text, KNOWN_FORMATS)
    ]
