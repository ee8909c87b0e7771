"""Tables of other people, written in every way: read as they are meant, or refused by name."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from outside_tables import KINDS, NAMES, astropy_table, csv_text, differences, truth, written

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.photometry.panstarrs import PANSTARRS_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import open_table
from msfa_core.tables.identifiers import read_identifiers
from msfa_core.tables.report import line
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.validation.reference import REFERENCE_USE


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(tmp_path, content, use=GAIA_USE, name="t.csv"):
    return open_table(write(tmp_path / name, content), use)


@pytest.mark.parametrize("kind", KINDS)
def test_one_table_is_the_same_however_it_is_written(tmp_path, kind):
    table = truth()
    found = open_table(written(table, tmp_path / "gaia.table", kind), GAIA_USE)
    assert set(found.columns) == set(NAMES)
    assert differences(table, found) == []
    for house in NAMES:
        assert found.table[house].isna().tolist() == table[house].isna().tolist(), house
    assert not found.unreadable
    assert not found.left_out


# --- units ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("house", "unit"),
    [
        *(("ra", one) for one in ("rad", "hourangle", "arcmin", "arcsec")),
        *(("dec", one) for one in ("rad", "arcsec")),
        *(("parallax_mas", one) for one in ("arcsec", "uas")),
        *(("pmra", one) for one in ("arcsec / yr", "uas / yr", "deg / yr")),
        ("bp_rp", "mmag"),
    ],
)
@pytest.mark.parametrize("form", ["fits", "votable", "ascii.ecsv"])
def test_a_unit_that_the_file_gives_is_converted(tmp_path, house, unit, form):
    table = truth()
    made = astropy_table(table)
    name = NAMES[house]
    house_unit = made[name].unit
    made[name] = made[name] * float((1 * house_unit).to_value(unit))
    made[name].unit = unit
    if form == "fits" and unit == "hourangle":
        pytest.skip("FITS knows no such unit")
    made.write(tmp_path / "t", format=form)
    found = open_table(tmp_path / "t", GAIA_USE)
    assert differences(table, found) == []
    assert house in found.columns
    assert name in line(found)


@pytest.mark.parametrize(
    ("column", "unit"), [("parallax", "km"), ("pmra", "mas"), ("bp_rp", "mJy")]
)
def test_a_unit_of_something_else_leaves_the_column_out_by_name(tmp_path, column, unit):
    made = astropy_table(truth())
    made[column].unit = unit
    made.write(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", GAIA_USE)
    assert "unit" in found.left_out[column]
    assert column in line(found)


@pytest.mark.parametrize(
    ("house", "name", "factor"),
    [
        ("ra", "ra_hours", 1 / 15), ("ra", "ra (rad)", np.pi / 180),
        ("parallax_mas", "parallax_arcsec", 1e-3), ("parallax_mas", "plx [uas]", 1e3),
        ("pmra", "pmra_arcsec_yr", 1e-3),
    ],
)  # fmt: skip
def test_a_name_that_says_a_unit_is_believed(tmp_path, house, name, factor):
    table = truth()
    text = csv_text(table.assign(**{house: table[house] * factor}), names=NAMES | {house: name})
    assert differences(table, opened(tmp_path, text)) == []


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_parallaxes_and_motions_without_a_unit_are_judged_by_their_range(tmp_path, factor):
    table = truth()
    moved = ("parallax_mas", "parallax_error_mas")
    other = table.assign(**{name: table[name] * factor for name in moved})
    found = opened(tmp_path, csv_text(other))
    right = {house for house in moved if house in found.columns}
    if factor < 1:  # arcsec for certain; µas of near stars could be mas of none
        assert right == set(moved)
        assert "by its range" in line(found)
    assert not set(differences(table, found)) & right


def test_velocities_in_metres_and_temperatures_in_kilokelvin_are_known(tmp_path):
    text = "obsid,rv,teff\n1,-120500,8.5\n2,33000,9.25\n3,250000,12\n"
    found = opened(tmp_path, text, REFERENCE_USE)
    assert found.table["rv"].tolist() == pytest.approx([-120.5, 33.0, 250.0])
    assert found.table["teff"].tolist() == pytest.approx([8500, 9250, 12000])


def test_log_teff_is_known_by_name_or_unit_and_refused_without(tmp_path):
    rows = "\n1,3.95\n2,3.9\n"
    assert opened(tmp_path, f"obsid,log_teff{rows}", REFERENCE_USE).table["teff"].tolist() == (
        pytest.approx([10**3.95, 10**3.9])
    )
    Table({"obsid": [1, 2], "teff": [3.95, 3.9]}, units={"teff": "dex(K)"}).write(
        tmp_path / "t.ecsv"
    )
    found = open_table(tmp_path / "t.ecsv", REFERENCE_USE)
    assert found.table["teff"].tolist() == pytest.approx([10**3.95, 10**3.9])
    assert "teff" in opened(tmp_path, f"obsid,teff{rows}", REFERENCE_USE).left_out


def test_velocities_that_are_doppler_shifts_are_known_and_their_errors_follow(tmp_path):
    text = "obsid,rv,rv_err\n1,-0.00032,0.00001\n2,0.00006,0.00002\n3,0.00043,0.00001\n"
    found = opened(tmp_path, text, CATALOGUE_USE)
    assert found.table["rv"].tolist() == pytest.approx([-95.93, 17.99, 128.91], abs=0.01)
    assert found.table["rv_err"].tolist() == pytest.approx([3.0, 6.0, 3.0], abs=0.01)
    assert "rv Doppler shift → km / s, by its range" in line(found)


def test_mass_fractions_of_metals_are_no_abundances(tmp_path):
    text = "obsid,feh\n1,0.0134\n2,0.0004\n3,0.00002\n"
    assert "mass fraction" in opened(tmp_path, text, CATALOGUE_USE).left_out["feh"]


@pytest.mark.parametrize(
    ("use", "column", "unit"),
    [
        (GAIA_USE, "phot_g_mean_mag", "mag(AB)"), (GAIA_USE, "j_m", "ABmag"),
        (PANSTARRS_USE, "rMeanPSFMag", "mag (Vega)"),
    ],
)  # fmt: skip
def test_magnitudes_of_the_other_system_are_left_out(tmp_path, use, column, unit):
    made = Table({"ra": [1.0, 2.0], "dec": [1.0, 2.0], column: [15.0, 16.0]})
    made.write(tmp_path / "t.ecsv")
    text = (tmp_path / "t.ecsv").read_text()
    plain = f"{{name: {column}, datatype: float64}}"
    assert plain in text
    with_unit = f"{{name: {column}, unit: {unit}, datatype: float64}}"
    found = opened(tmp_path, text.replace(plain, with_unit), use, "t.ecsv")
    assert "system" in found.left_out[column]
    assert not opened(tmp_path, text, use, "plain.ecsv").left_out


@pytest.mark.parametrize(
    ("use", "wrong", "houses"),
    [
        (GAIA_USE, "bp_rp", ("bp_rp", "bp_mag", "rp_mag")),
        (GAIA_USE, "parallax_over_error",
         ("parallax_over_error", "parallax_mas", "parallax_error_mas")),
        (CATALOGUE_USE, "rv", ("rv", "z")),
    ],
)  # fmt: skip
def test_columns_that_contradict_each_other_are_left_out_all_of_them(tmp_path, use, wrong, houses):
    right = pd.DataFrame({
        "obsid": [1, 2, 3], "phot_g_mean_mag": [15.0, 16.0, 17.0],
        "bp_mag": [15.1, 16.2, 17.3], "rp_mag": [14.9, 15.7, 16.6], "bp_rp": [0.2, 0.5, 0.7],
        "parallax": [1.0, 0.5, -0.1], "parallax_error": [0.02, 0.05, 0.1],
        "parallax_over_error": [50.0, 10.0, -1.0], "rv": [-100.0, 50.0, 200.0],
        "z": [-100 / 299792.458, 55 / 299792.458, 190 / 299792.458],
    })  # fmt: skip
    assert not opened(tmp_path, right.to_csv(index=False), use).left_out
    made = right.assign(**{wrong: 0.3 - right[wrong]})  # a sign, dust, a distance
    found = opened(tmp_path, made.to_csv(index=False), use)
    assert not set(houses) & set(found.table)
    assert "take that one out" in found.left_out[wrong]
    assert len(found.left_out) == len(houses)


# --- cells ---------------------------------------------------------------------------------
def test_sexagesimal_places_are_read_in_every_spelling(tmp_path):
    rows = [
        ("13:44:46.3665", "+09:48:55.982"), ("13 44 46.3665", "+09 48 55.982"),
        ("13h44m46.3665s", "+09d48m55.982s"), ("13h 44m 46.3665s", "9°48′55.982″"),
        ("206.19319375", "9.81555056"),
    ]  # fmt: skip
    text = "ra;dec;Gmag\n" + "".join(f"{ra};{dec};15.5\n" for ra, dec in rows)
    table = opened(tmp_path, text).table
    assert table["ra"].tolist() == pytest.approx([206.19319375] * 5, abs=1e-7)
    assert table["dec"].tolist() == pytest.approx([9.81555056] * 5, abs=1e-7)
    south = opened(tmp_path, "ra,dec,Gmag\n00:00:01,-00:00:30,15\n").table
    assert south["dec"].tolist() == pytest.approx([-30 / 3600])


def test_cells_that_say_nothing_known_are_counted_and_named(tmp_path):
    table = truth(40)
    text = csv_text(table).splitlines()
    fields = text[3].split(",")
    fields[4] = "15.9O15"  # a letter O
    text[3] = ",".join(fields)
    found = opened(tmp_path, "\n".join(text) + "\n")
    assert np.isnan(found.table["g_mag"][2])
    assert (found.unreadable[0].n, found.unreadable[0].examples) == (1, ((3, "15.9O15"),))
    assert "row 3: '15.9O15'" in line(found)


def test_a_column_of_other_cells_is_refused_with_column_row_and_text(tmp_path):
    with pytest.raises(CatalogueError, match=r"t\.csv: column dec has 'north' in row 1"):
        opened(tmp_path, "ra,dec,Gmag\n1.5,north,15\n2.5,south,16\n")


def test_a_comma_that_may_be_either_is_refused(tmp_path):
    with pytest.raises(CatalogueError, match=r"Gmag may be thousands or decimals .*'15,123'"):
        opened(tmp_path, "obsid;Gmag\n7;15,123\n8;16,456\n")
    table = opened(tmp_path, "obsid;Gmag;bp_rp\n7;15,123;0,25\n8;16,456;0,3\n").table
    assert table["g_mag"].tolist() == [15.123, 16.456]  # the column beside it tells


def test_sentinels_and_absurd_values_are_missing_and_counted(tmp_path):
    table = truth(20)
    text = cells_with(table, {"phot_g_mean_mag": {0: "99.999"}, "parallax": {1: "1e20"},
                              "dec": {4: "-99"}, "pmra": {5: "-9999.0"}})  # fmt: skip
    found = opened(tmp_path, text)
    assert np.isnan(found.table["g_mag"][0]) and np.isnan(found.table["parallax_mas"][1])
    assert np.isnan(found.table["ra"][4]) and np.isnan(found.table["pmra"][5])
    assert differences(table, found) == []
    for word in ("99.999", "1e20", "dec 1", "pmra 1"):
        assert word in line(found), word


def cells_with(table, changes):
    lines = [row.split(",") for row in csv_text(table).splitlines()]
    for name, rows in changes.items():
        for row, text in rows.items():
            lines[row + 1][lines[0].index(name)] = text
    return "\n".join(",".join(row) for row in lines) + "\n"


def test_a_column_that_cannot_be_what_it_is_called_is_left_out(tmp_path):
    text = "obsid,phot_g_mean_mag\n1,15200.5\n2,880.25\n3,120.5\n"
    found = opened(tmp_path, text)
    assert "most of it cannot be g_mag" in found.left_out["phot_g_mean_mag"]


# --- names ---------------------------------------------------------------------------------
def test_gaia_g_is_told_from_g_of_other_surveys(tmp_path):
    rows = "\n1,2,15.5,16.5,15.9\n3,4,14.5,15.5,14.9\n"
    both = opened(tmp_path, f"ra,dec,Gmag,gmag,rmag{rows}")
    assert both.table["g_mag"].tolist() == [15.5, 14.5]
    flipped = opened(tmp_path, f"ra,dec,gmag,Gmag,rmag{rows}")
    assert flipped.table["g_mag"].tolist() == [16.5, 15.5]
    panstarrs = opened(tmp_path, f"ra,dec,gmag,rmag,imag{rows}")
    assert "another survey" in panstarrs.left_out["gmag"]
    alone = opened(tmp_path, "ra,dec,gmag\n1,2,15.5\n")
    assert "call Gaia's Gmag" in alone.left_out["gmag"]
    named = opened(tmp_path, "ra,dec,g_mag,phot_g_mean_mag\n1,2,16.5,15.5\n")
    assert named.table["g_mag"].tolist() == [15.5]


LABELS = {"obsid": [1, 2, 3, 4], "teff": [8000, 8500, 9000, 7800], "logg": [3.2, 3.3, 3.5, 3.1]}


@pytest.mark.parametrize("use", [CATALOGUE_USE, REFERENCE_USE])
def test_gravities_in_si_units_are_not_taken_for_those_of_supergiants(tmp_path, use):
    right = pd.DataFrame(LABELS)
    assert not opened(tmp_path, right.to_csv(index=False), use).left_out
    si = right.assign(logg=right["logg"] - 2)
    why = opened(tmp_path, si.to_csv(index=False), use).left_out["logg"]
    assert "can be log g in m/s², 2 dex less; give its unit" in why
    for unit, expected in (("m/s2", 3.2), ("cm/s2", 1.2)):
        named = si.rename(columns={"logg": f"logg [dex({unit})]"}).to_csv(index=False)
        assert opened(tmp_path, named, use).table["logg"][0] == pytest.approx(expected)
    cool = right.assign(teff=4500, logg=1.5)  # red giants
    assert opened(tmp_path, cool.to_csv(index=False), use).table["logg"].tolist() == [1.5] * 4


@pytest.mark.parametrize(
    ("z", "others", "reason"),
    [
        ((0.001, 0.002, 0.0004, 0.014), {}, "mass fraction"),
        ((0.011, 0.002, 0.0134, 0.02), {"feh": [-0.2, -0.9, 0.0, 0.1]}, "mass fraction"),
        ((5.5, 7.1, 1.4, 3.3), {"dist": [10, 12, 15, 13]}, "height above the plane"),
        ((0.5, 2.1, -1.4, 3.3), {}, "most of it cannot be z"),
        ((-0.0003, 0.0002, 0.0004, 0.0001), {}, ""),
        ((0.0003, 0.0002, 0.0004, 0.0001), {"feh": [-0.2, -0.9, 0.0, 0.1]}, ""),
        ((0.0003, 0.0002, 0.0004, 0.0001), {"z_err": [1e-5] * 4}, ""),
        ((0.5, 2.1, 1.4, 3.3), {"class": ["QSO"] * 4}, ""),
        ((0.0003, -0.0002, 0.0004, 0.0001), {"dist": [10, 12, 15, 13]}, ""),
    ],
)
def test_a_column_called_z_can_be_metals_or_a_height(tmp_path, z, others, reason):
    made = pd.DataFrame(LABELS | {"Z": z} | others).to_csv(index=False)
    found = opened(tmp_path, made, REFERENCE_USE)
    assert reason in found.left_out.get("Z", "")
    assert found.has("z") == (not reason)
    if "most" not in reason:
        renamed = opened(tmp_path, made.replace("Z", "redshift"), REFERENCE_USE)
        assert renamed.table["z"].tolist() == list(z)


@pytest.mark.parametrize("has_errors", [True, False])
@pytest.mark.parametrize("wrong", [np.log10, np.negative])
def test_parallaxes_far_below_zero_are_none(tmp_path, wrong, has_errors):
    plx = np.linspace(0.05, 0.9, 12)
    columns = {"source_id": np.arange(12) * 128 + 10**17, "phot_g_mean_mag": 15.0, "parallax": plx}
    columns |= {"parallax_error": 0.03} if has_errors else {}
    for made, is_taken in ((plx, True), (wrong(plx), False)):
        pd.DataFrame(columns | {"parallax": made}).to_csv(tmp_path / "t.csv", index=False)
        found = open_table(tmp_path / "t.csv", GAIA_USE)
        assert found.has("parallax_mas") == is_taken
    assert "logarithm, or its sign" in found.left_out["parallax"]
    faint = np.random.default_rng(1).normal(0.03, 0.5, 300)  # of far stars, errors as large
    columns = {"source_id": np.arange(300) + 10**17, "phot_g_mean_mag": 20.0, "parallax": faint}
    columns |= {"parallax_error": 0.5} if has_errors else {}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    assert open_table(tmp_path / "t.csv", GAIA_USE).has("parallax_mas")


def test_angles_from_the_pole_are_no_declinations(tmp_path):
    dec = np.linspace(-60, 80, 12)
    columns = {"source_id": np.arange(12) * 128 + 10**17, "phot_g_mean_mag": 15.0, "ra": 10.0}
    slip = np.where(np.arange(12) == 3, 102.5, dec)
    none = np.where(np.arange(12) < 5, 999.0, dec)
    for made, is_taken in ((slip, True), (none, True), (90 - dec, False)):
        pd.DataFrame(columns | {"dec": made}).to_csv(tmp_path / "t.csv", index=False)
        found = open_table(tmp_path / "t.csv", GAIA_USE)
        assert found.has("dec") == is_taken
    assert "much of it cannot be dec" in found.left_out["dec"]


def test_columns_that_differ_in_case_and_value_are_refused(tmp_path):
    with pytest.raises(CatalogueError, match="Hmag and hmag could both be h_mag"):
        opened(tmp_path, "ra,dec,Gmag,Hmag,hmag\n1,2,15,14,13\n")


@pytest.mark.parametrize("others", ["u,g,r,i", "x,y", "g,r,i"])
def test_z_beside_magnitudes_or_places_is_no_shift(tmp_path, others):
    n = len(others.split(","))
    text = f"obsid,{others},z\n1,{','.join(['15.5'] * n)},15.1\n"
    found = opened(tmp_path, text, REFERENCE_USE)
    assert "no Doppler shift" in found.left_out["z"]


def test_magnitudes_called_z_are_no_shifts_with_nothing_beside_them(tmp_path):
    found = opened(tmp_path, "obsid,z\n1,16.8\n2,17.1\n3,14.2\n", REFERENCE_USE)
    assert "most of it cannot be z" in found.left_out["z"]


def test_pair_tables_give_the_place_beside_the_photometry(tmp_path):
    text = (
        "obsid,ra_1,dec_1,snrg,source_id,ra_2,dec_2,phot_g_mean_mag,Separation\n"
        "7,10.0,1.0,30,1275856250441039873,10.0001,1.0001,15.5,0.5\n"
    )
    assert opened(tmp_path, text).table.iloc[0][["ra", "dec"]].tolist() == [10.0001, 1.0001]
    catalogue = opened(tmp_path, text, CATALOGUE_USE).table
    assert catalogue.iloc[0][["ra", "dec"]].tolist() == [10.0, 1.0]


# --- identifiers -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "spelled",
    ["{}", "Gaia DR3 {}", "Gaia EDR3 {}", "gaia_dr3_{}", '"{}"', "'{}'", "b'{}'", '="{}"', " {} "],
)
def test_identifiers_are_found_in_designations(tmp_path, spelled):
    table = truth()
    lines = csv_text(table).splitlines()
    ids = [str(one) for one in table["gaia_source_id"]]
    text = "\n".join(
        [lines[0].replace(",", "|")]
        + [
            row.replace(",", "|").replace(one, spelled.format(one))
            for row, one in zip(lines[1:], ids, strict=True)
        ]
    )
    found = opened(tmp_path, text + "\n")
    assert found.table["gaia_source_id"].tolist() == table["gaia_source_id"].tolist()


@pytest.mark.parametrize(
    ("how", "word"),
    [
        (lambda i: str(round(i, -(len(str(i)) - 15))), "spreadsheet"),
        (lambda i: str(round(i, -(len(str(i)) - 16))), "spreadsheet"),
        (lambda i: str(round(i, -(len(str(i)) - 17))), "spreadsheet"),  # as JavaScript writes them
        (lambda i: str(int(float(i))), "floating point"),
        (lambda i: repr(float(i)), "floating point"),
        (lambda i: f"{i:.5e}", "floating point"),
    ],
)
def test_identifiers_that_lost_digits_are_left_out_with_the_remedy(tmp_path, how, word):
    table = truth(12).assign(
        gaia_source_id=pd.array(
            np.random.default_rng(1).integers(2 * 10**18, 6 * 10**18, 12) | 1, dtype="Int64"
        )
    )
    lines = csv_text(table).splitlines()
    rows = [lines[0]] + [
        row.replace(str(one), how(int(one)))
        for row, one in zip(lines[1:], table["gaia_source_id"], strict=True)
    ]
    found = opened(tmp_path, "\n".join(rows) + "\n")
    assert "gaia_source_id" not in found.table
    assert word in found.left_out["source_id"]


def test_few_true_identifiers_that_end_in_zeros_by_chance_stay():
    rng = np.random.default_rng(2)
    lost = 0
    for n, n_spectra in ((1, 1), (3, 30), (10, 1), (19, 1)):
        for _ in range(250):
            ids = rng.integers(0, 12 * 4**12, n) * 2**35 + rng.integers(0, 2**25, n) * 128
            text = pd.Series(np.repeat(ids, n_spectra).astype(str))
            lost += read_identifiers(text).rounded.any()
    assert lost <= 1  # of a thousand tables


def test_true_identifiers_are_multiples_of_128_and_stay(tmp_path):
    table = truth(200)
    ids = table["gaia_source_id"].to_numpy(np.int64) // 128 * 128
    table["gaia_source_id"] = pd.array(ids, dtype="Int64")
    found = opened(tmp_path, csv_text(table))
    assert found.table["gaia_source_id"].tolist() == ids.tolist()


@pytest.mark.parametrize("word", ["{}.0", "'{}", '="{}"', " {} ", "Gaia DR3 {}"])
def test_identifiers_whose_digits_are_all_written_are_read(tmp_path, word):
    table = truth(9).drop(columns=["obsid"])
    text = csv_text(table)
    for one in table["gaia_source_id"]:
        text = text.replace(str(one), word.format(one))
    found = opened(tmp_path, text)
    assert found.table["gaia_source_id"].tolist() == table["gaia_source_id"].tolist()


@pytest.mark.parametrize("form", ["{:.3e}", "{:.6E}", "{:g}"])
def test_an_obsid_of_fewer_digits_than_its_number_is_left_out_with_the_remedy(tmp_path, form):
    text = csv_text(truth(3))
    for one in truth(3)["obsid"]:
        text = text.replace(str(one), form.format(one))
    found = opened(tmp_path, text)
    assert "obsid" not in found.table
    assert "lost digits" in found.left_out["obsid"] and "text" in found.left_out["obsid"]


def test_an_exponent_with_every_digit_is_exact(tmp_path):
    found = opened(tmp_path, "obsid,ra,dec\n6.00000014E8,1,2\n600.000021e6,2,3\n", PLACE_USE)
    assert found.table["obsid"].tolist() == [600_000_014, 600_000_021]


def test_obsids_that_went_through_single_precision_are_told_by_the_column(tmp_path):
    true = truth(6)
    obsid = 600_000_007 + 1013 * np.arange(6)
    assert opened(tmp_path, csv_text(true.assign(obsid=obsid))).has("obsid")
    single = obsid.astype(np.float32).astype(np.int64)
    found = opened(tmp_path, csv_text(true.assign(obsid=pd.array(single, dtype="Int64"))))
    assert "single precision" in found.left_out["obsid"]


def test_negative_identifiers_are_named_and_not_passed_over(tmp_path):
    text = "source_id,obsid,ra,dec,phot_g_mean_mag\n" + "".join(
        f"{one},{k},10.{k},5,15\n" for k, one in enumerate([-77, -9999, -1, 123456789012], 1)
    )
    found = opened(tmp_path, text)
    assert "gaia_source_id" not in found.table
    assert "row 1: '-77'" in found.left_out["source_id"]
    found = opened(tmp_path, text.replace("-77", ""))
    assert found.missing["gaia_source_id"] == 3


def test_single_precision_keeps_no_obsid(tmp_path):
    Table(
        {"obsid": np.array([605006007, 7], np.float32), "ra": [1.0, 2.0], "dec": [1.0, 2.0]}
    ).write(tmp_path / "t.fits")
    found = open_table(tmp_path / "t.fits", PLACE_USE)
    assert found.table["obsid"].tolist() == [pd.NA, 7]


@pytest.mark.parametrize("name", ["dr2_source_id", "gaia_dr2_source_id", "DR2Name"])
def test_identifiers_of_dr2_are_not_those_of_dr3(tmp_path, name):
    table = truth()
    text = csv_text(table, names=NAMES | {"gaia_source_id": name})
    found = opened(tmp_path, text)
    assert "gaia_source_id" not in found.table
    assert "DR2" in line(found)
    said = csv_text(table.assign(ref_epoch=2015.5), names=NAMES | {"ref_epoch": "ref_epoch"})
    assert "DR2" in line(opened(tmp_path, said))
    kept = csv_text(table.assign(ref_epoch=2016.0), names=NAMES | {"ref_epoch": "ref_epoch"})
    assert opened(tmp_path, kept).table["gaia_source_id"].notna().all()


# --- what the file says of itself ------------------------------------------------------------
VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">{words}</INFO>{tables}
</RESOURCE></VOTABLE>"""
ONE = """<TABLE name="{name}"><FIELD ID="c1" name="source_id" datatype="char" arraysize="1"/>
<FIELD ID="c2" name="phot_g_mean_mag" datatype="double" unit="mag"/>
<FIELD name="E(B-V)" datatype="double"/>
<DATA><TABLEDATA><TR><TD>1275856250441039873</TD><TD>15.5</TD><TD>0.12</TD></TR></TABLEDATA></DATA>
</TABLE>"""


def test_a_votable_goes_by_names_and_texts_are_whole(tmp_path):
    text = VOTABLE.format(status="OK", words="", tables=ONE.format(name="a"))
    table = opened(tmp_path, text).table
    assert table["gaia_source_id"].tolist() == [1275856250441039873]
    assert (table["g_mag"][0], table["ebv"][0]) == (15.5, 0.12)


def test_an_answer_cut_short_is_said_and_an_error_is_quoted(tmp_path):
    cut = VOTABLE.format(status="OVERFLOW", words="limit 2000", tables=ONE.format(name="a"))
    assert "INCOMPLETE" in line(opened(tmp_path, cut)) and "limit 2000" in line(
        opened(tmp_path, cut)
    )
    failed = VOTABLE.format(status="ERROR", words="no such column: gmagg", tables="")
    with pytest.raises(CatalogueError, match="no such column: gmagg"):
        opened(tmp_path, failed)


def test_of_several_tables_the_one_that_fits_or_the_one_named(tmp_path):
    other = ONE.format(name="notes").replace("phot_g_mean_mag", "x").replace("source_id", "y")
    text = VOTABLE.format(status="OK", words="", tables=other + ONE.format(name="stars"))
    found = opened(tmp_path, text)
    assert found.table["g_mag"].tolist() == [15.5]
    assert "not used of the file: notes" in line(found)
    two = VOTABLE.format(status="OK", words="", tables=ONE.format(name="a") + ONE.format(name="b"))
    with pytest.raises(CatalogueError, match=r"a of 1 row, b of 1 row.*name one as t\.csv#NAME"):
        opened(tmp_path, two)
    assert open_table(f"{tmp_path / 't.csv'}#b", GAIA_USE).table["g_mag"].tolist() == [15.5]
    with pytest.raises(CatalogueError, match="has no table 'c'"):
        open_table(f"{tmp_path / 't.csv'}#c", GAIA_USE)


def test_odd_columns_are_named_and_the_good_ones_used(tmp_path):
    place = SkyCoord([10.0, 20.0] * u.deg, [1.0, 2.0] * u.deg)
    Table({"place": place, "phot_g_mean_mag": [15.0, 16.0], "spectra": np.ones((2, 5))}).write(
        tmp_path / "t.ecsv"
    )
    found = open_table(tmp_path / "t.ecsv", GAIA_USE)
    assert found.table["ra"].tolist() == pytest.approx([10.0, 20.0])
    assert "spectra" in line(found)


# --- text and packing ------------------------------------------------------------------------
def test_a_row_that_begins_with_a_hash_is_a_row(tmp_path):
    found = opened(tmp_path, "file,teff\n#1.fits,8000\nb.fits,9000\n", CATALOGUE_USE)
    assert found.table["file"].tolist() == ["#1.fits", "b.fits"]


def test_a_last_row_that_was_cut_is_left_out(tmp_path):
    text = csv_text(truth().round(3))
    whole = opened(tmp_path, text[:-1])
    assert len(whole) == 12
    cut = opened(tmp_path, "obsid,Gmag\n7,15.123\n8,16.456\n9,1")
    assert cut.table["g_mag"].tolist() == [15.123, 16.456]
    assert "row 3 may be cut short" in line(cut)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89HDF\r\n\x1a\n....", "HDF5"),
        (b"\xd0\xcf\x11\xe0....", "Excel"),
        (b"SQLite format 3\x00...", "SQLite"),
        (b"\x93NUMPY....", "NumPy"),
        (b'{"error": true, "description": "token expired"}', "token expired"),
        (b"<html><body>login</body></html>", "web page"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, what):
    with pytest.raises(CatalogueError, match=what):
        opened(tmp_path, content)


def test_an_archive_of_several_tables_lists_them(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "t.zip", "w") as packed:
        packed.writestr("a.csv", csv_text(truth()))
        packed.writestr("b.csv", csv_text(truth(seed=3)))
    with pytest.raises(CatalogueError, match=r"archive of 2 tables \(a\.csv, b\.csv\).*#NAME"):
        open_table(tmp_path / "t.zip", GAIA_USE)
    found = open_table(f"{tmp_path / 't.zip'}#b.csv", GAIA_USE)
    assert differences(truth(seed=3), found) == []


def test_text_of_windows_is_read_with_its_dashes(tmp_path):
    table = truth()
    found = opened(tmp_path, csv_text(table).replace("-", "–").encode("cp1252"))
    assert differences(table, found) == []
    assert "Windows-1252" in line(found)


@pytest.mark.parametrize("form", ["ascii.basic", "ascii.commented_header", "excel", "aligned"])
def test_tables_separated_by_blanks_and_those_of_excel_are_read(tmp_path, form):
    table = truth().dropna()
    path = tmp_path / "t.txt"
    if form == "excel":
        path.write_text("sep=;\r\n" + csv_text(table, ";", "\r\n"))
    elif form == "aligned":
        path.write_text(table.rename(columns=NAMES).to_string(index=False))
    else:
        astropy_table(table, {}).write(path, format=form)
    found = open_table(path, GAIA_USE)
    assert differences(table.reset_index(drop=True), found, rel=1e-6) == []
    assert len(found) == len(table) and found.has(*table.columns)


def test_a_row_that_lacks_a_field_between_blanks_is_refused(tmp_path):
    with pytest.raises(CatalogueError, match="not separated"):
        opened(tmp_path, "obsid ra dec phot_g_mean_mag\n1 10.5 20.5\n2 11.5 21.5 15.1\n")


def test_a_row_of_units_below_the_names_is_believed(tmp_path):
    text = "source_id,ra,dec,Gmag,Plx\n,deg,deg,mag,arcsec\n77,10.5,1.5,15.5,0.00025\n"
    found = opened(tmp_path, text)
    assert len(found) == 1
    assert found.table["parallax_mas"].tolist() == pytest.approx([0.25])


@pytest.mark.parametrize(
    "text",
    [
        " obsid | ra    | dec  | gmag_x | Gmag \n-------+-------+------+--------+------\n"
        " 7     | 10.5  | 1.5  | 1      | 15.5 \n",
        "| obsid | ra | dec | Gmag |\n|---|---|---|---|\n| 7 | 10.5 | 1.5 | 15.5 |\n",
    ],
    ids=["psql", "markdown"],
)
def test_tables_drawn_with_lines_are_read(tmp_path, text):
    found = opened(tmp_path, text)
    assert found.table.iloc[0][["obsid", "ra", "dec", "g_mag"]].tolist() == [7, 10.5, 1.5, 15.5]


def test_modified_julian_dates_say_so(tmp_path):
    Table({"obsid": [7], "mjd": [2457345.5]}, units={"mjd": "d"}).write(tmp_path / "t.ecsv")
    assert open_table(tmp_path / "t.ecsv", CATALOGUE_USE).left_out
    assert opened(tmp_path, "obsid,mjd\n7,2457345.5\n", CATALOGUE_USE).table["mjd"][0] == 57345


def test_numbers_of_another_catalogue_are_no_gaia_identifiers(tmp_path):
    found = opened(tmp_path, "Source,RA_ICRS,DE_ICRS,Gmag\n1,10.5,1.5,15.5\n2,11.5,1.5,15.5\n")
    assert "too small" in found.left_out["Source"]
    assert found.has("ra", "dec", "g_mag")


def test_a_pure_number_in_dex_is_known(tmp_path):
    Table({"obsid": [7], "feh": [-1.5]}, units={"feh": "dex"}).write(tmp_path / "t.ecsv")
    text = (tmp_path / "t.ecsv").read_text().replace("unit: dex", "unit: 'dex(---)'")
    assert opened(tmp_path, text, REFERENCE_USE).table["feh"].tolist() == [-1.5]
