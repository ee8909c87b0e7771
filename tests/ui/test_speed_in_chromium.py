"""What makes a star quick to paint, as counts that do not depend on how busy the machine is."""

from served_dashboard import assert_quiet, open_page, press, served

SHEETS = """() => {
  const sheets = []
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.matches("style[data-css=position]")) sheets.push([e, e.firstChild, e.textContent])
      if (e.shadowRoot) walk(e.shadowRoot)
    }
  }
  walk(document)
  const before = window.sheets
  window.sheets = sheets
  const rewritten = (before ?? []).filter(
    ([e, node, text]) => e.isConnected && e.textContent === text && e.firstChild !== node)
  return [sheets.length, rewritten.length]
}"""  # how many style sheets place what is painted; how many were written anew to say the same


def test_another_star_writes_no_style_sheet_that_says_what_it_said(
    chromium, small_survey, tmp_path
):
    log = tmp_path / "server.log"
    with served(small_survey, log, MSFA_REVIEWER="anna") as server:
        page = open_page(chromium, server)
        page.wait_for_timeout(1000)
        n_sheets, _ = page.evaluate(SHEETS)
        assert n_sheets > 20
        for _ in range(3):
            press(page, "ArrowRight")
        assert page.evaluate(SHEETS)[1] == 0
        page.context.close()
    assert_quiet(log)
