// A star painted twice as fast. Bokeh writes the style sheet of every renderer anew at each paint,
// and asks for the computed style before each stroke, in case a CSS variable says how to draw: the
// browser then works out the styles of the page some hundred times a star. Here a style sheet that
// says what it said already is left alone, and figures are styled in Python, never by CSS.
export function quicken_painting() {
  if (globalThis.msfa_painting) return
  const sheet = Bokeh.require("core/dom").InlineStyleSheet.prototype
  const visuals = Bokeh.require("core/visuals/visual").VisualProperties.prototype
  const write = sheet._update
  sheet._update = function (css) {
    if (this.el.textContent !== css) write.call(this, css)
  }
  visuals._get_css_value = () => ""
  globalThis.msfa_painting = true
}
