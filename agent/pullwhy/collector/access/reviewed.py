"""Reviews of tokens: kept for a while, few under way at a time, and an older one believed while none can be had."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pullwhy.collector.denials import CannotTell, Denied
from pullwhy.collector.remembered import Remembered
from pullwhy.kubernetes.client import APIError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long reviews are believed, in seconds, and how many there may be."""

    good: float
    refused: float
    late: float
    """How long beyond its time one that let somebody in is believed while none can be had."""
    kept: int
    waiting: int
    """Tokens under review at a time."""


class Reviewed(Generic[T]):
    """Whose token it is, as reviews said; refusals are kept apart, so that invented tokens push out nobody who is known."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._good: Remembered[bytes, T] = Remembered(bounds.kept, clock)
        self._refused: Remembered[bytes, Denied] = Remembered(bounds.kept, clock)
        self._waiting = 0

    async def get(self, key: bytes, review: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Return what is known, or what `review` says, which is believed for `seconds` at most; raises Denied or CannotTell."""
        known = self._good.get(key)
        if known is not None:
            return known
        refused = self._refused.get(key)
        if refused is not None:
            raise Denied(refused.denial, str(refused), refused.who)
        if self._waiting >= self._bounds.waiting:
            return self._late(key, "too many tokens are under review, come again")
        self._waiting += 1
        try:
            found = await review()
        except Denied as denied:
            self._good.forget(key)
            self._refused.put(key, Denied(denied.denial, str(denied), denied.who), self._bounds.refused)
            raise
        except APIError as error:
            told = f"the Kubernetes API does not say whose token it is: {error}"
            if error.passing:
                return self._late(key, told)
            raise CannotTell(told) from error
        finally:
            self._waiting -= 1
        self._good.put(key, found, min(seconds, self._bounds.good))
        return found

    def _late(self, key: bytes, why: str) -> T:
        known = self._good.get(key, late=self._bounds.late)
        if known is None:
            raise CannotTell(why)
        return known
