"""Work that waits in another thread, and its result in the turn of the page that asked."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from bokeh.document import Document
from bokeh.document.callbacks import DocumentCallbackManager
from bokeh.document.events import DocumentPatchedEvent
from bokeh.model import Model
from panel.io.document import with_lock
from panel.reactive import Syncable


def is_live(document: Document | None) -> bool:
    """Whether a browser looks at this document: not in a notebook's cell or a test, nor later."""
    context = None if document is None else document.session_context
    return context is not None and not context.destroyed


_LOCALHOST: Final = ("127.0.0.1", "::1", "localhost")
OF_PROXIES: Final = frozenset({  # headers by which a proxy says for which computer it asks
    "cf-connecting-ip", "client-ip", "fastly-client-ip", "forwarded", "true-client-ip", "via",
    "x-client-ip", "x-cluster-client-ip", "x-forwarded", "x-forwarded-for",
    "x-original-forwarded-for", "x-real-ip",
})  # fmt: skip


def header_of(document: Document | None, name: str) -> str:
    """Return what the request of a page said in a header; empty for nothing."""
    return _headers_of(document).get(name.lower(), "")


def _headers_of(document: Document | None) -> dict[str, str]:
    """Return all that the request of a page said, by names in small letters."""
    context = document.session_context if document is not None else None
    request = context.request if context is not None else None
    headers = getattr(request, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def is_local(document: Document | None) -> bool:
    """Whether the browser of a document runs on the server's own computer, as far as is known."""
    host = header_of(document, "Host").rsplit(":", 1)[0].strip("[]")
    return host in _LOCALHOST and OF_PROXIES.isdisjoint(_headers_of(document))


def in_turn(document: Document | None, action: Callable[[], Any]) -> None:
    """Have a page do something in its own turn; a page that has gone does nothing."""
    if document is not None and is_live(document):
        document.add_next_tick_callback(action)


def take_messages_in_turn() -> None:
    """Have what a browser sends be done in its page's own turn, in the order in which it was sent.

    Panel does a click that reaches it less than 50 ms after another change outside of that turn
    (``Syncable._event_coroutine`` is not marked as one that needs the document's lock), together
    with that change; there any change of a figure fails, and both are lost.
    """
    for name in ("_event_coroutine", "_change_coroutine"):
        coroutine = getattr(Syncable, name)
        if not getattr(coroutine, "lock", False):
            setattr(Syncable, name, with_lock(coroutine))


_OWN: ContextVar[bool] = ContextVar("the page itself changed what changes now", default=False)


def hear_browsers_alone() -> None:
    """Have nothing that a page changes itself taken for what its browser says.

    Panel knows its own changes by their moment. One that is held back (``pn.io.hold``) is told
    later, and comes back after 50 ms as a value of the browser: over one that was set meanwhile.
    """
    notify, listen = DocumentCallbackManager.notify_change, Syncable._server_change

    def notify_change(
        self: DocumentCallbackManager, model: Model, attr: str, old: Any, new: Any,
        hint: DocumentPatchedEvent | None = None, setter: Any = None,
        callback_invoker: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        is_own = setter is None and (hint is None or hint.setter is None)

        def invoke() -> None:
            token = _OWN.set(is_own)
            try:
                if callback_invoker is not None:
                    callback_invoker()
            finally:
                _OWN.reset(token)

        notify(self, model, attr, old, new, hint, setter, invoke)

    def server_change(
        self: Syncable, document: Document, ref: str, subpath: str | None, attr: str,
        old: Any, new: Any,
    ) -> None:  # fmt: skip
        if not _OWN.get():
            listen(self, document, ref, subpath, attr, old, new)

    for owner, name, hears in (
        (DocumentCallbackManager, "notify_change", notify_change),
        (Syncable, "_server_change", server_change),
    ):
        setattr(owner, name, hears)
