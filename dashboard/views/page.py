"""A page beside the spectrum's: it works while it is looked at, and is true when it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import panel as pn
import param

from dashboard.state import Session
from dashboard.theme import stylesheet
from dashboard.views.letters import letter


class Page(pn.viewable.Viewer):
    """A page that sleeps while it is hidden.

    Parameters
    ----------
    state : Session
    """

    in_sight = param.Boolean(default=True, doc="Whether the page is looked at")
    is_true = param.Boolean(default=True, doc="Whether nothing has changed since it was drawn")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self._late: dict[Callable[[], None], None] = {}  # what is left to do, in its order
        self.param.watch(lambda *_: self._wake(), "in_sight")

    def follow(self, action: Callable[[], None], *names: str) -> None:
        """Do something at each change of the state (`Session.watch`), as soon as it is seen."""

        def act(*_: object) -> None:
            if self.in_sight:
                action()
            else:
                self._late[action] = None
                self.is_true = False

        self.state.watch(act, *names)

    def _wake(self) -> None:
        """Make up for what changed while the page was hidden."""
        while self.in_sight and self._late:
            action = next(iter(self._late))
            del self._late[action]
            action()
        self.is_true = not self._late


class Leaf:
    """Where a page is shown: it says what is awaited until the page is there, and is true.

    Parameters
    ----------
    words : str
        What is being done meanwhile.
    make : callable
        Makes the page when it is first looked at.
    **options
        Of the column that is shown.

    Attributes
    ----------
    column : Column
    page : Page or None
        None as long as it has not been made.
    """

    def __init__(self, words: str, make: Callable[[], Page], **options: Any) -> None:
        self._make = make
        self.page: Page | None = None
        self._letter = self._shut = ""  # what is to be shown in place of all, and what is
        self._words = pn.pane.HTML(
            f"<p role='status'>{escape(words)}</p>", css_classes=["msfa-awaited"],
            stylesheets=[stylesheet()], sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        self._body = pn.Column(sizing_mode="stretch_both", margin=0, visible=False)
        self.column = pn.Column(self._words, self._body, **options)

    def look(self, is_seen: bool) -> None:
        """Wake the page or let it sleep; it is made when it is first seen."""
        if is_seen and self.page is None:
            self.page = self._make()
            self._body[:] = [self.page]
            self.page.param.watch(lambda *_: self._tell(), "is_true")
        if self.page is not None:
            self.page.in_sight = is_seen
        self._put()
        self._tell()

    def shut(self, html: str) -> None:
        """Show a letter in place of all; an empty one opens it again."""
        self._letter = html
        self._put()

    def _put(self) -> None:
        """Put the letter in, or out; while nobody looks, a page that was never made hides nothing.

        To change what stands on a page, Panel looks through all of it: 0.1 s.
        """
        if self._letter != self._shut and (self.page is not None or self.column.visible):
            self._shut = self._letter
            self.column[:] = [letter(self._shut)] if self._shut else [self._words, self._body]

    def _tell(self) -> None:
        """Show the page where it is true, else what is awaited."""
        is_there = self.page is not None and self.page.is_true
        self._body.visible, self._words.visible = is_there, not is_there


def turn_at_once(chooser: pn.widgets.RadioButtonGroup, columns: Mapping[str, pn.Column]) -> None:
    """Have the browser turn to the page whose name is clicked, while the server is at work.

    The page is told of as ``msfa:turned``: the verdict bar keeps it in the address.
    """
    args = {f"page_{k}": column for k, column in enumerate(columns.values())}
    code = f"""
        for (const [k, page] of [{", ".join(args)}].entries())
          page.setv({{visible: k == cb_obj.active}}, {{sync: false}})
        const detail = {{name: cb_obj.labels[cb_obj.active], is_first: cb_obj.active === 0}}
        window.dispatchEvent(new CustomEvent("msfa:turned", {{detail}}))
    """
    chooser.jscallback(args=args, value=code)
