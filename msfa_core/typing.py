"""Types that every module shares: arrays, and who is told how far long work has got."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Progress(Protocol):
    """Told how a step gets on; ``part`` names what has just been finished, if anything has."""

    def __call__(self, step: str, done: int, total: int, part: str = "") -> None:
        """Take note."""


def no_progress(step: str, done: int, total: int, part: str = "") -> None:
    """Take no note."""
