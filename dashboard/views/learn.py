"""Learning to vet: a lesson at a time, the truth after each verdict, and a tour of five steps."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from html import escape
from typing import Any, Final

import numpy as np
import panel as pn

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.state.turns import in_turn, is_live
from dashboard.theme import stylesheet
from msfa_core.columns import TRUE_CLASS
from msfa_core.constants import BOX_XUE2008, D02_LEVEL
from msfa_core.spine.lessons import (
    Lesson,
    gave_away,
    kind_in_words,
    lessons,
    networks_in_words,
    score,
    verdict_in_words,
)
from msfa_core.vetting.decision import Decision
from msfa_core.vetting.filters import Filter
from msfa_core.vetting.record import standing

logger = logging.getLogger(__name__)

TOUR: Final = (
    ("The question", "Is this a BHB star? Accept with a, reject with r (1 to 5 say as what), u if "
     "unsure, z takes it back. You judge blind here: what the machine says is hidden until b."),
    ("The spectrum", "Strong Balmer lines and little else make an A or a BHB star. Helium lines "
     "point to a B star or a subdwarf; very wide lines to a white dwarf."),
    ("Hδ and Hγ", f"D0.2 is the width {100 * D02_LEVEL:g} % below the continuum: BHB stars have "
     f"{BOX_XUE2008[0]:g} to {BOX_XUE2008[1]:g} Å, stars of the main sequence more. fm is the flux "
     "of the core: about 0.2 to 0.3."),
    ("Ca II K", "The lens on the left. BHB stars of the halo are poor in metals: the line is weak "
     "for their temperature. Strong Ca II K speaks of an A star of the disc."),
    ("The planes", "On the right: where this star lies among all others. In the colour–magnitude "
     "diagram BHB stars fill the trapezoid, where the parallax is good enough to tell."),
)  # fmt: skip
LESSON: Final = "lesson "  # begins the words of the filter, which are kept with each verdict
_SHOWN: Final = 3  # sentences of what gave a star away


class LearnView(pn.viewable.Viewer):
    """The card above the spectrum: tour, truth, score, lesson.

    Parameters
    ----------
    state : Session

    Raises
    ------
    SurveyError
        When nobody knows the truth about the survey's stars.
    """

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self.lessons = lessons(state.verdicts.table)
        self.number = 0
        self.step = 0  # of the tour; beyond the last when it is over
        self._seen: dict[int, str] = {}
        self._taught: set[int] = set()  # stars of earlier lessons, by their numbers
        self._told: int | None = None  # the star on the card
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": (4, 4)}
        self.words = pn.pane.HTML("", sizing_mode="stretch_both", **css)
        quiet: dict[str, Any] = {"css_classes": ["msfa-quiet"], "align": "center", **css}
        self.forward = pn.widgets.Button(label="next", **quiet)
        self.skip = pn.widgets.Button(label="skip the tour", **quiet)
        self.forward.on_click(lambda _event: self.turn(self.step + 1))
        self.skip.on_click(lambda _event: self.turn(len(TOUR)))
        state.verdicts.look_blind(True)
        self._anew()
        self.number = next(
            (k for k, lesson in enumerate(self.lessons) if self.left(lesson)), len(self.lessons) - 1
        )
        self.begin(self.number)
        state.watch(lambda *_: self._look(), "verdicts.version")
        state.watch(lambda *_: self._anew(), "verdicts.reviewer")
        self.turn(0)

    # --- how far the student is ------------------------------------------------------------------
    def verdicts(self) -> dict[int, str]:
        """Return this reviewer's verdicts on the stars of the lessons."""
        state, obsid = self.state, np.concatenate([one.obsid for one in self.lessons])
        mine = state.verdicts.mine[state.data.rows(obsid)]
        return {int(o): str(said) for o, said in zip(obsid, mine, strict=True) if said}

    def judged(self) -> dict[int, str]:
        """Return those that were given in lessons: a score counts no verdict of other work."""
        in_lessons = self._stars(self.state.verdicts.decided_here) | self._taught
        stars = self.state.data.star[self.state.data.rows(self._seen)].tolist()
        seen = zip(self._seen.items(), stars, strict=True)
        return {obsid: said for (obsid, said), star in seen if star in in_lessons}

    def _stars(self, decisions: Iterable[Decision]) -> set[int]:
        """Return the numbers of the stars that were decided on."""
        rows = self.state.data.rows([one.obsid for one in decisions])
        return set(self.state.data.star[rows[rows >= 0]].tolist())

    def left(self, lesson: Lesson) -> int:
        """Return how many stars of a lesson wait for a verdict."""
        return sum(int(obsid) not in self._seen for obsid in lesson.obsid)

    def begin(self, number: int) -> None:
        """Put a lesson into the queue."""
        self.number = number
        lesson = self.lessons[number]
        words = f"{LESSON}{number + 1}: {lesson.name} ({lesson.words})"
        chosen = partial(_is_in, lesson)
        self.state.queue.set_filters([Filter("lesson", words, chosen)])
        self.state.screen.first()

    def turn(self, step: int) -> None:
        """Show a step of the tour, or what comes after it."""
        self.step = step
        is_tour = step < len(TOUR)
        self.forward.visible = self.skip.visible = is_tour
        if is_tour:
            title, words = TOUR[step]
            self.words.object = _card(f"{step + 1} of {len(TOUR)} · {title}", [words])
        elif not self.words.object or step == len(TOUR):
            lesson = self.lessons[self.number]
            n = counted(len(lesson.obsid), "star", "stars")
            self.words.object = _card(
                f"Lesson {self.number + 1}: {lesson.name}",
                [f"{n}, {lesson.words}. Decide; the truth comes after."],
            )

    def _anew(self) -> None:
        """Know what this reviewer decided before, and what of it in lessons."""
        name = self.state.verdicts.reviewer.strip()
        stand = standing(self.state.data.store.decisions(reviewer=name)) if name else []
        self._taught = self._stars(filter(_is_taught, stand))
        self._seen = self.verdicts()

    def _look(self) -> None:
        """Tell the truth about what was decided just now; what was taken back is forgotten."""
        now = self.verdicts()
        new = [obsid for obsid, said in now.items() if self._seen.get(obsid) != said]
        self._seen = now
        if new:
            self.step = len(TOUR) + 1
            self.forward.visible = self.skip.visible = False
            self._told = new[-1]
            self.words.object = self._truth(new[-1], now[new[-1]])
            self._ask_networks(new[-1], now[new[-1]])
            self._go_on()

    def _ask_networks(self, obsid: int, verdict: str) -> None:
        """Say which lines the networks went by, as soon as they have answered."""
        document = pn.state.curdoc
        asked = self.state.data.ask("why", obsid, lambda: self._told == obsid)

        def say(done: Future[Any]) -> None:
            if done.cancelled() or self._told != obsid:
                return
            if done.exception() is not None:
                logger.warning("the networks do not explain %s: %s", obsid, done.exception())
                return
            explained = done.result()
            said = networks_in_words(explained.stages[0]) if explained and explained.stages else ""
            if said:
                self.words.object = self._truth(obsid, verdict, said)

        def tell(done: Future[Any]) -> None:
            if is_live(document):
                in_turn(document, lambda: say(done))
            else:
                say(done)

        asked.add_done_callback(tell)

    def _go_on(self) -> None:
        """Begin the next lesson when this one is done."""
        if self.left(self.lessons[self.number]):
            return
        waiting = [k for k, lesson in enumerate(self.lessons) if self.left(lesson)]
        if waiting:
            self.begin(waiting[0])

    # --- what is said ----------------------------------------------------------------------------
    def _truth(self, obsid: int, verdict: str, by_networks: str = "") -> str:
        """Return the card after a verdict: truth, what gave it away, the score."""
        table = self.state.verdicts.table
        row = table.iloc[int(self.state.data.rows(np.array([obsid]))[0])]
        kind = str(row[TRUE_CLASS])
        spoke = gave_away(row, self.state.data.settings)
        n_shown = _SHOWN - bool(by_networks)  # the card holds no more without scrolling
        lines = [f"{name}: {said}" for name, said, is_true in spoke if is_true][:n_shown]
        lines = lines or ["Nothing measured tells this star apart: an honest 'unsure' is no shame."]
        lines += [f"Misleading here: {name}. {said}" for name, said, ok in spoke if not ok][:1]
        if by_networks:
            lines.append(by_networks)
        done = score(table, self.judged())
        left = self.left(self.lessons[self.number])
        so_far = f"So far {done.sentence}; {left} left in lesson {self.number + 1}."
        title = f"{obsid} · {verdict_in_words(verdict, kind)} {so_far}"
        if not any(self.left(lesson) for lesson in self.lessons):
            lines.append(self.summary())
        return _card(title, lines)

    def summary(self) -> str:
        """Return how the student did in all, and what to look at again."""
        table, judged = self.state.verdicts.table, self.judged()
        parts = []
        for lesson in self.lessons:
            own = {o: said for o, said in judged.items() if o in set(lesson.obsid.tolist())}
            parts.append(f"{lesson.name}: {score(table, own).sentence}")
        missed = score(table, judged).missed
        words = [f"{kind_in_words(kind)} ({n})" for kind, n in sorted(missed.items())]
        again = (
            f" Look again at what you took for the other kind: {', '.join(words)}." if words else ""
        )
        return f"All lessons done. {'; '.join(parts)}.{again}"

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(
            self.words, self.skip, self.forward, sizing_mode="stretch_width", height=96, margin=0,
            css_classes=["msfa-panel", "msfa-learn"], stylesheets=[stylesheet()], scroll=True,
        )  # fmt: skip


def _is_taught(decision: Decision) -> bool:
    """Tell whether a verdict was given in a lesson."""
    return any(str(words).startswith(LESSON) for words in decision.shown.get("filters", ()))


def _is_in(lesson: Lesson, table: Any) -> Any:
    return np.isin(table["obsid"].to_numpy(np.int64), lesson.obsid)


def _card(title: str, lines: list[str]) -> str:
    """Return words for the card; whatever is in them stays text."""
    told = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return (
        '<div role="status" aria-live="polite" style="font-size:12px;line-height:1.3">'
        f"<b>LEARN · {escape(title)}</b>{told}</div>"
    )
