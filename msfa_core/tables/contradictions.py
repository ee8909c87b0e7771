"""Columns of one table that say the same thing twice, and differ.

A colour beside its two magnitudes, a parallax over its error beside both, a velocity beside a
Doppler shift: where most rows differ, one of the columns is another quantity than its name says (a
colour without dust, a distance, a velocity in another frame or with the other sign), and nothing in
the file tells which one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.typing import FloatArray

_ENOUGH: Final = 3  # rows that have all of the columns


@dataclass(frozen=True, slots=True)
class _Twice:
    """A quantity that columns give in two ways.

    Attributes
    ----------
    names : tuple of str
        House names: the quantity, and those that it follows from.
    follows : callable
        Its value by the others.
    differ : callable
        How far two values are apart, on the scale of ``limit``.
    limit : float
        Median difference beyond which they are not the same quantity.
    unit : str
        In which the difference is told.
    """

    names: tuple[str, ...]
    follows: Callable[..., FloatArray]
    differ: Callable[[FloatArray, FloatArray], FloatArray]
    limit: float
    unit: str


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.abs(one - other)


def _factor(one: FloatArray, other: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(one / other)
        return np.where(one * other < 0, np.inf, np.maximum(ratio, 1.0 / ratio))


_TWICE: Final = (
    _Twice(  # two decimals in the file stay within the limit
        ("bp_rp", "bp_mag", "rp_mag"), lambda bp, rp: bp - rp, _difference, 0.03, "mag"
    ),
    _Twice(  # a zero point taken off the parallax stays within it
        ("parallax_over_error", "parallax_mas", "parallax_error_mas"),
        lambda parallax, error: parallax / error, _factor, 2.0, "times",
    ),
    _Twice(  # two pipelines, or lines of hot and of cool stars, stay within it
        ("rv", "z"), lambda z: z * float(SPEED_OF_LIGHT), _difference, 30.0, "km/s"
    ),
)  # fmt: skip


def contradictions(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> dict[str, str]:
    """Return which quantities contradict each other, and why none of them can be taken.

    Parameters
    ----------
    values : mapping of str to (n,) Series
        By house name, in house units.
    names : mapping of str to str
        What the file calls them.

    Returns
    -------
    dict of str to str
        House name -> reason in words.
    """
    found: dict[str, str] = {}
    for one in _TWICE:
        if not set(one.names) <= values.keys():
            continue
        columns = [values[name].to_numpy(np.float64, na_value=np.nan) for name in one.names]
        with np.errstate(divide="ignore", invalid="ignore"):
            other = one.follows(*columns[1:])
        known = np.isfinite(columns[0]) & np.isfinite(other)
        if known.sum() < _ENOUGH:
            continue
        middle = float(np.median(one.differ(columns[0][known], other[known])))
        if middle <= one.limit:
            continue
        by = " and ".join(names[name] for name in one.names[1:])
        size = f"by {middle:.3g} {one.unit} in the middle" if np.isfinite(middle) else "in sign"
        why = (
            f"{names[one.names[0]]} and what {by} make of it differ {size}: one of them is "
            "something else than it is called; take that one out of the file"
        )
        first, *others = one.names
        found |= {first: why, **dict.fromkeys(others, f"as {names[first]} before it")}
    return found
