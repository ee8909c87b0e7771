"""Numbers that stand where a pixel has no flux, beside an inverse variance as if it had one.

Noise does not repeat itself: of 380 real spectra none has a number but zero three times, and a zero
by itself is as seldom. What stands in a row, again and again off the pixels beside it, or alone and
made of nines far beyond all else, was put there: the zeros in which LAMOST's red arm ends, 99999;
and a largest flux that recurs is where a detector was full.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.typing import BoolArray

_FEWEST_PIXELS: Final = 100  # by which a spectrum tells what is usual in it
_CHANCE: Final = 0.01  # that honest zeros stand so in a row, anywhere in the spectrum
_NEAR: Final = 50  # pixels on either side of a row: counts grow and fall along a spectrum
_RECURS: Final = 3  # times; twice is chance in single precision
_FEW: Final = 20  # numbers that stand beside themselves: more are steps of coarse values
_REPEATED: Final = 0.05  # share of pixels whose number others have too; 0.003 in real spectra
_ALTERNATE: Final = 0.5  # share of signs that change; 0.73 in noise
_OFF: Final = 5.0  # σ from the pixels beside it
_BEYOND: Final = 3.0  # times the largest of all others; 2.98 in real spectra
_LONGEST: Final = 12  # digits


def are_fill_values(flux: NDArray[Any], ivar: NDArray[Any], usable: BoolArray) -> BoolArray | None:
    """Return which pixels hold no measured flux, by their numbers alone.

    Coarse values (whole counts, models rounded) repeat themselves, too: there a number is one of
    these only where it is far beyond all others, and zeros only in rows longer than chance.

    Parameters
    ----------
    flux, ivar : (pixel,) array
    usable : (pixel,) bool array
        Pixels with a finite flux and an inverse variance; others say nothing.

    Returns
    -------
    (pixel,) bool array or None
        None where there is none.
    """
    measured = flux if usable.all() else flux[usable]
    if len(measured) < _FEWEST_PIXELS:
        return None
    found = np.zeros(len(flux), bool)
    beside_itself = measured[1:][measured[1:] == measured[:-1]]
    if measured[0] == 0 or measured[-1] == 0 or (beside_itself == 0).any():
        found[usable] = _are_rows_of_zeros(measured == 0)
    numbers = set(beside_itself.tolist()) - {0.0}
    if len(numbers) >= _FEW:
        numbers = set()
    ends = float(measured.min()), float(measured.max())
    largest = max(map(abs, ends))
    for value in numbers | ({end for end in ends if abs(end) == largest} - {0.0}):
        if np.count_nonzero(measured == value) < _RECURS and not _is_nines(measured.dtype, value):
            continue
        held = (flux == value) & usable
        if (
            _are_beyond(flux, held, usable)
            or _are_put_in(flux, ivar, held, usable)
            or (value == measured.max() and _are_cut_off(flux, held, usable))
        ):
            found |= held
    return found if found.any() else None


def _are_rows_of_zeros(zero: BoolArray) -> BoolArray:
    """(pixel,) zeros in a row such as their share would hardly make, anywhere or at an end.

    Their share in all the spectrum, or beside the row where there are more.
    """
    n, at = len(zero), np.flatnonzero(zero)
    if at[-1] - at[0] < len(at):  # one row, as nearly always: nothing beside it
        is_end = at[0] == 0 or at[-1] == n - 1
        is_found = (2.0 if is_end else n) * (len(at) / n) ** len(at) < _CHANCE
        return zero if is_found else np.zeros(n, bool)
    is_new = at[1:] - at[:-1] > 1
    starts, ends = at[np.append(True, is_new)], at[np.append(is_new, True)] + 1
    length = ends - starts
    places = np.where((starts == 0) | (ends == n), 2.0, n)
    first, last = np.maximum(starts - _NEAR, 0), np.minimum(ends + _NEAR, n)
    apart = last - first - length
    beside = (at.searchsorted(last) - at.searchsorted(first) - length) / np.maximum(apart, 1)
    chance = places * np.maximum(len(at) / n, beside) ** length
    found = np.zeros(n, bool)
    for start, end in zip(starts[chance < _CHANCE], ends[chance < _CHANCE], strict=True):
        found[start:end] = True
    return found


def _are_beyond(flux: NDArray[Any], held: BoolArray, usable: BoolArray) -> bool:
    """Whether one number is far beyond all others."""
    others = np.abs(flux[usable & ~held])
    return bool(len(others) and np.abs(flux[held][0]) > _BEYOND * others.max() > 0)


def _are_put_in(flux: NDArray[Any], ivar: NDArray[Any], held: BoolArray, usable: BoolArray) -> bool:
    """Whether a number recurs off the pixels beside it, where others hardly recur at all."""
    if np.count_nonzero(held) < _RECURS:
        return False
    if not _do_others_differ(flux, held, usable):
        return False
    at, known = np.flatnonzero(held), np.flatnonzero(usable & ~held)
    right = known.searchsorted(at)
    beside = flux[known[[np.maximum(right - 1, 0), np.minimum(right, len(known) - 1)]]]
    off = np.abs(beside - flux[at]).min(axis=0) * np.sqrt(ivar[at])
    return bool(np.median(off) > _OFF)


def _do_others_differ(flux: NDArray[Any], held: BoolArray, usable: BoolArray) -> bool:
    """Whether the other numbers hardly recur at all."""
    others = flux[usable & ~held]
    return len(others) >= _FEWEST_PIXELS and (
        len(np.unique(others)) >= (1 - _REPEATED) * len(others)
    )


def _are_cut_off(flux: NDArray[Any], held: BoolArray, usable: BoolArray) -> bool:
    """Whether the largest number recurs above others that hold noise: a detector that was full.

    Of noise second differences change their sign from pixel to pixel, of a model, whose continuum
    may be 1 throughout, they do not.
    """
    if np.count_nonzero(held) < _RECURS or not _do_others_differ(flux, held, usable):
        return False
    bend = np.diff(np.where(usable & ~held, flux, np.nan).astype(np.float64), n=2)
    product = bend[1:] * bend[:-1]
    product = product[np.isfinite(product)]
    return len(product) >= _FEWEST_PIXELS and bool((product < 0).mean() > _ALTERNATE)


def _is_nines(precision: np.dtype[Any], value: float) -> bool:
    """Whether a number is written in nines alone: 999, −9999.0, 99.99 (in its own precision)."""
    digits = f"{float(str(abs(precision.type(value)))):.{_LONGEST}g}".replace(".", "")
    return len(digits) > 1 and set(digits) == {"9"}
