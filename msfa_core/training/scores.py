"""Figures of merit and their uncertainties: shares, precision and recall, calibration.

Intervals hold 95 %. Where every star has one spectrum they are Wilson's; where stars have several,
the spectra of a star are not independent and the stars are drawn again (bootstrap).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.typing import BoolArray, FloatArray, IntArray
from msfa_core.vetting.agreement import wilson_interval

BINS: Final = 15  # of confidence, as Guo et al. 2017 (ICML 70, 1321)
LEVEL: Final = 0.95
_RESAMPLES: Final = 1000
_RESAMPLES_CALIBRATION: Final = 200
_SEED: Final = 1


def confusion_matrix(label: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """(n_classes, n_classes) counts: true class down, predicted class across."""
    pairs = label * n_classes + predicted
    counts: IntArray = np.bincount(pairs, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def precision_recall_f1(confusion: IntArray) -> FloatArray:
    """(n_classes, 3) precision, recall and F1 of a confusion matrix.

    A class that is never predicted has precision 0, one without spectra recall NaN.
    """
    right = np.diag(confusion).astype(np.float64)
    predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = np.where(true > 0, right / np.maximum(true, 1), np.nan)
    f1 = np.where(true > 0, 2 * right / np.maximum(predicted + true, 1), np.nan)
    return np.column_stack([precision, recall, f1])


def macro_f1(label: IntArray, predicted: IntArray, n_classes: int) -> float:
    """Return the mean F1 of the classes that have spectra."""
    return float(
        np.nanmean(precision_recall_f1(confusion_matrix(label, predicted, n_classes))[:, 2])
    )


def binary_scores(truth: BoolArray, chosen: BoolArray) -> dict[str, float]:
    """Return precision, recall and F1 of a choice, with the counts behind them.

    Precision is 0 when nothing is chosen, recall NaN when there is nothing to find.
    """
    right, n_chosen, n_true = int((truth & chosen).sum()), int(chosen.sum()), int(truth.sum())
    return {
        "precision": right / n_chosen if n_chosen else 0.0,
        "recall": right / n_true if n_true else float("nan"),
        "f1": 2 * right / (n_chosen + n_true) if n_chosen + n_true else float("nan"),
        "n_true": n_true,
        "n_chosen": n_chosen,
        "n_right": right,
    }


def scores_with_intervals(truth: BoolArray, chosen: BoolArray, star: IntArray) -> dict[str, float]:
    """Return :func:`binary_scores` with ``precision_low``, ``precision_high`` and so on.

    The interval of F1 is that of the share of right ones among all that are true or chosen,
    J, through F1 = 2 J / (1 + J) (Dice and Jaccard).
    """
    scores = binary_scores(truth, chosen)
    right = truth & chosen
    union = share_interval(right, truth | chosen, star)
    intervals = {
        "precision": share_interval(right, chosen, star),
        "recall": share_interval(right, truth, star),
        "f1": (2 * union[0] / (1 + union[0]), 2 * union[1] / (1 + union[1])),
    }
    named: dict[str, float] = {}
    for name, (low, high) in intervals.items():
        named |= {name: scores[name], f"{name}_low": low, f"{name}_high": high}
    return named | {name: scores[name] for name in ("n_true", "n_chosen", "n_right")}


def share_interval(right: BoolArray, among: BoolArray, star: IntArray) -> tuple[float, float]:
    """Return the 95 % interval of the share of right spectra among those asked for.

    Wilson's where every star has one spectrum; else from drawing the stars again, 1000 times.
    Where that has no spread (all of one answer), Wilson's with the number of stars as trials.

    Parameters
    ----------
    right, among : (n,) bool arrays
    star : (n,) int64 array
    """
    which = star[among]
    hits = right[among]
    stars, index = np.unique(which, return_inverse=True)
    if len(stars) == len(which):
        return wilson_interval(hits.sum(), len(which))
    sums = np.column_stack([np.bincount(index, weights=hits), np.bincount(index)])
    share = sums[:, 0].sum() / sums[:, 1].sum()
    if share in (0.0, 1.0):
        return wilson_interval(share * len(stars), len(stars))
    kinds, times = np.unique(sums, axis=0, return_counts=True)  # stars alike are drawn together
    draws = np.random.default_rng(_SEED).multinomial(
        len(stars), times / len(stars), size=_RESAMPLES
    )
    n_right, n = (draws @ kinds).T
    low, high = np.quantile(n_right / n, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_row(right: BoolArray, among: BoolArray, star: IntArray, name: str) -> dict[str, float]:
    """Return ``name``, ``name_low`` and ``name_high``: a share and its interval."""
    low, high = share_interval(right, among, star)
    share = float(right[among].mean()) if among.any() else float("nan")
    return {name: share, f"{name}_low": low, f"{name}_high": high}


# --- precision against recall ---------------------------------------------------------------


def precision_recall_curve(truth: BoolArray, score: FloatArray) -> pd.DataFrame:
    """Return precision and recall at every threshold, the highest first.

    Parameters
    ----------
    truth : (n,) bool array
    score : (n,) array
        Spectra of score −inf are never chosen.

    Returns
    -------
    DataFrame
        Columns ``threshold`` (chosen at or above), ``precision``, ``recall``; empty when there
        is nothing to find.
    """
    columns = ["threshold", "precision", "recall"]
    if not truth.any():
        return pd.DataFrame(columns=columns, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    right = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True) & np.isfinite(ordered))
    precision, recall = right[last] / (last + 1), right[last] / truth.sum()
    return pd.DataFrame(np.column_stack([ordered[last], precision, recall]), columns=columns)


def average_precision(curve: pd.DataFrame) -> float:
    """Return the mean precision over recall: Σ (R_k − R_{k−1}) P_k; NaN without a curve."""
    if curve.empty:
        return float("nan")
    steps = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return float((steps * curve["precision"].to_numpy()).sum())


# --- calibration ----------------------------------------------------------------------------


def _bins(probability: FloatArray, n_bins: int, equal_count: bool) -> IntArray:
    """(n,) number of the bin of each confidence: of equal width in [0, 1], or of equal count."""
    if not equal_count:
        return np.minimum((probability * n_bins).astype(np.int64), n_bins - 1)
    rank = np.empty(len(probability), np.int64)
    rank[np.argsort(probability, kind="stable")] = np.arange(len(probability))
    return rank * n_bins // max(len(probability), 1)


def reliability(
    probability: FloatArray,
    right: BoolArray,
    n_bins: int = BINS,
    *,
    equal_count: bool = False,
    star: IntArray | None = None,
) -> pd.DataFrame:
    """Return confidence against the share that is right: the bins that hold spectra.

    Columns ``n``, ``confidence`` (mean of the bin), ``share_right`` and its interval ``low``,
    ``high``.
    """
    which = _bins(probability, n_bins, equal_count)
    star = np.arange(len(right)) if star is None else star
    rows: list[dict[str, Any]] = []
    for index in np.unique(which):
        inside = which == index
        low, high = share_interval(right, inside, star)
        rows.append(
            {
                "n": int(inside.sum()),
                "confidence": float(probability[inside].mean()),
                "share_right": float(right[inside].mean()),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows, columns=["n", "confidence", "share_right", "low", "high"])


def expected_calibration_error(
    probability: FloatArray, right: BoolArray, n_bins: int = BINS, *, equal_count: bool = False
) -> float:
    """Return the mean distance between confidence and the share that is right.

    Parameters
    ----------
    probability : (n,) array
        Confidence of each answer.
    right : (n,) bool array
    n_bins : int
        Bins of confidence, weighed by their spectra.
    equal_count : bool
        Bins with equal numbers of spectra; else of equal width in [0, 1].
    """
    if not len(right):
        return float("nan")
    which = _bins(probability, n_bins, equal_count)
    return float(np.abs(np.bincount(which, weights=probability - right)).sum() / len(right))


def calibration_scores(
    probability: FloatArray, right: BoolArray, star: IntArray
) -> dict[str, float]:
    """Return how honest probabilities are.

    Returns
    -------
    dict
        ``n``; ``ece`` (15 bins of equal width) with its interval ``ece_low``, ``ece_high``
        (stars drawn again); ``ece_equal_count`` (15 bins of equal number); ``ece_if_honest``,
        the error that honest probabilities would show by chance on as many spectra; ``brier``,
        the mean squared distance between probability and truth.
    """
    n = len(right)
    names = ("ece", "ece_low", "ece_high", "ece_equal_count", "ece_if_honest", "brier")
    if not n:
        return {"n": 0} | dict.fromkeys(names, float("nan"))
    rng = np.random.default_rng(_SEED)
    which = _bins(probability, BINS, equal_count=False)
    _, index = np.unique(star, return_inverse=True)
    n_stars = int(index.max()) + 1
    gaps = np.zeros((n_stars, BINS + 1))
    np.add.at(gaps, (index, which), probability - right)
    gaps[:, BINS] = np.bincount(index)
    again = rng.multinomial(n_stars, np.full(n_stars, 1 / n_stars), size=_RESAMPLES_CALIBRATION)
    sums = again @ gaps
    errors = np.abs(sums[:, :BINS]).sum(axis=1) / sums[:, BINS]
    low, high = np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    honest = [
        expected_calibration_error(probability, rng.random(n) < probability)
        for _ in range(_RESAMPLES_CALIBRATION)
    ]
    values = (
        expected_calibration_error(probability, right),
        float(low),
        float(high),
        expected_calibration_error(probability, right, equal_count=True),
        float(np.mean(honest)),
        float(np.mean((probability - right) ** 2)),
    )
    return {"n": n} | dict(zip(names, values, strict=True))
