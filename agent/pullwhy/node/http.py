"""A small HTTP server for health and metrics: GET of a few fixed paths, one request a connection."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

MAX_REQUEST: Final = 8192
"""Bytes of request line and headers."""
PATIENCE: Final = 5.0
"""Seconds for the whole request and its answer."""
MAX_CONNECTIONS: Final = 32
"""From elsewhere, and as many from this machine: the kubelet's probes among them."""

Page = Callable[[], tuple[int, str, str]]
"""Returns status, content type and text."""

_STATUS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_PLAIN: Final = "text/plain; charset=utf-8"


class ListenError(Exception):
    """The address cannot be listened on; names it with the mend."""


def is_loopback(address: str) -> bool:
    """Return whether it is 127.0.0.0/8 or ::1."""
    return ipaddress.ip_address(address).is_loopback


class Server:
    """Serves pages at fixed paths until closed."""

    def __init__(self, pages: Mapping[str, Page], is_local: Callable[[str], bool] = is_loopback) -> None:
        """`is_local` tells of a peer's address whether that is this machine's."""
        self._pages, self._is_local = pages, is_local
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, bool] = {}
        """Connections, the oldest first, and whether they come from this machine."""

    async def start(self, listen: str) -> None:
        """Listen on `ADDRESS:PORT`; raises ListenError."""
        host, _, port = listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._serve, host.strip("[]"), int(port), limit=MAX_REQUEST, backlog=MAX_CONNECTIONS
            )
        except (OSError, ValueError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ListenError(f"cannot listen on {listen}: {why}; set http_listen to another ADDRESS:PORT") from None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        self._make_room(local := bool(peer) and self._is_local(peer[0]))
        self._open[writer] = local
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the peer went away, or is none that we talk to
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    def _make_room(self, local: bool) -> None:
        """End the oldest connection where there are as many of its kind as may be: who asks and reads has long gone."""
        same = [writer for writer, is_local in self._open.items() if is_local is local]
        if len(same) >= MAX_CONNECTIONS:
            del self._open[same[0]]
            same[0].transport.abort()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("ascii", errors="replace")
        if method not in {b"GET", b"HEAD"}:
            return _response(405, _PLAIN, "only GET is served here\n", body=True)
        page = self._pages.get(path)
        if page is None:
            return _response(404, _PLAIN, f"known: {' '.join(sorted(self._pages))}\n", body=method == b"GET")
        return _response(*page(), body=method == b"GET")


def _response(status: int, kind: str, text: str, *, body: bool) -> bytes:
    content = text.encode()
    head = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if body else b"")
