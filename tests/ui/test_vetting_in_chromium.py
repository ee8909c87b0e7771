"""The dashboard as a reviewer meets it: a server, a browser, a keyboard."""

import time

import pandas as pd
import pytest
from served_dashboard import (
    PAINTED,
    WATCH,
    Server,
    assert_quiet,
    decisions,
    open_page,
    painted,
    press,
    served,
)
from small_survey import FIRST_OBSID

from msfa_core.rules import n_stars
from msfa_core.survey.folder import Survey
from msfa_core.survey.subsets import subsets

pytestmark = [pytest.mark.ui, pytest.mark.slow]


def test_three_stars_are_vetted_by_keyboard_and_survive_a_power_cut(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    server = Server(small_survey, log, MSFA_REVIEWER="anna")
    try:
        page = open_page(chromium, server)
        status = page.locator(".msfa-status")
        seen = [painted(page)]
        seen.append(press(page, "a"))
        assert status.inner_text().startswith("saved: accept")
        assert page.url.endswith(f"?obj={seen[1]}")
        page.keyboard.press("e")
        page.keyboard.type("deep <i>Balmer</i> lines")
        page.keyboard.press("Escape")
        seen.append(press(page, "2"))
        assert status.inner_text().startswith("saved: reject as B")
        press(page, "u")
        assert status.inner_text().startswith("saved: unsure")
        page.context.close()
    finally:
        server.kill()
    stored = decisions(small_survey)
    assert [str(d.obsid) for d in stored] == seen
    assert [(d.verdict, d.verdict_class, d.reviewer) for d in stored] == [
        ("accept", "", "anna"),
        ("reject", "B", "anna"),
        ("unsure", "", "anna"),
    ]
    assert stored[1].comment == "deep <i>Balmer</i> lines"

    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, f"?obj={seen[1]}")
        assert painted(page) == seen[1]
        on_star = page.locator(".msfa-on-star li").inner_text()
        assert "reject" in on_star and "as B" in on_star and "anna" in on_star
        assert "deep <i>Balmer</i> lines" in on_star  # as text, not as markup
        history = page.locator("ol.msfa-recent li")
        assert [text.split()[0] for text in history.all_inner_texts()] == [
            "unsure",
            "reject",
            "accept",
        ]
        page.get_by_role("button", name="Export", exact=True).click()
        with page.expect_download(timeout=60_000) as download:
            page.locator(".export-download a").click()
        text = download.value.path().read_text()
        assert stored[0].obsid != stored[1].obsid
        assert str(stored[0].obsid) in text
        assert str(stored[1].obsid) not in text
        page.context.close()
    assert_quiet(log)


def test_a_burst_of_keys_loses_none_and_judges_only_painted_stars(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.evaluate(WATCH)
        n_keys = 12
        for _ in range(n_keys):
            page.keyboard.press("a")
        page.wait_for_function(f"window.painted.length > {n_keys}", timeout=60_000)
        page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)", timeout=60_000)  # and all are saved
        shown = [obsid for _, obsid in page.evaluate("window.painted")]
        page.context.close()
    stored = [str(d.obsid) for d in decisions(small_survey)]
    assert stored == shown[:n_keys]
    assert len(set(stored)) == n_keys
    assert_quiet(log)


def test_after_a_search_the_next_key_judges_the_star_that_was_found(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        wanted = str(Survey.open(small_survey).table()["obsid"].iloc[-1])
        assert wanted != painted(page)
        page.keyboard.press("/")
        page.keyboard.type(wanted)
        page.keyboard.press("Enter")
        page.keyboard.press("a")  # at once: the star is not there yet
        page.locator(".msfa-status", has_text="saved: accept").wait_for(timeout=20_000)
        assert [str(one.obsid) for one in decisions(small_survey)] == [wanted]
        page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)")
        page.keyboard.press("/")
        page.keyboard.type("no such star")
        page.keyboard.press("Enter")
        page.keyboard.press("r")  # nor is this one, ever
        page.locator(".msfa-status", has_text="no such star").wait_for(timeout=20_000)
        page.wait_for_timeout(500)
        assert len(decisions(small_survey)) == 1
        page.context.close()
    assert_quiet(log)


def test_the_star_on_screen_stays_in_sight_in_a_list_of_another_order(
    chromium, small_survey, tmp_path
):
    """It was chosen in it, and the list went back to where it stood before."""
    table = Survey.open(small_survey).table().sort_values("obsid", ignore_index=True)
    by_p = table["p_bhb"].rank(ascending=False, method="first")
    far = str(table["obsid"].iloc[(by_p - table.index).abs().idxmax()])  # its places in both orders
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        size = {"width": 1366, "height": 600}
        page = open_page(chromium, server, f"?show=all&obj={far}", size)
        frame = page.locator(".msfa-left .tabulator-tableholder")
        chosen = page.locator(".msfa-left .tabulator-row.tabulator-selected")
        for _ in range(3):
            page.wait_for_timeout(1500)  # the list follows
            assert chosen.count() == 1
            assert far in chosen.inner_text()
            row, held = chosen.bounding_box(), frame.bounding_box()
            assert held["y"] <= row["y"] + 1
            assert row["y"] + row["height"] <= held["y"] + held["height"] + 1
            page.keyboard.press("b")  # blind, the list is in the order of the numbers
        page.context.close()
    assert_quiet(log)


def test_keys_in_fields_and_held_keys_decide_nothing(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.keyboard.press("/")
        page.keyboard.type("aru")
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.keyboard.type("arua")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+a")
        page.keyboard.down("x")
        page.keyboard.press("?")
        assert page.locator(".msfa-help").is_visible()
        page.keyboard.press("a")  # the help is open
        page.keyboard.press("Escape")
        assert not page.locator(".msfa-help").is_visible()
        page.wait_for_timeout(500)
        assert decisions(small_survey) == []
        press(page, "a")
        page.keyboard.press("z")
        page.locator(".msfa-status", has_text="withdrawn").wait_for(timeout=20_000)
        assert [d.is_withdrawal for d in decisions(small_survey)] == [False, True]
        page.locator(".msfa-button.msfa-accept").dblclick()  # its second click meant the same star
        page.locator(".msfa-status", has_text="saved: accept").wait_for(timeout=20_000)
        page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)")
        page.wait_for_timeout(500)
        assert len(decisions(small_survey)) == 3
        page.locator(".msfa-comment").fill("é" * 10_000)
        status = page.locator(".msfa-status")
        assert "6,000 characters too long" in status.inner_text()
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        page.locator(".msfa-status", has_text="Not saved: comment").wait_for(timeout=20_000)
        assert len(decisions(small_survey)) == 3
        assert page.locator(".msfa-comment").input_value() == "é" * 10_000  # not cut
        page.context.close()
    assert_quiet(log)


def test_without_a_name_nothing_is_saved_and_the_page_says_so(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log) as server:
        page = open_page(chromium, server)
        page.locator(".msfa-reviewer").fill("")
        page.locator(".msfa-reviewer").press("Enter")
        page.keyboard.press("a")
        page.locator(".msfa-status", has_text="write your name").wait_for(timeout=20_000)
        assert decisions(small_survey) == []
        page.locator(".msfa-reviewer").fill("dora")
        page.locator(".msfa-reviewer").press("Enter")
        press(page, "a")
        assert [d.reviewer for d in decisions(small_survey)] == ["dora"]
        page.evaluate("localStorage.clear()")  # the cookie is enough: the page is made for dora
        page.reload()
        page.wait_for_selector(PAINTED, timeout=60_000)
        assert page.locator(".msfa-reviewer").input_value() == "dora"
        page.context.close()
    assert_quiet(log)


def test_a_folder_that_is_no_survey_gives_a_page_that_says_so(chromium, tmp_path):
    log = tmp_path / "server.log"
    with served(tmp_path / "nowhere", log) as server:
        page = chromium.new_page()
        page.goto(server.url, timeout=120_000)
        page.get_by_text("This survey cannot be opened").wait_for(timeout=60_000)
        assert page.get_by_text("msfa ingest").is_visible()
        page.close()
    assert "there is no survey at" in log.read_text()
    assert_quiet(log)


def test_nothing_is_fetched_from_elsewhere_and_simulated_stars_are_labelled(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log) as server:
        page = chromium.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url + "?theme=dark", timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        assert page.get_by_text("SIMULATED").is_visible()
        own = (f"http://localhost:{server.port}/", "data:", "blob:")
        assert [url for url in asked if not url.startswith(own)] == []
        tall = page.evaluate("document.documentElement.scrollHeight - window.innerHeight")
        assert tall <= 0  # one screen, no scrolling
        page.close()
    assert_quiet(log)


def test_every_panel_opens_without_an_error_and_fetches_nothing_from_elsewhere(
    chromium, small_survey, tmp_path
):
    theme = "dark"  # the other tests look at the light one
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = chromium.new_page(viewport={"width": 1366, "height": 768})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(f"{server.url}?theme={theme}&obj={FIRST_OBSID}", timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        for tab, seen in (
            ("CMD", "as observed"),
            ("Labels", "queue outliers"),
            ("Sky", "Galactic"),
            ("Epochs", "overlay all"),
        ):
            page.locator(".msfa-chooser-lower select").select_option(label=tab)
            page.get_by_role("button", name=seen).wait_for(timeout=60_000)
        page.get_by_role("button", name="epochs", exact=True).click()
        page.get_by_role("button", name="co-add", exact=True).click()
        page.get_by_text("co-added: 2 of 2").wait_for(timeout=60_000)
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text("Nobody to compare with").wait_for(timeout=60_000)
        own = (f"http://localhost:{server.port}/", "data:", "blob:")
        assert [url for url in asked if not url.startswith(own)] == []
        assert errors == []
        page.close()
    assert_quiet(log)


def brushed(page, where, left, top, right, bottom):
    """Draw a box in a plane, in shares of its frame, and wait for the queue to follow."""
    frame = page.locator(".msfa-place:visible").nth(where).locator("canvas").first.bounding_box()
    ends = [
        (frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        for x, y in ((left, top), (right, bottom))
    ]
    page.mouse.move(*ends[0])
    page.mouse.down()
    page.mouse.move(*ends[1], steps=5)
    page.mouse.up()
    page.locator(".msfa-sentence button", has_text="brushed in").wait_for(timeout=20_000)


def assert_listed(page, survey, obsids):
    """Wait until the queue is of these spectra; rows that are scrolled away are not in the page."""
    table = Survey.open(survey).table()
    n = n_stars(table[table["obsid"].isin(obsids)])
    page.get_by_text(f"0 of {n} stars vetted").wait_for(timeout=20_000)
    cells = page.locator(".msfa-queue-table .tabulator-row [tabulator-field=obsid]")
    until = time.monotonic() + 20
    while not (found := {int(one) for one in cells.all_inner_texts()}) or not found <= obsids:
        assert time.monotonic() < until, (found, obsids)
        page.wait_for_timeout(100)


def test_brushes_are_named_combined_and_handed_on_by_the_address(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, "?show=all")
        for where, name in ((0, "wide ones"), (1, "blue")):
            brushed(page, where, 0.2, 0.1, 0.65 - 0.1 * where, 0.8)
            page.locator(".msfa-naming input").click()
            page.keyboard.type(name)
            page.keyboard.press("Enter")
            page.get_by_role("status").get_by_text(f"named: {name} ·").wait_for(timeout=20_000)
            page.locator(".msfa-sentence button", has_text="brushed in").click()
            page.locator(".msfa-naming").wait_for(state="hidden")
        held = {name: set(one.obsids.tolist()) for name, one in subsets(small_survey).items()}
        assert all(held.values()) and held["wide ones"] != held["blue"]
        page.get_by_role("button", name="+ filter").click()
        for combination, chosen in (
            ('"wide ones" or blue', held["wide ones"] | held["blue"]),
            ('blue and not "wide ones"', held["blue"] - held["wide ones"]),
            ('not (blue or "wide ones")', None),
            ('blue and "wide ones"', held["blue"] & held["wide ones"]),
        ):
            page.locator(".msfa-subset input").fill(combination)
            page.keyboard.press("Enter")
            page.get_by_role("button", name=f"in subset {combination}").wait_for(timeout=20_000)
            if chosen:
                assert_listed(page, small_survey, chosen)
        page.locator(".msfa-subset input").fill("blue and nobody")
        page.keyboard.press("Enter")
        refusal = page.get_by_role("status").get_by_text("there is no subset 'nobody'")
        refusal.wait_for(timeout=20_000)
        page.locator(".msfa-subset input").fill("blue")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="in subset blue").wait_for(timeout=20_000)
        refusal.wait_for(state="detached")
        page.wait_for_function("() => location.search.includes('subset=blue')")
        handed_on = open_page(chromium, server, page.url[page.url.index("?") :])
        handed_on.get_by_role("button", name="in subset blue").wait_for(timeout=20_000)
        assert_listed(handed_on, small_survey, held["blue"])
        for one in (handed_on, page):
            one.context.close()
    assert_quiet(log)


def test_back_leads_to_the_last_star_and_page_and_loses_nothing(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        first = painted(page)
        second = press(page, "ArrowRight")
        page.keyboard.press("e")
        page.keyboard.type("a word on the second")
        page.keyboard.press("Escape")
        third = press(page, "ArrowRight")
        page.get_by_role("button", name="Export", exact=True).click()
        page.wait_for_url("**page=Export**")
        page.locator(".msfa-export .export-download").wait_for()
        page.get_by_label("Authors").fill("Anna")

        def stands(obsid, name=None):
            page.wait_for_function(
                "([obsid, name]) => { const q = new URL(location).searchParams;"
                " return q.get('obj') === obsid && q.get('page') === name }",
                arg=[obsid, name],
            )
            page.wait_for_selector(
                f"[data-painted='{obsid}']:not(.msfa-busy)", state="attached", timeout=30_000
            )
            assert page.locator(".msfa-vet").is_visible() == (name is None)

        stands(third, "Export")
        page.go_back()
        stands(third)
        page.go_back()
        stands(second)
        assert page.locator(".msfa-comment").input_value() == "a word on the second"
        page.go_back()
        stands(first)
        for obsid, name in ((second, None), (third, None), (third, "Export")):
            page.go_forward()
            stands(obsid, name)
        assert page.get_by_label("Authors").input_value() == "Anna"  # nothing was loaded anew
        page.reload()
        page.locator(".msfa-export .export-download").wait_for(timeout=60_000)  # at its own address
        assert not page.locator(".msfa-vet").is_visible()
        page.get_by_role("button", name="Vet", exact=True).click()
        stands(third)
        assert press(page, "a") != third
        page.context.close()
    assert [str(one.obsid) for one in decisions(small_survey)] == [third]
    assert_quiet(log)


def test_steps_back_and_forward_in_haste_end_where_the_last_leads(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        stars = [painted(page), *(press(page, "ArrowRight") for _ in range(4))]
        entries = page.evaluate("history.length")
        hasty = """async (steps) => { for (const step of steps) {
            const done = new Promise(then => addEventListener("popstate", then, {once: true}))
            history.go(step)
            await Promise.race([done, new Promise(then => setTimeout(then, 2000))])
        } }"""  # faster than a star is painted

        def stands(obsid):
            page.wait_for_timeout(700)
            page.wait_for_selector(f"[data-painted='{obsid}']:not(.msfa-busy)", timeout=10_000)
            assert page.url.endswith(f"obj={obsid}")
            assert page.evaluate("history.length") == entries  # no step was taken for a new one

        for steps, place in (([-1, -1, -1], 1), ([1, 1], 3), ([-1, 1], 3), ([1, -1, -1, -1], 1)):
            page.evaluate(hasty, steps)
            stands(stars[place])
        page.evaluate(hasty, [1, 1, 1])
        stands(stars[4])
        page.evaluate(WATCH)
        for _ in range(8):
            page.keyboard.press("a")
        page.evaluate(hasty, [-1])
        page.wait_for_function("window.painted.length > 8", timeout=60_000)
        page.wait_for_timeout(700)
        page.wait_for_selector(f"{PAINTED}:not(.msfa-busy)", timeout=30_000)
        shown = [obsid for _, obsid in page.evaluate("window.painted")]
        assert page.url.endswith(f"obj={shown[-1]}")
        page.context.close()
    assert [str(d.obsid) for d in decisions(small_survey)] == shown[:8]
    assert_quiet(log)


def test_a_page_that_fails_as_nobody_foresaw_says_so(chromium, small_survey, tmp_path):
    """It said for ever that it was being drawn."""
    table = pd.read_parquet(small_survey / "candidates.parquet")
    table.assign(p_bhb="high").to_parquet(small_survey / "candidates.parquet")
    log = tmp_path / "server.log"
    with served(small_survey, log) as server:
        page = chromium.new_page()
        page.goto(server.url, timeout=120_000)
        page.get_by_text("could not be made").wait_for(timeout=60_000)
        assert page.get_by_text("Load the page again").is_visible()
        page.close()
    assert "Traceback" in log.read_text()
