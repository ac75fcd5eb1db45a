"""One problem's judgement: a few other nodes are asked, their answers followed, and the verdict kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pullwhy.collector.compare.answers import Answers, wait
from pullwhy.collector.compare.asking import Fleet, is_local, why_not
from pullwhy.collector.compare.blackholes import BlackHole
from pullwhy.collector.compare.census import Census
from pullwhy.collector.compare.contrast import Others
from pullwhy.collector.compare.rounds import WINDOW, Rounds, Said, canonical, sort
from pullwhy.collector.compare.scope import Comparison, judge
from pullwhy.collector.fleet import Probe, StoredProblem, WalkState, WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.problem import SubjectKind
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.model import Scope, ScopeVerdict

JITTER_SECONDS: Final = 0.3
MOST_IMAGES: Final = 20


class NotYet(Exception):
    """Other problems of the registry have their nodes asked first."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Unclear:
    """That nodes which might have told more did not: they, or others, may soon."""

    probe: Probe | None
    """What they were asked in; None where there was nobody to ask."""
    nodes: frozenset[str] = frozenset()
    """Those that could not tell."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What judging needs to know of nodes beside what is stored."""

    connected: Callable[[], Collection[tuple[str, str]]]
    """Cluster and name of the nodes that have a stream to this collector."""
    black_holes: Callable[[], Mapping[tuple[str, str], BlackHole]] = dict

    def here(self, cluster: str) -> set[str]:
        """Return the nodes of a cluster that are connected here."""
        return {node for of, node in self.connected() if of == cluster}

    def last(self, cluster: str) -> set[str]:
        """Return the nodes of a cluster that are asked last."""
        return {node for of, node in self.black_holes() if of == cluster}


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


@dataclass(frozen=True, slots=True)
class Judging:
    """Judges one problem after the other, or several at a time."""

    store: WholeStore
    answers: Answers
    census: Census
    rounds: Rounds
    surroundings: Surroundings
    metrics: Metrics
    clock: Callable[[], datetime]
    chance: random.Random
    most: int
    """Nodes that are asked about a problem."""

    async def judge(self, problem: StoredProblem, unclear: Unclear | None = None) -> Unclear | None:
        """Judge a problem and keep the verdict; return what left it open, where asking again may help.

        `unclear` is what an earlier judgement returned: its nodes are asked again now. Raises NotYet and StoreError.
        """
        at = self.clock()
        try:
            example = decode(problem.example)
        except InvalidDocument:
            odd = Scope(failing=problem.nodes, in_common=("its findings were written by another version of pullwhy",))
            await self.store.set_scope(problem.key, odd, at, problem.revision)
            return None
        image, registry = canonical(example.image), example.registry
        not_asked = "" if is_local(problem.key) else self._why_not(problem, registry)
        asks = not (not_asked or is_local(problem.key))
        # Whose turn has not come is not looked at further: there may be thousands, each looked at every minute.
        has_turn = asks and (unclear is not None or self.rounds.known(problem, image) is None)
        if has_turn:
            self._take_turn(problem, registry, spare=unclear is not None)
        failing = frozenset(await self.store.failing(problem.key))
        if not failing:
            return None
        fleet = await self.census.fleet(problem.key.cluster, sorted(failing))
        case = _Case(problem, image, registry, failing, fleet, at)
        if not asks:
            await self._keep(case, self._comparison(case, Said(), not_asked))
            return None
        return await self._compare(case, unclear, has_turn=has_turn)

    def _why_not(self, problem: StoredProblem, registry: str) -> str:
        return why_not(problem.key, registry) if self.most else "no node is asked: `second_opinions` is 0"

    def _take_turn(self, problem: StoredProblem, registry: str, *, spare: bool = False) -> None:
        seconds = self.rounds.turn(problem.key.cluster, registry, spare=spare)
        if seconds:
            raise NotYet(seconds)  # it stays among those that have no verdict of now

    async def _compare(self, case: _Case, unclear: Unclear | None, *, has_turn: bool) -> Unclear | None:
        probe, asked = await self.rounds.latest(case.problem, case.image), False
        again = unclear is not None and (probe is None or probe == unclear.probe)
        if probe is None or again or await self._is_stale(probe, case.failing):
            if not has_turn:
                self._take_turn(case.problem, case.registry)
            probe, asked = await self._ask(case, unclear if again else None, probe if again else None), True
        if probe is None:
            scope = await self._keep(case, self._comparison(case, Said(), ""))
            return Unclear(None) if scope.verdict is ScopeVerdict.UNKNOWN else None
        return await self._follow(case, probe, just_asked=asked)

    async def _is_stale(self, probe: Probe, failing: frozenset[str]) -> bool:
        """Whether a node that passed fails by now; nodes are not asked anew for that at each new finding."""
        if self.clock() - probe.asked_at <= WINDOW:
            return False
        walks = await self.store.walks(probe, documents=False)
        return any(walk.state is WalkState.PASSES and walk.node in failing for walk in walks)

    async def _ask(self, case: _Case, unclear: Unclear | None, after: Probe | None) -> Probe | None:
        await asyncio.sleep(self.chance.uniform(0, JITTER_SECONDS))
        cluster = case.problem.key.cluster
        return await self.rounds.ask(
            case.problem,
            case.image,
            case.fleet,
            case.failing,
            registry=case.registry,
            connected=self.surroundings.here(cluster),
            last=self.surroundings.last(cluster).union(unclear.nodes if unclear else ()),
            most=self.most,
            after=after,
        )

    async def _follow(self, case: _Case, probe: Probe, *, just_asked: bool) -> Unclear | None:
        """Judge as answers come, until all came or the deadline passed."""
        told: ScopeVerdict | None = None
        with self.answers.to(probe.id) as news:
            if just_asked:
                await wait(news, self._left(probe))
            while True:
                left = self._left(probe)  # before they are read: what is too late then is told as that
                said = sort(await self.store.walks(probe), case.problem.key.cause, case.failing)
                if not said.waiting or left <= 0:
                    break
                # Half of the answers are enough for a first verdict, unless that would say nothing.
                if 2 * said.waiting <= said.asked:
                    scope = judge(await self._elsewhere(case, probe, said))
                    if scope.verdict not in (told, ScopeVerdict.UNKNOWN):
                        told = scope.verdict
                        await self.store.set_scope(case.problem.key, scope, case.at, case.problem.revision)
                await wait(news, left)
        scope = await self._keep(case, await self._elsewhere(case, probe, said))
        if scope.verdict is not ScopeVerdict.UNKNOWN or said.passes or not said.unclear:
            return None
        return Unclear(probe, frozenset(node for node, _ in said.unclear))

    def _left(self, probe: Probe) -> float:
        """Return how many seconds answers are waited for."""
        return (probe.deadline - self.clock()).total_seconds()

    async def _elsewhere(self, case: _Case, probe: Probe, said: Said) -> Comparison:
        """Return what is known now, with what other images of the registry do."""
        problem, cluster = case.problem, case.problem.key.cluster
        self.rounds.note_passes(cluster, probe.image, said.passes)
        if problem.key.kind is not SubjectKind.REGISTRY:
            return self._comparison(case, said, "")
        elsewhere = self.rounds.elsewhere(cluster, case.registry, {case.image}, problem.first_seen)
        if elsewhere:
            images = {case.image, *await self.store.failing_images(problem.key, MOST_IMAGES)}
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

    async def _keep(self, case: _Case, comparison: Comparison) -> Scope:
        scope = judge(comparison)
        await self.store.set_scope(case.problem.key, scope, case.at, case.problem.revision)
        self.metrics.scopes.labels(scope.verdict).inc()
        return scope
