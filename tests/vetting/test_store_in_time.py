"""Numbers appear in their order, a store is not waited for too long, and a retry stores once."""

import contextlib
import signal
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa
from local_postgres import Line, own_server

from msfa_core.constants import STORE_DEADLINE, STORE_SETTLING
from msfa_core.errors import AwayError, StoreError, UnansweredError
from msfa_core.vetting import database
from msfa_core.vetting.decision import Decision, Verdict
from msfa_core.vetting.store import Store

BROWSER = 15.0  # s, the patience of dashboard/static/verdict.js
_ROW = (
    "INSERT INTO decisions (obsid, uid, verdict, reviewer, verdict_class, comment, issue_flags,"
    " shown, software_version, decided_at)"
    " VALUES ({obsid}, '', 'accept', 'Eve', '', '', '[]', '{{}}', '', '')"
    " RETURNING decision_id"
)


def decision(obsid=1, verdict="accept", reviewer="Ann", **fields):
    return Decision(obsid, "G1", Verdict(verdict), reviewer, **fields)


def in_thread(work, *arguments):
    """Start work; return its thread and the list that its result goes to."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work(*arguments)), daemon=True)
    thread.start()
    return thread, results


@pytest.fixture
def postgres(postgres_server):
    """A new database on the server."""
    from local_postgres import new_database

    with new_database(postgres_server) as url:
        yield url


# --- numbers appear in their order ---------------------------------------------------------
def test_a_follower_misses_no_decision_of_two_open_transactions(postgres):
    """Whoever inserts, by whatever program: a lower number never appears after a higher one."""
    seen = []
    with Store(postgres) as store:
        follower = Store(postgres)

        def look():
            last = seen[-1] if seen else 0
            seen.extend(row.decision_id for row in follower.decisions(after=last)[::-1])

        other = sa.create_engine(store._database.url)
        first = other.connect()
        low = first.exec_driver_sql(_ROW.format(obsid=1)).scalar_one()  # open: not committed
        thread, stored = in_thread(store.append_decision, decision(2))
        thread.join(0.5)
        look()
        first.commit()
        first.close()
        other.dispose()
        thread.join(10)
        look()
        assert [low, stored[0].decision_id] == seen == [1, 2]
        follower.close()


def test_many_writers_and_a_follower_agree(place):
    """The follower sees every decision once, in the order of the numbers."""
    done = threading.Event()
    seen = []
    with Store(place) as store, Store(place) as follower:

        def follow():
            while not done.is_set() or follower.last_decision_id() > (seen[-1] if seen else 0):
                last = seen[-1] if seen else 0
                seen.extend(row.decision_id for row in follower.decisions(after=last)[::-1])

        def write(name):
            for obsid in range(25):
                store.append_decision(decision(obsid, reviewer=name))

        watcher, _ = in_thread(follow)
        writers = [in_thread(write, name)[0] for name in "ABCD"]
        for writer in writers:
            writer.join(60)
        done.set()
        watcher.join(30)
        assert seen == [row.decision_id for row in store.decisions()[::-1]]
        assert len(seen) == 100


# --- the deadline --------------------------------------------------------------------------
@contextlib.contextmanager
def held(place):
    """The write lock in the hands of another program."""
    if "://" in place:
        import psycopg

        with psycopg.connect(place) as other:
            other.execute(f"SELECT pg_advisory_xact_lock({database.APPEND_LOCK})")
            yield
    else:
        with contextlib.closing(sqlite3.connect(place)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.rollback()


def test_the_deadline_is_shorter_than_the_patience_of_a_browser():
    assert STORE_DEADLINE + STORE_SETTLING < BROWSER - 2


def test_a_store_that_is_held_refuses_in_time_and_does_not_store_later(place, monkeypatch):
    monkeypatch.setattr(database, "STORE_DEADLINE", 0.4)
    with Store(place) as store:
        with held(place):
            began = time.monotonic()
            with pytest.raises(StoreError, match="another program held it") as caught:
                store.append_decision(decision())
            assert 0.3 < time.monotonic() - began < STORE_DEADLINE / 2
            assert not isinstance(caught.value, UnansweredError)
            assert store.decisions() == []  # reading goes on meanwhile
        time.sleep(0.3)
        assert store.decisions() == []
        store.append_decision(decision(7))
        assert [row.obsid for row in store.decisions()] == [7]


def test_waiting_writers_of_one_process_all_end_by_the_deadline(place, monkeypatch):
    """More of them than there are connections: waiting for one counts as well."""
    monkeypatch.setattr(database, "STORE_DEADLINE", 0.5)
    with Store(place) as store:
        waited = []

        def work(obsid):
            began = time.monotonic()
            with pytest.raises(StoreError):
                store.append_decision(decision(obsid))
            waited.append(time.monotonic() - began)

        with held(place):
            threads = [in_thread(work, obsid)[0] for obsid in range(25)]
            for thread in threads:
                thread.join(20)
        assert len(waited) == 25
        assert max(waited) < 25 * 0.5 / 2  # and not one after the other
        assert store.decisions() == []


def test_a_server_that_falls_silent_is_hung_up_on(monkeypatch):
    """Stopped in its tracks: no answer, no error, no closed line."""
    server = own_server()
    monkeypatch.setattr(database, "STORE_DEADLINE", 1.5)
    monkeypatch.setattr(database, "PING_PATIENCE", 0.3)
    monkeypatch.setattr(database, "CONNECT_PATIENCE", 2)
    try:
        with Store(server.url) as store:
            store.append_decision(decision(1))
            backends = [server.process.pid, *_children(server.process.pid)]
            for pid in backends:
                _signal(pid, signal.SIGSTOP)
            began = time.monotonic()
            try:
                with pytest.raises(StoreError):
                    store.append_decision(decision(2))
                assert time.monotonic() - began < STORE_DEADLINE
            finally:
                for pid in backends:
                    _signal(pid, signal.SIGCONT)
            time.sleep(0.5)
            assert [row.obsid for row in store.decisions()] == [1]  # not stored later
            store.append_decision(decision(3))
    finally:
        server.remove()


def test_pages_are_refused_at_once_while_a_network_is_cut(monkeypatch):
    """Each question would wait for seconds, and with it every page of the server."""
    server = own_server()
    line = Line(server)
    monkeypatch.setattr(database, "STORE_DEADLINE", 1.0)
    monkeypatch.setattr(database, "PING_PATIENCE", 0.3)
    monkeypatch.setattr(database, "CONNECT_PATIENCE", 2)
    try:
        with Store(line.url) as store:
            store.serve_pages()
            store.append_decision(decision(1))
            line.cut()
            with pytest.raises(AwayError):
                store.append_decision(decision(2))
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(AwayError, match="did not answer a moment ago"):
                    store.decisions()
            assert time.monotonic() - began < 20 * 0.3 / 2
            line.mend()
            with pytest.raises(AwayError):
                store.decisions()  # only who can wait finds out
            assert store.last_decision_id() == 1
            assert [row.obsid for row in store.decisions()] == [1]
            store.append_decision(decision(3))
            assert [row.obsid for row in store.decisions()] == [3, 1]
    finally:
        line.remove()
        server.remove()


def _children(pid):
    from pathlib import Path

    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _signal(pid, number):
    import os

    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


# --- once ----------------------------------------------------------------------------------
def test_a_decision_given_again_with_its_key_is_stored_once(store):
    first = store.append_decision(decision(1, key="abc", comment="seen"))
    again = store.append_decision(decision(1, key="abc", comment="seen"))
    assert again == first
    assert [row.key for row in store.decisions()] == ["abc"]
    with pytest.raises(StoreError, match="belongs to another decision"):
        store.append_decision(decision(2, key="abc"))
    taken = store.withdraw(first.decision_id, "Ann", key="def")
    assert store.withdraw(first.decision_id, "Ann", key="def") == taken
    assert len(store.decisions()) == 2


def test_every_decision_gets_a_key_of_its_own(store):
    stored = [store.append_decision(decision(1)) for _ in range(3)]
    assert len({row.key for row in stored} - {""}) == 3


def test_of_one_key_given_by_many_threads_at_once_one_row_is_stored(store):
    threads = [in_thread(store.append_decision, decision(1, key="same")) for _ in range(6)]
    for thread, _ in threads:
        thread.join(30)
    assert {results[0].decision_id for _, results in threads} == {1}
    assert len(store.decisions()) == 1


class _LostCommit:
    """A transaction whose commit is (or is not) carried out while its answer gets lost."""

    def __init__(self, carried_out):
        self.carried_out = carried_out

    def __call__(self, real):
        def commit(connection):
            if self.carried_out:
                real(connection)
            else:
                connection.rollback()
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the line broke"))

        return commit


@pytest.mark.parametrize("carried_out", [True, False])
def test_when_the_answer_to_a_commit_is_lost_the_store_finds_out(place, monkeypatch, carried_out):
    with Store(place) as store:
        dialect = type(store._database.engine.dialect)
        broken = _LostCommit(carried_out)
        real = dialect.do_commit
        calls = []

        def commit(self, connection):
            calls.append(1)
            if len(calls) > 1:  # only the first answer is lost
                return real(self, connection)
            return broken(lambda c: real(self, c))(connection)

        monkeypatch.setattr(dialect, "do_commit", commit)
        if carried_out:
            assert store.append_decision(decision(5)).obsid == 5
        else:
            with pytest.raises(StoreError, match="the line broke") as caught:
                store.append_decision(decision(5))
            assert not isinstance(caught.value, UnansweredError)
        assert [row.obsid for row in store.decisions()] == ([5] if carried_out else [])


def test_a_store_that_stays_away_says_that_it_does_not_know(place, monkeypatch):
    with Store(place) as store:
        dialect = type(store._database.engine.dialect)
        real = dialect.do_commit

        def commit(self, connection):
            real(self, connection)
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the line broke"))

        with monkeypatch.context() as patched:
            patched.setattr(dialect, "do_commit", commit)
            with pytest.raises(UnansweredError, match="stored once"):
                store.append_decision(decision(5, key="again"))
        store.append_decision(decision(5, key="again"))
        assert [row.obsid for row in store.decisions()] == [5]


# --- restarts ------------------------------------------------------------------------------
def test_a_server_that_was_restarted_is_used_again():
    server = own_server()
    try:
        with Store(server.url) as store:
            store.append_decision(decision(1))
            server.stop()
            with pytest.raises(StoreError):
                store.append_decision(decision(2, key="kept"))
            server.start()
            store.append_decision(decision(2, key="kept"))
            assert [row.obsid for row in store.decisions()] == [2, 1]
    finally:
        server.remove()


# --- what a decision costs -----------------------------------------------------------------
def test_a_decision_takes_three_exchanges_with_the_server_and_starts_no_thread(
    postgres, monkeypatch
):
    """Begin, row and commit: on a busy machine each exchange more waits for two processes."""
    import psycopg

    with Store(postgres) as store:
        store.append_decision(decision(1))
        exchanges, started = [], []
        wait, start = psycopg.Connection.wait, threading.Thread.start

        def counted(connection, work, *arguments, **named):
            is_open = bool(connection.pgconn.transaction_status)  # else there is nothing to undo
            if is_open or work.__name__ != "_rollback_gen":
                exchanges.append(work.__name__)
            return wait(connection, work, *arguments, **named)

        monkeypatch.setattr(psycopg.Connection, "wait", counted)
        monkeypatch.setattr(threading.Thread, "start", lambda t: started.append(t) or start(t))
        for obsid in range(2, 12):
            store.append_decision(decision(obsid))
        assert len(exchanges) <= 3 * 10 + 2  # the line is asked once a second whether it is there
        assert started == []
        exchanges.clear()
        assert len(store.decisions(obsid=3)) == 1
        assert len(exchanges) <= 2


def test_a_writer_that_waits_for_its_turn_in_the_same_process_waits_no_longer_than_told(
    place, monkeypatch
):
    monkeypatch.setattr(database, "STORE_DEADLINE", 0.4)
    with Store(place) as store:
        with store._database.writing(5.0):
            thread, waited = in_thread(_seconds_until_refused, store)
            thread.join(10)
        assert 0.3 < waited[0] < 4
        store.append_decision(decision(3))
        assert [row.obsid for row in store.decisions()] == [3]


def _seconds_until_refused(store):
    began = time.monotonic()
    with pytest.raises(StoreError, match="held it"):
        store.append_decision(decision(1))
    return time.monotonic() - began
