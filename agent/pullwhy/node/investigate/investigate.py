"""Finds out why one image cannot be pulled here: plan, walk, ask the runtime, judge. Used by the agent and by `pullwhy diagnose`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from pullwhy.access import PullRecord
from pullwhy.diagnose.case import MESSAGE, Adopted, Case, Queue
from pullwhy.diagnose.classify.classifier import classify
from pullwhy.diagnose.judge import judge, passes
from pullwhy.diagnose.rules.identity import credentials_sent
from pullwhy.frozen import frozen
from pullwhy.image import parse, parsed
from pullwhy.model import (
    CauseId,
    Confidence,
    Diagnosis,
    Hypothesis,
    Outcome,
    PullFailure,
    Reason,
    Reproduction,
    Stage,
    Via,
)
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.node.investigate.neighbours import DOUBTS_THE_NAME, similar_repositories
from pullwhy.node.investigate.reproduce import Policy, Reproducer, Situation, decide
from pullwhy.node.investigate.view import node_view
from pullwhy.node.walk.plan import NodeSight, Sources, make_plan, survey
from pullwhy.node.walk.reach import HERE, Reach
from pullwhy.plan import Timeouts, WalkPlan
from pullwhy.redact import redact
from pullwhy.runtime.containerd.contentstore import damaged
from pullwhy.runtime.cri import CRIClient, CRIError
from pullwhy.runtime.kubelet.credentials import PullSecret
from pullwhy.runtime.kubelet.pullrecords import pull_record
from pullwhy.trace import StageResult, Trace

_REASONS: Final = {
    CauseId.IMAGE_NEVER_PULL: Reason.ERR_IMAGE_NEVER_PULL,
    CauseId.INVALID_IMAGE_REFERENCE: Reason.INVALID_IMAGE_NAME,
    CauseId.SIGNATURE_REJECTED: Reason.SIGNATURE_VALIDATION_FAILED,
}
"""Reasons that the kubelet gives for one cause only."""

OWN_RETRY: Final = "the kubelet's own next try failed in the same way"


class ReadsPullSecrets(Protocol):
    """Reads the pull secrets of a namespace; node.walk.pullsecrets.PullSecrets is the real one."""

    async def of(self, namespace: str) -> tuple[PullSecret, ...]:
        """Return them, each with its fault where it cannot be read; raises nothing."""


class Walks(Protocol):
    """Makes walks; node.walk.walker.Walker is the real one."""

    async def walk(self, plan: WalkPlan) -> Trace:
        """Walk a plan; raises nothing."""


@frozen
class Investigation:
    """What is known about one image, and what is made of it."""

    case: Case
    diagnosis: Diagnosis
    sight: NodeSight | None = None
    """The node as it was then; None where only the text was judged."""
    credentials_held: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the pull would work, as far as was looked."""
        return passes(self.case)

    @property
    def our_fault(self) -> bool:
        """Whether something that should have been looked at was not, by a fault of pullwhy."""
        trace = self.case.trace
        return trace is not None and any(each.outcome is Outcome.ERROR for each in trace.results)


@frozen
class Investigator:
    """Looks at images on this node, from what it is given."""

    sources: Sources
    walks: Walks
    clock: Callable[[], datetime]
    client: Callable[[], CRIClient | None] = lambda: None
    """The connection to the runtime, None where there is none."""
    reproducer: Reproducer | None = None
    policy: Policy = Policy.SAFE
    remarks: Remarks = field(default_factory=Remarks)
    """What the runtime's log and CRI told beside the failures; whoever reads the log fills it."""
    secrets: ReadsPullSecrets | None = None
    """For walks on behalf of pods that fail here, and of no others."""

    def by_text(self, failure: PullFailure, why: str = "") -> Investigation:
        """Judge a failure by its text alone; `why` there was no walk."""
        return _judged(replace(self._case(failure.image, failure), not_walked=why))

    async def adopt(self, failure: PullFailure, other: Adopted, why: str) -> Investigation:
        """Judge a failure by its text and by what another node proved; the remedy is for this node's own configuration.

        `why` there was no walk.
        """
        sight = await survey(self.sources, self.client())
        node = node_view(sight, make_plan(failure.image, sight, self.sources), self.sources.hostname)
        return _judged(replace(self._case(failure.image, failure), not_walked=why, adopted=other, node=node))

    async def look(
        self, image: str, failure: PullFailure | None = None, *, reach: Reach = HERE, within: float | None = None
    ) -> Investigation:
        """Walk the pull path of `image` and judge what is seen, with what `failure` tells; `within` seconds, where that is said.

        By default the image's own registry may lie at local addresses: the pull fails at this node, or a person here asked.
        Raises InvalidCredentials (runtime.kubelet.credentials) for a file of credentials that cannot be used; everything else is in the trace.
        """
        client, case = self.client(), self._case(image, failure)
        sight = await survey(self.sources, client)
        usual = Timeouts()
        timeouts = usual if within is None else replace(usual, overall=min(usual.overall, within))
        secrets = await self._pull_secrets(failure)
        prepared = make_plan(image, sight, self.sources, timeouts=timeouts, secrets=secrets)
        trace = await self.walks.walk(reach.widen(prepared.plan)) if prepared.plan else Trace()
        held = await asyncio.to_thread(_damaged, case, trace, sight)
        present = await _present(client, image) if prepared.image else None
        case = replace(
            case,
            failure=_of_whom(failure, prepared.credentials_held) if failure else None,
            node=node_view(sight, prepared, self.sources.hostname),
            trace=replace(trace, results=(*prepared.results, *trace.results, *held)),
            image_present=None if present is None else bool(present),
            pull_record=_record(sight, image, present),
        )
        diagnosis = judge(case)
        if diagnosis.cause in DOUBTS_THE_NAME and case.image is not None:
            case = replace(case, similar_repositories=await similar_repositories(client, case.image))
            diagnosis = judge(case)
        return Investigation(case, diagnosis, sight, prepared.credentials_held)

    async def reproduce(self, found: Investigation, window: timedelta = timedelta(0)) -> Investigation:
        """Ask the runtime itself where that is safe and tells something; say why where it is not asked.

        `window` is the kubelet's present back-off. Cancelling stops the runtime's pull.
        """
        case, reproducer = found.case, self.reproducer
        image = case.image_text
        situation = Situation(
            trace=case.trace,
            proved=case.failure is not None and found.diagnosis.confidence is Confidence.PROVED,
            limited=found.diagnosis.cause is CauseId.RATE_LIMITED,
            credentials_sent=credentials_sent(case),
            credentials_held=found.credentials_held,
            runtime_answers=reproducer is not None and bool(case.node.runtime_answers),
            previous=reproducer.previous(image) if reproducer else None,
            window=window,
            now=self.clock(),
        )
        why_not = decide(self.policy, situation)
        if why_not or reproducer is None:
            return with_reproduction(found, Reproduction("Skipped", why_not))
        return with_reproduction(found, await reproducer.pull(image))

    async def _pull_secrets(self, failure: PullFailure | None) -> tuple[PullSecret, ...]:
        """Return the pull secrets of the namespace of the pod that fails; the runtime pulls the sandbox image without any."""
        if self.secrets is None or failure is None or failure.pod is None:
            return ()
        if failure.reason is Reason.CREATE_POD_SANDBOX_ERROR:
            return ()
        return await self.secrets.of(failure.pod.namespace)

    def _case(self, image: str, failure: PullFailure | None) -> Case:
        reference = parsed(image)
        now = self.clock()
        hangs = failure is not None and failure.reason is Reason.PULL_HANGS
        return Case(
            now=now,
            image=reference,
            image_text=image,
            failure=failure,
            hypothesis=_told(failure) if failure else None,
            remarks=self.remarks.about(image, now) if failure else (),
            queue=self.remarks.queue if hangs else Queue(),
            lines_lost=failure is not None and self.remarks.lines_lost(),
        )


@functools.lru_cache(maxsize=128)  # the kubelet repeats itself
def hypothesis(message: str) -> Hypothesis | None:
    """Return what a text alone says; None for an empty one."""
    return classify(message) if message else None


def _told(failure: PullFailure) -> Hypothesis | None:
    """Return what a failure's text says; of a text that a person brought it need not say that it is about a pull."""
    told = hypothesis(failure.message)
    if told is None and failure.unit == MESSAGE:
        return hypothesis(f'Failed to pull image "{failure.image}": {failure.message}')
    return told


def as_failure(message: str, image: str, when: datetime) -> PullFailure:
    """Return a text that somebody brought as the failure that it tells of."""
    told = hypothesis(message)
    reason = Reason.ERR_IMAGE_PULL
    if told is not None and told.via is Via.SANDBOX_IMAGE:
        reason = Reason.CREATE_POD_SANDBOX_ERROR
    elif told is not None:
        reason = _REASONS.get(told.cause, reason)
    return PullFailure(when, MESSAGE, reason, redact(message), image=image)


def topic(message: str) -> str:
    """Return what a text says without what varies from try to try; empty where it tells no cause."""
    told = hypothesis(message)
    if told is None or told.cause is CauseId.UNDETERMINED:
        return ""
    return "/".join((told.cause, told.via or "", told.stage, told.registry))


def with_reproduction(found: Investigation, reproduction: Reproduction) -> Investigation:
    """Judge again with what the runtime said when it was asked."""
    told = (
        hypothesis(f"rpc error: code = {reproduction.code} desc = {reproduction.message}")
        if reproduction.message
        else None
    )
    case = replace(found.case, reproduction=reproduction, reproduction_hypothesis=told)
    return _judged(case, found)


def with_retry(found: Investigation, failure: PullFailure) -> Investigation:
    """Judge again after the kubelet's own next try failed: that is a reproduction too, unless the runtime answered us."""
    asked = found.case.reproduction
    if asked is not None and asked.outcome != "Skipped":
        return found
    case = replace(
        found.case,
        reproduction=Reproduction("Failed", OWN_RETRY, message=failure.message),
        reproduction_hypothesis=hypothesis(failure.message),
    )
    return _judged(case, found)


def with_failure(found: Investigation, failure: PullFailure) -> Investigation:
    """Judge what was seen for another failure of the same image."""
    case = replace(
        found.case,
        failure=_of_whom(failure, found.credentials_held),
        hypothesis=hypothesis(failure.message),
        reproduction=None,
        reproduction_hypothesis=None,
        later_success=False,
    )
    return _judged(case, found)


def with_success(found: Investigation) -> Investigation:
    """Judge again after the runtime itself pulled the image."""
    return _judged(replace(found.case, later_success=True), found)


def _damaged(case: Case, trace: Trace, sight: NodeSight) -> tuple[StageResult, ...]:
    """Look whether the runtime's own copies of what the walk read are whole, where a layer could not be unpacked."""
    told, config = case.hypothesis, sight.view.config
    if told is None or told.stage is not Stage.UNPACK or config is None:
        return ()
    return damaged(config.root, (each.target for each in trace.results if each.stage is Stage.BLOB), sight.view.fs)


def _of_whom(failure: PullFailure, credentials_held: tuple[str, ...]) -> PullFailure:
    """Where the kubelet sent no credentials, the runtime may have sent its own: then the failure does not tell."""
    unsettled = credentials_held and failure.credentials_sent is False
    return replace(failure, credentials_sent=None) if unsettled else failure


def _judged(case: Case, found: Investigation | None = None) -> Investigation:
    diagnosis = judge(case)
    return replace(found, case=case, diagnosis=diagnosis) if found else Investigation(case, diagnosis)


async def _present(client: CRIClient | None, image: str) -> tuple[str, ...] | None:
    """Return what CRI calls the image, its id first; nothing where it is absent, None where that was not told."""
    if client is None:
        return None
    try:
        found = await client.image_status(image)
    except CRIError:
        return None
    return (found.id or image, *found.digests) if found is not None else ()


def _record(sight: NodeSight, image: str, names: tuple[str, ...] | None) -> PullRecord | None:
    reference = parse(image) if names else None
    return pull_record(reference, image, names, sight.kubelet, sight.view.fs) if reference and names else None
