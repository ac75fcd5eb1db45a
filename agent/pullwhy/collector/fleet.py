"""What a store keeps of the fleet beside findings: problems with their scope, silences, and walks that were asked of nodes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pullwhy.collector.problem import ProblemKey
from pullwhy.collector.records import Store
from pullwhy.model import CauseId, Scope


class Purpose(enum.StrEnum):
    """Why a node is asked to walk (report.proto: WalkRequest.Purpose)."""

    SECOND_OPINION = "SecondOpinion"
    PROBE = "Probe"
    CANARY = "Canary"


class WalkState(enum.StrEnum):
    """How far a walk that was asked for has come."""

    WAITING = "Waiting"
    """No collector has a stream to the node yet."""
    ASKED = "Asked"
    PASSES = "Passes"
    FAILS = "Fails"
    UNDECIDED = "Undecided"
    REFUSED = "Refused"
    """By the agent's own budget or destinations; `reason` says which."""
    LATE = "Late"
    """The deadline passed without an answer."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One image that some nodes are asked to walk."""

    id: str
    """Of a second opinion or a canary made from problem and time, so that two collectors cannot ask twice."""
    cluster: str
    image: str
    purpose: Purpose
    asked_at: datetime
    deadline: datetime
    asked_by: str = ""
    problem: str = ""
    """Id of the problem that a second opinion or a canary is for."""


@dataclass(frozen=True, slots=True)
class WalkOrder:
    """What a collector sends to a node that is connected to it."""

    probe: str
    cluster: str
    node: str
    image: str
    purpose: Purpose
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Walk:
    """One node's part in a probe."""

    node: str
    state: WalkState
    at: datetime
    reason: str = ""
    document: bytes = b""
    """A finding's document (report.proto: WalkAnswer.document)."""
    walked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Who silenced a problem, why, and until when."""

    reason: str
    by: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Canary:
    """The last look whether the fault is over."""

    node: str
    at: datetime
    state: WalkState


@dataclass(frozen=True, slots=True)
class StoredProblem:
    """A problem as stored; the counts are of its findings that are Active."""

    key: ProblemKey
    first_seen: datetime
    last_seen: datetime
    active: int
    """Findings."""
    nodes: int
    pods: int
    scope: Scope = field(default_factory=Scope)
    scope_at: datetime | None = None
    """When the scope was judged; None: not yet."""
    silence: Silence | None = None
    canary: Canary | None = None
    example: bytes = b""
    """The document of its finding that was seen last."""
    revision: int = 0
    """Grows with everything that is reported of its findings."""
    position: tuple[int, str] = (0, "")


@dataclass(frozen=True, slots=True)
class Failure:
    """An Active finding of a problem, as far as it says who fails for what and since when."""

    node: str
    image: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class ProblemQuery:
    """Which problems are asked for; empty fields ask for all. Filters of findings ask for problems with such a finding."""

    cluster: str = ""
    id_prefix: str = ""
    namespace: str = ""
    node: str = ""
    image: str = ""
    repository: str = ""
    registry: str = ""
    cause: str = ""
    active: bool | None = True
    """With at least one Active finding; None: either way."""
    silenced: bool | None = None
    """None: either way."""
    since: datetime | None = None
    limit: int = 100
    after: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class RegistryFailure:
    """One cause for which a registry fails, for all nodes together or for one of them; faults of the nodes themselves do not count."""

    cluster: str
    registry: str
    node: str
    """Empty for all together."""
    cause: CauseId
    via: str
    problem: str
    """Its id; empty for all together."""
    nodes: int
    findings: int
    """That are Active."""
    problems: int
    first_seen: datetime
    last_seen: datetime


class Change(enum.Flag):
    """What changed in the store, by this collector or another on the same database."""

    FINDINGS = enum.auto()
    WALKS = enum.auto()
    PROBLEMS = enum.auto()
    NODES = enum.auto()


class FleetStore(Protocol):
    """What comparing nodes needs. Every method may raise StoreError; all of it works from several collectors at a time."""

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener`, in the event loop, soon after something changed: changes of a moment are told together."""

    async def problems(self, query: ProblemQuery) -> list[StoredProblem]:
        """Return up to `query.limit` problems, last seen first."""

    async def problem(self, problem_id: str, cluster: str) -> list[StoredProblem]:
        """Return the problem of this id in each cluster (or in the one named) that has it."""

    async def failing(self, problem: ProblemKey, namespaces: Collection[str] = ()) -> list[str]:
        """Return the nodes that have an Active finding of this problem, with a pod in one of these namespaces or any, at most 20,000."""

    async def namespaces(self, problem: ProblemKey) -> list[str]:
        """Return the namespaces in which a pod waits, or waited, for this problem, by name, at most 20,000."""

    async def registries(self, cluster: str) -> list[RegistryFailure]:
        """Return the causes for which registries fail now, at most 1,000 and those of most nodes first."""

    async def failing_of(
        self, registry: str, cluster: str, limit: int, after: tuple[str, str] | None
    ) -> list[RegistryFailure]:
        """Return why each of up to `limit` nodes, in the order of cluster and name, fails at a registry."""

    async def unscoped(self, before: datetime, limit: int, after: StoredProblem | None = None) -> list[StoredProblem]:
        """Return active problems whose findings changed after their scope was judged, or that were judged before `before`.

        Those never judged come first, then those judged longest ago; `after` is the last one of the page before.
        """

    async def never_judged(self, limit: int) -> list[StoredProblem]:
        """Return those active problems without a scope that were found last."""

    async def failures(self, problem: ProblemKey, since: datetime, limit: int) -> list[Failure]:
        """Return up to `limit` Active findings that were seen since then, last seen first."""

    async def failing_images(self, problem: ProblemKey, limit: int) -> list[str]:
        """Return up to `limit` images of its Active findings, as they are looked for."""

    async def set_scope(self, problem: ProblemKey, scope: Scope, at: datetime, revision: int) -> None:
        """Keep what the comparison came to.

        `revision` is that of the problem as it was read before its findings were: whatever is committed later counts as a change.
        """

    async def set_canary(self, problem: ProblemKey, canary: Canary) -> None:
        """Keep the last look whether the fault is over."""

    async def silence(self, problem: ProblemKey, silence: Silence | None) -> None:
        """Silence a problem, or end its silence."""

    async def forget_facts(self, after: str, limit: int) -> str:
        """Forget what findings had by which problems are looked for, of problems after this id; return the last one's, "" at the end."""

    async def add_probe(self, probe: Probe, nodes: Sequence[str]) -> bool:
        """Ask these nodes; False, and nothing is asked, where a probe of this id is known already."""

    async def take_walks(
        self, connected: Collection[tuple[str, str]], limit: int, streams: Mapping[tuple[str, str], int] | None = None
    ) -> list[WalkOrder]:
        """Return orders that wait for one of these nodes (cluster, name) and mark them Asked: no other collector gets them.

        `streams` are the numbers of the nodes' streams here (`Session.stream`): a node that has a newer one elsewhere is left
        to who holds that.
        """

    async def answer_walk(self, probe_id: str, cluster: str, walk: Walk) -> bool:
        """Keep an answer; False where nobody waits for it (unknown, answered already, or too late)."""

    async def probe(self, probe_id: str) -> tuple[Probe, list[Walk]] | None:
        """Return a probe and its nodes' answers so far, by name; walks without one past the deadline are Late."""

    async def probe_alone(self, probe_id: str) -> Probe | None:
        """Return a probe without its nodes' answers."""

    async def walks(
        self, probe: Probe, node: str = "", since: datetime | None = None, *, documents: bool = True
    ) -> list[Walk]:
        """Return answers by name: of one node, of those that came since then, or all; without documents they cost little."""

    async def answered(self, probe_ids: Sequence[str]) -> dict[str, int]:
        """Return of each of these probes that has answers how many nodes answered."""

    async def count_walks(self, probe: Probe) -> dict[WalkState, int]:
        """Return how many nodes' walks are in which state."""

    async def probes(self, cluster: str, purpose: Purpose | None, limit: int) -> list[Probe]:
        """Return the last probes, newest first."""

    async def forget_walks(self, before: datetime, limit: int) -> int:
        """Forget some probes asked before `before`, or that are too many, and traces of passes; return how many rows went or shrank."""

    async def shrink_walks(self, limit: int) -> int:
        """Forget the oldest probes that are over, until `limit` rows or more went; return how many did."""

    async def take_token(
        self, cluster: str, registry: str, per_second: float, at_once: float, longest: float
    ) -> float | None:
        """Spend one token of a registry's bucket; return 0 where there was one, else the seconds until it is this caller's turn.

        The turn is reserved: who waits that long need not ask again. None, and nothing is reserved, where that would be more than
        `longest` seconds.
        """


class WholeStore(Store, FleetStore, Protocol):
    """All that is stored."""
