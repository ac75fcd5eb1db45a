"""The kubelet's own clock: when it will try a failed pull again."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import Reason

STEPS: Final = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Seconds (kubelet 1.24 to 1.36: imageBackOffPeriod, MaxImageBackOff; client-go flowcontrol.Backoff doubles, without jitter)."""
EXPIRY: Final = timedelta(seconds=600)
"""Twice the longest step after the last failure the count begins anew; a success does not reset it."""
SYNC: Final = timedelta(seconds=15)
"""A pod is looked at again 10 to 15 seconds after a failed sync, so a try comes up to that much later than the clock says."""

_NO_BACKOFF: Final = frozenset(
    {
        Reason.INVALID_IMAGE_NAME,
        Reason.ERR_IMAGE_NEVER_PULL,
        Reason.IMAGE_INSPECT_ERROR,
        Reason.CREATE_POD_SANDBOX_ERROR,
    }
)
"""The kubelet fails these before it would pull, at every sync."""


@frozen
class Backoff:
    """The entry of one pod and image in the kubelet's back-off table, as far as its lines tell."""

    seconds: float = 0.0
    """0 before the first failure that was seen, and for reasons that know no back-off."""
    updated: datetime | None = None
    """The last real failure."""

    @property
    def next_try_at(self) -> datetime | None:
        """The earliest moment of the kubelet's next try; it comes at the first sync after it."""
        return self.updated + timedelta(seconds=self.seconds) if self.updated else None


NO_BACKOFF: Final = Backoff()


def advance(backoff: Backoff, reason: Reason, when: datetime) -> Backoff:
    """Return the entry after one more real failure at `when`.

    An agent that began to watch in the middle corrects itself: tries that lie further apart than the step that it assumes show
    the step that the kubelet has reached.
    """
    if reason in _NO_BACKOFF:
        return Backoff(0.0, when)
    if backoff.updated is None or not backoff.seconds or when - backoff.updated > EXPIRY:
        return Backoff(STEPS[0], when)
    waited = when - backoff.updated
    reached = backoff.seconds
    if waited > timedelta(seconds=reached) + SYNC:
        reached = max((step for step in STEPS if step <= waited.total_seconds()), default=reached)
    return Backoff(dict(pairwise(STEPS)).get(reached, STEPS[-1]), when)
