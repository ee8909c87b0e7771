"""The store keeps every decision: on both databases, from many processes, after a kill."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st

from msfa_core.errors import StoreError
from msfa_core.vetting import store as store_module
from msfa_core.vetting.database import MIGRATIONS, SCHEMA_VERSION
from msfa_core.vetting.decision import Decision, Verdict
from msfa_core.vetting.record import verdict_of_record
from msfa_core.vetting.store import Store

BIG = 2**53 + 1  # a float would lose its last digit
NASTY = "<script>alert(1)</script> \"quotes\" 'single'; DROP TABLE decisions;-- ☃ 日本\nnext"


def raw(store):
    """The database behind a store, for what the store itself never does."""
    return store._database.engine.begin()


def decision(obsid=1, verdict="accept", reviewer="Ann", uid="G1", **fields):
    return Decision(obsid, uid, Verdict(verdict), reviewer, **fields)


def run_script(text, *arguments, **options):
    """Run Python text in a process of its own, as another server would."""
    return subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


# --- what comes back -----------------------------------------------------------------------
def test_a_decision_comes_back_as_it_was_given(store):
    given_in = decision(
        BIG, "reject", "Ann Müller", verdict_class="HSD", confidence=3, comment=NASTY,
        issue_flags=("sky", "arm joint"), shown={"p_bhb": 0.25, "obsid": BIG, "d02": None},
    )  # fmt: skip
    stored = store.append_decision(given_in)
    assert stored.decision_id == 1
    assert stored.decided_at.endswith("Z")
    assert store.decisions() == [stored]
    back = store.decisions()[0]
    assert back.comment == NASTY
    assert back.obsid == back.shown["obsid"] == BIG
    assert back.shown == given_in.shown
    assert back.issue_flags == ("sky", "arm joint")


def test_the_history_is_newest_first_and_can_be_narrowed(store):
    for number in range(6):
        store.append_decision(
            decision(number % 2, reviewer="AB"[number % 3 == 0], uid=f"G{number % 2}")
        )
    assert [row.decision_id for row in store.decisions()] == [6, 5, 4, 3, 2, 1]
    assert [row.decision_id for row in store.decisions(obsid=1)] == [6, 4, 2]
    assert [row.decision_id for row in store.decisions(uid="G0", limit=2)] == [5, 3]
    assert [row.decision_id for row in store.decisions(reviewer="B")] == [4, 1]
    assert [row.decision_id for row in store.decisions(limit=2, before=4)] == [3, 2]
    assert store.decisions(obsid=7) == []
    assert store.last_decision_id() == 6


def test_a_new_store_is_empty_in_every_respect(store):
    assert store.decisions() == []
    assert store.last_decision_id() == 0
    assert len(store.standing()) == 0


def test_decisions_are_there_after_closing_and_opening(place):
    with Store(place) as first:
        stored = first.append_decision(decision(BIG))
    with Store(place) as second:
        assert second.decisions() == [stored]


def test_a_time_given_with_the_decision_is_kept(store):
    stored = store.append_decision(decision(decided_at="2020-02-03T04:05:06Z"))
    assert stored.decided_at == "2020-02-03T04:05:06.000Z"


def test_whatever_a_decision_can_hold_comes_back(tmp_path):
    values = st.floats() | st.integers() | st.text()

    with Store(tmp_path / "v.sqlite") as store:

        @settings(deadline=None, max_examples=40)
        @given(
            comment=st.text(max_size=80),
            obsid=st.integers(-(2**63) + 1, 2**63 - 1),
            shown=st.dictionaries(st.text(max_size=8), values, max_size=3),
        )
        def comes_back(comment, obsid, shown):
            stored = store.append_decision(decision(obsid, comment=comment, shown=shown))
            assert store.decisions(obsid=obsid, limit=1) == [stored]

        comes_back()


# --- nothing vanishes ----------------------------------------------------------------------
def test_a_withdrawal_is_one_more_row_and_the_earlier_verdict_counts_again(store):
    first = store.append_decision(decision(10, "accept"))
    second = store.append_decision(decision(10, "reject"))
    taken = store.withdraw(second.decision_id, "Ann")
    assert (taken.withdraws, taken.verdict, taken.obsid) == (2, "reject", 10)
    assert [row.decision_id for row in store.decisions()] == [3, 2, 1]
    standing = store.standing()
    assert standing["decision_id"].tolist() == [first.decision_id]
    record = verdict_of_record(standing, pd.DataFrame({"obsid": [10], "uid": ["G1"]}), "latest")
    assert record["verdict"].tolist() == ["accept"]


def test_only_a_standing_decision_of_ones_own_can_be_withdrawn(store):
    stored = store.append_decision(decision(10))
    with pytest.raises(StoreError, match="Ann's, not Bob's"):
        store.withdraw(stored.decision_id, "Bob")
    with pytest.raises(StoreError, match="no decision 77"):
        store.withdraw(77, "Ann")
    taken = store.withdraw(stored.decision_id, " Ann ")
    with pytest.raises(StoreError, match="taken back already"):
        store.withdraw(stored.decision_id, "Ann")
    with pytest.raises(StoreError, match="itself a withdrawal"):
        store.withdraw(taken.decision_id, "Ann")
    assert store.last_decision_id() == taken.decision_id == 2


def test_a_decision_is_appended_once(store):
    stored = store.append_decision(decision())
    with pytest.raises(StoreError, match="stored already"):
        store.append_decision(stored)
    with pytest.raises(StoreError, match="withdraw"):
        store.append_decision(decision(withdraws=1))
    assert len(store.decisions()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET verdict = 'reject'",
        "DELETE FROM decisions",
        "DELETE FROM decisions WHERE decision_id = 1",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_a_decision(store, statement):
    stored = store.append_decision(decision(comment="kept"))
    with pytest.raises(sa.exc.DBAPIError, match="only ever appended"), raw(store) as connection:
        connection.execute(sa.text(statement))
    assert store.decisions() == [stored]


def test_the_database_refuses_to_empty_or_replace(store):
    first = store.append_decision(decision(comment="kept"))
    taken = store.withdraw(first.decision_id, "Ann")
    names = "decision_id, obsid, uid, verdict, reviewer, verdict_class, comment, issue_flags, shown"
    row = f"INTO decisions ({names}, software_version, decided_at, withdraws)"
    values = "5, '', 'accept', 'Eve', '', '', '[]', '{}', '', ''"
    statements = {
        "sqlite": [
            f"INSERT OR REPLACE {row} VALUES (1, {values}, NULL)",
            f"INSERT OR REPLACE {row} VALUES (9, {values}, 1)",
        ],
        "postgresql": ["TRUNCATE decisions", "TRUNCATE decisions CASCADE"],
    }
    for statement in statements[store._database.engine.dialect.name]:
        with pytest.raises(sa.exc.DBAPIError, match="only ever appended"), raw(store) as connection:
            connection.exec_driver_sql(statement)
    assert store.decisions() == [taken, first]


@pytest.mark.parametrize(
    ("column", "value"), [("verdict", "'maybe'"), ("confidence", "7"), ("reviewer", "''")]
)
def test_the_database_refuses_what_no_decision_can_say(store, column, value):
    fields = {
        "obsid": "5", "uid": "''", "verdict": "'accept'", "reviewer": "'Eve'",
        "verdict_class": "''", "comment": "''", "issue_flags": "'[]'", "shown": "'{}'",
        "software_version": "''", "decided_at": "''", "confidence": "1",
    }  # fmt: skip
    fields[column] = value
    statement = f"INSERT INTO decisions ({','.join(fields)}) VALUES ({','.join(fields.values())})"
    with pytest.raises(sa.exc.IntegrityError), raw(store) as connection:
        connection.exec_driver_sql(statement)
    assert store.decisions() == []


# --- durability ----------------------------------------------------------------------------
KILLED = """
import os, signal, sys
from msfa_core.vetting.store import Store
from msfa_core.vetting.decision import Decision
store = Store(sys.argv[1])
for obsid in range(1, 6):
    stored = store.append_decision(Decision(obsid, "G1", "accept", "Ann"))
store.withdraw(stored.decision_id, "Ann")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_append_returned_survives_a_kill_in_the_next_instant(place):
    killed = run_script(KILLED, place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Store(place) as store:
        assert [row.obsid for row in store.decisions()] == [5, 5, 4, 3, 2, 1]
        assert store.standing()["obsid"].tolist() == [1, 2, 3, 4]
        store.append_decision(decision(6))
        assert store.last_decision_id() == 7


def test_sqlite_waits_for_the_disk_at_every_commit(tmp_path):
    with Store(tmp_path / "v.sqlite") as store, raw(store) as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 2, 1]


WRITER = """
import sys, threading
from msfa_core.vetting.store import Store
from msfa_core.vetting.decision import Decision
store = Store(sys.argv[1])
def work(name):
    for obsid in range(10):
        store.append_decision(Decision(obsid, "G1", "accept", name))
threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}{k}",)) for k in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.slow
def test_processes_and_threads_that_open_a_new_store_at_once_lose_nothing(place):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, place, name], stderr=subprocess.PIPE)
        for name in "AB"
    ]
    for writer in writers:
        _, complaint = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaint.decode()
    with Store(place) as store:
        rows = store.decisions()
    assert len({row.decision_id for row in rows}) == 2 * 2 * 10
    for name in ("A0", "A1", "B0", "B1"):
        own = [row.obsid for row in rows[::-1] if row.reviewer == name]
        assert own == list(range(10))  # each writer's own order is kept


def test_one_store_serves_many_threads(store):
    def work(number):
        for obsid in range(10):
            store.append_decision(decision(obsid, reviewer=f"R{number}"))
            store.standing()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.decisions()) == 40


def test_of_two_withdrawals_at_once_one_wins(store):
    stored = store.append_decision(decision())
    outcomes = []

    def work():
        try:
            outcomes.append(store.withdraw(stored.decision_id, "Ann").withdraws)
        except StoreError:
            outcomes.append("refused")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["1", "refused", "refused", "refused"]
    assert len(store.decisions()) == 2


FORKED = """
import os, sys
from msfa_core.vetting.store import Store
from msfa_core.vetting.decision import Decision
store = Store(sys.argv[1])
store.append_decision(Decision(1, "G1", "accept", "parent"))
child = os.fork()
name = "parent" if child else "child"
for obsid in range(10):
    store.append_decision(Decision(obsid, "G1", "accept", name))
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(store.decisions()) == 21
"""


def test_a_forked_worker_uses_its_own_connection(place):
    forked = run_script(FORKED, place)
    assert forked.returncode == 0, forked.stderr


WATCHED = """
import os, socket, sys, time
from msfa_core.vetting.database import hanging_up
ours, theirs = socket.socketpair()
with hanging_up(ours, 60):  # the thread that watches is running, here
    pid = os.fork()
if not pid:
    theirs.settimeout(10)
    with hanging_up(ours, 0.2):
        os._exit(0 if theirs.recv(1) == b"" else 1)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_worker_hangs_up_on_a_silent_server_too():
    watched = run_script(WATCHED)
    assert watched.returncode == 0, watched.stderr


FULL = """
import resource, signal, sys
from msfa_core.vetting.store import Store
from msfa_core.vetting.decision import Decision
from msfa_core.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))  # no larger file
kept = 0
try:
    while True:
        store.append_decision(Decision(kept, "G1", "accept", "Ann", comment="x" * 4000))
        kept += 1
except StoreError as error:
    print(kept, str(error), sep="\\n")
"""


def test_a_disk_that_fills_is_one_clear_error_and_keeps_what_was_acknowledged(tmp_path):
    path = tmp_path / "vetting.sqlite"
    full = run_script(FULL, path)
    assert full.returncode == 0, full.stderr
    kept, message = full.stdout.splitlines()
    assert int(kept) > 3
    assert str(path) in message
    assert "free space" in message
    with Store(path) as store:
        assert len(store.decisions()) == int(kept)


# --- what cannot be opened -----------------------------------------------------------------
def test_a_store_of_a_newer_version_is_refused_and_left_alone(place):
    with Store(place) as store:
        store.append_decision(decision())
        with raw(store) as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"9999, newer than .*update the software"):
        Store(place)


def test_a_table_that_others_made_is_not_touched(tmp_path):
    path = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE decisions (id INTEGER)")
        other.commit()
    with pytest.raises(StoreError, match="did not make"):
        Store(path)


def test_a_store_that_cannot_be_written_says_so_and_can_be_read(tmp_path):
    path = tmp_path / "vetting.sqlite"
    with Store(path) as store:
        store.append_decision(decision())
        store.append_decision(decision(obsid=2))
    with Store(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        with pytest.raises(StoreError, match=r"readonly database; check .* permissions"):
            store.append_decision(decision(obsid=3))
        assert [row.obsid for row in store.decisions()][-1] == 1
        assert len(store.decisions()) == 2


@pytest.mark.parametrize("name", ["survey", "50 % of it?"])
def test_a_store_in_a_folder_that_cannot_be_written_is_read_as_it_lies(tmp_path, monkeypatch, name):
    path = tmp_path / name / "vetting.sqlite"
    path.parent.mkdir()
    with Store(path) as store:
        assert store.refusal_to_write == ""
        store.append_decision(decision())
    before = sorted(path.parent.iterdir())
    assert before == [path]
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    path.parent.chmod(0o500)
    with Store(path) as store:
        assert len(store.decisions()) == 1
        assert store.last_decision_id() == 1
        with pytest.raises(StoreError, match="may only be read: copy the survey"):
            store.append_decision(decision(obsid=2))
        assert "may only be read" in store.refusal_to_write
        assert sorted(path.parent.iterdir()) == before  # not even to read
        monkeypatch.undo()
        path.parent.chmod(0o700)
        with Store(path) as owner:  # decides meanwhile
            owner.append_decision(decision(obsid=3))
        assert [row.obsid for row in store.decisions()] == [3, 1]


def test_where_no_store_can_be_made_there_are_no_decisions(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    with Store(tmp_path / "vetting.sqlite") as store, Store(tmp_path / "other.sqlite") as other:
        assert store.decisions() == other.decisions() == []
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: store.last_decision_id(), range(20))) == [0] * 20
        with pytest.raises(StoreError, match="may only be read"):
            store.append_decision(decision())
    assert not list(tmp_path.iterdir())


def test_decisions_that_lie_beside_a_store_that_cannot_be_written_are_read_too(
    tmp_path, monkeypatch
):
    path = tmp_path / "vetting.sqlite"
    with Store(path) as owner:
        owner.append_decision(decision())
        owner.append_decision(decision(obsid=2))
        assert (tmp_path / "vetting.sqlite-wal").stat().st_size
        monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
        with Store(path) as store:
            assert [row.obsid for row in store.decisions()] == [2, 1]


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "vetting.sqlite"
    path.write_text("obsid,verdict\n1,accept\n" * 100)
    with pytest.raises(StoreError, match=r"vetting\.sqlite: .*not a database"):
        Store(path)
    assert path.read_text().startswith("obsid,verdict")


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("/nowhere/at/all/v.sqlite", "not a folder"),
        ("sqlite:///:memory:", "would lose decisions"),
        ("sqlite://", "would lose decisions"),
        ("mysql://host/name", "not supported"),
        ("://host/name", "cannot be read"),
    ],
)
def test_a_place_that_cannot_hold_a_store_is_refused_with_a_remedy(where, says):
    with pytest.raises(StoreError, match=says):
        Store(where)


def test_a_server_that_does_not_answer_is_an_error_without_the_password():
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'msfa-bhb[postgres]'")
    with pytest.raises(StoreError) as caught:
        Store("postgresql://ann:geheim@localhost:1/none?connect_timeout=2")
    assert "Cannot read postgresql+psycopg://ann:***@localhost:1/none" in str(caught.value)
    assert "geheim" not in str(caught.value)


# --- versions ------------------------------------------------------------------------------
def test_the_newest_migration_is_the_version_of_this_software():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_VERSION


def test_the_table_the_store_writes_is_the_table_the_migrations_make(store):
    with raw(store) as connection:
        made = [column["name"] for column in sa.inspect(connection).get_columns("decisions")]
    assert made == [column.name for column in store_module._DECISIONS.c]


# --- kills at random moments ---------------------------------------------------------------
APPENDER = """
import sys
from msfa_core.vetting.store import Store
from msfa_core.vetting.decision import Decision
store = Store(sys.argv[1])
first, run = int(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
for obsid in range(first, first + 100_000):
    stored = store.append_decision(Decision(obsid, "G1", "accept", run, key=f"{run}-{obsid}"))
    print(stored.decision_id, obsid, flush=True)  # acknowledged
"""
KILLS = int(os.environ.get("MSFA_TEST_KILLS", "6"))  # more by hand: each takes a second or two


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(place):
    """Each retry of the decision in hand stores it once, whether or not the kill came first."""
    rng = random.Random(7)
    acknowledged = {}
    for run in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER, place, "0", f"run{run}"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        killer = threading.Timer(rng.uniform(0.02, 0.4), process.kill)
        killer.start()
        lines = [line.split() for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        killer.join()
        acknowledged |= {(f"run{run}", int(obsid)): int(number) for number, obsid in lines}
        with Store(place) as store:  # the next server; the client gives its decision in hand again
            obsid = len(lines)
            again = decision(obsid, reviewer=f"run{run}", key=f"run{run}-{obsid}")
            stored = store.append_decision(again)
            acknowledged[f"run{run}", obsid] = stored.decision_id
    with Store(place) as store:
        rows = store.decisions()
        assert store.damage() == []
    stored = {(row.reviewer, row.obsid): row.decision_id for row in rows}
    assert len(stored) == len(rows)  # once
    assert stored == acknowledged
    assert len(acknowledged) > KILLS
