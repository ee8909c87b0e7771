"""A page made before it is asked for is given to who asks for just that, while it is still true."""

import asyncio
import gc
import gzip
import json
import re
import shutil
import threading
import weakref
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
from bokeh.application import Application
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.application.handlers.function import FunctionHandler
from bokeh.core.json_encoder import serialize_json
from bokeh.core.types import ID
from bokeh.models import Div, ImportedStyleSheet
from bokeh.server.contexts import ApplicationContext
from bokeh.server.server import Server as BokehServer
from bokeh.util.token import generate_jwt_token
from panel.io.state import set_curdoc
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.ioloop import IOLoop
from tornado.tcpclient import TCPClient
from tornado.websocket import WebSocketClosedError

import dashboard.state.spare
from dashboard.app import VettingApp
from dashboard.state import Session
from dashboard.state.door import Door
from dashboard.state.gone import give_back_all, let_close_twice, let_leave
from dashboard.state.spare import SparePage, Waiting, is_written_ahead, may_wait
from dashboard.state.turns import is_local
from msfa_core.survey.subsets import name_subset
from msfa_core.vetting.decision import Verdict

pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
    pytest.mark.filterwarnings("ignore:The 'mode.chained_assignment' option is deprecated"),
    pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning"),  # bokeh's own
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(dashboard.state.spare, "QUIET", 0.02)
    monkeypatch.setattr(dashboard.state.spare, "LOOK_EVERY", 0.01)
    # it looks at all that five thousand tests have imported: two seconds for each page
    monkeypatch.setattr(dashboard.state.spare, "give_back_all", lambda: None)


@pytest.fixture
def _gives_back(_at_once, monkeypatch):
    monkeypatch.setattr(dashboard.state.spare, "give_back_all", give_back_all)


def request(uri="/dashboard", **headers):
    given = HTTPHeaders({"Host": "localhost:5006", "User-Agent": "a browser"})
    for name, value in headers.items():
        given[name] = value
    connection = SimpleNamespace(
        context=SimpleNamespace(remote_ip="127.0.0.1", protocol="http"), no_keep_alive=False
    )
    line = RequestStartLine("GET", uri, "HTTP/1.1")
    return HTTPServerRequest(headers=given, connection=connection, start_line=line)


class Server:
    """An app of a server without its sockets."""

    def __init__(self, make):
        self.n_made = 0

        def count(document):
            self.n_made += 1
            make(document)

        app = Application(FunctionHandler(count), DocumentLifecycleHandler())
        self.contexts = ApplicationContext(app, io_loop=IOLoop.current(), url="/dashboard")
        self.spare = SparePage(self.contexts)
        self.n_asked = 0

    async def page(self, asked=None, *, is_drawn=True):
        self.n_asked += 1
        name = ID(f"page {self.n_asked}")
        session = await self.contexts.create_session_if_needed(
            name, asked or request(), generate_jwt_token(name, signed=False)
        )
        assert session.id == name
        assert self.contexts._sessions[name] is session
        assert self.contexts._session_contexts[name].id == name
        if is_drawn:
            await self.heard(session)
        return session

    async def heard(self, session):
        """Have the browser of a page say something."""
        with set_curdoc(session.document):
            await session._handle_patch(
                SimpleNamespace(apply_to_document=lambda *_: None, msgid="1"),
                SimpleNamespace(ok=lambda _: None),
            )

    async def ready(self):
        for _ in range(1000):
            if self.spare.ready is not None:
                assert is_written_ahead(self.spare.ready.document)
                return self.spare.ready
            await asyncio.sleep(0.01)
        raise AssertionError("no page was made ready")

    async def close(self):
        for session in list(self.contexts._sessions.values()):
            while session.expiration_blocked:
                session.unblock_expiration()
            await self.contexts._discard_session(session, lambda _: True)


def run(make, visit):
    async def whole():
        server = Server(make)
        try:
            await visit(server)
        finally:
            await server.close()

    asyncio.run(whole())


def plain(document, *, is_true=lambda: True, is_late=lambda: False, bring_up=lambda: None):
    document.add_root(Div(text="a page"))
    may_wait(document, Waiting(is_true, is_late, bring_up))


def test_who_asks_for_the_same_gets_the_page_that_lies_ready_and_what_is_sent_is_worked_out():
    async def visit(server):
        first = await server.page()
        spare = await server.ready()
        assert spare is not first
        sent = spare.document.to_json
        second = await server.page(request(Referer="elsewhere"))
        assert second is spare
        assert not second.expiration_blocked  # given back like any other when it is left
        assert not second.destroyed
        assert second.document.to_json is sent
        assert sent().content["roots"][0]["attributes"]["text"] == "a page"
        assert second.document.to_json is not sent  # asked once more, it is worked out anew
        assert await server.ready() not in (first, second)  # one more for the next

    run(plain, visit)


@pytest.mark.parametrize(
    "other",
    [
        request("/dashboard?theme=dark"),
        request("/dashboard?blind=1"),
        request("/elsewhere/dashboard"),
        request(Host="vetting.example"),
        request(Cookie="user=bert"),
        request(Authorization="Basic YmVydDp4"),
        request(**{"X-Forwarded-For": "10.0.0.1"}),
        request(**{"X-Forwarded-User": "bert"}),
        request(**{"X-Real-IP": "10.0.0.1"}),
        request(Forwarded="for=10.0.0.1"),
        request(**{"Remote-User": "bert"}),
        request(**{"X-Auth-Request-Groups": "admins"}),
    ],
    ids=lambda one: f"{one.uri} {one.headers}",
)
def test_a_page_made_for_one_is_not_given_to_another(other):
    async def visit(server):
        await server.page()
        spare = await server.ready()
        second = await server.page(other)
        assert second is not spare
        assert spare.destroyed
        assert (await server.ready()).id not in ("page 1", "page 2")

    run(plain, visit)


@pytest.mark.parametrize("login", [{}, {"X-Forwarded-User": "anna"}])
def test_behind_a_proxy_the_number_of_a_request_and_its_computer_do_not_matter(login):
    def asks(number, **said):
        return request(
            **{
                "X-Real-IP": f"10.0.0.{number}", "X-Forwarded-For": f"10.0.0.{number}",
                "Forwarded": f"for=10.0.0.{number}", "X-Request-Id": f"{number}",
                "Traceparent": f"00-{number}-01", "Cf-Ray": f"{number}", "Via": "1.1 proxy",
            },
            **login | said,
        )  # fmt: skip

    async def visit(server):
        await server.page(asks(1))
        spare = await server.ready()
        assert await server.page(asks(2)) is spare
        spare = await server.ready()
        assert await server.page(asks(3, **{"X-Forwarded-User": "bert"})) is not spare

    run(plain, visit)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-real-ip", "FORWARDED", "Via"])
def test_who_comes_through_a_proxy_is_not_taken_for_the_user_of_this_computer(name):
    def document(**headers):
        asked = SimpleNamespace(headers={"Host": "localhost:5006"} | headers)
        return SimpleNamespace(session_context=SimpleNamespace(request=asked))

    assert is_local(document())
    assert not is_local(document(**{name: "10.0.0.1"}))


@pytest.mark.parametrize(
    "other",
    [
        request(**{"User-Agent": "another browser", "Accept-Language": "de"}),
        request("/dashboard?obj=1"),
        request(Cookie="msfa-reviewer-5006=bert"),
    ],
    ids=lambda one: f"{one.uri} {one.headers}",
)
def test_a_page_becomes_that_of_whoever_asks(other):
    """What their address and name make of it, it is told when it is given."""
    told = []

    def make(document):
        def bring_up():
            asks = document.session_context.request
            star = asks.arguments.get("obj", [b""])[0].decode()
            told.append((star, asks.cookies.get("msfa-reviewer-5006", "")))
            document.roots[0].text = " ".join(told[-1])

        plain(document, bring_up=bring_up)

    async def visit(server):
        await server.page()
        spare = await server.ready()
        assert not told
        assert await server.page(other) is spare
        assert is_written_ahead(spare.document)
        said = spare.document.to_json().content["roots"][0]["attributes"]["text"]
        assert [said] == [" ".join(words) for words in told]

    run(make, visit)
    star = "1" if "obj" in other.uri else ""
    assert told == [(star, "bert" if "Cookie" in other.headers else "")]


def test_a_page_that_cannot_be_brought_up_is_made_anew():
    def fail():
        raise OSError("the store is gone")

    async def visit(server):
        await server.page()
        spare = await server.ready()
        assert await server.page() is not spare
        assert spare.destroyed

    run(lambda document: plain(document, bring_up=fail), visit)


def test_what_was_decided_since_is_made_up_for_while_nobody_is_at_work(monkeypatch):
    monkeypatch.setattr(dashboard.state.spare, "CHECK_EVERY", 0.05)
    is_late, n_brought = [False], []

    def bring_up():
        n_brought.append(is_late[0])
        is_late[0] = False

    async def visit(server):
        page = await server.page()
        spare = await server.ready()
        await asyncio.sleep(0.2)
        assert not n_brought
        page.subscribe(browser := object())  # at work: it would hold up the next key
        is_late[0] = True
        await asyncio.sleep(0.2)
        assert not n_brought
        page.unsubscribe(browser)
        await asyncio.sleep(0.3)
        assert n_brought == [True]
        assert await server.page() is spare

    run(lambda document: plain(document, is_late=lambda: is_late[0], bring_up=bring_up), visit)


def test_a_page_that_is_made_when_its_socket_opens_is_dressed_by_its_own_server():
    """With --num-procs or --reuse-sessions nothing is given out of it before."""
    tables = []

    def make(document):
        with set_curdoc(document):
            column = pn.Column()
            column.server_doc(document)
        tables.append(column)

    async def visit(server):
        page = await server.page()

        def add():
            with set_curdoc(page.document):
                tables[0].append(pn.widgets.Tabulator())

        await page.with_document_locked(add)
        await asyncio.sleep(0.2)
        sheets = list(page.document.select({"type": ImportedStyleSheet}))
        assert [one.url for one in sheets if "://" in one.url] == []
        assert len(sheets) > 1

    run(make, visit)


def test_who_asks_while_a_page_is_made_ready_gets_it():
    may_go, is_asked = threading.Event(), threading.Event()

    def make(document):
        if is_asked.is_set():
            assert may_go.wait(10)
        plain(document)

    async def visit(server):
        await server.page()
        is_asked.set()
        while server.spare._making is None:
            await asyncio.sleep(0.01)
        page = asyncio.ensure_future(server.page())
        await asyncio.sleep(0.1)
        assert not page.done()
        may_go.set()
        assert (await page) is not None
        assert server.n_made == 2

    run(make, visit)


def test_a_page_that_is_no_longer_true_is_thrown_away():
    is_true = [True]

    async def visit(server):
        await server.page()
        spare = await server.ready()
        is_true[0] = False
        assert await server.page() is not spare
        assert spare.destroyed

    run(lambda document: plain(document, is_true=lambda: is_true[0]), visit)


def test_what_changes_on_a_page_that_lies_ready_is_sent():
    async def visit(server):
        await server.page()
        spare = await server.ready()
        div = spare.document.roots[0]
        await spare.with_document_locked(setattr, div, "text", "changed")
        second = await server.page()
        assert second is spare
        assert second.document.to_json().content["roots"][0]["attributes"]["text"] == "changed"

    run(plain, visit)


def test_nothing_is_made_while_somebody_is_at_work_or_for_a_page_that_is_not_drawn(monkeypatch):
    monkeypatch.setattr(dashboard.state.spare, "QUIET", 0.3)

    async def visit(server):
        page = await server.page(is_drawn=False)
        await asyncio.sleep(0.5)
        assert server.spare.ready is None
        for _ in range(10):
            await server.heard(page)
            await asyncio.sleep(0.05)
        assert server.spare.ready is None
        await server.ready()

    run(plain, visit)


def test_nothing_is_made_while_a_browser_draws_the_page_that_it_was_given(monkeypatch):
    """It would hold up all that the page asks for: seconds, where it should be there at once."""

    async def visit(server):
        await server.page(is_drawn=False)
        page = await server.page(request("/dashboard?n=1"), is_drawn=False)
        server.spare._opening.pop("page 1")
        server.spare._last = (request(), None)  # of a page that was drawn and left since
        server.spare._look_soon()
        await asyncio.sleep(0.3)
        assert server.spare.ready is None
        await server.heard(page)
        await server.ready()

    async def leave(server):
        await server.page(is_drawn=False)  # and its browser leaves
        server.spare._last = (request(), None)
        server.spare._look_soon()
        await server.ready()

    run(plain, visit)
    monkeypatch.setattr(dashboard.state.spare, "OPENS", 0.1)
    run(plain, leave)


def test_memory_is_searched_for_what_went_only_while_nobody_is_at_work(monkeypatch):
    """It would hold up the answer to the next key; that a page is made, does not."""
    n_given_back = []
    monkeypatch.setattr(dashboard.state.spare, "give_back_all", lambda: n_given_back.append(1))
    browser = object()

    async def visit(server):
        page = await server.page()
        page.subscribe(browser)
        spare = await server.ready()
        assert not n_given_back
        monkeypatch.setattr(dashboard.state.spare, "AWAY", 0.02)
        assert await server.page() is spare
        await server.ready()
        assert n_given_back
        page.unsubscribe(browser)

    run(plain, visit)


@pytest.mark.usefixtures("_gives_back")
def test_what_stays_is_not_searched_when_a_page_is_closed_and_what_went_is_given_back():
    class Held:
        """In a circle: only a search finds that nothing holds it."""

    async def visit(server):
        held = Held()
        held.itself = held
        went = weakref.ref(held)
        await server.page()
        await server.ready()
        assert len(gc.get_objects()) < gc.get_freeze_count() / 4
        del held
        gc.collect()
        assert went() is not None  # set aside with all that stays
        await server.page()
        await server.ready()
        assert went() is None

    try:
        run(plain, visit)
    finally:
        gc.unfreeze()


@pytest.mark.usefixtures("_gives_back")
def test_what_a_page_held_is_given_back_though_nobody_opens_another(monkeypatch):
    """One that was open when what stays was set aside: its reviewer was away, and left."""
    monkeypatch.setattr(dashboard.state.spare, "CHECK_EVERY", 0.05)

    class Held:
        """In a circle: only a search finds that nothing holds it."""

    async def visit(server):
        page = await server.page()
        held = Held()
        held.itself = held
        page.document.held = held
        went = weakref.ref(held)
        del held
        spare = await server.ready()
        page.document.held = None
        gc.collect()
        assert went() is not None  # set aside with all that stays
        await server.contexts._discard_session(page, lambda _: True)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if went() is None:
                break
        assert went() is None
        assert server.spare.ready is spare

    try:
        run(plain, visit)
    finally:
        gc.unfreeze()


def test_a_page_that_does_not_say_so_is_made_for_whom_it_is():
    async def visit(server):
        await server.page()
        await asyncio.sleep(0.3)
        assert server.spare.ready is None
        assert list(server.contexts._sessions) == ["page 1"]
        assert server.n_made == 1  # nor is it made to be thrown away: it claims a star, writes logs

    run(lambda document: document.add_root(Div(text="whose it is")), visit)


@pytest.mark.parametrize("is_ready", [True, False])
def test_two_who_ask_for_one_session_get_one(is_ready):
    """A browser's socket that is lost and opened anew names its session, while it is made."""

    async def visit(server):
        await server.page()
        if is_ready:
            await server.ready()
        else:
            server.spare._last = None
        given = await asyncio.gather(
            *(server.contexts.create_session_if_needed(ID("one"), request()) for _ in range(3))
        )
        assert set(given) == {server.contexts._sessions["one"]}
        assert server.n_made == 2

    # as what was decided since is made up for
    run(
        lambda document: plain(document, bring_up=lambda: document.roots[0].update(text="1")), visit
    )


def test_what_is_no_longer_true_is_not_kept_until_somebody_asks(monkeypatch):
    monkeypatch.setattr(dashboard.state.spare, "CHECK_EVERY", 0.05)
    is_true = [True]

    async def visit(server):
        await server.page()
        spare = await server.ready()
        await asyncio.sleep(0.3)
        assert server.spare.ready is spare
        is_true[0] = False
        while not spare.destroyed:
            await asyncio.sleep(0.01)
        is_true[0] = True
        while await server.ready() is spare:
            await asyncio.sleep(0.01)

    run(lambda document: plain(document, is_true=lambda: is_true[0]), visit)


def test_a_page_of_a_survey_may_lie_ready(survey):
    apps = []

    def make(document):
        with set_curdoc(document):
            apps.append(VettingApp(survey, reviewer="anna"))
            apps[-1].servable()

    async def visit(server):
        await server.page()
        spare = await server.ready()
        assert await server.page() is spare
        painted = spare.document.get_model_by_name("msfa-painted").tags[0]
        assert painted == str(apps[1].state.screen.star.obsid)

    run(make, visit)


def judge(survey):
    other = Session(survey, "bert")
    other.decide(Verdict.ACCEPT, painted_obsid=other.screen.star.obsid)
    other.close()


def name(survey):
    name_subset(survey.path, "halo", survey.table()["obsid"][:2], "by hand", "bert")


def rewrite(survey):
    table = survey.path / "candidates.parquet"
    shutil.copy(table, survey.path / "new")
    (survey.path / "new").rename(table)


def refer(survey):
    reference = reference_of(survey)
    reference.write_text(reference.read_text() + "0.1,0.6\n")


def reference_of(survey):
    return survey.path.with_name("reference.csv")


@pytest.mark.parametrize("change", [name, rewrite, refer])
@pytest.mark.parametrize("is_early", [True, False])
def test_a_page_of_a_survey_is_true_until_anything_changes_that_it_is_made_from(
    survey, monkeypatch, change, is_early
):
    lay_out = VettingApp._lay_out

    def change_and_lay_out(app):
        if dashboard.state.spare._being_made.keys() - {"page 1"} and is_early:
            change(survey)  # in a thread of its own all others are at work meanwhile
        return lay_out(app)

    monkeypatch.setattr(VettingApp, "_lay_out", change_and_lay_out)
    reference_of(survey).write_text("bp_rp,abs_mag_g\n0.0,0.5\n")

    def make(document):
        with set_curdoc(document):
            VettingApp(survey, reviewer="anna", reference=reference_of(survey)).servable()

    async def visit(server):
        await server.page()
        await server.ready()
        is_true = server.spare._waiting.is_true
        assert is_true() is not is_early
        if not is_early:
            judge(survey)  # is made up for
            assert is_true()
            change(survey)
            assert not is_true()

    run(make, visit)


def shown(document):
    """What the models of a page say, in their order, without the numbers that are its own."""
    numbers, found = {}, {}

    def walk(value, place):
        is_array = isinstance(value, dict) and value.get("type") == "ndarray"
        if is_array and isinstance(value["array"], list):
            walk(value["array"], place)
        elif is_array:
            numbers_of = b64decode(value["array"]["data"])
            numbers_of = (
                gzip.decompress(numbers_of) if numbers_of[:2] == b"\x1f\x8b" else numbers_of
            )
            walk(np.frombuffer(numbers_of, value["dtype"]).tolist(), place)
        elif isinstance(value, dict):
            if "id" in value:
                number = numbers.setdefault(value["id"], len(numbers))
                found[place] = number
                place = f"{number} {value.get('name')}" if "attributes" in value else place
            for key, one in value.items():
                if key != "id":
                    walk(one, f"{place}.{key}")
        elif isinstance(value, list):
            for at, one in enumerate(value):
                walk(one, f"{place}.{at}")
        else:
            own_number = r"\b[0-9a-f]{32}\b|\b[0-9]{12,}\b|(?<=[a-z])[0-9]{4,}\b"
            found[place] = re.sub(own_number, "", f"{value}")

    walk(json.loads(serialize_json(document.to_json().content["roots"])), "")
    return found


STAR = "/dashboard?obj={}"


@pytest.mark.parametrize(
    ("first", "other", "is_judged"),
    [
        (request(), request(), True),
        (request(), request(STAR), False),
        (request(STAR), request(), False),
        (request("/dashboard?obj=nonsense"), request(), False),
        (request("/dashboard?obj=nonsense"), request(STAR), False),
        (request(), request(Cookie="msfa-reviewer-5006=bert"), True),
        (request(Cookie="msfa-reviewer-5006=bert"), request(), False),
    ],
    ids=[
        "decided since", "a star", "no star", "no nonsense", "a star, no nonsense",
        "another name", "no name",
    ],
)  # fmt: skip
def test_a_page_that_was_brought_up_is_what_would_be_made_now(
    survey, monkeypatch, first, other, is_judged
):
    monkeypatch.setenv("MSFA_REVIEWER", "anna")
    star = str(survey.table()["obsid"].iloc[-1])
    first, other = (request(one.uri.format(star), **dict(one.headers)) for one in (first, other))

    def make(document):
        with set_curdoc(document):
            VettingApp(survey).servable()

    async def visit(server):
        await server.page(first)
        spare = await server.ready()
        monkeypatch.setattr(dashboard.state.spare, "QUIET", np.inf)  # no more are made ready
        if is_judged:
            judge(survey)
        assert await server.page(other) is spare
        server.spare._key = ()  # what lies ready fits nobody
        fresh = await server.page(other)
        assert fresh is not spare
        await asyncio.sleep(1.0)  # what follows the star a little later
        given, made = shown(spare.document), shown(fresh.document)
        other_than_made = [
            f"{place}: {given.get(place)}, not {made.get(place)}"
            for place in given | made
            if given.get(place) != made.get(place)
            and ".location." not in place  # a browser says itself where it is
        ]
        assert not other_than_made, "\n".join(other_than_made)

    run(make, visit)


def test_a_page_is_not_given_to_who_must_be_blind_where_it_was_made_for_who_sees(
    survey, monkeypatch
):
    monkeypatch.setenv("MSFA_REVIEWER", "anna")
    monkeypatch.setattr(Door, "must_be_blind", lambda _, name: name == "bert")

    def make(document):
        with set_curdoc(document):
            VettingApp(survey).servable()

    async def visit(server):
        await server.page()
        spare = await server.ready()
        monkeypatch.setattr(dashboard.state.spare, "QUIET", np.inf)  # no more are made ready
        page = await server.page(request(Cookie="msfa-reviewer-5006=bert"))
        assert page is not spare
        assert "BLIND" in json.dumps(shown(page.document))
        assert "BLIND" not in json.dumps(shown((await server.page()).document))

    run(make, visit)


@pytest.mark.parametrize(("fault", "is_told"), [(WebSocketClosedError(), 0), (ValueError(), 1)])
def test_a_page_that_is_left_while_it_is_sent_something_is_no_fault(fault, is_told):
    """Of what fails unawaited, asyncio tells with a traceback: it stood in the log of a server."""
    told = []

    async def serve():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        let_leave(loop)

        async def send():
            raise fault

        task = asyncio.ensure_future(send())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(serve())
    assert told == [fault] * is_told


def test_a_socket_that_the_pulse_found_closed_is_closed_without_a_traceback(caplog):
    """One that says what is no message is closed by the server, and need not answer it."""
    let_close_twice()

    async def visit():
        server = BokehServer(
            plain, port=0, io_loop=IOLoop.current(), keep_alive_milliseconds=20
        )  # fmt: skip
        server.start()
        where = f"localhost:{server.port}"
        page = (await AsyncHTTPClient().fetch(f"http://{where}/")).body.decode()
        token = re.search(r'"token":"([^"]+)"', page)[1]
        asks = (
            f"GET /ws HTTP/1.1\r\nHost: {where}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: bokeh, {token}\r\n\r\n"
        )
        socket = await TCPClient().connect("localhost", server.port)
        await socket.write(asks.encode())
        await socket.read_until(b"ACK")
        await socket.write(bytes((0x82, 0x81, 0, 0, 0, 0)) + b"?")  # no text
        await asyncio.sleep(0.3)
        socket.close()
        await asyncio.sleep(0.1)
        n_left = len(server._tornado._clients)
        server.stop()
        return n_left

    assert asyncio.run(visit()) == 0
    assert "protocol error" in caplog.text  # of bokeh, which closes it
    assert "Traceback" not in caplog.text
