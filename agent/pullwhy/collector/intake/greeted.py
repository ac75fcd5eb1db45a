"""Streams whose node is shown and which are not welcomed yet: few of each node, as each may take a message's memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from pullwhy.collector.access.agents import Identity

MOST: Final = 2
"""Of one node: its agent, and the one that comes in its place."""


class NoPlace(Exception):
    """Too many are there already; the text says of what."""


class Greeted:
    """Counts them."""

    def __init__(self) -> None:
        self._of: Counter[tuple[str | None, str]] = Counter()

    @contextlib.contextmanager
    def one_more(self, identity: Identity) -> Iterator[None]:
        """Take a place for as long as the context lasts; raises NoPlace. Who may be on any node is not counted."""
        if not identity.node:
            yield
            return
        key = (identity.cluster, identity.node)
        if self._of[key] >= MOST:
            raise NoPlace(f"{MOST} streams of node '{identity.node}' did not say Hello yet")
        self._of[key] += 1
        try:
            yield
        finally:
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]
