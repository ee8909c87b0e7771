"""The spectra of one star added up in its rest frame (multiple epochs).

Each epoch is moved to rest by its own velocity, brought to the flux scale and response of the
best one, and enters with its inverse variance; pixels that disagree with all other epochs (cosmic
rays, sky residuals) are left out. What is added is one star at one resolution: low and medium
resolution are added up separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msfa_core.constants import ARM_JOINT, LAMOST_GRID, LogGrid
from msfa_core.errors import SpectrumError
from msfa_core.spectra.readers import median_snr_g
from msfa_core.spectra.resample import at_rest
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import BoolArray, FloatArray

NOTHING: Final = 1  # and-mask and or-mask: no epoch has a good pixel here
SOME_BAD: Final = 2  # or-mask: some epochs have no good pixel here
REJECTED: Final = 4  # or-mask: an epoch disagreed with the others and was left out here
MASK_WORDS: Final = {
    NOTHING: "no epoch has a good pixel",
    SOME_BAD: "some epochs have no good pixel",
    REJECTED: "an epoch disagreed and was left out",
}

_ROUNDS: Final = 3  # of response, mean and rejection
_BIN: Final = 50  # pixels over which a response is compared: lines of the star cancel
_DEGREE: Final = 4  # of the smooth response; the two arms may differ by a ramp besides
_SHAPE_SNR: Final = 100.0  # of a whole spectrum: below, only its scale is fitted
_BIN_FLOOR: Final = 0.01  # relative error of a bin that is always granted
_LEAST_RESPONSE: Final = 0.05  # of the median: where it falls below, an epoch is no use
_LEAST_SHARE: Final = 0.5  # of the pixels that must be of use
_SIGMA: Final = 5.0  # rejection limit
_LINE_FLOOR: Final = 0.02  # relative difference always granted: lines vary, velocities err
_LOCAL: Final = 15  # pixels of the running median that judges between two epochs
_MANY: Final = 8  # epochs; from more, the median judges all at once
_SINGLE_ROUNDS: Final = 4  # times that the one worst epoch of a pixel is looked for


@dataclass(frozen=True, slots=True)
class Coadd:
    """A co-added spectrum and what became of each epoch.

    Attributes
    ----------
    spectrum : Spectrum
        Rest frame (``z`` = 0), on the scale of the epoch of highest S/N, whose ``obsid`` it
        carries.
    obsid : (epoch,) int64 array
        In the order given.
    z : (epoch,) float array
        Doppler shifts that were taken out.
    used : (epoch,) bool array
        False for an epoch without a velocity, or that could not be brought to scale.
    scale : (epoch,) float array
        Median response relative to the epoch of reference; NaN where not used.
    n_rejected : (epoch,) int64 array
        Pixels left out because they disagree with the other epochs.
    chi2 : (epoch,) float array
        Mean squared deviation from the co-added spectrum in units of its error; NaN where not
        used. About 1 − share of the weight where errors are right.
    """

    spectrum: Spectrum
    obsid: NDArray[np.int64]
    z: FloatArray
    used: BoolArray
    scale: FloatArray
    n_rejected: NDArray[np.int64]
    chi2: FloatArray


def coadd(spectra: Spectra | Spectrum | Sequence[Spectrum], z: ArrayLike | None = None) -> Spectrum:
    """Return the inverse-variance weighted mean spectrum of a star, at rest.

    Parameters
    ----------
    spectra : n spectra of one star
        Of one resolution, observed frame.
    z : (n,) array, optional
        Doppler shifts; those of the spectra when not given.

    Returns
    -------
    Spectrum
        See `Coadd.spectrum`; `coadd_epochs` tells what became of each epoch.

    Raises
    ------
    SpectrumError
        When no epoch has a velocity or a good pixel, or resolutions are mixed.
    """
    return coadd_epochs(spectra, z).spectrum


def coadd_epochs(
    spectra: Spectra | Spectrum | Sequence[Spectrum], z: ArrayLike | None = None
) -> Coadd:
    """Add up the spectra of a star and tell what became of each epoch.

    Parameters, errors: as `coadd`.

    Returns
    -------
    Coadd
    """
    epochs = _epochs(spectra)
    shifts = np.array([s.z for s in epochs] if z is None else z, dtype=np.float64)
    _check(epochs, shifts)
    used = np.isfinite(shifts) & (shifts > -1.0)
    if not used.any():
        raise SpectrumError(
            f"none of the {len(epochs)} spectra to add up has a Doppler shift (first obsid "
            f"{epochs[0].obsid}): join a catalogue that has z, or give the shifts."
        )
    rows = np.flatnonzero(used)
    grid = _rest_grid([epochs[k] for k in rows], shifts[rows])
    moved = [at_rest(epochs[k], float(shifts[k]), grid) for k in rows]
    flux, ivar = (np.stack(part) for part in zip(*moved, strict=True))
    if not (ivar > 0).any():
        raise SpectrumError(
            f"no good pixel in the {len(rows)} spectra to add up (first obsid "
            f"{epochs[rows[0]].obsid}): leave them out."
        )
    result = _added(flux, ivar, _observed(grid, shifts[rows]))
    alive = result.scale > 0
    used[rows[~alive]] = False
    best = rows[result.reference]
    return Coadd(
        spectrum=_as_spectrum(epochs[best], grid, result, [epochs[k].obsid for k in rows[alive]]),
        obsid=np.array([s.obsid for s in epochs], dtype=np.int64),
        z=shifts,
        used=used,
        scale=_spread(np.where(alive, result.scale, np.nan), rows, len(epochs)),
        n_rejected=np.nan_to_num(
            _spread(result.rejected.sum(axis=1).astype(float), rows, len(epochs))
        ).astype(np.int64),
        chi2=_spread(result.chi2, rows, len(epochs)),
    )


# --- what goes in ----------------------------------------------------------------------------
def _epochs(spectra: Spectra | Spectrum | Sequence[Spectrum]) -> list[Spectrum]:
    """Return single spectra, whatever was given."""
    if isinstance(spectra, Spectrum):
        return [spectra]
    if not isinstance(spectra, Spectra):
        return list(spectra)
    flux = np.nan_to_num(spectra.flux)
    return [
        Spectrum(
            int(spectra.obsid[k]), spectra.wavelength, flux[k], spectra.ivar[k], spectra.mask[k],
            z=float(spectra.z[k]),
        )
        for k in range(len(spectra))
    ]  # fmt: skip


def _check(epochs: Sequence[Spectrum], shifts: FloatArray) -> None:
    if not epochs:
        raise SpectrumError("no spectrum to add up: give the epochs of one star.")
    if shifts.shape != (len(epochs),):
        raise SpectrumError(
            f"z has shape {shifts.shape}, expected ({len(epochs)},): one shift per spectrum."
        )
    kinds = {str(s.meta.get("resolution", "low")) for s in epochs}
    if len(kinds) > 1:
        raise SpectrumError(
            f"spectra of {' and '.join(sorted(kinds))} resolution cannot be added up (first "
            f"obsid {epochs[0].obsid}): add up each resolution by itself."
        )


def _rest_grid(epochs: Sequence[Spectrum], shifts: FloatArray) -> LogGrid:
    """Return the grid of rest wavelengths that covers all epochs, in their own steps."""
    own = [np.log10(s.wavelength.astype(np.float64)) for s in epochs]
    step = float(np.median([np.median(np.diff(log)) for log in own]))
    step = LAMOST_GRID.step if np.isclose(step, LAMOST_GRID.step, rtol=0.1) else step
    rest = np.log10(1.0 + shifts)
    low = min(log[0] - r for log, r in zip(own, rest, strict=True))
    high = max(log[-1] - r for log, r in zip(own, rest, strict=True))
    tolerance = 0.01  # pixel
    first = int(np.ceil(low / step - tolerance))
    return LogGrid(first, int(np.floor(high / step + tolerance)) - first + 1, step)


def _observed(grid: LogGrid, shifts: FloatArray) -> FloatArray:
    """(epoch, pixel) wavelength [Å] at which each epoch observed each rest wavelength."""
    return grid.wavelength * (1.0 + shifts[:, None])


# --- adding up -------------------------------------------------------------------------------
@dataclass(slots=True)
class _Sum:
    """The mean and its parts."""

    flux: FloatArray  # (pixel,)
    ivar: FloatArray  # (pixel,)
    seen: NDArray[np.int64]  # (pixel,) epochs with a good pixel
    rejected: BoolArray  # (epoch, pixel)
    scale: FloatArray  # (epoch,) 0: left out
    chi2: FloatArray  # (epoch,)
    reference: int


def _added(flux: FloatArray, ivar: FloatArray, observed: FloatArray) -> _Sum:
    """Return the mean of epochs (rest frame, own scales)."""
    quality = np.sum(np.square(flux) * ivar, axis=1)
    reference = int(np.argmax(quality))
    response = np.ones(flux.shape)
    alive = quality > 0
    rejected = np.zeros(flux.shape, dtype=bool)
    level = flux[reference], ivar[reference] > 0
    for _ in range(_ROUNDS if len(flux) > 1 else 0):
        for row in np.flatnonzero(alive):
            if row != reference:
                weight = np.where(rejected[row], 0.0, ivar[row])
                fitted = _response(flux[row], weight, *level, observed[row])
                alive[row] = fitted is not None
                response[row] = 1.0 if fitted is None else fitted
        scaled, weight = _to_scale(flux, np.where(alive[:, None], ivar, 0.0), response)
        rejected = _outliers(scaled, weight)
        kept = np.where(rejected, 0.0, weight)
        mean, total = _mean(scaled, kept)
        # cosmic rays of the reference led the others astray: back to its scale without them
        back = _response(flux[reference], kept[reference], mean, total > 0, observed[reference])
        if back is not None:
            mean = mean * back
            response = np.divide(response, back, out=np.zeros(flux.shape), where=back > 0)
            response[reference] = 1.0
        level = mean, total > 0
    scaled, weight = _to_scale(flux, np.where(alive[:, None], ivar, 0.0), response)
    kept = np.where(rejected, 0.0, weight)
    mean, total = _mean(scaled, kept)
    n_good = (kept > 0).sum(axis=1)
    chi2 = (np.square(scaled - mean) * kept).sum(axis=1) / np.maximum(n_good, 1)
    return _Sum(
        mean,
        total,
        (weight > 0).sum(axis=0),
        rejected,
        np.where(alive, np.median(response, axis=1), 0.0),
        np.where(alive & (n_good > 0), chi2, np.nan),
        reference,
    )


def _to_scale(
    flux: FloatArray, ivar: FloatArray, response: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return epochs on the scale of the reference; no weight where the response is lost."""
    scaled = np.divide(flux, response, out=np.zeros(flux.shape), where=response > 0)
    return scaled, ivar * np.square(response)


def _mean(flux: FloatArray, ivar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean of the epochs and its inverse variance."""
    total = ivar.sum(axis=0)
    mean = np.divide((flux * ivar).sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    return mean, total


def _response(
    flux: FloatArray, ivar: FloatArray, level: FloatArray, known: BoolArray, observed: FloatArray
) -> FloatArray | None:
    """Return by which smooth factor an epoch differs from the mean; 0 where it is lost.

    None when that makes no sense.
    Compared in bins, in which the epoch and the mean are weighted alike: the noise of single
    pixels, and the lines that both have, cancel.
    """
    weight = np.where(known, ivar, 0.0)
    edges = np.arange(0, len(flux), _BIN)
    total = np.add.reduceat(weight, edges)
    filled = total > 0
    if not filled.any():
        return None
    binned = [
        np.add.reduceat(weight * values, edges)[filled] / total[filled]
        for values in (flux, level, observed)
    ]
    mine, theirs, place = binned
    error = np.hypot(total[filled] ** -0.5, _BIN_FLOOR * np.abs(mine))
    snr = np.sqrt(np.sum(np.square(mine) * total[filled]))
    degree = _DEGREE if snr > _SHAPE_SNR else 0
    while degree and 2 * _basis(place, observed, degree).shape[1] > len(place):
        degree -= 1
    design = _basis(place, observed, degree) * theirs[:, None]
    weights = 1.0 / error
    for _ in range(2):
        solution = np.linalg.lstsq(design * weights[:, None], mine * weights, rcond=None)[0]
        off = np.abs(mine - design @ solution) / error
        weights = np.where(off > _SIGMA * max(np.median(off), 1.0), 0.0, 1.0 / error)
    response: FloatArray = _basis(observed, observed, degree) @ solution
    middle = np.median(response)
    good = response > _LEAST_RESPONSE * middle
    seen = weight > 0
    if not (np.isfinite(middle) and middle > 0 and good[seen].mean() > _LEAST_SHARE):
        return None
    return np.where(good, response, 0.0)


def _basis(wavelength: FloatArray, observed: FloatArray, degree: int) -> FloatArray:
    """(place, term) smooth functions: Legendre polynomials, and a ramp between the arms."""
    log, ends = np.log(wavelength), np.log(observed[[0, -1]])
    x = 2.0 * (log - ends[0]) / (ends[1] - ends[0]) - 1.0
    terms = np.polynomial.legendre.legvander(x, degree)
    if not degree or not (observed[0] < ARM_JOINT[0] and observed[-1] > ARM_JOINT[1]):
        return terms
    ramp = np.clip((wavelength - ARM_JOINT[0]) / (ARM_JOINT[1] - ARM_JOINT[0]), 0.0, 1.0)
    return np.column_stack([terms, ramp - 0.5])


def _outliers(flux: FloatArray, ivar: FloatArray) -> BoolArray:
    """Return which pixels of which epochs disagree with the other epochs."""
    n = len(flux)
    rejected = np.zeros(flux.shape, dtype=bool)
    if n == 1:
        return rejected
    good = ivar > 0
    if n > _MANY:
        rejected = _against_median(flux, ivar, good)
    for _ in range(_SINGLE_ROUNDS):
        worst = _worst(flux, np.where(rejected, 0.0, ivar))
        if not worst.any():
            break
        rejected |= worst
    beside = rejected.copy()  # a spike that was interpolated reaches the next pixels
    beside[:, 1:] |= rejected[:, :-1]
    beside[:, :-1] |= rejected[:, 1:]
    beside &= good
    alone = (good & ~beside).sum(axis=0) == 0
    return np.where(alone, rejected & good, beside)


def _against_median(flux: FloatArray, ivar: FloatArray, good: BoolArray) -> BoolArray:
    """Return which pixels are far from the median of many epochs."""
    middle, total = _median_of_good(flux, good), ivar.sum(axis=0)
    spread = np.divide(np.pi / 2, total, out=np.zeros(len(total)), where=total > 0)
    variance = np.divide(1.0, ivar, out=np.ones(flux.shape), where=good) + spread
    off = np.abs(flux - middle) / np.sqrt(variance + np.square(_LINE_FLOOR * middle))
    return good & (off > _SIGMA) & (good.sum(axis=0) > 2)  # noqa: PLR2004 (two: no majority)


def _median_of_good(flux: FloatArray, good: BoolArray) -> FloatArray:
    """(pixel,) median of the good epochs; 0 where there are none."""
    seen = good.any(axis=0)
    middle = np.zeros(flux.shape[1])
    middle[seen] = np.nanmedian(np.where(good[:, seen], flux[:, seen], np.nan), axis=0)
    return middle


def _worst(flux: FloatArray, ivar: FloatArray) -> BoolArray:
    """Return, for each pixel, the epoch that disagrees most with the mean of the others."""
    from scipy.ndimage import median_filter  # noqa: PLC0415 (a quarter of what `msfa` imports)

    mean, total = _mean(flux, ivar)
    rest = total - ivar
    ok = (ivar > 0) & (rest > total * 1e-12)
    others = np.divide(mean * total - flux * ivar, rest, out=np.zeros(flux.shape), where=ok)
    variance = np.divide(1.0, ivar, out=np.zeros(flux.shape), where=ok)
    variance += np.divide(1.0, rest, out=np.zeros(flux.shape), where=ok)
    local = median_filter(mean, _LOCAL, mode="nearest")
    variance += np.square(_LINE_FLOOR * local)
    off = np.divide(np.abs(flux - others), np.sqrt(variance), out=np.zeros(flux.shape), where=ok)
    # two epochs disagree with each other alike: the one farther from the neighbourhood goes
    two = (ivar > 0).sum(axis=0) == 2  # noqa: PLR2004
    rank = np.where(two, np.abs(flux - local), off)
    rank = np.where(off > _SIGMA, rank, -1.0)
    worst = np.zeros(flux.shape, dtype=bool)
    columns = np.flatnonzero((off > _SIGMA).any(axis=0))
    worst[np.argmax(rank[:, columns], axis=0), columns] = True
    return worst


# --- what comes out --------------------------------------------------------------------------
def _as_spectrum(best: Spectrum, grid: LogGrid, added: _Sum, obsids: Sequence[int]) -> Spectrum:
    """Return the mean as a spectrum at rest that says what it was made of."""
    flux, ivar = added.flux.astype(np.float32), added.ivar.astype(np.float32)
    empty = added.ivar <= 0
    n_alive = int((added.scale > 0).sum())
    soft = np.where(empty, NOTHING, 0) | np.where(added.seen < n_alive, SOME_BAD, 0)
    soft |= np.where(added.rejected.any(axis=0), REJECTED, 0)
    wavelength = grid.wavelength
    dropped = ("andmask", "ormask", "soft_mask", "assembled", "z_err")
    meta: dict[str, Any] = {k: v for k, v in best.meta.items() if k not in dropped}
    meta |= {
        "resolution": str(best.meta.get("resolution", "low")),
        "n_epochs": n_alive,
        "epochs": "-".join(str(obsid) for obsid in obsids),
        "andmask": np.where(empty, NOTHING, 0),
        "ormask": soft,
    }
    snr_g = median_snr_g(wavelength, flux, ivar, empty)
    return Spectrum(
        best.obsid, wavelength, flux, ivar, empty, 0.0, best.ra, best.dec, snr_g, "", meta
    )


def _spread(values: FloatArray, rows: NDArray[np.int64], n: int) -> FloatArray:
    """Return values at their rows, NaN elsewhere."""
    result = np.full(n, np.nan)
    result[rows] = values
    return result
