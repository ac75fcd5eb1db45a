"""Attends to the pods that fail: looks them up one by one, and writes an Event on each. Nothing else waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pullwhy.collector.denials import Denial, Denials, Denied
from pullwhy.collector.kubernetes import event
from pullwhy.collector.kubernetes.directory import FORBIDDEN_SECONDS, Directory, Pod
from pullwhy.collector.kubernetes.turns import Turns
from pullwhy.collector.pace import Pace
from pullwhy.collector.records import KnownPod, StoreError
from pullwhy.collector.remembered import Remembered
from pullwhy.kubernetes.client import APIError, Client
from pullwhy.model import FailingPod, Finding, State

logger = logging.getLogger(__name__)

EVENTS_PER_SECOND: Final = 5.0
"""Of all collectors of a fleet together."""
LOOKS_PER_SECOND: Final = 20.0
MOST_WAITING: Final = 5_000
"""Pods, and Events; of more, the next report of their finding is a new chance."""
MOST_OF_NODE: Final = 250
"""Of them; a node has about a hundred pods, few of which fail."""
SECOND_FAILURE: Final = 2
"""The first may pass by itself, and the kubelet says it anyway."""
WRITTEN_SECONDS: Final = 3600.0
"""How long it is known what was written: the API server itself forgets Events after an hour (--event-ttl)."""
LONGEST_PAUSE: Final = 60.0

_CONFLICT, _NOT_FOUND, _FORBIDDEN = 409, 404, 403


LeaveOut = Callable[[tuple[str, str, str], tuple[str, str]], Awaitable[None]]
"""Of `records.Store`."""
Turn = Callable[[], Awaitable[float | None]]
"""Reserves the right to write an Event: in how many seconds, None where too many wait. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class _Case:
    finding: Finding
    pod: FailingPod


class Attendant:
    """Takes findings as they are reported; `run` does the work."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        denials: Denials,
        clock: Callable[[], float],
        *,
        cluster: str,
        leave_out: LeaveOut,
        turn: Turn | None,
    ) -> None:
        """`cluster` is the one whose API it is; `leave_out` takes a pod out of a stored finding; without `turn`, no Events."""
        self._client, self._directory, self._denials, self._turn = client, directory, denials, turn
        self._cluster, self._leave_out = cluster, leave_out
        self._looks: Turns[_Case] = Turns(MOST_WAITING, MOST_OF_NODE)
        self._events: Turns[_Case] = Turns(MOST_WAITING, MOST_OF_NODE)
        self._written: Remembered[str, dict[str, Any]] = Remembered(20_000, clock)
        self._may_write_at, self._clock = 0.0, clock
        self._looks_pace = Pace(LOOKS_PER_SECOND, LOOKS_PER_SECOND, clock)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._looks.idle and self._events.idle

    @property
    def dropped(self) -> int:
        """Pods and Events that were not attended to because too many waited."""
        return self._looks.dropped + self._events.dropped

    def attend(self, finding: Finding) -> Mapping[int, KnownPod]:
        """Note a finding; return what is known of its pods by their place."""
        known: dict[int, KnownPod] = {}
        if finding.cluster != self._cluster:  # its pods' names are others' here
            return known
        for place, pod in enumerate(finding.pods):
            facts = self._directory.known(pod.namespace, pod.name, pod.uid)
            if facts is not None:
                here = facts.node == finding.node
                known[place] = KnownPod(here, facts.owner, facts.pulls(pod.container))
                if not here:
                    self._deny(finding, facts)
                    continue
            key, case = _waiting(_Case(finding, pod))
            if finding.state is not State.ACTIVE:
                self._events.drop(finding.node, key)
            if facts is None or self._wants_event(finding, pod):
                self._looks.put(finding.node, key, case)
        return known

    async def run(self) -> None:
        """Work until cancelled: Events, which are few a second, hold up no look at a pod."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._looks.run(lambda case: self._bearing(self._look(case))))
            group.create_task(self._events.run(lambda case: self._bearing(self._tell(case))))

    async def _bearing(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except APIError as error:
            await self._bear(error)
        except StoreError as error:
            logger.info("a failing pod got no Event: %s", error)
        except Exception:
            logger.exception("a fault of the collector: a failing pod was not attended to")

    async def _look(self, case: _Case) -> None:
        pod = case.pod
        if self._directory.known(pod.namespace, pod.name, pod.uid) is None:
            await asyncio.sleep(self._looks_pace.spend(1))
        facts = await self._directory.pod(pod.namespace, pod.name, pod.uid)
        if facts is None:
            # Just looked up, as every pod of another uid is: no pod that moved since.
            if self._directory.elsewhere(pod.namespace, pod.name, case.finding.node):
                await self._correct(case)
            return
        if facts.node != case.finding.node:
            await self._correct(case)
            self._deny(case.finding, facts)
            return
        if self._wants_event(case.finding, pod):
            self._events.put(case.finding.node, *_waiting(case))

    async def _tell(self, case: _Case) -> None:
        """Write the Event; the pod is looked at again where that was long ago."""
        finding, pod = case.finding, case.pod
        facts = await self._directory.pod(pod.namespace, pod.name, pod.uid)
        if self._turn is not None and facts is not None and facts.node == finding.node:
            await self._write(finding, pod, event.body(finding, pod, facts), self._turn)

    def _wants_event(self, finding: Finding, pod: FailingPod) -> bool:
        return self._turn is not None and finding.state is State.ACTIVE and pod.attempts >= SECOND_FAILURE

    def _deny(self, finding: Finding, facts: Pod) -> None:
        told = f"it reports pod {facts.namespace}/{facts.name}, which is on node '{facts.node}'"
        self._denials.note(Denied(Denial.WRONG_POD, told, f"node '{finding.node}'"), ":")

    async def _correct(self, case: _Case) -> None:
        """Take a pod of another node out of what was stored before that was known."""
        finding, pod = case.finding, case.pod
        try:
            await self._leave_out((finding.cluster, finding.node, finding.id), (pod.namespace, pod.name))
        except StoreError as error:
            logger.warning("finding %s still names a pod of another node: %s", finding.id, error)

    async def _write(self, finding: Finding, pod: FailingPod, body: dict[str, Any], turn: Turn) -> None:
        name, changed = body["metadata"]["name"], event.changes(finding, pod)
        before = self._written.get(name)
        if before == changed or self._clock() < self._may_write_at:
            return
        if (wait := await turn()) is None:
            self._events.dropped += 1
            return
        await asyncio.sleep(wait)
        path = f"/api/v1/namespaces/{pod.namespace}/events"
        if before is None:
            await self._create_or(path, body, changed)
        else:
            await self._change_or(path, body, changed)
        self._written.put(name, changed, WRITTEN_SECONDS)

    async def _create_or(self, path: str, body: dict[str, Any], changed: dict[str, Any]) -> None:
        """Create the Event; where another collector, or this one before its restart, has written it, change that."""
        try:
            await self._client.post(path, body, dict)
        except APIError as error:
            if error.status != _CONFLICT:
                raise
            await self._client.patch(f"{path}/{body['metadata']['name']}", changed, dict)

    async def _change_or(self, path: str, body: dict[str, Any], changed: dict[str, Any]) -> None:
        """Change the Event; where the API server has forgotten it, write it anew."""
        try:
            await self._client.patch(f"{path}/{body['metadata']['name']}", changed, dict)
        except APIError as error:
            if error.status != _NOT_FOUND:
                raise
            await self._client.post(path, body, dict)

    async def _bear(self, error: APIError) -> None:
        """Go on after a failure: the next report of the finding is a new chance."""
        if error.status == _FORBIDDEN and "terminat" not in str(error):
            if "/events" in str(error):
                self._may_write_at = self._clock() + FORBIDDEN_SECONDS
                logger.warning("no Events for %.0f s (grant create and patch on events): %s", FORBIDDEN_SECONDS, error)
            return
        logger.info("a failing pod was not attended to: %s", error)
        if error.passing:
            await asyncio.sleep(min(error.retry_after or 1.0, LONGEST_PAUSE))


def _waiting(case: _Case) -> tuple[Hashable, _Case]:
    # All of it: an id or a uid that an agent made up must not take the place of another's. The newest state takes that of one that waits.
    pod = case.pod
    return (case.finding.id, pod.namespace, pod.name, pod.uid, pod.container), case
