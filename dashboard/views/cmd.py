"""The Gaia colour–magnitude diagram with the BHB trapezoid (paper §V.3.2)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.state import Star, VettingState
from dashboard.theme import stylesheet
from dashboard.views.linked import (
    LinkedView,
    caption,
    caption_html,
    colour_switch,
    controls,
    notice,
)
from dashboard.views.scatter import Axis, BoolArray
from dashboard.views.scatterplot import Plane, number
from msfa_core.constants import CMD_BP_RP, PARALLAX_ERROR_MAX
from msfa_core.photometry.cmd import (
    describe_cmd_flags,
    has_good_parallax,
    in_trapezoid,
    trapezoid_vertices,
)

COLOUR: Final = Axis("bp_rp", "BP−RP [mag]", limits=(-0.8, 1.6), always=(-0.4, 0.8), digits=3)
MAGNITUDE: Final = Axis(
    "abs_mag_g", "M_G [mag]", limits=(-4.0, 13.5), always=(-2.0, 5.0),
    error="abs_mag_g_err", flipped=True,
)  # fmt: skip
MAGNITUDES_PER_RELATIVE_ERROR: Final = 5 / np.log(10)  # dM = 5/ln 10 · σ/ϖ
REMEDY: Final = (
    "This survey has no Gaia photometry with parallaxes: colours, magnitudes and parallaxes are "
    "joined from a local table, by `gaia_source_id`, `obsid` or position.",
    "Add it with `msfa run SURVEY --gaia FILE` (CSV, FITS, VOTable or ECSV with source_id or ra "
    "and dec, phot_g_mean_mag, bp_rp, parallax, parallax_over_error).",
)


def has_gaia(table: pd.DataFrame) -> bool:
    """Tell whether any star has a place in the diagram."""
    return bool((table["bp_rp"].notna() & table["abs_mag_g"].notna()).any())


def with_magnitude_error(row: pd.Series) -> pd.Series:
    """Return the row with the error of M_G that follows from the parallax, ``abs_mag_g_err``."""
    over_error = number(row, "parallax_over_error")
    error = MAGNITUDES_PER_RELATIVE_ERROR / over_error if over_error > 0 else np.nan
    return pd.concat([row.astype(object), pd.Series({"abs_mag_g_err": error}, dtype=object)])


def draw_trapezoid(plane: Plane) -> None:
    """Draw the trapezoid of Culpan et al. (2021) on a plane."""
    corners = trapezoid_vertices()
    plane.add_outline([corners[:, 0]], [corners[:, 1]])


def trapezoid_sentence(table: pd.DataFrame, good: BoolArray | None) -> str:
    """Return how many stars lie inside the trapezoid, of those with a place in the diagram."""
    colour, magnitude = (
        table[name].to_numpy(dtype=float, na_value=np.nan) for name in ("bp_rp", "abs_mag_g")
    )
    placed = np.isfinite(colour) & np.isfinite(magnitude)
    placed &= True if good is None else good
    inside = int((in_trapezoid(colour, magnitude) & placed).sum())
    which = "" if good is None else f" with σ/ϖ < {float(PARALLAX_ERROR_MAX):g}"
    return f"{inside:,} of {int(placed.sum()):,} stars{which} inside the trapezoid"


def star_sentence(row: pd.Series) -> str:
    """Return where this star lies, and what to doubt, in words."""
    colour, magnitude = number(row, "bp_rp"), number(row, "abs_mag_g")
    flags = number(row, "cmd_flags")
    caveats = describe_cmd_flags(int(flags)) if np.isfinite(flags) else []
    if not (np.isfinite(colour) and np.isfinite(magnitude)):
        return "this star has no place here: " + ("; ".join(caveats) or "no Gaia row joined")
    error = number(row, "abs_mag_g_err")
    spread = f" ± {error:.2f}" if np.isfinite(error) else ""
    where = "inside" if in_trapezoid([colour], [magnitude])[0] else "outside"
    doubts = f" · caution: {'; '.join(caveats)}" if caveats else ""
    return f"this star: BP−RP {colour:.3f}, M_G {magnitude:.2f}{spread}, {where}{doubts}"


class CmdView(LinkedView):
    """Where Gaia puts the stars; says what is missing when there is no Gaia table."""

    good_parallax_only = param.Boolean(default=True, doc="Draw stars with ϖ > 0, σ/ϖ < 0.2 only")

    def __init__(self, state: VettingState, **params: Any) -> None:
        super().__init__(state, **params)
        self._count = ""
        self.offer({"cmd": self._make_plane})
        self._caption = caption()
        self._figure = self.figure_place()
        self._notice = pn.pane.HTML(
            notice("No Gaia data", *REMEDY), sizing_mode="stretch_both", visible=False
        )
        self._switch = pn.widgets.Checkbox.from_param(
            self.param.good_parallax_only,
            label=f"only ϖ > 0 and σ/ϖ < {float(PARALLAX_ERROR_MAX):g}",
            width=190, margin=(0, 8), align="center", css_classes=["msfa-oneline"],
            stylesheets=[stylesheet()],
        )  # fmt: skip
        self._controls = controls(self._switch, pn.layout.HSpacer(), colour_switch(self))
        self.follow()
        self.param.watch(lambda _: self.redraw(), "good_parallax_only")

    def _make_plane(self) -> Plane:
        plane = self.new_plane(COLOUR, MAGNITUDE, "the CMD")
        draw_trapezoid(plane)
        return plane

    def keep(self) -> BoolArray | None:
        """Return which stars pass the parallax switch."""
        return has_good_parallax(self.state.table) if self.good_parallax_only else None

    def redraw(self) -> None:
        """Draw the diagram, or say what is missing."""
        placed = has_gaia(self.state.table)
        self._figure.visible = self._controls.visible = self._caption.visible = placed
        self._notice.visible = not placed
        super().redraw()

    def count(self) -> None:
        """Count the stars in the trapezoid."""
        self._count = trapezoid_sentence(self.state.table, self.keep())

    def star_row(self, star: Star) -> pd.Series:
        """Return the star's row with the error of M_G."""
        return with_magnitude_error(star.row)

    def describe(self) -> None:
        """Write the caption."""
        star = self.state.star
        lines = [
            self._count,
            "" if star is None else star_sentence(self.star_row(star)),
            self.outside_words(),
        ]
        source = f"{CMD_BP_RP[0].provenance}; no extinction, no parallax zero point."
        self._caption.object = caption_html(lines, source)

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._controls, self._figure, self._caption, self._notice,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
