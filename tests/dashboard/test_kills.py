"""A server that is killed at any moment loses no verdict that a page was told to be saved."""

import asyncio
import os
import random
import threading
import time

import pytest
from by_wire import Forked, Lost, Reviewer
from local_postgres import Line, new_database, own_server
from stable import Stable

from msfa_core.constants import STORE_DEADLINE, STORE_SETTLING
from msfa_core.survey.folder import Survey
from msfa_core.vetting.store import Store
from msfa_core.vetting.transfer import check

KILLS = int(os.environ.get("MSFA_KILLS", "1"))  # per store; 100 for the figure that is published
LONGEST = 2.0  # s that a server lives after its first verdict
CUT = float(os.environ.get("MSFA_CUT", "0"))  # s at least without network; 20 for the figure
NEXT = STORE_DEADLINE - 2  # s, in which the page goes on: it waits for no store
PATIENCE = 40.0  # s more, until a verdict that is given again is stored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stable():
    return Stable.of_this_run()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, survey):
    if request.param == "sqlite":
        yield str(survey.path / "vetting.sqlite")
        return
    server = own_server()
    with new_database(server.url) as url:
        yield url
    server.remove()


def served(stable, survey, url, log):
    return Forked(stable, survey.path, log, **({"MSFA_DATABASE": url} if "://" in url else {}))


async def work(server, reviewer, rng, seconds):
    """Give verdicts until the server is killed, at a moment that nobody knows."""
    await reviewer.open(server.url)
    await reviewer.give_again()
    end = threading.Timer(seconds, server.kill)
    end.start()
    try:
        while True:
            await reviewer.ask(rng.choice(["accept", "reject", "unsure"]))
    except Lost:
        pass
    finally:
        end.join()
        await reviewer.close()


def test_every_verdict_that_was_saved_on_the_page_is_there_once(
    stable, survey, store_url, tmp_path
):
    rng = random.Random(7)
    reviewer = Reviewer("anna")
    with Store(store_url) as store:
        for _ in range(KILLS):
            server = served(stable, survey, store_url, tmp_path / "log")
            asyncio.run(work(server, reviewer, rng, rng.uniform(0.0, LONGEST)))
            kept = [one.key for one in store.decisions()]
            assert len(set(kept)) == len(kept)
            assert set(reviewer.saved) <= set(kept)
            assert len(set(kept) - set(reviewer.saved)) <= 1  # its answer was cut off
        server = served(stable, survey, store_url, tmp_path / "log")
        asyncio.run(once_more(server, reviewer))
        server.kill()
        stored = store.decisions()
        assert sorted(one.key for one in stored) == sorted(reviewer.sent)
        assert {one.reviewer for one in stored} == {"anna"}
        said = {one.key: (str(one.obsid), str(one.verdict)) for one in stored}
        assert all(said[k] == (m["painted"], m["action"]) for k, m in reviewer.sent.items())
        assert check(store, Survey(survey.path).table()) == []
    print(f"\n{KILLS} kills, {len(reviewer.saved)} verdicts saved, all there once")
    assert len(reviewer.saved) >= KILLS


async def through_an_outage(server, reviewer, leave, come_back, seconds):
    """Decide while the database server is away; give it again, as the page does, until it is."""
    await reviewer.open(server.url)
    assert (await reviewer.ask("accept"))["is_done"]
    judged = reviewer.star
    leave()
    began = time.monotonic()
    answer = await reviewer.ask("reject")
    key = [*reviewer.sent][-1]
    assert (answer["is_done"], answer["again"]) == (False, True)
    assert "Not saved yet" in reviewer.message
    assert time.monotonic() - began < STORE_DEADLINE + STORE_SETTLING + 3  # it says so in time
    asked = time.monotonic()
    assert (await reviewer.ask("next"))["is_done"]  # the page goes on
    assert time.monotonic() - asked < NEXT
    is_back = False
    while True:
        if not is_back and time.monotonic() - began > seconds:
            come_back()
            is_back = True
        await reviewer.tell(reviewer.sent[key] | {"is_kept": True})
        if (await reviewer.answer(key))["is_done"]:
            break
        assert time.monotonic() - began < seconds + PATIENCE
        await asyncio.sleep(0.2)
    assert is_back
    await reviewer.tell(reviewer.sent[key] | {"is_kept": True})  # its answer was lost
    await reviewer.answer(key)
    await reviewer.close()
    return judged


@pytest.mark.parametrize("how", ["restarted", "cut off"])
def test_a_verdict_given_while_postgresql_is_away_is_stored_once_when_it_is_back(
    stable, survey, tmp_path, how
):
    """A server that is restarted says so; a network that is cut says nothing at all."""
    postgres = own_server()
    line = Line(postgres)
    away = (postgres.stop, postgres.start, 0.0)
    if how == "cut off":
        away = (line.cut, line.mend, CUT)
    server = Forked(stable, survey.path, tmp_path / "log", MSFA_DATABASE=line.url)
    reviewer = Reviewer("anna")
    try:
        judged = asyncio.run(through_an_outage(server, reviewer, *away))
        with Store(postgres.url) as store:
            said = [(str(one.obsid), str(one.verdict)) for one in store.decisions()[::-1]]
            assert said[1:] == [(judged, "reject")]
            assert check(store, survey.table()) == []
    finally:
        server.kill()
        line.remove()
        postgres.remove()


async def once_more(server, reviewer):
    await reviewer.open(server.url)
    await reviewer.give_again()
    await reviewer.close()
