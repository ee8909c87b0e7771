"""The demo survey: simulated stars, run through every step, so that nobody starts with nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msfa_core.durable import making
from msfa_core.errors import SurveyError
from msfa_core.simulate.filling import simulate
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey, is_survey
from msfa_core.typing import Progress, no_progress

DEMO_SHARD: Final = 250  # small, so that its making shows how it gets on


def make_demo(path: str | Path, progress: Progress = no_progress) -> Survey:
    """Make the demo survey where there is none: simulated stars, run through every step.

    Parameters
    ----------
    path : str or Path
        Made as a whole: an interrupted call leaves nothing there.
    progress : callable, optional

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
            simulate(survey, progress=progress)
            run(survey, progress=progress)
    except SurveyError:
        if not is_survey(path):  # else another process made it meanwhile
            raise
    return Survey(path)
