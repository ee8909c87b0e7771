"""Tables as other programs write them: R, TOPCAT, services of the virtual observatory."""

import re

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from outside_tables import IDS, NAMES, UNITS, astropy_table, cells, csv_text, differences, truth

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables import large
from msfa_core.tables.door import open_table
from msfa_core.tables.report import line


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
