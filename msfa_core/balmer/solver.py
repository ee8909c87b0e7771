"""Least-squares SWS profile of one line window, at compiled speed.

The profile ``n − a·E``, ``E = exp[−(|λ−λ0|/b)^c]``, is linear in n and a. One pass over the pixels
sums the products of E, its derivatives and the data; from these sums follow the best n and a for
the current (b, c, λ0), χ² and the normal equations, so no Jacobian is stored and the
Levenberg–Marquardt iteration walks in three dimensions only.

Where c is near or below one the profile has a cusp at λ0, so χ²(λ0) has a kink at every pixel
centre: minima hide on the kinks and between them. The search therefore visits the pixel centres
and the gaps around the first solution one by one, and keeps the best.
"""

from __future__ import annotations

import math
from typing import Final

from msfa_core.balmer.vectormath import vector_exp, vector_log
from msfa_core.machine.compiled import compiled

# Bounds of the parameters; b and the shift of λ0 in Å
N_LOW: Final = 0.7
N_HIGH: Final = 1.3
A_LOW: Final = 0.02
A_HIGH: Final = 1.2
B_LOW: Final = 0.5
B_HIGH: Final = 60.0
C_LOW: Final = 0.3
C_HIGH: Final = 3.0
SHIFT_MAX: Final = 6.0

_LOG_B_LOW: Final = math.log(B_LOW)
_LOG_B_HIGH: Final = math.log(B_HIGH)
_CENTROID_HALF: Final = 12.0  # Å
_DEPTH_HALF: Final = 3.0  # Å
_TINY: Final = 1e-60  # distance of a pixel on the centre itself: log stays finite
_ROUGH: Final = 1e-4  # predicted relative gain in χ² at which the first descent stops …
_FINE: Final = 1e-9  # … and the last one
_IDLE: Final = 1e-7  # relative gain in χ² of a step that …
_IDLE_STEPS: Final = 3  # … so many times in a row means the minimum is reached
_ROUNDING: Final = 1e-14  # share of Σwy² below which χ² is rounding
_DAMPING_START: Final = 1e-3
_DAMPING_MIN: Final = 1e-9
_DAMPING_MAX: Final = 1e7
_DAMPING_CONVERGED: Final = 1.0  # a small step under heavy damping says nothing
_MAX_STEPS: Final = 60
_LOG_B_STEP: Final = 1.0  # largest step in ln b
_C_STEP: Final = 0.7  # largest step in c
_CUSP_SHAPE: Final = 1.6  # above this shape χ²(λ0) is smooth enough for one minimum
_KINK_SHAPE: Final = 1.15  # above this no minimum sits on a pixel centre
_WORTH_A_DESCENT: Final = 6.0  # Δχ² (of the noise found) within which a neighbour is tried
_FAINT: Final = 25.0  # (depth over noise of a pixel)² below which other shapes are tried
_OTHER_SHAPES: Final = (0.4, 2.5, 2.5, 2.5)
_OTHER_SHIFTS: Final = (0.0, 0.0, -2.5, 2.5)  # Å, from the solution
_HOPE: Final = 8.0  # times the promised gain that a descent may still make

# Places in the array of sums over pixels; E, F = E·t, G = F·ln u, H = F/(λ−λ0), t = u^c
_S, _SY, _SYY = 0, 1, 2
_E, _F, _G, _H = 3, 4, 5, 6
_EE, _EF, _EG, _EH, _FF, _FG, _FH, _GG, _GH, _HH = 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
_YE, _YF, _YG, _YH = 17, 18, 19, 20
N_SUMS: Final = 21
MAX_CANDIDATES: Final = 28
WORK_ROWS: Final = 14
WORK_SIZE: Final = max(N_SUMS, MAX_CANDIDATES)
# Places in the state of a solution
LOG_B, C, X0, N, A, CHI2 = 0, 1, 2, 3, 4, 5
N_STATE: Final = 6


@compiled(part=True)
def _sum_products(x, y, w, m, state, sums):  # type: ignore[no-untyped-def]
    """Sum the products of the basis functions and the data for (b, c, λ0) of ``state``."""
    log_b, c, x0 = state[LOG_B], state[C], state[X0]
    e1 = f1 = g1 = h1 = 0.0
    ee = ef = eg = eh = ff = fg = fh = gg = gh = hh = 0.0
    ye = yf = yg = yh = 0.0
    for i in range(m):
        offset = x[i] - x0
        distance = max(abs(offset), _TINY)
        log_u = vector_log(distance) - log_b
        t = vector_exp(c * log_u)
        e = vector_exp(-t)
        f = e * t
        g = f * log_u
        h = f * offset / (distance * distance)
        y_i = y[i]
        we = w[i] * e
        wf = w[i] * f
        wg = w[i] * g
        wh = w[i] * h
        e1 += we
        f1 += wf
        g1 += wg
        h1 += wh
        ee += we * e
        ef += we * f
        eg += we * g
        eh += we * h
        ff += wf * f
        fg += wf * g
        fh += wf * h
        gg += wg * g
        gh += wg * h
        hh += wh * h
        ye += we * y_i
        yf += wf * y_i
        yg += wg * y_i
        yh += wh * y_i
    sums[_E], sums[_F], sums[_G], sums[_H] = e1, f1, g1, h1
    sums[_EE], sums[_EF], sums[_EG], sums[_EH] = ee, ef, eg, eh
    sums[_FF], sums[_FG], sums[_FH] = ff, fg, fh
    sums[_GG], sums[_GH], sums[_HH] = gg, gh, hh
    sums[_YE], sums[_YF], sums[_YG], sums[_YH] = ye, yf, yg, yh


@compiled(part=True)
def _chi2_of(sums, n, a):  # type: ignore[no-untyped-def]
    """χ² for given n and a."""
    return (
        sums[_SYY]
        - 2.0 * (n * sums[_SY] - a * sums[_YE])
        + n * n * sums[_S]
        - 2.0 * n * a * sums[_E]
        + a * a * sums[_EE]
    )


@compiled(part=True)
def _project(sums, state):  # type: ignore[no-untyped-def]
    """Set the best n, a within their bounds, and χ², for the sums in hand.

    ``n`` is held relative to 1, as the data are.
    """
    s, e, ee = sums[_S], sums[_E], sums[_EE]
    sy, ye = sums[_SY], sums[_YE]
    n_low, n_high = N_LOW - 1.0, N_HIGH - 1.0
    determinant = s * ee - e * e
    if determinant > 1e-14 * s * ee:
        n = (ee * sy - e * ye) / determinant
        a = (e * sy - s * ye) / determinant
    else:
        n, a = 0.0, -1.0
    if not (n_low <= n <= n_high and A_LOW <= a <= A_HIGH):
        n_edge = min(max(n, n_low), n_high)
        a_of_edge = min(max((n_edge * e - ye) / max(ee, _TINY), A_LOW), A_HIGH)
        a_edge = min(max(a, A_LOW), A_HIGH)
        n_of_edge = min(max((sy + a_edge * e) / s, n_low), n_high)
        if _chi2_of(sums, n_edge, a_of_edge) < _chi2_of(sums, n_of_edge, a_edge):
            n, a = n_edge, a_of_edge
        else:
            n, a = n_of_edge, a_edge
    state[N], state[A] = n, a
    state[CHI2] = max(_chi2_of(sums, n, a), 0.0)


@compiled(part=True)
def _evaluate(x, y, w, m, state, sums):  # type: ignore[no-untyped-def]
    """Set the sums, the best n and a, and χ² at (b, c, λ0) of ``state``."""
    _sum_products(x, y, w, m, state, sums)
    _project(sums, state)


@compiled(part=True)
def _normal_equations(sums, state, hessian, slope):  # type: ignore[no-untyped-def]
    """Gauss–Newton matrix and slope in (ln b, c, λ0) with n and a eliminated."""
    n, a, c = state[N], state[A], state[C]
    s, e, ee = sums[_S], sums[_E], sums[_EE]
    f, g, h = sums[_F], sums[_G], sums[_H]
    ef, eg, eh = sums[_EF], sums[_EG], sums[_EH]
    k0, k1, k2 = -a * c, a, -a * c  # derivative of the profile = k times (F, G, H)
    slope[0] = k0 * (sums[_YF] - n * f + a * ef)
    slope[1] = k1 * (sums[_YG] - n * g + a * eg)
    slope[2] = k2 * (sums[_YH] - n * h + a * eh)
    n0, n1, n2 = k0 * f, k1 * g, k2 * h
    a0, a1, a2 = -k0 * ef, -k1 * eg, -k2 * eh
    # inverse of the block of (n, a); a parameter on its bound does not follow
    i_nn = i_na = i_aa = 0.0
    n_free = N_LOW - 1.0 < n < N_HIGH - 1.0
    a_free = A_LOW < a < A_HIGH
    if n_free and a_free:
        determinant = s * ee - e * e
        i_nn, i_aa, i_na = ee / determinant, s / determinant, e / determinant
    elif n_free:
        i_nn = 1.0 / s
    elif a_free:
        i_aa = 1.0 / ee
    hessian[0] = k0 * k0 * sums[_FF] - (n0 * n0 * i_nn + 2 * n0 * a0 * i_na + a0 * a0 * i_aa)
    hessian[1] = k0 * k1 * sums[_FG] - (
        n0 * n1 * i_nn + (n0 * a1 + n1 * a0) * i_na + a0 * a1 * i_aa
    )
    hessian[2] = k0 * k2 * sums[_FH] - (
        n0 * n2 * i_nn + (n0 * a2 + n2 * a0) * i_na + a0 * a2 * i_aa
    )
    hessian[3] = k1 * k1 * sums[_GG] - (n1 * n1 * i_nn + 2 * n1 * a1 * i_na + a1 * a1 * i_aa)
    hessian[4] = k1 * k2 * sums[_GH] - (
        n1 * n2 * i_nn + (n1 * a2 + n2 * a1) * i_na + a1 * a2 * i_aa
    )
    hessian[5] = k2 * k2 * sums[_HH] - (n2 * n2 * i_nn + 2 * n2 * a2 * i_na + a2 * a2 * i_aa)


@compiled(part=True)
def _solve(hessian, slope, damping, free, step):  # type: ignore[no-untyped-def]
    """Damped 3×3 system by Cholesky; a parameter that is not free stays (step 0)."""
    d = 1.0 + damping
    free0, free1, free2 = free[0], free[1], free[2]  # each place read is 10 ms to compile
    h00, h11, h22 = hessian[0], hessian[3], hessian[5]
    b0 = slope[0] if free0 and h00 > 0 else 0.0
    b1 = slope[1] if free1 and h11 > 0 else 0.0
    b2 = slope[2] if free2 and h22 > 0 else 0.0
    h00 = h00 * d if free0 and h00 > 0 else 1.0
    h11 = h11 * d if free1 and h11 > 0 else 1.0
    h22 = h22 * d if free2 and h22 > 0 else 1.0
    h01 = hessian[1] if free0 and free1 else 0.0
    h02 = hessian[2] if free0 and free2 else 0.0
    h12 = hessian[4] if free1 and free2 else 0.0
    l00 = math.sqrt(h00)
    l10, l20 = h01 / l00, h02 / l00
    v11 = h11 - l10 * l10
    if v11 <= 1e-12 * h11:
        return False
    l11 = math.sqrt(v11)
    l21 = (h12 - l20 * l10) / l11
    v22 = h22 - l20 * l20 - l21 * l21
    if v22 <= 1e-12 * h22:
        return False
    l22 = math.sqrt(v22)
    z0 = b0 / l00
    z1 = (b1 - l10 * z0) / l11
    z2 = (b2 - l20 * z0 - l21 * z1) / l22
    s2 = z2 / l22
    s1 = (z1 - l21 * s2) / l11
    step[0], step[1], step[2] = (z0 - l10 * s1 - l20 * s2) / l00, s1, s2
    return True


@compiled(part=True)
def _bounded_step(state, slope, low, high, hessian, damping, free, step):  # type: ignore[no-untyped-def]
    """Step within the bounds; return the gain in χ² that it promises, or -1 without a solution."""
    for k in range(3):
        free[k] = not (
            (state[k] <= low[k] and slope[k] <= 0) or (state[k] >= high[k] and slope[k] >= 0)
        )
    if not _solve(hessian, slope, damping, free, step):
        return -1.0
    longest = max(abs(step[0]) / _LOG_B_STEP, abs(step[1]) / _C_STEP, 1.0)
    for k in range(3):
        target = min(max(state[k] + step[k] / longest, low[k]), high[k])
        step[k] = target - state[k]
    s0, s1, s2 = step[0], step[1], step[2]
    return (
        2.0 * (slope[0] * s0 + slope[1] * s1 + slope[2] * s2)
        - (hessian[0] * (s0 * s0) + hessian[3] * (s1 * s1) + hessian[5] * (s2 * s2))
        - 2.0 * (hessian[1] * s0 * s1 + hessian[2] * s0 * s2 + hessian[4] * s1 * s2)
    )


@compiled(part=True)
def _chi2_at(x, y, w, m, state, totals):  # type: ignore[no-untyped-def]
    """Return χ² at (b, c, λ0) of ``state`` with the best n and a."""
    log_b, c, x0 = state[LOG_B], state[C], state[X0]
    e1 = ee = ye = 0.0
    for i in range(m):
        distance = max(abs(x[i] - x0), _TINY)
        e = vector_exp(-vector_exp(c * (vector_log(distance) - log_b)))
        we = w[i] * e
        e1 += we
        ee += we * e
        ye += we * y[i]
    totals[_E], totals[_EE], totals[_YE] = e1, ee, ye
    _project(totals, state)
    return state[CHI2]


@compiled(part=True)
def _descend(  # type: ignore[no-untyped-def]  # noqa: PLR0912
    x, y, w, m, state, low, high, tolerance, rival, work
):
    """Walk from ``state`` to the nearest minimum within the bounds.

    Returns True at a minimum; False where the steps run out, or where the promised gain leaves
    no hope to get below ``rival``. ``work`` is scratch space; its row 7 holds Σw, Σwy, Σwy².
    """
    sums, sums_trial, trial = work[0], work[1], work[2]
    hessian, slope, step, free = work[3], work[4], work[5], work[6]
    for k in range(_SYY + 1):
        sums[k] = sums_trial[k] = work[7, k]
    floor = _ROUNDING * work[7, _SYY]
    damping = _DAMPING_START
    idle = 0
    _evaluate(x, y, w, m, state, sums)
    _normal_equations(sums, state, hessian, slope)
    for _ in range(_MAX_STEPS):
        gain = _bounded_step(state, slope, low, high, hessian, damping, free, step)
        if gain < 0.0:
            damping = max(damping * 10.0, _DAMPING_START)
            if damping > _DAMPING_MAX:
                return True
            continue
        if damping <= _DAMPING_CONVERGED:
            if gain <= tolerance * state[CHI2] + floor:
                return True
            if state[CHI2] - _HOPE * gain > rival:
                return False
        for k in range(3):
            trial[k] = state[k] + step[k]
        _evaluate(x, y, w, m, trial, sums_trial)
        if trial[CHI2] < state[CHI2]:
            # beside a kink the promise is never kept, and many tiny steps go nowhere
            idle = idle + 1 if state[CHI2] - trial[CHI2] < _IDLE * state[CHI2] else 0
            for k in range(N_STATE):
                state[k] = trial[k]
            if idle == _IDLE_STEPS:
                return True
            for k in range(N_SUMS):
                sums[k] = sums_trial[k]
            damping = max(damping * 0.1, _DAMPING_MIN)
            _normal_equations(sums, state, hessian, slope)
        else:
            damping *= 8.0
            if damping > _DAMPING_MAX:
                return True
    return False


@compiled(part=True)
def _start(x, y, w, m, state):  # type: ignore[no-untyped-def]
    """Guess (b, c, λ0) from the centroid, depth and equivalent width of the absorption."""
    weight = moment = area = core = core_w = 0.0
    for i in range(1, m):
        area -= y[i] * min(x[i] - x[i - 1], 3.0)
        if abs(x[i]) < _CENTROID_HALF:
            weight -= y[i]
            moment -= y[i] * x[i]
        if abs(x[i]) < _DEPTH_HALF:
            core -= y[i] * w[i]
            core_w += w[i]
    centre = moment / weight if weight > 0 else 0.0
    depth = max(core / core_w, 0.05) if core_w > 0 else 0.3
    width = max(area, 0.1) / (2.0 * depth)
    state[LOG_B] = math.log(min(max(width, 1.0), 30.0))
    state[C] = 1.0
    state[X0] = min(max(centre, -3.0), 3.0)


@compiled(part=True)
def _list_candidates(x, y, w, m, best, totals, trial, left, right, start):  # type: ignore[no-untyped-def]
    """List other places of λ0 that may hold the minimum; return their number.

    Going outward from the solution, pixel centres (a kink of χ² can be a minimum) and the gaps
    between them are taken while χ², with b and c as they are, stays near the best.
    """
    limit = best[CHI2] * (1.0 + _WORTH_A_DESCENT / m)
    centre, has_kinks = best[X0], best[C] < _KINK_SHAPE
    trial[LOG_B], trial[C] = best[LOG_B], best[C]
    count = 0
    p = 0  # the solution lies between pixels p - 1 and p
    while p < m - 1 and x[p] < centre:
        p += 1
    for direction in (-1, 1):
        q = p - 1 if direction < 0 else p
        away = abs(x[q] - centre)
        step = 0
        while 0 <= q < m and abs(x[q]) <= SHIFT_MAX and count < MAX_CANDIDATES - 1:
            near = False
            here = x[q]
            if has_kinks:
                trial[X0] = here
                chi2 = _chi2_at(x, y, w, m, trial, totals)
                # data above the tip of the profile push the centre off this pixel
                if chi2 < limit and y[q] - (trial[N] - trial[A]) < 1.0 / math.sqrt(w[q]):
                    near = True
                    left[count] = right[count] = start[count] = here
                    count += 1
            q += direction
            if not (0 <= q < m and abs(x[q]) <= SHIFT_MAX):
                break
            # in the next gap a minimum hides just behind the kink that is near, else anywhere
            there = x[q]
            half = 0.5 * abs(there - here)
            within = here + direction * (min(away, half) if step == 0 else half)
            trial[X0] = within
            if _chi2_at(x, y, w, m, trial, totals) < limit:
                near = True
                left[count], right[count] = min(here, there), max(here, there)
                start[count] = within
                count += 1
            if not near:
                break
            step += 1
    return count


@compiled(part=True)
def fit_profile(x, y, w, m, best, work):  # type: ignore[no-untyped-def]
    """Fit one window.

    Parameters
    ----------
    x : (>= m,) distances from the line's laboratory centre [Å], increasing
    y : (>= m,) normalised flux minus 1
    w : (>= m,) inverse variances, all positive
    m : int
        Pixels that count.
    best : (N_STATE,) array, overwritten
        ln b, c, λ0 − laboratory [Å], n − 1, a, χ².
    work : (WORK_ROWS, WORK_SIZE) scratch array

    Returns
    -------
    bool
        True when the iteration converged.
    """
    low, high, trial, totals = work[8], work[9], work[10], work[7]
    left, right, start = work[11], work[12], work[13]  # of each candidate
    low[LOG_B], low[C], low[X0] = _LOG_B_LOW, C_LOW, -SHIFT_MAX
    high[LOG_B], high[C], high[X0] = _LOG_B_HIGH, C_HIGH, SHIFT_MAX
    s = sy = syy = 0.0
    for i in range(m):
        wy = w[i] * y[i]
        s += w[i]
        sy += wy
        syy += wy * y[i]
    totals[_S], totals[_SY], totals[_SYY] = s, sy, syy
    _start(x, y, w, m, best)
    _descend(x, y, w, m, best, low, high, _ROUGH, math.inf, work)
    count = 0
    if best[C] < _CUSP_SHAPE:
        count = _list_candidates(x, y, w, m, best, totals, trial, left, right, start)
    # the solution itself comes first, polished; then its rivals in λ0, and for a line that
    # hardly stands out of the noise those of other shape
    starts = count + 1
    if best[A] * best[A] * s < _FAINT * m:
        starts += len(_OTHER_SHAPES)
    converged = False
    log_b, c, x0 = best[LOG_B], best[C], best[X0]
    best[CHI2] = math.inf
    for k in range(starts):
        trial[LOG_B], trial[C], trial[X0] = log_b, c, x0
        low[X0], high[X0] = -SHIFT_MAX, SHIFT_MAX
        if k > count:
            trial[C] = _OTHER_SHAPES[k - count - 1]
            trial[X0] = min(max(x0 + _OTHER_SHIFTS[k - count - 1], -SHIFT_MAX), SHIFT_MAX)
        elif k > 0:
            low[X0], high[X0], trial[X0] = left[k - 1], right[k - 1], start[k - 1]
        done = _descend(x, y, w, m, trial, low, high, _FINE, best[CHI2], work)
        if trial[CHI2] < best[CHI2]:
            converged = done
            for j in range(N_STATE):
                best[j] = trial[j]
    return converged
