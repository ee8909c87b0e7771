"""Servers of the dashboard that start at once: importing the app takes seconds.

A *stable* imports the app, reads networks, templates and kernels once, and forks a server
whenever one is wanted: what a server makes ready in the background is there, then. The maps are
left to the servers, for torch follows no gradients in the fork of a process in which it has.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUIET = {"BOKEH_RESOURCES": "server", "OMP_NUM_THREADS": "1"}
_STABLE = """
import gc, json, os, signal, sys
sys.path.insert(0, os.getcwd())
import panel.command, bokeh.server.server, bokeh.command.subcommands.serve
import dashboard.app, dashboard.making, dashboard.state.spare, msfa_core.vetting.store, psycopg
from alembic import command
from msfa_core.spine.ready import compile_kernels
compile_kernels()
gc.collect()
gc.freeze()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    given = json.loads(line)
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(given["environment"])
        out = os.open(given["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = given["command"]
        panel.command.main()
        os._exit(0)
    print(pid, flush=True)
"""


def command(survey, port, *options):
    """Return the words after ``python -m`` that serve a survey."""
    words = ["panel", "serve", "dashboard", "--port", str(port), *options]
    return [*words, "--args", str(survey)] if survey else words


class Stable:
    """A process that has imported the app and forks servers of it."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _STABLE], cwd=ROOT, text=True, env=os.environ | QUIET,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    @staticmethod
    @cache
    def of_this_run():
        """Return the one that all tests of this process share."""
        made = Stable()
        atexit.register(made.close)
        return made

    def fork(self, words, log, environment):
        """Return the process of a server; its environment is that of now and what is given."""
        given = {"command": words, "log": str(log), "environment": os.environ | QUIET | environment}
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        return Forked(int(self.process.stdout.readline()))

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Forked:
    """A process as `subprocess` would give it, which is the child of another."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None if Path(f"/proc/{self.pid}").exists() else 0

    def send_signal(self, how):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout=30):
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
