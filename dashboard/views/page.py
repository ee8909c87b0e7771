"""A page beside the spectrum's: it works while it is looked at, and is true when it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import param

from dashboard.state import Session


class Page(pn.viewable.Viewer):
    """A page that sleeps while it is hidden.

    Parameters
    ----------
    state : Session
    """

    in_sight = param.Boolean(default=True, doc="Whether the page is looked at")

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

        self.state.watch(act, *names)

    def _wake(self) -> None:
        """Make up for what changed while the page was hidden."""
        while self.in_sight and self._late:
            action = next(iter(self._late))
            del self._late[action]
            action()
