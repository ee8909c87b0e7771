"""Magnitudes that a spectrum would have, and what they say of its flux calibration.

The g, r and i of Pan-STARRS lie within the spectra of LAMOST. What differs between the magnitudes
of a spectrum and those of its star, beyond a common factor, is a fault of the flux calibration: a
tilt over the whole spectrum, or a step where the blue and the red arm are joined.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from msfa_core.constants import ARM_JOINT, FLUX_CALIBRATION_MAX, PANSTARRS_BANDS
from msfa_core.flags import FluxFlag, combined
from msfa_core.photometry.colours import column
from msfa_core.typing import BoolArray, FloatArray

BANDS: Final = ("g", "r", "i")  # of Pan-STARRS, within 3700–9100 Å
_EDGE: Final = 40.0  # Å: how softly a band begins and ends
_LEAST_COVERED: Final = 0.9  # of the response
_FLOOR: Final = 0.02  # mag: bands are approximate, and catalogues agree to about this
_NO_ERROR: Final = 0.05  # mag: where a catalogue states none
_CERTAIN: Final = 3.0  # standard deviations of a tilt or step that is flagged
_TURNS: Final = 6  # of the fit of a step
_SMALLEST, _MOST = 1e-6, 5.0  # mag, of a step
_BETTER: Final = 4.0  # χ² that a step must explain more than a tilt


def responses(wavelength: FloatArray) -> FloatArray:
    """Approximate response of Pan-STARRS g, r and i per photon.

    Flat between the wavelengths of half response (Tonry et al. 2012), with soft ends.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]

    Returns
    -------
    (3, pixel) array
    """
    rows = []
    for band in BANDS:
        low, high = (float(end) for end in PANSTARRS_BANDS[band])
        rows.append(expit((wavelength - low) / _EDGE) * expit((high - wavelength) / _EDGE))
    return np.array(rows)


def synthetic_magnitudes(
    wavelength: FloatArray, flux: NDArray[np.floating], good: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return AB magnitudes g, r, i of spectra up to a constant each, and what falls on the joint.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    flux : (n, pixel) array
        Per Å, on any scale.
    good : (n, pixel) bool array
        Pixels to use.

    Returns
    -------
    magnitude : (n, 3) array [mag]
        NaN where more than a tenth of a band is missing or its flux is not positive.
    red_share : (n, 3) array
        Share of the light of each band that lies redwards of the joint of the arms.
    """
    photons = responses(wavelength) * np.gradient(wavelength) * wavelength
    weight = photons / wavelength**2
    flat = flux.astype(np.float64)
    usable = good & np.isfinite(flat)
    light = np.where(usable, flat, 0.0)
    total = light @ photons.T
    norm = usable @ weight.T
    covered = norm / weight.sum(axis=1) >= _LEAST_COVERED
    red = light @ (photons * (wavelength > float(np.mean(ARM_JOINT)))).T
    with np.errstate(divide="ignore", invalid="ignore"):
        known = covered & (total > 0)
        magnitude = np.where(known, -2.5 * np.log10(np.where(known, total / norm, 1.0)), np.nan)
        share = np.where(known, red / np.where(known, total, 1.0), np.nan)
    return magnitude, np.clip(share, 0.0, 1.0)


def flux_calibration(
    table: pd.DataFrame, magnitude: FloatArray, red_share: FloatArray
) -> pd.DataFrame:
    """Compare the magnitudes of spectra with those of their stars.

    Parameters
    ----------
    table : (n,) DataFrame
        ``ps_g_mag``, ``ps_r_mag``, ``ps_i_mag`` [mag] and their ``_err``, where known.
    magnitude, red_share : (n, 3) arrays
        From `synthetic_magnitudes`.

    Returns
    -------
    (n,) DataFrame
        ``flux_calibration`` and ``flux_calibration_err`` [mag]: tilt from g to i of a straight
        line in ln λ, positive where the spectrum is too faint in the red; NaN with fewer than two
        bands. ``flux_calibration_flags`` (`FluxFlag`): the joint is named where a step there
        explains the three bands better than a tilt.
    """
    stars = np.column_stack([column(table, f"ps_{band}_mag") for band in BANDS])
    errors = np.column_stack([column(table, f"ps_{band}_mag_err") for band in BANDS])
    known = np.isfinite(stars)
    both = known & np.isfinite(magnitude)
    enough = both.sum(axis=1) > 1
    off = np.where(both, magnitude - stars, 0.0)
    sigma = np.hypot(np.where(np.isfinite(errors), errors, _NO_ERROR), _FLOOR)
    weight = np.where(both, sigma**-2.0, 0.0)
    middle = np.log([np.sqrt(np.prod([float(end) for end in PANSTARRS_BANDS[b]])) for b in BANDS])
    line = np.broadcast_to((middle - middle[0]) / (middle[-1] - middle[0]), off.shape)
    tilt, tilt_err, tilt_chi2 = _fitted(off, weight, line)
    height, height_err, step_chi2 = _fitted_step(off, weight, np.nan_to_num(red_share))
    all_three = both.all(axis=1)
    large = float(FLUX_CALIBRATION_MAX)
    with np.errstate(invalid="ignore"):
        tilted = enough & (np.abs(tilt) > large) & (np.abs(tilt) > _CERTAIN * tilt_err)
        arms = all_three & (np.abs(height) > large) & (np.abs(height) > _CERTAIN * height_err)
        arms &= step_chi2 + _BETTER < tilt_chi2
    flags = combined(
        {
            FluxFlag.NO_PHOTOMETRY: known.sum(axis=1) < 2,  # noqa: PLR2004
            FluxFlag.NO_COVERAGE: np.isfinite(magnitude).sum(axis=1) < 2,  # noqa: PLR2004
            FluxFlag.TILTED: tilted,
            FluxFlag.ARMS_DISAGREE: arms,
        }
    )
    return pd.DataFrame(
        {
            "flux_calibration": np.where(enough, tilt, np.nan),
            "flux_calibration_err": np.where(enough, tilt_err, np.nan),
            "flux_calibration_flags": pd.array(flags, dtype="Int64"),
        },
        index=table.index,
    )


def _fitted_step(
    off: FloatArray, weight: FloatArray, share: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit a constant and a step between the arms to each row; as `_fitted`.

    A band on the joint holds light of both arms: its share counts without the step.
    """
    shape = share
    for _ in range(_TURNS):
        height, error, chi2 = _fitted(off, weight, shape)
        known = np.nan_to_num(height)[:, None]
        known = np.where(np.abs(known) < _SMALLEST, _SMALLEST, np.clip(known, -_MOST, _MOST))
        shape = 2.5 * np.log10(1.0 - share + share * 10 ** (0.4 * known)) / known
    return height, error, chi2


def _fitted(
    off: FloatArray, weight: FloatArray, shape: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit a constant and one shape to each row; return the shape's height, its error, and χ²."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weight.sum(axis=1)
        mean = ((weight * off).sum(axis=1) / total)[:, None]
        centre = ((weight * shape).sum(axis=1) / total)[:, None]
        across = (weight * (shape - centre) ** 2).sum(axis=1)
        height = (weight * (shape - centre) * (off - mean)).sum(axis=1) / across
        rest = off - mean - height[:, None] * (shape - centre)
        return height, across**-0.5, (weight * rest**2).sum(axis=1)
