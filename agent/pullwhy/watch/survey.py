"""What a stored log is: whether there is anything in it that may be read, and whether a kubelet or a runtime wrote it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.watch.lines import LogLine
from pullwhy.watch.units import KUBELET_UNITS, RUNTIME_UNITS

HEAD: Final = 256
"""Bytes in which a line shows what wrote it."""

_WRITERS: Final = frozenset(
    name
    for unit in (*KUBELET_UNITS, *RUNTIME_UNITS, "dockerd.service")
    for name in (unit, unit.removesuffix(".service"))
)
_OURS: Final = re.compile(
    rb"(?:[a-z][\w.-]{0,63} )?[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} "  # klog, or MicroShift's name before it
    rb'|time="[^"\n]{10,64}" level='  # logrus: containerd, CRI-O, Docker, k0s
)
_JSON_KEYS: Final = (b'"ts":', b'"level":')
_PATTERNS: Final = ("*.journal", "*.journal~", "*/*.journal", "*/*.journal~")
"""Where libsystemd looks: a directory and those of machines in it (sd_journal_open_directory(3)); `~`: closed uncleanly."""


def looks_like_ours(message: bytes) -> bool:
    """Return whether a kubelet or a container runtime writes lines like `message`: klog, logrus, or their JSON."""
    if message[:1] == b"{":
        return b'"msg":' in message and any(key in message for key in _JSON_KEYS)
    return _OURS.match(message, 0, HEAD) is not None


class Survey:
    """Looks at the lines of one log as they pass."""

    def __init__(self, name: str) -> None:
        self.lines = 0
        """Lines that passed, kept or not."""
        self.recognised = False
        """Whether one of them looks like a kubelet's or a runtime's."""
        self.first: LogLine | None = None
        self.last: LogLine | None = None
        self._name = name

    def over(self, lines: Iterable[LogLine], since: datetime | None = None) -> Iterator[LogLine]:
        """Yield `lines`, those before `since` left out."""
        for line in lines:
            self.lines += 1
            self.last = line
            if not self.recognised:
                self.first = self.first or line
                self.recognised = self._ours(line)
            if since is None or line.when >= since:
                yield line

    def _ours(self, line: LogLine) -> bool:
        told = line.unit != self._name and line.unit in _WRITERS
        return told or looks_like_ours(line.text[: 64 * HEAD].encode(errors="replace"))


@frozen
class JournalFiles:
    """How many journal files a place has, and how many of them must not be read by this user."""

    count: int
    denied: int


def journal_files(
    place: Path, readable: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK)
) -> JournalFiles:
    """Return what lies at `place`, a directory or a file, because libsystemd passes over in silence what it may not read.

    Raises PermissionError where a directory cannot be listed.
    """
    if not place.is_dir():
        return JournalFiles(1, int(place.exists() and not readable(place)))
    if not readable(place):
        raise PermissionError(f"{place} may not be listed")
    for directory in place.iterdir():
        if directory.is_dir() and not readable(directory):
            raise PermissionError(f"{directory} may not be listed")
    files = {path for pattern in _PATTERNS for path in place.glob(pattern)}
    return JournalFiles(len(files), sum(not readable(path) for path in files))
