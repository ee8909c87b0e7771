"""The strips at the bottom of the spectrum: which wavelengths spoke for the class, and how loud."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure
from numpy.typing import NDArray

from dashboard.state import Explained
from dashboard.theme import Palette
from msfa_core.constants import NETWORK_GRID, STELLAR_CLASSES

STRIPS: Final = ((0.08, 0.14), (0.01, 0.07))  # bottom and top of the strips, of the height
ROOM: Final = 0.18  # of the height, kept free for them while they are asked for
STRIP_BIN: Final = 5  # pixels of the network's grid in one box of a strip
LOUDEST: Final = 99.5  # percentile of |attribution| that is drawn in full colour
FAINTEST: Final = 0.04  # share of that below which nothing is drawn
_COLUMNS: Final = ("left", "right", "bottom", "top", "amount", "alpha", "colour")
_GRID: Final = np.float32  # what the browser needs


def strips(explained: Explained | None, z: float, rest: bool, colours: Palette) -> dict[str, Any]:
    """Return the saliency strips: a coloured box for every few pixels of each stage.

    Parameters
    ----------
    explained : Explained or None
    z : float
        Doppler shift of the star.
    rest : bool
        Frame of the axis.
    colours : Palette
        Blue (accent) speaks for, orange (bad) against; faint is little.
    """
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
    shift = 1.0 if rest or not np.isfinite(z) else 1.0 + z
    edges = NETWORK_GRID.wavelength[::STRIP_BIN] * shift
    edges = np.append(edges, NETWORK_GRID.stop * shift)
    for said, (bottom, top) in zip(explained.stages if explained else (), STRIPS, strict=False):
        amount = said.attribution[0].reshape(-1, STRIP_BIN).sum(axis=1)
        loudest = np.percentile(np.abs(amount), LOUDEST)
        alpha = np.clip(np.abs(amount) / loudest if loudest > 0 else amount, 0.0, 1.0)
        heard = alpha > FAINTEST
        columns["left"].append(edges[:-1][heard].astype(_GRID))
        columns["right"].append(edges[1:][heard].astype(_GRID))
        columns["bottom"].append(np.full(heard.sum(), bottom, _GRID))
        columns["top"].append(np.full(heard.sum(), top, _GRID))
        columns["amount"].append(amount[heard].astype(_GRID))
        columns["alpha"].append(alpha[heard].astype(_GRID))
        columns["colour"].append(np.where(amount[heard] > 0, colours.accent, colours.bad))
    shown: dict[str, Any] = {
        name: np.concatenate(parts) if parts else np.empty(0, _GRID)
        for name, parts in columns.items()
    }
    # The browser takes an array of numbers, an empty one too, for something else than colours.
    return shown | {"colour": [str(name) for name in shown["colour"]]}


def strip_names(explained: Explained | None, rest: bool, z: float) -> dict[str, list[Any]]:
    """Return what stands behind each strip: the stage and the class that it is about."""
    shift = 1.0 if rest or not np.isfinite(z) else 1.0 + z
    names: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
    for stage, (said, (bottom, top)) in enumerate(
        zip(explained.stages if explained else (), STRIPS, strict=False), start=1
    ):
        about = STELLAR_CLASSES[int(said.target[0])] if stage == 1 else STELLAR_CLASSES[0]
        names["x"].append(NETWORK_GRID.stop * shift)
        names["y"].append((bottom + top) / 2)
        names["text"].append(f"stage {stage}: why {about}?")
    return names


def draw_strips(
    plot: figure, boxes: ColumnDataSource, names: ColumnDataSource, colours: Palette
) -> None:
    """Draw the strips and their names; what they hold comes with every answer."""
    drawn = plot.quad(
        left="left",
        right="right",
        bottom="bottom",
        top="top",
        source=boxes,
        y_range_name="height",
        fill_color="colour",
        fill_alpha="alpha",
        line_color=None,
    )
    plot.text(
        "x",
        "y",
        text="text",
        source=names,
        y_range_name="height",
        anchor="center_left",
        x_offset=4,
        text_color=colours.muted,
        text_font_size="10px",
    )
    plot.add_tools(
        HoverTool(
            renderers=[drawn],
            visible=False,
            tooltips=[("λ", "@left{0}–@right{0} Å"), ("for (+) or against", "@amount{+0.00}")],
        )
    )
