"""Make the model stars of the likelihood: noise-free stars of the population of the training.

``python -m msfa_core.training.star_models MODELS`` puts them beside the weights of a folder. How
much network and likelihood count (`JOINING`) was chosen among 1,800 triples on simulated stars and
on the visible real stars, so that no more of the real stars of other classes are kept than by the
networks alone; its size makes probabilities honest on both.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from msfa_core.columns import TRUE_CLASS
from msfa_core.constants import (
    CLASS_NAMES,
    LAMOST_GRID,
    NETWORK_GRID,
    PAPER_COUNTS,
)
from msfa_core.networks.weights import LIKELIHOOD_FILE, write_checksums
from msfa_core.search.likelihood import StarModels
from msfa_core.simulate.atmospheres import model_spectra
from msfa_core.simulate.groups import Shares
from msfa_core.simulate.instrument import (
    RESOLUTION_ENDS,
    RESOLUTION_SCATTER,
    broaden,
    response_modes,
)
from msfa_core.simulate.population import add_pipeline_labels, draw_population
from msfa_core.simulate.sky import transmission
from msfa_core.typing import Float32Array, IntArray

N_STARS: Final = 12_000
N_COMPONENTS: Final = 64
# Of the stars: many of the classes that are hard to tell apart
SHARES: Final[Mapping[str, float]] = {"BHB": 0.34, "A": 0.34, "B": 0.24, "HSD": 0.03, "WD": 0.05}
# Of both stages: what the log-odds of the network and of the likelihood count, and a constant
JOINING: Final = (0.7, 1.4, -1.4)
DOUBT: Final = (-2.5, 4.5)  # log-odds; from below, the likelihood could not reach a half
_MODEL_ERROR: Final = 0.02
_VELOCITY_ERROR: Final = 11.0  # km/s, of z at S/N 15
_CHUNK: Final = 2000


def noise_free(n: int, seed: int, shares: Shares = "survey") -> tuple[Float32Array, IntArray]:
    """Return (n, 2430) noise-free spectra as the networks would see them, and (n,) classes.

    Parameters
    ----------
    n : int
    seed : int
    shares : {"survey", "border", "sky"}
        Of the groups within a class.
    """
    counts = {name: round(share * n) for name, share in SHARES.items()}
    flux, label = [], []
    for part in range(-(-n // _CHUNK)):
        rng = np.random.default_rng([seed, part])
        some = {name: max(number * min(_CHUNK, n) // n, 1) for name, number in counts.items()}
        rows = draw_population(sum(some.values()), rng, some, shares=shares)
        rows = add_pipeline_labels(rows, rng)
        models = model_spectra(
            rows["true_kind"].to_numpy(str),
            *(rows[f"true_{name}"].to_numpy(float) for name in ("teff", "logg", "feh", "he")),
            peculiarity=rows["true_peculiarity"].to_numpy(str),
            strength=rows["true_strength"].to_numpy(float),
            core_departure=rows["true_core_departure"].to_numpy(float),
            helium_departure=rows["true_he_departure"].to_numpy(float),
        ).flux
        mean, rms = np.array(RESOLUTION_ENDS), RESOLUTION_SCATTER
        seen = broaden(
            models / models.mean(axis=1, keepdims=True),
            rows["true_vsini"].to_numpy(float),
            _VELOCITY_ERROR * rng.standard_normal(len(rows)),
            mean + rms * rng.standard_normal((len(rows), 2)),
        )
        seen *= transmission(rows, rng)
        on_grid = np.array(
            [np.interp(NETWORK_GRID.wavelength, LAMOST_GRID.wavelength, row) for row in seen]
        )
        flux.append((on_grid / np.median(on_grid, axis=1, keepdims=True)).astype(np.float32))
        label.append(rows[TRUE_CLASS].map(CLASS_NAMES.index).to_numpy(np.int64))
    return np.concatenate(flux), np.concatenate(label)


def star_models(n: int = N_STARS, seed: int = 7, shares: Shares = "survey") -> StarModels:
    """Draw the stars and find their main components."""
    flux, label = noise_free(n, seed, shares)
    mean = flux.mean(axis=0)
    centred = flux - mean
    size, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    components = vectors[:, np.argsort(size)[-N_COMPONENTS:]].T.astype(np.float32)
    wanted = np.array([PAPER_COUNTS[name] for name in CLASS_NAMES], float)
    prior = (wanted / np.bincount(label, minlength=len(CLASS_NAMES)))[label]
    response = [
        np.interp(NETWORK_GRID.wavelength, LAMOST_GRID.wavelength, mode)
        for mode in response_modes()
    ]
    return StarModels(
        mean,
        components,
        centred @ components.T,
        label.astype(np.int8),
        prior.astype(np.float32),
        np.array(response, np.float32),
        _MODEL_ERROR,
        np.array([JOINING] * 2),
        np.array(DOUBT),
    )


if __name__ == "__main__":
    models = Path(sys.argv[1])
    star_models().save(models / LIKELIHOOD_FILE)
    write_checksums(models)
