"""Errors beside their quantities: left out with them, exchanged with them, or on another scale.

What was measured scatters at least by its own errors. Errors that go farther than all the values
beside them are those of something else, or in another unit; some that are below zero are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np

from msfa_core.tables.colours_beside import rank_correlation
from msfa_core.tables.quantities import ERRORS, quantity
from msfa_core.tables.reading import Reading
from msfa_core.tables.units import UnitProblem
from msfa_core.typing import FloatArray

_SIGNED: Final = ("feh", "rv", "z", "pmra", "pmdec")  # what is below zero as often as not, or more
_ENOUGH: Final = 5  # rows by which two columns are held against each other
_BELOW_ZERO: Final = 0.2  # of a column
_WIDER: Final = 5.0  # times the range of all values; those of one cluster may share an error …
_FEWEST: Final = 10  # … and few values may lie together by chance
_TOGETHER: Final = ("teff_err", "logg_err", "feh_err", "rv_err")  # of one fit: they grow together
_AGAINST: Final = -0.5  # rank correlation of an error with one that is an inverse …
_SIGMA: Final = 5.0  # … and by so much below zero
_CLOSELY: Final = 0.8  # rank correlation of errors of which one may be seen to be a variance …
_TWICE: Final = (1.7, 2.4)  # … as its logarithm spreads so many times as far as those of two others
_TWICE_OF_HALF: Final = (1.5, 2.8)  # … above and below the middle, where a least error bends it …
_ALIKE: Final = 1.25  # … which spread alike
_OF_TEFF: Final = 0.4  # of Teff in the middle; hot subdwarfs reach 0.15


def check_errors(reading: Reading) -> None:
    """Leave out errors that are not those of the quantity beside them."""
    for error, house, name in _pairs(reading):
        if house not in reading.values:
            continue
        values = _numbers(reading, house)
        if house in _SIGNED and _is_exchanged(_stored(reading, error), values):
            why = f"it is never below zero, and {name}, its error, is: exchange their names"
            _leave_out(reading, house, why)
        elif error in reading.values and (
            why := _too_wide(_numbers(reading, error), values, house)
        ):
            _leave_out(reading, error, why)


def check_errors_together(reading: Reading) -> None:
    """Leave out an error that falls where the others of its row grow, or grows as their square.

    Honest errors may do so with the temperature (gravities of hot stars are known better), and
    those with a least value beside one without it spread less, but not by one power throughout.
    """
    errors = {
        name: np.where((one := _numbers(reading, name)) > 0, one, np.nan)
        for name in _TOGETHER
        if name in reading.values
    }
    teff = _numbers(reading, "teff") if "teff" in reading.values else None
    for name, one in errors.items():
        others = {other: values for other, values in errors.items() if other != name}
        rest = [(a, b) for a, b in combinations(others, 2)]
        words = " and ".join(reading.found[other].name for other in others)
        if others and all(_is_against(one, other, teff) for other in others.values()):
            if any(_is_against(errors[a], errors[b], teff) for a, b in rest):
                continue
            _leave_out(
                reading, name, f"it falls where {words} grow{'s' * (len(others) == 1)}: one is an "
                "inverse variance, or of something else; give the errors themselves",
            )  # fmt: skip
        elif rest and all(
            (rank_correlation(*pair) or 0.0) > _CLOSELY for pair in combinations(errors.values(), 2)
        ):
            ratios = np.array([_spreads(one) / _spreads(other) for other in others.values()])
            whole, halves = ratios[:, 0], ratios[:, 1:]
            if (
                _TWICE[0] < whole.min()
                and whole.max() < min(_TWICE[1], _ALIKE * whole.min())
                and _TWICE_OF_HALF[0] < halves.min()
                and halves.max() < _TWICE_OF_HALF[1]
            ):
                _leave_out(
                    reading, name, f"it grows as the square of {words}: it is a variance; give the "
                    "error itself",
                )  # fmt: skip


def _is_against(one: FloatArray, other: FloatArray, teff: FloatArray | None) -> bool:
    """Tell whether two errors go against each other, not by chance nor with the temperature."""
    found = rank_correlation(one, other)
    if found is None or found > _AGAINST:
        return False
    n = int(np.count_nonzero(np.isfinite(one) & np.isfinite(other)))
    if teff is not None:
        pair = [rank_correlation(each, teff) or 0.0 for each in (one, other)]
        alone = np.prod([max(1 - size**2, 1e-6) for size in pair]) ** 0.5
        found = float(np.clip((found - pair[0] * pair[1]) / alone, -0.999, 0.999))
    return found < _AGAINST and bool(np.arctanh(max(found, -0.999)) * np.sqrt(n - 3) < -_SIGMA)


def _spreads(errors: FloatArray) -> FloatArray:
    """(3,) how far the middle 68 % of errors spread, and below and above the middle: logarithms."""
    low, middle, high = np.nanquantile(np.log(errors), (0.16, 0.5, 0.84))
    return np.maximum(np.array([high - low, middle - low, high - middle]), 1e-9)


def leave_out_orphans(reading: Reading) -> None:
    """Leave out errors whose quantity is there, and was left out: they tell of nothing."""
    for error, house, _ in _pairs(reading):
        if error in reading.values and house not in reading.values:
            _leave_out(reading, error, f"as {reading.found[house].name}, whose error it is")


def _pairs(reading: Reading) -> Iterator[tuple[str, str, str]]:
    """Yield the house names of errors and their quantities that the file has both, and its name."""
    for error, house in ERRORS.items():
        if error in reading.found and house in reading.found:
            yield error, house, reading.found[error].name


def _too_wide(errors: FloatArray, values: FloatArray, house: str) -> str:
    """Return why errors are not those of these values; nothing where they can be."""
    known = np.isfinite(errors) & np.isfinite(values)
    if known.sum() < _ENOUGH:
        return ""
    middle, span = float(np.median(errors[known])), float(np.ptp(values[known]))
    remedy = "it can be a variance, or in another unit; give the error itself"
    if house == "teff" and middle > _OF_TEFF * (temperature := float(np.median(values[known]))):
        return f"its middle value is {middle:.3g} K, of temperatures of {temperature:.4g}: {remedy}"
    if middle > _WIDER * span and len(np.unique(values[known])) >= _FEWEST:
        return (
            f"its middle value {middle:.3g} is more than all the range of the values beside it, "
            f"{span:.3g}, and what was measured scatters by its errors: {remedy}"
        )
    return ""


def _is_exchanged(errors: FloatArray, values: FloatArray) -> bool:
    """Tell whether the errors have the signs of values, and the values those of errors."""
    errors, values = errors[np.isfinite(errors)], values[np.isfinite(values)]
    below = errors[errors < 0]
    return bool(
        min(len(errors), len(values)) >= _ENOUGH
        and len(below) > _BELOW_ZERO * len(errors)
        and len(np.unique(below)) > 1  # a number that stands for none is one
        and (values > 0).all()
        and np.median(values) < np.median(np.abs(errors))
    )


def _stored(reading: Reading, house: str) -> FloatArray:
    """(n,) column as the file has it, with what no error can be."""
    column = reading.by_name[reading.found[house].name]
    try:
        return reading.read(quantity(house), column, column.unit)[0]
    except UnitProblem:
        return np.full(len(reading.raw), np.nan)


def _numbers(reading: Reading, house: str) -> FloatArray:
    return reading.values[house].to_numpy(np.float64, na_value=np.nan)


def _leave_out(reading: Reading, house: str, why: str) -> None:
    reading.left_out[reading.columns.pop(house).name] = why
    del reading.values[house]
