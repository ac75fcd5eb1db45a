"""Server-sent events: what kind of thing changed, told to who watches; what it is now is asked for as ever.

An event carries no data that could pile up: changes that a slow watcher did not take yet are one event.
HTML Living Standard, section 9.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Collection, MutableMapping
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Send

from pullwhy.collector.fleet import Change
from pullwhy.diagnose.document.finding import rfc3339

logger = logging.getLogger(__name__)

MOST_WATCHERS: Final = 100
HEARTBEAT_SECONDS: Final = 15.0
"""A comment after so long without an event: proxies close what is silent, and a client learns that it is not cut off."""
LEAST_SECONDS: Final = 0.2
"""Between two events of one watcher; what changes meanwhile is told together."""
SLOW_SECONDS: Final = 10.0
"""A watcher that takes nothing for so long is dropped."""
RETRY_MILLISECONDS: Final = 2000

TOPICS: Final = {
    "findings": Change.FINDINGS,
    "problems": Change.PROBLEMS,
    "probes": Change.WALKS,
    "nodes": Change.NODES,
}


class TooManyWatchers(Exception):
    """No more can be served."""


class Watchers:
    """Everybody who watches."""

    def __init__(
        self, tag: Callable[[], str], clock: Callable[[], datetime], heartbeat: float = HEARTBEAT_SECONDS
    ) -> None:
        self._tag, self._clock, self._heartbeat = tag, clock, heartbeat
        self._watchers: set[_Watcher] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._watchers)

    def tell(self, change: Change) -> None:
        """Note that something changed."""
        for watcher in self._watchers:
            watcher.note(change)

    def close(self) -> None:
        """End every stream: their clients come again."""
        self._closed = True
        for watcher in self._watchers:
            watcher.woken.set()

    def watch(self, topics: Collection[str], last_event: str) -> AsyncGenerator[bytes, None]:
        """Return the stream of one watcher; raises TooManyWatchers.

        `last_event` is the id of the last event that it saw: what changed since then is told at once. As it cannot be known
        which topics that touched, all of them are told.
        """
        if len(self._watchers) >= MOST_WATCHERS or self._closed:
            raise TooManyWatchers
        watcher = _Watcher({topic: TOPICS[topic] for topic in topics})
        if last_event and last_event != self._tag():
            watcher.note(~Change(0))
        return self._stream(watcher)

    async def _stream(self, watcher: _Watcher) -> AsyncGenerator[bytes, None]:
        self._watchers.add(watcher)
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            while not self._closed:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        await watcher.woken.wait()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                yield self._events(watcher)
                await asyncio.sleep(LEAST_SECONDS)
        finally:
            self._watchers.discard(watcher)

    def _events(self, watcher: _Watcher) -> bytes:
        data = {"at": rfc3339(self._clock())}
        return b"".join(
            b"event: %b\nid: %b\ndata: %b\n\n"
            % (topic.encode(), self._tag().encode(), msgspec.json.encode({"changed": topic, **data}))
            for topic in watcher.take()
        )


class _Watcher:
    def __init__(self, topics: dict[str, Change]) -> None:
        self._topics = topics
        self._pending = Change(0)
        self.woken = asyncio.Event()

    def note(self, change: Change) -> None:
        for wanted in self._topics.values():
            if wanted & change:
                self._pending |= wanted
                self.woken.set()

    def take(self) -> list[str]:
        pending, self._pending = self._pending, Change(0)
        self.woken.clear()
        return [topic for topic, change in self._topics.items() if change & pending]


class EventStream(StreamingResponse):
    """The response around a watcher's stream."""

    def __init__(self, stream: AsyncGenerator[bytes, None]) -> None:
        self._stream = stream
        # A buffering proxy would hold events back (nginx: X-Accel-Buffering).
        super().__init__(
            stream,
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def stream_response(self, send: Send) -> None:
        """Send the stream; a client that takes nothing is left."""

        async def bounded(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(SLOW_SECONDS):
                await send(message)

        async with contextlib.aclosing(self._stream):
            try:
                await super().stream_response(bounded)
            except TimeoutError:
                logger.info("a watcher took nothing for %.0f s and was dropped", SLOW_SECONDS)
