"""The OpenAPI document is true: it has every route, every parameter and every key, and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from collector.samples import finding, get, recovered
from collector.served import Served

from pullwhy.collector.api import operations
from pullwhy.collector.api.operations import OPERATIONS
from pullwhy.node.report.status import NodeStatus

DOCUMENT: dict[str, Any] = json.loads(operations.description())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), (finding(1), recovered(2)), NodeStatus(zone="z1"))
    yield running
    running.stop()


def test_every_operation_is_described_and_no_other() -> None:
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(operation.path, operation.method) for operation in OPERATIONS}
    ids = [each["operationId"] for methods in DOCUMENT["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_described_path_is_routed_and_answers_no_other_method(served: Served) -> None:
    for path, methods in DOCUMENT["paths"].items():
        asked = re.sub(r"\{\w+\}", finding(1).id, path)
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            if method.lower() not in methods:
                status, _, headers = get(served.address, asked, method=method)
                assert (status, set(headers["allow"].split(", ")) - {"HEAD"}) == (
                    405,
                    {each.upper() for each in methods},
                )


def test_a_parameter_of_the_path_is_declared_and_every_reference_leads_somewhere() -> None:
    for operation in OPERATIONS:
        names = {each.name for each in operation.parameters}
        assert set(re.findall(r"\{(\w+)\}", operation.path)) <= names
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert references == set(DOCUMENT["components"]["schemas"])


def test_the_document_is_served(served: Served) -> None:
    status, answer, headers = get(served.address, "/openapi.json")
    assert (status, answer, headers["content-type"]) == (200, DOCUMENT, "application/json")
    assert answer["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/v1/findings", "FindingPage"),
        (f"/api/v1/findings/{finding(1).id}", "FindingDetail"),
        ("/api/v1/nodes", "NodePage"),
    ],
)
def test_answers_have_exactly_the_keys_that_are_described(served: Served, path: str, schema: str) -> None:
    _, answer, _ = get(served.address, path)
    check(answer, DOCUMENT["components"]["schemas"][schema])


def check(value: Any, schema: dict[str, Any]) -> None:
    """Check keys only, deeply: types are schemathesis's business."""
    if "$ref" in schema:
        check(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    elif isinstance(value, dict) and "properties" in schema:
        assert value.keys() == schema["properties"].keys()
        for key, part in value.items():
            check(part, schema["properties"][key])
    elif isinstance(value, list):
        for each in value:
            check(each, schema["items"])
    elif isinstance(value, dict) and "anyOf" in schema:
        check(value, next(one for one in schema["anyOf"] if one.get("type") != "null"))
