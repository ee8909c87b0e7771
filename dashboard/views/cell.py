"""The app in a cell of a notebook: a server of its own process beside the kernel, in a frame.

In a frame the keys of the app and those of the notebook cannot be mistaken for each other, the
address of the notebook is left alone, and a long cell holds up no verdict. The server listens on
this computer only and ends with the kernel, however that ends.
"""

from __future__ import annotations

import builtins
import os
import socket
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import panel as pn

from dashboard.theme import STATIC
from msfa_core.errors import SurveyError

ROOT: Final = Path(__file__).resolve().parents[2]
HEIGHT: Final = 820  # pixels of the frame
LEAST_WIDTH: Final = 1366  # pixels that the page is laid out for; narrower cells draw it smaller
_AROUND: Final = 150  # pixels of a window that a notebook keeps for itself
_PATIENCE: Final = 60.0  # s, until a server that does not listen is given up
_LOOK_EVERY: Final = 0.1  # s
_ENDS_WITH_KERNEL: Final = (  # the pipe is closed when the kernel is gone
    "import os, sys, threading\n"
    "threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()\n"
    "from panel.command import main\n"
    "sys.argv[0] = 'panel'\n"
    "main()\n"
)
_SERVERS: Final[dict[tuple[str, str, str, bool], CellServer]] = {}


def ready_notebook() -> None:
    """Bring what draws a panel into this notebook, where nobody did, without a network."""
    if hasattr(builtins, "__IPYTHON__") and not pn.extension._loaded:
        pn.extension(inline=True)


class CellServer:
    """``panel serve dashboard`` for the cells of one kernel.

    Parameters
    ----------
    survey : Path
    reviewer : str
        Name to begin with.
    reference : str
        Table drawn behind the survey's own stars; empty for none.
    learn : bool
        Teach.
    """

    def __init__(
        self, survey: Path, reviewer: str = "", reference: str = "", learn: bool = False
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the server runs)
        own = [
            *("serve", str(ROOT / "dashboard"), "--port", str(self.port)),
            *("--address", "127.0.0.1", "--unused-session-lifetime", "600000"),
            *("--allow-websocket-origin", f"localhost:{self.port}"),
            *("--allow-websocket-origin", f"127.0.0.1:{self.port}"),
            *("--args", str(survey.absolute())),
            *(["--reference", reference] if reference else []),
            *(["--learn"] if learn else []),
        ]
        named = {"MSFA_REVIEWER": reviewer} if reviewer else {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ENDS_WITH_KERNEL, *own],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"BOKEH_RESOURCES": "server"} | named,
        )

    @classmethod
    def of(
        cls, survey: Path, reviewer: str = "", reference: str = "", learn: bool = False
    ) -> CellServer:
        """Return the server of a survey; start it where none is running."""
        key = (str(survey.absolute()), reviewer, reference, learn)
        server = _SERVERS.get(key)
        if server is None or server.process.poll() is not None:
            server = _SERVERS[key] = cls(survey, reviewer, reference, learn)
        return server

    def wait(self) -> None:
        """Return when the server listens.

        Raises
        ------
        SurveyError
            When it ended, or does not listen in time, with its last words.
        """
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(_LOOK_EVERY)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        raise SurveyError(
            f"the app could not be shown in this cell: {said[-1] if said else 'no answer'}. "
            "`msfa serve SURVEY` opens it beside the notebook."
        )

    def close(self) -> None:
        """End the server."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=_PATIENCE)
        self._log.close()

    def frame(self, height: int = HEIGHT, **asked: str) -> str:
        """Return the app as HTML for a cell.

        Parameters
        ----------
        height : int
            Of the frame [pixels]; a window that is lower has a lower one.
        **asked
            What goes into the address: ``obj``, ``theme`` …
        """
        query = f"?{urlencode(asked)}" if asked else ""
        address = escape(f"http://localhost:{self.port}/dashboard{query}", quote=True)
        script = (STATIC / "cell.js").read_text(encoding="utf-8")
        return (
            f'<div data-address="{address}" data-least="{LEAST_WIDTH}" '
            f'style="height:min({height}px, 100vh - {_AROUND}px);overflow:hidden;'
            'position:relative;border:1px solid #8884;border-radius:4px">'
            '<p style="position:absolute;top:0;left:0;right:0;z-index:1;margin:0;padding:1em;'
            'background:#fff3cd;color:#222">The app is here while the kernel of this notebook '
            "runs: run this cell again.</p></div>"
            f"<script>{script}</script>"
            f'<p style="font-size:12px;margin:2px">Click into the frame, then vet by keys (? lists '
            f'them). <a href="{address}" target="_blank" rel="noopener">In a page of its own</a>.'
            "</p>"
        )
