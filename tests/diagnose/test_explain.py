"""The long text of a finding."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from diagnose.findings import FINDING

from pullwhy.diagnose.document.finding import document
from pullwhy.diagnose.explain.finding import explain
from pullwhy.diagnose.explain.problem import explain_problem
from pullwhy.model import Scope, ScopeVerdict

DOCUMENT = document(FINDING)
UNASKED = "Unknown (1 node fails, 0 do not; no other node could be asked)"


def test_it_tells_what_why_who_when_and_what_to_do() -> None:
    text = explain(DOCUMENT)
    order = [
        "TagNotFound: registry.example has no tag 1.4 in shop/web; it has 1.40",
        "proved: observed on the node itself",
        "4 times from 2026-11-22T09:55:00.000Z",
        "What shows it",
        "404 Not Found (MANIFEST_UNKNOWN)",
        "Who waits for it",
        "shop/web-7d9c (ReplicaSet/web), container web, 4 attempts, next try 2026-11-22T10:01:20.000Z",
        "Will it heal by itself?",
        "no: the tag must be pushed",
        "What to do",
        "skopeo list-tags docker://registry.example/shop/web",
        "The walk",
        "FAIL",
    ]
    text = " ".join(text.split())
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def step(stage: str, target: str = "r.example", detail: str = "") -> dict[str, Any]:
    return {"stage": stage, "target": target, "outcome": "Passed", "seconds": 0.0, "detail": detail, "identity": ""}


def test_the_walk_is_told_in_the_order_of_the_pull_path() -> None:
    known = [step(each, "node") for each in ("Reference", "Runtime", "Auth", "Proxy", "Storage")]
    hosts = [step(each, host) for host in ("mirror", "host") for each in ("DNS", "Connect", "TLS", "Auth", "Manifest")]
    told = explain(DOCUMENT | {"trace": [*known, *hosts]}, 200).split("The walk")[1].split("\n")
    assert [tuple(line.split()[-2:]) for line in told if line.strip()] == [
        *(("Reference", "node"), ("Proxy", "node")),
        *((each, "mirror") for each in ("DNS", "Connect", "TLS")),
        ("Auth", "node"),
        *((each, "mirror") for each in ("Auth", "Manifest")),
        *((each, "host") for each in ("DNS", "Connect", "TLS", "Auth", "Manifest")),
        *(("Storage", "node"), ("Runtime", "node")),
    ]


def test_without_a_walk_the_steps_are_in_order_too() -> None:
    told = explain(DOCUMENT | {"trace": [step("Runtime"), step("Storage"), step("Auth"), step("Reference")]}, 200)
    stages = [line.split()[-2] for line in told.split("The walk")[1].split("\n") if line.strip()]
    assert stages == ["Reference", "Auth", "Storage", "Runtime"]


def test_a_detail_that_repeats_its_target_is_left_out() -> None:
    told = explain(DOCUMENT | {"trace": [step("Reference", "a/b:1", "a/b:1")]}, 200)
    assert told.split("The walk")[1].split()[-2:] == ["Reference", "a/b:1"]


def test_one_attempt_is_one() -> None:
    pod = {"namespace": "shop", "name": "web", "container": "web", "attempts": 1}
    assert "container web, 1 attempt\n" in explain(DOCUMENT | {"pods": [pod]}, 200)


def test_a_judgement_is_of_no_stage() -> None:
    facts = [{"stage": "Connect", "fact": fact, "source": fact} for fact in ("walk", "judgement")]
    told = explain(DOCUMENT | {"evidence": facts}, 200).split("\n")
    assert "  - Connect: walk  [walk]" in told
    assert "  - judgement  [judgement]" in told


@pytest.mark.parametrize(
    ("scope", "at", "told"),
    [
        (Scope(), None, "not known yet"),
        (Scope(failing=1, in_common=("no other node could be asked",)), "2026-11-22T10:00:00Z", UNASKED),
        (Scope(ScopeVerdict.IMAGE_WIDE, 3, 1), "2026-11-22T10:00:00Z", "ImageWide (3 nodes fail, 1 does not)"),
    ],
)
def test_a_problem_tells_how_far_it_reaches_or_why_that_is_unknown(scope: Scope, at: str | None, told: str) -> None:
    finding = document(replace(FINDING, scope=scope))
    problem = {"id": "0" * 16, "scope": finding["scope"], "scope_at": at, "nodes": 1, "pods": 2, "findings": 1}
    lines = [line.strip() for line in explain_problem(problem, 200).splitlines()]
    assert next(line for line in lines if line.startswith("scope")).split(maxsplit=1)[1] == told
    assert next(line for line in lines if line.startswith("affects")).endswith(" 1 node, 2 pods, 1 finding")


def test_a_finding_tells_of_its_scope_only_what_was_compared() -> None:
    assert "scope" not in explain(document(replace(FINDING, scope=Scope())), 200).split("What shows it")[0].split()
    unasked = Scope(failing=1, in_common=("no other node could be asked",))
    assert UNASKED in explain(document(replace(FINDING, scope=unasked)), 200)


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_lines_keep_to_the_width_but_commands_stay_whole(width: int) -> None:
    commands = [command["run"] for command in DOCUMENT["remedy"]["commands"]]
    lines = explain(DOCUMENT, width).split("\n")
    assert all(any(command in line for line in lines) for command in commands)
    wrapped = [line for line in lines if not any(command in line for command in commands)]
    words = 80  # a digest or a URL is one word
    assert all(len(line) <= width or len(line.split()[-1]) > width - words for line in wrapped)


@pytest.mark.parametrize(
    ("now", "pod", "kubelet"),
    [
        (datetime(2026, 11, 22, 10, 0, tzinfo=UTC), "next try 2026", "The kubelet tries again at 2026"),
        (datetime(2026, 11, 22, 11, 0, tzinfo=UTC), "next try was due 2026", "The kubelet's next try was due at 2026"),
    ],
)
def test_a_try_that_is_over_was_due(now: datetime, pod: str, kubelet: str) -> None:
    text = " ".join(explain(DOCUMENT, 200, now).split())
    assert pod in text
    assert kubelet in text


def poisoned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return f"{value}\x1b[2J\u202e\r" if isinstance(value, str) else value


def test_nothing_hostile_reaches_the_terminal() -> None:
    assert explain(poisoned(DOCUMENT)).replace("\n", "").isprintable()


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_a_key_that_is_missing_or_odd_is_passed_over(key: str) -> None:
    without = {name: value for name, value in DOCUMENT.items() if name != key}
    assert explain(without)
    for odd in (None, 7, "text", [], {}, [None], ["x"], {"commands": [7], "text": None}):
        assert explain(DOCUMENT | {key: odd})


def test_an_empty_document_is_still_answered() -> None:
    assert explain({}).startswith("Undetermined")


def test_stages_are_a_checklist() -> None:
    lines = [line.strip() for line in explain(DOCUMENT).split("\n")]
    assert any(line.startswith("OK") and "DNS" in line and "0.01 s" in line for line in lines)
    assert any(line.startswith("FAIL") and "Manifest" in line for line in lines)


def test_configuration_to_write_keeps_its_lines() -> None:
    remedy = DOCUMENT["remedy"] | {"text": 'Write:\nconfigs:\n  "registry.example":\n    tls:\nand restart.'}
    text = explain(DOCUMENT | {"remedy": remedy})
    assert '    configs:\n      "registry.example":\n        tls:\n' in text


def test_a_factor_is_told_with_its_meaning_and_an_unknown_one_by_its_name() -> None:
    text = " ".join(explain({**DOCUMENT, "factors": ["RefLocked", "New\x1bFactor"]}, 200).split())
    assert "beside RefLocked: another pull of the same content holds its lock" in text
    assert "beside New\\x1bFactor" in text
