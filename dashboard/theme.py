"""Colours, fonts and plot defaults: defined once, used by every view, light and dark."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import panel as pn
from bokeh.models import CustomAction, CustomJS, LinearAxis, SaveTool
from bokeh.plotting import figure
from bokeh.themes import Theme

STATIC: Final = Path(__file__).parent / "static"
FONT: Final = 'Inter, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
LETTER: Final = 6.2  # px, of a letter of an axis label
LEGEND_STYLES: Final = {"pointer-events": "none"}  # a drag may begin on it, as beside it
_SVG_ICON: Final = "data:image/svg+xml;base64," + base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
    b'<text x="12" y="16" font-family="Arial" font-size="9.5" font-weight="bold" '
    b'text-anchor="middle" fill="#808d99">SVG</text></svg>'
).decode("ascii")
TOOLS: Final = "pan,xwheel_zoom,box_zoom,reset,save"

# Okabe & Ito's colour-blind-safe set, in the order of the five classes.
CLASS_COLOURS: Final = {
    "BHB": "#0072B2",
    "A": "#E69F00",
    "B": "#56B4E9",
    "HSD": "#D55E00",
    "WD": "#009E73",
}
VERDICT_COLOURS: Final = {
    "accept": "#009E73",
    "reject": "#D55E00",
    "unsure": "#CC79A7",
    "disputed": "#E69F00",
}

EPOCH_COLOURS: Final = ("#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999933")


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme; every view draws with these and no others.

    Attributes
    ----------
    name : str
        ``light`` or ``dark``.
    page, surface, raised : str
        Background of the page, of a panel, of a field or button.
    text, muted, line, grid : str
        Words, secondary words, borders, grid lines.
    accent : str
        The one accent: what is selected, what can be pressed.
    data, band, smooth, model, residual, masked : str
        Spectrum, its ±1σ band, smoothed spectrum, fitted model, residuals, bad pixels.
    cloud, ring : str
        All candidates in a plane; this star in a plane.
    good, bad, warn : str
        Agreement, contradiction, caution.
    helium : str
        Lines of helium.
    """

    name: str
    page: str
    surface: str
    raised: str
    text: str
    muted: str
    line: str
    grid: str
    accent: str
    data: str
    band: str
    smooth: str
    model: str
    residual: str
    masked: str
    cloud: str
    ring: str
    good: str
    bad: str
    warn: str
    helium: str

    @property
    def is_dark(self) -> bool:
        """Whether this is the dark theme."""
        return self.name == "dark"


LIGHT: Final = Palette(
    name="light",
    page="#eef1f4",
    surface="#ffffff",
    raised="#f5f7f9",
    text="#18212b",
    muted="#5b6875",
    line="#d3dae1",
    grid="#e8ecf0",
    accent="#0063a6",
    data="#243447",
    band="#9fb2c5",
    smooth="#0072B2",
    model="#D55E00",
    residual="#5b6875",
    masked="#c2410c",
    cloud="#8fa3b6",
    ring="#d1005d",
    good="#00794f",
    bad="#b93a00",
    warn="#8a5a00",
    helium="#7b3fa0",
)
DARK: Final = Palette(
    name="dark",
    page="#10151b",
    surface="#171e26",
    raised="#202a34",
    text="#e3e9ef",
    muted="#98a6b3",
    line="#2e3a46",
    grid="#232d37",
    accent="#62b6f0",
    data="#d5dee7",
    band="#4a5d70",
    smooth="#62b6f0",
    model="#ff9248",
    residual="#98a6b3",
    masked="#ff7a59",
    cloud="#5d7287",
    ring="#ff5fa2",
    good="#3ec796",
    bad="#ff8a5c",
    warn="#f0b94a",
    helium="#c79bea",
)


def palette() -> Palette:
    """Return the palette of this session (the ``theme`` argument of the address)."""
    return DARK if pn.config.theme == "dark" else LIGHT


def bokeh_theme(colours: Palette) -> Theme:
    """Return the Bokeh theme, for the document and for HoloViews' renderer."""
    return Theme(json={"attrs": _attributes(colours)})


def _attributes(colours: Palette) -> dict[str, dict[str, Any]]:
    """Return the default of every themed property, by Bokeh model."""
    return {
        "Plot": {
            "background_fill_color": colours.surface,
            "border_fill_color": colours.surface,
            "outline_line_color": colours.line,
        },
        "Grid": {"grid_line_color": colours.grid},
        "Axis": {
            "major_tick_line_color": colours.muted,
            "minor_tick_line_color": None,
            "axis_line_color": colours.line,
            "major_label_text_color": colours.muted,
            "major_label_text_font": FONT,
            "major_label_text_font_size": "11px",
            "axis_label_text_color": colours.text,
            "axis_label_text_font": FONT,
            "axis_label_text_font_style": "normal",
            "axis_label_text_font_size": "12px",
            "axis_label_standoff": 4,
            "major_tick_in": 0,
            "major_tick_out": 4,
        },
        "Title": {
            "text_color": colours.text,
            "text_font": FONT,
            "text_font_size": "12px",
            "text_font_style": "bold",
        },
        "Legend": {
            "background_fill_color": colours.surface,
            "background_fill_alpha": 0.85,
            "border_line_color": colours.line,
            "label_text_color": colours.text,
            "label_text_font": FONT,
            "label_text_font_size": "11px",
            "styles": LEGEND_STYLES,
            "spacing": 1,
            "padding": 4,
            "margin": 6,
            "glyph_width": 16,
        },
        "ColorBar": {
            "background_fill_color": colours.surface,
            "major_label_text_color": colours.muted,
            "title_text_color": colours.text,
        },
        "BoxAnnotation": {"line_color": colours.line},
        "Label": {"text_color": colours.text, "text_font": FONT, "text_font_size": "11px"},
    }


def short_of_room(axis: LinearAxis, plot: figure, *shorter: str) -> None:
    """Have an axis say what it shows in fewer words where the figure is too low for all of them.

    Parameters
    ----------
    axis : LinearAxis
        On the left of the figure.
    plot : figure
    *shorter : str
        Words that mean the same, the longest first.
    """
    code = """
        const fits = words.find(text => text.length * wide <= plot.inner_height)
        axis.setv({axis_label: fits ?? words.at(-1)}, {sync: false})
    """
    args = {"axis": axis, "plot": plot, "words": [axis.axis_label, *shorter], "wide": LETTER}
    plot.js_on_change("inner_height", CustomJS(args=args, code=code))


def tick_both_sides(axis: LinearAxis) -> None:
    """Have a low axis about zero name zero and a value on either side, whatever its range.

    Steps that follow each other are no more than twice as long: some step then lies within the
    range, and near enough to a third of it to be chosen.
    """
    axis.ticker.update(desired_num_ticks=3, mantissas=[1, 2, 3, 5])


def new_figure(colours: Palette, **options: Any) -> figure:
    """Return an empty figure that already wears the theme.

    Parameters
    ----------
    colours : Palette
    **options
        As for `bokeh.plotting.figure`; tools, sizing and toolbar have house defaults.
    """
    options = {
        "tools": TOOLS,
        "active_drag": "auto",
        "toolbar_location": "right",
        "sizing_mode": "stretch_both",
        "min_border": 2,
        "output_backend": "canvas",
        "lod_threshold": None,  # a spectrum that is dragged stays whole
    } | options
    plot = figure(**options)
    style_figure(plot, colours)
    return plot


def name_downloads(plot: figure, name: str) -> None:
    """Let a figure be saved under this name from its toolbar: PNG at print quality, and SVG.

    Below it stands the caption that the page shows (static/saving.js); outside the page, in a
    notebook, the figure goes out alone.
    """
    plot.toolbar.tools = [tool for tool in plot.toolbar.tools if not isinstance(tool, SaveTool)]
    for kind, icon in (("png", "save"), ("svg", _SVG_ICON)):
        code = f"""
            const view = cb_context.index.get_one(plot)
            const strip = below == null ? null : cb_context.index.find_one(below)
            if (globalThis.msfa_save) return globalThis.msfa_save(view, name, "{kind}", strip)
            const link = document.createElement("a")
            view.export("{kind}").to_blob().then(blob => {{
              link.href = URL.createObjectURL(blob)
              link.download = `${{name}}.{kind}`
              link.click()
            }})
        """
        callback = CustomJS(args={"plot": plot, "name": name, "below": None}, code=code)
        words = f"Save as {kind.upper()} with its caption"
        plot.add_tools(CustomAction(icon=icon, description=words, callback=callback))


def style_figure(plot: figure, colours: Palette) -> None:
    """Put the theme's colours and fonts on a figure that exists already (HoloViews made it)."""
    attributes = _attributes(colours)
    plot.update(**attributes["Plot"])
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.update(**attributes["Axis"])
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.update(**attributes["Grid"])
    if plot.title is not None:
        plot.title.update(**attributes["Title"])
    for legend in plot.legend:
        legend.update(**attributes["Legend"])


def save_with(plot: figure, below: figure) -> None:
    """Let a figure be saved with the strip that stands below it, while that is on the page."""
    for tool in plot.toolbar.tools:
        if isinstance(tool, CustomAction) and isinstance(tool.callback, CustomJS):
            tool.callback.args = {**tool.callback.args, "below": below}


def plot_hook(colours: Palette) -> Any:
    """Return a HoloViews hook (``hooks=[plot_hook(palette())]``) that themes its figure."""

    def apply(plot: Any, _element: Any) -> None:
        style_figure(plot.state, colours)

    return apply


def css_variables(colours: Palette) -> str:
    """Return the palette as CSS variables, for the outermost component: the rest inherits them."""
    own = {
        name: getattr(colours, name)
        for name in colours.__dataclass_fields__
        if name not in ("name",)
    }
    classes = {f"class-{key.lower()}": value for key, value in CLASS_COLOURS.items()}
    verdicts = {f"verdict-{key}": value for key, value in VERDICT_COLOURS.items()}
    lines = [f"  --msfa-{key}: {value};" for key, value in (own | classes | verdicts).items()]
    panel = {
        "primary-color": colours.accent,
        "on-primary-color": colours.surface,
        "background-color": colours.surface,
        "on-background-color": colours.text,
        "surface-color": colours.raised,
        "on-surface-color": colours.text,
        "border-color": colours.line,
    }
    lines += [f"  --panel-{key}: {value} !important;" for key, value in panel.items()]
    lines += [f"  --design-{key}: {value};" for key, value in panel.items()]
    lines += [f"  --msfa-font: {FONT};", f"  color-scheme: {colours.name};"]
    return ":host {\n" + "\n".join(lines) + "\n}\n"


def stylesheet() -> str:
    """Return the one stylesheet, for components that have a shadow root.

    Served by ``panel serve dashboard`` it is an address, sent once and kept by the browser;
    anywhere else it is the text itself.
    """
    document = pn.state.curdoc
    if document is None or document.session_context is None or not pn.state.app_url:
        return (STATIC / "app.css").read_text(encoding="utf-8")
    return static_address("app.css")


def static_address(name: str) -> str:
    """Return where ``panel serve dashboard`` serves a file of `STATIC`, seen from its page."""
    app = (pn.state.app_url or "").rstrip("/").rpartition("/")[2]  # a prefix is the page's, too
    return f"{app}/static/{name}?v={(STATIC / name).stat().st_mtime_ns}"


def page_css(colours: Palette) -> str:
    """Return the few rules for the page itself; every component gets them too, so: few."""
    return (
        f"html, body {{ height: 100%; margin: 0; background: {colours.page}; "
        f"color-scheme: {colours.name}; }}\n"
        'body:not(:has([data-root-id] > *))::before { content: "BHB vetting: the page is being '
        f'drawn …"; position: fixed; inset: 40% 0 auto; text-align: center; font: 14px {FONT}; '
        f"color: {colours.muted}; }}"
    )
