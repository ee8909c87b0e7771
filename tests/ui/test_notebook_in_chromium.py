"""The app in a cell of a notebook: its frame opens, a key in it is a verdict, it ends with us."""

import pytest
from served_dashboard import PAINTED

from dashboard.app import VettingApp
from dashboard.views.cell import CellServer
from msfa_core.errors import SurveyError
from msfa_core.vetting.store import Store

pytestmark = [
    pytest.mark.ui,
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
]


def test_a_key_in_the_frame_of_a_cell_is_a_verdict_and_the_page_around_it_is_left_alone(
    chromium, small_survey
):
    app = VettingApp(small_survey, reviewer="Ann")
    shown = app._repr_mimebundle_()["text/html"]
    server = CellServer.of(small_survey, "Ann")
    try:
        page = chromium.new_page(viewport={"width": 1500, "height": 950})
        notebook = f"http://localhost:{server.port}/notebook"  # a page of this computer
        page.goto(notebook)
        page.set_content(f"<!doctype html><body>{shown}</body>")
        frame = page.frame_locator("iframe")
        frame.locator(PAINTED).wait_for(timeout=60_000)
        frame.locator(".msfa-spectrum").first.click(position={"x": 200, "y": 20})
        obsid = frame.locator(PAINTED).get_attribute("data-painted")
        page.keyboard.press("a")
        frame.locator(f".msfa-verdict:not([data-painted='{obsid}'])").wait_for(timeout=30_000)
        assert page.url == notebook
        page.close()
        with Store(small_survey / "vetting.sqlite") as store:
            (decided,) = store.decisions()
        assert (decided.obsid, decided.reviewer, decided.verdict) == (int(obsid), "Ann", "accept")
        assert CellServer.of(small_survey, "Ann") is server  # one server for all cells
    finally:
        server.close()
        app.state.close()
    assert server.process.returncode == 0


def test_a_single_panel_goes_by_its_name(small_survey):
    app = VettingApp(small_survey, reviewer="Ann")
    try:
        panel = app.panel("balmer")
        assert len(panel) == 1 and panel.height > 0
        assert len(app.panel("CMD")) == 1
        with pytest.raises(SurveyError, match=r"balmer.*CMD"):
            app.panel("nothing")
    finally:
        app.state.close()


def test_a_notebook_is_told_after_a_single_panel_has_drawn_another_star(small_survey, monkeypatch):
    told = []
    app = VettingApp(small_survey, reviewer="Ann")
    panel = app.panel("balmer")
    monkeypatch.setattr("panel.io.push_notebook", told.append)
    try:
        app.state.screen.select(int(app.state.queue.obsids[3]))
        assert told == [panel]
    finally:
        app.state.close()


def test_a_server_that_does_not_start_says_why(small_survey, monkeypatch):
    monkeypatch.setattr("dashboard.views.cell._ENDS_WITH_KERNEL", "raise OSError('no such thing')")
    server = CellServer(small_survey, "", "")
    with pytest.raises(SurveyError, match="no such thing"):
        server.wait()
    server.close()
