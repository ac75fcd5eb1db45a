"""The table of every operation: routes and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import Final

from pullwhy.collector.api import findings, health, nodes, probes, problems, registries, watching
from pullwhy.collector.api.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *problems.OPERATIONS,
    *findings.OPERATIONS,
    *registries.OPERATIONS,
    *nodes.OPERATIONS,
    *probes.OPERATIONS,
    *watching.OPERATIONS,
    *health.OPERATIONS,
)
