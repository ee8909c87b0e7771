"""Ca II K against Hδ, colour or Teff: metal-poor BHB stars and Population I stars part here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import GlyphRenderer

from dashboard.planes.axis import Axis
from dashboard.planes.cells import number, sigma_words
from dashboard.planes.checks import CheckView
from dashboard.planes.guides import draw_curves, draw_dots, draw_words, explain
from dashboard.planes.linked import colour_switch, controls, quiet_button
from dashboard.planes.plane import Plane
from dashboard.state import Session
from dashboard.views.cmd import COLOUR
from dashboard.views.cmd import REMEDY as NO_GAIA
from dashboard.views.d02_fm import line_axes
from dashboard.views.parameters import REMEDY as NO_LABELS
from dashboard.views.parameters import TEFF
from msfa_core.balmer.locus import (
    BHB_FEH_MAX,
    Locus,
    above_dividing_line,
    calcium_loci,
    dividing_line,
    dividing_line_errors,
)
from msfa_core.columns import numbers
from msfa_core.spine.witnesses import calcium_teff_max
from msfa_core.typing import FloatArray

KP: Final = Axis("kp", "KP (Ca II K) [Å]", (-1.0, 7.0), (-0.4, 6.2), "kp_err")
DRAWN_FEH: Final = (-3.0, -1.5, BHB_FEH_MAX)
DRAWN_LOGG: Final = (3.0, 3.5, 4.3)
MARKED_TEFF: Final = (8000.0, 9000.0, 10_000.0)  # K, dots on the curves
NO_INDEX: Final = (
    "No Ca II K index yet",
    "KP is measured with the Balmer lines: `msfa run SURVEY --steps measure`. It needs the "
    "spectrum from 3904 to 4021 Å.",
)
SOURCE: Final = (
    "KP as defined by Beers et al. (1999). Curves: the shipped model grid, measured as stars are "
    "(data/README.md); BHB stars in the middle of the Kiel band of Culpan et al. (2024), "
    "7,500–11,500 K."
)


@dataclass(frozen=True, slots=True)
class Abscissa:
    """What KP is drawn against.

    Attributes
    ----------
    axis : Axis
    remedy : tuple of str
        Title and sentences where its column is missing.
    caution : str
        What to mind when reading the plane; ``hottest`` stands for where Ca II K ends to tell.
    """

    axis: Axis
    remedy: tuple[str, ...]
    caution: str


ABSCISSAE: Final = {
    "Hδ": Abscissa(
        replace(line_axes("hdelta")[0], limits=(10.0, 40.0), always=(14.0, 37.0)),
        NO_INDEX,
        "dotted, hotter than {hottest:,.0f} K: below the line at any [Fe/H], see BP−RP",
    ),
    "BP−RP": Abscissa(
        replace(COLOUR, limits=(-0.35, 0.65), always=(-0.2, 0.5)),
        ("No Gaia colours", "No star of this survey has a colour of Gaia.", NO_GAIA[1]),
        "BP−RP as observed: reddening moves a star right, to the BHB side",
    ),
    "Teff": Abscissa(
        replace(TEFF, limits=(6_500.0, 13_000.0), always=(7_300.0, 11_500.0)),
        ("No Teff", *NO_LABELS),
        "above 10,000 K KP no longer tells them apart",
    ),
}


def height(table: pd.DataFrame, column: str) -> FloatArray:
    """(n,) how far stars lie above the dividing line [Å]; NaN where it says nothing."""
    return above_dividing_line(numbers(table, "kp"), numbers(table, column), column)


def sides_sentence(above: FloatArray) -> str:
    """Return how many stars lie on either side of the dividing line."""
    n = int(np.isfinite(above).sum())
    rich = int((above > 0).sum())
    return f"BHB side {n - rich:,}, Population I side {rich:,}, beyond the line {len(above) - n:,}"


def star_sentence(row: pd.Series, axis: Axis, blind: bool = False) -> str:
    """Return KP of this star and its side of the dividing line; blind, no side."""
    kp, error, x = number(row, "kp"), number(row, "kp_err"), number(row, axis.column)
    if not np.isfinite(kp):
        return "this star has no KP (Ca II K or its side bands are not covered)"
    spread = f" ± {error:.2f}" if np.isfinite(error) else ""
    words = f"this star: KP {kp:.2f}{spread} Å".replace("-", "−")
    if not np.isfinite(x):
        return f"{words}; no {axis.label.split(' [')[0]}"
    if blind:
        return words
    above = float(above_dividing_line([kp], [x], axis.column)[0])
    if not np.isfinite(above):
        return f"{words}, beyond the ends of the line"
    x_err = number(row, axis.error) if axis.error else np.nan
    of_height = dividing_line_errors([error], [x], [x_err], axis.column)
    sigma = sigma_words(above, float(of_height[0]))
    side = "above the line: Population I side" if above > 0 else "below the line: BHB side"
    return f"{words}, {abs(above):.2f} Å{sigma} {side}"


def draw_loci(plane: Plane) -> None:
    """Draw the loci of model stars and the line between them."""
    column, colours = plane.x.column, plane.colours
    bhb = [locus for locus in calcium_loci() if locus.sequence == "bhb" and locus.feh in DRAWN_FEH]
    solar = [
        locus
        for locus in calcium_loci()
        if locus.sequence == "pop1" and locus.logg[0] in DRAWN_LOGG
    ]
    models = "BHB: [Fe/H] −0.8, −1.5, −3", "Pop. I: log g 3.0, 3.5, 4.3"
    drawn = [
        _draw_sequence(plane, loci, colour)
        for loci, colour in ((bhb, colours.text), (solar, colours.model))
    ]
    line = draw_curves(plane, [dividing_line(column)], colours.accent, "dashed", 2.0)
    _name(plane, bhb, solar)
    explain(plane, models[1], [drawn[1]])
    explain(plane, "midway", [line])
    explain(plane, models[0], [drawn[0]])


def _draw_sequence(plane: Plane, loci: Sequence[Locus], colour: str) -> GlyphRenderer:
    """Draw curves of one kind, their hot parts dotted, with a dot at each marked temperature."""
    column = plane.x.column
    cool, hot = [], []
    for locus in loci:
        x, kp = locus.along(column), locus.kp
        last = int(np.argmax(x)) + 1 if column == "d02_hdelta" else len(x)
        cool.append((x[:last], kp[:last]))
        if last < len(x) and (locus.sequence == "pop1" or locus.feh == BHB_FEH_MAX):
            hot.append((x[last - 1 :], kp[last - 1 :]))  # other BHB stars lie at KP 0
    if hot:
        draw_curves(plane, hot, colour, "dotted", 1.8)
    renderer = draw_curves(plane, cool, colour)
    marked = [np.isin(locus.teff, MARKED_TEFF) for locus in loci]
    x, kp = (
        np.concatenate([values(locus)[rows] for locus, rows in zip(loci, marked, strict=True)])
        for values in (lambda locus: locus.along(column), lambda locus: locus.kp)
    )
    draw_dots(plane, x, kp, colour)
    return renderer


def _name(plane: Plane, bhb: Sequence[Locus], solar: Sequence[Locus]) -> None:
    """Write [Fe/H] or log g at the cool ends of curves, and temperatures beside one of them."""
    column = plane.x.column
    to_right = column != "d02_hdelta"  # the cool end lies right of the curve
    named = [(locus, f"{locus.feh:g}".replace("-", "−")) for locus in bhb]
    named += [
        (locus, f"{locus.logg[0]:.1f}")
        for locus in solar
        if not to_right or locus.logg[0] != DRAWN_LOGG[1]  # it runs between its neighbours
    ]
    draw_words(
        plane,
        [locus.along(column)[0] for locus, _ in named],
        [locus.kp[0] for locus, _ in named],
        [words for _, words in named],
        plane.colours.text,
        x_offset=4 if to_right else -4,
        text_align="left" if to_right else "right",
        text_baseline="middle",
    )
    if column != "teff":
        last = solar[-1]
        marked = np.isin(last.teff, MARKED_TEFF)
        words = [f"{teff:,.0f} K" for teff in last.teff[marked]]
        draw_words(
            plane, last.along(column)[marked], last.kp[marked], words, plane.colours.muted,
            x_offset=5, y_offset=-3, text_baseline="bottom",
        )  # fmt: skip


class CalciumView(CheckView):
    """The K–Hδ plane and its kin, with the loci of model stars."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self.offer({key: partial(self._make_plane, key) for key in ABSCISSAE})
        self._figures = self.figure_place()
        button = quiet_button(
            "queue BHB side", self.queue_bhb_side,
            "Limit the queue to the stars below the dividing line", "queue-bhb-side",
        )  # fmt: skip
        self.hide_while_blind(button)
        self._bar = controls(self.plane_switch(), button, pn.layout.HSpacer(), colour_switch(self))
        self.follow()

    def _make_plane(self, key: str) -> Plane:
        abscissa = ABSCISSAE[key]
        plane = self.new_plane(abscissa.axis, KP, f"Ca II K–{key}")
        draw_loci(plane)
        return plane

    def remedies(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return what to do about a missing column."""
        abscissa = ABSCISSAE[key]
        return {"kp": NO_INDEX, abscissa.axis.column: abscissa.remedy}

    def queue_bhb_side(self) -> None:
        """Limit the queue to the stars below the dividing line of the visible plane."""
        if self.missing(self.shown):
            self.state.status.say("No Ca II K plane, so no side to choose from.")
            return
        rows = height(self.state.verdicts.table, ABSCISSAE[self.shown].axis.column) <= 0
        obsids = self.state.verdicts.table["obsid"].to_numpy(dtype=np.int64)[rows]
        self.state.queue.brush(obsids, f"below the dividing line of Ca II K–{self.shown}")

    def count(self) -> None:
        """Count the stars on either side."""
        self._words = sides_sentence(
            height(self.state.verdicts.table, ABSCISSAE[self.shown].axis.column)
        )

    def lines(self) -> list[str]:
        """Return the counts, this star, and what to mind."""
        star, abscissa = self.state.screen.star, ABSCISSAE[self.shown]
        return [
            "" if self.blind else self._words,
            "" if star is None else star_sentence(star.row, abscissa.axis, self.blind),
            abscissa.caution.format(hottest=calcium_teff_max()),
            self.outside_words(),
        ]

    def source(self) -> str:
        """Return where the curves come from."""
        return SOURCE

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._figures, self._notice, self._caption,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
