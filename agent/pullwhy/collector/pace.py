"""A token bucket: how fast one party may go."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Tells how long to wait so that nobody takes more than his share."""

    def __init__(self, per_second: float, at_once: float, clock: Callable[[], float]) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._tokens, self._then = at_once, clock()

    def wait(self, tokens: int) -> float:
        """Spend `tokens`; return the seconds until that many were earned, 0 while there are some in hand."""
        now = self._clock()
        self._tokens = min(self._at_once, self._tokens + (now - self._then) * self._per_second) - tokens
        self._then = now
        return max(0.0, -self._tokens / self._per_second)
