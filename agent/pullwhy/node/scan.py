"""What a stored log tells: every failed pull in it, as findings from the text alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.diagnose.case import Case, RuntimeRemark
from pullwhy.diagnose.classify.classifier import classify_failure
from pullwhy.diagnose.document.finding import finding_id
from pullwhy.diagnose.judge import judge
from pullwhy.diagnose.rules.access import provider_failure
from pullwhy.image import canonical, parsed
from pullwhy.model import (
    CauseId,
    Confidence,
    Diagnosis,
    FailingPod,
    Finding,
    Hypothesis,
    KubeletState,
    PullFailure,
    Reason,
    State,
)
from pullwhy.node.incidents.backoff import NO_BACKOFF, Backoff, advance
from pullwhy.node.incidents.hangs import Hangs
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.watch.failures import Recogniser, RuntimeEvent, RuntimeEventKind
from pullwhy.watch.lines import LogLine

MAX_CONTAINERS: Final = 50_000
"""Containers (and images that only the runtime names) told apart in one log."""

Place = tuple[str, str]
"""Pod uid (or namespace/name) and container; no pod, and the image, where only the runtime tells."""


@dataclass(slots=True)
class _Story:
    """One cause of one container, from its first line to its last."""

    hypothesis: Hypothesis
    first: PullFailure
    last: PullFailure
    attempts: int = 0
    backoff: Backoff = NO_BACKOFF
    remarks: tuple[RuntimeRemark, ...] = ()
    """What the runtime logged about single hosts before the last line."""


@dataclass(slots=True)
class _Member:
    """One container that could not have an image."""

    image: str = ""
    stories: dict[CauseId, _Story] = field(default_factory=dict)

    def take(self, failure: PullFailure, hypothesis: Hypothesis, remarks: tuple[RuntimeRemark, ...]) -> None:
        story = self.stories.pop(hypothesis.cause, None) or _Story(hypothesis, failure, failure)
        story.last = failure
        story.hypothesis = hypothesis
        story.remarks = remarks or story.remarks
        if failure.reason is not Reason.IMAGE_PULL_BACK_OFF:
            story.attempts += 1
            story.backoff = advance(story.backoff, failure.reason, failure.when)
        self.stories[hypothesis.cause] = story  # the latest cause stands last

    def causes(self) -> list[CauseId]:
        """Return the causes to tell of; where a cause is known, a back-off without one tells nothing."""
        known: list[CauseId] = [cause for cause in self.stories if cause is not CauseId.UNDETERMINED]
        return known or list(self.stories)


class Scan:
    """Takes the lines of one log in order; `findings` may be asked at the end."""

    def __init__(self) -> None:
        self.lines = 0
        """Lines that were read."""
        self._recogniser = Recogniser()
        self._members: dict[tuple[Place, str], _Member] = {}
        self._runtime: dict[str, list[PullFailure]] = {}
        self._pulled: dict[str, datetime] = {}
        self._hangs = Hangs(timedelta(0))
        self._remarks = Remarks()
        self._hypotheses: dict[tuple[Reason, str], Hypothesis] = {}

    def take(self, lines: Iterable[LogLine]) -> None:
        """Read `lines`."""
        for line in lines:
            self.lines += 1
            for found in self._recogniser.feed(line):
                if isinstance(found, PullFailure):
                    self._failed(found)
                elif isinstance(found, RuntimeEvent):
                    self._event(found)

    def findings(self, node: str) -> list[Finding]:
        """Return one finding for each image and cause, the latest first.

        They are Likely at best: a text alone proves nothing. A cause that another took the place of is Superseded; where the
        runtime pulled the image afterwards, it is Recovered.
        """
        self._settle_images()
        self._add_runtime()
        groups: dict[tuple[str, CauseId], list[tuple[Place, _Member]]] = {}
        for (place, image), member in self._members.items():
            for cause in member.causes():
                groups.setdefault((image, cause), []).append((place, member))
        found = [self._finding(node, image, cause, members) for (image, cause), members in groups.items()]
        ordered = sorted(found, key=lambda finding: (finding.last_seen, finding.id))
        # What the runtime's own lines explain may be one cause behind two texts: the latest stands.
        return list(reversed({finding.id: finding for finding in ordered}.values()))

    def _failed(self, failure: PullFailure) -> None:
        pod = failure.pod
        place = (pod.key if pod else "", failure.container)
        member = self._members.get((place, failure.image))
        if member is None:
            if len(self._members) >= MAX_CONTAINERS:
                return
            member = self._members[place, failure.image] = _Member(failure.image)
        remarks = self._remarks.about(failure.image, failure.when) if self._remarks else ()
        member.take(failure, _with_hints(failure, self._hypothesis(failure)), remarks)

    def _hypothesis(self, failure: PullFailure) -> Hypothesis:
        key = (failure.reason, failure.message)
        found = self._hypotheses.get(key)
        if found is None:
            if len(self._hypotheses) >= MAX_CONTAINERS:
                self._hypotheses.clear()
            found = self._hypotheses[key] = classify_failure(failure)
        return found

    def _event(self, event: RuntimeEvent) -> None:
        self._hangs.observe(event)
        self._remarks.observe(event, self._hangs.images)
        if event.kind is RuntimeEventKind.PULL_ENDED and event.image:
            self._ended(event)

    def _ended(self, event: RuntimeEvent) -> None:
        image = canonical(event.image)
        if event.succeeded:
            self._pulled[image] = event.when
        elif len(self._runtime) < MAX_CONTAINERS:
            failure = PullFailure(
                event.when,
                event.unit,
                Reason.ERR_IMAGE_PULL,
                event.error,
                image=event.image,
                from_file=event.from_file,
            )
            self._runtime.setdefault(image, []).append(failure)

    def _settle_images(self) -> None:
        """Give failures that did not name their image the image of the same container."""
        named = {place: image for place, image in self._members if image}
        for place, image in [key for key in self._members if not key[1]]:
            if place in named:
                nameless = self._members.pop((place, image))
                member = self._members[place, named[place]]
                member.stories = {**nameless.stories, **member.stories}

    def _add_runtime(self) -> None:
        """Add what only the runtime tells: pulls that no kubelet asked for, or whose lines are not in this log."""
        told = {canonical(image) for _, image in self._members}
        for image, failures in self._runtime.items():
            if image not in told:
                for failure in failures:
                    self._failed(failure)

    def _finding(self, node: str, image: str, cause: CauseId, members: list[tuple[Place, _Member]]) -> Finding:
        stories = [member.stories[cause] for _, member in members]
        latest = max(stories, key=lambda story: story.last.when)
        failure = replace(latest.last, image=image)
        reference = parsed(image)
        case = Case(
            now=failure.when,
            image=reference,
            image_text=image,
            failure=failure,
            hypothesis=replace(latest.hypothesis, image=image),
            remarks=latest.remarks,
        )
        active = [member for _, member in members if member.causes()[-1] is cause]
        state, resolved = (State.ACTIVE, None) if active else (State.SUPERSEDED, latest.last.when)
        pulled = self._pulled.get(canonical(image)) if image else None
        if pulled is not None and pulled >= failure.when:
            state, resolved = State.RECOVERED, pulled
        diagnosis = _by_text(judge(case))
        return Finding(
            id=finding_id(node, image, diagnosis.cause),
            node=node,
            image=image,
            registry=reference.registry if reference else latest.hypothesis.registry,
            diagnosis=diagnosis,
            first_seen=min(story.first.when for story in stories),
            last_seen=failure.when,
            count=max(1, sum(story.attempts for story in stories)),
            state=state,
            resolved_at=resolved,
            pods=tuple(_pod(story) for story in stories if story.last.pod is not None),
            kubelet=KubeletState(latest.attempts, failure.message, latest.backoff.seconds, latest.backoff.next_try_at),
        )


def _with_hints(failure: PullFailure, told: Hypothesis) -> Hypothesis:
    """Take a refusal for the failure of the exec provider that the kubelet told of just before, as the judge does."""
    refused = told.cause in {CauseId.CREDENTIALS_MISSING, CauseId.ACCESS_DENIED_OR_NOT_FOUND}
    if not refused or provider_failure(Case(now=failure.when, failure=failure, hypothesis=told)) is None:
        return told
    return replace(told, cause=CauseId.CREDENTIAL_PROVIDER_FAILED)


def _by_text(diagnosis: Diagnosis) -> Diagnosis:
    # The judge takes the failure for the kubelet's own word; a stored line may be anybody's.
    proved = diagnosis.confidence is Confidence.PROVED
    return replace(diagnosis, confidence=Confidence.LIKELY) if proved else diagnosis


def _pod(story: _Story) -> FailingPod:
    failure = story.last
    pod = failure.pod
    return FailingPod(
        pod.namespace if pod else "",
        pod.name if pod else "",
        pod.uid if pod else "",
        failure.container,
        attempts=story.attempts,
        next_retry_at=story.backoff.next_try_at,
    )
