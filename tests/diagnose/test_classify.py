"""From texts to hypotheses: what each writer says, from the grammar of its errors."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.diagnose.classify import classify, classify_failure
from pullwhy.gotext import quote
from pullwhy.model import Answer, Hypothesis, PullFailure, Reason, Stage, Via
from pullwhy.model import CauseId as C

D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
IMAGE = "r.example:5000/shop/web:1"
MANIFEST_URL = "https://r.example:5000/v2/shop/web/manifests/1"
BLOB_URL = f"https://r.example:5000/v2/shop/web/blobs/{D1}"
TOKEN_URL = "https://auth.example/token?scope=repository%3Ashop%2Fweb%3Apull&service=r.example"


def containerd(tail: str, image: str = IMAGE) -> str:
    return f'failed to pull and unpack image "{image}": {tail}'


def resolve(tail: str, image: str = IMAGE) -> str:
    return containerd(f'failed to resolve reference "{image}": {tail}', image)


def head(tail: str, url: str = MANIFEST_URL, image: str = IMAGE) -> str:
    return resolve(f'failed to do request: Head "{url}": {tail}', image)


def copy(tail: str) -> str:
    return containerd(f"failed to copy: httpReadSeeker: failed open: {tail}")


def crio(tail: str) -> str:
    return f"unable to pull image or OCI artifact: pull image err: initializing source docker://{IMAGE}: {tail}; artifact err: x"


def daemon(tail: str) -> str:
    return f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = Error response from daemon: {tail}'


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
    # HTTP answers
    (
        resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 503 Service Unavailable"),
        C.REGISTRY_SERVER_ERROR,
        Stage.MANIFEST,
        None,
    ),
    (
        resolve("pulling from host r.example:5000 failed with status code [manifests 1]: 429 Too Many Requests"),
        C.RATE_LIMITED,
        Stage.MANIFEST,
        None,
    ),
    (
        resolve("pulling from host r.example:5000 failed with status code [manifests 1]: 401 Unauthorized"),
        C.CREDENTIALS_MISSING,
        Stage.AUTH,
        None,
    ),
    (
        resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 403 Forbidden"),
        C.ACCESS_DENIED_OR_NOT_FOUND,
        Stage.AUTH,
        None,
    ),
    (
        resolve(f"unexpected status from GET request to {MANIFEST_URL}: 412 Precondition Failed"),
        C.BLOCKED_BY_POLICY,
        Stage.MANIFEST,
        None,
    ),
    (
        resolve(
            "unexpected status from HEAD request to http://r.example:5000/v2/shop/web/manifests/1: 400 Bad Request"
        ),
        C.PLAIN_HTTP_REGISTRY,
        Stage.TLS,
        None,
    ),
    (
        resolve(
            f"unexpected status from HEAD request to {MANIFEST_URL}: 403 Forbidden\ndenied: client with IP '192.0.2.7' is not allowed access"
        ),
        C.SOURCE_DENIED,
        Stage.MANIFEST,
        None,
    ),
    (copy(f"unexpected status code {BLOB_URL}: 404 Not Found"), C.BLOB_UNAVAILABLE, Stage.BLOB, None),
    (copy(f"unexpected status code {BLOB_URL}: 403 Forbidden"), C.BLOB_UNAVAILABLE, Stage.BLOB, None),
    (
        copy(f"unexpected status code {BLOB_URL}: 429 Too Many Requests - Server message: toomanyrequests: slow down"),
        C.RATE_LIMITED,
        Stage.BLOB,
        None,
    ),
    (
        copy(f"unexpected status from GET request to {BLOB_URL}: 500 Internal Server Error\nunknown"),
        C.REGISTRY_SERVER_ERROR,
        Stage.BLOB,
        None,
    ),
    (
        copy(
            f"could not fetch content descriptor {D1} (application/vnd.oci.image.config.v1+json) from remote: not found"
        ),
        C.BLOB_UNAVAILABLE,
        Stage.BLOB,
        None,
    ),
    (
        copy(f"content at https://r.example:5000/v2/shop/web/manifests/{D2} not found: not found"),
        C.BLOB_UNAVAILABLE,
        Stage.BLOB,
        None,
    ),
    # absent
    (resolve(f"{IMAGE}: not found"), C.TAG_NOT_FOUND, Stage.MANIFEST, None),
    (containerd(f"failed to resolve image: {IMAGE}: not found"), C.TAG_NOT_FOUND, Stage.MANIFEST, None),
    (
        resolve(f"r.example/web@{D1}: not found", f"r.example/web@{D1}"),
        C.DIGEST_NOT_FOUND,
        Stage.MANIFEST,
        None,
    ),
    (f"rpc error: code = NotFound desc = {containerd('')[:-2]}", C.TAG_NOT_FOUND, Stage.MANIFEST, None),
    # who asks
    (
        resolve(
            f"failed to authorize: failed to fetch anonymous token: unexpected status from GET request to {TOKEN_URL}: 401 Unauthorized"
        ),
        C.CREDENTIALS_MISSING,
        Stage.AUTH,
        Via.TOKEN_HOST,
    ),
    (
        resolve(
            f"failed to authorize: failed to fetch oauth token: unexpected status from POST request to {TOKEN_URL}: 403 Forbidden"
        ),
        C.CREDENTIALS_REJECTED,
        Stage.AUTH,
        Via.TOKEN_HOST,
    ),
    (
        resolve(
            f'failed to authorize: failed to fetch anonymous token: Get "{TOKEN_URL}": dial tcp: lookup auth.example: no such host'
        ),
        C.DNS_NAME_NOT_FOUND,
        Stage.DNS,
        Via.TOKEN_HOST,
    ),
    (
        resolve(
            "failed to authorize: failed to fetch anonymous token: unable to decode token response: invalid character '<'"
        ),
        C.NOT_A_REGISTRY,
        Stage.AUTH,
        None,
    ),
    (
        resolve(
            "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
        ),
        C.CREDENTIALS_MISSING,
        Stage.AUTH,
        None,
    ),
    (
        resolve(
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
        ),
        C.ACCESS_DENIED_OR_NOT_FOUND,
        Stage.AUTH,
        None,
    ),
    # where on the way
    (
        head(
            "dial tcp 192.0.2.1:443: connect: connection refused",
            "https://m.example/v2/shop/web/manifests/1?ns=r.example%3A5000",
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
    # content, platform, node
    (
        containerd(
            f'failed commit on ref "layer-{D1}": unexpected commit digest {D2}, expected {D1}: failed precondition'
        ),
        C.CONTENT_CORRUPT,
        Stage.BLOB,
        None,
    ),
    (
        containerd(
            f'failed commit on ref "manifest-{D1}": unexpected commit digest {D2}, expected {D1}: failed precondition'
        ),
        C.CONTENT_CORRUPT,
        Stage.MANIFEST,
        None,
    ),
    (containerd("no match for platform in manifest: not found"), C.PLATFORM_NOT_AVAILABLE, Stage.PLATFORM, None),
    (
        containerd("schema 1 image manifests are no longer supported: invalid argument"),
        C.MANIFEST_UNSUPPORTED,
        Stage.MANIFEST,
        None,
    ),
    (
        containerd(
            f"failed to extract layer {D1}: failed to get stream processor for application/x+encrypted: ctd-decoder: unknown"
        ),
        C.MANIFEST_UNSUPPORTED,
        Stage.UNPACK,
        None,
    ),
    (
        containerd(f"failed to extract layer {D1}: mount callback failed on /m: archive/tar: invalid tar header"),
        C.UNPACK_FAILED,
        Stage.UNPACK,
        None,
    ),
    (
        containerd("failed to copy: write /var/lib/x/ingest/1/data: no space left on device"),
        C.DISK_FULL,
        Stage.STORAGE,
        None,
    ),
    (
        containerd(f"failed to extract layer {D1}: mkdir /x: no space left on device: unknown"),
        C.DISK_FULL,
        Stage.STORAGE,
        None,
    ),
    (containerd("mkdir /var/lib/x/ingest/1: read-only file system"), C.READ_ONLY_FILESYSTEM, Stage.STORAGE, None),
    (
        resolve('unable to read CA cert "/etc/x/ca.crt": open /etc/x/ca.crt: no such file or directory'),
        C.RUNTIME_CONFIG_INVALID,
        Stage.CONFIG,
        None,
    ),
    (containerd("context canceled"), C.PULL_STALLED, Stage.MANIFEST, None),
    ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", C.PULL_STALLED, Stage.MANIFEST, None),
    # kubelet
    ("ErrImagePull: pull QPS exceeded", C.KUBELET_PULL_RATE_LIMITED, Stage.KUBELET, None),
    (f'Container image "{IMAGE}" is not present with pull policy of Never', C.IMAGE_NEVER_PULL, Stage.KUBELET, None),
    (
        'Failed to apply default image tag "A/b:1": couldn\'t parse image name "A/b:1": invalid reference format: repository name (A/b) must be lowercase',
        C.INVALID_IMAGE_REFERENCE,
        Stage.REFERENCE,
        None,
    ),
    (f'Back-off pulling image "{IMAGE}"', C.UNDETERMINED, Stage.KUBELET, None),
    ("Error: ErrImagePull", C.UNDETERMINED, Stage.RUNTIME, None),
    (
        "Failed getting credential from external registry credential provider: error execing credential provider plugin x: exit status 1",
        C.CREDENTIAL_PROVIDER_FAILED,
        Stage.AUTH,
        None,
    ),
    (
        f'Failed to pull image "{IMAGE}": rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: no such file or directory"',
        C.RUNTIME_UNAVAILABLE,
        Stage.RUNTIME,
        None,
    ),
    # CRI-O
    (crio("reading manifest 1 in r.example:5000/shop/web: manifest unknown"), C.TAG_NOT_FOUND, Stage.MANIFEST, None),
    (crio("reading manifest 1 in r.example:5000/shop/web: unauthorized"), C.CREDENTIALS_MISSING, Stage.AUTH, None),
    (
        crio('reading manifest 1 in r.example:5000/shop/web: StatusCode: 403, "Forbidden"'),
        C.ACCESS_DENIED_OR_NOT_FOUND,
        Stage.AUTH,
        None,
    ),
    (
        f'RegistryUnavailable: unable to pull image: initializing source docker://{IMAGE}: pinging container registry r.example:5000: Get "https://r.example:5000/v2/": dial tcp 192.0.2.1:5000: connect: connection refused',
        C.CONNECTION_REFUSED,
        Stage.CONNECT,
        None,
    ),
    (
        f"SignatureValidationFailed: unable to pull image: Source image rejected: A signature was required, but no signature exists {IMAGE}",
        C.SIGNATURE_REJECTED,
        Stage.RUNTIME,
        None,
    ),
    ("registry r.example is blocked in /etc/containers/registries.conf", C.BLOCKED_BY_POLICY, Stage.CONFIG, None),
    (
        'short-name "web" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"',
        C.RUNTIME_CONFIG_INVALID,
        Stage.CONFIG,
        None,
    ),
    # docker
    (
        daemon("manifest for r.example:5000/shop/web:1 not found: manifest unknown"),
        C.TAG_NOT_FOUND,
        Stage.MANIFEST,
        None,
    ),
    (
        daemon("repository r.example:5000/shop/web not found: name unknown: no such"),
        C.REPOSITORY_NOT_FOUND,
        Stage.MANIFEST,
        None,
    ),
    (
        daemon("pull access denied for web, repository does not exist or may require 'docker login'"),
        C.ACCESS_DENIED_OR_NOT_FOUND,
        Stage.AUTH,
        None,
    ),
    (
        daemon("Get https://r.example:5000/v2/: unauthorized: incorrect username or password"),
        C.CREDENTIALS_REJECTED,
        Stage.AUTH,
        None,
    ),
    (daemon("toomanyrequests: You have reached your pull rate limit."), C.RATE_LIMITED, Stage.MANIFEST, None),
    (daemon("received unexpected HTTP status: 502 Bad Gateway"), C.REGISTRY_SERVER_ERROR, Stage.MANIFEST, None),
    (
        "failed to register layer: Error processing tar file(exit status 1): operation not permitted",
        C.UNPACK_FAILED,
        Stage.UNPACK,
        None,
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
    "text",
    [
        'Successfully pulled image "web:1" in 1s',
        'Container image "web:1" already present on machine',
        'Pulling image "web:1"',
        'time="2026-01-01T00:00:00Z" level=info msg="PullImage \\"web:1\\""',
        'time="2026-01-01T00:00:00Z" level=info msg="stop pulling image web:1: active requests=2, bytes read=4"',
        "Back-off restarting failed container",
        'Readiness probe failed: Get "http://192.0.2.1/v2/": dial tcp 192.0.2.1:80: connect: connection refused',
        'MountVolume.SetUp failed for volume "x": rpc error: code = DeadlineExceeded desc = context deadline exceeded',
        "Failed to push image: denied: requested access to the resource is denied",
        'Failed to create pod sandbox: failed to setup network for sandbox: Get "https://192.0.2.1:443/apis": x509: certificate signed by unknown authority',
        "the server has received too many requests and has asked us to try again later",
        "failed to kill container docker://0123456789abcdef: context deadline exceeded",
        "failed to create containerd container: error unpacking image: mismatched image rootfs and manifest layers",
        'Get "https://192.0.2.1:6443/api/v1/nodes": dial tcp 192.0.2.1:6443: connect: connection refused',
        'unable to read "https://x.example/manifests/install.yaml": dial tcp: lookup x.example: no such host',
        "write /var/lib/x: no space left on device",
        "",
        "hello",
    ],
)
def test_other_texts_are_no_pull_failure(text: str) -> None:
    assert classify(text) is None


REFUSED = head("dial tcp 192.0.2.1:5000: connect: connection refused")
HEADER = "E1122 08:10:35.850846   20212 "


def sync(reason: str, message: str) -> str:
    error = f'failed to "StartContainer" for "app" with {reason}: {quote(message)}'
    return f'{HEADER}pod_workers.go:1324] "Error syncing pod, skipping" err={quote(error)} pod="n/p" podUID="u"'


@pytest.mark.parametrize(
    "text",
    [
        REFUSED,
        f"rpc error: code = Unknown desc = {REFUSED}",
        f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = {REFUSED}',
        f"  Warning  Failed     2s (x3 over 60s)  kubelet  Failed to pull image {quote(IMAGE)}: {REFUSED}",
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err={quote(REFUSED)} image={quote(IMAGE)}',
        f'{HEADER}kuberuntime_image.go:43] "Failed to pull image" err={quote(REFUSED)} image={quote(IMAGE)}',
        f"{HEADER}kuberuntime_manager.go:1] container &Container{{Name:app,Image:{IMAGE},}} start failed in pod p_n(u): ErrImagePull: {REFUSED}",
        f'{HEADER}kuberuntime_manager.go:1] "Unhandled Error" err={quote("container app start failed in pod p_n(u): ErrImagePull: " + REFUSED)}',
        sync("ErrImagePull", REFUSED),
        sync("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {REFUSED}'),
        f"Nov 22 08:10:35 node-a kubelet[20212]: {sync('ErrImagePull', REFUSED)}",
        f"kubelet {sync('ErrImagePull', REFUSED)}",
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err=<\n\t{REFUSED}\n > image="{IMAGE}"',
        json.dumps({"ts": 1.0, "caller": "a.go:1", "msg": "Failed to pull image", "err": REFUSED, "image": IMAGE}),
        f"192.0.2.9: {json.dumps({'ts': 1.0, 'msg': 'Error syncing pod, skipping', 'err': 'x ErrImagePull: ' + REFUSED})}",
        f'time="2026-01-01T00:00:00Z" level=error msg="PullImage \\"{IMAGE}\\" failed" error={quote(REFUSED)}',
        f'time="x" level=info msg={quote(sync("ErrImagePull", REFUSED))} component=kubelet stream=stderr',
        f"[{REFUSED}, {REFUSED}]",
        f"\x1b[31m{REFUSED}\x1b[0m",
    ],
)
def test_any_wrapper_gives_the_same_answer(text: str) -> None:
    assert classify(text) == Hypothesis(
        C.CONNECTION_REFUSED, Stage.CONNECT, Answer.MAYBE, None, IMAGE, "r.example:5000", ()
    )


def test_one_of_several_containers_is_explained() -> None:
    error = ", ".join(
        f'failed to "StartContainer" for "{name}" with {reason}: {quote(message)}'
        for name, reason, message in (
            ("a", "CrashLoopBackOff", "back-off"),
            ("b", "ImagePullBackOff", 'Back-off pulling image "x:1"'),
            ("c", "ErrImagePull", REFUSED),
        )
    )
    found = classify(f'{HEADER}pod_workers.go:1] "Error syncing pod, skipping" err={quote(f"[{error}]")}')
    assert found is not None
    assert (found.cause, found.image) == (C.CONNECTION_REFUSED, IMAGE)


def test_the_pods_spelling_of_the_image_comes_first() -> None:
    found = classify(f'Failed to pull image "web": {resolve("EOF", "docker.io/library/web:latest")}')
    assert found is not None
    assert (found.image, found.registry) == ("web", "docker.io")


def test_a_page_of_events_is_explained_by_the_pull_in_it() -> None:
    page = f"""Events:
  Type     Reason     Age                From     Message
  Normal   Pulled     10s                kubelet  Container image "side:1" already present on machine
  Warning  Unhealthy  9s                 kubelet  Readiness probe failed: connection refused
  Normal   Pulling    8s (x2 over 20s)   kubelet  Pulling image "{IMAGE}"
  Warning  Failed     8s (x2 over 20s)   kubelet  Failed to pull image "{IMAGE}": {head("EOF")}
  Warning  Failed     8s (x2 over 20s)   kubelet  Error: ErrImagePull
  Normal   BackOff    4s (x2 over 18s)   kubelet  Back-off pulling image "{IMAGE}"
"""
    found = classify(page)
    assert found is not None
    assert (found.cause, found.image) == (C.CONNECTION_RESET, IMAGE)


def test_crictl_says_it_twice() -> None:
    line = f'{HEADER}remote_image.go:1] "PullImage from image service failed" err={quote(REFUSED)} image={quote(IMAGE)}'
    found = classify(f"{line}\nFATA[0000] pulling image: rpc error: code = Unknown desc = {REFUSED}")
    assert found is not None
    assert found.cause is C.CONNECTION_REFUSED


def test_mirrors_of_crio_are_named_as_alternative() -> None:
    mirror = "[m.example/shop/web:1: reading manifest: denied]\n[n.example/shop/web:1: EOF]"
    found = classify(crio(f"(Mirrors also failed: {mirror}): {IMAGE}: reading manifest 1 in x: manifest unknown"))
    assert found is not None
    assert found.cause is C.TAG_NOT_FOUND
    assert C.MIRROR_FAILED in found.alternatives


def test_refusals_name_what_they_may_also_mean() -> None:
    found = classify(resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 403 Forbidden"))
    assert found is not None
    assert {C.CREDENTIALS_REJECTED, C.CREDENTIALS_MISSING, C.SOURCE_DENIED, C.BLOCKED_BY_POLICY} <= set(
        found.alternatives
    )


@pytest.mark.parametrize(
    "name", ["denied/toomanyrequests", "x/no-such-host", "unauthorized/forbidden", "x/eof", "tls/x509"]
)
def test_names_are_no_errors(name: str) -> None:
    image = f"r.example/{name}:not-found"
    url = f"https://r.example/v2/{name}/manifests/not-found"
    found = classify(head("dial tcp 192.0.2.1:443: connect: connection refused", url, image))
    assert found is not None
    assert found.cause is C.CONNECTION_REFUSED


def test_a_registrys_words_do_not_outrank_the_runtimes() -> None:
    answer = "no space left on device: no such host: x509: certificate signed by unknown authority"
    found = classify(
        resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 500 Internal Server Error\n{answer}")
    )
    assert found is not None
    assert found.cause is C.REGISTRY_SERVER_ERROR


def test_a_recognised_failure_always_has_a_hypothesis() -> None:
    failure = PullFailure(datetime(2026, 1, 1, tzinfo=UTC), "u", Reason.ERR_IMAGE_PULL, "something new", image=IMAGE)
    assert classify_failure(failure) == Hypothesis(
        C.UNDETERMINED, Stage.RUNTIME, Answer.MAYBE, None, IMAGE, "r.example:5000"
    )


def test_a_recognised_failures_own_image_comes_first() -> None:
    failure = PullFailure(datetime(2026, 1, 1, tzinfo=UTC), "u", Reason.ERR_IMAGE_PULL, REFUSED, image="web:1")
    found = classify_failure(failure)
    assert (found.cause, found.image, found.registry) == (C.CONNECTION_REFUSED, "web:1", "docker.io")


@given(st.text())
def test_classifying_never_raises(text: str) -> None:
    classify(text)
    classify(f'Failed to pull image "x": {text}')
    classify(f'{HEADER}a.go:1] "Failed to pull image" err={text}')


@given(st.integers(min_value=0, max_value=400))
def test_cut_texts_are_borne(length: int) -> None:
    assert classify(sync("ErrImagePull", REFUSED)[: len(HEADER) + 120 + length]) is not None


@pytest.mark.parametrize(
    "unit",
    [
        "https://",
        "credential provider ",
        'failed to "',
        "docker://a",
        "(Mirrors also failed: [",
        '{"msg":',
        'err="\\',
        '\\"',
        "dial tcp ",
        "[",
    ],
)
def test_hostile_texts_cost_linear_time(unit: str) -> None:
    start = time.process_time()
    classify(f'Failed to pull image "x": {unit * (100_000 // len(unit))}')
    assert time.process_time() - start < 2.0
