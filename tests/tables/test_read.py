"""Every format gives the same table; identifiers keep every digit; sentinels are missing."""

import gzip
import logging
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msfa_core.errors import CatalogueError
from msfa_core.tables.read import read_table

OBSID = [1230412066, 1017411156, 701001]
SOURCE_ID = [3222350478553854465, 9223372036854775807, 4611686018427387905]
HEADER = ["obsid", "gaia_source_id", "ra", "class", "planid", "obsdate", "snrg", "n"]
ROWS = [
    [OBSID[0], SOURCE_ID[0], 175.695220, "STAR", "B6202", "2011-10-25", 86.12, 3],
    [OBSID[1], "", 266.029558, "-9999", "B6202", "2011-10-26", -9999.0, -999],
    [OBSID[2], SOURCE_ID[2], "", "QSO", "F5902", "2011-10-27", 219.41, 5],
]


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def delimited(delimiter=",", rows=ROWS, header=HEADER):
    return "\n".join(delimiter.join(map(str, row)) for row in [header, *rows]) + "\n"


def astropy_table():
    missing = [False, True, False]
    return Table(
        [
            MaskedColumn(OBSID, "obsid"),
            MaskedColumn(SOURCE_ID, "gaia_source_id", mask=missing),
            MaskedColumn([175.695220, 266.029558, np.nan], "ra"),
            MaskedColumn(["STAR", "-9999", "QSO"], "class"),
            MaskedColumn(["B6202", "B6202", "F5902"], "planid"),
            MaskedColumn(["2011-10-25", "2011-10-26", "2011-10-27"], "obsdate"),
            MaskedColumn([86.12, -9999.0, 219.41], "snrg"),
            MaskedColumn([3, -999, 5], "n"),
        ]
    )


def assert_is_the_table(table):
    assert list(table.columns) == HEADER
    assert table["obsid"].dtype == "Int64"
    assert table["obsid"].tolist() == OBSID
    assert table["gaia_source_id"].dtype == "Int64"
    assert table["gaia_source_id"].tolist() == [SOURCE_ID[0], pd.NA, SOURCE_ID[2]]
    np.testing.assert_array_equal(table["ra"], [175.695220, 266.029558, np.nan])
    assert table["class"].isna().tolist() == [False, True, False]
    assert table["class"].dropna().tolist() == ["STAR", "QSO"]
    assert table["planid"].tolist() == ["B6202", "B6202", "F5902"]
    assert table["obsdate"].tolist() == ["2011-10-25", "2011-10-26", "2011-10-27"]
    np.testing.assert_array_equal(table["snrg"], [86.12, np.nan, 219.41])
    assert table["n"].dtype == "Int64"
    assert table["n"].tolist() == [3, pd.NA, 5]


@pytest.mark.parametrize("delimiter", [",", "|", ";", "\t"], ids=["comma", "bar", "semi", "tab"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_delimiter_of_a_text_table_is_found(tmp_path, delimiter, packed):
    content = delimited(delimiter).encode()
    path = write(tmp_path / "table.csv", gzip.compress(content) if packed else content)
    assert_is_the_table(read_table(path))


@pytest.mark.parametrize("name", ["t.fits", "t.fits.gz", "t.vot", "t.ecsv", "t.parquet"])
def test_every_format_gives_the_same_table(tmp_path, name):
    path = tmp_path / name
    if name == "t.parquet":
        frame = astropy_table().to_pandas()
        frame.to_parquet(path)
    else:
        kind = {"t.vot": "votable", "t.ecsv": "ascii.ecsv"}.get(name, "fits")
        astropy_table().write(path, format=kind)
    assert_is_the_table(read_table(path))


def test_content_counts_and_not_the_ending_of_the_name(tmp_path):
    astropy_table().write(tmp_path / "t.fits")
    renamed = (tmp_path / "t.fits").rename(tmp_path / "t.csv")
    assert_is_the_table(read_table(renamed))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_byte_order_mark_and_blank_lines_do_not_matter(tmp_path, ending):
    text = "\n\n" + delimited().replace("\nQSO", "\n\nQSO") + "\n\n"
    content = b"\xef\xbb\xbf" + text.replace("\n", ending).encode()
    assert_is_the_table(read_table(write(tmp_path / "t.csv", content)))


def test_comments_are_left_out_wherever_they_stand(tmp_path):
    lines = delimited("|").splitlines()
    lines[2:2] = ["# second thoughts", "  # more"]
    text = "# LAMOST DR10, 2023-09-12\n#\n" + "\n".join(lines)
    assert_is_the_table(read_table(write(tmp_path / "t.txt", text)))


def test_commented_header_is_the_header(tmp_path):
    text = "# made by hand, 3 stars\n#" + delimited("|")
    assert_is_the_table(read_table(write(tmp_path / "t.txt", text)))


def test_delimiter_at_the_end_of_each_line_makes_no_column(tmp_path):
    text = "\n".join(line + "|" for line in delimited("|").splitlines())
    assert_is_the_table(read_table(write(tmp_path / "t.csv", text)))


def test_quoted_fields_keep_their_delimiters(tmp_path):
    text = 'obsid,comment\n7,"double, or not; see [1]|[2]"\n8,"say ""no"""\n'
    table = read_table(write(tmp_path / "t.csv", text))
    assert table["comment"].tolist() == ["double, or not; see [1]|[2]", 'say "no"']


def test_repeated_and_nameless_columns_are_told_apart(tmp_path):
    table = read_table(write(tmp_path / "t.csv", ",ra,ra,dec,ra\n0,1.5,2.5,3.5,4.5\n"))
    assert list(table.columns) == ["column_1", "ra", "ra_2", "dec", "ra_3"]
    assert table.iloc[0].tolist() == [0, 1.5, 2.5, 3.5, 4.5]


def test_names_are_stripped(tmp_path):
    table = read_table(write(tmp_path / "t.csv", " obsid | ra |class \n 7 | 1.5 | STAR \n"))
    assert list(table.columns) == ["obsid", "ra", "class"]
    assert table.iloc[0].tolist() == [7, 1.5, "STAR"]


@pytest.mark.parametrize("written", ["605006", "605006.0", " 605006 ", "6.05006e5", "+605006"])
def test_number_of_an_observation_is_read_however_a_program_wrote_it(tmp_path, written):
    table = read_table(write(tmp_path / "t.csv", f"obsid,ra\n{written},1\n,2\n"))
    assert table["obsid"].dtype == "Int64"
    assert table["obsid"].tolist() == [605006, pd.NA]


def test_identifier_that_lost_digits_is_missing_and_reported(tmp_path, caplog):
    text = f"source_id,ra\n3.2223504785538545e+18,1\n{SOURCE_ID[0]},2\n"
    with caplog.at_level(logging.WARNING):
        table = read_table(write(tmp_path / "t.csv", text))
    assert table["source_id"].tolist() == [pd.NA, SOURCE_ID[0]]
    assert "1 identifiers of column source_id lost digits" in caplog.text


def test_float_identifiers_of_a_fits_table_are_whole_numbers_again(tmp_path):
    Table({"obsid": [605006.0, np.nan], "x": [1, 2]}).write(tmp_path / "t.fits")
    assert read_table(tmp_path / "t.fits")["obsid"].tolist() == [605006, pd.NA]


def test_identifiers_of_letters_stay_text(tmp_path):
    text = "uid,obsid,gp_id\nG1,7,HIP 5\nL22,8,-9999\n"
    table = read_table(write(tmp_path / "t.csv", text))
    assert table["uid"].tolist() == ["G1", "L22"]
    assert table["gp_id"].isna().tolist() == [False, True]


def test_plan_of_digits_is_text(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "obsid,planid\n7,6202\n8,06203\n"))
    assert table["planid"].tolist() == ["6202", "06203"]


def test_word_that_ends_in_id_is_no_identifier(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "obsid,valid,grid\n7,true,1.5\n8,false,2.5\n"))
    assert table["valid"].tolist() == [True, False]
    assert table["valid"].dtype == bool
    assert table["grid"].tolist() == [1.5, 2.5]


def test_unsigned_numbers_beyond_64_bits_signed_keep_their_digits(tmp_path):
    huge = 2**64 - 3
    Table({"objid": np.array([5, huge], dtype=np.uint64)}).write(tmp_path / "t.ecsv")
    assert read_table(tmp_path / "t.ecsv")["objid"].tolist() == ["5", str(huge)]
    text = read_table(write(tmp_path / "t.csv", f"objid\n5\n{huge}\n"))
    assert text["objid"].tolist() == ["5", str(huge)]


def test_header_without_rows_is_an_empty_table(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "obsid,ra\n"))
    assert list(table.columns) == ["obsid", "ra"]
    assert len(table) == 0


def test_one_column_of_numbers_is_a_table(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "obsid\n7\n8\n"))
    assert table["obsid"].tolist() == [7, 8]


def test_latin_1_text_is_read(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "obsid,observer\n7,Åström\n".encode("latin-1")))
    assert table["observer"].tolist() == ["Åström"]


def test_column_with_an_array_per_row_is_left_out_and_reported(tmp_path, caplog):
    Table({"obsid": [7, 8], "snr": np.ones((2, 5))}).write(tmp_path / "t.fits")
    with caplog.at_level(logging.WARNING):
        assert list(read_table(tmp_path / "t.fits").columns) == ["obsid"]
    assert "snr" in caplog.text


MRT = """\
Title: BHB stars
Authors: A. Nonymous
Table: Accepted stars
================================================================================
Byte-by-byte Description of file: bhb.txt
--------------------------------------------------------------------------------
   Bytes Format Units   Label   Explanations
--------------------------------------------------------------------------------
   1- 10 I10    ---     obsid   LAMOST identifier
  12- 30 I19    ---     GaiaID  Gaia identifier
  32- 41 F10.6  deg     RAdeg   Right ascension
  43- 47 F5.2   mag     Gmag    ?=- G magnitude
  49- 50 A2     ---     Class   Class
--------------------------------------------------------------------------------
"""
MRT_ROWS = """\
1230412066 3222350478553854465 175.695220 14.25 A
    701001 4611686018427387905 353.470289   --- B
"""


def assert_is_the_mrt(table):
    assert table["obsid"].tolist() == [1230412066, 701001]
    assert table["GaiaID"].tolist() == [SOURCE_ID[0], SOURCE_ID[2]]
    assert table["RAdeg"].tolist() == [175.695220, 353.470289]
    assert table["Gmag"].isna().tolist() == [False, True]
    assert table["Class"].tolist() == ["A", "B"]


def test_machine_readable_table_with_undeclared_dashes_is_read(tmp_path):
    assert_is_the_mrt(read_table(write(tmp_path / "bhb.mrt", MRT + MRT_ROWS)))


def test_the_first_table_of_a_process_is_read_as_quietly_as_the_next(tmp_path):
    """What astropy warns of is taken by the reader, also where astropy was not there before."""
    path = write(tmp_path / "bhb.mrt", MRT.replace("F5.2   mag  ", "F5.2   --   ") + MRT_ROWS)
    reading = f"from msfa_core.tables.read import read_table; read_table({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", reading], capture_output=True, check=True)
    assert done.stderr == b""


def test_bare_data_of_the_cds_are_read_with_the_readme_beside_them(tmp_path):
    write(tmp_path / "ReadMe", MRT + "Note: nothing\n")
    assert_is_the_mrt(read_table(write(tmp_path / "renamed.dat", MRT_ROWS)))


BAD = {
    "empty": ("", "is empty"),
    "blank": (" \n\n", "is empty"),
    "web page": ("<!DOCTYPE html>\n<html></html>", "web page"),
    "ragged": ("obsid,ra\n1,2\n3,4,5\n", "do not fit its 2 columns"),
    "no header": ("1,2,3\n4,5,6\n", "no header line"),
    "spaces": ("obsid ra dec snrg\n1 2 3\n", "not separated by"),
    "spreadsheet": (b"PK\x03\x04rest", "spreadsheet"),
    "binary": (bytes(range(256)) * 9, "is not a table"),
    "cut gz": (gzip.compress(delimited().encode())[:-9], "cut short"),
    "cut fits": (b"SIMPLE  =                    T".ljust(80), "cannot be read as a table"),
    "cut parquet": (b"PAR1xxxx", "cannot be read as a table"),
    "cut votable": ("<?xml version='1.0'?><VOTABLE><RESOURCE>", "cannot be read as a table"),
    "cut ecsv": ("# %ECSV 1.0\n# ---\n", "cannot be read as a table"),
    "mrt rubbish": (MRT + "no number here\n", "cannot be read as a table"),
}


@pytest.mark.parametrize("kind", BAD)
def test_file_that_is_no_table_gives_one_line_with_name_reason_and_remedy(tmp_path, kind):
    content, reason = BAD[kind]
    path = write(tmp_path / "bad.csv", content)
    with pytest.raises(CatalogueError) as caught:
        read_table(path)
    message = str(caught.value)
    assert re.fullmatch(rf"{re.escape(str(path))}: .*{re.escape(reason)}.*; .+\.", message), message


def test_absent_file_and_folder_are_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"absent\.csv: no such file; check the path"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(CatalogueError, match="is a folder"):
        read_table(tmp_path)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    ids=st.lists(
        st.none() | st.integers(1, 2**63 - 1).filter(lambda i: i not in (999, 9999)),
        min_size=1,
        max_size=30,
    ),
    delimiter=st.sampled_from(",|;\t"),
)
def test_identifiers_of_any_length_survive_a_text_table(tmp_path, ids, delimiter):
    rows = [[i, "" if number is None else number, i / 7] for i, number in enumerate(ids)]
    text = delimited(delimiter, rows, ["row", "source_id", "x"])
    table = read_table(write(tmp_path / "t.csv", text))
    assert [None if pd.isna(i) else i for i in table["source_id"]] == ids
    assert table["x"].tolist() == [i / 7 for i in range(len(ids))]


REAL = {  # file: (rows, identifier column, its first value)
    "lamost_learninglamost/my_data3.csv": (3165, "obsid", 605006),
    "lamost_dr10_afg_gcbellys/type_A_params.csv": (1000, "obsid", 989408147),
    "hotsd_lamost_zhangaina/176parameter.csv": (176, "obsid", 4509015),
    "barbosa2022_bhb_dist/bhb_final.csv": (5699, "objid_1", 1237648703520112952),
    "derived/gc_members_gaia_cmd.csv": (4907, "source_id", 2957985899936967040),
    "gaia_dr3_cmd_sample/gaia_dr3_initial_5000.ecsv": (5000, "SOURCE_ID", None),
    "wd_montwar_bobabel/MontWarWDs.csv": (7077, "GaiaEDR3", 3222350478553854464),
    "mdanet_bss/bss_data.csv": (3733, "specObjID", "269504010"),
    "xue2008_BruceWillis/xue08_bhb.txt": (2558, None, None),
    "xue2011_rothalo/BHB_Xue2011.dat": (4985, None, None),
    "mrt_examples/Anderson2009_table1.mrt": (291, None, None),
    "mrt_examples/Dunham_NH3.mrt": (557, None, None),
    "mrt_examples/HRDS_catalog.mrt": (441, None, None),  # undeclared dashes
    "mrt_examples/Rathborne_2009_Table2.mrt": (829, None, None),
    "mrt_examples/Reid_2014_table1.mrt": (103, None, None),
    "mrt_examples/Simon_2006_Table1.mrt": (23705, None, None),
    "mrt_examples/bolocatV201.mrt": (8559, None, None),  # undeclared dashes
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_catalogue_is_read_with_every_row(real_data, name):
    rows, column, first = REAL[name]
    table = read_table(real_data / "catalogues" / name)
    assert len(table) == rows
    if first is not None:
        assert table[column].iloc[0] == first
    assert not (table.select_dtypes("number") == -9999).any(axis=None)


@pytest.mark.real
def test_known_bhb_stars_of_the_literature_have_positions(real_data):
    for name in ("xue2008_BruceWillis/xue08_bhb.txt", "xue2011_rothalo/BHB_Xue2011.dat"):
        table = read_table(real_data / "catalogues" / name)
        assert table["RAdeg"].between(0, 360).all()
        assert table["DEdeg"].between(-30, 90).all()


@pytest.mark.real
def test_malformed_machine_readable_table_of_astropys_own_tests_is_refused(real_data):
    path = real_data / "catalogues/mrt_examples/astropy_tests/cds_malformed.dat"
    with pytest.raises(CatalogueError, match=r"cds_malformed\.dat: cannot be read"):
        read_table(path)
    with pytest.raises(CatalogueError, match="name the data file beside it"):
        read_table(real_data / "catalogues/xue2011_rothalo/ReadMe_BHB")
