"""Tables as programs and people leave them: zeros for nothing, brackets, fields too many."""

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.io import fits
from astropy_healpix import lonlat_to_healpix
from outside_tables import astropy_table, csv_text, differences, truth

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.photometry.panstarrs import PANSTARRS_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables import large
from msfa_core.tables.door import open_table
from msfa_core.tables.report import line
from msfa_core.tables.row_keys import PLACE_USE


def opened(tmp_path, content, use=GAIA_USE, name="t.csv"):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(tmp_path / name, use)


# --- zeros -----------------------------------------------------------------------------------
def test_a_row_of_gaia_filled_with_zeros_has_no_values(tmp_path):
    table = truth()
    filled = list(table.columns[4:])
    table.loc[3, filled] = 0.0
    found = opened(tmp_path, csv_text(table))
    assert found.table.loc[3, filled].isna().all()
    assert "no value" in line(found)
    rest = [i for i in table.index if i != 3]
    assert found.table.loc[rest, filled].notna().equals(table.loc[rest, filled].notna())


def test_astrometry_filled_with_zeros_is_missing_and_the_magnitude_stays(tmp_path):
    table = truth()
    filled = ["parallax_mas", "parallax_error_mas", "pmra", "pmdec"]
    table.loc[3, filled] = 0.0
    found = opened(tmp_path, csv_text(table))
    assert found.table.loc[3, filled].isna().all()
    assert found.table.loc[3, "g_mag"] == table.loc[3, "g_mag"]


LABELS = pd.DataFrame(
    {"obsid": [7, 8, 9, 10], "teff": [8000.0, 0, 9000, 8500], "teff_err": [50.0, 0, 70, 60],
     "logg": [3.1, 0, 3.3, 3.2], "logg_err": [0.1, 0, 0.1, 0.1], "feh": [-1.5, 0, 0, -2],
     "feh_err": [0.1, 0, 0.1, 0.1]}
)  # fmt: skip


def test_labels_filled_with_zeros_are_missing_and_a_solar_star_is_not(tmp_path):
    found = opened(tmp_path, LABELS.to_csv(index=False), CATALOGUE_USE)
    assert found.table.loc[1, list(LABELS.columns[1:])].isna().all()
    assert found.table["feh"].tolist()[2:] == [0.0, -2.0]
    assert found.missing["feh"] == 1


def test_a_column_of_zeros_takes_no_others_values(tmp_path):
    labels = LABELS.drop(index=1).assign(teff_err=0.0, feh_err=0.0)
    found = opened(tmp_path, labels.to_csv(index=False), CATALOGUE_USE)
    assert found.table["feh"].tolist() == [-1.5, 0.0, -2.0]
    assert found.table[["teff_err", "feh_err"]].isna().all(axis=None)


def test_an_error_of_zero_is_none(tmp_path):
    text = "objID,gmag,e_gmag,rmag,e_rmag\n101,14.5,0.01,15.1,0.02\n103,15.5,0,16.1,0.02\n"
    found = opened(tmp_path, text, PANSTARRS_USE).table
    assert found["ps_g_mag_err"].isna().tolist() == [False, True]
    assert found["ps_g_mag"].tolist() == [14.5, 15.5]


# --- names and units -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("colour", "name", "is_dust"),
    [("BV", "e_BV", False), ("B_V", "e_B_V", False), ("BV", "E_BV", True), ("x", "e_bv", True)],
)
def test_the_error_of_b_minus_v_is_no_dust(tmp_path, colour, name, is_dust):
    rows = csv_text(truth()).splitlines()
    text = "\n".join([f"{rows[0]},{colour},{name}", *(f"{row},0.1,0.02" for row in rows[1:])])
    found = opened(tmp_path, text + "\n")
    assert found.has("ebv") is is_dust
    assert is_dust or "error of that colour" in found.left_out[name]


@pytest.mark.parametrize("unit", ["dex(cm/s2)", "[cm/s2]", "dex", ""])
def test_the_error_of_log_g_is_in_dex_whatever_cds_writes(tmp_path, unit):
    kinds = (("obsid", "int64", ""), ("logg", "float64", ""), ("logg_err", "float64", unit))
    said = "".join(f"# - {{name: {n}, datatype: {t}, unit: '{u}'}}\n" for n, t, u in kinds)
    head = "# %ECSV 1.0\n# ---\n# datatype:\n" + said.replace(", unit: ''", "")
    found = opened(tmp_path, head + "obsid logg logg_err\n7 3.1 0.1\n8 3.2 0.2\n", CATALOGUE_USE)
    assert found.table["logg_err"].tolist() == [0.1, 0.2], found.left_out


@pytest.mark.parametrize("bracket", ["[{}]", "({})"])
def test_a_row_of_units_in_brackets_is_one(tmp_path, bracket):
    table = truth()
    rows = csv_text(table.assign(parallax_mas=table["parallax_mas"] / 1e3)).splitlines()
    units = ["", "", "deg", "deg", "mag", "mag", "arcsec", "mas", "mas/yr", "mas/yr"]
    above = ",".join(bracket.format(unit) if unit else "" for unit in units)
    found = opened(tmp_path, "\n".join([rows[0], above, *rows[1:]]) + "\n")
    assert differences(table, found) == []
    assert found.has("parallax_mas")


# --- fields ----------------------------------------------------------------------------------
def test_a_delimiter_behind_each_row_but_not_the_header_is_nothing(tmp_path):
    table = truth()
    rows = csv_text(table).splitlines()
    found = opened(tmp_path, "\n".join([rows[0], *(f"{row}," for row in rows[1:])]) + "\n")
    assert differences(table, found) == []
    assert len(found) == len(table)


def test_arrays_of_one_number_are_numbers(tmp_path):
    table = truth()
    made = astropy_table(table)
    for name in ("ra", "dec", "source_id"):
        made[name] = np.asarray(made[name]).reshape(-1, 1)
    made.write(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", GAIA_USE)
    assert differences(table, found) == []
    assert found.has("ra", "dec", "gaia_source_id")


def test_an_ascii_table_of_fits_has_no_zeros_where_it_has_none(tmp_path):
    table = truth().dropna()
    columns = [
        fits.Column("source_id", "A19", array=table["gaia_source_id"].astype(str).tolist()),
        fits.Column("ra", "F12.7", unit="deg", array=table["ra"]),
        fits.Column("dec", "F12.7", unit="deg", array=table["dec"]),
        fits.Column("phot_g_mean_mag", "F9.4", unit="mag", array=table["g_mag"]),
        fits.Column("bp_rp", "F9.4", null="---", array=table["bp_rp"]),
        fits.Column("parallax", "F9.4", unit="mas", array=table["parallax_mas"]),
    ]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    content = (tmp_path / "t.fits").read_bytes()
    for column, row, text in (("bp_rp", 0, "      ---"), ("parallax_mas", 1, " " * 9)):
        word = f"{table[column].iloc[row]:9.4f}".encode()
        assert content.count(word) == 1
        content = content.replace(word, text.encode())
    found = opened(tmp_path, content, name="u.fits")
    bare = table.reset_index(drop=True)
    bare.loc[0, "bp_rp"] = bare.loc[1, "parallax_mas"] = np.nan
    for name in ("gaia_source_id", "ra", "dec", "g_mag", "bp_rp", "parallax_mas"):
        expected = bare[name].tolist()
        assert found.table[name].tolist() == pytest.approx(expected, abs=1e-4, nan_ok=True), name


def test_a_name_may_say_that_its_column_is_sexagesimal(tmp_path):
    text = "star,RA (h:m:s),Dec [d:m:s]\na,12:00:00,-00:30:00\nb,00:00:01,+10:00:00\n"
    found = opened(tmp_path, text, PLACE_USE).table
    assert found["ra"].tolist() == pytest.approx([180.0, 15 / 3600])
    assert found["dec"].tolist() == pytest.approx([-0.5, 10.0])


@pytest.mark.parametrize("form", ["votable", "fits", "ascii.ecsv"])
@pytest.mark.parametrize("release", ["DR2", "DR3"])
def test_what_is_said_of_a_column_of_identifiers_tells_their_release(tmp_path, form, release):
    made = astropy_table(truth())
    about = f"Unique source identifier (Gaia {release})"
    made["source_id"].description = about
    if form == "fits":
        made.write(tmp_path / "t", format="fits")
        with fits.open(tmp_path / "t", mode="update") as units:
            number = made.colnames.index("source_id") + 1
            units[1].header[f"TCOMM{number}"] = about
    else:
        made.write(tmp_path / "t", format=form)
    found = open_table(tmp_path / "t", GAIA_USE)
    assert found.has("gaia_source_id") is (release == "DR3")
    assert release == "DR3" or "Gaia DR2" in found.left_out["source_id"]


def test_a_reddening_of_minus_one_is_none(tmp_path):
    rows = csv_text(truth()).splitlines()
    values = ["0.03", "-1", "-0.01", *["0.1"] * 9]
    text = "\n".join(
        [f"{rows[0]},ebv", *(f"{a},{b}" for a, b in zip(rows[1:], values, strict=True))]
    )
    found = opened(tmp_path, text + "\n").table["ebv"]
    assert found.tolist()[:3] == pytest.approx([0.03, np.nan, -0.01], nan_ok=True)


# --- long tables -----------------------------------------------------------------------------
def read_long(monkeypatch, path):
    monkeypatch.setattr(large, "LARGE", 0)
    table = large.open_large(path, CATALOGUE_USE)
    return table.rows_of(np.array([7, 8, 9]), pd.Series([], dtype="str"))


LONG = {
    "a row of units": "obsid,rv,rv_err\n,m/s,m/s\n7,100,10\n8,200,20\n",
    "ECSV": "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n"
    "# - {name: obsid, datatype: int64}\n"
    "# - {name: rv, unit: m / s, datatype: float64}\n"
    "# - {name: rv_err, unit: m / s, datatype: float64}\nobsid,rv,rv_err\n7,100,10\n8,200,20\n",
    "VizieR": "#Name: J/x\nobsid\trv\trv_err\n\tm/s\tm/s\n---\t---\t---\n7\t100\t10\n8\t200\t20\n",
}


@pytest.mark.parametrize("kind", LONG)
def test_units_that_the_beginning_of_a_long_text_gives_count(tmp_path, monkeypatch, kind):
    (tmp_path / "t.csv").write_text(LONG[kind])
    found = read_long(monkeypatch, tmp_path / "t.csv").table
    assert found["rv"].tolist() == [0.1, 0.2]
    assert found["rv_err"].tolist() == [0.01, 0.02]


def test_a_limit_in_a_long_table_is_no_value(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("obsid,l_Teff,Teff\n7,<,8500\n8,,9000\n")
    found = read_long(monkeypatch, tmp_path / "t.csv").table
    assert found["teff"].tolist() == pytest.approx([np.nan, 9000.0], nan_ok=True)


def test_columns_of_one_name_that_differ_are_refused_in_a_long_table(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("obsid,teff,teff\n7,8000,8500\n8,9000,9000\n")
    with pytest.raises(CatalogueError, match="could both be teff, and differ"):
        read_long(monkeypatch, tmp_path / "t.csv")


@pytest.mark.parametrize("said", ["# Gaia DR2 identifiers\n", ""])
def test_a_long_table_tells_the_release_of_its_identifiers_too(tmp_path, monkeypatch, said):
    text = "obsid,source_id,teff\n7,4295806721000000123,8000\n8,4295806721000000457,9000\n"
    (tmp_path / "t.csv").write_text(said + text)
    found = read_long(monkeypatch, tmp_path / "t.csv")
    assert found.has("gaia_source_id") is (said == "")


# --- nines -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("column", "true", "filled"),
    [
        ("teff", [8000, 8500, 9999, 9100], "99999"),
        ("teff_err", [50, 60, 99, 80], "9999"),
        ("logg_err", [0.1, 0.12, 0.09, 0.2], "9.99"),
        ("rv_err", [3.0, 2.5, 9.9, 4.1], "999.0"),
    ],
)
def test_nines_far_beyond_all_others_are_no_value_and_9999_k_is_one(tmp_path, column, true, filled):
    beside = {"teff_err": "teff", "logg_err": "logg", "rv_err": "rv"}.get(column, "logg")
    usual = {"teff": 8000, "logg": 3.1, "rv": 55}[beside]
    rows = [f"{7 + i},{value},{usual + i}" for i, value in enumerate([*true, filled])]
    text = "\n".join([f"obsid,{column},{beside}", *rows]) + "\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert found.table[column].tolist() == pytest.approx([*true, np.nan], nan_ok=True)
    assert found.no_values == {column: 1}


def test_a_star_that_neither_moves_nor_has_a_parallax_was_never_measured(tmp_path):
    table = truth().drop(columns="parallax_error_mas")
    table.loc[3, ["parallax_mas", "pmra", "pmdec"]] = 0.0
    table.loc[5, "pmra"] = 0.0
    found = opened(tmp_path, csv_text(table)).table
    assert found.loc[3, ["parallax_mas", "pmra", "pmdec"]].isna().all()
    assert found.loc[5, "pmra"] == 0.0


# --- the place in a number -------------------------------------------------------------------
def of_the_sky(n=12):
    """Return true rows whose source_ids begin with the pixel of their place, as Gaia's do."""
    table = truth(n)
    ra, dec = (table[name].to_numpy() * units.deg for name in ("ra", "dec"))
    pixel = lonlat_to_healpix(ra, dec, 4096, order="nested")
    ids = (pixel.astype(np.int64) << 35) + 2**12 * np.arange(1, n + 1) + 128
    return table.assign(gaia_source_id=pd.array(ids, dtype="Int64"))


def test_a_number_of_gaia_that_names_another_place_is_another_stars(tmp_path):
    table = of_the_sky()
    assert opened(tmp_path, csv_text(table)).table["gaia_source_id"].tolist() == (
        table["gaia_source_id"].tolist()
    )
    changed = table.copy()
    changed.loc[[3, 4], "gaia_source_id"] = table.loc[[4, 3], "gaia_source_id"].to_numpy()
    found = opened(tmp_path, csv_text(changed))
    assert found.table["gaia_source_id"].isna().tolist() == [i in (3, 4) for i in range(12)]
    assert "source_id names another place on the sky than its row" in line(found)


@pytest.mark.parametrize("step", [1 / 60, 0.1, 15 / 60])
def test_places_given_in_steps_leave_their_numbers_of_gaia_in(tmp_path, step):
    table = of_the_sky(60)
    ra = table["ra"] + step * np.random.default_rng(5).uniform(-0.5, 0.5, 60)  # 7.5′ at most
    found = opened(tmp_path, csv_text(table.assign(ra=ra)))
    assert found.table["gaia_source_id"].tolist() == table["gaia_source_id"].tolist()


def test_numbers_of_gaia_meet_places_in_hours_that_do_not_say_so(tmp_path):
    table = of_the_sky()
    ra, dec = np.linspace(43.0, 47.0, 12), np.linspace(3.0, 7.0, 12)  # where numbers are smallest
    ids = lonlat_to_healpix(ra * units.deg, dec * units.deg, 4096, order="nested") << 35
    table = table.assign(ra=ra / 15, dec=dec, gaia_source_id=pd.array(ids + 7, dtype="Int64"))
    found = opened(tmp_path, csv_text(table))
    assert found.has("gaia_source_id")
    assert "other places on the sky" not in line(found)


@pytest.mark.filterwarnings("error")
def test_numbers_of_gaia_none_of_which_stands_beside_a_place_are_kept(tmp_path):
    table = of_the_sky()
    ra, dec = np.linspace(3.0, 20.0, 12), table["dec"].to_numpy()
    first = np.arange(12) < 6  # places of the first half, numbers of the other
    ids = table["gaia_source_id"].mask(first)
    table = table.assign(ra=np.where(first, ra, np.nan), dec=np.where(first, dec, np.nan))
    found = opened(tmp_path, csv_text(table.assign(gaia_source_id=ids)))
    assert found.table["gaia_source_id"].dropna().tolist() == ids.dropna().tolist()


@pytest.mark.parametrize("wrong", ["slipped", "cut", "other"])
def test_a_column_of_numbers_that_are_not_those_of_its_rows_is_left_out(tmp_path, wrong):
    table = of_the_sky()
    right = table["gaia_source_id"].to_numpy(np.int64)
    ids = {"slipped": np.roll(right, 1), "cut": right // 1000, "other": 4 * 10**14 + right % 997}
    found = opened(tmp_path, csv_text(table.assign(gaia_source_id=ids[wrong])))
    assert not found.has("gaia_source_id")
    assert found.has("ra", "dec", "g_mag")
    why = "it has slipped against them" if wrong == "slipped" else "too small for those of Gaia"
    assert why in line(found)


def test_numbers_of_gaia_that_name_no_place_of_the_table_are_doubted_aloud(tmp_path):
    found = opened(tmp_path, csv_text(truth()))
    assert found.has("gaia_source_id")
    assert "source_id names other places on the sky than its rows" in line(found)


def test_a_number_of_pan_starrs_that_names_another_place_is_another_stars(tmp_path):
    ra, dec = np.linspace(10.0, 350.0, 12), np.linspace(-20.0, 80.0, 12)
    ids = ((dec + 90) * 120).astype(np.int64) * 10**13 + (ra * 1e6).astype(np.int64) * 10**4 + 77
    table = pd.DataFrame({"objID": ids, "raMean": ra, "decMean": dec, "gMeanPSFMag": 15 + ra / 99})
    found = opened(tmp_path, table.to_csv(index=False), PANSTARRS_USE)
    assert found.table["ps_id"].tolist() == ids.tolist()
    table["objID"] = np.roll(ids, 1)
    found = opened(tmp_path, table.to_csv(index=False), PANSTARRS_USE)
    assert not found.has("ps_id")
    assert found.has("ps_g_mag")


# --- temperatures without a unit -------------------------------------------------------------
@pytest.mark.parametrize(("scale", "is_taken"), [(1.0, True), (1e-3, True), (1e-2, False)])
def test_temperatures_in_hundreds_of_kelvin_are_not_taken_for_thousands(tmp_path, scale, is_taken):
    teff = np.linspace(7200.0, 9800.0, 12)
    table = pd.DataFrame({"obsid": 101 + 7 * np.arange(12), "teff": teff * scale, "logg": 3.2})
    found = opened(tmp_path, table.to_csv(index=False), CATALOGUE_USE)
    assert found.has("teff") == is_taken
    if is_taken:
        assert found.table["teff"].to_numpy() == pytest.approx(teff)
    else:
        assert "thousands of K or hundreds" in line(found)


@pytest.mark.parametrize(("scale", "is_left"), [(0.2, False), (1.0, True)])
def test_variances_do_not_make_parallaxes_a_thousand_times_larger(tmp_path, scale, is_left):
    table = truth().assign(parallax_mas=lambda all_: all_["parallax_mas"] * scale)
    squared = table.assign(parallax_error_mas=table["parallax_error_mas"] ** 2)
    found = opened(tmp_path, csv_text(squared))
    assert not found.has("parallax_error_mas")
    assert found.has("parallax_mas") == is_left  # 1,000 times as large, it can be none at all
    if is_left:
        assert found.table["parallax_mas"].equals(table["parallax_mas"])
    else:
        assert "a variance: name the units of both" in line(found)


def test_parallaxes_in_arcsec_are_told_by_their_errors(tmp_path):
    table = truth()
    names = ("parallax_mas", "parallax_error_mas")
    table.loc[:, names[0]] /= 20.0
    arcsec = table.assign(**{name: table[name] / 1e3 for name in names})
    found = opened(tmp_path, csv_text(arcsec)).table
    for name in names:
        assert found[name].to_numpy() == pytest.approx(table[name].to_numpy(), nan_ok=True)


# --- what only the stars tell ----------------------------------------------------------------
def of_stars(n=60, seed=4):
    """Stars all over the sky: hotter ones bluer, with the motions of the disc or the halo."""
    rng = np.random.default_rng(seed)
    table = truth(n, seed).drop(columns="bp_rp")
    parallax = 10 ** rng.uniform(-1, 0.3, n)
    across = rng.rayleigh(60.0, n) / 4.74 * parallax
    angle = rng.uniform(0, 2 * np.pi, n)
    teff = rng.uniform(5500, 12_000, n)
    return table.assign(
        parallax_mas=parallax, pmra=across * np.cos(angle), pmdec=across * np.sin(angle),
        teff=teff, bp_rp=0.9 - 0.00014 * (teff - 5500) + rng.normal(0, 0.03, n),
        feh=rng.normal(-0.8, 0.6, n), pm=across,
    )  # fmt: skip


def left_out(tmp_path, table):
    found = opened(tmp_path, table.to_csv(index=False), CATALOGUE_USE)
    assert found.has("ra", "dec")
    return found.left_out


def test_honest_tables_of_stars_keep_their_columns(tmp_path):
    for n, seed in ((3, 1), (5, 2), (20, 3), (60, 4), (300, 5)):
        table = of_stars(n, seed)
        rich = table.assign(feh=np.abs(table["feh"]) / 3.0)  # chosen above the Sun's
        for one in (table, table.round(1), rich):
            assert "bp_rp" not in left_out(tmp_path, one)
            assert "feh" not in left_out(tmp_path, one)
            assert not {"pmra", "pmdec", "parallax_mas"} & left_out(tmp_path, one).keys()


@pytest.mark.parametrize("middle", [-1.7, -0.1])
def test_metals_as_ratios_to_the_suns_are_no_fe_h(tmp_path, middle):
    feh = np.random.default_rng(2).normal(middle, 0.45, 300)
    table = of_stars(300).assign(feh=10**feh)
    assert "as ratios to the Sun's" in left_out(tmp_path, table)["feh"]
    assert not left_out(tmp_path, table.assign(feh=feh))
    said = table.rename(columns={"feh": "[Fe/H] (dex)"})
    assert "[Fe/H] (dex)" not in left_out(tmp_path, said)


def test_a_colour_with_its_sign_turned_is_left_out(tmp_path):
    table = of_stars().assign(bp_rp=lambda d: d["bp_rp"] - 0.3)  # none redder than 0.6
    turned = table.assign(bp_rp=-table["bp_rp"])
    assert "falls where stars are redder by teff" in left_out(tmp_path, turned)["bp_rp"]
    cool = table.assign(bp_rp=-1.2 - table["bp_rp"]).drop(columns="teff")
    assert "bluer than any is" in left_out(tmp_path, cool.head(4))["bp_rp"]
    red = turned.drop(columns="teff").assign(ks_mag=lambda d: d["g_mag"] - 2.0 * table["bp_rp"])
    assert "falls where stars are redder by ks_mag" in left_out(tmp_path, red)["bp_rp"]


def test_motions_without_the_cosine_are_left_out_where_their_total_tells(tmp_path):
    table = of_stars()
    stretched = table.assign(pmra=table["pmra"] / np.cos(np.radians(table["dec"])))
    assert "without cos(dec)" in left_out(tmp_path, stretched)["pmra"]
    assert not left_out(tmp_path, stretched.drop(columns="pm"))
    assert not left_out(tmp_path, table.assign(pm=np.arange(60)))  # another quantity


@pytest.mark.parametrize("n", [5, 12])
def test_few_distances_of_halo_stars_are_no_parallaxes(tmp_path, n):
    table = of_stars(n).drop(columns=["g_mag", "pm"])
    kpc = np.linspace(9.0, 30.0, n)
    factor = 1.0 / kpc / table["parallax_mas"]
    halo = table.assign(pmra=table["pmra"] * factor, pmdec=table["pmdec"] * factor)
    assert not left_out(tmp_path, halo.assign(parallax_mas=1.0 / kpc))
    assert "can be a distance" in left_out(tmp_path, halo.assign(parallax_mas=kpc))["parallax_mas"]
    group = halo.assign(parallax_mas=kpc, ra=83.0 + kpc / 30, dec=-1.0)  # which moves as the Sun
    assert not left_out(tmp_path, group)
