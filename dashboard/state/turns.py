"""Work that waits in another thread, and its result in the turn of the page that asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bokeh.document import Document


def is_live(document: Document | None) -> bool:
    """Whether a browser looks at this document: not in a notebook's cell or a test, nor later."""
    context = None if document is None else document.session_context
    return context is not None and not context.destroyed


def in_turn(document: Document | None, action: Callable[[], Any]) -> None:
    """Have a page do something in its own turn; a page that has gone does nothing."""
    if document is not None and is_live(document):
        document.add_next_tick_callback(action)
