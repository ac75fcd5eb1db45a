"""Nodes' labels as the Kubernetes API has them, so that nodes can be told apart by zone, pool and whatever an administrator wrote on them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from pullwhy.collector.intake.ingest import MAX_LABELS
from pullwhy.collector.kubernetes.directory import Directory
from pullwhy.collector.pace import Pace
from pullwhy.collector.records import NodeFacts, Speaker, StoreError
from pullwhy.collector.remembered import Remembered
from pullwhy.text import printable

logger = logging.getLogger(__name__)

LOOKS_PER_SECOND: Final = 20.0
MOST_KNOWN: Final = 20_000
"""Nodes; of those that came longest ago the labels are asked for anew."""
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

Change = Callable[[str, str, Callable[[NodeFacts], NodeFacts]], Awaitable[None]]
"""`change_facts` of `records.Store`."""


class NodeLabels:
    """Adds labels to what agents of one cluster tell of their nodes; `run` does the asking."""

    def __init__(self, directory: Directory, cluster: str, change: Change, clock: Callable[[], float]) -> None:
        """`cluster` is the one whose API it is; `change` stores what changed."""
        self._directory, self._cluster, self._change = directory, cluster, change
        self._pace = Pace(LOOKS_PER_SECOND, LOOKS_PER_SECOND, clock)
        self._known: Remembered[str, Mapping[str, str]] = Remembered(MOST_KNOWN, clock)
        self._waiting: dict[str, tuple[Speaker, NodeFacts]] = {}
        self._woken = asyncio.Event()
        self._warned = False

    def complete(self, speaker: Speaker, facts: NodeFacts) -> NodeFacts:
        """Return what is told of a node with the labels known so far; they are asked for anew, and stored where they changed."""
        if speaker.cluster != self._cluster:
            self._warn(speaker)
            return facts
        if len(self._waiting) < MOST_WAITING or speaker.node in self._waiting:
            self._waiting[speaker.node] = (speaker, facts)
            self._woken.set()
        return merged(facts, self._known.get(speaker.node) or {})

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while self._waiting:
                speaker, facts = self._waiting.pop(next(iter(self._waiting)))
                await asyncio.sleep(self._pace.spend(1))
                labels = await self._directory.labels(speaker.node)
                newer = speaker.node in self._waiting  # told meanwhile: stored with what that says
                if labels and labels != self._known.get(speaker.node) and not newer:
                    self._known.put(speaker.node, labels, math.inf)
                    await self._store(speaker.node, merged(facts, labels))
            self._woken.clear()
            await self._woken.wait()

    async def _store(self, node: str, told: NodeFacts) -> None:
        """Store what labels say, and leave the rest as it is: its agent may have told anew while they were asked for."""
        try:
            await self._change(
                self._cluster, node, lambda last: replace(last, zone=told.zone, pool=told.pool, labels=told.labels)
            )
        except StoreError as error:
            logger.info("labels of node %s were not stored: %s", node, error)

    def _warn(self, speaker: Speaker) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "labels are looked up for nodes of cluster '%s' alone, not for node '%s' of '%s': `agent_cluster` names the "
                "cluster of the Kubernetes API",
                self._cluster, printable(speaker.node, 253), printable(speaker.cluster, 253),
            )  # fmt: skip


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
