"""Runs the investigations of an agent: few at a time, one for each registry, a first word from the text where the walk takes long."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from pullwhy.diagnose.case import Adopted
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.model import CauseId, Confidence, PullFailure
from pullwhy.node.incidents.findings import Judged, Subject
from pullwhy.node.incidents.incidents import Incident
from pullwhy.node.incidents.quiet import Quiet
from pullwhy.node.investigate.investigate import Investigation, hypothesis, with_failure, with_retry, with_success
from pullwhy.node.investigate.permits import Permission
from pullwhy.node.metrics import Metrics
from pullwhy.node.walk.walker import MAX_AT_ONCE

logger = logging.getLogger(__name__)

FIRST_WORD: Final = 1.0
"""Seconds after which a finding is told from the text alone, to be told again with proof."""
AT_ONCE: Final = 0.05
"""Seconds within which a reproduction, or the reason why there is none, is told together with the walk."""
MAX_KEPT: Final = 100
MAX_WALKED: Final = 4
"""Walks that serve other failures of the same image too: these come at the same moment."""


class Investigates(Protocol):
    """What node.investigate.investigate.Investigator does."""

    def by_text(self, failure: PullFailure, why: str = "") -> Investigation:
        """Judge by the text alone; `why` there was no walk."""

    async def adopt(self, failure: PullFailure, other: Adopted, why: str) -> Investigation:
        """Judge by the text and by what another node proved; `why` there was no walk."""

    async def look(self, image: str, failure: PullFailure | None = None) -> Investigation:
        """Walk and judge."""

    async def reproduce(self, found: Investigation, window: timedelta) -> Investigation:
        """Ask the runtime, where that is safe."""


class AsksWhen(Protocol):
    """What node.investigate.permits.Permits does."""

    async def when(self, image: ImageReference, cause: CauseId | None) -> Permission | None:
        """Return when to walk; None where nobody answers."""


class Postponed(Exception):
    """No walk is made before a time that has not come."""

    def __init__(self, until: datetime, why: str) -> None:
        super().__init__(why)
        self.until = until


class HeldBack(Postponed):
    """The registry asked to be left alone."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until, f"not asked before {until:%H:%M:%S} UTC: the registry's rate limit says so")


class Deferred(Postponed):
    """Other nodes of the fleet that fail alike walk first."""

    def __init__(self, until: datetime, adopted: Adopted | None, *, again: bool = False) -> None:
        turn = "it asks for its turn again" if again else "its turn comes"
        super().__init__(until, f"{turn} at {until:%H:%M:%S} UTC, after other nodes that fail")
        self.adopted, self.again = adopted, again


@dataclass(slots=True)
class Investigations:
    """The investigations under way and what they found."""

    investigator: Investigates
    publish: Callable[[Judged], None]
    metrics: Metrics
    clock: Callable[[], datetime]
    quiet: Quiet
    walks: int = 2
    permits: AsksWhen | None = None
    apart: frozenset[str] = frozenset()
    """Namespaces with pull secrets of their own: no other's pods are served by the same walk."""
    first_word: float = FIRST_WORD
    found: dict[Subject, Investigation] = field(default_factory=dict)
    """What is not proved and may be judged again."""
    told: set[Subject] = field(default_factory=set)
    """What was walked and published."""
    _walked: dict[tuple[str, str], Investigation] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(init=False)
    _registries: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _looking: int = 0

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.walks)

    async def investigate(self, incident: Incident, *, ask: bool = True) -> Investigation:
        """Find out why the image of `incident` fails, and publish each step that is known; `ask` when to walk, where somebody says that.

        Raises Postponed; what is known without a walk is published then, unless more is known.
        """
        failure = incident.failure()
        subject = (incident.image, incident.topic)
        first_word = asyncio.create_task(self._first_word(subject, failure))
        try:
            if ask and self._earlier(incident, failure) is None:
                await self._wait_for_turn(incident.image, failure)
            found = await self._look(incident, failure)
        except Postponed as why:
            if subject not in self.told:
                self._publish(subject, await self._without_walk(failure, why), keep=False)
            raise
        finally:
            first_word.cancel()
            await asyncio.wait([first_word])
        return await self._reproduce(incident, found)

    async def _reproduce(self, incident: Incident, found: Investigation) -> Investigation:
        subject = (incident.image, incident.topic)
        window = timedelta(seconds=incident.backoff.seconds)
        asking = asyncio.ensure_future(self.investigator.reproduce(found, window))
        try:
            done, _ = await asyncio.wait([asking], timeout=AT_ONCE)
            if not done:
                self._publish(subject, found)
            found = await asking
        finally:
            asking.cancel()
        if found.case.reproduction is not None:
            self.metrics.reproductions.add(outcome=found.case.reproduction.outcome)
        self._publish(subject, found)
        return found

    def tried_again(self, incident: Incident) -> None:
        """Take note of the kubelet's own next try: where proof is missing it may be one."""
        subject = (incident.image, incident.topic)
        found = self.found.get(subject)
        if found is None:
            return
        before = found.case.failure
        if before is not None and incident.last_attempt > before.when:
            self._publish(subject, with_retry(found, incident.failure()))

    def recovered(self, incident: Incident) -> None:
        """Take note that the runtime pulled the image: what was not proved turns out to have been transient."""
        subject = (incident.image, incident.topic)
        found = self.found.get(subject)
        if found is not None:
            self._publish(subject, with_success(found))

    def busy(self) -> bool:
        """Whether walks of this node's own failures take all the room that there is, or wait for some."""
        return self._looking >= min(self.walks, MAX_AT_ONCE)

    def note(self, found: Investigation) -> None:
        """Take note of a walk that was made on behalf of others: its registry may have asked to be left alone."""
        self.quiet.note(found.case.image_text, found.diagnosis, found.case.trace, self.clock())

    def limited(self, image: str) -> datetime | None:
        """Return until when the registry of `image` is not to be asked on behalf of others; None where it may be."""
        return self.quiet.for_others(image, self.clock())

    def forget(self, subjects: set[Subject]) -> None:
        """Keep only these."""
        for subject in self.found.keys() - subjects:
            del self.found[subject]
        self.told &= subjects
        for registry in [name for name, lock in self._registries.items() if not lock.locked()]:
            del self._registries[registry]

    async def _first_word(self, subject: Subject, failure: PullFailure) -> None:
        await asyncio.sleep(self.first_word)
        if subject not in self.told:
            self._publish(subject, self.investigator.by_text(failure), keep=False)

    async def _without_walk(self, failure: PullFailure, why: Postponed) -> Investigation:
        if isinstance(why, Deferred) and why.adopted is not None:
            return await self.investigator.adopt(failure, why.adopted, str(why))
        return self.investigator.by_text(failure, str(why))

    async def _wait_for_turn(self, image: str, failure: PullFailure) -> None:
        """Ask when to walk; raises Postponed where that is not now."""
        self._leave_alone(image)
        try:
            reference = parse(image)
        except InvalidReference:
            return  # no registry is asked for it
        if self.permits is None:
            return
        told = hypothesis(failure.message)
        cause = told.cause if told is not None and told.cause is not CauseId.UNDETERMINED else None
        answer = await self.permits.when(reference, cause)
        if answer is not None and answer.wait > 0:
            raise Deferred(self.clock() + timedelta(seconds=answer.wait), answer.adopted, again=answer.again)

    def _leave_alone(self, image: str) -> None:
        """Raise HeldBack where the registry said so."""
        held = self.quiet.until(image, self.clock())
        if held is not None:
            raise HeldBack(held)

    def _earlier(self, incident: Incident, failure: PullFailure) -> Investigation | None:
        """Return a walk that serves this failure too: it was made after it, with the same credentials."""
        walked = self._walked.get(self._shared(incident))
        return walked if walked is not None and walked.case.now >= failure.when and not walked.our_fault else None

    def _shared(self, incident: Incident) -> tuple[str, str]:
        """Return what a walk serves: an image, of one namespace where that has pull secrets of its own."""
        namespace = incident.pod.namespace if incident.pod else ""
        return incident.image, namespace if namespace in self.apart else ""

    async def _look(self, incident: Incident, failure: PullFailure) -> Investigation:
        if not incident.image:
            return self.investigator.by_text(failure)
        # The part before the first slash will do: it only keeps walks of one host apart in time.
        async with self._registries[incident.image.partition("/")[0]]:
            walked = self._earlier(incident, failure)
            if walked is not None:
                return with_failure(walked, failure)  # one walk serves all pods that failed before it
            self._leave_alone(incident.image)
            found = await self._walk(incident.image, failure)
            self._walked[self._shared(incident)] = found
            while len(self._walked) > MAX_WALKED:
                self._walked.pop(next(iter(self._walked)))
            return found

    async def _walk(self, image: str, failure: PullFailure) -> Investigation:
        self._looking += 1
        try:
            async with self._slots:
                began = asyncio.get_running_loop().time()
                found = await self.investigator.look(image, failure)
                self.metrics.walk_seconds.add(asyncio.get_running_loop().time() - began)
                self.metrics.walks.add(outcome="error" if found.our_fault else "ok")
                self.quiet.note(image, found.diagnosis, found.case.trace, self.clock())
                return found
        finally:
            self._looking -= 1

    def _publish(self, subject: Subject, found: Investigation, *, keep: bool = True) -> None:
        if keep:
            self._keep(subject, found)
        self.publish(self._judged(subject, found))

    def _keep(self, subject: Subject, found: Investigation) -> None:
        """Keep what may be judged again: what is proved will not be, until it is walked again."""
        self.told.add(subject)
        self.found.pop(subject, None)
        if found.diagnosis.confidence is Confidence.PROVED:
            return
        if len(self.found) >= MAX_KEPT:
            self.found.pop(next(iter(self.found)))
        self.found[subject] = found

    def _judged(self, subject: Subject, found: Investigation) -> Judged:
        case = found.case
        trace = tuple(result.line() for result in case.trace.results) if case.trace else ()
        registry = case.image.registry if case.image else ""
        return Judged(*subject, registry, found.diagnosis, trace, case.reproduction)
