"""Chromium and a small survey for the tests that look at the screen."""

import shutil

import pytest
from served_dashboard import CHROMIUM, CHROMIUM_FLAGS
from small_survey import make_small_survey

CHILD_WARNING = "ignore:subprocess .* is still running:ResourceWarning"


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: tests of the screen left out")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_survey_template(tmp_path_factory):
    """A survey of 24 stars, made once; tests work on copies."""
    return make_small_survey(tmp_path_factory.mktemp("surveys") / "template").path


@pytest.fixture
def small_survey(small_survey_template, tmp_path):
    """A survey of 24 stars on disk."""
    return shutil.copytree(small_survey_template, tmp_path / "survey")
