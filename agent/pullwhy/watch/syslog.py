"""The header that syslog daemons and journalctl put before a message."""

from __future__ import annotations

import re
from typing import Final

MAX_HEADER: Final = 512
"""Characters in which a header ends."""

HEADER: Final = re.compile(
    r"(?:([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.\d{1,9})?|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?)"
    r" (?:\S{1,255} )?([\w.@/:-]{1,128})(?:\[(\d{1,10})\])?: ?"
)
"""Month, day, time; or date and time, zone; then, behind the host, identifier and process id.

It is RFC 3164's, rsyslog's with an RFC 3339 time, and that of journalctl -o short, short-precise, short-iso(-precise).
"""


def split(line: bytes) -> tuple[str, int, bytes]:
    """Return who wrote `line`, its process id and the message; no name, 0 and the whole line where it has no header."""
    header = HEADER.match(line[:MAX_HEADER].decode("latin-1"))  # one character for each byte
    return (header[6], int(header[7] or 0), line[header.end() :]) if header else ("", 0, line)
