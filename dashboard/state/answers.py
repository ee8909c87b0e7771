"""What is asked about the star on screen and answered in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

import panel as pn
import param

from dashboard.state.finding import SLOW
from dashboard.state.part import Part
from dashboard.state.screen import Screen
from dashboard.state.status import Status
from dashboard.state.turns import in_turn, is_live
from dashboard.state.verdicts import Verdicts
from msfa_core.errors import MsfaError

logger = logging.getLogger(__name__)

N_AHEAD: Final = 2  # stars of the queue of which is asked before they come on screen; not slowly


class Answers(Part):
    """Answers to what takes longer than a keystroke: which wavelengths spoke, which template fits.

    The answer is shown when it is ready, if its star is still on screen by then.
    """

    why = param.Boolean(doc="Ask which wavelengths spoke, for every star that comes on screen")
    explained = param.Parameter(doc="Answer to that for the star on screen (Explained), or None")

    with_template = param.Boolean(doc="Match every star that comes on screen with the templates")
    matched = param.Parameter(doc="Answer to that for the star on screen (Matched), or None")
    with_coadd = param.Boolean(doc="Add up the spectra of every star that comes on screen")
    coadded = param.Parameter(doc="Answer to that for the star on screen (CoAdded), or None")

    def __init__(self, verdicts: Verdicts, screen: Screen, status: Status, **params: Any) -> None:
        super().__init__(**params)
        self._verdicts, self._screen, self._status = verdicts, screen, status
        self.is_taking = False  # an answer on the star on screen is being drawn, and nothing else
        for ask in (self._ask_for_coadd, self._ask_for_template, self._ask_why):
            self.follow(screen, ["star"], lambda *_, ask=ask: ask())
        for ask in (self._ask_for_template, self._ask_why):
            self.follow(verdicts, ["blind"], lambda *_, ask=ask: ask())

    def close(self) -> None:
        """Want no answer any more."""
        super().close()
        with param.parameterized.discard_events(self):  # figures of a page that went hold nothing
            self.param.update(why=False, with_template=False, with_coadd=False)

    @param.depends("with_coadd", watch=True)
    def _ask_for_coadd(self) -> None:
        self._ask("coadd", "coadded", lambda: self.with_coadd)

    @param.depends("with_template", watch=True)
    def _ask_for_template(self) -> None:
        self._ask("template", "matched", lambda: self.with_template and not self._verdicts.blind)

    @param.depends("why", watch=True)
    def _ask_why(self) -> None:
        self._ask("why", "explained", lambda: self.why and not self._verdicts.blind)

    def _ask(self, question: str, answer: str, is_asked: Callable[[], bool]) -> None:
        """Ask about the star on screen; the answer becomes the value of a parameter.

        Parameters
        ----------
        question : str
            One of `ANSWERS`.
        answer : str
            Name of the parameter; None until the answer is there.
        is_asked : callable
            Whether the reviewer wants to know at all.
        """
        star, data = self._screen.star, self._verdicts.data
        known = None if star is None or not is_asked() else data.answered(question, star.obsid)
        if getattr(self, answer) is not known:
            self.param.update(**{answer: known})
        if not is_asked() or star is None or self._screen.is_trying:
            return
        document = pn.state.curdoc
        had_page = is_live(document)

        def is_wanted() -> bool:
            return (
                is_asked()
                and self._screen.star is not None
                and self._screen.star.obsid == star.obsid
            )

        def ask_ahead() -> None:
            """Ask about the next stars too, so that they come on screen with their answers."""
            for obsid in self._screen.ahead(N_AHEAD):
                data.ask(question, obsid, is_wanted)

        def show(done: Future[Any]) -> None:
            self._take(done, answer, is_wanted)
            if question not in SLOW:
                ask_ahead()

        def tell(done: Future[Any]) -> None:
            if had_page:
                in_turn(document, lambda: show(done))
            else:  # no browser: the one who asks waits for the future
                self._take(done, answer, is_wanted)

        if known is None:
            data.ask(question, star.obsid, is_wanted).add_done_callback(tell)
        elif had_page and question not in SLOW:
            ask_ahead()

    def _asked(self) -> list[str]:
        """Return the questions that are asked of every star."""
        can_tell = not self._verdicts.blind
        asked = {
            "coadd": self.with_coadd,
            "template": self.with_template and can_tell,
            "why": self.why and can_tell,
        }
        return [name for name, is_on in asked.items() if is_on]

    def known(self, obsid: int) -> frozenset[str]:
        """Return what is asked of every star and answered of this one."""
        answered = self._verdicts.data.answered
        return frozenset(name for name in self._asked() if answered(name, obsid) is not None)

    def missing(self, obsid: int, *, slow: bool) -> list[str]:
        """Return what is asked of every star and not answered of this one yet.

        Parameters
        ----------
        obsid : int
        slow : bool
            Of the questions that take long to answer; else of the others.
        """
        known = self.known(obsid)
        return [name for name in self._asked() if name not in known and (name in SLOW) is slow]

    def ask_for(self, questions: list[str], obsid: int, then: Callable[[], None]) -> None:
        """Ask this of a star that is not on screen, and do something when it is answered.

        Parameters
        ----------
        questions : list of str
            All slow or none.
        obsid : int
        then : callable
        """
        document, on_screen = pn.state.curdoc, self._screen.selected

        def is_wanted() -> bool:
            return is_live(document) and self._screen.selected == on_screen

        asked = [self._verdicts.data.ask(name, obsid, is_wanted) for name in questions]
        if asked:  # one thread answers, in turn: the last is the last
            asked[-1].add_done_callback(
                lambda done: None if done.exception() else in_turn(document, then)
            )

    def _take(self, done: Future[Any], answer: str, is_wanted: Callable[[], bool]) -> None:
        """Show the answer if its star is still on screen; say what kept it from being found."""
        try:
            found = done.result()
        except MsfaError as error:
            logger.warning("no answer: %s", error)
            self._status.say(str(error), "error")
            return
        if found is None or not is_wanted():
            return
        self.is_taking = True
        try:
            with pn.io.hold():  # one message to the browser
                self.param.update(**{answer: found})
        finally:
            self.is_taking = False
