"""What the store knows of the nodes, kept for as long as it is worth the price of reading it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from pullwhy.collector.compare.asking import Fleet
from pullwhy.collector.records import Store

PAGE: Final = 100
"""Nodes that are read at a time: between two pages others have their turn."""
_AGE_BY_PRICE: Final = 200.0
"""A fleet that took a second to read is read again after so many: that of 15,000 nodes, which takes half of one, after a minute or two."""
_LEAST_AGE: Final = 1.0
AFRESH: Final = 30
"""Nodes that are looked up where what is known of the fleet is not new."""


class Census:
    """Reads fleets from the store: a small one nearly each time, one of 15,000 nodes seldom."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._known: dict[str, tuple[float, float, Fleet]] = {}
        self._reading = asyncio.Lock()

    async def fleet(self, cluster: str, afresh: Iterable[str] = ()) -> Fleet:
        """Return the nodes of a cluster; of those in `afresh`, the first few as they are at this moment. Raises StoreError."""
        async with self._reading:  # many problems are judged at a time: one of them reads for all
            known, now = self._known.get(cluster), time.monotonic()
            if known is None or now - known[0] > known[1]:
                fleet = await self._read(cluster)
                took = time.monotonic() - now
                self._known[cluster] = time.monotonic(), max(_LEAST_AGE, took * _AGE_BY_PRICE), fleet
                return fleet
        for stored in await self._store.of_nodes(cluster, list(itertools.islice(afresh, AFRESH))):
            known[2].add(stored, self._clock())
        return known[2]

    async def _read(self, cluster: str) -> Fleet:
        fleet, after = Fleet(), None
        while True:
            page = await self._store.nodes(cluster, "", PAGE, after)
            for stored in page:
                if stored.cluster == cluster:
                    fleet.add(stored, self._clock())
            if len(page) < PAGE:
                return fleet
            after = page[-1].cluster, page[-1].node
