"""Second opinions: a few other nodes are asked to walk, once for all who want to know, and what they say is sorted."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pullwhy.collector.compare.asking import Fleet, choose
from pullwhy.collector.compare.scope import may_be_one_fault
from pullwhy.collector.fleet import FleetStore, Probe, Purpose, StoredProblem, Walk, WalkState
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.pace import Pace
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId

WINDOW: Final = timedelta(seconds=60)
"""An answer of so long ago counts, and nobody is asked the same again before."""
LONGEST_WINDOW: Final = timedelta(minutes=10)
"""Of a problem that lasts, nodes are asked less and less often, up to this."""
PATIENCE: Final = timedelta(seconds=3)
"""How long answers are waited for."""
LONG_PATIENCE: Final = timedelta(seconds=15)
"""For faults that show only when a connection or a nameserver did not answer in time."""
_SLOW: Final = frozenset(
    {CauseId.CONNECTION_TIMED_OUT, CauseId.TLS_HANDSHAKE_TIMED_OUT, CauseId.DNS_SERVER_FAILURE, CauseId.PROXY_FAILED}
)
ASKED_BY: Final = "collector"
REGISTRY_PER_SECOND: Final = 1.0
"""Rounds about images of one registry, over time: each is a few requests to it."""
REGISTRY_AT_ONCE: Final = 5.0
MOST_REMEMBERED: Final = 5000
_MOST_PASSES: Final = 64
UNANSWERED: Final = frozenset({WalkState.WAITING, WalkState.ASKED})


@dataclass(frozen=True, slots=True)
class Said:
    """What the nodes that were asked said, those left out that have a finding of their own."""

    passes: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    """By the same fault."""
    unclear: tuple[tuple[str, str], ...] = ()
    """Each node that told neither, and why."""
    waiting: int = 0
    """Of those, how many may still answer."""

    @property
    def asked(self) -> int:
        """How many nodes these are."""
        return len(self.passes) + len(self.fails) + len(self.unclear)


@dataclass(slots=True)
class Rounds:
    """Who was asked what lately. Another collector that asks at the same time makes the same round of it."""

    store: FleetStore
    clock: Callable[[], datetime]
    patience: timedelta = PATIENCE
    _by_problem: OrderedDict[str, Probe] = field(default_factory=OrderedDict)
    _by_image: OrderedDict[str, Probe] = field(default_factory=OrderedDict)
    _paces: OrderedDict[tuple[str, str], Pace] = field(default_factory=OrderedDict)
    _turns: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)
    """When the last of those comes again that wait for a round of a registry."""
    _passes: OrderedDict[tuple[str, str], deque[tuple[datetime, str, str]]] = field(default_factory=OrderedDict)

    def known(self, problem: StoredProblem, image: str) -> Probe | None:
        """Return the round that is known here and whose answers still count for a problem."""
        since = self._since(problem)
        for known in (
            self._by_problem.get(problem.key.id),
            self._by_image.get(f"{problem.key.cluster}\n{image}"),
        ):
            if known and known.asked_at > since:
                return known
        return None

    async def latest(self, problem: StoredProblem, image: str) -> Probe | None:
        """Return the round whose answers still count for a problem, whoever asked; raises StoreError."""
        if known := self.known(problem, image):
            return known
        now, since = self.clock(), self._since(problem)
        for moment in (now, now - WINDOW):  # another collector may have asked
            found = await self.store.probe_alone(round_id(problem.key.cluster, image, moment))
            if found and found.asked_at > since:
                self._remember(problem, found)
                return found
        return None

    def _since(self, problem: StoredProblem) -> datetime:
        now = self.clock()
        return now - min(max((now - problem.first_seen) / 2, WINDOW), LONGEST_WINDOW)

    def turn(self, cluster: str, registry: str, *, spare: bool = False) -> float:
        """Spend one round of a registry and return 0; where none is left, return in how many seconds to come again, each at another time.

        A `spare` one is spent only while nobody waits for his turn, and no turn is kept for who asks for it.
        """
        pace = self._paces.get((cluster, registry))
        if pace is None:
            pace = self._paces[cluster, registry] = Pace(REGISTRY_PER_SECOND, REGISTRY_AT_ONCE, time.monotonic)
            _bound(self._paces)
        now = time.monotonic()
        if spare and self._turns.get((cluster, registry), now) > now:
            return 1 / REGISTRY_PER_SECOND
        if not pace.try_spend():
            return 0.0
        if spare:
            return 1 / REGISTRY_PER_SECOND
        turn = max(self._turns.pop((cluster, registry), now), now) + 1 / REGISTRY_PER_SECOND
        self._turns[cluster, registry] = min(turn, now + WINDOW.total_seconds())
        _bound(self._turns)
        return self._turns[cluster, registry] - now

    async def ask(
        self,
        problem: StoredProblem,
        image: str,
        fleet: Fleet,
        failing: Collection[str],
        *,
        registry: str,
        connected: AbstractSet[str],
        last: AbstractSet[str],
        most: int,
        after: Probe | None = None,
    ) -> Probe | None:
        """Ask some nodes, once more where the round `after` left it open; None where there are none to ask. Raises StoreError."""
        now = self.clock()
        asked = self._by_image.get(f"{problem.key.cluster}\n{image}")
        if asked and asked != after and now - asked.asked_at < WINDOW:  # by another problem of the image, a moment ago
            self._remember(problem, asked)
            return asked
        probe_id = following_id(after.id) if after else round_id(problem.key.cluster, image, now)
        nodes = choose(fleet, failing, registry, connected=connected, last=last, most=most, seed=probe_id)
        if not nodes:
            return None
        patience = max(LONG_PATIENCE, self.patience) if problem.key.cause in _SLOW else self.patience
        probe = Probe(
            probe_id, problem.key.cluster, image, Purpose.SECOND_OPINION, now, now + patience, ASKED_BY, problem.key.id
        )
        if not await self.store.add_probe(probe, nodes):
            probe = (
                await self.store.probe_alone(probe_id) or probe
            )  # another collector was quicker: its deadline counts
        self._remember(problem, probe)
        return probe

    def note_passes(self, cluster: str, image: str, nodes: Iterable[str]) -> None:
        """Remember which nodes would pull an image: its registry serves."""
        registry = _registry(image)
        passes = self._passes.pop((cluster, registry), deque(maxlen=_MOST_PASSES))
        now, known = self.clock(), {(told, node) for _, told, node in passes}
        passes.extend((now, image, node) for node in nodes if (image, node) not in known)
        self._passes[cluster, registry] = passes
        _bound(self._passes)

    def elsewhere(self, cluster: str, registry: str, images: Collection[str], since: datetime) -> int:
        """Count the nodes that would pull another image of a registry than these, since then."""
        since = max(since, self.clock() - LONGEST_WINDOW)
        passes = self._passes.get((cluster, registry), ())
        return len({node for at, image, node in passes if at >= since and image not in images})

    def _remember(self, problem: StoredProblem, probe: Probe) -> None:
        self._by_problem[problem.key.id] = probe
        self._by_image[f"{probe.cluster}\n{probe.image}"] = probe
        _bound(self._by_problem)
        _bound(self._by_image)


def round_id(cluster: str, image: str, now: datetime) -> str:
    """Return the id of a round: of image and time, so that neither two collectors nor two problems ask the same twice."""
    window = int(now.timestamp() // WINDOW.total_seconds())
    return "so-" + hashlib.sha256(f"{cluster}\n{image}\n{window}".encode()).hexdigest()[:24]


def following_id(probe_id: str) -> str:
    """Return the id of the round that follows one whose answers left it open: again the same for all who know that one."""
    first, _, number = probe_id.removeprefix("so-").partition("-")
    return f"so-{first}-{int(number or 0) + 1}"


def sort(walks: Sequence[Walk], cause: CauseId, failing: AbstractSet[str]) -> Said:
    """Return what the walks of a round say about a fault of this cause."""
    passes: list[str] = []
    fails: list[str] = []
    unclear: list[tuple[str, str]] = []
    waiting = 0
    for walk in walks:
        if walk.node in failing:
            continue
        if walk.state is WalkState.PASSES:
            passes.append(walk.node)
        elif walk.state is WalkState.FAILS and (other := cause_of(walk)) is not None:
            if may_be_one_fault(cause, other):
                fails.append(walk.node)
            else:
                unclear.append((walk.node, f"fails otherwise, {other}"))
        else:
            waiting += walk.state in UNANSWERED
            unclear.append((walk.node, _why(walk)))
    return Said(tuple(passes), tuple(fails), tuple(unclear), waiting)


def cause_of(walk: Walk) -> CauseId | None:
    """Return by what a walk failed, None where its document does not tell."""
    try:
        return decode(walk.document).diagnosis.cause
    except InvalidDocument:
        return None


def canonical(image: str) -> str:
    """Return an image as rounds name it: the same however a pod spells it."""
    return image_columns(image)[0]


def _why(walk: Walk) -> str:
    if walk.state in UNANSWERED:
        return "no answer yet"
    if walk.state is WalkState.LATE:
        return "no answer in time"
    if walk.state is WalkState.REFUSED:
        return f"refused to walk: {walk.reason}" if walk.reason else "refused to walk"
    return walk.reason or "could not tell"


def _registry(image: str) -> str:
    try:
        return parse(image).registry
    except InvalidReference:
        return ""


def _bound(known: OrderedDict[Any, Any]) -> None:
    if len(known) > MOST_REMEMBERED:
        known.popitem(last=False)
