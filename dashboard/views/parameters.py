"""Stellar labels: Teff–log g with the Kiel band, Teff–[Fe/H], and the outliers (paper §V.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import Span
from numpy.typing import NDArray

from dashboard.planes.axis import GROUPINGS, Axis, Groups
from dashboard.planes.cells import number
from dashboard.planes.guides import draw_curves, explain
from dashboard.planes.linked import (
    LinkedView,
    caption,
    caption_html,
    colour_switch,
    controls,
    notice,
    once,
    quiet_button,
)
from dashboard.planes.plane import Plane
from dashboard.state import Session
from dashboard.state.labels import ANY_REASON
from dashboard.theme import CLASS_COLOURS, Palette, stylesheet
from msfa_core.constants import FEH_OUTLIER, KIEL_BAND, LOGG_OUTLIER
from msfa_core.flags import LabelFlag
from msfa_core.photometry.zahb import EVOLUTION_MOST, zahb_logg
from msfa_core.rules import kiel_band
from msfa_core.slam.reasons import REASONS, first_reason, has_reason
from msfa_core.survey.figures.planes import BAND_TEFF, ZAHB_TEFF

TEFF: Final = Axis(
    "teff", "Teff [K]", limits=(5_500.0, 16_000.0), always=(7_000.0, 12_000.0),
    error="teff_err", flipped=True, digits=0,
)  # fmt: skip
LOGG: Final = Axis(
    "logg", "log g [dex(cm/s²)]", limits=(1.5, 6.5), always=(2.5, 5.0),
    error="logg_err", flipped=True,
)  # fmt: skip
FEH: Final = Axis(
    "feh", "[Fe/H] [dex]", limits=(-4.5, 1.0), always=(-3.0, 0.5), error="feh_err"
)  # fmt: skip
KIEL, METALS = "Teff–log g", "Teff–[Fe/H]"  # keys of the planes
WITHIN, UNLABELLED = "within", "no labels"
SHORT: Final = {  # words of the legend
    LabelFlag.HIGH_LOGG: "log g",
    LabelFlag.HIGH_FEH: "[Fe/H]",
    LabelFlag.OUTSIDE_KIEL_BAND: "off band",
    LabelFlag.DISAGREES_WITH_CLASS: "class",
    LabelFlag.DISAGREES_WITH_PHOTOMETRY: "BP−RP",
    LabelFlag.POOR_CHI2: "χ²",
    LabelFlag.FOLDED: "two Teff",
    LabelFlag.OUTSIDE_HULL: "off hull",
    LabelFlag.AT_EDGE: "at edge",
    LabelFlag.NOT_CONVERGED: "no fit",
}
REASON_COLOURS: Final = {  # Okabe & Ito, then Tol, and a violet: safe for colour-blind eyes
    LabelFlag.HIGH_LOGG: "#E69F00",
    LabelFlag.HIGH_FEH: "#009E73",
    LabelFlag.OUTSIDE_KIEL_BAND: "#CC79A7",
    LabelFlag.DISAGREES_WITH_CLASS: "#D55E00",
    LabelFlag.DISAGREES_WITH_PHOTOMETRY: "#999933",
    LabelFlag.POOR_CHI2: "#882255",
    LabelFlag.FOLDED: "#332288",
    LabelFlag.OUTSIDE_HULL: "#56B4E9",
    LabelFlag.AT_EDGE: "#8C6BB1",
    LabelFlag.NOT_CONVERGED: "#7A7A7A",
}
REASON_COLOURS_DARK: Final = {  # of Tol too, for what would be lost in the dark
    LabelFlag.POOR_CHI2: "#FFAABB",
    LabelFlag.FOLDED: "#EEDD88",
}
NO_LABELS: Final = "this star has no labels"
REMEDY: Final = (
    "This survey has no Teff, log g or [Fe/H]: they are measured by SLAM, or come from a catalogue "
    "of labels, joined by obsid or file name.",
    "Measure them with `msfa run SURVEY --steps label`, or add them with `msfa ingest SURVEY PATH "
    "--catalogue FILE` (columns teff, logg, feh, as in the LAMOST LRS_stellar catalogue).",
)


def has_labels(table: pd.DataFrame) -> bool:
    """Tell whether any star has a label that can be drawn."""
    return bool((table["teff"].notna() & (table["logg"].notna() | table["feh"].notna())).any())


def are_unlabelled(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) True where a star has neither Teff and log g nor [Fe/H]."""
    known = (table["teff"].notna() & table["logg"].notna()) | table["feh"].notna()
    return ~known.to_numpy(dtype=bool)


def reason_colours(colours: Palette) -> dict[LabelFlag, str]:
    """Return the colour of every reason in a theme."""
    return REASON_COLOURS | (REASON_COLOURS_DARK if colours.is_dark else {})


def outlier_groups(
    flags: NDArray[np.int64], unlabelled: NDArray[np.bool_], colours: Palette
) -> Groups:
    """Colour the stars by the first reason that sets them aside.

    Parameters
    ----------
    flags : (n,) int array
    unlabelled : (n,) bool array
    colours : Palette
    """
    reason = reason_colours(colours)
    colour = {WITHIN: CLASS_COLOURS["BHB"], **{SHORT[r]: reason[r] for r in REASONS}}
    colour |= {UNLABELLED: colours.cloud}
    codes = first_reason(flags) + 1
    codes[unlabelled] = len(colour) - 1
    return Groups(pd.Categorical.from_codes(codes, categories=list(colour)), colour)


def legend_html(
    counts: Mapping[LabelFlag, int], n_within: int, state: Session, colours: Palette
) -> str:
    """Return the reasons that occur, each with its colour and how many stars have it."""
    marks = [(WITHIN, CLASS_COLOURS["BHB"], n_within, "no reason to set it aside")]
    of_reason = reason_colours(colours)
    marks += [
        (SHORT[reason], of_reason[reason], n, state.labels.reason_sentence(reason))
        for reason, n in counts.items()
        if n
    ]
    return " &ensp;".join(
        f"<span title='{escape(sentence, quote=True)}'><b style='color:{colour}'>●</b>&nbsp;"
        f"{escape(word)}&nbsp;{n:,}</span>"
        for word, colour, n, sentence in marks
    )


def counts_sentence(flags: NDArray[np.int64], unlabelled: NDArray[np.bool_]) -> str:
    """Return how many stars their labels set aside, and for how many reasons."""
    held = np.stack([has_reason(flags, reason) for reason in REASONS])[:, ~unlabelled]
    several, total = int((held.sum(axis=0) > 1).sum()), held.shape[1]
    outliers = int(held.any(axis=0).sum())
    return (
        f"{outliers:,} of {total:,} with labels are set aside, {several:,} for several reasons "
        "(shown by the first)"
    )


def star_sentence(row: pd.Series, reasons: list[str]) -> str:
    """Return the labels of this star, and every reason against it."""
    words = values_sentence(row)
    told = "; ".join(reasons) or "within the limits"
    return words if words == NO_LABELS else f"{words} · {told}"


def values_sentence(row: pd.Series) -> str:
    """Return the labels of this star."""
    words = []
    for name, text, digits, unit in (
        ("teff", "Teff", 0, " K"), ("logg", "log g", 2, ""), ("feh", "[Fe/H]", 2, ""),
    ):  # fmt: skip
        value, error = number(row, name), number(row, f"{name}_err")
        if np.isfinite(value):
            spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
            words.append(f"{text} {value:.{digits}f}{spread}{unit}".replace("-", "−"))
    return f"this star: {', '.join(words)}" if words else NO_LABELS


def origin_sentence(row: pd.Series) -> str:
    """Return where the labels of this star come from and how well they fit."""
    flags = number(row, "label_flags")
    raised = LabelFlag(int(flags)) if np.isfinite(flags) else LabelFlag(0)
    notes = LabelFlag.sentences(raised & (LabelFlag.FROM_CATALOGUE | LabelFlag.MISSING))
    chi2 = number(row, "label_chi2")
    if np.isfinite(chi2):
        notes.append(f"reduced χ² {chi2:.2f}")
    return "; ".join(notes)


def draw_kiel_band(plane: Plane) -> None:
    """Draw the band of BHB stars (Culpan et al. 2024) on a Teff–log g plane."""
    lower, upper = kiel_band(BAND_TEFF)
    plane.add_outline([[*BAND_TEFF, *BAND_TEFF[::-1]]], [[*lower, *upper[::-1]]])


def draw_zahb(plane: Plane) -> None:
    """Draw the zero-age horizontal branch and the most evolved stars of the population model."""
    zero_age = zahb_logg(ZAHB_TEFF)
    text = plane.colours.text
    line = draw_curves(plane, [(ZAHB_TEFF, zero_age)], text)
    evolved = draw_curves(plane, [(ZAHB_TEFF, zero_age - EVOLUTION_MOST)], text, "dotted", 1.4)
    explain(plane, "zero-age horizontal branch", [line])
    explain(plane, f"most evolved (−{EVOLUTION_MOST:g} dex)", [evolved])


def draw_limit(plane: Plane, value: float) -> Span:
    """Draw a limit across a plane; the span moves with its slider."""
    limit = Span(
        location=value, dimension="width", line_color=plane.colours.bad, line_width=1.5,
        line_dash="dotted", level="overlay",
    )  # fmt: skip
    plane.figure.add_layout(limit)
    return limit


class ParametersView(LinkedView):
    """The labels of all stars, limits that can be moved, and the outliers behind them."""

    colour: param.Selector[str] = param.Selector(
        default="outlier", objects=["outlier", *GROUPINGS], doc="What colours mean"
    )

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self._sentence = ""
        self._limits: dict[str, Span] = {}
        self.offer({KIEL: self._make_kiel_plane, METALS: self._make_metal_plane})
        self._figures = self.figure_place()
        self._caption = caption()
        self._legend = pn.pane.HTML(
            "", css_classes=["msfa-reasons"], stylesheets=[stylesheet()], margin=(2, 8, 0, 8),
            sizing_mode="stretch_width",
        )  # fmt: skip
        self._sliders = self._limit_controls()
        self._moving = pn.widgets.Toggle(
            label="limits", margin=(0, 2), css_classes=["msfa-chips"], stylesheets=[stylesheet()],
        )  # fmt: skip
        button = quiet_button(
            "queue outliers", self.queue_outliers,
            "Limit the queue to the stars that any reason sets aside", "queue-outliers",
        )  # fmt: skip
        self.hide_while_blind(self._moving, button)
        self._bar = controls(
            self.plane_switch(), self._moving, button, pn.layout.HSpacer(), colour_switch(self)
        )
        self._moving.param.watch(lambda *_: self._show_parts(), "value")
        self._notice = pn.pane.HTML(
            notice("No stellar labels", *REMEDY), sizing_mode="stretch_both", visible=False
        )
        self.follow()
        state.watch(lambda *_: self._move_limits(), "labels.logg_limit", "labels.feh_limit")

    def _make_kiel_plane(self) -> Plane:
        plane = self.new_plane(TEFF, LOGG, KIEL)
        draw_kiel_band(plane)
        draw_zahb(plane)
        self._limits["logg_limit"] = draw_limit(plane, self.state.labels.logg_limit)
        return plane

    def _make_metal_plane(self) -> Plane:
        plane = self.new_plane(TEFF, FEH, METALS)
        self._limits["feh_limit"] = draw_limit(plane, self.state.labels.feh_limit)
        return plane

    def _limit_controls(self) -> pn.Row:
        sliders = [
            pn.widgets.FloatSlider.from_param(
                self.state.labels.param[name], label=label, format="0.00", margin=(0, 6),
                sizing_mode="stretch_width",
                min_width=80, align="center", css_classes=["msfa-slider"],
                stylesheets=[stylesheet()],
            )
            for name, label in (("logg_limit", "log g limit"), ("feh_limit", "[Fe/H] limit"))
        ]  # fmt: skip
        return pn.Row(*sliders, sizing_mode="stretch_width", height=38, margin=0)

    @property
    def unlabelled(self) -> NDArray[np.bool_]:
        """(n,) True where a star has no labels."""
        table = self.state.verdicts.table
        return once(self.state, "unlabelled", (table,), lambda: are_unlabelled(table))

    def groups(self) -> Groups:
        """Return the colour of every star; blind, none: reasons tell of classes, too."""
        if self.colour != "outlier" or self.blind:
            return super().groups()
        return outlier_groups(self.state.labels.flags, self.unlabelled, self.colours)

    def queue_outliers(self) -> None:
        """Limit the queue to the stars that the labels set aside; the queue menu lifts it."""
        self.state.queue.reason = ANY_REASON
        self.state.screen.first()

    def redraw(self) -> None:
        """Draw the planes, or say what is missing."""
        self._show_parts()
        super().redraw()

    def _show_parts(self) -> None:
        labelled, blind = has_labels(self.state.verdicts.table), self.blind
        for part in (self._figures, self._caption, self._bar):
            part.visible = labelled
        self._sliders.visible = labelled and self._moving.value and not blind
        self._legend.visible = labelled and self.colour == "outlier" and not blind
        self._notice.visible = not labelled

    def _draw_stale(self) -> None:
        super()._draw_stale()  # the reasons have a legend of their own, with counts
        own = self.colour == "outlier" and not self.blind
        self.plane(self.shown).show_legend(not own)

    def count(self) -> None:
        """Count the outliers by reason."""
        flags = self.state.labels.flags
        self._sentence = counts_sentence(flags, self.unlabelled)
        within = int((~has_reason(flags) & ~self.unlabelled).sum())
        words = legend_html(self.state.labels.reason_counts(), within, self.state, self.colours)
        self._legend.object = "" if self.blind else f"<div>{words}</div>"

    def _move_limits(self) -> None:
        for name, limit in self._limits.items():
            limit.location = getattr(self.state.labels, name)
        self.redraw()

    def describe(self) -> None:
        """Write the caption."""
        star = self.state.screen.star
        lines = ["" if self.blind else self._sentence]
        if star is not None:
            reasons = self.state.labels.reasons_of(star.obsid)
            told = values_sentence(star.row) if self.blind else star_sentence(star.row, reasons)
            origin = "" if self.blind else origin_sentence(star.row)
            lines.append(" · ".join(part for part in (told, origin) if part))
        lines.append(self.outside_words())
        sources = (
            f"log g limit: {LOGG_OUTLIER.provenance}; [Fe/H] limit: {FEH_OUTLIER.provenance}; "
            f"band: {KIEL_BAND[0][0].provenance}; horizontal branch: this project's population "
            "model, after Bertelli et al. (2008), a mixture of metallicities"
        )
        self._caption.object = caption_html(lines, f"{sources}.")

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            # what a figure writes as it enters the page lies behind it: it is not there before
            self._bar, self._figures, self._legend, self._sliders, self._caption, self._notice,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
