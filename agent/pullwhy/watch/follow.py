"""The journal as an endless series of batches on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pullwhy.watch.cursor import JournalPosition
from pullwhy.watch.journal import JournalReader, Start
from pullwhy.watch.source import Batch

LOOKBACK: Final = timedelta(minutes=10)
"""How far a first start looks back: two kubelet back-offs of five minutes."""
MAX_MAPPED: Final = 32 * 1024 * 1024
"""Bytes of mapped files above which the journal is reopened; libsystemd keeps hundreds of megabytes mapped otherwise."""
CHECK_SECONDS: Final = 60.0
"""How long to sleep at most before looking whether a whole new journal tree appeared, which no watch tells."""
LOOK_SECONDS: Final = 1.0
"""How long such a look, and one at the memory, is good for: a busy journal wakes us four times a second."""

_STATM: Final = Path("/proc/self/statm")


def mapped_bytes() -> int:
    """Return the bytes of files that this process has mapped and resident (proc(5): statm, the third figure)."""
    return int(_STATM.read_text(encoding="ascii").split()[2]) * 4096


class JournalFollower:
    """Reads what is there in slices, then sleeps until the journal changes."""

    def __init__(
        self,
        reader: JournalReader,
        *,
        clock: Callable[[], datetime],
        lookback: timedelta = LOOKBACK,
        mapped: Callable[[], int] = mapped_bytes,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._lookback = lookback
        self._mapped = mapped
        self._check_seconds = check_seconds
        self._look_at = float("-inf")
        """By the event loop's clock."""

    async def batches(self, resume: JournalPosition | None) -> AsyncGenerator[Batch[JournalPosition], None]:
        """Yield batches for ever, from behind `resume` on. Raises JournalUnreadable; the reader is closed at the end.

        The first end is told with an empty batch where nothing was there to read: a quiet journal is caught up with too.
        """
        reader, ended = self._reader, False
        try:
            start = reader.open(resume, self._clock() - self._lookback)
            if start is Start.GAP:
                yield Batch((), None, caught_up=False, gap=_gap(resume))
            baseline = self._mapped()
            while True:
                part = reader.read()
                if part.entries or (part.end and not ended):
                    ended = ended or part.end
                    yield Batch(part.lines, reader.position, caught_up=part.end, suppressed=part.suppressed)
                if not part.end:
                    await asyncio.sleep(0)  # the rest of the agent gets its turn between two slices of a long journal
                    continue
                if (looked := self._look_is_due()) and (self._mapped() > baseline + MAX_MAPPED or reader.moved()):
                    reader.release()
                    baseline = self._mapped()
                    continue
                # A look that was put off is made up for, however silent the journal is from here on.
                await self._changed(self._check_seconds if looked else LOOK_SECONDS)
        finally:
            reader.close()

    def _look_is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        due = now >= self._look_at
        if due:
            self._look_at = now + LOOK_SECONDS
        return due

    async def _changed(self, seconds: float) -> None:
        """Sleep until the journal says it changed, at most so long, then let it look."""
        reader, loop, woken = self._reader, asyncio.get_running_loop(), asyncio.Event()
        # The descriptor was made before the first entry was read, so what came in the meantime is waiting in it.
        descriptor = reader.descriptor
        loop.add_reader(descriptor, woken.set)
        try:
            async with asyncio.timeout(min(reader.patience() or seconds, seconds)):
                await woken.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)
        reader.process()


def _gap(resume: JournalPosition | None) -> str:
    since = (
        f" since {datetime.fromtimestamp(resume.realtime / 1_000_000).astimezone():%Y-%m-%d %H:%M:%S%z}"
        if resume
        else ""
    )
    return f"the journal no longer holds what was written{since}: it was rotated away or vacuumed while the agent was not running"
