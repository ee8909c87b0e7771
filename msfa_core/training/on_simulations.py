"""Simulate a training set and train both stages, from a shell with only numerical libraries.

``python -m msfa_core.training.on_simulations --run runs/first --models data/models`` simulates the
training set (or reads it from ``--data set.npz``), trains, calibrates, evaluates and writes the
models. The same command resumes a killed run.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

import numpy as np

from msfa_core.constants import STELLAR_CLASSES
from msfa_core.errors import MsfaError
from msfa_core.networks.msfa_net import MSFANetConfig
from msfa_core.networks.registry import Network
from msfa_core.networks.weights import read_stage1, sha256_of_model
from msfa_core.simulate.atmospheres import grid_checksum
from msfa_core.simulate.groups import Shares
from msfa_core.simulate.population import Signal
from msfa_core.simulate.survey import Scale, SurveyPlan, simulate_chunk
from msfa_core.training.dataset import PAPER_COUNTS, LabelledSpectra, Negatives, split_by_star
from msfa_core.training.loss import Augmentation
from msfa_core.training.progress import TrainingProgress
from msfa_core.training.sources import from_chunks
from msfa_core.training.train import Schedule, TrainConfig
from msfa_core.training.two_stages import train_two_stages
from msfa_core.typing import Progress, no_progress

SNR_RANGE: Final = (10.0, 200.0)  # in g, even in the logarithm

_log = logging.getLogger("msfa_core.training")


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.training.on_simulations", description=__doc__
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of checkpoints and learning curves")
    add("--models", type=Path, required=True, help="folder that gets weights and model card")
    add("--data", type=Path, help="labelled spectra (.npz); made and kept there when missing")
    add("--seed", type=int, default=42)
    add("--multiplier", type=float, default=1.0, help="times the paper's class counts")
    add("--snr", type=float, nargs=2, default=SNR_RANGE, help="range of S/N in g")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes that simulate")
    add("--device", default="auto")
    add("--epochs1", type=int, default=0, help="0: the paper's 150")
    add("--epochs2", type=int, default=0, help="0: the paper's 100")
    add("--batch", type=int, default=96)
    add("--learning-rate", type=float, default=1e-3)
    add("--patience", type=int, default=8, help="epochs without gain before the rate is halved")
    add("--schedule", choices=get_args(Schedule), default="plateau")
    add("--bf16", action="store_true")
    add("--width", type=int, default=64)
    add("--negatives", choices=get_args(Negatives), default="paper")
    add("--noise", type=float, default=0.0, help="augmentation: white noise")
    add("--shift", type=float, default=0.0, help="augmentation: shift [pixel]")
    add("--slope", type=float, default=0.0, help="augmentation: continuum slope")
    add("--start", type=Path, help="models folder to go on from with stage 1")
    add("--shares", choices=get_args(Shares), default="survey", help="of groups within a class")
    add("--scale", choices=get_args(Scale), default="models", help="how stars look like models")
    add("--agreement", type=float, default=0.0, help="weight: two spectra of a star must agree")
    add("--averaging", type=float, default=0.0, help="share kept by the mean of the weights a step")
    add(
        "--counts", type=int, nargs=5, help="spectra of BHB, A, B, HSD, WD; the paper's if left out"
    )
    add("--new-stars", action="store_true", help="draw new training stars for each epoch")
    add("--fresh", action="store_true", help="do not resume")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except MsfaError as error:
        _log.error("%s", error)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.data is not None and options.data.exists():
        data = LabelledSpectra.load(options.data)
    else:
        counts = None
        if options.counts is not None:
            counts = dict(zip(map(str, STELLAR_CLASSES), options.counts, strict=True))
        data = simulated_set(
            counts,
            seed=options.seed,
            multiplier=options.multiplier,
            snr_range=tuple(options.snr),
            workers=options.workers,
            shares=options.shares,
            scale=options.scale,
            progress=_log_chunk,
        )
        if options.data is not None:
            data.save(options.data)
            data = LabelledSpectra.load(options.data)  # the very numbers a resumed run will read
    _log.info("%d spectra: %s", len(data), data.class_counts)
    start = None if options.start is None else read_stage1(options.start)
    new_stars = None
    if options.new_stars:
        new_stars = NewStarsEachEpoch.like(
            data,
            options.seed,
            tuple(options.snr),
            options.workers,
            start,
            shares=options.shares,
            scale=options.scale,
            pairs=options.agreement > 0,
        )
    config = TrainConfig(
        network=MSFANetConfig(width=options.width),
        epochs=options.epochs1,
        batch=options.batch,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        plateau_patience=options.patience,
        seed=options.seed,
        negatives=options.negatives,
        augmentation=Augmentation(options.noise, options.shift, options.slope),
        agreement=options.agreement,
        averaging=options.averaging,
        device=options.device,
        bf16=options.bf16,
    )
    result = train_two_stages(
        data,
        options.run,
        options.models,
        config,
        epochs2=options.epochs2,
        start=start,
        new_stars=new_stars,
        resume=not options.fresh,
        progress=_Report(),
    )
    _log.info("test figures: %s", result.evaluation.two_stage)
    _log.info("five-class accuracy: %.4f", result.evaluation.accuracy)
    _log.info("beside plane cuts:\n%s", result.plane)


def _log_chunk(step: str, done: int, total: int, part: str = "") -> None:  # noqa: ARG001
    _log.info("simulated %d of %d chunks", done, total)


class _Report:
    """One line per epoch."""

    def __init__(self) -> None:
        self.last = (0, 0)

    def __call__(self, at: TrainingProgress) -> None:
        """Log the epoch when it is over."""
        finished = at.done * at.epochs // at.total
        if (at.stage, finished) != self.last and finished:
            self.last = (at.stage, finished)
            _log.info(
                "stage %d epoch %d/%d  %.0f spectra/s  %.0f s left  best %.4f",
                at.stage,
                finished,
                at.epochs,
                at.rate,
                at.seconds_left,
                at.score,
            )


if __name__ == "__main__":
    sys.exit(main())
