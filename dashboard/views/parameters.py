"""Stellar labels: Teff–log g with the Kiel band, Teff–[Fe/H], and the outliers (paper §V.3.1)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import Span

from dashboard.state import VettingState
from dashboard.theme import CLASS_COLOURS, Palette, stylesheet
from dashboard.views.linked import (
    LinkedView,
    caption,
    caption_html,
    colour_switch,
    controls,
    notice,
    once,
    quiet_button,
)
from dashboard.views.scatter import GROUPINGS, Axis, Groups
from dashboard.views.scatterplot import Plane, number
from msfa_core.constants import FEH_OUTLIER, KIEL_BAND, LOGG_OUTLIER
from msfa_core.slam.labels import LabelOutlier, kiel_band, label_outliers

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
BAND_TEFF: Final = np.geomspace(5_000.0, 40_000.0, 80)  # K, where the band is drawn
KIEL, METALS = "Teff–log g", "Teff–[Fe/H]"  # keys of the planes
LOGG_RANGE: Final = (3.0, 5.0)
FEH_RANGE: Final = (-2.5, 0.5)
STEP: Final = 0.05  # dex, of the sliders
LEGEND: Final = {  # short enough for a legend in one row
    LabelOutlier.NONE: "within",
    LabelOutlier.GRAVITY: "log g",
    LabelOutlier.METALS: "[Fe/H]",
    LabelOutlier.GRAVITY_AND_METALS: "both",
    LabelOutlier.OUTSIDE_BAND: "off band",
    LabelOutlier.UNLABELLED: "no labels",
}
OUTLIER_COLOURS: Final = {  # Okabe–Ito
    LabelOutlier.NONE: CLASS_COLOURS["BHB"],
    LabelOutlier.GRAVITY: "#E69F00",
    LabelOutlier.METALS: "#009E73",
    LabelOutlier.GRAVITY_AND_METALS: "#D55E00",
    LabelOutlier.OUTSIDE_BAND: "#CC79A7",
}
REMEDY: Final = (
    "This survey has no Teff, log g or [Fe/H]: they come from a catalogue of labels, joined by "
    "obsid or file name.",
    "Add them with `msfa ingest SURVEY PATH --catalogue FILE` (columns teff, logg, feh, as in the "
    "LAMOST LRS_stellar catalogue), then `msfa run SURVEY --steps label`.",
)


def has_labels(table: pd.DataFrame) -> bool:
    """Tell whether any star has a label that can be drawn."""
    return bool((table["teff"].notna() & (table["logg"].notna() | table["feh"].notna())).any())


def outlier_groups(reasons: pd.Categorical, colours: Palette) -> Groups:
    """Colour the stars by the reason that sets them aside."""
    short = reasons.rename_categories({str(reason): word for reason, word in LEGEND.items()})
    colour = {LEGEND[reason]: colour for reason, colour in OUTLIER_COLOURS.items()}
    unknown = LEGEND[LabelOutlier.UNLABELLED]
    return Groups.of(pd.Series(short), colour | {unknown: colours.cloud}, unknown)


def counts_sentence(reasons: pd.Categorical) -> str:
    """Return how many stars each limit sets aside, in words."""
    count = pd.Series(reasons).value_counts()
    labelled = int(count.sum() - count[str(LabelOutlier.UNLABELLED)])
    both = int(count[str(LabelOutlier.GRAVITY_AND_METALS)])
    heavy = int(count[str(LabelOutlier.GRAVITY)]) + both
    rich = int(count[str(LabelOutlier.METALS)]) + both
    band = int(count[str(LabelOutlier.OUTSIDE_BAND)])
    return (
        f"{heavy:,} high log g, {rich:,} high [Fe/H] ({both:,} both), {band:,} off the band, "
        f"of {labelled:,} with labels"
    )


def star_sentence(row: pd.Series, logg_limit: float, feh_limit: float) -> str:
    """Return the labels of this star and what they say against a BHB star."""
    words = []
    for name, text, digits in (("teff", "Teff", 0), ("logg", "log g", 2), ("feh", "[Fe/H]", 2)):
        value, error = number(row, name), number(row, f"{name}_err")
        if np.isfinite(value):
            spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
            words.append(f"{text} {value:.{digits}f}{spread}".replace("-", "−"))
    if not words:
        return "this star has no labels"
    values = ([number(row, name)] for name in ("teff", "logg", "feh"))
    reason = label_outliers(*values, logg_limit=logg_limit, feh_limit=feh_limit)[0]
    return f"this star: {reason} · {', '.join(words)}"


def draw_kiel_band(plane: Plane) -> None:
    """Draw the band of BHB stars (Culpan et al. 2024) on a Teff–log g plane."""
    lower, upper = kiel_band(BAND_TEFF)
    plane.add_outline([[*BAND_TEFF, *BAND_TEFF[::-1]]], [[*lower, *upper[::-1]]])


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

    colour = param.Selector(
        default="outlier", objects=["outlier", *GROUPINGS], doc="What colours mean"
    )
    logg_limit = param.Number(default=float(LOGG_OUTLIER), bounds=LOGG_RANGE, step=STEP)
    feh_limit = param.Number(default=float(FEH_OUTLIER), bounds=FEH_RANGE, step=STEP)

    def __init__(self, state: VettingState, **params: Any) -> None:
        super().__init__(state, **params)
        settings = self.state.data.settings
        self.logg_limit = min(max(settings.logg_outlier, LOGG_RANGE[0]), LOGG_RANGE[1])
        self.feh_limit = min(max(settings.feh_outlier, FEH_RANGE[0]), FEH_RANGE[1])
        self._sentence = ""
        self._limits: dict[str, Span] = {}
        self.offer({KIEL: self._make_kiel_plane, METALS: self._make_metal_plane})
        self._figures = self.figure_place()
        self._caption = caption()
        self._sliders = self._limit_controls()
        self._bar = controls(self.plane_switch(), pn.layout.HSpacer(), colour_switch(self))
        self._notice = pn.pane.HTML(
            notice("No stellar labels", *REMEDY), sizing_mode="stretch_both", visible=False
        )
        self.follow()
        self.param.watch(lambda _: self._move_limits(), ["logg_limit", "feh_limit"])

    def _make_kiel_plane(self) -> Plane:
        plane = self.new_plane(TEFF, LOGG, KIEL)
        draw_kiel_band(plane)
        self._limits["logg_limit"] = draw_limit(plane, self.logg_limit)
        return plane

    def _make_metal_plane(self) -> Plane:
        plane = self.new_plane(TEFF, FEH, METALS)
        self._limits["feh_limit"] = draw_limit(plane, self.feh_limit)
        return plane

    def _limit_controls(self) -> pn.Row:
        sliders = [
            pn.widgets.FloatSlider.from_param(
                self.param[name], label=label, margin=(0, 6), sizing_mode="stretch_width",
                min_width=80, align="center", css_classes=["msfa-slider"],
                stylesheets=[stylesheet()],
            )
            for name, label in (("logg_limit", "log g limit"), ("feh_limit", "[Fe/H] limit"))
        ]  # fmt: skip
        button = quiet_button(
            "queue outliers", self.queue_outliers,
            "Limit the queue to the stars beyond these limits", "queue-outliers",
        )  # fmt: skip
        button.align = "center"
        return pn.Row(*sliders, button, sizing_mode="stretch_width", height=38, margin=0)

    @property
    def reasons(self) -> pd.Categorical:
        """Why each star of the table is an outlier, at the limits of the sliders."""
        key = (self.state.table, self.logg_limit, self.feh_limit)
        return once(self.state, "outliers", key, self._find_reasons)

    def _find_reasons(self) -> pd.Categorical:
        values = (
            self.state.table[name].to_numpy(dtype=float, na_value=np.nan)
            for name in ("teff", "logg", "feh")
        )
        return label_outliers(*values, logg_limit=self.logg_limit, feh_limit=self.feh_limit)

    def groups(self) -> Groups:
        """Return the colour of every star; blind review hides classes and verdicts only."""
        if self.colour != "outlier":
            return super().groups()
        return outlier_groups(self.reasons, self.colours)

    def queue_outliers(self) -> None:
        """Limit the queue to the stars that the limits set aside."""
        reasons = pd.Series(self.reasons)
        kept = {str(LabelOutlier.NONE), str(LabelOutlier.UNLABELLED)}
        rows = ~reasons.isin(kept).to_numpy()
        obsids = self.state.table["obsid"].to_numpy(dtype=np.int64)[rows]
        label = (
            f"label outliers: log g > {self.logg_limit:.2f}, [Fe/H] > {self.feh_limit:.2f} "
            "or outside the Kiel band"
        )
        self.state.brush(obsids, label)

    def redraw(self) -> None:
        """Draw the planes, or say what is missing."""
        labelled = has_labels(self.state.table)
        for part in (self._figures, self._caption, self._sliders, self._bar):
            part.visible = labelled
        self._notice.visible = not labelled
        super().redraw()

    def count(self) -> None:
        """Count the outliers by reason."""
        self._sentence = counts_sentence(self.reasons)

    def _move_limits(self) -> None:
        for name, limit in self._limits.items():
            limit.location = getattr(self, name)
        self.redraw()

    def describe(self) -> None:
        """Write the caption."""
        star = self.state.star
        lines = [
            self._sentence,
            "" if star is None else star_sentence(star.row, self.logg_limit, self.feh_limit),
            self.outside_words(),
        ]
        sources = (
            f"log g limit: {LOGG_OUTLIER.provenance}; [Fe/H] limit: {FEH_OUTLIER.provenance}; "
            f"band: {KIEL_BAND[0][0].provenance}"
        )
        self._caption.object = caption_html(lines, f"{sources}.")

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._figures, self._sliders, self._caption, self._notice,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
