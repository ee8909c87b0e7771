"""A name from a login stands on the page and under every verdict, and none gets in without one."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from served_dashboard import PAINTED, assert_quiet, decisions, press, served

pytestmark = [pytest.mark.ui, pytest.mark.slow]

ROLES = '[roles]\n"anna@obs.example" = "reviewer"\n"*" = "reader"\n'


class Provider(BaseHTTPRequestHandler):
    """Where an observatory keeps its accounts: asks nothing and knows anna (OAuth 2)."""

    def do_GET(self):
        asked = {name: value[0] for name, value in parse_qs(urlsplit(self.path).query).items()}
        if self.path.startswith("/authorize"):
            back = urlencode({"code": "once", "state": asked["state"]})
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        else:
            self.answer({"email": "anna@obs.example"})

    def do_POST(self):
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert (sent["code"], sent["client_secret"]) == (["once"], ["secret"])
        self.answer({"access_token": "token", "token_type": "bearer"})

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@contextmanager
def provider():
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://localhost:{server.server_port}"
        yield {
            "PANEL_COOKIE_SECRET": "of this server",
            "PANEL_OAUTH_KEY": "key",
            "PANEL_OAUTH_SECRET": "secret",
            "PANEL_OAUTH_AUTHORIZE_URL": f"{place}/authorize",
            "PANEL_OAUTH_TOKEN_URL": f"{place}/token",
            "PANEL_OAUTH_USER_URL": f"{place}/user?token=",
        }
        server.shutdown()


def by_oauth(page):
    """Nothing to type: the provider knows who sits here."""


def by_password(page):
    for password in ("wrong", "right"):
        page.locator("input[name=username]").fill("anna@obs.example")
        page.locator("input[name=password]").fill(password)
        page.keyboard.press("Enter")
        if password == "wrong":
            page.get_by_text("Invalid username or password").wait_for()


@pytest.mark.parametrize("way", ["oauth", "password"])
def test_the_name_of_a_login_is_on_the_page_and_under_its_verdicts(
    chromium, small_survey, tmp_path, way
):
    (small_survey / "roles.toml").write_text(ROLES)
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"anna@obs.example": "right"}))
    with provider() as places:
        option, log_in = f"--basic-auth={users}", by_password
        if way == "oauth":
            option, log_in = "--oauth-provider=generic", by_oauth
        with served(
            small_survey, tmp_path / "server.log", option, MSFA_REVIEWER="bert", **places
        ) as server:
            page = chromium.new_context().new_page()
            page.goto(server.url)
            log_in(page)
            page.wait_for_selector(PAINTED, timeout=60_000)
            name = page.get_by_label("Reviewer")
            assert (name.input_value(), name.is_editable()) == ("anna@obs.example", False)
            press(page, "a")
            page.context.close()
    assert [one.reviewer for one in decisions(small_survey)] == ["anna@obs.example"]
    assert_quiet(tmp_path / "server.log")
