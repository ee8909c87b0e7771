import gzip

import numpy as np
import pytest
from astropy.io import fits
from template_spectra import simulated_matches

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ModelError
from msfa_core.templates import TemplateSet, match, read_templates
from msfa_core.templates.library import ALONE

PIXELS, START = 4400, 3.55


@pytest.fixture(scope="module")
def flux():
    """Four smooth spectra with lines."""
    x = np.arange(PIXELS)
    lines = [np.exp(-0.5 * ((x - c) / 4) ** 2) for c in (700, 1500, 2500, 3500)]
    return np.array([2.0 + np.sin(x / 900 + k) - 0.8 * lines[k] for k in range(4)])


def sp_eigen(path, flux, names=None, kind="STAR", step=1e-4, start=START):
    unit = fits.PrimaryHDU(flux.astype(np.float32))
    unit.header["OBJECT"], unit.header["COEFF0"], unit.header["COEFF1"] = kind, start, step
    for k, name in enumerate(names or []):
        unit.header[f"NAME{k}"] = name
    unit.writeto(path)
    return path


def redrock(path, flux, kind="GALAXY", subtype="", **grid):
    unit = fits.ImageHDU(flux.astype(np.float32), name="BASIS_VECTORS")
    unit.header.update({"RRTYPE": kind, "RRSUBTYP": subtype, **grid})
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(path)
    return path


def test_the_shipped_set_is_read_when_nothing_is_named():
    assert read_templates() is TemplateSet.load()
    assert read_templates("") is TemplateSet.load()


def test_named_stars_of_an_sp_eigen_file_are_templates_of_their_own(tmp_path, flux):
    names = ["A0IVn (25642)", "F8V (G_243-63)", "WDcooler", "sd:F0 (G_84-29)"]
    read = read_templates(sp_eigen(tmp_path / "spEigenStar.fits", flux, names))
    assert read.name.tolist() == names
    assert read.subclass.tolist() == ["A0IVn", "F8V", "DA", "sdF0"]
    assert (read.basis == ALONE).all()
    assert read.wavelength[0] == pytest.approx(10**START)
    ratio = read.flux / flux
    assert np.allclose(ratio, ratio[:, :1], rtol=1e-5)


def test_eigen_spectra_share_a_basis(tmp_path, flux):
    path = tmp_path / "spEigenGal.fits.gz"
    sp_eigen(tmp_path / "plain.fits", flux - 2, kind="GALAXY")
    path.write_bytes(gzip.compress((tmp_path / "plain.fits").read_bytes()))
    read = read_templates(path)
    assert read.cls.tolist() == ["GALAXY"] * 4
    assert len(set(read.basis.tolist())) == 1
    assert read.basis[0] != ALONE


def test_a_folder_is_one_set(tmp_path, flux):
    sp_eigen(tmp_path / "a.fits", flux[:2], ["A0 (1)", "F5 (2)"])
    sp_eigen(tmp_path / "b.fits", flux[2:], kind="QSO", start=3.5)
    read = read_templates(tmp_path)
    assert read.cls.tolist() == ["STAR", "STAR", "QSO", "QSO"]
    assert np.isnan(read.flux[0, 0])
    assert read.wavelength[0] == pytest.approx(10**3.5)


@pytest.mark.parametrize("linear", [True, False])
def test_redrock_files_of_either_grid_come_onto_ours(tmp_path, flux, linear):
    log = START + 1e-4 * np.arange(PIXELS)
    if linear:
        wavelength = np.arange(3600.0, 9600.0, 0.5)
        given = np.array([np.interp(wavelength, 10**log, one) for one in flux])
        path = redrock(tmp_path / "rr.fits", given, CRVAL1=3600.0, CDELT1=0.5, LOGLAM=0)
    else:
        path = redrock(tmp_path / "rr.fits", flux, CRVAL1=START, CDELT1=1e-4, LOGLAM=1)
    read = read_templates(path)
    assert read.cls.tolist() == ["GALAXY"] * 4
    inside = (read.wavelength > 3700) & (read.wavelength < 9000)
    expected = np.interp(np.log10(read.wavelength[inside]), log, flux[1])
    ratio = read.flux[1, inside] / expected
    assert np.allclose(ratio, np.median(ratio), rtol=6e-3)


def test_redrock_stars_are_matched(tmp_path):
    """Eigen-spectra made of library stars find the redshift of one of them."""
    shipped = TemplateSet.load()
    rows = np.flatnonzero(np.char.startswith(shipped.subclass, "G"))[:5]
    first = LAMOST_GRID.first - shipped.first_pixel - 40
    flux = shipped.flux[rows, first : first + LAMOST_GRID.n_pixels + 80].astype(np.float64)
    start = (LAMOST_GRID.first - 40) * 1e-4
    grid = {"CRVAL1": start, "CDELT1": 1e-4, "LOGLAM": 1}
    path = redrock(tmp_path / "rrtemplate-star-G.fits", flux, "STAR", "G", **grid)
    stars = shipped.take(rows)
    spectra = simulated_matches(4, seed=2, snr=(40.0, 60.0), templates=stars)
    found = match(spectra, read_templates(path))
    assert found.subclass().tolist() == ["G"] * 4
    assert np.abs(found.z[:, 0] - spectra.z).max() < 1e-4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p, f: sp_eigen(p, f, step=2e-4), "steps of 0.0002 in log10"),
        (lambda p, f: sp_eigen(p, f, start=2.55), "not optical ones in Å; convert from nm"),
        (lambda p, f: sp_eigen(p, f, kind="ROCK"), "class 'ROCK'"),
        (lambda p, f: sp_eigen(p, np.where(f > 2.9, np.nan, f), list("abcd")), "holds NaN"),
        (lambda p, f: redrock(p, f, CRVAL1=360.0, CDELT1=0.05), "convert from nm"),
        (lambda p, f: redrock(p, f * np.inf, CRVAL1=3600.0, CDELT1=0.5), "NaN or infinite"),
        (lambda p, f: fits.PrimaryHDU(f).writeto(p), "neither an spEigen file"),
        (lambda p, f: p.write_bytes(b"not FITS"), "cannot be read as templates"),
    ],
)
def test_wrong_files_are_refused_with_the_remedy(tmp_path, flux, make, words):
    path = tmp_path / "bad.fits"
    make(path, flux)
    with pytest.raises(ModelError, match=words) as error:
        read_templates(path)
    assert "bad.fits" in str(error.value)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no template set there"):
        read_templates(tmp_path / "none.fits")
    with pytest.raises(ModelError, match="no template file"):
        read_templates(tmp_path)


@pytest.mark.real
def test_the_templates_of_sdss_match_stars_galaxies_and_qsos(real_data):
    from msfa_core.spectra import read_spectrum

    folder = real_data / "templates_sdss"
    stars = read_templates(folder / "spEigenStar-55734.fits.gz")
    assert len(stars) == 123
    assert "K1III" in stars.subclass
    paths = sorted((real_data / "lamost" / "SBC").glob("*.fits.gz"))[:12]
    spectra = [one for one in map(read_spectrum, paths) if one.meta["class"] == "STAR"]
    found = match(spectra, stars)
    letters = [str(name)[0] for name in found.subclass()]
    known = [one.meta["subclass"].removeprefix("d")[0] for one in spectra]
    near = [
        abs("OBAFGKM".find(a) - "OBAFGKM".find(b)) <= 1 for a, b in zip(letters, known, strict=True)
    ]
    assert np.mean(near) > 0.8
    galaxy = read_spectrum(real_data / "sdss" / "spec-0266-51602-0107.fits.gz")
    found = match(galaxy, read_templates(folder / "spEigenGal-56436.fits.gz"))
    assert found.z[0, 0] == pytest.approx(0.12315, abs=5e-4)
    qso = read_spectrum(real_data / "sdss" / "spec-0548-51986-0020.fits.gz")
    found = match(qso, read_templates(folder / "spEigenQSO-55732.fits.gz"))
    assert found.z[0, 0] == pytest.approx(2.21379, abs=0.01)
