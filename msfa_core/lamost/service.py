"""LAMOST's archive on the network (OpenAPI), asked patiently and not too often.

It is slow at times, cuts answers short, asks for patience (429, 503 with ``Retry-After``), and
says that it wants a login by a web page with the code of success. Each of these is told apart.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from msfa_core import __version__
from msfa_core.errors import DownloadError
from msfa_core.lamost.token import KEY, VARIABLE, hide, user_file

logger = logging.getLogger(__name__)

SERVER: Final = "https://www.lamost.org/openapi"
LARGEST: Final = 2**26  # bytes of one spectrum's file
_LONG: Final = 2**30  # bytes of a table
_PART: Final = 2**16  # bytes read at a time
_HTML: Final = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|meta|body)", re.I)
_LINE: Final = 300
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_OK, _NOT_FOUND, _SERVER_FAULT = 200, 404, 500
_LOGIN: Final = (401, 403, 407)
_MOVED: Final = (301, 302, 303, 307, 308)
_BUSY: Final = (429, 503)
_TOO_SLOW: Final = 408
_MOST_MOVES: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """How the archive is asked.

    Attributes
    ----------
    tries : int
        Of one question, before it counts as failed.
    first_wait, longest_wait : float
        Before the second try, doubled before each further one, and the longest [s].
    longest_asked : float
        The archive may ask for that much patience [s].
    answer_seconds : float
        Without a byte [s].
    whole_seconds : float
        For one answer [s].
    per_second : float
        Questions, of all connections together.
    """

    tries: int = 6
    first_wait: float = 2.0
    longest_wait: float = 120.0
    longest_asked: float = 3600.0
    answer_seconds: float = 60.0
    whole_seconds: float = 300.0
    per_second: float = 5.0


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a data release, such as ``dr11`` ``v2.0``."""

    dr: str
    version: str
    is_public: bool

    def __str__(self) -> str:
        return f"{self.dr} {self.version}" + ("" if self.is_public else " (needs a token)")


class NotServed(Exception):  # says what became of one question
    """One question was not answered.

    Attributes
    ----------
    is_general : bool
        Whether others will fare alike: no network, no access, an archive out of order.
    """

    def __init__(self, reason: str, is_general: bool = False) -> None:
        super().__init__(reason)
        self.is_general = is_general


class Service:
    """LAMOST's archive.

    Parameters
    ----------
    url : str
        Of the OpenAPI.
    token : str
        Sent for releases that are not public, and then only.
    patience : Patience, optional
    """

    def __init__(
        self, url: str = SERVER, token: str = "", patience: Patience | None = None
    ) -> None:
        self.url, self._token, self.patience = url.rstrip("/"), token, patience or Patience()
        self.stop = threading.Event()  # set to give up all waiting
        self._here = threading.local()
        self._turns = threading.Lock()
        self._next = 0.0
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise DownloadError(f"{hide(url)} is no address of a service: give https://…/openapi.")

    def releases(self) -> list[Release]:
        """Return the releases that the service has, oldest first.

        Raises
        ------
        DownloadError
            When it does not say.
        """
        try:
            answer = json.loads(self.ask("dr_versions").decode("utf-8-sig"))
            rows = answer.get("rows", []) if isinstance(answer, dict) else answer
            found = [
                Release(
                    str(row["dr_version"]).lower(),
                    str(row["sub_version"]).lower(),
                    str(row.get("public_status", "")).lower() == "public",
                )
                for row in rows
            ]
        except NotServed as error:
            raise DownloadError(f"{hide(self.url)} does not name its releases: {error}.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DownloadError(
                f"{hide(self.url)} answers something else than a list of releases: is it LAMOST's "
                "OpenAPI?"
            ) from None
        return sorted(found, key=lambda one: (_numbers(one.dr), _numbers(one.version)))

    def release(self, dr: str = "", version: str = "") -> Release:
        """Return a release: the one named, else the newest public one.

        Raises
        ------
        DownloadError
            When there is none, naming those that there are; or it needs a token and has none.
        """
        found = self.releases()
        dr = f"dr{dr}" if dr.isdigit() else dr.lower()
        version = f"v{version}" if version[:1].isdigit() else version.lower()
        fit = [one for one in found if dr in ("", one.dr) and version in ("", one.version)]
        if not dr:
            fit = [one for one in fit if one.is_public] or fit
        if not fit:
            named = " ".join(word for word in (dr, version) if word) or "a release"
            listed = ", ".join(map(str, found)) or "none"
            raise DownloadError(f"there is no {named}: the service has {listed}.")
        if not fit[-1].is_public:
            self._check_token(fit[-1])
        return fit[-1]

    def _check_token(self, release: Release) -> None:
        if not self._token:
            raise DownloadError(
                f"{release.dr} {release.version} is not public: put your token into the variable "
                f'{VARIABLE}, or as {KEY} = "…" into {user_file()} (readable by you only).'
            )
        parts = urlsplit(self.url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise DownloadError("a token goes out by https only: give a --server with https://.")

    def spectrum(self, release: Release, obsid: int) -> bytes:
        """Return the file of a low-resolution spectrum, as it came.

        Raises
        ------
        NotServed
        """
        path = f"{release.dr}/{release.version}/lrs/spectrum/fits"
        content = self.ask(path, {"obsid": str(obsid)}, release, LARGEST)
        if content[:1] in (b"{", b"["):
            raise NotServed(self._error_of(content) or "the service sent text, not a spectrum")
        return content

    def table(self, release: Release, query: str) -> bytes:
        """Return what the archive's SQL service answers, as CSV.

        Raises
        ------
        NotServed
        """
        path = f"{release.dr}/{release.version}/sql"
        content = self.ask(path, {"sql": query, "output.fmt": "csv"}, release, _LONG)
        if content[:1] in (b"{", b"["):
            raise NotServed(self._error_of(content) or "the service sent JSON, not CSV")
        return content

    def _error_of(self, content: bytes) -> str:
        """Return what a JSON answer says is wrong; empty when it says nothing."""
        try:
            said = json.loads(content.decode("utf-8", "replace"))
        except ValueError:
            return ""
        if not isinstance(said, dict):
            return ""
        words = [str(said[key]) for key in ("error", "description") if said.get(key)]
        return self._hidden(f"the service says: {': '.join(words)}") if words else ""

    def _hidden(self, text: object) -> str:
        words = hide(text, self._token)
        return words if len(words) <= _LINE else f"{words[: _LINE - 1]}…"

    def ask(
        self,
        path: str,
        parameters: dict[str, str] | None = None,
        release: Release | None = None,
        most: int = LARGEST,
    ) -> bytes:
        """Ask until there is an answer, waiting longer after each failure.

        Raises
        ------
        NotServed
            When there is none, or one that another try will not change.
        """
        given = dict(parameters or {})
        if release is not None and not release.is_public:
            given["token"] = self._token
        wait, reason = self.patience.first_wait, ""
        for attempt in range(1, self.patience.tries + 1):
            self._take_turn()
            content, reason, asked = self._once(f"{self.url}/{path}", given, most)
            if content is not None:
                return content
            if attempt == self.patience.tries:
                break
            if asked > self.patience.longest_asked:
                reason += f" and wants {asked:.0f} s of patience"
                break
            pause = asked or wait
            logger.info("%s; next try in %.0f s", reason, pause)
            if asked:
                self._all_wait(asked)  # what it asks of one it asks of all
            elif self.stop.wait(pause):
                raise NotServed("stopped", is_general=True)
            wait = min(2 * wait, self.patience.longest_wait)
        raise NotServed(f"{reason} (after {attempt} tries)", is_general=True)

    def _take_turn(self) -> None:
        """Wait until the next question may be asked."""
        while True:
            with self._turns:
                now = time.monotonic()
                left = self._next - now
                if left <= 0:
                    self._next = now + 1 / self.patience.per_second
                    break
            if self.stop.wait(left):
                break
        if self.stop.is_set():
            raise NotServed("stopped", is_general=True)

    def _all_wait(self, seconds: float) -> None:
        with self._turns:
            self._next = max(self._next, time.monotonic() + seconds)

    def _once(self, url: str, given: dict[str, str], most: int) -> tuple[bytes | None, str, float]:
        """Ask once; return the answer, or why there is none and how long to wait for the next.

        Raises
        ------
        NotServed
            When another try would be the same.
        """
        import requests  # noqa: PLC0415  only when the network is used
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            code, headers, content = self._fetched(url, given, most)
        except (requests.RequestException, HTTPError, OSError) as error:
            kind = "proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
            return None, f"no answer ({kind}{self._hidden(_cause(error))})", 0.0
        if code in _BUSY:
            reason = f"the service is busy ({code})"
            return None, reason, _patience_asked(headers.get("Retry-After", ""))
        if code == _TOO_SLOW or code >= _SERVER_FAULT:
            return None, f"the service failed ({code})", 0.0
        if code in _LOGIN:
            raise NotServed(f"access refused ({code})", is_general=True)
        if code == _NOT_FOUND:
            raise NotServed(self._error_of(content) or "not there (404)")
        if code != _OK:
            raise NotServed(self._error_of(content) or f"refused ({code})")
        if _HTML.match(content):
            wants = b"login" in content.lower() or b"refresh" in content.lower()
            raise NotServed(
                "a login page came instead (a token is needed, or no longer holds)"
                if wants
                else "a web page came instead",
                is_general=True,
            )
        if not content:
            return None, "an empty answer", 0.0
        return content, "", 0.0

    def _fetched(
        self, url: str, given: dict[str, str], most: int
    ) -> tuple[int, dict[str, str], bytes]:
        """Return code, headers and body; redirections are followed on the same host only."""
        until = time.monotonic() + self.patience.whole_seconds
        host = urlsplit(url).netloc
        for _ in range(_MOST_MOVES):
            with self._session().get(
                url,
                params=given,
                timeout=self.patience.answer_seconds,
                stream=True,
                allow_redirects=False,
            ) as answer:
                headers = dict(answer.headers)
                if answer.status_code in _MOVED:
                    url, given = urljoin(url, headers.get("Location", "")), {}
                    if urlsplit(url).netloc != host or "login" in url.lower():
                        raise NotServed("it leads to a login page elsewhere", is_general=True)
                    continue
                parts, size = [], 0
                for part in answer.iter_content(_PART):
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        raise NotServed(f"the answer is larger than {most:,} bytes")
                    if self.stop.is_set() or time.monotonic() > until:
                        raise TimeoutError(f"not whole in {self.patience.whole_seconds:.0f} s")
                return answer.status_code, headers, b"".join(parts)
        raise NotServed("it is moved again and again", is_general=True)

    def _session(self) -> Any:
        """Return the connection of this thread."""
        import requests  # noqa: PLC0415

        if not hasattr(self._here, "session"):
            logging.getLogger("urllib3").addFilter(_quiet)
            logging.getLogger("urllib3.connectionpool").addFilter(_quiet)
            self._here.session = requests.Session()
            self._here.session.headers["User-Agent"] = f"msfa-bhb/{__version__}"
        return self._here.session


def _quiet(record: logging.LogRecord) -> bool:
    """Take tokens out of what the library below logs."""
    record.msg, record.args = hide(record.getMessage()), ()
    return True


def _cause(error: BaseException) -> str:
    """Return what the innermost of nested errors says."""
    nested = (getattr(error, "reason", None), *error.args)
    inner = [one for one in nested if isinstance(one, BaseException)]
    return _cause(inner[-1]) if inner else str(error) or type(error).__name__


def _patience_asked(header: str) -> float:
    """Return the seconds of a Retry-After header: a number, or a date."""
    header = header.strip()
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))
