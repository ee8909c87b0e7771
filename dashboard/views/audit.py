"""The record: every decision of a star or a reviewer, with what was on screen, then and now."""

from __future__ import annotations

import io
import re
import tempfile
from html import escape
from pathlib import Path
from typing import Any, Final

import pandas as pd
import panel as pn
import param

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.theme import stylesheet
from dashboard.views.page import Page
from msfa_core.errors import MsfaError
from msfa_core.tables.export import export
from msfa_core.vetting.audit import audit

EVERYBODY: Final = "everybody"
PAGE: Final = 100  # decisions shown at a time; the file has all
_CHECKSUM: Final = re.compile(r"(:[0-9a-f]{10})[0-9a-f]{20,}")
_SHOWN: Final = {
    "decided_at": "when (UTC)", "reviewer": "who", "obsid": "star", "decision": "said",
    "comment": "comment", "on_screen": "what was on screen", "software_version": "version",
    "weights": "weights", "other_numbers": "since then",
}  # fmt: skip


def audit_html(table: pd.DataFrame) -> str:
    """Return decisions as an HTML table; every cell is escaped."""
    head = "".join(f"<th>{escape(words)}</th>" for words in _SHOWN.values())
    rows = []
    for row in table.to_dict("records"):
        said = f"{row['decision']} as {row['verdict_class']}" if row["verdict_class"] else None
        values = row | {"decided_at": str(row["decided_at"])[:19].replace("T", " ")}
        values |= {"decision": said} if said else {}
        values["weights"] = _CHECKSUM.sub(r"\1 …", str(row["weights"]))  # whole in the file
        cells = "".join(f"<td><div>{escape(str(values[name]))}</div></td>" for name in _SHOWN)
        rows.append(f"<tr class='{'msfa-changed' if row['other_numbers'] else ''}'>{cells}</tr>")
    table = f"<thead><tr>{head}</tr></thead>{''.join(rows)}"
    return f"<table class='msfa-preview msfa-record'>{table}</table>"


class AuditView(Page):
    """The record of decisions, bound to the state."""

    who: param.Selector[str] = param.Selector(
        default=EVERYBODY, objects=[EVERYBODY], doc="Whose decisions"
    )
    this_star = param.Boolean(default=False, doc="Those on the star on screen only")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        css: dict[str, Any] = {"stylesheets": [stylesheet()]}
        self._words = pn.pane.HTML("", margin=(4, 10), sizing_mode="stretch_width", **css)
        self._list = pn.pane.HTML(
            "", margin=(4, 10), sizing_mode="stretch_both", styles={"overflow": "auto"}, **css
        )
        self._chooser = pn.widgets.Select.from_param(
            self.param.who, label="by", description=None, width=220,
            css_classes=["msfa-select"], **css,
        )  # fmt: skip
        self._save = pn.widgets.FileDownload(
            callback=self._file, filename="decisions.csv", label="Download decisions.csv",
            css_classes=["audit-download"], width=200, margin=(6, 10), **css,
        )  # fmt: skip
        self.param.watch(lambda *_: self.refresh(), ["who", "this_star"])
        self.follow(self.refresh, "verdicts.version", "verdicts.table")
        self.follow(self._follow_star, "screen.star")
        self.refresh()

    def table(self, limit: int | None = None) -> pd.DataFrame:
        """Return the decisions that are chosen, newest first."""
        state, star = self.state, self.state.screen.star
        who = None if self.who == EVERYBODY else self.who
        if self.this_star and star is not None:
            rows = list(star.decisions)
            decisions = [one for one in rows if who in (None, one.reviewer)]
        else:
            decisions = state.data.store.decisions(reviewer=who, limit=limit)
        return audit(decisions[:limit], state.data.candidates, state.survey.provenance)

    def refresh(self) -> None:
        """Show what was decided so far."""
        if not self.state.status.attempt(self._read):
            self._list.object = ""

    def _read(self) -> None:
        names = sorted(set(self.state.data.store.standing()["reviewer"].tolist()))
        if self.param.who.objects != [EVERYBODY, *names]:
            self.param.who.objects = [EVERYBODY, *names]
            if self.who not in self.param.who.objects:
                self.who = EVERYBODY
        shown = self.table(PAGE)
        changed = int((shown["other_numbers"] != "").sum())
        words = ("the last " if len(shown) == PAGE else "") + counted(
            len(shown), "decision", "decisions"
        )
        if changed:
            words += (
                f"; {counted(changed, 'was', 'were')} made on other numbers than the star has now"
            )
        self._words.object = f"<p>{escape(words)}</p>"
        self._list.object = audit_html(shown)

    def _follow_star(self) -> None:
        if self.this_star:
            self.refresh()

    def _file(self) -> io.BytesIO:
        """Make the file of all that is chosen; what is refused is said, not raised."""
        try:
            table = self.table()
            with tempfile.TemporaryDirectory(prefix="msfa-audit-") as folder:
                path = Path(folder) / "decisions.csv"
                export(table, path, columns=[str(name) for name in table.columns])
                return io.BytesIO(path.read_bytes())
        except MsfaError as error:
            self.state.status.say(str(error), "error")
            raise param.Skip from error

    def __panel__(self) -> pn.viewable.Viewable:
        only = pn.widgets.Checkbox.from_param(
            self.param.this_star, label="on the star on screen only", margin=(6, 10)
        )
        return pn.Column(
            pn.Row(self._chooser, only, self._save, margin=0),
            self._words,
            self._list,
            sizing_mode="stretch_both",
            margin=0,
        )
