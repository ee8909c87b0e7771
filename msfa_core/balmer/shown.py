"""A figure that belongs to no window, and that a notebook shows all the same."""

from __future__ import annotations

from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def shown_figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """Return an empty figure of a width and height [inches].

    What stands at places of its own is not ``arranged``: that would draw it twice.
    """
    figure = ShownFigure(figsize=(width, height), layout="constrained" if arranged else None)
    FigureCanvasAgg(figure)
    return figure


class ShownFigure(Figure):
    """A matplotlib figure that is a picture as the last value of a cell.

    Of a plain one IPython prints the name, until ``%matplotlib inline`` or pyplot is there.
    """

    def _repr_png_(self) -> bytes:
        held = BytesIO()
        self.savefig(held, format="png", dpi=self.dpi)
        return held.getvalue()
