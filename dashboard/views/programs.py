"""Other programs on this computer: who is connected, what is sent to them, what they send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
from numpy.typing import NDArray

from dashboard.planes.linked import quiet_button
from dashboard.state import Session
from dashboard.state.samp import Heard, Tools
from dashboard.state.turns import in_turn, is_local
from dashboard.theme import stylesheet

NOT_HERE = "Other programs (SAMP) are reached from a browser on the server's own computer only."


class ProgramsView(pn.viewable.Viewer):
    """The buttons that talk to TOPCAT and Aladin.

    Parameters
    ----------
    state : Session
    outgoing : callable
        Gives the rows to send and what is said of them.
    """

    def __init__(
        self,
        state: Session,
        outgoing: Callable[[], tuple[pd.DataFrame, Mapping[str, str]]],
        **params: Any,
    ) -> None:
        super().__init__(**params)
        self.state, self._outgoing = state, outgoing
        self._document = pn.state.curdoc
        self.tools = Tools(
            Heard(
                stars=lambda obsids: self._later(partial(self.take_stars, obsids)),
                star=lambda obsid: self._later(partial(self.take_star, obsid)),
                place=lambda ra, dec: self._later(partial(self.take_place, ra, dec)),
            )
        )
        self.words = pn.pane.HTML("", margin=(0, 10), stylesheets=[stylesheet()])
        self._buttons = [
            quiet_button("connect", self.toggle, "To the SAMP hub of TOPCAT or Aladin", "connect"),
            quiet_button("send rows", self.send_rows, "The rows chosen above, as a table", "rows"),
            quiet_button("send queue", self.send_queue, "Select the queue's stars there", "queue"),
            quiet_button("send star", self.send_star, "Point the others at this star", "star"),
        ]
        self._show()
        context = self._document.session_context if self._document is not None else None
        if context is not None:
            pn.state.on_session_destroyed(lambda _: self.tools.close())

    @property
    def is_offered(self) -> bool:
        """Whether this page may reach other programs at all."""
        return bool(self.state.survey.settings.samp) and (
            self._document is None
            or self._document.session_context is None
            or is_local(self._document)
        )

    def _later(self, action: Callable[[], Any]) -> None:
        in_turn(self._document, action)

    # --- hands ---------------------------------------------------------------------------------
    def toggle(self) -> None:
        """Connect, or leave."""
        if self.tools.is_connected:
            self.tools.close()
        elif self.is_offered:
            self.state.status.attempt(self.tools.connect)
        self._show()

    def send_rows(self) -> None:
        """Send the rows that are chosen for export."""
        table, header = self._outgoing()
        name = self.state.survey.path.resolve().name
        if self.state.status.attempt(self.tools.send_table, table, name, header):
            self.state.status.say(f"sent {len(table):,} rows to other programs")
        self._show()

    def send_queue(self) -> None:
        """Select the stars of the queue in the tables that were sent."""
        if self.state.status.attempt(self.tools.send_stars, self.state.queue.obsids):
            self.state.status.say("sent the queue to other programs, as a selection")
        self._show()

    def send_star(self) -> None:
        """Point the others at the star on screen."""
        star = self.state.screen.star
        if star is not None:
            place = (float(star.row[name]) for name in ("ra", "dec"))
            self.state.status.attempt(self.tools.send_place, *place)
        self._show()

    # --- what others send ------------------------------------------------------------------------
    def take_stars(self, obsids: NDArray[np.int64]) -> None:
        """Limit the queue to stars selected elsewhere, and turn to the first."""
        known = obsids[self.state.data.rows(obsids) >= 0]
        if len(known):
            self.state.queue.set_filters([self.state.verdicts.presets["all"]])
            self.state.queue.brush(known, f"{len(known):,} selected in another program")
            self.state.screen.first()

    def take_star(self, obsid: int) -> None:
        """Turn to a star that was clicked elsewhere."""
        self.state.status.attempt(self.state.screen.select, obsid)

    def take_place(self, ra: float, dec: float) -> None:
        """Turn to the star nearest to a place [deg]."""
        self.state.status.attempt(self.state.screen.find, f"{ra:.7f} {dec:+.7f}")

    # --- what is shown -------------------------------------------------------------------------
    def _show(self) -> None:
        others: list[str] = []

        def look() -> None:
            others.extend(self.tools.others())

        self.state.status.attempt(look)
        connected = self.tools.is_connected
        said = f"connected with {', '.join(others) or 'nobody else'}" if connected else (
            "not connected" if self.is_offered else NOT_HERE
        )  # fmt: skip
        self.words.object = f"<p>Other programs (SAMP): {escape(said)}</p>"
        self._buttons[0].label = "disconnect" if connected else "connect"
        self._buttons[0].disabled = not (self.is_offered or connected)
        for button in self._buttons[1:]:
            button.disabled = not connected

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(self.words, pn.Row(*self._buttons, margin=(0, 10)), margin=0)
