"""What a survey says of its spectra beside what a reference table says of them.

Two opinions of the survey are compared: that of the template match and that of the header; then
the search (five classes, BHB candidates) and the stellar labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from astropy.stats import mad_std

from msfa_core.constants import LABELS, MATCH_RADIUS_ARCSEC, SPEED_OF_LIGHT, STELLAR_CLASSES
from msfa_core.errors import CatalogueError
from msfa_core.rules import are_extragalactic, star_numbers, words_of
from msfa_core.tables.report import OutsideTable
from msfa_core.templates.spectral_types import Family, spectral_type, subtypes_apart
from msfa_core.training.scores import scores_with_intervals, share_row
from msfa_core.typing import BoolArray, FloatArray, IntArray
from msfa_core.validation.radius import uid_sensitivity
from msfa_core.validation.reference import Joined, join_reference

SNR_EDGES: Final = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, np.inf)
WITHIN: Final = (0, 1, 3, 5)  # subtypes
_ALL: Final = "all"
_UNSAID: Final = "(none)"
_SHOWN: Final = 6  # words in a note
_SUB_LETTER: Final = {  # shown in place of a letter for what has no place on the sequence
    Family.WHITE_DWARF: "WD",
    Family.HOT_SUBDWARF: "sd",
    Family.BHB: "BHB",
    Family.CARBON: "C",
    Family.OTHER: "other",
}


class Opinion(NamedTuple):
    """Who says so, and in which columns."""

    name: str
    class_: str
    subclass: str
    z: str


OPINIONS: Final = (
    Opinion("templates", "template_class", "template_subclass", "template_z"),
    Opinion("header", "class", "subclass", "z"),
)


@dataclass(frozen=True, slots=True)
class Validation:
    """A comparison.

    Attributes
    ----------
    joined : Joined
    n_survey, n_reference : int
        Spectra of the survey, rows of the reference.
    tables : dict of str to DataFrame
        ``class_<opinion>`` (precision, recall and F1 per class), ``class_confusion_<opinion>``,
        ``letter_confusion_<opinion>``, ``subclass_<opinion>`` (shares within so many subtypes,
        per letter), ``velocity_<opinion>`` (against S/N and class), ``labels``,
        ``search_confusion``, ``search``, ``uid_radius``; those that could be compared. Shares
        carry 95 % intervals in ``_low`` and ``_high``.
    values : (n,) DataFrame
        What the pictures draw: ``snr_g``, ``letter``, ``velocity_error_<opinion>`` [km/s],
        ``teff`` … of both.
    notes : list of str
        What could not be compared, and why.
    """

    joined: Joined
    n_survey: int
    n_reference: int
    tables: dict[str, pd.DataFrame]
    values: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def validate(
    survey: pd.DataFrame,
    reference: pd.DataFrame | OutsideTable,
    *,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
    what: str = "the reference table",
) -> Validation:
    """Compare the table of a survey with a reference.

    Parameters
    ----------
    survey : (n,) DataFrame
        Spectra, as `Survey.table` returns them.
    reference : (m,) DataFrame or OutsideTable
        The user's table, opened for `REFERENCE_USE`.
    radius_arcsec : float
        Of matches by position.
    what : str
        Name of the reference, for messages.

    Raises
    ------
    CatalogueError
        When nothing can be joined or compared, saying why.
    """
    joined = join_reference(survey, reference, radius_arcsec, what)
    mine, known = joined.survey, joined.reference
    star = star_numbers(mine)
    values = pd.DataFrame({"obsid": mine["obsid"], "snr_g": mine["snr_g"].astype("float64")})
    values["letter"] = _letters(known, "class", "subclass")
    tables: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    for opinion in OPINIONS:
        if mine[opinion.class_].isna().all() and mine[opinion.z].isna().all():
            notes.append(f"{opinion.name}: the survey has no {opinion.class_}; nothing compared")
            continue
        tables |= _classes(opinion, mine, known, star, notes)
        if "z" in known and mine[opinion.z].notna().any():
            error = velocity_error(mine[opinion.z], known["z"])
            values[f"velocity_error_{opinion.name}"] = error
            tables[f"velocity_{opinion.name}"] = error_table(error, values, "km/s")
    tables |= _labels(mine, known, values)
    tables |= _search(mine, known, star, notes)
    if not tables:
        raise CatalogueError(
            f"{what} and the survey share {len(joined)} spectra but no quantity: the reference "
            f"gives {', '.join(known.columns)}, the survey has not done the steps that fill them "
            f"(`msfa run SURVEY`), or the words are others. {'; '.join(notes)}."
        )
    tables["uid_radius"] = uid_sensitivity(survey)
    return Validation(joined, len(survey), len(reference), tables, values, notes)


# --- classes -----------------------------------------------------------------------------------
def _classes(
    opinion: Opinion, mine: pd.DataFrame, known: pd.DataFrame, star: IntArray, notes: list[str]
) -> dict[str, pd.DataFrame]:
    """Confusion, precision and recall of class; letters; subtypes."""
    tables: dict[str, pd.DataFrame] = {}
    if "class" in known:
        said, truth = words_of(mine[opinion.class_]), words_of(known["class"])
        both = truth.notna().to_numpy()
        if both.any():
            name = opinion.name
            tables[f"class_{name}"] = per_class(truth[both], said[both], star[both])
            tables[f"class_confusion_{name}"] = confusion(truth[both], said[both])
    if "subclass" in known:
        letters = _letters(known, "class", "subclass")
        guess = _letters(mine, opinion.class_, opinion.subclass)
        use = letters.notna().to_numpy()
        if use.any():
            tables[f"letter_confusion_{opinion.name}"] = confusion(letters[use], guess[use])
            tables[f"subclass_{opinion.name}"] = subclass_shares(
                known["subclass"][use], mine[opinion.subclass][use], letters[use], star[use]
            )
    if not tables:
        notes.append(f"{opinion.name}: the reference names no class or subclass")
    return tables


def per_class(truth: pd.Series, said: pd.Series, star: IntArray) -> pd.DataFrame:
    """Return precision, recall and F1 of each class, with 95 % intervals, and all together.

    Parameters
    ----------
    truth, said : (n,) Series of str
        A spectrum that nothing is said of counts as wrong.
    star : (n,) int64 array
        Which spectra are of one star.
    """
    rows = {}
    right = (truth.to_numpy(object) == said.to_numpy(object)).astype(bool)
    every = np.ones(len(truth), bool)
    row = share_row(right, every, star, "recall")
    rows[_ALL] = {"n": len(truth), "n_stars": len(np.unique(star)), **row}
    for name in sorted(truth.dropna().unique()):
        is_it, called = (truth == name).to_numpy(bool), (said == name).fillna(False).to_numpy(bool)
        scores = _scores(is_it, called, star)
        counts = {"n": int(scores.pop("n_true")), "n_stars": len(np.unique(star[is_it]))}
        shares = {key: value for key, value in scores.items() if not key.startswith("n_")}
        rows[name] = {**counts, **shares}
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(truth: BoolArray, chosen: BoolArray, star: IntArray) -> dict[str, float]:
    """Return scores with their intervals; of nothing chosen no precision is known."""
    scores = scores_with_intervals(truth, chosen, star)
    return scores if chosen.any() else scores | {"precision": float("nan")}


def confusion(truth: pd.Series, said: pd.Series) -> pd.DataFrame:
    """Return counts: what the reference says down, what the survey says across."""
    return pd.crosstab(truth.fillna(_UNSAID), said.fillna(_UNSAID)).rename_axis(
        index="reference", columns=None
    )


def subclass_shares(
    truth: pd.Series, said: pd.Series, letters: pd.Series, star: IntArray
) -> pd.DataFrame:
    """Return the share within 0, 1, 3 and 5 subtypes per letter of the reference, and of F–M.

    Parameters
    ----------
    truth, said : (n,) Series of str
        Subclasses; two families that differ (a white dwarf called G5) are never within.
    letters : (n,) Series of str
        Of the reference.
    star : (n,) int64 array
    """
    apart = subtypes_apart(truth.to_list(), said.to_list())
    apart = np.where(truth.notna() & np.isnan(apart), np.inf, apart)
    letter = letters.to_numpy(object)
    groups = {_ALL: np.ones(len(letter), bool), "F–M": np.isin(letter, list("FGKM"))}
    groups |= {name: letter == name for name in dict.fromkeys(_in_order(letters))}
    rows = {}
    for name, inside in groups.items():
        if not inside.any():
            continue
        row: dict[str, Any] = {"n": int(inside.sum()), "n_stars": len(np.unique(star[inside]))}
        for limit in WITHIN:
            row |= share_row(apart <= limit, inside, star, f"within_{limit}")
        finite = apart[inside & np.isfinite(apart)]
        row["median_apart"] = float(np.median(finite)) if len(finite) else np.nan
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _letters(table: pd.DataFrame, class_name: str, subclass_name: str) -> pd.Series:
    """(n,) letter of the spectral type, or WD, sd, BHB, C, other; GALAXY and QSO by their class."""
    if subclass_name not in table:
        return pd.Series(None, index=table.index, dtype="str")
    names: list[str | None] = []
    for subclass in table[subclass_name]:
        kind = spectral_type(subclass if isinstance(subclass, str) else None)
        ordinary = kind.letter if kind.family == Family.ORDINARY else None
        names.append(ordinary or _SUB_LETTER.get(kind.family))
    letters = pd.Series(names, index=table.index, dtype="str")
    if class_name in table:
        big = words_of(table[class_name])
        letters = letters.mask(are_extragalactic(table[class_name]), big)
    return letters


def _in_order(letters: pd.Series) -> list[str]:
    """Letters as they follow on the sky's sequence, others behind."""
    order = [*"OBAFGKM", "BHB", "sd", "WD", "C", "other"]
    here = set(letters.dropna())
    return [name for name in order if name in here] + sorted(here - set(order))


# --- redshift and labels -----------------------------------------------------------------------
def velocity_error(z: pd.Series, z_reference: pd.Series) -> FloatArray:
    """(n,) difference of two Doppler shifts as a velocity in the reference's frame [km/s]."""
    own = z.to_numpy(np.float64, na_value=np.nan)
    known = z_reference.to_numpy(np.float64, na_value=np.nan)
    error: FloatArray = SPEED_OF_LIGHT * (own - known) / (1 + known)
    return error


def robust_scatter(values: FloatArray) -> float:
    """Return 1.4826 times the median distance from the median; NaN without values."""
    return float(mad_std(values)) if len(values) else np.nan


def error_table(error: FloatArray, values: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Return median and robust scatter of differences: all, per class, per bin of S/N.

    Parameters
    ----------
    error : (n,) array
    values : (n,) DataFrame
        With ``letter`` and ``snr_g``.
    unit : str
        Of the differences, said in the table.
    """
    snr = values["snr_g"].to_numpy(np.float64)
    groups: list[tuple[str, str, BoolArray]] = [(_ALL, "", np.ones(len(error), bool))]
    letter = values["letter"].to_numpy(object)
    groups += [("class", name, letter == name) for name in _in_order(values["letter"])]
    for low, high in zip(SNR_EDGES[:-1], SNR_EDGES[1:], strict=True):
        groups.append(("S/N", f"{low:g}–{high:g}", (snr >= low) & (snr < high)))
    rows = []
    for kind, name, inside in groups:
        good = error[inside & np.isfinite(error)]
        if not len(good):
            continue
        scatter = robust_scatter(good)
        rows.append(
            {
                "of": kind,
                "bin": name,
                "n": len(good),
                "unit": unit,
                "median": float(np.median(good)),
                "median_error": 1.2533 * scatter / np.sqrt(len(good)),  # of a normal distribution
                "scatter": scatter,
                "p90_abs": float(np.quantile(np.abs(good), 0.9)),
                "worst_abs": float(np.abs(good).max()),
            }
        )
    return pd.DataFrame(rows)


def _labels(
    mine: pd.DataFrame, known: pd.DataFrame, values: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Differences of Teff, log g and [Fe/H]; the values ride along for the picture."""
    parts = []
    for name, unit in zip(LABELS, ("K", "dex", "dex"), strict=True):
        if name not in known or mine[name].isna().all() or known[name].isna().all():
            continue
        own = mine[name].to_numpy(np.float64, na_value=np.nan)
        truth = known[name].to_numpy(np.float64)
        values[name], values[f"reference_{name}"] = own, truth
        table = error_table(own - truth, values, unit)
        table.insert(0, "label", name)
        parts.append(table)
    return {"labels": pd.concat(parts, ignore_index=True)} if parts else {}


# --- the search --------------------------------------------------------------------------------
def _search(
    mine: pd.DataFrame, known: pd.DataFrame, star: IntArray, notes: list[str]
) -> dict[str, pd.DataFrame]:
    """Five classes of stage 1, and the candidates."""
    tables: dict[str, pd.DataFrame] = {}
    said = mine["predicted_class"]
    if ("label" in known or "is_bhb" in known) and said.isna().all():
        notes.append("search: the survey is not classified; give `msfa run SURVEY` first")
        return tables
    if "label" in known:
        names = [str(name) for name in STELLAR_CLASSES]
        is_known = known["label"].isin(names)
        use = (is_known & said.notna()).to_numpy(bool)
        others = known["label"][~is_known].dropna().value_counts()
        if len(others):
            words = [f"{word} ({n:,})" for word, n in others.iloc[:_SHOWN].items()]
            notes.append(
                f"search: labels that are none of {', '.join(names)}: {', '.join(words)}"
                f"{', …' if len(others) > _SHOWN else ''}: no class is compared of these"
            )
        if use.any():
            tables["search_confusion"] = confusion(known["label"][use], said[use])
            tables["search"] = per_class(known["label"][use], said[use], star[use])
    if "is_bhb" in known:
        use = (known["is_bhb"].notna() & mine["is_candidate"].notna()).to_numpy(bool)
        if use.any():
            truth = known["is_bhb"][use].to_numpy(bool)
            chosen = mine["is_candidate"][use].to_numpy(bool)
            row = _scores(truth, chosen, star[use])
            tables["candidates"] = pd.DataFrame([{"n": int(use.sum()), **row}], index=["BHB"])
    return tables
