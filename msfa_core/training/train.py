"""Training of one stage, from its spectra to the weights of the best epoch (paper §IV.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd
import torch

from msfa_core.errors import TrainingError
from msfa_core.networks.inference import one_thread, pick_device
from msfa_core.networks.registry import Network
from msfa_core.networks.weights import sha256_of_model
from msfa_core.training.checkpoint import read_checkpoint, write_checkpoint
from msfa_core.training.curves import write_curves
from msfa_core.training.dataset import (
    LabelledSpectra,
    Split,
    require_classes,
    split_by_star,
)
from msfa_core.training.progress import Meter
from msfa_core.training.trainer import NewStars, TrainConfig, Trainer
from msfa_core.typing import Progress, no_progress

_FREE_TO_CHANGE: Final = ("epochs", "device", "bf16")  # on resume


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """Result of a run.

    Attributes
    ----------
    model : Network
        Weights of the best epoch by validation score, on the CPU, in evaluation mode.
    history : DataFrame
        A row per epoch: losses, validation accuracy and score, learning rate, seconds.
    best_epoch : int
        From 1.
    score : float
        Validation score of that epoch.
    config : TrainConfig
    started_from : str
        SHA-256 of the weights that the training started from; empty for chance.
    """

    model: Network
    history: pd.DataFrame
    best_epoch: int
    score: float
    config: TrainConfig
    started_from: str = ""


def train(
    config: TrainConfig,
    data: LabelledSpectra,
    run_folder: str | Path,
    *,
    split: Split | None = None,
    start: Network | None = None,
    new_stars: NewStars | None = None,
    resume: bool = True,
    progress: Progress = no_progress,
) -> TrainedStage:
    """Train one stage.

    Parameters
    ----------
    config : TrainConfig
    data : LabelledSpectra
    run_folder : str or Path
        Gets ``stage<k>.checkpoint`` after each epoch, ``stage<k>_history.csv`` and
        ``stage<k>_curves.png``.
    split : Split, optional
        Made by star from the seed when not given. Give both stages the same one.
    start : Network, optional
        Weights to start from: those of stage 1 for stage 2, which needs them; for stage 1 those
        of an earlier training, which is then gone on with.
    new_stars : callable, optional
        Gives the training spectra of an epoch, anew for each, in place of the split's. Validation
        and test stars stay the split's, and must not be among them.
    resume : bool
        Go on from the checkpoint of the same run, if there is one.
    progress : callable, optional
        Called about twice a second and after each epoch.

    Raises
    ------
    TrainingError
        When classes are absent, the weights to start from are of another architecture, the
        checkpoint belongs to another run, or the loss is not finite.
    """
    run_folder = Path(run_folder)
    split = split or split_by_star(data, config.seed)
    if config.stage != 1 and start is None:
        raise TrainingError("stage 2 starts from the weights of stage 1; train stage 1 first.")
    started_from = ""
    if start is not None:
        _require_same_architecture(start, config)
        started_from = sha256_of_model(start)
    require_classes(data, config.classes)
    run = {
        **{k: v for k, v in asdict(config).items() if k not in _FREE_TO_CHANGE},
        "negatives": config.negatives if config.stage != 1 else "",
        "data": data.fingerprint(),
        "split": split.fingerprint(),
        "start": started_from,
        "new_stars": new_stars.fingerprint if new_stars is not None else "",
    }
    checkpoint = run_folder / f"stage{config.stage}.checkpoint"
    cuda = [torch.cuda.current_device()] if pick_device(config.device).type == "cuda" else []
    with one_thread(), torch.random.fork_rng(devices=cuda):
        trainer = Trainer(config, data, split, start, new_stars)
        state = read_checkpoint(checkpoint, run) if resume else None
        if state is not None:
            trainer.restore(state)
        meter = Meter(config.stage, config.epochs, trainer.n_train, progress)
        while trainer.epoch < config.epochs:
            with _named(trainer, checkpoint):
                trainer.run_epoch(meter)
                state = trainer.state()
            write_checkpoint(checkpoint, run, state)
        history = pd.DataFrame(trainer.history)
        write_curves(history, run_folder, config.stage)
        return TrainedStage(
            trainer.best_model(),
            history,
            trainer.best_epoch,
            trainer.best_score,
            config,
            started_from,
        )


@contextmanager
def _named(trainer: Trainer, checkpoint: Path) -> Iterator[None]:
    """Say of an accelerator that fails, or goes away, where the training stands."""
    try:
        yield
    except RuntimeError as error:
        if trainer.device.type == "cpu":
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        kept = "is whole" if checkpoint.exists() else "does not exist yet"
        raise TrainingError(
            f"{trainer.device} failed in epoch {trainer.epoch + 1} ({first}); the checkpoint "
            f"{checkpoint} {kept}: the same command goes on from there, with --device cpu too."
        ) from error


def _require_same_architecture(start: Network, config: TrainConfig) -> None:
    """Refuse weights that are not of the network to be trained."""
    wanted = replace(config.network, n_classes=start.config.n_classes)
    if start.config != wanted:
        raise TrainingError(
            f"the weights to start from are of {start.config}, the network to train is {wanted}; "
            "give the same architecture (--width) or start from chance."
        )
