"""The queue: which stars, in what order, how far the reviewer has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import panel as pn

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.state.queue import ORDERS
from dashboard.state.screen import KEYS_WAIT
from dashboard.state.verdicts import ASSIGNED
from dashboard.theme import stylesheet
from dashboard.views.queue_words import (
    KEPT,
    PAGE,
    has_share,
    not_offered,
    progress_html,
    queue_page,
    reason_options,
    verdict_signs,
    vetted_scope,
)
from dashboard.views.read_table import ReadTable
from dashboard.views.subsets import SubsetChooser
from msfa_core.vetting.filters import Filter

_FOLLOW_AFTER: Final = 150  # ms: the list follows once the spectrum has been painted
_WRITE_AFTER: Final = 700  # ms: verdicts are written when the keys pause (a redraw of the list)
_SCOPES: Final = (
    "candidates",
    ASSIGNED,
    "outside box",
    "disagreement",
    "template disagrees",
    "doubtful",
    "reviewers disagree",
    "in domain",
    "all",
)
_PLAIN: Final = {  # in the menu; what is chosen stands above it as a whole sentence
    "outside box": "candidates outside the box",
    "disagreement": "witnesses disagree",
    "template disagrees": "template contradicts networks",
    "doubtful": "p_bhb 0.2 to 0.8",
    "in domain": "in the search domain",
}
BLIND_SCOPE: Final = "all"  # others tell what machines say of the stars in them
_BLIND: Final = (BLIND_SCOPE, ASSIGNED)
SIGN_WORDS: Final = "verdicts: ✓ accept  ✕ reject  ? unsure  ≠ disputed; rec. = of record"
P_BHB_WORDS: Final = "stage 2 says BHB with this probability; 1−2e-5 is 0.99998"
WIDTHS: Final = {"mine": 29, "rec.": 26, "p_bhb": 42, "S/N": 29, "class": 32}  # px
OBSID_LEAST: Final = 68  # px, for the ten digits of LAMOST
_VERDICTS: Final = ("with verdict", "without verdict", "accept", "reject", "unsure", "disputed")


BEGIN_WITH: Final = {"show": "candidates", "verdict": "", "labels": "", "order": "p_bhb"}


class QueueView(pn.viewable.Viewer):
    """List, filters, order, search and progress, bound to the state."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        css = [stylesheet()]
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": css, "margin": 0}
        presets = state.verdicts.presets
        names = {"all": "all spectra", ASSIGNED: "assigned to me"} | _PLAIN
        offered = [
            name for name in _SCOPES if name != ASSIGNED or state.data.assignment is not None
        ]
        scopes = {names.get(name, name): name for name in offered}
        self.search = pn.widgets.TextInput(
            label="search",
            placeholder="obsid, Gaia, position, file ( / )",
            css_classes=["msfa-search", "msfa-find"],
            **wide,
        )
        self.scope = pn.widgets.Select(
            label="show", options=scopes, value="candidates", css_classes=["msfa-select"], **wide
        )
        self.verdict = pn.widgets.Select(
            label="verdict",
            options={"any verdict or none": ""}
            | {"not vetted by me": "mine"}
            | {presets[name].sentence: name for name in _VERDICTS},
            value="",
            css_classes=["msfa-select"],
            **wide,
        )
        self.reason = pn.widgets.Select(
            label="labels",
            options=reason_options(state),
            value=state.queue.reason,
            css_classes=["msfa-select"],
            **wide,
        )
        self.order = pn.widgets.Select(
            label="order",
            options={order.sentence: name for name, order in ORDERS.items()},
            value=state.queue.order,
            css_classes=["msfa-select"],
            **wide,
        )
        self.widen = pn.widgets.Button(
            label=f"show all: {counted(len(state.verdicts.table), 'spectrum', 'spectra')}",
            visible=False, css_classes=["msfa-lift", "msfa-widen"], **wide,
        )  # fmt: skip
        self.add = pn.widgets.Toggle(
            label="+ filter", css_classes=["msfa-chips", "msfa-add-filter"], stylesheets=css,
            margin=(0, 0, 2, 0), sizing_mode="fixed", width=56, height=24,
        )  # fmt: skip
        self.named = SubsetChooser(state)
        self._removables: dict[str, pn.widgets.Button] = {}
        self._sentences = pn.Column(sizing_mode="stretch_width", margin=0, stylesheets=css)
        self.progress = pn.pane.HTML("", css_classes=["msfa-progress"], **wide)
        self.pager = pn.pane.HTML("", css_classes=["msfa-pager"], **wide)
        step: dict[str, Any] = {"width": 30, "stylesheets": css, "margin": 0}
        self.back = pn.widgets.Button(label="‹", css_classes=["msfa-step"], **step)
        self.forth = pn.widgets.Button(label="›", css_classes=["msfa-step"], **step)
        self.page = 0
        self.table = ReadTable(
            queue_page(state, 0),
            {"obsid": OBSID_LEAST},  # takes the room that is left
            hides=True,
            widths=WIDTHS,
            text_align={"S/N": "right", "p_bhb": "right", "mine": "center", "rec.": "center"},
            header_tooltips={"mine": SIGN_WORDS, "rec.": SIGN_WORDS, "p_bhb": P_BHB_WORDS},
            min_height=120,
        )
        self._menus = pn.Column(sizing_mode="stretch_width", margin=0, stylesheets=css)
        self._waiting: list[Any] = []
        self._follows = False  # the menu follows the queue, which it leads else
        self._seeing = ""  # what was shown before the reviewer went blind
        self.search.param.watch(self._find, "value")
        self.scope.param.watch(self._filter, "value")
        self.verdict.param.watch(self._filter, "value")
        self.reason.param.watch(self._limit, "value")
        state.watch(
            self._offer_reasons,
            "labels.logg_limit",
            "labels.feh_limit",
            "queue.obsids",
            "queue.reason",
        )
        self.order.param.watch(lambda event: self._reorder(event.new), "value")
        state.watch(self._go_blind, "verdicts.blind")
        state.watch(self._begin_with_own_share, "verdicts.reviewer")
        self.widen.on_click(lambda _: self._show_all())
        self.add.param.watch(lambda *_: self._go_blind(), "value")
        self.back.on_click(lambda _: self._show_page(self.page - 1))
        self.forth.on_click(lambda _: self._show_page(self.page + 1))
        state.watch(self._refill, "queue.obsids", "verdicts.blind")
        state.watch(self._follow_soon, "screen.star", "verdicts.version")
        self._go_blind()
        self._refill()

    # --- what the reviewer chooses -----------------------------------------------------------
    @property
    def choices(self) -> dict[str, pn.widgets.Select]:
        """The menus, by their names in the address."""
        return {
            "show": self.scope, "verdict": self.verdict, "labels": self.reason, "order": self.order,
        }  # fmt: skip

    @property
    def chosen(self) -> dict[str, str]:
        """What is chosen in each menu; empty where it is what a page begins with, or blind."""
        blind = self.state.verdicts.blind
        return {
            name: (
                ""
                if menu.value == BEGIN_WITH[name] or (blind and menu.value != ASSIGNED)
                else str(menu.value)
            )
            for name, menu in self.choices.items()
        } | {"subset": "" if blind else self.state.queue.combination}

    def choose(self, wanted: Mapping[str, str]) -> None:
        """Choose in the menus, by their names in the address; what they do not offer is told."""
        for name, menu in self.choices.items():
            value = wanted.get(name, "")
            if value and value in menu.options.values():
                menu.value = value
            elif value and not self.state.verdicts.blind:  # who works blind is offered less
                self.state.status.add(not_offered(name, value, menu.options.values()))
        if wanted.get("subset") and not self.state.verdicts.blind:
            self.named.combine(wanted["subset"])
        self._go_blind()

    def _begin_with_own_share(self, *_: Any) -> None:
        """Show a new name what is assigned to it, where the queue is what a page begins with."""
        queue, scope = self.state.queue, self.scope
        if self.state.is_linked or ASSIGNED not in scope.options.values():
            return
        if queue.sentences != [self.state.verdicts.presets[scope.value].sentence]:
            return
        begin = BLIND_SCOPE if self.state.verdicts.blind else BEGIN_WITH["show"]
        is_mine = has_share(self.state)
        if is_mine and scope.value == begin:
            scope.value = ASSIGNED
        elif not is_mine and scope.value == ASSIGNED:
            scope.value = begin

    def _filter(self, *_: Any) -> None:
        if self._follows:
            return
        others = [f for f in self.state.queue.filters if f.name in KEPT]
        verdict = vetted_scope(self.state, self.verdict.value)
        scope = self.state.verdicts.presets[self.scope.value]
        self.state.queue.set_filters([scope, *([verdict] if verdict else []), *others])
        self.state.screen.first()

    def _reorder(self, order: str) -> None:
        """Begin at the head of the new order."""
        self.state.queue.set_order(order)
        self.state.screen.first()

    def _go_blind(self, *_: Any) -> None:
        """Offer no choice whose words, counts or order tell what others and machines say."""
        blind = self.state.verdicts.blind
        if blind and self.scope.value not in _BLIND:
            self._seeing, self.scope.value = self.scope.value, BLIND_SCOPE
        elif not blind and self._seeing:
            self.scope.value, self._seeing = self._seeing, ""
        if blind and self.verdict.value not in ("", "mine"):
            self.verdict.value = ""
        if blind and self.reason.value:
            self.reason.value = ""
        if blind and self.state.queue.combination:  # names tell
            self.state.queue.limit_to("")
        self.add.visible = not blind
        menus: list[pn.viewable.Viewable] = []
        if self.add.value:
            self.named.offer()
            menus = [self.scope, self.verdict, self.reason, *self.named.menus]
        shown = [] if blind else [*menus, self.order]  # not hidden: not in the page at all
        if list(self._menus) != shown:
            self._menus[:] = shown
        self._say_filters()

    def _agree(self) -> None:
        """Have the menu say what is in force, when another page changed it (disagreements)."""
        scope = next((f.name for f in self.state.queue.filters if f.name in _SCOPES), "all")
        if scope != self.scope.value:
            self._follows = True
            self.scope.value = scope
            self._follows = False

    def _say_filters(self) -> None:
        """Write each filter in force as a sentence that a click takes away."""
        blind = self.state.verdicts.blind  # not hidden: not in the page at all
        said = [] if blind else [f for f in self.state.queue.filters if f.name != "all"]
        shown = [self._removable(condition) for condition in said]
        if list(self._sentences) != shown:  # a child more or less has the whole page looked through
            self._sentences[:] = shown

    def _removable(self, condition: Filter) -> pn.widgets.Button:
        """Return the button of a filter, the same one as long as the page lives."""
        name = condition.name
        if name not in self._removables:
            button = self._removables[name] = pn.widgets.Button(
                css_classes=["msfa-sentence"], margin=0, sizing_mode="stretch_width",
                stylesheets=[stylesheet()],
            )  # fmt: skip
            button.on_click(lambda _: self._take_away(name))
        self._removables[name].label = f"{condition.sentence}  ✕"
        return self._removables[name]

    def _take_away(self, name: str) -> None:
        """Put a filter out of force; the star on screen stays while it is in the queue."""
        if name == "brush":
            self.state.queue.brush((), "")
        elif name == "subset":
            self.state.queue.limit_to("")
        elif name == "verdict":
            self.verdict.value = ""
        elif name == "reason":
            self.reason.value = ""
        else:
            self.scope.value = "all"

    # --- the list ----------------------------------------------------------------------------
    def _show_all(self) -> None:
        """Leave no filter in force."""
        self.verdict.value, self.reason.value = "", ""
        self.state.queue.set_filters([self.state.verdicts.presets["all"]])
        self.scope.value = "all"
        self.state.screen.first()

    def _limit(self, event: Any) -> None:
        if event.new != self.state.queue.reason:
            self.state.queue.reason = event.new
            self.state.screen.first()

    def _offer_reasons(self, *_: Any) -> None:
        """Write the counts anew after a limit has moved."""
        options = reason_options(self.state)
        if options != self.reason.options or self.reason.value != self.state.queue.reason:
            if self.state.queue.reason not in options.values():  # nobody is left of it
                options["no star has this reason now"] = self.state.queue.reason
            self.reason.param.update(options=options, value=self.state.queue.reason)

    def _find(self, event: Any) -> None:
        if event.new.strip():
            self.state.status.attempt(self.state.screen.find, event.new)
            self.search.value = ""

    # --- what is shown -----------------------------------------------------------------------
    def _refill(self, *_: Any) -> None:
        """Show the queue after it has changed, at the star on screen."""
        self.widen.visible = not len(self.state.queue.obsids) and len(self.state.verdicts.table) > 0
        self._agree()
        self._say_filters()
        self._show_page(max(self.state.screen.place, 0) // PAGE)
        self._follow()

    def _show_page(self, page: int) -> None:
        n_pages = max(-(-len(self.state.queue.obsids) // PAGE), 1)
        self.page = min(max(page, 0), n_pages - 1)
        self.table.value = queue_page(self.state, self.page)
        first, last = (
            self.page * PAGE + 1,
            min((self.page + 1) * PAGE, len(self.state.queue.obsids)),
        )
        self.pager.object = (
            f"{first:,}–{last:,} of {len(self.state.queue.obsids):,}" if last else "none"
        )
        self.back.disabled, self.forth.disabled = self.page == 0, self.page == n_pages - 1
        self.table.selection = self._selection()

    def _selection(self) -> list[int]:
        row = self.state.screen.place - self.page * PAGE
        return [row] if 0 <= row < len(self.table.value) else []

    def _follow_soon(self, *_: Any) -> None:
        """Follow the star on screen a little later, when the keys pause: it is painted first."""
        if self.state.screen.is_trying:
            return
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            self._follow()
            self._write_verdicts()
            return
        for waiting in self._waiting:
            if waiting in document.session_callbacks:
                document.remove_timeout_callback(waiting)
        more = KEYS_WAIT if self.state.screen.keys_wait else 0
        self._waiting = [
            document.add_timeout_callback(self._follow, _FOLLOW_AFTER + more),
            document.add_timeout_callback(self._write_verdicts, _WRITE_AFTER + more),
        ]

    def _follow(self) -> None:
        self.progress.object = progress_html(self.state)
        place = self.state.screen.place
        if place >= 0 and place // PAGE != self.page:
            self._show_page(place // PAGE)
        else:
            self.table.selection = self._selection()

    def _write_verdicts(self) -> None:
        rows = self.state.data.rows(
            self.state.queue.obsids[self.page * PAGE : (self.page + 1) * PAGE]
        )
        changes = {
            column: [(int(row), now[row]) for row in np.flatnonzero(shown != now)]
            for column, now in zip(("mine", "rec."), verdict_signs(self.state, rows), strict=True)
            for shown in (self.table.value[column].to_numpy(),)
        }
        if any(changes.values()):
            self.table.patch({column: found for column, found in changes.items() if found})

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self.search,
            self._sentences,
            self.named.naming,
            self.add,
            self._menus,
            self.progress,
            self.widen,
            self.table,
            pn.Row(self.back, self.pager, self.forth, sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_both",
            margin=0,
            css_classes=["msfa-queue"],
            stylesheets=[stylesheet()],
        )
