"""What a browser fetches for a page: squeezed, kept as long as it holds, and each thing once."""

import asyncio
import gzip

import pytest
from bokeh.resources import Resources
from bokeh.server.auth_provider import NullAuth
from bokeh.server.views.multi_root_static_handler import MultiRootStaticHandler
from panel.io.resources import CDN_DIST, LOCAL_DIST
from panel.io.server import RootHandler
from panel.models.esm import ReactiveESM
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler, StaticFileHandler

from dashboard.state.files import keep_what_is_asked_for, serve_files_lightly
from dashboard.state.styles import _Carried, _text

OF_ROOT = {"prefix": "", "index": None, "use_redirect": True}
SCRIPT = b"const star = 1;\n" * 400


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(StaticFileHandler, "set_extra_headers", lambda *_: None)
    monkeypatch.setattr(RootHandler, "redirect", RequestHandler.redirect)
    monkeypatch.setattr(Resources, "_default_components", Resources._default_components)
    monkeypatch.setattr(ReactiveESM, "__javascript_raw__", ReactiveESM.__javascript_raw__)
    serve_files_lightly()
    keep_what_is_asked_for()
    (tmp_path / "a.js").write_bytes(SCRIPT)
    (tmp_path / "a.png").write_bytes(SCRIPT)
    return tmp_path


def fetched(folder, address, **headers):
    async def whole():
        app = Application(
            [
                (r"/ours/(.*)", StaticFileHandler, {"path": str(folder)}),
                (r"/theirs/(.*)", MultiRootStaticHandler, {"root": {"panel": folder}}),
                (r"/", RootHandler, {"applications": {"/dashboard": None}, **OF_ROOT}),
            ]
        )
        app.auth_provider = NullAuth()
        server = app.listen(0, "127.0.0.1")
        port = next(iter(server._sockets.values())).getsockname()[1]
        try:
            return await AsyncHTTPClient().fetch(
                f"http://127.0.0.1:{port}/{address}", decompress_response=False, headers=headers,
                follow_redirects=False, raise_error=False,
            )  # fmt: skip
        finally:
            server.stop()
            await server.close_all_connections()

    return asyncio.run(whole())


def test_a_script_is_squeezed_for_a_browser_that_takes_it_so_and_no_other(folder):
    packed = fetched(folder, "ours/a.js?v=1", **{"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(SCRIPT) / 10
    assert gzip.decompress(packed.body) == SCRIPT
    plain = fetched(folder, "ours/a.js?v=1", **{"Accept-Encoding": "br"})
    assert "Content-Encoding" not in plain.headers
    assert plain.body == SCRIPT
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    part = fetched(folder, "ours/a.js", **{"Accept-Encoding": "gzip", "Range": "bytes=6-9"})
    assert part.body == b"star"
    picture = fetched(folder, "ours/a.png", **{"Accept-Encoding": "gzip"})
    assert picture.body == SCRIPT


def test_a_script_that_has_changed_is_squeezed_anew(folder):
    fetched(folder, "ours/a.js", **{"Accept-Encoding": "gzip"})
    (folder / "a.js").write_bytes(b"const other = 2;\n" * 400)
    again = fetched(folder, "ours/a.js", **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(again.body).startswith(b"const other")


def test_what_names_no_version_is_asked_for_again_unless_a_library_brings_it(folder):
    assert "max-age=3" in fetched(folder, "ours/a.js?v=1").headers["Cache-Control"]
    assert fetched(folder, "ours/a.js").headers["Cache-Control"] == "no-cache"
    assert fetched(folder, "theirs/panel/a.js").headers["Cache-Control"] == "max-age=86400"


def test_a_page_fetches_nothing_that_draws_on_webgl(folder):
    assert "bokeh-gl" not in Resources(mode="server").components
    assert "bokeh-tables" in Resources(mode="server").components


@pytest.mark.parametrize("dist", [LOCAL_DIST, f"../{LOCAL_DIST}", CDN_DIST])
def test_a_page_carries_the_text_of_style_sheets_that_are_served_from_here(dist):
    assert ".bk-btn" in _text(f"{dist}css/button.css?v=1", dist)
    assert _text(f"{CDN_DIST}css/button.css", dist) == _text(f"{dist}css/button.css", dist)
    assert f"url('{dist}css/../assets/arc" in _text(f"{dist}css/loading.css", dist)
    assert "msfa-" in _text("dashboard/static/app.css?v=3", dist)
    assert _text("https://example.org/static/other.css", dist) == ""
    sheets = _Carried({})
    assert f"{LOCAL_DIST}css/button.css" in sheets
    assert ".bk-btn" in sheets[f"{LOCAL_DIST}css/button.css"].css
    assert "https://example.org/static/other.css" not in sheets


@pytest.mark.parametrize(
    ("asked", "given"),
    [("", "./dashboard"), ("?blind=1&obj=7", "./dashboard?blind=1&obj=7")],
)
def test_an_address_without_a_page_keeps_what_it_asks_for(folder, asked, given):
    answer = fetched(folder, asked)
    assert (answer.code, answer.headers["Location"]) == (302, given)
