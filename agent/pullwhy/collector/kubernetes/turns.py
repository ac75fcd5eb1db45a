"""Work that waits: each node's in a queue of its own, and the nodes take turns, so that one node's many hold up no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Bounded, in all and of each node. Where all is full, who has most gives a place to who has less."""

    def __init__(self, most: int, most_of_node: int) -> None:
        self._most, self._most_of_node = most, most_of_node
        self._of: dict[str, dict[Hashable, T]] = {}  # in the order of turns, and of coming
        self._by_length: dict[int, dict[str, None]] = {}
        self._all = 0
        self._woken = asyncio.Event()
        self.idle = True
        """Whether nothing waits and nothing is under way."""
        self.dropped = 0
        """What found no place, or lost it."""

    def put(self, node: str, key: Hashable, work: T) -> None:
        """Let `work` wait; it takes the place of what waits under the same key."""
        mine = self._of.get(node, {})
        if key not in mine and not self._has_room(len(mine)):
            self.dropped += 1
            return
        before = len(mine)
        mine[key] = work
        self._of[node] = mine
        self._measure(node, before)
        self.idle = False
        self._woken.set()

    def drop(self, node: str, key: Hashable) -> None:
        """Let what waits under the key wait no more."""
        mine = self._of.get(node, {})
        if key in mine:
            del mine[key]
            self._measure(node, len(mine) + 1)
            if not mine:
                del self._of[node]

    async def run(self, take: Callable[[T], Awaitable[None]]) -> None:
        """Do one after the other, until cancelled."""
        while True:
            while self._of:
                await take(self._pop())
            self.idle = True
            self._woken.clear()
            await self._woken.wait()

    def _pop(self) -> T:
        node = next(iter(self._of))
        mine = self._of.pop(node)
        before = len(mine)
        work = mine.pop(next(iter(mine)))
        if mine:
            self._of[node] = mine  # behind the others
        self._measure(node, before)
        return work

    def _measure(self, node: str, before: int) -> None:
        """Note how many wait of a node, of which so many did before."""
        now = len(self._of.get(node, {}))
        self._all += now - before
        if before:
            same = self._by_length[before]
            del same[node]
            if not same:
                del self._by_length[before]
        if now:
            self._by_length.setdefault(now, {})[node] = None

    def _has_room(self, mine: int) -> bool:
        """Return whether a node of which so many wait may have one more; make room where that is just."""
        if mine >= self._most_of_node:
            return False
        if self._all < self._most:
            return True
        longest = max(self._by_length)
        if longest <= mine + 1:
            return False
        node = next(iter(self._by_length[longest]))
        self._of[node].popitem()
        self._measure(node, longest)
        self.dropped += 1
        return True
