"""The Gaia colour–magnitude diagram with the BHB trapezoid (paper §V.3.2)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import Arrow, ColumnDataSource, NormalHead

from dashboard.planes.axis import Axis, dataset_of, inside_polygon
from dashboard.planes.cells import counted, number
from dashboard.planes.changes import (
    Changes,
    Corners,
    change_sentence,
    corner_words,
    say_use,
    use_words,
)
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
from dashboard.theme import stylesheet
from msfa_core.constants import CMD_BP_RP, EXTINCTION_PER_EBV, PARALLAX_ERROR_MAX
from msfa_core.errors import CatalogueError
from msfa_core.flags import FUNNEL_EXCLUSIONS, CmdExclusion, CmdFlag
from msfa_core.photometry.cmd import (
    in_trapezoid,
    trapezoid_vertices,
)
from msfa_core.photometry.locus import reference_locus, zahb_locus
from msfa_core.rules import have_good_parallax
from msfa_core.typing import BoolArray, FloatArray

logger = logging.getLogger(__name__)

COLOUR: Final = Axis("bp_rp", "BP−RP [mag]", limits=(-0.8, 1.6), always=(-0.4, 0.8), digits=3)
MAGNITUDE: Final = Axis(
    "abs_mag_g", "M_G [mag]", limits=(-6.0, 13.5), always=(-2.0, 5.0),
    error="abs_mag_g_err", flipped=True,
)  # fmt: skip
AXES: Final = {  # keys of the planes; the paper's figure is as observed
    "as observed": (COLOUR, MAGNITUDE),
    "dereddened": (
        Axis("bp_rp0", "(BP−RP)₀ [mag]", COLOUR.limits, COLOUR.always, digits=3),
        Axis(
            "abs_mag_g0", "M_G,₀ [mag]", MAGNITUDE.limits, MAGNITUDE.always,
            error="abs_mag_g_err", flipped=True,
        ),
    ),
}  # fmt: skip
OBSERVED, DEREDDENED_PLANE = AXES
EXCLUSION_CHIPS: Final = {  # short enough for a row of buttons
    CmdExclusion.LOW_LATITUDE: "low |b|",
    CmdExclusion.LMC: "LMC",
    CmdExclusion.SMC: "SMC",
    CmdExclusion.SLOW: "slow",
    CmdExclusion.PARALLAX_SAMPLE: "no ϖ sample",
    CmdExclusion.PROPER_MOTION_SAMPLE: "no μ sample",
}
PUBLISHED: Final = "Culpan et al. (2021)"
USE_CORNERS: Final = (
    "nothing is changed: the column in_cmd_trapezoid keeps the published trapezoid, which no "
    "setting moves; to keep these corners, press queue inside and name what is brushed: the "
    "subset can be combined and exported"
)
VECTOR_FIELDS: Final = ("x", "y", "x0", "y0")
REMEDY: Final = (
    "No star of this survey has both a colour and a parallax of Gaia, so none has a place here.",
    "Add them with `msfa place SURVEY --online`, or with `msfa run SURVEY --gaia FILE` (CSV, FITS, "
    "VOTable or ECSV with source_id or ra and dec, phot_g_mean_mag, bp_rp, parallax, "
    "parallax_error or parallax_over_error).",
)
Exclusions = Mapping[CmdExclusion, BoolArray]


def has_gaia(table: pd.DataFrame) -> bool:
    """Tell whether any star has a place in the diagram."""
    return bool((table["bp_rp"].notna() & table["abs_mag_g"].notna()).any())


def exclusions(table: pd.DataFrame) -> Exclusions:
    """Return which stars each exclusion leaves out; none where the survey was not asked yet."""
    if not table["cmd_exclusions"].notna().any():
        return {}
    bits = table["cmd_exclusions"].to_numpy(np.int64, na_value=0)
    return {flag: (bits & flag) != 0 for flag in CmdExclusion}


def own_trapezoid_sentence(
    places: pd.DataFrame, names: tuple[str, str], keep: BoolArray | None, corners: FloatArray
) -> tuple[str, BoolArray, BoolArray]:
    """Return how many of the stars that are drawn lie inside corners of one's own.

    Parameters
    ----------
    places, names, keep
        As for `trapezoid_sentence`.
    corners : (4, 2) array

    Returns
    -------
    str, (n,) bool array, (n,) bool array
        The sentence; which stars lie inside the published trapezoid, and which inside one's own.
    """
    colour, magnitude = (places[name].to_numpy(dtype=float, na_value=np.nan) for name in names)
    shown = np.isfinite(colour) & np.isfinite(magnitude)
    shown &= True if keep is None else keep
    before = in_trapezoid(colour, magnitude) & shown
    now = inside_polygon(colour, magnitude, corners[:, 0], corners[:, 1]) & shown
    words = f"own corners: {int(now.sum()):,} of {int(shown.sum()):,} spectra shown inside; "
    return words + change_sentence(before, now, PUBLISHED), before, now


def trapezoid_sentence(places: pd.DataFrame, names: tuple[str, str], keep: BoolArray | None) -> str:
    """Return how many of the stars that are drawn lie inside the trapezoid.

    Parameters
    ----------
    places : n rows
    names : (str, str)
        Columns of colour and magnitude.
    keep : (n,) bool array, optional
        Stars that are drawn at all.
    """
    colour, magnitude = (places[name].to_numpy(dtype=float, na_value=np.nan) for name in names)
    placed = np.isfinite(colour) & np.isfinite(magnitude)
    placed &= True if keep is None else keep
    inside, total = int((in_trapezoid(colour, magnitude) & placed).sum()), int(placed.sum())
    share = f" ({100 * inside / total:.0f} %)" if total else ""
    return f"{inside:,} of {total:,} spectra shown inside the trapezoid{share}"


def exclusion_labels(found: Exclusions) -> dict[str, CmdExclusion]:
    """Return the words of the buttons with the number that each exclusion leaves out."""
    return {f"{EXCLUSION_CHIPS[flag]} {int(rows.sum()):,}": flag for flag, rows in found.items()}


def left_out(found: Exclusions, chosen: list[CmdExclusion]) -> BoolArray | None:
    """Return which stars the chosen exclusions leave out; None when none is chosen."""
    return np.logical_or.reduce([found[flag] for flag in chosen]) if found and chosen else None


def star_sentence(row: pd.Series, blind: bool = False) -> str:
    """Return where this star lies, and what to doubt, in words; blind, on no side."""
    colour, magnitude = number(row, "bp_rp"), number(row, "abs_mag_g")
    flags = number(row, "cmd_flags")
    caveats = CmdFlag.sentences(int(flags)) if np.isfinite(flags) else []
    if not (np.isfinite(colour) and np.isfinite(magnitude)):
        return "this star has no place here: " + ("; ".join(caveats) or "no Gaia row joined")
    error = number(row, "abs_mag_g_err")
    spread = f" ± {error:.2f}" if np.isfinite(error) else ""
    where = "" if blind else f", {side_word(colour, magnitude)}"
    doubts = f" · caution: {'; '.join(caveats)}" if caveats else ""
    words = f"this star: BP−RP {colour:.3f}, M_G {magnitude:.2f}{spread}{where}"
    return words.replace("-", "−") + doubts


def side_word(colour: float, magnitude: float) -> str:
    """Return on which side of the trapezoid a place lies."""
    return "inside" if in_trapezoid([colour], [magnitude])[0] else "outside"


def dust_sentence(row: pd.Series, blind: bool = False) -> str:
    """Return the reddening of this star and where it comes from; blind, no side."""
    ebv = number(row, "ebv")
    if not np.isfinite(ebv):
        return "E(B−V) unknown: no reddening vector"
    source = row.get("ebv_source")
    whence = f" ({source})" if isinstance(source, str) and source else ""
    colour, magnitude = (number(row, name) for name in ("bp_rp0", "abs_mag_g0"))
    if not (np.isfinite(colour) and np.isfinite(magnitude)):
        return f"E(B−V) {ebv:.3f}{whence}: no reddening vector"
    where = "" if blind else f", {side_word(colour, magnitude)}"
    words = f"E(B−V) {ebv:.3f}{whence}: without dust {colour:.3f}, {magnitude:.2f}{where}"
    return words.replace("-", "−")


class CmdView(LinkedView):
    """Where Gaia puts the stars; says what is missing when there is no Gaia table."""

    own_corners = param.Parameter(doc="(4, 2) corners moved by hand, or None for the published")
    good_parallax_only = param.Boolean(default=True, doc="Draw stars with ϖ > 0, σ/ϖ < 0.2 only")
    excluded = param.List(default=[], doc="Exclusions in force (`CmdExclusion`)")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self._count = ""
        self._outlines: dict[str, ColumnDataSource] = {}
        self._corners: dict[str, Corners] = {}
        self._changes: dict[str, Changes] = {}
        self._asks, self._use = False, use_words()  # what the settings would say
        self._edit = pn.widgets.Toggle(
            label="edit", margin=(0, 2),
            css_classes=["msfa-chips", "edit-trapezoid"], stylesheets=[stylesheet()],
        )  # fmt: skip
        self._edit.param.watch(lambda event: self.edit(event.new), "value")
        self._more = pn.Row(
            quiet_button(
                "back to the published", self.back,
                f"Back to the trapezoid of {PUBLISHED}", "back-to-published",
            ),
            quiet_button(
                "queue inside", self.queue_inside,
                "Limit the queue to the stars inside these corners", "queue-inside",
            ),
            quiet_button(
                "use these …", self.use,
                "Say what can be done with these corners; nothing is changed", "use-these",
            ),
            margin=0, visible=False, css_classes=["msfa-more"], stylesheets=[stylesheet()],
            sizing_mode="stretch_width",
        )  # fmt: skip
        self._vectors: dict[str, ColumnDataSource] = {}
        self.offer({key: partial(self._make_plane, key) for key in AXES})
        self._caption = caption()
        self._figure = self.figure_place()
        self._notice = pn.pane.HTML(
            notice("No colours with parallaxes", *REMEDY), sizing_mode="stretch_both", visible=False
        )
        self._switch = pn.widgets.Toggle.from_param(
            self.param.good_parallax_only,
            label=f"σ/ϖ < {float(PARALLAX_ERROR_MAX):g}",
            margin=(0, 2), css_classes=["msfa-chips", "good-parallax"], stylesheets=[stylesheet()],
        )  # fmt: skip
        self._exclusions = self._exclusion_controls()
        self._controls = controls(
            self.plane_switch(),
            self._switch,
            self._paper,
            self._edit,
            pn.layout.HSpacer(),
            colour_switch(self),
        )
        self.hide_while_blind(self._edit)
        if state.data.settings.deredden_cmd:
            self.shown = DEREDDENED_PLANE
        self.follow()
        self.param.watch(lambda *_: self.redraw(), ["good_parallax_only", "excluded"])
        self.param.watch(lambda *_: self._follow_corners(), "own_corners")

    def _exclusion_controls(self) -> pn.Row:
        """Return the exclusions as buttons; `exclude` presses those of the paper's funnel."""
        css: dict[str, Any] = {"css_classes": ["msfa-chips"], "stylesheets": [stylesheet()]}
        self._paper = pn.widgets.Toggle(label="exclude", margin=(0, 2), **css)
        self._chips = pn.widgets.CheckButtonGroup(
            options=exclusion_labels(self.found), value=[], margin=(0, 2),
            **{**css, "css_classes": ["msfa-chips", "msfa-wrapped"]},
        )  # fmt: skip
        self._paper.param.watch(self._press, "value")
        self._chips.param.watch(lambda event: self.param.update(excluded=event.new), "value")
        row = controls(self._chips)
        row.height = 56  # two rows of buttons in a narrow panel
        return row

    def _press(self, event: Any) -> None:
        chosen = [flag for flag in self.found if flag & FUNNEL_EXCLUSIONS] if event.new else []
        self._chips.value = chosen
        self._make_room()

    def _make_room(self) -> None:
        """Show the exclusions one by one, unless corners are moved: the plane needs the room."""
        pressed = self._paper.visible and self._paper.value
        self._exclusions.visible = pressed and not self._edit.value

    @property
    def found(self) -> Exclusions:
        """Which stars each exclusion leaves out."""
        table = self.state.verdicts.table
        return once(self.state, "exclusions", (table,), lambda: exclusions(table))

    def _make_plane(self, key: str) -> Plane:
        quantities = COLOUR.column, MAGNITUDE.column
        plane = self.new_plane(*AXES[key], "the CMD", quantities)
        corners = self.corners
        self._outlines[key] = plane.add_outline([corners[:, 0]], [corners[:, 1]])
        self._corners[key] = Corners(plane, corners, self._move_corners)
        self._corners[key].show(self._edit.value)
        self._changes[key] = Changes(plane)
        self._draw_sequences(plane)
        vector = self._vectors[key] = ColumnDataSource({name: [] for name in VECTOR_FIELDS})
        head = NormalHead(size=6, fill_color=self.colours.ring, line_color=self.colours.ring)
        plane.figure.add_layout(
            Arrow(
                x_start="x0", y_start="y0", x_end="x", y_end="y", source=vector, end=head,
                line_color=self.colours.ring, line_width=1.5, line_dash=[4, 2], level="overlay",
            )
        )  # fmt: skip
        return plane

    # --- corners of one's own ------------------------------------------------------------
    @property
    def corners(self) -> FloatArray:
        """(4, 2) corners that are drawn: those moved by hand, else the published ones."""
        return trapezoid_vertices() if self.own_corners is None else np.array(self.own_corners)

    def edit(self, is_on: bool) -> None:
        """Let the corners be moved, or go back to the published ones."""
        for key, handles in self._corners.items():
            if is_on and key == self.shown:
                handles.place(self.corners)
            handles.show(is_on)
        self._more.visible = is_on
        self._make_room()
        if not is_on:
            self.back()

    def back(self) -> None:
        """Go back to the published trapezoid."""
        self._asks = False
        if self.own_corners is None:
            self._follow_corners()
        self.own_corners = None

    def use(self) -> None:
        """Say what can be done with the corners on screen; change nothing."""
        self._asks = not self._asks
        self.describe()

    def queue_inside(self) -> None:
        """Limit the queue to the stars that are drawn inside the corners."""
        names = self.plane(self.shown).names
        _, _, now = own_trapezoid_sentence(
            dataset_of(self.state).data, names, self.keep(), self.corners
        )
        n = counted(int(now.sum()), "spectrum", "spectra")
        words = f"{n} inside {corner_words(self.corners, (3, 2))} in the CMD"
        self.state.queue.brush(self.state.data.obsid[now], f"{words}, {self.shown}")

    def _move_corners(self, corners: FloatArray) -> None:
        self.own_corners = tuple(map(tuple, corners.tolist()))

    def _follow_corners(self) -> None:
        corners = self.corners
        for key, outline in self._outlines.items():
            outline.data = {"xs": [corners[:, 0].tolist()], "ys": [corners[:, 1].tolist()]}
            if self.own_corners is None or key != self.shown:
                self._corners[key].place(corners)
        self.count()
        self.describe()

    def _draw_sequences(self, plane: Plane) -> None:
        """Draw the horizontal branch of models, and of the reference stars if they have one."""
        models = zahb_locus()
        line = draw_curves(plane, [(models.bp_rp, models.abs_mag_g)], self.colours.text)
        explain(plane, "zero-age HB, models without dust", [line])
        if self.reference is None:
            return
        places = self.reference.places(COLOUR.column, MAGNITUDE.column)
        try:
            own = reference_locus(*places)
        except CatalogueError as error:  # a table of other stars: no sequence, only points
            logger.info("no reference sequence: %s", error)
            return
        around = [(own.bp_rp, own.bright), (own.bp_rp, own.faint)]
        draw_curves(plane, around, self.colours.model, "dotted", 1.2)
        median = draw_curves(plane, [(own.bp_rp, own.abs_mag_g)], self.colours.model, width=2.0)
        words = f"{self.reference.name}: median, 68 % of {int(in_trapezoid(*places).sum()):,}"
        explain(plane, words, [median])

    def keep(self) -> BoolArray | None:
        """Return which stars pass the parallax switch and the exclusions."""
        gone = left_out(self.found, self.excluded)
        kept = None if gone is None else ~gone
        if not self.good_parallax_only:
            return kept
        good = have_good_parallax(self.state.verdicts.table)
        return good if kept is None else good & kept

    def redraw(self) -> None:
        """Draw the diagram, or say what is missing."""
        placed = has_gaia(self.state.verdicts.table)
        if self.blind:
            self._edit.value = False  # corners count what lies inside
        for part in (self._figure, self._controls):
            part.visible = placed
        self._more.visible = placed and self._edit.value
        self._paper.visible = placed and bool(self.found)
        self._make_room()
        self._notice.visible = not placed
        super().redraw()

    def count(self) -> None:
        """Count the stars in the trapezoid."""
        places = dataset_of(self.state).data
        plane = self.plane(self.shown)
        self._count = trapezoid_sentence(places, plane.names, self.keep())
        nobody = np.zeros(len(places), dtype=bool)
        before = now = nobody
        if self.own_corners is not None:
            self._count, before, now = own_trapezoid_sentence(
                places, plane.names, self.keep(), self.corners
            )
        x, y = (places[name].to_numpy(dtype=float) for name in plane.names)
        self._changes[self.shown].show(x, y, before, now)
        labels = exclusion_labels(self.found)
        if list(labels) != list(self._chips.options):
            self._chips.options = labels

    def _ring(self) -> None:
        super()._ring()
        star, vector = self.state.screen.star, self._vectors[self.shown]
        row = None if star is None else star.row
        ends = [number(row, name) for names in AXES.values()
                for name in (axis.column for axis in names)]  # fmt: skip
        known = bool(np.isfinite(ends).all()) and number(row, "ebv") != 0
        values = [[value] if known else [] for value in ends]
        # dust moves a star from its own place to where it is seen
        vector.data = dict(zip(("x", "y", "x0", "y0"), values, strict=True))

    def describe(self) -> None:
        """Write the caption."""
        say_use(self._use, USE_CORNERS if self._asks else "")
        self._caption.visible = self._figure.visible and not self._asks  # no room for both
        star = self.state.screen.star
        row = None if star is None else star.row
        chosen = "; ".join(flag.sentence for flag in self.excluded)
        lines = [
            "" if self.blind else self._count,
            "" if row is None else star_sentence(row, self.blind),
            "" if row is None else dust_sentence(row, self.blind),
            self.outside_words(),
            f"left out: {chosen}" if chosen else "",
        ]
        off = self.state.data.settings.parallax_zero_point
        zero_point = "parallax zero point taken off" if off else "no parallax zero point"
        source = f"{CMD_BP_RP[0].provenance}; {zero_point}."
        if self.shown != OBSERVED:
            source += f" Extinction: {EXTINCTION_PER_EBV['g'].provenance}."
        self._caption.object = caption_html(lines, source)

    def outside_words(self) -> str:
        """Return how many stars lie beyond the frame, and how many have no known reddening."""
        words = super().outside_words()
        if self.shown == OBSERVED:
            return words
        ebv = self.state.verdicts.table["ebv"].isna().sum()
        unknown = f"{int(ebv):,} spectra without E(B−V) are not drawn" if ebv else ""
        return "; ".join(part for part in (unknown, words) if part)

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._controls, self._more, self._use, self._exclusions, self._figure,
            self._caption, self._notice,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
