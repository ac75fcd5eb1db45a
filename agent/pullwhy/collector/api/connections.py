"""HTTP connections with bounds: idle ones end or make room, no peer has all of them, and the kubelet's probes always have an answer.

uvicorn bounds them only while it answers (0.54: protocols/http/h11_impl.py): its `limit_concurrency` counts connections that never asked
anything, refuses probes too, and no time is set for the first request.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.h11_impl import H11Protocol

from pullwhy.collector.api.events import MOST_WATCHERS

MOST: Final = 100 + MOST_WATCHERS
"""Connections at a time."""
OF_ONE_PEER: Final = MOST // 2
"""All who come by port-forward are one peer, 127.0.0.1."""
FOR_PROBES: Final = 16
"""More connections, which are answered nothing but probes."""
HEAD_SECONDS: Final = 10.0
"""From the first byte of a request, or from the connection for its first, to the end of its headers."""
SEND_SECONDS: Final = 60.0
"""For a peer to take some of an answer."""
PROBES: Final = frozenset({"/healthz", "/readyz"})


class Connection(H11Protocol):
    """One of them. uvicorn keeps those of a server in the set `connections`, which all share."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._whole, self.app = self.app, self._bounded
        self.idle_since = 0.0
        self._crowded = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as H11Protocol's
        """Take it, in the place of the longest idle one where there is none left."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, transport.abort)
        others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
        theirs = [each for each in others if each.peer == self.peer]
        if len(theirs) >= OF_ONE_PEER:
            self._crowded = not _drop_idle(theirs)
        elif len(others) >= MOST:
            self._crowded = not _drop_idle(others)
        if len(self.connections) > MOST + FOR_PROBES:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        super().connection_lost(exc)
        self._unset_head_timer()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take some of a request, whose head must be whole in time."""
        if self._awaits_head and not self._head_timer:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        super().data_received(data)
        if not self._awaits_head:
            self._unset_head_timer()

    def on_response_complete(self) -> None:
        """Be idle, or take the next request that came meanwhile."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the peer takes more, for so long."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._send_timer:
            self._send_timer.cancel()
            self._send_timer = None

    def drop(self) -> None:
        """End it at once; its place is free."""
        self.connections.discard(self)
        self.transport.abort()

    @property
    def peer(self) -> str:
        """The address that it comes from."""
        return self.client[0] if self.client else ""

    @property
    def _awaits_head(self) -> bool:
        # Its type does not say that there is none before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    @property
    def idle(self) -> bool:
        """Whether nothing is lost with it."""
        return self.transport.is_closing() or (self._awaits_head and not self.transport.get_write_buffer_size())

    def _unset_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    async def _bounded(self, scope: Any, receive: Any, send: Any) -> None:
        crowded = self._crowded and scope["path"] not in PROBES
        await (service_unavailable if crowded else self._whole)(scope, receive, send)


def _drop_idle(connections: list[Connection]) -> bool:
    """End the one that is idle for longest; return whether there is one."""
    idle = [each for each in connections if each.idle]
    if idle:
        min(idle, key=lambda each: each.idle_since).drop()
    return bool(idle)
