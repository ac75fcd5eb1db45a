"""Who follows a round of walks is told when answers to it came: one look at the store for all rounds that are followed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pullwhy.collector.fleet import Change, FleetStore
from pullwhy.collector.records import StoreError

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.1
"""Answers of so long are told together."""
UNTOLD_SECONDS: Final = 1.0
"""How long an answer may stay unnoticed that another collector took and the database did not tell of."""


@dataclass(slots=True)
class _Followed:
    answered: int = 0
    """Nodes, when it was last looked at."""
    followers: list[asyncio.Event] = field(default_factory=list)


class Answers:
    """Looks for answers while somebody follows a round. `run` ends only when it is cancelled."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store
        self._followed: dict[str, _Followed] = {}
        self._changed = asyncio.Event()
        store.listen(self._on_change)

    async def run(self) -> None:
        """Tell followers of answers, again and again."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNTOLD_SECONDS):
                    await self._changed.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            try:
                await self._look()
            except StoreError as error:
                logger.warning("answers of nodes cannot be read: %s", error)

    @contextlib.contextmanager
    def to(self, probe_id: str) -> Iterator[asyncio.Event]:
        """Yield what is set when answers to this round came since it was cleared."""
        followed, news = self._followed.setdefault(probe_id, _Followed()), asyncio.Event()
        followed.followers.append(news)
        try:
            yield news
        finally:
            followed.followers.remove(news)
            if not followed.followers:
                del self._followed[probe_id]

    def _on_change(self, change: Change) -> None:
        if change & Change.WALKS and self._followed:
            self._changed.set()

    async def _look(self) -> None:
        if not self._followed:
            return
        for probe_id, number in (await self._store.answered(list(self._followed))).items():
            followed = self._followed.get(probe_id)
            if followed and followed.answered != number:
                followed.answered = number
                for news in followed.followers:
                    news.set()


async def wait(news: asyncio.Event, seconds: float) -> None:
    """Wait for answers, at most so long, and clear the event."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await news.wait()
    news.clear()
