"""Whether an inverse variance is one: what the header and the pixels themselves say of it."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import G_BAND
from msfa_core.spectra.layouts import Content
from msfa_core.spectra.unpacking import problem

_NOISE_EVERY: Final = 16  # pixels, of which one is looked at
_NOISE_PIXELS: Final = 20  # least number of them
_USUAL_SNR: Final = (0.5, 300.0)  # what lies within needs no second look
_SNR_FACTOR: Final = 5.0  # between header and pixels; 1.4 among real spectra
_CONFIRMED: Final = (0.2, 5.0)  # σ between neighbours
_SNR_DENIED: Final = 3.0  # between them where the pixels' own counts instead
_TELLING_SNR: Final = 3.0  # below, headers and pixels differ by chance
_SCATTER: Final = (0.03, 50.0)  # σ between neighbours; 0.23 … 4 among real spectra
_WITH_HEADER: Final = 10.0  # so much less will do where the header contradicts, too
_NO_SIGNAL: Final = 1e-3  # S/N of a pixel: flux and inverse variance are on other scales
_NO_NOISE: Final = 1e-4  # σ: a model, which says nothing of its noise
_SURE: Final = 1.5  # between the S/N of header and pixels: ivar is one; 1.4 among real spectra
_RISES: Final = -0.15  # power of ivar by which scatter goes: −0.5 ± 0.1 for 1/σ², +1 and +0.5 …
_RISES_SURELY: Final = 0.0  # … for σ and σ²; of pieces −0.23 at most among 380 real spectra
_FALLS: Final = -0.75  # … and −1 for 1/σ; as steep are lines alone (−0.98 among them), where …
_SCATTERS: Final = (0.3, 3.0)  # σ … 1/σ² says how far neighbours scatter
_HIGHEST: Final = 2000.0  # S/N of a pixel that flat fields allow; a tenth of _SCATTER denies more
_PIECES: Final = 24
_LEAST_LEVER: Final = 0.1  # rms of ln ivar over the pieces
_MEDIAN_SECOND: Final = 0.6745 * 1.5**0.5  # median of a second difference of noise [σ]


def check_noise(path: Path, content: Content, power: NDArray[Any], snr_g: float) -> float:
    """Refuse an inverse variance that the pixels, or they and the header, deny.

    Standard deviations or variances under its name would make every error wrong by orders of
    magnitude, and every fit one to a few pixels. In real spectra neighbouring pixels scatter
    within a factor of four of what the inverse variance says.

    Parameters
    ----------
    power : (pixel,) array
        (S/N)².
    snr_g : float
        Of the header; NaN for none.

    Returns
    -------
    float
        S/N in g of some of the pixels, where their scatter confirms it and the header is far
        from it; NaN elsewhere.
    """
    wavelength = content.wavelength
    low, high = wavelength.searchsorted(_band(wavelength.dtype)).tolist()
    sorted_power = power[low:high:_NOISE_EVERY].copy()
    sorted_power.sort()  # NaN at the end
    sorted_power = sorted_power[sorted_power.searchsorted(0.0, "right") :]
    if len(sorted_power) < _NOISE_PIXELS:
        return math.nan
    snr = math.sqrt(sorted_power[len(sorted_power) // 2])
    told = snr_g if snr_g > _TELLING_SNR else snr
    agree = 1 / _SNR_FACTOR < snr / told < _SNR_FACTOR
    is_near = not snr_g < told and 1 / _SNR_DENIED < snr / told < _SNR_DENIED
    if not (snr_g > _TELLING_SNR and 1 / _SURE < snr / snr_g < _SURE):
        _check_sense(path, content)
    if is_near and _USUAL_SNR[0] < snr < _USUAL_SNR[1]:
        return math.nan
    flux, ivar = (row[low:high].astype(np.float64) for row in content.pixels[:2])
    second = np.abs(flux[1:-1] - (flux[:-2] + flux[2:]) / 2) * np.sqrt(ivar[1:-1])
    second = second[np.isfinite(second) & (second > 0.0)]
    scatter = float(np.median(second)) / _MEDIAN_SECOND if len(second) else 0.0
    apart = 1.0 if agree and snr < _HIGHEST else _WITH_HEADER
    too_large = scatter > _SCATTER[1] / apart and snr > min(_USUAL_SNR[1], told)
    too_small = _NO_NOISE < scatter < _SCATTER[0] * apart and snr < max(_USUAL_SNR[0], told)
    if too_large or too_small or snr < _NO_SIGNAL:
        said = "" if agree else f" (the header says {told:.3g})"
        reason = (
            f"its inverse variance makes a S/N of {snr:.3g} in g{said}, and neighbouring pixels "
            f"differ by {scatter:.2g} σ: it may hold σ or σ², or be that of another flux"
        )
        raise problem(path, reason, "give 1/σ² of the flux that is in the file")
    return snr if _CONFIRMED[0] < scatter < _CONFIRMED[1] else math.nan


def _check_sense(path: Path, content: Content) -> None:
    """Refuse an inverse variance that is large where neighbouring pixels scatter much.

    Of σ and σ² the scatter goes as a positive power, of 1/σ² as −1/2, of 1/σ as −1; and it is
    theirs in size, which that of lines, where these are all there is, is not. One pixel in so many
    is looked at, and medians of pieces of all pixels where these say so.
    """
    flux, ivar = content.pixels[:2]
    some = _seconds(flux, ivar, _NOISE_EVERY)
    if len(some[0]) < _NOISE_PIXELS or _FALLS < _power(*some) < _RISES:
        return
    second, scale = _seconds(flux, ivar, 1)
    n = len(second) // _PIECES
    pieces = (np.median(one[: n * _PIECES].reshape(_PIECES, n), axis=1) for one in (second, scale))
    power = _power(*pieces)
    remedy = "give 1/σ² of the flux that is in the file"
    if power > _RISES_SURELY and (
        _is_of(second / scale, _CONFIRMED) or _is_of(second / np.sqrt(scale), _CONFIRMED)
    ):
        reason = (
            "its inverse variance is large where neighbouring pixels differ most: it may hold σ "
            "or σ²"
        )
        raise problem(path, reason, remedy)
    if (
        -math.inf < power < _FALLS
        and _is_of(second * scale, _CONFIRMED)
        and not _is_of(second * np.sqrt(scale), _SCATTERS)
    ):
        reason = "neighbouring pixels differ by one over its inverse variance: it may hold 1/σ"
        raise problem(path, reason, remedy)


def _is_of(scatter: NDArray[np.float64], limits: tuple[float, float]) -> bool:
    """Whether second differences over what should be their size are of it."""
    return limits[0] < float(np.median(scatter)) / _MEDIAN_SECOND < limits[1]


def _seconds(
    flux: NDArray[Any], ivar: NDArray[Any], step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return second differences, of one pixel in so many, and what is called ivar there."""
    end = (len(flux) - 2) // step * step
    left, middle, right = (flux[k : end + k : step].astype(np.float64) for k in range(3))
    second = np.abs(middle - (left + right) / 2)
    scale = ivar[1 : end + 1 : step].astype(np.float64)
    good = np.flatnonzero((scale > 0) & (second > 0) & np.isfinite(second))
    return second[good], scale[good]


def _power(second: NDArray[np.float64], scale: NDArray[np.float64]) -> float:
    """Return the power of ivar by which second differences go; −∞ where it hardly changes."""
    x = np.log(scale)
    x -= x.mean()
    lever = x.dot(x)
    if not lever > _LEAST_LEVER**2 * len(x):
        return -math.inf
    return float(x.dot(np.log(second)) / lever)


@lru_cache
def _band(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the limits of g in the precision of wavelengths."""
    return np.array(G_BAND, dtype)


def denies(snr_pixels: float, snr_g: float) -> bool:
    """Tell whether pixels have another S/N than the header says; theirs counts then."""
    if not max(snr_pixels, snr_g) > _TELLING_SNR:  # below, they differ by chance
        return False
    return not 1 / _SNR_DENIED < snr_g / snr_pixels < _SNR_DENIED
