"""Where things sit: by ratio, on any screen, and nothing moves that should not."""

import pytest
from served_dashboard import PAINTED, assert_quiet, open_page, painted, press, served

pytestmark = [pytest.mark.ui, pytest.mark.slow]

SIZES = ((1366, 768), (1920, 1080), (2560, 1440))
FETCHED = """() => Object.fromEntries(performance.getEntriesByType("resource")
  .filter(one => one.name.startsWith("http")).map(one => [one.name, one.encodedBodySize]))"""
OWN_LINE = """Bokeh.documents.flatMap(one => [...one._all_models.values()])
  .find(one => one.type === "Span" && one.tags.length)?.location"""
SLACK = 0.03  # of a share of the width: gaps and frames


def assert_little_was_fetched(page):
    fetched = page.evaluate(FETCHED)
    sheets = [name for name in fetched if ".css" in name]
    assert all("tabulator" in name for name in sheets), sheets  # else it is laid out twice
    assert sum(fetched.values()) < 1.2e6  # bytes: squeezed, and nothing that is not used


def box(page, css):
    found = page.locator(css).first.bounding_box()
    return {name: round(value) for name, value in found.items()}


@pytest.mark.parametrize("size", SIZES)
def test_three_columns_share_any_screen_by_ratio(chromium, small_survey, tmp_path, size):
    log = tmp_path / "server.log"
    width, height = size
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        viewport = {"width": width, "height": height}
        page = open_page(chromium, server, viewport=viewport)
        assert_little_was_fetched(page)
        for css, share in ((".msfa-left", 0.16), (".msfa-centre", 0.52), (".msfa-right", 0.32)):
            assert box(page, css)["width"] / width == pytest.approx(share, abs=SLACK), css
        cell = page.locator(".msfa-left .tabulator-row .tabulator-cell").first
        cut = cell.evaluate("cell => cell.scrollWidth - cell.clientWidth")
        assert cut <= 0 or width < 1900  # an obsid of 18 digits is whole on a usual screen
        listed = page.locator(".msfa-left .tabulator-row").first.locator(".tabulator-cell:visible")
        ends = [one["x"] + one["width"] for one in (c.bounding_box() for c in listed.all())]
        assert len(ends) >= 4  # with p_bhb
        left = box(page, ".msfa-left")
        assert max(ends) <= left["x"] + left["width"]  # a column is whole, or left out
        bottom = box(page, ".msfa-bottom")
        assert height - 12 <= bottom["y"] + bottom["height"] <= height  # all of it is used
        strip = box(page, ".msfa-top")
        assert strip["height"] == 46  # 44 within its frame
        slider = page.locator(".msfa-slider").first.bounding_box()
        panel = page.locator(".msfa-spectrum").first.bounding_box()
        assert slider["x"] + slider["width"] <= panel["x"] + panel["width"]
        shown = page.locator(".msfa-place:visible")
        n_places = 4 if width > 2200 else 2
        shown.nth(n_places - 1).wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        assert shown.count() == n_places
        for place in shown.all():
            found = place.bounding_box()
            assert found["y"] + found["height"] <= bottom["y"]
            assert 0.5 < found["width"] / found["height"] < 1.6  # near a square
            captions = place.locator(".msfa-plot-caption")
            ends = [one.bounding_box() for one in captions.all() if one.is_visible()]
            assert all(end["y"] + end["height"] <= found["y"] + found["height"] for end in ends)
        page.keyboard.press("t")  # the strip of residuals leaves the spectrum room
        page.locator(".msfa-solutions").first.wait_for(timeout=30_000)
        page.wait_for_timeout(500)
        canvas = page.locator(".msfa-spectrum canvas").first.bounding_box()
        assert canvas["height"] > 150
        press(page, "ArrowRight")
        page.locator(".msfa-chooser-lower select").select_option(label="Sky")
        sky = page.locator(".msfa-sky-place")
        sky.wait_for(timeout=30_000)
        page.wait_for_timeout(800)
        around = sky.bounding_box()
        assert around["width"] / around["height"] == pytest.approx(2.0, abs=0.25)
        assert box(page, ".msfa-top") == strip  # never moves
        page.context.close()
    assert_quiet(log)


def test_a_witness_opens_its_plane_and_flags_open_above_the_bar(chromium, small_survey, tmp_path):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        names = page.locator(".msfa-strip-names")
        first = names.inner_text()
        page.locator(".msfa-witness", has_text="labels").click()
        page.get_by_role("button", name="queue outliers").wait_for(timeout=30_000)
        page.locator(".msfa-witness", has_text="networks").click()
        page.get_by_text("stage 1", exact=True).wait_for(timeout=20_000)
        controls, fold = box(page, ".msfa-spectrum .msfa-controls"), box(page, ".msfa-fold")
        assert controls["y"] + controls["height"] <= fold["y"]  # they can be pressed
        panel = box(page, ".msfa-spectrum")
        assert fold["y"] + fold["height"] <= panel["y"] + panel["height"]
        page.keyboard.press("f")
        page.locator(".msfa-flags").wait_for(timeout=5_000)
        flags, opener = box(page, ".msfa-flags"), box(page, ".msfa-open-flags")
        assert flags["x"] <= opener["x"] <= flags["x"] + flags["width"]  # above its button
        assert flags["x"] + flags["width"] <= 1366
        page.keyboard.press("2")
        page.keyboard.press("f")
        assert not page.locator(".msfa-flags").is_visible()
        assert page.locator(".msfa-open-flags").inner_text().startswith("issues: 1")
        press(page, "a")
        assert names.inner_text() != first
        page.locator(".msfa-on-star, .msfa-recent").last.wait_for()
        assert "cosmic ray" in page.locator("ol.msfa-recent li").first.inner_text()
        page.wait_for_selector(PAINTED)
        own = page.locator(".msfa-own-line input")
        own.fill("4472.7")
        own.press("Enter")
        page.wait_for_function(f"{OWN_LINE} === 4472.7", timeout=10_000)
        here = names.inner_text()
        page.get_by_role("slider", name="RV [km/s]").focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")  # 5 km/s: it moves all lines, and no other star comes
        moved = 4472.7 * (1 + 20 / 299_792.458)
        page.wait_for_function(f"Math.abs({OWN_LINE} - {moved}) < 1e-6", timeout=10_000)
        assert names.inner_text() == here
        page.get_by_role("slider", name="RV [km/s]").click()  # the mouse gives the keys back
        press(page, "ArrowRight")
        assert names.inner_text() != here
        page.set_viewport_size({"width": 911, "height": 512})  # 1366×768 at 150 %
        page.wait_for_timeout(1000)
        buttons = [one.bounding_box() for one in page.locator(".msfa-verdict button:visible").all()]
        for k, one in enumerate(buttons):
            assert not any(lie_over(one, other) for other in buttons[k + 1 :])
        page.keyboard.press("End")  # the page scrolls: none is out of reach
        page.locator(".msfa-confidence button").last.click(timeout=5_000)
        page.context.close()
    assert_quiet(log)


def test_no_number_of_the_queue_is_cut_off_beside_the_bar_that_scrolls(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        for width, height in [(w, 600) for w in (1366, 1440, 1536, 1600, 1680)] + [(1366, 1200)]:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(900)
            holder = page.locator(".msfa-queue-table .tabulator-tableholder")
            room, inner = holder.evaluate("e => [e.clientWidth, e.scrollWidth]")
            high, deep = holder.evaluate("e => [e.clientHeight, e.scrollHeight]")
            assert (deep > high) == (height == 600)  # whether it scrolls
            assert inner <= room, width
            cut = page.locator(".msfa-queue-table .tabulator-cell:visible").evaluate_all(
                "all => all.filter(e => e.scrollWidth > e.clientWidth)"
                ".map(e => [e.getAttribute('tabulator-field'), e.textContent])"
            )
            assert not [one for one in cut if one[0] != "obsid"], (width, cut)
            assert page.locator(".tabulator-col:visible", has_text="S/N").count(), width
        page.context.close()
    assert_quiet(log)


def lie_over(one, other):
    """Tell whether two boxes share more than an edge."""
    return all(
        min(one[at] + one[size], other[at] + other[size]) - max(one[at], other[at]) > 1
        for at, size in (("x", "width"), ("y", "height"))
    )


DRAGS = """() => [...Bokeh.documents.flatMap(one => [...one.all_models])]
  .filter(one => one.type === "BoxSelectTool").map(one => one.active)"""


def test_a_click_on_the_tool_that_drags_leaves_it_on(chromium, small_survey, tmp_path):
    """Off, it left a mouse that did nothing, and nothing said why."""
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        button = page.locator(".msfa-right [title^='Box Select']").first
        button.wait_for()
        before = page.evaluate(DRAGS)
        assert any(before)
        button.click()
        assert page.evaluate(DRAGS) == before
        page.wait_for_timeout(600)  # no double click
        page.locator(".msfa-right [title^='Lasso']").first.click()
        assert sum(page.evaluate(DRAGS)) == sum(before) - 1
        button.click()
        assert page.evaluate(DRAGS) == before
    assert_quiet(log)


def test_the_last_decisions_end_before_the_edge_whatever_a_reviewer_is_called(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="Anna-Maria Casagrande") as server:
        page = open_page(chromium, server, viewport={"width": 1366, "height": 768})
        star = painted(page)
        press(page, "1")
        page.goto(f"{server.url}?obj={star}")
        page.locator(PAINTED).first.wait_for(timeout=60_000)
        page.locator(".msfa-on-star li").first.wait_for(timeout=20_000)
        beyond = """rows => rows.flatMap(row => [...row.children].map(
            word => word.getBoundingClientRect().right - row.getBoundingClientRect().right))"""
        rows = page.locator("ol.msfa-recent li")
        assert max(rows.evaluate_all(beyond)) <= 1
        page.context.close()
    assert_quiet(log)


@pytest.mark.parametrize("size", [(1093, 614), (1024, 768), (1280, 720)])
def test_in_a_small_window_every_page_verdict_and_the_comment_are_in_sight(
    chromium, small_survey, tmp_path, size
):
    """A screen of 1366 × 768 whose reader takes letters of 125 %: the page scrolls sideways."""
    log = tmp_path / "server.log"
    width, height = size
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, viewport={"width": width, "height": height})
        bar = ".msfa-verdict button:visible, .msfa-verdict textarea, .msfa-verdict input:visible"
        for scrolled in (0, 200):
            page.evaluate("x => window.scrollTo(x, 0)", scrolled)
            for css in (".msfa-header .bk-btn", ".msfa-witness", bar):
                found = [one.bounding_box() for one in page.locator(css).all()]
                assert len(found) >= 5, css
                assert all(one["x"] >= 0 for one in found), css
                assert all(one["x"] + one["width"] <= width for one in found), css
                assert all(one["y"] + one["height"] <= height for one in found), css
        buttons = page.locator(".msfa-verdict .msfa-row button:visible").all()
        boxes = [one.bounding_box() for one in buttons]
        for k, one in enumerate(boxes):
            assert not any(lie_over(one, other) for other in boxes[k + 1 :])
        page.get_by_text("Export", exact=True).first.click()
        page.locator(".msfa-export:visible").first.wait_for(timeout=60_000)
        page.context.close()
    assert_quiet(log)
