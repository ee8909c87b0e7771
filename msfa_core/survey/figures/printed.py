"""Figures as a paper prints them: panels, spectra and line fits, drawn with matplotlib.

Colours are those of Okabe & Ito (2008), told apart by the colour-blind; ticks point inwards on
all four sides, letters are serif, nothing is drawn that the panel does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from msfa_core.balmer.figure import draw_window
from msfa_core.constants import LINE_SYMBOLS
from msfa_core.survey.figures.panel import Panel
from msfa_core.survey.figures.star import SHOWN, StarPicture, line_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, GREEN, INK = "#0072B2", "#D55E00", "#9aa7b4", "#009E73", "#1a1a1a"
STYLE: Final[Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 10.5,
    "axes.linewidth": 0.8,
    "axes.labelsize": 11.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "pdf.fonttype": 42,  # letters stay letters
    "savefig.dpi": 200,
}
_LINES: Final = {  # style of a guide's line: colour, dashes, width
    "line": (INK, "-", 1.0),
    "dashed": (ORANGE, "--", 1.0),
    "dotted": (INK, ":", 1.0),
    "faint": ("0.85", "-", 0.6),
}
_MANY: Final = 3_000  # points beyond which a vector file keeps them as an image
_HEADROOM: Final = 1.3  # height of a panel whose legend stands above what it draws
_COLUMN: Final = 3.6  # inches, of one panel


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw in the style of the paper."""
    import matplotlib as mpl  # noqa: PLC0415

    with mpl.rc_context(STYLE):
        yield


def new_figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """Return an empty figure, in inches, that belongs to no window.

    What stands at places of its own is not ``arranged``: that would draw every page twice.
    """
    from msfa_core.balmer.shown import shown_figure  # noqa: PLC0415

    return shown_figure(width, height, arranged=arranged)


def panels_figure(panels: Sequence[Panel], simulated: bool = False) -> Figure:
    """Draw panels side by side; one that has nothing to draw says why.

    Parameters
    ----------
    panels : sequence of Panel
    simulated : bool
        Say in red letters that the stars do not exist.
    """
    wide = [1.9 if panel.bare else 1.0 for panel in panels]
    with paper_style():
        figure = new_figure(_COLUMN * sum(wide) + 0.2, _COLUMN)
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=wide)[0]
        for panel, place in zip(panels, axes, strict=True):
            draw_panel(panel, place)
        if simulated:
            say_simulated(figure)
    return figure


def say_simulated(figure: Figure) -> None:
    """Write across the head of a figure that its stars do not exist."""
    figure.suptitle(
        "SIMULATED STARS: THEY DO NOT EXIST", color=ORANGE, fontsize=9, fontweight="bold"
    )


def draw_panel(panel: Panel, axes: Axes, *, legend: bool = True, ring: bool = False) -> None:
    """Draw one panel.

    Parameters
    ----------
    panel : Panel
    axes : matplotlib Axes
    legend : bool
    ring : bool
        Draw the chosen as an open ring: one star among its peers.
    """
    if panel.missing:
        axes.set_axis_off()
        words = f"{panel.title}\n\n{fill(panel.missing, 34)}"
        axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=9, color="0.35")
        return
    for guide in panel.guides:
        _draw_guide(guide, axes)
    many = len(panel.cloud) + len(panel.chosen) > _MANY
    axes.scatter(
        panel.cloud.x, panel.cloud.y, s=5, color=GREY, linewidths=0, alpha=0.75,
        label=panel.cloud.words if len(panel.cloud) else None, rasterized=many, zorder=2,
    )  # fmt: skip
    shown = panel.chosen
    if len(shown.y_err):
        axes.errorbar(
            shown.x, shown.y, shown.y_err.T, fmt="o", color=BLUE, ms=4.5, lw=1, capsize=2,
            label=shown.words, zorder=4,
        )  # fmt: skip
    else:
        look: dict[str, Any] = {"s": 13, "color": BLUE, "edgecolors": "white", "linewidths": 0.35}
        if ring:
            look = {"s": 70, "facecolors": "none", "edgecolors": ORANGE, "linewidths": 1.5}
        name = shown.words if len(shown) else None
        axes.scatter(shown.x, shown.y, label=name, rasterized=many, zorder=4, **look)
    axes.set_xlim(*panel.x_range)
    axes.set_ylim(*panel.y_range)
    axes.set_xlabel("" if panel.bare else panel.x_name.replace("M_G", "$M_G$"))
    axes.set_ylabel("" if panel.bare else panel.y_name.replace("M_G", "$M_G$"))
    if panel.bare:
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.minorticks_off()
        for spine in axes.spines.values():
            spine.set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        where: dict[str, Any] = {"loc": "best"}
        if len(shown.y_err) or any(guide.kind == "counted" for guide in panel.guides):
            where = {"loc": "upper left"}  # over the counts, whose bars `best` does not see
            low, high = panel.y_range
            axes.set_ylim(low, low + _HEADROOM * (high - low))
        if panel.bare:
            where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.02), "ncols": 4}
        look = {"framealpha": 0.8, "edgecolor": "none", "borderpad": 0.2}
        axes.legend(frameon=True, handlelength=1.6, **where, **look)


def _draw_guide(guide: Any, axes: Axes) -> None:
    name = guide.words or None
    if guide.kind == "region":
        axes.fill(guide.x, guide.y, facecolor=ORANGE, alpha=0.07, lw=0, zorder=1)
        axes.plot(guide.x, guide.y, color=ORANGE, lw=1.2, label=name, zorder=3)
    elif guide.kind == "bars":
        axes.fill(guide.x, guide.y, facecolor="0.88", edgecolor=GREY, lw=0.8, label=name, zorder=1)
    elif guide.kind == "counted":
        axes.fill(
            guide.x, guide.y, facecolor=BLUE, edgecolor=BLUE, lw=0.8, alpha=0.75, label=name,
            zorder=2,
        )  # fmt: skip
    else:
        colour, dashes, width = _LINES[guide.kind]
        axes.plot(guide.x, guide.y, color=colour, ls=dashes, lw=width, label=name, zorder=1.5)


# --- one star ----------------------------------------------------------------------------------
def spectrum_figure(picture: StarPicture, title: str = "", simulated: bool = False) -> Figure:
    """Draw one spectrum with the names of its lines."""
    with paper_style():
        figure = new_figure(7.6, 3.0)
        axes = figure.subplots()
        draw_spectrum(picture, axes)
        axes.set_title(title, loc="left", fontsize=10)
        if simulated:
            say_simulated(figure)
    return figure


def draw_spectrum(picture: StarPicture, axes: Axes) -> None:
    """Draw one spectrum with the names of its lines."""
    axes.plot(picture.wavelength, picture.flux, color=INK, lw=0.5)
    good = picture.flux[np.isfinite(picture.flux)]
    low, high = (np.percentile(good, [0.3, 99.7])) if len(good) else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.1
    axes.set_ylim(low - room, high + 2.2 * room)
    axes.set_xlim(*SHOWN)
    for name, place in line_places().items():
        axes.axvline(place, color="0.85", lw=0.6, zorder=0)
        axes.text(
            place, 0.985, name, transform=axes.get_xaxis_transform(), rotation=90, fontsize=7,
            ha="right", va="top", color="0.35",
        )  # fmt: skip
    frame = "rest" if picture.at_rest else "observed (z unknown)"
    axes.set_xlabel(f"{frame} wavelength, vacuum [Å]")
    axes.set_ylabel("flux / median")


def fits_figure(picture: StarPicture, title: str = "", simulated: bool = False) -> Figure:
    """Draw the fitted lines of one star with their residuals (Figure 2)."""
    windows = picture.windows
    with paper_style():
        figure = new_figure(_COLUMN * len(windows) + 0.2, _COLUMN)
        axes = figure.subplots(
            2, len(windows), sharex="col", squeeze=False, gridspec_kw={"height_ratios": [4, 1]}
        )
        draw_fits(picture, axes)
        if simulated:
            say_simulated(figure)
        elif title:
            figure.suptitle(title, fontsize=10)
    return figure


def draw_fits(picture: StarPicture, axes: Any) -> None:
    """Draw the fitted lines of one star on a grid of axes, (2, line)."""
    for k, window in enumerate(picture.windows):
        draw_window(window, axes[0, k], axes[1, k])
        axes[0, k].text(
            0.03, 0.05, LINE_SYMBOLS[window.line], transform=axes[0, k].transAxes, fontsize=12
        )
        axes[1, k].set_xlabel("rest wavelength [Å]")
    axes[0, 0].set_ylabel("flux / continuum")
    axes[1, 0].set_ylabel("diff.")
