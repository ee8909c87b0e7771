"""Where the stars are: the whole sky, Galactic or ICRS, and links to charts of this star."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import ColumnDataSource, HoverTool, MultiLine

from dashboard.planes.axis import SKY_COLUMNS, Axis, sky_places
from dashboard.planes.cells import counted, number
from dashboard.planes.guides import draw_curves, draw_words, explain
from dashboard.planes.linked import (
    LinkedView,
    caption,
    caption_html,
    colour_switch,
    controls,
    notice,
)
from dashboard.planes.plane import Plane
from dashboard.planes.words import Words
from dashboard.state import Session, Star
from dashboard.theme import stylesheet
from msfa_core.constants import CLOUD_CIRCLES, CMD_LATITUDE_MIN
from msfa_core.stars.sky_map import (
    CENTRE,
    STEP,
    aitoff,
    circle,
    grid_lines,
    parallel,
    to_galactic,
)

FRAMES: Final = {"Galactic": "galactic", "ICRS": "icrs"}  # keys of the planes
_WORDS: Final = {
    "galactic": ("Galactic longitude l [deg], Aitoff", "Galactic latitude b [deg]"),
    "icrs": ("right ascension [deg], Aitoff", "declination [deg]"),
}
ACROSS: Final = (-190.0, 190.0)  # the whole map, and a rim
UP: Final = (-96.0, 96.0)
NAMED_EVERY: Final = 60.0  # deg: meridians with a number
FINDER_FIELD: Final = 0.1  # deg, of a chart
FINDER_RADIUS: Final = 5.0  # arcsec, of a query
FINDERS: Final = {  # opened by the reviewer's click only
    "Aladin Lite": "https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov={field}",
    "SIMBAD": "https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={radius}"
    "&Radius.unit=arcsec",
    "VizieR: Gaia DR3": "https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-source=I/355/gaiadr3"
    "&-c={place}&-c.rs={radius}",
    "ESASky": "https://sky.esa.int/esasky/?target={place}&fov={field}&sci=true",
}
REMEDY: Final = (
    "No spectrum of this survey has a position: they come from the headers (RA, DEC) or from a "
    "catalogue.",
    "Add them with `msfa ingest SURVEY --catalogue FILE` (columns obsid, ra, dec).",
)


def finder_links(ra: float, dec: float) -> dict[str, str]:
    """Return the addresses of public charts and lists at a place [deg, ICRS]."""
    place = quote(f"{ra:.6f} {dec:+.6f}")
    return {
        name: address.format(place=place, field=FINDER_FIELD, radius=FINDER_RADIUS)
        for name, address in FINDERS.items()
    }


def finder_html(star: Star | None) -> str:
    """Return the links of the star on screen; nothing is fetched until one is clicked."""
    ra, dec = (number(None if star is None else star.row, name) for name in ("ra", "dec"))
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return '<span class="msfa-hint">no position, so no charts</span>'
    links = (
        f'<a href="{escape(address, quote=True)}" target="_blank" '
        f'rel="noopener noreferrer">{escape(name)}</a>'
        for name, address in finder_links(ra, dec).items()
    )
    return f'<span class="msfa-caption">charts (public services)</span> {" · ".join(links)}'


def place_sentence(row: pd.Series) -> str:
    """Return where a star is, in both frames."""
    ra, dec = number(row, "ra"), number(row, "dec")
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return "this star has no position"
    longitude, latitude = (float(v[0]) for v in to_galactic([ra], [dec]))
    words = f"this star: RA {ra:.5f}°, Dec {dec:+.5f}°; l {longitude:.3f}°, b {latitude:+.3f}°"
    return words.replace("-", "−")


def draw_sky(plane: Plane, frame: str, limit: float) -> None:
    """Draw the grid, the Galactic plane and what exclusions leave out."""
    colours = plane.colours
    lines = grid_lines()
    grid = MultiLine(xs="xs", ys="ys", line_color=colours.line, line_width=1)
    source = ColumnDataSource({"xs": [x for x, _ in lines], "ys": [y for _, y in lines]})
    plane.figure.add_glyph(source, grid, level="underlay")
    middle = draw_curves(plane, [parallel(0.0, frame)], colours.warn, width=1.6)
    edges = [parallel(side * limit, frame) for side in (-1, 1)]
    band = draw_curves(plane, edges, colours.warn, "dashed", 1.2)
    clouds = [
        circle(float(ra), float(dec), float(radius), frame)
        for ra, dec, radius in CLOUD_CIRCLES.values()
    ]
    around = draw_curves(plane, clouds, colours.bad, width=1.6)
    explain(plane, "Galactic plane", [middle])
    explain(plane, f"|b| = {limit:g}°", [band])
    explain(plane, "LMC, SMC", [around])
    _name_grid(plane, frame)


def _name_grid(plane: Plane, frame: str) -> None:
    """Write longitudes along the equator and latitudes along the left rim."""
    small: dict[str, Any] = {"text_align": "center", "text_baseline": "middle"}
    east = np.arange(-120.0, 180.0, NAMED_EVERY)
    x, y = aitoff(east, np.zeros(east.size), 0.0)
    words = [f"{(value + CENTRE[frame]) % 360:.0f}°" for value in east]
    draw_words(plane, x, y, words, plane.colours.muted, **small)
    up = np.array([-60.0, -STEP, STEP, 60.0])
    x, y = aitoff(np.full(up.size, 179.9), up, 0.0)
    words = [f"{value:+.0f}°".replace("-", "−") for value in up]
    draw_words(
        plane, x, y, words, plane.colours.muted, x_offset=-4, text_align="right",
        text_baseline="middle",
    )  # fmt: skip


class SkyView(LinkedView):
    """All stars on the sky, linked with the other planes."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self._words = ""
        self.offer({key: partial(self._make_plane, key) for key in FRAMES})
        self._figures = self.figure_place()
        self._figures.param.update(css_classes=["msfa-sky-place"], stylesheets=[stylesheet()])
        self._finders = Words(
            "", css_classes=["msfa-finders"], stylesheets=[stylesheet()], margin=(2, 8, 0, 8),
            sizing_mode="stretch_width",
        )  # fmt: skip
        self._caption = caption()
        self._notice = pn.pane.HTML(
            notice("No positions", *REMEDY), sizing_mode="stretch_both", visible=False
        )
        self._bar = controls(self.plane_switch(), pn.layout.HSpacer(), colour_switch(self))
        self.follow()

    def _make_plane(self, key: str) -> Plane:
        frame = FRAMES[key]
        (x, y), (across, up) = SKY_COLUMNS[frame], _WORDS[frame]
        plane = self.new_plane(
            Axis(x, across, ACROSS, ACROSS), Axis(y, up, UP, UP), f"the sky, {key}"
        )
        for axis in (*plane.figure.xaxis, *plane.figure.yaxis):  # the grid carries the numbers
            axis.update(major_label_text_font_size="0px", major_tick_line_color=None)
        plane.figure.grid.visible = False
        plane.figure.select_one(HoverTool).tooltips = [("obsid", "@obsid"), ("shown as", "@group")]
        draw_sky(plane, frame, self.state.data.settings.latitude_min)
        return plane

    def star_row(self, star: Star) -> pd.Series:
        """Return the star's row with its places on the maps."""
        rows = star.epochs.loc[star.epochs["obsid"] == star.obsid]
        return rows.assign(**sky_places(rows)).iloc[0]

    def redraw(self) -> None:
        """Draw the map, or say what is missing."""
        placed = bool(self.state.verdicts.table[["ra", "dec"]].notna().all(axis=1).any())
        for part in (self._figures, self._bar, self._finders, self._caption):
            part.visible = placed
        self._notice.visible = not placed
        super().redraw()

    def count(self) -> None:
        """Count the stars that lie in the band that exclusions leave out."""
        table = self.state.verdicts.table
        ra, dec = (table[n].to_numpy(np.float64, na_value=np.nan) for n in ("ra", "dec"))
        latitude = np.abs(to_galactic(ra, dec)[1])
        placed, limit = np.isfinite(latitude), self.state.data.settings.latitude_min
        low = int((latitude[placed] <= limit).sum())
        have = counted(int(placed.sum()), "spectrum has", "spectra have")
        self._words = f"{have} a position, {low:,} at |b| ≤ {limit:g}°"

    def describe(self) -> None:
        """Write the links and the caption."""
        star = self.state.screen.star
        self._finders.object = finder_html(star)
        lines = [self._words, "" if star is None else place_sentence(star.row)]
        circles = " ".join(place[2].provenance + "." for place in CLOUD_CIRCLES.values())
        self._caption.object = caption_html(
            lines, f"East is left. {CMD_LATITUDE_MIN.provenance}. {circles}"
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._figures, self._finders, self._caption, self._notice,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
