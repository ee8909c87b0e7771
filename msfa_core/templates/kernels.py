"""Compiled arithmetic of template matching: shifted templates, normal equations, χ² over z.

A model is a template at a redshift, times a mixture of characteristic vectors (or a mixture of
eigen-spectra). χ² of the best mixture is f'Wf − b'A⁻¹b with A the weighted products of the
columns and b their products with the spectrum.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.machine.compiled import compiled

BLOCK: Final = 128  # cells solved side by side
PIXELS: Final = 256  # pixels summed at a time
RIDGE: Final = 1e-7  # of the mean diagonal: keeps a missing arm solvable
COARSE_RIDGE: Final = 4e-6  # the same in single precision
SETTLED: Final = 0.05  # of χ²: a parabola foretold it that well


@compiled(part=True)
def _take_off(row, one, two, m):  # type: ignore[no-untyped-def]
    """Subtract the products of two rows of cells from a third."""
    for c in range(m):
        row[c] -= one[c] * two[c]


@compiled(part=True)
def _solve_block(a, b, start, m, lower, right, inverse, ridge, gain):  # type: ignore[no-untyped-def]
    """Solve ``m`` cells from ``start`` on: Cholesky with every operation on all of them."""
    n = len(b)
    ridge[:] = 0.0
    for j in range(n):
        for c in range(m):
            ridge[c] += a[j * (j + 1) // 2 + j, start + c] * np.float32(COARSE_RIDGE / n)
    for c in range(m):
        gain[start + c] = 0.0
    for j in range(n):
        at = j * (j + 1) // 2
        for c in range(m):  # an array set to an array costs seconds to compile
            right[j, c] = b[j, start + c]
        for k in range(j):
            row = lower[at + k]
            for c in range(m):
                row[c] = a[at + k, start + c]
            for i in range(k):
                _take_off(row, lower[at + i], lower[k * (k + 1) // 2 + i], m)
            for c in range(m):
                row[c] *= inverse[k, c]
            _take_off(right[j], row, right[k], m)
        diagonal = lower[at + j]
        for c in range(m):
            diagonal[c] = a[at + j, start + c] + ridge[c]
        for k in range(j):
            _take_off(diagonal, lower[at + k], lower[at + k], m)
        for c in range(m):
            inverse[j, c] = np.float32(1.0) / np.sqrt(max(diagonal[c], ridge[c]))
            right[j, c] *= inverse[j, c]
            gain[start + c] += right[j, c] * right[j, c]


@compiled
def solve_cells(a, b, gain):  # type: ignore[no-untyped-def]
    """b'A⁻¹b of many cells at once.

    Parameters
    ----------
    a : (vector (vector + 1) / 2, cell) float32
        Lower triangles, row by row.
    b : (vector, cell) float32
    gain : (cell,) float32
        Filled: by how much the best mixture lowers χ².
    """
    n, n_cells = b.shape
    lower = np.empty((n * (n + 1) // 2, BLOCK), dtype=np.float32)
    right = np.empty((n, BLOCK), dtype=np.float32)
    inverse = np.empty((n, BLOCK), dtype=np.float32)
    ridge = np.empty(BLOCK, dtype=np.float32)
    for start in range(0, n_cells, BLOCK):
        m = min(BLOCK, n_cells - start)
        _solve_block(a, b, start, m, lower, right, inverse, ridge, gain)


@compiled(part=True)
def _sum_bins(values, size, sums):  # type: ignore[no-untyped-def]
    """Fill ``sums`` with the sums of ``size`` values each."""
    whole = len(values) // size
    for b in range(whole):
        total = 0.0
        for i in range(b * size, (b + 1) * size):
            total += values[i]
        sums[b] = total
    if whole < len(sums):
        total = 0.0
        for i in range(whole * size, len(values)):
            total += values[i]
        sums[whole] = total


@compiled
def bin_products(weight, weighted, columns, size, right, normal):  # type: ignore[no-untyped-def]
    """Sum weighted vectors, and weighted products of two of them, over bins of pixels.

    Parameters
    ----------
    weight, weighted : (n, pixel) float64
    columns : (vector, pixel) float64
    size : int
        Pixels per bin; the last may have fewer.
    right : (n, vector, bin) float32
        Filled with the sums of ``weighted`` times a vector.
    normal : (n, vector (vector + 1) / 2, bin) float32
        Filled with those of ``weight`` times two, row by row of the lower triangle.
    """
    n_vectors, m = columns.shape
    one = np.empty(m)
    for row in range(len(weight)):
        for j in range(n_vectors):
            for i in range(m):
                one[i] = weighted[row, i] * columns[j, i]
            _sum_bins(one, size, right[row, j])
            for k in range(j + 1):
                for i in range(m):
                    one[i] = weight[row, i] * columns[j, i] * columns[k, i]
                _sum_bins(one, size, normal[row, j * (j + 1) // 2 + k])


@compiled
def shifted(spline, position, fraction, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with a cubic spline read at ``position + fraction + 0, 1, 2 …``.

    Parameters
    ----------
    spline : (pixel,) float64
        B-spline coefficients; value i is spline[i−1]/6 + 4·spline[i]/6 + spline[i+1]/6.
    position : int
    fraction : float
        0 ≤ fraction < 1.
    out : (m,) float64
    """
    u, v = fraction, 1.0 - fraction
    w0 = v * v * v / 6.0
    w1 = (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0
    w2 = (4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0
    w3 = u * u * u / 6.0
    p = position - 1
    for i in range(len(out)):
        out[i] = (
            w0 * spline[p + i] + w1 * spline[p + i + 1] + w2 * spline[p + i + 2]
            + w3 * spline[p + i + 3]
        )  # fmt: skip


@compiled
def products(model, columns, weight, weighted, a, b):  # type: ignore[no-untyped-def]
    """Fill the normal equations of ``model`` times each of ``columns``.

    Pixels go by in blocks that stay in the nearest cache.

    Parameters
    ----------
    model : (pixel,) float64
    columns : (vector, pixel) float64
    weight, weighted : (pixel,) float64
        Inverse variance, and inverse variance times flux.
    a : (vector, vector), b : (vector,)
        Filled; ``a`` below and on the diagonal.
    """
    n, m = columns.shape
    a[:, :] = 0.0
    b[:] = 0.0
    square, right, one = np.empty(PIXELS), np.empty(PIXELS), np.empty(PIXELS)
    for start in range(0, m, PIXELS):
        size = min(PIXELS, m - start)
        for i in range(size):
            square[i] = weight[start + i] * model[start + i] * model[start + i]
            right[i] = weighted[start + i] * model[start + i]
        for j in range(n):
            column = columns[j, start : start + size]
            total = 0.0
            for i in range(size):
                total += right[i] * column[i]
                one[i] = square[i] * column[i]
            b[j] += total
            for k in range(j + 1):
                other = columns[k, start : start + size]
                total = 0.0
                for i in range(size):
                    total += one[i] * other[i]
                a[j, k] += total


@compiled
def solve(a, b, solution):  # type: ignore[no-untyped-def]
    """Solve A x = b in place by Cholesky with a slight ridge; return b'A⁻¹b."""
    n = len(b)
    trace = 0.0
    for j in range(n):
        trace += a[j, j]
    ridge = RIDGE * trace / n
    gain = 0.0
    for j in range(n):
        a[j, j] += ridge
        for k in range(j):
            for i in range(k):
                a[j, k] -= a[j, i] * a[k, i]
            a[j, k] /= a[k, k]
            a[j, j] -= a[j, k] * a[j, k]
        a[j, j] = np.sqrt(max(a[j, j], ridge * 1e-3 + 1e-300))
        solution[j] = b[j]
        for i in range(j):
            solution[j] -= a[j, i] * solution[i]
        solution[j] /= a[j, j]
        gain += solution[j] * solution[j]
    for j in range(n - 1, -1, -1):
        for i in range(j + 1, n):
            solution[j] -= a[i, j] * solution[i]
        solution[j] /= a[j, j]
    return gain


@compiled(part=True)
def gain_at(  # type: ignore[no-untyped-def]
    spline, extent, first, z, step, columns, weight, weighted, model, a, b, solution
):  # fmt: skip
    """By how much a template at a redshift lowers χ²; the mixture is left in ``solution``.

    ``first`` is the number of the first pixel of the fit less that of the spline, ``extent`` the
    first and last pixel of the template. −1 where it does not cover the fit.
    """
    where = first - np.log10(1.0 + z) / step
    position = int(np.floor(where))
    if position - 1 < extent[0] or position + len(model) + 1 > extent[1]:
        return -1.0
    shifted(spline, position, where - position, model)
    products(model, columns, weight, weighted, a, b)
    return solve(a, b, solution)


@compiled(part=True)
def _between(  # type: ignore[no-untyped-def]
    spline, extent, first, best, other, loss, step, columns, weight, weighted, model, a, b,
    solution, out,
):  # fmt: skip
    """Once more a vertex, through the best step, its neighbour, and the vertex found before.

    Lines may be narrower than the steps. ``loss`` is by how much χ² is larger at the neighbour
    than at the best step; ``out`` as in :func:`refine`, changed where χ² is lowered.
    """
    x1, x2 = out[2] - best, other - best
    if min(abs(x1), abs(x2 - x1)) < 0.01 * abs(x2):
        return
    y1, y2 = (out[1] - out[4]) / x1, loss / x2
    bend = (y1 - y2) / (x1 - x2)
    if not bend > 0.0:
        return
    z = best + min(max(x1 / 2.0 - y1 / (2.0 * bend), min(x2, 0.0)), max(x2, 0.0))
    gain = gain_at(
        spline, extent, first, z, step, columns, weight, weighted, model, a, b, solution
    )  # fmt: skip
    if gain > out[4]:
        out[2], out[4] = z, gain


@compiled(part=True)
def refine(  # type: ignore[no-untyped-def]
    spline, extent, first, ladder, start, known, reach, step, columns, weight, weighted, model, a,
    b, solution, out,
):  # fmt: skip
    """Walk down a ladder of redshifts to the least χ², then between its steps.

    Parameters
    ----------
    ladder : (step,) float64
        Redshifts.
    start, reach : int
        Step to begin with, and how far to look to either side whatever χ² does.
    known : float
        The gain at the step to begin with.
    out : (5,) float64
        Filled: best step, gain there, redshift between steps, its error (for Δχ² = 1), gain at it.
        The error is NaN where the best step is the first or last, or χ² has no curvature.
    """
    last = len(ladder) - 1
    low, high = max(start - reach, 0), min(start + reach, last)
    best, most = -1, -np.inf
    gains = np.empty(len(ladder))
    gains[:] = np.nan
    for k in range(low, high + 1):
        gains[k] = known
        if k != start:
            gains[k] = gain_at(
                spline, extent, first, ladder[k], step, columns, weight, weighted, model, a, b,
                solution,
            )  # fmt: skip
        if gains[k] > most:
            best, most = k, gains[k]
    while best == low and low > 0:
        low -= 1
        gains[low] = gain_at(
            spline,
            extent,
            first,
            ladder[low],
            step,
            columns,
            weight,
            weighted,
            model,
            a,
            b,
            solution,
        )
        if gains[low] > most:
            best, most = low, gains[low]
    while best == high and high < last:
        high += 1
        gains[high] = gain_at(
            spline,
            extent,
            first,
            ladder[high],
            step,
            columns,
            weight,
            weighted,
            model,
            a,
            b,
            solution,
        )
        if gains[high] > most:
            best, most = high, gains[high]
    out[0], out[1], out[2], out[3], out[4] = best, most, ladder[best], np.nan, most
    if 0 < best < last:
        left, right = most - gains[best - 1], most - gains[best + 1]
        d1, d2 = ladder[best] - ladder[best - 1], ladder[best + 1] - ladder[best]
        bend = (left / d1 + right / d2) / (d1 + d2)  # half the second derivative of χ²
        if bend > 0.0:
            slope = (left / d1 * d2 - right / d2 * d1) / (d1 + d2)
            move = min(max(slope / (2.0 * bend), -d1), d2)
            out[2] = ladder[best] + move
            out[3] = 1.0 / np.sqrt(bend)
            out[4] = gain_at(
                spline,
                extent,
                first,
                out[2],
                step,
                columns,
                weight,
                weighted,
                model,
                a,
                b,
                solution,
            )
            if abs(most + move * (slope - bend * move) - out[4]) > SETTLED:
                _between(
                    spline, extent, first, ladder[best], ladder[best + (1 if move > 0.0 else -1)],
                    most - gains[best + (1 if move > 0.0 else -1)], step, columns, weight,
                    weighted, model, a, b, solution, out,
                )  # fmt: skip
            if out[4] < most:
                out[2], out[4] = ladder[best], most


@compiled(part=True)
def _most_first(values, order):  # type: ignore[no-untyped-def]
    """Fill ``order`` with the places of few values, the largest first."""
    for k in range(len(values)):
        at = k
        while at > 0 and values[order[at - 1]] < values[k]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = k


@compiled
def refine_rows(  # type: ignore[no-untyped-def]
    splines, extents, starts, ladders, ladder_length, ladder_of, template, begin, kept, reach,
    step, columns, weight, weighted, results,
):  # fmt: skip
    """Refine the candidates of every spectrum in float64.

    All of them at the redshift where they begin; then the best of each class along the ladder.

    Parameters
    ----------
    splines : (t, pixel), extents : (t, 2) int, starts : (t,) int
        B-spline coefficients; ``extent`` and ``first`` of :func:`gain_at` for each template.
    ladders : (class, step), ladder_length, ladder_of : ints
        Redshifts of each class; which one a template has.
    template, begin : (n, candidate) int
        Template (−1 for none) and step of its ladder to start at.
    kept, reach : (class,) int
        Candidates of a class that go down the ladder, and ``reach`` of :func:`refine`.
    columns : (vector, pixel)
    weight, weighted : (n, pixel)
    results : (n, candidate, 5)
        As from :func:`refine`; NaN for the others.
    """
    n_vectors, m = columns.shape
    n_candidates = template.shape[1]
    model = np.empty(m)
    a = np.empty((n_vectors, n_vectors))
    b, solution = np.empty(n_vectors), np.empty(n_vectors)
    gains = np.empty(n_candidates)
    left = np.empty(len(kept), dtype=np.int64)
    order = np.empty(n_candidates, dtype=np.int64)
    for row in range(len(template)):
        for c in range(n_candidates):
            t = template[row, c]
            gains[c] = -np.inf
            if t >= 0:
                gains[c] = gain_at(
                    splines[t], extents[t], starts[t], ladders[ladder_of[t], begin[row, c]], step,
                    columns, weight[row], weighted[row], model, a, b, solution,
                )  # fmt: skip
        for k in range(len(kept)):
            left[k] = kept[k]
        _most_first(gains, order)
        for c in order:
            t = template[row, c]
            if t < 0 or left[ladder_of[t]] == 0:
                continue
            kind = ladder_of[t]
            left[kind] -= 1
            refine(
                splines[t], extents[t], starts[t], ladders[kind, : ladder_length[kind]],
                begin[row, c], gains[c], reach[kind], step, columns, weight[row], weighted[row],
                model, a, b, solution, results[row, c],
            )  # fmt: skip


@compiled
def scan_basis(  # type: ignore[no-untyped-def]
    splines, extent, first, redshifts, step, fixed, weight, weighted, gains
):  # fmt: skip
    """χ² of a mixture of eigen-spectra, and of fixed columns, at every redshift.

    Parameters
    ----------
    splines : (vector, pixel) float64
        B-spline coefficients of the eigen-spectra.
    extent : (2,) int
        First and last pixel that all of them have.
    first : int
        As in :func:`gain_at`.
    redshifts : (z,) float64
    fixed : (column, pixel) float64
        Added as they are, at every redshift.
    weight, weighted : (n, pixel)
    gains : (n, z) float64
        Filled: by how much the best mixture lowers χ²; −1 where the spectra do not cover the fit.
    """
    n_vectors, n_fixed, m = len(splines), len(fixed), weight.shape[1]
    columns = np.empty((n_vectors + n_fixed, m))
    for j in range(n_fixed):
        for i in range(m):
            columns[n_vectors + j, i] = fixed[j, i]
    ones = np.empty(m)
    ones[:] = 1.0
    n = n_vectors + n_fixed
    a, b, solution = np.empty((n, n)), np.empty(n), np.empty(n)
    for k in range(len(redshifts)):
        where = first - np.log10(1.0 + redshifts[k]) / step
        position = int(np.floor(where))
        if position - 1 < extent[0] or position + m + 1 > extent[1]:
            gains[:, k] = -1.0
            continue
        for j in range(n_vectors):
            shifted(splines[j], position, where - position, columns[j])
        for row in range(len(weight)):
            products(ones, columns, weight[row], weighted[row], a, b)
            gains[row, k] = solve(a, b, solution)
