"""Pictures of a validation: confusion, velocity errors, labels, and the match radius.

Colours are those of Okabe & Ito (2008), told apart by the colour-blind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from msfa_core.training.evaluation_figures import COLOURS
from msfa_core.validation.compare import LABELS, SNR_EDGES, Validation, robust_scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI: Final = 130
_HALF: Final = 0.5
_FEWEST: Final = 3  # spectra that a bin needs to be drawn
_SHOWN: Final = 0.98  # share of the errors that the axis holds
_UNITS: Final = {"teff": "Teff [K]", "logg": "log g [dex]", "feh": "[Fe/H] [dex]"}


def write_figures(validation: Validation, folder: str | Path, title: str) -> list[Path]:
    """Draw a validation.

    Parameters
    ----------
    validation : Validation
    folder : str or Path
    title : str
        Over every picture.

    Returns
    -------
    list of Path
        ``<table>.png`` of each confusion, ``velocity_<opinion>.png``, ``labels.png`` and
        ``uid_radius.png``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawings: dict[str, tuple[tuple[float, float], Callable[[Figure, Validation], None]]] = {}
    for name in validation.tables:
        if name.endswith("_confusion") or "_confusion_" in name:
            side = 3.0 + 0.55 * max(validation.tables[name].shape)
            drawings[name] = ((side + 1.6, side), partial(draw_confusion, name=name))
        elif name.startswith("velocity_"):
            drawings[name] = ((11.0, 4.6), partial(draw_velocity, name=name))
    if "labels" in validation.tables:
        drawings["labels"] = ((13.0, 4.4), draw_labels)
    drawings["uid_radius"] = ((10.0, 4.2), draw_radius)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (size, draw) in drawings.items():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, validation)
        figure.suptitle(title, fontsize=10)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def draw_confusion(figure: Figure, validation: Validation, name: str) -> None:
    """Draw a confusion matrix: share of each row, and counts."""
    table = validation.tables[name]
    counts = table.to_numpy()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*counts.shape):
        if counts[i, j]:
            colour = "white" if share[i, j] > _HALF else "black"
            text = f"{share[i, j]:.0%}\n{counts[i, j]:,}"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(table.columns)), [str(one) for one in table.columns])
    rows = [f"{one} (n = {n:,})" for one, n in zip(table.index, counts.sum(axis=1), strict=True)]
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=f"survey ({name.replace('_', ' ')})", ylabel="reference")
    figure.colorbar(image, ax=axes, label="share of the reference's class", shrink=0.85)


def draw_velocity(figure: Figure, validation: Validation, name: str) -> None:
    """Draw the error of the velocity against S/N, and its distribution."""
    opinion = name.removeprefix("velocity_")
    values = validation.values
    error = values[f"velocity_error_{opinion}"].to_numpy(np.float64)
    snr, letter = values["snr_g"].to_numpy(np.float64), values["letter"].to_numpy(object)
    good = np.isfinite(error)
    reach = max(float(np.quantile(np.abs(error[good]), _SHOWN)), 10.0) if good.any() else 10.0
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    names = [one for one in dict.fromkeys(letter) if isinstance(one, str)]
    for k, one in enumerate(sorted(names)):
        inside = good & (letter == one)
        style = "o" if k < len(COLOURS) else "^"
        shown = np.clip(error[inside], -reach, reach)
        left.plot(snr[inside], shown, style, ms=3, color=COLOURS[k % len(COLOURS)], label=one)
    for low, high in zip(SNR_EDGES[:-1], SNR_EDGES[1:], strict=True):
        inside = good & (snr >= low) & (snr < high)
        if inside.sum() >= _FEWEST:
            middle, spread = float(np.median(error[inside])), robust_scatter(error[inside])
            at = float(np.median(snr[inside]))
            left.errorbar(at, middle, spread, fmt="s", color="black", mfc="white", capsize=3)
    left.axhline(0, color="0.5", linewidth=0.8)
    left.set(xscale="log", xlabel="S/N in g", ylabel="velocity, survey − reference [km/s]")
    left.set_title("squares: median and robust scatter; beyond the axis at its end", fontsize=8)
    if names:
        left.legend(fontsize=7, ncols=2)
    right.hist(np.clip(error[good], -reach, reach), bins=40, color=COLOURS[0])
    words = "no error known"
    if good.any():
        words = (
            f"median {np.median(error[good]):.1f}, scatter {robust_scatter(error[good]):.1f} km/s"
        )
    right.set(xlabel="velocity, survey − reference [km/s]", ylabel="spectra")
    right.set_title(words, fontsize=9)


def draw_labels(figure: Figure, validation: Validation) -> None:
    """Draw the labels of the survey against those of the reference."""
    values = validation.values
    panels = figure.subplots(1, len(LABELS))
    for panel, name in zip(panels, LABELS, strict=True):
        panel.set(xlabel=f"reference {_UNITS[name]}", ylabel=f"survey {_UNITS[name]}")
        if name not in values:
            panel.text(0.5, 0.5, "not known of both", transform=panel.transAxes, ha="center")
            continue
        truth, own = values[f"reference_{name}"], values[name]
        panel.plot(truth, own, "o", ms=3, color=COLOURS[0])
        both = truth.notna() & own.notna()
        if both.any():
            ends = [
                min(truth[both].min(), own[both].min()),
                max(truth[both].max(), own[both].max()),
            ]
            panel.plot(ends, ends, color="0.5", linewidth=0.8)
            error = (own - truth)[both].to_numpy(np.float64)
            panel.set_title(
                f"n = {len(error)}: median {np.median(error):.3g}, scatter "
                f"{robust_scatter(error):.3g}",
                fontsize=9,
            )


def draw_radius(figure: Figure, validation: Validation) -> None:
    """Draw the number of stars, and what merges and splits, against the match radius."""
    table: pd.DataFrame = validation.tables["uid_radius"]
    left, right = figure.subplots(1, 2)
    left.plot(table["radius_arcsec"], table["n_stars"], "o-", color=COLOURS[0])
    left.set(xlabel="match radius [arcsec]", ylabel="stars")
    left.ticklabel_format(useOffset=False)
    right.plot(table["radius_arcsec"], table["merges"], "^-", color=COLOURS[1], label="merges")
    right.plot(table["radius_arcsec"], table["splits"], "v-", color=COLOURS[2], label="splits")
    right.set(xlabel="match radius [arcsec]", ylabel="stars, against 3 arcsec")
    right.legend(fontsize=8)
