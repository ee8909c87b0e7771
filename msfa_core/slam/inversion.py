"""Labels from spectra and colours: the model inverted, all stars at once (paper §V.3.1).

Several starts, bounds at the edge of the training set, Levenberg–Marquardt with the exact Jacobian
of the kernel. The continuum that is left is fitted together with the labels, so errors know of it.
To the noise of every pixel the model error is added; where χ² is still above one, errors grow by
its root, so that a spectrum the model does not know has errors to match; where two minima are
nearly as deep (on either side of the strongest Balmer lines), they hold the distance. How far
labels of real stars scatter beyond these errors of the fit is added to give those that are stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import COLOURS, LABEL_CHI2_MAX, LABELS, SHOWN_ROWS
from msfa_core.errors import CatalogueError
from msfa_core.flags import LabelFlag
from msfa_core.slam.labels import HELIUM, are_folded, external_errors, on_hot_scale
from msfa_core.slam.model import SlamModel, load_model
from msfa_core.slam.pixels import normalise, rebin
from msfa_core.slam.solver import (
    Factored,
    Observed,
    State,
    assess,
    factored,
    solve,
    starting_points,
)
from msfa_core.spectra.spectrum import Spectra, Spectrum, as_spectra
from msfa_core.typing import FloatArray, Progress, no_progress

BATCH: Final = 250  # stars a round: arrays of some tens of MB
LEAST_COVERAGE: Final = 0.6  # of the model's pixels
BLUE_END: Final = 4050.0  # Å, up to where the continuum needs pixels: it is not extrapolated
LEAST_BLUE: Final = 0.3  # of the pixels of that end
_CLIP: Final = 5.0  # σ; lone pixels farther off are left out, and the fit goes on from there
_CLIP_MOST: Final = 0.03  # of the pixels
_AT_EDGE: Final = 0.01  # of the range of a label
_COLOUR_ROOM: Final = 3.0  # σ of BP−RP about the model before photometry disagrees
GRID_FILE: Final = "model_grid.npz"  # the source of models of our atmospheres
_TEFF, _LOGG = LABELS.index("teff"), LABELS.index("logg")
_ENDS: Final = ("", "_err", "_fit_err")  # of the names of what belongs to a label
_COLOUR_FLOOR: Final = 0.03  # mag; added in quadrature to that σ


@dataclass(frozen=True, slots=True)
class StellarLabels:
    """Labels of n stars; NaN where there are none.

    Attributes
    ----------
    obsid : (n,) int64 array
    teff, teff_err : (n,) arrays [K]
    logg, logg_err : (n,) arrays [dex]
    feh, feh_err : (n,) arrays [dex]
        Labels and their total errors: of the fit and of the model, which real stars do not quite
        follow (`external_errors`). A label on the edge of the training set is a limit and has no
        error (NaN); where Teff or log g is one, the star lies outside, and none has.
    teff_fit_err, logg_fit_err, feh_fit_err : (n,) arrays [K, dex, dex]
        Errors of the fit alone.
    correlation : (n, 3, 3) array
        Of the errors of the fit of Teff, log g and [Fe/H].
    chi2 : (n,) array
        Reduced, with the model error counted as noise.
    flags : (n,) int64 array
        `LabelFlag`, as far as the fit knows.
    used_colours : (n, 4) bool array
        Which of BP−G, G−RP, BP−RP, J−H took part.
    """

    obsid: NDArray[np.int64]
    teff: FloatArray
    teff_err: FloatArray
    logg: FloatArray
    logg_err: FloatArray
    feh: FloatArray
    feh_err: FloatArray
    teff_fit_err: FloatArray
    logg_fit_err: FloatArray
    feh_fit_err: FloatArray
    correlation: FloatArray
    chi2: FloatArray
    flags: NDArray[np.int64]
    used_colours: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of stars."""
        return len(self.obsid)

    def as_table(self) -> pd.DataFrame:
        """(n,) table: ``obsid`` and the columns of the step ``label``."""
        columns: dict[str, Any] = {"obsid": self.obsid}
        for name in LABELS:
            columns |= {f"{name}{end}": getattr(self, f"{name}{end}") for end in _ENDS}
        used = [
            ",".join(name for name, has in zip(COLOURS, row, strict=True) if has)
            for row in self.used_colours
        ]
        columns |= {"label_chi2": self.chi2, "label_flags": pd.array(self.flags, dtype="Int64")}
        return pd.DataFrame({**columns, "label_colours": pd.Series(used, dtype="str")})

    def _repr_html_(self) -> str:
        """Return the labels of the first stars, as notebooks show them."""
        rows = [
            {"obsid": str(self.obsid[i])}
            | {
                words: _with_error(getattr(self, name)[i], getattr(self, f"{name}_err")[i], digits)
                for name, words, digits in (
                    ("teff", "Teff [K]", 0),
                    ("logg", "log g [dex]", 2),
                    ("feh", "[Fe/H] [dex]", 2),
                )
            }
            | {
                "χ²": f"{self.chi2[i]:.2f}",
                "doubts": "; ".join(LabelFlag.sentences(int(self.flags[i]))) or "none",
            }
            for i in range(min(len(self), SHOWN_ROWS))
        ]
        table = pd.DataFrame(rows).to_html(index=False, border=0)
        return f"<p>labels of {len(self):,} stars</p>{table}"


def _are_covered(model: SlamModel, seen: Observed) -> NDArray[np.bool_]:
    """(n,) True where enough pixels count, and some of the blue end.

    Without those the continuum runs free there, and labels are off by five of their errors.
    """
    counts = seen.ivar > 0
    blue = model.wavelength < BLUE_END
    enough: NDArray[np.bool_] = counts.mean(axis=1) >= LEAST_COVERAGE
    return enough & (counts[:, blue].mean(axis=1) >= LEAST_BLUE) if blue.any() else enough


def _with_error(value: float, error: float, digits: int) -> str:
    """Return ``8350 ± 190``, or a limit as such."""
    if np.isfinite(value) and not np.isfinite(error):
        return f"{value:.{digits}f}, a limit"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def predict_labels(
    spectra: Spectra | Spectrum | Sequence[Spectrum],
    colours: pd.DataFrame | None = None,
    model: SlamModel | None = None,
    progress: Progress = no_progress,
) -> StellarLabels:
    """Measure Teff, log g and [Fe/H].

    Parameters
    ----------
    spectra : Spectra, Spectrum or sequence of Spectrum
        n of them, observed frame; the rest frame follows from each one's ``z``.
    colours : DataFrame of n rows, optional
        Any of ``bp_g, g_rp, bp_rp, j_h`` [mag], dereddened, NaN where missing, and each one's
        ``_err``; as from `photometry.colours.colours`, in the order of the spectra.
    model : SlamModel, optional
        The shipped one when not given.
    progress : callable, optional
        Called with ``label``, stars done, and stars in all.

    Returns
    -------
    StellarLabels
        One row per spectrum, in the order given.

    Raises
    ------
    CatalogueError
        When the colours have another number of rows, or none of the columns.
    """
    batch = as_spectra(spectra)
    chosen = load_model() if model is None else model
    if colours is not None:
        _check_colours(colours, len(batch))
    known = factored(chosen)
    parts = []
    for first in range(0, len(batch), BATCH):
        rows = slice(first, first + BATCH)
        part = None if colours is None else colours.iloc[rows]
        parts.append(_labels(known, batch[rows], part))
        progress("label", min(first + BATCH, len(batch)), len(batch))
    return _together(parts) if parts else _labels(known, batch, colours)


def _check_colours(colours: pd.DataFrame, n: int) -> None:
    if len(colours) != n or not set(COLOURS) & set(colours.columns):
        raise CatalogueError(
            f"{len(colours)} rows of colours with the columns {', '.join(map(str, colours))} for "
            f"{n} spectra; give one row per spectrum, with any of {', '.join(COLOURS)} [mag]."
        )


def _together(parts: Sequence[StellarLabels]) -> StellarLabels:
    names = StellarLabels.__dataclass_fields__
    return StellarLabels(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def observe(
    factors: Factored, spectra: Spectra, colours: pd.DataFrame | None
) -> tuple[Observed, NDArray[np.bool_]]:
    """Return spectra and colours as the solver takes them, and which colours are there.

    Returns
    -------
    seen : Observed
    used : (n, colour) bool array
    """
    model = factors.model
    ivar = np.where(spectra.mask, 0, spectra.ivar)
    flux, weight = rebin(model.bins, spectra.wavelength, spectra.flux, ivar, spectra.z)
    flux, weight = normalise(flux, weight, factors.basis)
    error = model.model_error[: model.n_pixels]
    weight = weight / (1 + weight * error**2)
    values, variance, used = _colour_arrays(model, colours, len(spectra))
    return Observed(flux, weight, values, _precision(model, variance, used)), used


def _colour_arrays(
    model: SlamModel, colours: pd.DataFrame | None, n: int
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """(n, colour) values, variances of their errors, and whether each is there."""

    def columns(end: str) -> FloatArray:
        if colours is None:
            return np.full((n, len(model.colour_names)), np.nan)
        names = [name + end for name in model.colour_names]
        return colours.reindex(columns=names).to_numpy(np.float64, na_value=np.nan)

    values, errors = columns(""), columns("_err")
    used = np.isfinite(values)
    variance = np.where(np.isfinite(errors), errors, 0.0) ** 2
    return np.where(used, values, 0.0), variance, used


def _precision(model: SlamModel, variance: FloatArray, used: NDArray[np.bool_]) -> FloatArray:
    """(n, colour, colour) inverse covariance: BP, G and RP each stand in two colours.

    Measurement errors are those of three magnitudes, found from the three colours' own; the
    model error is that of each colour alone.
    """
    n, k = variance.shape
    covariance = np.zeros((n, k, k))
    diagonal = np.arange(k)
    covariance[:, diagonal, diagonal] = variance + model.model_error[model.n_pixels :] ** 2
    names = model.colour_names
    if {"bp_g", "g_rp", "bp_rp"} <= set(names):
        a, b, c = (names.index(name) for name in ("bp_g", "g_rp", "bp_rp"))
        va, vb, vc = variance[:, a], variance[:, b], variance[:, c]
        for i, j, shared, sign in (
            (a, c, (va + vc - vb) / 2, 1.0),  # BP
            (b, c, (vb + vc - va) / 2, 1.0),  # RP
            (a, b, (va + vb - vc) / 2, -1.0),  # G
        ):
            common = sign * np.clip(shared, 0.0, np.minimum(variance[:, i], variance[:, j]))
            covariance[:, i, j] = covariance[:, j, i] = common
    both = used[:, :, None] & used[:, None, :]
    covariance = np.where(both, covariance, np.eye(k))
    return np.where(both, np.linalg.inv(covariance), 0.0) if k else covariance


def _labels(factors: Factored, spectra: Spectra, colours: pd.DataFrame | None) -> StellarLabels:
    """Measure one batch."""
    model = factors.model
    seen, used = observe(factors, spectra, colours)
    n, n_labels = len(spectra), len(LABELS)
    enough = _are_covered(model, seen)
    values = {f"{name}{end}": np.full(n, np.nan) for name in LABELS for end in _ENDS}
    correlation, chi2 = np.full((n, n_labels, n_labels), np.nan), np.full(n, np.nan)
    flags = np.full(n, int(LabelFlag.MISSING), dtype=np.int64)
    rows = np.flatnonzero(enough)
    if len(rows):
        good = seen[rows]
        state, other, converged = solve(factors, good, starting_points(factors, good))
        whole, (good, state, again) = good, _without_lone_pixels(factors, good, state)
        other = assess(factors, good, other.standard, other.continuum)
        converged &= again
        n_used = (good.ivar > 0).sum(axis=1) + used[rows].sum(axis=1)
        free = np.maximum(n_used - n_labels - factors.basis.shape[1], 1)
        chi2[rows] = state.chi2 / free
        labels, slope = _on_scale(model, state.standard)
        errors, correlation[rows] = _errors(model, state, chi2[rows])
        errors[:, _TEFF] *= slope
        behind = np.maximum(other.chi2 - state.chi2, 0.0) / np.maximum(chi2[rows], 1.0)
        distance = np.abs(_on_scale(model, other.standard)[0] - labels)
        errors = np.hypot(errors, _doubt(behind, distance))
        external = external_errors(labels[:, _TEFF])
        for k, name in enumerate(LABELS):
            values[name][rows], values[f"{name}_fit_err"][rows] = labels[:, k], errors[:, k]
            values[f"{name}_err"][rows] = np.hypot(errors[:, k], external[name])
        pinned = _pinned(model, state.standard * model.label_scale + model.label_mean)
        are_limits = pinned | pinned[:, [_TEFF, _LOGG]].any(axis=1, keepdims=True)
        for k, name in enumerate(LABELS):
            values[f"{name}_err"][rows[are_limits[:, k]]] = np.nan
        flags[rows] = _flags(factors, good, state, chi2[rows], used[rows])
        flags[rows] |= np.where(converged, 0, int(LabelFlag.NOT_CONVERGED))
        disagrees = _helium_disagreement(factors, whole, good, state, chi2[rows])
        folded = are_folded(
            labels, distance[:, _TEFF], behind, disagrees, has_corners=_is_of_atmospheres(model)
        )
        flags[rows] |= np.where(folded, int(LabelFlag.FOLDED), 0)
    all_used = np.zeros((n, len(COLOURS)), dtype=bool)
    for k, name in enumerate(model.colour_names):
        if name in COLOURS:
            all_used[:, COLOURS.index(name)] = used[:, k] & enough
    return StellarLabels(
        obsid=np.asarray(spectra.obsid, dtype=np.int64),
        **values,
        correlation=correlation,
        chi2=chi2,
        flags=flags,
        used_colours=all_used,
    )


def _without_lone_pixels(
    factors: Factored, seen: Observed, state: State
) -> tuple[Observed, State, NDArray[np.bool_]]:
    """Leave out pixels far off the fit (cosmic rays), unless they are many, and fit again."""
    values, _ = factors.evaluate(state.standard)
    tilt = 1 + state.continuum @ factors.basis.T
    residual = seen.flux - values[:, : factors.model.n_pixels] * tilt
    used = seen.ivar > 0
    sigma = np.abs(residual) * np.sqrt(seen.ivar)
    typical = np.sqrt(np.maximum(state.chi2 / np.maximum(used.sum(axis=1), 1), 1.0))
    off = used & (sigma > _CLIP * typical[:, None])
    few = off.any(axis=1) & (off.sum(axis=1) <= _CLIP_MOST * off.shape[1])
    converged = np.ones(len(off), dtype=bool)
    if few.any():
        ivar = np.where(off & few[:, None], 0.0, seen.ivar)
        seen = replace(seen, ivar=ivar)
        rows = np.flatnonzero(few)
        ends, _, converged[rows] = solve(
            factors, seen[rows], state.standard[rows, None, :], state.continuum[rows]
        )
        state.put(rows, ends, np.ones(len(rows), dtype=bool))
    return seen, state, converged


def _errors(model: SlamModel, state: State, chi2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n, label) errors, grown by the root of χ² where it is above 1, and their correlations."""
    n_labels = len(LABELS)
    covariance = np.linalg.pinv(state.matrix, hermitian=True)[:, :n_labels, :n_labels]
    diagonal = np.sqrt(np.maximum(covariance[:, range(n_labels), range(n_labels)], 0.0))
    safe = np.where(diagonal > 0, diagonal, 1.0)
    correlation = covariance / (safe[:, :, None] * safe[:, None, :])
    growth = np.sqrt(np.maximum(chi2, 1.0))
    return diagonal * model.label_scale * growth[:, None], correlation


def _is_of_atmospheres(model: SlamModel) -> bool:
    return model.notes.get("source") == GRID_FILE


def _on_scale(model: SlamModel, standard: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n, label) labels of real stars, and (n,) the slope of their Teff with that of the model."""
    labels = standard * model.label_scale + model.label_mean
    slope = np.ones(len(labels))
    if _is_of_atmospheres(model):  # others are on the scale of their own labels
        labels[:, _TEFF], slope = on_hot_scale(labels[:, _TEFF])
    return labels, slope


def _doubt(behind: FloatArray, distance: FloatArray) -> FloatArray:
    """(n, label) scatter of the labels where another minimum of χ² is nearly as deep.

    Two minima with the weights exp(−χ²/2), χ² over its reduced value where that is above 1: the
    root of the mean square distance from the better one.

    Parameters
    ----------
    behind : (n,) array
        By how much χ² is larger in the other.
    distance : (n, label) array
    """
    weight = np.exp(-behind / 2)
    share = np.sqrt(weight / (1 + weight))
    return share[:, None] * distance


def _helium_disagreement(
    factors: Factored, whole: Observed, kept: Observed, state: State, chi2: FloatArray
) -> FloatArray:
    """(n,) by how many σ the He I lines are stronger than the labels make them; NaN unseen.

    Of lone pixels that were left out (``whole`` has them) those count that lie below the fit.
    """
    model = factors.model
    inside = [(model.wavelength > low) & (model.wavelength < high) for low, high in HELIUM]
    own = np.any(inside, axis=0)
    values, _ = factors.evaluate(state.standard)
    fitted = values[:, : model.n_pixels] * (1 + state.continuum @ factors.basis.T)
    lacks, ivar = (fitted - whole.flux)[:, own], whole.ivar[:, own]
    used = (ivar > 0) & ((kept.ivar[:, own] > 0) | (lacks > 0))
    lacking = np.where(used, lacks, 0.0).sum(axis=1)
    variance = np.where(used, 1 / np.where(used, ivar, 1.0), 0.0).sum(axis=1)
    known = variance > 0
    sigma = np.sqrt(np.where(known, variance, 1.0) * np.maximum(chi2, 1.0))
    return np.where(known, lacking / sigma, np.nan)


def _pinned(model: SlamModel, labels: FloatArray) -> NDArray[np.bool_]:
    """(n, label) True where a label lies on the edge of the training set."""
    room = _AT_EDGE * (model.upper - model.lower)
    return (labels < model.lower + room) | (labels > model.upper - room)


def _flags(
    factors: Factored,
    seen: Observed,
    state: State,
    chi2: FloatArray,
    used: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """(n,) what the fit knows against its labels."""
    model = factors.model
    labels = state.standard * model.label_scale + model.label_mean
    raised = {
        LabelFlag.AT_EDGE: _pinned(model, labels).any(axis=1),
        LabelFlag.OUTSIDE_HULL: ~model.inside_hull(labels),
        LabelFlag.POOR_CHI2: chi2 > float(LABEL_CHI2_MAX),
    }
    if "bp_rp" in model.colour_names:
        k = model.colour_names.index("bp_rp")
        predicted = factors.evaluate(state.standard)[0][:, model.n_pixels + k]
        precision = np.where(used[:, k], seen.precision[:, k, k], 1.0)
        sigma = np.sqrt(1 / precision + _COLOUR_FLOOR**2)
        off = np.abs(seen.colours[:, k] - predicted) > _COLOUR_ROOM * sigma
        raised[LabelFlag.DISAGREES_WITH_PHOTOMETRY] = used[:, k] & off
    flags = np.zeros(len(labels), dtype=np.int64)
    for flag, rows in raised.items():
        flags[rows] |= int(flag)
    return flags
