"""Where the page looks for its own files."""

from urllib.parse import urljoin

import panel as pn
import pytest

from dashboard.theme import static_address


@pytest.mark.parametrize("prefix", ["", "/stars", "/a/b"])
def test_a_file_is_found_below_whatever_prefix_the_server_has(monkeypatch, prefix):
    monkeypatch.setattr(type(pn.state), "app_url", f"{prefix}/dashboard")
    seen = urljoin(f"http://here{prefix}/dashboard?star=1", static_address("early.js"))
    assert seen.partition("?")[0] == f"http://here{prefix}/dashboard/static/early.js"
