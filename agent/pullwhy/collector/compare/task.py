"""The task that compares nodes: it notices problems, has other nodes asked, and keeps the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pullwhy.collector.compare.asking import MOST_ASKED, Fleet, is_local, why_not
from pullwhy.collector.compare.blackholes import BlackHole
from pullwhy.collector.compare.census import Census
from pullwhy.collector.compare.contrast import Others
from pullwhy.collector.compare.rounds import PATIENCE, WINDOW, Rounds, Said, canonical, sort
from pullwhy.collector.compare.scope import Comparison, judge
from pullwhy.collector.documents import decode
from pullwhy.collector.fleet import Change, Probe, StoredProblem, WalkState, WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.problem import SubjectKind
from pullwhy.collector.records import Query, StoreError
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.model import Scope, ScopeVerdict, State

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.2
"""Findings of so long are looked at together."""
BUSY_SECONDS: Final = 1.0
"""The same while problems that were judged a moment ago go on growing: to look costs, the more findings there are."""
ANSWERS_SECONDS: Final = 0.1
"""The same of answers."""
UNTOLD_SECONDS: Final = 1.0
"""How long an answer may stay unnoticed that another collector took and the database did not tell of."""
JITTER_SECONDS: Final = 0.3
REJUDGE: Final = timedelta(minutes=5)
"""A verdict is looked at again after so long, though nothing changed."""
REJUDGED_PER_SECOND: Final = 2.0
"""Where thousands of problems are active, they are not all looked at again every five minutes: that would be all that the collector does."""
IDLE_SECONDS: Final = 15.0
AT_ONCE: Final = 32
"""Problems that are judged at a time."""
LOOKED_AT: Final = 200
"""Problems that are taken at a time: of more, the next look takes the next ones, so that none keeps others from being seen."""
SHORTEST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
"""Seconds between two judgements of a problem whose findings go on changing: the longer, the more nodes it has."""
_NODES_PER_SECOND: Final = 100.0
MOST_REMEMBERED: Final = 5000
MOST_IMAGES: Final = 20
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Case:
    """A problem that is being judged."""

    problem: StoredProblem
    image: str
    """One of its images, as rounds name it."""
    registry: str
    failing: frozenset[str]
    fleet: Fleet
    at: datetime
    """When it was seen that these fail."""


class _NotYet(Exception):
    """Other problems of the registry have their nodes asked first."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Compare:
    """Judges the scope of every active problem, and again when that may have changed. `run` ends only when it is cancelled."""

    def __init__(
        self,
        store: WholeStore,
        connected: Callable[[], Collection[tuple[str, str]]],
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        most: int = MOST_ASKED,
        patience: timedelta = PATIENCE,
        black_holes: Callable[[], Mapping[tuple[str, str], BlackHole]] = dict,
        chance: random.Random | None = None,
    ) -> None:
        self._store, self._connected, self._metrics, self._clock = store, connected, metrics, clock
        self._most, self._black_holes = most, black_holes
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._census = Census(store, clock)
        self._rounds = Rounds(store, clock, patience)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._not_before: OrderedDict[str, float] = OrderedDict()
        """By the loop's clock: when a problem may be judged again."""
        self._seen = 0
        """Problems of this turn through those that have to be judged."""
        self._rejudge_from = 0.0
        """By the loop's clock: before, none is looked at again that has not changed."""
        self._found = asyncio.Event()
        self._gather = GATHER_SECONDS
        self._last: StoredProblem | None = None
        """The last one that was looked at, where there are more."""
        self._answered: set[asyncio.Event] = set()
        """Of the rounds under way."""
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
        if change & Change.WALKS:
            for event in self._answered:
                event.set()

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
        """Begin with each problem that has to be judged and is neither under way nor put off."""
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
        self._gather = BUSY_SECONDS if found and not self._last else GATHER_SECONDS
        for problem in found:
            problem_id = problem.key.id
            if problem_id in self._under_way or self._not_before.get(problem_id, 0.0) > now:
                continue
            self._gather = GATHER_SECONDS
            task = asyncio.create_task(self._judge(problem), name=f"scope {problem_id}")
            self._under_way[problem_id] = task
            task.add_done_callback(functools.partial(self._done, problem_id))

    def _done(self, problem_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[problem_id], task

    async def _judge(self, problem: StoredProblem) -> None:
        pause = min(max(SHORTEST_PAUSE, problem.nodes / _NODES_PER_SECOND), LONGEST_PAUSE)
        async with self._places:
            try:
                case = await self._case(problem)
                if case is not None:
                    await self._compare(case)
            except _NotYet as turn:
                pause = max(pause, turn.seconds)
            except StoreError as error:
                logger.warning("problem %s cannot be judged: %s", problem.key.id, error)
            except Exception:
                logger.exception("problem %s cannot be judged", problem.key.id)
        self._put_off(problem, pause)

    def _put_off(self, problem: StoredProblem, pause: float) -> None:
        self._not_before[problem.key.id] = asyncio.get_running_loop().time() + pause
        self._not_before.move_to_end(problem.key.id)
        asyncio.get_running_loop().call_later(pause, self._found.set)
        if len(self._not_before) > MOST_REMEMBERED:
            self._not_before.popitem(last=False)

    async def _case(self, problem: StoredProblem) -> _Case | None:
        """Return what a judgement begins with; None where nothing fails any more or its findings cannot be read."""
        at = self._clock()
        failing = frozenset(await self._store.failing(problem.key))
        if not failing:
            return None
        try:
            example = decode(problem.example)
        except InvalidDocument:
            odd = Scope(failing=len(failing), in_common=("its findings were written by another version of pullwhy",))
            await self._store.set_scope(problem.key, odd, at, problem.revision)
            return None
        fleet = await self._census.fleet(problem.key.cluster, sorted(failing))
        return _Case(problem, canonical(example.image), example.registry, failing, fleet, at)

    async def _compare(self, case: _Case) -> None:
        if is_local(case.problem.key):
            await self._keep(case, self._comparison(case, Said(), ""))
            return
        reason = why_not(case.problem.key, case.registry) if self._most else "no node is asked: `second_opinions` is 0"
        if reason:
            await self._keep(case, self._comparison(case, Said(), reason))
            return
        probe = await self._rounds.latest(case.problem, case.image)
        if probe is None or await self._is_stale(probe, case.failing):
            seconds = self._rounds.turn(case.problem.key.cluster, case.registry)
            if seconds:
                raise _NotYet(seconds)  # it stays among those that have no verdict of now
            probe = await self._ask(case)
        if probe is None:
            await self._keep(case, self._comparison(case, Said(), ""))
        else:
            await self._follow(case, probe)

    async def _is_stale(self, probe: Probe, failing: frozenset[str]) -> bool:
        """Whether a node that passed fails by now; nodes are not asked anew for that at each new finding."""
        if self._clock() - probe.asked_at <= WINDOW:
            return False
        found = await self._store.probe(probe.id)
        return found is not None and any(walk.state is WalkState.PASSES and walk.node in failing for walk in found[1])

    async def _ask(self, case: _Case) -> Probe | None:
        await asyncio.sleep(self._chance.uniform(0, JITTER_SECONDS))
        cluster = case.problem.key.cluster
        return await self._rounds.ask(
            case.problem,
            case.image,
            case.fleet,
            case.failing,
            registry=case.registry,
            connected={node for of, node in self._connected() if of == cluster},
            last={node for of, node in self._black_holes() if of == cluster},
            most=self._most,
        )

    async def _follow(self, case: _Case, probe: Probe) -> None:
        """Judge as answers come, until all came or the deadline passed."""
        answered = asyncio.Event()
        self._answered.add(answered)
        told: ScopeVerdict | None = None
        try:
            while True:
                answered.clear()
                found = await self._store.probe(probe.id)
                walks = found[1] if found else []
                said = sort(walks, case.problem.key.cause, case.failing)
                left = (probe.deadline - self._clock()).total_seconds()
                if not said.waiting or left <= 0:
                    break
                # Half of the answers are enough for a first verdict, unless that would say nothing.
                if 2 * said.waiting <= len(walks):
                    comparison = await self._elsewhere(case, probe, said)
                    scope = judge(comparison)
                    if scope.verdict not in (told, ScopeVerdict.UNKNOWN):
                        told = scope.verdict
                        await self._store.set_scope(case.problem.key, scope, case.at, case.problem.revision)
                await _either(answered, min(left, UNTOLD_SECONDS))
        finally:
            self._answered.discard(answered)
        await self._keep(case, await self._elsewhere(case, probe, said))

    async def _elsewhere(self, case: _Case, probe: Probe, said: Said) -> Comparison:
        """Return what is known now, with what other images of the registry do."""
        problem, cluster = case.problem, case.problem.key.cluster
        self._rounds.note_passes(cluster, probe.image, said.passes)
        if problem.key.kind is not SubjectKind.REGISTRY:
            return self._comparison(case, said, "")
        images = {case.image}
        elsewhere = self._rounds.elsewhere(cluster, case.registry, images, problem.first_seen)
        if elsewhere:
            query = Query(cluster=cluster, problem=problem.key.id, state=State.ACTIVE, limit=MOST_IMAGES)
            for stored in await self._store.findings(query):
                with contextlib.suppress(InvalidDocument):  # of another version of pullwhy
                    images.add(canonical(decode(stored.document).image))
            # Where several images fail, one more that passes does not make it the fault of one image.
            elsewhere = elsewhere if len(images) == 1 else 0
        return self._comparison(case, said, "", elsewhere)

    def _comparison(self, case: _Case, said: Said, not_asked: str, elsewhere: int = 0) -> Comparison:
        fleet, failing = case.fleet, case.failing
        compared = failing.union(said.passes, said.fails, (node for node, _ in said.unclear))
        local = is_local(case.problem.key)
        return Comparison(
            case.problem.key,
            case.registry,
            [fleet.node(name) for name in sorted(failing)],
            [fleet.node(name) for name in said.fails],
            fleet.nodes(failing) if local else [fleet.node(name) for name in said.passes],
            [why for _, why in said.unclear],
            Others() if local else fleet.others(compared),
            not_asked,
            elsewhere,
        )

    async def _keep(self, case: _Case, comparison: Comparison) -> None:
        scope: Scope = judge(comparison)
        await self._store.set_scope(case.problem.key, scope, case.at, case.problem.revision)
        self._metrics.scopes.labels(scope.verdict).inc()


async def _either(answered: asyncio.Event, seconds: float) -> None:
    """Wait for an answer, and a moment for more of them; at most so long."""
    try:
        async with asyncio.timeout(seconds + 0.01):
            await answered.wait()
            await asyncio.sleep(ANSWERS_SECONDS)
    except TimeoutError:
        return
