"""Circumstances beside the cause."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    ALL,
    HOST,
    NODE,
    NOW,
    UNTIL_AUTH,
    UNTIL_TLS,
    C,
    S,
    auth,
    case,
    connect,
    dns,
    failed,
    failure,
    manifest,
    passing,
    result,
    storage,
    told,
    trace,
)

from pullwhy.diagnose.case import Case, Queue, RuntimeRemark
from pullwhy.diagnose.explain.factors import SENTENCES
from pullwhy.diagnose.judge import judge
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import CauseId, Factor, Outcome, PodRef, Reason
from pullwhy.trace import (
    AuthResult,
    ConnectAttempt,
    ConnectResult,
    DNSFacts,
    DNSResult,
    Identity,
    ManifestFacts,
    NameserverAnswer,
)

ABSENT = trace(passing(*UNTIL_AUTH), manifest(404, facts=ManifestFacts(tag_listed=False, repository_answers=True)))
REFUSED = trace(passing(S.DNS), connect(("10.0.0.1", ConnectResult.REFUSED)))
DENIES = NameserverAnswer("10.0.0.53", HOST, DNSResult.NXDOMAIN)
ANSWERS = NameserverAnswer("10.0.1.53", HOST, DNSResult.ANSWERED, ("10.9.9.9",))


def resolved(*answers: NameserverAnswer, search: str = "") -> DNSFacts:
    return DNSFacts(HOST, "dns", ("10.9.9.9",), answers, answers[0], search)


def nameservers(*answers: NameserverAnswer) -> Case:
    return case(trace(replace(dns(DNSResult.NXDOMAIN), dns=resolved(*answers))))


def refused_with(**fields: object) -> Case:
    return case(REFUSED, told(C.CONNECTION_REFUSED, S.CONNECT), **fields)


def nearly_full(free: int) -> Case:
    return case(
        trace(passing(S.DNS), connect(("10.0.0.1", ConnectResult.REFUSED)), storage(free=free, outcome=Outcome.PASSED))
    )


def remark(text: str, cause: CauseId, host: str = "mirror.example", *, mirror: bool = True) -> RuntimeRemark:
    return RuntimeRemark(when=NOW, unit="containerd.service", text=text, host=host, cause=cause, is_mirror=mirror)


def hangs(pods: int, *, moves: bool = False, serial: bool | None = True) -> Case:
    waiting = tuple(PodRef("shop", f"web-{number}", f"u{number}") for number in range(pods))
    return case(
        failure=failure("no end", Reason.PULL_HANGS), queue=Queue(pods=waiting, moves=moves), node=replace(NODE, serial_pulls=serial)
    )  # fmt: skip


def tracked(count: int, cause: CauseId = C.CONNECTION_TIMED_OUT) -> Case:
    return case(hypothesis=told(cause, S.CONNECT), node=replace(NODE, conntrack=(count, 4096)))


def no_port(address: str) -> Case:
    attempt = ConnectAttempt(address, 443, ConnectResult.UNREACHABLE, 0.0, "Cannot assign requested address")
    return case(trace(passing(S.DNS), failed(S.CONNECT, connect=(attempt,))))


def text_of_no_port(address: str) -> Case:
    text = f'failed to do request: Head "https://{HOST}/v2/": dial tcp {address}:443: connect: cannot assign requested address'
    return case(hypothesis=told(C.NETWORK_UNREACHABLE, S.CONNECT), failure=failure(text))


GONE = remark("answered 503 Service Unavailable", C.REGISTRY_SERVER_ERROR)
LACKS = remark("answered 404 Not Found", C.TAG_NOT_FOUND)

SHADOWED = case(
    trace(passing(*ALL, identity=Identity.ANONYMOUS), auth(AuthResult.REFUSED, identity=Identity.NODE)),
    told(C.CREDENTIALS_REJECTED, S.AUTH),
)  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "given", "holds"),
    [
        (Factor.DEFAULTED_LATEST_TAG, case(ABSENT, image_text=f"{HOST}/shop/web"), True),
        (Factor.DEFAULTED_LATEST_TAG, case(ABSENT, image_text=f"{HOST}/shop/web:latest"), False),
        (Factor.DEFAULTED_LATEST_TAG, case(REFUSED, image_text=f"{HOST}/shop/web"), False),
        (Factor.POLICY_ALWAYS_IMAGE_PRESENT, refused_with(image_present=True), True),
        (Factor.POLICY_ALWAYS_IMAGE_PRESENT, refused_with(image_present=False), False),
        (Factor.POLICY_ALWAYS_IMAGE_PRESENT, case(image_present=True, failure=failure("x", Reason.ERR_IMAGE_NEVER_PULL)), False),
        (Factor.NO_CREDENTIALS_SENT, refused_with(failure=failure("failed to fetch anonymous token: x")), True),
        (Factor.NO_CREDENTIALS_SENT, refused_with(failure=failure("failed to fetch oauth token: x")), False),
        (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE, SHADOWED, True),
        (Factor.NAMESERVERS_DISAGREE, nameservers(DENIES, ANSWERS), True),
        (Factor.NAMESERVERS_DISAGREE, nameservers(DENIES, replace(DENIES, server="10.0.1.53")), False),
        (Factor.NAMESERVERS_DISAGREE, nameservers(DENIES, replace(ANSWERS, name=f"{HOST}.corp.example")), False),
        (Factor.SEARCH_DOMAIN_ANSWERED, case(trace(result(S.DNS, dns=resolved(ANSWERS, search="corp.example")))), True),
        (Factor.SEARCH_DOMAIN_ANSWERED, case(trace(result(S.DNS, dns=resolved(ANSWERS)))), False),
        (Factor.CLOCK_SKEW, case(replace(REFUSED, clock_skew_seconds=-61.0)), True),
        (Factor.CLOCK_SKEW, case(replace(REFUSED, clock_skew_seconds=59.0)), False),
        (Factor.CLOCK_SKEW, case(REFUSED), False),
        (Factor.DISK_NEARLY_FULL, nearly_full(100 << 20), True),
        (Factor.DISK_NEARLY_FULL, nearly_full(5 << 30), False),
        (Factor.DISK_NEARLY_FULL, case(trace(passing(*ALL), storage()), told(C.DISK_FULL, S.STORAGE)), False),
        (Factor.REF_LOCKED, refused_with(failure=failure("ref layer-sha256:0 locked: unavailable")), True),
        (Factor.REF_LOCKED, refused_with(), False),
        (Factor.MIRROR_SKIPPED, refused_with(remarks=(GONE,)), True),
        (Factor.MIRROR_SKIPPED, refused_with(remarks=(LACKS,)), False),
        (Factor.MIRROR_SKIPPED, refused_with(remarks=(replace(GONE, host=HOST, is_mirror=False),)), False),
        (Factor.SERIAL_PULLS_BLOCKED, hangs(2), True),
        (Factor.SERIAL_PULLS_BLOCKED, hangs(2, serial=None), True),
        (Factor.SERIAL_PULLS_BLOCKED, hangs(1), False),
        (Factor.SERIAL_PULLS_BLOCKED, hangs(2, moves=True), False),
        (Factor.SERIAL_PULLS_BLOCKED, hangs(2, serial=False), False),
        (Factor.CONNTRACK_FULL, tracked(4096), True),
        (Factor.CONNTRACK_FULL, tracked(4095), False),
        (Factor.CONNTRACK_FULL, tracked(4096, C.TAG_NOT_FOUND), False),
        (Factor.CONNTRACK_FULL, case(hypothesis=told(C.CONNECTION_TIMED_OUT, S.CONNECT)), False),
        (Factor.PORTS_EXHAUSTED, no_port("192.0.2.1"), True),
        (Factor.PORTS_EXHAUSTED, no_port("2001:db8::1"), False),
        (Factor.PORTS_EXHAUSTED, text_of_no_port("192.0.2.1"), True),
        (Factor.PORTS_EXHAUSTED, text_of_no_port("[2001:db8::1]"), False),
        (Factor.PORTS_EXHAUSTED, refused_with(), False),
        (Factor.JOURNAL_SUPPRESSED, case(hypothesis=told(C.UNDETERMINED, S.RUNTIME), lines_lost=True), True),
        (Factor.JOURNAL_SUPPRESSED, case(hypothesis=told(C.UNDETERMINED, S.RUNTIME)), False),
        (Factor.JOURNAL_SUPPRESSED, refused_with(lines_lost=True), False),
    ],
)  # fmt: skip
def test_a_circumstance_is_named_where_it_holds(factor: Factor, given: Case, holds: bool) -> None:
    assert (factor in judge(given).factors) is holds


def test_the_shadowing_credentials_are_the_cause() -> None:
    diagnosis = judge(SHADOWED)
    assert diagnosis.cause is C.CREDENTIALS_REJECTED


def test_the_remedy_hears_of_the_factors() -> None:
    given = case(ABSENT, told(C.TAG_NOT_FOUND, S.MANIFEST), image_text=f"{HOST}/shop/web", image_present=True)
    assert judge(given).remedy.arguments["factors"] == "DefaultedLatestTag,PolicyAlwaysImagePresent"


def test_evidence_tells_nothing_secret() -> None:
    message = "Get https://user:hunter2@registry.example/v2/?token=hunter2: Authorization: Basic aHVudGVyMjpodW50ZXIy"
    given = case(trace(passing(*UNTIL_TLS)), told(C.UNDETERMINED, S.AUTH), failure=failure(message))
    facts = " ".join(fact.fact for fact in judge(given).evidence)
    assert "registry.example" in facts
    assert "hunter2" not in facts
    assert "aHVudGVy" not in facts


def test_every_factor_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Factor)


def test_a_hanging_pull_tells_who_waits_and_how_to_keep_it_from_blocking_the_node() -> None:
    diagnosis = judge(hangs(12))
    facts = [fact.fact for fact in diagnosis.evidence]
    assert diagnosis.cause is C.PULL_STALLED
    assert diagnosis.summary.endswith("; every other pull of this node waits behind it")
    assert any(
        fact.startswith("12 pods have a sandbox and no container yet") and fact.endswith("and 4 more") for fact in facts
    )
    assert any("serializeImagePulls" in fact for fact in facts)
    assert "maxParallelImagePulls" in render(diagnosis.remedy).text


@pytest.mark.parametrize(
    ("given", "fact", "advice"),
    [
        (tracked(4096), "4096 connections are tracked, of 4096 that may be", "nf_conntrack_max"),
        (replace(no_port("192.0.2.1"), node=replace(NODE, local_ports=(100, 101))), "local ports go from 100 to 101: 2 connections to one address and port", "keeps so many connections"),
    ],
)  # fmt: skip
def test_a_limit_of_the_kernel_is_shown_and_comes_first_in_the_remedy(given: Case, fact: str, advice: str) -> None:
    diagnosis = judge(given)
    assert fact in [each.fact for each in diagnosis.evidence]
    assert advice in render(diagnosis.remedy).text.split(".")[0] + render(diagnosis.remedy).text[:200]


def test_the_runtimes_own_lines_are_evidence_with_their_time_and_host() -> None:
    diagnosis = judge(refused_with(remarks=(GONE,)))
    facts = {each.fact: each.source for each in diagnosis.evidence}
    assert (
        facts["containerd's log at 10:00:00: mirror.example (a mirror): answered 503 Service Unavailable"]
        == "containerd.service"
    )
