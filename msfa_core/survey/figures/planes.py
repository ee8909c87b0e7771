"""The planes of the paper: D0.2–fm, colour–magnitude, Kiel, metals, and the sky (§V)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import inside_by_line
from msfa_core.balmer.selection import Selection, get_selection
from msfa_core.columns import is_true, numbers
from msfa_core.config import Settings
from msfa_core.constants import CLOUD_CIRCLES, FIT_LINES, LINE_SYMBOLS
from msfa_core.counting import counted_of
from msfa_core.flags import FUNNEL_EXCLUSIONS
from msfa_core.photometry.cmd import trapezoid_vertices
from msfa_core.photometry.locus import zahb_locus
from msfa_core.photometry.zahb import EVOLUTION_MOST, zahb_logg
from msfa_core.rules import are_kept_by, have_good_parallax, in_kiel_band, kiel_band
from msfa_core.stars.sky_map import circle, grid_lines, on_map, parallel, to_galactic
from msfa_core.survey.figures.panel import (
    Guide,
    Panel,
    Points,
    beyond,
    limits,
    nobody,
    points,
)
from msfa_core.typing import BoolArray, FloatArray

ZAHB_TEFF: Final = np.linspace(7_250.0, 20_000.0, 80)  # K, of the population model's BHB stars
BAND_TEFF: Final = np.geomspace(5_000.0, 40_000.0, 80)  # K
_SHAPES: Final = np.linspace(0.3, 2.2, 200)  # c, of the outline of a curved limit
_FEH_BIN: Final = 0.2  # dex
_FEH_ENDS: Final = (-4.5, 1.0)
CLOUD_WORDS: Final = "candidates"
NO_FITS: Final = "No line fits yet: `msfa run SURVEY --steps measure`."
NO_GAIA: Final = (
    "This survey has no Gaia photometry with parallaxes: join it with `msfa run SURVEY --gaia "
    "FILE`, or `msfa place SURVEY --online`."
)
NO_LABELS: Final = (
    "This survey has no Teff, log g and [Fe/H]: measure them with `msfa run SURVEY --steps label`."
)
NO_PLACES: Final = "No spectrum of this survey has a position."


def share(part: int, whole: int) -> str:
    """Return ``12 of 40 (30 %)``."""
    percent = f" ({100 * part / whole:.0f} %)" if whole else ""
    return f"{part:,} of {whole:,}{percent}"


def cloud_of(table: pd.DataFrame) -> tuple[BoolArray, str]:
    """Return which rows the chosen stars are compared with, and what they are.

    The candidates of the search; all spectra where nothing was searched.
    """
    if table["is_candidate"].notna().any():
        return is_true(table, "is_candidate"), CLOUD_WORDS
    return np.ones(len(table), dtype=bool), "spectra"


def planes(
    table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str
) -> dict[str, Panel]:
    """Return every plane of the paper, in its order.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.conform`.
    settings : Settings
        Those that the table follows from.
    chosen : (n,) bool array
        Rows that the figures are about: a spectrum per star.
    words : str
        What these stars are: ``accepted stars``.

    Returns
    -------
    dict of str to Panel
        ``d02_fm_hdelta``, ``d02_fm_hgamma``, ``kiel``, ``metals``, ``feh``, ``cmd``, ``sky``.
    """
    made = [line_plane(table, settings, chosen, words, line) for line in FIT_LINES]
    made += [ask(table, settings, chosen, words) for ask in (kiel, metals, feh, cmd, sky)]
    return {panel.key: panel for panel in made}


def _two(
    table: pd.DataFrame, x: FloatArray, y: FloatArray, chosen: BoolArray, words: str
) -> tuple[Points, Points]:
    """Return the cloud without the chosen ones, and these."""
    obsid = table["obsid"].to_numpy(np.int64)
    rows, name = cloud_of(table)
    return (
        points(obsid, x, y, rows & ~chosen, f"other {name}"),
        points(obsid, x, y, chosen, words),
    )


def _nothing(key: str, title: str, names: tuple[str, str], why: str) -> Panel:
    return Panel(key, title, *names, (0.0, 1.0), (0.0, 1.0), (), nobody(), nobody(), "", why)


def _with_rest(panel: Panel) -> str:
    lost = beyond(panel)
    return f" {lost:,} lie beyond the axes." if lost else ""


# --- lines -------------------------------------------------------------------------------------
def line_plane(
    table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str, line: str
) -> Panel:
    """Return the plane in which the selection judges a line: D0.2–fm, or b–c (Figure 3)."""
    selection, symbol = get_selection(settings.selection), LINE_SYMBOLS[line]
    in_shape = line in selection.cuts and selection.box(line) is None
    if in_shape:
        title = f"c–b of {symbol}"
        names = (f"shape c ({symbol})", f"width b ({symbol}) [Å]")
        columns, sides = (f"shape_{line}", f"width_{line}"), ((0.3, 2.2), (0.0, 30.0))
        always = ((0.5, 1.6), (2.0, 18.0))
    else:
        title = f"D0.2–fm of {symbol}"
        names = (f"D0.2 ({symbol}) [Å]", f"fm ({symbol})")
        columns, sides = (f"d02_{line}", f"fm_{line}"), ((4.0, 60.0), (-0.05, 0.85))
        always = ((11.0, 38.0), (0.05, 0.45))
    x, y = (numbers(table, name) for name in columns)
    if not (np.isfinite(x) & np.isfinite(y)).any():
        return _nothing(f"d02_fm_{line}", title, names, NO_FITS)
    cloud, stars = _two(table, x, y, chosen, words)
    guides = _outlines(selection, line, in_shape)
    inside = inside_by_line(table, selection).get(line)
    said = selection.describe()
    if inside is not None:
        rows, name = cloud_of(table)
        within = f"{share(int((inside & rows).sum()), int(rows.sum()))} {name}"
        own = share(int((inside & chosen).sum()), int(chosen.sum()))
        said = f"Within the limits of {selection.name} for {symbol}: {within}, {own} {words}."
    both = [np.concatenate([getattr(cloud, k), getattr(stars, k)]) for k in ("x", "y")]
    panel = Panel(
        f"d02_fm_{line}", title, *names,
        limits(both[0], sides[0], always[0]), limits(both[1], sides[1], always[1]),
        guides, cloud, stars, said,
    )  # fmt: skip
    return _said(panel, said)


def _said(panel: Panel, words: str) -> Panel:
    return replace(panel, sentence=f"{words}{_with_rest(panel)}")


def _outlines(selection: Selection, line: str, in_shape: bool) -> tuple[Guide, ...]:
    """Return the outline of the limits of a selection in its plane."""
    if line not in selection.cuts:
        return ()
    if not in_shape:
        low_d, high_d, low_f, high_f = np.clip(selection.box(line) or (), -1e3, 1e3)
        corners = np.array(
            [(low_d, low_f), (high_d, low_f), (high_d, high_f), (low_d, high_f), (low_d, low_f)]
        )
        return (Guide(corners[:, 0], corners[:, 1], "region", selection.name),)
    cuts = {cut.quantity: cut for cut in selection.cuts[line]}
    c = _SHAPES
    if "shape" in cuts:
        c = np.linspace(max(cuts["shape"].low, 0.3), min(cuts["shape"].high, 2.2), 200)
    low, high = np.full(len(c), 0.0), np.full(len(c), 30.0)
    if "width" in cuts:
        width = cuts["width"]
        low, high = np.maximum(low, width.low), np.minimum(high, width.high)
        if width.high_curve is not None:
            offset, curvature, vertex = width.high_curve
            high = np.minimum(high, offset - curvature * (c - vertex) ** 2)
    real = high >= low
    c, low, high = c[real], low[real], high[real]
    x = np.concatenate([c, c[::-1], c[:1]])
    y = np.concatenate([low, high[::-1], low[:1]])
    return (Guide(x, y, "region", selection.name),)


# --- labels ------------------------------------------------------------------------------------
def kiel(table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str) -> Panel:
    """Return Teff–log g with the band of BHB stars and the horizontal branch (Figure 4)."""
    names = ("Teff [K]", "log g [dex(cm/s²)]")
    teff, logg = numbers(table, "teff"), numbers(table, "logg")
    if not (np.isfinite(teff) & np.isfinite(logg)).any():
        return _nothing("kiel", "Teff–log g", names, NO_LABELS)
    cloud, stars = _two(table, teff, logg, chosen, words)
    lower, upper = kiel_band(BAND_TEFF)
    zero_age = zahb_logg(ZAHB_TEFF)
    band = Guide(
        np.concatenate([BAND_TEFF, BAND_TEFF[::-1], BAND_TEFF[:1]]),
        np.concatenate([lower, upper[::-1], lower[:1]]),
        "region",
        "BHB band, Culpan et al. (2024)",
    )
    guides = (
        band,
        Guide(ZAHB_TEFF, zero_age, "line", "zero-age horizontal branch"),
        Guide(ZAHB_TEFF, zero_age - EVOLUTION_MOST, "dotted", "most evolved"),
        Guide(
            np.array([5_000.0, 40_000.0]), np.full(2, settings.logg_outlier), "dashed",
            f"log g limit {settings.logg_outlier:g}",
        ),
    )  # fmt: skip
    known = chosen & np.isfinite(teff) & np.isfinite(logg)
    inside = in_kiel_band(teff, logg)
    high = logg > settings.logg_outlier
    said = (
        f"In the band of BHB stars: {share(int((inside & known).sum()), int(known.sum()))} "
        f"{words} with labels; {int((high & known).sum()):,} lie above the limit of log g."
    )
    x = limits(np.concatenate([cloud.x, stars.x]), (5_500.0, 16_000.0), (7_000.0, 12_000.0))
    y = limits(np.concatenate([cloud.y, stars.y]), (1.5, 6.5), (2.5, 5.0))
    panel = Panel("kiel", "Teff–log g", *names, x[::-1], y[::-1], guides, cloud, stars, said)
    return _said(panel, said)


def metals(table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str) -> Panel:
    """Return Teff–[Fe/H] with the limit of outliers (Figure 4)."""
    names = ("Teff [K]", "[Fe/H] [dex]")
    teff, iron = numbers(table, "teff"), numbers(table, "feh")
    if not (np.isfinite(teff) & np.isfinite(iron)).any():
        return _nothing("metals", "Teff–[Fe/H]", names, NO_LABELS)
    cloud, stars = _two(table, teff, iron, chosen, words)
    guides = (
        Guide(
            np.array([5_000.0, 40_000.0]), np.full(2, settings.feh_outlier), "dashed",
            f"[Fe/H] limit {settings.feh_outlier:g}".replace("-", "−"),
        ),
    )  # fmt: skip
    known = chosen & np.isfinite(iron)
    high = int((known & (iron > settings.feh_outlier)).sum())
    said = f"Above the limit of [Fe/H]: {share(high, int(known.sum()))} {words} with labels."
    x = limits(np.concatenate([cloud.x, stars.x]), (5_500.0, 16_000.0), (7_000.0, 12_000.0))
    y = limits(np.concatenate([cloud.y, stars.y]), _FEH_ENDS, (-3.0, 0.5))
    panel = Panel("metals", "Teff–[Fe/H]", *names, x[::-1], y, guides, cloud, stars, said)
    return _said(panel, said)


def feh(table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str) -> Panel:
    """Return how [Fe/H] is distributed, among all compared stars and the chosen ones."""
    names = ("[Fe/H] [dex]", "stars per 0.2 dex")
    iron = numbers(table, "feh")
    if not np.isfinite(iron).any():
        return _nothing("feh", "[Fe/H]", names, NO_LABELS)
    rows, name = cloud_of(table)
    edges = np.arange(_FEH_ENDS[0], _FEH_ENDS[1] + _FEH_BIN / 2, _FEH_BIN)
    everyone = np.histogram(iron[(rows | chosen) & np.isfinite(iron)], edges)[0]
    own = np.histogram(iron[chosen & np.isfinite(iron)], edges)[0]
    top = 1.08 * max(int(everyone.max()), 1)
    filled = np.flatnonzero(everyone)
    ends = (
        (float(edges[filled[0]]) - _FEH_BIN, float(edges[filled[-1] + 1]) + _FEH_BIN)
        if len(filled)
        else _FEH_ENDS
    )
    guides = (
        Guide(*_steps(edges, everyone), "bars", f"all {name}"),
        Guide(*_steps(edges, own), "counted", words),
        Guide(
            np.full(2, settings.feh_outlier), np.array([0.0, top]), "dashed",
            f"limit {settings.feh_outlier:g}".replace("-", "−"),
        ),
    )  # fmt: skip
    known = iron[chosen & np.isfinite(iron)]
    said = (
        f"Median [Fe/H] of {counted_of(len(known), words)}: {np.median(known):.2f}, the middle "
        f"two thirds between {np.percentile(known, 16):.2f} and {np.percentile(known, 84):.2f}."
        if len(known)
        else f"No [Fe/H] of {words}."
    )
    said = said.replace(" -", " −")
    return Panel(
        "feh", "Metallicities", *names, ends, (0.0, top), guides, nobody(), nobody(words), said
    )


def _steps(edges: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the closed outline of a histogram."""
    x = np.repeat(edges, 2)
    y = np.concatenate([[0.0], np.repeat(counts, 2), [0.0]])
    return x, y


# --- photometry and the sky --------------------------------------------------------------------
def cmd(table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str) -> Panel:
    """Return the colour–magnitude diagram with the trapezoid, good parallaxes only (Figure 5)."""
    colour, magnitude = (
        ("bp_rp0", "abs_mag_g0") if settings.deredden_cmd else ("bp_rp", "abs_mag_g")
    )
    suffix = "₀" if settings.deredden_cmd else ""
    names = (f"(BP−RP){suffix} [mag]" if suffix else "BP−RP [mag]", f"M_G{suffix} [mag]")
    x, y = numbers(table, colour), numbers(table, magnitude)
    if not (np.isfinite(x) & np.isfinite(y)).any():
        return _nothing("cmd", "Colour–magnitude diagram", names, NO_GAIA)
    good = have_good_parallax(table)
    shown = np.where(good, x, np.nan)
    cloud, stars = _two(table, shown, y, chosen, words)
    corners, locus = trapezoid_vertices(), zahb_locus()
    outline = np.vstack([corners, corners[:1]])
    guides = (
        Guide(outline[:, 0], outline[:, 1], "region", "Culpan et al. (2021)"),
        Guide(locus.bp_rp, locus.abs_mag_g, "line", "zero-age horizontal branch"),
    )
    inside = is_true(table, "in_cmd_trapezoid")
    own = chosen & good & np.isfinite(x) & np.isfinite(y)
    said = (
        f"Of {int(chosen.sum()):,} {words} {int(own.sum()):,} have a good parallax; inside the "
        f"trapezoid: {share(int((own & inside).sum()), int(own.sum()))}."
    )
    if table["cmd_exclusions"].notna().any():
        far = own & are_kept_by(table, FUNNEL_EXCLUSIONS)
        said += (
            " Far from the plane and the clouds, and fast: "
            f"{share(int((far & inside).sum()), int(far.sum()))} inside."
        )
    across = limits(np.concatenate([cloud.x, stars.x]), (-0.8, 1.6), (-0.4, 0.8))
    up = limits(np.concatenate([cloud.y, stars.y]), (-4.0, 13.5), (-2.0, 5.0))
    panel = Panel(
        "cmd", "Colour–magnitude diagram", *names, across, up[::-1], guides, cloud, stars, said
    )
    return _said(panel, said)


def sky(table: pd.DataFrame, settings: Settings, chosen: BoolArray, words: str) -> Panel:
    """Return the sky in Galactic coordinates, Aitoff's map, east to the left."""
    names = ("Galactic longitude l [deg]", "Galactic latitude b [deg]")
    ra, dec = numbers(table, "ra"), numbers(table, "dec")
    if not (np.isfinite(ra) & np.isfinite(dec)).any():
        return _nothing("sky", "The sky", names, NO_PLACES)
    x, y = on_map(ra, dec, "galactic")
    cloud, stars = _two(table, x, y, chosen, words)
    limit = settings.latitude_min
    lines = [Guide(*line, "faint") for line in grid_lines()]
    lines += [
        Guide(*parallel(side * limit, "galactic"), "dashed", name)
        for side, name in ((-1, f"|b| = {limit:g}°"), (1, ""))
    ]
    around = [
        circle(float(ra), float(dec), float(radius), "galactic")
        for ra, dec, radius in CLOUD_CIRCLES.values()
    ]
    gap = [np.nan]
    lines.append(
        Guide(
            np.concatenate([part for x, _ in around for part in (x, gap)]),
            np.concatenate([part for _, y in around for part in (y, gap)]),
            "line",
            ", ".join(CLOUD_CIRCLES),
        )
    )
    latitude = np.abs(to_galactic(ra, dec)[1])
    placed = chosen & np.isfinite(latitude)
    low = int((placed & (latitude <= limit)).sum())
    said = (
        f"{share(low, int(placed.sum()))} {words} lie within {limit:g}° of the Galactic plane. "
        "Galactic coordinates, l = 0° in the middle, east is left."
    )
    ends = ((-186.0, 186.0), (-94.0, 94.0))
    return Panel("sky", "The sky", *names, *ends, tuple(lines), cloud, stars, said, bare=True)


def selection_in_words(settings: Settings) -> str:
    """Return the D0.2–fm selection in force: its limits, and where they come from."""
    selection = get_selection(settings.selection)
    return f"{selection.name}: {selection.describe()} Limits: {selection.provenance}."
