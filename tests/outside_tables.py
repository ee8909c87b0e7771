"""A true table of Gaia rows, and the many ways in which other people write it down."""

import gzip
import io
import json
import tarfile
import zipfile
from functools import partial

import numpy as np
import pandas as pd
from astropy.table import MaskedColumn, Table

NAMES = {  # house name -> name in the Gaia archive
    "obsid": "obsid",
    "gaia_source_id": "source_id",
    "ra": "ra",
    "dec": "dec",
    "g_mag": "phot_g_mean_mag",
    "bp_rp": "bp_rp",
    "parallax_mas": "parallax",
    "parallax_error_mas": "parallax_error",
    "pmra": "pmra",
    "pmdec": "pmdec",
}
UNITS = {
    "ra": "deg", "dec": "deg", "g_mag": "mag", "bp_rp": "mag", "parallax_mas": "mas",
    "parallax_error_mas": "mas", "pmra": "mas/yr", "pmdec": "mas/yr",
}  # fmt: skip
IDS = ("obsid", "gaia_source_id")


def truth(n=12, seed=7, id_step=1):
    """Return n true rows, by house names in house units; some values are missing."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(10**17, 6 * 10**18, n) // id_step * id_step + (1 if id_step == 1 else 0)
    table = pd.DataFrame(
        {
            "obsid": pd.array(600_000_000 + np.arange(n) * 7, dtype="Int64"),
            "gaia_source_id": pd.array(ids | 1, dtype="Int64"),
            "ra": rng.uniform(30, 360, n).round(7),
            "dec": rng.uniform(-60, 80, n).round(7),
            "g_mag": rng.uniform(10, 17, n).round(4),
            "bp_rp": rng.uniform(-0.3, 0.5, n).round(4),
            "parallax_mas": rng.uniform(0.05, 1.5, n).round(4),
            "parallax_error_mas": rng.uniform(0.015, 0.08, n).round(4),
            "pmra": rng.normal(0, 12, n).round(3),
            "pmdec": rng.normal(0, 12, n).round(3),
        }
    )
    table.loc[table.index[1::5], "bp_rp"] = np.nan
    table.loc[table.index[2::6], "parallax_mas"] = np.nan
    return table


def cells(table, missing="", number=repr, names=NAMES):
    """Return the table as text, column by column."""
    out = {}
    for house in table.columns:
        column = table[house]
        words = [
            missing if pd.isna(value) else str(int(value)) if house in IDS else number(float(value))
            for value in column
        ]
        out[names[house]] = words
    return out


def csv_text(table, delimiter=",", ending="\n", **how):
    """Return the table as delimited text."""
    text = cells(table, **how)
    quoted = {
        name: [f'"{word}"' if delimiter in word else word for word in words]
        for name, words in text.items()
    }
    lines = [
        delimiter.join(quoted),
        *(delimiter.join(row) for row in zip(*quoted.values(), strict=True)),
    ]
    return ending.join(lines) + ending


def astropy_table(table, units=UNITS):
    """Return the table as one of astropy's, with units."""
    columns = []
    for house in table.columns:
        column, name = table[house], NAMES[house]
        if house in IDS:
            mask = column.isna().to_numpy()
            values = column.fillna(0).to_numpy(np.int64)
            columns.append(MaskedColumn(values, name, mask=mask))
        else:
            values = column.to_numpy(np.float64)
            columns.append(MaskedColumn(values, name, mask=np.isnan(values), unit=units.get(house)))
    return Table(columns)


def vizier_tsv(table):
    """Return the table as VizieR's tab-separated text: comments, names, units, dashes, rows."""
    text = cells(table)
    units = [UNITS.get(house, "") for house in table.columns]
    lines = ["#RESOURCE=yCat_1355", "#Name: I/355/gaiadr3", "#Title: Gaia DR3 Part 1", ""]
    lines += ["\t".join(text), "\t".join(units), "\t".join("-" * 8 for _ in text)]
    lines += ["\t".join(row) for row in zip(*text.values(), strict=True)]
    return "\n".join(lines) + "\n\n#END#\n"


def gaia_bulk(table):
    """Return the table as Gaia's bulk files: ECSV with commas and null."""
    body = csv_text(table, missing="null")
    columns = [
        f"# - {{name: {NAMES[house]}"
        + (f", unit: {UNITS[house].replace('/yr', ' / yr')}" if house in UNITS else "")
        + f", datatype: {'int64' if house in IDS else 'float64'}}}"
        for house in table.columns
    ]
    head = ["# %ECSV 1.0", "# ---", "# delimiter: ','", "# datatype:", *columns]
    return "\n".join(head) + "\n" + body


def written(table, path, kind):
    """Write the table in one of `KINDS`; return the path."""
    plain = csv_text(table)
    made = {
        "csv": plain.encode,
        "bar": lambda: csv_text(table, "|").encode(),
        "tab": lambda: csv_text(table, "\t").encode(),
        "semicolon, decimal comma": lambda: csv_text(
            table, ";", number=lambda x: repr(x).replace(".", ",")
        ).encode(),
        "tab, decimal comma": lambda: csv_text(
            table, "\t", number=lambda x: repr(x).replace(".", ",")
        ).encode(),
        "quoted decimal comma": lambda: csv_text(
            table, number=lambda x: repr(x).replace(".", ",")
        ).encode(),
        "unicode minus": lambda: csv_text(
            table, number=lambda x: repr(x).replace("-", "−")
        ).encode(),
        "windows": lambda: csv_text(table, ending="\r\n").encode(),
        "utf-8 with mark": lambda: b"\xef\xbb\xbf" + plain.encode(),
        "utf-16": lambda: plain.encode("utf-16"),
        "utf-16-le without mark": lambda: plain.encode("utf-16-le"),
        "latin-1": lambda: ("# Ångström, Källa\n" + plain).encode("latin-1"),
        "bytes": lambda: csv_text(table, number=lambda x: f"b'{x!r}'").encode(),
        "null": lambda: csv_text(table, missing="null").encode(),
        "backslash N": lambda: csv_text(table, missing=r"\N").encode(),
        "dashes": lambda: csv_text(table, missing="--").encode(),
        "sentinels": lambda: csv_text(table, missing="-9999").encode(),
        "gz": lambda: gzip.compress(plain.encode()),
        "zip": partial(_zipped, plain.encode()),
        "tar.gz": lambda: _tarred(plain.encode()),
        "vizier": lambda: vizier_tsv(table).encode(),
        "gaia bulk": lambda: gzip.compress(gaia_bulk(table).encode()),
        "json": lambda: json.dumps(
            [
                {
                    NAMES[k]: None if pd.isna(v) else (int(v) if k in IDS else float(v))
                    for k, v in row.items()
                }
                for row in table.to_dict("records")
            ]
        ).encode(),
    }
    if kind in made:
        path.write_bytes(made[kind]())
        return path
    if kind in ("parquet", "feather"):
        frame = table.rename(columns=NAMES)
        (frame.to_parquet if kind == "parquet" else frame.to_feather)(path)
        return path
    form = {"votable": "votable", "ecsv": "ascii.ecsv", "fits": "fits"}[kind]
    astropy_table(table).write(path, format=form)
    return path


KINDS = (
    *("csv", "bar", "tab", "semicolon, decimal comma", "tab, decimal comma"),
    *("quoted decimal comma", "unicode minus", "windows", "utf-8 with mark", "utf-16"),
    *("utf-16-le without mark", "latin-1", "bytes", "null", "backslash N", "dashes"),
    *("sentinels", "gz", "zip", "tar.gz", "vizier", "gaia bulk", "json", "parquet", "feather"),
    *("votable", "ecsv", "fits"),
)


def _zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("result.csv", content)
        packed.writestr("ReadMe", "what it is")
    return out.getvalue()


def _tarred(content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        one = tarfile.TarInfo("result.csv")
        one.size = len(content)
        packed.addfile(one, io.BytesIO(content))
    return out.getvalue()


def differences(table, opened, rel=1e-9):
    """Return the house names whose values are others than the true ones; missing is no other."""
    wrong = []
    for house in table.columns:
        if house not in opened.table:
            continue
        true, read = table[house], opened.table[house]
        if len(true) != len(read):
            return ["number of rows"]
        exact = house in IDS
        kind, none = (np.int64, 0) if exact else (np.float64, np.nan)
        known, given = ~true.isna().to_numpy(), ~read.isna().to_numpy()
        both = known & given
        first, second = (one.to_numpy(kind, na_value=none)[both] for one in (true, read))
        same = np.array_equal(first, second)  # as most are: allclose takes its time
        if not same and not exact:
            same = np.allclose(first, second, rtol=rel, atol=1e-9)
        invented = (given & ~known).any()
        if not same or invented:
            wrong.append(house)
    return wrong
