"""Which star is on whose screen, so that two reviewers do not do one star at once.

Kept by the server for all its pages, and forgotten with it: a claim ends by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

import numpy as np
from numpy.typing import NDArray


class Claims:
    """Stars in hand, by their numbers; safe to share between pages.

    Parameters
    ----------
    clock : callable
        Gives the time [s].
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._guard = clock, threading.Lock()
        self._held: dict[int, tuple[str, float]] = {}

    def take(self, star: int, reviewer: str, seconds: float) -> None:
        """Say that a star is on a reviewer's screen; whatever they held before is free again."""
        if not reviewer:
            return
        with self._guard:
            now = self._clock()
            self._held = {
                other: (who, until)
                for other, (who, until) in self._held.items()
                if who != reviewer and until > now
            }
            if star not in self._held:  # who came first keeps it
                self._held[star] = reviewer, now + seconds

    def of_others(self, stars: NDArray[np.int64], reviewer: str) -> NDArray[np.bool_]:
        """Tell which stars are in the hands of somebody else, (n,)."""
        now = self._clock()
        with self._guard:
            theirs = [
                star for star, (who, until) in self._held.items() if who != reviewer and until > now
            ]
        return np.isin(stars, theirs)
