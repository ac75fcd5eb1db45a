"""One line of a log, whatever it was read from."""

from __future__ import annotations

from datetime import datetime

from pullwhy.frozen import frozen


@frozen
class LogLine:
    """A line with where and when it was written; a multi-line record is one line whose text holds line breaks."""

    when: datetime
    """UTC, from the journal's realtime stamp or the line's own header."""
    unit: str
    """The systemd unit, or the file's name."""
    text: str
    stream: str = ""
    """What keeps interleaved writers apart: journald's `_STREAM_ID`; empty where the source has one writer."""
    pid: int = 0
    cursor: str = ""
    """Opaque to everybody but the source."""
    from_file: bool = False
    """Whether it stood in a log file, and not in a journal."""
