"""The head of a page is sent before the page is made: its browser fetches the scripts meanwhile.

It says that the page is being drawn, too, where a slow server would show nothing.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from bokeh.server.contexts import ApplicationContext
from bokeh.server.session import ServerSession
from panel.io.server import DocHandler

THEMES: Final = (b"", b"default", b"dark")  # of an address; anybody can write another
_END: Final = "<body>"
_AGAIN: Final = "<script>location.reload()</script>"
_FAILED: Final = "<p>This page could not be made: the server's log says why. Load it again.</p>"


def _is_sure_of_a_page(handler: DocHandler) -> bool:
    """Tell whether a request is given a page, and knows its end without its length (HTTP/1.1).

    Who names a session may be refused it, and the status of the answer says so, ahead of all.
    """
    asked = handler.request
    names = "bokeh-session-id" in asked.arguments or "Bokeh-Session-Id" in asked.headers
    is_free = not (names or "bokeh-token" in asked.arguments)
    return is_free and handler.application.generate_session_ids and asked.version == "HTTP/1.1"


def send_heads_first(contexts: ApplicationContext) -> None:
    """Have browsers of an app be sent the head of a page like theirs at once.

    Parameters
    ----------
    contexts : ApplicationContext
        Of the app.
    """
    heads: dict[tuple[str, bytes], str] = {}  # empty, where pages of a kind have different ones
    find, write = DocHandler.get_session, DocHandler.write

    def kind(handler: DocHandler) -> tuple[str, bytes]:
        asked = handler.request
        return asked.path, asked.query_arguments.get("theme", [b""])[0]

    async def get_session(self: DocHandler) -> ServerSession:
        head = heads.get(kind(self), "") if self.application_context is contexts else ""
        if head and _is_sure_of_a_page(self):
            self.set_header("Content-Type", "text/html; charset=UTF-8")
            write(self, head)
            await self.flush()
            self.__dict__["_msfa_sent"] = head
        try:
            return await find(self)  # type: ignore[misc]  # what its decorator hides
        except Exception:
            if self.__dict__.pop("_msfa_sent", ""):
                write(self, _FAILED)
            raise

    def write_what_is_left(self: DocHandler, page: Any) -> None:
        if self.application_context is not contexts or not isinstance(page, str):
            write(self, page)
            return
        sent = self.__dict__.pop("_msfa_sent", "")
        head, end, _ = page.partition(_END)
        if not sent:
            if end and self.get_status() == HTTPStatus.OK and kind(self)[1] in THEMES:
                heads.setdefault(kind(self), head + end)
            write(self, page)
        elif page.startswith(sent):
            write(self, page.removeprefix(sent))
        else:  # it cannot be taken back, and will not be sent again
            heads[kind(self)] = ""
            write(self, _AGAIN)

    for name, new in (("get_session", get_session), ("write", write_what_is_left)):
        setattr(DocHandler, name, new)
