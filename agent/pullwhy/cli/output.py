"""Output of every command: tables for people, JSON and YAML for programs, and no hostile character to a terminal."""

from __future__ import annotations

import json
import math
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pullwhy.text import printable

Record = Mapping[str, Any]
"""A JSON document: a finding, a node."""

FORMATS: Final = ("table", "wide", "json", "yaml")
GAP: Final = "  "
NARROWEST: Final = 12
"""Columns of a terminal below which no cell is cut: what is left would tell nothing."""
CELL_LIMIT: Final = 2048
"""Characters of one cell; a longer text belongs into `-o json`."""
PODS_SHOWN: Final = 10
"""Pods named in one wide cell."""

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
_BOLD: Final = "1"


@dataclass(frozen=True, slots=True)
class Screen:
    """Where output goes and what it can show."""

    out: TextIO
    errors: TextIO
    width: int | None
    """Columns of the terminal; None where the output is no terminal, and then nothing is cut."""
    colour: bool
    now: datetime


def screen(out: TextIO | None = None, environ: Mapping[str, str] | None = None, now: datetime | None = None) -> Screen:
    """Return the screen for `out` (default: standard output); NO_COLOR (no-color.org) and TERM=dumb turn colour off."""
    stream, environ = out or sys.stdout, os.environ if environ is None else environ
    terminal = stream.isatty()
    colour = terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
    return Screen(stream, sys.stderr, _width(stream, environ) if terminal else None, colour, now or datetime.now(UTC))


def _width(stream: TextIO, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:6]) > 0:
        return int(columns[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    cell: Callable[[Record, Screen], str]
    wide: bool = False
    """Shown by `-o wide` only."""
    shrink: bool = False
    """May be cut in the middle where the terminal is too narrow (never by `-o wide`)."""
    keep: int = NARROWEST
    """Columns of the terminal that are left to it before others are dropped for its sake."""
    drop: int = 0
    """The order in which columns are left out where the terminal is too narrow; 0: never."""
    style: Callable[[Record], str] | None = None
    """The ANSI style of the cell, empty for none."""
    usual: str = ""
    """The column is left out where each of its cells is this or empty: it would tell nothing."""


def print_records(records: Sequence[Record], output: str, columns: Sequence[Column], to: Screen, empty: str) -> None:
    """Print `records` in one of FORMATS; where a table would have no row, say `empty` on the error stream."""
    if output == "json":
        write(to.out, to_json(records) + "\n")
    elif output == "yaml":
        write(to.out, to_yaml(records))
    elif records:
        chosen = [column for column in columns if output == "wide" or not column.wide]
        write(to.out, table(records, chosen, to, cut=output != "wide"))
    else:
        write(to.errors, printable(empty, CELL_LIMIT) + "\n")


def to_json(value: Any) -> str:
    """Return indented JSON in ASCII: a terminal shows no control character, a program reads every value unchanged."""
    # DEL is the one control character that JSON leaves as it is; it can only stand inside a string.
    return json.dumps(value, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def to_yaml(value: Any) -> str:
    """Return YAML in ASCII, keys in their own order."""
    import yaml  # noqa: PLC0415 - every command passes here, few print YAML

    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, allow_unicode=False, width=1_000)


def table(records: Sequence[Record], columns: Sequence[Column], to: Screen, *, cut: bool) -> str:
    """Return an aligned table with its header line."""
    rows = [[printable(column.cell(record, to), CELL_LIMIT) for column in columns] for record in records]
    used = [i for i, column in enumerate(columns) if any(row[i] not in ("", column.usual) for row in rows)]
    whole = {i: max(cells(columns[i].title), *(cells(row[i]) for row in rows)) for i in used}
    fitted = _fit(whole, columns, to.width) if cut and to.width is not None else whole
    used, widths = list(fitted), list(fitted.values())
    header = _line([columns[i].title for i in used], widths, [_BOLD if to.colour else ""] * len(used))
    lines = [header]
    for record, row in zip(records, rows, strict=True):
        styles = [_style(columns[i], record, to) for i in used]
        lines.append(_line([row[i] or "-" for i in used], widths, styles))
    return "".join(lines)


def _style(column: Column, record: Record, to: Screen) -> str:
    return column.style(record) if to.colour and column.style else ""


def _line(row: Sequence[str], widths: Sequence[int], styles: Sequence[str]) -> str:
    shown = []
    for i, (text, width, style) in enumerate(zip(row, widths, styles, strict=True)):
        short = shorten(text, width)
        padding = " " * (width - cells(short)) if i < len(row) - 1 else ""
        shown.append((f"\x1b[{style}m{short}\x1b[0m" if style else short) + padding)
    return GAP.join(shown) + "\n"


def _fit(whole: Mapping[int, int], columns: Sequence[Column], screen_width: int) -> dict[int, int]:
    """Return the widths with which the line fits, by column: some cut to what they keep, some left out, then the rest cut."""
    left = dict(whole)
    for i in sorted((i for i in whole if columns[i].drop), key=lambda i: columns[i].drop):
        if (
            _excess(_cut(left, {i: columns[i].keep for i in left if columns[i].shrink}, screen_width), screen_width)
            <= 0
        ):
            break
        del left[i]
    left = _cut(left, {i: columns[i].keep for i in left if columns[i].shrink}, screen_width)
    return _cut(left, {i: NARROWEST for i in left if columns[i].shrink}, screen_width)


def _cut(widths: Mapping[int, int], least: Mapping[int, int], screen_width: int) -> dict[int, int]:
    """Return `widths` with the widest columns cut until the line fits, none below its `least`."""
    left = dict(widths)
    for _ in range(_excess(left, screen_width)):
        candidates = [i for i, width in least.items() if left[i] > width]
        if not candidates:
            break
        left[max(candidates, key=lambda i: left[i])] -= 1
    return left


def _excess(widths: Mapping[int, int], screen_width: int) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1) - screen_width


def cells(text: str) -> int:
    """Return how many terminal columns `text` takes (Unicode TR 11: wide characters take two, combining ones none)."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Return `text` in at most `width` columns, its middle replaced by an ellipsis: a name tells by its ends."""
    if cells(text) <= width:
        return text
    head = _take(text, (width - 1) // 3)
    tail = _take(text[::-1], width - 1 - cells(head))[::-1]
    return f"{head}…{tail}"


def _take(text: str, width: int) -> str:
    taken = 0
    for i, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width:
            return text[:i]
    return text


def write(stream: TextIO, text: str) -> None:
    """Write `text`; what the stream's encoding lacks is escaped."""
    # A terminal in the C locale must show a finding too, however it spells an ellipsis.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def parse_time(text: Any) -> datetime | None:
    """Return the RFC 3339 time of a document's field, None where it holds none."""
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def age(when: datetime | None, now: datetime) -> str:
    """Return how long ago `when` was, in kubectl's units: `42s ago`, `7m ago`, `12d ago`; a time to come as `in 42s`."""
    if when is None:
        return ""
    seconds = (now - when).total_seconds()
    # A time to come is rounded: what was just said to last for 4 h ends in 4 h, not in 3.
    return f"in {_span(-seconds, round)}" if seconds <= -1 else f"{_span(max(seconds, 0.0))} ago"


def _span(seconds: float, whole: Callable[[float], int] = math.floor) -> str:
    for size, unit, limit in ((1, "s", 120), (60, "m", 7_200), (3_600, "h", 172_800)):
        if seconds < limit:
            return f"{whole(seconds / size)}{unit}"
    return f"{whole(seconds / 86_400)}d"


def text_of(*keys: str) -> Callable[[Record, Screen], str]:
    """Return a cell that shows the value below `keys`, empty where a document lacks it."""

    def cell(record: Record, to: Screen) -> str:
        del to
        value: Any = record
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return "" if value is None else str(value)

    return cell


def age_of(key: str) -> Callable[[Record, Screen], str]:
    """Return a cell that shows how long ago the time below `key` was."""
    return lambda record, to: age(parse_time(record.get(key)), to.now)


def _pods(record: Record) -> list[str]:
    return list(dict.fromkeys(f"{pod.get('namespace', '')}/{pod.get('name', '')}" for pod in record.get("pods") or ()))


def _pod_count(record: Record, to: Screen) -> str:
    del to
    return str(len(_pods(record)))


def _pod_names(record: Record, to: Screen) -> str:
    del to
    names = _pods(record)
    rest = f" +{len(names) - PODS_SHOWN}" if len(names) > PODS_SHOWN else ""
    return ",".join(names[:PODS_SHOWN]) + rest


def _next_try(record: Record, to: Screen) -> str:
    if record.get("state") != "Active":
        return ""
    when = parse_time((record.get("kubelet") or {}).get("next_retry_at"))
    return "due" if when and when < to.now else age(when, to.now)


def cause_of(record: Record, to: Screen) -> str:
    """Show a cause, and where on the way it struck."""
    del to
    via = f" via {record['via']}" if record.get("via") else ""
    return f"{record.get('cause') or ''}{via}"


def _cause_style(record: Record) -> str:
    if record.get("state") != "Active":
        return GREEN
    return RED if record.get("confidence") == "Proved" else YELLOW


_STATE: Final = Column("STATE", text_of("state"))
FINDING_COLUMNS: Final = (
    Column("CLUSTER", text_of("cluster"), wide=True),
    Column("NODE", text_of("node"), shrink=True, keep=8),
    Column("IMAGE", text_of("image"), shrink=True, keep=60),
    Column("CAUSE", cause_of, style=_cause_style),
    Column("STAGE", text_of("stage"), drop=3),
    Column("CONFIDENCE", text_of("confidence"), drop=2),
    Column("PODS", _pod_count),
    Column("RETRY", text_of("retryable", "answer"), drop=1),
    replace(_STATE, wide=True),
    Column("LAST SEEN", age_of("last_seen")),
    Column("SCOPE", text_of("scope", "verdict"), wide=True, usual="Unknown"),
    Column("NEXT TRY", _next_try, wide=True),
    Column("FIRST SEEN", age_of("first_seen"), wide=True),
    Column("COUNT", text_of("count"), wide=True),
    Column("ID", text_of("id"), wide=True),
    Column("POD NAMES", _pod_names, wide=True),
    Column("SUMMARY", text_of("summary"), wide=True),
)


def print_findings(
    documents: Sequence[Record],
    output: str,
    to: Screen | None = None,
    empty: str = "No findings.",
    *,
    states: bool = False,
) -> None:
    """Print findings (their JSON documents) in one of FORMATS; JSON and YAML are an array, whatever the number.

    `states` shows in every table which state they are in; without it only a wide one does.
    """
    columns = [_STATE if states and column.title == _STATE.title else column for column in FINDING_COLUMNS]
    print_records(documents, output, columns, to or screen(), empty)
