"""Reviewers without a browser: real websockets to a real server, which can be killed."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import time
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

from stable import command
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

PATIENCE = 120  # s


def _map(values):
    """Write a map as bokeh does; one of an id alone names a model."""
    if set(values) == {"id"}:
        return values
    entries = [[key, _map(one) if isinstance(one, dict) else one] for key, one in values.items()]
    return {"type": "map", "entries": entries}


def _plain(value):
    """Return what bokeh wrote of a value."""
    if isinstance(value, dict) and value.get("type") == "map":
        return {key: _plain(one) for key, one in value.get("entries", [])}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _event(name, **values):
    data = {"type": "event", "name": name, "values": _map(values)}
    return {"events": [{"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data}]}


class Forked:
    """A server from a stable; it can be killed."""

    def __init__(self, stable, survey, log, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}/dashboard"
        self.process = stable.fork(command(survey, self.port), log, environment)
        until = time.monotonic() + PATIENCE
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            assert time.monotonic() < until, Path(log).read_text()
            time.sleep(0.02)

    def kill(self):
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)


class Lost(Exception):
    """The server has gone."""


class Reviewer:
    """A page as the server knows it: it sends what the verdict bar sends, and reads the answers.

    Attributes
    ----------
    sent, saved : dict of key -> message
        Verdicts given, and those of which the page was told that they are saved.
    """

    def __init__(self, name="", query=""):
        self.name, self.query = name, query
        self.sent, self.saved = {}, {}
        self.star = self.message = ""

    async def open(self, url):
        def fetched():
            with urlopen(url + self.query, timeout=PATIENCE) as page:
                return page.read().decode()

        html = await asyncio.to_thread(fetched)
        token = re.search(r'"token":"([^"]+)"', html)[1]
        where = HTTPRequest(f"{url.replace('http', 'ws', 1)}/ws", request_timeout=PATIENCE)
        self.page = await websocket_connect(
            where, subprotocols=["bokeh", token], max_message_size=2**28
        )
        await self._read()
        await self._send("PULL-DOC-REQ", {})
        while '"doc"' not in (frame := await self._read())[:200]:
            pass
        self.bar = _verdict_bar(json.loads(frame)["doc"])
        await self._send("PATCH-DOC", _event("document_ready"))
        self.star = (await self.ask("previous"))["obsid"]
        return self

    async def _send(self, kind, content):
        header = {"msgid": uuid4().hex, "msgtype": kind}
        for part in (header, {}, content):
            await self.page.write_message(json.dumps(part))

    async def _read(self):
        frame = await asyncio.wait_for(self.page.read_message(), PATIENCE)
        if frame is None:
            raise Lost
        return str(frame)

    async def tell(self, message):
        """Send a message of the verdict bar."""
        try:
            await self._send(
                "PATCH-DOC", _event("data_event", model={"id": self.bar}, data=message)
            )
        except Exception as error:
            raise Lost from error

    async def ask(self, action, **more):
        """Send a message and wait for its answer."""
        message = {"action": action, "value": "", "key": uuid4().hex, "reviewer": self.name}
        message |= {"painted": self.star} | more
        if action in ("accept", "reject", "unsure"):
            self.sent[message["key"]] = message
        await self.tell(message)
        return await self.answer(message["key"])

    async def answer(self, key):
        """Read until the answer of this key has come."""
        while True:
            frame = await self._read()
            if '"message"' in frame:
                said = re.findall(r'"attr":"message","new":"((?:[^"\\]|\\.)*)"', frame)
                self.message = json.loads(f'"{said[-1]}"') if said else self.message
            if '"esm_event"' not in frame:
                continue
            for event in json.loads(frame)["events"]:
                values = event.get("msg_data", {}).get("values", {})
                data = _plain(values).get("data", {})
                if data.get("key") == key:
                    self.star = data["obsid"] or self.star
                    if data["is_done"] and key in self.sent:
                        self.saved[key] = self.sent[key]
                    return data

    async def give_again(self):
        """Give what was not answered, as a page does that comes back."""
        for key in [key for key in self.sent if key not in self.saved]:
            await self.tell(self.sent[key] | {"is_kept": True})
            await self.answer(key)

    async def close(self):
        """Leave, and take what was on its way."""
        self.page.close()
        with contextlib.suppress(Exception):
            while await asyncio.wait_for(self.page.read_message(), 10) is not None:
                pass


def _verdict_bar(document):
    """Return the id of the model of the verdict bar."""
    found = []

    def look(part):
        if isinstance(part, dict):
            attributes = part.get("attributes")
            if isinstance(attributes, dict) and "msfa-verdict" in str(attributes.get("esm", "")):
                found.append(part["id"])
            for one in part.values():
                look(one)
        elif isinstance(part, list):
            for one in part:
                look(one)

    look(document)
    assert len(found) == 1, found
    return found[0]
