"""The systemd journal: entries of some units as lines, read as cheaply as libsystemd allows; the only importer of systemd.

systemd-python's own iteration converts every field of every entry, ten times the cost of the one field that is needed; so the
low-level reader is used: `_next()` and `_get('MESSAGE')`.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from systemd import _reader

from pullwhy.frozen import frozen
from pullwhy.watch.cursor import JournalPosition
from pullwhy.watch.gate import gate
from pullwhy.watch.lines import LogLine
from pullwhy.watch.survey import looks_like_ours
from pullwhy.watch.units import KUBELET_UNITS, RUNTIME_UNITS

TREES: Final = ("var/log/journal", "run/log/journal")
"""Both are read at once: journald may write to /run although /var/log/journal exists."""
MAX_FIELD: Final = 64 * 1024
"""Bytes of one field; journald itself splits stream lines at 48 KiB (systemd 257: LineMax=)."""
SLICE: Final = 2000
"""Entries read at most before the caller gets a turn: some milliseconds."""
STORED_SLICE: Final = 10 * SLICE
"""The same for a stored journal, where nothing else waits for a turn."""
MAX_LINES: Final = 200
"""Lines handed over at once: each may have 48 KiB."""

_DROPPED: Final = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e"
"""journald's own "Suppressed N messages from UNIT" (sd-messages.h: SD_MESSAGE_JOURNAL_DROPPED)."""
_SUPPRESSED: Final = re.compile(rb"Suppressed (\d{1,12}) messages from (\S{1,256})")
_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")

Accept = Callable[[bytes], bool]
"""Whether the recogniser wants to see a message; called with raw bytes for every entry, so it must be cheap."""


_NO_JOURNAL: Final = frozenset({errno.EBADMSG, errno.EPROTONOSUPPORT, errno.ENODATA})
"""What libsystemd says of a file whose head is no journal's, or one of a newer form (sd_journal_open(3), journal-file.c)."""


class JournalUnreadable(Exception):
    """The journal cannot be opened or followed; the text names the place and the mend."""


class Start(enum.Enum):
    """Where reading begins."""

    RESUMED = "resumed"
    LOOKED_BACK = "looked back"
    GAP = "gap"
    """The entry that was read last, and some after it, are no longer in the journal."""


@frozen
class Place:
    """Where the journal is: a host's root with both trees under it, or a directory or file of stored journals."""

    path: Path = Path("/")
    stored: bool = False


@frozen
class Slice:
    """Some entries, reduced to the lines that were wanted."""

    lines: tuple[LogLine, ...]
    entries: int
    suppressed: int
    """Messages of our units that journald says it dropped (RateLimitBurst=)."""
    end: bool
    """Whether the newest entry was reached."""


class JournalReader:
    """Follows the entries of some units. Not to be shared between threads, nor used after a fork (sd-journal(3))."""

    def __init__(self, place: Place, units: tuple[str, ...], accept: Accept) -> None:
        self._place = place
        self._units = units
        self._accept = accept
        self._reader: Any = None
        self._position: JournalPosition | None = None
        self._since = datetime.fromtimestamp(0, UTC)
        self._trees: frozenset[str] = frozenset()
        self.descriptor = -1

    @property
    def position(self) -> JournalPosition | None:
        """The last entry that `read` passed, wanted or not; None before the first."""
        return self._position

    def open(self, resume: JournalPosition | None, since: datetime) -> Start:
        """Open the journal after `resume`, or at `since` where there is none, and say which it was.

        Raises JournalUnreadable.
        """
        self._reopen()
        self._since = since
        if resume is None:
            self._reader.seek_realtime(_microseconds(since))
            return Start.LOOKED_BACK
        self._position = resume
        if self._seek_behind(resume):
            return Start.RESUMED
        lost = _oldest(self._place, self._units) > resume.realtime
        self._reader.seek_realtime(resume.realtime + 1)
        return Start.GAP if lost else Start.RESUMED

    def release(self) -> None:
        """Let go of the journal files that libsystemd has mapped, and go on at the same place.

        Raises JournalUnreadable.
        """
        self._reopen()
        if self._position is None:
            self._reader.seek_realtime(_microseconds(self._since))
        elif not self._seek_behind(self._position):
            self._reader.seek_realtime(self._position.realtime + 1)

    def read(self, limit: int = SLICE) -> Slice:
        """Read up to `limit` entries on from the last one. Raises JournalUnreadable."""
        try:
            return self._read(limit)
        except OSError as error:
            raise JournalUnreadable(f"reading the journal under {self._place.path} failed: {error}") from None

    def process(self) -> None:
        """Take note of new, rotated and deleted files: deleted ones stay open otherwise. Raises JournalUnreadable."""
        try:
            self._reader.process()
        except OSError as error:
            raise JournalUnreadable(f"following the journal under {self._place.path} failed: {error}") from None

    def patience(self) -> float | None:
        """Seconds after which `process` is due even if the descriptor stays silent; None: no need."""
        milliseconds: int = self._reader.get_timeout_ms()
        return None if milliseconds < 0 else milliseconds / 1000

    def close(self) -> None:
        """Close the journal."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
            self.descriptor = -1

    def moved(self) -> bool:
        """Whether a journal directory came or went since the journal was opened, such as on the flush from /run to /var."""
        return _trees(self._place) != self._trees

    def _reopen(self) -> None:
        self.close()
        self._trees = _trees(self._place)
        self._reader = _open(self._place)
        try:
            # Before any entry is read: what is written from here on wakes us, so that no wake-up is lost.
            self.descriptor = self._reader.fileno()
        except OSError as error:
            self.close()
            raise JournalUnreadable(
                f"cannot watch the journal under {self._place.path}: {error.strerror}; raise fs.inotify.max_user_instances"
            ) from None
        # Nobody is told how much a stored journal lacks, and an alternative has its price at every entry.
        _match(self._reader, self._units, _foreign_machine(self._place), dropped=not self._place.stored)

    def _seek_behind(self, position: JournalPosition) -> bool:
        """Make the next entry the one after `position`; False where that one is no longer there."""
        try:
            self._reader.seek_cursor(position.cursor)
            return bool(self._reader._next() and self._reader.test_cursor(position.cursor))  # noqa: SLF001 - its lean API
        except (OSError, ValueError):
            return False

    def _read(self, limit: int) -> Slice:
        advance, get, accept = self._reader._next, self._reader._get, self._accept  # noqa: SLF001 - its lean API
        lines: list[LogLine] = []
        told_of_drops = not self._place.stored
        count, suppressed, end = limit, 0, False
        for number in range(limit):
            if not advance():
                count, end = number, True
                break
            try:
                message = get("MESSAGE")
            except KeyError:
                continue
            if accept(message):
                lines.append(_line(self._reader, message))
                if len(lines) >= MAX_LINES:
                    count = number + 1
                    break
            elif told_of_drops and message[:1] == b"S":  # of "Suppressed", at a fraction of the cost
                suppressed += self._dropped(message)
        if count:
            self._position = JournalPosition(self._reader._get_cursor(), self._reader._get_realtime())  # noqa: SLF001
        return Slice(tuple(lines), count, suppressed, end)

    def _dropped(self, message: bytes) -> int:
        found = _SUPPRESSED.match(message)
        # Older journald names the control group, /system.slice/kubelet.service.
        if found is None or found[2].rsplit(b"/", 1)[-1].decode(errors="replace") not in self._units:
            return 0
        return int(found[1])


def newest(place: Place, units: tuple[str, ...]) -> datetime | None:
    """Return when the newest entry of `units` was written, None where there is none that can be read.

    Unreadable files are skipped in silence by libsystemd, so None means "none, or not allowed". Raises JournalUnreadable.
    """
    reader = _open(place)
    with contextlib.closing(reader):
        _match(reader, units, _foreign_machine(place), dropped=False)
        reader.seek_tail()
        if not reader._previous():  # noqa: SLF001 - its lean API
            return None
        return _moment(reader._get_realtime())  # noqa: SLF001


def read_stored(path: Path, since: datetime | None = None) -> Iterator[LogLine]:
    """Yield what may be about a pull from a stored journal, a directory or a file, oldest first.

    Only the units that run a kubelet or a runtime are read, unless the journal knows none of them: then what looks like
    one's line is handed over too, for the reader to see that it was there. Raises JournalUnreadable.
    """
    units = stored_units(path)
    accept = gate if units else lambda message: gate(message) or looks_like_ours(message)
    follower = JournalReader(Place(path, stored=True), units, accept)
    follower.open(None, since or datetime.fromtimestamp(0, UTC))
    try:
        while True:
            part = follower.read(STORED_SLICE)
            yield from part.lines
            if part.end:
                return
    finally:
        follower.close()


def stored_units(path: Path) -> tuple[str, ...]:
    """Return the units of kubelets and runtimes that a stored journal has entries of. Raises JournalUnreadable."""
    with contextlib.closing(_open(Place(path, stored=True))) as reader:
        stored = {name.decode(errors="replace") for name in reader.query_unique("_SYSTEMD_UNIT")}
    return tuple(unit for unit in (*KUBELET_UNITS, *RUNTIME_UNITS) if unit in stored)


def _open(place: Place) -> Any:
    if not place.path.exists():  # libsystemd would wait for a host's root in silence
        raise JournalUnreadable(f"cannot open the journal at {place.path}: no such file or directory")
    try:
        if not place.stored:
            reader = _reader._Reader(flags=_reader.OS_ROOT, path=str(place.path))  # noqa: SLF001 - its lean API
        elif place.path.is_dir():
            reader = _reader._Reader(flags=0, path=str(place.path))  # noqa: SLF001 - 0: LOCAL_ONLY and a path exclude each other
        else:
            reader = _reader._Reader(flags=0, files=[str(place.path)])  # noqa: SLF001
    except (OSError, ValueError) as error:
        why = "not a journal, or of a newer systemd than this libsystemd reads"
        if isinstance(error, OSError) and error.errno not in _NO_JOURNAL:
            why = error.strerror or why
        raise JournalUnreadable(f"cannot open the journal at {place.path}: {why}") from None
    reader.data_threshold = MAX_FIELD
    return reader


def _match(reader: Any, units: tuple[str, ...], machine: str, *, dropped: bool = True) -> None:
    """Let the index of each file skip what is not ours: values of one field are alternatives, fields add up."""
    if not units:
        return
    for unit in units:
        reader.add_match(f"_SYSTEMD_UNIT={unit}")
    if machine:
        reader.add_match(f"_MACHINE_ID={machine}")
    if dropped:
        reader.add_disjunction()
        reader.add_match(_DROPPED)


def _foreign_machine(place: Place) -> str:
    """Return the host's machine id where its trees also hold other machines' journals (a golden image's), else nothing.

    A match on every entry has its price, so it is only paid then.
    """
    if place.stored:
        return ""
    try:
        own = (place.path / "etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
    others = {name.rsplit("/", 1)[-1].split(".")[0] for name in _trees(place)} - {own}
    return own if _MACHINE_ID.fullmatch(own) and any(_MACHINE_ID.fullmatch(name) for name in others) else ""


def _trees(place: Place) -> frozenset[str]:
    """Return the journal directories of a host, one for each machine and log namespace."""
    names: set[str] = set()
    for tree in () if place.stored else TREES:
        with contextlib.suppress(OSError), os.scandir(f"{place.path}/{tree}") as entries:
            names.update(f"{tree}/{entry.name}" for entry in entries)
    return frozenset(names)


def _oldest(place: Place, units: tuple[str, ...]) -> int:
    with contextlib.closing(_open(place)) as reader:
        _match(reader, units, _foreign_machine(place), dropped=False)
        reader.seek_head()
        return int(reader._get_realtime()) if reader._next() else 0  # noqa: SLF001 - its lean API


def _line(reader: Any, message: bytes) -> LogLine:
    pid = _field(reader, "_PID")
    return LogLine(
        when=_moment(reader._get_realtime()),  # noqa: SLF001 - its lean API
        unit=_field(reader, "_SYSTEMD_UNIT"),
        text=message.decode(errors="replace"),
        stream=_field(reader, "_STREAM_ID"),
        pid=int(pid) if pid.isdigit() else 0,
    )


def _field(reader: Any, name: str) -> str:
    try:
        value: bytes = reader._get(name)  # noqa: SLF001 - its lean API
    except KeyError:
        return ""
    return value.decode("ascii", errors="replace")


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _microseconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp() * 1_000_000))
