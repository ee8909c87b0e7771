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

// Panel imports the scripts of its parts through a library for browsers of before 2021, which tries
// out in frames of its own what the browser can (a twentieth of what a first page takes). Files of
// ours need none of it: they name no packages.
function import_as_browsers_do() {
  window.importShim ??= Object.assign(address => import(address), {
    addImportMap: ({imports = {}, scopes = {}}) => {
      const names = [...Object.keys(imports), ...Object.keys(scopes)]
      if (names.length) throw new Error(`no packages are looked up here: ${names}`)
    },
  })
}

const model = name => Bokeh.Models.get(`panel.models.${name}`).prototype
const two_frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))

// What renders Panel's parts that have scripts of their own is a script, too, one for all of them.
// Asked for when the first part is made, it would come when all else is drawn (0.3 s later).
function fetch_what_renders() {
  const part = model("esm.ReactiveESM")
  const {init_module, _render_cache_key} = part
  const code = new Blob([part._render_code()], {type: "text/javascript"})
  const renders = import(URL.createObjectURL(code))
  part.init_module = function () {
    if (this._render_cache_key === _render_cache_key && !this.compile_error) this.render_module = renders
    else init_module.call(this)
  }
}

// A part with a script says of its place that it changed whenever it is asked, and the whole page is
// laid out again for each. What ours draw stays within the place that they have. And Bokeh lays the
// page out anew for each part that comes, goes, or is shown (ten times when somebody goes blind):
// what changes before the next picture is laid out together.
function lay_out_once() {
  const place = Bokeh.require("models/ui/ui_element").UIElementView.prototype
  model("esm.ReactiveESM").default_view.prototype._update_bbox = place._update_bbox
  const {LayoutDOMView} = Bokeh.require("models/layouts/layout_dom")
  const {invalidate_layout} = LayoutDOMView.prototype
  LayoutDOMView.prototype.invalidate_layout = function () {
    if (this.parent instanceof LayoutDOMView || !this._layout_computed) invalidate_layout.call(this)
    else if (!this.msfa_waits) {
      this.msfa_waits = true
      requestAnimationFrame(() => {
        this.msfa_waits = false
        invalidate_layout.call(this)
      })
    }
  }
}

// Panel draws its table anew for each of its style sheets, and once more when it has its place. The
// last is enough; the first one waits until the star is on the screen, a second where there is none.
const is_painted = new Promise(done => window.addEventListener("msfa:painted", done, {once: true}))
const a_second = () => new Promise(done => setTimeout(done, 1000))
function draw_the_table_once() {
  const table = model("tabulator.DataTabulator").default_view.prototype
  const redraw = table._flush_resize_when_root_ready
  let is_awaited
  table.style_redraw = function () {
    if (this.model.visible) this.tabulator.element.style.visibility = "visible"
    if (!this._initializing && !this._building) this._request_resize_redraw()
  }
  table._flush_resize_when_root_ready = async function () {
    await two_frames()
    await (is_awaited ??= Promise.race([is_painted, a_second()]))
    return redraw.call(this)
  }
}

// Where other rows come, Panel goes to the row that is chosen, and then back to where the list was:
// the star on the screen would be out of sight until the next one.
function keep_the_star_in_sight() {
  const table = model("tabulator.DataTabulator").default_view.prototype
  const {postUpdate} = table
  table.postUpdate = function () {
    postUpdate.call(this)
    if (!this.model.source.selected.indices.length) return
    this._lastVerticalScrollbarTopPosition = this.tabulator.rowManager.element.scrollTop
  }
}

import_as_browsers_do() // first: without it there are no parts
quicken_painting()
keep_what_drags()
reload_when_lost()
fetch_what_renders()
lay_out_once()
draw_the_table_once()
keep_the_star_in_sight()
