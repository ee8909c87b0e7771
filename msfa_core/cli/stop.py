"""A request to stop is never lost: the exception it raises can be.

Python drops an exception that falls into a finaliser or a callback of a library. So the request
is noted as well, and asked for whenever work reports how far it is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any, Final

_asked: Final = threading.Event()


def heed_signals() -> None:
    """Stop on Ctrl-C and on SIGTERM alike."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def nobody_reads() -> None:
    """Send standard output nowhere, after whoever read it has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stop_if_asked() -> None:
    """Raise the KeyboardInterrupt of a request to stop that did not arrive."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _stop(_number: int, _frame: Any) -> None:
    _asked.set()
    raise KeyboardInterrupt
