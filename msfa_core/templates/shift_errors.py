"""Redshifts settled at the least χ², and their errors from the residuals that are there.

The weights of a match hold an error of the templates, and χ² is no longer that of the noise: the
curvature of its surface promises too much where templates fail and too little where they fit. The
error here is that of weighted least squares with any noise (the sandwich of White 1980): the
residuals themselves say how the slope of the model was disturbed. What a pixel pulls the fit
towards itself hides from its residual, and is given back (HC2 of MacKinnon & White 1985);
residuals that go together over a line, where a continuum is not met or pixels were resampled, are
added before they are squared (Newey & West 1987) where that more than doubles the variance. Where
few weak lines tell the redshift, few residuals tell its error: it is no less than what the noise of
the pixels makes, or that of hot subdwarfs at S/N 5 to 20 comes out a quarter too small.

The shift is settled beside smooth factors on the model, since no mixture of the continuum vectors
meets every continuum. What they take up is not noise, but under the lines of QSOs, which are as
broad as the turns of a continuum: there it stays in the residuals, and these are added over a broad
line where that raises the variance at all.

In noise, χ² has other minima that are nearly as deep: other templates, whose lines lie elsewhere by
a little, and other redshifts, where noise looks like a line. With the weights exp(−χ²/2) they are
what else the redshift may be, and the error holds their distance. The whole range is seen on binned
pixels, which blur lines, so a minimum weighs too little there; all pixels were asked where it was
followed up, as the deepest of many, and say too much. Their geometric mean, less a factor e for the
depth that noise gives the deepest, is what pulls of real stars at S/N 2 to 5 ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.special import logsumexp

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT, Certainty, Sourced
from msfa_core.templates.kernels import products, solve
from msfa_core.typing import BoolArray, Float32Array, FloatArray, IntArray

if TYPE_CHECKING:
    from msfa_core.templates.cells import Matcher
    from msfa_core.templates.refining import Refined

_DEEPEST: Final = 1.0  # of the log likelihood, of the deepest minimum that noise makes
_BESIDE: Final = 2.0  # errors, and one step of the ladder at least: the minimum itself
_NEAREST: Final = 0.6  # of a step: what counts as the minimum where errors are small
_HALF_STEP: Final = 0.5  # pixels on either side, for the slope of the model
_LINE: Final = 30  # pixels whose residuals are added
_AT_RANDOM: Final = 2.0  # independent residuals seldom have the variance of their sums larger
_BROAD: Final = 100  # pixels: the full width at half maximum of a broad line, 7,000 km/s
_N_FACTORS: Final = 7  # Legendre polynomials on the model: what is smoother than a line
_LEAST_FREE: Final = 0.01  # of a pixel's residual; less is the fit's own alone
_RIDGE: Final = 1e-9  # of the mean diagonal: keeps a missing arm solvable

LAST_Z: Final = Sourced(
    4.75, "", "C IV 1549 Å leaves the range of the fit: Lyman α alone is left", Certainty.DEFAULT
)
EDGE_ERROR: Final = Sourced(
    1000.0, "km/s", "of its edge, by draws of QSOs that thin the gas near them", Certainty.DEFAULT
)


def with_edge(z: FloatArray, z_err: FloatArray, is_qso: BoolArray) -> FloatArray:
    """Add to errors of QSOs where the edge of Lyman α lies as the gas near them has it.

    Parameters
    ----------
    z, z_err : (...) arrays
    is_qso : (...) bool array

    Returns
    -------
    (...) array
        ``z_err``, larger where a QSO shows no line but Lyman α.
    """
    edge = (1.0 + z) * float(EDGE_ERROR) / SPEED_OF_LIGHT
    found: FloatArray = np.where(is_qso & (z > float(LAST_Z)), np.hypot(z_err, edge), z_err)
    return found


def with_rivals(
    matcher: Matcher,
    refined: Refined,
    template: IntArray,
    z: FloatArray,
    z_err: FloatArray,
    chi2: FloatArray,
) -> FloatArray:
    """Add to errors of the best redshifts where others of their class fit nearly as well.

    Parameters
    ----------
    matcher : Matcher
    refined : Refined
        All solutions of n spectra.
    template : (n,) int array
        Of the best solution; -1 where there is none.
    z, z_err, chi2 : (n,) arrays
        Its redshift, the error in its own minimum of χ², and the reduced χ².

    Returns
    -------
    (n,) array
        ``z_err``, with the root of the mean square distance of the rivals in it.
    """
    errors = np.array(z_err)
    for cls, along in refined.along.items():
        search = matcher.searches[cls]
        are_own = (template >= 0) & (matcher.templates.cls[template] == cls)
        rows = np.flatnonzero(are_own & np.isfinite(z_err))
        others = refined.template[rows]
        are_rivals = (others >= 0) & (matcher.templates.cls[others] == cls)
        far = _rivals(
            z[rows],
            z_err[rows],
            np.maximum(chi2[rows], 1.0),
            np.where(are_rivals, refined.gain[rows], np.nan),
            refined.z[rows],
            search.ladder[:: search.coarse],
            along[rows],
        )
        errors[rows] = np.hypot(z_err[rows], far)
    return errors


def _rivals(
    z: FloatArray,
    z_err: FloatArray,
    growth: FloatArray,
    gain: FloatArray,
    other_z: FloatArray,
    ladder: FloatArray,
    along: Float32Array,
) -> FloatArray:
    """Return the scatter of redshifts that fit nearly as well, about the best one.

    Parameters
    ----------
    z, z_err : (n,) arrays
        The best redshift and its error in its own minimum of χ².
    growth : (n,) array
        What χ² is divided by, 1 or more.
    gain, other_z : (n, k) arrays
        By how much each followed solution of the class lowers χ², NaN for none, and its redshift.
    ladder : (m,) array
        Redshifts over the whole range of the class.
    along : (n, m) array
        By how much any template lowers χ² there.

    Returns
    -------
    (n,) array
        Root of the mean square distance: of the other templates in this minimum, and of what lies
        beyond it.
    """
    step = np.interp(z, ladder[:-1], np.diff(ladder))
    half, half_seen = (
        np.maximum(_BESIDE * z_err, least)[:, None] for least in (step, _NEAREST * step)
    )
    fit = _log_likelihood(gain, growth)
    vertex = np.take_along_axis(other_z, fit.argmax(axis=1)[:, None], axis=1)
    off = other_z - vertex  # both as the search left them
    fit = np.where(np.abs(off) <= half, fit, -np.inf)
    here = logsumexp(fit, axis=1)
    share = np.exp(fit - here[:, None])
    templates = np.sum(share * np.where(share > 0, off, 0.0) ** 2, axis=1)
    off, fit = ladder - z[:, None], _log_likelihood(along.astype(np.float64), growth)
    is_near = np.abs(off) <= half_seen
    near = logsumexp(np.where(is_near, fit, -np.inf), axis=1)
    all_pixels = here + np.log(np.sqrt(2.0 * np.pi) * z_err / step)
    near = near + np.maximum((all_pixels - near) / 2.0 - _DEEPEST, 0.0)
    far = np.where(is_near, -np.inf, fit)
    share = np.exp(far - np.logaddexp(near, logsumexp(far, axis=1))[:, None])
    found: FloatArray = np.sqrt(templates + np.sum(share * off**2, axis=1))
    return found


def _log_likelihood(gain: FloatArray, growth: FloatArray) -> FloatArray:
    """(n, k) −χ²/2 but for a constant of each row; −inf where there is no solution."""
    known: FloatArray = np.where(np.isfinite(gain), gain, -np.inf) / (2.0 * growth[:, None])
    return known


def settled_shifts(
    matcher: Matcher,
    flux: FloatArray,
    weight: FloatArray,
    noise: FloatArray,
    template: IntArray,
    z: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the redshift of one solution of each spectrum, settled, and its error.

    The search ends at the vertex of a parabola, a little off where lines are narrower than its
    steps: by more than strong lines leave uncertain. One step of Gauss and Newton leads from there
    to the least χ².

    Parameters
    ----------
    matcher : Matcher
    flux, weight : (n, pixel) arrays
        As `matching.prepare_fit` gives them.
    noise : (n, pixel) array
        Variance of that flux by its noise alone.
    template : (n,) int array
        -1 where there is no solution.
    z : (n,) array
        Within a fraction of a pixel of the least χ².

    Returns
    -------
    settled, error : (n,) arrays
        The redshift is left as it is, and its error NaN, where there is no solution, or none that
        depends on the redshift.
    """
    settled, errors = np.array(z, dtype=np.float64), np.full(len(flux), np.nan)
    factors = legvander(np.linspace(-1.0, 1.0, flux.shape[1]), _N_FACTORS - 1).T
    for row in np.flatnonzero((template >= 0) & np.isfinite(z)):
        t, at = int(template[row]), float(z[row])
        half = _HALF_STEP * LAMOST_GRID.step * np.log(10.0) * (1.0 + at)
        design = matcher.design(t, at)
        mixture = least_squares(design, flux[row], weight[row])
        ahead, behind = (mixture @ matcher.design(t, at + side * half) for side in (1.0, -1.0))
        slope = (ahead - behind) / (2.0 * half)
        model = mixture @ design
        design = np.concatenate([design, factors * model])
        are_broad = bool(matcher.templates.cls[t] == "QSO")
        residual = flux[row] - model
        step, errors[row] = _step(design, slope, weight[row], noise[row], residual, are_broad)
        if abs(step) <= half:
            settled[row] += step
    return settled, errors


def least_squares(design: FloatArray, flux: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the (column,) best mixture of the columns (column, pixel) for a spectrum."""
    n, m = design.shape
    a, b, solution = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    products(np.ones(m), design, weight, weight * flux, a, b)
    solve(a, b, solution)
    return solution


def _step(
    design: FloatArray,
    slope: FloatArray,
    weight: FloatArray,
    noise: FloatArray,
    residual: FloatArray,
    are_broad: bool,
) -> tuple[float, float]:
    """Return a shift whose slope is fitted beside the columns of a design, and its error.

    With broad lines, what the columns take of the residual counts as the lines' own: neither can
    be told from the other.
    """
    weighted = design * weight
    normal = weighted @ design.T
    normal[np.diag_indices(len(normal))] += _RIDGE * np.trace(normal) / len(normal)
    inverse = np.linalg.inv(normal)
    own = slope - inverse @ (weighted @ slope) @ design
    lever = weight * own
    information = float(lever @ own)
    n_used = int(np.count_nonzero(weight))
    if not (information > 0 and n_used > len(design) + 1):
        return 0.0, float("nan")
    step = float(lever @ residual) / information
    taken = 0.0 if are_broad else inverse @ (weighted @ residual) @ design
    residual = residual - step * own - taken
    held = np.sum(weighted * (inverse @ design), axis=0) + lever * own / information  # of 1
    pull = lever * residual / np.sqrt(np.maximum(1.0 - held, _LEAST_FREE))
    alone, together = float(pull @ pull), _spread(pull, _BROAD if are_broad else _LINE)
    spread = together if together > (1.0 if are_broad else _AT_RANDOM) * alone else alone
    return step, float(np.sqrt(max(spread, float(lever**2 @ noise))) / information)


def _spread(pull: FloatArray, size: int) -> float:
    """Return the variance of a sum (pixel,) whose terms go together over so many pixels."""
    ends = np.zeros(size)
    total = np.cumsum(np.concatenate([ends, pull, ends[1:]]))
    return float(np.sum((total[size:] - total[:-size]) ** 2)) / size
