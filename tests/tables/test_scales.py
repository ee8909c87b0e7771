"""Units and scales that a file says in words: converted, or left out by name; never passed on."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from msfa_core.columns import COLUMNS
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import open_table
from msfa_core.tables.quantities import quantity
from msfa_core.tables.scales import scaled, unit_in_words
from msfa_core.tables.units import unit_of

OBSID = 600_000_000 + 7 * np.arange(6)
TRUE = {
    "ra": np.array([15.5, 100.25, 180.125, 221.5, 290.75, 345.5]),
    "dec": np.array([-5.5, 10.25, 22.5, 31.25, 40.5, 60.75]),
    "teff": np.array([7600.0, 8100.0, 8500.0, 9000.0, 9400.0, 9900.0]),
    "logg": np.array([2.9, 3.1, 3.2, 3.3, 3.4, 3.5]),
    "feh": np.array([-2.4, -2.1, -1.7, -1.5, -1.2, -0.9]),
    "rv": np.array([-212.5, -120.0, -40.5, 33.0, 88.5, 190.0]),
    "ebv": np.array([0.02, 0.04, 0.05, 0.08, 0.11, 0.2]),
    "snr_g": np.array([12.0, 18.0, 25.0, 40.0, 60.0, 90.0]),
    "pmra": np.array([-22.5, -12.0, -4.5, 3.0, 8.5, 19.0]),
    "parallax": np.array([0.11, 0.2, 0.32, 0.41, 0.6, 1.2]),
}


def in_fits(made, name, words, path):
    unit = fits.table_to_hdu(made)
    unit.header.comments[f"TTYPE{made.colnames.index(name) + 1}"] = words
    unit.writeto(path)


def in_csv(made, name, words, path):
    path.write_text(f"# stars of mine\n# {name}: {words}\n{made.to_pandas().to_csv(index=False)}")


def in_astropy(form):
    def write(made, name, words, path):
        made[name].description = words
        made.write(path, format=form)

    return write


FORMS = {
    "fits": in_fits,
    "csv": in_csv,
    "votable": in_astropy("votable"),
    "mrt": in_astropy("ascii.mrt"),
}


def opened(tmp_path, name, factor, words, form):
    stored = TRUE[name] * factor
    columns = {"obsid": OBSID, **({"dec": TRUE["dec"]} if name == "ra" else {}), name: stored}
    FORMS[form](Table(columns), name, words, tmp_path / "t")
    return open_table(tmp_path / "t", CATALOGUE_USE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("ra", 1 / 15, "right ascension in hours"),
        ("ra", 1 / 15, "RA [h]"),
        ("ra", np.pi / 180, "right ascension (radians)"),
        ("teff", 1e-3, "effective temperature [kK]"),
        ("rv", 1e3, "radial velocity in m/s"),
        ("pmra", 1e3, "proper motion, uas/yr"),
        ("parallax", 1e-3, "parallax (arcsec)"),
        ("rv", 1, "heliocentric radial velocity, km/s, at Ep=2016"),
        ("feh", 1, "[Fe/H] (dex), grid step 0.1 dex"),
        ("logg", 1, "log10 of surface gravity (cgs) (1)"),
        ("pmra", 1, "pm in RA, multiplied by cosDE, mas/yr"),
    ],
)
def test_a_unit_in_words_is_one(tmp_path, name, factor, words, form):
    house = "parallax_mas" if name == "parallax" else name
    found = opened(tmp_path, name, factor, words, form)
    assert found.table[house].to_numpy() == pytest.approx(TRUE[name], rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("feh", 0.1, "[Fe/H] / 10"),
        ("rv", 0.1, "velocity divided by 10"),
        ("rv", 10, "radial velocity in 0.1 km/s"),
        ("rv", 10, "velocity, scaled by 10"),
        ("teff", 0.01, "temperature in units of 100 K"),
        ("ebv", 100, "E(B-V) * 100"),
        ("snr_g", 10, "S/N in g times 10"),
        ("snr_g", 0.4, "S/N in g in dB"),
        ("ebv", -9, "log E(B-V)"),
        ("pmra", 0.1, "proper motion in arcsec/century"),
    ],
)
def test_another_scale_in_words_leaves_a_column_out_and_is_quoted(
    tmp_path, name, factor, words, form
):
    found = opened(tmp_path, name, factor, words, form)
    assert name not in found.table
    assert words[:20] in found.left_out[name] or "century" in found.left_out[name]


def test_a_sentence_about_all_columns_of_a_kind_counts(tmp_path):
    rows = pd.DataFrame({"obsid": OBSID, "rv": TRUE["rv"] / 10, "feh": TRUE["feh"]})
    (tmp_path / "t.csv").write_text(
        f"# all velocities were divided by 10\n{rows.to_csv(index=False)}"
    )
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert "rv" in found.left_out
    assert found.table["feh"].tolist() == TRUE["feh"].tolist()


def test_a_unit_that_contradicts_the_words_beside_it_is_refused(tmp_path):
    made = Table({"obsid": OBSID, "rv": TRUE["rv"]}, units={"rv": "km/s"})
    in_fits(made, "rv", "velocity in m/s", tmp_path / "t.fits")
    why = open_table(tmp_path / "t.fits", CATALOGUE_USE).left_out["rv"]
    assert "km" in why
    assert "says in words" in why


@pytest.mark.parametrize(
    ("house", "words"),
    [
        ("parallax_error_mas", "error, multiplied by 1.05"),
        ("rv", "velocity, not multiplied by 100"),
        ("g_mag", "G within an aperture of 3 arcsec (2)"),
        ("teff", "[3000/40000] Teff from the observation log (1)"),
        ("snr_g", "S/N per pixel of 0.9 A"),
        ("parallax_over_error", "Parallax divided by its error"),
        ("ebv", "E(B-V) from SFD, times 0.86"),
        ("teff", "Effective temperature (100 K steps), from log(Teff)"),
        ("g_mag", "2.5 log10 of the mean flux, and a zero point"),
        ("snr_g", "S/N (10 min exposure)"),
    ],
)
def test_words_that_say_no_scale(house, words):
    assert scaled(quantity(house), words) == ""
    assert unit_in_words(quantity(house), words) == ""


@pytest.mark.parametrize(("factor", "is_kept"), [(1.0, False), (299_792.458, True)])
def test_shifts_whose_words_name_a_velocity_are_not_taken_for_one(tmp_path, factor, is_kept):
    z = pd.DataFrame({"obsid": OBSID, "z": TRUE["rv"] / 299_792.458 * factor})
    (tmp_path / "t.csv").write_text(f"# z: shift (cz = velocity in km/s)\n{z.to_csv(index=False)}")
    found = open_table(tmp_path / "t.csv", CATALOGUE_USE)
    assert found.has("z") == is_kept
    assert is_kept or "its numbers are Doppler shifts" in found.left_out["z"]


def test_our_own_descriptions_say_no_other_unit():
    for column in COLUMNS:
        worded = unit_in_words(quantity(column.name), column.description)
        assert not worded or unit_of(worded) == unit_of(str(column.unit)), column.name


# --- no unit said at all ---------------------------------------------------------------------
def test_gravities_that_can_be_in_si_without_temperatures_are_left_out(tmp_path):
    made = Table({"obsid": OBSID, "logg": TRUE["logg"] - 2.0})
    made.write(tmp_path / "t.fits")
    assert "m/s²" in open_table(tmp_path / "t.fits", CATALOGUE_USE).left_out["logg"]
    made["logg"].unit = "dex(m/s2)"
    fits.table_to_hdu(Table({"obsid": OBSID, "logg": TRUE["logg"]})).writeto(tmp_path / "u.fits")
    assert open_table(tmp_path / "u.fits", CATALOGUE_USE).has("logg")


@pytest.mark.parametrize(
    ("teff", "logg", "is_kept"),
    [(4300, 1.2, True), (5000, 2.3, True), (5000, 0.4, False), (5800, 4.4, True)],
)
def test_gravities_of_cool_stars_are_judged_by_their_temperature(tmp_path, teff, logg, is_kept):
    rows = pd.DataFrame({"obsid": OBSID, "teff": teff + 10.0 * np.arange(6), "logg": logg})
    rows["logg"] += 0.01 * np.arange(6)
    rows.to_csv(tmp_path / "t.csv", index=False)
    assert open_table(tmp_path / "t.csv", CATALOGUE_USE).has("logg") == is_kept


# --- what CDS and AAS write ------------------------------------------------------------------
RULE = "-" * 80
ABOUT = f"""Byte-by-byte Description of file: t.dat
{RULE}
   Bytes Format Units   Label  Explanations
{RULE}
   1-  9 I9     ---     obsid  LAMOST number
  11- 18 F8.3   km/s    RV     Velocity (1)
  20- 25 F6.3   [Sun]   [Fe/H] Metallicity (a)
{RULE}
"""


@pytest.mark.parametrize("is_apart", [True, False])
@pytest.mark.parametrize(
    ("note", "is_kept"),
    [
        ("Velocities were\n    multiplied by 0.1.", False),
        ("In the Galactic standard of rest.", False),
        ("From cross-correlation.", True),
    ],
)
def test_notes_below_a_description_are_of_the_columns_that_bear_their_mark(
    tmp_path, note, is_kept, is_apart
):
    rows = "\n".join(
        f"{obsid:9d} {rv:8.3f} {feh:6.3f}"
        for obsid, rv, feh in zip(OBSID, TRUE["rv"], TRUE["feh"], strict=True)
    )
    about = f"{ABOUT}Note (1): {note}\nNote (a): On the scale of the Sun.\n{RULE}\n"
    file = tmp_path / ("t.dat" if is_apart else "t.mrt")
    file.write_text(rows + "\n" if is_apart else f"Title: T\n{'=' * 80}\n{about}{rows}\n")
    if is_apart:
        (tmp_path / "ReadMe").write_text(f"J/X/1  Stars\n{'=' * 80}\n{about}\n{'=' * 80}\n(End)\n")
    found = open_table(file, CATALOGUE_USE)
    assert found.table["feh"].tolist() == pytest.approx(TRUE["feh"])
    assert found.has("rv") == is_kept
    assert is_kept or " ".join(note.split())[:14] in found.left_out["RV"]
