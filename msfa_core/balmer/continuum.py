"""Local continuum of the Balmer windows: a low-order polynomial between the lines."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.machine.compiled import compiled

N_COEFFICIENTS: Final = 4  # cubic
_CLIP_ROUNDS: Final = 4
_CLIP_LOW: Final = 1.5  # σ below: metal lines
_CLIP_HIGH: Final = 3.0  # σ above: cosmic rays
_LEAST_PIXELS: Final = 30
_PIVOT: Final = 1e-13


def continuum_level(
    wavelength: NDArray[np.float64], limits: tuple[float, float], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evaluate the polynomial.

    Parameters
    ----------
    wavelength : (pixel,) array [Å, rest]
    limits : (low, high) [Å]
        Range that was scaled to [-1, 1].
    coefficients : (4,) array
        Of 1, x, x², x³.

    Returns
    -------
    (pixel,) array
        In the units of the flux.
    """
    middle, half = 0.5 * (limits[0] + limits[1]), 0.5 * (limits[1] - limits[0])
    return np.asarray(np.polynomial.polynomial.polyval((wavelength - middle) / half, coefficients))


@compiled(part=True)
def solve_spd(matrix, size):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Invert a symmetric positive definite matrix in place by Cholesky; False when it is not."""
    for j in range(size):
        diagonal = matrix[j, j]
        for k in range(j):
            diagonal -= matrix[j, k] * matrix[j, k]
        if not diagonal > _PIVOT * matrix[j, j]:
            return False
        root = math.sqrt(diagonal)
        matrix[j, j] = root
        for i in range(j + 1, size):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / root
    # inverse of the lower triangle, then its product with its transpose
    for j in range(size):
        matrix[j, j] = 1.0 / matrix[j, j]
        for i in range(j + 1, size):
            total = 0.0
            for k in range(j, i):
                total -= matrix[i, k] * matrix[k, j]
            matrix[i, j] = total / matrix[i, i]
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, size):
                total += matrix[k, i] * matrix[k, j]
            matrix[j, i] = total  # upper triangle is free to hold the result
    for i in range(size):
        for j in range(i):
            matrix[i, j] = matrix[j, i]
    return True


@compiled(part=True)
def fit_continuum(x, y, w, m, coefficients, covariance, keep):  # type: ignore[no-untyped-def]
    """Fit the polynomial with an asymmetric clip.

    Parameters
    ----------
    x : (>= m,) wavelengths scaled to [-1, 1]
    y, w : (>= m,) flux and inverse variance, all finite and positive weight
    m : int
    coefficients : (4,) array, overwritten
        Of 1, x, x², x³.
    covariance : (4, 4) array, overwritten
        For inverse variances as given.
    keep : (>= m,) float scratch array
        1 for pixels that survived the clip.

    Returns
    -------
    float
        Scatter over expected error of the pixels kept; NaN when there is no fit.
    """
    for i in range(m):
        keep[i] = 1.0
    scatter = math.nan
    for _ in range(_CLIP_ROUNDS + 1):
        m0 = m1 = m2 = m3 = m4 = m5 = m6 = 0.0
        y0 = y1 = y2 = y3 = 0.0
        kept = 0.0
        for i in range(m):
            weight = w[i] * keep[i]
            x1 = x[i]
            x2 = x1 * x1
            x3 = x2 * x1
            wy = weight * y[i]
            kept += keep[i]
            m0 += weight
            m1 += weight * x1
            m2 += weight * x2
            m3 += weight * x3
            m4 += weight * x2 * x2
            m5 += weight * x3 * x2
            m6 += weight * x3 * x3
            y0 += wy
            y1 += wy * x1
            y2 += wy * x2
            y3 += wy * x3
        if kept < _LEAST_PIXELS:
            return math.nan
        covariance[0, 0], covariance[1, 0], covariance[2, 0], covariance[3, 0] = m0, m1, m2, m3
        covariance[1, 1], covariance[2, 1], covariance[3, 1] = m2, m3, m4
        covariance[2, 2], covariance[3, 2], covariance[3, 3] = m4, m5, m6
        if not solve_spd(covariance, np.int64(N_COEFFICIENTS)):  # not compiled for each constant
            return math.nan
        for k in range(N_COEFFICIENTS):
            coefficients[k] = (
                covariance[k, 0] * y0
                + covariance[k, 1] * y1
                + covariance[k, 2] * y2
                + covariance[k, 3] * y3
            )
        c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
        total = 0.0
        for i in range(m):
            residual = y[i] - (c0 + x[i] * (c1 + x[i] * (c2 + x[i] * c3)))
            total += keep[i] * w[i] * residual * residual
        scatter = math.sqrt(total / kept)
        changed = 0.0
        for i in range(m):
            residual = y[i] - (c0 + x[i] * (c1 + x[i] * (c2 + x[i] * c3)))
            u = residual * math.sqrt(w[i])
            good = 1.0 if -_CLIP_LOW * scatter <= u <= _CLIP_HIGH * scatter else 0.0
            changed += abs(good - keep[i])
            keep[i] = good
        if changed == 0.0:
            break
    return scatter
