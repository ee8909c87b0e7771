"""The page: which view sits where, and what a session does besides drawing."""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import panel as pn
from bokeh.document import Document

from dashboard.making import DemoMaker
from dashboard.planes.cells import counted
from dashboard.state import News, Session
from dashboard.state.defaults import know_defaults, walk_what_is_set
from dashboard.state.gone import let_go
from dashboard.state.sending import send_in_few_frames, send_what_changes_while_it_is_drawn
from dashboard.state.spare import LINKED, Waiting, may_wait
from dashboard.state.styles import carry_styles
from dashboard.state.turns import hear_browsers_alone, in_turn, is_local, take_messages_in_turn
from dashboard.state.verdicts import ASSIGNED
from dashboard.theme import css_variables, palette, stylesheet
from dashboard.views.balmer import BalmerView
from dashboard.views.calcium_lens import CalciumLens
from dashboard.views.cell import HEIGHT, CellServer, ready_notebook
from dashboard.views.classes import ClassView
from dashboard.views.exporting import ExportView
from dashboard.views.header import Header
from dashboard.views.keyboard import Keyboard
from dashboard.views.learn import LearnView
from dashboard.views.page import Leaf
from dashboard.views.places import N_ALWAYS, PLACES, PLANES, PlanePlace
from dashboard.views.queue import QueueView
from dashboard.views.queue_words import not_offered
from dashboard.views.spectrum import SpectrumView
from dashboard.views.strip import CLASSES, NARROW, WIDE, StarStrip
from dashboard.views.team import TeamPage
from dashboard.views.verdict import VerdictBar, typed_before
from dashboard.warming import page_is_painted
from msfa_core.errors import SurveyError
from msfa_core.stars.reference import ReferenceStars, reference_stars
from msfa_core.survey.demo import demo_left
from msfa_core.survey.folder import Survey

logger = logging.getLogger(__name__)
take_messages_in_turn()
hear_browsers_alone()
send_in_few_frames()
send_what_changes_while_it_is_drawn()
know_defaults()
walk_what_is_set()

LAST: Final = 1_000  # precedence of what waits for all drawing
PANEL_HEIGHT: Final = 460  # pixels of a panel in a cell
FOLLOW_EVERY: Final = 4000  # ms between looks at what other reviewers decided
OPENED_IN: Final = {  # a witness's plane, and the place that shows it if none does yet
    "D0.2–fm": ("D0.2–fm", "upper"),
    "CMD": ("CMD", "lower"),
    "labels": ("Labels", "lower"),
    "Ca K": ("Ca K", "upper"),
}


def reviewer_of_session(environment: Mapping[str, str] = os.environ) -> tuple[str, bool]:
    """Return the reviewer's name, and whether it comes from a login and stands.

    Without a login it is what was typed in this browser before, else a suggestion:
    ``MSFA_REVIEWER``, or the user of this computer when the browser runs on it too.
    """
    if pn.state.user and pn.state.user != "guest":
        return str(pn.state.user), True
    if typed := typed_before(pn.state.curdoc):
        return typed, False
    if environment.get("MSFA_REVIEWER", "").strip():
        return environment["MSFA_REVIEWER"].strip(), False
    if not is_local(pn.state.curdoc):
        return "", False
    try:
        return getpass.getuser(), False
    except (KeyError, OSError):  # a container without a user entry
        return "", False


def asked_for(name: str) -> str:
    """Return what the address of the page asks for; empty for nothing."""
    return pn.state.session_args.get(name, [b""])[0].decode("utf-8", errors="replace")


def _made_from(survey: Survey, reference: str | Path | None) -> tuple[Any, ...]:
    """Return what a page is made from besides the table and the store."""
    files = [one for one in survey.path.iterdir() if "sqlite" not in one.name]
    if reference is not None and Path(reference).exists():
        files.append(Path(reference))
    said = [(one, one.stat()) for one in files]
    return date.today(), *sorted((str(one), it.st_mtime_ns, it.st_size) for one, it in said)


class VettingApp(pn.viewable.Viewer):
    """One reviewer's page on one survey.

    Parameters
    ----------
    survey : Survey or str or Path
    reviewer : str, optional
        Name to begin with; by default that of the session.
    reference : str or Path, optional
        Table of stars of the literature, drawn behind the survey's own in the planes.
    learn : bool
        Teach: lessons by difficulty, the truth after each verdict.
    """

    def __init__(
        self,
        survey: Survey | str | Path,
        reviewer: str | None = None,
        reference: str | Path | None = None,
        learn: bool = False,
    ) -> None:
        super().__init__()
        carry_styles()
        if not isinstance(survey, Survey):
            survey = Survey.open(survey)
        # before it is read: what changes meanwhile is not on it
        made_from = _made_from(survey, reference)
        name, is_locked = reviewer_of_session() if reviewer is None else (reviewer, False)
        self.state = Session(survey=survey, reviewer=name, login=name if is_locked else "")
        self.state.verdicts.blind = self._is_blind_for(name)
        self.queue = QueueView(state=self.state)
        wanted = {name: asked_for(name) for name in self.queue.chosen}
        if (
            not (wanted["show"] or wanted["subset"])
            and self.state.verdicts.assigned_to_me(self.state.data.candidates).any()
        ):
            wanted["show"] = ASSIGNED
        self.queue.choose(wanted)
        self._open_link()
        self.learn = LearnView(self.state) if learn else None
        self.spectrum = SpectrumView(state=self.state)
        self.classes = ClassView(self.state)
        self.balmer = BalmerView(state=self.state)
        self.calcium = CalciumLens(self.state)
        self.reference: ReferenceStars | None = None
        self._reference_path = "" if reference is None else str(Path(reference).absolute())
        if reference is not None:
            self.state.status.attempt(self._read_reference, reference)
        self.places = {
            name: PlanePlace(self.state, self.reference, name, first)
            for name, first in PLACES.items()
        }
        for number, (name, place) in enumerate(self.places.items()):
            if asked_for(name) in PLANES:
                place.choose(asked_for(name))
            elif asked_for(name):
                self.state.status.add(not_offered(name, asked_for(name), PLANES))
            place.open(number < N_ALWAYS)
        self.strip = StarStrip(self.state, self._open_witness)
        self.verdict = VerdictBar(state=self.state, reviewer_locked=is_locked)
        self.keyboard = Keyboard(
            {
                "smooth": self.spectrum.step_smoothing,
                "template": partial(self.spectrum.template.step, 1),
                "template before": partial(self.spectrum.template.step, -1),
                "blind": self._toggle_blind,
            }
        )
        self._asked: Future[tuple[bool, News | None]] | None = None
        self._stars_to_be = demo_left(survey)
        self.page = self._lay_out()
        if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
            pn.state.onload(self._begin_following)
            # a browser that leaves before the page is drawn never loads it
            pn.state.on_session_destroyed(partial(self._close, pn.state.curdoc))
            if not (self.state.verdicts.door.login or self.state.data.assignment or learn):
                waiting = Waiting(
                    lambda: _made_from(survey, reference) == made_from,
                    lambda: self.state.verdicts.news() is not None,
                    self._bring_up,
                )
                may_wait(pn.state.curdoc, waiting)

    def _bring_up(self) -> None:
        """Make a page that nobody has seen yet what would be made now for who asks."""
        name, _ = reviewer_of_session()
        if self._is_blind_for(name) != self.state.verdicts.blind:
            raise SurveyError(
                "a page is made for who sees what the machine says, or for who is not"
            )
        if name != self.state.verdicts.reviewer or self.state.verdicts.news() is not None:
            self.state.begin_again(name)
            self.verdict.reviewer = name
        self._open_link()

    # --- what a session does besides drawing -------------------------------------------------
    def _is_blind_for(self, name: str) -> bool:
        """Tell whether the page begins blind: the address asks so, or its reviewer must be."""
        return self.state.verdicts.door.must_be_blind(name) or asked_for("blind") == "1"

    def _open_link(self) -> None:
        """Show the star that the address names: ``?obj=OBSID``."""
        wanted, status = asked_for(LINKED), self.state.status
        if wanted:
            told = status.message if status.tone == "error" else ""
            self.state.is_linked = status.attempt(self.state.screen.select, wanted)
            if told:  # of filters that are not there, whatever becomes of the star
                refused = "" if self.state.is_linked else status.message
                status.say(f"{told} {refused}".strip(), "error")

    def _read_reference(self, path: str | Path) -> None:
        self.reference = reference_stars(path)

    def _close(self, document: Document, _context: object) -> None:
        """Let go of everything; the page has gone."""
        self.verdict.ring.end()
        self.state.close()
        let_go(document, self.page)

    def _begin_following(self) -> None:
        page_is_painted.set()
        pn.state.add_periodic_callback(self._follow, period=FOLLOW_EVERY)
        if pn.state.curdoc is not None:
            self.verdict.ring.begin(pn.state.curdoc)

    def _follow(self) -> None:
        """Ask the store in a thread of its own: a store that is slow holds up nobody."""
        document = pn.state.curdoc
        if self._stars_to_be:
            self._grow()
        if self._asked is not None and not self._asked.done():
            return
        self._asked = self.state.data.writers.submit(self._look)
        self._asked.add_done_callback(
            lambda done: in_turn(document, partial(self._take_over, done))
        )

    def _look(self) -> tuple[bool, News | None]:
        """Return whether the table is as it was read, and what others decided."""
        return self.state.data.is_current, self.state.verdicts.news()

    def _take_over(self, done: Future[tuple[bool, News | None]]) -> None:
        def take_over() -> None:
            is_current, news = done.result()
            self.header.doubt(is_current or bool(self._stars_to_be))
            self.state.take_over(news)

        with pn.io.hold():
            self.state.status.attempt(take_over)

    def _keep_in_address(self, *_: Any) -> None:
        """Have the address name what was chosen: it stays over a reload and a change of theme."""
        planes = {
            name: "" if place.chosen == PLACES[name] else place.chosen
            for name, place in self.places.items()
        }
        blind = "1" if self.state.verdicts.blind else ""
        self.verdict.address = self.queue.chosen | planes | {"blind": blind}

    def _reload(self, _event: object) -> None:
        self.state.status.attempt(self.state.reload)
        self.header.entitle(self._stars_to_be)

    def _grow(self) -> None:
        """Take over the whole demo survey when the rest of its stars have been made."""
        maker = DemoMaker.latest
        if maker is not None and maker.error:
            self._stars_to_be = 0
            self.header.entitle(self._stars_to_be)
            self.state.status.say(f"no more stars were made: {maker.error}", "error")
        elif not demo_left(self.state.survey):
            n_stars, self._stars_to_be = self._stars_to_be, 0
            if self.state.status.attempt(self.state.reload):
                self.state.status.say(f"the other simulated stars are there: {n_stars:,} in all")
            self.header.entitle(self._stars_to_be)

    def _toggle_blind(self) -> None:
        verdicts = self.state.verdicts
        if not self.state.status.attempt(verdicts.look_blind, not verdicts.blind):
            return
        words = "blind: the machine and other reviewers are hidden" if verdicts.blind else ""
        self.state.status.say(words)

    def _open_witness(self, name: str) -> None:
        """Open what a witness of the strip speaks of."""
        if name in (WIDE, NARROW):
            for place in list(self.places.values())[N_ALWAYS:]:
                place.open(name == WIDE)
        elif self.state.verdicts.blind:
            return
        elif name in (CLASSES, "networks"):
            self._unfold(not self.strip.unfolded)
        elif name == "template":
            self.state.answers.with_template = not self.state.answers.with_template
        elif name in OPENED_IN:
            plane, where = OPENED_IN[name]
            if all(place.chosen != plane for place in self.places.values() if place.is_open):
                self.places[where].choose(plane)

    def _unfold(self, is_unfolded: bool) -> None:
        """Show the class bars under the strip, or fold them away."""
        self.classes.in_sight = self._fold.visible = self.strip.unfolded = is_unfolded

    # --- where things sit --------------------------------------------------------------------
    def _lay_out(self) -> pn.Column:
        css = [stylesheet()]
        fill: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0, "stylesheets": css}
        left = pn.Column(self.queue, css_classes=["msfa-panel", "msfa-left"], **fill)
        self._fold = pn.Column(
            self.classes, css_classes=["msfa-panel", "msfa-fold"], visible=False,
            margin=0, stylesheets=css,
        )  # fmt: skip
        lenses = pn.Row(
            pn.Column(self.calcium, css_classes=["msfa-lens"], **fill),
            pn.Column(self.balmer, css_classes=["msfa-lenses"], **fill),
            css_classes=["msfa-panel", "msfa-balmer"],
            **fill,
        )
        centre = pn.Column(
            pn.Column(
                self.spectrum, self._fold, css_classes=["msfa-panel", "msfa-spectrum"], **fill
            ),
            lenses,
            css_classes=["msfa-centre"],
            **fill,
        )
        upper, lower, third, fourth = self.places.values()
        right = pn.Row(
            *(
                pn.Column(*pair, css_classes=["msfa-right-column"], **fill)
                for pair in ((upper, lower), (third, fourth))
            ),
            css_classes=["msfa-right"],
            **fill,
        )
        for place in self.places.values():
            place.chooser.param.watch(self._keep_in_address, "value")
        for menu in self.queue.choices.values():
            menu.param.watch(self._keep_in_address, "value")
        self.state.watch(self._keep_in_address, "verdicts.blind", "queue.filters")
        self._keep_in_address()
        self.classes.in_sight = False
        self.state.watch(lambda *_: self._unfold(False), "verdicts.blind")
        vet = pn.Column(
            pn.Column(self.strip, css_classes=["msfa-panel", "msfa-top"],
                      **{**fill, "sizing_mode": "stretch_width", "height": 46}),
            *([] if self.learn is None else [self.learn]),
            pn.Row(left, centre, right, css_classes=["msfa-main"], **fill),
            pn.Column(
                self.verdict,
                css_classes=["msfa-panel", "msfa-bottom"],
                **{**fill, "sizing_mode": "stretch_width", "height": 70},
            ),
            css_classes=["msfa-vet"],
            **fill,
        )  # fmt: skip
        n_rows = len(self.state.verdicts.table)
        hidden: dict[str, Any] = {"css_classes": ["msfa-panel", "msfa-export"], "visible": False}
        leaves = {
            "Compare": Leaf(
                "Reading who decided what …",
                lambda: TeamPage(self.state, go_to_star=lambda: self.header.turn_to("Vet")),
                **hidden, **fill,
            ),
            "Export": Leaf(
                f"Gathering what goes out of {counted(n_rows, 'spectrum', 'spectra')} …",
                lambda: ExportView(state=self.state), **hidden, **fill,
            ),
        }  # fmt: skip
        self.header = Header(self.state, {"Vet": vet}, leaves, self._reload, self._stars_to_be)
        if asked_for("page") in leaves:
            self.header.turn_to(asked_for("page"))
        elif asked_for("page") not in ("", "Vet"):
            self.state.status.add(not_offered("page", asked_for("page"), ["Vet", *leaves]))
        return pn.Column(
            self.header,
            vet,
            *(leaf.column for leaf in leaves.values()),
            self.keyboard,
            css_classes=["msfa-page"],
            **{**fill, "stylesheets": [stylesheet(), css_variables(palette())]},
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return self.page

    # --- in a notebook -------------------------------------------------------------------------
    def panel(self, name: str, height: int = PANEL_HEIGHT) -> pn.Column:
        """Return one live panel, for a cell of a notebook.

        It follows ``app.state.screen.select(obsid)``.

        Parameters
        ----------
        name : str
            ``spectrum``, ``balmer``, ``calcium``, ``classes``, or one of the planes: ``D0.2–fm``,
            ``CMD``, ``Labels`` …
        height : int
            In pixels.

        Raises
        ------
        SurveyError
            For an unknown name, with the known ones.
        """
        makers: dict[str, Callable[[], pn.viewable.Viewer]] = {
            "spectrum": lambda: self.spectrum,
            "balmer": lambda: self.balmer,
            "calcium": lambda: CalciumLens(self.state),
            "classes": lambda: ClassView(self.state),
        }
        if name in PLANES:
            place = PlanePlace(self.state, self.reference, "upper", name)
            place.open(True)
            makers[name] = lambda: place
        if name not in makers:
            known = ", ".join([*makers, *PLANES])
            raise SurveyError(f"there is no panel {name!r}; choose from {known}.")
        shown = pn.Column(
            makers[name](),
            height=height,
            sizing_mode="stretch_width",
            stylesheets=[stylesheet(), css_variables(palette())],
        )
        if pn.state.curdoc is None:  # a notebook hears of changes inside a figure when told
            ready_notebook()
            self.state.watch(lambda *_: pn.io.push_notebook(shown), "screen.star", precedence=LAST)
        return shown

    def frame(self, height: int = HEIGHT) -> str:
        """Return the whole app as HTML for a cell: a server of its own, on this computer only.

        Parameters
        ----------
        height : int
            Of the frame [pixels]; a window that is lower has a lower one.
        """
        server = CellServer.of(
            self.state.survey.path,
            self.state.verdicts.reviewer,
            self._reference_path,
            self.learn is not None,
        )
        server.wait()
        star = self.state.screen.star
        return server.frame(height, **({} if star is None else {"obj": str(star.obsid)}))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the whole app in the cell."""
        return {"text/html": self.frame(), "text/plain": repr(self)}
