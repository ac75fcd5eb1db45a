"""A plain log file as a source of lines: followed over rotation by renaming and by emptying in place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from pullwhy.watch import syslog
from pullwhy.watch.cursor import FilePosition
from pullwhy.watch.lines import LogLine
from pullwhy.watch.lookback import MAX_BYTES, Lookback
from pullwhy.watch.source import Batch

MAX_LINE: Final = 64 * 1024
"""Bytes; the rest of a longer line is dropped."""
CHUNK: Final = 256 * 1024
"""Bytes read before the caller gets a turn."""
HEAD: Final = 256
"""Bytes at a file's beginning that tell it from another with the same inode number."""
POLL_SECONDS: Final = 0.5

Accept = Callable[[bytes], bool]


class LogFile:
    """Reads one file's new lines. Call `read` again and again; it never waits."""

    def __init__(
        self,
        path: Path,
        unit: str,
        accept: Accept,
        clock: Callable[[], datetime],
        lookback: timedelta = timedelta(0),
    ) -> None:
        """`lookback` is how far the first reading of a file looks back."""
        self.path = path
        self._lookback = lookback
        self._old: Lookback | None = None
        self._old_until = 0
        self._unit = unit
        self._accept = accept
        self._clock = clock
        self._file: BinaryIO | None = None
        self._rest = b""
        self._overlong = False
        self._offset = 0

    def open(self, resume: FilePosition | None) -> str:
        """Open the file behind `resume`; return one sentence where lines may have been lost, else nothing.

        A file that is read for the first time is looked back into, and no further than `lookback.MAX_BYTES`. One that does not
        exist yet is no error: it is read from its beginning once it does. Raises OSError.
        """
        file = self._open()
        if file is None:
            return ""
        size = os.fstat(file.fileno()).st_size
        if resume is None:
            start = size
            if self._lookback:
                self._old, self._old_until = Lookback(file, self._clock(), self._lookback), size
                start = max(0, size - MAX_BYTES)
            self._offset = file.seek(start)
            self._overlong = start > 0 and os.pread(file.fileno(), 1, start - 1) != b"\n"
            return ""
        if _is(file, resume) and resume.offset <= size:
            self._offset = file.seek(resume.offset)
            return ""
        if self._open_rotated(resume):
            return ""
        return f"{self.path} was rotated away while the agent was not running; lines since then may be missing"

    @property
    def looking_back(self) -> bool:
        """Whether lines are left that were there before the file was opened."""
        return self._offset < self._old_until

    def position(self) -> FilePosition | None:
        """Return the place behind the last whole line that was read."""
        if self._file is None:
            return None
        status = os.fstat(self._file.fileno())
        offset = self._offset - len(self._rest)
        length = min(HEAD, offset)
        return FilePosition(status.st_dev, status.st_ino, offset, _head(self._file, length), length)

    def read(self) -> tuple[list[LogLine], bool]:
        """Return new lines, and whether the end was reached. Raises OSError."""
        file = self._file or self._open()
        if file is None:
            return [], True
        old = self._old if self.looking_back else None
        chunk = file.read(min(CHUNK, self._old_until - self._offset) if old else CHUNK)
        if chunk:
            self._offset += len(chunk)
            return self._split(chunk, old), False
        return [], not self._renewed(file)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        self._rest, self._overlong, self._offset, self._old_until = b"", False, 0, 0
        with contextlib.suppress(FileNotFoundError):
            self._file = self.path.open("rb", buffering=0)
        return self._file

    def _open_rotated(self, position: FilePosition) -> bool:
        """Go on in the file's renamed predecessor (`kubelet.log.1`), whose rest is read before the new file."""
        for sibling in sorted(self.path.parent.glob(f"{self.path.name}?*"))[:32]:
            with contextlib.suppress(OSError):
                status = sibling.stat()
                if (status.st_dev, status.st_ino) != (
                    position.device,
                    position.inode,
                ) or status.st_size < position.offset:
                    continue
                rotated = sibling.open("rb", buffering=0)
                if _is(rotated, position):
                    self.close()
                    self._file, self._offset = rotated, rotated.seek(position.offset)
                    return True
                rotated.close()
        return False

    def _renewed(self, file: BinaryIO) -> bool:
        """At the end of the file: has it been emptied in place, or has another taken its name? Then begin that one."""
        own = os.fstat(file.fileno())
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False  # between the rename and the new file; or gone, and then there is nothing to read
        if (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino):
            if named.st_size >= self._offset:
                return False
            self._rest, self._overlong, self._offset, self._old_until = b"", False, file.seek(0), 0
            return True
        self.close()
        return self._open() is not None

    def _split(self, chunk: bytes, old: Lookback | None) -> list[LogLine]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        lines = []
        for line in whole:
            if self._overlong:
                self._overlong = False
                continue
            lines += self._wanted(line, old)
        if len(rest) > MAX_LINE:
            if not self._overlong:
                lines += self._wanted(rest, old)
            rest, self._overlong = b"", True
        self._rest = rest
        return lines

    def _wanted(self, line: bytes, old: Lookback | None) -> list[LogLine]:
        """Return the line without a syslog header, whose identifier stands for the unit; nothing where nobody wants it."""
        writer, pid, message = syslog.split(line[:MAX_LINE])
        if not self._accept(message):
            return []
        # The clock, not the line's own time, of what is written from now on: neither klog's nor syslog's has a year and a zone.
        when = self._clock() if old is None else old.when(line[:MAX_LINE].decode(errors="replace"))
        if when is None:
            return []
        text = message.decode(errors="replace")
        unit, stream = writer or self._unit, str(self.path)
        return [LogLine(when, unit, text, stream=stream, pid=pid, from_file=True)]


def _head(file: BinaryIO, length: int) -> str:
    return hashlib.sha256(os.pread(file.fileno(), length, 0)).hexdigest()[:32]


def _is(file: BinaryIO, position: FilePosition) -> bool:
    return _head(file, position.head_length) == position.head


class FileFollower:
    """A log file as an endless series of batches on the event loop."""

    def __init__(self, file: LogFile, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._file = file
        self._poll_seconds = poll_seconds

    async def batches(self, resume: FilePosition | None) -> AsyncGenerator[Batch[FilePosition], None]:
        """Yield batches for ever, from behind `resume` on. Raises OSError; the file is closed at the end."""
        file = self._file
        try:
            gap = file.open(resume)
            if gap:
                yield Batch((), None, caught_up=False, gap=gap)
            lines: list[LogLine] = []
            while True:
                more, end = file.read()
                lines += more
                # What was there already is handed over at once: half of it, begun anew after a kill, would count twice.
                if lines and not file.looking_back:
                    yield Batch(tuple(lines), file.position(), caught_up=end)
                    lines = []
                await asyncio.sleep(self._poll_seconds if end else 0)
        finally:
            file.close()
