"""Kinds of a template set, and the user's own templates of those that the shipped one lacks."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.cli import run_cli
from msfa_core.config import Settings
from msfa_core.constants import LogGrid
from msfa_core.errors import ModelError
from msfa_core.templates.kinds import KINDS, kind_of, kind_table, welcome_kinds
from msfa_core.templates.library import ALONE, TemplateSet, set_checksum
from msfa_core.templates.read_templates import read_templates

FIRST, N = 34_900, 5_000  # 3090–9770 Å


def sp_eigen(path, kind, names):
    """A file as SDSS writes it: with names stars one by one, else eigen-spectra."""
    wavelength = LogGrid(FIRST, N).wavelength
    rows = np.array(
        [1 + 0.5 * np.sin(wavelength / (300 + 40 * k)) for k in range(max(len(names), 3))]
    )
    header = fits.Header({"COEFF0": FIRST * 1e-4, "COEFF1": 1e-4, "OBJECT": kind})
    for k, name in enumerate(names):
        header[f"NAME{k}"] = name
    fits.PrimaryHDU(rows.astype(np.float32), header).writeto(path)


@pytest.fixture
def folder(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    sp_eigen(own / "spEigenStar.fits", "STAR", ["Carbon (G77)", "L5.5 (J0010)", "G2V (Sun)"])
    sp_eigen(own / "spEigenCVstar.fits", "STAR_CV", [])
    return own


@pytest.mark.parametrize(
    ("subclass", "kind"),
    [("A1V", "stars A"), ("B2Ve", "emission-line stars"), ("A1Iae", "emission-line stars"),
     ("M6III", "late M dwarfs and giants"), ("dM2", "stars M"), ("L5.5", "L and T dwarfs"),
     ("Ldwarf", "L and T dwarfs"), ("Carbon", "carbon stars"), ("CV", "cataclysmic variables"),
     ("DA", "white dwarfs DA"), ("DZ", "white dwarfs of other kinds"), ("DA+M", "DA+M pairs"),
     ("DA/dM", "DA+M pairs"), ("sdB", "hot subdwarfs"), ("BHB", "BHB stars"),
     ("PN", "planetary nebulae"), ("K5Ve", "emission-line stars"), ("", "other stars"),
     ("sdF3", "stars F")],
)  # fmt: skip
def test_every_subclass_is_of_one_kind(subclass, kind):
    assert kind_of("STAR", subclass) == kind


def test_the_shipped_set_says_what_it_has_and_what_it_lacks():
    shipped = TemplateSet.load()
    table = kind_table(shipped)
    assert table["n"].sum() == len(shipped)
    assert table.index.tolist() == list(KINDS)
    assert table.loc["BHB stars", "sources"] == "STELIB, model atmospheres"
    assert table.loc["stars A", "from"] <= 3700 and table.loc["stars A", "to"] > 9000
    assert table.index[table["n"] == 0].tolist() == ["L and T dwarfs"]
    welcome = welcome_kinds(shipped)
    assert {"L and T dwarfs", "carbon stars", "cataclysmic variables"} <= set(welcome)
    assert set(table.loc[welcome[1:], "sources"]) == {"bands and lines on stars"}
    assert not {"white dwarfs DA", "white dwarfs of other kinds", "BHB stars"} & set(welcome)


def test_own_templates_of_welcome_kinds_are_added_to_the_shipped_set(folder):
    shipped, both = TemplateSet.load(), read_templates(f"+{folder}")
    more = both.take(slice(len(shipped), None))
    assert sorted(more.subclass.tolist()) == ["CV", "CV", "CV", "Carbon", "L5.5"]  # no G2V
    assert (both.basis[: len(shipped)] == ALONE).all()
    assert len(set(more.basis[more.subclass == "CV"])) == 1
    first = shipped.first_pixel - both.first_pixel
    same = both.flux[: len(shipped), first : first + shipped.flux.shape[1]]
    assert np.array_equal(same, shipped.flux, equal_nan=True)
    assert np.isfinite(more.flux).sum(axis=1).tolist() == [N] * 5
    assert not set(welcome_kinds(both)) & {"carbon stars", "cataclysmic variables"}


def test_the_setting_with_a_plus_keeps_it_and_has_a_checksum_of_its_own(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    path = replace(Settings(), templates="+own").templates_path
    assert path == f"+{folder}"
    assert len({set_checksum(path), set_checksum(str(folder)), set_checksum()}) == 3
    assert replace(Settings(), templates="own").templates_path == str(folder)


def test_a_folder_without_a_missing_kind_is_refused(tmp_path):
    sp_eigen(tmp_path / "spEigenStar.fits", "STAR", ["G2V (Sun)", "K0III (x)", "A0V (Vega)"])
    with pytest.raises(ModelError, match="no template of a kind that the shipped set lacks"):
        read_templates(f"+{tmp_path}")


def test_the_command_lists_kinds_and_what_is_missing(folder, capsys):
    assert run_cli(["templates", "list"]) == 0
    printed = capsys.readouterr().out
    assert "362 templates" in printed and "missing: L and T dwarfs\n" in printed
    assert "composed, of no observed spectrum: carbon stars, DA+M pairs, catac" in printed
    assert run_cli(["templates", "list", f"+{folder}"]) == 0
    printed = capsys.readouterr().out
    assert "eigen-spectra of spEigenCVstar.fits: CV" in printed
    assert (
        "composed, of no observed spectrum: DA+M pairs, emission-line stars, planetary" in printed
    )
    assert "missing" not in printed
