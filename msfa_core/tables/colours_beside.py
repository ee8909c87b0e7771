"""Magnitudes of one table beside each other: of which colours tell that two were exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.typing import FloatArray

FEWEST_TO_COMPARE: Final = 20  # rows by which columns are held against each other
TURNED: Final = 0.8  # rank correlation of the other sign; −0.95 and beyond of stars with Teff
_PANSTARRS: Final = "grizy"
_FEWEST_BANDS: Final = 3
_FEWEST_ROWS: Final = 3  # that have all of the magnitudes and their colour
_SAME_COLOUR: Final = 0.01  # mag in the middle; of two decimals 0.004
_AGREE: Final = 0.6  # rank correlation of neighbouring colours, and of exchanged ones below −0.6


def as_g(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> str:
    """Return why G is BP or RP under its name: with it they make the colour that is given."""
    if "g_mag" not in values:
        return ""
    bp_rp, g, bp, rp = (numbers_of(values[name]) for name in ("bp_rp", "g_mag", "bp_mag", "rp_mag"))
    for other, colour in (("bp_mag", g - rp), ("rp_mag", bp - g)):
        known = np.isfinite(bp_rp) & np.isfinite(colour)
        if known.sum() >= _FEWEST_ROWS and np.median(np.abs(bp_rp - colour)[known]) < _SAME_COLOUR:
            return (
                f"with it in place of {names[other]} the two make {names['bp_rp']}: they were "
                "exchanged; exchange their names"
            )
    return ""


def exchanged_bands(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> dict[str, str]:
    """Return which of two magnitudes of Gaia were exchanged, by BP−RP, and why."""
    if "bp_rp" not in values:
        return {}
    bp_rp = numbers_of(values["bp_rp"])
    for blue, red in (("bp_mag", "g_mag"), ("g_mag", "rp_mag")):
        if not {blue, red} <= values.keys():
            continue
        colour = numbers_of(values[blue]) - numbers_of(values[red])
        if (found := rank_correlation(colour, bp_rp)) is None or found >= -TURNED:
            continue
        why = (
            f"{names[blue]} − {names[red]} falls where {names['bp_rp']} grows: two of them are "
            "exchanged, or the colour is turned; mend it, or take one out"
        )
        return {red: why, blue: f"as {names[red]} beside it"}
    return {}


def mixed_bands(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> dict[str, str]:
    """Return the magnitudes of Pan-STARRS where two of them were exchanged, and why.

    All colours of stars grow together. Noise alone makes neighbouring ones fall against each
    other, but does not make all of them grow together once two bands are exchanged.
    """
    bands = [band for band in _PANSTARRS if f"ps_{band}_mag" in values]
    if len(bands) < _FEWEST_BANDS:
        return {}
    magnitudes = {band: numbers_of(values[f"ps_{band}_mag"]) for band in bands}
    given = _agreement([magnitudes[band] for band in bands])
    if given is None or given > -_AGREE:
        return {}
    for i, j in combinations(range(len(bands)), 2):
        order = list(bands)
        order[i], order[j] = order[j], order[i]
        agreement = _agreement([magnitudes[band] for band in order])
        if agreement is not None and agreement > _AGREE:
            one, other = (names[f"ps_{bands[k]}_mag"] for k in (i, j))
            why = (
                f"colours made of the magnitudes grow together only if {one} and {other} are "
                "exchanged; exchange their names"
            )
            said = {f"ps_{band}_mag": f"as {one} beside it" for band in bands}
            return said | {f"ps_{bands[i]}_mag": why}
    return {}


def _agreement(magnitudes: Sequence[FloatArray]) -> float | None:
    """Return the least rank correlation of neighbouring colours; None where too few tell."""
    colours = [blue - red for blue, red in pairwise(magnitudes)]
    found = [rank_correlation(one, other) for one, other in pairwise(colours)]
    known = [one for one in found if one is not None]
    return min(known) if len(known) == len(found) else None


def rank_correlation(one: FloatArray, other: FloatArray) -> float | None:
    """Return how two columns grow together; None where too few rows have both."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < FEWEST_TO_COMPARE:
        return None
    ranks = [pd.Series(each[known]).rank().to_numpy() for each in (one, other)]
    if min(float(np.ptp(each)) for each in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def numbers_of(column: pd.Series) -> FloatArray:
    """(n,) numbers of a column, NaN where it has none."""
    return column.to_numpy(np.float64, na_value=np.nan)
