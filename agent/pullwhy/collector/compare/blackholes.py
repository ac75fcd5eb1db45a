"""Black holes: nodes that fail, for many images, what other nodes pull. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MANY: Final = 3
"""Images, or second opinions: one or two may be anything."""
WITHIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Miss:
    """A node failed what others pull: by a finding whose scope is NodeSpecific, or by a second opinion that others passed."""

    node: str
    image: str
    first: datetime
    last: datetime
    opinion: str = ""
    """Id of the second opinion; empty for a finding."""


@dataclass(frozen=True, slots=True)
class BlackHole:
    """A node that the scheduler should not choose."""

    images: int
    since: datetime


def black_holes(misses: Iterable[Miss], now: datetime) -> dict[str, BlackHole]:
    """Return the nodes that missed MANY images, or failed MANY second opinions, within the last hour."""
    of: defaultdict[str, list[Miss]] = defaultdict(list)
    for miss in misses:
        if now - miss.last <= WITHIN:
            of[miss.node].append(miss)
    found: dict[str, BlackHole] = {}
    for node, each in sorted(of.items()):
        images = {miss.image for miss in each}
        opinions = {miss.opinion for miss in each if miss.opinion}
        if len(images) >= MANY or len(opinions) >= MANY:
            found[node] = BlackHole(len(images), min(miss.first for miss in each))
    return found
