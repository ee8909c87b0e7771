"""Simulated training sets, and new simulated stars for each epoch of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from msfa_core.constants import PAPER_COUNTS
from msfa_core.networks.registry import Network
from msfa_core.networks.weights import sha256_of_model
from msfa_core.simulate.atmospheres import grid_checksum
from msfa_core.simulate.groups import Shares
from msfa_core.simulate.population import Signal
from msfa_core.simulate.survey import Scale, SurveyPlan, simulate_chunk
from msfa_core.training.dataset import LabelledSpectra, split_by_star
from msfa_core.training.sources import from_chunks
from msfa_core.typing import Progress, no_progress

SNR_RANGE: Final = (10.0, 200.0)  # in g, even in the logarithm


def simulated_set(
    counts: Mapping[str, int] | None = None,
    seed: int = 42,
    *,
    multiplier: float = 1.0,
    snr_range: tuple[float, float] = SNR_RANGE,
    workers: int = 1,
    shares: Shares = "survey",
    scale: Scale = "models",
    snr: Signal = "even",
    measure: bool = True,
    progress: Progress = no_progress,
) -> LabelledSpectra:
    """Simulate a training set.

    Parameters
    ----------
    counts : mapping, optional
        Stars per class; the paper's numbers of spectra when not given.
    seed : int
        The same seed and counts give the same spectra, with any number of workers.
    multiplier : float
        Times the counts.
    snr_range : (2,) float
        S/N in g.
    workers : int
        Processes.
    shares : {"survey", "border", "sky"}
        Of the groups within a class.
    scale : {"models", "stars"}
        Whether stars look like the models of their labels, or differ as real stars do.
    snr : {"even", "lamost"}
        S/N even in its logarithm, or as A stars of LAMOST have it.
    measure : bool
        Fit Hδ and Hγ too, for comparison with the D0.2–fm plane.
    progress : callable, optional
        Called with ``simulate``, chunks done, and chunks in all.

    Returns
    -------
    LabelledSpectra
    """
    wanted = {k: round(v * multiplier) for k, v in (counts or PAPER_COUNTS).items()}
    plan = SurveyPlan(
        sum(wanted.values()), seed, wanted, snr_range, shares=shares, scale=scale, snr=snr
    )
    return from_chunks(
        partial(simulate_chunk, plan),
        plan.n_chunks,
        workers=workers,
        measure=measure,
        progress=progress,
        provenance={
            "simulated": True,
            "seed": seed,
            "counts": wanted,
            "snr_range": list(snr_range),
            "shares": shares,
            "scale": scale,
            "snr": snr,
            "grid_checksum": grid_checksum(),
        },
    )


def set_like_the_papers(
    seed: int,
    *,
    multiplier: float = 1.0,
    workers: int = 1,
    progress: Progress = no_progress,
) -> LabelledSpectra:
    """Simulate a test set of the paper's kind of work: its numbers, S/N and kinds as on the sky.

    Never mixed with the usual sets, which hold many stars that are hard to tell apart and faint.

    Parameters
    ----------
    seed : int
    multiplier : float
        Times the paper's counts.
    workers : int
    progress : callable, optional
    """
    return simulated_set(
        None,
        seed,
        multiplier=multiplier,
        snr_range=(SNR_RANGE[0], 1000.0),
        workers=workers,
        shares="sky",
        snr="lamost",
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class NewStarsEachEpoch:
    """Draws new simulated training stars for each epoch, so that none is seen twice.

    Attributes
    ----------
    counts : mapping
        Stars per class and epoch.
    seed : int
        With the stage and the epoch it makes the seed of the stars; they are never those of
        ``simulated_set(seed=seed)``.
    snr_range : (2,) float
        S/N in g.
    workers : int
        Processes; the stars do not depend on it.
    start : str
        SHA-256 of the weights that the training starts from: what goes on from them sees other
        stars than they saw.
    shares : {"survey", "border", "sky"}
        Of the groups within a class.
    pairs : bool
        Give two spectra of each star, one after the other: half as many stars.
    scale : {"models", "stars"}
        Whether stars look like the models of their labels, or differ as real stars do.
    """

    counts: Mapping[str, int]
    seed: int
    snr_range: tuple[float, float] = SNR_RANGE
    workers: int = 1
    start: str = ""
    shares: Shares = "survey"
    pairs: bool = False
    scale: Scale = "models"

    @classmethod
    def like(
        cls,
        data: LabelledSpectra,
        seed: int,
        snr_range: tuple[float, float] = SNR_RANGE,
        workers: int = 1,
        start: Network | None = None,
        *,
        shares: Shares = "survey",
        pairs: bool = False,
        scale: Scale = "models",
    ) -> NewStarsEachEpoch:
        """Draw as many of each class as the training part of a set has."""
        training = data[split_by_star(data, seed).train]
        checksum = "" if start is None else sha256_of_model(start)
        return cls(training.class_counts, seed, snr_range, workers, checksum, shares, pairs, scale)

    @property
    def fingerprint(self) -> str:
        """Counts, seed, S/N and grid."""
        counts = ",".join(f"{name}:{number}" for name, number in sorted(self.counts.items()))
        return (
            f"simulated {counts} seed {self.seed} S/N {self.snr_range} grid {grid_checksum()} "
            f"after {self.start or 'chance'} shares {self.shares}{' in pairs' * self.pairs} "
            f"scale of {self.scale}"
        )

    def __call__(self, epoch: int, stage: int) -> LabelledSpectra:
        """Return the spectra of an epoch."""
        after = [int(self.start[:16], 16)] if self.start else []
        sequence = np.random.SeedSequence([self.seed, stage, epoch, *after])
        state = sequence.generate_state(1, np.uint64)
        stars = {name: -(-n // 2) if self.pairs else n for name, n in self.counts.items()}
        plan = SurveyPlan(
            sum(stars.values()),
            int(state[0] >> 1),
            stars,
            self.snr_range,
            epochs=1.0 if self.pairs else 0.0,
            most_epochs=2,
            shares=self.shares,
            scale=self.scale,
        )
        make = partial(simulate_chunk, plan)
        return from_chunks(make, plan.n_chunks, workers=self.workers, measure=False)
