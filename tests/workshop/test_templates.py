"""The parts that the template set is composed of."""

from dataclasses import replace

import numpy as np
import pytest

from msfa_core.constants import BALMER_LINES, LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.errors import ReadError
from msfa_core.templates import TemplateSet, match
from msfa_core.templates.spectral_types import spectral_code
from msfa_core.templates.weights import FIT_RANGE
from msfa_core.workshop import templates_stelib as stelib
from msfa_core.workshop.lamost_types import lamost_code, type_name
from msfa_core.workshop.templates_builder import BETWEEN, build_templates
from msfa_core.workshop.templates_galaxies import GALAXIES, GALAXY_GRID
from msfa_core.workshop.templates_models import model_templates, models
from msfa_core.workshop.templates_qsos import (
    DISTANT,
    DISTANT_QUASARS,
    QSO_GRID,
    optical_depth,
)
from msfa_core.workshop.templates_stelib import STELIB_GRID, LibraryStar

WAVELENGTH = STELIB_GRID.wavelength


@pytest.fixture(scope="module")
def built():
    """The set made again from the stars of the shipped one."""
    return build_templates()


def star(flux=None, kind="G2V", teff=np.nan, logg=np.nan, feh=np.nan):
    flux = np.ones(STELIB_GRID.n_pixels) if flux is None else flux
    return LibraryStar("HD000000", kind, teff, logg, feh, flux)


# --- the library of stars ----------------------------------------------------------------------
def test_air_wavelengths_become_those_of_vacuum():
    air = np.array([4101.734, 4340.472, 4861.35, 6562.79])
    vacuum = [float(BALMER_LINES[name]) for name in ("hdelta", "hgamma", "hbeta", "halpha")]
    assert stelib.air_to_vacuum(air) == pytest.approx(vacuum, abs=0.02)


@pytest.mark.parametrize(
    ("text", "code", "luminosity"),
    [
        ("G7.5IIIa", 48, "III"),
        ("sdF5", 35, ""),
        ("A1Vn", 21, "V"),
        ("K0", 50, ""),
        ("M0.5III", 61, "III"),
    ],
)
def test_mk_types_are_read(text, code, luminosity):
    assert stelib.mk_type(text) == (code, luminosity)


def test_a_type_that_is_none_has_no_code():
    assert np.isnan(stelib.mk_type("WN")[0])


def test_subclasses_are_those_of_the_survey():
    poor = stelib.subclass_of(star(kind="K0III", teff=4700, logg=2.5, feh=-0.8))
    assert poor.startswith("G")
    assert poor.endswith("III")
    assert stelib.subclass_of(star(kind="K7V", teff=4100, logg=4.6, feh=0)) == "K7V"
    assert stelib.subclass_of(star(kind="B5IV")) == "B5IV"
    assert stelib.subclass_of(star(kind="O5e", teff=49_300.0)) == "O5"  # it was B0
    on_the_branch = replace(star(kind="A0p", teff=8300.0, logg=3.3, feh=-1.8), name="HD109995 A0p")
    assert stelib.subclass_of(on_the_branch) == "BHB"
    solar = stelib.subclass_of(star(kind="G2V", teff=5770, logg=4.4, feh=0))
    assert abs(spectral_code([solar])[0] - 42) <= 2


def test_stars_that_cannot_serve_are_named_with_the_reason():
    gap = np.ones(STELIB_GRID.n_pixels)
    gap[WAVELENGTH > 5500] = np.nan
    assert "gaps" in stelib.unfit(star(gap), 42)
    assert "but 4700 K" in stelib.unfit(star(kind="F8IV", teff=4700.0), 38)
    assert "type WN" in stelib.unfit(star(kind="WN"), np.nan)
    assert stelib.unfit(star(kind="G2V", teff=5770.0), 42) == ""


def test_telluric_bands_are_divided_out_of_every_star():
    band = (WAVELENGTH > 7600) & (WAVELENGTH < 7700)
    depth = np.where(band, 1 - 0.6 * np.abs(np.sin(WAVELENGTH)), 1.0)
    strengths = (0.8, 1.0, 1.3, 0.9)
    stars = [star(depth**power, kind="A0V") for power in strengths]
    clean = stelib.divide_telluric(stars, np.full(4, 20.0))
    for before, after in zip(stars, clean, strict=True):
        assert np.std(after[band]) < 0.1 * np.std(before.flux[band])


def test_gaps_are_filled_from_the_star_most_alike():
    random = np.random.default_rng(3)
    kinds = [1 + 0.1 * random.normal(size=len(WAVELENGTH)) for _ in range(2)]
    full = [kinds[0] * np.linspace(1, 2, len(WAVELENGTH)), kinds[1], kinds[0].copy()]
    gap = (WAVELENGTH > 7900) & (WAVELENGTH < 8600)
    full[2][gap] = np.nan
    filled = stelib.fill_gaps(full, np.array([40.0, 40.0, 40.0]))[2]
    assert np.array_equal(filled[~gap], kinds[0][~gap])
    assert np.corrcoef(filled[gap], kinds[0][gap])[0, 1] > 0.97
    assert np.median(filled[gap] / kinds[0][gap]) == pytest.approx(1, abs=0.1)


def test_velocities_of_the_exposures_are_found_and_taken_out():
    at = np.random.default_rng(1).uniform(0, STELIB_GRID.n_pixels, 500)
    x = np.arange(STELIB_GRID.n_pixels)
    pixel = LAMOST_GRID.step * np.log(10) * SPEED_OF_LIGHT

    def spectrum(pixels):
        by = np.interp(WAVELENGTH, stelib.ARMS, np.repeat(pixels, 2))
        lines = np.exp(-0.5 * ((x[:, None] - by[:, None] - at) / 1.5) ** 2).sum(axis=1)
        return 1 - 0.2 * lines

    rest, moved = spectrum([0.0, 0.0, 0.0]), spectrum([-0.25, 0.32, 0.0])
    found = [stelib.residual_shift(moved, rest, part) for part in stelib._VELOCITY_RANGES]
    assert np.array(found) / pixel == pytest.approx([-0.25, 0.32, 0.0], abs=0.03)
    again = stelib.shift(moved, np.array(found))
    inside = (WAVELENGTH > 3800) & (WAVELENGTH < 9000)
    assert np.abs(again - rest)[inside].max() < 0.2 * np.abs(moved - rest)[inside].max()


def test_a_folder_without_the_library_is_refused(tmp_path):
    with pytest.raises(ReadError, match="no STELIB_"):
        stelib.stelib_templates(tmp_path)
    (tmp_path / "STELIB_v3.2_HD1.fits").write_bytes(b"nothing")
    with pytest.raises(ReadError, match="not a STELIB spectrum"):
        stelib.stelib_templates(tmp_path)


@pytest.mark.real
def test_a_real_star_of_the_library_is_read(real_data):
    found = stelib.read_stelib(real_data / "stelib" / "STELIB_v3.2_HD030739.fits")
    assert found.spectral_type == "A1Vn"
    halpha = float(BALMER_LINES["halpha"])
    line = np.abs(WAVELENGTH - halpha) < 25
    depth = np.maximum(0.9 * found.flux[line].max() - found.flux[line], 0)
    centre = np.sum(WAVELENGTH[line] * depth) / depth.sum()
    assert (centre / halpha - 1) * SPEED_OF_LIGHT == pytest.approx(0, abs=40)


# --- types ---------------------------------------------------------------------------------------
def test_types_follow_temperature_and_metals_make_them_late():
    codes = [lamost_code(teff, 4.3, 0.0) for teff in (9500, 8000, 7000, 6300, 5800, 5300, 4700)]
    assert (np.diff(codes) > 0).all()
    assert lamost_code(6300, 4.2, -2.0) < lamost_code(6300, 4.2, 0.0) - 4
    assert type_name(25, "V") == "A5V"


def test_the_mk_type_is_the_base_of_giants_and_holds_where_the_relation_ends():
    assert lamost_code(np.nan, 2.5, np.nan, 48.0) == pytest.approx(48, abs=2)
    assert lamost_code(np.nan, 2.5, -1.0, 48.0) < lamost_code(np.nan, 2.5, 0.0, 48.0) - 3
    assert lamost_code(np.nan, np.nan, np.nan, 62.0) == 62.0
    assert np.isnan(lamost_code(np.nan, np.nan, np.nan))


# --- models, galaxies, QSOs ---------------------------------------------------------------------
def test_models_are_inside_the_grid_and_named_apart():
    names, subclasses, flux = model_templates()
    assert np.isfinite(flux).all()
    assert len(set(names)) == len(names)
    assert {"BHB", "DA", "DB", "sdB", "sdO"} <= set(subclasses)
    hot = [m for m in models() if m.kind == "ms" and m.subclass[0] == "B" and m.subclass != "BHB"]
    assert all(m.teff > 9500 for m in hot)


def test_the_set_is_made_again_from_the_shipped_stars(built):
    shipped = TemplateSet.load()
    assert built.name.tolist() == shipped.name.tolist()
    assert built.subclass.tolist() == shipped.subclass.tolist()
    middle = np.nanmedian(built.flux, axis=1, keepdims=True)
    shown = built.flux > 0.01 * middle
    ratio = (built.flux / middle)[shown] / (
        shipped.flux / np.nanmedian(shipped.flux, axis=1, keepdims=True)
    )[shown]
    assert np.percentile(np.abs(ratio - 1), 99) < 2e-3
    assert np.allclose(built.continuum, shipped.continuum, atol=1e-4)


def test_late_dwarfs_lie_between_their_neighbours(built):
    names = built.name.tolist()
    between = [k for k, name in enumerate(names) if name.startswith("HD") and "–" in name]
    assert len(between) == len(BETWEEN)
    red = np.abs(built.wavelength - 8000) < 50
    blue = np.abs(built.wavelength - 5000) < 50
    colour = [
        float(np.nanmean(built.flux[k, red]) / np.nanmean(built.flux[k, blue])) for k in between
    ]
    assert (np.diff(colour) > 0).all()


def test_galaxies_have_the_lines_they_were_given(built):
    rows = np.flatnonzero(built.cls == "GALAXY")
    assert len(rows) == len(GALAXIES)
    at = built.wavelength
    for row, galaxy in zip(rows, GALAXIES, strict=True):
        if galaxy.halpha < 40:
            continue
        flux = built.flux[row].astype(np.float64)
        for centre in (6564.6, 5008.24):
            line = np.abs(at - centre) < 12
            sides = (np.abs(at - centre) < 60) & (np.abs(at - centre) > 40)
            width = np.gradient(at)[line]
            level = np.nanmedian(flux[sides])
            strength = np.sum((flux[line] / level - 1) * width)
            if centre > 6000:
                assert strength == pytest.approx(galaxy.halpha, rel=0.2, abs=8)
            else:
                assert strength > 0


def test_qsos_reach_from_the_lyman_limit_to_the_red(built):
    rows = (built.cls == "QSO") & ~np.char.startswith(built.name, "QSO at z")
    flux = built.flux[rows]
    at = built.wavelength

    def mean(low, high):
        return np.nanmean(flux[:, (at > low) & (at < high)], axis=1)

    assert (mean(1210, 1225) > 1.3 * mean(1300, 1330)).all()
    unabsorbed = (1010 / 1290) ** -1.56
    assert (mean(1000, 1020) < 0.8 * unabsorbed * mean(1280, 1300)).all()
    assert (mean(2780, 2815) > mean(2650, 2700)).all()
    assert QSO_GRID.wavelength[0] < GALAXY_GRID.wavelength[0]


def test_the_forest_of_distant_qsos_takes_what_it_takes_on_the_sky(built):
    """Mean transmission 0.8–0.9 Lyman α: 0.47 of QSOs at z 4.2, 0.08 at z 6."""
    assert optical_depth(np.array([2.0, 4.0, 5.5])) == pytest.approx([0.095, 0.85, 2.63], rel=0.02)
    at, left = built.wavelength, []
    for z, least, most in DISTANT:
        rows = np.char.startswith(built.name, f"QSO at z {least:g}–{most:g}")
        assert rows.sum() == len(DISTANT_QUASARS)
        flux = built.flux[rows]
        forest = np.nanmean(flux[:, (at > 1080) & (at < 1150)], axis=1)
        # no template of a QSO near z 6 reaches the red of its lines
        beside = np.nanmean(flux[:, (at > 1255) & (at < 1270)], axis=1)
        left.append(np.median(forest / beside / (1115 / 1262) ** -1.56))
        low, high = (float(edge) for edge in FIT_RANGE)
        known = at[np.isfinite(flux).all(axis=0)]
        assert known[0] * (1 + most) < low and known[-1] * (1 + least) > high
        assert np.isclose(left[-1], np.exp(-optical_depth(1115 * (1 + z) / 1215.67 - 1)), atol=0.1)
    assert (np.diff(left) < 0).all() and left[-1] < 0.09


def test_a_set_can_be_matched_with_as_soon_as_it_is_built(built, tmp_path):
    built.save(tmp_path / "set.npz")
    again = TemplateSet.load(tmp_path / "set.npz")
    from template_spectra import simulated_matches

    spectra = simulated_matches(2, seed=3, snr=(60.0, 80.0), templates=again)
    assert match(spectra, again, k=1).cls().tolist() == ["STAR", "STAR"]
