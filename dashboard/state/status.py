"""The status line: what was done, and what was refused and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import panel as pn
import param

from dashboard.state.part import Part
from msfa_core.errors import MsfaError

logger = logging.getLogger(__name__)


class Status(Part):
    """What the page says to its reviewer."""

    message = param.String(doc="Status line")
    tone: param.Selector[str] = param.Selector(
        default="calm", objects=["calm", "saved", "error"], doc="Its tone"
    )

    def say(self, message: str, tone: str = "calm") -> None:
        """Write the status line."""
        self.param.update(message=message, tone=tone)

    def add(self, message: str) -> None:
        """Write of another refusal beside those that stand in the line."""
        before = f"{self.message} " if self.tone == "error" and self.message else ""
        self.say(f"{before}{message}", "error")

    def calm(self) -> None:
        """Take away what was refused: something else was done since."""
        if self.tone == "error":
            self.say("")

    def attempt(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Do it; what the project refuses becomes the status line. Return whether it was done.

        All that changes goes to the browser as one message: of what changes twice, the first value
        would else come last, by a slower way.
        """
        try:
            with pn.io.hold():
                action(*args, **kwargs)
        except MsfaError as error:
            logger.warning("refused: %s", error)
            self.say(str(error), "error")
            return False
        return True
