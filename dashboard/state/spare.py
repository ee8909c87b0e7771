"""A page that is made before it is asked for: whoever opens the app next does not wait for it.

A server that has given a page makes one more from the same request as soon as nobody does anything,
and works out what will be sent of it. Whoever opens the app next gets it, if it can be made what
would be made for them then: of their name, with the star that their address names, and with all
that was decided since. Else it is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

import panel as pn
from bokeh.application.application import SessionContext
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import DocumentChangedEvent
from bokeh.server.contexts import ApplicationContext, _RequestProxy
from bokeh.server.session import ServerSession, current_time
from bokeh.util.token import get_token_payload
from panel.io.resources import LOCAL_DIST, patch_model_css
from panel.io.state import set_curdoc
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop

from dashboard.state.gone import give_back_all
from dashboard.state.page_thread import PageThread
from dashboard.state.turns import OF_PROXIES, is_live

logger = logging.getLogger(__name__)

QUIET: Final = 2.0  # s after anybody did anything, before a page is made
AWAY: Final = 60.0  # s, after which nobody is at work though pages are open
OPENS: Final = 10.0  # s that a browser may take to draw the page it was given
LOOK_EVERY: Final = 0.25  # s
CHECK_EVERY: Final = 4.0  # s, whether what lies ready is still true: it holds files, too
NOT_OF_THE_PAGE: Final = (  # headers that say which browser it is and how it came here, not who
    "accept", "cache-control", "connection", "cookie", "dnt", "if-modified-since", "if-none-match",
    "pragma", "priority", "referer", "save-data", "sec-", "upgrade-insecure-requests",
    "user-agent",
)  # fmt: skip
NUMBERED: Final = (  # headers by which proxies tell requests apart: never who asks
    "b3", "baggage", "cf-ray", "sentry-trace", "traceparent", "tracestate", "x-amz-cf-id",
    "x-amzn-trace-id", "x-arr-log-id", "x-b3-", "x-cloud-trace-context", "x-correlation-id",
    "x-datadog-", "x-envoy-", "x-queue-start", "x-request-id", "x-request-start", "x-trace-id",
    "x-unique-id", "x-varnish",
)  # fmt: skip
NAMED: Final = "msfa-reviewer-"  # begins the cookie of a name that was typed
LINKED: Final = "obj"  # the star that an address names
_being_made: dict[ID, Waiting | None] = {}


class Waiting(NamedTuple):
    """How a page may be made before it is asked for.

    Attributes
    ----------
    is_true : callable
        Tells whether what it is made from is as it was; asked in a thread of its own.
    is_late : callable
        Tells whether something was decided since; asked there, too.
    bring_up : callable
        Makes it what would be made now for who asks: what was decided, their name, their star.
    """

    is_true: Callable[[], bool]
    is_late: Callable[[], bool]
    bring_up: Callable[[], None]


def may_wait(document: Document | None, waiting: Waiting) -> None:
    """Say of a page that one like it may be made before it is asked for, and how."""
    context = None if document is None else document.session_context
    if context is not None and context.id in _being_made:
        _being_made[context.id] = waiting


def asked(request: HTTPServerRequest) -> tuple[Any, ...]:
    """Return all that a page is made from of who asks for what, and cannot be made up for later."""
    headers = sorted(
        # a proxy says for which computer it asks: that it is one, counts
        (name.lower(), "" if name.lower() in OF_PROXIES else value)
        for name, value in request.headers.get_all()
        if not name.lower().startswith((*NOT_OF_THE_PAGE, *NUMBERED))
    )
    cookies = sorted(
        (name, one.value) for name, one in request.cookies.items() if not name.startswith(NAMED)
    )
    options = sorted((name, *all_) for name, all_ in request.arguments.items() if name != LINKED)
    return (
        request.protocol, request.host, request.path,
        tuple(headers), tuple(cookies), tuple(options),
    )  # fmt: skip


def write_ahead(document: Document) -> None:
    """Work out now what a browser is sent of a page; any change of the page makes it worthless."""
    with set_curdoc(document):  # Panel does this as it gives the page out
        root = f"{pn.state.rel_path}/{LOCAL_DIST}" if pn.state.rel_path else LOCAL_DIST
    # what is added later is dressed from here, too; a page that is made when its socket opens (with
    # --num-procs, --reuse-sessions) is not given out, and had asked another computer for it
    document._template_variables["dist_url"] = root
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


def is_written_ahead(document: Document) -> bool:
    """Tell whether what a browser is sent of a page lies ready."""
    return "to_json" in vars(document)


def _as_asked(request: HTTPServerRequest, token: str | None) -> _RequestProxy:
    """Return what a page knows of who asks for it, as Bokeh does where it makes one."""
    said = get_token_payload(token) if token else {}
    headers, cookies = said.get("headers"), said.get("cookies")
    if headers is not None and cookies is not None and "Cookie" not in headers:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return _RequestProxy(request, arguments=said.get("arguments"), cookies=cookies, headers=headers)


def _tells(ask: Callable[[], bool]) -> bool:
    """Return the answer of a page that lies ready; no, where it cannot tell."""
    try:
        return ask()
    except Exception as error:  # whoever makes the page anew meets it, and says so
        logger.info("a page that lies ready cannot tell: %s", error)
        return False


class SparePage:
    """Keeps one page ready for a server.

    Parameters
    ----------
    contexts : ApplicationContext
        Of the app: from now on it gives out the page that lies ready.
    after : Thread, optional
        Does what the first reviewer would wait for; no page is made ready before it has ended.

    Attributes
    ----------
    ready : ServerSession or None
        The page that nobody has asked for yet.
    """

    def __init__(self, contexts: ApplicationContext, after: threading.Thread | None = None) -> None:
        self._contexts, self._after = contexts, after
        self._pages = PageThread(contexts, write_ahead, self._name_no_star)
        self._known = contexts.create_session_if_needed
        self._last: tuple[HTTPServerRequest, str | None] | None = None
        self._heard = 0.0  # when somebody last did anything
        self._opening: dict[ID, float] = {}  # pages given and not drawn yet: since when
        self._is_looking = False
        self._making: asyncio.Task[None] | None = None
        self._ahead: ID | None = None  # of the page that nobody has asked for, while it is made
        self._coming: dict[ID, asyncio.Task[ServerSession]] = {}  # pages that were asked for
        self._key: tuple[Any, ...] = ()  # of what lies ready
        self._waiting = Waiting(lambda: False, lambda: False, lambda: None)
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
        if session_id in self._contexts._sessions or request is None:
            return await self._known(session_id, request, token)
        coming = self._coming.get(session_id)
        if coming is None:
            coming = asyncio.ensure_future(self._new(session_id, request, token))
            self._coming[session_id] = coming
            coming.add_done_callback(lambda _: self._coming.pop(session_id))
        return await asyncio.shield(coming)

    async def _new(
        self, session_id: ID, request: HTTPServerRequest, token: str | None
    ) -> ServerSession:
        self._heard = monotonic()
        if self._making is not None:  # the page would be made after it; it may be just this one
            await asyncio.wait([self._making])
        page, self.ready = self.ready, None
        waiting = self._waiting  # of this page: another may be made ready before it is given
        if page is not None and not (
            self._key == asked(request)
            and await self._give(page, waiting, session_id, request, token)
        ):
            await self._throw_away(page)
            page = None
        may_wait = page is not None
        if page is None:
            page, may_be_made = await self._make(session_id, request, token)
            may_wait = may_be_made is not None
        self._listen(page, (request, token) if may_wait else None)
        return page

    async def _make(
        self, session_id: ID, request: HTTPServerRequest, token: str | None
    ) -> tuple[ServerSession, Waiting | None]:
        """Make a page; return how it may be made ahead, too, None where it is for one alone."""
        _being_made[session_id] = None
        try:
            page = await self._pages.make(session_id, request, token)
        finally:
            waiting = _being_made.pop(session_id)
        return page, waiting

    def _name_no_star(self, context: SessionContext) -> None:
        """Have a page that is made ahead open with no star that the last address named."""
        if context.id == self._ahead and context.request is not None:
            context.request.arguments.pop(LINKED, None)

    async def _give(
        self, page: ServerSession, waiting: Waiting,
        session_id: ID, request: HTTPServerRequest, token: str | None,
    ) -> bool:  # fmt: skip
        """Let the page that lies ready be the session of this name; return whether it can be."""
        contexts, name = self._contexts, page.id
        context = contexts._session_contexts[name]
        context._request = _as_asked(request, token)
        if not _tells(waiting.is_true) or not await self._bring_up(page, waiting):
            return False
        del contexts._session_contexts[name], contexts._sessions[name]
        context._id = page._id = session_id
        context._token = page._token = token
        page._last_unsubscribe_time = current_time()
        page.unblock_expiration()
        contexts._sessions[session_id], contexts._session_contexts[session_id] = page, context
        return True

    async def _bring_up(self, page: ServerSession, waiting: Waiting) -> bool:
        """Make the page what would be made now for who asks; return whether that was possible."""
        document = page.document

        async def bring_up() -> None:
            with set_curdoc(document):
                waiting.bring_up()
            if not is_written_ahead(document):
                await self._pages.do(partial(write_ahead, document))

        try:
            await page.with_document_locked(bring_up)
        except Exception as error:  # whoever makes the page anew meets it, and says so
            logger.info("the page that lies ready is not given: %s", error)
            return False
        return not page.destroyed

    async def _throw_away(self, page: ServerSession) -> None:
        page.unblock_expiration()
        await self._contexts._discard_session(page, lambda _: True)

    # --- while nobody is at work -------------------------------------------------------------
    def _listen(
        self, page: ServerSession, asked: tuple[HTTPServerRequest, str | None] | None
    ) -> None:
        """Note when the browser of a page says anything, that it is drawn before all.

        What was asked for is made ahead for the next one then; None for a page of one alone.
        """
        handle = page._handle_patch
        given = [] if asked is None else [asked]
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
        if self.ready is not None or self._last is None or self._making is not None:
            return
        is_warming = self._after is not None and self._after.is_alive()
        if is_warming or self._opening_now() or monotonic() - self._heard < QUIET:
            self._look_soon()
            return
        self._making = asyncio.ensure_future(self._make_ready(*self._last))
        try:
            await self._making
        finally:
            self._making = None

    def _opening_now(self) -> bool:
        """Whether a browser draws the page that it was given."""
        now = monotonic()
        self._opening = {name: at for name, at in self._opening.items() if now - at < OPENS}
        return bool(self._opening)

    def _is_at_work(self) -> bool:
        """Whether somebody is at work, on any page."""
        sessions = self._contexts._sessions.values()
        is_open = any(session.connection_count for session in sessions)
        pause = AWAY if is_open else QUIET
        return self._opening_now() or monotonic() - self._heard < pause

    def _give_back(self) -> None:
        """Free what pages that went have held, files of a replaced table too."""
        give_back_all()
        self._set_aside = set(self._contexts._sessions)

    async def _make_ready(self, request: HTTPServerRequest, token: str | None) -> None:
        if not self._is_at_work():
            self._give_back()
        self._ahead = ID(f"spare-{secrets.token_hex(16)}")
        page, waiting = await self._make(self._ahead, request, token)
        page.block_expiration()
        if waiting is None or not is_live(page.document):
            self._last = None  # a notice: it is made for whom it is
            await self._throw_away(page)
            return
        self.ready, self._key, self._waiting = page, asked(request), waiting
        IOLoop.current().call_later(CHECK_EVERY, self._check, page)

    async def _check(self, page: ServerSession) -> None:
        """Throw the page away when it is not true any more, and make another; others may wait.

        What was decided since is made up for when nobody is at work, or when it is given.
        """
        loop = IOLoop.current()
        if self.ready is not page:
            return
        waiting = self._waiting
        is_true = await loop.run_in_executor(self._checker, _tells, waiting.is_true)
        if is_true and not self._is_at_work():
            is_late = await loop.run_in_executor(self._checker, _tells, waiting.is_late)
            if self.ready is page and is_late and not self._is_at_work():
                is_true = await self._bring_up(page, waiting)
        if self.ready is not page:
            return
        if is_true:
            is_changed = not self._set_aside <= self._contexts._sessions.keys()
            if is_changed and not self._is_at_work():
                self._give_back()
            loop.call_later(CHECK_EVERY, self._check, page)
            return
        self.ready = None
        await self._throw_away(page)
        self._look_soon()
