"""Where the work is done: in this process, in processes of this machine, on a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pandas as pd

from msfa_core.errors import SurveyError
from msfa_core.machine import Workers
from msfa_core.spine.step import Part

CONNECT_SECONDS: Final = 20

Apply = Callable[[Sequence[Part]], Iterator[pd.DataFrame]]


@contextmanager
def workers(n_workers: int, scheduler: str | None) -> Iterator[Apply]:
    """Yield what applies `Part.do` to tasks: here, in processes, or on a cluster."""
    if scheduler:
        with _cluster(scheduler) as apply:
            yield apply
    else:
        with Workers(n_workers) as processes:
            # one task is done here: a process would take longer to start
            yield (
                lambda tasks: (
                    processes.in_order(Part.do, tasks) if len(tasks) > 1 else map(Part.do, tasks)
                )
            )


@contextmanager
def _cluster(address: str) -> Iterator[Apply]:
    """Yield what applies `Part.do` on the workers of a Dask scheduler."""
    from distributed import Client  # noqa: PLC0415 (heavy, and only for clusters)

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SurveyError(
            f"no Dask scheduler answers at {address} ({error}): check the address, or leave "
            "--scheduler out to work on this machine."
        ) from error

    def apply(tasks: Sequence[Part]) -> Iterator[pd.DataFrame]:
        ahead = max(2 * len(client.scheduler_info().get("workers", {})), 2)
        waiting = deque(tasks)
        running: deque[Any] = deque()
        while waiting or running:
            while waiting and len(running) < ahead:
                running.append(client.submit(Part.do, waiting.popleft(), pure=False))
            yield running.popleft().result()

    with client:
        yield apply
