"""Columns that go with the rows beside their own: one of them slipped against the other.

Stars that are fainter have larger errors, redder ones are cooler, nearer ones move faster. Where
two columns go together not in a row, but with the row before or after it, rows were put in, taken
out or pasted a line off in one of them, and nothing in the file tells in which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.typing import FloatArray

_STEPS: Final = (-3, -2, -1, 1, 2, 3)  # rows
_BLOCK: Final = 64  # rows of which a part of a table is held against itself
_MOST: Final = 100_000  # rows looked at
_FEWEST: Final = 20  # rows
_CARRY: Final = 8.0  # rows that a correlation rests on: rare values stand side by side by chance
_TOGETHER: Final = 0.5  # rank correlation with another row …
_SIGMA: Final = 5.0  # … above that with its own by so much, of a table …
_SIGMA_OF_PART: Final = 7.0  # … and of one of its many parts
_HOT_TO_COOL: Final = "OBAFGKM"
_GOOD_PARALLAX: Final = 5.0  # σ
_PAIRS: Final = (  # what grows with what, or falls
    *(("g_mag", name, 1) for name in ("parallax_error_mas", "pmra_error", "pmdec_error")),
    *(("g_mag", name, 1) for name in ("bp_mag", "rp_mag", "j_mag", "ks_mag")),
    *(("g_mag", name, -1) for name in ("bp_flux_over_error", "rp_flux_over_error", "snr_g")),
    ("bp_mag", "bp_flux_over_error", -1),
    ("rp_mag", "rp_flux_over_error", -1),
    *((one, other, 1) for one, other in (("j_mag", "h_mag"), ("h_mag", "ks_mag"))),
    *((f"ps_{one}_mag", f"ps_{other}_mag", 1) for one, other in ("gr", "ri", "iz", "zy", "gi")),
    ("bp_rp", "teff", -1),
    ("bp_rp", "nu_eff_used_in_astrometry", -1),
    ("bp_rp", "type", 1),
    ("teff", "type", -1),
    ("parallax_mas", "motion", 1),
    ("parallax_mas", "logg", 1),  # as absolute magnitudes
    ("parallax_mas", "bp_rp", 1),
    ("excess", "excess_factor", 1),
    *((f"{one}_err", f"{other}_err", 1) for one, other in (("teff", "logg"), ("feh", "logg"))),
    ("teff_err", "feh_err", 1),
)  # fmt: skip


def slipped(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> str:
    """Return why two columns of a table have slipped against each other; nothing where none has.

    Parameters
    ----------
    values : mapping of str to (n,) Series
        By house name, in house units, row by row as the file has them.
    names : mapping of str to str
        What the file calls them.
    """
    n = min((len(one) for one in values.values()), default=0)
    if n < _FEWEST:
        return ""
    n = min(n, _MOST)
    columns = {
        name: one.iloc[:n].to_numpy(np.float64, na_value=np.nan)
        for name, one in values.items()
        if pd.api.types.is_numeric_dtype(one.dtype)
    }
    words = dict(names)
    for name, made, by in list(_made(columns, values, n)):
        columns[name], words[name] = made, words[by]
    for one, other, sign in _PAIRS:
        if one not in columns or other not in columns:
            continue
        found = _beside(columns, one, other, sign)
        if found is None:
            continue
        step, own, there, rows = found
        where = "after" if step > 0 else "before"
        lines = "row" if abs(step) == 1 else f"{abs(step)} rows"
        return (
            f"{words[one]} goes with {words[other]} of the {lines} {where} (rank correlation "
            f"{there:.2f}, of its own row {own:.2f}, {rows}): one of them has slipped against the "
            "other; mend it, or take it out"
        )
    return ""


def _made(
    columns: Mapping[str, FloatArray], values: Mapping[str, pd.Series], n: int
) -> Iterator[tuple[str, FloatArray, str]]:
    """Yield what follows from several columns, and one of them: name, (n,) values, column."""
    if {"pmra", "pmdec"} <= columns.keys():
        yield "motion", np.hypot(columns["pmra"], columns["pmdec"]), "pmra"
    if {"bp_mag", "rp_mag"} <= columns.keys() and "bp_rp" not in columns:
        yield "bp_rp", columns["bp_mag"] - columns["rp_mag"], "bp_mag"
    if "subclass" in values:
        yield "type", _types(values["subclass"].iloc[:n]), "subclass"
    if {"g_mag", "bp_mag", "rp_mag"} <= columns.keys():
        with np.errstate(over="ignore"):
            g, bp, rp = (10 ** (-0.4 * columns[name]) for name in ("g_mag", "bp_mag", "rp_mag"))
            yield "excess", (bp + rp) / g, "g_mag"


def _types(subclass: pd.Series) -> FloatArray:
    """(n,) spectral types, later ones larger; NaN for none."""
    parts = subclass.astype("str").str.extract(rf"^([{_HOT_TO_COOL}])(\d)")
    letter = parts[0].map({one: 10.0 * i for i, one in enumerate(_HOT_TO_COOL)})
    return (letter + pd.to_numeric(parts[1])).to_numpy(np.float64, na_value=np.nan)


def _beside(
    columns: Mapping[str, FloatArray], one: str, other: str, sign: int
) -> tuple[int, float, float, str] | None:
    """Return with which row of another a column goes: step, correlations, and where it does so.

    More closely than with its own row, and than with any: fainter stars that lie behind more dust
    are redder than the absolute magnitude of any other parallax tells, too.
    """
    n, target = len(columns[one]), sign * _ranks(columns[other])
    ranks = {step: _ranks(_moved(columns, one, other, step)) for step in (0, *_STEPS)}
    for size, limit in ((n, _SIGMA), (_BLOCK, _SIGMA_OF_PART)):
        if size > n:
            continue
        own, n_own, _ = _correlations(ranks[0], target, size)
        found = [_correlations(ranks[step], target, size) for step in _STEPS]
        any_row = np.median(np.arctanh([there for there, _, _ in found]), axis=0)
        for step, (there, n_there, n_carry) in zip(_STEPS, found, strict=True):
            sigma = np.sqrt(2.0 / np.maximum(np.minimum(n_own, n_there) - 3.0, 1.0))
            more = (np.arctanh(there) - np.maximum(np.arctanh(own), any_row)) / sigma
            told = (np.minimum(n_own, n_there) >= _FEWEST) & (there > _TOGETHER) & (more > limit)
            told &= n_carry >= _CARRY
            if told.any():
                k = int(np.argmax(np.where(told, more, -np.inf)))
                rows = (
                    f"{n:,} rows" if size == n else f"rows {k * size + 1:,} to {(k + 1) * size:,}"
                )
                return step, sign * float(own[k]), sign * float(there[k]), rows
    return None


def _moved(columns: Mapping[str, FloatArray], one: str, other: str, step: int) -> FloatArray:
    """(n,) column whose values stand so many rows farther down; as absolute magnitudes."""
    moved = np.roll(columns[one], step)
    if one != "parallax_mas" or other == "motion":
        return moved
    if "g_mag" not in columns:
        return np.full(len(moved), np.nan)
    sure = moved > 0
    if "parallax_error_mas" in columns:
        sure &= moved > _GOOD_PARALLAX * columns["parallax_error_mas"]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sure, columns["g_mag"] + 5 * np.log10(moved), np.nan)


def _ranks(values: FloatArray) -> FloatArray:
    """(n,) ranks from −1 to 1; NaN stays."""
    ranks = pd.Series(np.where(np.isfinite(values), values, np.nan)).rank()
    ranks = ranks.to_numpy(np.float64)
    return 2.0 * ranks / max(len(ranks), 1) - 1.0


def _correlations(
    one: FloatArray, other: FloatArray, size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(block,) correlations of blocks of rows, rows that have both, and rows that carry it."""
    n = len(one) // size * size
    x, y = (values[:n].reshape(-1, size) for values in (one, other))
    known = np.isfinite(x) & np.isfinite(y)
    count = known.sum(axis=1).astype(np.float64)
    least = np.maximum(count, 1.0)
    x, y = (np.where(known, each, 0.0) for each in (x, y))
    x, y = (np.where(known, each - (each.sum(axis=1) / least)[:, None], 0.0) for each in (x, y))
    share = np.abs(x * y)
    carry = share.sum(axis=1) ** 2 / np.maximum((share**2).sum(axis=1), 1e-30)
    size_of = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(size_of > 0, (x * y).sum(axis=1) / size_of, 0.0)
    return np.clip(found, -0.999, 0.999), count, carry
