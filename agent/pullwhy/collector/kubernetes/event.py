"""A finding as an Event on a failing pod, as `kubectl describe pod` shows it; pure.

Of core/v1 with count and timestamps, as the kubelet writes its own: events.k8s.io/v1 allows no change of the note once it is written
(kubernetes 1.34: pkg/apis/core/validation/events.go, ValidateEventUpdate), and kubectl shows both alike (kubectl 0.34: describe.go, DescribeEvents).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import UTC, datetime
from typing import Any, Final

from pullwhy.collector.kubernetes.directory import Pod
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import FailingPod, Finding
from pullwhy.redact import redact
from pullwhy.text import ELLIPSIS, printable

MAX_BYTES: Final = 1024
"""Of an Event's message (NoteLengthLimit)."""
COMPONENT: Final = "pullwhy"
ADDRESS: Final = "[address]"
MAX_COUNT: Final = 2**31 - 1

_MAYBE_ADDRESS: Final = re.compile(r"(?<![\w.:])\[?([0-9A-Fa-f]{0,4}[.:][0-9A-Fa-f.:]{2,44})(?!\w)\]?")


def name(finding: Finding, pod: FailingPod) -> str:
    """Return the Event's name: the same whoever writes it, so that several collectors write one."""
    digest = hashlib.sha256()
    for part in (finding.id, pod.uid, pod.container):
        digest.update(part.encode() + b"\0")
    return f"{pod.name[:230].rstrip('-.')}.{digest.hexdigest()[:16]}"


def message(finding: Finding) -> str:
    """Return cause, stage, remedy and the finding's id in one line of at most 1024 bytes, without addresses and secrets."""
    diagnosis = finding.diagnosis
    via = f" via {diagnosis.via}" if diagnosis.via else ""
    end = f" (finding {printable(finding.id, 64)})"
    summary, remedy = diagnosis.summary.rstrip("."), render(diagnosis.remedy).text
    text = f"{diagnosis.cause}{via} at {diagnosis.stage} ({diagnosis.confidence}): {summary}. {remedy}"
    clean = without_addresses(printable(redact(text), 4 * MAX_BYTES))
    return cut(clean, MAX_BYTES - len(end.encode())) + end


def body(finding: Finding, pod: FailingPod, facts: Pod) -> dict[str, Any]:
    """Return the Event to create."""
    lists = "initContainers" if pod.container in facts.init else "containers"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name(finding, pod), "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.namespace,
            "name": pod.name,
            # That by which the kubelet knows the pod: kubectl looks for it, of static pods too.
            "uid": pod.uid,
            **({"fieldPath": f"spec.{lists}{{{pod.container}}}"} if pod.container in facts.policies else {}),
        },
        "type": "Warning",
        "source": {"component": COMPONENT, "host": finding.node},
        "reportingComponent": COMPONENT,
        "firstTimestamp": _time(finding.first_seen),
        **changes(finding, pod),
    }


def changes(finding: Finding, pod: FailingPod) -> dict[str, Any]:
    """Return what of it changes from failure to failure; absolute values, so that a repetition changes nothing."""
    return {
        "reason": finding.diagnosis.cause.value,
        "message": message(finding),
        "lastTimestamp": _time(finding.last_seen),
        "count": max(1, min(pod.attempts, MAX_COUNT)),
    }


def without_addresses(text: str) -> str:
    """Return `text` with IP addresses replaced; an Event is read by more people than a finding."""
    return _MAYBE_ADDRESS.sub(_replaced, text)


def cut(text: str, limit: int) -> str:
    """Return `text` in at most `limit` bytes of UTF-8."""
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[: limit - len(ELLIPSIS.encode())].decode("utf-8", "ignore") + ELLIPSIS


def _replaced(match: re.Match[str]) -> str:
    found = match[1]
    for tail in ("", found[found.rfind(":") :] if found.count(":") == 1 else "", *_marks(found)):
        try:
            ipaddress.ip_address(found[: len(found) - len(tail)])
        except ValueError:
            continue
        return f"{ADDRESS}{tail}"
    return match[0]


def _marks(found: str) -> tuple[str, ...]:
    """Return the punctuation that may end a sentence behind an address."""
    bare = found.rstrip(".:")
    port = bare[bare.rfind(":") :] if bare.count(":") == 1 else ""
    return found[len(bare) :], found[len(bare) - len(port) :]


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
