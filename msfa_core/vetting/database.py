"""The database under the decision store: opened, kept in order, and never waited for too long.

Every use has a deadline, shorter than a browser's patience (`constants.STORE_DEADLINE`): waiting
for a connection, for the lock and for the server's answer all count. What was refused is not
stored later. Appends go one after the other, on PostgreSQL by a lock that the database itself
takes, so whoever has seen a number has seen all lower ones.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import exc

from msfa_core import __version__
from msfa_core.constants import STORE_DEADLINE
from msfa_core.errors import AwayError, StoreError, UnansweredError

SCHEMA_VERSION: Final = "0002"  # the newest module of migrations/versions
APPEND_LOCK: Final = 0x6D736661  # "msfa": PostgreSQL advisory lock of whoever appends or migrates
MIGRATION_PATIENCE: Final = 300.0  # s, while a store is brought to this version's schema
PING_PATIENCE: Final = 2.0  # s, until an idle connection counts as lost
AWAY: Final = 10.0  # s after a server did not answer in which who cannot wait does not ask it
FRESH: Final = 1.0  # s that a connection which answered is used without being asked again
CONNECT_PATIENCE: Final = 4  # s, for a new connection, where the URL does not say
GRACE: Final = 0.5  # s beyond the deadline, for the server to say itself that time is over
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_PRAGMAS: Final = (
    f"busy_timeout = {1000 * STORE_DEADLINE:.0f}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit waits for the disk
    "fullfsync = ON",  # and on macOS for the disk's own cache
    "foreign_keys = ON",
    "recursive_triggers = ON",
)
_IN_TIME: Final = (  # of PostgreSQL; the lock gives up first, so that its error says why
    "BEGIN; SET LOCAL lock_timeout = {0}; SET LOCAL statement_timeout = {1}; "
    "SET LOCAL idle_in_transaction_session_timeout = {0}; "
    f"SELECT pg_advisory_xact_lock({APPEND_LOCK})"
)


class Database:
    """One database with the schema of this version; safe to share between threads and forks.

    Parameters
    ----------
    place : str or Path
        An SQLite file or a database URL.

    Raises
    ------
    StoreError
        When it cannot be opened, is no decision store, or is of a newer version.
    """

    def __init__(self, place: str | Path) -> None:
        self.url: Final = as_url(place)
        self.is_file: Final = self.url.drivername == "sqlite"
        self.name: Final = (
            str(self.url.database) if self.is_file else self.url.render_as_string()
        )  # a password is masked
        as_it_lies = only_read(self.url) if self.is_file else None
        refusal = (
            ""
            if as_it_lies is None
            else "The decisions may only be read: copy the survey into a folder of your own to "
            f"decide, or have {self.name} made writable."
        )
        self.engine: Final = _engine(as_it_lies or self.url, self.name)
        self.refusal_to_write = ""
        self._turn = threading.Lock()
        self.is_for_pages = False  # which nobody may hold up
        self._away_until = 0.0
        _DATABASES.add(self)
        try:
            self._set_up()
        except BaseException:
            self.engine.dispose()
            raise
        self.refusal_to_write = refusal

    def close(self) -> None:
        """Let go of all connections; the database can be used again afterwards."""
        self.engine.dispose()

    def leave_to_parent(self) -> None:
        """In a forked process: use nothing of the parent's, and do not close it either."""
        _PARENTS_POOLS.append(self.engine.pool)
        self.engine.dispose(close=False)
        self._turn = threading.Lock()

    @contextmanager
    def reading(
        self, seconds: float | None = None, *, can_wait: bool = False
    ) -> Iterator[sa.Connection]:
        """Give a connection to read from.

        On SQLite it sees one state of the database, on PostgreSQL each statement does.

        A network that is cut says nothing, and each question waits for seconds, all pages of a
        server with it. So there only who can wait finds out whether a database that did not answer
        is back; the others are refused at once until then, or for ``AWAY``.

        Raises
        ------
        StoreError
            When the database refuses, or does not answer in time.
        """
        if self.is_for_pages and not can_wait and monotonic() < self._away_until:
            raise AwayError(
                f"Cannot read {self.name}: the server did not answer a moment ago; try again when "
                "it is back."
            )
        expires = monotonic() + (seconds or STORE_DEADLINE)
        with self._explained("read"), self.engine.connect() as idle:
            connection = idle.execution_options(msfa_expires=expires)
            with self._cut_off(connection, expires):
                yield connection

    @contextmanager
    def writing(self, seconds: float | None = None) -> Iterator[sa.Connection]:
        """Give a connection that holds the write lock; leaving it commits to disk.

        Raises
        ------
        UnansweredError
            When the database did not say whether it has committed.
        StoreError
            When it refuses, or does not answer in time; then nothing is stored, now or later.
        """
        if self.refusal_to_write:
            raise StoreError(self.refusal_to_write)
        expires = monotonic() + (seconds or STORE_DEADLINE)
        with self._explained("write"), self._in_turn(expires), self.engine.connect() as idle:
            connection = idle.execution_options(msfa_expires=expires, msfa_write=True)
            with self._cut_off(connection, expires), connection.begin() as transaction:
                if not self.is_file:  # SQLite's BEGIN IMMEDIATE holds the lock already
                    left = max(1, round(1000 * (expires - monotonic())))
                    connection.exec_driver_sql(_IN_TIME.format(left, left + round(500 * GRACE)))
                yield connection
                try:
                    transaction.commit()
                except exc.DBAPIError as error:
                    raise UnansweredError(
                        f"{self.name} did not say whether it has stored the decision "
                        f"({_reason(error)}); give the same one again: it is stored once."
                    ) from error

    def refusal(self, action: str, error: BaseException, waited: float) -> StoreError:
        """Return what went wrong as one line that names the store and a remedy.

        Parameters
        ----------
        action : str
            ``read`` or ``write``.
        error : exception of SQLAlchemy
        waited : float
            Seconds until it was raised.
        """
        reason, kind = _reason(error), StoreError
        remedy = "check the folder, its permissions and free space, or the server"
        if "locked" in reason or "lock timeout" in reason:
            remedy = f"another program held it for {waited:.0f} s; close it, try again"
        elif not self.is_file and waited >= STORE_DEADLINE:
            kind, remedy = AwayError, f"the server did not answer within {waited:.0f} s; try again"
        elif not self.is_file and isinstance(error, exc.OperationalError | exc.InterfaceError):
            kind, remedy = AwayError, "the server cannot be reached; try again when it is back"
        elif "not a database" in reason or "malformed" in reason:
            remedy = "the file is damaged or something else; restore a copy or name another file"
        return kind(f"Cannot {action} {self.name}: {reason}; {remedy}.")

    # --- time ------------------------------------------------------------------------------
    @contextmanager
    def _in_turn(self, expires: float) -> Iterator[None]:
        """Let the writers of one process to an SQLite file one after the other.

        SQLite itself has a waiting writer sleep and look again, up to 100 ms at a time. When the
        turn does not come in time, the file says so by itself.
        """
        turn = self._turn  # a fork in between makes another
        is_ours = self.is_file and turn.acquire(timeout=max(0.0, expires - monotonic()))
        try:
            yield
        finally:
            if is_ours:
                turn.release()

    @contextmanager
    def _cut_off(self, connection: sa.Connection, expires: float) -> Iterator[None]:
        """Hang up on a server that stays silent beyond the deadline."""
        hang_up = nullcontext() if self.is_file else hanging_up(
            connection.connection.dbapi_connection, expires - monotonic() + GRACE
        )  # fmt: skip
        with hang_up:
            yield

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turn the database's errors into one line that names the store."""
        began = monotonic()
        try:
            yield
        except exc.SQLAlchemyError as error:
            refusal = self.refusal(action, error, monotonic() - began)
            if isinstance(refusal, AwayError):
                self._away_until = monotonic() + AWAY
            raise refusal from error
        self._away_until = 0.0

    # --- schema ----------------------------------------------------------------------------
    def _set_up(self) -> None:
        """Bring the database to this version's schema, or refuse a newer one."""
        with self.reading() as connection:
            found = self._schema_version(connection)
        if found == SCHEMA_VERSION:
            return
        with self.writing(MIGRATION_PATIENCE) as connection:
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


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())


def as_url(place: str | Path) -> sa.URL:
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


def only_read(url: sa.URL) -> sa.URL | None:
    """Return how to open an SQLite file that cannot be written; None for any other.

    SQLite makes two files beside it even to read; where it cannot, the file counts as at rest,
    which it is unless somebody's decisions lie in one of them. Where none can be made, there are
    no decisions.
    """
    path = Path(url.database or "")
    may_add = not path.parent.is_dir() or os.access(path.parent, os.W_OK)
    if may_add and (not path.is_file() or os.access(path, os.W_OK)):
        return None
    if not path.exists():
        query = {"uri": "true", "mode": "memory", "cache": "shared"}
        return sa.URL.create("sqlite", database=f"file:none-{uuid4().hex}", query=query)
    log = path.with_name(f"{path.name}-wal")
    is_at_rest = not log.exists() or not log.stat().st_size
    query = {"uri": "true", "mode": "ro"} | ({"immutable": "1"} if is_at_rest else {})
    return sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)


def name_for_sqlite(url: sa.URL) -> str:
    """Return what `sqlite3.connect` takes, with ``uri=True``, for a file that is only read."""
    query = "&".join(f"{key}={value}" for key, value in url.query.items() if key != "uri")
    return f"{url.database}?{query}"


def _engine(url: sa.URL, name: str) -> sa.Engine:
    """Return an engine whose connections are durable and stay with their process."""
    is_sqlite = url.drivername == "sqlite"
    # PostgreSQL: transactions begin when we say so, with their limits and lock in one exchange
    arguments: dict[str, Any] = {"check_same_thread": False} if is_sqlite else {"autocommit": True}
    if not is_sqlite and "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_PATIENCE
    try:
        # a file at rest is opened anew each time: its owner may have decided meanwhile
        pool: dict[str, Any] = (
            {"poolclass": sa.NullPool}
            if "immutable" in url.query
            else {"poolclass": sa.QueuePool, "pool_timeout": STORE_DEADLINE}
        )
        engine = sa.create_engine(url, connect_args=arguments, **pool)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{name} needs the PostgreSQL driver: pip install 'msfa-bhb[postgres]'."
        ) from error

    if is_sqlite:
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "checkout", _refuse_when_lost)
    return engine


def _make_durable(connection: Any, _record: Any) -> None:
    """Set up a new SQLite connection."""
    connection.isolation_level = None  # the BEGIN is ours, not the driver's
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at the start of a writing transaction, not in its middle."""
    options = connection.get_execution_options()
    left = options.get("msfa_expires", monotonic() + STORE_DEADLINE) - monotonic()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {max(1, round(1000 * left))}")
    is_write = options.get("msfa_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _refuse_when_lost(connection: Any, record: Any, _fairy: Any) -> None:
    """Have the pool replace a connection whose server has gone or does not answer."""
    import psycopg  # noqa: PLC0415  # only where it is used

    if monotonic() < record.info.get("msfa_fresh_until", 0.0):
        return
    try:
        with hanging_up(connection, PING_PATIENCE):
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise exc.DisconnectionError(str(error)) from error
    record.info["msfa_fresh_until"] = monotonic() + FRESH


class _Watch:
    """One thread that shuts lines when their time is over.

    A thread for each use would cost more than a decision does.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: dict[socket.socket, float] = {}
        self._wakes = float("inf")  # when the thread looks next
        self._thread: threading.Thread | None = None

    def add(self, line: socket.socket, end: float) -> None:
        """Shut a line at this time, unless it is dropped before."""
        with self._changed:
            self._ends[line] = end
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="msfa-watch", daemon=True)
                self._thread.start()
            elif end < self._wakes:
                self._changed.notify()

    def drop(self, line: socket.socket) -> None:
        """Leave a line alone; when this returns, it will not be shut."""
        with self._changed:
            self._ends.pop(line, None)

    def _look(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for line in [line for line, end in self._ends.items() if end <= now]:
                    del self._ends[line]
                    with suppress(OSError):  # it was closed meanwhile
                        line.shutdown(socket.SHUT_RDWR)
                self._wakes = min(self._ends.values(), default=float("inf"))
                self._changed.wait(None if self._wakes == float("inf") else self._wakes - now)


@contextmanager
def hanging_up(connection: Any, seconds: float) -> Iterator[None]:
    """Shut the line of a PostgreSQL connection unless this block ends in time.

    Parameters
    ----------
    connection : psycopg.Connection
    seconds : float
    """
    line = socket.socket(fileno=os.dup(connection.fileno()))
    watch = _WATCHES[-1]
    watch.add(line, monotonic() + seconds)
    try:
        yield
    finally:
        if (
            watch is _WATCHES[-1]
        ):  # not in a process forked meanwhile: its lock may stay taken there
            watch.drop(line)
        line.close()


def _leave_to_parent() -> None:
    """In a forked process, which has the memory of its parent but none of its threads."""
    _WATCHES.append(_Watch())
    for database in list(_DATABASES):
        database.leave_to_parent()


_WATCHES: Final[list[_Watch]] = [_Watch()]  # the last one is this process's
_DATABASES: Final[weakref.WeakSet[Database]] = weakref.WeakSet()
_PARENTS_POOLS: Final[list[sa.Pool]] = []
os.register_at_fork(after_in_child=_leave_to_parent)


def _upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database lacks, inside the open transaction."""
    from alembic import command  # noqa: PLC0415  # slow to import and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
