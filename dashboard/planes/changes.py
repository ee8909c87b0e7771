"""What a region moved by hand changes: the stars that would enter it, and those that would leave.

Regions are moved on the screen alone; what the survey's settings say stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, Scatter

from dashboard.planes.cells import counted
from dashboard.planes.guides import explain
from dashboard.planes.layer import POINTS_LIMIT
from dashboard.planes.plane import Plane
from dashboard.planes.words import Words
from dashboard.theme import stylesheet
from msfa_core.typing import BoolArray, FloatArray

MARK: Final = 9  # px
HANDLE: Final = 0.025  # of the frame, across a handle


class Changes:
    """Marks on a plane: a triangle upwards on a star that would enter, downwards on one that would
    leave.

    Parameters
    ----------
    plane : Plane
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.entering, self.leaving = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
        self._said = []  # of the legend: what is not there is not named
        for source, marker, colour, words in (
            (self.entering, "triangle", plane.colours.good, "would enter"),
            (self.leaving, "inverted_triangle", plane.colours.bad, "would leave"),
        ):
            mark = Scatter(
                x="x", y="y", marker=marker, size=MARK, fill_color=None, line_color=colour,
                line_width=1.6,
            )  # fmt: skip
            said = explain(plane, words, [plane.figure.add_glyph(source, mark)])
            said.visible = False
            self._said.append(said)

    def show(self, x: FloatArray, y: FloatArray, before: BoolArray, now: BoolArray) -> None:
        """Mark what lies inside now and did not before, and the other way round.

        Parameters
        ----------
        x, y : (n,) arrays
            Places of the stars; of many, as many are marked as are drawn as points.
        before, now : (n,) bool arrays
        """
        placed = np.isfinite(x) & np.isfinite(y)
        for source, said, rows in (
            (self.entering, self._said[0], now & ~before & placed),
            (self.leaving, self._said[1], before & ~now & placed),
        ):
            drawn = np.flatnonzero(rows)[:POINTS_LIMIT]
            if len(drawn) or len(source.data["x"]):
                source.data = {"x": x[drawn], "y": y[drawn]}
                said.visible = len(drawn) > 0


def change_sentence(before: BoolArray, now: BoolArray, name: str) -> str:
    """Return how many spectra would enter and leave, against the region of this name."""
    entering, leaving = int((now & ~before).sum()), int((before & ~now).sum())
    if not entering and not leaving:
        return f"holds the same spectra as {name}"
    enter = counted(entering, "spectrum", "spectra")
    return f"against {name}: {enter} would enter, {leaving:,} would leave"


def use_words() -> Words:
    """Return the empty place that says what can be done with limits on screen: whole, to copy."""
    return Words(
        "", css_classes=["msfa-plot-caption", "msfa-use"], stylesheets=[stylesheet()],
        margin=(2, 8), sizing_mode="stretch_width", visible=False,
    )  # fmt: skip


def say_use(place: Words, words: str) -> None:
    """Say it there; nothing puts the place away."""
    place.object = f"<div>{escape(words)}</div>" if words else ""
    place.visible = bool(words)


class Corners:
    """Corners of a polygon that can be moved by hand: a small box on each.

    Parameters
    ----------
    plane : Plane
    vertices : (k, 2) array
    on_move : callable
        Called with the (k, 2) places after a corner was moved.
    """

    def __init__(
        self, plane: Plane, vertices: FloatArray, on_move: Callable[[FloatArray], Any]
    ) -> None:
        self.plane, self.vertices, self._on_move = plane, vertices.copy(), on_move
        self._is_placing = False
        accent = plane.colours.accent
        self.handles = [
            BoxAnnotation(
                editable=True, movable="both", resizable="none", visible=False, fill_color=accent,
                fill_alpha=0.9, line_color=plane.colours.surface, line_width=1.0, level="overlay",
            )
            for _ in vertices
        ]  # fmt: skip
        for number, handle in enumerate(self.handles):
            for side in ("left", "right", "bottom", "top"):
                handle.on_change(side, self._mover(number))
            plane.figure.add_layout(handle)
        self.place(vertices)

    def _mover(self, number: int) -> Callable[[str, Any, Any], None]:
        def moved(_name: str, _old: Any, _new: Any) -> None:
            if self._is_placing:
                return
            handle = self.handles[number]
            self.vertices[number] = (
                (handle.left + handle.right) / 2,
                (handle.bottom + handle.top) / 2,
            )
            self._on_move(self.vertices.copy())

        return moved

    def place(self, vertices: FloatArray) -> None:
        """Put the handles on these corners."""
        x0, x1, y0, y1 = self.plane.window
        across, up = HANDLE * (x1 - x0) / 2, HANDLE * (y1 - y0) / 2
        self.vertices = vertices.copy()
        self._is_placing = True
        try:
            for handle, (x, y) in zip(self.handles, vertices, strict=True):
                handle.update(left=x - across, right=x + across, bottom=y - up, top=y + up)
        finally:
            self._is_placing = False

    def show(self, is_shown: bool) -> None:
        """Show the handles, or put them away."""
        for handle in self.handles:
            handle.visible = is_shown


def corner_words(vertices: FloatArray, digits: Sequence[int]) -> str:
    """Return the corners of a polygon in words: ``(−0.10, −1.0) (0.53, −1.0) …``."""
    places = [f"({x:.{digits[0]}f}, {y:.{digits[1]}f})" for x, y in vertices]
    return " ".join(places).replace("-", "−")
