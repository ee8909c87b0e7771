"""Learning to vet on stars whose truth is known: lessons by difficulty, and what gave a star away.

A lesson holds BHB stars and others, about as many of each. How hard a star is follows from what
the networks, who are no beginners, make of it and from its S/N. After a verdict the witnesses say
what could have been seen, and which of them would have misled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from msfa_core.columns import TRUE_CLASS, is_true, numbers
from msfa_core.config import Settings
from msfa_core.constants import STELLAR_CLASSES, StellarClass
from msfa_core.errors import SurveyError
from msfa_core.rules import representatives
from msfa_core.spine.witnesses import Stance, witnesses
from msfa_core.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from msfa_core.search.saliency import Saliency

LESSON_SIZE: Final = 10  # stars
CLEAR_P, HARD_P = 0.85, 0.6  # probability that stage 1 gives the true class
CLEAR_SNR, HARD_SNR = 40.0, 20.0
LOUD: Final = 0.1  # share of all that spoke for a class, from which a line is named
_NAMED: Final = 2  # lines in a sentence
_SEED: Final = 3
_KINDS: Final = {
    "A": "an A star",
    "B": "a B star",
    "BHB": "a BHB star",
    "HSD": "a hot subdwarf",
    "WD": "a white dwarf",
    "F": "an F star",
    "RRL": "an RR Lyrae star",
}


@dataclass(frozen=True, slots=True)
class Lesson:
    """Some stars of one difficulty.

    Attributes
    ----------
    name, words : str
        ``clear cases``, and what makes them so.
    obsid : (n,) int64 array
        In the order in which they are taught.
    """

    name: str
    words: str
    obsid: IntArray


@dataclass(frozen=True, slots=True)
class Score:
    """How a reviewer did.

    Attributes
    ----------
    n_decided, n_right, n_unsure : int
        Of the stars of some lessons; unsure counts as neither right nor wrong.
    missed : dict of str to int
        BHB stars that were rejected, and others that were accepted, by their kind.
    """

    n_decided: int
    n_right: int
    n_unsure: int
    missed: dict[str, int]

    @property
    def sentence(self) -> str:
        """The score in words."""
        if not self.n_decided:
            return "no verdict yet"
        told = f"{self.n_right} of {self.n_decided} right"
        return f"{told}, {self.n_unsure} unsure" if self.n_unsure else told


def kind_in_words(kind: str) -> str:
    """Return a class with its article: ``an A star``."""
    return _KINDS.get(kind, f"a star of kind {kind}")


def lessons(table: pd.DataFrame, size: int = LESSON_SIZE) -> tuple[Lesson, ...]:
    """Return the lessons that a survey with known truth has stars for, the easiest first.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``true_class`` and the results of the steps.
    size : int
        Stars of a lesson at most.

    Raises
    ------
    SurveyError
        When the truth is not known, or nothing was classified.
    """
    if TRUE_CLASS not in table.columns or not table[TRUE_CLASS].notna().any():
        raise SurveyError(
            "nobody can learn from this survey: the truth about its stars is not known. Learn on a "
            "simulated one (`msfa serve --learn` takes the demo, `msfa simulate S` makes another)."
        )
    p, snr = _p_of_truth(table), numbers(table, "snr_g")
    known = np.isfinite(p) & is_true(table, "in_search_domain")
    one = np.zeros(len(table), dtype=bool)
    one[known] = representatives(table[known])
    if not one.any():
        raise SurveyError("nobody can learn from this survey yet: `msfa run` classifies its stars.")
    clear = one & (p > CLEAR_P) & (snr > CLEAR_SNR)
    hard = one & ((p < HARD_P) | (snr < HARD_SNR))
    made = (
        ("clear cases", "high S/N, and nothing contradicts", clear & ~hard),
        ("everyday stars", "as most of a survey are", one & ~clear & ~hard),
        ("hard cases", "noisy, or unlike their class", hard),
    )
    is_bhb = (table[TRUE_CLASS].astype("str") == str(StellarClass.BHB)).to_numpy(bool)
    obsid = table["obsid"].to_numpy(np.int64)
    return tuple(
        Lesson(name, words, obsid[_mixed(rows, is_bhb, size)])
        for name, words, rows in made
        if rows.any()
    )


def _p_of_truth(table: pd.DataFrame) -> FloatArray:
    """(n,) probability that stage 1 gives the true class; 0 for kinds it does not know."""
    p = numbers(table, "p_class_bhb") * 0.0
    for kind in map(str, STELLAR_CLASSES):
        rows = (table[TRUE_CLASS].astype("str") == kind).to_numpy(bool)
        p[rows] = numbers(table, f"p_class_{kind.lower()}")[rows]
    return p


def _mixed(rows: BoolArray, is_bhb: BoolArray, size: int) -> IntArray:
    """Return rows of a lesson: half of them BHB stars as far as there are, in no telling order."""
    rng = np.random.default_rng(_SEED)
    bhb = rng.permutation(np.flatnonzero(rows & is_bhb))[: size // 2]
    others = rng.permutation(np.flatnonzero(rows & ~is_bhb))[: size - len(bhb)]
    mixed: IntArray = rng.permutation(np.concatenate([bhb, others]))
    return mixed


def score(table: pd.DataFrame, verdicts: dict[int, str]) -> Score:
    """Return how a reviewer did on some stars.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``obsid`` and ``true_class``.
    verdicts : dict of obsid to verdict
        ``accept``, ``reject`` or ``unsure``.
    """
    truth = dict(zip(table["obsid"].tolist(), table[TRUE_CLASS].astype("str"), strict=True))
    right, unsure = 0, 0
    missed: dict[str, int] = {}
    for obsid, said in verdicts.items():
        kind = truth[obsid]
        if said == "unsure":
            unsure += 1
        elif is_right(said, kind):
            right += 1
        else:
            missed[kind] = missed.get(kind, 0) + 1
    return Score(len(verdicts), right, unsure, missed)


def is_right(verdict: str, kind: str) -> bool:
    """Tell whether a verdict suits the truth; unsure never does."""
    return verdict == ("accept" if kind == str(StellarClass.BHB) else "reject")


def gave_away(row: pd.Series, settings: Settings) -> list[tuple[str, str, bool]]:
    """Return what could have been seen of a star whose truth is known.

    Parameters
    ----------
    row : Series
        Its row of the table, with ``true_class``.
    settings : Settings

    Returns
    -------
    list of (str, str, bool)
        Name of each witness that spoke, its sentence, and whether it told the truth; those that
        did come first. The networks, whom the student is to match, come last of these.
    """
    is_bhb = str(row[TRUE_CLASS]) == str(StellarClass.BHB)
    spoke = [
        (one.name, one.sentence, (one.stance == Stance.FOR) == is_bhb)
        for one in witnesses(row, settings)
        if one.stance != Stance.SILENT
    ]
    return sorted(spoke, key=lambda said: (not said[2], said[0] == "networks"))


def networks_in_words(said: Saliency) -> str:
    """Return which lines the first stage went by, as a sentence.

    Parameters
    ----------
    said : Saliency
        One row: stage 1 for the class that it gives the star.

    Returns
    -------
    str
        Empty where there was nothing to explain.
    """
    from msfa_core.search.saliency import by_line  # noqa: PLC0415 (torch)

    did = by_line(said)
    if not did:
        return ""
    taken = f"The networks took it for {kind_in_words(str(STELLAR_CLASSES[int(said.target[0])]))}"
    heard = said.attribution[0]
    spoke = heard[heard > 0].sum()
    by = [name for name, amount in did.items() if amount > LOUD * spoke][:_NAMED]
    against = next((name for name, amount in did.items() if amount < -LOUD * spoke), "")
    words = (
        f"{taken}, most of all by {' and '.join(by)}" if by else f"{taken}, by no line above all"
    )
    return f"{words}; {against} spoke against it." if against else f"{words}."


def verdict_in_words(verdict: str, kind: str) -> str:
    """Return the truth after a verdict, as ``Right: it is a BHB star`` and a full stop."""
    truth = kind_in_words(kind)
    if verdict == "unsure":
        return f"You were unsure: it is {truth}."
    return f"{'Right' if is_right(verdict, kind) else 'Not so'}: it is {truth}."
