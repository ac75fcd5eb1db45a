"""What was looked at, what was found, and the mend."""

from __future__ import annotations

from pullwhy.frozen import frozen


@frozen
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    """What to do; empty where all is well."""
    skipped: bool = False
    """Whether there was nothing to look at."""
