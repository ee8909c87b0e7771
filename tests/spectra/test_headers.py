"""Headers follow the rules of tables: sexagesimal places, numbers as text, what no star has."""

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import ReadError
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.readers import obsid_from_name, read_spectrum

WAVELENGTH = np.arange(4000.0, 7000.0, 2.0)


def write(path, of_table=(), **cards):
    ones = np.ones(len(WAVELENGTH), np.float32)
    columns = [
        fits.Column(name, "E", array=values)
        for name, values in (("FLUX", ones), ("IVAR", ones), ("WAVELENGTH", WAVELENGTH))
    ]
    primary = fits.PrimaryHDU()
    primary.header.update(cards)
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    table.header.update(dict(of_table))
    fits.HDUList([primary, table]).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        (206.19319375, 9.81555056), ("206.19319375", "9.81555056"),
        ("13:44:46.3665", "+09:48:55.982"), ("13 44 46.3665", "09 48 55.982"),
        ("13h44m46.3665s", "9d48m55.982s"), ("206,19319375", "9,81555056"),
    ],
)  # fmt: skip
def test_a_place_is_read_in_every_spelling(tmp_path, ra, dec):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, RA=ra, DEC=dec))
    assert (spectrum.ra, spectrum.dec) == pytest.approx((206.19319375, 9.81555056), abs=1e-7)


@pytest.mark.parametrize(
    ("key", "card", "expected"),
    [
        ("RA", (13.74621291, "[hours] right ascension"), 206.19319375),
        ("RA", ("13.74621291", "[h]"), 206.19319375),
        ("RA", ("13:44:46.3665", "[hms] right ascension"), 206.19319375),
        ("RA", (206.19319375, "[deg] right ascension"), 206.19319375),
        ("RA", (13.74621291, "right ascension [hours]"), 206.19319375),
        ("RA", (206.19319375, "no [hours] any more"), 206.19319375),
        ("DEC", (0.1713136748, "[rad]"), 9.81555056),
        ("Z", (-29.979, "[km/s] of the star"), -1e-4),
        ("Z", (0.0001, "redshift"), 1e-4),
        ("Z", (5.2, "[km s-1]"), 5.2 / SPEED_OF_LIGHT),
        ("Z_ERR", (5.2, "[km s-1]"), 5.2 / SPEED_OF_LIGHT),
    ],
)
@pytest.mark.parametrize("is_plain", [True, False])  # by our own reader, and by astropy's
def test_a_unit_that_a_card_names_is_believed(tmp_path, key, card, expected, is_plain):
    path = write(tmp_path / "a.fits", **{"OBSID": 7, "RA": 206.19319375, "DEC": 9.8, key: card})
    if not is_plain:
        with fits.open(path, mode="update") as units:
            units[0].header["DATA_V"] = "x" * 100  # a string that goes over several cards
    spectrum = read_spectrum(path)
    found = spectrum.meta["z_err"] if key == "Z_ERR" else getattr(spectrum, key.lower())
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("card", [605006007, "605006007", "'605006007", 605006007.0, "00605006007"])
def test_an_obsid_is_read_in_every_spelling(tmp_path, card):
    assert read_spectrum(write(tmp_path / "a.fits", OBSID=card)).obsid == 605006007


@pytest.mark.parametrize("card", [605006.7, "6.05E8", "1e30", -605006007, 0, "none", 1e17, True])
def test_what_is_no_obsid_becomes_none(tmp_path, card):
    path = write(tmp_path / "spec-1.fits", OBSID=card)
    assert read_spectrum(path).obsid == obsid_from_name(path)


@pytest.mark.parametrize(
    ("card", "value"),
    [("0.00123", 0.00123), ("−0.00123", -0.00123), ("1.23E-3", 0.00123), (0.00123, 0.00123),
     (-9.0, np.nan), ("-9", np.nan), (-9999.0, np.nan), ("unknown", np.nan), (1e20, np.nan)],
)  # fmt: skip
def test_a_shift_is_a_number_or_none(tmp_path, card, value):
    if isinstance(card, str) and not card.isascii():
        card = card.replace("−", "-")  # FITS has no other minus
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, Z=card))
    assert spectrum.z == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(("ra", "dec"), [(10.0, -99.0), (-9999.0, 5.0), ("12:75:00", "x")])
def test_what_is_no_place_is_missing(tmp_path, ra, dec):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, RA=ra, DEC=dec))
    assert np.isnan(spectrum.ra) or np.isnan(spectrum.dec)


def test_numbers_as_text_are_numbers(tmp_path):
    spectrum = read_spectrum(
        write(tmp_path / "a.fits", OBSID="605006", SNRG="12.5", SPID="5", LMJD="55860.0")
    )
    assert spectrum.obsid == 605006
    assert spectrum.snr_g == 12.5
    assert (spectrum.meta["spid"], spectrum.meta["lmjd"]) == (5, 55860)


@pytest.mark.parametrize(
    ("cards", "in_air"),
    [({"VACUUM": False}, True), ({"VACUUM": "F"}, True), ({"AIRORVAC": "air"}, True),
     ({"VACUUM": True}, False), ({"AIRORVAC": "vac"}, False), ({}, False)],
)  # fmt: skip
def test_wavelengths_in_air_are_converted(tmp_path, cards, in_air):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, **cards))
    stored = WAVELENGTH.astype(np.float32).astype(np.float64)
    expected = air_to_vacuum(stored) if in_air else stored
    assert spectrum.wavelength == pytest.approx(expected, rel=1e-9)
    assert ("wavelength_scale" in spectrum.meta) == in_air


@pytest.mark.parametrize("card", [{"VACUUM": False}, {"AIRORVAC": "air"}, {"WAVEREF": "Air"}])
def test_what_the_header_of_the_table_says_of_its_wavelengths_counts(tmp_path, card):
    spectrum = read_spectrum(write(tmp_path / "a.fits", of_table=card, OBSID=7))
    assert spectrum.meta["wavelength_scale"] == "converted from air"


@pytest.mark.parametrize("no", [False, "F", "no", 0])
def test_the_motion_of_the_earth_is_taken_off_where_the_header_says_that_it_is_in(tmp_path, no):
    # obsid 701001: HELIO_RV +12.19 km/s, where an ephemeris says that -12.21 are to be added
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, HELIO=no, HELIO_RV=12.18764))
    seen = (spectrum.wavelength / WAVELENGTH - 1) * SPEED_OF_LIGHT
    assert seen == pytest.approx(-12.18764, abs=0.02)  # the file has single precision
    assert "motion of the Earth" in spectrum.meta["wavelength_scale"]
    for applied in (True, "T", 1):
        path = write(tmp_path / "b.fits", OBSID=7, HELIO=applied, HELIO_RV=12.18764)
        assert "wavelength_scale" not in read_spectrum(path).meta
    for unknown in ({}, {"HELIO_RV": -9999.0}, {"HELIO_RV": 99.0}):
        with pytest.raises(ReadError, match="motion of the Earth is still in it"):
            read_spectrum(write(tmp_path / "c.fits", OBSID=7, HELIO=no, **unknown))


@pytest.mark.parametrize("frame", ["TOPOCENT", "geocentr"])
def test_the_frame_of_a_standard_header_counts(tmp_path, frame):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, SPECSYS=frame, HELIO_RV=12.18764))
    assert "motion of the Earth" in spectrum.meta["wavelength_scale"]
    with pytest.raises(ReadError, match="motion of the Earth is still in it"):
        read_spectrum(write(tmp_path / "b.fits", OBSID=7, SPECSYS=frame))
    with pytest.raises(ReadError, match="another frame than the Sun's .SPECSYS = 'LSRK'"):
        read_spectrum(write(tmp_path / "c.fits", OBSID=7, SPECSYS="LSRK"))
    for cards in ({"SPECSYS": "BARYCENT"}, {"SPECSYS": frame, "HELIO": True}, {"SPECSYS": ""}):
        assert "wavelength_scale" not in read_spectrum(write(tmp_path / "d.fits", **cards)).meta


@pytest.mark.parametrize(("ra", "expected"), [(361.5, 1.5), (-1.5, 358.5), (360.0, 360.0)])
def test_a_right_ascension_beyond_the_circle_is_brought_into_it(tmp_path, ra, expected):
    assert read_spectrum(write(tmp_path / "a.fits", OBSID=7, RA=ra, DEC=1.0)).ra == expected


@pytest.mark.parametrize(
    "cards", [{"EQUINOX": 1950.0}, {"EQUINOX": "1950"}, {"RADECSYS": "FK4"}, {"RADESYS": "fk4"}]
)
def test_a_place_of_an_older_equinox_is_brought_to_that_of_today(tmp_path, cards):
    """Vega in B1950 and J2000 (its motion in 50 years, 14", left aside)."""
    old = {"RA": 278.81125, "DEC": 38.73747}
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, **old, **cards))
    assert (spectrum.ra, spectrum.dec) == pytest.approx((279.2345, 38.7825), abs=0.005)
    for kept in ({}, {"EQUINOX": 2000.0, "RADECSYS": "FK5"}, {"EQUINOX": 2000.0, "RADESYS": "FK4"}):
        spectrum = read_spectrum(write(tmp_path / "b.fits", OBSID=7, **old, **kept))
        assert (spectrum.ra, spectrum.dec) == (old["RA"], old["DEC"])


def test_spectra_of_sdss_without_plates_are_told_by_their_names():
    names = [f"spec-017057-59631-2702159810828969{k}.fits" for k in (0, 1)]
    assert len({obsid_from_name(name) for name in names}) == 2


@pytest.mark.parametrize("packed", ["bz2", "xz"])
def test_other_packings_are_read(tmp_path, packed):
    import bz2
    import lzma

    content = write(tmp_path / "a.fits", OBSID=7).read_bytes()
    pack = {"bz2": bz2.compress, "xz": lzma.compress}[packed]
    (tmp_path / f"a.fits.{packed}").write_bytes(pack(content))
    assert read_spectrum(tmp_path / f"a.fits.{packed}").obsid == 7
    (tmp_path / "cut").write_bytes(pack(content)[:-30])
    with pytest.raises(ReadError, match="packing is damaged"):
        read_spectrum(tmp_path / "cut")


def test_an_archive_is_named(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.fits", write(tmp_path / "a.fits", OBSID=7).read_bytes())
    with pytest.raises(ReadError, match="is an archive of files; unpack it"):
        read_spectrum(tmp_path / "a.zip")
