"""A reviewer's session: verdicts, what others decided meanwhile, the survey read anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.data import Star
from dashboard.state.questions import Questions
from dashboard.state.queue import ORDERS
from msfa_core.errors import ConflictError, StoreError
from msfa_core.survey.folder import Survey
from msfa_core.vetting.agreement import latest_by_reviewer
from msfa_core.vetting.decision import FINAL_FLAG, Decision, Verdict
from msfa_core.vetting.record import are_final, standing

MANY_DECISIONS: Final = 400  # of others since the last look: the whole table is read again
N_RECENT: Final = 10  # decisions shown under the verdict bar


class VettingState(Questions):
    """What one reviewer is looking at: survey, queue, star on screen, verdicts.

    Parameters
    ----------
    survey : Survey
    reviewer : str
        Empty until known; nothing can be decided without it.
    """

    def __init__(self, survey: Survey, reviewer: str = "", **params: Any) -> None:
        super().__init__(survey=survey, reviewer=reviewer, **params)
        self._own: list[Decision] = []  # decisions of this session, oldest first
        self._open()
        self.set_filters([self.presets["candidates"]])
        if not self.selected:
            self.first()

    # --- others at work on the same survey ---------------------------------------------------
    def follow(self) -> None:
        """Take over what other reviewers decided since the last look (called now and then)."""
        newest = self.data.store.last_decision_id()
        if newest == self._last_seen:
            return
        if newest - self._last_seen > MANY_DECISIONS:
            self._read_verdicts()
        else:
            news = self.data.store.decisions(limit=newest - self._last_seen)
            self._last_seen = newest
            for obsid in {decision.obsid for decision in news}:
                if self.data.rows([obsid])[0] >= 0:
                    self._refresh_star(obsid)
        star = self._read_star(self.star.obsid) if self.star is not None else None
        self.param.update(star=star, version=self.version + 1)

    def reload(self) -> None:
        """Read the survey anew: a step of the pipeline may have rewritten its table."""
        on_screen = self.selected
        self._open()
        self._arrange()
        if on_screen and self.data.rows([int(on_screen)])[0] >= 0:
            self.select(on_screen)
        else:
            self.first()

    @param.depends("reviewer", watch=True)
    def _change_reviewer(self) -> None:
        """Know the new reviewer's own verdicts, and begin with what is left to do."""
        if not hasattr(self, "mine"):
            return
        self.mine = self._verdicts_by(self.reviewer, self.data.store.standing())
        self._own.clear()
        self._arrange()
        self.version += 1

    # --- verdicts ----------------------------------------------------------------------------
    def decide(
        self,
        verdict: Verdict | str,
        *,
        painted_obsid: int | str,
        verdict_class: str = "",
        confidence: int | None = None,
        comment: str = "",
        issue_flags: Sequence[str] = (),
    ) -> Decision:
        """Store a verdict on the star on screen, then go on to the next one left to do.

        Parameters
        ----------
        verdict : Verdict
        painted_obsid : int or str
            The star that the reviewer's screen showed when the key was pressed.
        verdict_class, confidence, comment, issue_flags
            As in `Decision`.

        Returns
        -------
        Decision
            As stored: it is on disk.

        Raises
        ------
        ConflictError
            When the screen showed another star; nothing is stored.
        StoreError
            When there is no reviewer's name, or the store refuses.
        """
        stored = self._store(
            painted_obsid,
            verdict=Verdict(verdict),
            verdict_class=verdict_class,
            confidence=confidence,
            comment=comment,
            issue_flags=tuple(issue_flags),
        )
        what = f"{stored.verdict} as {verdict_class}" if verdict_class else str(stored.verdict)
        left = self._left_to_do()
        with param.parameterized.batch_call_watchers(self):
            if not self._go(iter(left)):
                self.star = self._read_star(stored.obsid)
            ending = "" if len(left) else " · everything in this queue is vetted"
            name = stored.uid or str(stored.obsid)
            self.say(f"saved: {what} · {name} · {_clock(stored.decided_at)}{ending}", "saved")
            self.version += 1
        return stored

    def settle(
        self, verdict: Verdict | str, *, painted_obsid: int | str, comment: str = ""
    ) -> Decision:
        """Store the final verdict on the star on screen, on which reviewers disagree; stay there.

        Parameters, errors: as `decide`.
        """
        stored = self._store(
            painted_obsid, verdict=Verdict(verdict), comment=comment, issue_flags=(FINAL_FLAG,)
        )
        with param.parameterized.batch_call_watchers(self):
            self.star = self._read_star(stored.obsid)
            name = stored.uid or str(stored.obsid)
            words = f"final verdict: {stored.verdict} · {name} · {_clock(stored.decided_at)}"
            self.say(words, "saved")
            self.version += 1
        return stored

    def _store(self, painted_obsid: int | str, **said: Any) -> Decision:
        """Append a decision on the star on screen to the store, if that is what was painted."""
        star = self.star
        if star is None or str(painted_obsid) != str(star.obsid):
            now = "nothing" if star is None else star.obsid
            raise ConflictError(
                f"Not saved: the verdict was for {painted_obsid or 'no star'}, but {now} is on "
                "screen now. Look again and decide."
            )
        if not self.reviewer.strip():
            raise StoreError("Not saved: write your name first (top right), then decide.")
        uid = star.row["uid"]
        stored = self.data.store.append_decision(
            Decision(
                obsid=star.obsid,
                uid="" if pd.isna(uid) else str(uid),
                reviewer=self.reviewer.strip(),
                shown=self.shown(star),
                **said,
            )
        )
        self._own.append(stored)
        self._after_change(stored)
        return stored

    def undo(self) -> Decision:
        """Take back this reviewer's last standing decision and return to its star.

        Returns
        -------
        Decision
            What was taken back: its comment and flags can be used again.

        Raises
        ------
        StoreError
            When there is none, or the store refuses.
        """
        last = self._last_own()
        withdrawal = self.data.store.withdraw(last.decision_id or 0, self.reviewer.strip())
        self._own = [decision for decision in self._own if decision != last]
        self._after_change(withdrawal)
        with param.parameterized.batch_call_watchers(self):
            if self.data.rows([last.obsid])[0] >= 0:
                self.attempt(self.select, last.obsid)
            name = last.uid or str(last.obsid)
            self.say(f"withdrawn: {last.verdict} · {name} · {_clock(withdrawal.decided_at)}")
            self.version += 1
        return last

    def _last_own(self) -> Decision:
        """Return this reviewer's last standing decision, of this session or an earlier one."""
        if not self.reviewer.strip():
            raise StoreError("Nothing to undo: write your name first (top right).")
        if self._own:
            return self._own[-1]
        for decision in standing(self.data.store.decisions(reviewer=self.reviewer.strip())):
            return decision
        raise StoreError("Nothing to undo: you have no standing decision in this survey.")

    def _after_change(self, decision: Decision) -> None:
        """Bring the table up to date after a row was appended to the store."""
        if decision.decision_id == self._last_seen + 1:
            self._last_seen += 1
        if self.data.rows([decision.obsid])[0] >= 0:
            self._refresh_star(decision.obsid)

    def verdicts_by_reviewer(self) -> pd.DataFrame:
        """Return each reviewer's own verdict on each star: rows by obsid, a column each."""
        return latest_by_reviewer(self.data.store.standing(), self.data.candidates)

    def are_settled(self, obsids: Iterable[int]) -> NDArray[np.bool_]:
        """(n,) True for spectra whose star has a final verdict."""
        standing = self.data.store.standing()
        rows = self.data.rows(standing["obsid"][are_final(standing)])
        stars = self.data.star[rows[rows >= 0]]
        return np.isin(self.data.star[self.data.rows(obsids)], stars)

    def recent(self, limit: int = N_RECENT) -> list[Decision]:
        """Return the last decisions on this survey, newest first."""
        return self.data.store.decisions(limit=limit)

    def shown(self, star: Star) -> dict[str, Any]:
        """Return what the reviewer had before them: kept with the decision."""
        row = star.row
        names = ["predicted_class", "p_bhb", "subclass", "snr_g", "in_bhb_region", "bp_rp"]
        names += [f"{quantity}_{line}" for line in star.fits.lines for quantity in ("d02", "fm")]
        names += [name for name in row.index if str(name).startswith("p_class_")]
        values = {str(name): None if pd.isna(row[name]) else row[name] for name in names}
        return {
            "row": values,
            "blind": self.blind,
            "filters": self.sentences,
            "order": ORDERS[self.order].sentence,
            "threshold": self.data.settings.bhb_threshold,
            "selection": self.data.settings.selection,
        }


def _clock(moment: str) -> str:
    """Return the time of day of an ISO moment in UTC: ``12:03:04 UTC``."""
    return f"{moment[11:19]} UTC"
