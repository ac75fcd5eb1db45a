"""The answers of the API and the bodies it takes: encoded from these types, and described by them in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import msgspec

from pullwhy.collector.fleet import Purpose, WalkState
from pullwhy.collector.params import AGO, MAX_VALUE
from pullwhy.collector.problem import SubjectKind
from pullwhy.diagnose.document import contract
from pullwhy.diagnose.document.contract import Time
from pullwhy.model import CauseId, Confidence, Outcome, Stage, State, Via

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_COMPONENT = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
REFERENCE = (
    # Registry and repository have 255 characters at most, of which docker.io/library/ may be ours.
    "^(?=(?:[^@:]|:[0-9]{1,5}/){1,237}(?:[:@]|$))"
    f"(?:(?:{_LABEL}(?:[.]{_LABEL})+|localhost)(?::[1-9][0-9]{{0,3}})?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)
"""Tells what an image reference looks like; image.py decides."""
NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=NO_NUL)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_VALUE, pattern=NO_NUL)]


SpanOrTime = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        description="a span of time such as 30m, 4h, 2d, or an RFC 3339 time",
        extra_json_schema={"anyOf": [{"pattern": f"^{AGO}$"}, {"format": "date-time"}]},
    ),
]


@dataclass(frozen=True, slots=True)
class Error:
    """Why there is no answer."""

    error: str
    """One line that names the thing and the mend."""


class FleetFinding(contract.Finding):
    """A finding with the problem that it is part of, and that problem's scope."""

    problem: str


class StateChange(TypedDict):
    """When a finding took a state, by the collector's clock."""

    at: Time
    state: State


class FindingDetail(FleetFinding):
    """A finding with the states that it took."""

    history: list[StateChange]


@dataclass(frozen=True, slots=True)
class FindingPage:
    """Findings, last seen first."""

    items: list[FleetFinding]
    next: str | None


@dataclass(frozen=True, slots=True)
class BlackHole:
    """That a node fails, for many images, what other nodes pull."""

    images: int
    since: Time


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose agent reported."""

    cluster: str
    node: str
    connected: bool
    first_seen: Time
    last_seen: Time
    agent_version: str
    active_findings: int
    zone: str
    pool: str
    runtime_name: str
    runtime_version: str
    kubelet_version: str
    architecture: str
    outbox_dropped: int
    impairments: tuple[str, ...]
    abilities: tuple[str, ...]
    labels: dict[str, str]
    configuration: dict[str, str]
    registries: tuple[str, ...]
    black_hole: BlackHole | None = None


@dataclass(frozen=True, slots=True)
class NodePage:
    """Nodes, by cluster and name."""

    items: list[Node]
    next: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a problem is about."""

    kind: SubjectKind
    name: str
    """The image's canonical reference or the registry; empty for the nodes themselves."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Who silenced a problem, why, and until when."""

    reason: str
    by: str
    since: Time
    until: Time


@dataclass(frozen=True, slots=True)
class Canary:
    """The last look whether the fault is over."""

    node: str
    at: Time
    state: WalkState


class Problem(TypedDict):
    """Findings of one cause, at one point of the way, of one subject, over the fleet. Counts are of active findings."""

    id: str
    cluster: str
    cause: CauseId
    via: Via | None
    subject: Subject
    scope: contract.Scope
    scope_at: Time | None
    nodes: int
    pods: int
    findings: int
    owners: list[str]
    """Of the example's pods: namespace and owner."""
    first_seen: Time
    last_seen: Time
    silence: Silence | None
    canary: Canary | None
    stage: Stage | None
    """Of the example, as are the next three."""
    confidence: Confidence | None
    summary: str
    example: str
    """The id of the finding that was seen last."""


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """Problems, last seen first."""

    items: list[Problem]
    next: str | None


class ProblemDetail(Problem):
    """A problem with its failing nodes and one of its findings."""

    failing_nodes: list[str]
    """By name, at most 20,000."""
    finding: FleetFinding | None
    """The finding that was seen last: its evidence and its remedy."""


@dataclass(frozen=True, slots=True)
class SilenceRequest:
    """Silences a problem for a while."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\S")]
    until: SpanOrTime
    """When it ends: how long from now, or a time."""
    by: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """Who silences it; where readers are authenticated, their own name counts."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause for which a registry fails."""

    cause: CauseId
    nodes: int
    findings: int
    problems: int
    first_seen: Time
    last_seen: Time


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that some nodes cannot pull from; faults of the nodes themselves do not count. Counts are of active findings."""

    cluster: str
    registry: str
    causes: list[Cause]
    """Most nodes first; a node may fail for several."""
    first_seen: Time
    last_seen: Time


@dataclass(frozen=True, slots=True)
class Registries:
    """Registries that fail, most failing nodes first."""

    items: list[Registry]


@dataclass(frozen=True, slots=True)
class NodeCause:
    """Why a node cannot pull from a registry."""

    cause: CauseId
    via: Via | None
    problem: str
    findings: int
    first_seen: Time
    last_seen: Time


@dataclass(frozen=True, slots=True)
class FailingNode:
    """A node that cannot pull from a registry."""

    cluster: str
    node: str
    causes: list[NodeCause]


@dataclass(frozen=True, slots=True)
class FailingNodePage:
    """Nodes that cannot pull from a registry, by cluster and name."""

    items: list[FailingNode]
    next: str | None


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Asks nodes to walk the pull path of an image; none of them pulls it."""

    image: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=512, extra_json_schema={"pattern": REFERENCE, "examples": ["nginx:1.27"]}
        ),
    ]
    nodes: Literal["all"] | Annotated[list[Name], msgspec.Meta(min_length=1, max_length=20_000)]
    """Their names, or all that can be asked."""
    cluster: Annotated[str, msgspec.Meta(max_length=253, pattern=NO_NUL)] | None = None
    """Needed where the nodes may be of several."""
    deadline_seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 30.0
    """Answers after it are not waited for."""


class Probe(TypedDict):
    """One image that some nodes are asked to walk."""

    id: str
    cluster: str
    image: str
    purpose: Purpose
    asked_at: Time
    deadline: Time
    asked_by: str
    problem: str
    """Of which problem a second opinion or a canary is; else empty."""


@dataclass(frozen=True, slots=True)
class Probes:
    """The last probes, newest first."""

    items: list[Probe]


@dataclass(frozen=True, slots=True)
class Walk:
    """What became of one node's walk."""

    node: str
    state: WalkState
    reason: str
    """Why it was refused, or what keeps it from being decided."""
    at: Time
    walked_at: Time | None
    """An agent may answer with a walk of a moment ago."""
    cause: CauseId | None
    via: Via | None
    stage: Stage | None
    confidence: Confidence | None
    summary: str
    stages: dict[Stage, Outcome]
    """How each stage that was reached went, over all addresses and hosts."""
    finding: contract.Finding | None
    """The whole of it, where one node was asked for."""


class ProbeDetail(Probe):
    """A probe with what its nodes answered so far."""

    counts: dict[WalkState, int]
    walks: list[Walk]
    """By node."""
