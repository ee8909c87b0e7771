"""What stands behind the stars of a plane: curves of models, the 1:1 line, reference stars.

Guides are drawn once, when a plane is made; they cannot be selected and no key waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from bokeh.core.properties import value
from bokeh.models import (
    ColumnDataSource,
    GlyphRenderer,
    Legend,
    LegendItem,
    MultiLine,
    Scatter,
    Text,
)
from numpy.typing import ArrayLike

from dashboard.planes.plane import Plane
from dashboard.theme import FONT, LEGEND_STYLES
from msfa_core.stars.reference import ReferenceStars

NAME: Final = "guides"  # of the legend of a plane's guides
CASING: Final = 1.0  # pixels of background on either side of a curve: it is seen among stars
WORD_SIZE: Final = "10px"
ROW: Final = 350.0  # px of a frame on a small screen
LETTER: Final = 5.1  # px of a word
BESIDE: Final = 30.0  # px: the mark before a word, and what sets off the next


def explain(plane: Plane, words: str, renderers: Sequence[GlyphRenderer]) -> LegendItem:
    """Say what a guide is: below the frame, where it hides no star."""
    legend = next((one for one in plane.figure.below if one.name == NAME), None)
    if legend is None:
        colours = plane.colours
        legend = Legend(
            name=NAME, items=[], orientation="horizontal", location="center",
            padding=0, margin=0, spacing=8, background_fill_color=None,
            border_line_color=None, label_text_color=colours.text, label_text_font=FONT,
            label_text_font_size=WORD_SIZE, label_standoff=4, glyph_width=18, glyph_height=12,
            label_height=12, styles=LEGEND_STYLES,
        )  # fmt: skip
        plane.figure.add_layout(legend, "below")
    item = LegendItem(label={"value": words}, renderers=list(renderers))
    legend.items = [*legend.items, item]
    widest = max(len(one.label.value) for one in legend.items) * LETTER + BESIDE
    legend.ncols = max(1, min(len(legend.items), int(ROW // widest)))
    return item


def draw_curves(
    plane: Plane,
    curves: Iterable[tuple[ArrayLike, ArrayLike]],
    colour: str,
    dash: str = "solid",
    width: float = 1.6,
) -> GlyphRenderer:
    """Draw curves above the stars; unless dotted, a casing sets them off from these."""
    xs, ys = zip(*curves, strict=True)
    source = ColumnDataSource({"xs": list(xs), "ys": list(ys)})
    if dash != "dotted":
        casing = MultiLine(
            xs="xs", ys="ys", line_color=plane.colours.surface, line_alpha=0.75,
            line_width=width + 2 * CASING,
        )  # fmt: skip
        plane.figure.add_glyph(source, casing)
    line = MultiLine(xs="xs", ys="ys", line_color=colour, line_width=width, line_dash=dash)
    return plane.figure.add_glyph(source, line)


def draw_diagonal(plane: Plane) -> GlyphRenderer:
    """Draw the line on which both axes have the same value."""
    ends = [
        max(plane.x.limits[0], plane.y.limits[0]),
        min(plane.x.limits[1], plane.y.limits[1]),
    ]
    line = draw_curves(plane, [(ends, ends)], plane.colours.text, "dashed", 1.2)
    explain(plane, "1:1", [line])
    return line


def draw_words(
    plane: Plane,
    x: Iterable[float],
    y: Iterable[float],
    words: Sequence[str],
    colour: str,
    **placing: Any,
) -> GlyphRenderer:
    """Write words at places of a plane; ``placing`` are offsets and alignment of bokeh's Text."""
    source = ColumnDataSource({"x": list(x), "y": list(y), "words": list(words)})
    text = Text(
        x="x", y="y", text="words", text_color=colour, text_font=value(FONT),
        text_font_size=WORD_SIZE, background_fill_color=plane.colours.surface,
        background_fill_alpha=0.7, **placing,
    )  # fmt: skip
    return plane.figure.add_glyph(source, text)


def draw_dots(plane: Plane, x: ArrayLike, y: ArrayLike, colour: str) -> GlyphRenderer:
    """Mark places on curves."""
    dots = Scatter(
        x="x", y="y", size=5.5, fill_color=colour, line_color=plane.colours.surface, line_width=1
    )
    return plane.figure.add_glyph(ColumnDataSource({"x": x, "y": y}), dots)


def draw_reference(
    plane: Plane,
    stars: ReferenceStars,
    names: tuple[str, str] | None = None,
) -> int:
    """Draw reference stars behind the survey's own; return how many have a place here.

    Parameters
    ----------
    plane : Plane
    stars : ReferenceStars
    names : (str, str), optional
        Their quantities, where these are not named as the axes of the plane.
    """
    x, y = stars.places(*(names or plane.names))
    if x.size:
        grey = plane.colours.muted
        cloud = plane.figure.add_glyph(
            ColumnDataSource({"x": x, "y": y}),
            Scatter(x="x", y="y", size=3, line_color=None, fill_color=grey, fill_alpha=0.55),
            level="underlay",
        )
        mark = plane.figure.add_glyph(  # a mark of the legend that can be seen
            ColumnDataSource({"x": [float("nan")], "y": [float("nan")]}),
            Scatter(x="x", y="y", size=6, line_color=None, fill_color=grey),
        )
        cloud.tags = ["reference"]
        explain(plane, f"{stars.name} ({x.size:,})", [mark])
    return int(x.size)
