"""The D0.2–fm planes of Hδ and Hγ, the b–c plane of Hγ, and the BHB selections (paper §V.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import BoxAnnotation, ColumnDataSource

from dashboard.planes.axis import Axis
from dashboard.planes.cells import number
from dashboard.planes.changes import Changes, change_sentence, say_use, use_words
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
from msfa_core.balmer.selection import (
    SELECTIONS,
    Cut,
    Selection,
    box_selection,
    get_selection,
    selection_text,
)
from msfa_core.columns import numbers
from msfa_core.constants import FIT_LINES, LINE_SYMBOLS
from msfa_core.errors import ConfigError

Box = tuple[float, float, float, float]  # D0.2 low, high [Å], fm low, high

OWN: Final = "own box"
OWN_NAME: Final = "mine"  # of the own box, in settings
SHAPE: Final = "shape"  # key of the own box in the b–c plane
SHAPE_PLANE: Final = "Hγ b–c"
CURVE_POINTS: Final = 60  # of the outline of a curved limit
START_BOX: Final[Box] = (17.0, 28.5, 0.10, 0.30)  # of an own box where none is published
START_SHAPE: Final[Box] = (0.75, 1.25, 7.0, 10.8)  # c, b [Å]: it counts once it was moved


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


def star_sentence(row: pd.Series, line: str, selection: Selection | None) -> str:
    """Return the measurement of one line of this star, and whether it lies in a selection.

    The witness asks both lines: where the other one says otherwise, that is said here too.
    """
    name = LINE_SYMBOLS[line]
    words = []
    for quantity, text, digits, unit in (("d02", "D0.2", 1, " Å"), ("fm", "fm", 3, "")):
        value, error = number(row, f"{quantity}_{line}"), number(row, f"{quantity}_{line}_err")
        if not np.isfinite(value):
            return f"this star has no {text} of {name} (see the fit)"
        spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
        words.append(f"{text} {value:.{digits}f}{spread}{unit}")
    sentence = f"this star: {', '.join(words)}"
    if selection is None or line not in selection.lines:
        return sentence
    said = {one: _side(row, one, selection) for one in selection.lines}
    others = [
        f"; {LINE_SYMBOLS[one]} {side}"
        for one, side in said.items()
        if one != line and side != said[line]
    ]
    return f"{sentence}, {said[line]}{''.join(others)}"


def _side(row: pd.Series, line: str, selection: Selection) -> str:
    """Return on which side of the cuts of one line a star lies."""
    values = [[number(row, f"{q}_{line}")] for q in ("d02", "fm", "width", "shape")]
    if np.isnan(values).all():
        return "not measured"
    return "inside" if selection.contains(line, *values)[0] else "outside"


def boxes_of(selection: Selection) -> dict[str, Box]:
    """Return where the own box of each line begins: on the box of a selection, if it has one."""
    boxes = {}
    for line in FIT_LINES:
        found = selection.box(line) or START_BOX
        boxes[line] = tuple(
            value if np.isfinite(value) else other
            for value, other in zip(found, START_BOX, strict=True)
        )
    return boxes  # type: ignore[return-value]


def settings_words(selection: Selection) -> str:
    """Return what the settings would say, and what to do then."""
    try:
        named = replace(selection, name=OWN_NAME) if selection.name == OWN else selection
        text = selection_text(named)
    except ConfigError as error:
        return str(error)
    return (
        f'nothing is changed yet: write selection = "{text}" in msfa.toml and run msfa run again, '
        "which does no work twice"
    )


class PlaneView(LinkedView):
    """The planes of the line measurements, with the selection that is looked at."""

    selection_name: param.Selector[str] = param.Selector(default=OWN, objects=[*SELECTIONS, OWN])
    own_boxes = param.Dict(default={line: START_BOX for line in FIT_LINES})
    own_shape = param.Parameter(doc="Own limits of c and b of Hγ, or None where none count")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        of_survey = get_selection(self.state.data.settings.selection)
        self._known = {**SELECTIONS, of_survey.name: of_survey}
        self.param.selection_name.objects = [*self._known, OWN]
        self.published = of_survey
        self.selection_name = of_survey.name
        self.own_boxes = boxes_of(of_survey)
        self._changes: dict[str, Changes] = {}
        self._asks, self._use = False, use_words()  # what the settings would say
        self._is_placing = False  # a box is put somewhere: no hand moves it
        self._counts = self._change = ""
        self._regions: dict[str, ColumnDataSource] = {}
        self._boxes: dict[str, BoxAnnotation] = {}
        lines = {LINE_SYMBOLS[line]: partial(self._make_line_plane, line) for line in FIT_LINES}
        self.offer(lines | {SHAPE_PLANE: self._make_shape_plane})
        self._figures = self.figure_place()
        self._caption = caption()
        self._inputs = self._box_inputs()
        self._bar = self._controls()
        self.hide_while_blind(self._queue_inside)
        self.follow()
        self._show_inputs()
        self.param.watch(
            lambda *_: self._change_selection(), ["selection_name", "own_boxes", "own_shape"]
        )

    # --- the selection -------------------------------------------------------------------
    @property
    def selection(self) -> Selection:
        """The selection that is drawn and counted."""
        if self.selection_name == OWN:
            boxes = {
                line: (round(left, 1), round(right, 1), round(low, 3), round(high, 3))
                for line, (left, right, low, high) in self.own_boxes.items()
            }
            own = box_selection(OWN, boxes, "set by the reviewer on this screen")
            if self.own_shape is not None:
                c_low, c_high, b_low, b_high = (round(value, 3) for value in self.own_shape)
                cuts = (Cut("width", b_low, b_high), Cut("shape", c_low, c_high))
                own = replace(own, cuts={**own.cuts, "hgamma": (*own.cuts["hgamma"], *cuts)})
            return own
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

    def set_own_shape(self, box: Box) -> None:
        """Move the own box in the b–c plane (c low, high, b low, high); from then on it counts."""
        c, b = sorted(box[:2]), sorted(box[2:])
        if (*c, *b) != (self.own_shape or START_SHAPE):
            self.own_shape = (c[0], c[1], b[0], b[1])

    def back(self) -> None:
        """Go back to the selection of the survey; the own box lies on it again."""
        self._asks = False
        self.param.update(
            selection_name=self.published.name,
            own_boxes=boxes_of(self.published),
            own_shape=None,
        )
        self.describe()

    def use(self) -> None:
        """Say what the settings would be for the selection on screen; change nothing."""
        self._asks = not self._asks
        self.describe()

    def _change_selection(self) -> None:
        self._draw_selection()
        self.count()
        self.describe()

    def _draw_selection(self) -> None:
        """Draw the selection on every plane that was made, in place."""
        self._is_placing = True
        try:
            for key in self._regions:
                self._outline(key)
        finally:
            self._is_placing = False
        self._show_inputs()

    def _outline(self, key: str) -> None:
        selection, own, line = self.selection, self.selection_name == OWN, line_of(key)
        if key == SHAPE_PLANE:
            x, y = ([], []) if own else shape_outline(selection)
            c_low, c_high, b_low, b_high = self.own_shape or START_SHAPE
            self._boxes[SHAPE].update(
                left=c_low, right=c_high, bottom=b_low, top=b_high, visible=own,
                fill_alpha=0.08 if self.own_shape else 0.0,
            )  # fmt: skip
        else:
            x, y = ([], []) if own else region_outline(selection, line)
            left, right, bottom, top = self.own_boxes[line]
            self._boxes[line].update(left=left, right=right, bottom=bottom, top=top, visible=own)
        self._regions[key].data = {"xs": [x] if x else [], "ys": [y] if y else []}

    def count(self) -> None:
        """Count the stars inside the selection, and what changes against that of the survey."""
        table, selection = self.state.verdicts.table, self.selection
        self._counts = count_sentence(table, selection)
        self._change = ""
        inside = before = np.zeros(len(table), dtype=bool)
        if selection != self.published and not self.blind:
            inside, before = (inside_all(table, one) for one in (selection, self.published))
            self._change = change_sentence(before, inside, self.published.name)
        for changes in self._changes.values():
            x, y = (numbers(table, name) for name in changes.plane.names)
            changes.show(x, y, before, inside)

    # --- following the state -------------------------------------------------------------
    def describe(self) -> None:
        """Write the caption: counts, this star, and where the limits come from."""
        selection, line, star = self.selection, line_of(self.shown), self.state.screen.star
        say_use(self._use, settings_words(selection) if self._asks else "")
        self._caption.visible = not self._asks  # no room for both and the plane
        lines = [
            *([] if self.blind else [self._change, self._counts]),
            ""
            if star is None
            else star_sentence(star.row, line, None if self.blind else selection),
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
        self._boxes[line] = self._add_own_box(plane, partial(self.set_own_box, line))
        self._changes[key] = Changes(plane)
        self._outline(key)
        return plane

    def _make_shape_plane(self) -> Plane:
        plane = self.new_plane(*SHAPE_AXES, SHAPE_PLANE)
        x, y = shape_outline(SELECTIONS["xue2011"])  # the one selection with limits here
        outline = draw_curves(plane, [([*x, x[0]], [*y, y[0]])], plane.colours.text, "dashed", 1.4)
        explain(plane, "limits of xue2011 (Hγ)", [outline])
        self._regions[SHAPE_PLANE] = plane.add_outline()
        self._boxes[SHAPE] = self._add_own_box(plane, self.set_own_shape)
        self._changes[SHAPE_PLANE] = Changes(plane)
        self._outline(SHAPE_PLANE)
        return plane

    def _add_own_box(self, plane: Plane, on_move: Callable[[Box], None]) -> BoxAnnotation:
        accent = plane.colours.accent
        box = BoxAnnotation(
            editable=True, visible=False, fill_color=accent, fill_alpha=0.08, line_color=accent,
            line_alpha=1.0,
            line_width=1.5, line_dash="dashed",
        )  # fmt: skip

        def moved(_name: str, _old: Any, _new: Any) -> None:
            if box.visible and not self._is_placing:
                on_move((box.left, box.right, box.bottom, box.top))

        for side in ("left", "right", "bottom", "top"):
            box.on_change(side, moved)
        plane.figure.add_layout(box)
        return box

    def _box_inputs(self) -> pn.Row:
        """Return the limits of the own box as numbers, for the line on screen."""
        self._limits = [
            pn.widgets.FloatInput(
                label=label, step=step, width=56, margin=(0, 1), start=0.0, format=form,
                css_classes=["msfa-number"], stylesheets=[stylesheet()],
            )
            for label, step, form in (
                ("D0.2 ≥ [Å]", 0.5, "0.0"), ("≤ [Å]", 0.5, "0.0"),
                ("fm ≥", 0.01, "0.00"), ("≤", 0.01, "0.00"),
            )
        ]  # fmt: skip
        for limit in self._limits:
            limit.param.watch(lambda *_: self._take_inputs(), "value")
        return pn.Row(*self._limits, margin=0, visible=False, sizing_mode="fixed")

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
        self._more.visible = self.selection != self.published
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
        self._queue_inside = quiet_button(
            "queue inside", self.queue_inside,
            "Limit the queue to the stars inside the selection", "queue-inside",
        )  # fmt: skip
        self._more = pn.Row(
            self._inputs,
            quiet_button(
                f"back to {self.published.name}", self.back,
                "Back to the selection that the survey was made with", "back-to-published",
            ),
            quiet_button(
                "use these …", self.use,
                "Say what the settings would be; nothing is changed", "use-these",
            ),
            margin=0, visible=False, css_classes=["msfa-more"], stylesheets=[stylesheet()],
            sizing_mode="stretch_width",
        )  # fmt: skip
        return controls(
            self.plane_switch(),
            choice,
            self._queue_inside,
            pn.layout.HSpacer(),
            colour_switch(self),
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._more, self._use, self._figures, self._caption,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
