"""The template that fits best, over the spectrum, and what is left of the spectrum without it."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, PrintfTickFormatter, Range1d, Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from dashboard.planes.words import Words
from dashboard.state import Matched, Session, Solution, Star
from dashboard.theme import Palette, new_figure, save_with, stylesheet, tick_both_sides
from dashboard.views.spectrum_data import GRID, STAR_Z, empty
from msfa_core.constants import RV_FLOOR, SPEED_OF_LIGHT
from msfa_core.flags import MatchFlag
from msfa_core.spectra.display import flux_unit

STRIP_HEIGHT: Final = 108  # px, with the wavelengths of both figures below it
AXIS_WIDTH: Final = 52  # px: spectrum and strip begin at the same wavelength
LEAST_RESIDUAL: Final = 0.05  # of the median flux: the strip never zooms in further
MOST: Final = 99.0  # percentile of the residuals that fits in
MARGIN: Final = 1.2
WAITING: Final = "matching with the templates …"


def shift_words(z: float, z_err: float) -> str:
    """Return a Doppler shift as a velocity (stars), its error total, or a redshift, with its error.

    ``z_err`` is that of the fit; velocities of repeat spectra scatter by ``RV_FLOOR`` beyond it.
    """
    if not np.isfinite(z):
        return "no shift"
    if abs(z) < STAR_Z:
        error = np.hypot(z_err * SPEED_OF_LIGHT, float(RV_FLOOR))
        value, unit, digits = z * SPEED_OF_LIGHT, " km/s", 0
    else:
        value, error, unit, digits = z, z_err, "", 4
    spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
    name = "RV" if unit else "z"
    return f"{name} {value:+.{digits}f}{spread}{unit}".replace("-", "−")


def kind_words(kind: str, subclass: str) -> str:
    """Return what a template is: its subclass, with the class before it unless it is a star."""
    return subclass if kind == "STAR" and subclass else f"{kind} {subclass}".strip()


def solution_words(solution: Solution) -> str:
    """Return a solution in one phrase: ``A1V 98 % RV +12 ± 3 km/s reduced χ² 1.21``."""
    sure = f" {solution.confidence:.0f} %" if np.isfinite(solution.confidence) else ""
    return (
        f"{kind_words(solution.kind, solution.subclass)}{sure} · "
        f"{shift_words(solution.z, solution.z_err)} · reduced χ² {solution.chi2:.2f}"
    )


def overlay_data(
    matched: Matched, rank: int, unit: float, z: float
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the model, and the residuals with their errors, as data sources hold them.

    Parameters
    ----------
    matched : Matched
    rank : int
        Of the solution.
    unit : float
        Flux that is drawn as 1.
    z : float
        Doppler shift that is taken out of the axis; 0 for the observed frame.
    """
    model = matched.solutions[rank].model
    known = np.isfinite(model)
    x = (matched.wavelength[known] / (1.0 + z)).astype(GRID)
    residual = (matched.flux[known] - model[known]) / unit
    error = matched.error[known] / unit
    over = {"x": x, "y": (model[known] / unit).astype(GRID)}
    rest = {"y": residual, "low": -error, "high": error}
    return over, {"x": x} | {name: values.astype(GRID) for name, values in rest.items()}


class TemplateOverlay:
    """The model over the spectrum, and a strip of residuals below it, updated in place.

    Parameters
    ----------
    state : Session
    plot : figure
        The spectrum; the strip shares its wavelengths.
    colours : Palette
    """

    def __init__(self, state: Session, plot: figure, colours: Palette) -> None:
        self.state = state
        self._chosen = (0, 0)  # obsid, and which of its solutions
        self.model = ColumnDataSource(empty("x", "y"))
        self.residual = ColumnDataSource(empty("x", "y", "low", "high"))
        plot.line("x", "y", source=self.model, color=colours.model, line_width=1.3)
        self.figure = self._build(plot, colours)
        save_with(plot, self.figure)
        self.choice = pn.widgets.Select(
            label="template solution", options={WAITING: 0}, value=0, margin=(0, 4),
            sizing_mode="stretch_width", stylesheets=[stylesheet()],
            css_classes=["msfa-select", "msfa-nolabel", "msfa-solutions"],
        )  # fmt: skip
        self._words = Words(
            "", margin=(0, 8), css_classes=["msfa-plot-caption"], stylesheets=[stylesheet()],
            sizing_mode="stretch_width",
        )  # fmt: skip
        self.strip = pn.Column(
            pn.Row(self.choice, self._words, sizing_mode="stretch_width", margin=0, height=26),
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_width", margin=0, height=STRIP_HEIGHT),
            sizing_mode="stretch_width", margin=0, visible=state.answers.with_template,
        )  # fmt: skip
        self._drawn: tuple[Star | None, bool] = (None, True)
        self.choice.param.watch(lambda event: self._choose(event.new), "value")
        self._plot = plot
        self._show(state.answers.with_template)
        state.watch(lambda event: self._show(event.new), "answers.with_template")

    def _build(self, plot: figure, colours: Palette) -> figure:
        strip = new_figure(
            colours, tools="", toolbar_location=None, x_range=plot.x_range,
            y_range=Range1d(-LEAST_RESIDUAL, LEAST_RESIDUAL), y_axis_label="O−C",
            height=STRIP_HEIGHT, sizing_mode="stretch_width",
            min_border_left=AXIS_WIDTH, min_border_right=31,
        )  # fmt: skip
        strip.xaxis[0].axis_label = plot.xaxis[0].axis_label
        strip.yaxis.formatter = PrintfTickFormatter(format="%+.2f")
        tick_both_sides(strip.yaxis[0])
        strip.yaxis.major_label_text_font_size = "9px"
        strip.varea(
            "x", "low", "high", source=self.residual, fill_color=colours.band, fill_alpha=0.55
        )
        strip.line("x", "y", source=self.residual, color=colours.residual, line_width=0.8)
        strip.add_layout(Span(location=0.0, dimension="width", line_color=colours.model))
        return strip

    def _show(self, is_shown: bool) -> None:
        """Show the strip below the spectrum; its wavelengths serve both."""
        self.strip.visible = is_shown
        if self._plot.xaxis[0].visible is is_shown:
            self._plot.xaxis[0].visible = not is_shown

    @property
    def rank(self) -> int:
        """Which solution of the star is drawn: the best one until another is chosen."""
        star, (chosen_of, rank) = self._drawn[0], self._chosen
        return rank if star is not None and star.obsid == chosen_of else 0

    # --- drawing -------------------------------------------------------------------------
    def draw(self, star: Star | None, rest: bool) -> None:
        """Draw the solution of the star on screen; nothing while there is no answer."""
        self._drawn = star, rest
        matched = self._answer(star)
        self._offer(matched)
        if star is None or matched is None or self.rank >= len(matched.solutions):
            if len(self.model.data["x"]):
                self.model.data, self.residual.data = (
                    empty("x", "y"),
                    empty("x", "y", "low", "high"),
                )
            self.figure.y_range.update(start=-LEAST_RESIDUAL, end=LEAST_RESIDUAL)
            return
        z = star.spectrum.z if rest else 0.0
        over, below = overlay_data(matched, self.rank, flux_unit(star.spectrum), z)
        self.model.data, self.residual.data = over, below
        found = np.abs(below["y"][np.isfinite(below["y"])])
        most = MARGIN * float(np.percentile(found, MOST)) if found.size else 0.0
        limit = max(LEAST_RESIDUAL, most)
        self.figure.y_range.update(start=-limit, end=limit)

    def _answer(self, star: Star | None) -> Matched | None:
        matched = self.state.answers.matched
        return matched if star is not None and matched and matched.obsid == star.obsid else None

    def _offer(self, matched: Matched | None) -> None:
        """Offer the solutions, best first."""
        if not self.state.answers.with_template:
            return
        if matched is None:
            is_there = self._drawn[0] is not None
            options, words = {WAITING if is_there else "no star on screen": 0}, ""
        elif not matched.solutions:
            options, words = {"no template fits": 0}, "; ".join(MatchFlag.sentences(matched.flags))
        else:
            options = {
                f"{k + 1}. {solution_words(one)}": k for k, one in enumerate(matched.solutions)
            }
            words = "; ".join(MatchFlag.sentences(matched.flags))
        if options != self.choice.options:
            self.choice.param.update(options=options, value=min(self.rank, len(options) - 1))
        title = escape(words, quote=True)
        self._words.object = f"<div title='{title}'>{escape(words)}</div>" if words else ""

    def step(self, by: int) -> None:
        """Show the template; when it is shown already, go to its next solution, or the one before.

        Parameters
        ----------
        by : int
            1 or −1.
        """
        matched = self._answer(self._drawn[0])
        if self.state.verdicts.blind:
            self.state.status.say("The template is hidden while you review blind.")
        elif not self.state.answers.with_template:
            self.state.answers.with_template = True
        elif matched is not None and matched.solutions:
            self.choice.value = (self.rank + by) % len(matched.solutions)

    def _choose(self, rank: int) -> None:
        star = self._drawn[0]
        if star is not None and rank != self.rank:
            self._chosen = star.obsid, rank
            self.draw(*self._drawn)
