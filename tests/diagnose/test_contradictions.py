"""Which cause stands where text, walk and runtime disagree, and what none of them settles."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    ALL,
    HOST,
    IMAGE,
    LIKELY,
    NODE,
    PROVED,
    UNKNOWN,
    UNTIL_AUTH,
    UNTIL_MANIFEST,
    UNTIL_TLS,
    C,
    S,
    again,
    auth,
    case,
    dns,
    failure,
    http,
    manifest,
    passing,
    result,
    storage,
    tls,
    told,
    trace,
)
from diagnose.weighed import ANONYMOUS_401, REFUSED_TWICE

from pullwhy.diagnose.judge import judge, passes
from pullwhy.model import Answer, CauseId, Confidence, Factor, Outcome, Reason, Reproduction, Stage, Via
from pullwhy.trace import AuthResult, DNSResult, Identity, ManifestFacts, StageResult, TLSFault


def test_a_reproduction_of_the_incident_proves_its_text() -> None:
    given = case(
        hypothesis=told(C.CONTENT_CORRUPT, S.BLOB),
        reproduction=again(),
        reproduction_hypothesis=told(C.CONTENT_CORRUPT, S.BLOB),
    )
    assert judge(given).confidence is PROVED


def test_the_runtime_s_newest_word_counts() -> None:
    given = case(
        hypothesis=told(C.CONNECTION_TIMED_OUT, S.CONNECT),
        reproduction=again(),
        reproduction_hypothesis=told(C.TAG_NOT_FOUND, S.MANIFEST),
    )
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (C.TAG_NOT_FOUND, PROVED)


def test_a_passing_walk_while_the_runtime_fails_names_no_cause() -> None:
    diagnosis = judge(case(trace(passing(*ALL)), told(C.CONNECTION_REFUSED, S.CONNECT)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.UNDETERMINED, UNKNOWN)
    assert Factor.RUNTIME_DIFFERS in diagnosis.factors
    assert any("ConnectionRefused" in fact.fact for fact in diagnosis.evidence)


@pytest.mark.parametrize(
    ("cause", "stage"),
    [
        (C.UNPACK_FAILED, S.UNPACK),
        (C.SIGNATURE_REJECTED, S.RUNTIME),
        (C.CONTENT_CORRUPT, S.BLOB),
        (C.CONNECTION_RESET, S.BLOB),
        (C.DISK_FULL, S.STORAGE),
        (C.CREDENTIAL_PROVIDER_FAILED, S.AUTH),
        (C.CREDENTIALS_REJECTED, S.AUTH),
    ],
)
def test_a_passing_walk_does_not_refute_what_it_cannot_see(cause: CauseId, stage: Stage) -> None:
    diagnosis = judge(case(trace(passing(*ALL)), told(cause, stage)))
    assert (diagnosis.cause, diagnosis.confidence) == (cause, LIKELY)


def test_a_walk_that_stopped_early_does_not_refute_a_later_stage() -> None:
    diagnosis = judge(case(trace(passing(*UNTIL_MANIFEST)), told(C.PLATFORM_NOT_AVAILABLE, S.PLATFORM)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.PLATFORM_NOT_AVAILABLE, LIKELY)


def test_public_image_with_refused_credentials_is_shadowed() -> None:
    diagnosis = judge(case(trace(passing(*ALL)), told(C.CREDENTIALS_REJECTED, S.AUTH)))
    assert Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE in diagnosis.factors


@pytest.mark.parametrize("reproduction", [None, Reproduction("Succeeded")])
def test_only_the_runtime_s_own_success_makes_it_transient(reproduction: Reproduction | None) -> None:
    given = case(trace(passing(*ALL)), told(C.CONNECTION_REFUSED, S.CONNECT), reproduction=reproduction)
    diagnosis = judge(given)
    assert (diagnosis.cause is C.TRANSIENT) is (reproduction is not None)
    if reproduction is not None:
        assert diagnosis.confidence is PROVED
        assert "2026-11-22 10:00:00" in diagnosis.summary


def test_a_pull_without_credentials_does_not_clear_those_that_were_refused() -> None:
    given = case(hypothesis=told(C.CREDENTIALS_REJECTED, S.AUTH), reproduction=Reproduction("Succeeded"))
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, PROVED)
    assert Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE in diagnosis.factors


def test_a_walk_that_fails_earlier_than_the_kubelet_leaves_the_text_standing() -> None:
    diagnosis = judge(case(trace(dns(DNSResult.TIMED_OUT)), told(C.PLATFORM_NOT_AVAILABLE, S.PLATFORM)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.PLATFORM_NOT_AVAILABLE, LIKELY)
    assert any("DNSServerFailure" in fact.fact for fact in diagnosis.evidence)


def test_a_walk_that_fails_further_on_outweighs_the_text() -> None:
    walk = trace(passing(S.DNS, S.CONNECT), tls(TLSFault.EXPIRED))
    diagnosis = judge(case(walk, told(C.DNS_NAME_NOT_FOUND, S.DNS)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CERTIFICATE_EXPIRED, LIKELY)


def test_a_walk_that_was_cut_short_proves_nothing() -> None:
    walk = trace(passing(S.DNS), complete=False)
    diagnosis = judge(case(walk, told(C.TAG_NOT_FOUND, S.MANIFEST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.TAG_NOT_FOUND, LIKELY)
    assert any("out of time" in fact.fact for fact in diagnosis.evidence)


def test_our_own_fault_is_told_as_such() -> None:
    walk = trace(result(S.DNS, Outcome.ERROR, detail="a fault of pullwhy: KeyError"))
    diagnosis = judge(case(walk))
    assert diagnosis.cause is C.UNDETERMINED
    assert "a fault of pullwhy" in diagnosis.summary


@pytest.mark.parametrize(
    ("facts", "image", "confidence"),
    [
        (ManifestFacts(tag_listed=False, repository_answers=True), IMAGE, PROVED),
        (ManifestFacts(tag_listed=True, repository_answers=True), IMAGE, LIKELY),
        (ManifestFacts(tag_listed=False, repository_answers=True), "shop.jfrog.io/web:1.4", LIKELY),
    ],
)
def test_a_404_that_may_hide_something_is_not_proof(facts: ManifestFacts, image: str, confidence: Confidence) -> None:
    walk = trace(passing(*UNTIL_AUTH), manifest(404, facts=facts))
    assert judge(case(walk, told(C.TAG_NOT_FOUND, S.MANIFEST), image_text=image)).confidence is confidence


def test_an_unknown_name_told_to_whom_the_registry_does_not_know_is_likely() -> None:
    granted = replace(auth(AuthResult.TOKEN_GRANTED), outcome=Outcome.PASSED)
    walk = trace(passing(*UNTIL_TLS), granted, manifest(404, "NAME_UNKNOWN"))
    diagnosis = judge(case(walk, told(C.TAG_NOT_FOUND, S.MANIFEST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.REPOSITORY_NOT_FOUND, LIKELY)


def test_full_disk_beside_another_failure_is_no_cause() -> None:
    diagnosis = judge(case(trace(dns(DNSResult.NXDOMAIN), storage()), told(C.DNS_NAME_NOT_FOUND, S.DNS)))
    assert diagnosis.cause is C.DNS_NAME_NOT_FOUND
    assert Factor.DISK_NEARLY_FULL in diagnosis.factors


def test_room_that_is_too_small_for_the_layers_proves_the_text() -> None:
    big = result(S.MANIFEST, manifest=ManifestFacts(layers_bytes=6 << 30))
    walk = trace(passing(*UNTIL_AUTH), big, storage(free=10 << 30, outcome=Outcome.PASSED))
    diagnosis = judge(case(walk, told(C.DISK_FULL, S.STORAGE)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.DISK_FULL, PROVED)


def test_a_hang_while_the_walk_passes_is_said_so() -> None:
    diagnosis = judge(case(trace(passing(*ALL)), failure=failure("", Reason.PULL_HANGS)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.PULL_STALLED, LIKELY)
    assert Factor.RUNTIME_DIFFERS in diagnosis.factors


def test_a_hang_is_what_the_walk_waits_for() -> None:
    walk = trace(passing(S.DNS, S.CONNECT), tls(TLSFault.TIMED_OUT))
    diagnosis = judge(case(walk, failure=failure("", Reason.PULL_HANGS)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.TLS_HANDSHAKE_TIMED_OUT, PROVED)


def test_a_sandbox_image_keeps_its_own_cause() -> None:
    walk = trace(passing(S.DNS), REFUSED_TWICE)
    given = case(walk, told(C.CONNECTION_REFUSED, S.CONNECT, via=Via.SANDBOX_IMAGE))
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.via, diagnosis.confidence) == (C.CONNECTION_REFUSED, Via.SANDBOX_IMAGE, PROVED)
    assert "no new pod" in diagnosis.summary


def test_the_runtime_sends_no_credentials_for_its_sandbox_image() -> None:
    given = case(ANONYMOUS_401, told(C.CREDENTIALS_MISSING, S.AUTH, via=Via.SANDBOX_IMAGE))
    assert judge(given).confidence is PROVED


@pytest.mark.parametrize(
    ("version", "cause", "confidence"),
    [
        ("v1.36.2", C.CREDENTIAL_VERIFICATION_DENIED, PROVED),
        ("", C.CREDENTIAL_VERIFICATION_DENIED, LIKELY),
        ("v1.30.1", C.TRANSIENT, PROVED),
    ],
)
def test_a_present_image_under_never_depends_on_the_kubelet(
    version: str, cause: CauseId, confidence: Confidence
) -> None:
    given = case(
        failure=failure("not present", Reason.ERR_IMAGE_NEVER_PULL),
        image_present=True,
        node=replace(NODE, kubelet_version=version),
    )
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (cause, confidence)


def test_a_limiter_quoted_by_a_registry_is_not_the_kubelet_s() -> None:
    given = case(failure=failure("unexpected status from HEAD request: 429: pull QPS exceeded"))
    assert judge(given).cause is not C.KUBELET_PULL_RATE_LIMITED


def test_spent_quota_is_the_rate_limit_that_a_head_does_not_show() -> None:
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}
    head = result(S.MANIFEST, http=http(200, headers=headers))
    diagnosis = judge(case(trace(passing(*UNTIL_AUTH), head), told(C.RATE_LIMITED, S.MANIFEST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.RATE_LIMITED, PROVED)
    assert diagnosis.summary.startswith("registry.example has no pulls left for this node; its limit is 100 in 6 h")


def test_a_cloud_registry_s_provider_may_bring_fresh_credentials() -> None:
    given = case(
        ANONYMOUS_401, told(C.CREDENTIALS_MISSING, S.AUTH), image_text="1234.dkr.ecr.eu-west-1.amazonaws.com/web:1"
    )
    diagnosis = judge(given)
    assert diagnosis.retryable.answer is Answer.MAYBE
    assert diagnosis.remedy.id == "mend-credential-provider"


def test_the_node_s_own_credentials_outweigh_the_anonymous_answer() -> None:
    walk = trace(
        passing(*UNTIL_TLS),
        auth(AuthResult.NO_CREDENTIALS),
        replace(auth(AuthResult.TOKEN_GRANTED, identity=Identity.NODE), outcome=Outcome.PASSED),
        manifest(404, facts=ManifestFacts(tag_listed=False, repository_answers=True), identity=Identity.NODE),
    )
    diagnosis = judge(case(walk, told(C.TAG_NOT_FOUND, S.MANIFEST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.TAG_NOT_FOUND, PROVED)


@pytest.mark.parametrize(
    ("walk", "expected"),
    [(trace(passing(*ALL)), True), (trace(dns(DNSResult.NXDOMAIN)), False), (trace(passing(*ALL), storage()), False), (None, False)],
)  # fmt: skip
def test_a_pull_would_work_where_nothing_fails(walk: object, expected: bool) -> None:
    assert passes(case(walk)) is expected  # type: ignore[arg-type]


def test_the_summary_names_the_host_and_not_the_path() -> None:
    walk = trace(passing(*UNTIL_AUTH), manifest(404, target=f"{HOST}/shop/web:1.4"))
    assert judge(case(walk, told(C.TAG_NOT_FOUND, S.MANIFEST))).summary.startswith(f"{HOST} has no tag 1.4 in shop/web")


def test_the_failure_itself_may_tell_that_credentials_were_sent() -> None:
    bare = "pulling from host failed with status code [manifests 1]: 401 Unauthorized"
    sent = replace(failure(bare), credentials_sent=True)
    diagnosis = judge(case(ANONYMOUS_401, told(C.CREDENTIALS_REJECTED, S.AUTH, C.CREDENTIALS_MISSING), failure=sent))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, LIKELY)
    none = replace(sent, credentials_sent=False)
    diagnosis = judge(case(ANONYMOUS_401, told(C.CREDENTIALS_REJECTED, S.AUTH, C.CREDENTIALS_MISSING), failure=none))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_MISSING, PROVED)


def test_the_kubelet_s_own_retry_has_the_kubelet_s_own_rights() -> None:
    given = case(
        ANONYMOUS_401,
        told(C.CREDENTIALS_REJECTED, S.AUTH),
        failure=failure(credentials_sent=True),
        reproduction=Reproduction("Failed", "the kubelet's own next try failed in the same way", message="401"),
        reproduction_hypothesis=told(C.CREDENTIALS_REJECTED, S.AUTH),
    )
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, PROVED)
    assert any("own next try" in fact.fact for fact in diagnosis.evidence)


@pytest.mark.parametrize(
    ("kept_from", "complete"),
    [
        (result(S.CONNECT, Outcome.SKIPPED, via=Via.BLOB_HOST, detail="not dialled: a link-local address"), True),
        (result(S.BLOB, Outcome.ERROR, detail="a fault of pullwhy"), True),
        (result(S.BLOB, Outcome.SKIPPED, detail="cut short"), False),
    ],
)
def test_a_walk_that_was_kept_from_the_content_does_not_say_that_a_pull_would_work(
    kept_from: StageResult, complete: bool
) -> None:
    walk = trace(passing(*UNTIL_MANIFEST), kept_from, complete=complete)
    assert not passes(case(walk))
    diagnosis = judge(case(walk, told(C.CONNECTION_TIMED_OUT, S.CONNECT, via=Via.BLOB_HOST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CONNECTION_TIMED_OUT, LIKELY)


def test_docker_hub_is_not_asked_for_content_and_the_walk_passes_all_the_same() -> None:
    skipped = [result(stage, Outcome.SKIPPED, detail="counts against the limit") for stage in (S.PLATFORM, S.BLOB)]
    assert passes(case(trace(passing(*UNTIL_MANIFEST), skipped), image_text="docker.io/library/web:1"))


def test_a_socket_that_is_closed_to_the_asker_is_no_runtime_that_is_down() -> None:
    silent = replace(NODE, runtime_answers=False)
    assert judge(case(trace(passing(*ALL)), node=silent)).cause is C.UNDETERMINED
    assert judge(case(failure=failure(""), node=silent)).cause is C.RUNTIME_UNAVAILABLE
    assert judge(case(hypothesis=told(C.TAG_NOT_FOUND, S.MANIFEST), node=silent)).cause is C.TAG_NOT_FOUND


@pytest.mark.parametrize(("sent", "cause"), [(True, C.ACCESS_DENIED_OR_NOT_FOUND), (None, C.UNDETERMINED)])
def test_a_denial_of_credentials_that_the_walk_lacks_is_not_refuted(sent: bool | None, cause: CauseId) -> None:
    given = case(
        trace(passing(*ALL)), told(C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH), failure=failure(credentials_sent=sent)
    )
    diagnosis = judge(given)
    assert diagnosis.cause is cause
    assert (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE in diagnosis.factors) is (sent is True)


def test_a_host_beside_the_registry_is_taken_from_the_text() -> None:
    message = 'failed to fetch anonymous token: Get "https://auth.example/token": connection refused'
    given = case(hypothesis=told(C.CONNECTION_REFUSED, S.CONNECT, via=Via.TOKEN_HOST), failure=failure(message))
    assert judge(given).summary == f"auth.example refuses connections; it is the token service that {HOST} names"
    unnamed = case(hypothesis=told(C.CONNECTION_REFUSED, S.CONNECT, via=Via.MIRROR))
    assert judge(unnamed).summary.startswith("another host refuses connections")


def test_a_token_service_that_refuses_the_asker_is_the_registry_s_own_answer() -> None:
    diagnosis = judge(case(hypothesis=told(C.CREDENTIALS_REJECTED, S.AUTH, via=Via.TOKEN_HOST)))
    assert diagnosis.via is None
