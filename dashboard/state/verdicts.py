"""The verdicts on a survey: of record, one's own, and what others decided meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.data import give_back, shared_data
from dashboard.state.door import Door
from dashboard.state.part import Part
from msfa_core.columns import VET_COLUMNS
from msfa_core.errors import StoreError
from msfa_core.survey.decisions import known_answers
from msfa_core.survey.folder import Survey
from msfa_core.vetting.agreement import latest_by_reviewer
from msfa_core.vetting.decision import Decision, reviewer_name
from msfa_core.vetting.filters import Filter, preset_filters, verdict_filters
from msfa_core.vetting.record import (
    are_final,
    own_verdict,
    standing,
    verdict_of_record,
    vet_columns,
)
from msfa_core.vetting.roles import Act

MANY_DECISIONS: Final = 400  # of others since the last look: the whole table is read again
ASSIGNED: Final = "assigned"  # name of the filter
N_RECENT: Final = 10  # decisions shown under the verdict bar
N_PACED: Final = 20  # of one's last decisions tell the pace
LEAST_PACED: Final = 3
PAUSE: Final = 300.0  # s; longer between two decisions is a pause
_IN_MEMORY_TEXT: Final = pd.StringDtype("python", na_value=np.nan)  # one cell is set in µs


@dataclass(frozen=True, slots=True)
class News:
    """What others decided since the last look.

    Attributes
    ----------
    newest : int
        Number of the latest decision.
    obsids : tuple of int
        Spectra that were decided on; empty when there are too many to name.
    """

    newest: int
    obsids: tuple[int, ...]


class Verdicts(Part):
    """The survey's table with its verdicts, kept up to date star by star, for one reviewer.

    Parameters
    ----------
    survey : Survey
    reviewer : str
        Empty until known.
    login : str
        Who has logged in; empty where names are typed.
    """

    survey = param.Parameter(doc="Survey that is vetted")
    reviewer = param.String(doc="Who decides")
    blind = param.Boolean(doc="Hide other reviewers and the machine's opinion")
    table = param.DataFrame(doc="Candidates with their verdicts of record")
    version = param.Integer(doc="Rises when verdicts of the table change")
    taken_back = param.Parameter(doc="The decision that was withdrawn last on this page")

    def __init__(self, survey: Survey, reviewer: str = "", login: str = "", **params: Any) -> None:
        super().__init__(survey=survey, reviewer=login or reviewer, **params)
        self.door = Door(survey, lambda: self.data.store, login)
        self._recent: dict[int, list[Decision]] = {}
        self._own: list[Decision] = []  # decisions of this session, oldest first
        self.data = shared_data(survey)
        self._take_in()

    def reopen(self) -> None:
        """Read the survey anew: a step of the pipeline may have rewritten its table."""
        held, self.data = self.data, shared_data(self.survey)
        give_back(held)
        self._take_in()

    def close(self) -> None:
        """Give back what the session shares with others; the page has gone."""
        super().close()
        give_back(self.data)

    def _take_in(self) -> None:
        self.presets: dict[str, Filter] = preset_filters(self.data.settings) | verdict_filters()
        self.presets[ASSIGNED] = Filter(ASSIGNED, "assigned to me", self.assigned_to_me)
        self._read()

    # --- what stands -------------------------------------------------------------------------
    def _read(self) -> None:
        """Bring every verdict up to date from the store."""
        self._recent.clear()
        self._last_seen = self.data.store.last_decision_id()
        stand = self.data.store.standing()
        vet = verdict_of_record(
            stand, self.data.candidates, self.data.settings.verdict_rule, _IN_MEMORY_TEXT
        )
        table = self.data.candidates.copy(deep=False)
        for name in VET_COLUMNS:
            table[name] = vet[name].set_axis(table.index)
        self.mine = self._verdicts_by(self.reviewer, stand)
        self.param.update(table=table, version=self.version + 1)

    def _verdicts_by(self, reviewer: str, stand: pd.DataFrame) -> NDArray[np.object_]:
        """Return this reviewer's own verdict on each row; empty where there is none."""
        by_star = np.full(self.data.star.max(initial=-1) + 1, "", dtype=object)
        own = stand[stand["reviewer"] == reviewer]  # oldest first: the latest one stays
        rows = self.data.rows(own["obsid"])
        for row, verdict in zip(rows, own["verdict"], strict=True):
            if row >= 0:
                by_star[self.data.star[row]] = str(verdict)
        return by_star[self.data.star]

    def _refresh_star(self, obsid: int) -> None:
        """Bring the verdict of one star up to date: its rows, no others."""
        rows = self.data.same_star(self.data.row(obsid))
        decisions = self.decisions_on(rows)
        for name, value in vet_columns(decisions, self.data.settings.verdict_rule).items():
            place = self.table.columns.get_loc(name)
            for row in rows:  # cell by cell: `iloc` would write the whole column anew
                self.table.iat[row, place] = value  # noqa: PD009 (a thousand times as quick)
        self.mine[rows] = own_verdict(decisions, self.reviewer)

    def decisions_on(self, rows: NDArray[np.intp]) -> tuple[Decision, ...]:
        """Return every decision on the spectra of these rows, newest first."""
        found = [
            decision
            for obsid in self.data.obsid[rows]
            for decision in self.data.store.decisions(obsid=int(obsid))
        ]
        return tuple(sorted(found, key=lambda d: d.decision_id or 0, reverse=True))

    def recent(self, limit: int = N_RECENT) -> list[Decision]:
        """Return the last decisions on this survey, newest first, as far as they are known here."""
        if limit not in self._recent:  # asked at every star, changed by verdicts alone
            self._recent[limit] = self.data.store.decisions(limit=limit)
        return list(self._recent[limit])

    @property
    def decided_here(self) -> tuple[Decision, ...]:
        """The standing decisions of this session, oldest first."""
        return tuple(self._own)

    @property
    def seconds_per_star(self) -> float:
        """How long this session's last verdicts took each [s]; NaN before there are a few."""
        moments = [datetime.fromisoformat(d.decided_at) for d in self._own[-N_PACED:]]
        gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
        at_work = [gap for gap in gaps if 0 <= gap < PAUSE]  # not where a clock was set back
        return float(np.median(at_work)) if len(at_work) >= LEAST_PACED else float("nan")

    def by_reviewer(self) -> pd.DataFrame:
        """Return each reviewer's own verdict on each star: rows by obsid, a column each."""
        return latest_by_reviewer(self.data.store.standing(), self.data.candidates)

    def are_settled(self, obsids: Iterable[int]) -> NDArray[np.bool_]:
        """(n,) True for spectra whose star has a final verdict."""
        stand = self.data.store.standing()
        rows = self.data.rows(stand["obsid"][are_final(stand)])
        stars = self.data.star[rows[rows >= 0]]
        return np.isin(self.data.star[self.data.rows(obsids)], stars)

    # --- shared work -------------------------------------------------------------------------
    def assigned_to_me(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """(n,) True for the spectra, one of a star, that are assigned to this reviewer."""
        made = self.data.assignment
        own = np.empty(0, np.int64) if made is None else made.of(self.reviewer.strip())
        return np.isin(table["obsid"].to_numpy(np.int64), own)

    def known_answers(self) -> dict[int, str]:
        """Return stars whose answer is known, by obsid: training stars are drawn from them."""
        return known_answers(self.survey)

    def claim(self, row: int) -> None:
        """Say that a star is on this screen, where stars are shared."""
        made = self.data.assignment
        minutes = float(made.said.get("claim_minutes", 0.0)) if made is not None else 0.0
        if minutes > 0:
            self.data.claims.take(int(self.data.star[row]), self.reviewer.strip(), 60.0 * minutes)

    def in_other_hands(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(n,) True where a star is on somebody else's screen, as far as stars are shared."""
        return self.data.claims.of_others(self.data.star[rows], self.reviewer.strip())

    # --- what changes ------------------------------------------------------------------------
    def call(self, name: str) -> None:
        """Take the name that somebody typed; one of a login stands.

        Raises
        ------
        StoreError
            When it is no name; the one before stays.
        """
        if not self.door.login:
            self.reviewer = reviewer_name(name)

    def look_blind(self, is_blind: bool) -> None:
        """Hide what others and the machine say, or show it.

        Raises
        ------
        RightsError
            When it is to be shown to somebody who works blind.
        """
        if not is_blind and self.door.roles.blind:
            self.door.check(Act.REVEAL, self.reviewer)
        self.blind = is_blind

    def know_reviewer(self) -> None:
        """Know the own verdicts of a reviewer who is another one now."""
        self.mine = self._verdicts_by(self.reviewer, self.data.store.standing())
        self._own.clear()
        self.blind = self.blind or self.door.must_be_blind(self.reviewer)

    def appended(self, decision: Decision) -> None:
        """Bring the table up to date after this session appended a row to the store."""
        self._recent.clear()
        if decision.is_withdrawal:
            self._own = [own for own in self._own if own.decision_id != decision.withdraws]
        else:
            self._own.append(decision)
        if decision.decision_id == self._last_seen + 1:
            self._last_seen += 1
        if self.data.rows([decision.obsid])[0] >= 0:
            self._refresh_star(decision.obsid)

    def changed(self) -> None:
        """Tell those who follow that verdicts have changed."""
        self.version += 1

    def news(self) -> News | None:
        """Ask the store what was decided since the last look; None for nothing.

        Touches nothing of the session, so that any thread may wait for the store.
        """
        seen, store = self._last_seen, self.data.store
        newest = store.last_decision_id()
        if newest == seen:
            return None
        if newest - seen > MANY_DECISIONS:
            return News(newest, ())
        return News(newest, tuple({d.obsid for d in store.decisions(limit=newest - seen)}))

    def take_over(self, news: News | None) -> bool:
        """Bring the table up to date with what others decided; return whether there was any."""
        if news is None or news.newest <= self._last_seen:
            return False
        if not news.obsids:
            self._read()
            return True
        self._recent.clear()
        self._last_seen = news.newest
        for obsid in news.obsids:
            if self.data.rows([obsid])[0] >= 0:
                self._refresh_star(obsid)
        return True

    def take_back(self) -> tuple[Decision, Decision]:
        """Withdraw this reviewer's last standing decision; return it and its withdrawal.

        Another page of the same reviewer may have taken back what this one decided last: the
        last one that still stands is meant. Changes nothing of the session.

        Raises
        ------
        StoreError
            When there is none, or the store refuses.
        """
        last = self._last_own()
        return last, self.door.withdraw(last, self.reviewer)

    def _last_own(self) -> Decision:
        """Return this reviewer's last standing decision: of this session, else an earlier one."""
        if not self.reviewer.strip():
            raise StoreError("Nothing to undo: write your name first (field reviewer).")
        stand = standing(self.data.store.decisions(reviewer=self.reviewer.strip()))
        numbers = {decision.decision_id for decision in stand}
        for decision in reversed(self._own):
            if decision.decision_id in numbers:
                return decision
        if stand:
            return stand[0]
        raise StoreError("Nothing to undo: you have no standing decision in this survey.")
