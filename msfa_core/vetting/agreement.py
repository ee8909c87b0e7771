"""How well reviewers agree, beyond what chance would give."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.counting import counted
from msfa_core.vetting.decision import Decision, Verdict
from msfa_core.vetting.record import are_final, standing_decisions, star_of_row

_WORDS_OF_KAPPA: Final = (  # Landis & Koch (1977, Biometrics 33, 159)
    (-0.01, "worse than chance"),
    (0.0, "no better than chance"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (math.inf, "almost perfect"),
)
FEW_STARS: Final = 10  # below this a kappa is the chance of a star or two
_Z: Final = 1.959964  # standard deviations of the normal distribution that hold 95 %


def latest_by_reviewer(
    decisions: pd.DataFrame | Iterable[Decision], candidates: pd.DataFrame
) -> pd.DataFrame:
    """Return each reviewer's own latest verdict on each star; final ones are nobody's own.

    Parameters
    ----------
    decisions : DataFrame or decisions
    candidates : DataFrame
        With ``obsid`` and, where identified, ``uid``.

    Returns
    -------
    DataFrame
        One row per decided star, indexed by the obsid of its first candidate row; one column
        per reviewer, missing where that reviewer has not decided.
    """
    index, star = star_of_row(candidates)
    standing = standing_decisions(decisions)
    standing = standing[~are_final(standing)]
    row = index.get_indexer(pd.Index(standing["obsid"].to_numpy(np.int64)))
    known = row >= 0
    _, first = np.unique(star, return_index=True)
    name = pd.Series(index.to_numpy()[first], index=np.unique(star))
    own = standing[known].assign(obsid=name.reindex(star[row[known]]).to_numpy())
    own = own.drop_duplicates(["obsid", "reviewer"], keep="last")
    return own.pivot_table(index="obsid", columns="reviewer", values="verdict", aggfunc="last")


def cohen_kappa(first: Iterable[Any], second: Iterable[Any]) -> float:
    """Return Cohen's kappa of two reviewers: agreement beyond chance.

    Parameters
    ----------
    first, second : (n,) verdicts
        Stars where either is missing are left out.

    Returns
    -------
    float
        1 for full agreement, 0 for chance; NaN when undefined (no common star, or both
        always say the same one thing).
    """
    both = pd.DataFrame({"first": list(first), "second": list(second)}).dropna()
    if both.empty:
        return math.nan
    observed = float((both["first"] == both["second"]).mean())
    shares = [both[name].value_counts(normalize=True) for name in both]
    chance = float(shares[0].mul(shares[1], fill_value=0).sum())
    return _beyond_chance(observed, chance)


def fleiss_kappa(verdicts: pd.DataFrame) -> float:
    """Return Fleiss' kappa of several reviewers.

    Parameters
    ----------
    verdicts : (n, reviewer) DataFrame
        As from `latest_by_reviewer`; stars with fewer than two verdicts are left out, and
        stars may have different numbers of verdicts.

    Returns
    -------
    float
        NaN when undefined (no star seen twice, or only one thing ever said).
    """
    counts = pd.DataFrame(
        {kind: (verdicts == kind).fillna(False).sum(axis=1) for kind in map(str, Verdict)}
    ).to_numpy(np.float64)
    n_reviews = counts.sum(axis=1)
    counts, n_reviews = counts[n_reviews > 1], n_reviews[n_reviews > 1]
    if len(counts) == 0:
        return math.nan
    pairs = n_reviews * (n_reviews - 1)
    observed = float(np.mean((np.square(counts).sum(axis=1) - n_reviews) / pairs))
    chance = float(np.square(counts.sum(axis=0) / counts.sum()).sum())
    return _beyond_chance(observed, chance)


def kappa_in_words(kappa: float, n_stars: int) -> str:
    """Return what a kappa means, as it stands with two decimals; of few stars, nothing yet."""
    if n_stars < FEW_STARS:
        return f"of {counted(n_stars, 'star', 'stars')}, too few to tell"
    shown = round(kappa, 2)
    return next(words for most, words in _WORDS_OF_KAPPA if shown <= most)


def verdict_matrix(first: Iterable[Any], second: Iterable[Any]) -> pd.DataFrame:
    """Return how often two reviewers said what of the same stars.

    Parameters
    ----------
    first, second : (n,) verdicts
        Stars where either is missing are left out.

    Returns
    -------
    (3, 3) DataFrame
        Numbers of stars; rows are verdicts of the first, columns of the second.
    """
    both = pd.DataFrame({"first": list(first), "second": list(second)}).dropna().astype("str")
    kinds = [str(verdict) for verdict in Verdict]
    counts = pd.crosstab(both["first"], both["second"])
    return counts.reindex(index=kinds, columns=kinds, fill_value=0)


def in_dispute(verdicts: pd.DataFrame) -> pd.Series:
    """Tell on which stars reviewers disagree.

    Parameters
    ----------
    verdicts : (n, reviewer) DataFrame
        As from `latest_by_reviewer`, or some of its columns.

    Returns
    -------
    (n,) bool Series
        False where fewer than two have decided.
    """
    said = [(verdicts == str(kind)).fillna(False).any(axis=1) for kind in Verdict]
    return pd.concat(said, axis=1).sum(axis=1) > 1


def wilson_interval(n_right: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``n`` independent trials (Wilson 1927, JASA 22, 209).

    NaN without trials.
    """
    if n <= 0:
        return math.nan, math.nan
    share, z2 = n_right / n, _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _beyond_chance(observed: float, chance: float) -> float:
    return math.nan if math.isclose(chance, 1.0) else (observed - chance) / (1.0 - chance)
