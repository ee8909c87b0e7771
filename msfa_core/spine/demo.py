"""The demo survey: simulated stars, run through every step, so that nobody starts with nothing."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from msfa_core.durable import making
from msfa_core.errors import SurveyError
from msfa_core.simulate.filling import simulate
from msfa_core.simulate.survey import demo_plan
from msfa_core.spine.ready import compile_matching, compiling_beside
from msfa_core.spine.run import run
from msfa_core.survey.demo import (
    FIRST_STARS,
    STARS_AT_ONCE,
    check_place,
    demo_left,
    note_demo,
)
from msfa_core.survey.folder import Survey, is_survey
from msfa_core.typing import Progress, no_progress

DEMO_SHARD: Final = 250  # small, so that its making shows how it gets on


def make_demo(
    path: str | Path,
    progress: Progress = no_progress,
    n_stars: int = FIRST_STARS,
    at_once: int | None = None,
) -> Survey:
    """Make the demo survey where there is none: simulated stars, run through every step.

    On a cold start the kernels of measuring are compiled by another process while this one
    simulates, classifies and compiles those of matching.

    Parameters
    ----------
    path : str or Path
        Made as a whole: an interrupted call leaves nothing there.
    progress : callable, optional
    n_stars : int
        In the proportions of :func:`msfa_core.simulate.survey.demo_plan`.
    at_once : int, optional
        So many stars go through every step before the others, and can be vetted meanwhile: the
        survey is there with them. A call that is interrupted after that is gone on with by the
        next one. All stars when not given.

    Returns
    -------
    Survey
        With ``is_simulated`` set.

    Raises
    ------
    SurveyError
        When something else is at ``path``.
    """
    path = Path(path)
    if not is_survey(path):
        check_place(path)
        try:
            _begin(path, progress, n_stars, at_once)
        except SurveyError:
            if not is_survey(path):  # else another process made it meanwhile
                raise
    survey = Survey(path)
    n_all = demo_left(survey)
    if n_all:
        _fill(survey, progress, n_all)
        note_demo(survey, n_all, is_whole=True)
    return survey


def _begin(path: Path, progress: Progress, n_stars: int, at_once: int | None) -> None:
    """Make the survey with all its stars, or the first of them, as a whole or not at all."""
    with making(path) as folder:
        survey = Survey.create(folder, simulated=True, shard_size=DEMO_SHARD)
        with compiling_beside() as kernels:
            is_whole = at_once is None or at_once >= n_stars
            plan = replace(demo_plan(), n_stars=n_stars)
            if n_stars <= FIRST_STARS:  # other chunks are other stars, and there is one demo
                plan = replace(plan, chunk=at_once or STARS_AT_ONCE)
            workers = _workers(n_stars)
            simulate(survey, plan, progress=progress, workers=workers, most=None if is_whole else 1)
            run(survey, ["classify"], progress=progress, workers=workers)
            compile_matching()
            kernels.join()
            run(survey, progress=progress, workers=workers)
        if not is_whole:
            note_demo(survey, n_stars, is_whole=False)


def _fill(survey: Survey, progress: Progress, n_stars: int) -> None:
    """Add the stars that are missing, and run them through every step."""
    workers = _workers(n_stars)
    said = [entry["plan"] for entry in survey.provenance if entry["step"] == "simulate"][-1]
    plan = replace(demo_plan(), n_stars=n_stars, chunk=said["chunk"])
    simulate(survey, plan, progress=progress, workers=workers)
    run(survey, progress=progress, workers=workers)


def _workers(n_stars: int) -> int:
    """Return how many processes: for one shard, more than one would only start up."""
    return 1 if n_stars <= DEMO_SHARD else 0


def make_for_a_server(path: str, n_stars: int = FIRST_STARS, at_once: int = STARS_AT_ONCE) -> None:
    """Make the demo for the server that started this process; end when that server ends.

    A line of JSON per step goes to standard output: ``step``, ``done``, ``total``; a last one
    with ``error`` where it could not be made.
    """
    threading.Thread(target=_end_with_input, daemon=True).start()

    def tell(**said: object) -> None:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    def progress(step: str, done: int, total: int, part: str = "") -> None:
        tell(step=step, done=done, total=total)

    try:
        make_demo(path, progress, n_stars, at_once)
    except Exception as error:
        tell(error=str(error) or type(error).__name__)
        raise


def _end_with_input() -> None:
    """End at once when standard input is closed: it is a pipe from the server."""
    while os.read(sys.stdin.fileno(), 1):  # of the system itself: no lock at the normal end
        pass
    os._exit(1)
