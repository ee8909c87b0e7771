"""Figures as they are saved: whole, at print quality, with the caption that the page shows."""

import struct
from xml.etree import ElementTree

import pytest
from served_dashboard import assert_quiet, open_page, painted, served

pytestmark = [pytest.mark.ui, pytest.mark.slow]


def save(page, panel, kind):
    title = f"Save as {kind} with its caption"
    tool = page.locator(f"{panel} [title='{title}']")
    with page.expect_download(timeout=60_000) as download:
        tool.first.dispatch_event("keydown", {"key": "Enter"})  # some show only to the mouse
    return download.value


@pytest.mark.parametrize("panel", [".msfa-spectrum", ".msfa-right", ".msfa-lenses"])
def test_a_saved_figure_has_its_caption_and_the_resolution_of_a_print(
    chromium, small_survey, tmp_path, panel
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, viewport={"width": 1920, "height": 1080})
        page.wait_for_timeout(1500)
        star = painted(page)
        saved = {}
        if panel == ".msfa-spectrum":  # its wavelengths stand below the strip then
            page.get_by_role("button", name="template", exact=True).click()
            page.locator(".msfa-solutions").first.wait_for()
            page.wait_for_timeout(1500)
        for kind in ("SVG", "PNG"):
            download = save(page, panel, kind)
            assert download.suggested_filename.startswith(f"{star}-")
            saved[kind] = download.path()
        text = ElementTree.parse(saved["SVG"])
        words = " ".join(" ".join(text.getroot().itertext()).split())
        assert f"{star} = " in words, words
        assert painted(page) == star  # return on a tool is no verdict
        assert "survey survey" in words and "SIMULATED: these stars do not exist" in words
        assert ("O−C" in words) == (panel != ".msfa-right")  # the strip goes along
        if panel == ".msfa-right":
            assert "this star" in words and "both lines" in words
            assert "our default where the source could not be read" in words  # the provenance
        width, height = (float(text.getroot().get(name)) for name in ("width", "height"))
        sizes = struct.unpack(">II", saved["PNG"].read_bytes()[16:24])
        assert sizes == pytest.approx((width * 300 / 96, height * 300 / 96), abs=1)
        page.context.close()
    assert_quiet(log)
