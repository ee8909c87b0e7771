"""Stars lie ready with what is known of them; what takes long to answer keeps none waiting."""

import gzip
from base64 import b64decode
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.io.doc import patch_curdoc

from dashboard.app import VettingApp
from dashboard.state import Explained, answers
from dashboard.state.screen import KEYS_WAIT
from dashboard.state.sending import SMALL
from dashboard.views import ring as ring_module
from dashboard.views.ring import PAUSE, _value
from msfa_core.constants import NETWORK_GRID

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # bokeh's own


class Thinker:
    """Answers when it is told to, in place of the threads of the survey."""

    def __init__(self, data, monkeypatch):
        self.asked, self.known = [], {}
        monkeypatch.setattr(data, "ask", self.ask)
        monkeypatch.setattr(data, "answered", lambda name, obsid: self.known.get((name, obsid)))

    def ask(self, name, obsid, still_wanted):
        future = Future()
        self.asked.append((name, obsid, future))
        return future

    def answer(self, name, obsid, found):
        self.known[name, obsid] = found
        for asked, of, future in list(self.asked):
            if (asked, of) == (name, obsid) and not future.done():
                future.set_result(found)


@pytest.fixture
def page(survey, monkeypatch):
    """A page that seems to have a browser, its ring, and who answers what is asked of its stars."""
    monkeypatch.setattr(answers, "is_live", lambda _: True)
    monkeypatch.setattr(answers, "in_turn", lambda _, action: action())
    app, document = VettingApp(survey, reviewer="anna"), Document()
    document.add_root(app.page.get_root(document))
    ring = app.verdict.ring
    ring.sent = []
    ring._send = ring.sent.append
    thinker = Thinker(app.state.data, monkeypatch)
    ring.begin(document)
    with patch_curdoc(document):
        yield app, ring, thinker
    app.state.close()


def explained(obsid):
    """A line that spoke in both stages."""
    amount = np.zeros(NETWORK_GRID.n_pixels)
    amount[700:720] = 1.0
    said = SimpleNamespace(attribution=amount[None], target=np.array([1]))
    return Explained(obsid, (said, said))


def fill(ring):
    for _ in range(12):
        ring._make_ready()


def strip_of(app, packet):
    return packet.values[app.spectrum._sources["strips"], "data"]["left"]


def test_a_star_lies_ready_before_the_slow_answer_and_anew_with_it(page):
    app, ring, thinker = page
    here = app.state.screen.star.obsid
    app.state.answers.why = True
    fill(ring)
    there = app.state.screen.steps(1)[here]["next"]
    first = ring._packets[there]
    assert len(strip_of(app, first)) == 0
    assert {obsid for _, obsid, _ in thinker.asked} == {here, there}  # the next one before others
    thinker.answer("why", here, explained(here))
    thinker.answer("why", there, explained(there))
    fill(ring)
    second = ring._packets[there]
    assert second.name != first.name
    assert len(strip_of(app, second)) > 0
    assert second.name in ring.sent[-1]["ring"]["keep"]
    assert first.name not in ring.sent[-1]["ring"]["keep"]
    assert len(app.spectrum._sources["strips"].data["left"]) > 0  # of the star on screen, still


def test_an_answer_on_the_star_on_screen_leaves_the_others_ready(page):
    app, ring, thinker = page
    app.state.screen.next()
    here = app.state.screen.star.obsid
    app.state.answers.why = True
    fill(ring)
    names = {obsid: packet.name for obsid, packet in ring._packets.items()}
    assert here in names
    assert len(names) > 3
    thinker.answer("why", here, explained(here))
    assert app.state.answers.explained.obsid == here
    assert {obsid: packet.name for obsid, packet in ring._packets.items()} == {
        obsid: name for obsid, name in names.items() if obsid != here
    }
    fill(ring)
    assert len(strip_of(app, ring._packets[here])) > 0  # a key back shows it, too
    assert all(ring._packets[obsid].name == names[obsid] for obsid in names if obsid != here)


def test_what_an_answer_moves_for_the_first_time_is_not_left_on_the_next_star(page):
    app, ring, thinker = page
    app.state.answers.why = True
    fill(ring)
    place = (app.spectrum._sources["strips"], "data")
    del ring._places[place]  # as if no star had moved it so far
    for packet in ring._packets.values():
        packet.values.pop(place, None)
    here = app.state.screen.star.obsid
    assert ring._packets
    thinker.answer("why", here, explained(here))
    fill(ring)
    there = app.state.screen.steps(1)[here]["next"]
    assert len(_value(*place)["left"]) > 0
    assert len(strip_of(app, ring._packets[there])) == 0


def test_quick_answers_are_waited_for_and_the_star_comes_with_them(page):
    app, ring, thinker = page
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["next"]
    app.state.answers.with_coadd = True
    fill(ring)
    assert not ring._packets  # those of the star on screen come first
    thinker.answer("coadd", here, answers_of(here))
    fill(ring)
    assert there not in ring._packets
    thinker.answer("coadd", there, answers_of(there))
    fill(ring)
    assert ring._packets[there].known == {"coadd"}


def answers_of(obsid):
    return SimpleNamespace(obsid=obsid, coadd=None)


def test_while_keys_wait_in_line_they_are_answered_first(page, monkeypatch):
    """No star is made ready, and the queue follows later."""
    app, ring, _ = page
    monkeypatch.setattr(ring_module, "is_live", lambda _: True)
    context = SimpleNamespace(destroyed=False, session=None)
    monkeypatch.setattr(Document, "session_context", context)
    pauses = []
    monkeypatch.setattr(
        ring._document, "add_timeout_callback", lambda _, pause: pauses.append(pause)
    )
    shortest = []
    for more in (True, False):
        here = app.state.screen.selected
        app.verdict.handle({"action": "next", "painted": here, "more": more})
        assert len(pauses) > 2
        shortest.append(min(pauses))
        pauses.clear()
    assert shortest == [KEYS_WAIT, PAUSE]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_small_arrays_travel_within_their_message_and_large_ones_beside_it(dtype):
    encoder = Serializer()
    few, many = np.arange(50, dtype=dtype), np.zeros(SMALL, dtype)
    told = encoder.serialize({"few": few, "many": many})
    assert [buffer.data.nbytes for buffer in told.buffers] == [many.nbytes]
    text = dict(told.content["entries"])["few"]["array"]["data"]
    assert gzip.decompress(b64decode(text)) == few.tobytes()  # its length is checked, too
