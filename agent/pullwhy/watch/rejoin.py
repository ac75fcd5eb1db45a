"""Put together again what journald tears apart: klog's multi-line values arrive as one entry per line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from pullwhy.watch.lines import LogLine

MAX_LINES: Final = 256
"""Lines of one record; a registry's error list has a few."""
MAX_CHARACTERS: Final = 131_072
MAX_STREAMS: Final = 64
"""Streams with an open record; a node has one or two writers."""
MAX_AGE: Final = timedelta(seconds=5)
"""klog writes a record in one call, so its entries are microseconds apart."""

_OPEN: Final = "=<"
_CLOSE: Final = " >"


@dataclass(slots=True)
class _Block:
    first: LogLine
    lines: list[str] = field(default_factory=list)
    characters: int = 0


class Rejoiner:
    """Joins the entries of one multi-line record per stream.

    The value's lines begin with a tab and its end with ` >` (klog v2.140: internal/serialize), so that text within a value
    can neither end it nor begin a record. A block that breaks a bound, or is interrupted, is dropped: the kubelet says the
    same in one line afterwards ("Error syncing pod").
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, int], _Block] = {}

    def feed(self, line: LogLine) -> LogLine | None:
        """Take the next line of any stream; return a whole record, or None while (or where) there is none."""
        text = line.text
        key = (line.unit, line.stream, line.pid)
        if text.startswith(("\t", _CLOSE)):
            block = self._open.get(key)
            return None if block is None else self._continue(key, block, line)
        if self._open:
            self._open.pop(key, None)
        if not text.endswith(_OPEN):
            return line
        if len(self._open) >= MAX_STREAMS:
            self._open.pop(next(iter(self._open)))
        self._open[key] = _Block(line, [text], len(text))
        return None

    def _continue(self, key: tuple[str, str, int], block: _Block, line: LogLine) -> LogLine | None:
        block.lines.append(line.text)
        block.characters += len(line.text)
        late = line.when - block.first.when > MAX_AGE
        if late or len(block.lines) > MAX_LINES or block.characters > MAX_CHARACTERS:
            del self._open[key]
            return None
        if not line.text.startswith(_CLOSE) or line.text.endswith(_OPEN):
            return None
        del self._open[key]
        return replace(block.first, text="\n".join(block.lines), cursor=line.cursor)
