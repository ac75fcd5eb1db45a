"""Health for Kubernetes, and metrics for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from starlette.responses import Response

from pullwhy.collector.api.operation import Backend, Operation, Question

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Health:
    """The process runs."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Questions can be answered; `fault` says what hinders writing, such as a full disk."""

    fault: str
    status: Literal["ready"] = "ready"


async def _healthz(backend: Backend, question: Question) -> Health:
    del backend, question
    return Health()


async def _readyz(backend: Backend, question: Question) -> Readiness:
    """Answer whether questions can be answered, and what hinders writing.

    A full disk does not make the collector unready: the answers still count, and the agents must reach it to notice
    that there is space again.
    """
    del question
    await backend.store.size()  # raises StoreError where the database cannot be read
    return Readiness(backend.store.fault)


async def _metrics(backend: Backend, question: Question) -> Response:
    del question
    store, metrics = backend.store, backend.metrics
    active, size = await store.active_by_cause(), await store.size()
    metrics.set_store(active, size, writable=not store.fault)
    metrics.watchers.set(len(backend.watchers))
    return Response(metrics.text(), media_type=METRICS_TYPE)


OPERATIONS = (
    Operation("GET", "/healthz", "getHealth", "Does the process run?", _healthz, Health, open=True),
    Operation("GET", "/readyz", "getReadiness", "Can questions be answered?", _readyz, Readiness, open=True),
    Operation("GET", "/metrics", "getMetrics", "Metrics for Prometheus", _metrics, str, media="text/plain", open=True),
)
