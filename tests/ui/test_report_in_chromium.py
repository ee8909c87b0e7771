"""The report in a browser without a network: it draws, finds and sorts, and asks for nothing."""

import pandas as pd
import pytest
from small_survey import make_small_survey

from msfa_core.products.report import gather, write_page
from msfa_core.vetting.decision import Decision, Verdict

pytestmark = pytest.mark.ui
HOSTILE = "</script><img src=http://evil.example/x onerror=alert(2)><svg onload=alert(3)>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    survey = make_small_survey(folder / "S")
    table = survey.table()
    chosen = table[table["is_candidate"]].drop_duplicates("uid")
    with survey.store() as store:
        for _, row in chosen.iterrows():
            star = (int(row["obsid"]), str(row["uid"]))
            store.append_decision(Decision(*star, Verdict.ACCEPT, "Ann", comment=HOSTILE))
    told = gather(survey)
    rows = pd.DataFrame([star.row for star in told.stars])  # the spectrum of highest S/N of each
    return write_page(told, folder / "S.html"), rows


@pytest.fixture
def page(chromium, report):
    context = chromium.new_context(offline=True, viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (page.complaints.append("alert"), dialog.dismiss()))
    page.goto(f"file://{report[0]}")
    page.wait_for_function("window.reportIsDrawn")
    yield page
    context.close()


def test_the_page_draws_asks_for_nothing_and_runs_nothing_of_others(page, report):
    path, chosen = report
    n = len(chosen)
    assert page.locator("#table tbody tr").count() == n
    drawn = page.locator("[data-panel] > svg").count()
    assert drawn == page.locator("[data-panel]").count() > 5
    page.locator("#stars").scroll_into_view_if_needed()
    star = page.locator("article.star").first
    star.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('article.star .spectrum .data').length > 0")
    assert star.locator(".plot svg").count() >= 6
    assert star.locator(".ring").count() >= 1
    assert HOSTILE in star.inner_text()
    assert page.asked == [f"file://{path}"] and page.complaints == []


def test_a_search_keeps_the_stars_it_names_and_a_heading_sorts_them(page, report):
    _, chosen = report
    uid = str(chosen["uid"].iloc[2])
    page.fill("#find", uid.lower())
    assert page.locator("#table tbody tr:visible").count() == 1
    assert page.locator("article.star:not([hidden])").count() == 1
    page.fill("#find", "teff>8800")
    assert page.locator("#table tbody tr:visible").count() == int((chosen["teff"] > 8800).sum())
    page.fill("#find", "")
    page.click("th button:has-text('Teff')")
    cells = page.locator("#table tbody tr td:nth-child(10)").all_inner_texts()
    values = [float(cell) for cell in cells]
    assert values == sorted(values) and len(values) == len(chosen)
    order = page.evaluate("[...document.querySelectorAll('article.star')].map(a => a.dataset.star)")
    rows = page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')].map(r => r.dataset.star)"
    )
    assert order == rows


def test_on_paper_every_star_is_drawn_in_light_colours(page):
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    stars = page.locator("article.star").count()
    assert page.locator("article.star .spectrum .data").count() == stars
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
