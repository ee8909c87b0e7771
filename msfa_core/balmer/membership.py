"""Whether stars lie inside a selection, and how probably, given the errors of their lines."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import ndtr

from msfa_core.balmer.line_values import LineValues
from msfa_core.balmer.results import LineFits
from msfa_core.balmer.selection import Cut, Selection, get_selection
from msfa_core.errors import ConfigError
from msfa_core.typing import BoolArray, FloatArray

Measured = LineFits | LineValues
PAIRS: Final = {  # quantities whose correlation is known: (integrated, conditional), and its name
    ("fm", "d02"): "d02_fm_correlation",
    ("shape", "width"): "width_shape_correlation",
}
_REACH: Final = 7.0  # σ; the normal distribution holds 3e-12 beyond
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_STEEPEST: Final = 0.9995  # correlation above which the nodes would miss the step
_ROWS: Final = 20_000  # at a time, to bound the memory


def in_bhb_region(measured: Measured, selection: str | Selection = "ju2024") -> BoolArray:
    """Return which spectra lie inside the selection with *every* line it has cuts for.

    A selection of Hδ alone (``xue2008``) still needs Hγ to be measured, as both lines count in
    the paper.

    Parameters
    ----------
    measured : LineFits or LineValues
    selection : str or Selection

    Returns
    -------
    (n,) bool array
        False where a line could not be measured.

    Raises
    ------
    ConfigError
        For an unknown selection, or one that needs a line that was not fitted.
    """
    chosen = _fitting(measured, selection)
    inside = _has_place(measured)
    for line in chosen.lines:
        k = measured.lines.index(line)
        inside &= chosen.contains(
            line,
            measured.d02[:, k],
            measured.fm[:, k],
            measured.width[:, k],
            measured.shape[:, k],
        )
    return inside


def p_in_region(measured: Measured, selection: str | Selection = "ju2024") -> FloatArray:
    """Return the probability that the true parameters of each star lie inside a selection.

    Per line the errors of D0.2 and fm, and those of b and c, are bivariate normal with the
    correlation of the fit, integrated over the region itself (curved limits too). The noise of
    the lines is independent, so their probabilities are multiplied.

    Parameters
    ----------
    measured : LineFits or LineValues
    selection : str or Selection

    Returns
    -------
    (n,) array
        NaN where a fitted line was not measured, as such a star has no place in the planes.

    Raises
    ------
    ConfigError
        For an unknown selection, one that needs a line that was not fitted, or one that limits
        D0.2 or fm *and* b or c of the same line: their correlation is not kept.
    """
    chosen = _fitting(measured, selection)
    probability = np.where(_has_place(measured), 1.0, np.nan)
    for line, cuts in chosen.cuts.items():
        if cuts:
            probability *= _p_of_line(measured, measured.lines.index(line), cuts, chosen.name)
    return probability


def _fitting(measured: Measured, selection: str | Selection) -> Selection:
    """Return a selection whose lines were all fitted."""
    chosen = get_selection(selection)
    absent = [line for line in chosen.lines if line not in measured.lines]
    if absent:
        raise ConfigError(
            f"selection {chosen.name!r} needs {', '.join(absent)}, but only "
            f"{', '.join(measured.lines)} were fitted; add them to fit_lines(lines=...)."
        )
    return chosen


def _has_place(measured: Measured) -> BoolArray:
    """(n,) True where D0.2 and fm of every line are measured."""
    return np.asarray(np.isfinite(measured.d02 + measured.fm).all(axis=1))


def has_probability(selection: str | Selection) -> bool:
    """Tell whether the limits of each line are of one pair of quantities."""
    return all(_pair_of(cuts) for cuts in get_selection(selection).cuts.values() if cuts)


def _pair_of(cuts: tuple[Cut, ...]) -> tuple[str, str] | None:
    limited = {cut.quantity for cut in cuts}
    return next((pair for pair in PAIRS if limited <= set(pair)), None)


def _p_of_line(measured: Measured, k: int, cuts: tuple[Cut, ...], name: str) -> FloatArray:
    pair = _pair_of(cuts)
    if pair is None:
        raise ConfigError(
            f"selection {name!r} limits D0.2 or fm and b or c of {measured.lines[k]}: no "
            "probability can be given. Limit D0.2 and fm, or b and c."
        )
    limits = {cut.quantity: cut for cut in cuts}
    first, second = (limits.get(quantity, Cut(quantity)) for quantity in pair)
    x, y = (getattr(measured, quantity)[:, k] for quantity in pair)
    x_err, y_err = (getattr(measured, f"{quantity}_err")[:, k] for quantity in pair)
    correlation = getattr(measured, PAIRS[pair])[:, k]
    parts = [slice(start, start + _ROWS) for start in range(0, len(x), _ROWS)]
    return np.concatenate(
        [np.empty(0)]
        + [
            bivariate_probability(
                (x[rows], y[rows]), (x_err[rows], y_err[rows]), correlation[rows], first, second
            )
            for rows in parts
        ]
    )


def bivariate_probability(
    values: tuple[FloatArray, FloatArray],
    errors: tuple[FloatArray, FloatArray],
    correlation: FloatArray,
    first: Cut,
    second: Cut,
) -> FloatArray:
    """Integrate bivariate normal distributions over the region between two cuts.

    Over the first quantity by Gauss–Legendre quadrature within its limits, of the conditional
    distribution of the second, which is known in closed form.

    Parameters
    ----------
    values, errors : two (n,) arrays each
    correlation : (n,) array
    first, second : Cut
        Of the two quantities; a curved upper limit of the second runs with the first.

    Returns
    -------
    (n,) array
        NaN where a value is.
    """
    (x, y), (x_err, y_err) = values, errors
    rho = np.clip(correlation, -_STEEPEST, _STEEPEST)[:, None]
    low = np.clip((first.low - x) / x_err, -_REACH, _REACH)
    high = np.clip((first.high - x) / x_err, -_REACH, _REACH)
    half = 0.5 * (high - low)[:, None]
    u = 0.5 * (high + low)[:, None] + half * _NODES
    top = np.full(u.shape, second.high)
    if second.high_curve is not None:
        offset, curvature, vertex = second.high_curve
        at = x[:, None] + u * x_err[:, None]
        top = np.minimum(top, offset - curvature * (at - vertex) ** 2)
    spread = np.sqrt(1 - rho**2)

    def below(limit: FloatArray | float) -> FloatArray:
        return np.asarray(ndtr(((limit - y[:, None]) / y_err[:, None] - rho * u) / spread))

    inside = np.maximum(below(top) - below(second.low), 0.0)
    density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
    probability = (half * _WEIGHTS * density * inside).sum(axis=1)
    known = np.isfinite(x + y + x_err + y_err + correlation)
    return np.where(known, np.clip(probability, 0.0, 1.0), np.nan)
