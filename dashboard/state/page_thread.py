"""Pages are made in a thread of their own: meanwhile the server answers who is at work.

To make one takes a second, and the server has one thread for all. A key that was pressed then, and
the scripts that the browser of the new page asks for, waited for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from copy import copy
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import bokeh.io.doc
import panel as pn
from bokeh.application import Application
from bokeh.application.application import SessionContext
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.server.contexts import ApplicationContext
from bokeh.server.session import ServerSession
from panel.links import Callback
from tornado.httputil import HTTPServerRequest

# s after which a thread lets another have the interpreter: who is at work waits for it several
# times at each key (5 ms by default)
TURN: Final = 0.001


class _OwnStack(threading.local):
    """The documents that are being worked on, the last one on top: of each thread its own."""

    def __init__(self) -> None:
        self._documents: list[Any] = []

    def append(self, document: Any) -> None:
        self._documents.append(document)

    def pop(self) -> Any:
        return self._documents.pop()

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Any:
        return self._documents[index]


class _ReadAtOnce(WeakKeyDictionary[Any, Any]):
    """A table that may grow while somebody goes through it."""

    def values(self) -> Iterator[Any]:  # type: ignore[override]  # as it is
        keys = [key for one in self.keyrefs() if (key := one()) is not None]
        return iter([value for key in keys if (value := self.get(key)) is not None])


def tell_threads_apart() -> None:
    """Have each thread know the document that it works on, and no other's.

    Bokeh keeps one list for all: while a page is made, another page would take it for its own.
    Panel goes through what runs in the browsers of all pages whenever one of them changes what
    stands on it: a page that is made meanwhile adds to it, and the change would fail.
    """
    if not isinstance(bokeh.io.doc._PATCHED_CURDOCS, _OwnStack):
        bokeh.io.doc._PATCHED_CURDOCS = _OwnStack()
        Callback.registry = _ReadAtOnce(Callback.registry)


class PageThread:
    """Makes the pages of an app, one after the other.

    Parameters
    ----------
    contexts : ApplicationContext
        Of the app. What it knows is changed in the thread of the server alone.
    finish : callable
        Done with each document in the same thread, once it is made.
    begin : callable, optional
        Done with what is known of each page, who asks for it above all, before it is made.
    """

    def __init__(
        self,
        contexts: ApplicationContext,
        finish: Callable[[Document], object],
        begin: Callable[[SessionContext], object] = lambda _: None,
    ) -> None:
        tell_threads_apart()
        sys.setswitchinterval(TURN)
        self._app = _MadeApart(contexts.application, finish, begin)
        self._apart = copy(contexts)
        self._apart._application = self._app

    async def make(
        self, session_id: ID, request: HTTPServerRequest | None = None, token: str | None = None
    ) -> ServerSession:
        """Return the session of this name, made where there is none.

        Parameters
        ----------
        session_id, request, token
            As for `ApplicationContext.create_session_if_needed`.
        """
        try:
            return await ApplicationContext.create_session_if_needed(
                self._apart, session_id, request, token
            )
        except BaseException:  # else whoever asks once more waits for ever
            self._apart._pending_sessions.pop(session_id, None)
            raise

    async def do(self, action: Callable[[], object]) -> None:
        """Do something there, after the pages that are being made."""
        await self._app.do(action)


class _MadeApart(Application):
    """An app whose pages are made in another thread, where Bokeh waits for something anyway."""

    def __init__(
        self,
        app: Application,
        finish: Callable[[Document], object],
        begin: Callable[[SessionContext], object],
    ) -> None:
        self.__dict__.update(vars(app))
        self._app, self._finish, self._begin = app, finish, begin
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pages")
        self._failed: dict[int, Exception] = {}

    async def on_session_created(self, session_context: SessionContext) -> None:
        self._begin(session_context)
        await self._app.on_session_created(session_context)
        document = session_context._document
        try:
            await self.do(partial(self._make, document))
        except Exception as error:  # raised below, where whoever asked hears of it
            self._failed[id(document)] = error
        pn.state._thread_id_[document] = threading.get_ident()  # it is the server's from now on

    async def do(self, action: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, copy_context().run, action)

    def _make(self, document: Document) -> None:
        self._app.initialize_document(document)
        self._finish(document)

    def initialize_document(self, doc: Document) -> None:
        if error := self._failed.pop(id(doc), None):
            raise error
