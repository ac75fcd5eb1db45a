"""`pullwhy classify`: the contract that users script against."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pullwhy.cli.classify import run
from pullwhy.cli.main import build_parser

KEYS = ["id", "cause", "via", "stage", "image", "registry", "retryable", "alternatives"]
PULL = 'Failed to pull image "r.example/web:1": dial tcp 192.0.2.1:443: connect: connection refused'


def classified(data: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    assert run(io.BytesIO(data.encode("utf-8", "surrogateescape")), out) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_envelope() -> None:
    [found] = classified(json.dumps({"id": "a1", "message": PULL + "\nwith a second line"}) + "\n")
    assert list(found) == KEYS
    assert found == {
        "id": "a1",
        "cause": "ConnectionRefused",
        "via": None,
        "stage": "Connect",
        "image": "r.example/web:1",
        "registry": "r.example",
        "retryable": "maybe",
        "alternatives": [],
    }


def test_a_plain_line_has_its_number_as_id() -> None:
    assert [found["id"] for found in classified(f"nothing\n\n{PULL}\n")] == [1, 3]


def test_a_kubelets_json_line_is_no_envelope() -> None:
    [found] = classified(json.dumps({"ts": 1, "msg": "Failed to pull image", "err": PULL}) + "\n")
    assert (found["id"], found["cause"]) == (1, "ConnectionRefused")


def test_what_is_no_pull_failure_has_no_cause() -> None:
    [found] = classified("Readiness probe failed\n")
    assert found == {**dict.fromkeys(KEYS), "id": 1, "alternatives": []}


@pytest.mark.parametrize("identity", [7, None, "x", ["a"], {"b": 1}])
def test_ids_come_back_as_they_are(identity: Any) -> None:
    [found] = classified(json.dumps({"id": identity, "message": "x"}))
    assert found["id"] == identity


def test_overlong_and_undecodable_lines_are_borne() -> None:
    assert [found["id"] for found in classified("x" * 3_000_000 + "\n\udcff\n{broken\n")] == [1, 2, 3]


def test_command_is_known() -> None:
    assert callable(build_parser().parse_args(["classify"]).run)


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/classify.md").read_text()
    assert [row.split("`")[1] for row in page.splitlines() if row.startswith("| `")] == KEYS
