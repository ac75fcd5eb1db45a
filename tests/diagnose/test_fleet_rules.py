"""What another node proved stands in for a walk only where it can be this node's fault, and never as proof."""

from dataclasses import replace
from typing import Any

import pytest
from diagnose.builders import ALL, HOST, IMAGE, NODE, NOW, C, S, case, failure, passing, told, trace

from pullwhy.diagnose.case import Adopted
from pullwhy.diagnose.judge import judge
from pullwhy.image import parse
from pullwhy.model import CauseId, Confidence, Diagnosis, Hypothesis, Stage, Via

OTHER = Adopted(
    node="node-b",
    image=parse(IMAGE),
    seen=NOW,
    cause=C.REPOSITORY_NOT_FOUND,
    stage=S.MANIFEST,
    via=None,
    summary="no such repository",
    facts=("404 Not Found (NAME_UNKNOWN)",),
)
WHY = "its turn comes at 10:00:20 UTC"


def judged(text: Hypothesis, **other: Any) -> Diagnosis:
    return judge(case(hypothesis=text, adopted=replace(OTHER, **other), not_walked=WHY))


def test_what_agrees_with_the_text_is_likely_and_says_who_found_it() -> None:
    diagnosis = judged(told(C.TAG_NOT_FOUND, S.MANIFEST))
    assert (diagnosis.cause, diagnosis.stage, diagnosis.confidence) == (
        C.REPOSITORY_NOT_FOUND,
        S.MANIFEST,
        Confidence.LIKELY,
    )
    fleet = [each.fact for each in diagnosis.evidence if each.source == "fleet"]
    assert fleet == [
        f"node node-b walked {IMAGE} and proved RepositoryNotFound, last seen 10:00:00 UTC: no such repository",
        "node node-b: 404 Not Found (NAME_UNKNOWN)",
    ]
    assert any(WHY in each.fact for each in diagnosis.evidence if each.source == "judgement")


def test_alternatives_of_the_text_count() -> None:
    either = told(C.TLS_HANDSHAKE_FAILED, S.TLS, C.CERTIFICATE_EXPIRED)
    assert judged(either, cause=C.CERTIFICATE_EXPIRED, stage=S.TLS).cause is C.CERTIFICATE_EXPIRED
    one = told(C.TLS_HANDSHAKE_FAILED, S.TLS)
    assert judged(one, cause=C.CERTIFICATE_EXPIRED, stage=S.TLS).cause is C.TLS_HANDSHAKE_FAILED


def test_the_remedy_is_for_this_nodes_own_configuration() -> None:
    remedy = judged(told(C.CERTIFICATE_UNTRUSTED, S.TLS), cause=C.CERTIFICATE_UNTRUSTED, stage=S.TLS).remedy
    assert remedy.arguments["certs_d"] == NODE.certs_d


@pytest.mark.parametrize(
    ("cause", "stage", "other"),
    [
        (C.CONNECTION_REFUSED, S.CONNECT, {}),
        (C.DISK_FULL, S.STORAGE, {"cause": C.DISK_FULL, "stage": S.STORAGE}),
        (C.RUNTIME_CONFIG_INVALID, S.CONFIG, {"cause": C.RUNTIME_CONFIG_INVALID, "stage": S.CONFIG}),
        (C.TAG_NOT_FOUND, S.MANIFEST, {"image": parse(f"{HOST}/other/app:1")}),
        (C.TAG_NOT_FOUND, S.MANIFEST, {"cause": C.TAG_NOT_FOUND, "image": parse("elsewhere.example/shop/web:1.4")}),
        (C.CONNECTION_REFUSED, S.CONNECT, {"cause": C.CONNECTION_TIMED_OUT, "stage": S.CONNECT, "image": parse(f"{HOST}/b:1")}),
        (C.CONNECTION_REFUSED, S.CONNECT, {
            "cause": C.CONNECTION_REFUSED, "stage": S.CONNECT, "via": Via.MIRROR, "image": parse(f"{HOST}/b:1"),
        }),
    ],
)  # fmt: skip
def test_what_cannot_be_this_nodes_fault_is_not_adopted(cause: CauseId, stage: Stage, other: dict[str, Any]) -> None:
    diagnosis = judged(told(cause, stage), **other)
    assert (diagnosis.cause, diagnosis.confidence) == (cause, Confidence.LIKELY)
    assert not [each for each in diagnosis.evidence if each.source == "fleet"]


def test_another_image_of_the_registry_speaks_for_what_the_text_itself_tells() -> None:
    other: dict[str, Any] = {"cause": C.CONNECTION_REFUSED, "stage": S.CONNECT, "image": parse(f"{HOST}/other/app:1")}
    diagnosis = judged(told(C.CONNECTION_REFUSED, S.CONNECT), **other)
    assert [each.source for each in diagnosis.evidence if each.source == "fleet"]


def test_a_text_that_tells_nothing_adopts_nothing() -> None:
    diagnosis = judge(case(failure=failure(""), adopted=OTHER, not_walked=WHY))
    assert (diagnosis.cause, diagnosis.confidence) == (C.UNDETERMINED, Confidence.UNKNOWN)


def test_a_walk_of_its_own_outweighs_it() -> None:
    found = case(trace(passing(*ALL)), hypothesis=told(C.TAG_NOT_FOUND, S.MANIFEST), adopted=OTHER)
    diagnosis = judge(found)
    assert diagnosis.cause is not C.REPOSITORY_NOT_FOUND
    assert not [each for each in diagnosis.evidence if each.source == "fleet"]
