"""How well novelty tells other kinds of spectra from hot stars, on real spectra; its time."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from library_spectra import at_lamost, manifest, read_miles, read_stelib
from sklearn.metrics import roc_auc_score

from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra import prepare, read_spectrum

HOT = ("A", "B", "BHB", "HSD", "WD")
KINDS = ("F", "G", "K", "M", "GALAXY", "QSO", "GALAXY as a star", "QSO as a star")
LOG_SNR = (1.0, 1.9)  # of libraries: S/N 10 to 80, even in its logarithm
SNR_MIN = 10
SIMULATED = {"F": 150, "RRL": 150, "BHB": 150, "A": 150, "B": 150, "HSD": 150, "WD": 150}


def real_spectra(real_data, rng):
    """Yield kind, folder and spectrum of every real star, galaxy and QSO with S/N above 10."""
    readers = {"miles": read_miles, "stelib": read_stelib}
    for path, row in manifest(real_data).iterrows():
        folder, kind = path.split("/")[0], row["object_class"]
        if folder in readers:
            star = readers[folder](real_data / path)
            yield kind, folder, at_lamost(star, 10 ** rng.uniform(*LOG_SNR), rng)
        elif folder in ("lamost", "sdss"):
            spectrum = read_spectrum(real_data / path)
            if spectrum.snr_g > SNR_MIN:
                yield kind, folder, spectrum
                if kind in ("GALAXY", "QSO"):  # what a pipeline does that takes it for a star
                    yield f"{kind} as a star", folder, replace(spectrum, z=0.0)


@pytest.mark.real
@pytest.mark.benchmark
def test_novelty_tells_other_kinds_from_hot_stars(real_data):
    model = TwoStageSearch.load().novelty
    found = list(real_spectra(real_data, np.random.default_rng(5)))
    prepared = prepare([spectrum for _, _, spectrum in found])
    begun = time.perf_counter()
    novelty = model.score(prepared)
    micro = 1e6 * (time.perf_counter() - begun) / len(prepared)
    table = pd.DataFrame(found, columns=["kind", "from", "spectrum"]).assign(novelty=novelty)
    table = table[np.isfinite(novelty)]
    hot = table.loc[table["kind"].isin(HOT), "novelty"]
    stars, truth = simulate_chunk(
        SurveyPlan(sum(SIMULATED.values()), 77, SIMULATED, (10, 200), chunk=2000), 0
    )
    simulated = truth.assign(novelty=model.score(prepare(stars)))
    usual = simulated.loc[simulated["true_class"].isin(HOT), "novelty"]

    def auc(low, high):
        return roc_auc_score(np.repeat([0, 1], [len(low), len(high)]), np.r_[low, high])

    print(f"\n{micro:.0f} µs a spectrum; {len(hot)} real and {len(usual)} simulated hot stars")
    print("AUC against                  n   real   simulated")
    for kind in KINDS:
        strange = table.loc[table["kind"] == kind, "novelty"]
        print(f"{kind:<24}{len(strange):>6}  {auc(hot, strange):.3f}  {auc(usual, strange):.3f}")
    for kind in ("F", "RRL"):
        strange = simulated.loc[simulated["true_class"] == kind, "novelty"]
        name = f"{kind} (simulated)"
        print(f"{name:<24}{len(strange):>6}  {auc(hot, strange):.3f}  {auc(usual, strange):.3f}")
    print("share beyond novelty 1, 2, 3: real hot", [round((hot > k).mean(), 3) for k in (1, 2, 3)])
    print("simulated hot", [round((usual > k).mean(), 3) for k in (1, 2, 3)])
    strange = table.loc[table["kind"].isin(KINDS), "novelty"]
    assert auc(hot, strange) >= 0.95
