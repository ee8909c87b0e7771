"""Every real spectrum is read, and its arrays are those of astropy, bit for bit."""

import collections
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from library_spectra import at_lamost, library_stars, read_miles
from pytest import approx

from msfa_core.constants import G_BAND
from msfa_core.errors import ReadError
from msfa_core.spectra import (
    fits_astropy,
    layouts,
    prepare,
    read_spectrum,
    readers,
    unpacking,
)
from msfa_core.spectra.spectrum import log_pixels, on_grid
from msfa_core.spectra.writers import write_lamost

pytestmark = pytest.mark.real
ENDS_IN_ZEROS = 178  # LAMOST files whose last pixels hold 0 beside an inverse variance
COUNTS = {"lamost": 316, "sdss": 13, "sdss_sky": 45, "lamost_mrs": 8}


def files(real_data, folder):
    return sorted((real_data / folder).rglob("*.fits.gz"))


@pytest.fixture(scope="module")
def lamost(real_data):
    """All LAMOST low-resolution spectra."""
    return [read_spectrum(path) for path in files(real_data, "lamost")]


def astropy_arrays(path):
    """Flux, ivar, wavelength and and-mask as astropy gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as units:
            header, image = units[0].header, units[0].data
            if image is not None:
                wavelength = image[2]
                if "Subcontinuum" in header["EXTEN0"]:
                    pixel = np.arange(image.shape[1])
                    wavelength = 10 ** (header["COEFF0"] + pixel * header["COEFF1"])
                return [image[0], image[1], wavelength, image[3]]
            if "COADD" in units and "WAVELENGTH" in units["COADD"].columns.names:
                row = units["COADD"].data[0]
                return [row[name] for name in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")]
            if "COADD" in units:
                table = units["COADD"].data
                loglam = table["loglam"].astype(np.float64)
                return [table["flux"], table["ivar"], 10**loglam, table["and_mask"]]
            arms = [units[name].data for name in ("COADD_B", "COADD_R")]
            names = ("FLUX", "IVAR", "LOGLAM", "ANDMASK")
            joined = [np.concatenate([arm[name] for arm in arms]) for name in names]
            joined[2] = 10 ** joined[2].astype(np.float64)
            return joined


@pytest.mark.parametrize("folder", COUNTS)
def test_every_real_file_is_read_and_its_arrays_equal_astropys(real_data, folder):
    paths = files(real_data, folder)
    assert len(paths) == COUNTS[folder]
    for path in paths:
        spectrum = read_spectrum(path)
        flux, ivar, wavelength, andmask = astropy_arrays(path)
        for mine, theirs in (
            (spectrum.flux, flux),
            (spectrum.ivar, ivar),
            (spectrum.wavelength, wavelength),
        ):
            native = theirs.astype(theirs.dtype.newbyteorder("="))
            assert mine.dtype == native.dtype, path
            assert mine.tobytes() == native.tobytes(), path
        assert np.array_equal(spectrum.meta["andmask"], andmask), path
        bits = np.asarray(andmask).astype(int) >> (16 if folder.startswith("sdss") else 0)
        bad = (bits != 0) | (ivar <= 0)
        assert not (bad & ~spectrum.mask).any(), path
        assert (flux[spectrum.mask & ~bad] == 0).all(), path


@pytest.mark.parametrize("folder", COUNTS)
def test_no_zero_that_ends_a_real_spectrum_or_stands_beside_another_counts(real_data, folder):
    ends = 0
    for path in files(real_data, folder):
        spectrum = read_spectrum(path)
        zero = (spectrum.flux == 0) & (spectrum.ivar > 0)
        beside = zero & np.roll(zero, 1) | zero & np.roll(zero, -1)
        assert spectrum.mask[beside].all(), path
        measured = spectrum.flux[~spectrum.mask]
        assert (measured[[0, -1]] != 0).all(), path
        ends += bool(zero[-1])
    assert ends == {"lamost": ENDS_IN_ZEROS}.get(folder, 0)


@pytest.mark.parametrize("folder", COUNTS)
def test_real_files_are_plain_enough_for_the_fast_way(real_data, folder, monkeypatch):
    def astropy_was_needed(path, _):
        pytest.fail(f"{path} was read through astropy")

    monkeypatch.setattr(readers, "astropy_units", astropy_was_needed)
    for path in files(real_data, folder):
        read_spectrum(path)


@pytest.mark.parametrize("folder", COUNTS)
def test_slow_way_through_astropy_gives_the_same_spectrum(real_data, folder):
    for path in files(real_data, folder)[::7]:
        fast = read_spectrum(path)
        units = fits_astropy.astropy_units(path, unpacking.read_bytes(path))
        slow = layouts.read_layout(path, units[0], units)
        assert slow.layout == fast.meta["layout"]
        assert slow.wavelength.tobytes() == fast.wavelength.tobytes()
        assert slow.pixels.flux.tobytes() == fast.flux.tobytes()
        assert np.array_equal(slow.pixels.andmask, fast.meta["andmask"])


def test_the_four_lamost_layouts_are_recognised(lamost):
    found = collections.Counter((s.meta["layout"], str(s.flux.dtype)) for s in lamost)
    assert found == {
        ("lamost-image", "float32"): 217,
        ("lamost-image-subcontinuum", "float32"): 87,
        ("lamost-image", "float64"): 11,
        ("lamost-table", "float32"): 1,
    }


def test_every_observation_has_its_own_number(lamost):
    assert len({spectrum.obsid for spectrum in lamost}) == len(lamost)
    made = [spectrum for spectrum in lamost if spectrum.obsid >= 2**52]
    assert len(made) == 98  # 87 of 2011–13 and 11 in float64 have no OBSID card


def test_real_wavelengths_lie_on_the_common_grid(lamost):
    assert all(log_pixels(spectrum.wavelength, 1e-4) is not None for spectrum in lamost)
    batch = on_grid(lamost)
    for row, spectrum in enumerate(lamost):
        first = round((np.log10(float(spectrum.wavelength[0])) - 3.5682) * 1e4)
        own = slice(first, first + len(spectrum.flux))
        assert np.array_equal(batch.flux[row, own], spectrum.flux.astype(np.float32))


def test_headers_agree_with_the_catalogue_of_the_same_observations(real_data, lamost):
    """Layout 1 has no OBSID card: the table, joined on the file name, tells who is who."""
    table = pd.read_csv(real_data / "catalogues/lamost_learninglamost/my_data3.csv")
    table = table.set_index(table["filename"].str.strip())
    early = [s for s in lamost if s.meta["layout"] == "lamost-image-subcontinuum"]
    pairs = [(s, s.file.rsplit("/")[-1].removesuffix(".gz")) for s in early]
    joined = [(s, table.loc[name]) for s, name in pairs if name in table.index]
    # Six rows name the file of another observation of the same star than their date says.
    own = [(s, row) for s, row in joined if row["lmjd"] == s.meta["lmjd"]]
    assert (len(joined), len(own)) == (62, 56)
    for spectrum, row in own:
        assert (spectrum.ra, spectrum.dec) == approx((row["ra"], row["dec"]), abs=1e-5)
        assert spectrum.meta["planid"] == row["planid"]
        assert spectrum.meta["fiberid"] == row["fiberid"]
        assert spectrum.snr_g == approx(row["snrg"], rel=0.1, abs=0.5)


def test_computed_signal_to_noise_agrees_with_lamosts_own(lamost):
    ratio = [
        readers.median_snr_g(s.wavelength, s.flux, s.ivar, s.mask) / s.snr_g
        for s in lamost
        if s.snr_g > 5
    ]
    assert np.median(ratio) == approx(1.03, abs=0.03)
    assert np.percentile(ratio, [2, 98]) == approx([1, 1.08], abs=0.07)


def test_lines_of_real_stars_fall_on_their_rest_wavelengths(lamost):
    """With z of the header, not HELIO_RV: Hβ of the good A stars within 1.5 Å (92 km/s)."""
    stars = [s for s in lamost if s.meta.get("subclass", "").startswith("A") and s.snr_g > 30]
    assert len(stars) >= 5
    for star in stars:
        rest = star.wavelength / (1 + star.z)
        window = (rest > 4840) & (rest < 4886)
        depth = 1 - star.flux[window] / np.percentile(star.flux[window], 95)
        centre = np.sum(rest[window] * depth**3) / np.sum(depth**3)
        assert centre == approx(4862.71, abs=1.5), star.file


def test_real_spectra_are_prepared_unless_they_cannot_be(lamost):
    prepared = prepare(lamost)
    usable = np.isfinite(prepared.flux).all(axis=1)
    assert np.isnan(prepared.flux[~usable]).all()
    assert usable.sum() == 308
    without_z = [not np.isfinite(spectrum.z) for spectrum in lamost]
    assert np.sum(without_z) == 5  # class Unknown, z = -9999
    assert not usable[without_z].any()
    assert prepared.flux[usable].min(axis=1) == approx(0)
    assert prepared.flux[usable].max(axis=1) == approx(1)


def test_medium_resolution_files_say_that_they_are(real_data):
    for path in files(real_data, "lamost_mrs"):
        spectrum = read_spectrum(path)
        assert spectrum.meta["resolution"] == "medium"
        assert spectrum.meta["assembled"] == "COADD_B and COADD_R joined by wavelength"
        assert np.isnan(prepare(spectrum).flux).all()  # outside the search


def test_text_spectra_are_refused_by_name(real_data):
    path = next((real_data / "rrlyrae" / "sdss").iterdir())
    with pytest.raises(ReadError, match="is not a FITS file"):
        read_spectrum(path)


@pytest.mark.parametrize(("kind", "power"), [("σ", 1), ("σ²", 2)])
def test_an_inverse_variance_that_is_none_is_refused_though_its_signal_to_noise_is_usual(
    real_data, tmp_path, kind, power
):
    """On the flux scale at which S/N is twice the header's: neither it nor the scatter is odd."""
    read = refused = 0
    for path in sorted((real_data / "lamost").rglob("*.fits.gz"))[::8]:
        one = read_spectrum(path)
        if not one.snr_g > 3:
            continue
        good = one.ivar > 0
        wrong = np.where(good, np.where(good, one.ivar, 1.0) ** (-power / 2), 0.0)
        green = good & (one.wavelength > G_BAND[0]) & (one.wavelength < G_BAND[1])
        snr = np.median(one.flux[green] * np.sqrt(wrong[green]))
        scale = (2 * one.snr_g / snr) ** (1 / (1 + power / 2))
        flux, ivar = one.flux * scale, wrong * scale**power
        bad = replace(one, flux=flux.astype(np.float32), ivar=ivar.astype(np.float32))
        write_lamost(bad, tmp_path / "bad.fits")
        read += 1
        try:
            read_spectrum(tmp_path / "bad.fits")
        except ReadError as error:
            refused += "σ or σ²" in str(error)
    assert read > 30
    assert refused == read


def test_lines_of_bright_stars_are_no_noise_that_denies_an_inverse_variance(real_data, tmp_path):
    """At S/N 1000, without a S/N in the header: what pixels differ by is lines alone."""
    rng = np.random.default_rng(3)
    for path in library_stars(real_data, "stelib")[::6]:
        spectrum = at_lamost(read_miles(path), 1000.0, rng)
        write_lamost(replace(spectrum, snr_g=np.nan), tmp_path / "a.fits")
        assert len(read_spectrum(tmp_path / "a.fits").flux)
