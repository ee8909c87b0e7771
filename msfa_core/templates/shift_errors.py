"""Errors of redshifts from the residuals that are there, in place of those that weights promise.

The weights of a match hold an error of the templates, and χ² is no longer that of the noise: the
curvature of its surface promises too much where templates fail and too little where they fit. The
error here is that of weighted least squares with any noise (the sandwich of White 1980): the
residuals themselves say how the slope of the model was disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from msfa_core.templates.cells import Matcher

_HALF_STEP: Final = 0.5  # pixels on either side, for the slope of the model
_RIDGE: Final = 1e-9  # of the mean diagonal: keeps a missing arm solvable


def shift_errors(
    matcher: Matcher,
    flux: FloatArray,
    weight: FloatArray,
    template: IntArray,
    z: FloatArray,
    solution: FloatArray,
) -> FloatArray:
    """Return the error of the redshift of one solution of each spectrum.

    Parameters
    ----------
    matcher : Matcher
    flux, weight : (n, pixel) arrays
        As `matching.prepare_fit` gives them.
    template : (n,) int array
        -1 where there is no solution.
    z : (n,) array
    solution : (n, column) array
        Mixture of the columns of the template's design, in the units of ``flux``.

    Returns
    -------
    (n,) array
        NaN where there is no solution, or none that depends on the redshift.
    """
    errors = np.full(len(flux), np.nan)
    for row in np.flatnonzero((template >= 0) & np.isfinite(z)):
        t, at = int(template[row]), float(z[row])
        half = _HALF_STEP * LAMOST_GRID.step * np.log(10.0) * (1.0 + at)
        design = matcher.design(t, at)
        mixture = solution[row, : len(design)]
        ahead, behind = (mixture @ matcher.design(t, at + side * half) for side in (1.0, -1.0))
        slope = (ahead - behind) / (2.0 * half)
        errors[row] = _sandwich(design, slope, weight[row], flux[row] - mixture @ design)
    return errors


def _sandwich(
    design: FloatArray, slope: FloatArray, weight: FloatArray, residual: FloatArray
) -> float:
    """Return the error of a shift whose slope is fitted beside the columns of a design."""
    weighted = design * weight
    normal = weighted @ design.T
    normal[np.diag_indices(len(normal))] += _RIDGE * np.trace(normal) / len(normal)
    own = slope - np.linalg.solve(normal, weighted @ slope) @ design
    lever = weight * own
    information = float(lever @ own)
    n_used = int(np.count_nonzero(weight))
    if not (information > 0 and n_used > len(design) + 1):
        return float("nan")
    spread = float(np.sum((lever * residual) ** 2)) * n_used / (n_used - len(design) - 1)
    return float(np.sqrt(spread) / information)
