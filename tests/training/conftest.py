"""A set of spectra that a network of four channels learns in seconds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from msfa_core.constants import NETWORK_GRID, STELLAR_CLASSES
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.training.dataset import labelled_spectra

LINE_WIDTHS = {"BHB": 25.0, "A": 45.0, "B": 14.0, "HSD": 7.0, "WD": 80.0}  # Å


def make_set(n_per_class=12, epochs=1, seed=11):
    """Hδ, Hγ and Hβ of a width that tells the class; ``epochs`` spectra of each star."""
    rng = np.random.default_rng(seed)
    wavelength = NETWORK_GRID.wavelength
    names = np.repeat([str(c) for c in STELLAR_CLASSES], n_per_class * epochs)
    flux = np.ones((len(names), len(wavelength)))
    for row, name in enumerate(names):
        for centre in (4102.9, 4341.7, 4862.7):
            distance = (wavelength - centre) / LINE_WIDTHS[name]
            flux[row] -= 0.6 * np.exp(-(distance**2))
    flux += rng.normal(0, 0.01, flux.shape)
    flux -= flux.min(axis=1, keepdims=True)
    flux /= flux.max(axis=1, keepdims=True)
    n = len(names)
    return labelled_spectra(
        PreparedSpectra(np.arange(1, n + 1), flux.astype(np.float32)),
        names,
        star=np.arange(n) // epochs,
        snr_g=rng.uniform(10, 100, n),
        truth=pd.DataFrame(
            {"true_teff": rng.uniform(7000, 20000, n), "true_group": names.astype(str)}
        ),
        provenance={"seed": seed, "simulated": True},
    )


@pytest.fixture(scope="session")
def small_set():
    return make_set()


@pytest.fixture(scope="session")
def paired_set():
    """Two spectra of each star, so noisy that a network says different things of them."""
    data = make_set(epochs=2)
    noise = np.random.default_rng(3).normal(0, 0.3, data.flux.shape).astype(np.float32)
    return replace(data, flux=data.flux + noise)
