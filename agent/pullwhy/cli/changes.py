"""When to ask again: as soon as the collector tells of a change, else after a while."""

from __future__ import annotations

import contextlib
import http.client
import select
import time
from typing import Final

from pullwhy.cli.client import Client
from pullwhy.cli.main import CommandError

AGAIN_SECONDS: Final = 10.0
"""Between two attempts to be told: an older collector tells nothing, one that restarts will again."""
_READ: Final = 65_536
_EVENT: Final = b"event:"


class Changes:
    """Waits for changes of some topics. What it overlooks is found by who asks after a while anyway."""

    def __init__(self, client: Client, topics: str) -> None:
        self._client, self._topics = client, topics
        self._stream: http.client.HTTPResponse | None = None
        self._next_attempt = float("-inf")

    def wait(self, seconds: float) -> None:
        """Return when something changed, or after `seconds`."""
        end = time.monotonic() + seconds
        if not self._stream and time.monotonic() >= self._next_attempt:
            self._next_attempt = time.monotonic() + AGAIN_SECONDS
            with contextlib.suppress(CommandError):  # who waits asks anyway, and then tells what is wrong
                self._stream = self._client.events(self._topics)
        while (left := end - time.monotonic()) > 0:
            if not self._stream:
                time.sleep(left)
            elif select.select([self._stream], [], [], left)[0] and _EVENT in self._read(self._stream):
                return

    def _read(self, stream: http.client.HTTPResponse) -> bytes:
        """Return what came; nothing, and the stream is left, where it ended."""
        data = b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            data = stream.read1(_READ)
        if not data:
            stream.close()
            self._stream = None
        return data
