// A star painted in a third of the time. What Bokeh does for every case that there may be, at each
// change and each paint of each figure, is done here only where it can make a difference.
export function quicken_painting() {
  if (globalThis.msfa_painting) return
  globalThis.msfa_painting = true
  leave_styles_alone()
  leave_legends_alone()
  draw_one_glyph_of_six()
  find_nothing_unasked()
  make_no_models()
  keep_within_frames()
  measure_axes_once()
  write_letters_once()
  draw_what_the_screen_shows()
}

const prototype_of = (path, name) => Bokeh.require(path)[name].prototype

// Bokeh writes the style sheet of every renderer anew at each paint, and asks for the computed style
// before each stroke and for each label, in case a CSS variable says how to draw, or the size of the
// page's letters changed: the browser then works out the styles of the page some hundred times a
// star. Here a style sheet that says what it said already is left alone, and so is that of points
// and lines, whose element is empty; figures are styled in Python, never by CSS, and letters keep
// their size.
function leave_styles_alone() {
  const sheet = prototype_of("core/dom", "InlineStyleSheet")
  const visuals = prototype_of("core/visuals/visual", "VisualProperties")
  const plot = prototype_of("models/plots/plot_canvas", "PlotView")
  const write = sheet._update
  sheet._update = function (css) {
    if (this.el.textContent !== css) write.call(this, css)
  }
  visuals._get_css_value = () => ""
  const {get} = Object.getOwnPropertyDescriptor(plot, "base_font_size")
  Object.defineProperty(plot, "base_font_size", {
    get() { return this.msfa_font_size ??= get.call(this) },
  })
  prototype_of("models/renderers/glyph_renderer", "GlyphRendererView").update_position = () => {}
}

// Bokeh builds a legend anew when data change that it names, and leaves its marks unpainted; at each
// paint it measures where the legend lies. Here it is built when its words change, then painted,
// and measured when something of it is shown or hidden. It is an element over the figure, with marks
// of its own: when it changes it is painted alone, and when its size does, nothing else moves, where
// Bokeh would paint all the points of the figure, and then lay it out and paint them once more.
function leave_legends_alone() {
  const legend = prototype_of("models/annotations/legend", "LegendView")
  const {hidden} = Bokeh.require("styles/legend.css")
  const {_render_items, update_position, request_paint, request_layout} = legend
  const waits_for_data = ({plot_view, entries}) =>
    plot_view._render_count === 0 || entries.some(({item}) => item.get_field_from_label_prop() != null)
  legend.request_paint = function () {
    if (waits_for_data(this)) request_paint.call(this)
    else this._paint_glyphs()
  }
  legend.request_layout = function () {
    if (this.layout == null) return // it lies in the frame
    const {width, height} = this.el.getBoundingClientRect()
    const depth = this.panel.is_horizontal ? height : width // beside the frame, that alone moves it
    if (depth === this.msfa_depth) return
    this.msfa_depth = depth
    request_layout.call(this)
  }
  legend._render_items = function () {
    if (this._should_rerender_items) {
      const is_first = this.entries.length === 0
      _render_items.call(this)
      if (!is_first) this.request_paint()
    } else {
      for (const {el, item} of this.entries) el.classList.toggle(hidden, !item.visible)
    }
  }
  legend.update_position = function () {
    const {width, height} = this.plot_view.bbox
    const words = this.entries.map(({label, item}) => item.visible && label)
    const shown = [width, height, this.is_visible, this.model.location, ...words].join()
    if (shown === this.msfa_shown) return
    this.msfa_shown = shown
    update_position.call(this)
  }
}

// Bokeh keeps six glyphs of each renderer up to date: as it is, selected, not selected, muted,
// thinned out, under the mouse. A figure whose stars are brushed in Python draws the first.
function draw_one_glyph_of_six() {
  const renderer = prototype_of("models/renderers/glyph_renderer", "GlyphRendererView")
  const {set_data, set_visuals, map_data, _paint} = renderer
  const is_plain = ({model, plot_model, hover_glyph}) => hover_glyph == null && !model.muted
    && plot_model.lod_threshold == null && model.data_source.selected.is_empty()
  renderer.set_data = async function (indices) {
    this.msfa_plain = is_plain(this)
    if (!this.msfa_plain) return set_data.call(this, indices)
    this.all_indices = this.model.view.indices
    await this.glyph.set_data(this.model.data_source, this.all_indices, indices)
    await this.set_visuals()
    this._update_masked_indices()
    this.plot_view.invalidate_dataranges = true
  }
  renderer.set_visuals = async function () {
    if (!this.msfa_plain) return set_visuals.call(this)
    this.glyph.set_visuals(this.model.data_source, this.all_indices)
    this.glyph.after_visuals()
    await this.glyph.after_lazy_visuals()
  }
  renderer.map_data = function () {
    if (this.msfa_plain) this.glyph.map_data()
    else map_data.call(this)
  }
  renderer._paint = function (ctx) {
    if (this.msfa_plain && !is_plain(this)) this.update_data() // selected or muted since
    else _paint.call(this, ctx)
  }
}

// Bokeh sorts the pixels of a spectrum into a tree for the mouse to find, and picks all of them one
// by one where nothing is left out: the tree can wait for the mouse, and all is all.
function find_nothing_unasked() {
  const glyph = prototype_of("models/glyphs/glyph", "GlyphView")
  const bits = prototype_of("core/util/bitset", "BitSet")
  const view = prototype_of("models/sources/cds_view", "CDSViewView")
  const {AllIndices} = Bokeh.require("models/filters/all_indices")
  const {index_data} = glyph
  const {get} = Object.getOwnPropertyDescriptor(glyph, "index")
  glyph.index_data = function () { this.msfa_unsorted = true }
  Object.defineProperty(glyph, "index", {
    get() {
      if (this.msfa_unsorted) {
        this.msfa_unsorted = false
        index_data.call(this)
      }
      return get.call(this)
    },
  })
  const {select} = bits
  bits.select = function (array) {
    return this.count === this.size && array.length === this.size ? array.slice() : select.call(this, array)
  }
  const {compute_indices} = view
  view.compute_indices = function () {
    const size = this.parent.data_source.get_value().get_length() ?? 1
    const is_told = this.msfa_size === size && this.model.filter instanceof AllIndices
    if (is_told && this.model.indices.count === size) return
    this.msfa_size = size
    compute_indices.call(this)
  }
}

// A range that is widened or mapped is a model of its own to Bokeh, with all that belongs to one;
// it is asked for its two ends, at each paint of each cloud of points.
class Stretch {
  constructor(start, end) { this.start = start; this.end = end }
  map(move) { return new Stretch(move(this.start), move(this.end)) }
  widen(by) {
    const sign = this.start > this.end ? -1 : 1
    return new Stretch(this.start - sign * by, this.end + sign * by)
  }
}

function make_no_models() {
  const range = prototype_of("models/ranges/range1d", "Range1d")
  range.map = Stretch.prototype.map
  range.widen = Stretch.prototype.widen
}

// What lies over the other levels Bokeh draws wherever it lies: the ring of a star outside the frame
// was drawn across the numbers of the axes.
function keep_within_frames() {
  const renderer = prototype_of("models/renderers/glyph_renderer", "GlyphRendererView")
  Object.defineProperty(renderer, "needs_clip", {get() { return true }})
}

// Bokeh works out the ticks of an axis six times a star and measures its numbers four times: asking
// whether they need another room, then for each part that it paints. Between two changes of the
// ranges, of the axis or of the letters they are the same.
function measure_axes_once() {
  const axis = prototype_of("models/axes/axis", "AxisView")
  const {NumericalRange} = Bokeh.require("models/ranges/numerical_range")
  const {extents, tick_coords} = Object.getOwnPropertyDescriptors(axis)
  const {compute_labels, connect_signals, _init_major_labels} = axis
  let letters = 0 // how often letters came late
  document.fonts.addEventListener("loadingdone", () => { letters += 1 })

  const known = (view) => {
    const {ranges: [along, across], loc, _axis_label_view} = view
    if (!(along instanceof NumericalRange && across instanceof NumericalRange)) return {}
    const now = [along.start, along.end, loc, letters, _axis_label_view]
    if (!now.every((value, n) => Object.is(value, view.msfa_known?.of[n]))) view.msfa_known = {of: now}
    return view.msfa_known
  }
  axis.connect_signals = function () {
    connect_signals.call(this)
    const {model} = this
    for (const {change} of [model, model.ticker, model.formatter]) {
      this.connect(change, () => { this.msfa_known = null })
    }
  }
  axis._init_major_labels = async function () {
    await _init_major_labels.call(this)
    this.msfa_known = null
  }
  Object.defineProperty(axis, "tick_coords", {
    get() { return known(this).ticks ??= tick_coords.get.call(this) },
  })
  Object.defineProperty(axis, "extents", {
    get() { return known(this).extents ??= extents.get.call(this) },
  })
  axis.compute_labels = function (ticks) {
    const axis = known(this)
    if (ticks !== axis.ticks?.major[this.dimension]) return compute_labels.call(this, ticks)
    return axis.labels ??= compute_labels.call(this, ticks)
  }
}

// Bokeh measures a word each time that it asks where it lies, and draws its outline after it, though
// that has no colour.
function write_letters_once() {
  const box = prototype_of("core/graphics", "TextBox")
  const {_size, paint} = box
  box._size = function () {
    const {text, font, text_height_metric, line_height, width, height} = this
    const now = [text, font, text_height_metric, line_height, width, height]
    if (!now.every((value, n) => value === this.msfa_size?.of[n])) {
      this.msfa_size = {of: now, size: _size.call(this)}
    }
    return this.msfa_size.size
  }
  box.paint = function (ctx) {
    const is_plain = !this.text.includes("\n") && this.align !== "justify" && this.width == null
      && this.height == null && this.outline_color.endsWith(" / 0)")
    if (!is_plain || this.text === "") {
      paint.call(this, ctx)
      return
    }
    const {position: {sx, sy}, angle} = this
    const {width, height, metrics} = this._size()
    const {x, y} = this._computed_position({width, height}, metrics, 1)
    ctx.save()
    ctx.fillStyle = this.color
    ctx.font = this.font
    ctx.textAlign = "left"
    ctx.textBaseline = "alphabetic"
    if (angle != null && angle !== 0) {
      ctx.translate(sx, sy)
      ctx.rotate(angle)
      ctx.translate(-sx, -sy)
    }
    ctx.fillText(this.text, x, y + this._text_line(metrics).ascent)
    ctx.restore()
  }
}

// What a spectrum of thousands of pixels draws on a screen of hundreds. To fill the band of errors
// along every pixel takes the browser 30 ms, more than all else of a star together.
//
// A line keeps, of all its points in one column of the screen, the first, the lowest, the highest
// and the last (M4: Jugel et al. 2014, PVLDB 7, 797): the same columns are inked. A band fills what
// its points in one column cover. Where there are no more than four points in a column, or two of
// a band, all are kept: who zooms in sees each. A file that is saved has a canvas that is none of
// the browser's, and gets all.
const ALL_OF_A_LINE = 4
const ALL_OF_A_BAND = 2

// The stretches of points that follow each other in one column; outside of the frame all is one.
function* columns({sx, left, right, ratio}, is_drawn) {
  const column_of = (i) => Math.floor(Math.min(Math.max(sx[i], left - 1), right + 1) * ratio)
  let first = 0, column = NaN
  for (let i = 0; i <= sx.length; i++) {
    const next = i < sx.length && is_drawn(i) ? column_of(i) : null
    if (next === column) continue
    if (i > first && column !== null && !isNaN(column)) yield [first, i]
    if (next === null && column !== null) yield null // a gap
    first = i
    column = next
  }
}

// The points of a line to be drawn, a null where it is broken.
function* thinned_line(place, sy) {
  for (const stretch of columns(place, (i) => isFinite(place.sx[i] + sy[i]))) {
    if (stretch === null) { yield null; continue }
    const [first, end] = stretch
    if (end - first <= ALL_OF_A_LINE) {
      for (let i = first; i < end; i++) yield i
      continue
    }
    let low = first, high = first
    for (let i = first + 1; i < end; i++) {
      if (sy[i] < sy[low]) low = i
      if (sy[i] > sy[high]) high = i
    }
    const [one, other] = low < high ? [low, high] : [high, low]
    yield first
    if (one > first) yield one
    if (other > one && other < end - 1) yield other
    yield end - 1
  }
}

// The corners of a band to be filled: [x, its one side, its other side], a null where it is broken.
function* thinned_band(place, one, other) {
  const {sx} = place
  for (const stretch of columns(place, (i) => isFinite(sx[i] + one[i] + other[i]))) {
    if (stretch === null) { yield null; continue }
    const [first, end] = stretch
    if (end - first <= ALL_OF_A_BAND) {
      for (let i = first; i < end; i++) yield [sx[i], one[i], other[i]]
      continue
    }
    let low = Infinity, high = -Infinity
    for (let i = first; i < end; i++) {
      low = Math.min(low, one[i], other[i])
      high = Math.max(high, one[i], other[i])
    }
    const ends = [low, high]
    if (one[first] > other[first]) ends.reverse()
    yield [sx[first], ...ends]
    yield [sx[end - 1], ...ends]
  }
}

function draw_what_the_screen_shows() {
  const line = prototype_of("models/glyphs/line", "LineView")
  const band = prototype_of("models/glyphs/varea", "VAreaView")
  const paint = {line: line._paint, band: band._paint}
  const MANY = 2000 // points, which no figure of a star's has but spectra
  const is_spectrum = (ctx, indices, {length}) => length > MANY && indices.length === length
    && ctx instanceof CanvasRenderingContext2D
  const place_of = (view) => {
    const {frame: {bbox: {left, right}}, canvas_view: {primary: {pixel_ratio: ratio}}} = view.parent.plot_view
    return {sx: view.sx, left, right, ratio}
  }
  line._paint = function (ctx, indices, data) {
    if (data != null || !is_spectrum(ctx, indices, this.sx) || this.parent.nonselection_glyph === this) {
      paint.line.call(this, ctx, indices, data)
      return
    }
    let is_broken = true
    ctx.beginPath()
    for (const i of thinned_line(place_of(this), this.sy)) {
      if (i !== null) ctx[is_broken ? "moveTo" : "lineTo"](this.sx[i], this.sy[i])
      is_broken = i === null
    }
    this.visuals.line.apply(ctx)
  }
  band._paint = function (ctx, indices, data) {
    const {sx, sy1, sy2} = this
    if (data != null || !is_spectrum(ctx, indices, sx)) {
      paint.band.call(this, ctx, indices, data)
      return
    }
    ctx.beginPath()
    let back = []
    const close = () => {
      if (back.length === 0) return
      for (const [x, y] of back.reverse()) ctx.lineTo(x, y)
      ctx.closePath()
      back = []
    }
    for (const corner of thinned_band(place_of(this), sy1, sy2)) {
      if (corner === null) { close(); continue }
      const [x, one, other] = corner
      ctx[back.length === 0 ? "moveTo" : "lineTo"](x, one)
      back.push([x, other])
    }
    close()
    this.visuals.fill.apply(ctx)
    this.visuals.hatch.apply(ctx)
  }
}
