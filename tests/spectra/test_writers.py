"""What is written is read back identical, by this project and by astropy."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ExportError, SpectrumError
from msfa_core.spectra import Spectrum, read_spectrum
from msfa_core.spectra.writers import LAYOUTS, lamost_name, write_lamost
from msfa_core.tables.cells import is_missing
from msfa_core.tables.quantities import quantity

META = {
    "class": "STAR",
    "subclass": "A2V",
    "data_release": "LAMOST DR9",
    "designation": "LAMOST J114246.85+074723.3",
    "lmjd": 55862,
    "planid": "B6212",
    "spid": 6,
    "fiberid": 7,
}


def star(n=60, seed=3, dtype=np.float32, wave_dtype=np.float64, **changed):
    rng = np.random.default_rng(seed)
    ivar = rng.uniform(0.1, 2, n).astype(dtype)
    ivar[::17] = 0
    values = {
        "obsid": 1230412066,
        "wavelength": LAMOST_GRID.wavelength[500 : 500 + n].astype(wave_dtype),
        "flux": rng.normal(100, 30, n).astype(dtype),
        "ivar": ivar,
        "mask": (ivar <= 0) | (np.arange(n) % 11 == 0),
        "z": -0.00106647,
        "ra": 175.695220,
        "dec": 7.789808,
        "snr_g": 86.12,
        "meta": dict(META),
    }
    return Spectrum(**(values | changed))


def assert_same(read, written):
    for name in ("wavelength", "flux", "ivar", "mask"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name), name)
    for name in ("obsid", "z", "ra", "dec", "snr_g"):
        np.testing.assert_equal(getattr(read, name), getattr(written, name), name)


REDSHIFT = quantity("z")
cards = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(
    lambda x: x not in (-999.0, -9999.0)
)
pixels = st.integers(2, 24)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip)
words = words.filter(lambda word: not word or not is_missing(word))  # "nan" comes back as none


@st.composite
def spectra(draw):
    n = draw(pixels)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    width = np.dtype(dtype).itemsize * 8
    row = st.lists(st.floats(width=width, allow_infinity=False), min_size=n, max_size=n)
    weights = st.lists(st.floats(0, 2.0**100, width=width), min_size=n, max_size=n)
    flux, ivar = np.array(draw(row), dtype), np.array(draw(weights), dtype)
    flux[:3], ivar[:3] = 1, 1  # a file without usable pixels is refused, rightly
    with np.errstate(all="ignore"):
        believed = (flux * ivar * flux < 1e12) & (flux != -9999)  # no sentinel, no endless S/N
    flagged = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    flagged[:3] = False
    ormask = np.array(draw(st.lists(st.integers(0, 2**31 - 1), min_size=n, max_size=n)))
    return Spectrum(
        obsid=draw(st.integers(1, 2**53)),
        wavelength=LAMOST_GRID.wavelength[:n].astype(draw(st.sampled_from(["f4", "f8"]))),
        flux=flux,
        ivar=ivar,
        mask=flagged | (ivar <= 0) | ~np.isfinite(flux) | ~believed,
        z=draw(st.just(np.nan) | st.floats(REDSHIFT.low, 0.05)),  # beyond it no star is
        ra=draw(st.just(np.nan) | st.floats(1e-9, 360)),  # 0, 0 is no place
        dec=draw(st.just(np.nan) | st.floats(-90, 90)),
        snr_g=draw(st.floats(-999, 9000).filter(lambda x: x != -999.0)),  # beyond, none
        meta=META | {"subclass": draw(words), "ormask": ormask, "designation": "of no place"},
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spectrum=spectra())
def test_any_spectrum_is_read_back_identical(tmp_path, layout, name, spectrum):
    read = read_spectrum(write_lamost(spectrum, tmp_path / name, layout))
    assert_same(read, spectrum)
    assert read.meta.get("subclass", "") == spectrum.meta["subclass"]
    np.testing.assert_array_equal(read.meta["ormask"], spectrum.meta["ormask"])
    assert (META.keys() - {"subclass"}) <= read.meta.keys()
    assert read.meta["layout"] == layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_astropy_finds_the_file_valid_and_the_numbers_the_same(tmp_path, layout):
    spectrum = star()
    path = write_lamost(spectrum, tmp_path / "a.fits.gz", layout)
    with fits.open(path, checksum=True) as units:
        units.verify("exception")
        header = units[0].header
        names = ("FLUX", "IVAR", "WAVELENGTH")
        rows = [units["COADD"].data[name][0] for name in names] if layout == LAYOUTS[0] else None
        flux, ivar, wavelength = units[0].data[:3] if rows is None else rows
        assert np.array_equal(flux, spectrum.flux)
        assert np.array_equal(ivar, spectrum.ivar)
        assert np.array_equal(wavelength, spectrum.wavelength)
        assert header["Z"] == spectrum.z
        assert header["OBSID"] == 1230412066
        assert header["SUBCLASS"] == "A2V"
        assert header["COEFF0"] == 3.6182
        assert header["COEFF1"] == 1e-4
        assert header["PLANID"] == "B6212"
        assert header["FILENAME"] == "a.fits"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_pixels", [360, 720, 3409])  # 720 float32 fill a block exactly
def test_whole_blocks_are_written_whatever_the_length(tmp_path, layout, n_pixels):
    path = write_lamost(star(n_pixels, wave_dtype=np.float32), tmp_path / "a.fits", layout)
    assert path.stat().st_size % 2880 == 0
    assert_same(read_spectrum(path), star(n_pixels, wave_dtype=np.float32))


def test_missing_numbers_leave_their_cards_out(tmp_path):
    spectrum = star(z=np.nan, ra=np.nan, dec=np.nan, snr_g=np.nan, meta={})
    path = write_lamost(spectrum, tmp_path / "a.fits")
    header = fits.getheader(path)
    assert not {"Z", "RA", "DEC", "SNRG", "CLASS"} & set(header)
    assert np.isnan(read_spectrum(path).z)


def test_mask_of_the_spectrum_wins_over_the_bits_it_came_with(tmp_path):
    bits = np.zeros(60, dtype=np.int32)
    bits[[5, 6]] = 16
    mask = star().ivar <= 0
    mask[[6, 8]] = True
    spectrum = star(mask=mask, meta=META | {"andmask": bits})
    read = read_spectrum(write_lamost(spectrum, tmp_path / "a.fits"))
    assert np.array_equal(read.mask, mask)
    assert read.meta["andmask"][[5, 6, 8]].tolist() == [0, 16, 1]


def test_text_with_quotes_or_beyond_ascii_stays_valid(tmp_path):
    meta = META | {"subclass": "it's", "designation": "étoile " + "x'" * 60}
    path = write_lamost(star(meta=meta), tmp_path / "a.fits")
    with fits.open(path) as units:
        units.verify("exception")
    assert read_spectrum(path).meta["subclass"] == "it's"
    assert read_spectrum(path).meta["designation"].startswith("?toile x'")


def test_same_spectrum_gives_the_same_bytes(tmp_path):
    first = write_lamost(star(), tmp_path / "a.fits.gz").read_bytes()
    assert write_lamost(star(), tmp_path / "a.fits.gz").read_bytes() == first
    assert gzip.decompress(first).startswith(b"SIMPLE  =")


def test_name_is_lamosts(tmp_path):
    assert lamost_name(META) == "spec-55862-B6212_sp06-007.fits"
    with pytest.raises(SpectrumError, match="spid, fiberid"):
        lamost_name({"lmjd": 55862, "planid": "B6212"})


def test_unknown_layout_names_the_known_ones(tmp_path):
    with pytest.raises(SpectrumError, match="lamost-table or lamost-image"):
        write_lamost(star(), tmp_path / "a.fits", "sdss")


def test_failed_write_says_so_and_leaves_the_older_file(tmp_path, monkeypatch):
    path = write_lamost(star(), tmp_path / "a.fits")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(ExportError, match=r"a\.fits cannot be written \(No space left"):
        write_lamost(replace(star(), z=0.5), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.fits"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        write_lamost(star(), tmp_path / "absent" / "a.fits")
