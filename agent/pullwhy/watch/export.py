"""journald's export format: what `journalctl -o export` writes, entry by entry."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, Final

from pullwhy.watch.lines import LogLine

MAX_FIELD: Final = 1_048_576
"""Bytes kept of one field; journald's own messages end at 48 KiB, core dumps are in fields that are skipped."""
MAX_BINARY: Final = 1_073_741_824
"""Bytes that a binary field may claim before the file counts as damaged."""

_CHUNK: Final = 65_536
_WANTED: Final = frozenset(
    {b"MESSAGE", b"__REALTIME_TIMESTAMP", b"_SYSTEMD_UNIT", b"SYSLOG_IDENTIFIER", b"_STREAM_ID", b"_PID", b"__CURSOR"}
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DamagedExport(Exception):
    """The file is no journal export, or ends in the middle of a field."""


def read_export(file: BinaryIO) -> Iterator[LogLine]:
    """Yield a line for each entry that has a message (systemd 257: docs/JOURNAL_EXPORT_FORMATS).

    Raises DamagedExport where the format breaks, after the entries before it.
    """
    entry: dict[bytes, bytes] = {}
    while raw := file.readline(MAX_FIELD):
        if raw == b"\n":
            if b"MESSAGE" in entry:
                yield _line(entry)
            entry = {}
            continue
        name, separator, value = raw.rstrip(b"\n").partition(b"=")
        if not raw.endswith(b"\n"):
            _skip_line(file)
        if not separator:
            value = _read_binary(file, name)
        if name in _WANTED and name not in entry:
            entry[name] = value
    if b"MESSAGE" in entry:
        yield _line(entry)


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
        pass


def _read_binary(file: BinaryIO, name: bytes) -> bytes:
    header = file.read(8)
    size = struct.unpack("<Q", header)[0] if len(header) == 8 else -1  # noqa: PLR2004 - a 64-bit length
    if not 0 <= size <= MAX_BINARY:
        raise DamagedExport(f"the field {name[:40]!r} has no length: is this a journal export?")
    value = file.read(min(size, MAX_FIELD))
    left = size - len(value)
    while left > 0:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise DamagedExport(f"the file ends within the field {name[:40]!r}")
        left -= len(chunk)
    if file.read(1) != b"\n":
        raise DamagedExport(f"the field {name[:40]!r} is longer than it says")
    return value


def _line(entry: dict[bytes, bytes]) -> LogLine:
    unit = entry.get(b"_SYSTEMD_UNIT") or entry.get(b"SYSLOG_IDENTIFIER") or b""
    return LogLine(
        when=moment(entry.get(b"__REALTIME_TIMESTAMP", b"")),
        unit=unit.decode(errors="replace"),
        text=entry[b"MESSAGE"].decode(errors="replace"),
        stream=entry.get(b"_STREAM_ID", b"").decode(errors="replace"),
        pid=number(entry.get(b"_PID", b"")),
        cursor=entry.get(b"__CURSOR", b"").decode(errors="replace"),
    )


def moment(microseconds: bytes | str) -> datetime:
    """Return the time that journald's realtime stamp tells, the epoch where it is no sensible number."""
    count = number(microseconds)
    try:
        return datetime.fromtimestamp(count / 1_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return _EPOCH


def number(text: bytes | str) -> int:
    """Return the decimal number that `text` is, 0 where it is none."""
    short = text[:20]
    return int(short) if short.isdigit() and short.isascii() else 0
