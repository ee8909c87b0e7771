"""Hδ and Hγ of the star on screen: data, SWS fit, residuals, D0.2 and fm (paper §V.2)."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np
import panel as pn
from bokeh.layouts import column
from bokeh.models import (
    Arrow,
    ColumnDataSource,
    Line,
    NormalHead,
    PrintfTickFormatter,
    Quad,
    Range1d,
    Scatter,
    Segment,
    Span,
    Text,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from dashboard.planes.cells import digits_of
from dashboard.planes.words import Words
from dashboard.state import Session
from dashboard.theme import (
    FONT,
    Palette,
    name_downloads,
    new_figure,
    palette,
    save_with,
    short_of_room,
    stylesheet,
    tick_both_sides,
)
from msfa_core.balmer.fit import MASKED_RANGES, LineFits, LineWindow
from msfa_core.constants import BALMER_LINES, FIT_LINES, LINE_SYMBOLS
from msfa_core.flags import FitFlag

HALF_WINDOW: Final = 72.0  # Å on either side of the line
FLUX_RANGE: Final = (0.0, 1.25)  # the same for every star, so that depths can be compared
RESIDUAL_LEAST: Final = 0.06  # the residual panel never zooms in further
MARGIN: Final = 1.15
CORE_MARK: Final = 12.0  # Å: the mark of fm begins so far left of the core
AXIS_WIDTH: Final = 44  # px: both panels of a line begin at the same wavelength
LINE_ROOM: Final = {
    "msfa-narrow": 42,
    "msfa-roomy": 58,
}  # characters, by class in CSS
PIXEL_FIELDS: Final = ("x", "flux", "low", "high", "residual", "residual_low", "residual_high")
LEVEL_FIELDS: Final = ("x0", "x1", "y", "text_x", "text")


def pixels(window: LineWindow, rows: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Return the pixels of these rows as a data source holds them."""
    flux, error, residual = window.flux[rows], window.error[rows], window.residual[rows]
    values = (
        window.wavelength[rows], flux, flux - error, flux + error,
        residual, residual - error, residual + error,
    )  # fmt: skip
    return dict(zip(PIXEL_FIELDS, values, strict=True))


def residual_limit(window: LineWindow) -> float:
    """Return the half-height of the residual panel: most of the used pixels fit in."""
    residual = np.abs(window.residual[window.used & np.isfinite(window.residual)])
    most = float(np.percentile(residual, 99)) if residual.size else 0.0
    return max(RESIDUAL_LEAST, MARGIN * most)


def flux_limits(window: LineWindow) -> tuple[float, float]:
    """Return the limits of the flux: the house range, wider where the spectrum needs it."""
    flux = window.flux[np.isfinite(window.flux)]
    if not flux.size:
        return FLUX_RANGE
    low, high = np.percentile(flux, (1, 99))
    return min(FLUX_RANGE[0], float(low)), max(FLUX_RANGE[1], float(high) * 1.03)


def levels(
    window: LineWindow, d02: float, fm: float, centre: float
) -> dict[str, dict[str, list[Any]]]:
    """Return the three levels that the measurement speaks of, as data sources hold them.

    Parameters
    ----------
    window : LineWindow
    d02, fm, centre : float
        As measured: D0.2 [Å] less its noise bias, so that figure, header and table agree. The
        arrow lies on the profile that was fitted and may be longer by that bias.

    Returns
    -------
    dict
        ``d02`` (the arrow at 20 % below the continuum), ``fm`` (the core) and ``continuum``;
        empty lists where one is not defined.
    """
    nothing: dict[str, list[Any]] = {name: [] for name in LEVEL_FIELDS}
    found = {"d02": nothing, "fm": nothing, "continuum": nothing}
    rest = float(BALMER_LINES[window.line])
    left, right = rest - HALF_WINDOW, rest + HALF_WINDOW

    def level(x0: float, x1: float, y: float, text_x: float, text: str) -> dict[str, list[Any]]:
        return dict(zip(LEVEL_FIELDS, ([v] for v in (x0, x1, y, text_x, text)), strict=True))

    if np.isfinite(window.continuum):
        found["continuum"] = level(left, right, window.continuum, left, "")
        core = fm * window.continuum
        found["fm"] = level(centre - CORE_MARK, right, core, right - 1, f"fm {fm:.3f}")
    if np.isfinite(window.d02_edges).all() and np.isfinite(d02):
        x0, x1 = window.d02_edges
        found["d02"] = level(x0, x1, window.d02_level, left + 1, f"D0.2 {d02:.2f} Å")
    return found


def flags_within(raised: int, room: int) -> str:
    """Return the flags of a fit in one line: never cut, all their sentences are its title.

    Parameters
    ----------
    raised : int
        Bits of `FitFlag`.
    room : int
        Characters of the line.
    """
    flags = [flag for flag in FitFlag if raised & flag]
    if len(flags) == 1 and len(flags[0].sentence) <= room:
        return flags[0].sentence
    names = [str(flag.name).lower().replace("_", " ") for flag in flags]
    for n in range(len(names), 1, -1):
        more = f" · {len(names) - n} more" if n < len(names) else ""
        if len(words := " · ".join(names[:n]) + more) <= room:
            return words
    return names[0] + (f" · {len(names) - 1} more" if len(names) > 1 else "")


def header_html(fits: LineFits, line: str) -> str:
    """Return the measurement of one line in words: values, errors, flags."""
    k = fits.lines.index(line)

    def value(name: str, digits: int, unit: str = "") -> str:
        number = getattr(fits, name)[0, k]
        if not np.isfinite(number):
            return "—"
        errors = getattr(fits, f"{name}_err", None)
        error = float("nan") if errors is None else float(errors[0, k])
        digits = digits_of(error, digits)
        spread = "" if errors is None else f"±{error:.{digits}f}" if np.isfinite(error) else "±?"
        return f"{number:.{digits}f}{spread}{unit}".replace("-", "−")

    quantities = " ".join(
        f"<span class='msfa-fit-value'><i>{symbol}</i>&thinsp;{value(name, digits, unit)}</span>"
        for symbol, name, digits, unit in (
            ("a", "depth", 2, ""), ("b", "width", 1, "&thinsp;Å"), ("c", "shape", 2, ""),
            ("n", "continuum", 2, ""), ("rms", "rms", 3, ""),
        )
    )  # fmt: skip
    raised = int(fits.flags[0, k])
    doubts = escape(" ".join(FitFlag.sentences(raised)))
    flags = (
        "".join(
            f"<span class='msfa-fit-flags {css}' title='{doubts}'>"
            f"{escape(flags_within(raised, room))}</span>"
            for css, room in LINE_ROOM.items()
        )
        if raised
        else "<span class='msfa-fit-good'>no flags</span>"
    )
    return (
        f"<div><strong>{LINE_SYMBOLS[line]}</strong> &nbsp; "
        f"D0.2 <strong>{value('d02', 2, '&thinsp;Å')}</strong> &nbsp; "
        f"fm <strong>{value('fm', 3)}</strong></div>"
        f"<div class='msfa-fit-values msfa-two-lines'>{quantities}</div><div>{flags}</div>"
    )


def legend_html(colours: Palette) -> str:
    """Return what the marks mean, in one line for both lines; D0.2 and fm are named in place."""
    marks = (
        ("●", colours.data, "pixel, ±1σ"),
        ("○", colours.masked, "left out"),
        ("▮", colours.band, "metal and He lines"),
        ("━", colours.model, "SWS fit"),
        ("┅", colours.muted, "continuum n"),
    )
    return "<div>" + " &ensp;".join(
        f"<b style='color:{colour}'>{mark}</b>&nbsp;{escape(text)}" for mark, colour, text in marks
    ) + "</div>"  # fmt: skip


class LinePlot:
    """One line on the screen: flux above, residuals below, updated in place."""

    def __init__(self, line: str, colours: Palette) -> None:
        self.line, self.colours = line, colours
        self.used = ColumnDataSource({name: [] for name in PIXEL_FIELDS})
        self.left_out = ColumnDataSource({name: [] for name in PIXEL_FIELDS})
        self.model = ColumnDataSource({"x": [], "y": []})
        self.levels = {
            name: ColumnDataSource({field: [] for field in LEVEL_FIELDS})
            for name in ("d02", "fm", "continuum")
        }
        rest = float(BALMER_LINES[line])
        shared: dict[str, Any] = {
            "tools": "pan,box_zoom,reset,save",
            "x_range": Range1d(rest - HALF_WINDOW, rest + HALF_WINDOW),
            "min_border_left": AXIS_WIDTH,
            "min_border_right": 6,
        }
        self.flux = new_figure(
            colours, y_range=Range1d(*FLUX_RANGE), y_axis_label="flux / continuum",
            min_height=60, toolbar_inner=True, **shared,
        )  # fmt: skip
        self.residual = new_figure(
            colours, y_range=Range1d(-RESIDUAL_LEAST, RESIDUAL_LEAST), y_axis_label="O−C",
            x_axis_label="rest wavelength [Å, vacuum]", height=72, sizing_mode="stretch_width",
            toolbar_location=None, **shared,
        )  # fmt: skip
        self.flux.toolbar.autohide = True
        short_of_room(self.flux.yaxis[0], self.flux, "flux / cont.", "flux")
        name_downloads(self.flux, line)
        save_with(self.flux, self.residual)
        self.flux.xaxis.major_label_text_font_size = "0px"
        self.flux.xaxis.axis_label_standoff = 0
        tick_both_sides(self.residual.yaxis[0])
        for plot in (self.flux, self.residual):  # three lenses beside each other are narrow
            plot.xaxis.ticker.desired_num_ticks = 4
        self.residual.yaxis.axis_label_text_font_size = "10px"
        # Labels of one width: otherwise a new star would lay the whole page out anew (0.1 s).
        self.residual.yaxis.formatter = PrintfTickFormatter(format="%+.2f")
        self._draw_flux()
        self._draw_residual()
        self.layout = column(self.flux, self.residual, sizing_mode="stretch_both", spacing=0)

    def show(self, window: LineWindow | None, fits: LineFits | None) -> None:
        """Draw the line of another star in place."""
        if window is None or fits is None:
            empty: dict[str, Any] = {name: [] for name in PIXEL_FIELDS}
            self.used.data, self.left_out.data = empty, dict(empty)
            self.model.data = {"x": [], "y": []}
            for source in self.levels.values():
                source.data = {name: [] for name in LEVEL_FIELDS}
            return
        k = fits.lines.index(self.line)
        there = np.isfinite(window.flux)
        self.used.data = pixels(window, window.used & there)
        self.left_out.data = pixels(window, ~window.used & there)
        self.model.data = dict(zip("xy", window.curve, strict=True))
        found = levels(window, *(float(v[0, k]) for v in (fits.d02, fits.fm, fits.centre)))
        for name, source in self.levels.items():
            source.data = found[name]
        bottom, top = flux_limits(window)
        _move(self.flux.y_range, bottom, top)
        limit = residual_limit(window)
        _move(self.residual.y_range, -limit, limit)

    def _draw_flux(self) -> None:
        add, colours, levels = self.flux.add_glyph, self.colours, self.levels
        self._shade_masked(self.flux)
        add(self.used, Segment(x0="x", y0="low", x1="x", y1="high", line_color=colours.band))
        add(self.used, Scatter(x="x", y="flux", size=3.5, line_color=None, fill_color=colours.data))
        add(
            self.left_out,
            Scatter(x="x", y="flux", size=4, line_color=colours.masked, fill_color=None),
        )
        level = {"x0": "x0", "y0": "y", "x1": "x1", "y1": "y"}
        add(levels["continuum"], Segment(**level, line_color=colours.muted, line_dash="dashed"))
        add(self.model, Line(x="x", y="y", line_color=colours.model, line_width=2))
        add(levels["fm"], Segment(**level, line_color=colours.good, line_width=1.2))
        self.flux.add_layout(
            Arrow(
                x_start="x0", y_start="y", x_end="x1", y_end="y", source=levels["d02"],
                start=self._head(), end=self._head(), line_color=colours.accent, line_width=1.8,
                level="overlay",
            )
        )  # fmt: skip
        for name, colour, align, base, up in (
            ("d02", colours.accent, "left", "top", 6),
            ("fm", colours.good, "right", "bottom", 0),
        ):
            add(
                levels[name],
                Text(
                    x="text_x", y="y", text="text", text_color=colour, text_align=align,
                    text_baseline=base, y_offset=up, text_font_size="11px",
                    text_font_style="bold", text_font={"value": FONT},
                ),
            )  # fmt: skip

    def _draw_residual(self) -> None:
        add, colours = self.residual.add_glyph, self.colours
        self._shade_masked(self.residual)
        self.residual.add_layout(
            Span(location=0, dimension="width", line_color=colours.model, line_width=1.2)
        )
        bar = {"x0": "x", "y0": "residual_low", "x1": "x", "y1": "residual_high"}
        add(self.used, Segment(**bar, line_color=colours.band))
        dot = {"x": "x", "y": "residual", "size": 3}
        add(self.used, Scatter(**dot, line_color=None, fill_color=colours.residual))
        add(self.left_out, Scatter(**dot, line_color=colours.masked, fill_color=None))

    def _shade_masked(self, plot: figure) -> None:
        """Shade the metal and helium lines that every fit leaves out."""
        edges = {
            "left": [low for low, _ in MASKED_RANGES],
            "right": [high for _, high in MASKED_RANGES],
        }
        shade = Quad(
            left="left", right="right", bottom=-5, top=5, line_color=None,
            fill_color=self.colours.band, fill_alpha=0.35,
        )  # fmt: skip
        plot.add_glyph(ColumnDataSource(edges), shade, level="underlay")

    def _head(self) -> NormalHead:
        accent = self.colours.accent
        return NormalHead(size=7, fill_color=accent, line_color=accent)


def _move(shown: Range1d, start: float, end: float) -> None:
    shown.update(start=start, end=end, reset_start=start, reset_end=end)


class BalmerView(pn.viewable.Viewer):
    """Both lines side by side, bound to the star on screen."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self.colours = palette()
        small: dict[str, Any] = {
            "margin": (2, 8, 0, 8),
            "sizing_mode": "stretch_width",
            "stylesheets": [stylesheet()],
            "css_classes": ["msfa-fit-words"],
        }
        self.plots = {line: LinePlot(line, self.colours) for line in FIT_LINES}
        self.headers = {line: Words("", **small) for line in FIT_LINES}
        classes = ["msfa-fit-words", "msfa-fit-legend"]
        self._legend = pn.pane.HTML(legend_html(self.colours), **small | {"css_classes": classes})
        self.draw()
        self.state.watch(lambda *_: self.draw(), "screen.star")

    def draw(self) -> None:
        """Draw the star on screen; nothing when there is none."""
        star = self.state.screen.star
        for line, plot in self.plots.items():
            plot.show(None if star is None else star.windows.get(line), star and star.fits)
            self.headers[line].object = (
                "no star on screen" if star is None else header_html(star.fits, line)
            )

    def __panel__(self) -> pn.viewable.Viewable:
        halves = [
            pn.Column(
                self.headers[line],
                pn.pane.Bokeh(plot.layout, sizing_mode="stretch_both", margin=0),
                sizing_mode="stretch_both",
                margin=0,
            )
            for line, plot in self.plots.items()
        ]
        return pn.Column(
            pn.Row(*halves, sizing_mode="stretch_both", margin=0),
            self._legend,
            sizing_mode="stretch_both",
            margin=0,
        )
