"""Token buckets: how much may be done at once, and how fast more of it is earned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pullwhy.frozen import frozen

MAX_KEYS: Final = 256


@frozen
class Rate:
    """What a bucket holds and how fast it fills."""

    at_once: float
    per_second: float


@dataclass(slots=True)
class Budget:
    """A bucket for each key and one for all of them together. `now` is a monotonic clock's."""

    each: Rate
    total: Rate
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Tokens and when they were counted."""

    def take(self, key: str, now: float) -> bool:
        """Spend a token of `key` and one of the total; False, and nothing is spent, where either has none."""
        own, all_of_them = self._count(key, self.each, now), self._count("", self.total, now)
        if own < 1 or all_of_them < 1:
            return False
        self._left.pop(key, None)  # the bucket that was used last is forgotten last
        self._left[key], self._left[""] = (own - 1, now), (all_of_them - 1, now)
        if len(self._left) > MAX_KEYS:
            del self._left[next(each for each in self._left if each)]
        return True

    def _count(self, key: str, rate: Rate, now: float) -> float:
        left, then = self._left.get(key, (rate.at_once, now))
        return min(rate.at_once, left + (now - then) * rate.per_second)
