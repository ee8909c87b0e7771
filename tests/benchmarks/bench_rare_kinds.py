"""What rare objects become in a match: carbon stars, white dwarfs, variables, galaxies, QSOs.

Two ways of meeting spectra that no template was made of: each template of a kind is held back in
turn, and spectra drawn from it, at S/N 10 to 60, with another continuum, redshift and noise, are
matched with the others; and SDSS's own templates of rare stars (real stars, none of which the
shipped set holds) are drawn in the same way. Redshifts are asked by distance: galaxies of templates
held back, and QSOs whose lines and forest are drawn one by one.

Run as a script: ``python tests/benchmarks/bench_rare_kinds.py REAL_DATA [N]``.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from distant_spectra import simulated_qsos
from template_spectra import simulated_matches

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.templates.cells import matcher_of
from msfa_core.templates.kinds import kind_of, kinds_of
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.read_templates import read_templates
from msfa_core.training.scores import wilson_interval

SNR = (10.0, 60.0)
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
DISTANCES = {
    "GALAXY": ((0.0045, 0.3), (0.3, 0.65), (0.65, 1.0)),
    "QSO": ((0.1, 1.0), (1.0, 2.2), (2.2, 3.5), (3.5, 4.7), (4.7, 5.5), (5.5, 6.2)),
}
PULLS = (("STAR", None), ("GALAXY", (0.0045, 0.95)), ("QSO", (0.5, 3.0)), ("QSO", (3.0, 4.2)))
SNR_RANGES = ((3.0, 8.0), (8.0, 20.0), (20.0, 60.0))
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


def reach(templates, row):
    """Least and largest redshift of its class that a template serves."""
    matcher = matcher_of(templates)
    ladder = matcher.searches[str(templates.cls[row])].ladder
    served = [z for z in ladder[::8] if matcher.covers(row, float(z))]
    return served[0], served[-1]


def held_back(n=20, seed=5):
    """A row per kind: each of its templates drawn n times and matched with all others."""
    whole = TemplateSet.load()
    kind, rows = np.array(kinds_of(whole)), []
    for name, kinds in HELD_BACK.items():
        found = []
        for k in np.flatnonzero(np.isin(kind, kinds)):
            cls = str(whole.cls[k])
            z = reach(whole, int(k))
            spectra = simulated_matches(n, seed + int(k), SNR, cls, z, whole.take([k]))
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


def galaxies_held_back(n, seed, snr, z):
    """Right class and redshift of galaxies, n of each template, matched with all others."""
    whole = TemplateSet.load()
    parts = []
    for k in np.flatnonzero(whole.cls == "GALAXY"):
        spectra = simulated_matches(n, seed + int(k), snr, "GALAXY", z, whole.take([k]))
        parts.append(are_right(spectra, whole.take(np.arange(len(whole)) != k), "GALAXY"))
    return np.concatenate(parts, axis=1)


def are_right(spectra, templates, cls):
    """(2, n) whether the class is right, and the redshift too, within 1000 km/s."""
    table = rank(match(spectra, templates), spectra).as_table()
    right = (table["template_class"] == cls).to_numpy(dtype=bool)
    off = np.abs(table["template_z"].to_numpy(dtype=float) - spectra.z) / (1 + spectra.z)
    return np.stack([right, right & (off * SPEED_OF_LIGHT < 1000.0)])


def distant(n=60, seed=7):
    """A row per class, range of redshift and of S/N: right class, and redshift within 1000 km/s."""
    whole, rows = TemplateSet.load(), []
    for cls, ranges in DISTANCES.items():
        for z in ranges:
            for snr in SNR_RANGES:
                if cls == "GALAXY":
                    right = galaxies_held_back(-(-n // 14), seed, snr, z)
                else:
                    right = are_right(simulated_qsos(n, seed, snr, z), whole, cls)
                low, high = wilson_interval(int(right[1].sum()), right.shape[1])
                rows.append(
                    {
                        "class": cls, "z": f"{z[0]:g}–{z[1]:g}", "S/N": f"{snr[0]:g}–{snr[1]:g}",
                        "n": right.shape[1], "class right": right[0].mean(),
                        "z right": right[1].mean(), "from": low, "to": high,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def pulls(n=480, seed=30):
    """A row per class and S/N: rms of redshift errors over what is stated, templates drawn."""
    whole, rows = TemplateSet.load(), []
    for cls, z in PULLS:
        own = whole.take(np.flatnonzero(whole.cls == cls))
        for snr in ((5.0, 12.0), (12.0, 30.0), (30.0, 60.0)):
            spectra = simulated_matches(n, seed, snr, cls, z, own)
            found = match(spectra, own, k=1)
            off = found.z[:, 0] - spectra.z
            near = np.abs(off) * SPEED_OF_LIGHT < 1000.0 * (1 + spectra.z)
            pull = (off / found.z_err[:, 0])[near]
            rows.append(
                {
                    "class": cls,
                    "S/N": f"{snr[0]:g}–{snr[1]:g}",
                    "n": len(pull),
                    "width": np.nanstd(pull),
                }
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
    print(f"\nby redshift and S/N\n{distant(3 * int(n)).to_string(**said)}")
    print(f"\npulls of redshifts\n{pulls(24 * int(n)).to_string(**said)}")
    print(f"\nSDSS's own, matched with all\n{of_sdss(Path(real_data)).to_string(**said)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
