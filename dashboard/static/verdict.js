// The verdict bar. Every verdict names the star that was painted when it was given; while an
// answer is awaited, further keys wait in line, one for each star that is painted afterwards.

const PAGE = String(Math.random()) // of this page, until it is left
const VERDICTS = new Set(["accept", "reject", "unsure", "suggestion"])
const ANSWERED = 800 // ms: without an answer by then, the line says that nothing is saved yet
const AGAIN = 3000 // ms until a verdict is given again to a database server that is away
const LOOKED = 350 // ms: nobody judges a star that was painted within them by a click
const PAGES = "msfa-pages" // class of the buttons that turn pages
const LIST = ".msfa-queue-table" // lists of stars
const SOURCE = "msfa-painted" // name of the data source whose tag is the obsid on screen

function element(tag, css = "", text = "") {
  const made = document.createElement(tag)
  if (css) made.className = css
  if (text) made.textContent = text // never innerHTML: names and comments are other people's
  return made
}

function button(css, text, key = "", title = "") {
  const made = element("button", css)
  made.type = "button"
  made.append(element("span", "", text))
  if (key) made.append(element("kbd", "", key))
  if (title) made.title = title
  return made
}

function after_paint(action) {
  requestAnimationFrame(() => requestAnimationFrame(action))
}

const IN_FRAME = window.top !== window // of a notebook, whose history is not ours
const ONE_STEP = 1000 // ms: a star and a page that change within them do so at one click
let turned_at = -Infinity // ms, when another page was turned to

// A step that the browser's Back returns from; where it takes no more steps, the place alone.
function step_to(url, is_step) {
  try {
    if (is_step && !IN_FRAME) window.history.pushState(null, "", url)
    else window.history.replaceState(window.history.state, "", url)
  } catch { /* a browser allows so many a second: the next star is named again */ }
}

// The address names the star, so that it can be sent to a colleague, and a reload comes back.
function name_in_address(obsid) {
  const url = new URL(window.location)
  const before = url.searchParams.get("obj")
  if (!obsid || before === obsid) return
  url.searchParams.set("obj", obsid)
  step_to(url, before !== null && performance.now() - turned_at > ONE_STEP)
}

// And the page beside the spectrum's, if one is turned to.
function page_in_address(name, is_first) {
  const url = new URL(window.location)
  const named = is_first ? "" : name
  if ((url.searchParams.get("page") ?? "") === named) return
  if (named) url.searchParams.set("page", named)
  else url.searchParams.delete("page")
  step_to(url, true)
  turned_at = performance.now()
}

// So does what was chosen: filters, order, tab and blind stay over a reload and a change of theme.
function choices_in_address(choices) {
  const url = new URL(window.location)
  for (const [name, value] of Object.entries(choices)) {
    if (value) url.searchParams.set(name, value)
    else url.searchParams.delete(name)
  }
  if (url.href === window.location.href) return
  window.history.replaceState(window.history.state, "", url)
}

// Where the browser has no room, or lets nothing be kept, the page goes on without.
function keep(name, value) {
  try { localStorage.setItem(name, JSON.stringify(value)) } catch { /* it is in the page itself */ }
}

// What is typed for a star stays with it: through a lost connection, a reload, a look elsewhere.
class Drafts {
  constructor(survey) { this.prefix = `msfa-draft:${survey}:` }
  read(obsid) {
    try { return JSON.parse(localStorage.getItem(this.prefix + obsid)) ?? {} } catch { return {} }
  }
  write(obsid, draft) {
    const is_empty = !draft.comment && !draft.confidence && !draft.issue_flags.length
    if (is_empty) localStorage.removeItem(this.prefix + obsid)
    else keep(this.prefix + obsid, draft)
  }
  // What was saved with a verdict is no draft any more; what was typed after it was given is.
  forget(obsid, saved) {
    const kept = this.read(obsid)
    const comment = kept.comment ?? ""
    this.write(obsid, {
      comment: comment.startsWith(saved.comment) ? comment.slice(saved.comment.length) : comment,
      confidence: kept.confidence === saved.confidence ? null : kept.confidence ?? null,
      issue_flags: (kept.issue_flags ?? []).filter(name => !saved.issue_flags.includes(name)),
    })
  }
}

// Verdicts that were given and not answered yet. After a lost connection they are given again;
// each has a key of its own, so that it is stored once.
class Unanswered {
  constructor(survey) { this.name = `msfa-unanswered:${survey}` }
  all() {
    try { return JSON.parse(localStorage.getItem(this.name)) ?? [] } catch { return [] }
  }
  keep(message) {
    const bytes = crypto.getRandomValues(new Uint8Array(16))
    const key = Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("")
    const kept = {...message, key, page: PAGE}
    keep(this.name, [...this.all(), kept])
    return kept
  }
  forget(key) {
    keep(this.name, this.all().filter(kept => kept.key !== key))
  }
  replace(painted) {
    const others = this.all().filter(kept => kept.page !== PAGE || kept.painted !== painted)
    keep(this.name, others)
  }
  // Those of pages that have gone.
  left() { return this.all().filter(kept => kept.page !== PAGE) }
}

// Lets one action through at a time, and only for a star that has been painted.
class Gate {
  constructor(patience, send, on_late, on_lost, on_painted, on_armed) {
    Object.assign(this, {patience, send, on_late, on_lost, on_painted, on_armed})
    this.painted = ""      // obsid whose spectrum is on the screen
    this.drawn = ""        // obsid whose spectrum is being painted
    this.expected = null   // obsid that the server says is on screen
    this.since = new Set() // obsids drawn since the last action: by it, or by the mouse
    this.busy = true
    this.line = []
  }
  // A star may come by an answer, or by the mouse, the search, a colleague's link: whichever
  // is drawn last is on the screen, and what is typed and judged from then on is its own.
  paint(obsid) {
    this.drawn = obsid
    this.since.add(obsid)
    if (!this.awaiting) this.expected = obsid
    after_paint(() => {
      if (this.drawn !== obsid) return
      this.painted = obsid
      this.on_painted(obsid)
      this.settle()
    })
  }
  answer(obsid, is_done) {
    clearTimeout(this.timer)
    clearTimeout(this.late)
    this.expected = this.since.has(obsid) ? this.drawn : obsid
    this.awaiting = false
    if (!is_done) this.line = []
    this.settle()
  }
  settle() {
    if (this.awaiting || (this.expected !== null && this.expected !== this.painted)) return
    this.busy = false
    this.on_armed(this.painted)
    const next = this.line.shift()
    if (next) this.pass(next)
  }
  ask(make) {
    if (this.busy) this.line.push(make)
    else this.pass(make)
  }
  pass(make) {
    this.busy = this.awaiting = true
    this.since = new Set()
    clearTimeout(this.timer)
    clearTimeout(this.late)
    this.late = setTimeout(this.on_late, ANSWERED)
    this.timer = setTimeout(() => {
      this.line = []
      this.awaiting = this.busy = false
      this.on_lost()
    }, 1000 * this.patience) // longer than the server waits for the store
    this.send({...make(this.painted), more: this.line.length > 0})
  }
}

export function render({model, view}) {
  const drafts = new Drafts(model.survey_name)
  const kept = new Unanswered(model.survey_name)
  const ring = new Ring(() => view.model.document)
  const bar = element("div", "msfa-verdict")

  // --- what the reviewer sets -------------------------------------------------------------
  const verdicts = element("div", "msfa-verdict-buttons")
  const choices = [["accept", "Accept", "a"], ["reject", "Reject", "r"], ["unsure", "Unsure", "u"]]
  for (const [name, text, key] of choices) {
    const made = button(`msfa-button msfa-${name}`, text, key)
    made.addEventListener("click", event => click(event, name, ""))
    verdicts.append(made)
  }
  const classes = element("div", "msfa-segment")
  classes.setAttribute("role", "group")
  classes.setAttribute("aria-label", "reject as")
  classes.append(element("span", "msfa-caption", "as"))
  model.classes.forEach((name, place) => {
    const made = button("msfa-small", name, String(place + 1))
    made.addEventListener("click", event => click(event, "reject", name))
    classes.append(made)
  })
  const confidence = element("div", "msfa-segment msfa-confidence")
  confidence.setAttribute("role", "group")
  confidence.setAttribute("aria-label", "confidence")
  const levels = Object.entries(model.confidence_words).map(([level, words]) => {
    const made = button("msfa-small", words, "", `confidence ${level} of 4: ${words} (key c steps)`)
    made.addEventListener("click", () => set_confidence(draft.confidence === +level ? null : +level))
    confidence.append(made)
    return [+level, words, made]
  })
  // the issue flags open above the bar (f); a digit sets one, Escape closes them
  const flags = element("div", "msfa-flags")
  flags.setAttribute("role", "group")
  flags.setAttribute("aria-label", "issue flags")
  flags.hidden = true
  const flag_buttons = model.issue_flags.map((name, place) => {
    const made = button("msfa-small msfa-flag", name, String(place + 1))
    made.addEventListener("click", () => toggle_flag(name))
    flags.append(made)
    return [name, made]
  })
  const open_flags = button("msfa-small msfa-open-flags", "issues", "f", "Issue flags, kept with the verdict")
  open_flags.setAttribute("aria-expanded", "false")
  const show_flags = (is_shown) => {
    flags.hidden = !is_shown
    open_flags.setAttribute("aria-expanded", String(is_shown))
    if (!is_shown) return // at each star: where they lie is measured when they are asked for
    const room = bar.clientWidth - flags.offsetWidth - 8 // over its button, and whole
    flags.style.left = `${Math.max(8, Math.min(open_flags.getBoundingClientRect().left - bar.getBoundingClientRect().left, room))}px`
    flag_buttons[0]?.[1].focus()
  }
  open_flags.addEventListener("click", () => show_flags(flags.hidden))
  flags.addEventListener("keydown", event => {
    const place = flag_buttons.findIndex(([, made]) => made === event.target)
    const moves = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key]
    const flag = flag_buttons[Number(event.key) - 1]
    if (flag) toggle_flag(flag[0])
    else if (moves) flag_buttons[(place + moves + flag_buttons.length) % flag_buttons.length][1].focus()
    else if (event.key === "f") { show_flags(false); event.target.blur() }
    else { if (event.key === "Escape") show_flags(false); return }
    event.preventDefault()
    event.stopPropagation()
  })
  const comment = element("textarea", "msfa-comment")
  comment.rows = 2
  comment.placeholder = "comment (e), saved with the verdict"
  comment.setAttribute("aria-label", "comment")
  // what was written before can be written again
  const canned = element("select", "msfa-canned")
  canned.setAttribute("aria-label", "comments used before")
  const CANNED = `msfa-comments:${model.survey_name}`
  const used = () => { try { return JSON.parse(localStorage.getItem(CANNED)) ?? [] } catch { return [] } }
  const remember = (text) => {
    if (!text) return
    localStorage.setItem(CANNED, JSON.stringify([text, ...used().filter(one => one !== text)].slice(0, 8)))
    offer_canned()
  }
  const offer_canned = () => {
    const offered = [...new Set([...used(), ...model.comments])]
    canned.replaceChildren(...["▾", ...offered].map((text, place) => {
      const made = element("option", "", text.length > 60 ? text.slice(0, 59) + "…" : text)
      made.value = place ? text : ""
      return made
    }))
  }
  canned.addEventListener("change", () => {
    if (canned.value) {
      draft.comment = [draft.comment, canned.value].filter(Boolean).join("; ")
      keep_draft()
    }
    canned.value = ""
  })
  offer_canned()
  const note = element("div", "msfa-comment-box")
  const undo = button("msfa-small msfa-undo", "undo", "z", "Take back my last verdict and go back to its star")
  undo.addEventListener("click", () => act("undo", ""))
  const reviewer = element("input", "msfa-reviewer")
  reviewer.type = "text"
  reviewer.maxLength = 64
  reviewer.placeholder = "your name"
  reviewer.setAttribute("aria-label", "reviewer")
  const who = element("label", "msfa-who")
  who.append(element("span", "msfa-caption", "reviewer"), reviewer)

  const on_star = element("div", "msfa-on-star")
  const status = element("div", "msfa-status")
  status.setAttribute("role", "status")
  const recent = element("ol", "msfa-recent")
  recent.setAttribute("aria-label", "last decisions")
  recent.tabIndex = 0 // it scrolls

  const left = element("div", "msfa-verdict-left")
  const row_1 = element("div", "msfa-row")
  row_1.append(verdicts, classes)
  left.append(row_1, status)
  const sure = element("div", "msfa-verdict-sure")
  const row_2 = element("div", "msfa-row")
  row_2.append(open_flags, undo, who)
  sure.append(confidence, row_2)
  const right = element("div", "msfa-verdict-right")
  right.append(on_star, recent)
  note.append(comment, canned)
  bar.append(flags, left, sure, note, right)

  // --- drafts -----------------------------------------------------------------------------
  const nothing = () => ({comment: "", confidence: null, issue_flags: []})
  let draft = nothing()
  let draft_of = ""
  let painted_at = 0 // when the star on screen was
  const show_draft = () => {
    if (comment.value !== draft.comment) comment.value = draft.comment
    for (const [level, , made] of levels) {
      made.classList.toggle("msfa-on", draft.confidence === level)
      made.setAttribute("aria-pressed", String(draft.confidence === level))
    }
    const set = draft.issue_flags.length
    open_flags.firstChild.textContent = set ? `issues: ${set}` : "issues"
    open_flags.classList.toggle("msfa-on", set > 0)
    for (const [name, made] of flag_buttons) {
      const is_on = draft.issue_flags.includes(name)
      made.classList.toggle("msfa-on", is_on)
      made.setAttribute("aria-pressed", String(is_on))
    }
  }
  const keep_draft = () => { if (draft_of) drafts.write(draft_of, draft); show_draft() }
  // Whatever is typed belongs to the star that was painted when it was typed.
  const open_draft = (obsid) => {
    const before_any = draft_of === "" ? draft : nothing()
    draft = {...nothing(), ...drafts.read(obsid)}
    draft.comment = [draft.comment, before_any.comment].filter(Boolean).join(" ")
    draft_of = obsid
    keep_draft()
  }
  let handed_over = nothing() // with the verdict that is on its way
  const hand_over = () => {
    handed_over = {...draft, issue_flags: [...draft.issue_flags]}
    return handed_over
  }
  const set_confidence = (level) => { draft.confidence = level; keep_draft() }
  const toggle_flag = (name) => {
    const others = draft.issue_flags.filter(flag => flag !== name)
    draft.issue_flags = others.length < draft.issue_flags.length ? others : [...others, name]
    keep_draft()
  }
  const show_length = () => {
    const over = [...comment.value.trim()].length - model.comment_length
    if (over <= 0 && !comment.validity.valid) show_status()
    comment.setCustomValidity(over > 0 ? `${over} characters too many` : "")
    if (over > 0) say(`The comment is ${over.toLocaleString("en")} characters too long: nothing of it is cut, shorten it.`, "error")
  }
  comment.addEventListener("input", () => { draft.comment = comment.value; keep_draft(); show_length() })

  // --- actions ----------------------------------------------------------------------------
  const say = (text, tone) => {
    status.textContent = text
    status.className = `msfa-status msfa-tone-${tone}`
  }
  const waits = () => kept.all().some(message => message.page === PAGE)
  const on_late = () => {
    if (waits()) say("Not saved yet: the server has not answered. Your verdict is kept.", "error")
  }
  const on_lost = () => say("Not saved: no answer from the server. Your verdict is kept, and given again when it is back.", "error")
  let is_lost = false
  const on_connection_lost = () => {
    say(waits() ? "Not saved: connection lost. Your verdict is kept and given again when it is back."
      : "Connection lost: nothing is saved until it is back.", "error")
    is_lost = true // until the page is loaded anew: lost.js
  }
  // The database server is away: the verdict stays in hand and is given again until it is back.
  const in_hand = new Set() // their answers let no key pass: none waits for them
  const give_one = (key) => {
    const message = kept.all().find(one => one.key === key)
    if (!message || is_lost) { in_hand.delete(key); return }
    in_hand.add(key)
    model.send_msg({...message, is_kept: true})
  }
  const give_again = () => {
    for (const message of kept.left()) model.send_msg({...message, is_kept: true})
  }
  const on_painted = (obsid) => {
    for (const made of bar.querySelectorAll(".msfa-verdict-buttons button, .msfa-segment button")) {
      made.disabled = !obsid || Boolean(model.refused) // no star on screen: nothing to judge
      if (model.refused) made.title = model.refused
    }
    if (obsid !== draft_of) {
      painted_at = performance.now()
      open_draft(obsid)
      show_flags(false)
    }
    bar.dataset.painted = obsid
    window.dispatchEvent(new Event("msfa:painted"))
    if (gate.line.includes(select_named)) return // the address is ahead: Back, Forward
    setTimeout(name_painted, 0) // the browser takes its time over an address
  }
  const on_armed = () => bar.classList.remove("msfa-busy")
  const gate = new Gate(model.patience, message => {
    bar.classList.add("msfa-busy")
    model.send_msg(message)
  }, on_late, on_lost, on_painted, on_armed)
  // Back and Forward: to the star that the address names when its turn has come. What is painted
  // meanwhile is no step of its own.
  let is_stepping = false
  const select_named = painted => {
    is_stepping = true
    const value = new URL(window.location).searchParams.get("obj") ?? painted
    return {action: "select", value, painted, reviewer: reviewer.value.trim()}
  }
  const name_painted = () => {
    if (!is_stepping && !gate.line.includes(select_named)) name_in_address(gate.painted)
  }
  const act = (action, value, is_told = false) => {
    const is_seen = bar.offsetParent !== null || (action === "undo" && is_told)
    if (!is_seen) return // another page is shown: nothing is judged unseen
    if (model.refused && (VERDICTS.has(action) || action === "undo")) {
      say(`Not saved: ${model.refused}`, "error")
      return
    }
    if (is_lost && (waits() || !VERDICTS.has(action))) { // no key waits for a star not yet seen
      on_connection_lost()
      return
    }
    gate.ask(painted => {
      const said = VERDICTS.has(action) ? hand_over() : {}
      const message = {action, value, painted, ...said, reviewer: reviewer.value.trim()}
      if (!VERDICTS.has(action)) return {...message, ahead: ring.go(painted, action)}
      remember(message.comment?.trim())
      kept.replace(painted) // what waits for this star was thought better of
      const given = kept.keep(message)
      if (is_lost) on_connection_lost()
      return {...given, ahead: is_lost || !message.reviewer ? "" : ring.go(painted, "decide")}
    })
  }
  const open_star = (value, action = "select") => {
    if (is_lost) { on_connection_lost(); return }
    gate.ask(painted => ({action, value, painted, reviewer: reviewer.value.trim()}))
  }
  const on_find = ({detail}) => open_star(detail, "find")
  window.addEventListener("msfa:find", on_find)
  // A row of a list opens the star that stands in it, whatever the server lists by now.
  const on_row = (event) => {
    const parts = event.composedPath().filter(part => part instanceof Element)
    if (!parts.some(part => part.matches(LIST))) return
    const cell = parts.find(part => part.matches(".tabulator-row"))?.querySelector("[tabulator-field=obsid]")
    if (cell) open_star(cell.textContent.trim())
  }
  window.addEventListener("click", on_row)
  // The second click of a double click meant the star before: it judges none.
  const click = (event, action, value) => {
    const is_seen = !gate.busy && performance.now() - painted_at > LOOKED
    if (event.detail < 2 || is_seen) act(action, value)
  }
  const needs_name = () => {
    reviewer.classList.toggle("msfa-missing", !reviewer.value.trim())
  }
  const on_action = ({detail: {action, value, is_told}}) => {
    if (action === "comment") comment.focus()
    else if (action === "flag") show_flags(true)
    else if (action === "confidence") set_confidence(((draft.confidence ?? 0) + 1) % 5 || null)
    else act(action, value, is_told)
  }
  window.addEventListener("msfa:action", on_action)

  // --- the reviewer's name ----------------------------------------------------------------
  const known = localStorage.getItem("msfa-reviewer")
  reviewer.value = model.reviewer_locked ? model.reviewer : (known ?? model.reviewer)
  reviewer.readOnly = model.reviewer_locked
  // Told with the request of the next page: it is made for whoever opens it, their share of the
  // stars and all, and not for somebody else until this page has spoken.
  const tell_next_page = () => {
    const name = encodeURIComponent(reviewer.value.trim())
    document.cookie = `${model.name_cookie}=${name}; path=/; max-age=31536000; samesite=strict`
  }
  const send_name = () => {
    needs_name()
    localStorage.setItem("msfa-reviewer", reviewer.value.trim())
    tell_next_page()
    model.send_msg({action: "reviewer", value: reviewer.value.trim()})
  }
  reviewer.addEventListener("change", send_name)
  reviewer.addEventListener("keydown", event => { if (event.key === "Enter") reviewer.blur() })
  needs_name()
  if (!model.reviewer_locked && reviewer.value !== model.reviewer) send_name()

  // --- what the server says ---------------------------------------------------------------
  const line_of = (decision, with_star) => {
    const item = element("li", decision.is_withdrawn ? "msfa-gone" : "")
    const text = decision.is_withdrawal ? "withdrawn" : decision.verdict
    const withdrawn = decision.is_withdrawal ? " msfa-withdrawn" : ""
    item.append(element("b", `msfa-word msfa-${decision.verdict}${withdrawn}`, text))
    if (decision.verdict_class) item.append(element("span", "msfa-as", `as ${decision.verdict_class}`))
    if (with_star) {
      const link = button("msfa-link", decision.star)
      link.title = decision.uid ? `obsid ${decision.obsid} = ${decision.uid}` : `obsid ${decision.obsid}`
      link.addEventListener("click", () => open_star(decision.obsid))
      item.append(link)
    }
    item.append(element("span", "msfa-by", decision.reviewer))
    item.append(element("time", "", decision.when))
    const as = decision.verdict_class ? ` as ${decision.verdict_class}` : ""
    item.title = [`${text}${as}`, decision.reviewer, decision.when, decision.detail].filter(Boolean).join(" · ")
    if (decision.detail) {
      item.append(element("span", "msfa-note", decision.detail))
    }
    return item
  }
  const show_status = () => say(model.message, model.tone)
  const show_recent = () => {
    recent.replaceChildren(...model.recent.map(decision => line_of(decision, true)))
    if (!model.recent.length) recent.append(element("li", "msfa-none", "no decisions yet"))
  }
  const show_on_star = () => {
    const list = element("ul", "msfa-recent")
    list.append(...model.on_star.map(decision => line_of(decision, false)))
    on_star.replaceChildren(element("span", "msfa-caption", "this star"), list)
    if (!model.on_star.length) list.append(element("li", "msfa-none", model.on_star_none))
  }
  model.on(["message", "tone"], show_status)
  model.on("address", () => choices_in_address(model.address))
  model.on("recent", show_recent)
  model.on(["on_star", "on_star_none"], show_on_star)
  show_status()
  show_recent()
  show_on_star()
  model.on("msg:custom", answer => {
    if (answer.ring) { ring.take_over(answer.ring); return }
    if (answer.ring_learns) { ring.learn(answer.ring_learns); return }
    if (answer.again) setTimeout(() => give_one(answer.key), AGAIN)
    else if (answer.key) kept.forget(answer.key)
    if (answer.saved) drafts.forget(answer.saved, handed_over)
    if (answer.restore) drafts.write(answer.obsid, {...answer.restore, ...drafts.read(answer.obsid)})
    if (draft_of && [answer.saved, answer.restore && answer.obsid].includes(draft_of)) open_draft(draft_of)
    show_status() // what was said while it was awaited is over
    needs_name()
    if (answer.needs_name) reviewer.focus()
    if (!in_hand.has(answer.key)) {
      is_stepping = false
      gate.answer(answer.obsid, answer.is_done)
      if (!answer.is_done) name_painted() // not where a step leads that was refused
    }
    if (!answer.again) in_hand.delete(answer.key)
  })

  // --- the spectrum that is painted -------------------------------------------------------
  const watch_source = () => {
    const source = view.model.document?.get_model_by_name(SOURCE)
    if (!source) { setTimeout(watch_source, 50); return }
    const painted = () => gate.paint(String(source.tags[0] ?? ""))
    source.properties.tags.change.connect(painted)
    model.on("remove", () => source.properties.tags.change.disconnect(painted))
    painted()
  }
  watch_source()

  // --- the browser's Back and Forward ------------------------------------------------------
  const on_turned = ({detail: {name, is_first}}) => page_in_address(name, is_first)
  const on_step = () => {
    if (is_lost) { on_connection_lost(); return } // the page that is loaded anew is of that star
    const wanted = new URL(window.location).searchParams
    const chooser = [...view.model.document?.all_models ?? []].find(one => one.css_classes?.includes(PAGES))
    const place = chooser?.labels.indexOf(wanted.get("page") ?? "")
    if (chooser) chooser.active = Math.max(0, place) // turned there already where it is as it was
    choices_in_address(model.address) // what is chosen stays as it is
    const obsid = wanted.get("obj")
    if (!obsid || gate.line.includes(select_named)) return // the step that waits leads there
    if (gate.busy || obsid !== gate.painted) gate.ask(select_named)
  }
  window.addEventListener("msfa:turned", on_turned)
  window.addEventListener("popstate", on_step)
  model.on("remove", () => {
    window.removeEventListener("msfa:turned", on_turned)
    window.removeEventListener("popstate", on_step)
  })

  // --- the connection ---------------------------------------------------------------------
  const watch_connection = () => {
    const page = view.model.document
    if (!page) { setTimeout(watch_connection, 50); return }
    page.on_event("connection_lost", on_connection_lost)
    give_again()
  }
  watch_connection()

  model.on("remove", () => {
    window.removeEventListener("msfa:action", on_action)
    window.removeEventListener("click", on_row)
    window.removeEventListener("msfa:find", on_find)
  })
  return bar
}
