"""The table of every operation: routes and the OpenAPI document, itself one of them, are made from it."""

from __future__ import annotations

import functools
from typing import Any, Final

import msgspec
from starlette.responses import Response

from pullwhy.collector.api import findings, health, nodes, openapi, probes, problems, registries, watching
from pullwhy.collector.api.operation import JSON, Backend, Operation, Question


@functools.cache
def description() -> bytes:
    """Return the OpenAPI document of every operation, as JSON."""
    return msgspec.json.encode(openapi.describe(OPERATIONS))


async def _describe(backend: Backend, question: Question) -> Response:
    del backend, question
    return Response(description(), media_type=JSON)


OPERATIONS: Final[tuple[Operation, ...]] = (
    *problems.OPERATIONS,
    *findings.OPERATIONS,
    *registries.OPERATIONS,
    *nodes.OPERATIONS,
    *probes.OPERATIONS,
    *watching.OPERATIONS,
    Operation("GET", "/openapi.json", "getDescription", "This description", _describe, dict[str, Any], open=True),
    *health.OPERATIONS,
)
