"""Decisions on their way: checked, backed up, restored, and taken over from another store.

Each of these happens completely or not at all. A decision is known by its key wherever it
goes, so that taking it over twice changes nothing; rows from before there were keys get one from
what they say.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import pandas as pd

from msfa_core.counting import counted
from msfa_core.errors import StoreError
from msfa_core.vetting.by_reviewer import verdict_text
from msfa_core.vetting.database import as_url, name_for_sqlite, only_read
from msfa_core.vetting.decision import Decision
from msfa_core.vetting.record import standing
from msfa_core.vetting.store import Store

NAMED: Final = 5  # spectra that a complaint names
_DAY: Final = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking decisions over did, or would do.

    Attributes
    ----------
    n_new, n_known : int
        Decisions and withdrawals that were stored now, and those that were there already.
    conflicts : tuple of str
        Spectra of which a reviewer of the newcomers said something else here.
    """

    n_new: int
    n_known: int
    conflicts: tuple[str, ...]


def key_of(decision: Decision) -> str:
    """Return the key of a decision; one made from what it says where it has none."""
    if decision.key:
        return decision.key
    said = decision.as_dict()
    for name in ("decision_id", "withdraws", "key", "software_version"):
        del said[name]
    said["is_withdrawal"] = decision.is_withdrawal
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, default=str)
    return f"old-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def keyed(decisions: Iterable[Decision]) -> list[Decision]:
    """Return a whole history, oldest first, every row with a key of its own.

    Parameters
    ----------
    decisions : iterable of Decision
        Of one store, in any order.
    """
    seen: dict[str, int] = {}
    rows = []
    for row in sorted(decisions, key=lambda one: one.decision_id or 0):
        key = key_of(row)
        seen[key] = seen.get(key, 0) + 1
        rows.append(replace(row, key=key if seen[key] == 1 else f"{key}-{seen[key]}"))
    return rows


def history_of(source: str) -> list[Decision]:
    """Return every decision of another store; its file is read, never changed.

    Parameters
    ----------
    source : str
        An SQLite file, of any version up to ours, or a database URL.

    Raises
    ------
    StoreError
        When there is no such file, or it is no decision store.
    """
    if "://" in source:
        with Store(source) as theirs:
            return theirs.decisions()
    if not Path(source).is_file():
        raise StoreError(f"{source} is not a file; name a backup or the store of another survey.")
    with tempfile.TemporaryDirectory(prefix="msfa-store-") as folder:
        copy = Path(folder) / "copy.sqlite"
        try:
            _copy_sqlite(Path(source), copy)
        except sqlite3.Error as error:
            raise StoreError(f"{source} cannot be read as a store: {error}.") from error
        with Store(copy) as theirs:
            return theirs.decisions()


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, into one file."""
    as_it_lies = only_read(as_url(source))
    said = str(source) if as_it_lies is None else name_for_sqlite(as_it_lies)
    with (
        closing(sqlite3.connect(said, uri=as_it_lies is not None)) as one,
        closing(sqlite3.connect(target)) as other,
    ):
        one.backup(other)
        other.execute("PRAGMA journal_mode = DELETE")


def take_over(store: Store, decisions: Iterable[Decision], *, dry_run: bool = False) -> Taken:
    """Store the decisions of another store that this one lacks: all of them or none.

    Their times, order and withdrawals stay; into an empty store their numbers as well. Numbers
    rise as rows are appended, so what a reviewer said there before what they said of the star here
    is stored as taken back: of one reviewer the later verdict counts, wherever it was given.

    Parameters
    ----------
    store : Store
    decisions : iterable of Decision
        The whole history of the other store.
    dry_run : bool
        Count only.

    Raises
    ------
    StoreError
        When a withdrawal names a decision that is not among them, or the store refuses.
    """
    here, newcomers = keyed(store.decisions()), keyed(decisions)
    number = {row.key: row.decision_id for row in here}
    gone = {row.withdraws for row in here} - {None}
    there = {row.decision_id: row.key for row in newcomers}
    new = [
        row
        for row in newcomers
        if row.key not in number and number.get(there.get(row.withdraws, "")) not in gone
    ]
    for row in new:
        if row.withdraws is not None and row.withdraws not in there:
            raise StoreError(
                f"A withdrawal of {row.reviewer} names decision {row.withdraws}, which is not "
                "among those given: give the whole history."
            )
    ours, theirs = standing(here), standing(new)
    taken = Taken(len(new), len(newcomers) - len(new), tuple(_conflicts(ours, theirs)))
    new += _replaced(ours, theirs)
    targets = [None if row.withdraws is None else there[row.withdraws] for row in new]
    if new and not dry_run:
        store.take(new, targets, number, keep_numbers=not here)
    return taken


def _replaced(ours: list[Decision], theirs: list[Decision]) -> list[Decision]:
    """Return withdrawals of what a reviewer said there before what they said here of the star.

    A final verdict is replaced by a later final one alone.

    Parameters
    ----------
    ours, theirs : list of Decision
        What stands, newest first.
    """
    latest: dict[tuple[str, int | str, bool], Decision] = {}
    for one in ours:
        for star, is_final in product(_names_of_star(one), {False, one.is_final}):
            known = latest.setdefault((one.reviewer, star, is_final), one)
            if known.decided_at < one.decided_at:
                latest[one.reviewer, star, is_final] = one
    rows = []
    for old in theirs:
        found = [latest.get((old.reviewer, star, old.is_final)) for star in _names_of_star(old)]
        later = [one for one in found if one is not None and one.decided_at > old.decided_at]
        if not later:
            continue
        digest = hashlib.sha256(old.key.encode()).hexdigest()
        rows.append(
            Decision(
                old.obsid, old.uid, old.verdict, old.reviewer,
                comment=f"{_in_words(later[0])} was said later", decided_at=later[0].decided_at,
                withdraws=old.decision_id, key=f"replaced-{digest[:40]}",
            )
        )  # fmt: skip
    return rows


def _names_of_star(row: Decision) -> list[int | str]:
    """Return what the star of a decision goes by: its spectrum, and its name where it has one."""
    return [row.obsid, row.uid] if row.uid else [row.obsid]


def _conflicts(ours: list[Decision], theirs: list[Decision]) -> list[str]:
    """Return where a reviewer said one thing of a spectrum here and another there."""
    here, there = (
        {(row.obsid, row.reviewer): row for row in reversed(rows)} for rows in (ours, theirs)
    )
    pairs = ((here[name], there[name]) for name in sorted(here.keys() & there.keys()))
    return [
        f"obsid {one.obsid}: {one.reviewer} said {_in_words(one)} here, {_in_words(other)} there; "
        "the later one counts"
        for one, other in pairs
        if (one.verdict, one.verdict_class) != (other.verdict, other.verdict_class)
    ]


def _in_words(row: Decision) -> str:
    said = verdict_text(str(row.verdict), row.verdict_class, row.is_final)
    return f"{said} ({row.decided_at[:_DAY]})"


def back_up(store: Store, path: str | Path) -> Path:
    """Write the store as it is now to an SQLite file, while others go on deciding.

    Parameters
    ----------
    store : Store
    path : str or Path
        A file that is not there yet.

    Raises
    ------
    StoreError
        When something of that name is there, or the disk refuses; then nothing was written.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; name another file for the backup.")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent} is not a folder; make it first.")
    part = path.with_name(f".{path.name}.writing-{secrets.token_hex(4)}")
    try:
        if store.is_file:
            _copy_sqlite(Path(store.name), part)
        else:
            with Store(part) as copy:
                take_over(copy, store.decisions())
            with closing(sqlite3.connect(part)) as target:
                target.execute("PRAGMA journal_mode = DELETE")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(part, path)  # never over a file that came meanwhile
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{path} cannot be written: {error}; check the folder and its free space."
        ) from error
    finally:
        for leftover in path.parent.glob(f"{part.name}*"):
            leftover.unlink(missing_ok=True)
    return path


def check(store: Store, table: pd.DataFrame | None = None) -> list[str]:
    """Return what is wrong with a store, in sentences; empty when nothing is.

    Parameters
    ----------
    store : Store
    table : (n,) DataFrame, optional
        All spectra of the survey, to find decisions on spectra that it lacks.
    """
    found = store.damage()
    rows = store.decisions()[::-1]
    by_number = {row.decision_id: row for row in rows}
    for before, after in zip(rows, rows[1:], strict=False):
        if after.decided_at < before.decided_at:
            found.append(
                f"the clock went backwards, or decisions were taken over: decision "
                f"{after.decision_id} is dated {after.decided_at}, before decision "
                f"{before.decision_id} ({before.decided_at}); of "
                "one reviewer the order of the numbers counts"
            )
    for row in rows:
        target = by_number.get(row.withdraws) if row.is_withdrawal else row
        if target is None or target.reviewer != row.reviewer:
            found.append(
                f"withdrawal {row.decision_id} of {row.reviewer} takes back what is not theirs"
            )
    if table is not None:
        known = set(table["obsid"].tolist())
        lost = sorted({row.obsid for row in rows} - known)
        if lost:
            named = ", ".join(map(str, lost[:NAMED])) + (" …" if len(lost) > NAMED else "")
            found.append(
                f"{counted(len(lost), 'spectrum', 'spectra')} that decisions name "
                f"{'is' if len(lost) == 1 else 'are'} not in the survey ({named}): "
                "ingest their files; the decisions are kept"
            )
    return found
