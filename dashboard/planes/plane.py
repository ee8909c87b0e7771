"""Planes on the screen: all stars, the brushed ones, and a ring around the star on screen.

Few stars are drawn as points that can be pointed at, many as an image of their numbers.
Everything is updated in place: no model is made after the first drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.events import RangesUpdate, SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    GlyphRenderer,
    HoverTool,
    LassoSelectTool,
    Legend,
    LegendItem,
    Patch,
    Patches,
    Range1d,
    Scatter,
    Segment,
)
from numpy.typing import NDArray

from dashboard.planes.axis import (
    IMAGE_SIZE,
    Axis,
    Groups,
    Names,
    Window,
    frame_limits,
    inside_geometry,
)
from dashboard.planes.cells import number
from dashboard.planes.layer import Layer, nothing
from dashboard.theme import FONT, LEGEND_STYLES, Palette, name_downloads, new_figure
from msfa_core.typing import BoolArray, FloatArray

TAP_REACH: Final = 12.0  # a tap selects the nearest star within so many screen pixels
TAP_FRAME: Final = (360.0, 240.0)  # screen size assumed until the browser tells
SLOTS: Final = 7  # the most groups that the legend of a plane names
STAR_FIELDS: Final = ("x", "y", "left", "right", "bottom", "top", "obsid")
CIRCLE: Final = np.linspace(0, 2 * np.pi, 48, endpoint=False)


class Plane:
    """One plane on the screen: figure, sources, and what a hand does in it.

    Parameters
    ----------
    x, y : Axis
    colours : Palette
    on_select : callable
        Called with the obsid of a star that was tapped.
    on_brush : callable
        Called with the obsids inside a box or lasso.
    equal : bool
        Open both axes on the same range: for two measurements of one quantity.
    **options
        As for `theme.new_figure`.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis,
        colours: Palette,
        on_select: Callable[[int], object],
        on_brush: Callable[[NDArray[np.int64]], object],
        equal: bool = False,
        **options: Any,
    ) -> None:
        self.x, self.y, self.colours = x, y, colours
        self._on_select, self._on_brush = on_select, on_brush
        self._equal = equal
        self.n_outside = 0
        self._frame = pd.DataFrame({"obsid": [], x.column: [], y.column: []})
        self.figure = new_figure(
            colours,
            tools="pan,wheel_zoom,reset,save",
            active_scroll="wheel_zoom",
            x_range=Range1d(*_ordered(x)),
            y_range=Range1d(*_ordered(y)),
            x_axis_label=x.label,
            y_axis_label=y.label,
            **options,
        )
        self.rest = Layer(self.figure, alpha=0.5, size=3)
        self.vivid = Layer(self.figure, alpha=1.0 if colours.is_dark else 0.85, size=4.5)
        self.star = ColumnDataSource(nothing(STAR_FIELDS))
        self.ellipse = ColumnDataSource(nothing(("x", "y")))
        self.epochs = ColumnDataSource(nothing(("x", "y")))
        name_downloads(self.figure, f"{y.column}-{x.column}")
        self._legend = self._add_legend()
        self._add_tools()
        self._add_star()
        self.figure.on_event(Tap, self._tapped)
        self.figure.on_event(SelectionGeometry, self._drawn)
        self.figure.on_event(RangesUpdate, self._moved)

    @property
    def names(self) -> Names:
        """Columns of the two axes."""
        return self.x.column, self.y.column

    # --- drawing -------------------------------------------------------------------------
    def draw(
        self,
        dataset: hv.Dataset,
        groups: Groups,
        brushed: BoolArray | None = None,
        keep: BoolArray | None = None,
    ) -> None:
        """Draw the stars by group: the brushed ones vivid, the others grey.

        Parameters
        ----------
        dataset : Dataset of n stars
        groups : Groups
        brushed : (n,) bool array, optional
            Without it every star is vivid.
        keep : (n,) bool array, optional
            Stars that are drawn at all.
        """
        frame = dataset.data
        x, y = (frame[name].to_numpy() for name in self.names)
        shown = np.isfinite(x) & np.isfinite(y)
        if keep is not None:
            shown &= keep
        if self._frame is not frame:
            self._frame = frame
            self._open_frame(x[shown], y[shown])
        x0, x1, y0, y1 = self.window
        inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        self.n_outside = int((shown & ~inside).sum())
        vivid = shown if brushed is None else shown & brushed
        grey = Groups(
            pd.Categorical.from_codes(np.zeros(len(frame), dtype=np.int8), categories=["other"]),
            {"other": self.colours.cloud},
        )
        self.rest.draw(frame, self.names, grey, shown & ~vivid)
        self.vivid.draw(frame, self.names, groups, vivid)
        self._count()
        present = np.bincount(groups.word.codes[vivid], minlength=len(groups.colour)) > 0
        self._tell_groups(groups, present)

    def draw_star(
        self,
        row: pd.Series | None,
        epochs: pd.DataFrame | None = None,
        correlation: float = 0.0,
    ) -> None:
        """Ring the star on screen, with its 1σ ellipse; its other epochs get a small diamond.

        Parameters
        ----------
        row : Series, optional
            The star; without it, or without a place in this plane, the ring goes.
        epochs : DataFrame, optional
            Rows of all its spectra.
        correlation : float
            Of the errors of the two axes.
        """
        x, y = (number(row, name) for name in self.names)
        if row is not None and np.isfinite(x) and np.isfinite(y):
            x_err, y_err = (_error(row, axis.error) for axis in (self.x, self.y))
            x0, x1, y0, y1 = self.window  # the overlay is not cut at the frame: bars end there
            across = np.clip((x - x_err, x + x_err), min(x0, x), max(x1, x))
            up = np.clip((y - y_err, y + y_err), min(y0, y), max(y1, y))
            values = (x, y, *map(float, across), *map(float, up), str(row["obsid"]))
            self.star.data = {
                name: [value] for name, value in zip(STAR_FIELDS, values, strict=True)
            }
            outline = error_ellipse(x, y, x_err, y_err, correlation)
            self.ellipse.data = {
                "x": np.clip(outline["x"], min(x0, x), max(x1, x)),
                "y": np.clip(outline["y"], min(y0, y), max(y1, y)),
            }
        else:
            self.star.data = nothing(STAR_FIELDS)
            self.ellipse.data = nothing(("x", "y"))
        others = nothing(("x", "y"))
        spectra = pd.DataFrame() if epochs is None else epochs
        if row is not None and len(spectra) > 1 and set(self.names) <= set(spectra.columns):
            found = spectra.loc[spectra["obsid"] != row["obsid"], list(self.names)].dropna()
            others = dict(zip(("x", "y"), found.to_numpy(dtype=float).T, strict=True))
        if len(others["x"]) or len(self.epochs.data["x"]):
            self.epochs.data = others
            self._epochs_item.visible = len(others["x"]) > 0

    def places(self, row: pd.Series | None) -> bool:
        """Tell whether the star has a place in this plane."""
        return all(np.isfinite(number(row, name)) for name in self.names)

    def holds(self, row: pd.Series | None) -> bool:
        """Tell whether the star lies inside the frame as it is opened now."""
        x0, x1, y0, y1 = self.window
        x, y = (number(row, name) for name in self.names)
        return x0 <= x <= x1 and y0 <= y <= y1

    @property
    def window(self) -> Window:
        """The frame as it is opened now, ascending."""
        x, y = self.figure.x_range, self.figure.y_range
        return (*sorted((x.start, x.end)), *sorted((y.start, y.end)))

    def add_outline(self, xs: Sequence[Any] = (), ys: Sequence[Any] = ()) -> ColumnDataSource:
        """Add a region; its source (``xs``, ``ys``) moves it."""
        source = ColumnDataSource({"xs": list(xs), "ys": list(ys)})
        accent = self.colours.accent
        outline = Patches(
            xs="xs", ys="ys", fill_color=accent, fill_alpha=0.07, line_color=accent,
            line_width=1.5, line_dash="dashed",
        )  # fmt: skip
        self.figure.add_glyph(source, outline)  # above the images, which hide what lies below
        return source

    # --- hands ---------------------------------------------------------------------------
    def _tapped(self, event: Tap) -> None:
        """Select the star nearest to a tap, unless none is near."""
        x0, x1, y0, y1 = self.window
        width, height = self._size(TAP_FRAME)
        x, y = (self._frame[name].to_numpy() for name in self.names)
        distance = np.hypot((x - event.x) / (x1 - x0) * width, (y - event.y) / (y1 - y0) * height)
        if np.isfinite(distance).any() and np.nanmin(distance) <= TAP_REACH:
            self._on_select(int(self._frame["obsid"].to_numpy()[np.nanargmin(distance)]))

    def _drawn(self, event: SelectionGeometry) -> None:
        """Hand on the stars inside a finished box or lasso."""
        if event.final and event.geometry["type"] in ("rect", "poly"):
            x, y = (self._frame[name].to_numpy() for name in self.names)
            inside = inside_geometry(event.geometry, x, y)
            self._on_brush(self._frame["obsid"].to_numpy(dtype=np.int64)[inside])

    def _moved(self, _event: RangesUpdate) -> None:
        self._count()

    # --- parts ---------------------------------------------------------------------------
    def _open_frame(self, x: FloatArray, y: FloatArray) -> None:
        plot = self.figure
        frames = [frame_limits(x, self.x), frame_limits(y, self.y)]
        if self._equal:
            starts, ends = zip(*frames, strict=True)
            frames = [(min(starts), max(ends))] * 2
        for (start, end), shown in zip(frames, (plot.x_range, plot.y_range), strict=True):
            shown.update(start=start, end=end, reset_start=start, reset_end=end)

    def _size(self, otherwise: tuple[float, float]) -> tuple[float, float]:
        """Return the inner size that the browser reported, else the given one."""
        try:
            width, height = self.figure.inner_width, self.figure.inner_height
        except UnsetValueError:  # no browser has drawn it yet
            return otherwise
        return (width, height) if width and height else otherwise

    def _count(self) -> None:
        width, height = self._size(IMAGE_SIZE)
        for layer in (self.rest, self.vivid):
            layer.count(self.names, self.window, (int(width), int(height)))

    def _add_legend(self) -> Legend:
        """Add the legend: its marks are points of their own that lie nowhere."""
        self._marks = ColumnDataSource(
            {"x": [np.nan] * SLOTS, "y": [np.nan] * SLOTS, "colour": [None] * SLOTS}
        )
        marks = self.figure.add_glyph(
            self._marks, Scatter(x="x", y="y", size=7, line_color=None, fill_color="colour")
        )
        legend = Legend(
            items=[
                LegendItem(label="", renderers=[marks], index=slot, visible=False)
                for slot in range(SLOTS)
            ],
            orientation="horizontal",
            location="left",
            margin=0,
            padding=1,
            spacing=8,
            border_line_color=None,
            background_fill_color=None,
            label_text_color=self.colours.text,
            label_text_font=FONT,
            label_text_font_size="11px",
            label_standoff=0,
            glyph_width=14,
            glyph_height=14,
            label_height=14,
            label_width=6,
            styles=LEGEND_STYLES,
        )
        self.figure.add_layout(legend, "above")  # in the frame it would lie over stars
        return legend

    def _tell_groups(self, groups: Groups, present: BoolArray) -> None:
        """Write the groups that are there into the legend."""
        words = [word for word, there in zip(groups.colour, present, strict=True) if there]
        colours = [groups.colour[word] for word in words]
        self._marks.data = {**self._marks.data, "colour": (colours + [None] * SLOTS)[:SLOTS]}
        for slot, item in enumerate(self._legend.items[:SLOTS]):
            item.visible = slot < len(words) <= SLOTS
            if item.visible:
                item.label = {"value": words[slot]}

    def show_legend(self, is_shown: bool) -> None:
        """Show the legend of the groups, or leave it to the view."""
        if self._legend.visible != is_shown:
            self._legend.visible = is_shown

    @property
    def legend(self) -> list[str]:
        """Words in the legend."""
        return [item.label.value for item in self._legend.items if item.visible]

    def _add_tools(self) -> None:
        box = BoxSelectTool(persistent=False, renderers=[])
        lasso = LassoSelectTool(continuous=False, persistent=False, renderers=[])
        hover = HoverTool(
            renderers=[self.vivid.renderer],
            tooltips=[
                ("obsid", "@obsid"),
                *(
                    (axis.label, f"@{name}{{0.{'0' * axis.digits}}}")
                    for name, axis in (("x", self.x), ("y", self.y))
                ),
                ("shown as", "@group"),
            ],
        )
        self.figure.add_tools(box, lasso, hover)
        self.figure.toolbar.active_drag = box

    def _add_star(self) -> None:
        """Add the ring on the overlay level: a change repaints that level alone."""
        ring = self.colours.ring
        line = {"line_color": ring, "line_width": 1.5}
        for source, glyph in (
            (
                self.ellipse,
                Patch(x="x", y="y", fill_color=ring, fill_alpha=0.18, line_color=None),
            ),
            (self.star, Segment(x0="left", y0="y", x1="right", y1="y", **line)),
            (self.star, Segment(x0="x", y0="bottom", x1="x", y1="top", **line)),
            (self.epochs, Scatter(x="x", y="y", marker="diamond", size=8, fill_color=None, **line)),
            (
                self.star,
                Scatter(x="x", y="y", size=13, fill_color=None, line_color=ring, line_width=2.5),
            ),
        ):
            self.figure.add_glyph(source, glyph, level="overlay")
            if source is self.epochs:
                self._epochs_item = LegendItem(
                    label="its other epochs", renderers=[self._mark(glyph)], visible=False
                )
                self._legend.items = [*self._legend.items, self._epochs_item]

    def _mark(self, glyph: Scatter) -> GlyphRenderer:
        """Add a mark for the legend, which lies nowhere and stays as it is.

        The browser makes all marks of a legend anew, and empty, when the data of one change; it
        paints them with the whole figure only, and a star repaints the overlay alone.
        """
        return self.figure.add_glyph(ColumnDataSource({"x": [np.nan], "y": [np.nan]}), glyph)


def error_ellipse(
    x: float, y: float, x_err: float, y_err: float, correlation: float
) -> dict[str, FloatArray]:
    """Return the outline of the 1σ ellipse of two correlated errors."""
    rho = float(np.clip(correlation, -1, 1)) if np.isfinite(correlation) else 0.0
    across, up = np.cos(CIRCLE), np.sin(CIRCLE)
    return {"x": x + x_err * across, "y": y + y_err * (rho * across + np.sqrt(1 - rho**2) * up)}


def _ordered(axis: Axis) -> tuple[float, float]:
    return axis.always[::-1] if axis.flipped else axis.always


def _error(row: pd.Series | None, name: str) -> float:
    """Return an error of a row; an unknown error draws no bar."""
    error = number(row, name) if name else float("nan")
    return error if np.isfinite(error) else 0.0
