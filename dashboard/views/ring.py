"""Stars made ready in the browser: the next and the last one are painted without being asked for.

What a star changes on the page is learned by looking: another star is brought on screen with the
page kept from hearing of it, what changed is noted, and the star on screen is brought back. The
values go to the browser as one binary message. At a key it paints them at once; the server follows
after, and sends what differs from what was painted, which is nothing as a rule. Whatever else
changes on the page meanwhile makes what was made ready worthless: it is thrown away and made anew.

The next star comes first. It is made ready without what takes seconds to answer of it, and anew
with that: a key finds a star that is complete but for a strip, not none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import panel as pn
from bokeh.document import Document
from bokeh.document.events import (
    ColumnDataChangedEvent,
    DocumentChangedEvent,
    ModelChangedEvent,
    SessionCallbackAdded,
    SessionCallbackRemoved,
)
from bokeh.model import Model
from bokeh.models import ColumnDataSource

from dashboard.state import Session, Star
from dashboard.state.screen import KEYS_WAIT
from dashboard.state.turns import is_live
from msfa_core.errors import MsfaError

logger = logging.getLogger(__name__)

DEPTH: Final = 3  # stars made ready ahead of the reviewer
PAUSE: Final = 120  # ms, after a star or a change, before others are made ready
MEASURED: Final = frozenset(  # what a browser tells of itself: it moves nothing
    {"inner_width", "inner_height", "outer_width", "outer_height"}
)
Place: TypeAlias = tuple[Model, str]  # a model and one of its properties


class Packet(NamedTuple):
    """A star made ready."""

    name: str  # of this packet alone
    star: Star
    values: dict[Place, Any]  # of every place on the page that stars differ in
    known: frozenset[str]  # what was answered of it by then


class Ring:
    """The stars that lie ready in the browser.

    Parameters
    ----------
    state : Session
    send : callable
        Sends a message to the browser.
    """

    def __init__(self, state: Session, send: Callable[[dict[str, Any]], None]) -> None:
        self._state, self._send = state, send
        self._document: Document | None = None
        self._places: dict[Place, None] = {}  # that stars differ in, in the order they change
        self._packets: dict[int, Packet] = {}
        self._unreadable: set[int] = set()
        self._names = count(1)
        self._own = False  # what changes now is of this ring's own making
        self._by_hand = False  # the reviewer changed what this star looks like
        self._waiting: Any = None
        self._sent: dict[str, Any] = {}

    def begin(self, document: Document) -> None:
        """Make stars ready for a page that is painted, for as long as it is open."""
        self._document, callbacks = document, document.callbacks
        hear = callbacks.trigger_on_change

        def overhear(event: DocumentChangedEvent) -> None:
            if isinstance(event, SessionCallbackAdded | SessionCallbackRemoved):
                # with what the store answered a thread asks for a turn of the page: not kept back
                for tell in callbacks.change_callbacks():
                    tell(event)
                return
            self._hear(event)
            hear(event)

        # a listener of the document would not do: panel sends most changes past all of them
        vars(callbacks)["trigger_on_change"] = overhear
        watch = self._state.watch
        watch(lambda *_: self._another_star(), "screen.star")
        watch(lambda *_: self._look_again(), "verdicts.version")
        watch(
            lambda *_: self.drop(), "queue.obsids", "verdicts.blind", "verdicts.reviewer",
            "verdicts.table", "answers.why", "answers.with_template", "answers.with_coadd",
            "screen.with_epochs", "screen.left_out",
        )  # fmt: skip
        watch(lambda *_: self._soon(), "answers.coadded", "answers.matched", "answers.explained")
        self._soon()

    def end(self) -> None:
        """Let go of the page: what is left of a document after its session holds nothing then."""
        if self._document is not None:
            vars(self._document.callbacks).pop("trigger_on_change", None)
        self._document = None
        self._places.clear()
        self._packets.clear()

    # --- what makes a star that is ready worthless ------------------------------------------
    def _hear(self, event: DocumentChangedEvent) -> None:
        if self._own or not isinstance(event, ModelChangedEvent | ColumnDataChangedEvent):
            return
        if event.setter is not None and event.attr not in MEASURED:
            self._by_hand = True
            self.drop()
        elif _place(event) in self._places:
            if self._state.answers.is_taking and self._state.screen.star is not None:
                self._packets.pop(self._state.screen.star.obsid, None)  # not the others
            else:
                self.drop()
        elif self._state.answers.is_taking:  # the others do not have this place
            self._places |= dict.fromkeys(filter(None, [_place(event)]))
            self.drop()

    def _another_star(self) -> None:
        if not self._own:
            self._by_hand = False
            self.drop()

    def _look_again(self) -> None:
        """Keep the stars on which nobody decided since they were made ready."""
        try:
            self._packets = {
                obsid: packet
                for obsid, packet in self._packets.items()
                if self._state.screen.read(obsid).decisions == packet.star.decisions
            }
        except MsfaError as error:  # the store does not answer
            logger.info("not made ready: %s", error)
            self._packets.clear()
        self._tell()
        self._soon()

    def drop(self) -> None:
        """Throw away what was made ready."""
        if not self._own:
            self._packets.clear()
            self._tell()
            self._soon()

    # --- making ready ------------------------------------------------------------------------
    def _soon(self) -> None:
        document = self._document
        if document is None or not is_live(document):
            return
        if self._waiting is not None and self._waiting in document.session_callbacks:
            document.remove_timeout_callback(self._waiting)
        pause = KEYS_WAIT if self._state.screen.keys_wait else PAUSE
        self._waiting = document.add_timeout_callback(self._make_ready, pause)

    def _make_ready(self) -> None:
        """Make one star ready; the next one in a turn of its own, so that a key gets between."""
        here = self._state.screen.star
        if here is None or self._by_hand or self._document is None:
            return
        steps = self._state.screen.steps(DEPTH)
        on_page = {place: None for place in self._places if place[0].document is not None}
        if len(on_page) < len(self._places):  # a plane was put away
            self._places = on_page
            self._packets.clear()
        moves = [move for moves in steps.values() for move in moves.items()]
        moves.sort(key=lambda move: move[0] == "previous")  # most go on
        wanted = dict.fromkeys(there for _, there in moves)
        self._packets = {o: self._packets[o] for o in [here.obsid, *wanted] if o in self._packets}
        if not self._state.answers.missing(here.obsid, slow=False):  # else its own come first
            if self._packets and here.obsid not in self._packets:
                self._packets[here.obsid] = self._packet(here, self._values())
            self._go_through([obsid for obsid in wanted if obsid not in self._unreadable], here)
        self._tell()

    def _go_through(self, wanted: list[int], here: Star) -> None:
        """Make the first of these stars ready that is not, or ask what is to be known of it."""
        answers, packets = self._state.answers, self._packets
        wanted = [obsid for obsid in wanted if obsid != here.obsid]
        missing = [obsid for obsid in wanted if obsid not in packets]
        ready = [obsid for obsid in missing if not answers.missing(obsid, slow=False)]
        grown = [o for o in wanted if o in packets and packets[o].known != answers.known(o)]
        untold = [obsid for obsid in wanted if answers.missing(obsid, slow=True)]
        if ready or (grown and not missing):
            if self._try_on(here, [*ready, *grown][0]):
                self._soon()
        elif missing:
            answers.ask_for(answers.missing(missing[0], slow=False), missing[0], self._soon)
        elif untold:
            answers.ask_for(answers.missing(untold[0], slow=True), untold[0], self._soon)

    def _packet(self, star: Star, values: dict[Place, Any]) -> Packet:
        return Packet(str(next(self._names)), star, values, self._state.answers.known(star.obsid))

    def _try_on(self, here: Star, obsid: int) -> bool:
        """Note what the page would show of a star; it shows what it did before, all the while."""
        try:
            star = self._state.screen.read(obsid)
        except MsfaError as error:  # said to the reviewer when it is opened
            logger.info("not made ready: %s", error)
            self._unreadable.add(obsid)
            return True
        before = self._values()
        with self._kept_back() as events:
            with self._state.screen.trying_on(star):
                self._places |= dict.fromkeys(filter(None, map(_place, events)))
                values = self._values()
            self._places |= dict.fromkeys(filter(None, map(_place, events)))
        now = self._values()
        self._learn({place: value for place, value in now.items() if place not in before})
        changed = {
            place: now[place] for place, value in before.items() if not _same(now[place], value)
        }
        if changed:
            logger.warning("drawn anew, a star is not as it was: %s", _named(changed))
            self._by_hand = True
            self._send_values(changed)
            return False
        self._packets[obsid] = self._packet(star, now | values)
        self._packets.setdefault(here.obsid, self._packet(here, now))
        return True

    def _learn(self, new: dict[Place, Any]) -> None:
        """Add places that no star moved before: with the others it was as it is now."""
        if new and self._packets:
            for packet in self._packets.values():
                packet.values.update(new)
            self._send({"ring_learns": _told(new)})

    # --- following ---------------------------------------------------------------------------
    @contextmanager
    def following(self, name: str) -> Iterator[None]:
        """Bring the server where the browser is, which painted a packet; send what differs.

        Parameters
        ----------
        name : str
            Of the packet; empty when none was painted: everything is sent as it changes.
        """
        if not name:
            yield
            return
        painted = next((made for made in self._packets.values() if made.name == name), None)
        with self._kept_back() as events:
            yield
        self._by_hand = False
        known = {} if painted is None else painted.values  # else thrown away as it was painted
        differs = {
            place: now
            for place, now in self._values().items()
            if place not in known or not _same(now, known[place])
        }
        with self._own_doing(), pn.io.hold():
            for event in events:
                if _place(event) not in self._places:
                    event.document.callbacks.trigger_on_change(event)
            self._send_values(differs)
        self._soon()

    @contextmanager
    def _own_doing(self) -> Iterator[None]:
        before, self._own = self._own, True
        try:
            yield
        finally:
            self._own = before

    @contextmanager
    def _kept_back(self) -> Iterator[list[DocumentChangedEvent]]:
        """Keep the page from hearing what changes; it is noted in the list."""
        noted: list[DocumentChangedEvent] = []
        if self._document is None:
            yield noted
            return
        callbacks = self._document.callbacks
        held = callbacks._hold, callbacks._held_events
        callbacks._hold, callbacks._held_events = "collect", noted
        try:
            with self._own_doing():
                yield noted
        finally:
            callbacks._hold, callbacks._held_events = held

    def _send_values(self, values: dict[Place, Any]) -> None:
        """Send what these places hold."""
        document = self._document
        if document is None:
            return
        for (model, attr), value in values.items():
            event: DocumentChangedEvent
            if isinstance(model, ColumnDataSource) and attr == "data":
                event = ColumnDataChangedEvent(document, model, attr)
            else:
                event = ModelChangedEvent(document, model, attr, value)
            document.callbacks.trigger_on_change(event)

    def _values(self) -> dict[Place, Any]:
        """Return what every place holds that is on the page: a plane may have been put away."""
        return {place: _value(*place) for place in self._places if place[0].document is not None}

    def _tell(self) -> None:
        """Bring the browser's ring up to date."""
        steps = self._state.screen.steps(DEPTH) if self._packets else {}
        told = {
            "keep": [packet.name for packet in self._packets.values()],
            "steps": {
                str(obsid): {
                    action: self._packets[there].name
                    for action, there in moves.items()
                    if there in self._packets
                }
                for obsid, moves in steps.items()
            },
        }
        new = [p for p in self._packets.values() if p.name not in self._sent.get("keep", ())]
        if told == self._sent:
            return
        self._sent = told
        packets = [
            {
                "name": packet.name,
                "obsid": str(packet.star.obsid),
                "values": _told(packet.values),
            }
            for packet in new
        ]
        self._send({"ring": {**told, "packets": packets}})


def _place(event: DocumentChangedEvent) -> Place | None:
    if isinstance(event, ModelChangedEvent | ColumnDataChangedEvent):
        return event.model, event.attr
    return None


def _value(model: Model, attr: str) -> Any:
    """Return what a property holds, as it is sent."""
    if isinstance(model, ColumnDataSource) and attr == "data":
        return dict(model.data)
    return model.lookup(attr).get_value(model)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are drawn alike."""
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or bool(pd.isna(one) and pd.isna(other))


def _told(values: dict[Place, Any]) -> list[list[Any]]:
    """Return what places hold, as the browser reads it."""
    return [[model.id, attr, value] for (model, attr), value in values.items()]


def _named(places: Iterable[Place]) -> list[str]:
    return [f"{type(model).__name__}.{attr}" for model, attr in places]
