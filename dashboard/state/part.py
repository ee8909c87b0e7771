"""A part of a session: it follows others while the page is open, and lets go of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import param


class Part(param.Parameterized):
    """One theme of a session, which can be made and tested alone."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._followed: list[tuple[param.Parameterized, Any]] = []

    def follow(
        self, part: param.Parameterized, names: Iterable[str], action: Callable[..., Any]
    ) -> None:
        """Act when these parameters of a part change, until this one is closed."""
        self._followed.append((part, part.param.watch(action, list(names))))

    def close(self) -> None:
        """Follow nobody any more."""
        for part, watcher in self._followed:
            part.param.unwatch(watcher)
        self._followed.clear()
