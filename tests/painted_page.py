"""What a page does between a key and the paint of the star it asks for, told by the page itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from served_dashboard import WATCH

SETTLE = 500  # ms between keys: a reviewer looks, and nothing is asked of the page meanwhile

# Counts what comes over the socket; to be there before any script of the page.
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
# Notes when the data of a figure in sight change, and when it is painted.
WATCH_FIGURES = """() => {
  const views = new Set()
  const walk = (view) => {
    if (views.has(view)) return
    views.add(view)
    for (const child of view.children_views?.() ?? []) walk(child)
    for (const child of view.child_views ?? []) walk(child)
  }
  for (const root of Bokeh.index.roots ?? Object.values(Bokeh.index)) walk(root)
  window.paints = []
  window.figures = window.figures ?? []
  window.watched = window.watched ?? new WeakSet()
  for (const view of views) {
    if (typeof view._actual_paint !== "function" || window.watched.has(view)) continue
    window.watched.add(view)
    const place = window.figures.length
    const of = (sides) => sides.map(part => part.axis_label).filter(Boolean)[0] ?? ""
    window.figures.push(`${of(view.model.left)} over ${of(view.model.below)}`)
    const paint = view._actual_paint
    view._actual_paint = function (...args) {
      const start = performance.now()
      paint.apply(this, args)
      window.paints.push(["paint", place, start, performance.now()])
    }
    for (const renderer of view.model.renderers) {
      renderer.data_source?.properties.data.change.connect(
        () => window.paints.push(["data", place, performance.now(), 0]))
    }
  }
}"""
FIGURES_OF_A_STAR = 6  # spectrum, two lines with their residuals, one plane: at the least


class Painted(NamedTuple):
    """What one key cost."""

    time: float  # ms from the key until every figure of the new star was painted
    complete: float  # ms until the last of them was painted with what was asked of the star, too
    frames: int  # of the socket
    bytes: int
    cpu: float  # ms of the page's main thread, all that followed included
    figures: int  # that got data of the new star and painted them


def watch(page):
    """Begin to note keys, paints and frames."""
    page.evaluate(WATCH)
    page.evaluate(WATCH_FIGURES)
    meter = page.context.new_cdp_session(page)
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})
    return meter


def cpu_of(meter):
    """Processor time of the page's main thread so far [ms]."""
    metrics = meter.send("Performance.getMetrics")["metrics"]
    return 1e3 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")


def press_and_watch(page, meter, key):
    """Press a key once, and return what it cost until all figures were painted."""
    n_frames = page.evaluate("window.paints.length = 0, window.frames_in.length")
    n_before, cpu = page.evaluate("window.painted.length"), cpu_of(meter)
    page.keyboard.press(key)
    page.wait_for_timeout(SETTLE)
    while page.evaluate("window.painted.length") <= n_before:
        page.wait_for_timeout(SETTLE)
    spent = cpu_of(meter) - cpu
    for _ in range(50):
        pressed, armed, paints, frames = page.evaluate(
            "[window.pressed.at(-1)[0], window.painted.at(-1)[0], window.paints, "
            f"window.frames_in.slice({n_frames})]"
        )
        done, owed = painted_with_new_data(paints, pressed)
        if not owed:
            break
        page.wait_for_timeout(100)  # an answer about the star came just now
    assert not owed, "a figure got data that it did not paint"
    assert len(done) >= FIGURES_OF_A_STAR, done
    came = [size for moment, size in frames if moment < armed]
    first = max([armed, *(moments[0] for moments in done.values())])
    last = max([armed, *(moments[-1] for moments in done.values())])
    return Painted(first - pressed, last - pressed, len(came), sum(came), spent, len(done))


def painted_with_new_data(paints, since):
    """Return when each figure was painted after its data had changed, and which still are to be.

    Parameters
    ----------
    paints : list of (kind, figure, start, end)
        Of `WATCH_FIGURES`.
    since : float
        Moment of the key.
    """
    fresh, done = set(), {}
    for kind, figure, start, end in paints:
        if kind == "data" and start >= since:
            fresh.add(figure)
        elif kind == "paint" and figure in fresh:
            fresh.discard(figure)
            done.setdefault(figure, []).append(end)
    return done, fresh


def shares(times):
    """Return p50 and p95."""
    return np.percentile(np.asarray(times, dtype=float), (50, 95))
