"""Questions to the collector over HTTP; every failure is one line that names the server and the mend."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.secret import Secret
from pullwhy.text import printable

TIMEOUT_SECONDS: Final = 15.0
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one answer; a page of findings has a few megabytes at most."""
PAGE: Final = 500
MAX_TOKEN: Final = 65_536
"""Characters; a token with the groups of a large directory has some thousands."""

EVENTS: Final = "/api/v1/events"

_HTTP_NO_CONTENT: Final = 204
_HTTP_NOT_MODIFIED: Final = 304
_HTTP_UNAUTHORIZED: Final = 401
_HTTP_FORBIDDEN: Final = 403
_HTTP_NOT_FOUND: Final = 404


class NotFound(CommandError):
    """The collector knows nothing of that name."""


class Unauthorized(CommandError):
    """The collector wants to know who asks, and was not told, or does not believe it."""


class Forbidden(CommandError):
    """The collector knows who asks, and he may not."""


class Unreachable(CommandError):
    """No answer came."""


class Unchanged(Exception):
    """Nothing changed since the answer that carried the given tag."""


_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"})
"""OpenSSL's reasons where plain text came in place of a TLS record."""

_KINDS: Final[Mapping[int, type[CommandError]]] = {
    _HTTP_UNAUTHORIZED: Unauthorized,
    _HTTP_FORBIDDEN: Forbidden,
    _HTTP_NOT_FOUND: NotFound,
}


def nobody() -> Secret:
    """Return the token of who has none."""
    return Secret("")


Check = Callable[[socket.socket], None]
"""Looks at a new connection before anything is sent on it; raises OSError where nothing should be."""


def anybody(connection: socket.socket) -> None:
    """Let whoever listens there be asked."""
    del connection


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, *given: Any, check: Check, **named: Any) -> None:
        super().__init__(*given, **named)
        self._check = check

    def connect(self) -> None:
        super().connect()
        self._check(self.sock)


class _TLSConnection(http.client.HTTPSConnection):
    def __init__(self, *given: Any, check: Check, **named: Any) -> None:
        super().__init__(*given, **named)
        self._check = check

    def connect(self) -> None:
        super().connect()
        self._check(self.sock)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PlainConnection, check=self._check), req)


class _TLS(urllib.request.HTTPSHandler):
    def __init__(self, check: Check, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context)
        self._check, self._given = check, context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TLSConnection, check=self._check), req, context=self._given)


class Client:
    """Asks one collector; remembers the tag of its last first page, for who polls."""

    def __init__(
        self,
        server: str,
        token: Callable[[], Secret] = nobody,
        timeout_seconds: float = TIMEOUT_SECONDS,
        context: ssl.SSLContext | None = None,
        check: Check = anybody,
        source: str = "--server",
    ) -> None:
        """Ask `server`, which `source` named; `token` is called for each request, as tokens are renewed, `check` for each connection."""
        self._server, self._token, self._timeout = _checked(server, source), token, timeout_seconds
        self._name = printable(self._server)
        # The environment's proxy is for the way out, never for this machine (a port-forward).
        direct = [urllib.request.ProxyHandler({})] if _is_loopback(self._server) else []
        self._opener = urllib.request.build_opener(*direct, _Plain(check), _TLS(check, context))
        self.tag = ""

    def one(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return one document; raises NotFound or CommandError."""
        return self._get(path, parameters)[0]

    def items(self, path: str, parameters: Mapping[str, str], tag: str = "") -> list[dict[str, Any]]:
        """Return the items of a list that has no pages; raises Unchanged where `tag`, that of an earlier answer, still holds."""
        answer, self.tag = self._get(path, parameters, tag)
        return list(answer.get("items", []))

    def all(
        self, path: str, parameters: Mapping[str, str], limit: int, tag: str = ""
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return up to `limit` items of a list, page by page, and whether there are more.

        Raises Unchanged where `tag`, that of an earlier answer, still holds.
        """
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = dict(parameters, limit=str(min(PAGE, limit - len(items)))) | ({"cursor": cursor} if cursor else {})
            answer, new_tag = self._get(path, page, tag if not cursor else "")
            self.tag = self.tag if cursor else new_tag
            items += answer.get("items", [])
            cursor = answer.get("next") or ""
            if not cursor or len(items) >= limit:
                return items[:limit], bool(cursor)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Have something changed; return what the collector answers, nothing where it says nothing. Raises CommandError."""
        data = None if body is None else json.dumps(body).encode()
        return self._ask(method, path, {}, {"content-type": "application/json"}, data)[0]

    def events(self, topics: str) -> http.client.HTTPResponse:
        """Return the stream of events about changes; raises CommandError where there is none."""
        stream: http.client.HTTPResponse = self._open(
            "GET", EVENTS, {"topics": topics}, {"accept": "text/event-stream"}, None, self._timeout
        )
        return stream

    def _get(self, path: str, parameters: Mapping[str, str], tag: str = "") -> tuple[dict[str, Any], str]:
        return self._ask("GET", path, parameters, {"if-none-match": tag} if tag else {}, None)

    def _ask(
        self, method: str, path: str, parameters: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> tuple[dict[str, Any], str]:
        headers = {"accept": "application/json", **headers}
        with self._open(method, path, parameters, headers, body, self._timeout) as response:
            try:
                data = response.read(MAX_ANSWER + 1)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
            tag = response.headers.get("etag", "")
            return {} if response.status == _HTTP_NO_CONTENT else _decoded(data, self._name), tag

    def _open(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
    ) -> Any:
        query = urllib.parse.urlencode({name: value for name, value in parameters.items() if value})
        url = f"{self._server}{path}?{query}" if query else f"{self._server}{path}"
        request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - checked: http or https
        if token := self._token():
            # For this server alone: a redirect may lead to another.
            request.add_unredirected_header("authorization", f"Bearer {token.reveal()}")
        try:
            return self._opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            if error.code == _HTTP_NOT_MODIFIED:
                raise Unchanged from None
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _refused(self, error: urllib.error.HTTPError) -> CommandError:
        with error:
            try:
                text = str(json.loads(error.read(65_536))["error"])
            except (ValueError, KeyError, TypeError, OSError):
                text = f"HTTP {error.code} without an explanation: is this a pullwhy collector?"
        kind = _KINDS.get(error.code, CommandError)
        mend = f"; {self._how_to_be_known()}" if kind is Unauthorized else ""
        return kind(f"{self._name}: {printable(text)}{mend}")

    def _unreachable(self, error: Exception) -> CommandError:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        told = _in_words(reason) or getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return Unreachable(
            f"the collector at {self._name} cannot be reached: {printable(told)}; {self._how_to_reach()}"
        )

    def _how_to_be_known(self) -> str:
        return "give your token with --token-file or PULLWHY_TOKEN"

    def _how_to_reach(self) -> str:
        return "name it with --server or PULLWHY_SERVER (from outside of the cluster: kubectl pullwhy)"


def direct(options: Namespace) -> Client:
    """Return the client that --server and --token-file, or the environment, ask for; raises CommandError."""
    file, given = options.token_file, os.environ.get("PULLWHY_TOKEN", "")
    source = "PULLWHY_SERVER" if options.server == os.environ.get("PULLWHY_SERVER") else "--server"
    token: Callable[[], Secret] = nobody
    if file:
        token = partial(token_in, file)
    elif given:
        token = partial(checked_token, given, "PULLWHY_TOKEN")
    return Client(options.server, token, source=source)


def token_in(file: Path) -> Secret:
    """Return the token in a file; raises CommandError."""
    try:
        with file.open(encoding="ascii", errors="replace") as opened:
            return checked_token(opened.read(MAX_TOKEN + 1), printable(str(file)))
    except OSError as error:
        raise CommandError(f"the token in {printable(str(file))} cannot be read: {error.strerror}", EX_USAGE) from None


def checked_token(text: str, source: str) -> Secret:
    """Return a token that may stand in a header; raises CommandError, which does not show it."""
    token = text.strip()
    if not token or len(text) > MAX_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError(f"{source} holds no token: one word of ASCII characters is expected", EX_USAGE)
    return Secret(token)


def _in_words(reason: object) -> str:
    """Return for who asks what OpenSSL and Python's HTTP say in words of their own; empty where those of the system do."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, http.client.BadStatusLine) and not isinstance(reason, http.client.RemoteDisconnected):
        return "what answers does not speak HTTP: is it https://?"
    if not isinstance(reason, ssl.SSLError):
        return ""
    if reason.reason in _NO_TLS:
        return "it does not speak TLS: is it http://?"
    return f"TLS failed: {(reason.reason or 'the connection was cut').replace('_', ' ').lower()}"


def _decoded(body: bytes, name: str) -> dict[str, Any]:
    if len(body) > MAX_ANSWER:
        raise CommandError(f"{name}: the answer has more than {MAX_ANSWER} bytes: ask for less")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CommandError(f"{name}: the answer is no JSON object: is this a pullwhy collector?")
    return value


def _checked(server: str, source: str) -> str:
    try:
        url = urllib.parse.urlsplit(server)
        good = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.query and not url.fragment
    except ValueError:
        good = False
    if not good or not server.isascii() or not server.isprintable() or " " in server:
        raise CommandError(f"{source} {printable(server, 200)}: write http://HOST:PORT or https://HOST:PORT", EX_USAGE)
    return server.rstrip("/")


def _is_loopback(server: str) -> bool:
    host = urllib.parse.urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
