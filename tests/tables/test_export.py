"""Every format reads back to the same table, and every file says where it comes from."""

import csv
import io
import json
import os
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io import ascii as astropy_ascii
from astropy.io import fits
from astropy.io.votable import parse as parse_votable
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column as drawn
from hypothesis.extra.pandas import data_frames, range_indexes

from msfa_core import durable
from msfa_core.columns import BY_NAME, COLUMNS, PAPER_COLUMNS, conform
from msfa_core.errors import ExportError
from msfa_core.tables import export as export_module
from msfa_core.tables.beside import _KNOWN as BESIDE
from msfa_core.tables.beside import own_column
from msfa_core.tables.export import FORMATS, PROVENANCE_SUFFIX, export
from msfa_core.tables.formats import read_file
from msfa_core.tables.guards import (
    FORMULA_STARTS,
    as_written,
    escaped,
    tidied,
    tidy,
    unescaped,
)
from msfa_core.tables.mrt_writer import to_ascii
from msfa_core.tables.own import read_export

BIG = 2**60 + 1  # a float would lose its last digit
TABLE_6 = pd.DataFrame(  # first rows of the paper's Table 6
    [
        (1230412066, 175.695220, 7.789808, 86.12, 0.025963, 0.044144, 8982.60, 3.31, -1.95),
        (1017411156, 266.029558, 27.898654, 96.03, 0.202767, 0.610264, 8373.87, 3.46, -1.23),
        (842113049, 21.347900, 35.060278, 219.41, 0.247738, 0.544068, 8046.81, 3.40, -3.31),
    ],
    columns=list(PAPER_COLUMNS),
)
HEADER = {
    "title": "BHB stars", "authors": "Ann Müller, Bob", "table": "Accepted stars",
    "selection": "S/N(g) ≥ 10 and verdict = accept", "weights": "0123abcd",
}  # fmt: skip


@pytest.fixture
def mixed():
    """Three rows with everything that is hard to write."""
    table = TABLE_6.astype({"obsid": "int64"})
    table.loc[1, ["ra", "teff", "logg"]] = np.nan
    table["obsid"] = [1, BIG, 2**63 - 1]
    table["gaia_source_id"] = pd.array([BIG, None, 2**62 + 1], dtype="Int64")
    table["in_bhb_region"] = pd.array([True, None, False], dtype="boolean")
    table["comment"] = ["=cmd|' /C calc'!A0", None, 'Hδ weak, "odd"\n<b>zweite</b> & Zeile; ☃']
    table["file"] = ["--", "NaN", "a b"]
    table["true_class"] = ["BHB", None, "A"]
    table["true_flux"] = [1.5e-300, np.nan, -2.0]
    return conform(table)


def read(path):
    """A table as the usual reader of its format gives it; masked and blank are missing."""
    suffix = path.suffix
    if suffix == ".parquet":
        return pd.read_parquet(path)
    if suffix == ".csv":
        text = {column.name: "str" for column in COLUMNS if column.kind == "str"}
        options = {"keep_default_na": False, "na_values": [""], "dtype_backend": "numpy_nullable"}
        return pd.read_csv(path, dtype=text, **options)
    table = astropy_ascii.read(path, format="mrt") if suffix == ".mrt" else Table.read(path)
    frame = {}
    for name in table.colnames:
        values = np.ma.MaskedArray(table[name])
        text = values.dtype.kind in "SUO"
        items = [
            None if skip else (item.decode() if isinstance(item, bytes) else item)
            for item, skip in zip(values.data.tolist(), np.ma.getmaskarray(values), strict=True)
        ]
        frame[name] = pd.Series(
            items, dtype="str" if text else None if None not in items else "object"
        )
    return pd.DataFrame(frame)


def expected_text(value, suffix):
    """What a text cell is after a format has had its way."""
    if suffix in (".mrt", ".fits"):
        assert unescaped(escaped(value)) == value
        return escaped(value)
    if suffix == ".csv" and value.startswith((*FORMULA_STARTS, "'")):
        assert as_written("'" + value) == value
        return "'" + value
    return value


def assert_same(back, table, suffix):
    """Whether a table read back is the one that was written, as its format promises."""
    assert len(back) == len(table)
    for name in back.columns:
        kind = BY_NAME[name].kind if name in BY_NAME else None
        form = BY_NAME[name].format if name in BY_NAME else ""
        for got, put in zip(back[name].tolist(), table[name].tolist(), strict=True):
            missing, nothing = pd.isna(got) or got == "", pd.isna(put)
            if isinstance(put, str):
                assert ("" if missing else got) == expected_text(put, suffix), (name, got, put)
            elif nothing or (suffix == ".mrt" and isinstance(put, float) and np.isinf(put)):
                assert missing, (name, got, put)
            elif kind == "float" and suffix in (".mrt", ".csv"):
                assert float(got) == float(format(put, form)), (name, got, put)
            elif isinstance(put, float) and suffix == ".mrt":
                assert float(got) == pytest.approx(put, rel=1e-8), (name, got, put)
            else:
                assert got == put, (name, got, put)


# --- round trips ---------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("columns", ["paper", "full"])
def test_every_format_reads_back_to_the_same_table(mixed, tmp_path, suffix, columns):
    path = export(mixed, tmp_path / f"bhb.{suffix}", columns=columns, header=HEADER)
    back = read(path)
    wanted = list(PAPER_COLUMNS) if columns == "paper" else list(mixed.columns)
    assert back.columns.tolist() == wanted
    assert back["obsid"].tolist() == [1, BIG, 2**63 - 1]
    assert_same(back, mixed, path.suffix)


@st.composite
def tables(draw):
    number = st.floats(-1e7, 1e7) | st.just(np.nan)
    anything = st.floats(allow_nan=True, allow_infinity=True)
    text = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
        [
            "--",
            "------",
            "NaN",
            "=1+1",
            "@x",
            "-3",
            "'",
            "?",
            "nan",
            " x ",
            "\n",
            "a\tb",
            "µ",
            "日本",
        ]
    )
    table = draw(
        data_frames(
            [
                drawn("obsid", elements=st.integers(1, 2**63 - 1), dtype="int64"),
                drawn("ra", elements=number, dtype="float64"),
                drawn("logg", elements=anything, dtype="float64"),
                drawn("true_x", elements=anything, dtype="float64"),
                drawn("comment", elements=text, dtype=object),
                drawn("reviewer", elements=st.none() | text, dtype=object),
                drawn("z", elements=st.integers(0, 3), dtype="int64"),
            ],
            index=range_indexes(min_size=1, max_size=6),
        )
    )
    flags = [draw(st.none() | st.booleans()) for _ in range(len(table))]
    ids = [draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)) for _ in range(len(table))]
    return table.assign(
        in_bhb_region=pd.array(flags, dtype="boolean"), gaia_source_id=pd.array(ids, dtype="Int64")
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_table_reads_back_from_any_format(suffix, tmp_path):
    @settings(deadline=None, max_examples=20)
    @given(tables())
    def reads_back(table):
        path = export(table, tmp_path / f"t.{suffix}", columns=list(table.columns), overwrite=True)
        tidied = export_module._typed(
            table, export_module.choose_columns(table, list(table.columns))
        )
        assert_same(read(path), tidied, path.suffix)

    reads_back()


def test_the_formats_are_those_the_command_line_promises():
    assert list(FORMATS) == ["mrt", "fits", "vot", "csv", "parquet"]
    assert all(FORMATS.values())


# --- machine-readable table ----------------------------------------------------------------
def test_table_6_comes_out_as_the_paper_prints_it(tmp_path):
    text = export(TABLE_6, tmp_path / "t6.mrt", header=HEADER).read_text("ascii")
    rows = text.splitlines()[-3:]
    assert [" ".join(row.split()) for row in rows] == [
        "1230412066 175.695220 7.789808 86.12 0.025963 0.044144 8982.60 3.31 -1.95",
        "1017411156 266.029558 27.898654 96.03 0.202767 0.610264 8373.87 3.46 -1.23",
        "842113049 21.347900 35.060278 219.41 0.247738 0.544068 8046.81 3.40 -3.31",
    ]


def test_the_head_of_a_machine_readable_table_is_filled(tmp_path):
    text = export(TABLE_6, tmp_path / "bhb.mrt", header=HEADER).read_text("ascii")
    lines = text.splitlines()
    assert lines[:3] == ["Title: BHB stars", "Authors: Ann Muller, Bob", "Table: Accepted stars"]
    assert "Byte-by-byte Description of file: bhb.mrt" in lines
    assert "selection: S/N(g) >= 10 and verdict = accept" in text
    assert "weights: 0123abcd" in text
    assert max(map(len, lines)) <= 80
    bare = export(TABLE_6, tmp_path / "bare.mrt").read_text("ascii").splitlines()
    assert all(re.fullmatch(r"(Title|Authors|Table): \S.*", line) for line in bare[:3])


def test_the_head_counts_flags_whose_column_does_not_go_out(tmp_path):
    table = TABLE_6.assign(label_flags=pd.array([0, 64 | 8, None], dtype="Int64"), cmd_flags=8)
    table["balmer_flags_hdelta"] = 2  # of values that are not in Table 6
    text = " ".join(export(table, tmp_path / "t.mrt").read_text().split())
    assert "1 of 3 rows carry one of these flags; [Fe/H] above the limit: 1; a label on" in text
    assert "without its column cmd_flags: 3 of 3 rows" in text
    assert "balmer_flags_hdelta" not in text
    names = [*PAPER_COLUMNS, "label_flags"]
    text = " ".join(export(table, tmp_path / "f.mrt", columns=names).read_text().split())
    assert "without its column label_flags" not in text
    assert "64 = a label on the edge" in text


def test_rows_of_several_verdicts_do_not_go_out_without_a_word_of_it(tmp_path):
    table = TABLE_6.assign(verdict=pd.array(["accept", "reject", None], dtype="str"))
    text = " ".join(export(table, tmp_path / "t.mrt").read_text().split())
    told = "without its column verdict: rows of several verdicts, accept: 1; no verdict: 1; reject"
    assert told in text
    names = [*PAPER_COLUMNS, "verdict"]
    assert "several verdicts" not in export(table, tmp_path / "v.mrt", columns=names).read_text()
    one = TABLE_6.assign(verdict="accept")
    assert "several verdicts" not in export(one, tmp_path / "a.mrt").read_text()


def test_a_machine_readable_table_has_units_and_descriptions_and_no_text_for_missing(
    mixed, tmp_path
):
    path = export(mixed, tmp_path / "bhb.mrt", columns="full")
    back = astropy_ascii.read(path, format="mrt")
    for column in COLUMNS:
        assert back[column.name].unit == (u.Unit(column.unit) if column.unit else None), column
    assert back["logg"].unit == u.Unit("dex(cm/s2)")
    assert back["teff"].description == "Effective temperature"
    assert back["d02_hdelta"].description.startswith("Full width of Hdelta 20 % below")
    assert back["teff"].mask.tolist() == [False, True, False]
    assert all(back[name].mask.all() for name in ("z", "uid", "template_flags"))
    data = path.read_text("ascii").split("-" * 80)[-1].replace("NaN", "", 1)  # a file of that name
    assert not re.search(r"\b(nan|inf|<NA>|None)\b", data, re.IGNORECASE)


def test_a_minus_before_nothing_moves_no_column(tmp_path):
    table = TABLE_6.assign(abs_mag_g=[-0.0, 0.0, 0.25])
    path = export(table, tmp_path / "t.mrt")
    rows = path.read_text("ascii").split("-" * 80 + "\n")[-1].splitlines()
    assert len({len(row) for row in rows}) == 1
    back = astropy_ascii.read(path, format="mrt")
    assert list(back["abs_mag_g"]) == [0.0, 0.0, 0.25]
    assert list(back["teff"]) == list(TABLE_6["teff"])


def test_the_byte_columns_of_the_head_are_where_the_data_are(mixed, tmp_path):
    text = export(mixed, tmp_path / "bhb.mrt", columns="full").read_text("ascii")
    rows = text.split("-" * 80 + "\n")[-1].splitlines()
    described = re.findall(
        r"^ *(\d+)- *(\d+) [AIFE]\S* +\S+ +(ra|dec|obsid|true_class) ", text, re.M
    )
    where = {name: slice(int(first) - 1, int(last)) for first, last, name in described}
    assert [row[where["obsid"]].strip() for row in rows] == [str(n) for n in mixed["obsid"]]
    assert [row[where["ra"]].strip() for row in rows] == ["175.695220", "", "21.347900"]
    assert [row[where["true_class"]].strip() for row in rows] == ["BHB", "", "A"]


def test_text_that_would_lead_a_reader_astray_does_not(tmp_path):
    header = {"title": "-" * 90, "note": "Byte-by-byte Description of file: x " + "=" * 90}
    table = TABLE_6.assign(comment=["------", "=======", "12 F5.2 deg x"])
    path = export(table, tmp_path / "t.mrt", columns=["comment", "obsid"], header=header)
    back = astropy_ascii.read(path, format="mrt")
    assert back["comment"].tolist() == ["------", "=======", "12 F5.2 deg x"]


@pytest.mark.parametrize("comments", [["", "x", "y"], ["x", "-------", "y"]])
def test_a_row_that_readers_would_skip_is_refused(tmp_path, comments):
    table = TABLE_6.assign(comment=comments)
    with pytest.raises(ExportError, match="add a column that every row has, such as obsid"):
        export(table, tmp_path / "t.mrt", columns=["comment"])
    assert list(tmp_path.iterdir()) == []


def test_text_is_spelled_in_ascii():
    assert (
        to_ascii("Hδ ≥ 3 Å, Müller–Łódź ☃\nnext\x00 λ")
        == "Hdelta >= 3 Angstrom, Muller-Lodz \\u2603 next lambda"
    )
    assert to_ascii("plain") == "plain"


def test_two_names_that_become_one_label_are_refused(tmp_path):
    table = TABLE_6.assign(**{"my col": 1.0, "my_col": 2.0})
    with pytest.raises(ExportError, match="both be labelled 'my_col'"):
        export(table, tmp_path / "t.mrt", columns=["obsid", "my col", "my_col"])


# --- FITS and VOTable ----------------------------------------------------------------------
def test_fits_carries_units_nulls_words_and_history(mixed, tmp_path):
    path = export(mixed, tmp_path / "bhb.fits", columns="full", header=HEADER)
    with fits.open(path, checksum=True) as file:
        primary, header, columns = file[0].header, file[1].header, file[1].columns
    assert primary["TITLE"] == "BHB stars"
    assert primary["AUTHOR"] == "Ann Muller, Bob"
    assert "selection: S/N(g) >= 10 and verdict = accept" in str(primary["HISTORY"])
    assert Table.read(path).meta["TITLE"] == "BHB stars"  # says of simulated stars that they are
    assert columns["ra"].unit == "deg"
    assert columns["d02_hdelta"].unit == "Angstrom"
    assert columns["gaia_source_id"].null == -(2**63)
    place = columns.names.index("logg") + 1
    assert header[f"TCOMM{place}"] == "Surface gravity [dex(cm/s2)]"
    assert header[f"TUCD{place}"] == "phys.gravity"


def test_votable_carries_units_words_and_provenance_and_is_valid(mixed, tmp_path):
    path = export(mixed, tmp_path / "bhb.vot", columns="full", header=HEADER)
    document = parse_votable(path, verify="exception")
    table = document.get_first_table()
    infos = {info.name: info.value for info in document.resources[0].infos}
    assert infos["selection"] == HEADER["selection"]
    assert infos["authors"] == "Ann Müller, Bob"
    fields = {field.name: field for field in table.fields}
    assert list(fields) == list(mixed.columns)
    assert fields["d02_hdelta"].unit == u.Unit("Angstrom")
    assert str(fields["logg"].unit) == "dex"
    assert "[dex(cm/s2)]" in fields["logg"].description
    for column in COLUMNS:
        assert fields[column.name].ucd == column.ucd
        assert column.description in fields[column.name].description


# --- CSV and parquet -----------------------------------------------------------------------
def test_csv_is_plain_and_its_provenance_lies_beside_it(mixed, tmp_path):
    path = export(mixed, tmp_path / "bhb.csv", header=HEADER)
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    assert rows[0] == list(PAPER_COLUMNS)
    assert rows[1][:4] == ["1", "175.695220", "7.789808", "86.12"]
    beside = json.loads((tmp_path / f"bhb.csv{PROVENANCE_SUFFIX}").read_text("utf-8"))
    assert beside["header"]["selection"] == HEADER["selection"]
    assert beside["columns"]["logg"]["unit"] == "dex(cm/s2)"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝"])
def test_no_text_cell_of_a_csv_is_run_by_a_spreadsheet(tmp_path, start):
    table = TABLE_6.assign(comment=f"{start}HYPERLINK(1)", feh=-1.0)
    path = export(table, tmp_path / "t.csv", columns=["obsid", "feh", "comment"])
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    assert rows[1][2] == f"'{start}HYPERLINK(1)"
    assert rows[1][1] == "-1.00"  # numbers stay numbers


def test_parquet_fields_carry_units_and_the_file_its_header(mixed, tmp_path):
    path = export(mixed, tmp_path / "bhb.parquet", header=HEADER)
    schema = pq.read_schema(path)
    assert schema.field("logg").metadata[b"unit"] == b"dex(cm/s2)"
    assert json.loads(schema.metadata[b"msfa"])["title"] == "BHB stars"
    assert (tmp_path / f"bhb.parquet{PROVENANCE_SUFFIX}").exists()
    pd.testing.assert_frame_equal(pd.read_parquet(path), mixed[list(PAPER_COLUMNS)])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_name_that_is_no_utf_8_can_be_written(tmp_path, suffix):
    path = tmp_path / f"{os.fsdecode(b'out_of_caf' + bytes([233]))}.{suffix}"
    export(TABLE_6, path)
    assert path.stat().st_size > 0


# --- what is refused -----------------------------------------------------------------------
def test_a_file_that_exists_is_replaced_only_when_allowed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("precious")
    with pytest.raises(ExportError, match="exists"):
        export(TABLE_6, path)
    assert path.read_text() == "precious"
    export(TABLE_6, path, overwrite=True)
    assert path.read_text().startswith("obsid,")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("t.xlsx", {}, r"unknown format '\.xlsx'; it is one of \.mrt, \.fits"),
        ("t", {}, "without suffix"),
        ("no/such/t.csv", {}, "not a folder"),
        ("t.csv", {"columns": ["obsid", "nope"]}, "lacks the column.* nope;"),
        ("t.csv", {"columns": ["obsid", "obsid"]}, "chosen twice"),
        ("t.csv", {"columns": []}, "No column"),
        ("t.csv", {"columns": "all"}, "all is no set .*paper, full"),
        ("t.csv", {"columns": "paper, nosuch"}, "nosuch is no set"),
        ("t.csv", {"columns": " , "}, "No column"),
    ],
)
def test_a_call_that_cannot_be_served_says_what_to_do(tmp_path, name, options, says):
    with pytest.raises(ExportError, match=says):
        export(TABLE_6, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_table_is_not_written(tmp_path):
    with pytest.raises(ExportError, match="no row to export"):
        export(TABLE_6.iloc[:0], tmp_path / "t.mrt")


def test_a_table_without_a_paper_column_names_it(tmp_path):
    with pytest.raises(ExportError, match=r"lacks the column\(s\) teff, logg"):
        export(TABLE_6.drop(columns=["teff", "logg"]), tmp_path / "t.mrt")


def test_a_column_of_the_wrong_type_is_named(tmp_path):
    with pytest.raises(ExportError, match="Column teff is not float"):
        export(TABLE_6.assign(teff="hot"), tmp_path / "t.mrt")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, suffix):
    path = export(TABLE_6, tmp_path / f"t.{suffix}")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", disk_full)
    with pytest.raises(ExportError, match=r"cannot be written: No space left on device; check"):
        export(TABLE_6, path, overwrite=True)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_lies_beside_a_table_is_that_of_its_rows(tmp_path, monkeypatch, suffix):
    """A disk that fills between the two had left the old rows beside the new provenance."""
    path = export(TABLE_6, tmp_path / f"t.{suffix}", header={"table": "all of them"})
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, f"_write_{suffix}", disk_full)
    monkeypatch.setattr(export_module, "_WRITERS", {suffix: disk_full})
    with pytest.raises(ExportError, match="No space left"):
        export(TABLE_6.iloc[:1], path, header={"table": "one"}, overwrite=True)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_capital_suffixes_and_text_paths_do(tmp_path):
    path = export(TABLE_6, str(tmp_path / "T.FITS"))
    assert isinstance(path, Path)
    assert len(Table.read(path, format="fits")) == 3


def test_long_tables_are_written_in_pieces_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr("msfa_core.tables.mrt_writer.CHUNK_ROWS", 7)
    monkeypatch.setattr(export_module, "CHUNK_ROWS", 7)
    table = TABLE_6.loc[[0] * 30].assign(
        obsid=range(1, 31), comment=["x" * k for k in range(1, 31)]
    )
    for suffix in FORMATS:
        path = export(table, tmp_path / f"t.{suffix}", columns=["obsid", "comment", "teff"])
        assert_same(read(path), table.reset_index(drop=True), path.suffix)


# --- what a file says of itself ------------------------------------------------------------
def test_names_in_any_script_are_kept_by_every_format_and_the_way_back_is_said(tmp_path):
    table = TABLE_6.assign(comment=["Müller, Ж", "plain", "a\\b"])
    header = {"authors": "Müller, Ж"}
    for suffix in ("mrt", "fits"):
        path = export(table, tmp_path / f"t.{suffix}", columns=list(table), header=header)
        back = read(path)["comment"].tolist()
        assert [unescaped(text) for text in back] == ["Müller, Ж", "plain", "a\\b"]
        said = path.read_text() if suffix == "mrt" else str(fits.getheader(path)["HISTORY"])
        said = " ".join(said.split())
        assert "Muller, \\u0416" in said
        assert "a backslash begins what ASCII cannot hold" in said


def test_the_csv_of_a_simulated_survey_says_so_in_every_row(tmp_path):
    path = export(TABLE_6, tmp_path / "t.csv", header={"simulated": "these stars do not exist"})
    back = pd.read_csv(path)
    assert back["simulated"].tolist() == [True] * 3
    assert back["obsid"].tolist() == TABLE_6["obsid"].tolist()
    export(TABLE_6, tmp_path / "real.csv")
    assert "simulated" not in pd.read_csv(tmp_path / "real.csv")


def test_a_votable_has_nothing_that_the_validator_warns_of(mixed, tmp_path):
    from astropy.io.votable import validate

    header = {**HEADER, "step classify": "done", "a, b: <c>": "d"}
    table = mixed.assign(**{"my column": 1, "2nd": 2.0})
    path = export(table, tmp_path / "t.vot", columns="full", header=header)
    report = io.StringIO()
    assert validate(str(path), output=report), report.getvalue()
    fields = {one.name: one for one in parse_votable(path).get_first_table().fields}
    assert fields["ra"].ref == fields["dec"].ref == "ICRS"


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_folder_of_the_one_who_exports_goes_out(tmp_path, suffix):
    files = ["/home/jane/../nights/spec-55862-B6212_sp06-007.fits.gz", "C:\\data\\b.fits", "c.fits"]
    table = pd.DataFrame({"obsid": [1, 2, 3], "file": files})
    path = export(table, tmp_path / f"t.{suffix}", columns="full")
    found = read_export(path)["file"].tolist()
    assert found == ["spec-55862-B6212_sp06-007.fits.gz", "b.fits", "c.fits"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_two_exports_of_one_state_are_equal_byte_for_byte(mixed, tmp_path, suffix):
    first = export(mixed, tmp_path / f"t.{suffix}", columns="full", header=HEADER).read_bytes()
    path = export(mixed, tmp_path / f"t.{suffix}", columns="full", header=HEADER, overwrite=True)
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", ["'=1", "''", "'", "-x", "plain", "＝1"])
def test_the_guard_of_a_csv_cell_comes_off_again(tmp_path, text):
    path = export(TABLE_6.assign(comment=text), tmp_path / "t.csv", columns=["obsid", "comment"])
    cell = pd.read_csv(path, dtype="str", keep_default_na=False)["comment"][0]
    assert not cell.startswith(("=", "+", "-", "@", "＝"))
    assert as_written(cell) == text


def long_table(n):
    """Return n rows of what is hard to write: every script, commas, quotes, line ends, none."""
    rng = np.random.default_rng(8)
    words = ["=1+1", "'", "''x", "-9999", "--", "NaN", "null", "a,b", 'say "no"', "Ж\nzweite", "é",
             "# no comment", "one\n# two\n---", "\\u0416", "\\", "|;\t|", "1.5"]  # fmt: skip
    text = np.array([*words, "☃ & <b>", "b'x'", None], dtype=object)
    table = pd.DataFrame(
        {
            "obsid": np.arange(1, n + 1) * 7,
            "ra": rng.uniform(0, 360, n),
            "teff": np.where(rng.random(n) < 0.2, np.nan, rng.uniform(6000, 12000, n)),
            "gaia_source_id": pd.array(rng.integers(2**59, 2**63 - 1, n), dtype="Int64"),
            "in_bhb_region": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "comment": text[rng.integers(len(text), size=n)],
            "verdict": "accept",
        }
    )
    table.loc[rng.random(n) < 0.3, ["gaia_source_id", "in_bhb_region"]] = pd.NA
    return conform(table)[list(table.columns)]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("n", [300, pytest.param(50_000, marks=pytest.mark.slow)])
def test_what_was_exported_is_read_back_equal(tmp_path, suffix, n):
    table = long_table(n)
    path = export(table, tmp_path / f"t.{suffix}", columns=list(table.columns), header=HEADER)
    back = read_export(path)
    assert back.columns.tolist() == table.columns.tolist()
    for name in table.columns:
        column = BY_NAME[name]
        if column.kind == "float":
            digits = int(column.format[1:-1]) if suffix in ("mrt", "csv") else 12
            assert np.allclose(
                back[name], table[name], rtol=0, atol=0.51 * 10**-digits, equal_nan=True
            )
        else:
            assert back[name].isna().tolist() == table[name].isna().tolist(), name
            assert back[name].dropna().tolist() == table[name].dropna().tolist(), name


@pytest.mark.parametrize("suffix", FORMATS)
def test_flags_that_occur_are_explained_and_columns_beside_have_their_units(tmp_path, suffix):
    table = pd.DataFrame(
        {
            "obsid": [7, 8],
            "balmer_flags_hdelta": [0, 1 | 16],
            "parallax_error_mas": [0.04, 0.05],
            "teff_catalogue": [8000.0, 8100.0],
        }
    )
    path = export(table, tmp_path / f"t.{suffix}", columns="full")
    beside = path.with_name(f"{path.name}.provenance.json")
    said = " ".join((beside if beside.is_file() else path).read_text(errors="ignore").split())
    said = re.sub(r"\s*HISTORY ", "", said)
    bare = re.sub(r"[^\w=]", "", said)
    assert re.search("bitsofbalmer_flags_hdelta(value=)?1=Theline", bare)
    assert "16=Theresidualsexceed3" in bare
    assert "32=" not in bare
    assert "Column of the user" not in said
    (raw,) = read_file(path).tables
    units = {column.name: column.unit for column in raw.columns}
    if suffix == "csv":
        units = {name: one["unit"] for name, one in json.loads(said)["columns"].items()}
    assert (units["parallax_error_mas"], units["teff_catalogue"]) == ("mas", "K")


def test_columns_beside_have_words_of_their_own_and_valid_ucds():
    errors = own_column("teff_err_catalogue", pd.Series([80.0]))
    assert errors.description == "Error of teff: of the catalogue"  # it is made as theirs are
    assert (errors.unit, errors.ucd) == ("K", BY_NAME["teff_err"].ucd)
    assert "UTC" in own_column("date_obs", pd.Series(["2011-11-12T10:00:00"])).description
    of_all = [one.ucd for one in COLUMNS] + [ucd for _, ucd, _ in BESIDE.values()]
    assert [ucd for ucd in of_all if not check_ucd(ucd, check_controlled_vocabulary=True)] == []


@given(
    words=st.lists(st.one_of(st.none(), st.text("aZ~! \t\n\r\0\x1c\x85\xa0é\u2003１", max_size=4)))
)
def test_a_column_is_tidied_as_each_of_its_cells(words):
    values = pd.Series(words, dtype="object").astype("str")
    each = values.map(tidy, na_action="ignore").astype("str")
    pd.testing.assert_series_equal(tidied(values), each)
