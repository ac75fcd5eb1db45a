"""HTTP/1.1 over a Stream, one exchange at a time, with a bound on everything that the peer sends."""

from __future__ import annotations

import asyncio
from typing import Final

import h11

from pullwhy.frozen import frozen
from pullwhy.probe.network import READ_SIZE, Stream, StreamReset, StreamTimedOut
from pullwhy.secret import Secret
from pullwhy.trace import HTTPFault

MAX_HEAD: Final = 65_536
"""Bytes of status line and headers together (Go's limit is 1 MiB; no registry sends 8 KiB)."""
MAX_HEADERS: Final = 200
"""Header lines taken."""
MAX_ERROR_BODY: Final = 65_536
"""Bytes read of an error's body, where a good answer's limit is lower."""
_ERRORS: Final = 400
MAX_INTERIM: Final = 8
"""Interim (1xx) answers borne before the answer."""

_STATUS_LINE: Final = b"HTTP/"
_TLS_ALERT: Final = b"\x15\x03"


class HTTPFailed(Exception):
    """No usable answer came."""

    def __init__(self, fault: HTTPFault, detail: str, received: int = 0) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail
        self.received = received
        """Bytes of the answer that had come."""


@frozen
class Request:
    """One request; header values may be secrets, so all are."""

    method: str
    target: str
    """Path with query, `host:port` for CONNECT, or the whole URL for a proxy."""
    headers: tuple[tuple[str, Secret], ...]
    body: bytes = b""
    """Where there is one, the headers tell its length."""


@frozen
class Answered:
    """One answer, its body cut at the limit."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    complete: bool
    """False where the body went on past the limit, or ended before its own length."""
    cut: bool = False
    """Whether the server closed before the body's own end."""

    def header(self, name: str) -> str:
        """Return the first header of that name, empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return every header of that name."""
        return tuple(value for key, value in self.headers if key == name)


class Connection:
    """A stream that speaks HTTP/1.1."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.used = False
        """Whether an exchange was made before."""
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._raw = b""
        self._ended = False
        self._received = 0

    @property
    def reusable(self) -> bool:
        """Whether the next exchange may be made on it."""
        return self._machine.our_state is h11.IDLE and self._machine.their_state is h11.IDLE

    async def exchange(self, request: Request, body_limit: int, within: float) -> Answered:
        """Send `request` and read its answer with at most `body_limit` bytes of body (an error's may be longer), within `within` seconds.

        Raises HTTPFailed, and HandshakeFailed where TLS 1.3 refused us late.
        """
        self._raw, self._received, self._ended = b"", 0, False
        try:
            async with asyncio.timeout(within):
                await self._send(request, within)
                answered = await self._receive(body_limit, within)
        except (TimeoutError, StreamTimedOut) as error:
            raise HTTPFailed(HTTPFault.TIMED_OUT, self._silence(within), self._received) from error
        except StreamReset as error:
            raise HTTPFailed(HTTPFault.RESET, f"{error} after {self._received} bytes", self._received) from error
        except h11.RemoteProtocolError as error:
            raise self._garbled() from error
        self.used = True
        if answered.complete and self._machine.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._machine.start_next_cycle()
        return answered

    def _silence(self, within: float) -> str:
        return f"after {self._received} bytes nothing came within {within:.1f} s"

    def _garbled(self) -> HTTPFailed:
        if self._raw.startswith(_TLS_ALERT):
            return HTTPFailed(HTTPFault.TLS_EXPECTED, "the server answered plain HTTP with a TLS alert", self._received)
        if self._ended and (not self._raw or self._raw.startswith(_STATUS_LINE)):
            return HTTPFailed(HTTPFault.RESET, f"EOF after {self._received} bytes", self._received)
        if self._received > MAX_HEAD:
            return HTTPFailed(HTTPFault.TOO_LARGE, f"the headers are larger than {MAX_HEAD} bytes", self._received)
        return HTTPFailed(HTTPFault.GARBLED, "the answer is not HTTP", self._received)

    async def _send(self, request: Request, within: float) -> None:
        headers = [(name, value.reveal()) for name, value in request.headers]
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        events = [head, *([h11.Data(request.body)] if request.body else []), h11.EndOfMessage()]
        data = b"".join(self._machine.send(event) or b"" for event in events)
        try:
            await self.stream.write(data, within)
        except StreamReset:
            return  # a server may answer and close before it has read everything: its answer is worth reading

    async def _receive(self, body_limit: int, within: float) -> Answered:
        for _ in range(MAX_INTERIM):
            event = await self._next(within)
            if isinstance(event, h11.InformationalResponse):
                continue
            if not isinstance(event, h11.Response):
                break
            headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in list(event.headers)[:MAX_HEADERS]
            )
            limit = max(body_limit, MAX_ERROR_BODY) if event.status_code >= _ERRORS else body_limit
            body, complete = await self._body(limit, within)
            return Answered(event.status_code, headers, body, complete, cut=not complete and self._ended)
        raise HTTPFailed(HTTPFault.GARBLED, "interim answers without end", self._received)

    async def _body(self, limit: int, within: float) -> tuple[bytes, bool]:
        parts: list[bytes] = []
        size = 0
        while True:
            if self._machine.their_state is h11.SWITCHED_PROTOCOL:
                return b"", True
            try:
                event = await self._next(within)
            except h11.RemoteProtocolError:
                if not self._ended or not parts:
                    raise
                return b"".join(parts), False
            if not isinstance(event, h11.Data):
                return b"".join(parts), isinstance(event, h11.EndOfMessage)
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > limit:
                return b"".join(parts)[:limit], False

    async def _next(self, within: float) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._machine.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value] # NEED_DATA is out, which mypy does not see
            data = await self.stream.read(READ_SIZE, within)
            self._received += len(data)
            self._ended = not data
            self._raw = (self._raw + data)[:16]
            self._machine.receive_data(data)

    def close(self) -> None:
        """Let go of the stream."""
        self.stream.close()
