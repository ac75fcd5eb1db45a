"""Walks that the collector asks for: within this node's own budgets and destinations, one at a time, never a pull."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.node.metrics import Metrics
from pullwhy.node.report.budget import Budget, Rate
from pullwhy.node.report.opinion import Opinion, opinion, refused, undecided
from pullwhy.node.walk.reach import HERE, Reach
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.text import printable

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 8
"""Requests that are worked on or wait for it; more are refused."""
MAX_ID: Final = 128
DEFAULT_SECONDS: Final = 30.0
MAX_SECONDS: Final = 120.0
"""Of a deadline."""
MARGIN: Final = 0.3
"""Seconds of a deadline that are kept for judging and answering."""
LEAST_SECONDS: Final = 0.5
"""A walk for which less time is left is not begun."""
EACH_REGISTRY: Final = Rate(at_once=6, per_second=0.1)
TOTAL: Final = Rate(at_once=20, per_second=1 / 3)
MAX_KEPT: Final = 16
"""Answers that are kept for the next who asks."""
FRESH: Final = {pb.WalkRequest.SECOND_OPINION: 30.0}
FRESH_FOR_PEOPLE: Final = 5.0
"""Seconds for which an answer serves again: whoever mended something and asks anew wants a new walk."""
LOOK_AGAIN: Final = 0.05
"""Seconds between two looks whether this node's own walks left room."""
REFUSALS_LOGGED: Final = 50


class OwnWalks(Protocol):
    """The walks for this node's own failures, which go first; node.investigate.investigations.Investigations is the real one."""

    def busy(self) -> bool:
        """Whether they take all the room that there is."""

    def limited(self, image: str) -> datetime | None:
        """Return until when the registry of `image` is not to be asked on behalf of others."""

    def note(self, found: Investigation) -> None:
        """Take note of what a registry answered to a walk on behalf of others."""


class Looks(Protocol):
    """Walks and judges; node.investigate.investigate.Investigator is the real one."""

    async def look(self, image: str, *, reach: Reach, within: float) -> Investigation:
        """Walk for at most `within` seconds, and judge."""


class KnowsRegistries(Protocol):
    """node.report.registries.NodeRegistries is the real one."""

    async def reach(self, registry: str) -> Reach | None:
        """Return how far a walk may lead; None where the registry is not to be walked."""


@frozen
class Parts:
    """What requests are answered with."""

    looks: Looks
    own: OwnWalks
    fails: Callable[[str], bool]
    """Whether the kubelet fails on an image here, now."""
    registries: KnowsRegistries
    identity: Identity
    clock: Callable[[], datetime]
    metrics: Metrics


@frozen
class _Request:
    id: str
    image: str
    reference: ImageReference
    fresh: float
    deadline: float
    """On the loop's clock."""


class WalkRequests:
    """Takes requests of one collector at a time. `take` and `cancel` never wait."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._budget = Budget(EACH_REGISTRY, TOTAL)
        self._kept: dict[str, tuple[float, Opinion]] = {}
        self._logged: set[str] = set()

    def take(self, request: pb.WalkRequest, send: Callable[[pb.WalkAnswer], None]) -> None:
        """Take a request in; the answer is given to `send`, unless it is cancelled before."""
        if not 0 < len(request.id) <= MAX_ID or request.id in self._tasks:
            self._parts.metrics.walk_requests.add(outcome="dropped")
            self._say("a walk request without a usable id of its own")
            return
        now = asyncio.get_running_loop().time()
        read = self._read(request, now)
        known = read if isinstance(read, Opinion) else self._recent(read, now)
        if known is None and len(self._tasks) >= MAX_WAITING:
            known = refused(f"{MAX_WAITING} other requests wait here")
        if known is not None or isinstance(read, Opinion):
            self._answer(request.id, known or refused(""), send)
            return
        task = asyncio.create_task(self._serve(read, send), name=f"walk request {request.id!r}")
        self._tasks[request.id] = task
        task.add_done_callback(lambda done: self._done(request.id, done))

    def cancel(self, request_id: str) -> None:
        """Give a request up; it is not answered."""
        task = self._tasks.get(request_id)
        if task is not None:
            task.cancel()

    def lost(self) -> None:
        """Give up what was asked over a stream that is gone."""
        for task in self._tasks.values():
            task.cancel()

    def _read(self, request: pb.WalkRequest, now: float) -> _Request | Opinion:
        try:
            reference = parse(request.image)
        except InvalidReference as error:
            return refused(f"no image reference: {error.fault}")
        seconds = min(request.deadline_ms / 1000 or DEFAULT_SECONDS, MAX_SECONDS)
        fresh = FRESH.get(request.purpose, FRESH_FOR_PEOPLE)
        return _Request(request.id, request.image, reference, fresh, now + seconds)

    async def _serve(self, request: _Request, send: Callable[[pb.WalkAnswer], None]) -> None:
        try:
            async with asyncio.timeout_at(request.deadline - MARGIN / 2):
                answer = await self._decide(request)
        except TimeoutError:
            answer = undecided("the deadline passed")
        except Exception as error:  # one image's trouble is not to end the others'
            logger.exception("the walk of %r that was asked for failed", request.image[:200])
            answer = undecided(f"a fault of pullwhy: {type(error).__name__}")
        self._answer(request.id, answer, send)

    async def _decide(self, request: _Request) -> Opinion:
        loop = asyncio.get_running_loop()
        async with self._turn:
            known = self._recent(request, loop.time())
            if known is not None:
                return known
            reach = await self._reach(request)
            if isinstance(reach, Opinion):
                return reach
            while self._parts.own.busy():
                if request.deadline - loop.time() < LEAST_SECONDS:
                    return refused("the walks for this node's own failures took all the time")
                await asyncio.sleep(LOOK_AGAIN)
            within = request.deadline - MARGIN - loop.time()
            if within < LEAST_SECONDS:
                return refused("too little time was left when its turn came")
            if not self._budget.take(request.reference.registry, loop.time()):
                return refused(f"this node was asked to walk {request.reference.registry} too often lately")
            return await self._walk(request, reach, within)

    async def _walk(self, request: _Request, reach: Reach, within: float) -> Opinion:
        loop = asyncio.get_running_loop()
        found = await self._parts.looks.look(request.image, reach=reach, within=within)
        self._parts.own.note(found)
        answer = opinion(found, self._parts.identity, self._parts.clock())
        self._kept.pop(str(request.reference), None)
        self._kept[str(request.reference)] = (loop.time(), answer)
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        longest = max(*FRESH.values(), FRESH_FOR_PEOPLE)
        loop.call_later(longest, self._forget, loop.time())
        return answer

    async def _reach(self, request: _Request) -> Reach | Opinion:
        """Return how far the walk may lead, or why there is none."""
        until = self._parts.own.limited(request.image)
        if until is not None:
            return refused(
                f"{request.reference.registry} said that too much was asked of it; not before {until:%H:%M:%S} UTC"
            )
        if self._parts.fails(request.image):
            return HERE
        registry = request.reference.registry
        return await self._parts.registries.reach(registry) or refused(
            f"this node has nothing to do with {registry}: it holds no image of it, its runtime's configuration does not name it, and"
            " the agent's walk_requests.registries does not list it"
        )

    def _recent(self, request: _Request, now: float) -> Opinion | None:
        when, answer = self._kept.get(str(request.reference), (-math.inf, None))
        return answer if now - when <= request.fresh else None

    def _forget(self, before: float) -> None:
        for image in [image for image, (when, _) in self._kept.items() if when <= before]:
            del self._kept[image]

    def _done(self, request_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[request_id]
        if task.cancelled():
            self._parts.metrics.walk_requests.add(outcome="cancelled")

    def _answer(self, request_id: str, answer: Opinion, send: Callable[[pb.WalkAnswer], None]) -> None:
        outcome = pb.WalkAnswer.Outcome.Name(answer.outcome).lower()
        self._parts.metrics.walk_requests.add(outcome=outcome)
        if answer.outcome == pb.WalkAnswer.REFUSED:
            self._say(f"a walk request was refused: {answer.reason}")
        send(answer.message(request_id))

    def _say(self, what: str) -> None:
        """Log each thing once: who asks may ask without end."""
        if what not in self._logged and len(self._logged) < REFUSALS_LOGGED:
            self._logged.add(what)
            logger.warning("%s", printable(what, 600))
