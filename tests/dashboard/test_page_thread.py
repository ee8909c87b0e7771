"""While a page is made the server answers others, and its own browser fetches its scripts."""

import asyncio
import sys
import threading

import panel as pn
import pytest
from bokeh.application import Application as BokehApplication
from bokeh.application.handlers.function import FunctionHandler
from bokeh.core.types import ID
from bokeh.io import curdoc
from bokeh.io.doc import patch_curdoc
from bokeh.models import Div
from bokeh.server.contexts import ApplicationContext
from panel.io.application import Application
from panel.io.server import DocHandler, Server
from panel.io.state import set_curdoc
from panel.links import Callback
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from dashboard.state.head import send_heads_first
from dashboard.state.page_thread import PageThread

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*HTTPServerRequest:DeprecationWarning"),  # bokeh's own
]
PATIENCE = 10.0  # s


def pages_of(make, finish=lambda _: None):
    app = BokehApplication(FunctionHandler(make))
    contexts = ApplicationContext(app, io_loop=IOLoop.current(), url="/dashboard")
    return contexts, PageThread(contexts, finish)


def test_the_server_answers_while_a_page_is_made_and_each_works_on_its_own_document():
    is_begun, may_go = threading.Event(), threading.Event()
    seen = []

    def make(document):
        is_begun.set()
        assert may_go.wait(PATIENCE)
        with patch_curdoc(document), set_curdoc(document):  # as Panel does around a script
            seen.append((pn.state.curdoc, curdoc()))
            document.add_root(Div(text="a page"))

    async def visit():
        contexts, pages = pages_of(make)
        page = asyncio.ensure_future(pages.make(ID("one")))
        other = await ApplicationContext(
            BokehApplication(FunctionHandler(lambda document: document.add_root(Div()))),
            io_loop=IOLoop.current(),
        ).create_session_if_needed(ID("other"))
        while not is_begun.is_set():
            await asyncio.sleep(0.01)
        assert "one" not in contexts._sessions
        with patch_curdoc(other.document):  # as it does what a browser sent
            assert curdoc() is other.document
            may_go.set()
            session = await page
            assert curdoc() is other.document
        assert seen == [(session.document, session.document)]
        assert contexts._sessions == {"one": session}
        assert session.document.roots[0].text == "a page"
        assert session is await pages.make(ID("one"))
        with set_curdoc(session.document):
            assert pn.state._thread_id == threading.get_ident()

    asyncio.run(visit())


def test_what_stands_on_a_page_may_change_while_another_is_made():
    """Panel goes through what runs in the browsers of all pages then, and a new page adds to it."""
    is_over, held = threading.Event(), []

    def make(document):
        while not is_over.is_set():
            del held[300:]
            held.append(pn.widgets.Button())
            held[-1].jscallback(clicks="")
        document.add_root(Div())

    async def visit():
        _, pages = pages_of(make)
        sys.setswitchinterval(1e-6)
        column = pn.Column(pn.widgets.Button())
        root = column.get_root()
        page = asyncio.ensure_future(pages.make(ID("one")))
        try:
            for _ in range(300):
                Callback._process_callbacks(column, root, changed=column)
                await asyncio.sleep(0)
        finally:
            is_over.set()
            await page

    interval = sys.getswitchinterval()
    try:
        asyncio.run(visit())
    finally:
        sys.setswitchinterval(interval)


def test_pages_are_made_one_after_the_other_and_finished_in_the_same_thread():
    at_once, most, threads = [0], [0], set()

    def make(document):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        threads.add(threading.get_ident())
        document.add_root(Div())

    def finish(_):
        threads.add(threading.get_ident())
        at_once[0] -= 1

    async def visit():
        _, pages = pages_of(make, finish)
        made = await asyncio.gather(*(pages.make(ID(f"{n}")) for n in range(5)))
        assert len({session.document for session in made}) == 5
        await pages.do(lambda: threads.add(threading.get_ident()))

    asyncio.run(visit())
    assert most == [1]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_who_asks_for_a_page_that_cannot_be_made_is_told():
    def finish(_):
        raise ValueError("what a browser is sent cannot be written")

    async def visit():
        contexts, pages = pages_of(lambda document: document.add_root(Div()), finish)
        for _ in range(2):  # who asks once more is told once more
            with pytest.raises(ValueError, match="cannot be written"):
                await asyncio.wait_for(pages.make(ID("one")), PATIENCE)
        assert not contexts._sessions

    asyncio.run(visit())


@pytest.fixture
def _as_it_was(monkeypatch):
    monkeypatch.setattr(DocHandler, "get_session", DocHandler.get_session)
    monkeypatch.setattr(DocHandler, "write", RequestHandler.write)


class Visits:
    """An app of a server, whose pages are made when they may be."""

    def __init__(self):
        self.may_go, self.fails = threading.Event(), False
        self.title = "a title"

    def make(self, document):
        assert self.may_go.wait(PATIENCE)
        document.title = self.title
        document.add_root(Div(text="the body"))

    async def __aenter__(self):
        app = Application(FunctionHandler(self.make))
        self.server = Server({"/app": app}, port=0, io_loop=IOLoop.current())
        self.server.start()
        contexts = self.server._tornado._applications["/app"]
        pages = PageThread(contexts, lambda _: None)

        async def session(name, request=None, token=None):
            if self.fails:
                raise ValueError("no page")
            return await pages.make(name, request, token)

        vars(contexts)["create_session_if_needed"] = session
        send_heads_first(contexts)
        return self

    async def __aexit__(self, *_):
        self.server.stop()

    async def ask(self, query=""):
        """Ask for a page; return what has come of it so far, and what waits for the whole."""
        parts = []
        client = AsyncHTTPClient(force_instance=True)
        url = f"http://127.0.0.1:{self.server.port}/app{query}"
        answer = asyncio.ensure_future(
            client.fetch(url, request_timeout=PATIENCE, streaming_callback=parts.append)
        )

        async def whole():
            await answer
            return b"".join(parts).decode()

        return parts, whole()

    async def come(self, parts):
        """Wait a little for what may come."""
        for _ in range(30):
            await asyncio.sleep(0.01)
            if parts:
                break
        return b"".join(parts).decode()


@pytest.mark.usefixtures("_as_it_was")
def test_the_head_of_a_page_comes_while_the_page_is_made():
    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            _, whole = await visits.ask()
            first = await whole
            assert "a title" in first
            visits.may_go.clear()
            for query in ("", "?obj=5"):
                parts, whole = await visits.ask(query)
                head = await visits.come(parts)
                assert head == first[: first.index("<body>") + len("<body>")]
                visits.may_go.set()
                page = await whole
                assert page.startswith(head)
                assert page.count("<head>") == page.count("<body>") == page.count("</html>") == 1
                visits.may_go.clear()

    asyncio.run(visit())


@pytest.mark.usefixtures("_as_it_was")
def test_a_page_whose_head_is_another_is_loaded_again_and_its_head_waited_for_from_then_on():
    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            await (await visits.ask())[1]
            visits.title = "another title"
            page = await (await visits.ask())[1]
            assert "a title" in page
            assert page.endswith("<script>location.reload()</script>")
            page = await (await visits.ask())[1]
            assert "another title" in page
            assert page.rstrip().endswith("</html>")

    asyncio.run(visit())


@pytest.mark.usefixtures("_as_it_was")
def test_a_page_that_cannot_be_made_after_its_head_says_so(caplog):
    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            await (await visits.ask())[1]
            visits.fails = True
            page = await (await visits.ask())[1]
            assert "could not be made" in page
            with pytest.raises(HTTPClientError, match="500"):
                await (await visits.ask("?theme=dark"))[1]  # no head of its kind is known

    asyncio.run(visit())


@pytest.mark.usefixtures("_as_it_was")
def test_addresses_that_anybody_writes_take_no_head_from_others():
    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            for query in (*(f"?theme={n}" for n in range(20)), "?theme=dark"):
                await (await visits.ask(query))[1]
            visits.may_go.clear()
            parts, whole = await visits.ask("?theme=dark")
            assert await visits.come(parts)
            visits.may_go.set()
            await whole

    asyncio.run(visit())


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("named", ["?bokeh-session-id=x&bokeh-token=y", "?bokeh-token=y"])
def test_who_names_a_session_hears_whether_they_may_have_it(named):
    """The head would say that all is well: it cannot be taken back."""

    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            await (await visits.ask())[1]
            with pytest.raises(HTTPClientError) as without_head:
                await (await visits.ask(f"{named}&theme=dark"))[1]  # no head of its kind is known
            with pytest.raises(HTTPClientError) as with_head:
                await (await visits.ask(named))[1]
            assert with_head.value.code == without_head.value.code >= 400

    asyncio.run(visit())


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_page_ends_for_who_knows_no_chunks(is_kept):
    """A proxy that speaks HTTP/1.0 knows the end of a page by its length, or by its closing."""

    async def visit():
        async with Visits() as visits:
            visits.may_go.set()
            await (await visits.ask())[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", visits.server.port)
            kept = "Connection: keep-alive\r\n" if is_kept else ""
            writer.write(f"GET /app HTTP/1.0\r\nHost: localhost\r\n{kept}\r\n".encode())
            said = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
            if "Content-Length: " in said:
                length = int(said.partition("Content-Length: ")[2].split()[0])
                page = await asyncio.wait_for(reader.readexactly(length), PATIENCE)
            else:
                page = await asyncio.wait_for(reader.read(), PATIENCE)
            assert page.decode().rstrip().endswith("</html>")
            writer.close()

    asyncio.run(visit())
