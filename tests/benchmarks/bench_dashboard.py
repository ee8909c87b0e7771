"""From key to painted star in a real browser: our figures, printed; no limit is asserted.

The peer is the design that most tools have: a new figure for every star (measured for this
project on a quiet machine of two cores: 278 ms p50, 404 ms p95).
"""

import sys

import numpy as np
import pytest
from served_dashboard import CHROMIUM, CHROMIUM_FLAGS, WATCH, open_page, served
from small_survey import make_small_survey

N_KEYS = 60
PAUSE = 500  # ms between keys
BURST = 40
BURST_RATE = 28  # keys per second
pytestmark = [pytest.mark.benchmark, pytest.mark.ui]


def pressed_and_painted(page, key, n_keys):
    """Milliseconds from each key to the paint that answers it."""
    page.evaluate(WATCH)
    for n_before in range(1, n_keys + 1):
        page.keyboard.press(key)
        page.wait_for_timeout(PAUSE)  # nothing is asked of the page while it works
        while page.evaluate("window.painted.length") <= n_before:
            page.wait_for_timeout(PAUSE)
    keys, paints = page.evaluate("[window.pressed, window.painted.slice(1)]")
    return np.array([paint[0] - press[0] for press, paint in zip(keys, paints, strict=True)])


def burst(page):
    """How many of a burst of verdicts were each given to the star that was painted."""
    page.evaluate(WATCH)
    for _ in range(BURST):
        page.keyboard.press("a")
        page.wait_for_timeout(1000 / BURST_RATE)
    page.wait_for_function(f"window.painted.length > {BURST}", timeout=120_000)
    return [obsid for _, obsid in page.evaluate("window.painted")][:BURST]


def test_keys_are_answered_quickly(tmp_path, capsys):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    survey = make_small_survey(tmp_path / "survey", n_stars=160)
    with (
        sync_api.sync_playwright() as playwright,
        served(survey.path, tmp_path / "log", MSFA_REVIEWER="anna") as server,
    ):
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS)
        )
        page = open_page(browser, server)
        page.wait_for_timeout(3000)
        moves = pressed_and_painted(page, "ArrowRight", N_KEYS)
        page.reload()
        page.wait_for_selector(".msfa-verdict[data-painted]:not([data-painted=''])")
        page.wait_for_timeout(2000)
        verdicts = pressed_and_painted(page, "a", N_KEYS // 2)
        judged = burst(page)
        with survey.store() as store:
            stored = [str(d.obsid) for d in store.decisions(limit=BURST)][::-1]
        browser.close()
    with capsys.disabled():
        print("\nkey -> painted [ms]        p50    p95")
        for name, times in (("next star", moves), ("verdict and next", verdicts)):
            print(f"{name:24s} {np.percentile(times, 50):6.0f} {np.percentile(times, 95):6.0f}")
        print(f"burst of {BURST} at {BURST_RATE}/s: {len(set(stored))} stored, as painted: "
              f"{stored == judged}", file=sys.stdout)  # fmt: skip
    assert stored == judged
