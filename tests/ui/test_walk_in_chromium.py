"""A walk of random keys and clicks in Chromium: one star everywhere, nothing typed is lost.

``MSFA_WALK=150`` walks further than the tests do, ``MSFA_SEED`` takes another way. The same walk
without a browser, which is faster, is in ``tests/dashboard/test_random_walk.py``.
"""

import os
import random
import re
import time

import pytest
from served_dashboard import PAINTED, assert_quiet, decisions, painted, served

pytestmark = [pytest.mark.ui, pytest.mark.slow]

N_ACTIONS = int(os.environ.get("MSFA_WALK", "30"))
SEED = int(os.environ.get("MSFA_SEED", "7"))
VERDICTS = {"a": ("accept", ""), "r": ("reject", ""), "u": ("unsure", ""), "4": ("reject", "WD")}
SETTLED = """() => {
  const all = function* (root) {
    for (const e of root.querySelectorAll("*")) {
      yield e
      if (e.shadowRoot) yield* all(e.shadowRoot)
    }
  }
  let bar = null, names = null
  for (const e of all(document)) {
    if (e.classList?.contains("msfa-verdict")) bar = e
    if (e.classList?.contains("msfa-strip-names")) names = e
  }
  if (!bar || bar.classList.contains("msfa-busy")) return null
  const page = Bokeh.documents[0]
  const source = page.get_model_by_name("msfa-painted")
  const obsid = bar.dataset.painted
  if (String(source.tags[0] ?? "") !== obsid) return null
  const said = {obsid, strip: names.textContent, address: new URL(location).searchParams.get("obj"),
    comment: bar.querySelector(".msfa-comment").value, titles: [], rings: []}
  if (obsid && said.address !== obsid) return null // it is written in the browser's next turn
  for (const view of Bokeh.index.roots.flatMap(root => [...walk_views(root)])) {
    const model = view.model
    if (!model.type?.endsWith("Figure") && model.type !== "Figure") continue
    if (view.el.offsetParent === null) continue
    if (model.title?.text?.includes("S/N(g)")) said.titles.push(model.title.text)
    for (const drawn of model.renderers) {
      const data = drawn.data_source?.data
      const held = data?.get ? data.get("obsid") : data?.obsid
      const ring = data?.get ? data.get("left") : data?.left
      if (held && ring) said.rings.push(Array.from(held).map(String).join())
    }
  }
  return said
}"""
VIEWS = """() => {
  window.walk_views = function* (view, seen = new Set()) {
    if (!view || seen.has(view)) return
    seen.add(view)
    yield view
    for (const child of [...(view.child_views ?? []), ...(view.children_views?.() ?? [])])
      yield* walk_views(child, seen)
  }
}"""


class Traffic:
    """What goes between a page and its server: whoever moves on too early meets the last answer."""

    def __init__(self, page):
        self.page, self.asked, self.answered, self.last = page, 0, 0, 0.0
        page.on("websocket", self.listen)

    def listen(self, line):
        line.on("framesent", self.sent)
        line.on("framereceived", self.received)

    def sent(self, frame):
        self.last = time.monotonic()
        self.asked += isinstance(frame, str) and bool(re.search(r'"msgtype":\s*"PATCH-DOC"', frame))

    def received(self, frame):
        self.last = time.monotonic()
        self.answered += isinstance(frame, str) and bool(re.search(r'"msgtype":\s*"OK"', frame))

    def rest(self, seconds=0.25):
        """Wait until every message is answered and nothing more comes.

        The wait begins anew: a step in the history takes effect in a turn of its own, and whoever
        presses a key before it, presses it for the old star.
        """
        self.last = time.monotonic()
        until = self.last + 30
        while self.answered < self.asked or time.monotonic() - self.last < seconds:
            assert time.monotonic() < until, f"{self.asked} messages, {self.answered} answers"
            self.page.wait_for_timeout(50)


class Reviewer:
    """Presses and clicks anything, and remembers what was pressed and typed."""

    def __init__(self, page, traffic, rng):
        self.page, self.traffic, self.rng = page, traffic, rng
        self.given, self.drafts, self.done = [], {}, []
        self.is_blind = False

    def settled(self):
        found = self.page.wait_for_function(SETTLED, timeout=30_000)
        return found.json_value()

    def verdict(self):
        key = self.rng.choice(list(VERDICTS))
        shown = painted(self.page)
        before = len(self.given)
        self.page.keyboard.press(key)
        saved = re.compile(f"^saved: {VERDICTS[key][0]}.* {shown} ")  # not what stood there before
        self.page.locator(".msfa-status", has_text=saved).wait_for()
        assert len(self.given) == before
        self.given.append((shown, *VERDICTS[key], self.drafts.pop(shown, "").strip()))

    def burst(self):
        for _ in range(3):
            self.page.keyboard.press("ArrowRight")

    def undo(self):
        if not self.given:
            return
        shown, *_, comment = self.given.pop()
        self.page.keyboard.press("z")
        taken = re.compile(f"^withdrawn: .* {shown} ")
        self.page.locator(".msfa-status", has_text=taken).wait_for()
        if comment or shown in self.drafts:
            self.drafts[shown] = self.drafts.get(shown) or comment

    def move(self):
        self.page.keyboard.press(self.rng.choice(["ArrowRight", "ArrowLeft"]))

    def write(self):
        shown = painted(self.page)
        word = self.rng.choice(["Ca K ", "<b>wide</b> ", "Ж\u00fc "])
        self.page.keyboard.press("e")
        self.page.keyboard.press("End")
        self.page.keyboard.type(word)
        self.page.keyboard.press("Escape")
        self.drafts[shown] = self.drafts.get(shown, "") + word

    def click_in_the_list(self):
        rows = self.page.locator(".msfa-left .tabulator-row")
        if rows.count():
            row = rows.nth(self.rng.randrange(min(rows.count(), 8)))
            wanted = row.locator("[tabulator-field=obsid]").inner_text()
            self.page.locator(".msfa-left .tabulator-row", has_text=wanted).click()
            self.page.locator(".msfa-strip-names", has_text=wanted).wait_for()

    def search(self):
        self.page.keyboard.press("/")
        self.page.keyboard.type(self.rng.choice(["nowhere", painted(self.page)]))
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Escape")

    def choose_a_plane(self):
        where = self.rng.choice(["upper", "lower"])
        menu = self.page.locator(f".msfa-chooser-{where} select")
        menu.select_option(label=self.rng.choice(["D0.2–fm", "CMD", "Lines", "Sky", "Epochs"]))

    def brush(self):
        frame = self.page.locator(".msfa-place:visible canvas").first
        box = frame.bounding_box() if frame.count() else None
        if box is not None:  # another plane may just be coming
            x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"]
            self.page.mouse.move(x, y)
            self.page.mouse.down()
            self.page.mouse.move(x + 0.4 * box["width"], y + 0.5 * box["height"], steps=4)
            self.page.mouse.up()

    def lift(self):
        for sentence in self.page.locator(".msfa-sentence button", has_text="brushed").all():
            sentence.click()

    def step_in_history(self):
        """The browser's Back or Forward, where they stay in the app."""
        aside = self.rng.choice([-1, -1, 1])
        entry = f"navigation.entries()[navigation.currentEntry.index + ({aside})]"
        if self.page.evaluate(f"Boolean({entry}?.sameDocument)"):
            self.page.evaluate(f"history.go({aside})")

    def look(self):
        self.page.keyboard.press(self.rng.choice(["s", "c", "?"]))
        self.page.keyboard.press("Escape")

    def go_blind(self):
        """Hide the machine, or show it; who decides before it is done may meet another star."""
        self.page.keyboard.press("b")
        self.is_blind = not self.is_blind
        badge = self.page.locator(".msfa-blind")
        badge.wait_for(state="visible" if self.is_blind else "detached")

    ACTIONS = (
        (verdict, 8), (burst, 1), (undo, 3), (move, 4), (write, 4), (click_in_the_list, 3),
        (search, 1), (step_in_history, 3), (choose_a_plane, 3), (brush, 2), (lift, 2), (look, 2),
        (go_blind, 1),
    )  # fmt: skip

    def step(self):
        actions, weights = zip(*self.ACTIONS, strict=True)
        action = self.rng.choices(actions, weights)[0]
        self.done.append(action.__name__)
        action(self)
        self.traffic.rest()
        said = self.settled()
        obsid = said["obsid"]
        assert said["strip"].startswith(obsid or "no star")
        assert said["address"] == obsid or not obsid
        assert all(title.startswith(obsid) for title in said["titles"])
        assert len(said["titles"]) == 1
        assert set(said["rings"]) <= {obsid, ""}
        assert said["comment"] == self.drafts.get(obsid, ""), self.drafts


def test_wherever_keys_and_clicks_lead_one_star_is_everywhere_and_what_is_typed_stays(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = chromium.new_context(viewport={"width": 1366, "height": 768}).new_page()
        traffic = Traffic(page)
        page.goto(server.url, timeout=120_000)
        page.wait_for_selector(PAINTED, timeout=120_000)
        page.evaluate(VIEWS)
        page.wait_for_timeout(1500)
        assert traffic.asked
        walk = Reviewer(page, traffic, random.Random(SEED))
        for k in range(N_ACTIONS):
            try:
                walk.step()
            except BaseException:
                print(f"seed {SEED}, action {k}:", *walk.done[-10:])
                raise
        page.context.close()
    stored = decisions(small_survey)
    gone = {one.withdraws for one in stored}
    standing = [one for one in stored if not one.is_withdrawal and one.decision_id not in gone]
    assert [(str(d.obsid), str(d.verdict), d.verdict_class, d.comment) for d in standing] == [
        (obsid, verdict, kind, comment) for obsid, verdict, kind, comment in walk.given
    ]
    assert_quiet(log)
