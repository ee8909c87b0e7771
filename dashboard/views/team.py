"""The page of a team: who disagrees, how far each has come, and the record of all decisions."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.planes.linked import quiet_button
from dashboard.state import Session
from dashboard.theme import stylesheet
from dashboard.views.audit import AuditView
from dashboard.views.compare import CompareView
from dashboard.views.page import Leaf, Page, turn_at_once
from msfa_core.vetting.assignment import deal, progress, write_assignment
from msfa_core.vetting.roles import Act

SIDES: Final = ("agreement", "shared work", "record")


def _interval(row: pd.Series, name: str) -> str:
    """Return a share with its 95 % interval: ``0.80 (0.65–0.90)``; a dash for unknown."""
    if not np.isfinite(row[name]):
        return "–"
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f}–{row[f'{name}_high']:.2f})"


def progress_table_html(told: pd.DataFrame) -> str:
    """Return how far each reviewer has come, and how they do on known stars."""
    head = ("reviewer", "done", "of", "unsure", "known stars", "completeness", "contamination")
    rows = []
    for name, row in told.astype(object).iterrows():
        cells = (
            name, row["done"], row["assigned"], row["unsure"], row["n_known"],
            _interval(row, "completeness"), _interval(row, "contamination"),
        )  # fmt: skip
        rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    titles = "".join(f"<th>{word}</th>" for word in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table class='msfa-preview'><thead><tr>{titles}</tr></thead>{body}</table>"


class SharedWorkView(Page):
    """Who sees which stars: what is in force, and a new deal for who may make one."""

    reviewers = param.String(doc="Names, with commas")
    per_star = param.Integer(default=1, bounds=(1, None), doc="Reviewers who see a star")
    overlap = param.Integer(default=100, bounds=(0, 100), doc="Percent of stars several see")
    seed = param.Integer(default=0, bounds=(0, None), doc="The same seed deals alike")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": (4, 10)}
        self.words = pn.pane.HTML("", sizing_mode="stretch_width", **css)
        self._deal = quiet_button(
            "share the queue", self.share, "Deal the stars of the queue to these reviewers", "deal"
        )
        self._deal.align = "end"
        self.follow(self.refresh, "verdicts.version", "verdicts.table")
        self.refresh()

    def refresh(self) -> None:
        """Show how far everybody has come."""
        self.state.status.attempt(self._read)

    def _read(self) -> None:
        made, data = self.state.data.assignment, self.state.data
        if made is None:
            self.words.object = (
                "<p>No stars are shared yet: every reviewer sees the whole queue. "
                "<code>msfa assign</code> shares them, or an admin does it here.</p>"
            )
            return
        told = progress(made, data.store.standing(), data.candidates)
        said = f"{made.said.get('stars', '')}; seed {made.said.get('seed', '')}"
        self.words.object = f"<p>{escape(said)}</p>{progress_table_html(told)}"

    def share(self) -> None:
        """Deal the stars of the queue, in place of what is in force."""
        if self.state.status.attempt(self._share):
            self.state.status.say("stars are shared: pages show their own share once loaded anew")
        self.refresh()

    def _share(self) -> None:
        state = self.state
        state.verdicts.door.check(Act.ASSIGN, state.verdicts.reviewer)
        rows = state.queue.rows
        first = np.unique(state.data.star[rows], return_index=True)[1]
        made = deal(
            state.data.obsid[rows[first]],
            [name for name in self.reviewers.split(",") if name.strip()],
            per_star=self.per_star,
            overlap=self.overlap / 100,
            seed=self.seed,
            known=state.verdicts.known_answers(),
            stars="; ".join(state.queue.sentences),
        )
        with state.survey.lock():
            write_assignment(state.survey.path, made)
            state.survey.record("assign", reviewers=made.reviewers, **dict(made.said))

    def __panel__(self) -> pn.viewable.Viewable:
        number: Any = pn.widgets.IntInput.from_param
        css: dict[str, Any] = {"css_classes": ["msfa-form"], "stylesheets": [stylesheet()]}
        form = pn.Row(
            pn.widgets.TextInput.from_param(
                self.param.reviewers, label="reviewers", placeholder="names, with commas",
                width=260, **css,
            ),
            number(self.param.per_star, label="per star", width=100, **css),
            number(self.param.overlap, label="overlap %", width=100, **css),
            number(self.param.seed, label="seed", width=100, **css),
            self._deal,
            margin=(4, 10),
        )  # fmt: skip
        return pn.Column(self.words, form, sizing_mode="stretch_both", margin=0)


class TeamPage(Page):
    """Agreement, shared work and the record behind one another.

    Parameters
    ----------
    state : Session
    go_to_star : callable
        Turns to the page with the spectrum.
    """

    def __init__(self, state: Session, go_to_star: Callable[[], Any], **params: Any) -> None:
        super().__init__(state, **params)
        css: dict[str, Any] = {"stylesheets": [stylesheet()]}
        fill: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0, **css}
        self.sides = {
            SIDES[0]: Leaf(
                "Reading who agrees …", lambda: CompareView(state, go_to_star=go_to_star), **fill
            ),
            SIDES[1]: Leaf("Reading who has which stars …", lambda: SharedWorkView(state), **fill),
            SIDES[2]: Leaf("Reading every decision …", lambda: AuditView(state), **fill),
        }
        self.chooser = pn.widgets.RadioButtonGroup(
            options=list(SIDES), value=SIDES[0], css_classes=["msfa-chips", "team-sides"],
            margin=(2, 0, 12, 0), **css,
        )  # fmt: skip
        turn_at_once(self.chooser, {name: side.column for name, side in self.sides.items()})
        self.chooser.param.watch(lambda *_: self._turn(), "value")
        self.param.watch(lambda *_: self._turn(), "in_sight")
        self._turn()

    def _turn(self) -> None:
        """Show the side that is chosen; the others sleep."""
        for name, side in self.sides.items():
            side.column.visible = name == self.chooser.value
            side.look(self.in_sight and side.column.visible)

    def __panel__(self) -> pn.viewable.Viewable:
        columns = [side.column for side in self.sides.values()]
        return pn.Column(self.chooser, *columns, sizing_mode="stretch_both", margin=0)
