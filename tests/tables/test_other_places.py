"""Places in other systems, in one column, with units in their cells, under other names."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.tables.door import open_table
from msfa_core.tables.report import line
from msfa_core.tables.row_keys import PLACE_USE

RA = [10.1234567, 188.7361234, 206.1936934, 355.9990001]
DEC = [-1.0342345, 35.1230001, -0.5003456, 4.5000012]
STARS = SkyCoord(RA * u.deg, DEC * u.deg)


def opened(tmp_path, names, columns, use=PLACE_USE):
    rows = zip(*columns, strict=True)
    text = "\n".join([names, *("\t".join(map(str, row)) for row in rows)]) + "\n"
    (tmp_path / "t.tsv").write_text(text.replace(",", "\t") if "\t" not in names else text)
    return open_table(tmp_path / "t.tsv", use)


def assert_places(found, arcsec=0.1):
    places = [found.table[name].to_numpy() for name in ("ra", "dec")]
    assert STARS.separation(SkyCoord(*places, unit="deg")).arcsec == pytest.approx(0, abs=arcsec)


SYSTEMS = [
    *(("galactic", names) for names in ("glon\tglat", "_Glon\t_Glat", "l (deg)\tb (deg)")),
    *(("galactic", names) for names in ("gal_l\tgal_b", "GalLon\tGalLat")),
    *(("barycentricmeanecliptic", names) for names in ("ecl_lon\tecl_lat", "ELON\tELAT")),
]


@pytest.mark.parametrize(("system", "names"), SYSTEMS)
def test_places_in_another_system_are_brought_to_icrs(tmp_path, system, names):
    there = STARS.transform_to(system).spherical
    found = opened(tmp_path, names, [there.lon.deg, there.lat.deg])
    assert_places(found)
    assert "→ ICRS" in line(found)


@pytest.mark.parametrize("written", ["degrees", "sexagesimal"])
@pytest.mark.parametrize("names", ["RAB1950\tDEB1950", "ra_1950\tdec_1950", "RA1950\tDE1950"])
def test_places_whose_names_say_1950_are_brought_to_icrs(tmp_path, names, written):
    there = STARS.transform_to("fk4")
    columns = [there.ra.deg, there.dec.deg]
    if written == "sexagesimal":
        columns = [
            there.ra.to_string("hour", sep=":", precision=4),
            there.dec.to_string("deg", sep=":", precision=3),
        ]
    found = opened(tmp_path, names, columns)
    assert_places(found)
    assert "B1950 → ICRS" in line(found)
    today = opened(tmp_path, f"{names}\tRAJ2000\tDEJ2000", [*columns, RA, DEC])
    assert today.table["ra"].tolist() == RA


def test_a_unit_of_such_places_is_believed(tmp_path):
    there = STARS.galactic
    Table({"glon": there.l.to(u.rad), "glat": there.b.to(u.rad)}).write(tmp_path / "t.fits")
    assert_places(open_table(tmp_path / "t.fits", PLACE_USE))


def test_letters_alone_are_no_places_and_the_remedy_is_said(tmp_path):
    found = opened(tmp_path, "l\tb", [STARS.galactic.l.deg, STARS.galactic.b.deg])
    assert not found.has("ra")
    assert "call it glon" in found.left_out["l"]


def test_ra_and_dec_count_where_they_are_there_too(tmp_path):
    found = opened(tmp_path, "glon\tglat\tra\tdec", [[1.0] * 4, [2.0] * 4, RA, DEC])
    assert found.table["ra"].tolist() == RA


def text_of(form, **how):
    return [one.to_string(form, **how) for one in STARS]


CELLS = {
    "blanks": text_of("hmsdms", sep=" ", precision=3),
    "colons and a comma": [one.replace(" ", ", ") for one in text_of("hmsdms", sep=":")],
    "letters": text_of("hmsdms"),
    "degrees": [f"{ra} {dec:+}" for ra, dec in zip(RA, DEC, strict=True)],
    "a bracket": [f"({ra}, {dec})" for ra, dec in zip(RA, DEC, strict=True)],
    "no blank": [f"{ra}{dec:+}" for ra, dec in zip(RA, DEC, strict=True)],
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("name", ["coord", "RA_Dec", "Coordinates (J2000)"])
def test_places_in_one_column_are_read(tmp_path, kind, name):
    assert_places(opened(tmp_path, f"{name}\tn", [CELLS[kind], range(4)]))


@pytest.mark.parametrize("before", ["", "SDSS ", "LAMOST ", "LAMOST-"])
def test_names_give_places_where_nothing_else_does(tmp_path, before):
    names = [
        f"{before}J{one}".replace(" ", "")
        if before.endswith("-")
        else f"{before}J{one.replace(' ', '')}"
        for one in text_of("hmsdms", sep="", precision=2, pad=True)
    ]
    found = opened(tmp_path, "designation\tn", [names, range(4)])
    assert_places(found, 0.2)
    assert "designation read as places" in line(found)


NAMES = [
    ["HD 2857", "J1234+0102", "BD+17 3248", "x"],
    [f"B{i}23456.7+010203.4" for i in (0, 1, 0, 1)],  # of the equinox 1950
    [f"2MASS J{i}2345678+0102034" for i in (0, 1, 0, 1)],
]


@pytest.mark.parametrize("names", NAMES)
def test_other_names_give_none(tmp_path, names):
    assert not opened(tmp_path, "name\tn", [names, range(4)]).has("ra")


@pytest.mark.parametrize("names", ["l_1\tb_1", "lx\tbx", "la\tbb"])
def test_other_columns_are_no_galactic_places(tmp_path, names):
    assert not opened(tmp_path, names, [RA, DEC]).has("ra")


MARKED = {
    "°": (1.0, "°", "°"),
    "deg": (1.0, " deg", " degrees"),
    "d": (1.0, "d", "d"),
    "h": (1.0 / 15.0, "h", "d"),
}


@pytest.mark.parametrize("kind", MARKED)
def test_units_in_the_cells_of_places_are_read(tmp_path, kind):
    factor, first, second = MARKED[kind]
    right = [f"{ra * factor:.10f}{first}" for ra in RA]
    assert_places(opened(tmp_path, "RA\tDec", [right, [f"{dec}{second}" for dec in DEC]]))


def test_hours_in_a_declination_are_refused(tmp_path):
    with pytest.raises(Exception, match=r"Dec has '-1\.0h'"):
        opened(tmp_path, "RA\tDec", [["10.5d"], ["-1.0h"]])


@pytest.mark.parametrize(
    "names",
    ["R.A. (deg)\tDecl. (deg)", "RA (J2000)\tDec (J2000)", "Right Ascension\tDeclination",
     "ALPHA_J2000\tDELTA_J2000", "TARGET_RA\tTARGET_DEC", "RA(deg)\tDE(deg)", "α\tδ"],
)  # fmt: skip
@pytest.mark.parametrize("use", [PLACE_USE, GAIA_USE])
def test_places_are_found_under_the_names_of_other_tools(tmp_path, names, use):
    found = opened(tmp_path, f"{names}\tGmag", [RA, DEC, [15.5] * 4], use)
    assert_places(found)


@pytest.mark.parametrize("epoch", ["2016.0", "J2016.0", "2457389.0", "57388.5"])
def test_an_epoch_is_a_year_however_it_is_written(tmp_path, epoch):
    columns = [RA, DEC, [15.5] * 4, [epoch] * 4]
    found = opened(tmp_path, "ra\tdec\tGmag\tref_epoch", columns, GAIA_USE).table
    assert found["ref_epoch"].tolist() == pytest.approx([2016.0] * 4, abs=0.002)


def test_g_is_gaias_where_its_colours_are_beside_it(tmp_path):
    columns = [RA, DEC, [15.5] * 4, [0.1] * 4]
    found = opened(tmp_path, "ra\tdec\tG\tbp_rp", columns, GAIA_USE)
    assert found.table["g_mag"].tolist() == [15.5] * 4
    for names in ("ra\tdec\tg\tbp_rp", "ra\tdec\tG\tx", "ra\tdec\tg\tr", "ra\tdec\tg_1\tr_1"):
        assert not opened(tmp_path, names, columns, GAIA_USE).has("g_mag")


def test_joined_tables_say_whose_columns_are(tmp_path):
    columns = [RA, DEC, [15.5] * 4, [0.25] * 4, np.full(4, -3.5)]
    names = "ra\tdec\tgaia_phot_g_mean_mag\tgaia_parallax\tgaia_pmra"
    found = opened(tmp_path, names, columns, GAIA_USE).table
    assert found.loc[0, ["g_mag", "parallax_mas", "pmra"]].tolist() == [15.5, 0.25, -3.5]
