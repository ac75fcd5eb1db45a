"""The way to the registry, and where on it a request struck."""

import pytest
from errortexts import IMAGE, containerd, copy, head, resolve

from pullwhy.diagnose.classify.classifier import classify
from pullwhy.model import CauseId as C
from pullwhy.model import Stage, Via

CASES: list[tuple[str, C, Stage, Via | None]] = [
    # names
    (head("dial tcp: lookup r.example on 192.0.2.53:53: no such host"), C.DNS_NAME_NOT_FOUND, Stage.DNS, None),
    (head("dial tcp: lookup r.example on 192.0.2.53:53: server misbehaving"), C.DNS_SERVER_FAILURE, Stage.DNS, None),
    (
        head("dial tcp: lookup r.example on 192.0.2.53:53: read udp 192.0.2.1:5->192.0.2.53:53: i/o timeout"),
        C.DNS_SERVER_FAILURE,
        Stage.DNS,
        None,
    ),
    (
        head("dial tcp: lookup r.example on [::1]:53: read udp [::1]:5->[::1]:53: read: connection refused"),
        C.DNS_SERVER_FAILURE,
        Stage.DNS,
        None,
    ),
    (head("dial tcp: lookup r.example: Temporary failure in name resolution"), C.DNS_SERVER_FAILURE, Stage.DNS, None),
    # connections
    (head("dial tcp 192.0.2.1:5000: connect: connection refused"), C.CONNECTION_REFUSED, Stage.CONNECT, None),
    (head("dial tcp 192.0.2.1:5000: i/o timeout"), C.CONNECTION_TIMED_OUT, Stage.CONNECT, None),
    (head("dial tcp [2001:db8::1]:443: connect: network is unreachable"), C.NETWORK_UNREACHABLE, Stage.CONNECT, None),
    (head("dial tcp 192.0.2.1:5000: connect: no route to host"), C.NETWORK_UNREACHABLE, Stage.CONNECT, None),
    (head("EOF"), C.CONNECTION_RESET, Stage.MANIFEST, None),
    (
        containerd("failed to copy: read tcp 192.0.2.1:4->192.0.2.2:443: read: connection reset by peer"),
        C.CONNECTION_RESET,
        Stage.BLOB,
        None,
    ),
    (head("net/http: timeout awaiting response headers"), C.PULL_STALLED, Stage.MANIFEST, None),
    # TLS
    (head("x509: certificate signed by unknown authority"), C.CERTIFICATE_UNTRUSTED, Stage.TLS, None),
    (
        head(
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
            "current time 2026-11-22T08:00:28Z is after 2026-11-17T07:50:03Z"
        ),
        C.CERTIFICATE_EXPIRED,
        Stage.TLS,
        None,
    ),
    (
        head(
            "x509: certificate has expired or is not yet valid: current time 2026-11-22T08:00:28Z is before 2026-12-01T00:00:00Z"
        ),
        C.CERTIFICATE_NOT_YET_VALID,
        Stage.TLS,
        None,
    ),
    (head("x509: certificate is valid for a.example, not r.example"), C.CERTIFICATE_NAME_MISMATCH, Stage.TLS, None),
    (
        head("tls: failed to parse certificate from server: x509: negative serial number"),
        C.TLS_HANDSHAKE_FAILED,
        Stage.TLS,
        None,
    ),
    (
        head(
            'x509: certificate signed by unknown authority (possibly because of "x509: cannot verify signature: insecure'
            ' algorithm SHA1-RSA" while trying to verify candidate authority certificate "corp root")'
        ),
        C.TLS_HANDSHAKE_FAILED,
        Stage.TLS,
        None,
    ),
    (
        head(
            'x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while'
            ' trying to verify candidate authority certificate "corp root")'
        ),
        C.CERTIFICATE_UNTRUSTED,
        Stage.TLS,
        None,
    ),
    (head("remote error: tls: certificate required"), C.CLIENT_CERTIFICATE_REQUIRED, Stage.TLS, None),
    (head("remote error: tls: protocol version not supported"), C.TLS_HANDSHAKE_FAILED, Stage.TLS, None),
    (head("tls: first record does not look like a TLS handshake"), C.TLS_HANDSHAKE_FAILED, Stage.TLS, None),
    (head("net/http: TLS handshake timeout"), C.TLS_HANDSHAKE_TIMED_OUT, Stage.TLS, None),
    (head("http: server gave HTTP response to HTTPS client"), C.PLAIN_HTTP_REGISTRY, Stage.TLS, None),
    # proxy
    (
        head("proxyconnect tcp: dial tcp 192.0.2.9:3128: connect: connection refused"),
        C.PROXY_FAILED,
        Stage.PROXY,
        Via.PROXY,
    ),
    (head("Proxy Authentication Required"), C.PROXY_FAILED, Stage.PROXY, Via.PROXY),
    (head("Forbidden"), C.PROXY_FAILED, Stage.PROXY, Via.PROXY),
    # where on the way
    (
        head(
            "dial tcp 192.0.2.1:443: connect: connection refused",
            "https://m.example/v2/shop/web/manifests/1?ns=r.example%3A5000",
        ),
        C.MIRROR_FAILED,
        Stage.CONNECT,
        Via.MIRROR,
    ),
    (
        copy(
            'failed to do request: Get "https://m.example/v2/shop/web/blobs/sha256:11?ns=r.example%3A5000": dial tcp 192.0.2.1:443: connect: connection refused'
        ),
        C.CONNECTION_REFUSED,
        Stage.CONNECT,
        Via.MIRROR,
    ),
    (
        copy(
            'failed to do request: Get "https://cdn.example/x/blobs/sha256/11/data?verify=1": x509: certificate signed by unknown authority'
        ),
        C.CERTIFICATE_UNTRUSTED,
        Stage.TLS,
        Via.BLOB_HOST,
    ),
    (
        head("dial tcp 192.0.2.1:443: i/o timeout", "https://other.example/v2/elsewhere/web/manifests/1"),
        C.CONNECTION_TIMED_OUT,
        Stage.CONNECT,
        None,
    ),
    (
        f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "{IMAGE}": {head("EOF")}',
        C.CONNECTION_RESET,
        Stage.MANIFEST,
        Via.SANDBOX_IMAGE,
    ),
    (
        f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "{IMAGE}": failed to pull image "{IMAGE}": odd',
        C.SANDBOX_IMAGE_UNAVAILABLE,
        Stage.RUNTIME,
        Via.SANDBOX_IMAGE,
    ),
]


@pytest.mark.parametrize(
    ("text", "cause", "stage", "via"), CASES, ids=[f"{n}-{case[1]}" for n, case in enumerate(CASES)]
)
def test_cause_stage_and_via(text: str, cause: C, stage: Stage, via: Via | None) -> None:
    found = classify(text)
    assert found is not None
    assert (found.cause, found.stage, found.via) == (cause, stage, via)
    assert cause not in found.alternatives


@pytest.mark.parametrize(
    ("tail", "fault", "stage"),
    [
        ("dial tcp 192.0.2.1:443: connect: connection refused", C.CONNECTION_REFUSED, Stage.CONNECT),
        ("dial tcp: lookup m.example on 192.0.2.53:53: no such host", C.DNS_NAME_NOT_FOUND, Stage.DNS),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", C.CERTIFICATE_UNTRUSTED, Stage.TLS),
        ("EOF", C.CONNECTION_RESET, Stage.MANIFEST),
    ],
)  # fmt: skip
@pytest.mark.parametrize("query", ["?ns=r.example%3A5000", "?ns=%5BREDACTED%5D", ""])
def test_a_mirror_that_cannot_be_asked_fails_with_what_failed_there_as_first_alternative(
    tail: str, fault: C, stage: Stage, query: str
) -> None:
    found = classify(head(tail, f"https://m.example/v2/shop/web/manifests/1{query}"))
    assert found is not None
    assert (found.cause, found.via, found.stage) == (C.MIRROR_FAILED, Via.MIRROR, stage)
    assert found.alternatives[0] is fault


def test_an_answer_of_a_mirror_keeps_its_own_cause() -> None:
    url = "https://m.example/v2/shop/web/manifests/1?ns=r.example%3A5000"
    found = classify(resolve(f"unexpected status from HEAD request to {url}: 403 Forbidden"))
    assert found is not None
    assert (found.cause, found.via) == (C.ACCESS_DENIED_OR_NOT_FOUND, Via.MIRROR)
    assert C.MIRROR_FAILED in found.alternatives
