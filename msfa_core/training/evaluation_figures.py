"""Pictures of an evaluation: confusion, precision against recall, reliability, S/N and Teff.

Colours are those of Okabe & Ito (2008), told apart by the colour-blind; markers differ too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from msfa_core.constants import CLASS_NAMES, StellarClass
from msfa_core.training.evaluate import DIAGRAMS, SNR_EDGES, TEFF_EDGES, Evaluation
from msfa_core.training.scores import BINS, average_precision, precision_recall_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
PICTURES: Final = ("confusion", "precision_recall", "reliability", "classes", "against_snr_teff")
_DPI: Final = 130
_HALF: Final = 0.5
_SNR, _TEFF = "S/N per pixel in g", "Teff [1000 K]"
_FEWEST: Final = 5  # BHB spectra that a curve of a bin needs


def write_figures(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Draw an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    folder : str or Path

    Returns
    -------
    list of Path
        ``<origin>_confusion.png``, ``_precision_recall.png``, ``_reliability.png``,
        ``_classes.png`` and, where S/N or Teff is known, ``_against_snr_teff.png``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawings: dict[str, tuple[tuple[float, float], Callable[[Figure, Evaluation], None]]] = {
        "confusion": ((6.2, 5.4), draw_confusion),
        "precision_recall": ((13.5, 4.8), draw_precision_recall),
        "reliability": ((13.5, 6.6), draw_reliability),
        "classes": ((13.0, 4.6), draw_classes),
    }
    if len(evaluation.by_snr) or len(evaluation.by_teff):
        columns = int(len(evaluation.by_snr) > 0) + int(len(evaluation.by_teff) > 0)
        drawings["against_snr_teff"] = ((6.4 * columns, 10.5), draw_bins)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (size, draw) in drawings.items():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, evaluation)
        figure.suptitle(evaluation.title, fontweight="bold")
        paths.append(folder / f"{evaluation.origin}_{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def draw_confusion(figure: Figure, evaluation: Evaluation) -> None:
    """Draw the confusion matrix of stage 1: share of each true class, and counts."""
    axes = figure.subplots()
    counts = evaluation.confusion.to_numpy()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        if counts[i].sum():
            text = f"{share[i, j]:.1%}\n{counts[i, j]:,}"
            colour = "white" if share[i, j] > _HALF else "black"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
    names = list(CLASS_NAMES)
    axes.set_xticks(range(len(names)), names)
    rows = [f"{name}\n(n = {n:,})" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    axes.set_yticks(range(len(names)), rows)
    axes.set(xlabel="predicted class (stage 1)", ylabel="true class")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.85)


def draw_precision_recall(figure: Figure, evaluation: Evaluation) -> None:
    """Draw precision against recall of BHB: by stage, and of p_bhb in bins of S/N and Teff."""
    answers = evaluation.answers
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for k, (name, curve) in enumerate(evaluation.curves.items()):
        label = f"{name}: AP {average_precision(curve):.3f}"
        panels[0].plot(curve["recall"], curve["precision"], color=COLOURS[k], label=label)
    for k, (name, row) in enumerate(evaluation.search.iterrows()):
        panels[0].errorbar(
            row["recall"],
            row["precision"],
            xerr=_bars(row, "recall"),
            yerr=_bars(row, "precision"),
            fmt=MARKERS[k],
            color="black",
            markerfacecolor="white",
            label=f"{name}: F1 {row['f1']:.3f}",
        )
    panels[0].set_title(f"stages; points: most probable class, p_bhb ≥ {answers.threshold:g}")
    for panel, values, edges, unit in (
        (panels[1], answers.snr_g, SNR_EDGES, "S/N"),
        (panels[2], answers.teff, TEFF_EDGES, "Teff [K]"),
    ):
        panel.set_title(f"stage 2, p_bhb, in bins of {unit}")
        if values is None:
            panel.text(0.5, 0.5, "not known of this set", transform=panel.transAxes, ha="center")
            continue
        for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            inside = (values >= low) & (values < high)
            if answers.is_bhb[inside].sum() < _FEWEST or answers.is_bhb[inside].all():
                continue
            curve = precision_recall_curve(answers.is_bhb[inside], answers.p_bhb[inside])
            colour, style = COLOURS[k % len(COLOURS)], "--" if k >= len(COLOURS) else "-"
            label = f"{_range(low, high)}: AP {average_precision(curve):.3f}"
            panel.plot(curve["recall"], curve["precision"], style, color=colour, label=label)
    points = evaluation.search[["recall_low", "precision_low"]].min().fillna(0.0)
    left, bottom = (max(0.0, np.floor(10 * value - 2) / 10) for value in points)
    for panel in panels:
        panel.set(xlabel="recall of BHB", xlim=(left, 1.01), ylim=(bottom, 1.01))
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[1]:
            panel.legend(loc="lower left", fontsize=8)
    panels[0].set_ylabel("precision of BHB")


def draw_reliability(figure: Figure, evaluation: Evaluation) -> None:
    """Draw what came true against what was said, and how often it was said."""
    panels = figure.subplots(2, 3, sharex=True, height_ratios=(3, 1))
    table = evaluation.reliability
    for k, name in enumerate(DIAGRAMS):
        top, bottom = panels[0, k], panels[1, k]
        top.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="honest")
        for i, bins in enumerate(("equal width", "equal count")):
            rows = table[(table["of"] == name) & (table["bins"] == bins)]
            scores = evaluation.calibration.loc[name]
            error = scores["ece"] if i == 0 else scores["ece_equal_count"]
            top.errorbar(
                rows["confidence"],
                rows["share_right"],
                yerr=_table_bars(rows, "share_right", "low", "high"),
                fmt=MARKERS[i],
                color=COLOURS[i],
                markersize=5,
                capsize=2,
                label=f"{BINS} bins of {bins}: ECE {error:.4f}",
            )
            if i == 0:
                bottom.bar(rows["confidence"], rows["n"], width=0.03, color=COLOURS[0])
        top.set(title=name, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        top.grid(alpha=0.3)
        top.legend(loc="lower right", fontsize=8)
        bottom.set(xlabel="probability", yscale="log")
    panels[0, 0].set_ylabel("share that came true")
    panels[1, 0].set_ylabel("spectra")


def draw_classes(figure: Figure, evaluation: Evaluation) -> None:
    """Draw precision, recall, F1 per class, and the share of each class kept as candidates."""
    left, middle, right = figure.subplots(1, 3, width_ratios=(5, 2, 5))
    table = evaluation.per_class[evaluation.per_class["n"] > 0]
    _side_by_side(left, table, ["precision", "recall", "f1"])
    left.set_ylabel("stage 1, five classes")
    is_bhb = evaluation.shares.index == str(StellarClass.BHB)
    names = list(evaluation.search.index)
    for panel, rows, words in (
        (middle, is_bhb, "share of BHB spectra kept"),
        (right, ~is_bhb, "share of other spectra kept as BHB"),
    ):
        if rows.any():
            _side_by_side(panel, evaluation.shares[rows], names)
        panel.set_ylabel(words)
    middle.set_xlim(-0.5, 0.5)
    right.set_ylim(bottom=0)
    for panel in (left, middle):
        _zoom(panel)
    for panel in (left, middle, right):
        panel.grid(alpha=0.3, axis="y")
    left.legend(fontsize=8)
    if right.get_legend_handles_labels()[1]:
        right.legend(fontsize=8)


def draw_bins(figure: Figure, evaluation: Evaluation) -> None:
    """Draw accuracy, both stages before and after the cut, and calibration against S/N, Teff."""
    kilokelvin = evaluation.by_teff.copy()
    if len(kilokelvin):
        kilokelvin[["from", "to"]] /= 1000
    tables = [(evaluation.by_snr, _SNR), (kilokelvin, _TEFF)]
    tables = [(table, unit) for table, unit in tables if len(table)]
    has_cut = "precision_after_cut" in tables[0][0]
    panels = figure.subplots(3 + has_cut, len(tables), squeeze=False, sharex="col")
    for column, (table, unit) in enumerate(tables):
        shown = [
            (["accuracy"], "accuracy of stage 1"),
            (["precision", "recall", "f1"], "BHB, both stages"),
        ]
        if has_cut:
            names = ["precision_after_cut", "recall_after_cut", "f1_after_cut"]
            shown.append((names, f"BHB, both stages,\nthen {evaluation.answers.region}"))
        ticks = [
            f"{_range(a, b)}\nn = {n:,}"
            for a, b, n in zip(table["from"], table["to"], table["n"], strict=True)
        ]
        for row, (names, label) in enumerate(shown):
            _side_by_side(panels[row, column], table.set_axis(ticks), names)
            panels[row, column].set_ylabel(label)
            _zoom(panels[row, column])
        last = panels[-1, column]
        errors = ["ece_top", "ece_p_bhb_1", "ece_p_bhb_2"]
        _side_by_side(last, table.set_axis(ticks), errors, list(DIAGRAMS))
        for k, name in enumerate(errors):
            at = np.arange(len(table)) + 0.12 * (k - 1)
            last.plot(at, table[f"{name}_if_honest"], "_", color=COLOURS[k], markersize=12)
        last.plot([], [], "_", color="0.4", markersize=12, label="of honest ones, by chance")
        last.set(ylabel="expected calibration error", xlabel=unit)
        last.set_ylim(bottom=0)
        last.tick_params(axis="x", labelsize=7)
        for panel in panels[:, column]:
            panel.grid(alpha=0.3, axis="y")
            panel.legend(fontsize=7, loc="best")


def _zoom(axes: Axes) -> None:
    """Show shares from a round number below the lowest point or bar up to 1."""
    lowest = axes.dataLim.y0
    bottom = np.floor(lowest * 10) / 10 if np.isfinite(lowest) else 0.0
    axes.set_ylim(max(0.0, min(bottom, 0.9)) - 0.005, 1.015)


def _side_by_side(
    axes: Axes, table: pd.DataFrame, names: list[str], labels: list[str] | None = None
) -> None:
    """Points with intervals for each row of a table, the columns beside one another."""
    middle = (len(names) - 1) / 2
    for k, name in enumerate(names):
        axes.errorbar(
            np.arange(len(table)) + 0.12 * (k - middle),
            table[name],
            yerr=_table_bars(table, name, f"{name}_low", f"{name}_high"),
            fmt=MARKERS[k],
            color=COLOURS[k],
            markersize=5,
            capsize=2,
            label=labels[k] if labels else name.removesuffix("_after_cut").replace("f1", "F1"),
        )
    axes.set_xticks(range(len(table)), [str(name) for name in table.index])


def _table_bars(table: pd.DataFrame, name: str, low: str, high: str) -> Any:
    """(2, n) lengths of error bars, none where there is no interval."""
    middle = table[name].to_numpy(np.float64)
    ends = np.vstack([middle - table[low], table[high].to_numpy(np.float64) - middle])
    return np.nan_to_num(np.clip(ends, 0, None))


def _bars(row: pd.Series, name: str) -> Any:
    """(2, 1) lengths of the error bars of one point."""
    return _table_bars(row.to_frame().T, name, f"{name}_low", f"{name}_high")


def _range(low: float, high: float) -> str:
    """Text of a bin."""
    if not np.isfinite(high):
        return f"≥ {low:g}"
    return f"< {high:g}" if low == 0 else f"{low:g}–{high:g}"
