"""Decisions move between stores without loss, once, and completely or not at all."""

import os
import sqlite3

import pandas as pd
import pytest
import sqlalchemy as sa
from local_postgres import new_database

from msfa_core.errors import StoreError
from msfa_core.vetting.agreement import latest_by_reviewer
from msfa_core.vetting.decision import Decision, Verdict
from msfa_core.vetting.record import verdict_of_record
from msfa_core.vetting.store import Store
from msfa_core.vetting.transfer import Taken, back_up, check, history_of, take_over


def decision(obsid=1, verdict="accept", reviewer="Ann", uid="", **fields):
    return Decision(obsid, uid or f"G{obsid}", Verdict(verdict), reviewer, **fields)


def fill(store):
    store.append_decision(decision(1, comment="Müller; 'x'", shown={"p": 0.5}, confidence=3))
    second = store.append_decision(decision(2, "reject", "Bob", issue_flags=["final"]))
    store.withdraw(second.decision_id, "Bob")
    store.append_decision(decision(2, "unsure", "Bob"))
    return store.decisions()


def test_a_history_moves_to_either_database_and_back_unchanged(store, tmp_path, postgres_server):
    rows = fill(store)
    with new_database(postgres_server) as url, Store(url) as there:
        assert take_over(there, store.decisions()).n_new == 4
        assert there.decisions() == rows
        assert there.append_decision(decision(9)).decision_id == 5  # numbering goes on
        with Store(tmp_path / "back.sqlite") as back:
            take_over(back, there.decisions())
            assert back.decisions()[1:] == rows


def test_taking_over_twice_changes_nothing(store, tmp_path):
    with Store(tmp_path / "other.sqlite") as other:
        rows = fill(other)
        store.append_decision(decision(7))
        dry = take_over(store, rows, dry_run=True)
        assert (dry.n_new, len(store.decisions())) == (4, 1)
        assert take_over(store, rows).n_new == 4
        once = store.decisions()
        again = take_over(store, other.decisions())
        assert (again.n_new, again.n_known) == (0, 4)
        assert store.decisions() == once
    assert store.standing()["obsid"].tolist() == [7, 1, 2]
    assert [row.decided_at for row in once[:4]] == [row.decided_at for row in rows]


STARS = pd.DataFrame({"obsid": [1, 2, 3], "uid": ["G1", "G2", "G3"]})


def day(n):
    return f"2026-01-{n:02d}T00:00:00.000Z"


def record(store):
    return verdict_of_record(store.decisions(), STARS, "agreement")["verdict"].tolist()


def test_of_one_reviewer_the_later_verdict_counts_whichever_store_it_was_given_in(store, tmp_path):
    """A new store was begun when the old one was lost, and the old one's backup is found."""
    with Store(tmp_path / "other.sqlite") as other:
        for one in (
            decision(1, "reject", decided_at=day(5)),
            decision(2, "accept", "Bob", decided_at=day(5)),
            decision(3, "unsure", uid="G3", decided_at=day(5)),
        ):
            store.append_decision(one)
        for one in (
            decision(1, "unsure", decided_at=day(1)),
            decision(1, "accept", decided_at=day(2)),
            decision(2, "reject", "Bob", verdict_class="WD", decided_at=day(6)),
            decision(33, "reject", uid="G3", decided_at=day(2)),  # another spectrum of the star
            decision(33, "reject", "Bob", uid="G3", decided_at=day(2)),
        ):
            other.append_decision(one)
        said = (
            "obsid 1: Ann said reject (2026-01-05) here, accept (2026-01-02) there; the later one "
            "counts",
            "obsid 2: Bob said accept (2026-01-05) here, reject as WD (2026-01-06) there; the "
            "later one counts",
        )
        assert take_over(store, other.decisions(), dry_run=True).conflicts == said
        for one, another in ((store, other), (other, store)) * 2:
            taken = take_over(one, another.decisions())
        assert taken == Taken(0, len(store.decisions()), ())  # both have all of it
        assert record(store) == record(other) == ["reject", "reject", "unsure"]
        for one in (store, other):
            own = latest_by_reviewer(one.decisions(), STARS.replace({"obsid": {3: 33}}))
            assert own.loc[33, "Bob"] == "reject"
    taken_back = [row for row in store.decisions() if row.is_withdrawal]
    assert {row.comment for row in taken_back} == {
        "reject (2026-01-05) was said later", "unsure (2026-01-05) was said later",
        "reject as WD (2026-01-06) was said later",
    }  # fmt: skip


def test_a_final_verdict_stays_final_though_its_reviewer_gave_an_ordinary_one_later(
    store, tmp_path
):
    store.append_decision(decision(1, "reject", decided_at=day(5)))
    with Store(tmp_path / "other.sqlite") as other:
        other.append_decision(decision(1, "accept", issue_flags=["final"], decided_at=day(2)))
        take_over(store, other.decisions())
    assert record(store)[0] == "accept"
    store.append_decision(decision(1, "unsure", issue_flags=["final"], decided_at=day(6)))
    with Store(tmp_path / "third.sqlite") as third:
        third.append_decision(decision(1, "reject", issue_flags=["final"], decided_at=day(3)))
        take_over(store, third.decisions())
    assert record(store)[0] == "unsure"


def test_one_who_says_the_same_in_two_stores_or_took_it_back_is_in_no_conflict(store, tmp_path):
    store.append_decision(decision(1, "reject"))
    gone = store.append_decision(decision(2, "unsure"))
    store.withdraw(gone.decision_id, "Ann")
    with Store(tmp_path / "other.sqlite") as other:
        for one in (decision(1, "accept"), decision(1, "reject"), decision(2, "accept")):
            other.append_decision(one)
        assert take_over(store, other.decisions()).conflicts == ()


def test_what_was_taken_back_in_both_stores_is_taken_back_once(store, tmp_path):
    first = store.append_decision(decision(1))
    with Store(tmp_path / "other.sqlite") as other:
        take_over(other, store.decisions())
        for one in (store, other):
            one.withdraw(first.decision_id, "Ann")
        other.append_decision(decision(2))
        assert take_over(store, other.decisions()) == Taken(1, 2, ())
        assert take_over(store, other.decisions()) == Taken(0, 3, ())
    assert store.standing()["obsid"].tolist() == [2]
    assert check(store) == []


def test_rows_without_keys_are_known_again_even_when_they_are_twins(tmp_path):
    moment = "2026-01-01T00:00:00Z"
    twins = [decision(1, decided_at=moment, decision_id=n) for n in (1, 2)]
    with Store(tmp_path / "new.sqlite") as store:
        assert take_over(store, twins).n_new == 2
        assert take_over(store, twins).n_new == 0


def test_a_withdrawal_without_its_decision_takes_nothing_over(store):
    rows = [decision(1, decision_id=1), decision(2, decision_id=5, withdraws=4)]
    with pytest.raises(StoreError, match="whole history"):
        take_over(store, rows)
    assert store.decisions() == []


def test_a_failure_half_way_leaves_the_store_as_it_was(store, tmp_path, monkeypatch):
    from msfa_core.vetting import store as module

    with Store(tmp_path / "other.sqlite") as other:
        rows = fill(other)
    real, calls = module._values, []

    def breaks(one):
        calls.append(1)
        if len(calls) == 3:
            raise StoreError("broken")
        return real(one)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_values", breaks)
        with pytest.raises(StoreError, match="broken"):
            take_over(store, rows)
    assert store.decisions() == []
    take_over(store, rows)
    assert store.decisions() == rows


def test_a_backup_is_one_file_that_holds_everything(store, tmp_path):
    rows = fill(store)
    path = back_up(store, tmp_path / "backup.sqlite")
    assert sorted(one.name for one in tmp_path.glob("*backup*")) == ["backup.sqlite"]
    before = path.read_bytes()
    assert history_of(str(path)) == rows
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="exists"):
        back_up(store, path)
    with pytest.raises(StoreError, match="not a file"):
        history_of(str(tmp_path / "none.sqlite"))


def test_a_backup_is_made_while_people_work(store, tmp_path):
    import threading

    stop = threading.Event()
    acknowledged = []

    def work():
        while not stop.is_set():
            acknowledged.append(store.append_decision(decision(len(acknowledged))).decision_id)

    worker = threading.Thread(target=work)
    worker.start()
    while len(acknowledged) < 3:
        pass
    at_least = len(acknowledged)
    path = back_up(store, tmp_path / "backup.sqlite")
    stop.set()
    worker.join()
    saved = [row.decision_id for row in history_of(str(path))][::-1]
    assert len(saved) >= at_least
    assert saved == acknowledged[: len(saved)]


def test_check_finds_orphans_and_a_clock_that_went_backwards(store):
    store.append_decision(decision(1, decided_at="2026-01-02T00:00:00Z"))
    table = pd.DataFrame({"obsid": [1]})
    assert check(store, table) == []
    store.append_decision(decision(99, decided_at="2026-01-01T00:00:00Z"))
    clock, orphan = check(store, table)
    assert "went backwards" in clock
    assert "1 spectrum that decisions name is not in the survey (99)" in orphan


def test_a_store_of_the_first_schema_is_taken_over_and_its_file_left_alone(tmp_path):
    path = tmp_path / "old.sqlite"
    with Store(path) as store:
        fill(store)
    back_up(Store(path), tmp_path / "copy.sqlite")
    with Store(tmp_path / "copy.sqlite") as old, old._database.engine.begin() as connection:
        for statement in (
            "DROP TRIGGER decisions_no_replace", "DROP INDEX ix_decisions_key",
            "ALTER TABLE decisions DROP COLUMN key",
            "UPDATE alembic_version SET version_num = '0001'",
            "CREATE TRIGGER decisions_no_replace BEFORE INSERT ON decisions WHEN 0 "
            "BEGIN SELECT 1; END",
        ):  # fmt: skip
            connection.execute(sa.text(statement))
    rows = history_of(str(tmp_path / "copy.sqlite"))
    assert [row.key for row in rows] == [""] * 4
    with Store(tmp_path / "new.sqlite") as new:
        assert take_over(new, rows).n_new == 4
        assert take_over(new, rows).n_new == 0


def test_a_store_that_can_only_be_read_is_backed_up_and_taken_over(tmp_path, monkeypatch):
    """SQLite writes beside a file even to read it, and says so as if the copy were at fault."""
    path = tmp_path / "theirs" / "vetting.sqlite"
    path.parent.mkdir()
    with Store(path) as store:
        store.append_decision(Decision(obsid=7, uid="", verdict=Verdict.ACCEPT, reviewer="Ann"))
    plain = sqlite3.connect

    def connect(place, **more):
        if str(place) == str(path):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return plain(place, **more)

    monkeypatch.setattr("msfa_core.vetting.transfer.sqlite3.connect", connect)
    monkeypatch.setattr(
        "os.access", lambda place, mode: mode != os.W_OK or "theirs" not in str(place)
    )
    assert [row.obsid for row in history_of(str(path))] == [7]
    with Store(path) as store:
        back_up(store, tmp_path / "copy.sqlite")
    with Store(tmp_path / "copy.sqlite") as copy:
        assert [row.obsid for row in copy.decisions()] == [7]
    assert sorted(path.parent.iterdir()) == [path]
