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
def _lay_out(values, size, laid):  # type: ignore[no-untyped-def]
    """Fill ``laid`` (pixel of a bin, bin) with values, bin after bin; zeros behind the last."""
    laid[:, :] = 0.0
    for i in range(len(values)):
        laid[i % size, i // size] = values[i]


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
    n_vectors, n_bins = len(columns), right.shape[2]
    vectors = np.empty((n_vectors, size, n_bins))
    for j in range(n_vectors):
        _lay_out(columns[j], size, vectors[j])
    here, there = np.empty((size, n_bins)), np.empty((size, n_bins))
    one, sums = np.empty((size, n_bins)), np.empty(n_bins)
    for row in range(len(weight)):
        _lay_out(weight[row], size, here)
        _lay_out(weighted[row], size, there)
        for j in range(n_vectors):
            sums[:] = 0.0
            for i in range(size):
                for c in range(n_bins):
                    sums[c] += there[i, c] * vectors[j, i, c]
                    one[i, c] = here[i, c] * vectors[j, i, c]
            for c in range(n_bins):
                right[row, j, c] = sums[c]
            for k in range(j + 1):
                sums[:] = 0.0
                for i in range(size):
                    for c in range(n_bins):
                        sums[c] += one[i, c] * vectors[k, i, c]
                for c in range(n_bins):
                    normal[row, j * (j + 1) // 2 + k, c] = sums[c]


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
    first = position - 1
    near = spline[first : first + len(out) + 3]  # a number that may be negative costs the vectors
    for i in range(len(out)):
        out[i] = w0 * near[i] + w1 * near[i + 1] + w2 * near[i + 2] + w3 * near[i + 3]


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
        here, there = weight[start : start + size], weighted[start : start + size]
        near = model[start : start + size]
        for i in range(size):
            square[i] = here[i] * near[i] * near[i]
            right[i] = there[i] * near[i]
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
        As in :func:`refining.knot_sums`.
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
