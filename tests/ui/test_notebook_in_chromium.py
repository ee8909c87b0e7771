"""The app in a cell of a notebook: one server for all cells, which says when it is gone."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard.app import VettingApp
from dashboard.views.cell import CellServer
from msfa_core.errors import SurveyError

pytestmark = [
    pytest.mark.ui,
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
]


def test_a_cell_whose_server_has_ended_says_so_and_what_to_do(chromium, small_survey):
    server = CellServer.of(small_survey, "Ann")
    server.wait()
    assert CellServer.of(small_survey, "Ann") is server  # one server for all cells
    page = chromium.new_page()
    page.set_content(f"<!doctype html><body>{server.frame()}</body>")
    page.locator("iframe").wait_for()
    words = page.locator("div > p")
    assert words.is_hidden()
    server.close()
    assert server.process.returncode == 0
    words.wait_for()  # over the frame: what is in it stays to be read
    said = words.text_content()
    assert "run this cell again" in said and f"ssh -L {server.port}:" in said
    page.close()


def test_the_app_in_a_cell_is_asked_for_all_that_the_notebook_asked_for(monkeypatch):
    asked = {}

    class Noted(CellServer):
        def __init__(self, *given):
            asked["server"] = given

        def wait(self):
            pass

        def frame(self, height, **address):
            return ""

    monkeypatch.setattr("dashboard.app.CellServer", Noted)
    made = SimpleNamespace(
        state=SimpleNamespace(
            survey=SimpleNamespace(path=Path("S")),
            verdicts=SimpleNamespace(reviewer="Ann"),
            screen=SimpleNamespace(star=None),
        ),
        learn=object(),
        _reference_path="/known.csv",
    )
    VettingApp.frame(made)
    assert asked["server"] == (Path("S"), "Ann", "/known.csv", True)


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
    server = CellServer(small_survey)
    with pytest.raises(SurveyError, match="no such thing"):
        server.wait()
    server.close()
