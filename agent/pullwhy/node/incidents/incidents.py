"""What fails on this node now: one incident for each pod, container and image, from the first failure line to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import CauseId, KubeletHint, PodRef, PullFailure, Reason, State
from pullwhy.node.incidents.backoff import NO_BACKOFF, Backoff, advance

MAX_INCIDENTS: Final = 2000
"""A node runs some hundred pods; beyond this the one that was silent for longest is dropped and counted."""
SILENCE: Final = timedelta(minutes=15)
"""A kubelet logs a pod that waits every 10 to 15 seconds; after so long without a line the pod is gone."""
GRACE: Final = timedelta(seconds=30)
"""How long an incident waits for CRI to know its pod, before the line counts as forged or outlived."""
BLIND_GRACE: Final = timedelta(seconds=5)
"""The same where CRI never answered since the agent's start: waiting longer brings no answer, and the finding says that the pod is
not confirmed. Where it did answer it is likely to come back, and is waited for."""
LOOKS: Final = 2
"""How often in a row a pod must be missing from CRI: the kubelet replaces sandboxes."""

LATEST: Final = ":latest"
"""The kubelet's pull lines add it to an image without a tag, its back-off lines do not (kubelet 1.24 to 1.36: images/image_manager.go)."""

Key = tuple[str, str, str]
"""Pod uid (or namespace/name), container, image."""
Topic = str
"""What a text says, without what varies between two tries: equal topics need one diagnosis."""


@frozen
class Incident:
    """One container that cannot have its image."""

    image: str
    """As the pod names it; empty while no line told."""
    reason: Reason
    message: str
    """The last real error, kept while the kubelet backs off."""
    topic: Topic
    first_seen: datetime
    last_seen: datetime
    pod: PodRef | None = None
    """None for a pull that hangs: only the runtime tells of it, and it knows no pod."""
    container: str = ""
    unit: str = ""
    attempts: int = 0
    backoff: Backoff = NO_BACKOFF
    confirmed: bool = False
    unshown: bool = False
    """Whether it was believed without CRI, which did not answer."""
    missing: int = 0
    """Looks at CRI in a row that did not find the pod."""
    credentials_sent: bool | None = None
    """Whether any went along with the last real try, where the kubelet's lines tell."""
    hints: tuple[KubeletHint, ...] = ()
    """What the kubelet said about the credentials of the last real try."""
    tries: int = 0
    """Pulls that it logged then, one for each credential."""
    told_as: str = ""
    """The kubelet's reason when it told `message`; empty: `reason`."""
    from_file: bool = False
    """Whether the last line stood in a log file, and not in a journal."""

    @property
    def key(self) -> Key:
        """What makes this incident this one."""
        return (_pod_key(self.pod), self.container, self.image)

    @property
    def last_attempt(self) -> datetime:
        """The last real failure that was seen; the first line where none was."""
        return self.backoff.updated or self.first_seen

    def failure(self) -> PullFailure:
        """Return the incident as the failure that it stands for."""
        return PullFailure(
            self.last_seen,
            self.unit,
            self.reason,
            self.message,
            self.pod,
            self.container,
            self.image,
            self.credentials_sent,
            self.hints,
            self.tries,
            self.told_as,
            self.from_file,
        )


@frozen
class Sight:
    """What CRI shows of the node's pods at one moment."""

    pods: Mapping[str, tuple[PodRef, datetime]]
    """By uid: the pod and when its newest sandbox was made."""
    containers: Mapping[tuple[str, str], datetime]
    """By pod uid and container name: when the newest was made. A container exists only once its image does."""
    starting: tuple[PodRef, ...] = ()
    """Pods with a sandbox that is ready and no container yet: their first image is awaited, or just came."""


@frozen
class Closed:
    """An incident that ended, and how."""

    incident: Incident
    state: State


class Tracker:
    """Holds the open incidents; pure: time comes in with every call."""

    def __init__(
        self,
        topic: Callable[[str], Topic],
        incidents: Iterable[Incident] = (),
        apart: frozenset[str] = frozenset(),
    ) -> None:
        """Pods of the namespaces `apart` share their topics with no other's."""
        self._topic, self._apart = topic, apart
        self._open: dict[Key, Incident] = {}
        self._by_pod: dict[str, set[Key]] = defaultdict(set)
        for incident in incidents:
            self._put(incident)
        self.unconfirmed = 0
        """Incidents that CRI never confirmed, so they were not told."""
        self.dropped = 0
        """Incidents that were dropped because there were too many."""

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """Every open incident."""
        return tuple(self._open.values())

    def failed(self, failure: PullFailure) -> tuple[Incident | None, list[Closed]]:
        """Take one failure in; return its incident, and those that it puts an end to.

        There is no incident where the same line was seen already.
        """
        incident = self._incident(failure)
        if incident is None:
            return None, []
        closed = self._outdated(incident)
        self._put(incident)
        if len(self._open) > MAX_INCIDENTS:
            self._drop(min(self._open.values(), key=lambda each: (each.confirmed, each.last_seen)))
            self.dropped += 1
        return incident, closed

    def pulled(self, image: str, when: datetime, *, alone: bool) -> list[Closed]:
        """Take the runtime's word that it pulled `image`: a hang is over then.

        A pod that failed is not over it: its pull may have been another, with other credentials. CRI will show its container;
        only where CRI is out of reach (`alone`) the runtime's line has to do.
        """
        over = [
            each
            for each in self._open.values()
            if each.image == image and each.last_attempt <= when and (alone or each.reason is Reason.PULL_HANGS)
        ]
        return [self._close(each, State.RECOVERED) for each in over]

    def ended(self, image: str) -> list[Closed]:
        """Take the runtime's word that its pull of `image` failed: a hang is over, and the failure is told of its own."""
        hangs = [each for each in self._open.values() if each.image == image and each.reason is Reason.PULL_HANGS]
        return [self._close(each, State.SUPERSEDED) for each in hangs]

    def reconcile(self, sight: Sight | None, now: datetime, grace: timedelta = GRACE) -> list[Closed]:
        """Compare with what CRI shows; None where CRI does not answer, and then what waits is believed after the grace.

        A failed sandbox leaves nothing in CRI, so its pod is believed at once: the worst that a forged line can do there is to
        name a pod beside a fault of the node.
        """
        closed = []
        for incident in self.incidents:
            state, seen = _judge(incident, sight, now, grace)
            if state is not None:
                closed.append(self._close(incident, state))
            elif seen is None:
                self._drop(incident)
                self.unconfirmed += 1
            else:
                self._open[incident.key] = seen
        return closed

    def expire(self, now: datetime) -> list[Closed]:
        """Close what no line told of for a quarter of an hour."""
        return [self._close(each, State.GONE) for each in self.incidents if now - each.last_seen > SILENCE]

    def _put(self, incident: Incident) -> None:
        self._open[incident.key] = incident
        self._by_pod[incident.key[0]].add(incident.key)

    def _drop(self, incident: Incident) -> None:
        del self._open[incident.key]
        keys = self._by_pod[incident.key[0]]
        keys.discard(incident.key)
        if not keys:
            del self._by_pod[incident.key[0]]

    def _of_pod(self, pod: str) -> list[Incident]:
        return [self._open[key] for key in sorted(self._by_pod.get(pod, ()))]

    def _close(self, incident: Incident, state: State) -> Closed:
        self._drop(incident)
        return Closed(incident, state)

    def _incident(self, failure: PullFailure) -> Incident | None:
        """Return the incident with `failure` added; None where the same line was seen already."""
        image = failure.image or self._image(failure)
        real = failure.reason is not Reason.IMAGE_PULL_BACK_OFF
        pod = (_pod_key(failure.pod), failure.container)
        known = self._open.get((*pod, image)) or self._open.get((*pod, image.removesuffix(LATEST)))
        if known is not None:
            image = known.image
        elif (other := self._open.get((*pod, image + LATEST)) or self._open.get((*pod, ""))) is not None:
            self._drop(other)  # a later line tells its image, or how the pod itself spells it
            known = other
        topic = self._topic(failure.message)
        hints = failure.hints if real or known is None else known.hints
        if topic:  # the same words have another cause where the kubelet could not get the credentials
            topic = "/".join((topic, *sorted({hint.kind for hint in hints})))
        told = bool(topic)
        if failure.pod is not None and failure.pod.namespace in self._apart:
            topic = f"{topic}/in {failure.pod.namespace}"
        if known is None:
            known = Incident(
                image,
                failure.reason,
                failure.message,
                topic,
                failure.when,
                failure.when,
                failure.pod,
                failure.container,
                credentials_sent=failure.credentials_sent,
                hints=hints,
                tries=failure.tries,
            )
        elif failure.when == known.last_seen and failure.reason is known.reason and known.image:
            return None
        if real or told:  # a back-off line of a kubelet up to 1.31 holds no cause
            known = replace(
                known, message=failure.message, topic=topic, told_as=failure.told_as or failure.reason.value
            )
        if real:
            hang = failure.reason is Reason.PULL_HANGS
            known = replace(
                known,
                reason=failure.reason,
                credentials_sent=failure.credentials_sent,
                hints=hints,
                tries=failure.tries,
                attempts=1 if hang else known.attempts + 1,
                backoff=NO_BACKOFF if hang else advance(known.backoff, failure.reason, failure.when),
            )
        return replace(known, image=image, last_seen=failure.when, unit=failure.unit, from_file=failure.from_file)

    def _image(self, failure: PullFailure) -> str:
        pod = _pod_key(failure.pod)
        same = [each for each in self._of_pod(pod) if each.container == failure.container]
        return max(same, key=lambda each: each.last_seen).image if same else ""

    def _outdated(self, incident: Incident) -> list[Closed]:
        """Close what this failure shows to be over: an older image of the container, or the pod's sandbox image."""
        pod, container, image = incident.key
        if not pod:
            return []
        closed = []
        for other in self._of_pod(pod):
            if other.key == incident.key:
                continue
            if other.container == container and image and other.image:
                closed.append(self._close(other, State.SUPERSEDED))
            elif container and other.reason is Reason.CREATE_POD_SANDBOX_ERROR:
                closed.append(self._close(other, State.RECOVERED))
        return closed


def _pod_key(pod: PodRef | None) -> str:
    return pod.key if pod else ""


def _judge(
    incident: Incident, sight: Sight | None, now: datetime, grace: timedelta
) -> tuple[State | None, Incident | None]:
    """Return how the incident ended, or itself as it goes on; neither where it is not to be believed."""
    if incident.pod is None:
        return None, replace(incident, confirmed=True)
    sandbox = incident.reason is Reason.CREATE_POD_SANDBOX_ERROR
    if sight is None:
        # That the runtime is away is seen here too; anything else waits for it to come back.
        agrees = incident.topic.startswith(CauseId.RUNTIME_UNAVAILABLE)
        if incident.confirmed or sandbox or agrees:
            return None, replace(incident, confirmed=True)
        waited = now - incident.first_seen > grace
        return None, replace(incident, confirmed=waited, unshown=waited)
    found = sight.pods.get(incident.pod.uid)
    if sandbox:
        recovered = found is not None and found[1] > incident.last_seen
        return State.RECOVERED if recovered else None, replace(incident, confirmed=True)
    made = sight.containers.get((incident.pod.uid, incident.container))
    if made is not None and made > incident.last_attempt:
        return State.RECOVERED, incident
    if found is not None and (found[0].namespace, found[0].name) == (incident.pod.namespace, incident.pod.name):
        return None, replace(incident, confirmed=True, unshown=False, missing=0)
    if not incident.confirmed:
        return None, None if now - incident.first_seen > GRACE else incident
    missing = incident.missing + 1
    return State.GONE if missing >= LOOKS else None, replace(incident, missing=missing)
