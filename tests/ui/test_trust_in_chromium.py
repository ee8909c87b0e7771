"""What a reviewer must be able to believe: typed words, links, tabs, slow and dead servers."""

import json
import re
import signal
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from local_postgres import own_server
from served_dashboard import (
    PAINTED,
    Server,
    assert_quiet,
    decisions,
    open_page,
    painted,
    press,
    served,
)

from msfa_core.vetting.decision import Verdict
from msfa_core.vetting.store import Store

pytestmark = [pytest.mark.ui, pytest.mark.slow]

IS_LOWER = """plane => (new URLSearchParams(location.search).get("lower") || "CMD") === plane"""
SIDES = re.compile(r"\b(inside|outside|BHB side|Population I side|set aside|log g >)")
ALL_TEXT = """() => {
  const found = []
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      const box = e.getBoundingClientRect()
      if (["SCRIPT", "STYLE"].includes(e.tagName) || !box.width || !box.height) continue
      const own = [...e.childNodes].filter(node => node.nodeType === 3)
      found.push(...own.map(node => node.textContent), e.title ?? "", e.ariaLabel ?? "")
      if (e.shadowRoot) walk(e.shadowRoot)
    }
  }
  walk(document)
  return found
}"""  # of what can be seen or pointed at


def click_row(page, row):
    """Choose a star by mouse and wait until it is painted."""
    before = painted(page)
    page.locator(".msfa-queue-table .tabulator-row").nth(row).click()
    page.wait_for_selector(f"{PAINTED}:not([data-painted='{before}'])", timeout=30_000)
    return painted(page)


def test_a_click_on_the_heels_of_a_switch_is_not_lost(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        for at, switch in ((5, "template"), (2, "epochs"), (7, "template"), (4, "epochs")):
            before = painted(page)
            both = [
                page.get_by_role("button", name=switch, exact=True),
                page.locator(".msfa-queue-table .tabulator-row").nth(at).locator("div").nth(1),
            ]
            # in one turn of the browser: the second click reaches the server before 50 ms are over
            page.evaluate(
                "both => both.forEach(each => each.click())",
                [each.element_handle() for each in both],
            )
            page.wait_for_selector(f"{PAINTED}:not([data-painted='{before}'])", timeout=20_000)
        page.context.close()
    assert_quiet(log)


def test_a_click_on_the_border_of_two_columns_opens_the_star(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        rows = page.locator(".msfa-queue-table .tabulator-row")
        # of no height at first, as high as the row (and before it) once the row was drawn anew
        assert rows.locator(".tabulator-col-resize-handle").count() == 0
        borders = [
            cell["x"] + cell["width"]
            for cell in (
                each.bounding_box() for each in rows.first.locator(".tabulator-cell").all()
            )
            if cell is not None
        ]
        assert len(borders) > 2
        for at, border in enumerate(borders[:-1], start=1):
            before, row = painted(page), rows.nth(at).bounding_box()
            page.mouse.click(border, row["y"] + row["height"] / 2)
            page.wait_for_selector(f"{PAINTED}:not([data-painted='{before}'])", timeout=20_000)
        page.context.close()
    assert_quiet(log)


def test_what_is_typed_belongs_to_the_star_that_was_painted(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        press(page, "ArrowRight")
        chosen = click_row(page, 6)
        assert page.url.endswith(f"obj={chosen}")  # the address follows the mouse
        page.keyboard.press("e")
        page.keyboard.type("about the star chosen by mouse")
        page.keyboard.press("Escape")
        press(page, "a")
        second = click_row(page, 9)
        page.keyboard.press("e")
        page.keyboard.type("about the second")
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        other = click_row(page, 2)  # left without a verdict
        assert page.locator(".msfa-comment").input_value() == ""
        press(page, "r")
        page.get_by_role("textbox", name="search").fill(second)
        page.get_by_role("textbox", name="search").press("Enter")
        page.wait_for_selector(f".msfa-verdict[data-painted='{second}']", timeout=30_000)
        assert page.locator(".msfa-comment").input_value() == "about the second"
        page.keyboard.press("Escape")
        press(page, "u")
        page.context.close()
    said = [(str(d.obsid), d.verdict, d.comment, d.confidence) for d in decisions(small_survey)]
    assert said == [
        (chosen, "accept", "about the star chosen by mouse", None),
        (other, "reject", "", None),
        (second, "unsure", "about the second", 1),
    ]
    assert_quiet(log)


def test_a_tab_that_is_opened_again_shows_the_star_on_screen(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.locator(".msfa-chooser-lower select").select_option(label="Sky")
        page.get_by_role("button", name="Galactic").wait_for(timeout=60_000)
        link = page.locator("a[rel='noopener noreferrer']").first
        link.wait_for(timeout=30_000)
        before = link.get_attribute("href")
        page.locator(".msfa-chooser-lower select").select_option(label="CMD")
        page.get_by_role("button", name="as observed").wait_for(timeout=60_000)
        press(page, "ArrowRight")
        page.locator(".msfa-chooser-lower select").select_option(label="Sky")
        new = page.locator("a[rel='noopener noreferrer']").first
        for _ in range(60):
            if new.get_attribute("href") != before:
                break
            page.wait_for_timeout(500)
        assert new.get_attribute("href") != before
        page.context.close()
    assert_quiet(log)


def test_a_slow_store_blocks_no_other_page_and_the_screen_tells_the_truth(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page, other = open_page(chromium, server), open_page(chromium, server)
        press(page, "a")
        holder = sqlite3.connect(small_survey / "vetting.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")  # somebody holds the store
        page.keyboard.press("a")
        page.wait_for_timeout(300)
        press(other, "ArrowRight")  # is not held up
        page.locator(".msfa-status", has_text="Not saved yet").wait_for(timeout=5_000)
        page.locator(".msfa-status", has_text="Cannot").wait_for(timeout=30_000)  # given up
        holder.execute("ROLLBACK")
        holder.close()
        page.wait_for_timeout(1000)
        assert len(decisions(small_survey)) == 1  # and stays so
        press(page, "a")
        assert len(decisions(small_survey)) == 2
        page.context.close()
        other.context.close()


def test_a_verdict_given_to_a_dead_server_is_kept_and_stored_once(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    server = Server(small_survey, log, MSFA_REVIEWER="anna")
    port = server.port
    try:
        page = open_page(chromium, server)
        judged = press(page, "a")
    finally:
        server.kill()
    page.locator(".msfa-status", has_text="Connection lost").wait_for(timeout=1_000)
    page.keyboard.press("e")
    page.keyboard.type("while it was away")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.locator(".msfa-status", has_text="Not saved").wait_for(timeout=1_000)
    page.keyboard.press("a")  # in vain: no key waits for a star that was not seen yet
    assert len(decisions(small_survey)) == 1
    server = Server(small_survey, log, port=port, MSFA_REVIEWER="anna")
    try:  # it is back, and so is the page: nobody reloads it
        page.locator(".msfa-status", has_text="saved: reject").wait_for(timeout=90_000)
        page.wait_for_timeout(1500)
        page.goto(server.url, timeout=120_000)  # there is nothing left to give
        page.wait_for_selector(PAINTED, timeout=120_000)
        page.wait_for_timeout(1500)
        page.context.close()
    finally:
        server.stop()
    said = [(str(d.obsid), str(d.verdict), d.comment) for d in decisions(small_survey)]
    assert said[1:] == [(judged, "reject", "while it was away")]


def test_a_page_whose_connection_alone_was_cut_comes_back_with_what_was_judged(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        page = context.new_page()
        sockets = []

        def through(socket):
            socket.connect_to_server()
            sockets.append(socket)

        page.route_web_socket("**/ws*", through)
        page.goto(server.url, timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        judged = press(page, "a")
        sockets[-1].close(code=3001, reason="the cable was pulled")
        page.locator(".msfa-status", has_text="Connection lost").wait_for(timeout=1_000)
        page.keyboard.press("r")
        page.locator(".msfa-status", has_text="saved: reject").wait_for(timeout=60_000)
        assert len(sockets) == 2
        press(page, "ArrowRight")
        context.close()
    said = [(str(d.obsid), str(d.verdict)) for d in decisions(small_survey)]
    assert said[1:] == [(judged, "reject")]
    assert_quiet(log)


def test_a_verdict_given_before_the_page_is_drawn_whole_is_shown(chromium, small_survey, tmp_path):
    """What the browser says when all is drawn comes late: here, never."""
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        page = context.new_page()
        kept_back = []

        def through(socket):
            server_side = socket.connect_to_server()
            frames, n_left = [], 0

            def pass_on(frame):  # message by message: header, metadata, content, buffers
                nonlocal frames, n_left
                if not frames:
                    n_left = 3 + 2 * json.loads(frame).get("num_buffers", 0)
                frames.append(frame)
                n_left -= 1
                if n_left:
                    return
                if "document_ready" in frames[2]:
                    kept_back.append(frames)
                else:
                    for one in frames:
                        server_side.send(one)
                frames = []

            socket.on_message(pass_on)

        page.route_web_socket("**/ws*", through)
        page.goto(server.url, timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        judged = painted(page)
        page.keyboard.press("a")
        page.locator(".msfa-status", has_text="saved: accept").wait_for(timeout=30_000)
        page.locator(".msfa-recent b", has_text="accept").first.wait_for(timeout=30_000)
        assert kept_back  # else nothing was tried
        context.close()
    assert [(str(d.obsid), str(d.verdict)) for d in decisions(small_survey)] == [(judged, "accept")]


def test_a_verdict_given_while_postgresql_is_away_stays_in_hand_and_is_stored_once(
    chromium, small_survey, tmp_path
):
    postgres = own_server()
    log = tmp_path / "server.log"
    try:
        with served(
            small_survey, log, MSFA_REVIEWER="anna", MSFA_DATABASE=postgres.url
        ) as server:  # fmt: skip
            page = open_page(chromium, server)
            judged = press(page, "a")
            postgres.stop()
            page.keyboard.press("u")
            page.locator(".msfa-status", has_text="Not saved yet").wait_for(timeout=20_000)
            page.wait_for_timeout(300)
            page.keyboard.press("r")  # thought better of: the one before is not given again
            page.locator(".msfa-status", has_text="given again").wait_for(timeout=20_000)
            page.wait_for_timeout(4000)
            postgres.start()
            page.wait_for_selector(
                f"{PAINTED}:not([data-painted='{judged}'])", timeout=30_000
            )  # stored, and on to the next
            page.context.close()
        with Store(postgres.url) as store:
            said = [(str(d.obsid), str(d.verdict)) for d in store.decisions()[::-1]]
        assert said[1:] == [(judged, "reject")]
    finally:
        postgres.remove()


def test_keys_are_not_swallowed_by_a_menu_and_a_search_that_is_left_is_not_made(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        first = painted(page)
        page.locator(".msfa-select select").first.focus()
        press(page, "a")
        assert [str(d.obsid) for d in decisions(small_survey)] == [first]
        here = painted(page)
        page.keyboard.press("/")
        page.keyboard.type(first)
        page.keyboard.press("Escape")
        page.wait_for_timeout(800)
        assert painted(page) == here
        page.context.close()
    assert_quiet(log)


def test_blind_is_kept_over_a_reload_and_shuts_what_tells_of_others(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.keyboard.press("b")
        page.get_by_text("BLIND", exact=True).wait_for(timeout=20_000)
        page.wait_for_function("() => location.search.includes('blind=1')")
        page.reload()
        page.wait_for_selector(PAINTED, timeout=60_000)
        page.get_by_text("BLIND", exact=True).wait_for(timeout=20_000)
        for name in ("Compare", "Export"):
            page.get_by_role("button", name=name, exact=True).click()
            shut = page.get_by_text("You are reviewing blind").locator("visible=true")
            shut.wait_for(timeout=20_000)
        page.get_by_role("button", name="Vet", exact=True).click()
        for word in ("candidates", "stage 1", "networks say", "A1V"):
            assert page.get_by_text(word).count() == 0, word
        chooser = page.locator(".msfa-chooser-lower select")
        for plane in chooser.locator("option").all_inner_texts():
            chooser.select_option(label=plane)
            page.wait_for_function(IS_LOWER, arg=plane, timeout=30_000)  # the server knows it
            switches = page.locator(".msfa-place").nth(1).locator(".plane-switch button")
            page.wait_for_timeout(700)
            for switch in switches.all() or [None]:
                if switch is not None:
                    switch.click()
                    page.wait_for_timeout(500)
                told = "\n".join(page.evaluate(ALL_TEXT)).replace("outside the frame", "")
                found = SIDES.search(told)
                assert found is None, (plane, told[max(0, found.start() - 80) : found.end() + 80])
        page.context.close()
    assert_quiet(log)


def test_a_reload_and_a_change_of_theme_keep_filter_order_and_tab(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        assert page.locator(".msfa-sentence").count() == 1  # the candidates
        page.get_by_role("button", name="+ filter").click()
        page.get_by_role("combobox", name="show", exact=True).select_option(label="all spectra")
        page.wait_for_function("() => location.search.includes('show=all')")
        page.locator(".msfa-chooser-lower select").select_option(label="Sky")
        page.wait_for_function("() => location.search.includes('lower=Sky')")
        star = press(page, "ArrowRight") and painted(page)
        page.get_by_role("button", name="dark theme").click()
        page.get_by_role("button", name="light theme").wait_for(timeout=60_000)
        page.wait_for_selector(PAINTED, timeout=60_000)
        assert painted(page) == star
        page.get_by_role("button", name="Galactic").wait_for(timeout=30_000)
        assert page.locator(".msfa-sentence").count() == 0
        page.context.close()
    assert_quiet(log)


def test_after_a_reload_every_caption_is_of_the_table_read_anew(chromium, small_survey, tmp_path):
    """What changed twice in one turn reached the browser in the wrong order."""
    table = small_survey / "candidates.parquet"
    whole = pq.read_table(table)
    no_place = pa.nulls(len(whole), whole.schema.field("bp_rp").type)
    at = whole.schema.get_field_index("bp_rp")
    with served(small_survey, tmp_path / "server.log", MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        placed = page.get_by_text("this star: BP−RP")
        for _ in range(8):  # a star that has a place
            if placed.count():
                break
            press(page, "ArrowRight")
            page.wait_for_timeout(300)
        for columns, words in ((no_place, "this star has no place"), (None, "this star: BP−RP")):
            field = whole.schema.field(at)
            new = whole if columns is None else whole.set_column(at, field, columns)
            keep = pa.array(np.arange(len(whole)) > 0)
            new = new.set_column(at, field, pc.if_else(keep, new["bp_rp"], pa.scalar(0.1)))
            pq.write_table(new, tmp_path / "new.parquet")
            (tmp_path / "new.parquet").rename(table)
            page.get_by_role("button", name="reload").click()
            page.get_by_text(words).first.wait_for(timeout=20_000)
            page.wait_for_timeout(500)
            assert page.get_by_text(words).count() == 1
        page.context.close()
    assert_quiet(tmp_path / "server.log")


def test_a_server_that_hangs_is_told_within_a_second(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.wait_for_timeout(1000)  # the list is drawn after the first star: the second is its own
        server.process.send_signal(signal.SIGSTOP)
        try:
            page.keyboard.press("a")
            page.locator(".msfa-status", has_text="Not saved yet").wait_for(timeout=1_000)
            for name, words in (("Export", "Gathering what goes out"), ("Compare", "who decided")):
                page.get_by_role("button", name=name, exact=True).click()
                page.get_by_text(words).wait_for(timeout=2_000)  # no page is blank meanwhile
        finally:
            server.process.send_signal(signal.SIGCONT)
        page.get_by_text("Nobody to compare with").wait_for(timeout=30_000)
        page.get_by_role("button", name="Vet", exact=True).click()
        page.locator(".msfa-status", has_text="saved: accept").wait_for(timeout=30_000)
        assert len(decisions(small_survey)) == 1
        page.context.close()
    assert_quiet(log)


def test_behind_a_prefix_all_is_found_and_a_verdict_is_given(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, "--prefix", "/a/b", MSFA_REVIEWER="anna") as server:
        page = chromium.new_context(viewport={"width": 1366, "height": 768}).new_page()
        failed = []
        page.on("response", lambda one: one.status >= 400 and failed.append(one.url))
        page.goto(server.url.replace("/dashboard", "/a/b/dashboard"), timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        page.keyboard.press("a")
        page.locator(".msfa-status", has_text="saved: accept").wait_for(timeout=30_000)
        assert len(decisions(small_survey)) == 1
        assert [url for url in failed if not url.endswith("favicon.ico")] == []
        page.context.close()
    assert_quiet(log)


def disputed(chromium, server, n):
    """Anna and Bert after they have disagreed on the first ``n`` stars; Anna looks at Compare."""
    anna, bert = open_page(chromium, server), open_page(chromium, server)
    bert.locator(".msfa-reviewer").fill("bert")
    bert.locator(".msfa-reviewer").press("Enter")
    for _ in range(n):
        press(anna, "a")
        press(bert, "r")
    anna.get_by_role("button", name="Compare", exact=True).click()
    rows = anna.locator(".msfa-compare-page .tabulator-row")
    rows.nth(n - 1).wait_for(timeout=30_000)
    return anna, bert, rows


@pytest.mark.parametrize("where", ["Vet", "Compare"])
def test_a_click_opens_the_star_of_its_row_whatever_the_server_lists_by_then(
    chromium, small_survey, tmp_path, where
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        anna, bert, rows = disputed(chromium, server, 4)
        if where == "Vet":
            anna.get_by_role("button", name="Vet", exact=True).click()
            rows = anna.locator(".msfa-left .tabulator-row")
        listed = rows.locator("[tabulator-field=obsid]")
        first, wanted = listed.nth(0).inner_text(), listed.nth(2).inner_text()
        rows.first.click()
        anna.wait_for_selector(f"[data-painted='{first}']:not(.msfa-busy)", state="attached")
        server.process.send_signal(signal.SIGSTOP)
        if where == "Compare":
            anna.get_by_role("button", name="final: accept").click()  # and the list is shorter
        else:
            anna.get_by_label("order").select_option(index=2)
        rows.nth(2).click()
        server.process.send_signal(signal.SIGCONT)
        anna.wait_for_selector(
            f"[data-painted='{wanted}']:not(.msfa-busy)", state="attached", timeout=30_000
        )
        anna.context.close()
        bert.context.close()
    assert_quiet(log)


def test_a_long_comment_leaves_the_rest_of_the_page_in_sight(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        first = painted(page)
        page.locator(".msfa-comment").fill("word " * 790)
        page.keyboard.press("Escape")
        press(page, "a")
        bert = open_page(chromium, server, f"?obj={first}")
        bert.locator(".msfa-reviewer").fill("bert")
        bert.locator(".msfa-reviewer").press("Enter")
        press(bert, "r")
        bert.get_by_role("button", name="Compare", exact=True).click()
        bert.locator(".msfa-compare-page .tabulator-row").click()
        comment = bert.locator(".msfa-side blockquote")
        comment.wait_for(timeout=20_000)
        assert comment.bounding_box()["height"] < 200
        bert.get_by_role("button", name="record", exact=True).click()
        rows = bert.locator(".msfa-record tr")
        rows.nth(2).wait_for(timeout=20_000)
        assert all(row.bounding_box()["height"] < 200 for row in rows.all())
        for one in (page, bert):
            one.context.close()
    assert_quiet(log)


def test_undo_on_the_page_of_two_reviewers_takes_a_final_verdict_back(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        anna, bert, rows = disputed(chromium, server, 2)
        star = rows.first.locator("[tabulator-field=obsid]").inner_text()
        rows.first.click()
        anna.get_by_role("heading", name=star).wait_for(timeout=20_000)
        anna.get_by_placeholder("why (kept").fill("Hδ is narrow")
        anna.get_by_role("button", name="final: accept").click()
        anna.get_by_text("final verdict: accept, by anna").wait_for(timeout=20_000)
        anna.keyboard.press("z")
        told = anna.locator(".msfa-compare-page p")
        told.get_by_text(f"final verdict withdrawn: accept · {star}").wait_for(timeout=20_000)
        anna.get_by_text("2 stars on which they disagree").wait_for(timeout=20_000)
        anna.get_by_role("heading", name=star).wait_for(timeout=20_000)
        assert anna.get_by_placeholder("why (kept").input_value() == "Hδ is narrow"
        anna.get_by_role("button", name="Export", exact=True).click()
        anna.locator(".export-download a").wait_for(timeout=60_000)
        anna.keyboard.press("z")  # nothing is taken back unseen
        anna.wait_for_timeout(500)
        anna.get_by_role("button", name="Vet", exact=True).click()
        assert anna.locator(".msfa-open-flags").inner_text() == "issuesf"
        assert anna.locator(".msfa-comment").input_value() == ""
        press(anna, "u")
        last = decisions(small_survey)
        assert [d.is_final for d in last[-3:]] == [True, False, False]
        assert [d.is_withdrawal for d in last[-3:]] == [False, True, False]
        assert (last[-1].verdict, last[-1].comment) == (Verdict.UNSURE, "")
        anna.context.close()
        bert.context.close()
    assert_quiet(log)


def test_a_final_verdict_is_stored_and_shown_every_time(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        anna = open_page(chromium, server)
        bert = open_page(chromium, server)
        bert.locator(".msfa-reviewer").fill("bert")
        bert.locator(".msfa-reviewer").press("Enter")
        for _ in range(4):
            press(anna, "a")
            press(bert, "r")
        anna.get_by_role("button", name="Compare", exact=True).click()
        rows = anna.locator(".msfa-compare-page .tabulator-row")
        rows.nth(3).wait_for(timeout=30_000)
        for left in (3, 2, 1, 0):
            rows.first.click()
            star = rows.first.locator(".tabulator-cell").first.inner_text()
            anna.get_by_role("heading", name=star).wait_for(timeout=20_000)
            anna.get_by_role("button", name="final: accept").click()
            anna.get_by_text("final verdict: accept, by anna").wait_for(timeout=20_000)
            stars = "1 star" if left == 1 else f"{left} stars"
            anna.get_by_text(f"{stars} on which they disagree").wait_for(timeout=20_000)
            anna.locator(".msfa-compare-page .tabulator-selected").wait_for(state="detached")
        assert sum(d.is_final for d in decisions(small_survey)) == 4
        anna.context.close()
        bert.context.close()
    assert_quiet(log)
