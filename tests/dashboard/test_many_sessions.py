"""Sessions opened and closed through a real server leave nothing behind in it."""

import asyncio
import json
import os
import re
import shutil
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from served_dashboard import served
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

N = int(os.environ.get("MSFA_SESSIONS", "12"))  # 200 for the figure that is published
BATCH = 3
UNUSED = 4000  # ms: after them the server gives back a page that was left
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
    """Return what a server holds: threads, file handles and memory [MB]."""
    own = Path(f"/proc/{process.pid}")
    said = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
    memory = int(said["VmRSS"].split()[0]) / 1024
    return int(said["Threads"]), len(list((own / "fd").iterdir())), memory


def settled(process):
    """Return what it holds once the pages that were left have been given back."""
    time.sleep(UNUSED / 1000)
    before = None
    for _ in range(60):
        time.sleep(2.0)
        now = held(process)
        if before is not None and now[:2] == before[:2]:
            return now
        before = now
    return before


def test_sessions_and_replaced_tables_are_given_back(survey, tmp_path):
    table = survey.path / "candidates.parquet"
    log = tmp_path / "server.log"
    quick = ("--unused-session-lifetime", str(UNUSED), "--check-unused-sessions", "500")
    with served(survey.path, log, *quick, MSFA_REVIEWER="anna") as server:

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
        last = settled(server.process)
    assert "Traceback" not in log.read_text()
    print(f"\n{N} sessions: threads, files, MB {first} -> {last}")
    assert last[0] <= first[0] + 1
    assert last[1] <= first[1] + 1
    assert last[2] < first[2] + 50
