"""Numbers that stand for no value: what programs fill in where a table has none.

No star that LAMOST takes has a magnitude of 0, and nothing is measured with an error of 0. Where
one of a row says so, what else of that measurement is exactly 0 in the row was never measured. So
is it with any other number: a Teff of −1 tells of the [Fe/H] of −1 in its rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.constants import LABELS
from msfa_core.tables.reading import Reading
from msfa_core.typing import BoolArray

_PHOTOMETRY: Final = ("g_mag", "bp_mag", "rp_mag", "bp_rp", "excess_factor")
_ASTROMETRY: Final = (
    *("parallax_mas", "parallax_error_mas", "parallax_over_error"),
    *("pmra", "pmra_error", "pmdec", "pmdec_error"),
)
_MOTION: Final = ("parallax_mas", "pmra", "pmdec")  # no star has 0 in all of them
_RECURS: Final = 3  # rows in which two columns have one number
_MOSTLY: Final = 0.9  # of the rows that have it
_MANY: Final = 10  # rows: no star of a table is at 0, 0 to a millionth of a degree
_OFTEN: Final = 5  # rows at the edge of a grid, and so many times as often as other values
_ONE_CLUSTER: Final = 0.3  # of the distance from their centre that other rows have in the middle
_SPREAD: Final = 20  # other values of a column that is measured, and not one of few numbers
_LABELS: Final = tuple(f"{name}{end}" for name in LABELS for end in ("", "_err"))
_BANDS: Final = ("j_mag", "h_mag", "ks_mag", *(f"ps_{band}_mag" for band in "grizy"))
_TELLS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (  # whose 0 says it, of what
    ("g_mag", (*_PHOTOMETRY, *_ASTROMETRY)),
    *((name, _PHOTOMETRY) for name in ("bp_mag", "rp_mag")),
    *((name, _ASTROMETRY) for name in ("parallax_error_mas", "pmra_error", "pmdec_error")),
    ("teff", _LABELS),
    *((f"{name}_err", (name, f"{name}_err")) for name in ("teff", "logg", "feh", "z", "rv")),
    *((name, (name, f"{name}_err")) for name in _BANDS),
    *((f"{name}_err", (f"{name}_err",)) for name in _BANDS),
)


def unfilled(reading: Reading) -> None:
    """Take zeros that programs filled in for missing, and count them.

    A column that is 0 throughout tells of no other.
    """
    zero = {name: rows for name, rows in reading.zeros.items() if name in reading.values}
    none = {name: np.zeros(len(rows), bool) for name, rows in zero.items()}
    for teller, names in _TELLS:
        said = reading.zeros.get(teller)
        if said is None or not said.any():
            continue
        for name in (teller,) if said.all() else names:
            if name in none:
                none[name] |= said & zero[name]
    if set(_MOTION) <= set(none):
        still = np.logical_and.reduce([zero[name] for name in _MOTION])
        for name in _MOTION:
            none[name] |= still & ~still.all()
    if {"ra", "dec"} <= set(none) and len(none["ra"]) >= _MANY:  # a short list may mean it
        nowhere = zero["ra"] & zero["dec"]
        none |= {name: none[name] | nowhere for name in ("ra", "dec")}
    for name, rows in _as_beside(reading).items():
        none[name] |= rows
    for name, rows in none.items():
        fresh = int((rows & reading.values[name].notna().to_numpy(bool)).sum())
        if fresh:
            column = reading.columns[name].name
            reading.values[name] = reading.values[name].mask(rows)
            reading.missing[name] = reading.missing.get(name, 0) + fresh
            reading.no_values[column] = reading.no_values.get(column, 0) + fresh


def clipped(reading: Reading) -> None:
    """Take labels that stand in many rows at the edge of their grid for missing, and name them.

    Also an [Fe/H] of 0 that was put in. A star with several rows may have one value in all of them,
    and the stars of a cluster one [Fe/H].
    """
    for name in LABELS:
        if name not in reading.values:
            continue
        values = reading.values[name].to_numpy(np.float64, na_value=np.nan)
        distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        if len(distinct) < _SPREAD:
            continue
        doubtful = np.isin(distinct, [distinct[0], distinct[-1], *([0.0] if name == "feh" else [])])
        usual = int(counts[~doubtful].max())
        found = distinct[doubtful & (counts >= _OFTEN * max(usual, 1))]
        for value in found:
            rows = values == value
            if _is_one_star(reading, name, rows) or (name == "feh" and _is_cluster(reading, rows)):
                continue
            why = "is, as no other value so often, the edge of a grid or a number put in"
            column = reading.by_name[reading.columns[name].name]
            reading.implausible.append(reading.cells(column, rows, why))
            reading.values[name] = reading.values[name].mask(rows)


def _is_one_star(reading: Reading, name: str, rows: BoolArray) -> bool:
    """Tell whether rows are of one star, or of few, by what else they say."""
    beside = [one for one in (*LABELS, "ra") if one != name and one in reading.values]
    several = [2 * reading.values[one][rows].nunique() >= rows.sum() for one in beside]
    return bool(several) and not any(several)


def _is_cluster(reading: Reading, rows: BoolArray) -> bool:
    """Tell whether rows lie together on the sky, and the others of the table do not lie there."""
    if not {"ra", "dec"} <= reading.values.keys():
        return False
    ra, dec = (
        np.radians(reading.values[name].to_numpy(np.float64, na_value=np.nan))
        for name in ("ra", "dec")
    )
    place = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    known = np.isfinite(place).all(axis=1)
    if not (known & rows).any() or not (known & ~rows).any():
        return False
    away, others = (
        float(np.median(np.linalg.norm(place[some] - np.median(place[some], axis=0), axis=1)))
        for some in (known & rows, known & ~rows)
    )
    return away < _ONE_CLUSTER * others


def _as_beside(reading: Reading) -> dict[str, BoolArray]:
    """Return where numbers are those that another column cannot have, in nearly the same rows.

    Returns
    -------
    dict of str to (n,) bool array
        By house name.
    """
    found: dict[str, BoolArray] = {}
    stored = {name: one for name, one in reading.stored.items() if name in reading.values}
    for teller, numbers in stored.items():
        gone = np.isfinite(numbers) & reading.values[teller].isna().to_numpy(bool)
        for number, n_gone in zip(*np.unique(numbers[gone], return_counts=True), strict=True):
            if n_gone < _RECURS:
                continue
            said = numbers == number
            for name, others in stored.items():
                same = others == number
                together = np.count_nonzero(same & said)
                if name != teller and together >= _RECURS and together > _MOSTLY * same.sum():
                    found[name] = found.get(name, np.zeros(len(same), bool)) | (same & said)
    return found
