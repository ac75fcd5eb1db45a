"""The keys of a finding's JSON document (`pullwhy/v1`) and their types: mypy holds `document` to them, OpenAPI is made from them."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec

from pullwhy.model import Answer, CauseId, Confidence, Factor, Outcome, ScopeVerdict, Stage, State, Via

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339, UTC")]


class Retryable(TypedDict):
    """Can the kubelet's next try succeed with nothing changed, and why."""

    answer: Answer
    why: str


class Scope(TypedDict):
    """How far over the fleet the fault reaches; counts are of nodes."""

    verdict: ScopeVerdict
    failing: int
    healthy: int
    unknown: int
    in_common: list[str]


class Evidence(TypedDict):
    """One observed fact."""

    stage: Stage
    fact: str
    source: str


class Command(TypedDict):
    """A command of a remedy, quoted for a shell."""

    run: str
    where: str
    needs: list[str]


class Remedy(TypedDict):
    """What to do on this node."""

    id: str
    text: str
    commands: list[Command]
    restart_required: bool
    durable: bool


class Pod(TypedDict):
    """A pod's container that waits for the image."""

    namespace: str
    name: str
    uid: str
    container: str
    owner: str
    attempts: int
    next_retry_at: Time | None


class Kubelet(TypedDict):
    """The kubelet's own clock for the most recent pod."""

    attempts: int
    last_message: str
    backoff_seconds: float
    next_retry_at: Time | None


class Reproduction(TypedDict):
    """What the runtime said when it was asked to pull, or why it was not asked."""

    outcome: str
    reason: str
    code: str
    message: str
    seconds: float


class TraceLine(TypedDict):
    """One stage of the walk."""

    stage: Stage
    target: str
    outcome: Outcome
    seconds: float
    detail: str
    identity: str


class Diagnosis(TypedDict):
    """One root cause with what supports it and one remedy."""

    cause: CauseId
    via: Via | None
    stage: Stage
    confidence: Confidence
    retryable: Retryable
    scope: Scope
    summary: str
    evidence: list[Evidence]
    factors: list[Factor]
    remedy: Remedy


class Finding(Diagnosis):
    """A diagnosis of an image on a node with its pods, counts, times and state."""

    schema: str
    id: str
    cluster: str
    node: str
    zone: str
    pool: str
    agent_version: str
    image: str
    registry: str
    pods: list[Pod]
    kubelet: Kubelet
    reproduction: Reproduction | None
    trace: list[TraceLine]
    first_seen: Time
    last_seen: Time
    count: int
    state: State
    resolved_at: Time | None
