"""The collector's own metrics, in a registry of their own; the `cause` label is the closed catalogue, pre-set to 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from pullwhy import __version__
from pullwhy.collector.denials import Denial
from pullwhy.collector.fleet import Purpose, WalkState
from pullwhy.model import CauseId, ScopeVerdict


class Metrics:
    """Counters that the parts raise, and gauges that are set when somebody asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connected = Gauge(
            "pullwhy_collector_connected_agents", "Agents with a stream to this collector.", registry=self.registry
        )
        self.reports = Counter(
            "pullwhy_collector_reports", "Reports taken, resent ones included.", registry=self.registry
        )
        self.refused = Counter("pullwhy_collector_refused_reports", "Reports refused for good.", registry=self.registry)
        self._denied = Counter(
            "pullwhy_collector_denied",
            "Agents, reports and questions turned away.",
            ["reason"],
            registry=self.registry,
        )
        self.store_failures = Counter(
            "pullwhy_collector_store_failures",
            "Batches that could not be stored; their agents send them again.",
            registry=self.registry,
        )
        self.forgotten = Counter(
            "pullwhy_collector_forgotten_findings", "Findings deleted for age or size.", registry=self.registry
        )
        self.certificate_end = Gauge(
            "pullwhy_collector_certificate_not_after_timestamp_seconds",
            "End of the collector's own certificate; +Inf without one.",
            registry=self.registry,
        )
        self.certificate_end.set(math.inf)
        self.watchers = Gauge("pullwhy_collector_watchers", "Clients that watch for events.", registry=self.registry)
        self._count_walks()
        self._active = Gauge(
            "pullwhy_collector_active_findings",
            "Findings that are Active, over all nodes.",
            ["cause"],
            registry=self.registry,
        )
        self._bytes = Gauge(
            "pullwhy_collector_database_bytes", "Bytes that the stored data take.", registry=self.registry
        )
        self._writable = Gauge(
            "pullwhy_collector_database_writable", "1 while the last write succeeded.", registry=self.registry
        )
        Gauge("pullwhy_collector_info", "The collector's version.", ["version"], registry=self.registry).labels(
            __version__
        ).set(1)
        for denial in Denial:
            self._denied.labels(denial)
        self.set_store({}, 0, writable=True)

    def _count_walks(self) -> None:
        """Make the counters of what is asked of nodes, with every label preset to 0."""
        self.walks_asked = Counter(
            "pullwhy_collector_walks_asked", "Walks that nodes were asked for.", ["purpose"], registry=self.registry
        )
        self.walk_answers = Counter(
            "pullwhy_collector_walk_answers", "How they ended.", ["state"], registry=self.registry
        )
        self.walk_answers_refused = Counter(
            "pullwhy_collector_refused_walk_answers",
            "Answers that nobody waited for, or that were not of their agent's node.",
            registry=self.registry,
        )
        self.permits = Counter(
            "pullwhy_collector_permits",
            "Permits given to nodes on which an image fails.",
            ["answer"],
            registry=self.registry,
        )
        self.adopted = Counter(
            "pullwhy_collector_permits_with_document",
            "Permits with what another node has proved.",
            registry=self.registry,
        )
        self.scopes = Counter(
            "pullwhy_collector_scopes_judged",
            "Judgements of how far a problem reaches.",
            ["verdict"],
            registry=self.registry,
        )
        self.black_holes = Gauge(
            "pullwhy_collector_black_holes", "Nodes that fail for many images what others pull.", registry=self.registry
        )
        presets: tuple[tuple[Counter, Iterable[str]], ...] = (
            (self.walks_asked, Purpose),
            (self.walk_answers, set(WalkState) - {WalkState.WAITING, WalkState.ASKED}),
            (self.permits, ("now", "wait")),
            (self.scopes, ScopeVerdict),
        )
        for counter, values in presets:
            for value in values:
                counter.labels(value)

    def deny(self, denial: Denial) -> None:
        """Count somebody who was turned away."""
        self._denied.labels(denial).inc()

    def set_store(self, active: Mapping[str, int], size: int, *, writable: bool) -> None:
        """Set what only the store knows."""
        for cause in CauseId:
            self._active.labels(cause).set(active.get(cause, 0))
        self._bytes.set(size)
        self._writable.set(writable)

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self.registry)
