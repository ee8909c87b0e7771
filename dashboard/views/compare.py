"""Two reviewers side by side: how well they agree, where they do not, and the final verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.planes.cells import counted, star_name
from dashboard.planes.linked import notice, quiet_button
from dashboard.planes.words import Words
from dashboard.state import Session
from dashboard.theme import stylesheet
from dashboard.views.page import Page
from dashboard.views.read_table import ReadTable
from dashboard.views.strip import names_words
from msfa_core.constants import VERDICT_RULES
from msfa_core.spine.witnesses import probability_words
from msfa_core.vetting.agreement import (
    cohen_kappa,
    fleiss_kappa,
    in_dispute,
    kappa_in_words,
    verdict_matrix,
)
from msfa_core.vetting.decision import CONFIDENCE, Decision, Verdict
from msfa_core.vetting.record import standing

NOBODY: Final = "–"
PAIR: Final = 2
LISTED: Final = ("obsid", "star", "one", "other", "p_bhb", "of record")
_LEAST_WIDTHS: Final = {"obsid": 84, "star": 150}  # px: numbers are seen whole
TYPED: Final = 100_000  # characters: a comment that is too long is refused, none is cut off
PAGE: Final = 200  # disagreements listed at a time
HIDDEN: Final = notice(
    "Hidden", "You are reviewing blind: other reviewers' verdicts are shown when it is off (key b)."
)
INVITATION: Final = (
    "A second reviewer opens the same address, writes another name (in the verdict bar) "
    "and decides; this page then shows both."
)


def alone_html(verdicts: pd.DataFrame) -> str:
    """Return why there is nothing to compare, and the next step."""
    names = [str(name) for name in verdicts.columns]
    if not names:
        why = "Nobody has decided anything in this survey yet: turn to Vet and press a, r or u. "
    else:
        n = int(verdicts.iloc[:, 0].notna().sum())
        why = f"So far only {names[0]} has decided, on {n:,} star{'s' if n > 1 else ''}. "
    return notice("Nobody to compare with", why + INVITATION)


def _pair(names: list[str], first: str, second: str) -> tuple[str, str]:
    """Return two different reviewers, those chosen so far where they are still there."""
    first = first if first in names else next(iter(names), NOBODY)
    others = [name for name in names if name != first]
    return first, second if second in others else next(iter(others), NOBODY)


def kappa_words(kappa: float, n_stars: int) -> str:
    """Return a kappa and what it is called: ``0.72 (substantial)``; of few stars, no more."""
    if not np.isfinite(kappa):
        return "undefined (nothing in common, or only one thing ever said)"
    return f"{kappa:.2f} ({kappa_in_words(kappa, n_stars)})".replace("-", "−")


def agreement_html(verdicts: pd.DataFrame, first: str, second: str) -> str:
    """Return how well two reviewers agree, and all of them."""
    both = verdicts[[first, second]].dropna()
    same = int((both[first] == both[second]).sum())
    share = f" ({100 * same / len(both):.0f} %)" if len(both) else ""
    lines = [
        f"{counted(len(both), 'star was', 'stars were')} judged by both; "
        f"the same was said of {same:,}{share}",
        f"Cohen's κ = {kappa_words(cohen_kappa(both[first], both[second]), len(both))}",
    ]
    if verdicts.shape[1] > PAIR:
        n_shared = int((verdicts.notna().sum(axis=1) > 1).sum())
        kappa = kappa_words(fleiss_kappa(verdicts), n_shared)
        lines.append(f"all {verdicts.shape[1]} reviewers: Fleiss' κ = {kappa}")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def matrix_html(verdicts: pd.DataFrame, first: str, second: str) -> str:
    """Return who said what of the same stars, as a table."""
    counts = verdict_matrix(verdicts[first], verdicts[second])
    head = "".join(f"<th>{escape(kind)}</th>" for kind in counts.columns)
    rows = []
    for kind in counts.index:
        cells = "".join(
            f"<td class='{'msfa-same' if kind == other else ''}'>{counts.loc[kind, other]:,}</td>"
            for other in counts.columns
        )
        rows.append(f"<tr><th>{escape(kind)}</th>{cells}</tr>")
    return (
        f"<table class='msfa-matrix'><caption>stars; rows: {escape(first)}, columns: "
        f"{escape(second)}</caption><tr><th></th>{head}</tr>{''.join(rows)}</table>"
    )


def decision_html(decision: Decision | None, reviewer: str) -> str:
    """Return what one reviewer said of a star, whole; every text is escaped."""
    if decision is None:
        return f"<h3>{escape(reviewer)}</h3><p class='msfa-hint'>has not decided</p>"
    kind = str(decision.verdict)
    said = f"<b class='msfa-word msfa-{kind}'>{kind}</b>"
    if decision.verdict_class:
        said += f" as {escape(decision.verdict_class)}"
    facts = []
    if decision.confidence:
        facts.append(f"confidence {decision.confidence}: {CONFIDENCE[decision.confidence]}")
    facts += [", ".join(decision.issue_flags), decision.decided_at[:19].replace("T", " ") + " UTC"]
    told = "".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)
    comment = f"<blockquote>{escape(decision.comment)}</blockquote>" if decision.comment else ""
    return f"<h3>{escape(reviewer)}</h3><p>{said}</p>{told}{comment}"


class CompareView(Page):
    """The page of agreement, bound to the state.

    Parameters
    ----------
    state : Session
    go_to_star : callable
        Turns to the page with the spectrum.
    """

    first: param.Selector[str] = param.Selector(
        default=NOBODY, objects=[NOBODY], doc="One reviewer"
    )
    second: param.Selector[str] = param.Selector(
        default=NOBODY, objects=[NOBODY], doc="The other one"
    )
    unsettled = param.Boolean(default=True, doc="List stars without a final verdict only")

    def __init__(self, state: Session, go_to_star: Callable[[], Any], **params: Any) -> None:
        super().__init__(state, **params)
        self._go_to_star = go_to_star
        self.verdicts = pd.DataFrame()
        self.disputed = pd.DataFrame()
        self._drafts: dict[int, str] = {}  # comments that were begun on other stars
        self._commented = 0  # the star whose comment is being written; 0 for none
        self._build()
        self.param.watch(self._choose, ["first", "second"])
        self.param.watch(lambda *_: self._draw(), "unsettled")
        self.follow(self.refresh, "verdicts.version", "verdicts.blind", "verdicts.table")
        self.follow(self._draw_star, "screen.star")
        self.follow(self._restore, "verdicts.taken_back")
        self.refresh()

    def _build(self) -> None:
        css: dict[str, Any] = {"stylesheets": [stylesheet()]}
        wide: dict[str, Any] = {**css, "sizing_mode": "stretch_width", "margin": (0, 0, 6, 0)}
        self._who = [
            pn.widgets.Select.from_param(
                self.param[name], label=label, description=None, css_classes=["msfa-select"], **wide
            )
            for name, label in (("first", "one"), ("second", "other"))
        ]
        self._numbers = pn.pane.HTML("", css_classes=["msfa-compare"], **wide)
        self._matrix = pn.pane.HTML("", css_classes=["msfa-compare"], **wide)
        self._notice = pn.pane.HTML("", visible=False, **css)
        self._only = pn.widgets.Checkbox.from_param(
            self.param.unsettled, label="without a final verdict only", **wide
        )
        self._list = ReadTable(self._rows(), _LEAST_WIDTHS, min_height=160)
        self._queue = quiet_button(
            "put them in the queue", self.queue_disputed,
            "Limit the queue to these stars and look at them one by one", "queue-disputed",
        )  # fmt: skip
        self._count = pn.pane.HTML("", css_classes=["msfa-compare"], **wide)
        self._sides = [
            pn.pane.HTML("", css_classes=["msfa-compare", "msfa-side"], **css,
                         sizing_mode="stretch_width")
            for _ in self._who
        ]  # fmt: skip
        self._record = pn.pane.HTML("", css_classes=["msfa-compare"], **wide)
        self._comment = pn.widgets.TextAreaInput(
            placeholder="why (kept with the final verdict)",
            rows=3,
            max_length=TYPED,
            css_classes=["msfa-form"],
            **wide,
        )
        self._settlers = [
            quiet_button(
                f"final: {verdict}", partial(self.settle, verdict),
                "Settles the star; the verdicts of both are kept (key z takes it back)",
                f"final-{verdict}",
            )
            for verdict in Verdict
        ]  # fmt: skip
        self._see = quiet_button(
            "see its spectrum", self._go_to_star, "Go to the page with the spectrum", "see"
        )
        self._said = Words("", css_classes=["msfa-compare"], **wide)
        self.follow(self._say, "status.message", "status.tone")
        fill: dict[str, Any] = {**css, "sizing_mode": "stretch_both", "margin": 0}
        left = pn.Column(*self._who, self._numbers, self._matrix, **{**fill, "width": 360,
                         "sizing_mode": "stretch_height"})  # fmt: skip
        middle = pn.Column(self._count, pn.Row(self._only, self._queue, **wide), self._list, **fill)
        right = pn.Column(
            self._record, pn.Row(*self._sides, **wide), self._comment,
            pn.Row(*self._settlers, self._see, **wide), self._said, **fill,
        )  # fmt: skip
        self._page = pn.Row(left, middle, right, css_classes=["msfa-compare-page"], **fill)

    # --- what is compared ------------------------------------------------------------------------
    def refresh(self) -> None:
        """Read what everybody has decided so far."""
        self.verdicts = self.state.verdicts.by_reviewer()
        names = [str(name) for name in self.verdicts.columns]
        enough = len(names) >= PAIR and not self.state.verdicts.blind
        self._notice.visible = not enough
        self._page.visible = enough
        self._notice.object = HIDDEN if self.state.verdicts.blind else alone_html(self.verdicts)
        first, second = _pair(names, self.first, self.second)
        offered = names if len(names) >= PAIR else [*names, NOBODY]
        with param.parameterized.discard_events(self):  # two at once, then drawn once
            for name, chosen in (("first", first), ("second", second)):
                self.param[name].objects = offered
                setattr(self, name, chosen)
        for widget, chosen in zip(self._who, (first, second), strict=True):
            widget.param.update(options=offered, value=chosen)
        self._draw()

    def _choose(self, *events: param.parameterized.Event) -> None:
        """Compare two different reviewers: who is chosen twice changes places with the other."""
        if self.first == self.second and len(self.verdicts.columns) >= PAIR:
            event = events[0]
            other = "second" if event.name == "first" else "first"
            setattr(self, other, event.old)
            return
        self._draw()

    def _draw(self) -> None:
        if self._page.visible:
            pair = self.first, self.second
            self._numbers.object = agreement_html(self.verdicts, *pair)
            self._matrix.object = matrix_html(self.verdicts, *pair)
            self.disputed = self._disputed()
            # the heads of a table are HTML, and a reviewer writes what they like as a name
            heads = zip(("one", "other"), pair, strict=True)
            titles = {column: escape(name) for column, name in heads}
            if self._list.titles != titles:  # a long name is cut off; under the mouse it is whole
                self._list.param.update(header_tooltips=titles, titles=titles)
            self._list.value = self._rows()
            n, shown = len(self.disputed), min(len(self.disputed), PAGE)
            self._queue.disabled = not n
            first = f", the first {shown} listed" if n > shown else ""
            self._count.object = (
                f"<p>{counted(n, 'star', 'stars')} on which they disagree{first}</p>"
            )
        self._draw_star()

    def _disputed(self) -> pd.DataFrame:
        """Return the verdicts on the stars that these two disagree on."""
        pair = self.verdicts[[self.first, self.second]]
        disputed = pair[in_dispute(pair).to_numpy()]
        if self.unsettled and len(disputed):
            disputed = disputed[~self.state.verdicts.are_settled(disputed.index)]
        return disputed

    def _rows(self) -> pd.DataFrame:
        """Return the list of disagreements as text: nothing is read as HTML."""
        shown = self.disputed.iloc[:PAGE]
        if not len(shown):
            return pd.DataFrame({name: [] for name in LISTED}, dtype=object)
        table = self.state.verdicts.table.iloc[self.state.data.rows(shown.index)]
        p_bhb = table["p_bhb"].to_numpy(np.float64, na_value=np.nan)
        names = [star_name(row) for _, row in table.iterrows()]
        return pd.DataFrame(
            {
                "obsid": [str(obsid) for obsid in shown.index],
                "star": names,
                "one": shown[self.first].to_numpy(object),
                "other": shown[self.second].to_numpy(object),
                "p_bhb": [probability_words(p) for p in p_bhb],
                "of record": table["verdict"].fillna("").to_numpy(object),
            },
            dtype=object,
        )

    def _draw_star(self) -> None:
        """Show what both said of the star on screen."""
        if not self._page.visible:
            return
        star = self.state.screen.star
        said = standing(star.decisions) if star is not None else []
        for pane, name in zip(self._sides, (self.first, self.second), strict=True):
            own = [d for d in said if d.reviewer == name and not d.is_final]
            pane.object = decision_html(own[0] if own else None, name)
        for button in self._settlers:
            button.disabled = not said  # there is nothing to settle
        final = [decision for decision in said if decision.is_final]
        rule = self.state.data.settings.verdict_rule
        words = f"no final verdict yet; of record is {VERDICT_RULES[rule]}"
        if not said:
            words = "nobody has decided on the star on screen: choose one of the list"
        if final:
            by, when = final[0].reviewer, final[0].decided_at[:10]
            words = f"final verdict: {final[0].verdict}, by {by} on {when}"
        name = "no star on screen" if star is None else names_words(star)
        self._open_draft(0 if star is None else star.obsid)
        self._record.object = f"<h2>{escape(name)}</h2><p>{escape(words)}</p>"
        self._mark(star)

    def _mark(self, star: Any) -> None:
        """Mark the star on screen in the list: one that left it had left its mark on the next."""
        listed = [str(obsid) for obsid in self.disputed.index[:PAGE]]
        shown = "" if star is None else str(star.obsid)
        marked = [listed.index(shown)] if shown in listed else []
        if self._list.selection != marked:
            self._list.selection = marked

    def _say(self) -> None:
        tone = self.state.status.tone
        self._said.object = f"<p class='msfa-tone-{tone}'>{escape(self.state.status.message)}</p>"

    # --- hands -----------------------------------------------------------------------------------
    def queue_disputed(self) -> None:
        """Limit the queue to the listed disagreements, and turn to the first."""
        state = self.state
        if not len(self.disputed):
            state.status.say("They disagree on no star.")
            return
        state.queue.set_filters([state.verdicts.presets["all"]])
        n = counted(len(self.disputed), "star", "stars")
        words = f"{n} on which {self.first} and {self.second} disagree"
        state.queue.brush(self.disputed.index, words)
        state.screen.first()
        self._go_to_star()

    def settle(self, verdict: Verdict) -> None:
        """Store the final verdict on the star that this page shows."""
        star = self.state.screen.star
        shown = "" if star is None else star.obsid
        if self.state.status.attempt(
            self.state.settle, verdict, painted_obsid=shown, comment=self._typed
        ):
            self._write("")

    # --- the comment: what is typed belongs to the star that was shown -------------------------
    @property
    def _typed(self) -> str:
        return str(self._comment.value_input or self._comment.value or "")

    def _write(self, words: str) -> None:
        self._comment.param.update(value=words, value_input=words)

    def _open_draft(self, obsid: int) -> None:
        """Show what was begun on a star; what was begun on the one before is kept."""
        if obsid != self._commented:
            self._drafts[self._commented] = self._typed
            self._write(self._drafts.pop(obsid, ""))
            self._commented = obsid

    def _restore(self) -> None:
        """Offer the comment of a final verdict that was taken back again; not for a newer one."""
        last = self.state.verdicts.taken_back
        if last is None or not (last.is_final and last.comment):
            return
        if self._commented != last.obsid:
            self._drafts[last.obsid] = self._drafts.get(last.obsid) or last.comment
        elif not self._typed:
            self._write(last.comment)

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(self._notice, self._page, sizing_mode="stretch_both", margin=0)
