"""What a page does between a key and the paint of the star it asks for, told by the page itself."""

from __future__ import annotations

import numpy as np

# Finds every figure in sight, notes when its data change and when it is painted, and counts
# what comes over the socket. Loaded before any script of the page.
SOCKET = """
window.frames_in = []
const Plain = window.WebSocket
window.WebSocket = class extends Plain {
  constructor(...args) {
    super(...args)
    this.addEventListener("message", ({data}) => {
      const size = typeof data === "string" ? data.length : data.byteLength ?? data.size
      window.frames_in.push([performance.now(), size])
    })
  }
}
"""
WATCH_FIGURES = """() => {
  const views = new Set()
  const walk = (view) => {
    if (views.has(view)) return
    views.add(view)
    for (const child of view.children_views?.() ?? []) walk(child)
    for (const child of view.child_views ?? []) walk(child)
  }
  const index = Bokeh.index
  for (const root of index.roots ?? Object.values(index)) walk(root)
  window.paints = []
  window.figure_names = window.figure_names ?? []
  window.watched_figures = window.watched_figures ?? new WeakSet()
  for (const view of views) {
    if (typeof view._actual_paint !== "function" || window.watched_figures.has(view)) continue
    window.watched_figures.add(view)
    const name = view.model.name || view.model.xaxis?.[0]?.axis_label ||
      (view.model.below ?? []).map(part => part.axis_label).filter(Boolean)[0] || view.model.id
    const label = window.figure_names.length
    window.figure_names.push(`${name} / ${(view.model.left ?? []).map(p => p.axis_label)[0]}`)
    const paint = view._actual_paint
    view._actual_paint = function (...args) {
      const start = performance.now()
      paint.apply(this, args)
      window.paints.push(["paint", label, start, performance.now()])
    }
    for (const renderer of view.model.renderers ?? []) {
      renderer.data_source?.properties.data.change.connect(
        () => window.paints.push(["data", label, performance.now(), 0]))
    }
  }
}"""


def painted_after(key_time, paints, armed_time):
    """Return when every figure that got new data was painted with them [ms after the key].

    Parameters
    ----------
    key_time : float
        Moment of the key.
    paints : list of (kind, figure, start, end)
        Of `WATCH_FIGURES`.
    armed_time : float
        Moment at which the page said that the star is painted.
    """
    fresh, done = {}, {}
    for kind, figure, start, end in paints:
        if not key_time <= start <= armed_time + 400:
            continue
        if kind == "data" and figure not in done:
            fresh[figure] = start
        elif kind == "paint" and figure in fresh:
            done.setdefault(figure, end)
    missing = set(fresh) - set(done)
    return max([armed_time, *done.values()]) - key_time, sorted(missing)


def percentiles(times):
    """Return p50, p95 and the largest of some times."""
    times = np.asarray(times, dtype=float)
    return tuple(float(np.percentile(times, share)) for share in (50, 95, 100))
