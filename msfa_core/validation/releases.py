"""Two releases of one field side by side: what changed of each spectrum, and whether too much did.

Releases are two data releases of LAMOST, two versions of this software or two template sets, each
as a survey (or an exported table). Spectra are joined by obsid, else by place and night.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import is_true, numbers
from msfa_core.constants import LABELS, MATCH_RADIUS_ARCSEC, SIGMA_OF_MAD, SPEED_OF_LIGHT
from msfa_core.errors import CatalogueError, ConfigError
from msfa_core.photometry.counterparts import DATE_COLUMNS
from msfa_core.stars.crossmatch import match_sky
from msfa_core.survey.folder import Survey
from msfa_core.tables.own import read_export
from msfa_core.tables.row_keys import as_ids
from msfa_core.templates.spectral_types import subtypes_apart
from msfa_core.typing import BoolArray, FloatArray, IntArray

SAME_NIGHT: Final = 0.75  # days within which two dates are one night, whole days among them
SHIFTED: Final = 5.0  # subtypes beyond which a subclass counts as shifted
SIGMAS: Final = 5.0  # a velocity or label that differs by more counts as changed
LEAST: Final = {"velocity": 10.0, "teff": 50.0, "logg": 0.05, "feh": 0.05}  # and by no less
SURE: Final = 80.0  # percent: a confidence that crosses it counts
_SUMS: Final = {  # quantity -> what it is; shares are of the spectra where both releases know it
    "lost": "share of the spectra of A that B lacks",
    "new": "share of the spectra of B that A lacks",
    "class_changed": "share with another class in the header",
    "template_class_changed": "share with another class of the template",
    "predicted_class_changed": "share with another class of the networks",
    "candidate_changed": "share that is a candidate in one release only",
    "region_changed": "share inside the D0.2–fm region in one release only",
    "subtype_shifted": f"share whose template is more than {SHIFTED:g} subtypes off",
    "subtype_median": "median distance of the templates [subtypes]",
    "velocity_median": "median of velocity B − A [km/s]",
    "velocity_scatter": "robust scatter of velocity B − A [km/s]",
    "velocity_changed": f"share whose velocities differ by over {SIGMAS:g} σ and 10 km/s",
    "teff_median": "median of Teff B − A [K]",
    "teff_changed": f"share whose Teff differ by over {SIGMAS:g} σ and 50 K",
    "logg_median": "median of log g B − A [dex]",
    "logg_changed": f"share whose log g differ by over {SIGMAS:g} σ and 0.05 dex",
    "feh_median": "median of [Fe/H] B − A [dex]",
    "feh_changed": f"share whose [Fe/H] differ by over {SIGMAS:g} σ and 0.05 dex",
    "confidence_median": "median of confidence B − A [percent]",
    "confidence_crossed": f"share whose confidence crosses {SURE:g} %",
    "uid_changed": "share whose star has another name",
    "stars_regrouped": "share whose star consists of other spectra",
}


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Attributes
    ----------
    name : str
    table : (n,) DataFrame
        One row per spectrum, with ``obsid`` and columns of the contract.
    """

    name: str
    table: pd.DataFrame

    @classmethod
    def read(cls, path: str | Path) -> Release:
        """Read a survey, or a table that was exported with ``--columns full``.

        Raises
        ------
        CatalogueError, SurveyError
            When it is neither, or names no spectra.
        """
        path = Path(path)
        if path.is_dir():
            return cls(path.resolve().name, Survey(path).table())
        table = read_export(path)
        if "obsid" not in table.columns:
            raise CatalogueError(f"{path}: no column obsid; name a survey, or a table it exported.")
        return cls(path.name, table)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two releases compared.

    Attributes
    ----------
    a, b : str
        Their names.
    n_a, n_b, by_obsid, by_place : int
        Spectra, and how the common ones were found.
    summary : (quantity,) DataFrame
        ``value``, ``n`` (spectra where both releases know it), ``limit``, ``passed``, ``words``.
        NaN where no spectrum tells.
    spectra : (m,) DataFrame
        A row per common spectrum: identifiers, both values of all that is compared, and
        ``changed``, in words.
    lost, new : DataFrame
        ``obsid``, ``ra``, ``dec`` of what one release alone has.
    """

    a: str
    b: str
    n_a: int
    n_b: int
    by_obsid: int
    by_place: int
    summary: pd.DataFrame
    spectra: pd.DataFrame
    lost: pd.DataFrame
    new: pd.DataFrame

    @property
    def failed(self) -> list[str]:
        """Quantities beyond their limit, or with a limit and nothing to hold against it."""
        return self.summary.index[self.summary["passed"].eq(False)].tolist()


def read_limits(path: str | Path) -> dict[str, float]:
    """Read limits: a TOML table ``[limits]`` of quantity = largest absolute value.

    Raises
    ------
    ConfigError
        For a file that is none, a quantity that is not compared, or a limit that is no number.
    """
    path = Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("limits")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: no file of limits ({error}); write [limits] first.") from error
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{path}: no table [limits]; write e.g. class_changed = 0.01 below it.")
    unknown = sorted(set(found) - set(_SUMS))
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]!r} is not compared; there are {', '.join(_SUMS)}.")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ConfigError(f"{path}: {name} = {value!r}; a limit is a number from 0 up.")
    return {name: float(value) for name, value in found.items()}


def compare_releases(
    a: Release,
    b: Release,
    limits: Mapping[str, float] | None = None,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> Comparison:
    """Compare two releases of one field.

    Parameters
    ----------
    a, b : Release
    limits : mapping of str to float, optional
        Largest absolute values, from `read_limits`.
    radius_arcsec : float
        Of spectra that share no obsid.

    Raises
    ------
    CatalogueError
        When they share no spectrum, saying what each of them holds.
    """
    i, j, by_obsid = _common(a.table, b.table, radius_arcsec)
    if not len(i):
        raise CatalogueError(
            f"{a.name} and {b.name} have no spectrum in common: {_holds(a)}; {_holds(b)}. Give two "
            "releases of one field."
        )
    left = a.table.iloc[i].reset_index(drop=True)
    right = b.table.iloc[j].reset_index(drop=True)
    values, changes, spectra = _compared(left, right)
    only_a = np.setdiff1d(np.arange(len(a.table)), i)
    only_b = np.setdiff1d(np.arange(len(b.table)), j)
    values["lost"] = len(only_a) / len(a.table), len(a.table)
    values["new"] = len(only_b) / len(b.table), len(b.table)
    spectra.insert(2, "found_by", np.where(np.arange(len(i)) < by_obsid, "obsid", "place"))
    spectra["changed"] = _words(changes)
    return Comparison(
        a.name,
        b.name,
        len(a.table),
        len(b.table),
        by_obsid,
        len(i) - by_obsid,
        _summary(values, limits or {}),
        spectra,
        _places(a.table.iloc[only_a]),
        _places(b.table.iloc[only_b]),
    )


# --- which spectra are the same ------------------------------------------------------------
def _common(
    a: pd.DataFrame, b: pd.DataFrame, radius_arcsec: float
) -> tuple[IntArray, IntArray, int]:
    """Return the rows of common spectra, those found by obsid first, and how many these are."""
    here, there = (
        pd.DataFrame({"obsid": as_ids(one["obsid"], "obsid"), name: np.arange(len(one))})
        for one, name in ((a, "i"), (b, "j"))
    )
    here, there = (one.dropna().drop_duplicates("obsid") for one in (here, there))
    pairs = here.merge(there, on="obsid")
    i, j = (pairs[name].to_numpy(np.int64) for name in ("i", "j"))
    rest_a = np.setdiff1d(np.arange(len(a)), i)
    rest_b = np.setdiff1d(np.arange(len(b)), j)
    more_i, more_j = _same_place_and_night(a.iloc[rest_a], b.iloc[rest_b], radius_arcsec)
    return np.append(i, rest_a[more_i]), np.append(j, rest_b[more_j]), len(i)


def _same_place_and_night(
    a: pd.DataFrame, b: pd.DataFrame, radius_arcsec: float
) -> tuple[IntArray, IntArray]:
    """Pair spectra one to one, the nearest first; those without a date pair with nothing."""
    i, j, apart = match_sky(
        numbers(a, "ra"), numbers(a, "dec"), numbers(b, "ra"), numbers(b, "dec"), radius_arcsec
    )
    days = np.abs(_date(a)[i] - _date(b)[j])
    order = np.lexsort((j, i, apart))
    order = order[days[order] <= SAME_NIGHT]
    pairs = pd.DataFrame({"i": i[order], "j": j[order]})
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    kept = []
    for one, other in zip(pairs["i"].tolist(), pairs["j"].tolist(), strict=True):
        if one not in taken_a and other not in taken_b:
            kept.append((one, other))
            taken_a.add(one)
            taken_b.add(other)
    found = np.array(kept, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _date(table: pd.DataFrame) -> FloatArray:
    """(n,) modified Julian day of each spectrum, whole ones where only these are known."""
    day = np.full(len(table), np.nan)
    for name in DATE_COLUMNS:
        known = pd.to_numeric(table[name], errors="coerce") if name in table.columns else None
        if known is not None:
            day = np.where(np.isnan(day), known.to_numpy(np.float64, na_value=np.nan), day)
    return day


def _holds(release: Release) -> str:
    """Return what a release holds, in words."""
    table, said = release.table, [f"{len(release.table):,} spectra"]
    if len(table):
        said.append(f"obsid {', '.join(str(one) for one in table['obsid'].iloc[:2])} …")
    for name in ("ra", "dec"):
        known = numbers(table, name)
        known = known[np.isfinite(known)]
        if len(known):
            said.append(f"{name} {known.min():.2f} to {known.max():.2f}°")
    return f"{release.name} has {', '.join(said)}"


# --- what changed --------------------------------------------------------------------------
Values = dict[str, tuple[float, int]]
Note = Callable[[str, BoolArray, BoolArray], None]  # a change, where it is, where it could be


def _compared(
    a: pd.DataFrame, b: pd.DataFrame
) -> tuple[Values, dict[str, BoolArray], pd.DataFrame]:
    """Return the quantities, what changed of each spectrum, and both values of all."""
    values: Values = {}
    changes: dict[str, BoolArray] = {}
    spectra = pd.DataFrame({"obsid_a": a["obsid"], "obsid_b": b["obsid"]})

    def note(name: str, changed: BoolArray, known: BoolArray) -> None:
        changes[name] = changed & known
        values[name] = (float(changed[known].mean()) if known.any() else np.nan, int(known.sum()))

    def keep(name: str) -> None:
        for end, one in (("a", a), ("b", b)):
            spectra[f"{name}_{end}"] = one[name] if name in one.columns else pd.NA

    for name, column in (
        ("class_changed", "class"),
        ("template_class_changed", "template_class"),
        ("predicted_class_changed", "predicted_class"),
        ("uid_changed", "uid"),
    ):
        first, second = _text(a, column), _text(b, column)
        note(name, first != second, (first != "") & (second != ""))
        keep(column)
    for name, column in (
        ("candidate_changed", "is_candidate"),
        ("region_changed", "in_bhb_region"),
    ):
        known = _known(a, column) & _known(b, column)
        note(name, is_true(a, column) != is_true(b, column), known)
        keep(column)
    first, second = _text(a, "template_subclass"), _text(b, "template_subclass")
    apart = subtypes_apart(first, second.tolist())
    placed = ~np.isnan(apart)
    note("subtype_shifted", apart > SHIFTED, placed)
    values["subtype_median"] = _median(apart)
    keep("template_subclass")
    _note_numbers(a, b, values, note)
    for column in ("template_z", "z", *LABELS, "template_confidence"):
        keep(column)
    sure = [numbers(one, "template_confidence") for one in (a, b)]
    both = np.isfinite(sure[0]) & np.isfinite(sure[1])
    values["confidence_median"] = _median(sure[1] - sure[0])
    note("confidence_crossed", (sure[0] >= SURE) != (sure[1] >= SURE), both)
    note("stars_regrouped", _regrouped(a, b), (_text(a, "uid") != "") & (_text(b, "uid") != ""))
    return values, changes, spectra


def _note_numbers(a: pd.DataFrame, b: pd.DataFrame, values: Values, note: Note) -> None:
    """Note velocities and labels: how they differ in the middle, and which by more than errors."""
    shifts = [_velocity(one) for one in (a, b)]
    pairs = {"velocity": [*shifts[0], *shifts[1]]}
    for name in LABELS:
        pairs[name] = [numbers(one, f"{name}{end}") for one in (a, b) for end in ("", "_err")]
    for name, (one, one_err, other, other_err) in pairs.items():
        off = other - one
        sigma = np.hypot(np.nan_to_num(one_err), np.nan_to_num(other_err))
        known = np.isfinite(off)
        values[f"{name}_median"] = _median(off)
        if name == "velocity":
            middle = values["velocity_median"][0]
            scatter, n = _median(np.abs(off - middle))
            values["velocity_scatter"] = SIGMA_OF_MAD * scatter, n
        with np.errstate(invalid="ignore"):
            note(f"{name}_changed", np.abs(off) > np.maximum(SIGMAS * sigma, LEAST[name]), known)


def _velocity(table: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Return velocity and error [km/s]: of the template, else of the header."""
    matched, matched_err = numbers(table, "template_z"), numbers(table, "template_z_err")
    has = np.isfinite(matched)
    z = np.where(has, matched, numbers(table, "z"))
    error = np.where(has, matched_err, numbers(table, "z_err"))
    return SPEED_OF_LIGHT * z, SPEED_OF_LIGHT * error


def _regrouped(a: pd.DataFrame, b: pd.DataFrame) -> BoolArray:
    """(m,) spectra that share their star with other common spectra in one release only."""
    one, other = (pd.factorize(_text(table, "uid"))[0] for table in (a, b))
    together = pd.Series(one).astype("str") + " " + pd.Series(other).astype("str")
    n_both = together.groupby(together).transform("size").to_numpy()
    n_one, n_other = (
        pd.Series(code).groupby(code).transform("size").to_numpy() for code in (one, other)
    )
    result: BoolArray = (n_one != n_both) | (n_other != n_both)
    return result


def _text(table: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """(n,) words of a column, empty where it says nothing."""
    if name not in table.columns:
        return np.full(len(table), "", dtype=object)
    return table[name].astype("str").fillna("").str.strip().to_numpy(object)


def _known(table: pd.DataFrame, name: str) -> BoolArray:
    if name not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return table[name].notna().to_numpy(bool)


def _median(values: FloatArray) -> tuple[float, int]:
    known = values[~np.isnan(values)]
    return (float(np.median(known)) if len(known) else np.nan, len(known))


def _words(changes: Mapping[str, BoolArray]) -> list[str]:
    """(m,) what changed of each spectrum, in words."""
    n = len(next(iter(changes.values())))
    words: list[list[str]] = [[] for _ in range(n)]
    for name, rows in changes.items():
        for row in np.flatnonzero(rows):
            words[row].append(name.removesuffix("_changed").replace("_", " "))
    return ["; ".join(one) for one in words]


def _summary(values: Values, limits: Mapping[str, float]) -> pd.DataFrame:
    """Return the quantities with their limits; what has a limit and no value has not passed."""
    rows = []
    for name, words in _SUMS.items():
        value, n = values[name]
        limit = limits.get(name, np.nan)
        passed = None if np.isnan(limit) else bool(abs(value) <= limit)
        rows.append(
            {"quantity": name, "value": value, "n": n, "limit": limit, "passed": passed,
             "words": words}
        )  # fmt: skip
    table = pd.DataFrame(rows).set_index("quantity")
    return table.astype({"passed": "boolean"})


def _places(table: pd.DataFrame) -> pd.DataFrame:
    return table.reindex(columns=["obsid", "ra", "dec"]).reset_index(drop=True)
