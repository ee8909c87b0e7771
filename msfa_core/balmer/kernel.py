"""From a batch of spectra to raw line measurements: windows, continuum, fit, covariance.

Everything here is compiled and works on one row and one line at a time, in place, so that a
batch needs no memory beyond its results. :mod:`msfa_core.balmer.fit` turns the raw numbers into
measurements with flags.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from msfa_core.balmer.continuum import N_COEFFICIENTS, fit_continuum
from msfa_core.balmer.linearised import (
    N_SWS,
    add_continuum,
    fill_slopes,
    invert_normal,
    noise_bias,
    second_line,
)
from msfa_core.balmer.solver import LOG_B, WORK_ROWS, WORK_SIZE, X0, A, C, N, fit_profile
from msfa_core.machine.compiled import compiled

WINDOW: Final = 70.0  # Å on either side of the line
CORE: Final = 6.0  # Å on either side of the centre that must be seen
_FAR_LAGS: Final = (3, 8)  # pixels; nearer ones err together
_REJECT_ROUNDS: Final = 3
_REJECT_TRIGGER: Final = 4.5  # largest residual over rms that calls for a closer look
_REJECT_SIGMA: Final = 6.0
_REJECT_LIKELY: Final = 4.0  # times the mean size
_GAUSS_MEAN: Final = 1.2533  # σ over the mean size of Gaussian errors
_REJECT_LEAST: Final = 0.04  # of the continuum
LEAST_PIXELS: Final = 12  # of a fit
_BEST: Final = WORK_ROWS  # row of the solution; behind it two more
_SLOPES: Final = 5  # first of their rows in the scratch space
SCRATCH_ROWS: Final = _SLOPES + N_SWS
_CENTRE_HALF: Final = 2.2  # Å: the core itself …
_SHOULDER: Final = (3.0, 6.5)  # … and what it is compared with
_SIDE: Final = (2.0, 20.0)  # Å from the centre: left against right

# Places in the raw values of one line
(
    RAW_N, RAW_A, RAW_B, RAW_C, RAW_X0, RAW_CHI2, RAW_USED, RAW_RMS, RAW_SNR, RAW_LEFT,
    RAW_RIGHT, RAW_GAP, RAW_CONVERGED, RAW_REVERSAL, RAW_REVERSAL_SIGMA, RAW_SIDES,
    RAW_SIDES_SIGMA, RAW_CORE_OUTLIERS, RAW_REJECTED, RAW_LEVEL, RAW_CONTINUUM_SEEN, RAW_CORE,
    RAW_CORE_SIGMA, RAW_NOISE, RAW_SCATTER, RAW_SECOND, RAW_SECOND_SIGMA, RAW_BIAS_N, RAW_BIAS_A,
    RAW_BIAS_B, RAW_BIAS_C, RAW_NOISE_ALONE,
) = range(32)  # fmt: skip
N_RAW: Final = 32


@compiled(part=True)
def _find(wavelength, value):  # type: ignore[no-untyped-def]
    """First index whose wavelength is at or above the value."""
    low, high = 0, len(wavelength)
    while low < high:
        middle = (low + high) // 2
        if wavelength[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(part=True)
def _covered(rest, ranges):  # type: ignore[no-untyped-def]
    """Whether a rest wavelength lies in one of the (low, high) ranges."""
    found = False
    for k in range(len(ranges)):
        found |= ranges[k, 0] <= rest <= ranges[k, 1]
    return found


@compiled(part=True)
def _collect_continuum(  # type: ignore[no-untyped-def]
    wavelength, flux, ivar, mask, stretch, limits, excluded, x, y, w
):
    """Gather the usable continuum pixels; return their number and the number there should be."""
    low, high = limits[0], limits[1]
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    m = 0
    expected = 0
    for i in range(_find(wavelength, low * stretch), _find(wavelength, high * stretch)):
        rest = wavelength[i] / stretch
        if _covered(rest, excluded):
            continue
        expected += 1
        if mask[i] or not (ivar[i] > 0.0) or not math.isfinite(flux[i]):
            continue
        x[m] = (rest - middle) / half
        y[m] = flux[i]
        w[m] = ivar[i]
        m += 1
    return m, expected


@compiled(part=True)
def _collect_window(  # type: ignore[no-untyped-def]
    wavelength, flux, ivar, mask, stretch, line, limits, masked, coefficients, x, y, w, scaled
):
    """Gather the usable pixels of a line window, normalised; return their number and left, right.

    Left and right are the shares of either half of the window that are usable, metal lines
    aside.
    """
    low, high = limits[0], limits[1]
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    first = _find(wavelength, (line - WINDOW) * stretch)
    last = _find(wavelength, (line + WINDOW) * stretch)
    m = 0
    left = right = 0.0
    for i in range(first, last):
        rest = wavelength[i] / stretch
        step = (wavelength[i] - wavelength[i - 1] if i > 0 else wavelength[1] - wavelength[0]) / (
            stretch
        )
        usable = not mask[i] and ivar[i] > 0.0 and math.isfinite(flux[i])
        metal = _covered(rest, masked)
        if usable or metal:
            if rest < line:
                left += step
            else:
                right += step
        if metal or not usable:
            continue
        s = (rest - middle) / half
        level = coefficients[0] + s * (
            coefficients[1] + s * (coefficients[2] + s * coefficients[3])
        )
        if not level > 0.0:
            continue
        x[m] = rest - line
        y[m] = flux[i] / level - 1.0
        w[m] = ivar[i] * level * level
        scaled[m] = s
        m += 1
    return m, min(left / WINDOW, 1.0), min(right / WINDOW, 1.0)


@compiled(part=True)
def _core_gap(x, m):  # type: ignore[no-untyped-def]
    """Widest stretch without a usable pixel that touches the core [Å]."""
    widest = 0.0
    before = -WINDOW
    for i in range(m + 1):
        at = x[i] if i < m else WINDOW
        if at > -CORE and before < CORE:
            widest = max(widest, at - before)
        before = at
    return widest


@compiled(part=True)
def _residuals(x, y, w, m, best, residual):  # type: ignore[no-untyped-def]
    """Fill the residuals; return χ², Σr² and the largest |r|·sqrt(w)."""
    b, c = math.exp(best[LOG_B]), best[C]
    chi2 = square = largest = 0.0
    for i in range(m):
        t = (abs(x[i] - best[X0]) / b) ** c
        r = y[i] - (best[N] - best[A] * math.exp(-t))
        residual[i] = r
        chi2 += w[i] * r * r
        square += r * r
        largest = max(largest, abs(r) * math.sqrt(w[i]))
    return chi2, square, largest


@compiled(part=True)
def _noise_variances(w, m, residual):  # type: ignore[no-untyped-def]
    """Variances by which a fit is moved, in units of what the inverse variances say.

    By all that the residuals show, and by the noise alone.

    Half the mean square of the differences over k pixels is s²(1 − ρ(k)), whatever varies slowly:
    what the profile does not follow counts little. Where neighbours err together (ρ(1), ρ(2), from
    resampling) a fit varies by s²(1 + 2ρ(1) + 2ρ(2)); s² is that of the differences over 3 to 8.
    Weak metal lines are in it. Of the noise alone s² is at most that of neighbours, or what the
    inverse variances say: neighbours in one metal line differ little.
    """
    near = far = neighbours = 0.0
    for lag in range(1, _FAR_LAGS[1] + 1):
        total = 0.0
        for i in range(lag, m):
            u = residual[i] * math.sqrt(w[i]) - residual[i - lag] * math.sqrt(w[i - lag])
            total += u * u
        mean = 0.5 * total / (m - lag)
        if lag == 1:
            neighbours = mean
        if lag < _FAR_LAGS[0]:
            near += mean
        else:
            far += mean / (_FAR_LAGS[1] - _FAR_LAGS[0] + 1)
    alone = min(far, max(neighbours, 1.0))
    together = 2.0 * max((_FAR_LAGS[0] - 1) * far - near, 0.0)
    alone_together = 2.0 * max((_FAR_LAGS[0] - 1) * alone - near, 0.0)
    return far + together, alone + alone_together


@compiled
def _reject(x, y, w, m, scaled, residual, x0, counts):  # type: ignore[no-untyped-def]
    """Drop outlying pixels; return how many pixels remain, and count those in the core.

    A spike in the core is not dropped: the star must be flagged, for the core is what is
    measured.
    """
    typical = math.inf
    for _ in range(_REJECT_ROUNDS):  # mean size of the residuals that are not outliers themselves
        total = kept = 0.0
        for i in range(m):
            size = abs(residual[i]) * math.sqrt(w[i])
            if size <= _REJECT_LIKELY * typical:
                total += size
                kept += 1.0
        typical = total / max(kept, 1.0)
    limit = _REJECT_SIGMA * max(_GAUSS_MEAN * typical, 1.0)
    counts[0] = 0.0
    k = 0
    for i in range(m):
        size = abs(residual[i])
        outlying = size * math.sqrt(w[i]) > limit and size > _REJECT_LEAST
        if outlying and abs(x[i] - x0) <= CORE:
            counts[0] += 1.0
            outlying = False
        if outlying:
            counts[1] += 1.0
            continue
        x[k], y[k], w[k], scaled[k] = x[i], y[i], w[i], scaled[i]
        k += 1
    return k


@compiled(part=True)
def _band(x, value, w, m, low, high):  # type: ignore[no-untyped-def]
    """Return the weighted mean over low <= x < high, and its variance."""
    total = weight = 0.0
    for i in range(m):
        if low <= x[i] < high:
            total += w[i] * value[i]
            weight += w[i]
    if not weight > 0:
        return 0.0, math.inf
    return total / weight, 1.0 / weight


@compiled(part=True)
def _shape_tests(x, y, w, m, x0, residual, raw):  # type: ignore[no-untyped-def]
    """Measure whether the core is turned up or filled in, and whether the sides differ."""
    core, core_variance = _band(x, y, w, m, x0 - _CENTRE_HALF, x0 + _CENTRE_HALF)
    left, left_variance = _band(x, y, w, m, x0 - _SHOULDER[1], x0 - _SHOULDER[0])
    right, right_variance = _band(x, y, w, m, x0 + _SHOULDER[0], x0 + _SHOULDER[1])
    reversal = core - 0.5 * (left + right)
    variance = core_variance + 0.25 * (left_variance + right_variance)
    raw[RAW_REVERSAL], raw[RAW_REVERSAL_SIGMA] = reversal, reversal / math.sqrt(variance)
    core, core_variance = _band(x, residual, w, m, x0 - _CENTRE_HALF, x0 + _CENTRE_HALF)
    raw[RAW_CORE], raw[RAW_CORE_SIGMA] = core, core / math.sqrt(core_variance)
    left, left_variance = _band(x, residual, w, m, x0 - _SIDE[1], x0 - _SIDE[0])
    right, right_variance = _band(x, residual, w, m, x0 + _SIDE[0], x0 + _SIDE[1])
    raw[RAW_SIDES] = right - left
    raw[RAW_SIDES_SIGMA] = (right - left) / math.sqrt(left_variance + right_variance)


@compiled(part=True)
def measure_line(  # type: ignore[no-untyped-def]
    wavelength, flux, ivar, mask, stretch, line, limits, masked, coefficients, polynomial,
    scratch, work, raw, covariance,
):  # fmt: skip
    """Measure one line of one spectrum whose continuum is known; return the pixels used.

    ``scratch`` rows 0–3 hold the pixels used afterwards: distance, flux − 1, inverse variance,
    scaled wavelength.
    """
    x, y, w, scaled, residual = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    m, raw[RAW_LEFT], raw[RAW_RIGHT] = _collect_window(
        wavelength, flux, ivar, mask, stretch, line, limits, masked, coefficients, x, y, w, scaled
    )
    raw[RAW_USED] = m
    raw[RAW_GAP] = _core_gap(x, m)
    if m < LEAST_PIXELS:
        return m
    best, counts, pulled = work[_BEST], work[_BEST + 1], work[_BEST + 2]
    counts[0] = counts[1] = 0.0
    chi2 = square = 0.0
    for round_ in range(_REJECT_ROUNDS):
        raw[RAW_CONVERGED] = 1.0 if fit_profile(x, y, w, m, best, work) else 0.0
        chi2, square, largest = _residuals(x, y, w, m, best, residual)
        if largest <= _REJECT_TRIGGER * math.sqrt(chi2 / m) or round_ == _REJECT_ROUNDS - 1:
            break
        # enough remain: a look needs 21 pixels, and takes the fewest of them (tested)
        remaining = _reject(x, y, w, m, scaled, residual, best[X0], counts)
        if remaining == m:
            break
        m = remaining
    raw[RAW_CORE_OUTLIERS], raw[RAW_REJECTED] = counts[0], counts[1]
    raw[RAW_N], raw[RAW_A], raw[RAW_B] = best[N] + 1.0, best[A], math.exp(best[LOG_B])
    raw[RAW_C], raw[RAW_X0], raw[RAW_CHI2] = best[C], best[X0], chi2
    raw[RAW_USED], raw[RAW_RMS] = m, math.sqrt(square / m)
    raw[RAW_GAP] = _core_gap(x, m)
    raw[RAW_NOISE], raw[RAW_NOISE_ALONE] = _noise_variances(w, m, residual)
    _shape_tests(x, y, w, m, best[X0], residual, raw)
    slopes = scratch[_SLOPES:]
    fill_slopes(x, m, best, slopes)
    if not invert_normal(w, m, slopes, covariance):
        for j in range(N_SWS):
            for k in range(N_SWS):
                covariance[j, k] = math.nan
        return m
    noise_bias(x, w, m, best, slopes, covariance, raw[RAW_BIAS_N:])
    second_line(x, w, m, best, slopes, covariance, residual, pulled, raw[RAW_SECOND:])
    add_continuum(y, w, m, slopes, scaled, coefficients, polynomial, covariance)
    return m


@compiled
def measure_rows(  # type: ignore[no-untyped-def]
    wavelength, flux, ivar, mask, z, lines, limits, excluded, masked, raw, covariances, scratch,
    coefficients,
):  # fmt: skip
    """Measure every line of every row.

    Parameters
    ----------
    wavelength : (pixel,) float64 [Å, observed frame]
    flux, ivar : (n, pixel)
    mask : (n, pixel) bool
    z : (n,)
    lines : (line,) rest wavelengths [Å]
    limits : (line, 2) continuum range of each line [Å]
    excluded : (k, 2) ranges left out of the continuum [Å]
    masked : (k, 2) metal and helium lines left out of the windows [Å]
    raw : (n, line, N_RAW), NaN on entry
    covariances : (n, line, 5, 5), NaN on entry
    scratch : (SCRATCH_ROWS, >= pixel)
        Holds the pixels of the last line measured afterwards; their number is returned.
    coefficients : (4,)
        Continuum polynomial of the last line measured afterwards.
    """
    work = np.zeros((_BEST + 3, WORK_SIZE))
    polynomial = np.zeros((N_COEFFICIENTS, N_COEFFICIENTS))
    m = 0
    for r in range(len(z)):
        if not z[r] > -1.0 or not math.isfinite(z[r]):
            continue
        stretch = 1.0 + z[r]
        scatter = seen = snr = level = math.nan
        for k in range(len(lines)):
            values = raw[r, k]
            m = 0
            if k == 0 or limits[k, 0] != limits[k - 1, 0] or limits[k, 1] != limits[k - 1, 1]:
                c, expected = _collect_continuum(
                    wavelength, flux[r], ivar[r], mask[r], stretch, limits[k], excluded,
                    scratch[0], scratch[1], scratch[2],
                )  # fmt: skip
                seen = c / expected if expected > 0 else 0.0
                scatter = fit_continuum(
                    scratch[0], scratch[1], scratch[2], c, coefficients, polynomial, scratch[3]
                )
                snr = level = 0.0 if c > 0 else math.nan
                for i in range(c):
                    snr += scratch[1, i] * math.sqrt(scratch[2, i]) / c
                    level += scratch[1, i] / c
            values[RAW_CONTINUUM_SEEN], values[RAW_SNR], values[RAW_LEVEL] = seen, snr, level
            values[RAW_SCATTER] = scatter
            if math.isnan(scatter):
                for j in range(N_COEFFICIENTS):
                    coefficients[j] = math.nan
                values[RAW_LEFT] = values[RAW_RIGHT] = values[RAW_USED] = 0.0
                continue
            m = measure_line(
                wavelength, flux[r], ivar[r], mask[r], stretch, lines[k], limits[k], masked,
                coefficients, polynomial, scratch, work, values, covariances[r, k],
            )  # fmt: skip
    return m
