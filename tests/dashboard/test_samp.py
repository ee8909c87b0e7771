"""Tables, selections and places go to another program and come back: a real hub, two processes."""

import json
import os
import subprocess
import sys
import threading
import warnings
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest

from dashboard.state import Session
from dashboard.state.samp import Heard, Tools
from dashboard.views.programs import ProgramsView
from msfa_core.errors import SurveyError

pytest.importorskip("pyvo.samp", reason="the hub of these tests is pyvo's")
# sockets of the library are closed by its threads, some after the test
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
_OTHER = """
import json, sys, time
from astropy.table import Table
from urllib.request import url2pathname
from astropy import log
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient
log.setLevel("ERROR")
hub = SAMPHubServer(web_profile=False, addr="127.0.0.1")
hub.start()
client = SAMPIntegratedClient(name="TOPCAT", addr="127.0.0.1")
client.connect()

def say(**said):
    print(json.dumps(said), flush=True)

def table(key, sender, kind, said, extra):
    rows = Table.read(url2pathname(said["url"].removeprefix("file://")), format="votable")
    say(kind=kind, rows=len(rows), name=said["name"], first=int(rows["obsid"][0]))
    client.notify_all({"samp.mtype": "table.select.rowList", "samp.params":
                       {"table-id": said["table-id"], "row-list": ["0", "2", "77", "x"]}})
    client.notify_all({"samp.mtype": "table.highlight.row", "samp.params":
                       {"table-id": said["table-id"], "url": said["url"], "row": "1"}})

def other(key, sender, kind, said, extra):
    say(kind=kind, **said)
    if kind == "coord.pointAt.sky":
        client.notify_all({"samp.mtype": kind, "samp.params": {"ra": "12.5", "dec": "-3.25"}})
        client.notify_all({"samp.mtype": kind, "samp.params": {"ra": "720", "dec": "nowhere"}})

client.bind_receive_notification("table.load.votable", table)
for kind in ("table.select.rowList", "coord.pointAt.sky"):
    client.bind_receive_notification(kind, other)
say(kind="ready")
sys.stdin.readline()
client.disconnect()
hub.stop()
"""


class Listener:
    """Keeps what was heard, and waits for it."""

    def __init__(self):
        self.said, self.news = [], threading.Condition()

    def __call__(self, kind):
        def hear(*values):
            with self.news:
                self.said.append((kind, *(np.asarray(one).tolist() for one in values)))
                self.news.notify_all()

        return hear

    def wait(self, n):
        with self.news:
            assert self.news.wait_for(lambda: len(self.said) >= n, 20), self.said
        return self.said


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another program with a hub of its own, in its own process."""
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'samp').as_uri()}")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _OTHER], text=True, env=os.environ.copy(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert json.loads(process.stdout.readline())["kind"] == "ready"
    yield process
    process.stdin.close()
    process.wait(20)
    process.stdout.close()


@pytest.fixture
def heard():
    return Listener()


@pytest.fixture
def tools(heard):
    made = Tools(Heard(heard("stars"), heard("star"), heard("place")))
    yield made
    made.close()


def test_a_table_goes_out_and_a_selection_and_a_place_come_back(other, tools, heard):
    tools.connect()
    assert tools.others() == ["TOPCAT"]
    table = pd.DataFrame({"obsid": np.arange(2**60, 2**60 + 5), "p_bhb": 0.5})
    tools.send_table(table, "candidates", {"title": "t"})
    said = json.loads(other.stdout.readline())
    assert (said["rows"], said["name"], said["first"]) == (5, "candidates", 2**60)
    assert sorted(heard.wait(2)) == [("star", 2**60 + 1), ("stars", [2**60, 2**60 + 2])]
    assert tools.send_stars([2**60 + 4, 7]) == 1
    assert json.loads(other.stdout.readline())["row-list"] == ["4"]
    tools.send_place(200.5, -1.25)
    said = json.loads(other.stdout.readline())
    assert (float(said["ra"]), float(said["dec"])) == (200.5, -1.25)
    assert heard.wait(3)[2] == ("place", 12.5, -3.25)
    assert len(heard.said) == 3  # no row that is not there, no place off the sky


def test_a_page_from_elsewhere_cannot_drive_it(other, tools, heard):
    tools.connect()
    tools.send_table(pd.DataFrame({"obsid": [1, 2, 3]}), "t", {})
    heard.wait(2)
    client = tools._client.client
    address = client._xmlrpcAddr
    assert address.startswith("http://127.0.0.1:")
    forged = """<?xml version="1.0"?><methodCall>
      <methodName>samp.client.receiveNotification</methodName><params>
      <param><value><string>{key}</string></value></param>
      <param><value><string>hub</string></value></param>
      <param><value><struct><member><name>samp.mtype</name><value>coord.pointAt.sky</value></member>
      <member><name>samp.params</name><value><struct>
      <member><name>ra</name><value>1</value></member>
      <member><name>dec</name><value>1</value></member>
      </struct></value></member></struct></value></param></params></methodCall>"""
    for key in ("", "guessed", "0"):
        sent = Request(
            address, data=forged.format(key=key).encode(),
            headers={"Content-Type": "text/plain", "Origin": "http://elsewhere.example"},
        )  # fmt: skip
        with urlopen(sent, timeout=10) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
            answer.read()
    tools.send_place(5.0, 5.0)  # what comes after it is heard
    assert heard.wait(3)[2] == ("place", 12.5, -3.25)


def test_the_page_sends_and_follows_what_others_send(other, survey, monkeypatch):
    state = Session(survey, "anna")
    view = ProgramsView(state, lambda: (state.verdicts.table.head(5), {"title": "t"}))
    events = []
    news = threading.Condition()

    def later(action):
        with news:
            events.append(action)
            news.notify_all()

    monkeypatch.setattr(view, "_later", later)
    assert "not connected" in view.words.object
    view.toggle()
    assert "connected with TOPCAT" in view.words.object
    view.send_rows()
    assert state.status.message == "sent 5 rows to other programs"
    with news:
        assert news.wait_for(lambda: len(events) == 2, 20)
    for event in events:
        event()
    assert set(state.queue.obsids) == set(state.data.obsid[[0, 2]])
    assert state.queue.sentences[-1] == "2 selected in another program"
    row = state.data.candidates.iloc[9]
    view.take_place(row["ra"] + 1 / 3600, row["dec"])
    assert state.screen.selected == str(row["obsid"])
    view.take_place(1.0, -89.0)
    assert "no spectrum within" in state.status.message
    view.toggle()
    assert not view.tools.is_connected


def test_a_setting_keeps_the_page_to_itself(survey, monkeypatch):
    monkeypatch.setenv("MSFA_SAMP", "false")
    state = Session(survey, "anna")
    view = ProgramsView(state, lambda: (state.verdicts.table, {}))
    view.toggle()
    assert not view.tools.is_connected
    assert view._buttons[0].disabled
    assert "own computer only" in view.words.object


def test_no_hub_is_started_and_its_lack_is_told(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(SurveyError, match="start TOPCAT or Aladin"):
        tools.connect()
    assert not (tmp_path / "none").exists()
    assert tools.others() == []
    for send in (lambda: tools.send_place(1, 1), lambda: tools.send_stars([1])):
        with pytest.raises(SurveyError, match="connect first"):
            send()


def test_a_hub_that_has_gone_is_told(other, tools):
    tools.connect()
    other.stdin.write("\n")
    other.stdin.flush()
    other.wait(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if tools.is_connected:
            with pytest.raises(SurveyError, match="has gone"):
                tools.send_place(1.0, 1.0)
    assert not tools.is_connected
