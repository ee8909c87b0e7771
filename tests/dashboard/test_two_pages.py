"""Two pages on one survey: undo, polls, what is shared and what is given back."""

import asyncio
import gc
import re
import threading
import time
import weakref
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import panel as pn
import pytest
from bokeh.application import Application
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.application.handlers.function import FunctionHandler
from bokeh.core.types import ID
from bokeh.server.contexts import ApplicationContext
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from dashboard.app import VettingApp
from dashboard.planes.linked import LinkedView
from dashboard.state import CoAdded, Session, shared_data
from dashboard.views.compare import CompareView
from dashboard.views.exporting import ExportView
from dashboard.views.places import PLANES
from dashboard.views.queue import QueueView
from dashboard.views.spectrum import SpectrumView
from msfa_core.errors import StoreError

REQUEST = SimpleNamespace(
    arguments={}, cookies={}, headers={}, uri="/", path="/", protocol="http", host="localhost"
)

# bokeh fills the queue table in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")


def test_undo_passes_over_what_another_page_of_the_reviewer_took_back(survey):
    first, second = Session(survey, "anna"), Session(survey, "anna")
    a = first.decide("accept", painted_obsid=first.screen.selected)
    b = first.decide("reject", painted_obsid=first.screen.selected)
    assert second.undo().obsid == b.obsid  # page B takes back what page A decided last
    assert first.undo().obsid == a.obsid
    with pytest.raises(StoreError, match="no standing decision"):
        first.undo()


def test_what_others_decide_moves_neither_zoom_nor_sliders_nor_the_queue(survey):
    mine, other = Session(survey, "anna"), Session(survey, "bert")
    view = SpectrumView(state=mine)
    view.figure.y_range.update(start=-3.0, end=7.0)
    view.lines.velocity.value = 120
    on_screen = mine.screen.selected
    other.screen.select(on_screen)
    other.decide("accept", painted_obsid=on_screen)
    mine.follow()
    assert [d.reviewer for d in mine.screen.star.decisions] == ["bert"]  # it is known
    assert (view.figure.y_range.start, view.figure.y_range.end) == (-3.0, 7.0)
    assert view.lines.velocity.value == 120
    assert mine.screen.selected == on_screen


def test_a_verdict_that_comes_back_late_does_not_take_the_reviewer_away(state):
    judged = state.judge(state.screen.selected, verdict="accept")
    stored = state.data.store.append_decision(judged)
    elsewhere = int(state.queue.obsids[7])
    state.screen.select(elsewhere)  # looked elsewhere meanwhile
    state.decided(stored)
    assert int(state.screen.selected) == elsewhere
    assert state.verdicts.mine[state.data.row(stored.obsid)] == "accept"


def test_a_verdict_kept_through_a_lost_connection_is_stored_once_for_its_own_star(state):
    kept, key = state.screen.selected, "0" * 32
    first = state.judge(kept, key=key, verdict="reject", comment="kept")
    state.screen.next()
    again = state.judge(kept, key=key, is_kept=True, verdict="reject", comment="kept")
    stored = [state.data.store.append_decision(one) for one in (first, again)]
    assert stored[0].decision_id == stored[1].decision_id
    assert str(stored[0].obsid) == kept


def test_a_new_order_begins_at_its_head(state):
    queue = QueueView(state=state)
    state.screen.next()
    queue.order.value = "faint"
    assert int(state.screen.selected) == int(state.queue.obsids[0])


def test_a_reviewer_begins_with_a_star_that_is_left_to_do(survey):
    before = Session(survey, "anna")
    judged = before.screen.selected
    before.decide("accept", painted_obsid=judged)
    state = Session(survey, "")
    state.screen.select(judged)
    state.verdicts.reviewer = "anna"  # the browser knows the name
    assert state.screen.selected != judged
    linked = Session(survey, "")
    linked.screen.select(judged)
    linked.is_linked = True
    linked.verdicts.reviewer = "anna"
    assert linked.screen.selected == judged


@pytest.mark.parametrize(
    "view_of",
    [
        lambda state: CompareView(state, go_to_star=lambda: None),
        lambda state: ExportView(state=state),
    ],
)
def test_hidden_pages_sleep_and_wake_up_to_date(state, monkeypatch, view_of):
    view, asked = view_of(state), []
    is_compare = isinstance(view, CompareView)
    name, holder = ("by_reviewer", state.verdicts) if is_compare else ("outgoing", view)
    own = getattr(holder, name)
    monkeypatch.setattr(holder, name, lambda *a, **k: asked.append(1) or own(*a, **k))
    view.in_sight = False
    state.decide("accept", painted_obsid=state.screen.selected)
    assert asked == []
    view.in_sight = True
    assert asked
    asked.clear()
    view.in_sight = False
    view.in_sight = True  # nothing happened meanwhile
    assert asked == []


def threads():
    return Counter(re.sub(r"[-_]\d+", "", thread.name) for thread in threading.enumerate())


def too_many(before):
    """Return the threads that are more than before, and than the last session may ask for."""
    asked = {"read-ahead": 1, "answers": 1, "slow-answers": 1, "decisions": 2}
    now = threads()
    return {k: n for k, n in now.items() if n > max(before[k], asked.get(k, 0))}


def test_sessions_and_reloads_give_back_their_threads_and_stores(survey):
    def session():
        app = VettingApp(survey, reviewer="anna")
        app.state.decide("accept", painted_obsid=app.state.screen.selected)
        app.state.undo()
        table = survey.table()
        survey.write_table(table.assign(p_bhb=table["p_bhb"]))  # a step was run meanwhile
        app.state.reload()
        app.state.decide("unsure", painted_obsid=app.state.screen.selected)
        app.state.undo()
        app.state.close()

    pn.state.cache.clear()
    session()
    before = threads()
    for _ in range(4):
        session()
    gc.collect()
    until = time.monotonic() + 20  # those that were told to end may not have had their turn
    while too_many(before) and time.monotonic() < until:
        time.sleep(0.05)
    assert not too_many(before)
    assert shared_data(survey).n_sessions == 1


def test_blind_hides_classes_orders_and_menus_on_every_page(survey):
    app = VettingApp(survey, reviewer="anna")
    state = app.state
    for name in ("Export", "Compare", "Vet"):  # seen before: the browser turns to them by itself
        app.header.turn_to(name)
    state.verdicts.blind = True
    assert list(state.queue.obsids) == sorted(state.queue.obsids)
    queue = app.queue
    assert app.page.select(pn.widgets.Select) != []
    assert not {queue.scope, queue.verdict, queue.reason, queue.order} & set(
        app.page.select(pn.widgets.Select)
    )
    texts = [str(pane.object) for pane in app.page.select(pn.pane.HTML)]
    told = " ".join([*texts, app.spectrum.figure.title.text, *queue.table.value["class"]])
    for word in ("candidates", "A1V", "template", "stage 1", "networks say", "accepted"):
        assert word not in told, word
    assert "BLIND" in told
    assert told.count("You are reviewing blind") == 2
    state.verdicts.blind = False
    assert "A1V" in app.spectrum.figure.title.text


def test_a_page_that_was_never_made_is_shut_when_it_is_looked_at_while_blind(survey):
    """Whatever stands on the page anew has all of it looked through: 0.1 s of going blind."""
    app = VettingApp(survey, reviewer="anna")
    leaves = app.header._leaves
    before = {name: list(leaf.column) for name, leaf in leaves.items()}
    app.state.verdicts.blind = True
    assert {name: list(leaf.column) for name, leaf in leaves.items()} == before
    for name, leaf in leaves.items():
        app.header.turn_to(name)
        assert leaf.page is None
        texts = [str(pane.object) for pane in leaf.column.select(pn.pane.HTML)]
        assert "You are reviewing blind" in " ".join(texts)
    app.header.turn_to("Vet")
    app.state.verdicts.blind = False
    for name, leaf in leaves.items():
        app.header.turn_to(name)
        assert list(leaf.column) == before[name]
        assert leaf.page is not None


@asynccontextmanager
async def visited(survey, is_drawn=True):
    """A session of a page, its app and its end: somebody comes, and goes."""
    apps = []

    def make(document):
        with set_curdoc(document):
            apps.append(VettingApp(survey, reviewer="anna"))
            if is_drawn:
                pn.panel(apps[0]).server_doc(document)

    page = Application(FunctionHandler(make), DocumentLifecycleHandler())
    context = ApplicationContext(page, io_loop=IOLoop.current())
    session = await context.create_session_if_needed(ID("visited"), REQUEST)
    yield session, apps[0]
    await context._discard_session(session, lambda _: True)


@pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")  # bokeh's own
def test_a_page_left_with_overlays_drawn_gives_back_its_survey(survey, monkeypatch, caplog):
    """As it goes its figures hold nothing any more: nothing is drawn on them."""

    async def visit():
        async with visited(survey) as (session, app):
            answers = app.state.answers

            def overlay():
                with set_curdoc(session.document):
                    answers.with_coadd = True
                    answers.coadded = CoAdded(app.state.screen.star.obsid, None)  # it was answered

            await session.with_document_locked(overlay)
        return app.state.data.n_sessions

    monkeypatch.setattr(type(pn.state), "app_url", "/dashboard")  # as a server of it knows
    pn.state.cache.clear()
    assert asyncio.run(visit()) == 0
    assert "failed with following error" not in caplog.text


@pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")  # bokeh's own
def test_a_page_that_nobody_waited_for_gives_back_its_survey_too(survey, monkeypatch):
    """A browser that left before the page was drawn never connects; its session ends alone."""

    async def visit():
        async with visited(survey, is_drawn=False) as (_, app):
            held = app.state.data.n_sessions
        return held, app.state.data.n_sessions

    monkeypatch.setattr(type(pn.state), "app_url", "/dashboard")  # as a server of it knows
    pn.state.cache.clear()
    assert asyncio.run(visit()) == (1, 0)


@pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")  # bokeh's own
def test_a_page_does_not_take_what_it_says_for_what_its_browser_says(survey, monkeypatch):
    """Else what it said first comes back some time after what it said last."""

    async def visit():
        async with visited(survey) as (session, app):
            pn.state._connected[session.document] = True  # as when a browser has asked for the page

            def say(words, order):
                app.queue.order.value = order
                app.strip.content = app.strip.content | {"facts": words}
                app.state.status.say(words)

            def say_together(words, order):
                with set_curdoc(session.document), pn.io.hold():
                    say(words, order)

            await session.with_document_locked(say_together, "first", "snr_g")
            with set_curdoc(session.document):
                await session.with_document_locked(say, "last", "p_bhb")
            await asyncio.sleep(0.3)
            said = (app.verdict.message, app.strip.content["facts"], app.queue.order.value)
            menu, _ = next(iter(app.queue.order._models.values()))
            chosen = menu.lookup("value").set_from_json, menu, app.queue.order.labels[2]
            await session.with_document_locked(*chosen, setter=session)  # as what a browser sends
            await asyncio.sleep(0.3)
            return said, app.queue.order.value == app.queue.order.values[2]

    monkeypatch.setattr(type(pn.state), "app_url", "/dashboard")  # as a server of it knows
    pn.state.cache.clear()
    said, chosen = asyncio.run(visit())
    assert said == ("last", "last", "p_bhb")
    assert chosen


def in_sight(part):
    """What of a layout can be seen: itself and what it holds, unless it is put away."""
    inner = getattr(part, "objects", []) if isinstance(part, pn.layout.ListLike) else []
    return [part, *(one for held in inner for one in in_sight(held))] if part.visible else []


@pytest.mark.parametrize("plane", list(PLANES))
def test_blind_no_plane_says_on_which_side_of_a_limit_a_star_lies_nor_how_many_do(survey, plane):
    app = VettingApp(survey, reviewer="anna")
    app.places["lower"].choose(plane)
    view = app.places["lower"].view(plane)
    app.state.verdicts.blind = True
    keys = view.param["shown"].objects if isinstance(view, LinkedView) else [""]
    for key in keys:
        if key:
            view.shown = key
        shown = in_sight(pn.panel(view))
        texts = [str(getattr(part, "object", "")) for part in shown]
        texts += [str(getattr(part, "label", "")) for part in shown]
        told = " ".join(texts).replace("outside the frame", "")
        found = re.search(r"\b(inside|outside|BHB side|set aside|queue \w+)\b", told)
        assert found is None, (plane, key, found)
    app.state.verdicts.blind = False
    if plane in ("D0.2–fm", "CMD"):
        assert "inside" in view._caption.object


@pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning")  # bokeh's own
@pytest.mark.parametrize("is_drawn", [False, True])
def test_of_a_page_that_has_gone_nothing_is_kept(survey, monkeypatch, is_drawn):
    kept = []

    def make(document):
        with set_curdoc(document):
            app = VettingApp(survey, reviewer="anna")
            pn.panel(app).server_doc(document)
            kept.append([weakref.ref(one) for one in (document, app, app.state, app.page)])

    async def visit(name):
        page = Application(FunctionHandler(make), DocumentLifecycleHandler())
        context = ApplicationContext(page, io_loop=IOLoop.current())
        session = await context.create_session_if_needed(ID(name), REQUEST)
        session.document.to_json()
        if is_drawn:
            pn.state._schedule_on_load(session.document, None)
            await asyncio.sleep(0.5)
        await context._discard_session(session, lambda _: True)
        del session, context, page
        await asyncio.sleep(0.1)

    monkeypatch.setattr(type(pn.state), "app_url", "/dashboard")  # as a server of it knows
    pn.state.cache.clear()
    for number in range(3):
        asyncio.run(visit(f"page {number}"))
    gc.collect()
    left = [[one() is not None for one in page] for page in kept]
    assert left[:2] == [[False] * 4] * 2  # what was last asked may be held a moment
