"""Tables that describe themselves, as astropy reads them: FITS, VOTable, ECSV, MRT, IPAC."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.tables.heads import cut_short
from msfa_core.tables.packing import decoded
from msfa_core.tables.raw import RawColumn, RawTable, renamed, text_of
from msfa_core.tables.text import problem


def from_fits(content: bytes) -> list[RawTable]:
    """Return every table of a FITS file."""
    from astropy.io import fits  # noqa: PLC0415  slow to import
    from astropy.table import Table  # noqa: PLC0415

    tables = []
    with fits.open(io.BytesIO(content), memmap=False) as units:
        numbered = [(i, unit) for i, unit in enumerate(units) if hasattr(unit, "columns")]
        if not numbered:
            raise ValueError("the FITS file holds no table")
        for i, unit in numbered:
            if unit.verify_datasum() == 0:
                name = unit.name or str(i)
                raise ValueError(f"the data of {name} do not agree with their checksum, DATASUM")
        for i, unit in numbered:
            name = unit.name or str(i)
            said = {column.name: column.unit for column in unit.columns}
            words = fits_words(unit.header, unit.columns.names)
            if isinstance(unit, fits.TableHDU):
                tables.append(_with_words(astropy_table(name, _as_text(unit), said), words))
                continue
            absent = _without_value(unit)  # before astropy scales the numbers
            for one in (unit.columns[label] for label in absent):
                one.null = None  # which astropy takes for a number of the scaled column
            table, absent = _by_row(Table.read(units, hdu=i), absent)
            tables.append(_with_words(astropy_table(name, table, said, absent), words))
    return tables


def _without_value(unit: Any) -> dict[str, NDArray[np.bool_]]:
    """(n,) for columns with TNULL, whether a row has none: by its stored number, not the scaled."""
    stored = unit.data.view(np.ndarray)
    return {
        one.name: np.asarray(stored[one.name] == int(one.null)).ravel()
        for one in unit.columns
        if one.null not in (None, "")
        and stored[one.name].dtype.kind in "iu"
        and (stored[one.name].size == len(stored) or len(stored) == 1)
    }


def _by_row(table: Any, absent: dict[str, NDArray[np.bool_]]) -> tuple[Any, Any]:
    """Return a table stored column by column (colfits: one row of equally long arrays) by rows."""
    shapes = {np.shape(table[label])[1:2] for label in table.colnames}
    if len(table) != 1 or len(shapes) != 1 or shapes & {(), (1,)}:
        return table, {k: rows for k, rows in absent.items() if len(rows) == len(table)}
    return type(table)([table[label][0] for label in table.colnames], names=table.colnames), absent


def _as_text(unit: Any) -> Any:
    """Return a table whose numbers are text (XTENSION = TABLE) as it is written.

    astropy makes 0 of a field without a number, and fails at the text that stands for none.
    """
    from astropy.table import MaskedColumn, Table  # noqa: PLC0415  slow to import

    if any(
        one.bscale not in (None, "", 1) or one.bzero not in (None, "", 0) for one in unit.columns
    ):
        raise ValueError("its numbers are text and to be scaled, too")
    stored, columns = unit.data.view(np.ndarray), []
    for one in unit.columns:
        words = np.char.strip(np.char.decode(stored[one.name], "ascii", "replace"))
        none = (words == "") | (words == str(one.null or "").strip())
        columns.append(MaskedColumn(words, one.name, mask=none))
    return Table(columns)


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


def with_astropy(content: bytes, kind: str) -> RawTable:
    """Return the table of a format that astropy knows by name."""
    from astropy.table import Table  # noqa: PLC0415  slow to import

    packed = kind in ("votable", "parquet")
    source: Any = io.BytesIO(content) if packed else decoded(content)[0]
    return astropy_table("", Table.read(source, format=kind))


def from_votable(path: Path, content: bytes) -> list[RawTable]:
    """Return every table of a VOTable; what the service says of its answer is passed on."""
    from astropy.io import votable  # noqa: PLC0415  slow to import

    document = votable.parse(io.BytesIO(_whole_texts(content)), verify="ignore")
    infos = list(document.infos)
    resources, found = list(document.resources), []
    while resources:
        resource = resources.pop(0)
        resources = [*resource.resources, *resources]
        infos += resource.infos
        for one in resource.tables:
            infos += one.infos
            found.append((one, resource))
    notes = _of_service(path, infos)
    tables = []
    for number, (table, resource) in enumerate(found):
        name = table.name or table.ID or str(number)
        words = (
            f"{resource.description or ''} {table.description or ''} {resource.name or ''} {name}"
        )
        units = {one.name or one.ID: str(one.unit) for one in table.fields if one.unit is not None}
        made = table.to_table(use_names_over_ids=True)
        raw = _with_words(astropy_table(str(name), made, units), _field_words(document, table))
        raw = replace(raw, columns=_repeated(raw.columns, made.colnames, table.fields))
        tables.append(RawTable(raw.name, raw.columns, raw.left_out, tuple(notes), words))
    if not tables:
        raise problem(path, "holds no table (VOTable)", "correct the file, or ask again")
    return tables


def _of_service(path: Path, infos: Sequence[Any]) -> list[str]:
    """Return what a service says of its answer: that it cut it short.

    Raises
    ------
    CatalogueError
        When it says that there is none.
    """
    notes: list[str] = []
    for info in infos:
        words = " ".join(str(info.content or "").split())
        status = str(info.value or "").upper() if str(info.name).upper() == "QUERY_STATUS" else ""
        if status == "ERROR":
            reason = f"holds no answer: the service says {words or 'ERROR'!r}"
            raise problem(path, reason, "ask again, for less at a time")
        if status == "OVERFLOW":
            said = f": {words}" if words else ""
            notes.append(f"INCOMPLETE: the service cut its answer short (OVERFLOW){said}")
        elif str(info.name).lower() == "warning":  # of VizieR
            notes += cut_short(f"{info.value or ''} {words}")
    return notes[:1]


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
    if not re.search(rb"<(?:\w+:)?TABLEDATA", content, re.IGNORECASE):
        return content

    def widen(match: re.Match[bytes]) -> bytes:
        tag = match[0]
        if not re.search(rb"datatype\s*=\s*['\"](char|unicodeChar)['\"]", tag):
            return tag
        tag = re.sub(rb"\sarraysize\s*=\s*(['\"])[^'\"]*\1", b"", tag)
        return re.sub(rb"^(<(?:\w+:)?FIELD)\b", rb'\1 arraysize="*"', tag)

    return re.sub(rb"<(?:\w+:)?FIELD\b[^>]*>", widen, content)


def astropy_table(
    name: str,
    table: Any,
    said: Mapping[str, str] | None = None,
    absent: Mapping[str, NDArray[np.bool_]] | None = None,
) -> RawTable:
    """Return one-dimensional columns of an astropy table; places in an object become two columns.

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
        if hasattr(column, "dtype") and np.shape(column)[1:] == (1,):
            column = column[:, 0]  # an array of one number is a number
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
    return RawTable(name, renamed(columns), left_out, (), _words(table))


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
        text = pd.Series([text_of(value) for value in values], dtype="str")
        return text.mask(pd.Series(mask))
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.uint64 and (values > np.uint64(2**63 - 1)).any():
        return pd.Series(values.astype(str), dtype="str").mask(pd.Series(mask))
    if values.dtype.kind in "iu":
        return pd.Series(pd.arrays.IntegerArray(values.astype(np.int64), mask.copy()))
    if values.dtype.kind == "b":
        return pd.Series(pd.arrays.BooleanArray(values, mask.copy()))
    return pd.Series(np.where(mask, np.nan, values.astype(np.float64)))
