"""Sessions opened and closed through a real server leave nothing behind in it."""

import asyncio
import json
import os
import re
import shutil
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest
from served_dashboard import served
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

N = int(os.environ.get("MSFA_SESSIONS", "12"))  # 200 for the figure that is published
BATCH = 3
# Threads that a busy machine may ask for after the first look: places of pools (read-ahead,
# answers, ...) that were not needed until then. They are kept, and no more with more sessions.
SPARE = 5
UNUSED = 4000  # ms: after them the server gives back a page that was left
POOL = 5  # connections that SQLAlchemy's pool keeps; they open its file and the log beside it
READY = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
        }
    ]
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc, which Linux has"),
]


def fetched(url):
    with urlopen(url, timeout=300) as page:
        return page.read().decode()


async def look(url):
    """Open a page as a browser does, take its document, say that it is drawn, and leave."""
    html = await asyncio.to_thread(fetched, url)
    token = re.search(r'"token":"([^"]+)"', html)[1]
    where = HTTPRequest(f"{url.replace('http', 'ws', 1)}/ws", request_timeout=300)
    page = await websocket_connect(where, subprotocols=["bokeh", token], max_message_size=2**28)
    await page.read_message()  # the server is ready for it
    for kind, content in (("PULL-DOC-REQ", {}), ("PATCH-DOC", READY)):
        header = {"msgid": kind, "msgtype": kind}
        for part in (header, {}, content):
            await page.write_message(json.dumps(part))
    answer = ""
    while '"PATCH-DOC"' not in answer:  # the answer names what it answers
        answer = await asyncio.wait_for(page.read_message(), 300)
        assert answer is not None, "the server has closed the page"
        answer = str(answer)
        assert '"ERROR"' not in answer, answer
    page.close()
    while await page.read_message() is not None:  # what was on its way
        pass


def held(process):
    """Return what a server holds: threads, how often each file is open, memory [MB]."""
    own = Path(f"/proc/{process.pid}")
    said = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
    files = Counter(str(handle.readlink()) for handle in (own / "fd").iterdir())
    return int(said["Threads"]), files, int(said["VmRSS"].split()[0]) / 1024


def settled(process):
    """Return what a server holds once pages that were left are given back, and no more goes."""
    time.sleep(UNUSED / 1000 + 1)
    looks = [held(process)[:2]]
    while len(looks) < 10 and looks[-4:].count(looks[-1]) < 4:
        time.sleep(1.0)
        looks.append(held(process)[:2])
    return held(process)


def more(process, first):
    """Return what a server holds, and of files what it should not hold, looked at as before.

    A server keeps no more connections to the store than its pool may have; how many there are is
    how many pages have asked at one moment so far. SQLite keeps a closed handle of its file while
    another connection holds a lock on it, and opens no other before it has used it again: as many
    as pages were open at once.
    """
    may_hold = {"vetting.sqlite": POOL + BATCH, "vetting.sqlite-wal": POOL}
    time.sleep(UNUSED / 1000 + 1)  # the last pages are still open
    for _ in range(60):
        time.sleep(2.0)
        now = held(process)
        untidy = {
            name: n
            for name, n in (now[1] - first[1]).items()
            if "socket:" not in name and now[1][name] > may_hold.get(Path(name).name, 0)
        }
        if not untidy and now[0] <= first[0] + SPARE:
            break
    return now, untidy


def test_sessions_and_replaced_tables_are_given_back(survey, tmp_path):
    table = survey.path / "candidates.parquet"
    log = tmp_path / "server.log"
    quick = ("--unused-session-lifetime", str(UNUSED), "--check-unused-sessions", "500")
    with served(survey.path, log, *quick, afresh=True, MSFA_REVIEWER="anna") as server:

        async def some():
            for _ in range(BATCH):
                await look(server.url)

        asyncio.run(some())
        asyncio.run(some())
        first = settled(server.process)
        for _ in range(N // BATCH - 2):
            shutil.copy(table, tmp_path / "new")
            (tmp_path / "new").rename(table)  # a step has rewritten the table: it is read anew
            asyncio.run(some())
        last, untidy = more(server.process, first)
    assert "Traceback" not in log.read_text()
    print(f"\n{N} sessions: threads {first[0]} -> {last[0]}, {first[2]:.0f} -> {last[2]:.0f} MB")
    assert last[0] <= first[0] + SPARE < first[0] + N - 2 * BATCH  # not one a session
    assert not untidy
    assert last[2] < first[2] + 50
