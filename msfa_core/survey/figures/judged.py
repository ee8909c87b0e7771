"""What reviewers and, of simulated stars, the truth say of the search: reliability, agreement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import TRUE_CLASS, is_true, numbers
from msfa_core.constants import StellarClass
from msfa_core.survey.figures.panel import Guide, Panel, Points, nobody
from msfa_core.survey.folder import Survey
from msfa_core.typing import BoolArray
from msfa_core.vetting.agreement import (
    cohen_kappa,
    fleiss_kappa,
    kappa_in_words,
    latest_by_reviewer,
    verdict_matrix,
)
from msfa_core.vetting.by_reviewer import issues_text, verdict_text
from msfa_core.vetting.record import are_final

BIN_EDGES: Final = np.linspace(0.0, 1.0, 11)  # of p_bhb


@dataclass(frozen=True, slots=True)
class Pair:
    """Two reviewers.

    Attributes
    ----------
    first, second : str
    n : int
        Stars that both decided on.
    kappa : float
        Cohen's; NaN where undefined.
    matrix : (3, 3) DataFrame
        Stars by the verdict of the first (rows) and of the second (columns).
    """

    first: str
    second: str
    n: int
    kappa: float
    matrix: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Agreement:
    """How reviewers agree.

    Attributes
    ----------
    n_by_reviewer : dict of str to int
        Stars that each decided on, the busiest first.
    n_decisions : int
        Rows of history, withdrawals included.
    fleiss : float
        Fleiss' kappa of all; NaN where undefined.
    pairs : tuple of Pair
        Those with a star in common, the one with most first.
    """

    n_by_reviewer: dict[str, int]
    n_decisions: int
    fleiss: float
    pairs: tuple[Pair, ...]

    @property
    def kappa(self) -> float:
        """Cohen's kappa of two reviewers, Fleiss' of more; NaN where undefined."""
        if len(self.n_by_reviewer) > 2:  # noqa: PLR2004
            return self.fleiss
        return self.pairs[0].kappa if self.pairs else float("nan")

    @property
    def sentence(self) -> str:
        """How reviewers agree, in words."""
        names = self.n_by_reviewer
        if not names:
            return "Nobody has decided yet, so there is no agreement to tell of."
        if len(names) == 1:
            name, n = next(iter(names.items()))
            return f"{name} alone decided, on {n:,} stars: agreement needs a second reviewer."
        if not self.pairs:
            return f"{len(names)} reviewers decided, on no star in common."
        kappa = self.kappa
        whose = "Fleiss'" if len(names) > 2 else "Cohen's"  # noqa: PLR2004
        if not np.isfinite(kappa):
            return f"{len(names)} reviewers; {whose} κ is undefined: only one thing was ever said."
        said = f"{kappa:.2f}".replace("-", "−")
        named = kappa_in_words(kappa, max(pair.n for pair in self.pairs))
        return f"{len(names)} reviewers agree with {whose} κ = {said}: {named}."


def standing(survey: Survey) -> pd.DataFrame:
    """Return what stands of what was decided, oldest first; ``said`` and ``issues`` are in words.

    Parameters
    ----------
    survey : Survey
        Without decisions, the table is empty.
    """
    if not survey.has_store:
        return pd.DataFrame()
    with survey.store() as store:
        decided = store.standing()
    classes = decided["verdict_class"].fillna("").tolist()
    final = are_final(decided).tolist()
    return decided.assign(
        said=list(map(verdict_text, decided["verdict"].tolist(), classes, final)),
        issues=list(map(issues_text, decided["issue_flags"].fillna("").tolist())),
    )


def agreement(survey: Survey) -> Agreement:
    """Return how the reviewers of a survey agree.

    Parameters
    ----------
    survey : Survey
    """
    if not survey.has_store:
        return Agreement({}, 0, float("nan"), ())
    with survey.store() as store:
        decisions, standing = store.decisions(), store.standing()
    verdicts = latest_by_reviewer(standing, survey.table())
    numbered = verdicts.notna().sum().sort_values(ascending=False)
    pairs = []
    for first, second in combinations(numbered.index, 2):
        n = int((verdicts[first].notna() & verdicts[second].notna()).sum())
        if n:
            kappa = cohen_kappa(verdicts[first], verdicts[second])
            matrix = verdict_matrix(verdicts[first], verdicts[second])
            pairs.append(Pair(str(first), str(second), n, kappa, matrix))
    return Agreement(
        {str(name): int(n) for name, n in numbered.items()},
        len(decisions),
        fleiss_kappa(verdicts) if len(numbered) > 1 else float("nan"),
        tuple(sorted(pairs, key=lambda pair: -pair.n)),
    )


def reliability(table: pd.DataFrame) -> Panel:
    """Return how often a probability was right: by the truth where known, else by verdicts.

    Parameters
    ----------
    table : (n,) DataFrame
        With verdicts of record. In a simulated survey ``true_class`` decides; otherwise stars
        that were accepted count as BHB stars and rejected ones as others.
    """
    names = ("p_bhb that the search gave", "share that are BHB stars")
    p = numbers(table, "p_bhb")
    right, asked, judge = _judged(table)
    asked = asked & np.isfinite(p)
    if not asked.any():
        why = (
            "Neither a truth nor verdicts on classified spectra: nothing to hold the probabilities "
            "against. Vet stars with `msfa serve SURVEY`."
        )
        return Panel(
            "reliability", "Reliability of p_bhb", *names, (0.0, 1.0), (0.0, 1.0), (),
            nobody(), nobody(), "", why,
        )  # fmt: skip
    bins = np.clip(np.digitize(p[asked], BIN_EDGES) - 1, 0, len(BIN_EDGES) - 2)
    n = np.bincount(bins, minlength=len(BIN_EDGES) - 1)
    hits = np.bincount(bins, right[asked], minlength=len(n))
    total = np.bincount(bins, p[asked], minlength=len(n))
    full = n > 0
    x, y = total[full] / n[full], hits[full] / n[full]
    from astropy.stats import binom_conf_interval  # noqa: PLC0415  slow to import

    low, high = binom_conf_interval(hits[full], n[full], interval="wilson")  # 68 %
    spread = np.maximum(np.column_stack([y - low, high - y]), 0.0)
    brier = float(np.mean((p[asked] - right[asked]) ** 2))
    diagonal = Guide(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "dashed", "as it should be")
    dots = Points(n[full].astype(np.int64), x, y, f"spectra, judged by {judge}", spread)
    said = (
        f"{int(asked.sum()):,} spectra with a p_bhb, judged by {judge}, in bins of 0.1 (bars: "
        f"68 %); mean squared error {brier:.3f}. On the dashed line a probability means what it "
        "says."
    )
    return Panel(
        "reliability", "Reliability of p_bhb", *names, (-0.03, 1.03), (-0.03, 1.03), (diagonal,),
        nobody(), dots, said,
    )  # fmt: skip


def _judged(table: pd.DataFrame) -> tuple[BoolArray, BoolArray, str]:
    """(n,) whether a BHB star, (n,) whether anybody can tell, and who."""
    if TRUE_CLASS in table.columns:
        known = table[TRUE_CLASS].notna().to_numpy(bool)
        says = table[TRUE_CLASS].astype("str") == str(StellarClass.BHB)
        return says.to_numpy(bool), known, "the truth of the simulation"
    verdict = table["verdict"].astype("str")
    accepted = (verdict == "accept").to_numpy(bool)
    asked = accepted | (verdict == "reject").to_numpy(bool)
    candidates = is_true(table, "is_candidate")
    who = "the reviewers"
    if asked.any() and not (asked & ~candidates).any():
        who += " (who saw candidates only)"
    return accepted, asked, who
