"""Whether stars that a search is evaluated on were among those it was trained on."""

from __future__ import annotations

from pathlib import Path

from msfa_core.errors import TrainingError
from msfa_core.networks.weights import (
    MODELS_FOLDER,
    STAGE_FILES,
    load_network,
    read_checksums,
)


def training_seeds(models: str | Path | None = None) -> set[int]:
    """Return the seeds of the simulated sets that weights were trained on, as their card says.

    Parameters
    ----------
    models : str or Path, optional
        Folder of weights; the shipped ones when not given.

    Returns
    -------
    set of int
        Empty for weights trained on real spectra, or of which nothing is said.
    """
    folder = Path(models) if models else MODELS_FOLDER
    checksums = read_checksums(folder)
    seeds: set[int] = set()
    for name in STAGE_FILES.values():
        _, card = load_network(folder / name, checksums.get(name))
        provenance = card.get("data", {}).get("provenance", {})
        if provenance.get("simulated"):
            named = [provenance.get("seed"), *provenance.get("seeds", ())]
            seeds |= {int(seed) for seed in named if seed is not None}
    return seeds


def require_unseen(seed: int, models: str | Path | None = None) -> None:
    """Refuse a simulation seed that would give training stars again.

    Raises
    ------
    TrainingError
        When the weights were trained on stars of this seed.
    """
    seen = training_seeds(models)
    if seed in seen:
        free = next(k for k in range(seed + 1, seed + len(seen) + 2) if k not in seen)
        raise TrainingError(
            f"the weights were trained on simulated stars of seed {seed}: figures on these would "
            f"be too good. Take stars of another seed, such as --seed {free}."
        )
