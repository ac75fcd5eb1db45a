"""Whether other nodes are asked about a problem, and which: few, and as different as the fleet has them. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pullwhy.collector.compare.contrast import LABEL, Facts, Node, node_facts
from pullwhy.collector.problem import ProblemKey, SubjectKind
from pullwhy.collector.records import StoredNode
from pullwhy.model import CauseId
from pullwhy.probe.destinations import parse_address

MOST_ASKED: Final = 6
WALK: Final = "walk"
"""The ability of an agent that walks on request (report.proto: NodeStatus.abilities)."""
THERE: Final = timedelta(minutes=15)
"""A node heard of within this time is taken to be connected, to this collector or another: each notes its nodes every five minutes."""

_A_WALK_CANNOT_TELL: Final[dict[CauseId, str]] = {
    CauseId.INVALID_IMAGE_REFERENCE: "the reference itself is wrong",
    CauseId.IMAGE_NEVER_PULL: "the image is not to be pulled, so that no walk tells more",
    CauseId.CREDENTIAL_VERIFICATION_DENIED: "the kubelet of the node itself denies the image to the pod",
    CauseId.RATE_LIMITED: "the registry limits requests, so that no other node is made to send more",
    CauseId.SIGNATURE_REJECTED: "a walk verifies no signatures",
    CauseId.CONTENT_CORRUPT: "a walk does not download the content",
    CauseId.UNPACK_FAILED: "a walk unpacks nothing",
    CauseId.PULL_STALLED: "a walk does not download the content",
    CauseId.TRANSIENT: "the pull works again",
    CauseId.UNDETERMINED: "a walk of the failing node itself does not show the fault",
}
"""Why a walk of another node says nothing about such a fault."""
LOCAL: Final = frozenset({CauseId.LOCAL_STORE_CORRUPT})
"""Faults of a node's own state, though of one image there: compared with all nodes that do not have them."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the fleet, as far as choosing and comparing need it."""

    node: Node
    zone: str
    pool: str
    configuration: int
    """The same for nodes that are configured alike."""
    is_there: bool
    """Whether it was heard of lately."""
    walks: bool
    """Whether its agent can be asked."""
    registries: frozenset[str]


class Fleet:
    """The nodes of one cluster. What many nodes share is kept once: 15,000 of them take some megabytes."""

    def __init__(self, members: dict[str, Member] | None = None) -> None:
        self.members: dict[str, Member] = members or {}
        self._facts: dict[tuple[str, str], tuple[str, str]] = {}
        self._configurations: dict[Facts, int] = {}
        self._registries: dict[frozenset[str], frozenset[str]] = {}

    def add(self, stored: StoredNode, now: datetime) -> None:
        """Take a node in."""
        facts = stored.facts
        shared = tuple(self._facts.setdefault(fact, fact) for fact in node_facts(facts))
        configuration = tuple(fact for fact in shared if not fact[0].startswith(LABEL))
        registries = frozenset(facts.registries)
        self.members[stored.node] = Member(
            Node(stored.node, shared),
            facts.zone,
            facts.pool,
            self._configurations.setdefault(configuration, len(self._configurations)),
            now - stored.last_seen < THERE,
            WALK in facts.abilities,
            self._registries.setdefault(registries, registries),
        )

    def node(self, name: str) -> Node:
        """Return a node with what is known of it."""
        member = self.members.get(name)
        return member.node if member else Node(name)

    def rest(self, names: AbstractSet[str]) -> list[Node]:
        """Return the nodes other than these that are there."""
        return [member.node for name, member in self.members.items() if member.is_there and name not in names]


def is_local(problem: ProblemKey) -> bool:
    """Whether the fault is of the nodes themselves: those without it are the healthy ones, and nobody is asked."""
    return problem.kind is SubjectKind.NODE or problem.cause in LOCAL


def why_not(problem: ProblemKey, registry: str) -> str:
    """Return why no other node is asked to walk for this problem; empty where some may be."""
    if problem.cause in _A_WALK_CANNOT_TELL:
        return _A_WALK_CANNOT_TELL[problem.cause]
    if not registry:
        return "no registry is known that a node could be asked to walk to"
    if _is_of_the_node(registry):
        return f"{registry} is another host on each node"
    return ""


def choose(
    fleet: Fleet,
    failing: Collection[str],
    registry: str,
    *,
    connected: AbstractSet[str] = frozenset(),
    last: AbstractSet[str] = frozenset(),
    most: int = MOST_ASKED,
    seed: str = "",
) -> list[str]:
    """Return up to `most` nodes to ask, each as unlike those before as can be, and by turns like and unlike the failing ones.

    Nodes that hold images of the registry come first, since others may refuse to walk there, and of these the ones that are
    connected here; `last` are asked where no others are left. Which of several equal nodes is taken depends on `seed` alone, so that
    the same nodes are not asked each time.
    """
    failing = set(failing)
    groups: dict[_Group, list[str]] = {}
    for name, member in fleet.members.items():
        if member.is_there and member.walks and name not in failing:
            group = _Group((name in last, registry not in member.registries, name not in connected), _traits(member))
            groups.setdefault(group, []).append(name)
    alike = {trait for name in failing if name in fleet.members for trait in _traits(fleet.members[name])}
    chosen: list[str] = []
    seen: Counter[tuple[str, str | int]] = Counter()
    while groups and len(chosen) < most:
        sign = 1 if len(chosen) % 2 else -1
        best = min(groups, key=lambda group: (*_rank(group, seen, alike, sign), group.traits))
        names = groups[best]
        name = min(names, key=lambda each: hashlib.sha256(f"{seed} {each}".encode()).digest())
        names.remove(name)
        if not names:
            del groups[best]
        chosen.append(name)
        seen.update(best.traits)
    return chosen


_Trait = tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes that are equally good to ask."""

    drawbacks: tuple[bool, bool, bool]
    traits: tuple[_Trait, ...]


def _traits(member: Member) -> tuple[_Trait, ...]:
    return ("zone", member.zone), ("pool", member.pool), ("configuration", member.configuration)


def _rank(
    group: _Group, seen: Counter[_Trait], alike: AbstractSet[_Trait], sign: int
) -> tuple[tuple[bool, ...], int, int]:
    overlap = sum(seen[trait] for trait in group.traits)
    return group.drawbacks, overlap, sign * sum(trait in alike for trait in group.traits)


def _is_of_the_node(registry: str) -> bool:
    """Whether the registry's name leads each node to itself or to its own link."""
    host = registry.rsplit(":", 1)[0] if not registry.endswith("]") else registry
    name = host.strip("[]").rstrip(".").lower()
    address = parse_address(name)
    if address is not None:
        return address.is_loopback or address.is_link_local or address.is_unspecified
    return name == "localhost" or name.endswith(".localhost")
