"""Tables as people keep them: titles, parts put together, signs of −0°, units of other writers."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from outside_tables import csv_text, differences, truth

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables import large
from msfa_core.tables.door import open_table
from msfa_core.tables.report import line
from msfa_core.tables.row_keys import PLACE_USE

TRUTH = truth()
ROWS = csv_text(TRUTH).splitlines()


def opened(tmp_path, content, use=GAIA_USE, name="t.csv"):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(tmp_path / name, use)


# --- lines that are no rows ------------------------------------------------------------------
def drawn(rows):
    rule = "+" + "+".join("-" * 24 for _ in rows[0].split(",")) + "+"
    cells = ["| " + " | ".join(f"{cell:22}" for cell in row.split(",")) + " |" for row in rows]
    return [rule, cells[0], rule, *cells[1:], rule]


LINES = {
    "title": ["BHB stars of our field", *ROWS],
    "title of a spreadsheet": ["BHB stars" + "," * 9, "", *ROWS],
    "names again": [*ROWS[:5], ROWS[0], *ROWS[5:]],
    "drawn": drawn(ROWS),
    "smart quotes": [ROWS[0].replace("source_id", "“source_id”"), *ROWS[1:]],
}


@pytest.mark.parametrize("kind", LINES)
def test_lines_that_are_no_rows_are_known(tmp_path, kind):
    found = opened(tmp_path, "\n".join(LINES[kind]) + "\n")
    assert differences(TRUTH, found) == []
    assert found.has(*TRUTH.columns)
    assert len(found) == len(TRUTH)


@pytest.mark.parametrize("is_long", [False, True])
def test_parts_whose_columns_are_in_another_order_are_refused(tmp_path, monkeypatch, is_long):
    text = "obsid,logg,feh\n" + "".join(f"{i},3.1,-1.5\n" for i in range(1, 61))
    text += "obsid,feh,logg\n" + "".join(f"{i},-1.5,3.1\n" for i in range(101, 121))
    (tmp_path / "t.csv").write_text(text)
    monkeypatch.setattr(large, "LARGE", 0 if is_long else large.LARGE)
    with pytest.raises(CatalogueError, match="names the columns anew, with 'feh' where 'logg'"):
        table = large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
        if table is None:
            open_table(tmp_path / "t.csv", CATALOGUE_USE)
        else:
            table.rows_of(np.array([1, 101]), pd.Series([], dtype="str"))


def test_comments_between_the_rows_of_a_long_table_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("obsid,teff\n7,8000\n# a remark\n8,9000\n# end\n")
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
    found = table.rows_of(np.array([7, 8]), pd.Series([], dtype="str"))
    assert found.table["teff"].tolist() == [8000.0, 9000.0]


NOTED = ["obsid,teff,note", *(f"{7 + i},{8000 + i},x" for i in range(6))]


def test_a_quotation_mark_that_nobody_closed_swallows_no_rows(tmp_path):
    rows = [row.replace(",x", ',"x') if i == 3 else row for i, row in enumerate(NOTED)]
    with pytest.raises(CatalogueError, match="row 3 is not closed, and rows behind it"):
        opened(tmp_path, "\n".join(rows) + "\n", CATALOGUE_USE)
    for cell in ('"a note\nof two, three, lines"', '5" aperture', '"said ""no"""'):
        rows = [row.replace(",x", f",{cell}") for row in NOTED]
        found = opened(tmp_path, "\n".join(rows) + "\n", CATALOGUE_USE).table
        assert found["obsid"].tolist() == list(range(7, 13))


def test_signs_that_nobody_sees_belong_to_no_number(tmp_path):
    found = opened(tmp_path, "obsid,teff\n\u200b7,8000\u200e\n8,9000\n", CATALOGUE_USE).table
    assert found["obsid"].tolist() == [7, 8]
    assert found["teff"].tolist() == [8000.0, 9000.0]


def test_an_answer_that_vizier_cut_short_is_said(tmp_path):
    text = "#INFO\tWarning=truncated result (maxtup=50)\n" + "\n".join(ROWS) + "\n"
    assert "INCOMPLETE" in line(opened(tmp_path, text))


OVERFLOW = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
TRUNCATED = '<INFO name="Warning" value="truncated result (maxtup=50)"/>'


@pytest.mark.parametrize(
    ("before", "info"),
    [(end, OVERFLOW) for end in ("</TABLE>", "</RESOURCE>", "</VOTABLE>")]
    + [("</RESOURCE>", TRUNCATED)],
)
def test_a_votable_that_was_cut_short_says_so_wherever_it_does(tmp_path, before, info):
    text = (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        '<FIELD name="source_id" datatype="long"/><FIELD name="Gmag" datatype="double"/>'
        "<DATA><TABLEDATA><TR><TD>4295806720000123</TD><TD>15.5</TD></TR></TABLEDATA></DATA>"
        "</TABLE></RESOURCE></VOTABLE>"
    ).replace(before, info + before)
    found = opened(tmp_path, text, GAIA_USE, "t.vot")
    assert found.table["g_mag"].tolist() == [15.5]
    assert "INCOMPLETE" in line(found)


def test_an_answer_of_comments_only_is_quoted(tmp_path):
    text = "#\n#   VizieR Astronomical Server\n#**** No object found around target\n\n"
    with pytest.raises(CatalogueError, match="comments only .'No object found around target'"):
        opened(tmp_path, text)


def test_tables_of_vizier_without_units_are_told_apart(tmp_path):
    def part(*rows):
        return "\n".join("\t".join(row) for row in rows)

    gaia = part(("Source", "Gmag"), ("", "mag"), ("-----", "----"), ("4295806720000123", "15.5"))
    other = part(("RAJ2000", "DEJ2000"), ("", ""), ("---", "---"), ("10.5", "1.5"))
    text = f"#Name: I/355\n\n{gaia}\n\n#Name: II/246\n\n{other}\n\n"
    assert opened(tmp_path, text).table["g_mag"].tolist() == [15.5]


def test_errors_of_a_spreadsheet_are_no_values(tmp_path):
    words = ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "8100"]
    text = "obsid,teff\n" + "".join(f"{7 + i},{word}\n" for i, word in enumerate(words))
    found = opened(tmp_path, text, CATALOGUE_USE).table["teff"]
    assert found.isna().tolist() == [True] * 6 + [False]


def test_empty_texts_of_topcat_are_no_values(tmp_path):
    text = '# source_id ra dec Gmag bp_rp\n6047206272 10.5 1.5 15.5 0.1\n7 11.5 2.5 16 ""\n'
    found = opened(tmp_path, text).table
    assert found["g_mag"].tolist() == [15.5, 16.0]
    assert found["bp_rp"].isna().tolist() == [False, True]


# --- signs and units -------------------------------------------------------------------------
BYTES = (
    "Title: x\n" + "=" * 80 + "\nByte-by-byte Description of file: t.dat\n" + "-" * 80 + "\n"
    "   Bytes Format Units   Label     Explanations\n" + "-" * 80 + "\n"
    "   1-  2 I2     h       RAh      Hour\n   4-  5 I2     min     RAm      Minute\n"
    "   7- 10 F4.1   s       RAs      Second\n  12- 14 I3     deg     DEd      Degree\n"
    "  16- 17 I2     arcmin  DEm      Minute\n  19- 22 F4.1   arcsec  DEs      Second\n"
    + "-" * 80 + "\n"
)  # fmt: skip


def test_the_sign_of_minus_zero_degrees_counts_in_a_machine_readable_table(tmp_path):
    rows = "12 00 00.0 -00 30 00.0\n12 00 00.0  00 30 00.0\n12 00 00.0 -01 30 00.0\n"
    found = opened(tmp_path, BYTES + rows, PLACE_USE, "t.mrt").table
    assert found["dec"].tolist() == pytest.approx([-0.5, 0.5, -1.5])


def test_whole_degrees_of_zero_without_a_sign_are_no_place(tmp_path):
    parts = {"RAh": [12, 12], "RAm": [0, 0], "RAs": [0.0, 0.0]}
    parts |= {"DEd": [0, -1], "DEm": [30, 30], "DEs": [0.0, 0.0]}
    Table(parts).write(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", PLACE_USE)
    assert found.table["dec"].tolist() == pytest.approx([np.nan, -1.5], nan_ok=True)
    assert "0 without a sign" in line(found)


def test_packed_data_of_the_cds_are_read_with_the_readme_beside_them(tmp_path):
    (tmp_path / "ReadMe").write_text(BYTES)
    data = b"12 00 00.0 -00 30 00.0\n12 00 00.0  10 30 00.0\n"
    found = opened(tmp_path, gzip.compress(data), PLACE_USE, "t.dat.gz").table
    assert found["dec"].tolist() == pytest.approx([-0.5, 10.5])


@pytest.mark.parametrize(("name", "less"), [("log(g) [cm/s2]", 0.0), ("logg [m/s2]", 2.0)])
def test_a_logarithm_beside_the_unit_of_gravity_is_one_already(tmp_path, name, less):
    text = f"obsid,teff,{name}\n7,8000,{3.1 - less}\n8,8100,{3.2 - less}\n9,8200,{3.3 - less}\n"
    found = opened(tmp_path, text, CATALOGUE_USE).table["logg"]
    assert found.tolist() == pytest.approx([3.1, 3.2, 3.3])


def test_dashes_of_every_kind_are_one_in_names(tmp_path):
    rows = [f"{ROWS[0]},E(B−V)".replace("bp_rp", "BP–RP"), *(f"{row},0.03" for row in ROWS[1:])]
    found = opened(tmp_path, "\n".join(rows) + "\n")
    assert found.has("ebv", "bp_rp")


# --- other writers ---------------------------------------------------------------------------
@pytest.mark.parametrize("is_plain", [True, False])
def test_units_and_places_that_astropy_puts_into_parquet_count(tmp_path, is_plain):
    here = SkyCoord([10.5, 190.25] * u.deg, [1.5, -20.75] * u.deg)
    table = QTable({"source_id": [4295806720000123, 4295806720000457]})
    if is_plain:
        table["ra"], table["dec"] = here.ra.hourangle * u.hourangle, here.dec
    else:
        table["coord"] = here.galactic
    table["Gmag"] = [15500.0, 16500.0] * u.mmag
    table.write(tmp_path / "t.parquet")
    found = open_table(tmp_path / "t.parquet", GAIA_USE).table
    assert found["ra"].tolist() == pytest.approx([10.5, 190.25])
    assert found["dec"].tolist() == pytest.approx([1.5, -20.75])
    assert found["g_mag"].tolist() == [15.5, 16.5]


def test_magnitudes_of_astropy_are_read(tmp_path):
    table = QTable({"source_id": [4295806720000123], "Gmag": u.Magnitude([15.5])})
    table.write(tmp_path / "t.ecsv")
    assert open_table(tmp_path / "t.ecsv", GAIA_USE).table["g_mag"].tolist() == [15.5]


def test_columns_of_one_name_in_parquet_are_refused_where_they_differ(tmp_path):
    names = ["source_id", "Gmag", "Gmag"]
    table = pa.table([pa.array([4295806720000123]), pa.array([15.0]), pa.array([16.0])], names)
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(CatalogueError, match="could both be g_mag, and differ"):
        open_table(tmp_path / "t.parquet", GAIA_USE)


def test_rows_by_their_numbers_in_json_are_rows(tmp_path):
    rows = {"0": {"obsid": 7, "teff": 8000.0}, "1": {"obsid": 8, "teff": 9000.0}}
    found = opened(tmp_path, json.dumps(rows), CATALOGUE_USE, "t.json").table
    assert found["teff"].tolist() == [8000.0, 9000.0]


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS"),
     (b"\\begin{tabular}{ll}\n obsid & ra \\\\\n\\end{tabular}\n", "is LaTeX")],
)  # fmt: skip
def test_what_holds_no_table_is_named(tmp_path, content, what):
    with pytest.raises(CatalogueError, match=what):
        opened(tmp_path, content)


def test_a_shift_of_zero_with_an_error_of_zero_was_never_measured(tmp_path):
    text = "obsid,z,z_err\n7,0,0\n8,0,0.0001\n9,-0.0002,0.0001\n"
    found = opened(tmp_path, text, CATALOGUE_USE).table["z"]
    assert found.tolist() == pytest.approx([np.nan, 0.0, -0.0002], nan_ok=True)
