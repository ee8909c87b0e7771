"""Shared work: who looks at which stars, how far everybody is, how well they know known stars.

An assignment is dealt like cards: the stars are shuffled by a seed, the reviewers too, so that
everybody gets as many and every pair meets about as often. Stars with known answers are mixed
among them, unannounced; what a reviewer says of those gives their completeness and contamination.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import CLAIM_MINUTES, TRAINING_SHARE
from msfa_core.durable import parquet_notes, write_parquet
from msfa_core.errors import StoreError
from msfa_core.vetting.agreement import wilson_interval
from msfa_core.vetting.decision import reviewer_name
from msfa_core.vetting.record import are_final, standing_decisions, star_of_row

ASSIGNMENT_FILE: Final = "assignments.parquet"
SAID: Final = "assignment"  # its settings, in the notes of its file
_ANSWERS: Final = ("accept", "reject")


@dataclass(frozen=True)
class Assignment:
    """Who looks at which stars.

    Attributes
    ----------
    table : (m,) DataFrame
        ``obsid`` (one spectrum of the star), ``reviewer``, and ``answer``: accept or reject of a
        star that is known, else empty.
    said : mapping
        How it was made: ``seed``, ``per_star``, ``overlap``, ``stars`` (the choice in words),
        ``claim_minutes``.
    """

    table: pd.DataFrame
    said: Mapping[str, Any]

    @property
    def reviewers(self) -> list[str]:
        """Who takes part, in the order of their names."""
        return sorted(self.table["reviewer"].unique().tolist())

    def of(self, reviewer: str) -> NDArray[np.int64]:
        """Return the obsids that are a reviewer's."""
        return self.table.loc[self.table["reviewer"] == reviewer, "obsid"].to_numpy(np.int64)


def deal(
    obsids: Sequence[int] | NDArray[np.int64],
    reviewers: Sequence[str],
    *,
    per_star: int = 1,
    overlap: float = 1.0,
    seed: int = 0,
    known: Mapping[int, str] | None = None,
    training: float = TRAINING_SHARE,
    stars: str = "",
    claim_minutes: float = CLAIM_MINUTES,
) -> Assignment:
    """Deal stars to reviewers.

    Parameters
    ----------
    obsids : (n,) int
        One spectrum of each star.
    reviewers : sequence of str
    per_star : int
        How many reviewers look at a star.
    overlap : float
        Share of the stars for which that holds (by two at least); the others are seen by one.
    seed : int
        The same seed gives the same assignment, whatever the order of stars and names.
    known : mapping of obsid -> accept or reject
        Stars with known answers: as many as needed are mixed in.
    training : float
        Share of what each reviewer sees that shall have a known answer.
    stars : str
        The choice of stars, in words.
    claim_minutes : float
        For which a star on one screen comes last for others; 0 for never.

    Returns
    -------
    Assignment
        Nobody has over one star more than another, training stars aside.

    Raises
    ------
    StoreError
        When nobody or nothing is given, a name comes twice, or there are too few reviewers.
    """
    names = checked_names(reviewers, per_star, overlap)
    if not len(obsids):
        raise StoreError("No star to assign: widen the choice of stars.")
    if not (0 <= overlap <= 1 and 0 <= training < 1):
        raise StoreError("overlap and training are shares: from 0 % to 100 %.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.unique(np.asarray(obsids, dtype=np.int64)))
    times = np.full(len(order), per_star)
    if overlap < 1.0:
        times = np.where(np.arange(len(order)) < round(overlap * len(order)), max(per_star, 2), 1)
    dealt = _cards(names, times, rng)
    known = {int(obsid): answer for obsid, answer in (known or {}).items() if answer in _ANSWERS}
    rows: dict[str, list[int]] = {name: [] for name in names}
    for obsid, who in zip(order.tolist(), dealt, strict=True):
        for name in who:
            rows[name].append(obsid)
    for name in names:
        rows[name] += _training(rows[name], known, training, rng)
    table = pd.DataFrame(
        {
            "obsid": np.array([one for name in names for one in rows[name]], dtype=np.int64),
            "reviewer": pd.Series([name for name in names for _ in rows[name]], dtype="str"),
        }
    )
    table["answer"] = pd.Series([known.get(one, "") for one in table["obsid"]], dtype="str")
    said = {
        "seed": seed, "per_star": per_star, "overlap": overlap, "stars": stars,
        "training": training, "claim_minutes": claim_minutes,
    }  # fmt: skip
    return Assignment(table, said)


def checked_names(reviewers: Sequence[str], per_star: int = 1, overlap: float = 1.0) -> list[str]:
    """Return the names of reviewers in order.

    Raises
    ------
    StoreError
        When nobody is given, a name comes twice, or there are too few for each star.
    """
    names = sorted(reviewer_name(name) for name in reviewers)
    if not names or "" in names:
        raise StoreError("Nobody to assign stars to: give the names of the reviewers.")
    if len(set(names)) < len(names):
        raise StoreError("A reviewer is named twice; give each name once.")
    least = per_star if overlap >= 1.0 else max(per_star, 2)
    if not 1 <= least <= len(names):
        raise StoreError(
            f"{least} reviewers per star, and only {len(names)} named ({', '.join(names)}): give "
            f"--per-star from 1 to {len(names)}, or name more."
        )
    return names


def _cards(names: list[str], times: NDArray[np.int64], rng: np.random.Generator) -> list[list[str]]:
    """Return who looks at each star: names come round, in an order that changes each round."""
    deck: list[str] = []
    dealt = []
    for n in times.tolist():
        hand = deck[:n]
        deck = deck[n:]
        if len(hand) < n:  # the rest of this round, then the next one without them first
            fresh = [names[k] for k in rng.permutation(len(names))]
            more = [name for name in fresh if name not in hand][: n - len(hand)]
            deck = [name for name in fresh if name not in more]
            hand += more
        dealt.append(hand)
    return dealt


def _training(
    own: list[int], known: Mapping[int, str], share: float, rng: np.random.Generator
) -> list[int]:
    """Draw known stars for a reviewer, of both answers alike, up to a share of what they see."""
    has = sum(one in known for one in own)
    wanted = math.ceil(share * len(own) / (1.0 - share)) - has
    mine = set(own)
    left = {
        answer: [
            one for one in sorted(known) if known[one] == answer and one not in mine
        ]
        for answer in _ANSWERS
    }  # fmt: skip
    piles = [[pile[k] for k in rng.permutation(len(pile))] for pile in left.values()]
    drawn: list[int] = []
    while len(drawn) < wanted and any(piles):
        drawn += [pile.pop() for pile in piles if pile]
    return drawn[: max(wanted, 0)]


# --- kept in the survey ----------------------------------------------------------------------
def write_assignment(survey: str | Path, assignment: Assignment) -> Path:
    """Keep an assignment in the folder of its survey, in place of the one before."""
    path = Path(survey) / ASSIGNMENT_FILE
    write_parquet(path, assignment.table, {SAID: json.dumps(dict(assignment.said))})
    return path


def read_assignment(survey: str | Path) -> Assignment | None:
    """Return the assignment of a survey; None where there is none.

    Raises
    ------
    StoreError
        When its file cannot be read.
    """
    path = Path(survey) / ASSIGNMENT_FILE
    if not path.exists():
        return None
    try:
        table = pd.read_parquet(path)[["obsid", "reviewer", "answer"]]
        said = json.loads(parquet_notes(path)[SAID])
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({error}): give `msfa assign` again.") from error
    return Assignment(table, said)


# --- what became of it -----------------------------------------------------------------------
def progress(
    assignment: Assignment, decisions: pd.DataFrame, candidates: pd.DataFrame
) -> pd.DataFrame:
    """Return how far each reviewer has come, and how well they know the known stars.

    Parameters
    ----------
    assignment : Assignment
    decisions : DataFrame
        As from ``Store.standing()``.
    candidates : DataFrame
        With ``obsid`` and, where identified, ``uid``.

    Returns
    -------
    (reviewer,) DataFrame
        ``assigned``, ``done``, ``unsure`` (stars); ``n_known`` (known stars judged);
        ``completeness``: share of the known BHB stars judged that were accepted;
        ``contamination``: share of the known stars accepted that are none; each with the ends
        of its 95 % interval (``_low``, ``_high``), NaN where there is nothing to go by.
    """
    index, star = star_of_row(candidates)
    stand = standing_decisions(decisions)
    stand = stand[~are_final(stand)]
    own = _by_star(stand["obsid"], index, star)
    latest = dict(zip(zip(stand["reviewer"], own, strict=True), stand["verdict"], strict=True))
    table = assignment.table.assign(star=_by_star(assignment.table["obsid"], index, star))
    table = table[table["star"] >= 0].drop_duplicates(["star", "reviewer"])
    table["verdict"] = [
        latest.get(pair, "") for pair in zip(table["reviewer"], table["star"], strict=True)
    ]
    rows = []
    for name in assignment.reviewers:
        mine = table[table["reviewer"] == name]
        judged = mine[(mine["answer"] != "") & (mine["verdict"] != "")]
        taken = judged["verdict"] == "accept"
        is_bhb = judged["answer"] == "accept"
        rows.append(
            {
                "reviewer": name,
                "assigned": len(mine),
                "done": int((mine["verdict"] != "").sum()),
                "unsure": int((mine["verdict"] == "unsure").sum()),
                "n_known": len(judged),
                **_share("completeness", int((taken & is_bhb).sum()), int(is_bhb.sum())),
                **_share("contamination", int((taken & ~is_bhb).sum()), int(taken.sum())),
            }
        )
    return pd.DataFrame(rows).set_index("reviewer")


def _by_star(obsids: pd.Series, index: pd.Index, star: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the star of each spectrum; -1 for one that has left the survey."""
    row = index.get_indexer(pd.Index(obsids.to_numpy(np.int64)))
    return np.where(row >= 0, star[row] if len(star) else -1, -1)


def _share(name: str, k: int, n: int) -> dict[str, float]:
    low, high = wilson_interval(k, n)
    return {name: k / n if n else math.nan, f"{name}_low": low, f"{name}_high": high}
