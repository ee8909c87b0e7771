"""From a model star to a LAMOST-like observation: what sky, fibre, arms and detector do to it.

Everything a batch needs is drawn from one random generator in a fixed order, so the same
generator state gives the same spectra bit for bit.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import pandas as pd
import scipy.fft
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.special import expit, j1

from msfa_core.constants import (
    BALMER_LINES,
    FIT_LINES,
    FWHM_OF_SIGMA,
    G_BAND,
    LAMOST_GRID,
    SPEED_OF_LIGHT,
)
from msfa_core.simulate.atmospheres import GRID_RESOLUTION
from msfa_core.simulate.sky import add_sky_lines, transmission
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import Float32Array, FloatArray

PIXEL_VELOCITY: Final = SPEED_OF_LIGHT * LAMOST_GRID.step * np.log(10)  # 69.03 km/s
LIMB_DARKENING: Final = 0.55  # linear coefficient of A stars in the blue
_FFT_LENGTH: Final = 4096
_SMALL: Final = 1e-3

# Resolution at the blue and the red end of an arm, and its star-to-star (fibre) scatter.
RESOLUTION_ENDS: Final = (1500.0, 2000.0)
RESOLUTION_SCATTER: Final = 90.0
_RESOLUTION_LIMITS: Final = (1250.0, 2150.0)
_JOINT: Final = (5750.0, 5950.0)  # Å; where the arms of a spectrum are joined
_JOINT_WIDTH: Final = 25.0  # Å
_BLUE_ARM: Final = (3700.0, 5900.0)
_RED_ARM: Final = (5700.0, 9100.0)
# rms of the errors of ln(response): Legendre modes 1, 2, … over the whole range, then over an arm
_SLOPE_MODES: Final = (0.18, 0.06)
_ARM_MODES: Final = (0.05, 0.04, 0.03, 0.02)
_ARM_STEP: Final = 0.05
_WIGGLE_PERIODS: Final = (150.0, 220.0, 350.0, 550.0)  # Å
_WIGGLE: Final = 0.0025

# Correlation of the noise of neighbouring pixels, which resampling leaves: mean and scatter from
# spectrum to spectrum, in the blue and the red arm. Measured on 180 pairs of spectra of one star
# (LAMOST, S/N 10–80): the autocorrelation of the scaled difference at one pixel is 0.05 in the
# blue and 0.2 in the red, less than 0.05 at two pixels.
_NEIGHBOUR_CORRELATION: Final = ((0.05, 0.05), (0.20, 0.12))
_MOST_CORRELATION: Final = 0.45
_CALIBRATION_OF_IVAR: Final = 0.1  # rms of ln(ivar given / true)
_COSMIC_RAYS: Final = 0.6  # mean number a spectrum
_BAD_COLUMN_SHARE: Final = 0.1  # share of spectra with a masked column
_SKY_FRACTION: Final = (0.03, 1.5)  # sky over star in g: bright to faint
# Counts per flux, of typical S/N of A-type spectra of the survey: wavelength [Å], relative counts
_THROUGHPUT: Final = (
    *((3700, 0.05), (3800, 0.09), (3900, 0.19), (4050, 0.32), (4230, 0.50), (4650, 0.96)),
    *((5250, 1.25), (5550, 1.05), (5700, 0.70), (5800, 0.65), (5900, 0.95), (6175, 1.90)),
    *((6775, 3.60), (8050, 3.80), (8950, 1.60), (9100, 1.20)),
)
_COUNTS_TILT: Final = 0.35  # rms of ln(counts red / counts blue), exposure to exposure
_MISSING_BLUE_END: Final = 5800.0  # Å; end of the stretch without data
_COSMIC_ON_LINE: Final = tuple(float(BALMER_LINES[line]) for line in FIT_LINES)  # "cosmic ray"
_FLUX_ZERO_POINT: Final = 1000.0  # LAMOST-like relative flux of a star of G = 15
_REFERENCE_G: Final = 15.0


@functools.cache
def _wavelength() -> FloatArray:
    return LAMOST_GRID.wavelength


def rotation_transfer(frequency: FloatArray, vsini: FloatArray) -> FloatArray:
    """Fourier transform of the rotation profile with linear limb darkening.

    The profile is the textbook's (Gray, not read again); a test compares it with a
    numerical transform of the profile.

    Parameters
    ----------
    frequency : (k,) array [cycles per pixel]
    vsini : (n,) array [km/s]

    Returns
    -------
    (n, k) array
        1 at frequency 0.
    """
    s = 2 * np.pi * frequency[None, :] * (vsini[:, None] / PIXEL_VELOCITY)
    small = s < _SMALL
    s = np.where(small, 1.0, s)
    e = LIMB_DARKENING
    ring = 2 * (1 - e) * np.pi * j1(s) / s
    disc = 2 * np.pi * e * (np.sin(s) - s * np.cos(s)) / s**3
    transfer: FloatArray = np.where(small, 1.0, (ring + disc) / (np.pi * (1 - e / 3)))
    return transfer


def _gaussian_transfer(frequency: FloatArray, resolution: FloatArray) -> FloatArray:
    """Take the models from their own resolution to another (sharper ones are sharpened)."""
    pixel = 1 / (np.log(10) * LAMOST_GRID.step * FWHM_OF_SIGMA)  # σ in pixels times R
    variance = pixel**2 * (resolution**-2.0 - GRID_RESOLUTION**-2.0)
    transfer: FloatArray = np.exp(-2 * np.pi**2 * variance[:, None] * frequency[None, :] ** 2)
    return transfer


def broaden(
    flux: Float32Array, vsini: FloatArray, velocity: FloatArray, resolution: FloatArray
) -> Float32Array:
    """Rotate, shift and blur model spectra, in Fourier space.

    Parameters
    ----------
    flux : (n, pixel) array
        Models of R = 1800 on ``LAMOST_GRID``.
    vsini, velocity : (n,) array [km/s]
    resolution : (n, 2) array
        At the blue and red end of each arm; between them the two are blended.

    Returns
    -------
    (n, pixel) float32 array
    """
    n, m = flux.shape
    padded = np.empty((n, _FFT_LENGTH), dtype=np.float32)
    padded[:, :m] = flux
    ramp = np.linspace(0, 1, _FFT_LENGTH - m, dtype=np.float32)
    ramp = np.float32(0.5) - np.float32(0.5) * np.cos(np.float32(np.pi) * ramp)
    padded[:, m:] = flux[:, -1:] * (1 - ramp) + flux[:, :1] * ramp
    frequency = scipy.fft.rfftfreq(_FFT_LENGTH)
    shift = np.exp(-2j * np.pi * frequency[None, :] * (velocity[:, None] / PIXEL_VELOCITY))
    spectrum = scipy.fft.rfft(padded, axis=1)
    spectrum *= shift * rotation_transfer(frequency, vsini)
    ends = [
        scipy.fft.irfft(
            spectrum * _gaussian_transfer(frequency, resolution[:, k]).astype(np.float32),
            axis=1,
            n=_FFT_LENGTH,
        )[:, :m].astype(np.float32, copy=False)
        for k in range(2)
    ]
    blend = _arm_position()
    ends[1] -= ends[0]
    ends[1] *= blend
    ends[0] += ends[1]
    return ends[0]


@functools.cache
def _arm_position() -> Float32Array:
    """(pixel,) 0 at the blue end of the arm a pixel lies in, 1 at its red end."""
    wavelength, joint = _wavelength(), float(np.mean(_JOINT))
    blue = (wavelength - _BLUE_ARM[0]) / (_BLUE_ARM[1] - _BLUE_ARM[0])
    red = (wavelength - _RED_ARM[0]) / (_RED_ARM[1] - _RED_ARM[0])
    weight = expit((wavelength - joint) / _JOINT_WIDTH)
    position: FloatArray = blue * (1 - weight) + red * weight
    return np.clip(position, 0, 1).astype(np.float32)


def _legendre(n_modes: int, span: tuple[float, float]) -> FloatArray:
    """(mode, pixel) Legendre polynomials 1, 2, … over a span; constant outside it."""
    x = np.clip(2 * (_wavelength() - span[0]) / (span[1] - span[0]) - 1, -1, 1)
    return np.stack([legendre.legval(x, np.eye(n_modes + 1)[k + 1]) for k in range(n_modes)])


@functools.cache
def _response_basis() -> tuple[Float32Array, Float32Array]:
    """Smooth modes of both arms and wiggles, each with its rms built in."""
    slope = _legendre(len(_SLOPE_MODES), (_BLUE_ARM[0], _RED_ARM[1]))
    slope *= np.array(_SLOPE_MODES)[:, None]
    arms = [_legendre(len(_ARM_MODES), arm) for arm in (_BLUE_ARM, _RED_ARM)]
    weight = expit((_wavelength() - float(np.mean(_JOINT))) / _JOINT_WIDTH)
    blue = arms[0] * np.array(_ARM_MODES)[:, None] * (1 - weight)
    red = arms[1] * np.array(_ARM_MODES)[:, None] * weight
    phase = 2 * np.pi * _wavelength()[None, :] / np.array(_WIGGLE_PERIODS)[:, None]
    wiggle = _WIGGLE * np.concatenate([np.cos(phase), np.sin(phase)])
    return np.concatenate([slope, blue, red]).astype(np.float32), wiggle.astype(np.float32)


def response_modes() -> FloatArray:
    """(mode, pixel) errors of ln(response) on ``LAMOST_GRID``, each of spread 1.

    Of the arms, the wiggles (whose size varies: their rms) and the joint (in its middle).
    """
    smooth, wiggle = _response_basis()
    joint = _ARM_STEP * expit((_wavelength() - float(np.mean(_JOINT))) / _JOINT_WIDTH)
    return np.vstack([smooth, np.sqrt(2) * wiggle, joint]).astype(np.float64)


def _combine(amount: Float32Array, basis: Float32Array) -> Float32Array:
    """(n, pixel) sums of modes, without BLAS, whose last bit depends on its threads."""
    total: Float32Array = np.einsum("nk,kp->np", amount, basis)
    return total


def _response(n: int, rng: np.random.Generator) -> Float32Array:
    """(n, pixel) flux calibration errors: slope, arms, their joint, wiggles."""
    smooth, wiggle = _response_basis()
    log = _combine(rng.standard_normal((n, len(smooth)), dtype=np.float32), smooth)
    scale = rng.exponential(1.0, (n, 1)).astype(np.float32)
    log += _combine(scale * rng.standard_normal((n, len(wiggle)), dtype=np.float32), wiggle)
    joint = rng.uniform(*_JOINT, (n, 1)).astype(np.float32)
    step = (_ARM_STEP * rng.standard_normal((n, 1))).astype(np.float32)
    log += step * expit((_wavelength().astype(np.float32) - joint) / np.float32(_JOINT_WIDTH))
    return np.exp(log, out=log)


@functools.cache
def _throughput() -> Float32Array:
    """(pixel,) Counts per flux: low at both ends, a dip at the joint, more in the red arm."""
    return np.interp(_wavelength(), *np.transpose(_THROUGHPUT)).astype(np.float32)


@functools.cache
def _red_position() -> Float32Array:
    """(pixel,) 0 at the blue end of the spectrum, 1 at its red end."""
    wavelength = _wavelength()
    span = wavelength[-1] - wavelength[0]
    return ((wavelength - wavelength[0]) / span).astype(np.float32)


def _pixel_error(
    flux: Float32Array,
    snr: FloatArray,
    in_g: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Float32Array:
    """(n, pixel) noise σ: photons of star and sky, scaled to the S/N asked for in g."""
    bright, faint = np.log(_SKY_FRACTION)
    sky = np.exp(rng.uniform(bright, faint, len(flux)))
    tilt = (_COUNTS_TILT * rng.standard_normal((len(flux), 1))).astype(np.float32)
    counts = flux * _throughput()
    counts *= np.exp(tilt * (2 * _red_position() - 1))
    counts /= np.median(counts[:, in_g], axis=1, keepdims=True)
    relative = np.sqrt(counts + sky[:, None].astype(np.float32)) / counts
    relative *= (1 / (snr * np.median(relative[:, in_g], axis=1)))[:, None].astype(np.float32)
    return relative * flux


def _noise(n: int, rng: np.random.Generator) -> Float32Array:
    """(n, pixel) noise of variance 1 whose neighbours are correlated, as resampling leaves it.

    How much so is drawn from a generator of its own, so that all else is as with white noise.
    """
    white = rng.standard_normal((n, len(_wavelength())), dtype=np.float32)
    own = rng.spawn(1)[0]
    mean, scatter = np.transpose(_NEIGHBOUR_CORRELATION)
    correlation = np.clip(
        mean + scatter * own.standard_normal((n, 2)), 0, _MOST_CORRELATION
    )  # (n, arm)
    # (a, 1, a) gives 2a/(1 + 2a²) at one pixel
    side = 0.5 * correlation / (0.5 + np.sqrt(0.25 - 0.5 * correlation**2))
    red = expit((_wavelength() - float(np.mean(_JOINT))) / _JOINT_WIDTH).astype(np.float32)
    weight = side.astype(np.float32)
    share = weight[:, :1] + (weight[:, 1:] - weight[:, :1]) * red  # (n, pixel)
    noise = white.copy()
    noise[:, 1:-1] += share[:, 1:-1] * (white[:, :-2] + white[:, 2:])
    noise[:, 1:-1] /= np.sqrt(1 + 2 * share[:, 1:-1] ** 2)
    return noise


def _add_defects(
    flux: Float32Array,
    error: Float32Array,
    mask: NDArray[np.bool_],
    rows: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    """Add cosmic rays, masked columns, and the gross problems that ``true_problem`` names."""
    n, m = flux.shape
    hits = np.flatnonzero(np.ones(n)).repeat(rng.poisson(_COSMIC_RAYS, n))
    pixel = rng.integers(2, m - 2, len(hits))
    height = rng.lognormal(2.0, 0.8, len(hits)).astype(np.float32)
    flux[hits, pixel] += height * error[hits, pixel]
    flux[hits, pixel + 1] += rng.uniform(0, 0.7, len(hits)) * height * error[hits, pixel]
    mask[hits, pixel] = rng.uniform(size=len(hits)) < 0.5  # noqa: PLR2004 - half are recognised
    broken = np.flatnonzero(rng.uniform(size=n) < _BAD_COLUMN_SHARE)
    start = rng.integers(0, m - 8, len(broken))
    for row, first in zip(broken, start, strict=True):
        mask[row, first : first + 4] = True
    problem = rows["true_problem"].to_numpy(str)
    wavelength = _wavelength()
    for row in np.flatnonzero(problem == "cosmic ray"):
        line = rng.choice(_COSMIC_ON_LINE) * (1 + rows["z"].iloc[row])
        at = int(np.searchsorted(wavelength, line))
        flux[row, at - 1 : at + 2] += np.median(flux[row]) * np.array([0.4, 1.5, 0.6], np.float32)
    missing = wavelength < _MISSING_BLUE_END
    for row in np.flatnonzero(problem == "missing blue arm"):
        flux[row, missing], mask[row, missing] = 0, True
        error[row, missing] = np.inf


def observe(
    flux: Float32Array,
    rows: pd.DataFrame,
    rng: np.random.Generator,
    sky_fibres: FloatArray | None = None,
) -> Spectra:
    """Observe model stars with a LAMOST-like instrument.

    Parameters
    ----------
    flux : (n, pixel) array
        Models on ``LAMOST_GRID``, at rest, R = 1800 (``atmospheres.model_flux``).
    rows : DataFrame of n rows
        Columns ``obsid, z, g_mag, true_vsini, true_rv, true_ebv, true_snr_g, true_problem``.
    rng : numpy.random.Generator
    sky_fibres : (fibre, pixel) array, optional
        Residuals of real sky fibres to draw from, in place of their statistics.

    Returns
    -------
    Spectra
        On ``LAMOST_GRID``, observed frame; ivar 0 and mask True where there is no datum.
    """
    n = len(rows)
    resolution = np.clip(
        np.array(RESOLUTION_ENDS) + RESOLUTION_SCATTER * rng.standard_normal((n, 2)),
        *_RESOLUTION_LIMITS,
    )
    observed = broaden(
        flux / flux.mean(axis=1, keepdims=True),
        rows["true_vsini"].to_numpy(np.float64),
        rows["true_rv"].to_numpy(np.float64),
        resolution,
    )
    observed *= transmission(rows, rng)
    np.maximum(observed, np.float32(1e-4), out=observed)
    in_g = (_wavelength() > G_BAND[0]) & (_wavelength() < G_BAND[1])
    snr = rows["true_snr_g"].to_numpy(np.float64)
    error = _pixel_error(observed, snr, in_g, rng)
    response = _response(n, rng)
    level = 10 ** (-0.4 * (rows["g_mag"].to_numpy(np.float64) - _REFERENCE_G))
    response *= (_FLUX_ZERO_POINT * level)[:, None].astype(np.float32)
    observed *= response
    error *= response
    noise = _noise(n, rng)
    clean_error = error.copy()
    add_sky_lines(observed, error, rng, sky_fibres)
    observed += noise * clean_error
    mask = np.zeros(observed.shape, dtype=bool)
    _add_defects(observed, error, mask, rows, rng)
    calibration = np.exp(_CALIBRATION_OF_IVAR * rng.standard_normal((n, 1))).astype(np.float32)
    return Spectra(
        obsid=rows["obsid"].to_numpy(np.int64),
        wavelength=_wavelength(),
        flux=observed,
        ivar=calibration / error**2,
        mask=mask,
        z=rows["z"].to_numpy(np.float64),
    )


def measured_snr(spectra: Spectra) -> FloatArray:
    """(n,) median of flux·sqrt(ivar) over the g band, as a pipeline gives it."""
    in_g = (spectra.wavelength > G_BAND[0]) & (spectra.wavelength < G_BAND[1])
    snr: FloatArray = np.median(
        spectra.flux[:, in_g] * np.sqrt(spectra.ivar[:, in_g]), axis=1
    ).astype(np.float64)
    return snr


def as_spectrum_list(spectra: Spectra, rows: pd.DataFrame) -> list[Spectrum]:
    """Return single spectra with the header entries that the truth table holds.

    Parameters
    ----------
    spectra : Spectra
    rows : DataFrame
        One row a spectrum, with ``obsid, z, ra, dec, snr_g, class, subclass, lmjd, planid, spid,
        fiberid, designation, data_release``.
    """
    result = []
    for k, row in enumerate(rows.to_dict("records")):
        andmask = spectra.mask[k].astype(np.int32)
        names = ("class", "subclass", "data_release", "lmjd", "planid", "spid", "fiberid")
        result.append(
            Spectrum(
                obsid=int(row["obsid"]),
                wavelength=spectra.wavelength.astype(np.float32),
                flux=spectra.flux[k],
                ivar=spectra.ivar[k],
                mask=spectra.mask[k] | (spectra.ivar[k] <= 0),
                z=float(row["z"]),
                ra=float(row["ra"]),
                dec=float(row["dec"]),
                snr_g=float(row["snr_g"]),
                meta={
                    **{name: row[name] for name in names},
                    "designation": row["designation"],
                    "layout": "lamost-table",
                    "resolution": "low",
                    "andmask": andmask,
                    "ormask": andmask.copy(),
                },
            )
        )
    return result
