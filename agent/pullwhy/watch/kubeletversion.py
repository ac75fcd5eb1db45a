"""The kubelet's version, from the line that it writes at its start."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timedelta
from typing import Final

from pullwhy.watch.journal import SLICE, JournalReader, Place

MAX_ENTRIES: Final = 5 * SLICE
"""Entries looked at from the kubelet's start on; it prints some hundred flags first."""
EARLY: Final = timedelta(seconds=2)
"""By how much a process' start may be told too late: /proc counts in ticks from a boot time in whole seconds (proc(5))."""

_NAME: Final = b"kubeletVersion"
_VERSION: Final = re.compile(r'kubeletVersion"?[=:] ?"(v\d{1,3}\.\d{1,4}\.[\w.+-]{1,60})"', re.ASCII)


def version_at_start(place: Place, units: tuple[str, ...], started: datetime) -> str:
    """Return the version of a kubelet that started then; empty where that line is no longer in the journal.

    The line is `"Kubelet version" kubeletVersion="v1.31.14"` (kubelet 1.24 to 1.36: cmd/kubelet/app/server.go), as text or JSON.
    Raises JournalUnreadable.
    """
    reader = JournalReader(place, units, lambda message: _NAME in message)
    with contextlib.closing(reader):
        reader.open(None, started - EARLY)
        seen = 0
        while seen < MAX_ENTRIES:
            part = reader.read()
            for line in part.lines:
                found = _VERSION.search(line.text)
                if found is not None:
                    return found[1]
            seen += part.entries
            if part.end:
                break
    return ""
