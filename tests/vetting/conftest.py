"""The two databases that every test of the store runs on."""

import os

import pytest
from local_postgres import new_database, own_server

from msfa_core.vetting.store import Store


@pytest.fixture(scope="session")
def postgres_server():
    """URL of a PostgreSQL server on which databases can be made."""
    if "MSFA_TEST_POSTGRES" in os.environ:
        yield os.environ["MSFA_TEST_POSTGRES"]
        return
    server = own_server()
    yield server.url
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a new, empty store may be: a file or a database URL."""
    if request.param == "sqlite":
        yield str(tmp_path / "vetting.sqlite")
        return
    with new_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def store(place):
    """An open, empty store."""
    with Store(place) as opened:
        yield opened
