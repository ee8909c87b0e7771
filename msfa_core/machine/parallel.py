"""Worker processes that work in order, hear requests to stop, and leave none behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Final, TypeVar

from msfa_core.errors import SurveyError

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS: Final = (  # read by the numerical libraries when a worker imports them
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_AHEAD: Final = 2  # tasks per worker handed out before the first result is taken
_LISTENS: Final = 0.2  # [s] a request to stop may wait for this


def n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Apply a function to items in worker processes; yield results in the order of the items.

    Parameters
    ----------
    function : callable
        Of a module (workers import it).
    items : iterable
        Taken as workers need them, so that memory stays bounded.
    workers : int
        1 works in this process.

    Raises
    ------
    SurveyError
        When a worker is killed from outside (most often: memory).
    """
    with Workers(workers) as processes:
        yield from processes.in_order(function, items)


class Workers:
    """Worker processes that stay for several rounds of work: each takes seconds to start.

    A request to stop (Ctrl-C, SIGTERM) never falls into the midst of a lock of the pool, which
    would stay taken for ever: it waits until the pool's own steps are done. Then work in hand is
    left, not finished.

    Parameters
    ----------
    number : int
        Started when there is work for them; 1 works in this process.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: ProcessPoolExecutor | None = None
        self._leave: Connection | None = None  # closed: leave the work in hand
        self._requests = _Requests()

    def __enter__(self) -> Workers:
        """Start nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the processes; at once, where the block failed."""
        if self._pool is None:
            return
        assert self._leave is not None
        with self._requests.waiting():
            if kind is not None:
                self._leave.close()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._leave.close()
            self._pool = None
            self._requests.give_back()

    def in_order(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Apply a function to items; yield results in the order of the items.

        What was handed out when a round is left (two tasks per worker) is cancelled with the pool
        alone: a task cancelled before its worker dies has the pool's own thread fail.

        Raises
        ------
        SurveyError
            When a worker is killed from outside (most often: memory).
        """
        if self._number <= 1:
            yield from map(function, items)
            return
        if self._pool is None:
            self._requests.take()
            context = multiprocessing.get_context("spawn")
            left, self._leave = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                self._number, mp_context=context, initializer=start_worker, initargs=(left,)
            )
        work = iter(items)
        running: deque[Future[Result]] = deque()
        try:
            for item in islice(work, _AHEAD * self._number):
                running.append(self._submitted(function, item))
            while running:
                yield self._result(running.popleft())
                for item in islice(work, 1):
                    running.append(self._submitted(function, item))
        except BrokenProcessPool as error:
            raise SurveyError(
                "a worker process died (out of memory, or killed): what was finished is kept; "
                "give the same command again, with --workers 1 if it repeats. A script that "
                'calls msfa_core needs `if __name__ == "__main__":` around its calls.'
            ) from error

    def _submitted(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Hand out a task; processes are started one by one, as tasks come."""
        assert self._pool is not None
        with self._requests.waiting(), one_thread_each(), unheard_ctrl_c():
            return self._pool.submit(_in_hand, function, item)

    def _result(self, task: Future[Result]) -> Result:
        """Wait for a task, and now and then for requests to stop."""
        is_done = False
        while not is_done:
            with self._requests.waiting():
                is_done = bool(wait_for([task], timeout=_LISTENS).done)
        with self._requests.waiting():
            return task.result()


class _Requests:
    """Requests to stop that wait while something must not be broken off."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._do_wait = False
        self._waiting: list[int] = []

    def take(self) -> None:
        """Hear the requests that Python acts on (it does so in the main thread alone)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, signal.Handlers):
                self._handlers[number] = handler
                signal.signal(number, self._hear)

    def give_back(self) -> None:
        """Leave requests to whom they went before."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                if signal.getsignal(number) == self._hear:
                    signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Have requests wait until the end of this block."""
        self._do_wait = True
        try:
            yield
        finally:
            self._do_wait = False
            while self._waiting:
                number = self._waiting.pop()
                self._handlers[number](number, None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._do_wait:
            self._waiting.append(number)
        else:
            self._handlers[number](number, frame)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Have processes started inside use one thread: threads collapse on a busy machine."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def unheard_ctrl_c() -> Iterator[None]:
    """Have processes started inside not hear Ctrl-C, from their first step on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_waits_or_sends: Final = threading.Lock()  # open while a worker has a task in hand


def start_worker(leave: Connection | None = None) -> None:
    """Leave Ctrl-C to the parent, and end when the parent ends, however that happens.

    Parameters
    ----------
    leave : Connection, optional
        Closed by the parent when the task in hand, if any, is to be left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _waits_or_sends.acquire()
    threading.Thread(target=_follow_parent, args=(leave,), daemon=True).start()


def _follow_parent(leave: Connection | None) -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ends = wait([parent.sentinel] if leave is None else [parent.sentinel, leave])
    if parent.sentinel not in ends:  # half a task or result in a pipe would hang the parent
        _waits_or_sends.acquire()
    os._exit(1)


def _in_hand(function: Callable[[Item], Result], item: Item) -> Result:
    """Do a task that may be left at any moment."""
    _waits_or_sends.release()
    try:
        return function(item)
    finally:
        _waits_or_sends.acquire()
