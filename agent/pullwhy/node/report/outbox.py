"""The outbox: findings that the collector has not acknowledged yet, one file each, and in memory alone where there is no disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pullwhy.diagnose.document.codec import MAX_DOCUMENT
from pullwhy.frozen import frozen

logger = logging.getLogger(__name__)

FOLDER: Final = "outbox"
"""Below the agent's state directory."""
FORMAT: Final = 1
"""Of a file: a JSON line (format, sequence, observed_us, size and CRC-32 of the document), then the document."""
RETRY_SECONDS: Final = 60.0
"""How long a disk that failed is left alone."""

_SAVED: Final = ".report"
_BEGUN: Final = ".new"
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
_HEADER_LIMIT: Final = 512
_LARGEST_SEQUENCE: Final = 2**62


class InUse(Exception):
    """Another agent works in the state directory; names both, and the mend."""

    def __init__(self, state: Path, pid: str) -> None:
        who = f"another agent (pid {pid})" if pid.isdecimal() else "another agent"
        super().__init__(f"{state}: {who} uses this state directory: stop it, or set state_directory to another place")


@frozen
class Limits:
    """Bounds of what waits; beyond them the oldest report is dropped and counted."""

    reports: int = 4096
    bytes: int = 8 * 1024 * 1024
    document: int = MAX_DOCUMENT
    """The collector takes no larger document, so one would wait for ever."""


USUAL: Final = Limits()


@frozen
class Pending:
    """One report that waits for its acknowledgement."""

    sequence: int
    finding_id: str
    observed_at: datetime
    document: bytes


class Outbox:
    """Reports in sequence, one per finding: a newer state takes the place of an older one that was not acknowledged.

    What `append` returned from survives kill -9 and a power cut: a file is written aside, synced, then renamed, so it is whole or
    absent; and an acknowledged one is unlinked, which a full disk allows too. A disk that fails is never an exception: the outbox goes
    on in memory, says so once in the log and in `impairments`, and writes what waits when the disk works again.
    """

    def __init__(
        self, state: Path | None, limits: Limits = USUAL, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the outbox in the state directory (made if absent); None keeps it in memory on purpose.

        Raises InUse where another agent has it open: two that keep one state would repeat and lose each other's findings.
        """
        self.id: Final = os.urandom(16).hex()
        """Made anew at each start, see report.proto: Hello."""
        self.dropped = 0
        """Reports lost because there was no room, since this start."""
        self.impairments: tuple[str, ...] = ()
        self.listener: Callable[[], None] = lambda: None
        """Called after each append."""
        self._folder = state / FOLDER if state else None
        self._limits, self._monotonic = limits, monotonic
        self._waiting: dict[str, Pending] = {}  # by finding, in the order of sequence
        self._unsaved: set[str] = set()
        self._lock: int | None = None
        self._last = self._bytes = 0
        self._retry_at = monotonic()
        self._begin()

    def __len__(self) -> int:
        """Return how many reports wait."""
        return len(self._waiting)

    def append(self, finding_id: str, document: bytes, observed_at: datetime) -> int:
        """Keep one state of a finding; return its sequence number, 0 where its document is larger than any that is taken."""
        if not _ID.match(finding_id):
            raise ValueError(f"a finding's id is at most 64 letters, digits, _ and -, not {finding_id[:80]!r}")
        if len(document) > self._limits.document:
            self.dropped += 1
            logger.error(
                "outbox: the document of finding %s has %d bytes, too many; dropped", finding_id, len(document)
            )
            return 0
        report = self._keep(finding_id, document, observed_at)
        self._unsaved.add(finding_id)
        if self._lock is None:
            self.retry_disk()
        else:
            self._save_all()
        self.listener()
        return report.sequence

    def pending(self, after: int = 0, limit: int = 100, max_bytes: int = 512 * 1024) -> list[Pending]:
        """Return the oldest reports with a sequence number above `after`; at least one where one waits."""
        found: list[Pending] = []
        total = 0
        for report in self._waiting.values():
            if report.sequence <= after:
                continue
            total += len(report.document)
            if len(found) >= limit or (found and total > max_bytes):
                break
            found.append(report)
        return found

    def acknowledge(self, sequence: int) -> None:
        """Forget every report up to `sequence`."""
        while self._waiting and (report := next(iter(self._waiting.values()))).sequence <= sequence:
            self._forget(report)

    def retry_disk(self) -> None:
        """Write what waits in memory, where the disk failed a while ago; does nothing where all is well."""
        if self._folder is None or (self._lock is not None and not self._unsaved) or self._monotonic() < self._retry_at:
            return
        try:
            self._begin()
        except InUse as error:  # it came while the disk failed for us
            self._impair(str(error))

    def close(self) -> None:
        """Let another agent have the folder; what waits stays in it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self) -> None:
        """Take the folder where it is not ours yet, and write what waits. Raises InUse."""
        if self._folder is None:
            return
        try:
            if self._lock is None:
                self._lock = _lock(self._folder)
                self._load(self._folder)
        except OSError as error:
            self.close()
            self._impair(_unwritable(self._folder, error))
        else:
            self._save_all()

    def _keep(self, finding_id: str, document: bytes, observed_at: datetime) -> Pending:
        older = self._waiting.pop(finding_id, None)
        self._last += 1
        report = self._waiting[finding_id] = Pending(self._last, finding_id, observed_at, document)
        self._bytes += len(document) - (len(older.document) if older else 0)
        while len(self._waiting) > self._limits.reports or self._bytes > max(self._limits.bytes, len(document)):
            self._forget(next(iter(self._waiting.values())))
            self.dropped += 1
        return report

    def _forget(self, report: Pending) -> None:
        del self._waiting[report.finding_id]
        self._bytes -= len(report.document)
        self._unsaved.discard(report.finding_id)
        if self._folder is not None and self._lock is not None:
            with contextlib.suppress(OSError):
                (self._folder / (report.finding_id + _SAVED)).unlink(missing_ok=True)

    def _save_all(self) -> None:
        if self._folder is None or self._monotonic() < self._retry_at:
            return
        try:
            for finding_id in sorted(self._unsaved, key=lambda each: self._waiting[each].sequence):
                _save(self._folder, self._waiting[finding_id])
                self._unsaved.discard(finding_id)
        except OSError as error:
            self._impair(_unwritable(self._folder, error))
            return
        if self.impairments:
            logger.info("outbox: %s can be written again", self._folder)
            self.impairments = ()

    def _impair(self, why: str) -> None:
        self._retry_at = self._monotonic() + RETRY_SECONDS
        text = f"outbox: {why}; until then findings wait in memory, and a restart loses those that wait"
        if (text,) != self.impairments:
            logger.error("%s", text)
        self.impairments = (text,)

    def _load(self, folder: Path) -> None:
        """Take over what an earlier start left."""
        found: list[tuple[int, Pending]] = []
        for path in folder.iterdir():
            if path.suffix == _BEGUN:
                path.unlink()
            elif path.suffix == _SAVED and _ID.match(path.stem) and path.stem not in self._waiting:
                try:
                    found.append(_read(path, self._limits))
                except ValueError as error:
                    logger.error("outbox: %s: %s; removed, its finding is reported again when it recurs", path, error)  # noqa: TRY400 - what is in the file is at fault, not this code
                    path.unlink()
        for sequence, report in sorted(found, key=lambda each: each[0]):
            self._last = max(self._last, sequence - 1)
            self._keep(report.finding_id, report.document, report.observed_at)


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder}: {error.strerror or error}: give the agent a state directory that it can write, with free space"


def _lock(folder: Path) -> int:
    """Return the folder's lock, held until it is closed. Raises InUse and OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(handle, 20, 0).decode(errors="replace")
        os.close(handle)
        raise InUse(folder.parent, pid) from None
    except OSError:
        os.close(handle)
        raise
    with contextlib.suppress(OSError):  # the pid only serves the message to a second agent
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _save(folder: Path, report: Pending) -> None:
    header = {
        "format": FORMAT,
        "sequence": report.sequence,
        "observed_us": int(report.observed_at.timestamp() * 1_000_000),
        "size": len(report.document),
        "crc32": zlib.crc32(report.document),
    }
    begun = folder / (report.finding_id + _BEGUN)
    try:
        with begun.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + report.document)
            file.flush()
            os.fsync(file.fileno())
        begun.replace(folder / (report.finding_id + _SAVED))
        _sync_folder(folder)
    except OSError:
        with contextlib.suppress(OSError):
            begun.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    # The rename itself must survive a power cut: the journal's cursor moves on when `append` returns.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path, limits: Limits) -> tuple[int, Pending]:
    """Return a file's report with the sequence number that it had; raises ValueError where it is damaged."""
    with path.open("rb") as file:
        header = file.readline(_HEADER_LIMIT)
        document = file.read(limits.document + 1)
    try:
        fields = json.loads(header)
        known = fields["format"] == FORMAT
        whole = (fields["size"], fields["crc32"]) == (len(document), zlib.crc32(document))
        sequence, observed_us = int(fields["sequence"]), int(fields["observed_us"])
        observed_at = datetime.fromtimestamp(observed_us / 1_000_000, UTC)
        if not 0 < sequence < _LARGEST_SEQUENCE:
            raise ValueError("sequence")  # noqa: TRY301 - damaged like the rest
    except (KeyError, TypeError, OverflowError, ValueError) as error:
        raise ValueError("its header is damaged") from error
    if not known:
        raise ValueError(f"it has a format that this agent does not know (it writes {FORMAT})")
    if not whole:
        raise ValueError("its document is damaged")
    return sequence, Pending(0, path.stem, observed_at, document)
