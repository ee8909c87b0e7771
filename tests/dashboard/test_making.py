"""The demo survey is made beside the server; a page that opens meanwhile grows with it."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from bokeh.document import Document

from dashboard import making
from dashboard.app import VettingApp
from dashboard.making import DemoMaker, options
from dashboard.views.header import header_html
from dashboard.views.letters import error_page, making_html
from msfa_core.constants import STEPS
from msfa_core.spine.demo import make_demo
from msfa_core.survey.demo import demo_left
from msfa_core.survey.folder import Survey, is_survey

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")

FEW = making.WORK.replace("sys.argv[1]", "sys.argv[1], 12, 4")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MSFA_DEMO", str(tmp_path / "demo"))
    monkeypatch.setattr(making, "WORK", FEW)
    monkeypatch.delenv("MSFA_SURVEY", raising=False)
    return tmp_path / "demo"


def wait_for(condition, seconds=90.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_process_beside_the_server_makes_the_first_stars_then_the_others(place):
    maker = DemoMaker(options([]).survey)
    assert maker.can_open.wait(90)
    assert not maker.error
    assert 0 < maker.share <= 1
    begun = Survey(place)
    assert begun.table()["p_class_bhb"].notna().sum() >= 4
    wait_for(lambda: maker.is_done)
    assert not maker.error
    assert demo_left(begun) == 0
    assert DemoMaker.where_wanted(place) is None


def test_the_process_ends_with_the_server_and_leaves_nothing_half_made(place):
    maker = DemoMaker(place)
    maker._process.stdin.close()  # as the system does when the server dies
    wait_for(lambda: maker.is_done)
    assert "exit code 1" in maker.error
    assert not is_survey(place)


def test_what_stands_in_the_way_is_said(place):
    place.mkdir()
    (place / "thesis.tex").write_text("x")
    maker = DemoMaker(place)
    assert maker.can_open.wait(60)
    assert "is no survey" in maker.error


def test_other_surveys_are_not_made(place, tmp_path):
    assert DemoMaker.where_wanted(tmp_path / "other") is None
    assert options(["mine", "--reference", "a.csv"]).survey.name == "mine"


def test_an_open_page_takes_the_other_stars_over_and_keeps_its_own(place):
    def stop(step, done, total, part=""):
        if is_survey(place):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(place, stop, 12, at_once=4)
    app = VettingApp(place, reviewer="Ann")
    try:
        assert "12 stars in all" in app.header.title.object
        on_screen, before = app.state.screen.selected, len(app.state.verdicts.table)
        app._grow()
        assert len(app.state.verdicts.table) == before  # not yet
        make_demo(place, n_stars=12, at_once=4)
        app._grow()
        assert len(app.state.verdicts.table) > before
        assert app.state.screen.selected == on_screen
        assert "12 in all" in app.state.status.message
        assert "in all" not in app.header.title.object
        n = len(app.state.verdicts.table)
        assert f"{n} spectra" in app.header.title.object
    finally:
        app.state.close()


@pytest.mark.parametrize("step", ["starting", "simulate", "ingest", *STEPS])
def test_while_stars_are_made_the_page_says_what_is_done_and_that_time_goes_by(step):
    maker = SimpleNamespace(words=step, share=0.25, began=time.monotonic() - 12)
    html = making_html(maker)
    assert " … 25 %, 12 s so far" in html
    assert f">{step} …" not in html  # in words


def test_the_title_says_loudly_that_stars_are_simulated_and_more_are_coming(place):
    survey = Survey.create(place, simulated=True)
    said = header_html(survey, 60, 5, 200)
    assert "SIMULATED" in said
    assert "200 stars in all" in said
    assert "in all" not in header_html(survey, 60, 5)


def test_the_app_opens_without_what_few_pages_need():
    """Each of these takes half a second to two: networks, clusters, distributions."""
    code = (
        "import sys, dashboard.app; "
        "late = {'torch', 'dask', 'scipy.stats', 'sklearn', 'matplotlib'}; "
        "print(*sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_page_that_says_what_to_do_shows_commands_as_such_and_nothing_as_html():
    page = error_page("No <b>survey</b>", "no file <x>: `msfa ingest S` makes one")
    (said,) = [pane.object for pane in page if hasattr(pane, "object")]
    assert "No &lt;b&gt;survey" in said
    assert "no file &lt;x&gt;: <code>msfa ingest S</code> makes one" in said


def test_a_page_says_loudly_that_a_step_has_rewritten_what_it_shows(survey):
    app = VettingApp(survey, reviewer="anna")
    app._follow()
    app._take_over(app._asked)
    assert "OLD TABLE" not in app.header.title.object
    survey.write_table(survey.table().assign(teff=7777.0))
    app._asked.result()
    app._follow()
    app._take_over(app._asked)
    assert "OLD TABLE: press reload" in app.header.title.object
    app._reload(None)
    assert "OLD TABLE" not in app.header.title.object
    app._close(Document(), None)
