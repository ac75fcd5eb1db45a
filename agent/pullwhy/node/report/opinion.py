"""What a walk that the collector asked for came to, as it is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pullwhy.diagnose.catalogue.causes import ACCESS
from pullwhy.diagnose.document.finding import encode, finding_id
from pullwhy.frozen import frozen
from pullwhy.model import CauseId, Confidence, Finding, Outcome
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.text import printable

MAX_REASON: Final = 500


@frozen
class Opinion:
    """An answer to whoever asks about the same image."""

    outcome: pb.WalkAnswer.Outcome.ValueType
    reason: str
    document: bytes = b""
    walked_at: datetime | None = None

    def message(self, request_id: str) -> pb.WalkAnswer:
        """Return the answer to one request."""
        answer = pb.WalkAnswer(id=request_id, outcome=self.outcome, reason=self.reason, document=self.document)
        if self.walked_at is not None:
            answer.walked_at.FromDatetime(self.walked_at)
        return answer


def refused(why: str) -> Opinion:
    """Return the answer where no walk was made."""
    return Opinion(pb.WalkAnswer.REFUSED, printable(why, MAX_REASON))


def undecided(why: str) -> Opinion:
    """Return the answer where a walk was begun and nothing can be said."""
    return Opinion(pb.WalkAnswer.UNDECIDED, printable(why, MAX_REASON))


def opinion(found: Investigation, identity: Identity, now: datetime) -> Opinion:
    """Return what an investigation without a failure says."""
    outcome, reason = _decide(found)
    return Opinion(outcome, printable(reason, MAX_REASON), encode(_finding(found, identity, now)), now)


def _decide(found: Investigation) -> tuple[pb.WalkAnswer.Outcome.ValueType, str]:
    diagnosis, trace = found.diagnosis, found.case.trace
    if found.our_fault:
        faults = (each.detail for each in (trace.results if trace else ()) if each.outcome is Outcome.ERROR)
        return pb.WalkAnswer.UNDECIDED, next(faults)
    if found.passes:
        return pb.WalkAnswer.PASSES, ""
    if diagnosis.cause in {CauseId.UNDETERMINED, CauseId.TRANSIENT}:
        return pb.WalkAnswer.UNDECIDED, diagnosis.summary
    if diagnosis.cause in ACCESS and diagnosis.confidence is not Confidence.PROVED:
        why = "the walk may not use the credentials that a pod would bring, and was refused without them"
        return pb.WalkAnswer.UNDECIDED, why
    return pb.WalkAnswer.FAILS, diagnosis.summary


def _finding(found: Investigation, identity: Identity, now: datetime) -> Finding:
    case, diagnosis = found.case, found.diagnosis
    return Finding(
        id=finding_id(identity.node, case.image_text, diagnosis.cause),
        node=identity.node,
        image=case.image_text,
        registry=case.image.registry if case.image else "",
        diagnosis=diagnosis,
        first_seen=now,
        last_seen=now,
        cluster=identity.cluster,
        zone=identity.zone,
        pool=identity.pool,
        agent_version=identity.agent_version,
        trace=tuple(result.line() for result in case.trace.results) if case.trace else (),
    )
