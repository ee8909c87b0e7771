"""What follows from a fit near its minimum: covariance, noise bias, and whether a line is left.

All of it is linear algebra with the slopes of the profile at the pixels, which are computed once.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from msfa_core.balmer.continuum import N_COEFFICIENTS, solve_spd
from msfa_core.balmer.solver import LOG_B, X0, A, C
from msfa_core.balmer.vectormath import vector_exp, vector_log
from msfa_core.machine.compiled import compiled

N_SWS: Final = 5  # n, a, b, c, λ0
N_BIASED: Final = 4  # n, a, b, c: by symmetry λ0 has no bias
SECOND_LEAST: Final = 0.25  # of the depth: a second line fainter than this is not looked for
SECOND_OFFSETS: Final = (6.0, 9.0, 13.0, 19.0, 28.0)  # Å on either side (440–2000 km/s)
_GAUSS_POINT: Final = 1.7320508075688772  # outer node of the three-point Gauss–Hermite rule, in σ
_TINY: Final = 1e-9  # Å: distance of a pixel on the centre itself
_ABSORBED: Final = 1e-6  # share of a template that the profile leaves, below which it says nothing


@compiled(part=True)
def fill_slopes(x, m, best, slopes):  # type: ignore[no-untyped-def]
    """Fill the (5, m) derivatives of the profile with respect to n, a, b, c and λ0."""
    log_b, c, a = best[LOG_B], best[C], best[A]
    b, x0 = math.exp(log_b), best[X0]
    for i in range(m):
        offset = x[i] - x0
        distance = max(abs(offset), _TINY)
        log_u = vector_log(distance) - log_b
        t = vector_exp(c * log_u)
        e = vector_exp(-t)
        et = a * e * t
        slopes[0, i] = 1.0
        slopes[1, i] = -e
        slopes[2, i] = -c * et / b
        slopes[3, i] = et * log_u
        slopes[4, i] = -c * et * offset / (distance * distance)


@compiled(part=True)
def invert_normal(w, m, slopes, covariance):  # type: ignore[no-untyped-def]
    """Set the (5, 5) covariance of the parameters from photon noise; False when there is none."""
    for j in range(N_SWS):
        for k in range(j + 1):
            total = 0.0
            for i in range(m):
                total += w[i] * slopes[j, i] * slopes[k, i]
            covariance[j, k] = covariance[k, j] = total
    return solve_spd(covariance, np.int64(N_SWS))  # not compiled for each constant


@compiled(part=True)
def noise_bias(x, w, m, best, slopes, variance, bias):  # type: ignore[no-untyped-def]
    """Set the bias of (n, a, b, c) that noise causes, to second order (Box 1971, JRSS B 33, 171).

    ``−½ V Σ w J tr(V H)`` with the covariance V, and the slopes J and curvatures H of the profile
    at each pixel. Across the cusp at λ0 the curvature is that of the profile averaged over the
    scatter of λ0.
    """
    log_b, c, a = best[LOG_B], best[C], best[A]
    b, x0 = math.exp(log_b), best[X0]
    reach = _GAUSS_POINT * math.sqrt(variance[4, 4])
    v12, v13 = variance[1, 2], variance[1, 3]
    v22, v23, v33 = variance[2, 2], variance[2, 3], variance[3, 3]
    p0 = p1 = p2 = p3 = p4 = 0.0
    for i in range(m):
        offset = x[i] - x0
        log_u = vector_log(max(abs(offset), _TINY)) - log_b
        t = vector_exp(c * log_u)
        e = -slopes[1, i]
        et = e * t
        right = vector_log(max(abs(offset + reach), _TINY)) - log_b
        left = vector_log(max(abs(offset - reach), _TINY)) - log_b
        smeared = vector_exp(-vector_exp(c * right)) + vector_exp(-vector_exp(c * left)) - 2.0 * e
        curvature = -2.0 * et * (v12 * c / b - v13 * log_u) - a * (
            v22 * (c * t - c - 1.0) * c * et / (b * b)
            + 2.0 * v23 * (et / b) * (1.0 + c * log_u * (1.0 - t))
            - v33 * et * log_u * log_u * (1.0 - t)
            + smeared / 3.0
        )
        weighted = w[i] * curvature
        p0 += weighted
        p1 += weighted * slopes[1, i]
        p2 += weighted * slopes[2, i]
        p3 += weighted * slopes[3, i]
        p4 += weighted * slopes[4, i]
    for j in range(N_BIASED):
        bias[j] = -0.5 * (
            variance[j, 0] * p0
            + variance[j, 1] * p1
            + variance[j, 2] * p2
            + variance[j, 3] * p3
            + variance[j, 4] * p4
        )


@compiled(part=True)
def second_line(x, w, m, best, slopes, variance, residual, pulled, found):  # type: ignore[no-untyped-def]
    """Look in the residuals for the same profile at another velocity.

    Of each template only what the five parameters cannot take up counts. ``found`` gets the depth
    over that of the line, and its significance for errors as given, of the most significant one
    above the least depth; zeros without one. ``pulled`` is scratch space.
    """
    log_b, c, x0 = best[LOG_B], best[C], best[X0]
    for j in range(N_SWS):
        total = 0.0
        for i in range(m):
            total += w[i] * slopes[j, i] * residual[i]
        pulled[j] = total
    most = most_sigma = 0.0
    for k in range(2 * len(SECOND_OFFSETS)):
        offset = SECOND_OFFSETS[k // 2]
        place = x0 + (offset if k % 2 == 0 else -offset)
        size = match = t0 = t1 = t2 = t3 = t4 = 0.0
        for i in range(m):
            log_u = vector_log(max(abs(x[i] - place), _TINY)) - log_b
            e = vector_exp(-vector_exp(c * log_u))
            we = w[i] * e
            size += we * e
            match -= we * residual[i]
            t0 += we
            t1 += we * slopes[1, i]
            t2 += we * slopes[2, i]
            t3 += we * slopes[3, i]
            t4 += we * slopes[4, i]
        whole = size
        for j in range(N_SWS):
            taken = (
                variance[j, 0] * t0
                + variance[j, 1] * t1
                + variance[j, 2] * t2
                + variance[j, 3] * t3
                + variance[j, 4] * t4
            )
            template = t0 if j == 0 else t1 if j == 1 else t2 if j == 2 else t3 if j == 3 else t4  # noqa: PLR2004
            size -= taken * template
            match += taken * pulled[j]
        if size > _ABSORBED * whole and match > SECOND_LEAST * best[A] * size:
            sigma = match / math.sqrt(size)
            if sigma > most_sigma:
                most, most_sigma = match / size / best[A], sigma
    found[0], found[1] = most, most_sigma


@compiled(part=True)
def add_continuum(  # type: ignore[no-untyped-def]
    y, w, m, slopes, scaled, coefficients, polynomial, covariance
):
    """Add the covariance of the continuum polynomial to that of (n, a, b, c, λ0).

    A continuum that is wrong by δC moves the normalised flux by −y·δC/C, and the parameters by
    (JᵀWJ)⁻¹JᵀW times that.
    """
    cross = np.zeros((N_SWS, N_COEFFICIENTS))
    for i in range(m):
        s = scaled[i]
        level = coefficients[0] + s * (
            coefficients[1] + s * (coefficients[2] + s * coefficients[3])
        )
        pull = -w[i] * (y[i] + 1.0) / level
        for j in range(N_SWS):
            power = pull * slopes[j, i]
            for k in range(N_COEFFICIENTS):
                cross[j, k] += power
                power *= s
    moved = np.zeros((N_SWS, N_COEFFICIENTS))
    for j in range(N_SWS):
        for k in range(N_COEFFICIENTS):
            for i in range(N_SWS):
                moved[j, k] += covariance[j, i] * cross[i, k]
    for j in range(N_SWS):
        for k in range(N_SWS):
            for p in range(N_COEFFICIENTS):
                for q in range(N_COEFFICIENTS):
                    covariance[j, k] += moved[j, p] * polynomial[p, q] * moved[k, q]
