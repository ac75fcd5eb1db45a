"""The table of every operation: routes and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import Final

from pullwhy.collector.api import findings, health, nodes
from pullwhy.collector.api.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *findings.OPERATIONS,
    *nodes.OPERATIONS,
    *health.OPERATIONS,
)
