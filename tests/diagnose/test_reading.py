"""Several hosts: the failure that a person must mend decides."""

import pytest
from diagnose.builders import (
    ALL,
    UNTIL_AUTH,
    UNTIL_MANIFEST,
    UNTIL_TLS,
    C,
    S,
    auth,
    blob,
    case,
    config,
    connect,
    dns,
    failed,
    failure,
    http,
    manifest,
    passing,
    platform,
    result,
    tls,
    told,
    trace,
)

from pullwhy.diagnose.judge import judge, passes
from pullwhy.diagnose.rules.verdict import host_of
from pullwhy.model import CauseId, Confidence, Factor, Outcome, Via
from pullwhy.trace import (
    AuthResult,
    BlobResult,
    ConfigFault,
    ConnectResult,
    DNSFacts,
    DNSResult,
    HTTPFacts,
    HTTPFault,
    StageResult,
    TLSFault,
)

M = Via.MIRROR
DEAD = connect(("10.0.0.1", ConnectResult.REFUSED), via=M)
MIRROR_404 = [*passing(*UNTIL_AUTH, via=M), manifest(404, via=M)]
MIRROR_403 = [*passing(*UNTIL_TLS, via=M), auth(AuthResult.REFUSED, 403, via=M, path="/v2/x/manifests/1")]
MIRROR_TLS = [*passing(S.DNS, S.CONNECT, via=M), tls(TLSFault.UNTRUSTED, via=M)]
UPSTREAM_DEAD = connect(("10.0.0.2", ConnectResult.TIMED_OUT), endpoint=1)
UPSTREAM_404 = [*passing(*UNTIL_AUTH, endpoint=1), manifest(404, endpoint=1)]
UPSTREAM_OK = passing(*ALL, endpoint=1)


@pytest.mark.parametrize(
    ("mirror", "upstream", "told_cause", "cause", "via"),
    [
        ([DEAD], [UPSTREAM_DEAD], C.CONNECTION_REFUSED, C.CONNECTION_TIMED_OUT, None),
        ([DEAD], UPSTREAM_404, C.CONNECTION_REFUSED, C.TAG_NOT_FOUND, None),
        (MIRROR_404, [UPSTREAM_DEAD], C.TAG_NOT_FOUND, C.CONNECTION_TIMED_OUT, None),
        (MIRROR_403, [UPSTREAM_DEAD], C.ACCESS_DENIED_OR_NOT_FOUND, C.MIRROR_FAILED, M),
        (MIRROR_TLS, [UPSTREAM_DEAD], C.CERTIFICATE_UNTRUSTED, C.MIRROR_FAILED, M),
        (MIRROR_404, UPSTREAM_404, C.TAG_NOT_FOUND, C.TAG_NOT_FOUND, None),
    ],
)  # fmt: skip
def test_of_a_mirror_and_its_upstream_that_which_got_further_decides(
    mirror: list[StageResult], upstream: list[StageResult], told_cause: CauseId, cause: CauseId, via: Via | None
) -> None:
    diagnosis = judge(case(trace(mirror, upstream), told(told_cause, S.CONNECT)))
    assert (diagnosis.cause, diagnosis.via, diagnosis.confidence) == (cause, via, Confidence.PROVED)


@pytest.mark.parametrize(
    ("upstream", "cause"), [([UPSTREAM_DEAD], C.CONNECTION_TIMED_OUT), (UPSTREAM_404, C.TAG_NOT_FOUND)]
)
def test_a_walk_that_meets_the_dead_mirror_agrees_with_the_text_about_it(
    upstream: list[StageResult], cause: CauseId
) -> None:
    text = told(C.MIRROR_FAILED, S.CONNECT, C.CONNECTION_REFUSED, via=M)
    diagnosis = judge(case(trace([DEAD], upstream), text))
    assert (diagnosis.cause, diagnosis.confidence) == (cause, Confidence.PROVED)
    alone = judge(case(trace([DEAD]), text))
    assert (alone.cause, alone.via, alone.confidence) == (C.CONNECTION_REFUSED, M, Confidence.PROVED)


def test_the_text_alone_names_the_mirror_and_what_failed_there() -> None:
    message = 'Head "https://m.example/v2/x/manifests/1?ns=registry.example": connection refused'
    text = told(C.MIRROR_FAILED, S.CONNECT, C.CONNECTION_REFUSED, via=M)
    diagnosis = judge(case(hypothesis=text, failure=failure(message)))
    assert (diagnosis.cause, diagnosis.stage, diagnosis.confidence) == (C.MIRROR_FAILED, S.CONNECT, Confidence.LIKELY)
    assert diagnosis.summary.startswith("the mirror m.example failed (ConnectionRefused)")


def test_both_answers_are_in_the_evidence() -> None:
    diagnosis = judge(case(trace([DEAD], UPSTREAM_404), told(C.CONNECTION_REFUSED, S.CONNECT)))
    facts = " ".join(fact.fact for fact in diagnosis.evidence)
    assert "404" in facts
    assert "ConnectionRefused" in facts
    assert Factor.MIRROR_SKIPPED in diagnosis.factors


def test_an_upstream_that_serves_makes_a_dead_mirror_a_factor() -> None:
    given = case(trace([DEAD], UPSTREAM_OK), told(C.CONNECTION_REFUSED, S.CONNECT))
    assert passes(case(trace([DEAD], UPSTREAM_OK)))
    assert set(judge(given).factors) == {Factor.MIRROR_SKIPPED, Factor.RUNTIME_DIFFERS}


def test_mirrors_alone_fail_by_their_own_cause() -> None:
    diagnosis = judge(case(trace(MIRROR_TLS), told(C.CERTIFICATE_UNTRUSTED, S.TLS)))
    assert (diagnosis.cause, diagnosis.via) == (C.CERTIFICATE_UNTRUSTED, M)


def test_an_upstream_that_the_runtime_may_not_ask_leaves_the_mirror_s_cause() -> None:
    passed_over = result(S.MANIFEST, Outcome.SKIPPED, detail="no pull capability", endpoint=1)
    diagnosis = judge(case(trace(MIRROR_TLS, passed_over), told(C.CERTIFICATE_UNTRUSTED, S.TLS)))
    assert (diagnosis.cause, diagnosis.via) == (C.CERTIFICATE_UNTRUSTED, M)


def test_an_upstream_that_was_not_looked_at_proves_nothing() -> None:
    skipped = passing(S.CONNECT, S.MANIFEST, endpoint=1, detail="not dialled")
    not_dialled = [StageResult(r.stage, r.target, Outcome.SKIPPED, detail=r.detail, endpoint=1) for r in skipped]
    diagnosis = judge(case(trace([DEAD], not_dialled)))
    assert diagnosis.cause is C.UNDETERMINED


def test_content_that_a_mirror_lacks_comes_from_the_upstream() -> None:
    mirror = [*passing(*UNTIL_MANIFEST, via=M), blob(BlobResult.MISSING, 404, via=M)]
    assert passes(case(trace(mirror, UPSTREAM_OK)))


def test_content_that_a_mirror_alters_ends_the_pull() -> None:
    mirror = [*passing(*UNTIL_MANIFEST, via=M), blob(BlobResult.CORRUPT, 200, via=M)]
    diagnosis = judge(case(trace(mirror, UPSTREAM_OK), told(C.CONTENT_CORRUPT, S.BLOB)))
    assert (diagnosis.cause, diagnosis.via) == (C.CONTENT_CORRUPT, M)


def test_a_mirror_without_the_platform_ends_the_pull() -> None:
    given = case(trace(passing(*UNTIL_MANIFEST, via=M), platform("linux/arm64"), UPSTREAM_OK))
    assert judge(given).cause is C.PLATFORM_NOT_AVAILABLE


@pytest.mark.parametrize(
    ("blob_host", "cause"),
    [
        (dns(DNSResult.NXDOMAIN, via=Via.BLOB_HOST), C.DNS_NAME_NOT_FOUND),
        (connect(("10.0.0.3", ConnectResult.TIMED_OUT), via=Via.BLOB_HOST), C.CONNECTION_TIMED_OUT),
        (tls(TLSFault.UNTRUSTED, via=Via.BLOB_HOST), C.CERTIFICATE_UNTRUSTED),
    ],
)
def test_a_redirect_host_that_fails_has_that_stage_s_cause(blob_host: StageResult, cause: CauseId) -> None:
    skipped = result(S.BLOB, Outcome.SKIPPED, detail="the host that serves it could not be asked")
    diagnosis = judge(
        case(trace(passing(*UNTIL_MANIFEST), blob_host, skipped), told(cause, blob_host.stage, via=Via.BLOB_HOST))
    )
    assert (diagnosis.cause, diagnosis.via, diagnosis.confidence) == (cause, Via.BLOB_HOST, Confidence.PROVED)
    assert "sends the runtime to for content" in diagnosis.summary


def test_a_token_service_that_fails_is_named() -> None:
    token = connect(("10.0.0.4", ConnectResult.REFUSED), via=Via.TOKEN_HOST, target="auth.example:443")
    diagnosis = judge(
        case(trace(passing(*UNTIL_TLS), token), told(C.CONNECTION_REFUSED, S.CONNECT, via=Via.TOKEN_HOST))
    )
    assert (diagnosis.cause, diagnosis.via) == (C.CONNECTION_REFUSED, Via.TOKEN_HOST)
    assert diagnosis.summary.startswith("auth.example:443 refuses")


def test_an_object_store_that_forbids_is_the_source_s_fault_but_not_surely() -> None:
    walk = trace(passing(*UNTIL_MANIFEST), blob(BlobResult.REFUSED, 403, via=Via.BLOB_HOST))
    diagnosis = judge(case(walk, told(C.BLOB_UNAVAILABLE, S.BLOB)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.SOURCE_DENIED, Confidence.LIKELY)


def test_a_plain_http_fallback_makes_the_failed_hello_good() -> None:
    walk = trace(passing(S.DNS, S.CONNECT), tls(TLSFault.PLAIN_HTTP), passing(S.AUTH, S.MANIFEST, S.PLATFORM, S.BLOB))
    assert passes(case(walk))


def test_a_proxy_s_failure_is_the_proxy_s_whatever_struck() -> None:
    proxy = connect(("10.0.0.5", ConnectResult.REFUSED), via=Via.PROXY, target="proxy.example:3128")
    diagnosis = judge(case(trace(proxy), told(C.PROXY_FAILED, S.PROXY)))
    assert (diagnosis.cause, diagnosis.stage, diagnosis.via) == (C.PROXY_FAILED, S.PROXY, Via.PROXY)


HOSTS_TOML = config(ConfigFault.INVALID, decides=False)
IGNORED_HOSTS = config(ConfigFault.IGNORED, decides=False)
IGNORED_CA = config(ConfigFault.IGNORED, decides=False, file="/etc/docker/certs.d/registry.example/ca.crt")


@pytest.mark.parametrize(
    ("lost", "symptom", "cause"),
    [
        (HOSTS_TOML, dns(DNSResult.NXDOMAIN), C.RUNTIME_CONFIG_INVALID),
        (HOSTS_TOML, tls(TLSFault.PLAIN_HTTP), C.RUNTIME_CONFIG_INVALID),
        (HOSTS_TOML, tls(TLSFault.EXPIRED), C.CERTIFICATE_EXPIRED),
        (HOSTS_TOML, manifest(404), C.TAG_NOT_FOUND),
        (IGNORED_HOSTS, dns(DNSResult.NXDOMAIN), C.RUNTIME_CONFIG_IGNORED),
        (IGNORED_CA, tls(TLSFault.UNTRUSTED), C.RUNTIME_CONFIG_IGNORED),
        (IGNORED_CA, tls(TLSFault.NAME_MISMATCH), C.CERTIFICATE_NAME_MISMATCH),
        (IGNORED_CA, dns(DNSResult.NXDOMAIN), C.DNS_NAME_NOT_FOUND),
        (IGNORED_HOSTS, dns(DNSResult.NXDOMAIN, via=Via.TOKEN_HOST), C.DNS_NAME_NOT_FOUND),
    ],
)
def test_lost_configuration_is_the_cause_only_of_what_its_loss_makes(
    lost: StageResult, symptom: StageResult, cause: CauseId
) -> None:
    symptom_told = judge(case(trace(symptom))).cause
    diagnosis = judge(case(trace(lost, symptom), told(symptom_told, symptom.stage)))
    assert (diagnosis.cause, diagnosis.confidence) == (cause, Confidence.PROVED)


def test_lost_configuration_without_a_failure_is_no_cause() -> None:
    assert passes(case(trace(HOSTS_TOML, passing(*ALL))))


@pytest.mark.parametrize(
    ("stage_result", "cause"),
    [
        (failed(S.MANIFEST, http=http(fault=HTTPFault.RESET)), C.CONNECTION_RESET),
        (failed(S.MANIFEST, http=http(503, fault=HTTPFault.RESET)), C.REGISTRY_SERVER_ERROR),
        (failed(S.MANIFEST, http=http(400, fault=HTTPFault.TLS_EXPECTED)), C.PLAIN_HTTP_REGISTRY),
        (failed(S.MANIFEST, http=http(fault=HTTPFault.GARBLED)), C.NOT_A_REGISTRY),
        (failed(S.MANIFEST, http=http(fault=HTTPFault.REDIRECT_REFUSED)), C.REGISTRY_SERVER_ERROR),
        (failed(S.MANIFEST, http=http(451)), C.BLOCKED_BY_POLICY),
        (failed(S.MANIFEST, http=http(200), detail="no JSON"), C.MANIFEST_UNSUPPORTED),
        (failed(S.MANIFEST, http=http(fault=HTTPFault.CUT_SHORT)), C.CONNECTION_RESET),
        (failed(S.BLOB, http=http(fault=HTTPFault.CUT_SHORT)), C.CONTENT_CORRUPT),
        (failed(S.DNS, dns=DNSFacts("-bad-", "dns", ())), C.DNS_NAME_NOT_FOUND),
        (failed(S.BLOB, http=http(fault=HTTPFault.REDIRECT_REFUSED)), C.REGISTRY_SERVER_ERROR),
        (failed(S.BLOB, http=http(429)), C.RATE_LIMITED),
        (failed(S.BLOB, http=http(500)), C.REGISTRY_SERVER_ERROR),
        (auth(AuthResult.UNUSABLE_CHALLENGE, 500, via=Via.TOKEN_HOST), C.REGISTRY_SERVER_ERROR),
        (auth(AuthResult.UNUSABLE_CHALLENGE, 200, via=Via.TOKEN_HOST), C.REGISTRY_SERVER_ERROR),
        (auth(AuthResult.REFUSED, 401), C.CREDENTIALS_MISSING),
        (auth(AuthResult.REFUSED, 403), C.CREDENTIALS_MISSING),
    ],
)  # fmt: skip
def test_an_answer_s_meaning(stage_result: StageResult, cause: CauseId) -> None:
    assert judge(case(trace(passing(*UNTIL_TLS), stage_result))).cause is cause


def test_a_page_behind_a_challenge_is_a_front_end_s_way_to_refuse() -> None:
    refused = auth(AuthResult.NO_CREDENTIALS)
    page = StageResult(S.AUTH, refused.target, Outcome.FAILED, endpoint=0, auth=refused.auth, http=http(401, html=True))
    assert judge(case(trace(passing(*UNTIL_TLS), page))).cause is C.CREDENTIALS_MISSING


@pytest.mark.parametrize(
    ("attempts", "cause", "factor"),
    [
        ((("2001:db8::1", ConnectResult.UNREACHABLE), ("10.0.0.1", ConnectResult.TIMED_OUT)), C.CONNECTION_TIMED_OUT, True),
        ((("2001:db8::1", ConnectResult.UNREACHABLE),), C.NETWORK_UNREACHABLE, True),
        ((("10.0.0.1", ConnectResult.PROHIBITED),), C.NETWORK_UNREACHABLE, False),
        ((("10.0.0.1", ConnectResult.OTHER),), C.UNDETERMINED, False),
    ],
)  # fmt: skip
def test_an_ipv6_address_without_a_route_is_a_factor_beside_ipv4(
    attempts: tuple[tuple[str, ConnectResult], ...], cause: CauseId, factor: bool
) -> None:
    diagnosis = judge(case(trace(passing(S.DNS), connect(*attempts))))
    assert diagnosis.cause is cause
    assert (Factor.IPV6_NO_ROUTE in diagnosis.factors) is factor


@pytest.mark.parametrize(
    ("stage_result", "host"),
    [
        (failed(S.MANIFEST, target="reg.example:5000/shop/web:1", http=http(404)), "registry.example"),
        (failed(S.MANIFEST, target="reg.example:5000/shop/web:1"), "reg.example:5000"),
        (failed(S.MANIFEST, target="sha256:00", http=None), ""),
        (failed(S.CONNECT, target="reg.example:5000"), "reg.example:5000"),
        (failed(S.BLOB, target="sha256:00", http=http(404)), "registry.example"),
        (failed(S.BLOB, target="sha256:00", http=HTTPFacts("GET", "https://[broken")), ""),
        (auth(AuthResult.UNUSABLE_CHALLENGE, 500, via=Via.TOKEN_HOST), "registry.example"),
    ],
)
def test_a_result_s_host_is_no_digest_and_no_path(stage_result: StageResult, host: str) -> None:
    assert host_of(stage_result) == host


def test_a_policy_that_rejects_is_the_cause_only_where_the_manifest_could_be_had() -> None:
    policy = config(ConfigFault.REJECTED, decides=False, file="/etc/containers/policy.json")
    served = judge(case(trace(policy, passing(*ALL))))
    assert (served.cause, served.stage, served.confidence) == (C.SIGNATURE_REJECTED, S.RUNTIME, Confidence.PROVED)
    assert judge(case(trace(policy, UPSTREAM_404))).cause is C.TAG_NOT_FOUND
