"""Worker processes: results in the order of the work, one thread each, none left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import wait
from typing import Final, TypeVar

from msfa_core.errors import SurveyError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS: Final = (  # read by the numerical libraries when a worker imports them
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_AHEAD: Final = 2  # tasks per worker handed out before the first result is taken


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
    if workers <= 1:
        yield from map(function, items)
        return
    work = iter(items)
    with one_thread_each():
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
        running: deque[Future[Result]] = deque()
        try:
            for item in islice(work, _AHEAD * workers):
                running.append(pool.submit(function, item))
            while running:
                yield running.popleft().result()
                for item in islice(work, 1):
                    running.append(pool.submit(function, item))
        except BrokenProcessPool as error:
            raise SurveyError(
                "a worker process died (out of memory, or killed): what was finished is kept; "
                "give the same command again, with --workers 1 if it repeats. A script that "
                'calls msfa_core needs `if __name__ == "__main__":` around its calls.'
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Have processes started inside use one thread: threads collapse on a busy machine."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent ends, however that happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
