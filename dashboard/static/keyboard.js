// Keys of the whole page. Verdicts and moves go to the verdict bar as an event of the window;
// what needs a field or the help is done here; the rest is sent to the server.

const NAME_EVERY = 1500 // ms: views are made as they are opened
const NAMED_WITHIN = 500 // ms
const FIELDS = new Set(["INPUT", "TEXTAREA", "SELECT"])
const IN_MENUS = new Set(["Enter", " ", "ArrowUp", "ArrowDown", "Tab"])
const IN_SLIDERS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"])
const TO_VERDICT_BAR = new Set([
  "accept", "reject", "unsure", "suggestion", "undo", "next", "previous", "comment", "flag",
  "confidence",
])

// A page beside the spectrum's that shows the star and the last verdict, too.
const TELLS = ".msfa-compare-page"

// What takes return and space itself; the tools of a figure are no <button>.
const BUTTONS = "button, a, [role=tab], .bk-ClickButton, .bk-OnOffButton"

function is_field(target) {
  return target instanceof Element && (FIELDS.has(target.tagName) || target.isContentEditable)
}

function is_search(target) {
  return target instanceof HTMLInputElement && Boolean(target.getRootNode().host?.matches(".msfa-search"))
}

// The verdict bar has it found: the next key judges the star that was found, no sooner.
function search_for(field) {
  const wanted = field.value.trim()
  field.value = "" // nothing has changed for the field's own way, which is not taken
  field.blur()
  if (wanted) window.dispatchEvent(new CustomEvent("msfa:find", {detail: wanted}))
}

// First element of this class, inside any shadow root.
function find(root, selector) {
  const found = root.querySelector(selector)
  if (found) return found
  for (const element of root.querySelectorAll("*")) {
    const inner = element.shadowRoot && find(element.shadowRoot, selector)
    if (inner) return inner
  }
  return null
}

// Headed groups that fill one column from top to bottom, then the next.
function build_help(keys, groups) {
  const help = document.createElement("div")
  help.className = "msfa-help"
  help.setAttribute("role", "dialog")
  help.setAttribute("aria-label", "Keys")
  const box = document.createElement("div")
  box.className = "msfa-help-box"
  const title = document.createElement("h2")
  title.textContent = "Keys"
  const columns = document.createElement("div")
  columns.className = "msfa-help-columns"
  for (const [name, actions] of groups) {
    const group = document.createElement("section")
    const heading = document.createElement("h3")
    heading.textContent = name
    const list = document.createElement("dl")
    for (const key of keys.filter(one => actions.includes(one.action))) {
      const term = document.createElement("dt")
      const cap = document.createElement("kbd")
      cap.textContent = key.shown || key.key
      term.append(cap)
      const words = document.createElement("dd")
      words.textContent = key.words
      list.append(term, words)
    }
    group.append(heading, list)
    columns.append(group)
  }
  box.append(title, columns)
  help.append(box)
  help.hidden = true
  help.addEventListener("click", () => { help.hidden = true })
  return help
}

// Every element below a root, inside shadow roots too.
function* everything(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element
    if (element.shadowRoot) yield* everything(element.shadowRoot)
  }
}

// Names for controls whose makers gave them none, for those who hear the page.
function name_controls() {
  for (const element of everything(document)) {
    if (element.matches(".noUi-handle:not([aria-label])")) {
      const title = element.getRootNode().querySelector(".bk-slider-title")
      element.setAttribute("aria-label", title?.textContent.split(":")[0].trim() || "slider")
    } else if (element.matches("input[type=checkbox]:not([aria-label])")) {
      const parts = Array.from(element.getRootNode().children)
      const words = parts.filter(part => !["STYLE", "LINK"].includes(part.tagName)).map(part => part.textContent).join(" ")
      element.setAttribute("aria-label", words.trim() || "switch")
    } else if (element.matches(".tabulator-tableholder:not([role])")) {
      element.setAttribute("role", "rowgroup")
      element.querySelector(".tabulator-table")?.setAttribute("role", "presentation")
      element.closest("[role=grid]")?.removeAttribute("aria-owns")
    }
  }
}

const is_slider = (target) => target instanceof Element && target.matches("[role=slider]")

const in_focus = () => {
  let held = document.activeElement
  while (held?.shadowRoot?.activeElement) held = held.shadowRoot.activeElement
  return held
}

export function render({model}) {
  quicken_painting()
  const help = build_help(model.keys, model.groups)
  const table = new Map(model.keys.map(key => [key.key, key]))

  const show_help = () => { help.hidden = !help.hidden }

  const on_key = (event) => {
    const target = event.composedPath()[0]
    if (event.key === "Escape") {
      help.hidden = true
      if (is_search(target)) target.value = "" // a search that is left is not made
      if (target instanceof HTMLElement && target !== document.body) target.blur()
      return
    }
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Enter" && is_search(target)) {
      const field = target.getRootNode().host
      if (field.matches(".msfa-find")) search_for(target)
      else if (field.matches(".msfa-own-line")) setTimeout(() => target.blur()) // the next key is the star's
      return
    }
    const is_menu = target instanceof HTMLSelectElement // its own keys are ↑ ↓, space and return
    if (is_field(target) && !is_menu) return
    if (is_menu && IN_MENUS.has(event.key)) return
    if (is_slider(target) && IN_SLIDERS.has(event.key)) return
    const is_button = target instanceof Element && target.closest(BUTTONS)
    if (is_button && (event.key === "Enter" || event.key === " ")) return
    const key = table.get(event.key) ?? table.get(event.key.toLowerCase())
    if (!key) return
    event.preventDefault()
    if (key.action === "help") show_help()
    else if (!help.hidden) return
    else if (key.action === "search") find(document, ".msfa-find")?.shadowRoot?.querySelector("input")?.focus()
    else if (TO_VERDICT_BAR.has(key.action)) {
      const is_told = Boolean(find(document, TELLS)?.getClientRects().length)
      const detail = {action: key.action, value: key.value, is_told}
      window.dispatchEvent(new CustomEvent("msfa:action", {detail}))
    } else model.send_msg({action: key.action})
  }

  // A slider or a menu that the mouse leaves with the focus would take the arrow keys from the
  // queue; one that was reached by keys keeps them.
  const on_release = (event) => {
    const held = in_focus()
    if (is_slider(held)) held.blur() // the mouse may have been let go beside it
    const target = event.composedPath()[0]
    if (!(target instanceof HTMLElement)) return
    const takes_text = target.tagName === "TEXTAREA" || target.matches("input[type=text], input:not([type])")
    if (!takes_text && target.tagName !== "SELECT" && target !== document.body) target.blur()
  }
  const on_change = (event) => {
    const target = event.composedPath()[0]
    if (target instanceof HTMLSelectElement) target.blur()
  }

  // when nothing else is to be done, else when it was waited for long enough
  const name_soon = () => (window.requestIdleCallback ?? setTimeout)(name_controls, {timeout: NAMED_WITHIN})
  const naming = setInterval(name_soon, NAME_EVERY)
  model.on("remove", () => clearInterval(naming))
  window.addEventListener("keydown", on_key)
  window.addEventListener("mouseup", on_release)
  window.addEventListener("change", on_change)
  window.addEventListener("msfa:help", show_help)
  model.on("remove", () => {
    window.removeEventListener("keydown", on_key)
    window.removeEventListener("mouseup", on_release)
    window.removeEventListener("change", on_change)
    window.removeEventListener("msfa:help", show_help)
  })
  return help
}
