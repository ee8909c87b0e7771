"""The spectrum panel: flux with its band, bad pixels, lines, smoothing, other epochs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import panel as pn
import param
from bokeh.models import (
    ColumnDataSource,
    HoverTool,
    Legend,
    LegendItem,
    PrintfTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from dashboard.state import Answers, Screen, Session, Star
from dashboard.theme import (
    LEGEND_STYLES,
    Palette,
    name_downloads,
    new_figure,
    palette,
    stylesheet,
)
from dashboard.views.epochs import epoch_colours
from dashboard.views.marked_lines import MarkedLines
from dashboard.views.saliency import ROOM, draw_strips, strip_names, strips
from dashboard.views.spectrum_data import (
    GRID,
    bad_pixels,
    clear_corner,
    empty,
    spectrum_data,
    title_of,
)
from dashboard.views.template import AXIS_WIDTH, TemplateOverlay
from msfa_core.errors import MsfaError
from msfa_core.spectra.display import flux_limits, flux_unit, shown_wavelength, smoothed_flux
from msfa_core.spectra.spectrum import Spectrum

PAINTED: Final = "msfa-painted"  # source whose tag is the obsid on screen; verdict.js reads it
SMOOTHINGS: Final = (1, 3, 7, 15)  # pixels
RANGES: Final = {  # preset ranges of the wavelength axis [Å]
    "all": (3700.0, 9100.0),
    "Balmer": (3850.0, 4600.0),
    "Ca K": (3880.0, 4020.0),
    "Hβ": (4780.0, 5260.0),
    "Hα": (6450.0, 6680.0),
}
MACHINE: Final = ("why", "with_template")  # toggles of what machines say
TOGGLES: Final = {  # parameters of the state that a button turns on
    "with_epochs": "epochs",
    "with_coadd": "co-add",
    "with_template": "template",
    "why": "why",
}
MAX_EPOCHS: Final = 6
_AFTER_ALL_VIEWS: Final = 100  # precedence of a watcher
_NAME_ROOM: Final = 0.08  # of the height, kept free for the names of lines


class SpectrumView(pn.viewable.Viewer):
    """The spectrum, drawn once; every star after that is new data in the same sources."""

    rest = param.Boolean(default=True, doc="Rest frame (else observed)")
    smoothing: param.Selector[int] = param.Selector(
        default=1, objects=list(SMOOTHINGS), doc="Smoothing box [pixels]"
    )
    percentile = param.Number(default=99.5, bounds=(80, 100), doc="Of the flux axis")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self._colours = palette()
        self._sources = {
            "flux": ColumnDataSource(
                empty("x", "y", "low", "high", "snr"), name=PAINTED, tags=[""]
            ),
            "bad": ColumnDataSource(empty("x", "y")),
            "smooth": ColumnDataSource(empty("x", "y")),
            "epochs": ColumnDataSource({"xs": [], "ys": [], "name": [], "colour": []}),
            "coadd": ColumnDataSource(empty("x", "y")),
            "strips": ColumnDataSource(strips(None, np.nan, True, self._colours)),
            "strip names": ColumnDataSource(strip_names(None, True, np.nan)),
        }
        self.figure = self._build(self._colours)
        self.template = TemplateOverlay(state, self.figure, self._colours)
        self._build_controls()
        state.watch(self._draw_another, "screen.star")
        state.watch(self._go_blind, "verdicts.blind")
        self.param.watch(self._draw, ["rest", "smoothing"])
        state.watch(
            self._draw_overlays,
            "screen.with_epochs",
            "screen.left_out",
            "answers.coadded",
            "answers.matched",
        )
        self.param.watch(self._fit_height, "percentile")
        state.watch(self._draw_strips, "answers.explained")
        state.watch(self._fit_height, "answers.why")
        state.watch(self._say_painted, "screen.star", precedence=_AFTER_ALL_VIEWS)
        self._draw()
        self._go_blind()
        self._say_painted()

    # --- built once --------------------------------------------------------------------------
    def _build(self, colours: Palette) -> figure:
        low, high = RANGES["all"]
        plot = new_figure(
            colours,
            x_range=Range1d(low, high, bounds=(2900.0, 11000.0)),
            y_range=Range1d(0.0, 1.0),
            x_axis_label="rest wavelength [vacuum Å]",
            y_axis_label="flux / median",
            active_scroll="xwheel_zoom",
            active_drag="box_zoom",
            min_height=160,
            min_border_left=AXIS_WIDTH,
        )
        plot.title.text = " "
        name_downloads(plot, "spectrum")
        plot.yaxis[0].ticker.desired_num_ticks = 4
        plot.yaxis[0].formatter = PrintfTickFormatter(format="%.1f")  # of one width: no relayout
        plot.add_layout(Span(location=0.0, dimension="width", line_color=colours.line))
        self.lines = MarkedLines(plot, colours, self.state.status.say)
        source = self._sources["flux"]
        plot.varea("x", "low", "high", source=source, fill_color=colours.band, fill_alpha=0.55)
        self._epochs = plot.multi_line(
            "xs",
            "ys",
            source=self._sources["epochs"],
            color="colour",
            alpha=0.7,
            line_width=0.8,
        )
        self._flux = plot.line("x", "y", source=source, color=colours.data, line_width=0.9)
        plot.line("x", "y", source=self._sources["smooth"], color=colours.smooth, line_width=1.6)
        plot.line("x", "y", source=self._sources["coadd"], color=colours.ring, line_width=1.2)
        plot.scatter(
            "x",
            "y",
            source=self._sources["bad"],
            marker="x",
            size=5,
            color=colours.masked,
            line_width=1.2,
        )
        self._explain(plot, colours)
        draw_strips(plot, self._sources["strips"], self._sources["strip names"], colours)
        plot.add_tools(
            HoverTool(
                renderers=[self._flux],
                mode="vline",
                visible=False,  # always on: no button for it
                point_policy="snap_to_data",
                line_policy="nearest",
                tooltips=[("λ", "@x{0.00} Å"), ("flux", "@y{0.000}"), ("S/N", "@snr{0.0}")],
            )
        )
        return plot

    def _explain(self, plot: figure, colours: Palette) -> None:
        """Say what the marks and colours are; what is not drawn now is not named."""
        unseen = {"x": [np.nan], "y": [np.nan]}
        lines = {"color": colours.muted, "line_dash": [3, 3]}
        marks = {
            "bad": plot.scatter(**unseen, marker="x", size=5, color=colours.masked),
            "sky": plot.line(**unseen, **lines),
            "helium": plot.line(**unseen, color=colours.helium, line_dash=[3, 3]),
            "smooth": plot.line(**unseen, color=colours.smooth, line_width=1.6),
            "coadd": plot.line(**unseen, color=colours.ring, line_width=1.2),
            "template": plot.line(**unseen, color=colours.model, line_width=1.3),
        }
        words = {
            "bad": "bad pixel", "sky": "sky, telluric", "helium": "helium", "smooth": "smoothed",
            "coadd": "co-add", "template": "template",
        }  # fmt: skip
        self._legend_items = {
            name: LegendItem(
                label=words[name], renderers=[mark], visible=name in ("bad", "sky", "helium")
            )
            for name, mark in marks.items()
        }
        epochs = LegendItem(label={"field": "name"}, renderers=[self._epochs])
        self._legend = Legend(
            items=[*self._legend_items.values(), epochs], location="top_right", spacing=0,
            padding=2, margin=2, label_text_font_size="10px", label_height=11, glyph_height=11,
            glyph_width=14, label_standoff=3, border_line_color=None, background_fill_alpha=0.6,
            background_fill_color=colours.surface, label_text_color=colours.muted,
            styles=LEGEND_STYLES,
        )  # fmt: skip
        plot.add_layout(self._legend)

    def _name_marks(self) -> None:
        """Name the overlays that are drawn, and no others."""
        drawn = {
            "smooth": self.smoothing > 1,
            "coadd": bool(len(self._sources["coadd"].data["x"])),
            "template": bool(len(self.template.model.data["x"])),
        }
        for name, is_drawn in drawn.items():
            if self._legend_items[name].visible != is_drawn:
                self._legend_items[name].visible = is_drawn

    def _build_controls(self) -> None:
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": (0, 2)}
        self._preset = pn.widgets.RadioButtonGroup(
            options=list(RANGES), value="all", css_classes=["msfa-chips"], **css
        )
        self._frame = pn.widgets.RadioButtonGroup(
            options={"rest": True, "obs": False},
            value=self.rest,
            css_classes=["msfa-chips"],
            **css,
        )
        self._smooth = pn.widgets.Select(
            options={("raw" if n == 1 else f"{n} px"): n for n in SMOOTHINGS},
            label="smoothing",
            value=self.smoothing,
            width=50,
            css_classes=["msfa-select", "msfa-nolabel"],
            **css,
        )
        self._toggles = {
            name: pn.widgets.Toggle(label=label, css_classes=["msfa-chips"], **css)
            for name, label in TOGGLES.items()
        }
        self._height = pn.widgets.Select(
            options={"99.5 %": 99.5, "98 %": 98.0, "90 %": 90.0, "all y": 100.0},
            label="flux range, percentile",
            value=self.percentile,
            width=66,
            css_classes=["msfa-select", "msfa-nolabel"],
            **css,
        )
        self._preset.param.watch(lambda event: self._go_to(RANGES[event.new]), "value")
        self._frame.param.watch(lambda event: self.param.update(rest=event.new), "value")
        self._smooth.param.watch(lambda event: self.param.update(smoothing=event.new), "value")
        for name, toggle in self._toggles.items():
            toggle.param.watch(lambda event, name=name: self._turn(name, event.new), "value")
            self._part(name).param.watch(
                lambda event, toggle=toggle: toggle.param.update(value=event.new), name
            )
        self._height.param.watch(lambda event: self.param.update(percentile=event.new), "value")

    # --- drawn for every star ----------------------------------------------------------------
    def step_smoothing(self) -> None:
        """Go to the next width of the smoothing box (key s)."""
        place = SMOOTHINGS.index(self.smoothing)
        self._smooth.value = SMOOTHINGS[(place + 1) % len(SMOOTHINGS)]

    def _turn(self, name: str, is_on: bool) -> None:
        self._part(name).param.update(**{name: is_on})

    def _part(self, name: str) -> Screen | Answers:
        """Return the part of the state that a toggle belongs to."""
        return self.state.screen if name == "with_epochs" else self.state.answers

    def _go_blind(self, *_: Any) -> None:
        """Hide what the machine says of the star, or show it again."""
        self.figure.title.text = title_of(self.state.screen.star, self.state.verdicts.blind)
        for name in MACHINE:
            if self.state.verdicts.blind:
                self._toggles[name].value = False
            self._toggles[name].disabled = self.state.verdicts.blind

    def _draw_another(self, *_: Any) -> None:
        """Draw another star; where its row alone is new, zoom and sliders stay as they are.

        What changes several times at once is told of once, with the last but one as the old one.
        """
        star = self.state.screen.star
        if star is None or self._drawn is not star.spectrum:
            self._draw()

    def _draw(self, *_: Any) -> None:
        star = self.state.screen.star
        plot = self.figure
        plot.title.text = title_of(star, self.state.verdicts.blind)
        self._drawn = None if star is None else star.spectrum
        if star is None:
            for name in ("flux", "bad", "smooth"):
                source = self._sources[name]
                source.data = empty(*source.column_names)
            self._draw_overlays()
            return
        spectrum = star.spectrum
        rest = self.rest and bool(np.isfinite(spectrum.z))
        self.lines.draw(spectrum.z, rest)
        self._sources["bad"].data = bad_pixels(spectrum, rest)
        self._sources["smooth"].data = self._smoothed(spectrum, rest)
        self._sources["flux"].data = spectrum_data(spectrum, rest)
        self._draw_overlays()
        self._draw_strips()
        self._fit_height()
        for axis in (plot.xaxis[0], self.template.figure.xaxis[0]):
            axis.axis_label = f"{'rest' if rest else 'observed'} wavelength [vacuum Å]"

    def _draw_strips(self, *_: Any) -> None:
        star, said = self.state.screen.star, self.state.answers.explained
        if star is None or (said is not None and said.obsid != star.obsid):
            said = None
        z = np.nan if star is None else star.spectrum.z
        rest = self.rest and bool(np.isfinite(z))
        self._sources["strips"].data = strips(said, z, rest, self._colours)
        self._sources["strip names"].data = strip_names(said, rest, z)

    def _say_painted(self, *_: Any) -> None:
        """Tell the browser which star its screen now shows; sent after every view's data."""
        star = self.state.screen.star
        self._sources["flux"].tags = ["" if star is None else str(star.obsid)]

    def _smoothed(self, spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
        self._flux.glyph.line_alpha = 1.0 if self.smoothing == 1 else 0.35
        if self.smoothing == 1:
            return empty("x", "y")
        flux = smoothed_flux(spectrum, self.smoothing) / flux_unit(spectrum)
        return {
            "x": shown_wavelength(spectrum, rest).astype(GRID),
            "y": flux.astype(GRID),
        }

    def _draw_overlays(self, *_: Any) -> None:
        """Draw the other epochs, their sum and the template, as far as they are wanted."""
        star = self.state.screen.star
        rest = self.rest and star is not None and bool(np.isfinite(star.spectrum.z))
        self._put("epochs", self._other_epochs(star))
        self._put("coadd", self._coadd(star, rest))
        self.template.draw(star, rest)
        self._name_marks()

    def _put(self, name: str, columns: dict[str, Any]) -> None:
        """Give a source its data, unless it holds nothing and goes on holding nothing."""
        source, first = self._sources[name], next(iter(columns))
        if len(columns[first]) or len(source.data[first]):
            source.data = columns

    def _other_epochs(self, star: Star | None) -> dict[str, list[Any]]:
        """Return the other spectra of the star, each in its own unit of flux."""
        shown: dict[str, list[Any]] = {"xs": [], "ys": [], "name": [], "colour": []}
        if not self.state.screen.with_epochs or star is None:
            return shown
        colours = epoch_colours(star)
        wanted = [obsid for obsid in colours if obsid not in self.state.screen.left_out]
        for obsid in wanted[:MAX_EPOCHS]:
            try:
                other = self.state.data.measured(obsid)[0]
            except MsfaError as error:
                self.state.status.say(str(error), "error")
                continue
            shown["xs"].append(shown_wavelength(other, self.rest).astype(GRID))
            shown["ys"].append((other.flux / flux_unit(other)).astype(GRID))
            shown["name"].append(str(obsid))
            shown["colour"].append(colours[obsid])
        return shown

    def _coadd(self, star: Star | None, rest: bool) -> dict[str, NDArray[Any]]:
        """Return the sum of all epochs, moved to the frame of the axis."""
        added = self.state.answers.coadded
        if star is None or added is None or added.obsid != star.obsid or added.coadd is None:
            return empty("x", "y")
        spectrum = added.coadd.spectrum
        z = star.spectrum.z if np.isfinite(star.spectrum.z) and not rest else 0.0
        flux = np.where(spectrum.mask, np.nan, spectrum.flux) / flux_unit(spectrum)
        return {"x": (spectrum.wavelength * (1.0 + z)).astype(GRID), "y": flux.astype(GRID)}

    def _go_to(self, between: tuple[float, float]) -> None:
        self.figure.x_range.update(start=between[0], end=between[1])
        self._fit_height()

    def _fit_height(self, *_: Any) -> None:
        """Fit the flux axis to the good pixels on screen."""
        star = self.state.screen.star
        if star is None:
            return
        x_range = self.figure.x_range
        wavelength = shown_wavelength(star.spectrum, self.rest)
        low, high = flux_limits(
            wavelength, star.spectrum, (x_range.start, x_range.end), self.percentile
        )
        room = _NAME_ROOM * (high - low)
        if self.state.answers.why:
            low -= ROOM * (high - low)
        high += room
        unit = flux_unit(star.spectrum)
        self.figure.y_range.update(start=low / unit, end=high / unit)
        corner = clear_corner(
            self._sources["flux"].data, (x_range.start, x_range.end), (low / unit, high / unit)
        )
        if self._legend.location != corner:
            self._legend.location = corner

    def __panel__(self) -> pn.viewable.Viewable:
        controls = pn.Row(
            self._preset,
            self._frame,
            self._smooth,
            *self._toggles.values(),
            self._height,
            self.lines.own,
            self.lines.velocity,
            sizing_mode="stretch_width",
            height=30,
            margin=0,
            css_classes=["msfa-controls"],
            stylesheets=[stylesheet()],
        )
        return pn.Column(
            controls,
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_both", margin=0),
            self.template.strip,
            sizing_mode="stretch_both",
            margin=0,
        )
