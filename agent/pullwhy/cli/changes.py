"""When to ask again: as soon as the collector tells of a change, else after a while."""

from __future__ import annotations

import threading
import time
from typing import Final

from pullwhy.cli.client import Client
from pullwhy.cli.main import CommandError

AGAIN_SECONDS: Final = 10.0
"""Between two attempts to be told: an older collector tells nothing, one that restarts will again."""


class Changes:
    """Waits for changes of some topics; a thread of its own reads the stream of events."""

    def __init__(self, client: Client, topics: str) -> None:
        self._client, self._topics = client, topics
        self._changed = threading.Event()
        self._reader: threading.Thread | None = None
        self._began = float("-inf")

    def wait(self, seconds: float) -> None:
        """Return when something changed, or after `seconds`."""
        now = time.monotonic()
        if not (self._reader and self._reader.is_alive()) and now - self._began > AGAIN_SECONDS:
            self._began = now
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        self._changed.wait(seconds)
        self._changed.clear()

    def _read(self) -> None:
        try:
            for _ in self._client.events(self._topics):
                self._changed.set()
        except CommandError:
            pass  # who waits asks anyway, and then tells what is wrong
