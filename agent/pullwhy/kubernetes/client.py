"""A lean client of the Kubernetes API: single requests, typed answers, a bound on everything, patience that ends.

By hand over h11 (which the walk needs anyway), because a client library costs 11 to 24 MiB resident for these few calls. Every request made
here may be sent twice without harm: reviews ask, Events carry names of their own, patches set absolute values.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from pullwhy import __version__
from pullwhy.kubernetes.access import Access, NoAccess, Trust
from pullwhy.probe.http import Answered, Connection, HTTPFailed, Request
from pullwhy.probe.network import StreamReset, StreamTimedOut
from pullwhy.redact import redact
from pullwhy.secret import Secret
from pullwhy.text import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ANSWER: Final = 2 * 1024 * 1024
"""Bytes of one answer: etcd keeps no object above 1.5 MiB."""
REQUEST_SECONDS: Final = 4.0
"""One attempt, connecting included."""
PATIENCE_SECONDS: Final = 12.0
"""All attempts with their pauses."""
ATTEMPTS: Final = 4
FIRST_PAUSE_SECONDS: Final = 0.25
CONNECTIONS: Final = 8
"""Requests at a time; more wait."""
IDLE_SECONDS: Final = 30.0
"""A connection unused for so long is closed instead of used: the server may have closed it."""

_PASSING: Final = frozenset({429, 500, 502, 503, 504})
"""Answers after which another try is worth its price (client-go 0.34: rest/request.go and with_retry.go)."""
_UNAUTHORIZED: Final = 401


class APIError(Exception):
    """The API did not do as asked; the text holds no secret."""

    def __init__(self, status: int, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        """HTTP status; 0 where no usable answer came."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait; 0 where it names none."""

    @property
    def passing(self) -> bool:
        """Whether it says nothing about what was asked: the API was out of reach, or busy."""
        return self.status == 0 or self.status in _PASSING or self.status == _UNAUTHORIZED


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


class Client:
    """Asks one API server; shared by all who ask. `close` lets go of its connections."""

    def __init__(
        self,
        access: Access,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
        request_seconds: float = REQUEST_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Read the CA; raises NoAccess where that cannot be."""
        self._access, self._trust = access, Trust(access)
        self._clock, self._sleep = clock, sleep
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._within, self._patience = request_seconds, patience_seconds
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[tuple[Connection, float]] = []
        self._host = f"[{access.host}]" if ":" in access.host else access.host

    async def get(self, path: str, kind: type[T]) -> T:
        """Return what is at `path`; raises APIError."""
        return await self._ask("GET", path, None, kind)

    async def post(self, path: str, body: Any, kind: type[T]) -> T:
        """Create something, return what the server made of it; raises APIError."""
        return await self._ask("POST", path, body, kind)

    async def patch(self, path: str, body: Any, kind: type[T]) -> T:
        """Change fields (RFC 7396), return the whole; raises APIError."""
        return await self._ask("PATCH", path, body, kind)

    async def close(self) -> None:
        """Let go of every connection."""
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    async def _ask(self, method: str, path: str, body: Any, kind: type[T]) -> T:
        payload = b"" if body is None else msgspec.json.encode(body)
        answered = await self._patiently(method, path, payload)
        try:
            return msgspec.json.decode(answered.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise APIError(0, f"{method} {printable(path, 200)}: the answer is not what the API gives") from error

    async def _patiently(self, method: str, path: str, payload: bytes) -> Answered:
        """Try until there is an answer that counts, or patience ends."""
        give_up = self._clock() + self._patience
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(method, path, payload)
            except APIError as error:
                # A token that was renewed this moment is read anew by the next attempt.
                again = error.passing and not (error.status == _UNAUTHORIZED and attempt > 1)
                pause = max(
                    error.retry_after, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1) * self._chance.uniform(0.5, 1.0)
                )
                if not again or attempt == ATTEMPTS or self._clock() + pause > give_up:
                    raise
                await self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, method: str, path: str, payload: bytes) -> Answered:
        what = f"{method} {printable(path, 200)}"
        try:
            request = self._request(method, path, payload)
        except NoAccess as error:
            raise APIError(0, str(error)) from error
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise APIError(0, f"{what}: {CONNECTIONS} other requests did not end in time") from error
        try:
            async with asyncio.timeout(self._within):
                answered = await self._exchange(request)
        except (HTTPFailed, OSError, ssl.SSLError) as error:
            raise APIError(0, f"{what}: {_cause(error)}") from error
        finally:
            self._slots.release()
        if answered.status // 100 == 2:  # noqa: PLR2004 - success, RFC 9110 section 15.3
            if not answered.complete:
                raise APIError(0, f"{what}: the answer is larger than {MAX_ANSWER} bytes, or was cut off")
            return answered
        raise APIError(answered.status, f"{what}: {_refusal(answered)}", _retry_after(answered))

    def _request(self, method: str, path: str, payload: bytes) -> Request:
        headers = [
            ("host", Secret(f"{self._host}:{self._access.port}")),
            ("authorization", Secret(f"Bearer {self._access.token().reveal()}")),
            ("accept", Secret("application/json")),
            ("user-agent", Secret(f"pullwhy/{__version__}")),
        ]
        if payload:
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            headers += [("content-type", Secret(kind)), ("content-length", Secret(str(len(payload))))]
        return Request(method, path, tuple(headers), payload)

    async def _exchange(self, request: Request) -> Answered:
        connection = self._reusable()
        if connection is not None:
            # The server may have closed it this moment; that says nothing about the request.
            with contextlib.suppress(HTTPFailed):
                return await self._over(connection, request)
        return await self._over(await self._connect(), request)

    async def _over(self, connection: Connection, request: Request) -> Answered:
        keep = False
        try:
            answered = await connection.exchange(request, MAX_ANSWER, self._within)
            keep = connection.reusable and answered.header("connection").lower() != "close"
        finally:
            if keep:
                self._idle.append((connection, self._clock()))
            else:
                connection.close()
        return answered

    def _reusable(self) -> Connection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if self._clock() - since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        access = self._access
        reader, writer = await asyncio.open_connection(
            access.host, access.port, ssl=self._trust.context(), server_hostname=access.host
        )
        return Connection(_TLSStream(reader, writer))


class _TLSStream:
    """asyncio's TLS connection as a `probe.network.Stream`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, limit: int, within: float) -> bytes:
        """Return up to `limit` bytes, b"" at the end; raises StreamReset, StreamTimedOut."""
        try:
            async with asyncio.timeout(within):
                return await self._reader.read(limit)
        except TimeoutError as error:
            raise StreamTimedOut(f"nothing came within {within:.1f} s") from error
        except OSError as error:
            raise StreamReset(_cause(error)) from error

    async def write(self, data: bytes, within: float) -> None:
        """Send all of `data`; raises StreamReset, StreamTimedOut."""
        try:
            async with asyncio.timeout(within):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError as error:
            raise StreamTimedOut(f"nothing was taken within {within:.1f} s") from error
        except OSError as error:
            raise StreamReset(_cause(error)) from error

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        self._writer.transport.abort()


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the API server's certificate is not trusted: {printable(error.verify_message, 200)}"
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(told), 200)


def _refusal(answered: Answered) -> str:
    """Return what the server said (metav1.Status), cut and safe to show."""
    try:
        status = msgspec.json.decode(answered.body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = _Status()
    told = printable(redact(status.message[:2000]), 300)
    return f"HTTP {answered.status}{f': {told}' if told else ''}"


def _retry_after(answered: Answered) -> float:
    text = answered.header("retry-after")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0.0  # noqa: PLR2004 - hours are enough
