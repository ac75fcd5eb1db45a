"""What goes into a store and comes out of it, and what a store must do, whatever database is behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pullwhy.collector.problem import ProblemKey
from pullwhy.model import Finding, Scope


class StoreError(Exception):
    """The store cannot be used; the text names it and the mend."""


class BadDatabase(StoreError):
    """No database can be meant by what names it."""


class OddRecord(StoreError):
    """What was to be stored cannot be; the store itself works."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Which agent speaks: one node of one cluster, with one outbox."""

    cluster: str
    node: str
    outbox_id: str
    agent_version: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A speaker as the store knows it. A later outbox of the same node has a higher number."""

    number: int
    speaker: Speaker
    acknowledged: int
    """Everything up to this sequence number is committed."""
    stream: int = 0
    """Grows with each stream that the node opens, at whatever collector."""


@dataclass(frozen=True, slots=True)
class KnownPod:
    """What the Kubernetes API told of a failing pod."""

    here: bool
    """Whether it is on the finding's node."""
    owner: str = ""
    fact: str = ""
    """How its container pulls: policy, names of its secrets, service account."""


Attend = Callable[[Finding], Mapping[int, KnownPod]]
"""Tells what is known of a finding's pods, by their place."""


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One state of one finding: its document, and the columns by which it is looked for."""

    sequence: int
    id: str
    image: str
    """The canonical reference, or the pod's own text where it is none."""
    repository: str
    registry: str
    cause: str
    state: str
    first_seen: datetime
    last_seen: datetime
    pods: tuple[tuple[str, str], ...]
    """Namespace and name."""
    document: bytes
    problem: ProblemKey


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node's status as its agent told it last; the fields are those of report.proto: NodeStatus."""

    zone: str = ""
    pool: str = ""
    runtime_name: str = ""
    runtime_version: str = ""
    kubelet_version: str = ""
    architecture: str = ""
    outbox_dropped: int = 0
    impairments: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, str] = field(default_factory=dict)
    registries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """Which findings are asked for; empty fields ask for all."""

    cluster: str = ""
    namespace: str = ""
    namespaces: Collection[str] = ()
    """Of a problem's findings those with a pod in one of these."""
    pod: str = ""
    id_prefix: str = ""
    node: str = ""
    image: str = ""
    """With the repository that it is of: the index is by that."""
    repository: str = ""
    registry: str = ""
    cause: str = ""
    state: str = ""
    problem: str = ""
    """The whole id of the problem that they are findings of."""
    since: datetime | None = None
    """Seen at this time or later."""
    limit: int = 100
    after: tuple[int, int] | None = None
    """Position of the last finding of the previous page."""


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding as stored."""

    cluster: str
    document: bytes
    first_seen: datetime
    """The earliest that was ever reported for it."""
    position: tuple[int, int]
    problem: str = ""
    """Id of the problem that it is a finding of; empty where an earlier version stored what this one cannot read."""
    scope: Scope = field(default_factory=Scope)
    """Of its problem."""


@dataclass(frozen=True, slots=True)
class Transition:
    """When a finding took a state, by the collector's clock."""

    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node as stored."""

    cluster: str
    node: str
    first_seen: datetime
    last_seen: datetime
    agent_version: str
    active_findings: int
    facts: NodeFacts = field(default_factory=NodeFacts)


class Store(Protocol):
    """Findings, nodes and sessions. Every method may raise StoreError."""

    @property
    def version(self) -> int:
        """Grows with every change that a query could show."""

    @property
    def fault(self) -> str:
        """Why the last write failed, empty while writing works."""

    async def open_session(self, speaker: Speaker, facts: NodeFacts) -> Session:
        """Note that an agent is there, and return its session."""

    async def write(self, session: Session, records: Sequence[FindingRecord], through: int) -> None:
        """Store `records` and that everything up to sequence number `through` is; returns when both are committed."""

    async def note_facts(self, speaker: Speaker, facts: NodeFacts) -> None:
        """Keep a node's changed status."""

    async def change_facts(self, cluster: str, node: str, change: Callable[[NodeFacts], NodeFacts]) -> None:
        """Change what is known of a node, as it was last told; nothing where the node is not known."""

    async def leave_out(self, finding: tuple[str, str, str], pod: tuple[str, str]) -> None:
        """Take a pod (namespace, name) out of a finding (cluster, node, id), whatever was last stored of it."""

    async def note_seen(self, speakers: Sequence[tuple[str, str]]) -> None:
        """Note that these nodes (cluster, name) are there now."""

    async def findings(self, query: Query) -> list[StoredFinding]:
        """Return up to `query.limit` findings, last seen first."""

    async def finding(self, finding_id: str, cluster: str) -> list[tuple[StoredFinding, list[Transition]]]:
        """Return the finding of this id in each cluster (or in the one named) that has it."""

    async def of_nodes(self, cluster: str, nodes: Sequence[str]) -> list[StoredNode]:
        """Return what is stored of these nodes of a cluster."""

    async def nodes(self, cluster: str, node: str, limit: int, after: tuple[str, str] | None) -> list[StoredNode]:
        """Return up to `limit` nodes in the order of cluster and name; empty filters ask for all."""

    async def active_by_cause(self) -> dict[str, int]:
        """Count the findings that are Active."""

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` findings, and nodes, not heard of since `before`; return how many findings went."""

    async def shrink(self, limit: int) -> int:
        """Delete the `limit` findings that are missed least: resolved before active, the oldest first."""

    async def size(self) -> int:
        """Bytes that the stored data take, without what deletions left free."""

    async def close(self) -> None:
        """Commit what is under way and let go."""
