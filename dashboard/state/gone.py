"""Pages that have gone are given back, and what stays is not walked through each time."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
from typing import Any, Final
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.document import Document
from bokeh.server.views.ws import WSHandler
from panel.links import Callback
from tornado.websocket import WebSocketClosedError

logger = logging.getLogger(__name__)

# glibc keeps what was freed until it is told to give it back; other systems have no such function
_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
_ENDED_BY_PANEL: Final = frozenset({"_periodic", "_locations", "_notifications", "_templates"})


def let_go(document: Document, page: pn.viewable.Viewable) -> None:
    """Have Panel forget a page that has gone; else every page that was ever opened stays.

    Panel's tables by document, and the one of what runs in the browser, have weak keys; but what
    stands in them holds its key: what waits for a page to be loaded, the colours of its browser,
    the pages that a menu turns to. The four that Panel ends by itself are left to it: what runs at
    times is stopped there, too.

    Parameters
    ----------
    document : Document
    page : Viewable
        What the document shows.
    """
    for name, table in vars(type(pn.state)).items():
        if isinstance(table, WeakKeyDictionary) and name not in _ENDED_BY_PANEL:
            table.pop(document, None)
    for part in page.select():
        Callback.registry.pop(part, None)


def give_back_all() -> None:
    """Free what nothing holds any more, and set aside what is left: nobody is at work just now.

    Whenever a page is closed, Panel has the memory searched for what nothing holds, and nobody is
    answered until it is done. Imports, kernels and the survey are ten times what pages hold: set
    aside, they are not searched (0.2 s, more on a busy machine). What was set aside and has gone
    since is found here, the next time.
    """
    gc.unfreeze()
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
    gc.freeze()


def let_leave(loop: asyncio.AbstractEventLoop) -> None:
    """Have the server's log take it calmly when a page is closed while it is sent something.

    Bokeh does not wait for all that it sends, and asyncio tells of what failed unawaited with a
    traceback. A page that its reviewer has left is no fault; whatever else fails is told as before.

    Parameters
    ----------
    loop : AbstractEventLoop
        That the server runs on.
    """
    tell = loop.get_exception_handler() or type(loop).default_exception_handler

    def hear(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), WebSocketClosedError):
            logger.info("a page was closed while it was sent something")
        else:
            tell(loop, context)

    loop.set_exception_handler(hear)


def let_close_twice() -> None:
    """Have nothing fail where a socket that is closing was found closed before.

    Bokeh's pulse lets go of a page whose socket can be sent nothing; when the socket is closed at
    last, Bokeh asks its connection for the page that it has no more, and fails with a traceback.
    """
    close = WSHandler.on_close
    if getattr(close, "lets_close_twice", False):
        return

    def on_close(self: WSHandler) -> None:
        if self.connection is not None and self.connection._session is None:
            self.connection = None
        close(self)

    on_close.lets_close_twice = True  # type: ignore[attr-defined]  # a mark
    setattr(WSHandler, "on_close", on_close)  # noqa: B010 (mypy refuses a method's assignment)
