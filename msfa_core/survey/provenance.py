"""What was done to a survey: each step with version, command, settings and time."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from msfa_core import __version__
from msfa_core.durable import write_whole
from msfa_core.errors import SurveyError
from msfa_core.rules import candidate_sentence, domain_sentence, region_sentence, title_sentence

if TYPE_CHECKING:
    from msfa_core.config import Settings

_SAID: Final = (  # of a step, in exports
    *("weights", "selection", "plan", "known", "gaia", "templates", "model"),
)


def read_provenance(path: Path) -> list[dict[str, Any]]:
    """Return every step that was done, oldest first.

    Raises
    ------
    SurveyError
        When the file cannot be read.
    """
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SurveyError(f"{path} cannot be read ({error}): restore it from a copy.") from error
    return entries


def append_provenance(path: Path, step: str, details: dict[str, Any]) -> None:
    """Append a step with version, command and time; the file is begun where there is none."""
    entries = read_provenance(path) if path.exists() else []
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    said = {"step": step, "time": now(), "software": __version__, "command": command, **details}
    text = json.dumps([*entries, said], indent=1, ensure_ascii=False, default=_plain)
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # of the command
    write_whole(path, (text + "\n").encode())


def steps_done(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return, for each step, when and by what it was done last, as exports say it."""
    done = {}
    for entry in entries:  # the latest of each step counts
        if entry["step"] == "table":
            done[f"table {entry['use']} {entry['name']}"] = str(entry["line"])
        elif entry["step"] not in ("create", "demo", "run"):
            named = [f"{key} {entry[key]}" for key in _SAID if entry.get(key)]
            words = [f"{entry['time']}, msfa-bhb {entry['software']}", *named]
            done[f"step {entry['step']}"] = "; ".join(words)
    return done


def are_simulated(entries: list[dict[str, Any]]) -> bool:
    """Tell from what was done whether the spectra of a survey are made up."""
    return any(entry.get("simulated") for entry in entries)


def export_header(
    survey: str,
    selection: str,
    entries: list[dict[str, Any]],
    used: Settings,
    verdicts: dict[str, str],
    rows: pd.DataFrame | None = None,
) -> dict[str, str]:
    """Return what an exported table says of itself: whence, what, and by which steps.

    Parameters
    ----------
    survey : str
        Its name.
    selection : str
        The choice of rows, in words.
    entries : list of dict
        Every step that was done, oldest first.
    used : Settings
        What the columns follow from.
    verdicts : dict
        How decisions became verdicts, and whose they are, in words.
    rows : (n,) DataFrame, optional
        Those that go out, with their verdicts: the title says what they are.
    """
    title = title_sentence(pd.DataFrame() if rows is None else rows)
    if are_simulated(entries):
        title = f"SIMULATED stars (they do not exist): {title}"
    chosen = used.of_results()
    for name in ("models", "templates"):  # a folder of whoever exports is nobody's business
        chosen[name] = Path(chosen[name]).name or "shipped"
    settings = [f"{name} = {'none' if value == '' else value}" for name, value in chosen.items()]
    header = {
        "title": title,
        "table": f"Selection: {selection}",
        "survey": survey,
        **steps_done(entries),
        "search domain": domain_sentence(used),
        "candidates": candidate_sentence(used),
        "D0.2-fm region": region_sentence(used.selection),
        "settings": ", ".join(settings),
        **verdicts,
    }
    if are_simulated(entries):
        header["simulated"] = "these stars do not exist: their spectra were computed"
    return header


def without_password(url: str) -> str:
    """Return the URL of a database without who opens it and how."""
    url = re.sub(r"://[^@/]*@", "://", url)
    return re.sub(r"([?&](?:user|password)=)[^&]*", r"\1", url)


def now() -> str:
    """Return the time, UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's, anything else as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
