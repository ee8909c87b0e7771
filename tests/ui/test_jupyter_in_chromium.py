"""The app in JupyterLab: a key in its frame is a verdict and nothing else, panels live in cells."""

import pytest
from jupyter_lab import Notebook, jupyter_lab
from served_dashboard import PAINTED, decisions
from small_survey import make_small_survey

pytestmark = [pytest.mark.ui, pytest.mark.slow]

CELLS = (
    "from dashboard.app import VettingApp\napp = VettingApp('survey', reviewer='Ann')\napp",
    "app.panel('balmer')",
    "other = int(app.state.queue.obsids[3])\napp.state.screen.select(other)",
    "from msfa_core.survey.folder import Survey\nSurvey('survey').plot.plane()",
    "",
)
APP, PANEL, SELECT, FIGURE, EMPTY = range(len(CELLS))
OVERLAPS = """bar => {
  const boxes = [...bar.querySelectorAll("button, input, textarea")]
    .map(one => one.getBoundingClientRect()).filter(box => box.width)
  return boxes.some((a, k) => boxes.slice(k + 1).some(b =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1))
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    folder = tmp_path_factory.mktemp("lab")
    make_small_survey(folder / "survey")
    with jupyter_lab(folder) as address:
        yield folder, address


@pytest.fixture(scope="module")
def notebook(lab, chromium):
    folder, address = lab
    opened = Notebook(chromium, address, folder, CELLS)
    opened.run(APP)
    yield opened
    opened.page.close()


def app_in(cell):
    frame = cell.frame_locator("iframe")
    frame.locator(PAINTED).wait_for(timeout=120_000)
    return frame


def test_a_key_in_the_app_is_a_verdict_and_the_notebook_hears_nothing_of_it(lab, notebook):
    survey, page = lab[0] / "survey", notebook.page
    frame = app_in(notebook.cell(APP))
    assert not frame.locator(".msfa-verdict").evaluate(OVERLAPS)
    obsid = frame.locator(PAINTED).get_attribute("data-painted")
    frame.locator(".msfa-spectrum").first.click(position={"x": 200, "y": 20})
    page.keyboard.press("a")
    frame.locator(f"{PAINTED}:not([data-painted='{obsid}']):not(.msfa-busy)").wait_for()
    for key in ("b", "ArrowUp", "x", "d", "d", "m", "b"):  # what a notebook would obey
        page.keyboard.press(key)
    second = frame.locator(PAINTED).get_attribute("data-painted")
    page.keyboard.press("r")
    frame.locator(f"{PAINTED}:not([data-painted='{second}']):not(.msfa-busy)").wait_for()
    made = [(one.obsid, one.reviewer, one.verdict) for one in decisions(survey)]
    assert made == [(int(obsid), "Ann", "accept"), (int(second), "Ann", "reject")]
    assert notebook.cells.count() == len(CELLS)
    assert page.locator(".jp-MarkdownCell").count() == 0

    notebook.editor(EMPTY).click()
    page.keyboard.type("zebra = 1  # are you?")
    assert notebook.editor(EMPTY).text_content() == "zebra = 1  # are you?"
    page.keyboard.press("Escape")
    page.keyboard.press("a")  # a cell above, as in any notebook
    page.wait_for_function(
        "n => document.querySelectorAll('.jp-CodeCell').length === n", arg=len(CELLS) + 1
    )
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_function(
        "n => document.querySelectorAll('.jp-CodeCell').length === n", arg=len(CELLS)
    )
    assert len(decisions(survey)) == 2


def test_a_panel_in_a_cell_follows_the_star_that_another_cell_chooses(notebook):
    cell = notebook.run(PANEL)
    words = cell.locator(".msfa-fit-words div").first
    words.wait_for()
    before = words.text_content()
    assert "D0.2" in before
    notebook.run(SELECT)
    notebook.page.wait_for_function(
        "([element, before]) => element.textContent !== before",
        arg=[words.element_handle(), before],
    )


def test_a_figure_shows_itself(notebook):
    image = notebook.run(FIGURE).locator("img")
    image.wait_for()
    assert image.evaluate("one => one.decode().then(() => one.naturalWidth)") > 400
