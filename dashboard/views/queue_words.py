"""What the queue says: its stars as text, how far the reviewer has come, and why it is empty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.state.labels import ANY_REASON, NO_REASON
from dashboard.state.screen import TOLD
from dashboard.state.verdicts import ASSIGNED
from msfa_core.rules import are_low_resolution, domain_sentence, stage1_says_bhb
from msfa_core.slam.reasons import has_reason
from msfa_core.spine.witnesses import probability_words
from msfa_core.vetting.filters import Filter

KEPT: Final = ("brush", "reason", "subset")  # filters that no menu puts out of force
PAGE: Final = 200  # rows sent to the browser at a time
SIGNS: Final = {"accept": "✓", "reject": "✕", "unsure": "?", "disputed": "≠"}
COLUMNS: Final = ("obsid", "mine", "rec.", "p_bhb", "S/N", "class")


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
    low = are_low_resolution(table)
    none = f"0 of {len(table):,} spectra are candidates: "
    if not low.any():
        return f"{none}all are of medium resolution, which the search leaves out"
    if table.loc[low, "predicted_class"].isna().all():
        return f"nothing was classified yet: `msfa run {state.survey.path}`"
    domain = int(table["in_search_domain"].fillna(False).sum())
    return _unfound_words(state, table, domain, none)


def _unfound_words(state: Session, table: pd.DataFrame, domain: int, none: str) -> str:
    """Return why a search that was made left nothing in the queue."""
    if not domain:
        return (
            f"none of {len(table):,} spectra is in the search domain "
            f"({domain_sentence(state.data.settings)}): without class, subclass and S/N a "
            "spectrum is outside; a catalogue can add them"
        )
    if [f.name for f in state.queue.filters] == ["candidates"]:
        called = int(stage1_says_bhb(table["predicted_class"]).sum())
        return (
            f"{none}{domain:,} are in the search domain (A or B), {called:,} are called BHB by "
            "stage 1"
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
    is_elsewhere = state.screen.star is not None and state.screen.place < 0
    pace = "the star on screen is not in this queue" if is_elsewhere else pace_words(state)
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
