"""Decisions in a table, a published one of ours or another tool's, as the store takes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import FAR, match_key
from msfa_core.stars.crossmatch import FAR_AWAY
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import none_matched
from msfa_core.survey.provenance import now
from msfa_core.tables.door import Use, open_table
from msfa_core.tables.names import plain
from msfa_core.tables.report import Matched, as_record
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.vetting.decision import REVIEWER_LENGTH, Decision, Verdict
from msfa_core.vetting.transfer import keyed

_USE: Final = Use("a table of decisions", PLACE_USE.vocabulary, (("obsid",),), keep_others=True)
_UNDECIDED: Final = ("", "disputed", "none", "nan", "null", "--")
_UNDATED: Final = "undated"  # beginning of the key of a decision whose table gives no moment
_SAID: Final = ("verdict", "reviewer", "verdict_class", "confidence", "comment", "decided_at")


def decisions_in(
    survey: Survey, path: str | Path, known: Iterable[Decision] = ()
) -> tuple[list[Decision], dict[str, Any]]:
    """Read the verdicts of a table: one decision per star, reviewer and moment.

    Parameters
    ----------
    survey : Survey
    path : str or Path
        With obsid and verdict and, where known, reviewer, verdict_class, confidence, comment and
        decided_at; an export with all columns has them.
    known : decisions
        What the store holds already: the same said again keeps its key.

    Returns
    -------
    list of Decision
        Oldest first, each with a key made of what it says: taken twice, it is stored once.
    dict
        What became of the table, for the provenance; its ``line`` in words.

    Raises
    ------
    CatalogueError
        When the table has no verdicts, one that nobody knows, or tells of no spectrum.
    """
    opened = open_table(path, _USE)
    columns = {plain(name): opened.others[name] for name in reversed(list(opened.others.columns))}
    if not opened.has("obsid") or "verdict" not in columns:
        raise CatalogueError(
            f"{opened.path}: a table of decisions needs obsid and verdict; it has "
            f"{opened.has_words()}.{opened.reasons()}"
        )
    spectra = survey.table()
    match = match_key(spectra, opened.table, "obsid", FAR * survey.settings.match_radius_arcsec)
    here = np.flatnonzero(match.row >= 0)
    n_refused = int(np.isfinite(match.refused).sum())
    matched = Matched(len(spectra), {"obsid": len(here)}, (), n_refused, FAR_AWAY)
    if not matched.n:
        raise none_matched(opened, matched, spectra, ("obsid", "ra", "dec"))
    rows = pd.DataFrame({name: columns[name].astype("str") for name in _SAID if name in columns})
    undecided = rows["verdict"].fillna("").str.strip().str.lower().isin(_UNDECIDED).to_numpy(bool)
    here = here[~undecided[match.row[here]]]
    uids = spectra["uid"].fillna("") if "uid" in spectra else pd.Series("", spectra.index)
    star = dict(zip(spectra["obsid"].tolist(), uids.tolist(), strict=True))
    before = {_said(one, star): one.key for one in keyed(known)}
    made: dict[tuple[str, ...], Decision] = {}
    for i in here:  # in the order of the survey: the first spectrum of a star speaks for it
        one = _decision(rows.iloc[match.row[i]], match.row[i] + 1, spectra.iloc[i], opened.path)
        said = _said(one, star)
        made.setdefault(said, replace(one, key=before.get(said, one.key)))
    ordered = sorted(made.values(), key=lambda one: one.decided_at)
    numbered = [replace(one, decision_id=number) for number, one in enumerate(ordered, start=1)]
    more = [f"{len(made):,} decisions, {int(undecided.sum()):,} rows without a verdict"]
    return numbered, as_record(opened, "decisions", matched, more)


def _said(one: Decision, star: dict[int, str]) -> tuple[str, ...]:
    """Return what makes two decisions one: who said what of which star, and when."""
    when = one.decided_at if not one.key.startswith(_UNDATED) else ""
    return star.get(one.obsid) or str(one.obsid), one.reviewer, str(one.verdict), when


def _decision(row: pd.Series, number: int, spectrum: pd.Series, path: str) -> Decision:
    """Make a decision of a row, its key of what the row says."""
    say = {str(name): str(text).strip() for name, text in row.items() if pd.notna(text)}
    verdict = say["verdict"].lower()
    if verdict not in list(Verdict):
        raise CatalogueError(
            f"{path}: column verdict has {say['verdict']!r} in row {number}, which is none of "
            f"{', '.join(Verdict)}; correct it."
        )
    uid = spectrum.get("uid")
    digest = hashlib.sha256(json.dumps([int(spectrum["obsid"]), say]).encode()).hexdigest()
    grade = say.get("confidence", "")
    return Decision(
        obsid=int(spectrum["obsid"]),
        uid=uid if isinstance(uid, str) else "",
        verdict=Verdict(verdict),
        reviewer=say.get("reviewer") or f"table {Path(path).name}"[:REVIEWER_LENGTH],
        verdict_class=say.get("verdict_class", ""),
        confidence=int(float(grade)) if grade else None,
        comment=say.get("comment", ""),
        decided_at=say.get("decided_at") or now(),
        key=f"{'table' if 'decided_at' in say else _UNDATED}-{digest[:40]}",
    )
