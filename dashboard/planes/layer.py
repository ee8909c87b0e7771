"""Stars of one kind on a plane: points while they are few, an image when they are many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, ImageRGBA, Scatter
from bokeh.plotting import figure

from dashboard.planes.axis import Groups, Names, Window, count_image
from msfa_core.typing import BoolArray

POINTS_LIMIT: Final = 5_000  # more stars than this are drawn as an image
POINT_FIELDS: Final = ("x", "y", "obsid", "group", "colour")
IMAGE_FIELDS: Final = ("image", "x", "y", "dw", "dh")


def nothing(fields: tuple[str, ...]) -> dict[str, list[float]]:
    return {name: [] for name in fields}


class Layer:
    """Stars of one kind: points while they are few, an image when they are many."""

    def __init__(self, plot: figure, alpha: float, size: float) -> None:
        self.image = ColumnDataSource(nothing(IMAGE_FIELDS))
        self.points = ColumnDataSource(nothing(POINT_FIELDS))
        plot.add_glyph(self.image, ImageRGBA(image="image", x="x", y="y", dw="dw", dh="dh"))
        self.renderer = plot.add_glyph(
            self.points,
            Scatter(
                x="x", y="y", size=size, line_color=None, fill_color="colour", fill_alpha=alpha
            ),
        )
        self._counted: tuple[pd.DataFrame, Mapping[str, str]] | None = None

    @property
    def n_points(self) -> int:
        """Stars drawn as points."""
        return len(self.points.data["x"])

    def draw(self, frame: pd.DataFrame, names: Names, groups: Groups, keep: BoolArray) -> None:
        """Draw the kept rows in place of what was drawn before; an image waits for `count`."""
        many = int(keep.sum()) > POINTS_LIMIT
        rows = np.zeros(0, dtype=int) if many else np.flatnonzero(keep)
        if rows.size or self.n_points:
            codes = groups.word.codes[rows]
            order = np.argsort(-codes, kind="stable")  # the first group, BHB stars, lies on top
            rows, codes = rows[order], codes[order]
            self.points.data = {
                "x": frame[names[0]].to_numpy()[rows],
                "y": frame[names[1]].to_numpy()[rows],
                "obsid": frame["obsid"].to_numpy()[rows].astype(str),
                "group": np.array(list(groups.colour), dtype=object)[codes],
                "colour": np.array(list(groups.colour.values()), dtype=object)[codes],
            }
        self._counted = None
        if many:
            shown = frame.loc[keep, list(names)].assign(group=groups.word[keep])
            self._counted = shown, groups.colour
        elif len(self.image.data["x"]):
            self.image.data = nothing(IMAGE_FIELDS)

    def count(self, names: Names, window: Window, size: tuple[int, int]) -> None:
        """Count the stars of an image anew for a window; points need nothing."""
        if self._counted is None:
            return
        x0, x1, y0, y1 = window
        self.image.data = {
            "image": [count_image(*self._counted, names, window, size)],
            "x": [x0],
            "y": [y0],
            "dw": [x1 - x0],
            "dh": [y1 - y0],
        }
