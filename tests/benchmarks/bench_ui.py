"""From key to painted star in a real browser: our figures, printed; no limit is asserted.

Painted is a star whose title and every figure in sight were painted with its data, and two
animation frames later (`tests/painted_page.py`). The processor time is that of the page's main
thread, all that a key sets off included; it depends less on what else the machine is doing.
``MSFA_BENCH_SURVEY`` names a survey of one's own; without it 2,000 made-up spectra are used.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from painted_page import SOCKET, press_and_watch, shares, watch
from served_dashboard import CHROMIUM, CHROMIUM_FLAGS, PAINTED, served
from small_survey import make_small_survey

from msfa_core.survey.folder import Survey

N_STARS = 1715  # 2,001 spectra
N_KEYS = 30
N_PAGES = 3  # opened on a warm server, and thrown away
N_SESSIONS = 20  # whose memory is looked at
BURST, BURST_RATE = 40, 28  # keys, per second
SIZES = ((1366, 768), (1920, 1080))
OVERLAYS = ("epochs", "co-add", "template", "why")
pytestmark = [pytest.mark.benchmark, pytest.mark.ui]


def opened(browser, server, size):
    """Open a page of its own profile; return it and the seconds until its first star."""
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)))
    page = context.new_page()
    page.add_init_script(SOCKET)
    start = time.monotonic()
    page.goto(server.url, timeout=300_000)
    page.wait_for_selector(PAINTED, timeout=300_000)
    return page, time.monotonic() - start


def line(name, painted):
    """Print what keys cost."""
    p50, p95 = shares([one.time for one in painted])
    frames, size, cpu = np.median(
        [[one.frames, one.bytes / 1000, one.cpu] for one in painted], axis=0
    )
    _, complete = shares([one.complete for one in painted])
    print(
        f"{name:34s} {p50:6.0f} {p95:6.0f} {complete:9.0f} {cpu:6.0f} {frames:7.0f} {size:6.0f}"
        f" {os.getloadavg()[0]:6.1f}"
    )


def burst(page):
    """Press keys as fast as a hand can; return the seconds until the last star was painted."""
    n_before = page.evaluate("window.painted.length")
    start = time.monotonic()
    for _ in range(BURST):
        page.keyboard.press("a")
        page.wait_for_timeout(1000 / BURST_RATE)
    pressed = time.monotonic()
    page.wait_for_function(f"window.painted.length >= {n_before + BURST}", timeout=300_000)
    page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)", timeout=300_000)  # and saved
    return pressed - start, time.monotonic() - pressed


def brushed(page, n_brushes=5):
    """Draw boxes in the plane; return the milliseconds until it was painted brushed."""
    box = page.locator(".msfa-right .bk-Figure .bk-events").last.bounding_box()
    times = []
    for share in np.linspace(0.5, 0.9, n_brushes):
        x, y = box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + share * box["width"], y + share * box["height"], steps=4)
        page.evaluate("window.paints.length = 0")
        moment = page.evaluate("performance.now()")
        page.mouse.up()
        page.wait_for_timeout(3000)
        fresh, done = set(), []
        for kind, figure, start, end in page.evaluate("window.paints"):
            if kind == "data":
                fresh.add(figure)
            elif figure in fresh:
                done.append(end)
            assert start >= moment
        if done:
            times.append(max(done) - moment)
    return times


def memory_of(server):
    """Resident memory of the server [MB]."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def sessions(browser, server):
    """Open and close pages; return how much each one left behind [MB]."""
    before = memory_of(server)
    for _ in range(N_SESSIONS):
        page, _ = opened(browser, server, SIZES[0])
        page.context.close()
    time.sleep(30)  # a session is given up some seconds after its page
    return (memory_of(server) - before) / N_SESSIONS


def first_stars(browser, server, n_rows):
    """Print how long the first star takes, just after the server's start and later."""
    page, first = opened(browser, server, SIZES[0])
    page.context.close()
    time.sleep(10)  # what is compiled and imported in the background is ready
    warm = []
    for _ in range(N_PAGES):
        page, seconds = opened(browser, server, SIZES[0])
        warm.append(seconds)
        page.context.close()
    print(f"\n{n_rows:,} rows; first star after server start {first:.1f} s, on a warm server "
          f"{np.median(warm):.1f} s")  # fmt: skip


def keys(browser, server, size):
    """Print what keys cost at one size of the window: alone, and with all overlays."""
    page, _ = opened(browser, server, size)
    page.wait_for_timeout(3000)
    meter = watch(page)
    words = f"{size[0]}x{size[1]}"
    for name, key in (("next star", "ArrowRight"), ("verdict and next", "a")):
        for _ in range(2):
            press_and_watch(page, meter, key)
        line(f"{words} {name}", [press_and_watch(page, meter, key) for _ in range(N_KEYS)])
    for name in OVERLAYS:
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_timeout(8000)
    watch(page)
    for _ in range(2):
        press_and_watch(page, meter, "ArrowRight")
    made = [press_and_watch(page, meter, "ArrowRight") for _ in range(N_KEYS)]
    line(f"{words} next, with all overlays", made)
    times = brushed(page)
    p50, p95 = shares(times)
    print(f"{words + ' box -> plane':34s} {p50:6.0f} {p95:6.0f}")
    page.context.close()


def test_the_figures_of_the_screen(tmp_path, capsys):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    own = os.environ.get("MSFA_BENCH_SURVEY")
    survey = Survey.open(own) if own else make_small_survey(tmp_path / "survey", n_stars=N_STARS)
    with (
        capsys.disabled(),
        sync_api.sync_playwright() as playwright,
        served(survey.path, tmp_path / "log", MSFA_REVIEWER="bench") as server,
    ):
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS)
        )
        first_stars(browser, server, len(survey.table()))
        print(f"{'key -> painted [ms]':34s} {'p50':>6s} {'p95':>6s} {'all, p95':>9s} {'CPU':>6s} "
              f"{'frames':>7s} {'kB':>6s} {'load':>6s}")  # fmt: skip
        for size in SIZES:
            keys(browser, server, size)
        page, _ = opened(browser, server, SIZES[0])
        page.wait_for_timeout(3000)
        watch(page)
        pressed, drained = burst(page)
        judged = [obsid for _, obsid in page.evaluate("window.painted")][:BURST]
        page.context.close()
        with survey.store() as store:
            stored = [str(d.obsid) for d in store.decisions(limit=BURST)][::-1]
        print(f"{BURST} keys in {pressed:.1f} s: drained {drained:.1f} s later, as painted: "
              f"{stored == judged}")  # fmt: skip
        print(f"memory left by a session that was closed: {sessions(browser, server):.1f} MB")
        browser.close()
    assert stored == judged
