"""A page that is made before it is asked for: whoever opens the app next does not wait for it.

To make one takes seconds in which the server answers nobody. So it is done when no page is open,
or when nobody has touched one for a minute: a server that has given a page then makes one more
from the same request, and works out what will be sent of it. The next who asks for just that
(address, host, headers) gets it, if it is still what would be made for them then; else it is
thrown away.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final

import panel as pn
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import DocumentChangedEvent
from bokeh.server.contexts import ApplicationContext
from bokeh.server.session import ServerSession, current_time
from panel.io.resources import LOCAL_DIST, patch_model_css
from panel.io.state import set_curdoc
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop

from dashboard.state.gone import give_back_all
from dashboard.state.turns import is_live

logger = logging.getLogger(__name__)

QUIET: Final = 2.0  # s after anybody did anything, before a page is made where none is open
AWAY: Final = 60.0  # s, where one is: its reviewer is not at work
OPENS: Final = 10.0  # s that a browser may take to draw the page it was given
LOOK_EVERY: Final = 0.25  # s
CHECK_EVERY: Final = 4.0  # s, whether what lies ready is still true: it holds files, too
OF_A_MOMENT: Final = (  # headers that say how a browser came here, not who it is
    "cache-control", "pragma", "if-none-match", "if-modified-since", "referer", "priority",
    "connection", "sec-",
)  # fmt: skip
_being_made: dict[ID, Callable[[], bool] | None] = {}


def may_wait(document: Document | None, is_fit: Callable[[], bool]) -> None:
    """Say of a page that it may be made before it is asked for.

    Parameters
    ----------
    document : Document, optional
    is_fit : callable
        Tells whether a page that is made now would be as this one.
    """
    context = None if document is None else document.session_context
    if context is not None and context.id in _being_made:
        _being_made[context.id] = is_fit


def asked(request: HTTPServerRequest) -> tuple[Any, ...]:
    """Return all that a page may be made from: who asks for what."""
    headers = sorted(
        (name.lower(), value)
        for name, value in request.headers.get_all()
        if not name.lower().startswith(OF_A_MOMENT)
    )
    return request.protocol, request.host, request.uri, request.remote_ip, *headers


def write_ahead(document: Document) -> None:
    """Work out now what a browser is sent of a page; any change of the page makes it worthless."""
    with set_curdoc(document):  # Panel does this as it gives the page out
        root = f"{pn.state.rel_path}/{LOCAL_DIST}" if pn.state.rel_path else LOCAL_DIST
    for model in document.roots:
        patch_model_css(model, dist_url=root)
    written = [document.to_json()]
    callbacks = document.callbacks
    tell = callbacks.trigger_on_change

    def forget() -> None:
        for held, name in ((callbacks, "trigger_on_change"), (document, "to_json")):
            vars(held).pop(name, None)

    def overhear(event: DocumentChangedEvent) -> None:
        forget()
        tell(event)

    def to_json(**options: Any) -> Any:
        forget()
        return document.to_json(**options) if options else written.pop()

    vars(callbacks)["trigger_on_change"] = overhear
    vars(document)["to_json"] = to_json


class SparePage:
    """Keeps one page ready for a server.

    Parameters
    ----------
    contexts : ApplicationContext
        Of the app: from now on it gives out the page that lies ready.

    Attributes
    ----------
    ready : ServerSession or None
        The page that nobody has asked for yet.
    """

    def __init__(self, contexts: ApplicationContext) -> None:
        self._contexts = contexts
        self._make = contexts.create_session_if_needed
        self._last: tuple[HTTPServerRequest, str | None] | None = None
        self._heard = 0.0  # when somebody last did anything
        self._opening: dict[ID, float] = {}  # pages given and not drawn yet: since when
        self._is_looking = False
        self._key: tuple[Any, ...] = ()  # of what lies ready
        self._is_fit: Callable[[], bool] = lambda: False
        self._set_aside: set[ID] = set()  # pages that were open when memory was last given back
        self.ready: ServerSession | None = None
        self._checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spare")
        vars(contexts)["create_session_if_needed"] = self.session

    async def session(
        self, session_id: ID, request: HTTPServerRequest | None = None, token: str | None = None
    ) -> ServerSession:
        """Return the session of this name, as Bokeh does: a new one is what lies ready, if it fits.

        Parameters
        ----------
        session_id, request, token
            As for `ApplicationContext.create_session_if_needed`.
        """
        contexts = self._contexts
        is_new = (
            session_id not in contexts._sessions and session_id not in contexts._pending_sessions
        )
        if not is_new or request is None:
            return await self._make(session_id, request, token)
        page, self.ready = self.ready, None
        self._heard = monotonic()
        if page is not None and not (self._key == asked(request) and self._try_fit()):
            await self._throw_away(page)
            page = None
        if page is None:
            page = await self._make(session_id, request, token)
        else:
            self._give(page, session_id, token)
        self._listen(page, request, token)
        return page

    def _try_fit(self) -> bool:
        try:
            return self._is_fit()
        except Exception as error:  # whoever makes the page anew meets it, and says so
            logger.info("the page that lies ready is not given: %s", error)
            return False

    def _give(self, page: ServerSession, session_id: ID, token: str | None) -> None:
        """Let the page that lies ready be the session of this name."""
        contexts = self._contexts
        context = contexts._session_contexts.pop(page.id)
        del contexts._sessions[page.id]
        context._id = page._id = session_id
        context._token = page._token = token
        page._last_unsubscribe_time = current_time()
        page.unblock_expiration()
        contexts._sessions[session_id], contexts._session_contexts[session_id] = page, context

    async def _throw_away(self, page: ServerSession) -> None:
        page.unblock_expiration()
        await self._contexts._discard_session(page, lambda _: True)

    # --- while nobody is at work -------------------------------------------------------------
    def _listen(self, page: ServerSession, request: HTTPServerRequest, token: str | None) -> None:
        """Note when the browser of a page says anything, that it is drawn before all."""
        handle = page._handle_patch
        given = [(request, token)]
        self._opening[page.id] = self._heard = monotonic()

        def hear(*said: Any) -> Any:
            self._heard = monotonic()
            self._opening.pop(page.id, None)
            if given:
                self._last = given.pop()
                self._look_soon()
            return handle(*said)

        vars(page)["_handle_patch"] = hear

    def _look_soon(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            IOLoop.current().call_later(LOOK_EVERY, self._look)

    async def _look(self) -> None:
        """Make a page once nobody does anything."""
        self._is_looking = False
        if self.ready is not None or self._last is None:
            return
        if self._is_at_work():
            self._look_soon()
        else:
            await self._make_ready(*self._last)

    def _is_at_work(self) -> bool:
        """Whether somebody did anything just now, on any page."""
        sessions = self._contexts._sessions.values()
        is_open = any(session.connection_count for session in sessions)
        now = monotonic()
        self._opening = {name: at for name, at in self._opening.items() if now - at < OPENS}
        return bool(self._opening) or now - self._heard < (AWAY if is_open else QUIET)

    def _give_back(self) -> None:
        """Free what pages that went have held, files of a replaced table too."""
        give_back_all()
        self._set_aside = set(self._contexts._sessions)

    async def _make_ready(self, request: HTTPServerRequest, token: str | None) -> None:
        self._give_back()
        name = ID(f"spare-{secrets.token_hex(16)}")
        _being_made[name] = None
        try:
            page = await self._make(name, request, token)
        finally:
            is_fit = _being_made.pop(name)
        page.block_expiration()
        if is_fit is None or not is_live(page.document):
            self._last = None  # a notice, a page of a team: each is made for whom it is
            await self._throw_away(page)
            return
        self.ready, self._key, self._is_fit = page, asked(request), is_fit
        IOLoop.current().add_callback(self._write)  # a turn of its own: a key gets between
        IOLoop.current().call_later(CHECK_EVERY, self._check, page)

    def _write(self) -> None:
        if self.ready is not None:
            write_ahead(self.ready.document)

    async def _check(self, page: ServerSession) -> None:
        """Throw the page away when it is not true any more, and make another; others may wait."""
        loop = IOLoop.current()
        is_true = self.ready is page and await loop.run_in_executor(self._checker, self._try_fit)
        if self.ready is not page:
            return
        if is_true:
            if not self._set_aside <= self._contexts._sessions.keys() and not self._is_at_work():
                self._give_back()
            loop.call_later(CHECK_EVERY, self._check, page)
            return
        self.ready = None
        await self._throw_away(page)
        self._look_soon()
