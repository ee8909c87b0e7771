"""Where the work is done: in this process, in processes of this machine, on a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from msfa_core import DISTRIBUTION, __version__
from msfa_core.errors import SurveyError
from msfa_core.machine.parallel import Workers
from msfa_core.spine.step import Part

CONNECT_SECONDS: Final = 20
CLOSE_SECONDS: Final = 5

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
    from distributed import (  # noqa: PLC0415 (heavy, and only for clusters)
        CancelledError,
        Client,
        KilledWorker,
    )
    from distributed.comm import CommClosedError  # noqa: PLC0415 (as above)

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SurveyError(
            f"no Dask scheduler answers at {address} ({error}): check the address, or leave "
            "--scheduler out to work on this machine."
        ) from error

    def come_back(future: Any) -> pd.DataFrame:
        try:
            return future.result()
        except KilledWorker as error:
            raise SurveyError(
                f"workers of {address} died again and again on one shard (out of memory, or "
                "killed): what was finished is kept; give the same command again, with more "
                "memory per worker if it repeats."
            ) from error
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise SurveyError(
                f"the Dask scheduler at {address} is gone ({type(error).__name__}): what was "
                "finished is kept; start it again and give the same command, or leave --scheduler "
                "out to go on with this machine."
            ) from error

    def apply(tasks: Sequence[Part]) -> Iterator[pd.DataFrame]:
        ahead = max(2 * len(client.scheduler_info().get("workers", {})), 2)
        waiting = deque(tasks)
        running: deque[Any] = deque()
        while waiting or running:
            while waiting and len(running) < ahead:
                running.append(client.submit(Part.do, waiting.popleft(), pure=False))
            yield come_back(running.popleft())

    try:
        _check_versions(client)
        yield apply
    finally:
        with suppress(TimeoutError, CommClosedError):  # of a scheduler that is gone
            client.close(CLOSE_SECONDS)


def _check_versions(client: Any) -> None:
    """Refuse workers of another version: their results would be kept as this one's."""
    found = client.run(version, DISTRIBUTION, on_error="return")
    others = {
        worker: said if isinstance(said, str) else "not installed"
        for worker, said in found.items()
        if said != __version__
    }
    if others:
        named = ", ".join(f"{worker} ({said})" for worker, said in sorted(others.items()))
        raise SurveyError(
            f"these Dask workers do not have msfa-bhb {__version__}: {named}; install the same "
            "version where they run, or end them."
        )
