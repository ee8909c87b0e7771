"""The demo survey: simulated stars, run through every step, so that nobody starts with nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from msfa_core.durable import making
from msfa_core.errors import SurveyError
from msfa_core.simulate.filling import simulate
from msfa_core.simulate.survey import demo_plan
from msfa_core.spine.ready import compiling_beside
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey, is_survey
from msfa_core.typing import Progress, no_progress

FIRST_STARS: Final = 200  # of the demo that opens by itself: made while a newcomer looks on
DEMO_SHARD: Final = 250  # small, so that its making shows how it gets on


def make_demo(
    path: str | Path, progress: Progress = no_progress, n_stars: int = FIRST_STARS
) -> Survey:
    """Make the demo survey where there is none: simulated stars, run through every step.

    On a cold start the kernels of measuring and matching are compiled by another process while
    this one simulates and classifies.

    Parameters
    ----------
    path : str or Path
        Made as a whole: an interrupted call leaves nothing there.
    progress : callable, optional
    n_stars : int
        In the proportions of :func:`msfa_core.simulate.survey.demo_plan`.

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
    if is_survey(path):
        return Survey(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SurveyError(f"{path} exists and is no survey: name another place for the demo.")
    try:
        with making(path) as folder:
            survey = Survey.create(folder, simulated=True, shard_size=DEMO_SHARD)
            few = n_stars <= DEMO_SHARD  # one shard: more processes would only start up
            workers = 1 if few else 0
            with compiling_beside() as kernels:
                plan = replace(demo_plan(), n_stars=n_stars)
                simulate(survey, plan, progress=progress, workers=workers)
                run(survey, ["classify"], progress=progress, workers=workers)
                kernels.join()
                run(survey, progress=progress, workers=workers)
    except SurveyError:
        if not is_survey(path):  # else another process made it meanwhile
            raise
    return Survey(path)
