// A star painted twice as fast. Bokeh writes the style sheet of every renderer anew at each paint,
// and asks for the computed style before each stroke and for each label, in case a CSS variable says
// how to draw, or the size of the page's letters changed: the browser then works out the styles of
// the page some hundred times a star. Here a style sheet that says what it said already is left
// alone, figures are styled in Python, never by CSS, and letters keep their size.
export function quicken_painting() {
  if (globalThis.msfa_painting) return
  const sheet = Bokeh.require("core/dom").InlineStyleSheet.prototype
  const visuals = Bokeh.require("core/visuals/visual").VisualProperties.prototype
  const plot = Bokeh.require("models/plots/plot_canvas").PlotView.prototype
  const write = sheet._update
  sheet._update = function (css) {
    if (this.el.textContent !== css) write.call(this, css)
  }
  visuals._get_css_value = () => ""
  const {get} = Object.getOwnPropertyDescriptor(plot, "base_font_size")
  Object.defineProperty(plot, "base_font_size", {
    get() { return this.msfa_font_size ??= get.call(this) },
  })
  globalThis.msfa_painting = true
}
