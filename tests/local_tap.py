"""A small archive on this machine that speaks TAP and answers with recorded, made-up rows.

It takes uploads and asynchronous jobs as the Gaia archive does, finds the rows that the uploaded
stars ask for, and can be told to fail first.
"""

import io
import re
import sys
import threading
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.votable import from_table, parse_single_table
from astropy.table import Table

RECORDED = Path(__file__).parent / "photometry" / "recorded" / "gaia_and_2mass.vot"
JOB = """<?xml version="1.0" encoding="UTF-8"?>
<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"
 xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1">
<uws:jobId>{number}</uws:jobId><uws:ownerId/><uws:phase>{phase}</uws:phase>
<uws:executionDuration>0</uws:executionDuration><uws:destruction/>
<uws:parameters/>
<uws:results><uws:result id="result" xlink:href="{url}/results/result"/></uws:results>
{error}</uws:job>"""


class LocalArchive:
    """What the server knows and was asked.

    Attributes
    ----------
    questions : list of (query, Table)
        Jobs that were run, in order.
    failures : list of int
        HTTP codes for the next submissions; 0 drops the connection.
    refusal : str
        Words of an error in the query, when every job is to fail with it.
    most_rows : int
        Longer answers are cut short, and say so.
    broken : int
        So many of the next answers are no VOTable.
    polls : int
        How often a job says that it is still under way.
    problems : list of Exception
        What went wrong in the server itself.
    """

    def __init__(self, rows):
        self.rows, self.panstarrs = rows, panstarrs_rows(rows)
        self.questions, self.failures, self.jobs, self.problems = [], [], {}, []
        self.refusal, self.most_rows, self.broken, self.polls = "", 10_000, 0, 0

    def answer(self, query, stars):
        """Return the recorded rows that uploaded stars ask for."""
        if "panstarrs1_original_valid" in query:
            return self._panstarrs(query, stars)
        rows = self.rows
        if "CONTAINS" in query:
            radius = float(re.search(r"DISTANCE\(.*?\) < ([\d.]+)", query)[1])
            years = float(re.search(r"g\.pm \* ([\d.]+)", query)[1])
            sky = SkyCoord(rows["ra"], rows["dec"], unit="deg")
            asked = SkyCoord(stars["ra"], stars["dec"], unit="deg")
            apart = asked[:, None].separation(sky[None, :]).deg
            reach = np.maximum(radius, radius + np.ma.filled(rows["pm"], 0) * years / 3600)
            star, row = np.nonzero(apart < reach[None, :])
        else:
            star, row = np.nonzero(
                np.asarray(stars["source_id"])[:, None] == np.asarray(rows["source_id"])[None, :]
            )
        found = rows[row]
        found.add_column(np.asarray(stars["star"])[star], name="star", index=0)
        wanted = re.findall(r"(?:u|g|t)\.(\w+)", query.split("\nFROM")[0])
        return found[wanted]

    def _panstarrs(self, query, stars):
        rows = self.panstarrs
        radius = float(re.search(r"u\.ra, u\.dec, ([\d.]+)\)", query)[1])
        sky = SkyCoord(rows["ra"], rows["dec"], unit="deg")
        asked = SkyCoord(stars["ra"], stars["dec"], unit="deg")
        star, row = np.nonzero(asked[:, None].separation(sky[None, :]).deg < radius)
        found = rows[row]
        found.add_column(np.asarray(stars["star"])[star], name="star", index=0)
        return found[re.findall(r"(?:u|p)\.(\w+)", query.split("\nFROM")[0])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, code, content=b"", kind="text/xml", **headers):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    @property
    def archive(self):
        return self.server.archive

    def _base(self):
        return f"http://127.0.0.1:{self.server.server_port}/tap/async"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/tap/async":
            if self.archive.failures:
                code = self.archive.failures.pop(0)
                if code == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._send(code, b"not now", "text/plain")
                return
            number = len(self.archive.jobs)
            self.archive.jobs[number] = [*_parts(self.headers, body), "PENDING", 0]
            self._send(303, Location=f"{self._base()}/{number}")
        elif self.path.endswith("/phase"):
            number = int(self.path.split("/")[3])
            job = self.archive.jobs[number]
            assert parse_qs(body.decode())["PHASE"] == ["RUN"]
            self.archive.questions.append((job[0], job[1]))
            job[2], job[3] = "EXECUTING", self.archive.polls
            self._send(303, Location=f"{self._base()}/{number}")
        else:
            self._send(404)

    def do_GET(self):
        number = int(self.path.split("/")[3].split("?")[0])
        job = self.archive.jobs[number]
        if self.path.endswith("/results/result"):
            self._send(200, self._result(job), "application/x-votable+xml")
            return
        if job[2] == "EXECUTING":
            job[3] -= 1
            if job[3] < 0:
                job[2] = "ERROR" if self.archive.refusal else "COMPLETED"
        error = ""
        if job[2] == "ERROR":
            error = (
                '<uws:errorSummary type="fatal" hasDetail="false"><uws:message>'
                f"{self.archive.refusal}</uws:message></uws:errorSummary>"
            )
        url = f"{self._base()}/{number}"
        self._send(200, JOB.format(number=number, phase=job[2], url=url, error=error).encode())

    def _result(self, job):
        if self.archive.broken:
            self.archive.broken -= 1
            return b"<html>the archive is under maintenance"
        found = self.archive.answer(job[0], job[1])
        whole = len(found) <= self.archive.most_rows
        table = from_table(found[: self.archive.most_rows])
        stream = io.BytesIO()
        table.to_xml(stream, tabledata_format="binary2")
        status = "OK" if whole else "OVERFLOW"
        info = f'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}"/>'
        return re.sub(rb"<RESOURCE[^>]*>", info.encode(), stream.getvalue(), count=1)

    def do_DELETE(self):
        self._send(200)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        problem = sys.exception()
        if not isinstance(problem, ConnectionError | ValueError):  # the client, or we, hung up
            self.archive.problems.append(problem)


def _parts(headers, body):
    """Return the query and the uploaded table of a submission."""
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    parts = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        parts[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True)
    assert parts["LANG"].decode() == "ADQL"
    assert parts["UPLOAD"].decode() == "stars,param:stars"
    return parts["QUERY"].decode(), Table.read(io.BytesIO(parts["stars"]), format="votable")


def recorded_rows():
    """Return the recorded rows: made-up stars, none of them real."""
    return parse_single_table(RECORDED).to_table(use_names_over_ids=True)


def panstarrs_rows(gaia):
    """Return a Pan-STARRS source at the place of each recorded star: made up, none of them real."""
    n = len(gaia)
    table = Table(
        {
            "obj_id": 160_000_000_000_000_001 + 7 * np.arange(n),
            "ra": np.asarray(gaia["ra"], float), "dec": np.asarray(gaia["dec"], float),
            "epoch_mean": np.full(n, 56_000.0), "quality_flag": np.full(n, 52),
        }
    )  # fmt: skip
    for k, band in enumerate("grizy"):
        table[f"{band}_mean_psf_mag"] = np.linspace(16, 17, n) - 0.1 * k
        table[f"{band}_mean_psf_mag_error"] = np.full(n, 0.01)
    return table


def start_archive():
    """Start the server; return what it knows, its address and how to stop it."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.archive = LocalArchive(recorded_rows())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()
        thread.join()

    return server.archive, f"http://127.0.0.1:{server.server_port}/tap", stop
