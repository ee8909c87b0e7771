"""The demo survey, which opens when no survey is named: where it lies, and whether it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msfa_core.errors import SurveyError
from msfa_core.shipped import in_clone, shipped
from msfa_core.survey.folder import Survey

DEMO_VARIABLE: Final = "MSFA_DEMO"
FIRST_STARS: Final = 200  # of the demo that opens by itself: made while a newcomer looks on
STARS_AT_ONCE: Final = 60  # of them, through every step before the others
_STEP: Final = "demo"  # in the provenance


def demo_path() -> Path:
    """Return where the demo survey lies: ``MSFA_DEMO``, ``data/demo`` of a clone, or the cache."""
    named = os.environ.get(DEMO_VARIABLE)
    if named:
        return Path(named)
    if in_clone() and os.access(shipped(), os.W_OK):
        return shipped("demo")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "msfa-bhb" / "demo"


def check_place(path: Path) -> None:
    """Raise when the demo survey cannot be made here: something else is there.

    Raises
    ------
    SurveyError
        Naming the place.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SurveyError(f"{path} exists and is no survey: name another place for the demo.")


def note_demo(survey: Survey, n_stars: int, is_whole: bool) -> None:
    """Record how many stars the demo survey is to have, and whether all of them are there."""
    survey.record(_STEP, stars=n_stars, is_whole=is_whole)


def demo_left(survey: Survey) -> int:
    """Return how many stars a demo survey will have that is not whole yet; 0 for any other."""
    noted = [entry for entry in survey.provenance if entry["step"] == _STEP]
    return int(noted[-1]["stars"]) if noted and not noted[-1]["is_whole"] else 0
