"""What is in a survey, what has been done with it, what is flagged, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import inside_by_line
from msfa_core.columns import is_true
from msfa_core.config import Settings
from msfa_core.constants import FIT_LINES, LABELS, LINE_SYMBOLS, STEPS
from msfa_core.counting import counted, counted_spectra
from msfa_core.errors import typed
from msfa_core.flags import FLAGS_OF, SentenceFlag
from msfa_core.rules import (
    are_low_resolution,
    candidate_sentence,
    domain_sentence,
    in_search_domain,
    kinds,
    n_stars,
    outside_domain,
    region_sentence,
    rest_redshifts,
    ruled_out_by_stage1,
    star_numbers,
    words_of,
)
from msfa_core.spectra.readers import READER_VERSION
from msfa_core.spectra.shards import READ_BY
from msfa_core.survey.folder import STEPS_FOLDER, Survey
from msfa_core.survey.given import known_names, name_of
from msfa_core.typing import BoolArray

IN_DOMAIN: Final = "in the search domain"  # keys of `StatusReport.counts`
CANDIDATES: Final = "candidates"
IN_REGION: Final = "candidates in the D0.2–fm region"
_SHOWN: Final = 8  # groups named before the rest is summed up
_INDENT: Final = "  "


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
        inside the CMD trapezoid, as far as the steps have got; and of medium resolution.
    meaning : dict of str to str
        What some of these counts are of, in the words of `rules`.
    outside : dict of str to int
        Spectra that each condition of the search domain leaves out.
    known : dict of str to (int, int)
        Candidate spectra and stars that each known catalogue lists, that any lists, and that
        are new; empty when none was given.
    verdicts : dict of str to int
        Stars of each verdict of record.
    n_undecided : int
        Stars of candidates that have none.
    flags : dict of str to dict of str to (int, int)
        For each kind of flag, how many spectra carry each caveat, and how many candidates.
    n_rejected : int
        Files that could not be read.
    tables : tuple of str
        What became of each table that was given, the latest word on each.
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
    meaning: dict[str, str]
    outside: dict[str, int]
    known: dict[str, tuple[int, int]]
    verdicts: dict[str, int]
    n_undecided: int
    flags: dict[str, dict[str, tuple[int, int]]]
    n_rejected: int
    tables: tuple[str, ...]
    missing: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        kind = "SIMULATED survey" if self.is_simulated else "survey"
        n, n_stars = self.n_spectra, self.n_stars
        held = counted_spectra(n, n_stars) if n_stars else counted(n, "spectrum", "spectra")
        lines = [f"{kind} {self.path}: {held}"]
        lines += _section("layouts", [_listed(self.by_layout)])
        lines += _section("classes of the headers", [_listed(self.by_class)])
        lines += _section("steps", [_step_line(step, self.n_spectra) for step in self.steps])
        lines += _section("search", self._search_lines())
        known = [f"{name}: {counted_spectra(n, m)}" for name, (n, m) in self.known.items()]
        lines += _section("known catalogues (candidates listed)", known)
        lines += _section("verdicts", self._verdict_lines())
        for name, carried in self.flags.items():
            body = [f"{n:>9,}{m:>12,}  {what}" for what, (n, m) in carried.items()]
            lines += _section(f"flags, {name}", [f"{'spectra':>9}{'candidates':>12}", *body])
        if self.n_rejected:
            where = self.path / "rejected.csv"
            lines += _section("files", [f"{self.n_rejected:,} could not be read: see {where}"])
        lines += _section("tables given", list(self.tables))
        lines += _section("missing", list(self.missing))
        return lines

    def _search_lines(self) -> list[str]:
        lines = []
        for name, n in self.counts.items():
            said = self.meaning.get(name)
            lines.append(f"{name}: {n:,}" + (f" ({said})" if said else ""))
            if name == IN_DOMAIN and self.outside:
                lines.append(f"outside it, some for several reasons: {_listed(self.outside)}")
        if self.n_spectra and CANDIDATES not in self.counts:
            lines.append(f"candidates: not known yet; `msfa run {typed(self.path)}`")
        return lines

    def _verdict_lines(self) -> list[str]:
        if not self.verdicts:
            return [f"none yet: `msfa serve {typed(self.path)}`"]
        stars = counted(self.n_undecided, "star", "stars")
        return [_listed(self.verdicts), f"without a verdict: {stars} of the candidates"]


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
    return f"{step.step:<9} {counted(step.n_done, 'spectrum', 'spectra')}, {step.time}{more}"


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
    table, settings = survey.table_with_verdicts(), survey.settings_used
    return StatusReport(
        path=survey.path,
        is_simulated=survey.is_simulated,
        n_spectra=len(table),
        n_stars=n_stars(table) if table["uid"].notna().any() else 0,
        by_layout=_counts(table["layout"]) if "layout" in table.columns else {},
        by_class=_counts(kinds(table)),
        steps=tuple(_step_status(survey, step) for step in STEPS),
        selection=settings.selection,
        counts=search_counts(table, settings),
        meaning={
            IN_DOMAIN: domain_sentence(settings),
            CANDIDATES: candidate_sentence(settings),
            IN_REGION: region_sentence(settings.selection),
        },
        outside=_outside(table, settings),
        known=_known(survey, table),
        verdicts=_verdicts(table),
        n_undecided=n_stars(table[is_true(table, "is_candidate") & table["verdict"].isna()]),
        flags=_flag_counts(table),
        n_rejected=len(survey.rejected),
        tables=_tables(survey),
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
    parts = {*survey.shard_names, "table"}  # of shards that were replaced, results may linger
    paths = [path for path in folder.glob("*.parquet") if path.stem in parts]
    n_done = sum(pq.read_metadata(path).num_rows for path in paths)
    times = [entry["time"] for entry in survey.provenance if entry["step"] == step]
    return StepStatus(step, n_done, times[-1] if times else ("unfinished" if n_done else ""))


def search_counts(table: pd.DataFrame, settings: Settings) -> dict[str, int]:
    """Count what the search has found so far; what is not known yet is left out, not zero.

    Parameters
    ----------
    table : DataFrame
        Table of the survey.
    settings : Settings

    Returns
    -------
    dict of str to int
        By words such as `IN_DOMAIN`, `CANDIDATES` and `IN_REGION`.
    """
    is_classified, is_measured, is_placed = (
        bool(table[name].notna().any())
        for name in ("is_candidate", "in_bhb_region", "in_cmd_trapezoid")
    )
    low = are_low_resolution(table)
    is_classified |= bool(len(table)) and not low.any()  # none is searched: none is a candidate
    inside = in_search_domain(table, settings).to_numpy(bool)  # known before any step
    domain = is_true(table, "in_search_domain") if is_classified else inside
    counts = {IN_DOMAIN: int(domain.sum())}
    if is_classified:
        if ruled_out := int((domain & ruled_out_by_stage1(table)).sum()):
            counts["of them ruled out by stage 1, without p_bhb"] = ruled_out
        candidate = is_true(table, "is_candidate")
        of_candidates = {CANDIDATES: candidate}
        if is_measured:
            for line, rows in inside_by_line(table, settings.selection).items():
                words = f"candidates within the cuts of {LINE_SYMBOLS[line]}"
                of_candidates[words] = rows
            of_candidates[IN_REGION] = is_true(table, "in_bhb_region")
        if is_placed:
            words = "candidates inside the CMD trapezoid"
            of_candidates[words] = is_true(table, "in_cmd_trapezoid")
        of_candidates["candidates in known catalogues"] = table["known_in"].notna().to_numpy(bool)
        counts |= {name: int((candidate & rows).sum()) for name, rows in of_candidates.items()}
    n_medium = int((~low).sum())
    return counts | ({"of medium resolution, outside the search": n_medium} if n_medium else {})


def _outside(table: pd.DataFrame, settings: Settings) -> dict[str, int]:
    words = {"snr_g": "S/N(g)"}
    counts = {
        words.get(name, name): int(fails.sum())
        for name, fails in outside_domain(table, settings).items()
    }
    return {name: n for name, n in counts.items() if n}


def _known(survey: Survey, table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return what the known catalogues list among the candidates, and what is left."""
    from msfa_core.stars.known import known_counts  # noqa: PLC0415

    names = known_names(survey)
    if not names:
        return {}
    candidates = table[is_true(table, "is_candidate")]
    counts = known_counts(candidates)
    listed = dict.fromkeys(names, (0, 0)) | counts.listed
    return {**listed, "in any of them": counts.known, "new": counts.new}


def _tables(survey: Survey) -> tuple[str, ...]:
    """Return the latest line about each table that was given, with what it was given for."""
    said: dict[tuple[str, str], str] = {}
    for entry in survey.provenance:
        if entry["step"] == "table":
            said.pop((entry["use"], entry["path"]), None)
            said[entry["use"], entry["path"]] = f"{entry['use']}: {entry['line']}"
    return tuple(said.values())


def _verdicts(table: pd.DataFrame) -> dict[str, int]:
    decided = table[table["verdict"].notna()]
    decided = decided[~pd.Series(star_numbers(decided), decided.index).duplicated()]
    return {str(name): int(n) for name, n in decided["verdict"].value_counts().items()}


def _flag_counts(table: pd.DataFrame) -> dict[str, dict[str, tuple[int, int]]]:
    candidate = is_true(table, "is_candidate")
    of = [
        *((f"fit of {LINE_SYMBOLS[line]}", f"balmer_flags_{line}") for line in FIT_LINES),
        ("template match", "template_flags"),
        ("labels", "label_flags"),
        ("photometry", "cmd_flags"),
        ("stars", "uid_flags"),
    ]
    if table[["ps_id", "ps_g_mag", "ps_r_mag", "ps_i_mag"]].notna().any(axis=None):
        of[-1:-1] = [
            ("Pan-STARRS", "ps_flags"),
            ("flux calibration", "flux_calibration_flags"),
        ]
    found = {name: _carried(table[column], FLAGS_OF[column], candidate) for name, column in of}
    return {name: counts for name, counts in found.items() if counts}


def _carried(
    flags: pd.Series, kind: type[SentenceFlag], candidate: BoolArray
) -> dict[str, tuple[int, int]]:
    """Return by sentence how many spectra and how many candidates carry each flag, if any."""
    values = flags.fillna(0).to_numpy(np.int64)
    raised = {flag.sentence.rstrip("."): (values & int(flag)) != 0 for flag in kind}
    return {
        text: (int(rows.sum()), int((rows & candidate).sum()))
        for text, rows in raised.items()
        if rows.any()
    }


def _missing(survey: Survey, table: pd.DataFrame) -> list[str]:
    """Return one sentence for each kind of data that spectra lack."""
    n, path = len(table), survey.path
    if not n:
        return [f"spectra: none yet; `msfa ingest {typed(path)} FILES`"]
    low = are_low_resolution(table)
    checks = [
        (
            words_of(table["class"]).isna() | words_of(table["subclass"]).isna(),
            "class and subclass (without them a spectrum is outside the search domain)",
            f"`msfa ingest {typed(path)} --catalogue FILE`",
        ),
        (
            pd.Series(np.isnan(rest_redshifts(table))),
            "Doppler shift z",
            f"`msfa run {typed(path)}` (the template match's)"
            if low.any() and table.loc[low, "template_flags"].isna().all()
            else f"`msfa ingest {typed(path)} --catalogue FILE`; no template gives one",
        ),
        (
            table["ra"].isna() | table["dec"].isna(),
            "position",
            f"`msfa ingest {typed(path)} --catalogue FILE`",
        ),
        (
            table["g_mag"].isna() | table["bp_rp"].isna(),
            "Gaia photometry and parallax",
            f"`msfa run {typed(path)} --gaia FILE` or `msfa place {typed(path)} --online`",
        ),
        (
            table[list(LABELS)].isna().any(axis=1),
            "Teff, log g, [Fe/H]",
            f"`msfa run {typed(path)} --steps label`"
            if table["label_flags"].isna().all()
            else f"`msfa ingest {typed(path)} --catalogue FILE`, then `msfa run {typed(path)}`",
        ),
    ]
    lines = not_followed(survey)
    for lacks, what, remedy in checks:
        lacking = int(lacks.sum())
        if lacking:
            lines.append(
                f"{what}: {lacking:,} of {counted(n, 'spectrum lacks', 'spectra lack')} it; add "
                f"with {remedy}"
            )
    if not known_names(survey):
        lines.append(
            f"known catalogues: none given; add with `msfa run {typed(path)} --known FILE`"
        )
    return lines


def not_followed(survey: Survey) -> list[str]:
    """Return what ``msfa.toml``, catalogues and readers say now and the table does not follow."""
    used, now = survey.settings_used.of_results(), survey.settings.of_results()
    catalogues = [
        f"the catalogue {name_of(Path(name))} was joined after the steps ran; "
        f"`msfa run {typed(survey.path)}` makes the table follow it"
        for name in survey.not_followed
    ]
    settings = [
        f"the setting {name} = {now[name]}: the table follows {name} = {value}; "
        f"`msfa run {typed(survey.path)}` makes it follow"
        for name, value in used.items()
        if now[name] != value
    ]
    return _read_otherwise(survey) + catalogues + settings


def _read_otherwise(survey: Survey) -> list[str]:
    """Return a sentence of spectra that another version of the reader has stored, if any."""
    known = survey.archive.housekeeping()
    n = int((known.notna().any(axis=1) & (known[READ_BY].fillna(0) != READER_VERSION)).sum())
    if not n:
        return []
    return [
        f"{counted(n, 'spectrum was', 'spectra were')} read by another version of this software, "
        "which may have taken pixels and values otherwise; "
        f"`msfa ingest {typed(survey.path)} FILES` reads their files anew"
    ]
