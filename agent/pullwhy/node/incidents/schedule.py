"""When an image is walked again: its error or the node's configuration changed, or it still fails ten minutes later."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.node.incidents.findings import Subject
from pullwhy.node.incidents.incidents import Incident

AGAIN: Final = timedelta(minutes=10)
JITTER_SECONDS: Final = 60.0
"""Added at random, so that nodes that failed together do not walk together for ever."""
LONGEST_WITHOUT_TURN: Final = timedelta(hours=3)
"""A collector that keeps no turn for so long is not asked any more: a fleet of 15,000 nodes is through after two hours."""
AFTER_OUR_FAULT: Final = timedelta(minutes=2)
"""Pause after a walk that ended in an error of pullwhy itself."""


@frozen
class Walked:
    """The last investigation of a subject."""

    image: str
    topic: str
    at: datetime
    fingerprint: str
    """Of the node's configuration, see node.investigate.view.fingerprint."""
    again_at: datetime
    deferred: bool = False
    """Whether it was not made, because this node's turn is at `again_at`."""
    asks: bool = False
    """Whether no turn was kept for it: a permit is asked for again at `again_at`."""
    waits_since: datetime | None = None
    """Where it is deferred: when it was for the first time in a row."""


@dataclass(slots=True)
class Schedule:
    """Remembers what was walked; pure but for the jitter, whose source is passed in."""

    chance: random.Random
    walked: dict[Subject, Walked] = field(default_factory=dict)
    _running: set[Subject] = field(default_factory=set)

    def due(self, incidents: Iterable[Incident], fingerprint: str, now: datetime) -> list[Incident]:
        """Return one incident, the latest, for each subject that is to be investigated now."""
        latest: dict[Subject, Incident] = {}
        for incident in incidents:
            subject = (incident.image, incident.topic)
            if not incident.confirmed or subject in self._running:
                continue
            if subject not in latest or incident.last_seen > latest[subject].last_seen:
                latest[subject] = incident
        return [incident for subject, incident in latest.items() if self._is_due(subject, incident, fingerprint, now)]

    def started(self, subject: Subject) -> None:
        """Take note that an investigation runs."""
        self._running.add(subject)

    def turn_has_come(self, subject: Subject, fingerprint: str, now: datetime) -> bool:
        """Whether a walk that is due needs no permit: its turn was kept for it or never given, or this node's configuration changed."""
        walked = self.walked.get(subject)
        if walked is None or walked.fingerprint != fingerprint:
            return walked is not None
        if not walked.deferred or now < walked.again_at:
            return False
        waited = now - walked.waits_since if walked.waits_since else timedelta()
        return not walked.asks or waited >= LONGEST_WITHOUT_TURN

    def next_turn(self) -> datetime | None:
        """Return when the first turn comes that is waited for."""
        return min((each.again_at for each in self.walked.values() if each.deferred), default=None)

    def deferred(
        self, subject: Subject, now: datetime, fingerprint: str, until: datetime, *, again: bool = False
    ) -> None:
        """Take note that an investigation waits for this node's turn, or to ask for it `again`."""
        self._running.discard(subject)
        before = self.walked.get(subject)
        since = before.waits_since if before and before.waits_since else now
        self.walked[subject] = Walked(*subject, now, fingerprint, until, deferred=True, asks=again, waits_since=since)

    def ended(
        self, subject: Subject, now: datetime, fingerprint: str, *, our_fault: bool, until: datetime | None = None
    ) -> None:
        """Take note that an investigation ended; where it was held back, `until` says when it may be made."""
        self._running.discard(subject)
        pause = AFTER_OUR_FAULT if our_fault else AGAIN
        again_at = until or now + pause + timedelta(seconds=self.chance.uniform(0, JITTER_SECONDS))
        self.walked[subject] = Walked(*subject, now, fingerprint, again_at)

    def cancelled(self, subject: Subject) -> None:
        """Take note that an investigation was given up; it is due as before."""
        self._running.discard(subject)

    def forget(self, incidents: Iterable[Incident]) -> None:
        """Keep only what some incident still needs."""
        needed = {(incident.image, incident.topic) for incident in incidents}
        for subject in self.walked.keys() - needed:
            del self.walked[subject]

    def _is_due(self, subject: Subject, incident: Incident, fingerprint: str, now: datetime) -> bool:
        walked = self.walked.get(subject)
        if walked is None or walked.fingerprint != fingerprint or (walked.deferred and now >= walked.again_at):
            return True
        return incident.last_seen >= walked.again_at
