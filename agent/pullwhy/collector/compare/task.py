"""The task that compares nodes: it notices problems, and has each judged when that is due."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pullwhy.collector.compare.answers import Answers
from pullwhy.collector.compare.asking import MOST_ASKED
from pullwhy.collector.compare.census import Census
from pullwhy.collector.compare.judging import Judging, NotYet, Surroundings, Unclear
from pullwhy.collector.compare.rounds import PATIENCE, Rounds
from pullwhy.collector.fleet import Change, StoredProblem, WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import StoreError

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.2
"""Findings of so long are looked at together."""
BUSY_SECONDS: Final = 1.0
"""The same while problems that were judged a moment ago, or wait for their turn, are all that there is: to look costs, the more of them there are."""
REJUDGE: Final = timedelta(minutes=5)
"""A verdict is looked at again after so long, though nothing changed."""
REJUDGED_PER_SECOND: Final = 2.0
"""Where thousands of problems are active, they are not all looked at again every five minutes: that would be all that the collector does."""
IDLE_SECONDS: Final = 15.0
AT_ONCE: Final = 96
"""Problems that are judged at a time; most of that is to wait for answers."""
NEW_AT_ONCE: Final = 32
"""Besides, of those that are new: they do not wait until others are caught up with."""
NEW: Final = timedelta(minutes=2)
LOOKED_AT: Final = 200
"""Problems that are taken at a time: of more, the next look takes the next ones, so that none keeps others from being seen."""
SHORTEST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
"""Seconds between two judgements of a problem whose findings go on changing: the longer, the more nodes it has."""
_NODES_PER_SECOND: Final = 100.0
AGAIN_SECONDS: Final = (5.0, 15.0, 45.0, 135.0, 600.0)
"""When nodes are asked again where those that were asked could not tell: an agent that refused may be able to a moment later."""
MOST_REMEMBERED: Final = 5000
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Again:
    """That a problem is to be judged again, because it was not clear."""

    unclear: Unclear
    times: int
    at: float
    """By the loop's clock."""


class Compare:
    """Judges the scope of every active problem, and again when that may have changed. `run` ends only when it is cancelled."""

    def __init__(
        self,
        store: WholeStore,
        answers: Answers,
        surroundings: Surroundings,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        most: int = MOST_ASKED,
        patience: timedelta = PATIENCE,
        chance: random.Random | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self._judging = Judging(
            store,
            answers,
            Census(store, clock),
            Rounds(store, clock, patience),
            surroundings,
            metrics,
            clock,
            chance or random.Random(),  # noqa: S311 - spreads load, hides nothing
            most,
        )
        self._places, self._places_of_new = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(NEW_AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._not_before: OrderedDict[str, float] = OrderedDict()
        """By the loop's clock: when a problem may be judged again."""
        self._again: OrderedDict[str, _Again] = OrderedDict()
        self._seen = 0
        """Problems of this turn through those that have to be judged."""
        self._rejudge_from = 0.0
        """By the loop's clock: before, none is looked at again that has not changed."""
        self._found = asyncio.Event()
        self._gather = GATHER_SECONDS
        self._last: StoredProblem | None = None
        """The last one that was looked at, where there are more."""
        store.listen(self._on_change)

    async def run(self) -> None:
        """Judge what has to be judged, again and again."""
        try:
            while True:
                try:
                    await self._look()
                    await self._wait()
                except StoreError as error:
                    logger.warning("no problem can be judged: %s", error)
                    await asyncio.sleep(1.0)
        finally:
            for task in self._under_way.values():
                task.cancel()

    def _on_change(self, change: Change) -> None:
        if change & Change.FINDINGS:
            self._found.set()

    async def _wait(self) -> None:
        """Wait until findings changed, or a problem that was put off is due."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._found.wait()
                await asyncio.sleep(self._gather)
        except TimeoutError:
            return
        self._found.clear()

    async def _look(self) -> None:
        """Begin with each problem that has to be judged and is neither under way nor put off: with new ones first."""
        since = self._clock() - NEW
        new = [each for each in await self._store.never_judged(NEW_AT_ONCE) if each.first_seen > since]
        began = [self._begin(problem, new=True) for problem in new]
        found = await self._unclear()
        if len(self._under_way) < LOOKED_AT:
            found += await self._next()
        began += [self._begin(problem) for problem in found]
        self._gather = BUSY_SECONDS if began and not any(began) else GATHER_SECONDS

    async def _next(self) -> list[StoredProblem]:
        """Return the next ones of all that have to be judged."""
        now = asyncio.get_running_loop().time()
        after = self._last
        old = self._clock() - REJUDGE if now >= self._rejudge_from else _NEVER
        found = await self._store.unscoped(old, LOOKED_AT, after)
        self._last = found[-1] if len(found) == LOOKED_AT else None
        self._seen = len(found) + (self._seen if after else 0)
        if self._last is None and after:
            self._rejudge_from = now + self._seen / REJUDGED_PER_SECOND
        if after or self._last:
            self._found.set()
        return found

    async def _unclear(self) -> list[StoredProblem]:
        """Return those of which nodes are asked again now."""
        now = asyncio.get_running_loop().time()
        due = [each for each, again in self._again.items() if again.at <= now and self._may_begin(each)][:LOOKED_AT]
        found = [problem for problem_id in due for problem in await self._store.problem(problem_id, "")]
        for problem_id in set(due) - {problem.key.id for problem in found if problem.active}:
            self._again.pop(problem_id, None)
        return [problem for problem in found if problem.active]

    def _begin(self, problem: StoredProblem, *, new: bool = False) -> bool:
        problem_id = problem.key.id
        if not self._may_begin(problem_id):
            return False
        places = self._places_of_new if new else self._places
        task = asyncio.create_task(self._judge(problem, places), name=f"scope {problem_id}")
        self._under_way[problem_id] = task
        task.add_done_callback(functools.partial(self._done, problem_id))
        return True

    def _may_begin(self, problem_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        return problem_id not in self._under_way and self._not_before.get(problem_id, 0.0) <= now

    def _done(self, problem_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[problem_id], task

    async def _judge(self, problem: StoredProblem, places: asyncio.Semaphore) -> None:
        pause = min(max(SHORTEST_PAUSE, problem.nodes / _NODES_PER_SECOND), LONGEST_PAUSE)
        async with places:
            again = self._again.get(problem.key.id)
            is_due = again is not None and again.at <= asyncio.get_running_loop().time()
            try:
                unclear = await self._judging.judge(problem, again.unclear if again and is_due else None)
                if unclear is None or again is None or is_due:
                    self._note(problem, unclear)
            except NotYet as turn:
                pause = max(pause, turn.seconds)
                if again and is_due:
                    self._note(problem, again.unclear)
            except StoreError as error:
                logger.warning("problem %s cannot be judged: %s", problem.key.id, error)
            except Exception:
                logger.exception("problem %s cannot be judged", problem.key.id)
        self._put_off(problem, pause)

    def _note(self, problem: StoredProblem, unclear: Unclear | None) -> None:
        """Note that a problem was judged, and when nodes are asked again where that told nothing."""
        before = self._again.pop(problem.key.id, None)
        times = before.times + 1 if before else 0
        if unclear is None:
            return
        loop, seconds = asyncio.get_running_loop(), AGAIN_SECONDS[min(times, len(AGAIN_SECONDS) - 1)]
        self._again[problem.key.id] = _Again(unclear, times, loop.time() + seconds)
        loop.call_later(seconds, self._found.set)
        if len(self._again) > MOST_REMEMBERED:
            self._again.popitem(last=False)

    def _put_off(self, problem: StoredProblem, pause: float) -> None:
        self._not_before[problem.key.id] = asyncio.get_running_loop().time() + pause
        self._not_before.move_to_end(problem.key.id)
        asyncio.get_running_loop().call_later(pause, self._found.set)
        if len(self._not_before) > MOST_REMEMBERED:
            self._not_before.popitem(last=False)
