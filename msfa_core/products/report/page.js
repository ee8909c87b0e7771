"use strict"
// Draws the figures of a report from its numbers, and finds and sorts its stars. Words are only
// ever set as text. Planes are drawn at once, a star's own figures when it comes into sight.
;(() => {
  const data = JSON.parse(document.getElementById("data").textContent)
  const NS = "http://www.w3.org/2000/svg"
  const NOTHING = 65535
  const tip = document.getElementById("tip")
  const minus = (text) => text.replace("-", "−")

  function unpack(text, low, high) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
    const steps = new DataView(bytes.buffer)
    const n = bytes.length / 2
    const values = new Float64Array(n)
    for (let k = 0; k < n; k++) {
      const step = steps.getUint16(2 * k, true)
      values[k] = step === NOTHING ? NaN : low + ((high - low) * step) / 65534
    }
    return values
  }

  function add(parent, name, attributes, text) {
    const made = document.createElementNS(NS, name)
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value)
    if (text !== undefined) made.textContent = text
    parent.append(made)
    return made
  }

  // --- axes -------------------------------------------------------------------------------
  function ticks(low, high, about) {
    const [a, b] = low < high ? [low, high] : [high, low]
    const raw = (b - a) / about
    const power = 10 ** Math.floor(Math.log10(raw))
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999)
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0))
    const found = []
    for (let v = Math.ceil(a / step - 1e-9) * step; v <= b + step * 1e-9; v += step)
      found.push([v, minus((Math.abs(v) < step / 1e6 ? 0 : v).toFixed(Math.min(digits, 4)))])
    return found
  }

  // A frame with axes; returns where values lie in it.
  function frame(host, spec) {
    const { width, height, left = 52, right = 8, top = 8, bottom = 40 } = spec
    const svg = add(host, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" })
    const [xName, x0, x1] = spec.x
    const [yName, y0, y1] = spec.y
    const size = spec.letters || 12
    const X = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right)
    const Y = (v) => height - bottom - ((v - y0) / (y1 - y0)) * (height - top - bottom)
    const clip = `c${frame.count++}`
    const defs = add(svg, "defs")
    const box = { x: left, y: top, width: width - left - right, height: height - top - bottom }
    add(add(defs, "clipPath", { id: clip }), "rect", box)
    const inside = add(svg, "g", { "clip-path": `url(#${clip})` })
    if (!spec.bare) {
      add(svg, "rect", { ...box, class: "frame" })
      for (const [v, word] of ticks(x0, x1, spec.xTicks || 6)) {
        const x = X(v)
        add(svg, "path", { class: "tick", d: `M${x} ${height - bottom}v-5M${x} ${top}v5` })
        if (!spec.noX) add(svg, "text", { x, y: height - bottom + size + 3, "text-anchor": "middle", "font-size": size }, word)
      }
      for (const [v, word] of ticks(y0, y1, spec.yTicks || 6)) {
        const y = Y(v)
        add(svg, "path", { class: "tick", d: `M${left} ${y}h5M${width - right} ${y}h-5` })
        add(svg, "text", { x: left - 5, y: y + size / 3, "text-anchor": "end", "font-size": size }, word)
      }
      if (!spec.noX)
        add(svg, "text", { class: "name", x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle", "font-size": size + 1 }, xName)
      const at = `translate(${size},${(top + height - bottom) / 2}) rotate(-90)`
      add(svg, "text", { class: "name", transform: at, "text-anchor": "middle", "font-size": size + 1 }, yName)
    }
    return { svg, inside, X, Y, box }
  }
  frame.count = 0

  function path(x, y, X, Y) {
    let d = ""
    let down = false
    for (let k = 0; k < x.length; k++) {
      if (x[k] === null || y[k] === null || !isFinite(x[k]) || !isFinite(y[k])) { down = false; continue }
      d += `${down ? "L" : "M"}${X(x[k]).toFixed(1)} ${Y(y[k]).toFixed(1)}`
      down = true
    }
    return d
  }

  function dots(x, y, X, Y, every) {
    let d = ""
    for (let k = 0; k < x.length; k += every || 1) d += `M${X(x[k]).toFixed(1)} ${Y(y[k]).toFixed(1)}h0`
    return d
  }

  const sorted = (axis) => (axis[1] < axis[2] ? [axis[1], axis[2]] : [axis[2], axis[1]])
  for (const panel of Object.values(data.panels))
    for (const group of [panel.cloud, panel.chosen]) {
      group.x = unpack(group.x, ...sorted(panel.x))
      group.y = unpack(group.y, ...sorted(panel.y))
    }

  // --- planes -----------------------------------------------------------------------------
  function legend(host, entries) {
    const list = document.createElement("div")
    list.className = "legend"
    for (const [kind, words] of entries) {
      if (!words) continue
      const item = document.createElement("span")
      const key = add(item, "svg", { viewBox: "0 0 22 10" })
      if (kind === "cloud" || kind === "dots")
        add(key, "path", { class: kind, "stroke-width": kind === "dots" ? 7 : 5, d: "M11 5h0" })
      else if (["region", "bars", "counted"].includes(kind))
        add(key, "rect", { class: kind, x: 1, y: 1, width: 20, height: 8 })
      else add(key, "path", { class: kind, d: "M0 5h22" })
      item.append(words)
      list.append(item)
    }
    host.append(list)
  }

  function drawPanel(host) {
    const panel = data.panels[host.dataset.panel]
    const shape = panel.bare ? { width: 860, height: 440, left: 8, bottom: 8 } : { width: 540, height: 420 }
    const { svg, inside, X, Y } = frame(host, { ...panel, ...shape })
    for (const guide of panel.guides)
      add(inside, "path", { class: guide.kind, d: path(guide.x, guide.y, X, Y) })
    const { cloud, chosen } = panel
    add(inside, "path", { class: "cloud", "stroke-width": 3.4, d: dots(cloud.x, cloud.y, X, Y) })
    const round = chosen.err ? 9 : chosen.n > 1500 ? 4 : 6.4
    if (chosen.n <= 3000 && !chosen.err)
      add(inside, "path", { class: "halo", "stroke-width": round + 1.6, d: dots(chosen.x, chosen.y, X, Y) })
    if (chosen.err)
      chosen.err.forEach(([down, up], k) => {
        const [x, a, b] = [X(chosen.x[k]), Y(chosen.y[k] - down), Y(chosen.y[k] + up)]
        add(inside, "path", { class: "err", d: `M${x} ${a}V${b}M${x - 4} ${a}h8M${x - 4} ${b}h8` })
      })
    add(inside, "path", { class: "dots", "stroke-width": round, d: dots(chosen.x, chosen.y, X, Y) })
    legend(host, [
      ...panel.guides.map((guide) => [guide.kind, guide.words]),
      ["cloud", cloud.n ? cloud.words : ""],
      ["dots", chosen.n ? chosen.words : ""],
    ])
    if (chosen.star) follow(svg, chosen, X, Y, panel)
  }

  // The star nearest to the pointer: its name, and its section on a click.
  function follow(svg, chosen, X, Y, panel) {
    const near = (event) => {
      const box = svg.getBoundingClientRect()
      const view = svg.viewBox.baseVal
      const px = ((event.clientX - box.left) / box.width) * view.width
      const py = ((event.clientY - box.top) / box.height) * view.height
      let best = -1
      let least = 14 ** 2
      for (let k = 0; k < chosen.n; k++) {
        const d = (X(chosen.x[k]) - px) ** 2 + (Y(chosen.y[k]) - py) ** 2
        if (d < least && chosen.star[k] >= 0) { least = d; best = k }
      }
      return best
    }
    svg.addEventListener("mousemove", (event) => {
      const k = near(event)
      svg.classList.toggle("picked", k >= 0)
      tip.hidden = k < 0
      if (k < 0) return
      const star = data.stars[chosen.star[k]]
      const place = panel.bare ? "" : `  ${short(panel.x[0])} ${value(chosen.x[k])}, ${short(panel.y[0])} ${value(chosen.y[k])}`
      tip.textContent = star.name + place
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 350)}px`
      tip.style.top = `${event.clientY + 16}px`
    })
    svg.addEventListener("mouseleave", () => { tip.hidden = true })
    svg.addEventListener("click", (event) => {
      const k = near(event)
      if (k >= 0) location.hash = `s${data.stars[chosen.star[k]].id}`
    })
  }
  const short = (name) => name.replace(/ \[.*$/, "")
  const value = (v) => minus(Math.abs(v) >= 1000 ? v.toFixed(0) : v.toPrecision(3))

  // --- one star ---------------------------------------------------------------------------
  function wavelengths(first, n) {
    return Float64Array.from({ length: n }, (_, k) => 10 ** (first + k * data.step))
  }

  function drawSpectrum(host, star) {
    const { first, low, high } = star.flux
    const y = unpack(star.flux.y, low, high)
    const x = wavelengths(first, y.length)
    const name = star.at_rest ? "rest wavelength, vacuum [Å]" : "observed wavelength, vacuum [Å] (z unknown)"
    const shape = { width: 1100, height: 190, left: 52, top: 16, bottom: 38, letters: 11, xTicks: 12, yTicks: 4 }
    const { svg, inside, X, Y, box } = frame(host, { ...shape, x: [name, ...data.shown], y: ["flux / median", low, high] })
    for (const [words, place] of Object.entries(data.lines)) {
      add(inside, "path", { class: "faint", d: `M${X(place)} ${box.y}v${box.height}` })
      add(svg, "text", { x: X(place), y: 11, "text-anchor": "middle", "font-size": 10 }, words)
    }
    add(inside, "path", { class: "data", d: path(x, y, X, Y) })
  }

  function drawWindow(host, window) {
    const { low, high, most, n } = window
    const x = wavelengths(window.first, n)
    const y = unpack(window.y, low, high)
    const model = unpack(window.model, low, high)
    const used = unpack(window.used, 0, 1)
    const only = (values) => values.map((v, k) => (used[k] > 0.5 ? v : NaN))
    const room = 0.05 * (high - low)
    const ends = [x[0], x[n - 1]]
    const common = { width: 300, left: 44, letters: 12, xTicks: 4 }
    const upper = frame(host, { ...common, height: 216, top: 6, bottom: 4, noX: true, yTicks: 5, x: ["", ...ends], y: [`flux (${window.symbol})`, low - room, high + room] })
    add(upper.inside, "path", { class: "unused", d: path(x, y, upper.X, upper.Y) })
    add(upper.inside, "path", { class: "data", d: path(x, only(y), upper.X, upper.Y) })
    add(upper.inside, "path", { class: "model", d: path(x, model, upper.X, upper.Y) })
    if (window.edges && window.level !== null)
      add(upper.inside, "path", { class: "dashed", d: path(window.edges, [window.level, window.level], upper.X, upper.Y) })
    const lower = frame(host, { ...common, height: 84, top: 4, bottom: 36, yTicks: 2, x: ["rest wavelength [Å]", ...ends], y: ["diff.", -most, most] })
    add(lower.inside, "path", { class: "unused", d: path(x, y.map((v, k) => v - model[k]), lower.X, lower.Y) })
    add(lower.inside, "path", { class: "data", d: path(x, only(y.map((v, k) => v - model[k])), lower.X, lower.Y) })
    add(lower.inside, "path", { class: "model", d: path(ends, [0, 0], lower.X, lower.Y) })
  }

  const shared = {} // the background of each small plane, drawn once and used by every star
  function drawSmall(host, key, number) {
    const panel = data.panels[key]
    const { inside, X, Y } = frame(host, { ...panel, width: 300, height: 300, left: 48, bottom: 40, xTicks: 4, yTicks: 5 })
    if (!shared[key]) {
      const home = add(document.getElementById("defs"), "g", { id: `bg-${key}` })
      for (const guide of panel.guides) add(home, "path", { class: guide.kind, d: path(guide.x, guide.y, X, Y) })
      for (const group of [panel.cloud, panel.chosen])
        add(home, "path", { class: "cloud", "stroke-width": 3, d: dots(group.x, group.y, X, Y, Math.ceil(group.n / 800)) })
      shared[key] = true
    }
    add(inside, "use", { href: `#bg-${key}` })
    const k = panel.chosen.star.indexOf(number)
    if (k >= 0) {
      const at = { cx: X(panel.chosen.x[k]), cy: Y(panel.chosen.y[k]) }
      add(inside, "circle", { ...at, r: 8, class: "ring" })
      add(inside, "path", { class: "dots", "stroke-width": 5, d: `M${at.cx} ${at.cy}h0` })
    } else add(inside, "text", { x: 60, y: 26, "font-size": 12 }, "no place here")
  }

  const numberOf = new Map(data.stars.map((star, k) => [star.id, k]))
  function drawStar(article) {
    if (article.dataset.drawn) return
    article.dataset.drawn = "1"
    const number = numberOf.get(article.dataset.star)
    const star = data.stars[number]
    for (const host of article.querySelectorAll("[data-part]")) {
      const part = host.dataset.part
      if (part === "spectrum") drawSpectrum(host, star)
      else if (part.startsWith("line-")) drawWindow(host, star.windows[part.slice(5)])
      else drawSmall(host, part, number)
    }
  }

  const store = document.createElementNS(NS, "svg")
  store.setAttribute("width", 0)
  store.setAttribute("height", 0)
  store.style.position = "absolute"
  add(store, "defs", { id: "defs" })
  document.body.append(store)
  document.querySelectorAll("[data-panel]").forEach(drawPanel)
  const articles = [...document.querySelectorAll("article.star")]
  const watcher = new IntersectionObserver(
    (seen) => seen.forEach((one) => { if (one.isIntersecting) { drawStar(one.target); watcher.unobserve(one.target) } }),
    { rootMargin: "900px" },
  )
  articles.forEach((article) => watcher.observe(article))
  window.addEventListener("beforeprint", () => articles.forEach(drawStar))

  // --- finding and sorting ----------------------------------------------------------------
  const rows = [...document.querySelectorAll("#table tbody tr")]
  const field = document.getElementById("find")
  const found = document.getElementById("found")
  const holds = { "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b }
  const words = articles.map((article) => article.dataset.find)

  function keeps(number, tokens) {
    const star = data.stars[number]
    return tokens.every((token) => {
      const limit = /^([a-z_0-9]+)(<=|>=|<|>|=)([-−+.0-9e]+)$/.exec(token)
      if (!limit) return words[number].includes(token)
      const known = star.v[limit[1]]
      return known !== undefined && holds[limit[2]](known, Number(limit[3].replace("−", "-")))
    })
  }

  function find() {
    const tokens = field.value.toLowerCase().split(/\s+/).filter(Boolean)
    let n = 0
    data.stars.forEach((star, number) => {
      const kept = keeps(number, tokens)
      n += kept
      rows[rowOf.get(star.id)].hidden = !kept
      articles[number].hidden = !kept
    })
    found.textContent = tokens.length ? `${n} of ${data.stars.length}` : ""
  }
  const rowOf = new Map(rows.map((row, k) => [row.dataset.star, k]))
  field.addEventListener("input", find)
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { field.value = ""; find() }
    if (event.key === "Enter") document.getElementById("catalogue").scrollIntoView()
  })
  window.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== field) { event.preventDefault(); field.focus() }
  })

  const heads = [...document.querySelectorAll("#table thead th")]
  heads.forEach((head, k) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending"
      heads.forEach((other) => other.setAttribute("aria-sort", "none"))
      head.setAttribute("aria-sort", up ? "ascending" : "descending")
      const name = data.columns[k]
      const of = (row) => { const star = data.stars[numberOf.get(row.dataset.star)]; return k ? star.v[name] : star.name }
      const order = [...rows].sort((a, b) => {
        const [p, q] = [of(a), of(b)]
        if (p === undefined || q === undefined) return (p === undefined) - (q === undefined) // last either way
        const sign = k ? p - q : String(p).localeCompare(String(q))
        return up ? sign : -sign
      })
      document.querySelector("#table tbody").append(...order)
      const place = new Map(order.map((row, n) => [row.dataset.star, n]))
      const last = document.getElementById("provenance")
      ;[...articles].sort((a, b) => place.get(a.dataset.star) - place.get(b.dataset.star)).forEach((article) => last.before(article))
    })
  })

  // --- light and dark ---------------------------------------------------------------------
  const root = document.documentElement
  const button = document.getElementById("theme")
  const dark = matchMedia("(prefers-color-scheme: dark)")
  function wear(isDark) {
    root.dataset.theme = isDark ? "dark" : "light"
    button.textContent = isDark ? "light" : "dark"
  }
  wear(dark.matches)
  dark.addEventListener("change", () => wear(dark.matches))
  button.addEventListener("click", () => wear(root.dataset.theme !== "dark"))
  window.reportIsDrawn = true
})()
