"""All spectra of the star on screen: velocity of each, whether it varies, which are overlaid."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
from bokeh.events import Tap
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    DataRange1d,
    HoverTool,
    PrintfTickFormatter,
)
from bokeh.plotting import figure

from dashboard.planes.cells import number
from dashboard.planes.linked import caption, caption_html, controls, notice, quiet_button
from dashboard.planes.words import Words
from dashboard.state import Session, Star
from dashboard.theme import EPOCH_COLOURS, name_downloads, new_figure, palette, stylesheet
from msfa_core.constants import RV_FLOOR, RV_FLOOR_HOT, SPEED_OF_LIGHT
from msfa_core.flags import UidFlag
from msfa_core.stars.velocity import VARIABLE

FIELDS: Final = ("x", "rv", "low", "high", "obsid", "colour", "size", "words")
ON_SCREEN, OTHERS = 11, 7  # px
LEAST_SPREAD: Final = 15.0  # km/s either side of the middle: noise is not made to look large
REMEDY: Final = (
    "Velocities of epochs come with the identification of stars: `msfa run SURVEY --steps "
    "identify`; those of the template match count where there are any (`--steps match`)."
)


def epoch_colours(star: Star) -> dict[int, str]:
    """Return the colour of each of the star's other spectra, by obsid."""
    others = [int(obsid) for obsid in star.epochs["obsid"] if int(obsid) != star.obsid]
    return {obsid: EPOCH_COLOURS[k % len(EPOCH_COLOURS)] for k, obsid in enumerate(others)}


def has_velocities(epochs: pd.DataFrame) -> bool:
    """Tell whether any epoch has a velocity that can be compared."""
    return "epoch_rv" in epochs and bool(epochs["epoch_rv"].notna().any())


def days_of(epochs: pd.DataFrame) -> np.ndarray | None:
    """Return the local modified Julian day of each epoch; None unless all are known."""
    days = pd.to_numeric(epochs.get("lmjd", pd.Series(np.nan, index=epochs.index)), "coerce")
    known = days.to_numpy(np.float64, na_value=np.nan)
    return known if np.isfinite(known).all() and (known > 0).all() else None


def velocity_data(star: Star | None, foreground: str) -> dict[str, list[Any]]:
    """Return the velocities of all epochs as a data source holds them."""
    columns: dict[str, list[Any]] = {name: [] for name in FIELDS}
    if star is None or not has_velocities(star.epochs):
        return columns
    days = days_of(star.epochs)
    colours = epoch_colours(star)
    for place, (_, row) in enumerate(star.epochs.iterrows()):
        velocity, error = number(row, "epoch_rv"), number(row, "epoch_rv_err")
        if not np.isfinite(velocity):
            continue
        spread = error if np.isfinite(error) else 0.0
        obsid = int(row["obsid"])
        values = (
            place + 1 if days is None else days[place], velocity, velocity - spread,
            velocity + spread, str(obsid), colours.get(obsid, foreground),
            ON_SCREEN if obsid == star.obsid else OTHERS, velocity_words(row),
        )  # fmt: skip
        for name, value in zip(FIELDS, values, strict=True):
            columns[name].append(value)
    return columns


def velocity_words(row: pd.Series) -> str:
    """Return the velocity of one epoch with its error: ``+27.3 ± 4.1 km/s``."""
    velocity, error = number(row, "epoch_rv"), number(row, "epoch_rv_err")
    if not np.isfinite(velocity):
        return "no velocity"
    spread = f" ± {error:.1f}" if np.isfinite(error) else ""
    return f"{velocity:+.1f}{spread} km/s".replace("-", "−")


def epochs_html(star: Star | None) -> str:
    """Return the list of the star's spectra; every text that comes from a file is escaped."""
    if star is None:
        return '<div class="msfa-empty">No star on screen.</div>'
    days, colours = days_of(star.epochs), epoch_colours(star)
    rows = []
    for place, (_, row) in enumerate(star.epochs.iterrows()):
        obsid = int(row["obsid"])
        here = " class='msfa-here'" if obsid == star.obsid else ""
        mark = f"<b style='color:{colours[obsid]}'>●</b>" if obsid in colours else "<b>▸</b>"
        day = "–" if days is None else f"{days[place]:.0f}"
        snr = number(row, "snr_g")
        signal = f"{snr:.0f}" if np.isfinite(snr) else "–"
        rows.append(
            f"<tr{here}><td>{mark}</td><td>{obsid}</td><td>{day}</td><td>{signal}</td>"
            f"<td>{escape(velocity_words(row))}</td></tr>"
        )
    return (
        '<table class="msfa-epochs"><tr><th></th><th>obsid</th><th>MJD [d]</th><th>S/N(g)</th>'
        f"<th>velocity</th></tr>{''.join(rows)}</table>"
    )


def variability_sentence(row: pd.Series) -> str:
    """Return whether the velocities of this star vary, in words."""
    spread, probability = number(row, "rv_range"), number(row, "rv_chi2_probability")
    if not np.isfinite(spread):
        return "fewer than two epochs with a velocity: nothing to compare"
    words = f"velocities differ by {spread:.1f} km/s at most"
    if not np.isfinite(probability):
        return f"{words}; errors unknown"
    if probability < VARIABLE:
        return f"{words}: VARIABLE (a constant star: P = {probability:.1g})"
    return f"{words}: as constant as the errors allow (P = {probability:.2g})"


def doubts(row: pd.Series) -> str:
    """Return why the spectra may be of several stars, in words."""
    flags = number(row, "uid_flags")
    return "; ".join(UidFlag.sentences(int(flags))) if np.isfinite(flags) else ""


class EpochsView(pn.viewable.Viewer):
    """The spectra of the star on screen, bound to the state."""

    def __init__(self, state: Session, reference: Any = None, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self.colours = palette()
        css: dict[str, Any] = {"stylesheets": [stylesheet()]}
        self.source = ColumnDataSource({name: [] for name in FIELDS})
        self.figure = self._build()
        self._list = Words("", sizing_mode="stretch_width", margin=(4, 8), **css)
        self._chips = pn.widgets.CheckButtonGroup(
            options={}, value=[], css_classes=["msfa-chips", "msfa-epoch-chips"], margin=0, **css
        )
        self._bar = controls(
            quiet_button(
                "overlay all", self._overlay_all, "Draw the other spectra over this one", "all"
            ),
            quiet_button("none", self._overlay_none, "Draw this spectrum alone", "none"),
            self._chips,
        )
        self._notice = pn.pane.HTML(notice("No velocities yet", REMEDY), visible=False, **css)
        self._pane = pn.pane.Bokeh(self.figure, sizing_mode="stretch_both", margin=0)
        self._caption = caption()
        self._drawing = False
        self._chips.param.watch(self._chosen, "value")
        state.watch(
            self.draw, "screen.star", "screen.left_out", "screen.with_epochs", "answers.coadded"
        )
        self.draw()

    def _build(self) -> figure:
        colours = self.colours
        plot = new_figure(
            colours, tools="pan,wheel_zoom,reset,save", min_height=130,
            x_range=DataRange1d(range_padding=0.1), y_range=DataRange1d(range_padding=0.15),
            x_axis_label="spectrum", y_axis_label="velocity [km/s]",
        )  # fmt: skip
        name_downloads(plot, "velocities")
        plot.xaxis[0].formatter = PrintfTickFormatter(format="%.0f")
        plot.xaxis[0].ticker.update(desired_num_ticks=4, min_interval=1)
        plot.y_range.update(min_interval=2 * LEAST_SPREAD, default_span=2 * LEAST_SPREAD)
        self._band = BoxAnnotation(
            bottom=0, top=0, fill_color=colours.good, fill_alpha=0.12, line_color=None,
            level="underlay",
        )  # fmt: skip
        plot.add_layout(self._band)
        plot.segment(  # a Whisker would not count for the range
            "x", "low", "x", "high", source=self.source, line_color=colours.muted
        )
        dots = plot.scatter(
            "x", "rv", source=self.source, size="size", fill_color="colour",
            line_color=colours.surface,
        )  # fmt: skip
        plot.add_tools(
            HoverTool(
                renderers=[dots], visible=False, tooltips=[("obsid", "@obsid"), ("", "@words")]
            )
        )
        plot.on_event(Tap, self._tapped)
        return plot

    # --- hands ---------------------------------------------------------------------------
    def _tapped(self, event: Tap) -> None:
        """Bring the spectrum nearest to a tap on screen."""
        x, y = (np.asarray(self.source.data[name], dtype=float) for name in ("x", "rv"))
        if x.size:
            across, up = max(float(np.ptp(x)), 1.0), max(float(np.ptp(y)), LEAST_SPREAD)
            nearest = int(np.argmin(np.hypot((x - event.x) / across, (y - event.y) / up)))
            self.state.status.attempt(self.state.screen.select, self.source.data["obsid"][nearest])

    def _chosen(self, event: Any) -> None:
        if not self._drawing:
            others = self.state.screen.other_epochs
            left = [obsid for obsid in others if str(obsid) not in event.new]
            self.state.screen.param.update(left_out=left, with_epochs=len(left) < len(others))

    def _overlay_all(self) -> None:
        self.state.screen.param.update(left_out=[], with_epochs=True)

    def _overlay_none(self) -> None:
        self.state.screen.param.update(left_out=[], with_epochs=False)

    # --- drawing -------------------------------------------------------------------------
    def draw(self, *_: Any) -> None:
        """Draw the epochs of the star on screen."""
        star = self.state.screen.star
        self.source.data = velocity_data(star, self.colours.ring)
        missing = star is not None and not has_velocities(star.epochs)
        self._notice.visible, self._pane.visible = missing, not missing
        self._list.object = epochs_html(star)
        dated = star is not None and days_of(star.epochs) is not None
        self.figure.xaxis[0].axis_label = "local modified Julian day [d]" if dated else "spectrum"
        self._fit(self.source.data["rv"])
        self._draw_chips()
        self._caption.object = caption_html(self._lines(star), self._source_words())

    def _fit(self, velocities: Sequence[float]) -> None:
        """Shade what a constant star may do by the systematic error alone."""
        if not len(velocities):
            return
        middle = float(np.median(velocities))
        self._band.update(bottom=middle - float(RV_FLOOR_HOT), top=middle + float(RV_FLOOR_HOT))

    def _draw_chips(self) -> None:
        state = self.state
        options = {f"…{str(obsid)[-4:]}": str(obsid) for obsid in state.screen.other_epochs}
        if len(options) < len(state.screen.other_epochs):  # endings that are not unique
            options = {str(obsid): str(obsid) for obsid in state.screen.other_epochs}
        shown = [
            str(obsid) for obsid in state.screen.other_epochs if obsid not in state.screen.left_out
        ]
        self._drawing = True
        try:
            if options != self._chips.options:
                self._chips.param.update(options=options, value=[])
            self._chips.value = shown if state.screen.with_epochs else []
        finally:
            self._drawing = False
        for part in self._bar:  # the bar stays: the choice of the plane stands in it
            part.visible = bool(options)

    def _lines(self, star: Star | None) -> list[str]:
        if star is None:
            return []
        lines = [variability_sentence(star.row)] if len(star.epochs) > 1 else []
        lines.append(doubts(star.row))
        added = self.state.answers.coadded
        if added is not None and added.coadd is not None:
            added = added.coadd
            lines.append(
                f"co-added: {int(added.used.sum())} of {len(added.used)} spectra, S/N(g) "
                f"{added.spectrum.snr_g:.0f}, {int(added.n_rejected.sum()):,} pixels left out"
            )
        elif len(star.epochs) == 1:
            lines.append("one spectrum of this star: nothing to overlay or to add up")
        return lines

    def _source_words(self) -> str:
        return (
            "Bars: total errors. Band: what is systematic in them for a hot star, "
            f"{float(RV_FLOOR_HOT):g} km/s ({RV_FLOOR_HOT.provenance}); {float(RV_FLOOR):g} km/s "
            f"for cooler ones. Velocities are c·z, c = {SPEED_OF_LIGHT:.3f} km/s."
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._pane, self._notice, self._list, self._caption,
            sizing_mode="stretch_both", margin=0, scroll=False,
        )  # fmt: skip
