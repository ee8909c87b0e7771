"""Work that waits in another thread, and its result in the turn of the page that asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bokeh.document import Document
from panel.io.document import with_lock
from panel.reactive import Syncable


def is_live(document: Document | None) -> bool:
    """Whether a browser looks at this document: not in a notebook's cell or a test, nor later."""
    context = None if document is None else document.session_context
    return context is not None and not context.destroyed


_LOCALHOST: Final = ("127.0.0.1", "::1", "localhost")


def header_of(document: Document | None, name: str) -> str:
    """Return what the request of a page said in a header; empty for nothing."""
    context = document.session_context if document is not None else None
    request = context.request if context is not None else None
    return str((getattr(request, "headers", None) or {}).get(name, ""))


def is_local(document: Document | None) -> bool:
    """Whether the browser of a document runs on the server's own computer, as far as is known."""
    host = header_of(document, "Host").rsplit(":", 1)[0].strip("[]")
    return host in _LOCALHOST and not header_of(document, "X-Forwarded-For")


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
