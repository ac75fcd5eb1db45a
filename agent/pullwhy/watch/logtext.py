"""Stored logs in any form that people hand over: journal exports, journalctl's text and JSON, plain kubelet or runtime logs."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from pullwhy.watch.export import DamagedExport, moment, number, read_export
from pullwhy.watch.jsontext import decode_object
from pullwhy.watch.lines import LogLine
from pullwhy.watch.stamps import header_time, json_time, own_time
from pullwhy.watch.syslog import HEADER

MAX_LINE: Final = 1_048_576
"""Bytes of one line; the rest of a longer one is dropped."""

_GZIP: Final = b"\x1f\x8b"
_EXPORT: Final = re.compile(rb"[A-Z_][A-Z0-9_]{0,63}=[^\n]{0,4096}\n(?:[A-Z_][A-Z0-9_]{0,63}[=\n])")
_PEEK: Final = 8192


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
        return LogLine(own_time(text, now) or last, name, text, from_file=True)
    return LogLine(
        header_time(header, now) or last, header[6], text[header.end() :], pid=int(header[7] or 0), from_file=True
    )


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
    return LogLine(json_time(decoded) or last, name, text, from_file=True)
