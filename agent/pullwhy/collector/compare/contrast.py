"""What tells the failing nodes from the healthy ones, in plain words, best first. Pure.

A fact that a node did not tell is unknown there, which is no value: it neither agrees nor differs.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pullwhy.collector.records import NodeFacts
from pullwhy.text import printable

MOST: Final = 5
"""Differences that are named."""
MOST_LABELS: Final = 2
"""Labels among them: nodes of one pool often share a dozen."""
MOST_PARTIAL: Final = 2
LEAST_SCORE: Final = 0.5
"""Of a fact that separates in part: its share of the failing nodes less that of the healthy ones."""
LABEL: Final = "label "
_DIGEST_DIGITS: Final = 12
_LONGEST_VALUE: Final = 80
_FEWEST_TO_TELL_NAMES: Final = 3
"""A fact whose value differs on each of so many nodes is a name of theirs, such as an instance's id."""

Fact = tuple[str, str]
Facts = tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node and what is known of it, each fact under the name by which it is shown."""

    name: str
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Others:
    """Nodes that are not compared, of which only is told how many there are and how many have a fact."""

    number: int = 0
    having: Mapping[Fact, int] = field(default_factory=dict)
    """Of these nodes and those in `but`, without those in `too`."""
    but: Sequence[Node] = ()
    too: Sequence[Node] = ()

    def have(self, fact: Fact) -> int:
        """Count those that have a fact."""
        but, too = (sum(fact in node.facts for node in nodes) for nodes in (self.but, self.too))
        return self.having.get(fact, 0) + too - but


class Separation(enum.IntEnum):
    """How well a fact separates."""

    EXACT = 0
    """All failing nodes have one value, and no healthy one has it."""
    LACKING = 1
    """All healthy nodes have one value, and no failing one has it."""
    PARTIAL = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that separates."""

    name: str
    separation: Separation
    value: str
    """That of the failing nodes; empty where they differ among themselves."""
    text: str


def node_facts(facts: NodeFacts) -> Facts:
    """Return what is known of a node, by the names under which people know it."""
    told = [
        ("zone", facts.zone),
        ("pool", facts.pool),
        ("runtime", f"{facts.runtime_name} {facts.runtime_version}".strip()),
        ("kubelet", facts.kubelet_version),
        ("architecture", facts.architecture),
    ]
    told = [(name, value) for name, value in told if value]
    told += ((LABEL + name, value) for name, value in facts.labels.items())
    told += facts.configuration.items()
    return tuple(told)


def differences(
    failing: Sequence[Node], healthy: Sequence[Node], relevance: Callable[[str], int], totals: tuple[int, int]
) -> list[Difference]:
    """Return up to MOST facts that separate `failing` from `healthy`; in part only where none does so exactly.

    Both may be a part of all that there are, `totals`. Of facts that separate equally well, those of the lowest `relevance` come first.
    """
    if not failing or not healthy:
        return []
    left, right = [dict(node.facts) for node in failing], [dict(node.facts) for node in healthy]
    names = sorted({name for facts in (*left, *right) for name in facts})
    identities = {node.name for node in (*failing, *healthy)}
    columns = (_Column(name, [each.get(name) for each in left], [each.get(name) for each in right]) for name in names)
    found = [
        (separation, relevance(column.name), -column.score, column.name, column)
        for column in columns
        if not column.is_a_name(identities) and (separation := column.separation()) is not None
    ]
    found.sort(key=lambda each: each[:4])
    exact = [each for each in found if each[0] is not Separation.PARTIAL]
    chosen = _few((column for *_, column in exact or found), MOST if exact else MOST_PARTIAL)
    return [column.difference(*totals) for column in chosen]


def _few(columns: Iterator[_Column], most: int) -> list[_Column]:
    """Return the first of `columns` that say something new."""
    chosen: list[_Column] = []
    seen: set[tuple[tuple[str | None, ...], tuple[str | None, ...]]] = set()
    labels = 0
    for column in columns:
        values = (tuple(column.failing), tuple(column.healthy))
        is_label = column.name.startswith(LABEL)
        if values in seen or (is_label and labels == MOST_LABELS):
            continue
        seen.add(values)
        labels += is_label
        chosen.append(column)
        if len(chosen) == most:
            break
    return chosen


class _Column:
    """One fact over all nodes that are compared; None where it is unknown."""

    def __init__(self, name: str, failing: list[str | None], healthy: list[str | None]) -> None:
        self.name, self.failing, self.healthy = name, failing, healthy
        self._left = Counter(value for value in failing if value is not None)
        self._right = Counter(value for value in healthy if value is not None)
        self._known_left, self._known_right = self._left.total(), self._right.total()
        self._shared = _most_common(self._left)
        """The value that most failing nodes have."""

    @property
    def score(self) -> float:
        """The share of the failing nodes that have the value less that of the healthy ones: 1 separates exactly."""
        if not self._known_left or not self._known_right:
            return 0.0
        return self._left[self._shared] / len(self.failing) - self._right[self._shared] / self._known_right

    def is_a_name(self, nodes: set[str]) -> bool:
        """Whether the fact only says which node this is."""
        distinct = len(self._left | self._right)
        if not nodes.isdisjoint(self._left) or not nodes.isdisjoint(self._right):
            return True
        return distinct >= _FEWEST_TO_TELL_NAMES and distinct == self._known_left + self._known_right

    def separation(self) -> Separation | None:
        """Return how well the fact separates, None where it does not."""
        if not _enough(self._known_left, self.failing) or not _enough(self._known_right, self.healthy):
            return None
        if len(self._left) == 1 and self._shared not in self._right:
            return Separation.EXACT
        # Of a single healthy node each odd fact would seem to be what all healthy nodes have.
        if len(self._right) == 1 and self._known_right > 1 and self._left.keys().isdisjoint(self._right):
            return Separation.LACKING
        return Separation.PARTIAL if self.score >= LEAST_SCORE else None

    def difference(self, failing_total: int, healthy_total: int) -> Difference:
        """Return the fact in words."""
        separation = self.separation()
        assert separation is not None  # noqa: S101 - it was chosen for that
        value = "" if separation is Separation.LACKING else self._shared
        if separation is Separation.PARTIAL:
            had, among = self._left[self._shared], self._right[self._shared]
            text = (
                f"{self.name} = {_shown(value)} on {had} of the {len(self.failing)} failing nodes"
                f"{_unknown(self.failing)}, on {among or 'none'} of the {_count(self.healthy, 'healthy one')}{_unknown(self.healthy)}"
            )
        else:
            failing = _the(failing_total, "failing node")
            text = (
                f"{self.name} = {_values(self._left)} on {failing}{_unknown(self.failing)}, "
                f"{_values(self._right)} on {_the(healthy_total, 'healthy one')}{_unknown(self.healthy)}"
            )
        return Difference(self.name, separation, value, text)


def _enough(known: int, values: Sequence[str | None]) -> bool:
    """Whether a fact is known on so many nodes that what it says counts: half of them."""
    return known > 0 and 2 * known >= len(values)


def _most_common(values: Counter[str]) -> str:
    return min(values, key=lambda value: (-values[value], value), default="")


def _values(values: Counter[str]) -> str:
    """Return the two most common values in words."""
    ordered = sorted(values, key=lambda value: (-values[value], value))
    words = " or ".join(_shown(value) for value in ordered[:2])
    more = len(ordered) - 2
    return f"{words} or {more} other {'value' if more == 1 else 'values'}" if more > 0 else words


def _shown(value: str) -> str:
    algorithm, colon, digest = value.partition(":")
    if colon and algorithm in ("sha256", "sha384", "sha512") and len(digest) > _DIGEST_DIGITS:
        value = f"{algorithm}:{digest[:_DIGEST_DIGITS]}…"
    return printable(value, _LONGEST_VALUE) or "empty"


def _the(number: int, what: str) -> str:
    return f"the {what}" if number == 1 else f"the {number} {what}s"


def _count(values: Sequence[str | None], what: str) -> str:
    return f"{len(values)} {what}{'' if len(values) == 1 else 's'}"


def _unknown(values: Sequence[str | None]) -> str:
    number = sum(value is None for value in values)
    return f" (unknown on {number} of them)" if number else ""
