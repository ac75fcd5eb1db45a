"""Writes the agent's state down: soon after something changed, seldom while it only read on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pullwhy.node.engine import Engine
from pullwhy.node.state import StateUnwritable, encode, save

SOON: Final = 0.5
"""Seconds from a change to its being kept; several changes are kept together."""
SELDOM: Final = 30.0
"""Seconds between two writes while only the positions move."""
RETRY: Final = 10.0
"""Seconds until a write that failed is tried again."""
SHARE: Final = 20
"""After a write it rests for this many times as long as the write took: a slow disk is not to be busy with us."""


class Checkpoint:
    """Keeps an engine's state in the state directory."""

    def __init__(self, directory: Path, engine: Engine, impaired: Callable[[str], None]) -> None:
        self._directory = directory
        self._engine = engine
        self._impaired = impaired
        self._moves = 0
        self._writing = threading.Lock()

    async def run(self) -> None:
        """Write whenever it is due, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SELDOM):
                    await self._engine.changed.wait()
            if not self._engine.changed.is_set() and self._engine.moves == self._moves:
                continue
            await asyncio.sleep(SOON)
            began = loop.time()
            trouble = await asyncio.to_thread(self._write, self._content())
            self._impaired(trouble)
            if trouble:
                self._engine.changed.set()
            await asyncio.sleep(RETRY if trouble else SHARE * (loop.time() - began))

    def finish(self) -> None:
        """Write for the last time."""
        self._impaired(self._write(self._content()))

    def _content(self) -> bytes:
        self._engine.changed.clear()
        self._moves = self._engine.moves
        return encode(self._engine.kept())

    def _write(self, content: bytes) -> str:
        """Write, in whatever thread; return what went wrong."""
        with self._writing:  # the last write may come while a thread is at the one before
            try:
                save(self._directory, content)
            except StateUnwritable as error:
                return str(error)
        return ""
