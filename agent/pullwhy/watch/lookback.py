"""When the lines that a log file holds already were written: its first reading looks back as far as that of a journal."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import BinaryIO, Final

from pullwhy.watch.stamps import stamp

MAX_BYTES: Final = 4 * 1024 * 1024
"""How much of a file is looked back into."""
TAIL: Final = 64 * 1024
"""Bytes at its end in which a line with a time is looked for."""

_ZONES: Final = timedelta(minutes=15)
"""What the distance of any zone from UTC is a multiple of."""
_SLACK: Final = timedelta(seconds=2)
"""By which a file's time may lie before that of its last line: file systems keep a coarser one."""


class Lookback:
    """Tells the times of one file's lines, which may have no year and no zone."""

    def __init__(self, file: BinaryIO, now: datetime, span: timedelta) -> None:
        """Lines older than `span` before `now` are of no interest. Raises OSError.

        klog and syslog write the node's own time, whose zone a container is not told. The last such line is about as old as
        the file's last change, so the zone is the quarter of an hour by which the two differ.
        """
        self._now, self._since = now, now - span
        self._last: datetime | None = None
        status = os.fstat(file.fileno())
        tail = os.pread(file.fileno(), TAIL, max(0, status.st_size - TAIL))
        times = (stamp(line.decode(errors="replace"), now) for line in reversed(tail.splitlines()))
        local = next((found.when for found in times if found is not None and not found.zoned), None)
        changed = datetime.fromtimestamp(status.st_mtime, now.tzinfo)
        self._zone = timedelta(0) if local is None else (changed - local + _SLACK) // _ZONES * _ZONES

    def when(self, line: str) -> datetime | None:
        """Return when `line` was written; that of the line before where it has no time, None where it is too old or unknown."""
        found = stamp(line, self._now)
        if found is not None:
            self._last = min(found.when if found.zoned else found.when + self._zone, self._now)
        return self._last if self._last is not None and self._last >= self._since else None
