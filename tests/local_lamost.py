"""LAMOST's archive on this machine: its OpenAPI with the moods that the real one has."""

import csv
import io
import json
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

RELEASES = [
    {"dr_version": "dr10", "sub_version": "v2.0", "public_status": "public"},
    {"dr_version": "dr11", "sub_version": "v1.0", "public_status": "public"},
    {"dr_version": "dr11", "sub_version": "v2.0", "public_status": "public"},
    {"dr_version": "dr12", "sub_version": "v1.0", "public_status": "internal"},
]
LOGIN = b"""<!DOCTYPE html><html><head><meta http-equiv="refresh"
 content="0; url=/login?next=/openapi"></head><body>log in</body></html>"""


class LocalLamost:
    """What the server holds, was asked, and how it behaves.

    Attributes
    ----------
    files : dict of obsid to bytes
        Gzipped FITS.
    moods : dict of obsid (or "all") to list of str
        How the next questions for it are answered; the last one stays when it ends with "*".
    asked : list of str
        Paths with their queries.
    token : str
        What releases that are not public want.
    database : sqlite3.Connection
        Answers questions in SQL; ``most_rows`` of an answer at most.
    """

    def __init__(self, files):
        self.files, self.moods, self.asked, self.token = files, {}, [], "s3cret/tok+en"
        self.times, self.most_at_once, self.now = [], 0, 0
        self.seconds, self.most_rows = 0.0, 1000
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.guard = threading.Lock()

    def mood(self, obsid):
        for key in (obsid, "all"):
            moods = self.moods.get(key)
            if moods:
                return moods[0].rstrip("*") if moods[0].endswith("*") else moods.pop(0)
        return "well"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, code, content=b"", kind="application/octet-stream", **headers):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        lamost = self.server.lamost
        with lamost.guard:
            lamost.asked.append(self.path)
            lamost.times.append(time.monotonic())
            lamost.now += 1
            lamost.most_at_once = max(lamost.most_at_once, lamost.now)
        try:
            self._answer(lamost)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with lamost.guard:
                lamost.now -= 1

    def _answer(self, lamost):
        parts = urlsplit(self.path)  # a proxy gets the whole address
        query = parse_qs(parts.query)
        if parts.path.endswith("/dr_versions"):
            self._send(200, json.dumps(RELEASES).encode(), "application/json")
            return
        dr = parts.path.split("/")[2]
        if dr == "dr12" and query.get("token") != [lamost.token]:
            self._send(200, LOGIN, "text/html")
            return
        if parts.path.endswith("/sql"):
            self._table(lamost, query["sql"][0])
            return
        obsid = int(query["obsid"][0])
        time.sleep(lamost.seconds)
        self._spectrum(lamost, obsid, lamost.mood(obsid))

    def _table(self, lamost, sql):
        mood = lamost.mood("sql")
        if mood.startswith("busy"):
            self._send(429, b"slow down")
            return
        try:
            answer = lamost.database.execute(sql)
        except sqlite3.Error as error:
            said = {"error": "SQLError", "description": str(error)}
            self._send(200, json.dumps(said).encode(), "text/plain")
            return
        rows = answer.fetchall()[: lamost.most_rows]
        text = io.StringIO()
        csv.writer(text).writerows([[name for name, *_ in answer.description], *rows])
        self._send(200, b"\xef\xbb\xbf" + text.getvalue().encode(), "text/csv")

    def _spectrum(self, lamost, obsid, mood):  # noqa: PLR0912
        content = lamost.files.get(obsid)
        kind, _, value = mood.partition(" ")
        if kind == "busy":
            code, _, after = value.partition(" ")
            self._send(int(code), b"slow down", **({"Retry_After": after} if after else {}))
        elif kind == "code":
            self._send(int(value), b"no")
        elif kind == "login":
            self._send(200, LOGIN, "text/html")
        elif kind == "moved":
            self._send(302, b"", Location="https://passport.example.org/login")
        elif kind == "json":
            said = {"error": "NoSuchSpectrum", "description": f"{obsid} was withdrawn"}
            self._send(200, json.dumps(said).encode(), "text/plain")
        elif kind == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif kind == "half":  # and says that this is all
            self._send(200, content[: len(content) // 2])
        elif kind == "hangs":
            time.sleep(float(value))
            self._send(200, content)
        elif kind == "dies":
            self.close_connection = True
            self.connection.close()
        elif kind == "other":
            self._send(200, lamost.files[int(value)])
        elif kind == "encoded":
            self._send(200, content, Content_Encoding="gzip")
        elif kind == "empty":
            self._send(200)
        elif content is None:
            self._send(404, b'{"error": "not found"}', "text/plain")
        else:
            name = f'attachment; filename="../../spec-{obsid}.fits.gz"'
            self._send(200, content, "application/gzip", Content_Disposition=name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # the client hung up


def start_lamost(files):
    """Start the server; return what it knows, its address and how to stop it."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.lamost = LocalLamost(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()
        server.lamost.database.close()
        thread.join()

    return server.lamost, f"http://127.0.0.1:{server.server_port}/openapi", stop
