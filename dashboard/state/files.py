"""What is handed out besides pages: squeezed once, kept by browsers, and no more than is used.

And where who names no page is sent: to the page, with all that was asked for.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any, Final

from bokeh.resources import Resources
from bokeh.server.views.multi_root_static_handler import MultiRootStaticHandler
from panel.io.server import RootHandler
from panel.models.esm import ReactiveESM
from tornado.web import RequestHandler, StaticFileHandler

DAY: Final = 86_400  # s
SQUEEZED: Final = (".js", ".css", ".svg")
UNUSED: Final = "bokeh-gl"  # figures are drawn on plain canvases


@cache
def _squeezed(file: Path, _when: int) -> bytes:
    return gzip.compress(file.read_bytes(), compresslevel=3, mtime=1)


def _add_headers(self: StaticFileHandler, path: str) -> None:
    """Say how long a file is kept, and have it sent squeezed to a browser that takes it so."""
    if "v" not in self.request.arguments:
        # of libraries a version is in force as long as it is installed; a file of ours is new today
        is_of_library = isinstance(self, MultiRootStaticHandler)
        self.set_header("Cache-Control", f"max-age={DAY}" if is_of_library else "no-cache")
    file = Path(str(self.absolute_path))
    if file.suffix not in SQUEEZED:
        return
    self.set_header("Vary", "Accept-Encoding")
    asked = self.request.headers
    if "gzip" in asked.get("Accept-Encoding", "") and "Range" not in asked:
        body = _squeezed(file, file.stat().st_mtime_ns)
        self.set_header("Content-Encoding", "gzip")
        vars(self).update(get_content=lambda *_: body, get_content_size=lambda: len(body))


def _redirect(self: RootHandler, url: str, *rest: Any, **options: Any) -> None:
    """Send on whoever named no page, with all that the address asks for: blind, a star."""
    asked = self.request.query if "?" not in url else ""
    RequestHandler.redirect(self, f"{url}?{asked}" if asked else url, *rest, **options)


def keep_what_is_asked_for() -> None:
    """Have the address of the server open its page as that of the page itself would."""
    RootHandler.redirect = _redirect


def serve_files_lightly() -> None:
    """Have the browser of a page fetch a third of what it did, and most of that once.

    What looks scripts up for browsers that cannot (es-module-shims) is left out: `early.js` says
    how parts are imported where it is.
    """
    StaticFileHandler.set_extra_headers = _add_headers  # type: ignore[method-assign]
    Resources._default_components = [one for one in Resources._default_components if one != UNUSED]
    ReactiveESM.__javascript_raw__ = []
