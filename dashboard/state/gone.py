"""What Panel keeps of a page that has gone: its tables hold the page from both ends."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.document import Document
from panel.links import Callback

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
