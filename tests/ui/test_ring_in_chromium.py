"""Stars and pages that lie ready: painted while the server sleeps, of one star and reviewer."""

import signal
import time

import pytest
from served_dashboard import PAINTED, assert_quiet, decisions, open_page, painted, press, served

pytestmark = pytest.mark.ui

DRAWN = """() => {
  const source = Bokeh.documents[0].get_model_by_name("msfa-painted")
  return [source.tags[0], source.data.y.slice(0, 400).join()]
}"""  # the star that is told, and the line that is drawn


def painted_asleep(page, key):
    """Press a key; return the star that is painted though the server cannot answer."""
    before = painted(page)
    page.keyboard.press(key)
    page.wait_for_selector(f"{PAINTED}:not([data-painted='{before}'])", timeout=5_000)
    return painted(page)


def test_the_next_star_is_painted_while_the_server_sleeps_and_judged_when_it_wakes(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        first = painted(page)
        seen = {first: page.evaluate(DRAWN)}
        for _ in range(3):
            star = press(page, "ArrowRight")
            seen[star] = page.evaluate(DRAWN)
        for _ in range(3):
            press(page, "ArrowLeft")
        assert painted(page) == first
        page.wait_for_timeout(3000)  # others are made ready
        server.process.send_signal(signal.SIGSTOP)
        try:
            second = painted_asleep(page, "ArrowRight")
            assert page.evaluate(DRAWN) == seen[second]
        finally:
            server.process.send_signal(signal.SIGCONT)
        page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)", timeout=20_000)
        assert painted(page) == second
        page.wait_for_timeout(3000)
        server.process.send_signal(signal.SIGSTOP)
        try:
            third = painted_asleep(page, "a")
            page.locator(".msfa-status", has_text="Not saved yet").wait_for(timeout=5_000)
            page.keyboard.press("e")
            page.keyboard.type("of the third")
            page.keyboard.press("Escape")
            page.keyboard.press("r")  # waits for the server
        finally:
            server.process.send_signal(signal.SIGCONT)
        page.wait_for_selector(f"{PAINTED}:not([data-painted='{third}']):not(.msfa-busy)")
        assert page.locator(".msfa-comment").input_value() == ""
        page.context.close()
    said = [(str(d.obsid), d.verdict, d.comment) for d in decisions(small_survey)]
    assert said == [(second, "accept", ""), (third, "reject", "of the third")]
    assert_quiet(log)


def test_a_page_that_lay_ready_is_of_whoever_opens_it_and_true(chromium, small_survey, tmp_path):
    """Another reviewer comes, with a name of their own and a star, while the first is at work."""
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        first = open_page(chromium, server)
        first.wait_for_timeout(10_000)  # nobody does anything, and a page is made
        judged = painted(first)
        linked = press(first, "a")
        of_anna = press(first, "ArrowRight")
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        cookie = {"name": f"msfa-reviewer-{server.port}", "value": "bert", "url": server.url}
        context.add_cookies([cookie])
        second = context.new_page()
        second.goto(f"{server.url}?obj={linked}", timeout=120_000)
        second.wait_for_selector(PAINTED, timeout=120_000)
        assert painted(second) == linked
        assert second.locator(".msfa-reviewer").input_value() == "bert"
        assert second.get_by_role("list", name="last decisions").inner_text().count("anna") == 1
        press(second, "r")
        press(first, "a")
        wait_until = time.monotonic() + 20
        while len(decisions(small_survey)) < 3 and time.monotonic() < wait_until:
            time.sleep(0.2)
        said = [(one.reviewer, str(one.obsid), str(one.verdict)) for one in decisions(small_survey)]
        assert said[0] == ("anna", judged, "accept")
        assert sorted(said[1:]) == [("anna", of_anna, "accept"), ("bert", linked, "reject")]
        for page in (first, second):
            page.context.close()
    assert_quiet(log)
