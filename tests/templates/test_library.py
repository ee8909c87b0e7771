from dataclasses import replace

import numpy as np
import pytest

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ModelError
from msfa_core.templates.library import TEMPLATE_FILE, TemplateSet, check_grid, set_checksum


@pytest.fixture(scope="module")
def shipped():
    return TemplateSet.load()


def test_the_shipped_set_has_every_kind_of_object(shipped):
    assert {"STAR", "GALAXY", "QSO"} == set(shipped.cls.tolist())
    assert {"BHB", "DA", "DB", "sdB", "sdO"} <= set(shipped.subclass.tolist())
    letters = {
        name[0] for name, cls in zip(shipped.subclass, shipped.cls, strict=True) if cls == "STAR"
    }
    assert set("OBAFGKM") <= letters
    assert len(shipped) > 250
    assert len(set(shipped.name.tolist())) == len(shipped)
    assert "Le Borgne" in shipped.provenance


def test_the_shipped_file_stays_small():
    assert TEMPLATE_FILE.stat().st_size < 6e6


def test_templates_cover_what_their_redshifts_need(shipped):
    first, last = shipped.wavelength[shipped.extent].T
    stars, galaxies, qsos = (shipped.cls == cls for cls in ("STAR", "GALAXY", "QSO"))
    assert (first[stars] < 3760).all()
    assert (last[stars] > 8960).all()
    assert (first[galaxies] < 3800 / 1.65).all()
    assert (first[qsos] < 3800 / 5.4).all()


def test_a_set_survives_its_file(shipped, tmp_path):
    few = shipped.take(np.arange(0, len(shipped), 40))
    few.save(tmp_path / "few.npz")
    again = TemplateSet.load(tmp_path / "few.npz")
    assert again.name.tolist() == few.name.tolist()
    assert np.array_equal(again.wavelength, few.wavelength)
    level = few.flux / np.nanmedian(few.flux, axis=1, keepdims=True)
    shown = level > 0.01
    assert np.allclose(again.flux[shown], level[shown], rtol=2e-4)
    assert np.array_equal(np.isnan(again.flux), np.isnan(few.flux))


def test_eigen_spectra_are_not_saved_as_if_they_had_a_logarithm(shipped, tmp_path):
    eigen = replace(shipped.take(slice(0, 2)), basis=np.zeros(2, dtype=np.int64))
    with pytest.raises(ModelError, match="keep the file they came in"):
        eigen.save(tmp_path / "eigen.npz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w / 10, "not optical ones in Å; convert from nm"),
        (lambda w: w * 1e-4, "convert from nm or µm"),
        (lambda w: np.linspace(w[0], w[-1], len(w)), "not whole steps of 1e-4 in log10"),
        (lambda w: w[::-1], "sort them"),
        (lambda w: np.where(w > 5000, np.nan, w), "hold NaN"),
    ],
)
def test_a_wrong_grid_is_refused_with_its_remedy(change, words):
    with pytest.raises(ModelError, match=words):
        check_grid(change(LAMOST_GRID.wavelength), "my set")


def test_a_template_with_nan_is_named(shipped):
    flux = shipped.flux[:3].copy()
    flux[1, shipped.extent[1, 0] + 500] = np.nan
    with pytest.raises(ModelError, match=f"{shipped.name[1]}.*holds 1 NaN"):
        replace(shipped.take(slice(0, 3)), flux=flux)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cls": np.array(["STAR", "ROCK"])}, "class 'ROCK' is none of"),
        ({"subclass": np.array(["A0"])}, "subclass has shape"),
        ({"flux": np.full((2, 5), 1.0, dtype=np.float32)}, "flux has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(shipped, change, words):
    with pytest.raises(ModelError, match=words):
        replace(shipped.take(slice(0, 2)), **change)


def test_a_set_without_templates_or_with_an_empty_one_is_refused(shipped):
    with pytest.raises(ModelError, match="without a template"):
        shipped.take(slice(0, 0))
    flux = np.full_like(shipped.flux[:1], np.nan)
    with pytest.raises(ModelError, match="holds only NaN"):
        replace(shipped.take(slice(0, 1)), flux=flux)
    with pytest.raises(ModelError, match="zero everywhere"):
        replace(shipped.take(slice(0, 1)), flux=np.zeros_like(flux))


def test_files_that_are_no_sets_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no template set there"):
        TemplateSet.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ModelError, match="not a template set"):
        TemplateSet.load(tmp_path / "other.npz")


def test_the_checksum_is_of_the_files(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"1")
    one = set_checksum(tmp_path)
    (tmp_path / "a.fits").write_bytes(b"2")
    assert one != set_checksum(tmp_path) != set_checksum()
    with pytest.raises(ModelError, match="missing; restore it"):
        set_checksum(tmp_path / "none.npz")
