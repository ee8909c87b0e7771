"""The polynomial re-match of solutions of low confidence (LAMOST 1-D pipeline)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.templates.cells import POLYNOMIAL_TERMS
from msfa_core.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from msfa_core.templates.library import TemplateSet


class Rematch(NamedTuple):
    """Solutions fitted again, each with a polynomial.

    Attributes
    ----------
    leading : (k,) array
        Coefficient of the template itself.
    chi2 : (k,) array
        Reduced.
    z, z_err : (k,) arrays
    model : (k, pixel) array
    """

    leading: FloatArray
    chi2: FloatArray
    z: FloatArray
    z_err: FloatArray
    model: FloatArray


def is_accepted(leading: FloatArray, chi2: FloatArray, chi2_before: float) -> BoolArray:
    """Tell which re-matches may replace a match: template the right way up, chi2 better.

    Parameters
    ----------
    leading : (k,) array
        Coefficient of the template; a negative one is an inverted template.
    chi2 : (k,) array
        Reduced, of the re-match.
    chi2_before : float
        Reduced, of the best solution so far.
    """
    return (leading > 0) & (chi2 < chi2_before)


def polynomial_rematch(
    flux: FloatArray,
    ivar: FloatArray,
    wavelength: FloatArray,
    templates: TemplateSet,
    rows: IntArray,
    z: FloatArray,
    continuum: FloatArray | None = None,
) -> Rematch:
    """Fit templates again, each with a polynomial added, near the shifts they were found at.

    The model is a·T(λ/(1+z))·continuum + polynomial: light that the template has not (of the sky,
    of the other arm) is what a multiplied continuum cannot give.

    Parameters
    ----------
    flux, ivar : (pixel,) arrays
        ``ivar`` 0 where the spectrum is bad.
    wavelength : (pixel,) array [Å]
        On the log grid of step 1e-4.
    templates : TemplateSet
    rows : (k,) int array
        Templates.
    z : (k,) array
    continuum : (k, pixel) array, optional
        What each template is multiplied with: its adjusted continuum; nothing when not given.
    """
    first = round(float(np.log10(wavelength[0])) / LAMOST_GRID.step)
    pixel = first + np.arange(len(wavelength)) - templates.first_pixel
    results = []
    spent = 0 if continuum is None else len(templates.continuum)
    shapes = np.ones((len(rows), len(wavelength))) if continuum is None else continuum
    for row, start, shape in zip(rows, z, shapes, strict=True):
        steps = _STEPS * LAMOST_GRID.step
        shifts = (1.0 + start) * 10.0**steps - 1.0
        at = pixel[None, :] - np.log10(1.0 + shifts)[:, None] / LAMOST_GRID.step
        spectrum = templates.flux[row]
        known = np.isfinite(spectrum)
        x = np.flatnonzero(known)
        shifted = shape * np.interp(at, x, spectrum[known], left=np.nan, right=np.nan)
        terms = int(POLYNOMIAL_TERMS[str(templates.cls[row])])
        results.append(_fit_at(shifted, flux, ivar, shifts, terms, spent))
    columns = [np.array(column) for column in zip(*results, strict=True)]
    return Rematch(*columns)


_STEPS: Final = np.linspace(-4.0, 4.0, 17)  # pixels around the shift of the match
_RIDGE: Final = 1e-10  # of the diagonal: terms that a short spectrum cannot tell apart


def _fit_at(
    shifted: FloatArray,
    flux: FloatArray,
    ivar: FloatArray,
    shifts: FloatArray,
    terms: int,
    spent: int,
) -> tuple[float, float, float, float, FloatArray]:
    """Fit one template with a polynomial at several shifts; return the best, refined.

    ``spent`` counts the free parameters that went into the template's continuum.
    """
    use = (ivar > 0) & np.isfinite(flux) & np.isfinite(shifted).all(axis=0)
    n_free = int(use.sum()) - terms - spent - 2
    if n_free <= 0:
        return np.nan, np.nan, np.nan, np.nan, np.full(len(flux), np.nan)
    scale = float(np.sqrt(np.mean(flux[use] ** 2))) or 1.0
    x = np.linspace(-1.0, 1.0, len(flux))
    powers = np.polynomial.legendre.legvander(x, max(terms - 1, 0))[:, :terms]
    size = np.nanmedian(np.abs(shifted)) or 1.0
    basis = np.concatenate(
        [shifted[:, None, :] / size, np.broadcast_to(powers.T, (len(shifted), *powers.T.shape))],
        axis=1,
    )  # (shift, term, pixel)
    weight = ivar[use] * scale**2
    data = flux[use] / scale
    chosen = basis[:, :, use]
    weighted = chosen * weight
    normal = weighted @ chosen.transpose(0, 2, 1)
    diagonal = np.arange(terms + 1)
    normal[:, diagonal, diagonal] *= 1.0 + _RIDGE
    right = weighted @ data
    solution = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    chi2 = float(weight @ data**2) - np.einsum("st,st->s", right, solution)
    best = int(np.argmin(chi2))
    z, z_err = _vertex(shifts, chi2, best)
    model = solution[best] @ basis[best] * scale
    return float(solution[best, 0]), float(chi2[best]) / n_free, z, z_err, model


def _vertex(shifts: FloatArray, chi2: FloatArray, best: int) -> tuple[float, float]:
    """Return the minimum of the parabola through three points, and where chi2 is 1 above."""
    if best in (0, len(shifts) - 1):
        return float(shifts[best]), np.nan
    step = float(shifts[best + 1] - shifts[best])
    low, middle, high = chi2[best - 1 : best + 2]
    curvature = low - 2.0 * middle + high
    if not curvature > 0:
        return float(shifts[best]), np.nan
    offset = 0.5 * (low - high) / curvature
    return float(shifts[best] + offset * step), float(step * np.sqrt(2.0 / curvature))
