"""The queue: which stars, in what order, how far the reviewer has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
from numpy.typing import NDArray

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.state.labels import ANY_REASON, NO_REASON
from dashboard.state.queue import ORDERS
from dashboard.state.screen import KEYS_WAIT, TOLD
from dashboard.state.verdicts import ASSIGNED
from dashboard.theme import stylesheet
from dashboard.views.read_table import ReadTable
from dashboard.views.subsets import SubsetChooser
from msfa_core.rules import domain_sentence, stage1_says_bhb
from msfa_core.slam.reasons import has_reason
from msfa_core.spine.witnesses import probability_words
from msfa_core.vetting.filters import Filter

_FOLLOW_AFTER: Final = 150  # ms: the list follows once the spectrum has been painted
_WRITE_AFTER: Final = 700  # ms: verdicts are written when the keys pause (a redraw of the list)
PAGE: Final = 200  # rows sent to the browser at a time
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
BLIND_SCOPE: Final = "all"  # others tell what machines say of the stars in them
_BLIND: Final = (BLIND_SCOPE, ASSIGNED)
SIGNS: Final = {"accept": "✓", "reject": "✕", "unsure": "?", "disputed": "≠"}
COLUMNS: Final = ("obsid", "mine", "rec.", "p_bhb", "S/N", "class")
SIGN_WORDS: Final = "verdicts: ✓ accept  ✕ reject  ? unsure  ≠ disputed; rec. = of record"
P_BHB_WORDS: Final = "stage 2 says BHB with this probability; 1−2e-5 is 0.99998"
WIDTHS: Final = {"mine": 30, "rec.": 28, "p_bhb": 42, "S/N": 30, "class": 32}  # px
OBSID_LEAST: Final = 70  # px, for the ten digits of LAMOST
_VERDICTS: Final = ("with verdict", "without verdict", "accept", "reject", "unsure", "disputed")


def queue_page(state: Session, page: int) -> pd.DataFrame:
    """Return one page of the queue as text, in order.

    Text throughout: 64-bit ids lose digits in a browser, and nothing is read as HTML.
    """
    rows = state.data.rows(state.queue.obsids[page * PAGE : (page + 1) * PAGE])
    names = ("obsid", "predicted_class", "p_bhb", "snr_g")  # of 140: the others need not be read
    table = {name: state.verdicts.table[name].iloc[rows] for name in names}
    hidden = np.full(len(rows), "·", dtype=object)
    classes = table["predicted_class"].fillna("").to_numpy(object)
    mine, record = verdict_signs(state, rows)
    return pd.DataFrame(
        {
            "obsid": table["obsid"].astype("str").to_numpy(object),
            "mine": mine,
            "rec.": record,
            "p_bhb": hidden if state.verdicts.blind else probabilities(table["p_bhb"]),
            "S/N": _fixed(table["snr_g"], 0),
            "class": hidden if state.verdicts.blind else classes,
        },
        dtype=object,
    )


def not_offered(name: str, value: str, offered: Iterable[Any]) -> str:
    """Return what the address of a page asks for in vain, and what it may ask for."""
    told = value if len(value) <= TOLD else f"{value[:TOLD]}…"
    known = ", ".join(str(one) for one in offered if one)
    return f"The address asks for {name}={told}, which is not offered: {known}."


def probabilities(p: pd.Series) -> NDArray[np.object_]:
    """Return probabilities in few characters (`probability_words`)."""
    given = p.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([probability_words(value) for value in given], dtype=object)


def verdict_signs(
    state: Session, rows: NDArray[np.intp]
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the signs of one's own verdicts on these rows, and of those of record.

    A blind reviewer sees no verdict of record.
    """
    mine = [SIGNS.get(str(verdict), "") for verdict in state.verdicts.mine[rows]]
    if state.verdicts.blind:
        record = ["·"] * len(rows)
    else:
        kept = state.verdicts.table["verdict"].iloc[rows].fillna("")
        record = [SIGNS.get(str(verdict), "") for verdict in kept]
    return np.array(mine, dtype=object), np.array(record, dtype=object)


def _fixed(values: pd.Series, digits: int) -> NDArray[np.object_]:
    """Return numbers as text of fixed digits; empty where missing."""
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    return np.array(["" if np.isnan(v) else f"{v:.{digits}f}" for v in numbers], dtype=object)


def progress_words(state: Session) -> str:
    """Return how far the reviewer has come, in stars: ``12 of 251 stars vetted by me``."""
    vetted, unsure, total = state.queue.progress
    words = f"{vetted:,} of {counted(total, 'star', 'stars')} vetted by me"
    return f"{words}, {unsure:,} unsure" if unsure else words


def pace_words(state: Session) -> str:
    """Return how fast the reviewer decides, and how long the rest will take at that pace."""
    seconds = state.verdicts.seconds_per_star
    if not np.isfinite(seconds) or seconds <= 0:
        return ""
    vetted, _, total = state.queue.progress
    left = (total - vetted) * seconds / 60.0
    words = f"{60.0 / seconds:.1f} per minute"
    if total <= vetted:
        return words
    if left < 1:
        return f"{words} · less than a minute left"
    hours, minutes = divmod(round(left), 60)
    return f"{words} · {f'{hours:,} h {minutes:02d}' if hours else f'{minutes}'} min left"


def has_share(state: Session) -> bool:
    """Tell whether stars are assigned to the reviewer."""
    return bool(state.verdicts.assigned_to_me(state.data.candidates).any())


def lacks_share(state: Session) -> bool:
    """Tell whether the queue is what is assigned to a reviewer to whom nothing is."""
    return any(f.name == ASSIGNED for f in state.queue.filters) and not has_share(state)


def shareless_words(state: Session) -> str:
    """Return whose queue is empty: it is no other reviewer's."""
    name = state.verdicts.reviewer.strip()
    return f"no stars are assigned to {name}" if name else "write your name: field reviewer"


def empty_words(state: Session) -> str:
    """Return why the queue holds no star, and what can be done."""
    table = state.verdicts.table
    if not len(table):
        return f"no spectra yet: `msfa ingest {state.survey.path} FILES`"
    if any(f.name in (*KEPT, "verdict") for f in state.queue.filters):
        return f"none of {len(table):,} spectra is left by: {'; '.join(state.queue.sentences)}"
    if table["predicted_class"].isna().all():
        return f"nothing was classified yet: `msfa run {state.survey.path}`"
    domain = int(table["in_search_domain"].fillna(False).sum())
    if not domain:
        return (
            f"none of {len(table):,} spectra is in the search domain "
            f"({domain_sentence(state.data.settings)}): without class, subclass and S/N a "
            "spectrum is outside; a catalogue can add them"
        )
    if [f.name for f in state.queue.filters] == ["candidates"]:
        called = int(stage1_says_bhb(table["predicted_class"]).sum())
        return (
            f"0 of {len(table):,} spectra are candidates: {domain:,} are in the search domain "
            f"(A or B), {called:,} are called BHB by stage 1"
        )
    return (
        f"none of {len(table):,} spectra is left by: {'; '.join(state.queue.sentences)} "
        f"({domain:,} are in the search domain)"
    )


def progress_html(state: Session) -> str:
    """Return the progress in words over a bar, and the pace."""
    vetted, _, total = state.queue.progress
    if not total and (lacks_share(state) or not state.verdicts.blind):
        words = shareless_words(state) if lacks_share(state) else empty_words(state)
        return f'<div class="msfa-progress-words">{escape(words)}</div>'
    share = 100.0 * vetted / total if total else 0.0
    pace = pace_words(state)
    return (
        f'<div class="msfa-progress-words">{escape(progress_words(state))}</div>'
        f'<div class="msfa-progress-track"><i style="width:{share:.1f}%"></i></div>'
        f'<div class="msfa-pace">{escape(pace)}</div>'
    )


def reason_options(state: Session) -> dict[str, str]:
    """Return the choices of the label menu, each with how many the other filters leave of it."""
    outliers = has_reason(state.labels.flags[state.queue.in_scope])
    options = {
        "any labels": "",
        f"all outliers ({int(outliers.sum()):,})": ANY_REASON,
        f"no outliers ({int((~outliers).sum()):,})": NO_REASON,
    }
    for reason, n in state.labels.reason_counts(state.queue.in_scope).items():
        if n:
            options[f"{state.labels.reason_sentence(reason)} ({n:,})"] = str(int(reason))
    return options


def vetted_scope(state: Session, choice: str) -> Filter | None:
    """Return the filter behind a choice of the verdict menu."""
    if choice == "mine":
        done = set(state.data.obsid[state.verdicts.mine != ""].tolist())
        return Filter(
            "verdict",
            "not vetted by me",
            lambda table: ~table["obsid"].isin(done).to_numpy(dtype=bool),
        )
    if not choice:
        return None
    return replace(state.verdicts.presets[choice], name="verdict")


KEPT: Final = ("brush", "reason", "subset")  # filters that no menu puts out of force
BEGIN_WITH: Final = {"show": "candidates", "verdict": "", "labels": "", "order": "p_bhb"}


class QueueView(pn.viewable.Viewer):
    """List, filters, order, search and progress, bound to the state."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        css = [stylesheet()]
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": css, "margin": 0}
        presets = state.verdicts.presets
        names = {"all": "all spectra", ASSIGNED: "assigned to me"}
        offered = [
            name for name in _SCOPES if name != ASSIGNED or state.data.assignment is not None
        ]
        scopes = {names.get(name, name): name for name in offered}
        self.search = pn.widgets.TextInput(
            label="search",
            placeholder="obsid, Gaia, position, file ( / )",
            css_classes=["msfa-search"],
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
            label=f"show all {len(state.verdicts.table):,} spectra", visible=False,
            css_classes=["msfa-lift", "msfa-widen"], **wide,
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
        self.table.on_click(self._open)
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
                self.state.status.say(not_offered(name, value, menu.options.values()), "error")
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

    def _open(self, event: Any) -> None:
        place = self.page * PAGE + int(event.row)
        if place < len(self.state.queue.obsids):
            self.state.status.attempt(self.state.screen.select, int(self.state.queue.obsids[place]))

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
