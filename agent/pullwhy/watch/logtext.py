"""Stored logs in any form that people hand over: journal exports, journalctl's text and JSON, plain kubelet or runtime logs."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, cast

from pullwhy.watch.export import DamagedExport, moment, number, read_export
from pullwhy.watch.jsontext import decode_object
from pullwhy.watch.lines import LogLine
from pullwhy.watch.syslog import HEADER

MAX_LINE: Final = 1_048_576
"""Bytes of one line; the rest of a longer one is dropped."""

_GZIP: Final = b"\x1f\x8b"
_EXPORT: Final = re.compile(rb"[A-Z_][A-Z0-9_]{0,63}=[^\n]{0,4096}\n(?:[A-Z_][A-Z0-9_]{0,63}[=\n])")
_PEEK: Final = 8192
_LAST_STAMP: Final = 1e14  # milliseconds: far beyond any log
_MONTH_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_KLOG_TIME: Final = re.compile(r"(?:[a-z][\w.-]{0,63} )?[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d\.\d{6}) ")
_LOGFMT_TIME: Final = re.compile(r'time="(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)?')


class UnreadableLog(Exception):
    """The log cannot be read to its end; the text says why."""


def read_log(file: io.BufferedReader, name: str, now: datetime) -> Iterator[LogLine]:
    """Yield the lines of a stored log, compressed with gzip or not, whose form is recognised by its first bytes.

    `name` stands for the unit where lines do not tell theirs. klog and syslog headers have no year: such a line is of the
    year that puts it last before `now`, and of UTC. Raises UnreadableLog.
    """
    try:
        yield from _read(_unpacked(file), name, now)
    except (DamagedExport, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableLog(f"{name}: {error}") from error


def _unpacked(file: io.BufferedReader) -> io.BufferedReader:
    if file.peek(2)[:2] != _GZIP:
        return file
    return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file, mode="rb")), _PEEK)


def _read(file: io.BufferedReader, name: str, now: datetime) -> Iterator[LogLine]:
    if _EXPORT.match(file.peek(_PEEK)[:_PEEK]):
        yield from read_export(file)
        return
    last = now
    while raw := file.readline(MAX_LINE):
        if not raw.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        line = _text_line(raw.rstrip(b"\r\n").decode(errors="replace"), name, now, last)
        last = line.when
        yield line


def _text_line(text: str, name: str, now: datetime, last: datetime) -> LogLine:
    if text.startswith("{"):
        return _json_line(text, name, last)
    header = HEADER.match(text)
    if header is None:
        return LogLine(_own_time(text, now) or last, name, text, from_file=True)
    if header[1]:
        when = _in_year(_MONTHS.get(header[1], 0), int(header[2]), header[3], now)
    else:
        when = _iso(header[4], header[5])
    return LogLine(when or last, header[6], text[header.end() :], pid=int(header[7] or 0), from_file=True)


def _json_line(text: str, name: str, last: datetime) -> LogLine:
    decoded = decode_object(text)
    if decoded is None:
        return LogLine(last, name, text, from_file=True)
    message = decoded.get("MESSAGE")  # journalctl -o json
    if isinstance(message, list):  # bytes that are no text
        message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(errors="replace")  # noqa: PLR2004
    if isinstance(message, str):
        told = {key: value for key, value in decoded.items() if isinstance(value, str)}
        return LogLine(
            moment(told.get("__REALTIME_TIMESTAMP", "")),
            told.get("_SYSTEMD_UNIT") or told.get("SYSLOG_IDENTIFIER", name),
            message,
            told.get("_STREAM_ID", ""),
            number(told.get("_PID", "")),
        )
    stamp = decoded.get("ts")  # klog's JSON: milliseconds since the epoch
    when = moment(str(int(stamp * 1000))) if isinstance(stamp, int | float) and 0 < stamp < _LAST_STAMP else last
    return LogLine(when, name, text, from_file=True)


def _own_time(text: str, now: datetime) -> datetime | None:
    klog = _KLOG_TIME.match(text)
    if klog:
        return _in_year(int(klog[1]), int(klog[2]), klog[3], now)
    logfmt = _LOGFMT_TIME.match(text)
    return _iso(logfmt[1], logfmt[2]) if logfmt else None


def _in_year(month: int, day: int, time: str, now: datetime) -> datetime | None:
    for year in (now.year, now.year - 1):
        try:
            when = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{time}+00:00")
        except ValueError:
            continue
        if (when - now).days < 1:  # an hour ahead is another time zone, not last year
            return when
    return None


def _iso(stamp: str, zone: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{stamp}{zone or '+00:00'}").astimezone(UTC)
    except ValueError:
        return None
