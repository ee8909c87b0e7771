// A page that lost its server is loaded anew when the server answers again, be it the same or one
// started since: what was typed and decided is kept in the browser, and given to the new page's.

const LOOK_EVERY = 1000 // ms
const SETTLES = 5000 // ms that a page has before it may be loaded anew: never one after another

async function look_for_server() {
  const asked = {cache: "no-store", method: "HEAD"} // which makes no page
  const answer = await fetch(window.location.pathname, asked).catch(() => null)
  const is_back = answer && answer.status < 500 // else a proxy speaks for it
  if (is_back && performance.now() > SETTLES) window.location.reload()
  else setTimeout(look_for_server, LOOK_EVERY)
}

export function reload_when_lost() {
  const page = globalThis.Bokeh?.documents?.[0]
  if (!page) { setTimeout(reload_when_lost, 100); return }
  let is_lost = false
  // one that the browser kept while another was shown (Back, Forward) has lost its server, too
  window.addEventListener("pageshow", event => { if (event.persisted) window.location.reload() })
  page.on_event("connection_lost", () => {
    if (!is_lost) setTimeout(look_for_server, LOOK_EVERY)
    is_lost = true
  })
}
