"""Chromium and a small survey for the tests that look at the screen."""

import os
import sys

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


@pytest.fixture
def small_survey(tmp_path):
    """A survey of 24 stars on disk."""
    assert sys.executable and os.name == "posix"
    return make_small_survey(tmp_path / "survey").path
