"""A survey as a notebook shows it: its counts, step by step, beside the paper's."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Protocol

import pandas as pd

from msfa_core.columns import is_true
from msfa_core.rules import n_stars


class Shown(Protocol):
    """A survey, as far as its summary needs it."""

    path: Path

    @property
    def is_simulated(self) -> bool:
        """Whether its spectra are made up."""
        ...

    def table_with_verdicts(self) -> pd.DataFrame:
        """Return a row per spectrum."""
        ...


def survey_html(survey: Shown) -> str:
    """Return the counts of a survey as a table.

    Parameters
    ----------
    survey : Survey
    """
    table = survey.table_with_verdicts()
    candidates = is_true(table, "is_candidate")
    kept = {
        "all": pd.Series(True, index=table.index).to_numpy(bool),
        "in the search domain": is_true(table, "in_search_domain"),
        "candidates": candidates,
        "of these in the D0.2–fm region": candidates & is_true(table, "in_bhb_region"),
    }
    for verdict in ("accept", "reject", "unsure", "disputed"):
        rows = (table["verdict"].astype("str") == verdict).to_numpy(bool)
        if rows.any():
            kept[f"verdict {verdict}"] = rows
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{int(chosen.sum()):,}</td>"
        f"<td>{n_stars(table[chosen]):,}</td></tr>"
        for name, chosen in kept.items()
    )
    loud = "<b style='color:#b3261e'>SIMULATED</b> " if survey.is_simulated else ""
    return (
        f"<p>{loud}survey <b>{escape(survey.path.resolve().name)}</b></p><table><tr><th></th>"
        f"<th>spectra</th><th>stars</th></tr>{rows}</table>"
    )
