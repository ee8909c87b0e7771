"""A real server of the dashboard in its own process, and Chromium to look at it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from stable import QUIET, ROOT, Stable, command

from msfa_core.vetting.store import Store

CHROMIUM = Path("/usr/bin/chromium")
# Each window would load the list under the address bar, which nobody sees here, as a page of its
# own: a second of processor time. The others are Playwright's, whose list this one replaces.
NOT_USED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "AimEnabled"),
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding"),
    *("ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints"),
    *("NetworkTimeServiceQuerying", "PreconnectToSearch"),
)
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(NOT_USED)}",
)
PAINTED = ".msfa-verdict[data-painted]:not([data-painted=''])"
START_SECONDS = 180
WATCH = """() => {
  const find = (root) => {
    const found = root.querySelector(".msfa-verdict")
    if (found) return found
    for (const e of root.querySelectorAll("*")) {
      const inner = e.shadowRoot && find(e.shadowRoot)
      if (inner) return inner
    }
    return null
  }
  const bar = find(document)
  window.painted = [[performance.now(), bar.dataset.painted]]
  window.pressed = []
  if (window.is_watched) return
  window.is_watched = true
  new MutationObserver(() => {
    const last = window.painted[window.painted.length - 1][1]
    if (bar.dataset.painted !== last) window.painted.push([performance.now(), bar.dataset.painted])
  }).observe(bar, {attributes: true})
  window.addEventListener("keydown", e => window.pressed.push([performance.now(), e.key]), true)
}"""  # notes when keys were pressed and when another star was painted


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """``panel serve dashboard --args SURVEY`` on a free port of this machine.

    As a user starts it, or (``stable``) forked from a process that has imported the app.
    """

    def __init__(self, survey, log, *options, port=0, stable=None, **environment):
        self.port, self.log = port or free_port(), Path(log)
        words = command(survey, self.port, *options)
        if stable:
            self.process = stable.fork(words, log, environment)
        else:
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *words], cwd=ROOT, env=os.environ | QUIET | environment,
                    stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
        self._wait()

    @property
    def url(self):
        return f"http://localhost:{self.port}/dashboard"

    def _wait(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log.read_text()}")
            try:
                with urlopen(f"http://localhost:{self.port}/static/js/bokeh.min.js", timeout=5):
                    return
            except HTTPError:  # behind a prefix it is elsewhere, and the server answers
                return
            except (URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"the server did not answer:\n{self.log.read_text()}")

    def kill(self):
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it as the keyboard would, and leave nothing running."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def served(survey, log, *options, afresh=False, **environment):
    """A server for as long as the block runs: of a stable, or started as a user would start it."""
    stable = None if afresh else Stable.of_this_run()
    server = Server(survey, log, *options, stable=stable, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def open_page(browser, server, query="", viewport=None):
    """A page of its own browser profile, once its first star is painted."""
    context = browser.new_context(
        viewport=viewport or {"width": 1366, "height": 768}, accept_downloads=True
    )
    page = context.new_page()
    page.goto(server.url + query, timeout=120_000)
    page.wait_for_selector(PAINTED, timeout=120_000)
    return page


def painted(page):
    """The obsid on screen."""
    return page.locator(".msfa-verdict").get_attribute("data-painted")


def press(page, key):
    """Press a key and wait until another star is painted and the server has followed."""
    before = painted(page)
    page.keyboard.press(key)
    page.wait_for_selector(
        f"{PAINTED}:not([data-painted='{before}']):not(.msfa-busy)", timeout=30_000
    )
    return painted(page)


def decisions(survey):
    with Store(survey / "vetting.sqlite") as store:
        return store.decisions()[::-1]


def assert_quiet(log):
    text = log.read_text()
    assert not re.search(r"Traceback|ERROR|E-\d{4}|_pending_writes", text), text
