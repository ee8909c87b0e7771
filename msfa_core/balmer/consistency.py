"""Does one measurement of a line agree with another: Hδ with Hγ, ours with a catalogue's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution: standard deviation over MAD


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a second measurement differs from a first, over many stars.

    Attributes
    ----------
    n : int
        Stars with both.
    median : float
        Of second − first, in their unit; NaN without stars.
    scatter : float
        Robust standard deviation of that difference (1.4826 times the median absolute deviation).
    """

    n: int
    median: float
    scatter: float


def agreement(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Compare two measurements of the same stars, robustly.

    Parameters
    ----------
    first, second : (n,) arrays
        In one unit; NaN where missing.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    difference = difference[np.isfinite(difference)]
    if not difference.size:
        return Agreement(0, np.nan, np.nan)
    median = float(np.median(difference))
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(difference - median)))
    return Agreement(int(difference.size), median, scatter)
