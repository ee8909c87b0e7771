"""Real stars beside simulated ones: the comparison finds what differs and nothing else."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ExportError, ReadError
from msfa_core.simulate.atmospheres import model_spectra
from msfa_core.simulate.instrument import broaden
from msfa_core.workshop.compare import (
    LIBRARY_FWHM,
    STARS,
    compare,
    draw,
    main,
    pairs,
    read_library_star,
)
from msfa_core.workshop.line_opacity import air_to_vacuum

AIR = np.arange(3750.0, 5300.0, 0.9)
VACUUM = np.array([air_to_vacuum(w) for w in AIR])
PARAMETERS = (8600.0, 3.3, -1.5)


def star(teff, logg, feh, velocity=0.0):
    """A model at the resolution of the library, reddened, on its wavelengths in vacuum."""
    model = model_spectra("ms", teff, logg, feh)
    resolution = np.full((1, 2), 4475.0 / LIBRARY_FWHM)
    lines = broaden(model.lines, np.array([10.0]), np.array([velocity]), resolution)[0]
    grid = LAMOST_GRID.wavelength
    slope = np.exp(0.5 * (grid - 4500) / 1000 - 0.2 * ((grid - 4500) / 1000) ** 2)
    return np.interp(VACUUM, grid, lines * model.continuum[0] * slope)


def write_library(folder, flux):
    (folder / "miles").mkdir()
    rows = []
    for one in STARS:
        header = fits.Header({"CRVAL1": AIR[0], "CDELT1": 0.9, "CRPIX1": 1.0})
        fits.PrimaryHDU(flux.astype(np.float32), header).writeto(folder / one.path)
        row = dict(zip(("teff", "logg", "feh"), PARAMETERS, strict=True))
        rows.append({"path": one.path, "subclass": "A0", "notes": "HD000123", **row})
    pd.DataFrame(rows).to_csv(folder / "MANIFEST.csv", index=False)
    return folder


def test_a_star_of_the_models_differs_from_its_simulation_by_little():
    same = compare(VACUUM, star(*PARAMETERS), PARAMETERS, 10.0)
    assert same.rms < 0.004
    other = compare(VACUUM, star(8600.0, 4.2, 0.0), PARAMETERS, 10.0)
    assert other.rms > 5 * same.rms


def test_the_velocity_of_a_star_is_found():
    pair = compare(VACUUM, star(*PARAMETERS, velocity=40.0), PARAMETERS, 10.0)
    assert pair.velocity == pytest.approx(40, abs=4)
    assert pair.rms < 0.004


def test_stars_that_cannot_be_compared_are_refused_by_name(tmp_path):
    with pytest.raises(ReadError, match="outside the models"):
        compare(VACUUM, star(*PARAMETERS), (60_000.0, 4.0, 0.0), 10.0)
    with pytest.raises(ReadError, match="covers"):
        compare(VACUUM[400:], star(*PARAMETERS)[400:], PARAMETERS, 10.0)
    (tmp_path / "text.fits").write_text("no FITS")
    with pytest.raises(ReadError, match="not a library star"):
        read_library_star(tmp_path / "text.fits")
    with pytest.raises(ReadError, match=r"MANIFEST\.csv"):
        pairs(tmp_path)
    assert main([str(tmp_path), str(tmp_path / "out.png")]) == 1


def test_the_figure_is_drawn_from_a_folder_of_real_stars(tmp_path):
    folder, out = write_library(tmp_path, star(*PARAMETERS)), tmp_path / "figure.png"
    assert main([str(folder), str(out)]) == 0
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert pairs(folder)[0].title.startswith("HD 123, BHB star (A0): 8600 K, log g 3.30")
    with pytest.raises(ExportError, match="cannot be written"):
        draw(pairs(folder, STARS[:1]), tmp_path / "no" / "such" / "folder.png")


@pytest.mark.real
def test_real_stars_look_like_spectra_simulated_for_their_parameters(real_data):
    made = pairs(real_data)
    assert len(made) == 6
    assert max(pair.rms for pair in made) < 0.018
    assert np.mean([pair.rms for pair in made]) < 0.013
    assert max(abs(pair.velocity) for pair in made) < 50
