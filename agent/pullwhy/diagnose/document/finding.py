"""A finding as programs read it: the JSON contract `pullwhy/v1`, with the remedy rendered and times in RFC 3339 UTC."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

from pullwhy.diagnose.document.codec import encode
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, Diagnosis, FailingPod, Finding, RemedyRef, Scope

if TYPE_CHECKING:  # the resting agent has no use for the types of an answer
    from pullwhy.diagnose.document import contract

__all__ = ["document", "encode", "finding_id", "rfc3339", "scope"]

_ID_DIGITS = 16


def finding_id(node: str, image: str, cause: CauseId) -> str:
    """Return the id that is the same whenever `image`, however it is spelled, fails on `node` by `cause`: 16 hex digits."""
    digest = hashlib.sha256()
    for part in (node, _normalised(image), cause):
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()[:_ID_DIGITS]


def _normalised(image: str) -> str:
    try:
        return str(parse(image))
    except InvalidReference:
        return image


@overload
def rfc3339(moment: datetime) -> str: ...
@overload
def rfc3339(moment: None) -> None: ...
@overload
def rfc3339(moment: datetime | None) -> str | None: ...
def rfc3339(moment: datetime | None) -> str | None:
    """Return `moment` in UTC to the millisecond, with Z; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def document(finding: Finding) -> contract.Finding:
    """Return `finding` as a JSON object with the keys of the contract, in its order."""
    return {
        "schema": finding.schema,
        "id": finding.id,
        "cluster": finding.cluster,
        "node": finding.node,
        "zone": finding.zone,
        "pool": finding.pool,
        "agent_version": finding.agent_version,
        "image": finding.image,
        "registry": finding.registry,
        **_diagnosis(finding.diagnosis, finding),
        "pods": [_pod(pod) for pod in finding.pods],
        "kubelet": {
            "attempts": finding.kubelet.attempts,
            "last_message": finding.kubelet.last_message,
            "backoff_seconds": finding.kubelet.backoff_seconds,
            "next_retry_at": rfc3339(finding.kubelet.next_retry_at),
        },
        "reproduction": _reproduction(finding),
        "trace": [
            {
                "stage": line.stage,
                "target": line.target,
                "outcome": line.outcome,
                "seconds": line.seconds,
                "detail": line.detail,
                "identity": str(line.identity),
            }
            for line in finding.trace
        ],
        "first_seen": rfc3339(finding.first_seen),
        "last_seen": rfc3339(finding.last_seen),
        "count": finding.count,
        "state": finding.state,
        "resolved_at": rfc3339(finding.resolved_at),
    }


def _diagnosis(diagnosis: Diagnosis, finding: Finding) -> contract.Diagnosis:
    return {
        "cause": diagnosis.cause,
        "via": diagnosis.via,
        "stage": diagnosis.stage,
        "confidence": diagnosis.confidence,
        "retryable": {"answer": diagnosis.retryable.answer, "why": diagnosis.retryable.why},
        "scope": scope(finding.scope),
        "summary": diagnosis.summary,
        "evidence": [{"stage": fact.stage, "fact": fact.fact, "source": fact.source} for fact in diagnosis.evidence],
        "factors": list(diagnosis.factors),
        "remedy": _remedy(diagnosis.remedy),
    }


def scope(known: Scope) -> contract.Scope:
    """Return a scope as a JSON object."""
    return {
        "verdict": known.verdict,
        "failing": known.failing,
        "healthy": known.healthy,
        "unknown": known.unknown,
        "in_common": list(known.in_common),
    }


def _remedy(ref: RemedyRef) -> contract.Remedy:
    from pullwhy.diagnose.remedies.rendering import render  # noqa: PLC0415 - agents send remedies by id, and need the texts of none

    remedy = render(ref)
    return {
        "id": remedy.id,
        "text": remedy.text,
        "commands": [
            {"run": command.run, "where": command.where, "needs": list(command.needs)} for command in remedy.commands
        ],
        "restart_required": remedy.restart_required,
        "durable": remedy.durable,
    }


def _pod(pod: FailingPod) -> contract.Pod:
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
        "container": pod.container,
        "owner": pod.owner,
        "attempts": pod.attempts,
        "next_retry_at": rfc3339(pod.next_retry_at),
    }


def _reproduction(finding: Finding) -> contract.Reproduction | None:
    again = finding.reproduction
    if again is None:
        return None
    return {
        "outcome": again.outcome,
        "reason": again.reason,
        "code": again.code,
        "message": again.message,
        "seconds": again.seconds,
    }
