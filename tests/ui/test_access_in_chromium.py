"""The page for everyone: judged by axe-core, and reached by keyboard alone.

axe-core comes with the tests (``axe-core-python``); ``AXE_CORE`` names another ``axe.min.js``.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from served_dashboard import PAINTED, open_page, served

pytestmark = [pytest.mark.ui, pytest.mark.slow]

PLANES = ("D0.2–fm", "CMD", "Labels", "Lines", "Ca K", "Sky", "Epochs")
CONTROLS = ("BUTTON", "INPUT", "SELECT", "TEXTAREA")  # Bokeh's own tools show theirs
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]})
  return found.violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .map(one => `${one.id} (${one.impact}): ` + one.nodes.map(
      node => node.target.flat().join(" ") + " :: " + node.html.slice(0, 160)
        + " :: " + (node.any[0]?.message ?? "").slice(0, 160)).slice(0, 4).join("\\n    "))
}"""
WALK = """() => {
  let at = document.activeElement
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  const style = getComputedStyle(at)
  const box = at.getBoundingClientRect()
  const name = (at.getAttribute("aria-label") || at.textContent || at.getAttribute("placeholder")
    || at.title || "").trim().slice(0, 40)
  const host = at.getRootNode().host
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0
  return {tag: at.tagName, name, host: host ? host.className : "", css: String(at.className),
    seen: box.width > 0 && box.height > 0, ring: ring || style.boxShadow !== "none"}
}"""


def axe_script():
    """The text of axe-core, as installed."""
    if os.environ.get("AXE_CORE"):
        return Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8")
    package = find_spec("axe_core_python")
    if package is None:
        pytest.skip("axe-core-python is not installed: pip install '.[test]'")
    return Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["default", "dark"])
def test_axe_finds_nothing_serious_on_any_view(chromium, small_survey, tmp_path, theme):
    axe = axe_script()
    with served(small_survey, tmp_path / "server.log", MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, f"?theme={theme}")
        page.wait_for_timeout(2000)
        page.evaluate(axe)
        found = {}

        def judge(view):
            page.wait_for_timeout(800)
            found.update({f"{view}: {one}": None for one in page.evaluate(RUN)})

        judge("Vet")
        for plane in PLANES[2:]:
            page.locator(".msfa-chooser-lower select").select_option(label=plane)
            judge(plane)
        page.get_by_role("button", name="classes").click()
        page.locator(".msfa-bars").first.wait_for(timeout=20_000)
        page.keyboard.press("f")
        judge("class bars and issues")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="+ filter").click()
        judge("filters")
        page.keyboard.press("?")
        judge("keys")
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        page.get_by_text("BLIND", exact=True).wait_for(timeout=20_000)
        judge("blind")
        page.keyboard.press("b")
        for name, sign in (
            ("Compare", "Nobody to compare with"),
            ("Export", "Nothing to download"),
        ):
            page.get_by_role("button", name=name, exact=True).click()
            page.get_by_text(sign).wait_for(timeout=20_000)
            page.wait_for_timeout(2000)  # names follow what is there: keyboard.js
            judge(name)
        page.context.close()
    assert not found, "\n".join(found)


def test_every_control_is_reached_by_keyboard_and_seen_when_it_is(chromium, small_survey, tmp_path):
    with served(small_survey, tmp_path / "server.log", MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.wait_for_selector(PAINTED)
        page.wait_for_timeout(2000)
        reached, unseen = [], []
        for _ in range(160):
            page.keyboard.press("Tab")
            at = page.evaluate(WALK)
            if at["tag"] == "BODY":
                break
            reached.append(f"{at['tag']} {at['name']}")
            if at["seen"] and not at["ring"] and at["tag"] in CONTROLS:
                unseen.append(at)
        assert not unseen, unseen
        told = "\n".join(reached)
        for control in (
            "Export", "keys ?", "networks for", "Ca K", "candidates", "p_bhb, highest first",
            "Balmer", "template",
            "D0.2", "Hγ", "queue inside", "as observed", "Accept", "Reject", "as", "certain",
            "issues", "undo", "comment", "reviewer",
        ):  # fmt: skip
            assert control in told, (control, told)
        page.context.close()
