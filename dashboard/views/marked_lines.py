"""The lines marked in the spectrum: those of the list, the reviewer's own, at a trial velocity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import panel as pn
from bokeh.models import BoxAnnotation, ColumnDataSource, CustomJS, Range1d, Span
from bokeh.plotting import figure

from dashboard.theme import Palette, stylesheet
from dashboard.views.spectrum_data import line_markers
from msfa_core.constants import ARM_JOINT, SPEED_OF_LIGHT

VELOCITY_LIMIT: Final = 600  # km/s, of the slider
_NAME_WIDTH: Final = 12.0  # px, of the upright name of a line
_WIDE: Final = 1600.0  # Å: with more on screen only the main lines are named


class MarkedLines:
    """The lines of the list with their names, one line more, and the joint of the arms.

    Parameters
    ----------
    plot : figure
        The spectrum.
    colours : Palette
    say : callable
        Takes a sentence for the reviewer, and its tone.

    Attributes
    ----------
    own : TextInput
        The rest wavelength of the reviewer's own line [vacuum Å].
    velocity : IntSlider
        By which all lines of stars are moved on trial [km/s].
    """

    def __init__(self, plot: figure, colours: Palette, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._shift = 1.0  # of the axis: what a wavelength at rest is multiplied by
        self._joint = BoxAnnotation(
            left=ARM_JOINT[0],
            right=ARM_JOINT[1],
            fill_color=colours.muted,
            fill_alpha=0.08,
            line_color=None,
            level="underlay",
        )
        plot.add_layout(self._joint)
        self._source = self._draw_list(plot, colours)
        self._own = Span(
            location=0.0, dimension="height", line_color=colours.ring, line_width=1.2, visible=False
        )
        plot.add_layout(self._own)
        self.own, self.velocity = self._build_controls()

    def _draw_list(self, plot: figure, colours: Palette) -> ColumnDataSource:
        """Draw the marked lines and their names; minor names appear when zoomed in."""
        height = Range1d(0.0, 1.0)  # of the names of lines: a box zoom leaves it alone
        plot.extra_y_ranges = {"height": height}
        stay = CustomJS(
            code="if (cb_obj.start !== 0 || cb_obj.end !== 1) cb_obj.setv({start: 0, end: 1})"
        )
        height.js_on_change("start", stay)
        height.js_on_change("end", stay)
        source = ColumnDataSource(line_markers(np.nan, True))
        colour = {
            "balmer": colours.accent,
            "metal": colours.bad,
            "helium": colours.helium,
            "sky": colours.muted,
            "telluric": colours.muted,
        }
        source.data["colour"] = [colour[kind] for kind in source.data["kind"]]
        source.data["label"] = [
            name if main else ""
            for name, main in zip(source.data["name"], source.data["main"], strict=True)
        ]
        source.data["alpha"] = [0.55 if main else 0.25 for main in source.data["main"]]
        plot.vspan(
            x="x",
            source=source,
            line_color="colour",
            line_alpha="alpha",
            line_dash=[3, 3],
            level="underlay",
        )
        plot.text(
            "x",
            0.985,
            text="label",
            source=source,
            y_range_name="height",
            angle=np.pi / 2,
            anchor="top_right",
            x_offset=2,
            text_color="colour",
            text_font_size="10px",
            background_fill_color=colours.surface,  # it is read over the spectrum, too
            background_fill_alpha=0.75,
            level="annotation",
        )
        plot.x_range.js_on_change(
            "end",
            CustomJS(
                args={"source": source, "plot": plot, "wide": _WIDE, "room": _NAME_WIDTH},
                code="""
                const {start, end} = plot.x_range
                const is_wide = Math.abs(end - start) > wide
                const scale = (plot.inner_width || 600) / Math.abs(end - start)
                const data = source.data
                const {main} = data
                const order = Array.from(main.keys()).sort((i, j) => main[j] - main[i])
                const label = data.name.map(() => "")
                const named = []
                for (const i of order) {
                    if (is_wide && !data.main[i]) continue
                    // a name that would be printed over another waits until there is room
                    if (named.some(x => Math.abs(x - data.x[i]) * scale < room)) continue
                    named.push(data.x[i])
                    label[i] = data.name[i]
                }
                if (label.join() !== Array.from(data.label).join())
                    source.data = {...data, label}
                """,
            ),
        )
        return source

    def _build_controls(self) -> tuple[pn.widgets.TextInput, pn.widgets.IntSlider]:
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": (0, 2)}
        own = pn.widgets.TextInput(
            label="own line, rest wavelength [vacuum Å]", placeholder="line [Å]", width=56,
            css_classes=["msfa-search", "msfa-own-line"], **css,
        )  # fmt: skip
        own.param.watch(lambda *_: self._draw_own(), "value")
        velocity = pn.widgets.IntSlider(
            label="RV [km/s]",
            start=-VELOCITY_LIMIT,
            end=VELOCITY_LIMIT,
            step=5,
            value=0,
            width=62,
            css_classes=["msfa-slider"],
            **css,
        )
        velocity.jscallback(
            args={"source": self._source, "own": self._own, "c": SPEED_OF_LIGHT},
            value="""
            const data = source.data
            const moved = 1 + cb_obj.value / c
            const x = data.base.map((x, i) => data.moves[i] ? x * moved : x)
            source.data = {...data, x}
            for (const at of own.tags) own.location = at * moved
            """,
        )
        return own, velocity

    # --- drawn for every star ----------------------------------------------------------------
    def draw(self, z: float, rest: bool) -> None:
        """Draw the lines where a star has them; a trial velocity was that of the star before.

        Parameters
        ----------
        z : float
            Doppler shift of the star; NaN when unknown.
        rest : bool
            Frame of the axis.
        """
        self.velocity.value = 0
        self._source.data = {**self._source.data, **line_markers(z, rest)}
        shift = 1.0 + z if rest else 1.0
        self._joint.update(left=ARM_JOINT[0] / shift, right=ARM_JOINT[1] / shift)
        self._shift = 1.0 if rest or not np.isfinite(z) else 1.0 + z
        if self._own.visible:
            self._draw_own()

    def _draw_own(self) -> None:
        """Draw the line that the reviewer names, where it lies at the star's velocity."""
        try:
            wavelength = float((self.own.value or "nan").replace(",", "."))
        except ValueError:
            self._say(f"{self.own.value!r} is no wavelength in Å.", "error")
            wavelength = float("nan")
        is_drawn = bool(np.isfinite(wavelength))
        base = wavelength * self._shift if is_drawn else 0.0
        self._own.update(
            tags=[base] if is_drawn else [],
            location=base * (1.0 + (self.velocity.value or 0) / SPEED_OF_LIGHT),
        )
        self._own.visible = is_drawn
