"""Every cause from observations that show it: cause, stage, confidence, retryable and remedy."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    ALL,
    DIGEST,
    HOST,
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
    blob,
    broken,
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
    storage,
    tls,
    told,
    trace,
)

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.judge import judge
from pullwhy.diagnose.remedies.rendering import BUILDERS, render
from pullwhy.model import Answer, CauseId, Confidence, Reason, Stage, Via
from pullwhy.trace import (
    AuthResult,
    BlobResult,
    ConfigFault,
    ConnectResult,
    DNSResult,
    HTTPFault,
    Identity,
    ManifestFacts,
    TLSFault,
)

YES, NO, MAYBE = Answer.YES, Answer.NO, Answer.MAYBE
ABSENT = ManifestFacts(tag_listed=False, similar_tags=("1.40", "1.3"), repository_answers=True)
REFUSED = ("10.0.0.9", ConnectResult.REFUSED)
TIMED_OUT = ("10.0.0.9", ConnectResult.TIMED_OUT)

Row = tuple[Case, CauseId, Stage, Confidence, Answer, str]

ANONYMOUS = failure("failed to authorize: failed to fetch anonymous token: 401 Unauthorized")
NEVER = failure("Container image is not present with pull policy of Never", Reason.ERR_IMAGE_NEVER_PULL)
QPS = failure("pull QPS exceeded")

ROWS: dict[str, Row] = {
    "invalid reference": (case(image_text="shop/Web:1"), C.INVALID_IMAGE_REFERENCE, S.REFERENCE, PROVED, NO, "correct-reference"),
    "tag": (
        case(trace(passing(*UNTIL_AUTH), manifest(404, "MANIFEST_UNKNOWN", facts=ABSENT)), told(C.TAG_NOT_FOUND, S.MANIFEST)),
        C.TAG_NOT_FOUND, S.MANIFEST, PROVED, NO, "correct-tag",
    ),
    "digest": (
        case(trace(passing(*UNTIL_AUTH), manifest(404)), told(C.TAG_NOT_FOUND, S.MANIFEST), image_text=f"{HOST}/shop/web@{DIGEST}"),
        C.DIGEST_NOT_FOUND, S.MANIFEST, PROVED, NO, "correct-digest",
    ),
    "repository": (
        case(trace(passing(*UNTIL_AUTH), manifest(404, "NAME_UNKNOWN")), told(C.TAG_NOT_FOUND, S.MANIFEST, C.REPOSITORY_NOT_FOUND)),
        C.REPOSITORY_NOT_FOUND, S.MANIFEST, PROVED, NO, "correct-repository",
    ),
    "platform": (
        case(trace(passing(*UNTIL_MANIFEST), platform("linux/arm64")), told(C.PLATFORM_NOT_AVAILABLE, S.PLATFORM)),
        C.PLATFORM_NOT_AVAILABLE, S.PLATFORM, PROVED, NO, "provide-platform",
    ),
    "unsupported manifest": (
        case(trace(passing(*UNTIL_AUTH), manifest(200, facts=ManifestFacts(unsupported="schema 1"))), told(C.MANIFEST_UNSUPPORTED, S.MANIFEST)),
        C.MANIFEST_UNSUPPORTED, S.MANIFEST, PROVED, NO, "convert-image",
    ),
    "never pull": (case(failure=NEVER, image_present=False), C.IMAGE_NEVER_PULL, S.KUBELET, PROVED, NO, "preload-image"),
    "verification": (
        case(failure=NEVER, image_present=True), C.CREDENTIAL_VERIFICATION_DENIED, S.KUBELET, PROVED, NO, "give-pod-credentials",
    ),
    "no credentials": (
        case(trace(passing(*UNTIL_TLS), auth(AuthResult.NO_CREDENTIALS)), told(C.CREDENTIALS_MISSING, S.AUTH), failure=ANONYMOUS),
        C.CREDENTIALS_MISSING, S.AUTH, PROVED, NO, "add-credentials",
    ),
    "bad credentials": (
        case(
            trace(passing(*UNTIL_TLS), auth(AuthResult.NO_CREDENTIALS), auth(AuthResult.REFUSED, identity=Identity.NODE, source="config.json")),
            told(C.CREDENTIALS_REJECTED, S.AUTH),
        ),
        C.CREDENTIALS_REJECTED, S.AUTH, PROVED, NO, "renew-credentials",
    ),
    "provider": (
        case(hypothesis=told(C.CREDENTIAL_PROVIDER_FAILED, S.AUTH)),
        C.CREDENTIAL_PROVIDER_FAILED, S.AUTH, LIKELY, MAYBE, "mend-credential-provider",
    ),
    "closed or absent": (
        case(
            trace(passing(*UNTIL_TLS), auth(AuthResult.REFUSED, 403, path="/v2/shop/web/manifests/1.4")),
            told(C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH),
        ),
        C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH, PROVED, NO, "settle-access",
    ),
    "policy": (
        case(trace(passing(*UNTIL_AUTH), manifest(412, "PROJECTPOLICYVIOLATION")), told(C.BLOCKED_BY_POLICY, S.MANIFEST)),
        C.BLOCKED_BY_POLICY, S.MANIFEST, PROVED, NO, "satisfy-policy",
    ),
    "blocked by configuration": (
        case(trace(config(ConfigFault.BLOCKED, decides=True)), told(C.BLOCKED_BY_POLICY, S.CONFIG)),
        C.BLOCKED_BY_POLICY, S.CONFIG, PROVED, NO, "satisfy-policy",
    ),
    "web page": (
        case(trace(passing(*UNTIL_AUTH), manifest(404, html=True)), told(C.TAG_NOT_FOUND, S.MANIFEST)),
        C.NOT_A_REGISTRY, S.MANIFEST, PROVED, MAYBE, "reach-the-registry",
    ),
    "rate limit": (
        case(trace(passing(*UNTIL_AUTH), manifest(429, "TOOMANYREQUESTS")), told(C.RATE_LIMITED, S.MANIFEST)),
        C.RATE_LIMITED, S.MANIFEST, PROVED, YES, "wait-for-rate-limit",
    ),
    "kubelet limit": (case(failure=QPS), C.KUBELET_PULL_RATE_LIMITED, S.KUBELET, PROVED, YES, "raise-kubelet-qps"),
    "name": (
        case(trace(dns(DNSResult.NXDOMAIN)), told(C.DNS_NAME_NOT_FOUND, S.DNS)), C.DNS_NAME_NOT_FOUND, S.DNS, PROVED, NO, "mend-name",
    ),
    "nameserver": (
        case(trace(dns(DNSResult.SERVFAIL)), told(C.DNS_SERVER_FAILURE, S.DNS)), C.DNS_SERVER_FAILURE, S.DNS, PROVED, MAYBE, "mend-nameserver",
    ),
    "refused": (
        case(trace(passing(S.DNS), connect(REFUSED)), told(C.CONNECTION_REFUSED, S.CONNECT)),
        C.CONNECTION_REFUSED, S.CONNECT, PROVED, MAYBE, "restore-service",
    ),
    "timed out": (
        case(trace(passing(S.DNS), connect(TIMED_OUT)), told(C.CONNECTION_TIMED_OUT, S.CONNECT)),
        C.CONNECTION_TIMED_OUT, S.CONNECT, PROVED, MAYBE, "allow-egress",
    ),
    "unreachable": (
        case(trace(passing(S.DNS), connect(("10.0.0.9", ConnectResult.PROHIBITED))), told(C.NETWORK_UNREACHABLE, S.CONNECT)),
        C.NETWORK_UNREACHABLE, S.CONNECT, PROVED, MAYBE, "restore-route",
    ),
    "reset at TLS": (
        case(trace(passing(S.DNS, S.CONNECT), tls(TLSFault.RESET)), told(C.CONNECTION_RESET, S.TLS)),
        C.CONNECTION_RESET, S.TLS, PROVED, MAYBE, "find-the-resetter",
    ),
    "proxy": (
        case(trace(failed(S.PROXY, via=Via.PROXY, target="proxy.example:3128", detail="CONNECT: 407")), told(C.PROXY_FAILED, S.PROXY)),
        C.PROXY_FAILED, S.PROXY, PROVED, MAYBE, "mend-proxy",
    ),
    "chain": (
        case(trace(passing(S.DNS, S.CONNECT), tls(TLSFault.CHAIN_INCOMPLETE)), told(C.CERTIFICATE_UNTRUSTED, S.TLS)),
        C.CERTIFICATE_CHAIN_INCOMPLETE, S.TLS, PROVED, NO, "complete-chain",
    ),
    "server error": (
        case(trace(passing(*UNTIL_AUTH), manifest(502, html=True)), told(C.REGISTRY_SERVER_ERROR, S.MANIFEST)),
        C.REGISTRY_SERVER_ERROR, S.MANIFEST, PROVED, YES, "ask-registry-operator",
    ),
    "odd status": (
        case(trace(passing(*UNTIL_AUTH), manifest(406)), told(C.UNDETERMINED, S.MANIFEST)),
        C.REGISTRY_SERVER_ERROR, S.MANIFEST, PROVED, YES, "ask-registry-operator",
    ),
    "blob": (
        case(trace(passing(*UNTIL_MANIFEST, S.PLATFORM), blob(BlobResult.MISSING, 404)), told(C.BLOB_UNAVAILABLE, S.BLOB)),
        C.BLOB_UNAVAILABLE, S.BLOB, PROVED, MAYBE, "push-again",
    ),
    "blob refused": (
        case(trace(passing(*UNTIL_MANIFEST), blob(BlobResult.REFUSED, 401)), told(C.CREDENTIALS_MISSING, S.BLOB)),
        C.BLOB_UNAVAILABLE, S.BLOB, PROVED, MAYBE, "push-again",
    ),
    "corrupt": (
        case(trace(passing(*UNTIL_MANIFEST), blob(BlobResult.CORRUPT, 200)), told(C.CONTENT_CORRUPT, S.BLOB)),
        C.CONTENT_CORRUPT, S.BLOB, PROVED, MAYBE, "find-the-altering-cache",
    ),
    "stalled": (
        case(trace(passing(*UNTIL_MANIFEST), blob(BlobResult.STALLED)), failure=failure("", Reason.PULL_HANGS)),
        C.PULL_STALLED, S.BLOB, PROVED, MAYBE, "find-the-stall",
    ),
    "answer never came": (
        case(trace(passing(*UNTIL_TLS), broken(S.MANIFEST, HTTPFault.TIMED_OUT)), failure=failure("", Reason.PULL_HANGS)),
        C.PULL_STALLED, S.MANIFEST, PROVED, MAYBE, "find-the-stall",
    ),
    "disk": (
        case(trace(passing(*ALL), storage()), told(C.DISK_FULL, S.STORAGE)), C.DISK_FULL, S.STORAGE, PROVED, MAYBE, "free-space",
    ),
    "read-only": (
        case(trace(passing(*ALL), storage(read_only=True)), told(C.READ_ONLY_FILESYSTEM, S.STORAGE)),
        C.READ_ONLY_FILESYSTEM, S.STORAGE, PROVED, NO, "mend-mount",
    ),
    "unpack": (
        case(trace(passing(*ALL)), told(C.UNPACK_FAILED, S.UNPACK), reproduction=again(), reproduction_hypothesis=told(C.UNPACK_FAILED, S.UNPACK)),
        C.UNPACK_FAILED, S.UNPACK, PROVED, NO, "rebuild-layer",
    ),
    "local store": (
        case(trace(passing(*ALL)), told(C.LOCAL_STORE_CORRUPT, S.UNPACK)), C.LOCAL_STORE_CORRUPT, S.UNPACK, PROVED, NO, "remove-damaged-image",
    ),
    "local store by its own digests": (
        case(trace([*passing(*ALL), failed(S.UNPACK, endpoint=None)]), told(C.CONTENT_CORRUPT, S.UNPACK)),
        C.LOCAL_STORE_CORRUPT, S.UNPACK, PROVED, NO, "remove-damaged-image",
    ),
    "runtime": (
        case(hypothesis=told(C.RUNTIME_UNAVAILABLE, S.RUNTIME), node=replace(NODE, runtime_answers=False)),
        C.RUNTIME_UNAVAILABLE, S.RUNTIME, PROVED, MAYBE, "restore-runtime",
    ),
    "sandbox": (
        case(failure=failure("", Reason.CREATE_POD_SANDBOX_ERROR)),
        C.SANDBOX_IMAGE_UNAVAILABLE, S.RUNTIME, UNKNOWN, MAYBE, "provide-sandbox-image",
    ),
    "signature": (
        case(failure=failure("no signature", Reason.SIGNATURE_VALIDATION_FAILED)), C.SIGNATURE_REJECTED, S.RUNTIME, PROVED, NO, "sign-image",
    ),
    "transient": (
        case(trace(passing(*ALL)), told(C.CONNECTION_REFUSED, S.CONNECT), later_success=True),
        C.TRANSIENT, S.CONNECT, PROVED, YES, "watch-pattern",
    ),
    "undetermined": (case(), C.UNDETERMINED, S.RUNTIME, UNKNOWN, MAYBE, "look-further"),
    "source": (
        case(
            trace(passing(*UNTIL_TLS), replace(auth(AuthResult.REFUSED), http=http(403, "DENIED", names_client_address=True))),
            told(C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH),
        ),
        C.SOURCE_DENIED, S.AUTH, PROVED, NO, "allow-source",
    ),
    "configuration": (
        case(trace(config(ConfigFault.INVALID, decides=True)), told(C.RUNTIME_CONFIG_INVALID, S.CONFIG)),
        C.RUNTIME_CONFIG_INVALID, S.CONFIG, PROVED, NO, "mend-config",
    ),
    "configuration ignored": (
        case(
            trace(config(ConfigFault.IGNORED, decides=False, file="/etc/docker/certs.d/registry.example/ca.crt"),
                  passing(S.DNS, S.CONNECT), tls(TLSFault.UNTRUSTED)),
            told(C.CERTIFICATE_UNTRUSTED, S.TLS),
        ),
        C.RUNTIME_CONFIG_IGNORED, S.CONFIG, PROVED, NO, "make-config-effective",
    ),
    "mirror": (
        case(
            trace(passing(*UNTIL_TLS, via=Via.MIRROR), auth(AuthResult.REFUSED, 403, via=Via.MIRROR, path="/v2/x/manifests/1"),
                  dns(DNSResult.NXDOMAIN, endpoint=1)),
            told(C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH, via=Via.MIRROR),
        ),
        C.MIRROR_FAILED, S.CONFIG, PROVED, MAYBE, "mend-mirror",
    ),
}  # fmt: skip


for _fault, _cause, _answer, _remedy in (
    (TLSFault.UNTRUSTED, C.CERTIFICATE_UNTRUSTED, NO, "trust-authority"),
    (TLSFault.EXPIRED, C.CERTIFICATE_EXPIRED, NO, "renew-certificate"),
    (TLSFault.NOT_YET_VALID, C.CERTIFICATE_NOT_YET_VALID, MAYBE, "check-clock"),
    (TLSFault.NAME_MISMATCH, C.CERTIFICATE_NAME_MISMATCH, NO, "match-certificate-name"),
    (TLSFault.CLIENT_CERTIFICATE_REQUIRED, C.CLIENT_CERTIFICATE_REQUIRED, NO, "give-client-certificate"),
    (TLSFault.HANDSHAKE_FAILED, C.TLS_HANDSHAKE_FAILED, NO, "mend-tls"),
    (TLSFault.UNACCEPTABLE, C.TLS_HANDSHAKE_FAILED, NO, "mend-tls"),
    (TLSFault.TIMED_OUT, C.TLS_HANDSHAKE_TIMED_OUT, MAYBE, "find-the-silent-middlebox"),
    (TLSFault.PLAIN_HTTP, C.PLAIN_HTTP_REGISTRY, NO, "declare-scheme"),
):
    _walk = trace(passing(S.DNS, S.CONNECT), tls(_fault))
    ROWS[f"TLS: {_fault}"] = (case(_walk, told(_cause, S.TLS)), _cause, S.TLS, PROVED, _answer, _remedy)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_cause_follows_from_what_shows_it(row: Row) -> None:
    given, cause, stage, confidence, answer, remedy = row
    diagnosis = judge(given)
    got = (diagnosis.cause, diagnosis.stage, diagnosis.confidence, diagnosis.retryable.answer, diagnosis.remedy.id)
    assert got == (cause, stage, confidence, answer, remedy)
    assert "{" not in diagnosis.summary
    assert render(diagnosis.remedy).text


def test_every_cause_has_a_row() -> None:
    assert {row[1] for row in ROWS.values()} == set(CauseId)


def test_every_remedy_is_reached() -> None:
    assert {row[5] for row in ROWS.values()} == set(BUILDERS)
