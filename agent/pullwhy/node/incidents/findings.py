"""What is told about incidents: one finding for each image and cause, from its first diagnosis until all its pods are over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.diagnose.document.finding import finding_id
from pullwhy.frozen import frozen
from pullwhy.model import (
    Diagnosis,
    Evidence,
    FailingPod,
    Finding,
    KubeletState,
    Reproduction,
    Stage,
    State,
    TraceLine,
)
from pullwhy.node.incidents.incidents import Closed, Incident, Key, Topic

REFRESH: Final = timedelta(seconds=60)
"""How often a finding is told again when nothing but its `last_seen` changed."""
NEW_TRIES: Final = timedelta(seconds=5)
"""The same where the kubelet tried again: it waits longer between two tries of one pod."""
MEMORY: Final = timedelta(hours=1)
"""How long a resolved finding is remembered: if it comes back meanwhile it is the same one, with its count."""
UNTOLD_IMAGE: Final = "(not told)"
"""What a finding shows while no line told the image."""
MAX_FINDINGS: Final = 500
MAX_PODS: Final = 200
"""Pods named in one finding; a node runs few more in all."""

UNCONFIRMED: Final = Evidence(
    Stage.RUNTIME, "the container runtime does not answer over CRI, so the log alone tells of a pod here", "cri"
)

Subject = tuple[str, Topic]
"""An image and what is said about it: what one diagnosis is made for."""


@frozen
class Identity:
    """Who tells."""

    node: str
    cluster: str = ""
    zone: str = ""
    pool: str = ""
    agent_version: str = ""


@frozen
class Judged:
    """What an investigation of a subject came to."""

    image: str
    topic: Topic
    registry: str
    diagnosis: Diagnosis
    trace: tuple[TraceLine, ...] = ()
    reproduction: Reproduction | None = None


@frozen
class Record:
    """A finding as it was told last, and what it is made of."""

    finding: Finding
    topics: tuple[Topic, ...]
    members: tuple[Key, ...]
    past: int = 0
    """Failures of incidents that are over; the others' are counted in the incidents."""


@dataclass(slots=True)
class Ledger:
    """Turns incidents and diagnoses into findings, and says which of them changed."""

    identity: Identity
    records: dict[str, Record] = field(default_factory=dict)
    _judged: dict[Subject, Judged] = field(default_factory=dict)
    _told: dict[Key, str] = field(default_factory=dict)
    _endings: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def restore(cls, identity: Identity, records: Iterable[Record]) -> Ledger:
        """Return the ledger that had these records."""
        ledger = cls(identity, {record.finding.id: record for record in records})
        # Active ones last: a topic whose diagnosis changed belongs to both, and the present one holds.
        for record in sorted(ledger.records.values(), key=lambda each: each.finding.state is State.ACTIVE):
            told = record.finding
            for topic in record.topics:
                image = "" if told.image == UNTOLD_IMAGE else told.image
                ledger._judged[image, topic] = Judged(
                    image, topic, told.registry, told.diagnosis, told.trace, told.reproduction
                )
            ledger._told.update(dict.fromkeys(record.members, told.id))
        return ledger

    def judged(self, judged: Judged) -> None:
        """Take a diagnosis in; it holds for every incident of its subject until the next."""
        self._judged[judged.image, judged.topic] = judged

    def diagnosis(self, subject: Subject) -> Diagnosis | None:
        """Return the diagnosis that holds for a subject."""
        found = self._judged.get(subject)
        return found.diagnosis if found else None

    def closed(self, closed: Iterable[Closed]) -> None:
        """Take note of incidents that ended."""
        for each in closed:
            told = self._told.pop(each.incident.key, None)
            if told is None:
                continue
            self._endings[told].append(each.state)
            record = self.records[told]
            self.records[told] = replace(record, past=record.past + each.incident.attempts)

    def changes(self, incidents: Iterable[Incident], now: datetime) -> list[Finding]:
        """Return the findings that are to be told, and take them as told."""
        groups: dict[str, list[tuple[Incident, Judged]]] = defaultdict(list)
        for incident in incidents:
            placed = self._place(incident) if incident.confirmed else None
            if placed is not None:
                groups[placed[0]].append((incident, placed[1]))
        told = [
            finding
            for identifier, members in groups.items()
            if (finding := self._compose(identifier, members)) is not None
        ]
        told += [self._resolve(record, now) for record in list(self.records.values()) if _is_over(record, groups)]
        self._forget(now)
        return told

    def _place(self, incident: Incident) -> tuple[str, Judged] | None:
        """Return the finding that an incident belongs to; the one it belonged to while its new text is not judged yet."""
        judged = self._judged.get((incident.image, incident.topic))
        if judged is not None:
            return finding_id(self.identity.node, incident.image, judged.diagnosis.cause), judged
        told = self._told.get(incident.key)
        if told is None:
            return None
        finding = self.records[told].finding
        return told, Judged(
            finding.image, incident.topic, finding.registry, finding.diagnosis, finding.trace, finding.reproduction
        )

    def _compose(self, identifier: str, members: list[tuple[Incident, Judged]]) -> Finding | None:
        """Build the finding from its members; None where it was told already."""
        known = self.records.get(identifier)
        for incident, _ in members:
            former = self._told.get(incident.key)
            if former not in {None, identifier}:
                self._endings[former or ""].append(State.SUPERSEDED)
            self._told[incident.key] = identifier
        incidents = [incident for incident, _ in members]
        latest, judged = max(members, key=lambda member: member[0].last_seen)
        past = known.past if known else 0
        first_seen = min(each.first_seen for each in incidents)
        finding = Finding(
            id=identifier,
            image=judged.image or UNTOLD_IMAGE,
            registry=judged.registry,
            diagnosis=_with_doubt(judged.diagnosis, incidents),
            trace=judged.trace,
            reproduction=judged.reproduction,
            first_seen=min(first_seen, known.finding.first_seen) if known else first_seen,
            last_seen=latest.last_seen,
            count=max(1, past + sum(each.attempts for each in incidents)),
            pods=tuple(_pod(each) for each in incidents[:MAX_PODS] if each.pod),
            kubelet=_kubelet(latest),
            node=self.identity.node,
            cluster=self.identity.cluster,
            zone=self.identity.zone,
            pool=self.identity.pool,
            agent_version=self.identity.agent_version,
        )
        topics = {judged.topic for _, judged in members} | set(known.topics if known else ())
        if known and not _worth_telling(known.finding, finding):
            return None
        keys = tuple(incident.key for incident in incidents)
        self.records[identifier] = Record(finding, tuple(sorted(topics)), keys, past)
        return finding

    def _resolve(self, record: Record, now: datetime) -> Finding:
        endings = self._endings.pop(record.finding.id, [])
        state = next((each for each in (State.RECOVERED, State.GONE) if each in endings), State.SUPERSEDED)
        finding = replace(record.finding, state=state, resolved_at=now, count=max(record.finding.count, record.past))
        self.records[finding.id] = replace(record, finding=finding, members=())
        return finding

    def _forget(self, now: datetime) -> None:
        resolved = sorted(
            (each.finding for each in self.records.values() if each.finding.resolved_at),
            key=lambda each: each.last_seen,
        )
        surplus = len(self.records) - MAX_FINDINGS
        for index, finding in enumerate(resolved):
            if index < surplus or (finding.resolved_at and now - finding.resolved_at > MEMORY):
                record = self.records.pop(finding.id)
                self._endings.pop(finding.id, None)
                kept = {
                    topic
                    for each in self.records.values()
                    if each.finding.image == finding.image
                    for topic in each.topics
                }
                for topic in set(record.topics) - kept:
                    self._judged.pop((finding.image, topic), None)


def _with_doubt(diagnosis: Diagnosis, incidents: Iterable[Incident]) -> Diagnosis:
    """Say where CRI could confirm no pod; a diagnosis that was kept over a restart may say so from before."""
    evidence = tuple(each for each in diagnosis.evidence if each != UNCONFIRMED)
    if any(each.unshown for each in incidents):
        evidence = (*evidence, UNCONFIRMED)
    return replace(diagnosis, evidence=evidence)


def _is_over(record: Record, groups: dict[str, list[tuple[Incident, Judged]]]) -> bool:
    return record.finding.state is State.ACTIVE and record.finding.id not in groups


def _worth_telling(told: Finding, now: Finding) -> bool:
    """Whether enough changed: new lines alone, and new tries of the same pods, are told now and then."""
    passed = now.last_seen - told.last_seen
    if passed >= REFRESH:
        return True
    if _without_times(now) != _without_times(told):
        return True
    return passed >= NEW_TRIES and now.count != told.count


def _without_times(finding: Finding) -> tuple[object, ...]:
    pods = tuple((pod.uid, pod.name, pod.container) for pod in finding.pods)
    return (finding.diagnosis, finding.state, finding.reproduction, finding.trace, finding.first_seen, pods)


def _pod(incident: Incident) -> FailingPod:
    pod = incident.pod
    assert pod is not None  # noqa: S101 - the caller asked
    return FailingPod(
        pod.namespace,
        pod.name,
        pod.uid,
        incident.container,
        attempts=incident.attempts,
        next_retry_at=incident.backoff.next_try_at,
    )


def _kubelet(incident: Incident) -> KubeletState:
    return KubeletState(incident.attempts, incident.message, incident.backoff.seconds, incident.backoff.next_try_at)
