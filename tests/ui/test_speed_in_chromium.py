"""What makes a star quick to paint, as counts that do not depend on how busy the machine is."""

from base64 import b64decode
from itertools import pairwise

import numpy as np
import pytest
from served_dashboard import PAINTED, assert_quiet, open_page, press, served
from small_survey import FIRST_OBSID

pytestmark = pytest.mark.ui

WATCH_SHEETS = """() => {
  window.written = {anew: 0, in_vain: 0}
  const observer = new MutationObserver(records => {
    for (const {removedNodes: [before], addedNodes: [after]} of records) {
      if (before?.data === after?.data) window.written.in_vain += 1
      else window.written.anew += 1
    }
  })
  let n_sheets = 0
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.matches("style[data-css=position]")) {
        observer.observe(e, {childList: true})
        n_sheets += 1
      }
      if (e.shadowRoot) walk(e.shadowRoot)
    }
  }
  walk(document)
  window.styles_asked = 0
  window.derived = 0
  const glyph = Bokeh.require("models/glyphs/glyph").GlyphView.prototype
  const set_data = glyph.set_data
  glyph.set_data = function (...args) {
    if (this.base) window.derived += 1
    return set_data.apply(this, args)
  }
  window.points_painted = 0
  const plot = Bokeh.require("models/plots/plot_canvas").PlotView.prototype
  const paint = plot._paint_primary
  plot._paint_primary = function (ctx) {
    if (/D0.2|BP/.test(this.model.below[0].axis_label)) window.points_painted += 1
    return paint.call(this, ctx)
  }
  const ask = window.getComputedStyle
  window.getComputedStyle = (...args) => { window.styles_asked += 1; return ask(...args) }
  return n_sheets
}"""  # style sheets that place what is painted: written anew, or to say the same as before


MARKS = """() => {
  const marks = []
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.matches("canvas.bk-glyph") && e.checkVisibility()) marks.push(e)
      if (e.shadowRoot) walk(e.shadowRoot)
    }
  }
  walk(document)
  return marks.map(e => e.getContext("2d").getImageData(0, 0, e.width, e.height).data.some(v => v))
}"""  # of the legends in sight: whether each is painted


def test_another_star_is_painted_without_the_styles_of_the_page_being_worked_out_anew(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server, f"?obj={FIRST_OBSID}")  # of two epochs
        page.wait_for_timeout(700)
        assert page.evaluate(WATCH_SHEETS) > 20
        words = page.locator(".msfa-place:visible").get_by_text("its other epochs")
        shown = [words.first.is_visible()]
        for _ in range(3):
            press(page, "ArrowRight")
            page.wait_for_timeout(300)  # a figure that is laid out anew is painted once more
            shown.append(words.first.is_visible())
        assert shown[0] and not all(shown), shown  # it went
        written, asked, derived, points = page.evaluate(
            "[window.written, window.styles_asked, window.derived, window.points_painted]"
        )
        assert points == 0  # the stars of a plane stay as they are, whatever its legend says
        assert 0 < written["anew"] < 40 * 3, written  # bands do move; a hundred a star for all
        assert written["in_vain"] == 0
        assert asked < 100 * 3, asked  # some thousand before each stroke asked
        assert derived == 0  # glyphs for what Bokeh selects and mutes: never drawn here
        marks = page.evaluate(MARKS)
        assert len(marks) > 5
        assert all(marks)  # a legend that is built anew is painted
        page.context.close()
    assert_quiet(log)


AXES = """() => {
  const seen = new Set(), drawn = []
  const walk = (view) => {
    if (seen.has(view)) return
    seen.add(view)
    if (view.canvas_view != null && view.is_displayed && view.el.checkVisibility()) {
      const {ctx, el} = view.canvas_view.primary, ratio = el.width / view.bbox.width
      for (const {layout, model, panel, bbox: {x, y, width, height}} of view.axis_views) {
        if (layout == null || Math.min(width, height) < 3) continue
        // the background's own edge is blurred, and of another depth at each paint
        const inner = [x + 1, y + 1, width - 2, height - 2]
        const {data} = ctx.getImageData(...inner.map(v => v * ratio))
        const sum = data.reduce((sum, v, n) => (sum * 31 + v * (n % 4 + 1)) % 1e9, 7)
        drawn.push([`${panel.side} ${model.axis_label}`, x, y, width, height, sum])
      }
    }
    for (const child of [...view.children_views?.() ?? [], ...view.child_views ?? []]) walk(child)
  }
  for (const root of Bokeh.index.roots ?? Object.values(Bokeh.index)) walk(root)
  return drawn
}"""  # of each axis in sight: where it lies and what is painted there
EACH = """(change) => {
  const seen = new Set()
  const walk = (view) => {
    if (seen.has(view)) return
    seen.add(view)
    const is_seen = view.canvas_view != null && view.is_displayed && view.el.checkVisibility()
    if (is_seen) change(view.model)
    for (const child of [...view.children_views?.() ?? [], ...view.child_views ?? []]) walk(child)
  }
  for (const root of Bokeh.index.roots ?? Object.values(Bokeh.index)) walk(root)
}"""
SPECTRUM = """() => {
  let pixels
  const painted = ({canvas_view, frame, model}) => {
    if (pixels || !model.below[0]?.axis_label?.includes("[vacuum Å]")) return
    const {ctx, el} = canvas_view.primary, {x, y, width, height} = frame.bbox
    pixels = ctx.getImageData(x + 1, y + 1, width - 2, height - 2)
  }
  EACH(painted)
  let text = ""
  for (let k = 0; k < pixels.data.length; k += 8192)
    text += String.fromCharCode(...pixels.data.subarray(k, k + 8192))
  return [pixels.height, pixels.width, btoa(text)] // a list would be told number by number
}""".replace("EACH", "(" + EACH.replace("change(view.model)", "change(view)") + ")")
CHANGES = {
    "few": """({x_range}) => { if (x_range.end > 8000) x_range.setv({start: 4000, end: 4200}) }""",
    "room": """({x_range, y_range}) => {
  const width = x_range.end - x_range.start, height = y_range.end - y_range.start
  x_range.setv({start: x_range.start + 0.31 * width, end: x_range.end - 0.123 * width})
  y_range.setv({start: y_range.start - 1234 * height, end: y_range.end})
}""",
    "letters": """({left: [axis]}) => axis?.setv({major_label_text_font_size: "15px"})""",
    "words": """({left: [axis]}) => axis?.setv({axis_label: "another"})""",
    "ticks": """({left: [axis]}) => {
  if (axis?.ticker.properties.desired_num_ticks) axis.ticker.setv({desired_num_ticks: 3})
}""",
    "numbers": """({left: [axis]}) => {
  if (axis?.formatter.properties.power_limit_high) axis.formatter.setv({power_limit_high: 1})
}""",
}  # of every figure in sight
KEEP_WITHIN = """() => Object.defineProperty(
  Bokeh.require("models/renderers/glyph_renderer").GlyphRendererView.prototype, "needs_clip",
  {get() { return true }})"""  # as the app does: Bokeh draws stars outside the frame over an axis


STEPS = (None, "ArrowRight", "ArrowRight", *CHANGES, "ArrowRight")


def settled(page, before):
    """Axes as they are drawn when they have changed and change no more."""
    now = None
    for _ in range(60):
        page.wait_for_timeout(300)
        last, now = now, page.evaluate(AXES)
        if last == now != before:
            break
    return now


def test_figures_are_painted_as_bokeh_paints_them(chromium, small_survey, tmp_path):
    log, drawn, spectra = tmp_path / "server.log", [], []
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        for is_quick in (True, False):
            context = chromium.new_context()
            if not is_quick:
                context.add_init_script("globalThis.msfa_painting = true")
            page = context.new_page()
            page.goto(f"{server.url}?obj={FIRST_OBSID}")
            page.wait_for_selector(PAINTED, timeout=120_000)
            if not is_quick:
                page.evaluate(KEEP_WITHIN)
            for change in STEPS:
                if change in CHANGES:
                    page.evaluate(f"({EACH})({CHANGES[change]})")
                elif change:
                    page.keyboard.press(change)
                drawn.append(settled(page, drawn[-1] if change else None))
                if change in (None, "ArrowRight", "few"):
                    *shape, pixels = page.evaluate(SPECTRUM)
                    flat = np.frombuffer(b64decode(pixels), dtype=np.uint8)
                    spectra.append(flat.astype(int).reshape(*shape, 4))
            context.close()
    quick, plain = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    assert len(plain[0]) > 12
    assert all(before != after for before, after in pairwise(plain))
    for step, ours, bokehs in zip(STEPS, quick, plain, strict=True):
        assert [one for one in zip(ours, bokehs, strict=True) if one[0] != one[1]] == [], step
    half = len(spectra) // 2
    for n, (ours, bokehs) in enumerate(zip(spectra[:half], spectra[half:], strict=True)):
        off = np.abs(ours - bokehs).max(axis=2)  # of 255; an edge that is blurred differently
        assert (off > 60).mean() < 0.005, n
        assert (off > 120).mean() < 0.0005, n
    zoomed = np.abs(spectra[3] - spectra[half + 3])
    assert zoomed.max() < 60  # every point is there
    assert (zoomed > 0).mean() < 0.002
