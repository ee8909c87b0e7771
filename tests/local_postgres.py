"""A PostgreSQL server of our own, where its programs are installed; it goes when the tests end."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa


class Server:
    """A server that listens on a socket in a folder of its own; it can be stopped and started."""

    def __init__(self, programs, account):
        self.programs, self.account = programs, account
        self.folder = Path(tempfile.mkdtemp(prefix="msfa-pg-"))
        self.url = f"postgresql://msfa@/postgres?host={self.folder}"
        if account:
            os.chown(self.folder, account["user"], account["group"])
        subprocess.run(
            [programs / "initdb", "-D", self.folder / "data", "-U", "msfa", "-A", "trust", "-N",
             "-E", "UTF8"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **account,
        )  # fmt: skip
        self.process = None
        self.start()

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder,
                 "-c", "listen_addresses="],
                stdout=log, stderr=log, cwd=self.folder, **self.account,
            )  # fmt: skip
        self._wait()

    def _wait(self):
        import psycopg

        for _ in range(200):
            assert self.process.poll() is None, "the PostgreSQL server ended at its start"
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("the PostgreSQL server does not answer")

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait(30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Line:
    """A line to a server that can be cut: then nothing passes, nothing fails, nobody is told.

    What was on its way arrives when it is mended, as it would on a network.
    """

    def __init__(self, server):
        self.there = str(server.folder / ".s.PGSQL.5432")
        self.folder = Path(tempfile.mkdtemp(prefix="msfa-line-"))
        self.url = f"postgresql://msfa@/postgres?host={self.folder}"
        self.whole = threading.Event()
        self.whole.set()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(self.folder / ".s.PGSQL.5432"))
        self.door.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.whole.clear()

    def mend(self):
        self.whole.set()

    def _accept(self):
        with contextlib.suppress(OSError):  # the door was closed
            while True:
                ours, _ = self.door.accept()
                threading.Thread(target=self._connect, args=(ours,), daemon=True).start()

    def _connect(self, ours):
        self.whole.wait()
        with ours, socket.socket(socket.AF_UNIX) as theirs, contextlib.suppress(OSError):
            theirs.connect(self.there)
            back = threading.Thread(target=self._pass_on, args=(theirs, ours), daemon=True)
            back.start()
            self._pass_on(ours, theirs)
            back.join()

    def _pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while said := one.recv(65536):
                self.whole.wait()
                other.sendall(said)
        self.whole.wait()
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def remove(self):
        self.mend()
        self.door.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def programs():
    """The folder of a PostgreSQL server on this machine, or None."""
    found = shutil.which("postgres")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += [Path(found).resolve().parent] if found else []
    return next((place for place in places if (place / "initdb").exists()), None)


def account():
    """Arguments that run a program as somebody else than root: the server refuses root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return None


def own_server():
    """A new server, or a skip that says what is missing."""
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'msfa-bhb[postgres]'")
    if programs() is None or account() is None:
        pytest.skip("no PostgreSQL server here and MSFA_TEST_POSTGRES not set: left out")
    return Server(programs(), account())


_NUMBER = itertools.count()


@contextlib.contextmanager
def new_database(server):
    """URL of a new, empty database on the server of a URL."""
    import psycopg

    name = f"msfa_test_{os.getpid()}_{next(_NUMBER)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
