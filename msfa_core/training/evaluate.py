"""How good the search is: per class, per stage, against S/N and Teff, against a straight cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import BHB_THRESHOLD, STELLAR_CLASSES, StellarClass
from msfa_core.errors import TrainingError

SNR_EDGES: Final = (0.0, 10.0, 20.0, 40.0, 80.0, np.inf)
TEFF_EDGES: Final = (0.0, 7000.0, 8000.0, 9000.0, 10000.0, 12000.0, 15000.0, 25000.0, np.inf)
ECE_BINS: Final = 15
BHB_CODE: Final = STELLAR_CLASSES.index(StellarClass.BHB)


def confusion_matrix(
    label: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """(n_classes, n_classes) counts: true class down, predicted class across."""
    pairs = label * n_classes + predicted
    counts: NDArray[np.int64] = np.bincount(pairs, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def precision_recall_f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_classes, 3) precision, recall and F1 of a confusion matrix.

    A class that is never predicted has precision 0, one without spectra recall NaN.
    """
    right = np.diag(confusion).astype(np.float64)
    predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = np.where(true > 0, right / np.maximum(true, 1), np.nan)
    f1 = np.where(true > 0, 2 * right / np.maximum(predicted + true, 1), np.nan)
    return np.column_stack([precision, recall, f1])


def macro_f1(label: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> float:
    """Return the mean F1 of the classes that have spectra."""
    return float(
        np.nanmean(precision_recall_f1(confusion_matrix(label, predicted, n_classes))[:, 2])
    )


def binary_scores(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> dict[str, float]:
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


def expected_calibration_error(
    probability: NDArray[np.float64], right: NDArray[np.bool_], n_bins: int = ECE_BINS
) -> float:
    """Return the mean distance between confidence and the share that is right.

    Parameters
    ----------
    probability : (n,) array
        Confidence of each answer.
    right : (n,) bool array
    n_bins : int
        Equal bins of confidence in [0, 1], weighed by their spectra.
    """
    return float(
        sum(
            row["n"] / len(probability) * abs(row["confidence"] - row["share_right"])
            for row in reliability(probability, right, n_bins).to_dict("records")
        )
    )


def reliability(
    probability: NDArray[np.float64], right: NDArray[np.bool_], n_bins: int = ECE_BINS
) -> pd.DataFrame:
    """Return confidence against the share that is right: the bins that hold spectra.

    Columns ``n``, ``confidence`` (mean of the bin) and ``share_right``.
    """
    which = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    table = pd.DataFrame({"bin": which, "confidence": probability, "share_right": right})
    grouped = table.groupby("bin").agg(
        n=("share_right", "size"),
        confidence=("confidence", "mean"),
        share_right=("share_right", "mean"),
    )
    return grouped.reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a search on spectra of known class.

    Attributes
    ----------
    accuracy : float
        Stage 1, five classes.
    per_class : DataFrame
        Precision, recall, F1 and number of spectra per class (stage 1).
    confusion : DataFrame
        True class down, predicted class across.
    two_stage : dict
        BHB after both stages: precision, recall, F1 and counts.
    let_through : dict
        Share of each class's spectra that end as candidates.
    ece_stage1, ece_stage2 : float
        Expected calibration error of the predicted class, and of BHB against the classes
        that stage 2 was trained on.
    by_snr, by_teff : DataFrame
        The two-stage figures and the accuracy in bins of S/N and of true Teff; empty where
        the set does not know them.
    """

    accuracy: float
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    two_stage: dict[str, float]
    let_through: dict[str, float]
    ece_stage1: float
    ece_stage2: float
    by_snr: pd.DataFrame
    by_teff: pd.DataFrame

    def summary(self) -> dict[str, Any]:
        """Return the figures as plain numbers, for a model card."""
        return {
            "accuracy": self.accuracy,
            "per_class": self.per_class.to_dict("index"),
            "confusion": self.confusion.to_numpy().tolist(),
            "two_stage": self.two_stage,
            "let_through": self.let_through,
            "ece_stage1": self.ece_stage1,
            "ece_stage2": self.ece_stage2,
        }


def evaluate(
    class_probability: NDArray[np.float64],
    p_bhb: NDArray[np.float64],
    label: NDArray[np.int64],
    *,
    snr_g: NDArray[np.float64] | None = None,
    teff: NDArray[np.float64] | None = None,
    threshold: float = float(BHB_THRESHOLD),
    stage2_classes: Sequence[str] = ("BHB", "A", "HSD"),
) -> Evaluation:
    """Compare what the search says with what is known.

    Parameters
    ----------
    class_probability : (n, 5) array
        Stage 1.
    p_bhb : (n,) array
        Stage 2.
    label : (n,) int64 array
        True classes, indices of ``STELLAR_CLASSES``.
    snr_g, teff : (n,) arrays, optional
        For the figures in bins [-, K].
    threshold : float
        Of stage 2.
    stage2_classes : names
        Classes that the calibration of stage 2 is measured on.

    Raises
    ------
    TrainingError
        When there are no spectra or lengths differ.
    """
    n = len(label)
    if not n or class_probability.shape != (n, len(STELLAR_CLASSES)) or p_bhb.shape != (n,):
        raise TrainingError(
            f"{n} labels, class_probability {class_probability.shape}, p_bhb {p_bhb.shape}: give "
            "at least one spectrum and one row of each per spectrum."
        )
    predicted = class_probability.argmax(axis=1)
    candidate = (predicted == BHB_CODE) & (p_bhb >= threshold)
    is_bhb = label == BHB_CODE
    names = [str(c) for c in STELLAR_CLASSES]
    confusion = confusion_matrix(label, predicted, len(names))
    per_class = pd.DataFrame(
        precision_recall_f1(confusion), index=names, columns=["precision", "recall", "f1"]
    ).assign(n=confusion.sum(axis=1))
    second = np.isin(label, [names.index(c) for c in stage2_classes])
    says_bhb = p_bhb >= threshold
    frame = pd.DataFrame({"is_bhb": is_bhb, "candidate": candidate, "right": predicted == label})
    return Evaluation(
        accuracy=float((predicted == label).mean()),
        per_class=per_class,
        confusion=pd.DataFrame(confusion, index=names, columns=names),
        two_stage=binary_scores(is_bhb, candidate),
        let_through={
            name: float(candidate[label == code].mean())
            for code, name in enumerate(names)
            if (label == code).any()
        },
        ece_stage1=expected_calibration_error(class_probability.max(axis=1), predicted == label),
        ece_stage2=expected_calibration_error(
            np.maximum(p_bhb, 1 - p_bhb)[second], (says_bhb == is_bhb)[second]
        ),
        by_snr=_in_bins(frame, snr_g, SNR_EDGES),
        by_teff=_in_bins(frame, teff, TEFF_EDGES),
    )


def _in_bins(
    frame: pd.DataFrame, values: NDArray[np.float64] | None, edges: Sequence[float]
) -> pd.DataFrame:
    """Two-stage figures and accuracy of the spectra in each bin that holds some."""
    rows: list[dict[str, Any]] = []
    if values is not None:
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            inside = frame[(values >= low) & (values < high)]
            if len(inside):
                scores = binary_scores(inside["is_bhb"].to_numpy(), inside["candidate"].to_numpy())
                rows.append(
                    {
                        "from": low,
                        "to": high,
                        "n": len(inside),
                        "accuracy": float(inside["right"].mean()),
                        **scores,
                    }
                )
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True)
class PlaneLine:
    """A straight line in a plane of D0.2 and fm: BHB on the side of positive values.

    Attributes
    ----------
    d02_weight, fm_weight, offset : float
        BHB where d02_weight·D0.2 + fm_weight·fm + offset > 0 (D0.2 in Å).
    """

    d02_weight: float
    fm_weight: float
    offset: float

    def are_bhb(self, d02: NDArray[np.float64], fm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) True on the BHB side; False where the line could not be measured."""
        value = self.d02_weight * d02 + self.fm_weight * fm + self.offset
        return np.isfinite(value) & (value > 0)


def best_plane_line(
    d02: NDArray[np.float64], fm: NDArray[np.float64], is_bhb: NDArray[np.bool_]
) -> PlaneLine:
    """Fit the straight line of highest F1 between BHB and all else.

    A logistic regression gives the direction; the offset is then moved to the best F1, so the
    cut is the best that its author could have drawn on these spectra.

    Parameters
    ----------
    d02, fm : (n,) arrays [Å, -]
        Measured on training spectra; rows with NaN are left out.
    is_bhb : (n,) bool array

    Raises
    ------
    TrainingError
        When no line can be drawn: fewer than two classes among the measured spectra.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 (slow to import)

    known = np.isfinite(d02) & np.isfinite(fm)
    plane, truth = np.column_stack([d02, fm])[known], is_bhb[known]
    if not truth.any() or truth.all():
        raise TrainingError("a line needs measured BHB stars and others on both of its sides.")
    scale = plane.std(axis=0)
    scale[scale == 0] = 1.0
    fit = LogisticRegression(class_weight="balanced").fit(plane / scale, truth)
    weight = fit.coef_[0] / scale
    value = plane @ weight
    order = np.argsort(-value, kind="stable")
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + truth.sum())
    best = int(f1.argmax())
    below = value[order[best + 1]] if best + 1 < len(order) else value[order[best]] - 1.0
    return PlaneLine(float(weight[0]), float(weight[1]), -float(value[order[best]] + below) / 2)


def compare_with_plane_cut(
    candidate: NDArray[np.bool_],
    is_bhb: NDArray[np.bool_],
    cuts: Mapping[str, NDArray[np.bool_]],
) -> pd.DataFrame:
    """Put the search beside straight cuts in the D0.2–fm plane, on the same spectra.

    Parameters
    ----------
    candidate : (n,) bool array
        Kept by both stages.
    is_bhb : (n,) bool array
        Truth.
    cuts : mapping of names to (n,) bool arrays
        Kept by each cut: a named selection (``in_bhb_region``), or a line from
        :func:`best_plane_line` fitted on other spectra.

    Returns
    -------
    DataFrame
        A row per method: precision, recall, F1 and counts, the search first, then each cut,
        then the search followed by each cut.
    """
    rows = {"MSFA-Net, two stages": binary_scores(is_bhb, candidate)}
    rows |= {name: binary_scores(is_bhb, kept) for name, kept in cuts.items()}
    rows |= {
        f"MSFA-Net, then {name}": binary_scores(is_bhb, candidate & kept)
        for name, kept in cuts.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
