"""A token bucket: how fast one party may go."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Tells how long to wait so that nobody takes more than his share."""

    __slots__ = ("_at_once", "_clock", "_per_second", "_then", "_tokens")

    def __init__(self, per_second: float, at_once: float, clock: Callable[[], float]) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._tokens, self._then = at_once, clock()

    def spend(self, tokens: int) -> float:
        """Spend `tokens`; return the seconds until that many were earned, 0 while there are some in hand."""
        self._earn()
        self._tokens -= tokens
        return max(0.0, -self._tokens / self._per_second)

    def try_spend(self) -> float:
        """Spend a token where there is one and return 0; else spend none and return the seconds until there is one."""
        self._earn()
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second

    def _earn(self) -> None:
        now = self._clock()
        self._tokens = min(self._at_once, self._tokens + (now - self._then) * self._per_second)
        self._then = now
