"""A reviewer's session: what it holds, and what a verdict changes in all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pandas as pd
import panel as pn
import param

from dashboard.state.answers import Answers
from dashboard.state.data import Star, SurveyData
from dashboard.state.labels import Labels
from dashboard.state.part import Part
from dashboard.state.queue import ORDERS, Queue
from dashboard.state.screen import Screen
from dashboard.state.status import Status
from dashboard.state.verdicts import News, Verdicts
from msfa_core.errors import ConflictError, StoreError
from msfa_core.survey.folder import Survey
from msfa_core.vetting.decision import FINAL_FLAG, Decision, Verdict
from msfa_core.vetting.roles import Act


class Session:
    """What one reviewer is looking at. Every view draws from here.

    Parameters
    ----------
    survey : Survey
    reviewer : str
        Empty until known; nothing can be decided without it.
    login : str
        Who has logged in; empty where names are typed.

    Attributes
    ----------
    status : Status
        What the page says to its reviewer.
    verdicts : Verdicts
        The survey's table, who decides, and what was decided.
    labels : Labels
        Limits beyond which labels are outliers.
    queue : Queue
        Which stars, in what order.
    screen : Screen
        The star on screen.
    answers : Answers
        What is worked out about it in the background.
    is_linked : bool
        The star on screen is one that an address asked for.
    """

    PARTS: Final = ("status", "verdicts", "labels", "queue", "screen", "answers")
    __slots__ = (*PARTS, "survey", "is_linked", "__weakref__")  # a word misspelt is an error

    def __init__(self, survey: Survey, reviewer: str = "", login: str = "") -> None:
        self.survey = survey
        self.status = Status()
        self.verdicts = Verdicts(survey, reviewer, login)
        self.labels = Labels(self.verdicts)
        self.queue = Queue(self.verdicts, self.labels)
        self.screen = Screen(self.verdicts, self.queue, self.status)
        self.answers = Answers(self.verdicts, self.screen, self.status)
        self.is_linked = False
        self.verdicts.follow(self.verdicts, ["reviewer"], lambda *_: self._change_reviewer())
        self.screen.first()

    @property
    def data(self) -> SurveyData:
        """What it shares with all sessions on the survey."""
        return self.verdicts.data

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the session holds, each after what it draws on."""
        return tuple(getattr(self, name) for name in self.PARTS)

    def watch(self, action: Callable[..., Any], *names: str, precedence: int = 0) -> None:
        """Act when something of the session changes.

        Parameters
        ----------
        action : callable
            Takes the event.
        *names : str
            Of a part and its parameter: ``screen.star``.
        precedence : int
            What is lower acts sooner.
        """
        for part in dict.fromkeys(name.partition(".")[0] for name in names):
            own = [name.partition(".")[2] for name in names if name.startswith(f"{part}.")]
            getattr(self, part).param.watch(action, own, precedence=precedence)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Tell of all changes after the last of them."""
        with ExitStack() as batch:
            for part in self.parts[::-1]:  # the first is told of last: what it says is the result
                batch.enter_context(param.parameterized.batch_call_watchers(part))
            yield

    def close(self) -> None:
        """Let go of all that it holds; the page has gone."""
        with ExitStack() as last:  # all of them, whatever becomes of one
            for part in self.parts:
                last.callback(part.close)

    # --- others at work on the same survey ---------------------------------------------------
    def follow(self) -> None:
        """Take over what other reviewers decided since the last look (called now and then)."""
        self.take_over(self.verdicts.news())

    def take_over(self, news: News | None) -> None:
        """Bring the table up to date with what others decided; nothing else on screen moves."""
        if self.verdicts.take_over(news):
            self.screen.renew()
            self.verdicts.changed()

    def reload(self) -> None:
        """Read the survey anew: a step of the pipeline may have rewritten its table."""
        on_screen = self.screen.selected
        self.verdicts.reopen()
        self.labels.reset()
        self.queue.arrange()
        if on_screen and self.data.rows([int(on_screen)])[0] >= 0:
            self.screen.select(on_screen)
        else:
            self.screen.first()

    def begin_again(self, reviewer: str) -> None:
        """Be what a new session of somebody would be now; nobody has seen this one yet."""
        with self._at_once():
            self.verdicts.reviewer = reviewer
            self.verdicts.reopen()
            self.verdicts.know_reviewer()
            self.labels.reset()
            self.queue.arrange()
            self.screen.first()

    def _change_reviewer(self) -> None:
        """Know the new reviewer's own verdicts, and begin with what is left to do."""
        with pn.io.hold():
            self.verdicts.know_reviewer()
            self.queue.arrange()
            self.verdicts.changed()
            star = self.screen.star
            is_judged = star is not None and self.verdicts.mine[self.data.row(star.obsid)]
            if is_judged and not self.is_linked:
                self.screen.go(iter(self.screen.left_to_do()))

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
        return self.decided(self.verdicts.door.keep(judged))

    def decided(self, stored: Decision) -> Decision:
        """Show that a decision is on disk, and go on, if its star is still on screen."""
        self.verdicts.appended(stored)
        verdict_class = stored.verdict_class
        what = f"{stored.verdict} as {verdict_class}" if verdict_class else str(stored.verdict)
        is_on_screen = self.screen.star is not None and self.screen.star.obsid == stored.obsid
        left = self.screen.left_to_do()
        vetted, unsure, total = self.queue.progress
        with self._at_once():
            if not is_on_screen or not self.screen.go(iter(left)):
                self.screen.renew()
            ending = "" if vetted < total else " · everything in this queue is vetted"
            if ending and unsure:
                ending += f"; {unsure:,} unsure, to be looked at again"
            name = str(stored.obsid)
            self.status.say(
                f"saved: {what} · {name} · {_clock(stored.decided_at)}{ending}", "saved"
            )
            self.verdicts.changed()
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
        stored = self.verdicts.door.keep(judged)
        self.verdicts.appended(stored)
        with self._at_once():
            self.screen.renew()
            name = str(stored.obsid)
            words = f"final verdict: {stored.verdict} · {name} · {_clock(stored.decided_at)}"
            self.status.say(words, "saved")
            self.verdicts.changed()
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
        star = self.screen.read(int(painted_obsid)) if is_kept else self.screen.star
        if star is None or str(painted_obsid) != str(star.obsid):
            now = "nothing" if star is None else star.obsid
            raise ConflictError(
                f"Not saved: the verdict was for {painted_obsid or 'no star'}, but {now} is on "
                "screen now. Look again and decide."
            )
        if not self.verdicts.reviewer.strip():
            raise StoreError("Not saved: write your name first (field reviewer), then decide.")
        is_final = FINAL_FLAG in said.get("issue_flags", ())
        self.verdicts.door.check(Act.SETTLE if is_final else Act.DECIDE, self.verdicts.reviewer)
        uid = star.row["uid"]
        return Decision(
            obsid=star.obsid,
            uid="" if pd.isna(uid) else str(uid),
            reviewer=self.verdicts.reviewer.strip(),
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
        return self.taken_back(*self.verdicts.take_back())

    def taken_back(self, last: Decision, withdrawal: Decision) -> Decision:
        """Show that a decision was taken back, and return to its star."""
        self.verdicts.appended(withdrawal)
        with self._at_once():
            if self.data.rows([last.obsid])[0] >= 0:
                self.status.attempt(self.screen.select, last.obsid)
            name = str(last.obsid)
            what = "final verdict withdrawn" if last.is_final else "withdrawn"
            self.status.say(f"{what}: {last.verdict} · {name} · {_clock(withdrawal.decided_at)}")
            self.verdicts.taken_back = last
            self.verdicts.changed()
        return last

    def shown(self, star: Star) -> dict[str, Any]:
        """Return what the reviewer had before them: kept with the decision."""
        row = star.row
        names = ["predicted_class", "p_bhb", "subclass", "snr_g", "in_bhb_region", "bp_rp"]
        names += [f"{quantity}_{line}" for line in star.fits.lines for quantity in ("d02", "fm")]
        names += [name for name in row.index if str(name).startswith("p_class_")]
        values = {str(name): None if pd.isna(row[name]) else row[name] for name in names}
        return {
            "row": values,
            "blind": self.verdicts.blind,
            "filters": self.queue.sentences,
            "order": ORDERS[self.queue.order].sentence,
            "threshold": self.data.settings.bhb_threshold,
            "selection": self.data.settings.selection,
        }


def _clock(moment: str) -> str:
    """Return the time of day of an ISO moment in UTC: ``12:03:04 UTC``."""
    return f"{moment[11:19]} UTC"
