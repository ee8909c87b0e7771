"""The report on paper: a PDF with a page per star, and the figures of a paper, all in vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from msfa_core.constants import FIT_LINES
from msfa_core.durable import replacing
from msfa_core.errors import ExportError
from msfa_core.products.report.gather import Report, StarStory
from msfa_core.products.report.page import checked
from msfa_core.products.report.star_by_star import PROBABILITY, SMALL, in_form, limit_words
from msfa_core.survey.figures.panel import Panel, about_one
from msfa_core.survey.figures.printed import (
    GREEN,
    GREY,
    INK,
    ORANGE,
    draw_fits,
    draw_panel,
    draw_spectrum,
    fits_figure,
    new_figure,
    panels_figure,
    paper_style,
    say_simulated,
)
from msfa_core.survey.funnel import BY_THE_STAR
from msfa_core.typing import Progress, no_progress

if TYPE_CHECKING:
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.text import Text

A4: Final = (11.69, 8.27)  # inches, landscape
SETS: Final = {  # name of the file -> panels, in the order of the paper
    "figure3_d02_fm": ("d02_fm_hdelta", "d02_fm_hgamma"),
    "figure4_labels": ("kiel", "metals"),
    "figure5_cmd": ("cmd",),
    "metallicities": ("feh",),
    "sky": ("sky",),
    "reliability": ("reliability",),
}
EXAMPLE: Final = "figure2_line_fits"
_DPI: Final = 200
_PLAIN: Final[Any] = {  # small ticks are half the time that a page takes
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
}
_CLOUD: Final = 400  # points behind one star on its page
_WIDE: Final = 150  # letters of a line of the page
_COMMENT: Final = 300  # letters of a comment that a page has room for
_MOST_VERDICTS: Final = 5  # decisions that a page has room for


def write_figures(report: Report, folder: str | Path) -> list[Path]:
    """Write every figure of the paper's style, as PNG and PDF.

    Parameters
    ----------
    report : Report
    folder : str or Path
        Made where it is missing; figures of the same names are replaced.

    Returns
    -------
    list of Path
        Figure 2 (line fits, of the surest star that has none flagged), 3 (D0.2–fm), 4 (labels),
        5 (CMD), and metallicities, sky and reliability. What has nothing to draw says why in its
        place.

    Raises
    ------
    ExportError
        When the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{folder} cannot be made ({error}): name another folder.") from error
    figures: dict[str, Figure] = {}
    best = _example(report.stars)
    if best is not None and best.picture is not None:
        title = f"obsid {best.obsid}"
        figures[EXAMPLE] = fits_figure(best.picture, title, report.simulated)
    for name, keys in SETS.items():
        figures[name] = panels_figure([report.panels[key] for key in keys], report.simulated)
    paths = []
    with paper_style():
        for name, figure in figures.items():
            for ending in ("png", "pdf"):
                paths.append(folder / f"{name}.{ending}")
                figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _example(stars: Sequence[StarStory]) -> StarStory | None:
    """Return the star whose fits stand for all: the surest whose fits can be trusted."""
    drawn = [star for star in stars if star.picture is not None]
    flags = [f"balmer_flags_{line}" for line in FIT_LINES]
    return next(
        (star for star in drawn if all(star.row.get(name) == 0 for name in flags)),
        next(iter(drawn), None),
    )


def write_pdf(
    report: Report, out: str | Path, overwrite: bool = False, progress: Progress = no_progress
) -> Path:
    """Write the report as a PDF: a page of summary, pages of figures, and a page per star.

    Parameters
    ----------
    report : Report
    out : str or Path
        Ends in ``.pdf``.
    overwrite : bool
        Replace the file if it is there.
    progress : callable, optional

    Raises
    ------
    ExportError
        When the name has another ending, or the file is there already.
    """
    path = checked(out, ".pdf", overwrite)
    with paper_style():
        from matplotlib import rc_context  # noqa: PLC0415
        from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415

        title = f"{'SIMULATED: ' if report.simulated else ''}{report.words} of {report.name}"
        about = {"Title": title, "Creator": report.software}
        with replacing(path) as half, PdfPages(half, metadata=about) as pdf:
            pdf.savefig(_first_page(report))
            for keys in (SMALL[:1] + ("d02_fm_hgamma", "kiel"), ("metals", "cmd", "feh"),
                         ("sky", "reliability")):  # fmt: skip
                pdf.savefig(_figure_page(report, [report.panels[key] for key in keys]))
            thinned = {key: _thinned(report.panels[key]) for key in SMALL}
            with rc_context(_PLAIN):
                sheet = _StarSheet(report, thinned)
                for k, star in enumerate(report.stars):
                    pdf.savefig(sheet.page(star))
                    progress("pdf", k + 1, len(report.stars), "")
    return path


def _write(figure: Figure, x: float, y: float, words: str, **look: Any) -> None:
    """Write text as it stands: a $ in it is a dollar."""
    figure.text(x, y, words, **{"va": "top", "parse_math": False, **look})


def _blank(report: Report) -> Figure:
    figure = new_figure(*A4, arranged=False)
    if report.simulated:
        say_simulated(figure)
    _write(
        figure, 0.97, 0.022, f"{report.name} · {report.software} · {report.made_at}",
        ha="right", va="bottom", fontsize=7, color="0.45",
    )  # fmt: skip
    return figure


def _first_page(report: Report) -> Figure:
    figure = _blank(report)
    _write(figure, 0.05, 0.94, f"{report.words} of {report.name}", fontsize=22)
    said = "\n".join(fill(sentence, _WIDE - 10) for sentence in report.summary)
    _write(figure, 0.05, 0.87, said, fontsize=11, linespacing=1.45)
    rules = "\n".join(
        fill(f"{name}: {words}", _WIDE + 10, subsequent_indent="    ")
        for name, words in report.rules
    )
    _write(figure, 0.05, 0.69, rules, fontsize=9, linespacing=1.4, color="0.25")
    top, step = 0.44, 0.0265
    heads = ("step", "spectra", "stars", "share", "paper: spectra", "stars", "share", "share of")
    places = (0.05, 0.47, 0.53, 0.59, 0.70, 0.76, 0.83, 0.85)
    for word, x in zip(heads, places, strict=True):
        side = "left" if word in ("step", "share of") else "right"
        _write(figure, x, top, word, fontsize=9, ha=side, color="0.4")
    for k, row in enumerate(report.funnel.to_dict("records"), 1):
        n_spectra = None if row["step"] in BY_THE_STAR else row["spectra"]
        cells = [
            f"{row['step']}: {row['what']}",
            _count(n_spectra), _count(row["stars"]), _percent(row["share"]),
            *(_count(row[name]) for name in ("paper_spectra", "paper_stars")),
            _percent(row["paper_share"]), row["of"],
        ]  # fmt: skip
        for n, (word, x) in enumerate(zip(cells, places, strict=True)):
            side = "left" if n in (0, len(cells) - 1) else "right"
            short = word if n else word[:95]
            _write(figure, x, top - k * step, short, fontsize=9, ha=side)
    return figure


def _count(value: Any) -> str:
    return "–" if value is None or value != value or str(value) == "<NA>" else f"{int(value):,}"  # noqa: PLR0124


def _percent(value: Any) -> str:
    return "–" if value is None or value != value else f"{100 * value:.1f} %"  # noqa: PLR0124


def _figure_page(report: Report, panels: list[Panel]) -> Figure:
    figure = _blank(report)
    wide = [1.7 if panel.bare else 1.0 for panel in panels]
    axes = figure.subplots(
        1, len(panels), squeeze=False, width_ratios=wide,
        gridspec_kw={"left": 0.06, "right": 0.97, "top": 0.92, "bottom": 0.36, "wspace": 0.24},
    )[0]  # fmt: skip
    for panel, place in zip(panels, axes, strict=True):
        draw_panel(panel, place)
        box = place.get_position()
        words = f"{panel.title}. {panel.sentence}" if not panel.missing else panel.title
        letters = int(150 * box.width)
        _write(figure, box.x0, 0.26, fill(words, letters), fontsize=9, color="0.25")
    return figure


def _thinned(panel: Panel) -> Panel:
    """Return a panel with a cloud small enough to stand on every star's page."""
    every = max(1, -(-len(panel.cloud) // _CLOUD))
    cloud = replace(
        panel.cloud,
        obsid=panel.cloud.obsid[::every], x=panel.cloud.x[::every], y=panel.cloud.y[::every],
    )  # fmt: skip
    return replace(panel, cloud=cloud)


class _StarSheet:
    """The page of a star, laid out once: from star to star what is drawn on it changes.

    Laying out axes and their ticks anew is half the time that a page takes, and what no star
    changes is written but once (:mod:`stamp`).
    """

    def __init__(self, report: Report, panels: dict[str, Panel]) -> None:
        self._figure = _blank(report)
        self._standing = set(self._figure.texts)
        grid = self._figure.add_gridspec(1, 1, left=0.055, right=0.975, top=0.855, bottom=0.60)
        self._spectrum = self._figure.add_subplot(grid[0])
        fits = self._figure.add_gridspec(
            2, 2, left=0.055, right=0.46, top=0.52, bottom=0.225, hspace=0.05, wspace=0.24,
            height_ratios=[4, 1],
        )  # fmt: skip
        self._fits = np.array(
            [[self._figure.add_subplot(fits[i, k]) for k in range(2)] for i in range(2)]
        )
        for place in self._fits[0]:
            place.tick_params(labelbottom=False)
        small = self._figure.add_gridspec(
            1, 3, left=0.515, right=0.975, top=0.52, bottom=0.225, wspace=0.38
        )  # fmt: skip
        self._rings: list[tuple[Panel, PathCollection, Text]] = []
        places = []
        for k, key in enumerate(SMALL):
            panel = panels[key]
            place = self._figure.add_subplot(small[k])
            places.append(place)
            own = panel if panel.missing else about_one(panel, -1)
            draw_panel(own, place, legend=False, ring=True)
            place.tick_params(labelsize=8)
            place.xaxis.label.set_fontsize(9)
            place.yaxis.label.set_fontsize(9)
            if not panel.missing:
                ring = cast("PathCollection", place.collections[-1])
                nowhere = place.text(
                    0.04, 0.97, "no place here", transform=place.transAxes, fontsize=7.5,
                    va="top", color="0.35",
                )  # fmt: skip
                self._rings.append((panel, ring, nowhere))
        from msfa_core.products.report.stamp import stamp  # noqa: PLC0415 (matplotlib)

        moving = [drawn for _, *both in self._rings for drawn in both]
        stamp(self._figure, places, moving)

    def page(self, star: StarStory) -> Figure:
        """Return the page of a star; it is that of the next one when asked again."""
        for words in set(self._figure.texts) - self._standing:
            words.remove()
        _say_star(self._figure, star)
        for place in (self._spectrum, *self._fits.flat):
            for drawn in (*place.lines, *place.collections, *place.texts):
                drawn.remove()
            place.relim()
            place.set_visible(star.picture is not None)
        if star.picture is not None:
            draw_spectrum(star.picture, self._spectrum)
            draw_fits(star.picture, self._fits)
        for panel, ring, nowhere in self._rings:
            one = about_one(panel, star.obsid).chosen
            ring.set_offsets(np.column_stack([one.x, one.y]))
            nowhere.set_visible(not len(one))
        return self._figure


def _say_star(figure: Figure, star: StarStory) -> None:
    _write(figure, 0.05, 0.955, star.name, fontsize=15)
    row = star.row
    facts = [f"obsid {star.obsid}"]
    for name, words, form, unit in (
        ("ra", "RA", ".5f", "°"), ("dec", "Dec", "+.5f", "°"), ("g_mag", "G", ".2f", ""),
        ("snr_g", "S/N(g)", ".0f", ""), ("teff", "Teff", ".0f", " K"),
        ("logg", "log g", ".2f", ""), ("feh", "[Fe/H]", ".2f", ""),
        ("p_bhb", "p_bhb", PROBABILITY, ""),
    ):  # fmt: skip
        value = row.get(name)
        if value is not None and value == value and str(value) != "<NA>":  # noqa: PLR0124
            said = f"{in_form(float(value), form)}{unit}"
            facts.append(f"{words} {said}{limit_words(row, name)}")
    verdict = row.get("verdict")
    facts.append(f"verdict: {verdict}" if isinstance(verdict, str) else "not decided")
    _write(figure, 0.05, 0.915, " · ".join(facts), fontsize=9, color="0.25")
    _say_witnesses(figure, star)
    _write(figure, 0.05, 0.135, _said_of(star), fontsize=8, color="0.2", linespacing=1.35)


def _say_witnesses(figure: Figure, star: StarStory) -> None:
    x = 0.05
    for one in star.witnesses:
        colour = {1: GREEN, -1: ORANGE}.get(int(one.stance), GREY)
        mark = {1: "for", -1: "against"}.get(int(one.stance), "silent")
        _write(figure, x, 0.89, f"{one.name}: {mark}", fontsize=8.5, color=colour)
        _write(figure, x, 0.872, one.words, fontsize=7.5, color=INK)
        x += 0.155


def _said_of(star: StarStory) -> str:
    lines = [
        f"{len(star.epochs)} spectra: {', '.join(str(obsid) for obsid in star.epochs['obsid'])}"
        if len(star.epochs) > 1
        else "1 spectrum"
    ]
    decided = star.decisions.to_dict("records") if len(star.decisions) else []
    for said in decided[-_MOST_VERDICTS:]:
        comment = str(said["comment"] or "")[:_COMMENT]
        told = f": {comment}" if comment else ""
        lines.append(f"{said['reviewer']}, {str(said['decided_at'])[:10]}: {said['said']}{told}")
    if len(decided) > _MOST_VERDICTS:
        lines.append(f"and {len(decided) - _MOST_VERDICTS} earlier decisions")
    return "\n".join(fill(line, _WIDE + 30) for line in lines)
