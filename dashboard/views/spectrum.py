"""The spectrum panel: flux with its band, bad pixels, lines, smoothing, other epochs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import panel as pn
import param
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJS,
    HoverTool,
    PrintfTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from dashboard.state import Explained, Star, VettingState
from dashboard.theme import Palette, name_downloads, new_figure, palette, stylesheet
from dashboard.views.classes import is_missing
from msfa_core.constants import (
    ARM_JOINT,
    LINE_LIST,
    NETWORK_GRID,
    SPEED_OF_LIGHT,
    STELLAR_CLASSES,
    TELLURIC_LIST,
)
from msfa_core.errors import MsfaError
from msfa_core.spectra.display import (
    error_of,
    flux_limits,
    flux_unit,
    shown_wavelength,
    smoothed_flux,
)
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
VELOCITY_LIMIT: Final = 600  # km/s, of the slider
MAIN_LINES: Final = ("Ca II K", "Hδ", "Hγ", "He I 4471", "Hβ", "Mg I b", "Na I D2", "Hα")
MAX_EPOCHS: Final = 6
STRIPS: Final = ((0.08, 0.14), (0.01, 0.07))  # bottom and top of the strips, of the height
ROOM: Final = 0.18  # of the height, kept free for them while they are asked for
STRIP_BIN: Final = 5  # pixels of the network's grid in one box of a strip
LOUDEST: Final = 99.5  # percentile of |attribution| that is drawn in full colour
FAINTEST: Final = 0.04  # share of that below which nothing is drawn
_STRIP_COLUMNS: Final = ("left", "right", "bottom", "top", "amount", "alpha", "colour")
_AFTER_ALL_VIEWS: Final = 100  # precedence of a watcher
_WIDE: Final = 1600.0  # Å: with more on screen only the main lines are named
_GRID: Final = np.float32  # what the browser needs


def spectrum_data(spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
    """Return the columns of the spectrum's data source, without the pixels that hold nothing."""
    unit = flux_unit(spectrum)
    wavelength, error = shown_wavelength(spectrum, rest), error_of(spectrum) / unit
    flux = spectrum.flux.astype(np.float64) / unit
    known = np.isfinite(flux)
    band = np.where(np.isfinite(error) & ~spectrum.mask, error, 0.0)
    columns = {"x": wavelength, "y": flux, "low": flux - band, "high": flux + band}
    columns["snr"] = np.where(band > 0, flux / np.where(band > 0, band, 1.0), 0.0)
    return {name: values[known].astype(_GRID) for name, values in columns.items()}


def bad_pixels(spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
    """Return the masked pixels of a spectrum that have a flux."""
    bad = spectrum.mask & np.isfinite(spectrum.flux)
    wavelength = shown_wavelength(spectrum, rest)
    flux = spectrum.flux[bad] / flux_unit(spectrum)
    return {"x": wavelength[bad].astype(_GRID), "y": flux.astype(_GRID)}


def line_markers(z: float, rest: bool) -> dict[str, list[Any]]:
    """Return where the marked lines stand; sky and telluric lines are not shifted.

    Parameters
    ----------
    z : float
        Doppler shift of the star; NaN when unknown.
    rest : bool
        Frame of the axis.
    """
    shift = 1.0 + z if np.isfinite(z) else 1.0
    names, base, kinds = [], [], []
    for name, (wavelength, kind) in LINE_LIST.items():
        names.append(name)
        kinds.append(kind)
        base.append(wavelength if rest or shift == 1.0 else wavelength * shift)
    for name, (wavelength, kind) in TELLURIC_LIST.items():
        names.append(name)
        kinds.append(kind)
        base.append(wavelength / shift if rest else wavelength)
    return {
        "name": names,
        "x": list(base),
        "base": base,
        "kind": kinds,
        "moves": [kind not in ("sky", "telluric") for kind in kinds],
        "main": [name in MAIN_LINES for name in names],
    }


def title_of(star: Star | None) -> str:
    """Return the title: who it is, how good, where it comes from."""
    if star is None:
        return "no star on screen"
    row, spectrum = star.row, star.spectrum
    velocity = spectrum.z * SPEED_OF_LIGHT
    parts = [
        str(star.obsid),
        "" if is_missing(row["snr_g"]) else f"S/N(g) {row['snr_g']:.0f}",
        "no subclass" if is_missing(row["subclass"]) else str(row["subclass"]),
        f"RV {velocity:+.0f} km/s".replace("-", "−")
        if np.isfinite(velocity)
        else "no z: observed wavelengths",
        file_of(spectrum),
    ]
    return " · ".join(part for part in parts if part)


def file_of(spectrum: Spectrum) -> str:
    """Return the name of the file, without its folders."""
    return spectrum.file.replace("\\", "/").rsplit("/", 1)[-1]


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
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _STRIP_COLUMNS}
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


class SpectrumView(pn.viewable.Viewer):
    """The spectrum, drawn once; every star after that is new data in the same sources."""

    state = param.ClassSelector(class_=VettingState)
    rest = param.Boolean(default=True, doc="Rest frame (else observed)")
    smoothing = param.Selector(default=1, objects=list(SMOOTHINGS), doc="Smoothing box [pixels]")
    show_epochs = param.Boolean(default=False, doc="Overlay the star's other spectra")
    percentile = param.Number(default=99.5, bounds=(80, 100), doc="Of the flux axis")

    def __init__(self, state: VettingState, **params: Any) -> None:
        super().__init__(state=state, **params)
        self._colours = palette()
        self._sources = {
            "flux": ColumnDataSource(
                _empty("x", "y", "low", "high", "snr"), name=PAINTED, tags=[""]
            ),
            "bad": ColumnDataSource(_empty("x", "y")),
            "smooth": ColumnDataSource(_empty("x", "y")),
            "epochs": ColumnDataSource({"xs": [], "ys": [], "name": []}),
            "lines": ColumnDataSource(line_markers(np.nan, True)),
            "strips": ColumnDataSource(strips(None, np.nan, True, self._colours)),
            "strip names": ColumnDataSource(strip_names(None, True, np.nan)),
        }
        self.figure = self._build(self._colours)
        self._build_controls()
        state.param.watch(self._draw, "star")
        self.param.watch(self._draw, ["rest", "smoothing", "show_epochs"])
        self.param.watch(self._fit_height, "percentile")
        state.param.watch(self._draw_strips, "explained")
        state.param.watch(self._fit_height, "why")
        state.param.watch(self._say_painted, "star", precedence=_AFTER_ALL_VIEWS)
        self._draw()
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
        )
        plot.title.text = " "
        name_downloads(plot, "spectrum")
        plot.yaxis[0].ticker.desired_num_ticks = 4
        plot.yaxis[0].formatter = PrintfTickFormatter(format="%.1f")  # of one width: no relayout
        plot.extra_y_ranges = {"height": Range1d(0.0, 1.0)}
        self._joint = BoxAnnotation(
            left=ARM_JOINT[0],
            right=ARM_JOINT[1],
            fill_color=colours.muted,
            fill_alpha=0.08,
            line_color=None,
            level="underlay",
        )
        plot.add_layout(self._joint)
        plot.add_layout(Span(location=0.0, dimension="width", line_color=colours.line))
        self._add_lines(plot, colours)
        source = self._sources["flux"]
        plot.varea("x", "low", "high", source=source, fill_color=colours.band, fill_alpha=0.55)
        self._epochs = plot.multi_line(
            "xs",
            "ys",
            source=self._sources["epochs"],
            color=colours.warn,
            alpha=0.6,
            line_width=0.8,
        )
        self._flux = plot.line("x", "y", source=source, color=colours.data, line_width=0.9)
        plot.line("x", "y", source=self._sources["smooth"], color=colours.smooth, line_width=1.6)
        plot.scatter(
            "x",
            "y",
            source=self._sources["bad"],
            marker="x",
            size=5,
            color=colours.masked,
            line_width=1.2,
        )
        self._add_strips(plot, colours)
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

    def _add_strips(self, plot: figure, colours: Palette) -> None:
        """Draw which wavelengths spoke, at the bottom of the figure."""
        boxes = plot.quad(
            left="left",
            right="right",
            bottom="bottom",
            top="top",
            source=self._sources["strips"],
            y_range_name="height",
            fill_color="colour",
            fill_alpha="alpha",
            line_color=None,
        )
        plot.text(
            "x",
            "y",
            text="text",
            source=self._sources["strip names"],
            y_range_name="height",
            anchor="center_left",
            x_offset=4,
            text_color=colours.muted,
            text_font_size="10px",
        )
        plot.add_tools(
            HoverTool(
                renderers=[boxes],
                visible=False,
                tooltips=[("λ", "@left{0}–@right{0} Å"), ("for (+) or against", "@amount{+0.00}")],
            )
        )

    def _add_lines(self, plot: figure, colours: Palette) -> None:
        """Draw the marked lines and their names; minor names appear when zoomed in."""
        source = self._sources["lines"]
        colour = {
            "balmer": colours.accent,
            "metal": colours.bad,
            "helium": colours.good,
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
            level="annotation",
        )
        plot.x_range.js_on_change(
            "end",
            CustomJS(
                args={"source": source, "range": plot.x_range, "wide": _WIDE},
                code="""
                const is_wide = Math.abs(range.end - range.start) > wide
                const data = source.data
                const label = data.name.map((name, i) => is_wide && !data.main[i] ? "" : name)
                if (label.join() !== Array.from(data.label).join())
                    source.data = {...data, label}
                """,
            ),
        )

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
        self._smooth = pn.widgets.RadioButtonGroup(
            options={("raw" if n == 1 else f"{n} px"): n for n in SMOOTHINGS},
            value=self.smoothing,
            css_classes=["msfa-chips"],
            **css,
        )
        self._overlay = pn.widgets.Toggle(label="epochs", css_classes=["msfa-chips"], **css)
        self._why = pn.widgets.Toggle(
            label="why",
            css_classes=["msfa-chips"],
            **css,
        )
        self._height = pn.widgets.Select(
            options={"99.5 %": 99.5, "98 %": 98.0, "90 %": 90.0, "all y": 100.0},
            value=self.percentile,
            width=66,
            css_classes=["msfa-select"],
            **css,
        )
        self._velocity = pn.widgets.IntSlider(
            label="trial RV [km/s]",
            start=-VELOCITY_LIMIT,
            end=VELOCITY_LIMIT,
            step=5,
            value=0,
            width=84,
            css_classes=["msfa-slider"],
            **css,
        )
        self._velocity.jscallback(
            args={"source": self._sources["lines"], "c": SPEED_OF_LIGHT},
            value="""
            const data = source.data
            const x = data.base.map((x, i) => data.moves[i] ? x * (1 + cb_obj.value / c) : x)
            source.data = {...data, x}
            """,
        )
        self._preset.param.watch(lambda event: self._go_to(RANGES[event.new]), "value")
        self._frame.param.watch(lambda event: self.param.update(rest=event.new), "value")
        self._smooth.param.watch(lambda event: self.param.update(smoothing=event.new), "value")
        self._overlay.param.watch(lambda event: self.param.update(show_epochs=event.new), "value")
        self._why.param.watch(lambda event: self.state.param.update(why=event.new), "value")
        self._height.param.watch(lambda event: self.param.update(percentile=event.new), "value")

    # --- drawn for every star ----------------------------------------------------------------
    def step_smoothing(self) -> None:
        """Go to the next width of the smoothing box (key s)."""
        place = SMOOTHINGS.index(self.smoothing)
        self._smooth.value = SMOOTHINGS[(place + 1) % len(SMOOTHINGS)]

    def _draw(self, *_: Any) -> None:
        star = self.state.star
        plot = self.figure
        plot.title.text = title_of(star)
        if star is None:
            for name in ("flux", "bad", "smooth"):
                source = self._sources[name]
                source.data = _empty(*source.column_names)
            return
        spectrum = star.spectrum
        rest = self.rest and bool(np.isfinite(spectrum.z))
        self._draw_lines(spectrum.z, rest)
        self._sources["bad"].data = bad_pixels(spectrum, rest)
        self._sources["smooth"].data = self._smoothed(spectrum, rest)
        self._sources["epochs"].data = self._other_epochs(star)
        self._sources["flux"].data = spectrum_data(spectrum, rest)
        self._draw_strips()
        self._fit_height()
        plot.xaxis[0].axis_label = f"{'rest' if rest else 'observed'} wavelength [vacuum Å]"

    def _draw_strips(self, *_: Any) -> None:
        star, said = self.state.star, self.state.explained
        if star is None or (said is not None and said.obsid != star.obsid):
            said = None
        z = np.nan if star is None else star.spectrum.z
        rest = self.rest and bool(np.isfinite(z))
        self._sources["strips"].data = strips(said, z, rest, self._colours)
        self._sources["strip names"].data = strip_names(said, rest, z)

    def _say_painted(self, *_: Any) -> None:
        """Tell the browser which star its screen now shows; sent after every view's data."""
        star = self.state.star
        self._sources["flux"].tags = ["" if star is None else str(star.obsid)]

    def _draw_lines(self, z: float, rest: bool) -> None:
        source = self._sources["lines"]
        markers = line_markers(z, rest)
        self._velocity.value = 0
        source.data = {**source.data, **markers}
        shift = 1.0 + z if rest else 1.0
        self._joint.update(left=ARM_JOINT[0] / shift, right=ARM_JOINT[1] / shift)

    def _smoothed(self, spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
        self._flux.glyph.line_alpha = 1.0 if self.smoothing == 1 else 0.35
        if self.smoothing == 1:
            return _empty("x", "y")
        flux = smoothed_flux(spectrum, self.smoothing) / flux_unit(spectrum)
        return {
            "x": shown_wavelength(spectrum, rest).astype(_GRID),
            "y": flux.astype(_GRID),
        }

    def _other_epochs(self, star: Star) -> dict[str, list[Any]]:
        """Return the other spectra of the star, each in its own unit of flux."""
        shown: dict[str, list[Any]] = {"xs": [], "ys": [], "name": []}
        if not self.show_epochs:
            return shown
        for obsid in [int(o) for o in star.epochs["obsid"] if int(o) != star.obsid][:MAX_EPOCHS]:
            try:
                other = self.state.data.measured(obsid)[0]
            except MsfaError as error:
                self.state.say(str(error), "error")
                continue
            shown["xs"].append(shown_wavelength(other, self.rest).astype(_GRID))
            shown["ys"].append((other.flux / flux_unit(other)).astype(_GRID))
            shown["name"].append(str(obsid))
        return shown

    def _go_to(self, between: tuple[float, float]) -> None:
        self.figure.x_range.update(start=between[0], end=between[1])
        self._fit_height()

    def _fit_height(self, *_: Any) -> None:
        """Fit the flux axis to the good pixels on screen."""
        star = self.state.star
        if star is None:
            return
        x_range = self.figure.x_range
        wavelength = shown_wavelength(star.spectrum, self.rest)
        low, high = flux_limits(
            wavelength, star.spectrum, (x_range.start, x_range.end), self.percentile
        )
        if self.state.why:
            low -= ROOM * (high - low)
        unit = flux_unit(star.spectrum)
        self.figure.y_range.update(start=low / unit, end=high / unit)

    def __panel__(self) -> pn.viewable.Viewable:
        controls = pn.Row(
            self._preset,
            self._frame,
            self._smooth,
            self._overlay,
            self._why,
            self._height,
            self._velocity,
            sizing_mode="stretch_width",
            height=30,
            margin=0,
            css_classes=["msfa-controls"],
            stylesheets=[stylesheet()],
        )
        return pn.Column(
            controls,
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_both", margin=0),
            sizing_mode="stretch_both",
            margin=0,
        )


def _empty(*names: str) -> dict[str, NDArray[Any]]:
    return {name: np.empty(0, _GRID) for name in names}
