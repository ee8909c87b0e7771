// The strip above all. All words are written as text: names and comments are other people's.

const SIGNS = {"1": ["✓", "for"], "-1": ["✕", "against"], "0": ["–", "silent"]}

function element(tag, css = "", text = "") {
  const made = document.createElement(tag)
  if (css) made.className = css
  if (text) made.textContent = text
  return made
}

export function render({model, view}) {
  const strip = element("div", "msfa-strip")
  strip.setAttribute("role", "region")
  strip.setAttribute("aria-label", "star on screen")
  const who = element("div", "msfa-strip-who")
  const names = element("div", "msfa-strip-names")
  const facts = element("div", "msfa-strip-facts")
  const verdict = element("b", "msfa-strip-verdict")
  const place = element("span", "msfa-strip-place")
  facts.append(verdict, place)
  who.append(names, facts)
  const row = element("div", "msfa-witnesses")
  row.setAttribute("role", "group")
  row.setAttribute("aria-label", "witnesses")
  const chips = new Map()
  const notes = element("div", "msfa-strip-notes")
  const bars = element("button", "msfa-strip-bars", "classes")
  bars.type = "button"
  bars.title = "Class bars, novelty and the next best templates"
  bars.addEventListener("click", () => model.send_msg({open: "classes"}))
  strip.append(who, row, notes, bars)

  const chip_of = (name) => {
    if (chips.has(name)) return chips.get(name)
    const chip = element("button", "msfa-witness")
    chip.type = "button"
    const parts = {
      chip, name: element("span", "msfa-witness-name"), words: element("span", "msfa-witness-words"),
      speaks: element("span", "msfa-unseen"),
    }
    chip.append(parts.name, parts.speaks, parts.words)
    chip.addEventListener("click", () => model.send_msg({open: name}))
    row.append(chip)
    chips.set(name, parts)
    return parts
  }
  const draw = () => {
    const shown = model.content
    if (names.textContent !== shown.names) names.textContent = names.title = shown.names
    place.textContent = shown.facts
    const [words, kind] = shown.verdict
    verdict.textContent = words
    verdict.className = `msfa-strip-verdict msfa-word msfa-${kind || "none"}`
    facts.title = `${words} · ${shown.facts}`
    for (const one of shown.witnesses) {
      const {chip, name, words: said, speaks: aloud} = chip_of(one.name)
      const [sign, speaks] = SIGNS[String(one.stance)]
      chip.className = `msfa-witness msfa-speaks-${shown.blind ? "silent" : speaks}`
      name.textContent = shown.blind ? one.name : `${sign} ${one.name}`
      said.textContent = one.words
      chip.title = one.sentence || one.words
      chip.disabled = shown.blind
      aloud.textContent = shown.blind ? "" : ` ${speaks}: ` // the sign in a word, for those who hear it
    }
    notes.replaceChildren(...shown.notes.map(note => element("div", `msfa-note-${note.tone}`, note.text)))
    notes.title = shown.notes.map(note => note.text).join("\n")
    bars.hidden = shown.blind
  }
  const fold = () => {
    bars.textContent = model.unfolded ? "classes ▴" : "classes ▾"
    bars.setAttribute("aria-expanded", String(model.unfolded))
  }
  const is_wide = window.matchMedia("(min-width: 2200px)")
  const tell_width = () => model.send_msg({open: is_wide.matches ? "wide" : "narrow"})
  is_wide.addEventListener("change", tell_width)
  model.on("remove", () => is_wide.removeEventListener("change", tell_width))
  // once the page is drawn whole: what changes while it is being drawn may be lost
  const tell_when_drawn = (patience) => {
    if (view.model.document?.is_idle || !patience) tell_width()
    else setTimeout(tell_when_drawn, 250, patience - 1)
  }
  if (is_wide.matches) setTimeout(tell_when_drawn, 250, 80)
  model.on("content", draw)
  model.on("unfolded", fold)
  draw()
  fold()
  return strip
}
