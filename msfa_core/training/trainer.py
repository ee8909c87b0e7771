"""The machine of a training run: network, optimiser, schedule and spectra (paper §IV.5).

Every random number of an epoch follows from the seed, the stage and the epoch, so a run that was
killed and resumed gives the weights of an uninterrupted one.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msfa_core.constants import STELLAR_CLASSES, StellarClass
from msfa_core.errors import TrainingError
from msfa_core.networks.inference import logits_of, pick_device, predict_logits
from msfa_core.networks.msfa_net import MSFANetConfig
from msfa_core.networks.registry import Network, NetworkConfig, build_network
from msfa_core.networks.weights import STAGE_CLASSES
from msfa_core.training.dataset import (
    STAGE2_NEGATIVES,
    LabelledSpectra,
    Negatives,
    Split,
    stage_labels,
)
from msfa_core.training.loss import (
    LABEL_SMOOTHING,
    Augmentation,
    SmoothedLoss,
    class_weights,
    disagreement,
)
from msfa_core.training.progress import Meter
from msfa_core.training.scores import confusion_matrix, macro_f1, precision_recall_f1

Schedule = Literal["plateau", "cosine"]

EPOCHS: Final = {1: 150, 2: 100}
_WARM_UP: Final = 0.03  # share of a cosine run in which the learning rate rises
_LEAST_BATCH: Final = 2  # batch normalisation has no variance of one spectrum


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run; the defaults are the paper's.

    Attributes
    ----------
    stage : int
        1 (five classes) or 2 (BHB or not).
    network : NetworkConfig
        MSFA-Net, a network of comparison or the transformer; its number of classes is set by
        the stage.
    epochs : int
        0 for the paper's: 150 in stage 1, 100 in stage 2.
    batch : int
    learning_rate, weight_decay : float
        Of AdamW.
    smoothing : float
        ε of the labels.
    schedule : {"plateau", "cosine"}
        Of the learning rate: halved when the validation score stands still, as in the paper, or
        a short rise and half a cosine down to zero at the last epoch, for runs of few epochs.
    plateau_factor, plateau_patience, least_learning_rate : float, int, float
        Of ReduceLROnPlateau on the validation score: macro-F1 (stage 1), F1 of BHB (stage 2).
    seed : int
    negatives : {"paper", "all"}
        Stage 2: A and HSD, or every class that is not BHB.
    augmentation : Augmentation
        Off in the paper.
    agreement : float
        Weight of the disagreement between two spectra of one star in the loss (other noise,
        velocity and response); the training spectra must then come as pairs, rows 2k and 2k + 1
        of one star. Class weights make the rest of the loss about a tenth of a cross-entropy, so
        that 0.5 smothers it and 0.02 is a moderate amount. 0, as in the paper, is without it.
    averaging : float
        Share that the mean of the weights keeps of itself at each step; what is scored and kept is
        the mean. 0, as in the paper, keeps the weights of the last step.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    bf16 : bool
        Mixed precision; weights, loss and schedule stay in float32.
    """

    stage: int = 1
    network: NetworkConfig = field(default_factory=MSFANetConfig)
    epochs: int = 0
    batch: int = 96
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    smoothing: float = LABEL_SMOOTHING
    schedule: Schedule = "plateau"
    plateau_factor: float = 0.5
    plateau_patience: int = 8
    least_learning_rate: float = 1e-6
    seed: int = 42
    negatives: Negatives = "paper"
    augmentation: Augmentation = field(default_factory=Augmentation)
    agreement: float = 0.0
    averaging: float = 0.0
    device: str = "auto"
    bf16: bool = False

    def __post_init__(self) -> None:
        """Check the values; set the classes of the network and the epochs by the stage."""
        if self.stage not in EPOCHS:
            raise TrainingError(f"stage is {self.stage}; there are 1 (five classes) and 2 (BHB).")
        if self.epochs < 0 or self.batch < _LEAST_BATCH or self.learning_rate <= 0:
            raise TrainingError(
                f"epochs {self.epochs}, batch {self.batch}, learning rate {self.learning_rate}: "
                f"epochs cannot be negative, a batch holds at least {_LEAST_BATCH} spectra, the "
                "learning rate is positive."
            )
        if self.agreement < 0 or not 0 <= self.averaging < 1:
            raise TrainingError(
                f"agreement {self.agreement} cannot be negative, averaging {self.averaging} is at "
                "least 0 and less than 1."
            )
        if self.agreement and self.batch % 2:
            raise TrainingError(f"pairs of one star need an even batch, not {self.batch}.")
        if self.schedule not in get_args(Schedule):
            raise TrainingError(
                f"schedule is {self.schedule!r}; choose {' or '.join(get_args(Schedule))}."
            )
        if self.negatives not in STAGE2_NEGATIVES:
            raise TrainingError(
                f"negatives is {self.negatives!r}; choose {' or '.join(STAGE2_NEGATIVES)}."
            )
        object.__setattr__(self, "epochs", self.epochs or EPOCHS[self.stage])
        network = replace(self.network, n_classes=len(STAGE_CLASSES[self.stage]))
        object.__setattr__(self, "network", network)

    @property
    def classes(self) -> tuple[StellarClass, ...]:
        """Classes whose spectra the stage learns from."""
        if self.stage == 1:
            return STELLAR_CLASSES
        return (StellarClass.BHB, *STAGE2_NEGATIVES[self.negatives])


class NewStars(Protocol):
    """Draws the training spectra of an epoch."""

    @property
    def fingerprint(self) -> str:
        """What tells this source from another."""

    def __call__(self, epoch: int, stage: int) -> LabelledSpectra:
        """Return the spectra of an epoch (from 1), the same for the same numbers."""


def transfer(trained: Network, n_classes: int) -> Network:
    """Return a network with the weights of another; ``fc`` begins anew for other classes."""
    model = build_network(replace(trained.config, n_classes=n_classes))
    same_classes = trained.config.n_classes == n_classes
    state = {
        name: value
        for name, value in trained.state_dict().items()
        if same_classes or not name.startswith("fc.")
    }
    model.load_state_dict(state, strict=False)
    return model


def _copy_of(model: Network) -> dict[str, Tensor]:
    """Copy of the weights of a network, on the CPU."""
    return {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}


class Trainer:
    """Network, optimiser, schedule and spectra of one run, on one device."""

    def __init__(
        self,
        config: TrainConfig,
        data: LabelledSpectra,
        split: Split,
        start: Network | None,
        new_stars: NewStars | None,
    ) -> None:
        self.config = config
        self.new_stars = new_stars
        self.device = pick_device(config.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all batches but the last have one shape
            torch.set_float32_matmul_precision("high")
        self._seed(0)
        if start is None:
            model = build_network(config.network)
        else:
            model = transfer(start, config.network.n_classes)
        self.model = model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type == "cuda",
        )
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            mode="max",
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            min_lr=config.least_learning_rate,
        )
        label = stage_labels(data.label, config.stage, config.negatives)
        if new_stars is None:
            self._require_pairs(data.star[split.train])
        self.flux, self.label = self._on_device(data, label, split.train)
        self.n_train = len(self.label)
        rows = split.validation[label[split.validation] >= 0]
        self.validation_flux, _ = self._on_device(data, label, rows)
        self.validation_label = label[rows]
        n_classes = config.network.n_classes
        weight = class_weights(self.label.cpu().numpy(), n_classes)
        self.loss = SmoothedLoss(weight, config.smoothing).to(self.device)
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best_epoch, self.best_score = 0, float("nan")
        # what is scored and kept: the network, or the mean of its weights
        self.kept = copy.deepcopy(self.model) if config.averaging else self.model
        self.best_state = self._weights()

    def _order(self) -> Tensor:
        """Draw the order of an epoch; the two spectra of a star stay together."""
        if not self.config.agreement:
            return torch.randperm(self.n_train)
        pair = torch.randperm(self.n_train // 2)[:, None]
        return (2 * pair + torch.arange(2)).reshape(-1)

    def _require_pairs(self, star: NDArray[np.int64]) -> None:
        """Refuse spectra that are not pairs of one star, where the loss compares them."""
        if self.config.agreement and (len(star) % 2 or (star[0::2] != star[1::2]).any()):
            raise TrainingError(
                "the loss compares two spectra of each star, but the training spectra do not come "
                "in pairs; draw new stars for each epoch (--new-stars), or leave out --agreement."
            )

    @torch.no_grad()
    def _average(self) -> None:
        """Draw the mean of the weights a little towards what they are now."""
        if not self.config.averaging:
            return
        now = self.model.state_dict()
        for name, mean in self.kept.state_dict().items():
            if mean.dtype.is_floating_point:
                mean.lerp_(now[name], 1 - self.config.averaging)
            else:
                mean.copy_(now[name])

    def _on_device(
        self, data: LabelledSpectra, label: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Spectra and labels of the rows that the stage learns from, where they are used."""
        rows = rows[label[rows] >= 0]
        flux = torch.from_numpy(data.flux[rows]).to(self.device)
        return flux, torch.from_numpy(label[rows]).to(self.device)

    def _seed(self, epoch: int) -> None:
        """Make all that is random in an epoch (0: the first weights) follow from its number."""
        sequence = np.random.SeedSequence([self.config.seed, self.config.stage, epoch])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))

    def _weights(self) -> dict[str, Tensor]:
        """Copy of the weights that are scored and kept, on the CPU."""
        return _copy_of(self.kept)

    def run_epoch(self, meter: Meter) -> None:
        """Pass once over the training spectra, then score the validation spectra."""
        started = time.monotonic()
        config = self.config
        self._draw_stars()
        self._seed(self.epoch + 1)
        order = self._order().to(self.device)
        self.model.train()
        total = torch.zeros((), device=self.device)
        seen = 0
        for start in range(0, self.n_train, config.batch):
            rows = order[start : start + config.batch]
            if len(rows) < _LEAST_BATCH:
                break
            if config.schedule == "cosine":
                self._set_rate((self.epoch + start / self.n_train) / config.epochs)
            flux = config.augmentation(self.flux[rows])[:, None]  # (96, 1, 2430)
            logits = logits_of(self.model, flux, bf16=config.bf16)
            loss = self.loss(logits, self.label[rows])
            if config.agreement:
                loss = loss + config.agreement * disagreement(logits)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self._average()
            total += loss.detach() * len(rows)
            seen += len(rows)
            meter.tell(self.epoch, seen, self.best_score)
        train_loss = float(total) / seen
        if not np.isfinite(train_loss):
            raise TrainingError(
                f"the loss of epoch {self.epoch + 1} is {train_loss}; lower the learning rate "
                f"({config.learning_rate}) or train without bf16. The last checkpoint is whole."
            )
        self._finish_epoch(train_loss, started)
        meter.tell(self.epoch, 0, self.best_score, always=True)

    def _set_rate(self, done: float) -> None:
        """Learning rate of the cosine schedule when a share of the run is done."""
        rise = min(done / _WARM_UP, 1.0)
        fall = 0.5 * (1 + math.cos(math.pi * max(done - _WARM_UP, 0) / (1 - _WARM_UP)))
        for group in self.optimizer.param_groups:
            group["lr"] = max(
                self.config.learning_rate * rise * fall, self.config.least_learning_rate
            )

    def _draw_stars(self) -> None:
        """Take new training spectra, where each epoch has its own."""
        if self.new_stars is None:
            return
        data = self.new_stars(self.epoch + 1, self.config.stage)
        label = stage_labels(data.label, self.config.stage, self.config.negatives)
        self._require_pairs(data.star)
        self.flux, self.label = self._on_device(data, label, np.arange(len(data)))
        self.n_train = len(self.label)

    def _finish_epoch(self, train_loss: float, started: float) -> None:
        """Score, schedule, remember the best weights, and write the row of history."""
        scores = self._validate()
        learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.config.schedule == "plateau":
            self.scheduler.step(scores["score"])
        self.epoch += 1
        if not scores["score"] <= self.best_score:  # NaN before the first epoch
            self.best_epoch, self.best_score = self.epoch, scores["score"]
            self.best_state = self._weights()
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": train_loss,
                **scores,
                "learning_rate": learning_rate,
                "seconds": time.monotonic() - started,
            }
        )

    def _validate(self) -> dict[str, float]:
        """Loss, accuracy and score of the validation spectra."""
        logits = predict_logits(
            self.kept, self.validation_flux, device=self.device, bf16=self.config.bf16
        )
        label, n_classes = self.validation_label, self.config.network.n_classes
        loss = self.loss(
            torch.from_numpy(logits).to(self.device, torch.float32),
            torch.from_numpy(label).to(self.device),
        )
        predicted = logits.argmax(axis=1)
        if self.config.stage == 1:
            score = macro_f1(label, predicted, n_classes)
        else:
            score = float(precision_recall_f1(confusion_matrix(label, predicted, n_classes))[0, 2])
        return {
            "validation_loss": float(loss),
            "validation_accuracy": float((predicted == label).mean()),
            "score": score,
        }

    def best_model(self) -> Network:
        """Return the network of the best epoch, on the CPU."""
        model = build_network(self.config.network)
        model.load_state_dict(self.best_state)
        return model.eval()

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs; its random numbers follow from the epoch."""
        return {
            "epoch": self.epoch,
            "model": _copy_of(self.model),
            "kept": self._weights() if self.config.averaging else {},
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "best_state": self.best_state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where :meth:`state` was taken, on this run's device."""
        self.model.load_state_dict(state["model"])
        if self.config.averaging:
            self.kept.load_state_dict(state["kept"])
        for group in state["optimizer"]["param_groups"]:
            group["fused"] = self.device.type == "cuda"
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.history = state["epoch"], state["history"]
        self.best_epoch, self.best_score = state["best_epoch"], state["best_score"]
        self.best_state = state["best_state"]
