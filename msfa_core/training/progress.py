"""Where a training run stands: one stage, its spectra, the epochs that ended."""

from __future__ import annotations

import time
from typing import Final

from msfa_core.typing import Progress

_REPORT_SECONDS: Final = 0.5


class Meter:
    """Counts spectra and tells a callback, not more often than it can be read.

    Parameters
    ----------
    stage, epochs : int
    n_train : int
        Spectra of an epoch.
    progress : callable
    """

    def __init__(self, stage: int, epochs: int, n_train: int, progress: Progress) -> None:
        self.stage, self.epochs, self.n_train, self.progress = stage, epochs, n_train, progress
        self.last = time.monotonic()

    def tell(self, epoch: int, in_epoch: int, score: float, *, always: bool = False) -> None:
        """Report ``epoch`` epochs done and ``in_epoch`` spectra of the next."""
        now = time.monotonic()
        if now - self.last < _REPORT_SECONDS and not always:
            return
        self.last = now
        done, total = epoch * self.n_train + in_epoch, self.epochs * self.n_train
        ended = f"epoch {epoch} (best score {score:.4f})" if epoch and not in_epoch else ""
        self.progress(f"stage {self.stage}", done, total, ended)
