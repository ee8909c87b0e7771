"""Headers follow the rules of tables: sexagesimal places, numbers as text, what no star has."""

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import ReadError
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.names import obsid_from_name
from msfa_core.spectra.readers import read_spectrum

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
     ({"WAVETYPE": "AIR"}, True), ({"WAVEAIR": True}, True), ({"VACWAVE": 0}, True),
     ({"COMMENT": "Wavelengths are in air"}, True), ({"HISTORY": "air wavelengths (IAU)"}, True),
     ({"COMMENT": "wavelengths were never in air"}, False), ({"AIRMASS": 1.2}, False),
     ({"HISTORY": "wavelength: converted from air to vacuum"}, False), ({"AIR": False}, False),
     ({"VACUUM": True}, False), ({"AIRORVAC": "vac"}, False), ({}, False)],
)  # fmt: skip
def test_wavelengths_in_air_are_converted(tmp_path, cards, in_air):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, **cards))
    stored = WAVELENGTH.astype(np.float32).astype(np.float64)
    expected = air_to_vacuum(stored) if in_air else stored
    assert spectrum.wavelength == pytest.approx(expected, rel=1e-9)
    assert ("wavelength_scale" in spectrum.meta) == in_air


@pytest.mark.parametrize(
    ("plain", "other"),
    [({"VACUUM": True}, {"VACUUM": False}), ({"SPECSYS": "HELIOCEN"}, {"SPECSYS": "GALACTOC"}),
     ({"HISTORY": "reduced"}, {"HISTORY": "wavelengths in air"}),
     ({"BUNIT": "counts"}, {"BUNIT": "Jy"}),
     ({"EXTEN0": "Flux Inverse Wavelength"}, {"EXTEN0": "Flux Sigma Wavelength"}),
     ({"of_table": {"TUNIT1": "count"}}, {"of_table": {"TUNIT1": "mag"}}),
     ({"of_table": {"TTYPE2": ("IVAR", "of the flux")}},
      {"of_table": {"TTYPE2": ("IVAR", "sigma of the flux")}})],
)  # fmt: skip
def test_what_a_header_says_is_not_taken_from_the_file_before(tmp_path, plain, other):
    first = write(tmp_path / "a.fits", OBSID=7, **plain)
    second = write(tmp_path / "b.fits", OBSID=8, **other)  # the same cards in the same order
    for _ in range(2):
        assert "wavelength_scale" not in read_spectrum(first).meta
        try:
            scale = read_spectrum(second).meta.get("wavelength_scale")
        except ReadError:
            scale = "refused"
        assert scale


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


@pytest.mark.parametrize(
    "said",
    [
        {"TUCD3": "em.wl;obs.atmos"},
        {"TUNIT3": "Angstrom (air)"},
        {"TTYPE3": ("WAVELENGTH", "wavelength in air")},
        {"TCOMM3": "air wavelength"},
    ],
)
def test_a_column_of_wavelengths_that_says_air_is_converted(tmp_path, said):
    spectrum = read_spectrum(write(tmp_path / "a.fits", said, OBSID=7))
    stored = WAVELENGTH.astype(np.float32).astype(np.float64)
    assert spectrum.wavelength == pytest.approx(air_to_vacuum(stored), rel=1e-9)
    with pytest.raises(ReadError, match=r"in vacuum \(VACUUM\) and in air"):
        read_spectrum(write(tmp_path / "b.fits", said, OBSID=7, VACUUM=True))


@pytest.mark.parametrize(("unit", "factor"), [("nm", 10.0), ("um", 1e4), ("Angstrom", 1.0)])
def test_the_unit_of_a_column_of_wavelengths_counts(tmp_path, unit, factor):
    path = write(tmp_path / "a.fits", {"TUNIT3": unit}, OBSID=7)
    with fits.open(path, mode="update") as units:
        units["COADD"].data["WAVELENGTH"] /= factor
    assert read_spectrum(path).wavelength == pytest.approx(WAVELENGTH, rel=1e-6)


@pytest.mark.parametrize(
    "card", [{"RESTFRAM": True}, {"COMMENT": "spectrum shifted to rest frame"}, {"ZCORR": "T"}]
)
def test_wavelengths_at_rest_beside_a_shift_are_refused(tmp_path, card):
    with pytest.raises(ReadError, match="are at rest .* and has a shift Z"):
        read_spectrum(write(tmp_path / "a.fits", OBSID=7, Z=0.0004, **card))
    assert read_spectrum(write(tmp_path / "a.fits", OBSID=7, Z=0.0, **card)).z == 0.0
    not_so = {"COMMENT": "wavelengths not shifted to the rest frame"}
    assert read_spectrum(write(tmp_path / "a.fits", OBSID=7, Z=0.0004, **not_so)).z == 0.0004


@pytest.mark.parametrize(
    ("unit", "what"),
    [
        ("log(erg/cm2/s/A)", "a logarithm"),
        ("W m-2 (cm-1)-1", "per wave number"),
        ("mJy", "per freq"),
    ],
)
def test_a_flux_on_another_scale_is_refused(tmp_path, unit, what):
    with pytest.raises(ReadError, match=what):
        read_spectrum(write(tmp_path / "a.fits", {"TUNIT1": unit}, OBSID=7))
    usual = {"TUNIT1": "1E-17 erg s-1 cm-2 Angstrom-1"}
    assert read_spectrum(write(tmp_path / "b.fits", usual, OBSID=7)).obsid == 7


def test_no_star_moves_at_half_the_speed_of_light(tmp_path):
    star = write(tmp_path / "a.fits", OBSID=7, Z=0.52, CLASS="STAR")  # km/s, one may think
    assert np.isnan(read_spectrum(star).z)
    assert read_spectrum(write(tmp_path / "b.fits", OBSID=7, Z=0.52, CLASS="QSO")).z == 0.52


def test_a_place_that_was_never_filled_in_is_missing(tmp_path):
    spectrum = read_spectrum(write(tmp_path / "a.fits", OBSID=7, RA=0.0, DEC=0.0))
    assert np.isnan([spectrum.ra, spectrum.dec]).all()
    assert read_spectrum(write(tmp_path / "b.fits", OBSID=7, RA=0.0, DEC=1.0)).dec == 1.0


# --- images and scaled columns ------------------------------------------------------------------
def image(path, rows, **cards):
    unit = fits.PrimaryHDU(np.array(rows))
    unit.header.update({"OBSID": 7, **cards})
    unit.writeto(path, overwrite=True)
    return path


def rows(n=1500):
    rng = np.random.default_rng(5)
    flux = rng.normal(1000.0, 10.0, n).astype(np.float32)
    none = np.zeros(n, np.float32)
    return [flux, np.full(n, 0.01, np.float32), np.sin(np.arange(n)), none, none]


@pytest.mark.parametrize("cut", [0, 100])
def test_an_image_that_was_cut_has_its_own_wavelengths(tmp_path, cut):
    cards = {"COEFF0": 3.5682, "COEFF1": 1e-4, "CRVAL1": 3.5682, "CD1_1": 1e-4}
    part = [row[cut:] for row in rows()]
    cut_one = image(tmp_path / "a.fits", part, CRPIX1=1.0 - cut, EXTEN0="Subcontinuum", **cards)
    wavelength = read_spectrum(cut_one).wavelength
    assert wavelength[0] == pytest.approx(10 ** (3.5682 + cut * 1e-4), rel=1e-9)
    never = image(tmp_path / "b.fits", part, CRPIX1=-9999.0, EXTEN0="Subcontinuum", **cards)
    assert read_spectrum(never).wavelength[0] == pytest.approx(10**3.5682)
    other = {**cards, "CRVAL1": 3.6}
    with pytest.raises(ReadError, match="says that it was cut"):
        read_spectrum(image(tmp_path / "c.fits", part, CRPIX1=5.0, EXTEN0="Subcontinuum", **other))


def test_an_image_whose_first_row_is_wavelengths_is_refused(tmp_path):
    flux, ivar, _, *masks = rows()
    wavelength = np.linspace(3700.0, 9000.0, len(flux))
    path = image(tmp_path / "a.fits", [wavelength, flux, ivar, *masks], COEFF0=3.57, COEFF1=1e-4)
    with pytest.raises(ReadError, match="first row of its image is no flux"):
        read_spectrum(path)


def test_the_number_that_stands_for_none_is_a_bad_pixel(tmp_path):
    n = len(WAVELENGTH)
    stored = np.random.default_rng(3).normal(3000, 2, n).astype(np.int16)
    stored[100] = -32768
    ivar = np.full(n, 1.0, np.float32)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("FLUX", f"{n}I", array=np.zeros((1, n), np.int16)),
            fits.Column("IVAR", f"{n}E", array=ivar[None]),
            fits.Column("WAVELENGTH", f"{n}E", array=WAVELENGTH[None]),
        ],
        name="COADD",
    )
    table.data["FLUX"][0] = stored
    table.header["TSCAL1"], table.header["TNULL1"] = 0.5, -32768
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    bad = read_spectrum(tmp_path / "a.fits").mask
    assert np.flatnonzero(bad).tolist() == [100]
    whole = [stored.astype(np.int32), np.ones(n), WAVELENGTH, np.zeros(n), np.zeros(n)]
    path = image(tmp_path / "b.fits", np.array(whole).astype(np.int32), BLANK=-32768)
    assert np.flatnonzero(read_spectrum(path).mask).tolist() == [100]


def test_an_inverse_variance_beyond_single_precision_is_refused_with_the_remedy(tmp_path):
    flux, ivar, _, *masks = rows()
    wavelength = np.linspace(3700.0, 9000.0, len(flux))
    units = {1e-17: 1e34, 1e-20: 1e41}  # erg/s/cm2/A, W/m2/A
    for factor, of_ivar in units.items():
        path = tmp_path / f"{factor:g}.fits"
        scaled = [flux.astype("f8") * factor, ivar.astype("f8") * of_ivar, wavelength, *masks]
        image(path, np.array(scaled, "f8"))
        if factor == 1e-17:
            assert not read_spectrum(path).mask.any()
        else:
            with pytest.raises(
                ReadError, match="beyond single precision; give the flux in another"
            ):
                read_spectrum(path)


def table_called(name, wavelength=WAVELENGTH):
    ones = np.ones(len(wavelength), np.float32)
    arrays = (("FLUX", ones), ("IVAR", ones), ("WAVELENGTH", wavelength))
    columns = [fits.Column(key, "D", array=values) for key, values in arrays]
    return fits.BinTableHDU.from_columns(columns, name=name)


def test_a_table_of_another_name_is_the_spectrum_where_it_is_the_only_one(tmp_path):
    units = [fits.PrimaryHDU(), table_called("SPECTRUM")]
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    spectrum = read_spectrum(tmp_path / "a.fits")
    assert spectrum.wavelength.tolist() == WAVELENGTH.tolist()
    fits.HDUList([*units, table_called("MODEL")]).writeto(tmp_path / "b.fits")
    with pytest.raises(ReadError, match=r"which of its tables is the spectrum \(SPECTRUM, MODEL\)"):
        read_spectrum(tmp_path / "b.fits")


def test_arms_of_medium_resolution_may_give_wavelengths_as_they_are(tmp_path):
    blue, red = np.arange(4950.0, 5350.0, 0.2), np.arange(6300.0, 6800.0, 0.2)
    units = [fits.PrimaryHDU(), table_called("COADD_B", blue), table_called("COADD_R", red)]
    fits.HDUList(units).writeto(tmp_path / "med.fits")
    spectrum = read_spectrum(tmp_path / "med.fits")
    assert spectrum.meta["resolution"] == "medium"
    assert spectrum.wavelength == pytest.approx(np.concatenate([blue, red]))


@pytest.mark.parametrize("word", ["nan", "N/A", " ", "null", "-9999"])
def test_words_for_nothing_are_no_class(tmp_path, word):
    spectrum = read_spectrum(
        write(tmp_path / "a.fits", OBSID=7, CLASS=word, SUBCLASS=word, DATA_V="DR10")
    )
    assert not {"class", "subclass"} & spectrum.meta.keys()
    assert spectrum.meta["data_release"] == "DR10"


def test_a_wavelength_that_is_none_is_named(tmp_path):
    path = write(tmp_path / "a.fits", OBSID=7)
    with fits.open(path, mode="update") as units:
        units[1].data["WAVELENGTH"][5] = np.nan
    with pytest.raises(ReadError, match="do not increase: 1 of 1,500 are NaN"):
        read_spectrum(path)


def test_an_inverse_variance_that_single_precision_lost_is_refused_with_the_remedy(tmp_path):
    """As whoever follows our advice writes a flux in erg/s/cm2/A: FLUX, IVAR as float32."""
    rng = np.random.default_rng(3)
    sigma = np.linspace(1.2e-19, 3e-20, len(WAVELENGTH))
    flux = 3e-18 + rng.normal(0, sigma)
    with np.errstate(over="ignore"):
        ivar = (1 / sigma**2).astype(np.float32)
    assert 0.2 < np.isinf(ivar).mean() < 0.8
    arrays = {"FLUX": flux.astype(np.float32), "IVAR": ivar, "WAVELENGTH": WAVELENGTH}
    columns = [fits.Column(name, "E", array=values) for name, values in arrays.items()]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    with pytest.raises(ReadError, match="beyond single precision in some.*in another unit"):
        read_spectrum(tmp_path / "a.fits")
    table.data["FLUX"] *= 1e17  # errors of zero where nothing was measured: bad, and no more
    table.data["IVAR"] = np.where(np.arange(len(ivar)) < 50, np.inf, 1 / (sigma * 1e17) ** 2)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "b.fits")
    assert np.flatnonzero(read_spectrum(tmp_path / "b.fits").mask).tolist() == list(range(50))
