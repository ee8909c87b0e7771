"""The demo survey is made by a process of its own, while the server answers from the start."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Final

from msfa_core.constants import STEPS
from msfa_core.machine.parallel import one_thread_each
from msfa_core.survey.demo import demo_left, demo_path
from msfa_core.survey.folder import Survey, is_survey

logger = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parents[1]
WORK: Final = "import sys; from msfa_core.spine.demo import make_for_a_server as f; f(sys.argv[1])"
_ORDER: Final = ("ingest", *STEPS)
_MAKING: Final = threading.Lock()


def options(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what stands behind ``--args``: the survey, else the demo survey, and a reference."""
    parser = argparse.ArgumentParser(prog="panel serve dashboard --args", add_help=False)
    parser.add_argument("survey", nargs="?", default=os.environ.get("MSFA_SURVEY", ""))
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--learn", action="store_true")
    found = parser.parse_known_args(given)[0]
    found.survey = Path(found.survey) if found.survey else demo_path()
    return found


class DemoMaker:
    """Has the demo survey made once for the whole server, and says how it gets on.

    Attributes
    ----------
    words : str
        The step in hand.
    share : float
        Of the way to the first stars that can be vetted, 0 to 1.
    error : str
        Why it could not be made; empty for none.
    can_open : threading.Event
        The first stars are there, or there is an error.
    is_done : bool
        The process has ended.
    began : float
        When, on the clock of `time.monotonic` [s].
    """

    latest: ClassVar[DemoMaker | None] = None  # of this server

    def __init__(self, path: Path) -> None:
        self.path = path
        self.words, self.share = "starting", 0.0
        self.error = ""
        self.is_done = False
        self.began = monotonic()
        self.can_open = threading.Event()
        known = os.environ.get("PYTHONPATH")
        found_from = os.pathsep.join([str(ROOT), *([known] if known else [])])
        with one_thread_each():  # the server and the kernels want the other cores
            self._process = subprocess.Popen(
                [sys.executable, "-c", WORK, str(path)],
                stdin=subprocess.PIPE,  # never written: closed, however this server ends
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": found_from},
            )
        threading.Thread(target=self._listen, name="demo", daemon=True).start()

    @classmethod
    def at(cls, path: Path) -> DemoMaker:
        """Return the maker that is at work; begin when there is none, or the last one failed."""
        with _MAKING:
            if cls.latest is None or cls.latest.is_done:
                cls.latest = cls(path)
            return cls.latest

    @classmethod
    def where_wanted(cls, path: Path) -> DemoMaker | None:
        """Return the maker of the demo survey that is not there, or not whole; None for others."""
        if path.absolute() != demo_path().absolute():
            return None
        if is_survey(path) and not demo_left(Survey(path)):
            return None
        return cls.at(path)

    def _listen(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                self._note(json.loads(line))
        ended = process.returncode
        if ended and not self.error:
            self.error = f"the process that made it ended with exit code {ended}"
        if self.error:
            logger.error("the demo survey could not be made: %s", self.error)
        self.is_done = True
        self.can_open.set()

    def _note(self, said: dict[str, Any]) -> None:
        self.error = str(said.get("error", ""))
        if self.can_open.is_set() or "step" not in said:
            return
        self.words = str(said["step"])
        done = said["done"] / said["total"] if said["total"] else 0.0
        step = _ORDER.index(self.words) if self.words in _ORDER else 0
        self.share = max(self.share, (step + min(done, 1.0)) / len(_ORDER))
        if is_survey(self.path):
            self.can_open.set()
