"""What lies between a star and the fibre: dust, interstellar gas, the Earth's air and night sky."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

R_V: Final = 3.1
# Sky lines: vacuum wavelength [Å], strength relative to [O I] 5577
_SKY_LINES: Final = (
    *((4359.6, 0.08), (5462.3, 0.06), (5578.9, 1.0), (5891.6, 0.12), (5897.6, 0.08)),
    *((6302.0, 0.40), (6365.5, 0.14), (6500.6, 0.03), (6534.8, 0.04), (6555.6, 0.03)),
    *((6578.8, 0.03), (6836.0, 0.12), (6865.7, 0.14), (6873.0, 0.10), (6902.4, 0.08)),
    *((6914.5, 0.08), (6925.1, 0.09), (6941.4, 0.09), (6950.5, 0.10), (6980.3, 0.09)),
    *((7246.6, 0.17), (7278.3, 0.24), (7286.5, 0.18), (7305.8, 0.15), (7318.2, 0.25)),
    *((7331.3, 0.22), (7342.9, 0.31), (7360.7, 0.10), (7371.4, 0.28), (7394.2, 0.12)),
    *((7403.9, 0.16), (7440.3, 0.12), (7468.7, 0.08), (7526.0, 0.12), (7559.1, 0.08)),
    *((7573.9, 0.09), (7718.0, 0.20), (7726.7, 0.18), (7752.8, 0.35), (7761.8, 0.18)),
    *((7782.0, 0.22), (7796.4, 0.45), (7810.8, 0.15), (7823.3, 0.38), (7843.5, 0.18)),
    *((7855.3, 0.32), (7873.6, 0.12), (7893.3, 0.34), (7915.9, 0.60), (7923.5, 0.55)),
    *((7951.6, 0.25), (7966.8, 0.62), (7995.6, 0.50), (8016.4, 0.15), (8028.0, 0.35)),
    *((8064.4, 0.30), (8290.9, 0.22), (8301.0, 0.45), (8313.2, 0.22), (8347.1, 0.60)),
    *((8355.6, 0.30), (8384.2, 0.30), (8401.8, 0.75), (8418.0, 0.30), (8432.5, 0.90)),
    *((8455.0, 0.60), (8467.8, 0.60), (8495.7, 0.55), (8507.3, 0.45), (8541.2, 0.30)),
    *((8551.3, 0.30), (8763.0, 0.35), (8770.2, 0.45), (8780.8, 0.90), (8793.6, 0.65)),
    *((8829.0, 0.75), (8838.7, 0.85), (8852.7, 0.60), (8870.1, 0.60), (8888.3, 1.10)),
    *((8905.6, 0.80), (8922.0, 0.90), (8946.0, 0.75), (8960.6, 0.90), (8990.8, 0.80)),
    *((9003.8, 0.50), (9040.5, 0.40), (9052.6, 0.55)),
)
_SKY_WIDTH: Final = 1.2  # pixels, σ
_SKY_RESIDUAL: Final = 4.0  # rms of the residual at 5577 in units of the pixel error, median fibre
_SKY_RESIDUAL_SCATTER: Final = 0.8  # of its logarithm, fibre to fibre
# Telluric bands: vacuum start, end [Å] and depth; they stand still on the observed axis, and the
# standard stars remove them but for a rest of either sign
_TELLURIC: Final = (
    *((6278.0, 6320.0, 0.02), (6868.5, 6885.0, 0.16), (6885.0, 6960.0, 0.09)),
    *((7170.0, 7340.0, 0.06), (7595.0, 7625.0, 0.45), (7625.0, 7700.0, 0.22)),
    *((8120.0, 8350.0, 0.06), (8940.0, 9100.0, 0.12)),
)
# Interstellar lines: vacuum wavelength [Å], equivalent width [Å] at E(B−V) of 0.1
_INTERSTELLAR: Final = ((3934.777, 0.20), (3969.591, 0.12), (5891.583, 0.35), (5897.558, 0.24))
_INTERSTELLAR_POWER: Final = 0.6  # saturation: width ∝ E(B−V)**0.6
_INTERSTELLAR_REFERENCE: Final = 0.1
_TELLURIC_REST: Final = 0.15  # rms of what is left of a band


def extinction(wavelength: FloatArray) -> FloatArray:
    """Extinction per E(B−V) of Cardelli, Clayton & Mathis (1989), R_V = 3.1.

    Parameters
    ----------
    wavelength : (pixel,) array [Å], 3030–33,000

    Returns
    -------
    (pixel,) array [mag]
    """
    x = 1e4 / np.asarray(wavelength, dtype=np.float64)
    y = x - 1.82
    a = np.polynomial.polynomial.polyval(
        y, [1, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999]
    )
    b = np.polynomial.polynomial.polyval(
        y, [0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002]
    )
    infrared = x < 1.1  # noqa: PLR2004 - where the published branches meet
    a = np.where(infrared, 0.574 * x**1.61, a)
    b = np.where(infrared, -0.527 * x**1.61, b)
    result: FloatArray = a * R_V + b
    return result


def transmission(rows: pd.DataFrame, rng: np.random.Generator) -> Float32Array:
    """(n, pixel) reddening, interstellar lines and telluric bands, on the observed axis."""
    n, wavelength = len(rows), LAMOST_GRID.wavelength
    ebv = rows["true_ebv"].to_numpy(np.float64)
    log = np.float32(-0.4 * np.log(10)) * np.outer(
        ebv.astype(np.float32), extinction(wavelength).astype(np.float32)
    )
    strength = (ebv / _INTERSTELLAR_REFERENCE) ** _INTERSTELLAR_POWER
    strength *= rng.lognormal(0.0, 0.4, n)
    velocity = rng.normal(0.0, 15.0, n)
    for line, width in _INTERSTELLAR:
        centre = np.log10(line * (1 + velocity / SPEED_OF_LIGHT)) / LAMOST_GRID.step
        centre -= LAMOST_GRID.first
        middle = round(np.log10(line) / LAMOST_GRID.step - LAMOST_GRID.first)
        pixel = middle + np.arange(-7, 8)
        pixel_width = line * np.log(10) * LAMOST_GRID.step
        depth = width * strength / (_SKY_WIDTH * np.sqrt(2 * np.pi) * pixel_width)
        profile = np.exp(-0.5 * ((pixel - centre[:, None]) / _SKY_WIDTH) ** 2)
        log[:, pixel] += np.log1p(-np.minimum(depth[:, None] * profile, 0.9))
    rest = _TELLURIC_REST * rng.standard_normal((n, 1))
    for start, end, depth in _TELLURIC:
        first, last = np.searchsorted(wavelength, (start, end))
        x = np.linspace(-1, 1, last - first)
        log[:, first:last] += np.log1p(-depth * rest * (1 - x**2))
    return np.exp(log, out=log)


@functools.cache
def _sky_shapes() -> tuple[NDArray[np.int64], Float32Array, Float32Array]:
    """Pixels (line, k) around each sky line, its profile, and its strength."""
    table = np.array(_SKY_LINES)
    centre = np.log10(table[:, 0]) / LAMOST_GRID.step - LAMOST_GRID.first
    pixel = np.rint(centre).astype(np.int64)[:, None] + np.arange(-5, 6)
    profile = np.exp(-0.5 * ((pixel - centre[:, None]) / _SKY_WIDTH) ** 2)
    return pixel, profile.astype(np.float32), table[:, 1].astype(np.float32)


def add_sky_lines(flux: Float32Array, error: Float32Array, rng: np.random.Generator) -> None:
    """Add the residuals of subtracted sky lines; part of them shows in the error."""
    pixel, profile, strength = _sky_shapes()
    n, n_lines = len(flux), len(strength)
    level = _SKY_RESIDUAL * rng.lognormal(0.0, _SKY_RESIDUAL_SCATTER, (n, 1))
    amplitude = level * strength * rng.standard_normal((n, n_lines))
    skew = rng.normal(0.0, 0.5, (n, n_lines))  # a line subtracted beside its place
    offset = (pixel - pixel.mean(axis=1, keepdims=True)) / _SKY_WIDTH
    residual = amplitude[:, :, None] * profile * (1 + skew[:, :, None] * offset)
    local = error[:, pixel]
    residual = (residual * local).astype(np.float32)
    for line in range(n_lines):  # neighbouring lines share pixels
        flux[:, pixel[line]] += residual[:, line]
    extra = np.sqrt(1 + (0.5 * level[:, :, None] * strength[:, None] * profile) ** 2)
    error[:, pixel] = local * extra.astype(np.float32)
