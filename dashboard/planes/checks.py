"""Linked planes that need columns not every survey has: without them they say what is missing."""

from __future__ import annotations

from typing import Any

import pandas as pd
import panel as pn
from pandas.api.types import is_numeric_dtype

from dashboard.planes.linked import LinkedView, caption, caption_html, notice
from dashboard.state import Session


def has_numbers(table: pd.DataFrame, column: str) -> bool:
    """Tell whether a column is there, holds numbers, and at least one of them."""
    return column in table and is_numeric_dtype(table[column]) and bool(table[column].notna().any())


class CheckView(LinkedView):
    """Planes, each of which is replaced by a notice where its columns are missing."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self._words = ""
        self._caption = caption()
        self._notice = pn.pane.HTML("", sizing_mode="stretch_both", visible=False)

    def remedies(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return the columns that a plane needs, each with its notice; for subclasses."""
        raise NotImplementedError

    def missing(self, key: str) -> str:
        """Return what is missing for a plane and how to add it, as HTML; empty if nothing is."""
        for column, (title, *sentences) in self.remedies(key).items():
            if not has_numbers(self.state.verdicts.table, column):
                return notice(title, *sentences)
        return ""

    def lines(self) -> list[str]:
        """Return the lines of the caption; for subclasses."""
        raise NotImplementedError

    def source(self) -> str:
        """Return where the guides of the visible plane come from, for the tooltip."""
        return ""

    def describe(self) -> None:
        """Write the caption."""
        lines = [] if self.missing(self.shown) else self.lines()
        self._caption.object = caption_html(lines, self.source())

    def _draw_stale(self) -> None:
        words = self.missing(self.shown)
        self._notice.object = words
        self._notice.visible = bool(words)
        self._place.visible = self._caption.visible = not words
        if not words:
            super()._draw_stale()

    def _ring(self) -> None:
        if not self.missing(self.shown):
            super()._ring()
