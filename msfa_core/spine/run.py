"""The spine: files in, classified, measured, placed, identified; local or on a Dask cluster.

:func:`run` composes every step in the order of the paper; what a step does is in
``steps.py``, how files come in (:func:`ingest`) in ``ingest.py``. Each result is kept with a
key of its inputs, so a step that was done is not done again and a killed run resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import are_in_bhb_region, check_selection, p_in_bhb_region
from msfa_core.config import Settings
from msfa_core.constants import STEPS
from msfa_core.durable import write_parquet
from msfa_core.errors import ConfigError, SurveyError
from msfa_core.machine import n_cores
from msfa_core.rules import are_candidates, in_search_domain
from msfa_core.spine import steps as do
from msfa_core.spine.cluster import Apply
from msfa_core.spine.cluster import workers as workers_of
from msfa_core.spine.label import settle_labels
from msfa_core.spine.steps import RESULTS
from msfa_core.survey.folder import CANDIDATES_FILE, STEPS_FOLDER, Survey
from msfa_core.survey.joining import base_table, refreshed
from msfa_core.templates.second_opinion import template_disagrees
from msfa_core.typing import Progress, no_progress

KNOWN_FOLDER: Final = "known"


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
    n_spectra, n_in_domain, n_candidates, n_in_region : int
        Of the whole survey, afterwards.
    """

    steps: tuple[StepReport, ...]
    n_spectra: int
    n_in_domain: int
    n_candidates: int
    n_in_region: int

    @property
    def did_work(self) -> bool:
        """Whether anything had to be done."""
        return any(step.n_done for step in self.steps)


def run(
    survey: Survey | str | Path,
    steps: Sequence[str] | None = None,
    known: Sequence[str | Path] = (),
    gaia: str | Path | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    selection: str | None = None,
) -> RunReport:
    """Do the steps of the spine, in its order, on all spectra of a survey.

    Parameters
    ----------
    survey : Survey or path
    steps : sequence of str, optional
        Of ``STEPS``; all of them when not given.
    known : files
        Tables of stars that are already known; kept in the survey for later runs.
    gaia : file, optional
        Table of Gaia rows; kept in the survey for later runs.
    workers : int
        Processes; 0 for the setting, and then for one per core.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the survey under the same path.
    force : bool
        Do again what was done.
    progress : callable, optional
    selection : str, optional
        D0.2–fm selection in place of the setting: a name, or limits of one's own.

    Returns
    -------
    RunReport

    Raises
    ------
    ConfigError
        For a step that does not exist, or a selection that cannot be read.
    SurveyError
        When the survey is empty or in use, or the disk is full.
    CatalogueError
        When a table cannot be read.
    """
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    wanted = _check_steps(steps)
    if not len(survey.archive):
        raise SurveyError(
            f"{survey.path} holds no spectra yet: give `msfa ingest {survey.path} FILES` first."
        )
    settings = (
        survey.settings if selection is None else replace(survey.settings, selection=selection)
    )
    check_selection(settings.selection)
    with survey.lock():
        _adopt(survey, known, gaia)
        n_workers = workers or settings.workers or n_cores()
        with workers_of(n_workers, scheduler) as apply:
            spine = _Spine(survey, settings, apply, force, progress)
            done = {step: spine.perform(step) for step in do.ORDER if step in wanted}
            reports = [done[step] for step in STEPS if step in wanted]
        table = spine.write()
        report = RunReport(
            tuple(reports),
            len(table),
            int(table["in_search_domain"].fillna(False).sum()),
            int(table["is_candidate"].fillna(False).sum()),
            int((table["is_candidate"] & table["in_bhb_region"]).fillna(False).sum()),
        )
        if report.did_work:
            survey.record(
                "run",
                spectra=report.n_spectra,
                in_search_domain=report.n_in_domain,
                candidates=report.n_candidates,
                candidates_in_region=report.n_in_region,
                known_candidates=_known_counts(table),
            )
    return report


def _known_counts(table: pd.DataFrame) -> dict[str, list[int]]:
    """Return spectra and stars among the candidates that known catalogues list, and the rest."""
    from msfa_core.stars.crossmatch import known_counts  # noqa: PLC0415

    return known_counts(table[table["is_candidate"].fillna(False).to_numpy(bool)]).as_dict()


def _check_steps(steps: Sequence[str] | None) -> tuple[str, ...]:
    wanted = tuple(step.strip() for step in steps) if steps else STEPS
    unknown = [step for step in wanted if step not in STEPS]
    if unknown:
        raise ConfigError(f"unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}.")
    return wanted


def _adopt(survey: Survey, known: Sequence[str | Path], gaia: str | Path | None) -> None:
    """Copy tables into the survey: it holds all that belongs to it, and later runs use them."""
    if not known and gaia is None:
        return
    from msfa_core.tables.read import read_table  # noqa: PLC0415

    for path in map(Path, known):
        write_parquet(survey.path / KNOWN_FOLDER / f"{path.name}.parquet", read_table(path))
    if gaia is not None:
        from msfa_core.spine.place import adopt_table  # noqa: PLC0415

        adopt_table(survey, read_table(Path(gaia)))


class _Spine:
    """The steps of one run."""

    def __init__(
        self,
        survey: Survey,
        settings: Settings,
        apply: Apply,
        force: bool,
        progress: Progress,
    ) -> None:
        self.survey, self.settings, self.apply = survey, settings, apply
        self.force, self.progress = force, progress
        self.base = base_table(survey)
        self.inputs: dict[str, dict[str, Any]] = {}

    def perform(self, step: str) -> StepReport:
        """Do one step, as far as it was not done before."""
        began = time.monotonic()
        if step in do.SPECTRAL:
            done, skipped = self._spectra(step)
            if step == "classify":
                more = self._table("known", self._known)
                done, skipped = done + more[0], skipped + more[1]
        else:
            done, skipped = self._table(step, getattr(self, f"_{step}"))
        seconds = time.monotonic() - began
        if done:
            self.write()
            inputs = self.inputs.get(step, {})
            self.survey.record(step, done=done, seconds=round(seconds, 1), **inputs)
        return StepReport(step, done, skipped, seconds)

    def _spectra(self, step: str) -> tuple[int, int]:
        base = self._with_results(self.base, ("place",)) if step == "label" else self.base
        tasks = do.tasks(self.survey, step, base, self.settings)
        if step == "label":
            self.inputs[step] = {"model": do.labels_model(do.models_folder(self.settings))}
            # earlier, the step took the table whole
            do.result_path(self.survey, step).unlink(missing_ok=True)
        if step == "classify":
            models = do.models_folder(self.settings)
            self.inputs[step] = {"weights": do.network(models).weights_checksum}
        if step == "match":
            templates = do.templates_path(self.settings)
            self.inputs[step] = {"templates": do.templates_checksum(templates)}
        if step == "measure":
            self.inputs[step] = {"selection": self.settings.selection}
        todo = [task for task in tasks if self.force or not self._is_kept(step, task)]
        total = len(self.base)
        n_of = {shard.name: len(shard) for shard in self.survey.archive.shards}
        n_done = total - sum(n_of[task.shard] for task in todo)
        self.progress(step, n_done, total)
        for task, table in zip(todo, self.apply(todo), strict=True):
            do.keep(self.survey, step, task.shard, task.key, table)
            n_done += n_of[task.shard]
            self.progress(step, n_done, total, task.shard)
        return len(todo), len(tasks) - len(todo)

    def _is_kept(self, step: str, task: do.Task) -> bool:
        return do.key_of(do.result_path(self.survey, step, task.shard)) == task.key

    def _table(
        self, step: str, how: Callable[[], tuple[str, Callable[[], pd.DataFrame]]]
    ) -> tuple[int, int]:
        key, compute = how()
        total = len(self.base)
        if not self.force and do.key_of(do.result_path(self.survey, step)) == key:
            self.progress(step, total, total)
            return 0, 1
        self.progress(step, 0, total)
        do.keep(self.survey, step, "table", key, compute())
        self.progress(step, total, total, "table")
        return 1, 0

    def _known(self) -> tuple[str, Callable[[], pd.DataFrame]]:
        folder = self.survey.path / KNOWN_FOLDER
        files = sorted(folder.glob("*.parquet"))
        tables = {path.name.split(".")[0]: pd.read_parquet(path) for path in files}
        radius = self.settings.match_radius_arcsec
        self.inputs.setdefault("classify", {})["known"] = [path.stem for path in files]
        rows = self.base[["obsid", "ra", "dec"]]
        key = do.make_key("known", rows=rows, tables=tables, radius=radius)
        return key, lambda: do.known(rows, tables, radius)

    def _place(self) -> tuple[str, Callable[[], pd.DataFrame]]:
        from msfa_core.spine import place as placing  # noqa: PLC0415

        gaia = placing.gaia_tables(self.survey)
        rows = placing.place_inputs(self.base)
        limits = placing.place_settings(self.settings)
        self.inputs["place"] = {"gaia": list(gaia), "how": limits}
        key = do.make_key("place", rows=rows, gaia=gaia, limits=limits)
        return key, lambda: placing.place(rows, gaia, self.settings)

    def _identify(self) -> tuple[str, Callable[[], pd.DataFrame]]:
        table = self._with_results(self.base, ("place", "match"))
        rows = table[[name for name in do.IDENTIFIED_BY if name in table.columns]]
        radius = self.settings.match_radius_arcsec
        key = do.make_key("identify", rows=rows, radius=radius)
        return key, lambda: do.identify(rows, radius)

    def _with_results(self, table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Write the results of steps into a table of spectra, by obsid."""
        for step in names:
            result = do.kept(self.survey, step)
            if result is not None:
                rows = result.drop_duplicates("obsid", keep="last").set_index("obsid")
                rows = rows.reindex(table["obsid"].to_numpy(np.int64)).set_axis(table.index)
                table = table.assign(**{name: rows[name] for name in rows.columns})
        return table

    def write(self) -> pd.DataFrame:
        """Put all results together as the table of candidates; return it."""
        state = self._state()
        if do.key_of(self.survey.path / CANDIDATES_FILE) == state:
            return self.survey.table()
        table = self._with_results(refreshed(self.survey.table(), self.base), RESULTS)
        table["in_search_domain"] = in_search_domain(table, self.settings)
        table["is_candidate"] = are_candidates(table, self.settings)
        table["in_bhb_region"] = are_in_bhb_region(table, self.settings.selection)
        table["p_in_bhb_region"] = p_in_bhb_region(table, self.settings.selection)
        table = settle_labels(table, self.base, self.settings)
        table["template_disagrees"] = template_disagrees(table)
        self.survey.write_table(table, {do.KEY: state})
        return self.survey.table()

    def _state(self) -> str:
        """Return the key of the table: of all results, the files' words and the settings."""
        folder = self.survey.path / STEPS_FOLDER
        keys = {
            f"{step}/{path.name}": do.key_of(path)
            for step in RESULTS
            for path in (folder / step).glob("*.parquet")
        }
        names = ("snr_min", "bhb_threshold", "selection", "logg_outlier", "feh_outlier")
        limits = {name: getattr(self.settings, name) for name in names}
        return do.make_key("table", base=self.base, keys=keys, limits=limits)
