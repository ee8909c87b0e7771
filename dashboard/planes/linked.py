"""Views of linked planes: what is brushed in one is vivid in all, and is the queue."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from numpy.typing import NDArray

from dashboard.planes.axis import GROUPINGS, Groups, blind_groups, dataset_of
from dashboard.planes.cells import counted
from dashboard.planes.guides import draw_reference
from dashboard.planes.plane import Axis, Plane
from dashboard.planes.words import Words
from dashboard.state import Session, Star
from dashboard.theme import palette, stylesheet
from msfa_core.stars.reference import ReferenceStars
from msfa_core.typing import BoolArray

BRUSHES: Final = ("brush", "subset")  # filters whose stars are vivid in every plane
RECOLOUR_DELAY_MS: Final = 400  # verdicts are painted when the reviewer's keys pause


def caption() -> Words:
    """Return the empty small print under a figure."""
    return Words(
        "", css_classes=["msfa-plot-caption", "msfa-plane-caption"], stylesheets=[stylesheet()],
        margin=(0, 8, 4, 8), sizing_mode="stretch_width",
    )  # fmt: skip


def caption_html(lines: Sequence[str], tooltip: str) -> str:
    """Return the small print; all of it, and its sources, in its tooltip."""
    told = [line for line in lines if line]
    title = escape("\n".join([*told, tooltip]), quote=True)
    return "".join(f"<div title='{title}'>{escape(line)}</div>" for line in told)


def notice(title: str, *sentences: str) -> str:
    """Return what is missing and how to add it, as HTML; the words are escaped."""
    lines = "".join(f"<p style='margin:6px 0 0'>{sentence_html(s)}</p>" for s in sentences)
    return (
        "<div class='msfa-notice' style='padding:46px 20px 18px;line-height:1.45'>"
        f"<strong>{escape(title)}</strong>{lines}</div>"
    )


def sentence_html(sentence: str) -> str:
    """Return a sentence as HTML, escaped; what stands between back-ticks becomes code."""
    pieces = escape(sentence).split("`")
    return "".join(
        f"<code>{piece}</code>" if odd % 2 else piece for odd, piece in enumerate(pieces)
    )


def colour_switch(view: LinkedView) -> pn.widgets.Select:
    """Return the choice of what colours mean."""
    return pn.widgets.Select.from_param(
        view.param["colour"], label="colours show", description=None, width=60,
        margin=(0, 2), align="center",
        css_classes=["msfa-select", "msfa-nolabel", "colour-by"], stylesheets=[stylesheet()],
    )  # fmt: skip


def controls(*parts: Any) -> pn.Row:
    """Return the bar above a figure."""
    return pn.Row(
        *parts, sizing_mode="stretch_width", height=30, margin=0,
        css_classes=["msfa-controls", "msfa-plane-controls"],
        stylesheets=[stylesheet()],
    )  # fmt: skip


def quiet_button(label: str, action: Callable[[], object], tooltip: str, name: str) -> Any:
    """Return a small button that does one thing."""
    button = pn.widgets.Button(
        label=label, description=tooltip, margin=(0, 2), css_classes=["msfa-chips", name],
        stylesheets=[stylesheet()],
    )  # fmt: skip

    def act(_: object) -> None:
        action()

    button.on_click(act)
    return button


_KEPT: weakref.WeakKeyDictionary[Session, dict[str, tuple[Any, Any]]] = weakref.WeakKeyDictionary()


def once(state: Session, name: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Return a value that all views of a session need, made once for each key."""
    kept = _KEPT.setdefault(state, {})
    held = kept.get(name)
    if (
        held is None
        or len(held[0]) != len(key)
        or any(one is not other for one, other in zip(held[0], key, strict=True))
    ):  # by identity: keys hold tables and filters
        held = kept[name] = (key, make())
    return held[1]


class PlanePane(pn.pane.Bokeh):
    """A figure that is brought up to date just before it enters a page.

    A plane behind another tab is in no page and costs nothing until its tab is opened.
    """

    before: Callable[[], object]

    def _get_model(self, *args: Any, **kwargs: Any) -> Any:
        self.before()
        return super()._get_model(*args, **kwargs)


class LinkedView(pn.viewable.Viewer):
    """Planes bound to the state; a subclass says which, and what it writes on them."""

    colour: param.Selector[str] = param.Selector(
        default="class", objects=list(GROUPINGS), doc="What colours mean"
    )
    shown: param.Selector[str] = param.Selector(
        default="", objects=[""], doc="Key of the plane on screen"
    )
    reference = param.ClassSelector(class_=ReferenceStars, doc="Stars of the literature, or None")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self.colours = palette()
        self.planes: dict[str, Plane] = {}
        self._makers: dict[str, Callable[[], Plane]] = {}
        self._stale: set[str] = set()
        self._recolouring = False
        self._telling: tuple[Any, ...] = ()

    @property
    def blind(self) -> bool:
        """Whether the reviewer works blind: what was measured is shown, and no side of a limit."""
        return bool(self.state.verdicts.blind)

    def hide_while_blind(self, *parts: Any) -> None:
        """Name the parts that choose or count by the limits of the machine."""
        self._telling = parts

    def offer(self, makers: Mapping[str, Callable[[], Plane]]) -> None:
        """Offer planes by their keys; each is made when it is first shown."""
        self._makers = dict(makers)
        self.param["shown"].objects = list(makers)
        self.shown = next(iter(makers))

    def new_plane(
        self,
        x: Axis,
        y: Axis,
        label: str,
        quantities: tuple[str, str] | None = None,
        **options: Any,
    ) -> Plane:
        """Return a plane whose hands are those of this view; reference stars lie in it already.

        Parameters
        ----------
        x, y : Axis
        label : str
            Of the plane, in the sentence of a brush.
        quantities : (str, str), optional
            Of the reference stars, where these are not named as the axes.
        **options
            As for `Plane`.
        """
        plane = Plane(x, y, self.colours, self._select, self._brusher(label), **options)
        if self.reference is not None:
            draw_reference(plane, self.reference, quantities)
        return plane

    def plane(self, key: str) -> Plane:
        """Return a plane; made now if it was not on screen before."""
        if key not in self.planes:
            self.planes[key] = self._makers[key]()
            self._stale.add(key)
        return self.planes[key]

    def follow(self) -> None:
        """Draw, and from now on follow the state."""
        self.redraw()
        self.draw_star()
        watch = self.state.watch
        watch(lambda *_: self.draw_star(), "screen.star")
        watch(lambda *_: self.redraw(), "verdicts.table", "queue.filters", "verdicts.blind")
        watch(lambda *_: self._recolour_soon(), "verdicts.version")
        self.param.watch(lambda *_: self.redraw(), "colour")
        self.param.watch(lambda *_: self._show(), "shown")

    # --- drawing -------------------------------------------------------------------------
    @property
    def in_page(self) -> bool:
        """Whether the plane can be seen; outside a session (a notebook, a test) it always can."""
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            return True
        return self.plane(self.shown).figure.document is not None

    def groups(self) -> Groups:
        """Return the colour of every star."""
        state, name = self.state, "blind" if self.blind else self.colour
        make = blind_groups if self.blind else GROUPINGS[self.colour]
        news = state.verdicts.version if name == "verdict" else None  # classes outlive verdicts
        key = (state.verdicts.table, self.colours, news)
        return once(state, f"groups {name}", key, lambda: make(state.verdicts.table, self.colours))

    def brushed(self) -> BoolArray | None:
        """Return which stars are brushed; None when no brush is in force."""
        table = self.state.verdicts.table
        chosen = [one for one in self.state.queue.filters if one.name in BRUSHES]
        if not chosen:
            return None

        def made() -> BoolArray:
            rows: BoolArray = np.logical_and.reduce([one.predicate(table) for one in chosen])
            return rows

        return once(self.state, "brush", (*chosen, table), made)

    def keep(self) -> BoolArray | None:
        """Return which stars are drawn at all; None for all of them."""
        return None

    def redraw(self) -> None:
        """Draw the visible plane anew; the others when they are shown."""
        self._stale = set(self.planes)
        for part in self._telling:
            part.visible = not self.blind
        if self.in_page:
            self._draw_stale()
            self.describe()

    def draw_star(self) -> None:
        """Move the ring to the star on screen."""
        if self.in_page:
            self._ring()
            self.describe()

    def refresh(self) -> None:
        """Catch up with everything that happened while the plane could not be seen."""
        self._draw_stale()
        self._ring()
        self.describe()

    def _draw_stale(self) -> None:
        plane = self.plane(self.shown)
        if self.shown in self._stale:
            self.count()
            plane.draw(dataset_of(self.state), self.groups(), self.brushed(), self.keep())
            self._stale.discard(self.shown)

    def _ring(self) -> None:
        star, plane = self.state.screen.star, self.plane(self.shown)
        if star is None:
            plane.draw_star(None)
        else:
            plane.draw_star(self.star_row(star), star.epochs, self.correlation(self.shown, star))

    def star_row(self, star: Star) -> pd.Series:
        """Return the row that the ring is drawn from."""
        return star.row

    def correlation(self, _key: str, _star: Star) -> float:
        """Return the correlation of the star's errors in a plane; 0 unless a subclass knows."""
        return 0.0

    def count(self) -> None:
        """Count what the caption tells of all stars; for subclasses."""

    def describe(self) -> None:
        """Write the caption; for subclasses."""

    # --- parts ---------------------------------------------------------------------------
    def figure_place(self) -> pn.Column:
        """Return the place of the visible plane; the others are not in the page."""
        self._place = pn.Column(self._pane(), sizing_mode="stretch_both", margin=0)
        return self._place

    def _pane(self) -> PlanePane:
        figure = self.plane(self.shown).figure
        pane = PlanePane(figure, min_height=160, sizing_mode="stretch_both", margin=0)
        pane.before = self.refresh
        return pane

    def plane_switch(self) -> pn.widgets.RadioButtonGroup:
        """Return the buttons that choose the visible plane."""
        return pn.widgets.RadioButtonGroup.from_param(
            self.param["shown"], label="", description=None, margin=(0, 2),
            css_classes=["msfa-chips", "plane-switch"], stylesheets=[stylesheet()],
        )  # fmt: skip

    def outside_words(self) -> str:
        """Return how many stars lie beyond the frame of the visible plane, and whether this one."""
        plane, star = self.plane(self.shown), self.state.screen.star
        lie = counted(plane.n_outside, "spectrum lies", "spectra lie")
        words = f"{lie} outside the frame" if plane.n_outside else ""
        if star is not None and plane.places(star.row) and not plane.holds(star.row):
            words += ", this star too (zoom out)" if words else "this star lies outside the frame"
        return words

    def _show(self) -> None:
        self._place[0] = self._pane()
        self.refresh()

    def _recolour_soon(self) -> None:
        """Paint new verdicts after a pause, so that no key waits for it."""
        if self.colour != "verdict" or self.blind or self._recolouring:
            return
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            self.redraw()
            return
        self._recolouring = True
        document.add_timeout_callback(self._recolour, RECOLOUR_DELAY_MS)

    def _recolour(self) -> None:
        self._recolouring = False
        self.redraw()

    # --- hands ---------------------------------------------------------------------------
    def _select(self, obsid: int) -> None:
        self.state.status.attempt(self.state.screen.select, obsid)

    def _brusher(self, label: str) -> Callable[[NDArray[np.int64]], None]:
        def brush(obsids: NDArray[np.int64]) -> None:
            self.state.queue.brush(
                obsids, f"{counted(len(obsids), 'spectrum', 'spectra')} brushed in {label}"
            )
            self.state.status.calm()

        return brush
