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
NO_MASK = {"FLUX": FLUX, "IVAR": IVAR, "WAVELENGTH": WAVELENGTH}
COLUMNS = {**NO_MASK, "ANDMASK": MASK}


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


EVEN = 10 ** (3.5682 + 1e-4 * np.arange(3909))  # as LAMOST's


def even(path, wavelength, **cards):
    rng = np.random.default_rng(3)
    columns = {"FLUX": rng.normal(100, 2, 3909), "IVAR": np.full(3909, 0.25)}
    columns |= {"WAVELENGTH": wavelength, "ANDMASK": np.zeros(3909)}
    return table(path, columns, **cards)


@pytest.mark.parametrize("digits", [None, 3, 2])
def test_wavelengths_in_air_that_no_card_tells_of_are_refused(tmp_path, digits):
    def rounded(wavelength):
        return wavelength if digits is None else wavelength.round(digits)

    path = tmp_path / "a.fits"
    for honest in (EVEN, EVEN.astype(np.float32), np.linspace(3700, 9000, 3909), EVEN * 1.001):
        read_spectrum(even(path, rounded(honest.astype(float))))
    air = EVEN / 1.00028
    for _ in range(5):
        air = EVEN / (air_to_vacuum(air) / air)
    with pytest.raises(ReadError, match="even steps of log λ only if they are in air"):
        read_spectrum(even(path, rounded(air)))
    assert read_spectrum(even(path, air, VACUUM=False)).wavelength == pytest.approx(EVEN)
    with pytest.raises(ReadError, match="brought to vacuum twice"):
        read_spectrum(even(path, rounded(air_to_vacuum(EVEN))))


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 / (1 - 0.000412), "at rest, with Z beside them"),
        (1 - 24.1 / SPEED_OF_LIGHT, "HELIO_RV was taken off twice"),
        (1 + 24.1 / SPEED_OF_LIGHT, "HELIO_RV was added again"),
    ],
)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_wavelengths_shifted_by_what_their_header_says_are_refused(tmp_path, factor, words, kind):
    path, cards = tmp_path / "a.fits", {"HELIO_RV": 24.1}
    with pytest.raises(ReadError, match=words):
        read_spectrum(even(path, (EVEN * factor).astype(kind), **cards))
    for honest in (EVEN, EVEN * 1.00007):  # of another writer, who says no shift of this size
        assert read_spectrum(even(path, honest.astype(kind), **cards)).z == CARDS["Z"]
    assert read_spectrum(even(path, EVEN * factor, Z=0.0)).z == 0.0
    moving = even(path, EVEN * (1 + 24.1 / SPEED_OF_LIGHT), HELIO=False, **cards)
    assert read_spectrum(moving).wavelength == pytest.approx(EVEN, rel=1e-7)


def test_a_mask_of_ones_that_may_count_good_pixels_is_refused(tmp_path):
    good = 1 - MASK
    with pytest.raises(ReadError, match="as if it marked good ones; give ANDMASK"):
        read_spectrum(table(tmp_path / "a.fits", {**NO_MASK, "MASK": good}))
    assert read_spectrum(table(tmp_path / "a.fits", {**NO_MASK, "MASK": MASK})).mask.sum() == 1


def test_cards_that_are_not_understood_are_said(tmp_path):
    for cards, words in (
        ({"Z": -123.5}, "Z = -123.5 is no shift of a star"),
        ({"OBSID": "6.05E8"}, "OBSID = 6.05E8 is no whole number"),
    ):
        assert words in read_spectrum(table(tmp_path / "a.fits", **cards)).meta["noted"]
    for cards in ({"Z": -9999.0}, {"Z": -9.0}, {"Z": 0.0}, {"OBSID": ""}, {"OBSID": -1}, {}):
        assert "noted" not in read_spectrum(table(tmp_path / "a.fits", **cards)).meta


def test_the_place_where_wavelengths_do_not_increase_is_named(tmp_path):
    twice = WAVELENGTH.copy()
    twice[500] = twice[499]
    with pytest.raises(ReadError, match=r"at pixel 500\).*leave out what comes twice"):
        read_spectrum(table(tmp_path / "a.fits", {**COLUMNS, "WAVELENGTH": twice}))


def test_steps_that_are_even_in_air_are_read_where_they_are_not_those_of_lamost(tmp_path):
    vacuum = air_to_vacuum(10 ** (3.57 + 1.02e-4 * np.arange(3909)))  # as other telescopes bin
    for cards in ({}, {"VACUUM": True}):
        found = read_spectrum(even(tmp_path / "a.fits", vacuum, **cards))
        assert found.wavelength == pytest.approx(vacuum)


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


def test_inverse_variances_that_went_under_as_an_image_was_packed_are_refused(tmp_path):
    for scale, is_lost in ((1.0, True), (30.0, False)):
        continuum = (1000.0 + np.sin(np.arange(N))) / scale
        rows = [FLUX / scale, IVAR * scale**2, continuum, MASK, MASK]
        unit = fits.PrimaryHDU(np.array(rows))
        unit.header.update({**CARDS, **SCALE, "EXTEN0": "Subcontinuum"})
        unit.scale("int16", "minmax")
        unit.writeto(tmp_path / "a.fits", overwrite=True)
        if is_lost:
            with pytest.raises(ReadError, match=r"packed in steps of .* inverse variances"):
                read_spectrum(tmp_path / "a.fits")
        else:
            found = read_spectrum(tmp_path / "a.fits")
            assert found.flux == pytest.approx(FLUX / scale, abs=1e-3)


@pytest.mark.parametrize("name", ["QUAL", "DQ", "PIXMASK"])
def test_bad_pixels_may_be_called_otherwise(tmp_path, name):
    columns = {name if key == "ANDMASK" else key: values for key, values in COLUMNS.items()}
    assert (read_spectrum(table(tmp_path / "a.fits", columns)).mask == (MASK != 0)).all()


def test_the_bits_of_a_mask_are_its_number(tmp_path):
    bits = np.zeros((N, 16), bool)
    bits[700, 15], bits[800, 10] = True, True
    columns = [fits.Column(key, "D", array=values) for key, values in NO_MASK.items()]
    columns += [fits.Column(key, "16X", array=bits) for key in ("ANDMASK", "ORMASK")]
    primary = fits.PrimaryHDU()
    primary.header.update(CARDS)
    unit = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([primary, unit]).writeto(tmp_path / "a.fits")
    spectrum = read_spectrum(tmp_path / "a.fits")
    assert np.flatnonzero(spectrum.mask).tolist() == [700, 800]


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


def repeated(path, key, value):
    """A file whose primary header has a card again."""
    with fits.open(table(path), mode="update") as units:
        units[0].header.append(fits.Card(key, value), end=True)
    return path


@pytest.mark.parametrize("key", ["RA", "OBSID", "Z", "SNRG"])
def test_a_card_that_is_there_twice_and_differs_is_refused(tmp_path, key):
    path = repeated(tmp_path / "a.fits", key, CARDS[key])
    assert read_spectrum(path).obsid == CARDS["OBSID"]
    with pytest.raises(ReadError, match=f"{key} more than once, with different values"):
        read_spectrum(repeated(path, key, 7 + CARDS[key]))


def test_data_that_are_not_those_of_the_checksum_are_refused(tmp_path):
    for made in (table, image):
        path = tmp_path / "a.fits"
        with fits.open(made(tmp_path / "b.fits")) as units:
            units.writeto(path, checksum=True, overwrite=True)
        assert read_spectrum(path).obsid == CARDS["OBSID"]
        with fits.open(path) as units:
            at = units[-1].fileinfo()["datLoc"]
        raw = bytearray(path.read_bytes())
        raw[at + 4001] ^= 0x40
        path.write_bytes(raw)
        with pytest.raises(ReadError, match="do not agree with the checksum"):
            read_spectrum(path)


@pytest.mark.parametrize(
    ("date", "why"),
    [
        ("2049-01-01T10:00:00", "no date of a spectrum"),
        ("1949-10-24T12:32:00", "no date of a spectrum"),
        ("2011-13-45", "no date of a spectrum"),
        ("2012-10-24T12:32:00", "not of the night"),
    ],
)
def test_a_date_that_is_not_of_the_night_is_left_out_and_said(tmp_path, date, why):
    found = read_spectrum(table(tmp_path / "a.fits", LMJD=55859, **{"DATE-OBS": date}))
    assert "date_obs" not in found.meta
    assert date in found.meta["noted"]
    assert why in found.meta["noted"]
    for honest in (
        "2011-10-24T12:32:00",
        "2011-10-24T12:59:60",
        "2011-10-25T21:00:00.5",
        "2011-10-25",
    ):
        found = read_spectrum(table(tmp_path / "a.fits", LMJD=55859, **{"DATE-OBS": honest}))
        assert (found.meta["date_obs"], "noted" in found.meta) == (honest, False)


def test_a_night_in_which_nobody_observes_is_left_out_and_said(tmp_path):
    found = read_spectrum(table(tmp_path / "a.fits", LMJD=99999))
    assert "lmjd" not in found.meta
    assert "LMJD = 99999" in found.meta["noted"]


@pytest.mark.parametrize("snr_g", [4000.0, 32767.0, 8.0, 1.0, 0.0, -5.0])
def test_a_signal_to_noise_that_the_pixels_deny_is_theirs(tmp_path, snr_g):
    found = read_spectrum(table(tmp_path / "a.fits", SNRG=snr_g))
    assert found.snr_g == pytest.approx(50.0, rel=0.05)
    assert found.meta["noted"].startswith(f"S/N in g is {snr_g:g} in its header")
    assert "noted" not in read_spectrum(table(tmp_path / "a.fits", SNRG=30.0)).meta


@pytest.mark.parametrize(
    "how",
    [
        {"words": {"IVAR": "1 sigma error"}},
        {"words": {"IVAR": "variance of the flux"}},
        {"of_table": {"TUNIT1": "erg/s/cm2/AA", "TUNIT2": "erg/s/cm2/AA"}},
        {"of_table": {"TUNIT1": "erg/s/cm2/AA", "TUNIT2": "(erg/s/cm2/AA)**2"}},
        {"of_table": {"TUCD2": "stat.error;phot.flux"}},
        {"EXTEN0": "Flux, Error, Wavelength, Andmask, Ormask"},
    ],
)
def test_an_inverse_variance_that_words_or_units_deny_is_refused(tmp_path, how):
    with pytest.raises(ReadError, match="give 1/σ²"):
        read_spectrum(table(tmp_path / "a.fits", **how))


@pytest.mark.parametrize(
    "how",
    [
        {"words": {"IVAR": "inverse variance (1/sigma^2)"}},
        {"words": {"IVAR": "inverse variance"}},
        {"of_table": {"TUNIT1": "erg/s/cm2/AA", "TUNIT2": "(erg/s/cm2/AA)^-2"}},
        {"of_table": {"TUNIT2": "1/flux^2"}},
        {"EXTEN0": "Flux Inverse Wavelength Andmask Ormask"},
    ],
)
def test_an_inverse_variance_that_is_called_one_is_read(tmp_path, how):
    assert (read_spectrum(table(tmp_path / "a.fits", **how)).ivar == IVAR).all()


@pytest.mark.parametrize("factor", [1 + 50 / 3700, 1 / 1.0005, 1 / 1.00028])
def test_wavelengths_that_the_cards_of_their_scale_deny_are_refused(tmp_path, factor):
    columns = {**COLUMNS, "WAVELENGTH": WAVELENGTH * factor}
    with pytest.raises(ReadError, match="differ from those of COEFF0 and COEFF1"):
        read_spectrum(table(tmp_path / "a.fits", columns, **SCALE))
    assert read_spectrum(table(tmp_path / "a.fits", columns)).wavelength[0] > 0
    cut = {name: values[20:] for name, values in COLUMNS.items()}
    assert len(read_spectrum(table(tmp_path / "a.fits", cut, **SCALE)).flux) == N - 20


@pytest.mark.parametrize(
    "words", ["Wavelength scale: air", "vactoair applied to wavelengths", "vacuum to air: done"]
)
def test_more_words_may_say_air(tmp_path, words):
    path = table(tmp_path / "a.fits", of_table={"COMMENT": words})
    assert read_spectrum(path).wavelength == pytest.approx(air_to_vacuum(WAVELENGTH), rel=1e-9)


@pytest.mark.parametrize("words", ["airtovac applied to wavelengths", "wavelengths; airmass: 1.2"])
def test_words_that_do_not_say_air_leave_wavelengths_as_they_are(tmp_path, words):
    path = table(tmp_path / "a.fits", of_table={"COMMENT": words})
    assert read_spectrum(path).wavelength == pytest.approx(WAVELENGTH, rel=1e-12)


NAMED = "spec-57000-HD082632N233107V01_sp03-012.fits"
OBSERVED = {"LMJD": 57000, "PLANID": "HD082632N233107V01", "SPID": 3, "FIBERID": "12"}


@pytest.mark.parametrize("key", ["LMJD", "PLANID", "SPID", "FIBERID"])
def test_a_file_whose_name_and_header_tell_of_two_observations_is_refused(tmp_path, key):
    assert read_spectrum(table(tmp_path / NAMED, **OBSERVED)).obsid == CARDS["OBSID"]
    other = "HD082632N233107V02" if key == "PLANID" else 57
    with pytest.raises(ReadError, match=f"its name says .* and its header {key} = "):
        read_spectrum(table(tmp_path / NAMED, **{**OBSERVED, key: other}))


def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path):
    path = table(tmp_path / "a.fits", {**COLUMNS, "OTHER": FLUX})
    path.write_bytes(path.read_bytes().replace(b"'OTHER   '", b"'FLUX    '"))
    with pytest.raises(ReadError, match="has two columns FLUX"):
        read_spectrum(path)


@pytest.mark.parametrize("unit", ["Micrometers", "micrometre", "um"])
def test_wavelengths_in_micrometres_are_converted(tmp_path, unit):
    columns = {**COLUMNS, "WAVELENGTH": WAVELENGTH / 1e4}
    found = read_spectrum(table(tmp_path / "a.fits", columns, of_table={"TUNIT3": unit}))
    assert found.wavelength == pytest.approx(WAVELENGTH)


def star(snr=60.0, n=3000):
    """Counts with photon noise along a spectrum that falls, and their 1/σ²."""
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(n))
    level = 4e4 * (wavelength / 3700) ** -3
    sigma = np.sqrt(level * level[n // 3]) / snr
    return wavelength, np.random.default_rng(8).normal(level, sigma), sigma


@pytest.mark.parametrize(
    ("stands_for_it", "words"),
    [
        (lambda sigma: 1 / sigma, "it may hold 1/σ"),
        (lambda sigma: (sigma / 40) ** -2.0, "makes a S/N of"),
    ],
)
def test_errors_that_are_too_small_by_far_are_refused(tmp_path, stands_for_it, words):
    wavelength, flux, sigma = star()
    honest = {"FLUX": flux, "IVAR": sigma**-2, "WAVELENGTH": wavelength}
    read_spectrum(table(tmp_path / "a.fits", honest, SNRG=None))
    with pytest.raises(ReadError, match=words):
        wrong = honest | {"IVAR": stands_for_it(sigma)}
        read_spectrum(table(tmp_path / "a.fits", wrong, SNRG=None))
    counted = {"FLUX": flux / sigma, "IVAR": sigma**0, "WAVELENGTH": wavelength}
    read_spectrum(table(tmp_path / "a.fits", counted, SNRG=None))


def test_an_image_of_other_rows_is_refused_though_it_has_five(tmp_path):
    """As IRAF's apall writes them: flux, raw flux, sky, σ, continuum."""
    _, flux, sigma = star(n=N)
    rows = np.array([flux, flux * 1.1, flux * 0.1, sigma / 1000, np.ones(N)])
    unit = fits.PrimaryHDU(rows)
    unit.header.update({**CARDS, **SCALE})
    unit.writeto(tmp_path / "a.fits")
    with pytest.raises(ReadError, match="should be the and-mask holds no whole numbers"):
        read_spectrum(tmp_path / "a.fits")


def test_pixels_in_which_a_detector_was_full_are_bad(tmp_path):
    wavelength, flux, sigma = star()
    top = np.percentile(flux, 90)
    columns = {"FLUX": np.minimum(flux, top), "IVAR": sigma**-2, "WAVELENGTH": wavelength}
    assert (read_spectrum(table(tmp_path / "a.fits", columns)).mask == (flux >= top)).all()
    model = 1 - 0.6 * np.exp(-(np.abs(wavelength - 4341.7) / 9))  # its continuum is 1 throughout
    columns["FLUX"] = np.where(model > 0.99, 1.0, model) * 1e4
    assert not read_spectrum(table(tmp_path / "b.fits", columns)).mask.any()
