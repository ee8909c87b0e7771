"""Ca II K of the star on screen, beside Hδ and Hγ: the line that metals make."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d, Span

from dashboard.planes.cells import digits_of, number
from dashboard.state import Session
from dashboard.theme import name_downloads, new_figure, palette, stylesheet
from dashboard.views.balmer import FLUX_RANGE
from msfa_core.balmer.indices import CA_K_BANDS, calcium_window, kp_band

WINDOW: Final = (3902.0, 4022.0)  # Å, rest: the side bands of KP and what is between them
AXIS_WIDTH: Final = 44  # px, as beside it
FIELDS: Final = ("x", "flux", "low", "high")
KP_WORDS: Final = (
    "Equivalent width of Ca II K (Beers et al. 1999): K6 in a band 6 Å wide where that is below "
    "2 Å, else K12 where that is below 5 Å, else K18; metal-poor stars have little"
)


def header_html(row: pd.Series) -> str:
    """Return KP in words; numbers only, so nothing to escape."""
    kp, error = number(row, "kp"), number(row, "kp_err")
    if not np.isfinite(kp):
        return "<div><strong>Ca II K</strong> &nbsp; KP not measured</div>"
    name = next(name for name, band in CA_K_BANDS.items() if band is kp_band(kp)).upper()
    digits = digits_of(error, 2)
    spread = f"±{error:.{digits}f}" if np.isfinite(error) else ""
    words = f"{kp:.{digits}f}{spread}".replace("-", "−")
    return (
        f"<div><strong>Ca II K</strong> &nbsp; KP <strong>{words}&thinsp;Å</strong></div>"
        f"<div class='msfa-fit-values' title='{KP_WORDS}'>KP is {name}: its band shaded; grey: "
        "side bands</div>"
    )


class CalciumLens(pn.viewable.Viewer):
    """The pixels around Ca II K over the pseudo-continuum of KP, updated in place."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        colours = palette()
        self.good = ColumnDataSource({name: [] for name in FIELDS})
        self.bad = ColumnDataSource({name: [] for name in FIELDS})
        plot = self.figure = new_figure(
            colours, tools="pan,box_zoom,reset,save", toolbar_inner=True, min_height=60,
            x_range=Range1d(*WINDOW), y_range=Range1d(*FLUX_RANGE),
            y_axis_label="flux / continuum", x_axis_label="rest wavelength [Å, vacuum]",
            min_border_left=AXIS_WIDTH, min_border_right=6,
        )  # fmt: skip
        plot.toolbar.autohide = True
        plot.xaxis[0].ticker.desired_num_ticks = 4
        name_downloads(plot, "calcium-k")
        for low, high in CA_K_BANDS["k6"].sides:
            plot.add_layout(
                BoxAnnotation(left=low, right=high, fill_color=colours.band, fill_alpha=0.3,
                              line_color=None, level="underlay")
            )  # fmt: skip
        self._band = BoxAnnotation(
            left=WINDOW[0], right=WINDOW[0], fill_color=colours.model, fill_alpha=0.16,
            line_color=None, level="underlay",
        )  # fmt: skip
        plot.add_layout(self._band)
        level = {"location": 1.0, "dimension": "width", "line_dash": "dashed"}
        plot.add_layout(Span(**level, line_color=colours.muted))
        bar = {"x0": "x", "x1": "x", "y0": "low", "y1": "high"}
        plot.segment(**bar, source=self.good, line_color=colours.band)
        plot.scatter("x", "flux", source=self.good, size=3.5, line_color=None,
                     fill_color=colours.data)  # fmt: skip
        plot.line("x", "flux", source=self.good, line_color=colours.data, line_alpha=0.5)
        plot.scatter("x", "flux", source=self.bad, size=4, line_color=colours.masked,
                     fill_color=None)  # fmt: skip
        self._words = pn.pane.HTML(
            "", margin=(2, 8, 0, 8), sizing_mode="stretch_width", stylesheets=[stylesheet()],
            css_classes=["msfa-fit-words", "msfa-lens-words"],
        )  # fmt: skip
        self.draw()
        state.watch(lambda *_: self.draw(), "screen.star")

    def draw(self) -> None:
        """Draw the star on screen; nothing when there is none."""
        star = self.state.screen.star
        if star is None:
            for source in (self.good, self.bad):
                source.data = {name: [] for name in FIELDS}
            self._words.object = "no star on screen"
            return
        window = calcium_window(star.spectrum, *WINDOW)
        low, high = window.flux - window.error, window.flux + window.error
        columns = (window.wavelength, window.flux, low, high)
        for source, rows in ((self.good, window.is_good), (self.bad, ~window.is_good)):
            kept = rows & np.isfinite(window.flux)
            source.data = {
                name: values[kept].astype(np.float32)
                for name, values in zip(FIELDS, columns, strict=True)
            }
        band = kp_band(number(star.row, "kp"))
        self._band.update(left=band.low, right=band.high)
        self._words.object = header_html(star.row)

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._words, pn.pane.Bokeh(self.figure, sizing_mode="stretch_both", margin=0),
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
