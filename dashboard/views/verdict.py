"""The verdict bar: decide, undo, say how sure and why; who decided what and when."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.document import Document

from dashboard.state import Session
from dashboard.state.spare import NAMED
from dashboard.state.turns import header_of, in_turn, is_live
from dashboard.theme import STATIC, stylesheet
from dashboard.views.keyboard import REJECT_CLASSES
from dashboard.views.ring import Ring
from dashboard.views.script import Script
from msfa_core.constants import STORE_DEADLINE, STORE_SETTLING
from msfa_core.errors import AwayError, MsfaError, StoreError, SurveyError, UnansweredError
from msfa_core.rules import keep_by_rule
from msfa_core.vetting.audit import changed_numbers, other_numbers_in_words
from msfa_core.vetting.decision import COMMENT_LENGTH, CONFIDENCE, Decision, Verdict, reviewer_name

logger = logging.getLogger(__name__)

ISSUE_FLAGS: Final = (
    "bad continuum",
    "cosmic ray",
    "sky residual",
    "arm joint",
    "low S/N",
    "wrong RV",
    "emission",
    "binary?",
    "blend",
)
COMMENTS: Final = (  # offered to every reviewer, beside those that one wrote before
    "metal lines too strong for a BHB star",
    "Balmer lines too wide: higher gravity",
    "He I lines: B type",
    "Ca II K looks interstellar",
)
KEPT_IN_HAND: Final = "A verdict is kept here and given again until the server is back."
PATIENCE: Final = 2 * (STORE_DEADLINE + STORE_SETTLING) + 3  # s; the store is asked twice at most
_VERDICTS: Final = frozenset(str(verdict) for verdict in Verdict)


def name_cookie(document: Document | None) -> str:
    """Return the cookie that holds a typed name: each port of a computer has one of its own."""
    port = header_of(document, "Host").rpartition(":")[2]
    return f"{NAMED}{port if port.isdigit() else ''}"


def typed_before(document: Document | None) -> str:
    """Return the name that was typed in the browser of a page before; empty for none."""
    context = document.session_context if document is not None else None
    request = context.request if context is not None else None
    cookies = getattr(request, "cookies", None) or {}
    try:
        return reviewer_name(unquote(str(cookies.get(name_cookie(document), ""))))
    except StoreError:  # anybody can write a cookie; the name is asked for
        return ""


def suggestion(state: Session) -> tuple[Verdict, str]:
    """Return what the machine would decide of the star on screen, and as which class.

    Raises
    ------
    StoreError
        When the reviewer works blind, or the star was not classified.
    """
    if state.verdicts.blind:
        raise StoreError("Not saved: the machine's opinion is hidden (press b to show it).")
    row = state.screen.star.row if state.screen.star is not None else {}
    said = row.get("predicted_class")
    if not isinstance(said, str) or not said:
        raise StoreError("Not saved: the machine has no suggestion for this star.")
    settings = state.data.settings
    if keep_by_rule(pd.DataFrame([row]), settings.rule, settings.bhb_threshold)[0]:
        return Verdict.ACCEPT, ""
    return (Verdict.UNSURE, "") if said == "BHB" else (Verdict.REJECT, said)


def decision_line(
    decision: Decision, withdrawn: set[int | None], row: pd.Series | None = None
) -> dict[str, Any]:
    """Return one decision as the browser lists it; plain text, which the browser escapes.

    With the row of its star: says where the decision was made on other numbers.
    """
    changed = {} if row is None else changed_numbers(decision, row)
    detail = [
        other_numbers_in_words(changed),
        CONFIDENCE[decision.confidence] if decision.confidence else "",
        ", ".join(decision.issue_flags),
        decision.comment,
    ]
    return {
        "obsid": str(decision.obsid),
        "star": str(decision.obsid),
        "uid": decision.uid,
        "verdict": str(decision.verdict),
        "verdict_class": decision.verdict_class,
        "reviewer": decision.reviewer,
        "when": when(decision.decided_at, datetime.now(UTC).date().isoformat()),
        "detail": " · ".join(part for part in detail if part),
        "is_withdrawal": decision.is_withdrawal,
        "is_withdrawn": decision.decision_id in withdrawn,
    }


def _not_saved(work: Callable[[], Decision]) -> Decision:
    """Do it; whatever is refused says first that the verdict was not saved."""
    try:
        return work()
    except (AwayError, UnansweredError):  # it is kept in hand: `VerdictBar` says so
        raise
    except MsfaError as error:
        if str(error).startswith("Not saved"):
            raise
        raise type(error)(f"Not saved: {error}") from error


def when(moment: str, today: str) -> str:
    """Return a moment in few characters: the time of today, else the date (UTC)."""
    return moment[11:19] if moment.startswith(today) else moment[:10]


class VerdictBar(Script):
    """Buttons, comment and history; its messages come from the keys as well.

    Parameters
    ----------
    state : Session
    reviewer_locked : bool
        The name comes from the login and cannot be changed on the page.
    """

    survey_name = param.String(doc="Keeps drafts of different surveys apart")
    classes = param.List(default=list(REJECT_CLASSES))
    confidence_words = param.Dict(default={str(k): v for k, v in CONFIDENCE.items()})
    issue_flags = param.List(default=list(ISSUE_FLAGS))
    comments = param.List(default=list(COMMENTS), doc="Comments offered to write again")
    comment_length = param.Integer(default=COMMENT_LENGTH, doc="Characters that are stored")
    reviewer = param.String()
    reviewer_locked = param.Boolean()
    refused = param.String(doc="Why nothing can be decided on this survey; empty where it can")
    name_cookie = param.String(doc="Where the browser keeps a name that was typed")
    message = param.String()
    tone = param.String(default="calm")
    patience = param.Number(default=PATIENCE, doc="s, after which no answer will come")
    address = param.Dict(default={}, doc="What the address of the page names beside the star")
    recent = param.List(doc="Last decisions on the survey")
    on_star = param.List(doc="Decisions on the star on screen")
    on_star_none = param.String(default="nobody has decided yet")

    _esm = "".join(
        (STATIC / name).read_text(encoding="utf-8") for name in ("ring.js", "verdict.js")
    )

    def __init__(self, state: Session, reviewer_locked: bool = False, **params: Any):
        super().__init__(
            **{
                "survey_name": str(state.survey.path),
                "reviewer": state.verdicts.reviewer,
                "reviewer_locked": reviewer_locked or bool(state.verdicts.door.login),
                "refused": state.data.store.refusal_to_write,
                "name_cookie": name_cookie(pn.state.curdoc),
                "sizing_mode": "stretch_width",
                "margin": 0,
                "stylesheets": [stylesheet()],
            }
            | params
        )
        self._state = state
        self._is_locked = reviewer_locked or bool(state.verdicts.door.login)  # a page cannot say so
        self._is_away = False  # the database server, as far as the last message found
        self.ring = Ring(state, self._send_msg)
        self._restore: dict[str, Any] = {}  # comment and flags of the decision taken back
        self._show_star()
        if self.refused and not state.status.message:
            state.status.say(self.refused, "error")
        self._show_message()
        state.watch(
            lambda *_: self._show_star(), "screen.star", "verdicts.version", "verdicts.blind"
        )
        state.watch(lambda *_: self._show_message(), "status.message", "status.tone")

    # --- what the server shows ---------------------------------------------------------------
    def _show_star(self) -> None:
        state = self._state
        history = state.verdicts.recent()
        on_star = list(state.screen.star.decisions) if state.screen.star is not None else []
        if state.verdicts.blind:
            history = [d for d in history if d.reviewer == state.verdicts.reviewer]
            on_star = [d for d in on_star if d.reviewer == state.verdicts.reviewer]
        gone = {decision.withdraws for decision in [*history, *on_star]}
        nothing = "you have not decided yet" if state.verdicts.blind else "nobody has decided yet"
        self.param.update(
            recent=[decision_line(decision, gone) for decision in history],
            on_star=[
                decision_line(decision, gone, self._row_of(decision))
                for decision in on_star
                if not decision.is_withdrawal and decision.decision_id not in gone
            ],
            on_star_none=nothing if state.screen.star is not None else "no star on screen",
        )

    def _row_of(self, decision: Decision) -> pd.Series | None:
        """Return the row of the star on screen where a decision was made on its spectrum."""
        star = self._state.screen.star
        return None if star is None or star.obsid != decision.obsid else star.row

    def _show_message(self) -> None:
        self.param.update(message=self._state.status.message, tone=self._state.status.tone)

    # --- what the reviewer does --------------------------------------------------------------
    def _handle_msg(self, data: Any) -> None:
        # A change of a figure inside this handler would fail (the document is not locked for
        # it here), so the work is done in the document's own turn.
        pn.state.execute(partial(self.handle, data), schedule=True)

    def handle(self, message: dict[str, Any]) -> None:
        """Do what a message of the browser asks for, and answer it."""
        ahead = str(message.get("ahead") or "")  # the packet that the browser painted already
        self._state.screen.keys_wait = bool(message.get("more"))
        with pn.io.hold(), self.ring.following(ahead):  # one message, in order, so one repaint
            self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        state = self._state
        action = str(message.get("action", ""))
        answer = partial(self._answer, action, str(message.get("key", "")))
        if not self._is_locked:
            named = message.get("value", "") if action == "reviewer" else message.get("reviewer")
            if named is not None and not state.status.attempt(state.verdicts.call, str(named)):
                answer(is_done=False)
                return
        if action == "reviewer":
            return
        self._trying(partial(self._begin, action, message, answer), answer)

    def _begin(self, action: str, message: dict[str, Any], answer: Callable[..., None]) -> None:
        """Move at once; what the store must keep waits for it in a thread of its own."""
        state = self._state
        if action == "undo":
            self._store(state.verdicts.take_back, lambda done: self._taken_back(*done), answer)
        elif action in _VERDICTS or action == "suggestion":
            judged = _not_saved(partial(self._judged, action, message))
            keep = partial(_not_saved, partial(state.verdicts.door.keep, judged))
            answer = partial(answer, saved=str(judged.obsid))
            if message.get("ahead"):
                answer = self._go_on(answer)
            self._store(keep, state.decided, answer)
        else:
            state.status.calm()  # a refusal was about what is left now
            if action == "next":
                state.screen.next()
            elif action == "previous":
                state.screen.previous()
            elif action == "select":
                state.screen.select(str(message.get("value", "")))
            elif action == "find":
                state.screen.find(str(message.get("value", "")))
            else:
                raise SurveyError(f"unknown action {action!r}")
            answer(is_done=True)

    def _go_on(self, answer: Callable[..., None]) -> Callable[..., None]:
        """Go where the browser is already, before the verdict is stored; back if it is not."""
        screen = self._state.screen
        judged = screen.star
        if judged is None:
            return answer
        after = screen.steps(1).get(judged.obsid, {}).get("decide")
        if after is not None:
            screen.go(iter([np.int64(after)]))

        def answer_there(*, is_done: bool, again: bool = False) -> None:
            if not is_done:
                screen.show(judged)  # as it was: a store that is away cannot be asked
            answer(is_done=is_done, again=again)

        return answer_there

    def _judged(self, action: str, message: dict[str, Any]) -> Decision:
        verdict, verdict_class = action, str(message.get("value") or "")
        if action == "suggestion":
            verdict, verdict_class = suggestion(self._state)
        return self._state.judge(
            str(message.get("painted", "")),
            is_kept=bool(message.get("is_kept")),
            key=str(message.get("key") or ""),
            verdict=Verdict(verdict),
            verdict_class=verdict_class,
            confidence=message.get("confidence"),
            comment=str(message.get("comment") or ""),
            issue_flags=tuple(message.get("issue_flags") or ()),
        )

    def _taken_back(self, last: Decision, withdrawal: Decision) -> None:
        self._state.taken_back(last, withdrawal)
        self._restore = {}  # of a final verdict, the page on which it was given has them
        if last.is_final:
            return
        self._restore = {
            "comment": last.comment,
            "confidence": last.confidence,
            "issue_flags": list(last.issue_flags),
        }

    def _store(
        self, work: Callable[[], Any], then: Callable[[Any], Any], answer: Callable[..., None]
    ) -> None:
        """Have the store do it; a store that is slow holds up nobody, on this page or another."""
        document = pn.state.curdoc

        def finish(done: Future[Any]) -> None:
            def show() -> None:
                then(done.result())
                answer(is_done=True)

            with pn.io.hold():
                self._trying(show, answer)

        if not is_live(document):  # a notebook, a test
            done: Future[Any] = Future()
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
            finish(done)
            return
        self._state.data.writers.submit(work).add_done_callback(
            lambda done: in_turn(document, partial(finish, done))
        )

    def _trying(self, work: Callable[[], Any], answer: Callable[..., None]) -> None:
        """Do it; say and answer what is refused, a verdict for a server that is away once more."""
        state = self._state
        try:
            if not state.status.attempt(self._kept_in_hand, work):
                answer(is_done=False, again=self._is_away)
        except Exception:
            logger.exception("the verdict bar")
            state.status.say(
                "An error on the server: see the last decisions for what was saved.", "error"
            )
            answer(is_done=False)

    def _kept_in_hand(self, work: Callable[[], Any]) -> None:
        """Do it; say that the browser keeps it where the database server is away."""
        self._is_away = False
        try:
            work()
        except (AwayError, UnansweredError) as error:
            self._is_away = True
            raise type(error)(f"Not saved yet: {error} {KEPT_IN_HAND}") from error

    def _answer(
        self, action: str, key: str, *, is_done: bool, saved: str = "", again: bool = False
    ) -> None:
        state = self._state
        is_verdict = action in _VERDICTS or action == "suggestion"
        self._send_msg(
            {
                "obsid": str(state.screen.star.obsid) if state.screen.star is not None else "",
                "key": key,
                "is_done": is_done,
                "saved": saved if is_done else "",
                "again": again and is_verdict,
                "needs_name": is_verdict and not state.verdicts.reviewer.strip(),
                "restore": (self._restore or None) if action == "undo" and is_done else None,
            }
        )
