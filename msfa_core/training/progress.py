"""Where a training run stands, told not more often than it can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_REPORT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a run stands, for whoever draws it.

    Attributes
    ----------
    stage, epoch, epochs : int
        The epoch in hand, from 1.
    done, total : int
        Spectra seen since the start of the run, and in all.
    rate : float
        Spectra per second since this process began.
    seconds_left : float
    score : float
        Best validation score so far; NaN before the first epoch ends.
    """

    stage: int
    epoch: int
    epochs: int
    done: int
    total: int
    rate: float
    seconds_left: float
    score: float


Progress = Callable[[TrainingProgress], None]


class Meter:
    """Counts spectra and seconds of one process and tells a callback.

    Parameters
    ----------
    stage, epochs : int
    n_train : int
        Spectra of an epoch.
    first_epoch : int
        Epochs that an earlier process has done.
    progress : callable or None
    """

    def __init__(
        self, stage: int, epochs: int, n_train: int, first_epoch: int, progress: Progress | None
    ) -> None:
        self.stage, self.epochs, self.n_train, self.progress = stage, epochs, n_train, progress
        self.first = first_epoch * n_train
        self.start = self.last = time.monotonic()

    def tell(self, epoch: int, in_epoch: int, score: float, *, always: bool = False) -> None:
        """Report ``epoch`` epochs done and ``in_epoch`` spectra of the next."""
        now = time.monotonic()
        if self.progress is None or (now - self.last < _REPORT_SECONDS and not always):
            return
        self.last = now
        done, total = epoch * self.n_train + in_epoch, self.epochs * self.n_train
        rate = (done - self.first) / max(now - self.start, 1e-9)
        self.progress(
            TrainingProgress(
                stage=self.stage,
                epoch=min(epoch + 1, self.epochs),
                epochs=self.epochs,
                done=done,
                total=total,
                rate=rate,
                seconds_left=(total - done) / rate if rate else float("inf"),
                score=score,
            )
        )
