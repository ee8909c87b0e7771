"""The candidates with their verdicts of record, kept up to date star by star."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.data import give_back, shared_data
from dashboard.state.words import Words
from msfa_core.columns import columns_of
from msfa_core.vetting.decision import Decision
from msfa_core.vetting.filters import Filter, preset_filters, verdict_filters
from msfa_core.vetting.record import own_verdict, verdict_of_record, vet_columns

_VET: Final = tuple(column.name for column in columns_of("vet"))
_IN_MEMORY_TEXT: Final = pd.StringDtype("python", na_value=np.nan)  # one cell is set in µs


class Table(Words):
    """The survey that is vetted, by whom, and what has been decided so far."""

    survey = param.Parameter(doc="Survey that is vetted")
    reviewer = param.String(doc="Who decides")
    table = param.DataFrame(doc="Candidates with their verdicts of record")
    blind = param.Boolean(doc="Hide other reviewers and the machine's opinion")
    version = param.Integer(doc="Rises when verdicts of the table change")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._last_seen = 0
        self.presets: dict[str, Filter] = {}

    def _open(self) -> None:
        """Take the survey's shared data and put the verdicts of record beside it."""
        held = getattr(self, "data", None)
        self.data = shared_data(self.survey)
        if held is not None:
            give_back(held)
        self.presets = preset_filters(self.data.settings) | verdict_filters()
        self._read_verdicts()

    def _read_verdicts(self) -> None:
        """Bring every verdict up to date from the store."""
        self._last_seen = self.data.store.last_decision_id()
        standing = self.data.store.standing()
        vet = verdict_of_record(standing, self.data.candidates, self.data.settings.verdict_rule)
        table = self.data.candidates.copy(deep=False)
        for name in _VET:
            values = vet[name].set_axis(table.index)
            table[name] = values.astype(_IN_MEMORY_TEXT) if values.dtype == "str" else values
        self.mine = self._verdicts_by(self.reviewer, standing)
        self.param.update(table=table, version=self.version + 1)

    def _verdicts_by(self, reviewer: str, standing: pd.DataFrame) -> NDArray[np.object_]:
        """Return this reviewer's own verdict on each row; empty where there is none."""
        by_star = np.full(self.data.star.max(initial=-1) + 1, "", dtype=object)
        own = standing[standing["reviewer"] == reviewer]  # oldest first: the latest one stays
        rows = self.data.rows(own["obsid"])
        for row, verdict in zip(rows, own["verdict"], strict=True):
            if row >= 0:
                by_star[self.data.star[row]] = str(verdict)
        return by_star[self.data.star]

    def _refresh_star(self, obsid: int) -> None:
        """Bring the verdict of one star up to date: its rows, no others."""
        rows = self.data.same_star(self.data.row(obsid))
        decisions = self._decisions_on(rows)
        for name, value in vet_columns(decisions, self.data.settings.verdict_rule).items():
            self.table.iloc[rows, self.table.columns.get_loc(name)] = value
        self.mine[rows] = own_verdict(decisions, self.reviewer)

    def _decisions_on(self, rows: NDArray[np.intp]) -> tuple[Decision, ...]:
        """Return every decision on the spectra of these rows, newest first."""
        found = [
            decision
            for obsid in self.data.obsid[rows]
            for decision in self.data.store.decisions(obsid=int(obsid))
        ]
        return tuple(sorted(found, key=lambda d: d.decision_id or 0, reverse=True))
