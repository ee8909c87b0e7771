"""What every decision was made on: what was on screen, by which software and weights, and now.

A decision carries what its reviewer saw. Where a step has since given the star other numbers, the
decision was made *on other numbers*, and both are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from msfa_core.columns import BY_NAME
from msfa_core.vetting.decision import Decision

AUDIT_COLUMNS: Final = (
    "decision_id", "decided_at", "reviewer", "obsid", "uid", "decision", "verdict_class",
    "confidence", "issue_flags", "comment", "software_version", "weights", "blind", "on_screen",
    "other_numbers",
)  # fmt: skip
_MOST_TOLD: Final = ("p_bhb", "predicted_class")  # before the others


def changed_numbers(decision: Decision, row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what a star's row says otherwise than when it was decided on.

    Parameters
    ----------
    decision : Decision
    row : mapping
        The row of its spectrum now.

    Returns
    -------
    dict of column -> (then, now)
        As the columns are printed: what differs in no printed digit has not changed.
    """
    shown = decision.shown.get("row", {})
    if not isinstance(shown, Mapping):
        return {}
    told = sorted(shown, key=lambda name: (name not in _MOST_TOLD, name))
    pairs = {
        name: (_printed(name, shown[name]), _printed(name, row.get(name)))
        for name in told
        if name in BY_NAME and name in row
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def other_numbers_in_words(changed: Mapping[str, tuple[str, str]]) -> str:
    """Return both numbers: ``decided on other numbers: p_bhb 0.97 then, 0.41 now``."""
    if not changed:
        return ""
    both = [f"{name} {then or 'unknown'} then, {now or 'unknown'} now"
            for name, (then, now) in changed.items()]  # fmt: skip
    return f"decided on other numbers: {'; '.join(both)}"


def audit(
    decisions: Iterable[Decision],
    candidates: pd.DataFrame,
    provenance: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Return decisions with what was on screen, newest first as they are given.

    Parameters
    ----------
    decisions : iterable of Decision
        Stored ones, withdrawals included.
    candidates : (n,) DataFrame
        All spectra as they are now.
    provenance : sequence of mappings
        Steps that were done: they name the weights of the time.

    Returns
    -------
    (m,) DataFrame
        `AUDIT_COLUMNS`, as text where there is more than a number; ``other_numbers`` is empty
        where nothing has changed.
    """
    decisions = list(decisions)
    place = {obsid: k for k, obsid in enumerate(candidates["obsid"].tolist())}
    rows = []
    for one in decisions:
        here = place.get(one.obsid)
        now = {} if here is None else candidates.iloc[here].to_dict()
        shown = one.shown.get("row", {})
        seen = [f"{name} {_printed(name, value)}" for name, value in shown.items()
                if _printed(name, value)]  # fmt: skip
        rows.append(
            {
                "decision_id": one.decision_id,
                "decided_at": one.decided_at,
                "reviewer": one.reviewer,
                "obsid": one.obsid,
                "uid": one.uid,
                "decision": f"takes back {one.withdraws}" if one.is_withdrawal else one.verdict,
                "verdict_class": one.verdict_class,
                "confidence": one.confidence,
                "issue_flags": "; ".join(one.issue_flags),
                "comment": one.comment,
                "software_version": one.software_version,
                "weights": weights_at(provenance, one.decided_at),
                "blind": "yes" if one.shown.get("blind") else "no",
                "on_screen": "; ".join(seen),
                "other_numbers": other_numbers_in_words(changed_numbers(one, now)),
            }
        )
    table = pd.DataFrame(rows, columns=list(AUDIT_COLUMNS))
    whole = {"decision_id": "int64", "obsid": "int64", "confidence": "Int64"}
    return table.astype(dict.fromkeys(AUDIT_COLUMNS, "str") | whole)


def weights_at(provenance: Sequence[Mapping[str, Any]], moment: str) -> str:
    """Return the checksum of the weights whose results stood at a moment; empty for none."""
    named = [
        str(entry["weights"])
        for entry in provenance
        if entry.get("weights") and str(entry.get("time", "")) <= moment
    ]
    return named[-1] if named else ""


def _printed(name: str, value: object) -> str:
    """Return a value with the digits of its column; empty for a missing one."""
    if value is None or pd.isna(value):
        return ""
    column = BY_NAME.get(name)
    if column is None or not column.format or column.kind not in ("float", "int"):
        return str(value)
    return format(float(str(value)) if column.kind == "float" else int(str(value)), column.format)
