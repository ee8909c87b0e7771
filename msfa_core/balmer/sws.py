"""Scale–width–shape (SWS) profiles of Balmer lines and the D0.2–fm plane (paper §V.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from msfa_core.constants import D02_LEVEL
from msfa_core.errors import SpectrumError
from msfa_core.typing import FloatArray


@dataclass(frozen=True, slots=True)
class SWSParameters:
    """Parameters of ``n`` profiles.

    Attributes
    ----------
    depth : (n,) array
        a, in units of the flux.
    width : (n,) array [Å]
        b.
    shape : (n,) array
        c; 1 is an exponential, 2 a Gaussian.
    centre : (n,) array [Å, vacuum, rest frame]
        λ0.
    continuum : (n,) array
        Local continuum n.
    """

    depth: FloatArray
    width: FloatArray
    shape: FloatArray
    centre: FloatArray
    continuum: FloatArray

    def __post_init__(self) -> None:
        """Check that the five arrays have one value per profile."""
        shapes = {
            name: np.shape(getattr(self, name))
            for name in ("depth", "width", "shape", "centre", "continuum")
        }
        if len(set(shapes.values())) != 1 or len(shapes["depth"]) != 1:
            raise SpectrumError(
                f"SWS parameters have shapes {shapes}; give five arrays of equal length (n,)."
            )


def sws_profile(wavelength: ArrayLike, sws: SWSParameters) -> FloatArray:
    """Sérsic absorption profile, ``n − a·exp[−(|λ−λ0|/b)^c]`` (paper Eq. 11).

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    sws : SWSParameters
        ``n`` rows of depth, width [Å], shape, centre [Å] and continuum.

    Returns
    -------
    (n, pixel) array
        Flux on the scale of the local continuum.
    """
    points = np.asarray(wavelength, dtype=np.float64)
    distance = np.abs(points - sws.centre[:, None]) / sws.width[:, None]
    profile: FloatArray = sws.continuum[:, None] - sws.depth[:, None] * np.exp(
        -(distance ** sws.shape[:, None])
    )
    return profile


def core_flux_fm(sws: SWSParameters) -> FloatArray:
    """Flux in the line core relative to the continuum, ``fm = (n − a)/n``.

    Returns
    -------
    (n,) array
    """
    fm: FloatArray = (sws.continuum - sws.depth) / sws.continuum
    return fm


def line_width_d02(sws: SWSParameters) -> FloatArray:
    """Full width 20 % below the local continuum, ``D0.2 = 2b·[ln(a/(0.2n))]^(1/c)``.

    Returns
    -------
    (n,) array [Å]
        NaN where the line is not 20 % deep: there is no such width.
    """
    ratio = sws.depth / (D02_LEVEL * sws.continuum)
    deep = ratio > 1
    logarithm = np.log(np.where(deep, ratio, math.e))
    return np.where(deep, 2 * sws.width * logarithm ** (1 / sws.shape), np.nan)


def d02_gradient(sws: SWSParameters) -> FloatArray:
    """Differentiate D0.2 with respect to (n, a, b, c, λ0).

    Returns
    -------
    (n, 5) array
        NaN where the line is not 20 % deep.
    """
    ratio = sws.depth / (D02_LEVEL * sws.continuum)
    deep = ratio > 1
    logarithm = np.log(np.where(deep, ratio, math.e))
    d02 = 2 * sws.width * logarithm ** (1 / sws.shape)
    per_log = d02 / (sws.shape * logarithm)
    gradient = np.stack(
        [
            -per_log / sws.continuum,
            per_log / sws.depth,
            d02 / sws.width,
            -d02 * np.log(logarithm) / sws.shape**2,
            np.zeros_like(d02),
        ],
        axis=-1,
    )
    return np.where(deep[:, None], gradient, np.nan)


def fm_gradient(sws: SWSParameters) -> FloatArray:
    """Differentiate fm with respect to (n, a, b, c, λ0).

    Returns
    -------
    (n, 5) array
    """
    gradient = np.zeros((len(sws.depth), 5))
    gradient[:, 0] = sws.depth / sws.continuum**2
    gradient[:, 1] = -1 / sws.continuum
    return gradient


def d02_curvature(sws: SWSParameters) -> FloatArray:
    """Second derivatives of D0.2 with respect to (n, a, b, c).

    Returns
    -------
    (n, 4, 4) array
        NaN where the line is not 20 % deep.
    """
    n, a, b, c = sws.continuum, sws.depth, sws.width, sws.shape
    ratio = a / (D02_LEVEL * n)
    deep = ratio > 1
    log = np.log(np.where(deep, ratio, math.e))
    d02, log_log = 2 * b * log ** (1 / c), np.log(log)
    by_log = d02 / (c * log)
    by_c = -d02 * log_log / c**2
    twice_log = by_log * (1 / c - 1) / log
    log_c = (by_c - d02 / c) / (c * log)
    curvature = np.zeros((len(n), 4, 4))
    curvature[:, 0, 0] = (twice_log + by_log) / n**2
    curvature[:, 1, 1] = (twice_log - by_log) / a**2
    curvature[:, 3, 3] = d02 * log_log * (log_log / c + 2) / c**3
    for i, j, value in (
        (0, 1, -twice_log / (n * a)),
        (0, 2, -by_log / (b * n)),
        (1, 2, by_log / (b * a)),
        (0, 3, -log_c / n),
        (1, 3, log_c / a),
        (2, 3, by_c / b),
    ):
        curvature[:, i, j] = curvature[:, j, i] = value
    return np.where(deep[:, None, None], curvature, np.nan)


def fm_curvature(sws: SWSParameters) -> FloatArray:
    """Second derivatives of fm with respect to (n, a, b, c).

    Returns
    -------
    (n, 4, 4) array
    """
    curvature = np.zeros((len(sws.depth), 4, 4))
    curvature[:, 0, 0] = -2 * sws.depth / sws.continuum**3
    curvature[:, 0, 1] = curvature[:, 1, 0] = 1 / sws.continuum**2
    return curvature
