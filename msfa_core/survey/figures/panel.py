"""What is in a figure: points, guides, axes and a sentence, before anybody draws it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msfa_core.typing import BoolArray, FloatArray

KINDS: Final = ("region", "bars", "counted", "line", "dashed", "dotted", "faint")
_MARGIN: Final = 0.04  # of an axis, beyond the outermost point


@dataclass(frozen=True, slots=True)
class Guide:
    """A curve, or the outline of a region.

    Attributes
    ----------
    x, y : (k,) arrays
        NaN breaks the curve.
    kind : str
        One of `KINDS`: ``region`` (what a selection holds), ``bars`` and ``counted`` (outlines of
        histograms, of all and of the chosen stars), or a style of line.
    words : str
        For the legend; empty for a guide that explains itself.
    """

    x: FloatArray
    y: FloatArray
    kind: str = "line"
    words: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """Places of stars.

    Attributes
    ----------
    obsid : (n,) int64 array
    x, y : (n,) arrays
    y_err : (n, 2) array
        Down and up; empty where there are no errors to draw.
    words : str
        What they are, for the legend.
    """

    obsid: NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    words: str = ""
    y_err: FloatArray = field(default_factory=lambda: np.empty((0, 2)))

    def __len__(self) -> int:
        """Return the number of stars."""
        return len(self.obsid)


@dataclass(frozen=True, slots=True)
class Panel:
    """One plane: everything that a figure of it shows.

    Attributes
    ----------
    key : str
        Short, for names of files and links.
    title : str
    x_name, y_name : str
        With their units.
    x_range, y_range : (float, float)
        As drawn: from left to right, from bottom to top.
    guides : tuple of Guide
        The lowest first.
    cloud, chosen : Points
        Every star that is compared with, and those that the page is about.
    sentence : str
        What to see, with the counts.
    missing : str
        Why there is nothing to draw; empty when there is.
    bare : bool
        Draw no axes: the guides carry the numbers.
    """

    key: str
    title: str
    x_name: str
    y_name: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    guides: tuple[Guide, ...]
    cloud: Points
    chosen: Points
    sentence: str
    missing: str = ""
    bare: bool = False


def nobody(words: str = "") -> Points:
    """Return no points."""
    return Points(np.empty(0, np.int64), np.empty(0), np.empty(0), words)


def points(
    obsid: NDArray[np.int64], x: ArrayLike, y: ArrayLike, rows: BoolArray, words: str
) -> Points:
    """Return the places of some rows, those without a place left out.

    Parameters
    ----------
    obsid, x, y : (n,) arrays
    rows : (n,) bool array
    words : str
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    kept = rows & np.isfinite(across) & np.isfinite(up)
    return Points(obsid[kept], across[kept], up[kept], words)


def limits(
    values: ArrayLike, widest: tuple[float, float], always: tuple[float, float]
) -> tuple[float, float]:
    """Return the range of an axis: what is always shown, and the points within sensible limits.

    Parameters
    ----------
    values : (n,) array
    widest, always : (float, float)
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite) & (finite >= widest[0]) & (finite <= widest[1])]
    low, high = always
    if len(finite):
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    room = _MARGIN * (high - low)
    return max(low - room, widest[0]), min(high + room, widest[1])


def beyond(panel: Panel) -> int:
    """Return how many of the chosen stars lie outside the axes."""
    inside = np.ones(len(panel.chosen), dtype=bool)
    for values, ends in ((panel.chosen.x, panel.x_range), (panel.chosen.y, panel.y_range)):
        inside &= (values >= min(ends)) & (values <= max(ends))
    return int((~inside).sum())


def about_one(panel: Panel, obsid: int) -> Panel:
    """Return the panel with one star in place of the chosen ones, which join the cloud."""
    everyone = Points(
        np.concatenate([panel.cloud.obsid, panel.chosen.obsid]),
        np.concatenate([panel.cloud.x, panel.chosen.x]),
        np.concatenate([panel.cloud.y, panel.chosen.y]),
        panel.cloud.words,
    )
    own = everyone.obsid == obsid
    one = Points(everyone.obsid[own][:1], everyone.x[own][:1], everyone.y[own][:1], "this star")
    return replace(panel, cloud=everyone, chosen=one)
