"""Styles travel within a page: a browser that fetched them would lay the page out twice."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import panel as pn
from bokeh.models import InlineStyleSheet
from panel.io.resources import CDN_DIST, DIST_DIR, get_dist_path

STATIC: Final = Path(__file__).parents[1] / "static"
_FILE: Final = re.compile(r"url\((['\"]?)(?!data:|https?:|/)")


def carry_styles() -> None:
    """Have the page of this session carry the text of its style sheets, each once.

    Panel names them by address in every component: the browser draws the page before they are
    there, and all of it once more after.
    """
    document = pn.state.curdoc
    if document is not None and document.session_context is not None:
        known = pn.state._stylesheets.get(document, {})
        pn.state._stylesheets[document] = _Carried(known)


class _Carried(dict[str, Any]):
    """The style sheets of a page by address: of what is served from here, its text."""

    def __contains__(self, address: object) -> bool:
        if not super().__contains__(address) and (text := _text(str(address), get_dist_path())):
            self[str(address)] = InlineStyleSheet(css=text)
        return super().__contains__(address)

    def __bool__(self) -> bool:
        return True  # an empty one is asked, too


@cache
def _text(address: str, dist: str) -> str:
    """Return what a style sheet says, its files named from the page; empty when not from here."""
    address = address.partition("?")[0].replace(CDN_DIST, dist)
    for mark, folder in ((dist, DIST_DIR), ("/static/", STATIC)):
        path = folder / address.rpartition(mark)[2]
        if mark in address and path.is_file():
            beside = address.rpartition("/")[0]
            return _FILE.sub(rf"url(\1{beside}/", path.read_text(encoding="utf-8"))
    return ""
