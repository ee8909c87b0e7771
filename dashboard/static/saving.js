// A figure as it is saved: the plot at print quality, and below it the caption that the page shows,
// whole, with the star, the survey, and whether its stars exist at all.

const PRINT = 300 / 96 // dots of a print for one of the screen
const CAPTION = {size: 11, line: 15, margin: 12}
const PANELS = ".msfa-place, .msfa-lens, .msfa-lenses, .msfa-spectrum"
const SVG = "http://www.w3.org/2000/svg"

// Every element of this class below a root, inside shadow roots too.
function* all_of(root, selector) {
  for (const element of root.querySelectorAll("*")) {
    if (element.matches(selector)) yield element
    if (element.shadowRoot) yield* all_of(element.shadowRoot, selector)
  }
}

// The panel of the page that a figure stands in.
function panel_of(element) {
  for (let at = element; at; at = at.parentNode ?? at.host)
    if (at instanceof Element && at.matches(PANELS)) return at
  return document.body
}

function text_of(element) {
  const told = element?.shadowRoot ?? element
  return Array.from(told?.querySelectorAll("div") ?? [])
    .filter(part => !part.querySelector("div"))
    .map(part => part.textContent.replace(/\s+/g, " ").trim()).filter(Boolean)
}

// What the page says below or above the figure: in the tooltip where a small screen cuts it.
export function caption_lines(element) {
  const panel = panel_of(element)
  const root = panel.shadowRoot ?? panel
  const words = []
  for (const caption of all_of(root, ".msfa-plot-caption")) {
    if (caption.offsetParent === null) continue
    const whole = caption.shadowRoot?.querySelector("div[title]")?.title
    words.push(...(whole ? whole.split("\n") : text_of(caption)))
  }
  for (const fit of all_of(root, ".msfa-fit-words")) words.push(...text_of(fit))
  const one = selector => all_of(document, selector).next().value?.textContent.trim() ?? ""
  const made_up = one(".msfa-simulated:not(.msfa-blind)") ? "SIMULATED: these stars do not exist" : ""
  const day = new Date().toISOString().slice(0, 10)
  words.unshift([one(".msfa-strip-names"), `survey ${one(".msfa-survey")}`, made_up, day].filter(Boolean).join(" · "))
  return [...new Set(words.filter(Boolean))]
}

function wrapped(lines, width, font) {
  const pen = document.createElement("canvas").getContext("2d")
  pen.font = font
  const found = []
  for (const line of lines) {
    let row = ""
    for (const word of line.split(" ")) {
      const longer = row ? `${row} ${word}` : word
      if (row && pen.measureText(longer).width > width) { found.push(row); row = word }
      else row = longer
    }
    found.push(row)
  }
  return found
}

async function drawn(view) {
  const text = await (await view.export("svg").to_blob()).text()
  return new DOMParser().parseFromString(text, "image/svg+xml").documentElement
}

// The figure, and the strip below it if it is on the page, over its caption, as an SVG document.
export async function figure_with_caption(view, below = null) {
  const plots = [await drawn(view)]
  if (below?.el.offsetParent) plots.push(await drawn(below))
  let width = 0, height = 0
  for (const plot of plots) {
    plot.setAttribute("y", height)
    height += parseFloat(plot.getAttribute("height"))
    width = Math.max(width, parseFloat(plot.getAttribute("width")))
  }
  const style = getComputedStyle(view.el)
  const colour = name => style.getPropertyValue(name).trim()
  const family = colour("--msfa-font") || "sans-serif"
  const {size, line, margin} = CAPTION
  const rows = wrapped(caption_lines(view.el), width - 2 * margin, `${size}px ${family}`)
  const whole = document.implementation.createDocument(SVG, "svg")
  const root = whole.documentElement
  const tall = height + rows.length * line + margin
  const made = (name, values, text = "") => {
    const element = whole.createElementNS(SVG, name)
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value)
    if (text) element.textContent = text // escaped as it is written
    return element
  }
  for (const [key, value] of Object.entries({width, height: tall, viewBox: `0 0 ${width} ${tall}`}))
    root.setAttribute(key, value)
  root.append(made("rect", {width, height: tall, fill: colour("--msfa-surface") || "white"}))
  root.append(...plots.map(plot => whole.importNode(plot, true)))
  rows.forEach((row, place) => root.append(made("text", {
    x: margin, y: height + (place + 1) * line, fill: colour("--msfa-text") || "black",
    "font-family": family, "font-size": size,
  }, row)))
  return {text: new XMLSerializer().serializeToString(whole), width, height: tall}
}

async function as_png({text, width, height}) {
  const url = URL.createObjectURL(new Blob([text], {type: "image/svg+xml"}))
  const image = new Image()
  image.src = url
  await image.decode()
  const canvas = document.createElement("canvas")
  canvas.width = Math.round(width * PRINT)
  canvas.height = Math.round(height * PRINT)
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(url)
  return new Promise(done => canvas.toBlob(done, "image/png"))
}

// Figures ask for this by its name: their own scripts are a line each.
globalThis.msfa_save = async (view, name, kind, below) => {
  const figure = await figure_with_caption(view, below)
  const blob = kind === "png" ? await as_png(figure) : new Blob([figure.text], {type: "image/svg+xml"})
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  const star = all_of(document, ".msfa-strip-names").next().value?.textContent.match(/^\d+(?= )/)
  link.download = `${star ? `${star[0]}-` : ""}${name}.${kind}` // of ten stars, ten names
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
