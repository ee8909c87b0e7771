"""Saliency: which wavelengths spoke for a class, by integrated gradients from the continuum.

Integrated gradients (Sundararajan, Taly & Yan 2017, ICML 70, 3319) follow the spectrum on a
straight way from a reference to itself and add up, pixel by pixel, what each step did to the
answer. The reference here is the star's own continuum: a star without lines. So the continuum
earns nothing, every line earns what its depth did for or against the class, and all pixels
together earn the whole difference between the star and its continuum (completeness).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from msfa_core.constants import LINE_LIST, NETWORK_GRID
from msfa_core.errors import ModelError
from msfa_core.networks.inference import one_thread
from msfa_core.search.novelty import pixel_noise
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.typing import FloatArray

N_STEPS: Final = 24  # of the way: the sum is complete to a few per cent of the difference
BATCH: Final = 4  # spectra × steps at a time: gradients of so many stay in the caches
DEGREE: Final = 6  # of the continuum: bends with response and reddening, not into Balmer wings
N_CLIPS: Final = 12
LOW_CLIP: Final = 1.5  # σ below the continuum from which a pixel belongs to a line
HIGH_CLIP: Final = 3.0  # σ above it from which a pixel is a sky residual or a cosmic ray
LATE: Final = 4  # last rounds, when the continuum is high enough to tell such pixels
SHAPE_ERROR: Final = 0.008  # of the polynomial itself, on the scale of a prepared spectrum
REACH: Final = {"balmer": 50.0, "helium": 8.0, "metal": 8.0}  # Å from a line's centre, its wings
_RIDGE: Final = 1e-9  # a row of which nothing is kept has a solution too


@dataclass(frozen=True, slots=True)
class Saliency:
    """Which wavelengths spoke for a class.

    Attributes
    ----------
    obsid : (n,) int64 array
    target : (n,) int64 array
        Output of the network that was explained; −1 where the spectrum could not be prepared.
    attribution : (n, 2430) float64 array
        What each pixel of ``NETWORK_GRID`` did to the log-odds ln p/(1 − p) of the target;
        positive for, negative against. NaN where there is no target.
    continuum : (n, 2430) float64 array
        The reference, on the scale of the prepared spectrum.
    log_odds, log_odds_of_continuum : (n,) float64 arrays
        Of the target, for the spectrum and for its continuum.
    """

    obsid: NDArray[np.int64]
    target: NDArray[np.int64]
    attribution: FloatArray
    continuum: FloatArray
    log_odds: FloatArray
    log_odds_of_continuum: FloatArray


def saliency(
    model: nn.Module,
    prepared: PreparedSpectra,
    target: int | None = None,
    temperature: float = 1.0,
    *,
    steps: int = N_STEPS,
) -> Saliency:
    """Explain what a network says of each spectrum.

    Parameters
    ----------
    model : Module
        (n, 1, 2430) prepared spectra in, (n, n_classes) logits out; put into evaluation mode.
    prepared : PreparedSpectra
        ``n`` rows; a row with NaN is explained by NaN.
    target : int, optional
        Output to explain; of each spectrum the most probable one when not given.
    temperature : float
        Divides the logits, as in the search.
    steps : int
        Of the way from the continuum to the spectrum (Gauss–Legendre).

    Returns
    -------
    Saliency

    Raises
    ------
    ModelError
        When the network has no such output, or ``steps`` is not positive.
    """
    if steps < 1 or not temperature > 0:
        raise ModelError(f"steps is {steps} and temperature {temperature}; both must be positive.")
    n = len(prepared)
    rows = np.flatnonzero(np.isfinite(prepared.flux).all(axis=1))
    flux = prepared.flux[rows].astype(np.float64)
    reference = continuum_of(flux)
    said = _logits(model, flux)
    if target is not None and not 0 <= target < said.shape[1]:
        raise ModelError(f"there is no output {target}; the network has {said.shape[1]}.")
    chosen = said.argmax(axis=1) if target is None else np.full(len(rows), target)
    result = Saliency(
        prepared.obsid,
        np.full(n, -1, dtype=np.int64),
        *(np.full((n, NETWORK_GRID.n_pixels), np.nan) for _ in range(2)),
        *(np.full(n, np.nan) for _ in range(2)),
    )
    result.target[rows] = chosen
    result.continuum[rows] = reference
    result.log_odds[rows] = _log_odds(said / temperature, chosen)
    without = _logits(model, reference) / temperature
    result.log_odds_of_continuum[rows] = _log_odds(without, chosen)
    # Gauss–Legendre places and weights on the way from 0 (continuum) to 1 (spectrum)
    place, weight = np.polynomial.legendre.leggauss(steps)
    place, weight = (place + 1) / 2, weight / 2
    for k, row in enumerate(rows):
        way = reference[k] + place[:, None] * (flux[k] - reference[k])
        gradient = _gradients(model, way, int(chosen[k]), temperature)
        result.attribution[row] = (flux[k] - reference[k]) * (weight @ gradient)
    return result


def by_line(said: Saliency, row: int = 0) -> dict[str, float]:
    """Return what each named line did to the log-odds of the target, the loudest first.

    Parameters
    ----------
    said : Saliency
    row : int

    Returns
    -------
    dict of str to float
        Of the lines of ``LINE_LIST`` on the network's grid; a pixel belongs to the line whose reach
        (``REACH``) it is deepest in. Empty where there is no target.
    """
    if said.target[row] < 0:
        return {}
    grid = NETWORK_GRID.wavelength
    names = [name for name, (centre, _) in LINE_LIST.items() if grid[0] < centre < grid[-1]]
    centre = np.array([LINE_LIST[name][0] for name in names])
    reach = np.array([REACH[LINE_LIST[name][1]] for name in names])
    away = np.abs(grid[:, None] - centre) / reach  # (pixel, line)
    nearest = np.where(away.min(axis=1) < 1.0, away.argmin(axis=1), -1)
    did = {name: float(said.attribution[row, nearest == k].sum()) for k, name in enumerate(names)}
    return dict(sorted(did.items(), key=lambda one: -abs(one[1])))


def continuum_of(flux: NDArray[np.floating]) -> FloatArray:
    """Return the continua of prepared spectra: smooth, above the lines, through the noise.

    A Legendre polynomial of degree 6 over 4000–7000 Å, fitted again and again without the pixels
    that lie 1.5σ below it (lines), in the end also without those 3σ above (sky residuals); σ is
    the noise of the spectrum and what the polynomial cannot follow.

    Parameters
    ----------
    flux : (n, 2430) array

    Returns
    -------
    (n, 2430) array
    """
    axis = np.linspace(-1.0, 1.0, flux.shape[1])
    design = np.polynomial.legendre.legvander(axis, DEGREE)  # (pixel, term)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(axis), -1)
    kept = np.ones(flux.shape)
    continuum = np.zeros(flux.shape)
    sigma = np.hypot(pixel_noise(flux), SHAPE_ERROR)[:, None]
    for round_ in range(N_CLIPS):
        normal = (kept @ products).reshape(len(flux), DEGREE + 1, DEGREE + 1)
        normal += _RIDGE * np.eye(DEGREE + 1)
        right = (kept * flux) @ design  # (n, term)
        continuum = np.linalg.solve(normal, right[:, :, None])[:, :, 0] @ design.T
        left = flux - continuum
        high = HIGH_CLIP * sigma if round_ >= N_CLIPS - LATE else np.inf
        kept = ((left > -LOW_CLIP * sigma) & (left < high)).astype(np.float64)
    return continuum


def replaced(
    flux: NDArray[np.floating], continuum: FloatArray, pixels: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return spectra whose marked pixels are those of the continuum: the lines there are gone."""
    return np.where(pixels, continuum, flux).astype(np.float32)


# --- the network along the way ---------------------------------------------------------------
def _batches(
    model: nn.Module, flux: FloatArray, work: Callable[[Tensor], Tensor]
) -> NDArray[np.float64]:
    model.eval()
    device = next(model.parameters()).device
    parts = []
    with one_thread():
        for start in range(0, max(len(flux), 1), BATCH):  # no spectra: one empty batch
            rows = torch.from_numpy(flux[start : start + BATCH].astype(np.float32)).to(device)
            parts.append(work(rows).detach().double().cpu())
    everything: NDArray[np.float64] = torch.cat(parts).numpy()
    return everything


def _logits(model: nn.Module, flux: FloatArray) -> FloatArray:
    """(n, n_classes) outputs of the network."""

    def work(rows: Tensor) -> Tensor:
        with torch.no_grad():
            answer: Tensor = model(rows[:, None])
            return answer

    return _batches(model, flux, work)


def _gradients(model: nn.Module, flux: FloatArray, target: int, temperature: float) -> FloatArray:
    """(n, pixel) derivatives of the log-odds of an output."""

    def work(rows: Tensor) -> Tensor:
        rows.requires_grad_(True)
        logits = model(rows[:, None]).double() / temperature
        others = [k for k in range(logits.shape[1]) if k != target]
        log_odds = logits[:, target] - torch.logsumexp(logits[:, others], dim=1)
        (gradient,) = torch.autograd.grad(log_odds.sum(), rows)
        return gradient

    return _batches(model, flux, work)


def _log_odds(logits: FloatArray, target: NDArray[np.int64]) -> FloatArray:
    """(n,) ln p/(1 − p) of one output each."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, target] = -np.inf
    largest = others.max(axis=1, initial=-np.inf) if others.size else np.zeros(len(logits))
    rest = np.log(np.exp(others - largest[:, None]).sum(axis=1)) + largest
    result: FloatArray = logits[rows, target] - rest
    return result
