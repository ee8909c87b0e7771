"""The D0.2–fm planes of Hδ and Hγ, the b–c plane of Hγ, and the BHB selections (paper §V.2)."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import BoxAnnotation, ColumnDataSource

from dashboard.planes.axis import Axis
from dashboard.planes.cells import number
from dashboard.planes.guides import draw_curves, explain
from dashboard.planes.linked import (
    LinkedView,
    caption,
    caption_html,
    colour_switch,
    controls,
    quiet_button,
)
from dashboard.planes.plane import Plane
from dashboard.state import Session, Star
from dashboard.theme import stylesheet
from msfa_core.balmer.region import have_line, inside_all, inside_by_line
from msfa_core.balmer.selection import SELECTIONS, Selection, box_selection, get_selection
from msfa_core.constants import FIT_LINES, LINE_SYMBOLS

Box = tuple[float, float, float, float]  # D0.2 low, high [Å], fm low, high

OWN: Final = "own box"
SHAPE_PLANE: Final = "Hγ b–c"
CURVE_POINTS: Final = 60  # of the outline of a curved limit
START_BOX: Final[Box] = (17.0, 28.5, 0.10, 0.30)  # where the own box lies before it is moved


def line_of(key: str) -> str:
    """Return the line of a plane by its key."""
    return next(line for line, name in LINE_SYMBOLS.items() if key.startswith(name))


def line_axes(line: str) -> tuple[Axis, Axis]:
    """Return the axes of the D0.2–fm plane of a line."""
    name = LINE_SYMBOLS[line]
    return (
        Axis(f"d02_{line}", f"D0.2 ({name}) [Å]", (4, 60), (8, 45), f"d02_{line}_err", digits=1),
        Axis(f"fm_{line}", f"fm ({name})", (-0.05, 0.85), (0.05, 0.5), f"fm_{line}_err", digits=3),
    )


SHAPE_AXES: Final = (
    Axis("shape_hgamma", "c (Hγ)", (0.3, 2.2), (0.5, 1.6), digits=3),
    Axis("width_hgamma", "b (Hγ) [Å]", (0, 30), (2, 18), digits=1),
)


def region_outline(selection: Selection, line: str) -> tuple[list[float], list[float]]:
    """Return the outline of a selection in the D0.2–fm plane of a line; empty without one."""
    box = selection.box(line)
    if box is None:
        return [], []
    axes = line_axes(line)
    x0, x1 = np.clip(box[:2], *axes[0].limits)
    y0, y1 = np.clip(box[2:], *axes[1].limits)
    return [x0, x1, x1, x0], [y0, y0, y1, y1]


def shape_outline(selection: Selection) -> tuple[list[float], list[float]]:
    """Return the outline of a selection in the b–c plane of Hγ; empty without one."""
    cuts = {cut.quantity: cut for cut in selection.cuts.get("hgamma", ())}
    if not {"shape", "width"} <= set(cuts):
        return [], []
    shape, width = cuts["shape"], cuts["width"]
    low, high = SHAPE_AXES[0].limits
    c = np.linspace(max(shape.low, low), min(shape.high, high), CURVE_POINTS)
    top = np.full(c.shape, min(width.high, SHAPE_AXES[1].limits[1]))
    if width.high_curve is not None:
        offset, curvature, vertex = width.high_curve
        top = np.minimum(top, offset - curvature * (c - vertex) ** 2)
    low = max(width.low, SHAPE_AXES[1].limits[0])
    inside = top >= low
    c, top = c[inside], top[inside]
    return [*c, *c[::-1]], [*top, *np.full(c.size, low)]


def count_sentence(table: pd.DataFrame, selection: Selection) -> str:
    """Return how many stars lie inside, line by line and in all."""
    words = [
        f"{LINE_SYMBOLS[line]} {int(rows.sum()):,} of {int(have_line(table, line).sum()):,} inside"
        for line, rows in inside_by_line(table, selection).items()
    ]
    together = "both lines" if len(words) > 1 else "with Hγ measured"
    return f"{', '.join(words)}; {together} {int(inside_all(table, selection).sum()):,}"


def limits_sentence(selection: Selection, line: str) -> str:
    """Return the limits of one line in words."""
    if line not in selection.lines:
        return f"no limits for {LINE_SYMBOLS[line]}"
    return ", ".join(cut.describe() for cut in selection.cuts[line])


def star_sentence(row: pd.Series, line: str, selection: Selection) -> str:
    """Return the measurement of one line of this star, and whether it lies inside."""
    name = LINE_SYMBOLS[line]
    words = []
    for quantity, text, digits, unit in (("d02", "D0.2", 1, " Å"), ("fm", "fm", 3, "")):
        value, error = number(row, f"{quantity}_{line}"), number(row, f"{quantity}_{line}_err")
        if not np.isfinite(value):
            return f"this star has no {text} of {name} (see the fit)"
        spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
        words.append(f"{text} {value:.{digits}f}{spread}{unit}")
    sentence = f"this star: {', '.join(words)}"
    if line not in selection.lines:
        return sentence
    values = ([number(row, f"{q}_{line}")] for q in ("d02", "fm", "width", "shape"))
    return f"{sentence}, {'inside' if selection.contains(line, *values)[0] else 'outside'}"


class PlaneView(LinkedView):
    """The planes of the line measurements, with the selection that is looked at."""

    selection_name: param.Selector[str] = param.Selector(default=OWN, objects=[*SELECTIONS, OWN])
    own_boxes = param.Dict(default={line: START_BOX for line in FIT_LINES})

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        of_survey = get_selection(self.state.data.settings.selection)
        self._known = {**SELECTIONS, of_survey.name: of_survey}
        self.param.selection_name.objects = [*self._known, OWN]
        self.selection_name = of_survey.name
        self._counts = ""
        self._regions: dict[str, ColumnDataSource] = {}
        self._boxes: dict[str, BoxAnnotation] = {}
        lines = {LINE_SYMBOLS[line]: partial(self._make_line_plane, line) for line in FIT_LINES}
        self.offer(lines | {SHAPE_PLANE: self._make_shape_plane})
        self._figures = self.figure_place()
        self._caption = caption()
        self._inputs = self._box_inputs()
        self._bar = self._controls()
        self.follow()
        self._show_inputs()
        self.param.watch(lambda *_: self._change_selection(), ["selection_name", "own_boxes"])

    # --- the selection -------------------------------------------------------------------
    @property
    def selection(self) -> Selection:
        """The selection that is drawn and counted."""
        if self.selection_name == OWN:
            boxes = {
                line: (round(left, 1), round(right, 1), round(low, 3), round(high, 3))
                for line, (left, right, low, high) in self.own_boxes.items()
            }
            return box_selection(OWN, boxes, "set by the reviewer on this screen")
        return self._known[self.selection_name]

    def queue_inside(self) -> None:
        """Limit the queue to the stars inside the selection."""
        selection = self.selection
        rows = inside_all(self.state.verdicts.table, selection)
        obsids = self.state.verdicts.table["obsid"].to_numpy(dtype=np.int64)[rows]
        self.state.queue.brush(obsids, f"inside {selection.name} ({selection.describe()})")

    def set_own_box(self, line: str, box: Box) -> None:
        """Move the own box of a line; its low limits stay below the high ones."""
        low, high = sorted(box[:2]), sorted(box[2:])
        moved = (low[0], low[1], high[0], high[1])
        if moved != self.own_boxes[line]:
            self.own_boxes = self.own_boxes | {line: moved}

    def _change_selection(self) -> None:
        self._draw_selection()
        self.count()
        self.describe()

    def _draw_selection(self) -> None:
        """Draw the selection on every plane that was made, in place."""
        for key in self._regions:
            self._outline(key)
        self._show_inputs()

    def _outline(self, key: str) -> None:
        selection, own, line = self.selection, self.selection_name == OWN, line_of(key)
        if key == SHAPE_PLANE:
            x, y = shape_outline(selection)
        else:
            x, y = ([], []) if own else region_outline(selection, line)
            left, right, bottom, top = self.own_boxes[line]
            self._boxes[line].update(left=left, right=right, bottom=bottom, top=top, visible=own)
        self._regions[key].data = {"xs": [x] if x else [], "ys": [y] if y else []}

    def count(self) -> None:
        """Count the stars inside the selection."""
        self._counts = count_sentence(self.state.verdicts.table, self.selection)

    # --- following the state -------------------------------------------------------------
    def describe(self) -> None:
        """Write the caption: counts, this star, and where the limits come from."""
        selection, line, star = self.selection, line_of(self.shown), self.state.screen.star
        lines = [
            self._counts,
            "" if star is None else star_sentence(star.row, line, selection),
            f"{selection.name}: {limits_sentence(selection, line)}",
            self.outside_words(),
        ]
        self._caption.object = caption_html(lines, f"{selection.describe()} {selection.provenance}")

    def correlation(self, key: str, star: Star) -> float:
        """Return the correlation of D0.2 and fm, or of b and c, as the fit gives it."""
        line = line_of(key)
        if line not in star.fits.lines:
            return 0.0
        name = "width_shape" if key == SHAPE_PLANE else "d02_fm"
        correlation = getattr(star.fits, f"{name}_correlation")
        return float(correlation[0, star.fits.lines.index(line)])

    def _show(self) -> None:
        super()._show()
        self._show_inputs()

    # --- parts ---------------------------------------------------------------------------
    def _make_line_plane(self, line: str) -> Plane:
        key = LINE_SYMBOLS[line]
        plane = self.new_plane(*line_axes(line), f"{key} D0.2–fm")
        self._regions[key] = plane.add_outline()
        self._boxes[line] = self._add_own_box(line, plane)
        self._outline(key)
        return plane

    def _make_shape_plane(self) -> Plane:
        plane = self.new_plane(*SHAPE_AXES, SHAPE_PLANE)
        x, y = shape_outline(SELECTIONS["xue2011"])  # the one selection with limits here
        outline = draw_curves(plane, [([*x, x[0]], [*y, y[0]])], plane.colours.text, "dashed", 1.4)
        explain(plane, "limits of xue2011 (Hγ)", [outline])
        self._regions[SHAPE_PLANE] = plane.add_outline()
        self._outline(SHAPE_PLANE)
        return plane

    def _add_own_box(self, line: str, plane: Plane) -> BoxAnnotation:
        accent = plane.colours.accent
        box = BoxAnnotation(
            editable=True, visible=False, fill_color=accent, fill_alpha=0.08, line_color=accent,
            line_alpha=1.0,
            line_width=1.5, line_dash="dashed",
        )  # fmt: skip

        def moved(_name: str, _old: Any, _new: Any) -> None:
            if box.visible:
                self.set_own_box(line, (box.left, box.right, box.bottom, box.top))

        for side in ("left", "right", "bottom", "top"):
            box.on_change(side, moved)
        plane.figure.add_layout(box)
        return box

    def _box_inputs(self) -> pn.Row:
        """Return the limits of the own box as numbers, for the line on screen."""
        self._limits = [
            pn.widgets.FloatInput(
                label=label, step=step, width=84, margin=(0, 4), start=0.0, format=form,
                css_classes=["msfa-number"], stylesheets=[stylesheet()],
            )
            for label, step, form in (
                ("D0.2 from [Å]", 0.5, "0.0"), ("to [Å]", 0.5, "0.0"),
                ("fm from", 0.01, "0.00"), ("to", 0.01, "0.00"),
            )
        ]  # fmt: skip
        for limit in self._limits:
            limit.param.watch(lambda *_: self._take_inputs(), "value")
        return pn.Row(*self._limits, margin=0, visible=False)

    def _take_inputs(self) -> None:
        d02_low, d02_high, fm_low, fm_high = (limit.value for limit in self._limits)
        line = self._own_line()
        if line is None or d02_low is None or d02_high is None or fm_low is None or fm_high is None:
            return  # a number is being written
        self.set_own_box(line, (d02_low, d02_high, fm_low, fm_high))

    def _own_line(self) -> str | None:
        """Return the line whose own box is on screen; None when there is none."""
        if self.selection_name != OWN:
            return None
        return next((line for line in FIT_LINES if LINE_SYMBOLS[line] == self.shown), None)

    def _show_inputs(self) -> None:
        line = self._own_line()
        self._inputs.visible = line is not None
        if line is not None:
            with param.parameterized.discard_events(self):
                for limit, value in zip(self._limits, self.own_boxes[line], strict=True):
                    limit.value = round(value, 3)

    def _controls(self) -> pn.Row:
        choice = pn.widgets.Select.from_param(
            self.param.selection_name, label="selection", description=None, width=74,
            margin=(0, 2), align="center", stylesheets=[stylesheet()],
            css_classes=["msfa-select", "msfa-nolabel", "selection-name"],
        )  # fmt: skip
        button = quiet_button(
            "queue inside", self.queue_inside,
            "Limit the queue to the stars inside the selection", "queue-inside",
        )  # fmt: skip
        return controls(
            self.plane_switch(), choice, button, pn.layout.HSpacer(), colour_switch(self)
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._inputs, self._figures, self._caption,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
