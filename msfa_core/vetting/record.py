"""The verdict of record: what the decisions of all reviewers on a star add up to.

A withdrawn decision no longer stands, and whatever its reviewer decided before it counts again.
Of each reviewer the latest standing decision on a star counts (the highest number), and the rule
named in the settings (`constants.VERDICT_RULES`) makes one verdict of them. Between reviewers the
time decides which is the latest: of decisions taken over from another store the numbers say when
they came, not when they were made.

``agreement``
    the verdict that all who decided share, else *disputed*, until a final verdict settles it;
``latest``
    the latest decision of anybody, a final one before all others.

This module is the rule's only home: table, screen, filters, status and export ask it. One star
is asked for at a keystroke, a survey of 600,000 spectra at its opening; both go through
`_of_record`, except stars that one reviewer alone decided on, for which a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import check_columns, columns_of
from msfa_core.constants import VERDICT_RULES
from msfa_core.errors import CatalogueError, ConfigError
from msfa_core.rules import star_numbers
from msfa_core.vetting.by_reviewer import issues_text, listed, verdict_text
from msfa_core.vetting.decision import DECISION_COLUMNS, FINAL_FLAG, Decision, decisions_table

DISPUTED: Final = "disputed"  # reviewers disagree, and no final verdict has settled it
_TEXTS: Final = ("verdict_class", "comment", "decided_at", "issue_flags")


class _Said(NamedTuple):
    """What one reviewer said of a star."""

    reviewer: str
    verdict: str
    verdict_class: str
    confidence: Any
    comment: str
    decided_at: str
    is_final: bool
    issue_flags: str = ""  # with semicolons between them


def rule_in_words(rule: str) -> str:
    """Return a rule and its sentence, as headers of exports say it.

    Raises
    ------
    ConfigError
        For a rule that does not exist.
    """
    if rule not in VERDICT_RULES:
        raise ConfigError(
            f"verdict_rule = {rule!r} is not known; it is {' or '.join(VERDICT_RULES)}."
        )
    return f"{rule}: {VERDICT_RULES[rule]}"


def _of_record(own: Sequence[_Said], final: _Said | None, rule: str) -> dict[str, Any]:
    """Return the ``vet`` columns of a star.

    Parameters
    ----------
    own : sequence of _Said
        The latest standing decision of each reviewer; not empty.
    final : _Said, optional
        The latest standing final decision.
    rule : str
    """
    own = _latest_first(own)
    verdicts = [said.verdict for said in own]
    is_one = rule == "latest" or len(set(verdicts)) == 1
    counting = [final] if final is not None else own if is_one else []
    newest = counting[0] if counting else None
    classes = {said.verdict_class for said in counting if said.verdict_class}
    if rule == "latest":
        classes = {counting[0].verdict_class} - {""}
    shared = newest.verdict if newest else max(verdicts, key=verdicts.count)
    return {
        "verdict": newest.verdict if newest else DISPUTED,
        "verdict_class": classes.pop() if len(classes) == 1 else np.nan,
        "confidence": pd.NA if newest is None or pd.isna(newest.confidence) else newest.confidence,
        "comment": (newest.comment if newest else "") or np.nan,
        "reviewer": newest.reviewer if newest else np.nan,
        "decided_at": newest.decided_at if newest else np.nan,
        "n_reviews": len(own),
        "agreement": verdicts.count(shared) / len(own),
        **_by_reviewer_columns(own),
    }


def _latest_first(said: Iterable[_Said]) -> list[_Said]:
    """Return decisions of several reviewers by their time, those of one time as they came."""
    return sorted(said, key=lambda one: one.decided_at, reverse=True)


# --- who said what, in one cell ------------------------------------------------------------
def _by_reviewer_columns(own: Sequence[_Said]) -> dict[str, Any]:
    """Return the columns that name every reviewer, in the order of their names."""
    named = sorted(own, key=lambda said: said.reviewer)
    return {
        "verdicts_by_reviewer": listed([(said.reviewer, _verdict_text(said)) for said in named]),
        "comments_by_reviewer": listed(
            [(said.reviewer, said.comment) for said in named if said.comment]
        ) or np.nan,
        "issues_by_reviewer": listed(
            [(said.reviewer, _issues_text(said)) for said in named if _issues_text(said)]
        ) or np.nan,
        "dates_by_reviewer": listed([(said.reviewer, said.decided_at) for said in named]),
    }  # fmt: skip


def _verdict_text(said: _Said) -> str:
    return verdict_text(said.verdict, said.verdict_class, said.is_final)


def _issues_text(said: _Said) -> str:
    return issues_text(said.issue_flags)


# --- one star ------------------------------------------------------------------------------
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


def vet_columns(decisions: Iterable[Decision], rule: str) -> dict[str, Any]:
    """Return the ``vet`` columns of a star from all decisions on its spectra.

    Parameters
    ----------
    decisions : iterable of Decision
    rule : str
        One of `constants.VERDICT_RULES`.

    Returns
    -------
    dict of column -> value
        Missing values as pandas writes them; ``n_reviews`` is 0 where nobody decided.
    """
    rule_in_words(rule)
    counting = [
        _Said(
            d.reviewer, str(d.verdict), d.verdict_class, d.confidence, d.comment, d.decided_at,
            d.is_final, ";".join(d.issue_flags),
        )
        for d in standing(decisions)
    ]  # fmt: skip
    if not counting:
        nothing: dict[str, Any] = {column.name: np.nan for column in columns_of("vet")}
        return nothing | {"confidence": pd.NA, "n_reviews": 0}
    own: dict[str, _Said] = {}
    for said in counting:
        own.setdefault(said.reviewer, said)
    finals: dict[str, _Said] = {}
    for said in counting:
        if said.is_final:
            finals.setdefault(said.reviewer, said)
    final = next(iter(_latest_first(finals.values())), None)
    return _of_record(list(own.values()), final, rule)


# --- a whole survey ------------------------------------------------------------------------
def standing_decisions(decisions: pd.DataFrame | Iterable[Decision]) -> pd.DataFrame:
    """Return the decisions that nobody took back, oldest first.

    Parameters
    ----------
    decisions : DataFrame or decisions
        As from `decisions_table` or ``Store.standing()``.
    """
    if not isinstance(decisions, pd.DataFrame):
        decisions = decisions_table(decisions)
    check_columns(decisions, ("decision_id", "obsid", "verdict", "reviewer"), "decisions")
    if "withdraws" in decisions.columns:
        is_withdrawal = decisions["withdraws"].notna()
        gone = decisions["decision_id"].isin(decisions.loc[is_withdrawal, "withdraws"])
        decisions = decisions[~is_withdrawal & ~gone]
    return decisions.sort_values("decision_id", ignore_index=True)


def are_final(decisions: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which decisions of a table settle their star.

    Parameters
    ----------
    decisions : (m,) DataFrame
        As from `decisions_table`; without ``issue_flags`` none does.

    Returns
    -------
    (m,) bool array
    """
    if "issue_flags" not in decisions.columns:
        return np.zeros(len(decisions), dtype=bool)
    flags = decisions["issue_flags"].fillna("").astype("str").str.split(";")
    return np.array([FINAL_FLAG in words for words in flags], dtype=bool)


def star_of_row(candidates: pd.DataFrame) -> tuple[pd.Index, NDArray[np.int64]]:
    """Return the obsid index of the candidates and the number of each row's star."""
    if "obsid" in candidates.columns:
        obsid = candidates["obsid"]
    elif candidates.index.name == "obsid":
        obsid = candidates.index.to_series()
    else:
        raise CatalogueError("candidates have no obsid: neither a column nor the index.")
    if obsid.isna().any():
        raise CatalogueError(f"{int(obsid.isna().sum())} candidate(s) have no obsid.")
    index = pd.Index(obsid.to_numpy(np.int64), name="obsid")
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise CatalogueError(f"obsid {twice} appears more than once among the candidates.")
    return index, star_numbers(candidates)


def verdict_of_record(
    decisions: pd.DataFrame | Iterable[Decision],
    candidates: pd.DataFrame,
    rule: str,
    text: str | pd.StringDtype = "str",
) -> pd.DataFrame:
    """Return the judgement in force for every candidate.

    A decision reaches all spectra that share the present ``uid`` of its ``obsid``. Decisions on
    spectra that left the survey are kept in the store and listed by `orphaned_decisions`.

    Parameters
    ----------
    decisions : (m,) DataFrame or decisions
        The history, with or without withdrawals.
    candidates : (n,) DataFrame
        With ``obsid`` and, where identified, ``uid``.
    rule : str
        One of `constants.VERDICT_RULES`.
    text : str or dtype, optional
        How words are held in memory.

    Returns
    -------
    (n,) DataFrame
        The ``vet`` columns, indexed by obsid in the order of the candidates; missing where
        nobody decided, except ``n_reviews``, which is then 0. ``agreement`` is the share of
        reviewers whose own latest verdict is the verdict of record (of a disputed star: the
        most frequent verdict).

    Raises
    ------
    CatalogueError
        When an obsid appears twice among the candidates or is missing.
    ConfigError
        For a rule that does not exist.
    """
    rule_in_words(rule)
    index, star = star_of_row(candidates)
    rows = _complete(standing_decisions(decisions))
    row = index.get_indexer(pd.Index(rows["obsid"].to_numpy(np.int64)))
    rows = rows[row >= 0].assign(star=star[row[row >= 0]])
    own = rows.drop_duplicates(["star", "reviewer"], keep="last")
    n_reviews = own["star"].value_counts()
    alone = own["star"].map(n_reviews).to_numpy() == 1
    finals = rows[rows["is_final"]].drop_duplicates(["star", "reviewer"], keep="last")
    finals = finals.sort_values(["decided_at", "decision_id"])
    final = finals.drop_duplicates("star", keep="last").set_index("star")
    by_star = pd.concat([_of_one(own[alone], final), _of_many(own[~alone], final, rule)])
    place = by_star.index.get_indexer(star)
    kinds = {c.name: text if c.dtype == "str" else c.dtype for c in columns_of("vet")}
    vet = {
        name: pd.Series(by_star[name].astype(kind).array.take(place, allow_fill=True), index=index)
        for name, kind in kinds.items()
    }
    return pd.DataFrame(vet, index=index).assign(n_reviews=lambda t: t["n_reviews"].fillna(0))


def _complete(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return standing decisions with every column that the record is made of."""
    rows = decisions.assign(is_final=are_final(decisions))
    for name, kind in DECISION_COLUMNS.items():
        if name not in rows:
            rows[name] = pd.Series("" if kind == "str" else pd.NA, index=rows.index, dtype=kind)
    texts = {name: rows[name].fillna("") for name in _TEXTS}
    return rows.assign(**texts)


def _said(rows: pd.DataFrame) -> list[_Said]:
    return [
        _Said(*values)
        for values in zip(*(rows[name].tolist() for name in _Said._fields), strict=True)
    ]


def _of_one(own: pd.DataFrame, final: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of stars on which one reviewer decided: by every rule the same."""
    said = _said(own)
    own = own.set_index("star")
    fields = ["verdict", "verdict_class", "confidence", "comment", "reviewer", "decided_at"]
    has_final = own.index.isin(final.index)
    counting = pd.concat([own.loc[~has_final, fields], final.loc[own.index[has_final], fields]])
    record = counting.loc[own.index]
    comments = [listed([(one.reviewer, one.comment)]) if one.comment else np.nan for one in said]
    set_flags = [(one.reviewer, _issues_text(one)) for one in said]
    issues = [listed([(name, text)]) if text else np.nan for name, text in set_flags]
    return record.assign(
        verdict_class=record["verdict_class"].where(record["verdict_class"] != ""),
        comment=record["comment"].where(record["comment"] != ""),
        n_reviews=1,
        agreement=(record["verdict"] == own["verdict"]).astype("float64"),
        verdicts_by_reviewer=[listed([(one.reviewer, _verdict_text(one))]) for one in said],
        comments_by_reviewer=pd.array(comments, dtype="str"),
        issues_by_reviewer=pd.array(issues, dtype="str"),
        dates_by_reviewer=[listed([(one.reviewer, one.decided_at)]) for one in said],
    )


def _of_many(own: pd.DataFrame, final: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Return the columns of stars on which several reviewers decided."""
    own = own.sort_values(["star", "decision_id"], ascending=[True, False])
    settled = final[final.index.isin(own["star"])].reset_index()
    finals = dict(zip(settled["star"].tolist(), _said(settled), strict=True))
    pairs = zip(own["star"].tolist(), _said(own), strict=True)
    records = {
        star: _of_record([said for _, said in group], finals.get(star), rule)
        for star, group in groupby(pairs, key=lambda pair: pair[0])
    }
    names = [column.name for column in columns_of("vet")]
    data = {
        column.name: pd.Series(
            [record[column.name] for record in records.values()],
            index=pd.Index(list(records), dtype=np.int64),
            dtype=column.dtype,
        )
        for column in columns_of("vet")
    }
    return pd.DataFrame(data, columns=names)


def orphaned_decisions(
    decisions: pd.DataFrame | Iterable[Decision], candidates: pd.DataFrame
) -> pd.DataFrame:
    """Return the standing decisions on spectra that are no longer in the survey.

    Parameters
    ----------
    decisions : DataFrame or decisions
    candidates : DataFrame
        With ``obsid``.
    """
    index, _ = star_of_row(candidates)
    standing = standing_decisions(decisions)
    return standing[~standing["obsid"].isin(index)].reset_index(drop=True)
