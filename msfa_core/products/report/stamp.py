"""What is the same on every page of a PDF: laid out and written once, then repeated as it stands.

Ticks, numbers and names of three small planes are a third of the time that the page of a star
takes, and no page's differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from matplotlib.artist import Artist
from matplotlib.backends.backend_pdf import Op

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FIRST: Final = -1e9  # zorder: a page has the state then that every page begins with


class _Standing(Artist):
    """Axes as they are on the first page."""

    def __init__(self, places: Sequence[Axes], moving: Sequence[Artist]) -> None:
        super().__init__()
        self.set_zorder(_FIRST)
        self._places, self._moving = places, moving
        self._written: list[bytes] = []

    def draw(self, renderer: Any) -> None:
        """Write what was written on the first page; what is no PDF is drawn."""
        if not hasattr(renderer, "file"):
            self._draw(renderer)
            return
        renderer.finalize()
        if not self._written:
            file, state = renderer.file, copy(renderer.gc)
            page, file.currentstream = file.currentstream, self
            try:
                file.output(Op.gsave)
                self._draw(renderer)
                renderer.finalize()
                file.output(Op.grestore)
            finally:
                file.currentstream = page
                renderer.gc.copy_properties(state)
        for data in self._written:
            renderer.file.write(data)

    def write(self, data: bytes) -> None:
        """Keep what is drawn, in place of the page."""
        self._written.append(data)

    def _draw(self, renderer: Any) -> None:
        seen = [drawn.get_visible() for drawn in self._moving]
        for drawn in self._moving:
            drawn.set_visible(False)
        for place in self._places:
            place.set_visible(True)
            place.draw(renderer)
            place.set_visible(False)
        for drawn, was in zip(self._moving, seen, strict=True):
            drawn.set_visible(was)


class _Moving(Artist):
    """What these axes hold that differs from page to page."""

    def __init__(self, moving: Sequence[Artist]) -> None:
        super().__init__()
        self._moving = moving

    def draw(self, renderer: Any) -> None:
        """Draw it."""
        for drawn in self._moving:
            drawn.draw(renderer)


def stamp(figure: Figure, places: Sequence[Axes], moving: Sequence[Artist]) -> None:
    """Have axes of a figure, which is page after page of one PDF, drawn but once.

    Parameters
    ----------
    figure : Figure
    places : sequence of Axes
        What they hold stays as it is on the first page.
    moving : sequence of Artist
        What of it is drawn anew on each page, on top of the rest.
    """
    for place in places:
        place.set_visible(False)  # the figure leaves them to what stands
    figure.add_artist(_Standing(places, moving))
    figure.add_artist(_Moving(moving))
