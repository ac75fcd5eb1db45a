"""Reads the node's own files below a root, such as a mount of the host's `/`, and never leaves that root."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pullwhy.frozen import frozen

MAX_BYTES: Final = 1 << 20
"""Of one file; configuration is smaller by orders of magnitude."""
MAX_LINE: Final = 64 << 10
MAX_ENTRIES: Final = 4096
"""Of one directory."""
MAX_LINKS: Final = 40
"""Symbolic links on the way to one file (Linux: MAXSYMLINKS)."""

_OCTAL: Final = re.compile(r"\\([0-7]{3})")

_WHY: Final = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is no directory",
    errno.EISDIR: "it is a directory",
    errno.ELOOP: "too many symbolic links",
    errno.ENOENT: "no such file",
    errno.EFBIG: f"larger than {MAX_BYTES >> 20} MiB",
    errno.EINVAL: "no regular file",
}


class UnreadableFile(Exception):
    """A file or directory of the host cannot be read; `path` is as the host sees it."""

    def __init__(self, path: str, number: int, why: str = "") -> None:
        self.path = path
        self.errno = number
        self.why = why or _WHY.get(number) or os.strerror(number).lower()
        super().__init__(f"{path}: {self.why}")

    @property
    def missing(self) -> bool:
        """Whether there is no such file (as opposed to one that cannot be read)."""
        return self.errno == errno.ENOENT

    @property
    def denied(self) -> bool:
        """Whether this process may not read it; the runtime, as root, may."""
        return self.errno in {errno.EACCES, errno.EPERM}


@frozen
class Entry:
    """A name in a directory, itself and not what a symbolic link leads to."""

    name: str
    is_dir: bool
    target: str = ""
    """Where a symbolic link points, as written."""


class HostFS:
    """The files below `root`; paths given are the host's own, absolute ones."""

    def __init__(self, root: Path = Path("/"), mounted: tuple[str, ...] | None = None) -> None:
        """`mounted` are the host's paths that are there, where they are not all; by default what the kernel says."""
        self.root = root
        self._prefix = str(root).rstrip("/")
        self._mounted = mounted_parts(self._prefix) if mounted is None else mounted

    def __repr__(self) -> str:
        return f"HostFS({str(self.root)!r})"

    def resolve(self, path: str) -> str:
        """Return `path` with every symbolic link followed inside the root.

        Raises UnreadableFile where a part is missing, no directory or may not be searched.
        """
        pending = [part for part in path.split("/") if part not in {"", "."}][::-1]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del done[-1:]
                continue
            here = "/".join([*done, part])
            target = self._link(path, here)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise UnreadableFile(path, errno.ELOOP)
            if target.startswith("/"):
                done.clear()
            pending.extend([part for part in target.split("/") if part not in {"", "."}][::-1])
        return "/" + "/".join(done)

    def local(self, path: str) -> Path:
        """Return the resolved path as this process must open it; raises UnreadableFile."""
        return Path(self._prefix + self.resolve(path))

    def kind(self, path: str) -> str:
        """Return `file`, `dir`, `other` or, where nothing is there, an empty string; raises UnreadableFile otherwise."""
        try:
            mode = self._lstat(path, self.resolve(path)).st_mode
        except UnreadableFile as error:
            if error.missing:
                return ""
            raise
        if stat.S_ISDIR(mode):
            return "dir"
        return "file" if stat.S_ISREG(mode) else "other"

    def mtime(self, path: str) -> float:
        """Return when the file was last changed, in seconds since the epoch; raises UnreadableFile."""
        return self._lstat(path, self.resolve(path)).st_mtime

    def executable(self, path: str) -> bool:
        """Return whether any execute bit of a file is set; raises UnreadableFile."""
        return bool(self._lstat(path, self.resolve(path)).st_mode & 0o111)

    def device(self, path: str) -> int:
        """Return the number of the filesystem that holds a path; raises UnreadableFile."""
        return self._lstat(path, self.resolve(path)).st_dev

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """Return the bytes of a regular file; raises UnreadableFile, also where it is larger than `limit`."""
        with self._open(path) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise UnreadableFile(path, errno.EFBIG, f"larger than {limit} bytes")
        return data

    def lines(self, path: str, limit: int = MAX_BYTES) -> Iterator[bytes]:
        """Yield the lines of a regular file, each cut at `MAX_LINE` bytes, without holding them; raises UnreadableFile like `read`."""
        with self._open(path) as file:
            left = limit
            while line := file.readline(MAX_LINE):
                left -= len(line)
                if left < 0:
                    raise UnreadableFile(path, errno.EFBIG, f"larger than {limit} bytes")
                yield line

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[BinaryIO]:
        resolved = self.resolve(path)
        try:
            # O_NONBLOCK: a FIFO in place of a file must not hang us. O_NOFOLLOW: the path is resolved already.
            descriptor = os.open(self._prefix + resolved, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    raise UnreadableFile(path, errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL)
                yield file
        except OSError as error:
            raise UnreadableFile(path, error.errno or errno.EIO) from None

    def text(self, path: str, limit: int = MAX_BYTES) -> str:
        """Return a file's text; bytes that are no UTF-8 become replacement characters. Raises UnreadableFile."""
        return self.read(path, limit).decode(errors="replace")

    def entries(self, path: str) -> tuple[Entry, ...]:
        """Return a directory's entries, sorted by name; raises UnreadableFile, also for more than MAX_ENTRIES."""
        local = self._prefix + self.resolve(path)
        found: list[Entry] = []
        try:
            with os.scandir(local) as scan:
                for entry in scan:
                    if len(found) >= MAX_ENTRIES:
                        raise UnreadableFile(path, errno.EFBIG, f"more than {MAX_ENTRIES} entries")
                    target = _target(entry.path) if entry.is_symlink() else ""
                    found.append(Entry(entry.name, entry.is_dir(follow_symlinks=False), target))
        except OSError as error:
            raise UnreadableFile(path, error.errno or errno.EIO) from None
        return tuple(sorted(found, key=lambda entry: os.fsencode(entry.name)))

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match, sorted; `*`, `?` and `[…]` stay within one part, as in Go's filepath.Glob.

        What cannot be listed matches nothing.
        """
        matches = ["/"]
        for part in (part for part in pattern.split("/") if part):
            if any(character in part for character in "*?["):
                matches = [f"{base.rstrip('/')}/{name}" for base in matches for name in self._names(base, part)]
            else:
                matches = [f"{base.rstrip('/')}/{part}" for base in matches]
            del matches[MAX_ENTRIES:]
        return tuple(match for match in matches if self.exists(match))

    def _names(self, base: str, pattern: str) -> list[str]:
        try:
            return [entry.name for entry in self.entries(base) if fnmatch.fnmatchcase(entry.name, pattern)]
        except UnreadableFile:
            return []

    def exists(self, path: str) -> bool:
        """Return whether something is seen at a path."""
        try:
            return bool(self.kind(path))
        except UnreadableFile:
            return False

    def _link(self, path: str, here: str) -> str | None:
        try:
            local = f"{self._prefix}/{here}"
            return _target(local) if stat.S_ISLNK(os.lstat(local).st_mode) else None
        except OSError as error:
            raise self._unreadable(path, f"/{here}", error) from None
        except ValueError:
            raise UnreadableFile(path, errno.ENOENT, "the path holds a NUL byte") from None

    def _lstat(self, path: str, resolved: str) -> os.stat_result:
        try:
            return os.lstat(self._prefix + resolved)
        except OSError as error:
            raise self._unreadable(path, resolved, error) from None

    def _unreadable(self, path: str, resolved: str, error: OSError) -> UnreadableFile:
        """Tell what the host does not have from what only this container was not given."""
        if error.errno == errno.ENOENT and self._mounted and not _below_any(resolved, self._mounted):
            return UnreadableFile(path, errno.EACCES, "not mounted here")
        return UnreadableFile(path, error.errno or errno.EIO)


def mounted_parts(prefix: str) -> tuple[str, ...]:
    """Return the paths of the host that are mounted below the folder `prefix`; none where it is a whole root by itself."""
    return _parts(prefix) if prefix else ()


@functools.cache
def _parts(prefix: str) -> tuple[str, ...]:
    # A container gets its mounts before its first process, so that one look is enough.
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return parts_below(os.path.realpath(prefix), text)


def parts_below(prefix: str, mountinfo: str) -> tuple[str, ...]:
    """Return the mount points below a folder, as paths under it; none where the folder is a mount point itself (proc(5))."""
    fields = (line.split(" ", 5) for line in mountinfo.splitlines())
    points = {_OCTAL.sub(lambda match: chr(int(match[1], 8)), each[4]) for each in fields if len(each) > 4}  # noqa: PLR2004 - proc(5): the mount point is the fifth
    if prefix in points:
        return ()
    found: list[str] = []
    for part in sorted(point.removeprefix(prefix) for point in points if point.startswith(f"{prefix}/")):
        if not _below_any(part, found):  # below a runtime's folder every container has some
            found.append(part)
    return tuple(found)


def _below_any(path: str, parts: Iterable[str]) -> bool:
    return any(f"{path}/".startswith(f"{part}/") for part in parts)


def _target(link: str) -> str:
    # Path() would intern the name of every file: the interpreter's table of such names grows for good (Python 3.11: pathlib).
    return os.readlink(link)  # noqa: PTH115
