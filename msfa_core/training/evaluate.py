"""How good the search is: per class, per stage, against S/N and Teff, with uncertainties.

Simulated and real spectra are never mixed: an evaluation knows which of the two it is of, and
every table and picture says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.constants import CLASS_NAMES
from msfa_core.training.answers import (
    BOTH,
    FIRST_BHB,
    FIRST_TOP,
    SECOND_BHB,
    Answers,
    mistaken_stars,
)
from msfa_core.training.scores import (
    average_precision,
    calibration_scores,
    confusion_matrix,
    precision_recall_curve,
    reliability,
    scores_with_intervals,
    share_row,
)
from msfa_core.typing import BoolArray, FloatArray

SNR_EDGES: Final = (0.0, 10.0, 20.0, 40.0, 80.0, np.inf)
TEFF_EDGES: Final = (0.0, 7000.0, 8000.0, 9000.0, 10000.0, 12000.0, 15000.0, 25000.0, np.inf)
ALL_BUT_BHB: Final = "all but BHB"
DIAGRAMS: Final = (FIRST_TOP, FIRST_BHB, SECOND_BHB)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a search on spectra of known class; columns ``_low`` and ``_high`` hold 95 %.

    Attributes
    ----------
    answers : Answers
    accuracy : float
        Stage 1, five classes.
    per_class : DataFrame
        Precision, recall, F1 and number of spectra per class (stage 1).
    confusion : DataFrame
        True class down, predicted class across.
    search : DataFrame
        BHB after stage 1, after both stages, and after the D0.2–fm cut: precision, recall, F1.
    shares : DataFrame
        Share of each class, and of all but BHB, kept by each of these.
    calibration : DataFrame
        Expected calibration error of the predicted class of stage 1, of its P(BHB), and of that
        of stage 2 (see :func:`~msfa_core.training.scores.calibration_scores`).
    reliability : DataFrame
        Confidence against what came true, in bins of equal width and of equal count.
    curves : dict
        Name -> precision against recall.
    by_snr, by_teff : DataFrame
        The figures in bins of S/N and of Teff; empty where the set does not know them.
    classes_by_snr, classes_by_teff : DataFrame
        Precision, recall, F1 of each class (stage 1) in these bins.
    stars : DataFrame
        Stars that the search mistakes, the worst first.
    """

    answers: Answers
    accuracy: float
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    search: pd.DataFrame
    shares: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame
    curves: dict[str, pd.DataFrame]
    by_snr: pd.DataFrame
    by_teff: pd.DataFrame
    classes_by_snr: pd.DataFrame
    classes_by_teff: pd.DataFrame
    stars: pd.DataFrame

    @property
    def origin(self) -> str:
        """``simulated`` or ``real``."""
        return "simulated" if self.answers.simulated else "real"

    @property
    def title(self) -> str:
        """What was evaluated, for the head of every table and picture."""
        n, n_stars = len(self.answers.label), len(np.unique(self.answers.stars))
        return f"{self.origin.upper()} spectra: {n:,} of {n_stars:,} stars"

    @property
    def two_stage(self) -> dict[str, float]:
        """BHB after both stages: precision, recall, F1 and counts."""
        row = self.search.loc[BOTH]
        names = ("precision", "recall", "f1", "n_true", "n_chosen", "n_right")
        return {name: float(row[name]) for name in names}

    @property
    def let_through(self) -> dict[str, float]:
        """Share of each class's spectra that end as candidates."""
        kept = self.shares[BOTH].drop(ALL_BUT_BHB, errors="ignore")
        return {str(name): float(share) for name, share in kept.items()}

    @property
    def ece_stage1(self) -> float:
        """Expected calibration error of the predicted class."""
        return float(self.calibration.loc[FIRST_TOP, "ece"])

    @property
    def ece_stage2(self) -> float:
        """Expected calibration error of P(BHB) on the classes that stage 2 was trained on."""
        return float(self.calibration.loc[SECOND_BHB, "ece"])

    @property
    def average_precision(self) -> dict[str, float]:
        """Name -> mean precision over recall of each curve."""
        return {name: average_precision(curve) for name, curve in self.curves.items()}

    def summary(self) -> dict[str, Any]:
        """Return the figures as plain numbers, for a model card."""
        return {
            "origin": self.origin,
            "n_spectra": len(self.answers.label),
            "n_stars": len(np.unique(self.answers.stars)),
            "accuracy": self.accuracy,
            "per_class": self.per_class.to_dict("index"),
            "confusion": self.confusion.to_numpy().tolist(),
            "two_stage": self.two_stage,
            "search": self.search.to_dict("index"),
            "let_through": self.let_through,
            "shares": self.shares.to_dict("index"),
            "average_precision": self.average_precision,
            "ece_stage1": self.ece_stage1,
            "ece_stage2": self.ece_stage2,
            "calibration": self.calibration.to_dict("index"),
        }


def evaluate(answers: Answers) -> Evaluation:
    """Compare what the search says with what is known."""
    confusion = confusion_matrix(answers.label, answers.predicted, len(CLASS_NAMES))
    asked = answers.confidences()
    calibration = {
        name: calibration_scores(p[rows], came_true[rows], answers.stars[rows])
        for name, (p, came_true, rows) in asked.items()
    }
    diagrams = [
        reliability(
            p[rows], came_true[rows], equal_count=equal_count, star=answers.stars[rows]
        ).assign(of=name, bins="equal count" if equal_count else "equal width")
        for name, (p, came_true, rows) in asked.items()
        for equal_count in (False, True)
    ]
    return Evaluation(
        answers=answers,
        accuracy=float((answers.predicted == answers.label).mean()),
        per_class=_per_class(answers, np.ones(len(answers.label), bool)),
        confusion=pd.DataFrame(confusion, index=CLASS_NAMES, columns=CLASS_NAMES),
        search=pd.DataFrame.from_dict(
            {
                name: scores_with_intervals(answers.is_bhb, kept, answers.stars)
                for name, kept in answers.choices.items()
            },
            orient="index",
        ),
        shares=_shares(answers),
        calibration=pd.DataFrame.from_dict(calibration, orient="index"),
        reliability=pd.concat(diagrams, ignore_index=True),
        curves={
            name: precision_recall_curve(answers.is_bhb, score)
            for name, score in answers.scores().items()
        },
        by_snr=_in_bins(answers, answers.snr_g, SNR_EDGES),
        by_teff=_in_bins(answers, answers.teff, TEFF_EDGES),
        classes_by_snr=_classes_in_bins(answers, answers.snr_g, SNR_EDGES),
        classes_by_teff=_classes_in_bins(answers, answers.teff, TEFF_EDGES),
        stars=mistaken_stars(answers),
    )


def _per_class(answers: Answers, rows: BoolArray) -> pd.DataFrame:
    """Precision, recall and F1 of stage 1 with their intervals: a row per class."""
    label, predicted, star = answers.label[rows], answers.predicted[rows], answers.stars[rows]
    table = {
        name: scores_with_intervals(label == code, predicted == code, star)
        for code, name in enumerate(CLASS_NAMES)
    }
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame["f1"] = frame["f1"].where(frame["n_true"] > 0)
    return frame.drop(columns=["n_chosen", "n_right"]).rename(columns={"n_true": "n"})


def _shares(answers: Answers) -> pd.DataFrame:
    """Share of each class that is kept by each choice."""
    members = {name: answers.label == code for code, name in enumerate(CLASS_NAMES)}
    members[ALL_BUT_BHB] = ~answers.is_bhb
    rows: dict[str, dict[str, float]] = {}
    for name, inside in members.items():
        if inside.any():
            n_stars = len(np.unique(answers.stars[inside]))
            row: dict[str, float] = {"n": int(inside.sum()), "n_stars": n_stars}
            for choice, kept in answers.choices.items():
                row |= share_row(kept, inside, answers.stars, choice)
            rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _bins(
    values: FloatArray | None, edges: Sequence[float]
) -> list[tuple[float, float, BoolArray]]:
    """Each bin that holds spectra: from, to, and which."""
    if values is None:
        return []
    pairs = zip(edges[:-1], edges[1:], strict=True)
    bins = [(low, high, (values >= low) & (values < high)) for low, high in pairs]
    return [one for one in bins if one[2].any()]


def _in_bins(answers: Answers, values: FloatArray | None, edges: Sequence[float]) -> pd.DataFrame:
    """Accuracy, both stages, and calibration of the spectra in each bin that holds some."""
    rows: list[dict[str, Any]] = []
    right, star = answers.predicted == answers.label, answers.stars
    for low, high, inside in _bins(values, edges):
        row: dict[str, Any] = {
            "from": low,
            "to": high,
            "n": int(inside.sum()),
            "n_stars": len(np.unique(star[inside])),
            **share_row(right, inside, star, "accuracy"),
            **scores_with_intervals(
                answers.is_bhb[inside], answers.candidate[inside], star[inside]
            ),
            **share_row(answers.candidate, inside & ~answers.is_bhb, star, "others_kept"),
        }
        if answers.in_region is not None:
            kept = answers.candidate & answers.in_region
            cut = scores_with_intervals(answers.is_bhb[inside], kept[inside], star[inside])
            row |= {_after_cut(name): value for name, value in cut.items() if name != "n_true"}
        curve = precision_recall_curve(answers.is_bhb[inside], answers.p_bhb[inside])
        row["average_precision"] = average_precision(curve)
        for short, name in zip(("top", "p_bhb_1", "p_bhb_2"), DIAGRAMS, strict=True):
            p, came_true, asked = answers.confidences()[name]
            use = asked & inside
            scores = calibration_scores(p[use], came_true[use], star[use])
            row |= {f"ece_{short}": scores["ece"], f"ece_{short}_low": scores["ece_low"]}
            row |= {f"ece_{short}_high": scores["ece_high"]}
            row[f"ece_{short}_if_honest"] = scores["ece_if_honest"]
        rows.append(row)
    return pd.DataFrame(rows)


def _after_cut(name: str) -> str:
    """``precision_low`` -> ``precision_after_cut_low``."""
    stem, end = next(
        ((name.removesuffix(end), end) for end in ("_low", "_high") if name.endswith(end)),
        (name, ""),
    )
    return f"{stem}_after_cut{end}"


def _classes_in_bins(
    answers: Answers, values: FloatArray | None, edges: Sequence[float]
) -> pd.DataFrame:
    """Precision, recall and F1 of each class (stage 1) in each bin."""
    tables = []
    for low, high, inside in _bins(values, edges):
        table = _per_class(answers, inside).rename_axis("class").reset_index()
        table.insert(0, "from", low)
        table.insert(1, "to", high)
        tables.append(table[table["n"] > 0])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
