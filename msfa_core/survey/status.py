"""What is in a survey, what has been done with it, what is flagged, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import inside_by_line
from msfa_core.constants import FIT_LINES, LABELS, STEPS
from msfa_core.flags import CmdFlag, FitFlag, LabelFlag, UidFlag
from msfa_core.rules import are_low_resolution, is_true, kinds, star_numbers
from msfa_core.survey.folder import STEPS_FOLDER, Survey

_SHOWN: Final = 8  # groups named before the rest is summed up
_INDENT: Final = "  "
_LINE_WORDS: Final = {"hdelta": "Hδ", "hgamma": "Hγ"}


@dataclass(frozen=True, slots=True)
class StepStatus:
    """How far one step has got.

    Attributes
    ----------
    step : str
    n_done : int
        Spectra with a result.
    time : str
        When it last did any work (UTC); empty when never.
    note : str
        Why it cannot be done, where that needs saying.
    """

    step: str
    n_done: int
    time: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The state of a survey.

    Attributes
    ----------
    path : Path
    is_simulated : bool
    n_spectra, n_stars : int
        ``n_stars`` is 0 before the stars are identified.
    by_layout, by_class : dict of str to int
        Spectra of each file layout, and of each class and subclass letter.
    steps : tuple of StepStatus
    selection : str
        D0.2–fm selection that the table follows.
    counts : dict of str to int
        Spectra in the search domain, candidates, candidates within the cuts of each line of the
        selection and in the D0.2–fm region (all of them, both lines measured), known,
        inside the CMD trapezoid.
    known : dict of str to (int, int)
        Candidate spectra and stars that each known catalogue lists, that any lists, and that
        are new; empty when none was given.
    verdicts : dict of str to int
        Stars (spectra where stars are not identified) of each verdict of record.
    flags : dict of str to dict of str to int
        For each kind of flag, how many spectra carry each caveat.
    n_rejected : int
        Files that could not be read.
    missing : tuple of str
        What data are missing, and how to add them.
    """

    path: Path
    is_simulated: bool
    n_spectra: int
    n_stars: int
    by_layout: dict[str, int]
    by_class: dict[str, int]
    steps: tuple[StepStatus, ...]
    selection: str
    counts: dict[str, int]
    known: dict[str, tuple[int, int]]
    verdicts: dict[str, int]
    flags: dict[str, dict[str, int]]
    n_rejected: int
    missing: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        kind = "SIMULATED survey" if self.is_simulated else "survey"
        stars = f" of {self.n_stars:,} stars" if self.n_stars else ""
        lines = [f"{kind} {self.path}: {self.n_spectra:,} spectra{stars}"]
        lines += _section("layouts", [_listed(self.by_layout)])
        lines += _section("classes of the headers", [_listed(self.by_class)])
        lines += _section("steps", [_step_line(step, self.n_spectra) for step in self.steps])
        search = [f"{name}: {n:,}" for name, n in self.counts.items()]
        lines += _section("search", [f"D0.2–fm selection {self.selection}", *search])
        known = [f"{name}: {n:,} spectra of {m:,} stars" for name, (n, m) in self.known.items()]
        lines += _section("known catalogues (candidates listed)", known)
        lines += _section("verdicts", [_listed(self.verdicts) or "none yet: `msfa serve`"])
        for name, carried in self.flags.items():
            lines += _section(f"flags, {name}", [f"{n:>9,}  {what}" for what, n in carried.items()])
        if self.n_rejected:
            where = self.path / "rejected.csv"
            lines += _section("files", [f"{self.n_rejected:,} could not be read: see {where}"])
        lines += _section("missing", list(self.missing))
        return lines


def _section(title: str, body: list[str]) -> list[str]:
    body = [line for line in body if line]
    return [title, *(_INDENT + line for line in body)] if body else []


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _step_line(step: StepStatus, n_spectra: int) -> str:
    if step.note:
        return f"{step.step:<9} {step.note}"
    if not step.time:
        return f"{step.step:<9} not done"
    rest = n_spectra - step.n_done
    more = f", {rest:,} to do" if rest > 0 else ""
    return f"{step.step:<9} {step.n_done:,} spectra, {step.time}{more}"


def status(survey: Survey | str | Path) -> StatusReport:
    """Return what is in a survey; needs no lock and looks at no spectrum.

    Parameters
    ----------
    survey : Survey or path

    Raises
    ------
    SurveyError
        When the path is no survey, or part of it cannot be read.
    """
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    table = survey.table_with_verdicts()
    return StatusReport(
        path=survey.path,
        is_simulated=survey.is_simulated,
        n_spectra=len(table),
        n_stars=int(table["uid"].nunique()),
        by_layout=_counts(table["layout"]) if "layout" in table.columns else {},
        by_class=_counts(kinds(table)),
        steps=tuple(_step_status(survey, step) for step in STEPS),
        selection=survey.settings_used.selection,
        counts=_search_counts(table, survey.settings_used.selection),
        known=_known(survey, table),
        verdicts=_verdicts(table),
        flags=_flag_counts(table),
        n_rejected=len(survey.rejected),
        missing=tuple(_missing(survey, table)),
    )


def _counts(values: pd.Series) -> dict[str, int]:
    """Return how often each value comes, the most frequent first; few values, then the rest."""
    values = values.astype("str").fillna("not given").replace("", "not given")
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    shown = {str(name): int(n) for name, n in counts.iloc[:_SHOWN].items()}
    rest = int(counts.iloc[_SHOWN:].sum())
    return {**shown, "other": rest} if rest else shown


def _step_status(survey: Survey, step: str) -> StepStatus:
    import pyarrow.parquet as pq  # noqa: PLC0415

    folder = survey.path / STEPS_FOLDER / step
    n_done = sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
    times = [entry["time"] for entry in survey.provenance if entry["step"] == step]
    return StepStatus(step, n_done, times[-1] if times else ("unfinished" if n_done else ""))


def _search_counts(table: pd.DataFrame, selection: str) -> dict[str, int]:
    candidate = is_true(table, "is_candidate")
    within = {
        f"within the cuts of {_LINE_WORDS[line]}": inside.to_numpy(bool)
        for line, inside in inside_by_line(table, selection).items()
    }
    of_candidates = {
        **within,
        "in the D0.2–fm region": is_true(table, "in_bhb_region"),
        "inside the CMD trapezoid": is_true(table, "in_cmd_trapezoid"),
        "in known catalogues": table["known_in"].notna().to_numpy(bool),
    }
    return {
        "in the search domain": int(is_true(table, "in_search_domain").sum()),
        "candidates": int(candidate.sum()),
        **{
            f"candidates {name}": int((candidate & rows).sum())
            for name, rows in of_candidates.items()
        },
        "outside the search: medium resolution": int((~are_low_resolution(table)).sum()),
    }


def _known(survey: Survey, table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return what the known catalogues list among the candidates, and what is left."""
    from msfa_core.stars.crossmatch import known_counts  # noqa: PLC0415

    files = sorted((survey.path / "known").glob("*.parquet"))
    if not files:
        return {}
    candidates = table[is_true(table, "is_candidate")]
    counts = known_counts(candidates)
    listed = {path.name.split(".")[0]: (0, 0) for path in files} | counts.listed
    return {**listed, "in any of them": counts.known, "new": counts.new}


def _verdicts(table: pd.DataFrame) -> dict[str, int]:
    decided = table[table["verdict"].notna()]
    decided = decided[~pd.Series(star_numbers(decided), decided.index).duplicated()]
    return {str(name): int(n) for name, n in decided["verdict"].value_counts().items()}


def _flag_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    fit_words = {flag: str(flag.name).lower().replace("_", " ") for flag in FitFlag}
    kinds: list[tuple[str, str, Mapping[Any, str]]] = [
        *((f"fit of {line}", f"balmer_flags_{line}", fit_words) for line in FIT_LINES),
        *(
            (name, column, {flag: flag.sentence for flag in kind})
            for name, column, kind in (
                ("labels", "label_flags", LabelFlag),
                ("photometry", "cmd_flags", CmdFlag),
                ("stars", "uid_flags", UidFlag),
            )
        ),
    ]
    return {
        name: counts for name, column, words in kinds if (counts := _carried(table[column], words))
    }


def _carried(flags: pd.Series, words: Mapping[Any, str]) -> dict[str, int]:
    values = flags.fillna(0).to_numpy(np.int64)
    counts = {text: int(((values & int(flag)) != 0).sum()) for flag, text in words.items()}
    return {text: n for text, n in counts.items() if n}


def _missing(survey: Survey, table: pd.DataFrame) -> list[str]:
    """Return one sentence for each kind of data that spectra lack."""
    n, path = len(table), survey.path
    if not n:
        return [f"spectra: none yet; `msfa ingest {path} FILES`"]
    checks = [
        (
            table["class"].isna() | table["subclass"].isna(),
            "class and subclass (without them a spectrum is outside the search domain)",
            f"`msfa ingest {path} --catalogue FILE`",
        ),
        (table["z"].isna(), "Doppler shift z", f"`msfa ingest {path} --catalogue FILE`"),
        (
            table["ra"].isna() | table["dec"].isna(),
            "position",
            f"`msfa ingest {path} --catalogue FILE`",
        ),
        (
            table["g_mag"].isna() | table["bp_rp"].isna(),
            "Gaia photometry and parallax",
            f"`msfa run {path} --gaia FILE` or `msfa place {path} --online`",
        ),
        (
            table[list(LABELS)].isna().any(axis=1),
            "Teff, log g, [Fe/H]",
            f"`msfa ingest {path} --catalogue FILE` with teff, logg, feh, then `msfa run {path}`",
        ),
    ]
    lines = _changed_settings(survey)
    for lacks, what, remedy in checks:
        lacking = int(lacks.sum())
        if lacking:
            lines.append(f"{what}: {lacking:,} of {n:,} spectra lack it; add with {remedy}")
    if not any((path / "known").glob("*.parquet")):
        lines.append(f"known catalogues: none given; add with `msfa run {path} --known FILE`")
    return lines


def _changed_settings(survey: Survey) -> list[str]:
    """Return what ``msfa.toml`` says now and the table does not follow yet."""
    used, now = survey.settings_used.of_results(), survey.settings.of_results()
    return [
        f"the setting {name} = {now[name]}: the table follows {name} = {value}; "
        f"`msfa run {survey.path}` makes it follow"
        for name, value in used.items()
        if now[name] != value
    ]
