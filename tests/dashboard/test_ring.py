"""Stars that lie ready in the browser show what the server would show, and nothing else moves."""

import json
import threading

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.document.events import (
    ModelChangedEvent,
    SessionCallbackAdded,
    SessionCallbackRemoved,
)
from bokeh.io.doc import patch_curdoc

from dashboard.app import VettingApp
from dashboard.views.ring import _same, _value
from msfa_core.errors import AwayError, SurveyError

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # bokeh's own


@pytest.fixture
def drawn(survey):
    """A page in a document, without a browser; its ring says what it would send."""
    app, document = VettingApp(survey, reviewer="anna"), Document()
    document.add_root(app.page.get_root(document))
    ring = app.verdict.ring
    ring.sent = []
    ring._send = ring.sent.append
    ring.begin(document)
    with patch_curdoc(document):
        yield app, document, ring
    app.state.close()


def contents(document):
    """Everything that the page holds."""
    return {
        (model, attr): _value(model, attr)
        for model in document.models
        for attr in model.properties_with_values()
    }


def fill(ring):
    for _ in range(12):
        ring._make_ready()


def test_making_stars_ready_moves_nothing_on_the_page(drawn):
    app, document, ring = drawn
    fill(ring)  # places are known now
    before, star = contents(document), app.state.screen.star
    ring._packets.clear()
    heard = []
    document.on_change(heard.append)
    fill(ring)
    assert len(ring._packets) > 3
    assert app.state.screen.star is star
    assert heard == []
    now = contents(document)
    assert now.keys() == before.keys()
    assert [place for place, value in now.items() if not _same(value, before[place])] == []


@pytest.mark.parametrize("keys", [["next", "next", "previous"], ["next", "previous", "previous"]])
def test_what_lies_ready_is_what_the_server_shows_and_so_it_sends_nothing(drawn, keys):
    app, document, ring = drawn
    app.state.screen.next()
    app.state.screen.next()
    fill(ring)
    for key in keys:
        here = app.state.screen.star.obsid
        there = app.state.screen.steps(1)[here][key]
        packet = ring._packets[there]
        heard = []
        document.on_change(heard.append)
        app.verdict.handle({"action": key, "painted": str(here), "ahead": packet.name})
        document.remove_on_change(heard.append)
        assert app.state.screen.star.obsid == there
        moved = {(e.model, e.attr) for e in heard if hasattr(e, "attr")}
        assert not moved & set(ring._places)
        assert all(_same(_value(*place), value) for place, value in packet.values.items())
        assert len(packet.values) > 30
        fill(ring)


def test_a_packet_that_was_thrown_away_as_it_was_painted_is_sent_over_again(drawn):
    app, document, ring = drawn
    fill(ring)
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["next"]
    name = ring._packets[there].name
    app.spectrum.smoothing = 7  # what lay ready is raw
    assert not ring._packets
    assert ring.sent[-1]["ring"]["keep"] == []
    heard = []
    document.on_change(heard.append)
    app.verdict.handle({"action": "next", "painted": str(here), "ahead": name})
    moved = {(e.model, e.attr) for e in heard if hasattr(e, "attr")}
    assert set(ring._places) <= moved


def test_a_refused_verdict_brings_the_browser_back(drawn):
    app, document, ring = drawn
    fill(ring)
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["decide"]
    name, source = ring._packets[there].name, app.spectrum._sources["flux"]
    heard = []
    document.on_change(heard.append)
    app.verdict.handle({"action": "accept", "painted": "1", "ahead": name, "reviewer": "anna"})
    assert app.state.screen.star.obsid == here
    assert app.state.status.tone == "error"
    assert any(e.model is source and e.attr == "data" for e in heard if hasattr(e, "attr"))
    assert any(
        e.model is source and e.attr == "tags" and e.new == [str(here)]
        for e in heard
        if hasattr(e, "attr")
    )


def test_a_verdict_that_cannot_be_stored_comes_back_to_its_star(drawn, monkeypatch):
    app, _, ring = drawn
    fill(ring)
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["decide"]
    monkeypatch.setattr(app.state.verdicts.door, "keep", lambda _: 1 / 0)
    app.verdict.handle(
        {"action": "accept", "painted": str(here), "ahead": ring._packets[there].name}
    )
    assert app.state.screen.star.obsid == here
    assert app.state.status.tone == "error"


def test_a_verdict_for_a_store_that_is_away_comes_back_without_asking_it(drawn, monkeypatch):
    """Neither decisions can be read nor written: the reviewer is told, and the key is answered."""
    app, _, ring = drawn
    fill(ring)
    here, answers = app.state.screen.star.obsid, []
    packet = ring._packets[app.state.screen.steps(1)[here]["decide"]]
    monkeypatch.setattr(app.verdict, "_send_msg", answers.append)

    def away(*_, **__):
        raise AwayError("Cannot reach it: connection refused")

    went = app.verdict._go_on

    def goes_while_it_ends(answer):  # the server ends once the next star has been read
        answer = went(answer)
        monkeypatch.setattr(app.state.data.store, "decisions", away)
        return answer

    monkeypatch.setattr(app.verdict, "_go_on", goes_while_it_ends)
    monkeypatch.setattr(app.state.data.store, "append_decision", away)
    message = {"action": "accept", "painted": str(here), "ahead": packet.name, "key": "0a"}
    app.verdict.handle(message)
    assert app.state.screen.star.obsid == here
    assert "given again until the server is back" in app.state.status.message
    assert [(one["key"], one["is_done"], one["again"]) for one in answers] == [("0a", False, True)]


def test_a_verdict_goes_on_to_the_star_that_lay_ready(drawn):
    app, _, ring = drawn
    for _ in range(3):
        fill(ring)
        here = app.state.screen.star.obsid
        there = app.state.screen.steps(1)[here]["decide"]
        packet = ring._packets[there]
        app.verdict.handle({"action": "accept", "painted": str(here), "ahead": packet.name})
        assert app.state.screen.star.obsid == there
        assert app.state.status.tone == "saved"
    stored = app.state.data.store.decisions()
    assert len(stored) == 3


def test_a_star_that_somebody_judged_is_made_ready_anew(drawn):
    app, _, ring = drawn
    fill(ring)
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["next"]
    other = VettingApp(app.state.survey, reviewer="bert").state
    other.screen.select(there)
    other.decide("reject", painted_obsid=there)
    app.state.follow()
    assert there not in ring._packets
    other.close()


def test_a_plane_that_is_put_away_is_forgotten_and_the_new_one_is_learned(drawn):
    app, _, ring = drawn
    fill(ring)
    known = set(ring._places)
    app.places["lower"].choose("Sky")
    app.state.screen.next()
    fill(ring)
    assert ring._packets
    assert known - set(ring._places)
    assert set(ring._places) - known
    for packet in ring._packets.values():
        assert all(model.document is not None for model, _ in packet.values)


def test_a_star_that_cannot_be_read_keeps_no_other_from_being_ready(drawn, monkeypatch):
    app, _, ring = drawn
    here = app.state.screen.star.obsid
    broken, read = app.state.screen.steps(1)[here]["next"], app.state.screen.read

    def refuse(obsid):
        if obsid == broken:
            raise SurveyError("its shard is broken")
        return read(obsid)

    monkeypatch.setattr(app.state.screen, "read", refuse)
    fill(ring)
    assert broken not in ring._packets
    assert len(ring._packets) >= 3
    assert app.state.status.tone != "error"


def test_what_a_hand_moved_is_not_moved_back(drawn):
    """After a zoom the next star comes from the server; then stars lie ready again."""
    app, _, ring = drawn
    fill(ring)
    height = app.spectrum.figure.y_range
    document = height.document
    document.callbacks.trigger_on_change(
        ModelChangedEvent(document, height, "start", 0.5, setter="the browser")
    )
    assert not ring._packets
    fill(ring)
    assert not ring._packets
    app.state.screen.next()
    fill(ring)
    assert ring._packets


def test_blind_packets_carry_nothing_of_the_machine(drawn):
    app, _, ring = drawn
    app.state.verdicts.blind = True
    assert not ring._packets
    fill(ring)
    assert ring._packets
    for packet in ring._packets.values():
        text = json.dumps(list(packet.values.values()), default=str)
        assert "BHB" not in text
        assert '"hidden"' in text


def test_no_step_leads_to_a_star_that_another_reviewer_has_in_hand(drawn):
    app, _, _ = drawn
    here = app.state.screen.star.obsid
    there = app.state.screen.steps(1)[here]["decide"]
    data = app.state.data
    data.claims.take(int(data.star[data.row(there)]), "bert", 60.0)
    then = app.state.screen.steps(1)[here]["decide"]
    assert then != there
    app.state.decide("accept", painted_obsid=here)
    assert app.state.screen.star.obsid == then


def test_a_thread_that_asks_for_a_turn_of_the_page_gets_it_while_stars_are_made_ready(drawn):
    """The store answers in a thread of its own: no answer is lost with what is kept back."""
    _, document, ring = drawn
    heard = []
    document.on_change(heard.append)
    with ring._kept_back() as noted:
        thread = threading.Thread(target=document.add_next_tick_callback, args=(print,))
        thread.start()
        thread.join()
        assert [type(event) for event in heard] == [SessionCallbackAdded]
    assert noted == []
    document.remove_next_tick_callback(next(iter(document.session_callbacks)))
    assert isinstance(heard[-1], SessionCallbackRemoved)


def test_keys_lead_where_the_steps_say(state):
    """On every star of the queue, with some judged."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        here = state.screen.star.obsid
        steps = state.screen.steps(3)
        moves = steps[here]
        if "next" in moves:
            state.screen.next()
            assert state.screen.star.obsid == moves["next"]
            then = steps[moves["next"]].get("next")
            if then is not None:
                state.screen.next()
                assert state.screen.star.obsid == then
            state.screen.select(here)
        if "previous" in moves:
            state.screen.previous()
            assert state.screen.star.obsid == moves["previous"]
            state.screen.select(here)
        state.decide("accept", painted_obsid=here)
        if "decide" not in moves:
            break
        assert state.screen.star.obsid == moves["decide"]
        if rng.random() < 0.3:
            state.screen.select(int(rng.choice(state.queue.obsids)))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0]), np.array([1.0], np.float32), False),
        (np.array([1.0, 2.0]), np.array([1.0]), False),
        ([1, float("nan")], [1, float("nan")], True),
        ({"x": [1]}, {"x": [2]}, False),
        ({"x": [1]}, {"y": [1]}, False),
        ("a", None, False),
        (1, 1.0, True),
    ],
)
def test_values_are_told_apart(one, other, is_same):
    assert _same(one, other) is is_same
    assert _same(other, one) is is_same
