// Before the first figure is made: what quickens the painting of a star quickens that of the page.
import {reload_when_lost} from "./lost.js"
import {quicken_painting} from "./painting.js"

// What the mouse does when it drags in a figure is chosen, never taken away: a second click on its
// button would leave a mouse that does nothing.
function keep_what_drags() {
  const button = Bokeh.require("models/tools/on_off_button").OnOffButtonView.prototype
  if (button.msfa_keeps) return
  button.msfa_keeps = true
  const {tap} = button
  button.tap = function () {
    const {tool} = this.model
    if (!tool.active || !tool.event_types?.includes("pan")) tap.call(this)
  }
}

quicken_painting()
keep_what_drags()
reload_when_lost()
