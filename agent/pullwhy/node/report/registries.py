"""The registries that this node has to do with: what its images came from, and what the runtime's configuration names."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from pullwhy.image import parsed
from pullwhy.node.walk.reach import Known, Reach
from pullwhy.runtime.cri import CRIClient, CRIError, Image
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.named import named_registries

REFRESH: Final = 600.0
"""Seconds between two looks at the node's images."""
REFRESH_SOON: Final = 60.0
"""The same where somebody asks about a registry that is not known: an image may have come since."""
MAX_HELD: Final = 1000


class NodeRegistries:
    """Looks at the node's images now and then, and tells for whom the node walks when it is asked to."""

    def __init__(
        self,
        view: Callable[[], RuntimeView | None],
        client: Callable[[], CRIClient | None],
        listed: Iterable[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view, self._client, self._monotonic = view, client, monotonic
        self._listed = frozenset(listed)
        self._looked = float("-inf")
        self.held: tuple[str, ...] = ()
        """Registries of the node's images, those of most images first."""

    async def refresh(self, seconds: float = REFRESH) -> None:
        """Look at the node's images, where the last look is that old; where CRI does not answer, what was seen holds."""
        client = self._client()
        if client is None or self._monotonic() - self._looked < seconds:
            return
        self._looked = self._monotonic()
        try:
            self.held = registries_of(await client.images())
        except CRIError:
            return

    async def reach(self, registry: str) -> Reach | None:
        """Return how far a walk that somebody elsewhere asks for may lead; None where it is not to be made."""
        reach = self._known().reach(registry)
        if reach is None:
            await self.refresh(REFRESH_SOON)
            reach = self._known().reach(registry)
        return reach

    def _known(self) -> Known:
        view = self._view()
        configured = named_registries(view) if view is not None else ()
        return Known(frozenset(configured), self._listed, frozenset(self.held))


def registries_of(images: Iterable[Image]) -> tuple[str, ...]:
    """Return the registries that the names of `images` tell, those of most names first."""
    counts: Counter[str] = Counter()
    for name in (name for image in images for name in (*image.tags, *image.digests)):
        reference = parsed(name)
        if reference is not None:
            counts[reference.registry] += 1
    ordered = sorted(counts, key=lambda registry: (-counts[registry], registry))
    return tuple(ordered[:MAX_HELD])
