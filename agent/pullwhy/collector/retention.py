"""Forgetting: findings beyond their age or the database's size go, a slice at a time, so that agents hardly notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pullwhy.collector.fleet import WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import StoreError

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 300.0
SLICE: Final = 500
"""Findings or walks of one transaction; agents' batches are committed between two."""

FACTS_SLICE: Final = 5
"""Problems of one transaction whose facts are looked through: of each, all findings are read."""
FACTS_TURNS: Final = 40
"""Such transactions at a time; the rest has its turn next time."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept."""

    age: timedelta
    bytes: int


async def tend(
    store: WholeStore,
    keep: Keep,
    metrics: Metrics,
    connected: Callable[[], set[tuple[str, str]]],
    clock: Callable[[], datetime],
) -> None:
    """Note which nodes are there, and forget, again and again until cancelled."""
    after = ""
    while True:
        try:
            await store.note_seen(sorted(connected()))
            gone = await forget(store, keep, clock())
            if gone:
                logger.info("forgot %d findings", gone)
                metrics.forgotten.inc(gone)
            for _ in range(FACTS_TURNS):
                after = await store.forget_facts(after, FACTS_SLICE)
                if not after:
                    break
        except StoreError as error:
            logger.warning("nothing could be forgotten: %s", error)
        await asyncio.sleep(EVERY_SECONDS)


async def forget(store: WholeStore, keep: Keep, now: datetime) -> int:
    """Forget what is too old, then, where the data are still too large, what is missed least; return how many findings went."""
    total = 0
    while gone := await store.forget(now - keep.age, SLICE):
        total += gone
    while await store.forget_walks(now - keep.age, SLICE):
        pass
    # Answers of walks tell of a moment; findings must not go for them.
    while await store.size() > keep.bytes and await store.shrink_walks(SLICE):
        pass
    while await store.size() > keep.bytes and (gone := await store.shrink(SLICE)):
        total += gone
    return total
