"""What reviewers are called: decisions stay as they were signed, names may change."""

from __future__ import annotations

import json

from msfa_core.durable import write_whole
from msfa_core.errors import StoreError
from msfa_core.survey.folder import RENAMED_FILE, Survey
from msfa_core.vetting.decision import reviewer_name


def rename_reviewer(survey: Survey, old: str, new: str) -> None:
    """Call a reviewer by another name from now on; what was signed stays as it was.

    Raises
    ------
    StoreError
        When nobody of the old name has decided, or the new one is somebody else's.
    """
    old, new = reviewer_name(old), reviewer_name(new)
    with survey.lock():
        with survey.store() as store:
            names = set(store.standing()["reviewer"].tolist())
        if old not in names:
            there = ", ".join(sorted(names)) or "nobody yet"
            raise StoreError(f"Nobody called {old!r} has decided here; there are: {there}.")
        if not new or new in names:
            raise StoreError(f"{new!r} is somebody else's name here, or none; take another.")
        said = {signed: new if now == old else now for signed, now in survey.renamed.items()}
        said = {signed: now for signed, now in (said | {old: new}).items() if signed != now}
        text = json.dumps(said, indent=1, ensure_ascii=False)
        write_whole(survey.path / RENAMED_FILE, (text + "\n").encode())
        survey.record("rename", old=old, new=new)
