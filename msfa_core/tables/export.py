"""What goes out: machine-readable table, FITS, VOTable, CSV, parquet, all driven by `columns.py`.

Every file says where it comes from (the header given by the caller) and reads back to the
same table: numbers exactly, in the two text formats for people (MRT, CSV) to the decimals
of the column. Empty text counts as missing.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pandas as pd
import pyarrow as pa

from msfa_core import __version__
from msfa_core.columns import BY_NAME, COLUMNS, PAPER_COLUMNS, Column, columns_of
from msfa_core.counting import counted
from msfa_core.durable import replacing
from msfa_core.errors import ExportError
from msfa_core.rules import title_sentence
from msfa_core.tables.beside import flags_in_words, flags_left_out, own_column
from msfa_core.tables.guards import ESCAPES, GUARDED, escaped, harmless, tidied, tidy
from msfa_core.tables.mrt_writer import CHUNK_ROWS, to_ascii, write_mrt

if TYPE_CHECKING:
    from astropy.io import fits

FITS_NO_INTEGER: Final = -(2**63)  # TNULL of integers
FITS_NO_FLAG: Final = -1  # TNULL of yes/no columns: FITS logicals lose what is missing
SIMULATED: Final = Column(
    "simulated", "bool", "user", "These stars do not exist: their spectra were computed"
)
PROVENANCE_SUFFIX: Final = ".provenance.json"
COLUMN_STEPS: Final = tuple(dict.fromkeys(column.step for column in COLUMNS))
_NUMBERS: Final = re.compile(r"-?\d[\d.-]*")  # LAMOST's way of listing several
_XML_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

Writer = Callable[[Path, Sequence[Column], pd.DataFrame, Mapping[str, str]], None]


def export(
    table: pd.DataFrame,
    path: str | Path,
    *,
    columns: str | Iterable[str | Column] = "paper",
    header: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a table for publication, whole or not at all.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.py`, and any others.
    path : str or Path
        The suffix names the format, see `FORMATS`.
    columns : str or names
        ``paper`` (Table 6), ``full`` (every column of the contract that the table has, then
        its others), a step (``measure``: the columns that it fills), a name, several of these
        separated by commas; or a list of names, or of columns that describe themselves.
    header : mapping, optional
        ``title``, ``authors``, ``table`` (one sentence), and whatever else belongs to the
        provenance: selection, survey, checksums, counts. CSV and parquet have no place for
        it that every reader knows, so there it lies beside the file, as
        ``<file>.provenance.json``.
    overwrite : bool
        Whether a file of that name may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        For an unknown format, an empty table, a missing column, a file that is there
        already, or a disk that refuses; then nothing was written.
    """
    path = Path(path).expanduser()
    write = writer_of(path)
    if len(table) == 0:
        raise ExportError(
            f"{path.name} not written: no row to export. Widen the selection, or decide on "
            "stars first (all rows go out when no verdict is asked for)."
        )
    chosen = choose_columns(table, columns)
    typed = _typed(table, chosen)
    notes = _header(header, table) | flags_in_words(chosen, typed)
    notes |= flags_left_out(chosen, table)
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists; name another file, or replace it with --overwrite.")
    if not path.parent.is_dir():
        raise ExportError(f"{path.parent} is not a folder; make it first.")
    try:
        with ExitStack() as both:  # what lies beside a table tells of it: both are new, or none
            if write in (_write_csv, _write_parquet):
                beside = path.with_name(path.name + PROVENANCE_SUFFIX)
                _write_provenance(both.enter_context(replacing(beside)), chosen, notes)
            write(both.enter_context(replacing(path)), chosen, typed, notes)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ExportError(
            f"{path} cannot be written: {reason}; check the folder and its free space."
        ) from error
    return path


def writer_of(path: str | Path) -> Writer:
    """Return what writes the format that the suffix of a file names.

    Raises
    ------
    ExportError
        For an unknown one.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower().removeprefix("."))
    if write is None:
        raise ExportError(
            f"{path.name}: unknown format {path.suffix or 'without suffix'!r}; it is one of "
            f"{', '.join(f'.{name}' for name in FORMATS)}."
        )
    return write


def choose_columns(table: pd.DataFrame, columns: str | Iterable[str | Column]) -> list[Column]:
    """Return the columns that go out, in order.

    Raises
    ------
    ExportError
        When one is missing from the table, named twice, or none is left.
    """
    described: dict[str, Column] = dict(BY_NAME)
    if isinstance(columns, str):
        names = named_columns(columns, table)
    else:
        given = list(columns)
        described |= {column.name: column for column in given if isinstance(column, Column)}
        names = [one.name if isinstance(one, Column) else one for one in given]
    missing = [str(name) for name in names if name not in table.columns]
    if missing:
        raise ExportError(
            f"The table lacks the column(s) {', '.join(missing)}; run the steps that fill them, "
            f"or choose among {', '.join(map(str, table.columns))}."
        )
    if not names or len(set(names)) < len(names):
        raise ExportError("No column is chosen, or one is chosen twice; give each name once.")
    return [described.get(name) or own_column(str(name), table[name]) for name in names]


def named_columns(text: str, table: pd.DataFrame) -> list[str]:
    """Return the columns of sets and names separated by commas, each where it comes first.

    Raises
    ------
    ExportError
        For a word that is neither a set nor a column.
    """
    sets = {step: [one.name for one in columns_of(step)] for step in COLUMN_STEPS}
    sets = {step: [name for name in names if name in table.columns] for step, names in sets.items()}
    sets["paper"] = list(PAPER_COLUMNS)
    sets["full"] = [column.name for column in COLUMNS if column.name in table.columns]
    sets["full"] += [name for name in table.columns if name not in BY_NAME]
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in sets and word not in table.columns]
    if unknown and not set(unknown) <= set(BY_NAME):
        raise ExportError(
            f"columns = {text!r}: {', '.join(unknown)} is no set ({', '.join(sets)}) and no column "
            "of the table; give sets, or names as data/docs/numbers.md lists them."
        )
    if not words:
        raise ExportError(f"No column is chosen; give sets ({', '.join(sets)}), or names.")
    names = [name for word in words for name in sets.get(word, [word])]
    return list(dict.fromkeys(names))


def _typed(table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the chosen columns in the types of the contract, text tidied."""
    data: dict[str, pd.Series] = {}
    for column in columns:
        try:
            values = table[column.name].astype(column.dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise ExportError(f"Column {column.name} is not {column.kind}: {error}.") from error
        if column.kind == "str":
            values = tidied(values)
            if column.name == "file":  # folders of the one who exports tell a reader nothing
                values = values.str.replace(r"^.*[/\\\\]", "", regex=True)
            values = values.where(values != "").astype("str")
        data[column.name] = values.reset_index(drop=True)
    return pd.DataFrame(data)


def _header(header: Mapping[str, str] | None, table: pd.DataFrame) -> dict[str, str]:
    """Return the header with title, authors, table and software filled in."""
    given = {str(key): " ".join(tidy(str(text)).split()) for key, text in (header or {}).items()}
    defaults = {
        "title": title_sentence(table),
        "authors": "(not stated)",
        "table": counted(len(table), "spectrum", "spectra"),
        "software": f"msfa-bhb {__version__}",
    }
    first = {key: given.get(key) or text for key, text in defaults.items()}
    return first | {key: text for key, text in given.items() if key not in first and text}


# --- FITS ----------------------------------------------------------------------------------
def _write_fits(
    path: Path, columns: Sequence[Column], table: pd.DataFrame, header: Mapping[str, str]
) -> None:
    """Write a binary table with units, UCDs (TUCD) and descriptions (TCOMM)."""
    from astropy.io import fits  # noqa: PLC0415  slow to import: the first page would wait

    parts = [_fits_column(column, table[column.name]) for column in columns]
    hdu = fits.BinTableHDU.from_columns(fits.ColDefs(parts), name="CANDIDATES")
    for number, column in enumerate(columns, start=1):
        text = _described(column, says_unit=bool(_standard_unit(column, "fits")))
        if column.kind == "bool":
            text += " (1 = yes, 0 = no)"
        hdu.header[f"TCOMM{number}"] = to_ascii(text)
        if column.ucd:
            hdu.header[f"TUCD{number}"] = column.ucd
    texts = [one for column in columns if column.kind == "str" for one in table[column.name]]
    is_plain = all(one == escaped(one) for one in texts if isinstance(one, str))
    if not (is_plain and all(text.isascii() for text in header.values())):
        header = {**header, "characters": ESCAPES}
    primary = fits.PrimaryHDU()
    for keyword, key in (("TITLE", "title"), ("AUTHOR", "authors"), ("CREATOR", "software")):
        for part in (primary, hdu):  # readers of tables look at the second header only
            part.header[keyword] = to_ascii(header[key])
    for key, text in header.items():
        primary.header.add_history(to_ascii(f"{key}: {text}"))
    for part in (primary, hdu):
        part.add_checksum(when="of this file")  # astropy's own words hold the time of day
    fits.HDUList([primary, hdu]).writeto(path)


def _fits_column(column: Column, values: pd.Series) -> fits.Column:
    from astropy.io import fits  # noqa: PLC0415

    unit = _standard_unit(column, "fits") or None
    if column.kind == "int":
        numbers = values.fillna(FITS_NO_INTEGER).to_numpy(np.int64)
        return fits.Column(column.name, "K", unit=unit, null=FITS_NO_INTEGER, array=numbers)
    if column.kind == "bool":
        flags = values.astype("Int16").fillna(FITS_NO_FLAG).to_numpy(np.int16)
        return fits.Column(column.name, "I", null=FITS_NO_FLAG, array=flags)
    if column.kind == "float":
        return fits.Column(column.name, "D", unit=unit, array=values.to_numpy(np.float64))
    text = [escaped(value) if isinstance(value, str) else "" for value in values]
    width = max(1, *(len(value) for value in text))
    return fits.Column(column.name, f"{width}A", array=np.array(text, dtype=f"S{width}"))


def _described(column: Column, *, says_unit: bool) -> str:
    """Return the description, with the unit where the format's own standard lacks it."""
    return column.description + (f" [{column.unit}]" if column.unit and not says_unit else "")


def _standard_unit(column: Column, standard: str) -> str:
    """Return the unit as FITS or VOUnit writes it, empty where it has no dex or percent."""
    from astropy import units  # noqa: PLC0415  slow to import

    if not column.unit:
        return ""
    try:
        return str(units.Unit(column.unit).to_string(standard))
    except ValueError:
        return ""


# --- VOTable -------------------------------------------------------------------------------
_VO_TYPES: Final = {
    "int": 'datatype="long"',
    "float": 'datatype="double"',
    "bool": 'datatype="boolean"',
    "str": 'datatype="unicodeChar" arraysize="*"',
}


def _write_votable(
    path: Path, columns: Sequence[Column], table: pd.DataFrame, header: Mapping[str, str]
) -> None:
    """Write a VOTable 1.4; an empty cell is missing."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        '<RESOURCE type="results">',
        f"<DESCRIPTION>{escape(header['title'])}</DESCRIPTION>",
        '<COOSYS ID="ICRS" system="ICRS"/>',
        *(
            f'<INFO ID="header_{number}" name={quoteattr(key)} value={quoteattr(text)}/>'
            for number, (key, text) in enumerate(header.items(), start=1)
        ),
        f'<TABLE name="candidates" nrows="{len(table)}">',
        f"<DESCRIPTION>{escape(header['table'])}</DESCRIPTION>",
    ]
    for number, column in enumerate(columns, start=1):
        unit = _vo_unit(column)
        attributes = f"name={quoteattr(column.name)} {_VO_TYPES[column.kind]}"
        attributes += f" unit={quoteattr(unit)}" if unit else ""
        attributes += f' ucd="{column.ucd}"' if column.ucd else ""
        attributes += ' ref="ICRS"' if column.ucd.startswith("pos.eq.") else ""
        if not _XML_NAME.fullmatch(column.name):
            attributes += f' ID="column_{number}"'
        text = _described(column, says_unit=bool(unit) and "'" not in unit)
        lines.append(f"<FIELD {attributes}><DESCRIPTION>{escape(text)}</DESCRIPTION></FIELD>")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join([*lines, "<DATA><TABLEDATA>"]) + "\n")
        for start in range(0, len(table), CHUNK_ROWS):
            part = table.iloc[start : start + CHUNK_ROWS]
            cells = [_vo_cells(column, part[column.name]) for column in columns]
            for row in zip(*cells, strict=True):
                file.write(f"<TR><TD>{'</TD><TD>'.join(row)}</TD></TR>\n")
        file.write("</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def _vo_unit(column: Column) -> str:
    """Return the VOUnit; dex is a quoted unit there, its argument goes to the description."""
    if column.unit.startswith("dex"):
        return "'dex'"
    return "0.1nm" if column.unit == "Angstrom" else _standard_unit(column, "vounit")


def _vo_cells(column: Column, values: pd.Series) -> list[str]:
    if column.kind == "str":
        return [escape(value) if isinstance(value, str) else "" for value in values]
    if column.kind == "bool":
        text = values.map({True: "T", False: "F"}, na_action="ignore")
        return [value if isinstance(value, str) else "" for value in text]
    if column.kind == "int":
        return _integers(values)
    special = {"nan": "", "inf": "+Inf", "-inf": "-Inf"}
    words = map(repr, values.to_numpy(np.float64).tolist())
    return [special.get(word, word) for word in words]


def _integers(values: pd.Series) -> list[str]:
    missing = values.isna().to_numpy()
    numbers = values.fillna(0).to_numpy(np.int64).tolist()
    return ["" if skip else str(one) for one, skip in zip(numbers, missing.tolist(), strict=True)]


# --- CSV and parquet -----------------------------------------------------------------------
def _write_csv(
    path: Path, columns: Sequence[Column], table: pd.DataFrame, header: Mapping[str, str]
) -> None:
    """Write plain CSV in UTF-8; text that a spreadsheet would run as a formula gets a ``'``.

    No comment lines: not every reader survives them. Where the stars are simulated a column says
    so, which every reader keeps.
    """
    if header.get("simulated") and SIMULATED.name not in table:
        columns = [*columns, SIMULATED]
        table = table.assign(**{SIMULATED.name: pd.array([True] * len(table), dtype="boolean")})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([harmless(column.name) for column in columns])
        for start in range(0, len(table), CHUNK_ROWS):
            part = table.iloc[start : start + CHUNK_ROWS]
            cells = [_csv_cells(column, part[column.name]) for column in columns]
            writer.writerows(zip(*cells, strict=True))


def _csv_cells(column: Column, values: pd.Series) -> list[str]:
    if column.kind == "str":
        has_lists = column.step != "user" and column.name not in BY_NAME  # those of the caller
        return [
            ""
            if not isinstance(value, str)
            else value
            if has_lists and _NUMBERS.fullmatch(value)
            else harmless(value)
            for value in values
        ]
    if column.kind == "bool":
        return ["" if value is pd.NA else str(bool(value)) for value in values]
    if column.kind == "int":
        return _integers(values)
    form = f"%{column.format}" if column.format else "%r"
    words = (form % number for number in values.to_numpy(np.float64).tolist())
    return ["" if word == "nan" else word for word in words]


def _write_parquet(
    path: Path, columns: Sequence[Column], table: pd.DataFrame, header: Mapping[str, str]
) -> None:
    """Write parquet; units, UCDs and descriptions ride with the fields."""
    import pyarrow.parquet as pq  # noqa: PLC0415  # only this format needs it

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    fields = [
        arrow.schema.field(number).with_metadata(_about(column))
        for number, column in enumerate(columns)
    ]
    notes = {**(arrow.schema.metadata or {}), b"msfa": json.dumps(dict(header)).encode()}
    with path.open("wb") as file:  # pyarrow opens no names that are no UTF-8
        pq.write_table(arrow.cast(pa.schema(fields, metadata=notes)), file, compression="zstd")


def _about(column: Column) -> dict[str, str]:
    return {"description": column.description, "unit": column.unit, "ucd": column.ucd}


def _write_provenance(path: Path, columns: Sequence[Column], header: Mapping[str, str]) -> None:
    content = {
        "header": dict(header),
        "text": GUARDED,
        "columns": {one.name: {**_about(one), "kind": one.kind} for one in columns},
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


_WRITERS: Final[Mapping[str, Writer]] = MappingProxyType(
    {
        "mrt": write_mrt,
        "fits": _write_fits,
        "vot": _write_votable,
        "csv": _write_csv,
        "parquet": _write_parquet,
    }
)
FORMATS: Final[Mapping[str, str]] = MappingProxyType(  # suffix -> what it is
    {
        "mrt": "Machine-readable table of the AAS journals",
        "fits": "FITS binary table",
        "vot": "VOTable",
        "csv": "CSV (comma-separated values)",
        "parquet": "Parquet",
    }
)
