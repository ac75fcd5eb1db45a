"""The streams of the agents that are connected here: each written to by several parts, one message at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Final

import grpc.aio

from pullwhy.pb.v1 import report_pb2 as pb

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 64
"""Messages to an agent that does not read; more are not sent."""

Context = grpc.aio.ServicerContext[pb.AgentMessage, pb.CollectorMessage]
Key = tuple[str, str]
"""Cluster and name of a node."""


class Stream:
    """Writes to one agent."""

    __slots__ = ("_context", "_lasting", "_lock", "_sending", "abilities", "number", "replaced")

    def __init__(
        self, context: Context, lasting: asyncio.Timeout, abilities: frozenset[str] = frozenset(), number: int = 0
    ) -> None:
        """`lasting` ends who reads the stream."""
        self._context, self._lasting = context, lasting
        self._lock: asyncio.Lock | None = None
        self._sending: set[asyncio.Task[None]] | None = None
        self.abilities = abilities
        self.number = number
        """Which of its node's streams, at whatever collector, this is."""
        self.replaced = False
        """Whether a newer stream of the same node took its place."""

    @property
    def peer(self) -> str:
        """The agent's address and port, as gRPC writes them."""
        return self._context.peer()

    async def write(self, message: pb.CollectorMessage) -> None:
        """Write a message after those that are under way: gRPC takes one at a time."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            await self._context.write(message)

    def send(self, message: pb.CollectorMessage) -> bool:
        """Write a message without waiting for it; False where too many wait already."""
        if self._sending is None:
            self._sending = set()
        if len(self._sending) >= MOST_WAITING:
            return False
        task = asyncio.create_task(self._try(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return True

    def replace(self) -> None:
        """End the stream: a newer one of its node has come."""
        self.replaced = True
        if not self._lasting.expired():
            self._lasting.reschedule(0.0)

    def close(self) -> None:
        """Give up what waits."""
        for task in self._sending or ():
            task.cancel()

    async def _try(self, message: pb.CollectorMessage) -> None:
        try:
            await self.write(message)
        except Exception as error:  # noqa: BLE001 - gRPC raises many things for a stream that ended meanwhile
            logger.debug("not sent: %s", error)


class Streams:
    """Who is connected: of each node the stream that came last."""

    def __init__(self) -> None:
        self._of: dict[Key, Stream] = {}
        self.arrived: set[Key] = set()
        """Nodes that came since this was last emptied."""

    def __iter__(self) -> Iterator[Key]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, key: Key) -> bool:
        return key in self._of

    def enter(self, key: Key, stream: Stream) -> None:
        """Note a stream, and end the one that its node had: an agent that comes again may be seen to be gone late, or never."""
        before = self._of.get(key)
        if before and before.number > stream.number:  # welcomed first, though it came later
            stream.replace()
            return
        if before:
            before.replace()
        self._of[key] = stream
        self.arrived.add(key)

    def leave(self, key: Key, stream: Stream) -> None:
        """Forget a stream."""
        stream.close()
        if self._of.get(key) is stream:
            del self._of[key]
            self.arrived.discard(key)

    def numbers(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the numbers of these nodes' streams here."""
        return {key: self._of[key].number for key in keys if key in self._of}

    def get(self, key: Key) -> Stream | None:
        """Return a node's stream."""
        return self._of.get(key)
