"""The times that lines of log files tell, in every form that kubelets, runtimes and syslog daemons write."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.watch.jsontext import decode_object
from pullwhy.watch.syslog import HEADER

_LAST_STAMP: Final = 1e14  # milliseconds: far beyond any log
_MONTH_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_KLOG_TIME: Final = re.compile(r"(?:[a-z][\w.-]{0,63} )?[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d\.\d{6}) ")
_LOGFMT_TIME: Final = re.compile(r'time="(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)?')


@frozen
class Stamp:
    """The time that a line itself tells."""

    when: datetime
    zoned: bool
    """Whether the line tells the zone too; else it was taken for UTC."""


def stamp(text: str, now: datetime) -> Stamp | None:
    """Return the time that a line of a log file tells, None where it tells none; without a year it is the last before `now`."""
    if text.startswith("{"):
        when = _of_json(text)
        return Stamp(when, True) if when else None
    header = HEADER.match(text)
    if header is not None:
        when, zoned = header_time(header, now), bool(header[5])
    else:
        logfmt = _LOGFMT_TIME.match(text)
        when, zoned = own_time(text, now), bool(logfmt and logfmt[2])
    return Stamp(when, zoned) if when else None


def header_time(header: re.Match[str], now: datetime) -> datetime | None:
    """Return the time of a match of `syslog.HEADER`."""
    if header[1]:
        return _in_year(_MONTHS.get(header[1], 0), int(header[2]), header[3], now)
    return _iso(header[4], header[5])


def _of_json(text: str) -> datetime | None:
    decoded = decode_object(text)
    return None if decoded is None else json_time(decoded)


def json_time(record: dict[str, Any]) -> datetime | None:
    """Return the time of klog's JSON: milliseconds since the epoch."""
    value = record.get("ts")
    if not isinstance(value, int | float) or not 0 < value < _LAST_STAMP:
        return None
    return datetime.fromtimestamp(int(value * 1000) / 1_000_000, UTC)


def own_time(text: str, now: datetime) -> datetime | None:
    """Return the time of a klog or logfmt line."""
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
