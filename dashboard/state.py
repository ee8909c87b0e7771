"""What the reviewer is looking at: queue, star on screen, verdicts. Every view draws from here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from numpy.typing import NDArray

from msfa_core.balmer.fit import LineFits, LineWindow, fit_lines, line_window
from msfa_core.catalogue.filters import (
    ORDERS,
    Filter,
    contradictions,
    preset_filters,
    verdict_filters,
)
from msfa_core.catalogue.one_star import own_verdict, standing, vet_columns
from msfa_core.catalogue.vetting import Decision, Verdict, verdict_of_record
from msfa_core.columns import columns_of, conform
from msfa_core.errors import ConflictError, MsfaError, StoreError, SurveyError
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey import Survey

if TYPE_CHECKING:
    from msfa_core.explain.saliency import Saliency

logger = logging.getLogger(__name__)

N_HELD = 400  # stars kept ready to draw, per survey
PROBE_SECONDS = 0.015  # a star that was read ahead comes on screen within this [s]
N_AHEAD = 4  # stars read ahead of the reviewer
N_UNREADABLE = 5  # stars passed over because they cannot be read, before giving up
N_RECENT = 10  # decisions shown under the verdict bar
N_EXPLAINED = 64  # stars whose saliency is kept, per survey
_VET: Final = tuple(column.name for column in columns_of("vet"))
_IN_MEMORY_TEXT: Final = pd.StringDtype("python", na_value=np.nan)  # one cell is set in µs
_SHARED = threading.Lock()


@dataclass(frozen=True, slots=True)
class Star:
    """The star on screen: one spectrum and all that is known of it.

    Attributes
    ----------
    obsid : int
    row : Series
        Its row of the table, verdict of record included.
    spectrum : Spectrum
        As stored, on its own wavelengths.
    fits : LineFits
        One row, computed now from the stored spectrum.
    windows : dict of line -> LineWindow
    epochs : DataFrame
        Rows of all spectra of the same star, this one included.
    decisions : tuple of Decision
        Standing and withdrawn decisions on the star, newest first.
    """

    obsid: int
    row: pd.Series
    spectrum: Spectrum
    fits: LineFits
    windows: dict[str, LineWindow]
    epochs: pd.DataFrame
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """Which wavelengths spoke for the classes of one star.

    Attributes
    ----------
    obsid : int
    stages : tuple of Saliency
        One row each: stage 1 for its class, stage 2 for BHB. Empty when there is nothing to
        explain: the spectrum could not be prepared, or the networks do not know its resolution.
    """

    obsid: int
    stages: tuple[Saliency, ...]


class SurveyData:
    """What all sessions on one survey share: its table, archive, store and spectra read so far.

    Holds data only: no plots, no widgets, no session.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.stamp = _stamp(survey)
        self.settings = survey.settings
        self.archive = survey.archive
        self.store = survey.store()
        self.candidates = conform(survey.candidates()).reset_index(drop=True)
        self.contradictions = contradictions(self.candidates, self.settings)
        self.obsid = self.candidates["obsid"].to_numpy(np.int64)
        self._index = pd.Index(self.obsid)
        self.star, _ = pd.factorize(self.candidates["uid"])
        alone = self.star < 0  # not identified yet: a star of its own
        self.star[alone] = self.star.max(initial=-1) + 1 + np.arange(alone.sum())
        self._by_star = np.argsort(self.star, kind="stable")
        self._starts = np.searchsorted(self.star[self._by_star], np.arange(len(self.star) + 1))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self.measured = lru_cache(maxsize=N_HELD)(self._measure)
        self._thinker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explain")
        self._explained = lru_cache(maxsize=N_EXPLAINED)(self._explain)

    def rows(self, obsids: Iterable[int]) -> NDArray[np.intp]:
        """Return the row number of each obsid; -1 for one that is not in the survey."""
        return self._index.get_indexer(np.fromiter(obsids, dtype=np.int64))

    def row(self, obsid: int) -> int:
        """Return the row number of one obsid.

        Raises
        ------
        SurveyError
            When the survey has no such spectrum.
        """
        row = int(self.rows([obsid])[0])
        if row < 0:
            raise SurveyError(f"obsid {obsid} is not in this survey; search for another one.")
        return row

    def disagreements_on(self, obsid: int) -> list[str]:
        """Return the sentences of the witnesses that contradict each other on a spectrum."""
        row = self.row(obsid)
        return [sentence for sentence, holds in self.contradictions.items() if holds[row]]

    def same_star(self, row: int) -> NDArray[np.intp]:
        """Return the rows of all spectra of the star of this row."""
        star = self.star[row]
        return self._by_star[self._starts[star] : self._starts[star + 1]]

    def explain(self, obsid: int, still_wanted: Callable[[], bool]) -> Future[Explained | None]:
        """Ask in the background which wavelengths spoke; None when no longer wanted by then."""
        return self._thinker.submit(
            lambda: self._explained(obsid) if still_wanted() else None  # a queue of keys passes
        )

    def _explain(self, obsid: int) -> Explained:
        from msfa_core.spectra.prepare import prepare  # noqa: PLC0415
        from msfa_core.steps import are_low_resolution, models_folder, network  # noqa: PLC0415

        row = self.row(obsid)
        if not are_low_resolution(self.candidates.iloc[[row]])[0]:
            return Explained(obsid, ())
        batch = self.archive.spectra(np.array([obsid], dtype=np.int64))
        z = self.candidates["z"].iloc[[row]].to_numpy(np.float64, na_value=np.nan)
        prepared = prepare(replace(batch, z=np.where(np.isfinite(z), z, batch.z)))
        if not np.isfinite(prepared.flux).all():
            return Explained(obsid, ())
        search = network(models_folder(self.settings))
        return Explained(obsid, tuple(search.explain(prepared, stage) for stage in (1, 2)))

    def _measure(self, obsid: int) -> tuple[Spectrum, LineFits, dict[str, LineWindow]]:
        """Read one spectrum and fit its lines: the code path of the whole survey, one row."""
        try:
            batch = self.archive.spectra(np.array([obsid], dtype=np.int64))
            spectrum = self.archive.original(obsid)
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise SurveyError(
                f"the spectrum of obsid {obsid} cannot be read ({error}): restore its shard from a "
                "copy, or ingest its files again."
            ) from error
        fits = fit_lines(batch)
        windows = {line: line_window(batch, fits, 0, line) for line in fits.lines}
        return spectrum, fits, windows

    def read_ahead(self, obsids: Iterable[int]) -> Future[None]:
        """Read these stars in the background, so that they are there when they are wanted."""
        return self._worker.submit(self._read_all, [int(obsid) for obsid in obsids])

    def _read_all(self, obsids: Sequence[int]) -> None:
        for obsid in obsids:
            try:
                self.measured(obsid)
            except MsfaError as error:  # said again, to the reviewer, when the star is opened
                logger.warning("reading ahead: %s", error)


def _stamp(survey: Survey) -> tuple[float, int]:
    """Return what changes when a step has rewritten the table of a survey."""
    path = Path(survey.path) / "candidates.parquet"
    if not path.exists():
        return 0.0, 0
    status = path.stat()
    return status.st_mtime, status.st_size


def shared_data(survey: Survey) -> SurveyData:
    """Return the data of a survey, read once for all sessions and again when it has changed."""
    key = f"survey {Path(survey.path).resolve()}"
    with _SHARED:
        held = pn.state.cache.get(key)
        if held is None or held.stamp != _stamp(survey):
            held = pn.state.cache[key] = SurveyData(survey)
        return held


class VettingState(param.Parameterized):
    """What one reviewer is looking at: survey, queue, star on screen, verdicts.

    Parameters
    ----------
    survey : Survey
    reviewer : str
        Empty until known; nothing can be decided without it.
    """

    survey = param.Parameter(doc="Survey that is vetted")
    reviewer = param.String(doc="Who decides")
    table = param.DataFrame(doc="Candidates with their verdicts of record")
    filters = param.Parameter(default=(), doc="Filters in force (a tuple); all must hold")
    order = param.Selector(default="p_bhb", objects=list(ORDERS), doc="Order of the queue")
    queue = param.Array(default=np.empty(0, np.int64), doc="obsids to look at, in order")
    selected = param.String(doc="obsid on screen, as text")
    star = param.Parameter(doc="Star on screen, or None")
    why = param.Boolean(doc="Ask which wavelengths spoke, for every star that comes on screen")
    explained = param.Parameter(doc="Answer to that for the star on screen (Explained), or None")
    version = param.Integer(doc="Rises when verdicts of the table change")
    message = param.String(doc="Status line")
    tone = param.Selector(default="calm", objects=["calm", "saved", "error"], doc="Its tone")
    blind = param.Boolean(doc="Hide other reviewers and the machine's opinion")

    def __init__(self, survey: Survey, reviewer: str = "", **params: Any) -> None:
        super().__init__(survey=survey, reviewer=reviewer, **params)
        self._own: list[Decision] = []  # decisions of this session, oldest first
        self._last_seen = 0
        self.presets: dict[str, Filter] = {}
        self._open()
        self.set_filters([self.presets["candidates"]])
        if not self.selected:
            self.first()

    # --- the table ---------------------------------------------------------------------------
    def _open(self) -> None:
        """Take the survey's shared data and put the verdicts of record beside it."""
        self.data = shared_data(self.survey)
        self.presets = preset_filters(self.data.settings) | verdict_filters()
        self._read_verdicts()

    def _read_verdicts(self) -> None:
        """Bring every verdict up to date from the store."""
        self._last_seen = self.data.store.last_decision_id()
        standing = self.data.store.standing()
        vet = verdict_of_record(standing, self.data.candidates)
        table = self.data.candidates.copy(deep=False)
        for name in _VET:
            values = vet[name].set_axis(table.index)
            table[name] = values.astype(_IN_MEMORY_TEXT) if values.dtype == "str" else values
        self.mine = self._verdicts_by(self.reviewer, standing)
        self.param.update(table=table, version=self.version + 1)

    def _verdicts_by(self, reviewer: str, standing: pd.DataFrame) -> NDArray[np.object_]:
        """Return this reviewer's own verdict on each row; empty where there is none."""
        by_star = np.full(self.data.star.max(initial=-1) + 1, "", dtype=object)
        own = standing[standing["reviewer"] == reviewer]  # oldest first: the latest one stays
        rows = self.data.rows(own["obsid"])
        for row, verdict in zip(rows, own["verdict"], strict=True):
            if row >= 0:
                by_star[self.data.star[row]] = str(verdict)
        return by_star[self.data.star]

    def _refresh_star(self, obsid: int) -> None:
        """Bring the verdict of one star up to date: its rows, no others."""
        rows = self.data.same_star(self.data.row(obsid))
        decisions = self._decisions_on(rows)
        for name, value in vet_columns(decisions).items():
            self.table.iloc[rows, self.table.columns.get_loc(name)] = value
        self.mine[rows] = own_verdict(decisions, self.reviewer)

    def _decisions_on(self, rows: NDArray[np.intp]) -> tuple[Decision, ...]:
        """Return every decision on the spectra of these rows, newest first."""
        found = [
            decision
            for obsid in self.data.obsid[rows]
            for decision in self.data.store.decisions(obsid=int(obsid))
        ]
        return tuple(sorted(found, key=lambda d: d.decision_id or 0, reverse=True))

    def follow(self) -> None:
        """Take over what other reviewers decided since the last look (called now and then)."""
        newest = self.data.store.last_decision_id()
        if newest == self._last_seen:
            return
        if newest - self._last_seen > N_HELD:
            self._read_verdicts()
        else:
            news = self.data.store.decisions(limit=newest - self._last_seen)
            self._last_seen = newest
            for obsid in {decision.obsid for decision in news}:
                if self.data.rows([obsid])[0] >= 0:
                    self._refresh_star(obsid)
        star = self._read_star(self.star.obsid) if self.star is not None else None
        self.param.update(star=star, version=self.version + 1)

    def reload(self) -> None:
        """Read the survey anew: a step of the pipeline may have rewritten its table."""
        on_screen = self.selected
        self._open()
        self._arrange()
        if on_screen and self.data.rows([int(on_screen)])[0] >= 0:
            self.select(on_screen)
        else:
            self.first()

    @param.depends("reviewer", watch=True)
    def _change_reviewer(self) -> None:
        """Know the new reviewer's own verdicts, and begin with what is left to do."""
        if not hasattr(self, "mine"):
            return
        self.mine = self._verdicts_by(self.reviewer, self.data.store.standing())
        self._own.clear()
        self._arrange()
        self.version += 1

    # --- the queue ---------------------------------------------------------------------------
    @property
    def sentences(self) -> list[str]:
        """The filters in force, in words."""
        return [condition.sentence for condition in self.filters]

    @property
    def progress(self) -> tuple[int, int, int]:
        """How many of the queue this reviewer has vetted, how many of those are unsure, of all."""
        mine = self.mine[self.data.rows(self.queue)]
        return int((mine != "").sum()), int((mine == "unsure").sum()), len(mine)

    def set_filters(self, filters: Iterable[Filter]) -> None:
        """Put these filters in force, one of each name, and make the queue anew."""
        chosen = {condition.name: condition for condition in filters}
        self.filters = tuple(chosen.values())
        self._arrange()

    def set_order(self, order: str) -> None:
        """Put the queue in another order."""
        self.order = order
        self._arrange()

    def brush(self, obsids: Iterable[int], label: str) -> None:
        """Keep only these stars, chosen in a plane; none of them lifts the brush.

        Parameters
        ----------
        obsids : iterable of int
        label : str
            The choice in words, e.g. ``brushed in Hδ D0.2–fm``.
        """
        chosen = np.fromiter((int(obsid) for obsid in obsids), dtype=np.int64)
        others = [condition for condition in self.filters if condition.name != "brush"]
        if len(chosen):
            others.append(
                Filter(
                    "brush",
                    label,
                    lambda table: np.isin(table["obsid"].to_numpy(np.int64), chosen),
                    f"obsid IN ({', '.join(map(str, chosen[:N_HELD]))})"
                    if len(chosen) <= N_HELD
                    else "",
                )
            )
        self.set_filters(others)

    def _arrange(self) -> None:
        """Make the queue: filtered, not yet vetted by me first, then in the chosen order."""
        keep = np.ones(len(self.table), dtype=bool)
        for condition in self.filters:
            keep &= condition.predicate(self.table)
        rows = np.flatnonzero(keep)
        key = ORDERS[self.order].key(self.table.iloc[rows])
        done = self.mine[rows] != ""
        self.queue = self.data.obsid[rows[np.lexsort((key, done))]]

    # --- the star on screen ------------------------------------------------------------------
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
            raise SurveyError(f"{obsid!r} is not an obsid: give its number.") from error
        star = self._read_star(number)
        with pn.io.hold():  # one message to the browser, so one repaint of every figure
            self.param.update(star=star, selected=str(number))
        self._read_ahead(number)

    @param.depends("selected", watch=True)
    def _follow_selected(self) -> None:
        """Load the star when its obsid was set directly (a link, a table)."""
        on_screen = str(self.star.obsid) if self.star is not None else ""
        if self.selected not in ("", on_screen) and not self.attempt(self.select, self.selected):
            self.selected = on_screen

    def find(self, text: str) -> None:
        """Bring the star on screen whose obsid, uid or file name is, or else contains, the text.

        Raises
        ------
        SurveyError
            When there is none.
        """
        wanted = text.strip()
        if wanted.isdigit() and self.data.rows([int(wanted)])[0] >= 0:
            self.select(wanted)
            return
        columns = [self.table["uid"], self.table["file"], self.table["obsid"].astype("str")]
        for match in ("__eq__", "contains"):
            for column in columns:
                hits = (
                    (column == wanted)
                    if match == "__eq__"
                    else column.str.contains(wanted, case=False, regex=False)
                )
                rows = np.flatnonzero(hits.to_numpy(dtype=bool, na_value=False))
                if wanted and len(rows):
                    self.select(int(self.data.obsid[rows[0]]))
                    others = f" · {len(rows) - 1} more match" if len(rows) > 1 else ""
                    self.say(f"found {wanted}{others}")
                    return
        raise SurveyError(f"nothing in this survey has {wanted!r} in its obsid, uid or file.")

    def first(self) -> None:
        """Bring the first star of the queue on screen; none when the queue is empty."""
        self._go(iter(self.queue))

    def next(self) -> None:
        """Go to the next star of the queue."""
        place = self.place
        if place + 1 >= len(self.queue):
            self.say("This is the end of the queue.")
        else:
            self._go(iter(self.queue[place + 1 :]))

    def previous(self) -> None:
        """Go back to the star before this one in the queue."""
        place = self.place
        if place <= 0:
            self.say("This is the beginning of the queue.")
        else:
            self._go(iter(self.queue[:place][::-1]))

    @property
    def place(self) -> int:
        """Place of the star on screen in the queue; -1 when it is not in the queue."""
        found = np.flatnonzero(self.queue == (self.star.obsid if self.star is not None else -1))
        return int(found[0]) if len(found) else -1

    def _left_to_do(self) -> NDArray[np.int64]:
        """Return what this reviewer has not vetted: behind this star first, then before it."""
        queue = np.roll(self.queue, -(self.place + 1))
        return queue[self.mine[self.data.rows(queue)] == ""]

    def _go(self, obsids: Iterator[np.int64]) -> bool:
        """Bring the first of these stars that can be read on screen; give up after a few."""
        return any(self.attempt(self.select, int(obsid)) for obsid in islice(obsids, N_UNREADABLE))

    def _read_star(self, obsid: int) -> Star:
        row = self.data.row(obsid)
        spectrum, fits, windows = self.data.measured(obsid)
        rows = self.data.same_star(row)
        return Star(
            obsid=obsid,
            row=self.table.iloc[row],
            spectrum=spectrum,
            fits=fits,
            windows=windows,
            epochs=self.table.iloc[rows],
            decisions=self._decisions_on(rows),
        )

    def _read_ahead(self, obsid: int) -> None:
        place = self.place + 1
        self.data.read_ahead([*self.queue[place : place + N_AHEAD], *self.queue[place - 2 : place]])

    @param.depends("star", "why", "blind", watch=True)
    def _ask_why(self) -> None:
        """Ask which wavelengths spoke for the star on screen; the answer comes when it is ready."""
        star = self.star
        if self.explained is not None:
            self.explained = None
        if not self.why or self.blind or star is None:
            return
        document = pn.state.curdoc

        def is_wanted() -> bool:
            return (
                self.why
                and not self.blind
                and self.star is not None
                and (self.star.obsid == star.obsid)
            )

        def answer(done: Future[Explained | None]) -> None:
            if document is not None and document.session_context is not None:
                document.add_next_tick_callback(lambda: self._take_answer(done, is_wanted))
            else:  # no browser: the one who asks waits for the future
                self._take_answer(done, is_wanted)

        self.data.explain(star.obsid, is_wanted).add_done_callback(answer)

    def _take_answer(self, done: Future[Explained | None], is_wanted: Callable[[], bool]) -> None:
        """Show the answer if its star is still on screen; say what kept it from being found."""
        try:
            found = done.result()
        except MsfaError as error:
            logger.warning("not explained: %s", error)
            self.say(str(error), "error")
            return
        if found is not None and is_wanted():
            self.explained = found

    # --- verdicts ----------------------------------------------------------------------------
    def decide(
        self,
        verdict: Verdict | str,
        *,
        painted_obsid: int | str,
        verdict_class: str = "",
        confidence: int | None = None,
        comment: str = "",
        issue_flags: Sequence[str] = (),
    ) -> Decision:
        """Store a verdict on the star on screen, then go on to the next one left to do.

        Parameters
        ----------
        verdict : Verdict
        painted_obsid : int or str
            The star that the reviewer's screen showed when the key was pressed.
        verdict_class, confidence, comment, issue_flags
            As in `Decision`.

        Returns
        -------
        Decision
            As stored: it is on disk.

        Raises
        ------
        ConflictError
            When the screen showed another star; nothing is stored.
        StoreError
            When there is no reviewer's name, or the store refuses.
        """
        star = self.star
        if star is None or str(painted_obsid) != str(star.obsid):
            now = "nothing" if star is None else star.obsid
            raise ConflictError(
                f"Not saved: the verdict was for {painted_obsid or 'no star'}, but {now} is on "
                "screen now. Look again and decide."
            )
        if not self.reviewer.strip():
            raise StoreError("Not saved: write your name first (top right), then decide.")
        uid = star.row["uid"]
        stored = self.data.store.append_decision(
            Decision(
                obsid=star.obsid,
                uid="" if pd.isna(uid) else str(uid),
                verdict=Verdict(verdict),
                reviewer=self.reviewer.strip(),
                verdict_class=verdict_class,
                confidence=confidence,
                comment=comment,
                issue_flags=tuple(issue_flags),
                shown=self.shown(star),
            )
        )
        self._own.append(stored)
        self._after_change(stored)
        what = f"{stored.verdict} as {verdict_class}" if verdict_class else str(stored.verdict)
        left = self._left_to_do()
        with param.parameterized.batch_call_watchers(self):
            if not self._go(iter(left)):
                self.star = self._read_star(star.obsid)
            ending = "" if len(left) else " · everything in this queue is vetted"
            name = stored.uid or str(stored.obsid)
            self.say(f"saved: {what} · {name} · {_clock(stored.decided_at)}{ending}", "saved")
            self.version += 1
        return stored

    def undo(self) -> Decision:
        """Take back this reviewer's last standing decision and return to its star.

        Returns
        -------
        Decision
            What was taken back: its comment and flags can be used again.

        Raises
        ------
        StoreError
            When there is none, or the store refuses.
        """
        last = self._last_own()
        withdrawal = self.data.store.withdraw(last.decision_id or 0, self.reviewer.strip())
        self._own = [decision for decision in self._own if decision != last]
        self._after_change(withdrawal)
        with param.parameterized.batch_call_watchers(self):
            if self.data.rows([last.obsid])[0] >= 0:
                self.attempt(self.select, last.obsid)
            name = last.uid or str(last.obsid)
            self.say(f"withdrawn: {last.verdict} · {name} · {_clock(withdrawal.decided_at)}")
            self.version += 1
        return last

    def _last_own(self) -> Decision:
        """Return this reviewer's last standing decision, of this session or an earlier one."""
        if not self.reviewer.strip():
            raise StoreError("Nothing to undo: write your name first (top right).")
        if self._own:
            return self._own[-1]
        for decision in standing(self.data.store.decisions(reviewer=self.reviewer.strip())):
            return decision
        raise StoreError("Nothing to undo: you have no standing decision in this survey.")

    def _after_change(self, decision: Decision) -> None:
        """Bring the table up to date after a row was appended to the store."""
        if decision.decision_id == self._last_seen + 1:
            self._last_seen += 1
        if self.data.rows([decision.obsid])[0] >= 0:
            self._refresh_star(decision.obsid)

    def recent(self, limit: int = N_RECENT) -> list[Decision]:
        """Return the last decisions on this survey, newest first."""
        return self.data.store.decisions(limit=limit)

    def shown(self, star: Star) -> dict[str, Any]:
        """Return what the reviewer had before them: kept with the decision."""
        row = star.row
        names = ["predicted_class", "p_bhb", "subclass", "snr_g", "in_bhb_region", "bp_rp"]
        names += [f"{quantity}_{line}" for line in star.fits.lines for quantity in ("d02", "fm")]
        names += [name for name in row.index if str(name).startswith("p_class_")]
        values = {str(name): None if pd.isna(row[name]) else row[name] for name in names}
        return {
            "row": values,
            "blind": self.blind,
            "filters": self.sentences,
            "order": ORDERS[self.order].sentence,
            "threshold": self.data.settings.bhb_threshold,
            "selection": self.data.settings.selection,
        }

    # --- words -------------------------------------------------------------------------------
    def say(self, message: str, tone: str = "calm") -> None:
        """Write the status line."""
        self.param.update(message=message, tone=tone)

    def attempt(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Do it; what the project refuses becomes the status line. Return whether it was done."""
        try:
            action(*args, **kwargs)
        except MsfaError as error:
            logger.warning("refused: %s", error)
            self.say(str(error), "error")
            return False
        return True


def _clock(moment: str) -> str:
    """Return the time of day of an ISO moment in UTC: ``12:03:04 UTC``."""
    return f"{moment[11:19]} UTC"
