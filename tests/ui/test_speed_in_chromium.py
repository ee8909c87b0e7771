"""What makes a star quick to paint, as counts that do not depend on how busy the machine is."""

from served_dashboard import assert_quiet, open_page, press, served

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
  const ask = window.getComputedStyle
  window.getComputedStyle = (...args) => { window.styles_asked += 1; return ask(...args) }
  return n_sheets
}"""  # style sheets that place what is painted: written anew, or to say the same as before


def test_another_star_is_painted_without_the_styles_of_the_page_being_worked_out_anew(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.wait_for_timeout(1000)
        assert page.evaluate(WATCH_SHEETS) > 20
        for _ in range(3):
            press(page, "ArrowRight")
        written, asked = page.evaluate("[window.written, window.styles_asked]")
        assert written["anew"] > 0  # a title, a ring: they do move
        assert written["in_vain"] == 0
        assert asked < 100 * 3, asked  # some thousand before each stroke asked
        page.context.close()
    assert_quiet(log)
