"""The decision store: an append-only history in SQLite or PostgreSQL.

When `Store.append_decision` returns, the decision is on disk. Nothing is changed or removed
afterwards: a decision is taken back by another row that names it, and triggers in the
database refuse updates and deletions from anyone. The only module that speaks SQL.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import exc

from msfa_core import __version__
from msfa_core.errors import StoreError
from msfa_core.vetting.decision import DECISION_COLUMNS, Decision, as_decisions_table

SCHEMA_VERSION: Final = "0001"  # the newest module of migrations/versions
BUSY_TIMEOUT_MS: Final = 30_000  # how long a writer waits for another one
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x6D736661  # "msfa": PostgreSQL advisory lock while a store is set up
_PRAGMAS: Final = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit waits for the disk
    "fullfsync = ON",  # and on macOS for the disk's own cache
    "foreign_keys = ON",
    "recursive_triggers = ON",
)

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
)


class Store:
    """Decisions of one survey; safe to share between threads, processes and reviewers.

    Parameters
    ----------
    place : str or Path
        An SQLite file (made when missing, in a folder that exists) or a database URL:
        ``postgresql://user@host/name`` or ``sqlite:///file``.

    Raises
    ------
    StoreError
        When the store cannot be opened, is no decision store, or was made by a newer
        version of this software.
    """

    def __init__(self, place: str | Path) -> None:
        self._url = _as_url(place)
        is_file = self._url.drivername == "sqlite"
        self.name: Final = (
            str(self._url.database) if is_file else self._url.render_as_string(hide_password=True)
        )
        self._engine = _engine(self._url, self.name)
        try:
            self._set_up()
        except BaseException:
            self._engine.dispose()
            raise

    def append_decision(self, decision: Decision) -> Decision:
        """Write a decision; it is on disk when this returns.

        Parameters
        ----------
        decision : Decision
            ``decided_at`` is filled in when empty.

        Returns
        -------
        Decision
            As stored, with ``decision_id`` and ``decided_at``.

        Raises
        ------
        StoreError
            When it was stored already, is a withdrawal (use `withdraw`), or the disk or
            server refuses; then nothing was written.
        """
        if decision.decision_id is not None:
            raise StoreError(
                f"decision {decision.decision_id} is stored already; make a new Decision."
            )
        if decision.withdraws is not None:
            raise StoreError("Take a decision back with withdraw(decision_id, reviewer).")
        with self._writing() as connection:
            return _insert(connection, decision)

    def withdraw(self, decision_id: int, reviewer: str) -> Decision:
        """Take a decision back by a further row; both stay in the history.

        Parameters
        ----------
        decision_id : int
        reviewer : str
            Who takes it back: only who made it can.

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
        key = _DECISIONS.c.decision_id
        with self._writing() as connection:
            row = connection.execute(_DECISIONS.select().where(key == int(decision_id))).first()
            if row is None:
                raise StoreError(f"There is no decision {decision_id} in {self.name}.")
            target = _decision(row)
            withdrawal = Decision(
                obsid=target.obsid,
                uid=target.uid,
                verdict=target.verdict,
                reviewer=reviewer,
                withdraws=target.decision_id,
            )
            if target.is_withdrawal:
                raise StoreError(
                    f"Decision {decision_id} is itself a withdrawal; decide anew instead."
                )
            if withdrawal.reviewer != target.reviewer:
                raise StoreError(
                    f"Decision {decision_id} is {target.reviewer}'s, not {reviewer}'s: only who "
                    "made a decision can take it back. Record your own verdict instead."
                )
            taken = _DECISIONS.c.withdraws == int(decision_id)
            if connection.execute(sa.select(key).where(taken)).first() is not None:
                raise StoreError(f"Decision {decision_id} was taken back already.")
            return _insert(connection, withdrawal)

    def decisions(
        self,
        obsid: int | None = None,
        uid: str | None = None,
        reviewer: str | None = None,
        limit: int | None = None,
        before: int | None = None,
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
        """
        query = _DECISIONS.select().order_by(_DECISIONS.c.decision_id.desc())
        if obsid is not None:
            query = query.where(_DECISIONS.c.obsid == int(obsid))
        if uid is not None:
            query = query.where(_DECISIONS.c.uid == uid)
        if reviewer is not None:
            query = query.where(_DECISIONS.c.reviewer == reviewer)
        if before is not None:
            query = query.where(_DECISIONS.c.decision_id < int(before))
        if limit is not None:
            query = query.limit(int(limit))
        with self._reading() as connection:
            return [_decision(row) for row in connection.execute(query)]

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
        with self._reading() as connection:
            rows = connection.execute(query).all()
        fields = dict(zip(DECISION_COLUMNS, map(list, zip(*rows, strict=True)), strict=False))
        fields = fields or {name: [] for name in DECISION_COLUMNS}
        read = {text: tuple(json.loads(text)) for text in set(fields["issue_flags"])}
        fields["issue_flags"] = [read[text] for text in fields["issue_flags"]]
        return as_decisions_table(fields)

    def last_decision_id(self) -> int:
        """Return the number of the newest row (0 for none): a cheap sign of news."""
        with self._reading() as connection:
            newest = connection.execute(sa.select(sa.func.max(_DECISIONS.c.decision_id))).scalar()
        return int(newest or 0)

    def close(self) -> None:
        """Let go of the database; the store can be used again afterwards."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    # --- connections -----------------------------------------------------------------------
    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _explained(self.name, "read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """Give a connection that holds the write lock; leaving it commits to disk."""
        with _explained(self.name, "write"), self._engine.connect() as idle:
            connection = idle.execution_options(msfa_write=True)
            with connection.begin():
                yield connection

    # --- schema ----------------------------------------------------------------------------
    def _set_up(self) -> None:
        """Bring the database to this version's schema, or refuse a newer one."""
        with self._reading() as connection:
            found = self._schema_version(connection)
        if found == SCHEMA_VERSION:
            return
        with self._writing() as connection:
            if connection.dialect.name == "postgresql":  # SQLite holds the write lock already
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            if self._schema_version(connection) != SCHEMA_VERSION:
                _upgrade(connection)

    def _schema_version(self, connection: sa.Connection) -> str:
        """Return the version of the schema, empty for a new database."""
        tables = set(sa.inspect(connection).get_table_names())
        if "alembic_version" not in tables:
            if "decisions" in tables:
                raise StoreError(
                    f"{self.name} has a table 'decisions' that this software did not make; "
                    "name another database."
                )
            return ""
        query = sa.text("SELECT version_num FROM alembic_version")
        found = str(connection.execute(query).scalar() or "")
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"{self.name} has schema version {found}, newer than {SCHEMA_VERSION} of this "
                f"software ({__version__}): update the software to open it."
            )
        return found


def _as_url(place: str | Path) -> sa.URL:
    """Return the database URL of a file name or URL."""
    text = str(place)
    if "://" not in text:
        path = Path(place).expanduser()
        if not path.parent.is_dir():
            raise StoreError(f"{path.parent} is not a folder; make it, or name another file.")
        return sa.URL.create("sqlite", database=str(path.resolve()))
    try:
        url = sa.make_url(text)
    except exc.ArgumentError as error:
        raise StoreError("The database URL cannot be read; see postgresql://user@host/name.") from (
            error
        )
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StoreError(
            f"{url.drivername} databases are not supported; use sqlite:/// or postgresql://."
        )
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError("A store in memory would lose decisions; name a file.")
    return url


def _engine(url: sa.URL, name: str) -> sa.Engine:
    """Return an engine whose connections are durable and stay with their process."""
    is_sqlite = url.drivername == "sqlite"
    try:
        engine = sa.create_engine(url, pool_pre_ping=not is_sqlite)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{name} needs the PostgreSQL driver: pip install 'msfa-bhb[postgres]'."
        ) from error

    _ENGINES.add(engine)
    if is_sqlite:
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_durable(connection: Any, _record: Any) -> None:
    """Set up a new SQLite connection."""
    connection.isolation_level = None  # the BEGIN is ours, not the driver's
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at the start of a writing transaction, not in its middle."""
    is_write = connection.get_execution_options().get("msfa_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _leave_to_parent() -> None:
    """In a forked process: use no connection of the parent, and do not close it either."""
    for engine in list(_ENGINES):
        _PARENTS_POOLS.append(engine.pool)
        engine.dispose(close=False)


_ENGINES: Final[weakref.WeakSet[sa.Engine]] = weakref.WeakSet()
_PARENTS_POOLS: Final[list[sa.Pool]] = []
os.register_at_fork(after_in_child=_leave_to_parent)


def _upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks, inside the open transaction."""
    from alembic import command  # noqa: PLC0415  # slow to import and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _explained(name: str, action: str) -> Iterator[None]:
    """Turn the database's errors into one line that names the store."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        reason = " ".join(str(cause).split())
        remedy = "check the folder, its permissions and free space, or the server"
        if "locked" in reason:
            remedy = f"another program held it for {BUSY_TIMEOUT_MS // 1000} s; close it, try again"
        elif "not a database" in reason or "malformed" in reason:
            remedy = "the file is damaged or something else; restore a copy or name another file"
        raise StoreError(f"Cannot {action} {name}: {reason}; {remedy}.") from error


# --- rows ----------------------------------------------------------------------------------
def _insert(connection: sa.Connection, decision: Decision) -> Decision:
    """Append one row; the caller's transaction makes it last."""
    decision = replace(decision, decided_at=decision.decided_at or datetime.now(UTC).isoformat())
    values = decision.as_dict()
    del values["decision_id"]
    values["issue_flags"] = json.dumps(values["issue_flags"], ensure_ascii=False)
    values["shown"] = json.dumps(values["shown"], ensure_ascii=False, allow_nan=False)
    statement = _DECISIONS.insert().values(**values).returning(_DECISIONS.c.decision_id)
    return replace(decision, decision_id=int(connection.execute(statement).scalar_one()))


def _decision(row: Any) -> Decision:
    values = dict(row._mapping)
    values["issue_flags"] = tuple(json.loads(values["issue_flags"]))
    values["shown"] = json.loads(values["shown"])
    return Decision(**values)
