"""What stands on every page of a PDF is written once and repeated; the rest knows nothing of it."""

import re
from io import BytesIO

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msfa_core.products.report.stamp import stamp


def pages(figures):
    """What each page of a PDF says."""
    file = BytesIO()
    with rc_context({"pdf.compression": 0}), PdfPages(file) as pdf:
        for figure in figures:
            pdf.savefig(figure)
    streams = re.findall(rb"stream\n(.*?)\nendstream", file.getvalue(), re.DOTALL)
    return [one for one in streams if one.startswith(b"/DeviceRGB CS")]


def strokes(page):
    """Colour and width of each line that a page draws."""
    now, kept, seen, before = ("", ""), [], [], []
    for word in page.decode("latin-1").split():
        if word == "q":
            kept.append(now)
        elif word == "Q":
            now = kept.pop()
        elif word == "w":
            now = (now[0], before[-1])
        elif word in ("G", "RG"):
            now = (" ".join(before[-1:] if word == "G" else before[-3:]), now[1])
        elif word == "S":
            seen.append(now)
        before.append(word)
    assert not kept
    return seen


def sheet(is_stamped):
    figure = Figure((3, 2))
    if is_stamped:
        place = figure.add_axes((0.1, 0.1, 0.3, 0.8))
        place.plot([0, 1, 2], color="red", lw=7)
        ring = place.scatter([1], [1])
        stamp(figure, [place], [ring])
    beside = figure.add_axes((0.5, 0.1, 0.3, 0.8))
    beside.plot([0, 1], [1, 2], color="blue", lw=2)
    figure.add_artist(Line2D([0, 1], [0, 1], color="black", lw=1))
    return figure, ring if is_stamped else None


def test_what_stands_is_on_each_page_and_changes_nothing_of_the_rest():
    figure, ring = sheet(True)

    def turned():
        for place in ([1, 1], [0, 2], [1, 1]):
            ring.set_offsets([place])
            yield figure

    first, second, third = pages(turned())
    (plain,) = pages([sheet(False)[0]])
    assert first == third != second
    for page in (first, second):
        drawn, beside = strokes(page), strokes(plain)
        assert drawn[-len(beside) :] == beside  # as if nothing stood there
        assert ("1 0 0", "7") in drawn and ("1 0 0", "7") not in beside


def test_a_picture_has_them_as_well():
    figure, ring = sheet(True)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    with_ring = np.asarray(canvas.buffer_rgba()).copy()
    ring.set_visible(False)
    canvas.draw()
    assert not np.array_equal(with_ring, np.asarray(canvas.buffer_rgba()))
    assert (with_ring[..., :3] == (255, 0, 0)).all(axis=-1).sum() > 100
