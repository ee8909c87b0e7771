"""The spine: every step, local or on a Dask cluster.

They stand in the order of the paper, and the template match before them: it tells at which Doppler
shift the others look at a spectrum whose file gives none, or a wrong one.

Each step is an object in a file of its own; `run` does them one after the other. Each result is
kept with a key of its inputs, so a step that was done is not done again and a killed run resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd

from msfa_core.balmer.region import check_selection
from msfa_core.columns import is_true
from msfa_core.config import Settings
from msfa_core.constants import STEPS
from msfa_core.errors import ConfigError, SurveyError, typed
from msfa_core.machine.parallel import n_cores
from msfa_core.search.prior import Trained, shares_of
from msfa_core.spine.check import CHECK
from msfa_core.spine.classify import CLASSIFY
from msfa_core.spine.cluster import Apply
from msfa_core.spine.cluster import workers as workers_of
from msfa_core.spine.derived import DERIVED_VERSION, write_results
from msfa_core.spine.identify import IDENTIFY
from msfa_core.spine.know import KNOW
from msfa_core.spine.label import LABEL
from msfa_core.spine.match import MATCH
from msfa_core.spine.measure import MEASURE
from msfa_core.spine.place import PLACE
from msfa_core.spine.results import keep, kept, key_of, result_path, written_into
from msfa_core.spine.step import Part, Step
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import give
from msfa_core.survey.status import CANDIDATES, IN_DOMAIN, IN_REGION, search_counts
from msfa_core.typing import Progress, no_progress

SPINE: Final = (
    MATCH,
    CLASSIFY,
    KNOW,
    MEASURE,
    PLACE,
    CHECK,
    LABEL,
    IDENTIFY,
)  # each after its needs


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did.

    Attributes
    ----------
    step : str
    n_done, n_skipped : int
        Shards (or the table, counted as one) that were worked on, or were done before.
    seconds : float
    note : str
        Why nothing was done, where that needs saying.
    """

    step: str
    n_done: int
    n_skipped: int
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    steps : tuple of StepReport
    selection : str
        D0.2–fm selection of the table.
    n_spectra, n_in_domain : int
        Of the whole survey, afterwards.
    n_candidates, n_in_region : int or None
        The same; None as long as no step tells.
    """

    steps: tuple[StepReport, ...]
    selection: str
    n_spectra: int
    n_in_domain: int
    n_candidates: int | None
    n_in_region: int | None

    @property
    def did_work(self) -> bool:
        """Whether anything had to be done."""
        return any(step.n_done for step in self.steps)


def _to_nobody(line: str) -> None:
    """Take no note."""


def run(
    survey: Survey | str | Path,
    steps: Sequence[str] | None = None,
    known: Sequence[str | Path] = (),
    gaia: str | Path | Sequence[str | Path] | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    selection: str | None = None,
    prior: str | None = None,
    tell: Callable[[str], None] = _to_nobody,
    panstarrs: str | Path | Sequence[str | Path] | None = None,
) -> RunReport:
    """Do the steps of the spine, in its order, on all spectra of a survey.

    Parameters
    ----------
    survey : Survey or path
    steps : sequence of str, optional
        Of ``STEPS``; all of them when not given.
    known : files
        Tables of stars that are already known; kept in the survey for later runs.
    gaia : file or files, optional
        Tables of Gaia rows; kept in the survey for later runs, and added to earlier ones.
    workers : int
        Processes; 0 for the setting, and then for one per core.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the survey under the same path.
    force : bool
        Do again what was done.
    progress : callable, optional
    selection : str, optional
        D0.2–fm selection in place of the setting: a name, or limits of one's own.
    prior : str, optional
        Class shares in place of the setting: ``lamost``, or shares of one's own.
    tell : callable, optional
        Told in one line what became of each table, before any step.
    panstarrs : file or files, optional
        Tables of Pan-STARRS rows; kept and added up as those of Gaia.

    Returns
    -------
    RunReport

    Raises
    ------
    ConfigError
        For a step that does not exist, or a selection or class shares that cannot be read.
    SurveyError
        When the survey is empty or in use, or the disk is full.
    CatalogueError
        When a table cannot be read, or matches no spectrum; the survey is as it was.
    """
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    wanted = check_steps(steps, known)
    if not len(survey.obsid):
        raise SurveyError(
            f"{survey.path} holds no spectra yet: give `msfa ingest {typed(survey.path)} FILES` "
            "first."
        )
    settings = survey.settings
    if selection is not None:
        settings = replace(settings, selection=selection)
    if prior is not None:
        settings = replace(settings, prior=prior)
    check_selection(settings.selection)
    if settings.prior:  # what cannot be done is said before the work
        shares_of(settings.prior)
        Trained.of(settings.models_folder)
    with survey.lock():
        for line in give(survey, _paths(known), _paths(gaia), _paths(panstarrs)):
            tell(line)
        base = survey.base_table()
        results = {step.name: step.part_names(survey) for step in SPINE}
        reports = []
        with workers_of(workers or settings.workers or n_cores(), scheduler) as apply:
            for step in (step for step in SPINE if step.name in wanted):
                reports.append(_perform(step, survey, base, settings, apply, force, progress))
                if reports[-1].n_done:
                    write_results(survey, base, results, settings)
        table = write_results(survey, base, results, settings)
        counts = search_counts(table, settings)
        is_new_choice = _record_choice(survey, settings)
        report = RunReport(
            tuple(reports),
            settings.selection,
            len(table),
            counts[IN_DOMAIN],
            counts.get(CANDIDATES),
            counts.get(IN_REGION),
        )
        if report.did_work or is_new_choice:
            survey.record(
                "run",
                settings=settings,
                spectra=report.n_spectra,
                in_search_domain=report.n_in_domain,
                candidates=report.n_candidates,
                candidates_in_region=report.n_in_region,
                known_candidates=_known_counts(table),
            )
    return report


def _perform(
    step: Step,
    survey: Survey,
    base: pd.DataFrame,
    settings: Settings,
    apply: Apply,
    force: bool,
    progress: Progress,
) -> StepReport:
    """Do one step, as far as it was not done before."""
    began = time.monotonic()
    inputs, table = step.inputs(survey, settings), base
    for needed in (other for other in SPINE if other.name in step.needs):
        table = written_into(table, kept(survey, needed.name, needed.part_names(survey)))
    parts = step.parts(survey, table, inputs)
    todo = [
        part
        for part in parts
        if force or key_of(result_path(survey, step.name, part.name)) != part.key
    ]
    n_done = len(base) - sum(len(part) for part in todo)
    progress(step.name, n_done, len(base))
    tables = apply(todo) if step.looks_at_spectra else map(Part.do, todo)
    n_kept = 0
    try:
        for part, result in zip(todo, tables, strict=True):
            keep(survey, step.name, part.name, part.key, result)
            n_kept, n_done = n_kept + 1, n_done + len(part)
            progress(step.name, n_done, len(base), part.name)
    finally:  # whoever stops a run has what it kept on record
        seconds = time.monotonic() - began
        if n_kept:
            said = {"version": step.version, **inputs.said}
            survey.record(
                step.name, settings=settings, done=n_kept, seconds=round(seconds, 1), **said
            )
    return StepReport(step.name, len(todo), len(parts) - len(todo), seconds)


def _record_choice(survey: Survey, settings: Settings) -> bool:
    """Record the settings that the table follows from, where they are others than before."""
    now = {"version": DERIVED_VERSION, "choice": settings.of_results()}
    earlier = [entry for entry in survey.provenance if entry["step"] == "derive"]
    if earlier and all(earlier[-1].get(name) == value for name, value in now.items()):
        return False
    survey.record("derive", settings=settings, selection=settings.selection, **now)
    return True


def _known_counts(table: pd.DataFrame) -> dict[str, list[int]]:
    """Return spectra and stars among the candidates that known catalogues list, and the rest."""
    from msfa_core.stars.known import known_counts  # noqa: PLC0415

    return known_counts(table[is_true(table, "is_candidate")]).as_dict()


def check_steps(steps: Sequence[str] | None, known: Sequence[str | Path]) -> set[str]:
    """Return the steps to do; candidates and known stars are always freed of each other.

    Raises
    ------
    ConfigError
        For a step that there is none of.
    """
    wanted = {step.strip() for step in steps} if steps else set(STEPS)
    unknown = sorted(wanted - set(STEPS))
    if unknown:
        raise ConfigError(f"unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}.")
    return wanted | ({KNOW.name} if known or CLASSIFY.name in wanted else set())


def _paths(given: str | Path | Sequence[str | Path] | None) -> list[str | Path]:
    """Return one path or several as several."""
    if given is None:
        return []
    return [given] if isinstance(given, str | Path) else list(given)
