"""What every source of lines hands over: lines together with the place up to which they were read."""

from __future__ import annotations

from typing import Generic, TypeVar

from pullwhy.frozen import frozen
from pullwhy.watch.lines import LogLine

P = TypeVar("P")
"""The source's own kind of position."""


@frozen
class Batch(Generic[P]):
    """Some lines; once they are processed, `position` may be kept and reading resumed behind it."""

    lines: tuple[LogLine, ...]
    position: P | None
    caught_up: bool
    """Whether nothing newer was there to read."""
    suppressed: int = 0
    """Lines that the logging system says it dropped."""
    gap: str = ""
    """One sentence where lines may have been lost since the last batch."""
