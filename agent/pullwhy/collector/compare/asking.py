"""Whether other nodes are asked about a problem, and which: few, and as different as the fleet has them. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pullwhy.collector.compare.contrast import LABEL, Fact, Facts, Node, Others, node_facts
from pullwhy.collector.problem import ProblemKey, SubjectKind
from pullwhy.collector.records import StoredNode
from pullwhy.model import CauseId
from pullwhy.probe.destinations import parse_address

MOST_ASKED: Final = 6
MOST_GROUPS: Final = 300
"""Kinds of nodes among which those to ask are chosen."""
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

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._shared: dict[Fact, Fact] = {}
        self._configurations: dict[Facts, int] = {}
        self._registries: dict[frozenset[str], frozenset[str]] = {}
        self._there: Counter[Fact] = Counter()
        """How many of the nodes that are there have a fact."""
        self._number_there = 0
        self._choice: _Choice | None = None

    def add(self, stored: StoredNode, now: datetime) -> None:
        """Take a node in, or what is new of it."""
        facts = stored.facts
        shared = tuple(self._shared.setdefault(fact, fact) for fact in node_facts(facts))
        configuration = tuple(fact for fact in shared if not fact[0].startswith(LABEL))
        registries = frozenset(facts.registries)
        before = self._members.get(stored.node)
        member = self._members[stored.node] = Member(
            Node(stored.node, shared),
            facts.zone,
            facts.pool,
            self._configurations.setdefault(configuration, len(self._configurations)),
            now - stored.last_seen < THERE,
            WALK in facts.abilities,
            self._registries.setdefault(registries, registries),
        )
        self._count(before, -1)
        self._count(member, 1)
        if before is None or _choosing(before) != _choosing(member):
            self._choice = None

    def node(self, name: str) -> Node:
        """Return a node with what is known of it."""
        member = self._members.get(name)
        return member.node if member else Node(name)

    def nodes(self, but: AbstractSet[str]) -> list[Node]:
        """Return the nodes other than these that are there."""
        return [member.node for name, member in self._members.items() if member.is_there and name not in but]

    def others(self, but: Collection[str]) -> Others:
        """Return how many nodes other than these are there, and what is known of them."""
        known = [member.node for name in but if (member := self._members.get(name)) and member.is_there]
        number = self._number_there - len(known)
        if number < len(known):  # then they are looked at one by one, not all but them
            return Others(number, too=self.nodes(set(but)))
        return Others(number, self._there, known)

    def traits(self, names: Iterable[str]) -> set[_Trait]:
        """Return the traits that some of these nodes have."""
        return {trait for name in names if name in self._members for trait in _traits(self._members[name])}

    @property
    def choice(self) -> _Choice:
        """The nodes that can be asked, put in order once for all who choose."""
        if self._choice is None:
            self._choice = _Choice(member for member in self._members.values() if member.is_there and member.walks)
        return self._choice

    def _count(self, member: Member | None, number: int) -> None:
        if member is not None and member.is_there:
            self._number_there += number
            for fact in member.node.facts:
                self._there[fact] += number


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
    wanted = _Wanted(frozenset(failing), last, fleet.choice.holders.get(registry, frozenset()), connected)
    heads: list[tuple[_Group, Iterator[_Candidate], _Candidate]] = []
    for group in fleet.choice.some_groups(seed, wanted.holders):
        candidates = wanted.in_order(group, seed)
        if first := next(candidates, None):
            heads.append((group, candidates, first))
    alike = fleet.traits(wanted.failing)
    chosen: list[str] = []
    seen: Counter[_Trait] = Counter()
    while heads and len(chosen) < most:
        sign = 1 if len(chosen) % 2 else -1
        best = min(range(len(heads)), key=lambda each: _rank(heads[each][0], heads[each][2], seen, alike, sign))
        group, candidates, (_, name) = heads[best]
        if following := next(candidates, None):
            heads[best] = group, candidates, following
        else:
            del heads[best]
        chosen.append(name)
        seen.update(group.traits)
    return chosen


_Trait = tuple[str, str | int]
_Traits = tuple[_Trait, ...]
_Drawbacks = tuple[bool, bool, bool]
_Candidate = tuple[_Drawbacks, str]


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes of the same traits, in an order that says nothing."""

    traits: _Traits
    names: Sequence[str]
    members: frozenset[str]


class _Choice:
    """The nodes of a fleet that can be asked, in groups: of thousands, each choice looks at few."""

    def __init__(self, members: Iterable[Member]) -> None:
        by_traits: dict[_Traits, list[str]] = {}
        self.holders: dict[str, set[str]] = {}
        """Nodes that hold images of a registry."""
        for member in members:
            by_traits.setdefault(_traits(member), []).append(member.node.name)
            for registry in member.registries:
                self.holders.setdefault(registry, set()).add(member.node.name)
        self._groups = [
            _Group(traits, sorted(names, key=_draw), frozenset(names)) for traits, names in sorted(by_traits.items())
        ]

    def some_groups(self, seed: str, holders: AbstractSet[str]) -> Sequence[_Group]:
        """Return all groups, or of many some: those with `holders` first, the others by turns."""
        if len(self._groups) <= MOST_GROUPS:
            return self._groups
        begin = _number(seed) % len(self._groups)
        turned = [*self._groups[begin:], *self._groups[:begin]]
        turned.sort(key=lambda group: holders.isdisjoint(group.members))
        return turned[:MOST_GROUPS]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which nodes are better to ask than others."""

    failing: AbstractSet[str]
    """Not to be asked at all."""
    last: AbstractSet[str]
    holders: AbstractSet[str]
    connected: AbstractSet[str]

    def in_order(self, group: _Group, seed: str) -> Iterator[_Candidate]:
        """Yield the nodes of a group with their drawbacks, the best ones first."""
        begin = _number(f"{seed} {group.traits}") % len(group.names)
        better = (self.last, False), (self.holders, True), (self.connected, True)
        for drawbacks in itertools.product((False, True), repeat=3):
            # To be in the set is a drawback, or not to be in it.
            needed = [names for (names, good), bad in zip(better, drawbacks, strict=True) if good is not bad]
            if any(names.isdisjoint(group.members) for names in needed):
                continue
            for name in itertools.chain(itertools.islice(group.names, begin, None), group.names[:begin]):
                if name not in self.failing and self._drawbacks(name) == drawbacks:
                    yield drawbacks, name

    def _drawbacks(self, name: str) -> _Drawbacks:
        return name in self.last, name not in self.holders, name not in self.connected


def _traits(member: Member) -> _Traits:
    return ("zone", member.zone), ("pool", member.pool), ("configuration", member.configuration)


def _choosing(member: Member) -> tuple[bool, bool, frozenset[str]]:
    """Return what decides whether a node can be asked, and about what."""
    return member.is_there, member.walks, member.registries


def _rank(
    group: _Group, candidate: _Candidate, seen: Counter[_Trait], alike: AbstractSet[_Trait], sign: int
) -> tuple[_Drawbacks, int, int, _Traits]:
    overlap = sum(seen[trait] for trait in group.traits)
    return candidate[0], overlap, sign * sum(trait in alike for trait in group.traits), group.traits


def _draw(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _number(text: str) -> int:
    return int.from_bytes(_draw(text)[:8])


def _is_of_the_node(registry: str) -> bool:
    """Whether the registry's name leads each node to itself or to its own link."""
    host = registry.rsplit(":", 1)[0] if not registry.endswith("]") else registry
    name = host.strip("[]").rstrip(".").lower()
    address = parse_address(name)
    if address is not None:
        return address.is_loopback or address.is_link_local or address.is_unspecified
    return name == "localhost" or name.endswith(".localhost")
