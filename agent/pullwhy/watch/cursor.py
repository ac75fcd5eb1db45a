"""Where a source was read up to, and small files that survive a crash in the middle of being written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from pullwhy.frozen import frozen

MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of a state file; a longer one is not ours."""


@frozen
class JournalPosition:
    """An entry of the journal that was read, and what to fall back on when it is no longer there.

    The cursor itself holds boot id and monotonic time, which libsystemd tries before the wall clock; `realtime` says whether
    anything was lost in between.
    """

    cursor: str
    realtime: int
    """Microseconds since the epoch."""


@frozen
class FilePosition:
    """A place in a plain log file: which file it was, and up to which byte its lines were read."""

    device: int
    inode: int
    offset: int
    head: str
    """Hash of the file's first bytes: an inode number is used again, and a file may be emptied in place."""
    head_length: int


@frozen
class Positions:
    """Up to where each source was processed; what is kept between two lives of an agent."""

    journal: JournalPosition | None = None
    files: tuple[tuple[str, FilePosition], ...] = ()
    """Path and position, a pair for each file."""

    def file(self, path: str) -> FilePosition | None:
        """Return the position in the file at `path`, None where it was never read."""
        return dict(self.files).get(path)

    def with_file(self, path: str, position: FilePosition) -> Positions:
        """Return these positions with that of one file replaced."""
        return Positions(self.journal, tuple(sorted({**dict(self.files), path: position}.items())))

    def with_journal(self, position: JournalPosition) -> Positions:
        """Return these positions with the journal's replaced."""
        return Positions(position, self.files)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path`: after a crash at any moment it holds the old content or the new, never a part.

    Raises OSError, and leaves the old content.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def read_bounded(path: Path) -> bytes | None:
    """Return the file's content, None where there is no such file.

    Raises OSError, also where the file is larger than any that we write.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_FILE:
        raise OSError(f"{path} has more than {MAX_FILE} bytes")
    return content


def _sync_directory(directory: Path) -> None:
    # Without it the new name may be missing after a power loss; some filesystems cannot do it, and then it is not needed.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
