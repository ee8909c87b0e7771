"""Which candidates are looked at, and in what order: each choice with its sentence.

What is on screen, in the store and in the header of an export is described by the same
sentence. Contradictions are the cases where two witnesses disagree about a star.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import is_false, is_true, numbers
from msfa_core.config import Settings
from msfa_core.rules import (
    are_a_or_b,
    beyond_limit,
    candidate_sentence,
    domain_sentence,
    have_subclass,
    measured_off_rest,
    outside_region,
    placed_by_trapezoid,
    redshift_is_contradicted,
    redshift_sentences,
)
from msfa_core.typing import BoolArray, FloatArray

Predicate = Callable[[pd.DataFrame], BoolArray]
DOUBT: Final = 0.3  # of p_bhb around one half: a doubtful star
TEMPLATE_DISAGREES: Final = "the template match says another class"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on candidates.

    Attributes
    ----------
    name : str
        Key of the condition; a second filter of the same name replaces the first.
    sentence : str
        The condition in words, as screens and export headers show it.
    predicate : callable
        Table of ``n`` candidates -> (n,) bool array.
    """

    name: str
    sentence: str
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Order:
    """One order of candidates: ascending ``key``, missing values last."""

    name: str
    sentence: str
    key: Callable[[pd.DataFrame], NDArray[np.float64]]


def _says(table: pd.DataFrame, column: str, value: str) -> BoolArray:
    return (table[column] == value).to_numpy(dtype=bool, na_value=False)


def _known(table: pd.DataFrame, column: str) -> BoolArray:
    text = table[column]
    return (text.notna() & (text != "")).to_numpy(dtype=bool, na_value=False)


def contradictions(table: pd.DataFrame, settings: Settings) -> dict[str, BoolArray]:
    """Return, for every pair of witnesses, where they disagree.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.conform`.
    settings : Settings

    Returns
    -------
    dict of sentence -> (n,) bool array
        False where either witness is missing.
    """
    p_bhb = numbers(table, "p_bhb")
    says_bhb = _says(table, "predicted_class", "BHB")
    probable = p_bhb >= settings.bhb_threshold
    judged = _known(table, "predicted_class") & np.isfinite(p_bhb)
    candidate = is_true(table, "is_candidate")
    other = have_subclass(table) & ~are_a_or_b(table)
    _, outside_trapezoid = placed_by_trapezoid(table)
    is_apart, is_off = redshift_is_contradicted(table), measured_off_rest(table)
    at_rest, off_rest = redshift_sentences()
    return {
        "stage 1 and stage 2 disagree": judged & (says_bhb != probable),
        "header subclass is neither A nor B": says_bhb & other,
        TEMPLATE_DISAGREES: is_true(table, "template_disagrees"),
        at_rest: is_apart & ~is_off,
        off_rest: is_apart & is_off,
        "outside the D0.2–fm box": candidate & outside_region(table),
        "outside the CMD trapezoid": candidate & outside_trapezoid,
        "unlike the training set": candidate & (numbers(table, "novelty") > settings.novelty_max),
        "log g above the limit": candidate & beyond_limit(table, "logg", settings.logg_outlier),
        "[Fe/H] above the limit": candidate & beyond_limit(table, "feh", settings.feh_outlier),
    }


def preset_filters(settings: Settings) -> dict[str, Filter]:
    """Return the named conditions that the queue offers."""

    def any_contradiction(table: pd.DataFrame) -> BoolArray:
        return np.logical_or.reduce(list(contradictions(table, settings).values()))

    presets = (
        Filter(
            "candidates",
            f"candidates: {candidate_sentence(settings)}",
            lambda table: is_true(table, "is_candidate"),
        ),
        Filter(
            "outside box",
            "candidates outside the D0.2–fm box",
            lambda table: is_true(table, "is_candidate") & is_false(table, "in_bhb_region"),
        ),
        Filter(
            "strange",
            f"candidates unlike the training set (novelty > {settings.novelty_max:g})",
            lambda table: (
                is_true(table, "is_candidate") & (numbers(table, "novelty") > settings.novelty_max)
            ),
        ),
        Filter("disagreement", "spectra whose witnesses disagree", any_contradiction),
        Filter(
            "template disagrees",
            "template match and networks say different classes",
            lambda table: is_true(table, "template_disagrees"),
        ),
        Filter(
            "doubtful",
            "p_bhb between 0.2 and 0.8, in the search domain",
            lambda table: (
                is_true(table, "in_search_domain") & (np.abs(numbers(table, "p_bhb") - 0.5) < DOUBT)
            ),
        ),
        Filter(
            "reviewers disagree",
            "stars on which reviewers disagree",
            lambda table: numbers(table, "agreement") < 1,
        ),
        Filter(
            "in domain",
            f"all spectra in the search domain: {domain_sentence(settings)}",
            lambda table: is_true(table, "in_search_domain"),
        ),
        Filter("all", "all spectra", lambda table: np.ones(len(table), dtype=bool)),
    )
    return {preset.name: preset for preset in presets}


def verdict_filters() -> dict[str, Filter]:
    """Return the conditions on verdicts of record: with, without, and of each kind."""
    presets = [
        Filter("with verdict", "with a verdict", lambda t: _known(t, "verdict")),
        Filter(
            "without verdict",
            "without a verdict",
            lambda t: ~_known(t, "verdict"),
        ),
    ]
    for verdict in ("accept", "reject", "unsure", "disputed"):
        presets.append(
            Filter(
                verdict,
                f"verdict {verdict}",
                lambda t, verdict=verdict: _says(t, "verdict", verdict),  # type: ignore[misc]
            )
        )
    return {preset.name: preset for preset in presets}


def _rank_of_obsid(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the rank of each obsid: exact, where the number itself would lose digits."""
    return np.argsort(np.argsort(table["obsid"].to_numpy(np.int64))).astype(np.float64)


def _template_agreement(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return minus the confidence of a match that disagrees with the networks; missing else."""
    confidence = numbers(table, "template_confidence")
    return np.where(is_true(table, "template_disagrees"), -confidence, np.nan)


def _sureness(table: pd.DataFrame) -> FloatArray:
    """Return how far the less convinced of the two stages is from a coin toss, (n,)."""
    sureness: FloatArray = np.abs(
        np.fmin(numbers(table, "p_bhb"), numbers(table, "p_class_bhb")) - 0.5
    )
    return sureness


ORDERS: Final = {
    order.name: order
    for order in (
        Order("p_bhb", "p_bhb, highest first", lambda t: -numbers(t, "p_bhb")),
        Order("doubt", "most doubtful first, by either stage", _sureness),
        Order("snr_g", "S/N, highest first", lambda t: -numbers(t, "snr_g")),
        Order("faint", "S/N, lowest first", lambda t: numbers(t, "snr_g")),
        Order("novelty", "strangest first", lambda t: -numbers(t, "novelty")),
        Order("template", "surest template disagreement first", _template_agreement),
        Order("d02", "widest Hδ first", lambda t: -numbers(t, "d02_hdelta")),
        Order("ra", "right ascension", lambda t: numbers(t, "ra")),
        Order("obsid", "obsid", _rank_of_obsid),
    )
}
