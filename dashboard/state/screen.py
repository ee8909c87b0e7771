"""The star on screen: finding one, going on to the next, going back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import numpy as np
import panel as pn
import param
from numpy.typing import NDArray

from dashboard.state.data import Star
from dashboard.state.part import Part
from dashboard.state.queue import Queue
from dashboard.state.status import Status
from dashboard.state.verdicts import Verdicts
from msfa_core.errors import SurveyError
from msfa_core.stars.sky import nearest
from msfa_core.tables.skies import place_of

KEYS_WAIT: Final = 1000  # ms that what can wait leaves to keys that wait in line
N_AHEAD: Final = 4  # stars read ahead of the reviewer
MOST: Final = 2**63 - 1  # of a 64-bit number
FIND_RADIUS: Final = 60.0  # arcsec, of a position that is searched
BLOCK: Final = 4096  # places of the queue that are looked through at once
TOLD: Final = 40  # characters of what was asked for: the address of a page may hold a story
N_UNREADABLE: Final = 5  # stars passed over because they cannot be read, before giving up


class Screen(Part):
    """What is on screen."""

    selected = param.String(doc="obsid on screen, as text")
    star = param.Parameter(doc="Star on screen, or None")
    with_epochs = param.Boolean(doc="Overlay the star's other spectra, for every star")
    left_out = param.List(default=[], item_type=int, doc="Other spectra that are not overlaid")

    def __init__(self, verdicts: Verdicts, queue: Queue, status: Status, **params: Any) -> None:
        super().__init__(**params)
        self._verdicts, self._queue, self._status = verdicts, queue, status
        self.is_trying = False  # a star is drawn that nobody sees
        self.keys_wait = False  # in the browser, behind the one that is answered now

    def select(self, obsid: int | str) -> None:
        """Bring a star on screen.

        Raises
        ------
        SurveyError
            When the survey has no such spectrum, or it cannot be read.
        """
        try:
            number = int(np.int64(int(str(obsid).strip())))
        except (ValueError, OverflowError) as error:
            told = str(obsid) if len(str(obsid)) <= TOLD else f"{str(obsid)[:TOLD]}…"
            raise SurveyError(
                f"{told!r} is not an obsid, a whole number of at most 19 digits."
            ) from error
        self.show(self.read(number))
        self._read_ahead()

    def show(self, star: Star) -> None:
        """Bring a star on screen that was read before: the store is not asked."""
        self._verdicts.claim(self._verdicts.data.row(star.obsid))
        with pn.io.hold():  # one message to the browser, so one repaint of every figure
            self.param.update(star=star, selected=str(star.obsid), left_out=[])

    @param.depends("selected", watch=True)
    def _follow_selected(self) -> None:
        """Load the star when its obsid was set directly (a link, a table)."""
        on_screen = str(self.star.obsid) if self.star is not None else ""
        if self.selected not in ("", on_screen) and not self._status.attempt(
            self.select, self.selected
        ):
            self.selected = on_screen

    def find(self, text: str) -> None:
        """Bring a star on screen by its obsid, Gaia number, position, uid or file name.

        Uid, file and obsid may contain the text; a position finds the nearest spectrum.

        Raises
        ------
        SurveyError
            When there is none.
        """
        wanted = text.strip()
        is_number = wanted.isdigit() and int(wanted) <= MOST
        if is_number and self._verdicts.data.rows([int(wanted)])[0] >= 0:
            self.select(wanted)
            return
        table = self._verdicts.table
        if self._find_by_gaia(wanted) or self._find_by_place(wanted):
            return
        columns = [table["uid"], table["file"], table["obsid"].astype("str")]
        for match in ("__eq__", "contains"):
            for column in columns:
                hits = (
                    (column == wanted)
                    if match == "__eq__"
                    else column.str.contains(wanted, case=False, regex=False)
                )
                rows = np.flatnonzero(hits.to_numpy(dtype=bool, na_value=False))
                if wanted and len(rows):
                    self.select(int(self._verdicts.data.obsid[rows[0]]))
                    others = f" · {len(rows) - 1} more match" if len(rows) > 1 else ""
                    self._status.say(f"found {wanted}{others}")
                    return
        raise SurveyError(
            f"nothing in this survey has {wanted!r} in its obsid, Gaia number, uid or file."
        )

    def _find_by_gaia(self, wanted: str) -> bool:
        """Go to the star of a Gaia number, ``Gaia DR3`` before it or not; tell if it is here."""
        number = wanted.rsplit(maxsplit=1)[-1] if wanted.lower().startswith("gaia") else wanted
        if not number.isdigit():
            return False
        gaia = self._verdicts.table["gaia_source_id"].to_numpy(np.int64, na_value=-1)
        rows = np.flatnonzero(gaia == int(number)) if int(number) <= MOST else np.empty(0, int)
        if len(rows):
            self.select(int(self._verdicts.data.obsid[rows[0]]))
            self._status.say(f"found Gaia {number}")
        return bool(len(rows))

    def _find_by_place(self, wanted: str) -> bool:
        """Go to the spectrum nearest to a position, if it is near; tell if the text names one."""
        place = place_of(wanted)
        if place is None:
            return False
        table = self._verdicts.table
        ra, dec = (table[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec"))
        row, distance = nearest(ra, dec, place)
        if row < 0 or distance > FIND_RADIUS:
            near = f"; the nearest is {distance:,.0f} arcsec away" if row >= 0 else ""
            raise SurveyError(f"no spectrum within {FIND_RADIUS:g} arcsec of {wanted}{near}.")
        self.select(int(self._verdicts.data.obsid[row]))
        self._status.say(f"found at {distance:.1f} arcsec from {wanted}")
        return True

    def first(self) -> None:
        """Bring the first star of the queue on screen; none when the queue is empty."""
        self.go(iter(self._queue.obsids))

    def next(self) -> None:
        """Go to the next star of the queue."""
        place = self.place
        if place + 1 >= len(self._queue.obsids):
            self._status.say("This is the end of the queue.")
        else:
            self.go(iter(self._queue.obsids[place + 1 :]))

    def previous(self) -> None:
        """Go back to the star before this one in the queue."""
        place = self.place
        if place <= 0:
            self._status.say("This is the beginning of the queue.")
        else:
            self.go(iter(self._queue.obsids[:place][::-1]))

    @property
    def place(self) -> int:
        """Place of the star on screen in the queue; -1 when it is not in the queue."""
        found = np.flatnonzero(
            self._queue.obsids == (self.star.obsid if self.star is not None else -1)
        )
        return int(found[0]) if len(found) else -1

    @property
    def other_epochs(self) -> list[int]:
        """The obsids of the other spectra of the star on screen."""
        if self.star is None:
            return []
        return [int(obsid) for obsid in self.star.epochs["obsid"] if int(obsid) != self.star.obsid]

    def left_to_do(self) -> NDArray[np.int64]:
        """Return what this reviewer has not vetted: behind this star first, then before it.

        What is on somebody else's screen comes last.
        When nothing is left, those that the reviewer was unsure of come again.
        """
        rows = self._queue.rows
        mine = self._verdicts.mine[rows]
        left = np.flatnonzero(mine == "")
        if not len(left):
            star = self._verdicts.data.star
            here = -1 if self.star is None else self._verdicts.data.row(self.star.obsid)
            own = -1 if here < 0 else star[here]
            left = np.flatnonzero((mine == "unsure") & (star[rows] != own))
        behind = np.searchsorted(left, self.place, side="right")
        ordered = np.concatenate([left[behind:], left[:behind]])
        held = self._verdicts.in_other_hands(rows[ordered])
        return self._queue.obsids[ordered[np.argsort(held, kind="stable")]]

    def go(self, obsids: Iterator[np.int64]) -> bool:
        """Bring the first of these stars that can be read on screen; give up after a few."""
        return any(
            self._status.attempt(self.select, int(obsid)) for obsid in islice(obsids, N_UNREADABLE)
        )

    def renew(self) -> None:
        """Read the decisions on the star on screen anew; what is drawn of it stays as it is."""
        if self.star is not None:
            with param.parameterized.discard_events(self):
                self.star = self.read(self.star.obsid)

    def read(self, obsid: int) -> Star:
        """Return a star as it is now.

        Raises
        ------
        SurveyError
            When the survey has no such spectrum, or it cannot be read.
        """
        row = self._verdicts.data.row(obsid)
        spectrum, fits, windows = self._verdicts.data.measured(obsid)
        rows = self._verdicts.data.same_star(row)
        return Star(
            obsid=obsid,
            row=self._verdicts.table.iloc[row],
            spectrum=spectrum,
            fits=fits,
            windows=windows,
            epochs=self._verdicts.table.iloc[rows],
            decisions=self._verdicts.decisions_on(rows),
        )

    @contextmanager
    def trying_on(self, star: Star) -> Iterator[None]:
        """Have everything drawn of another star for as long as the block runs; nobody sees it."""
        here = {"star": self.star, "selected": self.selected, "left_out": self.left_out}
        self.is_trying = True
        try:
            self.param.update(star=star, selected=str(star.obsid), left_out=[])
            yield
        finally:
            self.param.update(**here)
            self.is_trying = False

    def steps(self, n: int) -> dict[int, dict[str, int]]:
        """Return where keys lead from the star on screen, and from those that they lead to.

        Parameters
        ----------
        n : int
            Keys of one kind in a row.

        Returns
        -------
        dict
            By obsid: the star that ``next``, ``previous`` and a verdict (``decide``) lead to.
        """
        if self.star is None:
            return {}
        obsids, star = self._queue.obsids, self._verdicts.data.star
        place, here = self.place, self.star.obsid
        steps: dict[int, dict[str, int]] = {here: {}}
        if place > 0:
            steps[here]["previous"] = int(obsids[place - 1])
        for at in range(place, min(place + n, len(obsids) - 1)):
            before = here if at == place else int(obsids[at])
            after = int(obsids[at + 1])
            steps.setdefault(before, {})["next"] = after
            if at >= 0:  # else the star on screen is not in the queue: nothing leads back to it
                steps.setdefault(after, {})["previous"] = before
        judged: list[int] = []
        for _ in range(n):
            judged.append(int(star[self._verdicts.data.row(here)]))
            left = self._left_after(place, judged)
            if left is None:
                break
            steps.setdefault(here, {})["decide"] = here = int(obsids[left])
            place = left
        return steps

    def _left_after(self, place: int, judged: list[int]) -> int | None:
        """Return the next place of the queue, around its end, that waits for me and nobody else.

        Parameters
        ----------
        place : int
        judged : list of int
            Numbers of stars that will have been vetted by then.
        """
        rows, mine, star = self._queue.rows, self._verdicts.mine, self._verdicts.data.star
        for first, end in ((place + 1, len(rows)), (0, place + 1)):
            for start in range(first, end, BLOCK):  # a queue may be long, the next is near
                places = np.arange(start, min(start + BLOCK, end))
                left = places[mine[rows[places]] == ""]
                left = left[~np.isin(star[rows[left]], judged)]
                left = left[~self._verdicts.in_other_hands(rows[left])]
                if len(left):
                    return int(left[0])
        return None

    def ahead(self, n: int) -> list[int]:
        """Return the next stars of the queue."""
        place = self.place + 1
        return [int(obsid) for obsid in self._queue.obsids[place : place + n]]

    def _read_ahead(self) -> None:
        place, data = self.place + 1, self._verdicts.data
        wanted = self.ahead(N_AHEAD)
        if self.with_epochs:
            rows = [data.same_star(row) for row in data.rows(wanted)]
            wanted += [int(obsid) for obsid in data.obsid[np.concatenate([[], *rows]).astype(int)]]
        data.read_ahead([*wanted, *map(int, self._queue.obsids[place - 2 : place])])
