"""Words that change with every star: the text alone is sent, the rest of the pane stays."""

from __future__ import annotations

from html import escape
from typing import Any

import panel as pn


class Words(pn.pane.HTML):
    """A pane of HTML that is rewritten in place.

    `panel` works out every property of a pane anew when its text changes, which takes several
    times as long as drawing a star's figures; of these panes nothing but the text ever changes.
    """

    def _update_pane(self, *_events: Any) -> None:
        text = escape(self.object or "")  # as panel sends it; the browser undoes it
        for model, _parent in self._models.values():
            if model.text != text:
                model.text = text
