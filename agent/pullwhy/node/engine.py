"""The agent's core: lines in, findings out. Everything in it happens on one event loop, in small steps."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, PullFailure, Reason, State
from pullwhy.node.incidents.findings import Identity, Judged, Ledger, Subject
from pullwhy.node.incidents.hangs import Hangs
from pullwhy.node.incidents.incidents import BLIND_GRACE, GRACE, Closed, Incident, Tracker
from pullwhy.node.incidents.quiet import Quiet
from pullwhy.node.incidents.remarks import queue_behind
from pullwhy.node.incidents.schedule import Schedule
from pullwhy.node.investigate.investigate import topic
from pullwhy.node.investigate.investigations import Deferred, HeldBack, Investigations
from pullwhy.node.parts import Parts
from pullwhy.node.state import Kept
from pullwhy.text import counted
from pullwhy.watch.cursor import Positions
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind
from pullwhy.watch.failures import Recogniser
from pullwhy.watch.lines import LogLine

logger = logging.getLogger(__name__)

LOOK: Final = timedelta(seconds=30)
"""How often CRI is asked about pods while something fails."""
LOOK_SOON: Final = timedelta(seconds=1)
"""The least time between two such looks, when something waits for one."""
AFTER_PULL: Final = (timedelta(seconds=2), timedelta(seconds=10))
"""When to look for the container after the runtime pulled its image."""
TICK: Final = 5.0
"""Seconds between two steps while something fails and nothing happens."""
IDLE: Final = 60.0
"""The same while nothing fails."""
SUPPRESSED_FOR: Final = timedelta(minutes=10)


class Engine:
    """Holds what fails on this node and works on it. `take` never waits; `run` does the rest."""

    def __init__(self, identity: Identity, parts: Parts, kept: Kept) -> None:
        self._parts = parts
        self.positions: Positions = kept.positions
        """Of the sources: moved by them once their lines are taken."""
        self._recogniser = Recogniser()
        self._tracker = Tracker(topic, kept.incidents, parts.apart)
        under_way = {pull.image: pull for pull in kept.pulls}
        self._hangs = Hangs(parts.hang_after, parts.hang_after_blind, under_way)
        parts.remarks.lines_lost = self._suppressed_lately
        self._schedule = Schedule(parts.chance, {(each.image, each.topic): each for each in kept.walked})
        self._ledger = Ledger.restore(identity, kept.records)
        self.investigations = Investigations(
            parts.investigator,
            self._publish,
            parts.metrics,
            parts.clock,
            Quiet(parts.chance),
            walks=parts.walks,
            permits=parts.permits,
            apart=parts.apart,
            told={subject for subject, each in self._schedule.walked.items() if not each.deferred},
        )
        self._closing: tuple[Incident, ...] = ()
        self._told: set[Subject] = set()
        """What was told from its text alone, see `_only_tell`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._looked: datetime | None = None
        self._looks_due: list[datetime] = []
        self._cri_answers = True
        self._said_waiting = False
        self._suppressed: datetime | None = None
        self.stepped = parts.clock()
        """When the last step was made."""
        self.changed = asyncio.Event()
        """Set whenever there is something new to keep."""
        self.moves = 0
        """How often a source moved on."""

    @property
    def active(self) -> int:
        """How many findings are active."""
        return len(self._active())

    @property
    def registries(self) -> tuple[str, ...]:
        """The registries of findings, those of active ones first: of the last hour, so that they do not come and go."""
        records = sorted(self._ledger.records.values(), key=lambda each: each.finding.state is not State.ACTIVE)
        return tuple(dict.fromkeys(each.finding.registry for each in records if each.finding.registry))

    def fails(self, image: str) -> bool:
        """Whether the kubelet fails on `image` here, now, for a pod that is known to be here."""
        return any(
            each.confirmed and self._credible(each) and _same_image(each.image, image)
            for each in self._tracker.incidents
        )

    def kept(self) -> Kept:
        """Return the present moment, to be kept."""
        return Kept(
            self.positions,
            self._tracker.incidents,
            tuple(self._ledger.records.values()),
            tuple(self._schedule.walked.values()),
            tuple(self._hangs.pulls.values()),
        )

    def take(self, lines: Iterable[LogLine]) -> None:
        """Take lines in; what they lead to happens in `run`."""
        for line in lines:
            self._parts.metrics.lines.add()
            for each in self._recogniser.feed(line):
                if isinstance(each, PullFailure):
                    self._failed(each)
                elif isinstance(each, RuntimeEvent):
                    self._event(each)

    def moved(self, positions: Positions) -> None:
        """Take note that the lines before these positions were taken."""
        self.positions = positions
        self.moves += 1

    def suppressed(self, lines: int) -> None:
        """Take note that journald dropped lines."""
        self._parts.metrics.suppressed.add(lines)
        self._suppressed = self._parts.clock()

    async def run(self) -> None:
        """Work until cancelled; investigations under way are given up then."""
        try:
            while True:
                self._wake.clear()
                await self.step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience()):
                        await self._wake.wait()
        finally:
            await self._give_up()

    async def step(self) -> None:
        """Confirm, close, investigate and tell, as far as it is due."""
        now = self._parts.clock()
        await self._look(now)
        self._close(self._tracker.expire(now))
        self._find_hangs(now)
        incidents = self._tracker.incidents
        self._schedule.forget(incidents)
        self.investigations.forget({(each.image, each.topic) for each in incidents})
        if incidents:
            fingerprint = self._parts.observer.fingerprint()
            credible = [each for each in incidents if self._credible(each)]
            for incident in self._schedule.due(credible, fingerprint, now):
                self._investigate(incident, fingerprint)
            self._only_tell(incidents, {(each.image, each.topic) for each in credible})
        self._tell()
        self._count()
        self.stepped = now

    def _credible(self, incident: Incident) -> bool:
        """Whether the image is worth a look: CRI knows no pod whose sandbox failed, so such a line may be forged.

        The runtime's own sandbox image is pulled all the time, so nobody gains by a line that names it.
        """
        own = self._parts.observer.sandbox_image()
        return incident.reason is not Reason.CREATE_POD_SANDBOX_ERROR or _same_image(incident.image, own)

    def _only_tell(self, incidents: tuple[Incident, ...], looked_at: set[Subject]) -> None:
        """Tell of what is not looked at from its text alone, once for each text."""
        others = {(each.image, each.topic): each for each in incidents if each.confirmed}
        waiting = {subject: each for subject, each in others.items() if subject not in looked_at}
        for subject, incident in waiting.items():
            if subject not in self._told:
                self._publish_text(incident)
        self._told = set(waiting)

    def _failed(self, failure: PullFailure) -> None:
        if failure.reason is Reason.CREATE_POD_SANDBOX_ERROR and not failure.image:
            failure = replace(failure, image=self._parts.observer.sandbox_image())
        self._parts.metrics.failures.add()
        incident, closed = self._tracker.failed(failure)
        self._close(closed)
        if incident is not None and failure.reason is not Reason.IMAGE_PULL_BACK_OFF:
            self.investigations.tried_again(incident)
        self._note()

    def _event(self, event: RuntimeEvent) -> None:
        self._hangs.observe(event)
        self._parts.remarks.observe(event, self._hangs.images)
        if event.succeeded:
            self._close(self._tracker.pulled(event.image, event.when, alone=not self._cri_answers))
            if any(each.image == event.image for each in self._tracker.incidents):
                self._looks_due = [event.when + after for after in AFTER_PULL]
        elif event.kind is RuntimeEventKind.PULL_ENDED:
            self._close(self._tracker.ended(event.image))
        self._note()

    def _note(self) -> None:
        self.changed.set()
        self._wake.set()

    def _patience(self) -> float:
        if self._looks_due:
            return self._until(min(self._looks_due))
        if any(not each.confirmed for each in self._tracker.incidents):
            return LOOK_SOON.total_seconds()
        turn = self._schedule.next_turn()
        longest = TICK if self._tracker.incidents or self._hangs.pulls else IDLE
        return min(longest, self._until(turn)) if turn is not None else longest

    def _until(self, moment: datetime) -> float:
        return max(0.2, (moment - self._parts.clock()).total_seconds())

    async def _look(self, now: datetime) -> None:
        """Ask CRI what became of the pods, where that is due."""
        if not self._tracker.incidents:
            self._looks_due.clear()
            return
        waiting = any(not each.confirmed for each in self._tracker.incidents)
        due = any(each <= now for each in self._looks_due)
        since = now - self._looked if self._looked is not None else LOOK
        if since < (LOOK_SOON if waiting or due else LOOK):
            return
        self._looks_due = [each for each in self._looks_due if each > now]
        self._looked = now
        sight = await self._parts.observer.sight()
        self._cri_answers = sight is not None
        grace = GRACE if self._parts.observer.cri_answered() else BLIND_GRACE
        self._close(self._tracker.reconcile(sight, self._parts.clock(), grace))
        self._parts.remarks.queue = queue_behind(self._hangs, self._tracker.incidents, sight)
        self._say_waiting(grace)

    def _say_waiting(self, grace: timedelta) -> None:
        """Say once that failures were seen and are not told yet, or the agent would seem to see nothing."""
        waiting = sum(not each.confirmed for each in self._tracker.incidents)
        if waiting and not self._said_waiting:
            why = "does not show their pods yet" if self._cri_answers else "does not answer"
            text = "%s seen to fail; waiting up to %.0f s for confirmation, as the container runtime %s"
            logger.info(text, counted(waiting, "container"), grace.total_seconds(), why)
        self._said_waiting = waiting > 0

    def _find_hangs(self, now: datetime) -> None:
        if self._hangs.overdue(now):
            observer = self._parts.observer
            for failure in self._hangs.failures(now, observer.progress(), observer.runtime_started()):
                self._failed(failure)

    def _close(self, closed: list[Closed]) -> None:
        if not closed:
            return
        # What a recovery shows belongs to the finding too, so it is told while its incidents still are its own.
        self._closing = tuple(each.incident for each in closed)
        for each in closed:
            if each.state is State.RECOVERED:
                self.investigations.recovered(each.incident)
        self._tell()
        self._closing = ()
        self._ledger.closed(closed)
        self._note()

    def _investigate(self, incident: Incident, fingerprint: str) -> None:
        subject = (incident.image, incident.topic)
        ask = not self._schedule.turn_has_come(subject, fingerprint, self._parts.clock())
        self._schedule.started(subject)
        task = asyncio.create_task(self._case(incident, fingerprint, ask=ask), name=f"investigate {incident.image}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _case(self, incident: Incident, fingerprint: str, *, ask: bool) -> None:
        subject = (incident.image, incident.topic)
        our_fault, until = True, None
        try:
            our_fault = (await self.investigations.investigate(incident, ask=ask)).our_fault
        except asyncio.CancelledError:
            self._schedule.cancelled(subject)
            raise
        except Deferred as deferred:
            self._schedule.deferred(subject, self._parts.clock(), fingerprint, deferred.until, again=deferred.again)
            self._note()
            return
        except HeldBack as held:
            our_fault, until = False, held.until
        except Exception:  # one image's trouble is not to end the others'
            logger.exception("investigating %r failed", incident.image[:200])
            self._publish_text(incident)
        self._schedule.ended(subject, self._parts.clock(), fingerprint, our_fault=our_fault, until=until)
        self._note()

    def _publish_text(self, incident: Incident) -> None:
        found = self._parts.investigator.by_text(incident.failure())
        registry = found.case.image.registry if found.case.image else ""
        self._publish(Judged(incident.image, incident.topic, registry, found.diagnosis))

    def _publish(self, judged: Judged) -> None:
        self._ledger.judged(judged)
        self._note()

    def _tell(self) -> None:
        now = self._parts.clock()
        before = self._active()
        for finding in self._ledger.changes((*self._tracker.incidents, *self._closing), now):
            self._parts.tell(finding, now)
            if finding.state is State.ACTIVE and finding.id not in before:
                self._parts.metrics.findings.add(cause=finding.diagnosis.cause)
            self.changed.set()

    def _active(self) -> dict[str, CauseId]:
        findings = (record.finding for record in self._ledger.records.values())
        return {each.id: each.diagnosis.cause for each in findings if each.state is State.ACTIVE}

    def _count(self) -> None:
        metrics = self._parts.metrics
        metrics.incidents.set(len(self._tracker.incidents))
        metrics.unconfirmed.set(self._tracker.unconfirmed)
        metrics.dropped_incidents.set(self._tracker.dropped)
        metrics.set_active(Counter(self._active().values()))

    def _suppressed_lately(self) -> bool:
        return self._suppressed is not None and self._parts.clock() - self._suppressed < SUPPRESSED_FOR

    async def _give_up(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _same_image(one: str, other: str) -> bool:
    try:
        return str(parse(one)) == str(parse(other))
    except InvalidReference:
        return False
