"""Second pass of template matching: the most promising cells, exactly, on all pixels.

Every question to the pixels (a template at a redshift: by how much does it lower χ²?) is put in
float64. The characteristic vectors are straight between knots (`cells.Knots`): the products of a
template and a spectrum are summed over the hats of the knots, three sums and two a pixel however
many vectors there are, and matrix products make the normal equations of many questions of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.machine.compiled import compiled
from msfa_core.templates.cells import KNOT_PIXELS, Matcher
from msfa_core.templates.kernels import shifted, solve
from msfa_core.typing import BoolArray, Float32Array, FloatArray, IntArray

ASKED: Final = 64  # questions at a time: their sums stay in the caches
SETTLED: Final = 0.05  # of χ²: a parabola foretold it that well
RESULTS: Final = 5  # what `refine` gives: step, gain there, z, its error, gain at z
_APART: Final = 0.01  # of the distance of two places: nearer ones say nothing of a curvature


@compiled
def knot_sums(  # type: ignore[no-untyped-def]
    splines, extents, starts, step, weight, weighted, row, template, redshift, normal, side, covered
):  # fmt: skip
    """Sum what templates at redshifts say of spectra over the hats of the knots.

    Parameters
    ----------
    splines : (t, pixel)
        B-spline coefficients.
    extents : (t, 2) int
        First and last pixel of each template.
    starts : (t,) int
        Number of the first pixel of the fit less that of the spline.
    step : float
        Of log10 λ.
    weight, weighted : (n, pixel)
        Inverse variance, and inverse variance times flux; whole bins from knot to knot.
    row, template : (k,) int
    redshift : (k,)
        What is asked.
    normal : (k, 2 bin + 1)
        Filled with the sums of weight · template² · the square of a hat, knot by knot, and behind
        them of the product of two neighbours.
    side : (k, bin + 1)
        With those of weight · flux · template · hat.
    covered : (k,) bool
        Filled: whether a template covers the fit.
    """
    m = weight.shape[1]
    n_bins = m // KNOT_PIXELS
    model = np.empty(m)
    for k in range(len(row)):
        normal[k, :] = 0.0
        side[k, :] = 0.0
        t = template[k]
        where = starts[t] - np.log10(1.0 + redshift[k]) / step
        position = int(np.floor(where))
        covered[k] = position - 1 >= extents[t, 0] and position + m + 1 <= extents[t, 1]
        if not covered[k]:
            continue
        shifted(splines[t], position, where - position, model)
        here, there = weight[row[k]], weighted[row[k]]
        for b in range(n_bins):
            first = KNOT_PIXELS * b
            n0 = n1 = n2 = s0 = s1 = 0.0  # moments about the knot at which the bin begins
            for i in range(KNOT_PIXELS):
                far, one = i / KNOT_PIXELS, model[first + i]
                square, product = here[first + i] * one * one, there[first + i] * one
                n0 += square
                n1 += far * square
                n2 += far * far * square
                s0 += product
                s1 += far * product
            normal[k, b] += n0 - 2.0 * n1 + n2
            normal[k, b + 1] += n2
            normal[k, n_bins + 1 + b] = n1 - n2
            side[k, b] += s0 - s1
            side[k, b + 1] += s1


@compiled
def solve_each(normal, side, covered, gains):  # type: ignore[no-untyped-def]
    """By how much the best mixture lowers χ², question by question; −1 where not covered.

    Parameters
    ----------
    normal : (k, vector (vector + 1) / 2)
        Lower triangles, row by row.
    side : (k, vector)
    covered : (k,) bool
    gains : (k,)
        Filled.
    """
    n = side.shape[1]
    a, solution = np.empty((n, n)), np.empty(n)
    for q in range(len(gains)):
        gains[q] = -1.0
        if covered[q]:
            at = 0
            for j in range(n):
                for k in range(j + 1):
                    a[j, k] = normal[q, at]
                    at += 1
            gains[q] = solve(a, side[q], solution)


@dataclass(frozen=True, slots=True)
class Refined:
    """Candidates after the second pass, class by class.

    Attributes
    ----------
    template : (n, candidate) int array
        -1 where there is none.
    step : (n, candidate) array
        Best step of the ladder.
    gain_at_step, z, z_err, gain : (n, candidate) arrays
        By how much χ² falls at that step; redshift between steps, its error, fall of χ² there.
    along : dict of str to (n, z) array
        By class, by how much any template lowers χ² at each coarse redshift, on binned pixels.
    """

    template: IntArray
    step: FloatArray
    gain_at_step: FloatArray
    z: FloatArray
    z_err: FloatArray
    gain: FloatArray
    along: dict[str, Float32Array]


@dataclass(slots=True)
class _Walk:
    """Candidates on their way along the ladders, one after the other, spectrum by spectrum.

    Attributes
    ----------
    row, template, kind : (k,) int arrays
        Spectrum, template, and the ladder that it has.
    low, high, best : (k,) int arrays
        Steps looked at so far, and the best of them.
    most, left, right : (k,) arrays
        By how much χ² falls there, and at its neighbours; NaN where that is not known.
    """

    row: IntArray
    template: IntArray
    kind: IntArray
    low: IntArray
    high: IntArray
    best: IntArray
    most: FloatArray
    left: FloatArray
    right: FloatArray


@dataclass(frozen=True, slots=True)
class _Fit:
    """Spectra that can be asked: weight, and weight times flux, (n, pixel)."""

    matcher: Matcher
    weight: FloatArray
    weighted: FloatArray

    def gains(self, row: IntArray, template: IntArray, redshift: FloatArray) -> FloatArray:
        """(k,) by how much templates at redshifts lower χ²."""
        gains, of, knots = np.empty(len(row)), self.matcher, self.matcher.knots
        normal, side = (np.zeros((ASKED, len(one))) for one in (knots.normal, knots.side))
        covered = np.empty(ASKED, dtype=np.bool_)
        row = np.ascontiguousarray(row)  # of one kind, for which the kernel is compiled
        for start in range(0, len(row), ASKED):
            n = min(ASKED, len(row) - start)
            some = slice(start, start + n)
            knot_sums(
                of.splines, of.extents, of.starts, LAMOST_GRID.step, self.weight, self.weighted,
                row[some], template[some], redshift[some], normal[:n], side[:n], covered[:n],
            )  # fmt: skip
            # always as many rows: how a matrix product rounds hangs on their number
            solve_each(normal @ knots.normal, side @ knots.side, covered[:n], gains[some])
        return gains


def refine(
    matcher: Matcher, template: IntArray, begin: IntArray, weight: FloatArray, flux: FloatArray
) -> FloatArray:
    """Refine the candidates of every spectrum.

    All of them at the redshift where they begin; then the best of each class go along the ladder
    to the least χ², and between its steps.

    Parameters
    ----------
    matcher : Matcher
    template, begin : (n, candidate) int arrays
        Template (−1 for none) and step of its ladder to start at.
    weight, flux : (n, pixel) arrays

    Returns
    -------
    (n, candidate, 5) array
        Best step, gain there, redshift between steps, its error (for Δχ² = 1), gain at it. The
        error is NaN where the best step is the first or last, or χ² has no curvature. All NaN for
        candidates that were not followed.
    """
    fit = _Fit(matcher, weight, weight * flux)
    gains = np.full(template.shape, -np.inf)
    there = template >= 0
    kind = np.where(there, matcher.ladder_of[template], -1)
    redshift = matcher.ladders[kind[there], begin[there]]
    gains[there] = fit.gains(np.nonzero(there)[0], template[there], redshift)
    chosen = _best_of_each(gains, kind, matcher.n_refined)
    walk = _around(fit, template, begin, gains, kind, chosen)
    _farther(fit, walk)
    found = np.full((*template.shape, RESULTS), np.nan)
    found[chosen] = _between_steps(fit, walk)
    return found


def _best_of_each(gains: FloatArray, kind: IntArray, kept: IntArray) -> BoolArray:
    """(n, candidate) True for the candidates of most gain, so many of each class."""
    order = np.argsort(-gains, axis=1, kind="stable")
    sorted_kind = np.take_along_axis(kind, order, axis=1)
    among = np.zeros(gains.shape, dtype=bool)
    for k, n in enumerate(kept):
        is_one = sorted_kind == k
        among |= is_one & (np.cumsum(is_one, axis=1) <= n)
    chosen = np.zeros_like(among)
    np.put_along_axis(chosen, order, among, axis=1)
    return chosen


def _around(
    fit: _Fit,
    template: IntArray,
    begin: IntArray,
    gains: FloatArray,
    kind: IntArray,
    chosen: BoolArray,
) -> _Walk:
    """Look at the steps within the reach of a class on either side, and take the best."""
    matcher = fit.matcher
    row, t, k, start = np.nonzero(chosen)[0], template[chosen], kind[chosen], begin[chosen]
    reach = matcher.reach[k]
    low = np.maximum(start - reach, 0)
    high = np.minimum(start + reach, matcher.ladder_length[k] - 1)
    widest = int(matcher.reach.max(initial=1))
    step = start[:, None] + np.arange(-widest - 1, widest + 2)  # one more: neighbours are looked up
    value = np.full(step.shape, -np.inf)
    asked = (step >= low[:, None]) & (step <= high[:, None]) & (step != start[:, None])
    who = np.nonzero(asked)[0]
    value[asked] = fit.gains(row[who], t[who], matcher.ladders[k[who], step[asked]])
    value[:, widest + 1] = gains[chosen]
    best = value.argmax(axis=1)
    each = np.arange(len(best))
    most, left, right = value[each, best], value[each, best - 1], value[each, best + 1]
    left, right = (np.where(np.isfinite(one), one, np.nan) for one in (left, right))
    return _Walk(row, t, k, low, high, step[each, best], most, left, right)


def _farther(fit: _Fit, walk: _Walk) -> None:
    """Go on where the best step is the last that was looked at, as long as χ² falls."""
    last = fit.matcher.ladder_length[walk.kind] - 1
    while True:
        down = (walk.best == walk.low) & (walk.low > 0)
        up = ~down & (walk.best == walk.high) & (walk.high < last)
        if not (down | up).any():
            return
        walk.low[down] -= 1
        walk.high[up] += 1
        to = np.where(down, walk.low, walk.high)
        for goes, behind, ahead in ((down, walk.right, walk.left), (up, walk.left, walk.right)):
            at = np.flatnonzero(goes)
            redshift = fit.matcher.ladders[walk.kind[at], to[at]]
            said = fit.gains(walk.row[at], walk.template[at], redshift)
            ahead[at] = said
            better = said > walk.most[at]
            at, said = at[better], said[better]
            behind[at], ahead[at] = walk.most[at], np.nan
            walk.best[at], walk.most[at] = to[at], said


def _between_steps(fit: _Fit, walk: _Walk) -> FloatArray:
    """(k, 5) what `refine` gives: the redshift of least χ² by a parabola through three steps.

    Where it did not foretell χ² well, lines are narrower than the steps: once more through the
    best step, its neighbour, and what was found.
    """
    ladders, best, most = fit.matcher.ladders, walk.best, walk.most
    ladder = ladders[walk.kind, best]
    found = np.column_stack([best, most, ladder, np.full(len(best), np.nan), most])
    inner = (best > 0) & (best < fit.matcher.ladder_length[walk.kind] - 1)
    before = ladders[walk.kind, np.maximum(best - 1, 0)]
    after = ladders[walk.kind, np.minimum(best + 1, ladders.shape[1] - 1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right, d1, d2 = most - walk.left, most - walk.right, ladder - before, after - ladder
        bend = (left / d1 + right / d2) / (d1 + d2)  # half the second derivative of χ²
        slope = (left / d1 * d2 - right / d2 * d1) / (d1 + d2)
        move = np.minimum(np.maximum(slope / (2 * bend), -d1), d2)
    at = np.flatnonzero(inner & (bend > 0))
    found[at, 2], found[at, 3] = ladder[at] + move[at], 1 / np.sqrt(bend[at])
    found[at, 4] = fit.gains(walk.row[at], walk.template[at], found[at, 2])
    foretold = most[at] + move[at] * (slope[at] - bend[at] * move[at])
    at = at[np.abs(foretold - found[at, 4]) > SETTLED]
    x1 = found[at, 2] - ladder[at]
    x2 = np.where(move[at] > 0, d2[at], -d1[at])
    y1 = most[at] - found[at, 4]
    y2 = np.where(move[at] > 0, right[at], left[at])
    with np.errstate(invalid="ignore", divide="ignore"):
        y1, y2 = y1 / x1, y2 / x2
        bent = (y1 - y2) / (x1 - x2)
        further = np.clip(x1 / 2 - y1 / (2 * bent), np.minimum(x2, 0), np.maximum(x2, 0))
    news = np.minimum(np.abs(x1), np.abs(x2 - x1)) >= _APART * np.abs(x2)
    news &= bent > 0
    at, redshift = at[news], ladder[at[news]] + further[news]
    said = fit.gains(walk.row[at], walk.template[at], redshift)
    better = said > found[at, 4]
    found[at[better], 2], found[at[better], 4] = redshift[better], said[better]
    worse = found[:, 4] < most
    found[worse, 2], found[worse, 4] = ladder[worse], most[worse]
    return found
