"""A reviewer's session: verdicts, what others decided meanwhile, the survey read anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.data import Star, give_back
from dashboard.state.questions import Questions
from dashboard.state.queue import ORDERS
from msfa_core.errors import ConflictError, StoreError
from msfa_core.survey.folder import Survey
from msfa_core.vetting.agreement import latest_by_reviewer
from msfa_core.vetting.decision import FINAL_FLAG, Decision, Verdict
from msfa_core.vetting.record import are_final, standing

MANY_DECISIONS: Final = 400  # of others since the last look: the whole table is read again
N_RECENT: Final = 10  # decisions shown under the verdict bar


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
        self.is_linked = False  # the star on screen is one that an address asked for
        self._open()
        self.set_filters([self.presets["candidates"]])
        if not self.selected:
            self.first()

    # --- others at work on the same survey ---------------------------------------------------
    def follow(self) -> None:
        """Take over what other reviewers decided since the last look (called now and then)."""
        self.take_over(self.news())

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

    def take_over(self, news: News | None) -> None:
        """Bring the table up to date with what others decided; nothing else on screen moves."""
        if news is None or news.newest <= self._last_seen:
            return
        if not news.obsids:
            self._read_verdicts()
        else:
            self._last_seen = news.newest
            for obsid in news.obsids:
                if self.data.rows([obsid])[0] >= 0:
                    self._refresh_star(obsid)
        self._renew_star()
        self.version += 1

    def _renew_star(self) -> None:
        """Read the decisions on the star on screen anew; what is drawn of it stays as it is."""
        if self.star is not None:
            with param.parameterized.discard_events(self):
                self.star = self._read_star(self.star.obsid)

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
        is_judged = self.star is not None and self.mine[self.data.row(self.star.obsid)] != ""
        if is_judged and not self.is_linked:
            self._go(iter(self._left_to_do()))

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
        judged = self.judge(
            painted_obsid,
            verdict=Verdict(verdict),
            verdict_class=verdict_class,
            confidence=confidence,
            comment=comment,
            issue_flags=tuple(issue_flags),
        )
        return self.decided(self.data.store.append_decision(judged))

    def decided(self, stored: Decision) -> Decision:
        """Show that a decision is on disk, and go on, if its star is still on screen."""
        self._own.append(stored)
        self._after_change(stored)
        verdict_class = stored.verdict_class
        what = f"{stored.verdict} as {verdict_class}" if verdict_class else str(stored.verdict)
        is_on_screen = self.star is not None and self.star.obsid == stored.obsid
        left = self._left_to_do()
        with param.parameterized.batch_call_watchers(self):
            if not is_on_screen or not self._go(iter(left)):
                self._renew_star()
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
        judged = self.judge(
            painted_obsid, verdict=Verdict(verdict), comment=comment, issue_flags=(FINAL_FLAG,)
        )
        stored = self.data.store.append_decision(judged)
        self._own.append(stored)
        self._after_change(stored)
        with param.parameterized.batch_call_watchers(self):
            self._renew_star()
            name = stored.uid or str(stored.obsid)
            words = f"final verdict: {stored.verdict} · {name} · {_clock(stored.decided_at)}"
            self.say(words, "saved")
            self.version += 1
        return stored

    def judge(
        self, painted_obsid: int | str, *, is_kept: bool = False, key: str = "", **said: Any
    ) -> Decision:
        """Return the decision on the star that was painted, not stored yet.

        Parameters
        ----------
        painted_obsid : int or str
            The star that the reviewer's screen showed.
        is_kept : bool
            The browser kept it through a lost connection: another star may be on screen now.
        key : str
            As in `Decision`: given twice, it is stored once.
        **said
            Fields of `Decision`.

        Raises
        ------
        ConflictError
            When another star is on screen.
        StoreError
            When there is no reviewer's name.
        """
        star = self._read_star(int(painted_obsid)) if is_kept else self.star
        if star is None or str(painted_obsid) != str(star.obsid):
            now = "nothing" if star is None else star.obsid
            raise ConflictError(
                f"Not saved: the verdict was for {painted_obsid or 'no star'}, but {now} is on "
                "screen now. Look again and decide."
            )
        if not self.reviewer.strip():
            raise StoreError("Not saved: write your name first (top right), then decide.")
        uid = star.row["uid"]
        return Decision(
            obsid=star.obsid,
            uid="" if pd.isna(uid) else str(uid),
            reviewer=self.reviewer.strip(),
            shown=self.shown(star),
            key=key,
            **said,
        )

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
        return self.taken_back(*self.take_back())

    def take_back(self) -> tuple[Decision, Decision]:
        """Withdraw this reviewer's last standing decision; return it and its withdrawal.

        Another page of the same reviewer may have taken back what this one decided last: the
        last one that still stands is meant. Changes nothing of the session.
        """
        last = self._last_own()
        return last, self.data.store.withdraw(last.decision_id or 0, self.reviewer.strip())

    def taken_back(self, last: Decision, withdrawal: Decision) -> Decision:
        """Show that a decision was taken back, and return to its star."""
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
        """Return this reviewer's last standing decision: of this session, else an earlier one."""
        if not self.reviewer.strip():
            raise StoreError("Nothing to undo: write your name first (top right).")
        stand = standing(self.data.store.decisions(reviewer=self.reviewer.strip()))
        numbers = {decision.decision_id for decision in stand}
        for decision in reversed(self._own):
            if decision.decision_id in numbers:
                return decision
        if stand:
            return stand[0]
        raise StoreError("Nothing to undo: you have no standing decision in this survey.")

    def _after_change(self, decision: Decision) -> None:
        """Bring the table up to date after a row was appended to the store."""
        if decision.decision_id == self._last_seen + 1:
            self._last_seen += 1
        if self.data.rows([decision.obsid])[0] >= 0:
            self._refresh_star(decision.obsid)

    def close(self) -> None:
        """Give back what the session shares with others; the page has gone."""
        give_back(self.data)

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
