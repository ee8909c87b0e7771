"""Each layout gives its arrays bit for bit; each damaged file gives one clear line."""

import gzip
import re

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest import approx

from msfa_core.errors import ReadError
from msfa_core.spectra.fill_values import are_fill_values
from msfa_core.spectra.fits_astropy import astropy_units
from msfa_core.spectra.fits_bytes import PlainFits
from msfa_core.spectra.names import identity_from_name, obsid_from_name
from msfa_core.spectra.readers import (
    median_snr_g,
    read_spectrum,
)
from msfa_core.spectra.unpacking import read_bytes

NAME = "spec-55862-B6212_sp06-007.fits"
N = 3909
LOG_WAVELENGTH = 3.5682 + np.arange(N) * 1e-4
WAVELENGTH = 10**LOG_WAVELENGTH
IDENTITY = {"LMJD": 55862, "PLANID": "B6212", "SPID": 6, "FIBERID": 7}


def arrays(dtype=np.float32, seed=1):
    """Flux, ivar, wavelength, and-mask, or-mask of a star with a few bad pixels."""
    rng = np.random.default_rng(seed)
    flux = (rng.normal(1000, 30, N) * (WAVELENGTH / 4000) ** -2).astype(dtype)
    ivar = np.full(N, 1 / 900, dtype)
    ivar[100:110] = 0
    andmask, ormask = np.zeros(N, dtype), np.zeros(N, dtype)
    andmask[200:205] = 4
    ormask[200:220] = 4
    return np.stack([flux, ivar, WAVELENGTH.astype(dtype), andmask, ormask])


def lamost_header(**cards):
    header = fits.Header({"TELESCOP": "LAMOST", "RA": 150.5, "DEC": -2.25, "HELIO_RV": 25.1})
    header.update({"Z": -0.0005, "COEFF0": 3.5682, "COEFF1": 1e-4, "CLASS": "STAR"})
    header.update(IDENTITY | {"SUBCLASS": "A2V", "DESIG": "LAMOST J100200.00-021500.0"})
    header.update(cards)
    return header


def image_file(path, rows, exten0="Flux, Inverse, Wavelength, Andmask, Ormask", **cards):
    header = lamost_header(EXTEN0=exten0, **cards)
    fits.PrimaryHDU(rows, header).writeto(path, overwrite=True)
    return path


def table_file(path, rows, names=("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK"), **cards):
    columns = [
        fits.Column(name, f"{len(row)}{'D' if row.dtype == np.float64 else 'E'}", array=[row])
        for name, row in zip(names, rows, strict=True)
    ]
    primary = fits.PrimaryHDU(header=lamost_header(**cards))
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([primary, table]).writeto(path, overwrite=True)
    return path


def sdss_file(path, and_mask=0):
    loglam = (3.5571 + np.arange(3800) * 1e-4).astype(np.float32)
    columns = [
        fits.Column("flux", "E", array=np.linspace(1, 2, 3800)),
        fits.Column("loglam", "E", array=loglam),
        fits.Column("ivar", "E", array=np.full(3800, 4.0)),
        fits.Column("and_mask", "J", array=np.full(3800, and_mask)),
        fits.Column("or_mask", "J", array=np.zeros(3800)),
    ]
    about = [
        fits.Column("CLASS", "6A", array=["STAR"]),
        fits.Column("SUBCLASS", "21A", array=["A0"]),
        fits.Column("Z", "E", array=[0.0003]),
        fits.Column("SN_MEDIAN", "5E", array=[[1, 23.5, 3, 4, 5]]),
    ]
    cards = {"TELESCOP": "SDSS 2.5-M", "PLATEID": 266, "MJD": 51602, "FIBERID": 13}
    cards |= {"RA": 145.9, "DEC": 0.06, "PLUG_RA": 146.9341, "PLUG_DEC": -0.6704}
    units = [
        fits.PrimaryHDU(header=fits.Header(cards)),
        fits.BinTableHDU.from_columns(columns, name="COADD"),
        fits.BinTableHDU.from_columns(about, name="SPECOBJ"),
    ]
    fits.HDUList(units).writeto(path, overwrite=True)
    return path


def arm(name, first, last, n, level=1.0, masks=("ANDMASK", "ORMASK")):
    columns = [
        fits.Column("FLUX", "E", array=np.full(n, level)),
        fits.Column("IVAR", "E", array=np.ones(n)),
        fits.Column("LOGLAM", "E", array=np.linspace(np.log10(first), np.log10(last), n)),
        *(fits.Column(mask, "I", array=np.zeros(n)) for mask in masks),
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


def medium_file(path, *arms):
    primary = fits.PrimaryHDU(header=lamost_header(OBSID=5))
    fits.HDUList([primary, *arms]).writeto(path, overwrite=True)
    return path


def zipped(path):
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
def test_image_layout_gives_its_rows_bit_for_bit(tmp_path, compressed):
    rows = arrays()
    path = image_file(tmp_path / NAME, rows, OBSID=101013, SNRG=33.5, DATA_V="LAMOST DR5")
    spectrum = read_spectrum(zipped(path) if compressed else path)
    assert spectrum.flux.tobytes() == rows[0].tobytes()
    assert spectrum.ivar.tobytes() == rows[1].tobytes()
    assert spectrum.wavelength.tobytes() == rows[2].tobytes()
    assert np.flatnonzero(spectrum.mask).tolist() == [*range(100, 110), *range(200, 205)]
    assert spectrum.meta["ormask"][210] == 4
    assert (spectrum.obsid, spectrum.snr_g, spectrum.z) == (101013, 33.5, -0.0005)
    assert (spectrum.ra, spectrum.dec) == (150.5, -2.25)
    expected = {"class": "STAR", "subclass": "A2V", "data_release": "LAMOST DR5", "lmjd": 55862}
    expected |= {"layout": "lamost-image", "resolution": "low", "planid": "B6212", "fiberid": 7}
    assert expected.items() <= spectrum.meta.items()


@pytest.mark.parametrize(
    ("unit", "what"),
    [
        ("mJy", "per frequency"), ("erg / (s cm2 Hz)", "per frequency"),
        ("mag(AB)", "in magnitudes"), ("ph / (s cm2 Angstrom)", "in photons"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layout", ["image", "table"])
def test_a_flux_that_is_none_per_wavelength_is_refused_by_its_unit(tmp_path, unit, what, layout):
    if layout == "image":
        path = image_file(tmp_path / NAME, arrays(), BUNIT=unit)
    else:
        path = sdss_file(tmp_path / "spec-0266-51602-0013.fits")
        fits.setval(path, "TUNIT1", value=unit, ext=1)
    with pytest.raises(ReadError, match=f"its flux is {what}.*per wavelength"):
        read_spectrum(path)


@pytest.mark.parametrize("unit", ["1E-17 erg/cm^2/s/Ang", "relative flux", "adu"])
def test_a_flux_per_wavelength_on_any_scale_is_read(tmp_path, unit):
    assert len(read_spectrum(image_file(tmp_path / NAME, arrays(), BUNIT=unit)).flux) > 0


def test_float64_image_keeps_its_precision(tmp_path):
    rows = arrays(np.float64)
    spectrum = read_spectrum(image_file(tmp_path / NAME, rows))
    assert spectrum.flux.dtype == np.float64
    assert spectrum.flux.tobytes() == rows[0].tobytes()


@pytest.mark.parametrize("exten0", ["Flux Inverse Subcontinuum Andmask Ormask", ""])
def test_third_row_of_the_earliest_layout_is_not_taken_for_the_wavelength(tmp_path, exten0):
    rows = arrays()
    rows[2] = rows[0] - 900 * np.sin(np.arange(N))  # sub-continuum
    spectrum = read_spectrum(image_file(tmp_path / NAME, rows, exten0))
    np.testing.assert_allclose(spectrum.wavelength, WAVELENGTH, rtol=1e-14)
    assert spectrum.meta["layout"] == "lamost-image-subcontinuum"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("value", [b"999999999", b"99999999999999999999", b"-1"])
@pytest.mark.parametrize("card", [b"NAXIS   =", b"NAXIS1  =", b"TFIELDS ="])
def test_a_header_that_counts_to_no_end_is_refused_at_once(tmp_path, card, value):
    path = medium_file(tmp_path / "a.fits", arm("COADD_B", 4950, 5350, 400))
    raw = path.read_bytes()
    at = raw.index(card, raw.index(b"XTENSION"))
    path.write_bytes(raw[: at + 9] + value.rjust(21).ljust(71) + raw[at + 80 :])
    with pytest.raises(
        ReadError, match=f"{card[:8].decode().strip()}.* {value.decode()}|truncated"
    ):
        read_spectrum(path)


def test_infinite_values_in_the_third_row_are_judged_without_a_warning(tmp_path):
    rows = arrays()
    rows[2, 50:60] = np.inf
    path = image_file(tmp_path / "a.fits", rows, exten0="")
    assert read_spectrum(path).wavelength == approx(WAVELENGTH, rel=1e-6)


def test_trimmed_file_starts_where_its_header_says(tmp_path):
    rows = arrays()[:, :3820]
    exten0 = "Flux Inverse Subcontinuum Andmask Ormask"
    spectrum = read_spectrum(image_file(tmp_path / NAME, rows, exten0, COEFF0=3.5690))
    assert spectrum.wavelength[[0, -1]] == approx([10**3.5690, 10 ** (3.5690 + 0.3819)])


def test_table_layout_ignores_a_normalization_that_was_not_made(tmp_path):
    rows = np.vstack([arrays(), np.full(N, -9999, np.float32)])
    names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")
    spectrum = read_spectrum(table_file(tmp_path / NAME, rows, names, OBSID=7, NORM=0))
    assert spectrum.flux.tobytes() == rows[0].tobytes()
    assert spectrum.wavelength.tobytes() == rows[2].tobytes()
    assert spectrum.meta["layout"] == "lamost-table"
    assert spectrum.mask.sum() == 15


def test_heliocentric_correction_is_not_the_velocity_of_the_star(tmp_path):
    assert read_spectrum(image_file(tmp_path / NAME, arrays())).z == -0.0005
    header = lamost_header(EXTEN0="Flux, Inverse, Wavelength, Andmask, Ormask")
    del header["Z"]
    fits.PrimaryHDU(arrays(), header).writeto(tmp_path / "noz.fits")
    assert np.isnan(read_spectrum(tmp_path / "noz.fits").z)


def test_sentinel_of_the_header_is_a_missing_value(tmp_path):
    path = image_file(tmp_path / NAME, arrays(), Z=-9999, SNRG=-9999.0)
    spectrum = read_spectrum(path)
    assert np.isnan(spectrum.z)
    assert 20 < spectrum.snr_g < 30  # 1000 / 30 at 4000 Å, falling


def test_signal_to_noise_without_a_card_is_the_median_over_g(tmp_path):
    rows = arrays()
    rows[0, :338] = 1e6  # below 4000 Å
    spectrum = read_spectrum(image_file(tmp_path / NAME, rows))
    used = (WAVELENGTH >= 4000) & (WAVELENGTH <= 5500) & ~spectrum.mask
    assert spectrum.snr_g == approx(np.median(rows[0, used] / 30), rel=1e-5)
    outside = spectrum.wavelength > 6000
    four = (spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.mask)
    assert np.isnan(median_snr_g(*(array[outside] for array in four)))


def test_older_name_of_the_signal_to_noise_card_counts(tmp_path):
    assert read_spectrum(image_file(tmp_path / NAME, arrays(), SN_G=46.76)).snr_g == 46.76


def test_file_without_a_number_is_known_by_date_plan_spectrograph_and_fibre(tmp_path):
    rows = arrays()
    first = read_spectrum(image_file(tmp_path / NAME, rows))
    copy = read_spectrum(zipped(image_file(tmp_path / NAME, rows)))
    renamed = read_spectrum(image_file(tmp_path / "mystar.fits", rows))
    other = read_spectrum(image_file(tmp_path / NAME.replace("007", "008"), rows, FIBERID=8))
    assert first.obsid == copy.obsid == renamed.obsid == obsid_from_name(f"/any/where/{NAME}.gz")
    assert other.obsid != first.obsid
    assert 2**52 <= first.obsid < 2**53
    assert int(float(first.obsid)) == first.obsid


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("spec-55862-B6212_sp06-007.fits.gz", (55862, "B6212", 6, 7)),
        ("d/spec-55863-GAC_105N29_B1_sp01-009.fits", (55863, "GAC_105N29_B1", 1, 9)),
        ("spec-55859-F5902_sp01-013_dr8.fits.gz", (55859, "F5902", 1, 13)),
        ("med-58268-HIP95119KP01_sp12-076.fits.gz", (58268, "HIP95119KP01", 12, 76)),
        ("spec-0266-51602-0001.fits", None),
        ("star.fits", None),
    ],
)
def test_identity_is_read_from_the_file_name(name, identity):
    assert identity_from_name(name) == identity


def test_quoted_whole_numbers_are_numbers(tmp_path):
    spectrum = read_spectrum(image_file(tmp_path / NAME, arrays(), FIBERID="7", OBSID="101013"))
    assert (spectrum.meta["fiberid"], spectrum.obsid) == (7, 101013)


def test_sdss_file_gives_the_star_and_not_the_telescope(tmp_path):
    spectrum = read_spectrum(sdss_file(tmp_path / "spec-0266-51602-0013.fits"))
    loglam = (3.5571 + np.arange(3800) * 1e-4).astype(np.float32)
    assert np.array_equal(spectrum.wavelength, 10 ** loglam.astype(float))
    assert (spectrum.ra, spectrum.dec, spectrum.snr_g) == (146.9341, -0.6704, 23.5)
    assert spectrum.z == np.float32(0.0003)
    expected = {"layout": "sdss", "class": "STAR", "subclass": "A0"}
    assert expected.items() <= spectrum.meta.items()
    assert spectrum.obsid == obsid_from_name("spec-0266-51602-0013.fits.gz")


@pytest.mark.parametrize("names", [("RACAT", "DECCAT"), ("PLUG_RA", "PLUG_DEC")])
def test_without_a_plug_in_the_header_the_place_is_that_of_the_object(tmp_path, names):
    path = sdss_file(tmp_path / "spec-015000-59146-4375786564.fits")
    with fits.open(path, mode="update") as units:
        for card in ("PLUG_RA", "PLUG_DEC"):
            del units[0].header[card]
        places = [
            fits.Column(name, "D", array=[value])
            for name, value in zip(names, (146.9, -0.67), strict=True)
        ]
        about = fits.ColDefs([*units["SPECOBJ"].columns, *places])
        with_place = fits.BinTableHDU.from_columns(about, name="SPALL")
        fits.HDUList([*units[:2], with_place]).writeto(tmp_path / "v.fits")
        del units[0].header["TELESCOP"]
    assert (read_spectrum(tmp_path / "v.fits").ra, read_spectrum(tmp_path / "v.fits").dec) == (
        146.9, -0.67,
    )  # fmt: skip
    assert read_spectrum(path).ra == 145.9  # of a file that is none of SDSS, the header's


@pytest.mark.parametrize(("bit", "bad"), [(4, False), (9, False), (16, True), (23, True)])
def test_sdss_bits_of_the_whole_fibre_do_not_mask_its_pixels(tmp_path, bit, bad):
    bits = np.where(np.arange(3800) % 2, 1 << bit, 0)
    spectrum = read_spectrum(sdss_file(tmp_path / "spec-0266-51602-0013.fits", bits))
    assert spectrum.mask[1::2].all() == bad
    assert spectrum.mask.any() == bad


def test_arms_of_a_medium_resolution_file_are_joined_by_wavelength(tmp_path):
    arms = [arm("COADD_B", 4950, 5350, 400), arm("COADD_R", 6300, 6800, 500, 2.0)]
    arms.append(arm("B-83906016", 4950, 5350, 410, 9.0, ["PIXMASK"]))
    spectrum = read_spectrum(medium_file(tmp_path / "med-55862-B6212_sp06-007.fits", *arms))
    assert spectrum.flux.tolist() == [1.0] * 400 + [2.0] * 500
    assert spectrum.wavelength[[0, -1]] == approx([4950, 6800], rel=1e-6)
    assert spectrum.meta["resolution"] == "medium"
    assert spectrum.meta["assembled"] == "COADD_B and COADD_R joined by wavelength"


def test_medium_resolution_file_without_co_added_arms_gives_its_best_exposures(tmp_path):
    arms = [arm(f"B-{i}", 4950, 5350, 400, level, ["PIXMASK"]) for i, level in ((1, 1), (2, 3))]
    arms.append(arm("R-1", 5300, 5800, 501, 2.0, ["PIXMASK"]))
    spectrum = read_spectrum(medium_file(tmp_path / "med.fits", *arms))
    assert spectrum.meta["assembled"] == "B-2 and R-1 joined by wavelength"
    assert spectrum.flux[:400].tolist() == [3.0] * 400
    assert np.all(np.diff(spectrum.wavelength) > 0)  # the overlap counts once


@pytest.mark.parametrize("share", [0.4, 0.5])
def test_gzip_stream_of_two_members_is_read_whole(tmp_path, share):
    raw = image_file(tmp_path / NAME, arrays(), OBSID=3).read_bytes()
    first = int(share * len(raw))  # halves are equal: the size at the end fits the first, too
    path = tmp_path / "two.fits.gz"
    path.write_bytes(gzip.compress(raw[:first]) + gzip.compress(raw[first:]))
    assert read_spectrum(path).flux.tobytes() == arrays()[0].tobytes()


def test_cards_in_another_order_and_of_other_values_are_those_of_their_file(tmp_path):
    files = {}
    for obsid, ra, in_order in ((3, 10.0, True), (4, 40.0, True), (5, 70.0, False)):
        path = image_file(tmp_path / f"{obsid}.fits", arrays(), OBSID=obsid, RA=ra, DESIG="")
        if not in_order:
            header = fits.getheader(path)
            fits.PrimaryHDU(arrays(), fits.Header(header.cards[::-1])).writeto(path, overwrite=True)
        files[path] = (obsid, ra)
    for path, expected in [*files.items()] * 2:
        spectrum = read_spectrum(path)
        assert (spectrum.obsid, spectrum.ra) == expected


def test_padding_behind_a_gzip_stream_is_ignored(tmp_path):
    path = zipped(image_file(tmp_path / NAME, arrays(), OBSID=3))
    path.write_bytes(path.read_bytes() + bytes(512))
    assert read_spectrum(path).flux.tobytes() == arrays()[0].tobytes()


def test_content_counts_and_not_the_ending_of_the_name(tmp_path):
    packed = zipped(image_file(tmp_path / NAME, arrays(), OBSID=3))
    renamed = packed.rename(tmp_path / "renamed.fits")
    assert read_spectrum(renamed).obsid == 3


def scaled_image(path):
    """16-bit pixels with BSCALE and BZERO, as some archives repack."""
    rows = arrays(np.float64).round()
    rows[1] = 1
    rows[2] = np.arange(N) + 4000
    cards = {"EXTEN0": "Flux Inverse Wavelength", "OBSID": 11, "COEFF0": None, "COEFF1": None}
    unit = fits.PrimaryHDU(rows.copy(), lamost_header(**cards))
    unit.scale("int16", bscale=1, bzero=5000)
    unit.writeto(path)
    return rows


def test_scaled_image_is_read_through_astropy(tmp_path):
    rows = scaled_image(tmp_path / "scaled.fits")
    spectrum = read_spectrum(tmp_path / "scaled.fits")
    np.testing.assert_array_equal(spectrum.flux, rows[0])
    assert spectrum.obsid == 11


@pytest.mark.parametrize("kind", ["plain", "GZIP_2", "RICE_1"])
def test_an_image_behind_an_empty_primary_unit_is_read_with_its_cards(tmp_path, kind):
    """As fpack and other repackers leave it."""
    rows, header = arrays(), lamost_header(EXTEN0="Flux Inverse Wavelength", OBSID=11, SNRG=33.0)
    if kind == "RICE_1":
        rows[0], rows[1] = rows[0].round(), 1e-3  # what it quantises is what is stored
    options = {"compression_type": kind, "quantize_level": 0} if kind == "GZIP_2" else {}
    if kind == "RICE_1":
        options = {"compression_type": kind, "quantize_level": 1e4}
    unit = (
        fits.ImageHDU(rows, header)
        if kind == "plain"
        else fits.CompImageHDU(rows, header, **options)
    )
    primary = fits.PrimaryHDU(header=fits.Header({"DATA_V": "LAMOST DR9"}))
    fits.HDUList([primary, unit]).writeto(tmp_path / "a.fits.fz")
    spectrum = read_spectrum(tmp_path / "a.fits.fz")
    np.testing.assert_allclose(spectrum.flux, rows[0], atol=0.0 if kind != "RICE_1" else 0.1)
    assert (spectrum.obsid, spectrum.snr_g, spectrum.ra) == (11, 33.0, 150.5)
    assert (spectrum.meta["data_release"], spectrum.meta["subclass"]) == ("LAMOST DR9", "A2V")


def rows_of(kind):
    """Flux, ivar of a star of S/N 50 with what stands in the file instead of 1/σ²."""
    rng = np.random.default_rng(2)
    sigma = 20.0
    flux = rng.normal(1000, sigma, N)
    ivar = {"σ": sigma, "σ²": sigma**2, "1/σ²": sigma**-2}[kind.split()[0]] * np.ones(N)
    if kind.endswith("of a normalised flux"):
        return flux / 1000, ivar / 1000 ** (1 if kind.startswith("σ ") else 2)
    if kind.endswith("of another flux"):
        return flux / 1000, ivar
    return flux, ivar


@pytest.mark.parametrize(
    ("kind", "cards"),
    [
        ("σ", {}), ("σ²", {}), ("σ of a normalised flux", {}), ("σ² of a normalised flux", {}),
        ("1/σ² of another flux", {}),
        ("σ", {"SNRG": 50.0}), ("1/σ² of another flux", {"SNRG": 50.0}),
    ],
)  # fmt: skip
def test_an_inverse_variance_that_the_pixels_deny_is_refused(tmp_path, kind, cards):
    flux, ivar = rows_of(kind)
    rows = np.stack([flux, ivar, WAVELENGTH, 0 * flux, 0 * flux])
    with pytest.raises(ReadError, match=r"neighbouring pixels differ by .* σ: it may hold σ or σ²"):
        read_spectrum(table_file(tmp_path / "a.fits", rows, **cards))


@pytest.mark.parametrize("snr_g", [None, 50.0, 2.0, 900.0, -9999.0])
@pytest.mark.parametrize("scale", [1.0, 1e-17])
def test_a_true_inverse_variance_is_believed_whatever_its_unit_and_header(tmp_path, scale, snr_g):
    flux, ivar = rows_of("1/σ²")
    rows = np.stack([flux * scale, ivar / scale**2, WAVELENGTH, 0 * flux, 0 * flux])
    cards = {} if snr_g is None else {"SNRG": snr_g}
    assert not read_spectrum(table_file(tmp_path / "a.fits", rows, **cards)).mask.any()
    rows[0] = 1000.0 * scale  # a model without noise says nothing of it
    assert not read_spectrum(table_file(tmp_path / "b.fits", rows, **cards)).mask.any()


@pytest.mark.parametrize(("row", "value"), [(0, -9999.0), (0, 1e20), (1, 1e30), (0, -1e35)])
def test_pixels_that_hold_a_sentinel_are_bad(tmp_path, row, value):
    rows = arrays(np.float64)
    rows[row, 1000:1010] = value
    spectrum = read_spectrum(table_file(tmp_path / "a.fits", rows))
    assert spectrum.mask[1000:1010].all()
    assert spectrum.mask.sum() == 10 + 15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("where", [slice(0, 1), slice(0, 31), slice(N - 1, N), slice(N - 31, N),
                                   slice(1000, 1002)])  # fmt: skip
def test_zeros_in_a_row_with_an_inverse_variance_are_no_flux(tmp_path, dtype, where):
    rows = arrays(dtype)
    rows[0, where] = 0
    for write, layout in ((table_file, "a"), (image_file, "b")):
        mask = read_spectrum(write(tmp_path / f"{layout}.fits", rows)).mask
        assert mask[where].all()
        assert np.count_nonzero(mask) == np.count_nonzero(rows[0] == 0) + 15


def test_zeros_that_counts_can_have_stay(tmp_path):
    rows = arrays(np.float64)
    rows[0] = np.random.default_rng(3).poisson(2.0, N)  # 0.14 of them are zero, many in a row
    rows[1] = 0.5
    assert not read_spectrum(table_file(tmp_path / "a.fits", rows)).mask[300:].any()
    rows = arrays(np.float64)
    rows[0, 1000] = 0
    assert not read_spectrum(table_file(tmp_path / "b.fits", rows)).mask[1000]


@pytest.mark.parametrize("top", [5.0, 20.0, 100.0])
@pytest.mark.parametrize("clipped", [False, True])
def test_zeros_of_honest_counts_stay_where_they_grow_along_the_spectrum(top, clipped):
    rng = np.random.default_rng(7)
    flux = top * np.exp(-(((WAVELENGTH - 7000) / 1500) ** 2))
    if clipped:
        counts = np.clip(flux + rng.normal(0, 1, N), 0, None)
    else:
        flux += 0.2
        counts = rng.poisson(flux).astype(float)
    assert np.count_nonzero(counts == 0) > 20
    assert are_fill_values(counts, 1 / np.maximum(flux, 1), np.ones(N, bool)) is None


@pytest.mark.parametrize("value", [99999.0, -999.0, 32767.0, 1.0, -1.0, 9999.0])
@pytest.mark.parametrize("where", [slice(1000, 1010), slice(1000, 1100, 13), slice(N - 5, N)])
def test_a_number_put_where_there_is_no_flux_is_no_flux(tmp_path, value, where):
    rows = arrays(np.float32)
    rows[0, where] = value
    found = read_spectrum(table_file(tmp_path / "a.fits", rows)).mask
    apart = where.step is not None and np.abs(value) < rows[0].max()
    if not apart:  # numbers within the range of others tell where they stand in a row
        assert found[where].all()
    assert np.count_nonzero(found) == 15 + (0 if apart else np.count_nonzero(rows[0] == value))


@pytest.mark.parametrize("value", [99.99, -999.99, 9999999.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_nines_are_told_in_either_precision(value, dtype):
    flux = (arrays(np.float64)[0] / 100).astype(dtype)
    flux[1000] = value
    found = are_fill_values(flux, np.full(N, 10.0, dtype), np.ones(N, bool))
    assert np.flatnonzero(found).tolist() == [1000]


def test_one_pixel_of_nines_far_beyond_all_others_is_no_flux(tmp_path):
    rows = arrays(np.float32)
    rows[0, 1000], rows[0, 2000] = 99999.0, 5100.5  # and a ray of the sky stays
    mask = read_spectrum(table_file(tmp_path / "a.fits", rows)).mask
    assert mask[1000]
    assert not mask[2000]


@pytest.mark.parametrize("step", [None, 0.001, 0.1])
@pytest.mark.parametrize("snr", [np.inf, 1000.0, 100.0, 10.0, 2.0, 0.7])
@pytest.mark.parametrize("level", [9999.0, 1000.0, 99.0, 1.0])
def test_honest_flux_keeps_its_pixels_whatever_its_steps_and_noise(snr, level, step):
    rng, lines = np.random.default_rng(5), np.zeros(N)
    for centre, depth in ((4341.7, 0.6), (4862.7, 0.8), (6564.6, -1.9)):
        lines += depth * np.exp(-(((WAVELENGTH - centre) / 15.0) ** 2))
    flux = level * np.clip(1.0 - lines, 0, None)
    ivar = np.full(N, (min(snr, 100.0) / level) ** 2)
    flux = flux + (rng.normal(0, level / snr, N) if np.isfinite(snr) else 0.0)
    if step is not None:
        flux = np.round(flux / step / level) * step * level
    mask = are_fill_values(flux.astype(np.float32), ivar.astype(np.float32), np.ones(N, bool))
    assert mask is None


def test_a_column_called_mask_counts(tmp_path):
    rows = arrays(np.float64)
    names = ("FLUX", "IVAR", "WAVELENGTH", "MASK", "ORMASK")
    assert read_spectrum(table_file(tmp_path / "a.fits", rows, names)).mask[200:205].all()
    columns = [
        fits.Column(name, form, array=values)
        for name, form, values in zip(
            ("flux", "ivar", "loglam", "mask"), "DDDL",
            (rows[0], rows[1], LOG_WAVELENGTH, rows[3] != 0), strict=True,
        )
    ]  # fmt: skip
    units = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="COADD")]
    fits.HDUList(units).writeto(tmp_path / "b.fits")
    mask = read_spectrum(tmp_path / "b.fits").mask
    assert np.flatnonzero(mask).tolist() == [*range(100, 110), *range(200, 205)]


def test_nan_card_does_not_stop_the_reader(tmp_path):
    path = image_file(tmp_path / NAME, arrays(), OBSID=12)
    raw = path.read_bytes()
    at = raw.index(b"Z       =")
    path.write_bytes(raw[:at] + b"Z       =                  NaN".ljust(80) + raw[at + 80 :])
    spectrum = read_spectrum(path)
    assert np.isnan(spectrum.z)
    assert spectrum.obsid == 12


CARDS = {"ABC": "it's", "DEF": 1.5e-7, "GHI": -12, "JKL": True, "MNO": "", "PQR": "a/b"}


def test_cards_have_the_values_astropy_gives(tmp_path):
    path = image_file(tmp_path / NAME, arrays(), **CARDS)
    raw = read_bytes(path)
    plain, reference = next(iter(PlainFits(path, raw))), astropy_units(path, raw)[0]
    for key in fits.getheader(path):
        assert plain.card(key) == reference.card(key), key
    assert {key: plain.card(key) for key in CARDS} == CARDS
    assert plain.card("ABSENT") is None


def html(path):
    path.write_text("\n<!DOCTYPE html><html><body>Please log in</body></html>")


def html_gz(path):
    path.write_bytes(gzip.compress(b"<html><body>404</body></html>"))


def truncated_gz(path):
    raw = gzip.compress(image_file(path.with_name("whole.fits"), arrays()).read_bytes())
    path.write_bytes(raw[: len(raw) // 2])


def damaged_gz(path):
    raw = bytearray(gzip.compress(image_file(path.with_name("w.fits"), arrays()).read_bytes()))
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def truncated(path):
    raw = image_file(path.with_name("whole.fits"), arrays()).read_bytes()
    path.write_bytes(raw[:40000])


def truncated_in_header(path):
    raw = image_file(path.with_name("whole.fits"), arrays()).read_bytes()
    path.write_bytes(raw[:1000])


def with_rows(**changed):
    def make(path):
        rows = arrays()
        for row, value in changed.items():
            rows[int(row[1:])] = value
        image_file(path, rows)

    return make


def reversed_table(path):
    table_file(path, arrays()[:, ::-1])


def wrong_columns(path):
    table_file(path, arrays(), ("lam", "counts", "err", "a", "b"))


def lengths_differ(path):
    rows = [row[: N - 5 * i] for i, row in enumerate(arrays())]
    table_file(path, rows)


def in_nanometres(path):
    with_rows(r2=WAVELENGTH / 10)(path)


def photograph(path):
    fits.PrimaryHDU(np.zeros((20, 30))).writeto(path)


def two_spectra(path):
    columns = [
        fits.Column(name, f"{N}E", array=[row, row])
        for name, row in zip(("FLUX", "IVAR", "WAVELENGTH"), arrays()[:3], strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def votable(path):
    path.write_text('<?xml version="1.0"?>\n<VOTABLE version="1.4"><RESOURCE/></VOTABLE>\n')


def old_sdss(path):
    image_file(path, arrays(), TELESCOP="SDSS 2.5-M")


def no_data(path):
    fits.PrimaryHDU(header=lamost_header()).writeto(path)


def absurd_size(path):
    image_file(path, arrays())
    raw = path.read_bytes()
    at = raw.index(b"NAXIS1  =")
    card = b"NAXIS1  =            400000000".ljust(80)
    path.write_bytes(raw[:at] + card + raw[at + 80 :])


def nonsense_axis(path):
    image_file(path, arrays())
    raw = path.read_bytes()
    at = raw.index(b"NAXIS2  =")
    path.write_bytes(raw[:at] + b"NAXIS2  = 'five    '".ljust(80) + raw[at + 80 :])


BAD_FILES = {
    "empty": (lambda path: path.touch(), "empty file"),
    "empty gz": (lambda path: path.write_bytes(gzip.compress(b"")), "empty file"),
    "web page": (html, "web page"),
    "web page gz": (html_gz, "web page"),
    "text": (lambda path: path.write_text("wavelength flux\n4000 1\n"), "not a FITS file"),
    "truncated gz": (truncated_gz, "truncated"),
    "damaged gz": (damaged_gz, "gzip stream"),
    "truncated": (truncated, "truncated"),
    "truncated header": (truncated_in_header, "truncated"),
    "flux NaN": (with_rows(r0=np.nan), "no usable pixel: flux is NaN"),
    "no ivar": (with_rows(r1=0), "no usable pixel: inverse variance is zero"),
    "ivar NaN": (with_rows(r1=np.nan), "no usable pixel"),
    "wavelength infinite": (with_rows(r2=np.inf), "do not increase"),
    "backwards": (with_rows(r2=WAVELENGTH[::-1]), "run backwards"),
    "backwards table": (reversed_table, "run backwards"),
    "wavelength NaN": (with_rows(r2=np.nan), "do not increase"),
    "nanometres": (in_nanometres, "not optical ones in Å"),
    "wrong columns": (wrong_columns, "LAM, COUNTS, ERR"),
    "lengths": (lengths_differ, "differ in length"),
    "two spectra": (two_spectra, "2 spectra in one table"),
    "VOTable": (votable, "is a VOTable"),
    "flux -9999": (with_rows(r0=-9999), "flux is -9999 everywhere"),
    "endless S/N": (with_rows(r1=1e30), "S/N beyond 1,000,000 everywhere"),
    "photograph": (photograph, "20 × 30"),
    "old SDSS": (old_sdss, "before DR8"),
    "no data": (no_data, "no table at all"),
    "absurd size": (absurd_size, "truncated"),
    "nonsense axis": (nonsense_axis, "damaged FITS"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "absent": (lambda path: None, "no such file"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_file_that_is_no_spectrum_gives_one_line_with_name_reason_and_remedy(tmp_path, kind):
    make, reason = BAD_FILES[kind]
    path = tmp_path / "bad.fits"
    make(path)
    with pytest.raises(ReadError) as caught:
        read_spectrum(path)
    message = str(caught.value)
    assert re.fullmatch(rf"{re.escape(str(path))}: .*{re.escape(reason)}.*; .+\.", message), message
    assert "\n" not in message
    assert len(message.removeprefix(str(path))) < 260


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """Bytes of a short file in each layout."""
    path = tmp_path_factory.mktemp("whole") / "whole.fits"
    rows = arrays()[:, :300]
    contents = [make(path, rows, OBSID=5).read_bytes() for make in (image_file, table_file)]
    contents.append(sdss_file(path).read_bytes())
    contents.append(medium_file(path, arm("COADD_B", 4950, 5350, 400)).read_bytes())
    return contents


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    layout=st.integers(0, 3),
    changes=st.lists(
        st.tuples(st.integers(0, 7000), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4
    ),
    length=st.integers(0, 20_000),
)
def test_damaged_bytes_give_a_spectrum_or_one_clear_line(
    tmp_path, whole_files, layout, changes, length
):
    raw = bytearray(whole_files[layout])
    for at, new in changes:
        raw[at : at + len(new)] = new
    path = tmp_path / "damaged.fits"
    path.write_bytes(raw[: max(length, 2000)])
    try:
        spectrum = read_spectrum(path)
    except ReadError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
    else:
        assert len(spectrum.flux) == len(spectrum.wavelength)


def test_a_spectrum_of_which_the_mask_takes_every_pixel_is_refused_and_said(tmp_path):
    rows = arrays()
    rows[3] = 1
    with pytest.raises(ReadError, match="and-mask marks each pixel as bad; set"):
        read_spectrum(table_file(tmp_path / "a.fits", rows))
    with pytest.raises(ReadError, match="and-mask marks each pixel as bad"):
        read_spectrum(sdss_file(tmp_path / "b.fits", and_mask=2**20))


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"RA": 10.0333}, "deg from that in its name"),  # hours
        ({"DEC": 2.25}, "deg from that in its name"),
        ({"RA": 150.5 + 5 / 3600}, ""),
        ({"RA": -9999.0, "DEC": -9999.0}, ""),
    ],
)
def test_a_position_that_contradicts_the_name_of_the_star_is_refused(tmp_path, cards, words):
    path = image_file(tmp_path / "a.fits", arrays(), **cards)
    if words:
        with pytest.raises(ReadError, match=words):
            read_spectrum(path)
    else:
        assert read_spectrum(path).obsid


@pytest.mark.parametrize(
    ("column", "unit", "words"),
    [
        ("WAVELENGTH", "cm-1", "no known length"),
        ("WAVELENGTH", "km/s", "no known length"),
        ("WAVELENGTH", "AA", ""),
        ("WAVELENGTH", "0.1nm", ""),
        ("WAVELENGTH", "Vacuum Wavelength (Angstrom)", ""),
        ("FLUX", "erg/s/cm2", "per no wavelength"),
        ("FLUX", "W m-2", "per no wavelength"),
        ("FLUX", "nanomaggy", "per frequency"),
        ("FLUX", "10**(-17) erg/cm**2/s/Angstrom", ""),
        ("FLUX", "W m-2 um-1", ""),
    ],
)
def test_units_of_the_arrays_are_understood_or_refused(tmp_path, column, unit, words):
    path = table_file(tmp_path / "a.fits", arrays(np.float64))
    with fits.open(path, mode="update") as units:
        number = units[1].columns.names.index(column) + 1
        units[1].header[f"TUNIT{number}"] = unit
    if words:
        with pytest.raises(ReadError, match=words):
            read_spectrum(path)
    else:
        assert np.allclose(read_spectrum(path).wavelength, WAVELENGTH)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[0].fill(0.0), "zero or negative in all good pixels"),
        (lambda rows: np.negative(rows[0], out=rows[0]), "zero or negative in all"),
        (lambda rows: rows[3][60:].fill(1), "and-mask marks [0-9,]+ of [0-9,]+ pixels as bad"),
    ],
)
def test_arrays_without_a_star_in_them_are_refused(tmp_path, change, words):
    rows = arrays()
    change(rows)
    with pytest.raises(ReadError, match=words):
        read_spectrum(table_file(tmp_path / "a.fits", rows))


def test_wavelengths_that_begin_whole_pixels_before_their_scale_were_moved(tmp_path):
    rows = arrays(np.float64)
    cut = read_spectrum(table_file(tmp_path / "a.fits", rows[:, 13:]))
    assert np.allclose(cut.wavelength, WAVELENGTH[13:])
    rows[2] *= 10.0 ** (-13 * 1e-4)  # a star at 900 km/s, brought to rest
    with pytest.raises(ReadError, match="they were shifted or binned"):
        read_spectrum(table_file(tmp_path / "b.fits", rows))


def test_an_inverse_variance_that_header_and_pixels_deny_alike_is_refused(tmp_path):
    rows = arrays()
    rows[0] *= 10
    rows[1] = np.where(rows[1] > 0, 1 / 300, 0)  # 1/σ
    with pytest.raises(ReadError, match="may hold σ or σ²"):
        read_spectrum(table_file(tmp_path / "a.fits", rows, SNRG=25.0))


@pytest.mark.parametrize("equinox", ["B1950.0", "1950", 1950.0])
def test_an_older_equinox_may_be_text_or_under_its_old_name(tmp_path, equinox):
    for key in ("EQUINOX", "EPOCH"):
        cards = {key: equinox, "DESIG": ""}
        ra = read_spectrum(image_file(tmp_path / "a.fits", arrays(), **cards)).ra
        assert ra == pytest.approx(151.14, abs=0.02)


def test_a_fibre_of_sdss_that_is_far_from_where_the_telescope_pointed_is_refused(tmp_path):
    path = sdss_file(tmp_path / "spec-0266-51602-0013.fits")
    for ra, is_near in ((146.5, True), (9.8, False)):
        with fits.open(path, mode="update") as units:
            units[0].header.update({"RADEG": ra, "DECDEG": 0.06})
        if is_near:
            assert read_spectrum(path).ra == 146.9341
        else:
            with pytest.raises(ReadError, match="where the telescope pointed"):
                read_spectrum(path)
