"""What rare objects become in a match: carbon stars, white dwarfs, variables, galaxies, QSOs.

Two ways of meeting spectra that no template was made of: each template of a kind is held back in
turn, and spectra drawn from it, at S/N 10 to 60, with another continuum, redshift and noise, are
matched with the others; and SDSS's own templates of rare stars (real stars, none of which the
shipped set holds) are drawn in the same way.

Run as a script: ``python tests/benchmarks/bench_rare_kinds.py REAL_DATA [N]``.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from template_spectra import simulated_matches

from msfa_core.templates.kinds import kind_of, kinds_of
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.read_templates import read_templates
from msfa_core.training.scores import wilson_interval

SNR = (10.0, 60.0)
Z = {"STAR": None, "GALAXY": (0.0045, 0.4), "QSO": (0.5, 3.0)}
WHITE_DWARFS = ("white dwarfs DA", "white dwarfs of other kinds")
HELD_BACK = {
    "carbon stars": ("carbon stars",),
    "white dwarfs": WHITE_DWARFS,
    "cataclysmic variables": ("cataclysmic variables",),
    "DA+M pairs": ("DA+M pairs",),
    "galaxies": ("galaxies", "HII regions"),
    "QSOs": ("QSOs",),
}
SDSS = {  # what its templates are, and the words that they are found by
    "carbon stars": ("Carbon",),
    "white dwarfs": ("DZ", "DA", "DAH"),
    "emission-line stars": ("B0IVe", "B1Ve", "B2.5Ve", "B2Ve", "B2Vne", "B3Ve", "B7IVe"),
}
N_VARIABLES, MIXED = 12, 0.35  # of the eigen-spectra of cataclysmic variables


def found_kinds(spectra, templates=None):
    """(n,) kind of the best match after all rules."""
    table = rank(match(spectra, templates), spectra).as_table()
    words = zip(table["template_class"], table["template_subclass"].fillna(""), strict=True)
    return [kind_of(cls, word) if isinstance(cls, str) else "none" for cls, word in words]


def row_of(name, kinds, found):
    """A row of the table: how many became what they are, and what the others became."""
    right = np.isin(found, kinds)
    low, high = wilson_interval(int(right.sum()), len(found))
    others = pd.Series(np.array(found)[~right]).value_counts()
    return {
        "kind": name, "n": len(found), "right": right.mean(), "from": low, "to": high,
        "others": ", ".join(f"{what} {count}" for what, count in others.items()),
    }  # fmt: skip


def held_back(n=20, seed=5):
    """A row per kind: each of its templates drawn n times and matched with all others."""
    whole = TemplateSet.load()
    kind, rows = np.array(kinds_of(whole)), []
    for name, kinds in HELD_BACK.items():
        found = []
        for k in np.flatnonzero(np.isin(kind, kinds)):
            cls = str(whole.cls[k])
            spectra = simulated_matches(n, seed + int(k), SNR, cls, Z[cls], whole.take([k]))
            found += found_kinds(spectra, whole.take(np.arange(len(whole)) != k))
        rows.append(row_of(name, kinds, found))
    return pd.DataFrame(rows)


def variables(real_data, seed=1):
    """Cataclysmic variables mixed of the eigen-spectra of SDSS, as a set."""
    eigen = read_templates(real_data / "templates_sdss" / "spEigenCVstar-55734.fits.gz")
    parts = np.random.default_rng(seed).uniform(-MIXED, MIXED, (N_VARIABLES, 2))
    flux = eigen.flux[0] + parts @ eigen.flux[1:3]
    return replace(
        eigen,
        name=np.array([f"CV {k}" for k in range(N_VARIABLES)]),
        cls=np.full(N_VARIABLES, "STAR"),
        subclass=np.full(N_VARIABLES, "CV"),
        flux=np.maximum(flux, 0.01).astype(np.float32),
        basis=np.full(N_VARIABLES, ALONE),
    )


def of_sdss(real_data, n=40, seed=5):
    """A row per kind of rare star among SDSS's own templates, matched with the shipped set."""
    stars = read_templates(real_data / "templates_sdss" / "spEigenStar-55734.fits.gz")
    sets = {name: stars.take(np.isin(stars.subclass, words)) for name, words in SDSS.items()}
    sets["cataclysmic variables"] = variables(real_data)
    rows = []
    for name, own in sets.items():
        kinds = WHITE_DWARFS if name == "white dwarfs" else (name,)
        rows.append(
            row_of(name, kinds, found_kinds(simulated_matches(n, seed, SNR, "STAR", None, own)))
        )
    return pd.DataFrame(rows)


@pytest.mark.real
@pytest.mark.benchmark
def test_rare_stars_of_sdss_become_what_they_are(real_data):
    table = of_sdss(real_data).set_index("kind")
    print("\n" + table.to_string(float_format="{:.3f}".format))
    assert table.loc[["carbon stars", "white dwarfs"], "right"].min() >= 0.97
    assert table.loc["cataclysmic variables", "right"] >= 0.8


def main(real_data, n="20"):
    said = {"index": False, "float_format": "{:.3f}".format}
    print(f"held back, matched with the other templates\n{held_back(int(n)).to_string(**said)}")
    print(f"\nSDSS's own, matched with all\n{of_sdss(Path(real_data)).to_string(**said)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
