"""The OpenAPI 3.1 document, made from the table of operations and the types of their answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from pullwhy import __version__
from pullwhy.collector.api.contract import Error
from pullwhy.collector.api.operation import JSON, Operation

VERSION: Final = "3.1.0"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_READING: Final = (400, 401, 403, 500, 503)
"""What any question may be answered with besides."""
_WITH_BODY: Final = (408, 413, 415)
_REFERENCE: Final = "#/components/schemas/{name}"


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document."""
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": VERSION,
        "info": {
            "title": "pullwhy collector",
            "version": __version__,
            "description": "Why can't these nodes pull these images? Keys are added within /api/v1, never renamed or removed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas.components},
    }


class _Schemas:
    """The JSON Schemas of every type that an operation names."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds: list[Any] = [Error]
        for each in operations:
            kinds += [kind for kind in (each.answer, each.body) if kind is not None]
            kinds += [one.kind for one in each.parameters]
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._schemas = list(zip(kinds, schemas, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        return next(schema for each, schema in self._schemas if each is kind)


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    in_path = _IN_PATH.findall(operation.path)
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": [
            {
                "name": each.name,
                "in": "path" if each.name in in_path else "query",
                "required": each.name in in_path,
                "description": each.meaning,
                "schema": schemas.of(each.kind),
            }
            for each in operation.parameters
        ],
        "responses": _responses(operation, schemas),
    }
    if operation.body:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas.of(operation.body)}}}
    return described


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer is not None:
        answer["content"] = {operation.media: {"schema": schemas.of(operation.answer)}}
    if operation.links:
        answer["links"] = {
            name: {"operationId": name, "parameters": {"id": f"$response.body#{pointer}"}}
            for name, pointer in operation.links.items()
        }
    responses = {str(operation.status): answer}
    if operation.tagged:
        tag = {"ETag": {"description": "Send it back as If-None-Match", "schema": {"type": "string"}}}
        answer["headers"] = tag
        responses["304"] = {"description": "Nothing changed since the answer with that ETag", "headers": tag}
    for status in _errors(operation):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": schemas.of(Error)}},
        }
    return responses


def _errors(operation: Operation) -> list[int]:
    statuses = {500, 503} if operation.open else {*_READING, *operation.errors}
    if operation.body:
        statuses.update(_WITH_BODY)
    if _IN_PATH.search(operation.path):
        statuses.add(404)
    return sorted(statuses)
