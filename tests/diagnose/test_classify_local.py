"""What happens on the node: content, platform, storage, configuration, kubelet."""

import pytest
from errortexts import D1, D2, IMAGE, containerd, resolve

from pullwhy.diagnose.classify.classifier import classify
from pullwhy.model import CauseId as C
from pullwhy.model import Stage, Via

CASES: list[tuple[str, C, Stage, Via | None]] = [
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
            f"httpReadSeeker: failed open: content at https://reg.example/v2/a/manifests/{D1} not found: not found"
        ),
        C.MANIFEST_UNSUPPORTED,
        Stage.MANIFEST,
        None,
    ),
    (
        containerd(
            f"failed to copy: httpReadSeeker: failed open: content at https://reg.example/v2/a/manifests/{D1} not found: not found"
        ),
        C.BLOB_UNAVAILABLE,
        Stage.BLOB,
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
        f'Failed to inspect image "{IMAGE}": rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: no such file or directory"',
        C.RUNTIME_UNAVAILABLE,
        Stage.RUNTIME,
        None,
    ),
    (
        f'Failed to pull image "{IMAGE}": rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: no such file or directory"',
        C.RUNTIME_UNAVAILABLE,
        Stage.RUNTIME,
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


def test_content_of_a_type_that_no_image_has_is_an_unsupported_manifest() -> None:
    text = (
        'failed to pull and unpack image "reg.example/a:1": failed to copy: httpReadSeeker: failed open: could not fetch '
        f"content descriptor sha256:{'a' * 64} (application/vnd.example.unknown+json) from remote: not found"
    )
    found = classify(text)
    assert found is not None
    assert found.cause is C.MANIFEST_UNSUPPORTED
