"""Sky residuals: read from fibres, measured, made into the shipped statistics, and drawn again."""

import csv

import numpy as np
import pytest

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ReadError
from msfa_core.simulate.sky import add_sky_lines, sky_residuals
from msfa_core.simulate.sky_fibres import read_fibres
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spectra.writers import write_lamost
from msfa_core.workshop.sky_residuals import main, statistics

WAVELENGTH = LAMOST_GRID.wavelength
LINE = int(np.searchsorted(WAVELENGTH, 5578.9))
FIBRES = 40
SIZE, ERROR = 6.0, 3.0  # of the made-up line, in units of the error beside it


def write_fibres(folder, n=FIBRES, seed=1):
    """Sky fibres of noise 2 about a level of 7, with one line of three pixels."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for k in range(n):
        error = np.full(len(WAVELENGTH), 2.0)
        flux = 7 + error * rng.standard_normal(len(WAVELENGTH))
        error[LINE - 1 : LINE + 2] *= ERROR
        flux[LINE - 1 : LINE + 2] += 2 * SIZE * rng.standard_normal()
        spectrum = Spectrum(
            obsid=k + 1,
            wavelength=WAVELENGTH,
            flux=flux,
            ivar=error**-2,
            mask=np.zeros(len(flux), bool),
            z=0.0,
        )
        write_lamost(spectrum, folder / f"sky-{k:03d}.fits")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fibres(tmp_path_factory.mktemp("sky") / "fibres")


def test_a_line_of_the_sky_is_measured_in_units_of_the_error_beside_it(folder):
    residual, error = read_fibres(folder)
    assert residual.shape == (FIBRES, len(WAVELENGTH))
    assert abs(np.median(residual)) < 0.02  # the level is taken off
    size, relative, scatter = statistics(residual, error)
    on_line = np.abs(np.arange(len(WAVELENGTH)) - LINE) <= 1
    assert size[on_line] == pytest.approx(SIZE, rel=0.4)
    assert relative[on_line] == pytest.approx(ERROR)
    assert not size[~on_line].any()
    assert np.all(relative[~on_line] == 1)
    assert 0.3 < scatter < 1.5


def test_the_table_holds_the_pixels_with_lines(folder, tmp_path, capsys):
    out = tmp_path / "table.csv"
    assert main([str(folder), str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["pixel"]) for row in rows] == [LINE - 1, LINE, LINE + 1]
    assert all(float(row["error"]) == pytest.approx(ERROR) for row in rows)


def test_folders_without_usable_fibres_are_refused_and_few_fibres_make_no_statistics(tmp_path):
    with pytest.raises(ReadError, match="no FITS file"):
        read_fibres(tmp_path)
    few = write_fibres(tmp_path / "few", n=3)
    with pytest.raises(ReadError, match="3 sky fibres are too few"):
        statistics(*read_fibres(few))
    other = tmp_path / "other"
    other.mkdir()
    coarse = np.arange(4000.0, 8000.0, 2.0)
    flat = np.ones(len(coarse))
    spectrum = Spectrum(obsid=1, wavelength=coarse, flux=flat, ivar=flat, mask=flat < 0, z=0.0)
    write_lamost(spectrum, other / "linear.fits")
    with pytest.raises(ReadError, match="steps of 0.0001"):
        read_fibres(other)
    assert main([str(tmp_path / "none"), str(tmp_path / "out.csv")]) == 1
    assert not (tmp_path / "out.csv").exists()


def test_files_that_are_no_sky_fibres_are_left_out_and_counted(tmp_path, caplog):
    folder = write_fibres(tmp_path / "mixed", n=2)
    coarse = np.arange(4000.0, 8000.0, 2.0)
    flat = np.ones(len(coarse))
    write_lamost(
        Spectrum(obsid=9, wavelength=coarse, flux=flat, ivar=flat, mask=flat < 0, z=0.0),
        folder / "linear.fits",
    )
    assert len(read_fibres(folder)[0]) == 2
    assert "1 of 3 files" in caplog.text


@pytest.mark.parametrize("fibres", [None, "real"])
def test_residuals_drawn_have_the_size_of_those_measured(fibres):
    n = 4000
    rng = np.random.default_rng(3)
    pixel, size, extra = sky_residuals()
    real = None
    if fibres:
        real = np.zeros((50, len(WAVELENGTH)))
        real[:, pixel] = size * rng.standard_normal((50, len(pixel)))
    flux, error = np.zeros((n, len(WAVELENGTH)), np.float32), np.ones((n, len(WAVELENGTH)), "f4")
    add_sky_lines(flux, error, rng, real)
    strong = size > 2
    drawn = np.median(np.abs(flux[:, pixel[strong]]), axis=0) / size[strong]
    assert np.median(drawn) == pytest.approx(0.6745, rel=0.2)  # of Gaussians, whatever the level
    np.testing.assert_allclose(np.median(error[:, pixel], axis=0), extra, rtol=0.1)
    away = np.setdiff1d(np.arange(len(WAVELENGTH)), pixel)
    assert not flux[:, away].any()
    assert np.all(error[:, away] == 1)


def test_the_strongest_residual_is_that_of_oxygen_at_5577():
    pixel, size, _ = sky_residuals()
    in_reach = WAVELENGTH[pixel] < 7000
    assert WAVELENGTH[pixel][in_reach][np.argmax(size[in_reach])] == pytest.approx(5579, abs=2)


def test_a_survey_draws_from_fibres_only_when_told_to(folder):
    plain = SurveyPlan(4, 3, {"A": 1}, (20.0, 50.0))
    told = SurveyPlan(4, 3, {"A": 1}, (20.0, 50.0), sky_fibres=str(folder))
    (one, truth), (other, same) = simulate_chunk(plain, 0), simulate_chunk(told, 0)
    np.testing.assert_array_equal(other.flux, simulate_chunk(told, 0)[0].flux)
    assert truth["true_teff"].equals(same["true_teff"])
    assert not np.array_equal(one.flux, other.flux)


@pytest.mark.real
def test_the_shipped_statistics_are_those_of_the_real_fibres(real_data):
    residual, error, _ = statistics(*read_fibres(real_data / "sdss_sky"))
    pixel, size, extra = sky_residuals()
    np.testing.assert_array_equal(np.flatnonzero(error > 1), pixel)
    np.testing.assert_allclose(residual[pixel], size, atol=0.006)
    np.testing.assert_allclose(error[pixel], extra, atol=0.006)
