"""Nodes' labels as the Kubernetes API has them, so that nodes can be told apart by zone, pool and whatever an administrator wrote on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from pullwhy.collector.ingest import MAX_LABELS
from pullwhy.collector.kubernetes.directory import Directory
from pullwhy.collector.pace import Pace
from pullwhy.collector.records import NodeFacts, Speaker, StoreError
from pullwhy.text import printable

logger = logging.getLogger(__name__)

LOOKS_PER_SECOND: Final = 20.0
MOST_WAITING: Final = 20_000
ZONE: Final = "topology.kubernetes.io/zone"
POOLS: Final = (
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
)
"""Labels by which providers name a node's pool, the most telling first."""
OWN: Final = frozenset({"kubernetes.io/hostname"})
"""Labels that every node has for itself: they group nothing."""

Note = Callable[[Speaker, NodeFacts], Awaitable[None]]


class NodeLabels:
    """Adds labels to what agents tell of their nodes; `run` does the asking."""

    def __init__(self, directory: Directory, note: Note, clock: Callable[[], float]) -> None:
        """`note` stores what changed."""
        self._directory, self._note = directory, note
        self._pace = Pace(LOOKS_PER_SECOND, LOOKS_PER_SECOND, clock)
        self._known: dict[str, Mapping[str, str]] = {}
        self._waiting: dict[str, tuple[Speaker, NodeFacts]] = {}
        self._woken = asyncio.Event()

    def complete(self, speaker: Speaker, facts: NodeFacts) -> NodeFacts:
        """Return what is told of a node with the labels known so far; they are asked for anew, and stored where they changed."""
        if len(self._waiting) < MOST_WAITING or speaker.node in self._waiting:
            self._waiting[speaker.node] = (speaker, facts)
            self._woken.set()
        return merged(facts, self._known.get(speaker.node, {}))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while self._waiting:
                speaker, facts = self._waiting.pop(next(iter(self._waiting)))
                await asyncio.sleep(self._pace.wait(1))
                labels = await self._directory.labels(speaker.node)
                newer = speaker.node in self._waiting  # told meanwhile: stored with what that says
                if labels and labels != self._known.get(speaker.node) and not newer:
                    self._known[speaker.node] = labels
                    await self._store(speaker, merged(facts, labels))
            self._woken.clear()
            await self._woken.wait()

    async def _store(self, speaker: Speaker, facts: NodeFacts) -> None:
        try:
            await self._note(speaker, facts)
        except StoreError as error:
            logger.info("labels of node %s were not stored: %s", speaker.node, error)


def merged(facts: NodeFacts, labels: Mapping[str, str]) -> NodeFacts:
    """Return `facts` with the API's labels, which win over those that the agent told; its zone and pool stay where it has some."""
    told = {printable(key, 300): printable(labels[key], 500) for key in sorted(labels) if key not in OWN}
    every = {**facts.labels, **told}
    pool = next((labels[key] for key in POOLS if labels.get(key)), "")
    return replace(
        facts,
        zone=facts.zone or printable(labels.get(ZONE, ""), 128),
        pool=facts.pool or printable(pool, 128),
        labels={key: every[key] for key in sorted(every)[:MAX_LABELS]},
    )
