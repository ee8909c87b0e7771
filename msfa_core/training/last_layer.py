"""The last layer of stage 2, fitted anew: logistic regression from where the layer was.

What a layer may learn is a change of its log-odds, along the main components of what the network
sees; a ridge holds the change small, and how firmly is chosen on decisions left out of the fit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from msfa_core.networks.msfa_net import MSFANet
from msfa_core.typing import BoolArray, FloatArray, IntArray

FOLDS: Final = 5
# Ridges tried, the strongest first; none at all leaves the layer as it was
_RIDGES: Final = (np.inf, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_COMPONENTS: Final = 96
_STEPS: Final = 30  # of Newton's method, at most
_LONGEST: Final = 2.0  # change of a log-odds in one step
_STILL: Final = 1e-9
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Sample:
    """What the fit sees of some spectra.

    Attributes
    ----------
    offset : (n,) array
        Log-odds of BHB as the search gives them.
    scores : (n, k + 1) array
        Of the components of what the network sees, and a constant: how the log-odds of the search
        follow a change of the network's.
    is_bhb : (n,) bool array
    weight : (n,) array
    """

    offset: FloatArray
    scores: FloatArray
    is_bhb: BoolArray
    weight: FloatArray

    def __getitem__(self, rows: BoolArray) -> Sample:
        """Return some rows."""
        return Sample(self.offset[rows], self.scores[rows], self.is_bhb[rows], self.weight[rows])

    def __add__(self, other: Sample) -> Sample:
        """Return the rows of both."""
        return Sample(
            np.concatenate([self.offset, other.offset]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.is_bhb, other.is_bhb]),
            np.concatenate([self.weight, other.weight]),
        )

    def minus_log_p(self, change: FloatArray) -> FloatArray:
        """(n,) −ln p of what is true, after a change (of k scores, then of the constant)."""
        odds = self.offset + self.scores @ change
        loss: FloatArray = np.logaddexp(0, np.where(self.is_bhb, -odds, odds))
        return loss


def fit_change(sample: Sample, ridge: float) -> FloatArray:
    """(k + 1,) change of the log-odds per score, and a constant: logistic regression.

    Parameters
    ----------
    sample : Sample
        Its weights add up to about 1.
    ridge : float
        Of the squared change of a score; the constant is free. Infinite for no change at all.
    """
    matrix = sample.scores
    change = np.zeros(matrix.shape[1])
    if not np.isfinite(ridge):
        return change
    penalty = np.append(np.full(len(change) - 1, ridge), _TINY)
    target = sample.is_bhb.astype(np.float64)
    for _ in range(_STEPS):
        p = expit(sample.offset + matrix @ change)
        slope = matrix.T @ (sample.weight * (p - target)) + penalty * change
        curvature = (matrix * (sample.weight * p * (1 - p))[:, None]).T @ matrix
        step = np.linalg.solve(curvature + np.diag(penalty), slope)
        change = change - step * min(1.0, _LONGEST / (np.abs(matrix @ step).max() + _TINY))
        if np.abs(step).max() < _STILL:
            break
    return change


def choose_ridge(decided: Sample, folds: IntArray, beside: Sample) -> float:
    """Return the ridge that says most of decisions left out; infinite where none helps for sure.

    Parameters
    ----------
    decided : Sample
        Decisions to learn from.
    folds : (n,) int array
        No star is in two folds.
    beside : Sample
        Simulated stars, which every fit sees.

    Returns
    -------
    float
        Infinite also where what the best one gains is less than the error of its mean.
    """
    losses = np.zeros((len(_RIDGES), len(folds)))
    for fold in np.unique(folds):
        left = folds == fold
        for k, ridge in enumerate(_RIDGES):
            change = fit_change(decided[~left] + beside, ridge)
            losses[k, left] = decided[left].minus_log_p(change)
    best = int(np.argmin(losses.mean(axis=1)))
    gain = losses[0] - losses[best]
    is_sure = gain.mean() > gain.std() / np.sqrt(len(gain))
    return float(_RIDGES[best]) if is_sure else float("inf")


# --- what the layer sees, and a layer that judges it otherwise ---------------------------------
@dataclass(frozen=True, slots=True)
class Axes:
    """Main components of what stage 2 sees of spectra.

    Attributes
    ----------
    mean, spread : (feature,) arrays
    direction : (feature, k) array
        Of the features in units of their spread.
    """

    mean: FloatArray
    spread: FloatArray
    direction: FloatArray

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Axes:
        """Find them in (n, feature) features."""
        mean, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (features - mean) / spread
        size, vectors = np.linalg.eigh((scaled @ scaled.T).astype(np.float64))
        kept = np.flatnonzero(size > size[-1] * _TINY**0.5)[-_COMPONENTS:]
        direction = scaled.T.astype(np.float64) @ vectors[:, kept] / np.sqrt(size[kept])
        return cls(mean.astype(np.float64), spread.astype(np.float64), direction)

    def scores(self, features: NDArray[np.float32]) -> FloatArray:
        """(n, k + 1) scores of (n, feature) features, of a size of about 1, and a constant of 1."""
        scaled = (features - self.mean) / self.spread
        scores = scaled @ self.direction / np.sqrt(len(self.mean))
        return np.column_stack([scores, np.ones(len(scores))])

    def on_features(self, change: FloatArray) -> tuple[FloatArray, float]:
        """Return the (feature,) weights and the constant that a change (k + 1,) amounts to."""
        weight = self.direction @ change[:-1] / np.sqrt(len(self.mean)) / self.spread
        return weight, float(change[-1] - self.mean @ weight)


def odds_of(model: MSFANet, features: NDArray[np.float32], temperature: float) -> FloatArray:
    """(n,) calibrated log-odds of BHB."""
    weight = model.fc.weight.detach().double().numpy()
    bias = model.fc.bias.detach().double().numpy()
    odds: FloatArray = (features @ (weight[0] - weight[1]) + bias[0] - bias[1]) / temperature
    return odds


def with_change(model: MSFANet, axes: Axes, change: FloatArray, temperature: float) -> MSFANet:
    """Return a network whose calibrated log-odds of BHB are changed; half in each output."""
    weight, bias = axes.on_features(change)
    other = copy.deepcopy(model)
    half = torch.tensor([[0.5], [-0.5]], dtype=torch.float64) * temperature
    with torch.no_grad():
        other.fc.weight.add_((half * torch.from_numpy(weight)[None]).float())
        other.fc.bias.add_((half[:, 0] * bias).float())
    return other.eval()
