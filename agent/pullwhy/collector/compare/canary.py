"""Canaries: of the nodes on which something fails, one now and then walks again, so that the others need not to know when it is over."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

from pullwhy.collector.compare.answers import Answers, wait
from pullwhy.collector.compare.asking import is_local, why_not
from pullwhy.collector.compare.rounds import ASKED_BY, UNANSWERED, canonical
from pullwhy.collector.fleet import Canary, Probe, ProblemQuery, Purpose, StoredProblem, WalkState, WholeStore
from pullwhy.collector.records import StoreError
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode

logger = logging.getLogger(__name__)

FIRST: Final = timedelta(seconds=30)
LONGEST: Final = timedelta(minutes=5)
SEVERAL: Final = 2
"""Nodes: one alone looks after itself."""
LOOK_SECONDS: Final = 10.0
LOOKED_AT: Final = 200
AT_ONCE: Final = 16
PATIENCE: Final = timedelta(seconds=15)


class Canaries:
    """Sends them out. `run` ends only when it is cancelled."""

    def __init__(
        self,
        store: WholeStore,
        answers: Answers,
        connected: Callable[[], Collection[tuple[str, str]]],
        clock: Callable[[], datetime],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store, self._answers, self._connected, self._clock = store, answers, connected, clock
        self._look_seconds = look_seconds
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look which problems are due, again and again."""
        try:
            while True:
                await asyncio.sleep(self._look_seconds)
                try:
                    await self._look()
                except StoreError as error:
                    logger.warning("no canary can be sent: %s", error)
        finally:
            for task in self._under_way.values():
                task.cancel()

    async def _look(self) -> None:
        for problem in await self._store.problems(ProblemQuery(active=True, limit=LOOKED_AT)):
            problem_id = problem.key.id
            if problem_id in self._under_way or not is_due(problem, self._clock()):
                continue
            task = asyncio.create_task(self._send(problem), name=f"canary {problem_id}")
            self._under_way[problem_id] = task
            task.add_done_callback(functools.partial(self._done, problem_id))

    def _done(self, problem_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[problem_id], task

    async def _send(self, problem: StoredProblem) -> None:
        async with self._places:
            try:
                await self._ask(problem)
            except StoreError as error:
                logger.warning("no canary for problem %s: %s", problem.key.id, error)
            except Exception:
                logger.exception("no canary for problem %s", problem.key.id)

    async def _ask(self, problem: StoredProblem) -> None:
        try:
            example = decode(problem.example)
        except InvalidDocument:
            return
        if why_not(problem.key, example.registry):
            return
        now, key = self._clock(), problem.key
        probe_id = canary_id(key.id, now)
        before = await self._store.probe_alone(canary_id(key.id, now - FIRST))
        if before and now - before.asked_at < FIRST:
            return  # another collector sent one a moment ago
        failing = await self._store.failing(key)
        here = {node for cluster, node in self._connected() if cluster == key.cluster}
        # By turns: with each canary the draw is another one. One that is connected here is surely reached.
        nodes = sorted(failing, key=lambda node: (node not in here, _draw(probe_id, node)))
        if not nodes:
            return
        probe = Probe(
            probe_id, key.cluster, canonical(example.image), Purpose.CANARY, now, now + PATIENCE, ASKED_BY, key.id
        )
        if await self._store.add_probe(probe, nodes[:1]):
            await self._store.set_canary(key, Canary(nodes[0], now, await self._answer(probe)))

    async def _answer(self, probe: Probe) -> WalkState:
        with self._answers.to(probe.id) as news:
            await wait(news, (probe.deadline - self._clock()).total_seconds())
        walks = await self._store.walks(probe, documents=False)
        return walks[0].state if walks and walks[0].state not in UNANSWERED else WalkState.LATE


def is_due(problem: StoredProblem, now: datetime) -> bool:
    """Whether it is time to look if a problem is over: after 30 s, then twice as late each time, up to every 5 minutes."""
    if problem.nodes < SEVERAL or is_local(problem.key):
        return False
    last = problem.canary.at if problem.canary else problem.first_seen
    pause = min(max(last - problem.first_seen, FIRST), LONGEST)
    return now - last >= pause


def canary_id(problem_id: str, now: datetime) -> str:
    """Return the id of the canary of a problem and a moment: two collectors send the same one, which is asked once."""
    window = int(now.timestamp() // FIRST.total_seconds())
    return f"ca-{problem_id}-{window}"


def _draw(seed: str, node: str) -> bytes:
    return hashlib.sha256(f"{seed} {node}".encode()).digest()
