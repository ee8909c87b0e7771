"""Tables as other programs write them: R, TOPCAT, services of the virtual observatory."""

import io
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from outside_tables import IDS, NAMES, UNITS, astropy_table, cells, csv_text, differences, truth
from pyarrow import orc

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.photometry.panstarrs import PANSTARRS_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables import large, pieces
from msfa_core.tables.door import open_table
from msfa_core.tables.report import line
from msfa_core.tables.row_keys import PLACE_USE


def opened(tmp_path, content, use=GAIA_USE, name="t.csv"):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(tmp_path / name, use)


# --- FITS by columns, XML with prefixes ------------------------------------------------------
def test_a_fits_table_stored_column_by_column_is_a_table(tmp_path):
    table, n = truth(), len(truth())
    columns = [
        fits.Column(
            NAMES[house],
            f"{n}K" if house in IDS else f"{n}D",
            unit=UNITS.get(house),
            null=-1 if house in IDS else None,
            array=np.array([table[house].to_numpy(np.int64 if house in IDS else np.float64)]),
        )
        for house in table.columns
    ]
    columns[1].array[0, 3] = -1
    table.loc[3, "gaia_source_id"] = pd.NA
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", GAIA_USE)
    assert differences(table, found) == []
    assert len(found) == n


@pytest.mark.parametrize("prefix", ["v:", "VOTABLE:"])
def test_a_votable_may_have_a_prefix_before_its_elements(tmp_path, prefix):
    table = truth()
    astropy_table(table).write(tmp_path / "t.xml", format="votable")
    text = (tmp_path / "t.xml").read_text()
    text = re.sub(r"<(/?)([A-Z])", rf"<\1{prefix}\2", text)
    text = text.replace(' xmlns="', f' xmlns:{prefix[:-1]}="')
    assert f"<{prefix}VOTABLE" in text
    assert differences(table, opened(tmp_path, text, name="u.xml")) == []


# --- R ---------------------------------------------------------------------------------------
def of_r(table, delimiter, quote):
    """Return a table as R's write.table leaves it: rows have names, their column has none."""
    text = cells(table, missing="NA")
    names = [f"{quote}{name}{quote}" for name in text]
    rows = zip(*text.values(), strict=True)
    lines = [delimiter.join([f"{quote}{i}{quote}", *row]) for i, row in enumerate(rows, start=1)]
    return "\n".join([delimiter.join(names), *lines]) + "\n"


@pytest.mark.parametrize(("delimiter", "quote"), [(" ", '"'), (",", '"'), ("\t", ""), (" ", "")])
def test_a_header_that_lacks_the_name_of_the_row_names_is_understood(tmp_path, delimiter, quote):
    found = opened(tmp_path, of_r(truth(), delimiter, quote))
    assert differences(truth(), found) == []


@pytest.mark.parametrize(
    "text",
    [
        "obsid,teff\n1,8100,5\n2,8200,5\n",  # row names, or decimal commas?
        "obsid\tteff\n301\t8100\t5\n302\t8200\t5\n",
    ],
)
def test_fields_without_a_name_are_refused_where_they_may_be_values(tmp_path, text):
    with pytest.raises(CatalogueError, match="each row has 3 fields, and the header 2 names"):
        opened(tmp_path, text, CATALOGUE_USE)


# --- kindred quantities ----------------------------------------------------------------------
@pytest.mark.parametrize("name", ["[M/H]", "M_H", "metallicity"])
def test_the_abundance_of_all_metals_is_left_out_and_said(tmp_path, name):
    found = opened(tmp_path, f"obsid,teff,{name}\n7,8000,-1.5\n8,8100,-1.6\n", CATALOGUE_USE)
    assert not found.has("feh")
    assert f"{name} (it can count all metals" in line(found)


def test_an_extinction_is_no_reddening_and_said(tmp_path):
    rows = csv_text(truth()).splitlines()
    text = "\n".join([f"{rows[0]},A_V", *(f"{row},0.3" for row in rows[1:])]) + "\n"
    found = opened(tmp_path, text)
    assert not found.has("ebv")
    assert "no E(B-V)" in found.left_out["A_V"]


# --- long tables -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cell", "is_open"),
    [('"n500', True), ('"n500"', False), ('5" ap', False), ('"a ""b"" c"', False)],
)
def test_a_mark_that_nobody_closed_is_seen_in_a_long_table(tmp_path, monkeypatch, cell, is_open):
    rows = [f"{i},{8000 + i},{cell if i == 500 else 'x'}" for i in range(1, 2001)]
    (tmp_path / "t.csv").write_text("\n".join(["obsid,teff,note", *rows]) + "\n")
    monkeypatch.setattr(large, "LARGE", 0)
    monkeypatch.setattr(large, "_HEAD", 2**10)
    table = large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
    wanted = np.array([499, 500, 502]), pd.Series([], dtype="str")
    if is_open:
        with pytest.raises(CatalogueError, match="not closed in its line.*n500"):
            table.rows_of(*wanted)
    else:
        assert table.rows_of(*wanted).table["teff"].tolist() == [8499.0, 8500.0, 8502.0]


def test_a_mark_open_in_the_last_line_is_seen_too(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text('obsid,teff,note\n7,8000,x\n8,8100,"x')
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
    with pytest.raises(CatalogueError, match="not closed"):
        table.rows_of(np.array([7]), pd.Series([], dtype="str"))


# --- marks beside numbers --------------------------------------------------------------------
@pytest.mark.parametrize("mark", ["²", "¹", "₂", "①", "⑴", "*", "a", "(60)", "±60"])
def test_a_mark_behind_a_number_is_no_digit_of_it(tmp_path, mark):
    rows = [f"{100 + i},{8000 + i}" for i in range(20)]
    text = "\n".join(["obsid,teff", *rows, f"300{mark},8100", f"301,7800{mark}"]) + "\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert found.table["teff"].isna().tolist() == [False] * 21 + [True]
    assert found.table["obsid"].isna().tolist() == [False] * 20 + [True, False]
    assert f"7800{mark}" in line(found)
    assert f"300{mark}" in line(found)


# --- names -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "names", [("g [mag]", "r [mag]"), ("G [mag]", "R [mag]"), ("g/mag", "r/mag"), ("gmag_1", "r_1")]
)
def test_g_of_another_survey_is_not_gaias_with_a_unit_or_a_side_either(tmp_path, names):
    bare = truth().drop(columns=["g_mag", "bp_rp"])
    rows = csv_text(bare).splitlines()
    text = "\n".join([f"{rows[0]},{','.join(names)}", *(f"{row},15.5,15.1" for row in rows[1:])])
    found = opened(tmp_path, text + "\n")
    assert not found.has("g_mag")
    assert names[0] in found.left_out


def test_of_a_pair_table_the_magnitude_of_gaia_is_taken_and_not_that_of_sdss(tmp_path):
    text = "source_id,g_mag_a,r_mag_a,phot_g_mean_mag_b\n1275856250441039873,15.5,15.1,15.9\n"
    found = opened(tmp_path, text)
    assert found.table["g_mag"].tolist() == [15.9]
    assert "another survey" in found.left_out["g_mag_a"]


@pytest.mark.parametrize(
    ("names", "house"),
    [
        ("Teff / K", "teff"),
        ("redshift", "z"),
        ("log g / dex", "logg"),
        ("combined_teff", "teff"),
        ("Teff (dex(K))", "teff"),
        ("logg / dex(cm/s2)", "logg"),
    ],
)
def test_more_names_of_a_catalogue(tmp_path, names, house):
    value = {"teff": 8100.0, "z": 1e-4, "logg": 3.2}[house]
    given = np.log10(value) if "dex(K)" in names else value
    found = opened(tmp_path, f"obsid,{names}\n7,{given}\n8,{given}\n", CATALOGUE_USE)
    assert found.table[house].tolist() == pytest.approx([value, value])


@pytest.mark.parametrize(
    ("names", "house"),
    [(("BP", "RP"), ("bp_mag", "rp_mag")), (("G_BP", "G_RP"), ("bp_mag", "rp_mag"))],
)
def test_more_names_of_gaias_magnitudes(tmp_path, names, house):
    text = f"source_id,G [mag],{','.join(names)}\n1275856250441039873,15.9,16.0,15.8\n"
    found = opened(tmp_path, text).table
    assert found[[*house, "g_mag"]].iloc[0].tolist() == [16.0, 15.8, 15.9]


def test_a_shift_beside_magnitudes_with_their_unit_in_the_name_is_one(tmp_path):
    text = "obsid,z,z_err,g_mag,r_mag,u_mag\n7,1e-4,1e-5,15.5,15.1,16\n8,-2e-4,1e-5,15.5,15,16\n"
    assert opened(tmp_path, text, CATALOGUE_USE).table["z"].tolist() == [1e-4, -2e-4]


def test_columns_of_which_nothing_is_taken_are_named(tmp_path):
    text = "obsid,teff,radial_velocity,note\n7,8000,55.5,x\n8,8100,66.6,y\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert line(found).endswith("not used: radial_velocity, note")


# --- other surveys ---------------------------------------------------------------------------
def test_magnitudes_beside_u_are_not_of_panstarrs(tmp_path):
    text = "RA_ICRS,DE_ICRS,umag,gmag,e_gmag,rmag\n10.5,1.5,16.9,15.9,0.01,15.8\n"
    found = opened(tmp_path, text, PANSTARRS_USE)
    assert not {"ps_g_mag", "ps_r_mag", "ps_g_mag_err"} & set(found.table)
    assert "Pan-STARRS has no u" in found.left_out["gmag"]


def test_numbers_of_sdss_are_not_those_of_panstarrs(tmp_path):
    text = "objID,ra,dec,gmag,rmag\n1237648720693755918,10.5,1.5,15.9,15.8\n"
    with pytest.raises(CatalogueError, match="objID is no number of Pan-STARRS, SDSS has such"):
        opened(tmp_path, text, PANSTARRS_USE)


# --- what a file says of itself --------------------------------------------------------------
def test_a_name_that_a_row_of_json_has_twice_must_say_one_thing(tmp_path):
    rows = '[{"obsid": 7, "teff": 8000, "teff": %s}]'
    assert opened(tmp_path, rows % 8000, CATALOGUE_USE, "t.json").table["teff"].tolist() == [8000]
    with pytest.raises(CatalogueError, match="names teff twice, with different values"):
        opened(tmp_path, rows % 9000, CATALOGUE_USE, "t.json")


def test_errors_in_per_cent_are_no_temperatures(tmp_path):
    text = "obsid,teff,teff_err\n7,8000,3.1\n8,8100,2.9\n9,8200,4.4\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert found.has("teff")
    assert "per cent" in found.left_out["teff_err"]


def test_an_error_in_per_cent_leaves_the_parallax_in_its_unit(tmp_path):
    table = truth().dropna(subset=["parallax_mas"]).reset_index(drop=True)
    error = (100 * table["parallax_error_mas"] / table["parallax_mas"]).clip(20, 150)
    found = opened(tmp_path, csv_text(table.assign(parallax_error_mas=error)))
    assert found.table["parallax_mas"].tolist() == table["parallax_mas"].tolist()
    assert not found.has("parallax_error_mas")
    assert "per cent" in found.left_out["parallax_error"]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(("2000.0", "2000.0"), [2000.0, 2000.0]), (("57000", "57001"), None), (("1", "2"), None)],
)
def test_an_epoch_is_a_year_of_places_or_left_out(tmp_path, epochs, expected):
    rows = [f"1275856250441039{i},10.5,1.{i},15.9,{one}" for i, one in enumerate(epochs, start=871)]
    text = "\n".join(["source_id,ra,dec,phot_g_mean_mag,epoch", *rows]) + "\n"
    found = opened(tmp_path, text)
    if expected is None:
        assert "ref_epoch" not in found.table
        assert "date of a spectrum" in found.left_out["epoch"]
    else:
        assert found.table["ref_epoch"].tolist() == expected


def test_the_epoch_of_dr2_tells_the_release_with_its_letter_too(tmp_path):
    text = "source_id,ra,dec,phot_g_mean_mag,ref_epoch\n1275856250441039873,10.5,1,15.9,J2015.5\n"
    found = opened(tmp_path, text)
    assert "Gaia DR2" in found.left_out["source_id"]


@pytest.mark.parametrize("below", ["# fixlen = T\n# rows: 3\n", "# --- deg deg mag\n", ""])
@pytest.mark.parametrize("mark", [" ", ",", "\t"])
def test_names_in_a_comment_above_others_are_names(tmp_path, below, mark):
    """As astropy writes ``ascii.commented_header``: the names first, then what else is said."""
    rows = [(10**17 + 128 * k, 10.5 + k, -3.25, 15.5) for k in range(3)]
    text = "# source_id ra dec phot_g_mean_mag\n" + below
    text += "".join(" ".join(map(repr, row)) + "\n" for row in rows)
    lines = [
        one
        if one.startswith(("# fix", "# rows"))
        else "# " + mark.join(one[2:].split())
        if one.startswith("#")
        else mark.join(one.split())
        for one in text.splitlines()
    ]
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n")
    found = open_table(tmp_path / "t.txt", GAIA_USE)
    assert found.table["gaia_source_id"].tolist() == [row[0] for row in rows]
    assert found.table["dec"].tolist() == [-3.25] * 3
    assert found.table["g_mag"].tolist() == [15.5] * 3


def test_a_table_between_rules_is_read(tmp_path):
    rule = "===== ======"
    text = "\n".join([rule, "obsid   teff", rule, "    7 8000.5", "    8 8100.5", rule]) + "\n"
    assert opened(tmp_path, text, CATALOGUE_USE).table["teff"].tolist() == [8000.5, 8100.5]


@pytest.mark.parametrize("form", ["ascii.rst", "ascii.fixed_width_two_line"])
def test_columns_below_rules_are_cut_at_them_and_may_have_empty_cells(tmp_path, form):
    table = truth()
    astropy_table(table).write(tmp_path / "t.txt", format=form)
    assert differences(table, open_table(tmp_path / "t.txt", GAIA_USE)) == []
    answer = (tmp_path / "t.txt").read_text().rstrip("\n") + "\n\n(12 rows affected)\n"
    assert differences(table, opened(tmp_path, answer)) == []


def test_a_commented_header_above_a_row_of_units_is_the_header(tmp_path):
    rows = csv_text(truth()).splitlines()
    units = ",".join(UNITS.get(house, "") for house in truth().columns)
    found = opened(tmp_path, "\n".join([f"#{rows[0]}", units, *rows[1:]]) + "\n")
    assert differences(truth(), found) == []


# --- masks -----------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["parquet", "ascii.ecsv"])
def test_values_that_astropy_masked_are_missing(tmp_path, form):
    how = {"serialize_method": "data_mask"} if form == "ascii.ecsv" else {}
    astropy_table(truth()).write(tmp_path / "t", format=form, **how)
    found = open_table(tmp_path / "t", GAIA_USE)
    assert differences(truth(), found) == []
    assert not any("mask" in name for name in found.unused)


def test_values_that_astropy_masked_are_missing_in_a_long_parquet_file(tmp_path, monkeypatch):
    made = Table({"obsid": [7, 8, 9], "teff": MaskedColumn([8000.0, -5.0, 9000.0], mask=[0, 1, 0])})
    made.write(tmp_path / "t.parquet")
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(tmp_path / "t.parquet", CATALOGUE_USE)
    found = table.rows_of(np.array([7, 8, 9]), pd.Series([], dtype="str"))
    assert found.table["teff"].tolist() == pytest.approx([8000.0, np.nan, 9000.0], nan_ok=True)


def test_what_refuses_a_table_refuses_a_long_one(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "LARGE", 0)
    (tmp_path / "t.csv").write_text("obsid,rv\n,m/s\n7,100\n8,200\n")  # one unit is no row of them
    with pytest.raises(CatalogueError, match="column rv has 'm/s' in row 1"):
        large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
    tables = [
        fits.BinTableHDU(Table({"obsid": [7, 8], "teff": [8000.0, t]}), name=name)
        for name, t in (("A", 8100.0), ("B", 9100.0))
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(tmp_path / "t.fits")
    assert large.open_large(tmp_path / "t.fits", CATALOGUE_USE) is None  # read whole, and refused
    with pytest.raises(CatalogueError, match="2 tables that could be meant"):
        open_table(tmp_path / "t.fits", CATALOGUE_USE)


# --- rows, names and lines that are none of the table's ----------------------------------------
TYPES = {
    "services": lambda names: ["long", *["double"] * (len(names) - 1)],
    "pandas": lambda names: ["int64", *["float64"] * (len(names) - 1)],
    "RDB": lambda names: ["20N", *["N"] * (len(names) - 1)],
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_row_of_types_below_the_names_is_none_of_the_table(tmp_path, kind):
    table = truth()
    names, *rows = csv_text(table, "\t").splitlines()
    types = "\t".join(TYPES[kind](names.split("\t")))
    found = opened(tmp_path, "\n".join([names, types, *rows]) + "\n")
    assert differences(table, found) == []
    assert len(found) == len(table)


@pytest.mark.parametrize("mark", ["%", "!", ";"])
def test_other_marks_than_a_hash_may_begin_comments_and_the_names(tmp_path, mark):
    table = truth()
    text = csv_text(table)
    assert differences(table, opened(tmp_path, f"{mark} stars\n{mark} of mine\n{text}")) == []
    found = opened(tmp_path, f"{mark}{text}")
    assert differences(table, found) == []
    assert found.has("obsid")


def test_names_with_types_of_casjobs_are_names(tmp_path):
    table = truth()
    typed = {
        house: f"{name}:{'BigInt' if house in IDS else 'Float'}" for house, name in NAMES.items()
    }
    found = opened(tmp_path, csv_text(table, names=typed))
    assert set(found.table) >= set(table)
    assert differences(table, found) == []


@pytest.mark.parametrize("end", ["(12 rows)\n", "12 rows in set (0.01 sec)\n"])
def test_what_a_database_writes_below_its_rows_is_no_row(tmp_path, end):
    table = truth()
    found = opened(tmp_path, csv_text(table, "|") + end)
    assert (len(found), differences(table, found)) == (len(table), [])


def test_a_list_of_simbad_is_read(tmp_path):
    head = "C.D.S.  -  SIMBAD4 rel 1.8\n\nNumber of objects: 2\n\n"
    names = " # |identifier|typ|coord1 (ICRS,J2000/2000)|Mag V\n---|---|---|---|---\n"
    rows = "1  |HD 1|*|12 00 00.00 -01 30 00.0|9.1\n2  |HD 2|*|00 30 00.00 +41 15 00.0|9.8\n"
    found = opened(tmp_path, head + names + rows, PLACE_USE, "simbad.txt")
    assert found.table["ra"].tolist() == pytest.approx([180.0, 7.5])
    assert found.table["dec"].tolist() == pytest.approx([-1.5, 41.25])


def test_magnitudes_in_dex_are_none(tmp_path):
    made = astropy_table(truth())
    made["phot_g_mean_mag"].unit = "dex"
    made.write(tmp_path / "t.ecsv", format="ascii.ecsv")
    assert "dex" in open_table(tmp_path / "t.ecsv", GAIA_USE).left_out["phot_g_mean_mag"]


# --- Arrow, ORC, checksums, merges ------------------------------------------------------------
def arrow_stream(table):
    out = io.BytesIO()
    named = pa.Table.from_pandas(table.rename(columns=NAMES), preserve_index=False)
    with pa.ipc.new_stream(out, named.schema) as writer:
        writer.write_table(named)
    return out.getvalue()


def test_an_arrow_stream_is_a_table_and_one_without_its_end_is_cut(tmp_path):
    content = arrow_stream(truth())
    assert differences(truth(), opened(tmp_path, content, name="t.arrows")) == []
    with pytest.raises(CatalogueError, match="Arrow stream without its end"):
        opened(tmp_path, content[:-8], name="t.arrows")


def test_orc_is_a_table(tmp_path):
    named = pa.Table.from_pandas(truth().rename(columns=NAMES), preserve_index=False)
    orc.write_table(named, tmp_path / "t.orc")
    assert differences(truth(), open_table(tmp_path / "t.orc", GAIA_USE)) == []


@pytest.mark.parametrize(
    ("content", "what"), [(b"#ASDF 1.0.0\n", "ASDF"), (b"<table border='1'>\n", "HTML table")]
)
def test_other_files_are_named(tmp_path, content, what):
    with pytest.raises(CatalogueError, match=f"is an {what}.*(give|save) "):
        opened(tmp_path, content)


def test_a_fits_table_of_another_checksum_is_refused(tmp_path):
    path = tmp_path / "t.fits"
    unit = fits.BinTableHDU(astropy_table(truth()), name="GAIA")
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(path, checksum=True)
    assert differences(truth(), open_table(path, GAIA_USE)) == []
    with fits.open(path) as units:
        at = units[1].fileinfo()["datLoc"]
    raw = bytearray(path.read_bytes())
    raw[at + 41] ^= 0x40
    path.write_bytes(raw)
    with pytest.raises(CatalogueError, match="GAIA do not agree with their checksum"):
        open_table(path, GAIA_USE)


NO_FILES = pd.Series([], dtype="str")


@pytest.mark.parametrize("has_heap", [False, True])
def test_a_long_fits_table_of_another_checksum_is_refused(tmp_path, monkeypatch, has_heap):
    monkeypatch.setattr(large, "LARGE", 0)
    monkeypatch.setattr(pieces, "ROWS", 3)  # of 17 bytes: no whole words
    path = tmp_path / "t.fits"
    columns = [
        fits.Column("obsid", "K", array=np.arange(7) + 1),
        fits.Column("teff", "D", array=8000.0 + np.arange(7)),
        fits.Column("flag", "B", array=np.arange(7)),
    ]
    if has_heap:
        lists = np.array([np.arange(k, dtype="i2") for k in range(1, 8)], dtype=object)
        columns.append(fits.Column("list", "PI()", array=lists))
    units = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="STARS")])
    units.writeto(path, checksum=True)
    found = large.open_large(path, CATALOGUE_USE).rows_of(np.array([1, 2, 3]), NO_FILES)
    assert len(found.table) > 0
    with fits.open(path) as units:
        at = units[1].fileinfo()["datLoc"]
        size = units[1].header["NAXIS1"] * units[1].header["NAXIS2"] + units[1].header["PCOUNT"]
    for place in (9, size - 1):
        raw = bytearray(path.read_bytes())
        raw[at + place] ^= 0x40
        (tmp_path / "b.fits").write_bytes(raw)
        with pytest.raises(CatalogueError, match="STARS do not agree with their checksum"):
            large.open_large(tmp_path / "b.fits", CATALOGUE_USE).rows_of(
                np.array([1, 2, 3]), NO_FILES
            )


def test_of_two_columns_that_a_merge_named_alike_neither_is_taken_where_they_differ(tmp_path):
    table = truth().rename(columns=NAMES)
    name = NAMES["g_mag"]
    merged = table.rename(columns={name: f"{name}_x"}).assign(**{f"{name}_y": table[name]})
    assert differences(truth(), opened(tmp_path, merged.to_csv(index=False))) == []
    merged[f"{name}_y"] += 0.5
    with pytest.raises(CatalogueError, match=f"{name}_x and {name}_y could both be g_mag"):
        opened(tmp_path, merged.to_csv(index=False))


# --- what is the same in long tables ----------------------------------------------------------
def labels(**columns):
    rng = np.random.default_rng(4)
    n = 40
    obsid = 101_000_001 + 7 * rng.choice(10**6, n, replace=False)
    table = pd.DataFrame({"obsid": obsid, "teff": rng.uniform(7200.0, 9800.0, n).round(1)})
    return table.assign(**columns)


def long(tmp_path, monkeypatch, text, obsids):
    (tmp_path / "t.csv").write_text(text)
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(tmp_path / "t.csv", CATALOGUE_USE)
    return table.rows_of(np.unique(obsids.to_numpy()), pd.Series([], dtype="str")).table


def test_blank_lines_behind_the_names_do_not_end_a_long_table(tmp_path, monkeypatch):
    table = labels()
    text = table.to_csv(index=False).replace("\n", "\n\n")
    assert len(long(tmp_path, monkeypatch, text, table["obsid"])) == len(table)


def test_obsids_of_a_long_table_that_single_precision_rounded_are_refused(tmp_path, monkeypatch):
    table = labels()
    rounded = table.assign(obsid=table["obsid"].astype(np.float32).astype(np.int64))
    with pytest.raises(CatalogueError, match="single precision, which rounds them"):
        long(tmp_path, monkeypatch, rounded.to_csv(index=False), table["obsid"])


def test_of_two_obsids_in_a_row_neither_is_taken(tmp_path, monkeypatch):
    table = labels().rename(columns={"obsid": "obsid_1"})
    assert opened(tmp_path, table.to_csv(index=False), CATALOGUE_USE).has("obsid")
    pair = table.assign(obsid_2=table["obsid_1"] + 1)
    with pytest.raises(CatalogueError, match="obsid_1.*could both be obsid"):
        opened(tmp_path, pair.to_csv(index=False), CATALOGUE_USE)
    with pytest.raises(CatalogueError, match="either could be meant.*obsid_2"):
        long(tmp_path, monkeypatch, pair.to_csv(index=False), table["obsid_1"])


def test_one_plus_z_is_no_shift(tmp_path):
    z = np.random.default_rng(3).normal(0.0, 4e-4, 40).round(7)
    found = opened(tmp_path, labels(z=1 + z).to_csv(index=False), CATALOGUE_USE)
    assert "1 + z" in found.left_out["z"]
    assert opened(tmp_path, labels(z=z).to_csv(index=False), CATALOGUE_USE).has("z")


def test_a_place_of_two_zeros_is_none(tmp_path):
    rng = np.random.default_rng(3)
    table = labels(ra=rng.uniform(0, 360, 40).round(5), dec=rng.uniform(-9, 60, 40).round(5))
    table.loc[2, ["ra", "dec"]] = 0.0
    table.loc[3, "ra"] = 0.0
    found = opened(tmp_path, table.to_csv(index=False), CATALOGUE_USE).table
    assert found["ra"].isna().tolist() == [i == 2 for i in range(40)]
    assert found["ra"][3] == 0.0


# --- names listed above the rows, as SExtractor writes them ------------------------------------
SEXTRACTOR = """\
#   1 NUMBER                 Running object number                              [count]
#   2 ALPHA_J2000            Right ascension of barycenter (J2000)              [deg]
#   3 DELTA_J2000            Declination of barycenter (J2000)                  [deg]
#   4 MAG_APER               Fixed aperture magnitude vector                    [mag]
#   6 FLAGS                  Extraction flags
         1  150.1163213   2.2057654  15.1234 15.2   0
         2  150.2163213  -2.3057654  16.1234 16.3   3
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_names_listed_by_number_above_the_rows_are_names(tmp_path, ending):
    found = opened(tmp_path, SEXTRACTOR.replace("\n", ending), PLACE_USE, "t.cat")
    assert found.table["ra"].tolist() == [150.1163213, 150.2163213]
    assert found.table["dec"].tolist() == [2.2057654, -2.3057654]


def test_units_listed_with_the_names_count(tmp_path):
    text = "# 1 source_id Gaia\n# 2 phot_g_mean_mag G [mag]\n# 3 parallax plx [arcsec]\n"
    found = opened(tmp_path, text + "4611686018427387903 14.5 0.0005\n", name="t.txt")
    assert found.table["gaia_source_id"].tolist() == [4611686018427387903]
    assert found.table["parallax_mas"].tolist() == pytest.approx([0.5])


def test_numbered_remarks_above_a_header_are_remarks(tmp_path):
    text = "# 1 star was left out\n# 2 more were added\nobsid,ra,dec\n7,10.5,20.5\n"
    assert opened(tmp_path, text, PLACE_USE).table["ra"].tolist() == [10.5]


def test_two_numbers_with_a_line_between_them_are_no_identifier(tmp_path):
    text = "obsid,ra,dec\n1_01,10.5,20.5\n102,11.5,21.5\n"
    with pytest.raises(CatalogueError, match="'1_01'"):
        opened(tmp_path, text, PLACE_USE)


# --- hours beyond the day --------------------------------------------------------------------
def test_twenty_four_hours_are_none_and_no_sign_of_degrees(tmp_path):
    text = "obsid,ra,dec\n7,24:00:00,20:30:00\n8,10:30:00,20:30:00\n"
    found = opened(tmp_path, text, PLACE_USE).table
    assert (found["ra"] % 360).tolist() == [0.0, 157.5]


def test_one_slip_of_hours_does_not_make_degrees_of_a_column(tmp_path):
    cells = [f"{hour:02d}:30:00" for hour in range(24)]
    rows = "".join(f"{i},{cell},20:30:00\n" for i, cell in enumerate([*cells, "25:10:00"], 1))
    found = opened(tmp_path, "obsid,ra,dec\n" + rows, PLACE_USE)
    assert found.table["ra"].tolist()[:24] == [15 * (hour + 0.5) for hour in range(24)]
    assert np.isnan(found.table["ra"].iloc[24])
    assert "25:10:00" in line(found)


@pytest.mark.parametrize("cells", [["157:30:00", "10:30:00"], ["22:30:00"] * 30 + ["24:10:00"]])
def test_many_hours_beyond_the_day_or_a_field_that_reaches_there_are_degrees(tmp_path, cells):
    rows = "".join(f"{i},{cell},20:30:00\n" for i, cell in enumerate(cells, 1))
    found = opened(tmp_path, "obsid,ra,dec\n" + rows, PLACE_USE).table
    assert found["ra"].iloc[0] == pytest.approx(float(cells[0][:-6]) + 0.5)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("52d30m00s", 52.5),  # one marked cell is in degrees; the others were, too
        ("52.5", 52.5),
        ("3.5", np.nan),  # degrees, or hours as the others?
        ("03h30m00s", 52.5),
    ],
)
def test_one_cell_of_another_kind_leaves_the_hours_of_the_others(tmp_path, cell, expected):
    cells = [f"{hour:02d}:30:00" for hour in range(20)]
    cells[3] = cell
    rows = "".join(f"{i},{one},20:30:00\n" for i, one in enumerate(cells, 1))
    found = opened(tmp_path, "obsid,ra,dec\n" + rows, PLACE_USE).table["ra"]
    true = [15 * (hour + 0.5) for hour in range(20)]
    true[3] = expected
    np.testing.assert_allclose(found, true)


# --- errors above and below, limits of 2MASS --------------------------------------------------
ERRORS_ABOVE_AND_BELOW = ("E_Teff\te_Teff", "teff_err1\tteff_err2", "e_teff_1\te_teff_2")


@pytest.mark.parametrize("names", ERRORS_ABOVE_AND_BELOW)
def test_errors_above_and_below_are_left_out_and_the_rest_is_read(tmp_path, names):
    rows = [f"{101 + 7 * i}\t{8000 + 10 * i}\t{90 + i}\t{70 + i}\t-1.5" for i in range(6)]
    text = "\n".join([f"obsid\tTeff\t{names}\t[Fe/H]", *rows]) + "\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert found.table["teff"].tolist() == [8000.0 + 10 * i for i in range(6)]
    assert found.has("feh")
    assert not found.has("teff_err")
    for name in names.split("\t"):
        assert "give one column of errors" in found.left_out[name]


def test_errors_of_a_pair_of_tables_are_those_of_their_side(tmp_path):
    text = "obsid,teff_1,teff_err_1,teff_2,teff_err_2\n7,8000,90,8100,70\n8,8200,91,8300,71\n"
    found = opened(tmp_path, text, CATALOGUE_USE).table
    assert found["teff_err"].tolist() == [90.0, 91.0]


@pytest.mark.parametrize("name", ["Qflg", "ph_qual", "Qfl"])
def test_a_magnitude_of_2mass_that_is_but_a_limit_is_no_value(tmp_path, monkeypatch, name):
    rows = ["1,15.1,14.9,14.8,AAB", "2,16.9,16.1,15.2,CUU", "3,17.1,16.0,15.1,UUU", "4,,,,null"]
    text = f"obsid,Jmag,Hmag,Kmag,{name}\n" + "\n".join(rows) + "\n"
    found = opened(tmp_path, text)
    assert found.table["j_mag"].tolist() == pytest.approx([15.1, 16.9, np.nan, np.nan], nan_ok=True)
    assert found.table["h_mag"].tolist() == pytest.approx([14.9, *[np.nan] * 3], nan_ok=True)
    assert found.table["ks_mag"].tolist() == pytest.approx([14.8, *[np.nan] * 3], nan_ok=True)
    assert "2 values of Kmag: only a limit, left out" in line(found)
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(tmp_path / "t.csv", GAIA_USE)
    long = table.rows_of(np.array([1, 3]), pd.Series([], dtype="str")).table
    assert long["h_mag"].tolist() == pytest.approx([14.9, np.nan], nan_ok=True)


def test_quality_of_something_else_is_none_of_2mass(tmp_path):
    found = opened(tmp_path, "obsid,Jmag,Hmag,Kmag,Qfl\n1,15,15,15,U\n2,16,16,16,good\n")
    assert found.table["j_mag"].tolist() == [15.0, 16.0]


# --- identifiers, places, rows ----------------------------------------------------------------
def test_identifiers_of_edr3_are_taken_where_those_of_dr2_stand_beside_them(tmp_path):
    rows = csv_text(truth()).splitlines()
    rows[0] = rows[0].replace("source_id", "EDR3 id") + ",DR2 id"
    text = "\n".join([rows[0], *(f"{row},{row.split(',')[1]}" for row in rows[1:])]) + "\n"
    found = opened(tmp_path, text)
    assert found.columns["gaia_source_id"].name == "EDR3 id"
    assert not found.has("ref_epoch")  # that of DR2 is not that of these places


def test_numbers_too_small_for_pan_starrs_are_left_out(tmp_path):
    rows = [f"{353285958 + i},{10.0 + i},{5.0 + i},15.{i}" for i in range(5)]
    text = "\n".join(["objID,raMean,decMean,gMeanPSFMag", *rows]) + "\n"
    found = opened(tmp_path, text, PANSTARRS_USE)
    assert "too small for those of Pan-STARRS" in found.left_out["objID"]
    assert found.has("ps_g_mag", "ra")


def test_a_place_in_one_column_needs_no_marks_between_its_numbers(tmp_path):
    text = "RA-DEC,Teff\n094107.47-001949.70,8100\n101435.26+123015.0,8200\n"
    found = opened(tmp_path, text, PLACE_USE).table
    assert found["ra"].tolist() == pytest.approx([145.281125, 153.646917])
    assert found["dec"].tolist() == pytest.approx([-0.330472, 12.504167], abs=1e-6)


def test_a_row_whose_cells_ran_together_is_named(tmp_path):
    rows = [f"{101 + 7 * i} {8000 + i} 3.2 -1.5 0.1" for i in range(12)]
    rows[7] = rows[7].replace(" 3.2 ", " 3.2")
    text = "\n".join(["obsid Teff logg feh ebv", *rows]) + "\n"
    with pytest.raises(CatalogueError, match="has 4 fields between blanks in row 8 .'150 8007 3"):
        opened(tmp_path, text, CATALOGUE_USE)


@pytest.mark.parametrize("use", [GAIA_USE, PLACE_USE])
def test_a_table_that_lies_on_its_side_is_refused_and_told(tmp_path, use):
    rows = [row.split(",") for row in csv_text(truth()).splitlines()]
    text = "\n".join(",".join(row) for row in zip(*rows, strict=True)) + "\n"
    with pytest.raises(CatalogueError, match="stand in its first column; exchange its rows"):
        opened(tmp_path, text, use)


def test_names_of_stars_are_no_names_of_columns(tmp_path):
    rows = [f"{name},{10.0 + i},{5.0 + i}" for i, name in enumerate(["Alpha", "Delta", "G", "RA"])]
    found = opened(tmp_path, "\n".join(["star,ra,dec", *rows]) + "\n", PLACE_USE)
    assert found.table["ra"].tolist() == [10.0, 11.0, 12.0, 13.0]


def test_a_catalogue_has_gaias_columns_under_vizier_s_names(tmp_path):
    names = "obsid,GaiaDR3,Plx,e_Plx,pmRA,e_pmRA,pmDE,e_pmDE,Gmag,BPmag,RPmag"
    rows = [
        f"{101 + i},{(2**60 + i) | 1},0.5,0.03,-3.5,0.04,2.5,0.05,15,15.1,14.9" for i in range(4)
    ]
    found = opened(tmp_path, "\n".join([names, *rows]) + "\n", CATALOGUE_USE)
    assert found.has("gaia_source_id", "parallax_mas", "parallax_error_mas", "bp_mag", "rp_mag")
    motion = found.table[["pmra", "pmra_error", "pmdec", "pmdec_error"]]
    assert motion.iloc[0].tolist() == [-3.5, 0.04, 2.5, 0.05]
    assert not found.unused


def test_a_limit_of_2mass_may_be_told_as_cds_does(tmp_path):
    found = opened(tmp_path, "obsid,l_Jmag,Jmag,Hmag,Kmag\n1,>,17.1,15.0,14.9\n2,,16.1,15.9,15.8\n")
    assert found.table["j_mag"].tolist() == pytest.approx([np.nan, 16.1], nan_ok=True)
