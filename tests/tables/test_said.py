"""What files say of their columns in words is believed: another quantity, another equinox."""

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import FK4, SkyCoord
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import Table
from outside_tables import NAMES, astropy_table, csv_text, truth

from msfa_core.columns import COLUMNS
from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import open_table
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.tables.said import frame_of_place, otherwise

DUSTLESS = "Dereddened G magnitude"


def described(table, words, path, form):
    """Write a table whose columns are described."""
    made = astropy_table(table)
    for name, text in words.items():
        made[name].description = text
    if form == "fits":
        unit = fits.table_to_hdu(made)
        for name, text in words.items():
            unit.header[f"TCOMM{made.colnames.index(name) + 1}"] = text
        unit.writeto(path)
    elif form == "vizier":
        heads = [f"#Column\t{name}\t(F9.6)\t{words.get(name, '')}" for name in made.colnames]
        lines = [*heads, "\t".join(made.colnames), "\t".join("---" for _ in made.colnames)]
        lines += ["\t".join("" if one is np.ma.masked else str(one) for one in row) for row in made]
        path.write_text("\n".join(lines) + "\n")
    else:
        made.write(path, format=form)
    return path


@pytest.mark.parametrize("form", ["fits", "votable", "ascii.ecsv", "ascii.mrt", "vizier"])
def test_a_magnitude_that_its_file_calls_dereddened_is_left_out(tmp_path, form):
    table, name = truth(), NAMES["g_mag"]
    file = described(table, {name: "G magnitude (1)"}, tmp_path / "plain", form)
    assert open_table(file, GAIA_USE).has("g_mag")
    file = described(table, {name: DUSTLESS}, tmp_path / "free", form)
    found = open_table(file, GAIA_USE)
    assert not found.has("g_mag")
    assert DUSTLESS in found.left_out[name]
    assert found.has("parallax_mas", "pmra")


@pytest.mark.parametrize(
    ("house", "words"),
    [
        ("g_mag", "mag corrected for Galactic extinction"),
        ("g_mag", "phys.magAbs;em.opt.G"),
        ("g_mag", "absolute magnitude in the G band"),
        ("g_mag", "SDSS g magnitude"),
        ("bp_rp", "intrinsic colour"),
        ("rv", "Galactocentric radial velocity"),
        ("rv", "velocity in the LSR"),
        ("z", "Height above the Galactic plane"),
        ("parallax_mas", "photometric parallax"),
        ("pmra", "proper motion in RA (without cosDE)"),
        ("pmdec", "proper motion in Galactic latitude"),
        ("parallax_error_mas", "variance of the parallax"),
        ("teff_err", "95 % confidence interval"),
        ("ebv", "Extinction A(V)"),
        ("ebv", "E(BP-RP)"),
        ("feh", "log eps of iron, 12 + log N(Fe)/N(H)"),
        ("logg", "gravity, log (m/s2)"),
    ],
)
def test_words_that_make_a_column_another_quantity(house, words):
    assert words.split()[0] in otherwise(house, words)


@pytest.mark.parametrize(
    ("house", "words"),
    [
        ("g_mag", "G magnitude, not corrected for extinction"),
        ("g_mag", "Gaia G mean magnitude (compare SDSS g)"),
        ("bp_rp", "colour BP-RP before dereddening"),
        ("rv", "Heliocentric radial velocity; add 10 km/s for the LSR"),
        ("pmra", "Proper motion in right ascension direction, pmRA*cosDE"),
        ("parallax_error_mas", "Standard error (68 per cent)"),
        ("ebv", "E(B-V) from A(V)/3.1"),
        ("feh", "[Fe/H] on the scale 12 + log eps"),
        ("logg", "log g (cm/s2), SI would be 2 less"),
        ("teff", "anything at all, dereddened, absolute magnitude"),
    ],
)
def test_words_that_leave_a_column_what_it_is(house, words):
    assert otherwise(house, words) == ""


def test_our_own_descriptions_leave_every_column_what_it_is():
    for column in COLUMNS:
        assert otherwise(column.name, f"{column.description} {column.ucd or ''}") == "", column.name


# --- places --------------------------------------------------------------------------------
def old_places(table, equinox=1950.0):
    """Return places of FK4 of the stars of a table [deg]."""
    icrs = SkyCoord(table["ra"], table["dec"], unit="deg")
    old = icrs.transform_to(FK4(equinox=f"B{equinox}"))
    return old.ra.deg, old.dec.deg


def as_fits(made, path):
    unit = fits.table_to_hdu(made)
    unit.header["RADESYS"], unit.header["EQUINOX"] = "FK4", 1950.0
    unit.writeto(path)


def as_votable(made, path):
    text_path = path.with_suffix(".xml")
    from_table(made).to_xml(str(text_path))
    system = '<COOSYS ID="old" system="eq_FK4" equinox="B1950"/><TABLE'
    text = text_path.read_text().replace("<TABLE", system, 1)
    for name in ("ra", "dec"):
        text = text.replace(f'name="{name}"', f'name="{name}" ref="old" ucd="pos.eq.{name}"')
    path.write_text(text)


def as_commented(made, path):
    made.write(path, format="ascii.csv")
    path.write_text("# places: equinox B1950\n" + path.read_text())


def as_column(made, path):
    made["equinox"] = ["B1950.0"] * len(made)
    made.write(path, format="ascii.csv")


def as_mrt(made, path):
    made["ra"].description = "Right Ascension in decimal degrees (B1950)"
    made["dec"].description = "Declination in decimal degrees (B1950)"
    made.write(path, format="ascii.mrt")


@pytest.mark.parametrize("written", [as_fits, as_votable, as_commented, as_column, as_mrt])
@pytest.mark.parametrize("use", [GAIA_USE, PLACE_USE])
def test_places_of_1950_are_brought_to_icrs(tmp_path, written, use):
    table = truth()
    made = astropy_table(table)
    made["ra"], made["dec"] = old_places(table)
    made.replace_column("ra", made["ra"] * 1.0)
    written(made, tmp_path / "old")
    found = open_table(tmp_path / "old", use)
    here = SkyCoord(found.table["ra"], found.table["dec"], unit="deg")
    there = SkyCoord(table["ra"], table["dec"], unit="deg")
    assert here.separation(there).arcsec.max() < 0.1
    assert "B1950 → ICRS" in found.columns["ra"].how


BYTES = """Title: T
Authors: A
Table: X
================================================================================
Byte-by-byte Description of file: t.txt
--------------------------------------------------------------------------------
   Bytes Format Units  Label  Explanations
--------------------------------------------------------------------------------
   1-  2 I2     h      RAh    Hour of right ascension (B1950)
   4-  5 I2     min    RAm    Minute of right ascension (B1950)
   7- 13 F7.4   s      RAs    Second of right ascension (B1950)
  15     A1     ---    DE-    Sign of declination (B1950)
  16- 17 I2     deg    DEd    Degree of declination (B1950)
  19- 20 I2     arcmin DEm    Arcminute of declination (B1950)
  22- 27 F6.3   arcsec DEs    Arcsecond of declination (B1950)
--------------------------------------------------------------------------------
"""


def in_seven_columns(table):
    """Return a machine-readable table of places of 1950, in hours and minutes."""
    ra, dec = old_places(table)
    lines = []
    for across, up in zip(ra / 15.0, dec, strict=True):
        hour, left = divmod(across * 3600.0, 3600.0)
        degree, rest = divmod(abs(up) * 3600.0, 3600.0)
        sign = "-" if up < 0 else "+"
        lines.append(
            f"{hour:2.0f} {left // 60:2.0f} {left % 60:7.4f} "
            f"{sign}{degree:02.0f} {rest // 60:2.0f} {rest % 60:6.3f}"
        )
    return BYTES + "\n".join(lines) + "\n"


def test_sexagesimal_columns_of_1950_are_brought_to_icrs(tmp_path):
    table, file = truth(), tmp_path / "old.mrt"
    file.write_text(in_seven_columns(table))
    found = open_table(file, PLACE_USE)
    here = SkyCoord(found.table["ra"], found.table["dec"], unit="deg")
    there = SkyCoord(table["ra"], table["dec"], unit="deg")
    assert here.separation(there).arcsec.max() < 0.1


def test_declinations_whose_bytes_are_one_off_are_refused(tmp_path):
    text = in_seven_columns(truth()).replace("  15     A1", "  16     A1")
    file = tmp_path / "off.mrt"
    file.write_text(text.replace("  16- 17 I2", "  17- 18 I2"))
    with pytest.raises(CatalogueError, match="is no sign of a declination"):
        open_table(file, PLACE_USE)


def test_places_of_today_stay_where_they_are(tmp_path):
    for about in ("Right ascension (J2000)", "RA (ICRS), precessed from B1950", "Abt 1979", ""):
        assert not frame_of_place(about, "FK5 2000").is_old, about
    for text in ("stars of the catalogue B1950", "positions brought here from B1950", "Abt 1950"):
        assert not frame_of_place("", text).is_old, text
    assert frame_of_place("", '{"RADESYS": "FK4"}').equinox == 1950.0
    assert frame_of_place("Right ascension (ICRS) at Ep=2016.0").epoch == 2016.0
    table = truth()
    made = astropy_table(table)
    made["equinox"] = 2000.0
    made.write(tmp_path / "new.csv")
    found = open_table(tmp_path / "new.csv", PLACE_USE)
    assert found.table["ra"].tolist() == table["ra"].tolist()


def test_the_epoch_that_a_votable_says_is_that_of_its_places(tmp_path):
    made = astropy_table(truth())
    file = tmp_path / "t.xml"
    from_table(made).to_xml(str(file))
    system = '<COOSYS ID="J2000" system="ICRS" epoch="J2000"/><TABLE'
    text = file.read_text().replace("<TABLE", system, 1)
    file.write_text(text.replace('name="ra"', 'name="ra" ref="J2000"'))
    assert (open_table(file, GAIA_USE).table["ref_epoch"] == 2000.0).all()


# --- numbers that say none, names that say two ------------------------------------------------
def test_the_number_that_stands_for_none_is_missing_where_numbers_are_scaled(tmp_path):
    n = 5
    stored = np.array([-32768, 1200, -713, 0, 4], "i2")
    unit = fits.BinTableHDU.from_columns(
        [
            fits.Column("source_id", "K", array=np.arange(n) * 977 + 4_300_000_000_000_001),
            fits.Column("phot_g_mean_mag", "D", array=np.linspace(14, 15, n)),
            fits.Column("pmra", "I", unit="mas/yr", array=stored),
        ]
    )
    unit.header["TSCAL3"], unit.header["TNULL3"] = 0.001, -32768
    unit.writeto(tmp_path / "scaled.fits")
    found = open_table(tmp_path / "scaled.fits", GAIA_USE)
    assert found.table["pmra"].isna().tolist() == [True, False, False, False, False]
    assert found.table["pmra"].tolist()[1:] == pytest.approx([1.2, -0.713, 0.0, 0.004])
    assert found.missing["pmra"] == 1


@pytest.mark.parametrize("form", ["csv", "votable"])
def test_two_columns_of_one_name_are_refused_where_they_differ(tmp_path, form):
    rows = [(100_000_001, 8100.5, 7900.0), (100_000_002, 8200.5, 7800.0)]
    if form == "csv":
        text = "obsid,teff,teff\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"
    else:
        fields = (
            '<FIELD name="obsid" datatype="long"/>' + 2 * '<FIELD name="teff" datatype="double"/>'
        )
        cells = "".join(f"<TR>{''.join(f'<TD>{one}</TD>' for one in row)}</TR>" for row in rows)
        text = (
            f'<VOTABLE version="1.3"><RESOURCE><TABLE>{fields}<DATA><TABLEDATA>{cells}'
            "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
        )
    file = tmp_path / "twice"
    file.write_text(text)
    with pytest.raises(CatalogueError, match="could both be teff, and differ"):
        open_table(file, CATALOGUE_USE)
    file.write_text(text.replace("7900.0", "8100.5").replace("7800.0", "8200.5"))
    assert open_table(file, CATALOGUE_USE).table["teff"].tolist() == [8100.5, 8200.5]


def test_words_of_parquet_fields_are_heard(tmp_path):
    table = pa.Table.from_pandas(
        pd.DataFrame({"obsid": [100_000_001, 100_000_002], "rv": [-120.5, 33.0]})
    )
    field = table.schema.field("rv").with_metadata({"description": "velocity, GSR frame"})
    table = table.cast(table.schema.set(1, field))
    pq.write_table(table, tmp_path / "t.parquet")
    assert "GSR" in open_table(tmp_path / "t.parquet", CATALOGUE_USE).left_out["rv"]


# --- limits, fast stars, letters of several bytes -------------------------------------------------
LABELS = """Title: T
Authors: A
Table: X
================================================================================
Byte-by-byte Description of file: t.txt
--------------------------------------------------------------------------------
   Bytes Format Units  Label  Explanations
--------------------------------------------------------------------------------
   1-  9 I9     ---    obsid  LAMOST number
  11- 18 A8     ---    Name   Name of the star
  20     A1     ---  l_Teff   Limit flag on Teff
  21- 25 I5     K      Teff   Temperature
  27- 31 F5.2   [cm/s2] logg  Surface gravity
--------------------------------------------------------------------------------
"""


def test_limits_are_no_measurements(tmp_path):
    file = tmp_path / "t.mrt"
    rows = ["100000001 a        <18000  3.10", "100000002 b         18100  3.20"]
    file.write_text(LABELS + "\n".join(rows) + "\n")
    found = open_table(file, CATALOGUE_USE)
    assert found.table["teff"].tolist() == pytest.approx([np.nan, 18100.0], nan_ok=True)
    assert found.table["logg"].tolist() == [3.1, 3.2]
    assert "1 value of Teff: only a limit, left out" in found.notes
    (tmp_path / "t.csv").write_text("obsid,L_TEFF,TEFF\n100000001,,8000\n100000002,>,9000\n")
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.table["teff"].isna().tolist() == [False, True]


@pytest.mark.parametrize("heading", ["teff [K]", '"Teff (K)"', " TEFF [kK]"])
def test_a_unit_in_a_heading_is_read_as_it_is_written(tmp_path, heading):
    values = (8.1, 9.2) if "kK" in heading else (8100, 9200)
    rows = [f"{100000001 + k},{value},3.1" for k, value in enumerate(values)]
    (tmp_path / "t.csv").write_text("\n".join([f"obsid,{heading},log g [dex]", *rows]) + "\n")
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.table["teff"].tolist() == pytest.approx([8100.0, 9200.0])


@pytest.mark.parametrize(("errors", "is_kept"), [((90, 120, 40), True), ((1.5, 1, 1.2), False),
                                                 ((0.01, 0.02, 0.01), False)])  # fmt: skip
def test_errors_of_temperature_in_per_cent_or_dex_are_left_out(tmp_path, errors, is_kept):
    rows = [f"{100000001 + k},{8000 + k},{error}" for k, error in enumerate(errors)]
    (tmp_path / "t.csv").write_text("\n".join(["obsid,teff,teff_err", *rows]) + "\n")
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.has("teff")
    assert found.has("teff_err") == is_kept
    assert is_kept or "per cent or dex" in found.left_out["teff_err"]


def test_the_error_of_a_logarithm_is_not_taken_for_the_logarithm(tmp_path):
    text = "obsid,log_teff,log_teff_err\n100000001,3.9,0.01\n100000002,3.95,0.01\n"
    (tmp_path / "t.csv").write_text(text)
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.table["teff"].tolist() == pytest.approx([10**3.9, 10**3.95])


def test_unsigned_numbers_with_one_that_stands_for_none_are_read(tmp_path):
    unit = fits.BinTableHDU.from_columns(
        [
            fits.Column("obsid", "K", array=np.array([100000001, 100000002])),
            fits.Column("teff", "I", bzero=32768, null=-32768, array=np.array([40000, 0], "u2")),
        ]
    )
    unit.writeto(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", CATALOGUE_USE)
    assert found.table["teff"].tolist() == pytest.approx([40000.0, np.nan], nan_ok=True)


def test_labels_of_cds_tables_go_by_their_names_there(tmp_path):
    names = "obsid,Teff,e_Teff,log(g),e_log(g),[Fe/H],e_[Fe/H]"
    (tmp_path / "t.csv").write_text(f"{names}\n100000001,8100,120,3.2,0.1,-1.7,0.15\n")
    row = open_table(tmp_path / "t.csv", CATALOGUE_USE).table.iloc[0]
    labels = ("teff", "teff_err", "logg", "logg_err", "feh", "feh_err")
    assert row[list(labels)].tolist() == [8100.0, 120.0, 3.2, 0.1, -1.7, 0.15]


@pytest.mark.parametrize("counted", ["bytes", "letters", "latin-1"])
def test_letters_of_several_bytes_shift_no_number(tmp_path, counted):
    name = "É Peg" if counted == "latin-1" else "λλ Boo"
    width = 8 - (len(name.encode()) - len(name) if counted == "bytes" else 0)
    row = f"100000001 {name:<{width}}  18123  3.10\n100000002 plain     18100  3.20\n"
    file = tmp_path / "t.mrt"
    file.write_bytes((LABELS + row).encode("latin-1" if counted == "latin-1" else "utf-8"))
    found = open_table(file, CATALOGUE_USE)
    assert found.table["teff"].tolist() == [18123.0, 18100.0]
    assert found.others["Name"].tolist() == [name, "plain"]


def test_a_field_of_a_machine_readable_table_may_be_empty(tmp_path):
    file = tmp_path / "t.mrt"
    file.write_text(LABELS + "100000001 a         18000\n100000002 b                3.20\n")
    table = open_table(file, CATALOGUE_USE).table
    assert table["teff"].isna().tolist() == [False, True]
    assert table["logg"].isna().tolist() == [True, False]


def test_stars_do_not_have_the_shifts_of_galaxies(tmp_path):
    rows = ["100000001,STAR,0.0004", "100000002,star,2.9", "100000003,QSO,2.9"]
    (tmp_path / "t.csv").write_text("\n".join(["obsid,class,z", *rows]) + "\n")
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.table["z"].tolist() == pytest.approx([0.0004, np.nan, 2.9], nan_ok=True)
    assert found.implausible[0].words().startswith("z is no shift of a star")


# --- what is said of all columns of a kind ---------------------------------------------------
OF_ALL = {
    "All magnitudes and colours are corrected for extinction with SFD": ("g_mag", "bp_rp"),
    "Note. Photometry has been dereddened.": ("g_mag", "bp_rp"),
    "Magnitudes are not corrected for extinction": (),
    "E(B-V) of SFD was used to deredden the colours of figure 2": (),
    "Colours (bp_rp) are dereddened": ("bp_rp",),
    "Parallaxes are photometric": ("parallax_mas", "parallax_error_mas"),
    "Errors are 1 sigma (68% confidence)": (),
    "Quoted errors are at the 95% confidence level": ("parallax_error_mas",),
    "Uncertainties are 2-sigma": ("parallax_error_mas",),
    "Proper motions in RA do not include the cos(dec) factor": ("pmra",),
    "Proper motions in RA include cos(dec)": (),
    "Proper motions are corrected for the solar reflex motion": ("pmra", "pmdec"),
}


@pytest.mark.parametrize("sentence", OF_ALL)
@pytest.mark.parametrize("form", ["csv", "fits"])
def test_a_sentence_above_a_table_is_believed_of_all_columns_of_its_kind(tmp_path, sentence, form):
    path = tmp_path / f"t.{form}"
    if form == "csv":
        path.write_text(f"# {sentence}\n{csv_text(truth())}")
    else:
        made = astropy_table(truth())
        made.meta["comments"] = [sentence]
        made.write(path)
    found = open_table(path, GAIA_USE)
    gone = {house for house in truth().columns if not found.has(house)}
    assert gone == set(OF_ALL[sentence])
    reasons = [found.left_out[NAMES[house]] for house in gone]
    assert all("as the file says" in one or "whose error it is" in one for one in reasons)


def test_the_epoch_that_a_comment_gives_is_that_of_all_places(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"# Positions are at epoch J2000.0\n{csv_text(truth())}")
    assert (open_table(path, GAIA_USE).table["ref_epoch"] == 2000.0).all()


@pytest.mark.parametrize(
    ("house", "about"),
    [
        ("teff", "Teff stat.error;phys.temperature.effective"),
        ("g_mag", "phot.flux;em.opt.G"),
        ("ra", "pos.galactic.lon"),
        ("dec", "Ecliptic latitude"),
    ],
)
def test_the_ucd_of_a_column_is_believed_against_its_name(house, about):
    assert "as the file says" in otherwise(house, about)


def test_the_ucds_of_gaias_own_columns_leave_them_what_they_are():
    for house, about in (
        ("g_mag", "G-band mean magnitude phot.mag;em.opt"),
        (
            "parallax_over_error",
            "Parallax divided by its standard error stat.snr;pos.parallax.trig",
        ),
        ("parallax_error_mas", "Standard error of parallax stat.error;pos.parallax.trig"),
        ("ra", "Right ascension pos.eq.ra;meta.main"),
    ):
        assert otherwise(house, about) == ""


# --- comments and more words -------------------------------------------------------------------
OTHERWISE = {
    "phot_g_mean_mag": [
        "extinction corrected", "magnitude after correction for extinction", "G - A_G", "M_G",
        "absolute magnitude", "magnitude (extinction removed)", "AB magnitude",
    ],
    "pmra": [
        "mu_alpha (no cos dec factor)", "solar-motion corrected", "total proper motion",
        "coordinate angle (s/yr)", "tangential velocity",
    ],
    "parallax": [
        "distance in kpc", "distance modulus", "inverse distance", "parallax over error",
        "photometric parallax",
    ],
    "teff": ["5040/Teff", "temperature in degrees Celsius", "colour temperature"],
    "logg": ["ln g", "log(g/gsun)", "log g relative to the Sun"],
    "feh": ["Z/Zsun", "A(Fe)", "[Fe/H] + 7.5", "metal mass fraction"],
    "z": ["1+z", "z coordinate", "redshift relative to LSR"],
    "snr_g": ["S/N squared", "noise to signal", "S/N of the r band"],
    "teff_err": ["2 sigma error", "full width of the 68% interval", "variance"],
}  # fmt: skip
AS_NAMED = {
    "phot_g_mean_mag": [
        "apparent magnitude, not corrected for extinction", "G-band mean magnitude (Vega)",
        "G-band mean magnitude (Gmag)",
    ],
    "pmra": ["proper motion in RA times cos(dec), in mas/yr"],
    "parallax": ["Absolute stellar parallax of the source at the reference epoch"],
    "teff": ["effective temperature, from log g and colours"],
    "logg": ["log10 of the surface gravity in cgs"],
    "feh": ["iron abundance relative to the Sun"],
    "z": ["heliocentric redshift"],
    "snr_g": ["signal to noise ratio of g filter"],
    "teff_err": ["1 sigma error"],
}  # fmt: skip


def small(use):
    rng = np.random.default_rng(6)
    n = 30
    if use is GAIA_USE:
        return pd.DataFrame(
            {
                "source_id": 10**18 + rng.choice(10**9, n, replace=False),
                "ra": rng.uniform(0.0, 360.0, n).round(6), "dec": rng.uniform(-9, 60, n).round(6),
                "phot_g_mean_mag": rng.uniform(11.0, 17.0, n).round(4),
                "parallax": rng.uniform(0.2, 2.0, n).round(4),
                "parallax_error": rng.uniform(0.02, 0.05, n).round(4),
                "pmra": rng.normal(0.0, 9.0, n).round(3), "pmdec": rng.normal(0.0, 9.0, n).round(3),
            }
        )  # fmt: skip
    return pd.DataFrame(
        {
            "obsid": 101_000_000 + rng.choice(10**7, n, replace=False),
            "teff": rng.uniform(7200.0, 9800.0, n).round(1),
            "teff_err": rng.uniform(30.0, 120.0, n).round(1),
            "logg": rng.uniform(2.9, 4.3, n).round(3), "feh": rng.uniform(-2.5, -0.5, n).round(3),
            "z": rng.normal(0.0, 4e-4, n).round(7), "snr_g": rng.uniform(12.0, 90.0, n).round(1),
        }
    )  # fmt: skip


def left_out(tmp_path, name, words, is_comment):
    use = GAIA_USE if name in small(GAIA_USE) else CATALOGUE_USE
    table = small(use)
    if is_comment:
        (tmp_path / "t.csv").write_text(f"# {name}: {words}\n{table.to_csv(index=False)}")
        return open_table(tmp_path / "t.csv", use).left_out
    described = Table.from_pandas(table)
    described[name].description = words
    described.write(tmp_path / "t.ecsv", format="ascii.ecsv")
    return open_table(tmp_path / "t.ecsv", use).left_out


@pytest.mark.parametrize("is_comment", [True, False], ids=["comment", "description"])
@pytest.mark.parametrize(
    ("name", "words"), [(key, one) for key, every in OTHERWISE.items() for one in every]
)
def test_words_that_make_a_column_another_quantity_count(tmp_path, name, words, is_comment):
    assert name in left_out(tmp_path, name, words, is_comment)


@pytest.mark.parametrize("is_comment", [True, False], ids=["comment", "description"])
@pytest.mark.parametrize(
    ("name", "words"), [(key, one) for key, every in AS_NAMED.items() for one in every]
)
def test_words_that_say_what_the_name_says_change_nothing(tmp_path, name, words, is_comment):
    assert left_out(tmp_path, name, words, is_comment) == {}


def test_a_magnitude_and_a_parallax_of_no_star_contradict_each_other(tmp_path):
    table = small(GAIA_USE)
    assert open_table_of(table, tmp_path).left_out == {}
    table["phot_g_mean_mag"] /= 2.5  # as absolute magnitudes would be
    table["parallax"] /= 10
    found = open_table_of(table.drop(columns="parallax_error"), tmp_path)
    assert {"phot_g_mean_mag", "parallax"} <= found.left_out.keys()


def open_table_of(table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    return open_table(tmp_path / "t.csv", GAIA_USE)


def halo(n=40, seed=5):
    """Stars of the halo all over the sky, as Gaia sees them: at rest about the Galaxy, nearly."""
    rng = np.random.default_rng(seed)
    place = SkyCoord(
        rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.2, 1, n))), unit="deg"
    )
    kpc, absolute = rng.uniform(2, 15, n), rng.normal(0.6, 0.3, n)
    sun = np.array([11.0, 248.0, 7.0])
    lon, lat = place.galactic.l.rad, place.galactic.b.rad
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    velocity = rng.normal(0, 70, (3, n)) - sun[:, None]
    pm_l, pm_b = ((velocity * axis).sum(0) / 4.74 / kpc for axis in (east, north))
    moving = SkyCoord(
        l=place.galactic.l, b=place.galactic.b, pm_l_cosb=pm_l * u.mas / u.yr,
        pm_b=pm_b * u.mas / u.yr, frame="galactic",
    ).icrs  # fmt: skip
    return pd.DataFrame(
        {
            "ra": place.ra.deg,
            "dec": place.dec.deg,
            "phot_g_mean_mag": absolute + 5 * np.log10(kpc) + 10,
            "parallax": 1 / kpc,
            "distance": kpc,
            "pmra": moving.pm_ra_cosdec.value,
            "pmdec": moving.pm_dec.value,
        }
    )


def read_as_gaia(table, path):
    table.to_csv(path, index=False)
    return open_table(path, GAIA_USE)


def test_a_distance_called_parallax_is_left_out(tmp_path):
    table = halo()
    assert read_as_gaia(table, tmp_path / "a.csv").has("parallax_mas", "g_mag", "pmra", "pmdec")
    table["parallax"] = table["distance"]
    found = read_as_gaia(table, tmp_path / "b.csv")
    assert "as distances do" in found.left_out["parallax"]
    assert found.has("g_mag", "pmra")
    few = read_as_gaia(table.head(8), tmp_path / "c.csv")
    assert "would move by" in few.left_out["parallax"]
    assert few.has("g_mag", "pmra")
    fewer = read_as_gaia(table.head(4), tmp_path / "d.csv")  # which tell nothing
    assert fewer.has("parallax_mas")


@pytest.mark.parametrize("n", [5, 8, 20])
def test_parallaxes_of_quasars_are_kept_however_little_these_move(tmp_path, n):
    """Parallax and motions are both of chance: one table in a hundred would seem to stand still."""
    rng = np.random.default_rng(n)
    for k in range(60):
        error = rng.uniform(0.1, 1.0, n)
        ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        table = pd.DataFrame({"ra": ra, "dec": dec, "phot_g_mean_mag": rng.uniform(18, 20, n)})
        table["parallax"], table["parallax_error"] = error * rng.normal(1, 1, n), error
        table["pmra"], table["pmdec"] = 0.1 * error * rng.normal(0, 1, (2, n))
        assert read_as_gaia(table, tmp_path / f"{k}.csv").has("parallax_mas")


def test_errors_of_parallaxes_in_per_cent_are_left_out(tmp_path):
    table = halo().assign(parallax_error=0.03)
    table["phot_g_mean_mag"] -= 1.0
    assert read_as_gaia(table, tmp_path / "a.csv").has("parallax_mas", "parallax_error_mas")
    table["parallax_error"] = 3.0 / table["parallax"]
    found = read_as_gaia(table, tmp_path / "b.csv")
    assert "per cent" in found.left_out["parallax_error"]
    assert found.has("parallax_mas", "g_mag")
    faint = table.assign(phot_g_mean_mag=20.5, parallax_error=1.4)  # which DR3 has
    assert read_as_gaia(faint, tmp_path / "c.csv").has("parallax_error_mas")


def test_two_motions_that_were_exchanged_are_left_out(tmp_path):
    table = halo()
    table = table.assign(pmra=table["pmdec"], pmdec=table["pmra"])
    found = read_as_gaia(table, tmp_path / "b.csv")
    assert "only if the two are exchanged" in found.left_out["pmra"]
    assert not found.has("pmra")
    assert not found.has("pmdec")
    field = table.assign(ra=180 + table["ra"] / 100, dec=table["dec"] / 100)  # tells nothing
    assert read_as_gaia(field, tmp_path / "c.csv").has("pmra", "pmdec")
