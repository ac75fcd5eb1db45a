"""Circumstances beside the cause."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    ALL,
    HOST,
    UNTIL_AUTH,
    UNTIL_TLS,
    auth,
    case,
    connect,
    dns,
    failure,
    manifest,
    passing,
    result,
    storage,
    told,
    trace,
)

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.judge import judge
from pullwhy.model import CauseId, Factor, Outcome, Reason, Stage
from pullwhy.trace import (
    AuthResult,
    ConnectResult,
    DNSFacts,
    DNSResult,
    Identity,
    ManifestFacts,
    NameserverAnswer,
)

C, S = CauseId, Stage
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
