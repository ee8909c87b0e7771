"""Files that other programs wrote or changed: read for what they are, or refused by name."""

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import ReadError
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.readers import read_spectrum

N = 1500
FIRST, STEP = 3.5682, 2e-4
WAVELENGTH = 10 ** (FIRST + STEP * np.arange(N))
FLUX = np.random.default_rng(5).normal(1000.0, 20.0, N)
IVAR = np.full(N, 1 / 400.0)
MASK = (np.arange(N) == 700).astype(int)
CARDS = {"OBSID": 605006007, "RA": 123.456789, "DEC": 23.456789, "Z": -0.000412, "SNRG": 50.0}
SCALE = {"COEFF0": FIRST, "COEFF1": STEP, "CRVAL1": FIRST, "CD1_1": STEP, "CRPIX1": 1}
COLUMNS = {"FLUX": FLUX, "IVAR": IVAR, "WAVELENGTH": WAVELENGTH, "ANDMASK": MASK}


def image(path, **cards):
    rows = [FLUX, IVAR, 1000.0 + np.sin(np.arange(N)), MASK, MASK]
    unit = fits.PrimaryHDU(np.array(rows))
    unit.header.update({**CARDS, **SCALE, "EXTEN0": "Subcontinuum"})
    unit.header.update(cards)
    unit.writeto(path, overwrite=True)
    return path


def table(path, columns=COLUMNS, words=(), of_table=(), name="COADD", n_tables=1, **cards):
    primary = fits.PrimaryHDU()
    primary.header.update({**CARDS, **cards})
    made = [fits.Column(key, "D", array=values) for key, values in columns.items()]
    units = [fits.BinTableHDU.from_columns(made, name=name) for _ in range(n_tables)]
    for column, text in dict(words).items():
        units[0].header.comments[f"TTYPE{list(columns).index(column) + 1}"] = text
    units[0].header.update(dict(of_table))
    fits.HDUList([primary, *units]).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize(
    "cards", [{"CD1_1": 2 * STEP}, {"CRVAL1": FIRST + 0.001}, {"CD1_1": 0.0, "CDELT1": 2 * STEP}]
)
def test_an_image_whose_two_scales_differ_was_binned_and_is_refused(tmp_path, cards):
    assert read_spectrum(image(tmp_path / "a.fits")).wavelength == pytest.approx(WAVELENGTH)
    with pytest.raises(ReadError, match="contradict each other"):
        read_spectrum(image(tmp_path / "a.fits", **cards))


@pytest.mark.parametrize("cards", [{"COEFF0": "3.5682", "COEFF1": "2E-4"}, {"CRVAL1": 3700.0},
                                   {"CDELT1": 1.0}])  # fmt: skip
def test_a_scale_that_no_card_denies_is_read(tmp_path, cards):
    assert read_spectrum(image(tmp_path / "a.fits", **cards)).wavelength == pytest.approx(
        WAVELENGTH
    )


@pytest.mark.parametrize("key", ["WAVESYS", "WAVE_SYS"])
def test_more_cards_may_say_air(tmp_path, key):
    found = read_spectrum(table(tmp_path / "a.fits", **{key: "AIR"}))
    assert found.wavelength == pytest.approx(air_to_vacuum(WAVELENGTH))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"n_tables": 2}, "holds 2 tables COADD"),
        ({"columns": {**COLUMNS, "LOGLAM": np.log10(WAVELENGTH * 1.01)}}, "LOGLAM differ"),
        ({"columns": {**COLUMNS, "V_RAD": np.full(N, 9.0)}, "name": "BOSS/APO"}, "at rest"),
        ({"columns": {**COLUMNS, "FLUX": FLUX * 1e-17}}, "that of another flux"),
        ({"words": {"FLUX": "log10 of flux"}}, "FLUX is a logarithm"),
        ({"words": {"WAVELENGTH": "ln(lambda) x 1000"}}, "WAVELENGTH is a logarithm"),
        ({"DOPCOR01": "-0.000412 all"}, "at rest"),
    ],
)
def test_tables_that_say_two_things_or_another_are_refused(tmp_path, how, words):
    with pytest.raises(ReadError, match=words):
        read_spectrum(table(tmp_path / "a.fits", **how))


def test_cards_of_a_table_count_where_the_primary_unit_has_none(tmp_path):
    empty = dict.fromkeys(CARDS)
    found = read_spectrum(table(tmp_path / "a.fits", of_table=CARDS, **empty))
    assert (found.obsid, found.ra, found.dec) == (605006007, CARDS["RA"], CARDS["DEC"])
    assert (found.z, found.snr_g) == (CARDS["Z"], CARDS["SNRG"])


@pytest.mark.parametrize("name", ["QUAL", "DQ", "PIXMASK"])
def test_bad_pixels_may_be_called_otherwise(tmp_path, name):
    columns = {name if key == "ANDMASK" else key: values for key, values in COLUMNS.items()}
    assert (read_spectrum(table(tmp_path / "a.fits", columns)).mask == (MASK != 0)).all()


def test_masks_of_lamost_beside_logarithms_are_those_of_lamost(tmp_path):
    columns = {key: values for key, values in COLUMNS.items() if key != "WAVELENGTH"}
    columns = {**columns, "LOGLAM": np.log10(WAVELENGTH)}
    found = read_spectrum(table(tmp_path / "a.fits", columns, TELESCOP="LAMOST"))
    assert (found.mask == (MASK != 0)).all()


def test_units_in_the_words_of_a_card_count(tmp_path):
    cards = {"RA": (CARDS["RA"] / 15, "right ascension in hours"), "Z": (-123.5, "shift (km/s)")}
    found = read_spectrum(table(tmp_path / "a.fits", **cards))
    assert found.ra == pytest.approx(CARDS["RA"])
    assert found.z == pytest.approx(-123.5 / float(SPEED_OF_LIGHT))


def test_a_table_of_text_is_read(tmp_path):
    made = [fits.Column(key, "E23.15", array=values) for key, values in COLUMNS.items()]
    primary = fits.PrimaryHDU()
    primary.header.update(CARDS)
    unit = fits.TableHDU.from_columns(made, name="COADD")
    fits.HDUList([primary, unit]).writeto(tmp_path / "a.fits")
    found = read_spectrum(tmp_path / "a.fits")
    assert found.flux == pytest.approx(FLUX, rel=1e-6)
    assert found.wavelength == pytest.approx(WAVELENGTH)
