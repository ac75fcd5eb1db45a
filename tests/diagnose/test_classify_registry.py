"""What registries answer, in the words of containerd, CRI-O and docker."""

import pytest
from errortexts import BLOB_URL, D1, D2, IMAGE, MANIFEST_URL, TOKEN_URL, containerd, copy, crio, daemon, resolve

from pullwhy.diagnose.classify.classifier import classify
from pullwhy.model import CauseId as C
from pullwhy.model import Stage, Via

CASES: list[tuple[str, C, Stage, Via | None]] = [
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
    (
        "short name mode is enforcing, but image name web:1 returns ambiguous list",
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
