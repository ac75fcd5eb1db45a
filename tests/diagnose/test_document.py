"""The JSON contract of a finding, and its form between agent and collector."""

import json
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from diagnose.findings import FINDING

from pullwhy.diagnose.document.codec import MAX_DOCUMENT, MAX_ITEMS, MAX_SHORT, InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import document, encode, finding_id, rfc3339
from pullwhy.model import CauseId, FailingPod, Finding, RemedyRef

KEYS = {
    "": (
        "schema id cluster node zone pool agent_version image registry cause via stage confidence retryable scope summary evidence "
        "factors remedy pods kubelet reproduction trace first_seen last_seen count state resolved_at"
    ),
    "retryable": "answer why",
    "scope": "verdict failing healthy unknown in_common",
    "evidence": "stage fact source",
    "remedy": "id text commands restart_required durable",
    "pods": "namespace name uid container owner attempts next_retry_at",
    "kubelet": "attempts last_message backoff_seconds next_retry_at",
    "reproduction": "outcome reason code message seconds",
    "trace": "stage target outcome seconds detail identity",
}


@pytest.mark.parametrize(("key", "names"), KEYS.items(), ids=lambda value: str(value)[:20])
def test_the_keys_are_those_of_the_contract(key: str, names: str) -> None:
    found: Any = document(FINDING)
    found = found[key] if key else found
    found = found[0] if isinstance(found, list) else found
    assert list(found) == names.split()


def test_commands_have_the_contract_s_keys() -> None:
    commands = document(FINDING)["remedy"]["commands"]
    assert commands
    assert all(list(command) == ["run", "where", "needs"] for command in commands)
    assert {command["where"] for command in commands} <= {"node", "workstation", "registry"}


def test_the_document_is_plain_json() -> None:
    plain = document(FINDING)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["cause"] == "TagNotFound"
    assert plain["trace"][0]["outcome"] == "Passed"
    assert plain["reproduction"]
    assert plain["reproduction"]["code"] == "NotFound"


def test_what_is_unknown_is_null() -> None:
    bare = replace(FINDING, reproduction=None, resolved_at=None, diagnosis=replace(FINDING.diagnosis, via=None))
    plain = document(bare)
    assert (plain["reproduction"], plain["resolved_at"], plain["via"]) == (None, None, None)


def test_times_are_utc_with_z() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert rfc3339(datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=east)) == "2026-11-22T10:00:00.123Z"
    assert rfc3339(None) is None


def test_an_id_is_stable_and_tells_its_parts_apart() -> None:
    one = finding_id("node-a", "web:1", CauseId.TAG_NOT_FOUND)
    assert one == "7a65b5b81888f229"
    assert finding_id("node-a", "docker.io/library/web:1", CauseId.TAG_NOT_FOUND) == one
    assert (
        len(
            {
                one,
                finding_id("node-aw", "eb:1", CauseId.TAG_NOT_FOUND),
                finding_id("node-a", "web:1", CauseId.DISK_FULL),
            }
        )
        == 3
    )


def test_a_finding_survives_the_wire() -> None:
    assert encode(decode(encode(FINDING))) == encode(FINDING)


def test_the_wire_form_carries_no_rendered_command() -> None:
    assert b"kubectl" not in encode(FINDING)


def test_long_texts_and_lists_are_cut_before_they_are_sent() -> None:
    pods = tuple(FailingPod("shop", f"web-{i}", f"u{i}", "web") for i in range(1000))
    huge = replace(FINDING, pods=pods, diagnosis=replace(FINDING.diagnosis, summary="s" * 100_000))
    received = decode(encode(huge))
    assert len(received.pods) == MAX_ITEMS["pods"]
    assert len(received.diagnosis.summary) == MAX_SHORT


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert decode(encode(replace(FINDING, image="web:\udcff"))).image == "web:?"


def changed(path: str, value: object) -> bytes:
    plain = json.loads(encode(FINDING))
    *parents, last = path.split(".")
    place = plain
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("id", ..., "id"),
        ("id", "", "$.id"),
        ("node", 7, "$.node"),
        ("schema", "pullwhy/v9", "$.schema"),
        ("diagnosis.cause", "Gremlins", "$.diagnosis.cause"),
        ("diagnosis.summary", "s" * 100_000, "$.diagnosis.summary"),
        ("diagnosis.remedy.arguments", {str(i): "x" for i in range(1000)}, "$.diagnosis.remedy.arguments"),
        ("diagnosis.remedy.arguments", {"k" * 5000: "x"}, "$.diagnosis.remedy.arguments"),
        ("first_seen", "yesterday", "$.first_seen"),
        ("first_seen", "2026-11-22T10:00:00", "$.first_seen"),
        ("count", -1, "$.count"),
        ("count", 2**60, "$.count"),
        ("pods.0.attempts", -5, "$.pods[0].attempts"),
        ("pods", [{"namespace": "a", "name": "b", "uid": "c", "container": "d"}] * 5000, "$.pods"),
        ("trace.0.outcome", "Maybe", "outcome"),
        ("trace.0.seconds", "fast", "seconds"),
    ],
)
def test_what_is_no_finding_is_refused_by_its_key(path: str, value: object, named: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        decode(changed(path, value))
    assert named in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"x" * (MAX_DOCUMENT + 1)])
def test_bytes_that_are_no_document_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        decode(data)


def test_unknown_keys_of_a_newer_agent_are_passed_over() -> None:
    assert encode(decode(changed("mood", "good"))) == encode(FINDING)


def test_every_field_of_a_finding_is_in_its_document() -> None:
    named = {field.name for field in fields(Finding)} - {"diagnosis"}
    assert named <= set(document(FINDING))


def test_a_remedy_of_a_newer_agent_still_makes_a_document() -> None:
    newer = replace(FINDING, diagnosis=replace(FINDING.diagnosis, remedy=RemedyRef("teleport", {})))
    assert document(newer)["remedy"]["id"] == "teleport"
