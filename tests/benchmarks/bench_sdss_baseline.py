"""What continuum adjustment gains over an SDSS-like pipeline, and what the confidence gains.

The same labelled real spectra, whole and with faults, by three variants: the SDSS-like one
(eigen-spectra and a polynomial, doubted where Δχ² < 1 %), ours with the same doubt in place of the
confidence, and ours. A match is *right* when its class is that of the label and its subclass within
five subtypes; *honest* when it is right, or doubted.

Run as a script: ``python tests/benchmarks/bench_sdss_baseline.py REAL_DATA [N]``.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from faulty_spectra import scaled, with_noise, with_step, with_tilt, without_arm
from real_lamost import labelled

from msfa_core.flags import MatchFlag
from msfa_core.templates.baseline import is_doubted, sdss_like
from msfa_core.templates.library import TemplateSet
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.spectral_types import subtypes_apart

WITHIN = 5.0  # subtypes
# Lines of the night sky [Å] whose residuals stay: oxygen, and the brightest of OH
SKY = (5578.5, 6302.0, 6365.5, 7278.0, 7318.0, 7343.0, 7526.0, 7573.0, 7752.0, 7796.0, 7823.0,
       7915.0, 7966.0, 7995.0, 8027.0, 8346.0, 8401.0, 8432.0, 8467.0, 8507.0, 8780.0, 8829.0,
       8887.0)  # fmt: skip


def with_sky(spectra, size, seed=4):
    """Residuals of sky lines, of either sign and up to ``size`` of the continuum."""
    rng = np.random.default_rng(seed)
    wavelength = spectra.wavelength
    factor = np.ones(len(wavelength))
    for line in SKY:
        factor += size * rng.uniform(-1, 1) * np.exp(-0.5 * ((wavelength - line) / 3.0) ** 2)
    given = scaled(spectra, factor)
    return type(spectra)(
        **{name: getattr(given if name == "flux" else spectra, name) for name in spectra.__slots__}
    )


FAULTS = {
    "none": lambda s: s,
    "S/N × 0.2": lambda s: with_noise(s, 0.2),
    "step × 0.5": lambda s: with_step(s, 0.5),
    "step × 2": lambda s: with_step(s, 2.0),
    "tilt + 0.5": lambda s: with_tilt(s, 0.5),
    "tilt − 1": lambda s: with_tilt(s, 1.0, -1.0),
    "no blue arm": lambda s: without_arm(s, "blue"),
    "no red arm": lambda s: without_arm(s, "red"),
    "sky residuals": lambda s: with_sky(s, 1.0),
}


def variants(given, baseline):
    """Matches and what is trusted of them, by the name of the variant."""
    theirs = match(given, baseline)
    ours = match(given)
    ranked = rank(ours, given)
    low = int(MatchFlag.LOW_CONFIDENCE | MatchFlag.NO_SOLUTION)
    return {
        "SDSS-like": (theirs, ~is_doubted(theirs)),
        "continuum": (ours, ~is_doubted(ours)),
        "continuum, confidence": (ranked, (ranked.flags & low) == 0),
    }


def is_right(matches, cls, subclass):
    """(n,) class as labelled, and the subclass of stars within five subtypes."""
    apart = subtypes_apart(list(subclass), matches.subclass().tolist())
    near = ~(apart > WITHIN) | (np.asarray(cls) != "STAR")
    return (matches.cls() == np.asarray(cls)) & near


def comparison(spectra, cls, subclass):
    """A row per spectrum, fault and variant: right, trusted, velocity off [km/s]."""
    baseline, parts = sdss_like(TemplateSet.load()), []
    for fault, inject in FAULTS.items():
        given = inject(spectra)
        for name, (matches, trusted) in variants(given, baseline).items():
            right = is_right(matches, cls, subclass)
            parts.append(
                pd.DataFrame(
                    {
                        "fault": fault, "variant": name, "spectrum": np.arange(len(right)),
                        "right": right, "trusted": trusted, "honest": right | ~trusted,
                        "wrong, trusted": trusted & ~right,
                        "off": 299_792.458 * (matches.z[:, 0] - spectra.z),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def with_interval(good):
    """A share and its Wilson interval of 95 %, in words."""
    n, p = len(good), float(np.mean(good))
    z2 = 1.96**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = 1.96 * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return f"{100 * p:5.1f} ({100 * (middle - half):.0f}–{100 * (middle + half):.0f})"


def shares(table):
    """A row per fault and variant: shares in percent with intervals, velocity scatter [km/s]."""
    rows = []
    for (fault, variant), part in table.groupby(["fault", "variant"], sort=False):
        off = part["off"][part["right"] & (part["off"].abs() < 3000)]
        scatter = 1.4826 * np.median(np.abs(off - np.median(off))) if len(off) else np.nan
        row = {"fault": fault, "variant": variant, "n": len(part)}
        row |= {
            what: with_interval(part[what]) for what in ("right", "trusted", "honest",
                                                         "wrong, trusted")
        }  # fmt: skip
        rows.append(row | {"velocity": f"{scatter:.0f}"})
    return pd.DataFrame(rows)


def gains(table, n_draws=2000, seed=1):
    """What each step gains on the faulty spectra [percent], drawn anew by spectrum."""
    faulty = table[table["fault"] != "none"]
    steps = {
        "right: continuum over SDSS-like": ("right", "SDSS-like", "continuum"),
        "honest: continuum over SDSS-like": ("honest", "SDSS-like", "continuum"),
        "honest: confidence over Δχ²": ("honest", "continuum", "continuum, confidence"),
        "honest: both over SDSS-like": ("honest", "SDSS-like", "continuum, confidence"),
    }
    rng, rows = np.random.default_rng(seed), []
    for name, (what, before, after) in steps.items():
        mean = faulty.groupby(["variant", "spectrum"])[what].mean()
        gain = 100 * (mean[after] - mean[before]).to_numpy()
        drawn = rng.choice(gain, (n_draws, len(gain))).mean(axis=1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        rows.append({"gain": name, "percent": gain.mean(), "low": low, "high": high})
    return pd.DataFrame(rows).set_index("gain")


def chosen(real_data, n):
    """About n labelled spectra, evenly of the list; all QSOs and galaxies are among them."""
    spectra, table = labelled(real_data, least_snr=10.0)
    few = (table["class"] != "STAR").to_numpy()
    stars = np.flatnonzero(~few)
    take = np.append(stars[:: max(1, len(stars) // n)], np.flatnonzero(few))
    rows = np.sort(take)
    return spectra[rows], table["class"].to_numpy()[rows], table["subclass"].to_numpy()[rows]


@pytest.mark.real
@pytest.mark.benchmark
def test_continuum_and_confidence_gain_over_an_sdss_like_pipeline(real_data):
    table = comparison(*chosen(real_data, 30))
    print("\n" + shares(table).to_string(index=False))
    found = gains(table)
    print(found.to_string(float_format="{:.1f}".format))
    assert (found["low"] > 0).all()


def main(real_data, n="60"):
    began = time.perf_counter()
    table = comparison(*chosen(Path(real_data), int(n)))
    print(shares(table).to_string(index=False))
    print(gains(table).to_string(float_format="{:.1f}".format))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
