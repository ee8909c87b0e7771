"""Formats: the content of a file, not its name, says how it is read.

The libraries read the formats: astropy (FITS, VOTable, ECSV, MRT, CDS, IPAC), pyarrow (Parquet,
Feather, Arrow streams, ORC, delimited text). Here is what surrounds them: packing, encodings,
several tables in a file, and a message where a format cannot be read.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

from msfa_core.errors import CatalogueError
from msfa_core.tables.described import astropy_table, from_fits, from_votable, with_astropy
from msfa_core.tables.guards import ESCAPES, GUARDED, unescaped
from msfa_core.tables.mrt import mrt_lines, read_mrt
from msfa_core.tables.packing import decoded, split_path, stored, unpacked
from msfa_core.tables.raw import RawColumn, RawFile, RawTable, renamed, text_of
from msfa_core.tables.text import problem, text_tables

KNOWN_FORMATS: Final = (
    "CSV (comma, |, ; or tab), VizieR TSV, FITS, VOTable, ECSV, MRT, JSON, Parquet, Feather, Arrow "
    "or ORC"
)
_NO_TABLES: Final = (  # beginning of the content, what it is, what to do
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "save the table as FITS, VOTable, Parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet of the old Excel format", "save the table as CSV"),
    (b"SQLite format 3\x00", "is an SQLite database", "save the table as CSV or Parquet"),
    (b"#ASDF", "is an ASDF file", "save the table as FITS, ECSV or Parquet"),
    (b"%PDF", "is a PDF document", "give the table that belongs to it"),
    (b"\x93NUMPY", "is a NumPy array without names", "save the table as CSV or FITS"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", "unpack it"),
    (b"Rar!", "is a RAR archive", "unpack it"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file", "fetch it: git lfs pull"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", "unpack it"),
    (b"\x80\x04\x95", "is a Python pickle, which is never opened", "save the table as CSV"),
)

_END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow; its messages begin alike
_LATEX: Final = re.compile(rb"\\begin\s*\{(tabular|deluxetable|longtable|table)|\\documentclass")
_VOTABLE: Final = re.compile(rb"<(?:\w+:)?votable\b", re.IGNORECASE)
_ASTROPY: Final = b"table_meta_yaml"  # key under which astropy describes a Parquet file
_PLAIN_CLASSES: Final = ("Quantity", "Column", "Magnitude", "Dex")  # numbers with a unit


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
    content = stored(path)
    checksum = hashlib.sha256(content).hexdigest()[:16]
    content, wanted = unpacked(path, content, wanted)
    kind, reader = _reader(path, content)
    # astropy, as it is imported, takes the warnings: within the block they would go to its log
    import astropy  # noqa: F401, PLC0415  slow to import

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
        said = ""
        with suppress(OSError):  # not there, or too long a name to be there
            said = beside.read_text(encoding="utf-8", errors="replace")
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


Reader = Callable[[bytes], list[RawTable]]


def _refuse_others(path: Path, content: bytes) -> None:
    """Refuse what holds no table by its name, and say what to do."""
    for magic, what, remedy in _NO_TABLES:
        if content.startswith(magic):
            raise problem(path, what, remedy)
    if _LATEX.search(content[:4096]):
        raise problem(path, "is LaTeX", f"give {KNOWN_FORMATS}")


def _refuse_markup(path: Path, lower: bytes) -> None:
    """Refuse pages and other XML by the beginning of the content, in small letters."""
    if lower.startswith((b"<!doctype html", b"<html", b"<head")):
        raise problem(path, "holds a web page, not a table", "download it again")
    if lower.startswith(b"<table") or b"<tbody" in lower:
        raise problem(path, "is an HTML table", f"give {KNOWN_FORMATS}")
    if lower.startswith((b"<?xml", b"<")):
        raise problem(path, "is XML, but no VOTable", f"give {KNOWN_FORMATS}")


def _reader(path: Path, content: bytes) -> tuple[str, Reader]:  # noqa: PLR0911  a line per format
    """Choose how to read the content by its beginning."""
    _refuse_others(path, content)
    if content.startswith(b"SIMPLE  ="):
        return "FITS", from_fits
    if content.startswith(b"PAR1"):
        return "Parquet", _from_parquet
    if content.startswith((b"ARROW1", b"FEA1")):
        return "Feather", _from_feather
    if content.startswith(_END_OF_STREAM[:4]):
        return "Arrow", lambda raw: _from_stream(path, raw)
    if content.startswith(b"ORC"):
        return "ORC", _from_orc
    head = content[:65536].lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = head[:200].lower()
    if _VOTABLE.search(head):
        return "VOTable", lambda raw: from_votable(path, raw)
    _refuse_markup(path, lower)
    if lower.startswith((b"[", b"{")):
        return "JSON", lambda raw: _from_json(path, raw)
    lines = mrt_lines(path, content)
    if lines and path.name.lower().startswith("readme"):
        raise problem(path, "describes tables and holds none", "name the data file beside it")
    if lines:
        ours = any("software: msfa-bhb" in line for line in lines[:2000])
        return "MRT", lambda _: [astropy_table("", read_mrt(lines, not ours))]
    if _is_ipac(head):
        return "IPAC", lambda raw: [with_astropy(raw, "ascii.ipac")]
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


# --- Parquet, Feather, Arrow, ORC ---------------------------------------------------------------
def _from_parquet(content: bytes) -> list[RawTable]:
    file = pyarrow.parquet.ParquetFile(pa.BufferReader(content))
    said = (file.schema_arrow.metadata or {}).get(_ASTROPY, b"").decode()
    if _has_mixins(said):
        return [with_astropy(content, "parquet")]
    return [arrow_table(file.read())]


def _has_mixins(header: str) -> bool:
    """Tell whether astropy wrote places, times or masks as columns: only it puts them together."""
    kinds = set(re.findall(r"__class__:\s*([\w.]+)", header))
    return any("Masked" in kind or not kind.endswith(_PLAIN_CLASSES) for kind in kinds)


def _told_by_astropy(schema: pa.Schema) -> tuple[dict[str, str], dict[str, str]]:
    """Return units and descriptions that astropy put into a Parquet file, by column."""
    said = (schema.metadata or {}).get(_ASTROPY)
    if said is None:
        return {}, {}
    from astropy.table import meta  # noqa: PLC0415  slow to import

    columns = meta.get_header_from_yaml(said.decode().split("\n")).get("datatype", ())
    units, words = (
        {str(one["name"]): str(one[key]) for one in columns if one.get(key)}
        for key in ("unit", "description")
    )
    return units, words


def _from_feather(content: bytes) -> list[RawTable]:
    return [arrow_table(pyarrow.feather.read_table(pa.BufferReader(content)))]


def _from_stream(path: Path, content: bytes) -> list[RawTable]:
    """Read the messages of an Arrow stream; one that was cut between two of them lacks its end."""
    if not content.endswith(_END_OF_STREAM):
        raise problem(path, "is an Arrow stream without its end: it is cut short", "save it again")
    with pyarrow.ipc.open_stream(pa.BufferReader(content)) as stream:
        return [arrow_table(stream.read_all())]


def _from_orc(content: bytes) -> list[RawTable]:
    from pyarrow import orc  # noqa: PLC0415  seldom used

    return [arrow_table(orc.ORCFile(pa.BufferReader(content)).read())]


def arrow_table(table: pa.Table) -> RawTable:
    """Columns of an Arrow table; whole numbers with missing values stay whole."""
    columns: list[RawColumn] = []
    left_out: dict[str, str] = {}
    units, words = _told_by_astropy(table.schema)
    for label, chunks in zip(table.schema, table.columns, strict=True):
        column = chunks
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
            values = pd.Series([text_of(one) for one in column.to_pylist()], dtype="str")
        else:
            text = pc.utf8_trim_whitespace(column.cast(pa.string()))
            values = text.to_pandas().astype("str")
        said = {key.decode().lower(): word.decode() for key, word in (label.metadata or {}).items()}
        single = pa.types.is_floating(kind) and not pa.types.is_float64(kind)
        about = " ".join(said[key] for key in ("description", "ucd") if key in said)
        about = about or words.get(label.name, "")
        unit = said.get("unit") or units.get(label.name)
        columns.append(RawColumn(label.name, values, unit, single, about))
    return RawTable("", renamed(columns), left_out)


# --- JSON ------------------------------------------------------------------------------------
def _from_json(path: Path, content: bytes) -> list[RawTable]:
    """Tables in JSON: a list of rows, named columns, or metadata and data as of a TAP service."""
    text, notes = decoded(content)
    try:
        said = json.loads(text, object_pairs_hook=_of_distinct_names)
    except json.JSONDecodeError:
        lines = (line for line in text.splitlines() if line.strip())
        said = [json.loads(line, object_pairs_hook=_of_distinct_names) for line in lines]
    if isinstance(said, dict) and "error" in said and "data" not in said:
        words = said.get("description") or said.get("message") or said["error"]
        raise problem(path, f"holds no answer: the service says {str(words)!r}", "ask again")
    table = _json_table(_numbered_rows(said))
    if table is None:
        raise problem(path, "is JSON, but no table", "give a list of rows with named columns")
    return [RawTable("", table.columns, table.left_out, notes)]


def _of_distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its names and values; a name that is there twice must say one thing."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next((name for name, value in pairs if made[name] != value), None)
        if twice is not None:
            raise ValueError(f"a row names {twice} twice, with different values")
    return made


def _numbered_rows(said: Any) -> Any:
    """Return the rows of an object that holds one each, by its number; else what is given."""
    if not isinstance(said, dict) or not all(isinstance(value, dict) for value in said.values()):
        return said
    names = {name for value in said.values() for name in value}
    numbered = all(map(str.isdigit, said)) and not all(map(str.isdigit, names))
    return list(said.values()) if numbered else said


def _json_table(said: Any) -> RawTable | None:
    units: dict[str, str] = {}
    words: dict[str, str] = {}
    if isinstance(said, dict):
        about = said.get("metadata") or said.get("columns") or said.get("fields")
        about = about or said.get("info")
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
    return RawTable("", renamed(found), left_out)


def _json_text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


# --- text ------------------------------------------------------------------------------------
def _from_text(path: Path, content: bytes) -> list[RawTable]:
    text, notes = decoded(content)
    if "\x00" in text[:4096]:
        raise problem(path, "is not a table", f"give {KNOWN_FORMATS}")
    if re.match(r"\s*#\s*%ECSV", text) and "__serialized_columns__" in text.partition("\n\n")[0]:
        header = "\n".join(line for line in text.splitlines()[:20000] if line.startswith("#"))
        if _has_mixins(header):
            table = with_astropy(content, "ascii.ecsv")
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
