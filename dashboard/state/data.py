"""What all sessions on one survey share: table, store, spectra and answers so far."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import pyarrow as pa
from numpy.typing import NDArray
from pandas.arrays import ArrowExtensionArray

from dashboard.state.claims import Claims
from dashboard.state.finding import ANSWERS, SLOW
from msfa_core.balmer.fit import LineFits, LineWindow, fit_lines, line_window
from msfa_core.errors import MsfaError, SurveyError
from msfa_core.rules import star_numbers
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spine.witnesses import Stance, Witness, stances, witnesses
from msfa_core.survey.folder import Survey
from msfa_core.vetting.assignment import ASSIGNMENT_FILE, Assignment, read_assignment
from msfa_core.vetting.decision import Decision
from msfa_core.vetting.filters import contradictions

logger = logging.getLogger(__name__)

N_HELD: Final = 400  # stars kept ready to draw, per survey
N_WRITERS: Final = 32
BREATH: Final = 0.08  # s, before stars are read ahead of the one on screen
N_ANSWERED: Final = 64  # stars whose answers to a question are kept, per survey
_SHARED: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Star:
    """The star on screen: one spectrum and all that is known of it.

    Attributes
    ----------
    obsid : int
    row : Series
        Its row of the table, verdict of record included.
    spectrum : Spectrum
        On its own wavelengths, completed by catalogues.
    fits : LineFits
        One row, computed now from the spectrum.
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


class SurveyData:
    """What all sessions on one survey share: its table, store and spectra read so far.

    Holds data only: no plots, no widgets, no session.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.n_sessions = 0  # that look at it
        self.stamp = _stamp(survey)
        self.settings = survey.settings_used
        self.store = survey.store()
        self.store.serve_pages()
        self.candidates = in_one_piece(survey.table().reset_index(drop=True))
        self.contradictions = contradictions(self.candidates, self.settings)
        self.obsid = self.candidates["obsid"].to_numpy(np.int64)
        self._index = pd.Index(self.obsid)
        self.star = star_numbers(self.candidates)
        self._by_star = np.argsort(self.star, kind="stable")
        self._starts = np.searchsorted(self.star[self._by_star], np.arange(len(self.star) + 1))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self._ahead: Sequence[int] = ()  # what is to be read ahead next
        self.measured = lru_cache(maxsize=N_HELD)(self._measure)
        # made when needed: pages that wait for a locked store do not wait for each other too
        self.writers = ThreadPoolExecutor(max_workers=N_WRITERS, thread_name_prefix="decisions")
        # what takes long keeps nothing else waiting
        self._quick = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
        self._slow = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slow-answers")
        self.claims = Claims()
        self._assigned: tuple[float, Assignment | None] = (0.0, None)
        self._heard: dict[int, tuple[Witness, ...]] = {}  # a star is drawn several times
        self._answers: dict[str, dict[int, Any]] = {question: {} for question in ANSWERS}

    def close(self) -> None:
        """End its threads, let go of store and spectra; nobody looks at it any more."""
        for pool in self._pools():
            pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()
        threading.Thread(target=self._let_go, daemon=True).start()

    def _pools(self) -> tuple[ThreadPoolExecutor, ...]:
        return self._worker, self._quick, self._slow, self.writers

    def _let_go(self) -> None:
        """Close the spectra's files once nobody reads them, without waiting for memory's turn."""
        for pool in self._pools():
            pool.shutdown(wait=True)
        self.survey.close()

    @property
    def is_current(self) -> bool:
        """Whether the table is still as it was read: no step has rewritten it since."""
        return self.stamp == _stamp(self.survey)

    @property
    def assignment(self) -> Assignment | None:
        """Who looks at which stars, as the survey says now; None where nobody has been told."""
        path = Path(self.survey.path) / ASSIGNMENT_FILE
        stamp = path.stat().st_mtime if path.exists() else 0.0
        if stamp != self._assigned[0]:
            self._assigned = stamp, read_assignment(self.survey.path)
        return self._assigned[1]

    def rows(self, obsids: Iterable[int]) -> NDArray[np.intp]:
        """Return the row number of each obsid; -1 for one that is not in the survey."""
        if not isinstance(obsids, np.ndarray):
            obsids = np.fromiter(obsids, dtype=np.int64)
        return self._index.get_indexer(obsids)

    def row(self, obsid: int) -> int:
        """Return the row number of one obsid.

        Raises
        ------
        SurveyError
            When the survey has no such spectrum.
        """
        try:
            return int(self._index.get_loc(obsid))
        except KeyError:
            raise SurveyError(
                f"obsid {obsid} is not in this survey; search for another one."
            ) from None

    def disagreements_on(self, obsid: int) -> list[str]:
        """Return the sentences of the witnesses that contradict each other on a spectrum."""
        row = self.row(obsid)
        return [sentence for sentence, holds in self.contradictions.items() if holds[row]]

    @cached_property
    def _stances(self) -> dict[str, NDArray[np.int8]]:
        return stances(self.candidates, self.settings)

    def witnesses_on(self, obsid: int) -> tuple[Witness, ...]:
        """Return what the six witnesses say of a spectrum."""
        heard = self._heard.get(obsid)
        if heard is None:
            row = self.row(obsid)
            known = {name: Stance(int(said[row])) for name, said in self._stances.items()}
            heard = witnesses(self.candidates.iloc[row], self.settings, known)
            if len(self._heard) >= N_ANSWERED:
                self._heard.clear()
            self._heard[obsid] = heard
        return heard

    def same_star(self, row: int) -> NDArray[np.intp]:
        """Return the rows of all spectra of the star of this row."""
        star = self.star[row]
        return self._by_star[self._starts[star] : self._starts[star + 1]]

    def ask(self, question: str, obsid: int, still_wanted: Callable[[], bool]) -> Future[Any]:
        """Answer a question in the background; None when it is no longer wanted by then."""
        thinker = self._slow if question in SLOW else self._quick
        return thinker.submit(self._answer, question, obsid, still_wanted)

    def answered(self, question: str, obsid: int) -> Any:
        """Return the answer to a question that was asked before; None when it was not."""
        return self._answers[question].get(obsid)

    def _answer(self, question: str, obsid: int, still_wanted: Callable[[], bool]) -> Any:
        known = self._answers[question]  # written by one thread
        if obsid not in known and still_wanted():  # a queue of keys passes
            found = ANSWERS[question](self, obsid)
            if len(known) >= N_ANSWERED:
                del known[next(iter(known))]
            known[obsid] = found
        return known.get(obsid)

    def _measure(self, obsid: int) -> tuple[Spectrum, LineFits, dict[str, LineWindow]]:
        """Read one spectrum and fit its lines: the code path of the whole survey, one row."""
        try:
            batch = self.survey.spectra([obsid])
            spectrum = self.survey.spectrum(obsid)
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise SurveyError(
                f"the spectrum of obsid {obsid} cannot be read ({error}): restore its shard from a "
                "copy, or ingest its files again."
            ) from error
        fits = fit_lines(batch)
        windows = {line: line_window(batch, fits, 0, line) for line in fits.lines}
        return spectrum, fits, windows

    def read_ahead(self, obsids: Iterable[int]) -> Future[None]:
        """Read these stars in the background, so that they are there when they are wanted.

        It waits for a breath: the star that was asked for is sent to its page first.
        """
        self._ahead = wanted = [int(obsid) for obsid in obsids]
        return self._worker.submit(self._read_all, wanted)

    def _read_all(self, obsids: Sequence[int]) -> None:
        if obsids is self._ahead:  # else the keys run: what was asked for last waits, alone
            time.sleep(BREATH)
        for obsid in obsids:
            try:
                self.measured(obsid)
            except MsfaError as error:  # said again, to the reviewer, when the star is opened
                logger.warning("reading ahead: %s", error)


def in_one_piece(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with each column of text in one piece of memory.

    As read from a large file it lies in several, and a single row is then looked up in a time
    that grows with the table.
    """
    for name in table.columns:
        text = table[name].array
        if isinstance(text, ArrowExtensionArray):
            whole = pa.chunked_array(pa.array(text)).combine_chunks()
            table[name] = pd.Series(pd.array(whole, dtype=text.dtype), index=table.index)
    return table


def _stamp(survey: Survey) -> tuple[float, int]:
    """Return what changes when a step has rewritten the table of a survey."""
    path = Path(survey.path) / "candidates.parquet"
    if not path.exists():
        return 0.0, 0
    status = path.stat()
    return status.st_mtime, status.st_size


def shared_data(survey: Survey) -> SurveyData:
    """Return the data of a survey, read once for all sessions and again when it has changed.

    Whoever takes it gives it back with `give_back`.
    """
    key = _key(survey)
    with _SHARED:
        held = pn.state.cache.get(key)
        if held is None or held.stamp != _stamp(survey):
            new = SurveyData(survey)
            if held is not None and not held.n_sessions:
                held.close()
            held = pn.state.cache[key] = new
        held.n_sessions += 1
        return held


def give_back(data: SurveyData) -> None:
    """Say that a session looks at it no more; what was replaced ends with its last session."""
    with _SHARED:
        data.n_sessions -= 1
        if not data.n_sessions and pn.state.cache.get(_key(data.survey)) is not data:
            data.close()


def _key(survey: Survey) -> str:
    return f"survey {Path(survey.path).resolve()}"
