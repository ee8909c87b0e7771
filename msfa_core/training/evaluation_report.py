"""An evaluation in words and files: what is printed, and tables as CSV and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import pandas as pd

from msfa_core.networks.weights import write_atomically
from msfa_core.training.evaluate import Evaluation
from msfa_core.training.evaluation_figures import write_figures

_BIN_COLUMNS: Final = ("from", "to", "n", "accuracy", "precision", "recall", "f1")
_WORST: Final = 20  # stars printed; the file has all
INTERVALS: Final = (
    "Intervals hold 95 %: Wilson's where every star has one spectrum; else the stars are drawn "
    "again (Wilson's with the stars as trials where all agree)."
)
ECE_WORDS: Final = (
    "Expected calibration error (ECE): 15 bins of equal width, beside 15 bins of equal count and "
    "what honest probabilities would show by chance on as many spectra."
)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN becomes null, infinity text, keys text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item"):  # NumPy scalars
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def with_intervals(table: pd.DataFrame, digits: int = 4) -> pd.DataFrame:
    """Fold ``x``, ``x_low``, ``x_high`` into one column of text, ``0.93 (0.91–0.95)``.

    Columns of whole numbers stay; other numbers are rounded.
    """
    folded: dict[str, Any] = {}
    for name in map(str, table.columns):
        if name.endswith(("_low", "_high")):
            continue
        column = table[name]
        if f"{name}_low" in table:
            ends = zip(column, table[f"{name}_low"], table[f"{name}_high"], strict=True)
            folded[name] = [_with_interval(x, a, b, digits) for x, a, b in ends]
        elif name in ("n", "n_stars") or name.startswith(("n_true", "n_chosen", "n_right")):
            folded[name] = column.astype(int).to_numpy()
        elif column.dtype.kind == "f":
            folded[name] = [
                f"{x:g}" if name in ("from", "to") else "–" if math.isnan(x) else f"{x:.{digits}f}"
                for x in column
            ]
        else:
            folded[name] = column.to_numpy()
    return pd.DataFrame(folded, index=table.index)


def _with_interval(value: float, low: float, high: float, digits: int) -> str:
    """``0.93 (0.91–0.95)``; without an interval where there were no trials."""
    if math.isnan(value):
        return "–"
    interval = "" if math.isnan(low) else f" ({low:.{digits}f}–{high:.{digits}f})"
    return f"{value:.{digits}f}{interval}"


def short_bins(table: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """Return the columns of a table in bins that a page can hold."""
    cut = [name for name in ("f1_after_cut",) if name in table]
    errors = ["ece_top", "ece_p_bhb_1", "ece_p_bhb_2"]
    wanted = [*_BIN_COLUMNS, *cut]
    columns = [c for name in wanted for c in (name, f"{name}_low", f"{name}_high") if c in table]
    return with_intervals(table[[*columns, *errors]], digits)


def evaluation_text(evaluation: Evaluation) -> str:
    """Return the figures as they are printed."""
    digits = 4 if evaluation.answers.simulated else 3
    region = evaluation.answers.region
    share = evaluation.confusion.div(evaluation.confusion.sum(axis=1), axis=0)
    parts = [
        evaluation.title,
        INTERVALS,
        f"stage 1, five classes: accuracy {evaluation.accuracy:.4f}",
        _say(with_intervals(evaluation.per_class, digits)),
        "confusion, true class down, predicted class across: counts",
        _say(evaluation.confusion),
        "confusion: share of the true class",
        share.to_string(float_format="{:.3f}".format, na_rep="–"),
        f"BHB after each stage, and after the D0.2–fm selection {region}",
        _say(with_intervals(evaluation.search, digits)),
        "mean precision over recall: "
        + ", ".join(f"{k} {v:.4f}" for k, v in evaluation.average_precision.items()),
        "share of each class kept as BHB",
        _say(with_intervals(evaluation.shares, digits)),
        ECE_WORDS,
        _say(with_intervals(evaluation.calibration)),
    ]
    for words, table in (
        ("against S/N per pixel in g", evaluation.by_snr),
        ("against Teff [K]", evaluation.by_teff),
    ):
        if len(table):
            parts += [words, short_bins(table).to_string(index=False)]
    if len(evaluation.stars):
        worst = evaluation.stars.head(_WORST).drop(columns="star")
        parts += [
            f"stars that both stages mistake: {len(evaluation.stars):,}, the worst first "
            "(wrong: share of spectra wrongly kept, or of a BHB star's lost)",
            worst.to_string(index=False, float_format="{:.4g}".format, na_rep="–"),
        ]
    return "\n\n".join(parts)


def _say(table: pd.DataFrame) -> str:
    return table.to_string(na_rep="–")


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write tables (CSV, JSON) and pictures (PNG); each name begins with the origin.

    Parameters
    ----------
    evaluation : Evaluation
    folder : str or Path

    Returns
    -------
    list of Path
        The files: ``<origin>_evaluation.json`` and ``.txt``, a CSV per table, the pictures.
    """
    folder = Path(folder)
    stem = evaluation.origin
    tables = {
        "per_class": evaluation.per_class.rename_axis("class").reset_index(),
        "confusion": evaluation.confusion.rename_axis("true").reset_index(),
        "search": evaluation.search.rename_axis("kept_by").reset_index(),
        "shares": evaluation.shares.rename_axis("class").reset_index(),
        "calibration": evaluation.calibration.rename_axis("of").reset_index(),
        "reliability": evaluation.reliability,
        "precision_recall": pd.concat(
            [curve.assign(of=name) for name, curve in evaluation.curves.items()]
        ),
        "by_snr": evaluation.by_snr,
        "by_teff": evaluation.by_teff,
        "classes_by_snr": evaluation.classes_by_snr,
        "classes_by_teff": evaluation.classes_by_teff,
        "mistaken_stars": evaluation.stars,
    }
    paths = [
        write_atomically(folder / f"{stem}_{name}.csv", table.to_csv(index=False).encode())
        for name, table in tables.items()
        if len(table.columns)
    ]
    paths.append(
        write_atomically(folder / f"{stem}_evaluation.json", evaluation_json(evaluation).encode())
    )
    text = evaluation_text(evaluation) + "\n"
    paths.append(write_atomically(folder / f"{stem}_evaluation.txt", text.encode()))
    return paths + write_figures(evaluation, folder)


def evaluation_json(evaluation: Evaluation, **more: Any) -> str:
    """Return the figures, and those in bins, as JSON text."""
    tables = {
        **evaluation.summary(),
        "by_snr": evaluation.by_snr.to_dict("records"),
        "by_teff": evaluation.by_teff.to_dict("records"),
        **more,
    }
    return json.dumps(plain(tables), indent=1, ensure_ascii=False) + "\n"
