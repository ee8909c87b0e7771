"""The verdict of record of one star, fast enough for a keystroke.

The rule is that of `vetting.verdict_of_record`, which takes a whole survey; a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from msfa_core.vetting.decision import Decision


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody took back, newest first.

    Parameters
    ----------
    decisions : iterable of Decision
        Stored ones, withdrawals included.
    """
    history = sorted(decisions, key=lambda decision: decision.decision_id or 0, reverse=True)
    gone = {decision.withdraws for decision in history}
    return [d for d in history if not d.is_withdrawal and d.decision_id not in gone]


def own_verdict(decisions: Iterable[Decision], reviewer: str) -> str:
    """Return a reviewer's own latest verdict on a star; empty when there is none."""
    own = (str(d.verdict) for d in standing(decisions) if d.reviewer == reviewer)
    return next(own, "")


def vet_columns(decisions: Iterable[Decision]) -> dict[str, Any]:
    """Return the ``vet`` columns of a star from all decisions on its spectra.

    Parameters
    ----------
    decisions : iterable of Decision

    Returns
    -------
    dict of column -> value
        Missing values as pandas writes them; ``n_reviews`` is 0 where nobody decided.
    """
    counting = standing(decisions)
    own: dict[str, Decision] = {}
    for decision in counting:
        own.setdefault(decision.reviewer, decision)
    newest = counting[0] if counting else None
    latest = next((decision for decision in counting if decision.is_final), newest)
    if latest is None:
        texts = ("verdict", "verdict_class", "comment", "reviewer", "decided_at")
        nothing: dict[str, Any] = dict.fromkeys(texts, float("nan"))
        return nothing | {"confidence": pd.NA, "n_reviews": 0, "agreement": float("nan")}
    sharing = sum(decision.verdict == latest.verdict for decision in own.values())
    return {
        "verdict": str(latest.verdict),
        "verdict_class": latest.verdict_class or float("nan"),
        "confidence": pd.NA if latest.confidence is None else latest.confidence,
        "comment": latest.comment or float("nan"),
        "reviewer": latest.reviewer,
        "decided_at": latest.decided_at,
        "n_reviews": len(own),
        "agreement": sharing / len(own),
    }
