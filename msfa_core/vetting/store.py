"""The decision store: an append-only history in SQLite or PostgreSQL.

When `Store.append_decision` returns, the decision is on disk; when it raises, it is not and will
not be, except after an `UnansweredError`, which says so. Nothing is changed or removed
afterwards: a decision is taken back by another row that names it, and triggers in the database
refuse updates and deletions from anyone. Only this folder speaks SQL.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pandas as pd
import sqlalchemy as sa

from msfa_core.constants import STORE_SETTLING
from msfa_core.errors import StoreError, UnansweredError
from msfa_core.vetting.database import Database
from msfa_core.vetting.decision import DECISION_COLUMNS, Decision, as_decisions_table

WHOLE_PATIENCE: Final = 120.0  # s, for reading a whole history

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DECISIONS: Final = sa.Table(
    "decisions",
    sa.MetaData(),
    sa.Column("decision_id", _BIG, primary_key=True),
    sa.Column("obsid", _BIG),
    sa.Column("uid", sa.Text),
    sa.Column("verdict", sa.Text),
    sa.Column("reviewer", sa.Text),
    sa.Column("verdict_class", sa.Text),
    sa.Column("confidence", sa.SmallInteger),
    sa.Column("comment", sa.Text),
    sa.Column("issue_flags", sa.Text),
    sa.Column("shown", sa.Text),
    sa.Column("software_version", sa.Text),
    sa.Column("decided_at", sa.Text),
    sa.Column("withdraws", _BIG),
    sa.Column("key", sa.Text),
)
_FIELDS: Final = [column for column in _DECISIONS.c if column.name != "decision_id"]
_APPEND: Final = (  # a row, unless one of its key is there: looked up and written in one exchange
    _DECISIONS.insert()
    .from_select(
        [column.name for column in _FIELDS],
        sa.select(*(sa.bindparam(column.name, type_=column.type) for column in _FIELDS)).where(
            ~sa.exists().where(_DECISIONS.c.key == sa.bindparam("key", type_=sa.Text()))
        ),
    )
    .returning(_DECISIONS.c.decision_id)
)


class Store:
    """Decisions of one survey; safe to share between threads, processes and reviewers.

    Parameters
    ----------
    place : str or Path
        An SQLite file (made when missing, in a folder that exists) or a database URL:
        ``postgresql://user@host/name`` or ``sqlite:///file``.
    renamed : mapping of name -> name, optional
        Names as decisions were signed, and what their reviewers are called now: read so, while
        what is written stays as it was signed.

    Raises
    ------
    StoreError
        When the store cannot be opened, is no decision store, or was made by a newer
        version of this software.
    """

    def __init__(self, place: str | Path, renamed: Mapping[str, str] | None = None) -> None:
        self._database = Database(place)
        self._renamed: Final = dict(renamed or {})
        self.name: Final = self._database.name

    def append_decision(self, decision: Decision) -> Decision:
        """Write a decision; it is on disk when this returns.

        Parameters
        ----------
        decision : Decision
            ``decided_at`` and ``key`` are filled in when empty. One whose key is stored already
            is not stored again: what was stored comes back.

        Returns
        -------
        Decision
            As stored, with ``decision_id`` and ``decided_at``.

        Raises
        ------
        StoreError
            When it was stored already, is a withdrawal (use `withdraw`), its key belongs to
            another decision, or the disk or server refuses or does not answer within
            ``constants.STORE_DEADLINE``; then nothing was written, nor will be.
        UnansweredError
            When the connection broke in the moment of storing and the store does not come back:
            give the same decision with the same key again, and it is stored once.
        """
        if decision.decision_id is not None:
            raise StoreError(
                f"decision {decision.decision_id} is stored already; make a new Decision."
            )
        if decision.withdraws is not None:
            raise StoreError("Take a decision back with withdraw(decision_id, reviewer).")
        return self._append(replace(decision, key=decision.key or _new_key()))

    def withdraw(self, decision_id: int, reviewer: str, key: str = "") -> Decision:
        """Take a decision back by a further row; both stay in the history.

        Parameters
        ----------
        decision_id : int
        reviewer : str
            Who takes it back: only who made it can.
        key : str
            As in `Decision`: the same withdrawal given twice is stored once.

        Returns
        -------
        Decision
            The withdrawal as stored.

        Raises
        ------
        StoreError
            When there is no such decision, it is another reviewer's, it was taken back
            before, or it is itself a withdrawal.
        """
        with self._database.reading(can_wait=True) as connection:
            target = self._called(_of_number(connection, decision_id))
        if target is None:
            raise StoreError(f"There is no decision {decision_id} in {self.name}.")
        if target.is_withdrawal:
            raise StoreError(f"Decision {decision_id} is itself a withdrawal; decide anew instead.")
        withdrawal = Decision(
            obsid=target.obsid,
            uid=target.uid,
            verdict=target.verdict,
            reviewer=reviewer,
            withdraws=target.decision_id,
            key=key or _new_key(),
        )
        if withdrawal.reviewer != target.reviewer:
            raise StoreError(
                f"Decision {decision_id} is {target.reviewer}'s, not {reviewer}'s: only who "
                "made a decision can take it back. Record your own verdict instead."
            )
        return self._append(withdrawal)

    def _append(self, decision: Decision) -> Decision:
        """Store a decision that has a key; find out what became of it when the line breaks."""
        began = monotonic()
        try:
            with self._database.writing() as connection:
                return _insert(connection, decision)
        except UnansweredError as unanswered:
            try:  # whoever holds the lock knows that the broken transaction is over
                with self._database.writing(STORE_SETTLING) as connection:
                    stored = _of_key(connection, decision.key)
            except StoreError:
                raise unanswered from unanswered.__cause__
            if stored is None:
                cause = unanswered.__cause__ or unanswered
                waited = monotonic() - began
                raise self._database.refusal("write", cause, waited) from cause
            return stored

    def take(
        self,
        decisions: Sequence[Decision],
        targets: Sequence[str | None],
        numbers: Mapping[str, int | None],
        *,
        keep_numbers: bool,
    ) -> None:
        """Append decisions of another store, all of them or none; see `transfer.take_over`.

        Parameters
        ----------
        decisions : sequence of Decision
            Oldest first, each with its time and key.
        targets : sequence of str or None
            The key of what each takes back.
        numbers : mapping
            Numbers of the decisions that are here already, by their keys.
        keep_numbers : bool
            Keep their ``decision_id``: for an empty store.

        Raises
        ------
        StoreError
            When the store refuses, or is no longer empty although numbers are to be kept.
        """
        with self._database.writing(WHOLE_PATIENCE) as connection:
            number = _DECISIONS.c.decision_id
            known = dict(numbers)
            if keep_numbers and connection.execute(sa.select(number).limit(1)).first():
                raise StoreError(f"{self.name} is no longer empty: give the command again.")
            for decision, target in zip(decisions, targets, strict=True):
                values = _values(decision)
                values["withdraws"] = None if target is None else known[target]
                if not keep_numbers:
                    del values["decision_id"]
                statement = _DECISIONS.insert().values(**values).returning(number)
                known[decision.key] = int(connection.execute(statement).scalar_one())
            if keep_numbers and not self.is_file:
                connection.exec_driver_sql(
                    "SELECT setval(pg_get_serial_sequence('decisions', 'decision_id'), "
                    "(SELECT max(decision_id) FROM decisions))"
                )

    @property
    def is_file(self) -> bool:
        """Whether the store is an SQLite file."""
        return self._database.is_file

    def damage(self) -> list[str]:
        """Return what the database says is wrong with its file; empty when nothing is."""
        if not self.is_file:
            return []
        with self._database.reading(WHOLE_PATIENCE) as connection:
            said = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            loose = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        found = [f"damaged: {line}" for line in said if line != "ok"]
        return found + [f"row {row[1]} takes back a decision that is not there" for row in loose]

    def decisions(
        self,
        obsid: int | None = None,
        uid: str | None = None,
        reviewer: str | None = None,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
    ) -> list[Decision]:
        """Return the history, newest first, withdrawals included.

        Parameters
        ----------
        obsid : int, optional
            Decisions made on this spectrum.
        uid : str, optional
            Decisions made when the star had this identifier.
        reviewer : str, optional
        limit : int, optional
            At most this many.
        before : int, optional
            Only rows before this ``decision_id``: the next page, as quick as the first.
        after : int, optional
            Only rows after this ``decision_id``: the news since then, none missed, as numbers
            appear in their order.
        """
        query = _DECISIONS.select().order_by(_DECISIONS.c.decision_id.desc())
        if obsid is not None:
            query = query.where(_DECISIONS.c.obsid == int(obsid))
        if uid is not None:
            query = query.where(_DECISIONS.c.uid == uid)
        if reviewer is not None:
            signed = [old for old, new in self._renamed.items() if new == reviewer]
            query = query.where(_DECISIONS.c.reviewer.in_([reviewer, *signed]))
        if before is not None:
            query = query.where(_DECISIONS.c.decision_id < int(before))
        if after is not None:
            query = query.where(_DECISIONS.c.decision_id > int(after))
        if limit is not None:
            query = query.limit(int(limit))
        with self._database.reading() as connection:
            return [self._called(_decision(row)) for row in connection.execute(query)]

    def standing(self) -> pd.DataFrame:
        """Return every decision that nobody took back, oldest first.

        Returns
        -------
        DataFrame
            One row per decision, as `vetting.decisions_table` gives (``shown`` left out):
            what `vetting.verdict_of_record` takes.
        """
        taken_back = _DECISIONS.alias("taken_back")
        columns = [_DECISIONS.c[name] for name in DECISION_COLUMNS]
        query = (
            sa.select(*columns)
            .where(_DECISIONS.c.withdraws.is_(None))
            .where(~sa.exists().where(taken_back.c.withdraws == _DECISIONS.c.decision_id))
            .order_by(_DECISIONS.c.decision_id)
        )
        with self._database.reading(WHOLE_PATIENCE) as connection:
            rows = connection.execute(query).all()
        fields = dict(zip(DECISION_COLUMNS, map(list, zip(*rows, strict=True)), strict=False))
        fields = fields or {name: [] for name in DECISION_COLUMNS}
        read = {text: tuple(json.loads(text)) for text in set(fields["issue_flags"])}
        fields["issue_flags"] = [read[text] for text in fields["issue_flags"]]
        fields["reviewer"] = [self._renamed.get(name, name) for name in fields["reviewer"]]
        return as_decisions_table(fields)

    def _called(self, decision: Decision | None) -> Any:
        """Return a decision with what its reviewer is called now."""
        if decision is None or decision.reviewer not in self._renamed:
            return decision
        return replace(decision, reviewer=self._renamed[decision.reviewer])

    @property
    def refusal_to_write(self) -> str:
        """Why nothing can be decided here: the file may only be read; empty where it can."""
        return self._database.refusal_to_write

    def serve_pages(self) -> None:
        """From now on, refuse at once to read from a server that did not answer a moment ago.

        What writes, and `last_decision_id`, waits for it, and finds out when it is back.
        """
        self._database.is_for_pages = True

    def last_decision_id(self) -> int:
        """Return the number of the newest row (0 for none): a cheap sign of news."""
        with self._database.reading(can_wait=True) as connection:
            newest = connection.execute(sa.select(sa.func.max(_DECISIONS.c.decision_id))).scalar()
        return int(newest or 0)

    def close(self) -> None:
        """Let go of the database; the store can be used again afterwards."""
        self._database.close()

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"


# --- rows ----------------------------------------------------------------------------------
def _new_key() -> str:
    return uuid.uuid4().hex


def _of_number(connection: sa.Connection, decision_id: int) -> Decision | None:
    query = _DECISIONS.select().where(_DECISIONS.c.decision_id == int(decision_id))
    row = connection.execute(query).first()
    return None if row is None else _decision(row)


def _of_key(connection: sa.Connection, key: str) -> Decision | None:
    row = connection.execute(_DECISIONS.select().where(_DECISIONS.c.key == key)).first()
    return None if row is None else _decision(row)


def _insert(connection: sa.Connection, decision: Decision) -> Decision:
    """Append one row, or return the one of its key; the caller's transaction makes it last."""
    if decision.withdraws is not None:
        taken = connection.execute(
            sa.select(_DECISIONS.c.key).where(_DECISIONS.c.withdraws == decision.withdraws)
        ).scalar_one_or_none()
        if taken is not None and taken != decision.key:
            raise StoreError(f"Decision {decision.withdraws} was taken back already.")
    decision = replace(decision, decided_at=decision.decided_at or datetime.now(UTC).isoformat())
    values = _values(decision)
    del values["decision_id"]
    number = connection.execute(_APPEND, values).scalar_one_or_none()
    if number is not None:
        return replace(decision, decision_id=int(number))
    stored = _of_key(connection, decision.key)
    same = ("obsid", "reviewer", "verdict", "withdraws")
    if stored is None or any(getattr(stored, name) != getattr(decision, name) for name in same):
        other = "" if stored is None else f" ({stored.decision_id})"
        raise StoreError(
            f"The key {decision.key!r} belongs to another decision{other}; make a new one for "
            "each decision."
        )
    return stored


def _values(decision: Decision) -> dict[str, Any]:
    """Return the columns of a row."""
    values = decision.as_dict()
    values["issue_flags"] = json.dumps(values["issue_flags"], ensure_ascii=False)
    values["shown"] = json.dumps(values["shown"], ensure_ascii=False, allow_nan=False)
    return values


def _decision(row: Any) -> Decision:
    values = dict(row._mapping)
    values["issue_flags"] = tuple(json.loads(values["issue_flags"]))
    values["shown"] = json.loads(values["shown"])
    values["key"] = values["key"] or ""  # rows of the first schema have none
    return Decision(**values)
