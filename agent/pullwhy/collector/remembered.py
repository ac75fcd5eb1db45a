"""Answers kept for a while: bounded in number and age."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A cache: what was used longest ago goes first, and nothing stays beyond its time."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._kept: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K, *, late: float = 0.0) -> V | None:
        """Return what is kept; with `late`, also what is past its time by up to so many seconds."""
        found = self._kept.get(key)
        if found is None:
            return None
        value, until = found
        if self._clock() >= until + late:
            return None
        self._kept.move_to_end(key)
        return value

    def forget(self, key: K) -> None:
        """Keep nothing of `key`."""
        self._kept.pop(key, None)

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep `value` for so many seconds."""
        self._kept[key] = (value, self._clock() + seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
