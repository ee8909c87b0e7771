"""What lies between a star and the fibre: dust, interstellar gas, the Earth's air and night sky."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.shipped import table_rows
from msfa_core.typing import Float32Array, FloatArray

R_V: Final = 3.1
_SKY_TABLE: Final = "sky_residuals.csv"
_FIBRE_SCATTER: Final = 0.6  # of ln(residuals), fibre to fibre: SDSS 0.3, LAMOST more [our choice]
_NEIGHBOURS: Final = (0.5, 1.0, 0.5)  # a residual spans the pixels of a line
_LINE_WIDTH: Final = 1.2  # pixels, σ of a narrow line
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
        depth = width * strength / (_LINE_WIDTH * np.sqrt(2 * np.pi) * pixel_width)
        profile = np.exp(-0.5 * ((pixel - centre[:, None]) / _LINE_WIDTH) ** 2)
        log[:, pixel] += np.log1p(-np.minimum(depth[:, None] * profile, 0.9))
    rest = _TELLURIC_REST * rng.standard_normal((n, 1))
    for start, end, depth in _TELLURIC:
        first, last = np.searchsorted(wavelength, (start, end))
        x = np.linspace(-1, 1, last - first)
        log[:, first:last] += np.log1p(-depth * rest * (1 - x**2))
    return np.exp(log, out=log)


@functools.cache
def sky_residuals() -> tuple[NDArray[np.int64], Float32Array, Float32Array]:
    """Read what sky fibres have in common: pixels with lines, and there residual and error.

    Both are in units of the error of neighbouring pixels (``workshop.sky_residuals``).

    Raises
    ------
    ModelError
        When the file is missing.
    """
    rows = table_rows(_SKY_TABLE)
    columns = [[float(row[name]) for row in rows] for name in ("pixel", "residual", "error")]
    pixel, residual, error = np.array(columns)
    return pixel.astype(np.int64), residual.astype(np.float32), error.astype(np.float32)


def add_sky_lines(
    flux: Float32Array,
    error: Float32Array,
    rng: np.random.Generator,
    fibres: FloatArray | None = None,
) -> None:
    """Add the residuals of subtracted sky lines; part of them shows in the error.

    Parameters
    ----------
    flux, error : (n, pixel) arrays, changed
    rng : numpy.random.Generator
    fibres : (fibre, pixel) array, optional
        Residuals of real fibres over their errors (``sky_fibres.read_fibres``), of which each
        spectrum gets one with either sign; without them residuals are drawn from the statistics.
    """
    pixel, size, extra = sky_residuals()
    n = len(flux)
    level = np.exp(_FIBRE_SCATTER * rng.standard_normal((n, 1), dtype=np.float32))
    if fibres is None:
        white = rng.standard_normal((n, len(pixel)), dtype=np.float32)
        kernel = np.array(_NEIGHBOURS, dtype=np.float32)
        kernel /= np.sqrt(np.sum(kernel**2))
        residual = size * convolve1d(white, kernel, axis=1, mode="constant")
    else:
        drawn = fibres[rng.integers(0, len(fibres), n)][:, pixel].astype(np.float32)
        residual = drawn * rng.choice(np.array([-1, 1], dtype=np.float32), (n, 1))
    local = error[:, pixel]
    flux[:, pixel] += level * residual * local
    error[:, pixel] = local * np.sqrt(1 + level**2 * (extra**2 - 1))
