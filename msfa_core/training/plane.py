"""Straight cuts in the D0.2–fm plane, the method of before, to put beside the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import TrainingError
from msfa_core.training.scores import binary_scores


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
