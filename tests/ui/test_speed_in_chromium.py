"""What makes a star quick to paint, as counts that do not depend on how busy the machine is."""

import pytest
from served_dashboard import assert_quiet, open_page, press, served
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
        page.wait_for_timeout(1000)
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
