"""Batched Levenberg–Marquardt over all stars at once: labels and what is left of the continuum.

Spectra of all labels are sums of some dozens of principal spectra, so the kernel meets the
coefficients projected on these: a far smaller matrix. What is cut off is below ``TRUNCATION``
(rms). Derivatives are those of the kernel, exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.slam.model import SlamModel
from msfa_core.slam.pixels import polynomials
from msfa_core.typing import BoolArray, FloatArray

TRUNCATION: Final = 3e-5  # of the continuum, or mag: rms at the support stars of what is cut off
N_STARTS: Final = 4
ROWS: Final = 48  # rows whose derivatives are at hand at a time: they fit the caches
_SCREENED: Final = 2  # starts that go on after the first iterations
_FIRST: Final = 3  # iterations of every start
_LAST: Final = 30  # iterations at most
_DAMPING: Final = 1e-2
_EASE, _TIGHTEN = 0.2, 6.0
_MOST_DAMPING: Final = 1e7
_STILL: Final = 1e-2  # step over error below which a label stands still
_APART: Final = 1.0  # distance between starts, in scatter of the training labels
_ELSEWHERE: Final = 0.1  # the same from which on two ends are two places
_LOOSE: Final = 1.0  # σ of the coefficients of the continuum; only keeps the matrix regular
_PIVOT: Final = 1e-12


@dataclass(slots=True)
class Observed:
    """Stars as SLAM sees them.

    Attributes
    ----------
    flux, ivar : (n, pixel) arrays
        Normalised; ``ivar`` with the model error in, 0 = missing.
    colours : (n, colour) array
        0 where missing.
    precision : (n, colour, colour) array
        Inverse covariance of the colours; rows and columns of missing colours are 0.
    """

    flux: FloatArray
    ivar: FloatArray
    colours: FloatArray
    precision: FloatArray

    def __getitem__(self, rows: NDArray[np.int64] | BoolArray | slice) -> Observed:
        """Return some of the stars."""
        return Observed(self.flux[rows], self.ivar[rows], self.colours[rows], self.precision[rows])


class Factored:
    """A model whose coefficients are a product of two thin matrices, with its derivatives."""

    def __init__(self, model: SlamModel) -> None:
        self.model = model
        spectra = model.kernel(model.support) @ model.coefficients
        _, size, right = np.linalg.svd(spectra, full_matrices=False)
        left_over = np.sqrt(np.cumsum(size[::-1] ** 2)[::-1] / spectra.size)
        kept = max(int((left_over > TRUNCATION).sum()), 1)
        left = model.coefficients @ right[:kept].T
        by_label = model.support[:, :, None] * left[:, None, :]
        stacked = np.concatenate([left[:, None, :], by_label], axis=1)
        self.left = np.ascontiguousarray(stacked.reshape(len(left), -1))  # (star, 4 · kept)
        self.right = np.ascontiguousarray(right[:kept])
        self.kept = kept
        self.basis = polynomials(model.wavelength, model.degree)
        self.spectra = spectra + model.intercept  # (star, pixel + colour), of the support stars
        distance = ((model.support[:, None] - model.support[None]) ** 2).sum(axis=2)
        self.near = distance < _APART**2

    def evaluate(self, standard: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values (n, pixel + colour) and derivatives (n, label, pixel + colour)."""
        n, n_labels = standard.shape
        products = self.model.kernel(standard) @ self.left
        products = products.reshape(n, n_labels + 1, self.kept)
        slopes = 2 * self.model.gamma * (products[:, 1:] - standard[:, :, None] * products[:, :1])
        mixed = np.concatenate([products[:, :1], slopes], axis=1).reshape(-1, self.kept)
        spectra = (mixed @ self.right).reshape(n, n_labels + 1, -1)
        return spectra[:, 0] + self.model.intercept, spectra[:, 1:]


@lru_cache(maxsize=2)
def factored(model: SlamModel) -> Factored:
    """Return the factors of a model, found once a process."""
    return Factored(model)


@dataclass(slots=True)
class State:
    """Where each row stands: labels, continuum, and its normal equations there."""

    standard: FloatArray  # (n, label)
    continuum: FloatArray  # (n, k) coefficients of the correction of the continuum
    chi2: FloatArray  # (n,)
    matrix: FloatArray  # (n, label + k, label + k)
    gradient: FloatArray  # (n, label + k), downhill

    def put(self, rows: NDArray[np.int64], other: State, chosen: BoolArray) -> None:
        """Take over the chosen rows of a state of ``rows``."""
        into = rows[chosen]
        for name in ("standard", "continuum", "chi2", "matrix", "gradient"):
            getattr(self, name)[into] = getattr(other, name)[chosen]

    def rows(self, rows: NDArray[np.int64]) -> State:
        """Return some of the rows."""
        names = ("standard", "continuum", "chi2", "matrix", "gradient")
        return State(*(getattr(self, name)[rows] for name in names))


def assess(model: Factored, seen: Observed, standard: FloatArray, continuum: FloatArray) -> State:
    """Evaluate χ² and the normal equations at given labels and continua, some rows at a time."""
    parts = [
        _assess(model, seen[rows], standard[rows], continuum[rows])
        for rows in (slice(k, k + ROWS) for k in range(0, max(len(standard), 1), ROWS))
    ]
    names = State.__dataclass_fields__
    return State(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _assess(model: Factored, seen: Observed, standard: FloatArray, continuum: FloatArray) -> State:
    n_pixels, n_labels = model.model.n_pixels, standard.shape[1]
    values, slopes = model.evaluate(standard)
    flux, tilt = values[:, :n_pixels], 1 + continuum @ model.basis.T
    residual = seen.flux - flux * tilt
    n, k = continuum.shape
    jacobian = np.empty((n, n_labels + k, n_pixels))
    np.multiply(slopes[:, :, :n_pixels], tilt[:, None, :], out=jacobian[:, :n_labels])
    np.multiply(flux[:, None, :], model.basis.T[None], out=jacobian[:, n_labels:])
    weighted = jacobian * seen.ivar[:, None, :]
    matrix = weighted @ jacobian.transpose(0, 2, 1)
    gradient = (weighted @ residual[:, :, None])[:, :, 0]
    chi2 = (residual**2 * seen.ivar).sum(axis=1)
    if seen.colours.shape[1]:
        left = seen.colours - values[:, n_pixels:]
        slope = slopes[:, :, n_pixels:]
        pull = (seen.precision @ left[:, :, None])[:, :, 0]
        matrix[:, :n_labels, :n_labels] += slope @ seen.precision @ slope.transpose(0, 2, 1)
        gradient[:, :n_labels] += (slope @ pull[:, :, None])[:, :, 0]
        chi2 += (left * pull).sum(axis=1)
    tail = np.arange(n_labels, n_labels + k)
    matrix[:, tail, tail] += _LOOSE**-2
    gradient[:, n_labels:] -= continuum * _LOOSE**-2
    chi2 += ((continuum / _LOOSE) ** 2).sum(axis=1)
    return State(standard, continuum, chi2, matrix, gradient)


def solve(
    model: Factored, seen: Observed, starts: FloatArray, continuum: FloatArray | None = None
) -> tuple[State, State, BoolArray]:
    """Find the labels of least χ² of each star.

    Parameters
    ----------
    model : Factored
    seen : Observed
        n stars.
    starts : (n, start, label) array
        Standardised.
    continuum : (n, k) array, optional
        Coefficients to begin with; none when not given.

    Returns
    -------
    state : State
        The best end of each star.
    other : State
        The best end in another place, another minimum of χ²; the best one again where there is
        none.
    converged : (n,) bool array
    """
    n, m, n_labels = starts.shape
    k = model.basis.shape[1]
    star = np.repeat(np.arange(n), m)
    begin = np.zeros((n * m, k)) if continuum is None else np.repeat(continuum, m, axis=0)
    state = assess(model, seen[star], starts.reshape(-1, n_labels), begin)
    damping = np.full(n * m, _DAMPING)
    rows = np.arange(n * m)
    rows = _iterate(model, seen, star, state, damping, rows, _FIRST)
    if m > _SCREENED:
        rank = np.argsort(np.argsort(state.chi2.reshape(n, m), axis=1), axis=1)
        goes_on = rank < _SCREENED
        goes_on[np.arange(n), _best_apart(state, n, m)] = True
        rows = rows[goes_on.ravel()[rows]]
    rows = _iterate(model, seen, star, state, damping, rows, _LAST)
    first = m * np.arange(n)
    best = np.argmin(state.chi2.reshape(n, m), axis=1) + first
    return state.rows(best), state.rows(_best_apart(state, n, m) + first), ~np.isin(best, rows)


def _best_apart(state: State, n: int, m: int) -> NDArray[np.int64]:
    """(n,) which of the m ends of each star is best of those in another place than the best.

    The best one itself where there is no other place.
    """
    chi2, standard = state.chi2.reshape(n, m), state.standard.reshape(n, m, -1)
    star, best = np.arange(n), np.argmin(chi2, axis=1)
    away = np.abs(standard - standard[star, best][:, None]).max(axis=2) > _ELSEWHERE
    elsewhere = np.where(away, chi2, np.inf)
    return np.where(away.any(axis=1), np.argmin(elsewhere, axis=1), best)


def _iterate(
    model: Factored,
    seen: Observed,
    star: NDArray[np.int64],
    state: State,
    damping: FloatArray,
    rows: NDArray[np.int64],
    rounds: int,
) -> NDArray[np.int64]:
    """Improve some rows of a state in place; return those that still moved at the end."""
    low, high = model.model.support.min(axis=0), model.model.support.max(axis=0)
    n_labels = len(low)
    for _ in range(rounds):
        if not len(rows):
            break
        now = state.rows(rows)
        step, error = _step(now, damping[rows], low, high)
        standard = np.clip(now.standard + step[:, :n_labels], low, high)
        moved = np.abs(standard - now.standard) / error
        trial = assess(model, seen[star[rows]], standard, now.continuum + step[:, n_labels:])
        better = trial.chi2 <= now.chi2
        state.put(rows, trial, better)
        damping[rows] *= np.where(better, _EASE, _TIGHTEN)
        still = np.all(moved < _STILL, axis=1) & (better | (damping[rows] > 1))
        rows = rows[~(still | (damping[rows] > _MOST_DAMPING))]
    return rows


def _step(
    now: State, damping: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the damped step, and the rough error of each label if it were alone.

    A label on its bound that would go farther is held there, so the others move freely.
    """
    n_labels, size = len(low), now.matrix.shape[1]
    matrix, gradient = now.matrix.copy(), now.gradient.copy()
    downhill = gradient[:, :n_labels]
    held = ((now.standard <= low) & (downhill < 0)) | ((now.standard >= high) & (downhill > 0))
    matrix[:, :n_labels][held] = 0
    matrix.transpose(0, 2, 1)[:, :n_labels][held] = 0
    gradient[:, :n_labels][held] = 0
    diagonal = np.arange(size)
    scale = now.matrix[:, diagonal, diagonal] + _PIVOT
    matrix[:, diagonal, diagonal] = np.where(
        matrix[:, diagonal, diagonal] > 0, matrix[:, diagonal, diagonal], scale
    )
    matrix[:, diagonal, diagonal] += damping[:, None] * scale
    step = np.linalg.solve(matrix, gradient[..., None])[..., 0]
    error = 1 / np.sqrt(scale[:, :n_labels])
    return step.astype(np.float64, copy=False), error.astype(np.float64, copy=False)


def starting_points(model: Factored, seen: Observed) -> FloatArray:
    """Labels to start from: training spectra of least χ², apart from each other.

    Returns
    -------
    (n, start, label) array
        Standardised.
    """
    n_pixels = model.model.n_pixels
    flux = model.spectra[:, :n_pixels]
    chi2 = seen.ivar @ (flux**2).T - 2 * (seen.flux * seen.ivar) @ flux.T
    for k in range(seen.colours.shape[1]):
        weight, colour = seen.precision[:, k, k], model.spectra[:, n_pixels + k]
        chi2 += weight[:, None] * (colour[None] ** 2 - 2 * seen.colours[:, [k]] * colour)
    chosen = []
    for _ in range(min(N_STARTS, len(flux))):
        best = np.argmin(chi2, axis=1)
        chosen.append(best)
        chi2[model.near[best]] = np.inf
    return model.model.support[np.stack(chosen, axis=1)]
