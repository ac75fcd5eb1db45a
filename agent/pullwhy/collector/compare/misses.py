"""Where nodes failed what others pull, as the store has it; from that black holes are known, by every collector alike."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from pullwhy.collector.compare.asking import is_local
from pullwhy.collector.compare.blackholes import WITHIN, BlackHole, Miss, black_holes
from pullwhy.collector.fleet import Probe, ProblemQuery, Purpose, WalkState, WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import StoreError
from pullwhy.model import ScopeVerdict

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 30.0
MOST_PROBLEMS: Final = 500
MOST_FINDINGS: Final = 100
"""Of one problem: a fault of few nodes."""
MOST_ROUNDS: Final = 200

Found = Mapping[tuple[str, str], BlackHole]


class BlackHoles:
    """Keeps who is a black hole, by cluster and node. `run` ends only when it is cancelled."""

    def __init__(
        self,
        store: WholeStore,
        metrics: Metrics,
        clock: Callable[[], datetime],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store, self._metrics, self._clock, self._look_seconds = store, metrics, clock, look_seconds
        self._found: Found = {}
        self._rounds: OrderedDict[str, list[Miss]] = OrderedDict()
        """Of rounds that are over, which do not change any more."""

    def __call__(self) -> Found:
        """Return the black holes as they were last looked for."""
        return self._found

    async def run(self) -> None:
        """Look for them again and again."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except StoreError as error:
                logger.warning("black holes cannot be looked for: %s", error)

    async def look(self) -> None:
        """Look for them now; raises StoreError."""
        misses: dict[str, list[Miss]] = {}
        await self._of_findings(misses)
        await self._of_rounds(misses)
        found = {
            (cluster, node): hole
            for cluster, each in misses.items()
            for node, hole in black_holes(each, self._clock()).items()
        }
        for cluster, node in found.keys() - self._found.keys():
            hole = found[cluster, node]
            logger.warning("node %s fails for %d images what other nodes pull", node, hole.images)
        self._found = found
        self._metrics.black_holes.set(len(found))

    async def _of_findings(self, misses: dict[str, list[Miss]]) -> None:
        since = self._clock() - WITHIN
        for problem in await self._store.problems(ProblemQuery(active=True, since=since, limit=MOST_PROBLEMS)):
            key = problem.key
            if problem.scope.verdict is not ScopeVerdict.NODE_SPECIFIC or is_local(key):
                continue
            for each in await self._store.failures(key, since, MOST_FINDINGS):
                miss = Miss(each.node, each.image, each.first_seen, each.last_seen)
                misses.setdefault(key.cluster, []).append(miss)

    async def _of_rounds(self, misses: dict[str, list[Miss]]) -> None:
        now = self._clock()
        for probe in await self._store.probes("", Purpose.SECOND_OPINION, MOST_ROUNDS):
            if now - probe.asked_at > WITHIN:
                break
            if probe.deadline >= now:
                continue
            if probe.id not in self._rounds:
                self._rounds[probe.id] = await self._of_round(probe)
                if len(self._rounds) > MOST_ROUNDS:
                    self._rounds.popitem(last=False)
            misses.setdefault(probe.cluster, []).extend(self._rounds[probe.id])

    async def _of_round(self, probe: Probe) -> list[Miss]:
        walks = await self._store.walks(probe, documents=False)
        states = [walk.state for walk in walks]
        # Others are those that pass: where most fail, it is not the node.
        if states.count(WalkState.PASSES) <= states.count(WalkState.FAILS):
            return []
        return [
            Miss(walk.node, probe.image, walk.at, walk.at, probe.id) for walk in walks if walk.state is WalkState.FAILS
        ]
