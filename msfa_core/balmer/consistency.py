"""Does one measurement of a line agree with another: Hδ with Hγ, ours with a catalogue's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


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
    from astropy.stats import mad_std  # noqa: PLC0415  slow to import

    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    difference = difference[np.isfinite(difference)]
    if not difference.size:
        return Agreement(0, np.nan, np.nan)
    return Agreement(int(difference.size), float(np.median(difference)), float(mad_std(difference)))
